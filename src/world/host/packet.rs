//! Frames that we send and read ourselves, below the kernel's own protocols: ARP (RFC 826, RFC 5227) and IPv6
//! neighbour discovery (RFC 4861). Building and reading are pure; a packet socket belongs to the namespace in which it
//! was made.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::model::address::Mac;

const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
const BROADCAST: Mac = Mac::new([0xff; 6]);
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// What a neighbour said about an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimed {
    pub address: IpAddr,
    pub mac: Mac,
}

/// Tells everybody on the wire that this address is at this MAC: an ARP announcement (RFC 5227, 2.3) or an
/// unsolicited neighbour advertisement (RFC 4861, 7.2.6).
pub fn announcement(mac: Mac, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => arp_request(mac, v4, v4),
        IpAddr::V6(v6) => {
            let everybody = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
            // Override flag; target link-layer address option.
            let body = discovery(NEIGHBOUR_ADVERTISEMENT, 0x2000_0000, v6, Some((2, mac)));
            ipv6(mac, v6, everybody, &body)
        }
    }
}

/// Asks whether anybody has this address, without claiming it: an ARP probe (RFC 5227, 2.1.1: sender address zero) or
/// the neighbour solicitation of duplicate address detection (RFC 4862, 5.4.2: source address unspecified).
pub fn probe(mac: Mac, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => arp_request(mac, Ipv4Addr::UNSPECIFIED, v4),
        IpAddr::V6(v6) => {
            let [.., a, b, c] = v6.octets();
            let mut group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0).octets();
            group[13..].copy_from_slice(&[a, b, c]);
            let body = discovery(NEIGHBOUR_SOLICITATION, 0, v6, None);
            ipv6(mac, Ipv6Addr::UNSPECIFIED, group.into(), &body)
        }
    }
}

/// What a frame says about who has an address, if it says anything: an ARP packet with a sender address, or a
/// neighbour advertisement.
pub fn claimed(frame: &[u8]) -> Option<Claimed> {
    let mac = |bytes: &[u8]| <[u8; 6]>::try_from(bytes).ok().map(Mac::new);
    let sender = mac(frame.get(6..12)?)?;
    let kind = u16::from_be_bytes([*frame.get(12)?, *frame.get(13)?]);
    let body = frame.get(14..)?;
    match kind {
        ARP => {
            // Ethernet, IPv4, their lengths; request or reply.
            if body.get(..6)? != [0, 1, 8, 0, 6, 4] || !matches!(body.get(6..8)?, [0, 1 | 2]) {
                return None;
            }
            let address = Ipv4Addr::from(<[u8; 4]>::try_from(body.get(14..18)?).ok()?);
            let mac = mac(body.get(8..14)?)?;
            (!address.is_unspecified()).then_some(Claimed {
                address: address.into(),
                mac,
            })
        }
        IPV6 => {
            // Next header ICMPv6, hop limit 255 (RFC 4861, 7.1.2), type.
            if body.get(6..8)? != [58, 255] || *body.get(40)? != NEIGHBOUR_ADVERTISEMENT {
                return None;
            }
            let address = Ipv6Addr::from(<[u8; 16]>::try_from(body.get(48..64)?).ok()?);
            let option = body.get(64..72).filter(|option| option[..2] == [2, 1]);
            let mac = option
                .and_then(|option| mac(&option[2..]))
                .unwrap_or(sender);
            Some(Claimed {
                address: address.into(),
                mac,
            })
        }
        _ => None,
    }
}

fn arp_request(mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut frame = ethernet(BROADCAST, mac, ARP);
    frame.extend([0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(mac.bytes());
    frame.extend(sender.octets());
    frame.extend([0; 6]);
    frame.extend(target.octets());
    frame
}

fn ethernet(to: Mac, from: Mac, kind: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(96);
    frame.extend(to.bytes());
    frame.extend(from.bytes());
    frame.extend(kind.to_be_bytes());
    frame
}

/// A neighbour discovery message with its checksum field zero.
fn discovery(kind: u8, flags: u32, target: Ipv6Addr, option: Option<(u8, Mac)>) -> Vec<u8> {
    let mut body = vec![kind, 0, 0, 0];
    body.extend(flags.to_be_bytes());
    body.extend(target.octets());
    if let Some((kind, mac)) = option {
        body.extend([kind, 1]);
        body.extend(mac.bytes());
    }
    body
}

/// An IPv6 frame to a multicast group (RFC 2464, 7: 33:33 and its last four bytes) with an ICMPv6 body.
fn ipv6(mac: Mac, from: Ipv6Addr, to: Ipv6Addr, body: &[u8]) -> Vec<u8> {
    let [.., a, b, c, d] = to.octets();
    let mut frame = ethernet(Mac::new([0x33, 0x33, a, b, c, d]), mac, IPV6);
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
    frame.extend([0x60, 0, 0, 0]);
    frame.extend(length.to_be_bytes());
    frame.extend([58, 255]);
    frame.extend(from.octets());
    frame.extend(to.octets());
    let mut sum = u32::from(length) + 58;
    for chunk in from
        .octets()
        .chunks(2)
        .chain(to.octets().chunks(2))
        .chain(body.chunks(2))
    {
        let low = chunk.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([chunk[0], low]));
    }
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    let sum = !u16::try_from(sum).unwrap_or(0);
    frame.extend(&body[..2]);
    frame.extend(sum.to_be_bytes());
    frame.extend(&body[4..]);
    frame
}

/// A socket for whole frames on one link.
#[derive(Debug)]
pub struct PacketSocket {
    socket: OwnedFd,
}

impl PacketSocket {
    /// A socket on the link of this index in the calling thread's namespace; it hears what arrives there, and what the
    /// link's own host sends.
    pub fn open(index: u32) -> io::Result<PacketSocket> {
        let all = i32::from((libc::ETH_P_ALL as u16).to_be());
        // SAFETY: plain system call; the descriptor is owned from here on.
        let raw = unsafe {
            libc::socket(
                libc::AF_PACKET,
                libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
                all,
            )
        };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given it to us and to nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(raw) };
        // SAFETY: all-zero bytes are a valid `sockaddr_ll`.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = i32::try_from(index).unwrap_or(0);
        let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: the pointer is to a live `sockaddr_ll` of that length.
        let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
        if bound < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(PacketSocket { socket })
    }

    /// Hears frames to all multicast groups, as long as the socket lives: answers to duplicate address detection go to
    /// a group that a link without IPv6 of its own has not joined.
    pub fn hear_all_groups(&self, index: u32) -> io::Result<()> {
        // SAFETY: all-zero bytes are a valid `packet_mreq`.
        let mut request: libc::packet_mreq = unsafe { std::mem::zeroed() };
        request.mr_ifindex = i32::try_from(index).unwrap_or(0);
        request.mr_type = libc::PACKET_MR_ALLMULTI as u16;
        // SAFETY: the pointer is to a live `packet_mreq` of that length.
        let set = unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_ADD_MEMBERSHIP,
                (&raw const request).cast(),
                size_of::<libc::packet_mreq>() as libc::socklen_t,
            )
        };
        if set < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Sends one frame.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        nix::unistd::write(&self.socket, frame)?;
        Ok(())
    }

    /// The next frame, where one comes before the time is up.
    pub fn receive(&self, wait: std::time::Duration) -> io::Result<Option<Vec<u8>>> {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        use std::os::fd::AsFd;
        let mut polled = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        let wait = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        match poll(&mut polled, wait) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => return Ok(None),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut buffer = [0; 2048];
        match nix::unistd::read(&self.socket, &mut buffer) {
            Ok(length) => Ok(Some(buffer[..length].to_vec())),
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Claimed, announcement, claimed, probe};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn frames_are_as_the_standards_have_them() {
        let mac = "02:42:0a:32:00:46".parse().unwrap();
        let v4 = "10.50.0.70".parse().unwrap();
        let v6 = "fd00::46".parse().unwrap();
        assert_eq!(
            hex(&probe(mac, v4)),
            "ffffffffffff02420a3200460806000108000604000102420a320046000000000000000000000a320046"
        );
        assert_eq!(
            hex(&announcement(mac, v4)),
            "ffffffffffff02420a3200460806000108000604000102420a3200460a3200460000000000000a320046"
        );
        assert!(hex(&probe(mac, v6)).starts_with("3333ff000046"));
        assert_eq!(claimed(&probe(mac, v4)), None);
        assert_eq!(claimed(&probe(mac, v6)), None);
        for address in [v4, v6] {
            assert_eq!(
                claimed(&announcement(mac, address)),
                Some(Claimed { address, mac })
            );
        }
    }

    #[test]
    fn no_frame_makes_the_reader_fall() {
        let mac = "02:42:0a:32:00:46".parse().unwrap();
        for address in ["10.50.0.70", "fd00::46"] {
            let frame = announcement(mac, address.parse().unwrap());
            for length in 0..frame.len() {
                claimed(&frame[..length]);
            }
        }
    }
}
