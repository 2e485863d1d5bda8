//! `--timings` on a real engine: the numbers are of this run, and they add up.

use serde_json::Value;

use crate::bed::Bed;
use crate::runner::{Failure, Outcome, Run, Test, holds, same};

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![Test {
        name: "timings::what_up_and_down_took_is_told_and_adds_up",
        run: Run::Host(adds_up),
    }]
}

const FILE: &str = "
name: timed
services:
  first: {image: stack-lab, command: [sleep, '1000'], init: true}
  second: {image: stack-lab, command: [sleep, '1000'], init: true, depends_on: [first]}
";

fn adds_up(bed: &Bed) -> Result<Outcome, Failure> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("stack.yaml"), FILE)?;
    for command in ["up -d", "down -t 0"] {
        let verb = command.split(' ').next().unwrap_or_default();
        let words = format!("--progress quiet {command} --timings=json");
        let told: Value = serde_json::from_str(&bed.stack(folder.path(), &words)?.ok()?)?;
        same("the command", &told["command"], &Value::from(verb))?;
        let took = number(&told["took_ms"])?;
        let sum = |list: &Value| -> Result<f64, Failure> {
            let list = list.as_array().ok_or("no list")?;
            list.iter().map(|part| number(&part["took_ms"])).sum()
        };
        // Each part is rounded to a microsecond.
        let close = |what: f64| (what - took).abs() < 1.0;
        holds("the phases add up", close(sum(&told["phases"])?))?;
        holds(
            "the critical path adds up",
            close(sum(&told["critical_path"])?),
        )?;
        let steps = told["steps"].as_array().ok_or("no steps")?;
        same("the number of steps", steps.len(), plan_size(verb))?;
        for step in steps {
            let whole = number(&step["began_ms"])? + number(&step["took_ms"])?;
            holds("a step lies within the command", whole <= took)?;
            same("how it ended", &step["ending"], &Value::from("done"))?;
        }
        let critical = steps.iter().filter(|step| step["critical"] == true);
        holds("some of them were critical", critical.count() > 0)?;
        let engine = number(&told["owed_to"]["engine"])?;
        holds("the engine took most of it", engine > took / 2.0)?;
    }
    bed.stack(folder.path(), "up -d --timings=trace:trace.json")?
        .ok()?;
    let trace = std::fs::read(folder.path().join("trace.json"))?;
    let trace: Value = serde_json::from_slice(&trace)?;
    let names = trace["traceEvents"].to_string();
    holds("the trace tells of both", names.contains("timed-second-1"))?;
    let again = bed.stack(folder.path(), "up -d --timings")?;
    holds(
        "an `up` with nothing to do tells where its time went too",
        again.stderr.contains("look at what is there"),
    )?;
    bed.stack(folder.path(), "down -t 0")?.ok()?;
    Ok(Outcome::Passed)
}

/// The network and two containers; containers are created and started, and taken away in one step.
fn plan_size(verb: &str) -> usize {
    match verb {
        "up" => 5,
        _ => 3,
    }
}

fn number(value: &Value) -> Result<f64, Failure> {
    Ok(value
        .as_f64()
        .ok_or_else(|| format!("{value} is no number"))?)
}
