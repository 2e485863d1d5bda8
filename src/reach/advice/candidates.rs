//! Changes of the file that may open or shut a way, by what stands in it now.

use std::collections::BTreeSet;

use crate::model::name::{NetworkName, ServiceName};
use crate::model::network::{Driver, IpvlanFlag, IpvlanMode, MacvlanMode};
use crate::model::port::Protocol;
use crate::model::stack::Stack;
use crate::reach::advice::case::{Case, Party, party};
use crate::reach::change::Change;
use crate::reach::scene::{HOST, Scene};
use crate::reach::verdict::Code;
use crate::reach::words;
/// Changes worth a try, the likelier first.
pub fn candidates(case: &Case, stack: &Stack, scene: &Scene, opens: bool) -> Vec<Change> {
    let from = party(stack, scene, case.from);
    let to = party(stack, scene, case.to);
    let mut changes = if opens {
        let codes: BTreeSet<Code> = case
            .cells(scene, case.to, case.ask)
            .iter()
            .filter_map(|cell| cell.prediction.code())
            .collect();
        let mut changes: Vec<Change> = codes
            .into_iter()
            .flat_map(|code| against(code, case, stack, scene, &from, &to))
            .collect();
        changes.extend(meetings(&from, &to));
        changes
    } else {
        partings(case, stack, scene, &from, &to)
    };
    let mut seen: Vec<Change> = Vec::new();
    changes.retain(|change| {
        let fresh = !seen.contains(change);
        seen.push(change.clone());
        fresh
    });
    changes
}

/// Both on one network.
fn meetings(from: &Party, to: &Party) -> Vec<Change> {
    let mut changes = Vec::new();
    for (joins, other) in [(from, to), (to, from)] {
        if let Some(service) = &joins.service {
            let missing = other
                .networks
                .iter()
                .filter(|key| !joins.networks.contains(key));
            changes.extend(missing.flat_map(|key| {
                // One of the two can be made, by what the service has now.
                [
                    Change::Join(service.clone(), key.clone()),
                    Change::JoinInstead(service.clone(), key.clone()),
                ]
            }));
        }
    }
    changes
}

/// What answers one reason.
fn against(
    code: Code,
    case: &Case,
    stack: &Stack,
    scene: &Scene,
    from: &Party,
    to: &Party,
) -> Vec<Change> {
    let both = || from.networks.iter().chain(&to.networks);
    let every = |make: &dyn Fn(NetworkName) -> Change| -> Vec<Change> {
        both().map(|key| make(key.clone())).collect()
    };
    match code {
        Code::IccOff => every(&Change::LetTalk),
        Code::InternalNoExit => every(&Change::Unseal),
        Code::IsolatedNoHostIp => every(&Change::BackToHost),
        Code::FamilyMissing | Code::PortOnWrongFamily => every(&Change::Ipv6),
        Code::ParentFilter | Code::NoShim => on_parents(stack, both(), &Change::Shim),
        Code::ShimNoRoute | Code::ShimWrongSource => shim_routes(case, stack, scene, both()),
        Code::MacvlanPrivate | Code::VepaNoReflect | Code::PassthruSingle => both()
            .filter_map(|key| match stack.networks.get(key)?.driver {
                Driver::Macvlan(_) => Some(Change::Macvlan(key.clone(), MacvlanMode::Bridge)),
                Driver::Ipvlan(mode, _) => {
                    Some(Change::Ipvlan(key.clone(), mode, IpvlanFlag::Bridge))
                }
                Driver::Bridge | Driver::DefaultBridge | Driver::Host | Driver::None => None,
                Driver::Overlay | Driver::Plugin(_) => None,
            })
            .collect(),
        Code::SwitchDropsUnknown => on_parents(stack, both(), &Change::ToIpvlan),
        Code::IpvlanL3NoBcast => on_parents(stack, both(), &|key| {
            Change::Ipvlan(key, IpvlanMode::L2, IpvlanFlag::Bridge)
        }),
        Code::LoopbackOnly | Code::PublishedElsewhere => ports(case, stack, scene)
            .into_iter()
            .map(|(service, target, protocol)| Change::OnAllAddresses(service, target, protocol))
            .collect(),
        Code::NoDefaultRoute
        | Code::NoReturnRoute
        | Code::DirectRouteBlocked
        | Code::NotPublished
        | Code::ForwardPolicy
        | Code::NobodyThere
        | Code::BridgeIsolation => {
            let mut changes: Vec<Change> = gateways(stack, from);
            changes.extend(gateways(stack, to));
            changes.extend(publish(case, stack, to));
            // On an internal network a published port is not open: it takes both.
            let sealed = |key: &&NetworkName| {
                (stack.networks.get(*key)).is_some_and(|network| network.internal)
            };
            let sealed = to.networks.iter().filter(sealed);
            changes.extend(sealed.cloned().map(Change::Unseal));
            changes
        }
        // A network in common, or nothing that the file could say.
        Code::NameUnknownHere
        | Code::NameOtherNetwork
        | Code::NameAmbiguous
        | Code::NoEmbeddedDns
        | Code::DnsNoForward
        | Code::NetnsNone
        | Code::NoCommonNetwork
        | Code::ModeHasNoPublish
        | Code::GatewayIsOtherNet
        | Code::OverlayNotAttachable
        | Code::SwarmInactive
        | Code::NoListener
        | Code::ListenerLoopback
        | Code::HostFirewall
        | Code::RpFilter
        | Code::DuplicateAddress
        | Code::Mtu
        | Code::ContainerDown
        | Code::UnknownExternal => Vec::new(),
    }
}

fn on_parents<'a>(
    stack: &Stack,
    networks: impl Iterator<Item = &'a NetworkName>,
    make: &dyn Fn(NetworkName) -> Change,
) -> Vec<Change> {
    networks
        .filter(|key| {
            stack
                .networks
                .get(*key)
                .is_some_and(|known| known.driver.on_parent())
        })
        .map(|key| make(key.clone()))
        .collect()
}

fn shim_routes<'a>(
    case: &Case,
    stack: &Stack,
    scene: &Scene,
    networks: impl Iterator<Item = &'a NetworkName>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for key in networks {
        let has = stack
            .networks
            .get(key)
            .is_some_and(|known| known.shim.is_some());
        for word in [case.from, case.to] {
            let nodes = words::viewpoints(scene, word).unwrap_or_default();
            for (node, _) in nodes.iter().filter_map(|at| scene.viewpoint(at)) {
                if has && node != HOST {
                    let addresses = scene.addresses(node);
                    changes.extend(addresses.map(|to| Change::ShimRoute(key.clone(), to)));
                }
            }
        }
    }
    changes
}

/// The routers of lans, as ways out of the networks on them.
fn gateways(stack: &Stack, party: &Party) -> Vec<Change> {
    let mut changes = Vec::new();
    for key in &party.networks {
        let Some(network) = stack
            .networks
            .get(key)
            .filter(|known| known.driver.on_parent())
        else {
            continue;
        };
        for gateway in stack.lans.values().flat_map(|lan| &lan.gateways) {
            if network.subnets().any(|subnet| subnet.contains(gateway)) {
                changes.push(Change::Gateway(key.clone(), *gateway));
            }
        }
    }
    changes
}

/// A port of the host, where containers have bridge networks: the asked port if it is free there.
fn publish(case: &Case, stack: &Stack, to: &Party) -> Vec<Change> {
    let (Some(service), Some(target), Some(protocol)) =
        (&to.service, case.ask.port(), case.ask.protocol())
    else {
        return Vec::new();
    };
    let taken: BTreeSet<u16> = stack
        .services
        .values()
        .flat_map(|service| &service.ports)
        .filter(|port| port.protocol == protocol)
        .filter_map(|port| port.published.map(|range| range.first))
        .collect();
    let host = [target]
        .into_iter()
        .chain(target.checked_add(8000))
        .chain(20_000..20_100)
        .find(|port| !taken.contains(port));
    host.map(|host| Change::Publish(service.clone(), target, protocol, host))
        .into_iter()
        .collect()
}

/// The published ports that are asked: of the service, or of whoever has the asked port of the host.
fn ports(case: &Case, stack: &Stack, scene: &Scene) -> Vec<(ServiceName, u16, Protocol)> {
    let Some(asked) = case.ask.port() else {
        return Vec::new();
    };
    let at_host = scene
        .publications
        .iter()
        .filter(|publication| publication.host_port == asked);
    at_host
        .filter_map(|publication| {
            let tenant = scene.containers.get(&publication.container)?;
            let name: ServiceName = tenant.service.parse().ok()?;
            let service = stack.services.get(&name)?;
            Some((
                service.name.clone(),
                publication.target,
                publication.protocol,
            ))
        })
        .collect()
}

/// What parts two who reach each other.
fn partings(case: &Case, stack: &Stack, scene: &Scene, from: &Party, to: &Party) -> Vec<Change> {
    let shared = || from.networks.iter().filter(|key| to.networks.contains(key));
    let mut changes: Vec<Change> = Vec::new();
    for (service, target, protocol) in ports(case, stack, scene) {
        changes.push(Change::OnLoopback(service, target, protocol));
    }
    for key in shared() {
        for party in [from, to] {
            changes.extend(
                party
                    .service
                    .clone()
                    .map(|service| Change::Leave(service, key.clone())),
            );
        }
        match stack.networks.get(key).map(|network| &network.driver) {
            Some(Driver::Bridge) => changes.push(Change::WallOff(key.clone())),
            Some(Driver::Macvlan(_)) => {
                changes.push(Change::Macvlan(key.clone(), MacvlanMode::Private));
            }
            Some(Driver::Ipvlan(mode, _)) => {
                changes.push(Change::Ipvlan(key.clone(), *mode, IpvlanFlag::Private));
            }
            Some(Driver::DefaultBridge | Driver::Host | Driver::None) => {}
            Some(Driver::Overlay | Driver::Plugin(_)) | None => {}
        }
    }
    for key in from.networks.iter().chain(&to.networks) {
        if let Some(network) = stack.networks.get(key) {
            if network.shim.is_some() {
                changes.push(Change::NoShim(key.clone()));
            }
            if network.driver == Driver::Bridge && !network.internal {
                changes.push(Change::Seal(key.clone()));
            }
        }
    }
    changes
}
