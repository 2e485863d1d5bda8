//! Lists, and what becomes a list: commands, health tests, extra hosts and SSH keys. Entries that are about the same
//! thing are here only once. Mappings that stay mappings are in [`crate::file::shape::pairs`] and
//! [`crate::file::shape::object`].

use std::collections::HashMap;

use crate::diagnostic::Diagnostic;
use crate::file::grammar::{Kind, Unique};
use crate::file::merge::listed;
use crate::file::shape::Shaper;
use crate::file::tree::{Entry, Node, Path, Value};
use crate::file::value;
use crate::file::written::Written;
use crate::source::Span;

impl Shaper<'_> {
    /// A list whose items are of one kind; a short form among them may become several items.
    pub fn list(&mut self, node: Node, inner: &Kind, unique: Unique, path: &Path) -> Option<Node> {
        let Value::Sequence(items) = node.value else {
            return self.wrong(&node, "a list (array)", path);
        };
        let mut out: Vec<Node> = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let here = path.item(index);
            match inner {
                Kind::Short(form, shape) => {
                    out.extend(self.short(item, *form, shape, &here).unwrap_or_default())
                }
                _ => out.extend(self.fit(item, inner, &here)),
            }
        }
        if unique == Unique::Once {
            self.once(&mut out, path);
        }
        Some(Node::new(Value::Sequence(uniquely(out, unique)), node.span))
    }

    /// Tells which texts of a list are there a second time, and leaves these out.
    fn once(&mut self, items: &mut Vec<Node>, path: &Path) {
        let mut seen: HashMap<String, (usize, Span)> = HashMap::new();
        let mut index = 0;
        items.retain(|item| {
            let here = index;
            index += 1;
            let Some(text) = item.scalar_text().filter(|text| !self.is_open(text)) else {
                return true;
            };
            let Some((first, span)) = seen.get(&text) else {
                seen.insert(text, (here, item.span));
                return true;
            };
            let message = format!("{path}: items at {first} and {here} are equal: `{text}`");
            let diagnostic = Diagnostic::error("duplicate-item", message)
                .label(item.span, "written again here")
                .also(*span, "first written here")
                .hint("remove one of the two");
            self.tell(diagnostic, path);
            false
        });
    }

    /// A command as its words; a text is split as a shell would, but no shell runs it.
    pub fn command(&mut self, node: Node, path: &Path) -> Option<Node> {
        match &node.value {
            Value::Null => Some(node),
            Value::Sequence(_) => self.list(node, &Kind::Text, Unique::No, path),
            Value::Text(text) => {
                let Some(words) = value::words(text) else {
                    let message = "invalid command line string".to_owned();
                    let hint =
                        "close every quote, quote parentheses, or write the command as a list";
                    return self.unreadable(&node, "bad-command", message, hint, path);
                };
                if let Some(cut) = words.cut {
                    let written = Written::of(text, node.span, self.sources);
                    let rest = text.get(cut..).unwrap_or("");
                    self.tell(
                        Diagnostic::warning(
                            "no-shell",
                            format!("{path}: a command is not run by a shell"),
                        )
                        .label(
                            written.part(rest),
                            "docker compose drops this, and so does stack",
                        )
                        .hint("run a shell for it: [sh, -c, \"…\"]"),
                        path,
                    );
                }
                let items = words
                    .words
                    .into_iter()
                    .map(|word| Node::text(word, node.span))
                    .collect();
                Some(Node::new(Value::Sequence(items), node.span))
            }
            _ => self.wrong(&node, "a string or a list of strings", path),
        }
    }

    /// A health test as a list that starts with its type.
    pub fn health_test(&mut self, node: Node, path: &Path) -> Option<Node> {
        let node = match &node.value {
            Value::Text(_) => {
                let items = vec![
                    Node::text("CMD-SHELL", node.span),
                    Node::new(node.value, node.span),
                ];
                return Some(Node::new(Value::Sequence(items), node.span));
            }
            Value::Sequence(_) => self.list(node, &Kind::Text, Unique::No, path)?,
            _ => return self.wrong(&node, "a string or a list of strings", path),
        };
        let first = node.as_sequence().and_then(|items| items.first());
        if let Some(first) = first
            && !matches!(first.as_text(), Some("CMD" | "CMD-SHELL" | "NONE"))
        {
            let message =
                "healthcheck.test must start either by \"CMD\", \"CMD-SHELL\" or \"NONE\""
                    .to_owned();
            let first = first.clone();
            return self.unreadable(
                &first,
                "bad-healthcheck",
                message,
                "put `CMD` before the command",
                path,
            );
        }
        Some(node)
    }

    /// Extra hosts as sorted `HOST=ADDRESS`.
    pub fn hosts(&mut self, node: Node, path: &Path) -> Option<Node> {
        let span = node.span;
        let mut all: Vec<(String, String, Span)> = Vec::new();
        // Where variables stay as written, nobody knows yet what is the host and what the address.
        let mut items = Vec::new();
        match node.value {
            Value::Mapping(mapping) => {
                for Entry { key, node, .. } in mapping.into_entries() {
                    let here = path.key(&key);
                    let Value::Sequence(items) = listed(node).value else {
                        continue;
                    };
                    for item in items {
                        match &item.value {
                            Value::Text(address) => {
                                all.push((key.to_string(), address.to_string(), item.span))
                            }
                            Value::Null => all.push((key.to_string(), String::new(), item.span)),
                            _ => {
                                self.wrong(&item, "a string or a list of strings", &here);
                            }
                        }
                    }
                }
            }
            Value::Sequence(mut written) => {
                self.once(&mut written, path);
                for (index, item) in written.into_iter().enumerate() {
                    let here = path.item(index);
                    let Some(text) = item.as_text() else {
                        self.wrong(&item, "a string", &here);
                        continue;
                    };
                    if self.is_open(text) {
                        items.push(item);
                        continue;
                    }
                    match text.split_once('=').or_else(|| text.split_once(':')) {
                        Some((host, addresses)) => {
                            all.extend(
                                addresses
                                    .split(',')
                                    .map(|one| (host.to_owned(), one.to_owned(), item.span)),
                            );
                        }
                        None => {
                            let message = format!("invalid additional host, missing IP: `{text}`");
                            self.unreadable(
                                &item,
                                "bad-host",
                                message,
                                "write HOST=ADDRESS",
                                &here,
                            );
                        }
                    }
                }
            }
            _ => return self.wrong(&node, "a mapping or a list of HOST=ADDRESS", path),
        }
        for (host, address, span) in all {
            if host.is_empty() || (host.contains([':', '=']) && !self.is_open(&host)) {
                let message = format!("bad host name '{host}'");
                let node = Node::text(host, span);
                self.unreadable(&node, "bad-host", message, "write HOST=ADDRESS", path);
                continue;
            }
            let bare = address
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
                .unwrap_or(&address);
            items.push(Node::text(format!("{host}={bare}"), span));
        }
        items.sort_by(|one, two| one.as_text().cmp(&two.as_text()));
        Some(Node::new(Value::Sequence(items), span))
    }

    /// SSH agents and keys as sorted `ID=PATH`, or `default`.
    pub fn ssh(&mut self, node: Node, path: &Path) -> Option<Node> {
        let (span, mut items) = (node.span, Vec::new());
        match node.value {
            Value::Mapping(mapping) => {
                for entry in mapping.into_entries() {
                    let text = match (entry.node.scalar_text(), entry.node.is_null()) {
                        (Some(value), _) => format!("{}={value}", entry.key),
                        (None, true) => entry.key.to_string(),
                        (None, false) => {
                            self.wrong(&entry.node, "a string or null", &path.key(&entry.key));
                            continue;
                        }
                    };
                    items.push(Node::text(text, entry.key_span));
                }
            }
            Value::Sequence(mut all) => {
                self.once(&mut all, path);
                for (index, item) in all.into_iter().enumerate() {
                    match item.as_text() {
                        Some(text) if text == "default" || text.contains('=') => items.push(item),
                        Some(text) => {
                            let message = format!("invalid ssh key `{text}`");
                            self.unreadable(
                                &item,
                                "bad-pair",
                                message,
                                "write `default` or ID=PATH",
                                &path.item(index),
                            );
                        }
                        None => {
                            self.wrong(&item, "a string", &path.item(index));
                        }
                    }
                }
            }
            _ => return self.wrong(&node, "a mapping or a list of strings", path),
        }
        items.sort_by(|one, two| one.as_text().cmp(&two.as_text()));
        Some(Node::new(Value::Sequence(items), span))
    }
}

/// Drops earlier entries that a later one is about too; the later one takes the earlier one's place.
fn uniquely(items: Vec<Node>, unique: Unique) -> Vec<Node> {
    if matches!(unique, Unique::No | Unique::Once | Unique::Subnet) {
        return items;
    }
    let mut places = HashMap::new();
    let mut out: Vec<Node> = Vec::with_capacity(items.len());
    for item in items {
        match subject(&item, unique) {
            Some(subject) => match places
                .get(&subject)
                .and_then(|place: &usize| out.get_mut(*place))
            {
                Some(there) => *there = item,
                None => {
                    places.insert(subject, out.len());
                    out.push(item);
                }
            },
            None => out.push(item),
        }
    }
    out
}

fn subject(item: &Node, unique: Unique) -> Option<String> {
    let text = |key: &str| item.get(key).and_then(Node::scalar_text);
    match unique {
        Unique::No | Unique::Once | Unique::Subnet => None,
        Unique::Key => item
            .as_text()
            .map(|text| text.split('=').next().unwrap_or("").to_owned()),
        Unique::Text => item.scalar_text(),
        Unique::Target => text("target"),
        Unique::Path => text("path"),
        Unique::Mount(folder) => {
            text("target").or_else(|| text("source").map(|source| format!("{folder}/{source}")))
        }
        Unique::Port => {
            let target = text("target")?;
            let host = text("host_ip").unwrap_or_else(|| "0.0.0.0".to_owned());
            let published = text("published").unwrap_or_default();
            let protocol = text("protocol").unwrap_or_else(|| "tcp".to_owned());
            Some(format!("{host}:{published}:{target}/{protocol}"))
        }
    }
}
