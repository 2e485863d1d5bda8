//! Addresses: MAC, VLAN id, address pools and what may be asked of them. IP addresses and prefixes are those of the
//! standard library and of `ipnet`; an `IpNet` keeps its host bits as written until `trunc()` is asked for.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use serde::{Deserialize, Serialize};

/// A 48-bit link-layer address (IEEE 802).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac([u8; 6]);

/// Why a text is not a MAC address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a MAC address: six pairs of hexadecimal digits, such as 02:42:ac:11:00:02")]
pub struct MacError(String);

impl Mac {
    /// The address with these bytes.
    pub const fn new(bytes: [u8; 6]) -> Mac {
        Mac(bytes)
    }

    /// Its bytes, in the order of the wire.
    pub fn bytes(self) -> [u8; 6] {
        self.0
    }

    /// Whether the group bit is set: such an address names many stations and cannot be a station's own.
    pub fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Whether all bits are zero; the kernel refuses it for a link.
    pub fn is_zero(self) -> bool {
        self.0 == [0; 6]
    }

    /// A stable address for a thing, from its identity: unicast, locally administered (bit 1 set, bit 0 clear), so it
    /// is the same after every reboot and never that of a manufactured card.
    pub fn derived(identity: &str) -> Mac {
        let mut bytes: [u8; 6] = crate::model::hash::bytes(identity.as_bytes());
        bytes[0] = (bytes[0] | 0x02) & 0xfe;
        Mac(bytes)
    }
}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Mac, MacError> {
        let wrong = || MacError(text.to_owned());
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut bytes = [0u8; 6];
        let mut parts = text.split(separator);
        for byte in &mut bytes {
            let part = parts.next().ok_or_else(wrong)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(wrong());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Mac(bytes))
    }
}

impl TryFrom<String> for Mac {
    type Error = MacError;

    fn try_from(text: String) -> Result<Mac, MacError> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// An 802.1Q VLAN id: 1 to 4094 (0 and 4095 are reserved by IEEE 802.1Q).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct VlanId(u16);

/// Why a number is not a VLAN id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a VLAN id: 1 to 4094")]
pub struct VlanError(u16);

impl VlanId {
    /// The id as a number.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for VlanId {
    type Error = VlanError;

    fn try_from(id: u16) -> Result<VlanId, VlanError> {
        if (1..=4094).contains(&id) {
            Ok(VlanId(id))
        } else {
            Err(VlanError(id))
        }
    }
}

impl From<VlanId> for u16 {
    fn from(id: VlanId) -> u16 {
        id.0
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An inclusive range of addresses of one family, such as a DHCP server's pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AddressRange {
    /// The first address of the range.
    pub first: IpAddr,
    /// The last address of the range, not below the first.
    pub last: IpAddr,
}

impl AddressRange {
    /// Whether the address lies in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        same_family(self.first, address) && self.first <= address && address <= self.last
    }

    /// The range that a prefix covers.
    pub fn of(prefix: IpNet) -> AddressRange {
        AddressRange {
            first: prefix.network(),
            last: prefix.broadcast(),
        }
    }

    /// Whether two ranges share an address.
    pub fn overlaps(&self, other: &AddressRange) -> bool {
        same_family(self.first, other.first) && self.first <= other.last && other.first <= self.last
    }
}

/// Whether both addresses are IPv4 or both IPv6.
pub fn same_family(one: IpAddr, two: IpAddr) -> bool {
    one.is_ipv4() == two.is_ipv4()
}

/// Whether two prefixes share an address.
pub fn overlap(one: &IpNet, two: &IpNet) -> bool {
    one.contains(&two.network()) || two.contains(&one.network())
}

/// The prefix of one address: /32 or /128.
pub fn host_prefix(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

/// The fewest prefixes that cover exactly the addresses from `first` to `last`.
pub fn cover(range: AddressRange) -> Vec<IpNet> {
    match (range.first, range.last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            Ipv4Subnets::new(first, last, 0).map(IpNet::V4).collect()
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            Ipv6Subnets::new(first, last, 0).map(IpNet::V6).collect()
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Vec::new(),
    }
}

/// The addresses of a subnet that a station may have, from the last one down, at most `most` of them looked at: the
/// network address and the last one are left out where the prefix has more than two. The last one is IPv4's broadcast
/// address; IPv6 has none, but the engine (20.10) cannot reserve the last address of a /64.
fn stations_from_the_end(subnet: IpNet, most: u32) -> impl Iterator<Item = IpAddr> {
    let (first, last) = match subnet.trunc() {
        IpNet::V4(net) => {
            let (mut first, mut last) = (
                u128::from(u32::from(net.network())),
                u128::from(u32::from(net.broadcast())),
            );
            if net.prefix_len() < 31 {
                first += 1;
                last -= 1;
            }
            (first, last)
        }
        IpNet::V6(net) => {
            let (mut first, mut last) = (u128::from(net.network()), u128::from(net.broadcast()));
            if net.prefix_len() < 127 {
                first += 1; // The subnet-router anycast address (RFC 4291, section 2.6.1).
                last -= 1;
            }
            (first, last)
        }
    };
    let v4 = subnet.addr().is_ipv4();
    (0..u128::from(most)).map_while(move |back| {
        let number = last.checked_sub(back).filter(|n| *n >= first)?;
        Some(if v4 {
            IpAddr::V4(Ipv4Addr::from(u32::try_from(number).ok()?))
        } else {
            IpAddr::V6(Ipv6Addr::from(number))
        })
    })
}

/// The last address of `subnet` that is in none of `kept_out` and not in `taken`; the engine's automatic allocation
/// starts at the first address, so the end is where it comes last.
pub fn last_free(subnet: IpNet, kept_out: &[IpNet], taken: &BTreeSet<IpAddr>) -> Option<IpAddr> {
    stations_from_the_end(subnet, 1 << 16).find(|address| {
        !taken.contains(address) && !kept_out.iter().any(|range| range.contains(address))
    })
}

#[cfg(test)]
mod tests {
    use super::{AddressRange, Mac, cover, last_free};
    use std::collections::BTreeSet;

    #[test]
    fn the_last_free_address_is_outside_the_range_and_not_the_last() {
        let subnet = "192.168.1.0/24".parse().unwrap();
        let range = "192.168.1.128/25".parse().unwrap();
        assert_eq!(
            last_free(subnet, &[range], &BTreeSet::new()),
            Some("192.168.1.127".parse().unwrap())
        );
        let taken = BTreeSet::from(["192.168.1.254".parse().unwrap()]);
        assert_eq!(
            last_free(subnet, &[], &taken),
            Some("192.168.1.253".parse().unwrap())
        );
        let wide = "2001:db8::/64".parse().unwrap();
        assert_eq!(
            last_free(wide, &[], &BTreeSet::new()),
            Some("2001:db8::ffff:ffff:ffff:fffe".parse().unwrap())
        );
        let pair = "2001:db8::/127".parse().unwrap();
        assert_eq!(
            last_free(pair, &[], &BTreeSet::new()),
            Some("2001:db8::1".parse().unwrap())
        );
    }

    #[test]
    fn a_cover_is_exact() {
        let range = AddressRange {
            first: "10.0.0.5".parse().unwrap(),
            last: "10.0.0.8".parse().unwrap(),
        };
        let got: Vec<String> = cover(range).iter().map(ToString::to_string).collect();
        assert_eq!(got, ["10.0.0.5/32", "10.0.0.6/31", "10.0.0.8/32"]);
    }

    #[test]
    fn a_mac_is_read_and_a_derived_one_is_local_unicast() {
        let mac: Mac = "D0:EE:6A:1D:3C:62".parse().unwrap();
        assert_eq!(mac.to_string(), "d0:ee:6a:1d:3c:62");
        assert!("d0:ee:6a:1d:3c".parse::<Mac>().is_err());
        let derived = Mac::derived("shim/lab/lan");
        assert!(!derived.is_multicast() && derived.bytes()[0] & 2 == 2);
    }
}
