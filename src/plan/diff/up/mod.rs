//! `up`: the plan that makes the world as the stack wants it, with the least harm.
//!
//! Order of work: fates first (what becomes of each resource, donors before those that depend on them), then steps,
//! then edges. A container that is replaced is parked, and discarded as a farewell when all else stands.

mod address;
mod container;
mod host;
pub mod image;
mod network;
mod removal;
pub mod room;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::model::name::ServiceName;
use crate::model::service::PullPolicy;
use crate::model::stack::Stack;
use crate::plan::desired::{At, Desired, Until};
use crate::plan::diff::PlanError;
use crate::plan::diff::container::{
    Fate, Recreate, after_donor, attachments_of, existing, fate, only_at_creation,
};
use crate::plan::diff::draft::Draft;
use crate::plan::diff::network::{Fate as NetworkFate, fate as network_fate};
use crate::plan::graph::Graph;
use crate::plan::observed::{FoundContainer, Observed};
use crate::plan::spec::{ContainerNetwork, ContainerSpec, Kind, ResourceId, Spec};
use crate::plan::step::{Milestone, Plan, Reason, State, StepIndex};

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
    /// A container that replaces another gets new anonymous volumes (`-V`).
    pub renew_volumes: bool,
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
    writer.surplus();
    writer.host_side();
    writer.unwanted();
    writer.sharers();
    writer.needs();
    writer.replant();
    writer.hand_over();
    writer.room();
    writer.claims();
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

/// The steps of one endpoint by which its route and door order themselves.
#[derive(Debug, Clone, Default)]
struct Rewired {
    cuts: Vec<StepIndex>,
    makes: Vec<StepIndex>,
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
    /// For each container that is there, by the engine's id: the step that stops or parks it.
    stops: HashMap<String, StepIndex>,
    /// For each container that goes, by the engine's id: the step that discards it in the end.
    discards: HashMap<String, StepIndex>,
    /// For each endpoint of a container that stays, by the container's name and the engine's name of the network: the
    /// steps that cut and make it.
    rewired: HashMap<(String, String), Rewired>,
    /// Steps that remove what stands on a lan or link that is made anew.
    uprooted: Vec<(Kind, StepIndex)>,
    /// Steps that remove a network that is made anew, with its name.
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
                && let NetworkFate::Replace(what) = network_fate(spec, observed)
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
            stops: HashMap::new(),
            discards: HashMap::new(),
            rewired: HashMap::new(),
            uprooted: Vec::new(),
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
        let there: HashSet<&ServiceName> = self
            .found
            .keys()
            .filter_map(|id| self.service_of(id))
            .collect();
        let asked = address::asked(self.desired);
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
            let mut fate = fate(spec, found, self.observed, &self.options.recreate);
            if let Some(network) = self.bound_to_replaced(spec, found)
                && !fate.is_new()
            {
                fate = Fate::Replace(Reason::Because(network));
            }
            if let (Fate::Keep, Some(ground)) = (&fate, self.uprooted(spec, found)) {
                fate = Fate::Restart(Reason::Because(ground));
            }
            if let (Fate::Keep, Some(found)) = (&fate, found)
                && let Some(way) = address::giving_way(&id, spec, found, &asked, self.observed)
            {
                fate = way;
            }
            for (donor, bound, restart) in donors.get(&id).into_iter().flatten() {
                // One more container of a service that stands is no news to those that follow it.
                let is_one_more = !bound
                    && self.fates.get(*donor).is_some_and(Fate::is_new)
                    && !self.found.contains_key(*donor)
                    && self.service_of(donor).is_some_and(|of| there.contains(of));
                if let Some(donor_fate) = self.fates.get(*donor).filter(|_| !is_one_more) {
                    fate = after_donor(fate, donor, donor_fate, *bound, *restart);
                }
            }
            self.fates.insert(id, fate);
        }
    }

    /// The service of a wanted container.
    fn service_of(&self, id: &ResourceId) -> Option<&'a ServiceName> {
        let spec = self.desired.specs.get(id)?;
        as_container(spec).map(|spec| &spec.service)
    }

    /// A network that is made anew and that this container cannot be put back on as it should be, or as it was.
    fn bound_to_replaced(
        &self,
        spec: &ContainerSpec,
        found: Option<&FoundContainer>,
    ) -> Option<ResourceId> {
        let wanted = match &spec.network {
            ContainerNetwork::Attached(attachments) => attachments.as_slice(),
            ContainerNetwork::Host
            | ContainerNetwork::None
            | ContainerNetwork::DefaultBridge { .. } => &[],
            ContainerNetwork::Container(_) | ContainerNetwork::Named(_) => &[],
        };
        let noted = found.map(attachments_of).unwrap_or_default();
        wanted
            .iter()
            .chain(&noted)
            .filter(|attachment| self.replaced.contains_key(&attachment.network))
            .find(|attachment| only_at_creation(attachment, self.observed).is_some())
            .map(|attachment| ResourceId::new(Kind::Network, &attachment.network))
    }

    /// The lan or link that went away from under a network of a running container. The kernel has taken the container's
    /// own link along, and only a start makes it anew.
    fn uprooted(&self, spec: &ContainerSpec, found: Option<&FoundContainer>) -> Option<ResourceId> {
        let running = found.is_some_and(FoundContainer::runs);
        let ContainerNetwork::Attached(attachments) = &spec.network else {
            return None;
        };
        if !running || self.options.no_start || self.observed.host.is_none() {
            return None;
        }
        let grounds = attachments.iter().flat_map(|attachment| {
            let network = ResourceId::new(Kind::Network, &attachment.network);
            self.grounds_of(network)
        });
        let gone = |ground: &&ResourceId| self.is_gone(ground) || self.is_uprooted(ground);
        grounds.into_iter().find(gone).cloned()
    }

    fn grounds_of(&self, network: ResourceId) -> impl Iterator<Item = &'a ResourceId> + use<'a> {
        self.desired
            .needs
            .iter()
            .filter(move |need| {
                need.who == network && matches!(need.what.kind, Kind::Lan | Kind::Link)
            })
            .map(|need| &need.what)
    }

    /// A container that is there starts when the lans and links below its networks are: nothing else orders it, as its
    /// networks are there too.
    fn replant(&mut self) {
        for (id, fate) in &self.fates {
            let start = self.marks.get(id).and_then(|marks| marks.start);
            let (false, Some(start)) = (fate.is_new(), start) else {
                continue;
            };
            let spec = self.desired.specs.get(id);
            let attached = spec.and_then(|spec| match &as_container(spec)?.network {
                ContainerNetwork::Attached(attachments) => Some(attachments),
                ContainerNetwork::Host
                | ContainerNetwork::None
                | ContainerNetwork::DefaultBridge { .. }
                | ContainerNetwork::Container(_)
                | ContainerNetwork::Named(_) => None,
            });
            for attachment in attached.into_iter().flatten() {
                let network = ResourceId::new(Kind::Network, &attachment.network);
                for ground in self.grounds_of(network) {
                    if let Some(back) = self.marks.get(ground).and_then(|marks| marks.create) {
                        self.draft.after(back, start);
                    }
                }
            }
        }
    }

    /// The edges that the stack's needs ask for.
    fn needs(&mut self) {
        let cuts = self.cuts();
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
            // What a container is replaced for comes first: an image that does not come leaves the old one running.
            if need.what.kind == Kind::Image
                && let (Some(image), Some(first)) = (what.create, who.first)
            {
                self.draft.after(image, first);
                for cut in cuts.get(need.who.name.as_str()).into_iter().flatten() {
                    self.draft.after(image, *cut);
                }
            }
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

    /// The steps that cut endpoints, by the container's name.
    fn cuts(&self) -> HashMap<String, Vec<StepIndex>> {
        let mut cuts: HashMap<String, Vec<StepIndex>> = HashMap::new();
        for (index, step) in self.draft.steps().iter().enumerate() {
            if let State::Present(before) = &step.before
                && let Spec::Endpoint(endpoint) = before.as_ref()
                && step.after == State::Absent
            {
                let of = cuts.entry(endpoint.container.clone()).or_default();
                of.push(StepIndex(index));
            }
        }
        cuts
    }

    /// A step that changes nothing and stands for a container that runs already and is waited for.
    fn check(&mut self, id: &ResourceId, who: &ResourceId) -> Option<StepIndex> {
        let found = self.found.get(id).copied()?;
        let there = State::Running(Arc::new(Spec::Existing(existing(
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
