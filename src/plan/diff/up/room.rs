//! Who makes room for whom: a name, a published port or a static address passes from a container that goes, or stops,
//! to one that is made or started; and a static address is taken before the engine could hand it to somebody else.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::desired::addresses::{Claim, claims};
use crate::plan::diff::container::attachments_of;
use crate::plan::diff::up::{Writer, as_container, own_containers};
use crate::plan::observed::FoundContainer;
use crate::plan::spec::{ContainerNetwork, ContainerSpec};
use crate::plan::step::{Milestone, StepIndex};

impl Writer<'_> {
    /// A container that goes or stops makes room for those that want what it held.
    pub(super) fn room(&mut self) {
        let leaving: Vec<(&FoundContainer, StepIndex)> = own_containers(self.stack, self.observed)
            .filter_map(|found| Some((found, *self.stops.get(&found.engine_id)?)))
            .collect();
        for (id, spec) in &self.desired.specs {
            let Some(wanted) = as_container(spec) else {
                continue;
            };
            let marks = self.marks.get(id).copied().unwrap_or_default();
            for (found, stop) in &leaving {
                if let Some(create) = marks.create.filter(|_| found.name == wanted.name) {
                    self.draft.after(*stop, create);
                }
                if let Some(start) = marks.start.filter(|_| held(found, wanted).is_some()) {
                    self.draft.after(*stop, start);
                }
            }
        }
    }

    /// A static address is taken before a container without one could be given it, where their order is free.
    pub(super) fn claims(&mut self) {
        let mut rivals: BTreeMap<StepIndex, BTreeSet<StepIndex>> = BTreeMap::new();
        for Claim { holder, rival, .. } in claims(self.stack, self.desired) {
            let start = |id| self.marks.get(id).and_then(|marks| marks.start);
            if let (Some(first), Some(then)) = (start(holder), start(rival)) {
                rivals.entry(first).or_default().insert(then);
            }
        }
        for (first, rivals) in rivals {
            let earlier = self.draft.before(first);
            for then in rivals.into_iter().filter(|then| !earlier.contains(then)) {
                // One that fails to start is no reason to do without the other.
                self.draft.edge(first, then, Milestone::Done, true);
            }
        }
    }
}

/// What a container that is there holds and another one wants: a port of the host, or a static address.
pub fn held(found: &FoundContainer, wanted: &ContainerSpec) -> Option<String> {
    port(found, wanted).or_else(|| address(found, wanted))
}

fn port(found: &FoundContainer, wanted: &ContainerSpec) -> Option<String> {
    wanted.ports.iter().find_map(|new| {
        let range = new.published?;
        let is_held = found.ports.iter().any(|old| {
            let apart = old.host_ip.is_some_and(|ip| !ip.is_unspecified())
                && new.host_ip.is_some_and(|ip| !ip.is_unspecified())
                && old.host_ip != new.host_ip;
            let overlaps = old.published.is_some_and(|old| old.overlaps(&range));
            old.protocol == new.protocol && overlaps && !apart
        });
        is_held.then(|| format!("port {range}/{} of the host", new.protocol))
    })
}

fn address(found: &FoundContainer, wanted: &ContainerSpec) -> Option<String> {
    let ContainerNetwork::Attached(attachments) = &wanted.network else {
        return None;
    };
    let there = attachments_of(found);
    attachments.iter().find_map(|new| {
        let mut there = there.iter().filter(|old| old.network == new.network);
        there.find_map(|old| {
            let v4 = old
                .ipv4_address
                .filter(|_| old.ipv4_address == new.ipv4_address);
            let v6 = old
                .ipv6_address
                .filter(|_| old.ipv6_address == new.ipv6_address);
            v4.map(|one| format!("the address {one}"))
                .or_else(|| v6.map(|one| format!("the address {one}")))
        })
    })
}
