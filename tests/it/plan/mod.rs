//! Plans: what becomes of each resource, in which order, and why. The stacks are written by hand here, small; what
//! files make of them is tested elsewhere.

mod back;
mod company;
mod ground;
mod room;
mod up;
mod wiring;

use std::collections::BTreeMap;
use std::fmt::Write;

use expect_test::Expect;
use indexmap::IndexMap;

use stack::model::network::{Driver, Ipam, MacvlanMode, Network, Parent, Pool, Shim};
use stack::model::service::{Condition, Dependency, Service};
use stack::model::stack::Stack;
use stack::plan::desired::{Desired, Wishes, desired};
use stack::plan::diff::network::spec_hash;
use stack::plan::diff::up::{UpOptions, up};
use stack::plan::observed::{
    ContainerState, FoundContainer, FoundEndpoint, FoundNetwork, FoundResource, FoundVolume,
    Observed,
};
use stack::plan::spec::{ContainerNetwork, Spec};
use stack::plan::step::{Milestone, Plan};

use crate::stacks;

fn waits(mut service: Service, other: &str, condition: Condition, restart: bool) -> Service {
    let dependency = Dependency {
        condition,
        restart,
        required: true,
        implied: false,
    };
    service
        .depends_on
        .insert(other.parse().unwrap(), dependency);
    service
}

fn network(key: &str) -> Network {
    stacks::network("lab", key)
}

fn lan_network(key: &str) -> Network {
    let pool = Pool {
        subnet: Some("192.168.1.0/22".parse().unwrap()),
        ip_range: Some("192.168.1.128/25".parse().unwrap()),
        gateway: Some("192.168.1.1".parse().unwrap()),
        aux_addresses: IndexMap::from([("my-router".to_owned(), "192.168.1.129".parse().unwrap())]),
    };
    Network {
        driver: Driver::Macvlan(MacvlanMode::Bridge),
        parent: Some(Parent::Link("eth0".parse().unwrap())),
        ipam: Ipam {
            pools: vec![pool],
            ..Ipam::default()
        },
        shim: Some(Shim::default()),
        ..network(key)
    }
}

fn stack(services: Vec<Service>, networks: Vec<Network>) -> Stack {
    stacks::stack("lab", services, networks)
}

fn want(stack: &Stack) -> Desired {
    desired(stack, &Wishes::default(), &Observed::default())
}

/// The world in which all that a stack wants is there and runs.
fn world_of(stack: &Stack) -> Observed {
    let mut observed = Observed::default();
    observed.images.insert("lab".into(), "sha256:1".into());
    for spec in want(stack).specs.values() {
        match spec.as_ref() {
            Spec::Network(network) => observed.networks.push(FoundNetwork {
                engine_id: format!("id-{}", network.name),
                hash: Some(spec_hash(network)),
                spec: network.clone(),
                scope: "local".into(),
                project: Some("lab".into()),
                key: Some(network.key.clone()),
                compose_hash: None,
            }),
            Spec::Container(container) => {
                let (network_mode, attachments) = match &container.network {
                    ContainerNetwork::Attached(list) => (list[0].network.clone(), list.clone()),
                    ContainerNetwork::Container(name) => {
                        (format!("container:id-{name}"), Vec::new())
                    }
                    ContainerNetwork::DefaultBridge { .. } => ("bridge".into(), Vec::new()),
                    _ => ("none".into(), Vec::new()),
                };
                let endpoint = |network: &String| FoundEndpoint {
                    network: network.clone(),
                    network_id: format!("id-{network}"),
                    ..FoundEndpoint::default()
                };
                observed.containers.push(FoundContainer {
                    engine_id: format!("id-{}", container.name),
                    name: container.name.clone(),
                    project: Some("lab".into()),
                    service: Some(container.service.clone()),
                    number: container.number,
                    one_off: false,
                    state: ContainerState::Running,
                    image: container.image.clone(),
                    image_id: "sha256:1".into(),
                    labels: container.labels.clone(),
                    network_mode,
                    endpoints: attachments
                        .iter()
                        .map(|attachment| endpoint(&attachment.network))
                        .collect(),
                    ports: container.ports.clone(),
                    dead_namespace_of: None,
                    cut_off: Vec::new(),
                    volumes: Vec::new(),
                });
            }
            Spec::Image(_) => {}
            Spec::Volume(volume) => observed.volumes.push(FoundVolume {
                name: volume.name.clone(),
                project: Some("lab".into()),
                key: Some(volume.key.clone()),
                hash: Some(stack::model::hash::of(volume)),
                driver: "local".into(),
            }),
            other => {
                let hash = stack::model::hash::of(other);
                let found = FoundResource {
                    spec: other.clone(),
                    hash,
                    damage: Vec::new(),
                    link: None,
                };
                observed.resources.insert(other.id(), found);
            }
        }
    }
    observed
}

/// A plan as text: a line a step with the numbers of those it waits for.
fn shown(plan: &Plan) -> String {
    let mut before: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for edge in &plan.edges {
        assert!(
            edge.from < edge.to,
            "step {} comes before {}",
            edge.from.0,
            edge.to.0
        );
        let sign = match edge.milestone {
            Milestone::Done => "",
            Milestone::Healthy => " healthy",
            Milestone::Completed => " completed",
        };
        before
            .entry(edge.to.0)
            .or_default()
            .push(format!("{}{sign}", edge.from.0));
    }
    let mut text = String::new();
    for (index, step) in plan.steps.iter().enumerate() {
        let after = before
            .get(&index)
            .map_or_else(String::new, |list| format!(" after {}", list.join(", ")));
        let farewell = if step.farewell { " (farewell)" } else { "" };
        writeln!(
            text,
            "{index} {} {}: {}{after}{farewell}",
            step.verb(),
            step.id,
            step.reason
        )
        .unwrap();
    }
    text
}

fn check_up(stack: &Stack, observed: &Observed, options: &UpOptions, expected: Expect) {
    let desired = desired(stack, &Wishes::default(), observed);
    expected.assert_eq(&shown(&up(stack, &desired, observed, options).unwrap()));
}
