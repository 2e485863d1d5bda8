//! A packet on its way, what was changed in it, and where it ended.

use std::net::IpAddr;

use crate::reach::scene::NodeId;

/// No path of ours is longer; a loop of routes is.
pub const MOST_HOPS: usize = 8;

/// What a namespace changed in a packet, so that the answer can be changed back.
#[derive(Debug, Clone, Copy)]
pub struct Rewrite {
    pub at: NodeId,
    pub before: (IpAddr, IpAddr),
    pub after: (IpAddr, IpAddr),
}

/// A packet on its way.
#[derive(Debug, Clone)]
pub struct Packet {
    pub source: Option<IpAddr>,
    pub destination: IpAddr,
    pub port: Option<u16>,
    pub rewrites: Vec<Rewrite>,
    pub translated: bool,
}

/// Where a packet ended.
pub struct Arrival {
    pub node: NodeId,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub rewrites: Vec<Rewrite>,
}
