//! The command line: one file per command, and the only place that prints.

pub mod engine;
pub mod exit;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cli::exit::{Exit, Failure};

#[derive(Debug, Parser)]
#[command(
    name = "stack",
    version,
    about = "Services and real networks from one file"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Private engines for labs and tests
    Engine(engine::EngineArgs),
}

/// Runs what the arguments ask for.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
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
    let outcome = match cli.command {
        Command::Engine(arguments) => engine::run(arguments),
    };
    match outcome {
        Ok(exit) | Err(Failure::Told(exit)) => exit.into(),
        Err(Failure::OutputClosed) => Exit::Done.into(),
        Err(Failure::Said { text, hint }) => {
            eprintln!("error: {text}");
            if let Some(hint) = hint {
                eprintln!("hint: {hint}");
            }
            Exit::Refused.into()
        }
    }
}
