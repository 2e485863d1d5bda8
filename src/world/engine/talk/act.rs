//! What is done to single containers outside of plans: signals, pauses, removal of stopped ones and one-offs.

use bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptions, RemoveContainerOptions, RemoveVolumeOptions,
    TopOptions,
};

use crate::plan::observed::is_anonymous;
use crate::world::WorldError;
use crate::world::engine::Engine;
use crate::world::engine::error::{absent_is_fine, refused, status};

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

    /// Removes a container and its anonymous volumes, those too that it took over from one that it replaced.
    pub async fn remove_with_volumes(&self, container: &str) -> Result<(), WorldError> {
        let found = self
            .docker()
            .inspect_container(container, None::<InspectContainerOptions>)
            .await;
        let mounts = match found {
            Ok(found) => found.mounts.unwrap_or_default(),
            Err(error) if status(&error) == Some(404) => return Ok(()),
            Err(error) => {
                let act = format!("cannot look at container `{container}`");
                return Err(refused(act, error));
            }
        };
        let names = mounts.into_iter().filter_map(|mount| mount.name);
        let anonymous: Vec<String> = names.filter(|name| is_anonymous(name)).collect();
        self.remove(container, AnonymousVolumes::Remove).await?;
        self.remove_unused(&anonymous).await
    }

    /// Removes those of some volumes that are there and that no container uses.
    pub async fn remove_unused(&self, volumes: &[String]) -> Result<(), WorldError> {
        for volume in volumes {
            let gone = self
                .docker()
                .remove_volume(volume, None::<RemoveVolumeOptions>)
                .await;
            match absent_is_fine(gone) {
                Err(error) if status(&error) == Some(409) => {}
                gone => gone
                    .map_err(|error| refused(format!("cannot remove volume `{volume}`"), error))?,
            }
        }
        Ok(())
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
