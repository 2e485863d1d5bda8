//! The packet filter: who drops what containers send, and whether the engine's own rules are still there.

use crate::doctor::facts::Facts;
use crate::doctor::{Finding, Severity, shims};
use crate::model::name::shell_word;
use crate::model::stack::Stack;
use crate::plan::machine::{Backend, FilterChain, Verdict, docker_user_rules};

/// Asks what there is to ask about the packet filter.
pub fn examine(facts: &Facts, stack: Option<&Stack>, findings: &mut Vec<Finding>) {
    programs(facts, stack, findings);
    let Some(chains) = &facts.machine.filters else {
        if facts.host.is_some() {
            findings.push(
                Finding::new(
                    "filters-unread",
                    Severity::Info,
                    "host",
                    "the packet filter may not be read by this process",
                    "whether something there drops what containers send is not known",
                )
                .mend("sudo stack doctor"),
            );
        }
        return;
    };
    user_rules(chains, findings);
    for chain in chains {
        base(facts, chain, findings);
    }
    engine_rules(facts, chains, findings);
    two_filters(chains, findings);
}

/// The names of our shims: the stack's, else those that are there.
fn our_shims(facts: &Facts, stack: Option<&Stack>) -> Vec<String> {
    if let Some(stack) = stack {
        let wanted = shims(facts, stack);
        return wanted.iter().map(|shim| shim.name.to_string()).collect();
    }
    let links = facts.host.iter().flat_map(|host| &host.links);
    let marked = links.filter(|link| {
        let mark = link.mark();
        mark.is_some_and(|mark| mark.kind == "shim")
    });
    marked.map(|link| link.name.clone()).collect()
}

fn programs(facts: &Facts, stack: Option<&Stack>, findings: &mut Vec<Finding>) {
    let machine = &facts.machine;
    let shims = our_shims(facts, stack);
    let named = shims.first().map_or("SHIM", String::as_str);
    let open = ["trusted", "docker"];
    let shut = shims.iter().find(|shim| {
        let zone = machine.zones.get(*shim);
        zone.is_none_or(|zone| !open.contains(&zone.as_str()))
    });
    if machine.runs("firewalld") && (shims.is_empty() || shut.is_some()) {
        findings.push(
            Finding::new(
                "firewalld",
                Severity::Warning,
                "host",
                "firewalld runs",
                "it drops what comes in by a link that no zone has, shims included",
            )
            .mend(format!(
                "firewall-cmd --permanent --zone=trusted --add-interface={} && firewall-cmd --reload",
                shell_word(shut.map_or(named, String::as_str))
            )),
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
            .mend(format!("ufw allow in on {}", shell_word(named))),
        );
    }
}

fn user_rules(chains: &[FilterChain], findings: &mut Vec<Finding>) {
    let rules = docker_user_rules(chains);
    if rules == 0 {
        return;
    }
    let user = chains.iter().filter(|chain| chain.chain == "DOCKER-USER");
    let drops: usize = user.map(FilterChain::dropping).sum();
    let severity = if drops > 0 {
        Severity::Warning
    } else {
        Severity::Info
    };
    findings.push(
        Finding::new(
            "docker-user",
            severity,
            "host",
            format!("the chain DOCKER-USER has {rules} rules of somebody, {drops} of which drop"),
            "they decide before the engine's rules: who reaches containers depends on them",
        )
        .mend("iptables -S DOCKER-USER shows them"),
    );
}

fn backend(chain: &FilterChain) -> &'static str {
    match chain.backend {
        Backend::Nftables => "nft",
        Backend::Legacy => "iptables-legacy",
    }
}

/// A base chain on the way of containers.
fn base(facts: &Facts, chain: &FilterChain, findings: &mut Vec<Finding>) {
    let machine = &facts.machine;
    let on_way = matches!(chain.hook.as_deref(), Some("forward" | "input"))
        && matches!(chain.family.as_str(), "ip" | "ip6" | "inet" | "bridge");
    let jumps = |prefix: &str| {
        chain.rules.iter().any(|rule| match &rule.verdict {
            Verdict::Jump(to) => to.starts_with(prefix),
            Verdict::Accept | Verdict::Drop | Verdict::Return | Verdict::None => false,
        })
    };
    // Their programs are told of by name.
    let known = machine.runs("firewalld") && chain.table == "firewalld"
        || machine.ufw_enabled && jumps("ufw");
    if !on_way || known || chain.table.starts_with("docker") {
        return;
    }
    let forward = chain.hook.as_deref() == Some("forward");
    let name = format!("{} {} {}", chain.family, chain.table, chain.chain);
    let show = match chain.backend {
        Backend::Nftables => format!("nft list chain {name}"),
        Backend::Legacy if chain.family == "ip6" => format!("ip6tables-legacy -S {}", chain.chain),
        Backend::Legacy => format!("iptables-legacy -S {}", chain.chain),
    };
    if chain.drops_the_rest() && forward && jumps("DOCKER") {
        findings.push(
            Finding::new(
                "forward-policy-drop",
                Severity::Info,
                "host",
                format!("the chain `{name}` drops what nobody accepts, as the engine sets it"),
                "containers pass by the engine's rules; what else is forwarded here (virtual machines, routers' namespaces) does not",
            )
            .mend("iptables -I DOCKER-USER -i LINK -o LINK -j ACCEPT for what else is to pass"),
        );
    } else if chain.drops_the_rest() {
        findings.push(
            Finding::new(
                "filter-drops",
                Severity::Warning,
                "host",
                format!("the chain `{name}` ({}) drops what nobody accepts", backend(chain)),
                if forward {
                    "what is forwarded for containers on bridges passes only where a rule of that chain accepts it, whatever the engine's rules say"
                } else {
                    "what containers send to the host passes only where a rule of that chain accepts it"
                },
            )
            .mend(format!("{show}, and accept what the stack needs")),
        );
    } else if chain.dropping() > 0 {
        findings.push(
            Finding::new(
                "filter-rules",
                Severity::Info,
                "host",
                format!(
                    "{} rules of the chain `{name}` drop something",
                    chain.dropping()
                ),
                "where packets of containers get lost, they may be why",
            )
            .mend(show),
        );
    }
}

/// Whether the engine's chains are there although it has bridges.
fn engine_rules(facts: &Facts, chains: &[FilterChain], findings: &mut Vec<Finding>) {
    let (Some(engine), Some(host)) = (&facts.engine, &facts.host) else {
        return;
    };
    let bridges = facts
        .networks
        .iter()
        .any(|network| network.spec.driver == "bridge" && !network.spec.internal);
    let needs_rules = engine.elsewhere.is_none()
        && !engine.rootless
        && bridges
        && host.links.iter().any(|link| link.kind == "bridge");
    let seen = if !chains.iter().any(FilterChain::is_dockers) {
        "the engine has bridges, and none of its chains is in the packet filter"
    } else if is_cut_off(chains, "ip") || is_cut_off(chains, "ip6") {
        "the engine's chains are in the packet filter, and nothing that is forwarded gets there"
    } else {
        return;
    };
    if needs_rules {
        findings.push(
            Finding::new(
                "engine-rules-gone",
                Severity::Error,
                "host",
                seen,
                "published ports and the way out are shut: somebody flushed the rules (`iptables -F`), or the engine runs with `iptables` off",
            )
            .mend("systemctl restart docker makes them anew; then keep the other program from flushing"),
        );
    }
}

/// Whether the engine has chains for a family, and nothing that is forwarded gets there.
fn is_cut_off(chains: &[FilterChain], family: &str) -> bool {
    let mut of_family = chains.iter().filter(|chain| chain.family == family);
    of_family.clone().any(FilterChain::is_dockers) && !of_family.any(leads_to_dockers)
}

/// Whether what is forwarded comes to the engine's rules here.
fn leads_to_dockers(chain: &FilterChain) -> bool {
    let jumps = chain.rules.iter().any(|rule| match &rule.verdict {
        Verdict::Jump(to) => to.starts_with("DOCKER"),
        Verdict::Accept | Verdict::Drop | Verdict::Return | Verdict::None => false,
    });
    let own = chain.table.starts_with("docker") && !chain.rules.is_empty();
    chain.hook.as_deref() == Some("forward") && (jumps || own)
}

/// Rules in both of the kernel's filters: a packet passes both, and each program shows one.
fn two_filters(chains: &[FilterChain], findings: &mut Vec<Finding>) {
    let counts = |backend: Backend| {
        chains.iter().any(|chain| {
            chain.backend == backend && (!chain.rules.is_empty() || chain.policy_drops)
        })
    };
    if counts(Backend::Nftables) && counts(Backend::Legacy) {
        findings.push(
            Finding::new(
                "two-filters",
                Severity::Warning,
                "host",
                "there are rules in nf_tables and in the older filter (iptables-legacy)",
                "a packet has to pass both, and `iptables -S` shows only one of them",
            )
            .mend("update-alternatives --config iptables, then move the rules to one of the two"),
        );
    }
}
