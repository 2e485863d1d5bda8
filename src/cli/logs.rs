//! `stack logs`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::Args;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use jiff::Timestamp;

use crate::cli::containers::{Which, of_services, short_name, shortened};
use crate::cli::context::{Context, Target};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::lines::{Lines, Sieve, Streams, Style, Times, Voice};
use crate::cli::moment::{self, exact};
use crate::cli::signal::wishes_to_stop;
use crate::model::mark;
use crate::world::engine::Engine;
use crate::world::engine::talk::event::Happening;
use crate::world::engine::talk::list::Listed;
use crate::world::engine::talk::log::LogWish;

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  stack logs                     everything that all containers said
  stack logs -f web              follow `web`
  stack logs -n 20 --since 10m   the last 20 lines of each, not older than 10 minutes")]
pub struct LogsArgs {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Follow what comes, through restarts and of new containers too
    #[arg(short, long)]
    pub follow: bool,
    /// So many lines from the end of each log
    #[arg(short = 'n', long, value_name = "N", default_value = "all")]
    pub tail: String,
    /// Not older than this: 42m, 2026-08-20T10:00:00, a Unix time
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Not newer than this
    #[arg(long, value_name = "WHEN")]
    pub until: Option<String>,
    /// With times
    #[arg(short, long)]
    pub timestamps: bool,
    /// Without colours
    #[arg(long)]
    pub no_color: bool,
    /// Without the container's name
    #[arg(long)]
    pub no_log_prefix: bool,
    /// Only the container of this number
    #[arg(long, value_name = "N")]
    pub index: Option<u32>,
}

/// Shows the logs.
pub async fn run(context: &Context, arguments: LogsArgs) -> Outcome {
    let target = context.target()?;
    let engine = context.engine().await?;
    let now = Timestamp::now();
    let moment = |text: &Option<String>| match text {
        Some(text) => moment::parse(text, now)
            .map(Timestamp::as_second)
            .map_err(Failure::said),
        None => Ok(0),
    };
    let wish = LogWish {
        follow: arguments.follow,
        timestamps: arguments.timestamps,
        since: moment(&arguments.since)?,
        until: moment(&arguments.until)?,
        tail: tail(&arguments.tail)?,
    };
    let mut containers = of_services(&engine, &target, &arguments.services, Which::All).await?;
    if let Some(index) = arguments.index {
        if arguments.services.is_empty() {
            return Err(Failure::said("--index requires one service to be selected"));
        }
        containers.retain(|container| container.number() == index);
    }
    let lines = Lines::new(Style {
        colour: context.screen.output_colour && !arguments.no_color,
        prefix: !arguments.no_log_prefix,
        streams: Streams::Joined,
    });
    let project = target.project.as_str();
    let voices: Vec<Voice> = containers
        .iter()
        .map(|container| lines.voice(short_name(container, project)))
        .collect();
    if wish.follow {
        let relays = FuturesUnordered::new();
        for (container, voice) in containers.iter().zip(voices) {
            relays.push(relay(&engine, &container.id, wish.clone(), voice).boxed());
        }
        let ended = containers.iter().filter(|container| !container.runs());
        let follower = Follower {
            engine: &engine,
            target: &target,
            arguments: &arguments,
            lines: &lines,
            since: now,
            ended: ended.map(|container| (container.id.clone(), now)).collect(),
            known: (containers.iter())
                .map(|container| container.id.clone())
                .collect(),
        };
        let mut stops = wishes_to_stop()?;
        tokio::select! {
            done = follower.follow(relays) => { done?; }
            _ = stops.next() => return Ok(Exit::Interrupted),
        }
    } else {
        for (container, voice) in containers.iter().zip(voices) {
            relay(&engine, &container.id, wish.clone(), voice).await?;
        }
    }
    Ok(Exit::Done)
}

/// How long all containers have ended before nothing more is expected. A restart takes less between its halves, and the
/// engine less to write down that one has ended, which it tells before.
const LINGER: Duration = Duration::from_secs(1);

type Relay<'a> = BoxFuture<'a, Result<(), Failure>>;

/// Follows logs past the end of their containers: one that is started again is heard again, and so is a new one.
struct Follower<'a> {
    engine: &'a Engine,
    target: &'a Target,
    arguments: &'a LogsArgs,
    lines: &'a Lines,
    /// When the containers were looked at.
    since: Timestamp,
    known: BTreeSet<String>,
    /// Those of them that do not run, and since when: a container says its first words before its start is told.
    ended: BTreeMap<String, Timestamp>,
}

impl<'a> Follower<'a> {
    /// Until no container runs any more.
    async fn follow(mut self, mut relays: FuturesUnordered<Relay<'a>>) -> Result<(), Failure> {
        let project = &self.target.project;
        let happenings = self
            .engine
            .happenings(project, Some(exact(self.since)), None);
        let mut happenings = std::pin::pin!(happenings);
        // Whether one is known to be between two runs, and nothing has happened since.
        let mut waits = false;
        loop {
            let quiet = relays.is_empty() && self.ended.len() == self.known.len() && !waits;
            tokio::select! {
                Some(done) = relays.next(), if !relays.is_empty() => done?,
                happening = happenings.next() => match happening.transpose()? {
                    Some(happening) => {
                        waits = false;
                        relays.extend(self.heard(&happening));
                    }
                    None => return Err(Failure::said("the engine's events ended")),
                },
                () = tokio::time::sleep(LINGER), if quiet => {
                    waits = self.any_runs().await?;
                    if !waits {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn any_runs(&self) -> Result<bool, Failure> {
        let services = &self.arguments.services;
        let running = of_services(self.engine, self.target, services, Which::Running).await?;
        let index = self.arguments.index;
        let is_wanted = |container: &Listed| index.is_none_or(|index| container.number() == index);
        Ok(running.iter().any(is_wanted))
    }

    /// What is to be listened to after an event.
    fn heard(&mut self, happening: &Happening) -> Option<Relay<'a>> {
        let id = &happening.id;
        match happening.action.as_str() {
            "die" if self.known.contains(id) => {
                let moment = happening.moment().unwrap_or(self.since);
                self.ended.insert(id.clone(), moment);
                None
            }
            "start" if self.is_wanted(happening) => {
                let ended = self.ended.remove(id);
                if !self.known.insert(id.clone()) && ended.is_none() {
                    return None;
                }
                let times = if self.arguments.timestamps {
                    Times::Shown
                } else {
                    Times::Dropped
                };
                let name = happening.attribute("name");
                let voice = self
                    .lines
                    .voice(shortened(name, self.target.project.as_str()));
                let since = ended.unwrap_or(self.since);
                let (engine, id) = (self.engine, id.clone());
                Some(async move { relay_since(engine, &id, since, times, voice).await }.boxed())
            }
            _ => None,
        }
    }

    fn is_wanted(&self, happening: &Happening) -> bool {
        let services = &self.arguments.services;
        let service = happening.attribute(mark::SERVICE);
        let number = happening.attribute(mark::NUMBER).parse().ok();
        happening.attribute(mark::ONE_OFF) != "True"
            && (services.is_empty() || services.iter().any(|name| name == service))
            && (self.arguments.index.is_none() || self.arguments.index == number)
    }
}

/// Everything that a container says, until its log ends.
pub async fn relay(
    engine: &Engine,
    container: &str,
    wish: LogWish,
    mut voice: Voice,
) -> Result<(), Failure> {
    let mut pieces = std::pin::pin!(engine.logs(container, &wish));
    while let Some(piece) = pieces.next().await {
        voice.say(&piece?)?;
    }
    Ok(voice.end()?)
}

/// What a container says from a moment on, to the fraction of a second.
pub async fn relay_since(
    engine: &Engine,
    container: &str,
    since: Timestamp,
    times: Times,
    mut voice: Voice,
) -> Result<(), Failure> {
    let wish = LogWish {
        follow: true,
        timestamps: true,
        since: since.as_second(),
        until: 0,
        tail: "all".to_owned(),
    };
    let mut sieve = Sieve::new(since, times);
    let mut pieces = std::pin::pin!(engine.logs(container, &wish));
    while let Some(piece) = pieces.next().await {
        voice.say(&sieve.pass(&piece?))?;
    }
    for piece in sieve.end() {
        voice.say(&piece)?;
    }
    Ok(voice.end()?)
}

fn tail(text: &str) -> Result<String, Failure> {
    match text.parse::<i64>() {
        Ok(number) if number < 0 => Ok("all".to_owned()),
        Ok(number) => Ok(number.to_string()),
        Err(_) if text == "all" => Ok("all".to_owned()),
        Err(_) => Err(Failure::said(format!(
            "--tail is a number of lines or `all` (found: `{text}`)"
        ))),
    }
}
