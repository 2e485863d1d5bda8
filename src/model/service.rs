//! A service: a container template, how many of them, how they are connected and what they wait for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::model::address::Mac;
use crate::model::container::ContainerConfig;
use crate::model::name::{NetworkName, ServiceName};
use crate::model::port::{ExposedPort, PublishedPort};

/// A service of the stack.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    pub name: ServiceName,
    /// The image its containers run: what the file says, or `project-service` where only `build` is given.
    pub image: String,
    pub build: Option<Build>,
    pub pull_policy: PullPolicy,
    /// How many containers; `deploy.replicas` or `scale`.
    pub scale: u32,
    /// A fixed name for its only container.
    pub container_name: Option<String>,
    pub config: Arc<ContainerConfig>,
    pub connection: Connection,
    pub ports: Vec<PublishedPort>,
    pub expose: Vec<ExposedPort>,
    pub links: Vec<Link>,
    /// Containers outside the stack: name and alias.
    pub external_links: Vec<(String, String)>,
    /// Services and containers whose volumes are mounted here too.
    pub volumes_from: Vec<VolumesFrom>,
    /// Namespaces shared with others.
    pub ipc: Option<Sharing>,
    pub pid: Option<Sharing>,
    pub depends_on: IndexMap<ServiceName, Dependency>,
    /// The service's own `mac_address:`, which belongs to its first network.
    pub mac_address: Option<Mac>,
    /// Whether `up` attaches to its logs.
    pub attach: bool,
    pub post_start: Vec<Hook>,
    pub pre_stop: Vec<Hook>,
    pub profiles: Vec<String>,
}

/// How a service's containers are connected to anything.
#[derive(Debug, Clone, PartialEq)]
pub enum Connection {
    /// `network_mode: host`: the engine's host's own namespace.
    Host,
    /// `network_mode: none`: only the loopback link.
    None,
    /// `network_mode: bridge`: the engine's default bridge.
    DefaultBridge,
    /// `network_mode: service:NAME`: the namespace of that service's container with the same number, or its first.
    Service(ServiceName),
    /// `network_mode: container:NAME`: the namespace of a container outside the stack.
    Container(String),
    /// `network_mode: NAME`: one network of the engine by its own name, without endpoint settings.
    Named(String),
    /// `networks:` with the settings of each endpoint, in the file's order.
    Networks(IndexMap<NetworkName, Attachment>),
}

/// The settings of a service's endpoint in one network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attachment {
    pub aliases: Vec<String>,
    pub ipv4_address: Option<Ipv4Addr>,
    pub ipv6_address: Option<Ipv6Addr>,
    pub link_local_ips: Vec<IpAddr>,
    pub mac_address: Option<Mac>,
    /// Compose's `priority`: which network is the first; it decides where a service-level MAC address goes.
    pub priority: i32,
    /// Which network gives the default route: the highest. Emulated or refused below API 1.48.
    pub gw_priority: Option<i32>,
    /// The link's name inside the container (API 1.49).
    pub interface_name: Option<String>,
    pub driver_opts: IndexMap<String, String>,
}

/// `links:`: another service under a name that only this one sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub service: ServiceName,
    /// The name it goes by; the service's own name where none is written.
    pub alias: String,
}

/// What is waited for before a service's containers start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    pub condition: Condition,
    /// Whether a change of the other by this tool restarts this one.
    pub restart: bool,
    /// Whether its absence is an error.
    pub required: bool,
    /// Whether the file says so, or a link or shared namespace implies it.
    pub implied: bool,
}

/// The state another service must be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Started,
    Healthy,
    CompletedSuccessfully,
}

/// A namespace that is not the container's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sharing {
    Service(ServiceName),
    /// As the engine takes it: `host`, `shareable`, `container:NAME`, …
    Other(String),
}

/// `volumes_from:` one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumesFrom {
    pub from: VolumeSource,
    pub read_only: bool,
}

/// Whose volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeSource {
    Service(ServiceName),
    Container(String),
}

/// A command run in a container after its start or before its stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    pub command: Vec<String>,
    pub user: Option<String>,
    pub privileged: bool,
    pub working_dir: Option<String>,
    pub environment: IndexMap<String, Option<String>>,
}

/// When the image is fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    Always,
    Never,
    #[default]
    Missing,
    Build,
    /// When the last pull is older than this.
    Every(Duration),
}

/// How an image is built (classic builder).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Build {
    /// The absolute path of the context folder, or a URL that the engine fetches.
    pub context: String,
    /// Relative to the context; `Dockerfile` where none is written.
    pub dockerfile: Option<String>,
    pub dockerfile_inline: Option<String>,
    pub args: IndexMap<String, Option<String>>,
    pub target: Option<String>,
    pub labels: IndexMap<String, String>,
    pub tags: Vec<String>,
    pub cache_from: Vec<String>,
    pub no_cache: bool,
    pub pull: bool,
    pub network: Option<String>,
    pub shm_size: Option<i64>,
    pub extra_hosts: Vec<(String, String)>,
    pub platforms: Vec<String>,
    /// Keys that the classic builder cannot do, by name (`ssh`, `secrets`, `additional_contexts`, …).
    pub beyond_classic: Vec<String>,
}
