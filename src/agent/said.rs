//! What the agent has to say: facts, and their sentences.

use std::fmt;
use std::time::Duration;

use crate::model::name::ProjectName;
use crate::plan::diff::keep::Wait;
use crate::plan::spec::ResourceId;
use crate::plan::step::Reason;

/// Who hears it.
pub trait Ear: Sync {
    fn hear(&self, said: &Said);
}

/// Something worth a line.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// None where it is about all projects.
    pub project: Option<ProjectName>,
    pub what: What,
}

/// What it is about.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// It follows events from now on.
    Follows {
        projects: usize,
    },
    /// It was gone or damaged, and is as it should be.
    Restored {
        id: ResourceId,
        why: Reason,
    },
    /// It would be restored (dry run).
    Would {
        id: ResourceId,
        why: Reason,
    },
    /// It could not be restored.
    Failed {
        id: Option<ResourceId>,
        error: String,
        hint: Option<String>,
        /// When it is tried again, where nothing happens before.
        again: Option<Duration>,
    },
    /// Something to know although it was restored.
    Warned(String),
    Waits(Wait),
    /// Another run works on the project.
    Busy,
    /// A run was cut off; it must be taken back or finished first.
    CutOff,
    /// A run has not said what is wanted in the end.
    Unclear,
    /// Something else changes again and again what was restored.
    Contested {
        id: ResourceId,
        pause: Duration,
    },
    /// A running container lost its link when the one below it went.
    Orphaned {
        container: String,
        link: String,
    },
    /// The record cannot be read.
    Unreadable(String),
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(project) = &self.project {
            write!(f, "{project}: ")?;
        }
        match &self.what {
            What::Follows { projects } => write!(f, "follows events; projects in care: {projects}"),
            What::Restored { id, why } => write!(f, "{id} restored: {why}"),
            What::Would { id, why } => write!(f, "{id} would be restored: {why}"),
            What::Failed {
                id: _,
                error,
                hint,
                again,
            } => {
                f.write_str(error)?;
                if let Some(hint) = hint {
                    write!(f, "; {hint}")?;
                }
                match again {
                    Some(again) => write!(f, "; again in {} s", again.as_secs()),
                    None => Ok(()),
                }
            }
            What::Warned(text) => write!(f, "warning: {text}"),
            What::Waits(wait) => write!(f, "{wait}"),
            What::Busy => f.write_str("another run works on it; the agent waits for its end"),
            What::CutOff => f.write_str(
                "a run was cut off: `stack up` or `stack down` goes on from there, the agent waits for that",
            ),
            What::Unclear => f.write_str(
                "the last `up` did not end, so it is not certain what is wanted: run `stack up` or `stack down`",
            ),
            What::Contested { id, pause } => write!(
                f,
                "something else changes {id} again and again; the agent pauses for {} s (see `stack doctor`)",
                pause.as_secs()
            ),
            What::Orphaned { container, link } => write!(
                f,
                "container {container} lost its link when `{link}` went away: restart it"
            ),
            What::Unreadable(error) => f.write_str(error),
        }
    }
}
