//! The tutorial's own macvlan network, with its values.

use crate::bed::Bed;
use crate::examples::Expect::{Page, Silence};
use crate::examples::{Example, page_in, reach};
use crate::runner::{Failure, Outcome, Run, Test, holds, same};

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![Test {
        name: "examples::tutorial_works_with_its_values_and_without_its_firewall_rule",
        run: Run::Host(tutorial),
    }]
}

const HELLO: &str = "helloworld-nodejs";

fn tutorial(bed: &Bed) -> Result<Outcome, Failure> {
    let mut example = Example::copied(bed, "tutorial")?;
    example.warnings = &["host-bits", "address-in-range"];
    example.shown(|example| {
        let here = example.bed.here();
        let client = example.machine("site", "client");
        let hello = example.bed.container(HELLO)?;
        network(example)?;
        endpoint(example)?;
        door(example)?;
        let neighbour = format!("{}:80", example.address("neighbour")?);
        reach(&[
            (&client, "192.168.1.230:8080", Page),
            (&here, "192.168.1.230:8080", Page),
            (&client, &neighbour, Page),
            (&hello, &neighbour, Page),
            // The single route of the tutorial opens the door to one container.
            (&here, &neighbour, Silence),
        ])?;
        // macvlan networks have DNS, whatever the tutorial says, and the host's own address needs no rule.
        page_in(example, HELLO, "http://neighbour/")?;
        holds(
            "the container reaches the host's address",
            hello.pings("192.168.1.30")?,
        )?;
        holds("and the shim's", hello.pings("192.168.1.233")?)?;
        let rules = example.bed.run("iptables-save -t nat")?;
        holds(
            &format!("there is no rule for the host's address:\n{rules}"),
            !rules.contains("192.168.1.30") && !rules.contains("192.168.1.233"),
        )
    })?;
    Ok(Outcome::Passed)
}

/// What the engine was told: the subnet without host bits, the rest as it is, the shim's address reserved.
fn network(example: &Example) -> Result<(), Failure> {
    let text = example.bed.docker("network inspect macvlan1")?;
    let facts: serde_json::Value = serde_json::from_str(&text)?;
    let pool = &facts[0]["IPAM"]["Config"][0];
    same("subnet", pool["Subnet"].as_str(), Some("192.168.0.0/22"))?;
    same("range", pool["IPRange"].as_str(), Some("192.168.1.128/25"))?;
    same("gateway", pool["Gateway"].as_str(), Some("192.168.1.1"))?;
    let reserved = &pool["AuxiliaryAddresses"];
    same(
        "my-router",
        reserved["my-router"].as_str(),
        Some("192.168.1.129"),
    )?;
    let reserved: Vec<&str> = reserved
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(_, address)| address.as_str())
        .collect();
    holds(
        &format!("the shim's address is reserved: {reserved:?}"),
        reserved.contains(&"192.168.1.233"),
    )?;
    same("driver", facts[0]["Driver"].as_str(), Some("macvlan"))?;
    same(
        "parent",
        facts[0]["Options"]["parent"].as_str(),
        Some("wire0"),
    )
}

fn endpoint(example: &Example) -> Result<(), Failure> {
    let template = "{{range.NetworkSettings.Networks}}{{.IPAddress}}/{{.IPPrefixLen}}{{end}}";
    same(
        "address",
        example.inspect(HELLO, template)?.as_str(),
        "192.168.1.230/22",
    )?;
    let mac = example
        .exec_in(HELLO, "cat /sys/class/net/eth0/address")?
        .ok()?;
    same("MAC address", mac.trim(), "d0:ee:6a:1d:3c:62")?;
    let neighbour = example.address("neighbour")?;
    holds(
        &format!("neighbour's address is of the range and no reserved one: {neighbour}"),
        neighbour == "192.168.1.128",
    )
}

fn door(example: &Example) -> Result<(), Failure> {
    let link = example
        .bed
        .run("ip -details -oneline link show macvlan_host")?;
    holds(
        &format!("it is a macvlan link on the parent: {link}"),
        link.contains("macvlan_host@wire0") && link.contains("macvlan mode bridge"),
    )?;
    let address = example
        .bed
        .run("ip -oneline -4 address show dev macvlan_host")?;
    holds(
        &format!("its address: {address}"),
        address.contains("192.168.1.233/32"),
    )?;
    let routes = example.bed.run("ip route show dev macvlan_host")?;
    let destination = routes.split_whitespace().next().unwrap_or_default();
    same(
        "its only route",
        (routes.lines().count(), destination),
        (1, "192.168.1.230"),
    )?;
    let parent = example.bed.run("ip -oneline link show wire0")?;
    holds(
        &format!("the parent is promiscuous: {parent}"),
        parent.contains("PROMISC"),
    )
}
