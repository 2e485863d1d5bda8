//! Fixed addresses of services and shims: inside a subnet, free, given once, and out of the way of what is handed out
//! automatically.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::diagnostic::Diagnostic;
use crate::file::cross::course::in_turn;
use crate::file::cross::{Ground, fixed, pool_of, reserved};
use crate::model::name::ServiceName;
use crate::model::network::{Driver, IpvlanMode, Network, Parent};
use crate::model::service::Service;

/// Who has an address: a path in the file, and words for it.
struct Holder {
    path: Vec<String>,
    words: String,
    /// None where it is no service of the file.
    service: Option<ServiceName>,
}

/// Who has an address of a wire.
type Holders = HashMap<(String, IpAddr), Vec<Holder>>;

/// How many of those that have one address in turn are looked at for each further one.
const MOST_COMPARED: usize = 16;

/// Checks all fixed addresses.
pub fn check(ground: &mut Ground) {
    let mut holders = Holders::new();
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
            if service.scale > 0 {
                let holder = Holder::of(&path, words, Some(&service.name));
                claim(ground, network, address, holder, &mut holders);
            }
        }
    }
    for (key, network) in &ground.stack.networks {
        let Some(shim) = &network.shim else { continue };
        for (index, address) in shim.addresses.iter().enumerate() {
            let index = index.to_string();
            let path = ["networks", key.as_str(), "shim", "address", &index];
            let words = format!("the shim of network `{key}`");
            station(ground, network, *address, &path, &words);
            let holder = Holder::of(&path, words, None);
            claim(ground, network, *address, holder, &mut holders);
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

fn lan_machines(ground: &mut Ground, holders: &mut Holders) {
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
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let holder = Holder::of(&path, words, None);
            hold(ground, (wire.clone(), address), holder, holders);
        }
    }
}

impl Holder {
    fn of(path: &[&str], words: String, service: Option<&ServiceName>) -> Holder {
        Holder {
            path: path.iter().map(|step| (*step).to_owned()).collect(),
            words,
            service: service.cloned(),
        }
    }
}

fn twice(ground: &mut Ground, address: IpAddr, holder: &Holder, other: &Holder) {
    let message = format!(
        "{} and {} have one address, {address}",
        holder.words, other.words
    );
    let diagnostic = match turn(ground, holder, other) {
        Some((job, later)) => in_turn("duplicate-address", &message, job, later),
        None => {
            Diagnostic::error("duplicate-address", message).hint("give one of them another address")
        }
    };
    let other: Vec<&str> = other.path.iter().map(String::as_str).collect();
    let diagnostic = ground.also(diagnostic, &other, "first given here");
    let path: Vec<&str> = holder.path.iter().map(String::as_str).collect();
    ground.tell(diagnostic, &path, "the same address again");
}

/// Of two holders the job that has ended before the other starts, and that other.
fn turn<'h>(
    ground: &Ground,
    one: &'h Holder,
    two: &'h Holder,
) -> Option<(&'h ServiceName, &'h ServiceName)> {
    ground
        .course
        .in_turn(one.service.as_ref()?, two.service.as_ref()?)
}

fn claim(
    ground: &mut Ground,
    network: &Network,
    address: IpAddr,
    holder: Holder,
    holders: &mut Holders,
) {
    hold(ground, (wire(network), address), holder, holders);
}

fn hold(ground: &mut Ground, at: (String, IpAddr), holder: Holder, holders: &mut Holders) {
    let address = at.1;
    let there = holders.entry(at).or_default();
    // One that has the address at the same time weighs more than a job that has ended.
    let other = there
        .iter()
        .take(MOST_COMPARED)
        .min_by_key(|other| turn(ground, &holder, other).is_some());
    if let Some(other) = other {
        twice(ground, address, &holder, other);
    }
    there.push(holder);
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
