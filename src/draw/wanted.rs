//! The scene of a stack that is not up: what the planner wants, drawn as if it were there. No engine is asked, so what
//! an engine chooses (addresses, bridges) is not in it.

use crate::draw::network::{lan, network, shim};
use crate::draw::scene::{
    Bridge, Loose, Network, Other, Place, Placed, Pool, Scene, Source, Station,
};
use crate::model::network::Driver;
use crate::model::stack::Stack;
use crate::plan::desired::Desired;
use crate::plan::spec::{AttachmentSpec, ContainerNetwork, ContainerSpec, Spec};

/// The engine's name of its default bridge.
pub const DEFAULT_BRIDGE: &str = "bridge";

/// The scene of what a stack wants. `desired` is that of this stack.
pub fn scene(stack: &Stack, desired: &Desired) -> Scene {
    let mut scene = Scene::empty(stack.project.as_str(), Source::File);
    for spec in desired.specs.values() {
        ground(&mut scene, spec);
    }
    for network in stack.networks.values().filter(|one| one.external) {
        let drawn = Network {
            name: network.name.clone(),
            driver: network.driver.engine_name().to_owned(),
            pools: network
                .ipam
                .pools
                .iter()
                .map(|pool| Pool {
                    subnet: pool.subnet,
                    range: pool.ip_range,
                    gateway: pool.gateway,
                    reserved: pool.aux_addresses.clone(),
                })
                .collect(),
            options: Vec::new(),
            traits: vec!["external"],
        };
        match &network.driver {
            Driver::Host | Driver::None | Driver::DefaultBridge => {}
            // The file does not tell the driver of what others made.
            _ if network.is_made() => {}
            Driver::Bridge
            | Driver::Macvlan(_)
            | Driver::Ipvlan(..)
            | Driver::Overlay
            | Driver::Plugin(_) => scene.others.push(Other {
                network: drawn,
                joints: Vec::new(),
            }),
        }
    }
    let mut placed = Vec::new();
    for spec in desired.specs.values() {
        match spec.as_ref() {
            Spec::Container(container) => placed.push(container_of(&mut scene, container)),
            Spec::Route(route) => {
                let shims = scene.wires.iter_mut().flat_map(|wire| &mut wire.shims);
                for shim in shims.filter(|shim| shim.card.name == route.shim.as_str()) {
                    shim.follows.push(route.container.clone());
                }
            }
            Spec::Lan(_)
            | Spec::Link(_)
            | Spec::Promiscuity(_)
            | Spec::Network(_)
            | Spec::Shim(_)
            | Spec::Volume(_)
            | Spec::Image(_)
            | Spec::Existing(_)
            | Spec::Endpoint(_)
            | Spec::Door(_) => {}
        }
    }
    scene.place(placed);
    scene
}

/// Lans, links, networks and shims.
fn ground(scene: &mut Scene, spec: &Spec) {
    match spec {
        Spec::Lan(spec) => {
            let wire = scene.wire(spec.lan.parent.as_str());
            let subnet = |address: &std::net::IpAddr| {
                let net = spec.lan.subnets.iter().find(|net| net.contains(address));
                net.and_then(|net| ipnet::IpNet::new(*address, net.prefix_len()).ok())
                    .unwrap_or_else(|| (*address).into())
            };
            wire.parent.addresses = spec.lan.addresses.iter().map(subnet).collect();
            wire.lan = Some(lan(spec));
        }
        Spec::Link(spec) => {
            scene.wire(spec.name.as_str()).vlan = Some((spec.base.to_string(), spec.vlan.number()));
        }
        Spec::Promiscuity(spec) => {
            let remarks = &mut scene.wire(spec.link.as_str()).parent.remarks;
            remarks.push("promiscuous");
        }
        Spec::Network(spec) => {
            let parent = spec.options.get("parent").map(String::as_str);
            scene.add(network(spec), &spec.driver, parent);
        }
        Spec::Shim(spec) => scene.wire(spec.parent.as_str()).shims.push(shim(spec)),
        Spec::Route(_)
        | Spec::Volume(_)
        | Spec::Image(_)
        | Spec::Container(_)
        | Spec::Existing(_)
        | Spec::Endpoint(_)
        | Spec::Door(_) => {}
    }
}

fn container_of(scene: &mut Scene, spec: &ContainerSpec) -> Placed {
    let place = match &spec.network {
        ContainerNetwork::Host => Place::Host,
        ContainerNetwork::None => Place::None,
        ContainerNetwork::Container(owner) => Place::Inside(owner.clone()),
        ContainerNetwork::DefaultBridge { links: _ } => {
            known(scene, DEFAULT_BRIDGE, "bridge", "the engine's default");
            Place::Joined(vec![bare(DEFAULT_BRIDGE)])
        }
        ContainerNetwork::Named(name) => {
            known(scene, name, "driver unknown", "external");
            Place::Joined(vec![bare(name)])
        }
        ContainerNetwork::Attached(attachments) => Place::Joined(
            attachments
                .iter()
                .map(|one| joint(one, &spec.name))
                .collect(),
        ),
    };
    Placed {
        station: Station {
            name: spec.name.clone(),
            remarks: Vec::new(),
            sharers: Vec::new(),
        },
        place,
    }
}

/// Draws a network of which only the name is known, where it is not drawn yet.
fn known(scene: &mut Scene, name: &str, driver: &str, word: &'static str) {
    let drawn = scene.bridges.iter().any(|one| one.network.name == name)
        || scene.others.iter().any(|one| one.network.name == name)
        || scene
            .wires
            .iter()
            .any(|wire| wire.networks.iter().any(|one| one.name == name));
    if drawn {
        return;
    }
    let network = Network {
        name: name.to_owned(),
        driver: driver.to_owned(),
        pools: Vec::new(),
        options: Vec::new(),
        traits: vec![word],
    };
    if driver == "bridge" {
        scene.bridges.push(Bridge {
            network,
            link: None,
            joints: Vec::new(),
        });
    } else {
        scene.others.push(Other {
            network,
            joints: Vec::new(),
        });
    }
}

fn bare(network: &str) -> Loose {
    Loose {
        network: network.to_owned(),
        outer: None,
        inner: None,
        addresses: Vec::new(),
        mac: None,
        aliases: Vec::new(),
    }
}

/// An endpoint as it is asked for.
fn joint(spec: &AttachmentSpec, container: &str) -> Loose {
    let four = spec.ipv4_address.map(std::net::IpAddr::V4);
    let six = spec.ipv6_address.map(std::net::IpAddr::V6);
    Loose {
        network: spec.network.clone(),
        outer: None,
        inner: spec.interface_name.clone(),
        addresses: four.into_iter().chain(six).collect(),
        mac: spec.mac_address,
        aliases: names(&spec.aliases, container),
    }
}

/// The names in a network, without the container's own.
pub fn names(aliases: &[String], container: &str) -> Vec<String> {
    let mut names: Vec<String> = aliases
        .iter()
        .filter(|alias| *alias != container)
        .cloned()
        .collect();
    names.dedup();
    names
}
