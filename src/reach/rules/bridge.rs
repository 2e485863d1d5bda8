//! Rules of bridges: who may talk on one, between two, and how the host and the outside see them.

use std::net::IpAddr;

use crate::reach::card::Card;
use crate::reach::facts::{Facts, ForwardPolicy};
use crate::reach::scene::{BridgeTraits, GatewayMode};
use crate::reach::verdict::{Code, Failure, Obstacle, Stage};

pub const B1: Card = Card {
    id: "B1",
    title: "containers on one bridge network reach each other",
    text: "A bridge network is one link: all its containers talk to each other on every port and in every address family, by name and by address, whether or not anything is published and whether or not the network is internal.",
    source: "moby integration/networking/bridge_linux_test.go TestBridgeICC; measured on 20.10 and 28",
};

pub const B2: Card = Card {
    id: "B2",
    title: "two bridge networks are kept apart",
    text: "The host has a leg in both networks and could forward, but the engine tells its firewall to drop what comes from one bridge and leaves by another. Nothing is sent back, so the client waits until it gives up. Containers that must talk share a network, or go through a published port.",
    source: "moby TestBridgeINC; measured on 20.10 (isolation chains) and 28 (raw table)",
};

pub const B2V6: Card = Card {
    id: "B2-v6",
    title: "without ip6tables bridge networks are not kept apart in IPv6",
    text: "Engines before 27 touch the IPv6 firewall only when told to (ip6tables in the daemon's settings). Until then the host forwards IPv6 from one bridge network to another and nothing stops it: what is a wall in IPv4 is an open door in IPv6. So it is between neighbours, where inter-container communication is off.",
    source: "docs of the daemon's ip6tables setting (default on from 27); measured on 20.10, between neighbours by a random stack (seed 15)",
};

pub const B3: Card = Card {
    id: "B3",
    title: "an internal network has no way out",
    text: "A container whose only networks are internal has no default route (engine 28; up to 20.10 there was one, and the firewall dropped what took it). It reaches its own networks and nothing beyond.",
    source: "moby TestBridgeINC, iptablesdoc usernet-internal.md; measured on 20.10 and 28",
};

pub const B4: Card = Card {
    id: "B4",
    title: "without inter-container communication neighbours are walled off",
    text: "With enable_icc false the engine drops packets between two ports of the same bridge. Names still resolve and neighbours still answer ARP, the host is reached, but containers do not reach each other; the client waits until it gives up.",
    source: "moby iptablesdoc usernet-portmap-noicc.md; measured on 20.10 and 28",
};

pub const B5: Card = Card {
    id: "B5",
    title: "a legacy link opens exposed ports between two containers of the default bridge",
    text: "On the default bridge with inter-container communication off, links: opens the exposed ports of the linked container for that pair. On networks of your own a link is only a name and opens nothing.",
    source: "moby integration/network/bridge TestLegacyLink; measured on 20.10: no effect on user networks",
};

pub const B7: Card = Card {
    id: "B7",
    title: "the host reaches the containers of its own bridges",
    text: "The host has an address on each bridge, so every container on it is a neighbour: every port is open to the host, published or not, internal or not.",
    source: "moby TestInternalNwConnectivity; measured on 20.10 and 28",
};

pub const B8: Card = Card {
    id: "B8",
    title: "a container reaches the host at any of the host's addresses",
    text: "The bridge's gateway is the host itself, and the host takes packets for any of its addresses on any link. What is published is not asked here: a service of the host that listens on all addresses is open to the containers.",
    source: "moby TestAccessPublishedPortFromAnotherNetwork; measured on 20.10: also from internal networks",
};

pub const B9: Card = Card {
    id: "B9",
    title: "packets do not enter or leave an internal network",
    text: "The engine drops what the host would forward into or out of an internal network. Only the host itself, at its own end of the bridge, can be reached and can reach in.",
    source: "moby iptablesdoc usernet-internal.md; measured on 20.10 and 28",
};

pub const B10: Card = Card {
    id: "B10",
    title: "an isolated bridge has no host on it",
    text: "In gateway mode isolated the bridge has no address: containers of the network talk to each other, and neither to the host nor through it.",
    source: "moby integration/network/bridge TestIsolated",
};

pub const G_NAT: Card = Card {
    id: "G-nat",
    title: "container addresses are not for others to use",
    text: "From engine 28 on, packets from other machines or other networks to a container's own address are dropped before routing, for published ports too: in gateway mode nat the way in is the published port at the host's address.",
    source: "moby integration/networking/port_mapping_linux_test.go TestDirectRoutingOpenPorts",
};

pub const G_OLD: Card = Card {
    id: "G-old",
    title: "before engine 28 published ports were open at the container's address too",
    text: "Another machine with a route to the bridge reaches a container's published port at the container's own address; other ports are left to the policy of the FORWARD chain, which the engine sets to DROP when it switched forwarding on.",
    source: "moby pull request 48597; srl-labs/containerlab issue 2638",
};

pub const G_UNPROTECTED: Card = Card {
    id: "G-unp",
    title: "gateway mode nat-unprotected lets every port be reached directly",
    text: "With nat-unprotected the engine opens the bridge to anyone who has a route: every port of every container answers at the container's own address. Other bridge networks of the same engine stay shut out (measured on 28.5).",
    source: "moby TestDirectRoutingOpenPorts",
};

pub const G_ROUTED: Card = Card {
    id: "G-rtd",
    title: "gateway mode routed opens published ports at the container's address",
    text: "In gateway mode routed nothing is translated: published ports and ICMP are open at the container's own address to anyone who has a route, other ports are dropped, and the host's port means nothing. Before engine 29 only the network that is the container's way out opens them.",
    source: "moby TestDirectRoutingOpenPorts, TestBridgeINCRouted; measured on 28.5 with random stacks: shut on a routed network that is not the way out",
};

pub const FORWARD: Card = Card {
    id: "B12",
    title: "what no rule speaks of is left to the FORWARD policy",
    text: "The engine sets the policy of the host's FORWARD chain to DROP when it switched forwarding on itself. Traffic between two links that are none of its bridges then needs a rule of the user's.",
    source: "moby iptablesdoc new-daemon.md",
};

pub const B6: Card = Card {
    id: "B6",
    title: "published ports pass by the wall between neighbours",
    text: "With inter-container communication off neighbours still reach each other's published ports at an address of the host: the engine's proxy takes the connection and makes one of its own.",
    source: "measured on 20.10",
};

pub const B11: Card = Card {
    id: "B11",
    title: "a bridge may be without the host's address",
    text: "With inhibit_ipv4 the engine gives the bridge no address: its containers talk to each other, and neither to the host nor through it.",
    source: "moby daemon/libnetwork/drivers/bridge/labels.go",
};

pub const B14: Card = Card {
    id: "B14",
    title: "the default bridge has IPv6 only where the daemon gives it",
    text: "IPv6 on the default bridge is a setting of the daemon (ipv6, fixed-cidr-v6) and of no file.",
    source: "moby integration/networking TestDefaultBridgeIPv6",
};

pub const G_ISO: Card = Card {
    id: "G-iso",
    title: "nobody beyond an isolated bridge gets in",
    text: "In gateway mode isolated nothing is published, nothing is routed, and the host has no address on the bridge.",
    source: "moby integration/network/bridge TestIsolated",
};

pub const G_CTR: Card = Card {
    id: "G-ctr",
    title: "routed networks open their published ports to other networks too",
    text: "From a container of another bridge network a routed network answers at published ports and to ping, and drops the rest; nat drops all.",
    source: "moby TestInterNetworkDirectRouting, TestBridgeINCRouted",
};

pub const G_ESC: Card = Card {
    id: "G-esc",
    title: "direct access can be allowed",
    text: "Links named in trusted_host_interfaces, and all links where the daemon has allow-direct-routing, may ask container addresses of a nat network directly.",
    source: "moby TestDirectRoutingOpenPorts, TestAcceptFwMark, iptabler/endpoint.go",
};

/// The cards of this file.
pub const CARDS: &[&Card] = &[
    &B1,
    &B2,
    &B2V6,
    &B3,
    &B4,
    &B5,
    &B7,
    &B8,
    &B9,
    &B10,
    &G_NAT,
    &G_OLD,
    &G_UNPROTECTED,
    &G_ROUTED,
    &FORWARD,
    &B6,
    &B11,
    &B14,
    &G_ISO,
    &G_CTR,
    &G_ESC,
];

/// Two containers of one bridge. `linked` is whether a legacy link opens the port for this pair (B5).
pub fn neighbours(
    traits: &BridgeTraits,
    linked: bool,
    bridge: &str,
) -> Result<&'static Card, Obstacle> {
    if traits.icc {
        return Ok(&B1);
    }
    if linked && traits.is_default {
        return Ok(&B5);
    }
    let remedy = format!(
        "remove `com.docker.network.bridge.enable_icc: \"false\"` from network `{bridge}`, or give both a network of their own"
    );
    Err(Obstacle::fail(
        &B4,
        Stage::Firewall,
        Code::IccOff,
        Failure::Timeout,
        format!("bridge `{bridge}`"),
    )
    .remedy(remedy))
}

/// A packet that the host would forward.
#[derive(Debug, Clone, Copy)]
pub struct Forwarded<'a> {
    /// The bridge it comes from; none where it comes from anything else.
    pub from: Option<(&'a str, &'a BridgeTraits)>,
    /// The bridge it goes to.
    pub to: Option<(&'a str, &'a BridgeTraits)>,
    pub destination: IpAddr,
    /// Whether a published port's translation sent it there.
    pub translated: bool,
    /// Whether the destination's port is published by its container, at any address; ICMP counts in routed mode.
    pub published: bool,
    pub icmp: bool,
    /// Whether the link it comes by is one that may ask container addresses directly.
    pub trusted: bool,
}

/// What the engine's rules and the host's policy do with a forwarded packet.
pub fn forwarded(facts: &Facts, packet: Forwarded) -> Result<Option<&'static Card>, Obstacle> {
    let v6 = packet.destination.is_ipv6();
    if v6 && !facts.ip6tables {
        return Ok((packet.from.is_some() && packet.to.is_some()).then_some(&B2V6));
    }
    // A bridge that a packet comes from and goes to is hairpin traffic; only translation leads there.
    let same = matches!((packet.from, packet.to), (Some(one), Some(two)) if one.0 == two.0);
    for (name, traits) in [packet.from, packet.to].into_iter().flatten() {
        if traits.internal && !same {
            return Err(internal(name));
        }
    }
    let Some((name, traits)) = packet.to else {
        return leaving(facts, packet);
    };
    if packet.translated {
        // Measured on 20.10 and 28.5 without the proxy: what keeps networks apart comes before published ports, and what
        // keeps neighbours apart too.
        if packet.from.is_some() && !same {
            return Err(isolation(name, packet.from.map(|from| from.0)));
        }
        if same && !traits.icc {
            return neighbours(traits, false, name).map(Some);
        }
        return Ok(None);
    }
    let mode = if v6 { traits.mode6 } else { traits.mode4 };
    match mode {
        // Measured on 28.5: from other bridges it stays closed all the same.
        GatewayMode::NatUnprotected => match packet.from {
            Some((from, _)) => Err(isolation(name, Some(from))),
            None => Ok(Some(&G_UNPROTECTED)),
        },
        GatewayMode::Routed if packet.published || packet.icmp => {
            Ok(Some(if packet.from.is_some() {
                &G_CTR
            } else {
                &G_ROUTED
            }))
        }
        GatewayMode::Routed => Err(Obstacle::fail(
            if packet.from.is_some() {
                &G_CTR
            } else {
                &G_ROUTED
            },
            Stage::Firewall,
            Code::NotPublished,
            Failure::Timeout,
            format!("the engine's rules for `{name}`"),
        )
        .remedy("publish the port (`ports:`) of the target")),
        GatewayMode::Nat | GatewayMode::Isolated => entering_nat(facts, packet, name),
    }
}

fn entering_nat(
    facts: &Facts,
    packet: Forwarded,
    name: &str,
) -> Result<Option<&'static Card>, Obstacle> {
    if let Some((from, _)) = packet.from {
        return Err(isolation(name, Some(from)));
    }
    if packet.trusted {
        return Ok(Some(&G_ESC));
    }
    if facts.engine.0 >= 28 {
        return Err(Obstacle::fail(
            &G_NAT,
            Stage::Firewall,
            Code::DirectRouteBlocked,
            Failure::Timeout,
            format!("the engine's raw table, for `{name}`"),
        )
        .remedy(format!(
            "ask the published port at the host's address, or give `{name}` the gateway mode `nat-unprotected` or `routed`"
        )));
    }
    if packet.published {
        return Ok(Some(&G_OLD));
    }
    policy(facts, &G_OLD, name)
}

/// From a bridge to something that is none, or between two links that are none.
fn leaving(facts: &Facts, packet: Forwarded) -> Result<Option<&'static Card>, Obstacle> {
    match packet.from {
        Some(_) => Ok(None),
        None => policy(facts, &FORWARD, "the host"),
    }
}

fn policy(
    facts: &Facts,
    card: &'static Card,
    name: &str,
) -> Result<Option<&'static Card>, Obstacle> {
    let at = format!("the host's FORWARD chain, towards `{name}`");
    match facts.forward_policy {
        ForwardPolicy::Accept => Ok(Some(card)),
        ForwardPolicy::Drop => Err(Obstacle::fail(
            card,
            Stage::Firewall,
            Code::ForwardPolicy,
            Failure::Timeout,
            at,
        )),
        ForwardPolicy::Unknown => Err(Obstacle::depends(
            card,
            Stage::Firewall,
            Code::ForwardPolicy,
            "the policy of the host's FORWARD chain",
            at,
        )),
    }
}

fn internal(name: &str) -> Obstacle {
    Obstacle::fail(
        &B9,
        Stage::Firewall,
        Code::InternalNoExit,
        Failure::Timeout,
        format!("the engine's rules for the internal network `{name}`"),
    )
    .remedy(format!(
        "remove `internal: true` from network `{name}`, or give both a network that they share"
    ))
}

fn isolation(to: &str, from: Option<&str>) -> Obstacle {
    let from = from.unwrap_or("another link");
    Obstacle::fail(
        &B2,
        Stage::Firewall,
        Code::BridgeIsolation,
        Failure::Timeout,
        format!("the engine's rules between `{from}` and `{to}`"),
    )
    .remedy(format!(
        "put both on one network: add `{to}` to the networks of the one that asks"
    ))
}

/// A bridge on which the host has no address, asked for an address of the host's or by the host. `forwarded` is whether
/// the host hands on what somebody else sent.
pub fn without_host(isolated: bool, name: &str, forwarded: bool, failure: Failure) -> Obstacle {
    let card = match (isolated, forwarded) {
        (true, true) => &G_ISO,
        (true, false) => &B10,
        (false, _) => &B11,
    };
    let at = format!("the bridge of `{name}`, where the host has no address");
    Obstacle::fail(card, Stage::Route, Code::IsolatedNoHostIp, failure, at).remedy(format!(
        "remove the option from network `{name}` that takes the host's address away"
    ))
}
