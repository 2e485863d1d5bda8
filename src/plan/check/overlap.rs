//! Subnets that the engine's other networks or the host's routes already have.

use ipnet::IpNet;

use crate::model::address::overlap;
use crate::model::mark::ROUTE_PROTOCOL;
use crate::model::network::{Driver, Network, Parent};
use crate::model::stack::Stack;
use crate::plan::check::Finding;
use crate::plan::observed::{FoundNetwork, HostFacts, LinkFact, Observed, RouteFact};

/// Routes that the kernel makes of addresses (`RTPROT_KERNEL`, include/uapi/linux/rtnetlink.h).
const KERNEL: u8 = 2;

/// Holds the stack's subnets against what is there.
pub fn check(stack: &Stack, observed: &Observed, findings: &mut Vec<Finding>) {
    if let Some(host) = &observed.host {
        for lan in stack.lans.values() {
            for subnet in lan.subnets.iter().map(IpNet::trunc) {
                let foreign = |route: &&RouteFact| {
                    // What this project has there is changed with it.
                    let link = route.link.as_deref().unwrap_or_default();
                    route.protocol != ROUTE_PROTOCOL
                        && link != lan.parent.as_str()
                        && !host
                            .link(link)
                            .is_some_and(|link| link.is_of(&stack.project))
                };
                let place = ["lans", lan.name.as_str(), "subnet"];
                let what = format!("lan `{}`", lan.name);
                routed(&what, subnet, &place, host, foreign, findings);
            }
        }
    }
    for network in stack.networks.values().filter(|network| network.is_made()) {
        if let Some(host) = &observed.host {
            host_addresses(stack, network, host, findings);
        }
        for subnet in network.subnets().map(|subnet| subnet.trunc()) {
            engine_networks(stack, network, subnet, observed, findings);
            if let Some(host) = observed
                .host
                .as_ref()
                .filter(|_| !network.driver.on_parent())
            {
                host_routes(stack, network, subnet, host, observed, findings);
            }
        }
    }
}

/// The engine refuses pools that overlap within one address space; networks on different parents are told too, as
/// the engine (20.10) counts them alike.
fn engine_networks(
    stack: &Stack,
    network: &Network,
    subnet: IpNet,
    observed: &Observed,
    findings: &mut Vec<Finding>,
) {
    let key = network.key.as_str();
    for other in observed
        .networks
        .iter()
        .filter(|other| !is_own(stack, other))
    {
        let theirs = other.spec.pools.iter().filter_map(|pool| pool.subnet);
        let Some(hit) = theirs.into_iter().find(|theirs| overlap(theirs, &subnet)) else {
            continue;
        };
        let both_on_parent = network.driver.on_parent()
            && matches!(other.spec.driver.as_str(), "macvlan" | "ipvlan");
        if both_on_parent && observed.engine.speaks(1, 44) {
            continue;
        }
        let whose = other
            .project
            .as_ref()
            .map_or_else(String::new, |project| format!(" of project `{project}`"));
        findings.push(
            Finding::error(
                "subnet-in-use",
                &["networks", key, "ipam", "config"],
                format!(
                    "network `{key}`: Pool overlaps with other one on this address space: {subnet} and {hit} of the network `{}`{whose}",
                    other.spec.name
                ),
            )
            .hint(match other.spec.name.as_str() {
                // The engine's own cannot be removed.
                "bridge" | "docker_gwbridge" => "choose another subnet".to_owned(),
                name => format!("choose another subnet, or remove that network: docker network rm {name}"),
            }),
        );
    }
}

/// Networks of this project are ours to change or remove.
fn is_own(stack: &Stack, other: &FoundNetwork) -> bool {
    other.project.as_deref() == Some(stack.project.as_str())
}

/// Routes of the host that a new bridge's subnet meets. Those of the engine's own bridges were told above.
fn host_routes(
    stack: &Stack,
    network: &Network,
    subnet: IpNet,
    host: &HostFacts,
    observed: &Observed,
    findings: &mut Vec<Finding>,
) {
    let key = network.key.as_str();
    let foreign = |route: &&RouteFact| {
        let link = route.link.as_deref().unwrap_or_default();
        let mut networks = observed.networks.iter();
        let is_bridge =
            link == "docker_gwbridge" || networks.any(|network| bridge_name(network) == link);
        (route.protocol != KERNEL || !is_bridge) && !goes(stack, host, link)
    };
    let place = ["networks", key, "ipam", "config"];
    let what = format!("network `{key}`");
    routed(&what, subnet, &place, host, foreign, findings);
}

/// Whether a link is the project's and the file has nothing any more that it could be for: it goes with its routes.
fn goes(stack: &Stack, host: &HostFacts, link: &str) -> bool {
    let is_ours = host
        .link(link)
        .is_some_and(|link| link.is_of(&stack.project));
    let mut networks = stack.networks.values();
    let mut lans = stack.lans.values();
    is_ours
        && !lans.any(|lan| lan.parent.as_str() == link)
        && !networks.any(|network| {
            let parent = network.parent.as_ref().map(Parent::link);
            network.shim.is_some() || parent.is_some_and(|parent| parent.as_str() == link)
        })
}

/// A route for the subnet or a part of it would go on taking packets, or lose them; a wider one only loses these. The
/// default route, and the two halves that a VPN covers it with, lead everywhere and say nothing.
fn routed(
    what: &str,
    subnet: IpNet,
    place: &[&str],
    host: &HostFacts,
    foreign: impl Fn(&&RouteFact) -> bool,
    findings: &mut Vec<Finding>,
) {
    let meets = |route: &&RouteFact| {
        route.destination.prefix_len() > 1 && overlap(&route.destination, &subnet)
    };
    let mut routes: Vec<&RouteFact> = host.routes.iter().filter(meets).filter(foreign).collect();
    // The narrowest is the worst.
    routes.sort_by_key(|route| std::cmp::Reverse(route.destination.prefix_len()));
    let Some(route) = routes.first() else { return };
    let link = route.link.as_deref().unwrap_or("?");
    let destination = route.destination;
    let finding = if destination.prefix_len() >= subnet.prefix_len() {
        Finding::error(
            "subnet-routed",
            place,
            format!("{what}: {subnet} overlaps the host's route to {destination} by `{link}`"),
        )
        .hint("choose a subnet that the host does not already reach another way")
    } else {
        Finding::warning(
            "subnet-routed",
            place,
            format!("{what}: {subnet} is a part of {destination}, which the host reaches by `{link}`"),
        )
        .hint("what the host reaches there at an address of this subnet, it reaches no longer; if that is not wanted, choose another subnet")
    };
    findings.push(finding);
}

fn bridge_name(network: &FoundNetwork) -> String {
    match network.spec.options.get("com.docker.network.bridge.name") {
        Some(name) => name.clone(),
        None => format!(
            "br-{}",
            network.engine_id.chars().take(12).collect::<String>()
        ),
    }
}

/// The host's own address given to a container of a network on its parent.
fn host_addresses(stack: &Stack, network: &Network, host: &HostFacts, findings: &mut Vec<Finding>) {
    if !matches!(network.driver, Driver::Macvlan(_) | Driver::Ipvlan(..)) {
        return;
    }
    let Some(link) = network
        .parent
        .as_ref()
        .and_then(|parent| host.link(parent.link().as_str()))
    else {
        return;
    };
    let is_host =
        |address: std::net::IpAddr| link.addresses.iter().any(|own| own.addr() == address);
    for service in stack.services.values() {
        let crate::model::service::Connection::Networks(networks) = &service.connection else {
            continue;
        };
        let Some(attachment) = networks.get(&network.key) else {
            continue;
        };
        let v4 = attachment
            .ipv4_address
            .map(std::net::IpAddr::V4)
            .map(|address| (address, "ipv4_address"));
        let v6 = attachment
            .ipv6_address
            .map(std::net::IpAddr::V6)
            .map(|address| (address, "ipv6_address"));
        for (address, key) in v4
            .into_iter()
            .chain(v6)
            .filter(|(address, _)| is_host(*address))
        {
            findings.push(hosts_own(
                service.name.as_str(),
                network,
                address,
                key,
                link,
            ));
        }
    }
}

fn hosts_own(
    service: &str,
    network: &Network,
    address: std::net::IpAddr,
    key: &str,
    link: &LinkFact,
) -> Finding {
    Finding::error(
        "address-of-host",
        &["services", service, "networks", network.key.as_str(), key],
        format!(
            "service `{service}`: {address} is the host's own address on `{}`",
            link.name
        ),
    )
    .hint("give the container another address of the subnet")
}
