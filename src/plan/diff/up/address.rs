//! Addresses that go from one container to another: the new holder comes to them when the old one has let go.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::plan::diff::up::Writer;
use crate::plan::observed::Observed;
use crate::plan::spec::{AttachmentSpec, ContainerNetwork, Kind, Spec};
use crate::plan::step::{State, Step, StepIndex};

/// An address of a network, by the engine's name of that.
type Place = (String, IpAddr);

impl Writer<'_> {
    /// Whoever begins to use an address waits for the step that frees it.
    pub(super) fn hand_over(&mut self) {
        let mut freed: HashMap<Place, Vec<StepIndex>> = HashMap::new();
        for (index, step) in self.draft.steps().iter().enumerate() {
            for place in frees(step, self.observed) {
                freed.entry(place).or_default().push(StepIndex(index));
            }
        }
        let mut edges = Vec::new();
        for (index, step) in self.draft.steps().iter().enumerate() {
            for place in begins(step) {
                let others = freed.get(&place).into_iter().flatten();
                edges.extend(others.map(|from| (*from, StepIndex(index))));
            }
        }
        for (from, to) in edges {
            self.draft.after(from, to);
        }
    }
}

/// The addresses that nobody has after a step: those of an endpoint that is cut.
fn frees(step: &Step, observed: &Observed) -> Vec<Place> {
    let (Some(Spec::Endpoint(old)), State::Absent) = (spec_of(&step.before), &step.after) else {
        return Vec::new();
    };
    let network = &old.attachment.network;
    let mut places = fixed(&old.attachment);
    let container = observed
        .containers
        .iter()
        .find(|found| found.name == old.container);
    let endpoints = container.into_iter().flat_map(|found| &found.endpoints);
    for endpoint in endpoints.filter(|endpoint| endpoint.network == *network) {
        let now = endpoint.ipv4.into_iter().chain(endpoint.ipv6);
        places.extend(now.map(|address| (network.clone(), address)));
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
            match &new.network {
                ContainerNetwork::Attached(attachments) => {
                    attachments.iter().flat_map(fixed).collect()
                }
                ContainerNetwork::Host
                | ContainerNetwork::None
                | ContainerNetwork::DefaultBridge { .. }
                | ContainerNetwork::Container(_)
                | ContainerNetwork::Named(_) => Vec::new(),
            }
        }
        _ => Vec::new(),
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
