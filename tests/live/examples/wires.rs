//! macvlan on simulated LANs: every mode, the shim, and a DNS server for the whole LAN.

use std::process::Command;

use crate::bed::{Bed, ran};
use crate::examples::Expect::{Page, Refused, Silence};
use crate::examples::{Example, reach, shown};
use crate::place::Place;
use crate::runner::{Failure, Outcome, Run, Test, holds, same, soon};

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "examples::main_shows_every_kind_of_network",
            run: Run::Host(main),
        },
        Test {
            name: "examples::macvlan_bridge_is_reached_by_the_lan_and_through_the_shim_by_the_host",
            run: Run::Host(bridge),
        },
        Test {
            name: "examples::macvlan_private_walls_containers_off_from_each_other",
            run: Run::Host(private),
        },
        Test {
            name: "examples::macvlan_vepa_needs_a_switch_that_reflects",
            run: Run::Host(vepa),
        },
        Test {
            name: "examples::macvlan_passthru_takes_the_parent_from_the_host",
            run: Run::Host(passthru),
        },
        Test {
            name: "examples::pihole_like_answers_the_lan_and_the_host",
            run: Run::Host(dns),
        },
    ]
}

fn main(bed: &Bed) -> Result<Outcome, Failure> {
    shown(bed, "main", |example| {
        let laptop = example.machine("office", "laptop");
        let here = example.bed.here();
        let site = example.service("site")?;
        let printer = format!("{}:80", example.address("printer")?);
        same(
            "site's MAC address",
            example.mac("site")?.as_str(),
            "02:42:c0:a8:4d:14",
        )?;
        reach(&[
            (&laptop, "192.168.77.20:80", Page),
            (&laptop, &printer, Page),
            (&here, "192.168.77.20:80", Page),
            (&here, &printer, Page),
            (&site, &printer, Page),
            (&here, "127.0.0.1:8099", Page),
            (&laptop, "192.168.77.10:8099", Page),
            (&site, "192.168.77.10:8099", Page),
            (&site, &format!("{}:80", example.address("web")?), Silence),
        ])?;
        let page = example.page("sidecar", "http://db/cgi-bin/who")?;
        holds(
            &format!("names on the bridge: {page}"),
            page.starts_with("db answers"),
        )?;
        let page = example.page("db", "http://www:8080/cgi-bin/who")?;
        holds(
            &format!("sidecar is found at web's alias: {page}"),
            page.starts_with("web answers"),
        )?;
        same(
            "the links of sealed",
            example.links("sealed")?.as_str(),
            "lo",
        )?;
        // The door's route taken away, the host is walled off; `up` brings it back.
        let routes = example.bed.run("ip route show proto 115")?;
        let route = routes
            .lines()
            .find(|line| line.contains("192.168.77.20"))
            .unwrap_or_default();
        example.bed.run(&format!(
            "ip route del {}",
            route
                .split_whitespace()
                .take(3)
                .collect::<Vec<_>>()
                .join(" ")
        ))?;
        reach(&[
            (&here, "192.168.77.20:80", Silence),
            (&laptop, "192.168.77.20:80", Page),
        ])?;
        example.up()?;
        reach(&[(&here, "192.168.77.20:80", Page)])
    })
}

fn bridge(bed: &Bed) -> Result<Outcome, Failure> {
    shown(bed, "macvlan-bridge", |example| {
        let laptop = example.machine("office", "laptop");
        let here = example.bed.here();
        same(
            "site's address",
            example.address("site")?.as_str(),
            "192.168.81.20",
        )?;
        same(
            "site's MAC address",
            example.mac("site")?.as_str(),
            "02:42:c0:a8:51:14",
        )?;
        let inside = example
            .exec("site", "cat /sys/class/net/eth0/address")?
            .ok()?;
        same("the MAC address inside", inside.trim(), "02:42:c0:a8:51:14")?;
        let other = format!("{}:80", example.address("other")?);
        same("other's address", other.as_str(), "192.168.81.128:80")?;
        let page = example.page("other", "http://www/cgi-bin/who")?;
        holds(
            &format!("other finds site by its alias: {page}"),
            page.starts_with("site answers"),
        )?;
        let site = example.service("site")?;
        reach(&[
            (&laptop, "192.168.81.20:80", Page),
            (&laptop, &other, Page),
            (&here, "192.168.81.20:80", Page),
            (&here, &other, Page),
            (&site, &other, Page),
            (&site, "192.168.81.50:80", Refused),
            (&site, "192.168.81.10:80", Refused),
            (&site, "192.168.81.1:80", Refused),
        ])?;
        shim_is_a_door(example)?;
        example.edit("    shim: true\n", "    shim: false\n")?;
        example.up()?;
        reach(&[
            (&here, "192.168.81.20:80", Silence),
            (&here, &other, Silence),
            (&laptop, "192.168.81.20:80", Page),
        ])?;
        example.edit("    shim: false\n", "    shim: true\n")?;
        example.up()?;
        reach(&[(&here, "192.168.81.20:80", Page)])
    })
}

/// What the host's side of the network is: a macvlan link in bridge mode, one /32, routes with our protocol number.
fn shim_is_a_door(example: &Example) -> Result<(), Failure> {
    let links = example
        .bed
        .run("ip -details -oneline link show type macvlan")?;
    let shim = links
        .lines()
        .find(|line| line.contains("@lab1"))
        .ok_or_else(|| format!("no macvlan link on lab1: {links}"))?;
    holds(
        &format!("it is in bridge mode: {shim}"),
        shim.contains("macvlan mode bridge"),
    )?;
    holds(
        &format!("it is marked: {shim}"),
        shim.contains("project=macvlan-bridge"),
    )?;
    let name = shim.split([' ', '@']).nth(1).unwrap_or_default();
    let addresses = example
        .bed
        .run(&format!("ip -oneline -4 address show dev {name}"))?;
    holds(
        &format!("it has one /32 outside ip_range: {addresses}"),
        addresses.lines().count() == 1 && addresses.contains("192.168.81.254/32"),
    )?;
    let routes = example
        .bed
        .run(&format!("ip route show dev {name} proto 115"))?;
    let mut destinations: Vec<&str> = routes
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    destinations.sort_unstable();
    same(
        "its routes",
        destinations,
        vec!["192.168.81.128/26", "192.168.81.20"],
    )
}

fn private(bed: &Bed) -> Result<Outcome, Failure> {
    shown(bed, "macvlan-private", |example| {
        let (one, two) = (example.service("one")?, example.service("two")?);
        let laptop = example.machine("office", "laptop");
        reach(&[
            (&laptop, "192.168.82.21:80", Page),
            (&laptop, "192.168.82.22:80", Page),
            (&one, "192.168.82.50:80", Refused),
            (&two, "192.168.82.1:80", Refused),
            (&one, "192.168.82.22:80", Silence),
            (&two, "192.168.82.21:80", Silence),
            (&example.bed.here(), "192.168.82.21:80", Silence),
        ])?;
        no_shim(example, "    mode: private\n")
    })
}

/// A shim where none can help is refused before anything is changed.
fn no_shim(example: &Example, after: &str) -> Result<(), Failure> {
    let with = format!("{after}    shim: true\n");
    example.edit(after, &with)?;
    let said = example.stack("up --detach")?.fails_with(1)?;
    holds(
        &format!("the place is named: {said}"),
        said.contains("stack.yaml:"),
    )?;
    holds(
        &format!("it is about the shim: {said}"),
        said.contains("shim"),
    )?;
    example.edit(&with, after)
}

fn vepa(bed: &Bed) -> Result<Outcome, Failure> {
    shown(bed, "macvlan-vepa", |example| {
        let laptop = example.machine("office", "laptop");
        let here = example.bed.here();
        let one = example.service("one")?;
        reach(&[
            (&laptop, "192.168.83.21:80", Page),
            (&one, "192.168.83.22:80", Page),
            (&here, "192.168.83.21:80", Page),
            (&one, "192.168.83.10:80", Refused),
        ])?;
        example.edit("switch: {reflect: true}", "switch: {reflect: false}")?;
        example.up()?;
        let one = example.service("one")?;
        reach(&[
            (&laptop, "192.168.83.21:80", Page),
            (&one, "192.168.83.22:80", Silence),
            (&here, "192.168.83.21:80", Silence),
        ])
    })
}

fn passthru(bed: &Bed) -> Result<Outcome, Failure> {
    shown(bed, "macvlan-passthru", |example| {
        let laptop = example.machine("office", "laptop");
        let only = example.service("only")?;
        reach(&[
            (&laptop, "192.168.84.20:80", Page),
            (&only, "192.168.84.1:80", Refused),
            (&example.bed.here(), "192.168.84.50:80", Silence),
            (&example.bed.here(), "192.168.84.20:80", Silence),
        ])?;
        no_shim(example, "    mode: passthru\n")
    })
}

fn dns(bed: &Bed) -> Result<Outcome, Failure> {
    let example = Example::copied(bed, "pihole-like")?;
    let built = ran(Command::new("sh").arg(example.folder.join("dns.sh")))?;
    if built.code != Some(0) {
        let reason = built
            .stderr
            .lines()
            .next()
            .unwrap_or("rustc failed")
            .to_owned();
        return Ok(Outcome::Skipped(format!(
            "the DNS server does not build: {reason}"
        )));
    }
    example.shown(|example| {
        let laptop = example.machine("home", "laptop");
        let here = example.bed.here();
        for place in [&laptop, &here] {
            soon(
                "the server answers",
                std::time::Duration::from_secs(5),
                || Ok(asked(place, "home.example")?.contains("192.168.91.10")),
            )?;
            let blocked = asked(place, "ads.example")?;
            holds(
                &format!("{} is told 0.0.0.0: {blocked}", place.name()),
                blocked.contains("0.0.0.0"),
            )?;
            let unknown = asked(place, "nobody.example")?;
            holds(
                &format!("{} is told NXDOMAIN: {unknown}", place.name()),
                unknown.contains("NXDOMAIN"),
            )?;
        }
        let link = example
            .bed
            .run("ip -oneline -4 address show to 192.168.91.254")?;
        holds(
            &format!("the shim has the address of the file: {link}"),
            link.contains("/32"),
        )
    })?;
    Ok(Outcome::Passed)
}

/// What the DNS server of the LAN says of a name.
fn asked(from: &Place, name: &str) -> Result<String, Failure> {
    let said = from.run(["busybox", "nslookup", "-type=a", name, "192.168.91.53"])?;
    Ok(format!("{}{}", said.stdout, said.stderr))
}
