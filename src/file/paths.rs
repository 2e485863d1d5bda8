//! Relative paths become absolute: from the project's folder, or from the folder of the file that a service was
//! extended from. Only texts are changed; whether there is anything at a path is not looked at.

use std::path::{Path as FilePath, PathBuf};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::short::clean;
use crate::file::tree::{Node, Value};

/// What paths are resolved against.
#[derive(Debug, Clone)]
pub struct Base {
    pub directory: PathBuf,
    /// What `~` stands for.
    pub home: Option<PathBuf>,
}

impl Base {
    /// A path from this folder, cleaned; absolute ones as they are.
    pub fn join(&self, path: &str) -> String {
        let path = match (path.strip_prefix('~'), &self.home) {
            (Some(rest), Some(home)) => clean(&format!("{}/{rest}", home.display())),
            _ => path.to_owned(),
        };
        if path.starts_with('/') || is_windows(&path) {
            return path;
        }
        clean(&format!("{}/{path}", self.directory.display()))
    }

    /// A path from this folder as a path.
    pub fn path(&self, path: &str) -> PathBuf {
        FilePath::new(&self.join(path)).to_owned()
    }
}

fn is_windows(path: &str) -> bool {
    let mut chars = path.chars();
    let drive = chars.next().is_some_and(|c| c.is_ascii_alphabetic()) && chars.next() == Some(':');
    (drive && matches!(chars.next(), Some('\\' | '/'))) || path.starts_with("\\\\")
}

/// Resolves all paths of a canonical document.
pub fn resolve(root: &mut Node, base: &Base, told: &mut Diagnostics) {
    for service in values(root, "services") {
        resolve_service(service, base, told);
    }
    for kind in ["configs", "secrets"] {
        for resource in values(root, kind) {
            absolute(resource.get_mut("file"), base);
        }
    }
    for volume in values(root, "volumes") {
        // The `local` driver with `o: bind` is a bind mount under another name.
        let is_local = volume.get("driver").and_then(Node::as_text) == Some("local");
        if let Some(options) = volume.get_mut("driver_opts").filter(|_| is_local)
            && options.get("o").and_then(Node::as_text) == Some("bind")
        {
            absolute(options.get_mut("device"), base);
        }
    }
}

/// Resolves the paths of one canonical service.
pub fn resolve_service(service: &mut Node, base: &Base, told: &mut Diagnostics) {
    if let Some(build) = service.get_mut("build") {
        context(build.get_mut("context"), base);
        for node in values(build, "additional_contexts") {
            context(Some(node), base);
        }
    }
    match service.get_mut("env_file") {
        Some(Node {
            value: Value::Sequence(items),
            ..
        }) => {
            items
                .iter_mut()
                .for_each(|item| absolute(item.get_mut("path"), base));
        }
        other => absolute(other, base),
    }
    for item in items(service.get_mut("label_file")) {
        absolute(Some(item), base);
    }
    if let Some(develop) = service.get_mut("develop") {
        for item in items(develop.get_mut("watch")) {
            absolute(item.get_mut("path"), base);
        }
    }
    for volume in items(service.get_mut("volumes")) {
        if volume.get("type").and_then(Node::as_text) != Some("bind") {
            continue;
        }
        if volume.get("source").is_none() {
            told.push(
                Diagnostic::error(
                    "bad-mount",
                    "invalid mount config for type \"bind\": field Source must not be empty",
                )
                .at(volume.span)
                .hint("say which path of the host is mounted: source: ./data"),
            );
        }
        absolute(volume.get_mut("source"), base);
    }
}

fn values<'a>(node: &'a mut Node, key: &str) -> impl Iterator<Item = &'a mut Node> {
    node.get_mut(key)
        .and_then(Node::as_mapping_mut)
        .into_iter()
        .flat_map(|mapping| mapping.iter_mut())
        .map(|entry| &mut entry.node)
}

fn items(node: Option<&mut Node>) -> impl Iterator<Item = &mut Node> {
    node.and_then(Node::as_sequence_mut).into_iter().flatten()
}

fn absolute(node: Option<&mut Node>, base: &Base) {
    if let Some(node) = node
        && let Some(text) = node.as_text().filter(|text| !text.is_empty())
    {
        node.value = Value::Text(base.join(text).into());
    }
}

fn context(node: Option<&mut Node>, base: &Base) {
    let Some(node) = node else { return };
    let Some(text) = node.as_text() else { return };
    let remote = [
        "service:",
        "https://",
        "http://",
        "git://",
        "ssh://",
        "github.com/",
        "git@",
    ];
    if !text.contains("://") && !remote.iter().any(|prefix| text.starts_with(prefix)) {
        absolute(Some(node), base);
    }
}
