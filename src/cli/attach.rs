//! An `up` that stays: the logs of all containers together until they end, or until Ctrl+C stops them in the reverse
//! order of their start. A container that is started again is followed again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use clap::Args;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;

use crate::apply::OnFailure;
use crate::cli::carry::{Manner, Session};
use crate::cli::containers::{no_such_service, short_name};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::lines::{Lines, Streams, Style, Times};
use crate::cli::logs::relay_since;
use crate::cli::made::Made;
use crate::cli::moment::exact;
use crate::cli::render::talk;
use crate::cli::signal::wishes_to_stop;
use crate::model::stack::Stack;
use crate::plan::diff::lifecycle::{Act, lifecycle};
use crate::world::engine::Engine;
use crate::world::engine::talk::list::Listed;

/// How an `up` that stays follows.
#[derive(Debug, Clone, Default, Args)]
pub struct AttachArgs {
    /// Stop everything when one container ends
    #[arg(long, conflicts_with = "abort_on_container_failure")]
    pub abort_on_container_exit: bool,
    /// Stop everything when one container ends with an error
    #[arg(long)]
    pub abort_on_container_failure: bool,
    /// End with this service's exit code; implies --abort-on-container-exit
    #[arg(long, value_name = "SERVICE")]
    pub exit_code_from: Option<String>,
    /// Follow the logs of these services only (repeatable)
    #[arg(long, value_name = "SERVICE", conflicts_with = "attach_dependencies")]
    pub attach: Vec<String>,
    /// Follow the logs of dependencies too
    #[arg(long)]
    pub attach_dependencies: bool,
    /// Do not follow the logs of these services (repeatable)
    #[arg(long, value_name = "SERVICE")]
    pub no_attach: Vec<String>,
    /// Logs without colours
    #[arg(long)]
    pub no_color: bool,
    /// Logs without the container's name
    #[arg(long)]
    pub no_log_prefix: bool,
    /// Logs with their time
    #[arg(long)]
    pub timestamps: bool,
}

impl AttachArgs {
    /// Refuses services that the stack does not have.
    pub fn check(&self, stack: &Stack) -> Result<(), Failure> {
        let mut named = self
            .attach
            .iter()
            .chain(&self.no_attach)
            .chain(&self.exit_code_from);
        match named.find(|name| !stack.services.contains_key(name.as_str())) {
            Some(name) => Err(no_such_service(name, stack.services.keys())),
            None => Ok(()),
        }
    }
}

/// What the command line says of following.
pub struct Wish<'a> {
    pub flags: &'a AttachArgs,
    /// Services on the command line.
    pub named: &'a [String],
    /// Seconds until a container that does not stop is killed.
    pub timeout: Option<u32>,
}

/// Why following ended.
enum End {
    /// All containers have ended.
    Over,
    /// One container ended, with this code, and the flags make that the end of all.
    One(i64),
    Asked,
}

/// Follows until the end; `since` is when this `up` began.
pub async fn follow(
    context: &Context,
    session: &Session<'_>,
    made: &Made,
    wish: &Wish<'_>,
    since: Timestamp,
) -> Outcome {
    let engine = session.live.engine();
    let project = &made.opened.stack.project;
    let followed = services(made, wish);
    let containers: Vec<Listed> = engine
        .list(Some(project), true)
        .await?
        .into_iter()
        .filter(|container| !container.is_one_off() && followed.contains(container.service()))
        .collect();
    let names: Vec<&str> = containers
        .iter()
        .map(|container| short_name(container, project.as_str()))
        .collect();
    writeln!(std::io::stdout(), "Attaching to {}", names.join(", "))?;
    let lines = Lines::new(Style {
        colour: context.screen.output_colour && !wish.flags.no_color,
        prefix: !wish.flags.no_log_prefix,
        streams: Streams::AsSaid,
    });
    // All names first, so that their columns are in line.
    for name in &names {
        lines.voice(name);
    }
    let end = listen(session, made, wish, &containers, &lines, since).await?;
    match end {
        End::Over => Ok(Exit::Done),
        End::One(code) => {
            talk("Aborting on container exit...");
            stop(session, made, wish).await?;
            let code = match &wish.flags.exit_code_from {
                Some(service) => code_of(engine, made, service).await?,
                None => code,
            };
            Ok(Exit::of_container(code))
        }
        End::Asked => {
            talk("Gracefully Stopping... press Ctrl+C again to force");
            let mut again = wishes_to_stop()?;
            tokio::select! {
                done = stop(session, made, wish) => done?,
                _ = again.next() => kill(engine, made).await?,
            }
            Ok(Exit::Interrupted)
        }
    }
}

/// The services whose logs are followed.
fn services(made: &Made, wish: &Wish<'_>) -> BTreeSet<String> {
    let stack = &made.opened.stack;
    let named = |name: &str| {
        wish.named.is_empty()
            || wish.flags.attach_dependencies
            || wish.named.iter().any(|service| service == name)
    };
    stack
        .services
        .values()
        .filter(|service| {
            let name = service.name.as_str();
            let wanted = match wish.flags.attach.is_empty() {
                true => service.attach && named(name),
                false => wish.flags.attach.iter().any(|attached| attached == name),
            };
            wanted && !wish.flags.no_attach.iter().any(|left| left == name)
        })
        .map(|service| service.name.to_string())
        .collect()
}

async fn listen(
    session: &Session<'_>,
    made: &Made,
    wish: &Wish<'_>,
    containers: &[Listed],
    lines: &Lines,
    since: Timestamp,
) -> Result<End, Failure> {
    let engine = session.live.engine();
    let project = &made.opened.stack.project;
    let mut happenings = std::pin::pin!(engine.happenings(project, Some(exact(since)), None));
    let mut stops = wishes_to_stop()?;
    let times = if wish.flags.timestamps {
        Times::Shown
    } else {
        Times::Dropped
    };
    let mut relays = FuturesUnordered::new();
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    // Containers that belong to this run and have not ended, followed or not.
    let mut alive: BTreeSet<String> = BTreeSet::new();
    for container in containers {
        let name = short_name(container, project.as_str());
        names.insert(&container.id, name);
        relays.push(relay_since(
            engine,
            &container.id,
            since,
            times,
            lines.voice(name),
        ));
    }
    for container in engine.list(Some(project), true).await? {
        if container.runs() && !container.is_one_off() {
            alive.insert(container.id);
        }
    }
    // Since when: a container says its first words before its start is told.
    let mut ended: BTreeMap<String, Timestamp> = BTreeMap::new();
    // Short-lived ones have ended before anybody asked: their codes are told as well.
    let mut codes: Vec<(String, i64)> = Vec::new();
    for container in containers.iter().filter(|container| !container.runs()) {
        codes.push((container.id.clone(), container.exit_code()));
        ended.insert(container.id.clone(), Timestamp::now());
    }
    for (id, code) in codes {
        let name = names.get(id.as_str()).copied().unwrap_or(&id);
        if let Some(end) = end_of_one(wish, code) {
            return Ok(end);
        }
        writeln!(std::io::stdout(), "{name} exited with code {code}")?;
    }
    loop {
        if alive.is_empty() {
            // Whoever has stopped them may be about to start them again.
            tokio::select! {
                free = session.others_are_done() => free?,
                _ = stops.next() => return Ok(End::Asked),
            }
            for container in engine.list(Some(project), true).await? {
                if container.runs() && names.contains_key(container.id.as_str()) {
                    alive.insert(container.id);
                }
            }
        }
        if alive.is_empty() {
            while let Some(done) = relays.next().await {
                done?;
            }
            return Ok(End::Over);
        }
        tokio::select! {
            _ = stops.next() => return Ok(End::Asked),
            Some(done) = relays.next(), if !relays.is_empty() => done?,
            happening = happenings.next() => {
                let Some(happening) = happening.transpose()? else {
                    return Err(Failure::said("the engine's events ended"));
                };
                if happening.attribute(crate::model::mark::ONE_OFF) == "True" {
                    continue;
                }
                let name = names.get(happening.id.as_str()).copied();
                match happening.action.as_str() {
                    "die" if alive.remove(&happening.id) => {
                        let code = happening.attribute("exitCode").parse().unwrap_or(0);
                        if let Some(name) = name {
                            writeln!(std::io::stdout(), "{name} exited with code {code}")?;
                        }
                        if let Some(end) = end_of_one(wish, code) {
                            return Ok(end);
                        }
                        let moment = happening.moment().unwrap_or(since);
                        ended.insert(happening.id, moment);
                    }
                    "start" => {
                        if let Some(name) = name
                            && let Some(since) = ended.remove(&happening.id)
                        {
                            let container = containers.iter().find(|one| one.id == happening.id);
                            if let Some(container) = container {
                                relays.push(relay_since(engine, &container.id, since, times, lines.voice(name)));
                            }
                        }
                        alive.insert(happening.id);
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Whether the end of this container is the end of all.
fn end_of_one(wish: &Wish<'_>, code: i64) -> Option<End> {
    let ends = wish.flags.abort_on_container_exit
        || wish.flags.exit_code_from.is_some()
        || (wish.flags.abort_on_container_failure && code != 0);
    ends.then_some(End::One(code))
}

/// The exit code of the service that was named, after all have stopped.
async fn code_of(engine: &Engine, made: &Made, service: &str) -> Result<i64, Failure> {
    let containers = engine.list(Some(&made.opened.stack.project), true).await?;
    let codes = containers
        .iter()
        .filter(|container| !container.is_one_off() && container.service() == service)
        .map(Listed::exit_code);
    Ok(codes.max().unwrap_or(0))
}

async fn stop(session: &Session<'_>, made: &Made, wish: &Wish<'_>) -> Result<(), Failure> {
    session.resume().await?;
    let observed = session.observe(Vec::new()).await?;
    let project = &made.opened.stack.project;
    let plan =
        lifecycle(project, &observed, Act::Stop, None, wish.timeout).map_err(Failure::said)?;
    if plan.is_empty() {
        return Ok(());
    }
    let manner = Manner::plain(OnFailure::GoOn);
    session.carry_out(&plan, &observed, &manner).await?;
    Ok(())
}

async fn kill(engine: &Engine, made: &Made) -> Result<(), Failure> {
    let containers = engine.list(Some(&made.opened.stack.project), false).await?;
    let kills = containers
        .iter()
        .filter(|container| !container.is_one_off())
        .map(|container| engine.signal(&container.id, "SIGKILL"));
    for done in join_all(kills).await {
        // One that ended by itself meanwhile needs no signal.
        if let Err(error) = done {
            talk(&format!("{error}"));
        }
    }
    Ok(())
}
