//! Which questions a stack raises: every viewpoint, every declared target, every way to name it, every declared port.

use std::net::IpAddr;

use crate::model::port::Protocol;
use crate::reach::question::{Ask, Question, Target, Viewpoint};
use crate::reach::scene::{HOST, NodeId, Role, Scene, is_placeholder};

/// Somebody who can be asked, and how.
struct Subject {
    name: String,
    node: NodeId,
    addresses: Vec<IpAddr>,
    names: Vec<String>,
    ports: Vec<(u16, Protocol)>,
}

/// All questions, viewpoints in the order of [`viewpoints`].
pub fn questions(scene: &Scene) -> Vec<Question> {
    let subjects = subjects(scene);
    let published = published(scene);
    let mut questions = Vec::new();
    for from in viewpoints(scene) {
        if from == Viewpoint::Internet {
            continue;
        }
        let Some((node, _)) = scene.viewpoint(&from) else {
            continue;
        };
        let resolves = matches!(from, Viewpoint::Container(_) | Viewpoint::Host);
        for subject in &subjects {
            if subject.node == node {
                continue;
            }
            about(&from, subject, resolves, &mut questions);
        }
        for (address, ask, meant) in &published {
            questions.push(Question {
                from: from.clone(),
                to: Target::Address(*address),
                ask: *ask,
                meant: meant.clone(),
            });
        }
    }
    questions
}

/// Everybody who can ask, in the order of the file: containers, the host, shims, machines.
pub fn viewpoints(scene: &Scene) -> Vec<Viewpoint> {
    let mut viewpoints: Vec<Viewpoint> = scene
        .containers
        .keys()
        .cloned()
        .map(Viewpoint::Container)
        .collect();
    viewpoints.push(Viewpoint::Host);
    viewpoints.extend(scene.shims.keys().cloned().map(Viewpoint::Shim));
    viewpoints.extend(
        scene
            .machines
            .values()
            .map(|(_, viewpoint)| viewpoint.clone()),
    );
    if scene.viewpoint(&Viewpoint::Internet).is_some() {
        viewpoints.push(Viewpoint::Internet);
    }
    viewpoints
}

fn about(from: &Viewpoint, subject: &Subject, resolves: bool, questions: &mut Vec<Question>) {
    let mut ask = |to: Target, ask: Ask| {
        questions.push(Question {
            from: from.clone(),
            to,
            ask,
            meant: subject.name.clone(),
        });
    };
    if resolves {
        for name in &subject.names {
            ask(Target::Name(name.clone()), Ask::Name);
        }
        if let Some(name) = subject.names.first() {
            for port in subject
                .ports
                .iter()
                .filter_map(|port| Ask::of_port(port.0, port.1))
            {
                ask(Target::Name(name.clone()), port);
            }
        }
    }
    for address in &subject.addresses {
        ask(Target::Address(*address), Ask::Icmp);
        for port in subject
            .ports
            .iter()
            .filter_map(|port| Ask::of_port(port.0, port.1))
        {
            ask(Target::Address(*address), port);
        }
    }
}

fn subjects(scene: &Scene) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for (name, tenant) in &scene.containers {
        if tenant.node == HOST {
            continue;
        }
        subjects.push(Subject {
            name: name.clone(),
            node: tenant.node,
            addresses: unicast(scene, tenant.node),
            names: tenant.names.clone(),
            ports: tenant.declared.clone(),
        });
    }
    subjects.push(Subject {
        name: "host".to_owned(),
        node: HOST,
        addresses: unicast(scene, HOST),
        names: Vec::new(),
        ports: scene
            .tenants(HOST)
            .flat_map(|(_, tenant)| tenant.declared.clone())
            .collect(),
    });
    for (name, (node, _)) in &scene.machines {
        subjects.push(Subject {
            name: name.clone(),
            node: *node,
            addresses: unicast(scene, *node),
            names: Vec::new(),
            ports: Vec::new(),
        });
    }
    subjects
}

/// The addresses of a namespace that can be asked; of the host those that belong to the stack: on its bridges, parents
/// and shims. An address on a link of somebody else's is none of our business.
fn unicast(scene: &Scene, node: NodeId) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for link in scene
        .nodes
        .get(node)
        .into_iter()
        .flat_map(|node| &node.links)
    {
        let ours = match link.role {
            Role::Loopback | Role::Uplink => false,
            Role::Bridge | Role::Port | Role::Parent | Role::Macvlan(_) | Role::Ipvlan(..) => true,
            Role::Station | Role::Tunnel | Role::Plugin => true,
        };
        if ours {
            addresses.extend(link.addresses.iter().map(|prefix| prefix.addr()));
        }
    }
    // A link-local address means nothing without a link, and every link has one.
    addresses.retain(|address| match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    });
    addresses.dedup();
    addresses
}

/// The host's addresses with each published port, and loopback for each viewpoint.
fn published(scene: &Scene) -> Vec<(IpAddr, Ask, String)> {
    let mut asks: Vec<(Ask, String)> = Vec::new();
    for publication in &scene.publications {
        if let Some(ask) = Ask::of_port(publication.host_port, publication.protocol) {
            asks.push((ask, publication.container.clone()));
        }
    }
    for wish in &scene.unpublished {
        if let Some(ask) = Ask::of_port(wish.host_port, wish.protocol) {
            asks.push((ask, wish.container.clone()));
        }
    }
    let mut addresses = unicast(scene, HOST);
    addresses.push(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    addresses.retain(|address| !is_placeholder(*address) || scene.facts.observed);
    let mut cells = Vec::new();
    for (ask, container) in asks {
        for address in &addresses {
            let cell = (*address, ask, container.clone());
            if !cells.contains(&cell) {
                cells.push(cell);
            }
        }
    }
    cells
}
