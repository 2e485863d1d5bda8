//! The way back: after a failure, after one interruption and after two, and by the next run.

use std::time::Duration;

use futures_util::stream::{self, Stream};
use stack::apply::event::Silence;
use stack::apply::journal::{Journal, replay};
use stack::apply::report::Outcome;
use stack::apply::{OnFailure, Options, run, unwind};
use stack::plan::step::{Milestone, StepIndex};
use stack::world::memory::Fortune;
use stack::world::memory::faults::{Faults, How, When};

use super::{Minutes, container, heading, heard, plan, quietly, slow, volume, world};

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
    let (report, told) = heard(&plan, &world, stream::pending()).await;
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
    .assert_eq(&told);
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
async fn the_first_interruption_lets_running_steps_end_and_takes_them_back() {
    let world = world();
    let before = world.snapshot();
    let steps = vec![volume("a"), container("b"), container("c")];
    world.arrange(slow(&[&steps[1]], 60));
    let plan = plan(steps, &[(0, 1, Milestone::Done), (1, 2, Milestone::Done)]);
    let (report, told) = heard(&plan, &world, stops(&[30])).await;
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
    .assert_eq(&told);
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
