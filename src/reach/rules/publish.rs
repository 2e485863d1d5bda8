//! Rules of published ports: who gets from which address of the host to which container, by translation or by the
//! engine's proxy.

use std::net::IpAddr;

use crate::model::port::Protocol;
use crate::reach::card::Card;
use crate::reach::facts::Facts;
use crate::reach::rules::host::DOWN;
use crate::reach::scene::{BridgeTraits, HOST, Publication, Scene, SegmentId, WhyUnpublished};
use crate::reach::verdict::{Code, Failure, Obstacle, Stage};

pub const P1: Card = Card {
    id: "P1",
    title: "a published port is open at the host's addresses",
    text: "The engine translates what comes for the port at any of the host's addresses (or the one that is named) to the container; for 127.0.0.1 its proxy takes the connection and makes one of its own.",
    source: "moby TestAccessPublishedPortFromHost; measured on 20.10 and 28",
};

pub const P3: Card = Card {
    id: "P3",
    title: "machines of the LAN reach a published port at the host's address on their link",
    text: "What comes from outside for the port at an address of the host is translated before routing and forwarded into the bridge.",
    source: "moby TestAccessPublishedPortFromRemoteHost; measured",
};

pub const P4: Card = Card {
    id: "P4",
    title: "a port published on 127.0.0.1 is for the host alone",
    text: "The translation is made only for the address that is named, and 127.0.0.1 of another machine or container is its own.",
    source: "moby TestAccessPortPublishedOnLoopbackAddress",
};

pub const P5: Card = Card {
    id: "P5",
    title: "a container reaches a published port through the host's address, its own too",
    text: "Back into the bridge it came from, a packet cannot just be translated: the engine's proxy takes the connection; without the proxy the bridge is made to send it back (hairpin), which inter-container communication off forbids.",
    source: "moby TestAccessPublishedPortFromCtr; measured on 20.10 and 28",
};

pub const P6: Card = Card {
    id: "P6",
    title: "a published port leads from one bridge network into another",
    text: "Networks are kept apart, but the host's address is open to both: through the published port, taken by the engine's proxy, a container reaches one of another network. Without the proxy it does not: translated or not, packets between bridges are dropped.",
    source: "moby TestAccessToPublishedPort; measured on 20.10 and 28",
};

pub const P6_INTERNAL: Card = Card {
    id: "P6-internal",
    title: "from an internal network published ports are closed",
    text: "What comes from an internal network is translated like all else, and then dropped, as it would leave that network. The host's own services stay open.",
    source: "measured on 20.10",
};

pub const P7: Card = Card {
    id: "P7",
    title: "a port published on one address of the host is closed at the others",
    text: "The translation names the address; at any other one the host itself is asked, and nothing listens there. `0.0.0.0` is every IPv4 address and `[::]` every IPv6 address, not both.",
    source: "measured on 20.10 and 28 (random stacks: `[::]:9004:80` is refused at the host's IPv4 addresses)",
};

pub const P10: Card = Card {
    id: "P10",
    title: "only a bridge network publishes ports",
    text: "Ports are published on the network that is the container's way out. Macvlan, ipvlan, none and host mode have nothing to publish: the container's own address has the port (in host mode the host's).",
    source: "moby TestGatewaySelection; measured on 20.10",
};

pub const P_INTERNAL: Card = Card {
    id: "P15",
    title: "an internal network publishes nothing",
    text: "The engine drops published ports of a container whose way out is an internal network, without a word.",
    source: "measured on 20.10: `Ports` is empty",
};

pub const P13: Card = Card {
    id: "P13",
    title: "the proxy of engines before 28 answers UDP from the address that is nearest to the client",
    text: "The proxy's UDP socket is bound to all addresses, so its answer leaves with the host's address on the client's own network. A client that asked another address of the host takes it for somebody else's and hears nothing. TCP is not concerned.",
    source: "measured with random stacks: silent on 20.10 at every address of the host but the gateway of the asker's own network, answered on 28.5",
};

pub const V3: Card = Card {
    id: "V3",
    title: "an IPv6 address of the host leads to an IPv4 container only through the proxy",
    text: "A packet cannot change its family by translation; the engine's proxy can take an IPv6 connection and make an IPv4 one.",
    source: "moby TestGatewaySelection",
};

pub const P2: Card = Card {
    id: "P2",
    title: "without the proxy a published port is not open at ::1",
    text: "What the host sends to ::1 cannot be translated to a container; only the engine's proxy listens there.",
    source: "moby TestAccessPublishedPortFromHost",
};

pub const P8: Card = Card {
    id: "P8",
    title: "in host mode there is nothing to publish",
    text: "A container in host mode opens its sockets on the host itself: `ports` is ignored, and the port is the one it listens on.",
    source: "measured on 20.10",
};

pub const P11: Card = Card {
    id: "P11",
    title: "a routed network publishes nothing at the host",
    text: "In gateway mode routed there is no translation and no proxy: a published port is open at the container's own address, and the host's port means nothing. The mode counts for its own family only: where IPv4 is routed and IPv6 is not, the proxy opens the port at the host's IPv6 addresses.",
    source: "moby iptablesdoc usernet-portmap-routed.md",
};

pub const P14: Card = Card {
    id: "P14",
    title: "the proxy and hairpin hide who asks",
    text: "What comes by translation keeps the client's address; what the proxy takes, or what goes back into the bridge it came from, arrives with the gateway's.",
    source: "measured on 20.10 and 28",
};

/// The cards of this file.
pub const CARDS: &[&Card] = &[
    &P1,
    &P3,
    &P4,
    &P5,
    &P6,
    &P6_INTERNAL,
    &P7,
    &P10,
    &P13,
    &P_INTERNAL,
    &V3,
    &P2,
    &P8,
    &P11,
    &P14,
];

const ASK_ITSELF: &str = "ask the container's own address";

/// How a packet for an address of the host came there.
#[derive(Debug, Clone, Copy)]
pub enum Came<'a> {
    /// From the host itself.
    FromHost,
    /// By this bridge.
    ByBridge(SegmentId, &'a BridgeTraits),
    /// By any other link.
    ByWire,
}

/// What becomes of a packet for a port at an address of the host.
#[derive(Debug, Clone, Copy)]
pub enum Publish<'a> {
    /// No container publishes it here: the host's own sockets are asked.
    Not,
    /// The destination becomes the container's.
    Translated(&'a Publication, IpAddr, &'static Card),
    /// The proxy takes it and asks the container itself.
    Proxied(&'a Publication, IpAddr, &'static Card),
}

/// Finds what is published there.
pub fn publication<'a>(
    scene: &'a Scene,
    came: Came,
    destination: IpAddr,
    protocol: Protocol,
    port: u16,
) -> Publish<'a> {
    let facts = &scene.facts;
    let found = scene.publications.iter().find(|publication| {
        publication.protocol == protocol
            && publication.host_port == port
            && publication
                .host_address
                .is_none_or(|address| covers(address, destination))
    });
    let Some(publication) = found else {
        return Publish::Not;
    };
    if !publication.open.at(destination) {
        return Publish::Not;
    }
    let v6 = destination.is_ipv6();
    // Nothing can be sent from ::1 to anywhere, and no sysctl changes that.
    if v6 && destination.is_loopback() && !facts.userland_proxy {
        return Publish::Not;
    }
    let same_family = if v6 { publication.to6 } else { publication.to4 };
    let Some(to) = same_family.filter(|_| !v6 || facts.ip6tables) else {
        // An engine without rules for IPv6 leaves it to its proxy, even where it is told to do without (measured on
        // 20.10).
        if let Some(to) = publication.to6.filter(|_| v6) {
            return Publish::Proxied(publication, to, &V3);
        }
        let other = publication.to4.or(publication.to6);
        return match other {
            Some(to) if v6 && facts.userland_proxy => Publish::Proxied(publication, to, &V3),
            Some(_) | None => Publish::Not,
        };
    };
    match came {
        Came::FromHost if destination.is_loopback() && facts.userland_proxy => {
            Publish::Proxied(publication, to, &P1)
        }
        Came::FromHost => Publish::Translated(publication, to, &P1),
        Came::ByWire => Publish::Translated(publication, to, &P3),
        Came::ByBridge(bridge, _) if bridge == publication.segment => {
            if facts.userland_proxy {
                Publish::Proxied(publication, to, &P5)
            } else {
                Publish::Translated(publication, to, &P5)
            }
        }
        // The engine spares packets of its bridges from translation when there is a proxy to take them; an internal
        // bridge is not among those, nor is one without masquerading (measured on 20.10 and 28.5 with random stacks:
        // silent; `setupIPTablesInternal` of the bridge driver writes that rule only with masquerading).
        Came::ByBridge(_, traits) if traits.internal => {
            Publish::Translated(publication, to, &P6_INTERNAL)
        }
        Came::ByBridge(_, traits) if !traits.masquerade => {
            Publish::Translated(publication, to, &P6)
        }
        Came::ByBridge(..) if facts.userland_proxy => Publish::Proxied(publication, to, &P6),
        Came::ByBridge(..) => Publish::Translated(publication, to, &P6),
    }
}

/// Whether a port published on an address is open at another one: `0.0.0.0` is all of IPv4 and none of IPv6, `[::]` the
/// other way round (measured on 20.10 and 28.5: a port of `[::]` is refused at every IPv4 address).
fn covers(published: IpAddr, destination: IpAddr) -> bool {
    if published.is_unspecified() {
        published.is_ipv4() == destination.is_ipv4()
    } else {
        published == destination
    }
}

/// An answer that comes from another address than the one that was asked.
pub fn strange(asked: IpAddr, from: IpAddr) -> Obstacle {
    Obstacle::fail(
        &P13,
        Stage::Return,
        Code::NoReturnRoute,
        Failure::Timeout,
        format!("the proxy's answer, which comes from {from} and not from {asked}"),
    )
    .remedy(format!("ask {from}"))
}

/// Why nobody answers at a port of the host, where a service of the stack was meant to.
pub fn why_closed(
    scene: &Scene,
    destination: IpAddr,
    protocol: Protocol,
    port: u16,
) -> Option<Obstacle> {
    let elsewhere = scene
        .publications
        .iter()
        .find(|publication| publication.protocol == protocol && publication.host_port == port);
    if let Some(publication) = elsewhere {
        return Some(closed_here(&scene.facts, publication, destination));
    }
    let unpublished = scene
        .unpublished
        .iter()
        .find(|wish| wish.protocol == protocol && wish.host_port == port)?;
    let (card, code, remedy) = match unpublished.why {
        // Where the service listens on the very port that it wanted to publish, the host has it after all.
        WhyUnpublished::HostMode if is_declared(scene, protocol, port) => return None,
        WhyUnpublished::HostMode => (
            &P8,
            Code::ModeHasNoPublish,
            "ask the port that the service listens on",
        ),
        WhyUnpublished::Mode => (
            &P10,
            Code::ModeHasNoPublish,
            "ask the container's own address, or give it a bridge network that is its way out",
        ),
        WhyUnpublished::Internal => (
            &P_INTERNAL,
            Code::NotPublished,
            "remove `internal: true` from its network, or give it another one",
        ),
        WhyUnpublished::Routed => (&P11, Code::NotPublished, ASK_ITSELF),
        WhyUnpublished::Down => (&DOWN, Code::ContainerDown, "start it: `stack up`"),
    };
    let at = format!(
        "port {port} of the host, wanted by `{}`",
        unpublished.container
    );
    Some(Obstacle::fail(card, Stage::Translation, code, Failure::Refused, at).remedy(remedy))
}

fn is_declared(scene: &Scene, protocol: Protocol, port: u16) -> bool {
    let mut tenants = scene.tenants(HOST);
    tenants.any(|(_, tenant)| tenant.declared.contains(&(port, protocol)))
}

fn closed_here(facts: &Facts, publication: &Publication, destination: IpAddr) -> Obstacle {
    let at = format!(
        "port {} of the host, published by `{}`",
        publication.host_port, publication.container
    );
    let (card, code, remedy) = match publication.host_address {
        Some(address) if address.is_loopback() => (
            &P4,
            Code::LoopbackOnly,
            "remove `127.0.0.1:` from the published port".to_owned(),
        ),
        Some(address) if address.is_unspecified() => (
            &P7,
            Code::PortOnWrongFamily,
            "publish the port without an address, for both families".to_owned(),
        ),
        Some(address) => (
            &P7,
            Code::PublishedElsewhere,
            format!("ask {address}, or publish the port without an address"),
        ),
        None if destination.is_ipv6() && destination.is_loopback() && !facts.userland_proxy => (
            &P2,
            Code::PortOnWrongFamily,
            "ask another address of the host".to_owned(),
        ),
        None if !publication.open.at(destination) => {
            (&P11, Code::NotPublished, ASK_ITSELF.to_owned())
        }
        None => (
            &V3,
            Code::PortOnWrongFamily,
            if destination.is_ipv6() && !facts.userland_proxy {
                "set `enable_ipv6: true` on its network".to_owned()
            } else {
                "ask an address of the other family".to_owned()
            },
        ),
    };
    Obstacle::fail(card, Stage::Translation, code, Failure::Refused, at).remedy(remedy)
}
