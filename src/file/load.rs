//! One model from one or several files: parse, interpolate, include, extend, merge, canonical form, defaults and
//! absolute paths, in Compose's order. Included files come through here too, each with an environment and a folder of
//! its own.

use std::collections::{HashMap, HashSet};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::file::decode::{Undecoded, decoded};
use crate::file::defaults;
use crate::file::environment::Environment;
use crate::file::extends::{self, Extension};
use crate::file::files::Files;
use crate::file::grammar::Kind;
use crate::file::grammar::top::STACK;
use crate::file::include::{self, Chain};
use crate::file::interpolate::Interpolations;
use crate::file::merge;
use crate::file::paths::{self, Base};
use crate::file::shape::{self, Variables};
use crate::file::tree::{Mark, Node, Path, Value};
use crate::file::yaml;
use crate::source::{Origin, SourceId, Sources, Span};

/// The kind of the whole file.
pub const TOP: Kind = Kind::Object(&STACK);

/// How many texts are read at most, whatever includes whom.
const MOST_TEXTS: usize = 2_000;

/// What is common to all files of one reading.
pub struct Loader<'a> {
    pub files: &'a dyn Files,
    pub sources: Sources,
    pub told: Diagnostics,
    pub interpolations: Interpolations,
    pub extensions: Vec<Extension>,
    /// Services whose base could not be had: what they lack may well be there.
    pub unextended: HashSet<Arc<str>>,
    /// Whether a part of what was asked for could not be read: what is missing may well stand there.
    pub partial: bool,
    /// Env files that were read, so that one that many services name is read, and told of, once.
    pub env_texts: HashMap<PathBuf, SourceId>,
    /// Where a file takes all services away.
    pub emptied: Option<Span>,
    pub variables: Variables,
    pub paths: Paths,
    /// The folder that names of files are shown from.
    pub here: PathBuf,
    /// The project's folder.
    pub project: PathBuf,
    /// Documents that were parsed before their turn, to find the project's name.
    pub parsed: HashMap<SourceId, Vec<Node>>,
    pub home: Option<PathBuf>,
}

/// Whether relative paths are made absolute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paths {
    Absolute,
    AsWritten,
}

/// One text of a model.
#[derive(Debug, Clone, Copy)]
pub struct Input {
    pub source: SourceId,
}

impl Loader<'_> {
    /// Reads a file in. A mistake is told at the place that named it.
    pub fn text(&mut self, path: &FilePath, origin: Option<Origin>) -> Option<SourceId> {
        let at = |diagnostic: Diagnostic| match origin {
            Some(origin) => diagnostic.at(origin.from),
            None => diagnostic,
        };
        if self.sources.iter().count() >= MOST_TEXTS {
            self.told.push(at(Diagnostic::error(
                "too-many-files",
                format!("more than {MOST_TEXTS} files are included or extended"),
            )));
            return None;
        }
        let bytes = match self.files.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let what = match error.kind() {
                    std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
                    std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
                    _ => error.to_string(),
                };
                let name = self.shown(path);
                let mut diagnostic =
                    Diagnostic::error("cannot-read", format!("open {name}: {what}"));
                if error.kind() == std::io::ErrorKind::IsADirectory {
                    diagnostic = diagnostic.hint("name a file in it");
                }
                self.told.push(at(diagnostic));
                return None;
            }
        };
        match decoded(bytes) {
            Ok(text) => {
                let name = self.shown(path);
                Some(
                    self.sources
                        .add(name, Some(path.to_owned()), Arc::from(text), origin),
                )
            }
            Err(Undecoded { text, valid, why }) => {
                let name = self.shown(path);
                let source = self
                    .sources
                    .add(name, Some(path.to_owned()), Arc::from(text), origin);
                let start = valid as u32;
                let place = Span {
                    source,
                    start,
                    end: start + 1,
                };
                self.told.push(why.at(place));
                None
            }
        }
    }

    /// Reads an env file in, once for all that name it.
    pub fn env_text(&mut self, path: &FilePath, origin: Option<Origin>) -> Option<SourceId> {
        if let Some(source) = self.env_texts.get(path) {
            return Some(*source);
        }
        let source = self.text(path, origin)?;
        self.env_texts.insert(path.to_owned(), source);
        Some(source)
    }

    /// The documents of a text as they are written.
    pub fn parse(&mut self, source: SourceId) -> Vec<Node> {
        let mistakes = self.told.count(Severity::Error);
        let documents = yaml::parse(&self.sources, source, &mut self.told);
        self.partial |= documents.is_empty() && self.told.count(Severity::Error) > mistakes;
        documents
    }

    /// A path as people would write it from where they stand.
    pub fn shown(&self, path: &FilePath) -> String {
        match path.strip_prefix(&self.here) {
            Ok(rest) if rest.as_os_str().is_empty() => ".".to_owned(),
            Ok(rest) => rest.display().to_string(),
            Err(_) => path.display().to_string(),
        }
    }

    /// What paths of a folder are resolved against.
    pub fn base(&self, directory: &FilePath) -> Base {
        Base {
            directory: directory.to_owned(),
            home: self.home.clone(),
        }
    }

    /// The documents of a text with their variables filled in. Documents that are no mapping are told and left out.
    pub fn documents(&mut self, source: SourceId, environment: &Environment) -> Vec<Node> {
        let mut documents = match self.parsed.remove(&source) {
            Some(documents) => documents,
            None => self.parse(source),
        };
        documents.retain(|document| match &document.value {
            Value::Mapping(_) => true,
            Value::Null => false,
            Value::Bool(_)
            | Value::Integer(_)
            | Value::Large(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::Sequence(_) => {
                self.told.push(
                    Diagnostic::error("wrong-type", "top-level object must be a mapping")
                        .label(
                            merge::first_line(document.span, &self.sources),
                            format!("this is {}", document.kind()),
                        )
                        .hint("a stack file starts with keys such as `services:`"),
                );
                false
            }
        });
        for document in &mut documents {
            match self.variables {
                Variables::FilledIn => self.interpolations.fill(
                    document,
                    environment,
                    &Path::ROOT,
                    &self.sources,
                    &mut self.told,
                ),
                Variables::AsWritten => self.interpolations.mention(document),
            }
        }
        documents
    }

    /// One canonical model of some texts, whose relative paths start from `directory`.
    pub fn model(
        &mut self,
        inputs: &[Input],
        directory: &FilePath,
        environment: &Environment,
        chain: &Chain,
    ) -> Option<Node> {
        let mut all: Option<Node> = None;
        let last = inputs.len().saturating_sub(1);
        for (index, input) in inputs.iter().enumerate() {
            for mut document in self.documents(input.source, environment) {
                include::apply(self, &mut document, directory, environment, chain);
                extends::apply(self, &mut document, input.source, directory, environment);
                obsolete_version(&mut document, &mut self.told);
                self.emptied = emptied(&document).or(self.emptied);
                let mut merged = match all.take() {
                    Some(before) => merge::merge(
                        before,
                        document,
                        &TOP,
                        &Path::ROOT,
                        &self.sources,
                        &mut self.told,
                    ),
                    None => document,
                };
                merge::settle(&mut merged);
                all = Some(merged);
            }
            // What a later file hides must be right nevertheless.
            if index < last
                && let Some(so_far) = &all
            {
                self.mistakes_so_far(so_far.clone());
            }
        }
        let mut root = shape::canonical(
            all?,
            &TOP,
            &Path::ROOT,
            self.variables,
            &self.sources,
            &mut self.told,
        )?;
        defaults::apply(&mut root);
        if self.paths == Paths::Absolute {
            paths::resolve(&mut root, &self.base(directory), &mut self.told);
        }
        Some(root)
    }
}

/// The mistakes of shape, which no later file can mend.
const SHAPE: [&str; 4] = ["wrong-type", "unknown-key", "missing-key", "bad-name"];

impl Loader<'_> {
    /// Tells the mistakes of shape in files that others come after. What a text says matters only where it stays: as in
    /// Compose, a later file may put another in its place.
    fn mistakes_so_far(&mut self, so_far: Node) {
        let mut told = Diagnostics::default();
        let (variables, sources) = (self.variables, &self.sources);
        shape::canonical(so_far, &TOP, &Path::ROOT, variables, sources, &mut told);
        told.retain(|one| one.severity == Severity::Error && SHAPE.contains(&one.code));
        self.told.append(told);
    }
}

/// Where a document takes all services away with `!reset`.
fn emptied(document: &Node) -> Option<Span> {
    let services = document.as_mapping()?.entry("services")?;
    (services.node.mark == Mark::Reset).then(|| services.key_span.to(services.node.span))
}

fn obsolete_version(document: &mut Node, told: &mut Diagnostics) {
    let Some(mapping) = document.as_mapping_mut() else {
        return;
    };
    let Some(span) = mapping
        .entry("version")
        .map(|entry| entry.key_span.to(entry.node.span))
    else {
        return;
    };
    told.push(
        Diagnostic::warning(
            "obsolete-version",
            "the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion",
        )
        .at(span),
    );
    mapping.remove("version");
}
