//! `stack up`.

use std::time::Duration;

use clap::Args;

use crate::cli::attach::{self, AttachArgs, Wish};
use crate::cli::beside;
use crate::cli::carry::Session;
use crate::cli::clock::Phase;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::made::{How, make};
use crate::cli::make::{Goal, MakeArgs, open};
use crate::cli::ready;
use crate::cli::timings::{self, Timings};

#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "Examples:
  stack up -d                   everything, in the background
  stack up -d web               only `web` and what it depends on
  stack up --wait               return when all is running and healthy
  stack up -d --scale web=3     three of `web`
  stack up --build              build images first
  stack up -d --timings         and tell where the time went

A failed `up` takes back what it did and says so; --no-rollback keeps it for a look.
`up` again changes nothing that is as the file says.")]
pub struct UpArgs {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    #[command(flatten)]
    pub make: MakeArgs,
    /// Run in the background
    #[arg(short, long, conflicts_with_all = ATTACHED)]
    pub detach: bool,
    /// Return when everything is running or healthy; implies --detach
    #[arg(long, conflicts_with_all = ATTACHED)]
    pub wait: bool,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    pub wait_timeout: Option<u64>,
    /// Create containers and do not start them
    #[arg(long, conflicts_with_all = ["wait"])]
    pub no_start: bool,
    /// Do not follow the services that the named ones depend on, nor start them
    #[arg(long)]
    pub no_deps: bool,
    #[command(flatten)]
    pub attached: AttachArgs,
    /// Tell where the time went: table, json or trace (for chrome://tracing), each into a file as in trace:FILE
    #[arg(long, value_name = "FORM", num_args = 0..=1, require_equals = true, default_missing_value = "table")]
    pub timings: Option<Timings>,
    /// Keep what was done when a step fails
    #[arg(long)]
    pub no_rollback: bool,
}

/// What only makes sense for an `up` that stays.
const ATTACHED: [&str; 6] = [
    "abort_on_container_exit",
    "abort_on_container_failure",
    "exit_code_from",
    "attach",
    "attach_dependencies",
    "no_attach",
];

/// Makes everything and, unless it is to stay in the background, follows the logs.
pub async fn run(context: &Context, arguments: UpArgs) -> Outcome {
    refuse_contradictions(context, &arguments)?;
    timings::may_tell(context, arguments.timings.as_ref())?;
    let goal = if arguments.no_start {
        Goal::Created
    } else {
        Goal::Running
    };
    let opened = open(
        context,
        &arguments.services,
        arguments.no_deps,
        &arguments.make,
    );
    let opened = beside::told(context, &arguments.services, opened).await?;
    arguments.attached.check(&opened.stack)?;
    context.clock.lap(Phase::Read);
    let session = Session::open(context, &opened.stack.project, "up").await?;
    let stays =
        !(arguments.detach || arguments.wait || goal == Goal::Created || context.global.dry_run);
    // By the engine's clock, which need not be ours.
    let since = if stays {
        Some(session.live.engine().clock().await?)
    } else {
        None
    };
    let how = How {
        named: &arguments.services,
        goal,
        rollback: !arguments.no_rollback,
        patience: arguments.wait_timeout.map(Duration::from_secs),
    };
    let mut made = make(context, &session, opened, &arguments.make, &how).await;
    // What follows only looks on: others may change the project, or take it down.
    session.release();
    if let Ok(whole) = &made {
        whole.tell_if_nothing(context);
    }
    if let Ok(whole) = &made
        && arguments.wait
        && !context.global.dry_run
    {
        let ready = ready::wait(context, &session, whole, arguments.wait_timeout).await;
        context.clock.lap(Phase::Ready);
        made = made.and_then(|made| ready.map(|()| made));
    }
    let told = timings::tell(context, arguments.timings.as_ref(), "up");
    let made = made?;
    told?;
    match since {
        Some(since) if !made.opened.stack.services.is_empty() => {
            let wish = Wish {
                flags: &arguments.attached,
                named: &arguments.services,
                timeout: arguments.make.timeout,
            };
            attach::follow(context, &session, &made, &wish, since).await
        }
        Some(_) | None => Ok(Exit::Done),
    }
}

fn refuse_contradictions(context: &Context, arguments: &UpArgs) -> Result<(), Failure> {
    if arguments.make.remove_orphans && context.settings.is_on("IGNORE_ORPHANS") {
        return Err(Failure::said(
            "cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans",
        ));
    }
    Ok(())
}
