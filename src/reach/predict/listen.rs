//! Whether somebody listens at the end: what is known of sockets, else what the stack declares.

use std::net::IpAddr;

use crate::model::port::Protocol;
use crate::reach::facts::Listening;
use crate::reach::predict::Path;
use crate::reach::rules::host::{H6, LISTENER};
use crate::reach::rules::publish;
use crate::reach::scene::{HOST, NodeId, NodeKind, Scene};
use crate::reach::verdict::{Code, Confidence, Failure, Hop, Obstacle, Stage};

/// What the sockets of a namespace say to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Socket {
    Takes,
    OnlyLoopback,
    Nothing,
}

/// Whether a port of a namespace is open at an address.
pub fn listens(
    scene: &Scene,
    node: NodeId,
    address: IpAddr,
    protocol: Protocol,
    port: u16,
    path: &mut Path,
) -> Result<(), Obstacle> {
    let name = &scene.nodes[node].name;
    // The proxy's own sockets are in the host's table, and it may listen for IPv6 alone: they are no service.
    if node == HOST
        && let Some(obstacle) = publish::why_closed(scene, address, protocol, port)
    {
        return Err(obstacle);
    }
    let mut unknown = true;
    let mut loopback = false;
    let mut known_names = vec![name.as_str()];
    known_names.extend(scene.tenants(node).map(|(tenant, _)| tenant));
    for who in &known_names {
        let Some(sockets) = scene.facts.listening.get(*who) else {
            continue;
        };
        unknown = false;
        match socket(sockets, address, protocol, port) {
            Socket::Takes => {
                path.hops.push(Hop::Listens {
                    at: name.clone(),
                    port,
                    known: true,
                });
                return Ok(());
            }
            Socket::OnlyLoopback => loopback = true,
            Socket::Nothing => {}
        }
    }
    if unknown {
        let declares = scene
            .tenants(node)
            .any(|(_, tenant)| tenant.runs() && tenant.declared.contains(&(port, protocol)));
        let wanting = scene
            .tenants(node)
            .filter(|(_, tenant)| tenant.declared.contains(&(port, protocol)));
        if wanting.count() > 1 {
            path.card(&H6);
        }
        if declares {
            path.at_most(Confidence::Medium);
            path.hops.push(Hop::Listens {
                at: name.clone(),
                port,
                known: false,
            });
            return Ok(());
        }
    }
    let at = format!("{protocol} port {port} of `{name}`");
    // Its own loopback address is not the host's, where the port is published.
    let own_loopback = address.is_loopback() && node != HOST;
    if own_loopback {
        path.at_most(Confidence::Medium);
    }
    if unknown && !own_loopback && scene.nodes[node].kind != NodeKind::Outside {
        let fact = format!("whether anything listens on {at}");
        return Err(
            Obstacle::depends(&LISTENER, Stage::Listener, Code::NoListener, fact, at)
                .remedy("if it does, say so under `expose:`"),
        );
    }
    let code = if loopback {
        Code::ListenerLoopback
    } else {
        Code::NoListener
    };
    let remedy = if loopback {
        "let the service listen on all addresses and not only on 127.0.0.1"
    } else {
        "start the service, or ask the port that it listens on"
    };
    Err(Obstacle::fail(&LISTENER, Stage::Listener, code, Failure::Refused, at).remedy(remedy))
}

fn socket(sockets: &[Listening], address: IpAddr, protocol: Protocol, port: u16) -> Socket {
    let mut best = Socket::Nothing;
    for socket in sockets {
        if socket.protocol != protocol || socket.port != port {
            continue;
        }
        let all =
            socket.address.is_unspecified() && (socket.address.is_ipv6() || address.is_ipv4());
        if all || socket.address == address {
            return Socket::Takes;
        }
        if socket.address.is_loopback() {
            best = Socket::OnlyLoopback;
        }
    }
    best
}
