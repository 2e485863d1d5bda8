//! Measures orchestrators beside each other in one run: the same stacks, the same engine, in turn (A B A B), so that a
//! machine that gets slower meanwhile is slow for all. `benches/run.sh` prepares everything and calls it.
//!
//!     measure --tool NAME=COMMAND… [--sizes 5,20] [--shapes flat,chained,health,lan] [--repeat N] [--leave-out TOOL:SHAPE:SIZE]…
//!             [--json FILE] [--markdown FILE] [--note TEXT]…
//!
//! COMMAND is called as `docker compose` is: `COMMAND -p bench -f FILE up -d`. The first tool is the one that the others are
//! divided by. After each act the engine is asked whether the containers really are there, or gone.
//!
//! `stacks.rs` writes the files, `run.rs` runs a command and weighs it, `report.rs` makes tables. Nothing here is a test:
//! times are told, not judged.

mod report;
mod run;
mod stacks;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use report::Sample;
use run::Tool;
use stacks::Shape;

pub type Failure = Box<dyn Error>;

const PROJECT: &str = "bench";

struct Options {
    tools: Vec<Tool>,
    sizes: Vec<usize>,
    shapes: Vec<Shape>,
    repeat: usize,
    leave_out: Vec<String>,
    json: Option<PathBuf>,
    markdown: Option<PathBuf>,
    notes: Vec<String>,
}

fn main() -> ExitCode {
    match options().and_then(measure) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("measure: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, Failure> {
    let mut options = Options {
        tools: Vec::new(),
        sizes: vec![5, 20, 50, 100],
        shapes: Shape::ALL.to_vec(),
        repeat: 3,
        leave_out: Vec::new(),
        json: None,
        markdown: None,
        notes: Vec::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words
            .next()
            .ok_or_else(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--tool" => options.tools.push(Tool::parse(&value)?),
            "--sizes" => {
                options.sizes = value.split(',').map(str::parse).collect::<Result<_, _>>()?;
            }
            "--shapes" => {
                options.shapes = value
                    .split(',')
                    .map(Shape::parse)
                    .collect::<Result<_, _>>()?;
            }
            "--repeat" => options.repeat = value.parse()?,
            "--leave-out" => options.leave_out.push(value),
            "--json" => options.json = Some(value.into()),
            "--markdown" => options.markdown = Some(value.into()),
            "--note" => options.notes.push(value),
            _ => return Err(format!("unknown option {word}").into()),
        }
    }
    if options.tools.is_empty() {
        return Err("no --tool was given".into());
    }
    Ok(options)
}

fn measure(options: Options) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let mut samples = Vec::new();
    for &shape in &options.shapes {
        for &size in &options.sizes {
            for round in 0..options.repeat {
                for tool in &options.tools {
                    let place = format!("{}:{}:{size}", tool.name, shape.name());
                    if options.leave_out.contains(&place) || !takes_part(tool, shape) {
                        continue;
                    }
                    eprintln!(
                        "measure: {} {size}, round {}: {}",
                        shape.name(),
                        round + 1,
                        tool.name
                    );
                    let taken = cycle(tool, folder.path(), shape, size)
                        .map_err(|failure| format!("{place}: {failure}"))?;
                    samples.extend(taken.into_iter().map(|(act, weight)| Sample {
                        shape,
                        size,
                        round,
                        act,
                        tool: tool.name.clone(),
                        weight,
                    }));
                }
            }
        }
    }
    let names: Vec<&str> = options
        .tools
        .iter()
        .map(|tool| tool.name.as_str())
        .collect();
    let report = report::markdown(&samples, &names, &options.notes);
    print!("{report}");
    if let Some(file) = &options.markdown {
        std::fs::write(file, &report)?;
    }
    if let Some(file) = &options.json {
        std::fs::write(file, report::json(&samples, &options.notes)?)?;
    }
    Ok(())
}

/// Shims are made by `stack` and by hand only, and by hand nobody does the rest.
fn takes_part(tool: &Tool, shape: Shape) -> bool {
    match shape {
        Shape::Lan => matches!(tool.name.as_str(), "stack" | "hand"),
        Shape::Flat | Shape::Chained | Shape::Health => tool.name != "hand",
    }
}

/// One life of a stack with one tool: every act that is measured.
fn cycle(
    tool: &Tool,
    folder: &Path,
    shape: Shape,
    size: usize,
) -> Result<Vec<(&'static str, run::Weight)>, Failure> {
    let file = folder.join("compose.yaml");
    stacks::write(&file, shape, size, stacks::Edition::First)?;
    let mut taken = Vec::new();
    let act = |words: &str| tool.run(PROJECT, &file, words);
    taken.push(("up", act("up -d")?));
    run::expect_containers(PROJECT, size)?;
    if shape == Shape::Lan {
        // The engine gives the first address of the range to the first container.
        run::expect_answer("10.50.0.64")?;
    }
    if tool.name != "hand" {
        taken.push(("up again", act("up -d")?));
        taken.push(("ps", act("ps")?));
    }
    if !matches!(tool.name.as_str(), "floor" | "hand") {
        taken.push(("config", act("config")?));
    }
    if shape == Shape::Flat && size == 50 {
        stacks::write(&file, shape, size, stacks::Edition::OneChanged)?;
        let before = run::containers(PROJECT)?;
        taken.push(("recreate one", act("up -d")?));
        let after = run::containers(PROJECT)?;
        let kept = after.iter().filter(|id| before.contains(id)).count();
        if after.len() != size || kept != size - 1 {
            return Err(format!(
                "{} containers of {size} are there, {kept} are the old ones",
                after.len()
            )
            .into());
        }
    }
    taken.push(("down", act("down -t 0")?));
    run::expect_containers(PROJECT, 0)?;
    run::expect_no_networks(PROJECT)?;
    if shape == Shape::Lan {
        run::expect_no_shims()?;
    }
    Ok(taken)
}
