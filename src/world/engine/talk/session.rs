//! A conversation with a process in a container: a command that is run in it (`exec`), or its own first process
//! (`attach`).

use std::pin::Pin;

use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use bollard::query_parameters::{
    AttachContainerOptions, ResizeContainerTTYOptions, ResizeExecOptions, WaitContainerOptions,
};
use futures_util::{Stream, StreamExt};
use tokio::io::AsyncWrite;

use crate::world::engine::Engine;
use crate::world::engine::error::refused;
use crate::world::engine::talk::log::{Piece, piece};
use crate::world::{ErrorKind, WorldError};

/// A command to be run in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    pub command: Vec<String>,
    /// As `NAME=VALUE`.
    pub environment: Vec<String>,
    pub user: Option<String>,
    pub folder: Option<String>,
    pub privileged: bool,
    pub tty: bool,
    /// Whether it gets our standard input.
    pub input: bool,
}

/// Both ends of a conversation.
pub struct Session {
    pub output: Pin<Box<dyn Stream<Item = Result<Piece, WorldError>> + Send>>,
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
}

/// Whose terminal it is that is resized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Terminal {
    Exec(String),
    Container(String),
}

impl Engine {
    /// Prepares a command; its id.
    pub async fn prepare(
        &self,
        container: &str,
        order: &Order,
        attached: Attached,
    ) -> Result<String, WorldError> {
        let Order {
            command,
            environment,
            user,
            folder,
            privileged,
            tty,
            input,
        } = order;
        let config = ExecConfig {
            cmd: Some(command.clone()),
            env: Some(environment.clone()),
            user: user.clone(),
            working_dir: folder.clone(),
            privileged: Some(*privileged),
            tty: Some(*tty),
            attach_stdin: Some(*input && attached == Attached::Yes),
            attach_stdout: Some(attached == Attached::Yes),
            attach_stderr: Some(attached == Attached::Yes),
            ..ExecConfig::default()
        };
        let made = self.docker().create_exec(container, config).await;
        Ok(made
            .map_err(|error| {
                refused(
                    format!("cannot run a command in container `{container}`"),
                    error,
                )
            })?
            .id)
    }

    /// Starts a prepared command without hearing from it.
    pub async fn start_detached(&self, exec: &str) -> Result<(), WorldError> {
        let options = StartExecOptions {
            detach: true,
            ..StartExecOptions::default()
        };
        match self.docker().start_exec(exec, Some(options)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(refused("cannot start the command", error)),
        }
    }

    /// Starts a prepared command and talks to it.
    pub async fn start_attached(&self, exec: &str, tty: bool) -> Result<Session, WorldError> {
        let options = StartExecOptions {
            detach: false,
            tty,
            ..StartExecOptions::default()
        };
        let started = self.patient().start_exec(exec, Some(options)).await;
        match started.map_err(|error| refused("cannot start the command", error))? {
            StartExecResults::Attached { output, input } => {
                let output = output.map(|item| {
                    item.map(piece)
                        .map_err(|error| refused("lost the command", error))
                });
                Ok(Session {
                    output: Box::pin(output),
                    input,
                })
            }
            StartExecResults::Detached => Err(WorldError::new(
                ErrorKind::Refused,
                "cannot start the command",
                "the engine did not attach to it",
            )),
        }
    }

    /// The exit code of a command that has ended.
    pub async fn exec_code(&self, exec: &str) -> Result<i64, WorldError> {
        let ended = self.docker().inspect_exec(exec).await;
        let ended = ended.map_err(|error| refused("cannot ask how the command ended", error))?;
        Ok(ended.exit_code.unwrap_or(0))
    }

    /// Talks to the first process of a container.
    pub async fn attach(&self, container: &str, input: bool) -> Result<Session, WorldError> {
        let options = AttachContainerOptions {
            stream: true,
            stdin: input,
            stdout: true,
            stderr: true,
            ..AttachContainerOptions::default()
        };
        let act = || format!("cannot attach to container `{container}`");
        let attached = self
            .patient()
            .attach_container(container, Some(options))
            .await;
        let attached = attached.map_err(|error| refused(act(), error))?;
        let lost = format!("lost container `{container}`");
        let output = attached.output.map(move |item| {
            item.map(piece)
                .map_err(|error| refused(lost.clone(), error))
        });
        Ok(Session {
            output: Box::pin(output),
            input: attached.input,
        })
    }

    /// Waits for a container: `next-exit` for its next end (ask before it is started), `not-running`, `removed`. Its
    /// exit code.
    pub async fn exit_code_of(&self, container: &str, condition: &str) -> Result<i64, WorldError> {
        let options = WaitContainerOptions {
            condition: condition.to_owned(),
        };
        let mut answers = Box::pin(self.patient().wait_container(container, Some(options)));
        match answers.next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            // bollard takes every code but 0 for a failure of the call.
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(refused(
                format!("cannot wait for container `{container}`"),
                error,
            )),
            None => Err(WorldError::new(
                ErrorKind::Missing,
                format!("cannot wait for container `{container}`"),
                "the engine did not answer",
            )),
        }
    }

    /// Tells a terminal how large ours is.
    pub async fn resize(
        &self,
        terminal: &Terminal,
        width: usize,
        height: usize,
    ) -> Result<(), WorldError> {
        let (w, h) = (
            i32::try_from(width).unwrap_or(80),
            i32::try_from(height).unwrap_or(24),
        );
        let done = match terminal {
            Terminal::Exec(id) => {
                self.docker()
                    .resize_exec(id, ResizeExecOptions { h, w })
                    .await
            }
            Terminal::Container(id) => {
                self.docker()
                    .resize_container_tty(id, ResizeContainerTTYOptions { h, w })
                    .await
            }
        };
        done.map_err(|error| refused("cannot resize the terminal", error))
    }
}

/// Whether somebody listens to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attached {
    Yes,
    No,
}
