//! Chains and rules of nf_tables, through the kernel's socket (`NETLINK_NETFILTER`). The numbers are those of
//! include/uapi/linux/netfilter/nf_tables.h.

use std::io;

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};

use crate::plan::machine::{Backend, FilterChain, FilterRule, Verdict};
use crate::world::host::tlv::{Answer, answers, attribute, attributes, big, signed, text};

const GET_CHAIN: u16 = 10 << 8 | 4;
const GET_RULE: u16 = 10 << 8 | 7;
const REQUEST: u16 = 0x1;
const DUMP: u16 = 0x300;

/// Expressions that look at nothing of the packet: a rule of these alone holds for every packet.
const BLIND: &[&str] = &[
    "counter",
    "immediate",
    "log",
    "target",
    "reject",
    "notrack",
    "masq",
    "nat",
    "redir",
    "last",
];

/// All chains of the calling thread's namespace with their rules; or only the rules of one chain (table, chain), which
/// the kernel picks out itself.
pub fn chains(only: Option<(&str, &str)>) -> io::Result<Vec<FilterChain>> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut chains = match only {
        None => {
            let found = dump(&mut socket, GET_CHAIN, &[])?;
            found.iter().filter_map(chain).collect()
        }
        Some(_) => Vec::new(),
    };
    let wanted = match only {
        None => Vec::new(),
        // NFTA_RULE_TABLE, NFTA_RULE_CHAIN.
        Some((table, chain)) => [named(1, table), named(2, chain)].concat(),
    };
    for answer in dump(&mut socket, GET_RULE, &wanted)? {
        let body = &answer.body;
        let (Some(table), Some(name)) =
            (attribute(body, 1).map(text), attribute(body, 2).map(text))
        else {
            continue;
        };
        let family = family(answer.header[0]);
        let rule = rule(attribute(body, 4).unwrap_or_default());
        let place = chains.iter_mut().find(|chain: &&mut FilterChain| {
            chain.family == family && chain.table == table && chain.chain == name
        });
        match place {
            Some(chain) => chain.rules.push(rule),
            None if only.is_some() => chains.push(FilterChain {
                backend: Backend::Nftables,
                family: family.to_owned(),
                table,
                chain: name,
                hook: None,
                priority: 0,
                policy_drops: false,
                rules: vec![rule],
            }),
            // It came between the two questions.
            None => {}
        }
    }
    Ok(chains)
}

fn dump(socket: &mut Socket, kind: u16, attributes: &[u8]) -> io::Result<Vec<Answer>> {
    let length = u32::try_from(20 + attributes.len()).unwrap_or(u32::MAX);
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend((REQUEST | DUMP).to_ne_bytes());
    message.extend([0; 12]);
    message.extend(attributes);
    socket.send(&message, 0)?;
    match answers(socket) {
        // A kernel without nf_tables has no chains of it.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP)) => {
            Ok(Vec::new())
        }
        other => other,
    }
}

fn named(kind: u16, name: &str) -> Vec<u8> {
    let length = u16::try_from(5 + name.len()).unwrap_or(u16::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(name.as_bytes());
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn family(number: u8) -> &'static str {
    match number {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => "unknown",
    }
}

fn hook(family: &str, number: u32) -> &'static str {
    match (family, number) {
        ("netdev", 0) => "ingress",
        ("netdev", _) => "egress",
        ("arp", 1) | (_, 3) => "output",
        ("arp", 0) | (_, 1) => "input",
        (_, 0) => "prerouting",
        (_, 2) => "forward",
        (_, 4) => "postrouting",
        (_, _) => "ingress",
    }
}

fn chain(answer: &Answer) -> Option<FilterChain> {
    let body = &answer.body;
    let family = family(answer.header[0]);
    let base = attribute(body, 4);
    let number = base.and_then(|base| attribute(base, 1)).and_then(big);
    let priority = base.and_then(|base| attribute(base, 2)).and_then(big);
    Some(FilterChain {
        backend: Backend::Nftables,
        family: family.to_owned(),
        table: attribute(body, 1).map(text)?,
        chain: attribute(body, 3).map(text)?,
        hook: number.map(|number| hook(family, number).to_owned()),
        priority: priority.map_or(0, signed),
        // NF_DROP is 0.
        policy_drops: attribute(body, 5).and_then(big) == Some(0),
        rules: Vec::new(),
    })
}

fn rule(expressions: &[u8]) -> FilterRule {
    let mut rule = FilterRule {
        always: true,
        verdict: Verdict::None,
        packets: None,
    };
    for (_, expression) in attributes(expressions) {
        let name = attribute(expression, 1).map(text).unwrap_or_default();
        let data = attribute(expression, 2).unwrap_or_default();
        if !BLIND.contains(&name.as_str()) {
            rule.always = false;
        }
        match name.as_str() {
            "immediate" => {
                // NFTA_IMMEDIATE_DATA, NFTA_DATA_VERDICT.
                let verdict = attribute(data, 2).and_then(|data| attribute(data, 2));
                if let Some(verdict) = verdict {
                    rule.verdict = self::verdict(verdict);
                }
            }
            // NFTA_COUNTER_PACKETS.
            "counter" => {
                let count = attribute(data, 2).and_then(|bytes| bytes.get(..8)?.try_into().ok());
                rule.packets = count.map(u64::from_be_bytes);
            }
            "reject" => rule.verdict = Verdict::Drop,
            "target" if attribute(data, 1).map(text).as_deref() == Some("REJECT") => {
                rule.verdict = Verdict::Drop;
            }
            _ => {}
        }
    }
    rule
}

/// NFTA_VERDICT_CODE and NFTA_VERDICT_CHAIN.
fn verdict(bytes: &[u8]) -> Verdict {
    let to = || attribute(bytes, 2).map(text).unwrap_or_default();
    match attribute(bytes, 1).and_then(big).map(signed) {
        Some(0) => Verdict::Drop,
        Some(1) => Verdict::Accept,
        Some(-3 | -4) => Verdict::Jump(to()),
        Some(-5) => Verdict::Return,
        Some(_) | None => Verdict::None,
    }
}

#[cfg(test)]
mod tests {
    use super::{chain, rule};
    use crate::plan::machine::Verdict;
    use crate::world::host::tlv::Answer;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn expression(name: &str, data: &[u8]) -> Vec<u8> {
        let name = attribute(1, format!("{name}\0").as_bytes());
        attribute(0x8001, &[name, attribute(0x8002, data)].concat())
    }

    #[test]
    fn chains_and_rules_are_read_whatever_is_cut_off() {
        let hook = [
            attribute(1, &2u32.to_be_bytes()),
            attribute(2, &(-5i32).to_be_bytes()),
        ]
        .concat();
        let body = [
            attribute(1, b"mine\0"),
            attribute(3, b"FORWARD\0"),
            attribute(0x8004, &hook),
            attribute(5, &0u32.to_be_bytes()),
        ]
        .concat();
        let answer = |body: &[u8]| Answer {
            kind: 0,
            header: [2, 0, 0, 0],
            body: body.to_vec(),
        };
        let found = chain(&answer(&body)).unwrap();
        assert_eq!(
            (found.family.as_str(), found.hook.as_deref(), found.priority),
            ("ip", Some("forward"), -5)
        );
        assert!(found.policy_drops);
        let drop = attribute(0x8002, &attribute(1, &0u32.to_be_bytes()));
        let drop = expression("immediate", &attribute(0x8002, &drop));
        let always = rule(&drop);
        assert!(always.always && always.verdict == Verdict::Drop);
        let some = rule(&[expression("meta", &[]), drop].concat());
        assert!(!some.always && some.verdict == Verdict::Drop);
        let jump = [
            attribute(1, &(-3i32).to_be_bytes()),
            attribute(2, b"DOCKER-USER\0"),
        ]
        .concat();
        let jump = expression("immediate", &attribute(0x8002, &attribute(0x8002, &jump)));
        assert_eq!(rule(&jump).verdict, Verdict::Jump("DOCKER-USER".into()));
        for length in 0..body.len() {
            chain(&answer(&body[..length]));
        }
        for length in 0..jump.len() {
            rule(&jump[..length]);
        }
    }
}
