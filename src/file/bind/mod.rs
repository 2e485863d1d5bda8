//! From the canonical document to the model. The shape of every value has been checked; here texts become addresses,
//! names and times, and what cannot be one is told. One file for each kind of element.

pub mod check;
pub mod container;
pub mod field;
pub mod lan;
pub mod mount;
pub mod network;
pub mod resources;
pub mod service;
pub mod shim;

use indexmap::IndexMap;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::bind::field::{pairs, text, yes};
use crate::file::document::{Document, joined};
use crate::file::environment::Environment;
use crate::file::request::Contents;
use crate::file::tree::Entry;
use crate::model::name::{ServiceName, VolumeName};
use crate::model::stack::Stack;
use crate::model::volume::Volume;

/// What binding needs besides the element at hand.
pub struct Binder<'a> {
    pub document: &'a Document,
    pub environment: &'a Environment,
    pub contents: Contents,
    pub told: &'a mut Diagnostics,
}

/// The stack that a document describes, as far as it can be one; none where it has no name.
pub fn stack(
    document: &Document,
    environment: &Environment,
    contents: Contents,
    told: &mut Diagnostics,
) -> Option<Stack> {
    let project = document.project.parse().ok()?;
    let mut binder = Binder {
        document,
        environment,
        contents,
        told,
    };
    let lans = binder.lans();
    let networks = binder.networks(&lans);
    let volumes = binder.volumes();
    let mut services = IndexMap::new();
    for entry in binder.entries("services") {
        if let Some(service) = binder.service(entry) {
            services.insert(service.name.clone(), service);
        }
    }
    let checks = binder.checks();
    let inactive: Vec<ServiceName> = document
        .inactive
        .keys()
        .filter_map(|name| name.parse().ok())
        .collect();
    Some(Stack {
        project,
        directory: document.directory.clone(),
        files: document.files.clone(),
        environment_files: document.environment_files.clone(),
        services,
        inactive,
        networks,
        volumes,
        lans,
        checks,
    })
}

impl<'a> Binder<'a> {
    fn entries(&self, key: &str) -> impl Iterator<Item = &'a Entry> + use<'a> {
        let mapping = self
            .document
            .root
            .get(key)
            .and_then(|node| node.as_mapping());
        mapping.into_iter().flat_map(|mapping| mapping.iter())
    }

    fn volumes(&mut self) -> IndexMap<VolumeName, Volume> {
        let mut volumes = IndexMap::new();
        for entry in self.entries("volumes") {
            let node = &entry.node;
            let Ok(key) = entry.key.parse::<VolumeName>() else {
                continue;
            };
            let volume = Volume {
                key: key.clone(),
                name: text(node, "name").unwrap_or_else(|| entry.key.to_string()),
                external: yes(node, "external"),
                driver: text(node, "driver"),
                driver_opts: pairs(node.get("driver_opts")),
                labels: pairs(node.get("labels")),
            };
            volumes.insert(key, volume);
        }
        volumes
    }

    fn tell(&mut self, diagnostic: Diagnostic, path: &[&str]) {
        self.told.push(diagnostic.path(joined(path)));
    }
}
