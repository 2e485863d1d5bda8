//! Mounts and devices.

use crate::file::refused::words::{PROPAGATIONS, TMPFS_FLAGS, TMPFS_VALUES};
use crate::file::refused::{Judge, instead, is_windows, items, text};
use crate::file::tree::Node;
use crate::file::value;

impl Judge<'_> {
    pub fn storage(&mut self, name: &str, service: &Node) {
        for (index, item) in items(service, "tmpfs").iter().enumerate() {
            let index = index.to_string();
            let path = ["services", name, "tmpfs", &index];
            let written = item.as_text().unwrap_or_default();
            let (folder, options) = written.split_once(':').unwrap_or((written, ""));
            self.mount_point(item, folder, &path);
            for option in options.split(',').filter(|option| !option.is_empty()) {
                self.tmpfs_option(item, option, &path);
            }
        }
        for (index, item) in items(service, "volumes").iter().enumerate() {
            let index = index.to_string();
            let path = ["services", name, "volumes", &index];
            let is_pipe = item.get("type").and_then(Node::as_text) == Some("npipe");
            if let Some((target, folder)) = text(item, "target").filter(|_| !is_pipe) {
                self.mount_point(target, folder, &path);
            }
            if let Some(bind) = item.get("bind")
                && let Some((node, how)) = text(bind, "propagation")
                && !PROPAGATIONS.contains(&how)
            {
                let why = format!("invalid propagation mode: {how}");
                self.refuse(
                    node,
                    &path,
                    "unknown-value",
                    &why,
                    &instead(how, &PROPAGATIONS),
                );
            }
        }
        for (index, item) in items(service, "devices").iter().enumerate() {
            let index = index.to_string();
            let path = ["services", name, "devices", &index];
            if text(item, "source").is_none() {
                let why = "a device needs a path on the host";
                let hint = "write SOURCE[:TARGET[:PERMISSIONS]], such as /dev/ttyUSB0";
                self.refuse(item, &path, "bad-device", why, hint);
            }
            if let Some((node, permissions)) = text(item, "permissions")
                && !permissions.chars().all(|c| "rwm".contains(c))
            {
                let why = format!("`{permissions}` are not permissions for a device");
                let hint = "write letters of `rwm`: read, write, make nodes";
                self.doubt(node, &path, "unknown-value", &why, hint);
            }
        }
    }

    fn mount_point(&mut self, node: &Node, folder: &str, path: &[&str]) {
        if is_windows(folder) {
            return;
        }
        if !folder.starts_with('/') {
            let why = format!("invalid mount path: '{folder}' mount path must be absolute");
            let hint = format!(
                "start it with a slash: /{}",
                folder.trim_start_matches("./")
            );
            self.refuse(node, path, "bad-path", &why, &hint);
        } else if folder.bytes().all(|b| b == b'/') {
            let why = "invalid specification: destination can't be '/'";
            let hint = "mount it on a folder below the root";
            self.refuse(node, path, "bad-path", why, hint);
        }
    }

    fn tmpfs_option(&mut self, node: &Node, option: &str, path: &[&str]) {
        let (word, value) = match option.split_once('=') {
            Some((word, value)) => (word, Some(value)),
            None => (option, None),
        };
        let known = match value {
            Some(_) => TMPFS_VALUES.contains(&word),
            None => TMPFS_FLAGS.contains(&word),
        };
        if known {
            return;
        }
        let all = TMPFS_VALUES.iter().chain(&TMPFS_FLAGS).copied();
        let hint = match value::nearest(word, all) {
            Some(near) if near == word => format!("give it a value: {word}=…"),
            Some(near) => format!("did you mean `{near}`?"),
            None => "write options such as size=64m, mode=1777 or noexec".to_owned(),
        };
        let why = format!("invalid tmpfs option \"{option}\"");
        self.refuse(node, path, "unknown-value", &why, &hint);
    }
}
