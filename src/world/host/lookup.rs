//! Where packets would go: the main table in our words, and the kernel's own answer for one destination
//! (`RTM_GETROUTE`), which counts rules, VPN tables and more specific routes in.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::RouteNetlinkMessage;

use crate::model::mark::ROUTE_PROTOCOL;
use crate::plan::observed::{LinkFact, RouteFact};
use crate::plan::spec::ShimSpec;
use crate::world::host::error::refused;
use crate::world::host::{Host, message, table};
use crate::world::{Progress, WorldError};

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
        .await
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
fn sample(destination: IpNet, spec: &ShimSpec) -> Option<IpAddr> {
    let other = |address: &IpAddr| !spec.addresses.contains(address);
    match destination {
        IpNet::V4(net) => net.hosts().map(IpAddr::V4).find(other),
        IpNet::V6(net) => net.hosts().map(IpAddr::V6).find(other),
    }
}
