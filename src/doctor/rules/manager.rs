//! Others that manage links and packets on this machine, and what they do to ours.

use crate::doctor::facts::Facts;
use crate::doctor::{Finding, Severity};
use crate::model::stack::Stack;

/// Asks who else manages the network here. Where a stack makes nothing on the host, nobody is in its way.
pub fn examine(facts: &Facts, stack: Option<&Stack>, findings: &mut Vec<Finding>) {
    let on_host = stack.is_none_or(|stack| {
        !stack.lans.is_empty()
            || stack
                .networks
                .values()
                .any(|network| network.shim.is_some())
    });
    if on_host {
        link_managers(facts, findings);
    }
    firewalls(facts, findings);
}

fn link_managers(facts: &Facts, findings: &mut Vec<Finding>) {
    let machine = &facts.machine;
    let left_alone = machine
        .unmanaged
        .iter()
        .any(|entry| entry.contains("shim-") || entry.contains("macvlan"));
    if machine.runs("NetworkManager") && !left_alone {
        findings.push(
            Finding::new(
                "networkmanager",
                Severity::Warning,
                "host",
                "NetworkManager runs, and is not told to leave shims alone",
                "it may take a new link over: ask DHCP on it, change its addresses, or remove it",
            )
            .mend(
                "printf '[keyfile]\\nunmanaged-devices=interface-name:shim-*;interface-name:lab*\\n' \
                 > /etc/NetworkManager/conf.d/90-stack.conf && nmcli general reload",
            ),
        );
    }
    if machine.runs("systemd-networkd") {
        findings.push(
            Finding::new(
                "networkd",
                Severity::Warning,
                "host",
                "systemd-networkd runs",
                "when it is restarted it removes routes and rules that it did not make, the shims' among them",
            )
            .mend("in /etc/systemd/networkd.conf under [Network]: ManageForeignRoutes=no and ManageForeignRoutingPolicyRules=no"),
        );
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
}

fn firewalls(facts: &Facts, findings: &mut Vec<Finding>) {
    let machine = &facts.machine;
    if machine.runs("firewalld") {
        findings.push(
            Finding::new(
                "firewalld",
                Severity::Warning,
                "host",
                "firewalld runs",
                "it drops what comes in by a link that no zone has, shims included",
            )
            .mend("firewall-cmd --permanent --zone=trusted --add-interface=SHIM && firewall-cmd --reload"),
        );
    }
    if machine.ufw_enabled {
        findings.push(
            Finding::new(
                "ufw",
                Severity::Warning,
                "host",
                "ufw is on",
                "it drops what containers send to the host by a shim; published ports pass it by, as docker's rules come first",
            )
            .mend("ufw allow in on SHIM"),
        );
    }
    for chain in &machine.dropping_chains {
        findings.push(
            Finding::new(
                "nftables-drop",
                Severity::Warning,
                "host",
                format!("the chain `{} {} {}` drops by policy in the {} hook", chain.family, chain.table, chain.chain, chain.hook),
                match chain.hook.as_str() {
                    "forward" => "what is forwarded for containers on bridges passes only where a rule of that chain accepts it",
                    _ => "what containers send to the host passes only where a rule of that chain accepts it",
                },
            )
            .mend(format!("nft list chain {} {} {}, and accept what the stack needs", chain.family, chain.table, chain.chain)),
        );
    }
}
