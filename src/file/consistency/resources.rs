//! Names that are used twice, secrets without content, and what someone else makes and this file describes all the same.

use std::collections::HashMap;

use crate::diagnostic::Diagnostic;
use crate::file::consistency::{Checker, entries, key_span, text};
use crate::file::tree::{Entry, Node};
use crate::file::value;
use crate::source::Span;

impl Checker<'_> {
    pub fn container_names(&mut self) {
        let mut there: HashMap<&str, (&str, Span)> = HashMap::new();
        for entry in self.services.iter() {
            let Some(node) = entry.node.get("container_name") else {
                continue;
            };
            let Some(name) = node.as_text() else { continue };
            let first_valid = name.starts_with(|c: char| c.is_ascii_alphanumeric());
            if !first_valid || name.len() < 2 || !value::is_name(name) {
                self.told.push(
                    Diagnostic::error("bad-name", format!("`{name}` cannot be the name of a container"))
                        .at(node.span)
                        .hint("two or more of letters, digits, `_`, `.` and `-`, the first a letter or digit"),
                );
            }
            match there.get(name) {
                Some((service, span)) => {
                    let message = format!(
                        "services.{}: container name \"{name}\" is already in use by service \"{service}\"",
                        entry.key
                    );
                    self.told.push(
                        Diagnostic::error("duplicate-name", message)
                            .at(node.span)
                            .also(*span, "first used here"),
                    );
                }
                None => drop(there.insert(name, (&entry.key, node.span))),
            }
        }
    }

    pub fn secrets(&mut self) {
        for entry in entries(self.root, "secrets") {
            let secret = &entry.node;
            let external = secret.get("external").and_then(Node::as_bool) == Some(true);
            if !external && text(secret, "file").is_none() && text(secret, "environment").is_none()
            {
                let message = format!(
                    "secret \"{}\" must declare either `file` or `environment`",
                    entry.key
                );
                self.told.push(
                    Diagnostic::error("no-content", message)
                        .at(entry.key_span)
                        .path(format!("secrets.{}", entry.key)),
                );
            }
        }
        for kind in ["networks", "volumes"] {
            for entry in entries(self.root, kind) {
                self.external(kind, entry);
            }
        }
    }

    fn external(&mut self, kind: &str, entry: &Entry) {
        if entry.node.get("external").and_then(Node::as_bool) != Some(true) {
            return;
        }
        // Keys of ours say what is done on the host, which may well concern someone else's network.
        for other in [
            "driver",
            "driver_opts",
            "ipam",
            "internal",
            "attachable",
            "labels",
            "enable_ipv4",
            "enable_ipv6",
        ] {
            if entry.node.get(other).is_some() {
                let message = format!(
                    "{kind}.{}: conflicting parameters \"external\" and \"{other}\" specified",
                    entry.key
                );
                let diagnostic = Diagnostic::error("excludes", message)
                    .label(
                        key_span(&entry.node, other),
                        "only who makes it can say this",
                    )
                    .also(key_span(&entry.node, "external"), "someone else makes it")
                    .hint(format!("remove `{other}`, or `external`"));
                self.told
                    .push(diagnostic.path(format!("{kind}.{}", entry.key)));
            }
        }
    }
}
