//! Promiscuity, routes to containers, and doors.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::model::network::MacvlanMode;
use crate::plan::spec::{
    DoorSpec, Kind, PromiscuitySpec, ResourceId, RouteSpec, ShimKind, ShimSpec, Spec, Way,
};
use crate::plan::step::State;
use crate::world::host::tests::bed::{Bed, Station, cut_off_anywhere, same};
use crate::world::netns::Namespace;

const BRIDGE: ShimKind = ShimKind::Macvlan(MacvlanMode::Bridge);

fn promiscuity() -> Spec {
    Spec::Promiscuity(PromiscuitySpec {
        link: "p0".parse().unwrap(),
    })
}

fn shim() -> Spec {
    Spec::Shim(ShimSpec {
        name: "shim-lan".parse().unwrap(),
        parent: "p0".parse().unwrap(),
        kind: BRIDGE,
        mac: None,
        addresses: vec!["10.50.0.70".parse().unwrap()],
        routes: Vec::new(),
        networks: vec!["lab_lan".to_owned()],
    })
}

fn route() -> Spec {
    Spec::Route(RouteSpec {
        shim: "shim-lan".parse().unwrap(),
        ways: vec![Way {
            subnet: "10.50.0.0/24".parse().unwrap(),
            source: "10.50.0.70".parse().unwrap(),
        }],
        container: "lab-web-1".to_owned(),
        network: "lab_lan".to_owned(),
    })
}

fn door() -> DoorSpec {
    DoorSpec {
        container: "lab-web-1".to_owned(),
        network: "lab_lan".to_owned(),
        host_address: "10.50.0.2".parse().unwrap(),
        via: "10.50.0.70".parse().unwrap(),
    }
}

fn connects(from: &Namespace, to: &Namespace, address: &str, within: Duration) -> bool {
    let address: IpAddr = address.parse().unwrap();
    let listener = to
        .run(move || TcpListener::bind(SocketAddr::new(address, 0)))
        .unwrap();
    let target = listener.local_addr().unwrap();
    from.run(move || TcpStream::connect_timeout(&target, within))
        .is_ok()
}

async fn flag(bed: &Bed) -> bool {
    let facts = bed.host.facts().await.unwrap();
    facts.link("p0").unwrap().promiscuous_flag
}

fn has(bed: &Bed, addresses: &[&str]) {
    let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
    let mut all = bed.engine.addresses.lock().unwrap();
    all.insert("lab-web-1".to_owned(), addresses);
}

#[tokio::test]
async fn a_promiscuous_flag_is_set_and_put_back() {
    let Some(bed) = Bed::new().await else { return };
    cut_off_anywhere(&bed, &promiscuity()).await;
    bed.make(&promiscuity()).await.unwrap();
    assert!(flag(&bed).await);
    let id = ResourceId::new(Kind::Promiscuity, "p0");
    assert!(bed.observe().await[&id].damage.is_empty());
    bed.remove_observed().await;
    assert!(!flag(&bed).await);
    assert!(bed.observe().await.is_empty());
}

#[tokio::test]
async fn a_flag_that_was_set_before_stays() {
    let Some(bed) = Bed::new().await else { return };
    let set = crate::world::host::message::flag(
        bed.station().index("p0").await,
        netlink_packet_route::link::LinkFlags::Promisc,
        true,
    );
    let set = netlink_packet_route::RouteNetlinkMessage::SetLink(set);
    bed.station().socket.act(set, 0).await.unwrap();
    bed.make(&promiscuity()).await.unwrap();
    bed.remove(&promiscuity()).await.unwrap();
    assert!(flag(&bed).await);
}

#[tokio::test]
async fn the_last_of_two_projects_puts_the_flag_back() {
    let Some(mut bed) = Bed::new().await else {
        return;
    };
    let one = bed.project.clone();
    bed.make(&promiscuity()).await.unwrap();
    bed.project = "another".parse().unwrap();
    bed.make(&promiscuity()).await.unwrap();
    let other = std::mem::replace(&mut bed.project, one);
    bed.remove(&promiscuity()).await.unwrap();
    assert!(flag(&bed).await);
    bed.project = other;
    bed.remove(&promiscuity()).await.unwrap();
    assert!(!flag(&bed).await);
}

#[tokio::test]
async fn a_route_follows_its_container() {
    let Some(bed) = Bed::new().await else { return };
    bed.make(&shim()).await.unwrap();
    let error = bed.make(&route()).await.unwrap_err();
    assert_eq!(error.kind, crate::world::ErrorKind::Missing);
    has(&bed, &["10.50.0.65", "fd50::65"]);
    cut_off_anywhere(&bed, &route()).await;
    let before = bed.picture().await;
    bed.make(&route()).await.unwrap();
    let container = bed
        .container(BRIDGE, None, &["10.50.0.65/24", "10.50.0.66/24"])
        .await
        .unwrap();
    let host = bed.host.namespace().clone();
    let long = Duration::from_secs(10);
    assert!(connects(&host, &container.namespace, "10.50.0.65", long));
    // The shim is gone over again and leaves the container's route alone.
    bed.make(&shim()).await.unwrap();
    let id = ResourceId::new(Kind::Route, "shim-lan/lab-web-1");
    let found = bed.observe().await;
    assert_eq!(found[&id].spec, route());
    assert_eq!(found[&id].damage, Vec::<String>::new());
    assert!(
        found[&ResourceId::new(Kind::Shim, "shim-lan")]
            .damage
            .is_empty()
    );
    has(&bed, &["10.50.0.66"]);
    assert_eq!(
        bed.observe().await[&id].damage,
        ["`lab-web-1` has 10.50.0.66 now"]
    );
    bed.make(&route()).await.unwrap();
    assert!(connects(&host, &container.namespace, "10.50.0.66", long));
    let routes = bed.host.facts().await.unwrap().routes;
    assert!(
        !routes
            .iter()
            .any(|route| route.destination.to_string() == "10.50.0.65/32")
    );
    // Somebody takes the shim down for a moment.
    let shim_index = bed.station().index("shim-lan").await;
    bed.station().down(shim_index).await;
    bed.station().up(shim_index).await;
    assert_eq!(
        bed.observe().await[&id].damage,
        ["the route to 10.50.0.66 is gone"]
    );
    bed.make(&route()).await.unwrap();
    assert!(bed.observe().await[&id].damage.is_empty());
    bed.remove(&route()).await.unwrap();
    same(&bed.picture().await, &before, "");
}

/// A thread that stays in a namespace, whose number stands for a container's process.
fn tenant(station: &Station) -> u32 {
    let (tell, told) = std::sync::mpsc::channel();
    let namespace = station.namespace.clone();
    std::thread::spawn(move || {
        namespace.run(move || {
            tell.send(nix::unistd::gettid().as_raw()).unwrap();
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        })
    });
    u32::try_from(told.recv().unwrap()).unwrap()
}

#[tokio::test]
async fn a_door_opens_the_hosts_own_address_where_arp_is_kept_silent() {
    let Some(bed) = Bed::new().await else { return };
    let container = bed
        .container(BRIDGE, None, &["10.50.0.65/24"])
        .await
        .unwrap();
    let host = bed.host.namespace().clone();
    host.run(|| std::fs::write("/proc/sys/net/ipv4/conf/all/arp_ignore", "1"))
        .unwrap();
    has(&bed, &["10.50.0.65"]);
    bed.make(&shim()).await.unwrap();
    bed.make(&route()).await.unwrap();
    let wanted = Spec::Door(door());
    bed.remove(&wanted).await.unwrap();
    assert!(bed.make(&wanted).await.is_err());
    let process = tenant(&container);
    bed.engine
        .processes
        .lock()
        .unwrap()
        .insert("lab-web-1".to_owned(), process);
    let short = Duration::from_millis(1500);
    assert!(!connects(&container.namespace, &host, "10.50.0.2", short));
    assert!(bed.observe_doors(vec![door()]).await.is_empty());
    bed.make(&wanted).await.unwrap();
    bed.make(&wanted).await.unwrap();
    assert!(connects(
        &container.namespace,
        &host,
        "10.50.0.2",
        Duration::from_secs(10)
    ));
    assert_eq!(bed.observe_doors(vec![door()]).await, [wanted.id()]);
    bed.change(State::Present(wanted.clone().into()), State::Absent)
        .await
        .unwrap();
    bed.remove(&wanted).await.unwrap();
    assert!(bed.observe_doors(vec![door()]).await.is_empty());
}
