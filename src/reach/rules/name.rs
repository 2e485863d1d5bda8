//! Rules of names: what a namespace's resolver says, and to whom the name leads.

use std::net::IpAddr;

use crate::reach::card::Card;
use crate::reach::facts::{OwnServer, Upstream};
use crate::reach::rules::host::DOWN;
use crate::reach::rules::overlay::{O4, O5};
use crate::reach::scene::{Endpoint, NodeId, Resolver, Role, Scene, Tenant};
use crate::reach::verdict::{Code, Failure, Obstacle, Stage};

pub const N1: Card = Card {
    id: "N1",
    title: "the default bridge and the host have no names of containers",
    text: "The engine's own resolver at 127.0.0.11 serves only containers with a network that users made. On the default bridge a copy of the host's resolver file is used, and in host mode the host's: they have never heard of your services.",
    source: "moby sandbox_dns_unix.go, resolvconf TransformForLegacyNw; measured on 20.10",
};

pub const N2: Card = Card {
    id: "N2",
    title: "a container answers to its name, its service's name, its aliases and its hostname",
    text: "Each endpoint has its own list of names, valid in that network only: the container's name, the service's, the aliases, the first twelve digits of the id and the hostname.",
    source: "moby daemon/container_operations.go buildEndpointDNSNames; measured on 20.10",
};

pub const N3: Card = Card {
    id: "N3",
    title: "names are looked up on the asker's own networks, links first",
    text: "The resolver tries the private names of the asker's links, then the names of each of its networks in the order in which they are asked for a way out; the first network that knows the name answers for all. Where several links have one alias, the last one counts.",
    source: "moby libnetwork sandbox.go ResolveName; measured on 28.5",
};

pub const N4: Card = Card {
    id: "N4",
    title: "name.network asks one network",
    text: "A name followed by a dot and the engine's name of a network is looked up in that network only, so it is never ambiguous.",
    source: "moby libnetwork sandbox.go ResolveName",
};

pub const N5: Card = Card {
    id: "N5",
    title: "one name may lead to several containers",
    text: "All endpoints of the answering network with this name are given, in changing order; a client takes any of them.",
    source: "moby libnetwork sandbox.go ResolveName; measured on 20.10",
};

pub const N6: Card = Card {
    id: "N6",
    title: "names of networks that the asker is not on are unknown to it",
    text: "The resolver knows the networks of the asker and nothing else. An unknown name is asked of the outside, which does not know it either.",
    source: "moby libnetwork sandbox.go; measured on 20.10",
};

pub const N7: Card = Card {
    id: "N7",
    title: "where the resolver cannot ask the outside it fails",
    text: "On networks without a way out, and where the outside resolver does not answer, an unknown name ends in SERVFAIL and not in `no such name`; engine 20.10 does not answer at all when it tried the outside in vain.",
    source: "moby TestMACVlanDNS, TestIPVlanDNS; measured on 20.10 and 28",
};

pub const N11: Card = Card {
    id: "N11",
    title: "a link on the default bridge is a line in the hosts file",
    text: "links: on the default bridge writes name and alias of the other container into /etc/hosts of the one that links, and into no other.",
    source: "moby TestLegacyLink; measured on 20.10",
};

pub const N13: Card = Card {
    id: "N13",
    title: "extra_hosts are lines in the hosts file",
    text: "What extra_hosts names is found before any resolver is asked; host-gateway there is the default bridge's address on the host.",
    source: "moby daemon/command/config.go",
};

pub const N15: Card = Card {
    id: "N15",
    title: "a container knows its own hostname from its hosts file",
    text: "The engine writes the hostname with each of the container's own addresses into its hosts file, which is read before any resolver is asked: whoever else has the same hostname, a container that asks for its own finds itself.",
    source: "moby libnetwork sandbox_dns_unix.go updateHostsFile; measured on 28.5",
};

pub const N8: Card = Card {
    id: "N8",
    title: "the resolver takes names as they are, and so many at once",
    text: "The engine writes `ndots:0`, so a name without a dot is asked as it stands. It forwards at most 1024 questions at once; beyond that the answer is SERVFAIL.",
    source: "moby daemon/libnetwork/resolver.go",
};

pub const N9: Card = Card {
    id: "N9",
    title: "in host mode names are the host's",
    text: "A container in host mode has the host's resolver file and hosts file: no name of a container is known there. A guest in another container's namespace has its owner's names.",
    source: "moby daemon/container_operations.go; measured on 20.10",
};

pub const N10: Card = Card {
    id: "N10",
    title: "without a network no name is resolved",
    text: "With network_mode none there is no name server that could be reached: every name fails at once.",
    source: "measured on 20.10",
};

pub const N14: Card = Card {
    id: "N14",
    title: "link-local addresses are given out too, where they were assigned",
    text: "A name leads to an IPv6 link-local address where the network's subnet is one; it works only from a link of that network.",
    source: "moby integration/networking TestBridgeICC",
};

/// The cards of this file.
pub const CARDS: &[&Card] = &[
    &N1, &N2, &N3, &N4, &N5, &N6, &N7, &N11, &N13, &N15, &N8, &N9, &N10, &N14,
];

/// What a name leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// The namespaces they lead to, where the name is the engine's.
    pub nodes: Vec<NodeId>,
    /// The network that answered.
    pub network: Option<String>,
    pub resolver: &'static str,
    pub card: &'static Card,
}

/// What the namespace of this asker says to a name. `tenant` is the container that asks, if it is one.
pub fn resolve(
    scene: &Scene,
    node: NodeId,
    tenant: Option<(&str, &Tenant)>,
    name: &str,
) -> Result<Resolved, Obstacle> {
    if let Some((own_name, tenant)) = tenant {
        if let Some((_, address)) = tenant.hosts_file.iter().find(|(line, _)| line == name) {
            return Ok(file(vec![*address], &N13));
        }
        if is_own_hostname(scene, node, name) {
            let own = file(scene.addresses(node).collect(), &N15);
            let nodes = vec![node];
            return Ok(Resolved { nodes, ..own });
        }
        let linked = tenant.private_names.iter().find(|(_, alias)| alias == name);
        if let Some((target, _)) = linked
            && scene.nodes[node].resolver == Resolver::HostCopy
        {
            let target = scene.containers.get(target);
            let addresses: Vec<IpAddr> = target
                .map(|target| scene.addresses(target.node).collect())
                .unwrap_or_default();
            return Ok(file(addresses, &N11));
        }
        // Its own container id is there too.
        if name == own_name && scene.nodes[node].resolver == Resolver::Embedded {
            return from_engine(scene, node, tenant, name);
        }
    }
    let resolver = scene
        .nodes
        .get(node)
        .map_or(Resolver::Nothing, |node| node.resolver);
    match (resolver, tenant) {
        (Resolver::Embedded, Some((_, tenant))) => from_engine(scene, node, tenant, name),
        (Resolver::Embedded, None) => Err(unknown(scene, node, name)),
        (Resolver::HostCopy | Resolver::Host, _) => {
            Err(without_engine(scene, node, tenant.is_some(), name))
        }
        (Resolver::Nothing, _) => Err(Obstacle::fail(
            &N10,
            Stage::Resolve,
            Code::NetnsNone,
            Failure::NoRoute,
            format!("the name `{name}`"),
        )),
    }
}

/// Whether the hosts file of a namespace names it so itself. A hostname is only known where the stack's file gives one.
fn is_own_hostname(scene: &Scene, node: NodeId, name: &str) -> bool {
    let has_a_file = match scene.nodes.get(node).map(|node| node.resolver) {
        Some(Resolver::Embedded | Resolver::HostCopy) => true,
        Some(Resolver::Host | Resolver::Nothing) | None => false,
    };
    has_a_file
        && scene
            .tenants(node)
            .any(|(_, tenant)| tenant.hostname.as_deref() == Some(name))
}

fn file(addresses: Vec<IpAddr>, card: &'static Card) -> Resolved {
    Resolved {
        addresses,
        nodes: Vec::new(),
        network: None,
        resolver: "/etc/hosts",
        card,
    }
}

fn without_engine(scene: &Scene, node: NodeId, is_container: bool, name: &str) -> Obstacle {
    let who = scene.nodes[node].name.as_str();
    let asks_nobody = match (scene.nodes[node].resolver, scene.facts.host_asks_nobody) {
        (Resolver::Host, Some(_)) | (Resolver::HostCopy, Some(OwnServer::Address)) => true,
        (Resolver::HostCopy, Some(OwnServer::Loopback)) => false,
        (Resolver::Embedded | Resolver::Nothing, Some(_)) | (_, None) => false,
    };
    let failure = match scene.facts.upstream_names {
        _ if asks_nobody => Failure::Refused,
        Upstream::Answers => Failure::Nxdomain,
        Upstream::Unreachable => Failure::NoRoute,
    };
    let as_host = is_container && scene.nodes[node].resolver == Resolver::Host;
    let mut obstacle = Obstacle::fail(
        if as_host { &N9 } else { &N1 },
        Stage::Resolve,
        Code::NoEmbeddedDns,
        failure,
        format!("the name `{name}`, asked by `{who}`"),
    );
    // A refusal or a missing route is told by ICMP, and the kernel tells a client so only about once a second
    // (net.ipv4.icmp_ratelimit); in between the question stays unanswered. To itself it always tells.
    let is_told_rarely = scene.nodes[node].resolver == Resolver::HostCopy;
    if failure == Failure::NoRoute || failure == Failure::Refused && is_told_rarely {
        obstacle = obstacle.also(Failure::Timeout);
    }
    obstacle.remedy(format!(
        "put both on a network of the file, under `networks:`, and not `{who}` alone"
    ))
}

/// The engine's resolver: private names, then names of the asker's networks in order, then at each dot `name.network`.
fn from_engine(
    scene: &Scene,
    node: NodeId,
    tenant: &Tenant,
    name: &str,
) -> Result<Resolved, Obstacle> {
    let networks = &scene.nodes[node].networks;
    // Of several links with one alias (to a service's replicas) the last one counts (measured on 28.5).
    let private = tenant
        .private_names
        .iter()
        .rfind(|(_, alias)| alias == name)
        .and_then(|(target, _)| scene.containers.get(target))
        .filter(|target| target.runs());
    if let Some(target) = private {
        for network in networks {
            if let Some(endpoint) = endpoint_in(scene, target.node, network) {
                return Ok(answer(scene, &[endpoint], network, &N3));
            }
        }
    }
    if let Some(resolved) = by_family(scene, networks, name) {
        return Ok(resolved);
    }
    for (dot, _) in name.match_indices('.') {
        let (short, network) = (&name[..dot], &name[dot + 1..]);
        if networks.iter().any(|known| known == network) {
            let found = running(scene, network, short);
            if !found.is_empty() {
                return Ok(answer(scene, &found, network, &N4));
            }
        }
    }
    Err(unknown(scene, node, name))
}

/// A and AAAA are two questions, and each is answered by the first network that has an address of that family: a name
/// may lead to IPv4 on one network and to IPv6 on another (measured on 20.10 and 28.5 with random stacks; `ResolveName`
/// of the engine's sandbox.go goes on to the next network where the family is missing).
fn by_family(scene: &Scene, networks: &[String], name: &str) -> Option<Resolved> {
    let mut whole: Option<Resolved> = None;
    for v4 in [true, false] {
        let first = networks.iter().find_map(|network| {
            let found: Vec<Endpoint> = running(scene, network, name)
                .into_iter()
                .filter(|endpoint| {
                    let link = scene.link(*endpoint);
                    link.is_some_and(|link| {
                        let mut own = link.addresses.iter();
                        own.any(|prefix| prefix.addr().is_ipv4() == v4)
                    })
                })
                .collect();
            (!found.is_empty()).then_some((network, found))
        });
        let Some((network, found)) = first else {
            continue;
        };
        let card = if found.len() > 1 { &N5 } else { &N2 };
        let mut resolved = answer(scene, &found, network, card);
        resolved.addresses.retain(|address| address.is_ipv4() == v4);
        whole = Some(match whole {
            None => resolved,
            Some(mut both) => {
                both.addresses.extend(resolved.addresses);
                both.nodes.extend(resolved.nodes);
                both
            }
        });
    }
    whole
}

fn running(scene: &Scene, network: &str, name: &str) -> Vec<Endpoint> {
    let found = scene.names.get(network).and_then(|names| names.get(name));
    found
        .into_iter()
        .flatten()
        .copied()
        .filter(|endpoint| {
            let mut tenants = scene.tenants(endpoint.node);
            tenants.any(|(_, tenant)| tenant.follows.is_none() && tenant.runs())
        })
        .collect()
}

fn endpoint_in(scene: &Scene, node: NodeId, network: &str) -> Option<Endpoint> {
    let link = scene.nodes[node]
        .links
        .iter()
        .position(|link| link.network.as_deref() == Some(network))?;
    Some(Endpoint { node, link })
}

fn answer(scene: &Scene, found: &[Endpoint], network: &str, card: &'static Card) -> Resolved {
    let mut addresses: Vec<IpAddr> = found
        .iter()
        .filter_map(|endpoint| scene.link(*endpoint))
        .flat_map(|link| link.addresses.iter().map(|prefix| prefix.addr()))
        .collect();
    addresses.sort_by_key(|address| address.is_ipv6());
    let local = addresses.iter().any(|address| match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    });
    let tunnel = scene
        .networks
        .get(network)
        .is_some_and(|fact| fact.role == Role::Tunnel);
    let card = match (local, tunnel) {
        (true, _) => &N14,
        (false, true) if !std::ptr::eq(card, &N5) => &O4,
        (false, _) => card,
    };
    Resolved {
        addresses,
        nodes: found.iter().map(|endpoint| endpoint.node).collect(),
        network: scene.networks.get(network).map(|fact| fact.key.clone()),
        resolver: "127.0.0.11",
        card,
    }
}

fn is_known(scene: &Scene, name: &str) -> bool {
    scene.names.values().any(|names| names.contains_key(name))
}

/// Whoever would be called so on a network of the one that asks, and does not run.
fn one_that_is_down<'a>(scene: &'a Scene, node: NodeId, name: &str) -> Option<(&'a str, &'a str)> {
    let mut known = scene.nodes[node]
        .networks
        .iter()
        .filter_map(|network| scene.names.get(network)?.get(name))
        .flatten();
    let private = scene.tenants(node).flat_map(|(_, tenant)| {
        let mut names = tenant.private_names.iter();
        names.find(|(_, alias)| alias == name)
    });
    let linked = private
        .filter_map(|(target, _)| scene.containers.get_key_value(target))
        .map(|(container, tenant)| (container.as_str(), tenant))
        .next();
    known
        .find_map(|endpoint| {
            let mut tenants = scene.tenants(endpoint.node);
            tenants.find(|(_, tenant)| tenant.follows.is_none())
        })
        .or(linked)
        .and_then(|(container, tenant)| Some((container, tenant.down.as_deref()?)))
}

fn unknown(scene: &Scene, node: NodeId, name: &str) -> Obstacle {
    let who = scene.nodes[node].name.as_str();
    let elsewhere: Vec<&str> = scene
        .names
        .iter()
        .filter(|(_, names)| names.contains_key(name))
        .filter_map(|(network, _)| scene.networks.get(network))
        .map(|fact| fact.key.as_str())
        .min()
        .into_iter()
        .collect();
    let forwards = scene.nodes[node]
        .networks
        .iter()
        .filter_map(|network| scene.networks.get(network))
        .any(|network| !network.internal);
    let answers = scene.facts.upstream_names == Upstream::Answers;
    let (failure, card) = if forwards && answers {
        (Failure::Nxdomain, &N6)
    } else if scene.facts.engine.0 < 25 {
        // 20.10 tries the outside for longer than a client waits, and then says nothing.
        (Failure::Timeout, &N7)
    } else {
        (Failure::Servfail, &N7)
    };
    let tasks = name.strip_prefix("tasks.");
    let card = if tasks.is_some_and(|name| is_known(scene, name)) {
        &O5
    } else {
        card
    };
    let at = format!("the name `{name}`, asked by `{who}`");
    if let Some((container, why)) = one_that_is_down(scene, node, name) {
        let at = format!("{at}, which is that of `{container}`: {why}");
        return Obstacle::fail(&DOWN, Stage::Resolve, Code::ContainerDown, failure, at)
            .remedy("start it: `stack up`");
    }
    match elsewhere.first() {
        Some(network) => Obstacle::fail(card, Stage::Resolve, Code::NameOtherNetwork, failure, at)
            .remedy(format!(
                "add the network `{network}` to the one that asks, or both to another"
            )),
        None => Obstacle::fail(card, Stage::Resolve, Code::NameUnknownHere, failure, at)
            .remedy("ask a name that the target has on a network of both, or give it an alias"),
    }
}
