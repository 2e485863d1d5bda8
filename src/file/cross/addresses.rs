//! Fixed addresses of services and shims: inside a subnet, free, given once, and out of the way of what is handed out
//! automatically.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::diagnostic::Diagnostic;
use crate::file::cross::{Ground, fixed, pool_of, reserved};
use crate::model::network::{Driver, IpvlanMode, Network, Parent};
use crate::model::service::Service;

/// Who has an address: a path in the file, and words for it.
#[derive(Clone)]
struct Holder {
    path: Vec<String>,
    words: String,
}

/// Checks all fixed addresses.
pub fn check(ground: &mut Ground) {
    let mut holders: HashMap<(String, IpAddr), Holder> = HashMap::new();
    lan_machines(ground, &mut holders);
    for (service, key, attachment) in ground.attachments() {
        let Some(network) = ground.stack.networks.get(key) else {
            continue;
        };
        for (name, address) in fixed(attachment) {
            let path = [
                "services",
                service.name.as_str(),
                "networks",
                key.as_str(),
                name,
            ];
            let words = format!("service `{}`", service.name);
            station(ground, network, address, &path, &words);
            replicas(ground, service, &path, address);
            claim(ground, network, address, &path, words, &mut holders);
        }
    }
    for (key, network) in &ground.stack.networks {
        let Some(shim) = &network.shim else { continue };
        for (index, address) in shim.addresses.iter().enumerate() {
            let index = index.to_string();
            let path = ["networks", key.as_str(), "shim", "address", &index];
            let words = format!("the shim of network `{key}`");
            station(ground, network, *address, &path, &words);
            claim(ground, network, *address, &path, words, &mut holders);
        }
    }
}

/// On which wire an address is: that of a parent, as several networks and a lan may share one, or the network itself.
fn wire(network: &Network) -> String {
    match &network.parent {
        Some(Parent::Link(link)) => format!("link/{link}"),
        Some(Parent::Vlan { name, .. }) => format!("link/{name}"),
        None => format!("network/{}", network.key),
    }
}

fn lan_machines(ground: &mut Ground, holders: &mut HashMap<(String, IpAddr), Holder>) {
    for (key, lan) in &ground.stack.lans {
        let wire = format!("link/{}", lan.parent);
        let mut all: Vec<(IpAddr, Vec<String>, String)> = Vec::new();
        let path = |rest: &[&str]| {
            ["lans", key.as_str()]
                .iter()
                .chain(rest)
                .map(|step| (*step).to_owned())
                .collect::<Vec<_>>()
        };
        for (index, address) in lan.gateways.iter().enumerate() {
            all.push((
                *address,
                path(&["gateway", &index.to_string()]),
                format!("the router of lan `{key}`"),
            ));
        }
        for (index, address) in lan.addresses.iter().enumerate() {
            all.push((
                *address,
                path(&["address", &index.to_string()]),
                format!("the host on lan `{key}`"),
            ));
        }
        for (name, host) in lan.hosts.iter().filter(|(_, host)| host.vlan.is_none()) {
            for address in &host.addresses {
                all.push((
                    address.addr(),
                    path(&["hosts", name.as_str()]),
                    format!("machine `{name}` of lan `{key}`"),
                ));
            }
        }
        for (address, path, words) in all {
            let at = (wire.clone(), address);
            if let Some(other) = holders.get(&at).cloned() {
                twice(ground, address, &path, &words, &other);
                continue;
            }
            holders.insert(at, Holder { path, words });
        }
    }
}

fn twice(ground: &mut Ground, address: IpAddr, path: &[String], words: &str, other: &Holder) {
    let message = format!("{words} and {} have one address, {address}", other.words);
    let diagnostic =
        Diagnostic::error("duplicate-address", message).hint("give one of them another address");
    let other: Vec<&str> = other.path.iter().map(String::as_str).collect();
    let diagnostic = ground.also(diagnostic, &other, "first given here");
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    ground.tell(diagnostic, &path, "the same address again");
}

fn claim(
    ground: &mut Ground,
    network: &Network,
    address: IpAddr,
    path: &[&str],
    words: String,
    holders: &mut HashMap<(String, IpAddr), Holder>,
) {
    let path: Vec<String> = path.iter().map(|step| (*step).to_owned()).collect();
    let at = (wire(network), address);
    match holders.get(&at).cloned() {
        Some(other) => twice(ground, address, &path, &words, &other),
        None => drop(holders.insert(at, Holder { path, words })),
    }
}

/// Whether an address can be that of a station in its network.
fn station(ground: &mut Ground, network: &Network, address: IpAddr, path: &[&str], words: &str) {
    let key = network.key.as_str();
    if network.external && network.subnets().next().is_none() {
        return;
    }
    if matches!(
        network.driver,
        Driver::Host | Driver::None | Driver::DefaultBridge
    ) {
        // Told with the mode: no endpoint there has settings.
        return;
    }
    let other_driver = network
        .ipam
        .driver
        .as_deref()
        .is_some_and(|driver| driver != "default");
    let Some((index, pool, subnet)) = pool_of(network, address) else {
        if other_driver && network.subnets().next().is_none() {
            return;
        }
        outside(ground, network, address, path, words);
        return;
    };
    let index = index.to_string();
    let config = |name: &'static str| ["networks", key, "ipam", "config", &*index, name];
    if let Some(why) = reserved(subnet, address) {
        let message = format!("{words}: {address} is {why} in {}", subnet.trunc());
        let diagnostic = Diagnostic::error("reserved-address", message)
            .hint("choose another address of the subnet");
        let diagnostic = ground.also(diagnostic, &config("subnet"), "the subnet");
        ground.tell(diagnostic, path, "no station can have it");
    }
    if pool.gateway == Some(address) {
        let message = format!("{words}: {address} is the gateway of network `{key}`");
        let diagnostic = Diagnostic::error("duplicate-address", message)
            .hint("choose another address of the subnet");
        let diagnostic = ground.also(diagnostic, &config("gateway"), "the gateway");
        ground.tell(diagnostic, path, "the same address");
    } else if implied_gateway(network, pool.gateway, pool.ip_range, subnet) == Some(address) {
        let message = format!(
            "{words}: the engine takes {address} as the gateway of network `{key}`, as none is given"
        );
        let diagnostic = Diagnostic::error("duplicate-address", message)
            .hint("choose another address, or say what the gateway is: gateway: …");
        let diagnostic = ground.also(
            diagnostic,
            &config("subnet"),
            "the subnet, without a gateway",
        );
        ground.tell(diagnostic, path, "the first address of the subnet");
    }
    let is_shim = path.first() == Some(&"networks");
    for (name, reserved) in &pool.aux_addresses {
        if *reserved == address && !is_shim {
            let message = format!("{words}: {address} is reserved for `{name}` in network `{key}`");
            let diagnostic = Diagnostic::error("duplicate-address", message)
                .hint("choose another address, or remove it from aux_addresses");
            let other = [
                "networks",
                key,
                "ipam",
                "config",
                &index,
                "aux_addresses",
                name,
            ];
            let diagnostic = ground.also(diagnostic, &other, "reserved here");
            ground.tell(diagnostic, path, "the same address");
        }
    }
    let kept_out = pool
        .aux_addresses
        .values()
        .any(|reserved| *reserved == address);
    if let Some(range) = pool
        .ip_range
        .filter(|range| range.contains(&address) && !is_shim && !kept_out)
    {
        let message = format!(
            "{words}: {address} lies in the ip_range {}, from which the engine hands addresses out",
            range.trunc()
        );
        let diagnostic = Diagnostic::warning("address-in-range", message)
            .hint("choose one outside the range: a container without a fixed address may take this one first, as after a reboot");
        let diagnostic = ground.also(diagnostic, &config("ip_range"), "handed out automatically");
        ground.tell(diagnostic, path, "");
    }
}

fn outside(ground: &mut Ground, network: &Network, address: IpAddr, path: &[&str], words: &str) {
    let key = network.key.as_str();
    let subnets: Vec<String> = network
        .subnets()
        .map(|subnet| subnet.trunc().to_string())
        .collect();
    if subnets.is_empty() {
        let message = format!("{words}: {address} needs a subnet, and network `{key}` has none");
        let diagnostic = Diagnostic::error("no-subnet", message)
            .hint("user specified IP address is supported only when connecting to networks with user configured subnets: add ipam: {config: [{subnet: …}]}");
        let diagnostic = ground.also(diagnostic, &["networks", key], "no subnet here");
        ground.tell(diagnostic, path, "");
        return;
    }
    let message = format!(
        "{words}: {address} is outside network `{key}`, which is {}",
        subnets.join(" and ")
    );
    let mut diagnostic = Diagnostic::error("outside-subnet", message)
        .hint(format!("choose an address in {}", subnets.join(" or ")));
    for index in 0..network.ipam.pools.len().min(2) {
        let index = index.to_string();
        diagnostic = ground.also(
            diagnostic,
            &["networks", key, "ipam", "config", &index, "subnet"],
            "the subnet",
        );
    }
    ground.tell(
        diagnostic,
        path,
        "it does not belong to any of this network's subnets",
    );
}

/// What the engine takes as the gateway where none is given and no range says where to look.
pub fn implied_gateway(
    network: &Network,
    gateway: Option<IpAddr>,
    range: Option<IpNet>,
    subnet: IpNet,
) -> Option<IpAddr> {
    if gateway.is_some() || range.is_some() || network.external {
        return None;
    }
    match network.driver {
        Driver::Bridge
        | Driver::Overlay
        | Driver::Macvlan(_)
        | Driver::Ipvlan(IpvlanMode::L2, _) => subnet.trunc().hosts().next(),
        Driver::Ipvlan(IpvlanMode::L3 | IpvlanMode::L3s, _)
        | Driver::DefaultBridge
        | Driver::Host
        | Driver::None
        | Driver::Plugin(_) => None,
    }
}

fn replicas(ground: &mut Ground, service: &Service, path: &[&str], address: IpAddr) {
    if service.scale < 2 {
        return;
    }
    let name = service.name.as_str();
    let message = format!(
        "service `{name}` has {} containers and one fixed address, {address}",
        service.scale
    );
    let diagnostic = Diagnostic::error("address-for-replicas", message)
        .hint("remove the address, or run one container of the service");
    let diagnostic = scale_place(ground, diagnostic, name, service.scale);
    ground.tell(diagnostic, path, "only the first container can have it");
}

/// Adds the place that asks for several containers.
pub fn scale_place(ground: &Ground, diagnostic: Diagnostic, name: &str, scale: u32) -> Diagnostic {
    let key = ["services", name, "scale"];
    let deployed = ["services", name, "deploy", "replicas"];
    let path: &[&str] = if ground.document.key_place(&key).is_some() {
        &key
    } else {
        &deployed
    };
    ground.also(diagnostic, path, &format!("{scale} containers"))
}
