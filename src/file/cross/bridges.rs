//! More containers on one bridge than it has ports ([`BRIDGE_PORTS`]). What else is on the bridge, only the plan knows.

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostic;
use crate::file::cross::Ground;
use crate::model::name::NetworkName;
use crate::model::network::{BRIDGE_PORTS, Driver};

/// Checks all bridge networks that the stack makes.
pub fn check(ground: &mut Ground) {
    let mut containers: BTreeMap<&NetworkName, usize> = BTreeMap::new();
    for (service, key, _) in ground.attachments() {
        *containers.entry(key).or_default() += service.scale as usize;
    }
    for (key, count) in containers {
        let is_bridge = ground
            .stack
            .networks
            .get(key)
            .is_some_and(|network| network.driver == Driver::Bridge);
        if is_bridge && count > BRIDGE_PORTS {
            let message = format!(
                "network `{key}`: {count} containers are to be on one bridge, and a Linux bridge has {BRIDGE_PORTS} ports"
            );
            let diagnostic =
                Diagnostic::error("bridge-full", message).hint("spread them over several networks");
            ground.tell(diagnostic, &["networks", key.as_str()], "");
        }
    }
}
