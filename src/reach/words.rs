//! What words mean that people write for who asks and who is asked: services, containers, machines, shims, addresses.

use std::net::{IpAddr, Ipv4Addr};

use crate::reach::question::{Ask, Question, Target, Viewpoint};
use crate::reach::scene::{HOST, Resolver, Scene};

/// The questions of `FROM` about `TO`. An unknown name is an error, unless it is one that an asker's resolver may know.
pub fn ask(scene: &Scene, from: &str, to: &str, ask: Ask) -> Result<Vec<Question>, String> {
    let mut questions = Vec::new();
    for viewpoint in viewpoints(scene, from)? {
        for (target, meant) in targets(scene, &viewpoint, to)? {
            questions.push(Question {
                from: viewpoint.clone(),
                to: target,
                ask,
                meant,
            });
        }
    }
    Ok(questions)
}

/// The viewpoints that a word means: a service (all its containers), a container, `host`, `LAN.MACHINE`, a shim.
pub fn viewpoints(scene: &Scene, word: &str) -> Result<Vec<Viewpoint>, String> {
    match word {
        "host" => return Ok(vec![Viewpoint::Host]),
        "internet" => return Ok(vec![Viewpoint::Internet]),
        _ => {}
    }
    let of_service: Vec<Viewpoint> = scene
        .containers
        .iter()
        .filter(|(name, tenant)| name.as_str() == word || tenant.service == word)
        .map(|(name, _)| Viewpoint::Container(name.clone()))
        .collect();
    if !of_service.is_empty() {
        return Ok(of_service);
    }
    if let Some((_, viewpoint)) = scene.machines.get(word) {
        return Ok(vec![viewpoint.clone()]);
    }
    if scene.shims.contains_key(word) {
        return Ok(vec![Viewpoint::Shim(word.to_owned())]);
    }
    Err(format!("nobody here is called `{word}`"))
}

fn targets(scene: &Scene, from: &Viewpoint, to: &str) -> Result<Vec<(Target, String)>, String> {
    if to == "internet" {
        return Ok(vec![(Target::Internet, String::new())]);
    }
    let address = match to {
        "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        _ => to.parse::<IpAddr>(),
    };
    if let Ok(address) = address {
        if address.is_loopback() {
            let own = scene.viewpoint(from).map(|(node, _)| node);
            let own = own.map_or(String::new(), |node| scene.nodes[node].name.clone());
            return Ok(vec![(Target::Address(address), own)]);
        }
        let owner = scene
            .owners(address)
            .first()
            .map_or(String::new(), |node| scene.nodes[*node].name.clone());
        return Ok(vec![(Target::Address(address), owner)]);
    }
    let asker = scene.viewpoint(from).map(|(node, _)| node);
    let embedded = asker.is_some_and(|node| scene.nodes[node].resolver == Resolver::Embedded);
    let containers: Vec<(&String, usize)> = scene
        .containers
        .iter()
        .filter(|(name, tenant)| name.as_str() == to || tenant.service == to)
        .map(|(name, tenant)| (name, tenant.node))
        .collect();
    let node = match (containers.first(), to) {
        (Some((name, _)), _) if embedded => {
            return Ok(vec![(Target::Name(to.to_owned()), (*name).clone())]);
        }
        (Some(_), _) => None,
        (None, "host") => Some(HOST),
        (None, _) => scene.machines.get(to).map(|(node, _)| *node),
    };
    let mut found: Vec<(Target, String)> = Vec::new();
    for (name, node) in containers {
        found.extend(
            scene
                .addresses(node)
                .map(|address| (Target::Address(address), name.clone())),
        );
    }
    if let Some(node) = node {
        let near = near_address(scene, asker, node);
        found.extend(near.map(|address| (Target::Address(address), to.to_owned())));
    }
    if let Some(shim) = scene.shims.get(to) {
        let addresses = scene.nodes[HOST].links[*shim].addresses.iter();
        found.extend(addresses.map(|prefix| (Target::Address(prefix.addr()), to.to_owned())));
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let known_name = scene.names.values().any(|names| {
        names.contains_key(to)
            || to
                .split_once('.')
                .is_some_and(|(name, _)| names.contains_key(name))
    });
    let private = scene.containers.values().any(|tenant| {
        tenant.private_names.iter().any(|(_, alias)| alias == to)
            || tenant.hosts_file.iter().any(|(line, _)| line == to)
    });
    if known_name || private {
        return Ok(vec![(Target::Name(to.to_owned()), String::new())]);
    }
    Err(format!("nobody here is called `{to}`"))
}

/// The address of a namespace that is nearest to the one who asks: on a prefix that the asker has, else the first.
fn near_address(scene: &Scene, asker: Option<usize>, node: usize) -> Option<IpAddr> {
    let near = |address: &IpAddr| {
        asker
            .and_then(|asker| scene.nodes.get(asker))
            .into_iter()
            .flat_map(|node| &node.links)
            .flat_map(|link| &link.addresses)
            .any(|prefix| prefix.contains(address))
    };
    scene
        .addresses(node)
        .find(near)
        .or_else(|| scene.addresses(node).next())
}
