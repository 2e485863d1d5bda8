//! All that a test may not change, written down: the host's links, addresses, routes, rules, neighbours, queues, sysctls,
//! firewall, namespaces and processes, and the engine's objects. Two of these are compared line by line.
//!
//! What changes by itself is left out: counters, timers, and the fields named in `observe`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::bed::Bed;
use crate::runner::Failure;

/// A host at one moment: lines, by what they are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    sections: BTreeMap<&'static str, Vec<String>>,
}

/// What is asked of the host in one go; a line that starts with `==` names what follows. One shell instead of a process
/// from here for each question: it is asked twice for every test.
pub const QUESTIONS: &str = r#"
ask() { section=$1; shift; echo "== $section"; "$@" 2>/dev/null; }
ask links ip -details -oneline link show
ask addresses ip -oneline address show
ask routes ip route show table all
ask routes ip -6 route show table all
ask rules ip rule show
ask rules ip -6 rule show
ask neighbours ip neighbour show nud permanent
ask neighbours ip -6 neighbour show nud permanent
ask queues tc qdisc show
ask firewall iptables-save
ask firewall ip6tables-save
ask firewall nft --stateless list ruleset
ask namespaces ls /run/netns
ask records find /run/stack /var/lib/stack -mindepth 1
echo "== sysctls"
find /proc/sys/net -type f -perm -400 -exec grep -H '' {} + 2>/dev/null
ask containers docker ps --all --no-trunc --format '{{.ID}} {{.Names}} {{.State}}'
ask networks docker network ls --no-trunc --format '{{.ID}} {{.Name}} {{.Driver}}'
ask volumes docker volume ls --format '{{.Name}} {{.Driver}}'
ask images docker images --all --no-trunc --format '{{.ID}} {{.Repository}}:{{.Tag}}'
ask swarm docker info --format '{{.Swarm.LocalNodeState}}'
echo "== end"
"#;

impl Host {
    /// Looks at everything, in the namespaces of the process `keeper`.
    pub fn observe(bed: &Bed, keeper: u32) -> Result<Host, Failure> {
        let mut host = Host::read(&bed.shell(QUESTIONS)?)?;
        let mut processes = processes(keeper)?;
        processes.sort();
        host.sections.insert("processes", processes);
        Ok(host)
    }

    /// Reads what the questions were answered with.
    pub fn read(text: &str) -> Result<Host, Failure> {
        let mut sections: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        let mut section = "";
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("== ") {
                section = SECTIONS
                    .into_iter()
                    .find(|section| *section == name)
                    .ok_or_else(|| format!("unknown section `{name}`"))?;
                sections.entry(section).or_default();
            } else if let Some(line) = steady(section, line) {
                sections.entry(section).or_default().push(line);
            }
        }
        if !sections.contains_key("end") {
            return Err("the questions about the host were cut off".into());
        }
        for lines in sections.values_mut() {
            lines.sort();
        }
        Ok(Host { sections })
    }

    /// What is different in `after`: lines that are gone with `-`, new ones with `+`. Empty when nothing is.
    pub fn difference(&self, after: &Host) -> String {
        let mut text = String::new();
        for section in SECTIONS {
            let empty = Vec::new();
            let mut gone = self.sections.get(section).unwrap_or(&empty).clone();
            let mut new = Vec::new();
            for line in after.sections.get(section).unwrap_or(&empty) {
                match gone.iter().position(|other| other == line) {
                    Some(index) => {
                        gone.remove(index);
                    }
                    None => new.push(line),
                }
            }
            for line in gone {
                let _ = writeln!(text, "  {section} - {line}");
            }
            for line in new {
                let _ = writeln!(text, "  {section} + {line}");
            }
        }
        text
    }
}

const SECTIONS: [&str; 17] = [
    "links",
    "addresses",
    "routes",
    "rules",
    "neighbours",
    "queues",
    "firewall",
    "namespaces",
    "records",
    "processes",
    "sysctls",
    "containers",
    "networks",
    "volumes",
    "images",
    "swarm",
    "end",
];

/// The line without what changes by itself; `None` when nothing of it is left.
fn steady(section: &str, line: &str) -> Option<String> {
    let line = line.trim_end();
    match section {
        // Comments of iptables-save hold the time, brackets its counters.
        "firewall" if line.starts_with('#') || line.is_empty() => None,
        "firewall" => Some(line.split(" [").next().unwrap_or(line).to_owned()),
        "links" => Some(steady_link(line)),
        "addresses" | "routes" => Some(steady_words(line)),
        // The kernel counts connections and sizes its caches as it likes.
        "sysctls" => {
            let line = line.strip_prefix("/proc/sys/")?;
            let moving = [
                "nf_conntrack_count",
                "/random",
                "netdev_rss_key",
                "rmem_default_now",
            ];
            (!moving.iter().any(|word| line.contains(word))).then(|| line.to_owned())
        }
        _ => Some(line.to_owned()),
    }
}

/// A link without its carrier, which follows the containers at it a moment later, and without its timers.
fn steady_link(line: &str) -> String {
    let mut lasting = Vec::new();
    let mut words = line.split_whitespace();
    while let Some(word) = words.next() {
        if word == "state" || word.ends_with("_timer") {
            words.next();
        } else if let Some(flags) = word.strip_prefix('<') {
            let flags: Vec<&str> = flags
                .trim_end_matches('>')
                .split(',')
                .filter(|flag| !matches!(*flag, "NO-CARRIER" | "LOWER_UP"))
                .collect();
            lasting.push(format!("<{}>", flags.join(",")));
        } else {
            lasting.push(word.to_owned());
        }
    }
    lasting.join(" ")
}

/// An address or a route without the rest of its life (`…sec`) and without the carrier of its link.
fn steady_words(line: &str) -> String {
    line.split_whitespace()
        .filter(|word| !word.ends_with("sec") && !matches!(*word, "linkdown" | "tentative"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The names of the processes on the host, without those that live a moment and the engine's own for a container.
fn processes(keeper: u32) -> Result<Vec<String>, Failure> {
    let own = std::fs::read_link(format!("/proc/{keeper}/ns/mnt"))?;
    let mut names = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let folder = entry?.path();
        let is_ours = std::fs::read_link(folder.join("ns/mnt")).is_ok_and(|mount| mount == own);
        if is_ours && let Some(name) = process_name(&folder) {
            names.push(name);
        }
    }
    Ok(names)
}

fn process_name(folder: &Path) -> Option<String> {
    let name = std::fs::read_to_string(folder.join("comm")).ok()?;
    let name = name.trim();
    // A shim ends a moment after its container, and dockerd runs itself again for small tasks.
    let passing = ["containerd-shim", "runc", "exe", "docker-proxy"];
    (!passing.iter().any(|word| name.starts_with(word))).then(|| name.to_owned())
}
