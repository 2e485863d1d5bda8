//! The JSON Schema of stack files (draft 2020-12), read off the grammar, so that editors complete and explain every
//! key. It says what the shape check says; a `$` in a value stands for anything, as variables are filled in later.

use serde_json::{Map, Value as Json, json};

use crate::diagnostic::Diagnostics;
use crate::file::grammar::top::STACK;
use crate::file::grammar::{Extensions, Key, Kind, Owner, Presence, Shape, ShortForm, Unique};
use crate::file::render::plain;
use crate::file::yaml;
use crate::source::Sources;

/// The whole schema.
pub fn schema() -> Json {
    let mut definitions = Map::new();
    let Json::Object(top) = object(&STACK, &mut definitions) else {
        return Json::Null;
    };
    definitions.sort_keys();
    let mut out = Map::new();
    out.insert(
        "$schema".to_owned(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    out.insert("$id".to_owned(), json!("stack.schema.json"));
    out.insert(
        "description".to_owned(),
        json!("A stack file: the Compose Specification, and networks with both their sides."),
    );
    out.extend(top);
    out.insert("$defs".to_owned(), Json::Object(definitions));
    Json::Object(out)
}

/// The schema as the text of a file.
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(&schema()).expect("a JSON value always has a text");
    text.push('\n');
    text
}

/// A text of YAML as JSON; null where it has a mistake.
pub fn json_of(text: &str) -> Json {
    let mut sources = Sources::default();
    let source = sources.add("value".to_owned(), None, text.into(), None);
    let mut told = Diagnostics::default();
    let documents = yaml::parse(&sources, source, &mut told);
    documents
        .first()
        .filter(|_| !told.has_errors())
        .map_or(Json::Null, plain)
}

fn object(shape: &'static Shape, definitions: &mut Map<String, Json>) -> Json {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in shape.keys {
        let described = property(key, definitions);
        if key.owner == Owner::Stack {
            properties.insert(format!("x-{}", key.name), described.clone());
        }
        properties.insert(key.name.to_owned(), described);
        if key.presence == Presence::Required {
            required.push(json!(key.name));
        }
    }
    let mut out = Map::new();
    out.insert("title".to_owned(), json!(shape.title));
    out.insert("type".to_owned(), json!("object"));
    out.insert("properties".to_owned(), Json::Object(properties));
    if shape.extensions == Extensions::Allowed {
        out.insert("patternProperties".to_owned(), json!({"^x-": true}));
    }
    if !required.is_empty() {
        out.insert("required".to_owned(), Json::Array(required));
    }
    out.insert("additionalProperties".to_owned(), json!(false));
    Json::Object(out)
}

fn property(key: &Key, definitions: &mut Map<String, Json>) -> Json {
    let mut out = Map::new();
    out.insert("title".to_owned(), json!(key.title));
    let description = match key.since {
        Some(version) => format!("{} Engine API {version} and later.", key.description),
        None => key.description.to_owned(),
    };
    out.insert("description".to_owned(), json!(description));
    if let Some(default) = key.default {
        out.insert("default".to_owned(), json_of(default));
    }
    if !key.examples.is_empty() {
        out.insert(
            "examples".to_owned(),
            key.examples
                .iter()
                .map(|example| json_of(example))
                .collect(),
        );
    }
    if key.name == "version" {
        out.insert("deprecated".to_owned(), json!(true));
    }
    if let Json::Object(kind) = kind(&key.kind, definitions) {
        out.extend(kind);
    }
    Json::Object(out)
}

fn reference(shape: &'static Shape, definitions: &mut Map<String, Json>) -> Json {
    if !definitions.contains_key(shape.name) {
        // A place is taken first, so that shapes that contain themselves would end.
        definitions.insert(shape.name.to_owned(), Json::Null);
        let made = object(shape, definitions);
        definitions.insert(shape.name.to_owned(), made);
    }
    json!({"$ref": format!("#/$defs/{}", shape.name)})
}

/// A string that matches, or one with a variable.
fn matching(pattern: &str) -> Json {
    json!({"type": "string", "pattern": format!("^({pattern})$|\\$")})
}

fn any_of(all: impl IntoIterator<Item = Json>) -> Json {
    json!({"anyOf": all.into_iter().collect::<Vec<Json>>()})
}

fn boolean() -> Json {
    let words = ["true", "false", "yes", "no", "on", "off", "y", "n"];
    let any_case = |word: &str| {
        word.chars()
            .map(|c| format!("[{}{}]", c.to_ascii_uppercase(), c))
            .collect::<String>()
    };
    any_of([
        json!({"type": "boolean"}),
        matching(&words.map(any_case).join("|")),
    ])
}

fn integer(least: i64, most: i64) -> Json {
    let mut number = json!({"type": "integer"});
    if let Some(map) = number.as_object_mut() {
        if least != i64::MIN {
            map.insert("minimum".to_owned(), json!(least));
        }
        if most != i64::MAX {
            map.insert("maximum".to_owned(), json!(most));
        }
    }
    any_of([number, matching("[+-]?[0-9]+")])
}

fn strings() -> Json {
    json!({"type": "array", "items": {"type": "string"}})
}

fn pairs(item: &str) -> Json {
    any_of([
        json!({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}}),
        json!({"type": "array", "items": {"type": "string", "pattern": item}}),
    ])
}

/// A list in which nothing is there twice.
fn once(item: Json) -> Json {
    json!({"type": "array", "items": item, "uniqueItems": true})
}

fn named(inner: Json) -> Json {
    json!({"type": "object", "patternProperties": {"^[a-zA-Z0-9._-]+$": inner}, "additionalProperties": false})
}

fn kind(of: &Kind, definitions: &mut Map<String, Json>) -> Json {
    match of {
        Kind::Any => json!({}),
        Kind::Null => json!({"type": "null"}),
        Kind::Text => json!({"type": "string"}),
        Kind::Choice(choices) => any_of([
            json!({"enum": choices}),
            json!({"type": "string", "pattern": "\\$"}),
        ]),
        Kind::Boolean => boolean(),
        Kind::Integer(least, most) => integer(*least, *most),
        Kind::Number => any_of([
            json!({"type": "number"}),
            matching("[+-]?[0-9.]+([eE][+-]?[0-9]+)?"),
        ]),
        Kind::TextOrNumber => json!({"type": ["string", "number"]}),
        Kind::Duration => matching("[+-]?([0-9.]+(ns|us|µs|μs|ms|s|m|h|d|w))+|[+-]?0"),
        Kind::Bytes => any_of([
            json!({"type": "integer"}),
            matching("-1|[0-9]+(\\.[0-9]+)? ?([bB]|[kmgtpKMGTP]([iI]?[bB])?)?"),
        ]),
        Kind::FileMode => any_of([
            json!({"type": "integer", "minimum": 0, "maximum": 0o7777}),
            matching("0?[0-7]{1,4}"),
        ]),
        Kind::ModeBits => any_of([
            json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
            json!({"type": "string", "pattern": "\\$"}),
        ]),
        Kind::Command => any_of([json!({"type": ["null", "string"]}), strings()]),
        Kind::HealthTest | Kind::TextList(_) => any_of([json!({"type": "string"}), strings()]),
        Kind::Environment | Kind::Labels => pairs(""),
        Kind::Contexts => pairs("=|\\$"),
        Kind::Options => {
            json!({"type": "object", "additionalProperties": {"type": ["string", "number", "null"]}})
        }
        Kind::MultiOptions => {
            let scalar = json!({"type": ["string", "number", "boolean"]});
            let value = any_of([scalar.clone(), json!({"type": "array", "items": scalar})]);
            json!({"type": "object", "additionalProperties": value})
        }
        Kind::Hosts => {
            let value = any_of([json!({"type": ["string", "null"]}), strings()]);
            any_of([
                json!({"type": "object", "additionalProperties": value}),
                once(json!({"type": "string", "pattern": "[=:]|\\$"})),
            ])
        }
        Kind::Ssh => any_of([
            json!({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}}),
            once(json!({"type": "string", "pattern": "^default$|=|\\$"})),
        ]),
        Kind::Ulimit => {
            let limit = integer(-1, i64::MAX);
            any_of([
                limit.clone(),
                json!({
                    "type": "object",
                    "properties": {"soft": limit, "hard": limit},
                    "required": ["soft", "hard"],
                    "patternProperties": {"^x-": true},
                    "additionalProperties": false,
                }),
            ])
        }
        Kind::External => any_of([
            boolean(),
            json!({"type": "object", "properties": {"name": {"type": "string"}}, "additionalProperties": false}),
        ]),
        Kind::Mapping(inner) => {
            json!({"type": "object", "additionalProperties": kind(inner, definitions)})
        }
        Kind::Named(inner) => named(kind(inner, definitions)),
        Kind::NamedList(inner) => any_of([
            once(json!({"type": "string"})),
            named(kind(inner, definitions)),
        ]),
        Kind::List(inner, Unique::Once) => once(kind(inner, definitions)),
        Kind::List(inner, _) => json!({"type": "array", "items": kind(inner, definitions)}),
        Kind::Object(shape) => reference(shape, definitions),
        Kind::Short(form, shape) => {
            let long = reference(shape, definitions);
            match form {
                ShortForm::Under(_) | ShortForm::Mount | ShortForm::Device => {
                    any_of([json!({"type": "string"}), long])
                }
                ShortForm::Port => any_of([json!({"type": ["string", "integer"]}), long]),
                ShortForm::Switch => any_of([boolean(), long]),
            }
        }
        Kind::OneOf(kinds) => any_of(
            kinds
                .iter()
                .map(|inner| kind(inner, definitions))
                .collect::<Vec<_>>(),
        ),
    }
}
