//! Volumes of the engine.

use std::collections::HashMap;

use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveVolumeOptions};

use crate::model::name::ProjectName;
use crate::model::{hash, mark};
use crate::plan::observed::FoundVolume;
use crate::plan::spec::{Spec, VolumeSpec};
use crate::plan::step::{State, Step};
use crate::world::engine::Engine;
use crate::world::engine::error::{absent_is_fine, refused, status};
use crate::world::engine::owner::{self, Owner};
use crate::world::{ErrorKind, WorldError};

/// Takes a volume to the step's state. A volume that is there is never changed: its data would be lost.
pub async fn change(engine: &Engine, project: &ProjectName, step: &Step) -> Result<(), WorldError> {
    match (volume_of(&step.before), volume_of(&step.after)) {
        (_, Some(after)) if step.before == step.after => must_exist(engine, &after.name).await,
        (None, Some(after)) => create(engine, project, after).await,
        (Some(before), None) => remove(engine, project, &before.name).await,
        (Some(before), Some(after)) => {
            remove(engine, project, &before.name).await?;
            create(engine, project, after).await
        }
        (None, None) => Ok(()),
    }
}

fn volume_of(state: &State) -> Option<&VolumeSpec> {
    match state.spec()?.as_ref() {
        Spec::Volume(spec) => Some(spec),
        _ => None,
    }
}

/// The request that makes a volume.
pub fn request(project: &ProjectName, spec: &VolumeSpec) -> VolumeCreateRequest {
    let VolumeSpec {
        name,
        key,
        driver,
        driver_opts,
        labels,
    } = spec;
    VolumeCreateRequest {
        name: Some(name.clone()),
        driver: Some(driver.clone().unwrap_or_else(|| "local".to_owned())),
        driver_opts: Some(driver_opts.clone().into_iter().collect()),
        labels: Some(owner::marked(
            labels,
            project,
            (mark::VOLUME, key.as_str()),
            &hash::of(spec),
        )),
        cluster_volume_spec: None,
    }
}

/// What a found volume is, in our words.
pub fn found(volume: &Volume) -> FoundVolume {
    FoundVolume {
        name: volume.name.clone(),
        project: volume.labels.get(mark::PROJECT).cloned(),
        key: volume
            .labels
            .get(mark::VOLUME)
            .and_then(|key| key.parse().ok()),
        hash: volume.labels.get(mark::HASH).cloned(),
        driver: volume.driver.clone(),
    }
}

/// The engine answers with the volume that is there, whoever made it, so the answer's labels tell whether it is ours.
async fn create(
    engine: &Engine,
    project: &ProjectName,
    spec: &VolumeSpec,
) -> Result<(), WorldError> {
    let act = || format!("cannot create volume `{}`", spec.name);
    let volume = engine
        .docker()
        .create_volume(request(project, spec))
        .await
        .map_err(|error| refused(act(), error))?;
    let taken = |said: &str| Err(WorldError::new(ErrorKind::Taken, act(), said));
    match owner::owner(&volume.labels, project, &hash::of(spec)) {
        Owner::Same => Ok(()),
        Owner::Changed => {
            taken("a volume of that name was made meanwhile by another run with other settings")
        }
        Owner::Foreign(whose) => taken(&format!("there is a volume of that name, and {whose}")),
    }
}

async fn must_exist(engine: &Engine, name: &str) -> Result<(), WorldError> {
    let act = format!("cannot use volume `{name}`");
    engine
        .docker()
        .inspect_volume(name)
        .await
        .map(drop)
        .map_err(|error| refused(act, error))
}

async fn remove(engine: &Engine, project: &ProjectName, name: &str) -> Result<(), WorldError> {
    let act = || format!("cannot remove volume `{name}`");
    match engine.docker().inspect_volume(name).await {
        Ok(volume) if !owner::is_of(&volume.labels, project) => return Ok(()),
        Ok(_) => {}
        Err(error) if status(&error) == Some(404) => return Ok(()),
        Err(error) => return Err(refused(act(), error)),
    }
    match absent_is_fine(
        engine
            .docker()
            .remove_volume(name, None::<RemoveVolumeOptions>)
            .await,
    ) {
        Ok(()) => Ok(()),
        Err(error) if status(&error) == Some(409) => {
            let users = users(engine, name).await?;
            Err(WorldError::new(
                ErrorKind::InUse,
                act(),
                format!("it is used by {}", users.join(", ")),
            )
            .hint("remove these containers first"))
        }
        Err(error) => Err(refused(act(), error)),
    }
}

async fn users(engine: &Engine, name: &str) -> Result<Vec<String>, WorldError> {
    let filters = HashMap::from([("volume", vec![name])]);
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters)
        .build();
    let containers = engine
        .docker()
        .list_containers(Some(options))
        .await
        .map_err(|error| refused(format!("cannot see who uses volume `{name}`"), error))?;
    Ok(containers
        .iter()
        .filter_map(|container| container.names.as_ref()?.first())
        .map(|name| format!("`{}`", name.trim_start_matches('/')))
        .collect())
}
