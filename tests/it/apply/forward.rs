//! A run that goes forward: order, bounds, milestones, farewells.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{self};
use stack::apply::event::Silence;
use stack::apply::report::Outcome;
use stack::apply::{OnFailure, Options, run};
use stack::model::name::ProjectName;
use stack::plan::observed::{Observed, Scope};
use stack::plan::spec::ResourceId;
use stack::plan::step::{Milestone, State, Step, StepIndex, Undo};
use stack::world::memory::Fortune;
use stack::world::memory::faults::{Faults, How, When};
use stack::world::{Progress, World, WorldError};

use super::{container, heard, plan, quietly, slow, volume, world};

#[tokio::test]
async fn a_run_tells_every_fact_in_order() {
    let world = world();
    let steps = vec![volume("a"), container("b"), container("c")];
    let plan = plan(
        steps,
        &[(0, 1, Milestone::Done), (1, 2, Milestone::Healthy)],
    );
    let (report, told) = heard(&plan, &world, stream::pending()).await;
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
    .assert_eq(&told);
    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!(report.machine(), "everything is as planned");
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
async fn one_at_a_time_is_one_of_all_kinds() {
    let world = Crowd {
        inside: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
    };
    let stops = |name: &str| {
        let made = container(name);
        Step {
            before: made.after.clone(),
            after: State::Absent,
            ..made
        }
    };
    let goodbye = |name: &str| Step {
        farewell: true,
        undo: Undo::Never,
        ..stops(name)
    };
    let steps = vec![
        volume("a"),
        volume("b"),
        container("c"),
        stops("d"),
        stops("e"),
        goodbye("f"),
        goodbye("g"),
    ];
    let options = Options {
        parallel: 1,
        ..Options::default()
    };
    let plan = plan(steps, &[]);
    let report = run(&plan, &world, None, &Silence, &options, stream::pending()).await;
    assert_eq!(report.done.len(), 7);
    assert_eq!(world.most.load(Ordering::SeqCst), 1);
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
