//! The networks of the scene: bridges with the host's end, wires of parents, tunnels.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::network::{Driver, IpvlanFlag, IpvlanMode, MacvlanMode, Network};
use crate::plan::spec::{NetworkSpec, PoolSpec, Spec};
use crate::reach::scene::address::{Allocator, placeholder4, placeholder6};
use crate::reach::scene::draft::Draft;
use crate::reach::scene::{
    BridgeTraits, GatewayMode, HOST, Link, NetworkFact, NodeKind, Resolver, Role, Route, SegmentId,
    SegmentKind, WireTraits,
};

/// The engine's name of its default bridge.
pub const DEFAULT_BRIDGE: &str = "bridge";

/// The bridge that gives overlay containers their way out.
pub const GATEWAY_BRIDGE: &str = "docker_gwbridge";

/// Adds every network that something could be attached to.
pub fn add(draft: &mut Draft) {
    add_default_bridge(draft);
    let made: Vec<NetworkSpec> = draft
        .desired
        .specs
        .values()
        .filter_map(|spec| match spec.as_ref() {
            Spec::Network(network) => Some(network.clone()),
            _ => None,
        })
        .collect();
    for spec in made {
        add_network(draft, &spec);
    }
    let others: Vec<NetworkSpec> = draft
        .stack
        .networks
        .values()
        .filter(|network| network.external && is_engine_network(network))
        .map(|network| external(draft, network))
        .collect();
    for spec in others {
        add_network(draft, &spec);
    }
    if draft
        .scene
        .networks
        .values()
        .any(|network| network.role == Role::Tunnel)
    {
        add_network(draft, &gateway_bridge());
    }
}

fn is_engine_network(network: &Network) -> bool {
    match network.driver {
        Driver::DefaultBridge | Driver::Host | Driver::None => false,
        Driver::Bridge | Driver::Overlay | Driver::Plugin(_) => true,
        Driver::Macvlan(_) | Driver::Ipvlan(..) => true,
    }
}

/// A network that somebody else made: as the engine tells it, or as the file describes it.
fn external(draft: &Draft, network: &Network) -> NetworkSpec {
    let found = draft
        .observed
        .networks
        .iter()
        .find(|found| found.spec.name == network.name);
    if let Some(found) = found {
        return NetworkSpec {
            key: network.key.clone(),
            ..found.spec.clone()
        };
    }
    let mut options: BTreeMap<String, String> = network.options.clone().into_iter().collect();
    if let Some(parent) = &network.parent {
        options.insert("parent".to_owned(), parent.link().to_string());
    }
    match &network.driver {
        Driver::Macvlan(mode) => {
            options.insert("macvlan_mode".to_owned(), mode.word().to_owned());
        }
        Driver::Ipvlan(mode, flag) => {
            options.insert("ipvlan_mode".to_owned(), mode.word().to_owned());
            options.insert("ipvlan_flag".to_owned(), flag.word().to_owned());
        }
        Driver::Bridge | Driver::DefaultBridge | Driver::Host | Driver::None => {}
        Driver::Overlay | Driver::Plugin(_) => {}
    }
    NetworkSpec {
        name: network.name.clone(),
        key: network.key.clone(),
        driver: network.driver.engine_name().to_owned(),
        options,
        ipam_driver: network.ipam.driver.clone(),
        ipam_options: BTreeMap::new(),
        pools: network
            .ipam
            .pools
            .iter()
            .map(|pool| PoolSpec {
                subnet: pool.subnet.map(|subnet| subnet.trunc()),
                ip_range: pool.ip_range.map(|range| range.trunc()),
                gateway: pool.gateway,
                aux_addresses: pool.aux_addresses.clone().into_iter().collect(),
            })
            .collect(),
        internal: network.internal,
        attachable: network.attachable,
        enable_ipv4: network.enable_ipv4,
        enable_ipv6: network.enable_ipv6.unwrap_or(false),
        labels: BTreeMap::new(),
    }
}

fn bare(name: &str, options: BTreeMap<String, String>, pools: Vec<PoolSpec>) -> NetworkSpec {
    NetworkSpec {
        name: name.to_owned(),
        key: name
            .parse()
            .expect("the engine's own names are letters and underscores"),
        driver: "bridge".to_owned(),
        options,
        ipam_driver: None,
        ipam_options: BTreeMap::new(),
        pools,
        internal: false,
        attachable: false,
        enable_ipv4: None,
        enable_ipv6: false,
        labels: BTreeMap::new(),
    }
}

fn add_default_bridge(draft: &mut Draft) {
    let facts = &draft.scene.facts.default_bridge;
    let options = BTreeMap::from(
        [
            (
                "com.docker.network.bridge.enable_icc",
                facts.icc.to_string(),
            ),
            ("com.docker.network.bridge.name", "docker0".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    let pool = PoolSpec {
        subnet: Some(facts.subnet),
        ip_range: None,
        gateway: Some(facts.gateway),
        aux_addresses: BTreeMap::new(),
    };
    add_network(draft, &bare(DEFAULT_BRIDGE, options, vec![pool]));
}

// The engine makes it with inter-container talk off (`libnetwork`, default_gateway.go).
fn gateway_bridge() -> NetworkSpec {
    let options = BTreeMap::from(
        [
            ("com.docker.network.bridge.enable_icc", "false"),
            ("com.docker.network.bridge.name", GATEWAY_BRIDGE),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    bare(GATEWAY_BRIDGE, options, Vec::new())
}

/// The network of the container that stands for all other projects.
pub const OTHER: &str = "another_project";

/// Adds a container on a bridge network of its own, as every other project of the engine has one.
pub fn add_other(draft: &mut Draft) {
    let name = [(
        "com.docker.network.bridge.name",
        "the bridge of another project",
    )];
    let options = name.map(|(key, value)| (key.to_owned(), value.to_owned()));
    add_network(draft, &bare(OTHER, BTreeMap::from(options), Vec::new()));
    let Some(fact) = draft.scene.networks.get(OTHER).cloned() else {
        return;
    };
    let pool = fact.subnets.first().map(|subnet| PoolSpec {
        subnet: Some(*subnet),
        ip_range: None,
        gateway: None,
        aux_addresses: BTreeMap::new(),
    });
    let free = draft.allocators.get_mut(OTHER).zip(pool);
    let Some(address) = free.and_then(|(free, pool)| free.next(&pool)) else {
        return;
    };
    let node = draft.node("another project", NodeKind::Container, Resolver::Embedded);
    draft.scene.nodes[node].networks.push(OTHER.to_owned());
    let prefix = fact
        .subnets
        .first()
        .and_then(|subnet| IpNet::new(address, subnet.prefix_len()).ok());
    let link = Link {
        name: "eth0".to_owned(),
        segment: Some(fact.segment),
        role: Role::Port,
        addresses: prefix.into_iter().collect(),
        network: Some(OTHER.to_owned()),
    };
    let link = draft.link(node, link);
    draft.route(
        node,
        Route {
            destination: IpNet::V4(ipnet::Ipv4Net::default()),
            via: fact.gateways.first().copied(),
            link,
            source: Some(address),
        },
    );
    draft.scene.other = Some(node);
}

fn add_network(draft: &mut Draft, spec: &NetworkSpec) {
    if draft.scene.networks.contains_key(&spec.name) {
        return;
    }
    let number = u8::try_from(draft.scene.networks.len() % 200).unwrap_or(0);
    let pools = pools(draft, spec, number);
    let role = role(spec);
    let segment = segment(draft, spec, role);
    let mut allocator = Allocator::default();
    let (mut gateways, mut assumed) = (Vec::new(), Vec::new());
    let mut host_end = Vec::new();
    let mut reserved = BTreeMap::new();
    for pool in &pools {
        let Some(subnet) = pool.subnet else { continue };
        for (name, address) in &pool.aux_addresses {
            allocator.reserve(*address);
            reserved.insert(name.clone(), *address);
        }
        let is_on_wire = matches!(role, Role::Macvlan(_) | Role::Ipvlan(..));
        // Since 28 none is set aside for networks of a wire that have no default route through one.
        let through_link = matches!(role, Role::Ipvlan(IpvlanMode::L3 | IpvlanMode::L3s, _));
        let without = role != Role::Bridge && (!is_on_wire || spec.internal || through_link);
        let chosen = (!without || draft.scene.facts.engine.0 < 28).then(|| first_address(pool));
        let gateway = pool.gateway.or_else(|| chosen.flatten());
        if let Some(gateway) = gateway {
            allocator.reserve(gateway);
            if is_on_wire && pool.gateway.is_none() {
                assumed.push(gateway);
            }
            gateways.push(gateway);
            if let Ok(prefix) = IpNet::new(gateway, subnet.prefix_len()) {
                host_end.push(prefix);
            }
        }
    }
    let key = spec.key.to_string();
    let subnets: Vec<IpNet> = pools.iter().filter_map(|pool| pool.subnet).collect();
    if role == Role::Bridge {
        let trusted = spec
            .options
            .get("com.docker.network.bridge.trusted_host_interfaces");
        let known = draft.scene.facts.engine.0 >= 28;
        for link in trusted
            .into_iter()
            .flat_map(|list| list.split(':'))
            .filter(|_| known)
        {
            draft.scene.trusted.push((segment, link.to_owned()));
        }
        host_end.retain(|prefix| has_host_address(draft, spec, segment, prefix.addr()));
        let name = bridge_link(draft, spec);
        let link = Link {
            name,
            segment: Some(segment),
            role: Role::Bridge,
            addresses: host_end,
            network: Some(spec.name.clone()),
        };
        draft.link(HOST, link);
    }
    draft.allocators.insert(spec.name.clone(), allocator);
    draft.scene.networks.insert(
        spec.name.clone(),
        NetworkFact {
            key,
            segment,
            both_families: subnets.iter().any(|subnet| subnet.addr().is_ipv4())
                && subnets.iter().any(|subnet| subnet.addr().is_ipv6()),
            subnets,
            gateways,
            assumed,
            role,
            internal: spec.internal,
            attachable: spec.attachable,
            reserved,
        },
    );
}

/// The pools with a subnet in each family the network has: those of the file, of the engine, or placeholders.
pub fn pools(draft: &Draft, spec: &NetworkSpec, number: u8) -> Vec<PoolSpec> {
    let found = draft
        .observed
        .networks
        .iter()
        .find(|found| found.spec.name == spec.name);
    let mut pools: Vec<PoolSpec> = spec
        .pools
        .iter()
        .filter(|pool| pool.subnet.is_some())
        .cloned()
        .collect();
    if pools.is_empty() {
        pools.extend(
            found
                .iter()
                .flat_map(|found| found.spec.pools.iter())
                .filter(|pool| pool.subnet.is_some())
                .cloned(),
        );
    }
    let has = |pools: &[PoolSpec], v4: bool| {
        pools.iter().any(|pool| {
            pool.subnet
                .is_some_and(|subnet| subnet.addr().is_ipv4() == v4)
        })
    };
    // The switch for IPv4 exists from API 1.48; older engines ignore it (rule V2).
    let wants4 = spec.enable_ipv4 != Some(false) || draft.scene.facts.api < (1, 48);
    let unknown = |subnet| PoolSpec {
        subnet: Some(subnet),
        ip_range: None,
        gateway: None,
        aux_addresses: BTreeMap::new(),
    };
    if wants4 && !has(&pools, true) {
        pools.push(unknown(placeholder4(number)));
    }
    if spec.enable_ipv6 && !has(&pools, false) {
        pools.push(unknown(placeholder6(number)));
    }
    if !spec.enable_ipv6 && spec.name != DEFAULT_BRIDGE {
        pools.retain(|pool| pool.subnet.is_some_and(|subnet| subnet.addr().is_ipv4()));
    }
    if !wants4 {
        pools.retain(|pool| pool.subnet.is_some_and(|subnet| subnet.addr().is_ipv6()));
    }
    pools
}

/// The address that the engine takes for a gateway before anything else is taken.
fn first_address(pool: &PoolSpec) -> Option<IpAddr> {
    Allocator::default().next(pool)
}

/// What a container's link is to the network.
fn role(spec: &NetworkSpec) -> Role {
    let word = |key: &str| spec.options.get(key).map_or("", String::as_str);
    match spec.driver.as_str() {
        "bridge" => Role::Bridge,
        "macvlan" => Role::Macvlan(
            MacvlanMode::from_word(word("macvlan_mode")).unwrap_or(MacvlanMode::Bridge),
        ),
        "ipvlan" => Role::Ipvlan(
            IpvlanMode::from_word(word("ipvlan_mode")).unwrap_or(IpvlanMode::L2),
            IpvlanFlag::from_word(word("ipvlan_flag")).unwrap_or(IpvlanFlag::Bridge),
        ),
        "overlay" => Role::Tunnel,
        _ => Role::Plugin,
    }
}

fn segment(draft: &mut Draft, spec: &NetworkSpec, role: Role) -> SegmentId {
    let key = spec.key.to_string();
    match role {
        Role::Bridge => {
            let traits = bridge_traits(draft, spec);
            draft.segment(&key, SegmentKind::Bridge(traits))
        }
        Role::Macvlan(_) | Role::Ipvlan(..) => match spec.options.get("parent") {
            Some(parent) if !parent.is_empty() => wire(draft, parent),
            Some(_) | None => {
                let traits = WireTraits {
                    switch: None,
                    alone: true,
                };
                draft.segment(&key, SegmentKind::Wire(traits))
            }
        },
        Role::Tunnel => draft.segment(&key, SegmentKind::Overlay),
        Role::Plugin | Role::Loopback | Role::Port | Role::Parent => {
            draft.segment(&key, SegmentKind::Plugin)
        }
        Role::Station | Role::Uplink => draft.segment(&key, SegmentKind::Plugin),
    }
}

/// The wire that a parent is on; all networks of one parent and VLAN share it. The parent's own addresses on the host
/// are those that were observed.
pub fn wire(draft: &mut Draft, parent: &str) -> SegmentId {
    let (base, tag) = draft.base_of(parent);
    if let Some(known) = draft.wires.get(&(base.clone(), tag)) {
        return *known;
    }
    let lan = draft
        .lans()
        .into_iter()
        .find(|lan| lan.lan.parent.as_str() == base);
    let kind = draft
        .observed
        .host
        .as_ref()
        .and_then(|host| host.link(&base))
        .map(|link| link.kind.clone());
    let traits = WireTraits {
        switch: lan.map(|lan| lan.lan.switch),
        alone: lan.is_none() && kind.as_deref() == Some("dummy"),
    };
    let segment = draft.segment(parent, SegmentKind::Wire(traits));
    draft.wires.insert((base, tag), segment);
    let mut addresses: Vec<IpNet> = draft
        .observed
        .host
        .iter()
        .filter_map(|host| host.link(parent))
        .flat_map(|link| link.addresses.clone())
        .collect();
    if let (Some(lan), None) = (lan, tag) {
        for address in &lan.lan.addresses {
            let subnet = lan.lan.subnets.iter().find(|net| net.contains(address));
            let prefix = subnet.and_then(|net| IpNet::new(*address, net.prefix_len()).ok());
            addresses.extend(prefix.filter(|prefix| !addresses.contains(prefix)));
        }
    }
    let link = Link {
        name: parent.to_owned(),
        segment: Some(segment),
        role: Role::Parent,
        addresses,
        network: None,
    };
    draft.link(HOST, link);
    segment
}

fn bridge_traits(draft: &Draft, spec: &NetworkSpec) -> BridgeTraits {
    let option = |key: &str| {
        spec.options
            .get(&format!("com.docker.network.bridge.{key}"))
            .map(String::as_str)
    };
    let mode = |key: &str| gateway_mode(draft.scene.facts.engine.0, option(key));
    BridgeTraits {
        icc: option("enable_icc") != Some("false"),
        internal: spec.internal,
        mode4: mode("gateway_mode_ipv4"),
        mode6: mode("gateway_mode_ipv6"),
        masquerade: option("enable_ip_masquerade") != Some("false"),
        is_default: spec.name == DEFAULT_BRIDGE,
        binding: option("host_binding_ipv4")
            .and_then(|text| text.parse::<IpAddr>().ok())
            .filter(|address| !address.is_unspecified()),
        ignored_mode: ["gateway_mode_ipv4", "gateway_mode_ipv6"]
            .iter()
            .any(|key| {
                option(key).is_some_and(|word| {
                    word != "nat"
                        && gateway_mode(draft.scene.facts.engine.0, Some(word)) == GatewayMode::Nat
                })
            }),
    }
}

// An engine that does not know a mode ignores the option (27 knows nat and routed, 28 all).
fn gateway_mode(engine: u32, word: Option<&str>) -> GatewayMode {
    match (engine, word) {
        (27.., Some("routed")) => GatewayMode::Routed,
        (28.., Some("nat-unprotected")) => GatewayMode::NatUnprotected,
        (28.., Some("isolated")) => GatewayMode::Isolated,
        _ => GatewayMode::Nat,
    }
}

fn has_host_address(
    draft: &Draft,
    spec: &NetworkSpec,
    segment: SegmentId,
    address: IpAddr,
) -> bool {
    let SegmentKind::Bridge(traits) = &draft.scene.segments[segment].kind else {
        return false;
    };
    let mode = match address {
        IpAddr::V4(_) => traits.mode4,
        IpAddr::V6(_) => traits.mode6,
    };
    let inhibited = spec
        .options
        .get("com.docker.network.bridge.inhibit_ipv4")
        .is_some_and(|value| value == "true");
    mode != GatewayMode::Isolated && !(inhibited && address.is_ipv4())
}

fn bridge_link(draft: &Draft, spec: &NetworkSpec) -> String {
    if let Some(name) = spec.options.get("com.docker.network.bridge.name") {
        return name.clone();
    }
    let found = draft
        .observed
        .networks
        .iter()
        .find(|found| found.spec.name == spec.name);
    match found {
        Some(found) => {
            let id: String = found.engine_id.chars().take(12).collect();
            format!("br-{id}")
        }
        None => format!("the bridge of {}", spec.key),
    }
}
