//! Who reaches whom, as the rules say it. The stacks are small and written by hand; what live engines say to the same
//! ones is tested in `tests/live/reach.rs`.

use std::fmt::Write;
use std::net::IpAddr;

use expect_test::{Expect, expect};
use indexmap::IndexMap;

use stack::model::container::ContainerConfig;
use stack::model::lan::{Lan, LanHost, Switch};
use stack::model::network::{
    Driver, Ipam, IpvlanFlag, IpvlanMode, MacvlanMode, Network, Parent, Pool, Promiscuity, Shim,
};
use stack::model::port::{ExposedPort, PortRange, Protocol, PublishedPort};
use stack::model::service::{Attachment, Connection, Link, PullPolicy, Service};
use stack::model::stack::Stack;
use stack::plan::desired::Wishes;
use stack::plan::observed::Observed;
use stack::reach::facts::Facts;
use stack::reach::predict;
use stack::reach::question::{Ask, Question, Target, Viewpoint};
use stack::reach::scene::Scene;
use stack::reach::scene::build::{Moment, scene};
use stack::reach::verdict::Prediction;

pub fn service(name: &str) -> Service {
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
        expose: vec![ExposedPort {
            port: 80,
            protocol: Protocol::Tcp,
        }],
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

fn on(name: &str, networks: &[&str]) -> Service {
    let mut service = service(name);
    let networks = networks
        .iter()
        .map(|key| (key.parse().unwrap(), Attachment::default()));
    service.connection = Connection::Networks(networks.collect());
    service
}

fn published(mut service: Service, address: Option<&str>, host: u16) -> Service {
    service.ports.push(PublishedPort {
        target: 80,
        protocol: Protocol::Tcp,
        published: Some(PortRange::single(host)),
        host_ip: address.map(|address| address.parse().unwrap()),
    });
    service
}

fn network(key: &str, driver: Driver, subnet: &str) -> Network {
    Network {
        key: key.parse().unwrap(),
        name: format!("t_{key}"),
        external: false,
        driver,
        parent: None,
        options: IndexMap::new(),
        ipam: Ipam {
            pools: vec![Pool {
                subnet: Some(subnet.parse().unwrap()),
                ..Pool::default()
            }],
            ..Ipam::default()
        },
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

fn bridge(key: &str, subnet: &str) -> Network {
    network(key, Driver::Bridge, subnet)
}

fn on_parent(key: &str, driver: Driver, shim: bool) -> Network {
    let mut network = network(key, driver, "10.50.0.0/24");
    network.parent = Some(Parent::Link("lab0".parse().unwrap()));
    network.ipam.pools[0].ip_range = Some("10.50.0.64/27".parse().unwrap());
    network.ipam.pools[0].gateway = Some("10.50.0.1".parse().unwrap());
    network.shim = shim.then(Shim::default);
    network
}

fn office(switch: Switch) -> Lan {
    Lan {
        name: "office".parse().unwrap(),
        parent: "lab0".parse().unwrap(),
        subnets: vec!["10.50.0.0/24".parse().unwrap()],
        gateways: vec!["10.50.0.1".parse().unwrap()],
        nat: false,
        addresses: vec!["10.50.0.2".parse().unwrap()],
        hosts: IndexMap::from([(
            "peer".parse().unwrap(),
            LanHost {
                addresses: vec!["10.50.0.9/24".parse().unwrap()],
                vlan: None,
            },
        )]),
        switch,
        mtu: None,
    }
}

fn stack(services: Vec<Service>, networks: Vec<Network>, lans: Vec<Lan>) -> Stack {
    Stack {
        project: "t".parse().unwrap(),
        directory: "/t".into(),
        files: Vec::new(),
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
        lans: lans
            .into_iter()
            .map(|lan| (lan.name.clone(), lan))
            .collect(),
        checks: Vec::new(),
    }
}

fn old() -> Facts {
    Facts::of_engine((20, 10), (1, 41))
}

fn new() -> Facts {
    Facts::of_engine((28, 5), (1, 51))
}

fn seen(stack: &Stack, facts: Facts) -> Scene {
    let observed = Observed::default();
    scene(stack, &Wishes::default(), &observed, facts, Moment::Wanted)
}

/// `from to ask`, where `from` is a container's number-less name, `host`, `shim:NAME` or `LAN.MACHINE`, and `to` is a
/// name, an address, or `@SERVICE` for that service's first address.
fn question(scene: &Scene, text: &str) -> Question {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [from, to, ask] = words[..] else {
        panic!("`{text}` is not a question")
    };
    let container = |name: &str| format!("t-{name}-1");
    let from = match (from, from.split_once('.'), from.split_once(':')) {
        ("host", ..) => Viewpoint::Host,
        (_, _, Some(("shim", name))) => Viewpoint::Shim(name.into()),
        (_, Some((lan, "router")), _) => Viewpoint::Router(lan.into()),
        (_, Some((lan, machine)), _) => Viewpoint::Machine {
            lan: lan.into(),
            machine: machine.into(),
        },
        (name, None, _) => Viewpoint::Container(container(name)),
    };
    let mut meant = String::new();
    let to = match (to.strip_prefix('@'), to.parse::<IpAddr>()) {
        (Some(name), _) => {
            meant = container(name);
            let node = scene.containers[&meant].node;
            Target::Address(scene.addresses(node).next().unwrap())
        }
        (None, Ok(address)) => Target::Address(address),
        (None, Err(_)) => {
            meant = container(to);
            Target::Name(to.into())
        }
    };
    let ask = match ask.split_once('/') {
        Some(("tcp", port)) => Ask::Tcp(port.parse().unwrap()),
        Some(("udp", port)) => Ask::Udp(port.parse().unwrap()),
        _ if ask == "name" => Ask::Name,
        _ => Ask::Icmp,
    };
    Question {
        from,
        to,
        ask,
        meant,
    }
}

fn said(prediction: &Prediction) -> String {
    let mut text = prediction.verdict.word().to_owned();
    if let Some(obstacle) = &prediction.obstacle {
        write!(text, " {} {}", obstacle.code, obstacle.card.id).unwrap();
    }
    text
}

fn check(stack: &Stack, facts: Facts, questions: &[&str], expected: Expect) {
    let scene = seen(stack, facts);
    let mut text = String::new();
    for line in questions {
        let prediction = predict::predict(&scene, &question(&scene, line));
        writeln!(text, "{line:<32} {}", said(&prediction)).unwrap();
    }
    expected.assert_eq(&text);
}

fn two_bridges() -> Stack {
    let mut quiet = bridge("quiet", "10.30.0.0/24");
    quiet.options.insert(
        "com.docker.network.bridge.enable_icc".into(),
        "false".into(),
    );
    let mut inner = bridge("inner", "10.40.0.0/24");
    inner.internal = true;
    let mut naked = service("naked");
    naked.connection = Connection::None;
    let mut plain = service("plain");
    plain.connection = Connection::DefaultBridge;
    plain.links.push(Link {
        service: "plain2".parse().unwrap(),
        alias: "db".into(),
    });
    let mut plain2 = service("plain2");
    plain2.connection = Connection::DefaultBridge;
    let mut hosted = service("hosted");
    hosted.connection = Connection::Host;
    hosted.expose[0].port = 8080;
    let mut follower = service("follower");
    follower.connection = Connection::Service("web".parse().unwrap());
    stack(
        vec![
            published(on("web", &["front"]), None, 8000),
            on("app", &["front", "back"]),
            published(on("db", &["back"]), Some("127.0.0.1"), 8001),
            on("q1", &["quiet"]),
            published(on("q2", &["quiet"]), Some("10.10.0.1"), 8002),
            on("in1", &["inner"]),
            published(on("in2", &["inner"]), None, 8003),
            naked,
            plain2,
            plain,
            hosted,
            follower,
        ],
        vec![
            bridge("front", "10.10.0.0/24"),
            bridge("back", "10.20.0.0/24"),
            quiet,
            inner,
        ],
        vec![],
    )
}

const BRIDGE_QUESTIONS: &[&str] = &[
    "web app icmp",
    "web app tcp/80",
    "web @app tcp/81",
    "web db name",
    "web @db tcp/80",
    "app db tcp/80",
    "follower app tcp/80",
    "app 127.0.0.1 tcp/80",
    "follower 127.0.0.1 tcp/80",
    "q1 q2 name",
    "q1 q2 tcp/80",
    "q1 10.30.0.1 icmp",
    "q1 10.30.0.1 tcp/8000",
    "in1 in2 tcp/80",
    "in1 @web tcp/80",
    "in1 10.40.0.1 icmp",
    "in1 10.10.0.1 icmp",
    "in1 10.10.0.1 tcp/8000",
    "in1 10.40.0.1 tcp/8080",
    "web @in1 icmp",
    "host @in1 tcp/80",
    "host @q1 tcp/80",
    "host 127.0.0.1 tcp/8000",
    "host 10.20.0.1 tcp/8000",
    "host 127.0.0.1 tcp/8001",
    "host 10.10.0.1 tcp/8001",
    "db 10.20.0.1 tcp/8001",
    "web 10.10.0.1 tcp/8002",
    "web 10.20.0.1 tcp/8002",
    "web 10.10.0.1 tcp/8000",
    "db 10.20.0.1 tcp/8000",
    "host 127.0.0.1 tcp/8003",
    "naked 10.10.0.1 icmp",
    "naked web name",
    "plain db name",
    "plain plain2 name",
    "plain2 plain name",
    "plain @plain2 tcp/80",
    "plain @web tcp/80",
    "web 10.10.0.1 tcp/8080",
    "hosted @web tcp/80",
    "hosted web name",
    "host web name",
    "hosted 127.0.0.1 tcp/8080",
];

#[test]
fn bridges_host_and_none_on_an_old_engine() {
    check(
        &two_bridges(),
        old(),
        BRIDGE_QUESTIONS,
        expect![[r#"
        web app icmp                     ok
        web app tcp/80                   ok
        web @app tcp/81                  timeout BRIDGE_ISOLATION B2
        web db name                      nxdomain NAME_OTHER_NETWORK N6
        web @db tcp/80                   timeout BRIDGE_ISOLATION B2
        app db tcp/80                    ok
        follower app tcp/80              ok
        app 127.0.0.1 tcp/80             ok
        follower 127.0.0.1 tcp/80        ok
        q1 q2 name                       ok
        q1 q2 tcp/80                     timeout ICC_OFF B4
        q1 10.30.0.1 icmp                ok
        q1 10.30.0.1 tcp/8000            ok
        in1 in2 tcp/80                   ok
        in1 @web tcp/80                  timeout INTERNAL_NO_EXIT B9
        in1 10.40.0.1 icmp               ok
        in1 10.10.0.1 icmp               ok
        in1 10.10.0.1 tcp/8000           timeout INTERNAL_NO_EXIT B9
        in1 10.40.0.1 tcp/8080           ok
        web @in1 icmp                    timeout INTERNAL_NO_EXIT B9
        host @in1 tcp/80                 ok
        host @q1 tcp/80                  ok
        host 127.0.0.1 tcp/8000          ok
        host 10.20.0.1 tcp/8000          ok
        host 127.0.0.1 tcp/8001          ok
        host 10.10.0.1 tcp/8001          refused LOOPBACK_ONLY P4
        db 10.20.0.1 tcp/8001            refused LOOPBACK_ONLY P4
        web 10.10.0.1 tcp/8002           ok
        web 10.20.0.1 tcp/8002           refused PUBLISHED_ELSEWHERE P7
        web 10.10.0.1 tcp/8000           ok
        db 10.20.0.1 tcp/8000            ok
        host 127.0.0.1 tcp/8003          refused NOT_PUBLISHED P15
        naked 10.10.0.1 icmp             no-route NETNS_NONE H3
        naked web name                   no-route NETNS_NONE H3
        plain db name                    ok
        plain plain2 name                nxdomain NO_EMBEDDED_DNS N1
        plain2 plain name                nxdomain NO_EMBEDDED_DNS N1
        plain @plain2 tcp/80             ok
        plain @web tcp/80                timeout BRIDGE_ISOLATION B2
        web 10.10.0.1 tcp/8080           ok
        hosted @web tcp/80               ok
        hosted web name                  nxdomain NO_EMBEDDED_DNS N1
        host web name                    nxdomain NO_EMBEDDED_DNS N1
        hosted 127.0.0.1 tcp/8080        ok
    "#]],
    );
}

#[test]
fn bridges_host_and_none_on_a_new_engine() {
    check(
        &two_bridges(),
        new(),
        BRIDGE_QUESTIONS,
        expect![[r#"
        web app icmp                     ok
        web app tcp/80                   ok
        web @app tcp/81                  timeout BRIDGE_ISOLATION B2
        web db name                      nxdomain NAME_OTHER_NETWORK N6
        web @db tcp/80                   timeout BRIDGE_ISOLATION B2
        app db tcp/80                    ok
        follower app tcp/80              ok
        app 127.0.0.1 tcp/80             ok
        follower 127.0.0.1 tcp/80        ok
        q1 q2 name                       ok
        q1 q2 tcp/80                     timeout ICC_OFF B4
        q1 10.30.0.1 icmp                ok
        q1 10.30.0.1 tcp/8000            ok
        in1 in2 tcp/80                   ok
        in1 @web tcp/80                  no-route INTERNAL_NO_EXIT B3
        in1 10.40.0.1 icmp               ok
        in1 10.10.0.1 icmp               no-route INTERNAL_NO_EXIT B3
        in1 10.10.0.1 tcp/8000           no-route INTERNAL_NO_EXIT B3
        in1 10.40.0.1 tcp/8080           ok
        web @in1 icmp                    timeout INTERNAL_NO_EXIT B9
        host @in1 tcp/80                 ok
        host @q1 tcp/80                  ok
        host 127.0.0.1 tcp/8000          ok
        host 10.20.0.1 tcp/8000          ok
        host 127.0.0.1 tcp/8001          ok
        host 10.10.0.1 tcp/8001          refused LOOPBACK_ONLY P4
        db 10.20.0.1 tcp/8001            refused LOOPBACK_ONLY P4
        web 10.10.0.1 tcp/8002           ok
        web 10.20.0.1 tcp/8002           refused PUBLISHED_ELSEWHERE P7
        web 10.10.0.1 tcp/8000           ok
        db 10.20.0.1 tcp/8000            ok
        host 127.0.0.1 tcp/8003          refused NOT_PUBLISHED P15
        naked 10.10.0.1 icmp             no-route NETNS_NONE H3
        naked web name                   no-route NETNS_NONE H3
        plain db name                    ok
        plain plain2 name                nxdomain NO_EMBEDDED_DNS N1
        plain2 plain name                nxdomain NO_EMBEDDED_DNS N1
        plain @plain2 tcp/80             ok
        plain @web tcp/80                timeout BRIDGE_ISOLATION B2
        web 10.10.0.1 tcp/8080           ok
        hosted @web tcp/80               ok
        hosted web name                  nxdomain NO_EMBEDDED_DNS N1
        host web name                    nxdomain NO_EMBEDDED_DNS N1
        hosted 127.0.0.1 tcp/8080        ok
    "#]],
    );
}

#[test]
fn without_the_proxy_an_old_engine_closes_published_ports_to_other_bridges() {
    let facts = Facts {
        userland_proxy: false,
        ..old()
    };
    check(
        &two_bridges(),
        facts,
        &[
            "db 10.20.0.1 tcp/8000",
            "web 10.10.0.1 tcp/8000",
            "host 127.0.0.1 tcp/8000",
        ],
        expect![[r#"
            db 10.20.0.1 tcp/8000            timeout BRIDGE_ISOLATION B2
            web 10.10.0.1 tcp/8000           ok
            host 127.0.0.1 tcp/8000          ok
        "#]],
    );
}

const WIRE_QUESTIONS: &[&str] = &[
    "aa @bb icmp",
    "aa bb tcp/80",
    "host @aa icmp",
    "aa 10.50.0.2 icmp",
    "office.peer @aa icmp",
    "aa 10.50.0.9 icmp",
    "host 10.50.0.9 icmp",
    "aa 10.50.0.1 icmp",
    "br @aa tcp/80",
    "aa @br tcp/80",
    "aa 10.50.0.2 tcp/8000",
    "office.peer 10.50.0.2 tcp/8000",
    "office.peer @br tcp/80",
];

fn wired(driver: Driver, shim: bool, switch: Switch) -> Stack {
    stack(
        vec![
            on("aa", &["lan"]),
            on("bb", &["lan"]),
            published(on("br", &["front"]), None, 8000),
        ],
        vec![
            on_parent("lan", driver, shim),
            bridge("front", "10.10.0.0/24"),
        ],
        vec![office(switch)],
    )
}

fn wire_table(cases: &[(&str, Driver, bool, Switch)]) -> String {
    let mut text = String::new();
    for (name, driver, shim, switch) in cases {
        let stack = wired(driver.clone(), *shim, *switch);
        let scene = seen(&stack, old());
        writeln!(text, "{name}").unwrap();
        for line in WIRE_QUESTIONS {
            let prediction = predict::predict(&scene, &question(&scene, line));
            writeln!(text, "  {line:<32} {}", said(&prediction)).unwrap();
        }
    }
    text
}

#[test]
fn macvlan_as_measured() {
    let plain = Switch::default();
    let reflecting = Switch {
        reflect: true,
        ..plain
    };
    let strict = Switch {
        promiscuous: stack::model::lan::SwitchPromiscuous::Reject,
        ..plain
    };
    let mode = Driver::Macvlan;
    let cases = [
        ("bridge", mode(MacvlanMode::Bridge), false, plain),
        ("bridge, shim", mode(MacvlanMode::Bridge), true, plain),
        ("private", mode(MacvlanMode::Private), false, plain),
        ("vepa", mode(MacvlanMode::Vepa), false, plain),
        (
            "vepa, reflecting",
            mode(MacvlanMode::Vepa),
            false,
            reflecting,
        ),
        (
            "private, reflecting",
            mode(MacvlanMode::Private),
            false,
            reflecting,
        ),
        (
            "bridge, strict switch",
            mode(MacvlanMode::Bridge),
            true,
            strict,
        ),
    ];
    expect![[r#"
        bridge
          aa @bb icmp                      ok
          aa bb tcp/80                     ok
          host @aa icmp                    host-unreachable PARENT_FILTER M1
          aa 10.50.0.2 icmp                host-unreachable PARENT_FILTER M1
          office.peer @aa icmp             ok
          aa 10.50.0.9 icmp                ok
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                ok
          br @aa tcp/80                    host-unreachable PARENT_FILTER M1
          aa @br tcp/80                    no-route NO_DEFAULT_ROUTE R2
          aa 10.50.0.2 tcp/8000            host-unreachable PARENT_FILTER M1
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
        bridge, shim
          aa @bb icmp                      ok
          aa bb tcp/80                     ok
          host @aa icmp                    ok
          aa 10.50.0.2 icmp                ok
          office.peer @aa icmp             ok
          aa 10.50.0.9 icmp                ok
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                ok
          br @aa tcp/80                    ok
          aa @br tcp/80                    no-route NO_DEFAULT_ROUTE R2
          aa 10.50.0.2 tcp/8000            ok
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
        private
          aa @bb icmp                      host-unreachable MACVLAN_PRIVATE M4
          aa bb tcp/80                     host-unreachable MACVLAN_PRIVATE M4
          host @aa icmp                    host-unreachable PARENT_FILTER M1
          aa 10.50.0.2 icmp                host-unreachable PARENT_FILTER M1
          office.peer @aa icmp             ok
          aa 10.50.0.9 icmp                ok
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                ok
          br @aa tcp/80                    host-unreachable PARENT_FILTER M1
          aa @br tcp/80                    no-route NO_DEFAULT_ROUTE R2
          aa 10.50.0.2 tcp/8000            host-unreachable PARENT_FILTER M1
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
        vepa
          aa @bb icmp                      host-unreachable VEPA_NO_REFLECT M5
          aa bb tcp/80                     host-unreachable VEPA_NO_REFLECT M5
          host @aa icmp                    host-unreachable PARENT_FILTER M1
          aa 10.50.0.2 icmp                host-unreachable PARENT_FILTER M1
          office.peer @aa icmp             ok
          aa 10.50.0.9 icmp                ok
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                ok
          br @aa tcp/80                    host-unreachable PARENT_FILTER M1
          aa @br tcp/80                    no-route NO_DEFAULT_ROUTE R2
          aa 10.50.0.2 tcp/8000            host-unreachable PARENT_FILTER M1
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
        vepa, reflecting
          aa @bb icmp                      ok
          aa bb tcp/80                     ok
          host @aa icmp                    ok
          aa 10.50.0.2 icmp                ok
          office.peer @aa icmp             ok
          aa 10.50.0.9 icmp                ok
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                ok
          br @aa tcp/80                    ok
          aa @br tcp/80                    no-route NO_DEFAULT_ROUTE R2
          aa 10.50.0.2 tcp/8000            ok
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
        private, reflecting
          aa @bb icmp                      host-unreachable MACVLAN_PRIVATE M4
          aa bb tcp/80                     host-unreachable MACVLAN_PRIVATE M4
          host @aa icmp                    ok
          aa 10.50.0.2 icmp                ok
          office.peer @aa icmp             ok
          aa 10.50.0.9 icmp                ok
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                ok
          br @aa tcp/80                    ok
          aa @br tcp/80                    no-route NO_DEFAULT_ROUTE R2
          aa 10.50.0.2 tcp/8000            ok
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
        bridge, strict switch
          aa @bb icmp                      ok
          aa bb tcp/80                     ok
          host @aa icmp                    ok
          aa 10.50.0.2 icmp                ok
          office.peer @aa icmp             timeout SWITCH_DROPS_UNKNOWN FH1
          aa 10.50.0.9 icmp                host-unreachable SWITCH_DROPS_UNKNOWN FH1
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                host-unreachable SWITCH_DROPS_UNKNOWN FH1
          br @aa tcp/80                    ok
          aa @br tcp/80                    host-unreachable SWITCH_DROPS_UNKNOWN FH1
          aa 10.50.0.2 tcp/8000            ok
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
    "#]]
    .assert_eq(&wire_table(&cases));
}

#[test]
fn ipvlan_as_measured() {
    let plain = Switch::default();
    let mode = Driver::Ipvlan;
    let cases = [
        ("l2", mode(IpvlanMode::L2, IpvlanFlag::Bridge), false, plain),
        (
            "l2, shim",
            mode(IpvlanMode::L2, IpvlanFlag::Bridge),
            true,
            plain,
        ),
        (
            "l2 private",
            mode(IpvlanMode::L2, IpvlanFlag::Private),
            false,
            plain,
        ),
        ("l3", mode(IpvlanMode::L3, IpvlanFlag::Bridge), false, plain),
        (
            "l3, shim",
            mode(IpvlanMode::L3, IpvlanFlag::Bridge),
            true,
            plain,
        ),
    ];
    expect![[r#"
        l2
          aa @bb icmp                      ok
          aa bb tcp/80                     ok
          host @aa icmp                    host-unreachable PARENT_FILTER M1
          aa 10.50.0.2 icmp                host-unreachable PARENT_FILTER M1
          office.peer @aa icmp             ok
          aa 10.50.0.9 icmp                ok
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                ok
          br @aa tcp/80                    host-unreachable PARENT_FILTER M1
          aa @br tcp/80                    no-route NO_DEFAULT_ROUTE R2
          aa 10.50.0.2 tcp/8000            host-unreachable PARENT_FILTER M1
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
        l2, shim
          aa @bb icmp                      ok
          aa bb tcp/80                     ok
          host @aa icmp                    ok
          aa 10.50.0.2 icmp                ok
          office.peer @aa icmp             ok
          aa 10.50.0.9 icmp                ok
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                ok
          br @aa tcp/80                    ok
          aa @br tcp/80                    no-route NO_DEFAULT_ROUTE R2
          aa 10.50.0.2 tcp/8000            ok
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
        l2 private
          aa @bb icmp                      host-unreachable MACVLAN_PRIVATE M16
          aa bb tcp/80                     host-unreachable MACVLAN_PRIVATE M16
          host @aa icmp                    host-unreachable PARENT_FILTER M1
          aa 10.50.0.2 icmp                host-unreachable PARENT_FILTER M1
          office.peer @aa icmp             ok
          aa 10.50.0.9 icmp                ok
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                ok
          br @aa tcp/80                    host-unreachable PARENT_FILTER M1
          aa @br tcp/80                    no-route NO_DEFAULT_ROUTE R2
          aa 10.50.0.2 tcp/8000            host-unreachable PARENT_FILTER M1
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
        l3
          aa @bb icmp                      ok
          aa bb tcp/80                     ok
          host @aa icmp                    host-unreachable PARENT_FILTER M1
          aa 10.50.0.2 icmp                timeout PARENT_FILTER M1
          office.peer @aa icmp             host-unreachable IPVLAN_L3_NO_BCAST M9
          aa 10.50.0.9 icmp                timeout IPVLAN_L3_NO_BCAST M9
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                timeout IPVLAN_L3_NO_BCAST M9
          br @aa tcp/80                    host-unreachable PARENT_FILTER M1
          aa @br tcp/80                    host-unreachable NOBODY_THERE L2
          aa 10.50.0.2 tcp/8000            timeout PARENT_FILTER M1
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
        l3, shim
          aa @bb icmp                      ok
          aa bb tcp/80                     ok
          host @aa icmp                    ok
          aa 10.50.0.2 icmp                ok
          office.peer @aa icmp             host-unreachable IPVLAN_L3_NO_BCAST M9
          aa 10.50.0.9 icmp                timeout IPVLAN_L3_NO_BCAST M9
          host 10.50.0.9 icmp              ok
          aa 10.50.0.1 icmp                timeout IPVLAN_L3_NO_BCAST M9
          br @aa tcp/80                    ok
          aa @br tcp/80                    host-unreachable NOBODY_THERE L2
          aa 10.50.0.2 tcp/8000            ok
          office.peer 10.50.0.2 tcp/8000   ok
          office.peer @br tcp/80           no-route NO_DEFAULT_ROUTE R2
    "#]]
    .assert_eq(&wire_table(&cases));
}

#[test]
fn a_name_that_leads_elsewhere_is_told() {
    let mut one = on("one", &["back"]);
    let Connection::Networks(networks) = &mut one.connection else {
        unreachable!("made with networks")
    };
    networks[0].aliases = vec!["db".into()];
    let mut app = on("app", &["front", "back"]);
    app.expose.clear();
    let stack = stack(
        vec![app, one, on("db", &["front"])],
        vec![
            bridge("back", "10.20.0.0/24"),
            bridge("front", "10.10.0.0/24"),
        ],
        vec![],
    );
    check(
        &stack,
        new(),
        &["app db name", "app one name", "one app tcp/80"],
        expect![[r#"
            app db name                      wrong-target NAME_AMBIGUOUS N5
            app one name                     ok
            one app tcp/80                   depends NO_LISTENER L1
        "#]],
    );
}

#[test]
fn every_question_of_a_stack_of_fifty_services_is_answered() {
    let services = (0..50).map(|number| {
        let networks: &[&str] = if number % 2 == 0 {
            &["front"]
        } else {
            &["front", "back"]
        };
        on(&format!("s{number}"), networks)
    });
    let stack = stack(
        services.collect(),
        vec![
            bridge("front", "10.10.0.0/16"),
            bridge("back", "10.20.0.0/16"),
        ],
        vec![],
    );
    let scene = seen(&stack, new());
    let begin = std::time::Instant::now();
    let cells = predict::all(&scene);
    println!("{} cells in {:?}", cells.len(), begin.elapsed());
    // 50 viewpoints ask 49 others by two names, one name's port, and each of one or two addresses twice; the host asks
    // as much of 50.
    assert!(cells.len() > 15_000, "{}", cells.len());
    let fine = cells
        .iter()
        .filter(|cell| cell.prediction.verdict.word() == "ok")
        .count();
    assert!(fine * 10 > cells.len() * 6, "{fine} of {}", cells.len());
}
