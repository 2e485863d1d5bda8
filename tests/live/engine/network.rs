//! Networks and volumes.

use std::time::{Duration, Instant};

use stack::model::container::ContainerConfig;
use stack::plan::spec::{ContainerNetwork, NetworkSpec, Spec};
use stack::world::ErrorKind;

use crate::bed::Bed;
use crate::engine::rig::{Rig, attachment, boxed, bridge, container, refused, volume};
use crate::runner::{Failure, Outcome, Run, Test, holds, same};
use crate::wire::Wire;

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "engine::network::what_was_made_is_read_back_the_same_and_removed",
            run: Run::Host(made_and_read_back),
        },
        Test {
            name: "engine::network::what_is_not_ours_is_left_alone",
            run: Run::Host(foreign),
        },
        Test {
            name: "engine::network::a_refusal_says_who_and_what_to_do",
            run: Run::Host(refusals),
        },
        Test {
            name: "engine::network::macvlan_is_made_with_all_its_settings",
            run: Run::Host(macvlan),
        },
        Test {
            name: "engine::network::overlay_works_on_a_swarm_of_one",
            run: Run::OwnHost(overlay),
        },
    ]
}

fn made_and_read_back(bed: &Bed) -> Result<Outcome, Failure> {
    let rig = Rig::new(bed)?;
    let mut spec = bridge("eng_front", "10.91.0.0/24");
    spec.options.insert(
        "com.docker.network.bridge.name".to_owned(),
        "eng0".to_owned(),
    );
    spec.options.insert(
        "com.docker.network.driver.mtu".to_owned(),
        "1400".to_owned(),
    );
    spec.labels.insert("owner".to_owned(), "me".to_owned());
    let pool = &mut spec.pools[0];
    pool.gateway = "10.91.0.254".parse().ok();
    pool.ip_range = "10.91.0.64/26".parse().ok();
    pool.aux_addresses
        .insert("shim".to_owned(), "10.91.0.65".parse()?);
    let network = Spec::Network(spec.clone());
    rig.make(&network)?;
    rig.make(&volume("eng_data"))?;

    let observed = rig.observe()?;
    let found = observed
        .networks
        .into_iter()
        .find(|network| network.spec.name == "eng_front");
    let found = found.ok_or("the network is not observed")?;
    // Newer engines tell that IPv4 is on; older ones know no other way.
    same(
        "the network",
        NetworkSpec {
            enable_ipv4: None,
            ..found.spec
        },
        spec.clone(),
    )?;
    same("its hash", found.hash, Some(stack::model::hash::of(&spec)))?;
    same("its project", found.project.as_deref(), Some("eng"))?;
    let volume_found = observed.volumes.iter().any(|volume| {
        volume.name == "eng_data"
            && volume.project.as_deref() == Some("eng")
            && volume.hash.is_some()
    });
    holds("the volume is observed with its marks", volume_found)?;
    let host = observed.host.ok_or("the host is not observed")?;
    let link = host
        .link("eng0")
        .ok_or("the bridge is not among the host's links")?;
    same(
        "the bridge's MTU or the kernel's own until it has a port",
        link.mtu == 1400 || link.mtu == 1500,
        true,
    )?;

    rig.unmake(&volume("eng_data"))?;
    rig.unmake(&network)?;
    Ok(Outcome::Passed)
}

fn foreign(bed: &Bed) -> Result<Outcome, Failure> {
    let rig = Rig::new(bed)?;
    bed.docker("network create --subnet 10.91.1.0/24 eng_lan")?;
    bed.docker("volume create --label com.docker.compose.project=blog eng_data")?;
    let network = Spec::Network(bridge("eng_lan", "10.91.2.0/24"));
    let taken = rig.make(&network).expect_err("the name is taken");
    same("the kind", taken.kind, ErrorKind::Taken)?;
    refused(
        Err(taken),
        "there is a network of that name, and it was not made for any project",
    )?;
    refused(
        rig.make(&volume("eng_data")),
        "there is a volume of that name, and it belongs to the project `blog`",
    )?;
    // The way back of what was refused must not remove what is there.
    rig.unmake(&network)?;
    rig.unmake(&volume("eng_data"))?;
    same(
        "the network",
        bed.docker("network ls -q --filter name=eng_lan")?
            .lines()
            .count(),
        1,
    )?;
    same(
        "the volume",
        bed.docker("volume ls -q --filter name=eng_data")?
            .lines()
            .count(),
        1,
    )?;
    bed.docker("network rm eng_lan")?;
    bed.docker("volume rm eng_data")?;
    Ok(Outcome::Passed)
}

fn refusals(bed: &Bed) -> Result<Outcome, Failure> {
    let rig = Rig::new(bed)?;
    let unknown = NetworkSpec {
        driver: "nosuch".to_owned(),
        ..bridge("eng_x", "10.91.3.0/24")
    };
    let began = Instant::now();
    refused(
        rig.make(&Spec::Network(unknown)),
        "the engine has no network driver `nosuch`",
    )?;
    holds(
        "an unknown driver is refused at once",
        began.elapsed() < Duration::from_secs(3),
    )?;
    let overlay = NetworkSpec {
        driver: "overlay".to_owned(),
        ..bridge("eng_x", "10.91.3.0/24")
    };
    let error = rig
        .make(&Spec::Network(overlay))
        .expect_err("there is no swarm");
    same("the kind", error.kind, ErrorKind::Unsupported)?;
    holds(
        "the remedy is told",
        error
            .hint
            .is_some_and(|hint| hint.contains("docker swarm init")),
    )?;

    let network = Spec::Network(bridge("eng_lan", "10.91.4.0/24"));
    rig.make(&network)?;
    let overlap = Spec::Network(bridge("eng_other", "10.91.4.128/25"));
    refused(
        rig.make(&overlap),
        "Pool overlaps with other one on this address space",
    )?;
    bed.docker("run -d --name stranger --network eng_lan stack-lab")?;
    let used = rig.unmake(&network).expect_err("a stranger uses it");
    same("the kind", used.kind, ErrorKind::InUse)?;
    refused(Err(used), "it is used by `stranger`")?;
    bed.docker("rm -f stranger")?;
    rig.unmake(&network)?;

    rig.make(&volume("eng_data"))?;
    bed.docker("run -d --name stranger -v eng_data:/data stack-lab")?;
    refused(rig.unmake(&volume("eng_data")), "it is used by `stranger`")?;
    bed.docker("rm -f stranger")?;
    rig.unmake(&volume("eng_data"))?;
    Ok(Outcome::Passed)
}

fn macvlan(bed: &Bed) -> Result<Outcome, Failure> {
    let rig = Rig::new(bed)?;
    let wire = Wire::new(bed, "wire0", &[("laptop", "10.91.5.9/24")])?;
    let mut spec = bridge("eng_lan", "10.91.5.0/24");
    spec.driver = "macvlan".to_owned();
    spec.options.insert("parent".to_owned(), "wire0".to_owned());
    spec.options
        .insert("macvlan_mode".to_owned(), "bridge".to_owned());
    spec.pools[0].gateway = "10.91.5.1".parse().ok();
    spec.pools[0].ip_range = "10.91.5.64/27".parse().ok();
    let network = Spec::Network(spec);
    rig.make(&network)?;
    let mut fixed = attachment("eng_lan");
    fixed.ipv4_address = Some("10.91.5.70".parse()?);
    fixed.mac_address = Some("d0:ee:6a:1d:3c:62".parse()?);
    let attached = ContainerNetwork::Attached(vec![fixed]);
    let web = container("eng-web-1", attached, ContainerConfig::default());
    rig.make(&boxed(&web))?;
    let found = rig.find("eng-web-1")?;
    let endpoint = found.endpoints.first().ok_or("no endpoint")?;
    same("the address", endpoint.ipv4, "10.91.5.70".parse().ok())?;
    same(
        "the MAC address",
        endpoint.mac,
        "d0:ee:6a:1d:3c:62".parse().ok(),
    )?;
    holds(
        "another machine reaches it",
        wire.machine("laptop").pings("10.91.5.70")?,
    )?;
    let second = Spec::Network(NetworkSpec {
        options: [("parent".to_owned(), "wire0".to_owned())].into(),
        driver: "macvlan".to_owned(),
        ..bridge("eng_more", "10.91.6.0/24")
    });
    let shared = rig.make(&second);
    if bed.is_at_least(25) {
        // Newer engines let networks share a parent.
        shared?;
        rig.unmake(&second)?;
    } else {
        refused(shared, "is already using parent interface wire0")?;
    }
    rig.unmake(&boxed(&web))?;
    rig.unmake(&network)?;
    Ok(Outcome::Passed)
}

fn overlay(bed: &mut Bed) -> Result<Outcome, Failure> {
    let rig = Rig::new(bed)?;
    let swarm = "ip link add node0 type bridge; ip address add 10.77.0.1/24 dev node0; ip link set node0 up;
        docker swarm init --advertise-addr 10.77.0.1 >/dev/null";
    bed.shell(swarm)?;
    let spec = NetworkSpec {
        driver: "overlay".to_owned(),
        attachable: true,
        ..bridge("eng_over", "10.91.7.0/24")
    };
    let network = Spec::Network(spec);
    rig.make(&network)?;
    let attached = ContainerNetwork::Attached(vec![attachment("eng_over")]);
    let web = boxed(&container(
        "eng-web-1",
        attached,
        ContainerConfig::default(),
    ));
    rig.make(&web)?;
    let page = bed.docker("exec eng-web-1 wget -qO- http://site/")?;
    same(
        "the page by its alias",
        page.trim_end(),
        "hello from the stack lab image",
    )?;
    rig.unmake(&web)?;
    rig.unmake(&network)?;
    // The engine makes this one with the first overlay and keeps it.
    bed.shell("docker swarm leave --force >/dev/null; docker network rm docker_gwbridge >/dev/null; ip link del node0")?;
    Ok(Outcome::Passed)
}
