//! A route netlink socket that lives in one namespace: send a message and wait for the kernel's word, or ask and get
//! the answers. It knows nothing about what the messages mean.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::AsyncSocket;
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::errno::Errno;

use crate::world::host::fuse::Fuse;
use crate::world::netns::Namespace;

/// A socket in a namespace. Clones share it.
#[derive(Debug, Clone)]
pub struct Socket {
    handle: rtnetlink::Handle,
    fuse: Fuse,
    /// Lists have a socket to themselves: rtnetlink's decodes all messages of a list before the first one is handed over,
    /// and a link takes about 30 KB so. The kernel answers one list at a time on a socket (`__netlink_dump_start`,
    /// net/netlink/af_netlink.c).
    lists: Arc<Mutex<Lists>>,
}

/// A socket for lists, and the number of the last one.
#[derive(Debug)]
struct Lists {
    socket: netlink_sys::Socket,
    number: u32,
}

/// What the kernel refused with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetlinkError {
    pub errno: Errno,
    /// The kernel's own sentence (extended acknowledgement), where it gave one.
    pub sentence: Option<String>,
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sentence {
            Some(sentence) => write!(f, "{} ({sentence})", self.errno.desc()),
            None => f.write_str(self.errno.desc()),
        }
    }
}

impl std::error::Error for NetlinkError {}

impl From<Errno> for NetlinkError {
    fn from(errno: Errno) -> NetlinkError {
        NetlinkError {
            errno,
            sentence: None,
        }
    }
}

impl From<io::Error> for NetlinkError {
    fn from(error: io::Error) -> NetlinkError {
        match error.raw_os_error() {
            Some(code) => Errno::from_raw(code).into(),
            None => NetlinkError {
                errno: Errno::EIO,
                sentence: Some(error.to_string()),
            },
        }
    }
}

impl Socket {
    /// A socket inside `namespace`. Needs the async runtime around it.
    pub async fn open(namespace: &Namespace, fuse: Fuse) -> io::Result<Socket> {
        let runtime = tokio::runtime::Handle::current();
        let (handle, lists) = namespace
            .enter(move || {
                let guard = runtime.enter();
                let (mut connection, handle, _) = rtnetlink::new_connection()?;
                let socket = connection.socket_mut().socket_mut();
                // Sentences instead of bare numbers, and no copy of the request before them. A kernel without these
                // options (before 4.12) still answers with numbers.
                let _ = socket.set_ext_ack(true);
                let _ = socket.set_cap_ack(true);
                runtime.spawn(connection);
                drop(guard);
                let mut lists = netlink_sys::Socket::new(NETLINK_ROUTE)?;
                lists.bind_auto()?;
                lists.connect(&netlink_sys::SocketAddr::new(0, 0))?;
                let _ = lists.set_ext_ack(true);
                let _ = lists.set_cap_ack(true);
                Ok((handle, lists))
            })
            .await?;
        Ok(Socket {
            handle,
            fuse,
            lists: Arc::new(Mutex::new(Lists {
                socket: lists,
                number: 0,
            })),
        })
    }

    /// Sends a message that changes something, and waits for the kernel's acknowledgement. `flags` are added to the
    /// usual two.
    pub async fn act(&self, message: RouteNetlinkMessage, flags: u16) -> Result<(), NetlinkError> {
        self.fuse.burn()?;
        self.send(message, NLM_F_REQUEST | NLM_F_ACK | flags)
            .await
            .map(|_| ())
    }

    /// Asks for one thing.
    pub async fn ask(
        &self,
        message: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        self.send(message, NLM_F_REQUEST | NLM_F_ACK).await
    }

    /// Asks for all things of a sort, and keeps of each what `keep` makes of it. A table that changed under the list is
    /// asked for again. The kernel answers such requests while it takes them, so nothing is waited for here.
    pub fn list<T>(
        &self,
        message: RouteNetlinkMessage,
        mut keep: impl FnMut(RouteNetlinkMessage) -> Option<T>,
    ) -> Result<Vec<T>, NetlinkError> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        // Where a list was left in the middle, the next one knows its own answers by their number.
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tries = 0;
        loop {
            lists.number = lists.number.wrapping_add(1);
            request.header.sequence_number = lists.number;
            match listed(&lists.socket, &mut request, &mut keep) {
                Err(error) if error.errno == Errno::EINTR && tries < 10 => tries += 1,
                done => return done,
            }
        }
    }

    async fn send(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        let mut message = NetlinkMessage::from(message);
        message.header.flags = flags;
        let closed = || NetlinkError {
            errno: Errno::EIO,
            sentence: Some("the netlink socket is closed".to_owned()),
        };
        let mut answers = self.handle.clone().request(message).map_err(|_| closed())?;
        let mut found = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer.payload {
                NetlinkPayload::InnerMessage(inner) => found.push(inner),
                NetlinkPayload::Error(error) => match error.code {
                    None => return Ok(found),
                    Some(code) => {
                        return Err(NetlinkError {
                            errno: Errno::from_raw(-code.get()),
                            sentence: sentence(&error.header),
                        });
                    }
                },
                NetlinkPayload::Done(_) => return Ok(found),
                // NLMSG_NOOP, NLMSG_OVERRUN and what later kernels may add say nothing about this request.
                _ => {}
            }
        }
        Ok(found)
    }
}

/// One list, message by message.
fn listed<T>(
    socket: &netlink_sys::Socket,
    request: &mut NetlinkMessage<RouteNetlinkMessage>,
    keep: &mut impl FnMut(RouteNetlinkMessage) -> Option<T>,
) -> Result<Vec<T>, NetlinkError> {
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let mut found = Vec::new();
    let mut changed = false;
    loop {
        let (answer, _) = socket.recv_from_full()?;
        let mut rest = answer.as_slice();
        while let [a, b, c, d, ..] = *rest {
            let length = u32::from_ne_bytes([a, b, c, d]) as usize;
            let (Some(one), false) = (rest.get(..length), length == 0) else {
                break;
            };
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            // A message that cannot be read says nothing that we know.
            let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(one) else {
                continue;
            };
            if message.header.sequence_number != request.header.sequence_number {
                continue;
            }
            changed |= message.header.flags & NLM_F_DUMP_INTR != 0;
            match message.payload {
                NetlinkPayload::InnerMessage(inner) => found.extend(keep(inner)),
                NetlinkPayload::Error(error) => {
                    let code = error.code.map_or(0, |code| -code.get());
                    return Err(NetlinkError {
                        errno: Errno::from_raw(code),
                        sentence: sentence(&error.header),
                    });
                }
                NetlinkPayload::Done(done) if done.code < 0 => {
                    return Err(Errno::from_raw(-done.code).into());
                }
                NetlinkPayload::Done(_) if changed => return Err(Errno::EINTR.into()),
                NetlinkPayload::Done(_) => return Ok(found),
                // NLMSG_NOOP, NLMSG_OVERRUN and what later kernels may add say nothing about this request.
                _ => {}
            }
        }
    }
}

/// The sentence in an error message: after the 16-byte header of the request come attributes, of which
/// `NLMSGERR_ATTR_MSG` (1) is a text that ends with a zero (include/uapi/linux/netlink.h).
fn sentence(mut bytes: &[u8]) -> Option<String> {
    bytes = bytes.get(16..)?;
    while let [a, b, c, d, ..] = *bytes {
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let kind = u16::from_ne_bytes([c, d]) & 0x3fff;
        let value = bytes.get(4..length)?;
        if kind == 1 {
            let text = value.strip_suffix(&[0]).unwrap_or(value);
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn the_kernels_sentence_is_found_behind_other_attributes() {
        let mut bytes = vec![0; 16];
        bytes.extend([8, 0, 2, 0, 1, 2, 3, 4]); // NLMSGERR_ATTR_OFFS
        bytes.extend([9, 0, 1, 0, b'b', b'u', b's', b'y', 0, 0, 0, 0]);
        assert_eq!(sentence(&bytes).as_deref(), Some("busy"));
        assert_eq!(sentence(&bytes[..20]), None);
        assert_eq!(sentence(&[]), None);
    }
}
