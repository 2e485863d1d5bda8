//! A stack that was made: the plan of `up` carried out, for `up`, `create`, `scale` and `run`.

use std::time::Duration;

use crate::apply::OnFailure;
use crate::apply::report::Report;
use crate::cli::carry::{HostSide, Manner, Session, outcome};
use crate::cli::context::{Context, Opened};
use crate::cli::exit::Failure;
use crate::cli::make::{Goal, Intent, MakeArgs, intend};
use crate::plan::spec::Spec;
use crate::plan::step::Plan;

/// What came of making.
pub struct Made {
    pub opened: Opened,
    pub intent: Intent,
    change: Change,
}

/// Whether anything had to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Nothing,
    Something,
}

impl Made {
    /// The one line of an `up` that changes nothing.
    pub fn tell_if_nothing(&self, context: &Context) {
        if self.change == Change::Nothing {
            let nothing = nothing_to_do(&self.opened, &self.intent);
            context.tell(&format!(" {nothing}"));
        }
    }
}

/// How something is made.
pub struct How<'a> {
    /// Services on the command line.
    pub named: &'a [String],
    pub goal: Goal,
    pub rollback: bool,
    /// How long a container may take to become healthy or to complete where another waits for it.
    pub patience: Option<Duration>,
}

/// Carries out what `up`, `create` and `scale` share.
pub async fn make(
    context: &Context,
    session: &Session<'_>,
    opened: Opened,
    make: &MakeArgs,
    how: &How<'_>,
) -> Result<Made, Failure> {
    let mut intent = intend(context, &session.live, &opened, make, how.named, how.goal).await?;
    let quiet = make.quiet_pull || make.quiet_build;
    intent.fetch_images(session, &opened, quiet).await?;
    let plan = intent.plan(&opened)?;
    let host_side = intent.host_side(&session.kept()?, &plan);
    let mut change = Change::Nothing;
    if plan.is_empty() {
        session.keep(&host_side)?;
    } else {
        let work = Work {
            plan: &plan,
            host_side: &host_side,
            quiet_images: quiet,
        };
        let report = carry_out(session, &opened, &intent, &work, how).await?;
        outcome(&report)?;
        change = Change::Something;
    }
    Ok(Made {
        opened,
        intent,
        change,
    })
}

/// What is to be carried out.
struct Work<'a> {
    plan: &'a Plan,
    /// What the project wants of its host when it is done.
    host_side: &'a [Spec],
    quiet_images: bool,
}

async fn carry_out(
    session: &Session<'_>,
    opened: &Opened,
    intent: &Intent,
    work: &Work<'_>,
    how: &How<'_>,
) -> Result<Report, Failure> {
    let place = |id: &_| opened.place(id);
    let manner = Manner {
        on_failure: if how.rollback {
            OnFailure::Undo
        } else {
            OnFailure::Keep
        },
        quiet_images: work.quiet_images,
        place: &place,
        host_side: HostSide::Becomes(work.host_side),
        patience: how.patience,
    };
    session
        .carry_out(work.plan, &intent.observed, &manner)
        .await
}

fn nothing_to_do(opened: &Opened, intent: &Intent) -> String {
    let containers: usize = intent.desired.containers.values().map(Vec::len).sum();
    let what = match containers {
        0 => String::new(),
        1 => ", 1 container".to_owned(),
        many => format!(", {many} containers"),
    };
    format!(
        "{} is as the file says{what}: nothing to do",
        opened.stack.project
    )
}
