//! What the project is called, and the folder that it is read from.

use std::path::{Path as FilePath, PathBuf};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::environment::Environment;
use crate::file::interpolate::Interpolations;
use crate::file::load::Loader;
use crate::file::request::Request;
use crate::file::shape::Variables;
use crate::file::tree::{Mark, Node, Path, Value};
use crate::file::{Opened, discover, either, short};
use crate::model::name::{NameError, ProjectName};

/// The folder that relative paths start from.
pub(super) fn project_directory(request: &Request, inputs: &[Opened]) -> PathBuf {
    if let Some(folder) = &request.project_directory {
        return FilePath::new(&short::clean(&request.here.join(folder).to_string_lossy()))
            .to_owned();
    }
    let first = inputs.iter().find_map(|input| input.path.as_ref());
    first
        .and_then(|path| path.parent())
        .map_or_else(|| request.here.clone(), FilePath::to_owned)
}

/// The name, told and cut where it is too long: what else is wrong is to be found all the same.
pub(super) fn no_longer_than_allowed(loader: &mut Loader, name: String) -> String {
    let Err(error @ NameError::Long { most, .. }) = name.parse::<ProjectName>() else {
        return name;
    };
    loader.told.push(
        Diagnostic::error("bad-project-name", error.to_string())
            .hint("give a shorter one with -p NAME, or `name:` at the top of the file"),
    );
    name.chars().take(most).collect()
}

/// The project's name: `-p`, `COMPOSE_PROJECT_NAME`, the last `name:`, the folder. Empty where it is wrong.
pub(super) fn project_name(
    loader: &mut Loader,
    request: &Request,
    inputs: &[Opened],
    directory: &FilePath,
    environment: &Environment,
) -> String {
    let given = request
        .project_name
        .as_deref()
        .filter(|name| !name.is_empty());
    if let Some(name) =
        given.or_else(|| either(environment, "STACK_PROJECT_NAME", "COMPOSE_PROJECT_NAME"))
    {
        let clean = discover::clean_name(name);
        if clean != name {
            let hint = match clean.as_str() {
                "" => "such as \"lab\" or \"web-1\"".to_owned(),
                clean => format!("\"{clean}\" would do"),
            };
            let diagnostic = Diagnostic::error(
                "bad-project-name",
                format!(
                    "invalid project name \"{name}\": must consist only of lowercase alphanumeric characters, \
                     hyphens, and underscores as well as start with a letter or number"
                ),
            );
            loader.told.push(diagnostic.hint(hint));
            return String::new();
        }
        return name.to_owned();
    }
    let mut written: Option<Node> = None;
    for input in inputs {
        let documents = loader.parse(input.source);
        if let Some(name) = documents
            .iter()
            .filter_map(|document| document.get("name"))
            .rfind(|name| name.mark != Mark::Reset)
        {
            written = Some(name.clone());
        }
        loader.parsed.insert(input.source, documents);
    }
    let mut name = String::new();
    if let Some(mut node) = written.filter(|node| matches!(node.value, Value::Text(_))) {
        let span = node.span;
        if request.variables == Variables::FilledIn {
            // What is wrong with it is told when its file has its turn.
            let mut quiet = Diagnostics::default();
            let mut unseen = Interpolations::default();
            unseen.fill(
                &mut node,
                environment,
                &Path::ROOT,
                &loader.sources,
                &mut quiet,
            );
        }
        let text = node.as_text().unwrap_or_default();
        name = discover::clean_name(text);
        if name.is_empty() && !text.is_empty() {
            loader.told.push(
                Diagnostic::error(
                    "bad-project-name",
                    format!("nothing of `{text}` can be part of a project name"),
                )
                .at(span)
                .hint("use lower-case letters, digits, `-` and `_`"),
            );
            return name;
        }
        if name != text && !name.is_empty() {
            let message =
                format!("the project is called `{name}`, as `{text}` is not a valid project name");
            loader
                .told
                .push(Diagnostic::warning("bad-project-name", message).at(span));
        }
    }
    if name.is_empty() {
        let folder = directory
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        name = discover::clean_name(&folder);
        let real = loader.files.real(directory);
        let real = real
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        if real != folder && !real.is_empty() {
            let message = format!(
                "project has been loaded without an explicit name from a symlink. Using name \"{name}\""
            );
            loader
                .told
                .push(Diagnostic::warning("symlink-name", message));
        }
    }
    if name.is_empty() && !inputs.is_empty() {
        loader.told.push(
            Diagnostic::error("bad-project-name", "project name must not be empty")
                .hint("give one with -p NAME, or `name:` at the top of the file"),
        );
    }
    name
}
