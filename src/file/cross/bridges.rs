//! More containers on one bridge than it has ports: the kernel gives each port one of 1,023 numbers. What else is on the
//! bridge, and `--scale`, only the plan knows.

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostic;
use crate::file::cross::Ground;
use crate::model::name::NetworkName;
use crate::model::network::Driver;

const PORTS: u64 = 1023;

/// Checks all bridge networks that the stack makes.
pub fn check(ground: &mut Ground) {
    let mut containers: BTreeMap<&NetworkName, u64> = BTreeMap::new();
    for (service, key, _) in ground.attachments() {
        *containers.entry(key).or_default() += u64::from(service.scale);
    }
    for (key, count) in containers {
        let is_bridge = ground
            .stack
            .networks
            .get(key)
            .is_some_and(|network| network.driver == Driver::Bridge);
        if is_bridge && count > PORTS {
            let message = format!(
                "network `{key}`: {count} containers are to be on one bridge, and a Linux bridge has {PORTS} ports"
            );
            let diagnostic =
                Diagnostic::error("bridge-full", message).hint("spread them over several networks");
            ground.tell(diagnostic, &["networks", key.as_str()], "");
        }
    }
}
