//! Rules of containers on several networks: which one is the way out, and what follows from it.

use crate::reach::card::Card;
use crate::reach::scene::{Link, NodeKind, Route, Scene};

pub const G1: Card = Card {
    id: "G1",
    title: "of several networks one is the way out",
    text: "A container on several networks has one default route. From API 1.48 the first with gateways of both address families gives it, and only where there is none the first with a gateway; networks are looked at by their gw_priority, then by name. Older engines take one that is not internal, then one with both address families, then the first by the engine's name.",
    source: "moby daemon/libnetwork/sandbox.go (Less, getGatewayEndpoint); measured on 20.10 and 28.5: an IPv4 network with the highest gw_priority gives no way out beside a network with both families",
};

pub const G2: Card = Card {
    id: "G2",
    title: "each address family has a way out of its own",
    text: "Where no network has both gateways (from API 1.48), IPv4 leaves by the first network in that order that has an IPv4 gateway, IPv6 by the first that has an IPv6 one; the two may be different networks.",
    source: "moby daemon/libnetwork/default_gateway.go getGatewayEndpoint",
};

pub const G3: Card = Card {
    id: "G3",
    title: "ports are published where the way out is",
    text: "Published ports lead to the container's address on the network that is its way out. Attaching another network can move them there, or take them away where that network publishes nothing.",
    source: "moby TestGatewaySelection; measured on 20.10 and 28",
};

pub const G4: Card = Card {
    id: "G4",
    title: "without `gateway` in the file the way out is the first address of the range",
    text: "Of a macvlan or ipvlan network that has no `gateway` the engine takes the first address of `ip_range`, or of the subnet, for it: the default route leads there, whether or not anybody has that address. An internal network gets no default route, and since 28 no address is kept for one.",
    source: "measured with macvlan on 20.10 and 28.5; moby daemon/libnetwork/drivers/ipvlan/ipvlan_network.go SkipGwAlloc",
};

pub const G5: Card = Card {
    id: "G5",
    title: "before engine 29 a routed network opens ports only where it is the way out",
    text: "In gateway mode routed the published ports are open at the container's address on that network; from engine 29 on also where the container's way out is another network, before that only where it is this one.",
    source: "moby TestRoutedNonGateway, pull request 50140; measured on 28.5: shut",
};

/// The cards of this file.
pub const CARDS: &[&Card] = &[&G1, &G2, &G3, &G4, &G5];

/// The rule by which a container with several networks takes a default route; none where there was no choice.
pub fn chosen(scene: &Scene, node: usize, route: &Route) -> Option<&'static Card> {
    let node = scene.nodes.get(node)?;
    if node.kind != NodeKind::Container
        || route.destination.prefix_len() != 0
        || !many(node.links.len())
    {
        return None;
    }
    let other = node.routes.iter().find(|other| {
        let families = [other, &route].map(|route| route.destination.addr().is_ipv6());
        other.destination.prefix_len() == 0 && families[0] != families[1]
    });
    match other {
        Some(other) if other.link != route.link => Some(&G2),
        Some(_) | None => Some(&G1),
    }
}

/// Loopback, and more than one besides.
fn many(links: usize) -> bool {
    links > 2
}

/// Whether a published port had a choice of networks.
pub fn published(scene: &Scene, node: usize) -> Option<&'static Card> {
    let links = scene.nodes.get(node)?.links.len();
    many(links).then_some(&G3)
}

/// Whether the address is on a network of the container that is not its way out.
pub fn beside(scene: &Scene, node: usize, link: usize) -> bool {
    let Some(node) = scene.nodes.get(node) else {
        return false;
    };
    let mut defaults = node
        .routes
        .iter()
        .filter(|route| route.destination.prefix_len() == 0);
    !defaults.any(|route| route.link == link)
}

/// Whether the way out is an address that the engine chose.
pub fn assumed(scene: &Scene, route: &Route, link: &Link) -> Option<&'static Card> {
    let network = scene.networks.get(link.network.as_ref()?)?;
    let is_assumed = route.via.is_some_and(|via| network.assumed.contains(&via));
    is_assumed.then_some(&G4)
}
