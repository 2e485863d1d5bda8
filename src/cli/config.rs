//! `stack config` (`stack convert`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use futures_util::future::join_all;

use crate::cli::containers::no_such_service;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::render::talk;
use crate::diagnostic::machine;
use crate::file;
use crate::file::Reading;
use crate::file::active::Dependencies;
use crate::file::config::{images as written_images, lock, pin, variables, variables_json};
use crate::file::load::Paths;
use crate::file::render;
use crate::file::request::{Check, Contents, EnvFiles, Form, Request, Resources};
use crate::file::shape::Variables;
use crate::file::tree::Node;
use crate::model::mark;
use crate::plan::desired::{Wishes, desired};
use crate::plan::observed::Observed;
use crate::plan::spec::Spec;
use crate::world::engine::Engine;
use crate::world::engine::talk::digest::PinnedBy;

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  stack config                     the file as it is understood
  stack config -q && echo fine     only check it
  stack config --format sarif      what is wrong, for code scanning in CI
  stack config --services          names of services
  stack config --format json web   one service, for programs")]
pub struct ConfigArgs {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Output format; with -q json tells what is wrong, and so does sarif with and without
    #[arg(long, value_enum, default_value = "yaml")]
    pub format: ConfigFormat,
    /// Only check
    #[arg(short, long)]
    pub quiet: bool,
    /// Write to a file
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Names of services
    #[arg(long = "services", group = "list")]
    pub names: bool,
    /// Names of networks
    #[arg(long, group = "list")]
    pub networks: bool,
    /// Names of volumes
    #[arg(long, group = "list")]
    pub volumes: bool,
    /// Names of profiles
    #[arg(long, group = "list")]
    pub profiles: bool,
    /// Names of images
    #[arg(long, group = "list")]
    pub images: bool,
    /// Names of models
    #[arg(long, group = "list")]
    pub models: bool,
    /// Variables that the files use, with their defaults
    #[arg(long, group = "list")]
    pub variables: bool,
    /// Variables that interpolation sees
    #[arg(long, group = "list")]
    pub environment: bool,
    /// Hashes of services: all (`*`) or some, separated by commas
    #[arg(long, value_name = "SERVICES", group = "list")]
    pub hash: Option<String>,
    /// Pin images to the digests that their tags have now
    #[arg(long, conflicts_with = "no_interpolate")]
    pub resolve_image_digests: bool,
    /// Print an override file that pins images to digests, and nothing else
    #[arg(long, conflicts_with_all = ["no_interpolate", "list"])]
    pub lock_image_digests: bool,
    /// Leave variables as they are written
    #[arg(long)]
    pub no_interpolate: bool,
    /// Leave out defaults
    #[arg(long)]
    pub no_normalize: bool,
    /// Leave paths as they are written
    #[arg(long)]
    pub no_path_resolution: bool,
    /// Do not check what refers to what
    #[arg(long)]
    pub no_consistency: bool,
    /// Do not read env_file
    #[arg(long)]
    pub no_env_resolution: bool,
}

/// How the model is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConfigFormat {
    Yaml,
    Json,
    Sarif,
}

impl ConfigArgs {
    /// Whether an engine is needed: it asks the registries for digests.
    pub fn asks_the_engine(&self) -> bool {
        (self.resolve_image_digests || self.lock_image_digests) && !self.tells_mistakes()
    }

    fn tells_mistakes(&self) -> bool {
        match self.format {
            ConfigFormat::Yaml => false,
            ConfigFormat::Json => self.quiet,
            ConfigFormat::Sarif => true,
        }
    }
}

/// Prints the canonical document, or a part of it.
pub fn run(context: &Context, arguments: &ConfigArgs) -> Outcome {
    let mut request = request(context, arguments)?;
    if arguments.tells_mistakes() {
        return mistakes(context, &request, arguments);
    }
    if let Some(wanted) = &arguments.hash {
        request.contents = Contents::Needed;
        return hashes(context, &request, wanted, arguments);
    }
    if arguments.variables {
        return used_variables(context, &request, arguments);
    }
    let reading = context.read(&request)?;
    if !arguments.quiet || arguments.output.is_some() {
        put(&text(&reading, arguments)?, arguments)?;
    }
    Ok(Exit::Done)
}

/// The same with images pinned to their digests, which the engine finds out.
pub async fn run_pinned(context: &Context, arguments: &ConfigArgs) -> Outcome {
    let mut reading = context.read(&request(context, arguments)?)?;
    let engine = context.engine().await?;
    let pinned = pinned(&engine, &reading).await?;
    if arguments.quiet && arguments.output.is_none() {
        return Ok(Exit::Done);
    }
    let text = if arguments.lock_image_digests {
        let lock = lock(&pinned);
        match arguments.format {
            ConfigFormat::Yaml => {
                serde_yaml::to_string(&lock).map_err(|error| Failure::said(error.to_string()))?
            }
            ConfigFormat::Json | ConfigFormat::Sarif => format!("{lock:#}\n"),
        }
    } else {
        pin(&mut reading.document, &pinned);
        text(&reading, arguments)?
    };
    put(&text, arguments)?;
    Ok(Exit::Done)
}

fn request(context: &Context, arguments: &ConfigArgs) -> Result<Request, Failure> {
    let mut request = context.request(&arguments.services, Dependencies::Included)?;
    // What a swarm or another shell provides is not needed to look at the file.
    request.contents = Contents::Dispensable;
    if arguments.no_interpolate {
        request.variables = Variables::AsWritten;
        // What a variable will say cannot be checked, nor what uses what.
        request.consistency = Check::Shape;
        request.resources = Resources::All;
        request.selection.profiles = vec!["*".to_owned()];
    }
    if arguments.no_normalize {
        request.form = Form::AsWritten;
    }
    if arguments.no_path_resolution {
        request.paths = Paths::AsWritten;
    }
    if arguments.no_consistency {
        request.consistency = Check::Shape;
    }
    if arguments.no_env_resolution {
        request.env_files = EnvFiles::Kept;
    }
    Ok(request)
}

fn put(text: &str, arguments: &ConfigArgs) -> Result<(), Failure> {
    match &arguments.output {
        Some(path) => std::fs::write(path, text)
            .map_err(|error| Failure::said(format!("cannot write {}: {error}", path.display()))),
        None => Ok(std::io::stdout().lock().write_all(text.as_bytes())?),
    }
}

/// What is wrong with the files, for programs.
fn mistakes(context: &Context, request: &Request, arguments: &ConfigArgs) -> Outcome {
    let reading = file::read(request, &context.files);
    let told = match arguments.format {
        ConfigFormat::Sarif => machine::sarif(
            &reading.diagnostics,
            &reading.sources,
            env!("CARGO_PKG_VERSION"),
        ),
        ConfigFormat::Yaml | ConfigFormat::Json => {
            machine::json(&reading.diagnostics, &reading.sources)
        }
    };
    put(&format!("{told:#}\n"), arguments)?;
    if reading.diagnostics.has_errors() {
        return Err(Failure::Told(Exit::Refused));
    }
    Ok(Exit::Done)
}

/// The variables that the files use; what the rest of the files says need not fit together.
fn used_variables(context: &Context, request: &Request, arguments: &ConfigArgs) -> Outcome {
    let reading = context.read(&Request {
        variables: Variables::AsWritten,
        consistency: Check::Shape,
        ..request.clone()
    })?;
    let text = match arguments.format {
        ConfigFormat::Json | ConfigFormat::Sarif => format!("{:#}\n", variables_json(&reading)),
        ConfigFormat::Yaml => {
            let title = ["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"];
            let mut text = row(&title);
            for one in variables(&reading) {
                text.push_str(&row(&one));
            }
            text
        }
    };
    put(&text, arguments)?;
    Ok(Exit::Done)
}

fn row<S: AsRef<str>>(cells: &[S]) -> String {
    let line = cells.iter().fold(String::new(), |mut line, cell| {
        let cell = cell.as_ref();
        let width = 20.max(cell.chars().count() + 3);
        // Writing to a text cannot fail.
        let _ = write!(line, "{cell:width$}");
        line
    });
    format!("{}\n", line.trim_end())
}

/// The images of services by their digests. All registries are asked at the same time, for each image once.
async fn pinned(engine: &Engine, reading: &Reading) -> Result<BTreeMap<String, String>, Failure> {
    let images = written_images(&reading.document);
    let names: BTreeSet<&str> = images.values().map(String::as_str).collect();
    let asked = names
        .iter()
        .map(|name| async move { (*name, engine.pinned(name).await) });
    let mut known: BTreeMap<&str, String> = BTreeMap::new();
    for (name, answer) in join_all(asked).await {
        let answer = answer?;
        if let PinnedBy::Engine(reason) = &answer.by {
            talk(&format!(
                "warning: `{name}` is pinned to what the engine has, as its registry gave no answer: {reason}"
            ));
        }
        known.insert(name, answer.reference);
    }
    Ok(images
        .iter()
        .filter_map(|(service, name)| Some((service.clone(), known.get(name.as_str())?.clone())))
        .collect())
}

fn text(reading: &Reading, arguments: &ConfigArgs) -> Result<String, Failure> {
    let root = &reading.document.root;
    let lines = |names: Vec<String>| names.iter().map(|name| format!("{name}\n")).collect();
    if arguments.names {
        return Ok(lines(keys(root, "services")));
    }
    if arguments.networks {
        return Ok(lines(keys(root, "networks")));
    }
    if arguments.volumes {
        return Ok(lines(keys(root, "volumes")));
    }
    if arguments.models {
        return Ok(lines(keys(root, "models")));
    }
    if arguments.profiles {
        return Ok(lines(reading.document.profiles.clone()));
    }
    if arguments.images {
        return Ok(lines(images(root, &reading.document.project)));
    }
    if arguments.environment {
        let all = reading.environment.sorted();
        return Ok(all
            .iter()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect());
    }
    match arguments.format {
        ConfigFormat::Yaml => render::yaml(&reading.document).map_err(Failure::said),
        ConfigFormat::Json | ConfigFormat::Sarif => {
            Ok(format!("{}\n", render::json(&reading.document)))
        }
    }
}

fn keys(root: &Node, section: &str) -> Vec<String> {
    let mapping = root.get(section).and_then(Node::as_mapping);
    mapping
        .into_iter()
        .flat_map(|mapping| mapping.iter())
        .map(|entry| entry.key.to_string())
        .collect()
}

fn images(root: &Node, project: &str) -> Vec<String> {
    let services = root.get("services").and_then(Node::as_mapping);
    let all: BTreeSet<String> = services
        .into_iter()
        .flat_map(|services| services.iter())
        .map(|entry| {
            let image = entry.node.get("image").and_then(Node::as_text);
            image.map_or_else(|| format!("{project}-{}", entry.key), ToOwned::to_owned)
        })
        .collect();
    all.into_iter().collect()
}

/// The hashes that containers of the services carry, without asking an engine.
fn hashes(context: &Context, request: &Request, wanted: &str, arguments: &ConfigArgs) -> Outcome {
    let opened = context.opened(request)?;
    let wanted: BTreeSet<&str> = wanted.split(',').map(str::trim).collect();
    let all = desired(&opened.stack, &Wishes::default(), &Observed::default());
    for name in &wanted {
        if *name != "*" && !all.containers.contains_key(*name) {
            return Err(no_such_service(name, all.containers.keys()));
        }
    }
    let mut text = String::new();
    for (service, ids) in &all.containers {
        if !wanted.contains("*") && !wanted.contains(service.as_str()) {
            continue;
        }
        let spec = ids
            .first()
            .and_then(|id| all.specs.get(id))
            .map(AsRef::as_ref);
        if let Some(Spec::Container(container)) = spec {
            let hash = container.labels.get(mark::HASH).map_or("", String::as_str);
            text.push_str(&format!("{service} {hash}\n"));
        }
    }
    put(&text, arguments)?;
    Ok(Exit::Done)
}
