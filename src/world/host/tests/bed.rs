//! A host to test on: a namespace with the parent `p0` (10.50.0.2/24, fd50::2/64), a machine at the other end of its
//! wire, and containers on it as the engine would make them.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags};

use crate::model::address::Mac;
use crate::model::name::ProjectName;
use crate::plan::observed::{FoundResource, Scope};
use crate::plan::spec::{DoorSpec, Kind, ResourceId, ShimKind, Spec};
use crate::plan::step::{Reason, State, Step, Undo};
use crate::world::host::fuse::Fuse;
use crate::world::host::message::{self, Routed, VethEnd};
use crate::world::host::socket::{NetlinkError, Socket};
use crate::world::host::{Endpoints, Host};
use crate::world::netns::{self, Namespace};
use crate::world::{Progress, WorldError};

pub struct Bed {
    pub project: ProjectName,
    pub host: Host,
    pub peer: Station,
    pub folder: tempfile::TempDir,
    pub engine: Engine,
    pub told: Told,
}

/// A namespace with a socket in it.
#[derive(Clone)]
pub struct Station {
    pub namespace: Namespace,
    pub socket: Socket,
}

/// What the engine would say about containers.
#[derive(Default)]
pub struct Engine {
    pub addresses: Mutex<BTreeMap<String, Vec<IpAddr>>>,
    pub processes: Mutex<BTreeMap<String, u32>>,
}

impl Endpoints for Engine {
    async fn addresses(&self, container: &str, _: &str) -> Result<Vec<IpAddr>, WorldError> {
        let addresses = self.addresses.lock().unwrap();
        Ok(addresses.get(container).cloned().unwrap_or_default())
    }

    async fn process(&self, container: &str) -> Result<Option<u32>, WorldError> {
        Ok(self.processes.lock().unwrap().get(container).copied())
    }
}

/// The warnings that were told.
#[derive(Default)]
pub struct Told(pub Mutex<Vec<String>>);

impl Progress for Told {
    fn tell(&self, _: &str) {}

    fn warn(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

impl Station {
    pub async fn fresh() -> io::Result<Station> {
        let namespace = Namespace::fresh()?;
        let socket = Socket::open(&namespace, Fuse::default()).await?;
        let station = Station { namespace, socket };
        station.up(1).await;
        Ok(station)
    }

    pub async fn up(&self, index: u32) {
        let up = message::flag(index, LinkFlags::Up, true);
        self.socket
            .act(RouteNetlinkMessage::SetLink(up), 0)
            .await
            .unwrap();
    }

    pub async fn down(&self, index: u32) {
        let down = message::flag(index, LinkFlags::Up, false);
        self.socket
            .act(RouteNetlinkMessage::SetLink(down), 0)
            .await
            .unwrap();
    }

    pub async fn index(&self, name: &str) -> u32 {
        let links = crate::world::host::table::links(&self.socket).unwrap();
        links.iter().find(|link| link.name == name).unwrap().index
    }

    pub async fn give(&self, name: &str, address: &str) {
        let address: IpNet = address.parse().unwrap();
        let message = message::address(self.index(name).await, address, Routed::Connected);
        self.socket
            .act(
                RouteNetlinkMessage::NewAddress(message),
                NLM_F_CREATE | NLM_F_EXCL,
            )
            .await
            .unwrap();
    }

    pub async fn make(
        &self,
        message: netlink_packet_route::link::LinkMessage,
    ) -> Result<(), NetlinkError> {
        self.socket
            .act(
                RouteNetlinkMessage::NewLink(message),
                NLM_F_CREATE | NLM_F_EXCL,
            )
            .await
    }
}

/// A project that no other test and no other run has, so that its named namespaces are its own.
fn project() -> ProjectName {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("t{}x{number}", std::process::id()).parse().unwrap()
}

/// A failed test leaves no names behind.
impl Drop for Bed {
    fn drop(&mut self) {
        let prefix = format!("{}-", self.project);
        for name in netns::names().unwrap_or_default() {
            if name.starts_with(&prefix) {
                let _ = netns::unbind(&name);
            }
        }
    }
}

impl Bed {
    /// None, with the reason told, where this process may not make namespaces.
    pub async fn new() -> Option<Bed> {
        let host = match Station::fresh().await {
            Ok(host) => host,
            Err(error) => {
                println!("skipped: no right to make a network namespace: {error}");
                return None;
            }
        };
        let peer = Station::fresh().await.unwrap();
        let end = |name, mac: &str, namespace| VethEnd {
            name,
            mac: mac.parse().unwrap(),
            namespace,
            mtu: None,
        };
        let pair = message::make_veth(
            &end("p0", "02:00:00:00:00:02", None),
            &end("eth0", "02:00:00:00:00:09", Some(peer.namespace.raw())),
        );
        host.make(pair).await.unwrap();
        // The parent is not ours: no group.
        let mut foreign = message::link(host.index("p0").await);
        foreign.attributes.push(LinkAttribute::Group(0));
        host.socket
            .act(RouteNetlinkMessage::SetLink(foreign), 0)
            .await
            .unwrap();
        for (station, link, four, six) in [
            (&host, "p0", "10.50.0.2/24", "fd50::2/64"),
            (&peer, "eth0", "10.50.0.9/24", "fd50::9/64"),
        ] {
            station.give(link, four).await;
            station.up(station.index(link).await).await;
            station.give(link, six).await;
        }
        // The kernel gives a link its link-local address when it has seen the carrier, a little later.
        for _ in 0..500 {
            let links = crate::world::host::table::links(&host.socket).unwrap();
            if links
                .iter()
                .any(|link| link.name == "p0" && link.addresses.len() == 3)
            {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(4)).await;
        }
        let folder = tempfile::tempdir().unwrap();
        let opened = Host::open(host.namespace.clone(), folder.path().to_owned())
            .await
            .unwrap();
        Some(Bed {
            project: project(),
            host: opened,
            peer,
            folder,
            engine: Engine::default(),
            told: Told::default(),
        })
    }

    pub fn station(&self) -> Station {
        Station {
            namespace: self.host.namespace.clone(),
            socket: self.host.socket.clone(),
        }
    }

    /// A container on `p0` with these addresses, as the engine makes them.
    pub async fn container(
        &self,
        kind: ShimKind,
        mac: Option<Mac>,
        addresses: &[&str],
    ) -> Result<Station, NetlinkError> {
        let station = Station::fresh().await.unwrap();
        let parent = self.station().index("p0").await;
        let mut link = message::make_child("eth0", parent, kind, mac);
        link.attributes
            .retain(|attribute| !matches!(attribute, LinkAttribute::Group(_)));
        link.attributes
            .push(LinkAttribute::NetNsFd(station.namespace.raw()));
        self.station().make(link).await?;
        for address in addresses {
            station.give("eth0", address).await;
        }
        station.up(station.index("eth0").await).await;
        Ok(station)
    }

    pub async fn change(&self, before: State, after: State) -> Result<(), WorldError> {
        let id = after
            .spec()
            .or(before.spec())
            .expect("a step is about something")
            .id();
        let step = Step {
            id,
            before,
            after,
            reason: Reason::Missing,
            undo: Undo::Inverse,
            farewell: false,
        };
        self.host
            .change(&self.project, &step, &self.engine, &self.told)
            .await
    }

    pub async fn make(&self, spec: &Spec) -> Result<(), WorldError> {
        self.change(State::Absent, State::Present(spec.clone().into()))
            .await
    }

    pub async fn remove(&self, spec: &Spec) -> Result<(), WorldError> {
        self.change(State::Present(spec.clone().into()), State::Absent)
            .await
    }

    pub async fn observe(&self) -> BTreeMap<ResourceId, FoundResource> {
        self.look(Vec::new()).await
    }

    /// The doors among these that are open.
    pub async fn observe_doors(&self, doors: Vec<DoorSpec>) -> Vec<ResourceId> {
        let found = self.look(doors).await;
        found
            .into_keys()
            .filter(|id| id.kind == Kind::Door)
            .collect()
    }

    async fn look(&self, doors: Vec<DoorSpec>) -> BTreeMap<ResourceId, FoundResource> {
        let scope = Scope {
            project: self.project.clone(),
            images: Vec::new(),
            doors,
            attachments: BTreeMap::new(),
            host: true,
        };
        self.host.observe(&scope, &self.engine).await.unwrap()
    }

    /// Removes all that is observed, as `down` does with nothing but the project's name.
    pub async fn remove_observed(&self) {
        for found in self.observe().await.into_values() {
            self.remove(&found.spec).await.unwrap();
        }
    }

    /// Everything that must be as before: links, addresses, routes, settings, ledger.
    pub async fn picture(&self) -> Vec<String> {
        let facts = self.host.facts().await.unwrap();
        let mut lines: Vec<String> = facts
            .links
            .iter()
            .map(|link| format!("{link:?}"))
            .chain(facts.routes.iter().map(|route| format!("{route:?}")))
            .collect();
        lines.extend(self.host.namespace.run(|| Ok(settings())).unwrap());
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            lines.push(format!("{:?}", entry.unwrap().path()));
        }
        lines
    }
}

/// Fails with the lines that differ.
pub fn same(now: &[String], then: &[String], trace: &str) {
    let gone: Vec<&String> = then.iter().filter(|line| !now.contains(line)).collect();
    let new: Vec<&String> = now.iter().filter(|line| !then.contains(line)).collect();
    assert!(
        gone.is_empty() && new.is_empty(),
        "{trace}: gone {gone:#?}, new {new:#?}"
    );
}

fn settings() -> Vec<String> {
    let mut lines = Vec::new();
    for family in ["ipv4", "ipv6"] {
        let Ok(links) = std::fs::read_dir(format!("/proc/sys/net/{family}/conf")) else {
            continue;
        };
        for link in links {
            for file in std::fs::read_dir(link.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                // `stable_secret` is written only, the rest is small.
                if let Ok(value) = std::fs::read_to_string(&path) {
                    lines.push(format!("{} {}", path.display(), value.trim_end()));
                }
            }
        }
    }
    if let Ok(value) = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward") {
        lines.push(format!("ip_forward {}", value.trim_end()));
    }
    lines.sort();
    lines
}

/// Goes through all acts of making and of removing `wanted`, and compares.
pub async fn cut_off_anywhere(bed: &Bed, wanted: &Spec) {
    let before = bed.picture().await;
    bed.host.fuse.set(None, false);
    bed.make(wanted).await.unwrap();
    let up = bed.host.fuse.passed();
    let with = bed.picture().await;
    bed.host.fuse.set(None, false);
    bed.remove(wanted).await.unwrap();
    let down = bed.host.fuse.passed();
    assert!(up > 0 && down > 0);
    same(&bed.picture().await, &before, "removed");
    for at in 0..up {
        for dead in [false, true] {
            for again in [false, true] {
                let trace = format!("up, act {at}, dead {dead}, again {again}");
                bed.host.fuse.set(Some(at), dead);
                assert!(bed.make(wanted).await.is_err(), "{trace}");
                bed.host.fuse.set(None, false);
                if again {
                    bed.make(wanted).await.unwrap();
                    same(
                        &unnumbered(bed.picture().await),
                        &unnumbered(with.clone()),
                        &trace,
                    );
                }
                bed.remove(wanted).await.unwrap();
                same(&bed.picture().await, &before, &trace);
            }
        }
    }
    for at in 0..down {
        let trace = format!("down, act {at}");
        bed.make(wanted).await.unwrap();
        bed.host.fuse.set(Some(at), true);
        assert!(bed.remove(wanted).await.is_err(), "{trace}");
        bed.host.fuse.set(None, false);
        bed.remove(wanted).await.unwrap();
        same(&bed.picture().await, &before, &trace);
    }
}

/// A picture without the indices of links, which are given once.
pub fn unnumbered(picture: Vec<String>) -> Vec<String> {
    picture
        .into_iter()
        .map(|line| match line.strip_prefix("LinkFact { index: ") {
            Some(rest) => rest
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .to_owned(),
            None => line,
        })
        .collect()
}
