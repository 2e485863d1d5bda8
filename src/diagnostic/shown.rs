//! How text of a file looks on a terminal: how wide each character is, what stands for one that a terminal would obey,
//! and which part of a long line is shown.

use std::borrow::Cow;
use std::fmt::Write;
use std::ops::Range;

/// A text with the characters that a terminal would obey written as escapes: a name in a file may not clear the
/// screen, nor forge further lines of a diagnostic.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_obeyed(c) {
            // Writing to a text cannot fail.
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Control characters, and those that turn the direction of writing or break a line.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// How many columns a character takes: none for marks that sit on the one before, two for the wide ones of East Asia
/// and for emoji (Unicode, UAX 11).
pub fn width(c: char) -> usize {
    match u32::from(c) {
        0..=0x2ff => 1,
        0x300..=0x36f
        | 0x483..=0x489
        | 0x591..=0x5bd
        | 0x610..=0x61a
        | 0x64b..=0x65f
        | 0x93c
        | 0x94d
        | 0xe31
        | 0xe34..=0xe3a
        | 0xe47..=0xe4e
        | 0x1ab0..=0x1aff
        | 0x1dc0..=0x1dff
        | 0x200b..=0x200d
        | 0x20d0..=0x20ff
        | 0x302a..=0x302d
        | 0x3099..=0x309a
        | 0xfe00..=0xfe0f
        | 0xfe20..=0xfe2f
        | 0xfeff
        | 0x1f3fb..=0x1f3ff
        | 0xe0000..=0xe01ef => 0,
        0x1100..=0x115f
        | 0x231a..=0x231b
        | 0x23e9..=0x23ec
        | 0x25fd..=0x25fe
        | 0x2614..=0x2615
        | 0x2648..=0x2653
        | 0x267f
        | 0x2693
        | 0x26a1
        | 0x26bd..=0x26be
        | 0x26c4..=0x26c5
        | 0x26ce
        | 0x26d4
        | 0x26ea
        | 0x26f2..=0x26f5
        | 0x26fa
        | 0x26fd
        | 0x2705
        | 0x270a..=0x270b
        | 0x2728
        | 0x274c
        | 0x274e
        | 0x2753..=0x2757
        | 0x2795..=0x2797
        | 0x27b0
        | 0x27bf
        | 0x2b1b..=0x2b1c
        | 0x2b50
        | 0x2b55
        | 0x2e80..=0x303e
        | 0x3041..=0x33ff
        | 0x3400..=0x4dbf
        | 0x4e00..=0xa4cf
        | 0xa960..=0xa97f
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff01..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f18e
        | 0x1f191..=0x1f19a
        | 0x1f1e6..=0x1f320
        | 0x1f32d..=0x1f3fa
        | 0x1f400..=0x1f64f
        | 0x1f680..=0x1f6ff
        | 0x1f7e0..=0x1f7eb
        | 0x1f900..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// Lines with more characters than this are cut, so that a file of one long line stays readable in an error.
const WIDEST: usize = 160;

/// How many characters before a place are kept where the line is cut before it.
const LEAD: usize = 40;

/// The part of a line that is shown, in characters counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    range: Range<usize>,
    text: String,
    /// How wide what stands before each character of the range is, and the whole.
    before: Vec<usize>,
}

impl Window {
    /// The part of a line around the characters from `at` on, `length` of them.
    pub fn around(line: &str, at: usize, length: usize) -> Window {
        let from = if at + length.clamp(1, WIDEST - LEAD) <= WIDEST {
            0
        } else {
            at - LEAD.min(at)
        };
        let mut text = String::new();
        let mut columns = 0;
        if from > 0 {
            text.push('…');
            columns += 1;
        }
        let mut before = vec![columns];
        let mut rest = line.chars().skip(from);
        for c in rest.by_ref().take(WIDEST) {
            let c = match c {
                c if c.is_control() => ' ',
                c if is_obeyed(c) => '\u{fffd}',
                c => c,
            };
            text.push(c);
            columns += width(c);
            before.push(columns);
        }
        if rest.next().is_some() {
            text.push('…');
        }
        Window {
            range: from..from + before.len() - 1,
            text,
            before,
        }
    }

    /// The text, with `…` where the line goes on.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a place is in it: its start, or the end of the line where that is shown.
    pub fn shows(&self, at: usize) -> bool {
        self.range.contains(&at) || (at >= self.range.end && !self.text.ends_with('…'))
    }

    /// Where carets for these characters start, in columns from 0, and how many they are.
    pub fn carets(&self, at: usize, length: usize) -> (usize, usize) {
        let column = |at: usize| {
            let inside = at.saturating_sub(self.range.start);
            let whole = self.before.last().copied().unwrap_or(0);
            self.before.get(inside).copied().unwrap_or(whole)
        };
        let (start, end) = (column(at), column(at + length));
        (start, end.saturating_sub(start).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::{Window, clean, width};

    #[test]
    fn what_a_terminal_would_obey_is_written_as_an_escape() {
        assert_eq!(clean("a\u{1b}[2J\nb\u{202e}ü"), "a\\u{1b}[2J\\nb\\u{202e}ü");
        assert_eq!(clean("naïve ü 网"), "naïve ü 网");
    }

    #[test]
    fn wide_characters_take_two_columns_and_marks_none() {
        assert_eq!(
            ['a', 'ü', '网', '🎉', '\u{301}'].map(width),
            [1, 1, 2, 2, 0]
        );
        let window = Window::around("网络: x", 4, 1);
        assert_eq!(window.carets(4, 1), (6, 1));
        assert_eq!(window.carets(0, 2), (0, 4));
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("{}here{}", "a".repeat(300), "b".repeat(300));
        let window = Window::around(&line, 300, 4);
        let (start, width) = window.carets(300, 4);
        let under: String = window.text().chars().skip(start).take(width).collect();
        assert_eq!(under, "here");
        assert!(window.text().starts_with("…aaa") && window.text().ends_with("bbb…"));
        assert!(window.shows(300) && !window.shows(0) && !window.shows(599));
        let start = Window::around(&line, 3, 2);
        assert!(start.text().starts_with("aaa") && start.carets(3, 2) == (3, 2));
    }
}
