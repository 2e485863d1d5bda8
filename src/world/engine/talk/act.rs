//! What is done to single containers outside of plans: signals, pauses, removal of stopped ones and one-offs.

use bollard::query_parameters::{KillContainerOptions, RemoveContainerOptions, TopOptions};

use crate::world::WorldError;
use crate::world::engine::Engine;
use crate::world::engine::error::{absent_is_fine, refused};

/// The processes of a container, as `ps` lists them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processes {
    pub titles: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Engine {
    /// Sends a signal, by name or number.
    pub async fn signal(&self, container: &str, signal: &str) -> Result<(), WorldError> {
        let options = KillContainerOptions {
            signal: signal.to_owned(),
        };
        let done = self.docker().kill_container(container, Some(options)).await;
        done.map_err(|error| refused(format!("cannot kill container `{container}`"), error))
    }

    /// Freezes all processes of a container.
    pub async fn pause(&self, container: &str) -> Result<(), WorldError> {
        let done = self.docker().pause_container(container).await;
        done.map_err(|error| refused(format!("cannot pause container `{container}`"), error))
    }

    /// Lets them go on.
    pub async fn unpause(&self, container: &str) -> Result<(), WorldError> {
        let done = self.docker().unpause_container(container).await;
        done.map_err(|error| refused(format!("cannot unpause container `{container}`"), error))
    }

    /// Removes a container, running or not; absence is success.
    pub async fn remove(
        &self,
        container: &str,
        volumes: AnonymousVolumes,
    ) -> Result<(), WorldError> {
        let options = RemoveContainerOptions {
            force: true,
            v: volumes == AnonymousVolumes::Remove,
            ..RemoveContainerOptions::default()
        };
        let done = self
            .patient()
            .remove_container(container, Some(options))
            .await;
        absent_is_fine(done)
            .map_err(|error| refused(format!("cannot remove container `{container}`"), error))
    }

    /// The processes in a container.
    pub async fn processes(&self, container: &str) -> Result<Processes, WorldError> {
        let found = self
            .docker()
            .top_processes(container, None::<TopOptions>)
            .await;
        let found = found.map_err(|error| {
            refused(
                format!("cannot list the processes of container `{container}`"),
                error,
            )
        })?;
        Ok(Processes {
            titles: found.titles.unwrap_or_default(),
            rows: found.processes.unwrap_or_default(),
        })
    }
}

/// What becomes of a removed container's anonymous volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnonymousVolumes {
    Keep,
    Remove,
}
