//! Shims on a veth parent.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkAttribute;
use nix::errno::Errno;

use crate::model::network::{IpvlanFlag, IpvlanMode, MacvlanMode};
use crate::plan::spec::{Kind, ResourceId, ShimKind, ShimRoute, ShimSpec, Spec};
use crate::world::ErrorKind;
use crate::world::host::message;
use crate::world::host::packet::{Claimed, PacketSocket, claimed};
use crate::world::host::tests::bed::{Bed, Station, cut_off_anywhere, same, unnumbered};
use crate::world::netns::Namespace;

const BRIDGE: ShimKind = ShimKind::Macvlan(MacvlanMode::Bridge);

fn route(destination: &str, source: &str) -> ShimRoute {
    ShimRoute {
        destination: destination.parse().unwrap(),
        source: source.parse().unwrap(),
    }
}

fn spec(kind: ShimKind) -> ShimSpec {
    ShimSpec {
        name: "shim-lan".parse().unwrap(),
        parent: "p0".parse().unwrap(),
        kind,
        mac: match kind {
            ShimKind::Macvlan(_) => Some("02:00:00:00:00:70".parse().unwrap()),
            ShimKind::Ipvlan(..) => None,
        },
        addresses: vec!["10.50.0.70".parse().unwrap(), "fd50::70".parse().unwrap()],
        routes: vec![
            route("10.50.0.64/27", "10.50.0.70"),
            route("fd50::40/123", "fd50::70"),
        ],
        networks: vec!["lab_lan".to_owned()],
    }
}

/// Listens in one namespace, connects from another, and gives the address that the listener saw.
fn connect(from: &Namespace, to: &Station, address: &str) -> std::io::Result<IpAddr> {
    let address: IpAddr = address.parse().unwrap();
    let listener = to
        .namespace
        .run(move || TcpListener::bind(SocketAddr::new(address, 0)))?;
    let target = listener.local_addr()?;
    let listening = std::thread::spawn(move || -> std::io::Result<IpAddr> {
        let (mut stream, peer) = listener.accept()?;
        stream.write_all(b"x")?;
        Ok(peer.ip())
    });
    from.run(move || {
        let mut stream = TcpStream::connect_timeout(&target, Duration::from_secs(5))?;
        stream.read_exact(&mut [0])
    })?;
    listening.join().unwrap()
}

async fn reaches(kind: ShimKind) {
    let Some(bed) = Bed::new().await else { return };
    let mac = match kind {
        ShimKind::Macvlan(_) => Some("02:00:00:00:00:65".parse().unwrap()),
        ShimKind::Ipvlan(..) => None,
    };
    let container = match bed
        .container(kind, mac, &["10.50.0.65/24", "fd50::41/64"])
        .await
    {
        Ok(container) => container,
        Err(error) if error.errno == Errno::EOPNOTSUPP => {
            println!("skipped: the kernel has no link of this kind: {kind:?}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let before = bed.picture().await;
    let wanted = Spec::Shim(spec(kind));
    assert!(
        connect(bed.host.namespace(), &container, "10.50.0.65").is_err(),
        "the kernel keeps parent and children apart"
    );
    // The failed connection leaves an entry that says `unreachable` for up to three seconds on the parent, not here.
    bed.make(&wanted).await.unwrap();
    assert_eq!(*bed.told.0.lock().unwrap(), Vec::<String>::new());
    assert_eq!(
        connect(bed.host.namespace(), &container, "10.50.0.65").unwrap(),
        "10.50.0.70".parse::<IpAddr>().unwrap()
    );
    assert_eq!(
        connect(bed.host.namespace(), &container, "fd50::41").unwrap(),
        "fd50::70".parse::<IpAddr>().unwrap()
    );
    // The other way round, to the host's own address, with the kernel's usual settings.
    let back = connect(&container.namespace, &bed.station(), "10.50.0.2").unwrap();
    assert_eq!(back, "10.50.0.65".parse::<IpAddr>().unwrap());
    let observed = bed.observe().await;
    let found = &observed[&ResourceId::new(Kind::Shim, "shim-lan")];
    assert_eq!(found.damage, Vec::<String>::new());
    assert_eq!(found.spec, wanted);
    assert_eq!(found.hash, crate::model::hash::of(&wanted)[..16]);
    let with = bed.picture().await;
    bed.make(&wanted).await.unwrap();
    same(&bed.picture().await, &with, "");
    bed.remove(&wanted).await.unwrap();
    bed.remove(&wanted).await.unwrap();
    same(&bed.picture().await, &before, "");
}

#[tokio::test]
async fn a_macvlan_shim_reaches_its_container_and_leaves_no_trace() {
    reaches(BRIDGE).await;
}

#[tokio::test]
async fn an_ipvlan_shim_reaches_its_container_and_leaves_no_trace() {
    reaches(ShimKind::Ipvlan(IpvlanMode::L2, IpvlanFlag::Bridge)).await;
}

/// Cuts the making off at every act, once as a failure and once as a death, and goes each of three ways from there:
/// again, back, and back by observation alone.
#[tokio::test]
async fn a_shim_that_was_cut_off_anywhere_is_finished_or_undone() {
    let Some(mut bed) = Bed::new().await else {
        return;
    };
    // There is nobody on this wire who could answer, and it is made a hundred times.
    bed.host.patience = Duration::from_millis(5);
    let wanted = Spec::Shim(spec(BRIDGE));
    let before = bed.picture().await;
    bed.host.fuse.set(None, false);
    bed.make(&wanted).await.unwrap();
    let acts = bed.host.fuse.passed();
    let with = bed.picture().await;
    bed.remove(&wanted).await.unwrap();
    assert!(acts >= 10, "only {acts} acts");
    for at in 0..acts {
        for dead in [false, true] {
            for way in ["again", "back", "observed"] {
                bed.host.fuse.set(Some(at), dead);
                let cut = bed.make(&wanted).await;
                assert!(cut.is_err(), "act {at} was not needed");
                bed.host.fuse.set(None, false);
                let trace = format!("act {at}, dead {dead}, {way}");
                match way {
                    "again" => {
                        bed.make(&wanted).await.unwrap();
                        same(
                            &unnumbered(bed.picture().await),
                            &unnumbered(with.clone()),
                            &trace,
                        );
                        bed.remove(&wanted).await.unwrap();
                    }
                    "back" => bed.remove(&wanted).await.unwrap(),
                    _ => bed.remove_observed().await,
                }
                same(&bed.picture().await, &before, &trace);
            }
        }
    }
    let trail = bed.told.0.lock().unwrap().clone();
    assert_eq!(trail, Vec::<String>::new());
}

#[tokio::test]
async fn a_changed_shim_keeps_its_link_where_it_can() {
    let Some(bed) = Bed::new().await else { return };
    let before = bed.picture().await;
    let mut spec = spec(BRIDGE);
    bed.make(&Spec::Shim(spec.clone())).await.unwrap();
    let index = bed.station().index("shim-lan").await;
    spec.addresses = vec!["10.50.0.71".parse().unwrap()];
    spec.routes = vec![route("10.50.0.96/27", "10.50.0.71")];
    spec.networks.push("lab_two".to_owned());
    bed.make(&Spec::Shim(spec.clone())).await.unwrap();
    assert_eq!(bed.station().index("shim-lan").await, index);
    let id = ResourceId::new(Kind::Shim, "shim-lan");
    assert_eq!(bed.observe().await[&id].spec, Spec::Shim(spec.clone()));
    spec.mac = Some("02:00:00:00:00:71".parse().unwrap());
    bed.make(&Spec::Shim(spec.clone())).await.unwrap();
    assert_ne!(bed.station().index("shim-lan").await, index);
    assert_eq!(bed.observe().await[&id].spec, Spec::Shim(spec.clone()));
    // Somebody switches it off and on: its routes are gone, and that is seen and mended.
    let index = bed.station().index("shim-lan").await;
    bed.station().down(index).await;
    assert_eq!(
        bed.observe().await[&id].damage,
        ["it is down", "its routes are gone"]
    );
    bed.station().up(index).await;
    assert_eq!(
        bed.observe().await[&id].damage,
        ["its addresses or routes are not those it was made with"]
    );
    bed.make(&Spec::Shim(spec.clone())).await.unwrap();
    assert!(bed.observe().await[&id].damage.is_empty());
    bed.remove_observed().await;
    same(&bed.picture().await, &before, "");
}

#[tokio::test]
async fn what_is_not_ours_is_never_changed() {
    let Some(bed) = Bed::new().await else { return };
    let parent = bed.station().index("p0").await;
    let link = message::make_child("shim-lan", parent, BRIDGE, None);
    bed.station().make(link).await.unwrap();
    let mut alias = message::link(bed.station().index("shim-lan").await);
    alias
        .attributes
        .push(netlink_packet_route::link::LinkAttribute::IfAlias(
            "stack project=other kind=shim name=shim-lan part= hash=0".to_owned(),
        ));
    let alias = netlink_packet_route::RouteNetlinkMessage::SetLink(alias);
    bed.station().socket.act(alias, 0).await.unwrap();
    let before = bed.picture().await;
    let wanted = Spec::Shim(spec(BRIDGE));
    let error = bed.make(&wanted).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Taken);
    assert_eq!(
        error.to_string(),
        "cannot make the link `shim-lan`: the name is taken: it belongs to the project `other`"
    );
    bed.remove(&wanted).await.unwrap();
    assert!(bed.observe().await.is_empty());
    same(&bed.picture().await, &before, "");
}

#[tokio::test]
async fn the_kernels_refusals_say_what_to_do() {
    let Some(bed) = Bed::new().await else { return };
    let mut wanted = spec(BRIDGE);
    wanted.parent = "nope0".parse().unwrap();
    let error = bed.make(&Spec::Shim(wanted)).await.unwrap_err();
    assert_eq!(
        (error.kind, error.said.as_str()),
        (ErrorKind::Missing, "there is no link `nope0`")
    );
    let passthru = ShimKind::Macvlan(MacvlanMode::Passthru);
    let _container = bed.container(passthru, None, &[]).await.unwrap();
    let error = bed.make(&Spec::Shim(spec(BRIDGE))).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert_eq!(
        error.hint.as_deref(),
        Some("a macvlan network in mode passthru has `p0` for itself; no shim can be beside it")
    );
}

#[tokio::test]
async fn a_route_that_steals_the_range_is_told() {
    let Some(bed) = Bed::new().await else { return };
    let station = bed.station();
    let route = message::Route {
        destination: "10.50.0.65/32".parse().unwrap(),
        link: 1,
        gateway: None,
        source: None,
    };
    let mut route = message::route(&route);
    route.header.protocol = netlink_packet_route::route::RouteProtocol::Static;
    station
        .socket
        .act(
            netlink_packet_route::RouteNetlinkMessage::NewRoute(route),
            netlink_packet_core::NLM_F_CREATE,
        )
        .await
        .unwrap();
    bed.make(&Spec::Shim(spec(BRIDGE))).await.unwrap();
    assert_eq!(
        *bed.told.0.lock().unwrap(),
        [
            "packets to 10.50.0.65 (route 10.50.0.64/27 of `shim-lan`) leave by `lo` (a more specific route, such as a VPN's): `ip route get 10.50.0.65`"
        ]
    );
}

#[tokio::test]
async fn the_wire_hears_of_a_new_shim() {
    let Some(bed) = Bed::new().await else { return };
    let index = bed.peer.index("eth0").await;
    let socket = bed
        .peer
        .namespace
        .run(move || PacketSocket::open(index))
        .unwrap();
    let wanted = spec(BRIDGE);
    bed.make(&Spec::Shim(wanted.clone())).await.unwrap();
    let mut heard = Vec::new();
    while let Some(frame) = socket.receive(Duration::from_millis(300)).unwrap() {
        heard.extend(claimed(&frame));
    }
    for address in wanted.addresses {
        let mac = wanted.mac.unwrap();
        assert!(heard.contains(&Claimed { address, mac }), "{address}");
    }
}

#[tokio::test]
async fn an_ipvlan_shim_that_was_cut_off_anywhere_is_finished_or_undone() {
    let Some(mut bed) = Bed::new().await else {
        return;
    };
    bed.host.patience = Duration::from_millis(5);
    let wanted = Spec::Shim(spec(ShimKind::Ipvlan(IpvlanMode::L2, IpvlanFlag::Bridge)));
    match bed.make(&wanted).await {
        Err(error) if error.kind == ErrorKind::Unsupported => {
            println!("skipped: {error}");
            return;
        }
        made => made.unwrap(),
    }
    bed.remove(&wanted).await.unwrap();
    cut_off_anywhere(&bed, &wanted).await;
}

/// The newest ipvlan link sets the mode of all on its parent, so a shim of another mode is refused.
#[tokio::test]
async fn an_ipvlan_shim_never_turns_the_mode_of_its_siblings() {
    let Some(bed) = Bed::new().await else { return };
    let there = ShimKind::Ipvlan(IpvlanMode::L3, IpvlanFlag::Private);
    let parent = bed.station().index("p0").await;
    let sibling = message::make_child("other", parent, there, None);
    match bed.station().make(sibling).await {
        Err(error) if error.errno == Errno::EOPNOTSUPP => {
            println!("skipped: this kernel has no ipvlan");
            return;
        }
        made => made.unwrap(),
    }
    let before = bed.picture().await;
    let l2 = ShimKind::Ipvlan(IpvlanMode::L2, IpvlanFlag::Bridge);
    for kind in [l2, BRIDGE] {
        let error = bed.make(&Spec::Shim(spec(kind))).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InUse);
        same(&bed.picture().await, &before, "");
    }
    for mode in [IpvlanMode::L3, IpvlanMode::L3s] {
        for flag in [IpvlanFlag::Bridge, IpvlanFlag::Private, IpvlanFlag::Vepa] {
            let bed = Bed::new().await.unwrap();
            let wanted = Spec::Shim(spec(ShimKind::Ipvlan(mode, flag)));
            bed.make(&wanted).await.unwrap();
            let id = ResourceId::new(Kind::Shim, "shim-lan");
            assert_eq!(bed.observe().await[&id].spec, wanted);
        }
    }
}

/// Gives a link another width.
async fn widen(station: &Station, link: &str, mtu: u32) {
    let index = station.index(link).await;
    let message = message::set(index, LinkAttribute::Mtu(mtu));
    let message = RouteNetlinkMessage::SetLink(message);
    station.socket.act(message, 0).await.unwrap();
}

#[tokio::test]
async fn a_shim_is_as_wide_as_its_parent_again() {
    let Some(bed) = Bed::new().await else { return };
    let wanted = Spec::Shim(spec(BRIDGE));
    let station = bed.station();
    bed.make(&wanted).await.unwrap();
    // Below 1280 bytes the kernel takes IPv6 from both, and the shim cannot be as wanted.
    for mtu in [1400, 1200] {
        widen(&station, "p0", mtu).await;
        if mtu < 1280 {
            let error = bed.make(&wanted).await.unwrap_err();
            assert!(error.to_string().contains("IPv6 needs 1280"), "{error}");
        }
        widen(&station, "p0", 1500).await;
        let damage = bed.observe().await[&wanted.id()].damage.clone();
        assert!(
            damage.contains(&format!("its MTU is {mtu}, its parent's 1500")),
            "{damage:?}"
        );
        bed.make(&wanted).await.unwrap();
        let found = &bed.observe().await[&wanted.id()];
        assert_eq!(found.damage, Vec::<String>::new());
    }
    bed.remove(&wanted).await.unwrap();
}
