//! What a container's links are joined to: the pairs and parents between a namespace and the host. Reads only.

use std::collections::BTreeMap;

use netlink_packet_route::link::LinkMessage;

use crate::plan::observed::InsideLink;
use crate::world::WorldError;
use crate::world::host::error::{broken, refused};
use crate::world::host::socket::Socket;
use crate::world::host::{Host, table};
use crate::world::netns::Namespace;

/// The links in the namespace of a process, each with the host's link that it is joined to. A process that shares the
/// host's own namespace has none of its own.
pub async fn links(host: &Host, process: u32) -> Result<Vec<InsideLink>, WorldError> {
    let act = || format!("cannot look into the network namespace of process {process}");
    let namespace = Namespace::of_process(process).map_err(|error| broken(act(), &error))?;
    if namespace == host.namespace {
        return Ok(Vec::new());
    }
    let socket = Socket::open(&namespace, host.fuse.clone())
        .await
        .map_err(|error| broken(act(), &error))?;
    let inside = table::link_messages(&socket).map_err(|error| refused(act(), &error))?;
    let outside = table::link_messages(&host.socket)
        .map_err(|error| refused("cannot read the host's links", &error))?;
    let outside: BTreeMap<u32, &LinkMessage> = outside
        .iter()
        .map(|message| (message.header.index, message))
        .collect();
    let facts = table::links(&socket).map_err(|error| refused(act(), &error))?;
    Ok(facts
        .into_iter()
        .map(|link| {
            let message = inside
                .iter()
                .find(|message| message.header.index == link.index);
            InsideLink {
                outer: message.and_then(|message| outer(message, &link.kind, &outside)),
                link,
            }
        })
        .collect())
}

/// The host's link that a link of another namespace is joined to. Numbers of links are unique in one namespace only,
/// so both ends of a pair must name each other.
fn outer(
    inside: &LinkMessage,
    kind: &str,
    outside: &BTreeMap<u32, &LinkMessage>,
) -> Option<String> {
    // Without a namespace id the other end is in the same namespace.
    let (Some(index), Some(_)) = table::other_end(inside) else {
        return None;
    };
    let other = outside.get(&index)?;
    let joined = match kind {
        "veth" => {
            let (back, away) = table::other_end(other);
            back == Some(inside.header.index) && away.is_some()
        }
        "macvlan" | "ipvlan" | "macvtap" | "ipvtap" => true,
        _ => false,
    };
    joined.then(|| table::name(other))
}
