//! The host alone, while no engine answers. What networks stand on must be there before it starts: some engines lose a
//! network for good whose parent is missing then (20.10: `network id … not found`). And an engine that went away may
//! have left its containers running, so that shims and routes are still in use.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::model::name::ProjectName;
use crate::plan::observed::{Observed, Scope};
use crate::plan::spec::ResourceId;
use crate::plan::step::{Milestone, Step};
use crate::world::host::error::broken;
use crate::world::host::ledger::{Entry, Note};
use crate::world::host::{Endpoints, Host};
use crate::world::netns::Namespace;
use crate::world::{ErrorKind, Progress, World, WorldError};

/// A host without its engine.
pub struct Ground {
    host: Host,
}

impl Ground {
    /// This process's own network namespace. `state` is the folder of the host's ledger.
    pub async fn open(state: PathBuf) -> Result<Ground, WorldError> {
        let namespace = Namespace::current()
            .map_err(|error| broken("cannot open this process's network namespace", &error))?;
        Ok(Ground::of(Host::open(namespace, state).await?))
    }

    /// This host.
    pub fn of(host: Host) -> Ground {
        Ground { host }
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }
}

/// What is known of containers without an engine: where the routes to them led last.
struct Remembered(Vec<Entry>);

impl Remembered {
    fn of(host: &Host) -> Result<Remembered, WorldError> {
        host.entries().map(Remembered)
    }
}

impl Endpoints for Remembered {
    async fn addresses(&self, container: &str, network: &str) -> Result<Vec<IpAddr>, WorldError> {
        let routes = self.0.iter().filter_map(|entry| match &entry.note {
            Some(Note::Route { spec, destinations })
                if spec.container == container && spec.network == network =>
            {
                Some(destinations.iter().map(|to| to.addr()))
            }
            Some(_) | None => None,
        });
        Ok(routes.flatten().collect())
    }

    async fn process(&self, _container: &str) -> Result<Option<u32>, WorldError> {
        Ok(None)
    }
}

impl World for Ground {
    async fn observe(&self, scope: &Scope) -> Result<Observed, WorldError> {
        let known = Remembered::of(&self.host)?;
        let (facts, resources) =
            tokio::try_join!(self.host.facts(), self.host.observe(scope, &known))?;
        Ok(Observed {
            host: Some(facts),
            resources,
            networks: Vec::new(),
            containers: Vec::new(),
            images: BTreeMap::new(),
            ..Observed::default()
        })
    }

    async fn change(
        &self,
        project: &ProjectName,
        step: &Step,
        progress: &dyn Progress,
    ) -> Result<(), WorldError> {
        if step.id.kind.on_host() {
            let known = Remembered::of(&self.host)?;
            return self.host.change(project, step, &known, progress).await;
        }
        Err(WorldError::new(
            ErrorKind::Unsupported,
            format!("cannot {} {}", step.verb(), step.id),
            "there is no engine",
        ))
    }

    async fn wait(
        &self,
        _project: &ProjectName,
        _id: &ResourceId,
        _milestone: Milestone,
    ) -> Result<(), WorldError> {
        Ok(())
    }
}
