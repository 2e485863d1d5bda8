//! The live world: the engine, and the kernel of its host where that is this machine. Which of the two serves a step is
//! told by the step's kind.
//!
//! The host's side is opened when it is first needed. Where it cannot be (the engine is on another machine, this user
//! may not look into its namespace), plans without host-side steps work as ever, and the others are refused with that
//! reason.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::OnceCell;

use crate::model::name::ProjectName;
use crate::plan::observed::{
    FoundContainer, FoundResource, HostFacts, InsideFacts, Observed, Scope,
};
use crate::plan::spec::{ResourceId, Spec};
use crate::plan::step::{Milestone, Step};
use crate::world::engine::Engine;
use crate::world::engine::connect::Surroundings;
use crate::world::host::{Endpoints, Host};
use crate::world::netns::Namespace;
use crate::world::text::Text;
use crate::world::{ErrorKind, Progress, World, WorldError};

/// How many containers are looked into at once.
const LOOKS: usize = 16;

/// The engine and its host.
pub struct Live {
    engine: Engine,
    /// Where the host's ledger is kept.
    state: PathBuf,
    /// The host, or why there is none.
    host: OnceCell<Result<Host, String>>,
    /// Where memory counts more than time: what is let go of between the parts of a look.
    sparing: Option<Text>,
    /// Set where the host is this machine and this user may not look into its namespace.
    forbidden: OnceLock<()>,
}

impl Live {
    /// Connects to the engine that the surroundings name. `state` is the folder of the host's ledger (`/run/stack`).
    pub async fn connect(surroundings: &Surroundings, state: PathBuf) -> Result<Live, WorldError> {
        Ok(Live {
            engine: Engine::connect(surroundings).await?,
            state,
            host: OnceCell::new(),
            sparing: None,
            forbidden: OnceLock::new(),
        })
    }

    /// The same for one who stays: looks take their parts one after the other and use little memory.
    pub fn sparing(mut self, text: Text) -> Live {
        self.sparing = Some(text);
        self
    }

    /// A look in which the host's part comes after the engine's, and asks nothing of it that is known already.
    async fn look(&self, scope: &Scope, text: &Text) -> Result<(Observed, HostSide), WorldError> {
        let observed = self.engine.observe(scope).await?;
        text.let_go();
        let Ok(host) = self.host().await else {
            return Ok((observed, None));
        };
        let facts = host.facts().await?;
        text.let_go();
        let known = Known {
            observed: &observed,
            engine: &self.engine,
        };
        let resources = host.observe(scope, &known).await?;
        Ok((observed, Some((facts, resources))))
    }

    /// The engine, for what is asked of it directly.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The engine's host, or why it cannot be worked on from here.
    pub async fn host(&self) -> &Result<Host, String> {
        self.host.get_or_init(|| self.open_host()).await
    }

    async fn open_host(&self) -> Result<Host, String> {
        let facts = self
            .engine
            .facts()
            .await
            .map_err(|error| error.to_string())?;
        if let Some(reason) = &facts.elsewhere {
            return Err(reason.clone());
        }
        let path = self
            .engine
            .host_namespace()
            .ok_or("the engine's process is not on this machine")?;
        let namespace = open_namespace(&path, self.engine.socket()).map_err(|error| {
            if error.kind() == io::ErrorKind::PermissionDenied {
                self.forbidden.get_or_init(|| ());
            }
            format!(
                "cannot open the engine's network namespace {}: {error}",
                path.display()
            )
        })?;
        Host::open(namespace, self.state.clone())
            .await
            .map_err(|error| error.to_string())
    }
}

/// The sockets of an engine that runs as the machine's own service, in the machine's own namespace.
const MACHINES_OWN: &[&str] = &["/var/run/docker.sock", "/run/docker.sock"];

/// Whether this is the socket of an engine that runs in the machine's own namespace.
pub fn is_machines_own(socket: &Path) -> bool {
    MACHINES_OWN.iter().any(|own| Path::new(own) == socket)
}

/// A user who is not root may not look at the engine's process. The machine's own engine makes its links in the
/// machine's own namespace, which is this process's too as far as an ordinary user goes; there it is read only.
fn open_namespace(path: &Path, socket: Option<&Path>) -> io::Result<Namespace> {
    match Namespace::at(path) {
        Err(error)
            if error.kind() == io::ErrorKind::PermissionDenied
                && socket.is_some_and(is_machines_own) =>
        {
            Namespace::current()
        }
        other => other,
    }
}

/// What the host tells: facts, and the project's resources.
type HostSide = Option<(HostFacts, BTreeMap<ResourceId, FoundResource>)>;

/// An engine that was looked at a moment ago.
struct Known<'a> {
    observed: &'a Observed,
    engine: &'a Engine,
}

impl Endpoints for Known<'_> {
    async fn addresses(&self, container: &str, network: &str) -> Result<Vec<IpAddr>, WorldError> {
        let found = &self.observed.containers;
        let found = found.iter().find(|found| found.name == container);
        let endpoints = found
            .filter(|found| found.runs())
            .map(|found| &found.endpoints);
        let on = endpoints
            .into_iter()
            .flatten()
            .filter(|endpoint| endpoint.network == network);
        Ok(on
            .flat_map(|endpoint| endpoint.ipv4.into_iter().chain(endpoint.ipv6))
            .collect())
    }

    async fn process(&self, container: &str) -> Result<Option<u32>, WorldError> {
        self.engine.container_process(container).await
    }
}

impl World for Live {
    async fn observe(&self, scope: &Scope) -> Result<Observed, WorldError> {
        if !scope.host {
            return self.engine.observe(scope).await;
        }
        let host_side = async {
            match self.host().await {
                Err(_) => Ok(None),
                Ok(host) => {
                    let (facts, resources) =
                        tokio::try_join!(host.facts(), host.observe(scope, &self.engine))?;
                    Ok(Some((facts, resources)))
                }
            }
        };
        let (mut observed, host) = match &self.sparing {
            Some(text) => self.look(scope, text).await?,
            None => tokio::try_join!(self.engine.observe(scope), host_side)?,
        };
        match host {
            Some((facts, resources)) => {
                observed.host = Some(facts);
                observed.resources = resources;
            }
            // It is here, and only the right to look is missing.
            None if self.forbidden.get().is_some() => {}
            // It was tried a moment ago, so this does not wait.
            None => observed.engine.elsewhere = self.host().await.as_ref().err().cloned(),
        }
        Ok(observed)
    }

    /// A container that ends meanwhile, and one whose namespace is the host's, is left out; so are all where the host may
    /// not be read.
    async fn inside(&self, containers: &[&FoundContainer]) -> Result<Vec<InsideFacts>, WorldError> {
        let Ok(host) = self.host().await else {
            return Ok(Vec::new());
        };
        let engine = &self.engine;
        let containers: Vec<(String, String)> = containers
            .iter()
            .map(|found| (found.name.clone(), found.engine_id.clone()))
            .collect();
        let looks = containers.into_iter().map(|(container, id)| async move {
            let Some(process) = engine.container_process(&id).await? else {
                return Ok::<_, WorldError>(None);
            };
            let links = host.inside(process).await.ok();
            Ok(links.map(|links| InsideFacts { container, links }))
        });
        let looks = stream::iter(looks).buffered(LOOKS);
        let found: Vec<Option<InsideFacts>> = looks.try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn foresee(
        &self,
        project: &ProjectName,
        wanted: &[&Spec],
    ) -> Result<Vec<(ResourceId, WorldError)>, WorldError> {
        match self.host().await {
            Ok(host) => host.foresee(project, wanted).await,
            Err(_) => Ok(Vec::new()),
        }
    }

    async fn change(
        &self,
        project: &ProjectName,
        step: &Step,
        progress: &dyn Progress,
    ) -> Result<(), WorldError> {
        if !step.id.kind.on_host() {
            return self.engine.change(project, step, progress).await;
        }
        match self.host().await {
            Ok(host) => host.change(project, step, &self.engine, progress).await,
            Err(reason) => Err(WorldError::new(
                ErrorKind::Unsupported,
                format!("cannot {} {}", step.verb(), step.id),
                reason,
            )
            .hint("run stack as root on the engine's own host")),
        }
    }

    async fn wait(
        &self,
        _project: &ProjectName,
        id: &ResourceId,
        milestone: Milestone,
    ) -> Result<(), WorldError> {
        self.engine.wait(id, milestone).await
    }
}

impl Endpoints for Engine {
    async fn addresses(&self, container: &str, network: &str) -> Result<Vec<IpAddr>, WorldError> {
        self.endpoint_addresses(container, network).await
    }

    async fn process(&self, container: &str) -> Result<Option<u32>, WorldError> {
        self.container_process(container).await
    }
}
