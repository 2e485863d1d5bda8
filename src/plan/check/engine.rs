//! What this engine cannot do, and names that others hold in it.

use std::collections::HashMap;

use crate::model::network::{Driver, IpvlanFlag, IpvlanMode, Network};
use crate::model::service::{Attachment, Connection, Service};
use crate::model::stack::Stack;
use crate::plan::check::Finding;
use crate::plan::desired::Desired;
use crate::plan::observed::{EngineFacts, FoundContainer, Observed, SwarmState};
use crate::plan::spec::Spec;

/// Holds the stack against the engine.
pub fn check(stack: &Stack, desired: &Desired, observed: &Observed, findings: &mut Vec<Finding>) {
    for network in stack.networks.values() {
        network_driver(network, &observed.engine, findings);
        network_name(stack, network, observed, findings);
    }
    for service in stack.services.values() {
        if let Connection::Networks(networks) = &service.connection {
            for (key, attachment) in networks {
                attachment_age(
                    service,
                    key.as_str(),
                    attachment,
                    &observed.engine,
                    findings,
                );
            }
        }
    }
    for service in stack.services.values() {
        mount_targets(service, &observed.engine, findings);
    }
    volume_names(stack, observed, findings);
    container_names(stack, desired, observed, findings);
}

/// On Linux a path in a container begins with `/`; a volume with a name of one letter looks like the drive of another
/// system (`a:/data`), as it does to Compose, and the engine would refuse it late.
fn mount_targets(service: &Service, engine: &EngineFacts, findings: &mut Vec<Finding>) {
    if engine.os_type != "linux" {
        return;
    }
    let place = ["services", service.name.as_str(), "volumes"];
    for mount in &service.config.mounts {
        let target = &mount.target;
        if target.starts_with('/') {
            continue;
        }
        let finding = Finding::error(
            "mount-target",
            &place,
            format!("`{target}` is no absolute path in a Linux container"),
        );
        let mut letters = target.chars();
        findings.push(match (letters.next(), letters.as_str().strip_prefix(':')) {
            (Some(drive), Some(path)) if drive.is_ascii_alphabetic() => finding.hint(format!(
                "`{drive}:` reads as a drive; for a volume of that name write {{type: volume, source: {drive}, target: {path}}}"
            )),
            _ => finding.hint("a target begins with `/`"),
        });
    }
}

fn network_driver(network: &Network, engine: &EngineFacts, findings: &mut Vec<Finding>) {
    if !network.is_made() {
        return;
    }
    let key = network.key.as_str();
    let place = ["networks", key, "driver"];
    let driver = network.driver.engine_name();
    let version = &engine.version;
    match &network.driver {
        Driver::Overlay if engine.swarm == SwarmState::Inactive => findings.push(
            Finding::error(
                "swarm-inactive",
                &place,
                format!("network `{key}` is an overlay, and this engine is not part of a swarm"),
            )
            .hint("make it a swarm of one: docker swarm init --advertise-addr 127.0.0.1"),
        ),
        Driver::Overlay
        | Driver::Bridge
        | Driver::Macvlan(_)
        | Driver::Ipvlan(..)
        | Driver::Plugin(_)
            if !engine.network_drivers.is_empty()
                && !engine
                    .network_drivers
                    .iter()
                    .any(|name| name == driver || name.strip_suffix(":latest") == Some(driver)) =>
        {
            findings.push(
                Finding::error(
                    "driver-unknown",
                    &place,
                    format!("network `{key}` wants the driver `{driver}`, which this engine does not have"),
                )
                .hint(format!("it has: {}", engine.network_drivers.join(", "))),
            );
        }
        Driver::Ipvlan(mode, flag)
            if !engine.speaks(1, 42)
                && (*mode == IpvlanMode::L3s || *flag != IpvlanFlag::Bridge) =>
        {
            let what = if *mode == IpvlanMode::L3s {
                "mode `l3s`"
            } else {
                "flags"
            };
            findings.push(
                Finding::error(
                    "engine-too-old",
                    &["networks", key, "mode"],
                    format!(
                        "network `{key}` wants ipvlan {what}, which engine {version} does not know"
                    ),
                )
                .hint("use `l2` or `l3`, or an engine of version 23 or newer"),
            );
        }
        Driver::Overlay
        | Driver::Bridge
        | Driver::Macvlan(_)
        | Driver::Ipvlan(..)
        | Driver::Plugin(_) => {}
        Driver::DefaultBridge | Driver::Host | Driver::None => {}
    }
    if network.enable_ipv4 == Some(false) && !engine.speaks(1, 48) {
        findings.push(
            Finding::error(
                "engine-too-old",
                &["networks", key, "enable_ipv4"],
                format!("network `{key}` is to have no IPv4, which engine {version} cannot do"),
            )
            .hint("leave IPv4 on, or use an engine of version 28 or newer"),
        );
    }
    let has_v6 = network.subnets().any(|subnet| subnet.addr().is_ipv6());
    if network.enable_ipv6 == Some(true) && !has_v6 && !engine.speaks(1, 47) {
        findings.push(
            Finding::error(
                "engine-too-old",
                &["networks", key, "enable_ipv6"],
                format!("network `{key}` has IPv6 and no IPv6 subnet; engine {version} chooses none by itself"),
            )
            .hint("give it one under `ipam.config`, such as `subnet: fd00:1::/64`"),
        );
    }
}

fn attachment_age(
    service: &Service,
    network: &str,
    attachment: &Attachment,
    engine: &EngineFacts,
    findings: &mut Vec<Finding>,
) {
    let name = service.name.as_str();
    if attachment.interface_name.is_some() && !engine.speaks(1, 49) {
        findings.push(
            Finding::error(
                "engine-too-old",
                &["services", name, "networks", network, "interface_name"],
                format!(
                    "service `{name}` names its link in `{network}`, which engine {} cannot do",
                    engine.version
                ),
            )
            .hint("leave `interface_name` out, or use an engine of version 28.1 or newer"),
        );
    }
}

fn network_name(
    stack: &Stack,
    network: &Network,
    observed: &Observed,
    findings: &mut Vec<Finding>,
) {
    let (key, name) = (network.key.as_str(), network.name.as_str());
    let found = observed
        .networks
        .iter()
        .find(|found| found.spec.name == name || found.engine_id == name);
    if network.external {
        if found.is_none() && observed.engine.swarm == SwarmState::Inactive {
            findings.push(
                Finding::error(
                    "network-missing",
                    &["networks", key],
                    format!("network {name} declared as external, but could not be found"),
                )
                .hint(format!(
                    "make it: docker network create {name}; or take `external: true` out"
                )),
            );
        }
        return;
    }
    if !network.is_made() {
        return;
    }
    let Some(found) = found else { return };
    if found.project.as_deref() == Some(stack.project.as_str()) {
        return;
    }
    let whose = match &found.project {
        Some(project) => format!("project `{project}`"),
        None => "something that is no project".to_owned(),
    };
    findings.push(
        Finding::error(
            "name-taken",
            &["networks", key],
            format!("a network named `{name}` is there and belongs to {whose}"),
        )
        .hint(format!(
            "say `external: true` to use it, or give this one another `name:`; it is {}",
            short(&found.engine_id)
        )),
    );
}

fn volume_names(stack: &Stack, observed: &Observed, findings: &mut Vec<Finding>) {
    for volume in stack.volumes.values() {
        let (key, name) = (volume.key.as_str(), volume.name.as_str());
        match observed.volumes.iter().find(|found| found.name == name) {
            None if volume.external => findings.push(
                Finding::error("volume-missing", &["volumes", key], format!("external volume \"{name}\" not found"))
                    .hint(format!("make it: docker volume create {name}; or take `external: true` out")),
            ),
            Some(found) if !volume.external && found.project.as_deref() != Some(stack.project.as_str()) => findings.push(
                Finding::warning(
                    "volume-foreign",
                    &["volumes", key],
                    format!(
                        "volume \"{name}\" already exists but was not created by this project; it is used and never removed"
                    ),
                )
                .hint("say `external: true` to use an existing volume"),
            ),
            None | Some(_) => {}
        }
    }
}

fn container_names(
    stack: &Stack,
    desired: &Desired,
    observed: &Observed,
    findings: &mut Vec<Finding>,
) {
    let project = Some(stack.project.as_str());
    let foreign = observed
        .containers
        .iter()
        .filter(|found| found.project.as_deref() != project);
    let foreign: HashMap<&str, &FoundContainer> =
        foreign.map(|found| (found.name.as_str(), found)).collect();
    for spec in desired.specs.values() {
        let Spec::Container(wanted) = spec.as_ref() else {
            continue;
        };
        let Some(holder) = foreign.get(wanted.name.as_str()) else {
            continue;
        };
        let whose = match &holder.project {
            Some(project) => format!("project `{project}`"),
            None => "no project".to_owned(),
        };
        findings.push(
            Finding::error(
                "name-taken",
                &["services", wanted.service.as_str(), "container_name"],
                format!(
                    "The container name \"/{}\" is already in use by a container of {whose}",
                    wanted.name
                ),
            )
            .hint(format!(
                "rename or remove it: docker rm --force {}; or choose another name",
                short(&holder.engine_id)
            )),
        );
    }
}

fn short(id: &str) -> String {
    id.chars().take(12).collect()
}
