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
    let mut diagnostic =
        Diagnostic::error("yaml-syntax", format!("this is not valid YAML: {info}")).at(span);
    let indent: &str = line_text
        .get(..line_text.len() - line_text.trim_start().len())
        .unwrap_or("");
    if indent.contains('\t') || (line_text.contains('\t') && info.contains("tab")) {
        diagnostic.message =
            "this is not valid YAML: found character that cannot start any token: a tab".to_owned();
        let column = line_text.find('\t').unwrap_or(0) as u32;
        let start = file.map_or(0, |file| file.line_start(line)) + column;
        let place = Span {
            start,
            end: start + 1,
            ..span
        };
        diagnostic = diagnostic
            .at(place)
            .hint("indent with blanks; YAML forbids tabs there");
    } else if let Some(hint) = syntax_hint(info, line_text) {
        diagnostic = diagnostic.hint(hint);
    }
    diagnostic
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
    // Only where there are too many tabs to mend.
    if info.starts_with("':' must be followed by") {
        return Some("write a blank after the `:` instead of the tab");
    }
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
    if info.contains("quote") {
        return Some("close the quote");
    }
    None
}
