//! What happens to a host's links, addresses and routes, as the kernel tells it: for those who keep things right while
//! others change them. It says what sort of thing changed and where, not what is wrong; whoever listens looks anew.

use futures_util::StreamExt;
use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::AsyncSocket;
use rtnetlink::MulticastGroup;

use crate::world::WorldError;
use crate::world::host::error::broken;
use crate::world::host::{Host, table};

/// Room for a storm of events; what the kernel cannot keep for us it drops.
const ROOM: usize = 1 << 20;

/// Something changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A link came, or something about it changed (its name, its flags, its carrier).
    Link { index: u32, name: String },
    /// A link is gone.
    LinkGone { index: u32, name: String },
    /// An address came to a link or went from it.
    Address { link: u32 },
    /// A route came or went.
    Route,
}

/// The changes from now on. Dropping it ends the listening.
pub struct Watch {
    messages: Box<dyn futures_util::Stream<Item = Change> + Send + Unpin>,
    connection: tokio::task::AbortHandle,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Watch {
    /// The next change; none when the socket is closed (the kernel lost events), after which one has to watch anew and
    /// look at everything.
    pub async fn next(&mut self) -> Option<Change> {
        self.messages.next().await
    }
}

impl Host {
    /// Begins to listen. What changes after this returns is told.
    pub async fn watch(&self) -> Result<Watch, WorldError> {
        let runtime = tokio::runtime::Handle::current();
        let (connection, messages) = self
            .namespace
            .enter(move || {
                let guard = runtime.enter();
                let groups = [
                    MulticastGroup::Link,
                    MulticastGroup::Ipv4Ifaddr,
                    MulticastGroup::Ipv6Ifaddr,
                    MulticastGroup::Ipv4Route,
                    MulticastGroup::Ipv6Route,
                ];
                let (mut connection, _, messages) = rtnetlink::new_multicast_connection(&groups)?;
                connection
                    .socket_mut()
                    .socket_mut()
                    .set_rx_buf_sz(u32::try_from(ROOM).unwrap_or(u32::MAX))?;
                let task = runtime.spawn(connection).abort_handle();
                drop(guard);
                Ok((task, messages))
            })
            .await
            .map_err(|error| broken("cannot watch the host's links", &error))?;
        let changes = messages.filter_map(|(message, _)| {
            std::future::ready(match message.payload {
                NetlinkPayload::InnerMessage(inner) => change(&inner),
                _ => None,
            })
        });
        Ok(Watch {
            messages: Box::new(changes),
            connection,
        })
    }
}

fn change(message: &RouteNetlinkMessage) -> Option<Change> {
    match message {
        RouteNetlinkMessage::NewLink(link) => Some(Change::Link {
            index: link.header.index,
            name: table::name(link),
        }),
        RouteNetlinkMessage::DelLink(link) => Some(Change::LinkGone {
            index: link.header.index,
            name: table::name(link),
        }),
        RouteNetlinkMessage::NewAddress(address) | RouteNetlinkMessage::DelAddress(address) => {
            Some(Change::Address {
                link: address.header.index,
            })
        }
        RouteNetlinkMessage::NewRoute(_) | RouteNetlinkMessage::DelRoute(_) => Some(Change::Route),
        _ => None,
    }
}
