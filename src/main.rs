//! Hands the arguments over and returns the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    stack::cli::run(std::env::args_os())
}
