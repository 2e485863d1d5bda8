//! What stands, as specs: the observation put into the words that the planner uses for what is wanted. A scene of it says
//! who reaches whom now, whatever the file says meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::container::ContainerConfig;
use crate::model::mark;
use crate::model::stack::Stack;
use crate::plan::desired::Desired;
use crate::plan::observed::{FoundContainer, FoundEndpoint, Observed};
use crate::plan::spec::{AttachmentSpec, ContainerNetwork, ContainerSpec, Kind, ResourceId, Spec};
use crate::reach::scene::network::DEFAULT_BRIDGE;

/// Everything of the stack's project that was observed and works: damaged links are as good as none. What the file
/// says of a container is believed only where the container was made from the very same spec.
pub fn standing(stack: &Stack, wanted: &Desired, observed: &Observed) -> Desired {
    let mut found = Desired::default();
    for resource in observed.resources.values() {
        if resource.damage.is_empty() {
            found.add(resource.spec.clone());
        }
    }
    for network in &observed.networks {
        if network.project.as_deref() == Some(stack.project.as_str()) {
            found.add(Spec::Network(network.spec.clone()));
        }
    }
    for container in &observed.containers {
        let ours = container.project.as_deref() == Some(stack.project.as_str());
        if !ours || container.one_off || container.parked_from().is_some() || !container.runs() {
            continue;
        }
        let id = ResourceId::new(Kind::Container, &container.name);
        let wanted = match wanted.specs.get(&id).map(Arc::as_ref) {
            Some(Spec::Container(spec)) => Some(spec.as_ref()),
            Some(_) | None => None,
        };
        if let Some(spec) = spec(container, wanted, observed) {
            found.add(Spec::Container(Box::new(spec)));
        }
    }
    found
}

fn spec(
    container: &FoundContainer,
    wanted: Option<&ContainerSpec>,
    observed: &Observed,
) -> Option<ContainerSpec> {
    let hash = container.labels.get(mark::HASH);
    let same = wanted.filter(|wanted| hash.is_some() && wanted.labels.get(mark::HASH) == hash);
    if let Some(same) = same {
        let network = match &same.network {
            ContainerNetwork::Attached(_) => ContainerNetwork::Attached(attachments(container)),
            other => other.clone(),
        };
        return Some(ContainerSpec {
            network,
            ..same.clone()
        });
    }
    Some(ContainerSpec {
        name: container.name.clone(),
        service: container.service.clone()?,
        number: container.number,
        image: container.image.clone(),
        config: Arc::new(ContainerConfig::default()),
        network: network(container, observed),
        ports: container.ports.clone(),
        // What it declares can no longer be read from it; what the file says of it now is the best that is known.
        expose: wanted
            .map(|wanted| wanted.expose.clone())
            .unwrap_or_default(),
        volumes_from: Vec::new(),
        ipc: None,
        pid: None,
        post_start: Vec::new(),
        pre_stop: Vec::new(),
        labels: BTreeMap::new(),
        auto_remove: false,
        heir_of: None,
    })
}

fn network(container: &FoundContainer, observed: &Observed) -> ContainerNetwork {
    let mode = container.network_mode.as_str();
    if let Some(id) = mode.strip_prefix("container:") {
        let owner = observed
            .containers
            .iter()
            .find(|other| other.engine_id == id || other.name == id);
        let name = owner.map_or(id, |owner| owner.name.as_str());
        return ContainerNetwork::Container(name.to_owned());
    }
    let default = [DEFAULT_BRIDGE, "default"].contains(&mode);
    match mode {
        "host" => ContainerNetwork::Host,
        "none" => ContainerNetwork::None,
        _ if default && container.endpoints.len() <= 1 => {
            ContainerNetwork::DefaultBridge { links: Vec::new() }
        }
        _ => ContainerNetwork::Attached(attachments(container)),
    }
}

/// The endpoints as they are: names that only the label tells are those it was made with.
fn attachments(container: &FoundContainer) -> Vec<AttachmentSpec> {
    let made: Vec<AttachmentSpec> = container
        .labels
        .get(mark::ATTACHMENTS)
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let mut endpoints: Vec<&FoundEndpoint> = container.endpoints.iter().collect();
    // The order in which it was made, then those that came later.
    endpoints.sort_by_key(|endpoint| {
        made.iter()
            .position(|made| made.network == endpoint.network)
            .unwrap_or(made.len())
    });
    endpoints
        .into_iter()
        .map(|endpoint| {
            let known = made.iter().find(|made| made.network == endpoint.network);
            let mut attachment = known
                .cloned()
                .unwrap_or_else(|| AttachmentSpec::plain(&endpoint.network));
            if let Some(aliases) = &endpoint.aliases {
                attachment.aliases = aliases.iter().cloned().collect();
            }
            attachment
        })
        .collect()
}
