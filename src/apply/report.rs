//! What came of a run: plain data for the last lines of a command and for its exit code.

use std::time::Duration;

use crate::plan::spec::{Kind, ResourceId, Spec};
use crate::plan::step::{State, Step, StepIndex};
use crate::world::{ErrorKind, WorldError};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every step is done.
    Done,
    /// A step failed, or a milestone that was needed was missed.
    Failed,
    /// The user stopped it.
    Interrupted,
    /// The user left it in the middle: nothing was taken back, the journal tells the next run.
    Abandoned,
}

/// Everything that is to be said about a run afterwards. Steps are listed in the order in which it happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub outcome: Outcome,
    /// Done and not taken back.
    pub done: Vec<StepIndex>,
    pub failures: Vec<Failure>,
    pub skipped: Vec<Skipped>,
    /// Never started, because the run stopped before.
    pub not_started: Vec<StepIndex>,
    pub undone: Vec<StepIndex>,
    /// What is still as the run left it although it should have been taken back.
    pub left: Vec<Leftover>,
    pub warnings: Vec<Warning>,
    pub took: Duration,
}

/// One cause of failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// None where no step is at fault (the journal, a plan that cannot be walked).
    pub step: Option<StepIndex>,
    pub id: Option<ResourceId>,
    pub kind: Option<ErrorKind>,
    pub error: String,
    pub hint: Option<String>,
}

/// A step that did not run because of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    pub step: StepIndex,
    pub because: StepIndex,
}

/// Something that could not be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    pub step: StepIndex,
    pub id: ResourceId,
    pub error: String,
    /// What the user can do about it.
    pub remedy: String,
}

/// Something to know although the run went on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    pub step: StepIndex,
    pub text: String,
}

impl Report {
    /// The report of a run that has not done anything yet.
    pub fn new() -> Report {
        Report {
            outcome: Outcome::Done,
            done: Vec::new(),
            failures: Vec::new(),
            skipped: Vec::new(),
            not_started: Vec::new(),
            undone: Vec::new(),
            left: Vec::new(),
            warnings: Vec::new(),
            took: Duration::ZERO,
        }
    }

    /// What state the machine is in now, as a sentence without its end.
    pub fn machine(&self) -> String {
        let left = self.left.len();
        match self.outcome {
            Outcome::Abandoned => "left in the middle; the next run takes this one back".to_owned(),
            Outcome::Done if self.failures.is_empty() => "everything is as planned".to_owned(),
            Outcome::Done => {
                "as planned, but not all that was replaced could be discarded".to_owned()
            }
            Outcome::Failed | Outcome::Interrupted if left > 0 => {
                let things = if left == 1 { "1 thing" } else { "some things" };
                format!("{things} could not be taken back; see above for what to do")
            }
            Outcome::Failed | Outcome::Interrupted if !self.done.is_empty() => {
                format!("{} that succeeded stay done", steps(self.done.len()))
            }
            Outcome::Failed | Outcome::Interrupted if !self.undone.is_empty() => {
                "everything that this run changed was taken back".to_owned()
            }
            Outcome::Failed | Outcome::Interrupted => "nothing was changed".to_owned(),
        }
    }
}

impl Default for Report {
    fn default() -> Report {
        Report::new()
    }
}

impl Failure {
    /// A step at fault.
    pub fn of(index: StepIndex, id: &ResourceId, error: &WorldError) -> Failure {
        Failure {
            step: Some(index),
            id: Some(id.clone()),
            kind: Some(error.kind),
            error: error.to_string(),
            hint: error.hint.clone(),
        }
    }

    /// Nobody's step is at fault.
    pub fn general(error: String) -> Failure {
        Failure {
            step: None,
            id: None,
            kind: None,
            error,
            hint: None,
        }
    }
}

fn steps(count: usize) -> String {
    match count {
        1 => "1 step".to_owned(),
        _ => format!("{count} steps"),
    }
}

/// What the user can do about a step that could not be taken back. `own` is the advice that came with the error.
pub fn remedy(project: &str, step: &Step, own: Option<&str>) -> String {
    let by_hand = by_hand(step);
    let command = match step.before {
        State::Absent => "down",
        State::Present(_) | State::Running(_) | State::Parked(_) => "up",
    };
    let again = format!("run `stack --project-name {project} {command}` to try again");
    match own {
        Some(own) => format!("{own}; then {again}; by hand: {by_hand}"),
        None => format!("{again}; by hand: {by_hand}"),
    }
}

fn by_hand(step: &Step) -> String {
    let name = &step.id.name;
    let came = matches!(step.before, State::Absent);
    let spec = step.before.spec().or(step.after.spec()).map(AsRef::as_ref);
    match (step.id.kind, came, spec) {
        (Kind::Container, true, _) => format!("`docker rm --force {name}`"),
        (Kind::Container, false, Some(Spec::Existing(container))) => {
            let id: String = container.engine_id.chars().take(12).collect();
            match step.after {
                State::Absent => format!("make `{name}` anew"),
                State::Parked(_) => {
                    format!("`docker rename {id} {name}` and `docker start {name}`")
                }
                State::Present(_) => format!("`docker start {name}`"),
                State::Running(_) => format!("`docker stop {name}`"),
            }
        }
        (Kind::Container, false, _) => format!("look at `docker ps --all` for `{name}`"),
        (Kind::Network, true, _) => format!("`docker network rm {name}`"),
        (Kind::Network, false, _) => format!("make the network `{name}` anew"),
        (Kind::Volume, true, _) => format!("`docker volume rm {name}`"),
        (Kind::Volume, false, _) => format!("make the volume `{name}` anew"),
        (Kind::Image, ..) => format!("`docker image rm {name}`"),
        (Kind::Endpoint, came, Some(Spec::Endpoint(endpoint))) => {
            let verb = if came { "disconnect" } else { "connect" };
            let network = &endpoint.attachment.network;
            format!("`docker network {verb} {network} {}`", endpoint.container)
        }
        (Kind::Lan, true, Some(Spec::Lan(lan))) => format!(
            "`ip link delete {}` and `ip netns delete` for those that begin with `{}`",
            lan.lan.parent, lan.namespace_prefix
        ),
        (Kind::Link | Kind::Shim, true, _) => format!("`ip link delete {name}`"),
        (Kind::Promiscuity, true, _) => format!("`ip link set {name} promisc off`"),
        (Kind::Promiscuity, false, _) => format!("`ip link set {name} promisc on`"),
        (Kind::Route, true, Some(Spec::Route(route))) => format!(
            "`ip route flush dev {} proto {}`",
            route.shim,
            crate::model::mark::ROUTE_PROTOCOL
        ),
        (Kind::Door, true, Some(Spec::Door(door))) => {
            format!("`docker restart {}`", door.container)
        }
        (Kind::Lan | Kind::Link | Kind::Shim | Kind::Route | Kind::Door | Kind::Endpoint, ..) => {
            format!("look at `ip -detail link` and `ip route` for {}", step.id)
        }
    }
}
