//! How many containers a bridge has room for ([`BRIDGE_PORTS`]): every running container on a bridge network holds a port. The engine would
//! find out at the 1,024th start, with the others running already.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::network::{BRIDGE_PORTS, Driver, Network};
use crate::model::stack::Stack;
use crate::plan::check::Finding;
use crate::plan::desired::Desired;
use crate::plan::observed::Observed;
use crate::plan::spec::{ContainerNetwork, ContainerSpec, Spec};

/// The engine's name of its default bridge.
const DEFAULT_BRIDGE: &str = "bridge";

/// Counts the ports of each bridge that the stack's containers are on: theirs, and those of containers that stay.
pub fn check(stack: &Stack, desired: &Desired, observed: &Observed, findings: &mut Vec<Finding>) {
    let mut wanted: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ours: BTreeSet<&str> = BTreeSet::new();
    for spec in desired.specs.values() {
        let Spec::Container(container) = spec.as_ref() else {
            continue;
        };
        ours.insert(&container.name);
        for network in networks_of(container) {
            *wanted.entry(network).or_default() += 1;
        }
    }
    for (name, own) in wanted {
        let key = stack.networks.values().find(|network| network.name == name);
        if !is_bridge(name, key, observed) {
            continue;
        }
        let others = observed.containers.iter().filter(|found| {
            found.runs()
                && !ours.contains(found.name.as_str())
                && found.project.as_deref() != Some(stack.project.as_str())
                && found.endpoints.iter().any(|one| one.network == name)
        });
        let others = others.count();
        if own + others <= BRIDGE_PORTS {
            continue;
        }
        let beside = match others {
            0 => String::new(),
            others => format!(", beside {others} of others that run on it already"),
        };
        let place: Vec<&str> = match key {
            Some(network) => vec!["networks", network.key.as_str()],
            None => Vec::new(),
        };
        findings.push(
            Finding::error(
                "bridge-full",
                &place,
                format!(
                    "{own} containers are to be on the bridge of network `{name}`{beside}, and a Linux bridge has {BRIDGE_PORTS} ports"
                ),
            )
            .hint("spread them over several networks"),
        );
    }
}

fn networks_of(container: &ContainerSpec) -> Vec<&str> {
    match &container.network {
        ContainerNetwork::Attached(attachments) => attachments
            .iter()
            .map(|attachment| attachment.network.as_str())
            .collect(),
        ContainerNetwork::Named(name) => vec![name],
        ContainerNetwork::DefaultBridge { .. } => vec![DEFAULT_BRIDGE],
        ContainerNetwork::Host | ContainerNetwork::None | ContainerNetwork::Container(_) => {
            Vec::new()
        }
    }
}

/// Whether a network is a bridge: as the engine tells, else as the file says.
fn is_bridge(name: &str, network: Option<&Network>, observed: &Observed) -> bool {
    if let Some(found) = observed
        .networks
        .iter()
        .find(|found| found.spec.name == name)
    {
        return found.spec.driver == Driver::Bridge.engine_name();
    }
    match network {
        Some(network) => network.driver == Driver::Bridge,
        None => name == DEFAULT_BRIDGE,
    }
}
