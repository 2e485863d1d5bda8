//! Ways out of the containers: which network gives the default route, and what is published by it.

use ipnet::IpNet;

use crate::model::port::PublishedPort;
use crate::plan::spec::{ContainerNetwork, PoolSpec};
use crate::reach::scene::container::{Attached, Settled, network_has_names};
use crate::reach::scene::draft::Draft;
use crate::reach::scene::network::GATEWAY_BRIDGE;
use crate::reach::scene::{
    GatewayMode, Link, NetworkFact, NodeId, Open, Publication, Role, Route, SegmentKind,
    Unpublished, WhyUnpublished,
};

/// Default routes, and what is published where: both belong to the endpoint that is the way out.
pub fn add_ways_out(draft: &mut Draft, containers: &[Settled]) {
    for container in containers {
        let order = exits(draft, &container.attached);
        let mut exit = way_out(draft, container.node, &order);
        let networks = order.iter().map(|attached| attached.network.clone());
        draft.scene.nodes[container.node].networks =
            networks.filter(|name| network_has_names(name)).collect();
        let tunnelled = container.attached.iter().any(|attached| {
            let network = &draft.scene.networks[&attached.network];
            network.role == Role::Tunnel && !network.internal
        });
        if tunnelled && exit[0].is_none() {
            exit[0] = add_gateway_bridge(draft, container.node);
        }
        draft.scene.exits.insert(container.node, exit);
        publish(draft, container, &order, exit);
    }
    let host_mode: Vec<(String, Vec<PublishedPort>, WhyUnpublished)> = draft
        .containers()
        .iter()
        .filter(|spec| {
            matches!(
                spec.network,
                ContainerNetwork::Host | ContainerNetwork::None
            )
        })
        .map(|spec| {
            let why = match spec.network {
                ContainerNetwork::Host => WhyUnpublished::HostMode,
                _ => WhyUnpublished::Mode,
            };
            (spec.name.clone(), spec.ports.clone(), why)
        })
        .collect();
    for (name, ports, why) in host_mode {
        for port in ports {
            unpublished(draft, &name, &port, why);
        }
    }
}

/// Rules G1 and G2: the default routes of both families, from the first endpoint with both gateways, and where there is
/// none, or the engine does not look for it, from the first of each. Gives the links that they take.
fn way_out(draft: &mut Draft, node: NodeId, order: &[Attached]) -> [Option<usize>; 2] {
    let mut chosen: [Option<Route>; 2] = [None, None];
    for attached in order {
        let own = [true, false].map(|v4| default_route(draft, node, attached, v4));
        if draft.scene.facts.api >= (1, 48) && own.iter().all(Option::is_some) {
            chosen = own;
            break;
        }
        for (chosen, own) in chosen.iter_mut().zip(own) {
            *chosen = chosen.take().or(own);
        }
    }
    chosen.map(|route| {
        let route = route?;
        let link = route.link;
        draft.route(node, route);
        Some(link)
    })
}

/// Rule G1: the order in which endpoints are asked for a way out. Below API 1.48 there is no priority.
fn exits(draft: &Draft, attached: &[Attached]) -> Vec<Attached> {
    let priorities = draft.scene.facts.api >= (1, 48);
    let mut order: Vec<Attached> = attached.to_vec();
    order.sort_by(|one, two| {
        let (one_net, two_net) = (
            &draft.scene.networks[&one.network],
            &draft.scene.networks[&two.network],
        );
        let by_priority = if priorities {
            two.priority.cmp(&one.priority)
        } else {
            std::cmp::Ordering::Equal
        };
        let both =
            |network: &NetworkFact, at: &Attached| network.both_families && !at.knows_no_ipv6;
        by_priority
            .then(one_net.internal.cmp(&two_net.internal))
            .then(both(two_net, two).cmp(&both(one_net, one)))
            .then(one.network.cmp(&two.network))
    });
    order
}

fn default_route(draft: &Draft, node: NodeId, attached: &Attached, v4: bool) -> Option<Route> {
    let network = &draft.scene.networks[&attached.network];
    let link = &draft.scene.nodes[node].links[attached.link];
    let source = link
        .addresses
        .iter()
        .map(IpNet::addr)
        .find(|address| address.is_ipv4() == v4)?;
    let alone = matches!(
        &draft.scene.segments[network.segment].kind,
        SegmentKind::Wire(traits) if traits.alone
    );
    let through_link = matches!(
        network.role,
        Role::Ipvlan(
            crate::model::network::IpvlanMode::L3 | crate::model::network::IpvlanMode::L3s,
            _
        )
    );
    let has_gateway = match network.role {
        // Up to 20.10 an internal bridge still had a default route (seen); 28 has none.
        Role::Bridge => !network.internal || draft.scene.facts.engine.0 < 24,
        Role::Macvlan(_) | Role::Ipvlan(..) => !network.internal && !alone,
        Role::Plugin => !network.internal,
        Role::Tunnel | Role::Loopback | Role::Port | Role::Parent => false,
        Role::Station | Role::Uplink => false,
    };
    if !has_gateway {
        return None;
    }
    let isolated = match &draft.scene.segments[network.segment].kind {
        SegmentKind::Bridge(traits) => {
            let mode = if v4 { traits.mode4 } else { traits.mode6 };
            mode == GatewayMode::Isolated
        }
        SegmentKind::Wire(_) | SegmentKind::Overlay => false,
        SegmentKind::Plugin | SegmentKind::Outside => false,
    };
    let subnet = network
        .subnets
        .iter()
        .find(|subnet| subnet.contains(&source))
        .copied();
    let via = network
        .gateways
        .iter()
        .copied()
        .find(|gateway| subnet.is_some_and(|subnet| subnet.contains(gateway)));
    if isolated || (via.is_none() && !through_link) {
        return None;
    }
    let any: IpNet = if v4 {
        IpNet::V4(ipnet::Ipv4Net::default())
    } else {
        IpNet::V6(ipnet::Ipv6Net::default())
    };
    Some(Route {
        destination: any,
        via: via.filter(|_| !through_link),
        link: attached.link,
        source: Some(source),
    })
}

fn add_gateway_bridge(draft: &mut Draft, node: NodeId) -> Option<usize> {
    let network = draft.scene.networks.get(GATEWAY_BRIDGE)?.clone();
    let pool = PoolSpec {
        subnet: network.subnets.first().copied(),
        ip_range: None,
        gateway: None,
        aux_addresses: std::collections::BTreeMap::new(),
    };
    // The engine does not tell which address a container has there; its namespace does.
    let name = draft.scene.nodes[node].name.clone();
    let inside = draft.scene.facts.addresses.get(&name).and_then(|inside| {
        let mut inside = inside.iter().copied();
        inside.find(|address| pool.subnet.is_some_and(|subnet| subnet.contains(address)))
    });
    let address = match inside {
        Some(address) => address,
        None => draft.allocators.get_mut(GATEWAY_BRIDGE)?.next(&pool)?,
    };
    let prefix = IpNet::new(address, pool.subnet?.prefix_len()).ok()?;
    let index = draft.scene.nodes[node].links.len() - 1;
    let link = draft.link(
        node,
        Link {
            name: format!("eth{index}"),
            segment: Some(network.segment),
            role: Role::Port,
            addresses: vec![prefix],
            network: Some(GATEWAY_BRIDGE.to_owned()),
        },
    );
    draft.route(
        node,
        Route {
            destination: IpNet::V4(ipnet::Ipv4Net::default()),
            via: network.gateways.first().copied(),
            link,
            source: Some(address),
        },
    );
    Some(link)
}

fn publish(draft: &mut Draft, container: &Settled, order: &[Attached], exit: [Option<usize>; 2]) {
    for port in &container.spec.ports {
        let links = [exit[0], exit[1]].map(|link| {
            let link = &draft.scene.nodes[container.node].links[link?];
            let traits = draft.scene.bridge_of(link)?;
            Some((link.segment?, *traits, link.addresses.clone()))
        });
        let internal = order
            .first()
            .is_some_and(|first| draft.scene.networks[&first.network].internal);
        let address = |slot: usize, v4: bool| {
            let (_, _, addresses) = links[slot].as_ref()?;
            addresses
                .iter()
                .map(IpNet::addr)
                .find(|address| address.is_ipv4() == v4)
        };
        let Some((segment, traits, _)) = links[0].as_ref().or(links[1].as_ref()) else {
            let why = if internal {
                WhyUnpublished::Internal
            } else {
                WhyUnpublished::Mode
            };
            unpublished(draft, &container.spec.name, port, why);
            continue;
        };
        if traits.internal {
            unpublished(draft, &container.spec.name, port, WhyUnpublished::Internal);
            continue;
        }
        let (to4, to6) = (address(0, true), address(1, false));
        let open = Open {
            v4: to4.is_some() && traits.mode4 != GatewayMode::Routed,
            v6: to6.or(to4).is_some() && traits.mode6 != GatewayMode::Routed,
        };
        if !open.v4 && !open.v6 {
            unpublished(draft, &container.spec.name, port, WhyUnpublished::Routed);
            continue;
        }
        let tenant = draft.scene.containers.get(&container.spec.name);
        if tenant.is_some_and(|tenant| !tenant.runs()) {
            unpublished(draft, &container.spec.name, port, WhyUnpublished::Down);
            continue;
        }
        let Some(host_port) = taken(draft, &container.spec.name, port) else {
            // The engine chooses the host's port; nobody can ask for it before it has.
            continue;
        };
        let publication = Publication {
            container: container.spec.name.clone(),
            node: container.node,
            protocol: port.protocol,
            host_address: port.host_ip.or(traits.binding),
            host_port,
            target: port.target,
            to4,
            to6,
            open,
            segment: *segment,
        };
        draft.scene.publications.push(publication);
    }
}

/// The port of the host: which one of several the engine took is known of a container that runs.
fn taken(draft: &Draft, container: &str, port: &PublishedPort) -> Option<u16> {
    let wanted = port.published;
    let found = draft
        .found(container)
        .into_iter()
        .flat_map(|found| &found.ports)
        .filter(|found| (found.target, found.protocol) == (port.target, port.protocol))
        .filter_map(|found| Some(found.published?.first))
        .find(|taken| wanted.is_none_or(|range| (range.first..=range.last).contains(taken)));
    found.or(wanted.map(|range| range.first))
}

fn unpublished(draft: &mut Draft, container: &str, port: &PublishedPort, why: WhyUnpublished) {
    if let Some(published) = port.published {
        draft.scene.unpublished.push(Unpublished {
            container: container.to_owned(),
            protocol: port.protocol,
            host_port: published.first,
            target: port.target,
            why,
        });
    }
}
