//! Images: pulled, built, removed. How a build is asked for is in [`crate::world::engine::build`].

use std::collections::BTreeMap;

use bollard::models::CreateImageInfo;
use bollard::query_parameters::{CreateImageOptionsBuilder, RemoveImageOptionsBuilder};
use futures_util::StreamExt;

use crate::model::name::ProjectName;
use crate::model::service::PullPolicy;
use crate::plan::spec::{ImageSource, ImageSpec, Spec};
use crate::plan::step::{State, Step};
use crate::world::engine::error::{refused, status};
use crate::world::engine::reference::Reference;
use crate::world::engine::{Engine, build, credential};
use crate::world::{ErrorKind, Progress, WorldError};

/// Takes an image to the step's state.
pub async fn change(
    engine: &Engine,
    project: &ProjectName,
    step: &Step,
    progress: &dyn Progress,
) -> Result<(), WorldError> {
    match (image_of(&step.before), image_of(&step.after)) {
        (None, None) => Ok(()),
        (Some(_), Some(after)) if step.before == step.after => must_exist(engine, after).await,
        (_, Some(after)) => match &after.source {
            ImageSource::Build(build) => {
                build::build(engine, project, after, build, progress).await
            }
            ImageSource::Pull(policy) => match policy {
                PullPolicy::Never => must_exist(engine, after).await,
                PullPolicy::Missing | PullPolicy::Build
                    if exists(engine, &after.reference).await? =>
                {
                    Ok(())
                }
                PullPolicy::Missing
                | PullPolicy::Build
                | PullPolicy::Always
                | PullPolicy::Every(_) => {
                    pull(
                        engine,
                        &after.reference,
                        after.platform.as_deref(),
                        progress,
                    )
                    .await
                }
            },
        },
        (Some(before), None) => remove(engine, &before.reference).await,
    }
}

fn image_of(state: &State) -> Option<&ImageSpec> {
    match state.spec()?.as_ref() {
        Spec::Image(spec) => Some(spec),
        _ => None,
    }
}

/// Whether the engine has the image.
pub async fn exists(engine: &Engine, reference: &str) -> Result<bool, WorldError> {
    match engine.docker().inspect_image(reference).await {
        Ok(_) => Ok(true),
        Err(error) if status(&error) == Some(404) => Ok(false),
        Err(error) => Err(refused(
            format!("cannot look for image `{reference}`"),
            error,
        )),
    }
}

async fn must_exist(engine: &Engine, image: &ImageSpec) -> Result<(), WorldError> {
    if exists(engine, &image.reference).await? {
        return Ok(());
    }
    Err(WorldError::new(
        ErrorKind::Missing,
        format!("cannot use image `{}`", image.reference),
        "the engine does not have it, and it is not to be pulled",
    )
    .hint("load it (`docker load`), build it (`stack build`), or set another `pull_policy`"))
}

/// Fetches an image from its registry.
pub async fn pull(
    engine: &Engine,
    reference: &str,
    platform: Option<&str>,
    progress: &dyn Progress,
) -> Result<(), WorldError> {
    let act = || format!("cannot pull image `{reference}`");
    let parts = Reference::parse(reference);
    let tag = parts
        .digest
        .as_deref()
        .or(parts.meant_tag())
        .unwrap_or("latest");
    let mut options = CreateImageOptionsBuilder::new()
        .from_image(&format!("{}/{}", parts.registry, parts.path))
        .tag(tag);
    if let Some(platform) = platform {
        options = options.platform(platform);
    }
    let credentials = match engine.config_folder() {
        Some(folder) => credential::of_registry(folder, &parts.registry).await,
        None => None,
    };
    let mut layers = Layers::default();
    let mut answers = engine
        .patient()
        .create_image(Some(options.build()), None, credentials);
    while let Some(answer) = answers.next().await {
        let answer = answer.map_err(|error| refused(act(), error))?;
        if let Some(text) = layers.hear(&answer) {
            progress.tell(&text);
        }
    }
    Ok(())
}

/// How far the layers of a pull are.
#[derive(Default)]
struct Layers {
    /// Bytes that came and bytes in all, by layer.
    layers: BTreeMap<String, Layer>,
    told: String,
}

#[derive(Default)]
struct Layer {
    done: bool,
    current: i64,
    total: i64,
}

impl Layers {
    /// Takes one answer of the engine in; the line to tell, where it is another one than before.
    fn hear(&mut self, answer: &CreateImageInfo) -> Option<String> {
        let (Some(id), Some(status)) = (&answer.id, &answer.status) else {
            return None;
        };
        // The first answer has the tag as its id.
        if status.starts_with("Pulling from") {
            return None;
        }
        let layer = self.layers.entry(id.clone()).or_default();
        match status.as_str() {
            "Pull complete" | "Already exists" => layer.done = true,
            "Downloading" => {
                let detail = answer.progress_detail.as_ref();
                layer.current = detail
                    .and_then(|detail| detail.current)
                    .unwrap_or(layer.current);
                layer.total = detail
                    .and_then(|detail| detail.total)
                    .unwrap_or(layer.total);
            }
            "Download complete" => layer.current = layer.total,
            _ => {}
        }
        let text = self.text();
        (text != self.told).then(|| {
            self.told.clone_from(&text);
            text
        })
    }

    fn text(&self) -> String {
        let done = self.layers.values().filter(|layer| layer.done).count();
        let mega = |bytes: i64| bytes / 1_000_000;
        let current: i64 = self.layers.values().map(|layer| layer.current).sum();
        let total: i64 = self.layers.values().map(|layer| layer.total).sum();
        let of = format!("pulling: {done} of {} layers", self.layers.len());
        if total > 0 {
            format!("{of}, {} of {} MB", mega(current), mega(total))
        } else {
            of
        }
    }
}

async fn remove(engine: &Engine, reference: &str) -> Result<(), WorldError> {
    let options = RemoveImageOptionsBuilder::new().build();
    match engine
        .docker()
        .remove_image(reference, Some(options), None)
        .await
    {
        Ok(_) => Ok(()),
        Err(error) if status(&error) == Some(404) => Ok(()),
        Err(error) => {
            let in_use = status(&error) == Some(409);
            let error = refused(format!("cannot remove image `{reference}`"), error);
            Err(if in_use {
                WorldError {
                    kind: ErrorKind::InUse,
                    ..error
                }
            } else {
                error
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::{CreateImageInfo, ProgressDetail};

    use super::Layers;

    #[test]
    fn a_pull_tells_layers_and_bytes_and_nothing_twice() {
        let mut layers = Layers::default();
        let mut hear = |id: &str, status: &str, bytes: Option<(i64, i64)>| {
            layers.hear(&CreateImageInfo {
                id: Some(id.to_owned()),
                status: Some(status.to_owned()),
                progress_detail: bytes.map(|(current, total)| ProgressDetail {
                    current: Some(current),
                    total: Some(total),
                }),
                ..CreateImageInfo::default()
            })
        };
        assert_eq!(hear("latest", "Pulling from library/nginx", None), None);
        assert_eq!(
            hear("a", "Pulling fs layer", None).as_deref(),
            Some("pulling: 0 of 1 layers")
        );
        assert_eq!(
            hear("b", "Already exists", None).as_deref(),
            Some("pulling: 1 of 2 layers")
        );
        assert_eq!(
            hear("a", "Downloading", Some((1_000_000, 4_000_000))).as_deref(),
            Some("pulling: 1 of 2 layers, 1 of 4 MB")
        );
        assert_eq!(hear("a", "Downloading", Some((1_000_001, 4_000_000))), None);
        assert_eq!(
            hear("a", "Pull complete", None).as_deref(),
            Some("pulling: 2 of 2 layers, 1 of 4 MB")
        );
    }
}
