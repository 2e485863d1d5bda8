//! Rules of namespaces and their modes: host, none, shared; routes that are missing; listeners.

use std::net::IpAddr;

use crate::reach::card::Card;
use crate::reach::question::Ask;
use crate::reach::scene::shown;
use crate::reach::verdict::{Code, Failure, Obstacle, Stage};

pub const H1: Card = Card {
    id: "H1",
    title: "host mode is the host",
    text: "A container in host mode has no namespace of its own: it has the host's links, addresses and routes, reaches what the host reaches, uses the host's resolver, and its ports are open on the host without being published.",
    source: "moby daemon/container_operations.go; measured on 20.10",
};

pub const H3: Card = Card {
    id: "H3",
    title: "a container without a network has only its loopback link",
    text: "With network_mode none there is no link but lo: no route leads anywhere, every attempt fails at once.",
    source: "moby daemon/container_operations.go; measured on 20.10",
};

pub const H4: Card = Card {
    id: "H4",
    title: "a shared namespace is one machine",
    text: "A container that lives in another's namespace has the other's links, addresses, ports and names; 127.0.0.1 is the same for both. When the owner restarts it gets a new namespace, and the follower stays behind in the old, empty one until it is restarted too.",
    source: "measured on 20.10",
};

pub const ROUTE: Card = Card {
    id: "R1",
    title: "without a route nothing leaves",
    text: "The kernel looks for the longest matching prefix among the routes of the namespace; where there is none, not even a default route, it refuses at once with `network is unreachable`.",
    source: "ip-route(8); net/ipv4/route.c",
};

pub const AFAR: Card = Card {
    id: "R2",
    title: "a router without a route says so, but not every time",
    text: "A machine that forwards and has no route answers with ICMP `network unreachable`, and with `host unreachable` when nobody on the last link has the address. The kernel sends such messages to one address only about once a second, so of many attempts at once most hear nothing and time out.",
    source: "net/ipv4/icmp.c icmp_ratelimit; measured: two of five attempts were told",
};

pub const AROUND: Card = Card {
    id: "R3",
    title: "an answer must come back the way the question went",
    text: "A published port is translated at the host, and only the host can translate the answer back. A container that also has a link on the asker's own network answers there directly, from an address the asker never asked, and the asker drops it.",
    source: "measured on 20.10 and 28: a container on a bridge and on macvlan, asked from the LAN at the host's address",
};

pub const FAMILY: Card = Card {
    id: "V1",
    title: "no address of a family, no traffic of that family",
    text: "IPv6 on a bridge network has to be enabled; without it containers have no IPv6 address, and a lookup gives them none.",
    source: "moby TestBridgeICC",
};

pub const DOWN: Card = Card {
    id: "C1",
    title: "a container that does not run has no addresses",
    text: "A stopped container has no namespace: its addresses belong to nobody, its names are unknown, and the engine may give its address to another one.",
    source: "measured on 20.10",
};

pub const LISTENER: Card = Card {
    id: "L1",
    title: "somebody has to listen",
    text: "The packet arrives, and no socket takes it: the kernel answers with a TCP reset, or with ICMP port unreachable for UDP. The network is fine; the service is not started, or listens on another port or only on 127.0.0.1.",
    source: "RFC 9293 section 3.5.2, RFC 1122 section 4.1.3.1",
};

pub const NOBODY: Card = Card {
    id: "L2",
    title: "nobody on the link has the address",
    text: "The kernel asks the link who has the address (ARP, neighbour discovery); nobody answers three times, and after about three seconds the client hears `no route to host`.",
    source: "RFC 826; net/core/neighbour.c",
};

pub const OUTSIDE: Card = Card {
    id: "E1",
    title: "what is beyond the host cannot be seen from here",
    text: "The path leaves the machine. Whether somebody answers there is for a router, a firewall or a server to say that this tool does not see.",
    source: "the limits of this tool",
};

pub const INBOUND: Card = Card {
    id: "E2",
    title: "from the internet comes what the router in front of the host lets in",
    text: "Private addresses, and so those of containers, mean nothing on the internet: nobody out there can ask them. What is published at the host's addresses is open to whatever the router, its port forwarding and its firewall bring to the host.",
    source: "RFC 1918, RFC 4193; the limits of this tool",
};

pub const H6: Card = Card {
    id: "H6",
    title: "in one namespace a port is taken once",
    text: "Containers that share a namespace share its ports: where two want to listen on the same one, the second fails to.",
    source: "measured on 20.10",
};

/// The cards of this file.
pub const CARDS: &[&Card] = &[
    &H1, &H3, &H4, &ROUTE, &AFAR, &AROUND, &FAMILY, &DOWN, &LISTENER, &NOBODY, &OUTSIDE, &INBOUND,
    &H6,
];

/// A namespace that has no route to an address.
pub fn no_route(at: &str, kind: NoRoute) -> Obstacle {
    match kind {
        NoRoute::OnlyLoopback => Obstacle::fail(
            &H3,
            Stage::Route,
            Code::NetnsNone,
            Failure::NoRoute,
            format!("the namespace of `{at}`"),
        )
        .remedy(format!("give `{at}` a network")),
        NoRoute::NoFamily => Obstacle::fail(
            &FAMILY,
            Stage::Route,
            Code::FamilyMissing,
            Failure::NoRoute,
            format!("the namespace of `{at}`"),
        )
        .remedy("set `enable_ipv6: true` on a network that both have"),
        NoRoute::Internal => Obstacle::fail(
            &crate::reach::rules::bridge::B3,
            Stage::Route,
            Code::InternalNoExit,
            Failure::NoRoute,
            format!("the routes of `{at}`"),
        )
        .remedy(format!(
            "give both a network that they share, or give `{at}` one that is not internal"
        )),
        NoRoute::NoDefault => Obstacle::fail(
            &ROUTE,
            Stage::Route,
            Code::NoDefaultRoute,
            Failure::NoRoute,
            format!("the routes of `{at}`"),
        )
        .remedy(format!("give a network of `{at}` a `gateway`")),
    }
}

/// Why there is no route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoute {
    OnlyLoopback,
    NoFamily,
    Internal,
    NoDefault,
}

/// Nobody has the address.
pub fn nobody(link: &str, address: &str) -> Obstacle {
    Obstacle::fail(
        &NOBODY,
        Stage::Link,
        Code::NobodyThere,
        Failure::HostUnreachable,
        format!("{address} on `{link}`"),
    )
}

/// The path leaves what is known.
pub fn outside(fact: &str) -> Obstacle {
    Obstacle::depends(&OUTSIDE, Stage::Route, Code::UnknownExternal, fact, fact)
}

/// Somebody on the internet asks for a private address.
pub fn private(who: &str, address: IpAddr) -> Obstacle {
    Obstacle::fail(
        &INBOUND,
        Stage::Route,
        Code::NotPublished,
        Failure::Timeout,
        format!("{} of `{who}`, which is a private address", shown(address)),
    )
    .remedy("publish the port (`ports:`), and let the router in front of the host forward it")
}

/// Names of containers are no names out there.
pub fn unknown_outside(name: &str) -> Obstacle {
    Obstacle::fail(
        &INBOUND,
        Stage::Resolve,
        Code::NameUnknownHere,
        Failure::Nxdomain,
        format!("the name `{name}`, asked on the internet"),
    )
}

/// The host would let it in.
pub fn let_in(ask: Ask) -> Obstacle {
    let fact = match ask.port() {
        Some(port) => format!("whether the router in front of the host forwards port {port} to it"),
        None => "whether the router in front of the host lets it in".to_owned(),
    };
    Obstacle::depends(
        &INBOUND,
        Stage::Route,
        Code::UnknownExternal,
        fact.clone(),
        fact,
    )
}
