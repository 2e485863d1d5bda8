//! A lan: a simulated wire, so that networks on a parent link work, and can be proven from another machine, on any
//! Linux host. On the host there is one link, the parent; behind it, in namespaces of their own, a switch (a Linux
//! bridge), a router and other machines.

use std::net::IpAddr;

use indexmap::IndexMap;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::model::address::VlanId;
use crate::model::name::{LanName, LinkName};

/// A lan under `lans:`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lan {
    pub name: LanName,
    /// The link made in the host's namespace; networks name it, or the lan, as their parent.
    pub parent: LinkName,
    /// The subnets on this wire, at most one of each family.
    pub subnets: Vec<IpNet>,
    /// The router's addresses on the wire, one for each subnet that has one.
    pub gateways: Vec<IpAddr>,
    /// The router translates and forwards to the host's way out.
    pub nat: bool,
    /// The host's own addresses on this wire, set on the parent link with the subnet's prefix length.
    pub addresses: Vec<IpAddr>,
    /// Other machines on this wire.
    pub hosts: IndexMap<LanName, LanHost>,
    pub switch: Switch,
    /// Bytes; none is the kernel's 1500.
    pub mtu: Option<u32>,
}

/// A machine on a lan, in a namespace of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LanHost {
    /// Its addresses; each gets the prefix length of the lan's subnet that holds it, or its own where written.
    pub addresses: Vec<IpNet>,
    /// Its switch port is an access port of this VLAN; none is the untagged wire.
    pub vlan: Option<VlanId>,
}

/// How the switch behaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Switch {
    pub promiscuous: SwitchPromiscuous,
    /// Frames may leave by the port they came in (a VEPA-capable switch, IEEE 802.1Qbg reflective relay).
    pub reflect: bool,
}

/// What the switch does with frames to link-layer addresses it did not give to the host's port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SwitchPromiscuous {
    /// Learns and floods, as a switch on a desk does.
    #[default]
    Accept,
    /// Delivers to the host's port only what is for the parent's own address, as a hypervisor's port does.
    Reject,
}
