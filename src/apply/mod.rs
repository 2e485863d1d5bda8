//! The doer: takes a plan to a world. Ready steps run at once, bounded, and never level by level; edges wait for
//! milestones; a failed run is taken back, the failing step first. It decides nothing: what to do is in the plan.
//!
//! One task owns all state and drives the steps as futures inside itself, so dropping the run is a crash and nothing
//! else: no step goes on behind its back. Facts go out as [`event::Event`]s; what must survive goes to the
//! [`journal`] before the act. The order of a run is main steps, then (only if all succeeded) farewells.

pub mod course;
pub mod event;
pub mod journal;
pub mod lock;
pub mod queue;
pub mod report;
pub mod runs;
pub mod status;
mod tell;
mod undo;
mod walk;
pub mod wanted;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, Stream, StreamExt};
use tokio::time::Instant;

use crate::apply::event::{Event, Listener, Subject, milestone_phrase};
use crate::apply::journal::{Journal, Unfinished};
use crate::apply::report::{Failure, Outcome, Report};
use crate::apply::status::{Status, Statuses};
use crate::apply::tell::Voice;
use crate::apply::walk::{Walk, queue_of};
use crate::model::name::ProjectName;
use crate::plan::step::{Milestone, Plan, Step, StepIndex};
use crate::world::{ErrorKind, World, WorldError};

/// How a run is to behave.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many steps of one lane run at once. Measured on an engine with 2 cores: 4 to 8 is best, 1 takes 1.8 times
    /// as long, 16 and more gain nothing.
    pub parallel: usize,
    /// How long a container may take to become healthy where a step waits for it.
    pub healthy: Duration,
    /// How long a container may take to complete where a step waits for it.
    pub completed: Duration,
    /// How long steps that run may go on when the run stops early; then they are cut off and taken back as they are.
    pub grace: Duration,
    /// How long taking back one step may take.
    pub undo: Duration,
    pub on_failure: OnFailure,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            parallel: 8,
            healthy: Duration::from_secs(60 * 60),
            completed: Duration::from_secs(24 * 60 * 60),
            grace: Duration::from_secs(15),
            undo: Duration::from_secs(60),
            on_failure: OnFailure::Undo,
        }
    }
}

impl Options {
    fn deadline(&self, milestone: Milestone) -> Duration {
        match milestone {
            Milestone::Healthy => self.healthy,
            Milestone::Done | Milestone::Completed => self.completed,
        }
    }
}

/// What a failure leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The run stops and everything it did is taken back (`up`).
    Undo,
    /// The run stops and what it did stays (`up --no-rollback`).
    Keep,
    /// Steps that do not need the failed one go on, and nothing is taken back (`down`, `stop`).
    GoOn,
}

/// Runs a plan. `journal` has just been begun for this plan; without one a killed run cannot be taken back. Each item
/// of `shutdown` is one wish of the user to stop: the first ends the run in order, the second at once.
pub async fn run<W: World>(
    plan: &Plan,
    world: &W,
    journal: Option<Journal>,
    listener: &dyn Listener,
    options: &Options,
    shutdown: impl Stream<Item = ()> + Unpin,
) -> Report {
    let mut run = Run::new(plan, world, journal, listener, options);
    let mut signals = Signals::of(shutdown);
    run.tell_start();
    match run.walk(&mut signals).await {
        End::Finished => run.report.outcome = Outcome::Done,
        End::Broken => {
            run.report.outcome = Outcome::Failed;
            run.take_back(&mut signals).await;
        }
        End::Stopped => {
            run.report.outcome = Outcome::Interrupted;
            run.take_back(&mut signals).await;
        }
        End::Left => run.report.outcome = Outcome::Abandoned,
    }
    run.close()
}

/// Takes back a run that was killed. The journal is the one of that run, resumed.
pub async fn unwind<W: World>(
    unfinished: &Unfinished,
    world: &W,
    journal: Option<Journal>,
    listener: &dyn Listener,
    options: &Options,
    shutdown: impl Stream<Item = ()> + Unpin,
) -> Report {
    let mut run = Run::new(&unfinished.plan, world, journal, listener, options);
    let mut signals = Signals::of(shutdown);
    run.statuses = unfinished.statuses.clone();
    if !unfinished.committed {
        run.undo(&mut signals).await;
    }
    run.close()
}

/// How walking forward ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Finished,
    Broken,
    Stopped,
    Left,
}

/// The user's wishes to stop. A stream that has ended has no more of them.
struct Signals<S> {
    stream: Option<S>,
    count: usize,
}

impl<S: Stream<Item = ()> + Unpin> Signals<S> {
    fn of(stream: S) -> Signals<S> {
        Signals {
            stream: Some(stream),
            count: 0,
        }
    }

    async fn next(&mut self) {
        if let Some(stream) = &mut self.stream {
            if stream.next().await.is_some() {
                self.count += 1;
                return;
            }
            self.stream = None;
        }
        std::future::pending().await
    }
}

struct Run<'a, W> {
    plan: &'a Plan,
    world: &'a W,
    journal: Option<Journal>,
    listener: &'a dyn Listener,
    options: &'a Options,
    statuses: Statuses,
    report: Report,
    began: Instant,
    /// Whether farewells have begun.
    parted: bool,
}

/// A step that has ended, with how long it took.
type Ended = (StepIndex, Duration, Result<(), WorldError>);
/// A milestone that was reached or missed.
type Reached = (StepIndex, Milestone, Duration, Result<(), WorldError>);

impl<'a, W: World> Run<'a, W> {
    fn new(
        plan: &'a Plan,
        world: &'a W,
        journal: Option<Journal>,
        listener: &'a dyn Listener,
        options: &'a Options,
    ) -> Run<'a, W> {
        Run {
            plan,
            world,
            journal,
            listener,
            options,
            statuses: Statuses::planned(plan.steps.len()),
            report: Report::new(),
            began: Instant::now(),
            parted: false,
        }
    }

    /// Walks all steps forward, farewells last.
    async fn walk<S: Stream<Item = ()> + Unpin>(&mut self, signals: &mut Signals<S>) -> End {
        let mut queue = match queue_of(self.plan) {
            Ok(queue) => queue,
            Err(error) => {
                self.report.failures.push(Failure::general(format!(
                    "the plan cannot be walked: {error}"
                )));
                return End::Broken;
            }
        };
        let plan = self.plan;
        let warnings = Mutex::new(Vec::new());
        let mut acts = FuturesUnordered::new();
        let mut waits = FuturesUnordered::new();
        let mut walk = Walk::new(self.plan);
        let mut end = End::Finished;
        let bound = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(bound);
        loop {
            let stopping = end != End::Finished;
            if !stopping {
                while let Some(index) =
                    walk.next(&mut queue, self.plan, self.options, waits.is_empty())
                {
                    if !self.part(index) || !self.begin(index) {
                        walk.leave(self.plan, index);
                        end = End::Broken;
                        break;
                    }
                    let step = &plan.steps[index.0];
                    let voice = Voice {
                        listener: self.listener,
                        subject: Subject::of(index, step),
                        warnings: &warnings,
                    };
                    acts.push(act(self.world, &plan.project, index, step, voice));
                }
                if end != End::Finished {
                    bound.as_mut().reset(Instant::now() + self.options.grace);
                    continue;
                }
            }
            if acts.is_empty() && (stopping || waits.is_empty()) {
                break;
            }
            tokio::select! {
                biased;
                () = signals.next() => {
                    let undo = self.options.on_failure == OnFailure::Undo && !self.parted;
                    self.listener.hear(&Event::Interrupted { again: signals.count > 1, undo });
                    if signals.count > 1 {
                        return End::Left;
                    }
                    if !stopping {
                        end = End::Stopped;
                        bound.as_mut().reset(Instant::now() + self.options.grace);
                    }
                }
                Some((index, took, result)) = acts.next(), if !acts.is_empty() => {
                    walk.leave(self.plan, index);
                    match self.ended(index, took, result) {
                        Ok(true) => {
                            walk.succeed(self.plan, index);
                            queue.finish(index.0, Milestone::Done);
                            if !stopping {
                                for milestone in self.wanted(&queue, index) {
                                    waits.push(wait(self.world, plan, index, milestone, self.options.deadline(milestone)));
                                }
                            }
                        }
                        Ok(false) => {
                            let missed = queue.fail(index.0);
                            self.skip(index, &missed);
                            let step = &self.plan.steps[index.0];
                            if self.options.on_failure != OnFailure::GoOn && !step.farewell && !stopping {
                                end = End::Broken;
                                bound.as_mut().reset(Instant::now() + self.options.grace);
                            }
                        }
                        Err(()) if stopping => {}
                        Err(()) => {
                            end = End::Broken;
                            bound.as_mut().reset(Instant::now() + self.options.grace);
                        }
                    }
                }
                Some((index, milestone, took, result)) = waits.next(), if !waits.is_empty() && !stopping => {
                    match result {
                        Ok(()) => {
                            self.listener.hear(&Event::MilestoneReached {
                                subject: self.subject(index),
                                milestone,
                                took,
                            });
                            queue.finish(index.0, milestone);
                        }
                        Err(error) => {
                            let missed = queue.miss(index.0, milestone);
                            self.missed(index, milestone, &error, &missed);
                            if !missed.skipped.is_empty() && self.options.on_failure != OnFailure::GoOn {
                                end = End::Broken;
                                bound.as_mut().reset(Instant::now() + self.options.grace);
                            }
                        }
                    }
                }
                () = &mut bound, if stopping => break,
            }
            if end != End::Finished {
                // Nothing waits for them any more, and a pull that is cut off leaves nothing to take back.
                waits.clear();
                if acts.len() == walk.fetching() {
                    break;
                }
            }
        }
        drop(acts);
        self.report.warnings.append(
            &mut warnings
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let skipped: BTreeSet<StepIndex> =
            self.report.skipped.iter().map(|skip| skip.step).collect();
        self.report.not_started = self.statuses.those(|status| status == Status::Planned);
        self.report
            .not_started
            .retain(|index| !skipped.contains(index));
        if end == End::Finished && !self.report.failures.is_empty() && !self.parted {
            end = End::Broken;
        }
        end
    }

    /// After a run that did not succeed: takes it back, if that is wanted.
    async fn take_back<S: Stream<Item = ()> + Unpin>(&mut self, signals: &mut Signals<S>) {
        match self.options.on_failure {
            OnFailure::Undo if !self.parted => self.undo(signals).await,
            OnFailure::Undo | OnFailure::Keep | OnFailure::GoOn => {}
        }
    }
}

async fn act<W: World>(
    world: &W,
    project: &ProjectName,
    index: StepIndex,
    step: &Step,
    voice: Voice<'_>,
) -> Ended {
    let began = Instant::now();
    let result = world.change(project, step, &voice).await;
    (index, began.elapsed(), result)
}

async fn wait<W: World>(
    world: &W,
    plan: &Plan,
    index: StepIndex,
    milestone: Milestone,
    deadline: Duration,
) -> Reached {
    let began = Instant::now();
    let id = &plan.steps[index.0].id;
    let reached = world.wait(&plan.project, id, milestone);
    let result = match tokio::time::timeout(deadline, reached).await {
        Ok(result) => result,
        Err(_) => Err(WorldError::new(
            ErrorKind::Never,
            format!("waiting until {id} {}", milestone_phrase(milestone)),
            format!("it is not so after {} s", deadline.as_secs_f64()),
        )),
    };
    (index, milestone, began.elapsed(), result)
}
