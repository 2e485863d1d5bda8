//! Small stacks written by hand, and questions about them in one line each.

use std::fmt::Write;
use std::net::IpAddr;

use expect_test::Expect;
use indexmap::IndexMap;

use stack::diagnostic::render::{Colour, text as diagnostics};
use stack::file::files::Disk;
use stack::file::request::{Request, Text};
use stack::model::lan::{Lan, LanHost, Switch};
use stack::model::network::{Driver, Ipam, Network, Parent, Pool, Shim};
use stack::model::port::{ExposedPort, PortRange, Protocol, PublishedPort};
use stack::model::service::Service;
use stack::model::stack::Stack;
use stack::plan::desired::Wishes;
use stack::plan::observed::Observed;
use stack::reach::facts::Facts;
use stack::reach::predict;
use stack::reach::question::{Ask, Question, Target, Viewpoint};
use stack::reach::scene::Scene;
use stack::reach::scene::build::scene;
use stack::reach::scene::draft::Moment;
use stack::reach::verdict::Prediction;

use crate::stacks;

pub fn service(name: &str) -> Service {
    Service {
        expose: vec![ExposedPort {
            port: 80,
            protocol: Protocol::Tcp,
        }],
        ..stacks::service(name)
    }
}

pub fn on(name: &str, networks: &[&str]) -> Service {
    stacks::on(service(name), networks)
}

pub fn published(mut service: Service, address: Option<&str>, host: u16) -> Service {
    service.ports.push(PublishedPort {
        target: 80,
        protocol: Protocol::Tcp,
        published: Some(PortRange::single(host)),
        host_ip: address.map(|address| address.parse().unwrap()),
    });
    service
}

pub fn network(key: &str, driver: Driver, subnet: &str) -> Network {
    Network {
        driver,
        ipam: Ipam {
            pools: vec![Pool {
                subnet: Some(subnet.parse().unwrap()),
                ..Pool::default()
            }],
            ..Ipam::default()
        },
        ..stacks::network("t", key)
    }
}

pub fn bridge(key: &str, subnet: &str) -> Network {
    network(key, Driver::Bridge, subnet)
}

pub fn on_parent(key: &str, driver: Driver, shim: bool) -> Network {
    let mut network = network(key, driver, "10.50.0.0/24");
    network.parent = Some(Parent::Link("lab0".parse().unwrap()));
    network.ipam.pools[0].ip_range = Some("10.50.0.64/27".parse().unwrap());
    network.ipam.pools[0].gateway = Some("10.50.0.1".parse().unwrap());
    network.shim = shim.then(Shim::default);
    network
}

pub fn office(switch: Switch) -> Lan {
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

pub fn stack(services: Vec<Service>, networks: Vec<Network>, lans: Vec<Lan>) -> Stack {
    Stack {
        lans: lans
            .into_iter()
            .map(|lan| (lan.name.clone(), lan))
            .collect(),
        ..stacks::stack("t", services, networks)
    }
}

pub fn old() -> Facts {
    Facts::of_engine((20, 10), (1, 41))
}

pub fn new() -> Facts {
    Facts::of_engine((28, 5), (1, 51))
}

pub fn seen(stack: &Stack, facts: Facts) -> Scene {
    let observed = Observed::default();
    scene(stack, &Wishes::default(), &observed, facts, Moment::Wanted)
}

/// `from to ask`, where `from` is a container's number-less name, `host`, `shim:NAME` or `LAN.MACHINE`, and `to` is a
/// name, an address, or `@SERVICE` for that service's first address.
pub fn question(scene: &Scene, text: &str) -> Question {
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

pub fn said(prediction: &Prediction) -> String {
    let mut text = prediction.verdict.word().to_owned();
    if let Some(obstacle) = &prediction.obstacle {
        write!(text, " {} {}", obstacle.code, obstacle.card.id).unwrap();
    }
    text
}

pub fn check(stack: &Stack, facts: Facts, questions: &[&str], expected: Expect) {
    let scene = seen(stack, facts);
    let mut text = String::new();
    for line in questions {
        let prediction = predict::predict(&scene, &question(&scene, line));
        writeln!(text, "{line:<32} {}", said(&prediction)).unwrap();
    }
    expected.assert_eq(&text);
}

/// The stack of a text, as project `t`.
pub fn read(text: &str) -> Stack {
    let mut request = Request::new("/t");
    request.files = vec![Text::Inline(text.into())];
    request.project_name = Some("t".into());
    whole(&request)
}

fn whole(request: &Request) -> Stack {
    let reading = stack::file::read(request, &Disk);
    let told = diagnostics(&reading.diagnostics, &reading.sources, Colour::Never);
    reading.stack.unwrap_or_else(|| panic!("not read:\n{told}"))
}
