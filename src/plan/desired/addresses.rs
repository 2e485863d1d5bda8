//! Static addresses that the engine could give to somebody else: it hands the lowest free address of a pool to each
//! container that starts without one, and keeps no address for a container that does not run.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::model::network::Pool;
use crate::model::stack::Stack;
use crate::plan::desired::Desired;
use crate::plan::spec::{AttachmentSpec, ContainerNetwork, ResourceId, Spec};

/// A container with a static address, and one on the same network that must not start before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim<'a> {
    pub holder: &'a ResourceId,
    pub rival: &'a ResourceId,
    pub address: IpAddr,
    /// Whether it is among those that are handed out already when all start for the first time; else only restarts
    /// get there, as the engine goes on where it was.
    pub at_once: bool,
    /// The engine's name of the network.
    pub network: &'a str,
}

/// The network's own address and the gateway, at the begin of a pool.
const ALWAYS_TAKEN: usize = 2;

/// How far beyond that restarts may get.
fn reach(rivals: usize) -> usize {
    16 + 2 * rivals
}

/// All pairs of a static address and a container that could be given it.
pub fn claims<'a>(stack: &'a Stack, desired: &'a Desired) -> Vec<Claim<'a>> {
    let members = members(desired);
    let mut claims = Vec::new();
    for network in stack.networks.values().filter(|network| network.is_made()) {
        let Some(members) = members.get(network.name.as_str()) else {
            continue;
        };
        for pool in &network.ipam.pools {
            let within = members.len() + pool.aux_addresses.len() + ALWAYS_TAKEN;
            let of_pool = |member: &Member<'a>| address_in(member.attachment, pool);
            let (holders, rivals): (Vec<&Member<'a>>, Vec<&Member<'a>>) =
                members.iter().partition(|member| of_pool(member).is_some());
            for holder in holders {
                let Some((address, distance)) =
                    of_pool(holder).and_then(|one| Some((one, distance(one, pool)?)))
                else {
                    continue;
                };
                if distance > within.max(reach(rivals.len())) {
                    continue;
                }
                claims.extend(rivals.iter().map(|rival| Claim {
                    holder: holder.id,
                    rival: rival.id,
                    address,
                    at_once: distance <= within,
                    network: &network.name,
                }));
            }
        }
    }
    claims
}

struct Member<'a> {
    id: &'a ResourceId,
    attachment: &'a AttachmentSpec,
}

/// The containers on each network, by the engine's name of it.
fn members(desired: &Desired) -> HashMap<&str, Vec<Member<'_>>> {
    let mut members: HashMap<&str, Vec<Member<'_>>> = HashMap::new();
    for (id, spec) in &desired.specs {
        if let Spec::Container(container) = spec.as_ref()
            && let ContainerNetwork::Attached(attachments) = &container.network
        {
            for attachment in attachments {
                let own = members.entry(&attachment.network).or_default();
                own.push(Member { id, attachment });
            }
        }
    }
    members
}

/// The static address of this pool's family.
fn address_in(attachment: &AttachmentSpec, pool: &Pool) -> Option<IpAddr> {
    match pool.subnet?.addr() {
        IpAddr::V4(_) => attachment.ipv4_address.map(IpAddr::V4),
        IpAddr::V6(_) => attachment.ipv6_address.map(IpAddr::V6),
    }
}

/// How many addresses are handed out of a pool before this one; none where it is not handed out at all.
fn distance(address: IpAddr, pool: &Pool) -> Option<usize> {
    let range = pool.ip_range.or(pool.subnet)?;
    let number = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    };
    let distance = number(address).checked_sub(number(range.network()))?;
    usize::try_from(distance)
        .ok()
        .filter(|_| range.contains(&address))
}
