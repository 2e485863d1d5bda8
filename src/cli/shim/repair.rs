//! `stack shim repair`: what the last `up` made of the host's side, put back where somebody removed or changed it: lans,
//! links, flags, shims, routes and doors. It is known from the record, so no file is needed. Containers and networks are
//! not touched.

use std::collections::BTreeMap;

use clap::Args;

use crate::apply::OnFailure;
use crate::apply::wanted::Standing;
use crate::cli::carry::{Manner, Session, outcome};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::plan::diff::keep::{Sight, keep};
use crate::plan::observed::Scope;
use crate::plan::spec::Spec;

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  stack shim repair             what the project of this folder wants of the host, put back
  stack -p lab shim repair      the project `lab`, from anywhere, with its file gone
  stack --dry-run shim repair   only tell what would be done

What is wanted was written down by the last `up`; a file that was changed since counts with the next one.
Exit codes: 0 all is whole; 3 something could not be put back, or waits for what is not there.")]
pub struct RepairArgs {}

/// Puts the host's side back.
pub async fn run(context: &Context) -> Outcome {
    let project = context.target()?.project;
    let session = Session::open(context, &project, "shim repair").await?;
    let wanted = match session.record()? {
        Some(Standing::Settled(wanted)) => wanted,
        None => {
            context.tell(&format!(" {project} wants nothing of this host"));
            return Ok(Exit::Done);
        }
        Some(Standing::Changing { .. }) => {
            return Err(Failure::with_hint(
                format!(
                    "the last `up` of `{project}` did not end, so it is not certain what is wanted"
                ),
                "stack up, or stack down",
            ));
        }
    };
    let observed = session
        .look(&Scope {
            project: project.clone(),
            images: Vec::new(),
            doors: wanted.iter().filter_map(Spec::as_door).cloned().collect(),
            attachments: BTreeMap::new(),
            host: true,
        })
        .await?;
    let duty = keep(&project, &wanted, &observed, Sight::Both).map_err(Failure::said)?;
    for wait in &duty.waits {
        context.tell(&format!(" {project}: {wait}"));
    }
    let waits = match duty.waits.is_empty() {
        true => Exit::Done,
        false => Exit::Partial,
    };
    if duty.plan.is_empty() {
        if waits == Exit::Done {
            context.tell(&format!(" {project}: the host's side is whole"));
        }
        return Ok(waits);
    }
    let manner = Manner::plain(OnFailure::Keep);
    let report = session.carry_out(&duty.plan, &observed, &manner).await?;
    outcome(&report)?;
    Ok(waits)
}
