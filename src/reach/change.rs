//! One change of the file that opens or closes a way: what it says to a person, how it is written, and what it makes of
//! a stack. Pure: the file itself is never touched.

use std::fmt;
use std::net::IpAddr;

use crate::model::name::{NetworkName, ServiceName};
use crate::model::network::{Driver, IpvlanFlag, IpvlanMode, MacvlanMode, Shim, ShimRoutes};
use crate::model::port::{ExposedPort, PortRange, Protocol, PublishedPort};
use crate::model::service::{Attachment, Connection};
use crate::model::stack::Stack;

const ICC: &str = "com.docker.network.bridge.enable_icc";
const MODES: [&str; 2] = [
    "com.docker.network.bridge.gateway_mode_ipv4",
    "com.docker.network.bridge.gateway_mode_ipv6",
];
const INHIBIT: &str = "com.docker.network.bridge.inhibit_ipv4";

/// A change.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The service joins a network.
    Join(ServiceName, NetworkName),
    /// The same for a service that has a `network_mode` instead of networks.
    JoinInstead(ServiceName, NetworkName),
    Leave(ServiceName, NetworkName),
    /// `internal` off or on.
    Unseal(NetworkName),
    Seal(NetworkName),
    /// Inter-container communication on or off.
    LetTalk(NetworkName),
    WallOff(NetworkName),
    /// Gateway mode `isolated`, and what else takes the host's address from the bridge, goes.
    BackToHost(NetworkName),
    Shim(NetworkName),
    NoShim(NetworkName),
    /// One more prefix is routed through the shim.
    ShimRoute(NetworkName, IpAddr),
    Macvlan(NetworkName, MacvlanMode),
    Ipvlan(NetworkName, IpvlanMode, IpvlanFlag),
    /// The other driver on the same parent: children that share the parent's link-layer address.
    ToIpvlan(NetworkName),
    Ipv6(NetworkName),
    Gateway(NetworkName, IpAddr),
    Publish(ServiceName, u16, Protocol, u16),
    /// A published port's address of the host goes, or becomes loopback.
    OnAllAddresses(ServiceName, u16, Protocol),
    OnLoopback(ServiceName, u16, Protocol),
    Expose(ServiceName, u16, Protocol),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Join(service, network) => {
                write!(f, "put service `{service}` on network `{network}` too")
            }
            Change::JoinInstead(service, network) => write!(
                f,
                "put service `{service}` on network `{network}` instead of its `network_mode`"
            ),
            Change::Leave(service, network) => {
                write!(f, "take service `{service}` off network `{network}`")
            }
            Change::Unseal(network) => {
                write!(f, "remove `internal: true` from network `{network}`")
            }
            Change::Seal(network) => write!(f, "make network `{network}` internal"),
            Change::LetTalk(network) => write!(
                f,
                "remove `{ICC}: \"false\"` from the options of network `{network}`"
            ),
            Change::WallOff(network) => write!(
                f,
                "forbid containers of network `{network}` to talk to each other"
            ),
            Change::BackToHost(network) => write!(
                f,
                "remove the options from network `{network}` that take the host's address off its bridge"
            ),
            Change::Shim(network) => write!(f, "give network `{network}` a shim"),
            Change::NoShim(network) => write!(f, "remove the shim of network `{network}`"),
            Change::ShimRoute(network, to) => {
                write!(f, "route {to} through the shim of network `{network}`")
            }
            Change::Macvlan(network, mode) => {
                write!(f, "give network `{network}` the mode `{}`", mode.word())
            }
            Change::Ipvlan(network, mode, flag) => write!(
                f,
                "give network `{network}` the mode `{}` with the flag `{}`",
                mode.word(),
                flag.word()
            ),
            Change::ToIpvlan(network) => {
                write!(f, "make network `{network}` an ipvlan instead of a macvlan")
            }
            Change::Ipv6(network) => write!(f, "switch on IPv6 in network `{network}`"),
            Change::Gateway(network, gateway) => write!(
                f,
                "name {gateway} as the gateway of network `{network}`, so that its containers have a way out"
            ),
            Change::Publish(service, target, protocol, host) => write!(
                f,
                "publish {protocol} port {target} of service `{service}` as port {host} of the host, and ask the host"
            ),
            Change::OnAllAddresses(service, target, protocol) => write!(
                f,
                "publish {protocol} port {target} of service `{service}` without an address, which is at all of the host's"
            ),
            Change::OnLoopback(service, target, protocol) => write!(
                f,
                "publish {protocol} port {target} of service `{service}` at 127.0.0.1 only"
            ),
            Change::Expose(service, port, protocol) => write!(
                f,
                "say under `expose:` that service `{service}` listens on {protocol} port {port}, if it does"
            ),
        }
    }
}

impl Change {
    /// How it is written, as a file to be merged over the stack's; none where something has to be taken out by hand.
    pub fn fragment(&self) -> Option<String> {
        let network =
            |key: &NetworkName, body: &str| Some(format!("networks: {{{key}: {{{body}}}}}"));
        let service =
            |key: &ServiceName, body: String| Some(format!("services: {{{key}: {{{body}}}}}"));
        match self {
            Change::Join(name, key) => service(name, format!("networks: {{{key}: {{}}}}")),
            Change::JoinInstead(name, key) => service(
                name,
                format!("network_mode: !reset null, networks: {{{key}: {{}}}}"),
            ),
            Change::Leave(..) => None,
            Change::Unseal(key) => network(key, "internal: false"),
            Change::Seal(key) => network(key, "internal: true"),
            Change::LetTalk(key) => network(key, &format!("driver_opts: {{{ICC}: \"true\"}}")),
            Change::WallOff(key) => network(key, &format!("driver_opts: {{{ICC}: \"false\"}}")),
            Change::BackToHost(_) | Change::NoShim(_) => None,
            Change::Shim(key) => network(key, "shim: true"),
            Change::ShimRoute(..) => None,
            Change::Macvlan(key, mode) => network(key, &format!("mode: {}", mode.word())),
            Change::Ipvlan(key, mode, flag) => network(
                key,
                &format!("mode: {}, flag: {}", mode.word(), flag.word()),
            ),
            Change::ToIpvlan(key) => network(key, "driver: ipvlan, mode: l2"),
            Change::Ipv6(key) => network(key, "enable_ipv6: true"),
            Change::Gateway(..) => None,
            Change::Publish(name, target, protocol, host) => {
                service(name, format!("ports: [\"{host}:{target}/{protocol}\"]"))
            }
            Change::OnAllAddresses(..) | Change::OnLoopback(..) => None,
            Change::Expose(name, port, protocol) => {
                service(name, format!("expose: [\"{port}/{protocol}\"]"))
            }
        }
    }

    /// The port of the host that is asked after this change, and not the one that was asked.
    pub fn published(&self) -> Option<u16> {
        if let Change::Publish(_, _, _, host) = self {
            return Some(*host);
        }
        None
    }

    /// The stack with this change; none where there is nothing to change.
    pub fn applied(&self, stack: &Stack) -> Option<Stack> {
        let mut stack = stack.clone();
        let before = stack.clone();
        match self {
            Change::Join(service, network) => {
                if !stack.networks.contains_key(network) {
                    return None;
                }
                let Connection::Networks(networks) =
                    &mut stack.services.get_mut(service)?.connection
                else {
                    return None;
                };
                networks.entry(network.clone()).or_default();
            }
            Change::JoinInstead(service, network) => {
                if !stack.networks.contains_key(network) {
                    return None;
                }
                let connection = &mut stack.services.get_mut(service)?.connection;
                match connection {
                    Connection::None | Connection::DefaultBridge => {
                        let one = [(network.clone(), Attachment::default())];
                        *connection = Connection::Networks(one.into_iter().collect());
                    }
                    Connection::Networks(_) | Connection::Host | Connection::Service(_) => {
                        return None;
                    }
                    Connection::Container(_) | Connection::Named(_) => return None,
                }
            }
            Change::Leave(service, network) => {
                let connection = &mut stack.services.get_mut(service)?.connection;
                let Connection::Networks(networks) = connection else {
                    return None;
                };
                if networks.len() < 2 {
                    return None;
                }
                networks.shift_remove(network);
            }
            Change::Unseal(network) => stack.networks.get_mut(network)?.internal = false,
            Change::Seal(network) => stack.networks.get_mut(network)?.internal = true,
            Change::LetTalk(network) => {
                let options = &mut stack.networks.get_mut(network)?.options;
                options.shift_remove(ICC);
            }
            Change::WallOff(network) => {
                let options = &mut stack.networks.get_mut(network)?.options;
                options.insert(ICC.to_owned(), "false".to_owned());
            }
            Change::BackToHost(network) => {
                let options = &mut stack.networks.get_mut(network)?.options;
                for mode in MODES {
                    if options.get(mode).is_some_and(|word| word == "isolated") {
                        options.shift_remove(mode);
                    }
                }
                options.shift_remove(INHIBIT);
            }
            Change::Shim(network) => {
                let network = stack.networks.get_mut(network)?;
                network.shim.get_or_insert_with(Shim::default);
            }
            Change::NoShim(network) => stack.networks.get_mut(network)?.shim = None,
            Change::ShimRoute(network, to) => {
                let shim = stack.networks.get_mut(network)?.shim.as_mut()?;
                let more = ipnet::IpNet::from(*to);
                match &mut shim.routes {
                    ShimRoutes::List(routes) => routes.push(more),
                    ShimRoutes::Auto | ShimRoutes::Range => return None,
                }
            }
            Change::Macvlan(network, mode) => {
                let network = stack.networks.get_mut(network)?;
                let Driver::Macvlan(own) = &mut network.driver else {
                    return None;
                };
                *own = *mode;
            }
            Change::Ipvlan(network, mode, flag) => {
                let network = stack.networks.get_mut(network)?;
                let Driver::Ipvlan(own, own_flag) = &mut network.driver else {
                    return None;
                };
                (*own, *own_flag) = (*mode, *flag);
            }
            Change::ToIpvlan(network) => {
                let network = stack.networks.get_mut(network)?;
                if !matches!(network.driver, Driver::Macvlan(_)) {
                    return None;
                }
                network.driver = Driver::Ipvlan(IpvlanMode::L2, IpvlanFlag::Bridge);
            }
            Change::Ipv6(network) => stack.networks.get_mut(network)?.enable_ipv6 = Some(true),
            Change::Gateway(network, gateway) => {
                let pools = &mut stack.networks.get_mut(network)?.ipam.pools;
                let pool = pools
                    .iter_mut()
                    .find(|pool| pool.subnet.is_some_and(|subnet| subnet.contains(gateway)))?;
                pool.gateway = Some(*gateway);
            }
            Change::Publish(service, target, protocol, host) => {
                stack.services.get_mut(service)?.ports.push(PublishedPort {
                    target: *target,
                    protocol: *protocol,
                    published: Some(PortRange::single(*host)),
                    host_ip: None,
                });
            }
            Change::OnAllAddresses(service, target, protocol) => {
                for port in &mut stack.services.get_mut(service)?.ports {
                    if port.target == *target && port.protocol == *protocol {
                        port.host_ip = None;
                    }
                }
            }
            Change::OnLoopback(service, target, protocol) => {
                for port in &mut stack.services.get_mut(service)?.ports {
                    if port.target == *target && port.protocol == *protocol {
                        port.host_ip = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
                    }
                }
            }
            Change::Expose(service, port, protocol) => {
                stack.services.get_mut(service)?.expose.push(ExposedPort {
                    port: *port,
                    protocol: *protocol,
                });
            }
        }
        (stack != before).then_some(stack)
    }
}
