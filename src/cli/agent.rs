//! `stack agent`: the sources of news and the lines about it; the work is done in [`crate::agent`].

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use futures_util::stream::{BoxStream, Stream, StreamExt, once, select_all, unfold};
use tokio::time::Instant;

use crate::agent::care::News;
use crate::agent::desk::{Desk, Part};
use crate::agent::follow::{self, Ended};
use crate::agent::said::{Ear, Said};
use crate::apply::wanted;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::signal::wishes_to_stop;
use crate::cli::unit;
use crate::world::engine::connect::{Endpoint, endpoint};
use crate::world::engine::talk::event::Stir;
use crate::world::folder::{Arrival, Folders, Happening};
use crate::world::ground::Ground;
use crate::world::host::Host;
use crate::world::live::{Live, is_machines_own};
use crate::world::netns;
use crate::world::text::{Text, share_heap};

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sudo stack agent              follow events until Ctrl+C, and restore what goes missing
  sudo stack agent --once       restore what is missing now, and exit
  sudo stack --dry-run agent    tell what would be restored
  sudo stack agent --install    let systemd run it from the next boot on

It restores what `up` made on the host (shims, routes, VLAN links, promiscuous flags, lans and their
way out) after a container, the engine or the machine was started anew, after a link came back, and
after another tool took it away, also while the engine is away. `down` ends that. It never touches
containers.
Exit codes of --once: 0 all is as wanted; 3 something could not be restored, or waits.")]
pub struct AgentArgs {
    /// Restore what is not as wanted, and exit
    #[arg(long, conflicts_with_all = ["install", "uninstall"])]
    pub once: bool,
    /// Only lans, VLAN links and promiscuous flags; needs no engine (the unit runs it before docker starts)
    #[arg(long, requires = "once")]
    pub ground: bool,
    /// Write a systemd unit that runs the agent at each boot, and enable it
    #[arg(long, conflicts_with = "uninstall")]
    pub install: bool,
    /// Remove that unit
    #[arg(long)]
    pub uninstall: bool,
    /// Where the unit's system begins (with --install, --uninstall)
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    pub root: PathBuf,
}

/// A session that ended sooner is followed by a pause as long as this.
const SHORT: Duration = Duration::from_secs(1);

/// Follows, or acts once.
pub async fn run(context: &Context, arguments: AgentArgs) -> Outcome {
    if arguments.install {
        on_this_machine(&endpoint(&context.surroundings())?)?;
        return unit::install(context, &arguments.root);
    }
    if arguments.uninstall {
        return unit::uninstall(context, &arguments.root);
    }
    let place = endpoint(&context.surroundings())?;
    let desk = Desk {
        records: context.records()?,
        engine: place.url(),
        state: context.state_folder()?,
        now: crate::cli::carry::now,
        dry: context.global.dry_run,
        text: Text::of_process(),
        part: match arguments.ground {
            true => Part::Ground,
            false => Part::Whole,
        },
    };
    let folders = || -> Result<(), Failure> {
        for folder in [&desk.state, desk.records.folder()] {
            let made = std::fs::create_dir_all(folder);
            made.map_err(|error| {
                Failure::said(format!("cannot make {}: {error}", folder.display()))
            })?;
        }
        Ok(())
    };
    let voice = Voice { context };
    if arguments.once || desk.dry {
        let right = if arguments.ground {
            let ground = Ground::open(desk.state.clone()).await?;
            may_change(ground.host()).await?;
            folders()?;
            follow::once(&ground, &desk, &voice).await?
        } else {
            let live = context.live().await?;
            may_act(&live).await?;
            folders()?;
            follow::once(&live, &desk, &voice).await?
        };
        return Ok(if right { Exit::Done } else { Exit::Partial });
    }
    let socket = on_this_machine(&place)?;
    folders()?;
    stay(context, &desk, &voice, &socket).await
}

/// Follows the engine and its host, and while the engine is away the host alone, until asked to stop.
async fn stay(context: &Context, desk: &Desk, voice: &Voice<'_>, socket: &Path) -> Outcome {
    let mut stops = wishes_to_stop()?;
    share_heap();
    desk.text.let_go();
    let mut host = engineless(context, desk, socket).await;
    let mut told = false;
    // Whether it is to be tried again without a reason: what has just come may not be ready.
    let mut again = false;
    let mut refused = false;
    loop {
        // Watched before it is tried, so that an engine which comes in between is not missed.
        let arrival = Arrival::of(socket)?;
        let began = Instant::now();
        let session = async {
            let live = context.live().await?.sparing(desk.text.clone());
            // What was needed to come so far is not needed again, and would count beside what comes now.
            desk.text.let_go();
            may_act(&live).await?;
            let news = news(&live, desk).await?;
            desk.text.let_go();
            Ok::<_, Failure>((live, news))
        };
        let session = tokio::select! {
            session = session => session,
            _ = stops.next() => return Ok(Exit::Done),
        };
        let ended = match session {
            Ok((live, news)) => {
                (told, again, refused) = (false, false, false);
                host = live.host().await.as_ref().ok().cloned();
                let ended = follow::follow(&live, desk, voice, news, &mut stops).await;
                if matches!(ended, Ended::Lost) && began.elapsed() < SHORT {
                    pause(&mut stops).await
                } else {
                    ended
                }
            }
            Err(Failure::Said { text, hint }) if is_there(socket) => {
                // One that is about to end or has just begun may say no.
                if refused {
                    return Err(Failure::Said { text, hint });
                }
                refused = true;
                pause(&mut stops).await
            }
            Err(Failure::Said { .. }) => {
                if !told {
                    context.tell(&format!("waits for the engine at {}", desk.engine));
                }
                let come = comes(arrival, told && !again);
                (told, again) = (true, told && !again);
                match &host {
                    Some(host) => alone(host, desk, voice, come, &mut stops).await?,
                    None => wait(come, &mut stops).await,
                }
            }
            Err(other) => return Err(other),
        };
        match ended {
            Ended::Stopped => return Ok(Exit::Done),
            Ended::Lost => {}
        }
    }
}

/// Ends when the engine may have come. `soon` ends it in a moment in any case.
fn comes(arrival: Arrival, soon: bool) -> BoxStream<'static, News> {
    let come = async move {
        tokio::select! {
            stirred = arrival.stir() => {
                // Without a watch on its folder, time is all there is.
                if stirred.is_err() {
                    tokio::time::sleep(SHORT).await;
                }
            }
            () = tokio::time::sleep(SHORT), if soon => {}
        }
        None
    };
    once(come).filter_map(std::future::ready).boxed()
}

/// Keeps the host right without its engine, until that comes.
async fn alone(
    host: &Host,
    desk: &Desk,
    voice: &Voice<'_>,
    come: BoxStream<'static, News>,
    stops: &mut (impl Stream<Item = ()> + Unpin),
) -> Result<Ended, Failure> {
    let desk = Desk {
        part: Part::Alone,
        ..desk.clone()
    };
    let news = together([changes(host).await?, files(&desk)?, come]);
    let ground = Ground::of(host.clone());
    Ok(follow::follow(&ground, &desk, voice, news, stops).await)
}

async fn wait(
    mut come: BoxStream<'static, News>,
    stops: &mut (impl Stream<Item = ()> + Unpin),
) -> Ended {
    tokio::select! {
        _ = come.next() => Ended::Lost,
        _ = stops.next() => Ended::Stopped,
    }
}

async fn pause(stops: &mut (impl Stream<Item = ()> + Unpin)) -> Ended {
    tokio::select! {
        () = tokio::time::sleep(SHORT) => Ended::Lost,
        _ = stops.next() => Ended::Stopped,
    }
}

/// The host of an engine that has not answered yet, where it is certain: the machine's own engine, or a private one in
/// whose host this process is. Of all others only they themselves tell.
async fn engineless(context: &Context, desk: &Desk, socket: &Path) -> Option<Host> {
    if !context.private && !is_machines_own(socket) {
        return None;
    }
    let ground = Ground::open(desk.state.clone()).await.ok()?;
    may_change(ground.host()).await.ok()?;
    Some(ground.host().clone())
}

/// The socket of an engine that the agent can be beside.
fn on_this_machine(place: &Endpoint) -> Result<PathBuf, Failure> {
    match place {
        Endpoint::Unix(socket) => Ok(socket.clone()),
        Endpoint::Tcp(_) | Endpoint::Tls { .. } | Endpoint::Ssh(_) => Err(Failure::with_hint(
            format!("the engine at {} is on another machine", place.url()),
            "run the agent there",
        )),
    }
}

/// Whether somebody listens at the socket.
fn is_there(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

/// The host must be here, and this process must be allowed to change it; said before anything is tried.
async fn may_act(live: &Live) -> Result<(), Failure> {
    let host = live.host().await.as_ref().map_err(|reason| {
        Failure::with_hint(
            format!("the agent cannot work on the engine's host: {reason}"),
            "run it as root on the engine's own machine",
        )
    })?;
    may_change(host).await
}

async fn may_change(host: &Host) -> Result<(), Failure> {
    if host.may_administer().await? {
        return Ok(());
    }
    Err(Failure::with_hint(
        "the agent may not change links here: it needs CAP_NET_ADMIN",
        "sudo stack agent",
    ))
}

/// Everything that can be a reason to look. It ends when one of its sources does.
async fn news(live: &Live, desk: &Desk) -> Result<BoxStream<'static, News>, Failure> {
    let host = live.host().await.as_ref().map_err(Failure::said)?;
    let links = changes(host).await?;
    // The engine's events are asked for with the first look at the stream; those since now are told then.
    let since = live.engine().clock().await?.as_second();
    let engine = live.engine().stirrings(Some(since.to_string()));
    let engine = engine
        .take_while(|stir| std::future::ready(stir.is_ok()))
        .filter_map(|stir| std::future::ready(stir.ok()))
        .map(|stir| match stir {
            Stir::Started { project } => News::Started { project },
            Stir::Network { name } => News::Network { name },
        });
    let files = files(desk)?;
    Ok(together([links, engine.boxed(), files]))
}

/// What changes on a host.
async fn changes(host: &Host) -> Result<BoxStream<'static, News>, Failure> {
    let watch = host.watch().await?;
    let changes = unfold(watch, |mut watch| async move {
        let change = watch.next().await?;
        Some((News::Host(change), watch))
    });
    Ok(changes.boxed())
}

/// Streams as one that ends with the first of them.
fn together<const N: usize>(streams: [BoxStream<'static, News>; N]) -> BoxStream<'static, News> {
    let marked = streams.map(|stream| stream.map(Some).chain(once(async { None })).boxed());
    select_all(marked)
        .take_while(|news| std::future::ready(news.is_some()))
        .filter_map(std::future::ready)
        .boxed()
}

/// What is told by files: records, locks, journals, named namespaces.
fn files(desk: &Desk) -> io::Result<BoxStream<'static, News>> {
    let mut folders = Folders::new()?;
    folders.add(desk.records.folder())?;
    folders.add(&desk.state)?;
    // Without lans there is no such folder yet; the one who makes the first lan writes a record afterwards.
    let names = Path::new(netns::NAMES);
    if names.is_dir() {
        folders.add(names)?;
    }
    let happenings = unfold(folders, |mut folders| async move {
        let told = folders.next().await.ok()?;
        let news: Vec<News> = told.iter().filter_map(of_file).collect();
        Some((futures_util::stream::iter(news), folders))
    });
    Ok(happenings.flatten().boxed())
}

fn of_file(happening: &Happening) -> Option<News> {
    let Some(name) = &happening.name else {
        return Some(News::Everything);
    };
    if happening.folder == Path::new(netns::NAMES) {
        return happening.gone.then_some(News::Names);
    }
    let ending = name.rsplit('.').next().unwrap_or_default();
    match ending {
        wanted::ENDING => Some(News::Records),
        "lock" => Some(News::Released),
        "journal" => happening.gone.then_some(News::Released),
        _ => None,
    }
}

/// One line for each thing said.
struct Voice<'a> {
    context: &'a Context,
}

impl Ear for Voice<'_> {
    fn hear(&self, said: &Said) {
        self.context.tell(&said.to_string());
    }
}
