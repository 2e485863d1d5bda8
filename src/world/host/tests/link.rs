//! 802.1Q links.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use netlink_packet_route::link::LinkAttribute;

use crate::model::network::MacvlanMode;
use crate::plan::spec::{Kind, LinkSpec, ResourceId, ShimKind, Spec};
use crate::world::ErrorKind;
use crate::world::host::message;
use crate::world::host::tests::bed::{Bed, Station, cut_off_anywhere, same};

fn spec() -> Spec {
    Spec::Link(LinkSpec {
        name: "p0.20".parse().unwrap(),
        base: "p0".parse().unwrap(),
        vlan: 20.try_into().unwrap(),
    })
}

/// None, with the reason told, where the kernel has no such links.
async fn vlan_bed() -> Option<Bed> {
    let bed = Bed::new().await?;
    match bed.make(&spec()).await {
        Err(error) if error.kind == ErrorKind::Unsupported => {
            assert_eq!(
                error.hint.as_deref(),
                Some("this kernel has no 802.1Q links: load its module with `modprobe 8021q`")
            );
            println!("skipped: this kernel has no 802.1Q links");
            None
        }
        made => {
            made.unwrap();
            bed.remove(&spec()).await.unwrap();
            Some(bed)
        }
    }
}

#[tokio::test]
async fn a_vlan_link_carries_a_network_and_leaves_no_trace() {
    let Some(bed) = vlan_bed().await else { return };
    let before = bed.picture().await;
    bed.make(&spec()).await.unwrap();
    let found = &bed.observe().await[&ResourceId::new(Kind::Link, "p0.20")];
    assert_eq!(found.spec, spec());
    assert_eq!(found.damage, Vec::<String>::new());
    let with = bed.picture().await;
    bed.make(&spec()).await.unwrap();
    same(&bed.picture().await, &with, "again");
    let eth0 = bed.peer.index("eth0").await;
    let far = message::make_vlan("eth0.20", eth0, 20.try_into().unwrap());
    bed.peer.make(far).await.unwrap();
    bed.peer.give("eth0.20", "10.70.0.9/24").await;
    bed.peer.up(bed.peer.index("eth0.20").await).await;
    let container = Station::fresh().await.unwrap();
    let parent = bed.station().index("p0.20").await;
    let kind = ShimKind::Macvlan(MacvlanMode::Bridge);
    let mut link = message::make_child("eth0", parent, kind, None);
    link.attributes
        .push(LinkAttribute::NetNsFd(container.namespace.raw()));
    bed.station().make(link).await.unwrap();
    container.give("eth0", "10.70.0.65/24").await;
    container.up(container.index("eth0").await).await;
    let address: IpAddr = "10.70.0.9".parse().unwrap();
    let listener = bed
        .peer
        .namespace
        .run(move || TcpListener::bind(SocketAddr::new(address, 0)))
        .unwrap();
    let target = listener.local_addr().unwrap();
    container
        .namespace
        .run(move || TcpStream::connect_timeout(&target, Duration::from_secs(10)))
        .unwrap();
    bed.remove_observed().await;
    same(&bed.picture().await, &before, "removed");
}

#[tokio::test]
async fn a_vlan_link_that_was_cut_off_anywhere_is_finished_or_undone() {
    let Some(bed) = vlan_bed().await else { return };
    cut_off_anywhere(&bed, &spec()).await;
}

#[tokio::test]
async fn a_vlan_link_of_someone_else_stays() {
    let Some(bed) = vlan_bed().await else { return };
    let base = bed.station().index("p0").await;
    let mut link = message::make_vlan("p0.20", base, 20.try_into().unwrap());
    link.attributes
        .retain(|attribute| !matches!(attribute, LinkAttribute::Group(_)));
    bed.station().make(link).await.unwrap();
    let before = bed.picture().await;
    let error = bed.make(&spec()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Taken);
    assert_eq!(
        error.to_string(),
        "cannot make the link `p0.20`: the name is taken: it was not made by stack"
    );
    bed.remove(&spec()).await.unwrap();
    same(&bed.picture().await, &before, "");
}
