//! What a shim is: its mark, its digest, and what the kernel tells of it, in the words of the spec.

use ipnet::IpNet;

use crate::model::address::host_prefix;
use crate::model::hash;
use crate::model::name::LinkName;
use crate::model::network::{IpvlanFlag, IpvlanMode, MacvlanMode};
use crate::plan::observed::{LinkFact, RouteFact};
use crate::plan::spec::{ShimKind, ShimRoute, ShimSpec};
use crate::world::host::birth::Claim;
use crate::world::host::lookup;

/// The mark of a finished shim. Behind the mark proper come a digest of what was made (so that a route or address
/// that went away is noticed) and the networks it serves, as many as fit into an alias.
pub fn alias(claim: &Claim<'_>, hash: &str, spec: &ShimSpec) -> String {
    let mut alias = format!("{} form={}", claim.mark(hash).to_alias(), form(spec));
    let mut lead = " networks=";
    for network in &spec.networks {
        if alias.len() + lead.len() + network.len() <= 255 && !network.contains([' ', ',']) {
            alias.push_str(lead);
            alias.push_str(network);
            lead = ",";
        }
    }
    alias
}

/// A digest of what the kernel knows of a shim, whatever the order of lists.
pub fn form(spec: &ShimSpec) -> String {
    let ShimSpec {
        name,
        parent,
        kind,
        mac,
        addresses,
        routes,
        networks: _,
    } = spec;
    let mut addresses = addresses.clone();
    addresses.sort();
    let mut routes: Vec<ShimRoute> = routes.iter().map(plain).collect();
    routes.sort();
    routes.dedup();
    hash::of(&(name, parent, kind, mac, addresses, routes))
        .chars()
        .take(8)
        .collect()
}

/// A route without host bits in its destination, as the kernel tells it.
pub fn plain(route: &ShimRoute) -> ShimRoute {
    ShimRoute {
        destination: route.destination.trunc(),
        source: route.source,
    }
}

/// The mode as [`LinkFact::mode`] tells it.
pub fn mode_word(kind: ShimKind) -> String {
    match kind {
        ShimKind::Macvlan(mode) => mode.word().to_owned(),
        ShimKind::Ipvlan(mode, IpvlanFlag::Bridge) => mode.word().to_owned(),
        ShimKind::Ipvlan(mode, flag) => format!("{mode} {flag}"),
    }
}

/// Whether a link is of the make that the spec wants; what differs here cannot be changed on a living link.
pub fn same_make(link: &LinkFact, spec: &ShimSpec) -> bool {
    let kind = match spec.kind {
        ShimKind::Macvlan(_) => "macvlan",
        ShimKind::Ipvlan(..) => "ipvlan",
    };
    link.kind == kind
        && link.mode == Some(mode_word(spec.kind))
        && link.lower.as_deref() == Some(spec.parent.as_str())
        && (spec.mac.is_none() || link.mac == spec.mac)
}

/// What a shim is now, in the words of the spec: `name` is the one it should have, `kept` are routes through it that are resources of their own.
pub fn read_back(
    link: &LinkFact,
    name: &LinkName,
    routes: &[RouteFact],
    kept: &[IpNet],
) -> Option<ShimSpec> {
    let mode = link.mode.as_deref()?;
    let kind = match link.kind.as_str() {
        "macvlan" => ShimKind::Macvlan(MacvlanMode::from_word(mode)?),
        "ipvlan" => {
            let (mode, flag) = mode.split_once(' ').unwrap_or((mode, "bridge"));
            ShimKind::Ipvlan(IpvlanMode::from_word(mode)?, IpvlanFlag::from_word(flag)?)
        }
        _ => return None,
    };
    let alias = link.alias.as_deref().unwrap_or_default();
    let networks = alias
        .split(' ')
        .find_map(|field| field.strip_prefix("networks="))
        .map(|list| list.split(',').map(str::to_owned).collect())
        .unwrap_or_default();
    Some(ShimSpec {
        name: name.clone(),
        parent: link.lower.as_ref()?.parse().ok()?,
        kind,
        mac: match kind {
            ShimKind::Macvlan(_) => link.mac,
            ShimKind::Ipvlan(..) => None,
        },
        addresses: link.addresses.iter().map(IpNet::addr).collect(),
        routes: routes
            .iter()
            .filter(|fact| fact.link.as_deref() == Some(link.name.as_str()))
            .filter(|fact| lookup::is_ours(fact) && !kept.contains(&fact.destination))
            .filter_map(|fact| {
                Some(ShimRoute {
                    destination: fact.destination,
                    source: fact.source?,
                })
            })
            .collect(),
        networks,
    })
}

/// The kernel narrows a shim with its parent, and does not widen it again.
pub fn narrow(link: &LinkFact, links: &[LinkFact]) -> Option<String> {
    let lower = link.lower.as_ref()?;
    let parent = links.iter().find(|other| other.name == *lower)?;
    (link.mtu < parent.mtu).then(|| format!("its MTU is {}, its parent's {}", link.mtu, parent.mtu))
}

/// What is wrong with a shim of ours: `spec` is what was read back, `hash` its mark's.
pub fn damage(link: &LinkFact, spec: &ShimSpec, hash: &str) -> Vec<String> {
    let mut damage = Vec::new();
    if hash.is_empty() {
        damage.push("it was not finished".to_owned());
        return damage;
    }
    if !link.up {
        damage.push("it is down".to_owned());
    }
    if link.addresses.is_empty() {
        damage.push("its addresses are gone".to_owned());
    }
    for address in &link.addresses {
        if address.prefix_len() != host_prefix(address.addr()).prefix_len() {
            damage.push(format!("someone gave it {address}"));
        }
    }
    if spec.routes.is_empty() && !link.up {
        damage.push("its routes are gone".to_owned());
    }
    let made = link.alias.as_deref().and_then(|alias| {
        alias
            .split(' ')
            .find_map(|field| field.strip_prefix("form="))
    });
    if damage.is_empty() && made != Some(form(spec).as_str()) {
        damage.push("its addresses or routes are not those it was made with".to_owned());
    }
    damage
}
