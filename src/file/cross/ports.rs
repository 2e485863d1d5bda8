//! Published ports: on modes that have none, and two services on one port of the host.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::diagnostic::Diagnostic;
use crate::file::cross::addresses::scale_place;
use crate::file::cross::course::in_turn;
use crate::file::cross::{Ground, listed};
use crate::model::name::{NetworkName, ServiceName};
use crate::model::network::Driver;
use crate::model::port::{Protocol, PublishedPort};
use crate::model::service::{Connection, Service};

/// Checks all published ports.
pub fn check(ground: &mut Ground) {
    for service in ground
        .stack
        .services
        .values()
        .filter(|service| !service.ports.is_empty())
    {
        mode(ground, service);
        replicas(ground, service);
    }
    collisions(ground);
}

fn mode(ground: &mut Ground, service: &Service) {
    let name = service.name.as_str();
    let path = ["services", name, "ports"];
    let other = ["services", name, "network_mode"];
    let told = match &service.connection {
        Connection::Host => {
            let message = format!(
                "service `{name}`: published ports are discarded when using host network mode"
            );
            Some((
                Diagnostic::warning("ports-without-effect", message),
                "the container has the host's own ports",
            ))
        }
        Connection::None => {
            let message =
                format!("service `{name}`: ports are published for a container without a network");
            Some((
                Diagnostic::warning("ports-without-effect", message),
                "no network",
            ))
        }
        Connection::Service(owner) => {
            let message = format!(
                "service `{name}`: conflicting options: port publishing and the namespace of service `{owner}`"
            );
            Some((
                Diagnostic::error("ports-conflict", message),
                "the namespace belongs to another",
            ))
        }
        Connection::Container(owner) => {
            let message = format!(
                "service `{name}`: conflicting options: port publishing and the container type network mode (`{owner}`)"
            );
            Some((
                Diagnostic::error("ports-conflict", message),
                "the namespace belongs to another",
            ))
        }
        Connection::DefaultBridge | Connection::Named(_) | Connection::Networks(_) => None,
    };
    if let Some((diagnostic, label)) = told {
        let hint = match &service.connection {
            Connection::Service(owner) => format!("publish the ports on `{owner}`"),
            Connection::Container(_) => "publish the ports on that container".to_owned(),
            _ => "remove the ports, or use another network".to_owned(),
        };
        let diagnostic = ground.also(diagnostic.hint(hint), &other, label);
        ground.tell(diagnostic, &path, "");
        return;
    }
    let Connection::Networks(networks) = &service.connection else {
        return;
    };
    if networks.is_empty() || publishes(ground, service) {
        return;
    }
    let is_internal = |key: &&NetworkName| unpublished(ground, key) == Some(Unpublished::Internal);
    let all = listed(networks.keys().map(NetworkName::as_str));
    let internal = networks.keys().filter(is_internal).count();
    let (why, hint) = if internal == networks.len() {
        (
            format!("an internal network publishes no ports, and {all} is internal"),
            "remove the ports, or add a network that is not internal",
        )
    } else {
        let rest = if internal > 0 {
            "is internal or sits on a parent link"
        } else {
            "sits on a parent link"
        };
        (
            format!("ports are published by bridges only, and {all} {rest}"),
            "remove the ports: the container has an address of its own on the wire, with all its ports",
        )
    };
    let message = format!("service `{name}`: {why}");
    let diagnostic = Diagnostic::warning("ports-without-effect", message).hint(hint);
    ground.tell(diagnostic, &path, "nothing is published");
}

/// Why a network publishes no ports.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unpublished {
    /// Its containers are on a wire of their own.
    OnWire,
    /// An internal bridge has no way out, and the engine drops the ports without a word.
    Internal,
}

fn unpublished(ground: &Ground, key: &NetworkName) -> Option<Unpublished> {
    let network = ground.stack.networks.get(key)?;
    match network.driver {
        Driver::Macvlan(_) | Driver::Ipvlan(..) => Some(Unpublished::OnWire),
        Driver::Bridge if network.internal => Some(Unpublished::Internal),
        Driver::Bridge
        | Driver::DefaultBridge
        | Driver::Overlay
        | Driver::Host
        | Driver::None
        | Driver::Plugin(_) => None,
    }
}

fn replicas(ground: &mut Ground, service: &Service) {
    let name = service.name.as_str();
    if service.scale < 2 || !publishes(ground, service) {
        return;
    }
    for (index, port) in service.ports.iter().enumerate() {
        let Some(range) = port.published else {
            continue;
        };
        let free = u32::from(range.last - range.first) + 1;
        if free < service.scale {
            let index = index.to_string();
            let message = format!(
                "service `{name}` has {} containers, and {} of the host is published for {}",
                service.scale,
                if free == 1 {
                    format!("one port ({range})")
                } else {
                    format!("a range of {free} ports ({range})")
                },
                if free == 1 { "all of them" } else { "them" }
            );
            let hint = format!(
                "publish a range of {} ports, or leave the host's port out",
                service.scale
            );
            let diagnostic = Diagnostic::error("port-for-replicas", message).hint(hint);
            let diagnostic = scale_place(ground, diagnostic, name, service.scale);
            ground.tell(
                diagnostic,
                &["services", name, "ports", &index],
                "port is already allocated",
            );
        }
    }
}

fn publishes(ground: &Ground, service: &Service) -> bool {
    match &service.connection {
        Connection::DefaultBridge | Connection::Named(_) => true,
        Connection::Networks(networks) => networks
            .keys()
            .any(|key| unpublished(ground, key).is_none()),
        Connection::Host | Connection::None | Connection::Service(_) | Connection::Container(_) => {
            false
        }
    }
}

/// One fixed port of the host.
struct Taken<'a> {
    service: &'a ServiceName,
    index: usize,
    host_ip: Option<IpAddr>,
}

/// How many of the services on one port are looked at for each further one; more say nothing new.
const MOST_COMPARED: usize = 16;

fn collisions(ground: &mut Ground) {
    let mut taken: HashMap<(Protocol, u16), Vec<Taken>> = HashMap::new();
    let stack = ground.stack;
    let all = stack.services.values();
    for service in all.filter(|service| service.scale > 0 && !service.ports.is_empty()) {
        if !publishes(ground, service) {
            continue;
        }
        for (index, port) in service.ports.iter().enumerate() {
            let Some(range) = port.published.filter(|range| range.first == range.last) else {
                continue;
            };
            let there = taken.entry((port.protocol, range.first)).or_default();
            let second = &service.name;
            let clashes = there
                .iter()
                .take(MOST_COMPARED)
                .filter(|other| meet(other.host_ip, port.host_ip));
            // One that is there at the same time weighs more than a job that has ended.
            let clash = clashes
                .map(|other| (other, ground.course.in_turn(other.service, second)))
                .min_by_key(|(_, turn)| turn.is_some());
            if let Some((other, turn)) = clash {
                told(
                    ground,
                    port,
                    range.first,
                    (other.service, other.index),
                    (second, index),
                    turn,
                );
            }
            there.push(Taken {
                service: second,
                index,
                host_ip: port.host_ip,
            });
        }
    }
}

fn told(
    ground: &mut Ground,
    port: &PublishedPort,
    number: u16,
    first: (&ServiceName, usize),
    second: (&ServiceName, usize),
    turn: Option<(&ServiceName, &ServiceName)>,
) {
    let message = if first.0 == second.0 {
        format!(
            "service `{}` publishes port {number}/{} of the host twice",
            first.0, port.protocol
        )
    } else {
        format!(
            "services `{}` and `{}` publish one port of the host, {number}/{}",
            first.0, second.0, port.protocol
        )
    };
    let diagnostic = match turn {
        Some((job, later)) => in_turn("duplicate-port", &message, job, later),
        None => Diagnostic::error("duplicate-port", message)
            .hint("give one of them another port, or another address of the host"),
    };
    let label = match turn {
        Some(_) => "published again",
        None => "port is already allocated",
    };
    let (one, two) = (first.1.to_string(), second.1.to_string());
    let diagnostic = ground.also(
        diagnostic,
        &["services", first.0.as_str(), "ports", &one, "published"],
        "first published here",
    );
    ground.tell(
        diagnostic,
        &["services", second.0.as_str(), "ports", &two, "published"],
        label,
    );
}

/// Whether two host addresses are bound together: one of them is all of them, or both are one.
fn meet(one: Option<IpAddr>, two: Option<IpAddr>) -> bool {
    match (one, two) {
        (None, _) | (_, None) => true,
        (Some(one), Some(two)) if one.is_ipv4() == two.is_ipv4() => {
            one == two || one.is_unspecified() || two.is_unspecified()
        }
        (Some(_), Some(_)) => false,
    }
}
