//! All that is on a machine in memory, as text by name: for "as before" and "as wanted". Addresses that the engine
//! chose, and its ids of networks, are left out, as a network that was brought back has others; the ids of containers
//! are in, as a container must be brought back itself and not a copy of it.

use std::collections::BTreeMap;
use std::fmt;

use crate::model::hash;
use crate::model::mark;
use crate::plan::observed::{FoundContainer, FoundNetwork};
use crate::world::memory::machine::Machine;

/// The text of all things, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    things: BTreeMap<String, Thing>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Thing {
    text: String,
    engine_id: Option<String>,
}

impl Snapshot {
    pub(super) fn of(machine: &Machine) -> Snapshot {
        let mut things = BTreeMap::new();
        let mut add = |name: String, text: String, engine_id: Option<String>| {
            things.insert(name, Thing { text, engine_id });
        };
        for found in machine.networks.values() {
            add(format!("network/{}", found.spec.name), network(found), None);
        }
        for (name, found) in &machine.volumes {
            add(
                format!("volume/{name}"),
                format!("driver={}", found.driver),
                None,
            );
        }
        for (reference, id) in &machine.images {
            add(format!("image/{reference}"), id.clone(), None);
        }
        for own in machine.containers.values() {
            let found = machine.found_container(own);
            let id = found.engine_id.clone();
            let text = container(machine, &found);
            // A parked name has the id in it.
            let name = match found.parked_from() {
                Some(name) => format!("container/{name} (parked)"),
                None => format!("container/{}", found.name),
            };
            add(name, text, Some(id));
        }
        for (id, found) in &machine.resources {
            let damage = found.damage.join(", ");
            add(id.to_string(), format!("{} {damage}", found.hash), None);
        }
        for link in machine.host.iter().flat_map(|host| &host.links) {
            let promiscuous = if link.promiscuous_flag {
                " promiscuous"
            } else {
                ""
            };
            let lower = link.lower.as_deref().unwrap_or("nothing");
            add(
                format!("host link {}", link.name),
                format!("{} on {lower}{promiscuous}", link.kind),
                None,
            );
        }
        Snapshot { things }
    }

    /// The same without images: what was fetched is kept when a run is taken back.
    pub fn without_images(mut self) -> Snapshot {
        self.things.retain(|name, _| !name.starts_with("image/"));
        self
    }

    /// The same with containers known by their names only: for "as wanted", where any container of that name will do.
    pub fn without_ids(mut self) -> Snapshot {
        for thing in self.things.values_mut() {
            thing.engine_id = None;
        }
        self
    }
}

fn network(found: &FoundNetwork) -> String {
    format!(
        "{} project={} {}",
        found.spec.driver,
        found.project.as_deref().unwrap_or("nobody"),
        hash::of(&found.spec)
    )
}

fn container(machine: &Machine, found: &FoundContainer) -> String {
    let state = match found.runs() {
        true => "runs",
        false => "stands",
    };
    let mut text = format!("{state} {}", found.image_id);
    text.push_str(found.labels.get(mark::HASH).map_or("", String::as_str));
    if let Some(owner) = found.network_mode.strip_prefix("container:") {
        let owner = machine.containers.get(owner);
        let name = owner.map_or("nobody", |owner| owner.found.name.as_str());
        text.push_str(&format!(" in the namespace of {name}"));
    }
    if let Some(owner) = &found.dead_namespace_of {
        text.push_str(&format!(", which is dead ({owner})"));
    }
    let mut endpoints: Vec<String> = found
        .endpoints
        .iter()
        .map(|endpoint| {
            let asked = endpoint.asked_ipv4.into_iter().chain(endpoint.asked_ipv6);
            let asked: Vec<String> = asked.map(|address| address.to_string()).collect();
            let aliases: Vec<&str> = endpoint
                .aliases
                .iter()
                .flatten()
                .map(String::as_str)
                .collect();
            let current = machine
                .networks
                .get(&endpoint.network)
                .is_some_and(|network| network.engine_id == endpoint.network_id);
            let lost = if current { "" } else { " (lost)" };
            format!(
                " {}{lost}[{};{}]",
                endpoint.network,
                asked.join(","),
                aliases.join(",")
            )
        })
        .collect();
    endpoints.sort_unstable();
    text.push_str(&endpoints.concat());
    text
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, thing) in &self.things {
            let id = thing.engine_id.as_deref().unwrap_or("");
            let id = id.get(..12).unwrap_or(id);
            writeln!(f, "{name} {id} {}", thing.text)?;
        }
        Ok(())
    }
}
