//! Where the time of a run went, with given moments: waiting for others, for a slot, and the critical path.

use std::time::Duration;

use stack::apply::course::{Act, Course, Ending, Moments, Owner};
use stack::apply::event::{Event, Subject};
use stack::plan::spec::{Kind, ResourceId};
use stack::plan::step::{Milestone, Plan, Reason, State, Step, StepIndex, Undo};

use crate::apply::plan;

/// A step of this kind; what it is made of does not matter here.
fn step(kind: Kind, name: &str) -> Step {
    Step {
        id: ResourceId::new(kind, name),
        before: State::Absent,
        after: State::Absent,
        reason: Reason::Missing,
        undo: Undo::Inverse,
        farewell: false,
    }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The moments of steps that each began and ended at these milliseconds.
fn moments(plan: &Plan, times: &[(u64, u64)]) -> Moments {
    let mut moments = Moments::default();
    for (index, &(began, ended)) in times.iter().enumerate() {
        let index = StepIndex(index);
        let subject = Subject::of(index, &plan.steps[index.0]);
        let reason = Reason::Missing;
        let started = Event::StepStarted {
            subject: subject.clone(),
            reason,
        };
        moments.hear(&started, ms(began));
        let took = ms(ended - began);
        moments.hear(&Event::StepDone { subject, took }, ms(ended));
    }
    moments
}

fn told(course: &Course) -> Vec<String> {
    course
        .critical
        .iter()
        .map(|leg| {
            let act = match leg.act {
                Act::Step(step) => format!("step {}", step.0),
                Act::Wait(step, milestone) => format!("{milestone:?} {}", step.0),
                Act::Between => "between".to_owned(),
            };
            let (began, took) = (leg.began.as_millis(), leg.took.as_millis());
            format!("{began} +{took} {act}: {:?}", leg.owner)
        })
        .collect()
}

fn sum(course: &Course) -> Duration {
    course.owed().values().sum()
}

#[test]
fn the_critical_path_is_the_chain_that_ends_last_and_adds_up() {
    let plan = plan(
        vec![
            step(Kind::Link, "eth0.20"),
            step(Kind::Network, "lab_lan"),
            step(Kind::Network, "lab_quick"),
            step(Kind::Container, "db"),
            step(Kind::Container, "web"),
        ],
        &[
            (0, 1, Milestone::Done),
            (1, 3, Milestone::Done),
            (2, 4, Milestone::Done),
            (3, 4, Milestone::Healthy),
        ],
    );
    let mut moments = moments(&plan, &[(1, 6), (6, 46), (1, 31), (47, 300), (1500, 1700)]);
    moments.hear(
        &Event::MilestoneReached {
            subject: Subject::of(StepIndex(3), &plan.steps[3]),
            milestone: Milestone::Healthy,
            took: ms(1200),
        },
        ms(1500),
    );
    let course = moments.course(&plan, 8, ms(1703));
    assert_eq!(
        told(&course),
        [
            "0 +1 between: Ours",
            "1 +5 step 0: Host",
            "6 +40 step 1: Engine",
            "46 +1 between: Ours",
            "47 +253 step 3: Engine",
            "300 +1200 Healthy 3: Containers",
            "1500 +200 step 4: Engine",
            "1700 +3 between: Ours",
        ]
    );
    assert_eq!(sum(&course), ms(1703));
    assert!(course.is_critical(StepIndex(4)) && !course.is_critical(StepIndex(2)));
    let waits: Vec<_> = course
        .waits
        .iter()
        .map(|wait| (wait.step.0, wait.ended))
        .collect();
    assert_eq!(waits, [(3, ms(1500))]);
}

#[test]
fn the_path_goes_on_with_the_step_that_held_the_slot() {
    let names = ["a", "b", "c"];
    let steps = names.map(|name| step(Kind::Container, name)).to_vec();
    let plan = plan(steps, &[(0, 2, Milestone::Done)]);
    // One slot: `c` could run at 100, when `a` had ended, and ran when `b` had ended too.
    let course = moments(&plan, &[(0, 100), (100, 250), (252, 300)]).course(&plan, 1, ms(300));
    let slots: Vec<_> = course.steps.iter().map(|timed| timed.slot).collect();
    assert_eq!(slots, [ms(0), ms(100), ms(150)]);
    assert_eq!(
        told(&course),
        [
            "0 +100 step 0: Engine",
            "100 +150 step 1: Engine",
            "250 +2 between: Ours",
            "252 +48 step 2: Engine",
        ]
    );
    assert_eq!(sum(&course), ms(300));
    // With room for all it was nobody's slot that it waited for.
    let course = moments(&plan, &[(0, 100), (100, 250), (252, 300)]).course(&plan, 8, ms(300));
    assert_eq!(course.owed()[&Owner::Ours], ms(152));
}

#[test]
fn rows_hold_what_ran_at_the_same_time() {
    let steps = ["a", "b", "c"]
        .map(|name| step(Kind::Volume, name))
        .to_vec();
    let plan = plan(steps, &[]);
    let course = moments(&plan, &[(0, 10), (5, 30), (10, 20)]).course(&plan, 8, ms(30));
    let rows: Vec<_> = course.steps.iter().map(|timed| timed.row).collect();
    assert_eq!(rows, [0, 1, 0]);
}

#[test]
fn a_farewell_waits_for_all_others() {
    let mut farewell = step(Kind::Container, "old");
    farewell.farewell = true;
    let plan = plan(vec![step(Kind::Container, "new"), farewell], &[]);
    let course = moments(&plan, &[(0, 200), (200, 260)]).course(&plan, 8, ms(260));
    assert_eq!(
        told(&course),
        ["0 +200 step 0: Engine", "200 +60 step 1: Engine"]
    );
}

#[test]
fn a_step_that_failed_and_one_that_was_cut_off_are_told_as_such() {
    let steps = ["a", "b"].map(|name| step(Kind::Volume, name)).to_vec();
    let plan = plan(steps, &[]);
    let mut moments = Moments::default();
    for (index, step) in plan.steps.iter().enumerate() {
        let subject = Subject::of(StepIndex(index), step);
        let reason = Reason::Missing;
        moments.hear(&Event::StepStarted { subject, reason }, ms(0));
    }
    let subject = Subject::of(StepIndex(0), &plan.steps[0]);
    let (error, hint) = ("no room".to_owned(), None);
    moments.hear(
        &Event::StepFailed {
            subject,
            error,
            hint,
        },
        ms(40),
    );
    let course = moments.course(&plan, 8, ms(100));
    let endings: Vec<_> = course
        .steps
        .iter()
        .map(|timed| (timed.ended, timed.ending))
        .collect();
    assert_eq!(
        endings,
        [(ms(40), Ending::Failed), (ms(100), Ending::CutOff)]
    );
    assert_eq!(sum(&course), ms(100));
}

#[test]
fn a_run_in_which_nothing_began_is_ours() {
    let plan = plan(vec![step(Kind::Volume, "a")], &[]);
    let course = Moments::default().course(&plan, 8, ms(7));
    assert_eq!(told(&course), ["0 +7 between: Ours"]);
}
