//! What the machine is beside its links and main routes: the doctor's facts, observed once when it is asked; and what
//! may be done about some of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::model::address::Mac;

/// The machine beside its network.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Machine {
    /// `uname -r`.
    pub kernel: String,
    /// What the firmware says: vendor, product and asset tag (`/sys/class/dmi/id`).
    pub vendor: Option<String>,
    pub product: Option<String>,
    pub asset_tag: Option<String>,
    /// What the kernel can make, found by trying in a namespace that is thrown away: kinds of links, `nf_tables`.
    pub kinds: BTreeMap<String, Support>,
    /// Kernel settings by their dotted names, as text. A dot in a link's name is a slash, as sysctl(8) has it.
    pub sysctls: BTreeMap<String, String>,
    /// The command names of running processes of which the rules speak (`NetworkManager`, `firewalld`, `dhcpcd`, …).
    pub processes: BTreeSet<String>,
    /// `ENABLED=yes` in ufw's settings.
    pub ufw_enabled: bool,
    /// Links that NetworkManager is told to leave alone, as its settings write them.
    pub unmanaged: Vec<String>,
    /// systemd-networkd's files for links, in the order in which it asks them: the first that matches counts.
    pub network_files: Vec<NetworkFile>,
    /// `ManageForeignRoutes=no` in networkd's settings.
    pub keeps_foreign_routes: bool,
    /// The links that firewalld has in a zone, with it.
    pub zones: BTreeMap<String, String>,
    /// The packet filter's chains; none where this process may not read them.
    pub filters: Option<Vec<FilterChain>>,
    /// Policy rules, in the order in which they are asked.
    pub rules: Vec<PolicyRule>,
    pub neighbours: Vec<Neighbour>,
    /// Where packets to some addresses of the stack would go.
    pub ways: Vec<Way>,
    /// What DHCP servers offered, where they were asked; by link.
    pub offers: BTreeMap<String, Vec<Offer>>,
    /// Whether a unit of ours keeps shims right through reboots.
    pub agent_installed: bool,
}

/// Whether the kernel makes a kind of link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Support {
    Yes,
    /// It refused, in the kernel's words.
    No(String),
}

/// A chain of the packet filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterChain {
    pub backend: Backend,
    /// `ip`, `ip6`, `inet`, `bridge`, …
    pub family: String,
    pub table: String,
    pub chain: String,
    /// `input`, `forward`, …; none where packets come only from other chains.
    pub hook: Option<String>,
    pub priority: i32,
    /// Whether what no rule decides is dropped.
    pub policy_drops: bool,
    pub rules: Vec<FilterRule>,
}

/// Which of the kernel's two packet filters a chain is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Nftables,
    Legacy,
}

/// What a rule does with a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterRule {
    /// Whether it holds for every packet.
    pub always: bool,
    pub verdict: Verdict,
    /// How many packets it has seen; none where it does not count.
    pub packets: Option<u64>,
}

/// How a rule ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    /// Rejected ones too.
    Drop,
    Return,
    Jump(String),
    /// The packet goes on.
    None,
}

impl FilterChain {
    /// Whether a packet that no narrower rule decides is dropped here.
    pub fn drops_the_rest(&self) -> bool {
        for rule in self.rules.iter().filter(|rule| rule.always) {
            match rule.verdict {
                Verdict::Drop => return true,
                Verdict::Accept | Verdict::Return => return false,
                Verdict::Jump(_) | Verdict::None => {}
            }
        }
        self.hook.is_some() && self.policy_drops
    }

    /// How many rules drop something.
    pub fn dropping(&self) -> usize {
        let drops = |rule: &&FilterRule| rule.verdict == Verdict::Drop;
        self.rules.iter().filter(drops).count()
    }

    /// Whether it is the engine's or the user's place before the engine.
    pub fn is_dockers(&self) -> bool {
        self.chain.starts_with("DOCKER") || self.table.starts_with("docker")
    }
}

/// Whether something of what comes in for the host itself may be dropped, by a chain of that hook or by one that it leads
/// to.
pub fn drops_what_comes_in(chains: &[FilterChain]) -> bool {
    let mut ahead: Vec<&FilterChain> = chains
        .iter()
        .filter(|chain| {
            let family = matches!(chain.family.as_str(), "ip" | "ip6" | "inet");
            family && chain.hook.as_deref() == Some("input")
        })
        .collect();
    let mut seen: BTreeSet<(&str, &str, &str)> = BTreeSet::new();
    while let Some(chain) = ahead.pop() {
        if !seen.insert((&chain.family, &chain.table, &chain.chain)) {
            continue;
        }
        if chain.policy_drops || chain.dropping() > 0 {
            return true;
        }
        for rule in &chain.rules {
            if let Verdict::Jump(to) = &rule.verdict {
                ahead.extend(chains.iter().filter(|other| {
                    other.chain == *to
                        && other.table == chain.table
                        && other.family == chain.family
                        && other.backend == chain.backend
                }));
            }
        }
    }
    false
}

/// How many rules the user put before the engine's, the closing `RETURN` left out: what they do to containers is not
/// known from a stack file.
pub fn docker_user_rules(chains: &[FilterChain]) -> usize {
    let user = chains
        .iter()
        .filter(|chain| chain.chain == "DOCKER-USER" && chain.table == "filter");
    user.flat_map(|chain| &chain.rules)
        .filter(|rule| !(rule.always && rule.verdict == Verdict::Return))
        .count()
}

/// A policy rule (`ip rule`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyRule {
    pub ipv6: bool,
    pub priority: u32,
    pub table: u32,
    /// What it selects by, in the words of ip-rule(8); empty is everything.
    pub selects: Vec<String>,
}

impl fmt::Display for PolicyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.priority)?;
        if self.selects.is_empty() {
            f.write_str("from all")?;
        } else {
            f.write_str(&self.selects.join(" "))?;
        }
        write!(f, " lookup {}", self.table)
    }
}

/// Somebody on a wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    pub address: IpAddr,
    pub mac: Mac,
    pub link: String,
}

/// Where packets to an address go; a table of 0 is no way at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    pub to: IpAddr,
    pub link: Option<String>,
    pub table: u32,
}

/// A file of systemd-networkd that says what to do with links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkFile {
    pub path: String,
    /// The patterns of `Name=`; those that begin with `!` exclude.
    pub names: Vec<String>,
    /// The patterns of `Kind=` and `Type=`.
    pub kinds: Vec<String>,
    pub types: Vec<String>,
    /// It asks for something else as well (an address, a driver), which a new virtual link seldom has.
    pub narrower: bool,
    pub unmanaged: bool,
    pub dhcp: bool,
}

/// What a DHCP server offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offer {
    pub link: String,
    pub server: Ipv4Addr,
    pub server_mac: Mac,
    pub address: Ipv4Addr,
    /// The prefix length of the netmask.
    pub prefix: Option<u8>,
    pub routers: Vec<Ipv4Addr>,
    /// Seconds.
    pub lease: Option<u32>,
    pub options: Vec<OfferOption>,
}

/// An option of an offer, in words where its meaning is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfferOption {
    pub number: u8,
    pub name: String,
    pub value: String,
}

/// Something that may be done without a risk, and put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// A kernel setting: its path below `/proc/sys/net`, and the value.
    Setting { path: String, value: String },
    /// A link that a stack names as a parent.
    LinkUp { link: String },
    /// A file of our own that is not there yet, and the command after which it counts.
    File {
        path: String,
        text: String,
        then: String,
    },
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remedy::Setting { path, value } => {
                write!(f, "set net.{} to {value}", path.replace('/', "."))
            }
            Remedy::LinkUp { link } => write!(f, "bring the link `{link}` up"),
            Remedy::File { path, .. } => write!(f, "write {path}"),
        }
    }
}

impl Machine {
    /// A kernel setting as a number.
    pub fn sysctl(&self, name: &str) -> Option<i64> {
        self.sysctls.get(name)?.trim().parse().ok()
    }

    /// A setting of one link: `net.ipv4.conf.LINK.KEY`.
    pub fn of_link(&self, link: &str, key: &str) -> Option<i64> {
        self.sysctl(&format!("net.ipv4.conf.{}.{key}", link.replace('.', "/")))
    }

    /// Whether a process of this command name runs.
    pub fn runs(&self, command: &str) -> bool {
        // The kernel keeps 15 bytes of a command's name (TASK_COMM_LEN).
        let kept: String = command.chars().take(15).collect();
        self.processes.contains(&kept)
    }

    /// The first of networkd's files that would match a new link of this name and kind.
    pub fn network_file(&self, name: &str, kind: &str) -> Option<&NetworkFile> {
        let any = |patterns: &[String], text: &str| {
            let (not, yes): (Vec<&String>, Vec<&String>) = patterns
                .iter()
                .partition(|pattern| pattern.starts_with('!'));
            let hit = |pattern: &&&String| glob(pattern.trim_start_matches('!'), text);
            !not.iter().any(|pattern| hit(&pattern))
                && (yes.is_empty() || yes.iter().any(|pattern| hit(&pattern)))
        };
        self.network_files.iter().find(|file| {
            !file.narrower
                && any(&file.names, name)
                && any(&file.kinds, kind)
                && any(&file.types, "ether")
        })
    }
}

/// Whether a text is as a shell's pattern (`*`, `?`, `[…]`) says.
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut letters = pattern.chars();
    match letters.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = letters.as_str();
            let mut tails = text.char_indices().map(|(at, _)| &text[at..]);
            glob(rest, "") || tails.any(|tail| glob(rest, tail))
        }
        Some('[') => {
            let Some((set, rest)) = letters.as_str().split_once(']') else {
                return false;
            };
            let mut wanted = text.chars();
            let Some(letter) = wanted.next() else {
                return false;
            };
            let members: Vec<char> = set.chars().collect();
            let inside = members.contains(&letter)
                || members
                    .windows(3)
                    .any(|three| three[1] == '-' && (three[0]..=three[2]).contains(&letter));
            inside && glob(rest, wanted.as_str())
        }
        Some(letter) => {
            let mut wanted = text.chars();
            match wanted.next() {
                Some(other) if letter == '?' || letter == other => {
                    glob(letters.as_str(), wanted.as_str())
                }
                Some(_) | None => false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Backend, FilterChain, FilterRule, Machine, NetworkFile, Verdict, glob};

    #[test]
    fn patterns_are_a_shells() {
        for (pattern, text, fits) in [
            ("shim-*", "shim-lan", true),
            ("shim-*", "shim", false),
            ("*", "", true),
            ("e?h[0-9]", "eth7", true),
            ("e?h[0-9]", "ethx", false),
            ("en*p*s0", "enp3s0", true),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn the_first_file_of_networkd_counts_and_exclusions_exclude() {
        let file = |path: &str, names: &[&str], kinds: &[&str]| NetworkFile {
            path: path.to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            types: Vec::new(),
            narrower: false,
            unmanaged: false,
            dhcp: true,
        };
        let machine = Machine {
            network_files: vec![
                file("a", &["eth0"], &[]),
                file("b", &["!shim-*"], &[]),
                file("c", &["*"], &["macvlan"]),
            ],
            ..Machine::default()
        };
        let path = |name: &str, kind: &str| {
            machine
                .network_file(name, kind)
                .map(|file| file.path.as_str())
        };
        assert_eq!(path("shim-lan", "macvlan"), Some("c"));
        assert_eq!(path("shim-lan", "ipvlan"), None);
        assert_eq!(path("x", "veth"), Some("b"));
    }

    #[test]
    fn a_chain_drops_the_rest_by_its_policy_or_its_last_rule() {
        let rule = |always, verdict| FilterRule {
            always,
            verdict,
            packets: None,
        };
        let mut chain = FilterChain {
            backend: Backend::Nftables,
            family: "inet".into(),
            table: "firewalld".into(),
            chain: "filter_FORWARD".into(),
            hook: Some("forward".into()),
            priority: 0,
            policy_drops: false,
            rules: vec![rule(false, Verdict::Accept), rule(true, Verdict::Drop)],
        };
        assert!(chain.drops_the_rest());
        chain.rules.insert(0, rule(true, Verdict::Accept));
        assert!(!chain.drops_the_rest());
        chain.rules.clear();
        assert!(!chain.drops_the_rest());
        chain.policy_drops = true;
        assert!(chain.drops_the_rest());
    }
}
