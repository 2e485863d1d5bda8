//! Addresses: pools that overlap routes, pools that run out and who holds them, routes that steal a shim's range.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::doctor::facts::Facts;
use crate::doctor::{Finding, Severity};
use crate::model::address;
use crate::model::name::shell_word;
use crate::model::network::Network;
use crate::model::stack::Stack;
use crate::plan::check::{self, overlap};
use crate::plan::observed::{EngineFacts, FoundNetwork, HostFacts, Observed, RouteFact};

/// The pools of an engine whose settings name none: 172.17.0.0/16 to 172.31.0.0/16, and 192.168.0.0/16 in /20s
/// (`ipamutils`, the same from 17.06 to 28).
const BUILT_IN: [([u8; 4], u8, u8); 7] = [
    ([172, 17, 0, 0], 16, 16),
    ([172, 18, 0, 0], 16, 16),
    ([172, 19, 0, 0], 16, 16),
    ([172, 20, 0, 0], 14, 16),
    ([172, 24, 0, 0], 14, 16),
    ([172, 28, 0, 0], 14, 16),
    ([192, 168, 0, 0], 16, 20),
];

/// When so few are left, it is told.
const FEW: usize = 5;

/// More subnets than this do not run out by surprise.
const MANY: usize = 4096;

/// Asks what there is to ask about addresses.
pub fn examine(facts: &Facts, stack: Option<&Stack>, findings: &mut Vec<Finding>) {
    let routes = facts.host.as_ref().map(|host| host.routes.as_slice());
    if let Some(engine) = &facts.engine {
        exhaustion(
            engine,
            &facts.networks,
            routes.unwrap_or_default(),
            findings,
        );
    }
    if let Some(host) = &facts.host {
        overlapping(&facts.networks, host, findings);
        for network in stack.into_iter().flat_map(|stack| stack.networks.values()) {
            stolen(network, host, findings);
        }
    }
    if let (Some(stack), Some(engine)) = (stack, &facts.engine) {
        let observed = Observed {
            engine: engine.clone(),
            host: facts.host.clone(),
            networks: facts.networks.clone(),
            ..Observed::default()
        };
        let mut found = Vec::new();
        overlap::check(stack, &observed, &mut found);
        findings.extend(found.into_iter().map(of_check));
    }
}

/// What `up` would say before it begins.
fn of_check(found: check::Finding) -> Finding {
    let severity = if found.fatal {
        Severity::Error
    } else {
        Severity::Warning
    };
    let finding = Finding::new(
        found.code,
        severity,
        found.place.join("."),
        found.message,
        "`up` says the same and changes nothing",
    );
    match found.hint {
        Some(hint) => finding.mend(hint),
        None => finding,
    }
}

/// Subnets that the engine may still choose by itself. It passes over those that overlap a route of the host.
fn exhaustion(
    engine: &EngineFacts,
    networks: &[FoundNetwork],
    routes: &[RouteFact],
    findings: &mut Vec<Finding>,
) {
    let mut pools: Vec<(IpNet, u8)> = engine.address_pools.clone();
    if pools.is_empty() {
        pools.extend(BUILT_IN.iter().filter_map(|(base, length, size)| {
            let base = IpNet::new(IpAddr::from(*base), *length).ok()?;
            Some((base, *size))
        }));
    }
    let mut subnets = Vec::new();
    for (base, size) in pools {
        let room = size.saturating_sub(base.prefix_len());
        if room >= 12 || subnets.len() > MANY {
            return;
        }
        subnets.extend(base.subnets(size).into_iter().flatten());
    }
    let mut holders: Vec<String> = Vec::new();
    for network in networks {
        let hit = network
            .spec
            .pools
            .iter()
            .filter_map(|pool| pool.subnet)
            .find(|used| subnets.iter().any(|subnet| address::overlap(subnet, used)));
        if let Some(used) = hit {
            let whose = network
                .project
                .as_ref()
                .map_or_else(String::new, |project| format!(" of {project}"));
            holders.push(format!("{}{whose} ({used})", network.spec.name));
            subnets.retain(|subnet| !address::overlap(subnet, &used));
        }
    }
    for route in routes
        .iter()
        .filter(|route| route.destination.prefix_len() > 0)
    {
        let before = subnets.len();
        subnets.retain(|subnet| !address::overlap(subnet, &route.destination));
        if subnets.len() < before {
            holders.push(format!(
                "the route to {} by {}",
                route.destination,
                route.link.as_deref().unwrap_or("?")
            ));
        }
    }
    if subnets.len() > FEW {
        return;
    }
    let full = subnets.is_empty();
    findings.push(
        Finding::new(
            "pools-low",
            if full { Severity::Error } else { Severity::Warning },
            "engine",
            format!(
                "{} subnets are left of those that the engine takes by itself; held by: {}",
                subnets.len(),
                holders.join(", ")
            ),
            if full {
                "a network without a subnet of its own cannot be made"
            } else {
                "a network without a subnet of its own soon gets none"
            },
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
                    && address::overlap(&route.destination, &subnet)
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
        // Of two routes to one prefix the kernel takes the one of the lower metric.
        let beaten = |route: &RouteFact| {
            host.routes.iter().any(|ours| {
                ours.protocol == crate::model::mark::ROUTE_PROTOCOL
                    && (ours.destination == route.destination && ours.metric < route.metric
                        || ours.destination.prefix_len() > route.destination.prefix_len()
                            && route.destination.contains(&ours.destination))
            })
        };
        let mut found = host.routes.iter().filter(steals);
        if let Some(route) = found.find(|route| !beaten(route)) {
            let link = route.link.as_deref().unwrap_or("?");
            findings.push(
                Finding::new(
                    "route-steals-range",
                    Severity::Error,
                    format!("network {}", network.key),
                    format!(
                        "the route to {} by `{link}` leads out of {range}, where the containers' addresses are",
                        route.destination
                    ),
                    "the host sends what is for those containers there",
                )
                .mend(format!(
                    "ip route delete {} dev {}; or another ip_range",
                    route.destination,
                    shell_word(link)
                )),
            );
        }
    }
}
