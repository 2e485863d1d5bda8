//! Addresses: pools that overlap routes, pools that run out and who holds them, routes that steal a shim's range.

use ipnet::IpNet;

use crate::doctor::facts::Facts;
use crate::doctor::{Finding, Severity};
use crate::model::address::{cover, overlap};
use crate::model::network::Network;
use crate::model::stack::Stack;
use crate::plan::observed::{FoundNetwork, HostFacts, RouteFact};

/// How many networks the engine's built-in pools hold: 172.17.0.0/16 to 172.31.0.0/16, and 192.168.0.0/16 in /20s.
const BUILT_IN_POOLS: usize = 15 + 16;

/// Asks what there is to ask about addresses.
pub fn examine(facts: &Facts, stack: Option<&Stack>, findings: &mut Vec<Finding>) {
    exhaustion(&facts.networks, findings);
    if let Some(host) = &facts.host {
        overlapping(&facts.networks, host, findings);
        for network in stack.into_iter().flat_map(|stack| stack.networks.values()) {
            stolen(network, host, findings);
        }
    }
    for network in stack.into_iter().flat_map(|stack| stack.networks.values()) {
        leases(network, findings);
    }
}

/// Whether a subnet is one that the engine chose itself.
fn is_built_in(subnet: IpNet) -> bool {
    let IpNet::V4(subnet) = subnet else {
        return false;
    };
    let [first, second, ..] = subnet.network().octets();
    match subnet.prefix_len() {
        16 => first == 172 && (17..=31).contains(&second),
        20 => first == 192 && second == 168,
        _ => false,
    }
}

fn exhaustion(networks: &[FoundNetwork], findings: &mut Vec<Finding>) {
    let holders: Vec<&FoundNetwork> = networks
        .iter()
        .filter(|network| {
            network
                .spec
                .pools
                .iter()
                .filter_map(|pool| pool.subnet)
                .any(is_built_in)
        })
        .collect();
    if holders.len() + 5 < BUILT_IN_POOLS {
        return;
    }
    let mut projects: Vec<&str> = holders
        .iter()
        .map(|network| network.project.as_deref().unwrap_or(&network.spec.name))
        .collect();
    projects.sort_unstable();
    projects.dedup();
    let full = holders.len() >= BUILT_IN_POOLS;
    findings.push(
        Finding::new(
            "pools-low",
            if full { Severity::Error } else { Severity::Warning },
            "engine",
            format!("{} of about {BUILT_IN_POOLS} built-in address pools are taken, by: {}", holders.len(), projects.join(", ")),
            "a network without a subnet of its own soon gets none",
        )
        .mend("give networks small subnets under `ipam.config`, or the daemon `default-address-pools`; remove networks that nobody uses"),
    );
}

/// Routes that are not the engine's own bridges' and overlap one of its networks.
fn overlapping(networks: &[FoundNetwork], host: &HostFacts, findings: &mut Vec<Finding>) {
    for network in networks
        .iter()
        .filter(|network| network.spec.driver == "bridge")
    {
        let bridge = match network.spec.options.get("com.docker.network.bridge.name") {
            Some(name) => name.clone(),
            None => format!(
                "br-{}",
                network.engine_id.chars().take(12).collect::<String>()
            ),
        };
        for subnet in network.spec.pools.iter().filter_map(|pool| pool.subnet) {
            let crossing = host.routes.iter().find(|route| {
                route.destination.prefix_len() > 0
                    && route.link.as_deref() != Some(bridge.as_str())
                    && overlap(&route.destination, &subnet)
            });
            let Some(route) = crossing else { continue };
            findings.push(
                Finding::new(
                    "pool-overlaps-route",
                    Severity::Warning,
                    format!("network {}", network.spec.name),
                    format!(
                        "{subnet} overlaps the route to {} by `{}`",
                        route.destination,
                        route.link.as_deref().unwrap_or("?")
                    ),
                    "what lies behind that route and the containers hide each other",
                )
                .mend("give the network another subnet"),
            );
        }
    }
}

/// Routes more specific than a shim's that lead elsewhere: a VPN's, mostly.
fn stolen(network: &Network, host: &HostFacts, findings: &mut Vec<Finding>) {
    let (Some(_), Some(parent)) = (&network.shim, &network.parent) else {
        return;
    };
    let ranges = network
        .ipam
        .pools
        .iter()
        .filter_map(|pool| pool.ip_range.or(pool.subnet));
    for range in ranges.map(|range| range.trunc()) {
        let steals = |route: &&RouteFact| {
            route.protocol != crate::model::mark::ROUTE_PROTOCOL
                && route.destination.prefix_len() > range.prefix_len()
                && range.contains(&route.destination)
                && route.link.as_deref() != Some(parent.link().as_str())
        };
        if let Some(route) = host.routes.iter().find(steals) {
            let link = route.link.as_deref().unwrap_or("?");
            findings.push(
                Finding::new(
                    "route-steals-range",
                    Severity::Error,
                    format!("network {}", network.key),
                    format!(
                        "the route to {} by `{link}` is more specific than the shim's to {range}",
                        route.destination
                    ),
                    "the host sends what is for those containers there",
                )
                .mend(format!(
                    "ip route delete {} dev {link}; or another ip_range",
                    route.destination
                )),
            );
        }
    }
}

/// A DHCP server's pool against what the engine hands out.
fn leases(network: &Network, findings: &mut Vec<Finding>) {
    let Some(pool) = network.dhcp_pool else {
        return;
    };
    for pool_net in network
        .ipam
        .pools
        .iter()
        .filter_map(|own| own.ip_range.or(own.subnet))
    {
        if cover(pool).iter().any(|lease| overlap(lease, &pool_net)) {
            findings.push(
                Finding::new(
                    "dhcp-overlap",
                    Severity::Error,
                    format!("network {}", network.key),
                    format!(
                        "the engine hands out {pool_net}, the DHCP server {} to {}",
                        pool.first, pool.last
                    ),
                    "sooner or later two machines get one address",
                )
                .mend("set an `ip_range` outside of the DHCP server's pool"),
            );
        }
    }
}
