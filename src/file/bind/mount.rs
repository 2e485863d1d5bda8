//! What is mounted into a container: volumes, and the files of configs and secrets.

use crate::diagnostic::Diagnostic;
use crate::file::bind::Binder;
use crate::file::bind::field::{items, number, text, yes};
use crate::file::request::Contents;
use crate::file::tree::Node;
use crate::model::container::{InlineFile, Mount, MountSource};

impl Binder<'_> {
    /// The mounts of `volumes:`.
    pub fn mounts(&mut self, key: &str, node: &Node) -> Vec<Mount> {
        let mut mounts = Vec::new();
        for (index, volume) in items(node, "volumes").iter().enumerate() {
            let Some(target) = text(volume, "target") else {
                let index = index.to_string();
                let diagnostic = Diagnostic::error(
                    "missing-key",
                    format!("service \"{key}\": a volume is missing a mount target"),
                )
                .at(volume.span)
                .hint("say where in the container it goes: target: /data");
                self.tell(diagnostic, &["services", key, "volumes", &index]);
                continue;
            };
            if let Some(source) = self.source(volume) {
                mounts.push(Mount {
                    target,
                    read_only: yes(volume, "read_only"),
                    source,
                });
            }
        }
        mounts
    }

    /// The engine's name of a volume of this file.
    fn volume_name(&self, key: &str) -> String {
        let volume = self
            .document
            .root
            .get("volumes")
            .and_then(|volumes| volumes.get(key));
        volume
            .and_then(|volume| text(volume, "name"))
            .unwrap_or_else(|| key.to_owned())
    }

    fn source(&self, node: &Node) -> Option<MountSource> {
        let source = text(node, "source");
        let option = |group: &str, key: &str| node.get(group).and_then(|group| text(group, key));
        Some(match text(node, "type")?.as_str() {
            "bind" => MountSource::Bind {
                path: source?,
                create_host_path: node
                    .get("bind")
                    .is_some_and(|bind| yes(bind, "create_host_path")),
                propagation: option("bind", "propagation"),
                selinux: option("bind", "selinux"),
                recursive: option("bind", "recursive"),
            },
            "volume" => MountSource::Volume {
                name: source.map(|key| self.volume_name(&key)),
                no_copy: node
                    .get("volume")
                    .is_some_and(|volume| yes(volume, "nocopy")),
                subpath: option("volume", "subpath"),
            },
            "tmpfs" => {
                let tmpfs = node.get("tmpfs");
                MountSource::Tmpfs {
                    size: tmpfs
                        .and_then(|tmpfs| number(tmpfs, "size"))
                        .filter(|size| *size > 0),
                    mode: tmpfs
                        .and_then(|tmpfs| tmpfs.get("mode"))
                        .and_then(mode_bits),
                }
            }
            "image" => MountSource::Image {
                reference: source?,
                subpath: option("image", "subpath"),
            },
            "npipe" => MountSource::NamedPipe { path: source? },
            _ => MountSource::Cluster { name: source? },
        })
    }

    /// The files of configs and secrets: those that are files on the host are mounted, others are put in.
    pub fn files(
        &mut self,
        key: &str,
        node: &Node,
        mounts: &mut Vec<Mount>,
        files: &mut Vec<InlineFile>,
    ) {
        for (kind, one, folder) in [
            ("configs", "config", "/"),
            ("secrets", "secret", "/run/secrets/"),
        ] {
            for item in items(node, kind) {
                let Some(source) = text(item, "source") else {
                    continue;
                };
                let Some(resource) = self
                    .document
                    .root
                    .get(kind)
                    .and_then(|all| all.get(&source))
                else {
                    continue;
                };
                let target = match text(item, "target") {
                    Some(target) if target.starts_with('/') => target,
                    Some(target) => format!("{folder}{target}"),
                    None => format!("{folder}{source}"),
                };
                if let Some(path) = text(resource, "file") {
                    let source = MountSource::Bind {
                        path,
                        create_host_path: false,
                        propagation: None,
                        selinux: None,
                        recursive: None,
                    };
                    mounts.push(Mount {
                        target,
                        read_only: true,
                        source,
                    });
                    continue;
                }
                let path = ["services", key, kind];
                let content = match (text(resource, "environment"), text(resource, "content")) {
                    (Some(variable), _) => match self.environment.get(&variable) {
                        Some(content) => content.to_owned(),
                        None => {
                            let message = format!(
                                "{one} `{source}` is the content of the variable {variable}, which is not set"
                            );
                            let place = resource
                                .get("environment")
                                .map_or(item.span, |node| node.span);
                            let diagnostic = self.missing("missing-variable", message).at(place);
                            self.tell(diagnostic.hint(format!("set {variable}")), &path);
                            continue;
                        }
                    },
                    (None, Some(content)) => content,
                    (None, None) if yes(resource, "external") => {
                        let message = format!("unsupported external {one} {source}");
                        let diagnostic = self.missing("external-file", message).at(item.span).hint(
                            format!(
                                "only a swarm has external {kind}; use `file:` or `environment:`"
                            ),
                        );
                        self.tell(diagnostic, &path);
                        continue;
                    }
                    (None, None) => continue,
                };
                let (uid, gid) = (self.id(item, "uid", &path), self.id(item, "gid", &path));
                files.push(InlineFile {
                    target,
                    content,
                    uid,
                    gid,
                    mode: item.get("mode").and_then(mode_bits),
                });
            }
        }
    }

    /// Tells that a content is missing: a mistake where containers may be made of it.
    fn missing(&self, code: &'static str, message: String) -> Diagnostic {
        match self.contents {
            Contents::Needed => Diagnostic::error(code, message),
            Contents::Dispensable => Diagnostic::warning(code, message),
        }
    }

    fn id(&mut self, item: &Node, key: &str, path: &[&str]) -> Option<u32> {
        let node = item.get(key).filter(|node| node.as_text() != Some(""))?;
        let id = node.scalar_text()?.parse().ok();
        if id.is_none() {
            let diagnostic =
                Diagnostic::error("wrong-type", format!("`{key}` must be a number in quotes"));
            self.tell(
                diagnostic
                    .at(node.span)
                    .hint("write an id such as \"1000\""),
                path,
            );
        }
        id
    }
}

fn mode_bits(node: &Node) -> Option<u32> {
    match node.as_integer() {
        Some(bits) => u32::try_from(bits).ok(),
        None => u32::from_str_radix(node.as_text()?, 8).ok(),
    }
}
