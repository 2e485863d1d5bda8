//! What decides where packets go beside the main table: policy rules, the neighbours that are known, and the kernel's
//! own answer for an address. Reads only.

use std::net::IpAddr;

use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::rule::{RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::model::address::Mac;
use crate::plan::machine::{Neighbour, PolicyRule, Way};
use crate::world::WorldError;
use crate::world::host::error::refused;
use crate::world::host::{Host, lookup};

impl Host {
    /// The policy rules of both families, in the order in which they are asked.
    pub async fn rules(&self) -> Result<Vec<PolicyRule>, WorldError> {
        let mut rules = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut ask = RuleMessage::default();
            ask.header.family = family;
            let found = self
                .socket
                .list(RouteNetlinkMessage::GetRule(ask), |message| match message {
                    RouteNetlinkMessage::NewRule(message) => Some(rule(&message)),
                    _ => None,
                })
                .map_err(|error| refused("cannot read the host's policy rules", &error))?;
            rules.extend(found);
        }
        Ok(rules)
    }

    /// The neighbours whose link-layer address the kernel knows.
    pub async fn neighbours(&self) -> Result<Vec<Neighbour>, WorldError> {
        let links = self.links().await?;
        let ask = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        self.socket
            .list(ask, |message| match message {
                RouteNetlinkMessage::NewNeighbour(message) => {
                    let link = links
                        .iter()
                        .find(|link| link.index == message.header.ifindex)?;
                    neighbour(&message, &link.name)
                }
                _ => None,
            })
            .map_err(|error| refused("cannot read the host's neighbours", &error))
    }

    /// Where packets to these addresses would go now.
    pub async fn ways(&self, addresses: &[IpAddr]) -> Result<Vec<Way>, WorldError> {
        let mut ways = Vec::new();
        for address in addresses {
            let way = lookup::way(self, *address).await?;
            ways.push(Way {
                to: *address,
                table: way.as_ref().map_or(0, |way| way.table),
                link: way.and_then(|way| way.link),
            });
        }
        Ok(ways)
    }
}

fn rule(message: &RuleMessage) -> PolicyRule {
    let mut rule = PolicyRule {
        ipv6: message.header.family == AddressFamily::Inet6,
        table: u32::from(message.header.table),
        ..PolicyRule::default()
    };
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Table(table) => rule.table = *table,
            RuleAttribute::Destination(address) => {
                rule.selects
                    .push(format!("to {address}/{}", message.header.dst_len));
            }
            RuleAttribute::Source(address) => {
                rule.selects
                    .push(format!("from {address}/{}", message.header.src_len));
            }
            RuleAttribute::Iifname(name) => rule.selects.push(format!("iif {name}")),
            RuleAttribute::Oifname(name) => rule.selects.push(format!("oif {name}")),
            RuleAttribute::FwMark(mark) => rule.selects.push(format!("fwmark {mark:#x}")),
            _ => {}
        }
    }
    rule
}

fn neighbour(message: &NeighbourMessage, link: &str) -> Option<Neighbour> {
    if matches!(
        message.header.state,
        NeighbourState::Failed | NeighbourState::Incomplete | NeighbourState::None
    ) {
        return None;
    }
    let mut address = None;
    let mut mac = None;
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => {
                address = Some(IpAddr::V4(*v4));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => {
                address = Some(IpAddr::V6(*v6));
            }
            NeighbourAttribute::LinkLayerAddress(bytes) => {
                mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(Mac::new);
            }
            _ => {}
        }
    }
    Some(Neighbour {
        address: address?,
        mac: mac?,
        link: link.to_owned(),
    })
}
