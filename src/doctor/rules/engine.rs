//! The engine: reachable, here, of an age that knows what the stack asks for.

use crate::doctor::facts::Facts;
use crate::doctor::{Finding, Severity};
use crate::model::network::Driver;
use crate::model::stack::Stack;
use crate::plan::observed::SwarmState;

/// Asks what there is to ask about the engine.
pub fn examine(facts: &Facts, stack: Option<&Stack>, findings: &mut Vec<Finding>) {
    let Some(engine) = &facts.engine else {
        let said = facts
            .engine_error
            .clone()
            .unwrap_or_else(|| "no engine was found".to_owned());
        findings.push(
            Finding::new("engine-unreachable", Severity::Error, "engine", said, "nothing can be brought up without an engine")
                .mend("start it (systemctl start docker), or a private one: eval \"$(stack engine start lab)\""),
        );
        return;
    };
    let (major, minor) = engine.api;
    findings.push(Finding::new(
        "engine",
        Severity::Info,
        "engine",
        format!(
            "version {} (API {major}.{minor}) at {}",
            engine.version, engine.endpoint
        ),
        "keys that it is too old for are emulated or refused, never dropped",
    ));
    if let Some(why) = &engine.elsewhere {
        findings.push(
            Finding::new(
                "engine-elsewhere",
                Severity::Warning,
                "engine",
                why.clone(),
                "links, shims, lans and promiscuity would have to be made on that machine, so they are refused from here",
            )
            .mend("run stack on the engine's own machine"),
        );
    }
    if engine.rootless {
        findings.push(
            Finding::new(
                "engine-rootless",
                Severity::Warning,
                "engine",
                "the engine is rootless",
                "macvlan and ipvlan parents are looked for inside its own namespace, where the machine's cards are not",
            )
            .mend("use a rootful engine for networks on the LAN"),
        );
    }
    if !engine.speaks(1, 44) {
        findings.push(Finding::new(
            "engine-old-endpoints",
            Severity::Info,
            "engine",
            "API below 1.44",
            "only one fixed MAC address a container, on its first network; the default route follows the network whose name sorts first",
        ));
    }
    swarm_wide(facts, stack, findings);
    let overlays = stack.is_some_and(|stack| {
        stack
            .networks
            .values()
            .any(|network| network.driver == Driver::Overlay)
    });
    if overlays && engine.swarm == SwarmState::Inactive {
        findings.push(
            Finding::new(
                "swarm-inactive",
                Severity::Error,
                "engine",
                "the engine is not part of a swarm",
                "overlay networks exist only in a swarm; one machine is enough for one",
            )
            .mend("docker swarm init --advertise-addr 127.0.0.1"),
        );
    }
}

/// A macvlan or ipvlan network of a whole swarm: the network itself knows neither parent nor range.
fn swarm_wide(facts: &Facts, stack: Option<&Stack>, findings: &mut Vec<Finding>) {
    let named = |name: &str| {
        stack.is_none_or(|stack| {
            let mut networks = stack.networks.values();
            networks.any(|network| network.name == name)
        })
    };
    for found in &facts.networks {
        let (driver, name) = (found.spec.driver.as_str(), found.spec.name.as_str());
        if found.scope != "swarm" || !matches!(driver, "macvlan" | "ipvlan") || !named(name) {
            continue;
        }
        findings.push(
            Finding::new(
                "swarm-parent",
                Severity::Warning,
                format!("network {name}"),
                format!("it is a {driver} network of the whole swarm"),
                "parent, subnet and range come from a network made with --config-only on each machine: one that lacks it cannot start containers on this one, and two machines with one range give an address twice",
            )
            .mend(format!(
                "on each machine, with a range of its own: docker network create --config-only --subnet … --ip-range … -o parent=… {name}-config; then once: docker network create -d {driver} --scope swarm --config-from {name}-config --attachable {name}"
            )),
        );
    }
}
