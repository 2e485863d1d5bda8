//! Follows one packet: at each namespace translation, routes and firewall, at each segment who hears it; then the answer
//! the same way back. Firewalls let answers pass (connection tracking), routes and links are asked again.

use std::net::IpAddr;

use crate::model::network::IpvlanMode;
use crate::reach::predict::{Path, listen};
use crate::reach::question::{Ask, Question};
use crate::reach::rules::bridge::{self, B7, B8, Forwarded};
use crate::reach::rules::host::{self, NoRoute};
use crate::reach::rules::publish::{self, Came, Publish};
use crate::reach::rules::wire::{self, End, M9};
use crate::reach::scene::{
    Endpoint, GatewayMode, HOST, Link, NodeId, NodeKind, Role, Route, Scene, SegmentKind,
    WireTraits, is_placeholder, shown,
};
use crate::reach::verdict::{
    Code, Confidence, Failure, Hop, Obstacle, Stage, Translation, Verdict,
};

/// No path of ours is longer; a loop of routes is.
const MOST_HOPS: usize = 8;

/// What a namespace changed in a packet, so that the answer can be changed back.
#[derive(Debug, Clone, Copy)]
struct Rewrite {
    at: NodeId,
    before: (IpAddr, IpAddr),
    after: (IpAddr, IpAddr),
}

/// A packet on its way.
#[derive(Debug, Clone)]
struct Packet {
    source: Option<IpAddr>,
    destination: IpAddr,
    port: Option<u16>,
    rewrites: Vec<Rewrite>,
    translated: bool,
}

/// Where a packet ended.
struct Arrival {
    node: NodeId,
    source: IpAddr,
    destination: IpAddr,
    rewrites: Vec<Rewrite>,
}

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

/// Published ports, at the host. True where the proxy took the packet and the container answered it.
fn taken_by_engine(
    scene: &Scene,
    came: Option<usize>,
    packet: &mut Packet,
    question: &Question,
    path: &mut Path,
) -> Result<bool, Obstacle> {
    let (Some(port), Some(protocol)) = (packet.port, question.ask.protocol()) else {
        return Ok(false);
    };
    let link = came.and_then(|link| scene.nodes[HOST].links.get(link));
    let bridge = link.and_then(|link| Some((link.segment?, scene.bridge_of(link)?)));
    let came = match (link, bridge) {
        (None, _) => Came::FromHost,
        (Some(_), Some((segment, traits))) => Came::ByBridge(segment, traits),
        (Some(_), None) => Came::ByWire,
    };
    match publish::publication(scene, came, packet.destination, protocol, port) {
        Publish::Not => Ok(false),
        Publish::Translated(publication, to, card) => {
            path.card(card);
            path.hops.push(Hop::Translated {
                at: "host".to_owned(),
                from: packet.destination,
                to,
                port: Some(publication.target),
                what: Translation::Destination,
            });
            // The kernel chooses the source before it translates: for an address of its own that very address. From
            // 127.0.0.1 nothing can be sent to a bridge, so there the source is translated too.
            let asked = packet.source.unwrap_or(packet.destination);
            let source = if asked.is_loopback() {
                let route = scene.route(HOST, to).and_then(|route| route.source);
                route.unwrap_or(asked)
            } else {
                asked
            };
            packet.rewrites.push(Rewrite {
                at: HOST,
                before: (asked, packet.destination),
                after: (source, to),
            });
            packet.source = Some(source);
            packet.destination = to;
            packet.port = Some(publication.target);
            packet.translated = true;
            Ok(false)
        }
        Publish::Proxied(publication, to, card) => {
            path.card(card);
            path.hops.push(Hop::Translated {
                at: "host".to_owned(),
                from: packet.destination,
                to,
                port: Some(publication.target),
                what: Translation::Proxy,
            });
            let second = Question {
                ask: match question.ask {
                    Ask::Udp(_) => Ask::Udp(publication.target),
                    Ask::Tcp(_) | Ask::Name | Ask::Icmp => Ask::Tcp(publication.target),
                },
                ..question.clone()
            };
            there_and_back(scene, HOST, None, to, &second, path)?;
            Ok(true)
        }
    }
}

fn pass_the_host(
    scene: &Scene,
    from: usize,
    to: usize,
    packet: &Packet,
    question: &Question,
    path: &mut Path,
) -> Result<(), Obstacle> {
    let side = |link: usize| {
        let link = scene.nodes[HOST].links.get(link)?;
        Some((scene.segment_name(link.segment), scene.bridge_of(link)?))
    };
    let published = packet.port.is_some_and(|port| {
        scene
            .owners(packet.destination)
            .iter()
            .flat_map(|node| scene.tenants(*node))
            .any(|(name, _)| publishes(scene, name, port))
    });
    let forwarded = Forwarded {
        from: side(from),
        to: side(to),
        destination: packet.destination,
        translated: packet.translated,
        published,
        icmp: question.ask == Ask::Icmp,
    };
    if let Some(card) = bridge::forwarded(&scene.facts, forwarded)? {
        path.card(card);
        path.hops.push(Hop::Passed {
            at: "host".to_owned(),
            rule: card.id,
        });
    }
    Ok(())
}

fn publishes(scene: &Scene, container: &str, port: u16) -> bool {
    let translated = scene
        .publications
        .iter()
        .any(|publication| publication.container == container && publication.target == port);
    let routed = scene
        .unpublished
        .iter()
        .any(|wish| wish.container == container && wish.target == port);
    translated || routed
}

/// The source is translated on the way out of a bridge, and on the way back into the bridge it came from.
fn leave_translated(
    scene: &Scene,
    at: NodeId,
    came: Option<usize>,
    to: usize,
    packet: &mut Packet,
    path: &mut Path,
) {
    let (HOST, Some(from)) = (at, came) else {
        return;
    };
    let links = &scene.nodes[HOST].links;
    let Some(traits) = scene.bridge_of(&links[from]) else {
        return;
    };
    let v6 = packet.destination.is_ipv6();
    let mode = if v6 { traits.mode6 } else { traits.mode4 };
    let hairpin = from == to && packet.translated;
    let translates = traits.masquerade
        && mode != GatewayMode::Routed
        && (from != to || hairpin)
        && (!v6 || scene.facts.ip6tables);
    if !translates {
        return;
    }
    let family = |address: &IpAddr| address.is_ipv6() == v6;
    let own = links[to].addresses.iter().map(|prefix| prefix.addr());
    let Some(source) = packet.source else { return };
    let address = own
        .clone()
        .find(family)
        .or_else(|| scene.addresses(HOST).find(family));
    let Some(address) = address else { return };
    packet.rewrites.push(Rewrite {
        at: HOST,
        before: (source, packet.destination),
        after: (address, packet.destination),
    });
    packet.source = Some(address);
    path.hops.push(Hop::Translated {
        at: "host".to_owned(),
        from: source,
        to: address,
        port: None,
        what: Translation::Source,
    });
}

/// Who on the segment of a link gets a frame for an address.
fn deliver(
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
        match carried(scene, from, member, path) {
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
    Err(first.unwrap_or_else(|| unanswered(scene, &segment.kind, &segment.name, next)))
}

/// The links of the segment whose namespace has the address: first those that carry it, then, as Linux answers for all
/// its addresses on all its links, the others (unless the host's `arp_ignore` forbids).
fn holders(scene: &Scene, from: Endpoint, next: IpAddr, destination: IpAddr) -> Vec<Endpoint> {
    let link = &scene.nodes[from.node].links[from.link];
    let Some(segment) = link.segment.and_then(|id| scene.segments.get(id)) else {
        return Vec::new();
    };
    let through_link = matches!(link.role, Role::Ipvlan(IpvlanMode::L3 | IpvlanMode::L3s, _));
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
    exact.extend(weak);
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
        // Not a sibling: the host's own routes lead on.
        let route = scene.route(HOST, destination);
        let next = route.map(|route| route.via.unwrap_or(destination));
        for node in next.map_or(&[][..], |next| scene.owners(next)) {
            let members = segment.members.iter().filter(|member| member.node == *node);
            exact.extend(members.copied());
        }
    }
    exact
}

fn carried(scene: &Scene, from: Endpoint, to: Endpoint, path: &mut Path) -> Result<(), Obstacle> {
    let (Some(one), Some(two)) = (scene.link(from), scene.link(to)) else {
        return Ok(());
    };
    let Some(segment) = one.segment.and_then(|id| scene.segments.get(id)) else {
        return Ok(());
    };
    match &segment.kind {
        SegmentKind::Bridge(traits) => {
            if one.role == Role::Port && two.role == Role::Port {
                let linked = legacy_link(scene, from.node, to.node);
                path.card(bridge::neighbours(traits, linked, &segment.name)?);
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
            path.card(card);
            Ok(())
        }
        SegmentKind::Overlay | SegmentKind::Outside => Ok(()),
        SegmentKind::Plugin => {
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
) -> Option<&'static crate::reach::rules::Card> {
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

/// Nobody whom we know has the address.
fn unanswered(scene: &Scene, kind: &SegmentKind, segment: &str, next: IpAddr) -> Obstacle {
    let real = matches!(
        kind,
        SegmentKind::Wire(WireTraits {
            switch: None,
            alone: false
        }) | SegmentKind::Plugin
    );
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

/// The answer's way: routes and links decide, changes are undone where they were made.
fn back(scene: &Scene, start: NodeId, arrival: &Arrival, path: &mut Path) -> Result<(), Obstacle> {
    let mut at = arrival.node;
    let mut source = arrival.destination;
    let mut destination = arrival.source;
    if at == start && arrival.rewrites.is_empty() {
        return Ok(());
    }
    let mut rewrites = arrival.rewrites.clone();
    let mut unheard = Path::default();
    for _ in 0..MOST_HOPS {
        while let Some(last) = rewrites.last() {
            if last.at == at && last.after == (destination, source) {
                source = last.before.1;
                destination = last.before.0;
                rewrites.pop();
            } else {
                break;
            }
        }
        if scene.is_local(at, destination) {
            if at != start {
                break;
            }
            if !rewrites.is_empty() {
                return Err(around_the_host(scene, arrival, destination));
            }
            path.hops.push(Hop::Answered {
                at: scene.nodes[arrival.node].name.clone(),
                to: destination,
            });
            return Ok(());
        }
        let Some(route) = scene.route(at, destination) else {
            return Err(lost(scene, at, destination, None));
        };
        let next = route.via.unwrap_or(destination);
        let from = Endpoint {
            node: at,
            link: route.link,
        };
        match deliver(scene, from, next, destination, &mut unheard) {
            Ok(to) => at = to.node,
            Err(obstacle) => return Err(lost(scene, at, destination, Some(obstacle))),
        }
        if scene.nodes[at].kind == NodeKind::Outside {
            return Ok(());
        }
    }
    Err(lost(scene, at, destination, None))
}

/// The answer takes a shorter way than the question and misses the host that translated it: the client gets it from an
/// address that it never asked, and throws it away.
fn around_the_host(scene: &Scene, arrival: &Arrival, to: IpAddr) -> Obstacle {
    let node = &scene.nodes[arrival.node].name;
    Obstacle::fail(
        &host::AROUND,
        Stage::Return,
        Code::NoReturnRoute,
        Failure::Timeout,
        format!("the answer of `{node}` to {}", shown(to)),
    )
    .remedy(format!(
        "ask `{node}` at its own address on the network that both have, or take it off that network"
    ))
}

/// The answer does not come back: the client hears nothing.
fn lost(scene: &Scene, at: NodeId, to: IpAddr, why: Option<Obstacle>) -> Obstacle {
    let node = &scene.nodes[at].name;
    let Some(mut obstacle) = why else {
        let mut obstacle = host::no_route(node, NoRoute::NoDefault);
        obstacle.stage = Stage::Return;
        obstacle.code = Code::NoReturnRoute;
        obstacle.verdict = Verdict::Fail(Failure::Timeout);
        obstacle.at = format!("the answer of `{node}` to {}", shown(to));
        obstacle.remedy = format!("give `{node}` a route to {}", shown(to));
        return obstacle;
    };
    let by_shim = at == HOST && obstacle.code == Code::ParentFilter;
    obstacle.code = match (by_shim, obstacle.stage) {
        (true, _) if scene.shims.is_empty() => Code::ParentFilter,
        (true, _) => Code::ShimNoRoute,
        (false, Stage::Link) if obstacle.code == Code::NobodyThere => Code::NoReturnRoute,
        (false, _) => obstacle.code,
    };
    if let Verdict::Fail(_) = obstacle.verdict {
        obstacle.verdict = Verdict::Fail(Failure::Timeout);
        obstacle.also = None;
    }
    obstacle.stage = Stage::Return;
    obstacle.at = format!("the answer of `{node}` to {}: {}", shown(to), obstacle.at);
    if by_shim && !scene.shims.is_empty() && !is_placeholder(to) {
        obstacle.remedy = format!("let a route of the shim (`routes:`) cover {to}");
    }
    obstacle
}
