//! Steps of `up` for what nobody wants any more: surplus and orphaned containers, networks and host resources that
//! the file no longer has.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::plan::diff::up::{Marks, Writer, own_containers};
use crate::plan::diff::{container, network, order};
use crate::plan::observed::FoundContainer;
use crate::plan::spec::{Kind, ResourceId, Spec};
use crate::plan::step::{Reason, State, Step, StepIndex, Undo};

impl Writer<'_> {
    /// Containers that nobody wants: more than the scale, orphans where asked, parked ones of a lost run.
    pub(super) fn surplus(&mut self) {
        let wanted: BTreeSet<&str> = self
            .found
            .values()
            .map(|found| found.engine_id.as_str())
            .collect();
        for found in own_containers(self.stack, self.observed) {
            if wanted.contains(found.engine_id.as_str()) {
                continue;
            }
            let reason = match self.unwanted(found) {
                Some(reason) => reason,
                None => {
                    for endpoint in &found.endpoints {
                        *self.staying.entry(endpoint.network.clone()).or_default() += 1;
                    }
                    continue;
                }
            };
            let id = ResourceId::new(Kind::Container, found.parked_from().unwrap_or(&found.name));
            let old = Arc::new(Spec::Existing(container::existing(
                found,
                self.options.timeout,
            )));
            let parked = State::Parked(Arc::clone(&old));
            // It is parked first, so that it can be brought back as long as something may fail.
            let park = match (found.parked_from(), found.runs()) {
                (Some(_), _) => None,
                (None, true) => Some(State::Running(old)),
                (None, false) => Some(State::Present(old)),
            };
            let park =
                park.map(|before| self.draft.step(&id, before, parked.clone(), reason.clone()));
            let discard = self.draft.push(Step {
                id,
                before: parked,
                after: State::Absent,
                reason,
                undo: Undo::Never,
                farewell: true,
            });
            if let Some(park) = park {
                self.draft.after(park, discard);
            }
            let Some(step) = park else { continue };
            for endpoint in &found.endpoints {
                self.leaving
                    .entry(endpoint.network.clone())
                    .or_default()
                    .push(step);
            }
        }
    }

    /// Why a container of the project that matches no wanted one goes.
    pub(super) fn unwanted(&self, found: &FoundContainer) -> Option<Reason> {
        if found.parked_from().is_some() {
            return Some(Reason::Leftover);
        }
        if found.one_off {
            return None;
        }
        match &found.service {
            Some(service) if self.desired.containers.contains_key(service) => Some(Reason::Surplus),
            Some(service) if self.stack.inactive.contains(service) => None,
            Some(_) | None => self.options.remove_orphans.then_some(Reason::Orphan),
        }
    }

    /// Networks of the project that the file no longer has and nobody stays on.
    pub(super) fn unwanted_networks(&mut self) {
        if self.options.partial {
            return;
        }
        let wanted: BTreeSet<&str> = self
            .stack
            .networks
            .values()
            .map(|network| network.name.as_str())
            .collect();
        for found in &self.observed.networks {
            let name = found.spec.name.as_str();
            let is_ours = found.project.as_deref() == Some(self.stack.project.as_str())
                && found.hash.is_some();
            if !is_ours
                || wanted.contains(name)
                || self.staying.get(name).is_some_and(|count| *count > 0)
            {
                continue;
            }
            let before = State::Present(Arc::new(Spec::Network(found.spec.clone())));
            let id = ResourceId::new(Kind::Network, name);
            let step = self.draft.step(&id, before, State::Absent, Reason::Orphan);
            self.removed_networks.push((step, name.to_owned()));
        }
        self.order_network_removals();
    }

    /// A network goes when all of ours are off it, and before others are made that it would be in the way of.
    pub(super) fn order_network_removals(&mut self) {
        for (remove, name) in std::mem::take(&mut self.removed_networks) {
            for step in self.leaving.get(&name).cloned().unwrap_or_default() {
                self.draft.after(step, remove);
            }
            let Some(old) = self
                .observed
                .networks
                .iter()
                .find(|network| network.spec.name == name)
            else {
                continue;
            };
            for (id, spec) in &self.desired.specs {
                let Spec::Network(new) = spec.as_ref() else {
                    continue;
                };
                let create = self.marks.get(id).and_then(|marks| marks.create);
                if let Some(create) =
                    create.filter(|_| new.name != name && network::in_the_way(&old.spec, new))
                {
                    self.draft.after(remove, create);
                }
            }
        }
    }

    /// Shims, links, lans and flags of the project that the file no longer has.
    pub(super) fn unwanted_resources(&mut self) {
        if self.options.partial {
            return;
        }
        let mut removals: Vec<(Kind, StepIndex)> = Vec::new();
        for (id, found) in &self.observed.resources {
            if self.desired.specs.contains_key(id) || self.is_still_used(&found.spec) {
                continue;
            }
            let before = State::Present(Arc::new(found.spec.clone()));
            let step = self.draft.step(id, before, State::Absent, Reason::Orphan);
            for (later, other) in &removals {
                order::by_kind(&mut self.draft, (*later, *other), (id.kind, step));
            }
            removals.push((id.kind, step));
        }
        let creates = |kind: Kind| move |(id, _): &(&ResourceId, &Marks)| id.kind == kind;
        for (kind, step) in removals {
            let same: Vec<StepIndex> = self
                .marks
                .iter()
                .filter(creates(kind))
                .filter_map(|(_, marks)| marks.create)
                .collect();
            for create in same {
                self.draft.after(step, create);
            }
        }
    }

    /// Whether something that stays needs a resource that the file no longer has.
    pub(super) fn is_still_used(&self, spec: &Spec) -> bool {
        match spec {
            Spec::Shim(shim) => {
                let wanted = |name: &String| {
                    self.stack
                        .networks
                        .values()
                        .any(|network| network.name == *name)
                };
                shim.networks.iter().any(|name| {
                    !wanted(name) && self.staying.get(name).is_some_and(|count| *count > 0)
                })
            }
            Spec::Route(route) => {
                self.staying
                    .get(&route.network)
                    .is_some_and(|count| *count > 0)
                    && !self
                        .desired
                        .specs
                        .contains_key(&ResourceId::new(Kind::Container, &route.container))
                    && self
                        .observed
                        .containers
                        .iter()
                        .any(|found| found.name == route.container && found.runs())
            }
            Spec::Lan(_) | Spec::Link(_) | Spec::Promiscuity(_) => {
                // They go with the networks on them; while one of those stays, so do they.
                self.observed.networks.iter().any(|network| {
                    let wanted = self
                        .stack
                        .networks
                        .values()
                        .any(|own| own.name == network.spec.name);
                    let name = network.spec.name.as_str();
                    !wanted
                        && order::is_on(&network.spec, spec)
                        && self.staying.get(name).is_some_and(|count| *count > 0)
                })
            }
            Spec::Network(_) | Spec::Volume(_) | Spec::Image(_) | Spec::Container(_) => false,
            Spec::Existing(_) | Spec::Endpoint(_) | Spec::Door(_) => false,
        }
    }
}
