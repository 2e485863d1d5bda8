//! What a tool itself costs, measured at an engine that does nothing (`fake.rs`): start-up until the first request, and
//! up, up again, plan and down at many containers, where time and memory must grow no faster than their number.

use std::path::Path;
use std::time::SystemTime;

use crate::fake::Fake;
use crate::report::Sample;
use crate::run::{Tool, Weight};
use crate::stacks::{Edition, Shape, write};
use crate::{Failure, PROJECT, fake};

/// How long it takes until the first request is sent, so many times; the tools in turn.
pub fn start_up(tools: &[&Tool], folder: &Path, repeat: usize) -> Result<Vec<Sample>, Failure> {
    let fake = Fake::start()?;
    let file = folder.join("compose.yaml");
    write(&file, Shape::Flat, 20, Edition::First)?;
    let mut samples = Vec::new();
    for round in 0..repeat {
        for tool in tools {
            let environment = fake::environment(&fake, folder);
            fake.ask()?;
            let began = SystemTime::now();
            let mut weight = tool.run_with(PROJECT, &file, "ps", &environment)?;
            let first = fake.ask()?.first_request;
            let first = first.ok_or("no request came before the end")?;
            weight.wall_seconds = first.duration_since(began)?.as_secs_f64();
            samples.push(Sample {
                shape: "start-up",
                size: 20,
                round,
                act: "first request",
                tool: tool.name.clone(),
                weight,
            });
        }
    }
    Ok(samples)
}

/// One life of a stack of so many containers at an engine that takes no time.
pub fn life(tool: &Tool, folder: &Path, size: usize, round: usize) -> Result<Vec<Sample>, Failure> {
    let fake = Fake::start()?;
    let environment = fake::environment(&fake, folder);
    let file = folder.join("compose.yaml");
    write(&file, Shape::Flat, size, Edition::First)?;
    let mut samples = Vec::new();
    let mut take = |act: &'static str, weight: Weight| {
        samples.push(Sample {
            shape: "no engine",
            size,
            round,
            act,
            tool: tool.name.clone(),
            weight,
        });
    };
    let expect = |wanted: (usize, usize, usize)| -> Result<(), Failure> {
        let told = fake.ask()?;
        let found = (told.running, told.containers, told.networks);
        if found == wanted {
            return Ok(());
        }
        Err(format!("wanted {wanted:?} running, there, networks; found {found:?}").into())
    };
    take("up", tool.run_with(PROJECT, &file, "up -d", &environment)?);
    expect((size, size, 4))?;
    take(
        "up again",
        tool.run_with(PROJECT, &file, "up -d", &environment)?,
    );
    take("plan", tool.run_with(PROJECT, &file, "plan", &environment)?);
    take(
        "down",
        tool.run_with(PROJECT, &file, "down -t 0", &environment)?,
    );
    expect((0, 0, 0))?;
    Ok(samples)
}

/// A plan for so many services on a machine that has nothing, and the reading that is part of it.
pub fn offline(
    tool: &Tool,
    folder: &Path,
    size: usize,
    round: usize,
) -> Result<Vec<Sample>, Failure> {
    let file = folder.join("compose.yaml");
    write(&file, Shape::Flat, size, Edition::First)?;
    let mut samples = Vec::new();
    for (act, words, code) in [
        ("read", "config --quiet", 0),
        ("plan offline", "plan --offline", 2),
    ] {
        let weight = tool.run_to(PROJECT, &file, words, &[], code)?;
        samples.push(Sample {
            shape: "no engine",
            size,
            round,
            act,
            tool: tool.name.clone(),
            weight,
        });
    }
    Ok(samples)
}
