//! The normal form: what the file leaves unsaid between services and resources is written out. The implicit default
//! network, dependencies that links and shared namespaces imply, names of resources, values taken from the environment.

use std::sync::Arc;

use crate::file::environment::Environment;
use crate::file::merge::listed;
use crate::file::short::clean;
use crate::file::template::Lookup;
use crate::file::tree::{Mapping, Node, Value};
use crate::source::Span;

/// Brings a canonical document into the normal form of a project.
pub fn apply(root: &mut Node, project: &str, environment: &Environment) {
    default_network(root);
    let services = root.get_mut("services").and_then(Node::as_mapping_mut);
    for entry in services.into_iter().flat_map(|mapping| mapping.iter_mut()) {
        service(&mut entry.node, environment);
    }
    for kind in ["networks", "volumes", "configs", "secrets"] {
        let resources = root.get_mut(kind).and_then(Node::as_mapping_mut);
        for entry in resources.into_iter().flat_map(|mapping| mapping.iter_mut()) {
            name(&mut entry.node, &entry.key, project);
        }
    }
}

fn default_network(root: &mut Node) {
    let mut used: Option<Span> = None;
    let services = root.get_mut("services").and_then(Node::as_mapping_mut);
    for entry in services.into_iter().flat_map(|mapping| mapping.iter_mut()) {
        let span = entry.key_span;
        let Some(service) = entry.node.as_mapping_mut() else {
            continue;
        };
        if service.contains("provider") || service.contains("network_mode") {
            continue;
        }
        let networks = service.get("networks").and_then(Node::as_mapping);
        if networks.is_none_or(Mapping::is_empty) {
            let mut networks = Mapping::default();
            networks.insert("default".into(), span, Node::new(Value::Null, span));
            service.set("networks", Node::new(Value::Mapping(networks), span));
            used.get_or_insert(span);
        } else if networks.is_some_and(|networks| networks.contains("default")) {
            used.get_or_insert(span);
        }
    }
    let (Some(span), Some(top)) = (used, root.as_mapping_mut()) else {
        return;
    };
    if !top.contains("networks") {
        top.set("networks", Node::mapping(span));
    }
    if let Some(networks) = top.get_mut("networks").and_then(Node::as_mapping_mut)
        && !networks.contains("default")
    {
        networks.insert("default".into(), span, Node::new(Value::Null, span));
    }
}

/// Takes the values of keys without one from the environment.
pub fn take_values(node: Option<&mut Node>, environment: &dyn Lookup, unset: Unset) {
    let Some(mapping) = node.and_then(Node::as_mapping_mut) else {
        return;
    };
    for entry in mapping.iter_mut().filter(|entry| entry.node.is_null()) {
        if let Some((value, _)) = environment.variable(&entry.key) {
            entry.node.value = Value::Text(value);
        }
    }
    if unset == Unset::Removed && mapping.iter().any(|entry| entry.node.is_null()) {
        mapping.retain(|entry| !entry.node.is_null());
    }
}

/// What becomes of a key without a value that the environment does not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unset {
    /// It stays, and removes the variable that the image sets.
    Kept,
    Removed,
}

fn service(node: &mut Node, environment: &Environment) {
    if let Some(policy) = node.get_mut("pull_policy")
        && policy.as_text() == Some("if_not_present")
    {
        policy.value = Value::Text("missing".into());
    }
    if let Some(build) = node.get_mut("build") {
        take_values(build.get_mut("args"), environment, Unset::Removed);
        let span = build.span;
        if let Some(build) = build.as_mapping_mut()
            && !build.contains("dockerfile")
            && !build.contains("dockerfile_inline")
        {
            build.set("dockerfile", Node::text("Dockerfile", span));
        }
    }
    take_values(node.get_mut("environment"), environment, Unset::Kept);
    for volume in node
        .get_mut("volumes")
        .and_then(Node::as_sequence_mut)
        .into_iter()
        .flatten()
    {
        if let Some(target) = volume.get_mut("target")
            && let Some(text) = target.as_text()
        {
            target.value = Value::Text(clean(text).into());
        }
    }
    implied_dependencies(node);
}

/// A dependency that is not written as one.
struct Implied {
    service: Arc<str>,
    span: Span,
    restart: bool,
}

fn implied_dependencies(node: &mut Node) {
    let mut implied: Vec<Implied> = Vec::new();
    for link in node.get("links").and_then(Node::as_sequence).unwrap_or(&[]) {
        if let Some(text) = link.as_text() {
            let parts: Vec<&str> = text.split(':').collect();
            let service = if parts.len() == 2 {
                parts.first().copied().unwrap_or(text)
            } else {
                text
            };
            implied.push(Implied {
                service: service.into(),
                span: link.span,
                restart: true,
            });
        }
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        if let Some(mode) = node.get(key)
            && let Some(service) = mode
                .as_text()
                .and_then(|text| text.strip_prefix("service:"))
            // A mode that names nobody is refused as such.
            && !(service.is_empty() && matches!(key, "ipc" | "cgroup"))
        {
            implied.push(Implied {
                service: service.into(),
                span: mode.span,
                restart: true,
            });
        }
    }
    for from in node
        .get("volumes_from")
        .and_then(Node::as_sequence)
        .unwrap_or(&[])
    {
        if let Some(text) = from
            .as_text()
            .filter(|text| !text.starts_with("container:"))
        {
            let service = text.split(':').next().unwrap_or(text);
            implied.push(Implied {
                service: service.into(),
                span: from.span,
                restart: false,
            });
        }
    }
    let (Some(first), Some(service)) = (implied.first(), node.as_mapping_mut()) else {
        return;
    };
    if !service.contains("depends_on") {
        service.set("depends_on", Node::mapping(first.span));
    }
    let Some(dependencies) = service.get_mut("depends_on").and_then(Node::as_mapping_mut) else {
        return;
    };
    for Implied {
        service,
        span,
        restart,
    } in implied
    {
        match dependencies
            .get_mut(&service)
            .and_then(Node::as_mapping_mut)
        {
            // An entry that says nothing of `restart` does not weaken what the link or shared namespace implies.
            Some(there) => {
                if restart && !there.contains("restart") {
                    there.set("restart", Node::new(Value::Bool(true), span));
                }
            }
            None => {
                let mut made = Mapping::default();
                made.set("condition", Node::text("service_started", span));
                made.set("restart", Node::new(Value::Bool(restart), span));
                made.set("required", Node::new(Value::Bool(true), span));
                made.set(IMPLIED, Node::new(Value::Bool(true), span));
                dependencies.insert(service, span, Node::new(Value::Mapping(made), span));
            }
        }
    }
}

/// Marks a dependency that is not written in the file; never printed.
pub const IMPLIED: &str = "x-#implied";

fn name(node: &mut Node, key: &str, project: &str) {
    if node.is_null() {
        node.value = Value::Mapping(Mapping::default());
    }
    let span = node.span;
    let external = node.get("external").and_then(Node::as_bool) == Some(true);
    if let Some(mapping) = node.as_mapping_mut()
        && !mapping.contains("name")
    {
        let name = if external {
            key.to_owned()
        } else {
            format!("{project}_{key}")
        };
        mapping.set("name", Node::text(name, span));
    }
}

/// The items of a node that is a list, or of the list that it stands for.
pub fn texts(node: Option<&Node>) -> Vec<String> {
    let Some(node) = node else { return Vec::new() };
    match &node.value {
        Value::Sequence(items) => items.iter().filter_map(Node::scalar_text).collect(),
        _ => listed(node.clone())
            .as_sequence()
            .unwrap_or(&[])
            .iter()
            .filter_map(Node::scalar_text)
            .collect(),
    }
}
