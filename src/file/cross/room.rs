//! More containers in a network than it has addresses: the engine would tell the last of them, after the others run.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::diagnostic::Diagnostic;
use crate::file::cross::addresses::implied_gateway;
use crate::file::cross::{Ground, fixed, listed, reserved};
use crate::model::name::NetworkName;
use crate::model::network::{Driver, Network, Pool};

/// Who asks a network for addresses of one family.
#[derive(Default)]
struct Demand<'a> {
    /// How many containers have the engine choose.
    automatic: u128,
    services: Vec<&'a str>,
    /// Addresses that services have fixed.
    fixed: BTreeSet<IpAddr>,
}

/// Checks all networks whose subnets the file gives.
pub fn check(ground: &mut Ground) {
    for v4 in [true, false] {
        let demands = demands(ground, v4);
        for (key, demand) in demands {
            if let Some(network) = ground.stack.networks.get(key)
                && is_counted(network, v4)
            {
                one(ground, network, &demand, v4);
            }
        }
    }
}

fn demands<'a>(ground: &Ground<'a>, v4: bool) -> BTreeMap<&'a NetworkName, Demand<'a>> {
    let mut demands: BTreeMap<&NetworkName, Demand> = BTreeMap::new();
    for (service, key, attachment) in ground.attachments() {
        // No container of it is there, or none when all others are.
        if service.scale == 0 || ground.course.is_job(service) {
            continue;
        }
        let demand = demands.entry(key).or_default();
        match fixed(attachment).find(|(_, address)| address.is_ipv4() == v4) {
            Some((_, address)) => drop(demand.fixed.insert(address)),
            None => {
                demand.automatic += u128::from(service.scale);
                demand.services.push(service.name.as_str());
            }
        }
    }
    demands
}

/// Whether the engine gives out addresses of the family by this file.
fn is_counted(network: &Network, v4: bool) -> bool {
    let is_made = match network.driver {
        Driver::Bridge | Driver::Macvlan(_) | Driver::Ipvlan(..) | Driver::Overlay => true,
        Driver::DefaultBridge | Driver::Host | Driver::None | Driver::Plugin(_) => false,
    };
    let driver = network.ipam.driver.as_deref().unwrap_or("default");
    let family = if v4 {
        network.enable_ipv4 != Some(false)
    } else {
        network.enable_ipv6 == Some(true)
    };
    is_made && !network.external && driver == "default" && family
}

fn one(ground: &mut Ground, network: &Network, demand: &Demand, v4: bool) {
    let key = network.key.as_str();
    let pools: Vec<(usize, &Pool, IpNet)> = network
        .ipam
        .pools
        .iter()
        .enumerate()
        .filter_map(|(index, pool)| Some((index, pool, pool.subnet?.trunc())))
        .filter(|(_, _, subnet)| matches!(subnet, IpNet::V4(_)) == v4)
        .collect();
    let room = |(_, pool, subnet): &(usize, &Pool, IpNet)| free(network, pool, *subnet, demand);
    let total = pools.iter().map(room).fold(0u128, u128::saturating_add);
    let Some((index, pool, subnet)) = pools.first().copied() else {
        return;
    };
    if demand.automatic <= total {
        return;
    }
    let (name, prefix) = match pool.ip_range {
        Some(range) => ("ip_range", range.trunc()),
        None => ("subnet", subnet),
    };
    let more = demand.automatic - total;
    let message = format!(
        "network `{key}`: {prefix} has {total} addresses for containers, and {} to have one",
        match demand.automatic {
            1 => "1 container is".to_owned(),
            many => format!("{many} containers are"),
        }
    );
    let wanted = size(prefix).saturating_add(more);
    let length = prefix.max_prefix_len() - wanted.next_power_of_two().ilog2().min(31) as u8;
    let hint = if length < subnet.prefix_len() {
        format!("give the network a subnet of /{length} or wider")
    } else {
        format!("widen the range to /{length}, or leave it out: the subnet is {subnet}")
    };
    let index = index.to_string();
    let mut diagnostic = Diagnostic::error("no-room", message).hint(hint);
    let services = demand.services.iter().take(5).copied();
    diagnostic = diagnostic.note(format!(
        "asked for by {}{}{}",
        if demand.services.len() == 1 {
            "service "
        } else {
            "services "
        },
        listed(services),
        if demand.services.len() > 5 {
            " and others"
        } else {
            ""
        }
    ));
    ground.tell(
        diagnostic,
        &["networks", key, "ipam", "config", &index, name],
        "no available addresses on this pool",
    );
}

fn size(prefix: IpNet) -> u128 {
    1u128
        .checked_shl(u32::from(prefix.max_prefix_len() - prefix.prefix_len()))
        .unwrap_or(u128::MAX)
}

/// How many addresses the engine can choose in a pool.
fn free(network: &Network, pool: &Pool, subnet: IpNet, demand: &Demand) -> u128 {
    let range = pool.ip_range.unwrap_or(subnet).trunc();
    let mut taken: BTreeSet<IpAddr> = [subnet.network(), subnet.broadcast()]
        .into_iter()
        .filter(|address| reserved(subnet, *address).is_some())
        .collect();
    taken.extend(pool.gateway);
    taken.extend(pool.aux_addresses.values());
    taken.extend(&demand.fixed);
    taken.extend(network.shim.iter().flat_map(|shim| &shim.addresses));
    let mut gone = taken
        .iter()
        .filter(|address| range.contains(*address))
        .count() as u128;
    let has_gateway = match network.driver {
        Driver::Bridge => pool.gateway.is_none(),
        // What an internal network on a parent does without a gateway differs between engines.
        _ => !network.internal && implied_gateway(network, pool.gateway, None, subnet).is_some(),
    };
    gone += u128::from(has_gateway);
    // A shim that chooses its address itself leaves the range alone where there is one.
    let chooses = network
        .shim
        .as_ref()
        .is_some_and(|shim| shim.addresses.is_empty());
    gone += u128::from(chooses && pool.ip_range.is_none());
    size(range).saturating_sub(gone)
}
