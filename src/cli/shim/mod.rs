//! `stack shim`: the host's doors into macvlan and ipvlan networks. This file: what the commands have in common, and
//! the list.

mod check;
mod export;
mod repair;
mod show;

use std::io::Write;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::table::Table;
use crate::model::name::LinkName;
use crate::plan::spec::{ShimKind, ShimSpec, Spec};
use crate::world::engine::connect::endpoint;
use crate::world::host::Host;
use crate::world::host::shim::survey::Standing;
use crate::world::live::Live;
use crate::world::netns::Namespace;

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  stack shim ls              all shims of this host
  stack shim show            why each is as it is: address, routes, source, settings
  stack shim check           looked up, read back, tried
  stack shim repair          make good what somebody removed or changed
  stack shim export networkd --to out
                             the same shim without stack, for systemd-networkd")]
pub struct ShimArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// List shims
    #[command(alias = "list")]
    Ls(LsArgs),
    /// Explain shims
    Show(WhichArgs),
    /// Look shims up, read them back and try them
    Check(WhichArgs),
    /// Put back what somebody removed or changed of what `up` made on the host
    Repair(repair::RepairArgs),
    /// Write files that make the same shim without stack
    Export(export::ExportArgs),
}

#[derive(Debug, Clone, Args)]
struct LsArgs {
    /// Only names
    #[arg(short, long)]
    quiet: bool,
    /// table or json
    #[arg(long, default_value = "table", value_parser = ["table", "json"])]
    format: String,
}

#[derive(Debug, Clone, Args)]
struct WhichArgs {
    /// Shims, by their links' names (default: all)
    #[arg(value_name = "SHIM")]
    shims: Vec<String>,
    /// text or json
    #[arg(long, default_value = "text", value_parser = ["text", "json"])]
    format: String,
}

/// Does what the arguments ask for.
pub async fn run(context: &Context, arguments: ShimArgs) -> Outcome {
    match arguments.command {
        Command::Ls(arguments) => list(context, &arguments).await,
        Command::Show(arguments) => show::run(context, &arguments).await,
        Command::Check(arguments) => check::run(context, &arguments).await,
        Command::Repair(repair::RepairArgs {}) => repair::run(context).await,
        Command::Export(arguments) => export::run(context, &arguments).await,
    }
}

/// The engine where it answers, and its host. Shims can be looked at without an engine.
async fn place(context: &Context) -> Result<(Option<Live>, Host), Failure> {
    match context.live().await {
        Ok(live) => {
            let host = live.host().await.clone().map_err(|reason| {
                Failure::said(format!(
                    "the engine's host cannot be looked at from here: {reason}"
                ))
            })?;
            Ok((Some(live), host))
        }
        Err(Failure::Said { text, .. }) => {
            context.tell(&format!(
                " The engine does not answer ({text}): this host is looked at alone"
            ));
            let namespace = Namespace::current().map_err(Failure::said)?;
            Ok((None, Host::open(namespace, context.state_folder()?).await?))
        }
        Err(other @ (Failure::Told(_) | Failure::OutputClosed)) => Err(other),
    }
}

/// The shims that are asked for: those that stand, and those that are wanted and do not.
struct Shims {
    standing: Vec<Standing>,
    missing: Vec<Missing>,
}

/// A shim that the last `up` of its project made, and that is gone.
struct Missing {
    project: String,
    spec: ShimSpec,
}

impl Shims {
    /// Where only shims that stand are of use.
    fn all_standing(self) -> Result<Vec<Standing>, Failure> {
        match self.missing.first() {
            None => Ok(self.standing),
            Some(Missing { project, spec }) => Err(Failure::with_hint(
                format!("the shim `{}` of `{project}` is gone", spec.name),
                format!("stack -p {project} shim repair"),
            )),
        }
    }
}

/// The shims that were named, or all; with a project or a file that is named, those of it.
async fn shims(context: &Context, host: &Host, named: &[String]) -> Result<Shims, Failure> {
    let project = context.chosen()?;
    let asked_for = |name: &LinkName, of: &str| {
        (named.is_empty() || named.iter().any(|named| named == name.as_str()))
            && project
                .as_ref()
                .is_none_or(|project| project.as_str() == of)
    };
    let mut standing = host.shims().await?;
    let mut missing = missing(context, &standing)?;
    for name in named {
        let names = standing.iter().map(|shim| &shim.spec.name);
        let mut names = names.chain(missing.iter().map(|shim| &shim.spec.name));
        if !names.any(|known| known.as_str() == name) {
            return Err(Failure::with_hint(
                format!("no such shim: {name}"),
                "`stack shim ls` lists them",
            ));
        }
    }
    standing.retain(|shim| asked_for(&shim.spec.name, &shim.project));
    missing.retain(|shim| asked_for(&shim.spec.name, &shim.project));
    Ok(Shims { standing, missing })
}

/// The wanted shims of this engine's projects that do not stand. A record that cannot be read tells of none.
fn missing(context: &Context, standing: &[Standing]) -> Result<Vec<Missing>, Failure> {
    let engine = endpoint(&context.surroundings())?.url();
    let records = context.records()?.all().map_err(Failure::said)?;
    let mut found = Vec::new();
    for wanted in records.into_iter().filter_map(|record| record.wanted.ok()) {
        if wanted.engine != engine {
            continue;
        }
        let project = wanted.project.as_str();
        let stands = |spec: &&ShimSpec| {
            let mut own = standing.iter().filter(|shim| shim.project == project);
            own.any(|shim| shim.spec.name == spec.name)
        };
        let specs = wanted.settled().into_iter().flatten();
        for spec in specs.filter_map(Spec::as_shim).filter(|spec| !stands(spec)) {
            found.push(Missing {
                project: project.to_owned(),
                spec: spec.clone(),
            });
        }
    }
    Ok(found)
}

async fn list(context: &Context, arguments: &LsArgs) -> Outcome {
    let (_, host) = place(context).await?;
    let Shims {
        standing: found,
        missing,
    } = shims(context, &host, &[]).await?;
    let mut output = std::io::stdout().lock();
    if arguments.quiet {
        let gone = missing.iter().map(|shim| &shim.spec.name);
        for name in found.iter().map(|shim| &shim.spec.name).chain(gone) {
            writeln!(output, "{name}")?;
        }
        return Ok(Exit::Done);
    }
    if arguments.format == "json" {
        let gone = missing.iter().map(gone_as_json);
        let rows: Vec<Value> = found.iter().map(as_json).chain(gone).collect();
        let text = serde_json::to_string_pretty(&rows).map_err(Failure::said)?;
        writeln!(output, "{text}")?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[
        "NAME",
        "PROJECT",
        "ON",
        "KIND",
        "ADDRESSES",
        "ROUTES",
        "NETWORKS",
        "STATUS",
    ]);
    for shim in &found {
        table.row([
            shim.spec.name.to_string(),
            shim.project.clone(),
            shim.spec.parent.to_string(),
            kind(shim.spec.kind),
            joined(&shim.spec.addresses),
            (shim.spec.routes.len() + shim.followed.len()).to_string(),
            shim.spec.networks.join(","),
            match shim.damage.first() {
                None => "whole".to_owned(),
                Some(damage) => damage.clone(),
            },
        ]);
    }
    for Missing { project, spec } in &missing {
        table.row([
            spec.name.to_string(),
            project.clone(),
            spec.parent.to_string(),
            kind(spec.kind),
            joined(&spec.addresses),
            "0".to_owned(),
            spec.networks.join(","),
            "missing".to_owned(),
        ]);
    }
    write!(output, "{}", table.text())?;
    Ok(Exit::Done)
}

/// One that is gone, for programs.
fn gone_as_json(Missing { project, spec }: &Missing) -> Value {
    json!({
        "name": spec.name,
        "project": project,
        "state": "missing",
        "parent": spec.parent,
        "addresses": spec.addresses,
        "routes": spec.routes,
        "networks": spec.networks,
    })
}

/// A shim for programs.
fn as_json(shim: &Standing) -> Value {
    let followed: Vec<Value> = shim
        .followed
        .iter()
        .map(|(container, to)| json!({"container": container, "destination": to}))
        .collect();
    let settings: Vec<Value> = shim
        .settings
        .iter()
        .map(|(path, wanted, now)| json!({"path": path, "wanted": wanted, "now": now}))
        .collect();
    json!({
        "name": shim.spec.name,
        "project": shim.project,
        "state": if shim.damage.is_empty() { "whole" } else { "damaged" },
        "parent": shim.spec.parent,
        "kind": shim.link.kind,
        "mode": shim.link.mode,
        "mac": shim.link.mac,
        "addresses": shim.spec.addresses,
        "routes": shim.spec.routes,
        "containers": followed,
        "networks": shim.spec.networks,
        "settings": settings,
        "damage": shim.damage,
    })
}

/// `macvlan bridge`, `ipvlan l2 private`.
fn kind(kind: ShimKind) -> String {
    match kind {
        ShimKind::Macvlan(mode) => format!("macvlan {}", mode.word()),
        ShimKind::Ipvlan(mode, flag) => format!("ipvlan {mode} {flag}"),
    }
}

fn joined<T: std::fmt::Display>(items: &[T]) -> String {
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    texts.join(",")
}
