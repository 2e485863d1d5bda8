//! Routes through a shim to one container, and doors: routes inside a container to the host's own address. Both depend
//! on addresses and processes that only the engine knows, and change when a container is started anew.
//!
//! A route of the host says by its protocol number that it is ours, but not which container's; that is in the ledger.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use nix::errno::Errno;

use crate::model::address::host_prefix;
use crate::model::hash;
use crate::model::name::ProjectName;
use crate::plan::observed::{FoundResource, LinkFact, RouteFact};
use crate::plan::spec::{DoorSpec, ResourceId, RouteSpec, Spec};
use crate::world::host::error::{broken, refused};
use crate::world::host::ledger::{Entry, Note};
use crate::world::host::lookup::is_ours;
use crate::world::host::message::{self, Route};
use crate::world::host::socket::Socket;
use crate::world::host::{Endpoints, Host, table};
use crate::world::netns::Namespace;
use crate::world::{ErrorKind, WorldError};

/// Routes to the container's addresses of now; those to earlier ones go.
pub async fn make(
    host: &Host,
    project: &ProjectName,
    spec: &RouteSpec,
    endpoints: &impl Endpoints,
) -> Result<(), WorldError> {
    let id = Spec::Route(spec.clone()).id();
    let act = || {
        format!(
            "cannot route to `{}` through `{}`",
            spec.container, spec.shim
        )
    };
    let addresses = endpoints.addresses(&spec.container, &spec.network).await?;
    let ways = ways(spec, &addresses);
    if ways.is_empty() {
        return Err(WorldError::new(
            ErrorKind::Missing,
            act(),
            format!("it has no address in `{}`: does it run?", spec.network),
        ));
    }
    let links = host.links().await?;
    let Some(shim) = links.iter().find(|link| link.name == spec.shim.as_str()) else {
        return Err(WorldError::new(
            ErrorKind::Missing,
            act(),
            format!("there is no link `{}`", spec.shim),
        ));
    };
    let facts = host.route_facts(&links).await?;
    let entry = noted(host, project, &id)?;
    let before: Vec<IpNet> = entry
        .map(|(_, destinations)| destinations)
        .unwrap_or_default();
    let now: Vec<IpNet> = ways.iter().map(|(destination, _)| *destination).collect();
    // Both are noted until the old ones are gone, so that a run which is cut off here knows all of them.
    let mut both = now.clone();
    both.extend(before.iter().filter(|old| !now.contains(old)));
    let note = |destinations: Vec<IpNet>| Note::Route {
        spec: spec.clone(),
        destinations,
    };
    if both != before {
        host.note(project, &id, note(both.clone()))?;
    }
    let others = others(host, project, &id)?;
    for old in before.iter().filter(|old| !now.contains(old)) {
        if !others.contains(old) {
            host.delete_route(shim.index, *old).await?;
        }
    }
    for (destination, source) in ways {
        let there = facts.iter().any(|fact| {
            is_ours(fact)
                && fact.destination == destination
                && fact.source == Some(source)
                && fact.link.as_deref() == Some(spec.shim.as_str())
        });
        if !there {
            let route = Route {
                destination,
                link: shim.index,
                gateway: None,
                source: Some(source),
            };
            host.add_route(&route, spec.shim.as_str(), &facts).await?;
            // The container may have another MAC address than the last one that had this address.
            host.forget_neighbour(shim.index, destination.addr()).await;
        }
    }
    if both != now {
        host.note(project, &id, note(now))?;
    }
    Ok(())
}

/// The destinations and their sources: each address in a subnet that is routed one by one.
fn ways(spec: &RouteSpec, addresses: &[IpAddr]) -> Vec<(IpNet, IpAddr)> {
    let way = |address: &IpAddr| Some((host_prefix(*address), spec.source(*address)?));
    addresses.iter().filter_map(way).collect()
}

/// Removes the routes that were made for a container.
pub async fn remove(host: &Host, project: &ProjectName, id: &ResourceId) -> Result<(), WorldError> {
    let Some((spec, destinations)) = noted(host, project, id)? else {
        return Ok(());
    };
    let links = host.links().await?;
    let others = others(host, project, id)?;
    // Without the shim its routes are gone too.
    if let Some(shim) = links.iter().find(|link| link.name == spec.shim.as_str()) {
        for destination in destinations {
            if !others.contains(&destination) {
                host.delete_route(shim.index, destination).await?;
            }
        }
    }
    host.strike(project, id)
}

fn noted(
    host: &Host,
    project: &ProjectName,
    id: &ResourceId,
) -> Result<Option<(RouteSpec, Vec<IpNet>)>, WorldError> {
    Ok(host.entries()?.into_iter().find_map(|entry| {
        if entry.project != *project || entry.id != *id {
            return None;
        }
        match entry.note {
            Some(Note::Route { spec, destinations }) => Some((spec, destinations)),
            Some(_) | None => None,
        }
    }))
}

/// The destinations of all other containers: an address that went from one to another is not taken from its new owner.
fn others(host: &Host, project: &ProjectName, id: &ResourceId) -> Result<Vec<IpNet>, WorldError> {
    let mut found = Vec::new();
    for entry in host.entries()? {
        if entry.project == *project && entry.id == *id {
            continue;
        }
        if let Some(Note::Route { destinations, .. }) = entry.note {
            found.extend(destinations);
        }
    }
    Ok(found)
}

/// What the ledger says of a container's routes, and whether it is so: in the kernel, and with the addresses that the
/// container has now.
pub async fn found(
    entry: &Entry,
    links: &[LinkFact],
    routes: &[RouteFact],
    endpoints: &impl Endpoints,
) -> Result<Option<FoundResource>, WorldError> {
    let Some(Note::Route { spec, destinations }) = &entry.note else {
        return Ok(None);
    };
    let mut damage = Vec::new();
    let shim = links.iter().find(|link| link.name == spec.shim.as_str());
    if shim.is_none() {
        damage.push(format!("the shim `{}` is gone", spec.shim));
    }
    let there = |destination: &IpNet| {
        routes.iter().any(|fact| {
            is_ours(fact)
                && fact.destination == *destination
                && fact.link.as_deref() == Some(spec.shim.as_str())
        })
    };
    for destination in destinations
        .iter()
        .filter(|net| shim.is_some() && !there(net))
    {
        damage.push(format!("the route to {} is gone", destination.addr()));
    }
    let addresses = endpoints.addresses(&spec.container, &spec.network).await?;
    for (destination, _) in ways(spec, &addresses) {
        if !destinations.contains(&destination) {
            damage.push(format!(
                "`{}` has {} now",
                spec.container,
                destination.addr()
            ));
        }
    }
    let spec = Spec::Route(spec.clone());
    Ok(Some(FoundResource {
        hash: hash::of(&spec),
        damage,
        link: shim.and_then(|link| link.name.parse().ok()),
        spec,
    }))
}

/// Opens a door: inside the container's namespace the host's own address is reached by way of the shim. The route is
/// on the link of the network that the shim serves, and takes the shim to be on that wire.
pub async fn open_door(
    host: &Host,
    spec: &DoorSpec,
    endpoints: &impl Endpoints,
) -> Result<(), WorldError> {
    let act = || {
        format!(
            "cannot open the way to {} in `{}`",
            spec.host_address, spec.container
        )
    };
    let missing = |said: String| WorldError::new(ErrorKind::Missing, act(), said);
    let Some(inside) = enter(host, spec, endpoints).await? else {
        return Err(missing("it does not run".to_owned()));
    };
    let Some(link) = door_link(&inside, spec, endpoints).await? else {
        return Err(missing(format!("it has no link in `{}`", spec.network)));
    };
    let message = RouteNetlinkMessage::NewRoute(message::route(&door_route(spec, link)));
    inside
        .act(message, NLM_F_CREATE | NLM_F_REPLACE)
        .await
        .map_err(|error| refused(act(), &error))
}

/// Closes a door. A container that does not run has none.
pub async fn close_door(
    host: &Host,
    spec: &DoorSpec,
    endpoints: &impl Endpoints,
) -> Result<(), WorldError> {
    let Some(inside) = enter(host, spec, endpoints).await? else {
        return Ok(());
    };
    let Some(link) = door_link(&inside, spec, endpoints).await? else {
        return Ok(());
    };
    let message = RouteNetlinkMessage::DelRoute(message::route(&door_route(spec, link)));
    match inside.act(message, 0).await {
        Err(error) if !matches!(error.errno, Errno::ESRCH | Errno::ENODEV | Errno::ENOENT) => {
            Err(refused(
                format!(
                    "cannot close the way to {} in `{}`",
                    spec.host_address, spec.container
                ),
                &error,
            ))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// An open door, if it is.
pub async fn find_door(
    host: &Host,
    spec: &DoorSpec,
    endpoints: &impl Endpoints,
) -> Result<Option<FoundResource>, WorldError> {
    let Some(inside) = enter(host, spec, endpoints).await? else {
        return Ok(None);
    };
    let act = || format!("cannot look into `{}`", spec.container);
    let links = table::links(&inside).map_err(|error| refused(act(), &error))?;
    let names = links
        .iter()
        .map(|link| (link.index, link.name.clone()))
        .collect();
    let routes = table::routes(&inside).map_err(|error| refused(act(), &error))?;
    let open = routes
        .iter()
        .filter_map(|message| table::route_fact(message, &names))
        .any(|fact| {
            is_ours(&fact)
                && fact.destination == host_prefix(spec.host_address)
                && fact.gateway == Some(spec.via)
        });
    let found = Spec::Door(spec.clone());
    Ok(open.then(|| FoundResource {
        hash: hash::of(&found),
        spec: found,
        damage: Vec::new(),
        link: None,
    }))
}

fn door_route(spec: &DoorSpec, link: u32) -> Route {
    Route {
        destination: host_prefix(spec.host_address),
        link,
        gateway: Some(spec.via),
        source: None,
    }
}

/// A socket inside the container; none where it does not run (any more).
async fn enter(
    host: &Host,
    spec: &DoorSpec,
    endpoints: &impl Endpoints,
) -> Result<Option<Socket>, WorldError> {
    let Some(process) = endpoints.process(&spec.container).await? else {
        return Ok(None);
    };
    let act = || format!("cannot enter the namespace of `{}`", spec.container);
    let namespace = match Namespace::of_process(process) {
        Ok(namespace) => namespace,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(broken(act(), &error)),
    };
    if namespace == host.namespace {
        return Err(WorldError::new(
            ErrorKind::Refused,
            act(),
            "it is the host's own",
        ));
    }
    Socket::open(&namespace, host.fuse.clone())
        .await
        .map(Some)
        .map_err(|error| broken(act(), &error))
}

/// The container's link in the network: the one with its address there.
async fn door_link(
    inside: &Socket,
    spec: &DoorSpec,
    endpoints: &impl Endpoints,
) -> Result<Option<u32>, WorldError> {
    let addresses = endpoints.addresses(&spec.container, &spec.network).await?;
    let links = table::links(inside)
        .map_err(|error| refused(format!("cannot look into `{}`", spec.container), &error))?;
    Ok(links
        .iter()
        .find(|link| {
            link.addresses
                .iter()
                .any(|net| addresses.contains(&net.addr()))
        })
        .map(|link| link.index))
}

impl Host {
    /// Forgets what the kernel knows about a neighbour; it asks again when it needs to know.
    async fn forget_neighbour(&self, link: u32, address: IpAddr) {
        let message = RouteNetlinkMessage::DelNeighbour(message::neighbour(link, address));
        // Most often there is no entry, and a stale one is only a delay.
        let _ = self.socket.ask(message).await;
    }
}
