//! `stop`, `start` and `restart`: plans over the containers that are there, in the order that their labels tell.

use std::collections::{BTreeSet, HashMap};
use std::str::Split;
use std::sync::Arc;

use crate::model::mark;
use crate::model::name::ProjectName;
use crate::plan::diff::PlanError;
use crate::plan::diff::container::existing;
use crate::plan::diff::down::{dependencies, depends_on};
use crate::plan::diff::draft::Draft;
use crate::plan::observed::{FoundContainer, Observed};
use crate::plan::spec::{Kind, ResourceId, Spec};
use crate::plan::step::{Milestone, Plan, Reason, State, StepIndex};

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

/// The plan that does `act` to the containers of the project, or of these services only, and to those that must come
/// along:
///
/// * whoever shares the network namespace of one that is restarted, or that is started after its death: theirs is dead;
/// * for a start, what the started ones depend on and does not run, as Compose has it;
/// * whoever owns the namespace that a started one shares: without it there is none to join.
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
    let asked = own.iter().copied().filter(|found| named(found));
    let course = Course {
        act,
        own: &own,
        all: &observed.containers,
    };
    let mut draft = Draft::default();
    let mut stops: Vec<(&FoundContainer, StepIndex)> = Vec::new();
    let mut starts: Vec<(&FoundContainer, StepIndex)> = Vec::new();
    for Errand {
        found,
        turn,
        reason,
    } in course.errands(asked)
    {
        let spec = Arc::new(Spec::Existing(existing(found, timeout)));
        let id = ResourceId::new(Kind::Container, &found.name);
        let (running, stopped) = (State::Running(Arc::clone(&spec)), State::Present(spec));
        let stop = (found.runs() && turn != Turn::Start)
            .then(|| draft.step(&id, running.clone(), stopped.clone(), reason.clone()));
        let start = (turn != Turn::Stop).then(|| draft.step(&id, stopped, running, reason.clone()));
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
    conditions(&mut draft, &own, &starts, timeout);
    draft.finish(project)
}

/// What is started waits until those it depends on are healthy or have completed, where it says so.
fn conditions(
    draft: &mut Draft,
    own: &[&FoundContainer],
    starts: &[(&FoundContainer, StepIndex)],
    timeout: Option<u32>,
) {
    let mut steps: HashMap<&str, StepIndex> = starts
        .iter()
        .map(|(found, start)| (found.engine_id.as_str(), *start))
        .collect();
    for (dependent, start) in starts {
        for (service, milestone) in awaits(dependent) {
            let needed = own.iter().filter(|other| is_of(other, service));
            for other in needed {
                let step = match steps.get(other.engine_id.as_str()) {
                    Some(step) => *step,
                    // One that runs already is only looked at.
                    None if other.runs() => {
                        let there =
                            State::Running(Arc::new(Spec::Existing(existing(other, timeout))));
                        let id = ResourceId::new(Kind::Container, &other.name);
                        let because = ResourceId::new(Kind::Container, &dependent.name);
                        draft.step(&id, there.clone(), there, Reason::Because(because))
                    }
                    None => continue,
                };
                steps.insert(&other.engine_id, step);
                draft.edge(step, *start, milestone, false);
            }
        }
    }
}

/// The services that a container's label says it waits for (`db:service_healthy:false`), and until when.
fn awaits(found: &FoundContainer) -> impl Iterator<Item = (&str, Milestone)> {
    entries(found).filter_map(|mut parts| {
        let service = parts.next()?;
        match parts.next()? {
            "service_healthy" => Some((service, Milestone::Healthy)),
            "service_completed_successfully" => Some((service, Milestone::Completed)),
            _ => None,
        }
    })
}

/// The entries of the label that tells what a container depends on, each in its parts.
fn entries(found: &FoundContainer) -> impl Iterator<Item = Split<'_, char>> {
    let label = found.labels.get(mark::DEPENDS_ON);
    let label = label.map_or("", String::as_str);
    label.split(',').map(|entry| entry.split(':'))
}

fn is_of(found: &FoundContainer, service: &str) -> bool {
    found
        .service
        .as_ref()
        .is_some_and(|own| own.as_str() == service)
}

/// What is done to one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Stop,
    Start,
    /// Stopped, where it runs, and started.
    Both,
}

struct Errand<'a> {
    found: &'a FoundContainer,
    turn: Turn,
    reason: Reason,
}

/// Who is meant when some are named.
struct Course<'a> {
    act: Act,
    /// The project's containers.
    own: &'a [&'a FoundContainer],
    /// All that share or own a namespace of theirs too.
    all: &'a [FoundContainer],
}

impl<'a> Course<'a> {
    /// Something to do for each one that was asked for, and for all that come along, however far that goes.
    fn errands(&self, asked: impl Iterator<Item = &'a FoundContainer>) -> Vec<Errand<'a>> {
        let word = Reason::Asked(self.act.word().to_owned());
        let mut queue: Vec<(&FoundContainer, Reason)> =
            asked.map(|found| (found, word.clone())).collect();
        let mut seen: BTreeSet<&str> = ids(&queue);
        let mut errands = Vec::new();
        let mut next = 0;
        while let Some((found, reason)) = queue.get(next).cloned() {
            next += 1;
            let along = self.along(found);
            let new = along
                .into_iter()
                .filter(|(other, _)| seen.insert(&other.engine_id));
            queue.extend(new.collect::<Vec<_>>());
            errands.extend(self.errand(found, reason));
        }
        errands
    }

    fn errand(&self, found: &'a FoundContainer, reason: Reason) -> Option<Errand<'a>> {
        let turn = match self.act {
            Act::Stop if found.runs() => Turn::Stop,
            Act::Start if !found.runs() => Turn::Start,
            Act::Start if found.dead_namespace_of.is_some() && self.can_be_joined(found) => {
                Turn::Both
            }
            Act::Stop | Act::Start => return None,
            Act::Restart(_) if matches!(reason, Reason::Because(_)) && !found.runs() => Turn::Start,
            Act::Restart(_) => Turn::Both,
        };
        let reason = match (&found.dead_namespace_of, self.act) {
            (Some(owner), Act::Start) => Reason::DeadNamespace(owner.clone()),
            _ => reason,
        };
        Some(Errand {
            found,
            turn,
            reason,
        })
    }

    /// Those that one of them takes along.
    fn along(&self, found: &'a FoundContainer) -> Vec<(&'a FoundContainer, Reason)> {
        let because = Reason::Because(ResourceId::new(Kind::Container, &found.name));
        let others = self.own.iter().copied();
        let others = others.filter(|other| other.engine_id != found.engine_id);
        let comes = |other: &&FoundContainer| {
            let shares = shares(other, found) && other.runs();
            let is_owner = shares_of(found) == Some(other.engine_id.as_str()) && !other.runs();
            match self.act {
                Act::Stop => false,
                Act::Start => {
                    let needed = !other.runs() && !found.runs() && needs(found, other);
                    needed || is_owner || shares && other.dead_namespace_of.is_some()
                }
                Act::Restart(followers) => {
                    let follows =
                        followers == Followers::Restarted && other.runs() && follows(other, found);
                    shares || follows || is_owner
                }
            }
        };
        others
            .filter(comes)
            .map(|other| (other, because.clone()))
            .collect()
    }

    /// Whether the one whose namespace it shares runs, or is started with it: only then can it be joined again.
    fn can_be_joined(&self, found: &FoundContainer) -> bool {
        let is_owner = |other: &&FoundContainer| shares(found, other);
        self.own.iter().copied().any(|other| is_owner(&other))
            || self.all.iter().filter(is_owner).any(FoundContainer::runs)
    }
}

fn ids<'a>(queue: &[(&'a FoundContainer, Reason)]) -> BTreeSet<&'a str> {
    queue
        .iter()
        .map(|(found, _)| found.engine_id.as_str())
        .collect()
}

/// The engine's id of the container whose network namespace it shares.
fn shares_of(found: &FoundContainer) -> Option<&str> {
    found.network_mode.strip_prefix("container:")
}

fn shares(found: &FoundContainer, owner: &FoundContainer) -> bool {
    shares_of(found) == Some(owner.engine_id.as_str())
}

/// Whether a container's label says that it depends on the other's service.
fn needs(found: &FoundContainer, other: &FoundContainer) -> bool {
    depends_on(found).any(|service| is_of(other, service))
}

/// Whether a container's label says that it restarts with the other's service (`db:service_started:true`).
fn follows(found: &FoundContainer, other: &FoundContainer) -> bool {
    entries(found).any(|mut parts| {
        parts.next().is_some_and(|service| is_of(other, service)) && parts.nth(1) == Some("true")
    })
}
