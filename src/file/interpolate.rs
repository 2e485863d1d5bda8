//! Variables in the values of a tree, never in its keys. Places stay those of the written text; what was filled in is
//! remembered by place, so that a later mistake can say where its text came from.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::merge::first_line;
use crate::file::template::{self, Form, Lookup, Mistake, Use};
use crate::file::tree::{Node, Path, Value};
use crate::file::written::Written;
use crate::source::{Sources, Span};

/// What was filled in, by the place of the scalar, and which variables were met.
#[derive(Debug, Default)]
pub struct Interpolations {
    pub filled: HashMap<Span, Filling>,
    /// Places of variables that are not set, in the order of meeting.
    unset: Vec<(String, Span)>,
    pub variables: BTreeMap<String, Variable>,
}

/// A text that had variables.
#[derive(Debug, Clone)]
pub struct Filling {
    pub written: Arc<str>,
    pub became: Arc<str>,
    pub uses: Vec<Use>,
}

/// A variable that the files use: for `stack config --variables`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variable {
    pub required: bool,
    pub default: String,
    pub alternative: String,
}

/// An environment without variables.
struct Nothing;

impl Lookup for Nothing {
    fn variable(&self, _: &str) -> Option<(Arc<str>, Option<Span>)> {
        None
    }
}

impl Interpolations {
    /// Fills in the variables of a whole tree.
    pub fn fill(
        &mut self,
        node: &mut Node,
        lookup: &dyn Lookup,
        path: &Path,
        sources: &Sources,
        told: &mut Diagnostics,
    ) {
        match &mut node.value {
            Value::Text(text) => {
                if template::has_variables(text) {
                    let became = self.scalar(text, node.span, lookup, path, sources, told);
                    *text = became;
                }
            }
            Value::Sequence(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.fill(item, lookup, &path.item(index), sources, told);
                }
            }
            Value::Mapping(mapping) => {
                for entry in mapping.iter_mut() {
                    let key = entry.key.clone();
                    self.fill(&mut entry.node, lookup, &path.key(&key), sources, told);
                }
            }
            Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::Large(_)
            | Value::Float(_) => {}
        }
    }

    fn scalar(
        &mut self,
        text: &Arc<str>,
        span: Span,
        lookup: &dyn Lookup,
        path: &Path,
        sources: &Sources,
        told: &mut Diagnostics,
    ) -> Arc<str> {
        let filled = template::fill(text, lookup);
        let written = Written::of(text, span, sources);
        let place = |start: usize, end: usize| match text.get(start..end) {
            Some(part) if !part.is_empty() => first_line(written.part(part), sources),
            _ => first_line(span, sources),
        };
        for mistake in &filled.mistakes {
            let diagnostic = match mistake {
                Mistake::Format { at } => {
                    Diagnostic::error("bad-variable", format!("invalid interpolation format for {path}"))
                        .label(place(*at, text.len()), "not a variable")
                        .hint("write ${NAME}, ${NAME:-default}, ${NAME:?message} or ${NAME:+text}; you may need to escape any $ with another $")
                }
                Mistake::Deep { at } => {
                    let message = format!("variables in {path} are nested more than {} deep", template::DEEPEST);
                    Diagnostic::error("bad-variable", message).label(place(*at, text.len()), "too deep")
                }
                Mistake::Missing { at, end, name, message } => {
                    let reason = if message.is_empty() { String::new() } else { format!(": {message}") };
                    Diagnostic::error(
                        "missing-variable",
                        format!("error while interpolating {path}: required variable {name} is missing a value{reason}"),
                    )
                    .at(place(*at, *end))
                    .hint(format!("set {name} in the environment, in .env or in a file given with --env-file"))
                }
            };
            told.push(diagnostic.path(path.to_string()));
        }
        self.note(&filled.mentions);
        for one in &filled.uses {
            if !one.set && one.form == Form::Plain {
                self.unset
                    .push((one.name.clone(), place(one.start, one.end)));
            }
        }
        let became: Arc<str> = filled.text.into();
        if !filled.uses.is_empty() {
            let filling = Filling {
                written: text.clone(),
                became: became.clone(),
                uses: filled.uses,
            };
            self.filled.insert(span, filling);
        }
        became
    }

    /// Notes which variables a tree names, and leaves them as they are written.
    pub fn mention(&mut self, node: &Node) {
        match &node.value {
            Value::Text(text) => {
                if template::has_variables(text) {
                    self.note(&template::fill(text, &Nothing).mentions);
                }
            }
            Value::Sequence(items) => items.iter().for_each(|item| self.mention(item)),
            Value::Mapping(mapping) => {
                for entry in mapping.iter() {
                    self.mention(&entry.node);
                }
            }
            Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::Large(_)
            | Value::Float(_) => {}
        }
    }

    fn note(&mut self, mentions: &[(String, Form)]) {
        for (name, form) in mentions {
            let variable = self.variables.entry(name.clone()).or_default();
            match form {
                Form::Plain => {}
                Form::Default(text) => variable.default = text.clone(),
                Form::Alternative(text) => variable.alternative = text.clone(),
                Form::Required(_) => variable.required = true,
            }
        }
    }

    /// One warning for each variable that is not set, with the first few places.
    pub fn tell_unset(&mut self, told: &mut Diagnostics) {
        let mut by_name: Vec<(String, Vec<Span>)> = Vec::new();
        let mut index: HashMap<String, usize> = HashMap::new();
        for (name, span) in self.unset.drain(..) {
            let at = *index.entry(name.clone()).or_insert_with(|| {
                by_name.push((name.clone(), Vec::new()));
                by_name.len() - 1
            });
            if let Some((_, places)) = by_name.get_mut(at)
                && !places.contains(&span)
                && places.len() < 4
            {
                places.push(span);
            }
        }
        for (name, places) in by_name {
            let mut diagnostic = Diagnostic::warning(
                "unset-variable",
                format!("the \"{name}\" variable is not set. Defaulting to a blank string"),
            )
            .hint(format!("set {name}, or give a default: ${{{name}:-…}}"));
            for (index, span) in places.into_iter().enumerate() {
                diagnostic = if index == 0 {
                    diagnostic.at(span)
                } else {
                    diagnostic.also(span, "and here")
                };
            }
            told.push(diagnostic);
        }
    }
}
