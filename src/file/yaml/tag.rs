//! Tags: `!reset` and `!override`, and those of YAML's core schema (`!!str`, `!!int`, …), which say what a scalar is.

use saphyr_parser::{ScalarStyle, Tag};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::scalar;
use crate::file::tree::{Mark, Value};
use crate::source::Span;

/// What a tag asks of the merge. One that means nothing is told.
pub fn mark(tag: Option<&Tag>, span: Span, told: &mut Diagnostics) -> Mark {
    let Some(tag) = tag else { return Mark::None };
    match (tag.handle.as_str(), tag.suffix.as_str()) {
        ("!", "reset") => Mark::Reset,
        ("!", "override") => Mark::Override,
        ("!" | "", "") => Mark::None,
        _ if tag.is_yaml_core_schema() => Mark::None,
        _ => {
            told.push(
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

/// The value of a scalar, by its style and its tag.
pub fn scalar(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    span: Span,
    told: &mut Diagnostics,
) -> Value {
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
        (Some("float"), Value::Large(number)) => return Value::Float(*number as f64),
        (Some("int"), Value::Integer(_) | Value::Large(_))
        | (Some("float"), Value::Float(_))
        | (Some("bool"), Value::Bool(_))
        | (Some("null"), Value::Null) => true,
        (Some(_), _) => false,
    };
    if !fits {
        told.push(
            Diagnostic::error(
                "tag-mismatch",
                format!("`{text}` is not a `!!{}`", core.unwrap_or("")),
            )
            .at(span),
        );
    }
    value
}
