//! A host whose engine does not answer, as a world of its own: what is on the host can still be looked at and taken
//! away. What needs the engine is refused.

use std::net::IpAddr;

use crate::model::name::ProjectName;
use crate::plan::observed::{Observed, Scope};
use crate::plan::spec::ResourceId;
use crate::plan::step::{Milestone, Step};
use crate::world::host::{Endpoints, Host};
use crate::world::{ErrorKind, Progress, World, WorldError};

/// The host without its engine.
pub struct Alone {
    pub host: Host,
}

impl World for Alone {
    async fn observe(&self, scope: &Scope) -> Result<Observed, WorldError> {
        let facts = self.host.facts().await?;
        let resources = self.host.observe(scope, self).await?;
        Ok(Observed {
            host: Some(facts),
            resources,
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
            return self.host.change(project, step, self, progress).await;
        }
        Err(WorldError::new(
            ErrorKind::Unreachable,
            format!("cannot {} {}", step.verb(), step.id),
            "the engine does not answer",
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

/// Nobody tells of containers.
impl Endpoints for Alone {
    async fn addresses(&self, _container: &str, _network: &str) -> Result<Vec<IpAddr>, WorldError> {
        Ok(Vec::new())
    }

    async fn process(&self, _container: &str) -> Result<Option<u32>, WorldError> {
        Ok(None)
    }
}
