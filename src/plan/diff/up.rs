//! `up`: the plan that makes the world as the stack wants it, with the least harm.
//!
//! Order of work: fates first (what becomes of each resource, donors before those that depend on them), then steps,
//! then edges. A container that is replaced is parked, and discarded as a farewell when all else stands.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::hash;
use crate::model::name::ServiceName;
use crate::model::service::PullPolicy;
use crate::model::stack::Stack;
use crate::plan::desired::{At, Desired, Until};
use crate::plan::diff::PlanError;
use crate::plan::diff::container::{self, Fate, Recreate};
use crate::plan::diff::draft::Draft;
use crate::plan::diff::network;
use crate::plan::graph::Graph;
use crate::plan::observed::{FoundContainer, Observed};
use crate::plan::spec::{
    AttachmentSpec, ContainerSpec, EndpointSpec, ImageSource, ImageSpec, Kind, ResourceId, Spec,
};
use crate::plan::step::{Milestone, Plan, Reason, State, Step, StepIndex, Undo};

/// What the command line wants of `up`.
#[derive(Debug, Clone, Default)]
pub struct UpOptions {
    pub recreate: Recreate,
    /// Containers of services that the file no longer has are removed.
    pub remove_orphans: bool,
    /// Containers are made and not started.
    pub no_start: bool,
    /// Images with a `build` are built even if they are there.
    pub build: bool,
    /// Overrides the pull policy of all services.
    pub pull: Option<PullPolicy>,
    /// Seconds until a container that does not stop is killed; none is the container's own.
    pub timeout: Option<u32>,
    /// The stack is not all of the project (services were named, profiles are off): networks and shims that it does
    /// not have may be somebody's.
    pub partial: bool,
}

/// The plan for `up`.
pub fn up(
    stack: &Stack,
    desired: &Desired,
    observed: &Observed,
    options: &UpOptions,
) -> Result<Plan, PlanError> {
    let mut writer = Writer::new(stack, desired, observed, options)?;
    writer.images();
    writer.ground();
    writer.networks();
    writer.containers();
    writer.host_side();
    writer.surplus();
    writer.unwanted_networks();
    writer.unwanted_resources();
    writer.needs();
    writer.draft.finish(&stack.project)
}

/// The steps of one wanted resource by which others order themselves.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    /// The first step that makes room: stop, park, disconnect, remove.
    first: Option<StepIndex>,
    create: Option<StepIndex>,
    start: Option<StepIndex>,
}

struct Writer<'a> {
    stack: &'a Stack,
    desired: &'a Desired,
    observed: &'a Observed,
    options: &'a UpOptions,
    draft: Draft,
    marks: HashMap<ResourceId, Marks>,
    fates: HashMap<ResourceId, Fate>,
    /// Wanted containers, donors first.
    order: Vec<ResourceId>,
    found: HashMap<ResourceId, &'a FoundContainer>,
    /// For each network by the engine's name: the steps after which a container of ours is off it.
    leaving: BTreeMap<String, Vec<StepIndex>>,
    /// For each network by the engine's name: the containers of ours that stay on it.
    staying: BTreeMap<String, usize>,
    /// Steps that remove a network, with what it was.
    removed_networks: Vec<(StepIndex, String)>,
    /// Networks that are replaced, by the engine's name.
    replaced: BTreeMap<String, Vec<String>>,
}

impl<'a> Writer<'a> {
    fn new(
        stack: &'a Stack,
        desired: &'a Desired,
        observed: &'a Observed,
        options: &'a UpOptions,
    ) -> Result<Writer<'a>, PlanError> {
        let mut replaced = BTreeMap::new();
        for spec in desired.specs.values() {
            if let Spec::Network(spec) = spec.as_ref()
                && let network::Fate::Replace(what) = network::fate(spec, observed)
            {
                replaced.insert(spec.name.clone(), what);
            }
        }
        let mut writer = Writer {
            stack,
            desired,
            observed,
            options,
            draft: Draft::default(),
            marks: HashMap::new(),
            fates: HashMap::new(),
            order: donors_first(desired)?,
            found: HashMap::new(),
            leaving: BTreeMap::new(),
            staying: BTreeMap::new(),
            removed_networks: Vec::new(),
            replaced,
        };
        writer.match_containers();
        writer.decide();
        Ok(writer)
    }

    /// Finds the container that is there for each that is wanted: the same service and number.
    fn match_containers(&mut self) {
        let mut ours: HashMap<(&str, u32), &'a FoundContainer> = HashMap::new();
        for found in own_containers(self.stack, self.observed) {
            if let Some(service) = found
                .service
                .as_ref()
                .filter(|_| !found.one_off && found.parked_from().is_none())
            {
                ours.insert((service.as_str(), found.number), found);
            }
        }
        for id in &self.order {
            if let Some(spec) = self
                .desired
                .specs
                .get(id)
                .and_then(|spec| as_container(spec))
                && let Some(found) = ours.get(&(spec.service.as_str(), spec.number))
            {
                self.found.insert(id.clone(), found);
            }
        }
    }

    fn decide(&mut self) {
        let mut donors: HashMap<&ResourceId, Vec<(&ResourceId, bool, bool)>> = HashMap::new();
        for need in self
            .desired
            .needs
            .iter()
            .filter(|need| need.bound || need.restart)
        {
            donors
                .entry(&need.who)
                .or_default()
                .push((&need.what, need.bound, need.restart));
        }
        for id in self.order.clone() {
            let Some(spec) = self
                .desired
                .specs
                .get(&id)
                .and_then(|spec| as_container(spec))
            else {
                continue;
            };
            let found = self.found.get(&id).copied();
            let mut fate = container::fate(spec, found, self.observed, &self.options.recreate);
            for (donor, bound, restart) in donors.get(&id).into_iter().flatten() {
                if let Some(donor_fate) = self.fates.get(*donor) {
                    fate = container::after_donor(fate, donor, donor_fate, *bound, *restart);
                }
            }
            self.fates.insert(id, fate);
        }
    }

    /// Images that are not there.
    fn images(&mut self) {
        for (id, spec) in &self.desired.specs {
            if let Spec::Image(image) = spec.as_ref()
                && !self.observed.images.contains_key(&image.reference)
            {
                let step = image_step(&mut self.draft, id, image, self.options, Reason::Missing);
                self.marks.insert(
                    id.clone(),
                    Marks {
                        first: None,
                        create: Some(step),
                        start: None,
                    },
                );
            }
        }
    }

    /// Lans, links and promiscuous flags.
    fn ground(&mut self) {
        for (id, spec) in &self.desired.specs {
            match spec.as_ref() {
                Spec::Lan(_) | Spec::Link(_) | Spec::Promiscuity(_) => self.host_resource(id, spec),
                Spec::Network(_)
                | Spec::Shim(_)
                | Spec::Route(_)
                | Spec::Volume(_)
                | Spec::Image(_) => {}
                Spec::Container(_) | Spec::Existing(_) | Spec::Endpoint(_) | Spec::Door(_) => {}
            }
        }
    }

    /// Shims, routes and doors.
    fn host_side(&mut self) {
        for (id, spec) in &self.desired.specs {
            match spec.as_ref() {
                Spec::Shim(_) | Spec::Route(_) | Spec::Door(_) => self.host_resource(id, spec),
                Spec::Network(_)
                | Spec::Lan(_)
                | Spec::Link(_)
                | Spec::Promiscuity(_)
                | Spec::Volume(_) => {}
                Spec::Image(_) | Spec::Container(_) | Spec::Existing(_) | Spec::Endpoint(_) => {}
            }
        }
    }

    fn host_resource(&mut self, id: &ResourceId, spec: &Arc<Spec>) {
        if (id.kind == Kind::Route || id.kind == Kind::Door) && self.options.no_start {
            return;
        }
        let step = match self.observed.resources.get(id) {
            None => self.draft.step(
                id,
                State::Absent,
                State::Present(Arc::clone(spec)),
                Reason::Missing,
            ),
            Some(found) => {
                let differs = found.hash != hash::of(spec.as_ref());
                let restarted = self.follows_a_restart(spec);
                if !differs && found.damage.is_empty() && !restarted {
                    return;
                }
                let what = match (differs, found.damage.is_empty()) {
                    (true, _) => vec!["configuration".to_owned()],
                    (false, false) => found.damage.clone(),
                    (false, true) => vec!["its container starts anew".to_owned()],
                };
                let before = State::Present(Arc::new(found.spec.clone()));
                self.draft.step(
                    id,
                    before,
                    State::Present(Arc::clone(spec)),
                    Reason::Changed(what),
                )
            }
        };
        self.marks.insert(
            id.clone(),
            Marks {
                first: None,
                create: Some(step),
                start: None,
            },
        );
    }

    /// Whether a route or door belongs to a container that gets another process, and perhaps another address.
    fn follows_a_restart(&self, spec: &Spec) -> bool {
        let container = match spec {
            Spec::Route(route) => &route.container,
            Spec::Door(door) => &door.container,
            Spec::Lan(_)
            | Spec::Link(_)
            | Spec::Promiscuity(_)
            | Spec::Network(_)
            | Spec::Shim(_) => return false,
            Spec::Volume(_)
            | Spec::Image(_)
            | Spec::Container(_)
            | Spec::Existing(_)
            | Spec::Endpoint(_) => {
                return false;
            }
        };
        self.fates
            .get(&ResourceId::new(Kind::Container, container))
            .is_some_and(Fate::is_restarted)
    }

    /// Networks and volumes: what is missing is made, a network that differs is made anew.
    fn networks(&mut self) {
        for (id, spec) in &self.desired.specs {
            match spec.as_ref() {
                Spec::Network(network) => self.network(id, spec, &network.name),
                Spec::Volume(volume) => {
                    if !self
                        .observed
                        .volumes
                        .iter()
                        .any(|found| found.name == volume.name)
                    {
                        let after = State::Present(Arc::clone(spec));
                        let step = self.draft.step(id, State::Absent, after, Reason::Missing);
                        self.marks.insert(
                            id.clone(),
                            Marks {
                                first: None,
                                create: Some(step),
                                start: None,
                            },
                        );
                    }
                }
                Spec::Lan(_)
                | Spec::Link(_)
                | Spec::Promiscuity(_)
                | Spec::Shim(_)
                | Spec::Route(_) => {}
                Spec::Image(_)
                | Spec::Container(_)
                | Spec::Existing(_)
                | Spec::Endpoint(_)
                | Spec::Door(_) => {}
            }
        }
    }

    fn network(&mut self, id: &ResourceId, spec: &Arc<Spec>, name: &str) {
        let found = self
            .observed
            .networks
            .iter()
            .find(|network| network.spec.name == name);
        let mut marks = Marks::default();
        let reason = match (found, self.replaced.get(name)) {
            (Some(found), Some(what)) => {
                let reason = Reason::Changed(what.clone());
                let before = State::Present(Arc::new(Spec::Network(found.spec.clone())));
                let remove = self.draft.step(id, before, State::Absent, reason.clone());
                marks.first = Some(remove);
                self.removed_networks.push((remove, name.to_owned()));
                reason
            }
            (Some(_), None) => return,
            (None, _) => Reason::Missing,
        };
        let create = self
            .draft
            .step(id, State::Absent, State::Present(Arc::clone(spec)), reason);
        if let Some(remove) = marks.first {
            self.draft.after(remove, create);
        }
        marks.create = Some(create);
        self.marks.insert(id.clone(), marks);
    }

    fn containers(&mut self) {
        for id in self.order.clone() {
            let Some(spec) = self.desired.specs.get(&id) else {
                continue;
            };
            let fate = self.fates.get(&id).cloned().unwrap_or(Fate::Keep);
            let found = self.found.get(&id).copied();
            let marks = self.container(&id, spec, found, &fate);
            if let Some(found) = found {
                self.note_leaving(found, &fate, marks);
            }
            self.marks.insert(id, marks);
        }
    }

    fn container(
        &mut self,
        id: &ResourceId,
        spec: &Arc<Spec>,
        found: Option<&FoundContainer>,
        fate: &Fate,
    ) -> Marks {
        let mut marks = Marks::default();
        match (fate, found) {
            (Fate::Create(reason), _) => self.make(id, spec, reason, &mut marks),
            (Fate::Replace(reason), Some(found)) => {
                let old = Arc::new(Spec::Existing(container::existing(
                    found,
                    self.options.timeout,
                )));
                let before = if found.runs() {
                    State::Running(Arc::clone(&old))
                } else {
                    State::Present(Arc::clone(&old))
                };
                let cut = self.cut_from_replaced(found);
                let old_id = ResourceId::new(Kind::Container, &found.name);
                let park = self.draft.step(
                    &old_id,
                    before,
                    State::Parked(Arc::clone(&old)),
                    reason.clone(),
                );
                for step in cut {
                    self.draft.after(step, park);
                }
                marks.first = Some(park);
                self.make(id, spec, reason, &mut marks);
                let discard = self.draft.push(Step {
                    id: old_id,
                    before: State::Parked(old),
                    after: State::Absent,
                    reason: reason.clone(),
                    undo: Undo::Never,
                    farewell: true,
                });
                self.draft.after(park, discard);
            }
            (Fate::Rewire { rewiring, start }, Some(found)) => {
                self.rewire(id, &rewiring.disconnect, &rewiring.connect, &mut marks);
                let kept = self.endpoints_of_replaced(found, spec, &rewiring.disconnect);
                self.rewire(id, &kept.0, &kept.1, &mut marks);
                self.start_of(id, spec, found, start.as_ref(), &mut marks);
            }
            (Fate::Keep | Fate::Start(_) | Fate::Restart(_), Some(found)) => {
                let kept = self.endpoints_of_replaced(found, spec, &[]);
                self.rewire(id, &kept.0, &kept.1, &mut marks);
                if let Fate::Restart(reason) = fate {
                    let old = Arc::new(Spec::Existing(container::existing(
                        found,
                        self.options.timeout,
                    )));
                    let stop = self.draft.step(
                        id,
                        State::Running(Arc::clone(&old)),
                        State::Present(old),
                        reason.clone(),
                    );
                    marks.first = marks.first.or(Some(stop));
                    marks.create = marks.create.or(Some(stop));
                    self.start_of(id, spec, found, Some(reason), &mut marks);
                    if let Some(start) = marks.start {
                        self.draft.after(stop, start);
                    }
                } else if let Fate::Start(reason) = fate {
                    self.start_of(id, spec, found, Some(reason), &mut marks);
                }
            }
            (
                Fate::Replace(_)
                | Fate::Rewire { .. }
                | Fate::Keep
                | Fate::Start(_)
                | Fate::Restart(_),
                None,
            ) => {}
        }
        marks
    }

    fn make(&mut self, id: &ResourceId, spec: &Arc<Spec>, reason: &Reason, marks: &mut Marks) {
        let create = self.draft.step(
            id,
            State::Absent,
            State::Present(Arc::clone(spec)),
            reason.clone(),
        );
        if let Some(first) = marks.first {
            self.draft.after(first, create);
        }
        marks.create = Some(create);
        if !self.options.no_start {
            let (before, after) = (
                State::Present(Arc::clone(spec)),
                State::Running(Arc::clone(spec)),
            );
            let start = self.draft.step(id, before, after, reason.clone());
            self.draft.after(create, start);
            marks.start = Some(start);
        }
    }

    fn start_of(
        &mut self,
        id: &ResourceId,
        _spec: &Arc<Spec>,
        found: &FoundContainer,
        reason: Option<&Reason>,
        marks: &mut Marks,
    ) {
        let Some(reason) = reason.filter(|_| !self.options.no_start) else {
            return;
        };
        let there = Arc::new(Spec::Existing(container::existing(
            found,
            self.options.timeout,
        )));
        let start = self.draft.step(
            id,
            State::Present(Arc::clone(&there)),
            State::Running(there),
            reason.clone(),
        );
        if let Some(create) = marks.create {
            self.draft.after(create, start);
        }
        marks.start = Some(start);
    }

    /// Cuts and makes endpoints of a container that stays.
    fn rewire(
        &mut self,
        id: &ResourceId,
        cut: &[AttachmentSpec],
        make: &[AttachmentSpec],
        marks: &mut Marks,
    ) {
        let mut last_cut = None;
        for attachment in cut {
            let step = self.endpoint(id, attachment, false);
            marks.first = marks.first.or(Some(step));
            self.leaving
                .entry(attachment.network.clone())
                .or_default()
                .push(step);
            last_cut = Some(step);
        }
        for attachment in make {
            let step = self.endpoint(id, attachment, true);
            if let Some(cut) = last_cut {
                self.draft.after(cut, step);
            }
            let network = ResourceId::new(Kind::Network, &attachment.network);
            if let Some(create) = self.marks.get(&network).and_then(|marks| marks.create) {
                self.draft.after(create, step);
            }
            marks.create = Some(step);
        }
    }

    fn endpoint(
        &mut self,
        id: &ResourceId,
        attachment: &AttachmentSpec,
        connect: bool,
    ) -> StepIndex {
        let spec = Spec::Endpoint(EndpointSpec {
            container: id.name.clone(),
            attachment: attachment.clone(),
        });
        let endpoint = spec.id();
        let there = State::Present(Arc::new(spec));
        let network = ResourceId::new(Kind::Network, &attachment.network);
        let reason = match self.replaced.contains_key(&attachment.network) {
            true => Reason::Because(network),
            false => Reason::Changed(vec![format!("networks.{}", attachment.network)]),
        };
        let (before, after) = if connect {
            (State::Absent, there)
        } else {
            (there, State::Absent)
        };
        self.draft.step(&endpoint, before, after, reason)
    }

    /// The endpoints that a container that stays loses and gets back because their network is made anew: as they are,
    /// and as they should be.
    fn endpoints_of_replaced(
        &self,
        found: &FoundContainer,
        spec: &Arc<Spec>,
        already: &[AttachmentSpec],
    ) -> (Vec<AttachmentSpec>, Vec<AttachmentSpec>) {
        let is_cut = |network: &str| {
            already
                .iter()
                .any(|attachment| attachment.network == network)
        };
        let cut: Vec<AttachmentSpec> = container::attachments_of(found)
            .into_iter()
            .filter(|attachment| {
                self.replaced.contains_key(&attachment.network) && !is_cut(&attachment.network)
            })
            .collect();
        let wanted = as_container(spec)
            .map(wanted_attachments)
            .unwrap_or_default();
        let back = wanted
            .iter()
            .filter(|new| cut.iter().any(|old| old.network == new.network))
            .cloned()
            .collect();
        (cut, back)
    }

    /// A container that is parked lets go of networks that are made anew: else it could not be brought back on them.
    fn cut_from_replaced(&mut self, found: &FoundContainer) -> Vec<StepIndex> {
        let id = ResourceId::new(Kind::Container, &found.name);
        let old = container::attachments_of(found).into_iter();
        let old: Vec<AttachmentSpec> = old
            .filter(|old| self.replaced.contains_key(&old.network))
            .collect();
        old.iter()
            .map(|attachment| {
                let step = self.endpoint(&id, attachment, false);
                self.leaving
                    .entry(attachment.network.clone())
                    .or_default()
                    .push(step);
                step
            })
            .collect()
    }

    /// Notes from which networks a container goes, and on which it stays.
    fn note_leaving(&mut self, found: &FoundContainer, fate: &Fate, marks: Marks) {
        for endpoint in &found.endpoints {
            match (fate, marks.first) {
                (Fate::Replace(_), Some(park)) => {
                    self.leaving
                        .entry(endpoint.network.clone())
                        .or_default()
                        .push(park);
                }
                (Fate::Rewire { rewiring, .. }, _)
                    if rewiring
                        .disconnect
                        .iter()
                        .any(|old| old.network == endpoint.network) => {}
                (_, _) if self.replaced.contains_key(&endpoint.network) => {}
                (_, _) => *self.staying.entry(endpoint.network.clone()).or_default() += 1,
            }
        }
    }

    /// Containers that nobody wants: more than the scale, orphans where asked, parked ones of a lost run.
    fn surplus(&mut self) {
        let wanted: BTreeSet<&str> = self
            .found
            .values()
            .map(|found| found.engine_id.as_str())
            .collect();
        for found in own_containers(self.stack, self.observed) {
            if wanted.contains(found.engine_id.as_str()) {
                continue;
            }
            let (reason, farewell) = match self.unwanted(found) {
                Some(verdict) => verdict,
                None => {
                    for endpoint in &found.endpoints {
                        *self.staying.entry(endpoint.network.clone()).or_default() += 1;
                    }
                    continue;
                }
            };
            let old = Arc::new(Spec::Existing(container::existing(
                found,
                self.options.timeout,
            )));
            let before = match (found.parked_from(), found.runs()) {
                (Some(_), _) => State::Parked(old),
                (None, true) => State::Running(old),
                (None, false) => State::Present(old),
            };
            let step = self.draft.push(Step {
                id: ResourceId::new(Kind::Container, found.parked_from().unwrap_or(&found.name)),
                before,
                after: State::Absent,
                reason,
                undo: Undo::Never,
                farewell,
            });
            for endpoint in &found.endpoints {
                self.leaving
                    .entry(endpoint.network.clone())
                    .or_default()
                    .push(step);
            }
        }
    }

    /// Why a container of the project that matches no wanted one goes, and whether it does so as a farewell.
    fn unwanted(&self, found: &FoundContainer) -> Option<(Reason, bool)> {
        if found.parked_from().is_some() {
            return Some((Reason::Leftover, true));
        }
        if found.one_off {
            return None;
        }
        match &found.service {
            Some(service) if self.desired.containers.contains_key(service) => {
                Some((Reason::Surplus, false))
            }
            Some(service) if self.stack.inactive.contains(service) => None,
            Some(_) | None => self
                .options
                .remove_orphans
                .then_some((Reason::Orphan, false)),
        }
    }

    /// Networks of the project that the file no longer has and nobody stays on.
    fn unwanted_networks(&mut self) {
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
    fn order_network_removals(&mut self) {
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
    fn unwanted_resources(&mut self) {
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
                order_by_kind(&mut self.draft, (*later, *other), (id.kind, step));
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
    fn is_still_used(&self, spec: &Spec) -> bool {
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
                        && is_on(&network.spec, spec)
                        && self.staying.get(name).is_some_and(|count| *count > 0)
                })
            }
            Spec::Network(_) | Spec::Volume(_) | Spec::Image(_) | Spec::Container(_) => false,
            Spec::Existing(_) | Spec::Endpoint(_) | Spec::Door(_) => false,
        }
    }

    /// The edges that the stack's needs ask for.
    fn needs(&mut self) {
        for need in &self.desired.needs {
            let who = self.marks.get(&need.who).copied().unwrap_or_default();
            let own = match need.at {
                At::Create => who.create.or(who.start),
                At::Start => who.start,
            };
            // Those that follow a donor stop before it goes.
            if need.bound || need.restart {
                let what = self.marks.get(&need.what).copied().unwrap_or_default();
                if let (Some(own), Some(first)) = (who.first, what.first) {
                    self.draft.after(own, first);
                }
            }
            let Some(own) = own else { continue };
            let what = self.marks.get(&need.what).copied().unwrap_or_default();
            match need.until {
                Until::Created => {
                    if let Some(step) = what.create {
                        self.draft.edge(step, own, Milestone::Done, need.optional);
                    }
                }
                Until::Started => {
                    if let Some(step) = what.start.or(what.create) {
                        self.draft.edge(step, own, Milestone::Done, need.optional);
                    }
                }
                Until::Healthy | Until::Completed => {
                    let milestone = if need.until == Until::Healthy {
                        Milestone::Healthy
                    } else {
                        Milestone::Completed
                    };
                    let step = match what.start {
                        Some(step) => Some(step),
                        None => self.check(&need.what, &need.who),
                    };
                    if let Some(step) = step {
                        self.draft.edge(step, own, milestone, need.optional);
                    }
                }
            }
        }
    }

    /// A step that changes nothing and stands for a container that runs already and is waited for.
    fn check(&mut self, id: &ResourceId, who: &ResourceId) -> Option<StepIndex> {
        let found = self.found.get(id).copied()?;
        let there = State::Running(Arc::new(Spec::Existing(container::existing(
            found,
            self.options.timeout,
        ))));
        let step = self
            .draft
            .step(id, there.clone(), there, Reason::Because(who.clone()));
        self.marks.entry(id.clone()).or_default().start = Some(step);
        Some(step)
    }
}

/// The plan that only fetches and builds images that must come whether or not they are there (`--build`,
/// `--pull always`): run before [`up`], so that an image that turns out the same recreates nothing.
pub fn fetch(stack: &Stack, desired: &Desired, options: &UpOptions) -> Result<Plan, PlanError> {
    let mut draft = Draft::default();
    for (id, spec) in &desired.specs {
        let Spec::Image(image) = spec.as_ref() else {
            continue;
        };
        let must_come = match &image.source {
            ImageSource::Build(_) => options.build,
            ImageSource::Pull(own) => options.pull.unwrap_or(*own) == PullPolicy::Always,
        };
        if must_come {
            image_step(
                &mut draft,
                id,
                image,
                options,
                Reason::Asked("a new image".to_owned()),
            );
        }
    }
    draft.finish(&stack.project)
}

fn image_step(
    draft: &mut Draft,
    id: &ResourceId,
    image: &ImageSpec,
    options: &UpOptions,
    reason: Reason,
) -> StepIndex {
    let mut wanted = image.clone();
    if let (ImageSource::Pull(policy), Some(asked)) = (&mut wanted.source, options.pull) {
        *policy = asked;
    }
    draft.push(Step {
        id: id.clone(),
        before: State::Absent,
        after: State::Present(Arc::new(Spec::Image(wanted))),
        reason,
        undo: Undo::Keep,
        farewell: false,
    })
}

/// The order in which kinds of host resources are removed: what stands on others first.
pub fn order_by_kind(draft: &mut Draft, one: (Kind, StepIndex), two: (Kind, StepIndex)) {
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

/// Whether a network sits on a lan, a link or a parent.
pub fn is_on(network: &crate::plan::spec::NetworkSpec, ground: &Spec) -> bool {
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

fn own_containers<'a>(
    stack: &'a Stack,
    observed: &'a Observed,
) -> impl Iterator<Item = &'a FoundContainer> {
    observed
        .containers
        .iter()
        .filter(|found| found.project.as_deref() == Some(stack.project.as_str()))
}

fn as_container(spec: &Arc<Spec>) -> Option<&ContainerSpec> {
    match spec.as_ref() {
        Spec::Container(container) => Some(container),
        Spec::Lan(_) | Spec::Link(_) | Spec::Promiscuity(_) | Spec::Network(_) | Spec::Shim(_) => {
            None
        }
        Spec::Route(_) | Spec::Volume(_) | Spec::Image(_) | Spec::Existing(_) => None,
        Spec::Endpoint(_) | Spec::Door(_) => None,
    }
}

fn wanted_attachments(spec: &ContainerSpec) -> Vec<AttachmentSpec> {
    use crate::plan::spec::ContainerNetwork;
    match &spec.network {
        ContainerNetwork::Attached(attachments) => attachments.clone(),
        ContainerNetwork::Host
        | ContainerNetwork::None
        | ContainerNetwork::DefaultBridge { .. } => Vec::new(),
        ContainerNetwork::Container(_) | ContainerNetwork::Named(_) => Vec::new(),
    }
}

/// The wanted containers, each after those it needs.
fn donors_first(desired: &Desired) -> Result<Vec<ResourceId>, PlanError> {
    let ids: Vec<&ResourceId> = desired
        .specs
        .keys()
        .filter(|id| id.kind == Kind::Container)
        .collect();
    let index: HashMap<&ResourceId, usize> = ids
        .iter()
        .enumerate()
        .map(|(index, id)| (*id, index))
        .collect();
    let edges = desired
        .needs
        .iter()
        .filter_map(|need| Some((*index.get(&need.what)?, *index.get(&need.who)?)));
    let named = |node: &usize| ids.get(*node).map(|id| (*id).clone());
    match Graph::new(ids.len(), edges).order() {
        Ok(order) => Ok(order.iter().filter_map(named).collect()),
        Err(cycle) => Err(PlanError::Cycle(cycle.iter().filter_map(named).collect())),
    }
}

/// The services of a stack that have containers nobody wants any more: told to the user where they are not removed.
pub fn orphans<'a>(stack: &'a Stack, observed: &'a Observed) -> Vec<&'a FoundContainer> {
    let known = |service: &ServiceName| {
        stack.services.contains_key(service) || stack.inactive.contains(service)
    };
    own_containers(stack, observed)
        .filter(|found| !found.one_off && found.parked_from().is_none())
        .filter(|found| !found.service.as_ref().is_some_and(known))
        .collect()
}
