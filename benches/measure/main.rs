//! Measures orchestrators beside each other in one run: the same stacks, the same engine, in turn and every second round
//! in the opposite order (A B, B A), so that a machine that gets slower meanwhile is slow for all. `benches/run.sh`
//! prepares everything and calls it.
//!
//!     measure --tool NAME=COMMAND… [--parts own,stacks] [--sizes 5,20] [--shapes flat,chained,health,lan]
//!             [--repeat N | --repeat 5:7,100:2] [--leave-out TOOL:SHAPE:SIZE]… [--json FILE] [--markdown FILE] [--readme FILE] [--note TEXT]…
//!
//! COMMAND is called as `docker compose` is: `COMMAND -p bench -f FILE up -d`. After each act the engine is asked whether the
//! containers really are there, or gone. Files are written anew after every group, so that a run that is stopped has
//! told what it saw until then. A tool that fails at one place is cleaned up after, noted, and left out there.
//!
//! `stacks.rs` writes the files, `run.rs` runs a command and weighs it, `own.rs` measures what tools cost themselves at
//! an engine that does nothing (`fake.rs`), `report.rs` makes tables, `targets.rs` holds the numbers against what is wanted.
//! Nothing here is a test: times are told, not judged.

mod fake;
mod own;
mod report;
mod run;
mod stacks;
mod targets;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use report::{Report, Sample};
use run::Tool;
use stacks::Shape;

pub type Failure = Box<dyn Error>;

pub const PROJECT: &str = "bench";

/// At so many containers a stack's life at an engine that does nothing is measured.
const LIVES: [usize; 4] = [250, 500, 1000, 2000];
/// Of so many services a plan is made.
const PLANNED: usize = 10_000;

struct Options {
    tools: Vec<Tool>,
    parts: Vec<String>,
    sizes: Vec<usize>,
    shapes: Vec<Shape>,
    repeat: Repeat,
    leave_out: Vec<String>,
    files: Files,
    notes: Vec<String>,
}

/// How often: the same for all, or by the number of containers.
enum Repeat {
    All(usize),
    BySize(Vec<(usize, usize)>),
}

impl Repeat {
    fn parse(text: &str) -> Result<Repeat, Failure> {
        if !text.contains(':') {
            return Ok(Repeat::All(text.parse()?));
        }
        let pairs = text.split(',').map(|pair| {
            let (size, times) = pair.split_once(':').ok_or("write SIZE:TIMES,…")?;
            Ok((size.parse()?, times.parse()?))
        });
        Ok(Repeat::BySize(pairs.collect::<Result<_, Failure>>()?))
    }

    fn of(&self, size: usize) -> usize {
        match self {
            Repeat::All(times) => *times,
            Repeat::BySize(pairs) => pairs
                .iter()
                .find(|(named, _)| *named == size)
                .map_or(3, |(_, times)| *times),
        }
    }
}

#[derive(Default)]
struct Files {
    json: Option<PathBuf>,
    markdown: Option<PathBuf>,
    readme: Option<PathBuf>,
}

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let done = match words.as_slice() {
        [word, socket] if word == fake::WORD => fake::serve_at(Path::new(socket)),
        _ => options().and_then(measure),
    };
    match done {
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
        parts: vec!["own".to_owned(), "stacks".to_owned()],
        sizes: vec![5, 20, 50, 100],
        shapes: Shape::ALL.to_vec(),
        repeat: Repeat::All(3),
        leave_out: Vec::new(),
        files: Files::default(),
        notes: Vec::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words
            .next()
            .ok_or_else(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--tool" => options.tools.push(Tool::parse(&value)?),
            "--parts" => options.parts = value.split(',').map(str::to_owned).collect(),
            "--sizes" => {
                options.sizes = value.split(',').map(str::parse).collect::<Result<_, _>>()?;
            }
            "--shapes" => {
                options.shapes = value
                    .split(',')
                    .map(Shape::parse)
                    .collect::<Result<_, _>>()?;
            }
            "--repeat" => options.repeat = Repeat::parse(&value)?,
            "--leave-out" => options.leave_out.push(value),
            "--json" => options.files.json = Some(value.into()),
            "--markdown" => options.files.markdown = Some(value.into()),
            "--readme" => options.files.readme = Some(value.into()),
            "--note" => options.notes.push(value),
            _ => return Err(format!("unknown option {word}").into()),
        }
    }
    if options.tools.is_empty() {
        return Err("no --tool was given".into());
    }
    Ok(options)
}

fn measure(mut options: Options) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let mut report = Report {
        samples: Vec::new(),
        tools: options.tools.iter().map(|tool| tool.name.clone()).collect(),
        notes: std::mem::take(&mut options.notes),
    };
    if options.parts.iter().any(|part| part == "stacks") {
        // Small ones of all shapes first: they tell most for their time.
        for size in options.sizes.clone() {
            for shape in options.shapes.clone() {
                rounds(&mut options, folder.path(), shape, size, &mut report)?;
                save(&options.files, &report)?;
            }
        }
    }
    if options.parts.iter().any(|part| part == "own") {
        if let Err(failure) = measure_own(&options, folder.path(), &mut report) {
            eprintln!("measure: {failure}");
            let told = failure.to_string();
            let last = told.lines().last().unwrap_or_default();
            report.notes.push(format!("own cost: failed: {last}"));
        }
    }
    save(&options.files, &report)?;
    print!("{}", report.markdown());
    Ok(())
}

fn measure_own(options: &Options, folder: &Path, report: &mut Report) -> Result<(), Failure> {
    let tools: Vec<&Tool> = options
        .tools
        .iter()
        .filter(|tool| matches!(tool.name.as_str(), "stack" | "compose2"))
        .collect();
    eprintln!("measure: start-up");
    report.samples.extend(own::start_up(&tools, folder, 11)?);
    let Some(tool) = tools.iter().find(|tool| tool.name == "stack") else {
        return Ok(());
    };
    for round in 0..3 {
        for size in LIVES {
            eprintln!("measure: {size} at an engine that does nothing");
            report.samples.extend(own::life(tool, folder, size, round)?);
        }
    }
    // Last: writing that file makes this process large, and what it starts is born with its peak memory.
    for round in 0..3 {
        let offline = own::offline(tool, folder, PLANNED, round)?;
        report.samples.extend(offline);
    }
    save(&options.files, report)
}

fn rounds(
    options: &mut Options,
    folder: &Path,
    shape: Shape,
    size: usize,
    report: &mut Report,
) -> Result<(), Failure> {
    for round in 0..options.repeat.of(size) {
        let mut order: Vec<usize> = (0..options.tools.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let tool = &options.tools[index];
            let place = format!("{}:{}:{size}", tool.name, shape.name());
            // An old tool takes minutes for what the others do in seconds; it is shown twice.
            let is_enough = tool.name == "compose1" && round >= 2;
            if options.leave_out.contains(&place) || is_enough || !takes_part(tool, shape, size) {
                continue;
            }
            eprintln!(
                "measure: {} {size}, round {}: {}",
                shape.name(),
                round + 1,
                tool.name
            );
            match cycle(tool, folder, shape, size) {
                Ok(taken) => {
                    report
                        .samples
                        .extend(taken.into_iter().map(|(act, weight)| Sample {
                            shape: shape.name(),
                            size,
                            round,
                            act,
                            tool: tool.name.clone(),
                            weight,
                        }));
                }
                Err(failure) => {
                    eprintln!("measure: {place}: {failure}");
                    let told = failure.to_string();
                    let last = told.lines().last().unwrap_or_default();
                    report
                        .notes
                        .push(format!("{place}: failed in round {}: {last}", round + 1));
                    run::clear(PROJECT)?;
                    options.leave_out.push(place);
                }
            }
        }
    }
    Ok(())
}

/// Shims are made by `stack` and by hand only, and by hand nobody does the rest; fifty of them by hand show no more.
fn takes_part(tool: &Tool, shape: Shape, size: usize) -> bool {
    match shape {
        Shape::Lan => matches!(tool.name.as_str(), "stack" | "hand") && size <= 20,
        Shape::Flat | Shape::Chained | Shape::Health => tool.name != "hand",
    }
}

fn save(files: &Files, report: &Report) -> Result<(), Failure> {
    if let Some(file) = &files.markdown {
        std::fs::write(file, report.markdown())?;
    }
    if let Some(file) = &files.json {
        std::fs::write(file, report.json()?)?;
    }
    if let Some(file) = &files.readme {
        let text = std::fs::read_to_string(file)?;
        std::fs::write(file, report::filled(&text, &report.short())?)?;
    }
    Ok(())
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
