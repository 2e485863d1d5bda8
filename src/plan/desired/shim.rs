//! The host shims: one for each parent, however many networks ask for one; their addresses, and the routes through
//! them.
//!
//! An address that is chosen is the last free one outside `ip_range`: the engine's automatic allocation starts at the
//! first address of the range, DHCP servers usually low, so the end is where a collision is least likely. A shim that
//! stands keeps its address as long as it may.

use std::collections::BTreeSet;
use std::net::IpAddr;

use indexmap::IndexMap;
use ipnet::IpNet;

use crate::model::address::{AddressRange, Mac, cover, host_prefix, last_free, same_family};
use crate::model::name::{LinkName, NetworkName};
use crate::model::network::{Driver, HostAddress, MacvlanMode, Network, Shim, ShimRoutes};
use crate::model::service::Connection;
use crate::model::stack::Stack;
use crate::plan::desired::lan::ground;
use crate::plan::desired::{At, Desired, Until, Wishes};
use crate::plan::observed::Observed;
use crate::plan::spec::{
    ContainerNetwork, DoorSpec, Kind, ResourceId, RouteSpec, ShimKind, ShimRoute, ShimSpec, Spec,
    Way,
};

/// A shim with its addresses decided; its routes follow when the containers are known.
#[derive(Debug, Clone, PartialEq)]
pub struct ChosenShim {
    pub name: LinkName,
    pub parent: LinkName,
    pub kind: ShimKind,
    pub mac: Option<Mac>,
    pub addresses: Vec<IpAddr>,
    /// The engine's names of the networks it serves.
    pub networks: Vec<String>,
    /// Routes that it has for services that are not in the stack.
    routes: Vec<ShimRoute>,
    keys: Vec<NetworkName>,
}

/// Decides which shims there are and which addresses they have. Where the stack is only a part of the project, what a
/// standing shim has for the rest of it stays.
pub fn choose(stack: &Stack, wishes: &Wishes, observed: &Observed) -> Vec<ChosenShim> {
    let mut shims: IndexMap<LinkName, ChosenShim> = IndexMap::new();
    for network in stack.networks.values() {
        let (Some(shim), Some(parent), Some(kind)) =
            (&network.shim, &network.parent, kind(&network.driver))
        else {
            continue;
        };
        let standing = standing_on(observed, parent.link()).filter(|_| wishes.partial);
        let entry = shims.entry(parent.link().clone()).or_insert_with(|| {
            if let Some(standing) = standing {
                return ChosenShim {
                    name: standing.name.clone(),
                    parent: standing.parent.clone(),
                    kind,
                    mac: standing.mac,
                    addresses: standing.addresses.clone(),
                    networks: standing.networks.clone(),
                    routes: standing.routes.clone(),
                    keys: Vec::new(),
                };
            }
            let identity = format!("{}-{}", stack.project, network.key);
            let name = shim
                .name
                .clone()
                .unwrap_or_else(|| LinkName::fitted("shim-", &identity));
            let mac = match kind {
                ShimKind::Macvlan(_) => Some(shim.mac_address.unwrap_or_else(|| {
                    Mac::derived(&format!("shim/{}/{}", stack.project, network.key))
                })),
                ShimKind::Ipvlan(..) => None,
            };
            ChosenShim {
                name,
                parent: parent.link().clone(),
                kind,
                mac,
                addresses: Vec::new(),
                networks: Vec::new(),
                routes: Vec::new(),
                keys: Vec::new(),
            }
        });
        let standing = standing_addresses(observed, &entry.name);
        for address in addresses(stack, network, shim, observed, &standing) {
            if !entry.addresses.contains(&address) {
                entry.addresses.push(address);
            }
        }
        if !entry.networks.contains(&network.name) {
            entry.networks.push(network.name.clone());
        }
        entry.keys.push(network.key.clone());
    }
    shims.into_values().collect()
}

/// The kind of link that can be a door into a network of this driver; none where no link can.
pub fn kind(driver: &Driver) -> Option<ShimKind> {
    match driver {
        Driver::Macvlan(MacvlanMode::Passthru) => None,
        Driver::Macvlan(mode) => Some(ShimKind::Macvlan(*mode)),
        Driver::Ipvlan(mode, flag) => Some(ShimKind::Ipvlan(*mode, *flag)),
        Driver::Bridge | Driver::DefaultBridge | Driver::Host | Driver::None => None,
        Driver::Overlay | Driver::Plugin(_) => None,
    }
}

/// The project's shim on a parent, where there is one.
fn standing_on<'a>(observed: &'a Observed, parent: &LinkName) -> Option<&'a ShimSpec> {
    observed
        .resources
        .values()
        .find_map(|found| match &found.spec {
            Spec::Shim(spec) if spec.parent == *parent => Some(spec),
            _ => None,
        })
}

fn standing_addresses(observed: &Observed, name: &LinkName) -> Vec<IpAddr> {
    let found = observed
        .resources
        .get(&ResourceId::new(Kind::Shim, name.as_str()));
    match found.map(|found| &found.spec) {
        Some(Spec::Shim(spec)) => spec.addresses.clone(),
        _ => Vec::new(),
    }
}

/// The shim's address in each subnet of a network: the one the file gives, or one that is chosen.
fn addresses(
    stack: &Stack,
    network: &Network,
    shim: &Shim,
    observed: &Observed,
    standing: &[IpAddr],
) -> Vec<IpAddr> {
    let mut chosen: Vec<IpAddr> = Vec::new();
    for pool in &network.ipam.pools {
        let Some(subnet) = pool.subnet else { continue };
        let given = shim
            .addresses
            .iter()
            .find(|address| same_family(**address, subnet.addr()));
        if let Some(address) = given {
            if !chosen.contains(address) {
                chosen.push(*address);
            }
            continue;
        }
        let taken = taken(stack, network, observed, standing);
        let mut kept_out: Vec<IpNet> = pool.ip_range.into_iter().collect();
        kept_out.extend(network.dhcp_pool.into_iter().flat_map(cover));
        let stays = standing.iter().find(|address| {
            subnet.contains(*address)
                && !taken.contains(*address)
                && !network
                    .dhcp_pool
                    .is_some_and(|pool| pool.contains(**address))
        });
        // Where the range is the whole subnet, an address inside it does as well: it is reserved.
        let free = stays
            .copied()
            .or_else(|| last_free(subnet, &kept_out, &taken))
            .or_else(|| {
                let leases: Vec<IpNet> = network.dhcp_pool.into_iter().flat_map(cover).collect();
                last_free(subnet, &leases, &taken)
            });
        chosen.extend(free);
    }
    chosen
}

/// Addresses that a shim of this network must not have: what the file gives to others and what the host has.
fn taken(
    stack: &Stack,
    network: &Network,
    observed: &Observed,
    standing: &[IpAddr],
) -> BTreeSet<IpAddr> {
    let mut taken: BTreeSet<IpAddr> = BTreeSet::new();
    for pool in &network.ipam.pools {
        taken.extend(pool.gateway);
        taken.extend(pool.aux_addresses.values());
        // Without a gateway in the file the engine takes the first address for itself or for the containers' route.
        taken.extend(pool.subnet.and_then(|subnet| subnet.hosts().next()));
    }
    for other in stack.networks.values() {
        taken.extend(
            other
                .shim
                .iter()
                .flat_map(|shim| shim.addresses.iter().copied()),
        );
    }
    for service in stack.services.values() {
        if let Connection::Networks(networks) = &service.connection {
            for attachment in networks.values() {
                taken.extend(attachment.ipv4_address.map(IpAddr::V4));
                taken.extend(attachment.ipv6_address.map(IpAddr::V6));
            }
        }
    }
    for lan in stack.lans.values() {
        taken.extend(lan.gateways.iter().chain(&lan.addresses));
        taken.extend(
            lan.hosts
                .values()
                .flat_map(|host| host.addresses.iter().map(|net| net.addr())),
        );
    }
    for link in observed.host.iter().flat_map(|host| &host.links) {
        taken.extend(link.addresses.iter().map(|net| net.addr()));
    }
    for container in &observed.containers {
        for endpoint in container
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.network == network.name)
        {
            taken.extend(endpoint.ipv4.into_iter().chain(endpoint.ipv6));
        }
    }
    for own in standing {
        taken.remove(own);
    }
    taken
}

/// Adds the shims, and the routes and doors that go with the containers on their networks.
pub fn add(stack: &Stack, observed: &Observed, shims: Vec<ChosenShim>, desired: &mut Desired) {
    for shim in shims {
        let mut routes: Vec<ShimRoute> = shim.routes.clone();
        let mut followed: Vec<&Network> = Vec::new();
        let networks = shim.keys.iter().filter_map(|key| stack.networks.get(key));
        let networks: Vec<&Network> = networks.collect();
        for network in &networks {
            let wish = network
                .shim
                .as_ref()
                .map_or(ShimRoutes::Auto, |shim| shim.routes.clone());
            let mut destinations: Vec<IpNet> = Vec::new();
            match wish {
                ShimRoutes::List(list) => destinations.extend(list.iter().map(|net| net.trunc())),
                ShimRoutes::Range => destinations.extend(
                    network
                        .ipam
                        .pools
                        .iter()
                        .filter_map(|pool| pool.ip_range.or(pool.subnet))
                        .map(|net| net.trunc()),
                ),
                ShimRoutes::Auto => {
                    destinations.extend(
                        network
                            .ipam
                            .pools
                            .iter()
                            .filter_map(|pool| pool.ip_range)
                            .map(|net| net.trunc()),
                    );
                    let statics = static_addresses(stack, &network.key).into_iter();
                    let outside = statics
                        .filter(|address| !destinations.iter().any(|net| net.contains(address)));
                    let outside: Vec<IpNet> = outside.map(host_prefix).collect();
                    destinations.extend(outside);
                    followed.push(network);
                }
            }
            routes.extend(destinations.into_iter().filter_map(|destination| {
                let source = source_for(&shim.addresses, network, destination)?;
                Some(ShimRoute {
                    destination,
                    source,
                })
            }));
        }
        routes.sort_unstable();
        routes.dedup();
        let id = desired.add(Spec::Shim(ShimSpec {
            name: shim.name.clone(),
            parent: shim.parent.clone(),
            kind: shim.kind,
            mac: shim.mac,
            addresses: shim.addresses.clone(),
            routes,
            networks: shim.networks.clone(),
        }));
        for network in &networks {
            desired.shims.insert(network.key.clone(), id.clone());
            if let Some(ground) = network
                .parent
                .as_ref()
                .and_then(|parent| ground(stack, parent))
            {
                desired.need(&id, At::Create, &ground, Until::Created);
            }
            if let Some(network) = ResourceId::of_network(network) {
                desired.need(&id, At::Create, &network, Until::Created);
            }
        }
        for network in followed {
            add_routes(network, &shim, &id, desired);
        }
        for network in networks {
            let wish = network.shim.as_ref().map(|shim| shim.host_address);
            let filtered = observed
                .host
                .as_ref()
                .is_some_and(|host| host.arp_ignore > 0);
            if wish == Some(HostAddress::Reachable) && filtered {
                add_doors(stack, observed, network, &shim, &id, desired);
            }
        }
    }
}

/// The addresses that services have for themselves in a network.
fn static_addresses(stack: &Stack, key: &NetworkName) -> BTreeSet<IpAddr> {
    let mut addresses = BTreeSet::new();
    for service in stack.services.values() {
        let Connection::Networks(networks) = &service.connection else {
            continue;
        };
        if let Some(attachment) = networks.get(key) {
            addresses.extend(attachment.ipv4_address.map(IpAddr::V4));
            addresses.extend(attachment.ipv6_address.map(IpAddr::V6));
        }
    }
    addresses
}

/// The shim's address that packets to a destination carry: the one in the same subnet of the network, else any of the
/// family.
fn source_for(addresses: &[IpAddr], network: &Network, destination: IpNet) -> Option<IpAddr> {
    let subnet = network
        .subnets()
        .find(|subnet| subnet.contains(&destination.network()));
    let near = addresses
        .iter()
        .find(|address| subnet.is_some_and(|subnet| subnet.contains(*address)));
    near.or_else(|| {
        addresses
            .iter()
            .find(|address| same_family(**address, destination.addr()))
    })
    .copied()
}

/// A route for each container whose address the engine chooses, in the subnets that no other route of the shim covers.
/// An address of its own has a route among the shim's.
fn add_routes(network: &Network, shim: &ChosenShim, id: &ResourceId, desired: &mut Desired) {
    let unranged = network.ipam.pools.iter();
    let unranged = unranged.filter(|pool| pool.ip_range.is_none());
    let ways: Vec<Way> = unranged
        .filter_map(|pool| {
            let subnet = pool.subnet?;
            let source = source_for(&shim.addresses, network, subnet)?;
            Some(Way { subnet, source })
        })
        .collect();
    for (container, own) in containers_on(network, desired) {
        let mut ways = ways.clone();
        ways.retain(|way| !own.iter().any(|own| same_family(*own, way.subnet.addr())));
        if ways.is_empty() {
            continue;
        }
        let route = desired.add(Spec::Route(RouteSpec {
            shim: shim.name.clone(),
            ways,
            container: container.name.clone(),
            network: network.name.clone(),
        }));
        desired.need(&route, At::Create, id, Until::Created);
        desired.need(&route, At::Create, &container, Until::Started);
    }
}

/// The containers attached to a network, and the addresses they have there of their own.
fn containers_on(network: &Network, desired: &Desired) -> Vec<(ResourceId, Vec<IpAddr>)> {
    let mut found = Vec::new();
    for (id, spec) in &desired.specs {
        let Spec::Container(container) = spec.as_ref() else {
            continue;
        };
        let ContainerNetwork::Attached(attachments) = &container.network else {
            continue;
        };
        if let Some(attachment) = attachments
            .iter()
            .find(|attachment| attachment.network == network.name)
        {
            let own = attachment.ipv4_address.map(IpAddr::V4).into_iter();
            let own = own.chain(attachment.ipv6_address.map(IpAddr::V6));
            found.push((id.clone(), own.collect()));
        }
    }
    found
}

fn add_doors(
    stack: &Stack,
    observed: &Observed,
    network: &Network,
    shim: &ChosenShim,
    id: &ResourceId,
    desired: &mut Desired,
) {
    for host_address in host_addresses(stack, observed, network) {
        let Some(via) = shim
            .addresses
            .iter()
            .find(|address| same_family(**address, host_address))
        else {
            continue;
        };
        for (container, _) in containers_on(network, desired) {
            let door = desired.add(Spec::Door(DoorSpec {
                container: container.name.clone(),
                network: network.name.clone(),
                host_address,
                via: *via,
            }));
            desired.need(&door, At::Create, id, Until::Created);
            desired.need(&door, At::Create, &container, Until::Started);
        }
    }
}

/// The host's own addresses on the parent, in the network's subnets: what the kernel says, or what a lan will set.
fn host_addresses(stack: &Stack, observed: &Observed, network: &Network) -> Vec<IpAddr> {
    let Some(parent) = &network.parent else {
        return Vec::new();
    };
    let lan = stack.lans.values().find(|lan| lan.parent == *parent.link());
    let own = observed
        .host
        .as_ref()
        .and_then(|host| host.link(parent.link().as_str()));
    let own = own
        .into_iter()
        .flat_map(|link| link.addresses.iter().map(|net| net.addr()));
    let mut addresses: BTreeSet<IpAddr> = own
        .chain(lan.into_iter().flat_map(|lan| lan.addresses.clone()))
        .collect();
    addresses.retain(|address| {
        let range_of = |subnet: IpNet| AddressRange::of(subnet).contains(*address);
        address.is_ipv4() && network.subnets().any(range_of)
    });
    addresses.into_iter().collect()
}
