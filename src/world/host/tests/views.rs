//! Looking on: the other ends of links, and changes as they happen.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::network::MacvlanMode;
use crate::plan::observed::Scope;
use crate::plan::spec::{ShimKind, ShimSpec, Spec};
use crate::plan::step::{Reason, State, Step, Undo};
use crate::world::ErrorKind;
use crate::world::host::Host;
use crate::world::host::tests::bed::{Bed, Engine, Told};
use crate::world::host::topology::Resident;
use crate::world::host::watch::Change;
use crate::world::netns::Namespace;

#[tokio::test]
async fn the_other_ends_of_links_are_found_in_their_namespaces() {
    let Some(bed) = Bed::new().await else { return };
    let kind = ShimKind::Macvlan(MacvlanMode::Bridge);
    let container = bed.container(kind, None, &["10.50.0.65/24"]).await.unwrap();
    let residents = [
        Resident {
            name: "lab-web-1".to_owned(),
            namespace: container.namespace.clone(),
        },
        Resident {
            name: "peer".to_owned(),
            namespace: bed.peer.namespace.clone(),
        },
        Resident {
            name: "the host itself".to_owned(),
            namespace: bed.host.namespace().clone(),
        },
    ];
    let joints = bed.host.topology(&residents).await.unwrap();
    let parent = joints.iter().find(|joint| joint.link.name == "p0").unwrap();
    let far: Vec<(&str, &str, &str)> = parent
        .far
        .iter()
        .map(|far| {
            let link = &far.link;
            (
                far.resident.as_str(),
                link.name.as_str(),
                link.kind.as_str(),
            )
        })
        .collect();
    assert_eq!(
        far,
        [("lab-web-1", "eth0", "macvlan"), ("peer", "eth0", "veth")]
    );
    assert_eq!(parent.far[0].link.addresses[0].to_string(), "10.50.0.65/24");
    let others = joints.iter().filter(|joint| joint.link.name != "p0");
    assert!(others.into_iter().all(|joint| joint.far.is_empty()));
}

#[tokio::test]
async fn changes_are_told_as_they_happen() {
    let Some(bed) = Bed::new().await else { return };
    let mut watch = bed.host.watch().await.unwrap();
    let index = bed.station().index("p0").await;
    bed.station().give("p0", "10.50.1.2/24").await;
    bed.station().down(index).await;
    let mut seen = Vec::new();
    let wanted = [
        Change::Address { link: index },
        Change::Route {
            link: Some(index),
            ours: false,
            default: false,
            destination: Some("10.50.1.0/24".parse().unwrap()),
        },
        Change::Link {
            index,
            name: "p0".to_owned(),
        },
    ];
    while !wanted.iter().all(|change| seen.contains(change)) {
        let next = tokio::time::timeout(Duration::from_secs(5), watch.next());
        seen.push(next.await.expect("it is told").expect("the socket lives"));
    }
}

/// Of a shim that comes while one watches, and after it was made anew: what netlink tells, and what only files tell.
#[tokio::test]
async fn settings_that_others_write_are_told() {
    let Some(bed) = Bed::new().await else { return };
    let mut watch = bed.host.watch().await.unwrap();
    let shim = Spec::Shim(ShimSpec {
        name: "shim-lan".parse().unwrap(),
        parent: "p0".parse().unwrap(),
        kind: ShimKind::Macvlan(MacvlanMode::Bridge),
        mac: None,
        addresses: Vec::new(),
        routes: Vec::new(),
        networks: Vec::new(),
    });
    for _ in 0..2 {
        bed.make(&shim).await.unwrap();
        for (path, value, link) in [
            ("ipv4/conf/shim-lan/arp_announce", "0", "shim-lan"),
            ("ipv4/conf/shim-lan/rp_filter", "1", "shim-lan"),
            ("ipv6/conf/shim-lan/accept_ra", "2", "shim-lan"),
            ("ipv4/conf/all/rp_filter", "2", "all"),
            ("ipv4/conf/all/rp_filter", "0", "all"),
        ] {
            quiet(&mut watch).await;
            let file = format!("/proc/sys/net/{path}");
            let write = move || std::fs::write(file, value);
            bed.host.namespace().enter(write).await.unwrap();
            let told = Change::Setting {
                link: link.to_owned(),
            };
            loop {
                let next = tokio::time::timeout(Duration::from_secs(5), watch.next());
                if next.await.expect(path).expect("the socket lives") == told {
                    break;
                }
            }
        }
        bed.remove(&shim).await.unwrap();
    }
}

/// Hears what there is to hear until it is quiet.
async fn quiet(watch: &mut crate::world::host::watch::Watch) {
    let pause = Duration::from_millis(50);
    while tokio::time::timeout(pause, watch.next()).await.is_ok() {}
}

/// On a thread with a namespace of its own that gives its rights away: it sees everything, changes nothing, and says why.
#[test]
fn a_user_without_rights_looks_and_is_refused_with_the_remedy() {
    // SAFETY: the system call changes the ids of this thread only, unlike the function of the C library.
    let uid = unsafe { libc::geteuid() };
    if uid != 0 {
        println!("skipped: not root, so there are no rights to give away");
        return;
    }
    let looking = std::thread::spawn(|| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        let nobody: libc::uid_t = 65534;
        // SAFETY: as above.
        let gone = unsafe { libc::syscall(libc::SYS_setresuid, nobody, nobody, nobody) };
        assert_eq!(gone, 0);
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(look_without_rights());
    });
    looking.join().unwrap();
}

async fn look_without_rights() {
    let namespace = Namespace::current().unwrap();
    let folder = std::path::PathBuf::from("/proc/stack-may-not-write-here");
    let host = Host::open(namespace, folder).await.unwrap();
    let facts = host.facts().await.unwrap();
    assert!(!facts.may_administer);
    assert!(facts.link("lo").is_some());
    let scope = Scope {
        project: "nobody".parse().unwrap(),
        images: Vec::new(),
        doors: Vec::new(),
        attachments: BTreeMap::new(),
        host: true,
    };
    let found = host.observe(&scope, &Engine::default()).await.unwrap();
    assert!(found.is_empty());
    let spec = Spec::Shim(ShimSpec {
        name: "shim-lan".parse().unwrap(),
        parent: "lo".parse().unwrap(),
        kind: ShimKind::Macvlan(MacvlanMode::Bridge),
        mac: None,
        addresses: Vec::new(),
        routes: Vec::new(),
        networks: Vec::new(),
    });
    let step = Step {
        id: spec.id(),
        before: State::Absent,
        after: State::Present(spec.into()),
        reason: Reason::Missing,
        undo: Undo::Inverse,
        farewell: false,
    };
    let project = "nobody".parse().unwrap();
    let refused = host
        .change(&project, &step, &Engine::default(), &Told::default())
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Forbidden);
    assert_eq!(
        refused.hint.as_deref(),
        Some("this needs CAP_NET_ADMIN on the host: run it as root, for example with sudo")
    );
}
