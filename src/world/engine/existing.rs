//! Containers that are there: found, stopped, removed, parked and brought back.
//!
//! What is stopped or removed by name is the project's own by its labels; an id can only mean the one container.

use std::collections::HashMap;

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder,
    StopContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt;

use crate::model::mark;
use crate::model::service::Hook;
use crate::plan::spec::Spec;
use crate::world::engine::container::Doer;
use crate::world::engine::error::{absent_is_fine, refused};
use crate::world::engine::inspect::{hash_of, inspect, labels_of, name_of, reference};
use crate::world::engine::network::{LATE_TRIES, RETRY_AFTER};
use crate::world::engine::{hook, owner};
use crate::world::{ErrorKind, WorldError};

/// A container that is there.
pub struct Located {
    pub id: String,
    pub name: String,
    pub runs: bool,
}

impl Located {
    /// What an inspection told.
    pub fn of(container: ContainerInspectResponse) -> Located {
        let status = container.state.and_then(|state| state.status);
        Located {
            id: container.id.unwrap_or_default(),
            name: container
                .name
                .unwrap_or_default()
                .trim_start_matches('/')
                .to_owned(),
            runs: matches!(
                status,
                Some(
                    ContainerStateStatusEnum::RUNNING
                        | ContainerStateStatusEnum::PAUSED
                        | ContainerStateStatusEnum::RESTARTING
                )
            ),
        }
    }
}

/// What a container did when the plan was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Was {
    Running,
    Stopped,
    Parked,
}

/// Under which names a container is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Under {
    ItsName,
    /// Its own or its parked one.
    AnyName,
}

impl Doer<'_> {
    /// Stops it, if it is there and runs.
    pub async fn stop(&self, spec: &Spec) -> Result<(), WorldError> {
        match self.locate(spec, Under::ItsName).await? {
            Some(found) if found.runs => self.stop_by(&found.id, spec).await,
            _ => Ok(()),
        }
    }

    async fn stop_by(&self, id: &str, spec: &Spec) -> Result<(), WorldError> {
        for hook in pre_stop(spec) {
            // A hook that fails must not keep a container from stopping; one that has ended already has no need of it.
            match hook::run(self.engine, id, name_of(spec), hook, self.progress).await {
                Err(error) if !error.said.contains("is not running") => {
                    self.progress.warn(&error.to_string());
                }
                _ => {}
            }
        }
        let mut options = StopContainerOptionsBuilder::new();
        if let Some(seconds) = stop_timeout(spec) {
            options = options.t(i32::try_from(seconds).unwrap_or(i32::MAX));
        }
        let stopped = self
            .engine
            .patient()
            .stop_container(id, Some(options.build()))
            .await;
        absent_is_fine(stopped)
            .map_err(|error| refused(format!("cannot stop container `{}`", name_of(spec)), error))
    }

    /// Waits a moment for a container that a killed run has asked for, as for a network.
    pub async fn await_late(&self, spec: &Spec) -> Result<(), WorldError> {
        let Spec::Container(_) = spec else {
            return Ok(());
        };
        for _ in 0..LATE_TRIES {
            if self.locate(spec, Under::ItsName).await?.is_some() {
                break;
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
        Ok(())
    }

    /// Stops and removes it; absent is success.
    pub async fn remove(&self, spec: &Spec, was: Was) -> Result<(), WorldError> {
        // A container that a run made and did not park: its predecessor, parked and made from the very same spec (endpoints
        // are no part of its hash), is not the one.
        let under = match was {
            Was::Parked => Under::AnyName,
            Was::Running | Was::Stopped => Under::ItsName,
        };
        let volumes = match spec {
            Spec::Existing(existing) => existing.remove_volumes,
            // What this run made is taken back with the anonymous volumes that came with it.
            _ => true,
        };
        // The removal kills what still runs, so without a grace period it is one call.
        let kill =
            was != Was::Running || stop_timeout(spec) == Some(0) && pre_stop(spec).is_empty();
        match spec {
            // An id can only mean the one container, so it is not looked at before.
            Spec::Existing(existing) => {
                if !kill {
                    self.stop_by(&existing.engine_id, spec).await?;
                }
                self.delete(&existing.engine_id, &existing.name, volumes)
                    .await?;
                self.engine.remove_unused(&existing.anonymous_volumes).await
            }
            _ => match self.locate(spec, under).await? {
                None => Ok(()),
                Some(found) => {
                    if found.runs {
                        self.stop_by(&found.id, spec).await?;
                    }
                    self.delete(&found.id, &found.name, volumes).await
                }
            },
        }
    }

    async fn delete(&self, id: &str, name: &str, volumes: bool) -> Result<(), WorldError> {
        let options = RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(volumes)
            .build();
        match absent_is_fine(
            self.engine
                .patient()
                .remove_container(id, Some(options))
                .await,
        ) {
            Ok(()) => Ok(()),
            Err(error) if error.to_string().contains("is already in progress") => {
                let options = WaitContainerOptionsBuilder::new()
                    .condition("removed")
                    .build();
                // Gone is what is waited for; how the wait ends does not matter.
                let _ = self
                    .engine
                    .patient()
                    .wait_container(id, Some(options))
                    .next()
                    .await;
                Ok(())
            }
            Err(error) => Err(refused(format!("cannot remove container `{name}`"), error)),
        }
    }

    /// Stops it and gives it its parked name.
    pub async fn park(&self, spec: &Spec) -> Result<(), WorldError> {
        let act = || format!("cannot park container `{}`", name_of(spec));
        let Some(found) = self.locate(spec, Under::AnyName).await? else {
            return Err(WorldError::new(
                ErrorKind::Missing,
                act(),
                "it is not there",
            ));
        };
        if found.runs {
            self.stop_by(&found.id, spec).await?;
        }
        self.rename(&found, &mark::parked_name(&found.id, name_of(spec)), act)
            .await
    }

    /// Gives a parked container its name back; its id.
    pub async fn restore(&self, spec: &Spec) -> Result<String, WorldError> {
        let act = || format!("cannot bring container `{}` back", name_of(spec));
        let Some(found) = self.locate(spec, Under::AnyName).await? else {
            return Err(WorldError::new(
                ErrorKind::Missing,
                act(),
                "it is not there any more",
            ));
        };
        self.rename(&found, name_of(spec), act).await?;
        Ok(found.id)
    }

    async fn rename(
        &self,
        found: &Located,
        name: &str,
        act: impl Fn() -> String,
    ) -> Result<(), WorldError> {
        if found.name == name {
            return Ok(());
        }
        let options = RenameContainerOptionsBuilder::new().name(name).build();
        self.engine
            .docker()
            .rename_container(&found.id, options)
            .await
            .map_err(|error| refused(act(), error))
    }

    /// The container that the spec means: by id; or by name, if it was made from this very spec.
    async fn locate(&self, spec: &Spec, under: Under) -> Result<Option<Located>, WorldError> {
        let Spec::Container(spec) = spec else {
            return Ok(inspect(self.engine, reference(spec))
                .await?
                .map(Located::of));
        };
        let ours = |labels: &HashMap<String, String>| {
            owner::is_of(labels, self.project)
                && labels.get(mark::HASH).map(String::as_str) == Some(hash_of(spec))
        };
        if let Some(container) = inspect(self.engine, &spec.name).await?
            && ours(&labels_of(&container))
        {
            return Ok(Some(Located::of(container)));
        }
        if under == Under::ItsName {
            return Ok(None);
        }
        let label = format!("{}={}", mark::PROJECT, self.project);
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&HashMap::from([("label", vec![label.as_str()])]))
            .build();
        let containers = self
            .engine
            .docker()
            .list_containers(Some(options))
            .await
            .map_err(|error| {
                refused(format!("cannot look for container `{}`", spec.name), error)
            })?;
        let parked = containers.into_iter().find(|container| {
            let id = container.id.as_deref().unwrap_or_default();
            let was = container
                .names
                .iter()
                .flatten()
                .find_map(|name| mark::unparked_name(id, name.trim_start_matches('/')));
            was == Some(&spec.name) && container.labels.as_ref().is_some_and(ours)
        });
        match parked.and_then(|container| container.id) {
            None => Ok(None),
            Some(id) => Ok(inspect(self.engine, &id).await?.map(Located::of)),
        }
    }
}

fn pre_stop(spec: &Spec) -> &[Hook] {
    match spec {
        Spec::Container(spec) => &spec.pre_stop,
        Spec::Existing(spec) => &spec.pre_stop,
        _ => &[],
    }
}

/// Seconds before a stop becomes a kill; none leaves it to the container's own setting.
fn stop_timeout(spec: &Spec) -> Option<u32> {
    match spec {
        Spec::Existing(spec) => spec.stop_timeout,
        _ => None,
    }
}
