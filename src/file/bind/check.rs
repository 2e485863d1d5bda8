//! Checks: what must be true of the running stack's network.

use crate::diagnostic::Diagnostic;
use crate::file::bind::Binder;
use crate::file::bind::field::{duration, items, number, text, yes};
use crate::file::tree::Node;
use crate::model::check::{Check, Disturbance};
use crate::model::port::Protocol;

impl Binder<'_> {
    /// All checks of the document.
    pub fn checks(&mut self) -> Vec<Check> {
        let list = items(&self.document.root, "checks");
        list.iter()
            .enumerate()
            .map(|(index, node)| self.check(index, node))
            .collect()
    }

    fn check(&mut self, index: usize, node: &Node) -> Check {
        let from = text(node, "from").unwrap_or_default();
        let to = text(node, "to").unwrap_or_default();
        let protocol = match text(node, "protocol").as_deref() {
            Some("udp") => Protocol::Udp,
            Some("sctp") => Protocol::Sctp,
            _ => Protocol::Tcp,
        };
        let mut after = Vec::new();
        for item in items(node, "after") {
            let index = index.to_string();
            let mut found = 0;
            for (key, make) in [
                ("restart", Disturbance::Restart as fn(String) -> Disturbance),
                ("stop", Disturbance::Stop),
                ("start", Disturbance::Start),
                ("kill", Disturbance::Kill),
                ("pause", Disturbance::Pause),
                ("unpause", Disturbance::Unpause),
            ] {
                let Some(service) = item.get(key) else {
                    continue;
                };
                found += 1;
                let name = service.scalar_text().unwrap_or_default();
                if self
                    .document
                    .root
                    .get("services")
                    .and_then(|services| services.get(&name))
                    .is_none()
                {
                    let diagnostic = Diagnostic::error(
                        "unknown-reference",
                        format!("there is no service `{name}`"),
                    )
                    .at(service.span)
                    .hint("name a service of this file");
                    self.tell(diagnostic, &["checks", &index, "after", key]);
                }
                after.push(make(name));
            }
            if found != 1 {
                let diagnostic = Diagnostic::error(
                    "bad-check",
                    "each entry of `after` says one thing",
                )
                .at(item.span)
                .hint("write one of restart, stop, start, kill, pause, unpause in each: [{stop: web}, {start: web}]");
                self.tell(diagnostic, &["checks", &index, "after"]);
            }
        }
        Check {
            name: text(node, "name").unwrap_or_else(|| format!("{from} to {to}")),
            port: number(node, "port").and_then(|port| u16::try_from(port).ok()),
            protocol,
            via: text(node, "via"),
            expect: text(node, "expect").unwrap_or_else(|| "ok".to_owned()),
            within: duration(node, "within"),
            require: yes(node, "require"),
            warning: yes(node, "warning") || text(node, "level").as_deref() == Some("warning"),
            after,
            from,
            to,
        }
    }
}
