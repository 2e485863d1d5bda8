//! Commands that are run in a container after its start and before its stop.

use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures_util::StreamExt;

use crate::model::service::Hook;
use crate::world::engine::Engine;
use crate::world::engine::error::refused;
use crate::world::{ErrorKind, Progress, WorldError};

/// Runs the hook to its end; anything but exit code 0 is an error with the last line that it wrote.
pub async fn run(
    engine: &Engine,
    id: &str,
    name: &str,
    hook: &Hook,
    progress: &dyn Progress,
) -> Result<(), WorldError> {
    let Hook {
        command,
        user,
        privileged,
        working_dir,
        environment,
    } = hook;
    let act = || format!("cannot run `{}` in container `{name}`", command.join(" "));
    let config = ExecConfig {
        cmd: Some(command.clone()),
        user: user.clone(),
        privileged: Some(*privileged),
        working_dir: working_dir.clone(),
        env: Some(
            environment
                .iter()
                .map(|(name, value)| match value {
                    Some(value) => format!("{name}={value}"),
                    None => name.clone(),
                })
                .collect(),
        ),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..ExecConfig::default()
    };
    let exec = engine
        .docker()
        .create_exec(id, config)
        .await
        .map_err(|error| refused(act(), error))?;
    let started = engine
        .patient()
        .start_exec(&exec.id, None::<StartExecOptions>)
        .await
        .map_err(|error| refused(act(), error))?;
    let mut last = String::new();
    if let StartExecResults::Attached { mut output, .. } = started {
        while let Some(piece) = output.next().await {
            let piece = piece.map_err(|error| refused(act(), error))?;
            if let LogOutput::StdOut { message } | LogOutput::StdErr { message } = piece {
                let text = String::from_utf8_lossy(&message);
                for line in text.lines().filter(|line| !line.trim().is_empty()) {
                    progress.tell(line);
                    last = line.to_owned();
                }
            }
        }
    }
    let ended = engine
        .docker()
        .inspect_exec(&exec.id)
        .await
        .map_err(|error| refused(act(), error))?;
    match ended.exit_code {
        Some(0) => Ok(()),
        code => {
            let code = code.map_or_else(|| "unknown".to_owned(), |code| code.to_string());
            Err(WorldError::new(
                ErrorKind::Refused,
                act(),
                format!("exit {code}: {last}"),
            ))
        }
    }
}
