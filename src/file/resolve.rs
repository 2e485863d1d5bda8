//! `env_file` and `label_file`: their variables and labels become part of `environment` and `labels` of the service,
//! which beat them. Only for services that are wanted: a file that is missing elsewhere does no harm.

use std::path::Path as FilePath;

use crate::diagnostic::Diagnostic;
use crate::file::environment::{Assignments, Environment, Layered, dotenv, raw};
use crate::file::load::Loader;
use crate::file::normal::{Unset, take_values};
use crate::file::tree::{Node, Value};
use crate::source::{Arrival, Origin, Span};

/// Folds the files of all services of a document in.
pub fn apply(loader: &mut Loader, root: &mut Node, variables: &Environment) {
    let services = root.get_mut("services").and_then(Node::as_mapping_mut);
    for entry in services.into_iter().flat_map(|mapping| mapping.iter_mut()) {
        let span = entry.key_span;
        take_values(entry.node.get_mut("environment"), variables, Unset::Kept);
        environment_files(loader, &mut entry.node, &entry.key, span, variables);
        label_files(loader, &mut entry.node, &entry.key, span);
    }
}

fn own_values(node: Option<&Node>) -> Assignments {
    let mut own = Assignments::default();
    for entry in node
        .and_then(Node::as_mapping)
        .into_iter()
        .flat_map(|mapping| mapping.iter())
    {
        if let Some(value) = entry.node.as_text() {
            own.set(&entry.key, value, None);
        }
    }
    own
}

fn environment_files(
    loader: &mut Loader,
    service: &mut Node,
    name: &str,
    span: Span,
    variables: &Environment,
) {
    let Some(files) = service
        .as_mapping_mut()
        .and_then(|mapping| mapping.remove("env_file"))
    else {
        return;
    };
    let own = own_values(service.get("environment"));
    let mut found = Assignments::default();
    for file in files.as_sequence().unwrap_or(&[]) {
        let Some(path) = file.get("path").and_then(Node::as_text) else {
            continue;
        };
        let place = file.get("path").map_or(file.span, |path| path.span);
        let path = loader.base(&loader.project.clone()).path(path);
        if !loader.files.is_file(&path) {
            if file.get("required").and_then(Node::as_bool) != Some(false) {
                let hint = "make the file, or write {path: …, required: false}";
                let diagnostic = absent(loader, "env file", &path, hint)
                    .at(place)
                    .path(format!("services.{name}.env_file"));
                loader.told.push(diagnostic);
            }
            continue;
        }
        let origin = Some(Origin {
            how: Arrival::EnvironmentFile,
            from: place,
        });
        let Some(source) = loader.env_text(&path, origin) else {
            continue;
        };
        let lookup = Layered {
            first: variables,
            then: &own,
        };
        match file.get("format").and_then(Node::as_text) {
            None | Some("") => {
                dotenv::parse(
                    &loader.sources,
                    source,
                    &lookup,
                    &mut found,
                    &mut loader.told,
                );
            }
            Some("raw") => raw::parse_raw(
                &loader.sources,
                source,
                &lookup,
                &mut found,
                &mut loader.told,
            ),
            Some(other) => {
                let place = file.get("format").map_or(place, |format| format.span);
                loader.told.push(
                    Diagnostic::error(
                        "unknown-value",
                        format!("unsupported env_file format \"{other}\""),
                    )
                    .at(place)
                    .hint(
                        "the only format is `raw`; without one the file is read by Compose's rules",
                    ),
                );
            }
        }
    }
    fold(service, "environment", &found, span);
}

/// Told of a file that is named and is none.
fn absent(loader: &Loader, what: &str, path: &FilePath, hint: &str) -> Diagnostic {
    let code = match what {
        "env file" => "missing-env-file",
        _ => "missing-label-file",
    };
    let error = loader.files.read(path).err();
    match error.map(|error| error.kind()) {
        Some(std::io::ErrorKind::IsADirectory) => {
            Diagnostic::error(code, format!("{what} {} is a folder", path.display()))
                .hint("name a file in it")
        }
        _ => Diagnostic::error(code, format!("{what} {} not found", path.display())).hint(hint),
    }
}

fn label_files(loader: &mut Loader, service: &mut Node, name: &str, span: Span) {
    let Some(files) = service
        .as_mapping_mut()
        .and_then(|mapping| mapping.remove("label_file"))
    else {
        return;
    };
    let mut found = Assignments::default();
    for file in files.as_sequence().unwrap_or(&[]) {
        let Some(text) = file.as_text() else { continue };
        let path = loader.base(&loader.project.clone()).path(text);
        if !loader.files.is_file(&path) {
            let diagnostic = absent(loader, "label file", &path, "make the file")
                .at(file.span)
                .path(format!("services.{name}.label_file"));
            loader.told.push(diagnostic);
            continue;
        }
        let origin = Some(Origin {
            how: Arrival::EnvironmentFile,
            from: file.span,
        });
        let Some(source) = loader.env_text(&path, origin) else {
            continue;
        };
        let before = found.clone();
        dotenv::parse(
            &loader.sources,
            source,
            &before,
            &mut found,
            &mut loader.told,
        );
    }
    fold(service, "labels", &found, span);
}

/// Puts what the files say under what the service says itself.
fn fold(service: &mut Node, key: &str, found: &Assignments, span: Span) {
    if found.iter().next().is_none() {
        return;
    }
    let Some(mapping) = service.as_mapping_mut() else {
        return;
    };
    if !mapping.contains(key) {
        mapping.set(key, Node::mapping(span));
    }
    let Some(into) = mapping.get_mut(key).and_then(Node::as_mapping_mut) else {
        return;
    };
    for (name, variable) in found.iter() {
        let place = variable.from.unwrap_or(span);
        if !into.contains(name) {
            into.insert(
                name.clone(),
                place,
                Node::new(Value::Text(variable.value.clone()), place),
            );
        }
    }
}
