//! Chains of the older packet filter (iptables-legacy): the kernel hands out each table as one block of memory. Only
//! tables that are in use are asked for, as asking makes a table that is not there. The layout is that of
//! include/uapi/linux/netfilter_ipv4/ip_tables.h, its IPv6 twin, and x_tables.h.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::plan::machine::{Backend, FilterChain, FilterRule, Verdict};
use crate::world::host::tlv::{signed, text};

/// `IPT_SO_GET_INFO` and `IPT_SO_GET_ENTRIES`.
const INFO: libc::c_int = 64;
const ENTRIES: libc::c_int = 65;
const NAME: usize = 32;
/// `struct ipt_getinfo`: a name, valid hooks, five entry points, five underflows, count, size.
const INFO_SIZE: usize = NAME + 4 * 13;
/// `struct ipt_get_entries` before its entries: a name, a size, and what aligns them.
const HEAD: usize = NAME + 8;
const TARGET_HEAD: usize = 32;

/// How one family lays its entries out.
struct Layout {
    family: &'static str,
    names: &'static str,
    domain: libc::c_int,
    level: libc::c_int,
    /// Bytes of the addresses, interfaces and masks that a rule matches by itself.
    own: usize,
    /// Where the offsets of the target and of the next entry are.
    offsets: usize,
    /// The size of an entry without matches.
    plain: usize,
}

const LAYOUTS: [Layout; 2] = [
    Layout {
        family: "ip",
        names: "/proc/thread-self/net/ip_tables_names",
        domain: libc::AF_INET,
        level: libc::SOL_IP,
        own: 84,
        offsets: 88,
        plain: 112,
    },
    Layout {
        family: "ip6",
        names: "/proc/thread-self/net/ip6_tables_names",
        domain: libc::AF_INET6,
        level: libc::SOL_IPV6,
        own: 136,
        offsets: 140,
        plain: 168,
    },
];

/// All chains of the tables in use in the calling thread's namespace.
pub fn chains() -> io::Result<Vec<FilterChain>> {
    let mut found = Vec::new();
    for layout in &LAYOUTS {
        let names = match fs::read_to_string(layout.names) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for table in names.lines().filter(|line| !line.is_empty()) {
            let (info, entries) = whole(layout, table)?;
            found.extend(parse(layout, table, &info, &entries));
        }
    }
    Ok(found)
}

/// A table that changes between the question for its size and that for its entries is refused (`EAGAIN`).
fn whole(layout: &Layout, table: &str) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut tries = 0;
    loop {
        match read(layout, table) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && tries < 16 => tries += 1,
            read => return read,
        }
    }
}

fn read(layout: &Layout, table: &str) -> io::Result<(Vec<u8>, Vec<u8>)> {
    // SAFETY: plain system call; the descriptor is owned from here on.
    let raw = unsafe {
        libc::socket(
            layout.domain,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC,
            libc::IPPROTO_RAW,
        )
    };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given it to us and to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(raw) };
    let mut name = table.as_bytes().to_vec();
    name.resize(NAME, 0);
    let mut info = name.clone();
    info.resize(INFO_SIZE, 0);
    ask(&socket, layout.level, INFO, &mut info)?;
    let size = word(&info, INFO_SIZE - 4).unwrap_or(0);
    let mut entries = name;
    entries.extend(size.to_ne_bytes());
    entries.resize(HEAD + usize::try_from(size).unwrap_or(0), 0);
    ask(&socket, layout.level, ENTRIES, &mut entries)?;
    Ok((info, entries.split_off(HEAD)))
}

fn ask(
    socket: &OwnedFd,
    level: libc::c_int,
    what: libc::c_int,
    bytes: &mut [u8],
) -> io::Result<()> {
    let mut length = libc::socklen_t::try_from(bytes.len()).unwrap_or(0);
    // SAFETY: the pointers are to a live buffer of that length and to its length.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            what,
            bytes.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<usize> {
    let value = u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?);
    Some(usize::from(value))
}

/// A target: the verdict, or the name of what decides.
enum Target {
    Verdict(i32),
    /// Marks the beginning of a chain, or the end of all.
    Begins(String),
    Named(String),
}

struct Entry {
    at: usize,
    size: usize,
    always: bool,
    /// How many packets it has seen.
    packets: Option<u64>,
    target: Target,
}

/// The first entry of a chain.
struct Begin {
    name: String,
    /// The hook, and where the entry of the policy is.
    base: Option<(&'static str, usize)>,
}

fn entries(layout: &Layout, bytes: &[u8]) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let (Some(target), Some(next)) =
            (half(rest, layout.offsets), half(rest, layout.offsets + 2))
        else {
            break;
        };
        let Some(entry) = rest.get(..next).filter(|_| next >= layout.plain) else {
            break;
        };
        let Some(head) = entry.get(target..target + TARGET_HEAD) else {
            break;
        };
        let name = text(&head[2..31]);
        let data = &entry[target + TARGET_HEAD..];
        let own = entry.get(..layout.own).unwrap_or_default();
        found.push(Entry {
            at,
            // After the two offsets and `comefrom`, where a 64-bit number may begin (`struct xt_counters`).
            packets: {
                let at = (layout.offsets + 8).next_multiple_of(8);
                let bytes = entry
                    .get(at..at + 8)
                    .and_then(|bytes| bytes.try_into().ok());
                bytes.map(u64::from_ne_bytes)
            },
            always: target == layout.plain && own.iter().all(|byte| *byte == 0),
            target: match name.as_str() {
                "" => Target::Verdict(word(data, 0).map_or(0, signed)),
                "ERROR" => Target::Begins(text(data)),
                _ => Target::Named(name),
            },
            size: next,
        });
        at += next;
    }
    found
}

/// The chains of one table, from what the kernel said about it.
fn parse(layout: &Layout, table: &str, info: &[u8], bytes: &[u8]) -> Vec<FilterChain> {
    let entries = entries(layout, bytes);
    let valid = word(info, NAME).unwrap_or(0);
    let hooks = [
        ("PREROUTING", "prerouting"),
        ("INPUT", "input"),
        ("FORWARD", "forward"),
        ("OUTPUT", "output"),
        ("POSTROUTING", "postrouting"),
    ];
    let mut begins: BTreeMap<usize, Begin> = BTreeMap::new();
    for (number, (name, hook)) in hooks.iter().enumerate() {
        if valid & 1 << number == 0 {
            continue;
        }
        let offset =
            |at: usize| word(info, at + 4 * number).and_then(|offset| usize::try_from(offset).ok());
        if let (Some(first), Some(last)) = (offset(NAME + 4), offset(NAME + 24)) {
            let base = Some((*hook, last));
            let name = (*name).to_owned();
            begins.insert(first, Begin { name, base });
        }
    }
    for entry in &entries {
        if let Target::Begins(name) = &entry.target
            && name != "ERROR"
        {
            let begin = Begin {
                name: name.clone(),
                base: None,
            };
            begins.insert(entry.at + entry.size, begin);
        }
    }
    let mut chains: Vec<FilterChain> = Vec::new();
    let mut policy_at = None;
    for entry in &entries {
        if let Some(Begin { name, base }) = begins.get(&entry.at) {
            policy_at = base.map(|(_, last)| last);
            chains.push(FilterChain {
                backend: Backend::Legacy,
                family: layout.family.to_owned(),
                table: table.to_owned(),
                chain: name.clone(),
                hook: base.map(|(hook, _)| hook.to_owned()),
                priority: 0,
                policy_drops: false,
                rules: Vec::new(),
            });
        }
        let Some(chain) = chains.last_mut() else {
            continue;
        };
        let verdict = match &entry.target {
            Target::Begins(_) => continue,
            // Negative ones are verdicts (-NF_DROP - 1, -NF_ACCEPT - 1, XT_RETURN), others where to jump to.
            Target::Verdict(-1) => Verdict::Drop,
            Target::Verdict(-2) => Verdict::Accept,
            Target::Verdict(-5) => Verdict::Return,
            Target::Verdict(to) => usize::try_from(*to)
                .ok()
                .and_then(|to| begins.get(&to))
                .map_or(Verdict::None, |begin| Verdict::Jump(begin.name.clone())),
            Target::Named(name) if name == "REJECT" => Verdict::Drop,
            Target::Named(_) => Verdict::None,
        };
        if policy_at == Some(entry.at) {
            chain.policy_drops = verdict == Verdict::Drop;
        } else {
            chain.rules.push(FilterRule {
                always: entry.always,
                verdict,
                packets: entry.packets,
            });
        }
    }
    // A chain of the user ends with a return that nobody wrote.
    for chain in chains.iter_mut().filter(|chain| chain.hook.is_none()) {
        if chain
            .rules
            .last()
            .is_some_and(|last| last.verdict == Verdict::Return)
        {
            chain.rules.pop();
        }
    }
    chains
}

#[cfg(test)]
mod tests {
    use super::{HEAD, INFO_SIZE, LAYOUTS, NAME, parse};
    use crate::plan::machine::Verdict;

    /// An entry as iptables makes it: no matches, a target with its name and data.
    fn entry(source: [u8; 4], name: &str, data: &[u8]) -> Vec<u8> {
        let layout = &LAYOUTS[0];
        let mut bytes = source.to_vec();
        bytes.resize(layout.plain, 0);
        let size = 32 + data.len();
        let next = u16::try_from(layout.plain + size).unwrap();
        let plain = u16::try_from(layout.plain).unwrap();
        bytes[88..90].copy_from_slice(&plain.to_ne_bytes());
        bytes[90..92].copy_from_slice(&next.to_ne_bytes());
        let mut target = u16::try_from(size).unwrap().to_ne_bytes().to_vec();
        target.extend(name.as_bytes());
        target.resize(32, 0);
        bytes.extend(target);
        bytes.extend(data);
        bytes
    }

    fn verdict(code: i32) -> Vec<u8> {
        entry([0; 4], "", &[code.to_ne_bytes(), [0; 4]].concat())
    }

    #[test]
    fn a_table_is_read_with_its_policy_chains_and_jumps() {
        let mut begin = b"DOCKER-USER\0".to_vec();
        begin.resize(32, 0);
        let begin = entry([0; 4], "ERROR", &begin);
        let user = 2 * 152 + begin.len();
        let blob = [
            verdict(i32::try_from(user).unwrap()),
            verdict(-1),
            begin,
            entry([10, 0, 0, 0], "REJECT", &[0; 8]),
            verdict(-5),
            entry([0; 4], "ERROR", &[b"ERROR".as_slice(), &[0; 27]].concat()),
        ]
        .concat();
        let mut info = vec![0; INFO_SIZE];
        info[NAME..NAME + 4].copy_from_slice(&4u32.to_ne_bytes());
        info[NAME + 24 + 8..NAME + 24 + 12].copy_from_slice(&152u32.to_ne_bytes());
        let chains = parse(&LAYOUTS[0], "filter", &info, &blob);
        let [forward, docker] = chains.as_slice() else {
            panic!("{chains:?}");
        };
        assert_eq!(forward.hook.as_deref(), Some("forward"));
        assert!(forward.policy_drops);
        assert_eq!(
            forward.rules[0].verdict,
            Verdict::Jump("DOCKER-USER".into())
        );
        assert_eq!(
            (docker.chain.as_str(), docker.rules.len()),
            ("DOCKER-USER", 1)
        );
        assert!(!docker.rules[0].always && docker.rules[0].verdict == Verdict::Drop);
        for length in 0..blob.len() {
            parse(&LAYOUTS[0], "filter", &info, &blob[..length]);
        }
        assert_eq!(HEAD, 40);
    }
}
