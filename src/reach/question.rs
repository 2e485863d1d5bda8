//! Who asks, whom, and what. A target is one that the stack declares; nothing here scans.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::model::port::Protocol;

/// Where a question is asked from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Viewpoint {
    /// A container, by its name.
    Container(String),
    /// The engine's host.
    Host,
    /// The host, from the address of this shim.
    Shim(String),
    /// A machine on a lan.
    Machine { lan: String, machine: String },
    /// The router of a lan.
    Router(String),
    /// A container of another project, on a bridge network of its own.
    Other,
    /// Somebody beyond all of this.
    Internet,
}

impl fmt::Display for Viewpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Viewpoint::Container(name) | Viewpoint::Shim(name) => f.write_str(name),
            Viewpoint::Host => f.write_str("host"),
            Viewpoint::Machine { lan, machine } => write!(f, "{lan}.{machine}"),
            Viewpoint::Router(lan) => write!(f, "{lan}.router"),
            Viewpoint::Other => f.write_str("another project"),
            Viewpoint::Internet => f.write_str("internet"),
        }
    }
}

/// Whom it is asked of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    Name(String),
    Address(IpAddr),
    /// Anything beyond the stack and its host.
    Internet,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Name(name) => f.write_str(name),
            Target::Address(address) => address.fmt(f),
            Target::Internet => f.write_str("internet"),
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// The resolver is asked for the name, and nothing is sent to the target.
    Name,
    Icmp,
    Tcp(u16),
    Udp(u16),
}

impl Ask {
    /// The port, where there is one.
    pub fn port(self) -> Option<u16> {
        match self {
            Ask::Tcp(port) | Ask::Udp(port) => Some(port),
            Ask::Name | Ask::Icmp => None,
        }
    }

    /// The transport, where there is one that this tool speaks.
    pub fn protocol(self) -> Option<Protocol> {
        match self {
            Ask::Tcp(_) => Some(Protocol::Tcp),
            Ask::Udp(_) => Some(Protocol::Udp),
            Ask::Name | Ask::Icmp => None,
        }
    }

    /// The question about a declared port; none for a transport that cannot be asked.
    pub fn of_port(port: u16, protocol: Protocol) -> Option<Ask> {
        match protocol {
            Protocol::Tcp => Some(Ask::Tcp(port)),
            Protocol::Udp => Some(Ask::Udp(port)),
            Protocol::Sctp => None,
        }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ask::Name => f.write_str("name"),
            Ask::Icmp => f.write_str("icmp"),
            Ask::Tcp(port) => write!(f, "tcp/{port}"),
            Ask::Udp(port) => write!(f, "udp/{port}"),
        }
    }
}

/// One cell of the matrix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Question {
    pub from: Viewpoint,
    pub to: Target,
    pub ask: Ask,
    /// Who is meant: the container, machine, `host` or shim. A name that leads to somebody else is a wrong target.
    pub meant: String,
}
