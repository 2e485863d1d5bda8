//! Which step is begun next while a plan is walked: lanes with slots, farewells held back until nothing can fail any
//! more, dearer steps first. It counts and chooses; it neither runs a step nor tells of one.

use crate::apply::Options;
use crate::apply::queue::{Need, Queue, QueueError, Task};
use crate::plan::spec::{Kind, Spec};
use crate::plan::step::{Milestone, Plan, State, Step, StepIndex};

/// Steps that do not get in each other's way have slots of their own: a long pull does not hold up a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Host,
    Fetch,
    Engine,
    /// Stopping is mostly waiting for processes to end, so more of it runs at once. Where they are killed at once it
    /// is the engine's work and nothing else: 20 of them took it 1.2 s with 8 at once and 1.5 s with 32.
    Stop,
}

impl Lane {
    pub(super) const ALL: [Lane; 4] = [Lane::Host, Lane::Fetch, Lane::Engine, Lane::Stop];

    pub(super) fn of(step: &Step) -> Lane {
        match (step.id.kind, &step.before, &step.after) {
            (Kind::Image, ..) => Lane::Fetch,
            (Kind::Container, State::Running(_), State::Running(_)) => Lane::Engine,
            (Kind::Container, State::Running(spec), _) if ends_at_once(spec) => Lane::Engine,
            (Kind::Container, State::Running(_) | State::Parked(_), _) => Lane::Stop,
            (kind, ..) if kind.on_host() => Lane::Host,
            (..) => Lane::Engine,
        }
    }

    pub(super) fn slots(self, parallel: usize) -> usize {
        match self {
            Lane::Host | Lane::Fetch | Lane::Engine => parallel.max(1),
            Lane::Stop => parallel.max(1) * 4,
        }
    }

    /// Whether a step may begin beside those that run, by lane. One at a time is one of all lanes together.
    pub(super) fn has_slot(self, running: &[usize; Lane::ALL.len()], parallel: usize) -> bool {
        running[self as usize] < self.slots(parallel)
            && (parallel > 1 || running.iter().all(|steps| *steps == 0))
    }
}

/// Whether its processes have no time to end by themselves (`--timeout 0`).
fn ends_at_once(spec: &Spec) -> bool {
    match spec {
        Spec::Existing(container) => {
            container.stop_timeout == Some(0) && container.pre_stop.is_empty()
        }
        Spec::Lan(_)
        | Spec::Link(_)
        | Spec::Promiscuity(_)
        | Spec::Network(_)
        | Spec::Shim(_)
        | Spec::Route(_)
        | Spec::Volume(_)
        | Spec::Image(_)
        | Spec::Container(_)
        | Spec::Endpoint(_)
        | Spec::Door(_) => false,
    }
}

/// A rough guess of how long a step takes, in milliseconds on a quiet engine with 2 cores. It decides only which of
/// several steps that may run is begun first.
fn cost(step: &Step) -> u64 {
    match (step.id.kind, step.verb()) {
        (Kind::Image, "build") => 20_000,
        (Kind::Image, _) => 5_000,
        (Kind::Container, "run" | "start" | "restore" | "restart") => 250,
        (Kind::Container, "stop" | "park") => 110,
        (Kind::Container, _) => 20,
        (Kind::Lan, _) => 60,
        (Kind::Network, _) => 40,
        (Kind::Endpoint, _) => 30,
        (
            Kind::Link | Kind::Promiscuity | Kind::Shim | Kind::Route | Kind::Volume | Kind::Door,
            _,
        ) => 5,
    }
}

/// Which steps run now and what is left, while a plan is walked.
pub(super) struct Walk {
    running: [usize; Lane::ALL.len()],
    /// Farewells that could run as soon as all others have succeeded.
    held: Vec<StepIndex>,
    /// Main steps that have not succeeded yet.
    main: usize,
}

impl Walk {
    /// Before the first step.
    pub(super) fn new(plan: &Plan) -> Walk {
        Walk {
            running: [0; Lane::ALL.len()],
            held: Vec::new(),
            main: plan.steps.iter().filter(|step| !step.farewell).count(),
        }
    }

    /// The next step to begin, if there is one and a slot for it. `settled` says that no milestone is waited for:
    /// farewells cannot be taken back, so they begin only when nothing can fail any more.
    pub(super) fn next(
        &mut self,
        queue: &mut Queue<Milestone>,
        plan: &Plan,
        options: &Options,
        settled: bool,
    ) -> Option<StepIndex> {
        let farewells = self.main == 0 && settled;
        if farewells && let Some(index) = self.held.last().copied() {
            let lane = Lane::of(&plan.steps[index.0]);
            if lane.has_slot(&self.running, options.parallel) {
                self.held.pop();
                self.running[lane as usize] += 1;
                return Some(index);
            }
        }
        for (place, lane) in Lane::ALL.into_iter().enumerate() {
            while lane.has_slot(&self.running, options.parallel) {
                let Some(index) = queue.ready(place).map(StepIndex) else {
                    break;
                };
                if plan.steps[index.0].farewell && !farewells {
                    self.held.push(index);
                    continue;
                }
                self.running[place] += 1;
                return Some(index);
            }
        }
        None
    }

    /// The step does not run any more.
    pub(super) fn leave(&mut self, plan: &Plan, index: StepIndex) {
        self.running[Lane::of(&plan.steps[index.0]) as usize] -= 1;
    }

    /// How many images are being fetched.
    pub(super) fn fetching(&self) -> usize {
        self.running[Lane::Fetch as usize]
    }

    /// The step has succeeded.
    pub(super) fn succeed(&mut self, plan: &Plan, index: StepIndex) {
        if !plan.steps[index.0].farewell {
            self.main -= 1;
        }
    }
}

/// The queue of all steps of a plan.
pub(super) fn queue_of(plan: &Plan) -> Result<Queue<Milestone>, QueueError> {
    let tasks: Vec<Task> = plan.steps.iter().map(task).collect();
    let needs: Vec<Need<Milestone>> = plan
        .edges
        .iter()
        .map(|edge| Need {
            from: edge.from.0,
            to: edge.to.0,
            milestone: edge.milestone,
            optional: edge.optional,
        })
        .collect();
    Queue::new(&tasks, &needs)
}

/// A step as the queue knows it.
pub(super) fn task(step: &Step) -> Task {
    Task {
        cost: cost(step),
        lane: Lane::of(step) as usize,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Lane;
    use crate::plan::spec::{ExistingContainer, Spec};
    use crate::plan::step::{Reason, State, Step, Undo};

    #[test]
    fn many_wait_for_their_end_at_once_but_few_are_killed_at_once() {
        let lane = |stop_timeout: Option<u32>| {
            let spec = Spec::Existing(ExistingContainer {
                engine_id: "id".to_owned(),
                name: "web".to_owned(),
                service: None,
                number: 1,
                stop_timeout,
                remove_volumes: false,
                anonymous_volumes: Vec::new(),
                pre_stop: Vec::new(),
            });
            Lane::of(&Step {
                id: spec.id(),
                before: State::Running(Arc::new(spec)),
                after: State::Absent,
                reason: Reason::Down,
                undo: Undo::Never,
                farewell: false,
            })
        };
        assert_eq!(lane(None), Lane::Stop);
        assert_eq!(lane(Some(10)), Lane::Stop);
        assert_eq!(lane(Some(0)), Lane::Engine);
    }
}
