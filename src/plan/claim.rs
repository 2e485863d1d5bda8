//! The addresses that a plan is about to use on somebody's wire: the fixed ones of containers in macvlan and ipvlan
//! networks, and those of shims. Neither the engine nor the kernel asks whether a neighbour has them already, so they are asked for before
//! anything is changed. Pure: which to ask for, where and how; the asking is the host's.

use std::net::IpAddr;

use crate::model::address::{Mac, VlanId};
use crate::model::name::LinkName;
use crate::model::network::{IpvlanFlag, IpvlanMode, MacvlanMode};
use crate::plan::observed::{FoundContainer, Observed};
use crate::plan::spec::{
    AttachmentSpec, ContainerNetwork, Kind, NetworkSpec, ResourceId, ShimKind, Spec,
};
use crate::plan::step::{Plan, State, Step};

/// A fixed address that is about to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub address: IpAddr,
    /// The step's resource: a container, an endpoint of one, or a shim.
    pub id: ResourceId,
    /// The engine's name of the network.
    pub network: String,
    pub wire: Wire,
}

/// Where neighbours are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// A link that is there.
    pub link: LinkName,
    pub asker: Asker,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// The link itself, and a temporary sibling of the network's kind on it: a link does not hear its own children.
    Sibling(ShimKind),
    /// A temporary 802.1Q link on it: the network's own is still to be made.
    Vlan(VlanId),
}

/// The claims of a plan. Left out are those on wires that the plan itself makes (nobody is there yet), on parents that
/// are down, and on ipvlan links of layer 3, which speak no ARP.
pub fn claims(plan: &Plan, observed: &Observed) -> Vec<Claim> {
    let mut claims = Vec::new();
    for step in &plan.steps {
        let shim = shim_uses(step, plan, observed);
        for (network, addresses) in uses(step, observed).into_iter().chain(shim) {
            let Some(wire) =
                spec_of(&network, plan, observed).and_then(|spec| wire(spec, plan, observed))
            else {
                continue;
            };
            claims.extend(addresses.into_iter().map(|address| Claim {
                address,
                id: step.id.clone(),
                network: network.clone(),
                wire: wire.clone(),
            }));
        }
    }
    claims
}

/// The networks and fixed addresses that a step begins to use.
fn uses(step: &Step, observed: &Observed) -> Vec<(String, Vec<IpAddr>)> {
    let spec = match (&step.before, &step.after) {
        (State::Running(_), State::Running(_)) => return Vec::new(),
        (_, State::Running(spec)) => spec,
        (State::Absent, State::Present(spec)) if step.id.kind == Kind::Endpoint => spec,
        (_, State::Absent | State::Present(_) | State::Parked(_)) => return Vec::new(),
    };
    match spec.as_ref() {
        Spec::Container(container) => match &container.network {
            ContainerNetwork::Attached(attachments) => attachments.iter().map(fixed).collect(),
            ContainerNetwork::Host
            | ContainerNetwork::None
            | ContainerNetwork::DefaultBridge { .. }
            | ContainerNetwork::Container(_)
            | ContainerNetwork::Named(_) => Vec::new(),
        },
        Spec::Existing(existing) => observed
            .containers
            .iter()
            .filter(|found| found.engine_id == existing.engine_id && !found.runs())
            .flat_map(asked)
            .collect(),
        Spec::Endpoint(endpoint) => vec![fixed(&endpoint.attachment)],
        Spec::Lan(_)
        | Spec::Link(_)
        | Spec::Promiscuity(_)
        | Spec::Network(_)
        | Spec::Shim(_)
        | Spec::Route(_)
        | Spec::Volume(_)
        | Spec::Image(_)
        | Spec::Door(_) => Vec::new(),
    }
}

/// The networks of a shim that is made, with its addresses in each. What the host has itself is not asked for: an address
/// of the parent would answer.
fn shim_uses(step: &Step, plan: &Plan, observed: &Observed) -> Vec<(String, Vec<IpAddr>)> {
    let (State::Absent, State::Present(spec)) = (&step.before, &step.after) else {
        return Vec::new();
    };
    let Spec::Shim(shim) = spec.as_ref() else {
        return Vec::new();
    };
    let links = observed.host.iter().flat_map(|host| &host.links);
    let own: Vec<IpAddr> = links
        .flat_map(|link| link.addresses.iter().map(ipnet::IpNet::addr))
        .collect();
    let of_network = |name: &String| {
        let pools = &spec_of(name, plan, observed)?.pools;
        let inside = |address: &&IpAddr| {
            let mut subnets = pools.iter().filter_map(|pool| pool.subnet);
            subnets.any(|subnet| subnet.contains(*address)) && !own.contains(address)
        };
        let addresses = shim.addresses.iter().filter(inside).copied().collect();
        Some((name.clone(), addresses))
    };
    shim.networks.iter().filter_map(of_network).collect()
}

fn fixed(attachment: &AttachmentSpec) -> (String, Vec<IpAddr>) {
    let v4 = attachment.ipv4_address.map(IpAddr::V4);
    let v6 = attachment.ipv6_address.map(IpAddr::V6);
    (
        attachment.network.clone(),
        v4.into_iter().chain(v6).collect(),
    )
}

fn asked(found: &FoundContainer) -> impl Iterator<Item = (String, Vec<IpAddr>)> {
    found.endpoints.iter().map(|endpoint| {
        let both = [endpoint.asked_ipv4, endpoint.asked_ipv6];
        (
            endpoint.network.clone(),
            both.into_iter().flatten().collect(),
        )
    })
}

/// The network as it will be.
fn spec_of<'a>(name: &str, plan: &'a Plan, observed: &'a Observed) -> Option<&'a NetworkSpec> {
    let planned = plan.steps.iter().find_map(|step| match &step.after {
        State::Present(spec) => {
            if let Spec::Network(network) = spec.as_ref() {
                (network.name == name).then_some(network)
            } else {
                None
            }
        }
        State::Absent | State::Running(_) | State::Parked(_) => None,
    });
    let found = observed
        .networks
        .iter()
        .find(|network| network.spec.name == name);
    planned.or(found.map(|found| &found.spec))
}

fn wire(network: &NetworkSpec, plan: &Plan, observed: &Observed) -> Option<Wire> {
    let parent = network.options.get("parent")?;
    let kind = shim_kind(network)?;
    match kind {
        ShimKind::Macvlan(MacvlanMode::Passthru)
        | ShimKind::Ipvlan(IpvlanMode::L3 | IpvlanMode::L3s, _) => return None,
        ShimKind::Macvlan(_) | ShimKind::Ipvlan(IpvlanMode::L2, _) => {}
    }
    let host = observed.host.as_ref()?;
    let alive = |name: &str| {
        let link = host.link(name)?;
        (link.up && link.carrier && !is_remade(name, plan))
            .then(|| link.name.parse::<LinkName>().ok())?
    };
    if let Some(link) = alive(parent) {
        let asker = Asker::Sibling(kind);
        return Some(Wire { link, asker });
    }
    if host.link(parent).is_some() {
        return None;
    }
    let (base, id) = parent.rsplit_once('.')?;
    let asker = Asker::Vlan(VlanId::try_from(id.parse::<u16>().ok()?).ok()?);
    Some(Wire {
        link: alive(base)?,
        asker,
    })
}

/// Whether the plan makes or changes the lan whose wire this is.
fn is_remade(link: &str, plan: &Plan) -> bool {
    plan.steps.iter().any(|step| {
        let lan = |state: &State| match state.spec().map(AsRef::as_ref) {
            Some(Spec::Lan(spec)) => spec.lan.parent.as_str() == link,
            Some(_) | None => false,
        };
        step.before != step.after && (lan(&step.before) || lan(&step.after))
    })
}

/// Kind and mode of a network, by the engine's own words and defaults.
pub fn shim_kind(network: &NetworkSpec) -> Option<ShimKind> {
    let option = |key: &str| network.options.get(key).map(String::as_str);
    match network.driver.as_str() {
        "macvlan" => Some(ShimKind::Macvlan(match option("macvlan_mode") {
            Some("private") => MacvlanMode::Private,
            Some("vepa") => MacvlanMode::Vepa,
            Some("passthru") => MacvlanMode::Passthru,
            Some(_) | None => MacvlanMode::Bridge,
        })),
        "ipvlan" => {
            let mode = match option("ipvlan_mode") {
                Some("l3") => IpvlanMode::L3,
                Some("l3s") => IpvlanMode::L3s,
                Some(_) | None => IpvlanMode::L2,
            };
            let flag = match option("ipvlan_flag") {
                Some("private") => IpvlanFlag::Private,
                Some("vepa") => IpvlanFlag::Vepa,
                Some(_) | None => IpvlanFlag::Bridge,
            };
            Some(ShimKind::Ipvlan(mode, flag))
        }
        _ => None,
    }
}

/// Whether an answer comes from a running container of this project that has the address now: it will have left it, or
/// is the one that keeps it.
pub fn is_own(observed: &Observed, address: IpAddr, mac: Mac, asker: Asker) -> bool {
    let shared = matches!(asker, Asker::Sibling(ShimKind::Ipvlan(..)));
    observed.containers.iter().any(|container| {
        container.runs()
            && container.endpoints.iter().any(|endpoint| {
                [endpoint.ipv4, endpoint.ipv6].contains(&Some(address))
                    && (shared || endpoint.mac.is_none_or(|own| own == mac))
            })
    })
}
