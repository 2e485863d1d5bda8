//! The executor on the world in memory. Here are small plans by hand; the tests stand by what they are about.

mod back;
mod forward;
mod journal;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream::{self, Stream};
use stack::apply::event::{Event, Listener, Silence, Subject};
use stack::apply::journal::Heading;
use stack::apply::report::Report;
use stack::apply::{Options, run};
use stack::model::container::ContainerConfig;
use stack::model::name::ProjectName;
use stack::plan::observed::Observed;
use stack::plan::spec::{ContainerNetwork, ContainerSpec, Spec, VolumeSpec};
use stack::plan::step::{Edge, Milestone, Plan, Reason, State, Step, StepIndex, Undo};
use stack::world::memory::Memory;
use stack::world::memory::faults::Faults;

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

pub fn plan(steps: Vec<Step>, edges: &[(usize, usize, Milestone)]) -> Plan {
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
            Event::Interrupted { again, .. } => format!("interrupted, again: {again}"),
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

/// Runs a plan with the usual options and writes down what is told.
async fn heard(
    plan: &Plan,
    world: &Memory,
    stops: impl Stream<Item = ()> + Unpin,
) -> (Report, String) {
    let minutes = Minutes::default();
    let options = Options::default();
    let report = run(plan, world, None, &minutes, &options, stops).await;
    (report, minutes.text())
}

async fn quietly(plan: &Plan, world: &Memory, options: &Options) -> Report {
    run(plan, world, None, &Silence, options, stream::pending()).await
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
