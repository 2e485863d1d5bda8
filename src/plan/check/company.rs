//! Containers that are not ours and that the stack lives with: those whose namespace it shares, those on a network that
//! has to be made anew, and those that publish a port it wants.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use crate::model::port::Protocol;
use crate::model::service::Connection;
use crate::model::stack::Stack;
use crate::plan::check::Finding;
use crate::plan::desired::Desired;
use crate::plan::diff::network::{Fate, fate};
use crate::plan::observed::{FoundContainer, Observed};
use crate::plan::spec::{Kind, ResourceId, Spec};

/// Holds the stack against the containers of others.
pub fn check(stack: &Stack, desired: &Desired, observed: &Observed, findings: &mut Vec<Finding>) {
    // A plan without an engine knows of nobody.
    if observed.engine.version.is_empty() {
        return;
    }
    owners(stack, desired, observed, findings);
    users(stack, desired, observed, findings);
    ports(stack, desired, observed, findings);
}

/// Ports of the host that containers of others publish, and that are wanted here. Where the engine may choose from
/// several, it finds a free one itself.
fn ports(stack: &Stack, desired: &Desired, observed: &Observed, findings: &mut Vec<Finding>) {
    type Holder<'a> = (&'a FoundContainer, Option<IpAddr>);
    let mut taken: HashMap<(u16, Protocol), Vec<Holder<'_>>> = HashMap::new();
    let project = Some(stack.project.as_str());
    for found in &observed.containers {
        for port in &found.ports {
            if let Some(range) = port.published {
                let holders = taken.entry((range.first, port.protocol)).or_default();
                holders.push((found, port.host_ip));
            }
        }
    }
    let mut told = BTreeSet::new();
    for spec in desired.specs.values() {
        let Spec::Container(wanted) = spec.as_ref() else {
            continue;
        };
        for port in &wanted.ports {
            let Some(range) = port.published.filter(|range| range.first == range.last) else {
                continue;
            };
            let holders = taken
                .get(&(range.first, port.protocol))
                .into_iter()
                .flatten();
            let mut holders = holders.filter(|(_, ip)| meet(*ip, port.host_ip));
            // One of ours holds it already, or is about to make room.
            if holders
                .clone()
                .any(|(found, _)| found.project.as_deref() == project)
            {
                continue;
            }
            if let Some((holder, _)) = holders.next()
                && told.insert((&wanted.service, range.first, port.protocol))
            {
                findings.push(
                    Finding::error(
                        "port-taken",
                        &["services", wanted.service.as_str(), "ports"],
                        format!(
                            "service `{}` wants port {range}/{} of the host, which container `{}` publishes",
                            wanted.service, port.protocol, holder.name
                        ),
                    )
                    .hint(format!(
                        "publish another port, or stop that one first: docker stop {}",
                        holder.name
                    )),
                );
            }
        }
    }
}

/// Whether one socket can be bound where the other is; none is all addresses.
fn meet(one: Option<IpAddr>, other: Option<IpAddr>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one == other || one.is_unspecified() || other.is_unspecified(),
        _ => true,
    }
}

fn owners(stack: &Stack, desired: &Desired, observed: &Observed, findings: &mut Vec<Finding>) {
    for service in stack.services.values() {
        let Connection::Container(owner) = &service.connection else {
            continue;
        };
        let ours = ResourceId::new(Kind::Container, owner);
        let mut containers = observed.containers.iter();
        let found = containers
            .find(|found| found.name == *owner || found.engine_id.starts_with(owner.as_str()));
        let name = service.name.as_str();
        let place = ["services", name, "network_mode"];
        match found {
            _ if desired.specs.contains_key(&ours) => {}
            Some(found) if found.runs() => {}
            Some(found) => findings.push(
                Finding::error(
                    "container-stopped",
                    &place,
                    format!("service `{name}` shares the network of container `{owner}`, which does not run"),
                )
                .hint(format!("start it: docker start {}", found.name)),
            ),
            None => findings.push(
                Finding::error(
                    "container-missing",
                    &place,
                    format!("service `{name}` shares the network of container `{owner}`, which is not there"),
                )
                .hint("start that container first; for a service of this file write `service:NAME`"),
            ),
        }
    }
}

fn users(stack: &Stack, desired: &Desired, observed: &Observed, findings: &mut Vec<Finding>) {
    let project = Some(stack.project.as_str());
    for spec in desired.specs.values() {
        let Spec::Network(network) = spec.as_ref() else {
            continue;
        };
        let Fate::Replace(what) = fate(network, observed) else {
            continue;
        };
        // A service that was not named, or is off, stays as it is; so does what others made, or `run`.
        let is_left = |found: &FoundContainer| {
            let service = found.service.as_ref();
            service.is_some_and(|service| stack.inactive.contains(service)) && !found.one_off
        };
        let stays = |found: &FoundContainer| {
            found.project.as_deref() != project || found.one_off || is_left(found)
        };
        let is_on = |found: &FoundContainer| {
            let mut endpoints = found.endpoints.iter();
            found.runs() && endpoints.any(|own| own.network == network.name)
        };
        let users: Vec<&FoundContainer> = observed
            .containers
            .iter()
            .filter(|found| stays(found) && is_on(found))
            .collect();
        if users.is_empty() {
            continue;
        }
        let key = network.key.as_str();
        let all_left = users
            .iter()
            .all(|found| found.project.as_deref() == project && is_left(found));
        let hint = match all_left {
            true => "bring up all that is on it together: stack up".to_owned(),
            false => format!(
                "take them off first: docker network disconnect {} CONTAINER",
                network.name
            ),
        };
        let users: Vec<&str> = users.iter().map(|found| found.name.as_str()).collect();
        let message = format!(
            "network `{key}` has to be made anew (changed: {}), and these containers on it stay as they are: {}",
            what.join(", "),
            users.join(", ")
        );
        findings.push(Finding::error("network-in-use", &["networks", key], message).hint(hint));
    }
}
