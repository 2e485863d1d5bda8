//! The lans and the 802.1Q links that the stack's networks need.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::address::VlanId;
use crate::model::name::LinkName;
use crate::model::network::Parent;
use crate::model::stack::Stack;
use crate::plan::desired::{At, Desired, Until, Wishes};
use crate::plan::observed::Observed;
use crate::plan::spec::{Kind, LanSpec, LinkSpec, ResourceId, Spec};

/// Adds every lan, and every 802.1Q link that a network names as its parent.
pub fn add(stack: &Stack, wishes: &Wishes, observed: &Observed, desired: &mut Desired) {
    let mut vlans: BTreeMap<&LinkName, BTreeSet<VlanId>> = BTreeMap::new();
    for network in stack.networks.values() {
        if let Some(Parent::Vlan { base, id, .. }) = &network.parent {
            vlans.entry(base).or_default().insert(*id);
        }
    }
    for lan in stack.lans.values() {
        let mut carried = vlans.get(&lan.parent).cloned().unwrap_or_default();
        carried.extend(lan.hosts.values().filter_map(|host| host.vlan));
        let standing = observed
            .resources
            .get(&ResourceId::new(Kind::Lan, lan.name.as_str()));
        if let Some(Spec::Lan(standing)) =
            standing.filter(|_| wishes.partial).map(|found| &found.spec)
        {
            carried.extend(&standing.vlans);
        }
        desired.add(Spec::Lan(LanSpec {
            lan: lan.clone(),
            namespace_prefix: format!("{}-{}", stack.project, lan.name),
            vlans: carried.into_iter().collect(),
        }));
    }
    for network in stack.networks.values().filter(|network| !network.external) {
        if let Some(Parent::Vlan { base, id, name }) = &network.parent {
            let link = desired.add(Spec::Link(LinkSpec {
                name: name.clone(),
                base: base.clone(),
                vlan: *id,
            }));
            if let Some(lan) = lan_of(stack, base) {
                desired.need(&link, At::Create, &lan, Until::Created);
            }
        }
    }
}

/// The lan of this stack whose parent link this is.
pub fn lan_of(stack: &Stack, link: &LinkName) -> Option<ResourceId> {
    let lan = stack.lans.values().find(|lan| lan.parent == *link)?;
    Some(ResourceId::new(Kind::Lan, lan.name.as_str()))
}

/// What must be there before something sits on this parent: the link we make, or the lan that has it.
pub fn ground(stack: &Stack, parent: &Parent) -> Option<ResourceId> {
    match parent {
        Parent::Vlan { name, .. } => Some(ResourceId::new(Kind::Link, name.as_str())),
        Parent::Link(name) => lan_of(stack, name),
    }
}
