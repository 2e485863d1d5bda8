//! `--wait`: returns when every container that was asked for is running, or healthy where it has a health check.

use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use jiff::Timestamp;

use crate::cli::carry::Session;
use crate::cli::context::{Context, Target};
use crate::cli::exit::{Exit, Failure};
use crate::cli::made::Made;
use crate::cli::signal::wishes_to_stop;
use crate::model::name::ProjectName;
use crate::model::service::Condition;
use crate::world::engine::Engine;
use crate::world::engine::talk::list::{Inspected, Listed};

/// Waits for what an `up` has made, at most so many seconds.
pub async fn wait(
    context: &Context,
    session: &Session<'_>,
    made: &Made,
    timeout: Option<u64>,
) -> Result<(), Failure> {
    let project = &made.opened.stack.project;
    let engine = session.live.engine();
    let all = made
        .intent
        .desired
        .containers
        .iter()
        .flat_map(|(service, ids)| ids.iter().map(move |id| (service, id)));
    let waits = all.map(|(service, id)| {
        let may_end = is_to_complete(made, service.as_str());
        one(
            context,
            engine,
            project,
            service.as_str(),
            &id.name,
            may_end,
        )
    });
    bounded(project, timeout, try_join_all(waits)).await?;
    // What runs is ready at once where it has no health check, and may have ended while others were waited for.
    let mut listed = engine.list(Some(project), true).await?;
    listed.retain(|container| !container.runs());
    for (service, ids) in &made.intent.desired.containers {
        for id in ids {
            if listed.iter().any(|container| container.name == id.name) {
                let may_end = is_to_complete(made, service.as_str());
                one(
                    context,
                    engine,
                    project,
                    service.as_str(),
                    &id.name,
                    may_end,
                )
                .await?;
            }
        }
    }
    Ok(())
}

/// Waits for containers that are there.
pub async fn wait_for(
    context: &Context,
    engine: &Engine,
    target: &Target,
    containers: &[Listed],
    timeout: Option<u64>,
) -> Result<(), Failure> {
    let project = &target.project;
    let waits = containers.iter().map(|container| {
        one(
            context,
            engine,
            project,
            container.service(),
            &container.name,
            false,
        )
    });
    bounded(project, timeout, try_join_all(waits)).await
}

async fn bounded(
    project: &ProjectName,
    timeout: Option<u64>,
    ready: impl Future<Output = Result<Vec<()>, Failure>>,
) -> Result<(), Failure> {
    let mut stops = wishes_to_stop()?;
    let bound = async {
        match timeout {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        done = ready => done.map(|_| ()),
        () = bound => Err(Failure::with_hint(
            format!("application not healthy after {}s", timeout.unwrap_or_default()),
            format!("stack --project-name {project} ps"),
        )),
        _ = stops.next() => Err(Failure::Told(Exit::Interrupted)),
    }
}

async fn one(
    context: &Context,
    engine: &Engine,
    project: &ProjectName,
    service: &str,
    container: &str,
    may_end: bool,
) -> Result<(), Failure> {
    // Events from before the first look are heard too, so that none is missed between the two.
    let mut happenings = std::pin::pin!(engine.happenings(project, None, None));
    let mut told_restart = false;
    loop {
        let found = engine.inspected(container).await?;
        if found.paused {
            return Err(Failure::with_hint(
                format!("container {container} is paused"),
                format!("stack --project-name {project} unpause {service}"),
            ));
        }
        if !found.running {
            if found.exit_code == 0 && may_end {
                context.tell(&format!(" Container {container} Exited"));
                return Ok(());
            }
            return Err(Failure::with_hint(
                format!("container {container} exited ({})", found.exit_code),
                format!("stack --project-name {project} logs {service}"),
            ));
        }
        match found.health.as_str() {
            "" if has_settled(engine, &found).await? => return Ok(()),
            // The engine forgets the exit code when it starts it again; until then the code is that of the last end.
            "" if found.restarting && !told_restart => {
                told_restart = true;
                let code = found.exit_code;
                context.tell(&format!(" Container {container} Restarting ({code})"));
            }
            "healthy" => {
                context.tell(&format!(" Container {container} Healthy"));
                return Ok(());
            }
            "unhealthy" => {
                return Err(Failure::with_hint(
                    format!("container {container} is unhealthy"),
                    format!("stack --project-name {project} logs {service}"),
                ));
            }
            _ => {}
        }
        loop {
            // The first look may have been before the engine began to tell; a slow look now and then costs nothing.
            match tokio::time::timeout(Duration::from_secs(1), happenings.next()).await {
                Ok(Some(happening)) => {
                    let happening = happening?;
                    if happening.attribute("name") == container {
                        break;
                    }
                }
                Ok(None) => return Err(Failure::said("the engine's events ended")),
                Err(_) => break,
            }
        }
    }
}

/// How long a container must run, after the engine had to start it again, until that start counts: as long as the engine
/// itself waits before it forgets the earlier ends (moby `restartmanager`, 10 s).
const SETTLED: Duration = Duration::from_secs(10);

/// Whether a container that runs, and has no health check, is likely to go on running.
async fn has_settled(engine: &Engine, found: &Inspected) -> Result<bool, Failure> {
    if found.restarting {
        return Ok(false);
    }
    if found.restarts == 0 {
        return Ok(true);
    }
    let Ok(started) = found.started_at.parse::<Timestamp>() else {
        return Ok(true);
    };
    let age = engine.clock().await?.duration_since(started);
    Ok(Duration::try_from(age).is_ok_and(|age| age >= SETTLED))
}

/// Whether somebody waits for this service's end, so that its end is no failure.
fn is_to_complete(made: &Made, service: &str) -> bool {
    made.opened.stack.services.values().any(|other| {
        other
            .depends_on
            .get(service)
            .is_some_and(|dependency| dependency.condition == Condition::CompletedSuccessfully)
    })
}
