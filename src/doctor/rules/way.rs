//! Where packets to containers really go: routes and policy rules that come before a shim's, neighbours inside of its
//! range, gateways that are not the wire's.

use std::net::IpAddr;

use crate::doctor::facts::Facts;
use crate::doctor::{Finding, Severity, shims, target};
use crate::model::network::Network;
use crate::model::stack::Stack;
use crate::plan::machine::Machine;
use crate::plan::observed::HostFacts;
use crate::plan::spec::ShimSpec;

/// The routing tables of every host: main, default, local.
const USUAL: [u32; 3] = [254, 253, 255];

/// Asks where packets go.
pub fn examine(facts: &Facts, stack: Option<&Stack>, findings: &mut Vec<Finding>) {
    let Some(host) = &facts.host else { return };
    let Some(stack) = stack else {
        rules(&facts.machine, findings);
        return;
    };
    for shim in shims(facts, stack) {
        taken(&facts.machine, host, &shim, findings);
        neighbours(&facts.machine, &shim, findings);
        own_address(host, &shim, findings);
    }
    for network in stack.networks.values() {
        if network.driver.on_parent() && !network.external {
            gateway(facts, network, host, findings);
        }
    }
}

/// Rules of somebody: worth knowing where no stack says for whom they matter.
fn rules(machine: &Machine, findings: &mut Vec<Finding>) {
    let extra: Vec<String> = machine
        .rules
        .iter()
        .filter(|rule| rule.priority < 32_766 && !USUAL.contains(&rule.table))
        .map(ToString::to_string)
        .collect();
    if extra.is_empty() {
        return;
    }
    findings.push(
        Finding::new(
            "policy-rules",
            Severity::Info,
            "host",
            format!(
                "policy rules come before the main table: {}",
                extra.join("; ")
            ),
            "packets to containers may go another way than `ip route` shows",
        )
        .mend("ip rule; ip route get ADDRESS tells the way of one address"),
    );
}

/// The kernel's own answer for an address of each of a shim's routes.
fn taken(machine: &Machine, host: &HostFacts, shim: &ShimSpec, findings: &mut Vec<Finding>) {
    let there = host.link(shim.name.as_str()).is_some();
    for route in &shim.routes {
        let Some(to) = target(shim, route.destination) else {
            continue;
        };
        let Some(way) = machine.ways.iter().find(|way| way.to == to) else {
            continue;
        };
        let link = way.link.as_deref().unwrap_or("?");
        if way.table != 0 && !USUAL.contains(&way.table) {
            let winners: Vec<String> = machine
                .rules
                .iter()
                .filter(|rule| rule.table == way.table && rule.ipv6 == to.is_ipv6())
                .map(ToString::to_string)
                .collect();
            let before = machine
                .rules
                .iter()
                .filter(|rule| rule.table == way.table && rule.ipv6 == to.is_ipv6())
                .map(|rule| rule.priority)
                .min()
                .unwrap_or(32_766);
            findings.push(
                Finding::new(
                    "rule-steals-range",
                    Severity::Error,
                    format!("shim {}", shim.name),
                    format!(
                        "packets to {to} leave by `{link}`, by table {} (rule {})",
                        way.table,
                        winners.join("; ")
                    ),
                    "that rule is asked before the main table, where the shim's routes are: the host does not reach the containers",
                )
                .mend(format!(
                    "ip {}rule add to {} lookup main priority {}",
                    if to.is_ipv6() { "-6 " } else { "" },
                    route.destination,
                    before.saturating_sub(1)
                )),
            );
        } else if there && way.link.as_deref() != Some(shim.name.as_str()) {
            let stands = host.routes.iter().any(|fact| {
                fact.destination == route.destination.trunc()
                    && fact.link.as_deref() == Some(shim.name.as_str())
            });
            if !stands {
                findings.push(
                    Finding::new(
                        "shim-route-missing",
                        Severity::Error,
                        format!("shim {}", shim.name),
                        format!("it has no route to {}", route.destination),
                        format!(
                            "packets to {to} leave by `{link}`, where those containers are not"
                        ),
                    )
                    .mend("stack shim repair"),
                );
                continue;
            }
            findings.push(
                Finding::new(
                    "route-steals-range",
                    Severity::Error,
                    format!("shim {}", shim.name),
                    format!("packets to {to} leave by `{link}` and not by the shim"),
                    "a more specific route, such as a VPN's, takes what is for those containers",
                )
                .mend(format!(
                    "ip route get {to} shows it; remove it, or use another ip_range"
                )),
            );
        }
    }
}

/// Machines on the parent's wire whose addresses lie in what is routed to the shim.
fn neighbours(machine: &Machine, shim: &ShimSpec, findings: &mut Vec<Finding>) {
    for neighbour in &machine.neighbours {
        let inside = |destination: ipnet::IpNet| {
            destination.prefix_len() < destination.max_prefix_len()
                && destination.contains(&neighbour.address)
        };
        if neighbour.link == shim.parent.as_str()
            && shim.routes.iter().any(|route| inside(route.destination))
        {
            findings.push(
                Finding::new(
                    "neighbour-in-range",
                    Severity::Warning,
                    format!("shim {}", shim.name),
                    format!(
                        "{} ({}) is a machine on `{}`, and lies in the range that is routed to the shim",
                        neighbour.address, neighbour.mac, neighbour.link
                    ),
                    "the host looks for it among the containers while the shim is up; the engine may give its address away",
                )
                .mend("narrow `ip_range`, or `routes: auto` for one route a container"),
            );
        }
    }
}

/// A shim with an address that the host has already.
fn own_address(host: &HostFacts, shim: &ShimSpec, findings: &mut Vec<Finding>) {
    let other = |address: &IpAddr| {
        host.links.iter().find(|link| {
            link.name != shim.name.as_str()
                && link.addresses.iter().any(|net| net.addr() == *address)
        })
    };
    for address in &shim.addresses {
        if let Some(link) = other(address) {
            findings.push(
                Finding::new(
                    "shim-shares-address",
                    Severity::Warning,
                    format!("shim {}", shim.name),
                    format!("{address} is the address of `{}` as well", link.name),
                    "neighbours learn two link-layer addresses for it, and take the one that answers last",
                )
                .mend("leave `address` out: a free one is chosen"),
            );
        }
    }
}

/// The gateway that containers get against the one that the host uses on the same wire.
fn gateway(facts: &Facts, network: &Network, host: &HostFacts, findings: &mut Vec<Finding>) {
    let Some(parent) = &network.parent else {
        return;
    };
    let subject = format!("network {}", network.key);
    for pool in &network.ipam.pools {
        let Some(subnet) = pool.subnet else { continue };
        let hosts_own = host.routes.iter().find_map(|route| {
            let gateway = route.gateway?;
            (route.destination.prefix_len() == 0
                && route.link.as_deref() == Some(parent.link().as_str())
                && subnet.contains(&gateway))
            .then_some(gateway)
        });
        match (pool.gateway, hosts_own) {
            (Some(gateway), Some(own)) if gateway != own => findings.push(
                Finding::new(
                    "gateway-differs",
                    Severity::Warning,
                    subject.clone(),
                    format!(
                        "its gateway is {gateway}, the host's on `{}` is {own}",
                        parent.link()
                    ),
                    "containers reach nothing outside unless that machine forwards as well",
                )
                .mend(format!("gateway: {own}")),
            ),
            (None, _) if !network.internal && subnet.addr().is_ipv4() => {
                let old = facts
                    .engine
                    .as_ref()
                    .is_some_and(|engine| !engine.speaks(1, 48));
                let first = subnet.hosts().next();
                findings.push(
                    Finding::new(
                        "gateway-missing",
                        if old {
                            Severity::Warning
                        } else {
                            Severity::Info
                        },
                        subject.clone(),
                        "it has no gateway",
                        match (old, first) {
                            (true, Some(first)) => format!(
                                "this engine takes {first} for it, whoever has that address"
                            ),
                            (true, None) | (false, _) => {
                                "its containers have no default route".to_owned()
                            }
                        },
                    )
                    .mend(match hosts_own {
                        Some(own) => format!("gateway: {own}"),
                        None => "name the router of that subnet as `gateway`, or `internal: true`"
                            .to_owned(),
                    }),
                );
            }
            (Some(_) | None, _) => {}
        }
    }
}
