//! What was written is read back by the rules of each tool, and is the shim that it was written from.

use std::collections::BTreeSet;

use crate::model::network::{IpvlanFlag, IpvlanMode, MacvlanMode};
use crate::plan::export::{ExportError, ExportFile, Exported, Tool, files};
use crate::plan::spec::{ShimKind, ShimRoute, ShimSpec};

fn shim(kind: ShimKind) -> Exported {
    let route = |destination: &str, source: &str| ShimRoute {
        destination: destination.parse().unwrap(),
        source: source.parse().unwrap(),
    };
    Exported {
        spec: ShimSpec {
            name: "shim-lan".parse().unwrap(),
            parent: "eth0.20".parse().unwrap(),
            kind,
            mac: match kind {
                ShimKind::Macvlan(_) => Some("02:00:00:00:00:70".parse().unwrap()),
                ShimKind::Ipvlan(..) => None,
            },
            addresses: vec!["10.5.0.70".parse().unwrap(), "fd50::70".parse().unwrap()],
            routes: vec![
                route("10.5.0.64/27", "10.5.0.70"),
                route("10.5.0.9/32", "10.5.0.70"),
                route("fd50::40/123", "fd50::70"),
            ],
            networks: vec!["lab_lan".to_owned()],
        },
        settings: vec![
            ("ipv6/conf/shim-lan/accept_ra".to_owned(), "0".to_owned()),
            ("ipv4/conf/shim-lan/arp_announce".to_owned(), "2".to_owned()),
        ],
    }
}

const KINDS: [ShimKind; 4] = [
    ShimKind::Macvlan(MacvlanMode::Bridge),
    ShimKind::Macvlan(MacvlanMode::Private),
    ShimKind::Ipvlan(IpvlanMode::L2, IpvlanFlag::Bridge),
    ShimKind::Ipvlan(IpvlanMode::L3s, IpvlanFlag::Vepa),
];

/// A shim as sorted lines, whoever's words it was in.
fn facts(shim: &Exported) -> BTreeSet<String> {
    let spec = &shim.spec;
    let kind = match spec.kind {
        ShimKind::Macvlan(mode) => format!("macvlan {}", mode.word()),
        ShimKind::Ipvlan(mode, flag) => format!("ipvlan {mode} {flag}"),
    };
    let mut facts = BTreeSet::from([format!("{} on {}: {kind}", spec.name, spec.parent)]);
    facts.extend(spec.mac.map(|mac| format!("mac {mac}")));
    for address in &spec.addresses {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        facts.insert(format!("address {address}/{bits}"));
    }
    for route in &spec.routes {
        facts.insert(format!("route {} src {}", route.destination, route.source));
    }
    for (path, value) in &shim.settings {
        facts.insert(format!("net/{path}={value}"));
    }
    facts
}

fn text<'f>(files: &'f [ExportFile], ending: &str) -> &'f str {
    let file = files.iter().find(|file| file.path.ends_with(ending));
    &file.unwrap().text
}

/// Sections of an INI file: name, and pairs of key and value.
fn sections(text: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            found.push((name.to_owned(), Vec::new()));
        } else if let Some((key, value)) = line.split_once('=')
            && !line.starts_with('#')
        {
            let section = found.last_mut().unwrap();
            section.1.push((key.to_owned(), value.to_owned()));
        }
    }
    found
}

/// The settings of a sysctl.d file.
fn sysctls(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.replace(" = ", "="))
}

fn value<'s>(section: &'s [(String, String)], key: &str) -> &'s str {
    let pair = section.iter().find(|(name, _)| name == key);
    pair.map_or("", |(_, value)| value)
}

#[test]
fn networkd_reads_the_same_shim() {
    for kind in KINDS {
        let wanted = shim(kind);
        let written = files(&wanted, Tool::Networkd).unwrap();
        let mut read = BTreeSet::new();
        let netdev = sections(text(&written, ".netdev"));
        let dropin = text(&written, "eth0.20.network.d/50-shim-lan.conf");
        let parent = sections(dropin);
        let (word, shim_name) = &parent[0].1[0];
        assert_eq!(word.to_lowercase(), value(&netdev[0].1, "Kind"));
        let mode = value(&netdev[1].1, "Mode").to_lowercase();
        let flag = value(&netdev[1].1, "Flags");
        let kind = format!("{} {mode} {flag}", value(&netdev[0].1, "Kind"));
        read.insert(format!("{shim_name} on eth0.20: {}", kind.trim_end()));
        let mac = value(&netdev[0].1, "MACAddress");
        if !mac.is_empty() {
            read.insert(format!("mac {mac}"));
        }
        for (name, section) in sections(text(&written, ".network")) {
            match name.as_str() {
                "Match" => assert_eq!(value(&section, "Name"), shim_name),
                "Address" => {
                    assert_eq!(value(&section, "AddPrefixRoute"), "no");
                    read.insert(format!("address {}", value(&section, "Address")));
                }
                "Route" => {
                    read.insert(format!(
                        "route {} src {}",
                        value(&section, "Destination"),
                        value(&section, "PreferredSource")
                    ));
                }
                // accept_ra is its own word.
                "Network" => {
                    assert_eq!(value(&section, "IPv6AcceptRA"), "no");
                    read.insert("net/ipv6/conf/shim-lan/accept_ra=0".to_owned());
                }
                _ => {}
            }
        }
        read.extend(sysctls(text(&written, "sysctl.d/90-shim-lan.conf")));
        assert_eq!(read, facts(&wanted));
    }
}

#[test]
fn network_manager_reads_the_same_shim() {
    for kind in KINDS {
        let wanted = shim(kind);
        let written = files(&wanted, Tool::NetworkManager).unwrap();
        let mut read = BTreeSet::from(["net/ipv6/conf/shim-lan/accept_ra=0".to_owned()]);
        let all = sections(text(&written, ".nmconnection"));
        let section = |name: &str| {
            let found = all.iter().find(|(section, _)| section == name);
            found.map(|(_, pairs)| pairs.clone()).unwrap_or_default()
        };
        let name = value(&section("connection"), "interface-name").to_owned();
        let (macvlan, ipvlan) = (section("macvlan"), section("ipvlan"));
        let kind = match value(&section("connection"), "type") {
            "macvlan" => {
                let mode = ["vepa", "bridge", "private", "passthru"];
                let number: usize = value(&macvlan, "mode").parse().unwrap();
                format!("macvlan {}", mode[number - 1])
            }
            _ => {
                let number: usize = value(&ipvlan, "mode").parse().unwrap();
                let mode = ["l2", "l3", "l3s"][number - 1];
                let flag = match (value(&ipvlan, "private"), value(&ipvlan, "vepa")) {
                    ("true", _) => "private",
                    (_, "true") => "vepa",
                    _ => "bridge",
                };
                format!("ipvlan {mode} {flag}")
            }
        };
        let parent = format!("{}{}", value(&macvlan, "parent"), value(&ipvlan, "parent"));
        read.insert(format!("{name} on {parent}: {kind}"));
        let ethernet = section("ethernet");
        if !ethernet.is_empty() {
            read.insert(format!("mac {}", value(&ethernet, "cloned-mac-address")));
        }
        for family in ["ipv4", "ipv6"] {
            let own = section(family);
            assert_eq!(value(&own, "never-default"), "true");
            read.insert(format!("address {}", value(&own, "address1")));
            for number in 1.. {
                let route = value(&own, &format!("route{number}"));
                if route.is_empty() {
                    break;
                }
                let options = value(&own, &format!("route{number}_options")).to_owned();
                let source = options.strip_prefix("src=").unwrap();
                let source = source.split(',').next().unwrap();
                read.insert(format!("route {route} src {source}"));
            }
        }
        read.extend(sysctls(text(&written, "sysctl.d/90-shim-lan.conf")));
        assert_eq!(read, facts(&wanted));
    }
}

#[test]
fn a_name_that_a_shell_would_take_for_more_is_refused() {
    let mut strange = shim(KINDS[0]);
    strange.spec.name = "$(id)".parse().unwrap();
    for tool in [Tool::Networkd, Tool::NetworkManager, Tool::Ifupdown] {
        assert_eq!(
            files(&strange, tool),
            Err(ExportError::Name(strange.spec.name.clone()))
        );
    }
}
