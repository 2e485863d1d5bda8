//! What the settings of other programs say about links: NetworkManager's, systemd-networkd's, firewalld's. Files are
//! looked for below a root, so that the readers can be tested with a folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::plan::machine::NetworkFile;

/// Where units and their settings are looked for; a file hides those of its name in later folders.
const FOLDERS: [&str; 4] = ["etc", "run", "usr/local/lib", "usr/lib"];

/// The lines of a settings file with the section that each is in: `(section, key, value)`.
fn lines(text: &str) -> Vec<(&str, &str, &str)> {
    let mut section = "";
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            section = name;
        } else if !line.starts_with(['#', ';'])
            && let Some((key, value)) = line.split_once('=')
        {
            found.push((section, key.trim_end().trim_end_matches('+'), value.trim()));
        }
    }
    found
}

fn is_no(value: &str) -> bool {
    matches!(
        value.to_ascii_lowercase().as_str(),
        "no" | "false" | "0" | "off"
    )
}

/// The files with this ending in the folders of one name, in the order of their names.
fn files(root: &Path, folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    for base in FOLDERS {
        for entry in fs::read_dir(root.join(base).join(folder))
            .into_iter()
            .flatten()
            .flatten()
        {
            if let Ok(name) = entry.file_name().into_string()
                && name.ends_with(ending)
            {
                found.entry(name).or_insert_with(|| entry.path());
            }
        }
    }
    found.into_values().collect()
}

/// The links that NetworkManager leaves alone, as its settings write them: `unmanaged-devices`, and the devices of
/// sections with `managed=0`.
pub fn unmanaged(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let parts = files(root, "NetworkManager/conf.d", ".conf");
    for path in parts
        .into_iter()
        .chain([root.join("etc/NetworkManager/NetworkManager.conf")])
    {
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines = lines(&text);
        for (section, key, value) in &lines {
            let devices = match *key {
                "unmanaged-devices" => Some(*value),
                "managed" if section.starts_with("device") && is_no(value) => lines
                    .iter()
                    .find(|(other, key, _)| other == section && *key == "match-device")
                    .map(|(_, _, devices)| *devices),
                _ => None,
            };
            let devices = devices.into_iter().flat_map(|list| list.split([';', ',']));
            found.extend(
                devices
                    .map(|device| device.trim().to_owned())
                    .filter(|device| !device.is_empty()),
            );
        }
    }
    found
}

/// systemd-networkd's files for links, in the order in which it asks them.
pub fn network_files(root: &Path) -> Vec<NetworkFile> {
    let mut found = Vec::new();
    for path in files(root, "systemd/network", ".network") {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let mut file = NetworkFile {
            path: path.display().to_string(),
            names: Vec::new(),
            kinds: Vec::new(),
            types: Vec::new(),
            narrower: false,
            unmanaged: false,
            dhcp: false,
        };
        for (section, key, value) in lines(&text) {
            let words = || value.split_whitespace().map(str::to_owned);
            match (section, key) {
                ("Match", "Name") => file.names.extend(words()),
                ("Match", "Kind") => file.kinds.extend(words()),
                ("Match", "Type") => file.types.extend(words()),
                ("Match", _) => file.narrower = true,
                ("Link", "Unmanaged") => file.unmanaged = !is_no(value),
                ("Network", "DHCP") => file.dhcp = !is_no(value),
                _ => {}
            }
        }
        found.push(file);
    }
    found
}

/// Whether networkd is told to leave routes alone that it did not make. The last word counts.
pub fn keeps_foreign_routes(root: &Path) -> bool {
    let main = root.join("etc/systemd/networkd.conf");
    let parts = files(root, "systemd/networkd.conf.d", ".conf");
    let mut keeps = false;
    for path in [main].into_iter().chain(parts) {
        let text = fs::read_to_string(path).unwrap_or_default();
        for (section, key, value) in lines(&text) {
            if (section, key) == ("Network", "ManageForeignRoutes") {
                keeps = is_no(value);
            }
        }
    }
    keeps
}

/// The links that firewalld's own files have in a zone.
pub fn zones(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for path in files(root, "firewalld/zones", ".xml") {
        let Some(zone) = path.file_stem().and_then(|stem| stem.to_str()) else {
            continue;
        };
        let text = fs::read_to_string(&path).unwrap_or_default();
        for part in text.split("<interface ").skip(1) {
            let tag = part.split('>').next().unwrap_or_default();
            let name = tag
                .split_once("name=")
                .map(|(_, value)| value.trim_start_matches(['"', '\'']))
                .and_then(|value| value.split(['"', '\'']).next());
            if let Some(name) = name {
                found.insert(name.to_owned(), zone.to_owned());
            }
        }
    }
    found
}

/// Whether a unit of ours is installed.
pub fn has_unit(root: &Path) -> bool {
    files(root, "systemd/system", ".service")
        .iter()
        .any(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with("stack"))
        })
}

#[cfg(test)]
mod tests {
    use super::{has_unit, keeps_foreign_routes, network_files, unmanaged, zones};
    use std::fs;
    use std::path::Path;

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_settings_of_others_are_read_where_they_keep_them() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert!(unmanaged(root).is_empty() && network_files(root).is_empty());
        assert!(!keeps_foreign_routes(root) && zones(root).is_empty() && !has_unit(root));
        put(
            root,
            "etc/NetworkManager/conf.d/a.conf",
            "[keyfile]\nunmanaged-devices+=interface-name:shim-*; type:macvlan\n",
        );
        put(
            root,
            "usr/lib/NetworkManager/conf.d/b.conf",
            "[device-lab]\nmatch-device=interface-name:lab*\nmanaged=0\n#managed=1\n",
        );
        assert_eq!(
            unmanaged(root),
            [
                "interface-name:shim-*",
                "type:macvlan",
                "interface-name:lab*"
            ]
        );
        put(
            root,
            "usr/lib/systemd/network/80-all.network",
            "[Match]\nName=*\n[Network]\nDHCP=yes\n",
        );
        put(
            root,
            "etc/systemd/network/05-stack.network",
            "[Match]\nName=shim-* lab*\n[Link]\nUnmanaged=yes\n",
        );
        put(
            root,
            "etc/systemd/network/70-card.network",
            "[Match]\nMACAddress=02:00:00:00:00:01\n[Network]\nDHCP=ipv4\n",
        );
        let files = network_files(root);
        let names: Vec<(bool, bool, bool)> = files
            .iter()
            .map(|file| (file.unmanaged, file.dhcp, file.narrower))
            .collect();
        assert_eq!(
            names,
            [
                (true, false, false),
                (false, true, true),
                (false, true, false)
            ]
        );
        put(
            root,
            "etc/systemd/networkd.conf",
            "[Network]\nManageForeignRoutes=yes\n",
        );
        put(
            root,
            "etc/systemd/networkd.conf.d/9.conf",
            "[Network]\nManageForeignRoutes=no\n",
        );
        assert!(keeps_foreign_routes(root));
        put(
            root,
            "etc/firewalld/zones/trusted.xml",
            "<zone>\n  <interface name=\"shim-lan\"/>\n</zone>\n",
        );
        assert_eq!(
            zones(root).get("shim-lan").map(String::as_str),
            Some("trusted")
        );
        put(root, "etc/systemd/system/stack-agent.service", "");
        assert!(has_unit(root));
    }
}
