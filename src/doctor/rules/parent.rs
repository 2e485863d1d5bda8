//! Parents: the links that networks sit on.

use crate::doctor::facts::Facts;
use crate::doctor::{Finding, Severity};
use crate::model::name::shell_word;
use crate::model::network::{Driver, Network, Parent};
use crate::model::stack::Stack;
use crate::plan::machine::Remedy;
use crate::plan::observed::{HostFacts, LinkFact};

/// Asks about the parents that the stack names, or without one about every link that could be a parent.
pub fn examine(facts: &Facts, stack: Option<&Stack>, findings: &mut Vec<Finding>) {
    let Some(host) = &facts.host else { return };
    if !host.may_administer {
        findings.push(
            Finding::new(
                "not-permitted",
                Severity::Warning,
                "host",
                "this process has no CAP_NET_ADMIN",
                "shims, lans, VLAN links and promiscuity cannot be changed; the engine's part works",
            )
            .mend("run with sudo"),
        );
    }
    match stack {
        Some(stack) => {
            for network in stack.networks.values() {
                if let Some(parent) = network
                    .parent
                    .as_ref()
                    .filter(|_| network.driver.on_parent())
                {
                    of_network(stack, network, parent, host, findings);
                }
            }
        }
        None => {
            for link in host
                .links
                .iter()
                .filter(|link| link.kind.is_empty() && !link.loopback)
            {
                look(link, host, true, findings);
            }
        }
    }
}

fn of_network(
    stack: &Stack,
    network: &Network,
    parent: &Parent,
    host: &HostFacts,
    findings: &mut Vec<Finding>,
) {
    let base = match parent {
        Parent::Link(name) => name,
        Parent::Vlan { base, .. } => base,
    };
    if stack.lans.values().any(|lan| lan.parent == *base) {
        return;
    }
    let Some(link) = host.link(base.as_str()) else {
        findings.push(
            Finding::new(
                "parent-missing",
                Severity::Error,
                format!("network {}", network.key),
                format!("there is no link `{base}`"),
                "the network cannot be made; after a reboot it may have another name",
            )
            .mend(candidates(host)),
        );
        return;
    };
    look(
        link,
        host,
        matches!(network.driver, Driver::Macvlan(_)),
        findings,
    );
    if !link.up && link.master.is_none() && !link.loopback {
        if let Some(down) = findings
            .iter_mut()
            .find(|finding| finding.code == "parent-down" && finding.subject.ends_with(&link.name))
        {
            down.remedy = Some(Remedy::LinkUp {
                link: link.name.clone(),
            });
        }
    }
    size(network, link, findings);
    let wanted = network.driver.engine_name();
    let other = if wanted == "macvlan" {
        "ipvlan"
    } else {
        "macvlan"
    };
    let parent_name = parent.link().as_str();
    if let Some(sitting) = host
        .links
        .iter()
        .find(|l| l.kind == other && l.lower.as_deref() == Some(parent_name))
    {
        findings.push(
            Finding::new(
                "parent-kind",
                Severity::Error,
                format!("link {parent_name}"),
                format!("the {other} link `{}` sits on it", sitting.name),
                format!(
                    "the kernel allows one kind on a parent, and network {} wants {wanted}",
                    network.key
                ),
            )
            .mend(format!("ip link delete {}", shell_word(&sitting.name))),
        );
    }
}

/// Links that could be meant.
fn candidates(host: &HostFacts) -> String {
    let fit = host
        .links
        .iter()
        .filter(|link| !link.loopback && link.up && link.master.is_none() && link.lower.is_none());
    let names: Vec<String> = fit
        .filter(|link| !matches!(link.kind.as_str(), "bridge" | "tun" | "wireguard"))
        .map(|link| match link.mac {
            Some(mac) => format!("{} ({mac})", link.name),
            None => link.name.clone(),
        })
        .collect();
    if names.is_empty() {
        "name a link that is there; `lans:` makes a simulated one".to_owned()
    } else {
        format!("name one of these as `parent`: {}", names.join(", "))
    }
}

/// The MTU that the file asks for: the kernel gives a child no more than its parent has.
fn size(network: &Network, link: &LinkFact, findings: &mut Vec<Finding>) {
    let wanted = network.options.get("com.docker.network.driver.mtu");
    if let Some(mtu) = wanted.and_then(|mtu| mtu.parse::<u32>().ok())
        && mtu > link.mtu
        && link.mtu > 0
    {
        findings.push(
            Finding::new(
                "mtu-above-parent",
                Severity::Error,
                format!("network {}", network.key),
                format!(
                    "it asks for an MTU of {mtu}, and its parent `{}` has {}",
                    link.name, link.mtu
                ),
                "the kernel refuses a link with a larger MTU than the one it sits on",
            )
            .mend(format!(
                "ip link set {} mtu {mtu}, where the wire carries that; or leave the option out",
                shell_word(&link.name)
            )),
        );
    }
}

/// What can be wrong with a link that is to be a parent.
fn look(link: &LinkFact, host: &HostFacts, macvlan: bool, findings: &mut Vec<Finding>) {
    let subject = format!("link {}", link.name);
    let name = &link.name;
    if link.loopback {
        findings.push(
            Finding::new(
                "parent-loopback",
                Severity::Error,
                subject,
                "it is the loopback link",
                "nothing can sit on it",
            )
            .mend(candidates(host)),
        );
        return;
    }
    if link.promiscuous_flag {
        findings.push(
            Finding::new(
                "parent-promiscuous",
                Severity::Info,
                subject.clone(),
                "somebody has made it promiscuous",
                "it hands every frame of its wire to this host; networks on it do not need that, unless a hypervisor's port is behind it",
            )
            .mend(format!("ip link set {} promisc off, where nobody needs it; `promiscuous: auto` sets and resets it with the stack", shell_word(name))),
        );
    }
    if let Some(master) = &link.master {
        let sort = host.link(master).map_or("", |master| master.kind.as_str());
        findings.push(
            Finding::new(
                "parent-is-port",
                Severity::Error,
                subject.clone(),
                match sort {
                    "bond" | "team" => format!("it is a member of the bond `{master}`"),
                    "bridge" => format!("it is a port of the bridge `{master}`"),
                    _ => format!("it is a port of `{master}`"),
                },
                "the kernel lets nothing else sit on a bridge's or bond's port",
            )
            .mend(format!("use `parent: {master}`")),
        );
    }
    if !link.up {
        findings.push(
            Finding::new(
                "parent-down",
                Severity::Error,
                subject.clone(),
                "it is down",
                "nothing on it works, and engines start containers on it without a word",
            )
            .mend(format!("ip link set {} up", shell_word(name))),
        );
    } else if !link.carrier {
        findings.push(
            Finding::new(
                "parent-no-carrier",
                Severity::Warning,
                subject.clone(),
                "it has no carrier",
                "containers on it do not even reach each other",
            )
            .mend("put the cable in, or look at the other end"),
        );
    }
    if link.wireless && macvlan {
        findings.push(
            Finding::new(
                "parent-wireless",
                Severity::Error,
                subject.clone(),
                "it is wireless",
                "an access point drops frames of addresses that have not joined it, so macvlan cannot work",
            )
            .mend("use ipvlan, whose links share the parent's address, or a cable"),
        );
    }
    if link.mtu > 0 && link.mtu < 1280 {
        findings.push(Finding::new(
            "parent-mtu",
            Severity::Warning,
            subject,
            format!("its MTU is {}", link.mtu),
            "IPv6 needs 1280 bytes (RFC 8200, section 5)",
        ));
    }
}
