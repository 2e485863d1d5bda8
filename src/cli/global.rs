//! The flags before the command: which files, which project, which engine, and how to talk.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::cli::exit::Failure;
use crate::cli::settings::Settings;
use crate::world::private::EngineName;

#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Stack or Compose file; `-` is standard input (repeatable, later ones are merged over earlier ones)
    #[arg(
        short,
        long = "file",
        value_name = "FILE",
        help_heading = "Which stack"
    )]
    pub files: Vec<PathBuf>,
    /// Project name
    #[arg(short, long, value_name = "NAME", help_heading = "Which stack")]
    pub project_name: Option<String>,
    /// Profile to make active; `*` is all (repeatable)
    #[arg(long = "profile", value_name = "NAME", help_heading = "Which stack")]
    pub profiles: Vec<String>,
    /// File of variables, instead of `.env` (repeatable)
    #[arg(long = "env-file", value_name = "FILE", help_heading = "Which stack")]
    pub env_files: Vec<PathBuf>,
    /// Folder that relative paths start from (default: that of the first file)
    #[arg(
        long,
        value_name = "FOLDER",
        alias = "workdir",
        help_heading = "Which stack"
    )]
    pub project_directory: Option<PathBuf>,
    /// Keep networks and volumes that no service uses
    #[arg(long, help_heading = "Which stack")]
    pub all_resources: bool,
    /// Names as Compose v1 made them (`_` instead of `-`)
    #[arg(long, help_heading = "Which stack")]
    pub compatibility: bool,

    /// Where the engine is: unix://, tcp:// or ssh:// (default: DOCKER_HOST)
    #[arg(short = 'H', long, value_name = "URL", conflicts_with_all = ["context", "engine"], help_heading = "Which engine")]
    pub host: Option<String>,
    /// Context of the docker client
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "engine",
        help_heading = "Which engine"
    )]
    pub context: Option<String>,
    /// Private engine, started by `stack engine start NAME`
    #[arg(long, value_name = "NAME", help_heading = "Which engine")]
    pub engine: Option<EngineName>,

    /// How progress is shown: auto, tty, plain, json or quiet
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        hide_possible_values = true,
        help_heading = "How to talk"
    )]
    pub progress: Option<ProgressMode>,
    /// When to use colours and move the cursor: never, always or auto
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        hide_possible_values = true,
        help_heading = "How to talk"
    )]
    pub ansi: Option<When>,
    #[arg(long, hide = true, conflicts_with = "ansi")]
    pub no_ansi: bool,
    /// Tell what would be done, on a copy of the world in memory, and do nothing
    #[arg(long, global = true, help_heading = "How to talk")]
    pub dry_run: bool,
    /// How many steps may run at the same time; -1 is no limit
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "How to talk"
    )]
    pub parallel: Option<i64>,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressMode {
    /// Live on a terminal, else one line an event
    Auto,
    /// Live, redrawn in place
    Tty,
    /// One line an event
    Plain,
    /// One JSON object an event
    Json,
    /// Nothing but errors
    #[value(alias = "none")]
    Quiet,
}

/// When something is done to a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    Never,
    Always,
    Auto,
}

impl Global {
    /// The folder of the stack as far as the flags tell: `--project-directory`, else that of the first `-f`, else here.
    pub fn folder(&self, here: &Path) -> PathBuf {
        let first = self.files.iter().find(|file| *file != Path::new("-"));
        let folder = self
            .project_directory
            .as_deref()
            .or_else(|| first.and_then(|file| file.parent()));
        here.join(folder.unwrap_or(Path::new("")))
    }

    /// Adds what the environment says where no flag does. Files, profiles and the project's name are not here: the
    /// reader takes them from the environment and from `.env`.
    pub fn fill(&mut self, settings: &Settings) -> Result<(), Failure> {
        if self.progress.is_none() {
            self.progress = choice(settings, "PROGRESS")?;
        }
        if self.no_ansi {
            self.ansi = Some(When::Never);
        }
        if self.ansi.is_none() {
            self.ansi = choice(settings, "ANSI")?;
        }
        if self.parallel.is_none()
            && let Some(text) = settings.get("PARALLEL_LIMIT")
        {
            let number = text.parse().map_err(|_| {
                Failure::said(format!(
                    "COMPOSE_PARALLEL_LIMIT must be an integer (found: `{text}`)"
                ))
            })?;
            self.parallel = Some(number);
        }
        self.compatibility |= settings.is_on("COMPATIBILITY");
        Ok(())
    }

    /// How many steps may run at once: none is no limit.
    pub fn bound(&self) -> Option<usize> {
        self.parallel
            .and_then(|number| usize::try_from(number).ok())
            .filter(|number| *number > 0)
    }
}

fn choice<T: ValueEnum>(settings: &Settings, name: &str) -> Result<Option<T>, Failure> {
    let Some(text) = settings.get(name) else {
        return Ok(None);
    };
    T::from_str(text, true).map(Some).map_err(|_| {
        let all: Vec<String> = T::value_variants()
            .iter()
            .filter_map(|value| Some(value.to_possible_value()?.get_name().to_owned()))
            .collect();
        Failure::said(format!(
            "COMPOSE_{name} is `{text}`; it must be one of {}",
            all.join(", ")
        ))
    })
}
