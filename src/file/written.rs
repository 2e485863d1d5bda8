//! A text and where each part of it stands: quotes, escapes, folded lines and indentation of a YAML scalar lie between
//! what is written and what is meant.

use std::cell::OnceCell;

use crate::source::{Sources, Span};

/// A text with its place, from which parts can be pointed at.
pub struct Written<'a> {
    pub text: &'a str,
    pub span: Span,
    source: &'a str,
    /// Where the text starts in the source, if what stands there is the text itself.
    inner: Option<u32>,
    /// Which parts of the source mean which parts of the text, worked out when a part is asked for.
    pieces: OnceCell<Vec<Piece>>,
}

/// A part of the text, and the part of the source that it is written as; letter by letter where both are as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    text: u32,
    source: u32,
    text_length: u32,
    source_length: u32,
}

impl<'a> Written<'a> {
    /// The text of a node.
    pub fn of(text: &'a str, span: Span, sources: &'a Sources) -> Written<'a> {
        let source = sources.slice(span);
        let quoted = source.starts_with(['"', '\'']);
        let inner = source
            .get(usize::from(quoted)..)
            .filter(|rest| rest.starts_with(text))
            .map(|_| span.start + u32::from(quoted));
        Written {
            text,
            span,
            source,
            inner,
            pieces: OnceCell::new(),
        }
    }

    /// The place of a part of the text, or of the whole where parts cannot be told apart, as where variables were
    /// filled in.
    pub fn part(&self, part: &str) -> Span {
        let offset = (part.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        if part.is_empty() || offset.saturating_add(part.len()) > self.text.len() {
            return self.span;
        }
        let (first, end) = (offset as u32, (offset + part.len()) as u32);
        if let Some(start) = self.inner {
            return Span {
                start: start + first,
                end: start + end,
                ..self.span
            };
        }
        let pieces = self
            .pieces
            .get_or_init(|| pieces(self.text, self.source).unwrap_or_default());
        let piece = |at: u32| {
            let after = pieces.partition_point(|piece| piece.text <= at);
            pieces.get(after.checked_sub(1)?)
        };
        match (piece(first), piece(end - 1)) {
            (Some(one), Some(two)) => {
                let start = one.source + (first - one.text).min(one.source_length);
                let last = two.source + (end - two.text).min(two.source_length);
                let last = if end == two.text + two.text_length {
                    two.source + two.source_length
                } else {
                    last
                };
                Span {
                    start: self.span.start + start,
                    end: self.span.start + last.max(start),
                    ..self.span
                }
            }
            _ => self.span,
        }
    }
}

/// How a scalar is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
}

/// Holds a text against the source of its scalar. Every letter that is no white space stands there in the same order,
/// itself or as an escape, and folding only takes and gives white space; none where that is not so.
fn pieces(text: &str, source: &str) -> Option<Vec<Piece>> {
    let (style, mut at) = opening(source);
    let mut pieces: Vec<Piece> = Vec::new();
    for (offset, c) in text.char_indices() {
        if c.is_whitespace() {
            let length = match unit(source, at, style) {
                Some((Some(found), length)) if found == c && length > 1 => length,
                Some((Some(found), length)) if found == c && c != '\n' => length,
                _ => 0,
            };
            push(&mut pieces, offset, at, c.len_utf8(), length);
            at += length;
            continue;
        }
        loop {
            let (found, length) = unit(source, at, style)?;
            if found == Some(c) {
                push(&mut pieces, offset, at, c.len_utf8(), length);
                at += length;
                break;
            }
            if found.is_some_and(|found| !found.is_whitespace()) {
                return None;
            }
            at += length;
        }
    }
    Some(pieces)
}

/// The style of a scalar, and where its content starts: behind tag and anchor, the quote, or a block's head line.
fn opening(source: &str) -> (Style, usize) {
    let mut at = 0;
    loop {
        let rest = source.get(at..).unwrap_or("");
        match rest.bytes().next() {
            Some(b'!' | b'&') => {
                let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
                let after = rest.get(word..).unwrap_or("");
                at += word + (after.len() - after.trim_start().len());
            }
            Some(b'"') => return (Style::Double, at + 1),
            Some(b'\'') => return (Style::Single, at + 1),
            Some(b'|' | b'>') => {
                return (Style::Plain, at + rest.find('\n').unwrap_or(rest.len()));
            }
            _ => return (Style::Plain, at),
        }
    }
}

/// The character that stands at a place of the source, and how many bytes it is written with. An escaped line break
/// is none.
fn unit(source: &str, at: usize, style: Style) -> Option<(Option<char>, usize)> {
    let rest = source.get(at..)?;
    let mut chars = rest.chars();
    let first = chars.next()?;
    match (style, first) {
        (Style::Single, '\'') if rest.starts_with("''") => Some((Some('\''), 2)),
        (Style::Double, '\\') => {
            let kind = chars.next()?;
            let digits = match kind {
                'x' => 2,
                'u' => 4,
                'U' => 8,
                _ => 0,
            };
            if digits > 0 {
                let code = u32::from_str_radix(rest.get(2..2 + digits)?, 16).ok()?;
                return Some((char::from_u32(code), 2 + digits));
            }
            let meant = match kind {
                '0' => '\0',
                'a' => '\u{7}',
                'b' => '\u{8}',
                't' => '\t',
                'n' => '\n',
                'v' => '\u{b}',
                'f' => '\u{c}',
                'r' => '\r',
                'e' => '\u{1b}',
                'N' => '\u{85}',
                '_' => '\u{a0}',
                'L' => '\u{2028}',
                'P' => '\u{2029}',
                '\n' | '\r' => return Some((None, 1 + kind.len_utf8())),
                other => other,
            };
            Some((Some(meant), 1 + kind.len_utf8()))
        }
        (_, first) => Some((Some(first), first.len_utf8())),
    }
}

fn push(pieces: &mut Vec<Piece>, text: usize, source: usize, text_length: usize, length: usize) {
    let (text, source) = (text as u32, source as u32);
    let (text_length, length) = (text_length as u32, length as u32);
    if let Some(last) = pieces.last_mut()
        && last.text_length == last.source_length
        && text_length == length
        && last.source + last.source_length == source
    {
        last.text_length += text_length;
        last.source_length += length;
        return;
    }
    pieces.push(Piece {
        text,
        source,
        text_length,
        source_length: length,
    });
}

#[cfg(test)]
mod tests {
    use super::Written;
    use crate::source::{Sources, Span};

    /// What stands at the place of a part.
    fn shown(source: &str, text: &str, part: &str) -> String {
        let mut sources = Sources::default();
        let id = sources.add("t".to_owned(), None, source.into(), None);
        let span = Span {
            source: id,
            start: 0,
            end: source.len() as u32,
        };
        let written = Written::of(text, span, &sources);
        let start = text.find(part).unwrap();
        let place = written.part(&text[start..start + part.len()]);
        sources.slice(place).to_owned()
    }

    #[test]
    fn parts_are_found_behind_quotes_escapes_folds_and_indentation() {
        for (source, text, part, at) in [
            ("a b c", "a b c", "b", "b"),
            ("'it''s b'", "it's b", "b", "b"),
            ("'it''s b'", "it's b", "'", "''"),
            (r#""a\tb\x41c d""#, "a\tbAc d", "d", "d"),
            (r#""a\tb\x41c d""#, "a\tbAc d", "A", r"\x41"),
            ("\"a \\\n   b\"", "a b", "b", "b"),
            (
                "|\n  one\n    two\n\n  three\n",
                "one\n  two\n\nthree\n",
                "three",
                "three",
            ),
            (
                ">- # c\n  one\n  two\n\n  three",
                "one two\nthree",
                "two",
                "two",
            ),
            ("one\n  two\n  three", "one two three", "three", "three"),
            ("!!str \"é\\u00e9 b\"", "éé b", "b", "b"),
            ("|\n  a\n  b c\n", "a\nb c\n", "a\nb", "a\n  b"),
        ] {
            assert_eq!(shown(source, text, part), at, "{source}");
        }
        // What variables became stands nowhere.
        assert_eq!(shown("${A}:80", "8080:80", "80"), "${A}:80");
    }
}
