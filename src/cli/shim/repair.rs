//! `stack shim repair`: of what `up` would do, only what puts the host's side back: lans, links, flags, shims, routes
//! and doors of networks that are there. Containers and networks are not touched.

use std::collections::BTreeSet;

use clap::Args;

use crate::apply::OnFailure;
use crate::cli::carry::{Manner, Session, outcome};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Outcome};
use crate::cli::make::MakeArgs;
use crate::cli::make::{Goal, intend, open};
use crate::plan::observed::Observed;
use crate::plan::spec::Spec;
use crate::plan::step::{State, Step};

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  stack shim repair             what the stack file in this folder wants of the host, put back
  stack --dry-run shim repair   only tell what would be done")]
pub struct RepairArgs {}

/// Puts the host's side back.
pub async fn run(context: &Context) -> Outcome {
    let make = MakeArgs::default();
    let opened = open(context, &[], false, &make)?;
    let session = Session::open(context, &opened.stack.project, "shim repair").await?;
    let intent = intend(context, &session.live, &opened, &make, &[], Goal::Running).await?;
    let there = There::of(&intent.observed);
    let plan = intent.plan(&opened)?.only(|step| there.repairs(step));
    if plan.is_empty() {
        context.tell(&format!(
            " {}: the host's side is whole",
            opened.stack.project
        ));
        return Ok(Exit::Done);
    }
    let place = |id: &_| opened.place(id);
    let manner = Manner {
        on_failure: OnFailure::Keep,
        quiet_images: true,
        place: &place,
        host_side: None,
    };
    let report = session.carry_out(&plan, &intent.observed, &manner).await?;
    outcome(&report)
}

/// What there is in the engine for the host's side to be made for.
struct There<'a> {
    networks: BTreeSet<&'a str>,
    running: BTreeSet<&'a str>,
}

impl<'a> There<'a> {
    fn of(observed: &'a Observed) -> There<'a> {
        There {
            networks: observed
                .networks
                .iter()
                .map(|found| found.spec.name.as_str())
                .collect(),
            running: observed
                .containers
                .iter()
                .filter(|found| found.runs())
                .map(|found| found.name.as_str())
                .collect(),
        }
    }

    /// Whether a step puts something back that should be there now.
    fn repairs(&self, step: &Step) -> bool {
        let (true, State::Present(spec)) = (step.id.kind.on_host(), &step.after) else {
            return false;
        };
        match spec.as_ref() {
            Spec::Shim(shim) => shim
                .networks
                .iter()
                .all(|network| self.networks.contains(network.as_str())),
            Spec::Route(route) => self.running.contains(route.container.as_str()),
            Spec::Door(door) => self.running.contains(door.container.as_str()),
            Spec::Lan(_) | Spec::Link(_) | Spec::Promiscuity(_) => true,
            Spec::Network(_)
            | Spec::Volume(_)
            | Spec::Image(_)
            | Spec::Container(_)
            | Spec::Existing(_)
            | Spec::Endpoint(_) => false,
        }
    }
}
