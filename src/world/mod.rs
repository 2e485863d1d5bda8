//! The outside, behind three verbs: observe, change, wait. The live world is the engine and the kernel; the world in
//! memory serves dry runs and tests. Which one is used is chosen in `cli`, nowhere else.

pub mod engine;
pub mod folder;
pub mod ground;
pub mod host;
pub mod live;
pub mod memory;
pub mod netns;
pub mod private;
pub mod text;

use std::fmt;
use std::future::Future;

use crate::model::name::ProjectName;
use crate::plan::observed::{FoundContainer, InsideFacts, Observed, Scope};
use crate::plan::spec::{ResourceId, Spec};
use crate::plan::step::{Milestone, Step};

/// Everything outside of this process.
pub trait World: Send + Sync {
    /// What is there now. Reads only.
    fn observe(&self, scope: &Scope) -> impl Future<Output = Result<Observed, WorldError>> + Send;

    /// The links inside of running containers, and what they are joined to on the host. What may not or cannot be looked
    /// into is left out. Reads only.
    fn inside(
        &self,
        _containers: &[&FoundContainer],
    ) -> impl Future<Output = Result<Vec<InsideFacts>, WorldError>> + Send {
        std::future::ready(Ok(Vec::new()))
    }

    /// What would be refused of resources that are to be made, as far as that can be known before. Makes nothing.
    fn foresee(
        &self,
        _project: &ProjectName,
        _wanted: &[&Spec],
    ) -> impl Future<Output = Result<Vec<(ResourceId, WorldError)>, WorldError>> + Send {
        std::future::ready(Ok(Vec::new()))
    }

    /// Takes one resource to `step.after`. Idempotent: where the resource is there already, in part or in whole, it is
    /// finished or left; removing what is absent is success. It may be called for a step that failed or was cut off,
    /// and with the inverse of such a step.
    fn change(
        &self,
        project: &ProjectName,
        step: &Step,
        progress: &dyn Progress,
    ) -> impl Future<Output = Result<(), WorldError>> + Send;

    /// Returns when the resource has reached the milestone, or tells that it never will. It follows events, does not
    /// poll where there are any, and may be dropped at any time; the deadline is the caller's.
    fn wait(
        &self,
        project: &ProjectName,
        id: &ResourceId,
        milestone: Milestone,
    ) -> impl Future<Output = Result<(), WorldError>> + Send;
}

/// Where a step tells how far it is.
pub trait Progress: Send + Sync {
    /// One short line about what it does now (`pulling layer 3 of 7`).
    fn tell(&self, text: &str);

    /// Something the user should know although the step goes on (`published ports are discarded in host mode`).
    fn warn(&self, text: &str);
}

/// Why the outside did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub struct WorldError {
    pub kind: ErrorKind,
    /// The act and the object, as in `cannot create network `lab_lan``.
    pub act: String,
    /// What the engine or the kernel said, in its words.
    pub said: String,
    /// What the user can do about it.
    pub hint: Option<String>,
}

impl fmt::Display for WorldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.said.is_empty() {
            f.write_str(&self.act)
        } else {
            write!(f, "{}: {}", self.act, self.said)
        }
    }
}

impl WorldError {
    /// An error of this kind about this act.
    pub fn new(kind: ErrorKind, act: impl Into<String>, said: impl fmt::Display) -> WorldError {
        WorldError {
            kind,
            act: act.into(),
            said: said.to_string(),
            hint: None,
        }
    }

    /// The same error with advice.
    pub fn hint(mut self, hint: impl Into<String>) -> WorldError {
        self.hint = Some(hint.into());
        self
    }
}

/// What sort of refusal it is, where somebody decides by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The engine cannot be reached.
    Unreachable,
    /// Something that was named is not there.
    Missing,
    /// The name is someone else's.
    Taken,
    /// It is still used by something that is not ours.
    InUse,
    /// This process may not do that.
    Forbidden,
    /// This engine or kernel cannot do that.
    Unsupported,
    /// It was understood and refused.
    Refused,
    /// It will never reach the milestone that was waited for.
    Never,
    /// The engine itself is at fault (a known defect); trying again or restarting the engine may help.
    Fault,
}
