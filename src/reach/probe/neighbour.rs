//! The neighbour table of the namespace that the thread is in: for whom it asks in vain.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// The addresses that the kernel asks for (ARP) and nobody answers for. IPv6 has no such file; there the answer of the
/// kernel is waited for.
pub fn asked_in_vain() -> io::Result<BTreeSet<IpAddr>> {
    Ok(parse(&std::fs::read_to_string(
        "/proc/thread-self/net/arp",
    )?))
}

/// Whether this namespace asks for the next hop to an address in vain.
pub fn is_asked_in_vain(address: IpAddr) -> bool {
    let IpAddr::V4(address) = address else {
        return false;
    };
    let Ok(table) = asked_in_vain() else {
        return false;
    };
    let routes = std::fs::read_to_string("/proc/thread-self/net/route").unwrap_or_default();
    let next = next_hop(&routes, address).unwrap_or(address);
    table.contains(&IpAddr::V4(next))
}

// `IP address HW type Flags HW address Mask Device`; flags without ATF_COM (2) are incomplete or failed.
fn parse(text: &str) -> BTreeSet<IpAddr> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let address: IpAddr = fields.next()?.parse().ok()?;
            let flags = fields.nth(1)?.strip_prefix("0x")?;
            let flags = u32::from_str_radix(flags, 16).ok()?;
            (flags & 2 == 0).then_some(address)
        })
        .collect()
}

// `Iface Destination Gateway Flags RefCnt Use Metric Mask …`, numbers in the host's byte order.
fn next_hop(routes: &str, to: Ipv4Addr) -> Option<Ipv4Addr> {
    let number = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::to_ne_bytes);
    let mut best: Option<(u32, Ipv4Addr)> = None;
    for line in routes.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, destination, gateway, _, _, _, _, mask, ..] = fields[..] else {
            continue;
        };
        let (Some(destination), Some(gateway), Some(mask)) =
            (number(destination), number(gateway), number(mask))
        else {
            continue;
        };
        let mask = u32::from_be_bytes(mask);
        let inside = u32::from(to) & mask == u32::from_be_bytes(destination);
        if inside && best.is_none_or(|(known, _)| known <= mask) {
            best = Some((mask, Ipv4Addr::from(gateway)));
        }
    }
    let (_, gateway) = best?;
    Some(if gateway.is_unspecified() {
        to
    } else {
        gateway
    })
}

#[cfg(test)]
mod tests {
    use super::{next_hop, parse};

    #[test]
    fn incomplete_entries_are_found_and_complete_ones_not() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     10.0.0.9         0x1         0x2         02:42:0a:00:00:09     *        eth0\n\
                     10.0.0.7         0x1         0x0         00:00:00:00:00:00     *        eth0\n";
        let found: Vec<String> = parse(table).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.7"]);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn the_next_hop_is_the_gateway_or_the_address_itself() {
        let routes = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                      eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                      eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        let near = "10.0.0.9".parse().unwrap();
        assert_eq!(next_hop(routes, near), Some(near));
        let far = "192.168.1.1".parse().unwrap();
        assert_eq!(next_hop(routes, far), Some("10.0.0.1".parse().unwrap()));
    }
}
