//! A world in memory that foreign hands change, and an agent that follows what they do.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream;
use stack::agent::care::{News, QUIET};
use stack::agent::desk::{Desk, Part};
use stack::agent::follow::follow;
use stack::agent::said::{Ear, Said};
use stack::apply::wanted::Records;
use stack::model::lan::{Lan, Switch};
use stack::model::mark;
use stack::model::name::ProjectName;
use stack::model::network::MacvlanMode;
use stack::plan::observed::{
    ContainerState, FoundContainer, FoundEndpoint, FoundNetwork, HostFacts, LinkFact, Observed,
    Scope,
};
use stack::plan::spec::{
    Kind, LanSpec, LinkSpec, NetworkSpec, PromiscuitySpec, ResourceId, RouteSpec, ShimKind,
    ShimSpec, Spec, Way,
};
use stack::plan::step::{Milestone, Step};
use stack::world::memory::Memory;
use stack::world::text::Text;
use stack::world::{Progress, World, WorldError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

pub const ENGINE: &str = "unix:///run/docker.sock";

pub fn lab() -> ProjectName {
    "lab".parse().unwrap()
}

pub fn shim(parent: &str, network: &str) -> Spec {
    Spec::Shim(ShimSpec {
        name: format!("shim-{network}").parse().unwrap(),
        parent: parent.parse().unwrap(),
        kind: ShimKind::Macvlan(MacvlanMode::Bridge),
        mac: None,
        addresses: vec!["10.0.0.254".parse().unwrap()],
        routes: Vec::new(),
        networks: vec![network.to_owned()],
    })
}

/// One of each kind: a lan, a VLAN link on it, flags, a shim on each, and a route to a container.
pub fn wanted() -> Vec<Spec> {
    let flag = |link: &str| {
        Spec::Promiscuity(PromiscuitySpec {
            link: link.parse().unwrap(),
        })
    };
    vec![
        Spec::Route(RouteSpec {
            shim: "shim-lan".parse().unwrap(),
            ways: vec![Way {
                subnet: "10.0.0.0/24".parse().unwrap(),
                source: "10.0.0.254".parse().unwrap(),
            }],
            container: "lab-web-1".to_owned(),
            network: "lan".to_owned(),
        }),
        shim("eth0", "lan"),
        shim("lab0.20", "vlan"),
        flag("eth0"),
        Spec::Link(LinkSpec {
            name: "lab0.20".parse().unwrap(),
            base: "lab0".parse().unwrap(),
            vlan: 20_u16.try_into().unwrap(),
        }),
        Spec::Lan(LanSpec {
            lan: Lan {
                name: "office".parse().unwrap(),
                parent: "lab0".parse().unwrap(),
                subnets: Vec::new(),
                gateways: Vec::new(),
                nat: false,
                addresses: Vec::new(),
                hosts: Default::default(),
                switch: Switch::default(),
                mtu: None,
            },
            namespace_prefix: "lab-office".to_owned(),
            vlans: Vec::new(),
        }),
    ]
}

pub fn link(index: u32, name: &str) -> LinkFact {
    LinkFact {
        index,
        name: name.to_owned(),
        up: true,
        carrier: true,
        ..LinkFact::default()
    }
}

pub fn network(name: &str, parent: &str) -> FoundNetwork {
    FoundNetwork {
        engine_id: format!("id-{name}"),
        spec: NetworkSpec {
            name: name.to_owned(),
            key: name.parse().unwrap(),
            driver: "macvlan".to_owned(),
            options: [("parent".to_owned(), parent.to_owned())].into(),
            ipam_driver: None,
            ipam_options: BTreeMap::new(),
            pools: Vec::new(),
            internal: false,
            attachable: false,
            enable_ipv4: None,
            enable_ipv6: false,
            labels: BTreeMap::new(),
        },
        scope: "local".to_owned(),
        project: Some("lab".to_owned()),
        key: None,
        hash: None,
        compose_hash: None,
    }
}

/// The machine after a reboot: its own link, the engine with its networks and a container that runs; nothing of ours.
pub fn bare() -> Observed {
    Observed {
        host: Some(HostFacts {
            links: vec![link(1, "lo"), link(2, "eth0")],
            may_administer: true,
            ..HostFacts::default()
        }),
        networks: vec![network("lan", "eth0"), network("vlan", "lab0.20")],
        containers: vec![FoundContainer {
            engine_id: "c0ffee".to_owned(),
            name: "lab-web-1".to_owned(),
            project: Some("lab".to_owned()),
            service: Some("web".parse().unwrap()),
            number: 1,
            one_off: false,
            state: ContainerState::Running,
            image: "lab".to_owned(),
            image_id: "sha256:lab".to_owned(),
            labels: [(mark::PROJECT.to_owned(), "lab".to_owned())].into(),
            network_mode: "lan".to_owned(),
            endpoints: vec![FoundEndpoint {
                network: "lan".to_owned(),
                ipv4: Some("10.0.0.2".parse().unwrap()),
                ..FoundEndpoint::default()
            }],
            ports: Vec::new(),
            dead_namespace_of: None,
            cut_off: Vec::new(),
            volumes: Vec::new(),
        }],
        ..Observed::default()
    }
}

/// A world that others change, with a count of looks.
pub struct Outside {
    pub memory: Mutex<std::sync::Arc<Memory>>,
    pub looks: AtomicUsize,
    pub changes: AtomicUsize,
    /// The engine does not answer: what it has is not seen.
    pub silent: AtomicBool,
}

impl Outside {
    pub fn of(observed: &Observed) -> Outside {
        Outside {
            memory: Mutex::new(Memory::of(observed).into()),
            looks: AtomicUsize::new(0),
            changes: AtomicUsize::new(0),
            silent: AtomicBool::new(false),
        }
    }

    pub fn memory(&self) -> std::sync::Arc<Memory> {
        self.memory.lock().unwrap().clone()
    }

    /// A foreign hand.
    pub fn meddle(&self, act: impl FnOnce(&mut Observed)) {
        let mut observed = self.memory().everything();
        act(&mut observed);
        *self.memory.lock().unwrap() = Memory::of(&observed).into();
    }

    pub fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }

    pub fn has(&self, kind: Kind, name: &str) -> bool {
        let all = self.memory().everything().resources;
        all.get(&ResourceId::new(kind, name))
            .is_some_and(|found| found.damage.is_empty())
    }
}

impl World for Outside {
    async fn observe(&self, scope: &Scope) -> Result<Observed, WorldError> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        let mut observed = self.memory().observe(scope).await?;
        if self.silent.load(Ordering::SeqCst) {
            observed.networks.clear();
            observed.containers.clear();
        }
        Ok(observed)
    }

    async fn change(
        &self,
        project: &ProjectName,
        step: &Step,
        progress: &dyn Progress,
    ) -> Result<(), WorldError> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.memory().change(project, step, progress).await
    }

    async fn wait(
        &self,
        project: &ProjectName,
        id: &ResourceId,
        milestone: Milestone,
    ) -> Result<(), WorldError> {
        self.memory().wait(project, id, milestone).await
    }
}

/// A foreign hand.
pub type Loss = fn(&mut Observed);

/// Everything that is taken away from a machine that is as it should be, one thing at a time.
pub fn losses() -> Vec<(&'static str, Loss)> {
    fn lose(observed: &mut Observed, kind: Kind, name: &str) {
        observed.resources.remove(&ResourceId::new(kind, name));
    }
    fn unlink(observed: &mut Observed, name: &str) {
        let host = observed.host.as_mut().unwrap();
        host.links.retain(|link| link.name != name);
    }
    fn damage(observed: &mut Observed, kind: Kind, name: &str, what: &str) {
        let found = observed.resources.get_mut(&ResourceId::new(kind, name));
        found.unwrap().damage = vec![what.to_owned()];
    }
    vec![
        ("the shim is deleted", |all| {
            lose(all, Kind::Shim, "shim-lan");
            unlink(all, "shim-lan");
        }),
        ("the shim's addresses are flushed", |all| {
            damage(all, Kind::Shim, "shim-lan", "its addresses are gone");
        }),
        ("a route is flushed", |all| {
            damage(all, Kind::Route, "shim-lan/lab-web-1", "the route is gone");
        }),
        ("the flag is cleared", |all| {
            damage(all, Kind::Promiscuity, "eth0", "someone cleared the flag");
            all.host.as_mut().unwrap().links[1].promiscuous_flag = false;
        }),
        ("translation is flushed", |all| {
            damage(all, Kind::Lan, "office", "its address translation is gone");
        }),
        ("the VLAN link is deleted and takes its shim along", |all| {
            lose(all, Kind::Link, "lab0.20");
            lose(all, Kind::Shim, "shim-vlan");
            unlink(all, "lab0.20");
            unlink(all, "shim-vlan");
        }),
        ("the lan is taken down with all that stands on it", |all| {
            lose(all, Kind::Lan, "office");
            lose(all, Kind::Link, "lab0.20");
            lose(all, Kind::Shim, "shim-vlan");
            for name in ["lab0", "lab0.20", "shim-vlan"] {
                unlink(all, name);
            }
        }),
        ("the machine is started anew", |all| {
            let links = ["lab0", "lab0.20", "shim-vlan", "shim-lan"];
            links.iter().for_each(|name| unlink(all, name));
            all.resources.clear();
            all.host.as_mut().unwrap().links[1].promiscuous_flag = false;
        }),
    ]
}

/// Writes down what it hears.
#[derive(Default)]
pub struct Minutes(Mutex<Vec<String>>);

impl Ear for Minutes {
    fn hear(&self, said: &Said) {
        self.0.lock().unwrap().push(said.to_string());
    }
}

impl Minutes {
    pub fn count(&self, part: &str) -> usize {
        let lines = self.0.lock().unwrap();
        lines.iter().filter(|line| line.contains(part)).count()
    }
}

pub struct Rig {
    pub _folder: tempfile::TempDir,
    pub desk: Desk,
    pub ear: Minutes,
    pub news: UnboundedSender<News>,
    pub heard: Option<UnboundedReceiver<News>>,
}

impl Rig {
    pub fn new(wants: Vec<Spec>) -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let desk = Desk {
            records: Records::new(folder.path()),
            engine: ENGINE.to_owned(),
            state: folder.path().to_owned(),
            now: || "noon".to_owned(),
            dry: false,
            part: Part::Whole,
            text: Text::default(),
        };
        desk.records.settle(&lab(), ENGINE, wants).unwrap();
        let (news, heard) = unbounded_channel();
        Rig {
            _folder: folder,
            desk,
            ear: Minutes::default(),
            news,
            heard: Some(heard),
        }
    }

    /// Follows while `act` goes on.
    pub async fn while_following(&mut self, world: &Outside, act: impl AsyncFnOnce(&Rig)) {
        let heard = self.heard.take().unwrap();
        let news = Box::pin(stream::unfold(heard, |mut heard| async {
            heard.recv().await.map(|news| (news, heard))
        }));
        let rig = &*self;
        tokio::select! {
            ended = follow(world, &rig.desk, &rig.ear, news, stream::pending()) => panic!("{ended:?}"),
            () = act(rig) => {}
        }
    }

    pub fn tell(&self, news: News) {
        self.news.send(news).unwrap();
    }

    pub fn file(&self, ending: &str) -> std::path::PathBuf {
        let name = stack::apply::wanted::file_name(&lab(), ENGINE, ending);
        self.desk.state.join(name)
    }
}

/// Something comes true a moment later.
pub async fn soon(what: &str, true_now: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !true_now() {
        assert!(Instant::now() < end, "not so: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Long enough for what should not happen to have happened.
pub async fn a_while() {
    tokio::time::sleep(QUIET * 4).await;
}
