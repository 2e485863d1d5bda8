//! Mappings: those whose keys the file names freely, and those whose keys a [`Shape`] lists. Unknown, doubled and
//! missing keys are told here; an object that lacks a required key is left out as a whole.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::grammar::{Extensions, Key, Kind, Owner, Presence, Shape};
use crate::file::merge::first_line;
use crate::file::shape::Shaper;
use crate::file::tree::{Entry, Mapping, Mark, Node, Path, Value};
use crate::file::value;
use crate::model::name::{LanName, NameError, NetworkName, ServiceName, VolumeName};
use crate::source::Span;

/// Which names a mapping's keys may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Names {
    Plain,
    Free,
}

/// What is wrong with a name in this place.
fn as_name(key: &str, path: &Path) -> Result<(), NameError> {
    match path.to_string().split('.').next() {
        Some("services") => key.parse::<ServiceName>().map(drop),
        Some("networks") => key.parse::<NetworkName>().map(drop),
        Some("volumes") => key.parse::<VolumeName>().map(drop),
        Some("lans" | "x-lans") => key.parse::<LanName>().map(drop),
        Some(_) | None => Ok(()),
    }
}

impl Shaper<'_> {
    /// A mapping from names of the file to values of one kind.
    pub fn keys(&mut self, node: Node, inner: &Kind, names: Names, path: &Path) -> Option<Node> {
        let Value::Mapping(mapping) = node.value else {
            return self.wrong(&node, "a mapping", path);
        };
        let mut out = Mapping::default();
        for Entry {
            key,
            key_span,
            node,
        } in mapping.into_entries()
        {
            if names == Names::Plain && !value::is_name(&key) {
                self.tell(
                    Diagnostic::error("bad-name", format!("`{key}` cannot be a name in {path}"))
                        .label(
                            key_span,
                            format!("additional properties '{key}' not allowed"),
                        )
                        .hint("only letters, digits, `.`, `_` and `-` are allowed"),
                    &path.key(&key),
                );
                // What is wrong below it is to be found all the same.
                self.fit(node, inner, &path.key(&key));
                continue;
            }
            if names == Names::Plain
                && let Err(error @ NameError::Long { .. }) = as_name(&key, path)
            {
                self.tell(
                    Diagnostic::error("bad-name", error.to_string())
                        .label(key_span, "too long")
                        .hint("give it a shorter name"),
                    &path.key(&key),
                );
                self.fit(node, inner, &path.key(&key));
                continue;
            }
            let fitted = self.fit(node, inner, &path.key(&key));
            if let Some(fitted) = fitted {
                out.insert(key, key_span, fitted);
            }
        }
        Some(Node {
            value: Value::Mapping(out),
            span: node.span,
            mark: Mark::None,
        })
    }

    /// A mapping whose keys the shape lists.
    pub fn object(&mut self, node: Node, shape: &'static Shape, path: &Path) -> Option<Node> {
        let Value::Mapping(mapping) = node.value else {
            return self.wrong(&node, "a mapping", path);
        };
        let mut out = Mapping::default();
        // What is there and wrong was told, and is not missing.
        let mut mistaken: Vec<&str> = Vec::new();
        for Entry {
            key,
            key_span,
            node,
        } in mapping.into_entries()
        {
            let Some(known) = shape.find(&key) else {
                if key.starts_with("x-") && shape.extensions == Extensions::Allowed {
                    out.insert(key, key_span, node);
                } else {
                    self.unknown(&key, key_span, &node, shape, path);
                }
                continue;
            };
            if let Some(first) = out.entry(known.name) {
                let diagnostic = Diagnostic::error(
                    "duplicate-key",
                    format!("`{}` and `x-{}` are the same key", known.name, known.name),
                )
                .label(key_span, "written again here")
                .also(first.key_span, "first written here")
                .hint("keep one of the two");
                self.tell(diagnostic, path);
                continue;
            }
            let here = path.key(known.name);
            match self.fit(node, &known.kind, &here) {
                Some(fitted) => drop(out.insert(known.name.into(), key_span, fitted)),
                None => mistaken.push(known.name),
            }
        }
        for key in shape.keys {
            if key.presence == Presence::Required && mistaken.contains(&key.name) {
                return None;
            }
            if key.presence == Presence::Required && !out.contains(key.name) {
                self.tell(
                    Diagnostic::error(
                        "missing-key",
                        format!("{path}: missing property '{}'", key.name),
                    )
                    .at(first_line(node.span, self.sources))
                    .hint(format!("{}: {}", key.name, lower(key.description))),
                    path,
                );
                return None;
            }
        }
        external(&mut out, self.told, path);
        Some(Node {
            value: Value::Mapping(out),
            span: node.span,
            mark: Mark::None,
        })
    }

    fn unknown(&mut self, key: &str, span: Span, node: &Node, shape: &'static Shape, path: &Path) {
        let place = if path.is_root() {
            "the top level".to_owned()
        } else {
            path.to_string()
        };
        let mut diagnostic =
            Diagnostic::error("unknown-key", format!("unknown key `{key}` in {place}"))
                .label(span, format!("additional properties '{key}' not allowed"));
        let names = shape.keys.iter().map(|known| known.name);
        if self.told.is_full() {
            // One among thousands is only counted.
        } else if path.is_root() && is_service(node) {
            diagnostic = diagnostic.hint(format!(
                "this looks like a service: put `{key}:` under `services:`"
            ));
        } else if let Some(remedy) = other_name(shape, key) {
            diagnostic = diagnostic.hint(remedy);
        } else if let Some(near) = value::nearest(key, names) {
            diagnostic = diagnostic.hint(format!("did you mean `{near}`?"));
        } else if let Some(below) = found_below(shape, key, 3) {
            diagnostic = diagnostic.hint(format!("`{key}` belongs under `{below}`"));
        } else if shape.extensions == Extensions::Allowed {
            diagnostic = diagnostic.hint(format!("a key of your own starts with `x-`: `x-{key}`"));
        }
        self.tell(diagnostic, path);
    }

    /// A process limit: one number, or a soft and a hard one.
    pub fn ulimit(&mut self, node: Node, path: &Path) -> Option<Node> {
        if !matches!(node.value, Value::Mapping(_)) {
            return self.integer(node, -1, i64::MAX, path);
        }
        static SHAPE: Shape = Shape {
            name: "ulimit",
            title: "Process limit",
            extensions: Extensions::Allowed,
            keys: &[
                crate::file::grammar::key(
                    "soft",
                    Kind::Integer(-1, i64::MAX),
                    "Soft",
                    "The limit in force.",
                )
                .required(),
                crate::file::grammar::key(
                    "hard",
                    Kind::Integer(-1, i64::MAX),
                    "Hard",
                    "How far it may be raised.",
                )
                .required(),
            ],
        };
        self.object(node, &SHAPE, path)
    }
}

/// Whether a value reads like a service, as at the top of files of Compose's first version.
fn is_service(node: &Node) -> bool {
    node.get("image").is_some() || node.get("build").is_some()
}

/// What a key of a service is called by those who know it from elsewhere, and its name here.
fn other_name(shape: &Shape, key: &str) -> Option<&'static str> {
    if shape.name != "service" {
        return None;
    }
    Some(match key {
        "replicas" => "`replicas` belongs under `deploy`; `scale` says the same",
        "memory" | "mem" | "memory_limit" => "a service's memory is `mem_limit`",
        "env" | "envs" | "env_vars" => "a service's variables are `environment`",
        "cpu" | "cpu_limit" => "a service's processors are `cpus`",
        _ => return None,
    })
}

fn lower(sentence: &str) -> String {
    let sentence = sentence.trim_end_matches('.');
    let mut chars = sentence.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// `external: {name: x}`, the old form, as `external: true` and `name: x`.
fn external(mapping: &mut Mapping, told: &mut Diagnostics, path: &Path) {
    let Some(node) = mapping.get("external") else {
        return;
    };
    let Value::Mapping(old) = &node.value else {
        return;
    };
    let span = node.span;
    let name = old.get("name").cloned();
    mapping.set("external", Node::new(Value::Bool(true), span));
    let Some(name) = name else { return };
    told.push(
        Diagnostic::warning(
            "external-name",
            format!("{path}: external.name is deprecated. Please set name and external: true"),
        )
        .at(span),
    );
    match mapping.get("name") {
        Some(there) if !there.same(&name) => told.push(
            Diagnostic::error(
                "external-name",
                format!("{path}: name and external.name conflict; only use name"),
            )
            .at(name.span)
            .also(there.span, "another name"),
        ),
        Some(_) => {}
        None => mapping.set("name", name),
    }
}

/// The path, through objects and lists of objects, to a key that was written too high up.
fn found_below(shape: &'static Shape, name: &str, depth: usize) -> Option<String> {
    if depth == 0 {
        return None;
    }
    shape.keys.iter().find_map(|key| {
        let (inner, suffix) = below(key)?;
        if inner
            .find(name)
            .is_some_and(|found| found.owner == Owner::Compose || key.owner == Owner::Stack)
        {
            return Some(format!("{}{suffix}", key.name));
        }
        found_below(inner, name, depth - 1).map(|rest| format!("{}{suffix}.{rest}", key.name))
    })
}

fn below(key: &Key) -> Option<(&'static Shape, &'static str)> {
    match key.kind {
        Kind::Object(shape) | Kind::Short(_, shape) => Some((shape, "")),
        Kind::List(Kind::Object(shape) | Kind::Short(_, shape), _) => Some((shape, "[]")),
        _ => None,
    }
}
