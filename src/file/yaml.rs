//! From a text to trees: one [`Node`] for each YAML document. Anchors, aliases, `<<` merges and tags are dealt with
//! here; nothing after this stage knows of them. Hostile texts end with a diagnostic: nesting, the number of nodes that
//! aliases unfold to, and the number of documents are capped.

use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::scalar;
use crate::file::tree::{Mapping, Mark, Node, Value};
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
    let body = text.get(text_from..).unwrap_or("");
    let mut builder = Builder {
        source,
        sources,
        offsets: Offsets::of(body, text_from),
        diagnostics,
        frames: Vec::new(),
        documents: Vec::new(),
        anchors: Vec::new(),
        written: 0,
        unfolded: 0,
    };
    let mut parser: Parser<StrInput> = Parser::new_from_str(body);
    while let Some(event) = parser.next_event() {
        let outcome = match event {
            Ok((event, span)) => {
                let span = builder.span(&span.start, &span.end);
                builder.event(event, span)
            }
            Err(error) => {
                builder.syntax(&error);
                Flow::Stop
            }
        };
        if outcome == Flow::Stop {
            builder.documents.clear();
            break;
        }
    }
    builder.documents
}

#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Stop,
}

/// Character positions, which the scanner counts, to byte positions, which spans hold.
enum Offsets {
    Same(usize),
    Sampled {
        from: usize,
        every: Vec<u32>,
        text: Arc<str>,
    },
}

const SAMPLE: usize = 64;

impl Offsets {
    fn of(text: &str, from: usize) -> Offsets {
        if text.is_ascii() {
            return Offsets::Same(from);
        }
        let every = text
            .char_indices()
            .step_by(SAMPLE)
            .map(|(at, _)| at as u32)
            .collect();
        Offsets::Sampled {
            from,
            every,
            text: Arc::from(text),
        }
    }

    fn byte(&self, index: usize) -> u32 {
        match self {
            Offsets::Same(from) => (index + from) as u32,
            Offsets::Sampled { from, every, text } => {
                let Some(start) = every.get(index / SAMPLE) else {
                    return (text.len() + from) as u32;
                };
                let rest = text.get(*start as usize..).unwrap_or("");
                let more = rest
                    .char_indices()
                    .nth(index % SAMPLE)
                    .map_or(rest.len(), |(at, _)| at);
                (*start as usize + more + from) as u32
            }
        }
    }
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
        place: Option<usize>,
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
                let span = self.trimmed(span, style);
                let mark = self.mark(tag.as_deref(), span);
                let value = self.scalar(&text, style, tag.as_deref(), span);
                let node = Node { value, span, mark };
                let plain = style == ScalarStyle::Plain && (tag.is_none() || mark != Mark::None);
                self.place(node, anchor, plain)
            }
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::SequenceStart(anchor, tag) => {
                let mark = self.mark(tag.as_deref(), span);
                self.open(Frame {
                    anchor,
                    mark,
                    span,
                    kind: Open::Sequence(Vec::new()),
                })
            }
            Event::MappingStart(anchor, tag) => {
                let mark = self.mark(tag.as_deref(), span);
                let kind = Open::Mapping {
                    mapping: Mapping::default(),
                    key: None,
                    merges: Vec::new(),
                    place: None,
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

    /// A plain scalar's span without the white space that the scanner counts in.
    fn trimmed(&self, span: Span, style: ScalarStyle) -> Span {
        if style == ScalarStyle::Literal
            || style == ScalarStyle::Folded
            || style == ScalarStyle::Plain
        {
            let kept = self.sources.slice(span).trim_end().len() as u32;
            return Span {
                end: span.start + kept,
                ..span
            };
        }
        span
    }

    fn open(&mut self, frame: Frame) -> Flow {
        self.written += 1;
        if self.frames.len() >= DEEPEST {
            self.too_deep(Span {
                end: frame.span.start + 1,
                ..frame.span
            });
            return Flow::Stop;
        }
        self.frames.push(frame);
        Flow::On
    }

    fn too_deep(&mut self, span: Span) {
        self.diagnostics.push(
            Diagnostic::error(
                "nesting-too-deep",
                format!("lists and mappings are nested more than {DEEPEST} deep"),
            )
            .at(span),
        );
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
                place,
                ..
            } => {
                let last = mapping.iter().last().map(|entry| entry.node.span.end);
                self.merge(&mut mapping, merges, place);
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
            self.diagnostics.push(
                Diagnostic::error(
                    "alias-cycle",
                    "this alias stands within the value that it names",
                )
                .at(span),
            );
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
                place,
            } => match key.take() {
                Some(Key::Named(text, span)) => {
                    mapping.insert(text, span, node);
                }
                Some(Key::Merge) => merges.push(node),
                Some(Key::Refused) => {}
                None => {
                    let found = Self::key(node, plain, mapping, self.diagnostics, self.sources);
                    if matches!(found, Key::Merge) {
                        *place = Some(mapping.len());
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
            let line = sources
                .file(first.key_span.source)
                .map_or(0, |f| f.position(first.key_span.start).line);
            diagnostics.push(
                Diagnostic::error(
                    "duplicate-key",
                    format!("mapping key `{text}` already defined at line {line}"),
                )
                .label(span, "defined again here")
                .also(first.key_span, "first defined here")
                .hint(
                    "keep one of the two; a list or mapping under both can be joined under one key",
                ),
            );
            return Key::Refused;
        }
        Key::Named(text, span)
    }

    fn mark(&mut self, tag: Option<&Tag>, span: Span) -> Mark {
        let Some(tag) = tag else { return Mark::None };
        match (tag.handle.as_str(), tag.suffix.as_str()) {
            ("!", "reset") => Mark::Reset,
            ("!", "override") => Mark::Override,
            ("!" | "", "") => Mark::None,
            _ if tag.is_yaml_core_schema() => Mark::None,
            _ => {
                self.diagnostics.push(
                    Diagnostic::warning(
                        "unknown-tag",
                        format!("the tag `{tag}` means nothing here and is ignored"),
                    )
                    .at(span)
                    .hint("a stack file knows !reset and !override"),
                );
                Mark::None
            }
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Value {
        let core = tag
            .filter(|tag| tag.is_yaml_core_schema())
            .map(|tag| tag.suffix.as_str());
        let value = scalar::resolve(text);
        let fits = match (core, &value) {
            (None, _) => {
                let is_marked = tag.is_some_and(|tag| tag.handle == "!" && !tag.suffix.is_empty());
                return if style == ScalarStyle::Plain && (tag.is_none() || is_marked) {
                    value
                } else {
                    Value::Text(text.into())
                };
            }
            (Some("str" | "binary" | "timestamp"), _) => return Value::Text(text.into()),
            (Some("float"), Value::Integer(number)) => return Value::Float(*number as f64),
            (Some("int"), Value::Integer(_))
            | (Some("float"), Value::Float(_))
            | (Some("bool"), Value::Bool(_))
            | (Some("null"), Value::Null) => true,
            (Some(_), _) => false,
        };
        if !fits {
            self.diagnostics.push(
                Diagnostic::error(
                    "tag-mismatch",
                    format!("`{text}` is not a `!!{}`", core.unwrap_or("")),
                )
                .at(span),
            );
        }
        value
    }

    fn syntax(&mut self, error: &ScanError) {
        let at = self.offsets.byte(error.marker().index());
        let span = Span {
            source: self.source,
            start: at,
            end: at + 1,
        };
        let file = self.sources.file(self.source);
        let line = file.map_or(0, |file| file.position(at).line);
        let line_text = file.map_or("", |file| file.line(line));
        let info = error.info().trim().trim_end_matches('.');
        if info.contains("recursion limit") {
            self.too_deep(span);
            return;
        }
        let mut diagnostic =
            Diagnostic::error("yaml-syntax", format!("this is not valid YAML: {info}")).at(span);
        let indent: &str = line_text
            .get(..line_text.len() - line_text.trim_start().len())
            .unwrap_or("");
        if indent.contains('\t') || (line_text.contains('\t') && info.contains("tab")) {
            diagnostic.message =
                "this is not valid YAML: found character that cannot start any token: a tab"
                    .to_owned();
            diagnostic = diagnostic.hint("indent with blanks; YAML forbids tabs there");
        } else if let Some(hint) = syntax_hint(info, line_text) {
            diagnostic = diagnostic.hint(hint);
        }
        self.diagnostics.push(diagnostic);
    }
}

fn syntax_hint(info: &str, line: &str) -> Option<&'static str> {
    let value = line
        .split_once(": ")
        .map_or("", |(_, value)| value.trim_start());
    if value.starts_with(['@', '`', '%']) {
        return Some("a value that starts with `@`, `` ` `` or `%` must be quoted");
    }
    if info.contains("mapping values are not allowed") {
        return Some(
            "check the indentation of this line and the one before, or quote a value that contains `: `",
        );
    }
    if info.contains("did not find expected key")
        || info.contains("block mapping")
        || info.contains("block end")
    {
        return Some("this line is indented differently from its neighbours");
    }
    if info.contains("anchor") {
        return Some("define the anchor with `&name` before it is used with `*name`");
    }
    if info.contains("quote") {
        return Some("close the quote");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::diagnostic::Diagnostics;
    use crate::diagnostic::render::{Colour, text};
    use crate::file::tree::{Mark, Node, Value};
    use crate::source::Sources;

    fn read(yaml: &str) -> (Vec<Node>, String, Sources) {
        let mut sources = Sources::default();
        let source = sources.add("stack.yaml".to_owned(), None, yaml.into(), None);
        let mut diagnostics = Diagnostics::default();
        let documents = parse(&sources, source, &mut diagnostics);
        let told = text(&diagnostics, &sources, Colour::Never);
        (documents, told, sources)
    }

    /// The tree as one line, each scalar with the text of its span.
    fn shown(node: &Node, sources: &Sources) -> String {
        let mark = match node.mark {
            Mark::None => "",
            Mark::Reset => "!reset ",
            Mark::Override => "!override ",
        };
        let value = match &node.value {
            Value::Sequence(items) => {
                format!(
                    "[{}]",
                    items
                        .iter()
                        .map(|item| shown(item, sources))
                        .collect::<Vec<_>>()
                        .join(", ")
                )
            }
            Value::Mapping(mapping) => {
                let entries: Vec<String> = mapping
                    .iter()
                    .map(|entry| {
                        format!(
                            "{}: {}",
                            sources.slice(entry.key_span),
                            shown(&entry.node, sources)
                        )
                    })
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
            _ => format!(
                "{}<{}>",
                node.scalar_text().unwrap_or("null".to_owned()),
                sources.slice(node.span)
            ),
        };
        format!("{mark}{value}")
    }

    #[test]
    fn every_scalar_and_key_knows_its_place() {
        let (documents, told, sources) = read(
            "# ü\nname: 'a b'   # c\nlist:\n- 1\n- \"x\\ty\"\n-   plain text  \nmap: {k: v, n: }\ntext: |\n  one\n  two\n\nlast: true\n",
        );
        assert_eq!(told, "");
        expect_test::expect![[r#"
            {name: a b<'a b'   # c>, list: [1<1>, x	y<"x\ty">, plain text<plain text>], map: {k: v<v>, n: null<>}, text: one
            two
            <one
              two>, last: true<true>}"#]]
        .assert_eq(&shown(&documents[0], &sources));
        let list = documents[0].get("list").unwrap();
        assert_eq!(sources.slice(list.span), "1\n- \"x\\ty\"\n-   plain text");
        assert_eq!(
            sources.slice(documents[0].get("map").unwrap().span),
            "{k: v, n: }"
        );
    }

    #[test]
    fn anchors_merges_and_tags_are_resolved() {
        let (documents, told, sources) = read(
            "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {<<: *a, x: 9}\nd: {<<: [*a, *b], w: 0}\ne: !reset\nf: !override [1]\ng: !!str 5\n\"<<\": no merge\nh: [!reset 1, 2]\n",
        );
        assert_eq!(told, "");
        expect_test::expect![[r#"{a: {x: 1<1>, y: 2<2>}, b: {y: 3<3>, z: 4<4>}, c: {y: 2<2>, x: 9<9>}, d: {x: 1<1>, y: 2<2>, z: 4<4>, w: 0<0>}, e: !reset null<!reset>, f: !override [1<1>], g: 5<!!str 5>, "<<": no merge<no merge>, h: [2<2>]}"#]]
        .assert_eq(&shown(&documents[0], &sources));
    }

    #[test]
    fn mistakes_are_told_with_their_places() {
        let (_, told, _) = read("a: 1\nb: 2\na: 3\n80: x\nm: {<<: 5}\n");
        expect_test::expect![[r#"
            error[duplicate-key]: mapping key `a` already defined at line 1
             --> stack.yaml:3:1
              |
            1 | a: 1
              | - first defined here
            ...
            3 | a: 3
              | ^ defined again here
            hint: keep one of the two; a list or mapping under both can be joined under one key

            error[key-not-text]: non-string key: `80`
             --> stack.yaml:4:1
              |
            4 | 80: x
              | ^^ this key is an integer
            hint: write it in quotes: "80"

            error[merge-needs-mapping]: map merge requires map or sequence of maps as the value
             --> stack.yaml:5:9
              |
            5 | m: {<<: 5}
              |         ^

        "#]]
        .assert_eq(&told);
        let (_, told, _) = read("services:\n  web:\n    image: a\n     ports: b\n");
        expect_test::expect![[r#"
            error[yaml-syntax]: this is not valid YAML: mapping values are not allowed in this context
             --> stack.yaml:4:11
              |
            4 |      ports: b
              |           ^
            hint: check the indentation of this line and the one before, or quote a value that contains `: `

        "#]].assert_eq(&told);
        let (_, told, _) = read("services:\n\tweb:\n");
        expect_test::expect![[r#"
            error[yaml-syntax]: this is not valid YAML: found character that cannot start any token: a tab
             --> stack.yaml:2:2
              |
            2 |  web:
              |  ^
            hint: indent with blanks; YAML forbids tabs there

        "#]].assert_eq(&told);
        let (_, told, _) = read("a: *nope\n");
        expect_test::expect![[r#"
            error[yaml-syntax]: this is not valid YAML: while parsing node, found unknown anchor
             --> stack.yaml:1:4
              |
            1 | a: *nope
              |    ^
            hint: define the anchor with `&name` before it is used with `*name`

        "#]]
        .assert_eq(&told);
        let (_, told, _) = read("a: &a [*a]\n");
        expect_test::expect![[r#"
            error[alias-cycle]: this alias stands within the value that it names
             --> stack.yaml:1:8
              |
            1 | a: &a [*a]
              |        ^^

        "#]]
        .assert_eq(&told);
    }

    #[test]
    fn hostile_texts_end_early() {
        let mut laughs = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for level in 1..30 {
            let before = level - 1;
            laughs += &format!(
                "a{level}: &a{level} [{}]\n",
                vec![format!("*a{before}"); 9].join(",")
            );
        }
        let (documents, told, _) = read(&laughs);
        assert!(
            documents.is_empty() && told.contains("excessive aliasing"),
            "{told}"
        );
        for nested in ["[", "{a: ", "- ", "? ", "- ? "] {
            let (documents, told, _) = read(&nested.repeat(1_000_000));
            assert!(documents.is_empty(), "{nested}");
            assert!(
                told.contains("nested more than"),
                "{nested}: {}",
                &told[..told.len().min(300)]
            );
        }
    }
}
