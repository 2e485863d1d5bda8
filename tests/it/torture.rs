//! What is done to a plan to show that it is a transaction: on the world in memory, each of its steps fails, crashes,
//! is interrupted and is run twice, before it acts, in the middle and after it, and the world must be as before or as
//! wanted.

use std::collections::BTreeSet;
use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream;
use stack::apply::event::{Event, Listener, Silence};
use stack::apply::journal::{Journal, replay};
use stack::apply::report::{Outcome, Report};
use stack::apply::{OnFailure, Options, run, unwind};
use stack::model::name::ProjectName;
use stack::plan::diff::down::{DownOptions, down, is_about, is_moot};
use stack::plan::observed::{Observed, Scope};
use stack::plan::spec::ResourceId;
use stack::plan::step::{Milestone, Plan, Step};
use stack::world::memory::Memory;
use stack::world::memory::faults::{Faults, How, When};
use stack::world::memory::snapshot::Snapshot;
use stack::world::{Progress, World, WorldError};
use tokio::sync::Notify;

use crate::apply::heading;

/// How many runs ended as they should.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub plans: usize,
    pub steps: usize,
    pub failures: usize,
    pub crashes: usize,
    pub interruptions: usize,
    pub repeats: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.plans += other.plans;
        self.steps += other.steps;
        self.failures += other.failures;
        self.crashes += other.crashes;
        self.interruptions += other.interruptions;
        self.repeats += other.repeats;
    }
}

/// What a plan is, for messages.
pub fn shown(plan: &Plan) -> String {
    let steps = plan.steps.iter().enumerate();
    let lines = steps.map(|(at, step)| {
        let needs = plan.edges.iter().filter(|edge| edge.to.0 == at);
        let needs: Vec<String> = needs
            .map(|edge| {
                format!(
                    "{}{}",
                    edge.from.0,
                    if edge.milestone == Milestone::Done {
                        ""
                    } else {
                        "*"
                    }
                )
            })
            .collect();
        let last = if step.farewell { " (farewell)" } else { "" };
        format!(
            "{at:3} {} {}: {}{last} <- {}",
            step.verb(),
            step.id,
            step.reason,
            needs.join(" ")
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A plan for a world, and how to plan again.
pub struct Case<'a> {
    pub name: String,
    pub before: &'a Observed,
    pub plan: Plan,
    /// Plans anew for what is there: the same wish on another day.
    pub again: &'a (dyn Fn(&Observed) -> Plan + Sync),
}

fn kept(world: &Memory) -> Snapshot {
    world.snapshot().without_images()
}

/// Runs a plan in peace; the world afterwards.
pub async fn in_peace(before: &Observed, plan: &Plan, name: &str) -> Memory {
    let world = Memory::of(before);
    let report = run(
        plan,
        &world,
        None,
        &Silence,
        &Options::default(),
        stream::pending(),
    )
    .await;
    assert_eq!(
        (report.outcome, report.failures.as_slice()),
        (Outcome::Done, [].as_slice()),
        "{name}: in peace\n{}\nin\n{}",
        shown(plan),
        world.snapshot()
    );
    world
}

impl Case<'_> {
    fn same(&self, world: &Snapshot, wanted: &Snapshot, what: &str) {
        assert!(
            world == wanted,
            "{}: {what}: the world is\n{world}and should be\n{wanted}after\n{}",
            self.name,
            shown(&self.plan)
        );
    }

    /// Everything that can happen to the plan of an `up`.
    pub async fn up(&self) -> Counts {
        let before = kept(&Memory::of(self.before));
        let world = in_peace(self.before, &self.plan, &self.name).await;
        let wanted = kept(&world);
        // What was brought up is as the file says: there is nothing more to do.
        let rest = (self.again)(&world.everything());
        assert!(
            rest.is_empty(),
            "{}: again\n{}\nafter\n{}",
            self.name,
            shown(&rest),
            shown(&self.plan)
        );
        let mut counts = Counts {
            plans: 1,
            steps: self.plan.steps.len(),
            ..Counts::default()
        };
        let main = self.plan.steps.iter().filter(|step| !step.farewell).count();
        for at in 0..self.plan.steps.len() {
            for when in When::ALL {
                self.failure(at, when, main, &before, &wanted).await;
                counts.failures += 1;
                self.crash(at, when, main, &before, &wanted).await;
                counts.crashes += 1;
                if at < main {
                    self.crash_and_forget(at, when, &wanted).await;
                    self.crash_and_down(at, when).await;
                    counts.crashes += 2;
                }
            }
            self.interruption(at, main, &before, &wanted).await;
            counts.interruptions += 1;
        }
        self.twice(&wanted).await;
        counts.repeats += self.plan.steps.len();
        counts
    }

    async fn failure(
        &self,
        at: usize,
        when: When,
        main: usize,
        before: &Snapshot,
        wanted: &Snapshot,
    ) {
        let what = format!("change {at} fails {when:?}");
        let world = Memory::of(self.before);
        world.arrange(Faults::one(at, when, How::Fails));
        let report = run(
            &self.plan,
            &world,
            None,
            &Silence,
            &Options::default(),
            stream::pending(),
        )
        .await;
        self.well(&report, &what);
        assert_eq!(
            report.failures.len(),
            1,
            "{}: {what}: {:?}",
            self.name,
            report.failures
        );
        if at < main {
            assert_eq!(report.outcome, Outcome::Failed, "{}: {what}", self.name);
            self.same(&kept(&world), before, &what);
        } else {
            assert_eq!(report.outcome, Outcome::Done, "{}: {what}", self.name);
            self.finish(&world, wanted, &what).await;
        }
    }

    async fn crash(
        &self,
        at: usize,
        when: When,
        main: usize,
        before: &Snapshot,
        wanted: &Snapshot,
    ) {
        let what = format!("change {at} crashes {when:?}");
        let directory = memory_directory();
        let path = directory.path().join("lab.journal");
        let world = Memory::of(self.before);
        world.arrange(Faults::one(at, when, How::Crashes));
        let journal = Journal::begin(&path, &heading(), &self.plan).unwrap();
        let options = Options::default();
        tokio::select! {
            _ = run(&self.plan, &world, Some(journal), &Silence, &options, stream::pending()) => {
                panic!("{}: {what}: it did not crash", self.name)
            }
            () = world.crashed() => {}
        }
        // Taking back crashes too, and is begun again.
        for faults in [Faults::one(at / 2, when, How::Crashes), Faults::default()] {
            world.arrange(faults);
            let unfinished = replay(&path, "one").unwrap().unwrap();
            assert_eq!(unfinished.committed, at >= main, "{}: {what}", self.name);
            let journal = Journal::resume(&unfinished).unwrap();
            let finished = tokio::select! {
                report = unwind(&unfinished, &world, Some(journal), &Silence, &options, stream::pending()) => Some(report),
                () = world.crashed() => None,
            };
            if let Some(report) = finished {
                self.well(&report, &what);
                break;
            }
        }
        assert!(!path.exists(), "{}: {what}: the journal stays", self.name);
        world.arrange(Faults::default());
        if at < main {
            self.same(&kept(&world), before, &format!("{what} and is taken back"));
        }
        self.finish(&world, wanted, &what).await;
    }

    /// Crashes there; the journal of it.
    async fn crashed(&self, at: usize, when: When, path: &std::path::Path) -> Memory {
        let world = Memory::of(self.before);
        world.arrange(Faults::one(at, when, How::Crashes));
        let journal = Journal::begin(path, &heading(), &self.plan).unwrap();
        let options = Options::default();
        tokio::select! {
            _ = run(&self.plan, &world, Some(journal), &Silence, &options, stream::pending()) => {
                panic!("{}: change {at} {when:?}: it did not crash", self.name)
            }
            () = world.crashed() => {}
        }
        world.arrange(Faults::default());
        world
    }

    /// Nothing can be taken back, and the next run goes on from what is there.
    async fn crash_and_forget(&self, at: usize, when: When, wanted: &Snapshot) {
        let directory = memory_directory();
        let world = self
            .crashed(at, when, &directory.path().join("lab.journal"))
            .await;
        let what = format!("change {at} crashes {when:?} and is forgotten");
        self.finish(&world, wanted, &what).await;
    }

    /// The next run is `down`, which brings nothing back that it removes, and leaves nothing.
    async fn crash_and_down(&self, at: usize, when: When) {
        let project = &self.plan.project;
        let options = DownOptions::default();
        let what = format!("{}: change {at} crashes {when:?} and goes down", self.name);
        let plan = down(project, self.before, &options).unwrap();
        let wanted = kept(&in_peace(self.before, &plan, &what).await);

        let directory = memory_directory();
        let path = directory.path().join("lab.journal");
        let world = self.crashed(at, when, &path).await;
        let mut unfinished = replay(&path, "one").unwrap().unwrap();
        assert!(is_about(&unfinished.plan, None));
        unfinished.give_up(is_moot);
        let runs = world.everything().containers.into_iter();
        let ran: BTreeSet<String> = runs
            .filter(|own| own.runs())
            .map(|own| own.engine_id)
            .collect();
        let ears = Silence;
        let options = Options::default();
        let report = unwind(
            &unfinished,
            &world,
            None,
            &ears,
            &options,
            stream::pending(),
        )
        .await;
        self.well(&report, &what);
        let runs = world.everything().containers.into_iter();
        for own in runs.filter(|own| own.runs()) {
            assert!(
                ran.contains(&own.engine_id),
                "{what}: {} is started in vain",
                own.name
            );
        }
        let plan = down(project, &world.everything(), &DownOptions::default()).unwrap();
        let after = kept(&in_peace(&world.everything(), &plan, &what).await);
        self.same(&after, &wanted, &what);
    }

    /// Planned anew, the world becomes as wanted.
    async fn finish(&self, world: &Memory, wanted: &Snapshot, what: &str) {
        let plan = (self.again)(&world.everything());
        let after = in_peace(
            &world.everything(),
            &plan,
            &format!("{}: {what}: again", self.name),
        )
        .await;
        let (after, wanted) = (kept(&after).without_ids(), wanted.clone().without_ids());
        self.same(&after, &wanted, &format!("{what} and is planned again"));
    }

    async fn interruption(&self, at: usize, main: usize, before: &Snapshot, wanted: &Snapshot) {
        let what = format!("interrupted when step {at} begins");
        let world = Memory::of(self.before);
        let trigger = Trigger::at(at);
        let signals = Box::pin(stream::once(trigger.notify.notified()));
        let report = run(
            &self.plan,
            &world,
            None,
            &trigger,
            &Options::default(),
            signals,
        )
        .await;
        self.well(&report, &what);
        match report.outcome {
            // The last step may end in the same moment.
            Outcome::Done => self.same(&kept(&world), wanted, &what),
            Outcome::Interrupted if at < main => self.same(&kept(&world), before, &what),
            Outcome::Interrupted => self.finish(&world, wanted, &what).await,
            Outcome::Failed | Outcome::Abandoned => {
                panic!("{}: {what}: {:?}", self.name, report.outcome)
            }
        }
    }

    async fn twice(&self, wanted: &Snapshot) {
        let world = Twice(Memory::of(self.before));
        let report = run(
            &self.plan,
            &world,
            None,
            &Silence,
            &Options::default(),
            stream::pending(),
        )
        .await;
        self.well(&report, "each step twice");
        assert_eq!(
            report.outcome,
            Outcome::Done,
            "{}: each step twice: {:?}",
            self.name,
            report.failures
        );
        self.same(&kept(&world.0), wanted, "each step twice");
    }

    /// Everything that can happen to the plan of a `down`: it is not taken back, but begun again.
    pub async fn down(&self) -> Counts {
        let wanted = kept(&in_peace(self.before, &self.plan, &self.name).await);
        let mut counts = Counts {
            plans: 1,
            steps: self.plan.steps.len(),
            ..Counts::default()
        };
        let options = Options {
            on_failure: OnFailure::GoOn,
            ..Options::default()
        };
        for at in 0..self.plan.steps.len() {
            for when in When::ALL {
                for how in [How::Fails, How::Crashes] {
                    let what = format!("change {at} {how:?} {when:?}");
                    let world = Memory::of(self.before);
                    world.arrange(Faults::one(at, when, how));
                    tokio::select! {
                        report = run(&self.plan, &world, None, &Silence, &options, stream::pending()) => {
                            assert_eq!(how, How::Fails);
                            assert_eq!(report.failures.len(), 1, "{}: {what}: {:?}", self.name, report.failures);
                            assert!(report.undone.is_empty());
                            let ended = report.done.len() + report.skipped.len() + report.not_started.len();
                            assert_eq!(ended + 1, self.plan.steps.len(), "{}: {what}: {report:?}", self.name);
                            counts.failures += 1;
                        }
                        () = world.crashed() => counts.crashes += 1,
                    }
                    world.arrange(Faults::default());
                    self.finish(&world, &wanted, &what).await;
                }
            }
        }
        self.twice(&wanted).await;
        counts.repeats += self.plan.steps.len();
        counts
    }

    fn well(&self, report: &Report, what: &str) {
        assert!(
            report.left.is_empty(),
            "{}: {what}: left {:#?}\nafter\n{}",
            self.name,
            report.left,
            shown(&self.plan)
        );
    }
}

/// A directory for a journal, in memory where there is such: what a sync costs is not what is tested here.
fn memory_directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// Tells when the n-th step begins.
struct Trigger {
    at: usize,
    seen: AtomicUsize,
    notify: Arc<Notify>,
}

impl Trigger {
    fn at(at: usize) -> Trigger {
        Trigger {
            at,
            seen: AtomicUsize::new(0),
            notify: Arc::new(Notify::new()),
        }
    }
}

impl Listener for Trigger {
    fn hear(&self, event: &Event) {
        if let Event::StepStarted { .. } = event {
            if self.seen.fetch_add(1, Ordering::SeqCst) == self.at {
                self.notify.notify_one();
            }
        }
    }
}

/// A world that does everything twice.
struct Twice(Memory);

impl World for Twice {
    async fn observe(&self, scope: &Scope) -> Result<Observed, WorldError> {
        self.0.observe(scope).await
    }

    async fn change(
        &self,
        project: &ProjectName,
        step: &Step,
        progress: &dyn Progress,
    ) -> Result<(), WorldError> {
        self.0.change(project, step, progress).await?;
        self.0.change(project, step, progress).await
    }

    async fn wait(
        &self,
        project: &ProjectName,
        id: &ResourceId,
        milestone: Milestone,
    ) -> Result<(), WorldError> {
        self.0.wait(project, id, milestone).await
    }
}
