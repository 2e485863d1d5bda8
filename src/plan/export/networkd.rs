//! For systemd-networkd: the link, its network, the parent's drop-in that puts the one on the other, and the settings
//! that networkd has no word for.

use std::fmt::Write as _;

use crate::model::network::{IpvlanFlag, IpvlanMode, MacvlanMode};
use crate::plan::export::{ExportFile, Exported, addresses, heading, sysctl_file};
use crate::plan::spec::ShimKind;

/// The four files.
pub fn files(shim: &Exported) -> Vec<ExportFile> {
    vec![
        ExportFile {
            path: format!("etc/systemd/network/50-{}.netdev", shim.spec.name),
            text: netdev(shim),
        },
        ExportFile {
            path: format!("etc/systemd/network/50-{}.network", shim.spec.name),
            text: network(shim),
        },
        ExportFile {
            path: format!(
                "etc/systemd/network/{}.network.d/50-{}.conf",
                shim.spec.parent, shim.spec.name
            ),
            text: parent(shim),
        },
        sysctl_file(shim, &["accept_ra", "addr_gen_mode"]),
    ]
}

fn netdev(shim: &Exported) -> String {
    let spec = &shim.spec;
    let mut text = heading(shim);
    let _ = writeln!(text, "[NetDev]\nName={}", spec.name);
    match spec.kind {
        ShimKind::Macvlan(mode) => {
            let _ = writeln!(text, "Kind=macvlan");
            if let Some(mac) = spec.mac {
                let _ = writeln!(text, "MACAddress={mac}");
            }
            let mode = match mode {
                MacvlanMode::Bridge => "bridge",
                MacvlanMode::Private => "private",
                MacvlanMode::Vepa => "vepa",
                MacvlanMode::Passthru => "passthru",
            };
            let _ = writeln!(text, "\n[MACVLAN]\nMode={mode}");
        }
        ShimKind::Ipvlan(mode, flag) => {
            let mode = match mode {
                IpvlanMode::L2 => "L2",
                IpvlanMode::L3 => "L3",
                IpvlanMode::L3s => "L3S",
            };
            let flag = match flag {
                IpvlanFlag::Bridge => "bridge",
                IpvlanFlag::Private => "private",
                IpvlanFlag::Vepa => "vepa",
            };
            let _ = writeln!(text, "Kind=ipvlan\n\n[IPVLAN]\nMode={mode}\nFlags={flag}");
        }
    }
    text
}

fn network(shim: &Exported) -> String {
    let spec = &shim.spec;
    let mut text = heading(shim);
    let _ = writeln!(
        text,
        "[Match]\nName={}\n\n[Link]\nRequiredForOnline=no\n\n[Network]\nDHCP=no\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nLLDP=no",
        spec.name
    );
    for address in addresses(spec) {
        let _ = writeln!(text, "\n[Address]\nAddress={address}\nAddPrefixRoute=no");
    }
    for route in &spec.routes {
        let _ = write!(
            text,
            "\n[Route]\nDestination={}\nPreferredSource={}\n",
            route.destination, route.source
        );
        // Only IPv4 routes have a scope.
        if route.source.is_ipv4() {
            text.push_str("Scope=link\n");
        }
    }
    text
}

fn parent(shim: &Exported) -> String {
    let spec = &shim.spec;
    let word = match spec.kind {
        ShimKind::Macvlan(_) => "MACVLAN",
        ShimKind::Ipvlan(..) => "IPVLAN",
    };
    format!(
        "{}# A drop-in of the file that configures `{}`: `networkctl status {}` names that file as its\n# \"Network File\"; this folder has to be called after it (FILE.network.d).\n[Network]\n{word}={}\n",
        heading(shim),
        spec.parent,
        spec.parent,
        spec.name
    )
}
