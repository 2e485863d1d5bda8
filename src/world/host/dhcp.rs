//! Which DHCP servers answer on a wire, and what they would give: a DISCOVER (RFC 2131) goes out from a link, every
//! OFFER that comes back is kept, and nothing is ever requested, so nothing is ever leased. The question carries a
//! client identifier of its own (RFC 6842), so that a lease that the host itself may have stays as it is; the MAC is the
//! link's, as switches drop others. Building and reading are pure.

use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::model::address::Mac;
use crate::model::name::LinkName;
use crate::plan::machine::{Offer, OfferOption};
use crate::world::host::Host;
use crate::world::host::error::broken;
use crate::world::host::packet::PacketSocket;
use crate::world::{ErrorKind, WorldError};

const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Option 53's values.
const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
/// Where the options begin in a message.
const OPTIONS: usize = 240;
const IDENTIFIER: &[u8] = b"stack doctor";

impl Host {
    /// Asks on a link which DHCP servers there are. Listens until `time` is over, and for a quarter of it after the
    /// first answer: there may be two servers, which is a fault of its own.
    pub async fn discover(
        &self,
        name: &LinkName,
        time: Duration,
    ) -> Result<Vec<Offer>, WorldError> {
        let act = || format!("cannot ask for DHCP servers on `{name}`");
        let links = self.links().await?;
        let link = links.iter().find(|link| link.name == name.as_str());
        let Some((index, mac)) = link.and_then(|link| Some((link.index, link.mac?))) else {
            return Err(WorldError::new(
                ErrorKind::Missing,
                act(),
                format!("there is no link `{name}` with a link-layer address"),
            ));
        };
        if link.is_some_and(|link| !link.up || !link.carrier) {
            return Err(WorldError::new(
                ErrorKind::Refused,
                act(),
                "it is down or has no carrier",
            ));
        }
        let on = name.clone();
        self.namespace
            .enter(move || {
                let socket = PacketSocket::open(index)?;
                ask(&socket, &on, mac, transaction(mac), time)
            })
            .await
            .map_err(|error| broken(act(), &error))
    }
}

/// A number that tells our answers from others'.
fn transaction(mac: Mac) -> [u8; 4] {
    let digits = crate::model::hash::short_hex(
        format!("{mac} {} {:?}", std::process::id(), Instant::now()).as_bytes(),
        8,
    );
    u32::from_str_radix(&digits, 16)
        .unwrap_or(0x7374_6163)
        .to_be_bytes()
}

fn ask(
    socket: &PacketSocket,
    link: &LinkName,
    mac: Mac,
    transaction: [u8; 4],
    time: Duration,
) -> io::Result<Vec<Offer>> {
    let start = Instant::now();
    let mut end = start + time;
    let mut offers: Vec<Offer> = Vec::new();
    // One may get lost, and a bridge's port may just begin to forward.
    let mut sendings = [Duration::ZERO, time / 3].into_iter().peekable();
    loop {
        let now = Instant::now();
        if now >= end {
            return Ok(offers);
        }
        if let Some(at) = sendings.peek()
            && now >= start + *at
        {
            if offers.is_empty() {
                socket.send(&discover(mac, transaction))?;
            }
            sendings.next();
        }
        let until = sendings.peek().map_or(end, |at| (start + *at).min(end));
        let Some(frame) = socket.receive(until.saturating_duration_since(now))? else {
            continue;
        };
        let Some(offer) = offer(&frame, transaction, link) else {
            continue;
        };
        if offers.is_empty() {
            end = end.min(Instant::now() + time / 4);
        }
        if !offers.iter().any(|other| other.server == offer.server) {
            offers.push(offer);
        }
    }
}

/// The frame of a DISCOVER. Its answer is asked for by broadcast, as the host takes no unicast for an address that it
/// does not have.
pub fn discover(mac: Mac, transaction: [u8; 4]) -> Vec<u8> {
    // Request, Ethernet, six bytes, no hops.
    let mut message = vec![1, 1, 6, 0];
    message.extend(transaction);
    // Seconds, flags (broadcast), four addresses.
    message.extend([0, 0, 0x80, 0]);
    message.extend([0; 16]);
    message.extend(mac.bytes());
    message.resize(236, 0);
    message.extend(COOKIE);
    message.extend([53, 1, DISCOVER]);
    let length = u8::try_from(IDENTIFIER.len() + 1).unwrap_or(u8::MAX);
    message.extend([61, length, 0]);
    message.extend(IDENTIFIER);
    // What we would like to know.
    let wishes = [1, 3, 6, 12, 15, 26, 28, 42, 51, 54, 58, 59, 119, 121];
    message.extend([55, u8::try_from(wishes.len()).unwrap_or(u8::MAX)]);
    message.extend(wishes);
    message.push(255);
    // Some servers drop what is shorter than BOOTP's 300 bytes.
    message.resize(message.len().max(300), 0);
    frame(mac, &message)
}

/// A broadcast UDP frame from port 68 to 67.
fn frame(mac: Mac, message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + message.len()).unwrap_or(u16::MAX);
    let mut header = vec![0x45, 0];
    header.extend((20 + length).to_be_bytes());
    // Identification, fragments, hop limit, UDP, checksum to come.
    header.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    header.extend(Ipv4Addr::UNSPECIFIED.octets());
    header.extend(Ipv4Addr::BROADCAST.octets());
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut frame = vec![0xff; 6];
    frame.extend(mac.bytes());
    frame.extend([0x08, 0x00]);
    frame.extend(header);
    frame.extend([0, 68, 0, 67]);
    frame.extend(length.to_be_bytes());
    // A UDP checksum of zero says that there is none (RFC 768).
    frame.extend([0, 0]);
    frame.extend(message);
    frame
}

fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)])))
        .sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !u16::try_from(sum).unwrap_or(0)
}

/// The offer that a frame is, if it answers this transaction.
fn offer(frame: &[u8], transaction: [u8; 4], link: &LinkName) -> Option<Offer> {
    let from = <[u8; 6]>::try_from(frame.get(6..12)?).ok()?;
    // IPv4, UDP, from a server's port to a client's.
    if frame.get(12..14)? != [0x08, 0x00] || *frame.get(23)? != 17 {
        return None;
    }
    let header = usize::from(frame.get(14)? & 0xf) * 4;
    let datagram = frame.get(14 + header..)?;
    if datagram.get(..4)? != [0, 67, 0, 68] {
        return None;
    }
    let message = datagram.get(8..)?;
    if *message.first()? != 2
        || message.get(4..8)? != transaction
        || message.get(236..OPTIONS)? != COOKIE
    {
        return None;
    }
    let address = |bytes: &[u8]| {
        <[u8; 4]>::try_from(bytes.get(..4)?)
            .ok()
            .map(Ipv4Addr::from)
    };
    let options = options(message.get(OPTIONS..)?);
    let value = |wanted: u8| {
        options
            .iter()
            .find(|(number, _)| *number == wanted)
            .map(|(_, value)| *value)
    };
    if value(53)? != [OFFER] {
        return None;
    }
    let source = address(frame.get(26..30)?)?;
    Some(Offer {
        link: link.to_string(),
        server: value(54).and_then(address).unwrap_or(source),
        server_mac: Mac::new(from),
        address: address(message.get(16..20)?)?,
        prefix: value(1)
            .and_then(address)
            .map(|mask| u8::try_from(mask.to_bits().leading_ones()).unwrap_or(0)),
        routers: value(3)
            .map(|list| list.chunks_exact(4).filter_map(address).collect())
            .unwrap_or_default(),
        lease: value(51).and_then(|value| Some(u32::from_be_bytes(value.try_into().ok()?))),
        options: options
            .iter()
            .filter(|(number, _)| *number != 53)
            .map(|(number, value)| OfferOption {
                number: *number,
                name: name(*number).to_owned(),
                value: words(*number, value),
            })
            .collect(),
    })
}

/// Number and value of each option, up to the end or to what does not fit.
fn options(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut found = Vec::new();
    loop {
        match *bytes {
            [0, ref rest @ ..] => bytes = rest,
            [255, ..] | [] | [_] => return found,
            [number, length, ref rest @ ..] => {
                let Some(value) = rest.get(..usize::from(length)) else {
                    return found;
                };
                found.push((number, value));
                bytes = rest.get(usize::from(length)..).unwrap_or_default();
            }
        }
    }
}

/// The names of RFC 2132 and its followers.
fn name(number: u8) -> &'static str {
    match number {
        1 => "netmask",
        3 => "routers",
        6 => "name servers",
        12 => "host name",
        15 => "domain",
        26 => "mtu",
        28 => "broadcast",
        42 => "ntp servers",
        51 => "lease seconds",
        54 => "server",
        58 => "renewal seconds",
        59 => "rebinding seconds",
        66 => "boot server",
        67 => "boot file",
        119 => "search domains",
        121 => "static routes",
        252 => "proxy",
        _ => "",
    }
}

fn words(number: u8, value: &[u8]) -> String {
    let addresses = || {
        let all = value.chunks_exact(4).map(|four| {
            let four: [u8; 4] = four.try_into().unwrap_or_default();
            Ipv4Addr::from(four).to_string()
        });
        all.collect::<Vec<String>>().join(" ")
    };
    let hex = || value.iter().map(|byte| format!("{byte:02x}")).collect();
    match (number, value.len()) {
        (1 | 3 | 6 | 28 | 42 | 54, length) if length > 0 && length % 4 == 0 => addresses(),
        (51 | 58 | 59, 4) => u32::from_be_bytes(value.try_into().unwrap_or_default()).to_string(),
        (26, 2) => u16::from_be_bytes(value.try_into().unwrap_or_default()).to_string(),
        (12 | 15 | 66 | 67 | 252, _) => {
            // Text of a stranger: what is not plain is not shown as it is.
            let text = String::from_utf8_lossy(value);
            text.trim_end_matches('\0').escape_default().to_string()
        }
        _ => hex(),
    }
}

#[cfg(test)]
mod tests {
    use super::{OPTIONS, checksum, discover, offer, options};
    use crate::model::address::Mac;

    const NUMBER: [u8; 4] = [1, 2, 3, 4];

    fn answer() -> Vec<u8> {
        let mac: Mac = "02:00:00:00:00:01".parse().unwrap();
        let mut frame = discover(mac, NUMBER);
        // The same message from the other side.
        frame[34..38].copy_from_slice(&[0, 67, 0, 68]);
        frame[26..30].copy_from_slice(&[192, 168, 1, 1]);
        let message = 42;
        frame[message] = 2;
        frame[message + 16..message + 20].copy_from_slice(&[192, 168, 1, 130]);
        frame.truncate(message + OPTIONS);
        frame.extend([53, 1, 2, 54, 4, 192, 168, 1, 1, 1, 4, 255, 255, 255, 0]);
        frame.extend([3, 4, 192, 168, 1, 254, 51, 4, 0, 0, 14, 16]);
        frame.extend([15, 5, b'h', b'o', b'm', b'e', 7, 26, 2, 5, 220, 255]);
        frame
    }

    #[test]
    fn only_a_discover_is_ever_sent() {
        let mac: Mac = "02:00:00:00:00:01".parse().unwrap();
        let frame = discover(mac, NUMBER);
        assert_eq!(checksum(&frame[14..34]), 0);
        let sent = options(&frame[42 + OPTIONS..]);
        assert_eq!(sent[0], (53, [1].as_slice()));
        assert_eq!(sent.iter().filter(|(number, _)| *number == 53).count(), 1);
        // No address is asked for by name (50), and no server is chosen (54).
        assert!(!sent.iter().any(|(number, _)| matches!(number, 50 | 54)));
        assert_eq!(frame[42 + 10], 0x80);
    }

    #[test]
    fn an_offer_is_read_with_its_options_and_a_broken_one_is_none() {
        let link = "eth0".parse().unwrap();
        let frame = answer();
        let read = offer(&frame, NUMBER, &link).unwrap();
        assert_eq!(read.server.to_string(), "192.168.1.1");
        assert_eq!(read.address.to_string(), "192.168.1.130");
        assert_eq!((read.prefix, read.lease), (Some(24), Some(3600)));
        assert_eq!(read.routers[0].to_string(), "192.168.1.254");
        let said: Vec<String> = read
            .options
            .iter()
            .map(|option| format!("{}={}", option.name, option.value))
            .collect();
        assert_eq!(
            said.join(", "),
            "server=192.168.1.1, netmask=255.255.255.0, routers=192.168.1.254, lease seconds=3600, domain=home\\u{7}, mtu=1500"
        );
        assert_eq!(offer(&frame, [9; 4], &link), None);
        for length in 0..frame.len() {
            offer(&frame[..length], NUMBER, &link);
        }
    }
}
