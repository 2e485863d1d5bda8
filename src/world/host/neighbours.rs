//! The neighbours that a namespace has learned of. The kernel keeps so many for all namespaces together, and who asks
//! more than that gives back what it has made it learn.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::world::host::fuse::Fuse;
use crate::world::host::message;
use crate::world::host::socket::Socket;
use crate::world::host::witness::listed;
use crate::world::netns::Namespace;

/// Neighbours, by the index of their link and their address.
pub type Learned = BTreeSet<(u32, IpAddr)>;

/// So many entries of either family the kernel keeps of all namespaces, where nobody set another number
/// (`net.ipv4.neigh.default.gc_thresh3`).
const KEPT: usize = 1024;

/// After so long without a change an entry makes room for another (`neigh_forced_gc` of the kernel's net/core/neighbour.c).
pub const AGED: Duration = Duration::from_secs(5);

/// How many neighbours may be asked now, all namespaces together, before the kernel throws packets away: each one learns of
/// the one who asks, too, and a gateway of both. Only the machine's own namespace tells how many entries there are;
/// elsewhere the table is taken for empty.
pub fn room() -> usize {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse().ok();
    let kept = number("/proc/sys/net/ipv4/neigh/default/gc_thresh3").unwrap_or(KEPT);
    let entries = |family: &str| {
        let text = std::fs::read_to_string(format!("/proc/net/stat/{family}_cache")).ok()?;
        entries_of(&text)
    };
    let taken = entries("arp").max(entries("ndisc")).unwrap_or(0);
    kept.saturating_sub(taken) * 2 / 5
}

/// A line of headings and one for each processor, of which each has the same number of entries.
fn entries_of(text: &str) -> Option<usize> {
    let word = text.lines().nth(1)?.split_whitespace().next()?;
    usize::from_str_radix(word, 16).ok()
}

/// Those that have answered; static ones and those that are asked in vain are left out.
pub async fn learned(namespace: &Namespace) -> io::Result<Learned> {
    let socket = Socket::open(namespace, Fuse::default()).await?;
    of(&socket).await
}

/// Forgets those that have answered, but for these. The kernel asks again where it must.
pub async fn forget(namespace: &Namespace, but: &Learned) -> io::Result<()> {
    let socket = Socket::open(namespace, Fuse::default()).await?;
    for (index, address) in of(&socket).await?.difference(but) {
        let entry = message::neighbour(*index, *address);
        // One that went by itself meanwhile is an error to the kernel, and to nobody else.
        let _ = socket
            .act(RouteNetlinkMessage::DelNeighbour(entry), 0)
            .await;
    }
    Ok(())
}

async fn of(socket: &Socket) -> io::Result<Learned> {
    let mut found = Learned::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let entries = listed(socket, family)?;
        found.extend(entries.iter().filter_map(entry));
    }
    Ok(found)
}

fn entry(message: &NeighbourMessage) -> Option<(u32, IpAddr)> {
    let answered = matches!(
        message.header.state,
        NeighbourState::Reachable
            | NeighbourState::Stale
            | NeighbourState::Delay
            | NeighbourState::Probe
    );
    message.attributes.iter().find_map(|attribute| {
        let NeighbourAttribute::Destination(address) = attribute else {
            return None;
        };
        let address = match address {
            NeighbourAddress::Inet(v4) => IpAddr::V4(*v4),
            NeighbourAddress::Inet6(v6) => IpAddr::V6(*v6),
            _ => return None,
        };
        answered.then_some((message.header.ifindex, address))
    })
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::neighbour::NeighbourState;

    use super::{entries_of, entry};
    use crate::world::host::message;

    #[test]
    fn the_entries_of_the_table_are_hexadecimal() {
        let text =
            "entries  allocs   destroys\n0000001f 00004e8b 00004c74\n0000001f 0000547c 0000568f\n";
        assert_eq!(entries_of(text), Some(31));
        assert_eq!(entries_of("entries\n"), None);
    }

    #[test]
    fn only_neighbours_that_have_answered_are_forgotten() {
        let mut neighbour = message::neighbour(7, "10.0.0.2".parse().unwrap());
        for (state, counts) in [
            (NeighbourState::Reachable, true),
            (NeighbourState::Stale, true),
            (NeighbourState::Permanent, false),
            (NeighbourState::Noarp, false),
            (NeighbourState::Incomplete, false),
            (NeighbourState::Failed, false),
        ] {
            neighbour.header.state = state;
            let wanted = counts.then(|| (7, "10.0.0.2".parse().unwrap()));
            assert_eq!(entry(&neighbour), wanted, "{state:?}");
        }
    }
}
