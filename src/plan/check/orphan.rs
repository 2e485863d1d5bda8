//! What containers that the file no longer has hold: a service that got another name wants its predecessor's port,
//! address or container name.

use crate::model::stack::Stack;
use crate::plan::check::Finding;
use crate::plan::desired::Desired;
use crate::plan::diff::network::{Fate, fate};
use crate::plan::diff::up::orphans;
use crate::plan::diff::up::room::held;
use crate::plan::observed::{FoundContainer, Observed};
use crate::plan::spec::{ContainerSpec, NetworkSpec, Spec};

/// Holds what is wanted against orphans that stay.
pub fn check(stack: &Stack, desired: &Desired, observed: &Observed, findings: &mut Vec<Finding>) {
    let orphans = orphans(stack, observed);
    for spec in desired.specs.values() {
        if let Spec::Network(network) = spec.as_ref() {
            findings.extend(on_network(network, &orphans, observed));
        }
        let Spec::Container(wanted) = spec.as_ref() else {
            continue;
        };
        let holders = orphans.iter().filter(|orphan| orphan.name != wanted.name);
        for orphan in holders {
            if let Some(what) = held(orphan, wanted) {
                findings.push(finding(orphan, wanted, &what));
            }
        }
        for orphan in orphans.iter().filter(|orphan| orphan.name == wanted.name) {
            findings.push(finding(
                orphan,
                wanted,
                &format!("the name `{}`", wanted.name),
            ));
        }
    }
}

/// An orphan on a network that has to be made anew keeps the engine from removing it.
fn on_network(
    network: &NetworkSpec,
    orphans: &[&FoundContainer],
    observed: &Observed,
) -> Option<Finding> {
    let Fate::Replace(what) = fate(network, observed) else {
        return None;
    };
    let is_on = |orphan: &&&FoundContainer| {
        let mut endpoints = orphan.endpoints.iter();
        orphan.runs() && endpoints.any(|own| own.network == network.name)
    };
    let orphan = orphans.iter().find(is_on)?;
    let key = network.key.as_str();
    let message = format!(
        "network `{key}` has to be made anew (changed: {}), and container `{}` is on it, of a service that the file no longer has",
        what.join(", "),
        orphan.name
    );
    let finding = Finding::error("held-by-orphan", &["networks", key], message);
    Some(finding.hint("--remove-orphans takes it away first"))
}

fn finding(orphan: &FoundContainer, wanted: &ContainerSpec, what: &str) -> Finding {
    let service = orphan.service.as_ref().map_or("", |name| name.as_str());
    Finding::error(
        "held-by-orphan",
        &["services", wanted.service.as_str()],
        format!(
            "service `{}` wants {what}, which container `{}` of the service `{service}` has, and the file no longer has that service",
            wanted.service, orphan.name
        ),
    )
    .hint("--remove-orphans takes it away first")
}
