//! `include`: other stack files, each read as a project of its own (own folder, own environment below ours), whose
//! resources become part of the including file. What both define, the including file merges over the included one.

use std::path::{Path as FilePath, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::file::environment::{Assignments, Environment, dotenv};
use crate::file::grammar::top::INCLUDE;
use crate::file::grammar::{Kind, ShortForm, Unique};
use crate::file::load::{Input, Loader, TOP};
use crate::file::merge;
use crate::file::normal::{Unset, take_values};
use crate::file::remote;
use crate::file::shape;
use crate::file::tree::{Entry, Mapping, Mark, Node, Path};
use crate::source::{Arrival, Origin, Span};

/// The files that lead to the one being read, from the first to the innermost.
pub type Chain = Vec<PathBuf>;

/// How deep includes may be nested. Each level takes its share of the stack.
const DEEPEST: usize = 128;

const RESOURCES: [&str; 8] = [
    "services", "volumes", "networks", "secrets", "configs", "models", "lans", "x-lans",
];

const LIST: Kind = Kind::List(&Kind::Short(ShortForm::Under("path"), &INCLUDE), Unique::No);

/// Replaces the key `include` of a document by the resources of the files that it names.
pub fn apply(
    loader: &mut Loader,
    document: &mut Node,
    directory: &FilePath,
    environment: &Environment,
    chain: &Chain,
) {
    let Some(node) = document
        .as_mapping_mut()
        .and_then(|mapping| mapping.remove("include"))
    else {
        return;
    };
    if node.is_null() {
        return;
    }
    let root = Path::ROOT;
    let path = root.key("include");
    let Some(list) = shape::canonical(
        node,
        &LIST,
        &path,
        loader.variables,
        &loader.sources,
        &mut loader.told,
    ) else {
        return;
    };
    let mut imported: Option<Node> = None;
    for entry in list.as_sequence().unwrap_or(&[]) {
        let model = one(loader, entry, directory, environment, chain);
        match (&mut imported, model) {
            (Some(before), Some(model)) => join(loader, before, model),
            (None, Some(model)) => imported = Some(model),
            (_, None) => loader.partial |= loader.told.has_errors(),
        }
    }
    let Some(mut imported) = imported else { return };
    if let Some(mapping) = imported.as_mapping_mut() {
        mapping.retain(|entry| RESOURCES.contains(&&*entry.key));
    }
    let own = std::mem::replace(document, Node::mapping(document.span));
    conflicts(loader, &imported, &own);
    *document = merge::merge(
        imported,
        own,
        &TOP,
        &root,
        &loader.sources,
        &mut loader.told,
    );
}

fn texts(node: Option<&Node>) -> Vec<(String, Span)> {
    let items = node.and_then(Node::as_sequence).unwrap_or(&[]);
    items
        .iter()
        .filter_map(|item| Some((item.as_text()?.to_owned(), item.span)))
        .collect()
}

fn one(
    loader: &mut Loader,
    entry: &Node,
    directory: &FilePath,
    environment: &Environment,
    chain: &Chain,
) -> Option<Node> {
    let base = loader.base(directory);
    let paths = texts(entry.get("path"));
    let Some((first, first_span)) = paths.first().cloned() else {
        loader.told.push(
            Diagnostic::error("missing-key", "include: missing property 'path'")
                .at(entry.span)
                .hint("say which file is included: path: other.yaml"),
        );
        return None;
    };
    let refusals: Vec<Diagnostic> = paths
        .iter()
        .filter_map(|(path, span)| remote::refusal(path, *span))
        .collect();
    if !refusals.is_empty() {
        refusals.into_iter().for_each(|one| loader.told.push(one));
        return None;
    }
    let first_path = base.path(&first);
    if !chain.contains(&first_path) && chain.len() >= DEEPEST {
        let message = format!("files are included more than {DEEPEST} deep");
        loader
            .told
            .push(Diagnostic::error("include-too-deep", message).at(first_span));
        return None;
    }
    if chain.contains(&first_path) {
        let mut names: Vec<String> = chain.iter().map(|path| loader.shown(path)).collect();
        names.push(loader.shown(&first_path));
        loader.told.push(
            Diagnostic::error(
                "include-cycle",
                format!("include cycle detected: {}", names.join(" -> ")),
            )
            .label(first_span, "this closes the cycle")
            .hint("remove one of these includes"),
        );
        return None;
    }
    let project = match entry.get("project_directory").and_then(Node::as_text) {
        Some(folder) => base.path(folder),
        None => first_path
            .parent()
            .map_or_else(|| directory.to_owned(), FilePath::to_owned),
    };
    let mut environment = environment.clone();
    let mut below = Assignments::default();
    let given = texts(entry.get("env_file"));
    if given.is_empty() {
        let default = project.join(".env");
        if loader.files.is_file(&default) {
            env_file(loader, &default, None, &environment, &mut below);
        }
    }
    for (file, span) in given {
        env_file(
            loader,
            &base.path(&file),
            Some(span),
            &environment,
            &mut below,
        );
    }
    environment.add_below(below);
    let mut inputs = Vec::new();
    for (path, span) in paths {
        let origin = Some(Origin {
            how: Arrival::Included,
            from: span,
        });
        let source = loader.text(&base.path(&path), origin)?;
        inputs.push(Input { source });
    }
    let mut chain = chain.clone();
    chain.push(first_path);
    let mut model = loader.model(&inputs, &project, &environment, &chain)?;
    let services = model.get_mut("services").and_then(Node::as_mapping_mut);
    for service in services
        .into_iter()
        .flat_map(|services| services.iter_mut())
    {
        let values = service.node.get_mut("environment");
        take_values(values, &environment, Unset::Kept);
    }
    Some(model)
}

fn env_file(
    loader: &mut Loader,
    path: &FilePath,
    from: Option<Span>,
    environment: &Environment,
    into: &mut Assignments,
) {
    let origin = from.map(|from| Origin {
        how: Arrival::EnvironmentFile,
        from,
    });
    if let Some(source) = loader.env_text(path, origin) {
        dotenv::parse(&loader.sources, source, environment, into, &mut loader.told);
    }
}

/// Tells what a file defines otherwise than what it includes: that is for a file after it (`-f`) to do.
fn conflicts(loader: &mut Loader, imported: &Node, own: &Node) {
    for key in RESOURCES {
        let Some(there) = imported.get(key).and_then(Node::as_mapping) else {
            continue;
        };
        let entries = own.get(key).and_then(Node::as_mapping);
        for entry in entries.into_iter().flat_map(|mapping| mapping.iter()) {
            let Some(first) = there.entry(&entry.key) else {
                continue;
            };
            let nothing = |node: &Node| {
                node.is_null()
                    || node
                        .as_mapping()
                        .is_some_and(|mapping| mapping.iter().next().is_none())
            };
            let alike =
                first.node.same(&entry.node) || nothing(&first.node) && nothing(&entry.node);
            if alike || entry.node.mark != Mark::None {
                continue;
            }
            let words = [
                "defined here…",
                "…and in an included file",
                "change it in a file of its own that comes after: -f FILE -f CHANGES; or rename one of them",
            ];
            loader.told.push(conflict(key, entry, first, words));
        }
    }
}

/// That a resource is defined twice: what to say at the one place, at the other, and what to do.
fn conflict(key: &str, entry: &Entry, first: &Entry, [here, there, hint]: [&str; 3]) -> Diagnostic {
    let message = format!("{key}.{} conflicts with imported resource", entry.key);
    Diagnostic::error("include-conflict", message)
        .label(entry.key_span, here)
        .also(first.key_span, there)
        .hint(hint)
}

/// Joins the resources of two included models. The same resource may come twice, as when two files include a third.
fn join(loader: &mut Loader, into: &mut Node, from: Node) {
    for key in RESOURCES {
        let Some(more) = from.get(key).and_then(Node::as_mapping) else {
            continue;
        };
        if into.get(key).is_none()
            && let Some(mapping) = into.as_mapping_mut()
        {
            mapping.set(key, Node::mapping(from.span));
        }
        let Some(there) = into.get_mut(key).and_then(Node::as_mapping_mut) else {
            continue;
        };
        let there: &mut Mapping = there;
        for entry in more.iter() {
            match there.entry(&entry.key) {
                Some(first) if !first.node.same(&entry.node) => {
                    let words = [
                        "included here…",
                        "…and with another definition here",
                        "rename one of them",
                    ];
                    loader.told.push(conflict(key, entry, first, words));
                }
                Some(_) => {}
                None => {
                    there.insert(entry.key.clone(), entry.key_span, entry.node.clone());
                }
            }
        }
    }
}
