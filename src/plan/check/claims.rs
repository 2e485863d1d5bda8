//! Static addresses that a container which has to start earlier may be given.

use std::collections::{BTreeSet, HashMap};

use crate::model::stack::Stack;
use crate::plan::check::Finding;
use crate::plan::desired::Desired;
use crate::plan::desired::addresses::{Claim, claims};
use crate::plan::spec::{ResourceId, Spec};

/// Warns where the order that the file asks for starts a container without an address first.
pub fn check(stack: &Stack, desired: &Desired, findings: &mut Vec<Finding>) {
    let mut needed: HashMap<&ResourceId, Vec<&ResourceId>> = HashMap::new();
    for need in &desired.needs {
        needed.entry(&need.who).or_default().push(&need.what);
    }
    let mut told = BTreeSet::new();
    let mut earlier: HashMap<&ResourceId, BTreeSet<&ResourceId>> = HashMap::new();
    for claim in claims(stack, desired)
        .into_iter()
        .filter(|claim| claim.at_once)
    {
        let earlier = earlier
            .entry(claim.holder)
            .or_insert_with(|| all_needed(claim.holder, &needed));
        let names = (
            service(desired, claim.holder),
            service(desired, claim.rival),
        );
        if let (Some(holder), Some(rival)) = names
            && earlier.contains(claim.rival)
            && told.insert((holder, rival, claim.address))
        {
            findings.push(finding(stack, &claim, holder, rival));
        }
    }
}

fn finding(stack: &Stack, claim: &Claim<'_>, holder: &str, rival: &str) -> Finding {
    let address = claim.address;
    let mut networks = stack.networks.values();
    let network = networks.find(|network| network.name == claim.network);
    let key = network.map_or(claim.network, |network| network.key.as_str());
    let field = if address.is_ipv4() {
        "ipv4_address"
    } else {
        "ipv6_address"
    };
    Finding::warning(
        "address-at-risk",
        &["services", holder, "networks", key, field],
        format!(
            "service `{holder}` is to have {address} in `{key}`, and `{rival}`, which starts before it, has no address there: the engine may give it this one"
        ),
    )
    .hint(format!(
        "give `{rival}` an address too, or `{key}` an `ip_range` that {address} is not in: addresses for the others come from there"
    ))
}

/// Everything that a container needs, and what that needs.
fn all_needed<'a>(
    who: &'a ResourceId,
    needed: &HashMap<&'a ResourceId, Vec<&'a ResourceId>>,
) -> BTreeSet<&'a ResourceId> {
    let mut all = BTreeSet::new();
    let mut queue = vec![who];
    while let Some(next) = queue.pop() {
        for what in needed.get(next).into_iter().flatten() {
            if all.insert(*what) {
                queue.push(what);
            }
        }
    }
    all
}

fn service<'a>(desired: &'a Desired, id: &ResourceId) -> Option<&'a str> {
    match desired.specs.get(id)?.as_ref() {
        Spec::Container(container) => Some(container.service.as_str()),
        _ => None,
    }
}
