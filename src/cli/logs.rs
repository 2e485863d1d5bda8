//! `stack logs`.

use clap::Args;
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use jiff::Timestamp;

use crate::cli::containers::{Which, of_services, short_name};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::lines::{Lines, Sieve, Streams, Style, Times, Voice};
use crate::cli::moment;
use crate::cli::signal::wishes_to_stop;
use crate::world::engine::Engine;
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
    /// Follow what comes
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
        let all = containers
            .iter()
            .zip(voices)
            .map(|(container, voice)| relay(&engine, &container.id, wish.clone(), voice));
        let mut stops = wishes_to_stop()?;
        tokio::select! {
            done = try_join_all(all) => { done?; }
            _ = stops.next() => return Ok(Exit::Interrupted),
        }
    } else {
        for (container, voice) in containers.iter().zip(voices) {
            relay(&engine, &container.id, wish.clone(), voice).await?;
        }
    }
    Ok(Exit::Done)
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
