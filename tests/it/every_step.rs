//! For every step of every plan: fail there, crash there, interrupt there, run it twice, and the world is as before or
//! as wanted. The plans are those of random stacks that change into other random stacks, and go down again.

use indexmap::IndexMap;
use stack::model::container::{ContainerConfig, Mount, MountSource};
use stack::model::network::{
    Driver, HostAddress, Ipam, MacvlanMode, Network, Parent, Pool, Promiscuity, Shim,
};
use stack::model::service::{Attachment, Condition, Connection, Dependency, PullPolicy, Service};
use stack::model::stack::Stack;
use stack::model::volume::Volume;
use stack::plan::desired::{Wishes, desired};
use stack::plan::diff::container::Recreate;
use stack::plan::diff::down::{DownOptions, down};
use stack::plan::diff::up::{UpOptions, up};
use stack::plan::observed::{EngineFacts, HostFacts, LinkFact, Observed, SwarmState};
use stack::plan::step::Plan;

use crate::torture::{Case, Counts, in_peace, shown};

/// Numbers that look random and are the same in every run (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

/// A machine with two network cards, an engine, an image and something of somebody else's.
pub fn bare_machine(parents: &[&str]) -> Observed {
    let link = |(index, name): (usize, &&str)| LinkFact {
        index: u32::try_from(index).unwrap() + 2,
        name: (*name).to_owned(),
        up: true,
        carrier: true,
        mtu: 1500,
        ..LinkFact::default()
    };
    let mut observed = Observed {
        engine: EngineFacts {
            version: "28.0.0".into(),
            api: (1, 48),
            os_type: "linux".into(),
            swarm: SwarmState::Manager,
            network_drivers: ["bridge", "host", "ipvlan", "macvlan", "null", "overlay"]
                .map(str::to_owned)
                .to_vec(),
            ..EngineFacts::default()
        },
        host: Some(HostFacts {
            links: parents.iter().enumerate().map(link).collect(),
            may_administer: true,
            ..HostFacts::default()
        }),
        ..Observed::default()
    };
    observed.images.insert("lab".into(), "sha256:1".into());
    observed
}

fn network(key: &str, number: u64, dice: &mut Dice) -> Network {
    let on_parent = dice.one_in(3);
    let subnet = format!("10.{number}.{}.0/24", dice.roll(2));
    let pool = Pool {
        subnet: Some(subnet.parse().unwrap()),
        ..Pool::default()
    };
    let shim = Shim {
        host_address: if dice.one_in(2) {
            HostAddress::Reachable
        } else {
            HostAddress::AsIs
        },
        ..Shim::default()
    };
    Network {
        key: key.parse().unwrap(),
        name: format!("lab_{key}"),
        external: false,
        driver: if on_parent {
            Driver::Macvlan(MacvlanMode::Bridge)
        } else {
            Driver::Bridge
        },
        parent: on_parent.then(|| Parent::Link(format!("eth{number}").parse().unwrap())),
        options: IndexMap::new(),
        ipam: Ipam {
            pools: vec![pool],
            ..Ipam::default()
        },
        internal: dice.one_in(4),
        attachable: false,
        enable_ipv4: None,
        enable_ipv6: None,
        labels: IndexMap::new(),
        promiscuous: if on_parent && dice.one_in(2) {
            Promiscuity::On
        } else {
            Promiscuity::Leave
        },
        shim: (on_parent && dice.one_in(2)).then_some(shim),
        dhcp_pool: None,
    }
}

fn service(name: &str, earlier: &[String], stack: &Stack, dice: &mut Dice) -> Service {
    let mut config = ContainerConfig::default();
    if dice.one_in(3) {
        config.command = Some(vec![format!("sleep {}", dice.roll(3))]);
    }
    for volume in stack.volumes.values() {
        if dice.one_in(3) {
            config.mounts.push(Mount {
                target: format!("/{}", volume.key),
                read_only: false,
                source: MountSource::Volume {
                    name: Some(volume.name.clone()),
                    no_copy: false,
                    subpath: None,
                },
            });
        }
    }
    let mut networks: IndexMap<_, Attachment> = IndexMap::new();
    for key in stack.networks.keys() {
        if dice.one_in(2) {
            let aliases = match dice.roll(3) {
                0 => vec![format!("alias{}", dice.roll(2))],
                _ => Vec::new(),
            };
            // One fixed MAC address at most, as engines before API 1.44 have it.
            let is_first = networks.is_empty() && earlier.is_empty();
            let attachment = Attachment {
                aliases,
                mac_address: (is_first && dice.one_in(2))
                    .then(|| format!("02:00:00:00:00:0{}", dice.roll(2)).parse().unwrap()),
                ..Attachment::default()
            };
            networks.insert(key.clone(), attachment);
        }
    }
    let connection = match (dice.roll(8), earlier.first()) {
        (0, _) => Connection::Host,
        (1, _) => Connection::None,
        (2, _) => Connection::DefaultBridge,
        (3, Some(owner)) => Connection::Service(owner.parse().unwrap()),
        _ if networks.is_empty() => Connection::None,
        _ => Connection::Networks(networks),
    };
    let mut depends_on = IndexMap::new();
    for other in earlier {
        if dice.one_in(3) {
            let condition = match dice.roll(3) {
                0 => Condition::Healthy,
                _ => Condition::Started,
            };
            let dependency = Dependency {
                condition,
                restart: dice.one_in(3),
                required: !dice.one_in(4),
                implied: false,
            };
            depends_on.insert(other.parse().unwrap(), dependency);
        }
    }
    Service {
        name: name.parse().unwrap(),
        image: if dice.one_in(4) {
            "other".into()
        } else {
            "lab".into()
        },
        build: None,
        pull_policy: PullPolicy::Missing,
        scale: match earlier.is_empty() {
            true => 1,
            false => u32::try_from(dice.roll(3)).unwrap().max(1),
        },
        container_name: None,
        config: config.into(),
        connection,
        ports: Vec::new(),
        expose: Vec::new(),
        links: Vec::new(),
        external_links: Vec::new(),
        volumes_from: Vec::new(),
        ipc: None,
        pid: None,
        depends_on,
        mac_address: None,
        attach: true,
        post_start: Vec::new(),
        pre_stop: Vec::new(),
        profiles: Vec::new(),
    }
}

/// A stack of a few services; two of them with different dice share some names.
fn stack(dice: &mut Dice) -> Stack {
    let mut stack = Stack {
        project: "lab".parse().unwrap(),
        directory: "/lab".into(),
        files: vec!["/lab/stack.yaml".into()],
        environment_files: Vec::new(),
        services: IndexMap::new(),
        inactive: Vec::new(),
        networks: IndexMap::new(),
        volumes: IndexMap::new(),
        lans: IndexMap::new(),
        checks: Vec::new(),
    };
    for (number, key) in ["red", "green", "blue"].into_iter().enumerate() {
        if !dice.one_in(3) {
            let network = network(key, u64::try_from(number).unwrap(), dice);
            stack.networks.insert(network.key.clone(), network);
        }
    }
    if dice.one_in(2) {
        let volume = Volume {
            key: "data".parse().unwrap(),
            name: "lab_data".into(),
            external: false,
            driver: None,
            driver_opts: IndexMap::new(),
            labels: IndexMap::new(),
        };
        stack.volumes.insert(volume.key.clone(), volume);
    }
    let mut earlier = Vec::new();
    for name in ["db", "cache", "web", "proxy"] {
        if !dice.one_in(4) {
            let service = service(name, &earlier, &stack, dice);
            stack.services.insert(service.name.clone(), service);
            earlier.push(name.to_owned());
        }
    }
    stack
}

fn planned(stack: &Stack, observed: &Observed, options: &UpOptions) -> Plan {
    let desired = desired(stack, &Wishes::default(), observed);
    up(stack, &desired, observed, options).unwrap()
}

/// Up, then another file up, then down; each of the three plans is tortured.
async fn three_plans(seed: u64) -> Counts {
    let mut dice = Dice(seed);
    let (first, second) = (stack(&mut dice), stack(&mut dice));
    let options = UpOptions {
        remove_orphans: true,
        ..UpOptions::default()
    };
    let mut machine = bare_machine(&["eth0", "eth1", "eth2"]);
    // Between the two a fixed MAC address is lost at a connect, and cannot be brought back.
    machine.engine.api = match dice.one_in(2) {
        true => (1, 41),
        false => (1, 54),
    };
    let mut counts = Counts::default();

    let case = Case {
        name: format!("seed {seed}, first up"),
        before: &machine,
        plan: planned(&first, &machine, &options),
        again: &|observed| planned(&first, observed, &options),
    };
    counts += case.up().await;
    let stands = in_peace(&machine, &case.plan, &case.name)
        .await
        .everything();

    let forced = UpOptions {
        recreate: match dice.one_in(4) {
            true => Recreate::Forced(None),
            false => Recreate::Diverged,
        },
        ..options.clone()
    };
    let case = Case {
        name: format!("seed {seed}, second up"),
        before: &stands,
        plan: planned(&second, &stands, &forced),
        again: &|observed| planned(&second, observed, &options),
    };
    counts += case.up().await;
    let stands = in_peace(&stands, &case.plan, &case.name).await.everything();

    let all = DownOptions {
        volumes: true,
        ..DownOptions::default()
    };
    let case = Case {
        name: format!("seed {seed}, down"),
        before: &stands,
        plan: down(&second.project, &stands, &all).unwrap(),
        again: &|observed| down(&second.project, observed, &all).unwrap(),
    };
    counts += case.down().await;
    let end = in_peace(&stands, &case.plan, &case.name).await;
    let left = end.snapshot().without_images();
    let bare = stack::world::memory::Memory::of(&machine)
        .snapshot()
        .without_images();
    assert!(
        left == bare,
        "{}: left\n{left}after\n{}",
        case.name,
        shown(&case.plan)
    );
    counts
}

#[tokio::test]
async fn random_stacks_are_as_before_or_as_wanted_whatever_happens() {
    let seeds = std::env::var("STACK_TEST_SEEDS").ok();
    let seeds: u64 = seeds.and_then(|text| text.parse().ok()).unwrap_or(12);
    let mut counts = Counts::default();
    let mut bad = Vec::new();
    for seed in 0..seeds {
        match tokio::spawn(three_plans(seed)).await {
            Ok(more) => counts += more,
            Err(_) => bad.push(seed),
        }
    }
    println!("random stacks: {counts:?}");
    assert!(
        bad.is_empty(),
        "these seeds fail, each as told above: {bad:?}"
    );
}
