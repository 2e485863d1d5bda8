//! A network of the stack: an engine network of any driver, and what belongs to it on the host.

use std::fmt;
use std::net::IpAddr;

use indexmap::IndexMap;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::model::address::{AddressRange, Mac, VlanId};
use crate::model::name::{LinkName, NetworkName};

/// The ports that a Linux bridge has: each gets a number of ten bits (`BR_PORT_BITS`, net/bridge/br_private.h), and number
/// 0 is not given out.
pub const BRIDGE_PORTS: usize = 1023;

/// A network under `networks:`.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    pub key: NetworkName,
    /// The engine's name for it: `project_key`, or what `name:` says.
    pub name: String,
    /// Someone else makes and removes it; it must be there.
    pub external: bool,
    pub driver: Driver,
    pub parent: Option<Parent>,
    /// `driver_opts` without those that [`Driver`] and [`Parent`] hold in a typed form.
    pub options: IndexMap<String, String>,
    pub ipam: Ipam,
    pub internal: bool,
    pub attachable: bool,
    pub enable_ipv4: Option<bool>,
    pub enable_ipv6: Option<bool>,
    pub labels: IndexMap<String, String>,
    pub promiscuous: Promiscuity,
    pub shim: Option<Shim>,
    /// What the LAN's DHCP server hands out, if the user says: checked against `ip_range` and static addresses.
    pub dhcp_pool: Option<AddressRange>,
}

impl Network {
    /// The pools of its IPAM that have a subnet.
    pub fn subnets(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.ipam.pools.iter().filter_map(|pool| pool.subnet)
    }

    /// Whether the network is one that this stack makes: not someone else's, and not one of the engine's own.
    pub fn is_made(&self) -> bool {
        !self.external
            && !matches!(
                self.driver,
                Driver::DefaultBridge | Driver::Host | Driver::None
            )
    }
}

/// Who carries the network's frames.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Driver {
    /// A Linux bridge made by the engine.
    Bridge,
    /// The engine's one default bridge, named as a network (`driver: bridge` with `name: bridge`, external).
    DefaultBridge,
    /// The host's own namespace, named as a network.
    Host,
    /// No network, named as a network.
    None,
    Macvlan(MacvlanMode),
    Ipvlan(IpvlanMode, IpvlanFlag),
    Overlay,
    /// Any other driver by its name.
    Plugin(String),
}

impl Driver {
    /// The engine's name of the driver.
    pub fn engine_name(&self) -> &str {
        match self {
            Driver::Bridge | Driver::DefaultBridge => "bridge",
            Driver::Host => "host",
            Driver::None => "null",
            Driver::Macvlan(_) => "macvlan",
            Driver::Ipvlan(..) => "ipvlan",
            Driver::Overlay => "overlay",
            Driver::Plugin(name) => name,
        }
    }

    /// Whether its containers sit directly on the wire of a parent link.
    pub fn on_parent(&self) -> bool {
        match self {
            Driver::Macvlan(_) | Driver::Ipvlan(..) => true,
            Driver::Bridge
            | Driver::DefaultBridge
            | Driver::Host
            | Driver::None
            | Driver::Overlay => false,
            Driver::Plugin(_) => false,
        }
    }
}

/// Whom the links of one macvlan parent may talk to (`drivers/net/macvlan.c`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MacvlanMode {
    /// Each other, and the wire.
    #[default]
    Bridge,
    /// The wire only; frames that come back from a reflecting switch are dropped too.
    Private,
    /// The wire only; a reflecting switch (IEEE 802.1Qbg) may bring frames to a sibling.
    Vepa,
    /// One link, which takes the parent over.
    Passthru,
}

/// At which layer the links of one ipvlan parent are joined (`Documentation/networking/ipvlan.rst`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IpvlanMode {
    #[default]
    L2,
    L3,
    L3s,
}

/// Whom the links of one ipvlan parent may talk to. Mode and flag belong to the parent's port: the newest link sets
/// them for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IpvlanFlag {
    #[default]
    Bridge,
    Private,
    Vepa,
}

macro_rules! words {
    ($type:ident { $($variant:ident = $word:literal),+ }) => {
        impl $type {
            /// The word that the engine's option takes.
            pub fn word(self) -> &'static str {
                match self { $($type::$variant => $word),+ }
            }

            /// All words, in the order of the documentation.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The value that a word means.
            pub fn from_word(word: &str) -> Option<$type> {
                match word { $($word => Some($type::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

words!(MacvlanMode { Bridge = "bridge", Private = "private", Vepa = "vepa", Passthru = "passthru" });
words!(IpvlanMode { L2 = "l2", L3 = "l3", L3s = "l3s" });
words!(IpvlanFlag { Bridge = "bridge", Private = "private", Vepa = "vepa" });

/// The link on the host that a macvlan or ipvlan network sits on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parent {
    /// A link that is there, made by someone else or by a lan of this stack.
    Link(LinkName),
    /// An 802.1Q link on `base`; made by us, and removed with its last user, if it is absent.
    Vlan {
        base: LinkName,
        id: VlanId,
        name: LinkName,
    },
}

impl Parent {
    /// The link's name in the kernel.
    pub fn link(&self) -> &LinkName {
        match self {
            Parent::Link(name) | Parent::Vlan { name, .. } => name,
        }
    }
}

/// Address management of a network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ipam {
    /// The engine's `default` where none is written.
    pub driver: Option<String>,
    pub options: IndexMap<String, String>,
    pub pools: Vec<Pool>,
}

/// One pool: a subnet and what is special in it. Prefixes keep the host bits that the file wrote.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pool {
    pub subnet: Option<IpNet>,
    /// Where automatic addresses come from.
    pub ip_range: Option<IpNet>,
    pub gateway: Option<IpAddr>,
    /// Addresses never handed out, by name.
    pub aux_addresses: IndexMap<String, IpAddr>,
}

/// What is done about the parent's promiscuous flag while the stack is up; it is put back afterwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promiscuity {
    /// Nothing: the kernel raises the count by itself where a child needs it.
    #[default]
    Leave,
    /// The flag is set while the stack is up.
    On,
    /// Set where the machine looks as if it were needed (a virtual machine's network card), else left.
    Auto,
}

/// The host's own door into a macvlan or ipvlan network: a sibling link in the host's namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shim {
    /// The link's name; derived from the network's where none is written.
    pub name: Option<LinkName>,
    /// Fixed addresses, at most one of each family; where a family has none, one is chosen (`auto`).
    pub addresses: Vec<IpAddr>,
    /// Fixed link-layer address (macvlan only); derived from project and network where none is written.
    pub mac_address: Option<Mac>,
    pub routes: ShimRoutes,
    pub host_address: HostAddress,
}

/// Which routes lead through a shim.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShimRoutes {
    /// The `ip_range` where one is set, else one route for each container.
    #[default]
    Auto,
    /// The `ip_range`, or the whole subnet where none is set.
    Range,
    /// These prefixes.
    List(Vec<IpNet>),
}

/// Whether the host's own LAN address works from the containers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostAddress {
    /// As the kernel's settings have it (with default sysctls it works once there is a shim).
    #[default]
    AsIs,
    /// It works whatever `arp_ignore` says: a route inside each container where one is needed.
    Reachable,
}
