//! `down`, `stop`, `start` and `restart`: plans from what is there alone.

use expect_test::expect;

use stack::model::service::{Condition, Connection, Link, Service};
use stack::plan::diff::down::{DownOptions, down};
use stack::plan::diff::lifecycle::{Act, Followers, lifecycle};
use stack::plan::observed::{ContainerState, Observed};

use super::{lan_network, network, shown, stack, waits, world_of};
use crate::stacks::{on, service};

#[test]
fn down_goes_backwards_and_needs_no_file() {
    let mut web = waits(
        on(service("web"), &["lan", "back"]),
        "db",
        Condition::Healthy,
        false,
    );
    web.links.push(Link {
        service: "db".parse().unwrap(),
        alias: "store".into(),
    });
    let stack = stack(
        vec![web, on(service("db"), &["back"])],
        vec![lan_network("lan"), network("back")],
    );
    let observed = world_of(&stack);
    let plan = down(&stack.project, &observed, &DownOptions::default()).unwrap();
    expect![[r#"
        0 remove container/lab-web-1: down
        1 remove container/lab-db-1: down after 0
        2 remove shim/shim-lab-lan: down
        3 remove network/lab_lan: down after 0, 2
        4 remove network/lab_back: down after 0, 1
    "#]]
    .assert_eq(&shown(&plan));

    let act = Act::Restart(Followers::Left);
    let plan = lifecycle(&stack.project, &observed, act, None, None).unwrap();
    expect![[r#"
        0 stop container/lab-web-1: asked for: restart
        1 stop container/lab-db-1: asked for: restart after 0
        2 start container/lab-db-1: asked for: restart after 1
        3 start container/lab-web-1: asked for: restart after 0, 2, 2 healthy
    "#]]
    .assert_eq(&shown(&plan));
}

#[test]
fn what_an_orphan_that_stays_and_runs_is_attached_to_stays() {
    let stack = stack(
        vec![
            on(service("web"), &["front", "back"]),
            on(service("gone"), &["back"]),
        ],
        vec![network("front"), network("back")],
    );
    let mut observed = world_of(&stack);
    let options = DownOptions {
        known: Some(["web".to_owned()].into()),
        ..DownOptions::default()
    };
    let steps = |observed: &Observed| shown(&down(&stack.project, observed, &options).unwrap());
    expect![[r#"
        0 remove container/lab-web-1: down
        1 remove network/lab_front: down after 0
    "#]]
    .assert_eq(&steps(&observed));
    for found in &mut observed.containers {
        found.state = ContainerState::Exited;
    }
    expect![[r#"
        0 remove container/lab-web-1: down
        1 remove network/lab_front: down after 0
        2 remove network/lab_back: down after 0
    "#]]
    .assert_eq(&steps(&observed));
}

#[test]
fn a_restart_takes_those_along_that_say_so() {
    let follower = waits(service("web"), "db", Condition::Started, true);
    let other = waits(service("log"), "db", Condition::Started, false);
    let stack = stack(vec![follower, other, service("db")], vec![]);
    let observed = world_of(&stack);
    let only = Some(["db".to_owned()].into());
    let steps = |followers| {
        let act = Act::Restart(followers);
        let plan = lifecycle(&stack.project, &observed, act, only.as_ref(), None);
        let names: Vec<String> = plan
            .unwrap()
            .steps
            .iter()
            .map(|step| format!("{} {}", step.verb(), step.id))
            .collect();
        names.join(", ")
    };
    assert_eq!(
        steps(Followers::Restarted),
        "stop container/lab-web-1, stop container/lab-db-1, start container/lab-db-1, start container/lab-web-1"
    );
    assert_eq!(
        steps(Followers::Left),
        "stop container/lab-db-1, start container/lab-db-1"
    );
}

/// A service in the namespace of another one, as the reader makes it.
fn sharing(name: &str, owner: &str) -> Service {
    let mut service = waits(service(name), owner, Condition::Started, true);
    service.connection = Connection::Service(owner.parse().unwrap());
    service
}

/// What is done to one service of these, of which some do not run and some live in a dead namespace.
fn done(act: Act, service: &str, observed: &Observed) -> String {
    let project = "lab".parse().unwrap();
    let only = [service.to_owned()].into();
    shown(&lifecycle(&project, observed, act, Some(&only), None).unwrap())
}

fn with(mut observed: Observed, stopped: &[&str], dead: &[&str]) -> Observed {
    for found in &mut observed.containers {
        if stopped.contains(&found.name.as_str()) {
            found.state = ContainerState::Exited;
        }
        if dead.contains(&found.name.as_str()) {
            found.dead_namespace_of = Some("lab-web-1".to_owned());
        }
    }
    observed
}

#[test]
fn an_owner_that_starts_again_brings_those_along_that_share_its_namespace() {
    let services = vec![service("web"), sharing("side", "web"), service("other")];
    let world = || world_of(&stack(services.clone(), vec![]));
    let after_stop = with(world(), &["lab-web-1"], &["lab-side-1"]);
    expect![[r#"
        0 start container/lab-web-1: asked for: start
        1 stop container/lab-side-1: the network namespace of `lab-web-1` that it shared is gone
        2 start container/lab-side-1: the network namespace of `lab-web-1` that it shared is gone after 0, 1
    "#]].assert_eq(&done(Act::Start, "web", &after_stop));
    // The owner is needed to join it.
    expect![[r#"
        0 stop container/lab-side-1: the network namespace of `lab-web-1` that it shared is gone
        1 start container/lab-web-1: because of container/lab-side-1
        2 start container/lab-side-1: the network namespace of `lab-web-1` that it shared is gone after 0, 1
    "#]].assert_eq(&done(Act::Start, "side", &after_stop));
    expect![[r#"
        0 stop container/lab-side-1: asked for: restart
        1 start container/lab-web-1: because of container/lab-side-1
        2 start container/lab-side-1: asked for: restart after 0, 1
    "#]]
    .assert_eq(&done(Act::Restart(Followers::Left), "side", &after_stop));
    // Somebody restarted the owner: it runs, and the other is left behind.
    let left_behind = with(world(), &[], &["lab-side-1"]);
    expect![[r#"
        0 stop container/lab-side-1: the network namespace of `lab-web-1` that it shared is gone
        1 start container/lab-side-1: the network namespace of `lab-web-1` that it shared is gone after 0
    "#]].assert_eq(&done(Act::Start, "web", &left_behind));
    // What was stopped with its owner is not asked for.
    let both = with(world(), &["lab-web-1", "lab-side-1"], &[]);
    expect![[r#"
        0 start container/lab-web-1: asked for: start
    "#]]
    .assert_eq(&done(Act::Start, "web", &both));
    // Nobody can join a namespace whose owner is gone: what runs is left alone.
    let mut gone = left_behind;
    gone.containers.retain(|found| found.name != "lab-web-1");
    expect![[r#""#]].assert_eq(&done(Act::Start, "side", &gone));
}

#[test]
fn a_start_brings_what_is_needed_along_and_waits_for_it_as_the_file_said() {
    let web = waits(service("web"), "db", Condition::Healthy, false);
    let db = waits(
        service("db"),
        "init",
        Condition::CompletedSuccessfully,
        false,
    );
    let all = world_of(&stack(vec![web, db, service("init")], vec![]));
    let stopped = with(all.clone(), &["lab-web-1", "lab-db-1", "lab-init-1"], &[]);
    expect![[r#"
        0 start container/lab-init-1: because of container/lab-db-1
        1 start container/lab-db-1: because of container/lab-web-1 after 0, 0 completed
        2 start container/lab-web-1: asked for: start after 1, 1 healthy
    "#]]
    .assert_eq(&done(Act::Start, "web", &stopped));
    let only_web = with(all.clone(), &["lab-web-1", "lab-init-1"], &[]);
    expect![[r#"
        0 check container/lab-db-1: because of container/lab-web-1
        1 start container/lab-web-1: asked for: start after 0 healthy
    "#]]
    .assert_eq(&done(Act::Start, "web", &only_web));
    expect![[r#""#]].assert_eq(&done(Act::Start, "web", &all));
}
