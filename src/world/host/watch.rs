//! What happens to a host's links, addresses and routes, as the kernel tells it: for those who keep things right while
//! others change them. It says what sort of thing changed and where, not what is wrong; whoever listens looks anew.

use std::io;

use futures_util::stream::{BoxStream, StreamExt, select, unfold};
use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{RouteAttribute, RouteMessage};
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{AsyncSocket, AsyncSocketExt, TokioSocket};
use rtnetlink::MulticastGroup;

use crate::model::mark::ROUTE_PROTOCOL;
use crate::world::WorldError;
use crate::world::host::error::broken;
use crate::world::host::{Host, nftables, table};

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
    Route {
        /// The link that it leads to.
        link: Option<u32>,
        /// Whether it carries our protocol number.
        ours: bool,
        /// Whether it is the way to everywhere else.
        default: bool,
    },
    /// A table of nftables that has a name of ours, or something in it, is gone.
    Translation { table: String },
}

/// The changes from now on. Dropping it ends the listening.
pub struct Watch {
    changes: BoxStream<'static, Change>,
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
        self.changes.next().await
    }
}

impl Host {
    /// Begins to listen. What changes after this returns is told.
    pub async fn watch(&self) -> Result<Watch, WorldError> {
        let runtime = tokio::runtime::Handle::current();
        let (connection, messages, tables) = self
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
                let tables = listen_to_tables()?;
                let (mut connection, _, messages) = rtnetlink::new_multicast_connection(&groups)?;
                connection
                    .socket_mut()
                    .socket_mut()
                    .set_rx_buf_sz(u32::try_from(ROOM).unwrap_or(u32::MAX))?;
                let task = runtime.spawn(connection).abort_handle();
                drop(guard);
                Ok((task, messages, tables))
            })
            .await
            .map_err(|error| broken("cannot watch the host's links", &error))?;
        let changes = messages.filter_map(|(message, _)| {
            std::future::ready(match message.payload {
                NetlinkPayload::InnerMessage(inner) => change(&inner),
                _ => None,
            })
        });
        // The end of one of the two is the end of both: some were lost.
        let links = changes
            .map(Some)
            .chain(futures_util::stream::once(async { None }));
        let tables = match tables {
            Some(socket) => translations(socket)
                .map(Some)
                .chain(futures_util::stream::once(async { None }))
                .boxed(),
            None => futures_util::stream::pending().boxed(),
        };
        let both = select(links, tables).take_while(|change| std::future::ready(change.is_some()));
        Ok(Watch {
            changes: both.filter_map(std::future::ready).boxed(),
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
        RouteNetlinkMessage::NewRoute(route) | RouteNetlinkMessage::DelRoute(route) => {
            Some(Change::Route {
                link: oif(route),
                ours: u8::from(route.header.protocol) == ROUTE_PROTOCOL,
                default: route.header.destination_prefix_length == 0,
            })
        }
        _ => None,
    }
}

fn oif(route: &RouteMessage) -> Option<u32> {
    route
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Oif(index) => Some(*index),
            _ => None,
        })
}

/// A socket that hears of changes in nftables; none where the kernel has no such thing.
fn listen_to_tables() -> io::Result<Option<TokioSocket>> {
    let Ok(mut socket) = TokioSocket::new(NETLINK_NETFILTER) else {
        return Ok(None);
    };
    let inner = socket.socket_mut();
    inner.bind_auto()?;
    Ok(inner
        .add_membership(nftables::CHANGES_GROUP)
        .is_ok()
        .then_some(socket))
}

/// What is gone from tables of ours. Ends when the kernel lost events.
fn translations(socket: TokioSocket) -> BoxStream<'static, Change> {
    let batches = unfold(socket, |socket| async move {
        let (bytes, _) = socket.recv_from_full().await.ok()?;
        let changes = nftables::removals(&bytes)
            .into_iter()
            .filter(|table| table.starts_with(nftables::OURS))
            .map(|table| Change::Translation { table });
        Some((
            futures_util::stream::iter(changes.collect::<Vec<_>>()),
            socket,
        ))
    });
    batches.flatten().boxed()
}
