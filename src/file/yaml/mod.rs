//! From a text to trees: one [`Node`] for each YAML document. Anchors, aliases, `<<` merges and tags are dealt with
//! here; nothing after this stage knows of them. Hostile texts end with a diagnostic: nesting, the number of nodes that
//! aliases unfold to, and the number of documents are capped.

mod control;
mod layout;
mod offsets;
mod syntax;
mod tag;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::tree::{Mapping, Mark, Node, Value};
use crate::file::yaml::layout::Inserted;
use crate::file::yaml::offsets::Offsets;
use crate::source::{SourceId, Sources, Span};

/// How deep lists and mappings may be nested. Compose files need about 15 levels.
pub const DEEPEST: usize = 128;

/// How many nodes aliases may unfold to in a small file; a large file may unfold to four times what is written in it.
const MOST_UNFOLDED: usize = 100_000;

/// The documents of a text, as far as they could be read. A mistake in the syntax ends the reading of this text: what
/// comes after it cannot be trusted.
pub fn parse(sources: &Sources, source: SourceId, diagnostics: &mut Diagnostics) -> Vec<Node> {
    let Some(file) = sources.file(source) else {
        return Vec::new();
    };
    let text: &str = file.text();
    let text_from = if text.starts_with('\u{feff}') {
        '\u{feff}'.len_utf8()
    } else {
        0
    };
    if let Some(refusal) = control::refusal(source, file, text_from) {
        diagnostics.push(refusal);
        return Vec::new();
    }
    let body = text.get(text_from..).unwrap_or("");
    let offsets = Offsets::of(body, text_from, Inserted::default());
    let mut reading = Reading::of(sources, source, body, offsets);
    if reading.was_refused
        && let Some(relaxed) = layout::relaxed(body)
    {
        let offsets = Offsets::of(&relaxed.text, text_from, relaxed.inserted);
        reading = Reading::of(sources, source, &relaxed.text, offsets);
    }
    diagnostics.append(reading.told);
    reading.documents
}

/// What one reading of a text gave.
struct Reading {
    documents: Vec<Node>,
    told: Diagnostics,
    /// Whether the scanner stopped before the end.
    was_refused: bool,
}

impl Reading {
    fn of(sources: &Sources, source: SourceId, body: &str, offsets: Offsets) -> Reading {
        let mut told = Diagnostics::default();
        let mut builder = Builder {
            source,
            sources,
            offsets,
            diagnostics: &mut told,
            frames: Vec::new(),
            documents: Vec::new(),
            anchors: Vec::new(),
            written: 0,
            unfolded: 0,
        };
        let error = builder.read(body);
        if let Some(error) = &error {
            builder.syntax(error);
        }
        Reading {
            documents: builder.documents,
            told,
            was_refused: error.is_some(),
        }
    }
}

#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Stop,
}

/// A list or mapping that is still open.
struct Frame {
    anchor: usize,
    mark: Mark,
    span: Span,
    kind: Open,
}

enum Open {
    Sequence(Vec<Node>),
    Mapping {
        mapping: Mapping,
        key: Option<Key>,
        merges: Vec<Node>,
        /// How many keys stand before the key `<<`, and where that stands.
        merged_at: Option<(usize, Span)>,
    },
}

enum Key {
    Named(Arc<str>, Span),
    Merge,
    /// A key that was refused; its value is read and dropped.
    Refused,
}

struct Builder<'a> {
    source: SourceId,
    sources: &'a Sources,
    offsets: Offsets,
    diagnostics: &'a mut Diagnostics,
    frames: Vec<Frame>,
    documents: Vec<Node>,
    /// The nodes that anchors name, with their sizes, at the anchor's number.
    anchors: Vec<Option<(Node, usize)>>,
    written: usize,
    unfolded: usize,
}

impl Builder<'_> {
    /// Reads all documents; after a mistake there are none.
    fn read(&mut self, body: &str) -> Option<ScanError> {
        let mut parser: Parser<StrInput> = Parser::new_from_str(body);
        while let Some(event) = parser.next_event() {
            let (flow, error) = match event {
                Ok((event, span)) => {
                    let span = self.span(&span.start, &span.end);
                    (self.event(event, span), None)
                }
                Err(error) => (Flow::Stop, Some(error)),
            };
            if flow == Flow::Stop {
                self.documents.clear();
                return error;
            }
        }
        None
    }

    fn span(&self, start: &Marker, end: &Marker) -> Span {
        let start = self.offsets.byte(start.index());
        Span {
            source: self.source,
            start,
            end: self.offsets.byte(end.index()).max(start),
        }
    }

    fn event(&mut self, event: Event, span: Span) -> Flow {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Flow::On,
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Flow::On
            }
            Event::Scalar(text, style, anchor, tag) => {
                let whole = self.trimmed(span, style);
                let mark = tag::mark(tag.as_deref(), whole, self.diagnostics);
                let value_only = self.value_only(whole);
                let span = if value_only.start < whole.end {
                    value_only
                } else {
                    whole
                };
                if style == ScalarStyle::Plain && text.starts_with(['|', '>']) {
                    self.diagnostics.push(syntax::block_in_flow(Span {
                        end: span.start + 1,
                        ..span
                    }));
                    return Flow::Stop;
                }
                let value = tag::scalar(&text, style, tag.as_deref(), span, self.diagnostics);
                let node = Node { value, span, mark };
                let plain = style == ScalarStyle::Plain && (tag.is_none() || mark != Mark::None);
                self.place(node, anchor, plain)
            }
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::SequenceStart(anchor, tag) => {
                let mark = tag::mark(tag.as_deref(), span, self.diagnostics);
                self.open(Frame {
                    anchor,
                    mark,
                    span,
                    kind: Open::Sequence(Vec::new()),
                })
            }
            Event::MappingStart(anchor, tag) => {
                let mark = tag::mark(tag.as_deref(), span, self.diagnostics);
                let kind = Open::Mapping {
                    mapping: Mapping::default(),
                    key: None,
                    merges: Vec::new(),
                    merged_at: None,
                };
                self.open(Frame {
                    anchor,
                    mark,
                    span,
                    kind,
                })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
        }
    }

    /// A scalar's span without what the scanner counts in: white space, and a comment after a quoted one.
    fn trimmed(&self, span: Span, style: ScalarStyle) -> Span {
        let text = self.sources.slice(span);
        if let Some(length) = quoted_length(text, style) {
            return Span {
                end: span.start + length as u32,
                ..span
            };
        }
        if style == ScalarStyle::Literal
            || style == ScalarStyle::Folded
            || style == ScalarStyle::Plain
        {
            let kept = text.trim_end().len() as u32;
            return Span {
                end: span.start + kept,
                ..span
            };
        }
        span
    }

    /// A span without the tag and the anchor at its start, where there is more than those.
    fn value_only(&self, span: Span) -> Span {
        let file = self.sources.file(span.source);
        let text = file
            .and_then(|file| file.text().get(span.start as usize..))
            .unwrap_or("");
        let mut rest = text;
        while rest.starts_with(['!', '&']) {
            let property = rest.find(char::is_whitespace).unwrap_or(rest.len());
            rest = rest.get(property..).unwrap_or("").trim_start();
        }
        let start = span.start + (text.len() - rest.len()) as u32;
        Span {
            start,
            end: span.end.max(start),
            ..span
        }
    }

    fn open(&mut self, frame: Frame) -> Flow {
        self.written += 1;
        let frame = Frame {
            span: self.value_only(frame.span),
            ..frame
        };
        if self.frames.len() >= DEEPEST {
            self.diagnostics.push(syntax::too_deep(Span {
                end: frame.span.start + 1,
                ..frame.span
            }));
            return Flow::Stop;
        }
        self.frames.push(frame);
        Flow::On
    }

    fn syntax(&mut self, error: &ScanError) {
        let at = self.offsets.byte(error.marker().index());
        let span = Span {
            source: self.source,
            start: at,
            end: at + 1,
        };
        let told = syntax::diagnostic(error, span, self.sources);
        self.diagnostics.push(told);
    }

    fn close(&mut self, end: Span) -> Flow {
        let Some(Frame {
            anchor,
            mark,
            span,
            kind,
        }) = self.frames.pop()
        else {
            return Flow::On;
        };
        let (value, last) = match kind {
            Open::Sequence(items) => {
                let last = items.last().map(|item| item.span.end);
                (Value::Sequence(items), last)
            }
            Open::Mapping {
                mut mapping,
                merges,
                merged_at,
                ..
            } => {
                let last = mapping.iter().last().map(|entry| entry.node.span.end);
                self.merge(&mut mapping, merges, merged_at.map(|(place, _)| place));
                (Value::Mapping(mapping), last)
            }
        };
        // A block's end event stands where the next token starts; the block itself ends with its last value.
        let is_flow = self.sources.slice(span).starts_with(['[', '{']);
        let until = if is_flow {
            end.end
        } else {
            last.filter(|last| *last >= span.start).unwrap_or(span.end)
        };
        let span = Span {
            end: until.max(span.start),
            ..span
        };
        self.place(Node { value, span, mark }, anchor, false)
    }

    /// Puts the keys of merged mappings (`<<`) under those that the mapping has itself; earlier ones of a list win.
    fn merge(&mut self, mapping: &mut Mapping, merges: Vec<Node>, place: Option<usize>) {
        if merges.is_empty() {
            return;
        }
        let mut merged: Vec<Node> = Vec::new();
        for node in merges {
            match node.value {
                Value::Sequence(items) => merged.extend(items),
                _ => merged.push(node),
            }
        }
        let mut below = Mapping::default();
        for node in merged {
            let span = node.span;
            let Value::Mapping(from) = node.value else {
                self.diagnostics.push(
                    Diagnostic::error(
                        "merge-needs-mapping",
                        "map merge requires map or sequence of maps as the value",
                    )
                    .at(span),
                );
                continue;
            };
            for entry in from.into_entries() {
                if !below.contains(&entry.key) && !mapping.contains(&entry.key) {
                    below.insert(entry.key, entry.key_span, entry.node);
                }
            }
        }
        let place = place.unwrap_or(mapping.len());
        let own = std::mem::take(mapping).into_entries();
        let mut own = own.into_iter();
        let before: Vec<_> = own.by_ref().take(place).collect();
        *mapping = before
            .into_iter()
            .chain(below.into_entries())
            .chain(own)
            .collect();
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Flow {
        let Some(Some((node, size))) = self.anchors.get(anchor) else {
            let is_open = self.frames.iter().any(|frame| frame.anchor == anchor);
            self.diagnostics.push(if is_open {
                let message = "this alias stands within the value that it names";
                Diagnostic::error("alias-cycle", message).at(span)
            } else {
                let message = "this is not valid YAML: found unknown anchor in this document";
                Diagnostic::error("yaml-syntax", message).at(span).hint(
                    "an anchor is known only in its own document: define it again after the `---`",
                )
            });
            return Flow::Stop;
        };
        self.unfolded += size;
        if self.unfolded > MOST_UNFOLDED.max(4 * self.written) {
            self.diagnostics.push(
                Diagnostic::error(
                    "excessive-aliasing",
                    format!(
                        "excessive aliasing: aliases unfold to more than {} nodes, which exceeds maximum node visit limit",
                        MOST_UNFOLDED.max(4 * self.written)
                    ),
                )
                .label(span, "the limit is passed here"),
            );
            return Flow::Stop;
        }
        let node = node.clone();
        self.place(node, 0, false)
    }

    /// Hands a finished node to what is open around it.
    fn place(&mut self, node: Node, anchor: usize, plain: bool) -> Flow {
        self.written += 1;
        if anchor > 0 {
            if self.anchors.len() <= anchor {
                self.anchors.resize_with(anchor + 1, || None);
            }
            let size = node.size();
            if let Some(place) = self.anchors.get_mut(anchor) {
                *place = Some((node.clone(), size));
            }
        }
        let Some(frame) = self.frames.last_mut() else {
            self.documents.push(node);
            return Flow::On;
        };
        match &mut frame.kind {
            Open::Sequence(items) => {
                // An item that is reset is simply not there; items of other files cannot be named.
                if node.mark != Mark::Reset {
                    items.push(node);
                }
            }
            Open::Mapping {
                mapping,
                key,
                merges,
                merged_at,
            } => match key.take() {
                Some(Key::Named(text, span)) => {
                    mapping.insert(text, span, node);
                }
                Some(Key::Merge) => merges.push(node),
                Some(Key::Refused) => {}
                None => {
                    let span = node.span;
                    let mut found = Self::key(node, plain, mapping, self.diagnostics, self.sources);
                    if matches!(found, Key::Merge) {
                        match *merged_at {
                            None => *merged_at = Some((mapping.len(), span)),
                            Some((_, first)) => {
                                let hint = "merge both under one key: <<: [*one, *two]";
                                let told = duplicate("<<", span, first, hint, self.sources);
                                self.diagnostics.push(told);
                                found = Key::Refused;
                            }
                        }
                    }
                    *key = Some(found);
                }
            },
        }
        Flow::On
    }

    fn key(
        node: Node,
        plain: bool,
        mapping: &Mapping,
        diagnostics: &mut Diagnostics,
        sources: &Sources,
    ) -> Key {
        let span = node.span;
        let Value::Text(text) = node.value else {
            let written = sources.slice(span).lines().next().unwrap_or("").to_owned();
            diagnostics.push(
                Diagnostic::error("key-not-text", format!("non-string key: `{written}`"))
                    .label(
                        span,
                        format!("this key is {}", Node::new(node.value, span).kind()),
                    )
                    .hint(format!("write it in quotes: \"{written}\"")),
            );
            return Key::Refused;
        };
        if plain && &*text == "<<" {
            return Key::Merge;
        }
        if let Some(first) = mapping.entry(&text) {
            let hint =
                "keep one of the two; a list or mapping under both can be joined under one key";
            diagnostics.push(duplicate(&text, span, first.key_span, hint, sources));
            return Key::Refused;
        }
        Key::Named(text, span)
    }
}

fn duplicate(key: &str, again: Span, first: Span, hint: &str, sources: &Sources) -> Diagnostic {
    let line = sources
        .file(first.source)
        .map_or(0, |file| file.position(first.start).line);
    Diagnostic::error(
        "duplicate-key",
        format!("mapping key `{key}` already defined at line {line}"),
    )
    .label(again, "defined again here")
    .also(first, "first defined here")
    .hint(hint)
}

/// How long a quoted scalar is with its quotes; none where it is not quoted, or is not closed.
fn quoted_length(text: &str, style: ScalarStyle) -> Option<usize> {
    let quote = match style {
        ScalarStyle::SingleQuoted => b'\'',
        ScalarStyle::DoubleQuoted => b'"',
        ScalarStyle::Plain | ScalarStyle::Literal | ScalarStyle::Folded => return None,
    };
    // A tag or an anchor may stand before it.
    let open = text.bytes().position(|byte| byte == quote)?;
    let mut at = open + 1;
    loop {
        match text.as_bytes().get(at..)? {
            [b'\\', _, ..] if quote == b'"' => at += 2,
            [one, two, ..] if *one == quote && *two == quote && quote == b'\'' => at += 2,
            [one, ..] if *one == quote => return Some(at + 1),
            [_, ..] => at += 1,
            [] => return None,
        }
    }
}
