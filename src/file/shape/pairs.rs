//! Mappings of names to texts: environments, labels, contexts and options. A list of `NAME=VALUE` becomes such a
//! mapping; mappings with a grammar for each key are in [`crate::file::shape::object`].

use crate::diagnostic::Diagnostic;
use crate::file::merge::{listed, pairs};
use crate::file::shape::Shaper;
use crate::file::tree::{Entry, Mapping, Mark, Node, Path, Value};

/// What a pair without a value becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Empty {
    Null,
    Text,
    Refused,
}

impl Shaper<'_> {
    /// Names and texts, from a mapping or a list of `NAME=VALUE`.
    pub fn pairs(&mut self, mut node: Node, empty: Empty, path: &Path) -> Option<Node> {
        if let Value::Sequence(items) = &node.value {
            for (index, item) in items.iter().enumerate() {
                let Some(text) = item.as_text() else {
                    self.wrong(item, "a string", &path.item(index));
                    continue;
                };
                let (key, value) = text
                    .split_once('=')
                    .map_or((text, None), |(key, value)| (key, Some(value)));
                if empty == Empty::Null && key.ends_with(char::is_whitespace) {
                    let message =
                        format!("environment variable `{key}` is declared with a trailing space");
                    self.unreadable(
                        item,
                        "bad-pair",
                        message,
                        "remove the blank before the `=`",
                        &path.item(index),
                    );
                } else if empty == Empty::Refused && value.is_none() {
                    let message = format!("invalid value `{text}`, expected key=value");
                    self.unreadable(
                        item,
                        "bad-pair",
                        message,
                        "write NAME=VALUE",
                        &path.item(index),
                    );
                }
            }
        }
        if let Value::Sequence(items) = &mut node.value {
            // What is no text was told.
            items.retain(|item| item.as_text().is_some());
        }
        let node = match node.value {
            Value::Sequence(_) => pairs(node, self.sources),
            Value::Mapping(_) => node,
            _ => return self.wrong(&node, "a mapping or a list of KEY=VALUE", path),
        };
        let Value::Mapping(mapping) = node.value else {
            return None;
        };
        let mut out = Mapping::default();
        for Entry {
            key,
            key_span,
            node,
        } in mapping.into_entries()
        {
            let value = match (&node.value, node.scalar_text(), empty) {
                (Value::Null, _, Empty::Null) => Node::new(Value::Null, node.span),
                (Value::Null, _, Empty::Text | Empty::Refused) => Node::text("", node.span),
                (_, Some(text), _) => Node::text(text, node.span),
                (_, None, _) => {
                    self.wrong(&node, "a boolean, null, number or string", &path.key(&key));
                    continue;
                }
            };
            out.insert(key, key_span, value);
        }
        Some(Node {
            value: Value::Mapping(out),
            span: node.span,
            mark: Mark::None,
        })
    }

    /// The old form of `external`, which may hold a name and nothing else.
    pub fn external(&mut self, node: Node, path: &Path) -> Option<Node> {
        let mapping = node.as_mapping()?;
        for entry in mapping.iter() {
            let here = path.key(&entry.key);
            if &*entry.key != "name" {
                let message = format!("unknown key `{}` in {path}", entry.key);
                let diagnostic = Diagnostic::error("unknown-key", message)
                    .at(entry.key_span)
                    .hint("write `external: true`, and the name under `name:` beside it");
                self.tell(diagnostic, &here);
            } else if entry.node.as_text().is_none() {
                self.wrong(&entry.node, "a string", &here);
            }
        }
        Some(node)
    }

    /// Names and texts, from a mapping only.
    pub fn options(&mut self, mut node: Node, path: &Path) -> Option<Node> {
        let Value::Mapping(mapping) = &mut node.value else {
            return self.wrong(&node, "a mapping", path);
        };
        mapping.retain(|entry| {
            let is_text = entry.node.as_bool().is_none();
            if !is_text {
                self.wrong(&entry.node, "a string", &path.key(&entry.key));
            }
            is_text
        });
        self.pairs(node, Empty::Text, path)
    }

    /// Names and lists of texts, from a mapping; a single text is a list of one.
    pub fn multi_options(&mut self, node: Node, path: &Path) -> Option<Node> {
        let Value::Mapping(mapping) = node.value else {
            return self.wrong(&node, "a mapping", path);
        };
        let mut out = Mapping::default();
        for Entry {
            key,
            key_span,
            node,
        } in mapping.into_entries()
        {
            let list = listed(node);
            let span = list.span;
            let Value::Sequence(items) = list.value else {
                continue;
            };
            let mut values = Vec::new();
            for (index, item) in items.into_iter().enumerate() {
                match item.scalar_text() {
                    Some(text) => values.push(Node::text(text, item.span)),
                    None => {
                        self.wrong(
                            &item,
                            "a string, number or boolean",
                            &path.key(&key).item(index),
                        );
                    }
                }
            }
            out.insert(key, key_span, Node::new(Value::Sequence(values), span));
        }
        Some(Node::new(Value::Mapping(out), node.span))
    }
}
