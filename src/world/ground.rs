//! The host alone, before an engine runs: what its networks stand on can be made without it, and some engines lose a
//! network for good whose parent is missing when they start (20.10: `network id … not found`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::model::name::ProjectName;
use crate::plan::observed::{Observed, Scope};
use crate::plan::spec::ResourceId;
use crate::plan::step::{Milestone, Step};
use crate::world::host::error::broken;
use crate::world::host::{Endpoints, Host};
use crate::world::netns::Namespace;
use crate::world::{ErrorKind, Progress, World, WorldError};

/// The host that this process is on.
pub struct Ground {
    host: Host,
}

impl Ground {
    /// This process's own network namespace. `state` is the folder of the host's ledger.
    pub async fn open(state: PathBuf) -> Result<Ground, WorldError> {
        let namespace = Namespace::current()
            .map_err(|error| broken("cannot open this process's network namespace", &error))?;
        let host = Host::open(namespace, state).await?;
        Ok(Ground { host })
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }
}

/// Without an engine there are no containers.
struct Nobody;

impl Endpoints for Nobody {
    async fn addresses(&self, _container: &str, _network: &str) -> Result<Vec<IpAddr>, WorldError> {
        Ok(Vec::new())
    }

    async fn process(&self, _container: &str) -> Result<Option<u32>, WorldError> {
        Ok(None)
    }
}

impl World for Ground {
    async fn observe(&self, scope: &Scope) -> Result<Observed, WorldError> {
        let (facts, resources) =
            tokio::try_join!(self.host.facts(), self.host.observe(scope, &Nobody))?;
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
            return self.host.change(project, step, &Nobody, progress).await;
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
