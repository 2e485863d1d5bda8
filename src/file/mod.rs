//! The reader: stack files (a superset of the Compose Specification) to the model, or to diagnostics that point at the
//! text. Nothing here asks an engine or changes anything; files and environment come in through the request.
//!
//! The stages, in Compose's order: [`yaml`] (text to trees), [`interpolate`], [`include`], [`extends`], [`merge`],
//! [`shape`] (canonical form), [`defaults`], [`paths`], [`normal`], [`active`] (profiles and selection),
//! [`consistency`], [`resolve`] (env files), [`refused`] (what engines would not take), [`bind`] (the model), [`cross`] (static network
//! analysis). The tables in [`grammar`] say what each key may hold. [`read()`] is the only door.

pub mod active;
pub mod bind;
pub mod config;
pub mod consistency;
pub mod cross;
pub mod decode;
pub mod defaults;
pub mod discover;
pub mod document;
pub mod environment;
pub mod extends;
pub mod files;
pub mod follow;
pub mod grammar;
pub mod include;
pub mod interpolate;
pub mod load;
pub mod merge;
pub mod normal;
pub mod notes;
pub mod number;
pub mod paths;
pub mod project;
pub mod reference;
pub mod refused;
pub mod remote;
pub mod render;
pub mod request;
pub mod resolve;
pub mod scalar;
pub mod schema;
pub mod shape;
pub mod short;
pub mod template;
pub mod tree;
pub mod value;
pub mod written;
pub mod yaml;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::document::Document;
use crate::file::environment::{Assignments, Environment, dotenv};
use crate::file::files::Files;
use crate::file::interpolate::{Interpolations, Variable};
use crate::file::load::{Input, Loader};
use crate::file::request::{Check, EnvFiles, Form, Request, Resources, Text};
use crate::file::shape::Variables;
use crate::file::tree::Node;
use crate::model::stack::Stack;
use crate::source::{SourceId, Sources};

/// What came of a request.
#[derive(Debug)]
pub struct Reading {
    /// The stack; none where there is an error.
    pub stack: Option<Stack>,
    /// Where there are errors, the stack as far as it was understood: to be held against the machine, never to be made.
    pub attempt: Option<Stack>,
    /// The canonical document; there is one even where there are mistakes, as far as it could be understood.
    pub document: Document,
    pub sources: Sources,
    /// All mistakes and warnings, in the order of the files.
    pub diagnostics: Diagnostics,
    /// The variables that the files use.
    pub variables: BTreeMap<String, Variable>,
    /// The environment that variables were taken from.
    pub environment: Environment,
}

/// Reads stack files.
pub fn read(request: &Request, files: &dyn Files) -> Reading {
    let home = request
        .environment
        .get("HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from);
    let mut loader = Loader {
        files,
        sources: Sources::default(),
        told: Diagnostics::default(),
        interpolations: Interpolations::default(),
        extensions: Vec::new(),
        unextended: HashSet::new(),
        partial: false,
        env_texts: HashMap::new(),
        emptied: None,
        variables: request.variables,
        paths: request.paths,
        here: request.here.clone(),
        project: request.here.clone(),
        parsed: HashMap::new(),
        home,
    };
    let mut environment = Environment::default();
    for (name, value) in &request.environment {
        environment.set(name, value);
    }
    let environment_files = environment_files(&mut loader, request, &mut environment);
    let inputs = inputs(&mut loader, request, &environment);
    let directory = project::project_directory(request, &inputs);
    loader.project = directory.clone();
    if environment_files.is_empty() && directory != request.folder() {
        default_env_file(&mut loader, &directory, &mut environment);
    }
    let project = project::project_name(&mut loader, request, &inputs, &directory, &environment);
    let project = project::no_longer_than_allowed(&mut loader, project);
    environment.set("COMPOSE_PROJECT_NAME", &project);

    let chain = inputs
        .iter()
        .filter_map(|input| input.path.clone())
        .collect();
    let texts: Vec<Input> = inputs
        .iter()
        .map(|input| Input {
            source: input.source,
        })
        .collect();
    let before = loader.told.has_errors();
    let root = loader.model(&texts, &directory, &environment, &chain);
    let empty = root
        .as_ref()
        .and_then(Node::as_mapping)
        .is_none_or(tree::Mapping::is_empty);
    if empty && !before && !loader.told.has_errors() && !inputs.is_empty() {
        let mut diagnostic = Diagnostic::error("empty-file", "empty compose file");
        if let Some(span) = loader.emptied {
            diagnostic = diagnostic.label(span, "this takes all services away");
        } else if let Some(input) = inputs.first() {
            diagnostic = diagnostic.at(start_of(input.source));
        }
        loader
            .told
            .push(diagnostic.hint("a stack file starts with keys such as `services:`"));
    }
    let mut document = Document::new(root, project, directory);
    document.files = inputs
        .iter()
        .filter_map(|input| input.path.clone())
        .collect();
    document.environment_files = environment_files;
    document.variables = request.variables;
    finish(&mut loader, request, &mut document, &environment);
    let mut stack = None;
    if request.consistency == Check::Full
        && request.form == Form::Normal
        && request.variables == Variables::FilledIn
    {
        refused::check(&document.root, &mut loader.told);
        stack = bind::stack(&document, &environment, request.contents, &mut loader.told);
    }
    if let Some(stack) = &stack {
        cross::check(stack, &document, &mut loader.told);
    }
    loader.interpolations.tell_unset(&mut loader.told);
    notes::add(
        &mut loader.told,
        &loader.interpolations,
        &loader.extensions,
        &loader.sources,
    );
    follow::drop_consequences(&mut loader.told, loader.partial);
    loader.told.sort();
    let (stack, attempt) = match loader.told.has_errors() {
        true => (None, stack),
        false => (stack, None),
    };
    Reading {
        stack,
        attempt,
        document,
        sources: loader.sources,
        diagnostics: loader.told,
        variables: loader.interpolations.variables,
        environment,
    }
}

/// The stages that look at the whole document.
fn finish(
    loader: &mut Loader,
    request: &Request,
    document: &mut Document,
    environment: &Environment,
) {
    let root = &mut document.root;
    if request.form == Form::Normal {
        normal::apply(root, &document.project, environment);
    }
    document.profiles = all_profiles(root);
    let mut selection = request.selection.clone();
    // The command line takes the variable's place, as in Compose.
    if selection.profiles.is_empty()
        && let Some(profiles) = either(environment, "STACK_PROFILES", "COMPOSE_PROFILES")
    {
        selection
            .profiles
            .extend(profiles.split(',').map(|profile| profile.trim().to_owned()));
    }
    document.inactive = active::profiles(root, &selection);
    if request.consistency == Check::Full {
        consistency::check(
            root,
            &document.inactive,
            &loader.unextended,
            &mut loader.told,
        );
    }
    active::select(root, &selection, &mut document.inactive, &mut loader.told);
    // Which files are meant is known when variables are filled in; Compose looks at none before.
    if request.env_files == EnvFiles::FoldedIn && request.variables == Variables::FilledIn {
        resolve::apply(loader, root, environment);
    }
    if request.resources == Resources::Used {
        active::drop_unused(root);
    }
}

fn start_of(source: SourceId) -> crate::source::Span {
    crate::source::Span {
        source,
        start: 0,
        end: 0,
    }
}

/// A variable of ours, or Compose's of the same meaning.
fn either<'a>(environment: &'a Environment, ours: &str, theirs: &str) -> Option<&'a str> {
    environment
        .filled(ours)
        .or_else(|| environment.filled(theirs))
}

/// A file of the request that was read.
struct Opened {
    source: SourceId,
    /// None for the standard input.
    path: Option<PathBuf>,
}

/// Reads `--env-file`, `COMPOSE_ENV_FILES` or the default `.env` into the environment, below what is there.
fn environment_files(
    loader: &mut Loader,
    request: &Request,
    environment: &mut Environment,
) -> Vec<PathBuf> {
    let mut named: Vec<PathBuf> = request.environment_files.clone();
    if named.is_empty()
        && let Some(list) = either(environment, "STACK_ENV_FILES", "COMPOSE_ENV_FILES")
    {
        named = list.split(',').map(PathBuf::from).collect();
    }
    if named.is_empty() {
        default_env_file(loader, &request.folder(), environment);
        return Vec::new();
    }
    let mut below = Assignments::default();
    let mut paths = Vec::new();
    for name in named {
        let path = loader.base(&request.here).path(&name.to_string_lossy());
        if !loader.files.is_file(&path) {
            let message = format!("couldn't find env file: {}", path.display());
            loader
                .told
                .push(Diagnostic::error("missing-env-file", message));
            continue;
        }
        if let Some(source) = loader.env_text(&path, None) {
            dotenv::parse(
                &loader.sources,
                source,
                environment,
                &mut below,
                &mut loader.told,
            );
        }
        paths.push(path);
    }
    environment.add_below(below);
    paths
}

fn default_env_file(loader: &mut Loader, folder: &FilePath, environment: &mut Environment) {
    let off = either(
        environment,
        "STACK_DISABLE_ENV_FILE",
        "COMPOSE_DISABLE_ENV_FILE",
    );
    if off.is_some_and(|text| matches!(text.to_ascii_lowercase().as_str(), "1" | "t" | "true")) {
        return;
    }
    let path = folder.join(".env");
    if loader.files.is_file(&path)
        && let Some(source) = loader.env_text(&path, None)
    {
        let mut below = Assignments::default();
        dotenv::parse(
            &loader.sources,
            source,
            environment,
            &mut below,
            &mut loader.told,
        );
        environment.add_below(below);
    }
}

/// The files to read: those of the request, those of `COMPOSE_FILE`, or what is found by name.
fn inputs(loader: &mut Loader, request: &Request, environment: &Environment) -> Vec<Opened> {
    let mut texts = request.files.clone();
    if texts.is_empty()
        && let Some(list) = either(environment, "STACK_FILE", "COMPOSE_FILE")
    {
        let separator = either(
            environment,
            "STACK_PATH_SEPARATOR",
            "COMPOSE_PATH_SEPARATOR",
        )
        .unwrap_or(":");
        texts = list
            .split(separator)
            .map(|path| Text::File(PathBuf::from(path)))
            .collect();
    }
    if texts.is_empty() {
        let found = discover::files(&request.folder(), loader.files);
        for warning in found.warnings {
            loader
                .told
                .push(Diagnostic::warning("several-files", warning));
        }
        if found.files.is_empty() {
            loader.told.push(
                Diagnostic::error("no-file", "no configuration file provided: not found")
                    .hint("make a stack.yaml or compose.yaml here, or name a file with -f"),
            );
        }
        texts = found.files.into_iter().map(Text::File).collect();
    }
    let mut opened = Vec::new();
    for text in texts {
        match text {
            Text::Inline(text) => {
                let source = loader
                    .sources
                    .add("-".to_owned(), None, Arc::from(text), None);
                opened.push(Opened { source, path: None });
            }
            Text::Flag { name, text } => {
                let source = loader.sources.add(name, None, Arc::from(text), None);
                opened.push(Opened { source, path: None });
            }
            Text::File(path) => {
                let is_standard_input = path == FilePath::new("-");
                let path = match is_standard_input {
                    true => PathBuf::from("/dev/stdin"),
                    false => loader.base(&request.here).path(&path.to_string_lossy()),
                };
                match loader.text(&path, None) {
                    Some(source) => opened.push(Opened {
                        source,
                        path: (!is_standard_input).then_some(path),
                    }),
                    None => loader.partial = true,
                }
            }
        }
    }
    opened
}

fn all_profiles(root: &Node) -> Vec<String> {
    let services = root.get("services").and_then(Node::as_mapping);
    let mut all: Vec<String> = services
        .into_iter()
        .flat_map(|services| services.iter())
        .flat_map(|entry| active::profiles_of(&entry.node))
        .map(ToOwned::to_owned)
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}
