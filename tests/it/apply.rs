//! The executor on the world in memory: order, bounds, milestones, the way back, crashes, interruptions, journal.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream::{self, Stream};
use stack::apply::event::{Event, Listener, Silence, Subject};
use stack::apply::journal::{Heading, Journal, JournalError, Paper, replay};
use stack::apply::report::{Outcome, Report};
use stack::apply::{OnFailure, Options, run, unwind};
use stack::model::container::ContainerConfig;
use stack::model::name::ProjectName;
use stack::plan::observed::{Observed, Scope};
use stack::plan::spec::{ContainerNetwork, ContainerSpec, Kind, ResourceId, Spec, VolumeSpec};
use stack::plan::step::{Edge, Milestone, Plan, Reason, State, Step, StepIndex, Undo};
use stack::world::memory::faults::{Faults, How, When};
use stack::world::memory::{Fortune, Memory};
use stack::world::{Progress, World, WorldError};

pub fn project() -> ProjectName {
    "lab".parse().unwrap()
}

/// A volume that is made.
fn volume(name: &str) -> Step {
    let spec = Spec::Volume(VolumeSpec {
        name: name.to_owned(),
        key: name.parse().unwrap(),
        driver: None,
        driver_opts: Default::default(),
        labels: Default::default(),
    });
    step(spec, State::Present)
}

/// A container that is made and started.
fn container(name: &str) -> Step {
    let spec = Spec::Container(Box::new(ContainerSpec {
        name: name.to_owned(),
        service: name.parse().unwrap(),
        number: 1,
        image: "lab".to_owned(),
        config: Arc::new(ContainerConfig::default()),
        network: ContainerNetwork::None,
        ports: Vec::new(),
        expose: Vec::new(),
        volumes_from: Vec::new(),
        ipc: None,
        pid: None,
        post_start: Vec::new(),
        pre_stop: Vec::new(),
        labels: Default::default(),
        auto_remove: false,
        heir_of: None,
    }));
    step(spec, State::Running)
}

fn step(spec: Spec, state: fn(Arc<Spec>) -> State) -> Step {
    Step {
        id: spec.id(),
        before: State::Absent,
        after: state(Arc::new(spec)),
        reason: Reason::Missing,
        undo: Undo::Inverse,
        farewell: false,
    }
}

fn plan(steps: Vec<Step>, edges: &[(usize, usize, Milestone)]) -> Plan {
    Plan {
        project: project(),
        steps,
        edges: edges
            .iter()
            .map(|&(from, to, milestone)| Edge {
                from: StepIndex(from),
                to: StepIndex(to),
                milestone,
                optional: false,
            })
            .collect(),
    }
}

/// A world with an image and nothing else.
fn world() -> Memory {
    let mut observed = Observed::default();
    observed.images.insert("lab".into(), "sha256:lab".into());
    Memory::of(&observed)
}

pub fn heading() -> Heading {
    Heading {
        command: "up".into(),
        since: "noon".into(),
        boot: "one".into(),
    }
}

/// Writes down what it hears, without times.
#[derive(Default)]
struct Minutes(Mutex<Vec<String>>);

impl Minutes {
    fn text(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }
}

impl Listener for Minutes {
    fn hear(&self, event: &Event) {
        let about = |subject: &Subject| format!("{} {}", subject.verb, subject.id);
        let line = match event {
            Event::RunStarted { steps, .. } => format!("run of {}", steps.len()),
            Event::StepStarted { subject, .. } => about(subject),
            Event::StepProgress { subject, text } => format!("{}: {text}", about(subject)),
            Event::StepWarning { subject, text } => format!("{} warns: {text}", about(subject)),
            Event::StepDone { subject, .. } => format!("{} done", about(subject)),
            Event::StepFailed { subject, error, .. } => {
                format!("{} failed: {error}", about(subject))
            }
            Event::StepSkipped { subject, because } => {
                format!("{} skipped because of {because}", about(subject))
            }
            Event::Waiting {
                subject,
                milestone,
                waiting,
            } => {
                format!("{} wanted {milestone:?} by {}", subject.id, waiting.len())
            }
            Event::MilestoneReached {
                subject, milestone, ..
            } => {
                format!("{} is {milestone:?}", subject.id)
            }
            Event::MilestoneMissed {
                subject,
                error,
                without,
                ..
            } => {
                format!("{} missed: {error}; {} without", subject.id, without.len())
            }
            Event::UndoStarted { steps } => format!("undo of {steps}"),
            Event::Undoing { subject } => about(subject),
            Event::Undone { subject, .. } => format!("{} undone", about(subject)),
            Event::UndoFailed {
                subject,
                error,
                remedy,
            } => {
                format!("{} stuck: {error}; {remedy}", about(subject))
            }
            Event::Interrupted { again } => format!("interrupted, again: {again}"),
            Event::JournalFailed { error } => format!("journal: {error}"),
            Event::RunFinished {
                done,
                failed,
                skipped,
                undone,
                left,
                ..
            } => {
                format!("done {done} failed {failed} skipped {skipped} undone {undone} left {left}")
            }
        };
        self.0.lock().unwrap().push(line);
    }
}

async fn quietly(plan: &Plan, world: &Memory, options: &Options) -> Report {
    run(plan, world, None, &Silence, options, stream::pending()).await
}

/// Wishes to stop after these times.
fn stops(after: &[u64]) -> impl Stream<Item = ()> + Unpin + use<> {
    let mut times: Vec<u64> = after.to_vec();
    times.reverse();
    Box::pin(stream::unfold(times, |mut times| async move {
        let next = times.pop()?;
        tokio::time::sleep(Duration::from_millis(next)).await;
        Some(((), times))
    }))
}

fn slow(steps: &[&Step], milliseconds: u64) -> Faults {
    Faults {
        delays: steps
            .iter()
            .map(|step| (step.id.clone(), Duration::from_millis(milliseconds)))
            .collect(),
        ..Faults::default()
    }
}

#[tokio::test]
async fn a_run_tells_every_fact_in_order() {
    let world = world();
    let steps = vec![volume("a"), container("b"), container("c")];
    let plan = plan(
        steps,
        &[(0, 1, Milestone::Done), (1, 2, Milestone::Healthy)],
    );
    let minutes = Minutes::default();
    let report = run(
        &plan,
        &world,
        None,
        &minutes,
        &Options::default(),
        stream::pending(),
    )
    .await;
    expect_test::expect![[r#"
        run of 3
        create volume/a
        create volume/a done
        run container/b
        run container/b done
        container/b wanted Healthy by 1
        container/b is Healthy
        run container/c
        run container/c done
        done 3 failed 0 skipped 0 undone 0 left 0"#]]
    .assert_eq(&minutes.text());
    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!(report.machine(), "everything is as planned");
}

#[tokio::test]
async fn a_failed_run_is_taken_back_the_failing_step_first() {
    let world = world();
    let before = world.snapshot();
    let steps = vec![volume("a"), container("b"), container("c"), container("d")];
    let edges = [
        (0, 1, Milestone::Done),
        (1, 2, Milestone::Done),
        (2, 3, Milestone::Done),
    ];
    let plan = plan(steps, &edges);
    world.arrange(Faults::one(2, When::Half, How::Fails));
    let minutes = Minutes::default();
    let report = run(
        &plan,
        &world,
        None,
        &minutes,
        &Options::default(),
        stream::pending(),
    )
    .await;
    expect_test::expect![[r#"
        run of 4
        create volume/a
        create volume/a done
        run container/b
        run container/b done
        run container/c
        run container/c failed: cannot run container/c: a fault that was arranged
        run container/d skipped because of container/c
        undo of 3
        remove container/c
        remove container/c undone
        remove container/b
        remove container/b undone
        remove volume/a
        remove volume/a undone
        done 0 failed 1 skipped 1 undone 3 left 0"#]]
    .assert_eq(&minutes.text());
    assert_eq!(world.snapshot(), before);
    assert_eq!(
        report.machine(),
        "everything that this run changed was taken back"
    );
}

#[tokio::test]
async fn without_rollback_what_was_done_stays() {
    let world = world();
    let plan = plan(
        vec![volume("a"), container("b")],
        &[(0, 1, Milestone::Done)],
    );
    world.arrange(Faults::one(1, When::Before, How::Fails));
    let options = Options {
        on_failure: OnFailure::Keep,
        ..Options::default()
    };
    let report = quietly(&plan, &world, &options).await;
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(report.done, [StepIndex(0)]);
    assert_eq!(report.machine(), "1 step that succeeded stay done");
}

#[tokio::test]
async fn going_down_goes_on_where_it_can_and_lists_all_failures() {
    let world = world();
    let steps = vec![volume("a"), volume("b"), volume("c"), volume("d")];
    let plan = plan(steps, &[(0, 1, Milestone::Done), (2, 3, Milestone::Done)]);
    world.arrange(Faults::one(0, When::Before, How::Fails));
    let options = Options {
        on_failure: OnFailure::GoOn,
        parallel: 1,
        ..Options::default()
    };
    let report = quietly(&plan, &world, &options).await;
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(report.failures.len(), 1);
    assert_eq!(report.skipped.len(), 1);
    assert_eq!(report.done, [StepIndex(2), StepIndex(3)]);
}

#[tokio::test]
async fn an_optional_milestone_that_is_missed_is_a_warning() {
    let world = world();
    let mut plan = plan(
        vec![container("b"), container("c")],
        &[(0, 1, Milestone::Healthy)],
    );
    plan.edges[0].optional = true;
    world.decide(plan.steps[0].id.clone(), Fortune::Fails);
    let report = quietly(&plan, &world, &Options::default()).await;
    assert_eq!(report.outcome, Outcome::Done);
    let texts: Vec<&str> = report.warnings.iter().map(|w| w.text.as_str()).collect();
    assert_eq!(
        texts,
        ["waiting for container/b: it is unhealthy; container/c goes on without it"]
    );
}

#[tokio::test]
async fn a_milestone_that_is_not_reached_in_time_fails_the_run() {
    let world = world();
    let before = world.snapshot();
    let plan = plan(
        vec![container("b"), container("c")],
        &[(0, 1, Milestone::Healthy)],
    );
    world.decide(plan.steps[0].id.clone(), Fortune::Hangs);
    let options = Options {
        healthy: Duration::from_millis(20),
        ..Options::default()
    };
    let report = quietly(&plan, &world, &options).await;
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(
        report.failures[0].error,
        "waiting until container/b is healthy: it is not so after 0.02 s"
    );
    assert_eq!(world.snapshot(), before);
}

/// Counts how many changes run at once.
struct Crowd {
    inside: AtomicUsize,
    most: AtomicUsize,
}

impl World for Crowd {
    async fn observe(&self, _scope: &Scope) -> Result<Observed, WorldError> {
        Ok(Observed::default())
    }

    async fn change(
        &self,
        _project: &ProjectName,
        _step: &Step,
        _progress: &dyn Progress,
    ) -> Result<(), WorldError> {
        let now = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.inside.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }

    async fn wait(
        &self,
        _project: &ProjectName,
        _id: &ResourceId,
        _milestone: Milestone,
    ) -> Result<(), WorldError> {
        Ok(())
    }
}

#[tokio::test]
async fn no_more_steps_run_at_once_than_wanted_and_no_fewer() {
    let steps = (0..24).map(|n| container(&format!("c{n}"))).collect();
    let world = Crowd {
        inside: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
    };
    let options = Options {
        parallel: 5,
        ..Options::default()
    };
    let plan = plan(steps, &[]);
    let report = run(&plan, &world, None, &Silence, &options, stream::pending()).await;
    assert_eq!(report.done.len(), 24);
    assert_eq!(world.most.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn no_level_is_a_barrier() {
    // Two chains; a slow first step of one must not hold up the second step of the other.
    let world = world();
    let steps = vec![volume("slow"), volume("a"), volume("b"), volume("c")];
    world.arrange(slow(&[&steps[0]], 50));
    let plan = plan(steps, &[(1, 2, Milestone::Done), (2, 3, Milestone::Done)]);
    let report = quietly(&plan, &world, &Options::default()).await;
    let order: Vec<usize> = report.done.iter().map(|step| step.0).collect();
    assert_eq!(order, [1, 2, 3, 0]);
}

#[tokio::test]
async fn farewells_run_last_and_are_not_taken_back() {
    let world = world();
    let farewell = Step {
        farewell: true,
        undo: Undo::Never,
        ..volume("goodbye")
    };
    let steps = vec![volume("a"), container("b"), farewell];
    let plan = plan(steps, &[]);
    world.arrange(slow(&[&plan.steps[1]], 20));
    let report = quietly(&plan, &world, &Options::default()).await;
    let order: Vec<usize> = report.done.iter().map(|step| step.0).collect();
    assert_eq!(order, [0, 1, 2]);
    // A farewell that fails is told, and the run stays done.
    let world = self::world();
    world.arrange(Faults::one(2, When::Before, How::Fails));
    let report = quietly(&plan, &world, &Options::default()).await;
    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!(report.failures.len(), 1);
    assert_eq!(report.done.len(), 2);
    // After a failure none runs.
    let world = self::world();
    let before = world.snapshot();
    world.arrange(Faults::one(1, When::Before, How::Fails));
    quietly(&plan, &world, &Options::default()).await;
    assert_eq!(world.snapshot(), before);
}

#[tokio::test]
async fn the_first_interruption_lets_running_steps_end_and_takes_them_back() {
    let world = world();
    let before = world.snapshot();
    let steps = vec![volume("a"), container("b"), container("c")];
    world.arrange(slow(&[&steps[1]], 60));
    let plan = plan(steps, &[(0, 1, Milestone::Done), (1, 2, Milestone::Done)]);
    let minutes = Minutes::default();
    let report = run(
        &plan,
        &world,
        None,
        &minutes,
        &Options::default(),
        stops(&[30]),
    )
    .await;
    expect_test::expect![[r#"
        run of 3
        create volume/a
        create volume/a done
        run container/b
        run container/b: waits
        interrupted, again: false
        run container/b done
        undo of 2
        remove container/b
        remove container/b: waits
        remove container/b undone
        remove volume/a
        remove volume/a undone
        done 0 failed 0 skipped 0 undone 2 left 0"#]]
    .assert_eq(&minutes.text());
    assert_eq!(report.outcome, Outcome::Interrupted);
    assert_eq!(report.not_started, [StepIndex(2)]);
    assert_eq!(world.snapshot(), before);
}

#[tokio::test]
async fn a_running_step_that_does_not_end_is_cut_off_and_taken_back() {
    let world = world();
    let before = world.snapshot();
    let plan = plan(vec![volume("a"), container("b")], &[]);
    world.arrange(Faults::one(0, When::After, How::Crashes));
    let options = Options {
        grace: Duration::from_millis(20),
        ..Options::default()
    };
    let report = run(&plan, &world, None, &Silence, &options, stops(&[10])).await;
    assert_eq!(report.outcome, Outcome::Interrupted);
    assert_eq!(world.snapshot(), before);
}

#[tokio::test]
async fn the_second_interruption_leaves_at_once_and_the_next_run_repairs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lab.journal");
    let world = world();
    let before = world.snapshot();
    let plan = plan(
        vec![volume("a"), container("b")],
        &[(0, 1, Milestone::Done)],
    );
    world.arrange(Faults::one(1, When::Half, How::Crashes));
    let journal = Journal::begin(&path, &heading(), &plan).unwrap();
    let options = Options::default();
    let report = run(
        &plan,
        &world,
        Some(journal),
        &Silence,
        &options,
        stops(&[5, 5]),
    )
    .await;
    assert_eq!(report.outcome, Outcome::Abandoned);
    assert_ne!(world.snapshot(), before);
    assert_eq!(
        Journal::begin(&path, &heading(), &plan)
            .err()
            .unwrap()
            .to_string(),
        format!("`{}` tells of an unfinished run", path.display())
    );

    let unfinished = replay(&path, "one").unwrap().unwrap();
    let steps: Vec<String> = unfinished
        .unwind()
        .steps
        .iter()
        .map(|step| format!("{} {}", step.verb(), step.id))
        .collect();
    assert_eq!(steps, ["remove container/b", "remove volume/a"]);
    world.arrange(Faults::default());
    let journal = Journal::resume(&unfinished).unwrap();
    let report = unwind(
        &unfinished,
        &world,
        Some(journal),
        &Silence,
        &options,
        stream::pending(),
    )
    .await;
    assert_eq!(report.undone, [StepIndex(1), StepIndex(0)]);
    assert_eq!(world.snapshot(), before);
    assert!(!path.exists());
}

#[tokio::test]
async fn what_cannot_be_taken_back_is_listed_and_tried_again_by_the_next_run() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lab.journal");
    let world = world();
    let before = world.snapshot();
    let plan = plan(
        vec![volume("a"), container("b"), volume("c")],
        &[(0, 1, Milestone::Done), (1, 2, Milestone::Done)],
    );
    let options = Options {
        undo: Duration::from_millis(20),
        ..Options::default()
    };
    let journal = Journal::begin(&path, &heading(), &plan).unwrap();
    // The undo of `b` is the fifth change: a, b, c fails (by a fortune), undo c, undo b.
    world.decide(plan.steps[1].id.clone(), Fortune::Fails);
    let mut plan = plan;
    plan.edges[1].milestone = Milestone::Healthy;
    world.arrange(Faults::one(2, When::Before, How::Fails));
    let minutes = Minutes::default();
    let report = run(
        &plan,
        &world,
        Some(journal),
        &minutes,
        &options,
        stream::pending(),
    )
    .await;
    expect_test::expect![[r#"
        run of 3
        create volume/a
        create volume/a done
        run container/b
        run container/b done
        container/b wanted Healthy by 1
        container/b missed: waiting for container/b: it is unhealthy; 0 without
        create volume/c skipped because of container/b
        undo of 2
        remove container/b
        remove container/b stuck: cannot remove container/b: a fault that was arranged; run `stack --project-name lab down` to try again; by hand: `docker rm --force b`
        remove volume/a
        remove volume/a undone
        done 0 failed 1 skipped 1 undone 1 left 1"#]]
    .assert_eq(&minutes.text());
    assert_eq!(
        report.machine(),
        "1 thing could not be taken back; see above for what to do"
    );
    let unfinished = replay(&path, "one").unwrap().unwrap();
    let journal = Journal::resume(&unfinished).unwrap();
    unwind(
        &unfinished,
        &world,
        Some(journal),
        &Silence,
        &options,
        stream::pending(),
    )
    .await;
    assert_eq!(world.snapshot(), before);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_plan_in_a_circle_does_nothing() {
    let world = world();
    let plan = plan(
        vec![volume("a"), volume("b")],
        &[(0, 1, Milestone::Done), (1, 0, Milestone::Done)],
    );
    let report = quietly(&plan, &world, &Options::default()).await;
    assert_eq!(world.changes(), 0);
    assert_eq!(
        report.failures[0].error,
        "the plan cannot be walked: steps wait for each other in a circle: 0 -> 1 -> 0"
    );
    assert_eq!(report.machine(), "nothing was changed");
}

/// Paper with room for so many lines.
struct SmallPaper(usize);

impl std::io::Write for SmallPaper {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        match self.0 {
            0 => Err(std::io::ErrorKind::StorageFull.into()),
            _ => {
                self.0 -= 1;
                Ok(text.len())
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Paper for SmallPaper {
    fn sync(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_disk_that_is_full_in_the_middle_stops_the_run_and_all_is_taken_back() {
    let steps: Vec<Step> = (0..4).map(|n| volume(&format!("v{n}"))).collect();
    let edges: Vec<_> = (1..4).map(|n| (n - 1, n, Milestone::Done)).collect();
    let plan = plan(steps, &edges);
    for lines in 0..8 {
        let world = world();
        let before = world.snapshot();
        let path = std::path::Path::new("/nowhere/lab.journal");
        let journal = Journal::on(path, Box::new(SmallPaper(lines)), &plan);
        let options = Options::default();
        let report = run(
            &plan,
            &world,
            Some(journal),
            &Silence,
            &options,
            stream::pending(),
        )
        .await;
        assert_eq!(report.outcome, Outcome::Failed, "{lines}");
        assert_eq!(world.snapshot(), before, "{lines}");
        assert_eq!(
            report.failures[0].error,
            "cannot write to the journal `/nowhere/lab.journal`: no storage space"
        );
    }
}

/// Runs in a thread of its own, with a file system of 64 kB mounted where only that thread sees it.
fn with_small_disk<T: Send>(test: impl FnOnce(&std::path::Path) -> T + Send) -> Result<T, String> {
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = directory.path();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let flags = CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS;
            unshare(flags).map_err(|errno| format!("no mount namespace of its own: {errno}"))?;
            let none = None::<&str>;
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(none, "/", none, private, none).map_err(|errno| errno.to_string())?;
            let size = Some("size=64k");
            mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), size)
                .map_err(|errno| errno.to_string())?;
            Ok(test(path))
        });
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn a_journal_on_a_full_disk_is_an_error_before_anything_happens() {
    let steps = |count: usize| (0..count).map(|n| volume(&format!("v{n}"))).collect();
    let small = plan(steps(1), &[]);
    let large = plan(steps(200), &[]);
    let tested = with_small_disk(|disk| {
        let path = disk.join("lab.journal");
        let error = Journal::begin(&path, &heading(), &large).err();
        let left = path.exists();
        let fits = Journal::begin(&path, &heading(), &small).is_ok();
        (error, left, fits)
    });
    let (error, left, fits) = match tested {
        Ok(tested) => tested,
        Err(reason) => return println!("skipped: {reason}"),
    };
    assert!(
        matches!(error, Some(JournalError::Write { .. })),
        "{error:?}"
    );
    assert!(!left);
    assert!(fits);
}

#[test]
fn a_journal_that_cannot_be_made_is_an_error_before_anything_happens() {
    let directory = tempfile::tempdir().unwrap();
    let plan = plan(vec![volume("a")], &[]);
    let missing = directory.path().join("no/such/lab.journal");
    let error = Journal::begin(&missing, &heading(), &plan).err().unwrap();
    assert!(matches!(error, JournalError::Create { .. }), "{error}");
    assert!(!missing.exists());
}

#[test]
fn a_torn_last_line_is_as_if_it_were_not_there_and_a_torn_middle_is_told() {
    use stack::apply::status::{Act, Status};
    use std::io::Write;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lab.journal");
    let plan = plan(vec![volume("a"), volume("b")], &[]);
    let mut journal = Journal::begin(&path, &heading(), &plan).unwrap();
    journal.note(StepIndex(0), Act::Start).unwrap();
    journal.note(StepIndex(0), Act::Finish).unwrap();
    let whole = std::fs::read(&path).unwrap();
    // Cut at every byte: replay must never fail, and never know more than what is whole.
    for cut in 0..=whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let lines = whole[..cut].iter().filter(|&&byte| byte == b'\n').count();
        let status = replay(&path, "one")
            .unwrap()
            .map(|found| found.statuses.of(StepIndex(0)));
        let expected = [
            None,
            Some(Status::Planned),
            Some(Status::Started),
            Some(Status::Done),
        ];
        assert_eq!(status, expected[lines], "cut at {cut}");
    }
    // A run that goes on behind a torn line writes a whole one.
    std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
    let unfinished = replay(&path, "one").unwrap().unwrap();
    let mut journal = Journal::resume(&unfinished).unwrap();
    journal.note(StepIndex(0), Act::Undo).unwrap();
    let unfinished = replay(&path, "one").unwrap().unwrap();
    assert_eq!(unfinished.statuses.of(StepIndex(0)), Status::Undoing);

    std::fs::write(&path, &whole).unwrap();
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap();
    file.write_all(b"\0\0\0\n{\"step\":1,\"act\":\"start\"}\n")
        .unwrap();
    let error = replay(&path, "one").unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "line 4 of the journal `{}` is not what this program writes",
            path.display()
        )
    );
    // After a power cut the hole is where the journal ends.
    let unfinished = replay(&path, "two").unwrap().unwrap();
    assert!(unfinished.rebooted);
    assert_eq!(unfinished.statuses.of(StepIndex(1)), Status::Planned);

    std::fs::write(&path, &whole).unwrap();
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap();
    file.write_all(b"{\"step\":1,\"act\":\"undone\"}\n")
        .unwrap();
    let error = replay(&path, "one").unwrap_err().to_string();
    assert!(
        error.ends_with("step 1 is Planned and cannot Undone"),
        "{error}"
    );
}

#[test]
fn the_journal_costs_less_than_a_millisecond_a_step() {
    use stack::apply::status::Act;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lab.journal");
    let steps: Vec<Step> = (0..200).map(|n| container(&format!("c{n}"))).collect();
    let plan = plan(steps, &[]);
    let began = std::time::Instant::now();
    let mut journal = Journal::begin(&path, &heading(), &plan).unwrap();
    for index in (0..200).map(StepIndex) {
        journal.note(index, Act::Start).unwrap();
        journal.note(index, Act::Finish).unwrap();
    }
    journal.finish().unwrap();
    let each = began.elapsed() / 200;
    println!("journal: {each:?} a step");
    assert!(each < Duration::from_millis(1), "{each:?}");
}

#[test]
fn steps_that_must_not_be_forgotten_are_known() {
    use stack::apply::journal::careful;
    use stack::plan::spec::{ExistingContainer, PromiscuitySpec};
    let old = Arc::new(Spec::Existing(ExistingContainer {
        engine_id: "0123456789abcdef".into(),
        name: "b".into(),
        service: None,
        number: 1,
        stop_timeout: None,
        remove_volumes: false,
        pre_stop: Vec::new(),
    }));
    let park = Step {
        before: State::Running(Arc::clone(&old)),
        after: State::Parked(old),
        ..container("b")
    };
    let flag = Spec::Promiscuity(PromiscuitySpec {
        link: "eth0".parse().unwrap(),
    });
    assert_eq!(flag.id().kind, Kind::Promiscuity);
    let steps = vec![
        park,
        container("b"),
        container("c"),
        step(flag, State::Present),
    ];
    assert_eq!(careful(&plan(steps, &[])), [true, true, false, true]);
}
