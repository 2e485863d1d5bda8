//! The loop: hears news, and when it is quiet looks at the projects that it concerns and restores what is not as wanted.

use std::cell::RefCell;
use std::collections::BTreeMap;

use futures_util::stream::{self, Stream, StreamExt};
use tokio::time::Instant;

use crate::agent::care::{Care, Heap, News, Outcome};
use crate::agent::desk::{Desk, Part, Right};
use crate::agent::said::{Ear, Said, What};
use crate::apply::event::{Event, Listener};
use crate::apply::lock::Patience;
use crate::apply::wanted::WantedError;
use crate::apply::{OnFailure, Options, run};
use crate::model::name::ProjectName;
use crate::plan::diff::keep::{Duty, keep};
use crate::plan::observed::{Observed, Scope};
use crate::plan::spec::{ResourceId, Spec};
use crate::plan::step::Plan;
use crate::world::text::Text;
use crate::world::{ErrorKind, World, WorldError};

/// How often in a row a project is looked at within one turn: what was restored may show what else is missing.
const TURNS: usize = 4;

/// Why following ended.
#[derive(Debug)]
pub enum Ended {
    /// It was asked to.
    Stopped,
    /// There is no more news: the engine is gone, or something was lost. One has to begin anew.
    Lost,
}

/// Keeps everything right until it is asked to stop, or there is no more news.
pub async fn follow<W: World>(
    world: &W,
    desk: &Desk,
    ear: &dyn Ear,
    mut news: impl Stream<Item = News> + Unpin,
    mut stop: impl Stream<Item = ()> + Unpin,
) -> Ended {
    let keeper = Keeper::new(world, desk, ear);
    let mut care = Care::default();
    keeper.take(&mut care, Instant::now());
    if desk.part == Part::Whole {
        let projects = care.projects().count();
        keeper.say(None, What::Follows { projects });
    }
    let mut heap = Heap::default();
    loop {
        let wake = care.wake();
        let until = wake.unwrap_or_else(Instant::now);
        tokio::select! {
            biased;
            Some(()) = stop.next() => return Ended::Stopped,
            () = tokio::time::sleep_until(until), if wake.is_some() => {
                for (project, wanted) in care.due(Instant::now()) {
                    // While news waits where it comes from it takes more room than all the rest.
                    let turn = keeper.turn(&project, &wanted, Patience::None);
                    let (look, heard) = beside(turn, &mut news, |news| heap.add(news)).await;
                    if keeper.attend(&mut care, &project, look).is_err() || heard == Heard::All {
                        return Ended::Lost;
                    }
                }
                // Only now, as what is known of links and locks is that of the looks.
                for news in heap.take() {
                    keeper.hear(&mut care, &news);
                }
            }
            next = news.next() => match next {
                Some(news) => keeper.hear(&mut care, &news),
                None => return Ended::Lost,
            },
        }
    }
}

/// Whether there may be more news.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Some,
    All,
}

/// Does something, and hears the news that comes meanwhile.
async fn beside<T>(
    act: impl Future<Output = T>,
    news: &mut (impl Stream<Item = News> + Unpin),
    mut hear: impl FnMut(News),
) -> (T, Heard) {
    let mut act = std::pin::pin!(act);
    let mut heard = Heard::Some;
    loop {
        tokio::select! {
            biased;
            done = &mut act => return (done, heard),
            next = news.next(), if heard == Heard::Some => match next {
                Some(next) => hear(next),
                None => heard = Heard::All,
            },
        }
    }
}

/// Looks at every project once; whether all that can stand stands.
pub async fn once<W: World>(world: &W, desk: &Desk, ear: &dyn Ear) -> Result<bool, WorldError> {
    let keeper = Keeper::new(world, desk, ear);
    let mut right = true;
    for (project, wanted) in keeper.records(&mut right) {
        let look = keeper.turn(&project, &wanted, Patience::Endless).await?;
        right &= look.outcome == Outcome::Right;
        if let Some(failed) = look.failed {
            keeper.say(Some(&project), failed);
        }
    }
    Ok(right)
}

/// The engine does not answer.
struct Gone;

/// What came of looking at a project.
struct Look {
    outcome: Outcome,
    observed: Option<Observed>,
    restored: Vec<ResourceId>,
    failed: Option<What>,
}

struct Keeper<'a, W> {
    world: &'a W,
    desk: &'a Desk,
    ear: &'a dyn Ear,
    /// What was said last of how a project stands: it is not said again until it changes.
    standing: RefCell<BTreeMap<Option<ProjectName>, Vec<What>>>,
}

impl<'a, W: World> Keeper<'a, W> {
    fn new(world: &'a W, desk: &'a Desk, ear: &'a dyn Ear) -> Keeper<'a, W> {
        Keeper {
            world,
            desk,
            ear,
            standing: RefCell::default(),
        }
    }

    fn say(&self, project: Option<&ProjectName>, what: What) {
        self.ear.hear(&Said {
            project: project.cloned(),
            what,
        });
    }

    /// Says how a project stands, where that is news.
    fn stands(&self, project: Option<&ProjectName>, now: Vec<What>) {
        let mut standing = self.standing.borrow_mut();
        let before = standing.insert(project.cloned(), now.clone());
        let before = before.unwrap_or_default();
        for what in now {
            if !before.contains(&what) {
                self.say(project, what);
            }
        }
    }

    /// What each project of this engine wants, where that is certain. `all` becomes false where a record cannot be used.
    fn records(&self, all: &mut bool) -> BTreeMap<ProjectName, Vec<Spec>> {
        let mut wants = BTreeMap::new();
        let mut unreadable = Vec::new();
        match self.desk.records.all() {
            Ok(found) => {
                for record in found {
                    match record.wanted {
                        Ok(wanted) if wanted.engine != self.desk.engine => {}
                        Ok(wanted) => match self.desk.wants(&wanted) {
                            Some(specs) => {
                                wants.insert(wanted.project, specs);
                            }
                            None => {
                                // While a run is under way this is as it should be.
                                if !self.desk.file(&wanted.project, "lock").exists() {
                                    *all = false;
                                    self.stands(Some(&wanted.project), vec![What::Unclear]);
                                }
                            }
                        },
                        Err(error) => unreadable.push(What::Unreadable(text(&error))),
                    }
                }
            }
            Err(error) => unreadable.push(What::Unreadable(text(&error))),
        }
        *all &= unreadable.is_empty();
        self.stands(None, unreadable);
        wants
    }

    fn take(&self, care: &mut Care, now: Instant) {
        care.take(self.records(&mut true), now);
    }

    fn hear(&self, care: &mut Care, news: &News) {
        let now = Instant::now();
        match news {
            News::Records => self.take(care, now),
            other => care.hear(other, now),
        }
    }

    /// Tells the care how a look at a project went.
    fn attend(
        &self,
        care: &mut Care,
        project: &ProjectName,
        look: Result<Look, WorldError>,
    ) -> Result<(), Gone> {
        let look = match look {
            Ok(look) => look,
            Err(error) if error.kind == ErrorKind::Unreachable => return Err(Gone),
            Err(error) => Look {
                outcome: Outcome::Failed,
                observed: None,
                restored: Vec::new(),
                failed: Some(What::Failed {
                    id: None,
                    error: error.to_string(),
                    hint: error.hint,
                    again: None,
                }),
            },
        };
        if let Some(observed) = &look.observed {
            let lost = care.looked(project, observed);
            for (container, link) in orphaned(project, observed, &lost) {
                self.say(Some(project), What::Orphaned { container, link });
            }
        }
        let now = Instant::now();
        if !look.restored.is_empty() {
            let restored = Outcome::Restored(look.restored);
            if let Some((pause, Some(id))) = care.ended(project, &restored, now) {
                self.say(Some(project), What::Contested { id, pause });
            }
        }
        let pause = care
            .ended(project, &look.outcome, now)
            .map(|(pause, _)| pause);
        if let Some(What::Failed {
            id, error, hint, ..
        }) = look.failed
        {
            let again = pause;
            self.say(
                Some(project),
                What::Failed {
                    id,
                    error,
                    hint,
                    again,
                },
            );
        }
        Ok(())
    }

    /// Restores what is not as wanted, and what that shows, until all is right.
    async fn turn(
        &self,
        project: &ProjectName,
        wanted: &[Spec],
        patience: Patience,
    ) -> Result<Look, WorldError> {
        let mut look = Look {
            outcome: Outcome::Right,
            observed: None,
            restored: Vec::new(),
            failed: None,
        };
        // Most looks find nothing to do; they need no lock.
        let (observed, duty) = self.look(project, wanted).await?;
        look.observed = Some(observed);
        if duty.plan.is_empty() {
            self.stands(Some(project), waits(&duty));
            look.outcome = waiting(&duty, patience);
            return Ok(look);
        }
        if self.desk.dry {
            for step in duty.plan.steps {
                let (id, why) = (step.id, step.reason);
                self.say(Some(project), What::Would { id, why });
            }
            return Ok(look);
        }
        let _lock = match self.desk.lock(project, patience).await {
            Ok(Right::Have(lock)) => lock,
            Ok(Right::Others(why)) => {
                self.stands(Some(project), vec![why]);
                look.outcome = Outcome::Blocked;
                return Ok(look);
            }
            Err(error) => {
                look.outcome = Outcome::Failed;
                look.failed = Some(failed(None, error.to_string(), None));
                return Ok(look);
            }
        };
        for _ in 0..TURNS {
            // Whoever had the lock before may have decided otherwise.
            let engine = &self.desk.engine;
            let now = self.desk.records.read(project, engine).ok().flatten();
            let now = now.and_then(|now| self.desk.wants(&now));
            if now.as_deref() != Some(wanted) {
                look.outcome = Outcome::Right;
                return Ok(look);
            }
            let (observed, duty) = self.look(project, wanted).await?;
            look.observed = Some(observed);
            if duty.plan.is_empty() {
                self.stands(Some(project), waits(&duty));
                look.outcome = waiting(&duty, patience);
                return Ok(look);
            }
            if !self.restore(project, &duty.plan, &mut look).await {
                look.outcome = Outcome::Failed;
                return Ok(look);
            }
        }
        look.outcome = Outcome::Right;
        Ok(look)
    }

    async fn look(
        &self,
        project: &ProjectName,
        wanted: &[Spec],
    ) -> Result<(Observed, Duty), WorldError> {
        let scope = Scope {
            project: project.clone(),
            images: Vec::new(),
            doors: wanted.iter().filter_map(Spec::as_door).cloned().collect(),
            attachments: BTreeMap::new(),
            host: true,
        };
        let observed = self.world.observe(&scope).await?;
        if observed.host.is_none() {
            let why = observed.engine.elsewhere.clone().unwrap_or_default();
            let act = "cannot look at the engine's host";
            return Err(WorldError::new(ErrorKind::Unsupported, act, why));
        }
        let sight = self.desk.part.sight();
        let duty = keep(project, wanted, &observed, sight).map_err(|error| {
            WorldError::new(ErrorKind::Refused, "cannot plan what to restore", error)
        })?;
        // It may be long until there is news, and what comes next is other code.
        self.desk.text.let_go();
        Ok((observed, duty))
    }

    /// Carries the plan out; whether all of it is done.
    async fn restore(&self, project: &ProjectName, plan: &Plan, look: &mut Look) -> bool {
        // One after the other: each step reads the kernel's tables, and nobody waits for the last.
        let options = Options {
            on_failure: OnFailure::GoOn,
            parallel: 1,
            ..Options::default()
        };
        let report = run(
            plan,
            self.world,
            None,
            &Sparing(&self.desk.text),
            &options,
            stream::pending(),
        )
        .await;
        for index in &report.done {
            let step = &plan.steps[index.0];
            look.restored.push(step.id.clone());
            let (id, why) = (step.id.clone(), step.reason.clone());
            self.say(Some(project), What::Restored { id, why });
        }
        for warning in &report.warnings {
            self.say(Some(project), What::Warned(warning.text.clone()));
        }
        for failure in report.failures {
            // One of them is said with the pause; the others now.
            let next = failed(failure.id, failure.error, failure.hint);
            if let Some(one) = look.failed.replace(next) {
                self.say(Some(project), one);
            }
        }
        look.failed.is_none()
    }
}

/// Hears nothing, and lets go of code and heap between steps.
struct Sparing<'a>(&'a Text);

impl Listener for Sparing<'_> {
    fn hear(&self, _event: &Event) {
        self.0.let_go();
    }
}

fn failed(id: Option<ResourceId>, error: String, hint: Option<String>) -> What {
    What::Failed {
        id,
        error,
        hint,
        again: None,
    }
}

/// Something that cannot stand yet is no failure for one who stays and sees it come.
fn waiting(duty: &Duty, patience: Patience) -> Outcome {
    match patience {
        Patience::Endless if !duty.waits.is_empty() => Outcome::Failed,
        Patience::Endless | Patience::None => Outcome::Right,
    }
}

fn waits(duty: &Duty) -> Vec<What> {
    duty.waits.iter().cloned().map(What::Waits).collect()
}

/// The running containers of the project whose link sat on one that went away.
fn orphaned(
    project: &ProjectName,
    observed: &Observed,
    lost: &std::collections::BTreeSet<String>,
) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for link in lost {
        let on_it = |network: &str| {
            observed.networks.iter().any(|known| {
                known.spec.name == network && known.spec.options.get("parent") == Some(link)
            })
        };
        for container in &observed.containers {
            if container.project.as_deref() == Some(project.as_str())
                && container.runs()
                && container
                    .endpoints
                    .iter()
                    .any(|endpoint| on_it(&endpoint.network))
            {
                found.push((container.name.clone(), link.clone()));
            }
        }
    }
    found
}

fn text(error: &WantedError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
