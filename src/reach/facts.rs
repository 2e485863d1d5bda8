//! What must be known beyond the stack to say who reaches whom: the engine and how it was started, the kernel's
//! settings, what listens. Each fact has the value that an untouched machine has, for when nothing was observed.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::model::port::Protocol;
use crate::plan::observed::{Observed, SwarmState};

/// Everything that the rules ask beyond specs and observation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Major and minor version of the engine.
    pub engine: (u32, u32),
    pub api: (u32, u32),
    /// Whether the engine's proxy program takes published connections that translation does not (its default).
    pub userland_proxy: bool,
    /// Whether the engine keeps IPv6 packets apart as it does IPv4 ones (default from version 27).
    pub ip6tables: bool,
    pub default_bridge: DefaultBridge,
    /// What becomes of forwarded packets that no rule speaks about.
    pub forward_policy: ForwardPolicy,
    /// `net.ipv4.conf.all.arp_ignore`.
    pub arp_ignore: u8,
    /// Whether a resolver beyond the engine's own answers for names it does not know.
    pub upstream_names: Upstream,
    /// Whether the host asks itself for names (its resolv.conf names no server, or an address of its own) and has no
    /// server there: the kernel refuses such a question at once.
    pub host_asks_nobody: Option<OwnServer>,
    /// Whether the host has a way out of itself (a default route); none is not known.
    pub way_out: Option<bool>,
    /// What listens, by the container's name, `host` or the machine's; absent is not known.
    pub listening: BTreeMap<String, Vec<Listening>>,
    /// The addresses that a container has inside, by its name; absent is not known.
    pub addresses: BTreeMap<String, Vec<IpAddr>>,
    /// Which firewall the engine writes its rules in.
    pub backend: Backend,
    /// Whether the user has rules of their own before the engine's.
    pub user_rules: bool,
    /// Whether rules of the host's own drop some of what comes in for itself.
    pub host_input: bool,
    /// Whether the daemon lets others ask container addresses directly.
    pub direct_routing: bool,
    pub rootless: bool,
    /// Whether the engine is part of a swarm; none is not known.
    pub swarm: Option<bool>,
    /// Whether something was observed at all.
    pub observed: bool,
}

/// What the engine writes its firewall rules in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    #[default]
    Iptables,
    /// From engine 29 on, where the daemon is told so.
    Nftables,
}

/// Where on itself a host asks for names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnServer {
    /// Its loopback: containers are given other servers by the engine.
    Loopback,
    /// Another address of its own: containers on the default bridge are given the same, and reach it.
    Address,
}

/// A socket that takes connections or datagrams.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Listening {
    pub protocol: Protocol,
    /// Unspecified (0.0.0.0, ::) is all; `::` takes IPv4 as well, as Linux has it by default.
    pub address: IpAddr,
    pub port: u16,
}

/// The engine's default bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DefaultBridge {
    pub subnet: IpNet,
    pub gateway: IpAddr,
    /// Containers on it may talk to each other.
    pub icc: bool,
}

impl Default for DefaultBridge {
    fn default() -> DefaultBridge {
        let gateway = Ipv4Addr::new(172, 17, 0, 1);
        DefaultBridge {
            subnet: ipnet::Ipv4Net::new(gateway, 16)
                .map_or(IpNet::from(IpAddr::V4(gateway)), |net| {
                    IpNet::V4(net.trunc())
                }),
            gateway: IpAddr::V4(gateway),
            icc: true,
        }
    }
}

/// What the FORWARD chain does in the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForwardPolicy {
    /// The engine sets it when it switched forwarding on itself, which is the usual case.
    #[default]
    Drop,
    Accept,
    Unknown,
}

/// Whether names of the outside can be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upstream {
    /// There is one, and it denies names of containers.
    #[default]
    Answers,
    /// There is none, or it cannot be reached.
    Unreachable,
}

impl Default for Facts {
    fn default() -> Facts {
        Facts {
            engine: (28, 0),
            api: (1, 48),
            userland_proxy: true,
            ip6tables: true,
            default_bridge: DefaultBridge::default(),
            forward_policy: ForwardPolicy::default(),
            arp_ignore: 0,
            upstream_names: Upstream::default(),
            host_asks_nobody: None,
            way_out: None,
            listening: BTreeMap::new(),
            addresses: BTreeMap::new(),
            backend: Backend::default(),
            user_rules: false,
            host_input: false,
            direct_routing: false,
            rootless: false,
            swarm: None,
            observed: false,
        }
    }
}

impl Facts {
    /// The facts of an engine of this version, all else as on an untouched machine.
    pub fn of_engine(engine: (u32, u32), api: (u32, u32)) -> Facts {
        Facts {
            engine,
            api,
            ip6tables: engine.0 >= 27,
            ..Facts::default()
        }
    }

    /// The facts that an observation tells. An observation without an engine is none.
    pub fn of(observed: &Observed) -> Facts {
        let Some(engine) = version(&observed.engine.version) else {
            return Facts::default();
        };
        let mut facts = Facts::of_engine(engine, observed.engine.api);
        facts.observed = true;
        facts.rootless = observed.engine.rootless;
        facts.swarm = Some(observed.engine.swarm != SwarmState::Inactive);
        let firewall = observed.engine.firewall.as_deref();
        if firewall.is_some_and(|word| word.starts_with("nftables")) {
            facts.backend = Backend::Nftables;
        }
        if let Some(host) = &observed.host {
            facts.arp_ignore = host.arp_ignore;
            facts.user_rules = host.user_rules.is_some_and(|rules| rules > 0);
            facts.way_out = Some(
                host.routes
                    .iter()
                    .any(|route| route.destination.prefix_len() == 0),
            );
        }
        let default = observed
            .networks
            .iter()
            .find(|network| network.spec.name == "bridge");
        if let Some(network) = default {
            let option = network
                .spec
                .options
                .get("com.docker.network.bridge.enable_icc");
            facts.default_bridge.icc = option.is_none_or(|value| value != "false");
            let pool = network
                .spec
                .pools
                .iter()
                .find(|pool| pool.subnet.is_some_and(|subnet| subnet.addr().is_ipv4()));
            if let Some((subnet, pool)) = pool.and_then(|pool| Some((pool.subnet?, pool))) {
                facts.default_bridge.subnet = subnet.trunc();
                facts.default_bridge.gateway = pool
                    .gateway
                    .or_else(|| subnet.trunc().hosts().next())
                    .unwrap_or(facts.default_bridge.gateway);
            }
        }
        facts
    }
}

/// Major and minor number of a version such as `20.10.24+dfsg1`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{Backend, Facts, version};
    use crate::plan::observed::{HostFacts, Observed};

    #[test]
    fn a_version_is_read_whatever_follows_it() {
        assert_eq!(version("20.10.24+dfsg1"), Some((20, 10)));
        assert_eq!(version("28.5.2"), Some((28, 5)));
        assert_eq!(version(""), None);
    }

    #[test]
    fn rules_of_the_users_own_are_a_fact() {
        let with = |user_rules| {
            let mut observed = Observed::default();
            observed.engine.version = "28.5.2".into();
            observed.host = Some(HostFacts {
                user_rules,
                ..HostFacts::default()
            });
            Facts::of(&observed).user_rules
        };
        assert!(with(Some(1)));
        assert!(!with(Some(0)));
        assert!(!with(None));
    }

    #[test]
    fn the_firewall_is_the_one_that_the_engine_tells() {
        let mut observed = Observed::default();
        observed.engine.version = "29.0.1".to_owned();
        assert_eq!(Facts::of(&observed).backend, Backend::Iptables);
        observed.engine.firewall = Some("nftables".to_owned());
        assert_eq!(Facts::of(&observed).backend, Backend::Nftables);
    }

    #[test]
    fn nothing_observed_is_an_untouched_machine() {
        assert_eq!(Facts::of(&Observed::default()), Facts::default());
    }
}
