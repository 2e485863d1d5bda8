//! ICMP echo (RFC 792, RFC 4443) from the namespace that the thread is in, by a raw socket. It is handled as a UDP
//! socket: send and receive are the same system calls.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, connect, setsockopt,
    socket, sockopt,
};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::reach::compare::{Seen, SeenOutcome};
use crate::reach::probe::{failed, seen};
use crate::reach::verdict::Failure;

/// Asks once, and again each 800 ms.
pub async fn echo(address: IpAddr, source: Option<IpAddr>, whole: Duration) -> Seen {
    match timeout(whole, answered(address, source)).await {
        Err(_) => seen(SeenOutcome::Fail(Failure::Timeout), "no answer".to_owned()),
        Ok(Err(error)) => failed(&error),
        Ok(Ok(())) => seen(SeenOutcome::Ok, "answered".to_owned()),
    }
}

async fn answered(address: IpAddr, source: Option<IpAddr>) -> io::Result<()> {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let mark = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let socket = raw(address, source)?;
    let mut answer = [0u8; 1500];
    loop {
        socket.send(&request(address.is_ipv4(), mark)).await?;
        let until = tokio::time::Instant::now() + Duration::from_millis(800);
        while let Ok(length) = tokio::time::timeout_at(until, socket.recv(&mut answer)).await {
            if is_reply(&answer[..length?], address.is_ipv4(), mark) {
                return Ok(());
            }
        }
    }
}

fn raw(address: IpAddr, source: Option<IpAddr>) -> io::Result<UdpSocket> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let (family, protocol) = match address {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    let raw = socket(family, SockType::Raw, flags, protocol)?;
    match address {
        IpAddr::V4(_) => setsockopt(&raw, sockopt::Ipv4RecvErr, &true)?,
        IpAddr::V6(_) => setsockopt(&raw, sockopt::Ipv6RecvErr, &true)?,
    }
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&raw);
    if let Some(source) = source {
        bind(
            descriptor,
            &SockaddrStorage::from(SocketAddr::new(source, 0)),
        )?;
    }
    connect(
        descriptor,
        &SockaddrStorage::from(SocketAddr::new(address, 0)),
    )?;
    UdpSocket::from_std(std::net::UdpSocket::from(raw))
}

/// Type, code, checksum, identifier, sequence number. The kernel fills in the checksum for IPv6 only.
fn request(v4: bool, mark: [u8; 2]) -> [u8; 16] {
    let mut packet = [0u8; 16];
    packet[0] = if v4 { 8 } else { 128 };
    packet[4..6].copy_from_slice(&mark);
    packet[6..8].copy_from_slice(&[0, 1]);
    packet[8..16].copy_from_slice(b"stack ?\n");
    if v4 {
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

fn is_reply(packet: &[u8], v4: bool, mark: [u8; 2]) -> bool {
    // A raw IPv4 socket gives the IP header too, whose length is in its first byte.
    let skip = if v4 {
        packet
            .first()
            .map_or(0, |first| usize::from(first & 0x0f) * 4)
    } else {
        0
    };
    let Some(message) = packet.get(skip..) else {
        return false;
    };
    let kind = if v4 { 0 } else { 129 };
    message.first() == Some(&kind) && message.get(4..6) == Some(&mark)
}

// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{checksum, is_reply, request};

    #[test]
    fn a_request_sums_to_zero_and_its_reply_is_known() {
        let packet = request(true, [7, 9]);
        assert_eq!(checksum(&packet), 0);
        let mut reply = vec![0x45; 20];
        reply.extend_from_slice(&[0, 0, 0, 0, 7, 9, 0, 1]);
        assert!(is_reply(&reply, true, [7, 9]));
        assert!(!is_reply(&reply, true, [7, 8]));
        assert!(!is_reply(&[], true, [7, 9]));
    }
}
