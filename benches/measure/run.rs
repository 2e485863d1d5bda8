//! Runs one command and weighs it: wall time, processor time and peak memory of the client, as the kernel accounts them
//! when the process is waited for. What the engine uses is not in there.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde::Serialize;

use crate::Failure;

/// An orchestrator.
pub struct Tool {
    pub name: String,
    program: String,
    arguments: Vec<String>,
}

/// What a command cost.
#[derive(Clone, Copy, Serialize)]
pub struct Weight {
    pub wall_seconds: f64,
    pub processor_seconds: f64,
    pub peak_megabytes: f64,
}

impl Tool {
    /// `NAME=PROGRAM ARGUMENT…`
    pub fn parse(text: &str) -> Result<Tool, Failure> {
        let (name, command) = text
            .split_once('=')
            .ok_or_else(|| format!("`{text}` is not NAME=COMMAND"))?;
        let mut words = command.split_whitespace().map(str::to_owned);
        Ok(Tool {
            name: name.to_owned(),
            program: words
                .next()
                .ok_or_else(|| format!("`{text}` names no program"))?,
            arguments: words.collect(),
        })
    }

    /// Runs `PROGRAM -p PROJECT -f FILE WORDS` and weighs it.
    pub fn run(&self, project: &str, file: &Path, words: &str) -> Result<Weight, Failure> {
        self.run_with(project, file, words, &[])
    }

    /// The same with variables in its environment.
    pub fn run_with(
        &self,
        project: &str,
        file: &Path,
        words: &str,
        environment: &[(&str, String)],
    ) -> Result<Weight, Failure> {
        self.run_to(project, file, words, environment, 0)
    }

    /// The same where the command is to end with this code.
    pub fn run_to(
        &self,
        project: &str,
        file: &Path,
        words: &str,
        environment: &[(&str, String)],
        code: i32,
    ) -> Result<Weight, Failure> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .args(["-p", project, "-f"])
            .arg(file)
            .args(words.split_whitespace());
        for (name, value) in environment {
            command.env(name, value);
        }
        weigh(&mut command, code)
    }
}

/// Runs a command to its end; one that does not end as it should shows what it said.
fn weigh(command: &mut Command, code: i32) -> Result<Weight, Failure> {
    let said = tempfile::NamedTempFile::new()?;
    command
        .stdin(Stdio::null())
        .stdout(said.reopen()?)
        .stderr(said.reopen()?);
    let start = Instant::now();
    let child = command
        .spawn()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let process = libc::pid_t::try_from(child.id())?;
    let mut status = 0;
    // SAFETY: an all-zero `rusage` is a valid value of that plain struct of numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live variables, and the process is our child, which nobody else waits for.
    let waited = unsafe { libc::wait4(process, &raw mut status, 0, &raw mut usage) };
    let wall_seconds = start.elapsed().as_secs_f64();
    if waited != process {
        return Err(std::io::Error::last_os_error().into());
    }
    if !libc::WIFEXITED(status) || libc::WEXITSTATUS(status) != code {
        let text = std::fs::read_to_string(said.path()).unwrap_or_default();
        return Err(format!("{command:?} failed:\n{text}").into());
    }
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Ok(Weight {
        wall_seconds,
        processor_seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        peak_megabytes: usage.ru_maxrss as f64 / 1024.0,
    })
}

/// The ids of a project's running containers.
pub fn containers(project: &str) -> Result<Vec<String>, Failure> {
    ask(&["ps", "--quiet", "--no-trunc"], project)
}

/// Fails unless exactly so many containers of the project run and no others are there.
pub fn expect_containers(project: &str, wanted: usize) -> Result<(), Failure> {
    let running = containers(project)?.len();
    let all = ask(&["ps", "--all", "--quiet"], project)?.len();
    if running == wanted && all == wanted {
        return Ok(());
    }
    Err(format!("wanted {wanted} containers; {running} run, {all} are there").into())
}

/// Fails when a network of the project is left.
pub fn expect_no_networks(project: &str) -> Result<(), Failure> {
    let left = ask(&["network", "ls", "--quiet"], project)?;
    if left.is_empty() {
        return Ok(());
    }
    Err(format!("{} networks are left", left.len()).into())
}

/// Fails unless an echo request from here is answered.
pub fn expect_answer(address: &str) -> Result<(), Failure> {
    let output = Command::new("busybox")
        .args(["ping", "-c", "3", "-W", "1", address])
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{address} does not answer").into())
}

/// Fails when a macvlan link of the host is left.
pub fn expect_no_shims() -> Result<(), Failure> {
    let output = Command::new("ip")
        .args(["-oneline", "link", "show", "type", "macvlan"])
        .output()?;
    let left = String::from_utf8_lossy(&output.stdout).into_owned();
    if left.is_empty() {
        return Ok(());
    }
    Err(format!("left on the host: {left}").into())
}

fn ask(words: &[&str], project: &str) -> Result<Vec<String>, Failure> {
    let output = Command::new("docker")
        .args(words)
        .arg("--filter")
        .arg(format!("label=com.docker.compose.project={project}"))
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect())
}

/// Takes away what a tool that failed has left, as well as it can be done without it.
pub fn clear(project: &str) -> Result<(), Failure> {
    let containers = ask(&["ps", "--all", "--quiet"], project)?;
    let networks = ask(&["network", "ls", "--quiet"], project)?;
    for (words, names) in [
        (vec!["rm", "--force", "--volumes"], containers),
        (vec!["network", "rm"], networks),
    ] {
        if !names.is_empty() {
            Command::new("docker").args(words).args(names).output()?;
        }
    }
    Ok(())
}
