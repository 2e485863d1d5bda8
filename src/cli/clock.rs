//! The clock of a command: its phases one after the other, from the begin of the process, so that they add up to what
//! the user waited; with each how much processor time of our own went by.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::Serialize;

use crate::apply::course::{Course, Owner};
use crate::plan::step::Plan;

/// What a command does between two looks at the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Arguments, environment, files.
    Read,
    Connect,
    /// Another run on the project, and taking back one that was killed.
    Lock,
    Observe,
    /// Checks, the comparison with what is there, the plan.
    Plan,
    /// The steps of a plan.
    Run,
    /// `--wait`.
    Ready,
    /// The last lines.
    Close,
}

impl Phase {
    /// As people read it.
    pub fn title(self) -> &'static str {
        match self {
            Phase::Read => "read the file",
            Phase::Connect => "connect to the engine",
            Phase::Lock => "take the project's lock",
            Phase::Observe => "look at what is there",
            Phase::Plan => "decide",
            Phase::Run => "carry out",
            Phase::Ready => "wait until all is ready",
            Phase::Close => "close",
        }
    }

    /// Who its time is owed to, apart from our own processor time in it. A run has a course of its own.
    pub fn owner(self) -> Owner {
        match self {
            Phase::Connect | Phase::Observe => Owner::Engine,
            Phase::Lock => Owner::OtherRun,
            Phase::Ready => Owner::Containers,
            Phase::Read | Phase::Plan | Phase::Run | Phase::Close => Owner::Ours,
        }
    }
}

/// One phase that is over. Moments count from the begin of the process.
#[derive(Debug, Clone)]
pub struct Lap {
    pub phase: Phase,
    pub began: Duration,
    pub took: Duration,
    /// Our own processor time, all threads.
    pub processor: Duration,
    /// What happened in it, where a plan was carried out.
    pub run: Option<(Plan, Course)>,
}

/// A clock that runs.
#[derive(Debug)]
pub struct Clock {
    began: Instant,
    laps: Mutex<Vec<Lap>>,
}

impl Clock {
    /// Begins now, which should be early.
    pub fn start() -> Clock {
        Clock {
            began: Instant::now(),
            laps: Mutex::default(),
        }
    }

    /// The phase that went on until now.
    pub fn lap(&self, phase: Phase) {
        self.note(phase, None);
    }

    /// The same for a plan that was carried out.
    pub fn lap_run(&self, plan: &Plan, course: Course) {
        self.note(Phase::Run, Some((plan.clone(), course)));
    }

    fn note(&self, phase: Phase, run: Option<(Plan, Course)>) {
        let mut laps = self.laps.lock().unwrap_or_else(PoisonError::into_inner);
        let began = laps
            .last()
            .map_or(Duration::ZERO, |lap| lap.began + lap.took);
        let before: Duration = laps.iter().map(|lap| lap.processor).sum();
        laps.push(Lap {
            phase,
            began,
            took: self.began.elapsed().saturating_sub(began),
            processor: processor_time().saturating_sub(before),
            run,
        });
    }

    /// All phases until now, in their order.
    pub fn laps(&self) -> Vec<Lap> {
        self.lap(Phase::Close);
        self.laps
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// What this process has used of the processors.
fn processor_time() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return Duration::ZERO;
    };
    let microseconds = (usage.user_time() + usage.system_time()).num_microseconds();
    Duration::from_micros(u64::try_from(microseconds).unwrap_or(0))
}
