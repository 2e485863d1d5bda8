//! The agent on the world in memory: what a foreign hand takes away comes back, and nobody else's work is disturbed.

mod rig;

use std::sync::atomic::Ordering;
use std::time::Duration;

use stack::agent::care::{Care, Heap, LIMIT, News, Outcome, QUIET};
use stack::agent::desk::Part;
use stack::agent::follow::once;
use stack::apply::lock::{Holder, Lock, Patience};
use stack::model::mark;
use stack::plan::observed::{ContainerState, RouteFact};
use stack::plan::spec::{Kind, ResourceId};
use stack::world::host::watch::Change;

use tokio::time::Instant;

use crate::agent::rig::{ENGINE, Outside, Rig, a_while, bare, lab, link, losses, soon, wanted};

#[tokio::test]
async fn whatever_is_taken_away_comes_back_and_nothing_else_changes() {
    let world = Outside::of(&bare());
    let rig = Rig::new(wanted());
    assert!(once(&world, &rig.desk, &rig.ear).await.unwrap());
    let right = world.memory().snapshot();
    assert_eq!(world.memory().everything().resources.len(), wanted().len());
    for (what, take) in losses() {
        world.meddle(take);
        assert_ne!(world.memory().snapshot(), right, "{what}");
        assert!(once(&world, &rig.desk, &rig.ear).await.unwrap(), "{what}");
        let now = world.memory().snapshot();
        assert_eq!(now, right, "{what}");
    }
    world.changes.store(0, Ordering::SeqCst);
    assert!(once(&world, &rig.desk, &rig.ear).await.unwrap());
    assert_eq!(world.changes.load(Ordering::SeqCst), 0);
    assert_eq!(
        rig.ear
            .count("lab: shim/shim-lan restored: it is not there"),
        3
    );
}

#[tokio::test]
async fn without_the_engine_the_hosts_part_comes_back_all_the_same() {
    let world = Outside::of(&bare());
    let mut rig = Rig::new(wanted());
    assert!(once(&world, &rig.desk, &rig.ear).await.unwrap());
    world.silent.store(true, Ordering::SeqCst);
    let right = world.memory().snapshot();
    rig.desk.part = Part::Alone;
    for (what, take) in losses() {
        let forgets_routes = what == "the machine is started anew";
        world.meddle(take);
        if forgets_routes {
            // What led to containers that nobody knows of is not wanted again before the engine tells of them.
            once(&world, &rig.desk, &rig.ear).await.unwrap();
            assert!(world.has(Kind::Shim, "shim-lan") && world.has(Kind::Lan, "office"));
            assert!(!world.has(Kind::Route, "shim-lan/lab-web-1"));
            continue;
        }
        assert!(once(&world, &rig.desk, &rig.ear).await.unwrap(), "{what}");
        assert_eq!(world.memory().snapshot(), right, "{what}");
    }
}

/// Projects in care, with one that has been looked at.
fn care(now: Instant) -> Care {
    let mut care = Care::default();
    care.take([(lab(), wanted())].into(), now);
    assert_eq!(care.due(now + QUIET).len(), 1);
    let mut observed = bare();
    let host = observed.host.as_mut().unwrap();
    host.links.push(link(9, "shim-lan"));
    care.looked(&lab(), &observed);
    assert_eq!(care.ended(&lab(), &Outcome::Right, now), None);
    care
}

#[test]
fn a_burst_of_news_is_one_look_and_a_storm_is_one_a_second() {
    let began = Instant::now();
    let mut care = care(began);
    assert_eq!(care.wake(), None, "nothing is polled");
    let flushed = News::Host(Change::Route {
        link: Some(9),
        ours: true,
        default: false,
        destination: None,
    });
    let at = |millis: u64| began + Duration::from_millis(millis);
    for millis in 0..20 {
        care.hear(&flushed, at(millis));
    }
    assert_eq!(care.wake(), Some(at(19) + QUIET));
    assert!(care.due(at(20)).is_empty());
    assert_eq!(care.due(at(19) + QUIET).len(), 1);
    assert_eq!(care.wake(), None);
    let mut looks = 0;
    let started = News::Started {
        project: "lab".to_owned(),
    };
    for millis in (1_000..21_000).step_by(20) {
        care.hear(&started, at(millis));
        looks += care.due(at(millis)).len();
    }
    assert!((18..=20).contains(&looks), "{looks} looks in 20 s");
    assert_eq!(LIMIT, Duration::from_secs(1));
}

#[test]
fn a_route_put_in_the_place_of_ours_is_looked_at() {
    let now = Instant::now();
    let mut care = care(now);
    let to = "192.168.1.128/25".parse().unwrap();
    let mut observed = bare();
    let host = observed.host.as_mut().unwrap();
    host.links.push(link(9, "shim-lan"));
    host.routes.push(RouteFact {
        destination: to,
        link: Some("shim-lan".to_owned()),
        gateway: None,
        source: None,
        protocol: mark::ROUTE_PROTOCOL,
        table: 254,
        metric: 0,
    });
    care.looked(&lab(), &observed);
    let route = |destination| {
        News::Host(Change::Route {
            link: Some(2),
            ours: false,
            default: false,
            destination: Some(destination),
        })
    };
    care.hear(&route("10.0.0.0/8".parse().unwrap()), now);
    assert_eq!(care.wake(), None);
    care.hear(&route(to), now);
    assert_eq!(care.wake(), Some(now + QUIET));
}

#[test]
fn a_storm_meanwhile_takes_little_room_and_loses_nothing_that_counts() {
    let told = |index: u32| {
        let name = format!("veth{index}");
        News::Host(Change::Link { index, name })
    };
    let gone = News::Host(Change::LinkGone {
        index: 7,
        name: "eth1".to_owned(),
    });
    let mut heap = Heap::default();
    for news in [told(3), told(3), gone.clone(), News::Released, told(3)] {
        heap.add(news);
    }
    assert_eq!(heap.take().len(), 3);
    assert_eq!(heap.take().len(), 0);

    for news in [News::Records, News::Released, gone.clone()] {
        heap.add(news);
    }
    for index in 0..100_000 {
        heap.add(told(index));
    }
    let kept = heap.take();
    assert!(kept.len() < 2000, "{}", kept.len());
    for news in [News::Records, News::Released, gone, News::Everything] {
        assert!(kept.contains(&news), "{news:?}");
    }
}

#[test]
fn what_concerns_nobody_wakes_nobody() {
    let now = Instant::now();
    let mut care = care(now);
    let other = |ours, link| {
        News::Host(Change::Route {
            link: Some(link),
            ours,
            default: true,
            destination: None,
        })
    };
    let name = || "veth123".to_owned();
    for news in [
        News::Host(Change::Link {
            index: 77,
            name: name(),
        }),
        News::Host(Change::LinkGone {
            index: 77,
            name: name(),
        }),
        News::Host(Change::Address { link: 77 }),
        other(true, 77),
        // Its lan has no way out, so that the host's own is not its business.
        other(false, 2),
        News::Host(Change::Translation { table: name() }),
        News::Host(Change::Setting { link: name() }),
        News::Started { project: name() },
        News::Network { name: name() },
        News::Released,
    ] {
        care.hear(&news, now);
        assert_eq!(care.wake(), None, "{news:?}");
    }
    for news in [
        News::Host(Change::Address { link: 9 }),
        News::Host(Change::Setting {
            link: "shim-lan".to_owned(),
        }),
        News::Host(Change::Setting {
            link: "all".to_owned(),
        }),
        News::Host(Change::Link {
            index: 5,
            name: "eth0".to_owned(),
        }),
        News::Network {
            name: "lan".to_owned(),
        },
        News::Names,
        News::Everything,
    ] {
        care.hear(&news, now);
        assert_eq!(care.due(now + QUIET).len(), 1, "{news:?}");
    }
}

#[test]
fn what_fails_is_tried_again_with_growing_pauses() {
    let mut now = Instant::now();
    let mut care = care(now);
    let mut pauses = Vec::new();
    for _ in 0..10 {
        let (pause, _) = care.ended(&lab(), &Outcome::Failed, now).unwrap();
        pauses.push(pause.as_secs());
        care.hear(&News::Everything, now);
        assert_eq!(care.wake(), Some(now + pause), "news does not shorten it");
        now += pause;
        assert_eq!(care.due(now).len(), 1);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
    care.ended(&lab(), &Outcome::Right, now);
    assert_eq!(care.wake(), None);
    let again = care.ended(&lab(), &Outcome::Failed, now);
    assert_eq!(again, Some((Duration::from_secs(1), None)));
}

#[test]
fn a_rival_is_not_fought_without_end_and_restarts_are_no_rival() {
    let mut now = Instant::now();
    let end = now + Duration::from_secs(600);
    let mut care = care(now);
    let shim = ResourceId::new(Kind::Shim, "shim-lan");
    let mut restored = 0;
    while now < end {
        restored += 1;
        care.ended(&lab(), &Outcome::Restored(vec![shim.clone()]), now);
        now = care.wake().unwrap();
        assert_eq!(care.due(now).len(), 1);
    }
    assert!((8..30).contains(&restored), "{restored} times in 10 min");
    let route = ResourceId::new(Kind::Route, "shim-lan/lab-web-1");
    for _ in 0..100 {
        let pause = care.ended(&lab(), &Outcome::Restored(vec![route.clone()]), now);
        assert_eq!(pause, None);
    }
}

#[tokio::test]
async fn what_cannot_stand_yet_is_waited_for() {
    let mut lacking = bare();
    lacking.host.as_mut().unwrap().links.pop();
    let world = Outside::of(&lacking);
    let mut rig = Rig::new(wanted());
    rig.while_following(&world, async |rig| {
        soon("the other shim stands", || {
            world.has(Kind::Shim, "shim-vlan")
        })
        .await;
        a_while().await;
        assert_eq!(
            rig.ear
                .count("lab: shim/shim-lan waits for the link `eth0`"),
            1
        );
        assert!(!world.has(Kind::Shim, "shim-lan"));
        world.meddle(|all| all.host.as_mut().unwrap().links.push(link(7, "eth0")));
        rig.tell(News::Host(Change::Link {
            index: 7,
            name: "eth0".to_owned(),
        }));
        soon("shim-lan stands", || world.has(Kind::Shim, "shim-lan")).await;
        a_while().await;
        for spec in wanted() {
            let id = spec.id();
            assert!(world.has(id.kind, &id.name), "{id}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_route_follows_its_container_and_a_container_is_never_touched() {
    let mut stopped = bare();
    stopped.containers[0].state = ContainerState::Exited;
    let world = Outside::of(&stopped);
    let mut rig = Rig::new(wanted());
    rig.while_following(&world, async |rig| {
        soon("shim-lan stands", || world.has(Kind::Shim, "shim-lan")).await;
        assert!(!world.has(Kind::Route, "shim-lan/lab-web-1"));
        world.meddle(|all| all.containers[0].state = ContainerState::Running);
        rig.tell(News::Started {
            project: "lab".to_owned(),
        });
        soon("the route stands", || {
            world.has(Kind::Route, "shim-lan/lab-web-1")
        })
        .await;
        assert_eq!(world.memory().everything().containers, bare().containers);
    })
    .await;
}

#[tokio::test]
async fn a_container_whose_parent_went_is_told_and_left() {
    let world = Outside::of(&bare());
    let mut rig = Rig::new(wanted());
    rig.while_following(&world, async |rig| {
        soon("shim-lan stands", || world.has(Kind::Shim, "shim-lan")).await;
        a_while().await;
        let gone = |name: &str| {
            News::Host(Change::LinkGone {
                index: 2,
                name: name.to_owned(),
            })
        };
        world.meddle(|all| {
            all.resources.clear();
            all.host.as_mut().unwrap().links.truncate(1);
        });
        rig.tell(gone("shim-lan"));
        rig.tell(gone("eth0"));
        soon("the shim waits", || {
            rig.ear.count("waits for the link `eth0`") > 0
        })
        .await;
        world.meddle(|all| all.host.as_mut().unwrap().links.push(link(9, "eth0")));
        rig.tell(News::Host(Change::Link {
            index: 9,
            name: "eth0".to_owned(),
        }));
        soon("shim-lan stands", || world.has(Kind::Shim, "shim-lan")).await;
        let said = "lab: container lab-web-1 lost its link when `eth0` went away: restart it";
        assert_eq!(rig.ear.count(said), 1);
        assert_eq!(world.memory().everything().containers, bare().containers);
    })
    .await;
}

#[tokio::test]
async fn a_run_under_way_is_not_disturbed() {
    let world = Outside::of(&bare());
    let mut rig = Rig::new(wanted());
    let up = Holder {
        pid: 1,
        command: "up".to_owned(),
        since: "noon".to_owned(),
    };
    let lock = Lock::take(&rig.file("lock"), &up, Patience::None, |_| ()).await;
    rig.while_following(&world, async |rig| {
        soon("it is said", || {
            rig.ear.count("another run works on it") == 1
        })
        .await;
        assert_eq!(world.changes.load(Ordering::SeqCst), 0);
        a_while().await;
        let looks = world.looks();
        rig.tell(News::Everything);
        a_while().await;
        assert_eq!(world.looks(), looks, "it waits for the lock");
        drop(lock);
        rig.tell(News::Released);
        soon("shim-lan stands", || world.has(Kind::Shim, "shim-lan")).await;
    })
    .await;
}

#[tokio::test]
async fn a_run_that_was_cut_off_is_left_to_the_next_one() {
    let world = Outside::of(&bare());
    let mut rig = Rig::new(wanted());
    std::fs::write(rig.file("journal"), "").unwrap();
    rig.while_following(&world, async |rig| {
        soon("it is said", || rig.ear.count("a run was cut off") == 1).await;
        a_while().await;
        assert_eq!(world.changes.load(Ordering::SeqCst), 0);
        assert!(!rig.file("lock").exists());
        std::fs::remove_file(rig.file("journal")).unwrap();
        rig.tell(News::Released);
        soon("shim-lan stands", || world.has(Kind::Shim, "shim-lan")).await;
    })
    .await;
    // What is wanted is not certain while a run has not said how it ended.
    let world = Outside::of(&bare());
    let rig = Rig::new(Vec::new());
    rig.desk.records.begin(&lab(), ENGINE, &wanted()).unwrap();
    assert!(!once(&world, &rig.desk, &rig.ear).await.unwrap());
    assert_eq!(rig.ear.count("not certain what is wanted"), 1);
    assert_eq!(world.changes.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_was_taken_down_stays_down() {
    let world = Outside::of(&bare());
    let mut rig = Rig::new(wanted());
    rig.while_following(&world, async |rig| {
        soon("shim-lan stands", || world.has(Kind::Shim, "shim-lan")).await;
        a_while().await;
        rig.desk.records.remove(&lab(), ENGINE).unwrap();
        rig.tell(News::Records);
        world.meddle(|all| *all = bare());
        rig.tell(News::Everything);
        a_while().await;
        assert!(!world.has(Kind::Shim, "shim-lan"));
        // And what is brought up while it follows is in its care.
        rig.desk.records.settle(&lab(), ENGINE, wanted()).unwrap();
        rig.tell(News::Records);
        soon("shim-lan stands", || world.has(Kind::Shim, "shim-lan")).await;
    })
    .await;
    // Another engine's project of the same name is not this one's.
    let world = Outside::of(&bare());
    let rig = Rig::new(Vec::new());
    let other = "unix:///other.sock";
    rig.desk.records.settle(&lab(), other, wanted()).unwrap();
    assert!(once(&world, &rig.desk, &rig.ear).await.unwrap());
    assert_eq!(world.changes.load(Ordering::SeqCst), 0);
}
