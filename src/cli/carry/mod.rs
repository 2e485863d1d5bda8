//! A plan carried out: the project's lock, an unfinished run of earlier taken back first, the journal, progress, and
//! the last lines. A dry run carries the same plan out on a copy of the world in memory.

pub mod past;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream;
use jiff::ZonedDateTime;

use crate::apply;
use crate::apply::course::Moments;
use crate::apply::event::{Event, Listener};
use crate::apply::journal::{Heading, Journal, JournalError};
use crate::apply::lock::{Holder, Lock, Patience};
use crate::apply::report::{Outcome as End, Report};
use crate::apply::wanted;
use crate::apply::{OnFailure, Options};
use crate::cli::carry::past::Past;
use crate::cli::claims;
use crate::cli::clock::Phase;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::render::Renderer;
use crate::cli::render::summary::{self, About};
use crate::cli::render::talk;
use crate::cli::signal::wishes_to_stop;
use crate::model::name::ProjectName;
use crate::plan::check::host::may_carry_out;
use crate::plan::observed::{Observed, Scope};
use crate::plan::spec::{ResourceId, Spec};
use crate::plan::step::Plan;
use crate::world::World;
use crate::world::live::Live;
use crate::world::memory::Memory;
use crate::world::private::process::boot_id;

/// The right to change a project, and the world it is changed in.
pub struct Session<'a> {
    context: &'a Context,
    pub live: Live,
    project: ProjectName,
    command: &'static str,
    // Held for the lock on it.
    turn: Mutex<Option<Lock>>,
}

/// How a plan is to be carried out.
pub struct Manner<'a> {
    pub on_failure: OnFailure,
    /// Pulls and builds do not tell how far they are.
    pub quiet_images: bool,
    /// Where in the stack file a resource comes from.
    pub place: &'a (dyn Fn(&ResourceId) -> Option<String> + Sync),
    pub host_side: HostSide<'a>,
    /// How long a container may take to become healthy or to complete where another waits for it.
    pub patience: Option<Duration>,
}

/// What the project wants of its host.
#[derive(Debug, Clone, Copy)]
pub enum HostSide<'a> {
    /// What it wants now.
    Stays,
    /// This, when all is done.
    Becomes(&'a [Spec]),
    /// Nothing any more, from the first step on: nobody is to bring anything back. A plan that is refused changes
    /// nothing of it.
    Goes,
}

impl Manner<'_> {
    /// For commands without a file.
    pub fn plain(on_failure: OnFailure) -> Manner<'static> {
        Manner {
            on_failure,
            quiet_images: false,
            place: &|_| None,
            host_side: HostSide::Stays,
            patience: None,
        }
    }
}

impl<'a> Session<'a> {
    /// Connects, takes the project's lock (waiting for whoever holds it) and takes back what an earlier run has left
    /// unfinished. A dry run takes no lock and touches nothing.
    pub async fn open(
        context: &'a Context,
        project: &ProjectName,
        command: &'static str,
    ) -> Result<Session<'a>, Failure> {
        Session::open_after(context, project, command, Past::TakenBack).await
    }

    /// The same for a command to which the past means something else.
    pub async fn open_after(
        context: &'a Context,
        project: &ProjectName,
        command: &'static str,
        past: Past<'_>,
    ) -> Result<Session<'a>, Failure> {
        let session = Session::locked(context, project, command).await?;
        session.repair(past).await?;
        context.clock.lap(Phase::Lock);
        Ok(session)
    }

    /// The same without taking anything back: for whoever has to look once more before.
    pub async fn locked(
        context: &'a Context,
        project: &ProjectName,
        command: &'static str,
    ) -> Result<Session<'a>, Failure> {
        let live = context.live().await?;
        context.clock.lap(Phase::Connect);
        let session = Session {
            context,
            live,
            project: project.clone(),
            command,
            turn: Mutex::new(None),
        };
        if !context.global.dry_run {
            session.hold(Some(session.lock().await?));
        }
        Ok(session)
    }

    async fn lock(&self) -> Result<Lock, Failure> {
        let path = self.file("lock")?;
        let holder = self.holder();
        let waiting = |other: Option<&Holder>| match other {
            Some(Holder {
                pid,
                command,
                since,
            }) => self.context.tell(&format!(
                " Waiting for `stack {command}` on the project `{}` (process {pid}, since {since})",
                self.project
            )),
            None => self.context.tell(&format!(
                " Waiting for another run on the project `{}`",
                self.project
            )),
        };
        Lock::take(&path, &holder, Patience::Endless, waiting)
            .await
            .map_err(|error| Failure::said(told(&error)))
    }

    fn file(&self, ending: &str) -> Result<PathBuf, Failure> {
        self.context
            .state_file(&self.project, &self.live.engine().url(), ending)
    }

    /// Notes that a run is about to change what the project wants of its host.
    fn expect(&self, host_side: &[Spec]) -> Result<(), Failure> {
        let engine = self.live.engine().url();
        let records = self.context.records()?;
        records
            .begin(&self.project, &engine, host_side)
            .map_err(|error| Failure::said(told(&error)))
    }

    /// Notes how a run ended that changed what the project wants of its host.
    fn settle(&self, end: wanted::End) -> Result<(), Failure> {
        let engine = self.live.engine().url();
        let records = self.context.records()?;
        records
            .end(&self.project, &engine, end)
            .map_err(|error| Failure::said(told(&error)))
    }

    /// What the project wants of its host, without a run: all of it is there already, or nothing is wanted any more.
    pub fn keep(&self, host_side: &[Spec]) -> Result<(), Failure> {
        if self.context.global.dry_run {
            return Ok(());
        }
        let engine = self.live.engine().url();
        let records = self.context.records()?;
        records
            .settle(&self.project, &engine, host_side.to_vec())
            .map_err(|error| Failure::said(told(&error)))
    }

    /// What is written down of what the project wants of its host.
    pub fn record(&self) -> Result<Option<wanted::Standing>, Failure> {
        let engine = self.live.engine().url();
        let records = self.context.records()?;
        let found = records
            .read(&self.project, &engine)
            .map_err(|error| Failure::said(told(&error)))?;
        Ok(found.map(|wanted| wanted.standing))
    }

    /// What the project wanted of its host until now.
    pub fn kept(&self) -> Result<Vec<Spec>, Failure> {
        Ok(match self.record()? {
            None => Vec::new(),
            Some(wanted::Standing::Settled(now)) => now,
            Some(wanted::Standing::Changing { from, to }) => from.unwrap_or(to),
        })
    }

    /// The project.
    pub fn project(&self) -> &ProjectName {
        &self.project
    }

    /// Lets go of the project's lock and keeps the world.
    pub fn into_live(self) -> Live {
        self.live
    }

    /// Lets go of the project's lock: what follows only looks on, and others may change the project meanwhile.
    pub fn release(&self) {
        self.hold(None);
    }

    fn hold(&self, lock: Option<Lock>) {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = lock;
    }

    fn is_held(&self) -> bool {
        self.turn
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    /// Takes the lock that was let go of anew, and takes back what another run has left unfinished meanwhile.
    pub async fn resume(&self) -> Result<(), Failure> {
        if !self.is_held() && !self.context.global.dry_run {
            self.hold(Some(self.lock().await?));
            self.repair(Past::TakenBack).await?;
        }
        Ok(())
    }

    /// Returns when no other run works on the project.
    pub async fn others_are_done(&self) -> Result<(), Failure> {
        if self.is_held() {
            return Ok(());
        }
        let holder = self.holder();
        let turn = Lock::take(&self.file("lock")?, &holder, Patience::Endless, |_| ()).await;
        turn.map(drop).map_err(|error| Failure::said(told(&error)))
    }

    fn holder(&self) -> Holder {
        Holder {
            pid: std::process::id(),
            command: self.command.to_owned(),
            since: now(),
        }
    }

    /// What is there now, as far as it matters to these images and the project.
    pub async fn observe(&self, images: Vec<String>) -> Result<Observed, Failure> {
        let scope = Scope {
            project: self.project.clone(),
            images,
            doors: Vec::new(),
            attachments: BTreeMap::new(),
            host: true,
        };
        self.look(&scope).await
    }

    /// What is there now in this scope.
    pub async fn look(&self, scope: &Scope) -> Result<Observed, Failure> {
        Ok(self.live.observe(scope).await?)
    }

    /// Carries a plan out and tells how it went. An address that a neighbour has ends it before anything is changed.
    pub async fn carry_out(
        &self,
        plan: &Plan,
        observed: &Observed,
        manner: &Manner<'_>,
    ) -> Result<Report, Failure> {
        let defaults = Options::default();
        let options = Options {
            on_failure: manner.on_failure,
            parallel: match self.context.global.parallel {
                Some(_) => self.context.global.bound().unwrap_or(usize::MAX >> 4),
                None => defaults.parallel,
            },
            healthy: manner.patience.unwrap_or(defaults.healthy),
            completed: manner.patience.unwrap_or(defaults.completed),
            ..defaults
        };
        self.context.clock.lap(Phase::Plan);
        if !self.context.global.dry_run {
            claims::ask(&self.live, plan, observed, manner.place).await?;
        }
        self.context.clock.lap(Phase::Observe);
        let began = Instant::now();
        let ear = Ear {
            renderer: self.context.renderer(),
            quiet_images: manner.quiet_images,
            began,
            moments: Mutex::default(),
        };
        if !self.context.global.dry_run {
            may_carry_out(plan, observed).map_err(|why| {
                Failure::with_hint(
                    format!("{why}; nothing was changed"),
                    "run the same command with sudo; nothing else here needs it",
                )
            })?;
        }
        let report = if self.context.global.dry_run {
            let memory = Memory::of(observed);
            apply::run(plan, &memory, None, &ear, &options, stream::pending()).await
        } else {
            let heading = Heading {
                command: self.command.to_owned(),
                since: now(),
                boot: boot_id(),
            };
            let stops = wishes_to_stop()?;
            if let HostSide::Becomes(host_side) = manner.host_side {
                self.expect(host_side)?;
            }
            let journal = match Journal::begin(&self.file("journal")?, &heading, plan) {
                Ok(journal) => journal,
                Err(error) => {
                    self.settle(wanted::End::TakenBack)?;
                    return Err(journal_failure(error));
                }
            };
            if let HostSide::Goes = manner.host_side {
                self.keep(&[])?;
            }
            let report = apply::run(plan, &self.live, Some(journal), &ear, &options, stops).await;
            if let HostSide::Becomes(_) = manner.host_side {
                self.settle(end_of(&report, manner.on_failure))?;
            }
            report
        };
        let Ear {
            renderer, moments, ..
        } = ear;
        renderer.finish();
        let moments = moments.into_inner().unwrap_or_else(PoisonError::into_inner);
        let took = began.elapsed();
        let course = moments.course(plan, options.parallel, took);
        self.context.clock.lap_run(plan, course);
        let about = About {
            command: self.command,
            plan,
            place: manner.place,
        };
        for line in summary::lines(&report, &about) {
            talk(&line);
        }
        Ok(report)
    }
}

/// The outcome of a report as the command's.
pub fn outcome(report: &Report) -> Result<Exit, Failure> {
    match summary::exit(report) {
        Exit::Done => Ok(Exit::Done),
        other => Err(Failure::Told(other)),
    }
}

/// Hears everything, passes it on, and remembers when it was.
struct Ear {
    renderer: Renderer,
    quiet_images: bool,
    began: Instant,
    moments: Mutex<Moments>,
}

impl Listener for Ear {
    fn hear(&self, event: &Event) {
        let at = self.began.elapsed();
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        moments.hear(event, at);
        drop(moments);
        if let Event::StepProgress { subject, .. } = event
            && self.quiet_images
            && matches!(subject.verb, "pull" | "build")
        {
            return;
        }
        self.renderer.hear(event);
    }
}

/// The moment as people read it.
pub fn now() -> String {
    ZonedDateTime::now()
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}

/// What a report says of the record of what the project wants of its host.
fn end_of(report: &Report, on_failure: OnFailure) -> wanted::End {
    match report.outcome {
        End::Done => wanted::End::Done,
        End::Failed | End::Interrupted
            if on_failure == OnFailure::Undo && report.left.is_empty() =>
        {
            wanted::End::TakenBack
        }
        End::Failed | End::Interrupted | End::Abandoned => wanted::End::Unclear,
    }
}

/// An error with what it came from.
fn told(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn journal_failure(error: JournalError) -> Failure {
    let text = told(&error);
    match error {
        // Without a journal a run that is killed could not be taken back, so nothing is begun.
        JournalError::Create { .. } | JournalError::Write { .. } => Failure::with_hint(
            text,
            "make room there, or name another folder: STACK_STATE_DIR=FOLDER",
        ),
        _ => Failure::said(text),
    }
}
