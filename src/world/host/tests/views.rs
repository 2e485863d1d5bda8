//! Looking on: the other ends of links, and changes as they happen.

use std::time::Duration;

use crate::model::network::MacvlanMode;
use crate::plan::spec::ShimKind;
use crate::world::host::tests::bed::Bed;
use crate::world::host::topology::Resident;
use crate::world::host::watch::Change;

#[tokio::test]
async fn the_other_ends_of_links_are_found_in_their_namespaces() {
    let Some(bed) = Bed::new().await else { return };
    let kind = ShimKind::Macvlan(MacvlanMode::Bridge);
    let container = bed.container(kind, None, &["10.50.0.65/24"]).await.unwrap();
    let residents = [
        Resident {
            name: "lab-web-1".to_owned(),
            namespace: container.namespace.clone(),
        },
        Resident {
            name: "peer".to_owned(),
            namespace: bed.peer.namespace.clone(),
        },
        Resident {
            name: "the host itself".to_owned(),
            namespace: bed.host.namespace().clone(),
        },
    ];
    let joints = bed.host.topology(&residents).await.unwrap();
    let parent = joints.iter().find(|joint| joint.link.name == "p0").unwrap();
    let far: Vec<(&str, &str, &str)> = parent
        .far
        .iter()
        .map(|far| {
            let link = &far.link;
            (
                far.resident.as_str(),
                link.name.as_str(),
                link.kind.as_str(),
            )
        })
        .collect();
    assert_eq!(
        far,
        [("lab-web-1", "eth0", "macvlan"), ("peer", "eth0", "veth")]
    );
    assert_eq!(parent.far[0].link.addresses[0].to_string(), "10.50.0.65/24");
    let others = joints.iter().filter(|joint| joint.link.name != "p0");
    assert!(others.into_iter().all(|joint| joint.far.is_empty()));
}

#[tokio::test]
async fn changes_are_told_as_they_happen() {
    let Some(bed) = Bed::new().await else { return };
    let mut watch = bed.host.watch().await.unwrap();
    let index = bed.station().index("p0").await;
    bed.station().give("p0", "10.50.1.2/24").await;
    bed.station().down(index).await;
    let mut seen = Vec::new();
    let wanted = [
        Change::Address { link: index },
        Change::Route,
        Change::Link {
            index,
            name: "p0".to_owned(),
        },
    ];
    while !wanted.iter().all(|change| seen.contains(change)) {
        let next = tokio::time::timeout(Duration::from_secs(5), watch.next());
        seen.push(next.await.expect("it is told").expect("the socket lives"));
    }
}
