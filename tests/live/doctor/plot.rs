//! A place with nothing in it, for faults to be planted.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::bed::{Ran, ran, stack_program, unavailable};
use crate::runner::{Failure, Outcome, holds, same};

/// A place with nothing in it, and what was planted there.
pub struct Plot {
    pub folder: tempfile::TempDir,
}

impl Plot {
    /// None where there can be no such place.
    pub fn new() -> Result<Result<Plot, Outcome>, Failure> {
        if let Some(reason) = unavailable() {
            return Ok(Err(Outcome::Skipped(reason)));
        }
        Ok(Ok(Plot {
            folder: tempfile::tempdir()?,
        }))
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a script with `$STACK`, `$HOME_OF_TEST` in fresh namespaces.
    pub fn run(&self, script: &str) -> Result<Ran, Failure> {
        let begin = "set -eu; ip link set lo up\n";
        ran(Command::new("unshare")
            .args(["--net", "--mount", "--pid", "--fork", "--mount-proc"])
            .args(["sh", "-c", &format!("{begin}{script}")])
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("STACK", stack_program())
            .env("T", self.path())
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
            .env("STACK_STATE_DIR", self.path().join("state")))
    }

    /// What the doctor finds after this was planted: `error parent-down link eth0`.
    pub fn finds(&self, plant: &str, arguments: &str) -> Result<BTreeSet<String>, Failure> {
        let ran = self.run(&format!(
            "{plant}\n$STACK doctor --format json {arguments} || echo \"ended with $?\" >&2"
        ))?;
        let told: serde_json::Value = serde_json::from_str(&ran.stdout)
            .map_err(|error| format!("{error}: {}{}", ran.stdout, ran.stderr))?;
        let findings = told["findings"].as_array().cloned().unwrap_or_default();
        let word = |finding: &serde_json::Value, key: &str| {
            finding[key].as_str().unwrap_or_default().to_owned()
        };
        // Whoever reads a finding is told what to do about everything that is wrong.
        for finding in &findings {
            let wrong = word(finding, "severity") != "info";
            holds(
                &format!("it says what mends it: {finding}"),
                !wrong || finding["mend"].is_string() || word(finding, "code") == "parent-mtu",
            )?;
        }
        let worst = ["error", "warning"]
            .into_iter()
            .find(|wanted| findings.iter().any(|one| word(one, "severity") == *wanted));
        let code = match worst {
            Some("error") => "ended with 1",
            Some(_) => "ended with 3",
            None => "",
        };
        same(
            "the exit code",
            ran.stderr.lines().last().unwrap_or(""),
            code,
        )?;
        Ok(findings
            .iter()
            .map(|finding| {
                format!(
                    "{} {} {}",
                    word(finding, "severity"),
                    word(finding, "code"),
                    word(finding, "subject")
                )
            })
            .collect())
    }

    /// Each of the wanted findings is told, and was not told of an empty place.
    pub fn plants(
        &self,
        before: &BTreeSet<String>,
        plant: &str,
        arguments: &str,
        wanted: &[&str],
    ) -> Result<(), Failure> {
        let found = self.finds(plant, arguments)?;
        for wanted in wanted {
            holds(
                &format!("`{wanted}` is told; told are {found:#?}"),
                found.contains(*wanted),
            )?;
            holds(
                &format!("`{wanted}` is not told of an empty place"),
                !before.contains(*wanted),
            )?;
        }
        Ok(())
    }
}
