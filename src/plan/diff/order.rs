//! Which kinds of resources go before which, and what stands on what.

use crate::model::address::overlap;
use crate::plan::diff::draft::Draft;
use crate::plan::diff::network;
use crate::plan::spec::{Kind, NetworkSpec, Spec};
use crate::plan::step::StepIndex;

/// The order in which kinds of host resources are removed: what stands on others first.
pub fn by_kind(draft: &mut Draft, one: (Kind, StepIndex), two: (Kind, StepIndex)) {
    let rank = |kind: Kind| match kind {
        Kind::Door | Kind::Route | Kind::Endpoint => 0,
        Kind::Shim => 1,
        Kind::Container => 2,
        Kind::Network | Kind::Promiscuity => 3,
        Kind::Link => 4,
        Kind::Lan => 5,
        Kind::Volume | Kind::Image => 6,
    };
    match rank(one.0).cmp(&rank(two.0)) {
        std::cmp::Ordering::Less => draft.after(one.1, two.1),
        std::cmp::Ordering::Greater => draft.after(two.1, one.1),
        std::cmp::Ordering::Equal => {}
    }
}

/// Whether something that goes must be gone before another thing can be made: they share a name in the kernel, an
/// address, or a parent that carries only one of them.
pub fn in_the_way(old: &Spec, new: &Spec) -> bool {
    match (old, new) {
        (Spec::Network(old), Spec::Network(new)) => network::in_the_way(old, new),
        (Spec::Lan(old), Spec::Lan(new)) => {
            old.lan.parent == new.lan.parent || old.namespace_prefix == new.namespace_prefix
        }
        (Spec::Link(old), Spec::Link(new)) => old.base == new.base && old.vlan == new.vlan,
        (Spec::Shim(old), Spec::Shim(new)) => {
            let same_address = old.addresses.iter().any(|one| new.addresses.contains(one));
            let same_route = old.routes.iter().any(|one| {
                let mut routes = new.routes.iter();
                routes.any(|two| overlap(&one.destination, &two.destination))
            });
            old.parent == new.parent || same_address || same_route
        }
        (Spec::Route(old), Spec::Route(new)) => {
            old.container == new.container && old.network == new.network
        }
        (Spec::Door(old), Spec::Door(new)) => {
            old.container == new.container && old.host_address == new.host_address
        }
        (Spec::Lan(_) | Spec::Link(_) | Spec::Promiscuity(_) | Spec::Network(_), _) => false,
        (Spec::Shim(_) | Spec::Route(_) | Spec::Door(_) | Spec::Volume(_), _) => false,
        (Spec::Image(_) | Spec::Container(_) | Spec::Existing(_) | Spec::Endpoint(_), _) => false,
    }
}

/// Whether a network sits on a lan, a link or a parent.
pub fn is_on(network: &NetworkSpec, ground: &Spec) -> bool {
    let Some(parent) = network.options.get("parent") else {
        return false;
    };
    match ground {
        Spec::Lan(spec) => {
            let lan = spec.lan.parent.as_str();
            parent == lan
                || parent
                    .strip_prefix(lan)
                    .is_some_and(|rest| rest.starts_with('.'))
        }
        Spec::Link(spec) => parent == spec.name.as_str(),
        Spec::Promiscuity(spec) => parent == spec.link.as_str(),
        Spec::Network(_) | Spec::Shim(_) | Spec::Route(_) | Spec::Volume(_) | Spec::Image(_) => {
            false
        }
        Spec::Container(_) | Spec::Existing(_) | Spec::Endpoint(_) | Spec::Door(_) => false,
    }
}

/// Whether a shim, a route or a door leads into a network.
pub fn serves(door: &Spec, network: &str) -> bool {
    match door {
        Spec::Shim(shim) => shim.networks.iter().any(|name| name == network),
        Spec::Route(route) => route.network == network,
        Spec::Door(door) => door.network == network,
        Spec::Lan(_)
        | Spec::Link(_)
        | Spec::Promiscuity(_)
        | Spec::Network(_)
        | Spec::Volume(_) => false,
        Spec::Image(_) | Spec::Container(_) | Spec::Existing(_) | Spec::Endpoint(_) => false,
    }
}
