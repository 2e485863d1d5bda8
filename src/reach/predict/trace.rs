//! Follows one packet: at each namespace translation, routes and firewall, at each segment who hears it; then the answer
//! the same way back.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::network::IpvlanMode;
use crate::reach::predict::answer::back;
use crate::reach::predict::gate::{Taken, leave_translated, pass_the_host, taken_by_engine};
use crate::reach::predict::packet::{Arrival, MOST_HOPS, Packet};
use crate::reach::predict::segment::{asks_through_the_link, deliver};
use crate::reach::predict::{Path, listen};
use crate::reach::question::{Ask, Question};
use crate::reach::rules::bridge::{self, B7, B8, B10, B14};
use crate::reach::rules::engine::{self, V2, V4};
use crate::reach::rules::exit;
use crate::reach::rules::host::{self, NoRoute};
use crate::reach::rules::overlay::{self, O3};
use crate::reach::rules::wire::{M7, M8, M11, M12, M17};
use crate::reach::scene::network::{DEFAULT_BRIDGE, GATEWAY_BRIDGE};
use crate::reach::scene::{
    Endpoint, GatewayMode, HOST, Link, Node, NodeId, NodeKind, Role, Route, Scene, SegmentKind,
};
use crate::reach::verdict::{Code, Failure, Hop, Obstacle, Stage, Verdict};

/// The whole question: there, a listener, and back.
pub fn there_and_back(
    scene: &Scene,
    start: NodeId,
    source: Option<IpAddr>,
    destination: IpAddr,
    question: &Question,
    path: &mut Path,
) -> Result<(), Obstacle> {
    let packet = Packet {
        source,
        destination,
        port: question.ask.port(),
        rewrites: Vec::new(),
        translated: false,
    };
    let arrival = there(scene, start, packet, question, path)?;
    let Some(arrival) = arrival else {
        // The proxy took it and asked the container itself.
        return Ok(());
    };
    if let (Some(port), Some(protocol)) = (arrival.1, question.ask.protocol()) {
        let at = &arrival.0;
        listen::listens(scene, at.node, at.destination, protocol, port, path)?;
    }
    back(scene, start, &arrival.0, path)
}

/// From a namespace to whatever is beyond all of this.
pub fn out(scene: &Scene, start: NodeId, path: &mut Path) -> Result<(), Obstacle> {
    let packet = Packet {
        source: None,
        destination: beyond(scene, Family::V4),
        port: None,
        rewrites: Vec::new(),
        translated: false,
    };
    let question = Question {
        from: crate::reach::question::Viewpoint::Host,
        to: crate::reach::question::Target::Internet,
        ask: Ask::Icmp,
        meant: String::new(),
    };
    there(scene, start, packet, &question, path).map(|_| ())
}

/// Which kind of address is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// An address that stands for the world outside: of those that documents may use (RFC 5737, RFC 3849) the first that no
/// network of the stack has. Nothing is sent there.
pub fn beyond(scene: &Scene, family: Family) -> IpAddr {
    const V4: [[u8; 4]; 3] = [[192, 0, 2, 1], [198, 51, 100, 1], [203, 0, 113, 1]];
    if family == Family::V6 {
        return IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1_u16]);
    }
    let taken = |address: &IpAddr| {
        let mut subnets = scene.networks.values().flat_map(|network| &network.subnets);
        subnets.any(|subnet| subnet.contains(address))
    };
    let mut free = V4.map(IpAddr::from).into_iter();
    free.find(|address| !taken(address))
        .unwrap_or(IpAddr::from([192, 0, 2, 1]))
}

/// Until the packet is at home, or the proxy took it (none). The port is that of the end.
fn there(
    scene: &Scene,
    start: NodeId,
    mut packet: Packet,
    question: &Question,
    path: &mut Path,
) -> Result<Option<(Arrival, Option<u16>)>, Obstacle> {
    let mut at = start;
    let mut came: Option<usize> = None;
    for _ in 0..MOST_HOPS {
        if at == HOST
            && scene.is_local(HOST, packet.destination)
            && let Taken::ByProxy(proxied) =
                taken_by_engine(scene, came, &mut packet, question, path)
        {
            if came.is_some() {
                engine::into_the_host(&scene.facts)?;
            }
            there_and_back(scene, HOST, None, proxied.to, &proxied.question, path)?;
            return proxied.unheard.map_or(Ok(None), Err);
        }
        if scene.is_local(at, packet.destination) {
            if at == HOST && came.is_some() {
                engine::into_the_host(&scene.facts)?;
            }
            let node = &scene.nodes[at];
            path.hops.push(Hop::Local {
                at: node.name.clone(),
                address: packet.destination,
            });
            note_arrival(scene, start, at, came, path);
            let source = packet.source.unwrap_or(packet.destination);
            let arrival = Arrival {
                node: at,
                source,
                destination: packet.destination,
                rewrites: packet.rewrites,
            };
            return Ok(Some((arrival, packet.port)));
        }
        let node = &scene.nodes[at];
        if node.kind == NodeKind::Outside && came.is_some() {
            return Err(host::outside("whether the world outside answers"));
        }
        if came.is_some() && !node.forwards {
            return Err(Obstacle::fail(
                &host::ROUTE,
                Stage::Route,
                Code::NobodyThere,
                Failure::Timeout,
                format!("`{}`, which forwards nothing", node.name),
            ));
        }
        let route = scene
            .route(at, packet.destination)
            .ok_or_else(|| told_from_afar(missing_route(scene, at, packet.destination), came))?;
        let link = &scene.nodes[at].links[route.link];
        if at == HOST
            && let Some(obstacle) = hidden(scene, route, packet.destination, came)
        {
            return Err(obstacle);
        }
        note_route(scene, at, route, came, packet.destination, path);
        if came.is_none() {
            packet.source = Some(source_of(scene, at, route, link, &packet)?);
        }
        path.hops.push(Hop::Routed {
            at: node.name.clone(),
            destination: packet.destination,
            link: link.name.clone(),
            via: route.via,
            source: packet.source.filter(|_| came.is_none()),
        });
        if asks_through_the_link(link) && translated_on_the_way(scene, &mut packet, question, path)
        {
            at = HOST;
            came = None;
            continue;
        }
        if let (HOST, Some(from)) = (at, came) {
            pass_the_host(scene, from, route.link, &packet, question, path)?;
        }
        leave_translated(scene, at, came, route.link, &mut packet, path);
        let next = route.via.unwrap_or(packet.destination);
        let from = Endpoint {
            node: at,
            link: route.link,
        };
        let to = deliver(scene, from, next, packet.destination, path)
            .map_err(|obstacle| without_a_shim(scene, from, came, obstacle))
            .map_err(|obstacle| told_from_afar(obstacle, came))?;
        at = to.node;
        came = Some(to.link);
    }
    Err(Obstacle::fail(
        &host::ROUTE,
        Stage::Route,
        Code::NoReturnRoute,
        Failure::Timeout,
        "a loop of routes",
    ))
}

/// What an ipvlan l3 child sends leaves as the host's own packets do (`ip_local_out`), so a published port of the host is
/// translated before any link is chosen. Measured on 6.1 with 20.10 and 28.5: open at docker0's address too, where a ping
/// finds nobody.
fn translated_on_the_way(
    scene: &Scene,
    packet: &mut Packet,
    question: &Question,
    path: &mut Path,
) -> bool {
    if !scene.is_local(HOST, packet.destination) {
        return false;
    }
    let (mut translated, mut way) = (packet.clone(), path.clone());
    match taken_by_engine(scene, None, &mut translated, question, &mut way) {
        Taken::Not => {}
        // It is behind the host's own door, and what is not translated does not get that far.
        Taken::ByProxy(_) => return false,
    }
    if translated.translated {
        (*packet, *path) = (translated, way);
        return true;
    }
    false
}

/// Networks that the host has no link on: what it sends there takes a default route, or none.
fn hidden(
    scene: &Scene,
    route: &Route,
    destination: IpAddr,
    came: Option<usize>,
) -> Option<Obstacle> {
    if route.destination.prefix_len() != 0 || scene.owners(destination).is_empty() {
        return None;
    }
    let network = scene.networks.values().find(|network| {
        network
            .subnets
            .iter()
            .any(|subnet| subnet.contains(&destination))
    })?;
    let SegmentKind::Bridge(traits) = &scene.segments[network.segment].kind else {
        return overlay::from_beyond(network, scene.facts.way_out);
    };
    let mode = if destination.is_ipv6() {
        traits.mode6
    } else {
        traits.mode4
    };
    let isolated = mode == GatewayMode::Isolated;
    let failure = match scene.facts.way_out {
        Some(false) => Failure::NoRoute,
        Some(true) | None => Failure::Timeout,
    };
    let obstacle = bridge::without_host(isolated, &network.key, came.is_some(), failure);
    Some(obstacle.also(Failure::NoRoute))
}

/// What the choice of a route tells.
fn note_route(
    scene: &Scene,
    at: NodeId,
    route: &Route,
    came: Option<usize>,
    destination: IpAddr,
    path: &mut Path,
) {
    let node = &scene.nodes[at];
    let link = &node.links[route.link];
    if came.is_none()
        && let Some(card) = exit::chosen(scene, at, route)
    {
        path.card(card);
    }
    path.cards_of(exit::assumed(scene, route, link));
    if link.network.as_deref() == Some(GATEWAY_BRIDGE) && route.destination.prefix_len() == 0 {
        path.card(&O3);
    }
    let l3 = matches!(link.role, Role::Ipvlan(IpvlanMode::L3 | IpvlanMode::L3s, _));
    if l3 && route.destination.prefix_len() == 0 {
        path.card(&M11);
    }
    // A router that sends a packet back to the wire it came from joins two subnets of it.
    let back = came
        .and_then(|came| node.links.get(came))
        .map(|came| came.segment);
    if node.kind == NodeKind::Router && back == Some(link.segment) {
        path.card(&M7);
        if has_several_subnets(scene, destination) {
            path.card(&M8);
        }
    }
    let by_bridge = came
        .and_then(|came| node.links.get(came))
        .is_some_and(|came| scene.bridge_of(came).is_some());
    if at == HOST && by_bridge && matches!(link.role, Role::Macvlan(_) | Role::Ipvlan(..)) {
        path.card(&M17);
    }
}

/// Whether the network that has the address has other subnets of its family.
fn has_several_subnets(scene: &Scene, address: IpAddr) -> bool {
    scene.networks.values().any(|network| {
        let family =
            (network.subnets.iter()).filter(|subnet| subnet.addr().is_ipv4() == address.is_ipv4());
        let (has, others): (Vec<&IpNet>, Vec<&IpNet>) =
            family.partition(|subnet| subnet.contains(&address));
        !has.is_empty() && !others.is_empty()
    })
}

/// Rule M17: what came from a bridge ends at the parent.
fn without_a_shim(
    scene: &Scene,
    from: Endpoint,
    came: Option<usize>,
    mut obstacle: Obstacle,
) -> Obstacle {
    let by_bridge = came
        .and_then(|came| scene.nodes[from.node].links.get(came))
        .is_some_and(|came| scene.bridge_of(came).is_some());
    if by_bridge && from.node == HOST && obstacle.code == Code::ParentFilter {
        obstacle.card = &M17;
    }
    obstacle
}

/// Rule R2: what a forwarding namespace has to tell comes by ICMP, and not every time.
fn told_from_afar(mut obstacle: Obstacle, came: Option<usize>) -> Obstacle {
    let told = matches!(
        obstacle.verdict,
        Verdict::Fail(Failure::NoRoute | Failure::HostUnreachable)
    );
    if came.is_some() && told {
        obstacle.also = Some(Failure::Timeout);
        if obstacle.code == Code::NoDefaultRoute {
            obstacle.card = &host::AFAR;
        }
    }
    obstacle
}

fn note_arrival(scene: &Scene, start: NodeId, at: NodeId, came: Option<usize>, path: &mut Path) {
    let bridge = came
        .and_then(|link| scene.nodes[at].links.get(link))
        .and_then(|link| scene.bridge_of(link));
    if at == HOST && bridge.is_some() && start != HOST {
        path.card(&B8);
    }
    if start == HOST && bridge.is_some() && at != HOST {
        path.card(&B7);
    }
}

fn missing_route(scene: &Scene, at: NodeId, destination: IpAddr) -> Obstacle {
    let node = &scene.nodes[at];
    let real: Vec<&Link> = node
        .links
        .iter()
        .filter(|link| link.role != Role::Loopback)
        .collect();
    let family = |link: &&&Link| {
        link.addresses
            .iter()
            .any(|prefix| prefix.addr().is_ipv4() == destination.is_ipv4())
    };
    let internal = |link: &&Link| {
        link.network
            .as_ref()
            .and_then(|name| scene.networks.get(name))
            .is_some_and(|network| network.internal)
    };
    let same_wire = |link: &&Link| {
        let mut owners = scene.owners(destination).iter();
        owners.any(|owner| {
            let mut links = scene.nodes[*owner].links.iter();
            links.any(|other| {
                other.segment == link.segment
                    && other.addresses.iter().any(|own| own.addr() == destination)
            })
        })
    };
    let on_wire = |link: &&Link| matches!(link.role, Role::Macvlan(_) | Role::Ipvlan(..));
    let isolated = |link: &&Link| {
        scene.bridge_of(link).is_some_and(|traits| {
            let mode = if destination.is_ipv6() {
                traits.mode6
            } else {
                traits.mode4
            };
            mode == GatewayMode::Isolated
        })
    };
    let alone = |link: &&Link| {
        let segment = link.segment.and_then(|id| scene.segments.get(id));
        segment.is_some_and(|segment| match &segment.kind {
            SegmentKind::Wire(traits) => traits.alone,
            SegmentKind::Bridge(_) | SegmentKind::Overlay => false,
            SegmentKind::Plugin | SegmentKind::Outside => false,
        })
    };
    let v6 = destination.is_ipv6();
    let off = scene.tenants(at).any(|(_, tenant)| tenant.no_ipv6);
    let default = real
        .iter()
        .all(|link| link.network.as_deref() == Some(DEFAULT_BRIDGE));
    let mut obstacle = plain_missing(node, &real, family, internal);
    let card = match obstacle.code {
        Code::FamilyMissing if v6 && off => Some(&V4),
        Code::FamilyMissing if v6 && default => Some(&B14),
        Code::FamilyMissing if !v6 => Some(&V2),
        Code::InternalNoExit if real.iter().all(on_wire) => Some(&M12),
        Code::NoDefaultRoute if real.iter().all(alone) => {
            obstacle.code = Code::InternalNoExit;
            Some(&M12)
        }
        Code::NoDefaultRoute if real.iter().any(isolated) => {
            obstacle.code = Code::IsolatedNoHostIp;
            Some(&B10)
        }
        Code::InternalNoExit if real.iter().any(isolated) => {
            obstacle.code = Code::IsolatedNoHostIp;
            Some(&B10)
        }
        Code::NoDefaultRoute => {
            let wire = real.iter().find(|link| on_wire(link) && same_wire(link));
            let meets = wire.and_then(|link| link.network.as_ref());
            let inside = meets.and_then(|name| scene.networks.get(name));
            match inside {
                Some(network) if network.subnets.iter().any(|own| own.contains(&destination)) => {
                    Some(&M8)
                }
                Some(_) => Some(&M7),
                None => None,
            }
        }
        _ => None,
    };
    if let Some(card) = card {
        obstacle.card = card;
    }
    obstacle
}

fn plain_missing(
    node: &Node,
    real: &[&Link],
    family: impl Fn(&&&Link) -> bool,
    internal: impl Fn(&&Link) -> bool,
) -> Obstacle {
    let kind = if real.is_empty() {
        NoRoute::OnlyLoopback
    } else if !real.iter().any(|link| family(&link)) {
        NoRoute::NoFamily
    } else if real.iter().all(internal) {
        NoRoute::Internal
    } else {
        NoRoute::NoDefault
    };
    host::no_route(&node.name, kind)
}

fn source_of(
    scene: &Scene,
    at: NodeId,
    route: &Route,
    link: &Link,
    packet: &Packet,
) -> Result<IpAddr, Obstacle> {
    let family = |address: &IpAddr| address.is_ipv4() == packet.destination.is_ipv4();
    let own = link.addresses.iter().map(|prefix| prefix.addr());
    packet
        .source
        .or(route.source)
        .filter(family)
        .or_else(|| own.clone().find(family))
        .or_else(|| scene.addresses(at).find(family))
        .or_else(|| {
            // A way out of which nothing is known has an address too.
            (link.role == Role::Uplink).then_some(packet.destination)
        })
        .ok_or_else(|| host::no_route(&scene.nodes[at].name, NoRoute::NoFamily))
}
