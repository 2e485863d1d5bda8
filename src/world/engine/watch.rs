//! Waiting for containers: until they are healthy, or have done their work. It follows the engine's events; nothing is
//! polled.
//!
//! One subscription serves all waits of a run. An event is only a reason to look: whether the milestone is reached is
//! told by the container itself, so an event that is old, doubled or lost in a burst does no harm.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bollard::Docker;
use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, HealthStatusEnum,
};
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use crate::model::mark;
use crate::plan::spec::ResourceId;
use crate::plan::step::Milestone;
use crate::world::engine::{Engine, inspect};
use crate::world::{ErrorKind, WorldError};

/// The ids of containers with which something happened that a wait may be about.
pub struct Watch {
    running: Mutex<Option<Running>>,
}

struct Running {
    ids: Sender<String>,
    task: JoinHandle<()>,
}

/// Events of so many containers may pass while one wait looks at its own; more make it look once more.
const BACKLOG: usize = 1024;

impl Watch {
    /// A watch that has not begun.
    pub fn new() -> Watch {
        Watch {
            running: Mutex::new(None),
        }
    }

    /// The ids from now on, and those from before that the engine still remembers (its last 256 events): a
    /// subscription takes a moment, and what happens in it would be lost else.
    fn ids(&self, docker: &Docker) -> Receiver<String> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = running
            .as_ref()
            .filter(|running| !running.task.is_finished())
        {
            return running.ids.subscribe();
        }
        let (ids, receiver) = channel(BACKLOG);
        let task = tokio::spawn(follow(docker.clone(), ids.clone()));
        *running = Some(Running { ids, task });
        receiver
    }
}

impl Default for Watch {
    fn default() -> Watch {
        Watch::new()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let running = self
            .running
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = running {
            running.task.abort();
        }
    }
}

/// Ends when the engine ends the stream, or nobody could be told any more.
async fn follow(docker: Docker, ids: Sender<String>) {
    let filters = HashMap::from([
        ("type", vec!["container"]),
        ("event", vec!["health_status", "die", "destroy"]),
    ]);
    let options = EventsOptionsBuilder::new()
        .since("1")
        .filters(&filters)
        .build();
    let mut events = std::pin::pin!(docker.events(Some(options)));
    while let Some(Ok(event)) = events.next().await {
        if let Some(id) = event.actor.and_then(|actor| actor.id) {
            // Nobody waits just now: the next one looks before it waits.
            let _ = ids.send(id);
        }
    }
}

/// Returns when the container has reached the milestone, or with the reason why it never will.
pub async fn wait(
    engine: &Engine,
    id: &ResourceId,
    milestone: Milestone,
) -> Result<(), WorldError> {
    if milestone == Milestone::Done {
        return Ok(());
    }
    loop {
        // The subscription comes before the look, so nothing can happen between the two.
        let mut ids = engine.watch().ids(engine.patient());
        loop {
            let found = inspect::inspect(engine, &id.name).await?;
            match verdict(&id.name, found.as_ref(), milestone) {
                Verdict::Reached => return Ok(()),
                Verdict::Never(error) => return Err(error),
                Verdict::NotYet => {}
            }
            let own = found.and_then(|container| container.id).unwrap_or_default();
            match next_about(&mut ids, &own).await {
                Next::Something => {}
                Next::Ended => break,
            }
        }
    }
}

enum Next {
    Something,
    Ended,
}

async fn next_about(ids: &mut Receiver<String>, own: &str) -> Next {
    loop {
        match ids.recv().await {
            Ok(id) if id == own => return Next::Something,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return Next::Something,
            Err(RecvError::Closed) => return Next::Ended,
        }
    }
}

enum Verdict {
    Reached,
    NotYet,
    Never(WorldError),
}

/// What the container's own state says. The words are Compose's.
fn verdict(
    name: &str,
    container: Option<&ContainerInspectResponse>,
    milestone: Milestone,
) -> Verdict {
    let never = |said: String| {
        Verdict::Never(WorldError::new(
            ErrorKind::Never,
            "dependency failed to start",
            said,
        ))
    };
    let Some(container) = container else {
        return never(format!("container {name} is gone"));
    };
    let state = container.state.clone().unwrap_or_default();
    let ended = matches!(
        state.status,
        Some(ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD)
    );
    let code = state.exit_code.unwrap_or_default();
    match milestone {
        Milestone::Done => Verdict::Reached,
        Milestone::Completed if !ended => Verdict::NotYet,
        Milestone::Completed if code == 0 => Verdict::Reached,
        Milestone::Completed => {
            let service = container
                .config
                .as_ref()
                .and_then(|config| config.labels.as_ref()?.get(mark::SERVICE))
                .map_or(name, String::as_str);
            Verdict::Never(WorldError::new(
                ErrorKind::Never,
                format!("service \"{service}\" didn't complete successfully"),
                format!("exit {code}"),
            ))
        }
        Milestone::Healthy if ended => never(format!("container {name} exited ({code})")),
        Milestone::Healthy if !has_healthcheck(container) => {
            never(format!("container {name} has no healthcheck configured"))
        }
        Milestone::Healthy => match health(&state) {
            Some(HealthStatusEnum::HEALTHY) => Verdict::Reached,
            Some(HealthStatusEnum::UNHEALTHY) => {
                let error = WorldError::new(
                    ErrorKind::Never,
                    "dependency failed to start",
                    format!("container {name} is unhealthy"),
                );
                Verdict::Never(match last_check(&state) {
                    Some(text) => error.hint(format!("its last health check said: {text}")),
                    None => error,
                })
            }
            _ => Verdict::NotYet,
        },
    }
}

fn has_healthcheck(container: &ContainerInspectResponse) -> bool {
    let test = container
        .config
        .as_ref()
        .and_then(|config| config.healthcheck.as_ref()?.test.as_ref());
    test.is_some_and(|test| test.first().is_some_and(|first| first != "NONE"))
}

fn health(state: &ContainerState) -> Option<HealthStatusEnum> {
    state.health.as_ref()?.status
}

fn last_check(state: &ContainerState) -> Option<String> {
    let log = state.health.as_ref()?.log.as_ref()?;
    let text = log.last()?.output.as_deref()?.trim();
    (!text.is_empty()).then(|| text.lines().last().unwrap_or(text).to_owned())
}

#[cfg(test)]
mod tests {
    use bollard::models::ContainerInspectResponse;
    use serde_json::json;

    use super::{Verdict, verdict};
    use crate::plan::step::Milestone;

    fn said(milestone: Milestone, state: serde_json::Value, test: &[&str]) -> String {
        let container: ContainerInspectResponse = serde_json::from_value(json!({
            "State": state,
            "Config": {"Labels": {"com.docker.compose.service": "init"}, "Healthcheck": {"Test": test}},
        }))
        .unwrap();
        match verdict("lab-db-1", Some(&container), milestone) {
            Verdict::Reached => "reached".to_owned(),
            Verdict::NotYet => "not yet".to_owned(),
            Verdict::Never(error) => error.to_string(),
        }
    }

    #[test]
    fn a_container_tells_whether_it_is_healthy_or_never_will_be() {
        let check = ["CMD", "true"];
        let health = |word: &str| json!({"Status": "running", "Health": {"Status": word}});
        for (state, test, expected) in [
            (json!({"Status": "created"}), &check[..], "not yet"),
            (health("starting"), &check[..], "not yet"),
            (health("healthy"), &check[..], "reached"),
            (
                health("unhealthy"),
                &check[..],
                "dependency failed to start: container lab-db-1 is unhealthy",
            ),
            (
                json!({"Status": "exited", "ExitCode": 1}),
                &check[..],
                "dependency failed to start: container lab-db-1 exited (1)",
            ),
            (
                json!({"Status": "running"}),
                &[],
                "dependency failed to start: container lab-db-1 has no healthcheck configured",
            ),
        ] {
            assert_eq!(said(Milestone::Healthy, state, test), expected);
        }
    }

    #[test]
    fn a_container_that_is_to_complete_must_exit_with_0() {
        for (state, expected) in [
            (json!({"Status": "running"}), "not yet"),
            (json!({"Status": "exited", "ExitCode": 0}), "reached"),
            (
                json!({"Status": "exited", "ExitCode": 3}),
                "service \"init\" didn't complete successfully: exit 3",
            ),
        ] {
            assert_eq!(said(Milestone::Completed, state, &[]), expected);
        }
    }
}
