//! Tables of our own in nftables, through the kernel's socket (`NETLINK_NETFILTER`): one source address is translated
//! on its way out. Nobody else's table is read or changed. Building is pure; the numbers are those of
//! include/uapi/linux/netfilter/nf_tables.h.

use std::io;
use std::net::Ipv4Addr;

use netlink_sys::protocols::NETLINK_NETFILTER;
use nix::errno::Errno;

const NFTABLES: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NEW_TABLE: u16 = NFTABLES << 8;
const GET_TABLE: u16 = NFTABLES << 8 | 1;
const DELETE_TABLE: u16 = NFTABLES << 8 | 2;
const NEW_CHAIN: u16 = NFTABLES << 8 | 3;
const NEW_RULE: u16 = NFTABLES << 8 | 6;
const GET_RULE: u16 = NFTABLES << 8 | 7;
const DELETE_CHAIN: u16 = NFTABLES << 8 | 5;
const DELETE_RULE: u16 = NFTABLES << 8 | 8;

/// The multicast group that hears of every change (`NFNLGRP_NFTABLES`).
pub const CHANGES_GROUP: u32 = 7;

/// How the names of our tables on the host begin.
pub const OURS: &str = "stack-";

const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;

const IPV4: u8 = 2;
const NESTED: u16 = 0x8000;
const REGISTER: u32 = 1;

/// The mark of a table of ours: user data (`NFTA_TABLE_USERDATA`) in the form in which `nft` keeps a comment (type 0,
/// length, text). Kernels before 5.9 do not keep it.
const TABLE_USER_DATA: u16 = 6;
const MARK: &[u8] = b"\0\x0emade by stack\0";

/// A table of the kernel's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    /// Whether it carries our mark.
    pub ours: bool,
}

/// What is translated on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Masquerade {
    /// Packets from here; none is everything.
    pub source: Option<Ipv4Addr>,
    /// The link where they are not translated, by its index.
    pub except: Option<u32>,
}

/// The batch that makes a table with one chain and one rule, in place of whatever the table was.
pub fn masquerade(table: &str, what: Masquerade) -> Vec<u8> {
    let mut batch = Batch::begin();
    let marked = [text(1, table), attribute(TABLE_USER_DATA, MARK)];
    batch.add(NEW_TABLE, CREATE, &marked);
    batch.add(DELETE_TABLE, 0, &[text(1, table)]);
    batch.add(NEW_TABLE, CREATE, &marked);
    // After routing, with the priority of source translation (NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC).
    let hook = nested(4, &[number(1, 4), number(2, 100)]);
    let chain = [text(1, table), text(3, "postrouting"), hook, text(7, "nat")];
    batch.add(NEW_CHAIN, CREATE, &chain);
    let mut expressions = Vec::new();
    if let Some(source) = what.source {
        // Four bytes at offset 12 of the network header: the source address.
        expressions.push(expression(
            "payload",
            &[
                number(1, REGISTER),
                number(2, 1),
                number(3, 12),
                number(4, 4),
            ],
        ));
        expressions.push(compare(0, &source.octets()));
    }
    if let Some(link) = what.except {
        expressions.push(expression("meta", &[number(1, REGISTER), number(2, 5)]));
        expressions.push(compare(1, &link.to_ne_bytes()));
    }
    expressions.push(expression("masq", &[]));
    let rule = [
        text(1, table),
        text(2, "postrouting"),
        nested(4, &expressions),
    ];
    batch.add(NEW_RULE, CREATE | APPEND, &rule);
    batch.end()
}

/// The batch that removes a table.
pub fn remove(table: &str) -> Vec<u8> {
    let mut batch = Batch::begin();
    batch.add(DELETE_TABLE, 0, &[text(1, table)]);
    batch.end()
}

/// How many rules a table has, in the calling thread's namespace; 0 where it is not there.
pub fn rules(table: &str) -> io::Result<usize> {
    let mut socket = netlink_sys::Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.connect(&netlink_sys::SocketAddr::new(0, 0))?;
    let mut ask = Batch {
        bytes: Vec::new(),
        sequence: 0,
    };
    ask.message(GET_RULE, REQUEST | DUMP, IPV4, 0, &[text(1, table)]);
    socket.send(&ask.bytes, 0)?;
    let mut rules = 0;
    loop {
        let (answer, _) = socket.recv_from_full()?;
        for message in messages(&answer) {
            match message.kind {
                NEW_RULE if message.table().as_deref() == Some(table) => rules += 1,
                // NLMSG_DONE, and NLMSG_ERROR: the table is not there.
                3 | 2 => return Ok(rules),
                _ => {}
            }
        }
    }
}

/// The tables of which these messages tell that they, a chain or a rule of them, are gone.
pub fn removals(bytes: &[u8]) -> Vec<String> {
    messages(bytes)
        .filter(|message| matches!(message.kind, DELETE_TABLE | DELETE_CHAIN | DELETE_RULE))
        .filter_map(|message| message.table())
        .collect()
}

struct Message<'a> {
    kind: u16,
    /// Behind the header: four bytes of family, version and number, then attributes.
    body: &'a [u8],
}

impl Message<'_> {
    /// The name of the table that it is about: the first attribute of all kinds of messages.
    fn table(&self) -> Option<String> {
        let mut rest = self.body.get(4..)?;
        while let [a, b, c, d, ..] = *rest {
            let length = usize::from(u16::from_ne_bytes([a, b]));
            let value = rest.get(4..length)?;
            if u16::from_ne_bytes([c, d]) & 0x3fff == 1 {
                let name = value.strip_suffix(&[0]).unwrap_or(value);
                return String::from_utf8(name.to_vec()).ok();
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        None
    }
}

fn messages(mut rest: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let header = rest.get(..16)?;
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]);
        let length = usize::try_from(length).ok()?;
        let message = Message {
            kind: u16::from_ne_bytes([header[4], header[5]]),
            body: rest.get(16..length)?,
        };
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// Sends a batch in the calling thread's namespace. It is done as a whole or not at all.
pub fn send(batch: &[u8]) -> Result<(), Errno> {
    let number = |error: io::Error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
    let mut socket = netlink_sys::Socket::new(NETLINK_NETFILTER).map_err(number)?;
    socket.bind_auto().map_err(number)?;
    socket
        .connect(&netlink_sys::SocketAddr::new(0, 0))
        .map_err(number)?;
    socket.send(batch, 0).map_err(number)?;
    // The kernel has worked the batch off when `send` returns; its answers are all there.
    socket.set_non_blocking(true).map_err(number)?;
    loop {
        let answer = match socket.recv_from_full() {
            Ok((answer, _)) => answer,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(number(error)),
        };
        let mut rest = answer.as_slice();
        while let Some(header) = rest.get(..20) {
            let word = |at: usize| <[u8; 4]>::try_from(&header[at..at + 4]).unwrap_or_default();
            let length = usize::try_from(u32::from_ne_bytes(word(0))).unwrap_or(0);
            let kind = u16::from_ne_bytes([header[4], header[5]]);
            let code = i32::from_ne_bytes(word(16));
            // NLMSG_ERROR; zero is an acknowledgement.
            if kind == 2 && code != 0 {
                return Err(Errno::from_raw(-code));
            }
            if length < 16 {
                break;
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

/// The IPv4 tables in the calling thread's namespace.
pub fn tables() -> Result<Vec<Table>, Errno> {
    let number = |error: io::Error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
    let mut socket = netlink_sys::Socket::new(NETLINK_NETFILTER).map_err(number)?;
    socket.bind_auto().map_err(number)?;
    socket
        .connect(&netlink_sys::SocketAddr::new(0, 0))
        .map_err(number)?;
    let mut ask = Batch {
        bytes: Vec::new(),
        sequence: 0,
    };
    ask.message(GET_TABLE, REQUEST | DUMP, IPV4, 0, &[]);
    socket.send(&ask.bytes, 0).map_err(number)?;
    let mut names = Vec::new();
    loop {
        let (answer, _) = socket.recv_from_full().map_err(number)?;
        let mut rest = answer.as_slice();
        while let Some(header) = rest.get(..16) {
            let length = usize::try_from(u32::from_ne_bytes([
                header[0], header[1], header[2], header[3],
            ]))
            .unwrap_or(0);
            match u16::from_ne_bytes([header[4], header[5]]) {
                // NLMSG_DONE.
                3 => return Ok(names),
                // NLMSG_ERROR.
                2 => {
                    let code = rest.get(16..20).unwrap_or(&[0; 4]);
                    let code = i32::from_ne_bytes([code[0], code[1], code[2], code[3]]);
                    return Err(Errno::from_raw(-code));
                }
                NEW_TABLE => names.extend(rest.get(20..length).and_then(told_table)),
                _ => {}
            }
            if length < 16 {
                return Err(Errno::EBADMSG);
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

/// The table that these attributes tell of.
fn told_table(mut attributes: &[u8]) -> Option<Table> {
    let (mut name, mut ours) = (None, false);
    while let Some(header) = attributes.get(..4) {
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        if length < 4 {
            return None;
        }
        let value = attributes.get(4..length)?;
        match u16::from_ne_bytes([header[2], header[3]]) {
            1 => {
                let text = value.strip_suffix(&[0]).unwrap_or(value);
                name = Some(String::from_utf8(text.to_vec()).ok()?);
            }
            TABLE_USER_DATA => ours = value == MARK,
            _ => {}
        }
        attributes = attributes
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
    }
    Some(Table { name: name?, ours })
}

struct Batch {
    bytes: Vec<u8>,
    sequence: u32,
}

impl Batch {
    fn begin() -> Batch {
        let mut batch = Batch {
            bytes: Vec::new(),
            sequence: 0,
        };
        batch.message(BATCH_BEGIN, REQUEST, 0, NFTABLES, &[]);
        batch
    }

    fn add(&mut self, kind: u16, flags: u16, attributes: &[Vec<u8>]) {
        self.message(kind, REQUEST | ACK | flags, IPV4, 0, attributes);
    }

    fn end(mut self) -> Vec<u8> {
        self.message(BATCH_END, REQUEST, 0, NFTABLES, &[]);
        self.bytes
    }

    fn message(&mut self, kind: u16, flags: u16, family: u8, id: u16, attributes: &[Vec<u8>]) {
        let body: usize = attributes.iter().map(Vec::len).sum();
        let length = u32::try_from(20 + body).unwrap_or(u32::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        self.bytes.extend([0; 4]);
        self.bytes.extend([family, 0]);
        self.bytes.extend(id.to_be_bytes());
        self.bytes.extend(attributes.concat());
        self.sequence += 1;
    }
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = Vec::with_capacity(value.len() + 8);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn nested(kind: u16, inner: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | NESTED, &inner.concat())
}

fn text(kind: u16, value: &str) -> Vec<u8> {
    let mut bytes = value.as_bytes().to_vec();
    bytes.push(0);
    attribute(kind, &bytes)
}

fn number(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_be_bytes())
}

fn expression(name: &str, data: &[Vec<u8>]) -> Vec<u8> {
    nested(1, &[text(1, name), nested(2, data)])
}

/// Goes on with the rule if the register equals (0) or does not equal (1) a value.
fn compare(how: u32, value: &[u8]) -> Vec<u8> {
    expression(
        "cmp",
        &[
            number(1, REGISTER),
            number(2, how),
            nested(3, &[attribute(1, value)]),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::{MARK, Masquerade, masquerade, messages, removals, told_table};

    #[test]
    fn a_removal_names_its_table() {
        let what = Masquerade {
            source: None,
            except: None,
        };
        let batch = masquerade("stack-lab-office", what);
        assert_eq!(messages(&batch).count(), 7);
        let made = messages(&batch).nth(3).unwrap();
        let table = told_table(&made.body[4..]).unwrap();
        assert_eq!(
            (table.name.as_str(), table.ours),
            ("stack-lab-office", true)
        );
        assert_eq!(usize::from(MARK[1]), MARK.len() - 2);
        assert_eq!(removals(&batch), ["stack-lab-office"]);
        for cut in 0..batch.len() {
            removals(&batch[..cut]);
        }
    }
}
