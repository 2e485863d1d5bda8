//! What the engine does at the host to a packet that passes: published ports, its firewall, and the address that the
//! outside sees.

use std::net::IpAddr;

use crate::reach::predict::Path;
use crate::reach::predict::packet::{Packet, Rewrite};
use crate::reach::question::{Ask, Question};
use crate::reach::rules::bridge::{self, B6, Forwarded};
use crate::reach::rules::engine::{self, V6};
use crate::reach::rules::exit;
use crate::reach::rules::publish::{self, Came, P14, Publish};
use crate::reach::scene::{GatewayMode, HOST, NodeId, Scene};
use crate::reach::verdict::{Hop, Obstacle, Translation};

/// What becomes of a packet for a published port.
pub enum Taken {
    /// It goes on, translated or as it is.
    Not,
    ByProxy(Box<Proxied>),
}

/// The proxy has taken it, and asks the container itself.
pub struct Proxied {
    pub to: IpAddr,
    pub question: Question,
    /// What the client does not take for an answer, even where the container gives one.
    pub unheard: Option<Obstacle>,
}

/// Published ports, at the host.
pub fn taken_by_engine(
    scene: &Scene,
    came: Option<usize>,
    packet: &mut Packet,
    question: &Question,
    path: &mut Path,
) -> Taken {
    let (Some(port), Some(protocol)) = (packet.port, question.ask.protocol()) else {
        return Taken::Not;
    };
    let link = came.and_then(|link| scene.nodes[HOST].links.get(link));
    let bridge = link.and_then(|link| Some((link.segment?, scene.bridge_of(link)?)));
    let came = match (link, bridge) {
        (None, _) => Came::FromHost,
        (Some(_), Some((segment, traits))) => Came::ByBridge(segment, traits),
        (Some(_), None) => Came::ByWire,
    };
    match publish::publication(scene, came, packet.destination, protocol, port) {
        Publish::Not => Taken::Not,
        Publish::Translated(publication, to, card) => {
            path.cards_of(exit::published(scene, publication.node));
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
            Taken::Not
        }
        Publish::Proxied(publication, to, card) => {
            path.cards_of(exit::published(scene, publication.node));
            path.card(&P14);
            let same_bridge = match came {
                Came::ByBridge(segment, traits) => segment == publication.segment && !traits.icc,
                Came::FromHost | Came::ByWire => false,
            };
            path.card(if same_bridge { &B6 } else { card });
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
            let is_udp = matches!(question.ask, Ask::Udp(_));
            let strange = strange_answer(scene, packet).filter(|_| is_udp);
            Taken::ByProxy(Box::new(Proxied {
                to,
                question: second,
                unheard: strange.map(|strange| publish::strange(packet.destination, strange)),
            }))
        }
    }
}

/// The address from which the proxy of an engine before 28 answers a datagram, where it is not the one that was asked:
/// its socket is bound to all addresses, so the host's route to the client chooses.
fn strange_answer(scene: &Scene, packet: &Packet) -> Option<IpAddr> {
    if scene.facts.engine.0 >= 28 {
        return None;
    }
    let client = packet
        .source
        .filter(|client| !scene.is_local(HOST, *client))?;
    let route = scene.route(HOST, client)?;
    let own = scene.nodes[HOST].links.get(route.link)?.addresses.iter();
    let source = route.source.or_else(|| {
        own.map(|prefix| prefix.addr())
            .find(|own| own.is_ipv4() == client.is_ipv4())
    })?;
    (source != packet.destination).then_some(source)
}

pub fn pass_the_host(
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
    path.cards_of(engine::before_the_rules(&scene.facts)?);
    let came_by = scene.nodes[HOST]
        .links
        .get(from)
        .map_or("", |link| link.name.as_str());
    let into = scene.nodes[HOST]
        .links
        .get(to)
        .and_then(|link| link.segment);
    let published = packet.port.is_some_and(|port| {
        scene
            .owners(packet.destination)
            .iter()
            .filter(|node| opens_ports(scene, **node, packet.destination))
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
        trusted: scene.facts.direct_routing
            || (scene.trusted.iter())
                .any(|(segment, link)| Some(*segment) == into && link == came_by),
    };
    if forwarded.to.is_some_and(|(_, traits)| traits.ignored_mode) {
        path.card(&V6);
    }
    if is_beside(scene, packet)
        && forwarded
            .to
            .is_some_and(|(_, traits)| traits.mode4 == GatewayMode::Routed)
    {
        path.card(&exit::G5);
    }
    if let Some(card) = bridge::forwarded(&scene.facts, forwarded)? {
        path.card(card);
        path.hops.push(Hop::Passed {
            at: "host".to_owned(),
            rule: card.id,
        });
    }
    Ok(())
}

/// Whether the engine opens a container's published ports at this address: before version 29 only on the network that is
/// its way out (measured on 28.5: a routed network that is not stays shut; moby pull request 50140 changed it).
fn opens_ports(scene: &Scene, node: NodeId, address: IpAddr) -> bool {
    let Some(exits) = scene.exits.get(&node).filter(|_| scene.facts.engine.0 < 29) else {
        return true;
    };
    let exit = exits[usize::from(address.is_ipv6())];
    exit.and_then(|link| scene.nodes[node].links.get(link))
        .is_some_and(|link| link.addresses.iter().any(|prefix| prefix.addr() == address))
}

/// Whether the packet goes to an address that is not on its container's way out.
fn is_beside(scene: &Scene, packet: &Packet) -> bool {
    scene.owners(packet.destination).iter().any(|node| {
        let mut links = scene.nodes[*node].links.iter().enumerate();
        links.any(|(index, link)| {
            link.addresses
                .iter()
                .any(|own| own.addr() == packet.destination)
                && exit::beside(scene, *node, index)
        })
    })
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
pub fn leave_translated(
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
