//! What listens in a namespace, read from its socket tables (proc(5), `/proc/net/tcp` and the like), and at which
//! addresses it could.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::port::Protocol;
use crate::reach::facts::Listening;
use crate::world::netns::Namespace;

// `TCP_LISTEN` and `TCP_CLOSE` of include/net/tcp_states.h; a UDP socket without a peer is in the latter.
const TCP_LISTEN: &str = "0A";
const UDP_OPEN: &str = "07";

/// The sockets of a namespace that take connections or datagrams.
pub async fn listening(namespace: &Namespace) -> io::Result<Vec<Listening>> {
    namespace
        .enter(|| {
            let mut found = Vec::new();
            for (name, protocol, state) in [
                ("tcp", Protocol::Tcp, TCP_LISTEN),
                ("tcp6", Protocol::Tcp, TCP_LISTEN),
                ("udp", Protocol::Udp, UDP_OPEN),
                ("udp6", Protocol::Udp, UDP_OPEN),
            ] {
                match std::fs::read_to_string(format!("/proc/thread-self/net/{name}")) {
                    Ok(text) => found.extend(parse(&text, protocol, state)),
                    // A kernel without IPv6 has no tables for it.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            found.sort();
            found.dedup();
            Ok(found)
        })
        .await
}

/// The addresses of a namespace's links.
pub async fn addresses(namespace: &Namespace) -> io::Result<Vec<IpAddr>> {
    namespace
        .enter(|| {
            let links = nix::ifaddrs::getifaddrs()?;
            let addresses = links.filter_map(|link| {
                let address = link.address?;
                let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
                v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
            });
            Ok(addresses.collect())
        })
        .await
}

// `sl local_address rem_address st …`; an address is hexadecimal, in words of the host's byte order.
fn parse(text: &str, protocol: Protocol, wanted: &str) -> Vec<Listening> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (address, port) = fields.nth(1)?.split_once(':')?;
            let state = fields.nth(1)?;
            if state != wanted {
                return None;
            }
            Some(Listening {
                protocol,
                address: parse_address(address)?,
                port: u16::from_str_radix(port, 16).ok()?,
            })
        })
        .collect()
}

fn parse_address(text: &str) -> Option<IpAddr> {
    let word = |part: &str| u32::from_str_radix(part, 16).ok().map(u32::to_ne_bytes);
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(text)?))),
        32 => {
            let mut bytes = [0u8; 16];
            for (index, chunk) in bytes.chunks_mut(4).enumerate() {
                chunk.copy_from_slice(&word(text.get(index * 8..index * 8 + 8)?)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::{TCP_LISTEN, parse};
    use crate::model::port::Protocol;

    #[test]
    fn a_listener_is_read_and_a_connection_is_not() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n\
                     0: 00000000:0050 00000000:0000 0A 00000000:00000000\n\
                     1: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n\
                     2: 0200000A:0050 0300000A:9C40 01 00000000:00000000\n";
        let found: Vec<String> = parse(table, Protocol::Tcp, TCP_LISTEN)
            .iter()
            .map(|socket| format!("{}:{}", socket.address, socket.port))
            .collect();
        assert_eq!(found, ["0.0.0.0:80", "127.0.0.1:8080"]);
    }
}
