//! From what the file says to the canonical form: every value is held against the grammar, texts become the numbers and
//! booleans that their keys want, and short forms become long ones. All mistakes are told; what is wrong is left out,
//! so that what comes after may rely on the grammar.
//!
//! Here is the choice by kind; how the kinds are read is in [`scalar`], [`list`], [`pairs`], [`object`] and [`long`].

mod list;
mod long;
mod object;
mod pairs;
mod scalar;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::grammar::{Kind, Unique};
use crate::file::merge::{first_line, listed, named};
use crate::file::shape::object::Names;
use crate::file::shape::pairs::Empty;
use crate::file::tree::{Mark, Node, Path, Value};
use crate::file::value;
use crate::source::Sources;

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
            // A tag or an anchor before it stays outside the quotes.
            let bare = written
                .split_whitespace()
                .find(|word| !word.starts_with(['!', '&']))
                .unwrap_or(written);
            let before = written.strip_suffix(bare).unwrap_or("");
            diagnostic = diagnostic.hint(format!("write it in quotes: {before}\"{bare}\""));
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
                (
                    Value::Text(_) | Value::Integer(_) | Value::Large(_) | Value::Float(_),
                    Some(text),
                ) => Some(Node::text(text, node.span)),
                _ => self.wrong(&node, "a string or a number", path),
            },
            Kind::Duration => self.duration(node, path),
            Kind::Bytes => self.bytes(node, path),
            Kind::FileMode => self.file_mode(node, path),
            Kind::ModeBits => self.mode_bits(node, path),
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
                Value::Mapping(_) => self.external(node, path),
                _ => self.boolean(node, path),
            },
            Kind::TextList(unique) => match node.value {
                Value::Text(_) => Some(listed(node)),
                Value::Sequence(_) => self.list(node, &Kind::Text, *unique, path),
                _ => self.wrong(&node, "a string or a list of strings", path),
            },
            Kind::Mapping(inner) => self.keys(node, inner, Names::Free, path),
            Kind::Named(inner) => self.keys(node, inner, Names::Plain, path),
            Kind::NamedList(inner) => match node.value {
                Value::Sequence(_) => {
                    let names = self.list(node, &Kind::Text, Unique::Once, path)?;
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
}

/// Whether a value is of a type that the kind begins with.
fn takes(kind: &Kind, value: &Value) -> bool {
    match (kind, value) {
        (Kind::Any, _) => true,
        (Kind::Null, Value::Null) => true,
        (Kind::Boolean, Value::Bool(_)) => true,
        (Kind::Boolean, Value::Text(text)) => value::boolean(text).is_some(),
        (Kind::Integer(..), Value::Integer(_) | Value::Large(_) | Value::Float(_)) => true,
        (Kind::Integer(..), Value::Text(text)) => text.parse::<i64>().is_ok(),
        (Kind::Number, Value::Integer(_) | Value::Large(_) | Value::Float(_)) => true,
        (
            Kind::Text | Kind::Choice(_) | Kind::Duration | Kind::FileMode | Kind::Bytes,
            Value::Text(_),
        ) => true,
        (Kind::FileMode | Kind::Bytes, Value::Integer(_) | Value::Large(_)) => true,
        (Kind::TextList(_), Value::Text(_) | Value::Sequence(_)) => true,
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
        Kind::TextList(_) => "a string or a list of strings".to_owned(),
        Kind::List(..) => "a list".to_owned(),
        Kind::Object(_) | Kind::Named(_) | Kind::Mapping(_) => "a mapping".to_owned(),
        _ => "a string".to_owned(),
    }
}
