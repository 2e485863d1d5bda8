//! What becomes of one network, and of those of the project that the file no longer has.

use std::collections::BTreeSet;

use crate::model::address::overlap;
use crate::model::hash;
use crate::plan::observed::{FoundNetwork, Observed};
use crate::plan::spec::NetworkSpec;

/// The fate of a network that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    Keep,
    Create,
    /// It is there and differs in these.
    Replace(Vec<String>),
}

/// The hash of a network spec, as its label has it.
pub fn spec_hash(spec: &NetworkSpec) -> String {
    hash::of(spec)
}

/// The fate of a network. One without our hash that `docker compose` made for this very project is compared by what
/// the engine tells of it.
pub fn fate(spec: &NetworkSpec, observed: &Observed) -> Fate {
    let Some(found) = observed
        .networks
        .iter()
        .find(|network| network.spec.name == spec.name)
    else {
        return Fate::Create;
    };
    if found.hash.as_ref() == Some(&spec_hash(spec)) {
        return Fate::Keep;
    }
    let what = differences(spec, found);
    if what.is_empty() {
        Fate::Keep
    } else {
        Fate::Replace(what)
    }
}

/// The names of what differs. What the file leaves to the engine (a subnet, a gateway) differs in nothing.
fn differences(spec: &NetworkSpec, found: &FoundNetwork) -> Vec<String> {
    let is = &found.spec;
    let mut what: Vec<&str> = Vec::new();
    if spec.driver != is.driver {
        what.push("driver");
    }
    let left_out = |key: &str, value: &str| {
        matches!(
            (key, value),
            ("macvlan_mode", "bridge") | ("ipvlan_mode", "l2") | ("ipvlan_flag", "bridge")
        )
    };
    let wanted: BTreeSet<_> = spec
        .options
        .iter()
        .filter(|(key, value)| !left_out(key, value))
        .collect();
    // A swarm gives every overlay its VXLAN numbers and shows them among the options.
    let engines_own = |key: &String| {
        key == "com.docker.network.driver.overlay.vxlanid_list" && !spec.options.contains_key(key)
    };
    let there: BTreeSet<_> = is
        .options
        .iter()
        .filter(|(key, value)| !left_out(key, value) && !engines_own(key))
        .collect();
    if found.hash.is_some() && wanted != there || !wanted.is_subset(&there) {
        what.push("driver_opts");
    }
    if spec.internal != is.internal {
        what.push("internal");
    }
    if spec.attachable != is.attachable {
        what.push("attachable");
    }
    if spec.enable_ipv6 != is.enable_ipv6 {
        what.push("enable_ipv6");
    }
    if spec.enable_ipv4.unwrap_or(true) != is.enable_ipv4.unwrap_or(true) {
        what.push("enable_ipv4");
    }
    if spec.ipam_driver.as_deref().unwrap_or("default")
        != is.ipam_driver.as_deref().unwrap_or("default")
    {
        what.push("ipam.driver");
    }
    let same_pools = spec
        .pools
        .iter()
        .filter(|pool| pool.subnet.is_some())
        .all(|pool| {
            is.pools.iter().any(|other| {
                pool.subnet == other.subnet
                    && pool.ip_range == other.ip_range
                    && (pool.gateway.is_none() || pool.gateway == other.gateway)
                    && pool.aux_addresses == other.aux_addresses
            })
        });
    if !same_pools {
        what.push("ipam.config");
    }
    if spec.labels != is.labels && found.hash.is_some() {
        what.push("labels");
    }
    what.into_iter().map(str::to_owned).collect()
}

/// Whether a network cannot be made while another is there: they share addresses or a parent.
pub fn in_the_way(old: &NetworkSpec, new: &NetworkSpec) -> bool {
    let parent = old
        .options
        .get("parent")
        .is_some_and(|parent| new.options.get("parent") == Some(parent));
    let subnets = |spec: &NetworkSpec| {
        spec.pools
            .iter()
            .filter_map(|pool| pool.subnet)
            .collect::<Vec<_>>()
    };
    let (old_subnets, new_subnets) = (subnets(old), subnets(new));
    // A network whose subnet the engine chooses may be given the one that comes free.
    parent
        || old_subnets
            .iter()
            .any(|one| new_subnets.iter().any(|two| overlap(one, two)))
}
