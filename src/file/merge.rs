//! Several definitions of one thing become one: further files, documents of one file, and the base of a service. The
//! rules are those of Compose (`override` of several `-f`), read off the grammar; where Compose's own code loses data
//! (pools of a network) the rule that it means is applied: pools are matched by their subnet.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::grammar::{Key, Kind, Shape, ShortForm, Unique};
use crate::file::tree::{Entry, Mapping, Mark, Node, Path, Value};
use crate::source::{Sources, Span};

/// Merges `over` into `base` by the rules of a kind. `!reset` nodes stay as marks, so that the result can be merged
/// onto something else again; [`settle`] removes them.
pub fn merge(
    base: Node,
    over: Node,
    kind: &Kind,
    path: &Path,
    sources: &Sources,
    told: &mut Diagnostics,
) -> Node {
    Merger { sources, told }.merge(base, over, kind, path)
}

/// Removes what was reset, and all marks.
pub fn settle(node: &mut Node) {
    node.mark = Mark::None;
    match &mut node.value {
        Value::Mapping(mapping) => {
            if mapping.iter().any(|entry| entry.node.mark == Mark::Reset) {
                mapping.retain(|entry| entry.node.mark != Mark::Reset);
            }
            mapping.iter_mut().for_each(|entry| settle(&mut entry.node));
        }
        Value::Sequence(items) => items.iter_mut().for_each(settle),
        Value::Null
        | Value::Bool(_)
        | Value::Integer(_)
        | Value::Large(_)
        | Value::Float(_)
        | Value::Text(_) => {}
    }
}

struct Merger<'a> {
    sources: &'a Sources,
    told: &'a mut Diagnostics,
}

impl Merger<'_> {
    fn merge(&mut self, base: Node, over: Node, kind: &Kind, path: &Path) -> Node {
        if over.mark != Mark::None || base.mark == Mark::Reset {
            return over;
        }
        // A command is replaced as a whole, by nothing too; elsewhere nothing leaves what is there.
        if matches!(kind, Kind::Command | Kind::HealthTest) {
            return over;
        }
        if over.is_null() {
            return base;
        }
        match kind {
            Kind::Environment | Kind::Labels | Kind::Contexts => {
                let (mut base, over) = (pairs(base, self.sources), pairs(over, self.sources));
                match (base.as_mapping_mut(), over.value) {
                    // A key without a value says something here: its value is the environment's, or empty.
                    (Some(into), Value::Mapping(from)) => {
                        for entry in from.into_entries() {
                            into.insert(entry.key, entry.key_span, entry.node);
                        }
                        base
                    }
                    (_, value) => {
                        let over = Node::new(value, over.span);
                        self.mappings(base, over, path, |_| &Kind::Any)
                    }
                }
            }
            Kind::Hosts => {
                let (mut base, over) = (host_list(base), host_list(over));
                if let (Some(all), Value::Sequence(more)) = (base.as_sequence_mut(), over.value) {
                    for item in more {
                        if !all.iter().any(|one| one.same(&item)) {
                            all.push(item);
                        }
                    }
                }
                base
            }
            Kind::TextList(_) => append(listed(base), listed(over)),
            Kind::OneOf(kinds) => {
                if let Some(Kind::List(..)) =
                    kinds.iter().find(|kind| matches!(kind, Kind::List(..)))
                    && path_is_text_list(kinds)
                {
                    return append(listed(base), listed(over));
                }
                let inner = kinds
                    .iter()
                    .find(|kind| matches!(kind, Kind::Object(_) | Kind::List(..)));
                self.merge(base, over, inner.unwrap_or(&Kind::Any), path)
            }
            Kind::NamedList(inner) => {
                let (base, over) = (named(base, inner), named(over, inner));
                self.mappings(base, over, path, |_| inner)
            }
            Kind::Named(inner) | Kind::Mapping(inner) => self.mappings(base, over, path, |_| inner),
            Kind::Ulimit => over,
            Kind::Short(form, shape) => {
                let (base, over) = (expanded(base, *form), expanded(over, *form));
                self.objects(base, over, shape, path)
            }
            Kind::Object(shape) => self.objects(base, over, shape, path),
            Kind::List(_, Unique::Subnet) => self.pools(base, over, path),
            Kind::Ssh
            | Kind::List(..)
            | Kind::Any
            | Kind::Options
            | Kind::MultiOptions
            | Kind::External => self.mappings(base, over, path, |_| &Kind::Any),
            Kind::Null
            | Kind::Text
            | Kind::Choice(_)
            | Kind::Boolean
            | Kind::Integer(..)
            | Kind::Number
            | Kind::TextOrNumber
            | Kind::Duration
            | Kind::Bytes
            | Kind::FileMode
            | Kind::ModeBits
            | Kind::Command
            | Kind::HealthTest => self.mappings(base, over, path, |_| &Kind::Any),
        }
    }

    fn objects(&mut self, base: Node, over: Node, shape: &'static Shape, path: &Path) -> Node {
        // Options of two logging drivers have nothing to do with each other.
        if shape.name == "logging"
            && let (Some(one), Some(two)) = (base.get("driver"), over.get("driver"))
            && !one.same(two)
        {
            return over;
        }
        self.mappings(base, over, path, |name| {
            shape
                .find(name)
                .map_or(&Kind::Any, |key: &'static Key| &key.kind)
        })
    }

    /// Mappings key by key; lists one after the other; scalars: the later one.
    fn mappings<'k>(
        &mut self,
        base: Node,
        over: Node,
        path: &Path,
        kind: impl Fn(&str) -> &'k Kind,
    ) -> Node {
        let span = over.span;
        match (base.value, over.value) {
            (Value::Mapping(mut into), Value::Mapping(from)) => {
                for Entry {
                    key,
                    key_span,
                    node,
                } in from.into_entries()
                {
                    let merged = match into.get_mut(&key) {
                        Some(there) => {
                            let there = std::mem::replace(there, Node::new(Value::Null, key_span));
                            self.merge(there, node, kind(&key), &path.key(&key))
                        }
                        None => node,
                    };
                    into.insert(key, key_span, merged);
                }
                Node {
                    value: Value::Mapping(into),
                    span: base.span,
                    mark: base.mark,
                }
            }
            (Value::Sequence(mut into), Value::Sequence(from)) => {
                into.extend(from);
                Node {
                    value: Value::Sequence(into),
                    span: base.span,
                    mark: base.mark,
                }
            }
            (Value::Mapping(mapping), other) => {
                self.clash(Value::Mapping(mapping), base.span, other, span, path)
            }
            (Value::Sequence(items), other) => {
                self.clash(Value::Sequence(items), base.span, other, span, path)
            }
            (_, value) => Node {
                value,
                span,
                mark: over.mark,
            },
        }
    }

    fn clash(
        &mut self,
        base: Value,
        base_span: Span,
        over: Value,
        span: Span,
        path: &Path,
    ) -> Node {
        let base = Node::new(base, base_span);
        let over = Node::new(over, span);
        self.told.push(
            Diagnostic::error("cannot-override", format!("cannot override {path}"))
                .label(
                    first_line(span, self.sources),
                    format!("this is {}…", over.kind()),
                )
                .also(
                    first_line(base_span, self.sources),
                    format!("…and cannot be merged into {}", base.kind()),
                )
                .hint("write both in the same form, or replace the first one with `!override`")
                .path(path.to_string()),
        );
        base
    }

    /// Pools by subnet: one of a subnet that is there already is merged into it, another is added.
    fn pools(&mut self, base: Node, over: Node, path: &Path) -> Node {
        let (Value::Sequence(_), Value::Sequence(_)) = (&base.value, &over.value) else {
            return self.mappings(base, over, path, |_| &Kind::Any);
        };
        let Node { value, span, mark } = base;
        let mut pools = if let Value::Sequence(pools) = value {
            pools
        } else {
            Vec::new()
        };
        let more = if let Value::Sequence(more) = over.value {
            more
        } else {
            Vec::new()
        };
        for (index, pool) in more.into_iter().enumerate() {
            let subnet = pool.get("subnet").and_then(Node::as_text);
            let there = pools.iter().position(|one| {
                subnet.is_some() && one.get("subnet").and_then(Node::as_text) == subnet
            });
            match there {
                Some(there) => {
                    let before = pools.remove(there);
                    let merged = self.mappings(before, pool, &path.item(index), |_| &Kind::Any);
                    pools.insert(there, merged);
                }
                None => pools.push(pool),
            }
        }
        Node {
            value: Value::Sequence(pools),
            span,
            mark,
        }
    }
}

/// Whether the alternatives are a text and a list of the same (`env_file`).
fn path_is_text_list(kinds: &[Kind]) -> bool {
    kinds.iter().any(|kind| matches!(kind, Kind::Text))
        && kinds.iter().any(|kind| matches!(kind, Kind::List(..)))
}

/// The first line of a place, for values that go over many.
pub fn first_line(span: Span, sources: &Sources) -> Span {
    let text = sources.slice(span);
    let line = text.split(['\n', '\r']).next().unwrap_or("").trim_end();
    Span {
        end: span.start + line.len() as u32,
        ..span
    }
}

fn append(base: Node, over: Node) -> Node {
    let Node { value, span, mark } = base;
    match (value, over.value) {
        (Value::Sequence(mut into), Value::Sequence(from)) => {
            into.extend(from);
            Node {
                value: Value::Sequence(into),
                span,
                mark,
            }
        }
        (value, _) => Node { value, span, mark },
    }
}

/// A text as a list of it.
pub fn listed(node: Node) -> Node {
    match node.value {
        Value::Sequence(_) => node,
        _ => Node {
            span: node.span,
            mark: node.mark,
            value: Value::Sequence(vec![Node {
                mark: Mark::None,
                ..node
            }]),
        },
    }
}

/// A list of `KEY=value` as a mapping; a key without a sign has null.
pub fn pairs(node: Node, sources: &Sources) -> Node {
    let Value::Sequence(items) = node.value else {
        return node;
    };
    let mut mapping = Mapping::default();
    for item in items {
        let Some(text) = item.scalar_text() else {
            continue;
        };
        let written = crate::file::written::Written::of(&text, item.span, sources);
        let (key, key_span, value) = match text.split_once('=') {
            Some((key, value)) => {
                let place = if value.is_empty() {
                    item.span
                } else {
                    written.part(value)
                };
                (key, written.part(key), Node::text(value, place))
            }
            None => (text.as_str(), item.span, Node::new(Value::Null, item.span)),
        };
        mapping.insert(key.into(), key_span, value);
    }
    Node {
        value: Value::Mapping(mapping),
        span: node.span,
        mark: node.mark,
    }
}

/// A mapping of hosts as a list of `host=address`.
fn host_list(node: Node) -> Node {
    let Value::Mapping(mapping) = node.value else {
        return node;
    };
    let mut items = Vec::new();
    for entry in mapping.into_entries() {
        let addresses = match entry.node.value {
            Value::Sequence(all) => all,
            value => vec![Node::new(value, entry.node.span)],
        };
        for address in addresses {
            let text = format!(
                "{}={}",
                entry.key,
                address.scalar_text().unwrap_or_default()
            );
            items.push(Node::text(text, address.span));
        }
    }
    Node {
        value: Value::Sequence(items),
        span: node.span,
        mark: node.mark,
    }
}

/// A list of names as a mapping: to null, or to an object with its defaults.
pub fn named(node: Node, inner: &Kind) -> Node {
    let Value::Sequence(items) = node.value else {
        return node;
    };
    let mut mapping = Mapping::default();
    for item in items {
        let Some(name) = item.as_text() else { continue };
        let value = match inner {
            Kind::Object(shape) if shape.name == "dependency" => {
                let mut value = Node::mapping(item.span);
                if let Some(into) = value.as_mapping_mut() {
                    into.set("condition", Node::text("service_started", item.span));
                    into.set("required", Node::new(Value::Bool(true), item.span));
                }
                value
            }
            _ => Node::new(Value::Null, item.span),
        };
        mapping.insert(name.into(), item.span, value);
    }
    Node {
        value: Value::Mapping(mapping),
        span: node.span,
        mark: node.mark,
    }
}

/// A short form that is the value of one key as that mapping.
fn expanded(node: Node, form: ShortForm) -> Node {
    match (form, &node.value) {
        (ShortForm::Under(key), Value::Text(_)) => {
            let (span, mark) = (node.span, node.mark);
            let mut mapping = Mapping::default();
            mapping.insert(
                key.into(),
                span,
                Node {
                    mark: Mark::None,
                    ..node
                },
            );
            Node {
                value: Value::Mapping(mapping),
                span,
                mark,
            }
        }
        (ShortForm::Switch, Value::Bool(true)) => Node {
            value: Value::Mapping(Mapping::default()),
            ..node
        },
        _ => node,
    }
}
