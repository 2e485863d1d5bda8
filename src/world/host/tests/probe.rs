//! Addresses that somebody has.

use std::net::IpAddr;
use std::time::Duration;

use crate::model::network::MacvlanMode;
use crate::plan::claim::{Asker, Wire};
use crate::plan::spec::{ShimKind, ShimSpec, Spec};
use crate::world::ErrorKind;
use crate::world::host::probe::Holder;
use crate::world::host::tests::bed::{Bed, same};

const BRIDGE: ShimKind = ShimKind::Macvlan(MacvlanMode::Bridge);

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[tokio::test]
async fn a_probe_hears_the_wire_and_the_parents_children() {
    let Some(bed) = Bed::new().await else { return };
    let mac = "02:00:00:00:00:65".parse().unwrap();
    let _container = bed
        .container(BRIDGE, Some(mac), &["10.50.0.65/24", "fd50::65/64"])
        .await
        .unwrap();
    let before = bed.picture().await;
    let asked = addresses(&[
        "10.50.0.9",
        "fd50::9",
        "10.50.0.65",
        "fd50::65",
        "10.50.0.77",
        "fd50::77",
        "10.50.0.2",
    ]);
    let wire = Wire {
        link: "p0".parse().unwrap(),
        asker: Asker::Sibling(BRIDGE),
    };
    let answers = bed
        .host
        .probe(&wire, &asked, Duration::from_secs(1))
        .await
        .unwrap();
    assert_eq!(answers.children_not_asked, None);
    let peer = "02:00:00:00:00:09".parse().unwrap();
    let holder = |address: &str, mac| Holder {
        address: address.parse().unwrap(),
        mac,
    };
    assert_eq!(
        answers.holders,
        [
            holder("10.50.0.9", peer),
            holder("10.50.0.65", mac),
            holder("fd50::9", peer),
            holder("fd50::65", mac),
        ]
    );
    // The sibling's namespace is cleared away by the kernel in its own time.
    for _ in 0..200 {
        if bed.picture().await == before {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    same(&bed.picture().await, &before, "");
}

#[tokio::test]
async fn a_shim_does_not_take_a_neighbours_address() {
    let Some(bed) = Bed::new().await else { return };
    let mac = "02:00:00:00:00:65".parse().unwrap();
    let _container = bed
        .container(BRIDGE, Some(mac), &["10.50.0.65/24", "fd50::65/64"])
        .await
        .unwrap();
    let before = bed.picture().await;
    for (address, holder) in [
        ("10.50.0.9", "02:00:00:00:00:09"),
        ("fd50::9", "02:00:00:00:00:09"),
        ("10.50.0.65", "02:00:00:00:00:65"),
        ("fd50::65", "02:00:00:00:00:65"),
    ] {
        let wanted = Spec::Shim(ShimSpec {
            name: "shim-lan".parse().unwrap(),
            parent: "p0".parse().unwrap(),
            kind: BRIDGE,
            mac: None,
            addresses: addresses(&[address]),
            routes: Vec::new(),
            networks: Vec::new(),
        });
        let error = bed.make(&wanted).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Taken);
        assert_eq!(
            error.to_string(),
            format!(
                "cannot use the addresses of the shim `shim-lan`: {address} is used by {holder} on the wire of `p0`"
            )
        );
        bed.remove(&wanted).await.unwrap();
        same(&bed.picture().await, &before, address);
    }
}
