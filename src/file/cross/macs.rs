//! Fixed link-layer addresses: a station's own, on a driver that has any, and given once on a wire.

use std::collections::HashMap;

use crate::diagnostic::Diagnostic;
use crate::file::cross::Ground;
use crate::file::cross::addresses::scale_place;
use crate::model::address::Mac;
use crate::model::name::ServiceName;
use crate::model::network::{Driver, Network};
use crate::model::service::{Connection, Service};

/// Who has an address: a path in the file, and the service where it is one.
struct Holder {
    path: Vec<String>,
    service: Option<ServiceName>,
}

/// Who has an address of a wire.
type Given = HashMap<(String, Mac), Vec<Holder>>;

/// How many of those that have one address in turn are looked at for each further one.
const MOST_COMPARED: usize = 16;

/// Checks all fixed MAC addresses.
pub fn check(ground: &mut Ground) {
    let mut given = Given::new();
    for (service, key, attachment) in ground.attachments() {
        let Some(mac) = attachment.mac_address else {
            continue;
        };
        let path = [
            "services",
            service.name.as_str(),
            "networks",
            key.as_str(),
            "mac_address",
        ];
        one(ground, service, mac, &path);
        let Some(network) = ground.stack.networks.get(key) else {
            continue;
        };
        driver(ground, network, &path);
        claim(ground, &mut given, network, mac, (Some(service), &path));
    }
    for service in ground.stack.services.values() {
        let Some(mac) = service.mac_address else {
            continue;
        };
        let name = service.name.as_str();
        let path = ["services", name, "mac_address"];
        one(ground, service, mac, &path);
        let Some((key, network)) = first_network(ground, service) else {
            continue;
        };
        let own = match &service.connection {
            Connection::Networks(networks) => networks
                .get(key)
                .and_then(|attachment| attachment.mac_address),
            _ => None,
        };
        match own {
            Some(other) if other != mac => {
                let message = format!(
                    "service `{name}` has two MAC addresses for its first network, `{key}`"
                );
                let diagnostic = Diagnostic::error("contradiction", message)
                    .hint("keep the one under `networks`");
                let other = ["services", name, "networks", key.as_str(), "mac_address"];
                let diagnostic =
                    ground.also(diagnostic, &other, "another address for the same link");
                ground.tell(diagnostic, &path, "");
            }
            Some(_) => {}
            None => {
                driver(ground, network, &path);
                claim(ground, &mut given, network, mac, (Some(service), &path));
            }
        }
    }
    for (key, network) in &ground.stack.networks {
        let Some(mac) = network.shim.as_ref().and_then(|shim| shim.mac_address) else {
            continue;
        };
        let path = ["networks", key.as_str(), "shim", "mac_address"];
        form(ground, mac, &path);
        driver(ground, network, &path);
        claim(ground, &mut given, network, mac, (None, &path));
    }
}

/// The network that a service-level MAC address belongs to: the highest priority, ties by key.
fn first_network<'a>(
    ground: &Ground<'a>,
    service: &'a Service,
) -> Option<(&'a crate::model::name::NetworkName, &'a Network)> {
    let Connection::Networks(networks) = &service.connection else {
        return None;
    };
    let (key, _) = networks
        .iter()
        .min_by_key(|(key, attachment)| (std::cmp::Reverse(attachment.priority), *key))?;
    Some((key, ground.stack.networks.get(key)?))
}

fn one(ground: &mut Ground, service: &Service, mac: Mac, path: &[&str]) {
    form(ground, mac, path);
    if service.scale > 1 {
        let message = format!(
            "service `{}` has {} containers and one fixed MAC address",
            service.name, service.scale
        );
        let diagnostic = Diagnostic::error("address-for-replicas", message)
            .hint("remove the address, or run one container of the service");
        let diagnostic = scale_place(ground, diagnostic, service.name.as_str(), service.scale);
        ground.tell(diagnostic, path, "only one container can have it");
    }
}

fn form(ground: &mut Ground, mac: Mac, path: &[&str]) {
    let [first, rest @ ..] = mac.bytes();
    if mac.is_multicast() {
        // Locally administered, as only such are free to be chosen; and never the address of zeros.
        let mut unicast = [first & 0xfe | 0x02, 0, 0, 0, 0, 0];
        unicast[1..].copy_from_slice(&rest);
        let message =
            format!("{mac} is a multicast address: the lowest bit of its first byte is set");
        let diagnostic = Diagnostic::error("multicast-mac", message)
            .hint(format!("{} would be a station's own", Mac::new(unicast)));
        ground.tell(diagnostic, path, "no link can have it");
    } else if mac.is_zero() {
        let diagnostic = Diagnostic::error("zero-mac", "a MAC address of zeros is that of no link")
            .hint("remove it, or write one such as 02:42:ac:11:00:02");
        ground.tell(diagnostic, path, "");
    }
}

fn driver(ground: &mut Ground, network: &Network, path: &[&str]) {
    if let Driver::Ipvlan(..) = network.driver {
        let message = format!(
            "a MAC address means nothing in network `{}`: all ipvlan links have that of their parent",
            network.key
        );
        let diagnostic =
            Diagnostic::warning("key-without-effect", message).hint("remove it, or use macvlan");
        ground.tell(diagnostic, path, "");
    }
}

fn claim(
    ground: &mut Ground,
    given: &mut Given,
    network: &Network,
    mac: Mac,
    (service, path): (Option<&Service>, &[&str]),
) {
    if service.is_some_and(|service| service.scale == 0) {
        return;
    }
    let wire = match &network.parent {
        Some(parent) => format!("link/{}", parent.link()),
        None => format!("network/{}", network.key),
    };
    let holder = Holder {
        path: path.iter().map(|step| (*step).to_owned()).collect(),
        service: service.map(|service| service.name.clone()),
    };
    let there = given.entry((wire, mac)).or_default();
    let at_once = |other: &&Holder| match (&holder.service, &other.service) {
        (Some(one), Some(two)) => ground.course.in_turn(one, two).is_none(),
        _ => true,
    };
    if let Some(other) = there.iter().take(MOST_COMPARED).find(at_once) {
        let message = format!("{mac} is given twice in network `{}`", network.key);
        let diagnostic = Diagnostic::error("duplicate-mac", message)
            .hint("give one of them another address, or none: the engine makes one");
        let other: Vec<&str> = other.path.iter().map(String::as_str).collect();
        let diagnostic = ground.also(diagnostic, &other, "first given here");
        ground.tell(diagnostic, path, "the same address again");
    }
    there.push(holder);
}
