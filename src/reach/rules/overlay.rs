//! Rules of overlay and plugin networks.

use crate::reach::card::Card;
use crate::reach::scene::{NetworkFact, Role};
use crate::reach::verdict::{Code, Failure, Obstacle, Stage};

pub const O1: Card = Card {
    id: "O1",
    title: "an overlay network is one link, and lives in a swarm",
    text: "Containers on one overlay network reach each other on all ports, on whatever node they run. There is such a network only where the engine is an active node of a swarm.",
    source: "docs of overlay networks; measured on 20.10 with a swarm of one",
};

pub const O2: Card = Card {
    id: "O2",
    title: "an overlay must be attachable for containers that are no swarm services",
    text: "Containers that are started by themselves, and all of a stack's are, may join an overlay network only where it has `attachable: true`; the engine refuses them otherwise.",
    source: "moby daemon/network.go, daemon/container_operations.go",
};

pub const O3: Card = Card {
    id: "O3",
    title: "the way out of an overlay is docker_gwbridge",
    text: "An overlay leads to its own containers only. For the rest the engine gives each container a second link, on the bridge docker_gwbridge, where containers may not talk to each other.",
    source: "moby daemon/libnetwork/default_gateway.go, iptablesdoc swarm-portmap.md",
};

pub const O4: Card = Card {
    id: "O4",
    title: "names of an overlay are asked before those of local networks",
    text: "The resolver of a container asks its overlay networks first, then the swarm's ingress, then networks of this engine alone.",
    source: "moby daemon/libnetwork/sandbox.go ByNetworkType",
};

pub const O5: Card = Card {
    id: "O5",
    title: "tasks.NAME is for swarm services",
    text: "In a swarm the name of a service is one virtual address, and tasks.NAME gives its replicas. Containers of a stack are no swarm services: their name gives all replicas, and tasks.NAME is unknown.",
    source: "docs of swarm service discovery",
};

pub const O6: Card = Card {
    id: "O6",
    title: "the host is not on the overlay",
    text: "An overlay's bridge is in a namespace of its own. The host has no link and no route there: what it sends to such an address leaves by its default route, if it has one.",
    source: "moby daemon/libnetwork/drivers/overlay; measured on 20.10",
};

pub const O7: Card = Card {
    id: "O7",
    title: "what a network plugin does is its own affair",
    text: "Containers on one network of a plugin are taken to reach each other. Whether the host or anybody else gets in, and whether anything gets out, only the plugin knows.",
    source: "the limits of this tool",
};

/// The cards of this file.
pub const CARDS: &[&Card] = &[&O1, &O2, &O3, &O4, &O5, &O6, &O7];

/// Two containers of one overlay. `swarm` is whether the engine is part of one; none is not known.
pub fn neighbours(swarm: Option<bool>, network: &NetworkFact) -> Result<&'static Card, Obstacle> {
    let at = format!("the overlay network `{}`", network.key);
    if swarm == Some(false) {
        let code = Code::SwarmInactive;
        return Err(Obstacle::fail(&O1, Stage::Link, code, Failure::NoRoute, at)
            .remedy("make the engine a swarm node: `docker swarm init`"));
    }
    if !network.attachable {
        let code = Code::OverlayNotAttachable;
        return Err(
            Obstacle::fail(&O2, Stage::Link, code, Failure::NoRoute, at).remedy(format!(
                "set `attachable: true` on network `{}`",
                network.key
            )),
        );
    }
    Ok(&O1)
}

/// Somebody who is not on the network asks for an address of it; `exit` is whether the packet has another way to go.
pub fn from_beyond(network: &NetworkFact, exit: Option<bool>) -> Option<Obstacle> {
    match network.role {
        Role::Tunnel => {
            let at = format!("the host, which has no link on `{}`", network.key);
            let code = Code::NoCommonNetwork;
            let obstacle = match exit {
                Some(false) => Obstacle::fail(&O6, Stage::Route, code, Failure::NoRoute, at),
                Some(true) | None => Obstacle::fail(&O6, Stage::Route, code, Failure::Timeout, at)
                    .also(Failure::NoRoute),
            };
            Some(obstacle.remedy("ask from a container on that network, or publish the port"))
        }
        Role::Plugin => {
            let fact = format!("what the plugin of network `{}` lets in", network.key);
            let code = Code::UnknownExternal;
            Some(Obstacle::depends(
                &O7,
                Stage::Route,
                code,
                fact.clone(),
                fact,
            ))
        }
        Role::Loopback | Role::Bridge | Role::Port | Role::Parent => None,
        Role::Macvlan(_) | Role::Ipvlan(..) | Role::Station | Role::Uplink => None,
    }
}
