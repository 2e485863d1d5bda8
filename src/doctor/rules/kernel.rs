//! The kernel: which kinds of links it makes, and the settings that decide whether packets go anywhere.

use crate::doctor::facts::Facts;
use crate::doctor::{Finding, Severity};
use crate::model::network::{Driver, Parent};
use crate::model::stack::Stack;
use crate::plan::machine::{Remedy, Support, Verdict};

/// Asks what there is to ask about the kernel.
pub fn examine(facts: &Facts, stack: Option<&Stack>, findings: &mut Vec<Finding>) {
    unseen(facts, findings);
    for (kind, support) in &facts.machine.kinds {
        let Support::No(said) = support else { continue };
        if kind == "nf_tables" {
            findings.push(Finding::new(
                "kernel-filter",
                Severity::Warning,
                "kernel",
                format!("this kernel ({}) takes no nf_tables rules: {said}", facts.machine.kernel),
                "a lan's router cannot translate addresses (`nat: true`), and engines need iptables-legacy",
            ));
            continue;
        }
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
    forwarding(facts, stack, findings);
    bridge_filter(facts, findings);
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

/// Silence about what nobody could look at would be taken for health.
fn unseen(facts: &Facts, findings: &mut Vec<Finding>) {
    if facts.unseen.is_empty() {
        return;
    }
    findings.push(
        Finding::new(
            "not-looked-at",
            Severity::Warning,
            "host",
            format!("this process may not look at: {}", facts.unseen.join(", ")),
            "what bites there is not told",
        )
        .mend("run the same command with sudo"),
    );
}

fn forwarding(facts: &Facts, stack: Option<&Stack>, findings: &mut Vec<Finding>) {
    let machine = &facts.machine;
    if machine.sysctl("net.ipv4.ip_forward") == Some(0) {
        let finding = Finding::new(
            "forwarding-off",
            Severity::Warning,
            "kernel",
            "net.ipv4.ip_forward is 0",
            "containers on bridges reach nothing outside, and published ports reach no container",
        )
        .mend("sysctl -w net.ipv4.ip_forward=1");
        // A machine that forwards for everybody is a router; where nothing passes that nobody accepts, it is none.
        let guarded = machine.filters.iter().flatten().any(|chain| {
            chain.hook.as_deref() == Some("forward")
                && matches!(chain.family.as_str(), "ip" | "inet")
                && chain.drops_the_rest()
        });
        findings.push(if guarded {
            finding.remedy(Remedy::Setting {
                path: "ipv4/ip_forward".to_owned(),
                value: "1".to_owned(),
            })
        } else {
            finding
        });
    }
    let six = stack.is_some_and(|stack| {
        stack
            .networks
            .values()
            .any(|network| network.subnets().any(|subnet| subnet.addr().is_ipv6()))
    });
    if six && machine.sysctl("net.ipv6.conf.all.disable_ipv6") == Some(1) {
        findings.push(
            Finding::new(
                "ipv6-off",
                Severity::Error,
                "kernel",
                "net.ipv6.conf.all.disable_ipv6 is 1",
                "no link of this host has an IPv6 address, shims and bridges included",
            )
            .mend("sysctl -w net.ipv6.conf.all.disable_ipv6=0"),
        );
    }
}

/// Whether frames between containers of one bridge pass the host's packet filter.
fn bridge_filter(facts: &Facts, findings: &mut Vec<Finding>) {
    let machine = &facts.machine;
    let passes = machine.sysctl("net.bridge.bridge-nf-call-iptables");
    let foreign = machine.filters.iter().flatten().any(|chain| {
        let engines = chain.rules.iter().any(|rule| match &rule.verdict {
            Verdict::Jump(to) => to.starts_with("DOCKER"),
            Verdict::Accept | Verdict::Drop | Verdict::Return | Verdict::None => false,
        });
        chain.hook.as_deref() == Some("forward")
            && matches!(chain.family.as_str(), "ip" | "inet")
            && chain.drops_the_rest()
            && !engines
    });
    if passes == Some(1) && (foreign || machine.runs("firewalld")) {
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
    let apart = facts.networks.iter().find(|network| {
        let option = "com.docker.network.bridge.enable_icc";
        network.spec.options.get(option).map(String::as_str) == Some("false")
    });
    if let (Some(0), Some(network)) = (passes, apart) {
        findings.push(
            Finding::new(
                "icc-unfiltered",
                Severity::Error,
                format!("network {}", network.spec.name),
                "its containers are to be kept apart, and net.bridge.bridge-nf-call-iptables is 0",
                "frames on a bridge do not pass the packet filter, so they reach each other",
            )
            .mend("sysctl -w net.bridge.bridge-nf-call-iptables=1"),
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
