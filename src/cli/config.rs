//! `stack config` (`stack convert`).

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::file::Reading;
use crate::file::active::Dependencies;
use crate::file::load::Paths;
use crate::file::render;
use crate::file::request::{Check, EnvFiles, Form};
use crate::file::shape::Variables;
use crate::file::tree::Node;
use crate::model::mark;
use crate::plan::desired::{Wishes, desired};
use crate::plan::observed::Observed;
use crate::plan::spec::Spec;

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  stack config                     the file as it is understood
  stack config -q && echo fine     only check it
  stack config --services          names of services
  stack config --format json web   one service, for programs")]
pub struct ConfigArgs {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Output format
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
    /// Variables that interpolation sees
    #[arg(long, group = "list")]
    pub environment: bool,
    /// Hashes of services: all (`*`) or some, separated by commas
    #[arg(long, value_name = "SERVICES", group = "list")]
    pub hash: Option<String>,
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
}

/// Prints the canonical document, or a part of it.
pub fn run(context: &Context, arguments: &ConfigArgs) -> Outcome {
    let mut request = context.request(&arguments.services, Dependencies::Included)?;
    if arguments.no_interpolate {
        request.variables = Variables::AsWritten;
        // What a variable will say cannot be checked.
        request.consistency = Check::Shape;
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
    if let Some(wanted) = &arguments.hash {
        return hashes(context, &request, wanted);
    }
    let reading = context.read(&request)?;
    if arguments.quiet {
        return Ok(Exit::Done);
    }
    let text = text(&reading, arguments)?;
    match &arguments.output {
        Some(path) => std::fs::write(path, text)
            .map_err(|error| Failure::said(format!("cannot write {}: {error}", path.display())))?,
        None => std::io::stdout().lock().write_all(text.as_bytes())?,
    }
    Ok(Exit::Done)
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
        ConfigFormat::Json => Ok(format!("{}\n", render::json(&reading.document))),
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
fn hashes(context: &Context, request: &crate::file::request::Request, wanted: &str) -> Outcome {
    let opened = context.opened(request)?;
    let wanted: BTreeSet<&str> = wanted.split(',').map(str::trim).collect();
    let all = desired(&opened.stack, &Wishes::default(), &Observed::default());
    let mut output = std::io::stdout().lock();
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
            writeln!(output, "{service} {hash}")?;
        }
    }
    for name in wanted {
        if name != "*" && !all.containers.contains_key(name) {
            return Err(Failure::said(format!("no such service: {name}")));
        }
    }
    Ok(Exit::Done)
}
