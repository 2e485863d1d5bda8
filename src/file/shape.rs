//! From what the file says to the canonical form: every value is held against the grammar, texts become the numbers and
//! booleans that their keys want, and short forms become long ones. All mistakes are told; what is wrong is left out,
//! so that what comes after may rely on the grammar.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::grammar::{Extensions, Key, Kind, Owner, Presence, Shape, ShortForm, Unique};
use crate::file::merge::{first_line, listed, named, pairs};
use crate::file::short::{self, Written};
use crate::file::tree::{Entry, Mapping, Mark, Node, Path, Value};
use crate::file::value::{self, Spelling};
use crate::source::{Sources, Span};

/// Whether variables have been filled in; where they have not, a text with a `$` passes for anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variables {
    FilledIn,
    AsWritten,
}

/// The canonical form of a node, or none where it is wrong as a whole.
pub fn canonical(
    node: Node,
    kind: &Kind,
    path: &Path,
    variables: Variables,
    sources: &Sources,
    told: &mut Diagnostics,
) -> Option<Node> {
    Shaper {
        variables,
        sources,
        told,
        ports: 0,
    }
    .fit(node, kind, path)
}

struct Shaper<'a> {
    variables: Variables,
    sources: &'a Sources,
    told: &'a mut Diagnostics,
    /// How many ports short forms have become so far.
    ports: usize,
}

/// How many ports the short forms of a document may become: a range makes one for each of its numbers.
const MOST_PORTS: usize = 100_000;

impl Shaper<'_> {
    fn tell(&mut self, diagnostic: Diagnostic, path: &Path) {
        self.told.push(diagnostic.path(path.to_string()));
    }

    /// Tells that a value is of the wrong type.
    fn wrong(&mut self, node: &Node, wanted: &str, path: &Path) -> Option<Node> {
        let mut diagnostic = Diagnostic::error("wrong-type", format!("{path} must be {wanted}"))
            .label(
                first_line(node.span, self.sources),
                format!("this is {}", node.kind()),
            );
        let written = self.sources.slice(node.span);
        if wanted == "a string" && node.scalar_text().is_some() && !written.is_empty() {
            diagnostic = diagnostic.hint(format!("write it in quotes: \"{written}\""));
        } else if node.is_null() {
            diagnostic = diagnostic.hint("give the key a value, or remove it");
        }
        self.tell(diagnostic, path);
        None
    }

    /// Tells that a text does not say what its key wants.
    fn unreadable(
        &mut self,
        node: &Node,
        code: &'static str,
        message: String,
        hint: &str,
        path: &Path,
    ) -> Option<Node> {
        self.tell(
            Diagnostic::error(code, format!("{path}: {message}"))
                .at(node.span)
                .hint(hint),
            path,
        );
        None
    }

    fn is_open(&self, text: &str) -> bool {
        self.variables == Variables::AsWritten && text.contains('$')
    }

    fn fit(&mut self, node: Node, kind: &Kind, path: &Path) -> Option<Node> {
        let mark = node.mark;
        if mark == Mark::Reset {
            return Some(node);
        }
        let fitted = self.fit_value(node, kind, path)?;
        Some(Node { mark, ..fitted })
    }

    fn fit_value(&mut self, node: Node, kind: &Kind, path: &Path) -> Option<Node> {
        if let Value::Text(text) = &node.value
            && self.is_open(text)
            && !matches!(
                kind,
                Kind::Object(_) | Kind::Named(_) | Kind::Mapping(_) | Kind::NamedList(_)
            )
        {
            return Some(node);
        }
        match kind {
            Kind::Any => Some(node),
            Kind::Null if node.is_null() => Some(node),
            Kind::Null => self.wrong(&node, "null", path),
            Kind::Text if node.as_text().is_some() => Some(node),
            Kind::Text => self.wrong(&node, "a string", path),
            Kind::Choice(choices) => self.choice(node, choices, path),
            Kind::Boolean => self.boolean(node, path),
            Kind::Integer(least, most) => self.integer(node, *least, *most, path),
            Kind::Number => self.number(node, path),
            Kind::TextOrNumber => match (&node.value, node.scalar_text()) {
                (Value::Text(_) | Value::Integer(_) | Value::Float(_), Some(text)) => {
                    Some(Node::text(text, node.span))
                }
                _ => self.wrong(&node, "a string or a number", path),
            },
            Kind::Duration => self.duration(node, path),
            Kind::Bytes => self.bytes(node, path),
            Kind::FileMode => self.file_mode(node, path),
            Kind::Command => self.command(node, path),
            Kind::HealthTest => self.health_test(node, path),
            Kind::Environment => self.pairs(node, Empty::Null, path),
            Kind::Labels => self.pairs(node, Empty::Text, path),
            Kind::Contexts => self.pairs(node, Empty::Refused, path),
            Kind::Options => self.options(node, path),
            Kind::MultiOptions => self.multi_options(node, path),
            Kind::Hosts => self.hosts(node, path),
            Kind::Ssh => self.ssh(node, path),
            Kind::Ulimit => self.ulimit(node, path),
            Kind::External => match node.value {
                Value::Mapping(_) => Some(node),
                _ => self.boolean(node, path),
            },
            Kind::TextList => match node.value {
                Value::Text(_) => Some(listed(node)),
                Value::Sequence(_) => self.list(node, &Kind::Text, Unique::No, path),
                _ => self.wrong(&node, "a string or a list of strings", path),
            },
            Kind::Mapping(inner) => self.keys(node, inner, Names::Free, path),
            Kind::Named(inner) => self.keys(node, inner, Names::Plain, path),
            Kind::NamedList(inner) => match node.value {
                Value::Sequence(_) => {
                    let names = self.list(node, &Kind::Text, Unique::Text, path)?;
                    self.keys(named(names, inner), inner, Names::Plain, path)
                }
                Value::Mapping(_) => self.keys(node, inner, Names::Plain, path),
                _ => self.wrong(&node, "a list of names or a mapping", path),
            },
            Kind::List(inner, unique) => self.list(node, inner, *unique, path),
            Kind::Object(shape) => self.object(node, shape, path),
            Kind::Short(form, shape) => self
                .short(node, *form, shape, path)
                .and_then(|mut all| all.pop()),
            Kind::OneOf(kinds) => match kinds.iter().find(|kind| takes(kind, &node.value)) {
                Some(kind) => self.fit(node, kind, path),
                None => {
                    let words: Vec<String> = kinds
                        .iter()
                        .filter(|kind| !matches!(kind, Kind::Null))
                        .map(words_for)
                        .collect();
                    self.wrong(&node, &words.join(" or "), path)
                }
            },
        }
    }

    fn choice(&mut self, node: Node, choices: &[&'static str], path: &Path) -> Option<Node> {
        let Some(text) = node.as_text() else {
            return self.wrong(&node, "a string", path);
        };
        if choices.contains(&text) {
            return Some(node);
        }
        let all = choices
            .iter()
            .map(|choice| format!("`{choice}`"))
            .collect::<Vec<_>>()
            .join(", ");
        let message = format!("`{text}` is not one of the values it can have");
        let hint = match value::nearest(text, choices.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? it can be {all}"),
            None => format!("it can be {all}"),
        };
        self.unreadable(&node, "unknown-value", message, &hint, path)
    }

    fn boolean(&mut self, node: Node, path: &Path) -> Option<Node> {
        let text = match &node.value {
            Value::Bool(_) => return Some(node),
            Value::Text(text) => text.clone(),
            _ => return self.wrong(&node, "a boolean", path),
        };
        let Some((yes, spelling)) = value::boolean(&text) else {
            return self.unreadable(
                &node,
                "wrong-type",
                format!("invalid boolean: `{text}`"),
                "write `true` or `false`",
                path,
            );
        };
        if spelling == Spelling::Old {
            self.tell(
                Diagnostic::warning(
                    "old-boolean",
                    format!(
                        "\"{text}\" for boolean is not supported by YAML 1.2, please use `{yes}`"
                    ),
                )
                .at(node.span),
                path,
            );
        }
        Some(Node::new(Value::Bool(yes), node.span))
    }

    fn integer(&mut self, node: Node, least: i64, most: i64, path: &Path) -> Option<Node> {
        let number = match &node.value {
            Value::Integer(number) => Some(*number),
            Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
                Some(*number as i64)
            }
            Value::Text(text) => match text.parse() {
                Ok(number) => Some(number),
                Err(_) => {
                    let message = format!("`{text}` is not a whole number");
                    return self.unreadable(
                        &node,
                        "wrong-type",
                        message,
                        "write a whole number",
                        path,
                    );
                }
            },
            _ => None,
        };
        let Some(number) = number else {
            return self.wrong(&node, "an integer", path);
        };
        if number < least || number > most {
            let message = if number < least {
                format!("must be greater than or equal to {least}")
            } else {
                format!("must be less than or equal to {most}")
            };
            return self.unreadable(
                &node,
                "out-of-range",
                message,
                "give a number within the bounds",
                path,
            );
        }
        Some(Node::new(Value::Integer(number), node.span))
    }

    fn number(&mut self, node: Node, path: &Path) -> Option<Node> {
        match &node.value {
            Value::Integer(_) => Some(node),
            Value::Float(number) if number.is_finite() => Some(node),
            Value::Text(text) => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => {
                    Some(Node::new(Value::Float(number), node.span))
                }
                _ => {
                    let message = format!("`{text}` is not a number");
                    self.unreadable(
                        &node,
                        "wrong-type",
                        message,
                        "write a number such as 0.5",
                        path,
                    )
                }
            },
            _ => self.wrong(&node, "a number", path),
        }
    }

    fn duration(&mut self, node: Node, path: &Path) -> Option<Node> {
        let Some(text) = node.as_text() else {
            return self.wrong(&node, "a string such as 1m30s", path);
        };
        match value::duration(text) {
            Some(length) => Some(Node::text(value::duration_text(length), node.span)),
            None => {
                let message = format!("invalid duration: `{text}`");
                let hint = "write a number with a unit for each part (us, ms, s, m, h, d, w), such as 1m30s";
                self.unreadable(&node, "bad-duration", message, hint, path)
            }
        }
    }

    fn bytes(&mut self, node: Node, path: &Path) -> Option<Node> {
        match &node.value {
            Value::Integer(number) => Some(Node::text(number.to_string(), node.span)),
            Value::Text(text) => match value::bytes(text) {
                Ok(bytes) => Some(Node::text(bytes.to_string(), node.span)),
                Err(message) => {
                    let hint = "write a number with a unit: b, k, m, g, t or p (powers of 1024), such as 64m";
                    self.unreadable(&node, "bad-size", message, hint, path)
                }
            },
            _ => self.wrong(&node, "a number or a string such as 64m", path),
        }
    }

    fn file_mode(&mut self, node: Node, path: &Path) -> Option<Node> {
        let bits = match &node.value {
            Value::Integer(bits) => u32::try_from(*bits).ok(),
            Value::Text(text) => u32::from_str_radix(text, 8).ok(),
            _ => return self.wrong(&node, "a number or a string of octal digits", path),
        };
        match bits.filter(|bits| *bits <= 0o7777) {
            Some(bits) => Some(Node::text(format!("0{bits:o}"), node.span)),
            None => {
                let message = format!(
                    "`{}` is not a file mode",
                    node.scalar_text().unwrap_or_default()
                );
                self.unreadable(
                    &node,
                    "bad-mode",
                    message,
                    "write octal digits in quotes, such as \"0440\"",
                    path,
                )
            }
        }
    }

    fn command(&mut self, node: Node, path: &Path) -> Option<Node> {
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

    fn health_test(&mut self, node: Node, path: &Path) -> Option<Node> {
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

    fn pairs(&mut self, node: Node, empty: Empty, path: &Path) -> Option<Node> {
        if let Value::Sequence(items) = &node.value {
            for (index, item) in items.iter().enumerate() {
                let Some(text) = item.as_text() else {
                    self.wrong(item, "a string", &path.item(index));
                    continue;
                };
                let (key, value) = text
                    .split_once('=')
                    .map_or((text, None), |(key, value)| (key, Some(value)));
                if key.ends_with(char::is_whitespace) {
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

    fn options(&mut self, node: Node, path: &Path) -> Option<Node> {
        let Value::Mapping(_) = node.value else {
            return self.wrong(&node, "a mapping", path);
        };
        self.pairs(node, Empty::Text, path)
    }

    fn multi_options(&mut self, node: Node, path: &Path) -> Option<Node> {
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

    fn hosts(&mut self, node: Node, path: &Path) -> Option<Node> {
        let span = node.span;
        let mut all: Vec<(String, String, Span)> = Vec::new();
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
            Value::Sequence(items) => {
                for (index, item) in items.into_iter().enumerate() {
                    let here = path.item(index);
                    let Some(text) = item.as_text() else {
                        self.wrong(&item, "a string", &here);
                        continue;
                    };
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
        let mut items = Vec::new();
        for (host, address, span) in all {
            if host.is_empty() || host.contains([':', '=']) {
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

    fn ssh(&mut self, node: Node, path: &Path) -> Option<Node> {
        let (span, mut items) = (node.span, Vec::new());
        match node.value {
            Value::Mapping(mapping) => {
                for entry in mapping.into_entries() {
                    let text = match entry.node.scalar_text() {
                        Some(value) => format!("{}={value}", entry.key),
                        None => entry.key.to_string(),
                    };
                    items.push(Node::text(text, entry.key_span));
                }
            }
            Value::Sequence(all) => {
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

    fn ulimit(&mut self, node: Node, path: &Path) -> Option<Node> {
        if !matches!(node.value, Value::Mapping(_)) {
            return self.integer(node, -1, i64::MAX, path);
        }
        static SHAPE: Shape = Shape {
            name: "ulimit",
            title: "Process limit",
            extensions: Extensions::Allowed,
            keys: &[
                crate::file::grammar::key(
                    "soft",
                    Kind::Integer(-1, i64::MAX),
                    "Soft",
                    "The limit in force.",
                )
                .required(),
                crate::file::grammar::key(
                    "hard",
                    Kind::Integer(-1, i64::MAX),
                    "Hard",
                    "How far it may be raised.",
                )
                .required(),
            ],
        };
        self.object(node, &SHAPE, path)
    }

    fn keys(&mut self, node: Node, inner: &Kind, names: Names, path: &Path) -> Option<Node> {
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
            if names == Names::Plain && !value::is_name(&key) {
                self.tell(
                    Diagnostic::error("bad-name", format!("`{key}` cannot be a name in {path}"))
                        .label(
                            key_span,
                            format!("additional properties '{key}' not allowed"),
                        )
                        .hint("only letters, digits, `.`, `_` and `-` are allowed"),
                    path,
                );
                continue;
            }
            let fitted = self.fit(node, inner, &path.key(&key));
            if let Some(fitted) = fitted {
                out.insert(key, key_span, fitted);
            }
        }
        Some(Node {
            value: Value::Mapping(out),
            span: node.span,
            mark: Mark::None,
        })
    }

    fn list(&mut self, node: Node, inner: &Kind, unique: Unique, path: &Path) -> Option<Node> {
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
        Some(Node::new(Value::Sequence(uniquely(out, unique)), node.span))
    }

    /// The long forms of one entry; only a port range makes several.
    fn short(
        &mut self,
        node: Node,
        form: ShortForm,
        shape: &'static Shape,
        path: &Path,
    ) -> Option<Vec<Node>> {
        let text: Arc<str> = match (&node.value, form) {
            (Value::Mapping(_), _) => return self.object(node, shape, path).map(|node| vec![node]),
            (Value::Bool(_), ShortForm::Switch) => return Some(vec![node]),
            (Value::Text(text), ShortForm::Switch) if value::boolean(text).is_some() => {
                let yes = self.boolean(node, path)?;
                return self.short(yes, form, shape, path);
            }
            (
                Value::Text(text),
                ShortForm::Under(_) | ShortForm::Port | ShortForm::Mount | ShortForm::Device,
            ) => text.clone(),
            (Value::Sequence(_), ShortForm::Under("path")) => {
                // `include: [[one, two]]` is not in the specification; `path: [one, two]` is.
                self.wrong(&node, "a string or a mapping", path);
                return None;
            }
            (Value::Integer(number), ShortForm::Port) => Arc::from(number.to_string()),
            (_, ShortForm::Port) => {
                self.wrong(&node, "a port: a number, a string or a mapping", path);
                return None;
            }
            (_, ShortForm::Switch) => {
                self.wrong(&node, "a boolean or a mapping", path);
                return None;
            }
            (_, ShortForm::Under(_) | ShortForm::Mount | ShortForm::Device) => {
                self.wrong(&node, "a string or a mapping", path);
                return None;
            }
        };
        if self.is_open(&text) && form == ShortForm::Port {
            return Some(vec![node]);
        }
        let written = Written::of(&text, node.span, self.sources);
        let made = match form {
            ShortForm::Under(key) => {
                let mut mapping = Mapping::default();
                mapping.insert(key.into(), node.span, node.clone());
                let long = Node::new(Value::Mapping(mapping), node.span);
                return self.object(long, shape, path).map(|node| vec![node]);
            }
            ShortForm::Port if self.ports > MOST_PORTS => {
                let diagnostic = Diagnostic::error(
                    "too-many-ports",
                    format!("more than {MOST_PORTS} ports are published"),
                );
                self.tell(diagnostic.at(node.span).hint("use smaller ranges"), path);
                return None;
            }
            ShortForm::Port => short::ports(&written),
            ShortForm::Mount => short::mount(&written).map(|node| vec![node]),
            ShortForm::Device => short::device(&written).map(|node| vec![node]),
            ShortForm::Switch => return None,
        };
        match made {
            Ok(all) => {
                if form == ShortForm::Port {
                    self.ports += all.len();
                }
                Some(all)
            }
            Err(wrong) => {
                self.tell(*wrong, path);
                None
            }
        }
    }

    fn object(&mut self, node: Node, shape: &'static Shape, path: &Path) -> Option<Node> {
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
            let Some(known) = shape.find(&key) else {
                if key.starts_with("x-") && shape.extensions == Extensions::Allowed {
                    out.insert(key, key_span, node);
                } else {
                    self.unknown(&key, key_span, shape, path);
                }
                continue;
            };
            if let Some(first) = out.entry(known.name) {
                let diagnostic = Diagnostic::error(
                    "duplicate-key",
                    format!("`{}` and `x-{}` are the same key", known.name, known.name),
                )
                .label(key_span, "written again here")
                .also(first.key_span, "first written here")
                .hint("keep one of the two");
                self.tell(diagnostic, path);
                continue;
            }
            let here = path.key(known.name);
            if let Some(fitted) = self.fit(node, &known.kind, &here) {
                out.insert(known.name.into(), key_span, fitted);
            }
        }
        for key in shape.keys {
            if key.presence == Presence::Required && !out.contains(key.name) {
                self.tell(
                    Diagnostic::error(
                        "missing-key",
                        format!("{path}: missing property '{}'", key.name),
                    )
                    .at(first_line(node.span, self.sources))
                    .hint(format!("{}: {}", key.name, lower(key.description))),
                    path,
                );
                return None;
            }
        }
        external(&mut out, self.told, path);
        Some(Node {
            value: Value::Mapping(out),
            span: node.span,
            mark: Mark::None,
        })
    }

    fn unknown(&mut self, key: &str, span: Span, shape: &'static Shape, path: &Path) {
        let place = if path.is_root() {
            "the top level".to_owned()
        } else {
            path.to_string()
        };
        let mut diagnostic =
            Diagnostic::error("unknown-key", format!("unknown key `{key}` in {place}"))
                .label(span, format!("additional properties '{key}' not allowed"));
        let names = shape.keys.iter().map(|known| known.name);
        if self.told.is_full() {
            // One among thousands is only counted.
        } else if let Some(near) = value::nearest(key, names) {
            diagnostic = diagnostic.hint(format!("did you mean `{near}`?"));
        } else if let Some(below) = found_below(shape, key, 3) {
            diagnostic = diagnostic.hint(format!("`{key}` belongs under `{below}`"));
        } else if shape.extensions == Extensions::Allowed {
            diagnostic = diagnostic.hint(format!("a key of your own starts with `x-`: `x-{key}`"));
        }
        self.tell(diagnostic, path);
    }
}

/// What a pair without a value becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Empty {
    Null,
    Text,
    Refused,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Plain,
    Free,
}

fn lower(sentence: &str) -> String {
    let sentence = sentence.trim_end_matches('.');
    let mut chars = sentence.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// `external: {name: x}`, the old form, as `external: true` and `name: x`.
fn external(mapping: &mut Mapping, told: &mut Diagnostics, path: &Path) {
    let Some(node) = mapping.get("external") else {
        return;
    };
    let Value::Mapping(old) = &node.value else {
        return;
    };
    let span = node.span;
    let name = old.get("name").cloned();
    mapping.set("external", Node::new(Value::Bool(true), span));
    let Some(name) = name else { return };
    told.push(
        Diagnostic::warning(
            "external-name",
            format!("{path}: external.name is deprecated. Please set name and external: true"),
        )
        .at(span),
    );
    match mapping.get("name") {
        Some(there) if !there.same(&name) => told.push(
            Diagnostic::error(
                "external-name",
                format!("{path}: name and external.name conflict; only use name"),
            )
            .at(name.span)
            .also(there.span, "another name"),
        ),
        Some(_) => {}
        None => mapping.set("name", name),
    }
}

/// The path, through objects and lists of objects, to a key that was written too high up.
fn found_below(shape: &'static Shape, name: &str, depth: usize) -> Option<String> {
    if depth == 0 {
        return None;
    }
    shape.keys.iter().find_map(|key| {
        let (inner, suffix) = below(key)?;
        if inner
            .find(name)
            .is_some_and(|found| found.owner == Owner::Compose || key.owner == Owner::Stack)
        {
            return Some(format!("{}{suffix}", key.name));
        }
        found_below(inner, name, depth - 1).map(|rest| format!("{}{suffix}.{rest}", key.name))
    })
}

fn below(key: &Key) -> Option<(&'static Shape, &'static str)> {
    match key.kind {
        Kind::Object(shape) | Kind::Short(_, shape) => Some((shape, "")),
        Kind::List(Kind::Object(shape) | Kind::Short(_, shape), _) => Some((shape, "[]")),
        _ => None,
    }
}

/// Whether a value is of a type that the kind begins with.
fn takes(kind: &Kind, value: &Value) -> bool {
    match (kind, value) {
        (Kind::Any, _) => true,
        (Kind::Null, Value::Null) => true,
        (Kind::Boolean, Value::Bool(_)) => true,
        (Kind::Boolean, Value::Text(text)) => value::boolean(text).is_some(),
        (Kind::Integer(..), Value::Integer(_) | Value::Float(_)) => true,
        (Kind::Integer(..), Value::Text(text)) => text.parse::<i64>().is_ok(),
        (Kind::Number, Value::Integer(_) | Value::Float(_)) => true,
        (
            Kind::Text | Kind::Choice(_) | Kind::Duration | Kind::FileMode | Kind::Bytes,
            Value::Text(_),
        ) => true,
        (Kind::FileMode | Kind::Bytes, Value::Integer(_)) => true,
        (Kind::TextList, Value::Text(_) | Value::Sequence(_)) => true,
        (Kind::List(..), Value::Sequence(_)) => true,
        (Kind::Object(_) | Kind::Named(_) | Kind::Mapping(_), Value::Mapping(_)) => true,
        _ => false,
    }
}

fn words_for(kind: &Kind) -> String {
    match kind {
        Kind::Boolean => "a boolean".to_owned(),
        Kind::Integer(..) => "an integer".to_owned(),
        Kind::Number => "a number".to_owned(),
        Kind::Choice(choices) => format!("one of {}", choices.join(", ")),
        Kind::TextList => "a string or a list of strings".to_owned(),
        Kind::List(..) => "a list".to_owned(),
        Kind::Object(_) | Kind::Named(_) | Kind::Mapping(_) => "a mapping".to_owned(),
        _ => "a string".to_owned(),
    }
}

/// Drops earlier entries that a later one is about too; the later one takes the earlier one's place.
fn uniquely(items: Vec<Node>, unique: Unique) -> Vec<Node> {
    if unique == Unique::No || unique == Unique::Subnet {
        return items;
    }
    let mut places = std::collections::HashMap::new();
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
        Unique::No | Unique::Subnet => None,
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
