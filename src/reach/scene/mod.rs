//! The scene: every namespace, link, address and route that the stack makes, as data. It is built from the very specs
//! that the planner makes, so a prediction and an `up` cannot differ in what they think there is. Rules and traces
//! ([`crate::reach::predict`]) only read it.
//!
//! An address that nobody knows before the engine chooses it has a placeholder ([`is_placeholder`]); a placeholder is
//! never shown and never probed.

pub mod address;
pub mod build;
pub mod container;
pub mod draft;
pub mod exit;
pub mod host;
pub mod network;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use indexmap::IndexMap;
use ipnet::IpNet;

use crate::model::lan::Switch;
use crate::model::network::{IpvlanFlag, IpvlanMode, MacvlanMode};
use crate::model::port::Protocol;
use crate::reach::facts::Facts;
use crate::reach::question::Viewpoint;

/// A namespace, by its place in [`Scene::nodes`].
pub type NodeId = usize;

/// What links are joined by, by its place in [`Scene::segments`].
pub type SegmentId = usize;

/// The host's place in [`Scene::nodes`].
pub const HOST: NodeId = 0;

/// Everything there is.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    pub facts: Facts,
    pub nodes: Vec<Node>,
    pub segments: Vec<Segment>,
    /// By name.
    pub containers: IndexMap<String, Tenant>,
    /// The host's link of each shim, by the shim's name.
    pub shims: IndexMap<String, usize>,
    /// By `LAN.MACHINE` and `LAN.router`.
    pub machines: IndexMap<String, (NodeId, Viewpoint)>,
    /// A container of another project.
    pub other: Option<NodeId>,
    pub publications: Vec<Publication>,
    /// Ports that are asked to be published and are not, and why: by container.
    pub unpublished: Vec<Unpublished>,
    /// The networks by the engine's name.
    pub networks: IndexMap<String, NetworkFact>,
    /// The links that are a container's way out, for IPv4 and IPv6.
    pub(crate) exits: HashMap<NodeId, [Option<usize>; 2]>,
    /// The link below a wire and the tag that its frames carry there.
    pub(crate) wires: HashMap<SegmentId, (String, Option<u16>)>,
    /// Links that may ask container addresses of a bridge directly.
    pub(crate) trusted: Vec<(SegmentId, String)>,
    /// Who has an address, anywhere.
    pub(crate) owners: HashMap<IpAddr, Vec<NodeId>>,
    /// The places in [`Scene::containers`] of those who live in a namespace.
    pub(crate) tenants: HashMap<NodeId, Vec<usize>>,
    /// Names of each network: network, then name, to the endpoints that carry it.
    pub(crate) names: HashMap<String, HashMap<String, Vec<Endpoint>>>,
}

/// A link of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    pub node: NodeId,
    pub link: usize,
}

/// A container and where it lives.
#[derive(Debug, Clone)]
pub struct Tenant {
    pub service: String,
    pub number: u32,
    pub node: NodeId,
    /// Why it cannot ask or answer; none when it runs.
    pub down: Option<String>,
    /// Ports it declares: exposed or published.
    pub declared: Vec<(u16, Protocol)>,
    /// The hostname that the file gives it; its own file of names leads from there to its own addresses.
    pub hostname: Option<String>,
    /// What else its own file of names has: `extra_hosts`.
    pub hosts_file: Vec<(String, IpAddr)>,
    /// Names that only it sees, and the containers they mean.
    pub private_names: Vec<(String, String)>,
    /// Whether it has switched IPv6 off.
    pub no_ipv6: bool,
    /// Whose namespace it lives in, if not its own.
    pub follows: Option<String>,
    /// Names the engine's resolver has for it, for the list of targets.
    pub names: Vec<String>,
}

impl Tenant {
    /// Whether it can ask and answer.
    pub fn runs(&self) -> bool {
        self.down.is_none()
    }
}

/// What a namespace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    Host,
    Container,
    Machine,
    Router,
    Outside,
}

/// How a namespace finds addresses of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolver {
    /// The engine's own, at 127.0.0.11: containers with a network that users can make.
    Embedded,
    /// A copy of the host's file: the default bridge.
    HostCopy,
    /// The host's.
    Host,
    /// There is none.
    Nothing,
}

/// A namespace.
#[derive(Debug, Clone)]
pub struct Node {
    pub name: String,
    pub kind: NodeKind,
    pub links: Vec<Link>,
    pub routes: Vec<Route>,
    pub forwards: bool,
    pub resolver: Resolver,
    /// The networks whose names its resolver knows, in the order they are tried.
    pub networks: Vec<String>,
}

/// A link of a namespace.
#[derive(Debug, Clone)]
pub struct Link {
    pub name: String,
    /// None for the loopback link.
    pub segment: Option<SegmentId>,
    pub role: Role,
    /// With the prefix that is reached through it.
    pub addresses: Vec<IpNet>,
    /// The engine's name of the network it belongs to.
    pub network: Option<String>,
}

/// What a link is to its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Loopback,
    /// The host's end of a bridge.
    Bridge,
    /// A container's end of a bridge.
    Port,
    /// The host's link that others sit on.
    Parent,
    Macvlan(MacvlanMode),
    Ipvlan(IpvlanMode, IpvlanFlag),
    /// A machine's own card on a wire.
    Station,
    Tunnel,
    Plugin,
    /// The way to the rest of the world.
    Uplink,
}

/// A route.
#[derive(Debug, Clone)]
pub struct Route {
    pub destination: IpNet,
    pub via: Option<IpAddr>,
    pub link: usize,
    pub source: Option<IpAddr>,
}

/// Something that joins links.
#[derive(Debug, Clone)]
pub struct Segment {
    /// What a person calls it: the network, the parent link, the VLAN.
    pub name: String,
    pub kind: SegmentKind,
    pub members: Vec<Endpoint>,
}

/// How a segment carries frames.
#[derive(Debug, Clone)]
pub enum SegmentKind {
    Bridge(BridgeTraits),
    Wire(WireTraits),
    Overlay,
    Plugin,
    Outside,
}

/// What the engine's settings make of a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BridgeTraits {
    pub icc: bool,
    pub internal: bool,
    pub mode4: GatewayMode,
    pub mode6: GatewayMode,
    pub masquerade: bool,
    pub is_default: bool,
    /// Where ports are published that name no address (`com.docker.network.bridge.host_binding_ipv4`); none is
    /// everywhere. It leaves nothing for IPv6 (seen on engine 28.5.2).
    pub binding: Option<IpAddr>,
    /// A gateway mode is asked for that this engine does not know.
    pub ignored_mode: bool,
}

/// `com.docker.network.bridge.gateway_mode_ipv4` and `_ipv6` (engine 27: nat and routed; 28: all).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayMode {
    Nat,
    NatUnprotected,
    Routed,
    Isolated,
}

/// What is on the other side of a parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireTraits {
    /// How the switch behaves; none where the wire is real and nobody said.
    pub switch: Option<Switch>,
    /// There is no parent: only the links of one network.
    pub alone: bool,
}

/// A container port at an address of the host.
#[derive(Debug, Clone)]
pub struct Publication {
    pub container: String,
    pub node: NodeId,
    pub protocol: Protocol,
    /// None is every address.
    pub host_address: Option<IpAddr>,
    pub host_port: u16,
    pub target: u16,
    /// The container's addresses on the network that is its way out.
    pub to4: Option<IpAddr>,
    pub to6: Option<IpAddr>,
    /// Whether the port is open at the host's IPv4 addresses, and at its IPv6 addresses: a routed family opens nothing there,
    /// and over IPv6 the proxy goes to IPv4 where the container has nothing else.
    pub open: Open,
    pub segment: SegmentId,
}

/// By family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    pub v4: bool,
    pub v6: bool,
}

impl Open {
    /// At this address.
    pub fn at(self, address: IpAddr) -> bool {
        if address.is_ipv6() { self.v6 } else { self.v4 }
    }
}

/// A wish to publish that comes to nothing.
#[derive(Debug, Clone)]
pub struct Unpublished {
    pub container: String,
    pub protocol: Protocol,
    pub host_port: u16,
    /// The port inside the container.
    pub target: u16,
    pub why: WhyUnpublished,
}

/// Why a port is not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyUnpublished {
    /// The way out is macvlan, ipvlan or nothing.
    Mode,
    /// The container is in the host's own namespace.
    HostMode,
    /// The way out is an internal network.
    Internal,
    /// The way out is routed: the container's own address has the port.
    Routed,
    /// The container does not run.
    Down,
}

/// What rules ask of a network.
#[derive(Debug, Clone)]
pub struct NetworkFact {
    /// The key in the file, or the engine's name.
    pub key: String,
    pub segment: SegmentId,
    pub subnets: Vec<IpNet>,
    /// What containers take as their way out, by family, and whether it is only the link itself (ipvlan l3).
    pub gateways: Vec<IpAddr>,
    /// Those of them that the file does not name and the engine chooses on a wire, where somebody else would have to have
    /// them.
    pub assumed: Vec<IpAddr>,
    pub role: Role,
    pub internal: bool,
    pub attachable: bool,
    /// The gateway that makes it an exit, for the order of exits.
    pub both_families: bool,
    /// Names of reserved addresses.
    pub reserved: BTreeMap<String, IpAddr>,
}

impl Scene {
    /// The namespace that a viewpoint asks from, and the address it must ask from, if so.
    pub fn viewpoint(&self, viewpoint: &Viewpoint) -> Option<(NodeId, Vec<IpAddr>)> {
        match viewpoint {
            Viewpoint::Host => Some((HOST, Vec::new())),
            Viewpoint::Container(name) => self
                .containers
                .get(name)
                .map(|tenant| (tenant.node, Vec::new())),
            Viewpoint::Shim(name) => {
                let link = self.nodes.first()?.links.get(*self.shims.get(name)?)?;
                Some((HOST, link.addresses.iter().map(IpNet::addr).collect()))
            }
            Viewpoint::Machine { .. } | Viewpoint::Router(_) => self
                .machines
                .get(&viewpoint.to_string())
                .map(|(node, _)| (*node, Vec::new())),
            Viewpoint::Other => self.other.map(|node| (node, Vec::new())),
            Viewpoint::Internet => self
                .nodes
                .iter()
                .position(|node| node.kind == NodeKind::Outside)
                .map(|node| (node, Vec::new())),
        }
    }

    /// Whether an address is one of the namespace's own.
    pub fn is_local(&self, node: NodeId, address: IpAddr) -> bool {
        address.is_loopback()
            || self
                .owners
                .get(&address)
                .is_some_and(|nodes| nodes.contains(&node))
    }

    /// The namespaces that have an address.
    pub fn owners(&self, address: IpAddr) -> &[NodeId] {
        self.owners.get(&address).map_or(&[], Vec::as_slice)
    }

    /// The route that a packet takes: the longest prefix, the first of equals.
    pub fn route(&self, node: NodeId, destination: IpAddr) -> Option<&Route> {
        let mut best: Option<&Route> = None;
        for route in &self.nodes.get(node)?.routes {
            let longer = best
                .is_none_or(|best| best.destination.prefix_len() < route.destination.prefix_len());
            if longer && route.destination.contains(&destination) {
                best = Some(route);
            }
        }
        best
    }

    /// The link of an endpoint.
    pub fn link(&self, endpoint: Endpoint) -> Option<&Link> {
        self.nodes.get(endpoint.node)?.links.get(endpoint.link)
    }

    /// The traits of the bridge that a link belongs to.
    pub fn bridge_of(&self, link: &Link) -> Option<&BridgeTraits> {
        match &self.segments.get(link.segment?)?.kind {
            SegmentKind::Bridge(traits) => Some(traits),
            SegmentKind::Wire(_) | SegmentKind::Overlay | SegmentKind::Plugin => None,
            SegmentKind::Outside => None,
        }
    }

    /// What a person calls a segment.
    pub fn segment_name(&self, segment: Option<SegmentId>) -> &str {
        segment
            .and_then(|id| self.segments.get(id))
            .map_or("", |segment| segment.name.as_str())
    }

    /// The containers that live in a namespace.
    pub fn tenants(&self, node: NodeId) -> impl Iterator<Item = (&str, &Tenant)> + '_ {
        self.tenants
            .get(&node)
            .into_iter()
            .flatten()
            .filter_map(|place| self.containers.get_index(*place))
            .map(|(name, tenant)| (name.as_str(), tenant))
    }

    /// The addresses of a namespace but the loopback ones, in the order of its links.
    pub fn addresses(&self, node: NodeId) -> impl Iterator<Item = IpAddr> + '_ {
        self.nodes
            .get(node)
            .into_iter()
            .flat_map(|node| &node.links)
            .filter(|link| link.role != Role::Loopback)
            .flat_map(|link| link.addresses.iter().map(IpNet::addr))
    }
}

/// Whether an address stands for one that is not known yet: in 240.0.0.0/4 (reserved, RFC 1112 section 4) or in
/// 100::/64 (discard only, RFC 6666), where no container can be.
pub fn is_placeholder(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[0] >= 240 && !address.is_broadcast(),
        IpAddr::V6(address) => address.segments()[..4] == [0x100, 0, 0, 0],
    }
}

/// An address for people: a placeholder is no address to show.
pub fn shown(address: IpAddr) -> String {
    if is_placeholder(address) {
        "an address the engine chooses".to_owned()
    } else {
        address.to_string()
    }
}
