//! The grammar of `.env`, `--env-file` and `env_file`: `KEY=value`, `KEY: value`, `export KEY=value`, quotes, escapes and
//! interpolation.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::environment::{Assignments, Layered};
use crate::file::template::{self, Lookup, Mistake};
use crate::source::{SourceId, Sources, Span};

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

/// The longest value, in bytes, with what variables brought in: `MAX_ARG_STRLEN` of Linux (include/uapi/linux/binfmts.h),
/// above which execve(2) refuses a variable. Values that double each other would fill the memory.
const LONGEST: usize = 128 * 1024;

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
                    self.after_quote();
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

    /// Compose reads what stands behind a closing quote as a line of its own, which is hardly what was meant.
    fn after_quote(&mut self) {
        let line = self.rest().split('\n').next().unwrap_or("");
        let blanks = line.len() - line.trim_start().len();
        let more = line.trim();
        if more.is_empty() || more.starts_with('#') {
            return;
        }
        let message = format!(
            "`{more}` after the closing quote is read as another line, as docker compose does"
        );
        let start = self.at + blanks;
        let span = self.span(start, start + more.len());
        self.diagnostics.push(
            Diagnostic::warning("env-file", message)
                .at(span)
                .hint("put it inside the quotes, or behind a ` #`"),
        );
    }

    fn blank_before(&self, start: usize) -> bool {
        self.text
            .get(..start)
            .is_some_and(|before| before.ends_with(is_blank))
    }

    /// The place of a part of a value, or of the whole where escapes move its letters.
    fn part(&self, value: &str, start: usize, from: usize, to: usize) -> Span {
        let rest = self.text.get(start..).unwrap_or("");
        let inner = start + usize::from(rest.starts_with(['"', '\'']));
        match self
            .text
            .get(inner..)
            .filter(|rest| rest.starts_with(value))
        {
            Some(_) => self.span(inner + from, inner + to),
            None => self.span(start, self.at),
        }
    }

    fn expand(&mut self, value: &str, start: usize) -> Option<String> {
        let lookup = Layered {
            first: self.lookup,
            then: &*self.into,
        };
        let filled = template::fill(value, &lookup);
        for mistake in &filled.mistakes {
            let (message, span) = match mistake {
                Mistake::Format { at } => {
                    let rest = value.get(*at..).unwrap_or("");
                    let end = at + rest.lines().next().map_or(0, str::len);
                    let message = "invalid interpolation format in this value".to_owned();
                    (message, self.part(value, start, *at, end))
                }
                Mistake::Deep { at } => {
                    let end = at + "${".len();
                    let deepest = template::DEEPEST;
                    let message = format!("variables are nested more than {deepest} deep here");
                    (message, self.part(value, start, *at, end))
                }
                Mistake::Missing {
                    at,
                    end,
                    name,
                    message,
                } => {
                    let message = format!("required variable {name} is missing a value: {message}");
                    (message, self.part(value, start, *at, *end))
                }
            };
            self.diagnostics
                .push(Diagnostic::error("env-file", message).at(span));
        }
        if filled.text.len() > LONGEST {
            let message = format!("the value is longer than {} KiB", LONGEST / 1024);
            let span = self.part(value, start, 0, value.len());
            self.diagnostics.push(
                Diagnostic::error("env-file", message)
                    .at(span)
                    .hint("no process can be started with a longer one: put it into a file"),
            );
            return None;
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
