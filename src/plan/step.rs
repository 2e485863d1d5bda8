//! A plan is steps and what must come before what. A step takes one resource from one state to another and says why;
//! its undo is the same step turned round.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::name::ProjectName;
use crate::plan::spec::{ResourceId, Spec};

/// The state of one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Absent,
    /// It is there; a container is created and not running.
    Present(Arc<Spec>),
    /// Containers only.
    Running(Arc<Spec>),
    /// Containers only: stopped and renamed out of the way of its successor, to be discarded or brought back.
    Parked(Arc<Spec>),
}

impl State {
    /// What it is, where it is at all.
    pub fn spec(&self) -> Option<&Arc<Spec>> {
        match self {
            State::Absent => None,
            State::Present(spec) | State::Running(spec) | State::Parked(spec) => Some(spec),
        }
    }
}

/// What one resource has reached, for those that wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Milestone {
    /// The step is done.
    Done,
    /// The container reports itself healthy.
    Healthy,
    /// The container ran and exited with 0.
    Completed,
}

/// The position of a step in its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepIndex(pub usize);

/// One change of one resource. A step whose two states are the same changes nothing and stands for a resource that
/// others wait for: it makes sure that it is there. A restart is two steps, stop and start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub id: ResourceId,
    pub before: State,
    pub after: State,
    pub reason: Reason,
    /// What happens to it when a later step fails.
    pub undo: Undo,
    /// A farewell runs only after all other steps succeeded, and is never undone: discarding a parked container.
    pub farewell: bool,
}

/// Whether and how a step is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// By the inverse step.
    Inverse,
    /// It stays: an image that was fetched or built harms nobody.
    Keep,
    /// It cannot be: what was removed is gone.
    Never,
}

impl Step {
    /// The step that takes this one back.
    pub fn inverse(&self) -> Step {
        Step {
            id: self.id.clone(),
            before: self.after.clone(),
            after: self.before.clone(),
            reason: Reason::Undo,
            undo: Undo::Never,
            farewell: false,
        }
    }

    /// The word for what it does: `create`, `start`, `stop`, `remove`, `park`, `restore`, `connect`, …
    pub fn verb(&self) -> &'static str {
        use crate::plan::spec::Kind;
        match (self.id.kind, &self.before, &self.after) {
            (Kind::Image, State::Absent, State::Present(spec)) => match spec.as_ref() {
                Spec::Image(image) => match image.source {
                    crate::plan::spec::ImageSource::Pull(_) => "pull",
                    crate::plan::spec::ImageSource::Build(_) => "build",
                },
                _ => "create",
            },
            (Kind::Endpoint, State::Absent, _) => "connect",
            (Kind::Endpoint, _, State::Absent) => "disconnect",
            (Kind::Promiscuity, State::Absent, _) => "set",
            (Kind::Promiscuity, _, State::Absent) => "put back",
            (_, State::Absent, State::Running(_)) => "run",
            (_, State::Absent, _) => "create",
            (_, _, State::Absent) => "remove",
            (_, State::Present(_), State::Running(_)) => "start",
            (_, State::Running(_), State::Present(_)) => "stop",
            (_, _, State::Parked(_)) => "park",
            (_, State::Parked(_), _) => "restore",
            (_, State::Present(_), State::Present(_)) => "change",
            (_, State::Running(_), State::Running(_)) => "check",
        }
    }
}

/// Why a step is in the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It is not there.
    Missing,
    /// It is there and not as the file says: the names of what differs.
    Changed(Vec<String>),
    /// It is there and does not run.
    NotRunning,
    /// A resource that it cannot live without changes.
    Because(ResourceId),
    /// The namespace it shares is dead: its owner was restarted or made anew.
    DeadNamespace(String),
    /// The image its name means is another one now.
    NewImage,
    /// The user asked (`--force-recreate`, `restart`, `--build`, `--pull`).
    Asked(String),
    /// There are more of it than wanted.
    Surplus,
    /// The file no longer has it.
    Orphan,
    /// `down`.
    Down,
    /// Left by an unfinished run.
    Leftover,
    /// Taking back what a failed run did.
    Undo,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Missing => f.write_str("it is not there"),
            Reason::Changed(what) => write!(f, "changed: {}", what.join(", ")),
            Reason::NotRunning => f.write_str("it does not run"),
            Reason::Because(id) => write!(f, "because of {id}"),
            Reason::DeadNamespace(owner) => write!(
                f,
                "the network namespace of `{owner}` that it shared is gone"
            ),
            Reason::NewImage => f.write_str("its image is another one now"),
            Reason::Asked(what) => write!(f, "asked for: {what}"),
            Reason::Surplus => f.write_str("more than wanted"),
            Reason::Orphan => f.write_str("no longer in the file"),
            Reason::Down => f.write_str("down"),
            Reason::Leftover => f.write_str("left by an unfinished run"),
            Reason::Undo => f.write_str("undo"),
        }
    }
}

/// `to` may begin when `from` has reached `milestone`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    pub from: StepIndex,
    pub to: StepIndex,
    pub milestone: Milestone,
    /// Whether `to` goes on with a warning when the milestone is never reached (`required: false`).
    pub optional: bool,
}

/// Steps, and what must come before what. The steps stand in an order in which they could run one by one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub project: ProjectName,
    pub steps: Vec<Step>,
    pub edges: Vec<Edge>,
}

impl Plan {
    /// Only these steps, and what must come before what among them.
    pub fn only(&self, keep: impl Fn(&Step) -> bool) -> Plan {
        let mut places = Vec::new();
        let mut steps = Vec::new();
        for step in &self.steps {
            places.push(keep(step).then_some(StepIndex(steps.len())));
            if keep(step) {
                steps.push(step.clone());
            }
        }
        let place = |index: StepIndex| places.get(index.0).copied().flatten();
        let edges = self.edges.iter().filter_map(|edge| {
            Some(Edge {
                from: place(edge.from)?,
                to: place(edge.to)?,
                ..*edge
            })
        });
        Plan {
            project: self.project.clone(),
            edges: edges.collect(),
            steps,
        }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}
