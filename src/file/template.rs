//! `$NAME`, `${NAME:-default}` and their kin: variables in the values of a file. Parsing and filling in is one pass
//! over the text, so its cost is the length of the text, however the braces are nested.

use std::sync::Arc;

use crate::source::Span;

/// How deep `${A:-${B:-…}}` may be nested.
pub const DEEPEST: usize = 64;

/// Where values of variables come from.
pub trait Lookup {
    /// The value of a variable and, where it was set in a file, the place.
    fn variable(&self, name: &str) -> Option<(Arc<str>, Option<Span>)>;
}

/// A use of a variable in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    pub name: String,
    /// The bytes of the text from the `$` to the end of the use.
    pub start: usize,
    pub end: usize,
    /// Where the value was set, if in a file.
    pub from: Option<Span>,
    pub form: Form,
    /// Whether the variable is set.
    pub set: bool,
}

/// How a variable is used, with the text after the sign as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// `$NAME` or `${NAME}`.
    Plain,
    /// `${NAME:-text}` or `${NAME-text}`: the text where it is unset (or empty).
    Default(String),
    /// `${NAME:+text}` or `${NAME+text}`: the text where it is set (and not empty).
    Alternative(String),
    /// `${NAME:?text}` or `${NAME?text}`: an error with the text where it is unset (or empty).
    Required(String),
}

/// What went wrong in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mistake {
    /// `${` that is none of the known forms, at this byte.
    Format { at: usize },
    /// Variables in the defaults of variables, deeper than anybody would write, from this byte on.
    Deep { at: usize },
    /// A variable that must be set is not.
    Missing {
        at: usize,
        end: usize,
        name: String,
        message: String,
    },
}

/// A text with its variables filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filled {
    pub text: String,
    pub uses: Vec<Use>,
    /// All variables that stand in the text, in defaults that are not taken too, with their arguments as written.
    pub mentions: Vec<(String, Form)>,
    pub mistakes: Vec<Mistake>,
}

/// Fills in all variables of a text.
pub fn fill(text: &str, lookup: &dyn Lookup) -> Filled {
    let mut filler = Filler {
        text,
        lookup,
        at: 0,
        uses: Vec::new(),
        mentions: Vec::new(),
        mistakes: Vec::new(),
    };
    let out = filler.run(0, Wanted::Yes);
    Filled {
        text: out,
        uses: filler.uses,
        mentions: filler.mentions,
        mistakes: filler.mistakes,
    }
}

/// Whether a text has anything to fill in.
pub fn has_variables(text: &str) -> bool {
    text.contains('$')
}

/// Whether the part that is read goes into the result; uses and mistakes in a default that is not taken do not count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Yes,
    No,
}

struct Filler<'a> {
    text: &'a str,
    lookup: &'a dyn Lookup,
    at: usize,
    uses: Vec<Use>,
    mentions: Vec<(String, Form)>,
    mistakes: Vec<Mistake>,
}

impl Filler<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// Reads to the end of the text, or, inside braces, to the closing one, which it leaves unread.
    fn run(&mut self, depth: usize, wanted: Wanted) -> String {
        let mut out = String::new();
        let mut literal_braces = 0usize;
        loop {
            let until = self
                .rest()
                .find(|c| c == '$' || (depth > 0 && (c == '{' || c == '}')));
            let Some(until) = until else {
                out.push_str(self.rest());
                self.at = self.text.len();
                return out;
            };
            out.push_str(self.rest().get(..until).unwrap_or(""));
            self.at += until;
            match self.rest().as_bytes().first() {
                Some(b'{') => {
                    literal_braces += 1;
                    out.push('{');
                    self.at += 1;
                }
                Some(b'}') if literal_braces == 0 => return out,
                Some(b'}') => {
                    literal_braces -= 1;
                    out.push('}');
                    self.at += 1;
                }
                _ => self.dollar(&mut out, depth, wanted),
            }
        }
    }

    fn dollar(&mut self, out: &mut String, depth: usize, wanted: Wanted) {
        let start = self.at;
        self.at += 1;
        match self.rest().bytes().next() {
            Some(b'$') => {
                out.push('$');
                self.at += 1;
            }
            Some(b'{') => {
                self.at += 1;
                self.braced(out, start, depth, wanted);
            }
            Some(byte) if is_name_start(byte) => {
                let name = self.name();
                self.plain(out, start, &name, wanted);
            }
            _ => out.push('$'),
        }
    }

    fn name(&mut self) -> String {
        let length = self
            .rest()
            .bytes()
            .take_while(|b| is_name_start(*b) || b.is_ascii_digit())
            .count();
        let name = self.rest().get(..length).unwrap_or("").to_owned();
        self.at += length;
        name
    }

    fn plain(&mut self, out: &mut String, start: usize, name: &str, wanted: Wanted) {
        let value = self.lookup.variable(name);
        if let Some((value, _)) = &value {
            out.push_str(value);
        }
        let from = value.as_ref().and_then(|(_, from)| *from);
        self.used(name, start, from, Form::Plain, value.is_some(), wanted);
    }

    fn used(
        &mut self,
        name: &str,
        start: usize,
        from: Option<Span>,
        form: Form,
        set: bool,
        wanted: Wanted,
    ) {
        self.mentions.push((name.to_owned(), form.clone()));
        if wanted == Wanted::Yes {
            self.uses.push(Use {
                name: name.to_owned(),
                start,
                end: self.at,
                from,
                form,
                set,
            });
        }
    }

    fn braced(&mut self, out: &mut String, start: usize, depth: usize, wanted: Wanted) {
        let starts_well = self.rest().bytes().next().is_some_and(is_name_start);
        if !starts_well {
            return self.broken(start, wanted);
        }
        if depth >= DEEPEST {
            if wanted == Wanted::Yes {
                self.mistakes.push(Mistake::Deep { at: start });
            }
            self.at = self.text.len();
            return;
        }
        let name = self.name();
        if self.rest().starts_with('}') {
            self.at += 1;
            return self.plain(out, start, &name, wanted);
        }
        let strict = self.rest().starts_with(':');
        let operator = self.rest().as_bytes().get(usize::from(strict)).copied();
        let Some(operator @ (b'-' | b'+' | b'?')) = operator else {
            return self.broken(start, wanted);
        };
        self.at += usize::from(strict) + 1;
        let value = self.lookup.variable(&name);
        let present = value
            .as_ref()
            .is_some_and(|(value, _)| !(strict && value.is_empty()));
        let takes_argument = match operator {
            b'+' => present,
            _ => !present,
        };
        let inner = if takes_argument { wanted } else { Wanted::No };
        let from = self.at;
        let argument = self.run(depth + 1, inner);
        let written = self.text.get(from..self.at).unwrap_or("").to_owned();
        if !self.rest().starts_with('}') {
            return self.broken(start, wanted);
        }
        self.at += 1;
        let form = match operator {
            b'-' => Form::Default(written),
            b'+' => Form::Alternative(written),
            _ => Form::Required(written),
        };
        let from = value.as_ref().and_then(|(_, from)| *from);
        self.used(&name, start, from, form, value.is_some(), wanted);
        match (operator, present) {
            (b'?', false) => {
                if wanted == Wanted::Yes {
                    self.mistakes.push(Mistake::Missing {
                        at: start,
                        end: self.at,
                        name,
                        message: argument,
                    });
                }
            }
            (b'+', true) | (b'-', false) => out.push_str(&argument),
            (_, _) => {
                if let Some((value, _)) = value {
                    out.push_str(&value);
                }
            }
        }
    }

    fn broken(&mut self, start: usize, wanted: Wanted) {
        // The rest of the text is not read, so all levels of a nest end here: one mistake.
        let is_told = matches!(
            self.mistakes.last(),
            Some(Mistake::Format { .. } | Mistake::Deep { .. })
        );
        if wanted == Wanted::Yes && !is_told {
            self.mistakes.push(Mistake::Format { at: start });
        }
        self.at = self.text.len();
    }
}

fn is_name_start(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphabetic()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Lookup, Mistake, fill};
    use crate::source::Span;

    struct Set;

    impl Lookup for Set {
        fn variable(&self, name: &str) -> Option<(Arc<str>, Option<Span>)> {
            match name {
                "A" => Some(("a".into(), None)),
                "EMPTY" => Some(("".into(), None)),
                _ => None,
            }
        }
    }

    #[test]
    fn all_forms_mean_what_they_mean_in_compose() {
        for (text, wanted) in [
            ("x", "x"),
            ("$A", "a"),
            ("${A}b", "ab"),
            ("$A-$NOPE.", "a-."),
            ("$$A $$", "$A $"),
            ("$ $1 a$", "$ $1 a$"),
            ("${NOPE:-d}", "d"),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY-d}", ""),
            ("${NOPE-d}", "d"),
            ("${A:-d}", "a"),
            ("${A:+r}", "r"),
            ("${EMPTY:+r}", ""),
            ("${EMPTY+r}", "r"),
            ("${NOPE+r}", ""),
            ("${A:?m}", "a"),
            ("${EMPTY?m}", ""),
            ("${NOPE:-${EMPTY:-x${A}}}y", "xay"),
            ("${NOPE:-{\"k\": {}}}z", "{\"k\": {}}z"),
            ("${A:-${NOPE:?never told}}", "a"),
            ("http://$A:${NOPE:-80}/", "http://a:80/"),
        ] {
            let filled = fill(text, &Set);
            assert_eq!(
                (filled.text.as_str(), filled.mistakes.len()),
                (wanted, 0),
                "{text}"
            );
        }
    }

    #[test]
    fn mistakes_are_found() {
        for text in [
            "${",
            "${A",
            "${}",
            "${A!}",
            "${1}",
            "${A:}",
            "${A:-${B}",
            "a ${A b}",
        ] {
            assert!(
                matches!(
                    fill(text, &Set).mistakes.as_slice(),
                    [Mistake::Format { .. }]
                ),
                "{text}"
            );
        }
        let filled = fill("x${NOPE:?set $A}", &Set);
        let missing = Mistake::Missing {
            at: 1,
            end: 16,
            name: "NOPE".to_owned(),
            message: "set a".to_owned(),
        };
        assert_eq!(filled.mistakes, [missing]);
        let nested = "${B:-".repeat(100_000);
        assert!(matches!(
            fill(&nested, &Set).mistakes.as_slice(),
            [Mistake::Deep { .. }]
        ));
    }
}
