//! `stack exec`.

use clap::Args;

use crate::cli::containers::{Which, of_service};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Outcome};
use crate::cli::terminal;
use crate::cli::values::Variable;
use crate::world::engine::talk::session::{Attached, Order, Terminal};

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  stack exec web sh                      a shell
  stack exec -T db cat /etc/hosts        without a terminal, for pipes
  stack exec --index 2 web hostname      in the second container
The exit code is that of the command.")]
pub struct ExecArgs {
    /// Service
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// Command and its arguments
    #[arg(
        value_name = "COMMAND",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub command: Vec<String>,
    /// Run it in the background
    #[arg(short, long)]
    pub detach: bool,
    /// Variable (repeatable); without a value it is taken from here
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<Variable>,
    /// The container of this number
    #[arg(long, value_name = "N")]
    pub index: Option<u32>,
    /// No terminal (it is also left out where input or output is none)
    #[arg(short = 'T', long = "no-tty", alias = "no-TTY")]
    pub no_tty: bool,
    #[arg(short = 't', long = "tty", hide = true)]
    pub tty: bool,
    #[arg(short, long, hide = true, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true")]
    pub interactive: bool,
    /// With all capabilities
    #[arg(long)]
    pub privileged: bool,
    /// As this user
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
    /// In this folder
    #[arg(short, long, value_name = "FOLDER")]
    pub workdir: Option<String>,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: ExecArgs) -> Outcome {
    let target = context.target()?;
    let engine = context.engine().await?;
    let container = of_service(
        &engine,
        &target,
        &arguments.service,
        arguments.index,
        Which::Running,
    )
    .await?;
    if context.global.dry_run {
        let command = arguments.command.join(" ");
        context.tell(&format!(" Container {} Exec {command}", container.name));
        return Ok(Exit::Done);
    }
    let tty = !arguments.no_tty && !arguments.detach && terminal::is_ours();
    let order = Order {
        command: arguments.command,
        environment: arguments
            .env
            .iter()
            .filter_map(Variable::resolve)
            .map(|(name, value)| format!("{name}={value}"))
            .collect(),
        user: arguments.user,
        folder: arguments.workdir,
        privileged: arguments.privileged,
        tty,
        input: arguments.interactive,
    };
    if arguments.detach {
        let exec = engine
            .prepare(&container.name, &order, Attached::No)
            .await?;
        engine.start_detached(&exec).await?;
        return Ok(Exit::Done);
    }
    let exec = engine
        .prepare(&container.name, &order, Attached::Yes)
        .await?;
    let session = engine.start_attached(&exec, tty).await?;
    let own = tty.then(|| Terminal::Exec(exec.clone()));
    terminal::converse(&engine, session, own, order.input).await?;
    let code = engine.exec_code(&exec).await?;
    Ok(Exit::of_container(code))
}
