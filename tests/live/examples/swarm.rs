//! overlay, on a swarm of one. A swarm leaves things behind that are not a stack's, so this test has a host for itself.

use std::time::Duration;

use crate::bed::Bed;
use crate::examples::Example;
use crate::runner::{Failure, Outcome, Run, Test, holds, soon};

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![Test {
        name: "examples::overlay_needs_a_swarm_and_has_names_and_aliases",
        run: Run::OwnHost(overlay),
    }]
}

fn overlay(bed: &mut Bed) -> Result<Outcome, Failure> {
    let bed = &*bed;
    let mut example = Example::copied(bed, "overlay")?;
    // The swarm takes the last container's part of an overlay away a moment after the container is gone.
    example.settles = Duration::from_secs(10);
    let said = example.stack("up --detach")?.fails_with(1)?;
    holds(
        &format!("the remedy is told: {said}"),
        said.contains("docker swarm init") && said.contains("stack.yaml:"),
    )?;
    bed.docker("swarm init --advertise-addr 127.0.0.1")?;
    soon(
        "the swarm has its own networks",
        Duration::from_secs(20),
        || {
            let networks = bed.docker("network ls --format {{.Name}}")?;
            Ok(networks.contains("ingress") && networks.contains("docker_gwbridge"))
        },
    )?;
    // The first overlay's traces: docker_gwbridge gets its carrier, and with it an IPv6 address.
    bed.docker("network create --driver overlay --attachable first")?;
    bed.docker("run --rm --network first stack-lab true")?;
    bed.docker("network rm first")?;
    soon("the first overlay is gone", Duration::from_secs(10), || {
        Ok(!bed
            .docker("network ls --format {{.Name}}")?
            .contains("first"))
    })?;
    std::thread::sleep(Duration::from_secs(2));
    example.shown(|example| {
        for name in ["web", "site"] {
            let page = example.page("client", &format!("http://{name}/cgi-bin/who"))?;
            holds(
                &format!("client finds web as {name}: {page}"),
                page.starts_with("web answers"),
            )?;
        }
        let address = example.address("web")?;
        holds(
            &format!("web has its fixed address: {address}"),
            address == "10.89.0.20",
        )?;
        let links = example.links("client")?;
        holds(
            &format!("a second link leads to docker_gwbridge: {links}"),
            links.split(' ').count() == 3,
        )
    })?;
    bed.docker("swarm leave --force")?;
    Ok(Outcome::Passed)
}
