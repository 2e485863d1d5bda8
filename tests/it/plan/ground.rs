//! What the host has where a plan would put something.

use indexmap::IndexMap;
use ipnet::IpNet;

use stack::model::mark::{LinkMark, ROUTE_PROTOCOL};
use stack::model::network::{Network, Pool};
use stack::model::stack::Stack;
use stack::plan::check::check;
use stack::plan::observed::{HostFacts, LinkFact, Observed, RouteFact};
use stack::plan::spec::Spec;

use super::wiring::lan_on;
use super::{lan_network, network, stack, want, world_of};
use crate::stacks::{on, service};

fn link(name: &str) -> LinkFact {
    LinkFact {
        name: name.to_owned(),
        up: true,
        ..LinkFact::default()
    }
}

fn route(destination: &str, link: &str, protocol: u8) -> RouteFact {
    RouteFact {
        destination: destination.parse().unwrap(),
        link: Some(link.to_owned()),
        gateway: None,
        source: None,
        protocol,
        table: 254,
        metric: 0,
    }
}

/// What is told of subnets and of the host's own addresses, with its severity.
fn told(stack: &Stack, observed: &Observed) -> Vec<String> {
    check(stack, &want(stack), observed)
        .into_iter()
        .filter(|one| ["subnet-routed", "address-of-host"].contains(&one.code))
        .map(|one| {
            let severity = if one.fatal { "Error" } else { "Warning" };
            format!("{severity} {} {}", one.code, one.place.join("."))
        })
        .collect()
}

/// A bridge with a subnet.
fn bridge() -> Network {
    let mut back = network("back");
    back.ipam.pools = vec![Pool {
        subnet: Some("10.50.3.0/24".parse().unwrap()),
        ip_range: None,
        gateway: None,
        aux_addresses: IndexMap::new(),
    }];
    back
}

fn host_with(routes: Vec<RouteFact>, links: Vec<LinkFact>) -> HostFacts {
    HostFacts {
        may_administer: true,
        links,
        routes,
        ..HostFacts::default()
    }
}

#[test]
fn a_bridge_is_held_against_the_hosts_routes() {
    let stack = stack(vec![on(service("web"), &["back"])], vec![bridge()]);
    let mut observed = Observed::default();
    let mut with = |destination: &str, link: &str, protocol: u8| {
        observed.host = Some(host_with(
            vec![route(destination, link, protocol)],
            Vec::new(),
        ));
        told(&stack, &observed)
    };
    let place = "subnet-routed networks.back.ipam.config";
    assert_eq!(with("10.50.3.0/24", "eth0", 2), [format!("Error {place}")]);
    assert_eq!(with("10.50.3.8/32", "eth0", 3), [format!("Error {place}")]);
    assert_eq!(
        with("10.50.0.0/16", "eth0", 3),
        [format!("Warning {place}")]
    );
    assert_eq!(with("0.0.0.0/0", "eth0", 3), [""; 0]);
    assert_eq!(with("0.0.0.0/1", "tun0", 3), [""; 0], "a VPN's half");
    assert_eq!(with("10.60.0.0/16", "eth0", 3), [""; 0]);
    // The engine's own bridge has routes that are not its own.
    let other = super::stack(vec![on(service("a"), &["front"])], vec![network("front")]);
    observed = world_of(&other);
    observed.networks[0].engine_id = "0123456789abcdef".into();
    for (protocol, count) in [(2, 0), (3, 1)] {
        let theirs = route("10.50.3.0/24", "br-0123456789ab", protocol);
        observed.host = Some(host_with(vec![theirs], Vec::new()));
        assert_eq!(told(&stack, &observed).len(), count, "protocol {protocol}");
    }
}

#[test]
fn a_route_of_ours_that_goes_is_in_nobodys_way() {
    let mut stack = stack(vec![on(service("web"), &["back"])], vec![bridge()]);
    let mark = |project: &str| LinkMark {
        project: project.into(),
        kind: "shim".into(),
        name: "shim-lab-back".into(),
        part: String::new(),
        hash: "0".into(),
    };
    let told_of = |stack: &Stack, project: &str| {
        let mut shim = link("shim-lab-back");
        shim.alias = Some(mark(project).to_alias());
        let routes = vec![route("10.50.3.8/32", "shim-lab-back", ROUTE_PROTOCOL)];
        let observed = Observed {
            host: Some(host_with(routes, vec![shim])),
            ..Observed::default()
        };
        told(stack, &observed)
    };
    let place = "Error subnet-routed networks.back.ipam.config";
    assert_eq!(told_of(&stack, "lab"), [""; 0]);
    assert_eq!(told_of(&stack, "other"), [place]);
    // The file has a shim, which may be this one.
    let lan = lan_network("lan");
    stack.networks.insert(lan.key.clone(), lan);
    assert_eq!(told_of(&stack, "lab"), [place]);
}

#[test]
fn a_lan_and_a_shim_are_held_against_what_the_host_has() {
    let mut stack = stack(vec![on(service("web"), &["lan"])], vec![lan_network("lan")]);
    let lan = lan_on("eth0");
    stack.lans.insert(lan.name.clone(), lan);
    let desired = want(&stack);
    let shim = desired
        .specs
        .values()
        .find_map(|spec| match spec.as_ref() {
            Spec::Shim(shim) => Some(shim.clone()),
            _ => None,
        })
        .unwrap();
    let mut observed = Observed::default();
    let mut with = |routes: Vec<RouteFact>, links: Vec<LinkFact>| {
        observed.host = Some(host_with(routes, links));
        told(&stack, &observed)
    };
    let place = "Error subnet-routed lans.office.subnet";
    assert_eq!(
        with(vec![route("192.168.1.128/26", "docker0", 3)], Vec::new()),
        [place]
    );
    let ours = vec![
        route("192.168.0.0/22", "eth0", 2),
        route("192.168.1.128/32", shim.name.as_str(), ROUTE_PROTOCOL),
    ];
    assert_eq!(with(ours, Vec::new()), [""; 0]);
    // The parent had another name in the file before.
    let mark = LinkMark {
        project: "lab".into(),
        kind: "lan".into(),
        name: "office".into(),
        part: "parent".into(),
        hash: "0".into(),
    };
    let before = LinkFact {
        alias: Some(mark.to_alias()),
        ..link("eth7")
    };
    let routes = vec![route("192.168.0.0/22", "eth7", 2)];
    assert_eq!(with(routes.clone(), vec![before]), [""; 0]);
    assert_eq!(with(routes, vec![link("eth7")]), [place]);

    let holder = |name: &str| LinkFact {
        addresses: vec![IpNet::from(shim.addresses[0])],
        ..link(name)
    };
    let taken = "Error address-of-host networks.lan.shim";
    assert_eq!(with(Vec::new(), vec![holder("docker0")]), [taken]);
    assert_eq!(with(Vec::new(), vec![holder(shim.name.as_str())]), [""; 0]);
}
