//! Checks: what must be true of the running stack's network.

use std::collections::HashMap;

use crate::diagnostic::Diagnostic;
use crate::file::bind::Binder;
use crate::file::bind::field::{duration, items, number, text, yes};
use crate::file::tree::Node;
use crate::model::check::{Check, Disturbance};
use crate::model::port::Protocol;
use crate::source::Span;

impl Binder<'_> {
    /// All checks of the document.
    pub fn checks(&mut self) -> Vec<Check> {
        let list = items(&self.document.root, "checks");
        let mut names: HashMap<&str, Span> = HashMap::new();
        for name in list.iter().filter_map(|node| node.get("name")) {
            let Some(text) = name.as_text() else { continue };
            if let Some(first) = names.insert(text, name.span) {
                let diagnostic =
                    Diagnostic::error("bad-check", format!("two checks are called `{text}`"))
                        .label(name.span, "the second")
                        .also(first, "the first")
                        .hint("give each a name of its own, or none");
                self.tell(diagnostic, &["checks"]);
            }
        }
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
            after.extend(self.disturbances(index, item));
        }
        self.contradictions(index, node);
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

    /// What a check cannot mean.
    fn contradictions(&mut self, index: usize, node: &Node) {
        let index = index.to_string();
        if let Some(within) = node.get("within")
            && within.as_text().is_some_and(|text| text.starts_with('-'))
        {
            let diagnostic = Diagnostic::error("bad-check", "`within` ends before it begins")
                .at(within.span)
                .hint("write how long the check may take to come true, such as 10s");
            self.tell(diagnostic, &["checks", &index, "within"]);
        }
        if let Some(level) = node.get("level")
            && level.as_text() == Some("warning")
            && yes(node, "require")
        {
            let diagnostic = Diagnostic::error(
                "bad-check",
                "a check that is only a warning cannot be required",
            )
            .at(level.span)
            .hint("remove `require` or `level`");
            self.tell(diagnostic, &["checks", &index, "level"]);
        }
    }

    /// What one entry of `after` says; it should be one thing.
    fn disturbances(&mut self, index: usize, item: &Node) -> Vec<Disturbance> {
        let index = index.to_string();
        let network = item.get("network").map(|network| {
            self.known(
                "networks",
                "network",
                network,
                &["checks", &index, "after", "network"],
            )
        });
        let mut found = Vec::new();
        for (key, make) in [
            ("restart", Disturbance::Restart as fn(String) -> Disturbance),
            ("stop", Disturbance::Stop),
            ("start", Disturbance::Start),
            ("kill", Disturbance::Kill),
            ("pause", Disturbance::Pause),
            ("unpause", Disturbance::Unpause),
        ] {
            if let Some(service) = item.get(key) {
                let place = ["checks", &index, "after", key];
                found.push(make(self.known("services", "service", service, &place)));
            }
        }
        let mut wired = false;
        for (key, make) in [
            ("connect", connect as fn(String, String) -> Disturbance),
            ("disconnect", disconnect),
        ] {
            if let Some(service) = item.get(key) {
                let place = ["checks", &index, "after", key];
                let service = self.known("services", "service", service, &place);
                wired = network.is_some();
                found.push(make(service, network.clone().unwrap_or_default()));
                if network.is_none() {
                    let diagnostic =
                        Diagnostic::error("bad-check", format!("`{key}` needs a `network`"))
                            .at(item.span)
                            .hint(format!("write {{{key}: SERVICE, network: NETWORK}}"));
                    self.tell(diagnostic, &place);
                }
            }
        }
        if found.len() != 1 || network.is_some() && !wired {
            let diagnostic = Diagnostic::error(
                "bad-check",
                "each entry of `after` says one thing",
            )
            .at(item.span)
            .hint("write one of restart, stop, start, kill, pause, unpause, connect, disconnect in each: [{stop: web}, {start: web}]; `network` goes with the last two");
            self.tell(diagnostic, &["checks", &index, "after"]);
        }
        found
    }

    /// A name under a key of the file; one that is not there is told.
    fn known(&mut self, under: &str, what: &str, node: &Node, place: &[&str]) -> String {
        let name = node.scalar_text().unwrap_or_default();
        let list = self.document.root.get(under);
        let implied = under == "networks" && name == "default";
        if !implied && list.and_then(|list| list.get(&name)).is_none() {
            let diagnostic =
                Diagnostic::error("unknown-reference", format!("there is no {what} `{name}`"))
                    .at(node.span)
                    .hint(format!("name a {what} of this file"));
            self.tell(diagnostic, place);
        }
        name
    }
}

fn connect(service: String, network: String) -> Disturbance {
    Disturbance::Connect { service, network }
}

fn disconnect(service: String, network: String) -> Disturbance {
    Disturbance::Disconnect { service, network }
}
