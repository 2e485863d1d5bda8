//! Waiting for health and completion.

use std::time::{Duration, Instant};

use stack::model::container::{ContainerConfig, Healthcheck};
use stack::plan::spec::{ContainerNetwork, Spec};
use stack::plan::step::Milestone;

use crate::bed::Bed;
use crate::engine::rig::{Rig, boxed, container, refused};
use crate::runner::{Failure, Outcome, Run, Test, holds};

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "engine::wait::health_is_heard_when_it_comes",
            run: Run::Host(healthy),
        },
        Test {
            name: "engine::wait::what_never_comes_is_told_with_the_reason",
            run: Run::Host(never),
        },
    ]
}

fn running(script: &str, check: Option<&str>) -> Spec {
    let config = ContainerConfig {
        command: Some(["sh", "-c", script].map(str::to_owned).to_vec()),
        healthcheck: check.map(|check| Healthcheck {
            test: ["CMD-SHELL", check].map(str::to_owned).to_vec(),
            interval: Some(Duration::from_millis(200)),
            retries: Some(20),
            ..Healthcheck::default()
        }),
        ..ContainerConfig::default()
    };
    boxed(&container("eng-job-1", ContainerNetwork::None, config))
}

fn healthy(bed: &Bed) -> Result<Outcome, Failure> {
    let rig = Rig::new(bed)?;
    let job = running("sleep 1; touch /ok; sleep 100", Some("test -e /ok"));
    rig.make(&job)?;
    let began = Instant::now();
    rig.wait(&job, Milestone::Healthy)?;
    holds(
        "it was heard soon after it came",
        began.elapsed() < Duration::from_secs(4),
    )?;
    rig.wait(&job, Milestone::Healthy)?;
    rig.unmake(&job)?;
    let job = running("sleep 1", None);
    rig.make(&job)?;
    rig.wait(&job, Milestone::Completed)?;
    rig.wait(&job, Milestone::Done)?;
    rig.unmake(&job)?;
    Ok(Outcome::Passed)
}

fn never(bed: &Bed) -> Result<Outcome, Failure> {
    let rig = Rig::new(bed)?;
    for (script, check, milestone, said) in [
        (
            "sleep 100",
            None,
            Milestone::Healthy,
            "container eng-job-1 has no healthcheck configured",
        ),
        (
            "sleep 1; exit 4",
            Some("false"),
            Milestone::Healthy,
            "container eng-job-1 exited (4)",
        ),
        (
            "sleep 1; exit 3",
            None,
            Milestone::Completed,
            "service \"web\" didn't complete successfully: exit 3",
        ),
    ] {
        let job = running(script, check);
        rig.make(&job)?;
        refused(rig.wait(&job, milestone), said)?;
        rig.unmake(&job)?;
    }
    let gone = running("sleep 100", None);
    refused(
        rig.wait(&gone, Milestone::Completed),
        "container eng-job-1 is gone",
    )?;
    Ok(Outcome::Passed)
}
