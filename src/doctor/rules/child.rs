//! Links that sit on parents in the host's own namespace: our shims, and those that recipes made by hand.

use crate::doctor::facts::Facts;
use crate::doctor::{Finding, Severity};
use crate::model::address::overlap;
use crate::model::name::shell_word;
use crate::plan::machine::{Machine, Remedy};
use crate::plan::observed::{HostFacts, LinkFact};

/// Asks about every macvlan and ipvlan link of the host.
pub fn examine(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(host) = &facts.host else { return };
    let is_child = |link: &&LinkFact| matches!(link.kind.as_str(), "macvlan" | "ipvlan");
    for link in host.links.iter().filter(is_child) {
        let mark = link.mark();
        if mark.is_some_and(|mark| mark.kind == "shim") {
            extra(link, findings);
            strict(link, &facts.machine, findings);
        } else {
            wide(link, host, findings);
        }
        let lower = link.lower.as_deref().and_then(|lower| host.link(lower));
        if let Some(lower) = lower {
            size(link, lower, findings);
        }
        twin(link, host, findings);
    }
}

/// A shim of ours has only whole addresses.
fn extra(link: &LinkFact, findings: &mut Vec<Finding>) {
    let whole = |net: &&ipnet::IpNet| net.prefix_len() == net.max_prefix_len();
    for address in link.addresses.iter().filter(|net| !whole(net)) {
        findings.push(
            Finding::new(
                "shim-extra-address",
                Severity::Warning,
                format!("link {}", link.name),
                format!("the shim has {address}, which stack did not give it"),
                "a DHCP client or a router's advertisement did: the host may send by it what belongs to the parent",
            )
            .mend(format!(
                "ip address del {address} dev {}; and tell that client to leave the link alone",
                shell_word(&link.name)
            )),
        );
    }
}

/// The stricter of `all` and the link's own value counts (RFC 3704, ip-sysctl.rst: the larger).
fn strict(link: &LinkFact, machine: &Machine, findings: &mut Vec<Finding>) {
    let own = machine.of_link(&link.name, "rp_filter");
    let all = machine.of_link("all", "rp_filter");
    if own.max(all) != Some(1) {
        return;
    }
    findings.push(
        Finding::new(
            "shim-strict",
            Severity::Warning,
            format!("link {}", link.name),
            "packets that come in by the shim are checked strictly (rp_filter is 1)",
            "what comes from a container that has no route yet is dropped",
        )
        // With slashes, as a link's name may have dots.
        .mend(format!(
            "sysctl -w {}",
            shell_word(&format!("net/ipv4/conf/{}/rp_filter=2", link.name))
        ))
        .remedy(Remedy::Setting {
            path: format!("ipv4/conf/{}/rp_filter", link.name),
            value: "2".to_owned(),
        }),
    );
}

/// A door made by hand with the LAN's own prefix.
fn wide(link: &LinkFact, host: &HostFacts, findings: &mut Vec<Finding>) {
    let Some(lower) = link.lower.as_deref().and_then(|name| host.link(name)) else {
        return;
    };
    for address in &link.addresses {
        let both = lower
            .addresses
            .iter()
            .find(|other| overlap(&other.trunc(), &address.trunc()));
        if address.prefix_len() < address.max_prefix_len()
            && let Some(other) = both
            && !address.addr().is_loopback()
            && !is_link_local(address)
        {
            findings.push(
                Finding::new(
                    "shim-wide-prefix",
                    Severity::Warning,
                    format!("link {}", link.name),
                    format!("it has {address}, and `{}` below it {other}", lower.name),
                    "the host has two ways into one subnet: its own traffic may leave by the wrong one, and neighbours learn two link-layer addresses",
                )
                .mend(format!(
                    "ip address add {}/{} dev {} noprefixroute && ip address del {address} dev {}; or `shim:` in the stack file",
                    address.addr(),
                    address.max_prefix_len(),
                    shell_word(&link.name),
                    shell_word(&link.name)
                )),
            );
        }
    }
}

fn is_link_local(net: &ipnet::IpNet) -> bool {
    match net {
        ipnet::IpNet::V4(v4) => v4.addr().is_link_local(),
        ipnet::IpNet::V6(v6) => v6.addr().is_unicast_link_local(),
    }
}

fn size(link: &LinkFact, lower: &LinkFact, findings: &mut Vec<Finding>) {
    if link.mtu == lower.mtu || link.mtu == 0 || lower.mtu == 0 {
        return;
    }
    findings.push(
        Finding::new(
            "mtu-differs",
            Severity::Warning,
            format!("link {}", link.name),
            format!(
                "its MTU is {}, that of `{}` below it {}",
                link.mtu, lower.name, lower.mtu
            ),
            "big frames are lost between those who use the one and the other, without a word",
        )
        .mend(format!(
            "ip link set {} mtu {}",
            shell_word(&link.name),
            lower.mtu
        )),
    );
}

/// Two links of one wire with one link-layer address.
fn twin(link: &LinkFact, host: &HostFacts, findings: &mut Vec<Finding>) {
    if link.kind != "macvlan" || link.mac.is_none() || link.mode.as_deref() == Some("passthru") {
        return;
    }
    let same = |other: &&LinkFact| {
        other.mac == link.mac
            && other.index != link.index
            && (link.lower.as_deref() == Some(other.name.as_str())
                || other.lower == link.lower && other.index > link.index)
    };
    if let Some(other) = host.links.iter().find(same) {
        findings.push(
            Finding::new(
                "duplicate-mac",
                Severity::Error,
                format!("link {}", link.name),
                format!("it has the same link-layer address as `{}`", other.name),
                "the kernel refuses to bring the second one up, and frames for one reach the other",
            )
            .mend(format!(
                "ip link set {} address 02:…, another one",
                shell_word(&link.name)
            )),
        );
    }
}
