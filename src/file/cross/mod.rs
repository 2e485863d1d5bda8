//! Static network analysis: what the file alone shows to be wrong with addresses, networks, ports and modes, before any
//! engine is asked. Every disagreement is shown with both its places.
//!
//! What an engine or the kernel would refuse is an error; what works and hardly does what was meant is a warning. Each
//! check is linear in what it looks at, or sorts.

pub mod addresses;
pub mod bridges;
pub mod course;
pub mod dhcp;
pub mod macs;
pub mod modes;
pub mod names;
pub mod networks;
pub mod pools;
pub mod ports;
pub mod room;

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::cross::course::Course;
use crate::file::document::Document;
use crate::model::name::NetworkName;
use crate::model::network::{Network, Pool};
use crate::model::service::{Attachment, Connection, Service};
use crate::model::stack::Stack;
use crate::source::Span;

/// Tells all that the stack shows.
pub fn check(stack: &Stack, document: &Document, told: &mut Diagnostics) {
    let mut ground = Ground {
        stack,
        document,
        course: Course::of(stack),
        told,
    };
    pools::check(&mut ground);
    networks::check(&mut ground);
    addresses::check(&mut ground);
    dhcp::check(&mut ground);
    room::check(&mut ground);
    macs::check(&mut ground);
    ports::check(&mut ground);
    modes::check(&mut ground);
    names::check(&mut ground);
    bridges::check(&mut ground);
}

/// What checks stand on.
pub struct Ground<'a> {
    pub stack: &'a Stack,
    pub document: &'a Document,
    pub course: Course<'a>,
    told: &'a mut Diagnostics,
}

impl<'a> Ground<'a> {
    /// The place of the value at a path, or of the nearest thing around it.
    pub fn place(&self, path: &[&str]) -> Option<Span> {
        self.document.place(path)
    }

    /// Tells of a place, with what is to be said beside its carets.
    pub fn tell(&mut self, diagnostic: Diagnostic, path: &[&str], label: &str) {
        let diagnostic = match self.place(path) {
            Some(span) => diagnostic.label(span, label),
            None => diagnostic,
        };
        if self.told.is_full() {
            return self.told.push(diagnostic);
        }
        let path = self.document.written(path);
        self.told.push(diagnostic.path(path));
    }

    /// Adds the other place of a disagreement.
    pub fn also(&self, diagnostic: Diagnostic, path: &[&str], label: &str) -> Diagnostic {
        match self.place(path) {
            Some(span) => diagnostic.also(span, label),
            None => diagnostic,
        }
    }

    /// All attachments of all services to networks.
    pub fn attachments(
        &self,
    ) -> impl Iterator<Item = (&'a Service, &'a NetworkName, &'a Attachment)> + use<'a> {
        self.stack.services.values().flat_map(|service| {
            let networks = match &service.connection {
                Connection::Networks(networks) => Some(networks),
                Connection::Host
                | Connection::None
                | Connection::DefaultBridge
                | Connection::Service(_)
                | Connection::Container(_)
                | Connection::Named(_) => None,
            };
            networks
                .into_iter()
                .flat_map(move |all| all.iter().map(move |(name, one)| (service, name, one)))
        })
    }
}

/// The fixed addresses of an attachment, with their keys.
pub fn fixed(attachment: &Attachment) -> impl Iterator<Item = (&'static str, IpAddr)> {
    let v4 = attachment
        .ipv4_address
        .map(|address| ("ipv4_address", IpAddr::V4(address)));
    let v6 = attachment
        .ipv6_address
        .map(|address| ("ipv6_address", IpAddr::V6(address)));
    v4.into_iter().chain(v6)
}

/// The pool of a network that an address lies in, and its position.
pub fn pool_of(network: &Network, address: IpAddr) -> Option<(usize, &Pool, IpNet)> {
    network
        .ipam
        .pools
        .iter()
        .enumerate()
        .find_map(|(index, pool)| {
            pool.subnet
                .filter(|subnet| subnet.contains(&address))
                .map(|subnet| (index, pool, subnet))
        })
}

/// Why no station can have an address of a subnet: it is the network's own or the broadcast address.
pub fn reserved(subnet: IpNet, address: IpAddr) -> Option<&'static str> {
    match (subnet.trunc(), address) {
        (IpNet::V4(net), IpAddr::V4(address)) if net.prefix_len() < 31 => {
            if address == net.network() {
                Some("the address of the network itself")
            } else if address == net.broadcast() {
                Some("the broadcast address")
            } else {
                None
            }
        }
        (IpNet::V6(net), IpAddr::V6(address))
            if net.prefix_len() < 127 && address == net.network() =>
        {
            Some("the anycast address of its routers (RFC 4291)")
        }
        _ => None,
    }
}

/// The words of several names.
pub fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let mut seen = HashSet::new();
    let names: Vec<String> = names
        .into_iter()
        .filter(|name| seen.insert(*name))
        .map(|name| format!("`{name}`"))
        .collect();
    names.join(", ")
}
