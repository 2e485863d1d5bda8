//! Who on a segment gets a frame: the neighbours that hold an address, and whether what joins them carries it.

use std::net::IpAddr;

use crate::model::network::IpvlanMode;
use crate::reach::predict::Path;
use crate::reach::rules::overlay::{self, O7};
use crate::reach::rules::wire::{self, End, M9, M15, M18};
use crate::reach::rules::{bridge, engine, host};
use crate::reach::scene::{
    Endpoint, GatewayMode, HOST, Link, NodeId, Role, Scene, SegmentId, SegmentKind, WireTraits,
    shown,
};
use crate::reach::verdict::{Confidence, Failure, Hop, Obstacle, Stage};

/// Who on the segment of a link gets a frame for an address.
pub fn deliver(
    scene: &Scene,
    from: Endpoint,
    next: IpAddr,
    destination: IpAddr,
    path: &mut Path,
) -> Result<Endpoint, Obstacle> {
    let link = &scene.nodes[from.node].links[from.link];
    let Some(id) = link.segment else {
        return Err(host::nobody(&link.name, &shown(next)));
    };
    let segment = &scene.segments[id];
    if matches!(segment.kind, SegmentKind::Outside) {
        let other = segment
            .members
            .iter()
            .find(|member| member.node != from.node);
        return other
            .copied()
            .ok_or_else(|| host::outside("whether the world outside answers"));
    }
    let mut first: Option<Obstacle> = None;
    for member in holders(scene, from, next, destination) {
        match carried(scene, from, member, destination.is_ipv6(), path) {
            Ok(()) => {
                path.hops.push(Hop::Carried {
                    over: segment.name.clone(),
                    to: scene.nodes[member.node].name.clone(),
                });
                return Ok(member);
            }
            Err(obstacle) if first.is_none() => first = Some(obstacle),
            Err(_) => {}
        }
    }
    Err(first.unwrap_or_else(|| {
        if asks_through_the_link(link) && scene.is_local(HOST, destination) {
            return wire::not_on_the_parent(&shown(destination), &segment.name);
        }
        on_the_same_parent(scene, from, next, destination)
            .unwrap_or_else(|| unanswered(scene, &segment.kind, &segment.name, next))
    }))
}

/// Whether a link asks nobody for a neighbour: what is sent finds its way beyond it.
pub fn asks_through_the_link(link: &Link) -> bool {
    matches!(link.role, Role::Ipvlan(IpvlanMode::L3 | IpvlanMode::L3s, _))
}

/// The links of the segment whose namespace has the address: first those that carry it, then, as Linux answers for all
/// its addresses on all its links, the others (unless the host's `arp_ignore` forbids).
fn holders(scene: &Scene, from: Endpoint, next: IpAddr, destination: IpAddr) -> Vec<Endpoint> {
    let link = &scene.nodes[from.node].links[from.link];
    let Some(segment) = link.segment.and_then(|id| scene.segments.get(id)) else {
        return Vec::new();
    };
    let through_link = asks_through_the_link(link);
    let wanted = if through_link { destination } else { next };
    // A wire may have the address in two places where an ipvlan child is asked for at its parent.
    let mut exact = Vec::new();
    let mut weak = Vec::new();
    for node in scene.owners(wanted) {
        if *node == from.node {
            continue;
        }
        for (index, own) in scene.nodes[*node].links.iter().enumerate() {
            if own.segment != link.segment {
                continue;
            }
            let member = Endpoint {
                node: *node,
                link: index,
            };
            if own.addresses.iter().any(|prefix| prefix.addr() == wanted) {
                exact.push(member);
            } else if *node != HOST || scene.facts.arp_ignore == 0 {
                weak.push(member);
            }
        }
    }
    if !through_link || !exact.is_empty() {
        exact.extend(weak);
    }
    // ipvlan takes packets for its children off the parent before the host routes them.
    if exact.iter().any(|member| member.node == HOST) && wanted != destination {
        let children = segment.members.iter().filter(|member| {
            scene.link(**member).is_some_and(|link| {
                matches!(link.role, Role::Ipvlan(IpvlanMode::L3 | IpvlanMode::L3s, _))
                    && link.addresses.iter().any(|own| own.addr() == destination)
            })
        });
        let children: Vec<Endpoint> = children.copied().collect();
        if !children.is_empty() {
            return children;
        }
    }
    if exact.is_empty() && through_link {
        exact.extend(beyond_the_parent(scene, link.segment, destination));
    }
    exact
}

/// Whom an ipvlan l3 child's packet finds that is for no sibling: the kernel looks for a way with the parent as the only
/// link (`flowi4_oif` in `ipvlan_process_v4_outbound`), so of the host's routes those by the parent lead on, and what none
/// of them covers is taken to be on the parent's wire, the host's addresses on other links too. Measured on 6.1 with
/// 20.10 and 28.5: a child that asks for docker0's 172.17.0.1 makes the host ask for it by ARP on the parent, in vain
/// (`172.17.0.1 … incomplete … lab7` in the host's neighbour table).
fn beyond_the_parent(scene: &Scene, wire: Option<SegmentId>, destination: IpAddr) -> Vec<Endpoint> {
    let host = &scene.nodes[HOST];
    let is_parent = |link: usize| {
        (host.links.get(link)).is_some_and(|link| link.role == Role::Parent && link.segment == wire)
    };
    let by_parent = (host.routes.iter())
        .filter(|route| is_parent(route.link) && route.destination.contains(&destination))
        .max_by_key(|route| route.destination.prefix_len());
    let next = by_parent.and_then(|route| route.via).unwrap_or(destination);
    let Some(segment) = wire.and_then(|id| scene.segments.get(id)) else {
        return Vec::new();
    };
    let owners = scene.owners(next);
    (segment.members.iter().copied())
        .filter(|member| member.node != HOST && owners.contains(&member.node))
        .collect()
}

fn carried(
    scene: &Scene,
    from: Endpoint,
    to: Endpoint,
    v6: bool,
    path: &mut Path,
) -> Result<(), Obstacle> {
    let (Some(one), Some(two)) = (scene.link(from), scene.link(to)) else {
        return Ok(());
    };
    let Some(segment) = one.segment.and_then(|id| scene.segments.get(id)) else {
        return Ok(());
    };
    let pair = |link: &Link| {
        let mut addresses = link.addresses.iter();
        addresses.any(|own| own.max_prefix_len() - own.prefix_len() == 1)
    };
    if pair(one) && pair(two) {
        path.card(&M18);
    }
    match &segment.kind {
        SegmentKind::Bridge(traits) => {
            if one.role == Role::Port && two.role == Role::Port {
                // The kernel takes frames between a bridge's ports through the chains of forwarded packets.
                if scene.facts.user_rules {
                    path.cards_of(engine::before_the_rules(&scene.facts)?);
                }
                let linked = legacy_link(scene, from.node, to.node);
                if v6 && !traits.icc && !scene.facts.ip6tables {
                    path.card(&bridge::B2V6);
                } else {
                    path.card(bridge::neighbours(traits, linked, &segment.name)?);
                }
            }
            Ok(())
        }
        SegmentKind::Wire(traits) => {
            let passthru = segment.members.iter().any(|member| {
                scene.link(*member).is_some_and(|link| {
                    link.role == Role::Macvlan(crate::model::network::MacvlanMode::Passthru)
                })
            });
            let one_end = end(one, from.node);
            let two_end = end(two, to.node);
            let opened = l3_past_a_route(scene, one_end, two_end, to);
            if let Some(card) = opened {
                path.card(card);
                return Ok(());
            }
            if traits.switch.is_none() && (one.role == Role::Station || two.role == Role::Station) {
                path.at_most(Confidence::Medium);
            }
            let card = wire::heard(traits, passthru, one_end, two_end)?;
            if scene.facts.user_rules {
                path.card(&M15);
            }
            path.card(card);
            Ok(())
        }
        SegmentKind::Outside => Ok(()),
        SegmentKind::Overlay => {
            let network = one
                .network
                .as_ref()
                .and_then(|name| scene.networks.get(name));
            if let Some(network) = network {
                path.card(overlay::neighbours(scene.facts.swarm, network)?);
            }
            Ok(())
        }
        SegmentKind::Plugin => {
            path.card(&O7);
            path.at_most(Confidence::Low);
            Ok(())
        }
    }
}

fn end(link: &Link, node: NodeId) -> End<'_> {
    End {
        role: link.role,
        name: &link.name,
        on_host: node == HOST,
    }
}

/// A station whose route leads to an l3 child by the host's address hands the frame to the parent, and the child gets
/// it there: no ARP of the child's is needed.
fn l3_past_a_route(
    scene: &Scene,
    from: End,
    to: End,
    child: Endpoint,
) -> Option<&'static crate::reach::card::Card> {
    let l3 = matches!(to.role, Role::Ipvlan(IpvlanMode::L3 | IpvlanMode::L3s, _));
    if !l3 || from.role != Role::Station {
        return None;
    }
    // Only where the child's subnet is none of the wire's: else the station asks for it by ARP.
    let address = scene.link(child)?.addresses.first()?.addr();
    let on_wire = scene
        .machines
        .values()
        .flat_map(|(node, _)| scene.nodes[*node].links.iter())
        .flat_map(|link| &link.addresses)
        .any(|prefix| prefix.contains(&address));
    (!on_wire).then_some(&M9)
}

fn legacy_link(scene: &Scene, one: NodeId, two: NodeId) -> bool {
    let links = |from: NodeId, to: NodeId| {
        let names: Vec<&str> = scene.tenants(to).map(|(name, _)| name).collect();
        scene.tenants(from).any(|(_, tenant)| {
            let mut private = tenant.private_names.iter();
            private.any(|(target, _)| names.contains(&target.as_str()))
        })
    };
    links(one, two) || links(two, one)
}

/// Nobody answers on a wire, and the one who is meant is not far: on the same parent behind another tag, or in another
/// subnet with nobody to route there. A gateway that is not known here may be there all the same, so on a real wire only
/// the first is sure.
fn on_the_same_parent(
    scene: &Scene,
    from: Endpoint,
    next: IpAddr,
    destination: IpAddr,
) -> Option<Obstacle> {
    let link = scene.link(from)?;
    let here = link.segment?;
    let (below, _) = scene.wires.get(&here)?;
    let ends = scene.owners(destination).iter().flat_map(|node| {
        let links = scene.nodes[*node].links.iter();
        links.filter(|link| link.addresses.iter().any(|own| own.addr() == destination))
    });
    for end in ends {
        let Some(there) = end.segment else { continue };
        let known = matches!(&scene.segments[here].kind, SegmentKind::Wire(traits) if traits.switch.is_some());
        let apart = scene
            .wires
            .get(&there)
            .is_some_and(|(other, _)| other == below);
        if there != here && apart && (known || next == destination) {
            let names = [here, there].map(|segment| scene.segments[segment].name.as_str());
            return Some(wire::on_another_vlan(
                &shown(destination),
                names[0],
                names[1],
            ));
        }
        if there == here && known && next != destination {
            let same = link.network.is_some() && link.network == end.network;
            let (address, gateway) = (shown(destination), shown(next));
            let wire = &scene.segments[here].name;
            return Some(wire::without_a_router(&address, &gateway, wire, same));
        }
    }
    None
}

/// Nobody whom we know has the address.
fn unanswered(scene: &Scene, kind: &SegmentKind, segment: &str, next: IpAddr) -> Obstacle {
    let real = matches!(
        kind,
        SegmentKind::Wire(WireTraits {
            switch: None,
            alone: false
        }) | SegmentKind::Plugin
    );
    if let SegmentKind::Bridge(traits) = kind {
        let network = scene
            .networks
            .values()
            .find(|network| network.role == Role::Bridge && network.gateways.contains(&next));
        if let Some(network) = network {
            let mode = if next.is_ipv6() {
                traits.mode6
            } else {
                traits.mode4
            };
            let isolated = mode == GatewayMode::Isolated;
            return bridge::without_host(isolated, &network.key, false, Failure::HostUnreachable);
        }
    }
    let own = scene.networks.values().any(|network| {
        network.subnets.iter().any(|subnet| subnet.contains(&next))
            && matches!(network.role, Role::Bridge | Role::Tunnel)
    });
    if real && !own {
        let fact = format!("whether somebody at {} on `{segment}` answers", shown(next));
        let mut obstacle = host::outside(&fact);
        obstacle.stage = Stage::Link;
        return obstacle;
    }
    host::nobody(segment, &shown(next))
}
