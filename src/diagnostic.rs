//! What is told to the user about their file: a code, one sentence, the places it is about, how the text came there and
//! what to do. A [`Diagnostic`] only says; it is laid out as text, JSON or SARIF by the functions in
//! [`crate::diagnostic::render`]. Messages are lower case, without a final period, with the user's words in backticks.

pub mod machine;
pub mod render;
pub mod shown;

use crate::source::Span;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but hardly does what was meant.
    Warning,
}

impl Severity {
    /// The word that diagnostics start with.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A place and what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    pub span: Span,
    /// Shown beside the carets; may be empty.
    pub text: String,
}

/// A remark under the snippet, with a place where there is one: `included from stack.yaml:3:5`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub text: String,
    pub span: Option<Span>,
}

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// A stable name of the kind of mistake, such as `unknown-key`.
    pub code: &'static str,
    pub severity: Severity,
    pub message: String,
    /// The place that has to change; none for what concerns no text, such as a missing file.
    pub primary: Option<Label>,
    /// Places that disagree with the primary one.
    pub secondary: Vec<Label>,
    /// How the text came to matter here.
    pub notes: Vec<Note>,
    pub hint: Option<String>,
    /// The path of keys it is about (`services.web.ports[0]`), where one is known.
    pub path: Option<String>,
}

impl Diagnostic {
    /// An error without a place.
    pub fn error(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            primary: None,
            secondary: Vec::new(),
            notes: Vec::new(),
            hint: None,
            path: None,
        }
    }

    /// A warning without a place.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::error(code, message)
        }
    }

    /// Says where.
    pub fn at(self, span: Span) -> Diagnostic {
        self.label(span, "")
    }

    /// Says where, with a word beside the carets.
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.primary = Some(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// Adds another place that has to do with it.
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.secondary.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// Adds a remark without a place.
    pub fn note(mut self, text: impl Into<String>) -> Diagnostic {
        self.notes.push(Note {
            text: text.into(),
            span: None,
        });
        self
    }

    /// Adds a remark that ends with a place.
    pub fn note_at(mut self, text: impl Into<String>, span: Span) -> Diagnostic {
        self.notes.push(Note {
            text: text.into(),
            span: Some(span),
        });
        self
    }

    /// Adds a remark to what is there already.
    pub fn remark(&mut self, text: impl Into<String>, span: Option<Span>) {
        self.notes.push(Note {
            text: text.into(),
            span,
        });
    }

    /// Says what to do about it.
    pub fn hint(mut self, text: impl Into<String>) -> Diagnostic {
        self.hint = Some(text.into());
        self
    }

    /// Says which path of keys it is about.
    pub fn path(mut self, path: impl Into<String>) -> Diagnostic {
        self.path = Some(path.into());
        self
    }
}

impl Diagnostic {
    /// Whether the other tells the same of the same text, for another thing that shares it.
    fn is_again(&self, other: &Diagnostic) -> bool {
        let place = |one: &Diagnostic| one.primary.as_ref().map(|label| label.span);
        self.code == other.code
            && place(self) == place(other)
            && (self.message == other.message
                || place(self).is_some() && self.impersonal() == other.impersonal())
    }

    /// The message without the names that its path gives it.
    fn impersonal(&self) -> String {
        let Some(path) = &self.path else {
            return self.message.clone();
        };
        let message = self.message.replace(path.as_str(), "…");
        let mut steps = path.split(['.', '[']);
        match (steps.next(), steps.next()) {
            (Some(top), Some(name)) => message
                .replace(&format!("{top}.{name}"), "…")
                .replace(&format!("\"{name}\""), "…")
                .replace(&format!("`{name}`"), "…"),
            _ => message,
        }
    }
}

/// All that is to be told about one reading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    all: Vec<Diagnostic>,
    /// How many more there were than are kept.
    left_out_errors: usize,
    left_out_warnings: usize,
}

/// How many diagnostics are kept: nobody reads a thousand, and a hostile file would have a million.
const MOST: usize = 1_000;

impl Diagnostics {
    /// Takes one in.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.is_full() {
            match diagnostic.severity {
                Severity::Error => self.left_out_errors += 1,
                Severity::Warning => self.left_out_warnings += 1,
            }
        } else {
            self.all.push(diagnostic);
        }
    }

    /// Takes all of others in.
    pub fn append(&mut self, others: Diagnostics) {
        self.left_out_errors += others.left_out_errors;
        self.left_out_warnings += others.left_out_warnings;
        others.all.into_iter().for_each(|one| self.push(one));
    }

    /// Whether further ones are only counted, so that none need be worded with care.
    pub fn is_full(&self) -> bool {
        self.all.len() >= MOST
    }

    /// How many there were beyond those that are kept.
    pub fn left_out(&self) -> usize {
        self.left_out_errors + self.left_out_warnings
    }

    /// Whether there is an error among them.
    pub fn has_errors(&self) -> bool {
        self.left_out_errors > 0 || self.all.iter().any(|one| one.severity == Severity::Error)
    }

    /// How many there are of a severity, with those that are not kept.
    pub fn count(&self, severity: Severity) -> usize {
        let left_out = match severity {
            Severity::Error => self.left_out_errors,
            Severity::Warning => self.left_out_warnings,
        };
        let kept = self.all.iter().filter(|one| one.severity == severity);
        kept.count() + left_out
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.all.iter()
    }

    /// All of them, to be changed in place.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Diagnostic> {
        self.all.iter_mut()
    }

    /// Keeps those that a test is passed by.
    pub fn retain(&mut self, test: impl Fn(&Diagnostic) -> bool) {
        self.all.retain(test);
    }

    /// Brings them into the order of the files (first read first) and of the places in them; what has no place comes
    /// last. One mistake that was found several times, as in a text that is shared by an anchor, stays once, with a word
    /// about the others.
    pub fn sort(&mut self) {
        self.all.sort_by_key(|one| {
            let place = one
                .primary
                .as_ref()
                .map(|label| (label.span.source, label.span.start));
            (place.is_none(), place, one.severity, one.code)
        });
        let mut kept: Vec<(Diagnostic, Vec<String>)> = Vec::with_capacity(self.all.len());
        for one in std::mem::take(&mut self.all) {
            match kept.last_mut() {
                Some((first, others)) if first.is_again(&one) => {
                    others.extend(one.path.filter(|path| first.path.as_ref() != Some(path)));
                }
                _ => kept.push((one, Vec::new())),
            }
        }
        self.all = kept
            .into_iter()
            .map(|(one, mut others)| {
                others.dedup();
                match others.as_slice() {
                    [] => one,
                    [other] => one.note(format!("the same for {other}, which shares this text")),
                    [other, rest @ ..] => one.note(format!(
                        "the same for {other} and {} more that share this text",
                        rest.len()
                    )),
                }
            })
            .collect();
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(all: I) -> Diagnostics {
        let mut told = Diagnostics::default();
        all.into_iter().for_each(|one| told.push(one));
        told
    }
}
