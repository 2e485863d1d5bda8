//! The kernel's tables in our words: links with their addresses, and routes. Reads only; what the kernel tells beyond
//! our words is left out.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoBridgePort, InfoData, InfoIpVlan, InfoMacVlan, InfoPortData, InfoVlan, IpVlanFlags,
    IpVlanMode, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage, MacVlanMode,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::model::address::Mac;
use crate::plan::observed::{LinkFact, RouteFact};
use crate::world::host::socket::{NetlinkError, Socket};

/// The main routing table (`RT_TABLE_MAIN`).
pub const MAIN_TABLE: u32 = 254;

/// All links of the socket's namespace, by index, with their addresses.
pub fn links(socket: &Socket) -> Result<Vec<LinkFact>, NetlinkError> {
    // Counters are half of what the kernel tells of a link.
    let mut ask = LinkMessage::default();
    ask.attributes
        .push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    let mut told = socket.list(RouteNetlinkMessage::GetLink(ask), |message| match message {
        RouteNetlinkMessage::NewLink(message) => Some(link_fact(&message)),
        _ => None,
    })?;
    told.sort_by_key(|told| told.fact.index);
    let names: BTreeMap<u32, String> = told
        .iter()
        .map(|told| (told.fact.index, told.fact.name.clone()))
        .collect();
    let mut facts: Vec<LinkFact> = told.into_iter().map(|told| told.named(&names)).collect();
    let addresses = socket.list(
        RouteNetlinkMessage::GetAddress(AddressMessage::default()),
        |message| match message {
            RouteNetlinkMessage::NewAddress(message) => {
                Some((message.header.index, address_fact(&message)?))
            }
            _ => None,
        },
    )?;
    for (index, address) in addresses {
        if let Ok(at) = facts.binary_search_by_key(&index, |fact| fact.index) {
            facts[at].addresses.push(address);
        }
    }
    Ok(facts)
}

/// All links of the socket's namespace as the kernel tells them.
pub fn link_messages(socket: &Socket) -> Result<Vec<LinkMessage>, NetlinkError> {
    let ask = RouteNetlinkMessage::GetLink(LinkMessage::default());
    socket.list(ask, |message| match message {
        RouteNetlinkMessage::NewLink(message) => Some(message),
        _ => None,
    })
}

/// All unicast routes of the socket's namespace in the main table, both families.
pub fn routes(socket: &Socket) -> Result<Vec<RouteMessage>, NetlinkError> {
    let mut found = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut ask = RouteMessage::default();
        ask.header.address_family = family;
        found.extend(socket.list(
            RouteNetlinkMessage::GetRoute(ask),
            |message| match message {
                RouteNetlinkMessage::NewRoute(message) if table(&message) == MAIN_TABLE => {
                    Some(message)
                }
                _ => None,
            },
        )?);
    }
    Ok(found)
}

/// The name of a link.
pub fn name(message: &LinkMessage) -> String {
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name.clone()),
            _ => None,
        })
        .unwrap_or_default()
}

/// The index of the link at the other end or below, and the namespace id it is in; none is this one.
pub fn other_end(message: &LinkMessage) -> (Option<u32>, Option<i32>) {
    let mut index = None;
    let mut namespace = None;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Link(other) => index = Some(*other),
            LinkAttribute::LinkNetNsId(id) => namespace = Some(*id),
            _ => {}
        }
    }
    (index, namespace)
}

/// The settings of a bridge's port.
pub fn port_settings(message: &LinkMessage) -> &[InfoBridgePort] {
    for attribute in &message.attributes {
        if let LinkAttribute::LinkInfo(infos) = attribute {
            for info in infos {
                if let LinkInfo::PortData(InfoPortData::BridgePort(settings)) = info {
                    return settings;
                }
            }
        }
    }
    &[]
}

/// The kind-specific part of a link.
pub fn data(message: &LinkMessage) -> Option<&InfoData> {
    message.attributes.iter().find_map(|attribute| {
        let LinkAttribute::LinkInfo(infos) = attribute else {
            return None;
        };
        infos.iter().find_map(|info| match info {
            LinkInfo::Data(data) => Some(data),
            _ => None,
        })
    })
}

/// A link in our words, but for the names of the links that it names by their index.
struct Told {
    fact: LinkFact,
    master: Option<u32>,
    /// The link that it sits on.
    lower: Option<u32>,
}

impl Told {
    fn named(self, names: &BTreeMap<u32, String>) -> LinkFact {
        let name = |index: Option<u32>| names.get(&index?).cloned();
        LinkFact {
            master: name(self.master),
            lower: name(self.lower),
            ..self.fact
        }
    }
}

/// A link in our words. Addresses are told by another message; whether it is wireless by another subsystem.
fn link_fact(message: &LinkMessage) -> Told {
    let flags = message.header.flags;
    let mut fact = LinkFact {
        index: message.header.index,
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        loopback: flags.contains(LinkFlags::Loopback),
        promiscuous_flag: flags.contains(LinkFlags::Promisc),
        ..LinkFact::default()
    };
    let mut master = None;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => fact.name = name.clone(),
            LinkAttribute::Address(bytes) => {
                fact.mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(Mac::new);
            }
            LinkAttribute::Mtu(mtu) => fact.mtu = *mtu,
            LinkAttribute::Controller(index) => master = Some(*index),
            LinkAttribute::Promiscuity(count) => fact.promiscuity = *count,
            LinkAttribute::IfAlias(alias) => fact.alias = Some(alias.clone()),
            LinkAttribute::Group(group) => fact.group = *group,
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    match info {
                        LinkInfo::Kind(kind) => fact.kind = kind.to_string(),
                        LinkInfo::Data(data) => fact.mode = mode(data),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    // For a veth the same attribute is its other end, which it does not sit on.
    let sits = matches!(
        fact.kind.as_str(),
        "macvlan" | "macvtap" | "ipvlan" | "ipvtap" | "vlan"
    );
    let lower = match (sits, other_end(message)) {
        (true, (index, None)) => index,
        _ => None,
    };
    Told {
        fact,
        master,
        lower,
    }
}

/// macvlan: the mode's word. ipvlan: the mode's word, and the flag's after a blank where it is not `bridge`. 802.1Q:
/// the id.
fn mode(data: &InfoData) -> Option<String> {
    match data {
        InfoData::MacVlan(infos) => infos.iter().find_map(|info| match info {
            InfoMacVlan::Mode(MacVlanMode::Bridge) => Some("bridge".to_owned()),
            InfoMacVlan::Mode(MacVlanMode::Private) => Some("private".to_owned()),
            InfoMacVlan::Mode(MacVlanMode::Vepa) => Some("vepa".to_owned()),
            InfoMacVlan::Mode(MacVlanMode::Passthrough) => Some("passthru".to_owned()),
            InfoMacVlan::Mode(MacVlanMode::Source) => Some("source".to_owned()),
            _ => None,
        }),
        InfoData::IpVlan(infos) => {
            let mut word = None;
            let mut flag = "";
            for info in infos {
                match info {
                    InfoIpVlan::Mode(IpVlanMode::L2) => word = Some("l2"),
                    InfoIpVlan::Mode(IpVlanMode::L3) => word = Some("l3"),
                    InfoIpVlan::Mode(IpVlanMode::L3S) => word = Some("l3s"),
                    InfoIpVlan::Flags(flags) if flags.contains(IpVlanFlags::Private) => {
                        flag = " private";
                    }
                    InfoIpVlan::Flags(flags) if flags.contains(IpVlanFlags::Vepa) => {
                        flag = " vepa";
                    }
                    _ => {}
                }
            }
            word.map(|word| format!("{word}{flag}"))
        }
        InfoData::Vlan(infos) => infos.iter().find_map(|info| match info {
            InfoVlan::Id(id) => Some(id.to_string()),
            _ => None,
        }),
        _ => None,
    }
}

/// The address of a message: the local one, as the other is the far end's on point-to-point links.
pub fn address_fact(message: &AddressMessage) -> Option<IpNet> {
    let mut address = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(local) => {
                address = Some(*local);
                break;
            }
            AddressAttribute::Address(other) => address = Some(*other),
            _ => {}
        }
    }
    IpNet::new(address?, message.header.prefix_len).ok()
}

/// The table of a route.
pub fn table(message: &RouteMessage) -> u32 {
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Table(table) => Some(*table),
            _ => None,
        })
        .unwrap_or(u32::from(message.header.table))
}

/// A route in our words. For one with several ways the first counts.
pub fn route_fact(message: &RouteMessage, names: &BTreeMap<u32, String>) -> Option<RouteFact> {
    let any: IpAddr = match message.header.address_family {
        AddressFamily::Inet => IpAddr::from([0u8; 4]),
        AddressFamily::Inet6 => IpAddr::from([0u8; 16]),
        _ => return None,
    };
    let mut destination = any;
    let mut fact = RouteFact {
        destination: IpNet::new(any, 0).ok()?,
        link: None,
        gateway: None,
        source: None,
        protocol: u8::from(message.header.protocol),
        table: table(message),
        metric: 0,
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => destination = ip(address)?,
            RouteAttribute::Oif(index) => fact.link = names.get(index).cloned(),
            RouteAttribute::Gateway(address) => fact.gateway = ip(address),
            RouteAttribute::PrefSource(address) => fact.source = ip(address),
            RouteAttribute::Priority(metric) => fact.metric = *metric,
            RouteAttribute::MultiPath(ways) => {
                if let Some(way) = ways.first() {
                    fact.link = names.get(&way.interface_index).cloned();
                    fact.gateway = way.attributes.iter().find_map(|attribute| match attribute {
                        RouteAttribute::Gateway(address) => ip(address),
                        _ => None,
                    });
                }
            }
            _ => {}
        }
    }
    fact.destination = IpNet::new(destination, message.header.destination_prefix_length).ok()?;
    Some(fact)
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}
