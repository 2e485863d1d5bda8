//! A world in memory that keeps the laws of an engine and a kernel as far as plans depend on them: names are unique,
//! what is named must be there, what is used cannot be removed, what is someone else's is left alone. It serves
//! `--dry-run` (made from an observation of the live world) and tests, which can let any change fail or hang.
//!
//! It does not run anything: containers have a state and no process, links have no frames. A law that the live worlds
//! have and this one lacks is a plan that passes here and fails there; add it.

mod containers;
pub mod faults;
mod machine;
mod resources;
pub mod snapshot;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::model::name::ProjectName;
use crate::plan::observed::{Observed, Scope};
use crate::plan::spec::{ResourceId, Spec};
use crate::plan::step::{Milestone, Step};
use crate::world::memory::faults::{Fault, Faults, How, When};
use crate::world::memory::machine::{Extent, Machine};
use crate::world::memory::snapshot::Snapshot;
use crate::world::{ErrorKind, Progress, World, WorldError};

/// What a container does about its health, or its end, when somebody waits for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fortune {
    /// It gets there at once.
    #[default]
    Reaches,
    /// It never will, and that is known at once.
    Fails,
    /// It never will, and nobody can know.
    Hangs,
}

/// The world.
pub struct Memory {
    machine: Mutex<Machine>,
    faults: Mutex<Faults>,
    /// How many changes were begun since faults were arranged.
    count: AtomicUsize,
    fortunes: Mutex<BTreeMap<ResourceId, Fortune>>,
    /// Told when something that others may wait for has changed.
    changed: Notify,
    /// Told when a crash was asked for and has come.
    crashed: Notify,
}

impl Memory {
    /// A world with what an observation found: changes to it are changes to this copy.
    pub fn of(observed: &Observed) -> Memory {
        Memory {
            machine: Mutex::new(Machine::of(observed)),
            faults: Mutex::new(Faults::default()),
            count: AtomicUsize::new(0),
            fortunes: Mutex::new(BTreeMap::new()),
            changed: Notify::new(),
            crashed: Notify::new(),
        }
    }

    /// Lets something go wrong from the next change on; changes are counted from 0 anew.
    pub fn arrange(&self, faults: Faults) {
        *lock(&self.faults) = faults;
        self.count.store(0, Ordering::SeqCst);
    }

    /// How many changes were begun since [`Memory::arrange`].
    pub fn changes(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Decides what becomes of a container that is waited for.
    pub fn decide(&self, id: ResourceId, fortune: Fortune) {
        lock(&self.fortunes).insert(id, fortune);
    }

    /// Returns when a crash that was arranged has come; the run is to be dropped then.
    pub async fn crashed(&self) {
        self.crashed.notified().await;
    }

    /// Everything there is, for comparison.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&lock(&self.machine))
    }

    /// What an observation would find that looks at everything.
    pub fn everything(&self) -> Observed {
        lock(&self.machine).observed(None)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that fails while it holds the lock says so itself.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World for Memory {
    async fn observe(&self, scope: &Scope) -> Result<Observed, WorldError> {
        Ok(lock(&self.machine).observed(Some(scope)))
    }

    async fn change(
        &self,
        project: &ProjectName,
        step: &Step,
        progress: &dyn Progress,
    ) -> Result<(), WorldError> {
        let now = self.count.fetch_add(1, Ordering::SeqCst);
        let (fault, delay) = {
            let Faults { fault, delays } = &*lock(&self.faults);
            let fault = fault.filter(|fault| fault.at == now);
            (fault, delays.get(&step.id).copied())
        };
        if let Some(delay) = delay {
            progress.tell("waits");
            tokio::time::sleep(delay).await;
        }
        let extent = match fault.map(|fault| fault.when) {
            None | Some(When::After) => Some(Extent::Whole),
            Some(When::Half) => Some(Extent::Half),
            Some(When::Before) => None,
        };
        if let Some(extent) = extent {
            let done = lock(&self.machine).change(project, step, extent);
            self.changed.notify_waiters();
            done?;
        }
        match fault.map(|Fault { how, .. }| how) {
            None => Ok(()),
            Some(How::Fails) => Err(WorldError::new(
                ErrorKind::Fault,
                format!("cannot {} {}", step.verb(), step.id),
                "a fault that was arranged",
            )),
            Some(How::Crashes) => {
                self.crashed.notify_one();
                std::future::pending().await
            }
        }
    }

    async fn wait(
        &self,
        _project: &ProjectName,
        id: &ResourceId,
        milestone: Milestone,
    ) -> Result<(), WorldError> {
        let fortune = lock(&self.fortunes).get(id).copied().unwrap_or_default();
        match (milestone, fortune) {
            (Milestone::Done, _) => Ok(()),
            (Milestone::Healthy | Milestone::Completed, Fortune::Hangs) => {
                std::future::pending().await
            }
            (Milestone::Healthy | Milestone::Completed, Fortune::Fails) => Err(WorldError::new(
                ErrorKind::Never,
                format!("waiting for {id}"),
                match milestone {
                    Milestone::Completed => "it exited with 1",
                    Milestone::Done | Milestone::Healthy => "it is unhealthy",
                },
            )),
            (Milestone::Healthy, Fortune::Reaches) => self.until_running(id).await,
            (Milestone::Completed, Fortune::Reaches) => {
                self.until_running(id).await?;
                lock(&self.machine).exit(&id.name);
                self.changed.notify_waiters();
                Ok(())
            }
        }
    }
}

impl Memory {
    async fn until_running(&self, id: &ResourceId) -> Result<(), WorldError> {
        loop {
            let changed = self.changed.notified();
            match lock(&self.machine).has_run(&id.name) {
                Some(true) => return Ok(()),
                Some(false) => {}
                None => {
                    return Err(WorldError::new(
                        ErrorKind::Never,
                        format!("waiting for {id}"),
                        "there is no such container",
                    ));
                }
            }
            changed.await;
        }
    }
}

/// What a step is about: the spec it leads to, or where it leads to nothing, the one it comes from.
fn subject(step: &Step) -> Option<&Spec> {
    let spec = step.after.spec().or(step.before.spec());
    spec.map(AsRef::as_ref)
}
