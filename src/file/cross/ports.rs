//! Published ports: on modes that have none, and two services on one port of the host.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::diagnostic::Diagnostic;
use crate::file::cross::addresses::scale_place;
use crate::file::cross::{Ground, listed};
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
    let on_wire = |key: &&crate::model::name::NetworkName| {
        ground.stack.networks.get(*key).is_some_and(|network| {
            matches!(network.driver, Driver::Macvlan(_) | Driver::Ipvlan(..))
        })
    };
    if !networks.is_empty() && networks.keys().all(|key| on_wire(&key)) {
        let all = listed(networks.keys().map(crate::model::name::NetworkName::as_str));
        let message = format!(
            "service `{name}`: ports are published by bridges only, and {all} sits on a parent link"
        );
        let diagnostic = Diagnostic::warning("ports-without-effect", message)
            .hint("remove the ports: the container has an address of its own on the wire, with all its ports");
        ground.tell(diagnostic, &path, "nothing is published");
    }
}

fn replicas(ground: &mut Ground, service: &Service) {
    let name = service.name.as_str();
    if service.scale < 2 || !publishes(service) {
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

fn publishes(service: &Service) -> bool {
    match &service.connection {
        Connection::DefaultBridge | Connection::Named(_) | Connection::Networks(_) => true,
        Connection::Host | Connection::None | Connection::Service(_) | Connection::Container(_) => {
            false
        }
    }
}

/// One fixed port of the host.
struct Taken<'a> {
    service: &'a str,
    index: usize,
    host_ip: Option<IpAddr>,
}

/// How many of the services on one port are looked at for each further one; more say nothing new.
const MOST_COMPARED: usize = 16;

fn collisions(ground: &mut Ground) {
    let mut taken: HashMap<(Protocol, u16), Vec<Taken>> = HashMap::new();
    for service in ground
        .stack
        .services
        .values()
        .filter(|service| publishes(service) && service.scale > 0)
    {
        for (index, port) in service.ports.iter().enumerate() {
            let Some(range) = port.published.filter(|range| range.first == range.last) else {
                continue;
            };
            let there = taken.entry((port.protocol, range.first)).or_default();
            let clash = there
                .iter()
                .take(MOST_COMPARED)
                .find(|other| meet(other.host_ip, port.host_ip));
            if let Some(other) = clash {
                let (first, second) = (other.service, service.name.as_str());
                told(
                    ground,
                    port,
                    range.first,
                    (first, other.index),
                    (second, index),
                );
            }
            there.push(Taken {
                service: service.name.as_str(),
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
    first: (&str, usize),
    second: (&str, usize),
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
    let diagnostic = Diagnostic::error("duplicate-port", message)
        .hint("give one of them another port, or another address of the host");
    let (one, two) = (first.1.to_string(), second.1.to_string());
    let diagnostic = ground.also(
        diagnostic,
        &["services", first.0, "ports", &one, "published"],
        "first published here",
    );
    ground.tell(
        diagnostic,
        &["services", second.0, "ports", &two, "published"],
        "port is already allocated",
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
