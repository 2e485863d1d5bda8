//! Diagnostics for programs: a JSON list for scripts and editors, and SARIF 2.1.0 (OASIS) for code scanning in CI.
//! Lines and columns count from 1, columns in characters; the shapes are stable.

use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::source::{Sources, Span};

/// All diagnostics as `{"diagnostics": […]}`.
pub fn json(diagnostics: &Diagnostics, sources: &Sources) -> Value {
    let all: Vec<Value> = diagnostics
        .iter()
        .map(|one| json_one(one, sources))
        .collect();
    json!({
        "errors": diagnostics.count(Severity::Error),
        "warnings": diagnostics.count(Severity::Warning),
        "diagnostics": all,
    })
}

fn json_one(one: &Diagnostic, sources: &Sources) -> Value {
    let secondary: Vec<Value> = one
        .secondary
        .iter()
        .map(|label| json!({"place": place(label.span, sources), "text": label.text}))
        .collect();
    let notes: Vec<Value> = one
        .notes
        .iter()
        .map(|note| json!({"text": note.text, "place": note.span.map(|span| place(span, sources))}))
        .collect();
    json!({
        "code": one.code,
        "severity": one.severity.word(),
        "message": one.message,
        "path": one.path,
        "place": one.primary.as_ref().map(|label| place(label.span, sources)),
        "label": one.primary.as_ref().map(|label| label.text.as_str()).filter(|text| !text.is_empty()),
        "secondary": secondary,
        "notes": notes,
        "hint": one.hint,
    })
}

fn place(span: Span, sources: &Sources) -> Value {
    let Some(file) = sources.file(span.source) else {
        return Value::Null;
    };
    let (start, end) = (file.position(span.start), file.position(span.end));
    json!({
        "file": file.name,
        "line": start.line,
        "column": start.column,
        "end_line": end.line,
        "end_column": end.column,
    })
}

/// All diagnostics as one SARIF run of the tool `stack`.
pub fn sarif(diagnostics: &Diagnostics, sources: &Sources, version: &str) -> Value {
    let mut codes: Vec<&str> = diagnostics.iter().map(|one| one.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let rules: Vec<Value> = codes.iter().map(|code| json!({"id": code})).collect();
    let results: Vec<Value> = diagnostics
        .iter()
        .map(|one| sarif_one(one, sources))
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "stack", "version": version, "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn sarif_one(one: &Diagnostic, sources: &Sources) -> Value {
    let message = match &one.hint {
        Some(hint) => format!("{}; hint: {hint}", one.message),
        None => one.message.clone(),
    };
    let locations: Vec<Value> = one
        .primary
        .iter()
        .map(|label| location(label.span, "", sources))
        .collect();
    let related: Vec<Value> = one
        .secondary
        .iter()
        .map(|label| location(label.span, &label.text, sources))
        .collect();
    json!({
        "ruleId": one.code,
        "level": one.severity.word(),
        "message": {"text": message},
        "locations": locations,
        "relatedLocations": related,
    })
}

fn location(span: Span, text: &str, sources: &Sources) -> Value {
    let Some(file) = sources.file(span.source) else {
        return Value::Null;
    };
    let (start, end) = (file.position(span.start), file.position(span.end));
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": {"uri": file.name},
            "region": {
                "startLine": start.line,
                "startColumn": start.column,
                "endLine": end.line,
                "endColumn": end.column,
            },
        },
    });
    if !text.is_empty()
        && let Some(map) = location.as_object_mut()
    {
        map.insert("message".to_owned(), json!({"text": text}));
    }
    location
}
