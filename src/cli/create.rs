//! `stack create` and `stack scale`: `up` in part.

use clap::Args;

use crate::cli::beside;
use crate::cli::carry::Session;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Outcome};
use crate::cli::made::{How, make};
use crate::cli::make::MakeArgs;
use crate::cli::make::{Goal, open};
use crate::cli::values::Scale;

#[derive(Debug, Clone, Args)]
pub struct CreateArgs {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    #[command(flatten)]
    pub make: MakeArgs,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Example: stack scale web=3 worker=0")]
pub struct ScaleArgs {
    /// Service and how many containers of it
    #[arg(value_name = "SERVICE=N", required = true)]
    pub scales: Vec<Scale>,
    /// Do not start what the services depend on
    #[arg(long)]
    pub no_deps: bool,
}

/// Creates and does not start.
pub async fn create(context: &Context, arguments: CreateArgs) -> Outcome {
    let goal = Goal::Created;
    run(
        context,
        "create",
        &arguments.services,
        &arguments.make,
        goal,
        false,
    )
    .await
}

/// Makes as many as are asked for.
pub async fn scale(context: &Context, arguments: ScaleArgs) -> Outcome {
    let services: Vec<String> = arguments
        .scales
        .iter()
        .map(|scale| scale.service.to_string())
        .collect();
    let wanted = MakeArgs {
        scale: arguments.scales,
        ..MakeArgs::default()
    };
    run(
        context,
        "scale",
        &services,
        &wanted,
        Goal::Running,
        arguments.no_deps,
    )
    .await
}

async fn run(
    context: &Context,
    command: &'static str,
    services: &[String],
    wanted: &MakeArgs,
    goal: Goal,
    no_deps: bool,
) -> Outcome {
    let opened = open(context, services, no_deps, wanted);
    let opened = beside::told(context, services, opened).await?;
    let session = Session::open(context, &opened.stack.project, command).await?;
    let how = How {
        named: services,
        goal,
        patience: None,
        rollback: true,
    };
    let made = make(context, &session, opened, wanted, &how).await?;
    made.tell_if_nothing(context);
    Ok(Exit::Done)
}
