//! Networks against each other: parents, names, shims; and keys that a driver has no use for.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::diagnostic::Diagnostic;
use crate::file::cross::Ground;
use crate::model::name::LinkName;
use crate::model::network::{
    Driver, HostAddress, IpvlanFlag, MacvlanMode, Network, Parent, Shim, ShimRoutes,
};

/// Checks all networks.
pub fn check(ground: &mut Ground) {
    names(ground);
    bridges(ground);
    parents(ground);
    shared_shims(ground);
    for (key, network) in &ground.stack.networks {
        shim(ground, key.as_str(), network);
        without_effect(ground, key.as_str(), network);
    }
}

fn names(ground: &mut Ground) {
    let mut seen: HashMap<&str, &str> = HashMap::new();
    for (key, network) in &ground.stack.networks {
        let is_shared = network.external
            || matches!(
                network.driver,
                Driver::Host | Driver::None | Driver::DefaultBridge
            );
        match seen.get(network.name.as_str()) {
            Some(first) if !is_shared => {
                let message = format!(
                    "networks `{first}` and `{key}` have one name, `{}`",
                    network.name
                );
                let diagnostic = Diagnostic::error("duplicate-name", message)
                    .hint("give one of them another `name:`");
                let diagnostic =
                    ground.also(diagnostic, &["networks", first, "name"], "first used here");
                ground.tell(
                    diagnostic,
                    &["networks", key.as_str(), "name"],
                    "the same name again",
                );
            }
            Some(_) => {}
            None => drop(seen.insert(&network.name, key.as_str())),
        }
    }
    let mut seen: HashMap<&str, &str> = HashMap::new();
    for (key, volume) in &ground.stack.volumes {
        match seen.get(volume.name.as_str()) {
            Some(first) if !volume.external => {
                let message = format!(
                    "volumes `{first}` and `{key}` have one name, `{}`",
                    volume.name
                );
                let diagnostic = Diagnostic::warning("duplicate-name", message)
                    .hint("give one of them another `name:`, or use one volume");
                let diagnostic =
                    ground.also(diagnostic, &["volumes", first, "name"], "first used here");
                ground.tell(
                    diagnostic,
                    &["volumes", key.as_str(), "name"],
                    "the same name again",
                );
            }
            Some(_) => {}
            None => drop(seen.insert(&volume.name, key.as_str())),
        }
    }
}

/// The names that bridges are given on the host: each is a link of its own.
fn bridges(ground: &mut Ground) {
    const NAME: &str = "com.docker.network.bridge.name";
    let mut seen: HashMap<&str, &str> = HashMap::new();
    for (key, network) in &ground.stack.networks {
        let Some(name) = network.options.get(NAME).filter(|_| !network.external) else {
            continue;
        };
        let place = ["networks", key.as_str(), "driver_opts", NAME];
        if let Err(error) = name.parse::<LinkName>() {
            let message = format!("network `{key}`: {error}");
            let diagnostic = Diagnostic::error("bad-link-name", message);
            ground.tell(diagnostic, &place, "the name of the bridge on the host");
        } else if let Some(first) = seen.insert(name, key.as_str()) {
            let message = format!("networks `{first}` and `{key}` have one bridge, `{name}`");
            let diagnostic = Diagnostic::error("duplicate-name", message)
                .hint("give one of them another bridge name, or leave the name to the engine");
            let other = ["networks", first, "driver_opts", NAME];
            let diagnostic = ground.also(diagnostic, &other, "first used here");
            ground.tell(diagnostic, &place, "the same bridge again");
        }
    }
}

fn parents(ground: &mut Ground) {
    let mut users: HashMap<&str, (&str, &Network)> = HashMap::new();
    for (key, network) in &ground.stack.networks {
        let Some(parent) = &network.parent else {
            continue;
        };
        let link = parent.link().as_str();
        let Some((first, other)) = users.get(link).copied() else {
            users.insert(link, (key.as_str(), network));
            continue;
        };
        let (message, is_error) = match (&other.driver, &network.driver) {
            (Driver::Macvlan(MacvlanMode::Passthru), _)
            | (_, Driver::Macvlan(MacvlanMode::Passthru)) => (
                format!(
                    "networks `{first}` and `{key}` share the parent `{link}`, and passthru takes a parent over"
                ),
                true,
            ),
            (Driver::Macvlan(_), Driver::Macvlan(_)) => (
                format!(
                    "networks `{first}` and `{key}` share the parent `{link}`: older engines refuse a second macvlan network there"
                ),
                false,
            ),
            (Driver::Ipvlan(..), Driver::Ipvlan(..)) => (
                format!(
                    "networks `{first}` and `{key}` share the parent `{link}`: the engine has one ipvlan network on a parent"
                ),
                true,
            ),
            _ => (
                format!(
                    "networks `{first}` and `{key}` share the parent `{link}`: the kernel has no macvlan and ipvlan on one link"
                ),
                true,
            ),
        };
        let diagnostic = if is_error {
            Diagnostic::error("parent-shared", message)
        } else {
            Diagnostic::warning("parent-shared", message)
        };
        let diagnostic = diagnostic.hint(format!(
            "give one of them an 802.1Q link of its own, such as {link}.20, or use one network"
        ));
        let diagnostic = ground.also(
            diagnostic,
            &["networks", first, "parent"],
            "already used here",
        );
        ground.tell(
            diagnostic,
            &["networks", key.as_str(), "parent"],
            "used again here",
        );
    }
}

/// Shims that cannot be, or cannot help.
fn shim(ground: &mut Ground, key: &str, network: &Network) {
    let Some(shim) = &network.shim else { return };
    let path = ["networks", key, "shim"];
    if network.subnets().next().is_none() && !network.external {
        let message = format!(
            "network `{key}`: a shim needs an address, and there is no subnet to take one from"
        );
        let diagnostic = Diagnostic::error("no-subnet", message)
            .hint("add the wire's subnet: ipam: {config: [{subnet: 192.168.1.0/24}]}");
        ground.tell(diagnostic, &path, "");
    }
    shim_routes(ground, key, network, shim);
    shim_name(ground, key, network, shim);
    let families = |v4: bool| {
        shim.addresses
            .iter()
            .filter(|address| address.is_ipv4() == v4)
            .count()
    };
    if families(true) > 1 || families(false) > 1 {
        let message = format!("network `{key}`: a shim has at most one address of each family");
        ground.tell(
            Diagnostic::error("bad-shim", message).hint("keep one"),
            &["networks", key, "shim", "address"],
            "",
        );
    }
    let lan = network.parent.as_ref().and_then(|parent| {
        ground
            .stack
            .lans
            .values()
            .find(|lan| lan.parent == *parent.link())
    });
    let reflects = lan.is_some_and(|lan| lan.switch.reflect);
    let refused = match network.driver {
        Driver::Macvlan(MacvlanMode::Private) | Driver::Ipvlan(_, IpvlanFlag::Private) => Some((
            "no shim can help: in private mode siblings never hear each other",
            true,
        )),
        Driver::Macvlan(MacvlanMode::Passthru) => Some((
            "no shim can be: passthru takes the parent over and leaves no room for a sibling",
            true,
        )),
        Driver::Macvlan(MacvlanMode::Vepa) | Driver::Ipvlan(_, IpvlanFlag::Vepa)
            if lan.is_some() && !reflects =>
        {
            Some((
                "no shim can help: in vepa mode siblings meet in the switch, and this lan's does not reflect",
                true,
            ))
        }
        Driver::Macvlan(MacvlanMode::Vepa) | Driver::Ipvlan(_, IpvlanFlag::Vepa)
            if lan.is_none() =>
        {
            Some((
                "a shim only helps in vepa mode where the switch reflects frames (IEEE 802.1Qbg); few do",
                false,
            ))
        }
        _ => None,
    };
    if let Some((why, is_error)) = refused {
        let message = format!("network `{key}`: {why}");
        let diagnostic = if is_error {
            Diagnostic::error("shim-impossible", message)
        } else {
            Diagnostic::warning("shim-doubtful", message)
        };
        let diagnostic = diagnostic.hint("use mode bridge, or remove the shim");
        let diagnostic = ground.also(diagnostic, &["networks", key, "mode"], "the mode");
        ground.tell(diagnostic, &path, "");
    }
}

/// Networks on one parent have one shim, which has one name and one link-layer address.
fn shared_shims(ground: &mut Ground) {
    let mut first: HashMap<(&str, &str), (&str, String)> = HashMap::new();
    for (key, network) in &ground.stack.networks {
        let (Some(parent), Some(shim)) = (&network.parent, &network.shim) else {
            continue;
        };
        let link = parent.link().as_str();
        let name = shim.name.as_ref().map(ToString::to_string);
        let mac = shim.mac_address.as_ref().map(ToString::to_string);
        for (what, value) in [("name", name), ("mac_address", mac)] {
            let Some(value) = value else { continue };
            let (other, before) = first
                .entry((link, what))
                .or_insert_with(|| (key.as_str(), value.clone()));
            if *before == value {
                continue;
            }
            let message = format!(
                "networks `{other}` and `{key}` have one shim, as they share the parent `{link}`: its {what} cannot be both {before} and {value}"
            );
            let there = ["networks", other, "shim", what];
            let diagnostic = Diagnostic::error("shim-contradiction", message)
                .hint("write it with one of the two networks only");
            let diagnostic = ground.also(diagnostic, &there, "the one");
            ground.tell(
                diagnostic,
                &["networks", key.as_str(), "shim", what],
                "the other",
            );
        }
    }
}

/// Routes that are written out: what they would take, and where they cannot lead.
fn shim_routes(ground: &mut Ground, key: &str, network: &Network, shim: &Shim) {
    let path = ["networks", key, "shim", "routes"];
    let subnets: Vec<IpNet> = network.subnets().collect();
    let by_family = |address: IpAddr| {
        let mut all = subnets
            .iter()
            .map(IpNet::addr)
            .chain(shim.addresses.iter().copied());
        all.any(|other| other.is_ipv4() == address.is_ipv4())
    };
    if let ShimRoutes::List(list) = &shim.routes {
        // Two halves are a default route too.
        let mut sums = IpNet::aggregate(list);
        sums.retain(|sum| sum.prefix_len() == 0);
        for route in list {
            let (diagnostic, hint) = if sums.iter().any(|sum| sum.contains(route)) {
                let message = format!(
                    "network `{key}`: a route to {route} by the shim takes the host's way to everywhere else, with whoever is logged in from afar"
                );
                let hint = "name the prefixes of this network, or write `auto`";
                (Diagnostic::error("shim-route-default", message), hint)
            } else if !by_family(route.addr()) && !network.external {
                let message = format!(
                    "network `{key}`: the route to {route} needs an address of its family, and the network has no such subnet"
                );
                let hint = "give the network a subnet of that family, or leave the route out";
                (Diagnostic::error("shim-route-family", message), hint)
            } else if !network.external && !subnets.iter().any(|subnet| subnet.contains(route)) {
                let message = format!(
                    "network `{key}`: the route to {route} leads out of the network's subnets: nobody there answers for it"
                );
                let hint = "name prefixes of the network's own subnets, or write `auto`";
                (Diagnostic::warning("shim-route-outside", message), hint)
            } else {
                continue;
            };
            ground.tell(diagnostic.hint(hint), &path, "");
        }
    }
    let has_v6 = subnets.iter().any(|subnet| subnet.addr().is_ipv6());
    if shim.host_address == HostAddress::Reachable && has_v6 {
        let message = format!(
            "network `{key}`: `host_address: reachable` is for IPv4; the host's IPv6 address on the parent stays out of the containers' reach"
        );
        let diagnostic = Diagnostic::warning("host-address-ipv6", message)
            .hint("use the shim's own IPv6 address from the containers");
        ground.tell(diagnostic, &["networks", key, "shim", "host_address"], "");
    }
}

/// The shim is a link of its own beside the parent.
fn shim_name(ground: &mut Ground, key: &str, network: &Network, shim: &Shim) {
    let parents = network.parent.iter().map(Parent::link);
    let lans = ground.stack.lans.values().map(|lan| &lan.parent);
    let Some(name) = &shim.name else { return };
    if parents.chain(lans).any(|parent| parent == name) {
        let message = format!(
            "network `{key}`: the shim cannot have the name `{name}`, which a parent link has"
        );
        let diagnostic = Diagnostic::error("duplicate-name", message)
            .hint("give the shim another name, or leave the name out");
        ground.tell(diagnostic, &["networks", key, "shim", "name"], "");
    }
}

fn without_effect(ground: &mut Ground, key: &str, network: &Network) {
    let kind = match network.driver {
        Driver::Host => "the host's own namespace",
        Driver::None => "no network",
        Driver::DefaultBridge => "the engine's default bridge",
        Driver::Bridge
        | Driver::Macvlan(_)
        | Driver::Ipvlan(..)
        | Driver::Overlay
        | Driver::Plugin(_) => return,
    };
    for name in [
        "driver_opts",
        "ipam",
        "internal",
        "attachable",
        "labels",
        "enable_ipv4",
        "enable_ipv6",
    ] {
        if ground
            .document
            .key_place(&["networks", key, name])
            .is_some()
        {
            let message = format!(
                "network `{key}` is {kind}, which is not made here: `{name}` has no effect"
            );
            let diagnostic =
                Diagnostic::warning("key-without-effect", message).hint(format!("remove `{name}`"));
            ground.tell(diagnostic, &["networks", key, name], "");
        }
    }
}
