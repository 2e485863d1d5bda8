//! Diagnostics for programs: a JSON list for scripts and editors, and SARIF 2.1.0 (OASIS) for code scanning in CI.
//! Lines and columns count from 1, columns in characters; the shapes are stable.

use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::source::{Sources, Span};

/// All diagnostics as `{"diagnostics": […]}`, with how many there were and how many of them are not in the list.
pub fn json(diagnostics: &Diagnostics, sources: &Sources) -> Value {
    let all: Vec<Value> = diagnostics
        .iter()
        .map(|one| json_one(one, sources))
        .collect();
    json!({
        "errors": diagnostics.count(Severity::Error),
        "warnings": diagnostics.count(Severity::Warning),
        "left_out": diagnostics.left_out(),
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
    let mut message = one.message.clone();
    let remarks = one.notes.iter().filter(|note| note.span.is_none());
    for remark in remarks {
        message.push_str(&format!("; note: {}", remark.text));
    }
    if let Some(hint) = &one.hint {
        message.push_str(&format!("; hint: {hint}"));
    }
    let locations: Vec<Value> = one
        .primary
        .iter()
        .filter_map(|label| location(label.span, &label.text, sources))
        .collect();
    let labels = one
        .secondary
        .iter()
        .map(|label| (label.span, label.text.as_str()));
    let notes = one
        .notes
        .iter()
        .filter_map(|note| Some((note.span?, note.text.as_str())));
    let related: Vec<Value> = labels
        .chain(notes)
        .filter_map(|(span, text)| location(span, text, sources))
        .collect();
    json!({
        "ruleId": one.code,
        "level": one.severity.word(),
        "message": {"text": message},
        "locations": locations,
        "relatedLocations": related,
    })
}

fn location(span: Span, text: &str, sources: &Sources) -> Option<Value> {
    let file = sources.file(span.source)?;
    let (start, end) = (file.position(span.start), file.position(span.end));
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": {"uri": uri(&file.name)},
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
    Some(location)
}

/// A path as a URI reference (RFC 3986): what is not a letter, a digit, `-._~` or `/` goes by its bytes.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{json, sarif};
    use crate::diagnostic::{Diagnostic, Diagnostics};
    use crate::source::{Sources, Span};

    #[test]
    fn sarif_says_where_all_of_it_comes_from() {
        let mut sources = Sources::default();
        let source = sources.add("a b/ü.yaml".to_owned(), None, "x: y\nz: 1\n".into(), None);
        let span = |start| Span {
            source,
            start,
            end: start + 1,
        };
        let one = Diagnostic::error("code", "wrong")
            .label(span(0), "here")
            .also(span(3), "other")
            .note_at("included from", span(5))
            .note("the same for b");
        let told = sarif(&Diagnostics::from_iter([one]), &sources, "1");
        let result = &told["runs"][0]["results"][0];
        assert_eq!(result["message"]["text"], "wrong; note: the same for b");
        let place = &result["locations"][0];
        assert_eq!(
            place["physicalLocation"]["artifactLocation"]["uri"],
            "a%20b/%C3%BC.yaml"
        );
        let related: Vec<_> = (0..2)
            .map(|at| &result["relatedLocations"][at])
            .map(|one| {
                let line = &one["physicalLocation"]["region"]["startLine"];
                (one["message"]["text"].as_str(), line.as_u64())
            })
            .collect();
        let wanted = [(Some("other"), Some(1)), (Some("included from"), Some(2))];
        assert_eq!(related, wanted);
    }

    #[test]
    fn what_is_not_kept_is_counted() {
        let all = (0..1_500).map(|at| Diagnostic::error("code", format!("{at}")));
        let told = json(&Diagnostics::from_iter(all), &Sources::default());
        assert_eq!(told["errors"], 1_500);
        assert_eq!(told["left_out"], 500);
        assert_eq!(told["diagnostics"].as_array().map(Vec::len), Some(1_000));
    }
}
