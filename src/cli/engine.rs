//! `stack engine`: private engines. The work is done in [`crate::world::private`].

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use nix::unistd::Uid;

use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::render::{DRY_RUN, talk};
use crate::world::private::ask;
use crate::world::private::{Condition, Engine, EngineName, FOLDER_VARIABLE, Started, child};

/// Where private engines live, if the variable does not say otherwise.
const FOLDER: &str = "/var/lib/stack/engines";

/// The variable that says otherwise.
const FOLDER_SETTING: &str = "STACK_ENGINES";

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sudo stack engine start lab            start an engine of its own, called `lab`
  eval \"$(sudo stack engine start lab)\"  the same, and let `docker` and `stack` use it
  sudo stack --engine lab up -d          bring a stack up on it
  sudo stack engine exec lab ip -br link what its \"host\" looks like
  sudo stack engine stop lab             take it away with all that is on it")]
pub struct EngineArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start a private engine and print how to use it
    Start {
        #[arg(value_name = "NAME")]
        name: EngineName,
        /// Folder searched for dockerd, containerd and runc before those of PATH (repeatable)
        #[arg(long, value_name = "FOLDER")]
        programs: Vec<PathBuf>,
        /// More arguments for dockerd
        #[arg(last = true, value_name = "ARGUMENT")]
        arguments: Vec<String>,
    },
    /// Remove a private engine with its containers, networks, images and data
    Stop {
        #[arg(value_name = "NAME", required = true)]
        names: Vec<EngineName>,
    },
    /// List private engines
    Ls {
        /// Only the names
        #[arg(short, long)]
        quiet: bool,
        /// Output format
        #[arg(long, value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// Run a command on an engine's own "host" (its network and mounts), with DOCKER_HOST set
    Exec {
        #[arg(value_name = "NAME")]
        name: EngineName,
        #[arg(
            value_name = "COMMAND",
            required = true,
            trailing_var_arg = true,
            allow_hyphen_values = true
        )]
        command: Vec<String>,
    },
    #[command(hide = true)]
    Child { role: Role, name: EngineName },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ListFormat {
    Table,
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    Keep,
    Daemon,
}

/// The folder of all private engines.
pub fn folder() -> PathBuf {
    std::env::var_os(FOLDER_SETTING).map_or_else(|| PathBuf::from(FOLDER), PathBuf::from)
}

/// Runs the command. No thread may have been started yet: some verbs change namespaces.
pub fn run(arguments: EngineArgs, dry_run: bool) -> Outcome {
    let engines = std::path::absolute(folder())?;
    if dry_run {
        return rehearse(arguments.verb, &engines);
    }
    match arguments.verb {
        Verb::Start {
            name,
            programs,
            arguments,
        } => start(&Engine::named(&engines, name), programs, arguments),
        Verb::Stop { names } => {
            need_root()?;
            for name in names {
                stop(&Engine::named(&engines, name))?;
            }
            Ok(Exit::Done)
        }
        Verb::Ls { quiet, format } => list(&Engine::all(&engines), quiet, format),
        Verb::Exec { name, command } => exec(&Engine::named(&engines, name), &command),
        Verb::Child { role, name } => {
            let place = std::env::var_os(FOLDER_VARIABLE)
                .ok_or_else(|| Failure::said("only `stack engine start` may call this"))?;
            let engine = Engine {
                name,
                folder: place.into(),
            };
            match role {
                Role::Keep => child::keep(&engine)?,
                Role::Daemon => child::become_daemon(&engine)?,
            }
            Ok(Exit::Done)
        }
    }
}

/// What the command would do, without doing it.
fn rehearse(verb: Verb, engines: &Path) -> Outcome {
    let tell = |line: String| talk(&format!("{DRY_RUN} Engine {line}"));
    match verb {
        Verb::Start { name, .. } => match Engine::named(engines, name.clone()).condition() {
            Condition::Running => tell(format!("{name} Running")),
            Condition::Dead => tell(format!("{name} Restarted")),
            Condition::Gone => tell(format!("{name} Started")),
        },
        Verb::Stop { names } => {
            for name in names {
                match Engine::named(engines, name.clone()).folder.exists() {
                    true => tell(format!("{name} Removed, with all that is on it")),
                    false => tell(format!("{name} No resource found to remove")),
                }
            }
        }
        Verb::Ls { quiet, format } => return list(&Engine::all(engines), quiet, format),
        Verb::Exec { name, command } => tell(format!("{name} Exec {}", command.join(" "))),
        Verb::Child { .. } => {
            return Err(Failure::said("an engine's own processes know no --dry-run"));
        }
    }
    Ok(Exit::Done)
}

fn start(engine: &Engine, programs: Vec<PathBuf>, arguments: Vec<String>) -> Outcome {
    need_root()?;
    let programs = programs
        .iter()
        .map(std::path::absolute)
        .collect::<std::io::Result<Vec<_>>>()?;
    let name = &engine.name;
    match engine.start(programs, arguments)? {
        Started::New => talk(&format!(" Engine {name} Started")),
        Started::Again => talk(&format!(" Engine {name} Restarted")),
        Started::Already => talk(&format!(" Engine {name} Running")),
    }
    writeln!(
        std::io::stdout(),
        "export DOCKER_HOST={}",
        engine.endpoint()
    )?;
    Ok(Exit::Done)
}

fn stop(engine: &Engine) -> Result<(), Failure> {
    if !engine.folder.exists() {
        talk(&format!(
            " Engine {} No resource found to remove",
            engine.name
        ));
        return Ok(());
    }
    engine.stop()?;
    talk(&format!(" Engine {} Removed", engine.name));
    Ok(())
}

fn list(engines: &[Engine], quiet: bool, format: ListFormat) -> Outcome {
    let mut output = std::io::stdout().lock();
    let rows: Vec<[String; 4]> = engines
        .iter()
        .map(|engine| {
            let condition = engine.condition();
            [
                engine.name.to_string(),
                status(condition).to_owned(),
                version(engine, condition).unwrap_or_default(),
                engine.endpoint(),
            ]
        })
        .collect();
    if quiet {
        for [name, ..] in &rows {
            writeln!(output, "{name}")?;
        }
        return Ok(Exit::Done);
    }
    match format {
        ListFormat::Table => {
            writeln!(
                output,
                "{:<22}{:<12}{:<16}DOCKER_HOST",
                "NAME", "STATUS", "ENGINE"
            )?;
            for [name, status, version, endpoint] in &rows {
                writeln!(output, "{name:<22}{status:<12}{version:<16}{endpoint}")?;
            }
        }
        ListFormat::Json => {
            let all: Vec<serde_json::Value> = rows
                .iter()
                .map(|[name, status, version, endpoint]| {
                    serde_json::json!({"Name": name, "Status": status, "Version": version, "Endpoint": endpoint})
                })
                .collect();
            writeln!(output, "{}", serde_json::Value::from(all))?;
        }
    }
    Ok(Exit::Done)
}

fn status(condition: Condition) -> &'static str {
    match condition {
        Condition::Running => "running",
        Condition::Dead => "dead",
        Condition::Gone => "gone",
    }
}

fn version(engine: &Engine, condition: Condition) -> Option<String> {
    if condition != Condition::Running {
        return None;
    }
    let answer = ask::get(&engine.socket(), "/version", Duration::from_secs(5)).ok()?;
    let facts: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    Some(facts.get("Version")?.as_str()?.to_owned())
}

fn exec(engine: &Engine, command: &[String]) -> Outcome {
    engine.enter()?;
    let [program, arguments @ ..] = command else {
        return Err(Failure::said("no command given"));
    };
    let failed = Command::new(program)
        .args(arguments)
        .env("DOCKER_HOST", engine.endpoint())
        .env(FOLDER_VARIABLE, &engine.folder)
        .exec();
    Err(Failure::said(format!("cannot run `{program}`: {failed}")))
}

fn need_root() -> Result<(), Failure> {
    if Uid::effective().is_root() {
        return Ok(());
    }
    Err(Failure::with_hint(
        "private engines need root: they are made of namespaces",
        "run it with sudo",
    ))
}
