//! `stack orphans`: what carries our mark, on the host or in the engine, and belongs to nothing that runs.

mod place;
mod seen;

use std::collections::BTreeSet;
use std::io::Write;

use clap::Args;

use crate::apply::wanted::Record;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::orphans::place::{Place, all_records};
use crate::cli::render::talk;
use crate::cli::table::Table;
use crate::model::name::ProjectName;
use crate::plan::orphan::{Engine, Fate, Marked, Seen, Thing};

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
