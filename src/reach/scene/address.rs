//! Addresses as the engine would give them: the lowest free one of the range. Where the engine also chooses the subnet,
//! a placeholder stands for it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::plan::spec::PoolSpec;

/// The subnet that stands for the unknown one with this number, one for each family.
pub fn placeholder4(number: u8) -> IpNet {
    let address = Ipv4Addr::new(240, number, 0, 0);
    IpNet::V4(Ipv4Net::new_assert(address, 16))
}

/// The same for IPv6.
pub fn placeholder6(number: u8) -> IpNet {
    let address = Ipv6Addr::new(0x100, 0, 0, 0, 1, u16::from(number), 0, 0);
    IpNet::V6(Ipv6Net::new_assert(address, 96))
}

/// What is still to be had of one network.
#[derive(Debug, Default)]
pub struct Allocator {
    taken: BTreeSet<IpAddr>,
}

impl Allocator {
    /// Keeps an address from being handed out.
    pub fn reserve(&mut self, address: IpAddr) {
        self.taken.insert(address);
    }

    /// The lowest free address of a pool, which is then taken.
    pub fn next(&mut self, pool: &PoolSpec) -> Option<IpAddr> {
        let subnet = pool.subnet?;
        let range = pool.ip_range.unwrap_or(subnet);
        let within = |address: &IpAddr| {
            let first = subnet.network() == *address;
            let last = subnet.addr().is_ipv4() && subnet.broadcast() == *address;
            // RFC 3021: a /31 has neither network nor broadcast address.
            subnet.max_prefix_len() - subnet.prefix_len() < 2 || !(first || last)
        };
        let found = addresses(range)
            .take(1 << 14)
            .find(|address| within(address) && !self.taken.contains(address))?;
        self.taken.insert(found);
        Some(found)
    }
}

/// All addresses of a prefix, the first and the last too: the engine starts an `ip_range` at its very first one.
fn addresses(range: IpNet) -> Box<dyn Iterator<Item = IpAddr>> {
    match range {
        IpNet::V4(range) => {
            let (first, last) = (u32::from(range.network()), u32::from(range.broadcast()));
            Box::new((first..=last).map(|number| IpAddr::V4(Ipv4Addr::from(number))))
        }
        IpNet::V6(range) => {
            let (first, last) = (u128::from(range.network()), u128::from(range.broadcast()));
            Box::new((first..=last).map(|number| IpAddr::V6(Ipv6Addr::from(number))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Allocator;
    use crate::plan::spec::PoolSpec;
    use std::collections::BTreeMap;

    #[test]
    fn the_lowest_free_address_comes_first_and_a_range_starts_at_its_first() {
        let mut allocator = Allocator::default();
        allocator.reserve("10.0.0.1".parse().unwrap());
        let mut pool = PoolSpec {
            subnet: Some("10.0.0.0/24".parse().unwrap()),
            ip_range: None,
            gateway: None,
            aux_addresses: BTreeMap::new(),
        };
        assert_eq!(allocator.next(&pool), Some("10.0.0.2".parse().unwrap()));
        pool.ip_range = Some("10.0.0.64/27".parse().unwrap());
        assert_eq!(allocator.next(&pool), Some("10.0.0.64".parse().unwrap()));
    }
}
