//! The engine's side of the world: networks, volumes, images, containers and endpoints, by the Docker Engine API. The
//! only place that names bollard.
//!
//! One [`Engine`] serves a whole run: one agreed API version, one set of connections. Whatever an engine of that version
//! would ignore without a word is refused with a sentence before it is asked.

pub mod archive;
pub mod body;
pub mod build;
pub mod connect;
pub mod container;
pub mod context;
pub mod credential;
pub mod endpoint;
pub mod envoy;
pub mod error;
pub mod existing;
pub mod facts;
mod heritage;
pub mod hook;
pub mod ignore;
pub mod image;
pub mod inspect;
pub mod limit;
pub mod mount;
pub mod network;
pub mod observe;
pub mod old;
pub mod owner;
pub mod proxy;
pub mod reference;
mod ssh;
pub mod talk;
pub mod volume;
pub mod watch;
pub mod wire;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use bollard::Docker;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::model::name::ProjectName;
use crate::plan::observed::{EngineFacts, Observed, Scope};
use crate::plan::spec::{Kind, ResourceId};
use crate::plan::step::{Milestone, Step};
use crate::world::engine::connect::{Endpoint, Surroundings};
use crate::world::engine::error::refused;
use crate::world::engine::facts::Listener;
use crate::world::engine::old::TooOld;
use crate::world::engine::watch::Watch;
use crate::world::engine::wire::{Api, Greeting};
use crate::world::{ErrorKind, Progress, WorldError};

/// A connection to an engine.
pub struct Engine {
    docker: Docker,
    patient: Docker,
    api: Api,
    greeting: Greeting,
    endpoint: Endpoint,
    listener: Result<Listener, String>,
    facts: OnceCell<EngineFacts>,
    turn: Mutex<()>,
    watch: Watch,
    config_folder: Option<PathBuf>,
}

impl Engine {
    /// Finds the engine and agrees on an API version: one cheap call.
    pub async fn connect(surroundings: &Surroundings) -> Result<Engine, WorldError> {
        let endpoint = connect::endpoint(surroundings)?;
        let connection = connect::connect(&endpoint, surroundings.api_version.as_deref()).await?;
        let listener = match &endpoint {
            Endpoint::Unix(socket) => facts::listener(socket),
            Endpoint::Tcp(_) | Endpoint::Tls { .. } | Endpoint::Ssh(_) => Err(String::new()),
        };
        Ok(Engine {
            patient: connection.docker.clone().with_timeout(wire::ENDLESS),
            docker: connection.docker,
            api: connection.api,
            greeting: connection.greeting,
            endpoint,
            listener,
            facts: OnceCell::new(),
            turn: Mutex::new(()),
            watch: Watch::new(),
            config_folder: surroundings.config_folder(),
        })
    }

    /// What is there now, the engine's part. Reads only.
    pub async fn observe(&self, scope: &Scope) -> Result<Observed, WorldError> {
        observe::observe(self, scope).await
    }

    /// Takes one of the engine's resources to `step.after`; see [`crate::world::World::change`].
    pub async fn change(
        &self,
        project: &ProjectName,
        step: &Step,
        progress: &dyn Progress,
    ) -> Result<(), WorldError> {
        match step.id.kind {
            Kind::Network => network::change(self, project, step, progress).await,
            Kind::Volume => volume::change(self, project, step).await,
            Kind::Container => container::change(self, project, step, progress).await,
            Kind::Endpoint => endpoint::change(self, step).await,
            Kind::Image => image::change(self, project, step, progress).await,
            Kind::Lan | Kind::Link | Kind::Promiscuity | Kind::Shim | Kind::Route | Kind::Door => {
                Err(WorldError::new(
                    ErrorKind::Unsupported,
                    format!("cannot {} {}", step.verb(), step.id),
                    "it is not a thing of the engine",
                ))
            }
        }
    }

    /// Returns when a container has reached the milestone, or tells that it never will.
    pub async fn wait(&self, id: &ResourceId, milestone: Milestone) -> Result<(), WorldError> {
        watch::wait(self, id, milestone).await
    }

    /// What the engine is and can do. Asked once; takes about 12 ms, since the engine starts programs to answer.
    pub async fn facts(&self) -> Result<&EngineFacts, WorldError> {
        self.facts
            .get_or_try_init(|| async {
                let info = self
                    .docker
                    .info()
                    .await
                    .map_err(|error| refused("cannot ask the engine what it is", error))?;
                let elsewhere = facts::elsewhere(&self.endpoint, &self.listener);
                let mut facts =
                    facts::facts(info, self.api, &self.greeting, &self.endpoint, elsewhere);
                for plugin in self
                    .local_process()
                    .map(facts::plugin_files)
                    .unwrap_or_default()
                {
                    if !facts.network_drivers.contains(&plugin) {
                        facts.network_drivers.push(plugin);
                    }
                }
                Ok(facts)
            })
            .await
    }

    /// The addresses of a running container in a network; none where it does not run or is not there.
    pub async fn endpoint_addresses(
        &self,
        container: &str,
        network: &str,
    ) -> Result<Vec<IpAddr>, WorldError> {
        let found = inspect::inspect(self, container).await?;
        let networks = found
            .and_then(|found| found.network_settings?.networks)
            .unwrap_or_default();
        let Some(endpoint) = networks.get(network) else {
            return Ok(Vec::new());
        };
        let texts = [&endpoint.ip_address, &endpoint.global_ipv6_address];
        Ok(texts
            .into_iter()
            .flatten()
            .filter_map(|text| text.parse().ok())
            .collect())
    }

    /// The first process of a running container; none where the engine's number for it would mean another process here.
    pub async fn container_process(&self, container: &str) -> Result<Option<u32>, WorldError> {
        if !self.numbers_processes_as_we_do() {
            return Ok(None);
        }
        self.first_process(container).await
    }

    /// Whether a container is there and runs.
    pub async fn runs(&self, container: &str) -> Result<bool, WorldError> {
        Ok(self.first_process(container).await?.is_some())
    }

    /// By the engine's own numbers.
    async fn first_process(&self, container: &str) -> Result<Option<u32>, WorldError> {
        let found = inspect::inspect(self, container).await?;
        let process = found.and_then(|found| found.state?.pid).unwrap_or(0);
        Ok(u32::try_from(process).ok().filter(|process| *process > 0))
    }

    /// The API version that is spoken.
    pub fn api(&self) -> Api {
        self.api
    }

    /// The engine's own version, as far as the first answer told it.
    pub fn version(&self) -> &str {
        &self.greeting.version
    }

    /// Where the engine was reached, as a URL.
    pub fn url(&self) -> String {
        self.endpoint.url()
    }

    /// The unix socket that it was reached by.
    pub fn socket(&self) -> Option<&Path> {
        match &self.endpoint {
            Endpoint::Unix(path) => Some(path),
            Endpoint::Tcp(_) | Endpoint::Tls { .. } | Endpoint::Ssh(_) => None,
        }
    }

    /// The network namespace in which the engine makes its links, as a path to open, where it is on this machine. An
    /// engine in a virtual machine behind a local socket is only told apart by [`Engine::facts`].
    pub fn host_namespace(&self) -> Option<PathBuf> {
        self.local().map(Listener::namespace)
    }

    /// The process of the engine (or of who listens for it), where it is on this machine.
    pub fn local_process(&self) -> Option<i32> {
        self.local().map(|listener| listener.process)
    }

    /// Whether the numbers of processes that the engine tells can be looked up in this machine's `/proc`.
    pub fn numbers_processes_as_we_do(&self) -> bool {
        self.local().is_some_and(Listener::numbers_as_we_do)
    }

    fn local(&self) -> Option<&Listener> {
        let listener = self.listener.as_ref().ok()?;
        facts::elsewhere(&self.endpoint, &self.listener)
            .is_none()
            .then_some(listener)
    }

    /// The folder of the docker client's configuration.
    pub(in crate::world::engine) fn config_folder(&self) -> Option<&Path> {
        self.config_folder.as_deref()
    }

    /// The proxies that the docker client's configuration names for containers of this engine.
    pub(in crate::world::engine) fn proxies(&self) -> BTreeMap<String, String> {
        self.config_folder()
            .map(|folder| proxy::variables(folder, &self.url()))
            .unwrap_or_default()
    }

    /// The run's one subscription to the engine's events.
    pub(in crate::world::engine) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// For calls that end soon.
    pub(in crate::world::engine) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// For calls that take as long as they take: stops with a grace period, waits, pulls, builds.
    pub(in crate::world::engine) fn patient(&self) -> &Docker {
        &self.patient
    }

    /// A turn in a queue, for acts that the engine gets wrong when two happen at once.
    pub(in crate::world::engine) async fn one_at_a_time(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The refusal of something that this engine is too old for.
    pub(in crate::world::engine) fn too_old(
        &self,
        act: String,
        what: &str,
        api: Api,
        release: &str,
    ) -> WorldError {
        let old = TooOld::new(act, self.api);
        match old.needs(api, release, what) {
            Err(error) => error,
            Ok(()) => old.refuse(format!("{what} is not supported")),
        }
    }
}
