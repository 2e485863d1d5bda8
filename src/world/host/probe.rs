//! Whether somebody has an address already, asked on the wire before we use it: ARP probes (RFC 5227) and the
//! solicitations of IPv6 duplicate address detection (RFC 4862). The engine does not ask (a container with a
//! neighbour's address starts and runs), and the kernel asks for IPv6 only.
//!
//! A frame from the parent does not reach the parent's own macvlan or ipvlan children, so the question is asked twice:
//! from the parent and from a sibling. All addresses are asked for at once, on one socket for each of the two.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags};

use crate::model::address::Mac;
use crate::plan::claim::{Asker, Wire};
use crate::plan::observed::LinkFact;
use crate::world::host::error::{broken, refused};
use crate::world::host::packet::{Claimed, PacketSocket, claimed, probe};
use crate::world::host::socket::Socket;
use crate::world::host::sysctl::{self, Setting};
use crate::world::host::{Host, message};
use crate::world::netns::Namespace;
use crate::world::{ErrorKind, WorldError};

/// How often each address is asked for; a frame may get lost, and some wake from sleep by the first.
const ROUNDS: u32 = 3;

/// Somebody who has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    pub address: IpAddr,
    pub mac: Mac,
}

/// What was asked and who answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// In order of addresses. This host's own links are not among them.
    pub holders: Vec<Holder>,
    /// Why the parent's own children could not be asked; none where they were.
    pub children_not_asked: Option<String>,
}

impl Host {
    /// Asks on a wire, and among the children of its link, who has these addresses, and listens until `time` is over.
    /// The sibling is a link of the network's own kind and mode (with ipvlan another one would change the whole
    /// parent), in a namespace that nobody else sees and that dies with this call, however it ends.
    pub async fn probe(
        &self,
        wire: &Wire,
        addresses: &[IpAddr],
        time: Duration,
    ) -> Result<Answers, WorldError> {
        let Wire { link: name, asker } = wire;
        let act = || format!("cannot ask on `{name}` who has an address");
        let links = self.links().await?;
        let Some(link) = links.iter().find(|link| link.name == name.as_str()) else {
            return Err(WorldError::new(
                ErrorKind::Missing,
                act(),
                format!("there is no link `{name}`"),
            ));
        };
        if !link.up || !link.carrier {
            return Err(WorldError::new(
                ErrorKind::Refused,
                act(),
                "it is down or has no carrier",
            ));
        }
        let made = self.asker(link.index, *asker).await;
        let from_made = async {
            match made {
                Ok((namespace, index, mac)) => {
                    let answers = ask(&namespace, index, Some(mac), addresses, time).await;
                    answers.map_err(|error| error.to_string())
                }
                Err(error) => Err(error.to_string()),
            }
        };
        let from_link = async {
            match asker {
                Asker::Sibling(_) => {
                    ask(&self.namespace, link.index, link.mac, addresses, time).await
                }
                // What is not tagged is another wire.
                Asker::Vlan(_) => Ok(BTreeSet::new()),
            }
        };
        let (one, two) = tokio::join!(from_link, from_made);
        let mut heard = one.map_err(|error| broken(act(), &error))?;
        let children_not_asked = match two {
            Ok(answers) => {
                heard.extend(answers);
                None
            }
            Err(why) => Some(why),
        };
        Ok(Answers {
            holders: heard
                .into_iter()
                .filter(|holder| !is_own(&links, *holder))
                .collect(),
            children_not_asked,
        })
    }

    /// How long neighbours have to answer.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// A temporary link to ask from: its namespace, index and MAC. It has no address and speaks no IPv6 of its own.
    async fn asker(&self, on: u32, asker: Asker) -> Result<(Namespace, u32, Mac), WorldError> {
        let act = match asker {
            Asker::Sibling(_) => "cannot make a temporary sibling",
            Asker::Vlan(_) => "cannot make a temporary 802.1Q link",
        };
        let namespace = Namespace::fresh().map_err(|error| broken(act, &error))?;
        let silent = Setting {
            path: "ipv6/conf/default/disable_ipv6".to_owned(),
            value: "1".to_owned(),
        };
        sysctl::write(&namespace, vec![silent])
            .await
            .map_err(|error| broken(act, &error))?;
        let mut link = match asker {
            Asker::Sibling(kind) => message::make_child("probe", on, kind, None),
            Asker::Vlan(id) => message::make_vlan("probe", on, id),
        };
        link.attributes
            .push(LinkAttribute::NetNsFd(namespace.raw()));
        self.socket
            .act(
                RouteNetlinkMessage::NewLink(link),
                NLM_F_CREATE | NLM_F_EXCL,
            )
            .await
            .map_err(|error| refused(act, &error))?;
        let inside = Socket::open(&namespace, self.fuse.clone())
            .await
            .map_err(|error| broken(act, &error))?;
        let links =
            crate::world::host::table::links(&inside).map_err(|error| refused(act, &error))?;
        let made = links.iter().find(|link| link.name == "probe");
        let Some((index, mac)) = made.and_then(|link| Some((link.index, link.mac?))) else {
            return Err(WorldError::new(ErrorKind::Missing, act, "it is gone"));
        };
        let up = message::flag(index, LinkFlags::Up, true);
        inside
            .act(RouteNetlinkMessage::SetLink(up), 0)
            .await
            .map_err(|error| refused(act, &error))?;
        Ok((namespace, index, mac))
    }

    /// Asks from two links of this host, the parent and the shim itself, who has these addresses.
    pub(super) async fn probe_from(
        &self,
        from: [&LinkFact; 2],
        addresses: &[IpAddr],
        time: Duration,
    ) -> io::Result<Vec<Holder>> {
        let [one, two] = from;
        let (one, two) = tokio::join!(
            self.probe_by(one, addresses, time),
            self.probe_by(two, addresses, time),
        );
        let mut heard = one?;
        heard.extend(two?);
        Ok(heard.into_iter().collect())
    }

    /// The same from one link.
    pub(super) async fn probe_by(
        &self,
        link: &LinkFact,
        addresses: &[IpAddr],
        time: Duration,
    ) -> io::Result<BTreeSet<Holder>> {
        ask(&self.namespace, link.index, link.mac, addresses, time).await
    }
}

/// Whether the answer is of a link of this host that has the address.
fn is_own(links: &[LinkFact], holder: Holder) -> bool {
    links.iter().any(|link| {
        link.mac == Some(holder.mac)
            && link
                .addresses
                .iter()
                .any(|net| net.addr() == holder.address)
    })
}

/// Asks on one link for all addresses, and listens until the time is over or all were answered.
async fn ask(
    namespace: &Namespace,
    index: u32,
    mac: Option<Mac>,
    addresses: &[IpAddr],
    time: Duration,
) -> io::Result<BTreeSet<Holder>> {
    let Some(mac) = mac else {
        return Ok(BTreeSet::new());
    };
    let addresses = addresses.to_vec();
    namespace
        .enter(move || {
            let socket = PacketSocket::open(index)?;
            socket.hear_all_groups(index)?;
            listen(&socket, mac, &addresses, time)
        })
        .await
}

fn listen(
    socket: &PacketSocket,
    mac: Mac,
    addresses: &[IpAddr],
    time: Duration,
) -> io::Result<BTreeSet<Holder>> {
    let start = Instant::now();
    let mut holders = BTreeSet::new();
    let mut round = 0;
    loop {
        let gone = start.elapsed();
        let all = addresses.iter().all(|address| {
            holders
                .iter()
                .any(|holder: &Holder| holder.address == *address)
        });
        if gone >= time || all {
            return Ok(holders);
        }
        let next = time / ROUNDS * round;
        if round < ROUNDS && gone >= next {
            for address in addresses {
                socket.send(&probe(mac, *address))?;
            }
            round += 1;
        }
        let until = match round < ROUNDS {
            true => time / ROUNDS * round,
            false => time,
        };
        if let Some(frame) = socket.receive(until.saturating_sub(start.elapsed()))?
            && let Some(Claimed { address, mac }) = claimed(&frame)
            && addresses.contains(&address)
        {
            holders.insert(Holder { address, mac });
        }
    }
}
