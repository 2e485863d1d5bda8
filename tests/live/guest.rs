//! A virtual machine with Debian's cloud kernel and an engine, for what the machine's own kernel may lack (ipvlan,
//! 802.1Q, dummy links, netem, IPVS). Each run gets a fresh one, restored from a snapshot by
//! `tests/beds/guest/run-in-guest.sh`; the test is a shell script in there.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bed::{Engine, Ran, is_at_least, ran};
use crate::runner::{Failure, repository};

/// The script's output is a terminal in there, on which `stack` would draw; so it is given a pipe.
const PREAMBLE: &str = r#"#!/bin/bash
stack() {
    /t/stack "$@" 2>&1 | cat
    return "${PIPESTATUS[0]}"
}
"#;

/// A guest that can be restored.
pub struct Guest {
    /// `stack` without debug information, so that it fits on the guest's disk.
    binary: PathBuf,
    version: String,
    /// The arguments that choose the engine.
    engine: Vec<PathBuf>,
    _folder: tempfile::TempDir,
}

impl Guest {
    /// Makes the guest if it is not there yet. The error is the reason to skip.
    pub fn find(engine: &Engine) -> Result<Guest, String> {
        let version = engine.label().to_owned();
        let engine: Vec<PathBuf> = engine
            .folder()
            .into_iter()
            .flat_map(|folder| [PathBuf::from("--engine"), folder.to_owned()])
            .collect();
        let answer = ran(Command::new("sh")
            .arg(repository().join("tests/beds/guest/build.sh"))
            .args(&engine))
        .map_err(|failure| failure.to_string())?;
        if answer.code == Some(77) {
            return Err(answer
                .stdout
                .trim()
                .trim_start_matches("skipped: ")
                .to_owned());
        }
        if answer.code != Some(0) {
            // The last word of the script; what the guest itself said before it is long.
            let mut lines = answer.stderr.lines();
            let why = lines.rfind(|line| line.starts_with("guest: "));
            return Err(why.unwrap_or("the guest could not be made").to_owned());
        }
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let binary = folder.path().join("stack");
        ran(Command::new("strip")
            .arg("-o")
            .arg(&binary)
            .arg(env!("CARGO_BIN_EXE_stack")))
        .and_then(Ran::ok)
        .map_err(|failure| failure.to_string())?;
        Ok(Guest {
            binary,
            version,
            engine,
            _folder: folder,
        })
    }

    /// Whether the engine is of this major version or newer.
    pub fn is_at_least(&self, major: u32) -> bool {
        is_at_least(&self.version, major)
    }

    /// Runs a shell script in a fresh guest, as root, with a shell function `stack` and these files beside it.
    pub fn run(&self, script: &str, files: &[&Path]) -> Result<Ran, Failure> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("script");
        std::fs::write(&file, format!("{PREAMBLE}{script}"))?;
        ran(Command::new("sh")
            .arg(repository().join("tests/beds/guest/run-in-guest.sh"))
            .args(&self.engine)
            .arg(&file)
            .arg(&self.binary)
            .args(files))
    }
}
