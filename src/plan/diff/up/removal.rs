//! Steps of `up` for what nobody wants any more: surplus and orphaned containers, networks and host resources that
//! the file no longer has.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::plan::diff::up::{Writer, own_containers};
use crate::plan::diff::{container, order};
use crate::plan::observed::FoundContainer;
use crate::plan::spec::{Kind, ResourceId, Spec};
use crate::plan::step::{Reason, State, Step, StepIndex, Undo};

/// When something that nobody wants goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// As a step that is taken back when a later one fails.
    Early,
    /// As a farewell.
    Late,
}

/// Something that nobody wants any more.
struct Going {
    id: ResourceId,
    spec: Arc<Spec>,
    when: When,
    /// The steps that it must be gone before.
    before: Vec<StepIndex>,
}

impl Going {
    /// A network goes before what it stands on.
    fn early_if_on(self, grounds: &[&Spec]) -> Going {
        let is_on = match self.spec.as_ref() {
            Spec::Network(network) => grounds.iter().any(|ground| order::is_on(network, ground)),
            Spec::Lan(_) | Spec::Link(_) | Spec::Promiscuity(_) | Spec::Shim(_) => false,
            Spec::Route(_) | Spec::Door(_) | Spec::Volume(_) | Spec::Image(_) => false,
            Spec::Container(_) | Spec::Existing(_) | Spec::Endpoint(_) => false,
        };
        let when = if is_on { When::Early } else { self.when };
        Going { when, ..self }
    }
}

/// The container that a resource of the host is for.
pub(super) fn container_of(spec: &Spec) -> Option<&str> {
    match spec {
        Spec::Route(route) => Some(&route.container),
        Spec::Door(door) => Some(&door.container),
        Spec::Lan(_) | Spec::Link(_) | Spec::Promiscuity(_) | Spec::Network(_) => None,
        Spec::Shim(_) | Spec::Volume(_) | Spec::Image(_) => None,
        Spec::Container(_) | Spec::Existing(_) | Spec::Endpoint(_) => None,
    }
}

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
            let reason = match self.why_unwanted(found) {
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
            let park = park.map(|before| {
                let cut = self.cut_from_replaced(found);
                let park = self.draft.step(&id, before, parked.clone(), reason.clone());
                for step in cut {
                    self.draft.after(step, park);
                }
                park
            });
            let discard = self.draft.push(Step {
                id,
                before: parked,
                after: State::Absent,
                reason,
                undo: Undo::Never,
                farewell: true,
            });
            self.discards.insert(found.engine_id.clone(), discard);
            let Some(step) = park else { continue };
            self.draft.after(step, discard);
            self.stops.insert(found.engine_id.clone(), step);
            for endpoint in &found.endpoints {
                self.leaving
                    .entry(endpoint.network.clone())
                    .or_default()
                    .push(step);
            }
        }
    }

    /// Why a container of the project that matches no wanted one goes.
    fn why_unwanted(&self, found: &FoundContainer) -> Option<Reason> {
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

    /// Networks and host resources of the project that the file no longer has and nobody stays on. They go in the end,
    /// when nothing can fail any more, but for those that are in the way of what is made.
    pub(super) fn unwanted(&mut self) {
        if !self.options.partial {
            let resources = self.unwanted_resources();
            let networks = self.unwanted_networks();
            let early_grounds: Vec<&Spec> = resources
                .iter()
                .filter(|going| going.when == When::Early)
                .map(|going| going.spec.as_ref())
                .collect();
            let networks: Vec<Going> = networks
                .into_iter()
                .map(|going| going.early_if_on(&early_grounds))
                .collect();
            self.remove_unwanted(networks, resources);
        }
        self.order_network_removals();
    }

    fn unwanted_networks(&self) -> Vec<Going> {
        let wanted: BTreeSet<&str> = self
            .stack
            .networks
            .values()
            .map(|network| network.name.as_str())
            .collect();
        let mut going = Vec::new();
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
            going.push(self.going(
                ResourceId::new(Kind::Network, name),
                Arc::new(Spec::Network(found.spec.clone())),
            ));
        }
        going
    }

    fn unwanted_resources(&self) -> Vec<Going> {
        self.observed
            .resources
            .iter()
            .filter(|(id, found)| {
                !self.desired.specs.contains_key(*id) && !self.is_still_used(&found.spec)
            })
            .map(|(id, found)| self.going(id.clone(), Arc::new(found.spec.clone())))
            .collect()
    }

    /// When something goes, and before which steps that make something.
    fn going(&self, id: ResourceId, spec: Arc<Spec>) -> Going {
        let blocks: Vec<StepIndex> = self
            .desired
            .specs
            .iter()
            .filter(|(other, new)| **other != id && order::in_the_way(&spec, new))
            .filter_map(|(other, _)| self.marks.get(other).and_then(|marks| marks.create))
            .collect();
        // A route or door is lost when its container stops, so it must be known to have been there.
        let stop = container_of(&spec).and_then(|name| self.stop_of(name));
        let when = match (blocks.is_empty(), stop) {
            (true, None) => When::Late,
            (false, _) | (_, Some(_)) => When::Early,
        };
        Going {
            id,
            spec,
            when,
            before: blocks.into_iter().chain(stop).collect(),
        }
    }

    /// The step that stops or parks the running container of this name.
    pub(super) fn stop_of(&self, name: &str) -> Option<StepIndex> {
        let mut containers = own_containers(self.stack, self.observed);
        let found = containers.find(|found| found.name == name && found.runs())?;
        self.stops.get(&found.engine_id).copied()
    }

    fn remove_unwanted(&mut self, networks: Vec<Going>, resources: Vec<Going>) {
        let uprooted = std::mem::take(&mut self.uprooted);
        let mut removals: Vec<(When, Kind, StepIndex)> = uprooted
            .into_iter()
            .map(|(kind, step)| (When::Early, kind, step))
            .collect();
        for going in networks.into_iter().chain(resources) {
            let Going {
                id,
                spec,
                when,
                before,
            } = going;
            let (undo, farewell) = match when {
                When::Early => (Undo::Inverse, false),
                When::Late => (Undo::Never, true),
            };
            let step = self.draft.push(Step {
                id: id.clone(),
                before: State::Present(Arc::clone(&spec)),
                after: State::Absent,
                reason: Reason::Orphan,
                undo,
                farewell,
            });
            for blocked in before {
                self.draft.after(step, blocked);
            }
            for (_, kind, other) in removals.iter().filter(|other| other.0 == when) {
                order::by_kind(&mut self.draft, (*kind, *other), (id.kind, step));
            }
            removals.push((when, id.kind, step));
            self.let_go(&spec, when, step);
        }
    }

    /// What must be off a network, or off what it stands on, before that goes.
    fn let_go(&mut self, spec: &Spec, when: When, removal: StepIndex) {
        for found in &self.observed.networks {
            let is_it = match spec {
                Spec::Network(network) => network.name == found.spec.name,
                ground => order::is_on(&found.spec, ground),
            };
            if !is_it {
                continue;
            }
            let name = found.spec.name.as_str();
            for step in self.leaving.get(name).cloned().unwrap_or_default() {
                self.draft.after(step, removal);
            }
            match (when, spec) {
                (When::Early, Spec::Network(_)) => self.cut_parked(name, removal),
                (When::Early, _) => {}
                (When::Late, _) => {
                    let users = own_containers(self.stack, self.observed)
                        .filter(|user| user.endpoints.iter().any(|own| own.network == name));
                    for discard in users.filter_map(|user| self.discards.get(&user.engine_id)) {
                        self.draft.after(*discard, removal);
                    }
                }
            }
        }
    }

    /// Parked containers let go of a network that is removed before they are discarded: else they could not be brought
    /// back when it is, as they know it by its engine's id.
    fn cut_parked(&mut self, network: &str, removal: StepIndex) {
        let parked: Vec<&FoundContainer> = own_containers(self.stack, self.observed)
            .filter(|found| self.discards.contains_key(&found.engine_id))
            .collect();
        for found in parked {
            let Some(park) = self.stops.get(&found.engine_id).copied() else {
                continue;
            };
            let id = ResourceId::new(Kind::Container, &found.name);
            for attachment in container::attachments_of(found) {
                if attachment.network == network {
                    let cut = self.endpoint(&id, &attachment, false);
                    self.draft.after(cut, park);
                    self.draft.after(cut, removal);
                }
            }
        }
    }

    /// A network that is made anew goes when all of ours are off it, and before others are made that it would be in the
    /// way of.
    fn order_network_removals(&mut self) {
        for (remove, name) in std::mem::take(&mut self.removed_networks) {
            for step in self.leaving.get(&name).cloned().unwrap_or_default() {
                self.draft.after(step, remove);
            }
            let mut networks = self.observed.networks.iter();
            let Some(old) = networks.find(|network| network.spec.name == name) else {
                continue;
            };
            let old = Spec::Network(old.spec.clone());
            for (id, new) in &self.desired.specs {
                let create = self.marks.get(id).and_then(|marks| marks.create);
                let is_blocked = old.id() != *id && order::in_the_way(&old, new);
                if let Some(create) = create.filter(|_| is_blocked) {
                    self.draft.after(remove, create);
                }
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
