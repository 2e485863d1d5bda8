//! Images built with the engine's classic builder, from a folder that is sent or a URL that the engine fetches.

use std::collections::{HashMap, VecDeque};

use bollard::body_try_stream;
use bollard::query_parameters::BuildImageOptions;
use futures_util::{StreamExt, stream};

use crate::model::mark;
use crate::model::name::ProjectName;
use crate::model::service::Build;
use crate::plan::spec::ImageSpec;
use crate::world::engine::context::Context;
use crate::world::engine::error::refused;
use crate::world::engine::wire::LIST_SEPARATOR;
use crate::world::engine::{Engine, credential};
use crate::world::{ErrorKind, Progress, WorldError};

/// How many lines of a build's output are told again when it fails.
const LAST_LINES: usize = 12;

/// Builds the image and gives it its names.
pub async fn build(
    engine: &Engine,
    project: &ProjectName,
    image: &ImageSpec,
    build: &Build,
    progress: &dyn Progress,
) -> Result<(), WorldError> {
    let act = || format!("cannot build image `{}`", image.reference);
    refuse_beyond_classic(image, build)?;
    let (options, body) = if is_url(&build.context) {
        let file = build.dockerfile.clone().unwrap_or_default();
        let options = BuildImageOptions {
            remote: Some(build.context.clone()),
            ..options(project, image, build, file)?
        };
        (options, body_try_stream(stream::empty()))
    } else {
        let context = Context::open(build)
            .map_err(|said| WorldError::new(ErrorKind::Missing, act(), said))?;
        let options = options(project, image, build, context.dockerfile.clone())?;
        let chunks = stream::unfold(context.stream(), |mut chunks| async move {
            chunks.recv().await.map(|chunk| (chunk, chunks))
        });
        (options, body_try_stream(chunks))
    };
    let credentials = match engine.config_folder() {
        Some(folder) => credential::all(folder).await,
        None => HashMap::new(),
    };
    let mut options = options;
    let arguments = options.buildargs.get_or_insert_default();
    for (name, value) in engine.proxies() {
        arguments.entry(name).or_insert(value);
    }
    let mut output = Output::default();
    let mut answers = engine
        .patient()
        .build_image(options, Some(credentials), Some(body));
    while let Some(answer) = answers.next().await {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let error = refused(act(), error);
                return Err(match (output.last(), &error.hint) {
                    (Some(lines), None) => error.hint(format!("the build said:\n{lines}")),
                    _ => error,
                });
            }
        };
        let text = answer.stream.or(answer.status).unwrap_or_default();
        output.hear(&text, progress);
    }
    Ok(())
}

/// What of a build is missing on this machine, in a sentence: its folder, its Dockerfile.
pub fn missing(build: &Build) -> Option<String> {
    match is_url(&build.context) {
        true => None,
        false => Context::open(build).err(),
    }
}

fn is_url(context: &str) -> bool {
    [
        "http://",
        "https://",
        "git://",
        "git@",
        "ssh://",
        "github.com/",
    ]
    .iter()
    .any(|scheme| context.starts_with(scheme))
}

fn refuse_beyond_classic(image: &ImageSpec, build: &Build) -> Result<(), WorldError> {
    let mut beyond = build.beyond_classic.clone();
    if build.platforms.len() > 1 {
        beyond.push("platforms (more than one)".to_owned());
    }
    if beyond.is_empty() {
        return Ok(());
    }
    Err(WorldError::new(
        ErrorKind::Unsupported,
        format!("cannot build image `{}`", image.reference),
        format!(
            "the engine's classic builder does not know `build: {}`",
            beyond.join("`, `")
        ),
    )
    .hint("build it with `docker buildx build` and name the result under `image:`"))
}

fn options(
    project: &ProjectName,
    image: &ImageSpec,
    build: &Build,
    dockerfile: String,
) -> Result<BuildImageOptions, WorldError> {
    // Every field is named, so that a new one cannot be forgotten.
    let Build {
        context: _,
        dockerfile: _,
        dockerfile_inline: _,
        args,
        target,
        labels,
        tags,
        cache_from,
        no_cache,
        pull,
        network,
        shm_size,
        extra_hosts,
        platforms,
        beyond_classic: _,
    } = build;
    let mut labels: HashMap<String, String> = labels.clone().into_iter().collect();
    labels.insert(mark::PROJECT.to_owned(), project.to_string());
    if let Some(service) = image.services.first() {
        labels.insert(mark::SERVICE.to_owned(), service.to_string());
    }
    let names: Vec<&str> = std::iter::once(image.reference.as_str())
        .chain(tags.iter().map(String::as_str))
        .collect();
    let hosts: Vec<String> = extra_hosts
        .iter()
        .map(|(name, address)| format!("{name}:{address}"))
        .collect();
    let shmsize = shm_size.map(i32::try_from).transpose().map_err(|_| {
        WorldError::new(
            ErrorKind::Unsupported,
            format!("cannot build image `{}`", image.reference),
            "`build: shm_size` is more than 2 GiB",
        )
    })?;
    Ok(BuildImageOptions {
        dockerfile,
        t: Some(names.join(LIST_SEPARATOR)),
        extrahosts: (!hosts.is_empty()).then(|| hosts.join(LIST_SEPARATOR)),
        nocache: *no_cache,
        cachefrom: (!cache_from.is_empty()).then(|| cache_from.clone()),
        pull: pull.then(|| "1".to_owned()),
        rm: true,
        forcerm: true,
        // An argument without a value keeps the Dockerfile's own.
        buildargs: Some(
            args.iter()
                .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
                .collect(),
        ),
        shmsize,
        labels: Some(labels),
        networkmode: network.clone(),
        platform: platforms
            .first()
            .cloned()
            .or_else(|| image.platform.clone())
            .unwrap_or_default(),
        target: target.clone().unwrap_or_default(),
        ..BuildImageOptions::default()
    })
}

/// The output of a build, which comes in pieces of lines.
#[derive(Default)]
struct Output {
    begun: String,
    last: VecDeque<String>,
}

impl Output {
    fn hear(&mut self, text: &str, progress: &dyn Progress) {
        self.begun.push_str(text);
        while let Some((line, rest)) = self.begun.split_once('\n') {
            let (line, rest) = (line.trim_end().to_owned(), rest.to_owned());
            self.begun = rest;
            if line.is_empty() {
                continue;
            }
            progress.tell(&line);
            self.last.push_back(line);
            if self.last.len() > LAST_LINES {
                self.last.pop_front();
            }
        }
    }

    fn last(&self) -> Option<String> {
        let lines: Vec<&str> = self
            .last
            .iter()
            .map(String::as_str)
            .chain(Some(self.begun.trim()))
            .collect();
        let text = lines.join("\n").trim_end().to_owned();
        (!text.is_empty()).then_some(text)
    }
}
