//! `stack up`.

use clap::Args;

use crate::apply::OnFailure;
use crate::apply::report::Report;
use crate::cli::attach;
use crate::cli::carry::{Manner, Session, outcome};
use crate::cli::clock::Phase;
use crate::cli::context::{Context, Opened};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::make::{Goal, Intent, intend, open};
use crate::cli::ready;
use crate::cli::timings::{self, Timings};
use crate::cli::values::Scale;
use crate::plan::spec::Spec;
use crate::plan::step::Plan;

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
    /// Stop everything when one container ends
    #[arg(long, conflicts_with = "abort_on_container_failure")]
    pub abort_on_container_exit: bool,
    /// Stop everything when one container ends with an error
    #[arg(long)]
    pub abort_on_container_failure: bool,
    /// End with this service's exit code; implies --abort-on-container-exit
    #[arg(long, value_name = "SERVICE")]
    pub exit_code_from: Option<String>,
    /// Follow the logs of these services only (repeatable)
    #[arg(long, value_name = "SERVICE", conflicts_with = "attach_dependencies")]
    pub attach: Vec<String>,
    /// Follow the logs of dependencies too
    #[arg(long)]
    pub attach_dependencies: bool,
    /// Do not follow the logs of these services (repeatable)
    #[arg(long, value_name = "SERVICE")]
    pub no_attach: Vec<String>,
    /// Logs without colours
    #[arg(long)]
    pub no_color: bool,
    /// Logs without the container's name
    #[arg(long)]
    pub no_log_prefix: bool,
    /// Logs with their time
    #[arg(long)]
    pub timestamps: bool,
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

/// How containers and images come about: what `up` and `create` have in common.
#[derive(Debug, Clone, Default, Args)]
pub struct MakeArgs {
    /// Build images first, even if they are there
    #[arg(long, conflicts_with = "no_build")]
    pub build: bool,
    /// Do not build images, even if they are missing
    #[arg(long)]
    pub no_build: bool,
    /// Pull images: always, missing, never, or policy (what the file says)
    #[arg(long, value_name = "POLICY", hide_possible_values = true, value_parser = ["always", "missing", "never", "policy", "build"])]
    pub pull: Option<String>,
    /// Make all containers anew
    #[arg(long, conflicts_with = "no_recreate")]
    pub force_recreate: bool,
    /// Leave containers as they are, even if the file has changed
    #[arg(long)]
    pub no_recreate: bool,
    /// Make the containers of dependencies anew as well
    #[arg(long, conflicts_with = "no_recreate")]
    pub always_recreate_deps: bool,
    /// Do not take over the anonymous volumes of replaced containers
    #[arg(short = 'V', long, conflicts_with = "no_recreate")]
    pub renew_anon_volumes: bool,
    /// Remove containers of services that the file no longer has
    #[arg(long)]
    pub remove_orphans: bool,
    /// So many containers of a service (repeatable)
    #[arg(long, value_name = "SERVICE=N")]
    pub scale: Vec<Scale>,
    /// Seconds until a container that does not stop is killed
    #[arg(short, long, value_name = "SECONDS")]
    pub timeout: Option<u32>,
    /// Pull without telling how far it is
    #[arg(long)]
    pub quiet_pull: bool,
    /// Build without telling how far it is
    #[arg(long)]
    pub quiet_build: bool,
    #[arg(short = 'y', long, hide = true)]
    pub yes: bool,
}

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

/// Makes everything and, unless it is to stay in the background, follows the logs.
pub async fn run(context: &Context, arguments: UpArgs) -> Outcome {
    refuse_contradictions(context, &arguments)?;
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
    )?;
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
    };
    let mut made = make(context, &session, opened, &arguments.make, &how).await;
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
            attach::follow(context, session, &made, &arguments, since).await
        }
        Some(_) | None => Ok(Exit::Done),
    }
}

/// How something is made.
pub struct How<'a> {
    /// Services on the command line.
    pub named: &'a [String],
    pub goal: Goal,
    pub rollback: bool,
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
        host_side: Some(work.host_side),
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

fn refuse_contradictions(context: &Context, arguments: &UpArgs) -> Result<(), Failure> {
    if arguments.make.remove_orphans && context.settings.is_on("IGNORE_ORPHANS") {
        return Err(Failure::said(
            "cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans",
        ));
    }
    Ok(())
}
