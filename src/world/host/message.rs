//! The messages that change links, addresses and routes, as pure functions: what is asked of the kernel can be read
//! and tested without one. Nothing here sends.
//!
//! Every link is made with our group number in the very message that makes it. An alias in that message is silently
//! ignored by the kernel, so it is set by a second one.

use std::net::IpAddr;
use std::os::fd::RawFd;

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::{
    AfSpecBridge, BridgeVlanInfo, BridgeVlanInfoFlags, InfoBridgePort, InfoData, InfoIpVlan,
    InfoKind, InfoMacVlan, InfoPortData, InfoPortKind, InfoVeth, InfoVlan, IpVlanFlags, IpVlanMode,
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage, MacVlanMode,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use crate::model::address::{Mac, VlanId};
use crate::model::mark::{LINK_GROUP, ROUTE_PROTOCOL};
use crate::model::network::{IpvlanFlag, IpvlanMode, MacvlanMode};
use crate::plan::spec::ShimKind;

/// One end of a veth pair.
pub struct VethEnd<'a> {
    pub name: &'a str,
    pub mac: Mac,
    /// The namespace it is made in; none is the socket's own.
    pub namespace: Option<RawFd>,
    pub mtu: Option<u32>,
}

/// A macvlan or ipvlan link on the link of index `parent`, down.
pub fn make_child(name: &str, parent: u32, kind: ShimKind, mac: Option<Mac>) -> LinkMessage {
    let (kind, data) = match kind {
        ShimKind::Macvlan(mode) => (
            InfoKind::MacVlan,
            InfoData::MacVlan(vec![InfoMacVlan::Mode(macvlan_mode(mode))]),
        ),
        ShimKind::Ipvlan(mode, flag) => (
            InfoKind::IpVlan,
            InfoData::IpVlan(vec![
                InfoIpVlan::Mode(ipvlan_mode(mode)),
                InfoIpVlan::Flags(ipvlan_flags(flag)),
            ]),
        ),
    };
    let mut message = make(name, kind, Some(data));
    message.attributes.push(LinkAttribute::Link(parent));
    if let Some(mac) = mac {
        message
            .attributes
            .push(LinkAttribute::Address(mac.bytes().to_vec()));
    }
    message
}

/// An 802.1Q link on the link of index `base`, down.
pub fn make_vlan(name: &str, base: u32, id: VlanId) -> LinkMessage {
    let data = InfoData::Vlan(vec![InfoVlan::Id(id.number())]);
    let mut message = make(name, InfoKind::Vlan, Some(data));
    message.attributes.push(LinkAttribute::Link(base));
    message
}

/// A veth pair, both ends at their places, with their names and addresses, in one message: it is there as a whole or
/// not at all.
pub fn make_veth(one: &VethEnd<'_>, two: &VethEnd<'_>) -> LinkMessage {
    let mut peer = LinkMessage::default();
    peer.attributes = vec![
        LinkAttribute::IfName(two.name.to_owned()),
        LinkAttribute::Group(LINK_GROUP),
    ];
    place(&mut peer, two);
    let mut message = make(
        one.name,
        InfoKind::Veth,
        Some(InfoData::Veth(InfoVeth::Peer(peer))),
    );
    place(&mut message, one);
    message
}

fn place(message: &mut LinkMessage, end: &VethEnd<'_>) {
    message
        .attributes
        .push(LinkAttribute::Address(end.mac.bytes().to_vec()));
    if let Some(mtu) = end.mtu {
        message.attributes.push(LinkAttribute::Mtu(mtu));
    }
    if let Some(namespace) = end.namespace {
        message.attributes.push(LinkAttribute::NetNsFd(namespace));
    }
}

/// A link of this kind, down, in our group.
pub fn make(name: &str, kind: InfoKind, data: Option<InfoData>) -> LinkMessage {
    let mut info = vec![LinkInfo::Kind(kind)];
    info.extend(data.map(LinkInfo::Data));
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::Group(LINK_GROUP),
        LinkAttribute::LinkInfo(info),
    ];
    message
}

/// The link of this index, with nothing asked of it yet.
pub fn link(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

/// Sets one attribute of a link.
pub fn set(index: u32, attribute: LinkAttribute) -> LinkMessage {
    let mut message = link(index);
    message.attributes.push(attribute);
    message
}

/// Sets or clears one flag of a link and leaves the others.
pub fn flag(index: u32, flag: LinkFlags, to: bool) -> LinkMessage {
    let mut message = link(index);
    message.header.change_mask = flag;
    if to {
        message.header.flags = flag;
    }
    message
}

/// An address on a link. The kernel adds no route for a `Bare` one, and does no duplicate address detection for any:
/// that is our probe's, and until it is done no route may name the address as its source.
pub fn address(index: u32, address: IpNet, routed: Routed) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address.addr());
    message.header.prefix_len = address.prefix_len();
    message.header.index = index;
    message.header.scope = AddressScope::Universe;
    message.header.flags = AddressHeaderFlags::empty();
    let mut flags = AddressFlags::Permanent;
    match address.addr() {
        IpAddr::V4(v4) => {
            message.attributes.push(AddressAttribute::Local(v4.into()));
            if let (Routed::Connected, IpNet::V4(net)) = (routed, address)
                && net.prefix_len() < 31
            {
                message
                    .attributes
                    .push(AddressAttribute::Broadcast(net.broadcast()));
            }
        }
        IpAddr::V6(_) => flags |= AddressFlags::Nodad,
    }
    message
        .attributes
        .push(AddressAttribute::Address(address.addr()));
    match routed {
        Routed::Bare => flags |= AddressFlags::Noprefixroute,
        Routed::Connected => {}
    }
    message.attributes.push(AddressAttribute::Flags(flags));
    message
}

/// Whether the kernel makes the connected route of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routed {
    Connected,
    Bare,
}

/// A route of ours in the main table.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    pub destination: IpNet,
    pub link: u32,
    /// None makes it a route of scope link.
    pub gateway: Option<IpAddr>,
    pub source: Option<IpAddr>,
}

/// The message of a route, with our protocol number. A gateway is taken to be on the link whatever the addresses say.
pub fn route(route: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(route.destination.addr());
    message.header.destination_prefix_length = route.destination.prefix_len();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::from(ROUTE_PROTOCOL);
    message.header.kind = RouteType::Unicast;
    message.header.scope = match (route.gateway, route.destination) {
        (None, IpNet::V4(_)) => RouteScope::Link,
        // IPv6 has no scopes of routes; the kernel tells `Universe` back.
        (None, IpNet::V6(_)) | (Some(_), _) => RouteScope::Universe,
    };
    if route.destination.prefix_len() > 0 {
        message.attributes.push(RouteAttribute::Destination(
            route.destination.network().into(),
        ));
    }
    message.attributes.push(RouteAttribute::Oif(route.link));
    if let Some(gateway) = route.gateway {
        message.header.flags = RouteFlags::Onlink;
        message
            .attributes
            .push(RouteAttribute::Gateway(gateway.into()));
    }
    if let Some(source) = route.source {
        message
            .attributes
            .push(RouteAttribute::PrefSource(source.into()));
    }
    message
}

/// Asks which way a packet to this address would go.
pub fn lookup(destination: IpAddr) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(destination);
    message.header.destination_prefix_length = IpNet::from(destination).prefix_len();
    // Without it the kernel says that every route is of the main table.
    message.header.flags = RouteFlags::LookupTable;
    message
        .attributes
        .push(RouteAttribute::Destination(destination.into()));
    message
}

/// How a bridge treats one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortSettings {
    /// Frames may leave by the port they came in.
    pub hairpin: bool,
    /// The senders of frames are remembered.
    pub learning: bool,
    /// Frames to unknown addresses are sent here too.
    pub flood: bool,
}

impl PortSettings {
    /// What the kernel tells of a port; what it does not tell is as on a new one.
    pub fn of(told: &[InfoBridgePort]) -> PortSettings {
        let mut settings = PortSettings {
            hairpin: false,
            learning: true,
            flood: true,
        };
        for setting in told {
            match setting {
                InfoBridgePort::HairpinMode(on) => settings.hairpin = *on,
                InfoBridgePort::Learning(on) => settings.learning = *on,
                InfoBridgePort::UnicastFlood(on) => settings.flood = *on,
                _ => {}
            }
        }
        settings
    }
}

/// Sets how a bridge treats one of its ports; to be sent as `RTM_NEWLINK`, as `RTM_SETLINK` does not look at it.
pub fn port(index: u32, settings: PortSettings) -> LinkMessage {
    let PortSettings {
        hairpin,
        learning,
        flood,
    } = settings;
    let data = vec![
        InfoBridgePort::HairpinMode(hairpin),
        InfoBridgePort::Learning(learning),
        InfoBridgePort::UnicastFlood(flood),
    ];
    set(
        index,
        LinkAttribute::LinkInfo(vec![
            LinkInfo::PortKind(InfoPortKind::Bridge),
            LinkInfo::PortData(InfoPortData::BridgePort(data)),
        ]),
    )
}

/// A VLAN of a bridge's port: set with `RTM_SETLINK`, taken away with `RTM_DELLINK`.
pub fn port_vlan(index: u32, vlan: u16, flags: BridgeVlanInfoFlags) -> LinkMessage {
    let mut message = link(index);
    message.header.interface_family = AddressFamily::Bridge;
    message
        .attributes
        .push(LinkAttribute::AfSpecBridge(vec![AfSpecBridge::VlanInfo(
            BridgeVlanInfo { flags, vid: vlan },
        )]));
    message
}

/// A static entry of a bridge's table: this address is behind this port (and VLAN), whatever frames say.
pub fn station(port: u32, mac: Mac, vlan: Option<VlanId>) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Bridge;
    message.header.ifindex = port;
    message.header.state = NeighbourState::Noarp;
    message.header.flags = NeighbourFlags::Controller;
    message.attributes = vec![NeighbourAttribute::LinkLayerAddress(mac.bytes().to_vec())];
    if let Some(vlan) = vlan {
        message
            .attributes
            .push(NeighbourAttribute::Vlan(vlan.number()));
    }
    message
}

/// Forgets the link-layer address of a neighbour.
pub fn neighbour(index: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(address);
    message.header.ifindex = index;
    message.attributes = vec![NeighbourAttribute::Destination(match address {
        IpAddr::V4(v4) => NeighbourAddress::Inet(v4),
        IpAddr::V6(v6) => NeighbourAddress::Inet6(v6),
    })];
    message
}

/// The address family of an address.
pub fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn macvlan_mode(mode: MacvlanMode) -> MacVlanMode {
    match mode {
        MacvlanMode::Bridge => MacVlanMode::Bridge,
        MacvlanMode::Private => MacVlanMode::Private,
        MacvlanMode::Vepa => MacVlanMode::Vepa,
        MacvlanMode::Passthru => MacVlanMode::Passthrough,
    }
}

fn ipvlan_mode(mode: IpvlanMode) -> IpVlanMode {
    match mode {
        IpvlanMode::L2 => IpVlanMode::L2,
        IpvlanMode::L3 => IpVlanMode::L3,
        IpvlanMode::L3s => IpVlanMode::L3S,
    }
}

fn ipvlan_flags(flag: IpvlanFlag) -> IpVlanFlags {
    match flag {
        IpvlanFlag::Bridge => IpVlanFlags::empty(),
        IpvlanFlag::Private => IpVlanFlags::Private,
        IpvlanFlag::Vepa => IpVlanFlags::Vepa,
    }
}
