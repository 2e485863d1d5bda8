//! For ifupdown: one stanza whose commands are those that stack's own messages stand for. Its lines go through a
//! shell, so only plain names come here ([`crate::plan::export::files`]).

use std::fmt::Write as _;

use crate::plan::export::{ExportFile, Exported, addresses, heading};
use crate::plan::spec::ShimKind;

/// The file.
pub fn files(shim: &Exported) -> Vec<ExportFile> {
    let spec = &shim.spec;
    let (name, parent) = (&spec.name, &spec.parent);
    let mut text = heading(shim);
    let _ = writeln!(text, "auto {name}\niface {name} inet manual");
    let make = match spec.kind {
        ShimKind::Macvlan(mode) => {
            let mac = spec
                .mac
                .map_or_else(String::new, |mac| format!(" address {mac}"));
            format!(
                "ip link add {name} link {parent}{mac} type macvlan mode {}",
                mode.word()
            )
        }
        ShimKind::Ipvlan(mode, flag) => {
            format!("ip link add {name} link {parent} type ipvlan mode {mode} {flag}")
        }
    };
    let _ = writeln!(text, "    pre-up {make}");
    for (path, value) in &shim.settings {
        let _ = writeln!(text, "    pre-up sysctl -q -w net/{path}={value}");
    }
    let _ = writeln!(text, "    up ip link set {name} up");
    for address in addresses(spec) {
        let duplicate = if address.addr().is_ipv6() {
            " nodad"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "    up ip address add {address} dev {name} noprefixroute{duplicate}"
        );
    }
    for route in &spec.routes {
        let _ = writeln!(
            text,
            "    up ip route add {} dev {name} src {}",
            route.destination, route.source
        );
    }
    let _ = writeln!(text, "    down ip link delete {name}");
    vec![ExportFile {
        path: format!("etc/network/interfaces.d/{name}"),
        text,
    }]
}
