//! `stack graph`: the picture of the project as it is, or of the file where nothing is up or no engine is reachable.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::context::{Context, Opened};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::draw::found::{self, View};
use crate::draw::scene::Scene;
use crate::draw::{dot, html, mermaid, svg, text, wanted};
use crate::file::active::Dependencies;
use crate::model::mark;
use crate::model::name::ProjectName;
use crate::plan::desired::{Desired, Wishes, desired};
use crate::plan::observed::{Observed, Scope};
use crate::plan::spec::Spec;
use crate::world::live::Live;
use crate::world::{World, WorldError};

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The picture shows what is there: networks, bridges with their ports and the container at the other end of
each, parents with what sits on them, shims with their routes, lans. Where nothing is up, or no engine is
reachable, it shows what the file wants, and says so.

Examples:
  stack graph                       networks, links and addresses as they are
  stack graph --file-only           what `up` would make; no engine is asked
  stack -p lab graph                a project whose file is gone
  stack graph --format svg -o lab.svg   a picture"
)]
pub struct GraphArgs {
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    pub format: GraphFormat,
    /// Write to a file
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Draw the file, whatever is up; no engine is asked
    #[arg(long)]
    pub file_only: bool,
}

/// How a picture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Lines for a terminal
    Text,
    /// For Graphviz
    Dot,
    /// For Markdown on GitHub and GitLab
    Mermaid,
    /// A picture
    Svg,
    /// One page that needs nothing else: the picture and the lines
    Html,
}

/// Draws the picture.
pub async fn run(context: &Context, arguments: GraphArgs) -> Outcome {
    let scene = match context.named()? {
        Some(_) if arguments.file_only => {
            return Err(Failure::with_hint(
                "--file-only needs a file, and -p alone names only a project",
                "name the file with -f",
            ));
        }
        Some(project) => look(&context.live().await?, &project, None).await?,
        None => {
            of_file(
                context,
                &context.open(&[], Dependencies::Included)?,
                &arguments,
            )
            .await?
        }
    };
    let picture = match arguments.format {
        GraphFormat::Text => text::text(&scene),
        GraphFormat::Dot => dot::dot(&scene),
        GraphFormat::Mermaid => mermaid::mermaid(&scene),
        GraphFormat::Svg => svg::svg(&scene),
        GraphFormat::Html => html::html(&scene),
    };
    match &arguments.output {
        Some(path) => std::fs::write(path, picture)
            .map_err(|error| Failure::said(format!("cannot write {}: {error}", path.display())))?,
        None => write!(std::io::stdout().lock(), "{picture}")?,
    }
    Ok(Exit::Done)
}

/// The picture of a stack: as it is, where something of it is there.
async fn of_file(
    context: &Context,
    opened: &Opened,
    arguments: &GraphArgs,
) -> Result<Scene, Failure> {
    let stack = &opened.stack;
    let wishes = Wishes {
        separator: if context.global.compatibility {
            "_"
        } else {
            "-"
        },
        ..Wishes::default()
    };
    let wanted = desired(stack, &wishes, &Observed::default());
    if !arguments.file_only {
        match context.live().await {
            Ok(live) => {
                let scene = look(&live, &stack.project, Some(&wanted)).await?;
                if !scene.is_empty() {
                    return Ok(scene);
                }
                eprintln!(
                    "nothing of {} is up: this is what the file wants",
                    stack.project
                );
            }
            Err(Failure::Said { text, hint: _ }) => {
                eprintln!("no engine was asked ({text}): this is what the file wants");
            }
            Err(other) => return Err(other),
        }
    }
    Ok(wanted::scene(stack, &wanted))
}

/// The picture of what is there.
async fn look(
    live: &Live,
    project: &ProjectName,
    wanted: Option<&Desired>,
) -> Result<Scene, WorldError> {
    let scope = Scope {
        project: project.clone(),
        images: Vec::new(),
        doors: Vec::new(),
        attachments: attachments(wanted),
        host: true,
    };
    let observed = live.observe(&scope).await?;
    let mut running = found::shown(project, &observed);
    running.retain(|container| container.runs());
    let inside = live.inside(&running).await?;
    Ok(found::scene(&View {
        project,
        observed: &observed,
        inside: &inside,
        desired: wanted,
    }))
}

/// What the file wants of the endpoints: where it is not so, their names are asked for.
fn attachments(wanted: Option<&Desired>) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for spec in wanted.iter().flat_map(|wanted| wanted.specs.values()) {
        if let Spec::Container(container) = spec.as_ref()
            && let Some(text) = container.labels.get(mark::ATTACHMENTS)
        {
            texts.insert(container.name.clone(), text.clone());
        }
    }
    texts
}
