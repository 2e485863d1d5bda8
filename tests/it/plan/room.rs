//! What passes from one container to another: a name, a port, an address.

use expect_test::expect;
use stack::model::port::{PortRange, Protocol, PublishedPort};
use stack::model::service::{Condition, Connection, Service};
use stack::plan::check::{check, orphan};
use stack::plan::diff::up::UpOptions;
use stack::plan::observed::{ContainerState, Observed};

use super::{check_up, lan_network, network, stack, waits, want, world_of};
use crate::stacks::{on, service};

fn published(name: &str) -> Service {
    let mut service = on(service(name), &["back"]);
    service.ports.push(PublishedPort {
        target: 80,
        protocol: Protocol::Tcp,
        published: Some(PortRange::single(8080)),
        host_ip: None,
    });
    service
}

fn fixed(mut service: Service, network: &str, address: &str) -> Service {
    if let Connection::Networks(networks) = &mut service.connection {
        networks[network].ipv4_address = Some(address.parse().unwrap());
    }
    service
}

fn named(name: &str, container: &str) -> Service {
    let mut service = on(service(name), &["back"]);
    service.container_name = Some(container.to_owned());
    service
}

#[test]
fn a_renamed_service_waits_for_its_predecessors_port() {
    let before = stack(vec![published("old")], vec![network("back")]);
    let after = stack(vec![published("new")], vec![network("back")]);
    let options = UpOptions {
        remove_orphans: true,
        ..UpOptions::default()
    };
    check_up(
        &after,
        &world_of(&before),
        &options,
        expect![[r#"
        0 create container/lab-new-1: it is not there
        1 park container/lab-old-1: no longer in the file
        2 start container/lab-new-1: it is not there after 0, 1
        3 remove container/lab-old-1: no longer in the file after 1 (farewell)
    "#]],
    );
}

#[test]
fn a_renamed_service_waits_for_its_predecessors_address_and_name() {
    let of = |name: &str| {
        let mut service = fixed(on(service(name), &["lan"]), "lan", "192.168.1.140");
        service.container_name = Some("box".into());
        stack(vec![service], vec![lan_network("lan")])
    };
    let options = UpOptions {
        remove_orphans: true,
        ..UpOptions::default()
    };
    check_up(
        &of("new"),
        &world_of(&of("old")),
        &options,
        expect![[r#"
        0 park container/box: no longer in the file
        1 create container/box: it is not there after 0
        2 start container/box: it is not there after 0, 1
        3 remove container/box: no longer in the file after 0 (farewell)
    "#]],
    );
}

#[test]
fn two_services_swap_their_container_names() {
    let of = |one: &str, two: &str| {
        stack(
            vec![named("one", one), named("two", two)],
            vec![network("back")],
        )
    };
    check_up(
        &of("x", "y"),
        &world_of(&of("y", "x")),
        &UpOptions::default(),
        expect![[r#"
            0 park container/y: changed: container_name
            1 park container/x: changed: container_name
            2 create container/x: changed: container_name after 0, 1
            3 start container/x: changed: container_name after 2
            4 create container/y: changed: container_name after 0, 1
            5 start container/y: changed: container_name after 4
            6 remove container/y: changed: container_name after 0 (farewell)
            7 remove container/x: changed: container_name after 1 (farewell)
        "#]],
    );
}

#[test]
fn an_orphan_that_stays_and_holds_what_is_wanted_is_told() {
    let before = stack(vec![published("old")], vec![network("back")]);
    let after = stack(vec![published("new")], vec![network("back")]);
    let mut findings = Vec::new();
    orphan::check(&after, &want(&after), &world_of(&before), &mut findings);
    let told: Vec<&str> = findings.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "service `new` wants port 8080/tcp of the host, which container `lab-old-1` of the service `old` has, and the \
             file no longer has that service"
        ]
    );
}

#[test]
fn a_static_address_is_taken_before_others_are_handed_out() {
    let free = on(service("free"), &["lan"]);
    let near = fixed(on(service("near"), &["lan"]), "lan", "192.168.1.130");
    let stack = stack(vec![free, near], vec![lan_network("lan")]);
    check_up(
        &stack,
        &Observed::default(),
        &UpOptions::default(),
        expect![[r#"
            0 pull image/lab: it is not there
            1 create network/lab_lan: it is not there
            2 create container/lab-free-1: it is not there after 0, 1
            3 create container/lab-near-1: it is not there after 0, 1
            4 start container/lab-near-1: it is not there after 3
            5 start container/lab-free-1: it is not there after 2, 4
            6 create shim/shim-lab-lan: it is not there after 1
        "#]],
    );
}

#[test]
fn a_static_address_that_cannot_be_taken_first_is_told() {
    let free = on(service("free"), &["lan"]);
    let near = fixed(on(service("near"), &["lan"]), "lan", "192.168.1.130");
    let near = waits(near, "free", Condition::Started, false);
    let far = fixed(on(service("far"), &["lan"]), "lan", "192.168.1.200");
    let far = waits(far, "free", Condition::Started, false);
    let stack = stack(vec![free, near, far], vec![lan_network("lan")]);
    let findings = check(&stack, &want(&stack), &Observed::default());
    let told: Vec<(&str, String)> = findings
        .iter()
        .filter(|one| one.code == "address-at-risk")
        .map(|one| (one.message.as_str(), one.place.join(".")))
        .collect();
    assert_eq!(
        told,
        [(
            "service `near` is to have 192.168.1.130 in `lan`, and `free`, which starts before it, has no address there: the \
             engine may give it this one",
            "services.near.networks.lan.ipv4_address".to_owned()
        )]
    );
}

#[test]
fn a_port_that_a_container_of_others_publishes_is_told() {
    let here = stack(vec![published("web")], vec![network("back")]);
    let told = |observed: &Observed| {
        let findings = check(&here, &want(&here), observed);
        let found = findings.iter().find(|finding| finding.code == "port-taken");
        found.map_or_else(String::new, |one| format!("{} {:?}", one.message, one.hint))
    };
    let mut observed = world_of(&here);
    observed.engine.version = "28.5.2".into();
    observed.containers[0].ports = here.services["web"].ports.clone();
    // What one of the stack's own holds is its affair.
    assert_eq!(told(&observed), "");
    observed.containers[0].project = None;
    observed.containers[0].name = "hog".into();
    expect![[r#"service `web` wants port 8080/tcp of the host, which container `hog` publishes Some("publish another port, or stop that one first: docker stop hog")"#]].assert_eq(&told(&observed));
    observed.containers[0].ports[0].host_ip = Some("10.0.0.1".parse().unwrap());
    assert!(!told(&observed).is_empty());
    observed.containers[0].ports[0].published = Some(PortRange::single(8081));
    assert_eq!(told(&observed), "");
}

#[test]
fn an_address_that_the_engine_chose_is_given_up_where_the_file_asks_for_it_elsewhere() {
    let free = || on(service("free"), &["lan"]);
    let before = stack(vec![free()], vec![lan_network("lan")]);
    let near = fixed(on(service("near"), &["lan"]), "lan", "192.168.1.200");
    let after = stack(vec![free(), near], vec![lan_network("lan")]);
    let mut observed = world_of(&before);
    observed.containers[0].endpoints[0].ipv4 = Some("192.168.1.200".parse().unwrap());
    check_up(
        &after,
        &observed,
        &UpOptions::default(),
        expect![[r#"
        0 disconnect endpoint/lab-free-1/lab_lan: changed: networks.lab_lan
        1 create container/lab-near-1: it is not there
        2 start container/lab-near-1: it is not there after 0, 1
        3 connect endpoint/lab-free-1/lab_lan: changed: networks.lab_lan after 0, 2
    "#]],
    );
    // Stopped, it has no address.
    observed.containers[0].state = ContainerState::Exited;
    observed.containers[0].endpoints[0].ipv4 = None;
    check_up(
        &after,
        &observed,
        &UpOptions::default(),
        expect![[r#"
        0 start container/lab-free-1: it does not run
        1 create container/lab-near-1: it is not there
        2 start container/lab-near-1: it is not there after 1
    "#]],
    );
}
