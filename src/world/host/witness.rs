//! What the kernel of one namespace says about one destination: the way it would take, the next neighbour's state, what
//! its links have carried, behind which bridge port a neighbour is, and the connections that it tracks. Reads only; it is
//! asked before and after a question, and the difference is what the question did.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_route::link::LinkAttribute;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteAttribute, RouteMetric};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_NETFILTER;

use crate::model::address::Mac;
use crate::world::host::fuse::Fuse;
use crate::world::host::socket::{NetlinkError, Socket};
use crate::world::host::tlv::{self, attribute};
use crate::world::host::{message, table};
use crate::world::netns::Namespace;

/// What one namespace says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Testimony {
    pub way: Option<Way>,
    /// The next hop, where the neighbour table knows it.
    pub neighbour: Option<Neighbour>,
    pub traffic: Vec<Traffic>,
}

/// The way to a destination (`RTM_GETROUTE`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    pub link: String,
    /// The link's own.
    pub mac: Option<Mac>,
    pub via: Option<IpAddr>,
    pub source: Option<IpAddr>,
    /// The link's, or less where the kernel has learned of a narrower place.
    pub mtu: Option<u32>,
}

/// An entry of the neighbour table (ARP, neighbour discovery).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    pub address: IpAddr,
    /// `reachable`, `incomplete`, `failed`, …
    pub state: &'static str,
    pub mac: Option<Mac>,
}

/// What a link has carried since it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    pub link: String,
    pub sent: u64,
    pub received: u64,
    pub dropped: u64,
}

/// A tracked connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracked {
    pub asked: Ends,
    /// As an answer is expected; other addresses than those that were asked are a translation.
    pub answer: Ends,
    pub answered: bool,
}

/// Both ends of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    pub protocol: u8,
    pub source: (IpAddr, Option<u16>),
    pub destination: (IpAddr, Option<u16>),
}

/// Asks a namespace about a destination.
pub async fn testimony(namespace: &Namespace, to: IpAddr) -> io::Result<Testimony> {
    let socket = Socket::open(namespace, Fuse::default()).await?;
    let links = table::link_messages(&socket).map_err(told)?;
    let mut names = BTreeMap::new();
    let mut widths = BTreeMap::new();
    let mut macs = BTreeMap::new();
    let mut traffic = Vec::new();
    for link in &links {
        let name = table::name(link);
        for attribute in &link.attributes {
            match attribute {
                LinkAttribute::Stats64(stats) => traffic.push(Traffic {
                    link: name.clone(),
                    sent: stats.tx_packets,
                    received: stats.rx_packets,
                    dropped: stats.tx_dropped + stats.rx_dropped,
                }),
                LinkAttribute::Mtu(mtu) => {
                    widths.insert(name.clone(), *mtu);
                }
                LinkAttribute::Address(bytes) => {
                    let bytes: Option<[u8; 6]> = bytes.as_slice().try_into().ok();
                    macs.extend(bytes.map(|bytes| (name.clone(), Mac::new(bytes))));
                }
                _ => {}
            }
        }
        names.insert(link.header.index, name);
    }
    let mut way = way(&socket, to, &names, &widths).await;
    if let Some(way) = &mut way {
        way.mac = macs.get(&way.link).copied();
    }
    let next = way.as_ref().and_then(|way| way.via).unwrap_or(to);
    let neighbours = neighbours(&socket, message::family(to)).await?;
    let neighbour = neighbours.into_iter().find(|known| known.address == next);
    Ok(Testimony {
        way,
        neighbour,
        traffic,
    })
}

async fn way(
    socket: &Socket,
    to: IpAddr,
    names: &BTreeMap<u32, String>,
    widths: &BTreeMap<String, u32>,
) -> Option<Way> {
    // No way is an error of the kernel's (ENETUNREACH, EHOSTUNREACH).
    let ask = RouteNetlinkMessage::GetRoute(message::lookup(to));
    let answers = socket.ask(ask).await.ok()?;
    answers.iter().find_map(|answer| {
        let RouteNetlinkMessage::NewRoute(message) = answer else {
            return None;
        };
        let fact = table::route_fact(message, names)?;
        let link = fact.link?;
        let learned = message.attributes.iter().find_map(|attribute| {
            let RouteAttribute::Metrics(metrics) = attribute else {
                return None;
            };
            metrics.iter().find_map(|metric| match metric {
                RouteMetric::Mtu(mtu) => Some(*mtu),
                _ => None,
            })
        });
        Some(Way {
            mtu: learned.or_else(|| widths.get(&link).copied()),
            link,
            mac: None,
            via: fact.gateway,
            source: fact.source,
        })
    })
}

async fn neighbours(socket: &Socket, family: AddressFamily) -> io::Result<Vec<Neighbour>> {
    let found = listed(socket, family)?;
    Ok(found
        .iter()
        .filter_map(|message| {
            let address = message.attributes.iter().find_map(|attribute| {
                let NeighbourAttribute::Destination(address) = attribute else {
                    return None;
                };
                match address {
                    NeighbourAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
                    NeighbourAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
                    _ => None,
                }
            })?;
            Some(Neighbour {
                address,
                state: state(message.header.state),
                mac: mac(message),
            })
        })
        .collect())
}

pub(super) fn listed(socket: &Socket, family: AddressFamily) -> io::Result<Vec<NeighbourMessage>> {
    let mut ask = NeighbourMessage::default();
    ask.header.family = family;
    let ask = RouteNetlinkMessage::GetNeighbour(ask);
    socket
        .list(ask, |message| match message {
            RouteNetlinkMessage::NewNeighbour(message) => Some(message),
            _ => None,
        })
        .map_err(told)
}

fn mac(message: &NeighbourMessage) -> Option<Mac> {
    message.attributes.iter().find_map(|attribute| {
        let NeighbourAttribute::LinkLayerAddress(bytes) = attribute else {
            return None;
        };
        let bytes: [u8; 6] = bytes.as_slice().try_into().ok()?;
        Some(Mac::new(bytes))
    })
}

fn state(state: NeighbourState) -> &'static str {
    match state {
        NeighbourState::Incomplete => "incomplete",
        NeighbourState::Reachable => "reachable",
        NeighbourState::Stale => "stale",
        NeighbourState::Delay => "delay",
        NeighbourState::Probe => "probe",
        NeighbourState::Failed => "failed",
        NeighbourState::Noarp => "noarp",
        NeighbourState::Permanent => "permanent",
        _ => "unknown",
    }
}

/// The bridge port of a namespace behind which a station is, from the bridges' tables of addresses.
pub async fn bridge_port(namespace: &Namespace, station: Mac) -> io::Result<Option<String>> {
    let socket = Socket::open(namespace, Fuse::default()).await?;
    let links = table::link_messages(&socket).map_err(told)?;
    let entries = listed(&socket, AddressFamily::Bridge)?;
    let entry = entries.iter().find(|entry| mac(entry) == Some(station));
    let port = entry.and_then(|entry| {
        let index = entry.header.ifindex;
        links.iter().find(|link| link.header.index == index)
    });
    Ok(port.map(table::name))
}

fn told(error: NetlinkError) -> io::Error {
    io::Error::from_raw_os_error(error.errno as i32)
}

// include/uapi/linux/netfilter/nfnetlink_conntrack.h: subsystem 1, message 1 (get), as a dump.
const GET_TRACKED: u16 = 1 << 8 | 1;
const REQUEST: u16 = 0x1;
const DUMP: u16 = 0x300;

/// The connections that a namespace tracks; empty where its kernel does not tell.
pub async fn tracked(namespace: &Namespace) -> io::Result<Vec<Tracked>> {
    namespace
        .enter(|| {
            let mut socket = netlink_sys::Socket::new(NETLINK_NETFILTER)?;
            socket.bind_auto()?;
            socket.connect(&netlink_sys::SocketAddr::new(0, 0))?;
            let mut ask = 20u32.to_ne_bytes().to_vec();
            ask.extend(GET_TRACKED.to_ne_bytes());
            ask.extend((REQUEST | DUMP).to_ne_bytes());
            ask.extend([0; 12]);
            socket.send(&ask, 0)?;
            let answers = match tlv::answers(&mut socket) {
                Ok(answers) => answers,
                // A kernel without connection tracking, or without this way to ask for it.
                Err(error)
                    if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP)) =>
                {
                    Vec::new()
                }
                Err(error) => return Err(error),
            };
            Ok(answers
                .iter()
                .filter_map(|answer| connection(&answer.body))
                .collect())
        })
        .await
}

/// CTA_TUPLE_ORIG, CTA_TUPLE_REPLY and the second bit of CTA_STATUS (`IPS_SEEN_REPLY`).
fn connection(body: &[u8]) -> Option<Tracked> {
    let status = attribute(body, 3)
        .and_then(|status| status.get(..4)?.try_into().ok())
        .map_or(0, u32::from_be_bytes);
    Some(Tracked {
        asked: ends(attribute(body, 1)?)?,
        answer: ends(attribute(body, 2)?)?,
        answered: status & 2 != 0,
    })
}

/// CTA_TUPLE_IP (addresses, IPv4 in 1 and 2, IPv6 in 3 and 4) and CTA_TUPLE_PROTO (number, ports).
fn ends(tuple: &[u8]) -> Option<Ends> {
    let addresses = attribute(tuple, 1)?;
    let transport = attribute(tuple, 2)?;
    let address = |four: u16, six: u16| {
        let v4 = attribute(addresses, four).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        let v6 = attribute(addresses, six).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        v4.map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)))
            .or_else(|| v6.map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes))))
    };
    let port = |kind: u16| {
        let bytes = attribute(transport, kind)?.get(..2)?.try_into().ok()?;
        Some(u16::from_be_bytes(bytes))
    };
    Some(Ends {
        protocol: *attribute(transport, 1)?.first()?,
        source: (address(1, 3)?, port(2)),
        destination: (address(2, 4)?, port(3)),
    })
}

#[cfg(test)]
mod tests {
    use super::connection;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn tuple(kind: u16, from: [u8; 4], to: [u8; 4], ports: (u16, u16)) -> Vec<u8> {
        let addresses = [attribute(1, &from), attribute(2, &to)].concat();
        let transport = [
            attribute(1, &[6]),
            attribute(2, &ports.0.to_be_bytes()),
            attribute(3, &ports.1.to_be_bytes()),
        ]
        .concat();
        let both = [attribute(0x8001, &addresses), attribute(0x8002, &transport)].concat();
        attribute(0x8000 | kind, &both)
    }

    #[test]
    fn a_translated_connection_is_read_and_a_cut_one_is_none() {
        let body = [
            tuple(1, [10, 0, 0, 2], [10, 0, 0, 1], (40000, 8080)),
            tuple(2, [172, 17, 0, 2], [10, 0, 0, 2], (80, 40000)),
            attribute(3, &2u32.to_be_bytes()),
        ]
        .concat();
        let read = connection(&body).unwrap();
        assert!(read.answered);
        assert_eq!(read.asked.destination.1, Some(8080));
        assert_eq!(read.answer.source.0.to_string(), "172.17.0.2");
        for length in 0..body.len() - 8 {
            assert!(connection(&body[..length]).is_none());
        }
    }
}
