//! What the machine is: firmware, kernel, settings, processes, and which kinds of links the kernel makes. Reads, and
//! tries in a namespace that is thrown away; changes nothing that stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoBridge, InfoData, InfoKind, InfoVxlan};
use nix::errno::Errno;

use crate::model::address::VlanId;
use crate::model::network::{IpvlanFlag, IpvlanMode, MacvlanMode};
use crate::plan::machine::{Machine, Support};
use crate::plan::spec::ShimKind;
use crate::world::WorldError;
use crate::world::host::error::broken;
use crate::world::host::fuse::Fuse;
use crate::world::host::nftables::{self, Masquerade};
use crate::world::host::socket::{NetlinkError, Socket};
use crate::world::host::table;
use crate::world::host::{Host, filter, message, settings};
use crate::world::netns::Namespace;

/// The processes of which the doctor's rules speak, as the kernel keeps their names.
const MANAGERS: &[&str] = &[
    "NetworkManager",
    "systemd-network",
    "firewalld",
    "dhcpcd",
    "connmand",
    "avahi-daemon",
];

/// Settings of the host's namespace that the rules read.
const SETTINGS: &[&str] = &[
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/conf/all/arp_ignore",
    "net/ipv6/conf/all/forwarding",
    "net/ipv6/conf/all/disable_ipv6",
    "net/bridge/bridge-nf-call-iptables",
];

/// Settings of each link that the rules read.
const OF_LINKS: &[&str] = &["rp_filter", "arp_ignore"];

impl Host {
    /// Looks at the machine, and at the settings of this namespace of it; asks the kernel for the ways to `targets`.
    pub async fn machine(&self, targets: &[IpAddr]) -> Result<Machine, WorldError> {
        let act = "cannot look at this machine";
        let sysctls = self
            .namespace
            .enter(|| Ok(settings()))
            .await
            .map_err(|error| broken(act, &error))?;
        let firmware = |file: &str| {
            let text = text(&Path::new("/sys/class/dmi/id").join(file))?;
            (!text.is_empty()).then_some(text)
        };
        let root = Path::new("/");
        Ok(Machine {
            kernel: text(Path::new("/proc/sys/kernel/osrelease")).unwrap_or_default(),
            vendor: firmware("sys_vendor"),
            product: firmware("product_name"),
            asset_tag: firmware("chassis_asset_tag"),
            kinds: kinds().await.unwrap_or_default(),
            sysctls,
            processes: processes(Path::new("/proc")),
            ufw_enabled: text(Path::new("/etc/ufw/ufw.conf"))
                .is_some_and(|text| text.lines().any(|line| line.trim() == "ENABLED=yes")),
            unmanaged: settings::unmanaged(root),
            network_files: settings::network_files(root),
            keeps_foreign_routes: settings::keeps_foreign_routes(root),
            zones: settings::zones(root),
            filters: filter::chains(&self.namespace)
                .await
                .map_err(|error| broken("cannot read the packet filter", &error))?,
            rules: self.rules().await?,
            neighbours: self.neighbours().await?,
            ways: self.ways(targets).await?,
            offers: BTreeMap::new(),
            agent_installed: settings::has_unit(root),
        })
    }
}

fn text(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

fn settings() -> BTreeMap<String, String> {
    let read = |path: &str| {
        let value = fs::read_to_string(Path::new("/proc/sys").join(path)).ok()?;
        Some((path.replace('/', "."), value.trim().to_owned()))
    };
    let mut found: BTreeMap<String, String> =
        SETTINGS.iter().filter_map(|path| read(path)).collect();
    for entry in fs::read_dir("/proc/sys/net/ipv4/conf")
        .into_iter()
        .flatten()
        .flatten()
    {
        let Ok(link) = entry.file_name().into_string() else {
            continue;
        };
        for key in OF_LINKS {
            if let Some(value) = text(&entry.path().join(key)) {
                let link = link.replace('.', "/");
                found.insert(format!("net.ipv4.conf.{link}.{key}"), value);
            }
        }
    }
    found
}

/// Which of the managers run, by the kernel's names for their processes.
fn processes(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_process = entry
            .file_name()
            .to_string_lossy()
            .bytes()
            .all(|byte| byte.is_ascii_digit());
        if !is_process {
            continue;
        }
        if let Ok(name) = fs::read_to_string(entry.path().join("comm")) {
            if MANAGERS.contains(&name.trim()) {
                found.insert(name.trim().to_owned());
            }
        }
    }
    found
}

/// Tries each kind in a namespace of its own, which takes what was made with it when it goes.
pub async fn kinds() -> io::Result<BTreeMap<String, Support>> {
    let namespace = tokio::task::spawn_blocking(Namespace::fresh)
        .await
        .map_err(io::Error::other)??;
    let socket = Socket::open(&namespace, Fuse::default()).await?;
    let mut kinds = BTreeMap::new();
    for (word, kind) in [
        ("bridge", InfoKind::Bridge),
        ("dummy", InfoKind::Dummy),
        ("veth", InfoKind::Veth),
    ] {
        let message = message::make(&format!("try-{word}"), kind, None);
        let result = make(&socket, message).await;
        kinds.extend(supported(result).map(|support| (word.to_owned(), support)));
    }
    // Something to sit on: the pair that was just made.
    let links = table::links(&socket).unwrap_or_default();
    let Some(base) = links
        .iter()
        .find(|link| link.name == "try-veth")
        .map(|link| link.index)
    else {
        return Ok(kinds);
    };
    let children = [
        ("macvlan", ShimKind::Macvlan(MacvlanMode::Bridge)),
        (
            "ipvlan",
            ShimKind::Ipvlan(IpvlanMode::L2, IpvlanFlag::Bridge),
        ),
    ];
    for (word, kind) in children {
        let result = make(
            &socket,
            message::make_child(&format!("try-{word}"), base, kind, None),
        )
        .await;
        kinds.extend(supported(result).map(|support| (word.to_owned(), support)));
        // A parent takes only one kind, so it is let go before the next is tried.
        let links = table::links(&socket).unwrap_or_default();
        if let Some(child) = links.iter().find(|link| link.name == format!("try-{word}")) {
            let gone = RouteNetlinkMessage::DelLink(message::link(child.index));
            socket
                .act(gone, 0)
                .await
                .map_err(|error| io::Error::from(error.errno))?;
        }
    }
    if let Ok(id) = VlanId::try_from(7) {
        let result = make(&socket, message::make_vlan("try-vlan", base, id)).await;
        kinds.extend(supported(result).map(|support| ("vlan".to_owned(), support)));
    }
    let identity = InfoData::Vxlan(vec![InfoVxlan::Id(7)]);
    let message = message::make("try-vxlan", InfoKind::Vxlan, Some(identity));
    let result = make(&socket, message).await;
    kinds.extend(supported(result).map(|support| ("vxlan".to_owned(), support)));
    let nothing = Masquerade {
        source: None,
        except: None,
    };
    let batch = nftables::masquerade("try", nothing);
    let result = namespace.enter(move || Ok(nftables::send(&batch))).await?;
    let result = supported(result.map_err(NetlinkError::from));
    kinds.extend(result.map(|support| ("nf_tables".to_owned(), support)));
    Ok(kinds)
}

/// Whether the kernel has switches that know VLANs (`CONFIG_BRIDGE_VLAN_FILTERING`); none is not known.
pub async fn filters_vlans() -> io::Result<Option<Support>> {
    let namespace = tokio::task::spawn_blocking(Namespace::fresh)
        .await
        .map_err(io::Error::other)??;
    let socket = Socket::open(&namespace, Fuse::default()).await?;
    let filter = InfoData::Bridge(vec![InfoBridge::VlanFiltering(true)]);
    let message = message::make("try-filter", InfoKind::Bridge, Some(filter));
    Ok(supported(make(&socket, message).await))
}

/// A refusal for want of rights says nothing about the kernel.
fn supported(result: Result<(), NetlinkError>) -> Option<Support> {
    match result {
        Ok(()) => Some(Support::Yes),
        Err(error) if matches!(error.errno, Errno::EPERM | Errno::EACCES) => None,
        Err(error) => Some(Support::No(error.errno.desc().to_owned())),
    }
}

async fn make(
    socket: &Socket,
    message: netlink_packet_route::link::LinkMessage,
) -> Result<(), NetlinkError> {
    socket
        .act(
            RouteNetlinkMessage::NewLink(message),
            NLM_F_CREATE | NLM_F_EXCL,
        )
        .await
}

#[cfg(test)]
mod tests {
    use super::{kinds, processes};
    use crate::plan::machine::Support;
    use std::fs;

    #[test]
    fn managers_are_known_by_their_processes() {
        let folder = tempfile::tempdir().unwrap();
        for (pid, name) in [
            ("1", "systemd\n"),
            ("20", "NetworkManager\n"),
            ("x", "firewalld\n"),
        ] {
            fs::create_dir(folder.path().join(pid)).unwrap();
            fs::write(folder.path().join(pid).join("comm"), name).unwrap();
        }
        assert_eq!(
            processes(folder.path()).into_iter().collect::<Vec<_>>(),
            ["NetworkManager"]
        );
    }

    #[tokio::test]
    async fn the_kernel_is_asked_by_trying() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: not root");
            return;
        }
        let kinds = kinds().await.unwrap();
        assert_eq!(kinds.get("veth"), Some(&Support::Yes));
        assert!(kinds.contains_key("ipvlan") && kinds.contains_key("vlan"));
    }
}
