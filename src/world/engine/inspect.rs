//! A container as the engine has it, and what it is called there.

use std::collections::HashMap;

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::InspectContainerOptions;

use crate::model::mark;
use crate::plan::spec::{ContainerSpec, Spec};
use crate::world::WorldError;
use crate::world::engine::Engine;
use crate::world::engine::error::{refused, status};

/// The container, if it is there.
pub async fn inspect(
    engine: &Engine,
    reference: &str,
) -> Result<Option<ContainerInspectResponse>, WorldError> {
    match engine
        .docker()
        .inspect_container(reference, None::<InspectContainerOptions>)
        .await
    {
        Ok(container) => Ok(Some(container)),
        Err(error) if status(&error) == Some(404) => Ok(None),
        Err(error) => Err(refused(
            format!("cannot look at container `{reference}`"),
            error,
        )),
    }
}

/// The name of the container that a spec is about.
pub(in crate::world::engine) fn name_of(spec: &Spec) -> &str {
    match spec {
        Spec::Container(spec) => &spec.name,
        Spec::Existing(spec) => &spec.name,
        _ => "",
    }
}

/// What the engine takes for the container: its id where that is known.
pub(in crate::world::engine) fn reference(spec: &Spec) -> &str {
    match spec {
        Spec::Existing(spec) => &spec.engine_id,
        _ => name_of(spec),
    }
}

/// The hash of the spec, as its labels have it.
pub(in crate::world::engine) fn hash_of(spec: &ContainerSpec) -> &str {
    spec.labels
        .get(mark::HASH)
        .map(String::as_str)
        .unwrap_or_default()
}

/// The labels of a container.
pub(in crate::world::engine) fn labels_of(
    container: &ContainerInspectResponse,
) -> HashMap<String, String> {
    container
        .config
        .as_ref()
        .and_then(|config| config.labels.clone())
        .unwrap_or_default()
}
