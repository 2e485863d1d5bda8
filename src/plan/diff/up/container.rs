//! Steps of `up` for wanted containers: made, parked, rewired, restarted, started.

use std::sync::Arc;

use crate::plan::diff::container::{self, Fate};
use crate::plan::diff::up::{Marks, Rewired, Writer, as_container, own_containers};
use crate::plan::observed::FoundContainer;
use crate::plan::spec::{
    AttachmentSpec, ContainerNetwork, ContainerSpec, EndpointSpec, Kind, ResourceId, Spec,
};
use crate::plan::step::{Reason, State, Step, StepIndex, Undo};

impl Writer<'_> {
    pub(super) fn containers(&mut self) {
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

    pub(super) fn container(
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
                self.stops.insert(found.engine_id.clone(), park);
                marks.first = Some(park);
                let heir = self.heir(spec, found);
                self.make(id, &heir, reason, &mut marks);
                let discard = self.draft.push(Step {
                    id: old_id,
                    before: State::Parked(old),
                    after: State::Absent,
                    reason: reason.clone(),
                    undo: Undo::Never,
                    farewell: true,
                });
                self.draft.after(park, discard);
                self.discards.insert(found.engine_id.clone(), discard);
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
                    self.stops.insert(found.engine_id.clone(), stop);
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

    /// The spec of a container that replaces another: with its anonymous volumes, unless new ones are asked for.
    pub(super) fn heir(&self, spec: &Arc<Spec>, found: &FoundContainer) -> Arc<Spec> {
        match as_container(spec) {
            Some(container) if !self.options.renew_volumes => {
                let mut heir = container.clone();
                heir.heir_of = Some(found.engine_id.clone());
                Arc::new(Spec::Container(Box::new(heir)))
            }
            Some(_) | None => Arc::clone(spec),
        }
    }

    pub(super) fn make(
        &mut self,
        id: &ResourceId,
        spec: &Arc<Spec>,
        reason: &Reason,
        marks: &mut Marks,
    ) {
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

    pub(super) fn start_of(
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
    pub(super) fn rewire(
        &mut self,
        id: &ResourceId,
        cut: &[AttachmentSpec],
        make: &[AttachmentSpec],
        marks: &mut Marks,
    ) {
        let mut cuts = Vec::new();
        for attachment in cut {
            let step = self.endpoint(id, attachment, false);
            self.rewired_at(id, attachment).cuts.push(step);
            marks.first = marks.first.or(Some(step));
            self.leaving
                .entry(attachment.network.clone())
                .or_default()
                .push(step);
            cuts.push(step);
        }
        for attachment in make {
            let step = self.endpoint(id, attachment, true);
            self.rewired_at(id, attachment).makes.push(step);
            for cut in &cuts {
                self.draft.after(*cut, step);
            }
            let network = ResourceId::new(Kind::Network, &attachment.network);
            if let Some(create) = self.marks.get(&network).and_then(|marks| marks.create) {
                self.draft.after(create, step);
            }
            marks.create = Some(step);
        }
    }

    fn rewired_at(&mut self, id: &ResourceId, attachment: &AttachmentSpec) -> &mut Rewired {
        let endpoint = (id.name.clone(), attachment.network.clone());
        self.rewired.entry(endpoint).or_default()
    }

    pub(super) fn endpoint(
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
    pub(super) fn endpoints_of_replaced(
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
    pub(super) fn cut_from_replaced(&mut self, found: &FoundContainer) -> Vec<StepIndex> {
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

    /// Containers that share another's namespace stop before it does, so that, brought back, it starts before them.
    pub(super) fn sharers(&mut self) {
        for found in own_containers(self.stack, self.observed) {
            let Some(owner) = found.network_mode.strip_prefix("container:") else {
                continue;
            };
            let (own, owner) = (self.stops.get(&found.engine_id), self.stops.get(owner));
            if let (Some(own), Some(owner)) = (own, owner) {
                self.draft.after(*own, *owner);
            }
        }
    }

    /// Notes from which networks a container goes, and on which it stays.
    pub(super) fn note_leaving(&mut self, found: &FoundContainer, fate: &Fate, marks: Marks) {
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
}

fn wanted_attachments(spec: &ContainerSpec) -> Vec<AttachmentSpec> {
    match &spec.network {
        ContainerNetwork::Attached(attachments) => attachments.clone(),
        ContainerNetwork::Host
        | ContainerNetwork::None
        | ContainerNetwork::DefaultBridge { .. } => Vec::new(),
        ContainerNetwork::Container(_) | ContainerNetwork::Named(_) => Vec::new(),
    }
}
