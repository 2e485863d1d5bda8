//! `stack reach`.

use std::io::Write as _;

use clap::{Args, ValueEnum};

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::render::talk;
use crate::cli::sight::Sight;
use crate::reach::compare::{Agreement, Compared, Counts, compare};
use crate::reach::matrix::{By, label, matrix, render};
use crate::reach::predict;
use crate::reach::predict::cells::questions;
use crate::reach::question::Question;
use crate::reach::scene::{Scene, Tenant};
use crate::reach::words::viewpoints;
use crate::world::live::Live;

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Exit code with --probe: 0 prediction and reality agree, 1 they differ, 2 nothing could be asked, 3 some could not be told.

Where the engine is on another machine, or this user may not enter network namespaces, --probe asks by a
helper container in the namespace of each, made from this very program and gone with the command.

Examples:
  stack reach                        who reaches whom, as the file has it; no engine is needed
  stack reach web db                 only from web to db
  stack reach --probe                asked for real, and held against the prediction
  stack reach --by port --format md  a column for each port, as Markdown"
)]
pub struct ReachArgs {
    /// Who asks (default: everybody)
    #[arg(value_name = "FROM")]
    pub from_name: Option<String>,
    /// Who is asked (default: everybody)
    #[arg(value_name = "TO")]
    pub to_name: Option<String>,
    /// Who asks
    #[arg(long, value_name = "NAME", conflicts_with = "from_name")]
    pub from: Option<String>,
    /// Who is asked
    #[arg(long, value_name = "NAME", conflicts_with = "to_name")]
    pub to: Option<String>,
    /// What a column is
    #[arg(long, value_enum, default_value = "service")]
    pub by: ByArg,
    /// Ask for real, from inside the namespaces
    #[arg(long)]
    pub probe: bool,
    /// With --probe: answer on declared ports where nothing listens, so that only the network is asked
    #[arg(long, requires = "probe")]
    pub with_responders: bool,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    pub format: ReachFormat,
}

/// What a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ByArg {
    Service,
    Address,
    Name,
    Port,
}

/// How the matrix is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReachFormat {
    Text,
    Md,
    Csv,
    Json,
    Html,
}

/// Shows the matrix.
pub async fn run(context: &Context, arguments: ReachArgs) -> Outcome {
    let sight = Sight::open(context)?;
    if !arguments.probe {
        let scene = sight.wanted();
        let cells: Vec<Compared> = predict::each(&scene, chosen(&scene, &arguments)?)
            .into_iter()
            .map(|cell| compare(cell, None))
            .collect();
        show(
            &scene,
            &cells,
            &arguments,
            sight.opened.stack.project.as_str(),
        )?;
        return Ok(Exit::Done);
    }
    let live = context.live().await?;
    sight.asking(&live, asked(&sight, &live, &arguments)).await
}

async fn asked(sight: &Sight, live: &Live, arguments: &ReachArgs) -> Outcome {
    let mut standing = sight.standing(live).await?;
    if !standing.scene.containers.values().any(Tenant::runs) {
        let project = &sight.opened.stack.project;
        talk(&format!(
            "error: `{project}` is not up: none of its containers runs"
        ));
        talk("hint: bring it up first: stack up -d; without --probe its file alone is asked");
        return Ok(Exit::Verdict(2));
    }
    let responders = if arguments.with_responders {
        standing.respond().await?
    } else {
        Vec::new()
    };
    let cells = standing.compared(chosen(&standing.scene, arguments)?).await;
    drop(responders);
    show(
        &standing.scene,
        &cells,
        arguments,
        sight.opened.stack.project.as_str(),
    )?;
    let counts = Counts::of(&cells);
    tell(&cells, &counts);
    Ok(Exit::Verdict(counts.code()))
}

fn chosen(scene: &Scene, arguments: &ReachArgs) -> Result<Vec<Question>, Failure> {
    let mut all = questions(scene);
    if let Some(from) = arguments.from.as_ref().or(arguments.from_name.as_ref()) {
        let from = viewpoints(scene, from).map_err(Failure::said)?;
        all.retain(|question| from.contains(&question.from));
    }
    if let Some(to) = arguments.to.as_ref().or(arguments.to_name.as_ref()) {
        all.retain(|question| {
            question.meant == *to
                || label(scene, &question.meant) == *to
                || question.to.to_string() == *to
        });
        if all.is_empty() {
            return Err(Failure::said(format!("nobody here is called `{to}`")));
        }
    }
    Ok(all)
}

fn show(
    scene: &Scene,
    cells: &[Compared],
    arguments: &ReachArgs,
    project: &str,
) -> Result<(), Failure> {
    let by = match arguments.by {
        ByArg::Service => By::Service,
        ByArg::Address => By::Address,
        ByArg::Name => By::Name,
        ByArg::Port => By::Port,
    };
    let matrix = matrix(scene, cells, by);
    let text = match arguments.format {
        ReachFormat::Text => render::text(&matrix),
        ReachFormat::Md => render::markdown(&matrix),
        ReachFormat::Csv => render::csv(&matrix),
        ReachFormat::Html => render::html(&matrix, &format!("Who reaches whom in {project}")),
        ReachFormat::Json => format!("{:#}\n", render::json(cells, &Counts::of(cells))),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn tell(cells: &[Compared], counts: &Counts) {
    for compared in cells {
        let what = match compared.agreement {
            Agreement::Differs | Agreement::OtherKind => "differs",
            Agreement::Unpredicted | Agreement::Unclear => "could not be told",
            Agreement::NotSeen | Agreement::Agree => continue,
        };
        if let Some(seen) = &compared.seen {
            let question = &compared.cell.question;
            let prediction = &compared.cell.prediction;
            eprintln!(
                "{what}: {} to {} {}: predicted {} ({}), seen {} ({})",
                question.from,
                question.to,
                question.ask,
                prediction.verdict.word(),
                prediction.code().map_or("", |code| code.word()),
                seen.word(),
                seen.detail
            );
        }
    }
    eprintln!(
        "{} cells: {} agree, {} differ, {} fail in another way, {} could not be told, {} not asked",
        counts.cells,
        counts.agree,
        counts.differ,
        counts.other_kind,
        counts.unclear,
        counts.predicted_only
    );
}
