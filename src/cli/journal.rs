//! `stack journal`: what is written down because it cannot carry a mark. The unfinished runs of each project, step by
//! step, the ledger of the host, and what the doctor mended.

use std::io::Write;

use clap::Args;
use serde_json::{Value, json};

use crate::apply::journal::Unfinished;
use crate::apply::runs::{Run, runs};
use crate::apply::status::Status;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::render::words::title;
use crate::model::name::ProjectName;
use crate::plan::step::StepIndex;
use crate::world::host::ledger::{Entry, Ledger};
use crate::world::host::mend::{Mended, Mender};
use crate::world::private::process::boot_id;

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  stack journal              runs that were not finished, what of the host is to be put back, what the
                             doctor mended
  stack journal lab          only those of the project `lab`

An unfinished run is taken back by the project's next `up` or `down`, or by `stack orphans --remove`.
What `stack doctor --fix` did is shown too, with what was before.")]
pub struct JournalArgs {
    /// Only of these projects
    #[arg(value_name = "PROJECT")]
    pub projects: Vec<ProjectName>,
    /// text or json
    #[arg(long, default_value = "text", value_parser = ["text", "json"])]
    pub format: String,
}

/// Reads it and shows it; nothing is changed, and no engine is needed.
pub fn run(context: &Context, arguments: &JournalArgs) -> Outcome {
    let folder = context.state_folder()?;
    let named = |project: &str| {
        arguments.projects.is_empty()
            || arguments
                .projects
                .iter()
                .any(|name| name.as_str() == project)
    };
    let mut found = runs(&folder, &boot_id())
        .map_err(|error| Failure::said(format!("cannot read {}: {error}", folder.display())))?;
    found.retain(|run| named(&run.project) && (run.holder.is_some() || run.unfinished.is_some()));
    let mut notes = Ledger::all(&folder)
        .map_err(|error| Failure::said(format!("cannot read the host's ledger: {error}")))?;
    notes.retain(|entry| named(entry.project.as_str()));
    // What the doctor mended is of no project.
    let mended = match arguments.projects.is_empty() {
        true => Mender::new(&context.lasting_folder(), &boot_id()).entries(),
        false => Ok(Vec::new()),
    };
    let mended = mended
        .map_err(|error| Failure::said(format!("cannot read the doctor's journal: {error}")))?;
    let mut output = std::io::stdout().lock();
    if arguments.format == "json" {
        let runs: Vec<Value> = found.iter().map(run_json).collect();
        let notes: Vec<Value> = notes.iter().map(note_json).collect();
        let mended: Vec<Value> = mended.iter().map(mended_json).collect();
        let all = json!({"runs": runs, "host": notes, "doctor": mended});
        let text = serde_json::to_string_pretty(&all).map_err(Failure::said)?;
        writeln!(output, "{text}")?;
        return Ok(Exit::Done);
    }
    if found.is_empty() && notes.is_empty() && mended.is_empty() {
        context.tell(" Nothing is written down: no run is unfinished");
        return Ok(Exit::Done);
    }
    for run in &found {
        write!(output, "{}", run_text(run))?;
    }
    if !notes.is_empty() {
        writeln!(output, "this host")?;
    }
    for entry in &notes {
        if let Some(note) = &entry.note {
            let Entry {
                project,
                id,
                namespace,
                ..
            } = entry;
            writeln!(
                output,
                "  {id} of {project}: {note} (network namespace {namespace})"
            )?;
        }
    }
    if !mended.is_empty() {
        writeln!(output, "the doctor (`stack doctor --put-back` undoes it)")?;
    }
    for entry in &mended {
        let before = match &entry.before {
            Some(before) => format!(" (it was {before})"),
            None => String::new(),
        };
        writeln!(output, "  {}{before}", entry.remedy)?;
    }
    Ok(Exit::Done)
}

fn mended_json(entry: &Mended) -> Value {
    json!({
        "remedy": entry.remedy,
        "says": entry.remedy.to_string(),
        "before": entry.before,
    })
}

fn run_text(run: &Run) -> String {
    let mut text = format!("{} (engine {})\n", run.project, run.engine);
    if let Some(holder) = &run.holder {
        text.push_str(&format!(
            "  `stack {}` works on it now (process {}, since {})\n",
            holder.command, holder.pid, holder.since
        ));
    }
    match &run.unfinished {
        None => {}
        Some(Err(error)) => text.push_str(&format!("  {}\n", whole(error))),
        Some(Ok(unfinished)) => {
            if run.holder.is_none() {
                let heading = &unfinished.heading;
                text.push_str(&format!(
                    "  `stack {}` of {} was not finished: {}\n",
                    heading.command,
                    heading.since,
                    future(unfinished)
                ));
            }
            for (place, step) in unfinished.plan.steps.iter().enumerate() {
                let status = word(unfinished.statuses.of(StepIndex(place)));
                text.push_str(&format!(
                    "    {status:<9} {} {}\n",
                    step.verb(),
                    title(&step.id)
                ));
            }
        }
    }
    text
}

/// What the next run does about it.
fn future(unfinished: &Unfinished) -> String {
    let steps = unfinished.unwind().steps.len();
    match (unfinished.committed, steps) {
        (_, 0) => "nothing of it has to be taken back".to_owned(),
        (true, steps) => format!("it succeeded; the next run discards what it replaced ({steps})"),
        (false, 1) => "the next run takes 1 step back".to_owned(),
        (false, steps) => format!("the next run takes {steps} steps back"),
    }
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Planned => "planned",
        Status::Started => "begun",
        Status::Done => "done",
        Status::Failed => "failed",
        Status::Undoing => "undoing",
        Status::Undone => "undone",
        Status::Stuck => "stuck",
    }
}

fn whole(error: &dyn std::error::Error) -> String {
    let cause = error
        .source()
        .map(|cause| format!(": {cause}"))
        .unwrap_or_default();
    format!("{error}{cause}")
}

fn run_json(run: &Run) -> Value {
    let unfinished = run.unfinished.as_ref().map(|unfinished| match unfinished {
        Err(error) => json!({"error": whole(error)}),
        Ok(unfinished) => {
            let steps: Vec<Value> = unfinished
                .plan
                .steps
                .iter()
                .enumerate()
                .map(|(place, step)| {
                    json!({
                        "id": step.id.to_string(),
                        "verb": step.verb(),
                        "status": word(unfinished.statuses.of(StepIndex(place))),
                    })
                })
                .collect();
            json!({
                "command": unfinished.heading.command,
                "since": unfinished.heading.since,
                "rebooted": unfinished.rebooted,
                "committed": unfinished.committed,
                "to_take_back": unfinished.unwind().steps.len(),
                "steps": steps,
            })
        }
    });
    json!({
        "project": run.project,
        "engine": run.engine,
        "file": run.journal,
        "holder": run.holder,
        "unfinished": unfinished,
    })
}

fn note_json(entry: &Entry) -> Value {
    json!({
        "project": entry.project,
        "id": entry.id.to_string(),
        "namespace": entry.namespace,
        "note": entry.note,
        "says": entry.note.as_ref().map(ToString::to_string),
    })
}
