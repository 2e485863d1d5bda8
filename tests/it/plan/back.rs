//! `down`, `stop`, `start` and `restart`: plans from what is there alone.

use expect_test::expect;

use stack::model::service::{Condition, Link};
use stack::plan::diff::down::{DownOptions, down};
use stack::plan::diff::lifecycle::{Act, Followers, lifecycle};

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
        3 start container/lab-web-1: asked for: restart after 0, 2
    "#]]
    .assert_eq(&shown(&plan));
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
