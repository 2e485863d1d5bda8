//! Values that read well and that engines refuse, when a container or network is made or, worse, when it starts. All
//! were tried on engines 20.10 and 28.5: what both refuse is an error, what one of them refuses or what is accepted
//! and does nothing is a warning.

mod limits;
mod network;
mod process;
mod storage;
mod texts;
mod words;

use crate::diagnostic::Diagnostic;
use crate::diagnostic::{Diagnostics, Severity};
use crate::file::document::joined;
use crate::file::tree::{Entry, Node};
use crate::file::value;

/// Tells all such values of a normal document.
pub fn check(root: &Node, told: &mut Diagnostics) {
    let mut judge = Judge { told };
    for entry in entries(root, "services") {
        judge.process(&entry.key, &entry.node);
        judge.namespaces(&entry.key, &entry.node);
        judge.limits(&entry.key, &entry.node);
        judge.storage(&entry.key, &entry.node);
        judge.names(&entry.key, &entry.node);
        judge.health_of_others(root, &entry.key, &entry.node);
    }
    for entry in entries(root, "networks") {
        judge.network(&entry.key, &entry.node);
    }
    for top in ["services", "networks", "volumes"] {
        for entry in entries(root, top) {
            judge.nul(&entry.node, &mut vec![top, &entry.key]);
        }
    }
}

struct Judge<'a> {
    told: &'a mut Diagnostics,
}

impl Judge<'_> {
    /// Tells a value that no engine takes.
    fn refuse(&mut self, node: &Node, path: &[&str], code: &'static str, why: &str, hint: &str) {
        self.tell(Severity::Error, node, path, code, why, hint);
    }

    /// Tells a value that some engine takes, for nothing.
    fn doubt(&mut self, node: &Node, path: &[&str], code: &'static str, why: &str, hint: &str) {
        self.tell(Severity::Warning, node, path, code, why, hint);
    }

    fn tell(
        &mut self,
        severity: Severity,
        node: &Node,
        path: &[&str],
        code: &'static str,
        why: &str,
        hint: &str,
    ) {
        let path = joined(path);
        let diagnostic = Diagnostic {
            severity,
            ..Diagnostic::error(code, format!("{path}: {why}"))
        };
        self.told
            .push(diagnostic.at(node.span).hint(hint).path(path));
    }
}

fn entries<'a>(node: &'a Node, key: &str) -> impl Iterator<Item = &'a Entry> + use<'a> {
    node.get(key)
        .and_then(Node::as_mapping)
        .into_iter()
        .flat_map(|mapping| mapping.iter())
}

fn items<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    node.get(key).and_then(Node::as_sequence).unwrap_or(&[])
}

/// A text that is there and not empty, with its node.
fn text<'a>(node: &'a Node, key: &str) -> Option<(&'a Node, &'a str)> {
    let node = node.get(key)?;
    node.as_text()
        .filter(|text| !text.is_empty())
        .map(|text| (node, text))
}

/// A whole number that is there, with its node; sizes, which are kept as texts, too.
fn number<'a>(node: &'a Node, key: &str) -> Option<(&'a Node, i64)> {
    let node = node.get(key)?;
    let number = node.as_integer();
    let number = number.or_else(|| node.as_text().and_then(|text| text.parse().ok()));
    number.map(|number| (node, number))
}

/// What to write instead of a word: the nearest of those there are, or all of them.
fn instead(word: &str, words: &[&str]) -> String {
    match value::nearest(word, words.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let all: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            format!("it can be {}", all.join(", "))
        }
    }
}

/// Whether a path is one of Windows, whose rules are others.
fn is_windows(path: &str) -> bool {
    path.contains('\\') || path.as_bytes().get(1) == Some(&b':')
}
