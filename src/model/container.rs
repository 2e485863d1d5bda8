//! What a container is apart from its networks: process, limits, storage, and all else that the Compose Specification
//! can say of one and the engine takes as it stands. Nothing here names another object of the stack; what does
//! (networks, links, namespaces of other services) is in [`crate::model::service`].
//!
//! The field order and names decide the spec hash, so a rename recreates containers: leave them as they are.

use std::net::IpAddr;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// The engine-facing settings of one service's containers. A field that is `None` or empty leaves the choice to the
/// image or the engine. Sizes are bytes, durations are exact.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerConfig {
    pub command: Option<Vec<String>>,
    pub entrypoint: Option<Vec<String>>,
    pub working_dir: Option<String>,
    pub user: Option<String>,
    pub group_add: Vec<String>,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    /// `None` as a value removes a variable that the image sets.
    pub environment: IndexMap<String, Option<String>>,
    /// The user's labels; ours and Compose's are added by the planner.
    pub labels: IndexMap<String, String>,
    pub annotations: IndexMap<String, String>,
    pub tty: bool,
    pub stdin_open: bool,
    pub stop_signal: Option<String>,
    pub stop_grace_period: Option<Duration>,
    pub restart: RestartPolicy,
    pub init: Option<bool>,
    pub runtime: Option<String>,
    pub platform: Option<String>,
    pub healthcheck: Option<Healthcheck>,
    pub logging: Option<Logging>,

    pub dns: Vec<IpAddr>,
    pub dns_opt: Vec<String>,
    pub dns_search: Vec<String>,
    /// Name and address pairs for `/etc/hosts`; the address may be the engine's word `host-gateway`.
    pub extra_hosts: Vec<(String, String)>,
    pub sysctls: IndexMap<String, String>,

    pub mounts: Vec<Mount>,
    /// Paths of `tmpfs:` with their options, as the engine takes them.
    pub tmpfs: IndexMap<String, String>,
    /// Files that are put into the container before it starts (configs and secrets with inline content).
    pub files: Vec<InlineFile>,

    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub privileged: bool,
    pub read_only: bool,
    pub security_opt: Vec<String>,
    pub userns_mode: Option<String>,
    pub uts: Option<String>,
    pub cgroup: Option<String>,
    pub cgroup_parent: Option<String>,
    pub isolation: Option<String>,
    pub device_cgroup_rules: Vec<String>,
    pub devices: Vec<Device>,
    pub device_requests: Vec<DeviceRequest>,
    pub storage_opt: IndexMap<String, String>,
    pub resources: Resources,
}

/// Limits and shares. Sizes are bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Processors in units of 10⁻⁹.
    pub nano_cpus: Option<i64>,
    pub cpu_shares: Option<i64>,
    pub cpu_period: Option<i64>,
    pub cpu_quota: Option<i64>,
    pub cpu_rt_period: Option<i64>,
    pub cpu_rt_runtime: Option<i64>,
    pub cpuset: Option<String>,
    pub cpu_count: Option<i64>,
    pub cpu_percent: Option<f64>,
    pub memory: Option<i64>,
    pub memory_reservation: Option<i64>,
    /// Memory and swap together; -1 is no limit.
    pub memory_swap: Option<i64>,
    pub memory_swappiness: Option<i64>,
    pub oom_kill_disable: Option<bool>,
    pub oom_score_adj: Option<i64>,
    pub pids_limit: Option<i64>,
    pub shm_size: Option<i64>,
    pub ulimits: IndexMap<String, Ulimit>,
    pub blkio: Option<Blkio>,
}

/// A process limit (`setrlimit(2)`); -1 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    pub soft: i64,
    pub hard: i64,
}

/// Block I/O weights and limits, by device path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Blkio {
    pub weight: Option<u16>,
    pub weight_device: Vec<(String, u16)>,
    pub device_read_bps: Vec<(String, i64)>,
    pub device_read_iops: Vec<(String, i64)>,
    pub device_write_bps: Vec<(String, i64)>,
    pub device_write_iops: Vec<(String, i64)>,
}

/// When the engine starts a container again by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    #[default]
    No,
    Always,
    UnlessStopped,
    /// After a failure, at most so many times; none is without end.
    OnFailure(Option<i64>),
}

/// How the engine finds out whether a container is healthy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Healthcheck {
    /// As the engine takes it: `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", text]`; empty takes the image's.
    pub test: Vec<String>,
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
    pub retries: Option<i64>,
    pub start_period: Option<Duration>,
    /// Needs API 1.44.
    pub start_interval: Option<Duration>,
}

/// Where a container's output goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Logging {
    pub driver: Option<String>,
    pub options: IndexMap<String, String>,
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The path inside the container.
    pub target: String,
    pub read_only: bool,
    pub source: MountSource,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum MountSource {
    /// A path of the engine's machine.
    Bind {
        path: String,
        create_host_path: bool,
        propagation: Option<String>,
        /// `z` or `Z`.
        selinux: Option<String>,
        /// `enabled`, `disabled`, `writable` or `readonly`.
        recursive: Option<String>,
    },
    /// A volume: the engine's name of it, or none for an anonymous one.
    Volume {
        name: Option<String>,
        no_copy: bool,
        subpath: Option<String>,
    },
    /// A file system in memory.
    Tmpfs {
        size: Option<i64>,
        mode: Option<u32>,
    },
    /// The contents of an image (API 1.48).
    Image {
        reference: String,
        subpath: Option<String>,
    },
    /// A named pipe (Windows engines).
    NamedPipe { path: String },
    /// A cluster volume.
    Cluster { name: String },
}

/// A file with known content, put into the container before it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InlineFile {
    /// The absolute path inside the container.
    pub target: String,
    pub content: String,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    /// Permission bits; none is 0444.
    pub mode: Option<u32>,
}

/// A device of the host given to the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub source: String,
    pub target: String,
    /// Of `r`, `w`, `m`.
    pub permissions: String,
}

/// A request for devices by capability, such as GPUs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceRequest {
    pub driver: Option<String>,
    /// -1 is all.
    pub count: Option<i64>,
    pub device_ids: Vec<String>,
    pub capabilities: Vec<String>,
    pub options: IndexMap<String, String>,
}
