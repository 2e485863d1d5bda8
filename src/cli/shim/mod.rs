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
use crate::plan::spec::ShimKind;
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
    /// Put back what somebody removed or changed of the host's side of the stack file
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

/// The shims that were named, or all; with a project that is named, all of it.
async fn shims(context: &Context, host: &Host, named: &[String]) -> Result<Vec<Standing>, Failure> {
    let mut found = host.shims().await?;
    for name in named {
        if !found.iter().any(|shim| shim.spec.name.as_str() == name) {
            return Err(Failure::with_hint(
                format!("no such shim: {name}"),
                "`stack shim ls` lists them",
            ));
        }
    }
    let project = context.named()?;
    found.retain(|shim| {
        (named.is_empty() || named.iter().any(|name| name == shim.spec.name.as_str()))
            && project
                .as_ref()
                .is_none_or(|project| project.as_str() == shim.project)
    });
    Ok(found)
}

async fn list(context: &Context, arguments: &LsArgs) -> Outcome {
    let (_, host) = place(context).await?;
    let found = shims(context, &host, &[]).await?;
    let mut output = std::io::stdout().lock();
    if arguments.quiet {
        for shim in &found {
            writeln!(output, "{}", shim.spec.name)?;
        }
        return Ok(Exit::Done);
    }
    if arguments.format == "json" {
        let rows: Vec<Value> = found.iter().map(as_json).collect();
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
    write!(output, "{}", table.text())?;
    Ok(Exit::Done)
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
