//! Which links are wireless: those that the kernel's 802.11 subsystem has as interfaces, asked by generic netlink. It
//! answers for the namespace of the socket, which the files under /sys do not. A kernel without that subsystem has no
//! wireless links; adapters that hide it (a modem that says it is Ethernet) are not recognised.

use std::io;

use netlink_sys::protocols::NETLINK_GENERIC;
use netlink_sys::{Socket, SocketAddr};

use crate::world::host::tlv::{self, attribute};

// include/uapi/linux/genetlink.h and nl80211.h.
const CONTROL: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
const GET_INTERFACE: u8 = 5;
const INTERFACE_INDEX: u16 = 3;

const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;

/// The indices of the wireless links in the calling thread's namespace.
pub fn indices() -> io::Result<Vec<u32>> {
    let mut socket = Socket::new(NETLINK_GENERIC)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut name = 12u16.to_ne_bytes().to_vec();
    name.extend(FAMILY_NAME.to_ne_bytes());
    name.extend(b"nl80211\0");
    socket.send(&message(CONTROL, REQUEST | ACK, GET_FAMILY, &name), 0)?;
    let answers = match tlv::answers(&mut socket) {
        Ok(answers) => answers,
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let family = answers.iter().find_map(|answer| {
        let value = attribute(&answer.body, FAMILY_ID)?;
        Some(u16::from_ne_bytes(value.get(..2)?.try_into().ok()?))
    });
    let Some(family) = family else {
        return Ok(Vec::new());
    };
    socket.send(&message(family, REQUEST | DUMP, GET_INTERFACE, &[]), 0)?;
    let answers = tlv::answers(&mut socket)?;
    Ok(answers
        .iter()
        .filter_map(|answer| index(&answer.body))
        .collect())
}

fn index(body: &[u8]) -> Option<u32> {
    let value = attribute(body, INTERFACE_INDEX)?;
    Some(u32::from_ne_bytes(value.get(..4)?.try_into().ok()?))
}

fn message(kind: u16, flags: u16, command: u8, attributes: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(20 + attributes.len());
    let length = u32::try_from(20 + attributes.len()).unwrap_or(u32::MAX);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([command, 1, 0, 0]);
    bytes.extend(attributes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::{index, indices};

    #[test]
    fn an_interface_is_read_from_an_answer() {
        // As nl80211_send_iface() puts them: wiphy, index, name.
        let mut body = vec![8, 0, 1, 0, 0, 0, 0, 0];
        body.extend([8, 0, 3, 0, 7, 0, 0, 0]);
        body.extend([10, 0, 4, 0, b'w', b'l', b'a', b'n', b'0', 0, 0, 0]);
        assert_eq!(index(&body), Some(7));
        assert_eq!(index(&body[..8]), None);
        for length in 0..body.len() {
            index(&body[..length]);
        }
    }

    #[test]
    fn the_kernel_is_asked_and_answers() {
        // None in a machine without a radio, and none in a kernel without the subsystem; never an error.
        let found = indices().unwrap();
        let files = std::fs::read_dir("/sys/class/net").unwrap();
        let phys = files.filter(|file| file.as_ref().unwrap().path().join("phy80211").exists());
        assert_eq!(found.len(), phys.count());
    }
}
