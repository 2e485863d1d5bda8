//! `stack shim` on a private host: what somebody removed or changed is seen by `ls`, `check` and `up`, and put back by
//! `repair`.

use crate::bed::Bed;
use crate::examples::copied;
use crate::runner::{Failure, Outcome, Run, Test, holds, same};
use crate::wire::Wire;

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "shim::what_somebody_changed_is_seen_and_repaired",
            run: Run::Host(changed),
        },
        Test {
            name: "shim::one_that_lost_its_alias_is_left_and_told",
            run: Run::Host(unclaimed),
        },
        Test {
            name: "shim::a_switch_that_takes_one_mac_address_is_told",
            run: Run::Host(one_mac),
        },
        Test {
            name: "shim::networks_and_projects_on_one_parent_keep_what_is_theirs",
            run: Run::Host(shared),
        },
    ]
}

/// An act of somebody else, and what `stack shim check` must say is not so.
const ACTS: &[(&str, &str)] = &[
    (
        "ip route del 192.168.81.20 dev SHIM",
        "it is as it was made",
    ),
    ("ip route flush dev SHIM proto 0x73", "a route leads to"),
    (
        "ip address del 192.168.81.254/32 dev SHIM",
        "it is as it was made",
    ),
    (
        "ip address add 192.168.81.253/24 dev SHIM",
        "its addresses are /32",
    ),
    ("ip link set SHIM down", "it is as it was made"),
    (
        "sysctl -q -w net.ipv4.conf.SHIM.arp_announce=0",
        "arp_announce",
    ),
    (
        "ip rule add to 192.168.81.20 priority 5 table 99; ip route add 192.168.81.20 dev docker0 table 99",
        "packets to 192.168.81.20 leave by it",
    ),
];

fn changed(bed: &Bed) -> Result<Outcome, Failure> {
    let (_temporary, folder) = copied("macvlan-bridge")?;
    bed.stack(&folder, "up -d")?.ok()?;
    let shim = bed.stack(&folder, "shim ls -q")?.ok()?.trim().to_owned();
    let check = || bed.stack(&folder, "shim check");
    let whole = check()?;
    let holding = whole
        .stdout
        .lines()
        .filter(|line| line.starts_with("  ok"))
        .count();
    whole.ok()?;
    // A 14th where the kernel knows somebody on the wire.
    holds(
        &format!("13 things are checked, seen {holding}"),
        (13..=14).contains(&holding),
    )?;
    let shown = bed.stack(&folder, "shim show")?.ok()?;
    holds(
        &format!("the source of packets is told:\n{shown}"),
        shown.contains("source    192.168.81.254, not 192.168.81.10"),
    )?;
    for (act, word) in ACTS {
        bed.shell(&act.replace("SHIM", &shim))?;
        let seen = check()?;
        let told = seen
            .stdout
            .lines()
            .any(|line| line.starts_with("  FAIL") && line.contains(word));
        holds(
            &format!(
                "`{act}` is told as `{word}`:\n{}{}",
                seen.stdout, seen.stderr
            ),
            seen.code == Some(1) && told,
        )?;
        bed.stack(&folder, "shim repair")?.ok()?;
        if act.contains("ip rule") {
            // Rules are somebody's own; they are told and left.
            bed.shell("ip rule del priority 5; ip route flush table 99")?;
        }
        check()?
            .ok()
            .map_err(|failure| format!("after `{act}` and repair: {failure}"))?;
    }
    bed.run(&format!("ip link del {shim}"))?;
    let listed = bed.stack(&folder, "shim ls")?.ok()?;
    holds(
        &format!("a wanted shim that is gone is listed:\n{listed}"),
        listed
            .lines()
            .any(|line| line.starts_with(&shim) && line.ends_with("missing")),
    )?;
    let seen = check()?;
    holds(
        &format!("and told by `check`:\n{}", seen.stdout),
        seen.code == Some(1) && seen.stdout.contains("FAIL   it is there"),
    )?;
    // What is wanted is known without the file.
    let elsewhere = tempfile::tempdir()?;
    bed.stack(elsewhere.path(), "-p macvlan-bridge shim repair")?
        .ok()?;
    check()?.ok()?;
    let said = bed.stack(&folder, "shim repair")?.stderr;
    holds("a whole host is left alone", said.contains("is whole"))?;
    bed.stack(&folder, "down")?.ok()?;
    Ok(Outcome::Passed)
}

/// Whose it is cannot be said any more: it may be anybody's.
fn unclaimed(bed: &Bed) -> Result<Outcome, Failure> {
    let (_temporary, folder) = copied("macvlan-bridge")?;
    bed.stack(&folder, "up -d")?.ok()?;
    let shim = bed.stack(&folder, "shim ls -q")?.ok()?.trim().to_owned();
    bed.run(&format!("ip link set {shim} alias \"\""))?;
    let seen = bed.stack(&folder, "shim check")?.stdout;
    holds(
        &format!("`check` says why it is not there:\n{seen}"),
        seen.contains("it is there: a link of this name is") && seen.contains("ip link delete"),
    )?;
    let down = bed.stack(&folder, "down")?;
    holds(
        &format!("`down` tells what stays:\n{}", down.stderr),
        down.code == Some(0) && down.stderr.contains(&format!("ip link delete {shim}")),
    )?;
    // It goes with its parent, which is the lan's.
    Ok(Outcome::Passed)
}

/// Of two stacks that differ in the switch alone.
fn one_mac(bed: &Bed) -> Result<Outcome, Failure> {
    for (port, verdict) in [("accept", "ok"), ("reject", "FAIL")] {
        let folder = tempfile::tempdir()?;
        let file = format!(
            "name: ports
lans:
  office:
    parent: lab8
    subnet: 192.168.98.0/24
    address: 192.168.98.10
    hosts: {{laptop: 192.168.98.50}}
    switch: {{promiscuous: {port}}}
networks:
  lan:
    driver: macvlan
    parent: office
    ipam: {{config: [{{subnet: 192.168.98.0/24, ip_range: 192.168.98.128/26}}]}}
    shim: {{name: port-shim}}
services:
  web: {{image: stack-lab:latest, stop_grace_period: 0s, networks: [lan]}}
"
        );
        std::fs::write(folder.path().join("stack.yaml"), file)?;
        bed.stack(folder.path(), "up -d")?.ok()?;
        let asked = bed.here().pings("192.168.98.50");
        let checked = bed.stack(folder.path(), "shim check");
        bed.stack(folder.path(), "down")?.ok()?;
        holds("the host reaches the laptop", asked?)?;
        let checked = checked?.stdout;
        let line = format!("  {verdict:<6} others on the wire hear it");
        holds(
            &format!("with `{port}` it says `{line}`:\n{checked}"),
            checked.contains(&line),
        )?;
    }
    Ok(Outcome::Passed)
}

/// Two networks of one project on one parent, IPv4 and IPv6: one shim with both. A second project on a network of the
/// first: a shim of its own, and each goes with its owner.
fn shared(bed: &Bed) -> Result<Outcome, Failure> {
    let folder = tempfile::tempdir()?;
    let _wire = Wire::new(bed, "wire0", &[])?;
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
    let many = bed.is_at_least(25);
    // One parent carries two macvlan networks since API 1.44.
    let second = if many {
        "
  two:
    driver: macvlan
    parent: wire0
    ipam: {config: [{subnet: 10.61.0.0/24, ip_range: 10.61.0.64/26}]}
    shim: {address: 10.61.0.9, routes: [10.61.0.64/27, 10.61.0.200/32]}"
    } else {
        ""
    };
    file(
        "one.yaml",
        &format!(
            "name: one
networks:
  lan:
    name: shared-lan
    driver: macvlan
    parent: wire0
    enable_ipv6: true
    ipam: {{config: [{{subnet: 10.60.0.0/24, ip_range: 10.60.0.64/26}}, {{subnet: fd60::/64, ip_range: 'fd60::100/120'}}]}}
    shim: {{name: shim-one, address: [10.60.0.9, 'fd60::9'], routes: range}}{second}
services:
  web: {{image: stack-lab, networks: [lan]}}
"
        ),
    )?;
    file(
        "two.yaml",
        "name: two
networks:
  lan: {external: true, name: shared-lan}
services:
  web: {image: stack-lab, networks: [lan]}
",
    )?;
    bed.stack(folder.path(), "-f one.yaml up -d")?.ok()?;
    bed.stack(folder.path(), "-f two.yaml up -d")?.ok()?;
    let routes = bed.shell(
        "{ ip route show dev shim-one; ip -6 route show dev shim-one proto 0x73; } | sed 's/ proto.*src/ src/; s/ metric.*//' | sort",
    )?;
    let mut wanted = vec!["10.60.0.64/26 src 10.60.0.9", "fd60::100/120 src fd60::9"];
    if many {
        wanted.extend(["10.61.0.200 src 10.61.0.9", "10.61.0.64/27 src 10.61.0.9"]);
    }
    wanted.sort_unstable();
    let seen: Vec<&str> = routes.lines().map(str::trim).collect();
    same("the routes of both networks", seen, wanted)?;
    bed.stack(folder.path(), "shim check")?.ok()?;
    let networks = bed.stack(folder.path(), "shim ls --format json")?.ok()?;
    let networks: serde_json::Value = serde_json::from_str(&networks)?;
    same(
        "the owners",
        networks[0]["networks"].as_array().map(Vec::len),
        Some(if many { 2 } else { 1 }),
    )?;
    // What another project's container is on is nobody's orphan, whatever became of its own.
    bed.docker("rm -f one-web-1")?;
    let lent = bed.stack(folder.path(), "orphans")?;
    same(
        "orphans while two-web-1 is there",
        (lent.code, lent.stdout.as_str()),
        (Some(0), ""),
    )?;
    bed.stack(folder.path(), "-f two.yaml down")?.ok()?;
    bed.stack(folder.path(), "-f one.yaml down")?.ok()?;
    Ok(Outcome::Passed)
}
