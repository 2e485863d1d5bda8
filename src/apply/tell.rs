//! What a run notes and tells: each act goes to the statuses and the journal before it is done, and each fact to whoever
//! listens.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::apply::Run;
use crate::apply::event::{Event, Listener, Subject};
use crate::apply::journal::Journal;
use crate::apply::queue::{Missed, Queue};
use crate::apply::report::{Failure, Outcome, Report, Skipped, Warning};
use crate::apply::status::{Act, Status};
use crate::plan::spec::ResourceId;
use crate::plan::step::{Milestone, StepIndex};
use crate::world::{Progress, World, WorldError};

impl<W: World> Run<'_, W> {
    pub(super) fn tell_start(&self) {
        let steps = self.plan.steps.iter().enumerate();
        self.listener.hear(&Event::RunStarted {
            project: self.plan.project.clone(),
            steps: steps
                .map(|(at, step)| Subject::of(StepIndex(at), step))
                .collect(),
        });
    }

    /// Notes and tells that a step begins; false where the journal could not be written, and the step must not run.
    pub(super) fn begin(&mut self, index: StepIndex) -> bool {
        let step = &self.plan.steps[index.0];
        if self.note(index, Act::Start).is_err() {
            return false;
        }
        self.listener.hear(&Event::StepStarted {
            subject: self.subject(index),
            reason: step.reason.clone(),
        });
        true
    }

    /// Notes and tells that a step has ended: whether it succeeded, or an error where the journal failed.
    pub(super) fn ended(
        &mut self,
        index: StepIndex,
        took: Duration,
        result: Result<(), WorldError>,
    ) -> Result<bool, ()> {
        let subject = self.subject(index);
        match result {
            Ok(()) => {
                self.report.done.push(index);
                self.listener.hear(&Event::StepDone { subject, took });
                self.note(index, Act::Finish)?;
                Ok(true)
            }
            Err(error) => {
                let failure = Failure::of(index, &subject.id, &error);
                self.listener.hear(&Event::StepFailed {
                    subject,
                    error: failure.error.clone(),
                    hint: failure.hint.clone(),
                });
                self.report.failures.push(failure);
                self.note(index, Act::Fail)?;
                Ok(false)
            }
        }
    }

    /// The milestones to be waited for now that the step is done, each told.
    pub(super) fn wanted(&self, queue: &Queue<Milestone>, index: StepIndex) -> Vec<Milestone> {
        let mut wanted = queue.wanted(index.0);
        wanted.retain(|&milestone| milestone != Milestone::Done);
        for &milestone in &wanted {
            let waiting = queue.waiting(index.0, milestone).into_iter();
            self.listener.hear(&Event::Waiting {
                subject: self.subject(index),
                milestone,
                waiting: waiting.map(|to| self.plan.steps[to].id.clone()).collect(),
            });
        }
        wanted
    }

    pub(super) fn missed(
        &mut self,
        index: StepIndex,
        milestone: Milestone,
        error: &WorldError,
        missed: &Missed,
    ) {
        let subject = self.subject(index);
        let ids = |steps: &[usize]| -> Vec<ResourceId> {
            steps
                .iter()
                .map(|&to| self.plan.steps[to].id.clone())
                .collect()
        };
        self.listener.hear(&Event::MilestoneMissed {
            subject: subject.clone(),
            milestone,
            error: error.to_string(),
            hint: error.hint.clone(),
            without: ids(&missed.without),
        });
        if missed.skipped.is_empty() {
            let names: Vec<String> = ids(&missed.without)
                .iter()
                .map(ToString::to_string)
                .collect();
            let text = format!("{error}; {} goes on without it", names.join(", "));
            self.report.warnings.push(Warning { step: index, text });
        } else {
            self.report
                .failures
                .push(Failure::of(index, &subject.id, error));
        }
        self.skip(index, missed);
    }

    pub(super) fn skip(&mut self, because: StepIndex, missed: &Missed) {
        for &step in &missed.skipped {
            let step = StepIndex(step);
            self.listener.hear(&Event::StepSkipped {
                subject: self.subject(step),
                because: self.plan.steps[because.0].id.clone(),
            });
            self.report.skipped.push(Skipped { step, because });
        }
    }

    /// Notes that farewells begin, where this step is the first of them: from then on nothing is taken back. False
    /// where the journal could not be written.
    pub(super) fn part(&mut self, index: StepIndex) -> bool {
        if self.parted || !self.plan.steps[index.0].farewell {
            return true;
        }
        if let Some(Err(error)) = self.journal.as_mut().map(Journal::commit) {
            self.journal_failed(&error);
            return false;
        }
        self.parted = true;
        true
    }

    /// Lets an act happen to a step: in the statuses, and in the journal before anything else is done.
    pub(super) fn note(&mut self, index: StepIndex, act: Act) -> Result<(), ()> {
        if let Err(illegal) = self.statuses.apply(index, act) {
            self.report
                .failures
                .push(Failure::general(illegal.to_string()));
            return Err(());
        }
        let Some(journal) = &mut self.journal else {
            return Ok(());
        };
        let noted = journal.note(index, act);
        noted.map_err(|error| self.journal_failed(&error))
    }

    /// The same where there is nothing to be done about a journal that fails: taking back goes on without it.
    pub(super) fn note_if_possible(&mut self, index: StepIndex, act: Act) {
        let told = self.report.failures.len();
        let _ = self.note(index, act);
        if self.report.failures.len() > told {
            self.journal = None;
        }
    }

    fn journal_failed(&mut self, error: &dyn std::error::Error) {
        let mut text = error.to_string();
        if let Some(source) = error.source() {
            text = format!("{text}: {source}");
        }
        self.listener.hear(&Event::JournalFailed {
            error: text.clone(),
        });
        self.report.failures.push(Failure::general(text));
    }

    pub(super) fn subject(&self, index: StepIndex) -> Subject {
        Subject::of(index, &self.plan.steps[index.0])
    }

    /// Ends the run: the journal goes, unless there is something left for the next run to do.
    pub(super) fn close(mut self) -> Report {
        let statuses = &self.statuses;
        self.report
            .done
            .retain(|&index| statuses.of(index) == Status::Done);
        self.report.took = self.began.elapsed();
        let stuck = !statuses.those(|status| status == Status::Stuck).is_empty();
        let unfinished = self.report.outcome == Outcome::Abandoned || stuck;
        if let Some(journal) = self.journal.take().filter(|_| !unfinished) {
            if let Err(error) = journal.finish() {
                self.journal_failed(&error);
            }
        }
        self.listener.hear(&Event::RunFinished {
            done: self.report.done.len(),
            failed: self.report.failures.len(),
            skipped: self.report.skipped.len(),
            undone: self.report.undone.len(),
            left: self.report.left.len(),
            took: self.report.took,
        });
        self.report
    }
}

/// Where a step of the world tells how far it is; passed on as events.
pub(super) struct Voice<'a> {
    pub(super) listener: &'a dyn Listener,
    pub(super) subject: Subject,
    /// Warnings are kept for the report.
    pub(super) warnings: &'a Mutex<Vec<Warning>>,
}

impl Progress for Voice<'_> {
    fn tell(&self, text: &str) {
        self.listener.hear(&Event::StepProgress {
            subject: self.subject.clone(),
            text: text.to_owned(),
        });
    }

    fn warn(&self, text: &str) {
        self.listener.hear(&Event::StepWarning {
            subject: self.subject.clone(),
            text: text.to_owned(),
        });
        let warning = Warning {
            step: self.subject.step,
            text: text.to_owned(),
        };
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.push(warning);
    }
}
