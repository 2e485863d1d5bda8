//! Kernel settings of links. `/proc/sys/net` shows the namespace of the thread that looks, so every read and write
//! goes through a thread inside.

use std::io;
use std::path::PathBuf;

use crate::model::name::LinkName;
use crate::world::netns::Namespace;

/// One setting: its path below `/proc/sys/net`, and the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub path: String,
    pub value: String,
}

impl Setting {
    /// A setting of a link: `ipv4/conf/LINK/KEY`.
    pub fn of_link(family: &str, link: &LinkName, key: &str, value: &str) -> Setting {
        Setting {
            path: format!("{family}/conf/{link}/{key}"),
            value: value.to_owned(),
        }
    }
}

/// Reads settings; none for what this kernel does not have.
pub async fn read(namespace: &Namespace, paths: Vec<String>) -> io::Result<Vec<Option<String>>> {
    namespace
        .enter(move || {
            paths
                .iter()
                .map(|path| match std::fs::read_to_string(file(path)) {
                    Ok(text) => Ok(Some(text.trim_end().to_owned())),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(error),
                })
                .collect()
        })
        .await
}

/// Writes settings that differ. What the kernel does not have (IPv6 switched off) is left out.
pub async fn write(namespace: &Namespace, settings: Vec<Setting>) -> io::Result<()> {
    namespace
        .enter(move || {
            for setting in &settings {
                let file = file(&setting.path);
                match std::fs::read_to_string(&file) {
                    Ok(now) if now.trim_end() == setting.value => continue,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Ok(_) | Err(_) => {}
                }
                std::fs::write(&file, &setting.value).map_err(|error| {
                    io::Error::new(error.kind(), format!("{}: {error}", file.display()))
                })?;
            }
            Ok(())
        })
        .await
}

fn file(path: &str) -> PathBuf {
    PathBuf::from("/proc/sys/net").join(path)
}
