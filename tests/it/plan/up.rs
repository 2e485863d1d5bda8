//! `up`: what is made, kept, replaced and removed, and in which order.

use std::sync::Arc;

use expect_test::expect;

use stack::model::network::Network;
use stack::model::service::{Condition, Connection, Service};
use stack::plan::desired::{Wishes, desired};
use stack::plan::diff::PlanError;
use stack::plan::diff::container::Recreate;
use stack::plan::diff::up::{UpOptions, up};
use stack::plan::observed::Observed;

use super::{check_up, lan_network, network, shown, stack, waits, want, world_of};
use crate::stacks::{on, service};

#[test]
fn a_new_stack_is_made_in_the_order_of_its_needs() {
    let web = waits(
        on(service("web"), &["lan", "back"]),
        "db",
        Condition::Healthy,
        false,
    );
    let stack = stack(
        vec![web, on(service("db"), &["back"])],
        vec![lan_network("lan"), network("back")],
    );
    check_up(
        &stack,
        &Observed::default(),
        &UpOptions::default(),
        expect![[r#"
            0 pull image/lab: it is not there
            1 create network/lab_lan: it is not there
            2 create network/lab_back: it is not there
            3 create container/lab-db-1: it is not there after 0, 2
            4 start container/lab-db-1: it is not there after 3
            5 create container/lab-web-1: it is not there after 0, 1, 2
            6 start container/lab-web-1: it is not there after 4 healthy, 5
            7 create shim/shim-lab-lan: it is not there after 1
        "#]],
    );
}

#[test]
fn a_stack_that_stands_needs_nothing() {
    let stack = stack(vec![on(service("web"), &["lan"])], vec![lan_network("lan")]);
    check_up(
        &stack,
        &world_of(&stack),
        &UpOptions::default(),
        expect![[r#""#]],
    );
}

#[test]
fn a_changed_container_is_parked_until_its_successor_stands() {
    let before = stack(vec![on(service("web"), &["back"])], vec![network("back")]);
    let mut web = on(service("web"), &["back"]);
    Arc::make_mut(&mut web.config).command = Some(vec!["httpd".into()]);
    let after = stack(vec![web], vec![network("back")]);
    check_up(
        &after,
        &world_of(&before),
        &UpOptions::default(),
        expect![[r#"
            0 park container/lab-web-1: changed: configuration
            1 create container/lab-web-1: changed: configuration after 0
            2 start container/lab-web-1: changed: configuration after 1
            3 remove container/lab-web-1: changed: configuration after 0 (farewell)
        "#]],
    );
}

#[test]
fn a_changed_network_takes_its_containers_off_and_puts_them_back() {
    let services = || vec![on(service("web"), &["back"])];
    let before = stack(services(), vec![network("back")]);
    let after = stack(
        services(),
        vec![Network {
            internal: true,
            ..network("back")
        }],
    );
    check_up(
        &after,
        &world_of(&before),
        &UpOptions::default(),
        expect![[r#"
            0 disconnect endpoint/lab-web-1/lab_back: because of network/lab_back
            1 remove network/lab_back: changed: internal after 0
            2 create network/lab_back: changed: internal after 1
            3 connect endpoint/lab-web-1/lab_back: because of network/lab_back after 0, 2
        "#]],
    );
}

#[test]
fn those_that_share_a_namespace_are_made_anew_with_its_owner() {
    let sidecar = |owner: Service| {
        let mut side = waits(service("side"), "web", Condition::Started, true);
        side.connection = Connection::Service("web".parse().unwrap());
        stack(vec![side, owner], vec![network("back")])
    };
    let before = sidecar(on(service("web"), &["back"]));
    let mut web = on(service("web"), &["back"]);
    Arc::make_mut(&mut web.config).user = Some("nobody".into());
    check_up(
        &sidecar(web),
        &world_of(&before),
        &UpOptions::default(),
        expect![[r#"
            0 park container/lab-side-1: because of container/lab-web-1
            1 park container/lab-web-1: changed: configuration after 0
            2 create container/lab-web-1: changed: configuration after 1
            3 start container/lab-web-1: changed: configuration after 2
            4 create container/lab-side-1: because of container/lab-web-1 after 0, 2
            5 start container/lab-side-1: because of container/lab-web-1 after 3, 4
            6 remove container/lab-web-1: changed: configuration after 1 (farewell)
            7 remove container/lab-side-1: because of container/lab-web-1 after 0 (farewell)
        "#]],
    );

    let mut dead = world_of(&before);
    dead.containers[0].dead_namespace_of = Some("lab-web-1".into());
    check_up(
        &before,
        &dead,
        &UpOptions::default(),
        expect![[r#"
        0 stop container/lab-side-1: the network namespace of `lab-web-1` that it shared is gone
        1 start container/lab-side-1: the network namespace of `lab-web-1` that it shared is gone after 0
    "#]],
    );
}

#[test]
fn fewer_replicas_and_services_leave_no_containers() {
    let before = stack(
        vec![
            Service {
                scale: 3,
                ..service("web")
            },
            service("old"),
        ],
        vec![],
    );
    let after = stack(vec![service("web")], vec![]);
    let options = UpOptions {
        remove_orphans: true,
        ..UpOptions::default()
    };
    check_up(
        &after,
        &world_of(&before),
        &options,
        expect![[r#"
            0 park container/lab-web-2: more than wanted
            1 park container/lab-web-3: more than wanted
            2 park container/lab-old-1: no longer in the file
            3 remove container/lab-web-2: more than wanted after 0 (farewell)
            4 remove container/lab-web-3: more than wanted after 1 (farewell)
            5 remove container/lab-old-1: no longer in the file after 2 (farewell)
        "#]],
    );
}

#[test]
fn force_recreate_follows_the_services_named() {
    let stack = stack(vec![service("a"), service("b")], vec![]);
    let forced = Recreate::Forced(Some(["b".to_owned()].into()));
    let options = UpOptions {
        recreate: forced,
        ..UpOptions::default()
    };
    check_up(
        &stack,
        &world_of(&stack),
        &options,
        expect![[r#"
        0 park container/lab-b-1: asked for: --force-recreate
        1 create container/lab-b-1: asked for: --force-recreate after 0
        2 start container/lab-b-1: asked for: --force-recreate after 1
        3 remove container/lab-b-1: asked for: --force-recreate after 0 (farewell)
    "#]],
    );
}

#[test]
fn a_network_that_the_file_dropped_goes_before_one_that_it_is_in_the_way_of() {
    let before = stack(vec![on(service("web"), &["lan"])], vec![lan_network("lan")]);
    let after = stack(
        vec![on(service("web"), &["office"])],
        vec![lan_network("office")],
    );
    check_up(
        &after,
        &world_of(&before),
        &UpOptions::default(),
        expect![[r#"
            0 disconnect endpoint/lab-web-1/lab_lan: changed: networks.lab_lan
            1 park container/lab-web-1: changed: networks (the first one) after 0
            2 remove shim/shim-lab-lan: no longer in the file
            3 remove network/lab_lan: no longer in the file after 0, 1, 2
            4 create network/lab_office: it is not there after 3
            5 create container/lab-web-1: changed: networks (the first one) after 1, 4
            6 start container/lab-web-1: changed: networks (the first one) after 5
            7 create shim/shim-lab-office: it is not there after 2, 4
            8 remove container/lab-web-1: changed: networks (the first one) after 1 (farewell)
        "#]],
    );
}

#[test]
fn a_healthy_dependency_that_runs_already_is_waited_for() {
    let db = || service("db");
    let before = stack(vec![db()], vec![]);
    let web = waits(service("web"), "db", Condition::Healthy, false);
    check_up(
        &stack(vec![web, db()], vec![]),
        &world_of(&before),
        &UpOptions::default(),
        expect![[r#"
            0 create container/lab-web-1: it is not there
            1 check container/lab-db-1: because of container/lab-web-1
            2 start container/lab-web-1: it is not there after 0, 1 healthy
        "#]],
    );
}

#[test]
fn a_circle_is_told_as_a_path() {
    let a = waits(service("a"), "b", Condition::Started, false);
    let b = waits(service("b"), "a", Condition::Started, false);
    let stack = stack(vec![a, b], vec![]);
    let error = up(
        &stack,
        &want(&stack),
        &Observed::default(),
        &UpOptions::default(),
    )
    .unwrap_err();
    assert!(matches!(error, PlanError::Cycle(_)));
    expect![
        "dependency cycle detected: container/lab-a-1 -> container/lab-b-1 -> container/lab-a-1"
    ]
    .assert_eq(&error.to_string());
}

#[test]
fn a_part_of_the_stack_leaves_the_shim_of_the_whole_as_it_is() {
    let mut fixed = on(service("fixed"), &["lan"]);
    if let Connection::Networks(networks) = &mut fixed.connection {
        networks["lan"].ipv4_address = Some("192.168.1.20".parse().unwrap());
    }
    let web = || on(service("web"), &["lan"]);
    let whole = stack(vec![fixed, web()], vec![lan_network("lan")]);
    let part = stack(vec![web()], vec![lan_network("lan")]);
    let observed = world_of(&whole);
    let wishes = Wishes {
        partial: true,
        ..Wishes::default()
    };
    let options = UpOptions {
        partial: true,
        ..UpOptions::default()
    };
    let plan = up(
        &part,
        &desired(&part, &wishes, &observed),
        &observed,
        &options,
    )
    .unwrap();
    assert_eq!(shown(&plan), "");
}

#[test]
fn a_service_keeps_the_containers_that_are_left_of_it() {
    let scaled = |scale: u32| {
        let mut web = on(service("web"), &["back"]);
        web.scale = scale;
        stack(vec![web], vec![network("back")])
    };
    let mut observed = world_of(&scaled(5));
    observed
        .containers
        .retain(|found| ![2, 4].contains(&found.number));
    let options = UpOptions::default();
    check_up(&scaled(3), &observed, &options, expect![[r#""#]]);
    check_up(
        &scaled(2),
        &observed,
        &options,
        expect![[r#"
        0 park container/lab-web-5: more than wanted
        1 remove container/lab-web-5: more than wanted after 0 (farewell)
    "#]],
    );
    check_up(
        &scaled(4),
        &observed,
        &options,
        expect![[r#"
        0 create container/lab-web-2: it is not there
        1 start container/lab-web-2: it is not there after 0
    "#]],
    );
}

#[test]
fn one_more_container_disturbs_nobody_who_follows_the_service() {
    let scaled = |scale: u32| {
        let mut web = on(service("web"), &["back"]);
        web.scale = scale;
        let follower = waits(
            on(service("log"), &["back"]),
            "web",
            Condition::Started,
            true,
        );
        stack(vec![web, follower], vec![network("back")])
    };
    let observed = world_of(&scaled(1));
    check_up(
        &scaled(2),
        &observed,
        &UpOptions::default(),
        expect![[r#"
        0 create container/lab-web-2: it is not there
        1 start container/lab-web-2: it is not there after 0
    "#]],
    );
}

#[test]
fn a_container_goes_when_the_image_of_its_successor_is_there() {
    let of = |image: &str| {
        let mut web = on(service("web"), &["back"]);
        web.image = image.to_owned();
        stack(vec![web], vec![network("back")])
    };
    let observed = world_of(&of("lab"));
    check_up(
        &of("lab:2"),
        &observed,
        &UpOptions::default(),
        expect![[r#"
        0 pull image/lab:2: it is not there
        1 park container/lab-web-1: changed: configuration after 0
        2 create container/lab-web-1: changed: configuration after 0, 1
        3 start container/lab-web-1: changed: configuration after 2
        4 remove container/lab-web-1: changed: configuration after 1 (farewell)
    "#]],
    );
}
