//! Containers and their endpoints.

use std::collections::BTreeMap;
use std::sync::Arc;

use stack::model::container::{ContainerConfig, InlineFile};
use stack::model::mark;
use stack::model::service::Hook;
use stack::plan::observed::{ContainerState, FoundContainer};
use stack::plan::spec::{ContainerNetwork, ContainerSpec, Spec};
use stack::plan::step::State;
use stack::world::ErrorKind;

use crate::bed::Bed;
use crate::engine::rig::{Rig, attachment, boxed, bridge, container, endpoint, existing, refused};
use crate::runner::{Failure, Outcome, Run, Test, holds, same};

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "engine::container::it_runs_with_all_that_was_asked_for_and_goes_away",
            run: Run::Host(whole),
        },
        Test {
            name: "engine::container::a_parked_one_comes_back_as_it_was_and_can_be_discarded",
            run: Run::Host(parked),
        },
        Test {
            name: "engine::container::one_that_is_not_ours_is_left_alone",
            run: Run::Host(foreign),
        },
        Test {
            name: "engine::container::a_live_connection_keeps_its_settings",
            run: Run::Host(live_connection),
        },
        Test {
            name: "engine::container::a_dead_shared_namespace_is_seen",
            run: Run::Host(dead_namespace),
        },
        Test {
            name: "engine::container::mac_addresses_are_set_or_refused_never_lost",
            run: Run::Host(mac_addresses),
        },
        Test {
            name: "engine::container::the_wanted_gateway_is_taken_or_refused_never_lost",
            run: Run::Host(gateway),
        },
    ]
}

fn with_networks(rig: &Rig, act: impl FnOnce() -> Result<(), Failure>) -> Result<Outcome, Failure> {
    let networks = [
        Spec::Network(bridge("eng_a", "10.92.1.0/24")),
        Spec::Network(bridge("eng_b", "10.92.2.0/24")),
    ];
    for network in &networks {
        rig.make(network)?;
    }
    act()?;
    for network in &networks {
        rig.unmake(network)?;
    }
    Ok(Outcome::Passed)
}

fn attached(networks: &[&str]) -> ContainerNetwork {
    ContainerNetwork::Attached(networks.iter().map(|network| attachment(network)).collect())
}

fn whole(bed: &Bed) -> Result<Outcome, Failure> {
    let rig = Rig::new(bed)?;
    with_networks(&rig, || {
        let mut first = attachment("eng_a");
        first.ipv4_address = Some("10.92.1.50".parse()?);
        first.links = vec![("eng-nowhere-1".to_owned(), "friend".to_owned())];
        let config = ContainerConfig {
            environment: [("GREETING".to_owned(), Some("hello".to_owned()))].into(),
            files: vec![InlineFile {
                target: "/etc/app/key".to_owned(),
                content: "secret".to_owned(),
                uid: Some(7),
                gid: None,
                mode: Some(0o440),
            }],
            ..ContainerConfig::default()
        };
        let hook = |command: &str| Hook {
            command: ["sh", "-c", command].map(str::to_owned).to_vec(),
            user: None,
            privileged: false,
            working_dir: None,
            environment: [("WORD".to_owned(), Some("hooked".to_owned()))].into(),
        };
        let spec = ContainerSpec {
            post_start: vec![hook("echo $WORD > /www/hooked; echo told")],
            pre_stop: vec![hook("echo goodbye")],
            ..container(
                "eng-web-1",
                ContainerNetwork::Attached(vec![first, attachment("eng_b")]),
                config,
            )
        };
        let web = boxed(&spec);
        rig.make(&web)?;
        holds(
            "the hook's output is told",
            rig.told().contains(&"told".to_owned()),
        )?;
        let found = rig.find("eng-web-1")?;
        let addresses: Vec<_> = found
            .endpoints
            .iter()
            .map(|endpoint| (endpoint.network.as_str(), endpoint.ipv4))
            .collect();
        same(
            "the addresses",
            addresses,
            vec![
                ("eng_a", "10.92.1.50".parse().ok()),
                ("eng_b", "10.92.2.2".parse().ok()),
            ],
        )?;
        same(
            "the address asked for",
            found.endpoints[0].asked_ipv4,
            "10.92.1.50".parse().ok(),
        )?;
        let seen = bed.shell(
            "docker exec eng-web-1 sh -c 'cat /etc/app/key; echo; cat /www/hooked; stat -c %a:%u /etc/app/key; echo $GREETING'",
        )?;
        same("inside", seen.as_str(), "secret\nhooked\n440:7\nhello\n")?;
        let page =
            bed.shell("docker run --rm --network eng_b stack-lab wget -qO- http://site/hooked")?;
        same(
            "the page by its alias from the second network",
            page.trim_end(),
            "hooked",
        )?;
        rig.unmake(&web)?;
        holds(
            "the last hook ran",
            rig.told().contains(&"goodbye".to_owned()),
        )
    })
}

fn parked(bed: &Bed) -> Result<Outcome, Failure> {
    let rig = Rig::new(bed)?;
    with_networks(&rig, || {
        let old = container(
            "eng-web-1",
            attached(&["eng_a", "eng_b"]),
            ContainerConfig::default(),
        );
        rig.make(&boxed(&old))?;
        let before = rig.find("eng-web-1")?;
        let old_as_found = Arc::new(existing(&before));
        for _ in 0..2 {
            rig.go(
                State::Running(old_as_found.clone()),
                State::Parked(old_as_found.clone()),
            )?;
        }
        let away = rig.find(&mark::parked_name(&before.engine_id, "eng-web-1"))?;
        same(
            "the parked one",
            (away.state, away.parked_from()),
            (ContainerState::Exited, Some("eng-web-1")),
        )?;

        let mut new = old.clone();
        new.labels.insert(mark::HASH.to_owned(), "new".to_owned());
        rig.make(&boxed(&new))?;
        rig.unmake(&boxed(&new))?;
        for _ in 0..2 {
            rig.go(
                State::Parked(old_as_found.clone()),
                State::Running(old_as_found.clone()),
            )?;
        }
        let back = rig.find("eng-web-1")?;
        let networks = |found: &FoundContainer| {
            found
                .endpoints
                .iter()
                .map(|endpoint| endpoint.network.clone())
                .collect::<Vec<_>>()
        };
        same(
            "id, state, networks",
            (&back.engine_id, back.state, networks(&back)),
            (
                &before.engine_id,
                ContainerState::Running,
                networks(&before),
            ),
        )?;
        rig.go(
            State::Running(old_as_found.clone()),
            State::Parked(old_as_found.clone()),
        )?;
        rig.make(&boxed(&new))?;
        for _ in 0..2 {
            rig.go(State::Parked(old_as_found.clone()), State::Absent)?;
        }
        same(
            "what is left",
            bed.docker("ps -aq --filter name=eng-web-1")?
                .lines()
                .count(),
            1,
        )?;
        rig.unmake(&boxed(&new))?;
        Ok(())
    })
}

fn foreign(bed: &Bed) -> Result<Outcome, Failure> {
    let rig = Rig::new(bed)?;
    bed.docker("run -d --name eng-web-1 --network none stack-lab")?;
    let web = boxed(&container(
        "eng-web-1",
        ContainerNetwork::None,
        ContainerConfig::default(),
    ));
    let taken = rig.make(&web).expect_err("the name is taken");
    same("the kind", taken.kind, ErrorKind::Taken)?;
    refused(Err(taken), "and it was not made for any project")?;
    rig.unmake(&web)?;
    same(
        "the stranger's state",
        rig.find("eng-web-1")?.state,
        ContainerState::Running,
    )?;
    bed.docker("rm -f eng-web-1")?;
    let lost = ContainerSpec {
        image: "nosuch".to_owned(),
        ..container(
            "eng-x-1",
            ContainerNetwork::None,
            ContainerConfig::default(),
        )
    };
    let missing = rig.make(&boxed(&lost)).expect_err("there is no such image");
    same("the kind", missing.kind, ErrorKind::Missing)?;
    Ok(Outcome::Passed)
}

fn live_connection(bed: &Bed) -> Result<Outcome, Failure> {
    let rig = Rig::new(bed)?;
    with_networks(&rig, || {
        let web = boxed(&container(
            "eng-web-1",
            attached(&["eng_a"]),
            ContainerConfig::default(),
        ));
        rig.make(&web)?;
        let mut second = attachment("eng_b");
        second.ipv4_address = Some("10.92.2.77".parse()?);
        second.aliases.push("door".to_owned());
        let live = endpoint("eng-web-1", second.clone());
        rig.make(&live)?;
        let wanted = BTreeMap::from([("eng-web-1".to_owned(), "changed".to_owned())]);
        let observed = rig.observe_with(wanted)?;
        let found = observed
            .containers
            .iter()
            .find(|found| found.name == "eng-web-1")
            .ok_or("gone")?;
        let other = found
            .endpoints
            .iter()
            .find(|endpoint| endpoint.network == "eng_b")
            .ok_or("not connected")?;
        same("its address", other.asked_ipv4, "10.92.2.77".parse().ok())?;
        let aliases = other.aliases.clone().ok_or("the aliases are not told")?;
        same(
            "its aliases",
            aliases.into_iter().collect::<Vec<_>>(),
            vec!["door".to_owned(), "site".to_owned()],
        )?;
        rig.unmake(&live)?;
        let mut fixed = second;
        fixed.mac_address = Some("02:00:00:00:00:09".parse()?);
        // No engine before API 1.54 sets it at a live connect.
        refused(
            rig.make(&endpoint("eng-web-1", fixed)),
            "a MAC address for a running container needs API 1.54",
        )?;
        rig.unmake(&web)?;
        Ok(())
    })
}

fn dead_namespace(bed: &Bed) -> Result<Outcome, Failure> {
    let rig = Rig::new(bed)?;
    let owner = boxed(&container(
        "eng-vpn-1",
        ContainerNetwork::DefaultBridge { links: Vec::new() },
        ContainerConfig::default(),
    ));
    let shared = ContainerNetwork::Container("eng-vpn-1".to_owned());
    // The owner's web server has the port that the image's would take.
    let sleep = ContainerConfig {
        command: Some(["sleep", "1000"].map(str::to_owned).to_vec()),
        ..ContainerConfig::default()
    };
    let guest = boxed(&container("eng-app-1", shared, sleep));
    rig.make(&owner)?;
    rig.make(&guest)?;
    same("at first", rig.find("eng-app-1")?.dead_namespace_of, None)?;
    bed.docker("restart -t 0 eng-vpn-1")?;
    same(
        "after a restart of the owner",
        rig.find("eng-app-1")?.dead_namespace_of.as_deref(),
        Some("eng-vpn-1"),
    )?;
    bed.docker("restart -t 0 eng-app-1")?;
    same(
        "after its own restart",
        rig.find("eng-app-1")?.dead_namespace_of,
        None,
    )?;
    bed.docker("stop -t 0 eng-vpn-1")?;
    same(
        "while the owner is stopped",
        rig.find("eng-app-1")?.dead_namespace_of.as_deref(),
        Some("eng-vpn-1"),
    )?;
    rig.unmake(&guest)?;
    rig.unmake(&owner)?;
    Ok(Outcome::Passed)
}

fn mac_addresses(bed: &Bed) -> Result<Outcome, Failure> {
    let rig = Rig::new(bed)?;
    with_networks(&rig, || {
        let fixed = |network: &str, mac: &str| {
            let mut attachment = attachment(network);
            attachment.mac_address = mac.parse().ok();
            attachment
        };
        let macs = || -> Result<Vec<_>, Failure> {
            let endpoints = rig.find("eng-web-1")?.endpoints;
            Ok(endpoints
                .into_iter()
                .map(|endpoint| endpoint.mac.map(|mac| mac.to_string()).unwrap_or_default())
                .collect())
        };
        // One, on the network that is not the first.
        let one = ContainerNetwork::Attached(vec![
            attachment("eng_a"),
            fixed("eng_b", "02:00:00:00:00:0b"),
        ]);
        let web = boxed(&container("eng-web-1", one, ContainerConfig::default()));
        rig.make(&web)?;
        same(
            "the one MAC address",
            macs()?[1].as_str(),
            "02:00:00:00:00:0b",
        )?;
        rig.unmake(&web)?;
        let two = ContainerNetwork::Attached(vec![
            fixed("eng_a", "02:00:00:00:00:0a"),
            fixed("eng_b", "02:00:00:00:00:0b"),
        ]);
        let web = boxed(&container("eng-web-1", two, ContainerConfig::default()));
        if bed.is_at_least(25) {
            rig.make(&web)?;
            same(
                "both",
                macs()?,
                vec![
                    "02:00:00:00:00:0a".to_owned(),
                    "02:00:00:00:00:0b".to_owned(),
                ],
            )?;
            rig.unmake(&web)?;
        } else {
            refused(rig.make(&web), "needs API 1.44 (Docker Engine 25.0)")?;
        }
        Ok(())
    })
}

fn gateway(bed: &Bed) -> Result<Outcome, Failure> {
    let rig = Rig::new(bed)?;
    with_networks(&rig, || {
        for (wanted, route) in [("eng_a", "via 10.92.1.1"), ("eng_b", "via 10.92.2.1")] {
            let networks = ["eng_a", "eng_b"].map(|network| {
                let mut attachment = attachment(network);
                attachment.gw_priority = Some(i32::from(network == wanted));
                attachment
            });
            let web = boxed(&container(
                "eng-web-1",
                ContainerNetwork::Attached(networks.to_vec()),
                ContainerConfig::default(),
            ));
            if wanted == "eng_b" && !bed.is_at_least(28) {
                refused(
                    rig.make(&web),
                    "`gw_priority` wants the default route through `eng_b`",
                )?;
            } else {
                rig.make(&web)?;
                let routes = bed.docker("exec eng-web-1 ip route show default")?;
                holds(
                    &format!("the default route is {route}: {routes}"),
                    routes.contains(route),
                )?;
            }
            rig.unmake(&web)?;
        }
        Ok(())
    })
}
