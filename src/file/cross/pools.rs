//! Address pools: each in itself, and against the others of the file.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::diagnostic::Diagnostic;
use crate::file::cross::{Ground, reserved};
use crate::model::address::{overlap, same_family};
use crate::model::network::{Driver, Network, Pool};

/// Checks all pools.
pub fn check(ground: &mut Ground) {
    for (key, network) in &ground.stack.networks {
        for (index, pool) in network.ipam.pools.iter().enumerate() {
            one(ground, key.as_str(), network, &index.to_string(), pool);
        }
        families(ground, key.as_str(), network);
    }
    overlaps(ground);
}

fn one(ground: &mut Ground, key: &str, network: &Network, index: &str, pool: &Pool) {
    let path = |name: &'static str| ["networks", key, "ipam", "config", index, name];
    let Some(subnet) = pool.subnet else {
        for (name, is_there) in [
            ("ip_range", pool.ip_range.is_some()),
            ("gateway", pool.gateway.is_some()),
            ("aux_addresses", !pool.aux_addresses.is_empty()),
        ] {
            if is_there {
                let message =
                    format!("network `{key}`: `{name}` needs a subnet that it is part of");
                let diagnostic = Diagnostic::error("no-subnet", message)
                    .hint("add the subnet: subnet: 192.168.1.0/24");
                ground.tell(diagnostic, &path(name), "");
            }
        }
        return;
    };
    for (name, prefix) in [("subnet", Some(subnet)), ("ip_range", pool.ip_range)] {
        if let Some(prefix) = prefix.filter(|prefix| *prefix != prefix.trunc()) {
            let message = format!(
                "network `{key}`: `{prefix}` has host bits set; the {name} is {}",
                prefix.trunc()
            );
            let diagnostic =
                Diagnostic::warning("host-bits", message).hint(format!("write {}", prefix.trunc()));
            ground.tell(diagnostic, &path(name), "");
        }
    }
    let outside = |what: String, name: &'static str, ground: &mut Ground| {
        let diagnostic = Diagnostic::error(
            "outside-subnet",
            format!(
                "network `{key}`: {what} is outside its subnet {}",
                subnet.trunc()
            ),
        )
        .hint(format!("choose one in {}", subnet.trunc()));
        let diagnostic = ground.also(diagnostic, &path("subnet"), "the subnet");
        ground.tell(diagnostic, &path(name), "not in the subnet");
    };
    if let Some(range) = pool.ip_range
        && !(subnet.contains(&range.network()) && subnet.contains(&range.broadcast()))
    {
        outside(format!("ip_range {}", range.trunc()), "ip_range", ground);
    }
    if let Some(gateway) = pool.gateway {
        if !subnet.contains(&gateway) {
            outside(format!("gateway {gateway}"), "gateway", ground);
        } else if let Some(why) = reserved(subnet, gateway) {
            let message = format!(
                "network `{key}`: gateway {gateway} is {why} of {}",
                subnet.trunc()
            );
            ground.tell(
                Diagnostic::error("reserved-address", message).hint("choose another address"),
                &path("gateway"),
                "",
            );
        }
        if matches!(network.driver, Driver::Ipvlan(mode, _) if mode != Default::default()) {
            let message = format!(
                "network `{key}`: a gateway means nothing in ipvlan's l3 modes: the route leads out of the link"
            );
            let diagnostic = Diagnostic::warning("key-without-effect", message)
                .hint("remove `gateway`, or use mode l2");
            ground.tell(diagnostic, &path("gateway"), "");
        }
    }
    auxiliary(ground, key, index, pool, subnet);
}

fn auxiliary(ground: &mut Ground, key: &str, index: &str, pool: &Pool, subnet: IpNet) {
    let mut seen: Vec<(&str, IpAddr)> = Vec::new();
    for (name, address) in &pool.aux_addresses {
        let path = [
            "networks",
            key,
            "ipam",
            "config",
            index,
            "aux_addresses",
            name,
        ];
        if !subnet.contains(address) {
            let message = format!(
                "network `{key}`: auxiliary address {address} is outside its subnet {}",
                subnet.trunc()
            );
            let diagnostic = Diagnostic::error("outside-subnet", message)
                .hint("choose one in the subnet, or remove it");
            let diagnostic = ground.also(
                diagnostic,
                &["networks", key, "ipam", "config", index, "subnet"],
                "the subnet",
            );
            ground.tell(diagnostic, &path, "not in the subnet");
            continue;
        }
        let other = if pool.gateway == Some(*address) {
            Some((
                vec!["networks", key, "ipam", "config", index, "gateway"],
                "the gateway",
            ))
        } else {
            let twin = seen.iter().find(|(_, one)| one == address);
            twin.map(|(twin, _)| {
                (
                    vec![
                        "networks",
                        key,
                        "ipam",
                        "config",
                        index,
                        "aux_addresses",
                        *twin,
                    ],
                    "reserved already",
                )
            })
        };
        if let Some((other, label)) = other {
            let message = format!("network `{key}`: auxiliary address {address} is taken");
            let diagnostic = Diagnostic::error("duplicate-address", message)
                .hint("remove it: an address is reserved once");
            let diagnostic = ground.also(diagnostic, &other, label);
            ground.tell(diagnostic, &path, "the same address again");
        }
        seen.push((name, *address));
    }
}

fn families(ground: &mut Ground, key: &str, network: &Network) {
    let v6 = network
        .ipam
        .pools
        .iter()
        .position(|pool| matches!(pool.subnet, Some(IpNet::V6(_))));
    if let Some(index) = v6
        && network.enable_ipv6 != Some(true)
        && !network.external
    {
        let index = index.to_string();
        let message = format!(
            "network `{key}` has an IPv6 subnet and no `enable_ipv6: true`: the engine leaves IPv6 off"
        );
        let diagnostic = Diagnostic::warning("ipv6-off", message).hint("add enable_ipv6: true");
        ground.tell(
            diagnostic,
            &["networks", key, "ipam", "config", &index, "subnet"],
            "",
        );
    }
    if network.driver == Driver::Bridge && !network.external {
        several(ground, key, network);
    }
    if matches!(network.driver, Driver::Macvlan(_) | Driver::Ipvlan(..))
        && network.subnets().next().is_none()
        && !network.external
        && network.ipam.driver.is_none()
    {
        let message = format!(
            "network `{key}` sits on a real wire and has no subnet: the engine takes one that nobody there routes"
        );
        let diagnostic = Diagnostic::warning("no-subnet", message)
            .hint("give the wire's own: ipam: {config: [{subnet: 192.168.1.0/24}]}");
        ground.tell(diagnostic, &["networks", key], "");
    }
}

/// A bridge has one subnet of each family.
fn several(ground: &mut Ground, key: &str, network: &Network) {
    for v4 in [true, false] {
        let mut pools = network.ipam.pools.iter().enumerate().filter(|(_, pool)| {
            pool.subnet
                .is_some_and(|subnet| matches!(subnet, IpNet::V4(_)) == v4)
        });
        let (Some((first, _)), Some((second, _))) = (pools.next(), pools.next()) else {
            continue;
        };
        let (first, second) = (first.to_string(), second.to_string());
        let path = |index| ["networks", key, "ipam", "config", index, "subnet"];
        let message = format!(
            "network `{key}`: bridge driver doesn't support multiple subnets of one family"
        );
        let diagnostic = Diagnostic::error("several-subnets", message)
            .hint("keep one, or make a second network for the other");
        let diagnostic = ground.also(diagnostic, &path(&first), "the first one");
        ground.tell(diagnostic, &path(&second), "one more");
    }
}

/// A pool of the whole file.
struct Known<'a> {
    network: &'a str,
    index: usize,
    subnet: IpNet,
}

/// Pools of one engine must not overlap, whatever the driver: sorted by first address, only the widest of those before
/// can reach into the next one.
fn overlaps(ground: &mut Ground) {
    let mut all: Vec<Known> = Vec::new();
    for (key, network) in &ground.stack.networks {
        let other_driver = network
            .ipam
            .driver
            .as_deref()
            .is_some_and(|driver| driver != "default");
        if network.external || other_driver {
            continue;
        }
        all.extend(
            network
                .ipam
                .pools
                .iter()
                .enumerate()
                .filter_map(|(index, pool)| {
                    Some(Known {
                        network: key.as_str(),
                        index,
                        subnet: pool.subnet?.trunc(),
                    })
                }),
        );
    }
    let order: Vec<usize> = {
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by_key(|at| {
            all.get(*at)
                .map(|known| (known.subnet.network(), known.subnet.prefix_len()))
        });
        order
    };
    let mut widest: Option<&Known> = None;
    for at in order {
        let Some(known) = all.get(at) else { continue };
        if let Some(before) = widest
            && same_family(before.subnet.network(), known.subnet.network())
            && overlap(&before.subnet, &known.subnet)
        {
            // The one that comes later in the file is the one to change.
            let (first, second) = if position(ground, before) <= position(ground, known) {
                (before, known)
            } else {
                (known, before)
            };
            let message = if first.network == second.network {
                format!(
                    "network `{}`: its pools {} and {} overlap",
                    first.network, first.subnet, second.subnet
                )
            } else {
                format!(
                    "network `{}` and network `{}` overlap in {}",
                    first.network, second.network, known.subnet
                )
            };
            let hint = format!(
                "give `{}` a subnet outside {}",
                second.network, first.subnet
            );
            let index = first.index.to_string();
            let diagnostic = Diagnostic::error("pool-overlap", message).hint(hint);
            let diagnostic = ground.also(
                diagnostic,
                &[
                    "networks",
                    first.network,
                    "ipam",
                    "config",
                    &index,
                    "subnet",
                ],
                "this one",
            );
            let index = second.index.to_string();
            ground.tell(
                diagnostic,
                &[
                    "networks",
                    second.network,
                    "ipam",
                    "config",
                    &index,
                    "subnet",
                ],
                "Pool overlaps with other one on this address space",
            );
            if before.subnet.prefix_len() <= known.subnet.prefix_len() {
                continue;
            }
        }
        widest = Some(known);
    }
}

fn position(ground: &Ground, known: &Known) -> Option<(crate::source::SourceId, u32)> {
    let index = known.index.to_string();
    let place = ground.place(&[
        "networks",
        known.network,
        "ipam",
        "config",
        &index,
        "subnet",
    ]);
    place.map(|span| (span.source, span.start))
}
