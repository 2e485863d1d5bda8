//! Names that are used twice, configs and secrets without content, and what someone else makes and this file describes all the same.

use std::collections::HashMap;

use crate::diagnostic::Diagnostic;
use crate::file::consistency::{Checker, entries, key_span};
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
            if name.is_empty() {
                let message = format!("services.{}: container_name is empty", entry.key);
                self.told.push(
                    Diagnostic::error("bad-name", message)
                        .at(node.span)
                        .hint("remove the key, or give a variable a default: ${NAME:-web}"),
                );
                continue;
            }
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

    /// What configs and secrets hold comes from one place.
    pub fn contents(&mut self) {
        for (kind, ways) in [
            ("secrets", &["file", "environment"][..]),
            ("configs", &["file", "environment", "content"][..]),
        ] {
            for entry in entries(self.root, kind) {
                if entry.node.get("external").and_then(Node::as_bool) != Some(true) {
                    self.content(kind, ways, entry);
                }
            }
        }
        for kind in ["networks", "volumes", "configs", "secrets"] {
            for entry in entries(self.root, kind) {
                self.external(kind, entry);
            }
        }
    }

    fn content(&mut self, kind: &str, ways: &[&str], entry: &Entry) {
        let listed = ways.join("|");
        let mut given = ways
            .iter()
            .filter(|way| entry.node.get(way).is_some_and(|node| !node.is_null()));
        let diagnostic = match (given.next(), given.next()) {
            (Some(_), None) => return,
            (Some(first), Some(second)) => {
                let message = format!(
                    "{kind}.{}: {listed} attributes are mutually exclusive",
                    entry.key
                );
                Diagnostic::error("excludes", message)
                    .at(key_span(&entry.node, second))
                    .also(key_span(&entry.node, first), "the other one")
                    .hint("keep one of the two")
            }
            (None, _) => {
                let message = format!("{kind}.{}: one of {listed} must be set", entry.key);
                Diagnostic::error("no-content", message)
                    .at(entry.key_span)
                    .hint("say where its content comes from, or write `external: true`")
            }
        };
        self.told
            .push(diagnostic.path(format!("{kind}.{}", entry.key)));
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
            "file",
            "environment",
            "content",
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
