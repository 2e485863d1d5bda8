//! What the reader is asked for. Everything that comes from outside (files, environment, working directory) is in here
//! or behind [`crate::file::files::Files`], so that the same request always gives the same reading.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::file::active::Selection;
use crate::file::load::Paths;
use crate::file::shape::Variables;
use crate::file::short::clean;

/// A text to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// A file; relative to the working directory.
    File(PathBuf),
    /// The text itself, as from the standard input.
    Inline(String),
    /// What a flag of the command line means, as a text over the files; its places are told by the flag's name.
    Flag { name: String, text: String },
}

/// Which resources the document keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resources {
    /// Those that wanted services use.
    Used,
    All,
}

/// Whether the document is brought into its normal form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Normal,
    AsWritten,
}

/// How much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    Full,
    /// Only the shape of values.
    Shape,
}

/// What happens to `env_file` and `label_file`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvFiles {
    FoldedIn,
    Kept,
}

/// Whether the content of configs and secrets must be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// Containers may be made: what is missing is an error.
    Needed,
    /// The stack is only looked at or taken down: what is missing is a warning.
    Dispensable,
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The working directory, absolute.
    pub here: PathBuf,
    /// `-f`, in order; none is what `COMPOSE_FILE` says or what is found by name.
    pub files: Vec<Text>,
    /// `-p`.
    pub project_name: Option<String>,
    /// `--project-directory`.
    pub project_directory: Option<PathBuf>,
    /// `--env-file`, in order.
    pub environment_files: Vec<PathBuf>,
    /// The process's environment.
    pub environment: BTreeMap<String, String>,
    pub selection: Selection,
    pub resources: Resources,
    pub variables: Variables,
    pub paths: Paths,
    pub form: Form,
    pub consistency: Check,
    pub env_files: EnvFiles,
    pub contents: Contents,
}

impl Request {
    /// A request for everything that commands such as `up` need, from a working directory (absolute).
    pub fn new(here: impl Into<PathBuf>) -> Request {
        Request {
            here: here.into(),
            files: Vec::new(),
            project_name: None,
            project_directory: None,
            environment_files: Vec::new(),
            environment: BTreeMap::new(),
            selection: Selection::default(),
            resources: Resources::Used,
            variables: Variables::FilledIn,
            paths: Paths::Absolute,
            form: Form::Normal,
            consistency: Check::Full,
            env_files: EnvFiles::FoldedIn,
            contents: Contents::Needed,
        }
    }

    /// The folder that the command line means: `--project-directory`, else that of the first `-f`, else the working
    /// directory. The default `.env` is looked for there.
    pub fn folder(&self) -> PathBuf {
        let first = self.files.iter().find_map(|text| match text {
            Text::File(path) => Some(path.parent().unwrap_or(path)),
            Text::Inline(_) | Text::Flag { .. } => None,
        });
        let folder = self.project_directory.as_deref().or(first);
        let folder = self.here.join(folder.unwrap_or(Path::new("")));
        PathBuf::from(clean(&folder.to_string_lossy()))
    }

    /// Adds a file (`-f`).
    pub fn file(mut self, path: impl Into<PathBuf>) -> Request {
        self.files.push(Text::File(path.into()));
        self
    }

    /// Adds a text, as from the standard input.
    pub fn text(mut self, text: impl Into<String>) -> Request {
        self.files.push(Text::Inline(text.into()));
        self
    }
}
