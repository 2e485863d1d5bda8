//! What the LAN's own DHCP server hands out must be kept away from everything that has its address from this file or
//! from the engine.

use std::net::IpAddr;

use crate::diagnostic::Diagnostic;
use crate::file::cross::{Ground, fixed};
use crate::model::address::{AddressRange, same_family};
use crate::model::name::NetworkName;
use crate::model::network::Network;

/// Checks the pools of all networks.
pub fn check(ground: &mut Ground) {
    for (key, network) in &ground.stack.networks {
        let Some(pool) = network.dhcp_pool else {
            continue;
        };
        if !inside(ground, key, network, pool) {
            continue;
        }
        handed_out(ground, key, network, pool);
        stations(ground, key, network, pool);
        services(ground, key, pool);
    }
}

/// Whether it lies on the wire's subnet at all; what lies elsewhere meets nothing else.
fn inside(ground: &mut Ground, key: &NetworkName, network: &Network, pool: AddressRange) -> bool {
    let holds = |address| network.subnets().any(|subnet| subnet.contains(&address));
    if network.subnets().next().is_none() || (holds(pool.first) && holds(pool.last)) {
        return true;
    }
    let subnets: Vec<String> = network
        .subnets()
        .map(|subnet| subnet.trunc().to_string())
        .collect();
    let subnets = subnets.join(" and ");
    let message = format!(
        "network `{key}`: the DHCP server's pool {} to {} does not lie in the wire's subnet {subnets}",
        pool.first, pool.last
    );
    let diagnostic = Diagnostic::warning("dhcp-outside", message)
        .hint("write what the server of this very wire hands out, or mend the subnet");
    let config = ["networks", key.as_str(), "ipam", "config", "0", "subnet"];
    let diagnostic = ground.also(diagnostic, &config, "the subnet");
    ground.tell(diagnostic, &["networks", key.as_str(), "dhcp_pool"], "");
    holds(pool.first) || holds(pool.last)
}

fn overlap(
    ground: &mut Ground,
    key: &NetworkName,
    message: String,
    hint: &str,
    path: &[&str],
    label: &str,
) {
    let diagnostic = Diagnostic::warning("dhcp-overlap", message).hint(hint);
    let pool = ["networks", key.as_str(), "dhcp_pool"];
    let diagnostic = ground.also(diagnostic, &pool, "handed out by the DHCP server");
    ground.tell(diagnostic, path, label);
}

/// What the engine hands out by itself: the range, or the whole subnet where there is none.
fn handed_out(ground: &mut Ground, key: &NetworkName, network: &Network, pool: AddressRange) {
    let automatic = ground.attachments().any(|(service, name, attachment)| {
        name == key
            && service.scale > 0
            && !fixed(attachment).any(|(_, address)| same_family(address, pool.first))
    });
    for (index, one) in network.ipam.pools.iter().enumerate() {
        let index = index.to_string();
        let path = |name: &'static str| ["networks", key.as_str(), "ipam", "config", &*index, name];
        match (one.ip_range, one.subnet) {
            (Some(range), _) if pool.overlaps(&AddressRange::of(range)) => {
                let message = format!(
                    "network `{key}`: the engine's ip_range {} and the DHCP server's pool overlap",
                    range.trunc()
                );
                let hint = "shrink one of the two: both sides would hand out the same addresses";
                let label = "handed out by the engine";
                overlap(ground, key, message, hint, &path("ip_range"), label);
            }
            (None, Some(subnet)) if automatic && pool.overlaps(&AddressRange::of(subnet)) => {
                let message = format!(
                    "network `{key}`: without an ip_range the engine hands out all of {}, the DHCP server's pool with it",
                    subnet.trunc()
                );
                let hint =
                    "add an ip_range that the server leaves alone: ip_range: 192.168.1.224/27";
                let label = "handed out by the engine";
                overlap(ground, key, message, hint, &path("subnet"), label);
            }
            _ => {}
        }
    }
}

/// The gateway and the shim, which have their addresses for good.
fn stations(ground: &mut Ground, key: &NetworkName, network: &Network, pool: AddressRange) {
    const HINT: &str = "choose an address that the server does not hand out, or shrink its pool";
    for (index, one) in network.ipam.pools.iter().enumerate() {
        if let Some(gateway) = one.gateway.filter(|gateway| pool.contains(*gateway)) {
            let index = index.to_string();
            let path = [
                "networks",
                key.as_str(),
                "ipam",
                "config",
                &index,
                "gateway",
            ];
            let message =
                format!("network `{key}`: the gateway {gateway} lies in the DHCP server's pool");
            overlap(ground, key, message, HINT, &path, "");
        }
    }
    let shim = network.shim.iter().flat_map(|shim| &shim.addresses);
    let addresses: Vec<IpAddr> = shim.copied().collect();
    for (index, address) in addresses.into_iter().enumerate() {
        if pool.contains(address) {
            let index = index.to_string();
            let path = ["networks", key.as_str(), "shim", "address", &index];
            let message =
                format!("the shim of network `{key}`: {address} lies in the DHCP server's pool");
            overlap(ground, key, message, HINT, &path, "");
        }
    }
}

fn services(ground: &mut Ground, key: &NetworkName, pool: AddressRange) {
    for (service, name, attachment) in ground.attachments().filter(|(_, name, _)| *name == key) {
        for (what, address) in fixed(attachment).filter(|(_, address)| pool.contains(*address)) {
            let service = service.name.as_str();
            let message = format!("service `{service}`: {address} lies in the DHCP server's pool");
            let path = ["services", service, "networks", name.as_str(), what];
            let hint = "choose one that the server does not hand out";
            overlap(ground, key, message, hint, &path, "");
        }
    }
}
