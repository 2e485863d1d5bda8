//! Others that manage links on this machine, and what they will do to ours.

use std::collections::BTreeSet;

use crate::doctor::facts::Facts;
use crate::doctor::{Finding, Severity, shims};
use crate::model::stack::Stack;
use crate::plan::machine::{Machine, Remedy, glob};
use crate::plan::spec::ShimKind;

/// A link of ours, there or still to be made.
struct Ours {
    name: String,
    kind: &'static str,
}

/// Asks who else manages the links here. Where a stack makes nothing on the host, nobody is in its way.
pub fn examine(facts: &Facts, stack: Option<&Stack>, findings: &mut Vec<Finding>) {
    let links = ours(facts, stack);
    if links.is_empty() {
        return;
    }
    let machine = &facts.machine;
    if machine.runs("NetworkManager") {
        network_manager(machine, &links, findings);
    }
    if machine.runs("systemd-networkd") {
        networkd(machine, &links, findings);
    }
    for client in ["dhcpcd", "connmand"] {
        if machine.runs(client) {
            findings.push(
                Finding::new(
                    "dhcp-client",
                    Severity::Warning,
                    "host",
                    format!("{client} runs and acts on every new link"),
                    "a shim may get a second address and a default route",
                )
                .mend(match client {
                    "dhcpcd" => "in /etc/dhcpcd.conf: denyinterfaces shim-* lab* veth* docker* br-*",
                    _ => "in /etc/connman/main.conf: NetworkInterfaceBlacklist=shim-,lab,veth,docker,br-",
                }),
            );
        }
    }
    if machine.runs("avahi-daemon") {
        findings.push(
            Finding::new(
                "announced",
                Severity::Info,
                "host",
                "avahi-daemon runs, and announces the host by every link that it finds",
                "neighbours learn the shim's address as one of the host's, and use it",
            )
            .mend(format!(
                "in /etc/avahi/avahi-daemon.conf under [server]: deny-interfaces={}",
                names(&links).join(",")
            )),
        );
    }
    if stack.is_some() && !machine.agent_installed {
        findings.push(
            Finding::new(
                "gone-with-a-reboot",
                Severity::Info,
                "host",
                "no unit of ours is installed",
                "the engine's containers come back after a reboot, shims and their routes do not",
            )
            .mend("stack agent --install; or stack up again after each boot"),
        );
    }
}

/// The links that stack makes here: those of the stack, else those that are there, else what a shim would be called.
fn ours(facts: &Facts, stack: Option<&Stack>) -> Vec<Ours> {
    let mut links = Vec::new();
    if let Some(stack) = stack {
        for shim in shims(facts, stack) {
            links.push(Ours {
                name: shim.name.to_string(),
                kind: match shim.kind {
                    ShimKind::Macvlan(_) => "macvlan",
                    ShimKind::Ipvlan(..) => "ipvlan",
                },
            });
        }
        for lan in stack.lans.values() {
            links.push(Ours {
                name: lan.parent.to_string(),
                kind: "veth",
            });
        }
        return links;
    }
    for link in facts.host.iter().flat_map(|host| &host.links) {
        let mark = link.mark();
        let kind = match link.kind.as_str() {
            "macvlan" => "macvlan",
            "ipvlan" => "ipvlan",
            _ => "veth",
        };
        if mark.is_some_and(|mark| matches!(mark.kind.as_str(), "shim" | "lan")) {
            let name = link.name.clone();
            links.push(Ours { name, kind });
        }
    }
    if links.is_empty() {
        links.push(Ours {
            name: "shim-lan".to_owned(),
            kind: "macvlan",
        });
    }
    links
}

/// The names as patterns: those of shims as one.
fn names(links: &[Ours]) -> Vec<String> {
    let names: BTreeSet<String> = links
        .iter()
        .map(|link| match link.name.starts_with("shim-") {
            true => "shim-*".to_owned(),
            false => link.name.clone(),
        })
        .collect();
    names.into_iter().collect()
}

/// Whether NetworkManager is told to leave a link alone (its device specifications, NetworkManager.conf(5)).
fn is_left_alone(machine: &Machine, link: &Ours) -> bool {
    let says = |entry: &str| match entry.split_once(':') {
        Some(("interface-name", name)) => glob(name.trim_start_matches('='), &link.name),
        Some(("type" | "driver", kind)) => kind == link.kind,
        Some(_) => false,
        None => glob(entry, &link.name),
    };
    let kept = |entry: &String| entry.strip_prefix("except:").is_some_and(says);
    !machine.unmanaged.iter().any(kept) && machine.unmanaged.iter().any(|entry| says(entry))
}

fn network_manager(machine: &Machine, links: &[Ours], findings: &mut Vec<Finding>) {
    let Some(link) = links.iter().find(|link| !is_left_alone(machine, link)) else {
        return;
    };
    let path = "/etc/NetworkManager/conf.d/90-stack.conf".to_owned();
    let devices: Vec<String> = names(links)
        .iter()
        .map(|name| format!("interface-name:{name}"))
        .collect();
    let text = format!(
        "[device-stack]\nmatch-device={}\nmanaged=0\n",
        devices.join(";")
    );
    findings.push(
        Finding::new(
            "networkmanager",
            Severity::Warning,
            "host",
            format!(
                "NetworkManager runs, and is not told to leave `{}` alone",
                link.name
            ),
            "it may take a new link over: ask DHCP on it, change its addresses, or remove it",
        )
        .mend(format!(
            "printf '{}' > {path} && nmcli general reload",
            text.replace('\n', "\\n")
        ))
        .remedy(Remedy::File {
            path,
            text,
            then: "nmcli general reload".to_owned(),
        }),
    );
}

fn networkd(machine: &Machine, links: &[Ours], findings: &mut Vec<Finding>) {
    for link in links {
        let Some(file) = machine.network_file(&link.name, link.kind) else {
            continue;
        };
        if file.unmanaged {
            continue;
        }
        let does = if file.dhcp {
            "asks DHCP on it, which may give it a second address and a default route"
        } else {
            "gives it the file's addresses and removes those that it has"
        };
        let path = "/etc/systemd/network/05-stack.network".to_owned();
        let text = format!(
            "[Match]\nName={}\n\n[Link]\nUnmanaged=yes\n",
            names(links).join(" ")
        );
        findings.push(
            Finding::new(
                "networkd-takes-link",
                Severity::Error,
                format!("link {}", link.name),
                format!("systemd-networkd's file {} matches it", file.path),
                format!("networkd {does}"),
            )
            .mend(format!(
                "printf '{}' > {path} && networkctl reload",
                text.replace('\n', "\\n")
            ))
            .remedy(Remedy::File {
                path,
                text,
                then: "networkctl reload".to_owned(),
            }),
        );
    }
    if !machine.keeps_foreign_routes {
        findings.push(
            Finding::new(
                "networkd",
                Severity::Warning,
                "host",
                "systemd-networkd runs",
                "when it is restarted it removes routes and rules that it did not make, the shims' among them",
            )
            .mend("in /etc/systemd/networkd.conf.d/90-stack.conf under [Network]: ManageForeignRoutes=no and ManageForeignRoutingPolicyRules=no")
            .remedy(Remedy::File {
                path: "/etc/systemd/networkd.conf.d/90-stack.conf".to_owned(),
                text: "[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n".to_owned(),
                then: "systemctl restart systemd-networkd".to_owned(),
            }),
        );
    }
}
