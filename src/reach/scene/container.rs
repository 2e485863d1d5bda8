//! The containers of the scene: namespaces, endpoints, addresses, names, ways out and published ports.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::port::PublishedPort;
use crate::plan::observed::FoundContainer;
use crate::plan::spec::{AttachmentSpec, ContainerNetwork, ContainerSpec, PoolSpec};
use crate::reach::scene::draft::{Draft, Moment};
use crate::reach::scene::network::{DEFAULT_BRIDGE, GATEWAY_BRIDGE};
use crate::reach::scene::{
    Endpoint, GatewayMode, HOST, Link, NetworkFact, NodeId, NodeKind, Publication, Resolver, Role,
    Route, SegmentKind, Tenant, Unpublished, WhyUnpublished,
};

/// A container with a namespace of its own.
pub struct Settled<'a> {
    spec: &'a ContainerSpec,
    node: NodeId,
    attached: Vec<Attached>,
}

#[derive(Debug, Clone)]
struct Attached {
    network: String,
    link: usize,
    priority: i32,
    /// Engines from 28 on know that a setting takes a container's IPv6 away; older ones go on as if it had it.
    knows_no_ipv6: bool,
}

/// Adds all containers; those that share a namespace come after those that own it.
pub fn add<'a>(draft: &mut Draft<'a>) -> Vec<Settled<'a>> {
    let specs = draft.containers();
    reserve(draft, &specs);
    let mut settled = Vec::new();
    let mut followers = Vec::new();
    for spec in specs {
        let attachments: Vec<AttachmentSpec> = match &spec.network {
            ContainerNetwork::Host => {
                add_tenant(draft, spec, HOST, None);
                continue;
            }
            ContainerNetwork::Container(owner) => {
                followers.push((spec, owner.clone()));
                continue;
            }
            ContainerNetwork::None => Vec::new(),
            ContainerNetwork::DefaultBridge { .. } => vec![AttachmentSpec::plain(DEFAULT_BRIDGE)],
            ContainerNetwork::Named(name) => vec![AttachmentSpec::plain(name)],
            ContainerNetwork::Attached(attachments) => attachments.clone(),
        };
        let resolver = match &spec.network {
            ContainerNetwork::None => Resolver::Nothing,
            ContainerNetwork::DefaultBridge { .. } => Resolver::HostCopy,
            ContainerNetwork::Named(name) if name == DEFAULT_BRIDGE => Resolver::HostCopy,
            ContainerNetwork::Named(_) | ContainerNetwork::Attached(_) => Resolver::Embedded,
            ContainerNetwork::Host | ContainerNetwork::Container(_) => Resolver::Host,
        };
        let node = draft.node(&spec.name, NodeKind::Container, resolver);
        let attached = attach(draft, spec, node, &attachments);
        add_tenant(draft, spec, node, None);
        settled.push(Settled {
            spec,
            node,
            attached,
        });
    }
    // A follower may follow a follower.
    let mut rounds = followers.len();
    while !followers.is_empty() && rounds > 0 {
        rounds -= 1;
        followers.retain(|(spec, owner)| match draft.scene.containers.get(owner) {
            Some(tenant) => {
                let node = tenant.node;
                add_tenant(draft, spec, node, Some(owner));
                false
            }
            None => true,
        });
    }
    for (spec, owner) in followers {
        let node = draft.node(&spec.name, NodeKind::Container, Resolver::Nothing);
        add_tenant(draft, spec, node, Some(&owner));
        if let Some(tenant) = draft.scene.containers.get_mut(&spec.name) {
            tenant.down = Some(format!(
                "it lives in the namespace of `{owner}`, which is not part of this stack"
            ));
        }
    }
    settled
}

/// Fixed and observed addresses are nobody else's.
fn reserve(draft: &mut Draft, specs: &[&ContainerSpec]) {
    for spec in specs {
        if let ContainerNetwork::Attached(attachments) = &spec.network {
            for attachment in attachments {
                if let Some(allocator) = draft.allocators.get_mut(&attachment.network) {
                    let fixed = attachment.ipv4_address.map(IpAddr::V4);
                    let fixed6 = attachment.ipv6_address.map(IpAddr::V6);
                    fixed
                        .into_iter()
                        .chain(fixed6)
                        .for_each(|address| allocator.reserve(address));
                }
            }
        }
    }
    for container in &draft.observed.containers {
        for endpoint in &container.endpoints {
            if let Some(allocator) = draft.allocators.get_mut(&endpoint.network) {
                endpoint
                    .ipv4
                    .into_iter()
                    .chain(endpoint.ipv6)
                    .for_each(|address| allocator.reserve(address));
            }
        }
    }
}

fn found<'a>(draft: &Draft<'a>, name: &str) -> Option<&'a FoundContainer> {
    draft
        .observed
        .containers
        .iter()
        .find(|found| found.name == name)
}

fn attach(
    draft: &mut Draft,
    spec: &ContainerSpec,
    node: NodeId,
    attachments: &[AttachmentSpec],
) -> Vec<Attached> {
    let mut order: Vec<&AttachmentSpec> = attachments
        .iter()
        .filter(|at| draft.scene.networks.contains_key(&at.network))
        .collect();
    // Below API 1.48 links are numbered in the order of the networks' names.
    if draft.scene.facts.api < (1, 48) {
        order.sort_by(|one, two| one.network.cmp(&two.network));
    }
    let mut attached = Vec::new();
    for (index, attachment) in order.into_iter().enumerate() {
        let addresses = endpoint_addresses(draft, spec, attachment);
        let network = &draft.scene.networks[&attachment.network];
        let role = match network.role {
            Role::Bridge => Role::Port,
            other => other,
        };
        let segment = network.segment;
        let mut names: Vec<String> = attachment.aliases.clone();
        if network_has_names(&attachment.network) {
            names.push(spec.name.clone());
            names.extend(spec.config.hostname.clone());
        }
        let link = draft.link(
            node,
            Link {
                name: attachment
                    .interface_name
                    .clone()
                    .unwrap_or_else(|| format!("eth{index}")),
                segment: Some(segment),
                role,
                addresses,
                network: Some(attachment.network.clone()),
            },
        );
        if network_has_names(&attachment.network) {
            let table = draft
                .scene
                .names
                .entry(attachment.network.clone())
                .or_default();
            names.sort();
            names.dedup();
            for name in names {
                table.entry(name).or_default().push(Endpoint { node, link });
            }
        }
        attached.push(Attached {
            network: attachment.network.clone(),
            link,
            priority: attachment.gw_priority.unwrap_or(0),
            knows_no_ipv6: draft.scene.facts.engine.0 >= 28 && is_without_ipv6(spec),
        });
    }
    attached
}

/// Whether the engine's resolver serves names of this network.
fn network_has_names(network: &str) -> bool {
    network != DEFAULT_BRIDGE && network != GATEWAY_BRIDGE
}

/// The endpoint's addresses: those it has, those it asks for, those it would get.
fn endpoint_addresses(
    draft: &mut Draft,
    spec: &ContainerSpec,
    attachment: &AttachmentSpec,
) -> Vec<IpNet> {
    let network = draft.scene.networks[&attachment.network].clone();
    let standing = found(draft, &spec.name)
        .filter(|found| found.runs())
        .and_then(|found| {
            found
                .endpoints
                .iter()
                .find(|endpoint| endpoint.network == attachment.network)
        });
    let observed4 = standing.and_then(|endpoint| endpoint.ipv4);
    let observed6 = standing.and_then(|endpoint| endpoint.ipv6);
    let fixed4 = attachment.ipv4_address.map(IpAddr::V4);
    let fixed6 = attachment.ipv6_address.map(IpAddr::V6);
    let mut addresses = Vec::new();
    for (v4, known) in [(true, observed4.or(fixed4)), (false, observed6.or(fixed6))] {
        if !v4 && is_without_ipv6(spec) {
            continue;
        }
        let pools = network
            .subnets
            .iter()
            .filter(|subnet| subnet.addr().is_ipv4() == v4);
        let pools: Vec<IpNet> = pools.copied().collect();
        let Some(first) = pools.first() else { continue };
        if !v4 && switched_off(spec) {
            continue;
        }
        let address = known.or_else(|| {
            let range = pool_range(draft, &attachment.network, *first);
            draft
                .allocators
                .get_mut(&attachment.network)
                .and_then(|allocator| allocator.next(&range))
        });
        let Some(address) = address else { continue };
        let subnet = pools
            .iter()
            .find(|subnet| subnet.contains(&address))
            .unwrap_or(first);
        addresses.extend(IpNet::new(address, subnet.prefix_len()).ok());
    }
    addresses
}

/// Rule V4: the engine gives such a container an IPv6 address and the kernel puts it nowhere (measured on 20.10 and
/// 28.5: EADDRNOTAVAIL inside, silence from outside).
fn is_without_ipv6(spec: &ContainerSpec) -> bool {
    let setting = spec.config.sysctls.get("net.ipv6.conf.all.disable_ipv6");
    setting.is_some_and(|value| value == "1")
}

fn pool_range(draft: &Draft, network: &str, subnet: IpNet) -> PoolSpec {
    let range = draft
        .stack
        .networks
        .values()
        .find(|known| known.name == network)
        .and_then(|known| {
            known
                .ipam
                .pools
                .iter()
                .find(|pool| pool.subnet.is_some_and(|own| own.trunc() == subnet.trunc()))
        })
        .and_then(|pool| pool.ip_range);
    PoolSpec {
        subnet: Some(subnet),
        ip_range: range.map(|range| range.trunc()),
        gateway: None,
        aux_addresses: std::collections::BTreeMap::new(),
    }
}

fn add_tenant(draft: &mut Draft, spec: &ContainerSpec, node: NodeId, owner: Option<&str>) {
    let standing = found(draft, &spec.name);
    let down = match (draft.moment, standing) {
        (Moment::Wanted, _) => None,
        (Moment::Standing, None) => Some("it is not there".to_owned()),
        (Moment::Standing, Some(found)) if !found.runs() => Some("it does not run".to_owned()),
        (Moment::Standing, Some(found)) => found.dead_namespace_of.as_ref().map(|owner| {
            format!("`{owner}` was restarted, and this one still lives in its old, empty namespace")
        }),
    };
    let mut declared: Vec<_> = spec
        .expose
        .iter()
        .map(|port| (port.port, port.protocol))
        .chain(spec.ports.iter().map(|port| (port.target, port.protocol)))
        .collect();
    declared.sort_unstable();
    declared.dedup();
    let gateway = draft.scene.facts.default_bridge.gateway;
    let hosts_file = spec
        .config
        .extra_hosts
        .iter()
        .filter_map(|(name, address)| {
            let address = match address.as_str() {
                "host-gateway" => gateway,
                other => other.parse().ok()?,
            };
            Some((name.clone(), address))
        })
        .collect();
    let private_names = match &spec.network {
        ContainerNetwork::DefaultBridge { links } => links.clone(),
        ContainerNetwork::Attached(attachments) => attachments
            .first()
            .map(|attachment| attachment.links.clone())
            .unwrap_or_default(),
        ContainerNetwork::Host | ContainerNetwork::None => Vec::new(),
        ContainerNetwork::Container(_) | ContainerNetwork::Named(_) => Vec::new(),
    };
    let mut names = vec![spec.service.to_string(), spec.name.clone()];
    if let ContainerNetwork::Attached(attachments) = &spec.network {
        names.extend(attachments.iter().flat_map(|at| at.aliases.clone()));
        names.extend(spec.config.hostname.clone());
        let qualified = attachments
            .iter()
            .filter(|at| network_has_names(&at.network));
        names.extend(qualified.map(|at| format!("{}.{}", spec.service, at.network)));
    }
    let mut seen = Vec::new();
    names.retain(|name| {
        let fresh = !seen.contains(name);
        seen.push(name.clone());
        fresh
    });
    draft.scene.containers.insert(
        spec.name.clone(),
        Tenant {
            service: spec.service.to_string(),
            number: spec.number,
            node,
            down,
            declared,
            hostname: spec.config.hostname.clone().filter(|_| owner.is_none()),
            hosts_file,
            private_names,
            no_ipv6: switched_off(spec),
            follows: owner.map(str::to_owned),
            names,
        },
    );
}

/// Rule V4.
fn switched_off(spec: &ContainerSpec) -> bool {
    ["all", "default"].iter().any(|scope| {
        let key = format!("net.ipv6.conf.{scope}.disable_ipv6");
        spec.config
            .sysctls
            .get(&key)
            .is_some_and(|value| value == "1")
    })
}

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
        let routed4 = traits.mode4 == GatewayMode::Routed;
        let routed6 = traits.mode6 == GatewayMode::Routed;
        let to4 = address(0, true).filter(|_| !routed4);
        let to6 = address(1, false).filter(|_| !routed6);
        if to4.is_none() && to6.is_none() {
            unpublished(draft, &container.spec.name, port, WhyUnpublished::Routed);
            continue;
        }
        let Some(published) = port.published else {
            // The engine chooses the host's port; nobody can ask for it before it has.
            continue;
        };
        let publication = Publication {
            container: container.spec.name.clone(),
            node: container.node,
            protocol: port.protocol,
            host_address: port.host_ip,
            host_port: published.first,
            target: port.target,
            to4,
            to6,
            segment: *segment,
        };
        draft.scene.publications.push(publication);
    }
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
