//! The way out of a lan.

use crate::model::lan::{Lan, LanHost, Switch};
use crate::plan::spec::{Kind, LanSpec, ResourceId, Spec};
use crate::world::host::tests::bed::{Bed, same};
use crate::world::host::{message, nftables};
use crate::world::netns::{self, Namespace};

fn spec(bed: &Bed) -> Spec {
    numbered(bed, "office", 0)
}

fn numbered(bed: &Bed, name: &str, number: usize) -> Spec {
    let net = format!("10.6{number}.0");
    Spec::Lan(LanSpec {
        lan: Lan {
            name: name.parse().unwrap(),
            parent: format!("lab{number}").parse().unwrap(),
            subnets: vec![format!("{net}.0/24").parse().unwrap()],
            gateways: vec![format!("{net}.1").parse().unwrap()],
            nat: true,
            addresses: Vec::new(),
            hosts: [(
                "laptop".parse().unwrap(),
                LanHost {
                    addresses: vec![format!("{net}.50/24").parse().unwrap()],
                    vlan: None,
                },
            )]
            .into_iter()
            .collect(),
            switch: Switch::default(),
            mtu: None,
        },
        namespace_prefix: format!("{}-{name}", bed.project),
        vlans: Vec::new(),
    })
}

/// Whether the kernel has what translation needs, tried in a namespace of its own.
fn reason_not_to(bed: &Bed) -> Option<String> {
    let everything = nftables::Masquerade {
        source: None,
        except: None,
    };
    let batch = nftables::masquerade("trial", everything);
    bed.peer
        .namespace
        .run(move || Ok(nftables::send(&batch)))
        .unwrap()
        .err()
        .map(|errno| format!("this kernel has no address translation by nftables: {errno}"))
}

async fn default_route(bed: &Bed) {
    let station = bed.station();
    let route = message::Route {
        destination: "0.0.0.0/0".parse().unwrap(),
        link: station.index("p0").await,
        gateway: Some("10.50.0.9".parse().unwrap()),
        source: None,
    };
    let mut route = message::route(&route);
    route.header.protocol = netlink_packet_route::route::RouteProtocol::Static;
    let message = netlink_packet_route::RouteNetlinkMessage::NewRoute(route);
    station
        .socket
        .act(message, netlink_packet_core::NLM_F_CREATE)
        .await
        .unwrap();
}

/// The tables of nftables in the host's namespace that are ours, as far as one can be removed.
fn table_is_there(bed: &Bed) -> bool {
    let table = format!("stack-{}-office", bed.project);
    bed.host
        .namespace()
        .run(move || Ok(nftables::send(&nftables::remove(&table))))
        .unwrap()
        .is_ok()
}

#[tokio::test]
async fn a_machine_of_a_lan_with_nat_reaches_the_hosts_neighbours() {
    let Some(bed) = Bed::new().await else { return };
    if let Some(reason) = reason_not_to(&bed) {
        println!("skipped: {reason}");
        return;
    }
    default_route(&bed).await;
    let before = bed.picture().await;
    let wanted = spec(&bed);
    bed.make(&wanted).await.unwrap();
    let laptop = Namespace::named(&format!("{}-office-laptop", bed.project)).unwrap();
    let listener = bed
        .peer
        .namespace
        .run(|| std::net::TcpListener::bind("10.50.0.9:0"))
        .unwrap();
    let target = listener.local_addr().unwrap();
    let seen = std::thread::spawn(move || listener.accept().map(|(_, peer)| peer.ip()));
    laptop
        .run(move || {
            std::net::TcpStream::connect_timeout(&target, std::time::Duration::from_secs(10))
        })
        .unwrap();
    // The neighbour sees the host's address: it has no way back to the lan, and needs none.
    let host: std::net::IpAddr = "10.50.0.2".parse().unwrap();
    assert_eq!(seen.join().unwrap().unwrap(), host);
    let id = ResourceId::new(Kind::Lan, "office");
    let found = &bed.observe().await[&id];
    assert_eq!(found.damage, Vec::<String>::new());
    assert_eq!(found.spec, wanted);
    let with = bed.picture().await;
    bed.make(&wanted).await.unwrap();
    same(&bed.picture().await, &with, "again");
    bed.remove(&wanted).await.unwrap();
    same(&bed.picture().await, &before, "removed");
    assert!(!table_is_there(&bed));
}

#[tokio::test]
async fn of_two_lans_with_nat_the_last_one_puts_the_hosts_settings_back() {
    let Some(bed) = Bed::new().await else { return };
    if let Some(reason) = reason_not_to(&bed) {
        println!("skipped: {reason}");
        return;
    }
    default_route(&bed).await;
    let before = bed.picture().await;
    let lans = [numbered(&bed, "office", 0), numbered(&bed, "annex", 1)];
    for (first, last) in [(0, 1), (1, 0)] {
        bed.make(&lans[0]).await.unwrap();
        bed.make(&lans[1]).await.unwrap();
        let forwarding = || {
            let read = || std::fs::read_to_string("/proc/sys/net/ipv4/conf/p0/forwarding");
            bed.host.namespace().run(read).unwrap()
        };
        bed.remove(&lans[first]).await.unwrap();
        assert_eq!(forwarding(), "1\n", "the other lan still needs it");
        bed.remove(&lans[last]).await.unwrap();
        same(&bed.picture().await, &before, "both removed");
    }
}

#[tokio::test]
async fn a_way_out_that_was_cut_off_anywhere_is_undone() {
    let Some(bed) = Bed::new().await else { return };
    if let Some(reason) = reason_not_to(&bed) {
        println!("skipped: {reason}");
        return;
    }
    default_route(&bed).await;
    let before = bed.picture().await;
    let wanted = spec(&bed);
    bed.host.fuse.set(None, false);
    bed.make(&wanted).await.unwrap();
    let acts = bed.host.fuse.passed();
    bed.host.fuse.set(None, false);
    bed.remove(&wanted).await.unwrap();
    let back = bed.host.fuse.passed();
    // The wire's own acts have a test of their own; the way out comes after them.
    for at in acts - 22..acts {
        bed.host.fuse.set(Some(at), true);
        assert!(bed.make(&wanted).await.is_err(), "act {at}");
        bed.host.fuse.set(None, false);
        bed.remove_observed().await;
        same(&bed.picture().await, &before, &format!("up, act {at}"));
        assert!(!table_is_there(&bed), "up, act {at}");
    }
    for at in 0..back {
        bed.make(&wanted).await.unwrap();
        bed.host.fuse.set(Some(at), true);
        assert!(bed.remove(&wanted).await.is_err(), "down, act {at}");
        bed.host.fuse.set(None, false);
        bed.remove_observed().await;
        same(&bed.picture().await, &before, &format!("down, act {at}"));
        assert!(!table_is_there(&bed), "down, act {at}");
    }
    let prefix = format!("{}-", bed.project);
    assert!(
        !netns::names()
            .unwrap()
            .iter()
            .any(|name| name.starts_with(&prefix))
    );
}

#[tokio::test]
async fn somebodys_firewall_table_with_a_name_of_ours_is_left_alone() {
    let Some(bed) = Bed::new().await else { return };
    if let Some(reason) = reason_not_to(&bed) {
        println!("skipped: {reason}");
        return;
    }
    default_route(&bed).await;
    let table = format!("stack-{}-office", bed.project);
    let words = ["add", "table", "ip", &table].map(str::to_owned);
    let added = bed.host.namespace().run(move || {
        std::process::Command::new("nft")
            .args(&words)
            .status()
            .map(|status| status.success())
    });
    if !added.is_ok_and(|added| added) {
        println!("skipped: there is no `nft` to make a table with");
        return;
    }
    let wanted = spec(&bed);
    let error = bed.make(&wanted).await.unwrap_err().to_string();
    assert!(error.contains("that stack did not make"), "{error}");
    bed.remove(&wanted).await.unwrap();
    assert!(table_is_there(&bed), "it is still there");
}
