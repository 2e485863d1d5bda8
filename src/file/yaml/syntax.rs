//! What is told of a text that is not YAML: the scanner's words, at its place, with the remedy where it can be guessed.

use saphyr_parser::ScanError;

use crate::diagnostic::Diagnostic;
use crate::file::yaml::DEEPEST;
use crate::source::{Sources, Span};

/// The diagnostic for an error of the scanner at a place.
pub fn diagnostic(error: &ScanError, span: Span, sources: &Sources) -> Diagnostic {
    let file = sources.file(span.source);
    let line = file.map_or(0, |file| file.position(span.start).line);
    let line_text = file.map_or("", |file| file.line(line));
    let info = error.info().trim().trim_end_matches('.');
    if info.contains("recursion limit") {
        return too_deep(span);
    }
    if let Some(conflict) = file.and_then(|file| conflict(file.text())) {
        let message = "this is not valid YAML: a merge conflict was left in the file";
        let end = conflict + "<<<<<<<".len() as u32;
        let place = Span {
            start: conflict,
            end,
            ..span
        };
        return Diagnostic::error("yaml-syntax", message).at(place).hint(
            "keep one of the two sides, and remove the lines with `<<<<<<<`, `=======` and `>>>>>>>`",
        );
    }
    if info.contains("found a tab")
        && let Some(tab) = file.and_then(|file| next_tab_in_indentation(file.text(), span.start))
    {
        return forbidden_tab(Span {
            start: tab,
            end: tab + 1,
            ..span
        });
    }
    let mut diagnostic =
        Diagnostic::error("yaml-syntax", format!("this is not valid YAML: {info}")).at(span);
    let indent: &str = line_text
        .get(..line_text.len() - line_text.trim_start().len())
        .unwrap_or("");
    if indent.contains('\t') || (line_text.contains('\t') && info.contains("tab")) {
        let column = line_text.find('\t').unwrap_or(0) as u32;
        let start = file.map_or(0, |file| file.line_start(line)) + column;
        diagnostic = forbidden_tab(Span {
            start,
            end: start + 1,
            ..span
        });
    } else if let Some(hint) = syntax_hint(info, line_text) {
        diagnostic = diagnostic.hint(hint);
    }
    diagnostic
}

fn forbidden_tab(place: Span) -> Diagnostic {
    Diagnostic::error(
        "yaml-syntax",
        "this is not valid YAML: found character that cannot start any token: a tab",
    )
    .at(place)
    .hint("indent with blanks; YAML forbids tabs there")
}

/// The first tab in the indentation of a line after a place: a plain text goes on there, and the scanner stops before it.
fn next_tab_in_indentation(text: &str, after: u32) -> Option<u32> {
    let mut start = after as usize;
    for line in text.get(start..)?.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let tab = line.get(..indent).and_then(|blanks| blanks.find('\t'));
        match tab {
            Some(tab) if start > after as usize => return Some((start + tab) as u32),
            _ => start += line.len(),
        }
    }
    None
}

/// The diagnostic for a plain text that begins as a block does, where a block cannot be: between braces or brackets.
pub fn block_in_flow(place: Span) -> Diagnostic {
    Diagnostic::error(
        "yaml-syntax",
        "this is not valid YAML: found character that cannot start any token",
    )
    .at(place)
    .hint("a value between braces or brackets that starts with `|` or `>` must be quoted")
}

/// Where the first of the three lines of a merge conflict stands.
fn conflict(text: &str) -> Option<u32> {
    let first = match text.strip_prefix("<<<<<<< ") {
        Some(_) => 0,
        None => text.find("\n<<<<<<< ")? + 1,
    };
    let rest = text.get(first..)?;
    let middle = rest.find("\n=======")?;
    rest.get(middle..)?
        .contains("\n>>>>>>> ")
        .then_some(first as u32)
}

/// Told where lists and mappings are nested too deep.
pub fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::error(
        "nesting-too-deep",
        format!("lists and mappings are nested more than {DEEPEST} deep"),
    )
    .at(span)
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
    if info.contains("anchor or alias") && info.contains("expected alphabetic") {
        return Some("a text that starts with `*` or `&` must be quoted: \"*\"");
    }
    if line.contains("${") && info.contains("flow") {
        return Some("quote a variable between braces or brackets: {image: \"${NAME}\"}");
    }
    if info.contains("anchor") {
        return Some("define the anchor with `&name` before it is used with `*name`");
    }
    if info.contains("escape") {
        return Some(
            "in double quotes a backslash starts an escape: write `\\\\` for a backslash, or use single quotes",
        );
    }
    if info.contains("trailing content") {
        return Some("the text ends at its second quote: put all of it into the quotes, or none");
    }
    if info.contains("quote") {
        return Some("close the quote");
    }
    None
}
