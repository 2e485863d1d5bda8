//! What one resource should be, in our own words: engine-neutral, comparable, hashable. Resources refer to each other
//! by name, never by an id of the engine, so a plan is complete before anything exists.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use indexmap::IndexMap;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::model::address::{Mac, VlanId};
use crate::model::container::ContainerConfig;
use crate::model::lan::Lan;
use crate::model::name::{LinkName, NetworkName, ServiceName, VolumeName};
use crate::model::network::{IpvlanFlag, IpvlanMode, MacvlanMode, Network};
use crate::model::port::{ExposedPort, PublishedPort};
use crate::model::service::{Build, Hook, PullPolicy};

/// The kinds of resources. The order is the order in which lists are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A simulated wire with its machines.
    Lan,
    /// An 802.1Q link.
    Link,
    /// The promiscuous flag of a parent.
    Promiscuity,
    Network,
    /// The host's door into a network.
    Shim,
    /// A route through a shim to one container whose address is only known when it runs.
    Route,
    Volume,
    Image,
    Container,
    /// A live connection of a running container to a network, made or cut without touching the container.
    Endpoint,
    /// A route inside a container that makes the host's own address work.
    Door,
}

impl Kind {
    /// The word used in ids, plans and progress lines.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Lan => "lan",
            Kind::Link => "link",
            Kind::Promiscuity => "promiscuity",
            Kind::Network => "network",
            Kind::Shim => "shim",
            Kind::Route => "route",
            Kind::Volume => "volume",
            Kind::Image => "image",
            Kind::Container => "container",
            Kind::Endpoint => "endpoint",
            Kind::Door => "door",
        }
    }

    /// Whether it lives on the engine's host and not in the engine: it needs CAP_NET_ADMIN there.
    pub fn on_host(self) -> bool {
        match self {
            Kind::Lan | Kind::Link | Kind::Promiscuity | Kind::Shim | Kind::Route | Kind::Door => {
                true
            }
            Kind::Network | Kind::Volume | Kind::Image | Kind::Container | Kind::Endpoint => false,
        }
    }
}

/// The identity of a resource: its kind and its own deterministic name (the engine's or the kernel's name for it).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceId {
    pub kind: Kind,
    pub name: String,
}

impl ResourceId {
    /// The resource of this kind and name.
    pub fn new(kind: Kind, name: impl Into<String>) -> ResourceId {
        ResourceId {
            kind,
            name: name.into(),
        }
    }

    /// The resource of a network, where it is ours to make.
    pub fn of_network(network: &Network) -> Option<ResourceId> {
        network
            .is_made()
            .then(|| ResourceId::new(Kind::Network, &network.name))
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.word(), self.name)
    }
}

/// What a resource should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spec {
    Lan(LanSpec),
    Link(LinkSpec),
    Promiscuity(PromiscuitySpec),
    Network(NetworkSpec),
    Shim(ShimSpec),
    Route(RouteSpec),
    Volume(VolumeSpec),
    Image(ImageSpec),
    Container(Box<ContainerSpec>),
    /// A container that is already there, known by the engine's id: enough to stop, park, rename or remove it.
    Existing(ExistingContainer),
    Endpoint(EndpointSpec),
    Door(DoorSpec),
}

impl Spec {
    /// The identity of the resource.
    pub fn id(&self) -> ResourceId {
        match self {
            Spec::Lan(spec) => ResourceId::new(Kind::Lan, spec.lan.name.as_str()),
            Spec::Link(spec) => ResourceId::new(Kind::Link, spec.name.as_str()),
            Spec::Promiscuity(spec) => ResourceId::new(Kind::Promiscuity, spec.link.as_str()),
            Spec::Network(spec) => ResourceId::new(Kind::Network, &spec.name),
            Spec::Shim(spec) => ResourceId::new(Kind::Shim, spec.name.as_str()),
            Spec::Route(spec) => {
                ResourceId::new(Kind::Route, format!("{}/{}", spec.shim, spec.container))
            }
            Spec::Volume(spec) => ResourceId::new(Kind::Volume, &spec.name),
            Spec::Image(spec) => ResourceId::new(Kind::Image, &spec.reference),
            Spec::Container(spec) => ResourceId::new(Kind::Container, &spec.name),
            Spec::Existing(spec) => ResourceId::new(Kind::Container, &spec.name),
            Spec::Endpoint(spec) => ResourceId::new(
                Kind::Endpoint,
                format!("{}/{}", spec.container, spec.attachment.network),
            ),
            Spec::Door(spec) => {
                ResourceId::new(Kind::Door, format!("{}/{}", spec.container, spec.network))
            }
        }
    }

    /// The door, where it is one.
    pub fn as_door(&self) -> Option<&DoorSpec> {
        match self {
            Spec::Door(door) => Some(door),
            Spec::Lan(_) | Spec::Link(_) | Spec::Promiscuity(_) | Spec::Network(_) => None,
            Spec::Shim(_) | Spec::Route(_) | Spec::Volume(_) | Spec::Image(_) => None,
            Spec::Container(_) | Spec::Existing(_) | Spec::Endpoint(_) => None,
        }
    }

    /// The shim, where it is one.
    pub fn as_shim(&self) -> Option<&ShimSpec> {
        match self {
            Spec::Shim(shim) => Some(shim),
            Spec::Lan(_) | Spec::Link(_) | Spec::Promiscuity(_) | Spec::Network(_) => None,
            Spec::Route(_) | Spec::Door(_) | Spec::Volume(_) | Spec::Image(_) => None,
            Spec::Container(_) | Spec::Existing(_) | Spec::Endpoint(_) => None,
        }
    }
}

/// A lan with the names of the namespaces that hold its parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LanSpec {
    pub lan: Lan,
    /// The prefix of its namespaces' names (`PROJECT-LAN`); the switch is `PREFIX-switch`, the router
    /// `PREFIX-router`, a machine `PREFIX-NAME`.
    pub namespace_prefix: String,
    /// VLAN ids that networks of this stack use on its parent: carried tagged to the host's port.
    pub vlans: Vec<VlanId>,
}

/// An 802.1Q link to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSpec {
    pub name: LinkName,
    pub base: LinkName,
    pub vlan: VlanId,
}

/// A parent whose promiscuous flag is set while the stack is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromiscuitySpec {
    pub link: LinkName,
}

/// A network as the engine is asked for it. Prefixes have no host bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkSpec {
    pub name: String,
    pub key: NetworkName,
    /// The engine's word: `bridge`, `macvlan`, `ipvlan`, `overlay`, a plugin's name.
    pub driver: String,
    /// All driver options, `parent` and modes included, as the engine takes them.
    pub options: BTreeMap<String, String>,
    pub ipam_driver: Option<String>,
    pub ipam_options: BTreeMap<String, String>,
    pub pools: Vec<PoolSpec>,
    pub internal: bool,
    pub attachable: bool,
    pub enable_ipv4: Option<bool>,
    pub enable_ipv6: bool,
    /// The user's labels; Compose's and ours are added where the engine is asked.
    pub labels: BTreeMap<String, String>,
}

/// One pool of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSpec {
    pub subnet: Option<IpNet>,
    pub ip_range: Option<IpNet>,
    pub gateway: Option<IpAddr>,
    /// By name; our shims' addresses are among them.
    pub aux_addresses: BTreeMap<String, IpAddr>,
}

/// A shim: one for each parent, however many networks use it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShimSpec {
    pub name: LinkName,
    pub parent: LinkName,
    pub kind: ShimKind,
    /// None for ipvlan, whose links share the parent's.
    pub mac: Option<Mac>,
    /// Set as /32 and /128 with `noprefixroute`.
    pub addresses: Vec<IpAddr>,
    /// Scope link, our protocol number.
    pub routes: Vec<ShimRoute>,
    /// The networks it serves, by the engine's names.
    pub networks: Vec<String>,
}

/// A route through a shim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ShimRoute {
    pub destination: IpNet,
    /// The shim's address that packets to there carry (`RTA_PREFSRC`).
    pub source: IpAddr,
}

/// Kind and mode, copied from the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShimKind {
    Macvlan(MacvlanMode),
    Ipvlan(IpvlanMode, IpvlanFlag),
}

/// A route to one container, resolved when it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteSpec {
    pub shim: LinkName,
    /// Which of the container's addresses are routed, and from where.
    #[serde(default)]
    pub ways: Vec<Way>,
    /// The container's name.
    pub container: String,
    /// The engine's name of the network whose endpoint's addresses are the destinations.
    pub network: String,
}

impl RouteSpec {
    /// The `src` of the route to an address of the container; none where it is not routed.
    pub fn source(&self, address: IpAddr) -> Option<IpAddr> {
        let way = self.ways.iter().find(|way| way.subnet.contains(&address))?;
        Some(way.source)
    }
}

/// A subnet whose addresses are routed one by one, and the shim's address that is the `src` of these routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    pub subnet: IpNet,
    pub source: IpAddr,
}

/// A volume as the engine is asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSpec {
    pub name: String,
    pub key: VolumeName,
    pub driver: Option<String>,
    pub driver_opts: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

/// An image that must be there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageSpec {
    pub reference: String,
    /// The services that need it.
    pub services: Vec<ServiceName>,
    pub source: ImageSource,
    pub platform: Option<String>,
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageSource {
    Pull(PullPolicy),
    Build(Box<Build>),
}

/// A container as the engine is asked for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerSpec {
    pub name: String,
    pub service: ServiceName,
    /// From 1; 0 for a one-off (`stack run`).
    pub number: u32,
    pub image: String,
    pub config: Arc<ContainerConfig>,
    pub network: ContainerNetwork,
    pub ports: Vec<PublishedPort>,
    pub expose: Vec<ExposedPort>,
    /// Containers whose volumes are mounted: `name` or `name:ro`.
    pub volumes_from: Vec<String>,
    pub ipc: Option<NamespaceRef>,
    pub pid: Option<NamespaceRef>,
    pub post_start: Vec<Hook>,
    pub pre_stop: Vec<Hook>,
    /// All labels: the user's, Compose's and ours (with the spec hash).
    pub labels: BTreeMap<String, String>,
    /// Removed by the engine when it exits (`stack run --rm`).
    pub auto_remove: bool,
    /// The engine's id of the container that this one replaces, whose anonymous volumes it takes over. No part of the
    /// spec's hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heir_of: Option<String>,
}

/// Which network namespace a container has and how it is connected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerNetwork {
    Host,
    None,
    /// The default bridge; only links give names there (container name, alias).
    DefaultBridge {
        links: Vec<(String, String)>,
    },
    /// The namespace of another container, by its name.
    Container(String),
    /// A network of the engine by its own name, without endpoint settings.
    Named(String),
    /// Networks with endpoint settings; the first is the primary one.
    Attached(Vec<AttachmentSpec>),
}

/// Another container's namespace, or the engine's word for something else (`host`, `shareable`, …).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NamespaceRef {
    Container(String),
    Word(String),
}

/// The settings of one endpoint, as the engine is asked for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttachmentSpec {
    /// The engine's name of the network.
    pub network: String,
    /// Names it answers to in this network: container, service and the user's aliases.
    pub aliases: Vec<String>,
    pub ipv4_address: Option<Ipv4Addr>,
    pub ipv6_address: Option<Ipv6Addr>,
    pub link_local_ips: Vec<IpAddr>,
    pub mac_address: Option<Mac>,
    pub gw_priority: Option<i32>,
    pub interface_name: Option<String>,
    pub driver_opts: IndexMap<String, String>,
    /// Private names of other containers: (container name, alias).
    pub links: Vec<(String, String)>,
}

impl AttachmentSpec {
    /// An endpoint without any settings.
    pub fn plain(network: &str) -> AttachmentSpec {
        AttachmentSpec {
            network: network.to_owned(),
            aliases: Vec::new(),
            ipv4_address: None,
            ipv6_address: None,
            link_local_ips: Vec::new(),
            mac_address: None,
            gw_priority: None,
            interface_name: None,
            driver_opts: IndexMap::new(),
            links: Vec::new(),
        }
    }
}

/// A container that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExistingContainer {
    pub engine_id: String,
    pub name: String,
    pub service: Option<ServiceName>,
    pub number: u32,
    /// Seconds; none is the container's own stop time.
    pub stop_timeout: Option<u32>,
    /// Anonymous volumes go with it.
    pub remove_volumes: bool,
    /// These, too: anonymous volumes that it mounts. Where it took them over from one that it replaced, they are named
    /// in its settings, and the engine keeps them.
    #[serde(default)]
    pub anonymous_volumes: Vec<String>,
    /// Run before it is stopped.
    pub pre_stop: Vec<Hook>,
}

/// A live endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointSpec {
    /// The container's name.
    pub container: String,
    pub attachment: AttachmentSpec,
}

/// A route inside a container's namespace: the host's own address by way of the shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoorSpec {
    pub container: String,
    /// The engine's name of the network whose link in the container is used.
    pub network: String,
    /// The host's own address on the parent.
    pub host_address: IpAddr,
    /// The shim's address of the same family.
    pub via: IpAddr,
}
