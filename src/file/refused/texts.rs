//! Names and texts: of hosts, of variables, and characters that end a text where nobody sees it.

use crate::diagnostic::Severity;
use crate::file::refused::{Judge, entries, items, text};
use crate::file::tree::{Node, Value};

impl Judge<'_> {
    pub fn names(&mut self, name: &str, service: &Node) {
        for key in ["hostname", "domainname"] {
            let Some((node, host)) = text(service, key) else {
                continue;
            };
            if let Some(strange) = host.chars().find(|c| !is_of_names(*c) && *c != '\0') {
                let why = format!(
                    "`{host}` holds {strange:?}, and programs refuse such a name or never find it"
                );
                let hint = "use letters a to z, digits, `-` and `.` (RFC 1123)";
                self.doubt(node, &["services", name, key], "bad-hostname", &why, hint);
            }
        }
        for item in items(service, "extra_hosts") {
            let written = item.as_text().unwrap_or_default();
            let host = written.split('=').next().unwrap_or_default();
            if host.contains(char::is_whitespace) {
                let why = format!("`{host}` holds a blank: /etc/hosts takes it for several names");
                let hint = "write one entry for each name: HOST=ADDRESS";
                self.doubt(
                    item,
                    &["services", name, "extra_hosts"],
                    "bad-host",
                    &why,
                    hint,
                );
            }
        }
        for entry in entries(service, "environment") {
            if entry.key.is_empty() {
                let node = Node::new(Value::Null, entry.key_span);
                let written = entry.node.scalar_text().unwrap_or_default();
                let why = format!("invalid environment variable: ={written}: it has no name");
                let path = ["services", name, "environment"];
                self.refuse(&node, &path, "bad-pair", &why, "write NAME=VALUE");
            }
        }
    }

    /// A NUL ends a text in the kernel: what comes after it is lost, or refused.
    pub fn nul<'p>(&mut self, node: &'p Node, path: &mut Vec<&'p str>) {
        match &node.value {
            Value::Text(text) if text.contains('\0') => {
                // Those that the engine keeps or hands on without a look.
                let kept = [
                    "labels",
                    "annotations",
                    "command",
                    "entrypoint",
                    "domainname",
                ];
                let severity = match path.as_slice() {
                    ["services", _, key, ..] if !kept.contains(key) => Severity::Error,
                    _ => Severity::Warning,
                };
                let why = "it holds a NUL character, which ends a text for the kernel";
                self.tell(severity, node, path, "nul", why, "remove the `\\0`");
            }
            Value::Sequence(items) => items.iter().for_each(|item| self.nul(item, path)),
            Value::Mapping(mapping) => {
                for entry in mapping.iter() {
                    path.push(&entry.key);
                    self.nul(&entry.node, path);
                    path.pop();
                }
            }
            _ => {}
        }
    }
}

fn is_of_names(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')
}
