//! The host, its shims and ways out, and the machines of the lans.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::network::{Driver, IpvlanMode, Parent};
use crate::plan::spec::{DoorSpec, RouteSpec, ShimKind, ShimSpec, Spec};
use crate::reach::question::Viewpoint;
use crate::reach::scene::draft::Draft;
use crate::reach::scene::network::wire;
use crate::reach::scene::{
    HOST, Link, NodeId, NodeKind, Resolver, Role, Route, SegmentId, SegmentKind, WireTraits,
};

/// Adds the host's own namespace; it is always the first.
pub fn start(draft: &mut Draft) {
    draft.node("host", NodeKind::Host, Resolver::Host);
}

/// Adds the wires of the lans with their routers and machines.
pub fn add_lans(draft: &mut Draft) {
    for spec in draft.lans() {
        let lan = &spec.lan;
        let untagged = wire(draft, lan.parent.as_str());
        let on_wire = |address: IpAddr| {
            let subnet = lan.subnets.iter().find(|net| net.contains(&address))?;
            IpNet::new(address, subnet.prefix_len()).ok()
        };
        let gateways: Vec<IpNet> = lan.gateways.iter().copied().filter_map(on_wire).collect();
        if !gateways.is_empty() {
            let name = format!("{}.router", lan.name);
            let node = draft.node(&name, NodeKind::Router, Resolver::Nothing);
            station(draft, node, untagged, gateways);
            let viewpoint = Viewpoint::Router(lan.name.to_string());
            draft.scene.machines.insert(name, (node, viewpoint));
        }
        for (machine, host) in &lan.hosts {
            let name = format!("{}.{machine}", lan.name);
            let node = draft.node(&name, NodeKind::Machine, Resolver::Nothing);
            let tag = host.vlan.map(|vlan| vlan.number());
            let segment = match tag {
                None => untagged,
                Some(tag) => tagged(draft, lan.parent.as_str(), tag),
            };
            let addresses: Vec<IpNet> = host
                .addresses
                .iter()
                .filter_map(|prefix| {
                    let whole = prefix.prefix_len() == prefix.max_prefix_len();
                    if whole {
                        on_wire(prefix.addr()).or(Some(*prefix))
                    } else {
                        Some(*prefix)
                    }
                })
                .collect();
            let link = station(draft, node, segment, addresses.clone());
            for gateway in lan.gateways.iter().filter(|_| tag.is_none()) {
                let source = addresses
                    .iter()
                    .map(IpNet::addr)
                    .find(|address| address.is_ipv4() == gateway.is_ipv4());
                if source.is_some() {
                    default_route(draft, node, link, Some(*gateway), source);
                }
            }
            let viewpoint = Viewpoint::Machine {
                lan: lan.name.to_string(),
                machine: machine.to_string(),
            };
            draft.scene.machines.insert(name, (node, viewpoint));
        }
    }
}

/// The wire of a VLAN of a lan's parent: that of a network on it, or one of its own.
fn tagged(draft: &mut Draft, parent: &str, tag: u16) -> SegmentId {
    let key = (parent.to_owned(), Some(tag));
    if let Some(known) = draft.wires.get(&key) {
        return *known;
    }
    let switch = draft
        .lans()
        .into_iter()
        .find(|lan| lan.lan.parent.as_str() == parent)
        .map(|lan| lan.lan.switch);
    let traits = WireTraits {
        switch,
        alone: false,
    };
    let segment = draft.segment(
        &format!("VLAN {tag} of {parent}"),
        SegmentKind::Wire(traits),
    );
    draft.wires.insert(key, segment);
    segment
}

fn station(draft: &mut Draft, node: NodeId, segment: SegmentId, addresses: Vec<IpNet>) -> usize {
    draft.link(
        node,
        Link {
            name: "eth0".to_owned(),
            segment: Some(segment),
            role: Role::Station,
            addresses,
            network: None,
        },
    )
}

fn default_route(
    draft: &mut Draft,
    node: NodeId,
    link: usize,
    via: Option<IpAddr>,
    source: Option<IpAddr>,
) {
    let v6 = via.or(source).is_some_and(|address| address.is_ipv6());
    let destination = if v6 {
        IpNet::V6(ipnet::Ipv6Net::default())
    } else {
        IpNet::V4(ipnet::Ipv4Net::default())
    };
    draft.route(
        node,
        Route {
            destination,
            via,
            link,
            source,
        },
    );
}

/// Adds the shims with their routes, those to single containers too, and the doors inside the containers.
pub fn add_shims(draft: &mut Draft) {
    let desired = draft.desired;
    for spec in desired.specs.values() {
        if let Spec::Shim(shim) = spec.as_ref() {
            add_shim(draft, shim);
        }
    }
    for spec in desired.specs.values() {
        match spec.as_ref() {
            Spec::Route(route) => add_route(draft, route),
            Spec::Door(door) => add_door(draft, door),
            _ => {}
        }
    }
}

fn add_shim(draft: &mut Draft, shim: &ShimSpec) {
    let segment = wire(draft, shim.parent.as_str());
    let role = match shim.kind {
        ShimKind::Macvlan(mode) => Role::Macvlan(mode),
        ShimKind::Ipvlan(mode, flag) => Role::Ipvlan(mode, flag),
    };
    let link = draft.link(
        HOST,
        Link {
            name: shim.name.to_string(),
            segment: Some(segment),
            role,
            addresses: shim.addresses.iter().copied().map(IpNet::from).collect(),
            network: None,
        },
    );
    draft.scene.shims.insert(shim.name.to_string(), link);
    for route in &shim.routes {
        draft.route(
            HOST,
            Route {
                destination: route.destination,
                via: None,
                link,
                source: Some(route.source),
            },
        );
    }
}

fn add_route(draft: &mut Draft, route: &RouteSpec) {
    let Some(link) = draft.scene.shims.get(route.shim.as_str()).copied() else {
        return;
    };
    let Some(tenant) = draft.scene.containers.get(&route.container) else {
        return;
    };
    let addresses: Vec<IpAddr> = draft.scene.nodes[tenant.node]
        .links
        .iter()
        .filter(|link| link.network.as_deref() == Some(route.network.as_str()))
        .flat_map(|link| link.addresses.iter().map(IpNet::addr))
        .collect();
    for address in addresses {
        let Some(source) = route.source(address) else {
            continue;
        };
        draft.route(
            HOST,
            Route {
                destination: IpNet::from(address),
                via: None,
                link,
                source: Some(source),
            },
        );
    }
}

fn add_door(draft: &mut Draft, door: &DoorSpec) {
    let Some(tenant) = draft.scene.containers.get(&door.container) else {
        return;
    };
    let node = tenant.node;
    let link = draft.scene.nodes[node]
        .links
        .iter()
        .position(|link| link.network.as_deref() == Some(door.network.as_str()));
    if let Some(link) = link {
        draft.route(
            node,
            Route {
                destination: IpNet::from(door.host_address),
                via: Some(door.via),
                link,
                source: None,
            },
        );
    }
}

/// Adds the host's other links and its way out, as observed; where nothing was observed there is taken to be one.
pub fn add_way_out(draft: &mut Draft) {
    if draft.scene.facts.way_out == Some(false) && draft.observed.host.is_none() {
        return;
    }
    let outside = draft.segment("the world outside", SegmentKind::Outside);
    let Some(host) = &draft.observed.host else {
        on_the_parents(draft);
        let link = uplink(draft, "uplink", outside, Vec::new());
        default_route(draft, HOST, link, None, None);
        end(draft, outside);
        return;
    };
    for link in &host.links {
        let known = draft.host_link(&link.name).is_some() || link.loopback;
        if known || link.mark().is_some() || link.addresses.is_empty() {
            continue;
        }
        uplink(draft, &link.name, outside, link.addresses.clone());
    }
    for route in &host.routes {
        if route.destination.prefix_len() != 0 {
            continue;
        }
        let Some(link) = route.link.as_deref().and_then(|name| draft.host_link(name)) else {
            continue;
        };
        let source = route.source;
        default_route(draft, HOST, link, route.gateway, source);
    }
    end(draft, outside);
}

/// Nobody looked at the host: it is taken to be in the LAN of a parent that it has already, as it nearly always is.
/// Which address it has there is not known.
fn on_the_parents(draft: &mut Draft) {
    for network in draft.stack.networks.values() {
        let Some(Parent::Link(parent)) = &network.parent else {
            continue;
        };
        let is_in_the_lan = matches!(
            network.driver,
            Driver::Macvlan(_) | Driver::Ipvlan(IpvlanMode::L2, _)
        );
        let Some(link) = draft.host_link(parent.as_str()).filter(|_| is_in_the_lan) else {
            continue;
        };
        if !draft.scene.nodes[HOST].links[link].addresses.is_empty() {
            continue;
        }
        for destination in network.subnets() {
            let route = Route {
                destination,
                via: None,
                link,
                source: None,
            };
            draft.route(HOST, route);
        }
    }
}

fn uplink(draft: &mut Draft, name: &str, segment: SegmentId, addresses: Vec<IpNet>) -> usize {
    draft.link(
        HOST,
        Link {
            name: name.to_owned(),
            segment: Some(segment),
            role: Role::Uplink,
            addresses,
            network: None,
        },
    )
}

/// Whoever is out there.
fn end(draft: &mut Draft, segment: SegmentId) {
    let node = draft.node("internet", NodeKind::Outside, Resolver::Nothing);
    let link = Link {
        name: "uplink".to_owned(),
        segment: Some(segment),
        role: Role::Uplink,
        addresses: Vec::new(),
        network: None,
    };
    let index = draft.link(node, link);
    default_route(draft, node, index, None, None);
}
