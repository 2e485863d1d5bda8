//! `stack start`, `stop`, `restart`, `pause`, `unpause`, `kill`, `rm`: what is done to containers that are there.

use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal};

use clap::Args;
use futures_util::future::join_all;

use crate::apply::OnFailure;
use crate::cli::carry::{Manner, Session, outcome};
use crate::cli::containers::{Which, known, of_services};
use crate::cli::context::{Context, Target};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::ready;
use crate::cli::render::{mutter, talk};
use crate::plan::diff::lifecycle::{Act, Followers, lifecycle};
use crate::world::WorldError;
use crate::world::engine::Engine;
use crate::world::engine::talk::act::AnonymousVolumes;
use crate::world::engine::talk::list::Listed;

#[derive(Debug, Clone, Args)]
pub struct StartArgs {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Return when everything is running or healthy
    #[arg(long)]
    pub wait: bool,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    pub wait_timeout: Option<u64>,
}

#[derive(Debug, Clone, Args)]
pub struct StopArgs {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Seconds until a container that does not stop is killed
    #[arg(short, long, value_name = "SECONDS")]
    pub timeout: Option<u32>,
}

#[derive(Debug, Clone, Args)]
pub struct RestartArgs {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Seconds until a container that does not stop is killed
    #[arg(short, long, value_name = "SECONDS")]
    pub timeout: Option<u32>,
    /// Do not restart services that depend on these
    #[arg(long)]
    pub no_deps: bool,
}

#[derive(Debug, Clone, Args)]
pub struct ServicesArgs {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub struct KillArgs {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Signal
    #[arg(short, long, value_name = "SIGNAL", default_value = "SIGKILL")]
    pub signal: String,
    /// Also containers of services that the file does not have
    #[arg(long)]
    pub remove_orphans: bool,
}

#[derive(Debug, Clone, Args)]
pub struct RmArgs {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// Stop them first
    #[arg(short, long)]
    pub stop: bool,
    /// Remove their anonymous volumes
    #[arg(short, long)]
    pub volumes: bool,
    #[arg(short, long, hide = true)]
    pub all: bool,
}

/// Starts what is there and stopped.
pub async fn start(context: &Context, arguments: StartArgs) -> Outcome {
    let services = &arguments.services;
    let target = context.target()?;
    let exit = change(context, &target, Act::Start, services, None).await?;
    if arguments.wait {
        let engine = context.engine().await?;
        let containers = of_services(&engine, &target, services, Which::All).await?;
        let limit = arguments.wait_timeout;
        ready::wait_for(context, &engine, &target, &containers, limit).await?;
    }
    Ok(exit)
}

/// Stops what runs.
pub async fn stop(context: &Context, arguments: StopArgs) -> Outcome {
    let (services, timeout) = (&arguments.services, arguments.timeout);
    change(context, &context.target()?, Act::Stop, services, timeout).await
}

/// Stops and starts.
pub async fn restart(context: &Context, arguments: RestartArgs) -> Outcome {
    let (services, timeout) = (&arguments.services, arguments.timeout);
    let act = Act::Restart(if arguments.no_deps {
        Followers::Left
    } else {
        Followers::Restarted
    });
    change(context, &context.target()?, act, services, timeout).await
}

async fn change(
    context: &Context,
    target: &Target,
    act: Act,
    services: &[String],
    timeout: Option<u32>,
) -> Outcome {
    let session = Session::open(context, &target.project, act.word()).await?;
    let engine = session.live.engine();
    let listed = engine.list(Some(&target.project), true).await?;
    known(target, &listed, services)?;
    let observed = session.observe(Vec::new()).await?;
    let only: Option<BTreeSet<String>> =
        (!services.is_empty()).then(|| services.iter().cloned().collect());
    let plan = lifecycle(&target.project, &observed, act, only.as_ref(), timeout)
        .map_err(Failure::said)?;
    if plan.is_empty() {
        let nothing = match act {
            Act::Start if listed.is_empty() => {
                return Err(Failure::with_hint(
                    format!("{} has no container to start", target.project),
                    "stack up -d",
                ));
            }
            Act::Start => "everything runs: nothing to do",
            Act::Stop => "nothing runs: nothing to do",
            Act::Restart(_) => "there is no container: nothing to do",
        };
        context.tell(&format!(" {}: {nothing}", target.project));
        return Ok(Exit::Done);
    }
    let manner = Manner::plain(OnFailure::GoOn);
    let report = session.carry_out(&plan, &observed, &manner).await?;
    outcome(&report)
}

/// Freezes.
pub async fn pause(context: &Context, arguments: ServicesArgs) -> Outcome {
    let act = Errand {
        doing: "Pausing",
        done: "Paused",
        state: "running",
    };
    errand(context, &arguments.services, act, async |engine, id| {
        engine.pause(id).await
    })
    .await
}

/// Lets go on.
pub async fn unpause(context: &Context, arguments: ServicesArgs) -> Outcome {
    let act = Errand {
        doing: "Unpausing",
        done: "Unpaused",
        state: "paused",
    };
    errand(context, &arguments.services, act, async |engine, id| {
        engine.unpause(id).await
    })
    .await
}

/// Sends a signal.
pub async fn kill(context: &Context, arguments: KillArgs) -> Outcome {
    let act = Errand {
        doing: "Killing",
        done: "Killed",
        state: "running",
    };
    let signal = arguments.signal.as_str();
    errand(context, &arguments.services, act, async |engine, id| {
        engine.signal(id, signal).await
    })
    .await
}

/// The words of something small that is done to several containers at once.
struct Errand {
    doing: &'static str,
    done: &'static str,
    /// The state of the containers it is done to.
    state: &'static str,
}

async fn errand(
    context: &Context,
    services: &[String],
    words: Errand,
    act: impl AsyncFn(&Engine, &str) -> Result<(), WorldError>,
) -> Outcome {
    let target = context.target()?;
    let engine = context.engine().await?;
    let mut containers = of_services(&engine, &target, services, Which::Running).await?;
    containers.retain(|container| container.state == words.state);
    if containers.is_empty() {
        context.tell(&format!(
            " {}: no container is {}",
            target.project, words.state
        ));
        return Ok(Exit::Done);
    }
    all(context, &engine, &containers, &words, &act).await
}

/// Does it to all of them at once; each failure is told where it happens.
async fn all(
    context: &Context,
    engine: &Engine,
    containers: &[Listed],
    words: &Errand,
    act: &impl AsyncFn(&Engine, &str) -> Result<(), WorldError>,
) -> Outcome {
    let each = containers
        .iter()
        .map(|container| one(context, engine, container, words, act));
    if join_all(each).await.iter().any(Result::is_err) {
        return Err(Failure::Told(Exit::Refused));
    }
    Ok(Exit::Done)
}

async fn one(
    context: &Context,
    engine: &Engine,
    container: &Listed,
    words: &Errand,
    act: &impl AsyncFn(&Engine, &str) -> Result<(), WorldError>,
) -> Result<(), ()> {
    let name = &container.name;
    context.tell(&format!(" Container {name} {}", words.doing));
    if context.global.dry_run {
        context.tell(&format!(" Container {name} {}", words.done));
        return Ok(());
    }
    match act(engine, &container.id).await {
        Ok(()) => {
            context.tell(&format!(" Container {name} {}", words.done));
            Ok(())
        }
        Err(error) => {
            talk(&format!(" Container {name} Error: {error}"));
            Err(())
        }
    }
}

/// Removes stopped containers.
pub async fn rm(context: &Context, arguments: RmArgs) -> Outcome {
    let target = context.target()?;
    if arguments.stop {
        change(context, &target, Act::Stop, &arguments.services, None).await?;
    }
    let engine = context.engine().await?;
    let mut stopped = of_services(&engine, &target, &arguments.services, Which::All).await?;
    stopped.retain(|container| !container.runs());
    if stopped.is_empty() {
        context.tell(" No stopped containers");
        return Ok(Exit::Done);
    }
    let names: Vec<&str> = stopped
        .iter()
        .map(|container| container.name.as_str())
        .collect();
    if !arguments.force && !context.global.dry_run && !agreed(&names)? {
        return Ok(Exit::Done);
    }
    let words = Errand {
        doing: "Removing",
        done: "Removed",
        state: "exited",
    };
    let act = async |engine: &Engine, id: &str| {
        if arguments.volumes {
            engine.remove_with_volumes(id).await
        } else {
            engine.remove(id, AnonymousVolumes::Keep).await
        }
    };
    all(context, &engine, &stopped, &words, &act).await
}

/// Asks before something is removed; where nobody can answer, the answer is no.
fn agreed(names: &[&str]) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::with_hint(
            format!(
                "going to remove {}, and nobody can be asked",
                names.join(", ")
            ),
            "-f removes without asking",
        ));
    }
    mutter(&format!("? Going to remove {} (y/N) ", names.join(", ")));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}
