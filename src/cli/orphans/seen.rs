//! What carries our mark in the engine, and what is written down of runs.

use std::collections::{BTreeMap, BTreeSet};

use crate::apply::runs::Run;
use crate::cli::exit::Failure;
use crate::model::mark;
use crate::model::name::ProjectName;
use crate::plan::observed::Scope;
use crate::plan::orphan::{Marked, RunSeen, Seen, Thing};
use crate::plan::spec::Kind;
use crate::plan::step::State;
use crate::world::World;
use crate::world::live::Live;

/// All that matters to a project.
pub fn scope(project: &ProjectName) -> Scope {
    Scope {
        project: project.clone(),
        images: Vec::new(),
        doors: Vec::new(),
        attachments: BTreeMap::new(),
        host: true,
    }
}

/// What is the engine's and carries our mark, and whose containers there are.
pub async fn engine_side(live: &Live, seen: &mut Seen) -> Result<(), Failure> {
    let mut containers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut on: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let mut probed = false;
    for container in live.engine().list_all().await? {
        if container.labels.contains_key(mark::PROBE) {
            // One that runs ends with the process that asks by it.
            probed |= container.runs();
            if !container.runs() {
                seen.marked.push(Marked {
                    project: None,
                    thing: Thing::Container {
                        name: container.name,
                        state: format!("{}, made to probe", container.state),
                    },
                });
            }
            continue;
        }
        let project = container.label(mark::PROJECT).to_owned();
        for network in container.networks.keys() {
            on.entry(network.clone())
                .or_default()
                .push((project.clone(), container.name.clone()));
        }
        if project.is_empty() {
            continue;
        }
        if !container.label(mark::HASH).is_empty() {
            seen.marked.push(Marked {
                project: Some(project.clone()),
                thing: Thing::Container {
                    name: container.name.clone(),
                    state: container.state.clone(),
                },
            });
        }
        containers
            .entry(project)
            .or_default()
            .insert(container.name);
    }
    if !probed {
        for name in live.engine().envoy_images().await? {
            seen.marked.push(Marked {
                project: None,
                thing: Thing::Image { name },
            });
        }
    }
    // No project is named so: networks and volumes are all told.
    let project = "stack-orphans".parse().map_err(Failure::said)?;
    let everything = Scope {
        host: false,
        ..scope(&project)
    };
    let observed = live.observe(&everything).await?;
    for network in observed
        .networks
        .iter()
        .filter(|found| found.hash.is_some())
    {
        let stranger = on.get(&network.spec.name).and_then(|containers| {
            containers
                .iter()
                .find(|(project, _)| Some(project.as_str()) != network.project.as_deref())
        });
        if let (Some(project), Some((_, container))) = (&network.project, stranger) {
            seen.lent.insert(project.clone(), container.clone());
        }
        seen.marked.push(Marked {
            project: network.project.clone(),
            thing: Thing::Network {
                name: network.spec.name.clone(),
            },
        });
    }
    for volume in observed.volumes.iter().filter(|found| found.hash.is_some()) {
        seen.marked.push(Marked {
            project: volume.project.clone(),
            thing: Thing::Volume {
                name: volume.name.clone(),
            },
        });
    }
    seen.containers = Some(containers);
    Ok(())
}

/// What is unfinished, held, or locked by nobody.
pub fn run_seen(run: &Run, here: Option<&str>, seen: &mut Seen) {
    let unfinished = run.unfinished.as_ref();
    let made = unfinished.map(|unfinished| match unfinished {
        Ok(unfinished) => unfinished
            .unwind()
            .steps
            .iter()
            .filter(|step| step.id.kind == Kind::Container && step.after == State::Absent)
            .map(|step| step.id.name.clone())
            .collect(),
        Err(_) => BTreeSet::new(),
    });
    if let (Some(lock), None) = (&run.lock, &run.holder) {
        seen.marked.push(Marked {
            project: Some(run.project.clone()),
            thing: Thing::Lock {
                file: lock.display().to_string(),
            },
        });
    }
    if run.holder.is_none() && run.unfinished.is_none() {
        return;
    }
    seen.runs.push(RunSeen {
        project: run.project.clone(),
        here: here.is_none_or(|here| here == run.engine),
        holder: run
            .holder
            .as_ref()
            .filter(|holder| holder.pid != std::process::id())
            .map(|holder| format!("`stack {}` (process {})", holder.command, holder.pid)),
        made,
    });
    if let Some(unfinished) = unfinished {
        let (command, since) = match unfinished {
            Ok(unfinished) => {
                let heading = &unfinished.heading;
                (heading.command.clone(), heading.since.clone())
            }
            Err(error) => ("?".to_owned(), error.to_string()),
        };
        seen.marked.push(Marked {
            project: Some(run.project.clone()),
            thing: Thing::Run {
                command,
                since,
                journal: run.journal.display().to_string(),
            },
        });
    }
}
