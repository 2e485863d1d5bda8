//! The kernel: which kinds of links it makes, and the settings that decide whether packets go anywhere.

use crate::doctor::facts::Facts;
use crate::doctor::{Finding, Severity};
use crate::model::network::{Driver, Parent};
use crate::model::stack::Stack;
use crate::plan::machine::Support;

/// Asks what there is to ask about the kernel.
pub fn examine(facts: &Facts, stack: Option<&Stack>, findings: &mut Vec<Finding>) {
    for (kind, support) in &facts.machine.kinds {
        let Support::No(said) = support else { continue };
        let wanted = stack.is_some_and(|stack| wants(stack, kind));
        let severity = match (stack, wanted) {
            (Some(_), true) => Severity::Error,
            (Some(_), false) => continue,
            (None, _) => Severity::Warning,
        };
        findings.push(
            Finding::new(
                "kernel-kind",
                severity,
                "kernel",
                format!(
                    "this kernel ({}) makes no `{kind}` links: {said}",
                    facts.machine.kernel
                ),
                format!("networks and links of the kind `{kind}` cannot be made here"),
            )
            .mend(format!(
                "modprobe {}; if there is no such module, another kernel",
                module(kind)
            )),
        );
    }
    if facts.machine.sysctl("net.ipv4.ip_forward") == Some(0) {
        findings.push(
            Finding::new(
                "forwarding-off",
                Severity::Warning,
                "kernel",
                "net.ipv4.ip_forward is 0",
                "containers on bridges reach nothing outside, and published ports reach no container",
            )
            .mend("sysctl -w net.ipv4.ip_forward=1"),
        );
    }
    if facts.machine.sysctl("net.bridge.bridge-nf-call-iptables") == Some(1)
        && facts.machine.runs("firewalld")
    {
        findings.push(
            Finding::new(
                "bridge-netfilter",
                Severity::Warning,
                "kernel",
                "frames between containers of one bridge pass the host's firewall (net.bridge.bridge-nf-call-iptables is 1)",
                "a firewall that drops by default cuts off containers of the same network",
            )
            .mend("let the firewall accept forwarding on the bridges, or: sysctl -w net.bridge.bridge-nf-call-iptables=0"),
        );
    }
    reverse_path(facts, findings);
    if facts
        .machine
        .sysctl("net.ipv4.conf.all.arp_ignore")
        .is_some_and(|value| value > 0)
    {
        findings.push(
            Finding::new(
                "arp-ignore",
                Severity::Info,
                "kernel",
                "net.ipv4.conf.all.arp_ignore is not 0",
                "the host does not answer for its own LAN address on a shim, so containers do not reach it there",
            )
            .mend("set `host_address: reachable` on the shim: each container gets a route"),
        );
    }
}

/// Strict reverse-path filtering (RFC 3704) drops what comes in by another link than the answer would take. The
/// kernel uses the larger of `all` and the link's own value.
fn reverse_path(facts: &Facts, findings: &mut Vec<Finding>) {
    let strict = facts.machine.sysctls.iter().filter(|(name, value)| {
        name.starts_with("net.ipv4.conf.") && name.ends_with(".rp_filter") && value.trim() == "1"
    });
    let links: Vec<&str> = strict
        .filter_map(|(name, _)| name.split('.').nth(3))
        .collect();
    if links.contains(&"all") {
        findings.push(
            Finding::new(
                "reverse-path-strict",
                Severity::Info,
                "kernel",
                "net.ipv4.conf.all.rp_filter is 1",
                "packets whose answer would leave by another link are dropped; shims have routes, so they pass; containers with two networks may lose answers",
            )
            .mend("sysctl -w net.ipv4.conf.all.rp_filter=2 if answers go missing"),
        );
    }
}

fn wants(stack: &Stack, kind: &str) -> bool {
    let any = |test: &dyn Fn(&Driver) -> bool| {
        stack.networks.values().any(|network| test(&network.driver))
    };
    match kind {
        "macvlan" => any(&|driver| matches!(driver, Driver::Macvlan(_))),
        "ipvlan" => any(&|driver| matches!(driver, Driver::Ipvlan(..))),
        "vlan" => stack
            .networks
            .values()
            .any(|network| matches!(network.parent, Some(Parent::Vlan { .. }))),
        "vxlan" => any(&|driver| *driver == Driver::Overlay),
        "veth" | "bridge" => !stack.lans.is_empty() || any(&|driver| *driver == Driver::Bridge),
        _ => false,
    }
}

/// The module that makes a kind of link, where its name is another one.
fn module(kind: &str) -> &str {
    match kind {
        "vlan" => "8021q",
        other => other,
    }
}
