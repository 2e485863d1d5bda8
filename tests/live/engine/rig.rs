//! What the engine's tests need: a connection, specs with little in them, and steps both ways.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use stack::model::container::ContainerConfig;
use stack::model::mark;
use stack::model::name::ProjectName;
use stack::plan::observed::{FoundContainer, Observed, Scope};
use stack::plan::spec::{
    AttachmentSpec, ContainerNetwork, ContainerSpec, EndpointSpec, ExistingContainer, NetworkSpec,
    PoolSpec, Spec, VolumeSpec,
};
use stack::plan::step::{Milestone, Reason, State, Step, Undo};
use stack::world::engine::connect::Surroundings;
use stack::world::live::Live;
use stack::world::{Progress, World, WorldError};

use crate::bed::Bed;
use crate::runner::Failure;

/// A connection to the bed's engine, and a runtime to use it from.
pub struct Rig {
    runtime: tokio::runtime::Runtime,
    live: Live,
    project: ProjectName,
    state: tempfile::TempDir,
    told: Told,
}

/// What steps told.
#[derive(Default)]
struct Told {
    lines: Mutex<Vec<String>>,
}

impl Progress for Told {
    fn tell(&self, text: &str) {
        self.lines.lock().unwrap().push(text.to_owned());
    }

    fn warn(&self, text: &str) {
        self.lines.lock().unwrap().push(format!("warning: {text}"));
    }
}

impl Rig {
    /// Connects to the engine of this host.
    pub fn new(bed: &Bed) -> Result<Rig, Failure> {
        Rig::to(&bed.docker_host())
    }

    /// Connects to an engine by its address.
    pub fn to(address: &str) -> Result<Rig, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let surroundings = Surroundings {
            host: Some(address.to_owned()),
            ..Surroundings::default()
        };
        let state = tempfile::tempdir()?;
        let live = runtime.block_on(Live::connect(&surroundings, state.path().to_owned()))?;
        Ok(Rig {
            runtime,
            live,
            project: "eng".parse()?,
            state,
            told: Told::default(),
        })
    }

    /// Everything that is there; with the host's side.
    pub fn observe(&self) -> Result<Observed, Failure> {
        self.observe_with(BTreeMap::new())
    }

    /// The same, with the attachments that containers should have.
    pub fn observe_with(&self, attachments: BTreeMap<String, String>) -> Result<Observed, Failure> {
        let scope = Scope {
            project: self.project.clone(),
            images: vec!["stack-lab".to_owned(), "eng-built".to_owned()],
            doors: Vec::new(),
            attachments,
            host: self.state.path().exists(),
        };
        Ok(self.runtime.block_on(self.live.observe(&scope))?)
    }

    /// The container of this name as it is found.
    pub fn find(&self, name: &str) -> Result<FoundContainer, Failure> {
        let found = self
            .observe()?
            .containers
            .into_iter()
            .find(|container| container.name == name);
        found.ok_or_else(|| format!("there is no container `{name}`").into())
    }

    /// Takes one step.
    pub fn go(&self, before: State, after: State) -> Result<(), WorldError> {
        let spec = before
            .spec()
            .or(after.spec())
            .expect("one of the two states has a spec");
        let step = Step {
            id: spec.id(),
            before: before.clone(),
            after: after.clone(),
            reason: Reason::Missing,
            undo: Undo::Inverse,
            farewell: false,
        };
        self.runtime
            .block_on(self.live.change(&self.project, &step, &self.told))
    }

    /// Makes it, twice: the second time finds it done.
    pub fn make(&self, spec: &Spec) -> Result<(), WorldError> {
        let spec = Arc::new(spec.clone());
        let after = if matches!(*spec, Spec::Container(_)) {
            State::Running(spec)
        } else {
            State::Present(spec)
        };
        self.go(State::Absent, after.clone())?;
        self.go(State::Absent, after)
    }

    /// Removes it, twice.
    pub fn unmake(&self, spec: &Spec) -> Result<(), WorldError> {
        let spec = Arc::new(spec.clone());
        let before = if matches!(*spec, Spec::Container(_) | Spec::Existing(_)) {
            State::Running(spec)
        } else {
            State::Present(spec)
        };
        self.go(before.clone(), State::Absent)?;
        self.go(before, State::Absent)
    }

    /// Waits for a container.
    pub fn wait(&self, spec: &Spec, milestone: Milestone) -> Result<(), WorldError> {
        self.runtime
            .block_on(self.live.wait(&self.project, &spec.id(), milestone))
    }

    /// The lines that steps told since the last time.
    pub fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lines.lock().unwrap())
    }
}

/// A bridge network.
pub fn bridge(name: &str, subnet: &str) -> NetworkSpec {
    NetworkSpec {
        name: name.to_owned(),
        key: name.parse().expect("names of tests are keys"),
        driver: "bridge".to_owned(),
        options: BTreeMap::new(),
        ipam_driver: None,
        ipam_options: BTreeMap::new(),
        pools: vec![PoolSpec {
            subnet: subnet.parse().ok(),
            ip_range: None,
            gateway: None,
            aux_addresses: BTreeMap::new(),
        }],
        internal: false,
        attachable: false,
        enable_ipv4: None,
        enable_ipv6: false,
        labels: BTreeMap::new(),
    }
}

/// A volume.
pub fn volume(name: &str) -> Spec {
    Spec::Volume(VolumeSpec {
        name: name.to_owned(),
        key: name.parse().expect("names of tests are keys"),
        driver: None,
        driver_opts: BTreeMap::new(),
        labels: BTreeMap::new(),
    })
}

/// An endpoint with the alias `site`.
pub fn attachment(network: &str) -> AttachmentSpec {
    AttachmentSpec {
        network: network.to_owned(),
        aliases: vec!["site".to_owned()],
        ipv4_address: None,
        ipv6_address: None,
        link_local_ips: Vec::new(),
        mac_address: None,
        gw_priority: None,
        interface_name: None,
        driver_opts: indexmap::IndexMap::new(),
        links: Vec::new(),
    }
}

/// A live connection.
pub fn endpoint(container: &str, attachment: AttachmentSpec) -> Spec {
    Spec::Endpoint(EndpointSpec {
        container: container.to_owned(),
        attachment,
    })
}

/// A container of the lab image, with the labels that the planner would give it.
pub fn container(name: &str, network: ContainerNetwork, config: ContainerConfig) -> ContainerSpec {
    let labels = [
        (mark::PROJECT, "eng"),
        (mark::SERVICE, "web"),
        (mark::NUMBER, "1"),
        (mark::ONE_OFF, "False"),
        (mark::HASH, name),
        (mark::ATTACHMENTS, "as made"),
    ];
    ContainerSpec {
        name: name.to_owned(),
        service: "web".parse().expect("a service name"),
        number: 1,
        image: "stack-lab".to_owned(),
        config: Arc::new(config),
        network,
        ports: Vec::new(),
        expose: Vec::new(),
        volumes_from: Vec::new(),
        ipc: None,
        pid: None,
        post_start: Vec::new(),
        pre_stop: Vec::new(),
        labels: labels
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        auto_remove: false,
        heir_of: None,
    }
}

/// The spec of a container by itself.
pub fn boxed(spec: &ContainerSpec) -> Spec {
    Spec::Container(Box::new(spec.clone()))
}

/// A found container, to be stopped at once.
pub fn existing(found: &FoundContainer) -> Spec {
    Spec::Existing(ExistingContainer {
        engine_id: found.engine_id.clone(),
        name: found.parked_from().unwrap_or(&found.name).to_owned(),
        service: found.service.clone(),
        number: found.number,
        stop_timeout: Some(0),
        remove_volumes: true,
        anonymous_volumes: Vec::new(),
        pre_stop: Vec::new(),
    })
}

/// Fails unless a step was refused with this text.
pub fn refused(said: Result<(), WorldError>, wanted: &str) -> Result<(), Failure> {
    match said {
        Ok(()) => Err(format!("not refused; wanted: {wanted}").into()),
        Err(error) if error.to_string().contains(wanted) => Ok(()),
        Err(error) => {
            Err(format!("refused otherwise\n  wanted: {wanted}\n  said:   {error}").into())
        }
    }
}
