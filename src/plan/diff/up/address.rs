//! Addresses that go from one container to another: the new holder comes to them when the old one has let go, and one
//! that was given an address by the engine gives it up where the file asks for it elsewhere.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::plan::desired::Desired;
use crate::plan::diff::container::{Fate, Rewiring, attachments_of, only_at_creation};
use crate::plan::diff::up::{Writer, as_container};
use crate::plan::observed::{FoundContainer, Observed};
use crate::plan::spec::{AttachmentSpec, ContainerNetwork, ContainerSpec, Kind, ResourceId, Spec};
use crate::plan::step::{Milestone, Reason, State, Step, StepIndex};

/// An address of a network, by the engine's name of that.
pub(super) type Place = (String, IpAddr);

/// Which wanted container is to have each fixed address.
pub(super) fn asked(desired: &Desired) -> HashMap<Place, ResourceId> {
    let containers = desired
        .specs
        .iter()
        .filter_map(|(id, spec)| Some((id, as_container(spec)?)));
    containers
        .flat_map(|(id, spec)| {
            let places = of_container(spec);
            places.into_iter().map(move |place| (place, id.clone()))
        })
        .collect()
}

/// What becomes of a container that stays as it is, but for an address that the engine chose for it and that another one
/// is to have: it is connected anew or, where that would lose what only a start gives, started anew.
pub(super) fn giving_way(
    id: &ResourceId,
    spec: &ContainerSpec,
    found: &FoundContainer,
    asked: &HashMap<Place, ResourceId>,
    observed: &Observed,
) -> Option<Fate> {
    let ContainerNetwork::Attached(wanted) = &spec.network else {
        return None;
    };
    let mut rewiring = Rewiring::default();
    for endpoint in found.endpoints.iter().filter(|_| found.runs()) {
        let is_fixed =
            |one: &IpAddr| [endpoint.asked_ipv4, endpoint.asked_ipv6].contains(&Some(*one));
        let mut chosen = endpoint.ipv4.into_iter().chain(endpoint.ipv6);
        let other = chosen.find_map(|address| {
            let other = asked.get(&(endpoint.network.clone(), address))?;
            (other != id && !is_fixed(&address)).then_some(other)
        });
        let is_it = |one: &&AttachmentSpec| one.network == endpoint.network;
        let attachments = attachments_of(found);
        let (Some(other), Some(old), Some(new)) = (
            other,
            attachments.iter().find(is_it),
            wanted.iter().find(is_it),
        ) else {
            continue;
        };
        if [old, new]
            .iter()
            .any(|one| only_at_creation(one, observed).is_some())
        {
            return Some(Fate::Restart(Reason::Because(other.clone())));
        }
        rewiring.disconnect.push(old.clone());
        rewiring.connect.push(new.clone());
    }
    (!rewiring.connect.is_empty()).then_some(Fate::Rewire {
        rewiring,
        start: None,
    })
}

impl Writer<'_> {
    /// Whoever begins to use an address waits for the step that frees it, and who had it comes back after that.
    pub(super) fn hand_over(&mut self) {
        let mut freed: HashMap<Place, Vec<StepIndex>> = HashMap::new();
        let mut back: HashMap<&ResourceId, StepIndex> = HashMap::new();
        for (index, step) in self.draft.steps().iter().enumerate() {
            for place in frees(step, self.observed) {
                freed.entry(place).or_default().push(StepIndex(index));
            }
            // One that is to have an address of its own asks nobody for another.
            if comes_back(step) && begins(step).is_empty() {
                back.insert(&step.id, StepIndex(index));
            }
        }
        let mut edges = Vec::new();
        let mut returns = Vec::new();
        for (index, step) in self.draft.steps().iter().enumerate() {
            for place in begins(step) {
                for from in freed.get(&place).into_iter().flatten() {
                    edges.push((*from, StepIndex(index)));
                    let who = self.draft.steps().get(from.0).map(|step| &step.id);
                    let again = who.and_then(|id| back.get(id)).copied();
                    returns.extend(again.map(|again| (StepIndex(index), again)));
                }
            }
        }
        for (from, to) in edges {
            self.draft.after(from, to);
        }
        for (begin, again) in returns {
            if begin != again && !self.draft.before(begin).contains(&again) {
                // That the one fails is no reason to do without the other.
                self.draft.edge(begin, again, Milestone::Done, true);
            }
        }
    }
}

/// Whether a step connects an endpoint or starts a container: it has addresses from then on.
fn comes_back(step: &Step) -> bool {
    match step.id.kind {
        Kind::Endpoint => step.after != State::Absent,
        Kind::Container => matches!(step.after, State::Running(_)),
        _ => false,
    }
}

/// The addresses that nobody has after a step: those of an endpoint that is cut.
fn frees(step: &Step, observed: &Observed) -> Vec<Place> {
    let (name, network, mut places) = match (spec_of(&step.before), &step.after) {
        (Some(Spec::Endpoint(old)), State::Absent) => {
            let network = Some(&old.attachment.network);
            (&old.container, network, fixed(&old.attachment))
        }
        (Some(Spec::Existing(_)), after)
            if matches!(step.before, State::Running(_)) && !matches!(after, State::Running(_)) =>
        {
            (&step.id.name, None, Vec::new())
        }
        _ => return Vec::new(),
    };
    let container = observed.containers.iter().find(|found| found.name == *name);
    let endpoints = container.into_iter().flat_map(|found| &found.endpoints);
    for endpoint in endpoints.filter(|one| network.is_none_or(|network| one.network == *network)) {
        let now = endpoint.ipv4.into_iter().chain(endpoint.ipv6);
        places.extend(now.map(|address| (endpoint.network.clone(), address)));
    }
    places.sort();
    places.dedup();
    places
}

/// The fixed addresses that a step begins to use.
fn begins(step: &Step) -> Vec<Place> {
    match (&step.before, spec_of(&step.after)) {
        (State::Absent, Some(Spec::Endpoint(new))) => fixed(&new.attachment),
        (State::Present(_), Some(Spec::Container(new)))
            if step.id.kind == Kind::Container && matches!(step.after, State::Running(_)) =>
        {
            of_container(new)
        }
        _ => Vec::new(),
    }
}

/// The fixed addresses of a container.
fn of_container(spec: &ContainerSpec) -> Vec<Place> {
    match &spec.network {
        ContainerNetwork::Attached(attachments) => attachments.iter().flat_map(fixed).collect(),
        ContainerNetwork::Host
        | ContainerNetwork::None
        | ContainerNetwork::DefaultBridge { .. }
        | ContainerNetwork::Container(_)
        | ContainerNetwork::Named(_) => Vec::new(),
    }
}

fn spec_of(state: &State) -> Option<&Spec> {
    state.spec().map(AsRef::as_ref)
}

fn fixed(attachment: &AttachmentSpec) -> Vec<Place> {
    let v4 = attachment.ipv4_address.map(IpAddr::V4);
    let v6 = attachment.ipv6_address.map(IpAddr::V6);
    let addresses = v4.into_iter().chain(v6);
    addresses
        .map(|address| (attachment.network.clone(), address))
        .collect()
}
