//! Pictures, whole: of the files under `examples/` as they would be, and of a small world as it is.

use std::collections::BTreeMap;
use std::path::Path;

use expect_test::{Expect, expect, expect_file};

use stack::draw::dot::dot;
use stack::draw::found::{View, scene as found};
use stack::draw::html::html;
use stack::draw::mermaid::mermaid;
use stack::draw::svg::svg;
use stack::draw::text::text;
use stack::draw::wanted::scene as wanted;
use stack::file::files::Disk;
use stack::file::request::Request;
use stack::model::mark;
use stack::model::stack::Stack;
use stack::plan::desired::{Desired, Wishes, desired};
use stack::plan::observed::{
    ContainerState, FoundContainer, FoundEndpoint, FoundNetwork, HostFacts, InsideFacts,
    InsideLink, LinkFact, Observed, RouteFact,
};
use stack::plan::spec::{NetworkSpec, PoolSpec, ShimKind, ShimSpec, Spec};

fn example(name: &str) -> (Stack, Desired) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/{name}/stack.yaml"));
    let reading = stack::file::read(&Request::new(file.parent().unwrap()).file(&file), &Disk);
    let stack = reading.stack.unwrap();
    let desired = desired(&stack, &Wishes::default(), &Observed::default());
    (stack, desired)
}

fn check_example(name: &str, expected: Expect) {
    let (stack, desired) = example(name);
    expected.assert_eq(&text(&wanted(&stack, &desired)));
}

#[test]
fn the_main_example_is_drawn_from_its_file() {
    check_example(
        "main",
        expect![[r#"
        main: as the file says; what the engine chooses is not known yet

        network main_inside  bridge
          subnet 10.77.0.0/24
          ├─ main-web-1  as web, www
          │    shared by main-sidecar-1
          └─ main-db-1   as db

        parent lab0  192.168.77.10/24
          lan office: switch
            router          192.168.77.1
            machine laptop  192.168.77.50/24
          shim shim-main-lan  192.168.77.254/32  46:bf:6e:e0:ab:00  macvlan bridge
            route 192.168.77.20/32
            route 192.168.77.128/26
          network main_lan  macvlan bridge
            subnet 192.168.77.0/24  range 192.168.77.128/26  gateway 192.168.77.1  reserved 192.168.77.254 (stack-shim-main-lan)
            ├─ main-site-1     192.168.77.20  02:42:c0:a8:4d:14  as site
            └─ main-printer-1                                    as printer

        host: the host's own links, addresses and ports
          └─ main-onhost-1

        none: only lo
          └─ main-sealed-1
    "#]],
    );
}

#[test]
fn a_vlan_stands_on_its_base() {
    check_example(
        "macvlan-vlan",
        expect![[r#"
        macvlan-vlan: as the file says; what the engine chooses is not known yet

        parent lab5  192.168.85.10/24
          lan office: switch
            machine desk   192.168.85.50/24 10.20.0.51/24
            machine phone  10.20.0.50/24                   VLAN 20

        parent lab5.20  VLAN 20 on lab5
          shim shim-macv-a7b45  10.20.0.254/32  a2:7e:7a:cb:63:e1  macvlan bridge
            route 10.20.0.20/32
            route 10.20.0.128/26
          network macvlan-vlan_voice  macvlan bridge
            subnet 10.20.0.0/24  range 10.20.0.128/26  gateway 10.20.0.1  reserved 10.20.0.254 (stack-shim-macv-a7b45)
            └─ macvlan-vlan-exchange-1  10.20.0.20  as exchange
    "#]],
    );
}

#[test]
fn a_switch_that_rejects_says_so() {
    check_example(
        "lan-reject",
        expect![[r#"
        lan-reject: as the file says; what the engine chooses is not known yet

        parent lab9  192.168.92.10/24
          lan first: switch  drops frames to addresses it did not give
            machine laptop  192.168.92.50/24
          network lan-reject_own-mac  macvlan bridge
            subnet 192.168.92.0/24  range 192.168.92.128/26
            ├─ lan-reject-walled-1   192.168.92.20  as walled
            └─ lan-reject-sibling-1  192.168.92.21  as sibling

        parent lab10  192.168.93.10/24
          lan second: switch  drops frames to addresses it did not give
            machine laptop  192.168.93.50/24
          network lan-reject_shared-mac  ipvlan l2
            subnet 192.168.93.0/24  range 192.168.93.128/26
            └─ lan-reject-open-1  192.168.93.20  as open
    "#]],
    );
}

#[test]
fn external_default_and_options_are_drawn() {
    check_example(
        "default-bridge",
        expect![[r#"
        default-bridge: as the file says; what the engine chooses is not known yet

        network bridge  bridge  the engine's default
          ├─ default-bridge-web-1
          ├─ default-bridge-client-1
          └─ default-bridge-stranger-1
    "#]],
    );
    check_example(
        "user-bridge",
        expect![[r#"
        user-bridge: as the file says; what the engine chooses is not known yet

        network user-bridge_front  bridge  IPv6
          subnet 10.81.0.0/24  range 10.81.0.128/25  gateway 10.81.0.1
          subnet fd00:81::/64  gateway fd00:81::1
          option com.docker.network.bridge.name=br-front
          option com.docker.network.driver.mtu=1400
          ├─ user-bridge-proxy-1    10.81.0.10 fd00:81::10  as proxy, site, www
          └─ user-bridge-visitor-1                          as visitor

        network user-bridge_back  bridge  internal
          subnet 10.82.0.0/24  range 10.82.0.128/25
          ├─ user-bridge-proxy-1  as proxy
          └─ user-bridge-db-1     as db, database

        network user-bridge_quiet  bridge
          option com.docker.network.bridge.enable_icc=false
          ├─ user-bridge-mute-1-1  as mute-1
          └─ user-bridge-mute-2-1  as mute-2
    "#]],
    );
    check_example(
        "overlay",
        expect![[r#"
        overlay: as the file says; what the engine chooses is not known yet

        network overlay_wide  overlay  attachable
          subnet 10.89.0.0/24
          ├─ overlay-web-1     10.89.0.20  as web, site
          └─ overlay-client-1              as client
    "#]],
    );
}

fn network(name: &str, driver: &str, subnet: &str, options: &[(&str, &str)]) -> FoundNetwork {
    let option = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    FoundNetwork {
        engine_id: format!("{name}0123456789abcdef"),
        spec: NetworkSpec {
            name: name.into(),
            key: name.parse().unwrap(),
            driver: driver.into(),
            options: options.iter().map(option).collect(),
            ipam_driver: None,
            ipam_options: BTreeMap::new(),
            pools: vec![PoolSpec {
                subnet: Some(subnet.parse().unwrap()),
                ip_range: None,
                gateway: None,
                aux_addresses: BTreeMap::new(),
            }],
            internal: false,
            attachable: false,
            enable_ipv4: None,
            enable_ipv6: false,
            labels: BTreeMap::new(),
        },
        scope: "local".into(),
        project: Some("lab".into()),
        key: None,
        hash: Some("1".into()),
        compose_hash: None,
    }
}

fn container(name: &str, mode: &str, endpoints: &[(&str, &str)]) -> FoundContainer {
    FoundContainer {
        engine_id: format!("id-{name}"),
        name: name.into(),
        project: Some("lab".into()),
        service: None,
        number: 1,
        one_off: false,
        state: ContainerState::Running,
        image: "lab".into(),
        image_id: "sha256:1".into(),
        labels: BTreeMap::new(),
        network_mode: mode.into(),
        endpoints: endpoints
            .iter()
            .map(|(network, address)| FoundEndpoint {
                network: (*network).into(),
                ipv4: address.parse().ok(),
                ..FoundEndpoint::default()
            })
            .collect(),
        ports: Vec::new(),
        dead_namespace_of: None,
        cut_off: Vec::new(),
        volumes: Vec::new(),
    }
}

fn link(name: &str, kind: &str, addresses: &[&str]) -> LinkFact {
    LinkFact {
        name: name.into(),
        kind: kind.into(),
        up: true,
        carrier: true,
        addresses: addresses.iter().map(|one| one.parse().unwrap()).collect(),
        ..LinkFact::default()
    }
}

fn inside(container: &str, links: &[(&str, &str, &str)]) -> InsideFacts {
    InsideFacts {
        container: container.into(),
        links: links
            .iter()
            .map(|(name, address, outer)| InsideLink {
                link: LinkFact {
                    mac: Some("02:42:0a:00:00:02".parse().unwrap()),
                    ..link(name, "veth", &[address])
                },
                outer: Some((*outer).into()),
            })
            .collect(),
    }
}

/// A project with a bridge and a macvlan network with a shim, of which one container ended, one is a stranger's, and
/// two share a namespace that is not their own, one of them in a chain.
fn lab() -> Observed {
    let mut ended = container("lab-ended-1", "lab_back", &[("lab_back", "")]);
    ended.state = ContainerState::Exited;
    ended.endpoints[0].asked_ipv4 = "10.0.0.9".parse().ok();
    let mut stranger = container("stranger", "lab_back", &[("lab_back", "10.0.0.7")]);
    stranger.project = None;
    let mut web = container(
        "lab-web-1",
        "lab_back",
        &[("lab_back", "10.0.0.2"), ("lab_lan", "192.168.1.130")],
    );
    web.labels.insert(
        mark::ATTACHMENTS.into(),
        r#"[{"network":"lab_back","aliases":["lab-web-1","web","www"],"ipv4_address":null,"ipv6_address":null,"link_local_ips":[],"mac_address":null,"gw_priority":null,"interface_name":null,"driver_opts":{},"links":[]}]"#.into(),
    );
    let shim = Spec::Shim(ShimSpec {
        name: "shim-lan".parse().unwrap(),
        parent: "eth0".parse().unwrap(),
        kind: ShimKind::Macvlan(Default::default()),
        mac: None,
        addresses: vec!["192.168.1.254".parse().unwrap()],
        routes: Vec::new(),
        networks: vec!["lab_lan".into()],
    });
    let route = |destination: &str, protocol: u8| RouteFact {
        destination: destination.parse().unwrap(),
        link: Some("shim-lan".into()),
        gateway: None,
        source: None,
        protocol,
        table: 254,
        metric: 0,
    };
    let mut eth0 = link("eth0", "", &["192.168.1.5/22"]);
    eth0.promiscuous_flag = true;
    Observed {
        host: Some(HostFacts {
            links: vec![
                eth0,
                link("br-lab_back0123", "bridge", &["10.0.0.1/24"]),
                link("shim-lan", "macvlan", &["192.168.1.254/32"]),
            ],
            routes: vec![
                route("192.168.1.130/32", mark::ROUTE_PROTOCOL),
                route("192.168.2.0/24", 3),
            ],
            ..HostFacts::default()
        }),
        networks: vec![
            network("lab_back", "bridge", "10.0.0.0/24", &[]),
            network(
                "lab_lan",
                "macvlan",
                "192.168.0.0/22",
                &[("parent", "eth0")],
            ),
            FoundNetwork {
                project: Some("other".into()),
                ..network("other_net", "bridge", "10.9.0.0/24", &[])
            },
        ],
        containers: vec![
            ended,
            container("lab-chain-1", "container:id-lab-side-1", &[]),
            container("lab-side-1", "container:id-lab-web-1", &[]),
            container("lab-lost-1", "container:gone", &[]),
            container("lab-open-1", "host", &[]),
            container("lab-sealed-1", "none", &[]),
            web,
            stranger,
        ],
        resources: BTreeMap::from([(
            shim.id(),
            stack::plan::observed::FoundResource {
                spec: shim,
                hash: "1".into(),
                damage: Vec::new(),
                link: None,
            },
        )]),
        ..Observed::default()
    }
}

#[test]
fn a_world_is_drawn_as_it_is_with_both_ends_of_each_link() {
    let observed = lab();
    let links = [inside(
        "lab-web-1",
        &[
            ("eth0", "10.0.0.2/24", "veth1a2b3c"),
            ("eth1", "192.168.1.130/22", "eth0"),
        ],
    )];
    let project = "lab".parse().unwrap();
    let scene = found(&View {
        project: &project,
        observed: &observed,
        inside: &links,
        desired: None,
    });
    expect![[r#"
        lab: as it is

        network lab_back  bridge
          subnet 10.0.0.0/24
          bridge br-lab_back0123  10.0.0.1/24
          ├─                      lab-ended-1  10.0.0.9                     (exited)
          ├─ veth1a2b3c ──  eth0  lab-web-1    10.0.0.2  02:42:0a:00:00:02  as web, www
          │    shared by lab-side-1
          │    shared by lab-chain-1
          └─                      stranger     10.0.0.7                     (not of this project)

        parent eth0  192.168.1.5/22  (promiscuous)
          shim shim-lan  192.168.1.254/32  macvlan bridge
            route 192.168.1.130/32
          network lab_lan  macvlan bridge
            subnet 192.168.0.0/22
            └─ eth1  lab-web-1  192.168.1.130  02:42:0a:00:00:02
                 shared by lab-side-1
                 shared by lab-chain-1

        host: the host's own links, addresses and ports
          └─ lab-open-1

        none: only lo
          └─ lab-sealed-1

        container: the namespace of another one
          └─ lab-lost-1  (in the namespace of gone)
    "#]]
    .assert_eq(&text(&scene));
}

#[test]
fn without_the_host_only_the_engine_is_drawn_and_what_is_missing_is_told() {
    let observed = Observed {
        host: None,
        resources: BTreeMap::new(),
        networks: vec![network("lab_back", "bridge", "10.0.0.0/24", &[])],
        containers: vec![container(
            "lab-web-1",
            "lab_back",
            &[("lab_back", "10.0.0.2")],
        )],
        ..Observed::default()
    };
    let (_, desired) = example("none");
    let project = "lab".parse().unwrap();
    let scene = found(&View {
        project: &project,
        observed: &observed,
        inside: &[],
        desired: Some(&desired),
    });
    expect![[r#"
        lab: as the engine tells it; the host's links could not be read

        network lab_back  bridge
          subnet 10.0.0.0/24
          └─ lab-web-1  10.0.0.2

        wanted by the file and not there
          container none-hermit-1
    "#]]
    .assert_eq(&text(&scene));
}

#[test]
fn the_picture_beside_the_main_example_is_fresh() {
    let (stack, desired) = example("main");
    expect_file!["../../examples/main/graph.svg"].assert_eq(&svg(&wanted(&stack, &desired)));
}

#[test]
fn a_page_holds_the_picture_and_the_text_and_nothing_from_elsewhere() {
    let (stack, desired) = example("main");
    let scene = wanted(&stack, &desired);
    let page = html(&scene);
    assert!(page.contains(&svg(&scene)) && page.contains("shared by main-sidecar-1"));
    let addresses = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!addresses.contains("://"), "{page}");
}

#[test]
fn graphviz_and_mermaid_have_a_node_for_each_container_and_an_edge_for_each_joint() {
    let (stack, desired) = example("macvlan-vlan");
    let scene = wanted(&stack, &desired);
    expect![[r#"
        graph "macvlan-vlan" {
          rankdir=LR;
          node [fontname="monospace", fontsize=10];
          edge [fontname="monospace", fontsize=9];
          n0 [shape=box, label="parent lab5\n192.168.85.10/24"];
          n1 [shape=house, label="desk\n192.168.85.50/24\n10.20.0.51/24"];
          n2 [shape=house, label="phone\n10.20.0.50/24"];
          n3 [shape=box, label="parent lab5.20\nVLAN 20 on lab5"];
          n4 [shape=box, label="macvlan-vlan_voice\nmacvlan bridge\n10.20.0.0/24"];
          n5 [shape=house, label="shim shim-macv-a7b45\n10.20.0.254/32"];
          n6 [shape=ellipse, label="macvlan-vlan-exchange-1"];
          n0 -- n1 [label=""];
          n0 -- n2 [label=""];
          n3 -- n4 [label=""];
          n3 -- n5 [label=""];
          n4 -- n6 [label="10.20.0.20"];
        }
    "#]]
    .assert_eq(&dot(&scene));
    expect![[r#"
        flowchart LR
          n0["parent lab5<br/>192.168.85.10/24"]
          n1[/"desk<br/>192.168.85.50/24<br/>10.20.0.51/24"\]
          n2[/"phone<br/>10.20.0.50/24"\]
          n3["parent lab5.20<br/>VLAN 20 on lab5"]
          n4["macvlan-vlan_voice<br/>macvlan bridge<br/>10.20.0.0/24"]
          n5[/"shim shim-macv-a7b45<br/>10.20.0.254/32"\]
          n6("macvlan-vlan-exchange-1")
          n0 --- n1
          n0 --- n2
          n3 --- n4
          n3 --- n5
          n4 ---|"10.20.0.20"| n6
    "#]]
    .assert_eq(&mermaid(&scene));
}
