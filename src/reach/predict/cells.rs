//! Which questions a stack raises: every viewpoint, every declared target, every way to name it, every declared port.

use std::net::IpAddr;

use crate::model::port::Protocol;
use crate::reach::question::{Ask, Question, Target, Viewpoint};
use crate::reach::scene::network::OTHER;
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
        let Some((node, _)) = scene.viewpoint(&from) else {
            continue;
        };
        if from == Viewpoint::Internet {
            from_outside(scene, &subjects, &mut questions);
            continue;
        }
        let resolves = match &from {
            Viewpoint::Container(_) | Viewpoint::Host | Viewpoint::Other => true,
            Viewpoint::Shim(_) | Viewpoint::Machine { .. } => false,
            Viewpoint::Router(_) | Viewpoint::Internet => false,
        };
        own_names(scene, &from, &mut questions);
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
        if !matches!(from, Viewpoint::Shim(_) | Viewpoint::Router(_)) {
            questions.push(Question {
                from: from.clone(),
                to: Target::Internet,
                ask: Ask::Icmp,
                meant: Target::Internet.to_string(),
            });
        }
    }
    questions
}

/// What only this container calls so: aliases of its links, lines of its hosts file; and who shares its loopback.
fn own_names(scene: &Scene, from: &Viewpoint, questions: &mut Vec<Question>) {
    let Viewpoint::Container(name) = from else {
        return;
    };
    let Some(tenant) = scene.containers.get(name) else {
        return;
    };
    let mut ask = |to: Target, ask: Ask, meant: &str| {
        questions.push(Question {
            from: from.clone(),
            to,
            ask,
            meant: meant.to_owned(),
        });
    };
    for (target, alias) in &tenant.private_names {
        let known = scene.containers.get(target);
        if known.is_some_and(|target| !target.names.contains(alias)) {
            ask(Target::Name(alias.clone()), Ask::Name, target);
        }
    }
    for (line, address) in &tenant.hosts_file {
        if let Some(owner) = scene.owners(*address).first() {
            let owner = scene.nodes[*owner].name.clone();
            ask(Target::Name(line.clone()), Ask::Name, &owner);
        }
    }
    let loopback = Target::Address(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    let others = scene
        .tenants(tenant.node)
        .filter(|(other, _)| other != name);
    for (other, tenant) in others.filter(|(_, tenant)| tenant.node != HOST) {
        for port in asks(&tenant.declared) {
            ask(loopback.clone(), port, other);
        }
    }
}

/// What the internet could want: each published port at an address of the host, else a container's own address.
fn from_outside(scene: &Scene, subjects: &[Subject], questions: &mut Vec<Question>) {
    let mut ask = |to: IpAddr, ask: Ask, meant: &str| {
        questions.push(Question {
            from: Viewpoint::Internet,
            to: Target::Address(to),
            ask,
            meant: meant.to_owned(),
        });
    };
    let somewhere = unicast(scene, HOST).into_iter().next();
    for subject in subjects.iter().filter(|subject| subject.node != HOST) {
        let mut published = scene
            .publications
            .iter()
            .filter(|publication| publication.container == subject.name)
            .peekable();
        if published.peek().is_none() {
            if let (Some(address), true) = (subject.addresses.first(), !subject.names.is_empty()) {
                let first = asks(&subject.ports).next().unwrap_or(Ask::Icmp);
                ask(*address, first, &subject.name);
            }
            continue;
        }
        for publication in published {
            let at = publication
                .host_address
                .filter(|address| !address.is_loopback());
            let port = Ask::of_port(publication.host_port, publication.protocol);
            if let (Some(at), Some(port)) = (at.or(somewhere), port) {
                ask(at, port, &subject.name);
            }
        }
    }
}

fn asks(ports: &[(u16, Protocol)]) -> impl Iterator<Item = Ask> + '_ {
    ports.iter().filter_map(|port| Ask::of_port(port.0, port.1))
}

/// Everybody who can ask, in the order of the file: containers, the host, shims, machines, others.
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
    let beyond = [Viewpoint::Other, Viewpoint::Internet];
    viewpoints.extend(
        beyond
            .into_iter()
            .filter(|viewpoint| scene.viewpoint(viewpoint).is_some()),
    );
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
            for port in asks(&subject.ports) {
                ask(Target::Name(name.clone()), port);
            }
        }
    }
    for address in &subject.addresses {
        ask(Target::Address(*address), Ask::Icmp);
        for port in asks(&subject.ports) {
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
        if ours && link.network.as_deref() != Some(OTHER) {
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
