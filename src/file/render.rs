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
    serde_yaml::to_string(&value(document, Notation::Yaml))
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
                    drop(out.insert(key.name.to_owned(), Json::Null))
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
