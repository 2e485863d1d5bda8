//! Endpoints of containers that stay, and the routes to them.

use std::fmt::Write;

use expect_test::expect;
use indexmap::IndexMap;

use stack::model::lan::{Lan, Switch};
use stack::model::mark;
use stack::model::network::{Network, Pool};
use stack::model::service::{Connection, Service};
use stack::model::stack::Stack;
use stack::plan::check::check;
use stack::plan::desired::{Wishes, desired};
use stack::plan::diff::up::{UpOptions, up};
use stack::plan::observed::{
    ContainerState, HostFacts, InsideFacts, InsideLink, LinkFact, Observed,
};
use stack::plan::spec::Spec;

use super::{check_up, lan_network, network, shown, stack, want, world_of};
use crate::stacks::{on, service};

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
fn what_is_noted_of_a_container_lets_it_be_wired_as_it_was() {
    let stack = stack(vec![on(service("web"), &["back"])], vec![network("back")]);
    let observed = world_of(&stack);
    let label = observed.containers[0]
        .labels
        .get(mark::ATTACHMENTS)
        .unwrap();
    expect![[r#"[{"network":"lab_back","aliases":["lab-web-1","web"],"ipv4_address":null,"ipv6_address":null,"link_local_ips":[],"mac_address":null,"gw_priority":null,"interface_name":null,"driver_opts":{},"links":[]}]"#]].assert_eq(label);
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

fn at(address: &str) -> impl Fn(Service) -> Service {
    let address = address.parse().unwrap();
    move |mut service| {
        if let Connection::Networks(networks) = &mut service.connection {
            networks["back"].ipv4_address = Some(address);
        }
        service
    }
}

#[test]
fn an_address_is_taken_when_its_holder_has_let_go_of_it() {
    let pair = |one: &str, two: &str| {
        let one = at(one)(on(service("one"), &["back"]));
        let two = at(two)(on(service("two"), &["back"]));
        stack(vec![one, two], vec![network("back")])
    };
    let before = pair("10.9.0.5", "10.9.0.6");
    let after = pair("10.9.0.6", "10.9.0.5");
    check_up(
        &after,
        &world_of(&before),
        &UpOptions::default(),
        expect![[r#"
            0 disconnect endpoint/lab-one-1/lab_back: changed: networks.lab_back
            1 disconnect endpoint/lab-two-1/lab_back: changed: networks.lab_back
            2 connect endpoint/lab-one-1/lab_back: changed: networks.lab_back after 0, 1
            3 connect endpoint/lab-two-1/lab_back: changed: networks.lab_back after 0, 1
        "#]],
    );
}

#[test]
fn a_container_that_is_there_starts_when_its_lan_is_back() {
    let mut stack = stack(vec![on(service("web"), &["lan"])], vec![lan_network("lan")]);
    let lan = lan_on("eth0");
    stack.lans.insert(lan.name.clone(), lan);
    let mut observed = world_of(&stack);
    observed.host = Some(HostFacts {
        may_administer: true,
        ..HostFacts::default()
    });
    observed.resources.clear();
    observed.containers[0].state = ContainerState::Exited;
    let plan = up(&stack, &want(&stack), &observed, &UpOptions::default()).unwrap();
    expect![[r#"
        0 create lan/office: it is not there
        1 start container/lab-web-1: it does not run after 0
        2 create shim/shim-lab-lan: it is not there after 0
    "#]]
    .assert_eq(&shown(&plan));
}

/// The stack of one container on a lan of this name, and the world in which it is up.
fn up_on_lan(name: &str, parent: &str) -> (Stack, Observed) {
    let mut stack = stack(vec![on(service("web"), &["lan"])], vec![lan_network("lan")]);
    let lan = Lan {
        name: name.parse().unwrap(),
        ..lan_on(parent)
    };
    stack.lans.insert(lan.name.clone(), lan);
    let mut observed = world_of(&stack);
    observed.host = Some(HostFacts {
        may_administer: true,
        ..HostFacts::default()
    });
    for found in observed.resources.values_mut() {
        found.link = match &found.spec {
            Spec::Lan(lan) => Some(lan.lan.parent.clone()),
            Spec::Shim(shim) => Some(shim.name.clone()),
            _ => None,
        };
    }
    (stack, observed)
}

#[test]
fn an_image_that_has_to_come_comes_before_anything_is_cut() {
    let of = |image: &str, internal: bool| {
        let mut web = on(service("web"), &["back"]);
        web.image = image.to_owned();
        let back = Network {
            internal,
            ..network("back")
        };
        stack(vec![web], vec![back])
    };
    check_up(
        &of("new", true),
        &world_of(&of("lab", false)),
        &UpOptions::default(),
        expect![[r#"
            0 pull image/new: it is not there
            1 disconnect endpoint/lab-web-1/lab_back: because of network/lab_back after 0
            2 park container/lab-web-1: changed: configuration after 0, 1
            3 remove network/lab_back: changed: internal after 1, 2
            4 create network/lab_back: changed: internal after 3
            5 create container/lab-web-1: changed: configuration after 0, 2, 4
            6 start container/lab-web-1: changed: configuration after 5
            7 remove container/lab-web-1: changed: configuration after 2 (farewell)
        "#]],
    );
}

#[test]
fn a_container_whose_link_went_with_its_parent_starts_anew() {
    let (stack, mut observed) = up_on_lan("office", "eth0");
    let inside = |outer: Option<&str>| InsideFacts {
        container: "lab-web-1".into(),
        links: vec![InsideLink {
            link: LinkFact::default(),
            outer: outer.map(str::to_owned),
        }],
    };
    let names: Vec<_> = observed
        .on_parents(&stack.project)
        .into_iter()
        .map(|found| found.name.clone())
        .collect();
    assert_eq!(names, ["lab-web-1"]);
    observed.note_inside(&[inside(Some("eth0"))]);
    check_up(&stack, &observed, &UpOptions::default(), expect![""]);
    observed.note_inside(&[inside(None)]);
    check_up(
        &stack,
        &observed,
        &UpOptions::default(),
        expect![[r#"
        0 stop container/lab-web-1: changed: its link in `lab_lan` is gone
        1 start container/lab-web-1: changed: its link in `lab_lan` is gone after 0
    "#]],
    );
}

#[test]
fn what_stands_on_a_lan_that_gets_another_name_is_made_anew() {
    let (_, observed) = up_on_lan("old", "eth0");
    let (after, _) = up_on_lan("new", "eth0");
    check_up(
        &after,
        &observed,
        &UpOptions::default(),
        expect![[r#"
        0 stop container/lab-web-1: because of lan/new
        1 remove shim/shim-lab-lan: changed: what it stands on is made anew
        2 remove lan/old: no longer in the file after 1
        3 create lan/new: it is not there after 2
        4 start container/lab-web-1: because of lan/new after 0, 3
        5 create shim/shim-lab-lan: changed: what it stands on is made anew after 1, 3
    "#]],
    );
}

#[test]
fn a_lan_that_a_network_still_sits_on_is_not_taken_out_of_the_file() {
    let (mut stack, observed) = up_on_lan("office", "eth0");
    stack.lans.clear();
    let told: Vec<String> = check(&stack, &want(&stack), &observed)
        .into_iter()
        .filter(|one| one.fatal)
        .map(|one| format!("{} {}: {}", one.code, one.place.join("."), one.message))
        .collect();
    assert_eq!(
        told,
        [
            "parent-goes networks.lan.parent: network `lan`: its parent `eth0` belongs to the lan `office`, which the file \
             no longer has: it goes, and its link with it"
        ]
    );
}

/// A lan whose parent is this link.
pub fn lan_on(parent: &str) -> Lan {
    Lan {
        name: "office".parse().unwrap(),
        parent: parent.parse().unwrap(),
        subnets: vec!["192.168.0.0/22".parse().unwrap()],
        gateways: Vec::new(),
        nat: false,
        addresses: Vec::new(),
        hosts: IndexMap::new(),
        switch: Switch::default(),
        mtu: None,
    }
}

/// An address of a container's own has a route among the shim's; two that made it would fight over it.
#[test]
fn a_shim_follows_containers_only_where_no_other_route_of_it_leads() {
    let pool = |subnet: &str| Pool {
        subnet: Some(subnet.parse().unwrap()),
        ..Pool::default()
    };
    let with = |key: &str, pools: Vec<Pool>| {
        let mut network = lan_network(key);
        network.ipam.pools = pools;
        network
    };
    let one = with("one", vec![pool("192.168.5.0/24"), pool("fd00:5::/64")]);
    let two = with("two", vec![pool("192.168.6.0/24")]);
    let mut fixed = on(service("fixed"), &["one"]);
    if let Connection::Networks(networks) = &mut fixed.connection {
        networks["one"].ipv4_address = Some("192.168.5.77".parse().unwrap());
    }
    let free = on(service("free"), &["two"]);
    let stack = stack(vec![fixed, free], vec![one, two]);
    let desired = desired(&stack, &Wishes::default(), &Observed::default());
    let mut ways = String::new();
    for spec in desired.specs.values() {
        if let Spec::Route(route) = spec.as_ref() {
            for way in &route.ways {
                writeln!(
                    ways,
                    "{}: {} from {}",
                    route.container, way.subnet, way.source
                )
                .unwrap();
            }
        }
    }
    expect![[r#"
        lab-fixed-1: fd00:5::/64 from fd00:5::ffff:ffff:ffff:fffe
        lab-free-1: 192.168.6.0/24 from 192.168.6.254
    "#]]
    .assert_eq(&ways);
}
