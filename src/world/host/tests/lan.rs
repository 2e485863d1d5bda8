//! Simulated wires, and macvlan on them.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkAttribute;

use crate::model::lan::{Lan, LanHost, Switch, SwitchPromiscuous};
use crate::model::network::MacvlanMode;
use crate::plan::spec::{Kind, LanSpec, ResourceId, ShimKind, Spec};
use crate::world::host::message;
use crate::world::host::tests::bed::{Bed, Station, same};
use crate::world::netns::{self, Namespace};

/// A lan whose namespaces no other test and no other run has.
fn spec(bed: &Bed) -> LanSpec {
    LanSpec {
        lan: Lan {
            name: "office".parse().unwrap(),
            parent: "lab0".parse().unwrap(),
            subnets: vec![
                "10.60.0.0/24".parse().unwrap(),
                "fd60::/64".parse().unwrap(),
            ],
            gateways: vec!["10.60.0.1".parse().unwrap(), "fd60::1".parse().unwrap()],
            nat: false,
            addresses: vec!["10.60.0.2".parse().unwrap()],
            hosts: [(
                "laptop".parse().unwrap(),
                LanHost {
                    addresses: vec![
                        "10.60.0.50/24".parse().unwrap(),
                        "fd60::50/64".parse().unwrap(),
                    ],
                    vlan: None,
                },
            )]
            .into_iter()
            .collect(),
            switch: Switch::default(),
            mtu: None,
        },
        namespace_prefix: format!("{}-office", bed.project),
        vlans: Vec::new(),
    }
}

fn names(bed: &Bed) -> Vec<String> {
    let prefix = format!("{}-", bed.project);
    let all = netns::names().unwrap();
    all.into_iter()
        .filter(|name| name.starts_with(&prefix))
        .collect()
}

/// A connection from one namespace to an address in another is made, be the machine as busy as it may.
fn connects(from: &Namespace, to: &Namespace, address: &str) -> bool {
    connected(from, to, address, Duration::from_secs(10))
}

/// No connection is made in the time that a neighbour would have been asked for twice.
fn is_cut_off(from: &Namespace, to: &Namespace, address: &str) -> bool {
    !connected(from, to, address, Duration::from_millis(1500))
}

fn connected(from: &Namespace, to: &Namespace, address: &str, within: Duration) -> bool {
    let address: IpAddr = address.parse().unwrap();
    let listener = to
        .run(move || TcpListener::bind(SocketAddr::new(address, 0)))
        .unwrap();
    let target = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        if let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.write_all(b"x");
        }
    });
    from.run(move || {
        let mut stream = TcpStream::connect_timeout(&target, within)?;
        stream.set_read_timeout(Some(within))?;
        stream.read_exact(&mut [0])
    })
    .is_ok()
}

/// A container on the lan's parent.
async fn container(bed: &Bed, mode: MacvlanMode, address: &str) -> Station {
    let station = Station::fresh().await.unwrap();
    let parent = bed.station().index("lab0").await;
    let mut link = message::make_child("eth0", parent, ShimKind::Macvlan(mode), None);
    link.attributes
        .push(netlink_packet_route::link::LinkAttribute::NetNsFd(
            station.namespace.raw(),
        ));
    bed.station().make(link).await.unwrap();
    station.give("eth0", address).await;
    station.up(station.index("eth0").await).await;
    station
}

#[tokio::test]
async fn a_lan_has_a_wire_a_router_and_machines_and_leaves_no_trace() {
    let Some(bed) = Bed::new().await else { return };
    let before = bed.picture().await;
    let spec = spec(&bed);
    let wanted = Spec::Lan(spec.clone());
    bed.make(&wanted).await.unwrap();
    let prefix = &spec.namespace_prefix;
    assert_eq!(
        names(&bed),
        ["laptop", "router", "switch"].map(|part| format!("{prefix}-{part}"))
    );
    let laptop = Namespace::named(&format!("{prefix}-laptop")).unwrap();
    let router = Namespace::named(&format!("{prefix}-router")).unwrap();
    let web = container(&bed, MacvlanMode::Bridge, "10.60.0.70/24").await;
    assert!(connects(&laptop, &web.namespace, "10.60.0.70"));
    assert!(connects(&web.namespace, &laptop, "10.60.0.50"));
    assert!(connects(bed.host.namespace(), &laptop, "10.60.0.50"));
    assert!(connects(bed.host.namespace(), &router, "10.60.0.1"));
    assert!(connects(&laptop, &router, "fd60::1"));
    assert!(is_cut_off(
        bed.host.namespace(),
        &web.namespace,
        "10.60.0.70"
    ));
    let observed = bed.observe().await;
    let found = &observed[&ResourceId::new(Kind::Lan, "office")];
    assert_eq!(found.damage, Vec::<String>::new());
    assert_eq!(found.spec, wanted);
    let with = bed.picture().await;
    bed.make(&wanted).await.unwrap();
    same(&bed.picture().await, &with, "again");
    // A machine that went away is mended, and the container on the wire is left alone.
    netns::unbind(&format!("{prefix}-laptop")).unwrap();
    let observed = bed.observe().await;
    assert_eq!(
        observed[&ResourceId::new(Kind::Lan, "office")].damage,
        ["its machines or settings are not those it was made with"]
    );
    drop(laptop);
    bed.make(&wanted).await.unwrap();
    let laptop = Namespace::named(&format!("{prefix}-laptop")).unwrap();
    assert!(connects(&laptop, &web.namespace, "10.60.0.70"));
    bed.remove(&wanted).await.unwrap();
    bed.remove(&wanted).await.unwrap();
    assert!(names(&bed).is_empty());
    same(&bed.picture().await, &before, "removed");
}

#[tokio::test]
async fn a_lan_that_was_cut_off_anywhere_is_finished_or_undone() {
    let Some(bed) = Bed::new().await else { return };
    let before = bed.picture().await;
    let wanted = Spec::Lan(spec(&bed));
    bed.host.fuse.set(None, false);
    bed.make(&wanted).await.unwrap();
    let acts = bed.host.fuse.passed();
    bed.remove(&wanted).await.unwrap();
    assert!(acts > 30, "only {acts} acts");
    for at in 0..acts {
        for way in ["again", "back", "observed"] {
            let trace = format!("act {at}, {way}");
            bed.host.fuse.set(Some(at), true);
            assert!(bed.make(&wanted).await.is_err(), "{trace}");
            bed.host.fuse.set(None, false);
            match way {
                "again" => {
                    bed.make(&wanted).await.unwrap();
                    let observed = bed.observe().await;
                    let found = &observed[&ResourceId::new(Kind::Lan, "office")];
                    assert_eq!(found.damage, Vec::<String>::new(), "{trace}");
                    assert_eq!(found.spec, wanted, "{trace}");
                    bed.remove(&wanted).await.unwrap();
                }
                "back" => bed.remove(&wanted).await.unwrap(),
                _ => bed.remove_observed().await,
            }
            assert!(names(&bed).is_empty(), "{trace}: {:?}", names(&bed));
            same(&bed.picture().await, &before, &trace);
        }
    }
    // The way down can be cut off as well.
    bed.make(&wanted).await.unwrap();
    bed.host.fuse.set(None, false);
    bed.remove(&wanted).await.unwrap();
    for at in 0..bed.host.fuse.passed() {
        bed.host.fuse.set(None, false);
        bed.make(&wanted).await.unwrap();
        bed.host.fuse.set(Some(at), true);
        assert!(bed.remove(&wanted).await.is_err(), "act {at}");
        bed.host.fuse.set(None, false);
        bed.remove_observed().await;
        assert!(names(&bed).is_empty(), "act {at}");
        same(&bed.picture().await, &before, &format!("down, act {at}"));
    }
}

#[tokio::test]
async fn a_switch_that_rejects_strangers_drops_what_is_for_macvlan_links() {
    let Some(bed) = Bed::new().await else { return };
    let mut spec = spec(&bed);
    spec.lan.switch.promiscuous = SwitchPromiscuous::Reject;
    bed.make(&Spec::Lan(spec.clone())).await.unwrap();
    let laptop = Namespace::named(&format!("{}-laptop", spec.namespace_prefix)).unwrap();
    let web = container(&bed, MacvlanMode::Bridge, "10.60.0.70/24").await;
    assert!(is_cut_off(&laptop, &web.namespace, "10.60.0.70"));
    assert!(connects(&laptop, bed.host.namespace(), "10.60.0.2"));
    spec.lan.switch.promiscuous = SwitchPromiscuous::Accept;
    let wanted = Spec::Lan(spec);
    bed.make(&wanted).await.unwrap();
    let observed = bed.observe().await;
    assert_eq!(observed[&ResourceId::new(Kind::Lan, "office")].spec, wanted);
    assert!(connects(&laptop, &web.namespace, "10.60.0.70"));
    bed.remove_observed().await;
}

#[tokio::test]
async fn a_switch_that_reflects_lets_vepa_links_reach_each_other() {
    let Some(bed) = Bed::new().await else { return };
    let mut spec = spec(&bed);
    // Other addresses the second time: the kernel takes its time to clear the first two namespaces away.
    for (reflect, first, second) in [
        (false, "10.60.0.70", "10.60.0.71"),
        (true, "10.60.0.80", "10.60.0.81"),
    ] {
        spec.lan.switch.reflect = reflect;
        bed.make(&Spec::Lan(spec.clone())).await.unwrap();
        let one = container(&bed, MacvlanMode::Vepa, &format!("{first}/24")).await;
        let two = container(&bed, MacvlanMode::Vepa, &format!("{second}/24")).await;
        let (one, two) = (one.namespace, two.namespace);
        assert!(match reflect {
            true => connects(&one, &two, second),
            false => is_cut_off(&one, &two, second),
        });
    }
    bed.remove_observed().await;
}

#[tokio::test]
async fn an_access_port_keeps_a_machine_in_its_vlan() {
    let Some(bed) = Bed::new().await else { return };
    let mut spec = spec(&bed);
    spec.vlans = vec![20.try_into().unwrap()];
    let machine = |address: &str, vlan: Option<u16>| LanHost {
        addresses: vec![address.parse().unwrap()],
        vlan: vlan.map(|id| id.try_into().unwrap()),
    };
    let hosts = [
        ("a", machine("10.60.20.1/24", Some(20))),
        ("b", machine("10.60.20.2/24", Some(20))),
        ("c", machine("10.60.20.3/24", None)),
    ];
    spec.lan.hosts = hosts
        .into_iter()
        .map(|(name, host)| (name.parse().unwrap(), host))
        .collect();
    let wanted = Spec::Lan(spec.clone());
    if let Err(error) = bed.make(&wanted).await {
        assert_eq!(error.kind, crate::world::ErrorKind::Unsupported, "{error}");
        println!("skipped: this kernel's bridge has no VLAN filtering: {error}");
        bed.remove_observed().await;
        return;
    }
    let [a, b, c] = ["a", "b", "c"]
        .map(|name| Namespace::named(&format!("{}-{name}", spec.namespace_prefix)).unwrap());
    assert!(connects(&a, &b, "10.60.20.2"));
    assert!(is_cut_off(&c, &b, "10.60.20.2"));
    let observed = bed.observe().await;
    let Spec::Lan(found) = &observed[&ResourceId::new(Kind::Lan, "office")].spec else {
        panic!("a lan is a lan");
    };
    assert_eq!(found.vlans, spec.vlans);
    assert_eq!(found.lan.hosts, spec.lan.hosts);
    bed.remove_observed().await;
}

#[tokio::test]
async fn a_parent_that_somebody_narrowed_is_as_wide_as_it_was_made() {
    let Some(bed) = Bed::new().await else { return };
    let wanted = Spec::Lan(spec(&bed));
    bed.make(&wanted).await.unwrap();
    let station = bed.station();
    let index = station.index("lab0").await;
    let narrow = message::set(index, LinkAttribute::Mtu(1400));
    let narrow = RouteNetlinkMessage::SetLink(narrow);
    station.socket.act(narrow, 0).await.unwrap();
    assert!(!bed.observe().await[&wanted.id()].damage.is_empty());
    bed.make(&wanted).await.unwrap();
    let found = &bed.observe().await[&wanted.id()];
    assert_eq!(found.damage, Vec::<String>::new());
    // It is the same link: what sits on it stays.
    assert_eq!(station.index("lab0").await, index);
    bed.remove(&wanted).await.unwrap();
}
