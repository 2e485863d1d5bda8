//! Diagnostics as text for people, laid out as rustc lays out its own: the sentence, `--> file:line:col`, the lines
//! with carets, further places, notes and a hint. Colour is the caller's choice; nothing depends on it.

use std::fmt::Write;

use crate::diagnostic::shown::{Window, clean};
use crate::diagnostic::{Diagnostic, Diagnostics, Label, Severity};
use crate::source::{SourceFile, SourceId, Sources};

/// Whether to use ANSI colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Never,
    Always,
}

/// All diagnostics, one blank line after each.
pub fn text(diagnostics: &Diagnostics, sources: &Sources, colour: Colour) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics.iter() {
        out.push_str(&one(diagnostic, sources, colour));
        out.push('\n');
    }
    if diagnostics.left_out() > 0 {
        let _ = writeln!(out, "and {} more", diagnostics.left_out());
    }
    out
}

/// One diagnostic, with a final line break.
pub fn one(diagnostic: &Diagnostic, sources: &Sources, colour: Colour) -> String {
    let paint = Paint { colour };
    let mut out = String::new();
    let head = match diagnostic.severity {
        Severity::Error => paint.error(&format!("error[{}]", diagnostic.code)),
        Severity::Warning => paint.warning(&format!("warning[{}]", diagnostic.code)),
    };
    let _ = writeln!(out, "{head}: {}", paint.bold(&clean(&diagnostic.message)));
    let gutter = gutter_width(diagnostic, sources);
    if let Some(primary) = &diagnostic.primary {
        snippets(&mut out, diagnostic, primary, sources, gutter, &paint);
    }
    for note in &diagnostic.notes {
        let place = note
            .span
            .map(|span| format!(" {}", sources.place(span)))
            .unwrap_or_default();
        let _ = writeln!(
            out,
            "{} note: {}{}",
            paint.frame(&format!("{:gutter$} =", "")),
            clean(&note.text),
            clean(&place)
        );
    }
    if let Some(hint) = &diagnostic.hint {
        let _ = writeln!(out, "{}: {}", paint.hint("hint"), clean(hint));
    }
    out
}

/// A label with its place worked out: one line, and the columns to underline.
struct Mark<'a> {
    line: usize,
    column: usize,
    width: usize,
    text: &'a str,
    main: Main,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Main {
    Yes,
    No,
}

fn gutter_width(diagnostic: &Diagnostic, sources: &Sources) -> usize {
    let labels = diagnostic.primary.iter().chain(&diagnostic.secondary);
    let last = labels
        .filter_map(|label| {
            Some(
                sources
                    .file(label.span.source)?
                    .position(label.span.start)
                    .line,
            )
        })
        .max()
        .unwrap_or(1);
    last.to_string().len()
}

fn snippets(
    out: &mut String,
    diagnostic: &Diagnostic,
    primary: &Label,
    sources: &Sources,
    gutter: usize,
    paint: &Paint,
) {
    let mut order: Vec<SourceId> = vec![primary.span.source];
    for label in &diagnostic.secondary {
        if !order.contains(&label.span.source) {
            order.push(label.span.source);
        }
    }
    for source in order {
        let Some(file) = sources.file(source) else {
            continue;
        };
        let mut marks: Vec<Mark> = Vec::new();
        if primary.span.source == source {
            marks.push(mark(file, primary, Main::Yes));
        }
        marks.extend(
            diagnostic
                .secondary
                .iter()
                .filter(|l| l.span.source == source)
                .map(|l| mark(file, l, Main::No)),
        );
        let Some(first) = marks.first() else { continue };
        let arrow = if first.main == Main::Yes {
            "-->"
        } else {
            ":::"
        };
        let _ = writeln!(
            out,
            "{} {}:{}:{}",
            paint.frame(&format!("{:gutter$}{arrow}", "")),
            clean(&file.name),
            first.line,
            first.column
        );
        let _ = writeln!(out, "{}", paint.frame(&format!("{:gutter$} |", "")));
        marks.sort_by_key(|m| (m.line, m.column));
        let mut shown: Option<(usize, Window)> = None;
        for mark in &marks {
            let place = mark.column - 1;
            let window = match shown.take() {
                Some((line, window)) if line == mark.line && window.shows(place) => window,
                before => {
                    if before.is_some_and(|(line, _)| mark.line > line + 1) {
                        let _ = writeln!(out, "{}", paint.frame("..."));
                    }
                    let window = Window::around(file.line(mark.line), place, mark.width);
                    let number = paint.frame(&format!("{:>gutter$} |", mark.line));
                    let _ = writeln!(out, "{number} {}", window.text());
                    window
                }
            };
            carets(out, mark, &window, gutter, paint);
            shown = Some((mark.line, window));
        }
    }
}

fn carets(out: &mut String, mark: &Mark, window: &Window, gutter: usize, paint: &Paint) {
    let (before, width) = window.carets(mark.column - 1, mark.width);
    let start = before + 1;
    let symbol = if mark.main == Main::Yes { "^" } else { "-" };
    let under = symbol.repeat(width);
    let words = if mark.text.is_empty() {
        String::new()
    } else {
        format!(" {}", clean(mark.text))
    };
    let line = format!("{under}{words}");
    let line = if mark.main == Main::Yes {
        paint.error(&line)
    } else {
        paint.hint(&line)
    };
    let _ = writeln!(
        out,
        "{}{:start$}{line}",
        paint.frame(&format!("{:gutter$} |", "")),
        ""
    );
}

fn mark<'a>(file: &SourceFile, label: &'a Label, main: Main) -> Mark<'a> {
    let start = file.position(label.span.start);
    let end = file.position(label.span.end);
    let length = file.line(start.line).trim_end().chars().count();
    let until = if end.line == start.line {
        end.column
    } else {
        length + 1
    };
    let width = until.min(length + 1).saturating_sub(start.column).max(1);
    Mark {
        line: start.line,
        column: start.column,
        width,
        text: &label.text,
        main,
    }
}

struct Paint {
    colour: Colour,
}

impl Paint {
    fn wrap(&self, code: &str, text: &str) -> String {
        match self.colour {
            Colour::Always => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Colour::Never => text.to_owned(),
        }
    }

    fn error(&self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    fn warning(&self, text: &str) -> String {
        self.wrap("1;33", text)
    }

    fn bold(&self, text: &str) -> String {
        self.wrap("1", text)
    }

    fn frame(&self, text: &str) -> String {
        self.wrap("34", text)
    }

    fn hint(&self, text: &str) -> String {
        self.wrap("36", text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Colour, one};
    use crate::diagnostic::Diagnostic;
    use crate::source::{Sources, Span};

    #[test]
    fn two_places_a_note_and_a_hint_are_shown_with_their_lines() {
        let mut sources = Sources::default();
        let text =
            "networks:\n  lan:\n    subnet: 10.0.4.0/22\n\n  office:\n    subnet: 10.0.4.0/24\n";
        let source = sources.add("stack.yaml".to_owned(), None, text.into(), None);
        let at = |needle: &str| {
            let start = text.find(needle).unwrap() as u32;
            Span {
                source,
                start,
                end: start + needle.len() as u32,
            }
        };
        let diagnostic = Diagnostic::error(
            "overlap",
            "network `lan` and network `office` overlap in 10.0.4.0/24",
        )
        .label(at("10.0.4.0/24"), "this one…")
        .also(at("10.0.4.0/22"), "…lies within this one")
        .note_at("included from", at("lan"))
        .hint("give `office` a subnet outside 10.0.4.0/22");
        expect_test::expect![[r#"
            error[overlap]: network `lan` and network `office` overlap in 10.0.4.0/24
             --> stack.yaml:6:13
              |
            3 |     subnet: 10.0.4.0/22
              |             ----------- …lies within this one
            ...
            6 |     subnet: 10.0.4.0/24
              |             ^^^^^^^^^^^ this one…
              = note: included from stack.yaml:2:3
            hint: give `office` a subnet outside 10.0.4.0/22
        "#]]
        .assert_eq(&one(&diagnostic, &sources, Colour::Never));
    }

    #[test]
    fn what_a_file_says_cannot_command_the_terminal() {
        let mut sources = Sources::default();
        let source = sources.add("a\u{1b}.yaml".to_owned(), None, "x: y\n".into(), None);
        let span = Span {
            source,
            start: 0,
            end: 1,
        };
        let told = Diagnostic::error("code", "a\u{1b}[2J\nb")
            .label(span, "c\rd")
            .note("e\nf")
            .hint("g\u{9b}");
        let text = one(&told, &sources, Colour::Never);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
        assert_eq!(text.lines().count(), 7, "{text}");
        assert!(text.contains("a\\u{1b}[2J\\nb"), "{text}");
    }

    #[test]
    fn carets_stand_under_the_place_in_long_and_wide_lines() {
        let mut sources = Sources::default();
        let text = format!("{}网here{}", "a".repeat(200), "b".repeat(200));
        let source = sources.add("x".to_owned(), None, text.as_str().into(), None);
        let start = text.find("here").unwrap() as u32;
        let span = Span {
            source,
            start,
            end: start + 4,
        };
        let told = Diagnostic::error("code", "m").at(span);
        let shown = one(&told, &sources, Colour::Never);
        let line = shown.lines().find(|line| line.contains("here")).unwrap();
        let carets = shown.lines().find(|line| line.contains('^')).unwrap();
        let before = line.split_once("here").unwrap().0.chars().count() + 1;
        assert_eq!(carets.find('^'), Some(before), "{shown}");
        assert!(shown.contains("x:1:202"), "{shown}");
    }
}
