//! `stack orphans`: what carries our mark, on the host or in the engine, and belongs to nothing that runs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

use clap::Args;
use futures_util::stream;

use crate::apply::lock;
use crate::apply::runs::{Run, runs};
use crate::apply::wanted::{Record, Records};
use crate::apply::{self, OnFailure, Options};
use crate::cli::carry::{HostSide, Manner, Past, Session, outcome};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::render::{summary, talk};
use crate::cli::table::Table;
use crate::model::mark;
use crate::model::name::ProjectName;
use crate::plan::diff::down::{DownOptions, down};
use crate::plan::observed::{Observed, Scope};
use crate::plan::orphan::{Engine, Fate, Marked, RunSeen, Seen, Thing};
use crate::plan::spec::Kind;
use crate::plan::step::State;
use crate::world::World;
use crate::world::engine::connect::endpoint;
use crate::world::engine::talk::act::AnonymousVolumes;
use crate::world::host::Host;
use crate::world::host::alone::Alone;
use crate::world::live::Live;
use crate::world::netns::Namespace;
use crate::world::private::process::boot_id;

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  stack orphans              what killed runs and forgotten projects left; nothing is changed
  stack orphans --remove     take it away: first by the journal of the run, then by the marks
  stack orphans lab          only what the project `lab` left

A project lives while it has a container that no unfinished run made, while a run works on it, while
another project's container is on its network, and while the record of its last `up` stands. What a
record gives to another engine is never taken; the engine to ask is named. A killed run of a project
that lives is listed and left to its next `up` or `down`. Exit codes: 0 nothing left; 2 there is.")]
pub struct OrphansArgs {
    /// Only of these projects
    #[arg(value_name = "PROJECT")]
    pub projects: Vec<ProjectName>,
    /// Take them away
    #[arg(long)]
    pub remove: bool,
    /// Volumes too, with what is in them
    #[arg(long)]
    pub volumes: bool,
    /// Where the engine does not answer: count its projects as gone
    #[arg(long)]
    pub engine_gone: bool,
    /// table or json
    #[arg(long, default_value = "table", value_parser = ["table", "json"])]
    pub format: String,
}

/// Lists what is left, or takes it away.
pub async fn run(context: &Context, arguments: OrphansArgs) -> Outcome {
    let mut place = Place::open(context).await?;
    let seen = place.look(context).await?;
    let (kept, orphans) = chosen(&seen, &arguments);
    if !arguments.remove || context.global.dry_run {
        let mut listed = orphans;
        listed.extend(interrupted(&seen, &listed, &arguments));
        show(&listed, &arguments)?;
        if listed.is_empty() {
            context.tell(" No orphans");
        }
        tell_rest(context, &place, &seen, &kept, &arguments);
        return Ok(if listed.is_empty() {
            Exit::Done
        } else {
            Exit::Changes
        });
    }
    if orphans.is_empty() {
        context.tell(" No orphans");
        tell_rest(context, &place, &seen, &kept, &arguments);
        return Ok(Exit::Done);
    }
    may_remove(&place, &orphans).await?;
    let projects: BTreeSet<&str> = orphans
        .iter()
        .filter_map(|marked| marked.project.as_deref())
        .collect();
    let mut failed = false;
    for project in projects {
        let Ok(project) = project.parse::<ProjectName>() else {
            continue;
        };
        failed |= place.take_down(context, &project, &arguments).await?;
    }
    // What no project could be asked to remove, or what its removal did not know of.
    let (_, left) = chosen(&place.look(context).await?, &arguments);
    for marked in &left {
        let thing = &marked.thing;
        if let Err(text) = place.discard(marked).await {
            talk(&format!("error: {text}"));
            failed = true;
        } else {
            context.tell(&format!(" {} {} Removed", thing.word(), thing.name()));
        }
    }
    let (kept, left) = chosen(&place.look(context).await?, &arguments);
    if !left.is_empty() {
        talk("left:");
        for marked in &left {
            talk(&format!(
                "  {} {}",
                marked.thing.word(),
                marked.thing.name()
            ));
        }
    }
    tell_rest(context, &place, &seen, &kept, &arguments);
    Ok(if failed || !left.is_empty() {
        Exit::Partial
    } else {
        Exit::Done
    })
}

/// The volumes that stay, and the orphans, of the projects that were named.
fn chosen(seen: &Seen, arguments: &OrphansArgs) -> (Vec<Marked>, Vec<Marked>) {
    let engine = if arguments.engine_gone {
        Engine::GivenUp
    } else {
        Engine::Expected
    };
    let named = |marked: &Marked| is_named(marked, arguments);
    let stays =
        |marked: &Marked| matches!(marked.thing, Thing::Volume { .. }) && !arguments.volumes;
    seen.orphans(engine)
        .into_iter()
        .filter(named)
        .partition(stays)
}

fn is_named(marked: &Marked, arguments: &OrphansArgs) -> bool {
    let mut projects = arguments.projects.iter();
    arguments.projects.is_empty()
        || projects.any(|project| marked.project.as_deref() == Some(project.as_str()))
}

/// The killed runs that are not among the orphans.
fn interrupted(seen: &Seen, listed: &[Marked], arguments: &OrphansArgs) -> Vec<Marked> {
    let mut runs = seen.interrupted();
    runs.retain(|run| is_named(run, arguments) && !listed.contains(run));
    runs
}

fn show(orphans: &[Marked], arguments: &OrphansArgs) -> Result<(), Failure> {
    let mut output = std::io::stdout().lock();
    if arguments.format == "json" {
        let text = serde_json::to_string_pretty(orphans).map_err(Failure::said)?;
        writeln!(output, "{text}")?;
        return Ok(());
    }
    if orphans.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["PROJECT", "KIND", "NAME", "KNOWN"]);
    for Marked { project, thing } in orphans {
        table.row([
            project.clone().unwrap_or_else(|| "?".to_owned()),
            thing.word().to_owned(),
            thing.name(),
            thing.known(),
        ]);
    }
    write!(output, "{}", table.text())?;
    Ok(())
}

/// What is not in the list, and why.
fn tell_rest(
    context: &Context,
    place: &Place,
    seen: &Seen,
    kept: &[Marked],
    arguments: &OrphansArgs,
) {
    if !kept.is_empty() {
        let names: Vec<String> = kept.iter().map(|marked| marked.thing.name()).collect();
        context.tell(&format!(
            " Volumes of projects that do not run stay: {} (--volumes takes them too)",
            names.join(", ")
        ));
    }
    if let Some(reason) = &place.no_engine {
        let rest = if arguments.engine_gone {
            "its projects are counted as gone"
        } else {
            "so nobody can say which projects run; --engine-gone counts them as gone"
        };
        context.tell(&format!(" The engine does not answer ({reason}): {rest}"));
    }
    if let Err(reason) = &place.host {
        context.tell(&format!(" The host's side was not looked at: {reason}"));
    }
    for Record { wanted, .. } in all_records(context).unwrap_or_default() {
        if let Err(error) = wanted {
            context.tell(&format!(" warning: {error}"));
        }
    }
    let unfinished: BTreeSet<&str> = seen
        .runs
        .iter()
        .filter(|run| run.made.is_some())
        .map(|run| run.project.as_str())
        .collect();
    for project in seen.elsewhere.keys() {
        context.tell(&format!(
            " `{project}` is left alone: {}",
            seen.fate(project)
        ));
    }
    for project in &seen.settled {
        let fate = seen.fate(project);
        if fate == Fate::Wanted {
            context.tell(&format!(" `{project}` is left alone: {fate}"));
        }
    }
    for project in unfinished {
        match seen.fate(project) {
            Fate::Gone | Fate::Wanted | Fate::Elsewhere(Some(_)) => {}
            fate @ (Fate::Lives(_)
            | Fate::Busy(_)
            | Fate::Lent(_)
            | Fate::Elsewhere(None)
            | Fate::Unknown) => {
                context.tell(&format!(
                    " `{project}` has an unfinished run and is left alone: {fate}; its next `up` or `down` takes that back"
                ));
            }
        }
    }
}

/// That this process may remove what is on the host, before anything is changed.
async fn may_remove(place: &Place, orphans: &[Marked]) -> Result<(), Failure> {
    let Some(first) = orphans.iter().find(|marked| marked.thing.on_host()) else {
        return Ok(());
    };
    if let Ok(host) = &place.host
        && !host.facts().await?.may_administer
    {
        return Err(Failure::with_hint(
            format!(
                "{} `{}` needs CAP_NET_ADMIN on this machine to be removed, which this process does not have; nothing was changed",
                first.thing.word(),
                first.thing.name()
            ),
            "run the same command with sudo",
        ));
    }
    Ok(())
}

/// The engine and its host, each where it can be had.
struct Place {
    live: Option<Live>,
    /// The engine that was asked, whether it answers or not.
    url: Option<String>,
    no_engine: Option<String>,
    host: Result<Host, String>,
}

impl Place {
    async fn open(context: &Context) -> Result<Place, Failure> {
        let url = endpoint(&context.surroundings());
        let url = url.ok().map(|endpoint| endpoint.url());
        match context.live().await {
            Ok(live) => {
                let host = live.host().await.clone();
                Ok(Place {
                    live: Some(live),
                    url,
                    no_engine: None,
                    host,
                })
            }
            Err(Failure::Said { text, .. }) => {
                let namespace = Namespace::current().map_err(Failure::said)?;
                let host = Host::open(namespace, context.state_folder()?).await;
                Ok(Place {
                    live: None,
                    url,
                    no_engine: Some(text),
                    host: host.map_err(|error| error.to_string()),
                })
            }
            Err(other @ (Failure::Told(_) | Failure::OutputClosed)) => Err(other),
        }
    }

    async fn look(&mut self, context: &Context) -> Result<Seen, Failure> {
        let mut seen = Seen::default();
        let here = self.url.as_deref().map(Context::engine_digest);
        if let Some(live) = &self.live {
            engine_side(live, &mut seen).await?;
        }
        if let Ok(host) = &self.host {
            seen.marked.extend(host.marked().await?);
        }
        for run in runs(&context.state_folder()?, &boot_id())? {
            run_seen(&run, here.as_deref(), &mut seen);
        }
        for Record { path, wanted } in all_records(context)? {
            let Ok(wanted) = wanted else { continue };
            let project = wanted.project.to_string();
            if self.url.as_ref() != Some(&wanted.engine) {
                // Nothing here can say how it stands with that one.
                seen.elsewhere.insert(project, wanted.engine);
                continue;
            }
            if wanted.settled().is_some() {
                seen.settled.insert(project);
            }
            seen.marked.push(Marked {
                project: Some(wanted.project.to_string()),
                thing: Thing::Record {
                    file: path.display().to_string(),
                },
            });
        }
        Ok(seen)
    }

    /// Takes a project's things away: what a journal tells, then what carries our mark. Whether something failed.
    async fn take_down(
        &mut self,
        context: &Context,
        project: &ProjectName,
        arguments: &OrphansArgs,
    ) -> Result<bool, Failure> {
        if self.live.is_none() {
            return self.take_down_host(context, project).await;
        }
        let session = Session::locked(context, project, "orphans").await?;
        // Another run may have come and gone while we waited for the lock.
        let seen = self.look(context).await?;
        let fate = seen.fate(project.as_str());
        if fate != Fate::Gone {
            context.tell(&format!(" `{project}` is left alone: {fate}"));
            return Ok(false);
        }
        session.repair(Past::TakenBack).await?;
        let mut observed = session.observe(Vec::new()).await?;
        only_ours(&mut observed);
        let options = DownOptions {
            volumes: arguments.volumes,
            ..DownOptions::default()
        };
        let plan = down(project, &observed, &options).map_err(Failure::said)?;
        if plan.is_empty() {
            session.keep(&[])?;
            return Ok(false);
        }
        let manner = Manner {
            host_side: HostSide::Goes,
            ..Manner::plain(OnFailure::GoOn)
        };
        let report = session.carry_out(&plan, &observed, &manner).await?;
        match outcome(&report) {
            Ok(_) => Ok(false),
            Err(Failure::Told(Exit::Interrupted)) => Err(Failure::Told(Exit::Interrupted)),
            Err(_) => Ok(true),
        }
    }

    /// The same for the host alone.
    async fn take_down_host(
        &self,
        context: &Context,
        project: &ProjectName,
    ) -> Result<bool, Failure> {
        let Ok(host) = &self.host else {
            return Ok(false);
        };
        let world = Alone { host: host.clone() };
        let observed = world.observe(&scope(project)).await?;
        let plan = down(project, &observed, &DownOptions::default()).map_err(Failure::said)?;
        if plan.is_empty() {
            return Ok(false);
        }
        let options = Options {
            on_failure: OnFailure::GoOn,
            ..Options::default()
        };
        let renderer = context.renderer();
        let report = apply::run(&plan, &world, None, &renderer, &options, stream::pending()).await;
        renderer.finish();
        Ok(summary::exit(&report) != Exit::Done)
    }

    async fn discard(&self, marked: &Marked) -> Result<(), String> {
        let engine = self.live.as_ref().map(Live::engine);
        match &marked.thing {
            // A probe container: no project has it.
            Thing::Container { name, .. } if marked.project.is_none() => match engine {
                Some(engine) => (engine.remove(name, AnonymousVolumes::Remove).await)
                    .map_err(|error| error.to_string()),
                None => Ok(()),
            },
            Thing::Image { name } => match engine {
                Some(engine) => {
                    (engine.remove_envoy_image(name).await).map_err(|error| error.to_string())
                }
                None => Ok(()),
            },
            // Should the engine come back, its containers are taken back by it.
            Thing::Run { journal, .. } => Err(format!(
                "the unfinished run of `{}` stays, as its engine does not answer; where that never comes back, remove {journal}",
                marked.project.as_deref().unwrap_or("?")
            )),
            // Whoever takes it next locks it before it is looked at, so an unheld name may go.
            Thing::Lock { file } => match lock::holder(Path::new(file)) {
                Ok(None) => std::fs::remove_file(file).map_err(|error| error.to_string()),
                Ok(Some(_)) => Ok(()),
                Err(error) => Err(error.to_string()),
            },
            Thing::Record { file } => std::fs::remove_file(file).map_err(|error| error.to_string()),
            Thing::Link { .. }
            | Thing::Namespace { .. }
            | Thing::Route { .. }
            | Thing::Table { .. }
            | Thing::Note { .. }
            | Thing::Container { .. }
            | Thing::Network { .. }
            | Thing::Volume { .. } => match &self.host {
                Ok(host) => host
                    .discard(marked)
                    .await
                    .map_err(|error| error.to_string()),
                Err(reason) => Err(reason.clone()),
            },
        }
    }
}

/// The records in the folder that outlives a reboot and in that of locks and journals, where those of private engines
/// are: a process inside of such an engine's host need not know that it is one.
fn all_records(context: &Context) -> Result<Vec<Record>, Failure> {
    let lasting = context.records()?;
    let passing = Records::new(&context.state_folder()?);
    let mut records = lasting.all().map_err(Failure::said)?;
    if passing.folder() != lasting.folder() {
        records.extend(passing.all().map_err(Failure::said)?);
    }
    Ok(records)
}

fn scope(project: &ProjectName) -> Scope {
    Scope {
        project: project.clone(),
        images: Vec::new(),
        doors: Vec::new(),
        attachments: BTreeMap::new(),
        host: true,
    }
}

/// What is the engine's and carries our mark, and whose containers there are.
async fn engine_side(live: &Live, seen: &mut Seen) -> Result<(), Failure> {
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
    let mut everything = scope(&project);
    everything.host = false;
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

fn run_seen(run: &Run, here: Option<&str>, seen: &mut Seen) {
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

/// Leaves out what carries Compose's labels and not ours.
fn only_ours(observed: &mut Observed) {
    observed
        .containers
        .retain(|found| found.labels.contains_key(mark::HASH));
    observed.networks.retain(|found| found.hash.is_some());
    observed.volumes.retain(|found| found.hash.is_some());
}
