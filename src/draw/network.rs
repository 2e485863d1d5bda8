//! Networks on their way into a scene: which of the three kinds of ground carries one, and how it is worded.

use crate::draw::scene::{Bridge, Card, Lan, Machine, Network, Other, Pool, Scene, Shim, Wire};
use crate::model::lan::LanHost;
use crate::plan::observed::LinkFact;
use crate::plan::spec::{LanSpec, NetworkSpec, ShimKind, ShimSpec};

/// Options that a picture shows by other means than their own line.
const SHOWN: &[&str] = &["parent", "macvlan_mode", "ipvlan_mode", "ipvlan_flag"];

/// The options that only the engine's default bridge has, and that say so of it.
const OF_DEFAULT_BRIDGE: &str = "com.docker.network.bridge.default_bridge";

/// Words for a network.
pub fn network(spec: &NetworkSpec) -> Network {
    let option = |name: &str| spec.options.get(name).map(String::as_str);
    let driver = match spec.driver.as_str() {
        "macvlan" => format!("macvlan {}", option("macvlan_mode").unwrap_or("bridge")),
        "ipvlan" => {
            let mode = option("ipvlan_mode").unwrap_or("l2");
            match option("ipvlan_flag") {
                Some(flag) if flag != "bridge" => format!("ipvlan {mode} {flag}"),
                Some(_) | None => format!("ipvlan {mode}"),
            }
        }
        other => other.to_owned(),
    };
    let is_default = spec.options.contains_key(OF_DEFAULT_BRIDGE);
    let shown = |name: &str| SHOWN.contains(&name) || is_default;
    let traits = [
        (spec.internal, "internal"),
        (spec.attachable, "attachable"),
        (spec.enable_ipv6, "IPv6"),
        (is_default, "the engine's default"),
    ];
    Network {
        name: spec.name.clone(),
        driver,
        pools: spec
            .pools
            .iter()
            .map(|pool| Pool {
                subnet: pool.subnet,
                range: pool.ip_range,
                gateway: pool.gateway,
                reserved: pool
                    .aux_addresses
                    .iter()
                    .map(|(name, address)| (name.clone(), *address))
                    .collect(),
            })
            .collect(),
        options: spec
            .options
            .iter()
            .filter(|(name, _)| !shown(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        traits: traits
            .into_iter()
            .filter_map(|(is, word)| is.then_some(word))
            .collect(),
    }
}

/// Words for a link of the host.
pub fn card(link: &LinkFact) -> Card {
    let remarks = [
        (!link.up, "down"),
        (link.up && !link.carrier, "no carrier"),
        (link.promiscuous_flag, "promiscuous"),
    ];
    Card {
        name: link.name.clone(),
        mac: link.mac,
        addresses: link.addresses.clone(),
        remarks: remarks
            .into_iter()
            .filter_map(|(is, word)| is.then_some(word))
            .collect(),
    }
}

/// Words for the kind of a shim.
pub fn kind(kind: ShimKind) -> String {
    match kind {
        ShimKind::Macvlan(mode) => format!("macvlan {mode}"),
        ShimKind::Ipvlan(mode, flag) => format!("ipvlan {mode} {flag}"),
    }
}

/// A shim as its spec says.
pub fn shim(spec: &ShimSpec) -> Shim {
    Shim {
        card: Card {
            name: spec.name.to_string(),
            mac: spec.mac,
            addresses: spec.addresses.iter().map(|one| (*one).into()).collect(),
            remarks: Vec::new(),
        },
        kind: kind(spec.kind),
        routes: spec.routes.iter().map(|route| route.destination).collect(),
        follows: Vec::new(),
    }
}

/// A lan as its spec says.
pub fn lan(spec: &LanSpec) -> Lan {
    let lan = &spec.lan;
    Lan {
        name: lan.name.to_string(),
        switch: lan.switch,
        router: lan.gateways.clone(),
        nat: lan.nat,
        machines: lan
            .hosts
            .iter()
            .map(|(name, LanHost { addresses, vlan })| Machine {
                name: name.to_string(),
                addresses: addresses.clone(),
                vlan: vlan.map(|id| id.number()),
            })
            .collect(),
    }
}

impl Scene {
    /// Adds a network where it belongs. `parent` is the link it sits on, where it sits on one.
    pub fn add(&mut self, network: Network, driver: &str, parent: Option<&str>) {
        match (driver, parent) {
            ("bridge", _) => self.bridges.push(Bridge {
                network,
                link: None,
                joints: Vec::new(),
            }),
            (_, Some(parent)) => self.wire(parent).networks.push(network),
            (_, None) => self.others.push(Other {
                network,
                joints: Vec::new(),
            }),
        }
    }

    /// The wire on this parent, made if it is not there.
    pub fn wire(&mut self, parent: &str) -> &mut Wire {
        let at = match self
            .wires
            .iter()
            .position(|wire| wire.parent.name == parent)
        {
            Some(at) => at,
            None => {
                self.wires.push(Wire {
                    parent: Card {
                        name: parent.to_owned(),
                        ..Card::default()
                    },
                    vlan: None,
                    lan: None,
                    networks: Vec::new(),
                    shims: Vec::new(),
                    joints: Vec::new(),
                });
                self.wires.len() - 1
            }
        };
        &mut self.wires[at]
    }
}
