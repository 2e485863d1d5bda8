//! What the engine's host cannot do or does not have: the right to change it, parents, free link names.

use crate::model::name::{LinkName, ProjectName, shell_word};
use crate::model::network::{Driver, Network, Parent};
use crate::model::stack::Stack;
use crate::plan::check::Finding;
use crate::plan::desired::Desired;
use crate::plan::desired::lan::lan_of;
use crate::plan::observed::{FoundNetwork, HostFacts, LinkFact, Observed, RouteFact};
use crate::plan::spec::{Kind, ResourceId, Spec};
use crate::plan::step::Plan;

/// Holds the stack against the engine's host.
pub fn check(stack: &Stack, desired: &Desired, observed: &Observed, findings: &mut Vec<Finding>) {
    let wanted: Vec<&ResourceId> = desired
        .specs
        .keys()
        .filter(|id| id.kind.on_host())
        .collect();
    may_act(stack, observed, &wanted, findings);
    let Some(host) = &observed.host else { return };
    for network in stack.networks.values().filter(|network| network.is_made()) {
        if let Some(parent) = &network.parent {
            parent_link(stack, network, parent, host, observed, findings);
        }
    }
    link_names(stack, desired, host, observed, findings);
    shims(stack, desired, host, findings);
}

/// What the kernel would refuse of a shim in the end: a route that the host has already, its parent's MAC address.
fn shims(stack: &Stack, desired: &Desired, host: &HostFacts, findings: &mut Vec<Finding>) {
    for (id, spec) in &desired.specs {
        let Spec::Shim(shim) = spec.as_ref() else {
            continue;
        };
        let of_shim =
            |network: &&Network| network.shim.is_some() && shim.networks.contains(&network.name);
        let network = stack.networks.values().find(of_shim);
        let key = network.map_or(id.name.as_str(), |network| network.key.as_str());
        let parent = host.link(shim.parent.as_str());
        if let Some(mac) = shim
            .mac
            .filter(|mac| parent.and_then(|link| link.mac) == Some(*mac))
        {
            let place = ["networks", key, "shim", "mac_address"];
            let message = format!(
                "{id}: {mac} is the MAC address of its parent `{}`",
                shim.parent
            );
            let finding = Finding::error("shim-mac", &place, message);
            findings.push(finding.hint("give the shim another one, or write `auto`"));
        }
        for address in &shim.addresses {
            let has = |link: &&LinkFact| {
                link.name != shim.name.as_str()
                    && !link.is_of(&stack.project)
                    && link.addresses.iter().any(|own| own.addr() == *address)
            };
            if let Some(link) = host.links.iter().find(has) {
                let message = format!("{id}: the host has {address} on `{}` already", link.name);
                let finding =
                    Finding::error("address-of-host", &["networks", key, "shim"], message);
                findings.push(finding.hint("give the shim another `address` of the subnet"));
            }
        }
        let made = stack.lans.values().find(|lan| lan.parent == shim.parent);
        for route in &shim.routes {
            let destination = route.destination;
            let has = |fact: &&RouteFact| {
                fact.destination == destination
                    && fact.gateway.is_none()
                    && fact.link.as_deref() == Some(shim.parent.as_str())
            };
            let has = host.routes.iter().any(|fact| has(&fact));
            let will = made.is_some_and(|lan| {
                let mut addresses = lan.addresses.iter();
                lan.subnets.iter().any(|subnet| {
                    subnet.trunc() == destination && addresses.any(|own| subnet.contains(own))
                })
            });
            if has || will {
                let place = ["networks", key, "shim"];
                let message = format!(
                    "{id}: the host reaches all of {destination} by `{}` itself, so no such route can lead through the shim",
                    shim.parent
                );
                let finding = Finding::error("shim-route-taken", &place, message);
                findings.push(finding.hint(
                    "give the network an `ip_range` for its containers, or write `routes: auto`",
                ));
            }
        }
    }
}

/// The place in the file that asks for a network or a host resource.
pub fn place_of(stack: &Stack, id: &ResourceId) -> Vec<String> {
    let owned = |keys: &[&str]| {
        keys.iter()
            .map(|key| (*key).to_owned())
            .collect::<Vec<String>>()
    };
    let network = |wanted: &dyn Fn(&Network) -> bool, key: &str| {
        let found = stack.networks.values().find(|network| wanted(network));
        found.map_or_else(Vec::new, |found| {
            owned(&["networks", found.key.as_str(), key])
        })
    };
    match id.kind {
        Kind::Lan => owned(&["lans", &id.name]),
        Kind::Link => network(
            &|n| {
                n.parent
                    .as_ref()
                    .is_some_and(|parent| parent.link().as_str() == id.name)
            },
            "parent",
        ),
        Kind::Promiscuity => network(
            &|n| {
                n.parent
                    .as_ref()
                    .is_some_and(|parent| parent.link().as_str() == id.name)
            },
            "promiscuous",
        ),
        Kind::Shim | Kind::Route | Kind::Door => network(&|n| n.shim.is_some(), "shim"),
        Kind::Network => network(&|n| n.name == id.name, "driver"),
        Kind::Volume | Kind::Image | Kind::Container | Kind::Endpoint => Vec::new(),
    }
}

/// Whether this process may carry out a plan, and if not, which steps need what. Known before anything is changed.
pub fn may_carry_out(plan: &Plan, observed: &Observed) -> Result<(), String> {
    let needing: Vec<&ResourceId> = plan
        .steps
        .iter()
        .map(|step| &step.id)
        .filter(|id| id.kind.on_host())
        .collect();
    match &observed.host {
        Some(host) if !needing.is_empty() && !host.may_administer => Err(needs_right(&needing)),
        Some(_) | None => Ok(()),
    }
}

/// Whether something of the project may be on a host that this process may not look at.
pub fn may_be_hidden(project: &ProjectName, observed: &Observed) -> Option<String> {
    if observed.host.is_some() || observed.engine.elsewhere.is_some() {
        return None;
    }
    let on_a_link = |found: &&FoundNetwork| {
        found.project.as_deref() == Some(project.as_str())
            && found.hash.is_some()
            && matches!(found.spec.driver.as_str(), "macvlan" | "ipvlan")
    };
    let network = observed.networks.iter().find(on_a_link)?;
    Some(format!(
        "what the host has for the network `{}` (lans, shims, routes) cannot be looked at without CAP_NET_ADMIN on this machine",
        network.spec.name
    ))
}

fn needs_right(needing: &[&ResourceId]) -> String {
    let (need, which) = match needing.len() {
        1 => ("needs", "it"),
        _ => ("need", "them"),
    };
    format!(
        "{} {need} CAP_NET_ADMIN on this machine, and this process does not have it for {which}",
        listed(needing)
    )
}

/// All of them, or the first ones and how many more.
fn listed(ids: &[&ResourceId]) -> String {
    let mut names: Vec<String> = ids.iter().take(8).map(ToString::to_string).collect();
    if ids.len() > names.len() {
        names.push(format!("{} more", ids.len() - names.len()));
    }
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some(_) | None => names.join(""),
    }
}

fn may_act(
    stack: &Stack,
    observed: &Observed,
    wanted: &[&ResourceId],
    findings: &mut Vec<Finding>,
) {
    let Some(first) = wanted.first() else { return };
    let place = place_of(stack, first);
    let place: Vec<&str> = place.iter().map(String::as_str).collect();
    if let Some(why) = &observed.engine.elsewhere {
        findings.push(
            Finding::error(
                "host-elsewhere",
                &place,
                format!("{} would have to be made on the engine's host, which is not this machine: {why}", listed(wanted)),
            )
            .hint("run stack on that machine, or take these keys out of the file"),
        );
    } else if observed
        .host
        .as_ref()
        .is_none_or(|host| !host.may_administer)
    {
        findings.push(
            Finding::error("not-permitted", &place, needs_right(wanted))
                .hint("run the same command with sudo; nothing else here needs it"),
        );
    }
}

fn parent_link(
    stack: &Stack,
    network: &Network,
    parent: &Parent,
    host: &HostFacts,
    observed: &Observed,
    findings: &mut Vec<Finding>,
) {
    let key = network.key.as_str();
    let place = ["networks", key, "parent"];
    let name = match parent {
        Parent::Link(name) => name,
        Parent::Vlan { name, base, .. } => {
            if host.link(name.as_str()).is_some() {
                name
            } else {
                base
            }
        }
    };
    if lan_of(stack, name).is_some() {
        return;
    }
    let base = match parent {
        Parent::Link(name) => name,
        Parent::Vlan { base, .. } => base,
    };
    if lan_of(stack, base).is_none()
        && let Some(lan) = lan_that_goes(observed, base)
    {
        let message = format!(
            "network `{key}`: its parent `{base}` belongs to the lan `{lan}`, which the file no longer has: it goes, and its link with it"
        );
        let finding = Finding::error("parent-goes", &place, message);
        findings.push(finding.hint(format!(
            "keep `{lan}` under `lans:`, or name another parent for this network"
        )));
        return;
    }
    let Some(link) = host.link(name.as_str()) else {
        findings.push(
            Finding::error(
                "parent-missing",
                &place,
                format!("network `{key}`: there is no link `{name}` on this machine"),
            )
            .hint(candidates(host)),
        );
        return;
    };
    if link.loopback {
        findings.push(
            Finding::error(
                "parent-loopback",
                &place,
                format!("network `{key}`: `{name}` is the loopback link; nothing can sit on it"),
            )
            .hint(candidates(host)),
        );
    } else if let Some(master) = &link.master {
        findings.push(
            Finding::error("parent-is-port", &place, format!("network `{key}`: `{name}` is a port of `{master}`; the kernel lets nothing else sit on it"))
                .hint(format!("use `parent: {master}`")),
        );
    } else if !link.up {
        findings.push(
            Finding::error(
                "parent-down",
                &place,
                format!("network `{key}`: its parent `{name}` is down"),
            )
            .hint(format!(
                "bring it up: ip link set {} up",
                shell_word(name.as_str())
            )),
        );
    } else if link.wireless && matches!(network.driver, Driver::Macvlan(_)) {
        findings.push(
            Finding::error(
                "parent-wireless",
                &place,
                format!("network `{key}`: `{name}` is a wireless link; an access point drops frames of any address but its own"),
            )
            .hint("use `driver: ipvlan`, whose links share the parent's address"),
        );
    } else if !link.carrier {
        findings.push(Finding::warning(
            "parent-no-carrier",
            &place,
            format!("network `{key}`: its parent `{name}` has no carrier (is the cable in?)"),
        ));
    }
    shared_parent(stack, network, parent, host, observed, findings);
}

/// The lan of the project that has this link; to be asked where the file has none that does.
fn lan_that_goes<'a>(observed: &'a Observed, link: &LinkName) -> Option<&'a str> {
    observed
        .resources
        .values()
        .find_map(|found| match &found.spec {
            Spec::Lan(spec) if spec.lan.parent == *link => Some(spec.lan.name.as_str()),
            _ => None,
        })
}

fn candidates(host: &HostFacts) -> String {
    let fit =
        |link: &&LinkFact| !link.loopback && link.up && link.master.is_none() && !is_child(link);
    let names: Vec<&str> = host
        .links
        .iter()
        .filter(fit)
        .map(|link| link.name.as_str())
        .collect();
    if names.is_empty() {
        "no link here could be a parent; `lans:` makes a simulated one".to_owned()
    } else {
        format!(
            "links that could be: {}; or `lans:` makes a simulated one",
            names.join(", ")
        )
    }
}

fn is_child(link: &LinkFact) -> bool {
    matches!(
        link.kind.as_str(),
        "macvlan" | "ipvlan" | "bridge" | "macvtap" | "tun" | "wireguard"
    )
}

/// Engine networks and links that hold the parent already.
fn shared_parent(
    stack: &Stack,
    network: &Network,
    parent: &Parent,
    host: &HostFacts,
    observed: &Observed,
    findings: &mut Vec<Finding>,
) {
    let (key, link) = (network.key.as_str(), parent.link().as_str());
    let driver = network.driver.engine_name();
    let place = ["networks", key, "parent"];
    let own = |name: &str| stack.networks.values().any(|network| network.name == name);
    let on_parent = |found: &&crate::plan::observed::FoundNetwork| {
        found
            .spec
            .options
            .get("parent")
            .is_some_and(|parent| parent == link)
            && !own(&found.spec.name)
            && matches!(found.spec.driver.as_str(), "macvlan" | "ipvlan")
    };
    for other in observed.networks.iter().filter(on_parent) {
        let goes = other.project.as_deref() == Some(stack.project.as_str());
        let may_share =
            driver == "macvlan" && other.spec.driver == "macvlan" && observed.engine.speaks(1, 44);
        if goes || may_share {
            continue;
        }
        let whose = other
            .project
            .as_ref()
            .map_or_else(String::new, |project| format!(" of project `{project}`"));
        findings.push(
            Finding::error(
                "parent-in-use",
                &place,
                format!("network `{key}`: parent `{link}` is held by the {} network `{}`{whose}", other.spec.driver, other.spec.name),
            )
            .hint(format!("use that network (`external: true`, `name: {}`), or a VLAN of the parent (`{link}.10`)", other.spec.name)),
        );
    }
    let other_kind = if driver == "macvlan" {
        "ipvlan"
    } else {
        "macvlan"
    };
    let foreign = host
        .links
        .iter()
        .find(|other| other.kind == other_kind && other.lower.as_deref() == Some(link));
    if let Some(foreign) = foreign.filter(|_| matches!(driver, "macvlan" | "ipvlan")) {
        findings.push(
            Finding::error(
                "parent-kind",
                &place,
                format!("network `{key}`: the {other_kind} link `{}` sits on `{link}`; the kernel allows only one kind on a parent", foreign.name),
            )
            .hint(format!("remove it (ip link delete {}), or use another parent", shell_word(&foreign.name))),
        );
    }
}

/// Links that we would make and that are there as someone else's.
fn link_names(
    stack: &Stack,
    desired: &Desired,
    host: &HostFacts,
    observed: &Observed,
    findings: &mut Vec<Finding>,
) {
    for (id, spec) in &desired.specs {
        let name = match spec.as_ref() {
            Spec::Shim(shim) => shim.name.as_str(),
            Spec::Lan(lan) => lan.lan.parent.as_str(),
            Spec::Link(_)
            | Spec::Promiscuity(_)
            | Spec::Network(_)
            | Spec::Route(_)
            | Spec::Volume(_) => continue,
            Spec::Image(_)
            | Spec::Container(_)
            | Spec::Existing(_)
            | Spec::Endpoint(_)
            | Spec::Door(_) => continue,
        };
        if host.link(name).is_none() || observed.resources.contains_key(id) {
            continue;
        }
        let mark = host.link(name).and_then(LinkFact::mark);
        if mark.as_ref().is_some_and(|mark| mark.is_of(&stack.project)) {
            continue;
        }
        let whose = mark.map_or_else(
            || "was not made by stack".to_owned(),
            |mark| format!("belongs to project `{}`", mark.project),
        );
        let place = place_of(stack, id);
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        findings.push(
            Finding::error(
                "name-taken",
                &place,
                format!("{id}: a link named `{name}` is there and {whose}"),
            )
            .hint("give ours another name, or remove that one"),
        );
    }
}
