//! The containers of the scene: namespaces, endpoints, addresses and names.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::plan::spec::{AttachmentSpec, ContainerNetwork, ContainerSpec, PoolSpec};
use crate::reach::scene::draft::{Draft, Moment};
use crate::reach::scene::network::{DEFAULT_BRIDGE, GATEWAY_BRIDGE};
use crate::reach::scene::{Endpoint, HOST, Link, NodeId, NodeKind, Resolver, Role, Tenant};

/// A container with a namespace of its own.
pub struct Settled<'a> {
    pub spec: &'a ContainerSpec,
    pub node: NodeId,
    pub attached: Vec<Attached>,
}

/// One of its networks.
#[derive(Debug, Clone)]
pub struct Attached {
    pub network: String,
    pub link: usize,
    pub priority: i32,
    /// Engines from 28 on know that a setting takes a container's IPv6 away; older ones go on as if it had it.
    pub knows_no_ipv6: bool,
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
pub fn network_has_names(network: &str) -> bool {
    network != DEFAULT_BRIDGE && network != GATEWAY_BRIDGE
}

/// The endpoint's addresses: those it has, those it asks for, those it would get.
fn endpoint_addresses(
    draft: &mut Draft,
    spec: &ContainerSpec,
    attachment: &AttachmentSpec,
) -> Vec<IpNet> {
    let network = draft.scene.networks[&attachment.network].clone();
    let standing = draft
        .found(&spec.name)
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
    let standing = draft.found(&spec.name);
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
