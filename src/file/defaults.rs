//! What holds where the file says nothing, where Compose writes it into the canonical form; and the last short
//! spellings, which need more than one value to be seen.

use crate::file::merge::listed;
use crate::file::tree::{Mapping, Node, Value};

/// Writes the defaults into a canonical document.
pub fn apply(root: &mut Node) {
    let services = root.get_mut("services").and_then(Node::as_mapping_mut);
    for entry in services.into_iter().flat_map(|mapping| mapping.iter_mut()) {
        service(&mut entry.node);
    }
}

fn service(node: &mut Node) {
    let Some(service) = node.as_mapping_mut() else {
        return;
    };
    // An empty `deploy:` says nothing.
    service.retain(|entry| !(matches!(&*entry.key, "deploy" | "develop") && entry.node.is_null()));
    for entry in service.iter_mut() {
        let node = &mut entry.node;
        match &*entry.key {
            "dns" => named(node),
            "build" => {
                missing(node, "context", |span| Node::text(".", span));
                attestations(node);
            }
            "ports" => items(node, |port| {
                missing(port, "mode", |span| Node::text("ingress", span));
                missing(port, "protocol", |span| Node::text("tcp", span));
            }),
            "secrets" => items(node, |secret| {
                if let Some(source) = secret.get("source").and_then(Node::as_text) {
                    let target = format!("/run/secrets/{source}");
                    missing(secret, "target", |span| Node::text(target, span));
                }
            }),
            "depends_on" => {
                for entry in node
                    .as_mapping_mut()
                    .into_iter()
                    .flat_map(|all| all.iter_mut())
                {
                    missing(&mut entry.node, "condition", |span| {
                        Node::text("service_started", span)
                    });
                    missing(&mut entry.node, "required", |span| {
                        Node::new(Value::Bool(true), span)
                    });
                }
            }
            "env_file" => env_files(node),
            "gpus" => {
                if node.as_text().is_some() {
                    *node = listed(Node::mapping(node.span));
                }
                items(node, device_request);
            }
            "deploy" => {
                let devices = node
                    .get_mut("resources")
                    .and_then(|resources| resources.get_mut("reservations"))
                    .and_then(|reservations| reservations.get_mut("devices"));
                if let Some(devices) = devices {
                    items(devices, device_request);
                }
            }
            _ => {}
        }
    }
}

fn missing(node: &mut Node, key: &str, make: impl FnOnce(crate::source::Span) -> Node) {
    let span = node.span;
    if let Some(mapping) = node.as_mapping_mut()
        && !mapping.contains(key)
    {
        mapping.set(key, make(span));
    }
}

fn items(node: &mut Node, mut act: impl FnMut(&mut Node)) {
    node.as_sequence_mut()
        .into_iter()
        .flatten()
        .for_each(&mut act);
}

/// An empty text names no resolver.
fn named(node: &mut Node) {
    if let Some(items) = node.as_sequence_mut() {
        items.retain(|item| item.as_text() != Some(""));
    }
}

fn attestations(build: &mut Node) {
    for key in ["provenance", "sbom"] {
        if let Some(node) = build.get_mut(key)
            && let Some(yes) = node.as_bool()
        {
            node.value = Value::Text(yes.to_string().into());
        }
    }
}

fn env_files(node: &mut Node) {
    let span = node.span;
    let list = listed(std::mem::replace(node, Node::new(Value::Null, span)));
    *node = list;
    items(node, |item| {
        if item.as_text().is_some() {
            let span = item.span;
            let path = std::mem::replace(item, Node::new(Value::Null, span));
            let mut mapping = Mapping::default();
            mapping.set("path", path);
            item.value = Value::Mapping(mapping);
        }
        missing(item, "required", |span| Node::new(Value::Bool(true), span));
    });
}

// The engine's word for all devices is -1.
fn device_request(request: &mut Node) {
    if request.get("device_ids").is_none() {
        missing(request, "count", |span| Node::text("all", span));
    }
    if let Some(count) = request.get_mut("count")
        && count.as_text() == Some("all")
    {
        count.value = Value::Integer(-1);
    }
}
