//! What of the document is wanted: services of active profiles or named on the command line with what they depend on,
//! and the resources that they use.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::tree::{Entry, Node};
use crate::file::value;

/// Which services are wanted.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    pub profiles: Vec<String>,
    /// Named services; none is all of the active profiles.
    pub services: Vec<String>,
    pub dependencies: Dependencies,
}

/// Whether the dependencies of named services are wanted too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dependencies {
    #[default]
    Included,
    Left,
}

/// Services that the file has and that are not wanted, by name.
pub type Inactive = BTreeMap<Arc<str>, Entry>;

/// Takes the services of inactive profiles out of the document.
pub fn profiles(root: &mut Node, selection: &Selection) -> Inactive {
    let mut active: HashSet<String> = selection.profiles.iter().cloned().collect();
    // Naming a service makes its profiles active.
    if let Some(services) = root.get("services").and_then(Node::as_mapping) {
        for name in &selection.services {
            if let Some(service) = services.get(name) {
                active.extend(profiles_of(service).into_iter().map(ToOwned::to_owned));
            }
        }
    }
    let all = active.contains("*");
    let mut inactive = Inactive::new();
    if let Some(services) = root.get_mut("services").and_then(Node::as_mapping_mut) {
        services.retain(|entry| {
            let own = profiles_of(&entry.node);
            let wanted =
                all || own.is_empty() || own.iter().any(|profile| active.contains(*profile));
            if !wanted {
                inactive.insert(entry.key.clone(), entry.clone());
            }
            wanted
        });
    }
    inactive
}

/// The profiles of a service.
pub fn profiles_of(service: &Node) -> Vec<&str> {
    let list = service
        .get("profiles")
        .and_then(Node::as_sequence)
        .unwrap_or(&[]);
    list.iter().filter_map(Node::as_text).collect()
}

/// Keeps the named services, and what they depend on.
pub fn select(
    root: &mut Node,
    selection: &Selection,
    inactive: &mut Inactive,
    told: &mut Diagnostics,
) {
    if selection.services.is_empty() {
        return;
    }
    let Some(services) = root.get("services").and_then(Node::as_mapping) else {
        return;
    };
    let mut wanted: HashSet<Arc<str>> = HashSet::new();
    let mut queue: Vec<Arc<str>> = Vec::new();
    for name in &selection.services {
        match services.entry(name) {
            Some(entry) => queue.push(entry.key.clone()),
            None => {
                let mut diagnostic =
                    Diagnostic::error("no-such-service", format!("no such service: {name}"));
                if let Some(near) = value::nearest(name, services.iter().map(|entry| &*entry.key)) {
                    diagnostic = diagnostic.hint(format!("did you mean `{near}`?"));
                }
                told.push(diagnostic);
            }
        }
    }
    while let Some(name) = queue.pop() {
        let Some(entry) = services.entry(&name) else {
            continue;
        };
        if !wanted.insert(name) || selection.dependencies == Dependencies::Left {
            continue;
        }
        let below = entry.node.get("depends_on").and_then(Node::as_mapping);
        queue.extend(
            below
                .into_iter()
                .flat_map(|all| all.iter())
                .map(|dependency| dependency.key.clone()),
        );
    }
    let Some(services) = root.get_mut("services").and_then(Node::as_mapping_mut) else {
        return;
    };
    services.retain(|entry| {
        let keep = wanted.contains(&entry.key);
        if !keep {
            inactive.insert(entry.key.clone(), entry.clone());
        }
        keep
    });
    for entry in services.iter_mut() {
        if let Some(dependencies) = entry
            .node
            .get_mut("depends_on")
            .and_then(Node::as_mapping_mut)
        {
            dependencies.retain(|dependency| wanted.contains(&dependency.key));
        }
    }
}

/// Takes resources that no service uses out of the document. A network with a shim is used by the host.
pub fn drop_unused(root: &mut Node) {
    let mut used: HashSet<(&'static str, Arc<str>)> = HashSet::new();
    let services = root.get("services").and_then(Node::as_mapping);
    for entry in services.into_iter().flat_map(|all| all.iter()) {
        let service = &entry.node;
        for (key, kind) in [("networks", "networks"), ("models", "models")] {
            let names = service.get(key).and_then(Node::as_mapping);
            used.extend(
                names
                    .into_iter()
                    .flat_map(|all| all.iter())
                    .map(|entry| (kind, entry.key.clone())),
            );
        }
        for volume in list(service, "volumes") {
            if volume.get("type").and_then(Node::as_text) == Some("volume")
                && let Some(source) = volume.get("source").and_then(Node::as_text)
            {
                used.insert(("volumes", source.into()));
            }
        }
        let build_secrets = service
            .get("build")
            .map_or(&[][..], |build| list(build, "secrets"));
        for (kind, items) in [
            ("secrets", list(service, "secrets")),
            ("secrets", build_secrets),
            ("configs", list(service, "configs")),
        ] {
            let names = items
                .iter()
                .filter_map(|item| item.get("source").and_then(Node::as_text));
            used.extend(names.map(|name| (kind, name.into())));
        }
    }
    for kind in ["networks", "volumes", "secrets", "configs", "models"] {
        let Some(resources) = root.get_mut(kind).and_then(Node::as_mapping_mut) else {
            continue;
        };
        resources
            .retain(|entry| used.contains(&(kind, entry.key.clone())) || has_shim(&entry.node));
        if resources.is_empty()
            && let Some(top) = root.as_mapping_mut()
        {
            top.remove(kind);
        }
    }
}

fn has_shim(resource: &Node) -> bool {
    resource
        .get("shim")
        .is_some_and(|shim| shim.as_bool() != Some(false))
}

fn list<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    node.get(key).and_then(Node::as_sequence).unwrap_or(&[])
}
