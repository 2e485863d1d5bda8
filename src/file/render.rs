//! The canonical document as JSON and YAML, as `stack config` prints it: keys in the grammar's order, names sorted,
//! what is false, zero or empty left out where it means the same as nothing. A file without keys of ours comes out as
//! `docker compose config` prints it.

use serde_json::{Map, Value as Json};

use crate::file::document::Document;
use crate::file::grammar::top::STACK;
use crate::file::grammar::{Key, Kind, Shape, Zero};
use crate::file::normal::IMPLIED;
use crate::file::shape::Variables;
use crate::file::tree::{Entry, Mapping, Node, Value};

/// The two notations, which differ in what is said of an absent command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    Json,
    Yaml,
}

/// The document as a value with a stable order.
pub fn value(document: &Document, notation: Notation) -> Json {
    let mut out = Map::new();
    out.insert("name".to_owned(), Json::String(document.project.clone()));
    let empty = Mapping::default();
    let root = document.root.as_mapping().unwrap_or(&empty);
    for key in STACK
        .keys
        .iter()
        .filter(|key| !matches!(key.name, "name" | "version" | "include"))
    {
        match root.get(key.name) {
            Some(node) => {
                let value = render(node, &key.kind, notation);
                if key.name == "services" || !is_empty(&value) {
                    out.insert(key.name.to_owned(), value);
                }
            }
            None if key.name == "services" => {
                drop(out.insert("services".to_owned(), Json::Object(Map::new())))
            }
            None => {}
        }
    }
    extensions(root, &mut out);
    match document.variables {
        // What is printed can be read again: a `$` that is left is meant as one.
        Variables::FilledIn => escaped(Json::Object(out)),
        Variables::AsWritten => Json::Object(out),
    }
}

fn escaped(value: Json) -> Json {
    match value {
        Json::String(text) if text.contains('$') => Json::String(text.replace('$', "$$")),
        Json::Array(items) => Json::Array(items.into_iter().map(escaped).collect()),
        Json::Object(map) => Json::Object(
            map.into_iter()
                .map(|(key, value)| (key.replace('$', "$$"), escaped(value)))
                .collect(),
        ),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => value,
    }
}

/// The document as JSON with two blanks of indentation.
pub fn json(document: &Document) -> String {
    let value = value(document, Notation::Json);
    serde_json::to_string_pretty(&value).expect("a JSON value always has a text")
}

/// The document as YAML.
///
/// # Errors
/// Where a number has no YAML form, which a value read from YAML always has.
pub fn yaml(document: &Document) -> Result<String, serde_yaml::Error> {
    yaml_text(&value(document, Notation::Yaml))
}

/// Any value as YAML, safe for readers of YAML 1.1 too: for them `yes`, `no`, `on`, `off`, `y` and `n` are booleans, so
/// texts and keys that look so are quoted.
///
/// # Errors
/// Where a number has no YAML form.
pub fn yaml_text(value: &Json) -> Result<String, serde_yaml::Error> {
    let written = serde_yaml::to_string(value)?;
    let mut out = String::with_capacity(written.len());
    // Lines of a block text (`|`) are content: those that are indented deeper than the key or item that opened it.
    let mut block: Option<usize> = None;
    for line in written.lines() {
        let indent = line.len() - line.trim_start_matches(' ').len();
        if block.is_some_and(|least| indent >= least || line.trim().is_empty()) {
            out.push_str(line);
        } else {
            let (quoted, opened) = quoted_line(line);
            block = opened;
            out.push_str(&quoted);
        }
        out.push('\n');
    }
    Ok(out)
}

fn is_old_boolean(text: &str) -> bool {
    matches!(
        text.to_ascii_lowercase().as_str(),
        "y" | "n" | "yes" | "no" | "on" | "off"
    )
}

/// A line with its key and value quoted where they look like booleans, and, where it opens a block text, the least
/// indentation of that.
fn quoted_line(line: &str) -> (String, Option<usize>) {
    let mut rest = line.trim_start_matches(' ');
    while let Some(after) = rest.strip_prefix("- ") {
        rest = after.trim_start_matches(' ');
    }
    let head = line.get(..line.len() - rest.len()).unwrap_or("");
    let (key, value) = match rest.split_once(": ") {
        Some((key, value)) if !rest.starts_with(['"', '\'']) => (Some(key), value),
        _ => match rest.strip_suffix(':') {
            Some(key) => (Some(key), ""),
            None => (None, rest),
        },
    };
    let quote = |text: &str| {
        if is_old_boolean(text) {
            format!("'{text}'")
        } else {
            text.to_owned()
        }
    };
    let least = if key.is_some() {
        head.len() + 1
    } else {
        head.len().saturating_sub(1)
    };
    let opened = value.starts_with(['|', '>']).then_some(least);
    let line = match key {
        Some(key) if value.is_empty() => format!("{head}{}:", quote(key)),
        Some(key) => format!("{head}{}: {}", quote(key), quote(value)),
        None => format!("{head}{}", quote(value)),
    };
    (line, opened)
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Object(map) => map.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    }
}

fn sorted(mapping: &Mapping) -> Vec<&Entry> {
    let mut entries: Vec<&Entry> = mapping.iter().collect();
    entries.sort_by(|one, two| one.key.cmp(&two.key));
    entries
}

fn extensions(mapping: &Mapping, out: &mut Map<String, Json>) {
    for entry in sorted(mapping) {
        if entry.key.starts_with("x-") && &*entry.key != IMPLIED && !out.contains_key(&*entry.key) {
            out.insert(entry.key.to_string(), plain(&entry.node));
        }
    }
}

fn render(node: &Node, kind: &Kind, notation: Notation) -> Json {
    match (kind, &node.value) {
        (Kind::Object(shape) | Kind::Short(_, shape), Value::Mapping(mapping)) => {
            object(mapping, shape, notation)
        }
        (
            Kind::Named(inner) | Kind::NamedList(inner) | Kind::Mapping(inner),
            Value::Mapping(mapping),
        ) => Json::Object(
            sorted(mapping)
                .into_iter()
                .map(|entry| (entry.key.to_string(), render(&entry.node, inner, notation)))
                .collect(),
        ),
        (Kind::List(inner, _), Value::Sequence(items)) => Json::Array(
            items
                .iter()
                .map(|item| render(item, inner, notation))
                .collect(),
        ),
        (Kind::OneOf(kinds), Value::Mapping(_)) => {
            let inner = kinds.iter().find(|kind| matches!(kind, Kind::Object(_)));
            inner.map_or_else(|| plain(node), |inner| render(node, inner, notation))
        }
        (Kind::OneOf(kinds), Value::Sequence(_)) => {
            let inner = kinds.iter().find(|kind| matches!(kind, Kind::List(..)));
            inner.map_or_else(|| plain(node), |inner| render(node, inner, notation))
        }
        _ => plain(node),
    }
}

fn object(mapping: &Mapping, shape: &Shape, notation: Notation) -> Json {
    let mut out = Map::new();
    for key in shape.keys {
        match mapping.get(key.name) {
            Some(node) => {
                let value = render(node, &key.kind, notation);
                if !is_dropped(key, &value, notation) {
                    out.insert(key.name.to_owned(), value);
                }
            }
            None => match key.zero {
                Zero::Always => drop(out.insert(key.name.to_owned(), Json::Object(Map::new()))),
                Zero::NullInJson if notation == Notation::Json => {
                    let value = match key.kind {
                        Kind::Object(shape) => object(&Mapping::default(), shape, notation),
                        _ => Json::Null,
                    };
                    out.insert(key.name.to_owned(), value);
                }
                Zero::NullInJson | Zero::Dropped | Zero::Kept => {}
            },
        }
    }
    extensions(mapping, &mut out);
    Json::Object(out)
}

fn is_dropped(key: &Key, value: &Json, notation: Notation) -> bool {
    match key.zero {
        Zero::Kept | Zero::Always => value.is_null(),
        Zero::NullInJson => value.is_null() && notation == Notation::Yaml,
        Zero::Dropped => match value {
            Json::Null => true,
            Json::Bool(yes) => !yes,
            Json::Number(number) => number.as_f64() == Some(0.0),
            Json::String(text) => {
                text.is_empty()
                    || (matches!(key.kind, Kind::Bytes) && text == "0")
                    || (matches!(key.kind, Kind::Duration) && text == "0s")
            }
            Json::Array(items) => items.is_empty(),
            Json::Object(map) => map.is_empty(),
        },
    }
}

/// A node as it stands, with sorted keys.
pub fn plain(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(yes) => Json::Bool(*yes),
        Value::Integer(number) => Json::Number((*number).into()),
        Value::Large(number) => Json::Number((*number).into()),
        Value::Float(number) => {
            // A number without a fraction is printed without one, as in Go.
            if number.fract() == 0.0 && number.abs() < 9e15 {
                Json::Number((*number as i64).into())
            } else {
                serde_json::Number::from_f64(*number).map_or(Json::Null, Json::Number)
            }
        }
        Value::Text(text) => Json::String(text.to_string()),
        Value::Sequence(items) => Json::Array(items.iter().map(plain).collect()),
        Value::Mapping(mapping) => Json::Object(
            sorted(mapping)
                .into_iter()
                .map(|entry| (entry.key.to_string(), plain(&entry.node)))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::yaml_text;

    #[test]
    fn what_looks_like_a_boolean_of_yaml_1_1_is_quoted_outside_block_texts() {
        let value = serde_json::json!({"n": "yes", "list": ["off", {"a": "line\nno\n", "b": "on"}], "t": "x: y\nno"});
        let text = yaml_text(&value).unwrap();
        assert!(text.starts_with("'n': 'yes'\n"), "{text}");
        assert!(
            text.contains("b: 'on'\n") && text.contains("- 'off'\n"),
            "{text}"
        );
        assert_eq!(crate::file::schema::json_of(&text), value);
    }
}
