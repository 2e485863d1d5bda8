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
use crate::apply::queue::{Missed, Queue};
use crate::apply::report::{Failure, Outcome, Report, Skipped, Warning};
use crate::apply::status::{Act, Status, Statuses};
use crate::apply::walk::{Walk, queue_of};
use crate::model::name::ProjectName;
use crate::plan::spec::ResourceId;
use crate::plan::step::{Milestone, Plan, Step, StepIndex};
use crate::world::{ErrorKind, Progress, World, WorldError};

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

    fn tell_start(&self) {
        let steps = self.plan.steps.iter().enumerate();
        self.listener.hear(&Event::RunStarted {
            project: self.plan.project.clone(),
            steps: steps
                .map(|(at, step)| Subject::of(StepIndex(at), step))
                .collect(),
        });
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
                    self.listener.hear(&Event::Interrupted { again: signals.count > 1 });
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

    /// Notes and tells that a step begins; false where the journal could not be written, and the step must not run.
    fn begin(&mut self, index: StepIndex) -> bool {
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
    fn ended(
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
    fn wanted(&self, queue: &Queue<Milestone>, index: StepIndex) -> Vec<Milestone> {
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

    fn missed(
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

    fn skip(&mut self, because: StepIndex, missed: &Missed) {
        for &step in &missed.skipped {
            let step = StepIndex(step);
            self.listener.hear(&Event::StepSkipped {
                subject: self.subject(step),
                because: self.plan.steps[because.0].id.clone(),
            });
            self.report.skipped.push(Skipped { step, because });
        }
    }

    /// After a run that did not succeed: takes it back, if that is wanted.
    async fn take_back<S: Stream<Item = ()> + Unpin>(&mut self, signals: &mut Signals<S>) {
        match self.options.on_failure {
            OnFailure::Undo if !self.parted => self.undo(signals).await,
            OnFailure::Undo | OnFailure::Keep | OnFailure::GoOn => {}
        }
    }

    /// Notes that farewells begin, where this step is the first of them: from then on nothing is taken back. False
    /// where the journal could not be written.
    fn part(&mut self, index: StepIndex) -> bool {
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
    fn note(&mut self, index: StepIndex, act: Act) -> Result<(), ()> {
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
    fn note_if_possible(&mut self, index: StepIndex, act: Act) {
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

    fn subject(&self, index: StepIndex) -> Subject {
        Subject::of(index, &self.plan.steps[index.0])
    }

    /// Ends the run: the journal goes, unless there is something left for the next run to do.
    fn close(mut self) -> Report {
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
struct Voice<'a> {
    listener: &'a dyn Listener,
    subject: Subject,
    /// Warnings are kept for the report.
    warnings: &'a Mutex<Vec<Warning>>,
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
