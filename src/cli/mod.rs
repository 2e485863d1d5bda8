//! The command line: one file per command, and the only place that prints. Data goes to standard output, talk to
//! standard error.

pub mod agent;
pub mod attach;
pub mod beside;
pub mod carry;
pub mod check;
pub mod claims;
pub mod clock;
pub mod completion;
pub mod config;
pub mod containers;
pub mod context;
pub mod cp;
pub mod create;
pub mod doctor;
pub mod down;
pub mod engine;
pub mod envoys;
pub mod exec;
pub mod exit;
pub mod global;
pub mod graph;
pub mod help;
pub mod images;
pub mod inspect;
pub mod journal;
pub mod lifecycle;
pub mod lines;
pub mod logs;
pub mod ls;
pub mod made;
pub mod make;
pub mod moment;
pub mod orphans;
pub mod plan;
pub mod ps;
pub mod reach;
pub mod ready;
pub mod render;
pub mod run;
pub mod screen;
pub mod settings;
pub mod shim;
pub mod sight;
pub mod signal;
pub mod table;
pub mod template;
pub mod terminal;
pub mod timings;
pub mod unit;
pub mod up;
pub mod values;
pub mod version;
pub mod why;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{ArgAction, CommandFactory, Parser, Subcommand};

use crate::cli::clock::Clock;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::global::{Global, ProgressMode};
use crate::cli::render::talk;
use crate::cli::settings::Settings;
use crate::file::files::Kept;
use crate::world::private::Engine as PrivateEngine;

#[derive(Debug, Parser)]
#[command(
    args_override_self = true,
    name = "stack",
    version = version::OWN,
    about = "Services and real networks from one file: docker compose for people who care where the packets go",
    after_help = help::EXAMPLES,
    help_template = help::TEMPLATE,
    disable_version_flag = true,
    max_term_width = 100
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    /// Print our version
    #[arg(short = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create and start everything
    Up(up::UpArgs),
    /// Stop and remove everything
    Down(down::DownArgs),
    /// Show what `up` would do, and why
    Plan(plan::PlanArgs),
    /// Who reaches whom: predicted, and asked for real
    Reach(reach::ReachArgs),
    /// The way from one to another, hop by hop, or what stands in it
    Why(why::WhyArgs),
    /// Run the checks of the file
    Check(check::CheckArgs),
    /// List containers
    Ps(ps::PsArgs),
    /// List projects
    Ls(ls::LsArgs),
    /// Tell what on this machine will bite
    Doctor(doctor::DoctorArgs),
    /// Keep the host's side right through restarts and reboots
    Agent(agent::AgentArgs),
    /// Draw networks, bridges, parents, shims and addresses
    Graph(graph::GraphArgs),
    /// Show, check, repair and export the host's doors into networks
    Shim(shim::ShimArgs),
    /// What killed runs and forgotten projects left, and take it away
    Orphans(orphans::OrphansArgs),
    /// What is written down: unfinished runs, and what of the host is to be put back
    Journal(journal::JournalArgs),
    /// Show the file as it is understood
    #[command(alias = "convert")]
    Config(config::ConfigArgs),
    /// Show what containers say
    Logs(logs::LogsArgs),
    /// Run a command in a running container
    Exec(exec::ExecArgs),
    /// Run a command in a container of its own
    Run(Box<run::RunArgs>),
    /// Start containers that are there, with those that they need or that share their network namespace
    Start(lifecycle::StartArgs),
    /// Stop containers
    Stop(lifecycle::StopArgs),
    /// Stop and start containers
    Restart(lifecycle::RestartArgs),
    /// Build images
    Build(images::BuildArgs),
    /// Pull images
    Pull(images::PullArgs),
    /// Show versions
    Version(version::VersionArgs),
    /// Create containers and do not start them
    Create(create::CreateArgs),
    /// Send a signal to containers
    Kill(lifecycle::KillArgs),
    /// Remove stopped containers
    Rm(lifecycle::RmArgs),
    /// List the images of the project
    Images(images::ImagesArgs),
    /// Show where a port is published
    Port(inspect::PortArgs),
    /// Show the processes in the containers
    Top(lifecycle::ServicesArgs),
    /// Follow what happens
    Events(inspect::EventsArgs),
    /// Freeze containers
    Pause(lifecycle::ServicesArgs),
    /// Let frozen containers go on
    Unpause(lifecycle::ServicesArgs),
    /// Wait until containers stop
    Wait(inspect::WaitArgs),
    /// Copy files into or out of a container
    Cp(cp::CpArgs),
    /// Change how many containers of a service there are
    Scale(create::ScaleArgs),
    /// Private engines for labs and tests
    Engine(engine::EngineArgs),
    /// Completion for a shell
    Completion(completion::CompletionArgs),
    /// What a probe container runs
    #[command(name = envoys::ERRANDS, hide = true)]
    Errands,
}

/// Runs what the arguments ask for.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let clock = Clock::start();
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are "errors" of clap that go to standard output; nobody may be reading.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Refused
            } else {
                Exit::Done
            }
            .into();
        }
    };
    let as_json = cli.global.progress == Some(ProgressMode::Json);
    // Where 1 is a verdict, what could not be asked needs a code of its own.
    let refused = match cli.command {
        Command::Reach(_) | Command::Why(_) | Command::Check(_) => Exit::Verdict(2),
        _ => Exit::Refused,
    };
    match dispatch(cli, clock) {
        Err(Failure::Told(Exit::Refused)) => refused.into(),
        Ok(exit) | Err(Failure::Told(exit)) => exit.into(),
        Err(Failure::OutputClosed) => Exit::Done.into(),
        Err(Failure::Said { text, hint }) => {
            if as_json {
                talk(&format!(
                    "{}",
                    serde_json::json!({"error": true, "message": text, "hint": hint})
                ));
            } else {
                talk(&format!("error: {text}"));
                if let Some(hint) = hint {
                    talk(&format!("hint: {hint}"));
                }
            }
            refused.into()
        }
    }
}

fn dispatch(cli: Cli, clock: Clock) -> Outcome {
    let Cli {
        mut global,
        command,
        version: _,
    } = cli;
    let mut settings = Settings::of_process();
    match command {
        Command::Engine(arguments) => return engine::run(arguments, global.dry_run),
        Command::Completion(arguments) => return completion::run(&arguments, Cli::command()),
        Command::Errands => return envoys::errands(),
        _ => {}
    }
    let here = here()?;
    let files = Kept::default();
    settings.fill_from_files(&global.env_files, &here, &global.folder(&here), &files);
    global.fill(&settings)?;
    let private = enter_private_engine(&mut global, &settings)?;
    let mut context = Context::new(global, settings, files, private, clock)?;
    if let Command::Plan(arguments) = &command {
        context.mistakes = arguments.mistakes();
    }
    if let Command::Config(arguments) = &command
        && !arguments.asks_the_engine()
    {
        return config::run(&context, arguments);
    }
    // One thread: what this program does is to wait for others. Threads of its own take what blocks.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(handle(&context, command));
    // A thread that still reads our standard input would keep the process until the next key.
    runtime.shutdown_background();
    outcome
}

/// The folder that this process was started in.
fn here() -> Result<std::path::PathBuf, Failure> {
    std::env::current_dir().map_err(|error| {
        Failure::with_hint(
            format!("the folder that you are in cannot be used: {error}"),
            "it may be gone: cd to another one",
        )
    })
}

async fn handle(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Up(arguments) => up::run(context, arguments).await,
        Command::Down(arguments) => down::run(context, arguments).await,
        Command::Plan(arguments) => plan::run(context, arguments).await,
        Command::Reach(arguments) => reach::run(context, arguments).await,
        Command::Why(arguments) => why::run(context, arguments).await,
        Command::Check(arguments) => check::run(context, arguments).await,
        Command::Ps(arguments) => ps::run(context, arguments).await,
        Command::Ls(arguments) => ls::run(context, arguments).await,
        Command::Doctor(arguments) => doctor::run(context, arguments).await,
        Command::Agent(arguments) => agent::run(context, arguments).await,
        Command::Graph(arguments) => graph::run(context, arguments).await,
        Command::Shim(arguments) => shim::run(context, arguments).await,
        Command::Orphans(arguments) => orphans::run(context, arguments).await,
        Command::Journal(arguments) => journal::run(context, &arguments),
        Command::Config(arguments) => config::run_pinned(context, &arguments).await,
        Command::Logs(arguments) => logs::run(context, arguments).await,
        Command::Exec(arguments) => exec::run(context, arguments).await,
        Command::Run(arguments) => run::run(context, *arguments).await,
        Command::Start(arguments) => lifecycle::start(context, arguments).await,
        Command::Stop(arguments) => lifecycle::stop(context, arguments).await,
        Command::Restart(arguments) => lifecycle::restart(context, arguments).await,
        Command::Build(arguments) => images::build(context, arguments).await,
        Command::Pull(arguments) => images::pull(context, arguments).await,
        Command::Version(arguments) => version::run(context, arguments).await,
        Command::Create(arguments) => create::create(context, arguments).await,
        Command::Kill(arguments) => lifecycle::kill(context, arguments).await,
        Command::Rm(arguments) => lifecycle::rm(context, arguments).await,
        Command::Images(arguments) => images::images(context, arguments).await,
        Command::Port(arguments) => inspect::port(context, arguments).await,
        Command::Top(arguments) => inspect::top(context, arguments).await,
        Command::Events(arguments) => inspect::events(context, arguments).await,
        Command::Pause(arguments) => lifecycle::pause(context, arguments).await,
        Command::Unpause(arguments) => lifecycle::unpause(context, arguments).await,
        Command::Wait(arguments) => inspect::wait(context, arguments).await,
        Command::Cp(arguments) => cp::run(context, arguments).await,
        Command::Scale(arguments) => create::scale(context, arguments).await,
        // Those that need no engine have been dealt with.
        Command::Engine(_) | Command::Completion(_) | Command::Errands => Ok(Exit::Done),
    }
}

/// Where a private engine is meant, by name or by its socket, this process becomes a part of its host: links, routes
/// and named namespaces are then the engine's own. Done before any thread is started; whether it was.
fn enter_private_engine(global: &mut Global, settings: &Settings) -> Result<bool, Failure> {
    let folder = std::path::absolute(engine::folder())?;
    let named = match (&global.engine, &global.host, &global.context) {
        (Some(name), _, _) => Some(PrivateEngine::named(&folder, name.clone())),
        (None, Some(url), _) => by_socket(&folder, url),
        (None, None, Some(_)) => None,
        (None, None, None) => match settings.get_own("ENGINE") {
            Some(name) => {
                let name = name.parse().map_err(Failure::said)?;
                Some(PrivateEngine::named(&folder, name))
            }
            None => settings
                .variable("DOCKER_HOST")
                .and_then(|url| by_socket(&folder, url)),
        },
    };
    let Some(engine) = named else {
        return Ok(false);
    };
    global.host = Some(engine.endpoint());
    global.engine = None;
    if !engine.is_entered() {
        engine.enter()?;
    }
    Ok(true)
}

fn by_socket(engines: &std::path::Path, url: &str) -> Option<PrivateEngine> {
    PrivateEngine::of_socket(engines, std::path::Path::new(url.strip_prefix("unix://")?))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_definitions_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }
}
