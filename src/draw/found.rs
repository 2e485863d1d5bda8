//! The scene of a project as it is: what the engine and the kernel told, and nothing else. The stack, where there is
//! one, says only which networks of others belong in the picture and what is missing.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::draw::network::{card, lan, network, shim};
use crate::draw::scene::{Loose, Place, Placed, Scene, Source, Station};
use crate::draw::wanted::{DEFAULT_BRIDGE, names};
use crate::model::mark;
use crate::model::name::ProjectName;
use crate::plan::desired::Desired;
use crate::plan::observed::{
    ContainerState, FoundContainer, FoundEndpoint, FoundNetwork, HostFacts, InsideFacts,
    InsideLink, Observed,
};
use crate::plan::spec::{AttachmentSpec, Spec};

/// What was looked at.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub project: &'a ProjectName,
    pub observed: &'a Observed,
    /// The links inside of the containers, as far as they could be read.
    pub inside: &'a [InsideFacts],
    /// What the file wants, where there is a file.
    pub desired: Option<&'a Desired>,
}

/// The containers whose links a picture shows: the project's that run, and others on the project's networks.
pub fn shown<'a>(project: &ProjectName, observed: &'a Observed) -> Vec<&'a FoundContainer> {
    let networks = own_networks(project, observed);
    let joined = |container: &FoundContainer| {
        container
            .endpoints
            .iter()
            .any(|endpoint| networks.contains(endpoint.network.as_str()))
    };
    let ours = |one: &FoundContainer| one.project.as_deref() == Some(project.as_str());
    observed
        .containers
        .iter()
        .filter(|one| ours(one) || (one.runs() && joined(one)))
        .collect()
}

fn own_networks<'a>(project: &ProjectName, observed: &'a Observed) -> BTreeSet<&'a str> {
    let own = |one: &&FoundNetwork| one.project.as_deref() == Some(project.as_str());
    let networks = observed.networks.iter().filter(own);
    networks.map(|network| network.spec.name.as_str()).collect()
}

/// The scene of what is there.
pub fn scene(view: &View<'_>) -> Scene {
    let View {
        project,
        observed,
        inside,
        desired,
    } = *view;
    let source = match observed.host {
        Some(_) => Source::Live,
        None => Source::Engine,
    };
    let mut scene = Scene::empty(project.as_str(), source);
    let containers = shown(project, observed);
    for found in observed.resources.values() {
        resource(&mut scene, &found.spec);
    }
    let own = own_networks(project, observed);
    let used: BTreeSet<&str> = containers
        .iter()
        .filter(|one| one.project.as_deref() == Some(project.as_str()))
        .flat_map(|one| &one.endpoints)
        .map(|endpoint| endpoint.network.as_str())
        .collect();
    for found in &observed.networks {
        let name = found.spec.name.as_str();
        // The engine lists `host` and `none` as networks: their containers have places of their own.
        let drawn = own.contains(name) || used.contains(name);
        if drawn && !matches!(found.spec.driver.as_str(), "host" | "null") {
            add_network(
                &mut scene,
                found,
                own.contains(name),
                observed.host.as_ref(),
            );
        }
    }
    if let Some(host) = &observed.host {
        dress(&mut scene, host);
    }
    let placed = containers
        .iter()
        .map(|one| placed(one, project, observed, inside))
        .collect();
    scene.place(placed);
    scene.missing = desired
        .map(|desired| missing(desired, observed))
        .unwrap_or_default();
    scene
}

fn resource(scene: &mut Scene, spec: &Spec) {
    match spec {
        Spec::Lan(spec) => scene.wire(spec.lan.parent.as_str()).lan = Some(lan(spec)),
        Spec::Link(spec) => {
            scene.wire(spec.name.as_str()).vlan = Some((spec.base.to_string(), spec.vlan.number()));
        }
        Spec::Shim(spec) => scene.wire(spec.parent.as_str()).shims.push(shim(spec)),
        Spec::Promiscuity(_)
        | Spec::Network(_)
        | Spec::Route(_)
        | Spec::Volume(_)
        | Spec::Image(_)
        | Spec::Container(_)
        | Spec::Existing(_)
        | Spec::Endpoint(_)
        | Spec::Door(_) => {}
    }
}

/// A network, with its bridge where it has one.
fn add_network(scene: &mut Scene, found: &FoundNetwork, own: bool, host: Option<&HostFacts>) {
    let mut drawn = network(&found.spec);
    if !own && found.spec.name != DEFAULT_BRIDGE {
        drawn.traits.push("external");
    }
    let id: String = found.engine_id.chars().take(12).collect();
    let option = |name: &str| found.spec.options.get(name).cloned();
    // Without a parent the engine makes a dummy link of its own (`getDummyName`, libnetwork).
    let on_parent = matches!(found.spec.driver.as_str(), "macvlan" | "ipvlan");
    let parent = on_parent.then(|| option("parent").unwrap_or_else(|| format!("dm-{id}")));
    scene.add(drawn, &found.spec.driver, parent.as_deref());
    if found.spec.driver == "bridge"
        && let Some(bridge) = scene.bridges.last_mut()
    {
        let named = option("com.docker.network.bridge.name");
        let name = named.unwrap_or_else(|| format!("br-{id}"));
        bridge.link = host.and_then(|host| host.link(&name)).map(card);
    }
}

/// What the kernel tells of parents and shims.
fn dress(scene: &mut Scene, host: &HostFacts) {
    for wire in &mut scene.wires {
        if let Some(link) = host.link(&wire.parent.name) {
            wire.parent = card(link);
            if link.kind == "vlan"
                && let (Some(lower), Some(id)) = (&link.lower, &link.mode)
                && let Ok(id) = id.parse()
            {
                wire.vlan = Some((lower.clone(), id));
            }
        } else {
            wire.parent.remarks.push("not there");
        }
        for shim in &mut wire.shims {
            if let Some(link) = host.link(&shim.card.name) {
                shim.card = card(link);
            }
            let name = shim.card.name.as_str();
            let through = host
                .routes
                .iter()
                .filter(|route| route.link.as_deref() == Some(name))
                .filter(|route| route.protocol == mark::ROUTE_PROTOCOL);
            shim.routes = through.map(|route| route.destination).collect();
            shim.routes.sort();
            shim.routes.dedup();
        }
    }
}

fn placed(
    found: &FoundContainer,
    project: &ProjectName,
    observed: &Observed,
    inside: &[InsideFacts],
) -> Placed {
    let mut remarks = Vec::new();
    if let Some(word) = state(found.state) {
        remarks.push(word.to_owned());
    }
    match &found.project {
        Some(other) if other != project.as_str() => remarks.push(format!("of project {other}")),
        None => remarks.push("not of this project".to_owned()),
        Some(_) => {}
    }
    if let Some(owner) = &found.dead_namespace_of {
        remarks.push(format!("the namespace of {owner} that it shared is gone"));
    }
    let place = match found.network_mode.as_str() {
        "host" => Place::Host,
        "none" => Place::None,
        mode => match mode.strip_prefix("container:") {
            Some(owner) => {
                let known = observed
                    .containers
                    .iter()
                    .find(|one| one.engine_id == owner || one.name == owner);
                Place::Inside(known.map_or(owner, |one| one.name.as_str()).to_owned())
            }
            None => Place::Joined(joints(found, inside)),
        },
    };
    Placed {
        station: Station {
            name: found.name.clone(),
            remarks,
            sharers: Vec::new(),
        },
        place,
    }
}

/// What to say of a state; nothing where it simply runs.
fn state(state: ContainerState) -> Option<&'static str> {
    match state {
        ContainerState::Running => None,
        ContainerState::Created => Some("created, not started"),
        ContainerState::Paused => Some("paused"),
        ContainerState::Restarting => Some("restarting"),
        ContainerState::Removing => Some("being removed"),
        ContainerState::Exited => Some("exited"),
        ContainerState::Dead => Some("dead"),
    }
}

fn joints(found: &FoundContainer, inside: &[InsideFacts]) -> Vec<Loose> {
    let links = inside.iter().find(|one| one.container == found.name);
    let links = links.map_or(&[][..], |one| one.links.as_slice());
    // What was asked for is kept as text, since the engine's list tells no aliases.
    let asked: Vec<AttachmentSpec> = found
        .labels
        .get(mark::ATTACHMENTS)
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let told = found.endpoints.iter().map(|endpoint| {
        let link = link_of(endpoint, links);
        let aliases: Vec<String> = match &endpoint.aliases {
            Some(aliases) => aliases.iter().cloned().collect(),
            None => asked
                .iter()
                .find(|one| one.network == endpoint.network)
                .map(|one| one.aliases.clone())
                .unwrap_or_default(),
        };
        let used = endpoint.ipv4.into_iter().chain(endpoint.ipv6);
        let mut addresses: Vec<IpAddr> = used.collect();
        if addresses.is_empty() && !found.runs() {
            addresses.extend(endpoint.asked_ipv4.into_iter().chain(endpoint.asked_ipv6));
        }
        Loose {
            network: endpoint.network.clone(),
            outer: link.and_then(|link| link.outer.clone()),
            inner: link.map(|link| link.link.name.clone()),
            addresses,
            mac: link.and_then(|link| link.link.mac).or(endpoint.mac),
            aliases: names(&aliases, &found.name),
        }
    });
    told.collect()
}

/// The link of an endpoint: by its address, as ipvlan links share one MAC address; else by that.
fn link_of<'a>(endpoint: &FoundEndpoint, links: &'a [InsideLink]) -> Option<&'a InsideLink> {
    let has = |link: &&InsideLink, address: Option<IpAddr>| {
        address.is_some_and(|address| link.link.addresses.iter().any(|net| net.addr() == address))
    };
    links
        .iter()
        .find(|link| has(link, endpoint.ipv4) || has(link, endpoint.ipv6))
        .or_else(|| {
            let mac = endpoint.mac?;
            let mut same = links.iter().filter(|link| link.link.mac == Some(mac));
            same.next().filter(|_| same.next().is_none())
        })
}

/// What is wanted and not there: networks and containers.
fn missing(desired: &Desired, observed: &Observed) -> Vec<String> {
    let mut missing = Vec::new();
    for (id, spec) in &desired.specs {
        let there = match spec.as_ref() {
            Spec::Network(_) => observed.networks.iter().any(|one| one.spec.name == id.name),
            Spec::Container(_) => observed.containers.iter().any(|one| one.name == id.name),
            Spec::Lan(_) | Spec::Link(_) | Spec::Shim(_) => {
                observed.host.is_none() || observed.resources.contains_key(id)
            }
            Spec::Promiscuity(_)
            | Spec::Route(_)
            | Spec::Volume(_)
            | Spec::Image(_)
            | Spec::Existing(_)
            | Spec::Endpoint(_)
            | Spec::Door(_) => true,
        };
        if !there {
            missing.push(format!("{} {}", id.kind.word(), id.name));
        }
    }
    missing
}
