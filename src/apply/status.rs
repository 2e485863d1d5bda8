//! How far each step of a run is, and which act may follow which. The same table is held against the live run and
//! against a journal that is read back, so a journal can never say what a run could not have done.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::plan::step::StepIndex;

/// What is known about one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It has not been started.
    Planned,
    /// It was started and no outcome is known: it may have done nothing, a part, or all.
    Started,
    Done,
    /// It was started and failed: it may have done a part.
    Failed,
    /// It is being taken back.
    Undoing,
    Undone,
    /// It could not be taken back; another run may try again.
    Stuck,
}

/// What happens to one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    Start,
    Finish,
    Fail,
    Undo,
    Undone,
    GetStuck,
}

/// An act that cannot follow the status: a fault of this program, or a journal that was changed by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct Illegal {
    pub step: StepIndex,
    /// None where the plan has no such step.
    pub status: Option<Status>,
    pub act: Act,
}

impl fmt::Display for Illegal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Illegal { step, status, act } = self;
        match status {
            Some(status) => write!(f, "step {} is {status:?} and cannot {act:?}", step.0),
            None => write!(f, "there is no step {} that could {act:?}", step.0),
        }
    }
}

impl Status {
    /// The status after the act, if it may happen now.
    pub fn after(self, act: Act) -> Option<Status> {
        match (self, act) {
            (Status::Planned, Act::Start) => Some(Status::Started),
            (Status::Started, Act::Finish) => Some(Status::Done),
            (Status::Started, Act::Fail) => Some(Status::Failed),
            // From `Undoing` and `Stuck` too: a later run tries again.
            (
                Status::Started | Status::Failed | Status::Done | Status::Undoing | Status::Stuck,
                Act::Undo,
            ) => Some(Status::Undoing),
            (Status::Undoing, Act::Undone) => Some(Status::Undone),
            (Status::Undoing, Act::GetStuck) => Some(Status::Stuck),
            (Status::Planned, Act::Finish | Act::Fail | Act::Undo)
            | (Status::Started, Act::Start)
            | (Status::Done | Status::Failed, Act::Start | Act::Finish | Act::Fail)
            | (Status::Undoing | Status::Stuck, Act::Start | Act::Finish | Act::Fail)
            | (
                Status::Planned | Status::Started | Status::Done | Status::Failed | Status::Stuck,
                Act::Undone | Act::GetStuck,
            )
            | (Status::Undone, _) => None,
        }
    }

    /// Whether the world may be different because of the step.
    pub fn may_have_acted(self) -> bool {
        match self {
            Status::Planned | Status::Undone => false,
            Status::Started | Status::Done | Status::Failed | Status::Undoing | Status::Stuck => {
                true
            }
        }
    }
}

/// The statuses of all steps of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(Vec<Status>);

impl Statuses {
    /// So many steps, none of them started.
    pub fn planned(steps: usize) -> Statuses {
        Statuses(vec![Status::Planned; steps])
    }

    /// The status of a step of the plan; a step that the plan does not have was never started.
    pub fn of(&self, step: StepIndex) -> Status {
        self.0.get(step.0).copied().unwrap_or(Status::Planned)
    }

    /// Lets the act happen, if it may.
    pub fn apply(&mut self, step: StepIndex, act: Act) -> Result<(), Illegal> {
        let status = self.0.get_mut(step.0);
        let before = status.as_deref().copied();
        match (status, before.and_then(|before| before.after(act))) {
            (Some(status), Some(after)) => {
                *status = after;
                Ok(())
            }
            (Some(_), None) | (None, _) => Err(Illegal {
                step,
                status: before,
                act,
            }),
        }
    }

    /// Gives up taking a step back: from now on it counts as taken back, whatever the world is.
    pub fn give_up(&mut self, step: StepIndex) {
        if let Some(status) = self.0.get_mut(step.0).filter(|own| own.may_have_acted()) {
            *status = Status::Undone;
        }
    }

    /// The steps with such a status, in the plan's order.
    pub fn those(&self, wanted: impl Fn(Status) -> bool) -> Vec<StepIndex> {
        let steps = self.0.iter().enumerate();
        steps
            .filter(|(_, status)| wanted(**status))
            .map(|(step, _)| StepIndex(step))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Act, Status, Statuses};
    use crate::plan::step::StepIndex;

    const STATUSES: [Status; 7] = [
        Status::Planned,
        Status::Started,
        Status::Done,
        Status::Failed,
        Status::Undoing,
        Status::Undone,
        Status::Stuck,
    ];
    const ACTS: [Act; 6] = [
        Act::Start,
        Act::Finish,
        Act::Fail,
        Act::Undo,
        Act::Undone,
        Act::GetStuck,
    ];

    #[test]
    fn the_table_allows_just_this() {
        let mut table = String::new();
        for status in STATUSES {
            for act in ACTS {
                if let Some(after) = status.after(act) {
                    table.push_str(&format!("{status:?} {act:?} {after:?}\n"));
                }
            }
        }
        let whole = "Planned Start Started\n\
                     Started Finish Done\n\
                     Started Fail Failed\n\
                     Started Undo Undoing\n\
                     Done Undo Undoing\n\
                     Failed Undo Undoing\n\
                     Undoing Undo Undoing\n\
                     Undoing Undone Undone\n\
                     Undoing GetStuck Stuck\n\
                     Stuck Undo Undoing\n";
        assert_eq!(table, whole);
    }

    #[test]
    fn an_illegal_act_changes_nothing_and_says_what_it_was() {
        let mut statuses = Statuses::planned(1);
        let error = statuses.apply(StepIndex(0), Act::Finish).unwrap_err();
        assert_eq!(error.to_string(), "step 0 is Planned and cannot Finish");
        assert_eq!(statuses.of(StepIndex(0)), Status::Planned);
        let error = statuses.apply(StepIndex(5), Act::Start).unwrap_err();
        assert_eq!(error.to_string(), "there is no step 5 that could Start");
    }
}
