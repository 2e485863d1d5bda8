//! A shim in the words of other tools: files that make the same link, addresses, routes and settings at every boot,
//! without stack. Pure: a shim to texts. What cannot be said in a tool's words is said in a comment.

pub mod ifupdown;
pub mod manager;
pub mod networkd;
#[cfg(test)]
mod tests;

use ipnet::IpNet;

use crate::model::name::LinkName;
use crate::plan::spec::{ShimRoute, ShimSpec};

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportFile {
    /// Where it belongs, without the leading slash.
    pub path: String,
    pub text: String,
}

/// The tools there are files for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Networkd,
    NetworkManager,
    Ifupdown,
}

/// A shim and what belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    pub spec: ShimSpec,
    /// Its settings: path below `/proc/sys/net` and value.
    pub settings: Vec<(String, String)>,
}

/// Why there are no files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The kernel takes names that mean something else in these files or in a shell.
    #[error(
        "the name `{0}` cannot be written into such files: only letters, digits, `.`, `_` and `-`, the first no dot or dash"
    )]
    Name(LinkName),
}

/// The files for a tool.
pub fn files(shim: &Exported, tool: Tool) -> Result<Vec<ExportFile>, ExportError> {
    for name in [&shim.spec.name, &shim.spec.parent] {
        if !is_plain(name.as_str()) {
            return Err(ExportError::Name(name.clone()));
        }
    }
    Ok(match tool {
        Tool::Networkd => networkd::files(shim),
        Tool::NetworkManager => manager::files(shim),
        Tool::Ifupdown => ifupdown::files(shim),
    })
}

fn is_plain(name: &str) -> bool {
    !name.starts_with(['.', '-'])
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// The first lines of each file.
fn heading(shim: &Exported) -> String {
    let networks: Vec<&str> = shim
        .spec
        .networks
        .iter()
        .map(String::as_str)
        .filter(|name| is_plain(name))
        .collect();
    format!(
        "# The host's door into {}, as `stack shim export` wrote it. `stack up` makes a door of its own, so in the stack\n\
         # file write `shim: false` before this file is used.\n",
        networks.join(", ")
    )
}

/// Host prefixes of its addresses.
fn addresses(spec: &ShimSpec) -> Vec<IpNet> {
    spec.addresses
        .iter()
        .copied()
        .map(crate::model::address::host_prefix)
        .collect()
}

/// Its routes of one family.
fn routes(spec: &ShimSpec, v4: bool) -> impl Iterator<Item = &ShimRoute> {
    spec.routes
        .iter()
        .filter(move |route| route.source.is_ipv4() == v4)
}

/// Settings that the tool has no words for, for systemd-sysctl: udev has it set those of a link when the link appears.
fn sysctl_file(shim: &Exported, without: &[&str]) -> ExportFile {
    let name = &shim.spec.name;
    let mut text = heading(shim);
    text.push_str(
        "# systemd-sysctl sets them when the link appears (99-systemd.rules of udev does it).\n",
    );
    for (path, value) in &shim.settings {
        let key = path.rsplit('/').next().unwrap_or_default();
        if !without.contains(&key) {
            text.push_str(&format!("net/{path} = {value}\n"));
        }
    }
    ExportFile {
        path: format!("etc/sysctl.d/90-{name}.conf"),
        text,
    }
}
