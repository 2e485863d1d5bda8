//! What the world says is there, in the same words as the specs. Filled by one observation, read by the planner.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::model::address::Mac;
use crate::model::mark::LinkMark;
use crate::model::name::{LinkName, NetworkName, ProjectName, ServiceName, VolumeName};
use crate::model::port::PublishedPort;
use crate::plan::spec::{DoorSpec, NetworkSpec, ResourceId, Spec};

/// What is to be looked at.
#[derive(Debug, Clone)]
pub struct Scope {
    pub project: ProjectName,
    /// Image references whose presence matters.
    pub images: Vec<String>,
    /// Doors that should be open: looked for inside the containers' namespaces.
    pub doors: Vec<DoorSpec>,
    /// The attachments that each container should have, as the text of [`crate::model::mark::ATTACHMENTS`]: where a
    /// container's label says otherwise, its endpoints must be told in full ([`FoundEndpoint::aliases`]).
    pub attachments: BTreeMap<String, String>,
    /// Whether the host's side matters at all.
    pub host: bool,
}

/// Everything that one observation found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    pub engine: EngineFacts,
    /// The engine's host, where it is this machine and may be read.
    pub host: Option<HostFacts>,
    /// All networks of the engine: those of others matter for names, subnets and parents.
    pub networks: Vec<FoundNetwork>,
    /// The project's containers, one-off ones too, and whoever holds a name that the project needs.
    pub containers: Vec<FoundContainer>,
    /// The project's volumes, by the engine's name, and every volume name that exists.
    pub volumes: Vec<FoundVolume>,
    /// The images asked for that are there: reference to image id.
    pub images: BTreeMap<String, String>,
    /// The project's links, shims, lans, routes, doors and promiscuities, found by their marks or in the journal.
    pub resources: BTreeMap<ResourceId, FoundResource>,
}

impl Observed {
    /// The running containers of a project with links that could be gone: those on macvlan and ipvlan networks.
    pub fn on_parents(&self, project: &ProjectName) -> Vec<&FoundContainer> {
        let parents = self.parents();
        let mine = self.containers.iter().filter(|found| {
            let of_project = found.project.as_deref() == Some(project.as_str());
            of_project && found.state == ContainerState::Running
        });
        mine.filter(|found| {
            let mut endpoints = found.endpoints.iter();
            endpoints.any(|endpoint| parents.contains_key(endpoint.network.as_str()))
        })
        .collect()
    }

    /// Takes in what was seen inside of containers.
    pub fn note_inside(&mut self, inside: &[InsideFacts]) {
        let parents: BTreeMap<String, String> = self
            .parents()
            .into_iter()
            .map(|(network, parent)| (network.to_owned(), parent.to_owned()))
            .collect();
        for facts in inside {
            let mut containers = self.containers.iter_mut();
            let Some(found) = containers.find(|found| found.name == facts.container) else {
                continue;
            };
            let has = |parent: &String| {
                let mut links = facts.links.iter();
                links.any(|link| link.outer.as_ref() == Some(parent))
            };
            let networks = found.endpoints.iter().map(|endpoint| &endpoint.network);
            let gone =
                networks.filter(|network| parents.get(*network).is_some_and(|parent| !has(parent)));
            found.cut_off = gone.cloned().collect();
        }
    }

    /// The networks whose links sit on a parent, with that.
    fn parents(&self) -> BTreeMap<&str, &str> {
        let on_parent = self
            .networks
            .iter()
            .filter(|network| matches!(network.spec.driver.as_str(), "macvlan" | "ipvlan"));
        on_parent
            .filter_map(|network| {
                let parent = network.spec.options.get("parent")?;
                Some((network.spec.name.as_str(), parent.as_str()))
            })
            .collect()
    }
}

/// What the engine is and can do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EngineFacts {
    /// Its own version, such as `20.10.24`.
    pub version: String,
    /// The API version spoken, such as (1, 41).
    pub api: (u32, u32),
    pub name: String,
    pub operating_system: String,
    /// `linux`, `windows`.
    pub os_type: String,
    pub kernel: String,
    pub swarm: SwarmState,
    /// Names of the network drivers it has.
    pub network_drivers: Vec<String>,
    pub rootless: bool,
    /// Why the engine's host cannot be worked on from here (another machine, a virtual machine); none where it can.
    pub elsewhere: Option<String>,
    /// Where it was reached, as a URL.
    pub endpoint: String,
    /// The pools that it takes subnets from, and their prefix length, where its settings name any.
    #[serde(default)]
    pub address_pools: Vec<(IpNet, u8)>,
    /// What it writes its firewall rules in, in its own word (`nftables`, `iptables`); engines before 29 do not tell.
    #[serde(default)]
    pub firewall: Option<String>,
}

impl EngineFacts {
    /// Whether the engine speaks at least this API version.
    pub fn speaks(&self, major: u32, minor: u32) -> bool {
        self.api >= (major, minor)
    }
}

/// Whether the engine is part of a swarm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SwarmState {
    #[default]
    Inactive,
    Worker,
    Manager,
}

/// The engine's host as the kernel tells it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HostFacts {
    pub links: Vec<LinkFact>,
    pub routes: Vec<RouteFact>,
    /// `net.ipv4.conf.all.arp_ignore`.
    pub arp_ignore: u8,
    /// How many rules of the user's own stand before the engine's (chain `DOCKER-USER`); none is not known.
    pub user_rules: Option<usize>,
    /// Whether this process may change links, addresses and routes there (CAP_NET_ADMIN).
    pub may_administer: bool,
}

impl HostFacts {
    /// The link of this name.
    pub fn link(&self, name: &str) -> Option<&LinkFact> {
        self.links.iter().find(|link| link.name == name)
    }
}

/// A link of the host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkFact {
    pub index: u32,
    pub name: String,
    /// The kernel's word: `veth`, `bridge`, `macvlan`, `vlan`, …; empty for hardware.
    pub kind: String,
    pub mac: Option<Mac>,
    pub up: bool,
    /// Whether a signal is on the wire (`IFF_LOWER_UP`).
    pub carrier: bool,
    pub wireless: bool,
    pub loopback: bool,
    pub mtu: u32,
    /// The bridge or bond that it is a port of.
    pub master: Option<String>,
    /// The link it sits on (macvlan, ipvlan, vlan) where that is in the same namespace.
    pub lower: Option<String>,
    /// Whether the promiscuous flag is set by someone (`IFF_PROMISC`).
    pub promiscuous_flag: bool,
    /// How many want it promiscuous (`IFLA_PROMISCUITY`).
    pub promiscuity: u32,
    /// macvlan or ipvlan mode, or the VLAN id, as text.
    pub mode: Option<String>,
    pub alias: Option<String>,
    pub group: u32,
    /// With their prefix lengths.
    pub addresses: Vec<IpNet>,
}

impl LinkFact {
    /// Its mark, if `stack` made it and nobody changed its alias.
    pub fn mark(&self) -> Option<LinkMark> {
        self.alias.as_deref().and_then(LinkMark::from_alias)
    }

    /// Whether its mark says that it belongs to this project.
    pub fn is_of(&self, project: &ProjectName) -> bool {
        self.mark().is_some_and(|mark| mark.is_of(project))
    }
}

/// A route of the host's main table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteFact {
    /// 0.0.0.0/0 or ::/0 for the default route.
    pub destination: IpNet,
    pub link: Option<String>,
    pub gateway: Option<IpAddr>,
    pub source: Option<IpAddr>,
    /// `RTA_PROTOCOL`.
    pub protocol: u8,
    pub table: u32,
    pub metric: u32,
}

/// The links in the network namespace of a running container.
#[derive(Debug, Clone, PartialEq)]
pub struct InsideFacts {
    /// The engine's name of the container.
    pub container: String,
    pub links: Vec<InsideLink>,
}

/// A link inside of a container.
#[derive(Debug, Clone, PartialEq)]
pub struct InsideLink {
    pub link: LinkFact,
    /// The host's link that it is joined to: the other end of its pair, or the parent that it sits on.
    pub outer: Option<String>,
}

/// A network of the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundNetwork {
    pub engine_id: String,
    /// Its settings as the engine tells them, labels of tools left out.
    pub spec: NetworkSpec,
    /// `local` or `swarm`.
    pub scope: String,
    /// The project whose label it carries.
    pub project: Option<String>,
    pub key: Option<NetworkName>,
    /// The hash of the spec it was made from, if we made it.
    pub hash: Option<String>,
    pub compose_hash: Option<String>,
}

/// A container of the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundContainer {
    pub engine_id: String,
    pub name: String,
    /// The project whose label it carries.
    pub project: Option<String>,
    pub service: Option<ServiceName>,
    pub number: u32,
    pub one_off: bool,
    pub state: ContainerState,
    pub image: String,
    pub image_id: String,
    pub labels: BTreeMap<String, String>,
    /// `HostConfig.NetworkMode` as the engine tells it.
    pub network_mode: String,
    pub endpoints: Vec<FoundEndpoint>,
    /// The ports that the engine publishes for it now; none while it is stopped.
    pub ports: Vec<PublishedPort>,
    /// For a container that shares another's network namespace and runs: the owner's name, when that namespace is
    /// not the owner's any more.
    pub dead_namespace_of: Option<String>,
    /// The networks on a parent whose link in the container is gone, as far as that was looked at
    /// ([`Observed::note_inside`]): the kernel takes such links along when the parent goes, and the engine does not see it.
    pub cut_off: Vec<String>,
    /// The names of the volumes it mounts.
    pub volumes: Vec<String>,
}

impl FoundContainer {
    /// Whether it runs (paused and restarting ones do).
    pub fn runs(&self) -> bool {
        match self.state {
            ContainerState::Running | ContainerState::Paused | ContainerState::Restarting => true,
            ContainerState::Created
            | ContainerState::Exited
            | ContainerState::Dead
            | ContainerState::Removing => false,
        }
    }

    /// The name it had before it was parked, if it is parked.
    pub fn parked_from(&self) -> Option<&str> {
        crate::model::mark::unparked_name(&self.engine_id, &self.name)
    }

    /// The volumes it mounts that have no name but the engine's.
    pub fn anonymous_volumes(&self) -> Vec<String> {
        let of_nobody = |name: &&String| is_anonymous(name);
        self.volumes.iter().filter(of_nobody).cloned().collect()
    }
}

/// Whether an engine made up this name of a volume: 64 hexadecimal digits.
pub fn is_anonymous(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The engine's state words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerState {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
}

/// An endpoint of a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FoundEndpoint {
    /// The engine's name of the network.
    pub network: String,
    pub network_id: String,
    /// Addresses in use; none while the container is stopped.
    pub ipv4: Option<IpAddr>,
    pub ipv6: Option<IpAddr>,
    pub mac: Option<Mac>,
    /// Names it answers to, where the engine told them.
    pub aliases: Option<BTreeSet<String>>,
    /// Addresses asked for.
    pub asked_ipv4: Option<IpAddr>,
    pub asked_ipv6: Option<IpAddr>,
}

/// A volume of the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundVolume {
    pub name: String,
    pub project: Option<String>,
    pub key: Option<VolumeName>,
    pub hash: Option<String>,
    pub driver: String,
}

/// Something of ours on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundResource {
    /// What it is now, read back from the kernel.
    pub spec: Spec,
    /// The hash of the spec it was made from.
    pub hash: String,
    /// What is wrong with it (`the address is gone`, `the link is down`); empty where it is whole.
    pub damage: Vec<String>,
    /// The link of it in the host's namespace, where it has one.
    pub link: Option<LinkName>,
}
