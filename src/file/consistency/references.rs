//! References that lead nowhere: what a service names must be there.

use crate::diagnostic::Diagnostic;
use crate::file::active::profiles_of;
use crate::file::consistency::{Checker, entries, items, text};
use crate::file::tree::Node;
use crate::file::value;
use crate::source::Span;

impl Checker<'_> {
    /// Whether a resource, or the whole section, stands in the file and was left out for its own mistake.
    fn is_left_out(&self, top: &str, reference: &str) -> bool {
        let section = self.root.get(top).and_then(Node::as_mapping);
        self.wrong.contains(&format!("{top}.{reference}"))
            || (section.is_none() && self.wrong.contains(top))
    }

    /// Tells where a name under a top-level key is not there.
    pub fn known(&mut self, name: &str, what: &str, top: &str, reference: &str, span: Span) {
        if self
            .root
            .get(top)
            .and_then(Node::as_mapping)
            .is_none_or(|all| !all.contains(reference))
        {
            self.undefined(name, what, reference, span, top);
        }
    }

    pub fn undefined(&mut self, name: &str, what: &str, reference: &str, span: Span, key: &str) {
        let top = if what == "service" { "services" } else { key };
        if self.is_left_out(top, reference) {
            return;
        }
        let message = format!("service \"{name}\" refers to undefined {what} {reference}");
        let all = if what == "service" {
            Some(self.services)
        } else {
            self.root.get(key).and_then(Node::as_mapping)
        };
        let near = value::nearest(
            reference,
            all.into_iter()
                .flat_map(|all| all.iter())
                .map(|entry| &*entry.key),
        );
        let hint = match near {
            _ if what == "volume" && is_path(reference) => {
                "a path of this machine is mounted with `type: bind`".to_owned()
            }
            Some(near) => format!("did you mean `{near}`?"),
            None if what == "service" => "add a service of this name".to_owned(),
            None => format!("add `{reference}:` under the top-level `{key}:`"),
        };
        self.tell(
            name,
            key,
            Diagnostic::error("unknown-reference", message)
                .at(span)
                .hint(hint),
        );
    }

    pub fn dependencies(&mut self, name: &str, service: &Node) {
        for entry in entries(service, "depends_on") {
            let (other, span) = (&entry.key, entry.key_span);
            if self.services.contains(other) || self.is_left_out("services", other) {
                continue;
            }
            let required = entry.node.get("required").and_then(Node::as_bool) != Some(false);
            let mut diagnostic = Diagnostic::error(
                "unknown-reference",
                format!("service \"{name}\" depends on undefined service \"{other}\""),
            )
            .at(span);
            match self.inactive.get(other) {
                Some(_) if !required => continue,
                Some(off) => {
                    let profiles = profiles_of(&off.node).join("`, `");
                    diagnostic = diagnostic
                        .also(
                            off.key_span,
                            format!("it is off: none of its profiles (`{profiles}`) is active"),
                        )
                        .hint(format!(
                            "start with --profile {profiles}, or write `required: false`"
                        ));
                }
                None => {
                    let names = self.services.iter().map(|entry| &*entry.key);
                    let names: Vec<&str> = names
                        .chain(self.inactive.keys().map(|name| &**name))
                        .filter(|one| *one != name)
                        .collect();
                    diagnostic = diagnostic.hint(value::known(other, &names));
                }
            }
            self.tell(name, "depends_on", diagnostic);
        }
    }

    pub fn references(&mut self, name: &str, service: &Node) {
        for volume in items(service, "volumes") {
            if text(volume, "type") == Some("volume")
                && let Some(source) = volume
                    .get("source")
                    .filter(|source| source.as_text().is_some_and(|s| !s.is_empty()))
            {
                self.known(
                    name,
                    "volume",
                    "volumes",
                    source.as_text().unwrap_or(""),
                    source.span,
                );
            }
        }
        let build = service.get("build");
        for (what, top, list) in [
            ("config", "configs", items(service, "configs")),
            ("secret", "secrets", items(service, "secrets")),
            (
                "build secret",
                "secrets",
                build.map_or(&[][..], |build| items(build, "secrets")),
            ),
        ] {
            for item in list {
                let source = item.get("source");
                let span = source.map_or(item.span, |source| source.span);
                self.known(
                    name,
                    what,
                    top,
                    source.and_then(Node::as_text).unwrap_or(""),
                    span,
                );
            }
        }
        for entry in entries(service, "models") {
            self.known(name, "model", "models", &entry.key, entry.key_span);
        }
    }
}

/// Whether a text is meant as a path, not as a name.
fn is_path(text: &str) -> bool {
    text.starts_with(['.', '/', '~'])
}
