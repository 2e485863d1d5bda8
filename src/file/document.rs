//! The canonical document: what all files together say, in long forms, every value with its place.

use std::collections::HashSet;
use std::path::PathBuf;

use crate::file::active::Inactive;
use crate::file::shape::Variables;
use crate::file::tree::Node;
use crate::source::{SourceId, Span};

/// A canonical document.
#[derive(Debug, Clone)]
pub struct Document {
    /// The top-level mapping; empty where nothing could be read.
    pub root: Node,
    /// The project's name; empty where none could be found.
    pub project: String,
    /// The folder that relative paths start from.
    pub directory: PathBuf,
    /// The files of the request, absolute.
    pub files: Vec<PathBuf>,
    /// The files of `--env-file`, absolute.
    pub environment_files: Vec<PathBuf>,
    /// All profiles of all services, sorted.
    pub profiles: Vec<String>,
    /// Services that are not wanted.
    pub inactive: Inactive,
    /// Whether its variables are filled in.
    pub variables: Variables,
}

impl Document {
    /// A document around a tree.
    pub fn new(root: Option<Node>, project: String, directory: PathBuf) -> Document {
        let nowhere = Span {
            source: SourceId::FIRST,
            start: 0,
            end: 0,
        };
        Document {
            root: root.unwrap_or_else(|| Node::mapping(nowhere)),
            project,
            directory,
            files: Vec::new(),
            environment_files: Vec::new(),
            profiles: Vec::new(),
            inactive: Inactive::new(),
            variables: Variables::FilledIn,
        }
    }

    /// The place of the value at a path of keys, such as `["services", "web", "networks", "lan"]`; items of lists are
    /// named by their number. Where the path leads further than the text, the place of the last part that is there.
    pub fn place(&self, path: &[&str]) -> Option<Span> {
        let mut node = &self.root;
        let mut place = None;
        for step in path {
            let next = match (node.as_mapping(), node.as_sequence()) {
                (Some(mapping), _) => match mapping.entry(step) {
                    Some(entry) => Some((&entry.node, entry.key_span)),
                    None => driver_option(node, step).map(|node| (node, node.span)),
                },
                (_, Some(items)) => step
                    .parse()
                    .ok()
                    .and_then(|index: usize| items.get(index))
                    .map(|item| (item, item.span)),
                (None, None) => None,
            };
            let Some((next, key_span)) = next else { break };
            // A scalar is best shown itself, a mapping or list by its key.
            let is_long =
                next.as_mapping().is_some() || next.as_sequence().is_some() || next.is_null();
            place = Some(if is_long { key_span } else { next.span });
            node = next;
        }
        place
    }

    /// A path of keys as diagnostics write it, with the numbers that entries have in the file: a port range is one entry
    /// there, and several here.
    pub fn written(&self, path: &[&str]) -> String {
        if let ["services", service, "ports", index, rest @ ..] = path
            && let Ok(at) = index.parse::<usize>()
            && let Some(ports) = self
                .root
                .get("services")
                .and_then(|services| services.get(service)?.get("ports")?.as_sequence())
        {
            let index = entry_index(ports, at).to_string();
            let mut shown = vec!["services", service, "ports", &index];
            shown.extend(rest);
            return joined(&shown);
        }
        joined(path)
    }

    /// The place of the key at the end of a path of keys.
    pub fn key_place(&self, path: &[&str]) -> Option<Span> {
        let (last, before) = path.split_last()?;
        let node = before
            .iter()
            .try_fold(&self.root, |node, step| node.get(step))?;
        node.as_mapping()?.entry(last).map(|entry| entry.key_span)
    }
}

/// The number of the entry that an item of a list was made of; items of one entry have one place.
fn entry_index(items: &[Node], at: usize) -> usize {
    let before = items.get(..=at).unwrap_or(items);
    let mut seen = HashSet::new();
    let entries = before.iter().filter(|item| seen.insert(item.span)).count();
    entries.saturating_sub(1)
}

/// Where a setting of ours is written as an option of the driver.
fn driver_option<'a>(network: &'a Node, key: &str) -> Option<&'a Node> {
    let options = network.get("driver_opts")?;
    match key {
        "parent" => options.get("parent"),
        "mode" => options
            .get("macvlan_mode")
            .or_else(|| options.get("ipvlan_mode")),
        "flag" => options.get("ipvlan_flag"),
        _ => None,
    }
}

/// A path of keys as diagnostics write it: `services.web.ports[0].target`.
pub fn joined(path: &[&str]) -> String {
    let mut out = String::new();
    for step in path {
        let is_index =
            !out.is_empty() && !step.is_empty() && step.bytes().all(|b| b.is_ascii_digit());
        if is_index {
            out.push_str(&format!("[{step}]"));
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(step);
        }
    }
    out
}
