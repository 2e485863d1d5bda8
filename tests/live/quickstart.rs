//! `examples/quickstart.sh`, on a private host with an engine and on one of its own.

use crate::bed::{Bed, Ran, ran, stack_program};
use crate::runner::{Failure, Outcome, Run, Test, holds, repository};

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "quickstart::uses_the_engine_that_runs_and_leaves_nothing_twice",
            run: Run::Host(running),
        },
        Test {
            name: "quickstart::from_a_bare_engine_to_nothing_left",
            run: Run::Host(private),
        },
    ]
}

fn quickstart(bed: &Bed, engine: &str) -> Result<Ran, Failure> {
    let engines = tempfile::tempdir()?;
    ran(bed
        .command("sh")
        .arg(repository().join("examples/quickstart.sh"))
        .env("STACK", stack_program())
        .env("STACK_QUICKSTART_ENGINE", engine)
        // The folder of private engines stays, with its lock.
        .env("STACK_ENGINES", engines.path()))
}

/// The script ends well, has asked all its questions, and none has an answer that is not expected.
fn ends_well(said: Ran) -> Result<(), Failure> {
    let code = said.code;
    let text = format!("{}{}", said.stdout, said.stderr);
    holds(&format!("it succeeds:\n{text}"), code == Some(0))?;
    let good = text.lines().filter(|line| line.ends_with(" ok")).count();
    holds(
        &format!("it asks its questions, and all answers are good:\n{text}"),
        good >= 15 && !text.contains("WRONG") && text.contains("nothing is left"),
    )
}

fn running(bed: &Bed) -> Result<Outcome, Failure> {
    ends_well(quickstart(bed, "")?)?;
    ends_well(quickstart(bed, "")?)?;
    Ok(Outcome::Passed)
}

fn private(bed: &Bed) -> Result<Outcome, Failure> {
    ends_well(quickstart(bed, "private")?)?;
    Ok(Outcome::Passed)
}
