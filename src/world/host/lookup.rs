//! Routes of the host: ours, added and removed; and where packets would go: the main table in our words, and the kernel's own answer for one destination
//! (`RTM_GETROUTE`), which counts rules, VPN tables and more specific routes in.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::RouteScope;
use nix::errno::Errno;

use crate::model::mark::ROUTE_PROTOCOL;
use crate::plan::observed::{LinkFact, RouteFact};
use crate::plan::spec::ShimSpec;
use crate::world::host::error::refused;
use crate::world::host::message::Route;
use crate::world::host::{Host, message, table};
use crate::world::{ErrorKind, Progress, WorldError};

/// Whether a route carries our protocol number.
pub fn is_ours(fact: &RouteFact) -> bool {
    fact.protocol == ROUTE_PROTOCOL
}

/// The routes of the main table.
pub async fn facts(host: &Host, links: &[LinkFact]) -> Result<Vec<RouteFact>, WorldError> {
    let names: BTreeMap<u32, String> = links
        .iter()
        .map(|link| (link.index, link.name.clone()))
        .collect();
    let messages = table::routes(&host.socket)
        .map_err(|error| refused("cannot read the host's routes", &error))?;
    Ok(messages
        .iter()
        .filter_map(|message| table::route_fact(message, &names))
        .collect())
}

/// The way of a packet to this address; none where there is no way.
pub async fn way(host: &Host, to: IpAddr) -> Result<Option<RouteFact>, WorldError> {
    let links = host.links().await?;
    let names: BTreeMap<u32, String> = links
        .iter()
        .map(|link| (link.index, link.name.clone()))
        .collect();
    let answers = host
        .socket
        .ask(RouteNetlinkMessage::GetRoute(message::lookup(to)))
        .await;
    Ok(answers
        .unwrap_or_default()
        .iter()
        .find_map(|answer| match answer {
            RouteNetlinkMessage::NewRoute(message) => table::route_fact(message, &names),
            _ => None,
        }))
}

/// Tells which of a shim's routes do not lead through it, and what leads elsewhere.
pub async fn check(
    host: &Host,
    index: u32,
    spec: &ShimSpec,
    progress: &dyn Progress,
) -> Result<(), WorldError> {
    let links = host.links().await?;
    let shim = links.iter().find(|link| link.index == index);
    for route in &spec.routes {
        let Some(to) = sample(route.destination, spec) else {
            continue;
        };
        let way = way(host, to).await?;
        let by = way.as_ref().and_then(|way| way.link.clone());
        if by.is_some() && by.as_deref() == shim.map(|link| link.name.as_str()) {
            continue;
        }
        let where_to = match (by, way) {
            (Some(link), Some(way)) if way.table != table::MAIN_TABLE => {
                format!(
                    "leave by `{link}` (table {}, by a rule: `ip rule` shows it)",
                    way.table
                )
            }
            (Some(link), _) => {
                format!("leave by `{link}` (a more specific route, such as a VPN's)")
            }
            (None, _) => "have no way".to_owned(),
        };
        progress.warn(&format!(
            "packets to {to} (route {} of `{}`) {where_to}: `ip route get {to}`",
            route.destination, spec.name
        ));
    }
    Ok(())
}

/// An address of a route that is not the shim's own.
pub fn sample(destination: IpNet, spec: &ShimSpec) -> Option<IpAddr> {
    let other = |address: &IpAddr| !spec.addresses.contains(address);
    match destination {
        IpNet::V4(net) => net.hosts().map(IpAddr::V4).find(other),
        IpNet::V6(net) => net.hosts().map(IpAddr::V6).find(other),
    }
}

impl Host {
    /// The routes of the main table.
    pub(super) async fn route_facts(
        &self,
        links: &[LinkFact],
    ) -> Result<Vec<RouteFact>, WorldError> {
        facts(self, links).await
    }

    /// Adds a route, or replaces one of ours with the same destination on the same link. Anyone else's is left, and
    /// is an error.
    pub(super) async fn add_route(
        &self,
        route: &Route,
        link: &str,
        facts: &[RouteFact],
    ) -> Result<(), WorldError> {
        let act = || format!("cannot add the route to {} by `{link}`", route.destination);
        let mine = |fact: &&RouteFact| {
            fact.destination == route.destination
                && is_ours(fact)
                && fact.link.as_deref() == Some(link)
        };
        if facts.iter().any(|fact| mine(&fact)) {
            self.delete_route(route.link, route.destination).await?;
        }
        let message = RouteNetlinkMessage::NewRoute(message::route(route));
        match self.socket.act(message, NLM_F_CREATE | NLM_F_EXCL).await {
            Ok(()) => Ok(()),
            Err(error) if error.errno == Errno::EEXIST => {
                let holder = facts
                    .iter()
                    .find(|fact| fact.destination == route.destination);
                let by = holder.and_then(|fact| fact.link.as_deref()).unwrap_or("?");
                let whose = match holder {
                    Some(fact) if is_ours(fact) => "another shim of stack",
                    Some(_) | None => "someone else",
                };
                Err(WorldError::new(
                    ErrorKind::Taken,
                    act(),
                    format!("{whose} has a route to it by `{by}`"),
                )
                .hint(format!("`ip route show {}` shows it", route.destination)))
            }
            Err(error) => Err(refused(act(), &error)),
        }
    }

    /// Removes our route to a destination by a link; an absent one is removed.
    pub(super) async fn delete_route(
        &self,
        link: u32,
        destination: IpNet,
    ) -> Result<(), WorldError> {
        let mut message = message::route(&Route {
            destination,
            link,
            gateway: None,
            source: None,
        });
        // RT_SCOPE_NOWHERE stands for any scope in a removal (`fib_table_delete`).
        message.header.scope = RouteScope::NoWhere;
        match self
            .socket
            .act(RouteNetlinkMessage::DelRoute(message), 0)
            .await
        {
            Ok(()) => Ok(()),
            Err(error) if matches!(error.errno, Errno::ESRCH | Errno::ENODEV | Errno::ENOENT) => {
                Ok(())
            }
            Err(error) => Err(refused(
                format!("cannot remove the route to {destination}"),
                &error,
            )),
        }
    }
}
