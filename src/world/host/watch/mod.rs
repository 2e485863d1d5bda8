//! What happens to a host's links, addresses and routes, as the kernel tells it: for those who keep things right while
//! others change them. It says what sort of thing changed and where, not what is wrong; whoever listens looks anew.

mod settings;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;

use futures_util::stream::{BoxStream, StreamExt};
use ipnet::IpNet;
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{AsyncSocket, AsyncSocketExt, TokioSocket};
use rtnetlink::MulticastGroup;

use crate::model::mark::ROUTE_PROTOCOL;
use crate::world::WorldError;
use crate::world::host::error::{broken, refused};
use crate::world::host::watch::settings::Settings;
use crate::world::host::{Host, nftables, table};

/// Room for a storm of events; what the kernel cannot keep for us it drops.
const ROOM: usize = 1 << 20;

/// The name under which the kernel keeps the settings that count for all links.
pub const EVERY_LINK: &str = "all";

/// Something changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
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
        /// To where it leads: a replaced route is told as a new one only, and not as one of ours that went.
        destination: Option<IpNet>,
    },
    /// A table of nftables that has a name of ours, or something in it, is gone.
    Translation { table: String },
    /// Somebody wrote a setting of a link of ours, or one that counts for all links ([`EVERY_LINK`]).
    Setting { link: String },
}

/// The changes from now on. Dropping it ends the listening.
pub struct Watch {
    messages: BoxStream<'static, NetlinkMessage<RouteNetlinkMessage>>,
    connection: tokio::task::AbortHandle,
    /// None where the kernel has no nftables.
    tables: Option<TokioSocket>,
    settings: Settings,
    /// Told already, and not yet handed out.
    pending: VecDeque<Change>,
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
        loop {
            if let Some(change) = self.pending.pop_front() {
                return Some(change);
            }
            tokio::select! {
                message = self.messages.next() => {
                    let NetlinkPayload::InnerMessage(message) = message?.payload else {
                        continue;
                    };
                    // Its settings are watched before it is told, so that none changes unseen after the look.
                    self.settings.meet(&message).await;
                    self.pending.extend(change(&message));
                }
                bytes = heard(self.tables.as_ref()) => {
                    let gone = nftables::removals(&bytes?).into_iter();
                    let ours = gone.filter(|table| table.starts_with(nftables::OURS));
                    self.pending.extend(ours.map(|table| Change::Translation { table }));
                }
                links = self.settings.next() => {
                    self.pending.extend(links?.into_iter().map(|link| Change::Setting { link }));
                }
            }
        }
    }
}

/// What a socket hears; none when events were lost. Without a socket nothing is ever heard.
async fn heard(socket: Option<&TokioSocket>) -> Option<Vec<u8>> {
    match socket {
        Some(socket) => Some(socket.recv_from_full().await.ok()?.0),
        None => std::future::pending().await,
    }
}

impl Host {
    /// Begins to listen. What changes after this returns is told.
    pub async fn watch(&self) -> Result<Watch, WorldError> {
        let act = "cannot watch the host's links";
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
                let tables = joined(NETLINK_NETFILTER, &[nftables::CHANGES_GROUP])?;
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
            .map_err(|error| broken(act, &error))?;
        let settings = Settings::watch(self)
            .await
            .map_err(|error| broken("cannot watch the settings of links", &error))?;
        let mut watch = Watch {
            messages: messages.map(|(message, _)| message).boxed(),
            connection,
            tables,
            settings,
            pending: VecDeque::new(),
        };
        for link in table::link_messages(&self.socket).map_err(|error| refused(act, &error))? {
            watch
                .settings
                .meet(&RouteNetlinkMessage::NewLink(link))
                .await;
        }
        Ok(watch)
    }
}

/// A socket that hears of these groups; none where the kernel has no such thing.
fn joined(protocol: isize, groups: &[u32]) -> io::Result<Option<TokioSocket>> {
    let Ok(mut socket) = TokioSocket::new(protocol) else {
        return Ok(None);
    };
    let inner = socket.socket_mut();
    inner.bind_auto()?;
    for group in groups {
        if inner.add_membership(*group).is_err() {
            return Ok(None);
        }
    }
    Ok(Some(socket))
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
                destination: destination(route),
            })
        }
        _ => None,
    }
}

fn destination(route: &RouteMessage) -> Option<IpNet> {
    let mut attributes = route.attributes.iter();
    let address = attributes.find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })?;
    IpNet::new(address, route.header.destination_prefix_length).ok()
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
