//! A DNS server of one page: answers address questions (RFC 1035, type A) from a file of `NAME ADDRESS` lines, says
//! NXDOMAIN to every other name and nothing to what is no question. It forwards nothing.

use std::collections::HashMap;
use std::net::{Ipv4Addr, UdpSocket};

/// Where the questions begin, after the header.
const HEADER: usize = 12;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: dns FILE")?;
    let mut names: HashMap<String, Ipv4Addr> = HashMap::new();
    for line in std::fs::read_to_string(path)?.lines() {
        if let Some((name, address)) = line.split_once(' ') {
            names.insert(name.to_ascii_lowercase(), address.trim().parse()?);
        }
    }
    let socket = UdpSocket::bind("0.0.0.0:53")?;
    let mut packet = [0; 512];
    loop {
        let (length, asker) = socket.recv_from(&mut packet)?;
        if let Some(answer) = answer(&packet[..length], &names) {
            socket.send_to(&answer, asker)?;
        }
    }
}

/// The reply to a packet with one question; none where it is no such packet.
fn answer(packet: &[u8], names: &HashMap<String, Ipv4Addr>) -> Option<Vec<u8>> {
    let is_reply = packet.get(2)? & 0x80 != 0;
    let count = u16::from_be_bytes([*packet.get(4)?, *packet.get(5)?]);
    if is_reply || count != 1 {
        return None;
    }
    let (name, end) = name_at(packet, HEADER)?;
    let question = packet.get(HEADER..end + 4)?;
    let kind = u16::from_be_bytes([packet[end], packet[end + 1]]);
    let known = names.get(&name);
    let found = known.filter(|_| kind == 1);
    let mut reply = packet[..2].to_vec();
    // A response, authoritative, recursion desired as asked; NXDOMAIN (3) where the name is unknown.
    let code = if known.is_some() { 0 } else { 3 };
    reply.extend([0x84 | (packet[2] & 0x01), code]);
    reply.extend([0, 1, 0, u8::from(found.is_some()), 0, 0, 0, 0]);
    reply.extend(question);
    if let Some(address) = found {
        // The name of the question (a pointer to it), type A, class IN, 60 s, four bytes.
        reply.extend([0xc0, HEADER as u8, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        reply.extend(address.octets());
    }
    Some(reply)
}

/// The name at a place, in lower case with dots, and where it ends.
fn name_at(packet: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        let label = packet.get(at..at + length).filter(|_| length < 64)?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        at += length;
    }
}
