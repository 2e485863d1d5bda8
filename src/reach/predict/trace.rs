//! Follows one packet: at each namespace translation, routes and firewall, at each segment who hears it; then the answer
//! the same way back.

use std::net::IpAddr;

use crate::reach::predict::answer::back;
use crate::reach::predict::gate::{leave_translated, pass_the_host, taken_by_engine};
use crate::reach::predict::packet::{Arrival, Packet};
use crate::reach::predict::segment::deliver;
use crate::reach::predict::{Path, listen};
use crate::reach::question::{Ask, Question};
use crate::reach::rules::bridge::{B7, B8};
use crate::reach::rules::host::{self, NoRoute};
use crate::reach::scene::{Endpoint, HOST, Link, NodeId, NodeKind, Role, Route, Scene};
use crate::reach::verdict::{Code, Failure, Hop, Obstacle, Stage, Verdict};

/// No path of ours is longer; a loop of routes is.
pub const MOST_HOPS: usize = 8;

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
    // TEST-NET-1 (RFC 5737) stands for it: nobody has such an address, and nothing is sent.
    let somewhere = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    let packet = Packet {
        source: None,
        destination: somewhere,
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
            && taken_by_engine(scene, came, &mut packet, question, path)?
        {
            return Ok(None);
        }
        if scene.is_local(at, packet.destination) {
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
        if node.kind == NodeKind::Outside {
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
