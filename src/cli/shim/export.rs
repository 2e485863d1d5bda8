//! `stack shim export`: files for the tool that this machine's network belongs to.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::shim::{place, shims};
use crate::model::address::same_family;
use crate::plan::export::{ExportFile, Exported, Tool, files};
use crate::plan::spec::ShimRoute;
use crate::world::host::shim::survey::Standing;

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  stack shim export ifupdown                      all shims of this host, to the screen
  stack shim export networkd shim-lab-lan --to /  into place

The files make the shim at every boot, without stack. Take the stack down first, or give the shim to
the tool while it is down: a link of that name may be there only once. Routes that follow a
container are written as they are now.")]
pub struct ExportArgs {
    /// For whom
    #[arg(value_enum)]
    tool: Known,
    /// Shims, by their links' names (default: all)
    #[arg(value_name = "SHIM")]
    shims: Vec<String>,
    /// Write below this folder; without it the files are printed
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Known {
    Networkd,
    #[value(name = "networkmanager", alias = "NetworkManager", alias = "nm")]
    NetworkManager,
    Ifupdown,
}

/// Prints or writes the files.
pub async fn run(context: &Context, arguments: &ExportArgs) -> Outcome {
    let (_, host) = place(context).await?;
    let found = shims(context, &host, &arguments.shims)
        .await?
        .all_standing()?;
    let tool = match arguments.tool {
        Known::Networkd => Tool::Networkd,
        Known::NetworkManager => Tool::NetworkManager,
        Known::Ifupdown => Tool::Ifupdown,
    };
    let mut all = Vec::new();
    for shim in &found {
        if !shim.damage.is_empty() {
            return Err(Failure::with_hint(
                format!(
                    "the shim `{}` is damaged: {}",
                    shim.spec.name,
                    shim.damage.join("; ")
                ),
                "stack shim repair",
            ));
        }
        let of = files(&exported(shim), tool).map_err(|error| {
            Failure::with_hint(error, "give the shim a plain name: `shim: {name: …}`")
        })?;
        all.extend(of);
    }
    if all.is_empty() {
        context.tell(" There is no shim here");
    }
    match &arguments.to {
        Some(folder) => write(context, folder, &all)?,
        None => {
            let mut output = std::io::stdout().lock();
            for ExportFile { path, text } in &all {
                writeln!(output, "# /{path}\n{text}")?;
            }
        }
    }
    Ok(Exit::Done)
}

/// A shim with the routes that follow containers as they are.
fn exported(shim: &Standing) -> Exported {
    let mut spec = shim.spec.clone();
    for (_, destination) in &shim.followed {
        let source = spec
            .addresses
            .iter()
            .find(|address| same_family(**address, destination.addr()));
        if let Some(source) = source.copied() {
            spec.routes.push(ShimRoute {
                destination: *destination,
                source,
            });
        }
    }
    spec.routes.sort_unstable();
    spec.routes.dedup();
    Exported {
        spec,
        settings: shim
            .settings
            .iter()
            .filter(|(_, _, now)| now.is_some())
            .map(|(path, wanted, _)| (path.clone(), wanted.clone()))
            .collect(),
    }
}

/// All of them or, where one is there already, none.
fn write(context: &Context, folder: &std::path::Path, all: &[ExportFile]) -> Result<(), Failure> {
    for file in all {
        let path = folder.join(&file.path);
        if path.exists() {
            return Err(Failure::with_hint(
                format!("{} is there already; nothing was written", path.display()),
                "remove it, or choose another folder with --to",
            ));
        }
    }
    for file in all {
        let path = folder.join(&file.path);
        if context.global.dry_run {
            context.tell(&format!(" {} Written", path.display()));
            continue;
        }
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| {
                Failure::said(format!("cannot make {}: {error}", parent.display()))
            })?;
        }
        std::fs::write(&path, &file.text)
            .map_err(|error| Failure::said(format!("cannot write {}: {error}", path.display())))?;
        // NetworkManager takes no keyfile that others may read.
        if file.path.ends_with(".nmconnection") {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        }
        context.tell(&format!(" {} Written", path.display()));
    }
    Ok(())
}
