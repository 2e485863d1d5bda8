//! Plans: what becomes of each resource, in which order, and why. The stacks are written by hand here, small; what
//! files make of them is tested elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write;

use expect_test::{Expect, expect};
use indexmap::IndexMap;

use stack::model::container::ContainerConfig;
use stack::model::mark;
use stack::model::network::{Driver, Ipam, MacvlanMode, Network, Parent, Pool, Promiscuity, Shim};
use stack::model::service::{
    Attachment, Condition, Connection, Dependency, Link, PullPolicy, Service,
};
use stack::model::stack::Stack;
use stack::plan::desired::{Desired, Wishes, desired};
use stack::plan::diff::PlanError;
use stack::plan::diff::container::Recreate;
use stack::plan::diff::down::{DownOptions, down};
use stack::plan::diff::lifecycle::{Act, Followers, lifecycle};
use stack::plan::diff::network::spec_hash;
use stack::plan::diff::up::{UpOptions, up};
use stack::plan::observed::{
    ContainerState, FoundContainer, FoundEndpoint, FoundNetwork, FoundResource, Observed,
};
use stack::plan::spec::{ContainerNetwork, Spec};
use stack::plan::step::{Milestone, Plan};

fn service(name: &str) -> Service {
    Service {
        name: name.parse().unwrap(),
        image: "lab".into(),
        build: None,
        pull_policy: PullPolicy::Missing,
        scale: 1,
        container_name: None,
        config: ContainerConfig::default(),
        connection: Connection::None,
        ports: Vec::new(),
        expose: Vec::new(),
        links: Vec::new(),
        external_links: Vec::new(),
        volumes_from: Vec::new(),
        ipc: None,
        pid: None,
        depends_on: IndexMap::new(),
        mac_address: None,
        attach: true,
        post_start: Vec::new(),
        pre_stop: Vec::new(),
        profiles: Vec::new(),
    }
}

fn on(mut service: Service, networks: &[&str]) -> Service {
    let networks = networks
        .iter()
        .map(|key| (key.parse().unwrap(), Attachment::default()));
    service.connection = Connection::Networks(networks.collect());
    service
}

fn waits(mut service: Service, other: &str, condition: Condition, restart: bool) -> Service {
    let dependency = Dependency {
        condition,
        restart,
        required: true,
        implied: false,
    };
    service
        .depends_on
        .insert(other.parse().unwrap(), dependency);
    service
}

fn network(key: &str) -> Network {
    Network {
        key: key.parse().unwrap(),
        name: format!("lab_{key}"),
        external: false,
        driver: Driver::Bridge,
        parent: None,
        options: IndexMap::new(),
        ipam: Ipam::default(),
        internal: false,
        attachable: false,
        enable_ipv4: None,
        enable_ipv6: None,
        labels: IndexMap::new(),
        promiscuous: Promiscuity::Leave,
        shim: None,
        dhcp_pool: None,
    }
}

fn lan_network(key: &str) -> Network {
    let pool = Pool {
        subnet: Some("192.168.1.0/22".parse().unwrap()),
        ip_range: Some("192.168.1.128/25".parse().unwrap()),
        gateway: Some("192.168.1.1".parse().unwrap()),
        aux_addresses: IndexMap::from([("my-router".to_owned(), "192.168.1.129".parse().unwrap())]),
    };
    Network {
        driver: Driver::Macvlan(MacvlanMode::Bridge),
        parent: Some(Parent::Link("eth0".parse().unwrap())),
        ipam: Ipam {
            pools: vec![pool],
            ..Ipam::default()
        },
        shim: Some(Shim::default()),
        ..network(key)
    }
}

fn stack(services: Vec<Service>, networks: Vec<Network>) -> Stack {
    Stack {
        project: "lab".parse().unwrap(),
        directory: "/lab".into(),
        files: vec!["/lab/stack.yaml".into()],
        environment_files: Vec::new(),
        services: services
            .into_iter()
            .map(|service| (service.name.clone(), service))
            .collect(),
        inactive: Vec::new(),
        networks: networks
            .into_iter()
            .map(|network| (network.key.clone(), network))
            .collect(),
        volumes: IndexMap::new(),
        lans: IndexMap::new(),
        checks: Vec::new(),
    }
}

fn want(stack: &Stack) -> Desired {
    desired(stack, &Wishes::default(), &Observed::default())
}

/// The world in which all that a stack wants is there and runs.
fn world_of(stack: &Stack) -> Observed {
    let mut observed = Observed::default();
    observed.images.insert("lab".into(), "sha256:1".into());
    for spec in want(stack).specs.values() {
        match spec.as_ref() {
            Spec::Network(network) => observed.networks.push(FoundNetwork {
                engine_id: format!("id-{}", network.name),
                hash: Some(spec_hash(network)),
                spec: network.clone(),
                scope: "local".into(),
                project: Some("lab".into()),
                key: Some(network.key.clone()),
                compose_hash: None,
            }),
            Spec::Container(container) => {
                let (network_mode, attachments) = match &container.network {
                    ContainerNetwork::Attached(list) => (list[0].network.clone(), list.clone()),
                    ContainerNetwork::Container(name) => {
                        (format!("container:id-{name}"), Vec::new())
                    }
                    ContainerNetwork::DefaultBridge { .. } => ("bridge".into(), Vec::new()),
                    _ => ("none".into(), Vec::new()),
                };
                let endpoint = |network: &String| FoundEndpoint {
                    network: network.clone(),
                    network_id: format!("id-{network}"),
                    ..FoundEndpoint::default()
                };
                observed.containers.push(FoundContainer {
                    engine_id: format!("id-{}", container.name),
                    name: container.name.clone(),
                    project: Some("lab".into()),
                    service: Some(container.service.clone()),
                    number: container.number,
                    one_off: false,
                    state: ContainerState::Running,
                    image: container.image.clone(),
                    image_id: "sha256:1".into(),
                    labels: container.labels.clone(),
                    network_mode,
                    endpoints: attachments
                        .iter()
                        .map(|attachment| endpoint(&attachment.network))
                        .collect(),
                    ports: Vec::new(),
                    dead_namespace_of: None,
                    volumes: Vec::new(),
                });
            }
            Spec::Image(_) => {}
            other => {
                let hash = stack::model::hash::of(other);
                let found = FoundResource {
                    spec: other.clone(),
                    hash,
                    damage: Vec::new(),
                    link: None,
                };
                observed.resources.insert(other.id(), found);
            }
        }
    }
    observed
}

/// A plan as text: a line a step with the numbers of those it waits for.
fn shown(plan: &Plan) -> String {
    let mut before: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for edge in &plan.edges {
        assert!(
            edge.from < edge.to,
            "step {} comes before {}",
            edge.from.0,
            edge.to.0
        );
        let sign = match edge.milestone {
            Milestone::Done => "",
            Milestone::Healthy => " healthy",
            Milestone::Completed => " completed",
        };
        before
            .entry(edge.to.0)
            .or_default()
            .push(format!("{}{sign}", edge.from.0));
    }
    let mut text = String::new();
    for (index, step) in plan.steps.iter().enumerate() {
        let after = before
            .get(&index)
            .map_or_else(String::new, |list| format!(" after {}", list.join(", ")));
        let farewell = if step.farewell { " (farewell)" } else { "" };
        writeln!(
            text,
            "{index} {} {}: {}{after}{farewell}",
            step.verb(),
            step.id,
            step.reason
        )
        .unwrap();
    }
    text
}

fn check_up(stack: &Stack, observed: &Observed, options: &UpOptions, expected: Expect) {
    let desired = desired(stack, &Wishes::default(), observed);
    expected.assert_eq(&shown(&up(stack, &desired, observed, options).unwrap()));
}

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
    web.config.command = Some(vec!["httpd".into()]);
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
fn a_new_alias_or_network_is_wired_live() {
    let before = stack(
        vec![on(service("web"), &["a", "b"])],
        vec![network("a"), network("b")],
    );
    let mut web = on(service("web"), &["a", "c"]);
    if let Connection::Networks(networks) = &mut web.connection {
        networks["a"].aliases.push("site".into());
    }
    let after = stack(vec![web], vec![network("a"), network("c")]);
    check_up(
        &after,
        &world_of(&before),
        &UpOptions::default(),
        expect![[r#"
            0 create network/lab_c: it is not there
            1 disconnect endpoint/lab-web-1/lab_a: changed: networks.lab_a
            2 disconnect endpoint/lab-web-1/lab_b: changed: networks.lab_b
            3 connect endpoint/lab-web-1/lab_a: changed: networks.lab_a after 1, 2
            4 connect endpoint/lab-web-1/lab_c: changed: networks.lab_c after 0, 1, 2
            5 remove network/lab_b: no longer in the file after 2 (farewell)
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
    web.config.user = Some("nobody".into());
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
fn what_is_noted_of_a_container_lets_it_be_wired_as_it_was() {
    let stack = stack(vec![on(service("web"), &["back"])], vec![network("back")]);
    let observed = world_of(&stack);
    let label = observed.containers[0]
        .labels
        .get(mark::ATTACHMENTS)
        .unwrap();
    expect![[r#"[{"network":"lab_back","aliases":["lab-web-1","web"],"ipv4_address":null,"ipv6_address":null,"link_local_ips":[],"mac_address":null,"gw_priority":null,"interface_name":null,"driver_opts":{},"links":[]}]"#]].assert_eq(label);
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

/// A network on a parent whose shim has one route for each container.
fn lan_of_routes() -> Network {
    let mut network = lan_network("lan");
    network.ipam.pools[0].ip_range = None;
    network
}

fn aliased(mut service: Service, network: &str, alias: &str) -> Service {
    if let Connection::Networks(networks) = &mut service.connection {
        networks[network].aliases.push(alias.into());
    }
    service
}

#[test]
fn the_route_to_a_rewired_container_goes_before_it_is_cut_and_comes_when_it_is_connected() {
    let web = || on(service("web"), &["lan"]);
    let before = stack(vec![web()], vec![lan_of_routes()]);
    let after = stack(vec![aliased(web(), "lan", "site")], vec![lan_of_routes()]);
    check_up(
        &after,
        &world_of(&before),
        &UpOptions::default(),
        expect![[r#"
            0 remove route/shim-lab-lan/lab-web-1: changed: its container is connected anew
            1 disconnect endpoint/lab-web-1/lab_lan: changed: networks.lab_lan after 0
            2 connect endpoint/lab-web-1/lab_lan: changed: networks.lab_lan after 1
            3 create route/shim-lab-lan/lab-web-1: changed: its container is connected anew after 0, 2
        "#]],
    );
}

#[test]
fn the_route_to_a_container_rewired_elsewhere_stays() {
    let web = || on(service("web"), &["lan", "back"]);
    let networks = || vec![lan_of_routes(), network("back")];
    let before = stack(vec![web()], networks());
    let after = stack(vec![aliased(web(), "back", "site")], networks());
    check_up(
        &after,
        &world_of(&before),
        &UpOptions::default(),
        expect![[r#"
            0 disconnect endpoint/lab-web-1/lab_back: changed: networks.lab_back
            1 connect endpoint/lab-web-1/lab_back: changed: networks.lab_back after 0
        "#]],
    );
}

#[test]
fn a_route_that_is_missing_waits_until_its_container_is_connected() {
    let before = stack(vec![on(service("web"), &["back"])], vec![network("back")]);
    let after = stack(
        vec![on(service("web"), &["back", "lan"])],
        vec![network("back"), lan_of_routes()],
    );
    check_up(
        &after,
        &world_of(&before),
        &UpOptions::default(),
        expect![[r#"
            0 create network/lab_lan: it is not there
            1 connect endpoint/lab-web-1/lab_lan: changed: networks.lab_lan after 0
            2 create shim/shim-lab-lan: it is not there after 0
            3 create route/shim-lab-lan/lab-web-1: it is not there after 1, 2
        "#]],
    );
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
