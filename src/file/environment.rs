//! Variables: what the process, `--env-file`, `.env` and an include give, and the grammar of env files. Every value
//! that was set in a file knows where. Pure: texts come in from outside.

use std::collections::HashMap;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::template::{self, Lookup, Mistake};
use crate::source::{SourceId, Sources, Span};

/// Variables by name. Cheap to clone for the sake of includes.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    values: HashMap<Arc<str>, Variable>,
}

/// A value and where it was set, if in a file.
#[derive(Debug, Clone)]
pub struct Variable {
    pub value: Arc<str>,
    pub from: Option<Span>,
}

impl Environment {
    /// Sets a variable, whatever it was.
    pub fn set(&mut self, name: &str, value: &str) {
        self.values.insert(
            name.into(),
            Variable {
                value: value.into(),
                from: None,
            },
        );
    }

    /// Takes variables in that are not set yet.
    pub fn add_below(&mut self, below: Assignments) {
        for (name, variable) in below.values {
            self.values.entry(name).or_insert(variable);
        }
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|variable| &*variable.value)
    }

    /// The value of a variable, where it is set and not empty.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// All variables, sorted by name.
    pub fn sorted(&self) -> Vec<(&str, &str)> {
        let mut all: Vec<_> = self
            .values
            .iter()
            .map(|(name, variable)| (&**name, &*variable.value))
            .collect();
        all.sort_unstable();
        all
    }
}

impl Lookup for Environment {
    fn variable(&self, name: &str) -> Option<(Arc<str>, Option<Span>)> {
        self.values
            .get(name)
            .map(|variable| (variable.value.clone(), variable.from))
    }
}

/// What env files set, in the order of first mention; a later one wins.
#[derive(Debug, Clone, Default)]
pub struct Assignments {
    order: Vec<Arc<str>>,
    values: HashMap<Arc<str>, Variable>,
}

impl Assignments {
    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: &str, from: Option<Span>) {
        let name: Arc<str> = name.into();
        if self
            .values
            .insert(
                name.clone(),
                Variable {
                    value: value.into(),
                    from,
                },
            )
            .is_none()
        {
            self.order.push(name);
        }
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&Variable> {
        self.values.get(name)
    }

    /// All in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Variable)> {
        self.order
            .iter()
            .filter_map(|name| Some((name, self.values.get(name)?)))
    }
}

/// Looks in one place first, then in another.
pub struct Layered<'a> {
    pub first: &'a dyn Lookup,
    pub then: &'a dyn Lookup,
}

impl Lookup for Layered<'_> {
    fn variable(&self, name: &str) -> Option<(Arc<str>, Option<Span>)> {
        self.first
            .variable(name)
            .or_else(|| self.then.variable(name))
    }
}

impl Lookup for Assignments {
    fn variable(&self, name: &str) -> Option<(Arc<str>, Option<Span>)> {
        self.values
            .get(name)
            .map(|variable| (variable.value.clone(), variable.from))
    }
}

/// Reads an env file by Compose's grammar (`KEY=value`, `KEY: value`, `export KEY=value`, quotes, interpolation) into
/// `into`. `lookup` beats what the file has set so far.
pub fn parse(
    sources: &Sources,
    source: SourceId,
    lookup: &dyn Lookup,
    into: &mut Assignments,
    diagnostics: &mut Diagnostics,
) {
    let Some(file) = sources.file(source) else {
        return;
    };
    let text = file.text().clone();
    let mut reader = Reader {
        source,
        text: &text,
        at: 0,
        lookup,
        into,
        diagnostics,
    };
    if text.starts_with('\u{feff}') {
        reader.at = '\u{feff}'.len_utf8();
    }
    while reader.statement() == Next::More {}
}

/// Reads an env file of `format: raw`: every line `KEY=value` as it stands, a bare `KEY` is taken from the environment.
pub fn parse_raw(
    sources: &Sources,
    source: SourceId,
    lookup: &dyn Lookup,
    into: &mut Assignments,
    diagnostics: &mut Diagnostics,
) {
    let Some(file) = sources.file(source) else {
        return;
    };
    let mut start = 0u32;
    for line in file.text().split('\n') {
        let here = Span {
            source,
            start,
            end: start + line.len() as u32,
        };
        start = here.end + 1;
        let line = line
            .trim_end_matches('\r')
            .trim_start_matches('\u{feff}')
            .trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (line, None),
        };
        if key.is_empty() || key.contains(char::is_whitespace) {
            diagnostics.push(
                Diagnostic::error(
                    "env-file",
                    format!("variable `{key}` contains whitespaces or is empty"),
                )
                .at(here),
            );
            continue;
        }
        match value {
            Some(value) => into.set(key, value, Some(here)),
            None => {
                if let Some((value, from)) = lookup.variable(key) {
                    into.set(key, &value, from);
                }
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Next {
    More,
    End,
}

struct Reader<'a> {
    source: SourceId,
    text: &'a str,
    at: usize,
    lookup: &'a dyn Lookup,
    into: &'a mut Assignments,
    diagnostics: &'a mut Diagnostics,
}

fn is_blank(c: char) -> bool {
    matches!(
        c,
        '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}'
    )
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span {
            source: self.source,
            start: start as u32,
            end: end.max(start) as u32,
        }
    }

    fn skip(&mut self, test: impl Fn(char) -> bool) {
        self.at += self.rest().len() - self.rest().trim_start_matches(test).len();
    }

    fn skip_line(&mut self) {
        self.at += self
            .rest()
            .find('\n')
            .map_or(self.rest().len(), |end| end + 1);
    }

    fn refuse(&mut self, span: Span, message: String) -> Next {
        self.diagnostics
            .push(Diagnostic::error("env-file", message).at(span));
        self.at = (span.start as usize).max(self.at);
        self.skip_line();
        Next::More
    }

    fn statement(&mut self) -> Next {
        self.skip(char::is_whitespace);
        if self.rest().is_empty() {
            return Next::End;
        }
        if self.rest().starts_with('#') {
            self.skip_line();
            return Next::More;
        }
        if let Some(rest) = self.rest().strip_prefix("export")
            && rest.starts_with(is_blank)
        {
            self.at += "export".len();
            self.skip(is_blank);
        }
        let start = self.at;
        let line_end = self.rest().find('\n').unwrap_or(self.rest().len());
        let line = self.rest().get(..line_end).unwrap_or("");
        let length = line.find(['=', ':']);
        let key = line
            .get(..length.unwrap_or(line.len()))
            .unwrap_or("")
            .trim_end();
        if let Some((offset, wrong)) = key.char_indices().find(|(_, c)| {
            !(c.is_alphanumeric() || is_blank(*c) || matches!(c, '_' | '.' | '-' | '[' | ']'))
        }) {
            let span = self.span(start + offset, start + offset + wrong.len_utf8());
            let message = format!(
                "unexpected character `{wrong}` in variable name `{}`",
                line.trim()
            );
            return self.refuse(span, message);
        }
        if key.contains(is_blank) {
            let span = self.span(start, start + key.len());
            let message = format!("key cannot contain a space: `{key}`");
            return self.refuse(span, message);
        }
        let key = key.to_owned();
        if key.is_empty() {
            let span = self.span(start, start + 1);
            return self.refuse(span, "a variable needs a name before the `=`".to_owned());
        }
        let key_span = self.span(start, start + key.len());
        match length {
            None => {
                self.at += line_end;
                if let Some((value, from)) = self.lookup.variable(&key) {
                    self.into.set(&key, &value, from);
                }
            }
            Some(length) => {
                self.at += length + 1;
                self.skip(is_blank);
                if let Some(value) = self.value() {
                    self.into.set(&key, &value, Some(key_span));
                }
            }
        }
        Next::More
    }

    fn value(&mut self) -> Option<String> {
        let start = self.at;
        let quote = self
            .rest()
            .chars()
            .next()
            .filter(|c| matches!(c, '"' | '\''));
        let Some(quote) = quote else {
            let end = self.rest().find('\n').unwrap_or(self.rest().len());
            let line = self.rest().get(..end).unwrap_or("");
            let value = line
                .split_once(" #")
                .map_or(line, |(value, _)| value)
                .trim_end()
                .to_owned();
            // A comment right after the sign leaves nothing: the blank before it was skipped with the indentation.
            let value = if value.starts_with('#') && self.blank_before(start) {
                String::new()
            } else {
                value
            };
            self.at += end;
            return self.expand(&value, start);
        };
        let mut value = String::new();
        let mut escaped = false;
        for (offset, c) in self.rest().char_indices().skip(1) {
            match (escaped, c) {
                (true, _) if c == quote => value.push(c),
                (true, _) => value.extend(['\\', c]),
                (false, '\\') => {}
                (false, _) if c == quote => {
                    self.at += offset + 1;
                    return if quote == '"' {
                        self.expand(&unescape(&value), start)
                    } else {
                        Some(value)
                    };
                }
                (false, _) => value.push(c),
            }
            escaped = !escaped && c == '\\';
        }
        let first = self.rest().lines().next().unwrap_or("").to_owned();
        let span = self.span(start, start + first.len());
        self.diagnostics.push(
            Diagnostic::error("env-file", format!("unterminated quoted value {first}")).at(span),
        );
        self.at = self.text.len();
        None
    }

    fn blank_before(&self, start: usize) -> bool {
        self.text
            .get(..start)
            .is_some_and(|before| before.ends_with(is_blank))
    }

    fn expand(&mut self, value: &str, start: usize) -> Option<String> {
        let lookup = Layered {
            first: self.lookup,
            then: &*self.into,
        };
        let filled = template::fill(value, &lookup);
        let span = self.span(start, self.at);
        for mistake in &filled.mistakes {
            let message = match mistake {
                Mistake::Format { .. } => "invalid interpolation format in this value".to_owned(),
                Mistake::Missing { name, message, .. } => {
                    format!("required variable {name} is missing a value: {message}")
                }
            };
            self.diagnostics
                .push(Diagnostic::error("env-file", message).at(span));
        }
        filled.mistakes.is_empty().then_some(filled.text)
    }
}

/// The escapes of a double-quoted value: those of C, octal as `\0NNN`, and `\$` for a literal `$`.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.peek().copied() {
            Some('$') => out.push_str("$$"),
            Some('a') => out.push('\u{7}'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('v') => out.push('\u{b}'),
            Some('"') => out.push('"'),
            Some('\\') => out.push('\\'),
            Some('0') => {
                chars.next();
                let mut digits = String::new();
                while digits.len() < 3
                    && let Some(digit) = chars.next_if(|c| c.is_digit(8))
                {
                    digits.push(digit);
                }
                match u32::from_str_radix(&digits, 8)
                    .ok()
                    .and_then(char::from_u32)
                {
                    Some(c) => out.push(c),
                    None => out.extend(["\\0", &digits]),
                }
                continue;
            }
            _ => {
                out.push('\\');
                continue;
            }
        }
        chars.next();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Assignments, Environment, parse, parse_raw};
    use crate::diagnostic::Diagnostics;
    use crate::diagnostic::render::{Colour, text};
    use crate::source::Sources;

    fn read(env: &str) -> (Vec<(String, String)>, String) {
        let mut sources = Sources::default();
        let source = sources.add(".env".to_owned(), None, env.into(), None);
        let mut outer = Environment::default();
        outer.set("OUT", "outer");
        let mut into = Assignments::default();
        let mut diagnostics = Diagnostics::default();
        parse(&sources, source, &outer, &mut into, &mut diagnostics);
        let all = into
            .iter()
            .map(|(name, variable)| (name.to_string(), variable.value.to_string()))
            .collect();
        (all, text(&diagnostics, &sources, Colour::Never))
    }

    #[test]
    fn the_grammar_is_that_of_compose() {
        let (all, told) = read(
            "\u{feff}# c\nA=1\nexport B = two words # c\nC: 'lit $A\n#x'\nD=\"x\\ty $A \\$A\"\nOUT\nNOPE\nE=a#b\nF= # c\nG=\nH=${A:-x}${Z-z}\nI.j-k[0]=l\nK=\"\\\"q\\\"\" # c\n",
        );
        assert_eq!(told, "");
        let all: Vec<(&str, &str)> = all
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            all,
            [
                ("A", "1"),
                ("B", "two words"),
                ("C", "lit $A\n#x"),
                ("D", "x\ty 1 $A"),
                ("OUT", "outer"),
                ("E", "a#b"),
                ("F", ""),
                ("G", ""),
                ("H", "1z"),
                ("I.j-k[0]", "l"),
                ("K", "\"q\""),
            ]
        );
    }

    #[test]
    fn mistakes_have_places() {
        let (all, told) = read("A=1\nB!=2\nC D=3\nE=4\nF=\"open\nG=5\n");
        assert_eq!(all.len(), 2);
        expect_test::expect![[r#"
            error[env-file]: unexpected character `!` in variable name `B!=2`
             --> .env:2:2
              |
            2 | B!=2
              |  ^

            error[env-file]: key cannot contain a space: `C D`
             --> .env:3:1
              |
            3 | C D=3
              | ^^^

            error[env-file]: unterminated quoted value "open
             --> .env:5:3
              |
            5 | F="open
              |   ^^^^^

        "#]]
        .assert_eq(&told);
    }

    #[test]
    fn a_raw_file_is_taken_as_it_stands() {
        let mut sources = Sources::default();
        let source = sources.add(
            "raw.env".to_owned(),
            None,
            "A=\"$B\" # c\n# c\nOUT\n".into(),
            None,
        );
        let mut outer = Environment::default();
        outer.set("OUT", "outer");
        let mut into = Assignments::default();
        parse_raw(
            &sources,
            source,
            &outer,
            &mut into,
            &mut Diagnostics::default(),
        );
        assert_eq!(
            into.get("A").map(|v| v.value.to_string()),
            Some("\"$B\" # c".to_owned())
        );
        assert_eq!(
            into.get("OUT").map(|v| v.value.to_string()),
            Some("outer".to_owned())
        );
    }
}
