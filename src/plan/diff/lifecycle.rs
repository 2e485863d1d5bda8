//! `stop`, `start` and `restart`: plans over the containers that are there, in the order that their labels tell.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::mark;
use crate::model::name::ProjectName;
use crate::plan::diff::PlanError;
use crate::plan::diff::container::existing;
use crate::plan::diff::down::dependencies;
use crate::plan::diff::draft::Draft;
use crate::plan::observed::{FoundContainer, Observed};
use crate::plan::spec::{Kind, ResourceId, Spec};
use crate::plan::step::{Plan, Reason, State, StepIndex};

/// What is done to the containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Stop,
    Start,
    Restart(Followers),
}

impl Act {
    /// The command that does it.
    pub fn word(self) -> &'static str {
        match self {
            Act::Stop => "stop",
            Act::Start => "start",
            Act::Restart(_) => "restart",
        }
    }
}

/// Whom a restart takes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followers {
    /// Services that say `restart: true` of one that is restarted.
    Restarted,
    /// Nobody but those whose network namespace would be dead.
    Left,
}

/// The plan that does `act` to the containers of the project, or of these services only. Containers that share the
/// network namespace of one that is restarted are restarted with it in any case: theirs would be dead.
pub fn lifecycle(
    project: &ProjectName,
    observed: &Observed,
    act: Act,
    only: Option<&BTreeSet<String>>,
    timeout: Option<u32>,
) -> Result<Plan, PlanError> {
    let own: Vec<&FoundContainer> = observed
        .containers
        .iter()
        .filter(|found| found.project.as_deref() == Some(project.as_str()))
        .filter(|found| !found.one_off && found.parked_from().is_none())
        .collect();
    let named = |found: &FoundContainer| {
        only.is_none_or(|only| {
            found
                .service
                .as_ref()
                .is_some_and(|service| only.contains(service.as_str()))
        })
    };
    let mut chosen: Vec<&FoundContainer> =
        own.iter().copied().filter(|found| named(found)).collect();
    if let Act::Restart(followers) = act {
        chosen = with_followers(chosen, &own, followers);
    }
    let reason = Reason::Asked(act.word().to_owned());
    let mut draft = Draft::default();
    let mut stops: Vec<(&FoundContainer, StepIndex)> = Vec::new();
    let mut starts: Vec<(&FoundContainer, StepIndex)> = Vec::new();
    for found in chosen {
        let spec = Arc::new(Spec::Existing(existing(found, timeout)));
        let id = ResourceId::new(Kind::Container, &found.name);
        let (running, stopped) = (State::Running(Arc::clone(&spec)), State::Present(spec));
        let stop = (found.runs() && act != Act::Start)
            .then(|| draft.step(&id, running.clone(), stopped.clone(), reason.clone()));
        let start = (matches!(act, Act::Restart(_)) || act == Act::Start && !found.runs())
            .then(|| draft.step(&id, stopped, running, reason.clone()));
        if let (Some(stop), Some(start)) = (stop, start) {
            draft.after(stop, start);
        }
        stops.extend(stop.map(|step| (found, step)));
        starts.extend(start.map(|step| (found, step)));
    }
    for (needed, dependent) in dependencies(&stops) {
        draft.after(dependent, needed);
    }
    for (needed, dependent) in dependencies(&starts) {
        draft.after(needed, dependent);
    }
    draft.finish(project)
}

/// The chosen containers and all that must be restarted with them, however far that goes.
fn with_followers<'a>(
    chosen: Vec<&'a FoundContainer>,
    own: &[&'a FoundContainer],
    followers: Followers,
) -> Vec<&'a FoundContainer> {
    let mut all = chosen;
    let mut seen: BTreeSet<&str> = all.iter().map(|found| found.engine_id.as_str()).collect();
    let mut next = 0;
    while let Some(restarted) = all.get(next).copied() {
        next += 1;
        let mode = format!("container:{}", restarted.engine_id);
        for found in own.iter().copied().filter(|found| found.runs()) {
            let shares = found.network_mode == mode;
            let follows = followers == Followers::Restarted
                && restarted
                    .service
                    .as_ref()
                    .is_some_and(|service| follows(found, service.as_str()));
            if (shares || follows) && seen.insert(&found.engine_id) {
                all.push(found);
            }
        }
    }
    all
}

/// Whether a container's label says that it restarts with a service (`db:service_started:true`).
fn follows(found: &FoundContainer, service: &str) -> bool {
    let label = found
        .labels
        .get(mark::DEPENDS_ON)
        .map_or("", String::as_str);
    label.split(',').any(|entry| {
        let mut parts = entry.split(':');
        parts.next() == Some(service) && parts.nth(1) == Some("true")
    })
}
