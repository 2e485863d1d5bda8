//! Bridges, host mode, none, and published ports.

use expect_test::expect;

use stack::model::service::{Connection, Link};
use stack::model::stack::Stack;
use stack::reach::facts::Facts;

use crate::reach::build::{bridge, check, new, old, on, published, seen, service, stack};

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
            naked web name                   no-route NETNS_NONE N10
            plain db name                    ok
            plain plain2 name                nxdomain NO_EMBEDDED_DNS N1
            plain2 plain name                nxdomain NO_EMBEDDED_DNS N1
            plain @plain2 tcp/80             ok
            plain @web tcp/80                timeout BRIDGE_ISOLATION B2
            web 10.10.0.1 tcp/8080           ok
            hosted @web tcp/80               ok
            hosted web name                  nxdomain NO_EMBEDDED_DNS N9
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
            naked web name                   no-route NETNS_NONE N10
            plain db name                    ok
            plain plain2 name                nxdomain NO_EMBEDDED_DNS N1
            plain2 plain name                nxdomain NO_EMBEDDED_DNS N1
            plain @plain2 tcp/80             ok
            plain @web tcp/80                timeout BRIDGE_ISOLATION B2
            web 10.10.0.1 tcp/8080           ok
            hosted @web tcp/80               ok
            hosted web name                  nxdomain NO_EMBEDDED_DNS N9
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

#[test]
fn a_network_of_both_families_is_the_way_out_before_a_preferred_one_of_ipv4() {
    let with = |both: &[&str]| {
        let mut app = on("app", &["aa", "mm"]);
        let Connection::Networks(networks) = &mut app.connection else {
            unreachable!("made with networks")
        };
        networks[1].gw_priority = Some(1);
        let network = |key: &str, number: u8| {
            let mut network = bridge(key, &format!("10.{number}.0.0/24"));
            if both.contains(&key) {
                network.enable_ipv6 = Some(true);
                let mut pool = network.ipam.pools[0].clone();
                pool.subnet = Some(format!("fd00:{number}::/64").parse().unwrap());
                network.ipam.pools.push(pool);
            }
            network
        };
        let stack = stack(
            vec![app],
            vec![network("aa", 10), network("mm", 20)],
            vec![],
        );
        let scene = seen(&stack, new());
        let node = &scene.nodes[scene.containers["t-app-1"].node];
        let mut ways: Vec<String> = (node.routes.iter())
            .filter(|route| route.destination.prefix_len() == 0)
            .filter_map(|route| node.links[route.link].network.clone())
            .collect();
        ways.dedup();
        ways
    };
    assert_eq!(with(&[]), ["t_mm"]);
    assert_eq!(with(&["aa"]), ["t_aa"]);
    assert_eq!(with(&["aa", "mm"]), ["t_mm"]);
}

#[test]
fn what_the_engines_firewall_carries_hangs_on_the_users_own_rules() {
    let stack = stack(
        vec![on("one", &["front"]), on("two", &["front"])],
        vec![bridge("front", "10.10.0.0/24")],
        vec![],
    );
    let facts = Facts {
        user_rules: true,
        ..new()
    };
    check(
        &stack,
        facts,
        &["one two tcp/80", "host @two tcp/80", "one two name"],
        expect![[r#"
            one two tcp/80                   depends HOST_FIREWALL V8
            host @two tcp/80                 ok
            one two name                     ok
        "#]],
    );
}

#[test]
fn what_the_host_is_asked_hangs_on_its_own_rules_and_what_it_forwards_does_not() {
    let mut web = on("web", &["front"]);
    web.ports.push(stack::model::port::PublishedPort {
        target: 80,
        protocol: stack::model::port::Protocol::Tcp,
        published: Some(stack::model::port::PortRange::single(8080)),
        host_ip: None,
    });
    let stack = stack(
        vec![web, on("two", &["front"])],
        vec![bridge("front", "10.10.0.0/24")],
        vec![],
    );
    let facts = Facts {
        host_input: true,
        ..new()
    };
    check(
        &stack,
        facts,
        &[
            "two 10.10.0.1 icmp",
            "two @web tcp/80",
            "host @web tcp/80",
            "host 127.0.0.1 tcp/8080",
        ],
        expect![[r#"
            two 10.10.0.1 icmp               depends HOST_FIREWALL V9
            two @web tcp/80                  ok
            host @web tcp/80                 ok
            host 127.0.0.1 tcp/8080          ok
        "#]],
    );
}
