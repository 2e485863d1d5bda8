//! The way back: what a run did, or may have done, is taken back by the inverse steps. First those that failed or were
//! cut off, then the finished ones, each after all that came after it. It never stops at an error; what could not be
//! taken back is listed with what the user can do.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, Stream, StreamExt};
use tokio::time::Instant;

use crate::apply::event::{Event, Subject};
use crate::apply::queue::{Need, Queue};
use crate::apply::report::{Failure, Leftover, Outcome, remedy};
use crate::apply::status::{Act, Status};
use crate::apply::tell::Voice;
use crate::apply::walk::{Lane, task};
use crate::apply::{Ended, Run, Signals};
use crate::plan::step::{Reason, Step, StepIndex, Undo};
use crate::world::{ErrorKind, World, WorldError};

impl<W: World> Run<'_, W> {
    /// Takes back every step that may have acted. Left in the middle where the user says so a second time.
    pub(super) async fn undo<S: Stream<Item = ()> + Unpin>(&mut self, signals: &mut Signals<S>) {
        let acted = self.statuses.those(Status::may_have_acted);
        let of = |index: &StepIndex| &self.plan.steps[index.0];
        for index in acted.iter().filter(|index| of(index).undo == Undo::Never) {
            let step = of(index);
            self.report.left.push(Leftover {
                step: *index,
                id: step.id.clone(),
                error: format!("{} of {} cannot be taken back", step.verb(), step.id),
                remedy: "make it anew".to_owned(),
            });
        }
        let (first, then): (Vec<StepIndex>, Vec<StepIndex>) = acted
            .into_iter()
            .filter(|index| of(index).undo == Undo::Inverse && !of(index).farewell)
            .partition(|&index| {
                matches!(self.statuses.of(index), Status::Started | Status::Failed)
            });
        if first.is_empty() && then.is_empty() {
            return;
        }
        self.listener.hear(&Event::UndoStarted {
            steps: first.len() + then.len(),
        });
        for batch in [first, then] {
            if !self
                .take_back_these(&batch.into_iter().collect(), signals)
                .await
            {
                self.report.outcome = Outcome::Abandoned;
                return;
            }
        }
    }

    /// Takes these steps back, in the reverse of the plan's order. False where the user left in the middle.
    async fn take_back_these<S: Stream<Item = ()> + Unpin>(
        &mut self,
        chosen: &BTreeSet<StepIndex>,
        signals: &mut Signals<S>,
    ) -> bool {
        let plan = self.plan;
        let inverse = |(at, step): (usize, &Step)| {
            let mut inverse = step.inverse();
            // It was cut off: whoever did it may still be at it.
            if self.statuses.of(StepIndex(at)) == Status::Started {
                inverse.reason = Reason::Leftover;
            }
            inverse
        };
        let inverses: Vec<Step> = plan.steps.iter().enumerate().map(inverse).collect();
        // All steps are in the queue, those that are not taken back too: order is passed on through them.
        let tasks: Vec<_> = inverses.iter().map(task).collect();
        let needs: Vec<Need<()>> = plan
            .edges
            .iter()
            .map(|edge| Need {
                from: edge.to.0,
                to: edge.from.0,
                milestone: (),
                optional: false,
            })
            .collect();
        let mut queue = match Queue::new(&tasks, &needs) {
            Ok(queue) => queue,
            Err(error) => {
                let failure = Failure::general(format!("the plan cannot be walked: {error}"));
                self.report.failures.push(failure);
                return true;
            }
        };
        let warnings = Mutex::new(Vec::new());
        let mut running = [0_usize; Lane::ALL.len()];
        let mut acts = FuturesUnordered::new();
        loop {
            for (place, lane) in Lane::ALL.into_iter().enumerate() {
                while lane.has_slot(&running, self.options.parallel) {
                    let Some(index) = queue.ready(place).map(StepIndex) else {
                        break;
                    };
                    if !chosen.contains(&index) {
                        queue.finish(index.0, ());
                        continue;
                    }
                    running[place] += 1;
                    let subject = Subject::of(index, &inverses[index.0]);
                    self.note_if_possible(index, Act::Undo);
                    self.listener.hear(&Event::Undoing {
                        subject: subject.clone(),
                    });
                    let voice = Voice {
                        listener: self.listener,
                        subject,
                        warnings: &warnings,
                    };
                    let act = crate::apply::act(
                        self.world,
                        &plan.project,
                        index,
                        &inverses[index.0],
                        voice,
                    );
                    acts.push(bounded(index, self.options.undo, act));
                }
            }
            if acts.is_empty() {
                // A step passed over in one lane may have freed one in a lane that was looked at before.
                if queue.has_ready() {
                    continue;
                }
                break;
            }
            tokio::select! {
                biased;
                () = signals.next() => {
                    let again = signals.count > 1;
                    self.listener.hear(&Event::Interrupted { again, undo: true });
                    if again {
                        return false;
                    }
                }
                Some(ended) = acts.next() => {
                    running[tasks[ended.0.0].lane] -= 1;
                    queue.finish(ended.0.0, ());
                    self.taken_back(&inverses[ended.0.0], ended);
                }
            }
        }
        drop(acts);
        let mut warnings = warnings
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        self.report.warnings.append(&mut warnings);
        true
    }

    fn taken_back(&mut self, inverse: &Step, (index, took, result): Ended) {
        let subject = Subject::of(index, inverse);
        match result {
            Ok(()) => {
                self.note_if_possible(index, Act::Undone);
                self.report.undone.push(index);
                self.listener.hear(&Event::Undone { subject, took });
            }
            Err(error) => {
                self.note_if_possible(index, Act::GetStuck);
                let step = &self.plan.steps[index.0];
                let remedy = remedy(self.plan.project.as_str(), step, error.hint.as_deref());
                self.listener.hear(&Event::UndoFailed {
                    subject,
                    error: error.to_string(),
                    remedy: remedy.clone(),
                });
                self.report.left.push(Leftover {
                    step: index,
                    id: step.id.clone(),
                    error: error.to_string(),
                    remedy,
                });
            }
        }
    }
}

async fn bounded(index: StepIndex, bound: Duration, act: impl Future<Output = Ended>) -> Ended {
    let began = Instant::now();
    match tokio::time::timeout(bound, act).await {
        Ok(ended) => ended,
        Err(_) => {
            let error = WorldError::new(
                ErrorKind::Fault,
                "taking back",
                format!("no answer within {} s", bound.as_secs_f64()),
            );
            (index, began.elapsed(), Err(error))
        }
    }
}
