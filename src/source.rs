//! A text and the places in it. Every text that the reader looks at (a stack file, an included one, an env file) is
//! kept once in [`Sources`]; a [`Span`] is a small copyable range of bytes in one of them. Knows nothing of YAML.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which text a span lies in: an index into the [`Sources`] that gave it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(u32);

impl SourceId {
    /// The text that is read first.
    pub const FIRST: SourceId = SourceId(0);

    /// The position of the text in the order in which texts were added.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A range of bytes, `start` included and `end` not, in one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub source: SourceId,
    pub start: u32,
    pub end: u32,
}

impl Span {
    /// The range from the start of this span to the end of the other; this one where they lie in different texts.
    pub fn to(self, other: Span) -> Span {
        if self.source == other.source && other.end >= self.start {
            Span {
                end: other.end,
                ..self
            }
        } else {
            self
        }
    }

    /// Whether the other span lies within this one.
    pub fn contains(self, other: Span) -> bool {
        self.source == other.source && self.start <= other.start && other.end <= self.end
    }
}

/// A value together with the place where it is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spanned<T> {
    pub value: T,
    pub span: Span,
}

/// A line and a column, both counted from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// Why a text was read: the key that named it, in another text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    pub how: Arrival,
    pub from: Span,
}

/// The ways by which one file names another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    Included,
    Extended,
    EnvironmentFile,
}

/// One text, its name for people, and where its lines start.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// The name as diagnostics show it: the path as the user gave it, or `-` for the standard input.
    pub name: String,
    /// The path it was read from, where it was a file.
    pub path: Option<PathBuf>,
    /// The key that named it, for texts that the user did not name on the command line.
    pub origin: Option<Origin>,
    text: Arc<str>,
    line_starts: Vec<u32>,
}

impl SourceFile {
    /// The whole text.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The line and column of a byte offset; offsets past the end are those of the end.
    pub fn position(&self, offset: u32) -> Position {
        let line = self
            .line_starts
            .partition_point(|start| *start <= offset)
            .saturating_sub(1);
        let start = self.line_starts.get(line).copied().unwrap_or(0) as usize;
        let end = self.floor(offset as usize).max(start);
        let before = self.text.get(start..end).unwrap_or("");
        Position {
            line: line + 1,
            column: before.chars().count() + 1,
        }
    }

    /// A line by its number from 1, without its line break; empty for a number past the end.
    pub fn line(&self, number: usize) -> &str {
        let index = number.saturating_sub(1);
        let Some(start) = self.line_starts.get(index) else {
            return "";
        };
        let end = self
            .line_starts
            .get(index + 1)
            .map_or(self.text.len(), |next| *next as usize);
        self.text
            .get(*start as usize..end)
            .unwrap_or("")
            .trim_end_matches(['\n', '\r'])
    }

    /// The byte offset where a line (from 1) starts.
    pub fn line_start(&self, number: usize) -> u32 {
        self.line_starts
            .get(number.saturating_sub(1))
            .copied()
            .unwrap_or(self.text.len() as u32)
    }

    /// The text between two offsets, or nothing where they are not in it.
    pub fn slice(&self, span: Span) -> &str {
        self.text
            .get(span.start as usize..span.end as usize)
            .unwrap_or("")
    }

    fn floor(&self, offset: usize) -> usize {
        let mut at = offset.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

/// The owner of all texts of one reading.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
}

impl Sources {
    /// Takes a text in and gives its id. Texts are at most 4 GiB long: the rest of a longer one is cut.
    pub fn add(
        &mut self,
        name: String,
        path: Option<PathBuf>,
        text: Arc<str>,
        origin: Option<Origin>,
    ) -> SourceId {
        let mut line_starts = vec![0];
        line_starts.extend(
            text.bytes()
                .enumerate()
                .take(u32::MAX as usize - 1)
                .filter(|(at, byte)| match byte {
                    b'\n' => true,
                    // A carriage return alone ends a line too, as in YAML and in editors.
                    b'\r' => text.as_bytes().get(at + 1) != Some(&b'\n'),
                    _ => false,
                })
                .map(|(i, _)| i as u32 + 1),
        );
        let id = SourceId(self.files.len() as u32);
        self.files.push(SourceFile {
            name,
            path,
            origin,
            text,
            line_starts,
        });
        id
    }

    /// The text of an id.
    pub fn file(&self, id: SourceId) -> Option<&SourceFile> {
        self.files.get(id.index())
    }

    /// All texts in the order in which they were read.
    pub fn iter(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter()
    }

    /// The written text of a span.
    pub fn slice(&self, span: Span) -> &str {
        self.file(span.source).map_or("", |file| file.slice(span))
    }

    /// A span as people write places: `stack.yaml:3:7`.
    pub fn place(&self, span: Span) -> String {
        match self.file(span.source) {
            Some(file) => {
                let at = file.position(span.start);
                format!("{}:{}:{}", file.name, at.line, at.column)
            }
            None => "?".to_owned(),
        }
    }

    /// The path of the file that a span lies in.
    pub fn path(&self, span: Span) -> Option<&Path> {
        self.file(span.source).and_then(|file| file.path.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::{Sources, Span};

    #[test]
    fn a_place_counts_characters_and_lines_from_one() {
        let mut sources = Sources::default();
        let source = sources.add("stack.yaml".to_owned(), None, "a: ü\nbé: x\n".into(), None);
        let span = Span {
            source,
            start: 11,
            end: 12,
        };
        assert_eq!(sources.slice(span), "x");
        assert_eq!(sources.place(span), "stack.yaml:2:5");
        assert_eq!(sources.file(source).unwrap().line(1), "a: ü");
        assert_eq!(sources.file(source).unwrap().line(9), "");
        let past = Span {
            source,
            start: 999,
            end: 999,
        };
        assert_eq!(sources.place(past), "stack.yaml:3:1");
    }
}
