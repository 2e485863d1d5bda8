//! Where the time of a run went: how long each step waited for others, for a slot, and ran; and the one chain of steps
//! that made the run as long as it was. Pure: facts with their moments go in, numbers come out. It measures nothing.
//!
//! Where a step had to wait for a slot, the path goes on with the step that held it until then: more slots would only
//! help if the engine were not busy with what is in them.
//!
//! The legs of [`Course::critical`] follow each other without a gap from the begin of the run to its end, so they add
//! up to what the run took.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::apply::event::Event;
use crate::apply::walk::Lane;
use crate::plan::step::{Milestone, Plan, StepIndex};

/// Who a stretch of time is owed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// The engine worked, or its answer was waited for.
    Engine,
    /// The kernel of the host.
    Host,
    /// Containers became healthy or completed.
    Containers,
    /// Another run on the same project.
    OtherRun,
    /// This program.
    Ours,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    Done,
    Failed,
    /// The run ended before it did.
    CutOff,
}

/// One step that ran. Moments count from the begin of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed {
    pub step: StepIndex,
    /// Everything that it needs was there.
    pub ready: Duration,
    pub began: Duration,
    pub ended: Duration,
    pub ending: Ending,
    /// The part between ready and began in which all slots were taken.
    pub slot: Duration,
    /// The place in the row of those that ran at the same time, from 0.
    pub row: usize,
}

/// A milestone that was waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    pub step: StepIndex,
    pub milestone: Milestone,
    pub began: Duration,
    pub ended: Duration,
}

/// What a stretch of the critical path was spent with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Step(StepIndex),
    /// A milestone beyond being done.
    Wait(StepIndex, Milestone),
    /// This program between two steps, or taking back what failed.
    Between,
}

/// A stretch of the critical path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    pub act: Act,
    pub owner: Owner,
    pub began: Duration,
    pub took: Duration,
}

/// Where the time of one run went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    pub took: Duration,
    /// In the order in which they began.
    pub steps: Vec<Timed>,
    pub waits: Vec<Wait>,
    pub critical: Vec<Leg>,
}

/// The moments of a run, collected while it goes on.
#[derive(Debug, Clone, Default)]
pub struct Moments {
    began: BTreeMap<StepIndex, Duration>,
    ended: BTreeMap<StepIndex, (Duration, Ending)>,
    reached: BTreeMap<(StepIndex, Milestone), Duration>,
}

impl Moments {
    /// One more fact, so long after the run began.
    pub fn hear(&mut self, event: &Event, at: Duration) {
        match event {
            Event::StepStarted { subject, .. } => {
                self.began.insert(subject.step, at);
            }
            Event::StepDone { subject, .. } => {
                self.ended.insert(subject.step, (at, Ending::Done));
            }
            Event::StepFailed { subject, .. } => {
                self.ended.insert(subject.step, (at, Ending::Failed));
            }
            Event::MilestoneReached {
                subject, milestone, ..
            }
            | Event::MilestoneMissed {
                subject, milestone, ..
            } => {
                self.reached.insert((subject.step, *milestone), at);
            }
            Event::RunStarted { .. }
            | Event::StepProgress { .. }
            | Event::StepWarning { .. }
            | Event::StepSkipped { .. }
            | Event::Waiting { .. }
            | Event::UndoStarted { .. }
            | Event::Undoing { .. }
            | Event::Undone { .. }
            | Event::UndoFailed { .. }
            | Event::Interrupted { .. }
            | Event::JournalFailed { .. }
            | Event::RunFinished { .. } => {}
        }
    }

    /// When the step had reached the milestone.
    fn reached(&self, step: StepIndex, milestone: Milestone) -> Option<Duration> {
        match milestone {
            Milestone::Done => self.ended.get(&step).map(|(at, _)| *at),
            Milestone::Healthy | Milestone::Completed => {
                self.reached.get(&(step, milestone)).copied()
            }
        }
    }

    /// The course of a run of this plan that took so long, with so many slots in a lane.
    pub fn course(&self, plan: &Plan, parallel: usize, took: Duration) -> Course {
        let mut admissions = self.admissions(plan);
        let mut steps: Vec<Timed> = self
            .began
            .iter()
            .map(|(&step, &began)| {
                let cut_off = (took, Ending::CutOff);
                let (ended, ending) = self.ended.get(&step).copied().unwrap_or(cut_off);
                let ready = admissions.get(&step).map_or(Duration::ZERO, |(at, _)| *at);
                Timed {
                    step,
                    // What a clock tells of two facts of one instant may differ by a hair.
                    ready: ready.min(began),
                    began,
                    ended,
                    ending,
                    slot: Duration::ZERO,
                    row: 0,
                }
            })
            .collect();
        steps.sort_by_key(|timed| (timed.began, timed.step));
        tell_slots(plan, parallel, &mut steps);
        follow_slots(plan, &steps, &mut admissions);
        tell_rows(&mut steps);
        let waits = self
            .reached
            .iter()
            .filter_map(|(&(step, milestone), &ended)| {
                let (began, _) = *self.ended.get(&step)?;
                Some(Wait {
                    step,
                    milestone,
                    began,
                    ended,
                })
            })
            .collect();
        Course {
            took,
            critical: self.critical(plan, &steps, &admissions, took),
            steps,
            waits,
        }
    }

    /// All that was reached, with its moment.
    fn all(&self) -> impl Iterator<Item = (Duration, Cause)> {
        let ended = self.ended.iter();
        let done = ended.map(|(&step, &(at, _))| (at, (step, Milestone::Done)));
        let reached = self.reached.iter();
        done.chain(reached.map(|(&cause, &at)| (at, cause)))
    }

    /// When the last need of each step was met, and by what; a step that needs nothing is not there.
    fn admissions(&self, plan: &Plan) -> BTreeMap<StepIndex, (Duration, Cause)> {
        let mut admissions: BTreeMap<StepIndex, (Duration, Cause)> = BTreeMap::new();
        let mut admit = |step: StepIndex, met: (Duration, Cause)| {
            let known = admissions.entry(step).or_insert(met);
            *known = met.max(*known);
        };
        for edge in &plan.edges {
            if let Some(at) = self.reached(edge.from, edge.milestone) {
                admit(edge.to, (at, (edge.from, edge.milestone)));
            }
        }
        // Farewells begin when all others have succeeded and nothing is waited for.
        let farewell = |step: StepIndex| plan.steps[step.0].farewell;
        if let Some(last) = self.all().filter(|(_, (step, _))| !farewell(*step)).max() {
            for &step in self.began.keys().filter(|step| farewell(**step)) {
                admit(step, last);
            }
        }
        admissions
    }

    /// The chain that ends last, walked backwards.
    fn critical(
        &self,
        plan: &Plan,
        steps: &[Timed],
        admissions: &BTreeMap<StepIndex, (Duration, Cause)>,
        took: Duration,
    ) -> Vec<Leg> {
        let by_step: BTreeMap<StepIndex, &Timed> =
            steps.iter().map(|timed| (timed.step, timed)).collect();
        let mut path = Path {
            legs: Vec::new(),
            until: took,
        };
        let mut next = self.all().max();
        while let Some((at, (step, milestone))) = next {
            path.back_to(at, Act::Between, Owner::Ours);
            if let (Milestone::Healthy | Milestone::Completed, Some((done, _))) =
                (milestone, self.ended.get(&step))
            {
                path.back_to(*done, Act::Wait(step, milestone), Owner::Containers);
            }
            let Some(timed) = by_step.get(&step) else {
                break;
            };
            let owner = if plan.steps[step.0].id.kind.on_host() {
                Owner::Host
            } else {
                Owner::Engine
            };
            path.back_to(timed.began, Act::Step(step), owner);
            next = admissions.get(&step).copied();
        }
        path.back_to(Duration::ZERO, Act::Between, Owner::Ours);
        path.legs.reverse();
        path.legs
    }
}

/// What freed a step: another one, and how far that had come.
type Cause = (StepIndex, Milestone);

/// The critical path, from its end to where it has been followed back.
struct Path {
    legs: Vec<Leg>,
    until: Duration,
}

impl Path {
    fn back_to(&mut self, from: Duration, act: Act, owner: Owner) {
        let took = self.until.saturating_sub(from);
        if !took.is_zero() {
            self.legs.push(Leg {
                act,
                owner,
                began: from,
                took,
            });
            self.until = from;
        }
    }
}

/// How long of its waiting each step had no slot: as long as its lane was full.
fn tell_slots(plan: &Plan, parallel: usize, steps: &mut [Timed]) {
    for lane in Lane::ALL {
        let of_lane = |timed: &Timed| Lane::of(&plan.steps[timed.step.0]) == lane;
        // Ends before begins where both are at one moment.
        let mut changes: Vec<(Duration, isize)> = steps
            .iter()
            .filter(|timed| of_lane(timed))
            .flat_map(|timed| [(timed.began, 1), (timed.ended, -1)])
            .collect();
        changes.sort_unstable();
        let slots = lane.slots(parallel);
        let mut full: Vec<(Duration, Duration)> = Vec::new();
        let (mut running, mut since) = (0_isize, None);
        for (at, change) in changes {
            running += change;
            let is_full = running.unsigned_abs() >= slots;
            match (since, is_full) {
                (None, true) => since = Some(at),
                (Some(from), false) => {
                    full.push((from, at));
                    since = None;
                }
                (None, false) | (Some(_), true) => {}
            }
        }
        for timed in steps.iter_mut().filter(|timed| of_lane(timed)) {
            timed.slot = full
                .iter()
                .map(|&(from, to)| to.min(timed.began).saturating_sub(from.max(timed.ready)))
                .sum();
        }
    }
}

/// What freed a step that waited for a slot is the step of its lane that ended last before it began.
fn follow_slots(
    plan: &Plan,
    steps: &[Timed],
    admissions: &mut BTreeMap<StepIndex, (Duration, Cause)>,
) {
    for lane in Lane::ALL {
        let of_lane = |timed: &&Timed| Lane::of(&plan.steps[timed.step.0]) == lane;
        let mut ends: Vec<(Duration, StepIndex)> = steps
            .iter()
            .filter(of_lane)
            .map(|timed| (timed.ended, timed.step))
            .collect();
        ends.sort_unstable();
        for timed in steps.iter().filter(of_lane) {
            if timed.slot.is_zero() {
                continue;
            }
            let before = ends.partition_point(|(ended, _)| *ended <= timed.began);
            let holder = ends[..before]
                .iter()
                .rev()
                .find(|(_, step)| *step != timed.step);
            if let Some(&(ended, holder)) = holder.filter(|(ended, _)| *ended > timed.ready) {
                admissions.insert(timed.step, (ended, (holder, Milestone::Done)));
            }
        }
    }
}

/// Gives each step the first row that is free when it begins.
fn tell_rows(steps: &mut [Timed]) {
    let mut rows: Vec<Duration> = Vec::new();
    for timed in steps {
        let free = rows.iter().position(|until| *until <= timed.began);
        timed.row = free.unwrap_or(rows.len());
        match free {
            Some(row) => rows[row] = timed.ended,
            None => rows.push(timed.ended),
        }
    }
}

impl Course {
    /// How much of the critical path is owed to whom; together what the run took.
    pub fn owed(&self) -> BTreeMap<Owner, Duration> {
        let mut owed = BTreeMap::new();
        for leg in &self.critical {
            *owed.entry(leg.owner).or_default() += leg.took;
        }
        owed
    }

    /// Whether the step is on the critical path.
    pub fn is_critical(&self, step: StepIndex) -> bool {
        self.critical.iter().any(|leg| leg.act == Act::Step(step))
    }
}
