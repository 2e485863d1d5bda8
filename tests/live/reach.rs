//! Who reaches whom, asked for real: each stack below `reach/` is brought up, every cell of its matrix is predicted,
//! probed and compared, and not one may differ. What is told about the rules is thereby held against engine and kernel.
//!
//! Beside them stand stacks made at random (`generate.rs`): a few by default, and as many as `STACK_SEEDS=FIRST-LAST`
//! names.

mod envoys;
mod generate;
mod why;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::bed::Bed;
use crate::guest::Guest;
use crate::runner::{Failure, Outcome, Run, Sweep, Test, holds, repository, same, soon};

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "reach::bridges_are_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/bridges.yaml"), 800)),
        },
        Test {
            name: "reach::both_address_families_are_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/families.yaml"), 200)),
        },
        Test {
            name: "reach::gateway_modes_are_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/gateway-modes.yaml"), 500)),
        },
        Test {
            name: "reach::ways_out_of_several_networks_are_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/multi-homed.yaml"), 800)),
        },
        Test {
            name: "reach::macvlan_bridge_is_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/macvlan-bridge.yaml"), 100)),
        },
        Test {
            name: "reach::macvlan_without_a_gateway_is_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/macvlan-bare.yaml"), 150)),
        },
        Test {
            name: "reach::macvlan_private_is_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/macvlan-private.yaml"), 100)),
        },
        Test {
            name: "reach::macvlan_vepa_is_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/macvlan-vepa.yaml"), 100)),
        },
        Test {
            name: "reach::macvlan_vepa_with_a_reflecting_switch_is_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/macvlan-reflect.yaml"), 100)),
        },
        Test {
            name: "reach::a_shim_is_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/macvlan-shim.yaml"), 100)),
        },
        Test {
            name: "reach::a_strict_switch_is_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/macvlan-strict.yaml"), 100)),
        },
        Test {
            name: "reach::macvlan_passthru_is_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/macvlan-passthru.yaml"), 60)),
        },
        Test {
            name: "reach::subnets_of_one_wire_are_as_predicted",
            run: Run::Host(|bed| agrees(bed, include_str!("reach/macvlan-subnets.yaml"), 120)),
        },
        Test {
            name: "reach::why_tells_what_each_hop_said",
            run: Run::Host(why::hops),
        },
        Test {
            name: "reach::envoys_see_what_threads_see",
            run: Run::Host(envoys::see_the_same),
        },
        Test {
            name: "reach::one_that_ends_meanwhile_is_down",
            run: Run::Host(envoys::end_meanwhile),
        },
        Test {
            name: "reach::envoys_come_home_whatever_happens",
            run: Run::Host(envoys::come_home),
        },
        Test {
            name: "reach::doors_to_the_host_are_as_predicted",
            run: Run::Host(doors),
        },
        Test {
            name: "reach::rules_of_the_users_own_are_what_cells_hang_on",
            run: Run::Host(users_rules),
        },
        Test {
            name: "reach::what_the_host_is_asked_hangs_on_its_own_rules",
            run: Run::Host(hosts_rules),
        },
        Test {
            name: "reach::those_that_were_stopped_are_as_predicted",
            run: Run::Host(stopped),
        },
        Test {
            name: "reach::images_of_one_file_are_as_predicted",
            run: Run::Host(scratch),
        },
        Test {
            name: "reach::overlays_are_as_predicted",
            run: Run::OwnHost(overlays),
        },
        Test {
            name: "reach::ipvlan_and_vlans_are_as_predicted",
            run: Run::Guest(in_a_guest),
        },
        Test {
            name: "reach::stacks_made_at_random_are_as_predicted",
            run: Run::Host(random),
        },
    ]
}

/// The seeds of every run: those whose stacks have contradicted the rules.
const SEEDS: [u64; 5] = [3, 9, 11, 13, 15];

/// A host that answers ARP only for the address of the link that is asked needs doors.
fn doors(bed: &Bed) -> Result<Outcome, Failure> {
    bed.run("sysctl -q -w net.ipv4.conf.all.arp_ignore=1")?;
    let outcome = agrees(bed, include_str!("reach/doors.yaml"), 100);
    bed.run("sysctl -q -w net.ipv4.conf.all.arp_ignore=0")?;
    outcome
}

/// Rules in the chain that the engine leaves to the user may drop what passes it, and only that.
fn users_rules(bed: &Bed) -> Result<Outcome, Failure> {
    let file = include_str!("reach/user-rules.yaml");
    stands(bed, file, |folder, named| {
        bed.run("iptables -w -I DOCKER-USER -s 10.111.0.0/24 -p tcp --dport 81 -j DROP")?;
        let ruled = asked(bed, folder, named);
        bed.run("iptables -w -D DOCKER-USER -s 10.111.0.0/24 -p tcp --dport 81 -j DROP")?;
        let ruled = ruled?;
        let hang = |cell: &Value| cell["rule"] == "V8";
        let (hanging, other): (Vec<&Value>, Vec<&Value>) =
            cells(&ruled).partition(|cell| hang(cell));
        let (open, shut): (Vec<&Value>, Vec<&Value>) = (hanging.iter().copied())
            .filter(|cell| cell["seen"].is_string())
            .partition(|cell| cell["seen"] == "ok");
        println!(
            "  {} cells hang on the rules: {} seen open, {} shut",
            hanging.len(),
            open.len(),
            shut.len()
        );
        holds("some that hang on the rules are open", !open.is_empty())?;
        let dropped = shut
            .iter()
            .any(|cell| cell["seen"] == "timeout" && cell["ask"] == "tcp/81");
        holds(&format!("what the rule drops is shut: {shut:?}"), dropped)?;
        none_differs(other.into_iter())?;
        compared(bed, folder, named)
    })?;
    Ok(Outcome::Passed)
}

/// Rules of the host for what comes in may drop what it is asked itself, and only that.
fn hosts_rules(bed: &Bed) -> Result<Outcome, Failure> {
    let file = include_str!("reach/user-rules.yaml");
    stands(bed, file, |folder, named| {
        bed.shell(
            "nft add table inet own && nft add chain inet own in '{ type filter hook input priority 0; }' &&
             nft add rule inet own in ip saddr 10.111.0.0/24 icmp type echo-request drop",
        )?;
        let ruled = asked(bed, folder, named);
        bed.run("nft delete table inet own")?;
        let ruled = ruled?;
        let hang = |cell: &Value| cell["rule"] == "V9";
        let (hanging, other): (Vec<&Value>, Vec<&Value>) =
            cells(&ruled).partition(|cell| hang(cell));
        let dropped = hanging
            .iter()
            .any(|cell| cell["seen"] == "timeout" && cell["ask"] == "icmp");
        holds(
            &format!("what the rule drops is shut: {hanging:?}"),
            dropped,
        )?;
        none_differs(other.into_iter())?;
        compared(bed, folder, named)
    })?;
    Ok(Outcome::Passed)
}

/// The probes need nothing of the image: neither a shell nor a file of the resolver's.
fn scratch(bed: &Bed) -> Result<Outcome, Failure> {
    let outcome = agrees(bed, include_str!("reach/scratch.yaml"), 100);
    bed.docker("image rm reach-bare:latest")?;
    outcome
}

fn overlays(bed: &mut Bed) -> Result<Outcome, Failure> {
    let bed = &*bed;
    bed.docker("swarm init --advertise-addr 127.0.0.1")?;
    soon(
        "the swarm has its own networks",
        Duration::from_secs(20),
        || {
            let networks = bed.docker("network ls --format {{.Name}}")?;
            Ok(networks.contains("ingress") && networks.contains("docker_gwbridge"))
        },
    )?;
    let outcome = agrees(bed, include_str!("reach/overlays.yaml"), 100);
    bed.docker("swarm leave --force")?;
    outcome
}

/// The modes that only a guest's kernel has, one stack after the other.
fn in_a_guest(guest: &Guest) -> Result<Outcome, Failure> {
    // Each stack takes a minute here, so the rest is for a run of everything.
    let mut names =
        Sweep::wanted().choose(vec!["guest-l2", "guest-l3", "guest-vlan"], vec!["guest-l2"]);
    // Flags and the mode l3s are unknown to older engines.
    if guest.is_at_least(23) {
        names.extend(
            Sweep::wanted().choose(vec!["guest-private", "guest-l3s"], vec!["guest-private"]),
        );
    }
    let folder = repository().join("tests/live/reach");
    for name in names {
        // A guest for each: on a busy machine all of them together take longer than one may live.
        let script = format!(
            "stack -f {name}.yaml up -d >/t/up || {{ cat /t/up; exit 1; }}
    stack -f {name}.yaml reach --probe --with-responders --format csv | grep -vE '^[a-z0-9]+,'
    stack -f {name}.yaml down >/t/down || {{ cat /t/down; exit 1; }}"
        );
        let file = folder.join(format!("{name}.yaml"));
        let part = guest.run(&script, &[&file])?.ok()?;
        let last = part
            .lines()
            .find(|line| line.contains(" cells: "))
            .ok_or_else(|| format!("no count for {name}:\n{part}"))?;
        println!("  {name}: {last}");
        // Some are never asked (the internet, other projects), so agreement is that nothing else was seen.
        let agree = last.ends_with(" not asked")
            && !last.contains(" 0 agree")
            && last.contains(" 0 differ, 0 fail in another way, 0 could not be told, ");
        holds(&format!("all cells of {name} agree:\n{part}"), agree)?;
    }
    Ok(Outcome::Passed)
}

fn random(bed: &Bed) -> Result<Outcome, Failure> {
    let seeds = match std::env::var("STACK_SEEDS") {
        Err(_) => SEEDS.to_vec(),
        Ok(text) => {
            let (first, last) = text.split_once('-').unwrap_or((&text, &text));
            (first.parse()?..=last.parse()?).collect()
        }
    };
    let major = bed
        .version()
        .split('.')
        .next()
        .unwrap_or_default()
        .parse()?;
    let mut failures = Vec::new();
    let mut cells = 0;
    for seed in &seeds {
        let file = generate::stack(*seed, major);
        match counted(bed, &file) {
            Ok(agree) => cells += agree,
            Err(failure) => failures.push(format!("seed {seed}: {failure}\n{file}")),
        }
    }
    println!("  seeds {seeds:?}: {cells} cells agree");
    if failures.is_empty() {
        return Ok(Outcome::Passed);
    }
    Err(failures.join("\n").into())
}

/// Brings the stack up, compares at least so many cells, and takes it down whatever came of it.
fn agrees(bed: &Bed, file: &str, least: u64) -> Result<Outcome, Failure> {
    let agree = counted(bed, file)?;
    holds(
        &format!("at least {least} cells were compared"),
        agree >= least,
    )?;
    Ok(Outcome::Passed)
}

/// The cells that agree, if none differs.
fn counted(bed: &Bed, file: &str) -> Result<u64, Failure> {
    stands(bed, file, |folder, named| compared(bed, folder, named))
}

/// Before some are stopped and after.
fn stopped(bed: &Bed) -> Result<Outcome, Failure> {
    stands(bed, include_str!("reach/stopped.yaml"), |folder, named| {
        let before = compared(bed, folder, named)?;
        let stop = format!("{named} stop db shop");
        bed.stack(folder, &stop)?.ok()?;
        let answer = asked(bed, folder, named)?;
        none_differs(cells(&answer))?;
        let reason = |from: &str, to: &str| -> BTreeSet<String> {
            cells(&answer)
                .filter(|cell| cell["from"] == from && cell["to"] == to)
                .map(|cell| cell["reason"].as_str().unwrap_or("-").to_owned())
                .collect()
        };
        for (from, to) in [
            ("rstop-app-1", "db"),
            ("rstop-asker-1", "store"),
            ("rstop-web-1", "shop"),
        ] {
            let down = BTreeSet::from(["CONTAINER_DOWN".to_owned()]);
            same(&format!("why {from} misses {to}"), reason(from, to), down)?;
        }
        Ok(before)
    })?;
    Ok(Outcome::Passed)
}

/// Brings the stack up, looks at it, and takes it down whatever came of it.
fn stands(
    bed: &Bed,
    file: &str,
    look: impl FnOnce(&Path, &str) -> Result<u64, Failure>,
) -> Result<u64, Failure> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("stack.yaml");
    std::fs::write(&path, file)?;
    // Entering the host's mounts loses the working directory, so the file is named.
    let named = format!("-f {}", path.display());
    let seen = bed
        .stack(folder.path(), &format!("{named} up -d"))
        .and_then(|ran| ran.ok())
        .and_then(|_| look(folder.path(), &named));
    bed.stack(folder.path(), &format!("{named} down"))?.ok()?;
    seen
}

fn compared(bed: &Bed, folder: &Path, named: &str) -> Result<u64, Failure> {
    let answer = asked(bed, folder, named)?;
    none_differs(cells(&answer))?;
    Ok(answer["counts"]["agree"].as_u64().unwrap_or(0))
}

/// Predicts and probes all cells.
fn asked(bed: &Bed, folder: &Path, named: &str) -> Result<Value, Failure> {
    let ran = bed.stack(
        folder,
        &format!("{named} reach --probe --with-responders --format json"),
    )?;
    let answer: Value = serde_json::from_str(&ran.stdout)
        .map_err(|error| format!("{error}: {}{}", ran.stdout, ran.stderr))?;
    let count = |name: &str| answer["counts"][name].as_u64().unwrap_or(0);
    println!(
        "  {} cells, {} agree, {} not asked, on engine {}",
        count("cells"),
        count("agree"),
        count("predicted_only"),
        bed.version()
    );
    Ok(answer)
}

fn cells(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["cells"].as_array().into_iter().flatten()
}

fn none_differs<'a>(cells: impl Iterator<Item = &'a Value>) -> Result<(), Failure> {
    let differ: Vec<String> = cells
        .filter(|cell| {
            matches!(
                cell["agreement"].as_str(),
                Some("differ" | "other-kind" | "unclear" | "unpredicted")
            )
        })
        .map(|cell| {
            let text = |key: &str| cell[key].as_str().unwrap_or("-").to_owned();
            format!(
                "{} to {} {}: predicted {} {} {}, seen {} ({})",
                text("from"),
                text("to"),
                text("ask"),
                text("predicted"),
                text("reason"),
                text("rule"),
                text("seen"),
                text("seen_detail")
            )
        })
        .collect();
    if !differ.is_empty() {
        return Err(format!("{} cells differ:\n{}", differ.len(), differ.join("\n")).into());
    }
    Ok(())
}
