//! For NetworkManager: a keyfile, and the settings that it has no word for. Modes are its numbers
//! (`NMSettingMacvlanMode`, `NMSettingIpvlanMode`).

use std::fmt::Write as _;

use crate::model::network::{IpvlanFlag, IpvlanMode, MacvlanMode};
use crate::plan::export::{ExportFile, Exported, addresses, heading, routes, sysctl_file};
use crate::plan::spec::{ShimKind, ShimSpec};

/// The two files.
pub fn files(shim: &Exported) -> Vec<ExportFile> {
    vec![
        ExportFile {
            path: format!(
                "etc/NetworkManager/system-connections/{}.nmconnection",
                shim.spec.name
            ),
            text: connection(shim),
        },
        sysctl_file(shim, &["accept_ra", "addr_gen_mode"]),
    ]
}

fn connection(shim: &Exported) -> String {
    let spec = &shim.spec;
    let mut text = heading(shim);
    text.push_str(
        "# It must belong to root with mode 600; then: nmcli connection reload\n# With an IPv6 address NetworkManager gives the link a link-local one as well; stack does not.\n",
    );
    let kind = match spec.kind {
        ShimKind::Macvlan(_) => "macvlan",
        ShimKind::Ipvlan(..) => "ipvlan",
    };
    let _ = writeln!(
        text,
        "[connection]\nid={name}\ntype={kind}\ninterface-name={name}\nautoconnect=true",
        name = spec.name
    );
    match spec.kind {
        ShimKind::Macvlan(mode) => {
            let mode = match mode {
                MacvlanMode::Vepa => 1,
                MacvlanMode::Bridge => 2,
                MacvlanMode::Private => 3,
                MacvlanMode::Passthru => 4,
            };
            let _ = writeln!(text, "\n[macvlan]\nparent={}\nmode={mode}", spec.parent);
            if let Some(mac) = spec.mac {
                let _ = writeln!(text, "\n[ethernet]\ncloned-mac-address={mac}");
            }
        }
        ShimKind::Ipvlan(mode, flag) => {
            let mode = match mode {
                IpvlanMode::L2 => 1,
                IpvlanMode::L3 => 2,
                IpvlanMode::L3s => 3,
            };
            let (private, vepa) = match flag {
                IpvlanFlag::Bridge => (false, false),
                IpvlanFlag::Private => (true, false),
                IpvlanFlag::Vepa => (false, true),
            };
            let _ = writeln!(
                text,
                "\n# NetworkManager 1.52 and newer.\n[ipvlan]\nparent={}\nmode={mode}\nprivate={private}\nvepa={vepa}",
                spec.parent
            );
        }
    }
    family(&mut text, spec, true);
    family(&mut text, spec, false);
    text
}

fn family(text: &mut String, spec: &ShimSpec, v4: bool) {
    let section = if v4 { "ipv4" } else { "ipv6" };
    let own: Vec<_> = addresses(spec)
        .into_iter()
        .filter(|net| net.addr().is_ipv4() == v4)
        .collect();
    let _ = writeln!(text, "\n[{section}]");
    if own.is_empty() {
        text.push_str("method=disabled\n");
        return;
    }
    text.push_str("method=manual\nnever-default=true\n");
    for (number, address) in own.iter().enumerate() {
        let _ = writeln!(text, "address{}={address}", number + 1);
    }
    for (number, route) in routes(spec, v4).enumerate() {
        let number = number + 1;
        let scope = if v4 { ",scope=253" } else { "" };
        let _ = writeln!(
            text,
            "route{number}={}\nroute{number}_options=src={}{scope}",
            route.destination, route.source
        );
    }
}
