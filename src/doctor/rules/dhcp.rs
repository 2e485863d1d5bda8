//! What DHCP servers on the wire hand out, against what the engine and the stack do. Where nobody was asked, the
//! file's own word (`dhcp_pool`) counts.

use std::net::IpAddr;

use crate::doctor::facts::Facts;
use crate::doctor::{Finding, Severity};
use crate::model::address::{cover, overlap};
use crate::model::network::{Driver, Network};
use crate::model::service::{Connection, Service};
use crate::model::stack::Stack;
use crate::plan::machine::Offer;

/// Asks what there is to ask about DHCP.
pub fn examine(facts: &Facts, stack: Option<&Stack>, findings: &mut Vec<Finding>) {
    for (link, offers) in &facts.machine.offers {
        told(link, offers, findings);
    }
    let offers = |link: &str| {
        let offers = facts.machine.offers.get(link);
        offers.map(Vec::as_slice).unwrap_or_default()
    };
    for network in stack.into_iter().flat_map(|stack| stack.networks.values()) {
        declared(network, findings);
        shared(network, findings);
        if let Some(parent) = network
            .parent
            .as_ref()
            .filter(|_| network.driver.on_parent())
        {
            for offer in offers(parent.link().as_str()) {
                against(network, stack, offer, findings);
            }
        }
    }
    for network in &facts.networks {
        let parent = network.spec.options.get("parent");
        let known = stack.is_some_and(|stack| {
            stack
                .networks
                .values()
                .any(|own| own.name == network.spec.name)
        });
        for offer in parent.map(|parent| offers(parent)).unwrap_or_default() {
            let ranges = network.spec.pools.iter();
            let mut ranges = ranges.filter_map(|pool| pool.ip_range.or(pool.subnet));
            if let Some(range) = ranges.find(|range| range.contains(&IpAddr::V4(offer.address)))
                && !known
            {
                findings.push(
                    overlapping(&format!("network {}", network.spec.name), range, offer)
                        .mend("make that network anew with an `ip_range` outside of what the server hands out"),
                );
            }
        }
    }
}

/// Addresses that the engine does not give (`ipam: {driver: "null"}`, or a plugin that asks a DHCP server), on links that
/// all have the parent's link-layer address.
fn shared(network: &Network, findings: &mut Vec<Finding>) {
    let Driver::Ipvlan(..) = network.driver else {
        return;
    };
    let leased = |driver: &&String| *driver == "null" || driver.contains("dhcp");
    let Some(driver) = network.ipam.driver.as_ref().filter(leased) else {
        return;
    };
    findings.push(
        Finding::new(
            "ipvlan-dhcp",
            Severity::Warning,
            format!("network {}", network.key),
            format!("its addresses are to come from a DHCP server (ipam driver `{driver}`), and it is an ipvlan network"),
            "all its links have the parent's link-layer address, so a server that goes by it gives all of them, and the host, one lease",
        )
        .mend("have each client send a client-id of its own and ask for answers by broadcast (dhclient: send dhcp-client-identifier; udhcpc -x 0x3d:… -B), or let the engine give addresses"),
    );
}

fn told(link: &str, offers: &[Offer], findings: &mut Vec<Finding>) {
    let subject = format!("link {link}");
    for offer in offers {
        let options: Vec<String> = offer
            .options
            .iter()
            .map(|option| match option.name.as_str() {
                "" => format!("option {} {}", option.number, option.value),
                name => format!("{name} {}", option.value),
            })
            .collect();
        findings.push(Finding::new(
            "dhcp-server",
            Severity::Info,
            subject.clone(),
            format!(
                "the DHCP server {} ({}) offers {}: {}",
                offer.server,
                offer.server_mac,
                offer.address,
                options.join(", ")
            ),
            "addresses of its pool must not be given to containers; nothing was leased by asking",
        ));
    }
    if offers.len() > 1 {
        findings.push(
            Finding::new(
                "dhcp-servers",
                Severity::Warning,
                subject,
                format!("{} DHCP servers answer", offers.len()),
                "which of them a machine listens to is chance, and their pools may overlap",
            )
            .mend("switch all but one off"),
        );
    } else if offers.is_empty() {
        findings.push(Finding::new(
            "dhcp-silent",
            Severity::Info,
            subject,
            "no DHCP server answered",
            "nobody hands out addresses there, or not to strangers",
        ));
    }
}

fn overlapping(subject: &str, range: ipnet::IpNet, offer: &Offer) -> Finding {
    Finding::new(
        "dhcp-overlap",
        Severity::Error,
        subject,
        format!(
            "the engine hands out {range}, and the DHCP server {} offers {} of it",
            offer.server, offer.address
        ),
        "sooner or later two machines get one address",
    )
}

/// What a server offers against a network of the stack.
fn against(network: &Network, stack: Option<&Stack>, offer: &Offer, findings: &mut Vec<Finding>) {
    let subject = format!("network {}", network.key);
    let address = IpAddr::V4(offer.address);
    for pool in &network.ipam.pools {
        let Some(subnet) = pool.subnet.filter(|subnet| subnet.contains(&address)) else {
            continue;
        };
        if let Some(router) = offer.routers.first()
            && pool.gateway.is_some_and(|own| own != IpAddr::V4(*router))
        {
            findings.push(
                Finding::new(
                    "gateway-differs",
                    Severity::Warning,
                    subject.clone(),
                    format!("the DHCP server names the router {router}, the file another gateway"),
                    "containers reach nothing outside unless that machine forwards as well",
                )
                .mend(format!("gateway: {router}")),
            );
        }
        if let Some(prefix) = offer.prefix.filter(|prefix| *prefix != subnet.prefix_len()) {
            findings.push(
                Finding::new(
                    "subnet-differs",
                    Severity::Warning,
                    subject.clone(),
                    format!("the wire's subnet has /{prefix}, the file says {subnet}"),
                    "containers look for some neighbours at the gateway, or at nobody's",
                )
                .mend(format!("subnet: {}/{prefix}", offer.address)),
            );
        }
        let range = pool.ip_range.unwrap_or(subnet);
        if network.dhcp_pool.is_none() && range.contains(&address) {
            findings.push(overlapping(&subject, range, offer).mend(
                "set an `ip_range` outside of the server's pool, and name that pool as `dhcp_pool`",
            ));
        }
    }
    match network.dhcp_pool {
        Some(pool) if !pool.contains(address) => findings.push(
            Finding::new(
                "dhcp-pool-differs",
                Severity::Warning,
                subject.clone(),
                format!(
                    "the file says that the DHCP server hands out {} to {}; it offers {address}",
                    pool.first, pool.last
                ),
                "what is checked against that pool is checked against the wrong one",
            )
            .mend("set `dhcp_pool` to what the server is set to"),
        ),
        Some(_) | None => {}
    }
    let services = stack.into_iter().flat_map(|stack| stack.services.values());
    for (service, fixed) in services.flat_map(|service| fixed(service, network)) {
        if fixed == address {
            findings.push(
                Finding::new(
                    "dhcp-overlap",
                    Severity::Error,
                    subject.clone(),
                    format!(
                        "the DHCP server {} offers {address}, the fixed address of `{service}`",
                        offer.server
                    ),
                    "sooner or later two machines get one address",
                )
                .mend("give it an address outside of the server's pool, or reserve it there"),
            );
        }
    }
}

/// The fixed addresses of a service in a network.
fn fixed<'a>(service: &'a Service, network: &Network) -> Vec<(&'a str, IpAddr)> {
    let attachment = match &service.connection {
        Connection::Networks(networks) => networks.get(&network.key),
        Connection::Host
        | Connection::None
        | Connection::DefaultBridge
        | Connection::Service(_)
        | Connection::Container(_)
        | Connection::Named(_) => None,
    };
    attachment
        .and_then(|attachment| attachment.ipv4_address)
        .map(|address| (service.name.as_str(), IpAddr::V4(address)))
        .into_iter()
        .collect()
}

/// The pool that the file names against what the engine hands out.
fn declared(network: &Network, findings: &mut Vec<Finding>) {
    let subject = format!("network {}", network.key);
    let Some(pool) = network.dhcp_pool else {
        let whole = network
            .ipam
            .pools
            .iter()
            .any(|pool| pool.subnet.is_some() && pool.ip_range.is_none());
        if network.driver.on_parent() && whole && !network.external {
            findings.push(
                Finding::new(
                    "range-missing",
                    Severity::Info,
                    subject,
                    "it has no `ip_range`, so the engine gives out addresses of the whole subnet",
                    "a DHCP server or another machine on that wire may have them",
                )
                .mend("set `ip_range` to a part that nobody else uses, and `dhcp_pool` to what the server hands out"),
            );
        }
        return;
    };
    let ranges = network.ipam.pools.iter();
    for range in ranges.filter_map(|own| own.ip_range.or(own.subnet)) {
        if cover(pool).iter().any(|lease| overlap(lease, &range)) {
            findings.push(
                Finding::new(
                    "dhcp-overlap",
                    Severity::Error,
                    subject.clone(),
                    format!(
                        "the engine hands out {range}, the DHCP server {} to {}",
                        pool.first, pool.last
                    ),
                    "sooner or later two machines get one address",
                )
                .mend("set an `ip_range` outside of the DHCP server's pool"),
            );
        }
    }
}
