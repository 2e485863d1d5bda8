//! Facts about a run, as they happen. Renderers and tests listen; nothing here decides or prints anything. An event
//! tells what is so, never how to show it.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::model::name::ProjectName;
use crate::plan::spec::ResourceId;
use crate::plan::step::{Milestone, Reason, Step, StepIndex};

/// Whoever wants to know. It is called from the task that drives the run, in the order of the facts, and must return
/// at once: a listener that blocks holds the run up.
pub trait Listener: Send + Sync {
    /// One more fact.
    fn hear(&self, event: &Event);
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silence;

impl Listener for Silence {
    fn hear(&self, _event: &Event) {}
}

/// Which step an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subject {
    pub step: StepIndex,
    pub id: ResourceId,
    /// What the step does, as in [`Step::verb`]; for an undo what the undo does.
    pub verb: &'static str,
}

impl Subject {
    /// The step at this place of its plan.
    pub fn of(index: StepIndex, step: &Step) -> Subject {
        Subject {
            step: index,
            id: step.id.clone(),
            verb: step.verb(),
        }
    }
}

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    RunStarted {
        project: ProjectName,
        /// All steps of the plan in its order, so that a listener knows what is still to come.
        steps: Vec<Subject>,
    },
    StepStarted {
        #[serde(flatten)]
        subject: Subject,
        reason: Reason,
    },
    StepProgress {
        #[serde(flatten)]
        subject: Subject,
        text: String,
    },
    StepWarning {
        #[serde(flatten)]
        subject: Subject,
        text: String,
    },
    StepDone {
        #[serde(flatten)]
        subject: Subject,
        #[serde(rename = "took_ms", serialize_with = "milliseconds")]
        took: Duration,
    },
    StepFailed {
        #[serde(flatten)]
        subject: Subject,
        error: String,
        hint: Option<String>,
    },
    /// It will not run because another failed.
    StepSkipped {
        #[serde(flatten)]
        subject: Subject,
        because: ResourceId,
    },
    /// Steps wait until this resource has reached the milestone.
    Waiting {
        #[serde(flatten)]
        subject: Subject,
        milestone: Milestone,
        /// Who waits.
        waiting: Vec<ResourceId>,
    },
    MilestoneReached {
        #[serde(flatten)]
        subject: Subject,
        milestone: Milestone,
        #[serde(rename = "took_ms", serialize_with = "milliseconds")]
        took: Duration,
    },
    /// It never will, or not in time; those that needed it optionally go on.
    MilestoneMissed {
        #[serde(flatten)]
        subject: Subject,
        milestone: Milestone,
        error: String,
        hint: Option<String>,
        /// Who goes on without it.
        without: Vec<ResourceId>,
    },
    /// A failed run, or one of an earlier time, is being taken back: this many steps.
    UndoStarted { steps: usize },
    Undoing {
        #[serde(flatten)]
        subject: Subject,
    },
    Undone {
        #[serde(flatten)]
        subject: Subject,
        #[serde(rename = "took_ms", serialize_with = "milliseconds")]
        took: Duration,
    },
    UndoFailed {
        #[serde(flatten)]
        subject: Subject,
        error: String,
        remedy: String,
    },
    /// The user asked to stop: the first time (`again` is false) steps that run may end and the rest is undone, the
    /// second time the run is left at once.
    Interrupted {
        again: bool,
        /// Whether what was done is taken back.
        undo: bool,
    },
    /// The journal could not be written; the run stops as if a step had failed.
    JournalFailed { error: String },
    RunFinished {
        done: usize,
        failed: usize,
        skipped: usize,
        undone: usize,
        left: usize,
        #[serde(rename = "took_ms", serialize_with = "milliseconds")]
        took: Duration,
    },
}

fn milliseconds<S: Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}

/// The word that follows "waits until NAME".
pub fn milestone_phrase(milestone: Milestone) -> &'static str {
    match milestone {
        Milestone::Done => "is done",
        Milestone::Healthy => "is healthy",
        Milestone::Completed => "has completed",
    }
}
