//! Bridges, the host's own namespace, none, and shared namespaces.

use crate::bed::Bed;
use crate::examples::Expect::{Page, Refused, Silence};
use crate::examples::{Example, page_in, reach, shown};
use crate::runner::{Failure, Outcome, Run, Test, holds, same};

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "examples::default_bridge_has_no_names_but_a_link_outlives_an_address",
            run: Run::Host(default_bridge),
        },
        Test {
            name: "examples::user_bridge_has_names_walls_and_options",
            run: Run::Host(user_bridge),
        },
        Test {
            name: "examples::host_shares_the_links_and_ports_of_the_host",
            run: Run::Host(host),
        },
        Test {
            name: "examples::none_has_only_lo",
            run: Run::Host(none),
        },
        Test {
            name: "examples::container_shares_one_namespace_and_is_repaired",
            run: Run::Host(container),
        },
    ]
}

fn default_bridge(bed: &Bed) -> Result<Outcome, Failure> {
    shown(bed, "default-bridge", |example| {
        let address = example.address("web")?;
        let stranger = example.service("stranger")?;
        reach(&[(&stranger, &format!("{address}:80"), Page)])?;
        let hello = "hello from the default bridge";
        same(
            "the page by the link",
            example.page("client", "http://site/")?.as_str(),
            hello,
        )?;
        example.knows_not("stranger", "site")?;
        example.knows_not("stranger", "default-bridge-web-1")?;
        example.knows_not("web", "default-bridge-client-1")?;
        another_address(example, &address)?;
        same(
            "the page by the link",
            example.page("client", "http://site/")?.as_str(),
            hello,
        )
    })
}

/// Stops `web`, lets others take its address, and starts it again.
fn another_address(example: &Example, address: &str) -> Result<(), Failure> {
    let bed = example.bed;
    let web = example.container("web");
    bed.docker(&format!("stop {web}"))?;
    let mut thieves = Vec::new();
    let mut stolen = false;
    while !stolen && thieves.len() < 8 {
        let thief = format!("thief-{}", thieves.len());
        bed.docker(&format!("run --detach --name {thief} stack-lab"))?;
        stolen = example.inspect(&thief, "{{.NetworkSettings.IPAddress}}")? == address;
        thieves.push(thief);
    }
    bed.docker(&format!("start {web}"))?;
    let new = example.address("web")?;
    bed.docker(&format!("rm --force {}", thieves.join(" ")))?;
    holds("another container took the address", stolen)?;
    holds(
        &format!("web has another address than {address}: {new}"),
        new != address && !new.is_empty(),
    )
}

fn user_bridge(bed: &Bed) -> Result<Outcome, Failure> {
    shown(bed, "user-bridge", |example| {
        let who = "proxy answers";
        for name in ["proxy", "site", "www", "shop"] {
            let page = example.page("visitor", &format!("http://{name}/cgi-bin/who"))?;
            holds(
                &format!("visitor finds proxy as {name}: {page}"),
                page.starts_with(who),
            )?;
        }
        example.knows_not("proxy", "shop")?;
        example.knows_not("visitor", "db")?;
        let page = example.page("proxy", "http://database/cgi-bin/who")?;
        holds(
            &format!("proxy finds db by its alias: {page}"),
            page.starts_with("db answers"),
        )?;

        let address = example.address("visitor")?;
        let host_part: u8 = address
            .strip_prefix("10.81.0.")
            .unwrap_or_default()
            .parse()?;
        holds(
            &format!("visitor's address {address} is of the range"),
            host_part >= 128,
        )?;
        let mtu = example
            .exec("visitor", "cat /sys/class/net/eth0/mtu")?
            .ok()?;
        same("the MTU inside", mtu.trim(), "1400")?;
        let link = example.bed.run("ip -oneline link show br-front")?;
        holds(
            &format!("the bridge has its name: {link}"),
            link.contains("br-front"),
        )?;

        let here = example.bed.here();
        let visitor = example.service("visitor")?;
        let db = example.service("db")?;
        let (one, two) = (example.service("mute-1")?, example.address("mute-2")?);
        let gateway = |container: &str| {
            let template = "{{range.NetworkSettings.Networks}}{{.Gateway}}{{end}}";
            example.inspect(&example.container(container), template)
        };
        let db_address = format!("{}:80", example.address("db")?);
        reach(&[
            (&visitor, "10.81.0.10:80", Page),
            (&visitor, "[fd00:81::10]:80", Page),
            (&here, "127.0.0.1:8081", Page),
            (&here, "[fd00:81::10]:80", Page),
            (&visitor, &db_address, Silence),
            (&db, "10.81.0.10:80", Silence),
            (&here, &db_address, Page),
            (&one, &format!("{two}:80"), Silence),
            (&one, &format!("{}:80", gateway("mute-1")?), Refused),
        ])
    })
}

fn host(bed: &Bed) -> Result<Outcome, Failure> {
    shown(bed, "host", |example| {
        let links = example.bed.run("ls /sys/class/net")?;
        let links = links.split_whitespace().collect::<Vec<_>>().join(" ");
        same("the links inside", example.links("web")?, links)?;
        reach(&[
            (&example.bed.here(), "127.0.0.1:8088", Page),
            (&example.service("inside")?, "10.83.0.1:8088", Page),
        ])?;
        let page = example.page("web", "http://10.83.0.10/")?;
        same(
            "the page by address",
            page.as_str(),
            "hello from the stack lab image",
        )?;
        example.knows_not("web", "inside")
    })
}

fn none(bed: &Bed) -> Result<Outcome, Failure> {
    shown(bed, "none", |example| {
        same("the links inside", example.links("hermit")?.as_str(), "lo")?;
        let routes = example.exec("hermit", "ip route")?.ok()?;
        same("the routes inside", routes.as_str(), "")?;
        reach(&[(&example.service("hermit")?, "127.0.0.1:80", Page)])?;
        let refused = example
            .bed
            .docker("network connect bridge none-hermit-1")
            .err()
            .map(|failure| failure.to_string())
            .unwrap_or_default();
        holds(
            &format!("the engine connects it to nothing: {refused}"),
            refused.contains("(none) mode"),
        )
    })
}

fn container(bed: &Bed) -> Result<Outcome, Failure> {
    shown(bed, "container", |example| {
        together(example)?;
        example.bed.docker("restart container-web-1")?;
        same(
            "the links of the one left behind",
            example.links("sidecar")?.as_str(),
            "lo",
        )?;
        example.stack("plan")?.fails_with(2)?;
        example.up()?;
        together(example)?;
        // A stopped owner takes its namespace with it; whoever shared it comes back with the owner.
        for (away, back) in [
            ("stop web", "start web"),
            ("stop web", "start sidecar"),
            ("stop", "start sidecar client"),
            ("stop web", "restart sidecar"),
            ("stop web", "restart web"),
        ] {
            example.stack(away)?.ok()?;
            example.stack(back)?.ok()?;
            together(example).map_err(|failure| format!("{away}, {back}: {failure}"))?;
        }
        example.bed.docker("restart container-web-1")?;
        example.stack("start sidecar")?.ok()?;
        together(example)?;

        example
            .bed
            .docker("run --detach --name lonely --network none stack-lab")?;
        let joined = outside(example);
        let gone = example.stack("--profile outside rm --stop --force guest");
        example.bed.docker("rm --force lonely")?;
        joined?;
        gone?.ok()?;
        Ok(())
    })
}

/// web and sidecar share a namespace, and localhost with it.
fn together(example: &Example) -> Result<(), Failure> {
    same(
        "the namespaces of web and sidecar",
        example.namespace("container-sidecar-1")?,
        example.namespace("container-web-1")?,
    )?;
    let page = example.page("sidecar", "http://127.0.0.1/cgi-bin/who")?;
    holds(
        &format!("sidecar finds web at localhost: {page}"),
        page.starts_with("web answers"),
    )?;
    let page = example.page("client", "http://web:8080/cgi-bin/who")?;
    holds(
        &format!("client finds sidecar at web: {page}"),
        page.starts_with("web answers"),
    )
}

fn outside(example: &Example) -> Result<(), Failure> {
    example.stack("--profile outside up --detach")?.ok()?;
    same(
        "the namespaces of guest and lonely",
        example.namespace("container-guest-1")?,
        example.namespace("lonely")?,
    )?;
    same("guest's links", example.links("guest")?.as_str(), "lo")?;
    page_in(example, "lonely", "http://127.0.0.1:8080/")?;
    Ok(())
}
