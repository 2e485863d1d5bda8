//! Fields of canonical nodes as plain values, and texts as typed ones with a diagnostic where they are none.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use indexmap::IndexMap;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::document;
use crate::file::tree::{Entry, Node, Value};
use crate::file::value;

/// A text that is there and not empty.
pub fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key)
        .and_then(Node::scalar_text)
        .filter(|text| !text.is_empty())
}

/// Whether a boolean is there and true.
pub fn yes(node: &Node, key: &str) -> bool {
    node.get(key).and_then(Node::as_bool) == Some(true)
}

/// A whole number; sizes, which are kept as texts, too.
pub fn number(node: &Node, key: &str) -> Option<i64> {
    let node = node.get(key)?;
    node.as_integer()
        .or_else(|| node.as_text().and_then(|text| text.parse().ok()))
}

/// A number with a fraction.
pub fn fraction(node: &Node, key: &str) -> Option<f64> {
    match node.get(key)?.value {
        Value::Integer(number) => Some(number as f64),
        Value::Large(number) => Some(number as f64),
        Value::Float(number) => Some(number),
        _ => None,
    }
}

/// A length of time that is not negative.
pub fn duration(node: &Node, key: &str) -> Option<Duration> {
    let nanoseconds = value::duration(node.get(key)?.as_text()?).ok()?;
    u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
}

/// The items of a list.
pub fn items<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    node.get(key).and_then(Node::as_sequence).unwrap_or(&[])
}

/// The entries of a mapping.
pub fn entries<'a>(node: &'a Node, key: &str) -> impl Iterator<Item = &'a Entry> + use<'a> {
    node.get(key)
        .and_then(Node::as_mapping)
        .into_iter()
        .flat_map(|mapping| mapping.iter())
}

/// The texts of a list.
pub fn texts(node: &Node, key: &str) -> Vec<String> {
    items(node, key)
        .iter()
        .filter_map(Node::scalar_text)
        .collect()
}

/// The pairs of a mapping of texts.
pub fn pairs(node: Option<&Node>) -> IndexMap<String, String> {
    let mapping = node.and_then(Node::as_mapping);
    let mut pairs: IndexMap<String, String> = mapping
        .into_iter()
        .flat_map(|mapping| mapping.iter())
        .map(|entry| {
            (
                entry.key.to_string(),
                entry.node.scalar_text().unwrap_or_default(),
            )
        })
        .collect();
    // The order of pairs means nothing, and hashes must not depend on it.
    pairs.sort_unstable_keys();
    pairs
}

/// The pairs of an environment; a variable without a value is removed from the image's.
pub fn environment(node: Option<&Node>) -> IndexMap<String, Option<String>> {
    let mapping = node.and_then(Node::as_mapping);
    let mut pairs: IndexMap<String, Option<String>> = mapping
        .into_iter()
        .flat_map(|mapping| mapping.iter())
        .map(|entry| (entry.key.to_string(), entry.node.scalar_text()))
        .collect();
    pairs.sort_unstable_keys();
    pairs
}

/// The pairs of `host=address` items.
pub fn hosts(node: &Node, key: &str) -> Vec<(String, String)> {
    texts(node, key)
        .into_iter()
        .filter_map(|text| {
            text.split_once('=')
                .map(|(host, address)| (host.to_owned(), address.to_owned()))
        })
        .collect()
}

/// A command: absent leaves the image's, empty clears it.
pub fn command(node: &Node, key: &str) -> Option<Vec<String>> {
    let items = node.get(key)?.as_sequence()?;
    Some(items.iter().filter_map(Node::scalar_text).collect())
}

/// A text as a typed value; where it is none, the type's own words are told at its place.
pub fn parse<T>(
    node: &Node,
    code: &'static str,
    hint: &str,
    path: &[&str],
    told: &mut Diagnostics,
) -> Option<T>
where
    T: FromStr,
    T::Err: Display,
{
    let text = node.scalar_text()?;
    match text.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            let error = error.to_string();
            let message = if error.contains(&format!("`{text}`")) {
                error
            } else {
                format!("`{text}`: {error}")
            };
            let diagnostic =
                Diagnostic::error(code, format!("{}: {message}", document::joined(path)))
                    .at(node.span)
                    .hint(hint);
            told.push(diagnostic.path(document::joined(path)));
            None
        }
    }
}
