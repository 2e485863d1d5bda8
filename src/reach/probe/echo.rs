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
    let mark = next_mark();
    let socket = raw(address, source)?;
    let mut answer = [0u8; 1500];
    loop {
        socket.send(&request(address.is_ipv4(), mark, 16)).await?;
        let until = tokio::time::Instant::now() + Duration::from_millis(800);
        while let Ok(length) = tokio::time::timeout_at(until, socket.recv(&mut answer)).await {
            if is_reply(&answer[..length?], address.is_ipv4(), mark) {
                return Ok(());
            }
        }
    }
}

/// Sizes of packets that something on the way is known to end at: Ethernet, PPPoE, tunnels, VXLAN, the least of IPv6.
const WIDTHS: [u32; 8] = [9000, 1500, 1492, 1480, 1450, 1420, 1400, 1280];

/// The largest packet of at most the link's size that is answered undivided; none where nothing is. Blocks: it is for
/// the thread that is inside.
pub fn largest(address: IpAddr, link: u32) -> io::Result<Option<u32>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let mut widths: Vec<u32> = WIDTHS.into_iter().filter(|width| *width < link).collect();
        widths.push(link.min(65_000));
        let tasks: Vec<_> = widths
            .into_iter()
            .map(|width| {
                tokio::task::spawn_local(async move {
                    let whole = Duration::from_millis(600);
                    let answered = timeout(whole, undivided(address, width)).await;
                    matches!(answered, Ok(Ok(()))).then_some(width)
                })
            })
            .collect();
        let mut largest = None;
        for task in tasks {
            largest = largest.max(task.await.ok().flatten());
        }
        Ok(largest)
    })
}

async fn undivided(address: IpAddr, width: u32) -> io::Result<()> {
    let mark = next_mark();
    let socket = raw(address, None)?;
    never_divide(&socket, address)?;
    let header = if address.is_ipv4() { 20 } else { 40 };
    let length = usize::try_from(width).unwrap_or(0).saturating_sub(header);
    socket
        .send(&request(address.is_ipv4(), mark, length))
        .await?;
    let mut answer = vec![0u8; 66_000];
    loop {
        let length = socket.recv(&mut answer).await?;
        if is_reply(&answer[..length], address.is_ipv4(), mark) {
            return Ok(());
        }
    }
}

/// `IP_PMTUDISC_PROBE` (ip(7)): the packet must not be divided, and what the kernel knows of the path is not asked.
fn never_divide(socket: &UdpSocket, address: IpAddr) -> io::Result<()> {
    let (level, option, value) = match address {
        IpAddr::V4(_) => (
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_PROBE,
        ),
        IpAddr::V6(_) => (
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_PROBE,
        ),
    };
    let size = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(4);
    // SAFETY: the pointer is to a live integer of the size that is told.
    let done = unsafe {
        libc::setsockopt(
            std::os::fd::AsRawFd::as_raw_fd(socket),
            level,
            option,
            (&raw const value).cast(),
            size,
        )
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn next_mark() -> [u8; 2] {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes()
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
fn request(v4: bool, mark: [u8; 2], length: usize) -> Vec<u8> {
    let mut packet = vec![0u8; length.max(16)];
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
        let packet = request(true, [7, 9], 16);
        assert_eq!(checksum(&packet), 0);
        let mut reply = vec![0x45; 20];
        reply.extend_from_slice(&[0, 0, 0, 0, 7, 9, 0, 1]);
        assert!(is_reply(&reply, true, [7, 9]));
        assert!(!is_reply(&reply, true, [7, 8]));
        assert!(!is_reply(&[], true, [7, 9]));
    }
}
