//! Netlink messages of families that no crate of ours speaks, read by hand: answers to a request, and the attributes
//! in them. What does not fit its own length is left out, never guessed.

use std::io;

use netlink_sys::Socket;

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The message's type.
    pub kind: u16,
    /// The family's own header of four bytes.
    pub header: [u8; 4],
    pub body: Vec<u8>,
}

/// All answers to one request, up to its end or its error.
pub fn answers(socket: &mut Socket) -> io::Result<Vec<Answer>> {
    let mut found = Vec::new();
    loop {
        let (packet, _) = socket.recv_from_full()?;
        let mut rest = packet.as_slice();
        while let [a, b, c, d, e, g, ..] = *rest {
            let length = usize::try_from(u32::from_ne_bytes([a, b, c, d])).unwrap_or(0);
            let Some(one) = rest.get(..length).filter(|one| one.len() >= 16) else {
                break;
            };
            match u16::from_ne_bytes([e, g]) {
                // NLMSG_ERROR: an acknowledgement is an error of zero.
                2 => {
                    let code = one.get(16..20).and_then(|code| code.try_into().ok());
                    return match code.map(i32::from_ne_bytes) {
                        Some(0) | None => Ok(found),
                        Some(code) => Err(io::Error::from_raw_os_error(-code)),
                    };
                }
                // NLMSG_DONE.
                3 => return Ok(found),
                kind => {
                    let header = one.get(16..20).and_then(|header| header.try_into().ok());
                    found.push(Answer {
                        kind,
                        header: header.unwrap_or_default(),
                        body: one.get(20..).unwrap_or_default().to_vec(),
                    });
                }
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

/// The attributes: kind without its flag bits, and value.
pub fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let [a, b, c, d, ..] = *bytes {
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let Some(value) = bytes.get(4..length) else {
            break;
        };
        found.push((u16::from_ne_bytes([c, d]) & 0x3fff, value));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// The value of the first attribute of this kind.
pub fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes)
        .into_iter()
        .find(|(kind, _)| *kind == wanted)
        .map(|(_, value)| value)
}

/// A text that ends with a zero.
pub fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default())
        .into_owned()
}

/// A number in network order, as nf_tables writes them.
pub fn big(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?))
}

/// The same four bytes with a sign.
pub fn signed(number: u32) -> i32 {
    i32::from_ne_bytes(number.to_ne_bytes())
}

#[cfg(test)]
mod tests {
    use super::{attribute, attributes, big, text};

    #[test]
    fn attributes_are_read_and_broken_ones_left_out() {
        let mut bytes = vec![8, 0, 1, 0x80, 0, 0, 0, 7];
        bytes.extend([7, 0, 2, 0, b'h', b'i', 0, 0]);
        assert_eq!(attribute(&bytes, 1).and_then(big), Some(7));
        assert_eq!(attribute(&bytes, 2).map(text).as_deref(), Some("hi"));
        assert_eq!(attribute(&bytes, 3), None);
        for length in 0..bytes.len() {
            attributes(&bytes[..length]);
        }
        assert!(attributes(&[3, 0, 1, 0, 1]).is_empty());
    }
}
