//! What is on the machine in memory, how a step changes it, and how it is observed. Networks, volumes and images are
//! here; containers and the host's resources have files of their own.

use std::collections::BTreeMap;

use crate::model::address::overlap;
use crate::model::hash;
use crate::model::name::ProjectName;
use crate::model::service::PullPolicy;
use crate::plan::observed::{
    EngineFacts, FoundNetwork, FoundResource, FoundVolume, HostFacts, Observed, Scope,
};
use crate::plan::spec::{ImageSource, ImageSpec, NetworkSpec, ResourceId, Spec, VolumeSpec};
use crate::plan::step::{State, Step};
use crate::world::memory::containers::Container;
use crate::world::memory::subject;
use crate::world::{ErrorKind, WorldError};

/// How much of a change is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Whole,
    /// Its first part only.
    Half,
}

/// The machine.
pub struct Machine {
    pub engine: EngineFacts,
    pub host: Option<HostFacts>,
    pub networks: BTreeMap<String, FoundNetwork>,
    pub volumes: BTreeMap<String, FoundVolume>,
    /// Reference to image id.
    pub images: BTreeMap<String, String>,
    /// By engine id.
    pub containers: BTreeMap<String, Container>,
    /// The project's resources on the host.
    pub resources: BTreeMap<ResourceId, FoundResource>,
    /// How many things got an engine id.
    born: u64,
}

impl Machine {
    pub fn of(observed: &Observed) -> Machine {
        let Observed {
            engine,
            host,
            networks,
            containers,
            volumes,
            images,
            resources,
        } = observed;
        let containers: BTreeMap<String, Container> = containers
            .iter()
            .map(|found| (found.engine_id.clone(), Container::found(found, containers)))
            .collect();
        Machine {
            engine: engine.clone(),
            host: host.clone(),
            networks: networks
                .iter()
                .map(|network| (network.spec.name.clone(), network.clone()))
                .collect(),
            volumes: volumes
                .iter()
                .map(|volume| (volume.name.clone(), volume.clone()))
                .collect(),
            images: images.clone(),
            containers,
            resources: resources.clone(),
            born: 0,
        }
    }

    pub fn observed(&self, scope: Option<&Scope>) -> Observed {
        let wanted =
            |reference: &String| scope.is_none_or(|scope| scope.images.contains(reference));
        let containers = self.containers.values();
        Observed {
            engine: self.engine.clone(),
            host: self.host.clone(),
            networks: self.networks.values().cloned().collect(),
            containers: containers.map(|own| self.found_container(own)).collect(),
            volumes: self.volumes.values().cloned().collect(),
            images: self
                .images
                .iter()
                .filter(|(reference, _)| wanted(reference))
                .map(|(reference, id)| (reference.clone(), id.clone()))
                .collect(),
            resources: self.resources.clone(),
        }
    }

    /// Takes one resource to where the step leads.
    pub fn change(
        &mut self,
        project: &ProjectName,
        step: &Step,
        extent: Extent,
    ) -> Result<(), WorldError> {
        let Some(spec) = subject(step) else {
            return Ok(());
        };
        let has_parts = match spec {
            Spec::Lan(_) | Spec::Shim(_) | Spec::Container(_) | Spec::Existing(_) => true,
            Spec::Link(_) | Spec::Promiscuity(_) | Spec::Network(_) | Spec::Route(_) => false,
            Spec::Volume(_) | Spec::Image(_) | Spec::Endpoint(_) | Spec::Door(_) => false,
        };
        if extent == Extent::Half && !has_parts {
            return Ok(());
        }
        let wanted = step.after.spec().is_some();
        match spec {
            Spec::Network(spec) if wanted => self.add_network(project, spec),
            Spec::Network(spec) => self.remove_network(project, spec),
            Spec::Volume(spec) if wanted => self.add_volume(project, spec),
            Spec::Volume(spec) => self.remove_volume(project, spec),
            Spec::Image(spec) if wanted => self.add_image(spec),
            Spec::Image(spec) => {
                self.images.remove(&spec.reference);
                Ok(())
            }
            Spec::Container(spec) => match &step.after {
                State::Absent => self.remove_container(project, spec, extent),
                State::Present(_) => {
                    let id = self.make_container(project, spec)?;
                    self.stop(&id);
                    Ok(())
                }
                State::Running(_) => {
                    let id = self.make_container(project, spec)?;
                    match extent {
                        Extent::Whole => self.start(&id),
                        Extent::Half => Ok(()),
                    }
                }
                State::Parked(_) => Err(WorldError::new(
                    ErrorKind::Refused,
                    format!("cannot park container `{}`", spec.name),
                    "only one that is known by its engine id can be parked",
                )),
            },
            Spec::Existing(spec) => self.change_existing(project, spec, &step.after, extent),
            Spec::Endpoint(spec) if wanted => self.connect(project, spec),
            Spec::Endpoint(spec) => self.disconnect(project, spec),
            Spec::Lan(_)
            | Spec::Link(_)
            | Spec::Promiscuity(_)
            | Spec::Shim(_)
            | Spec::Route(_)
            | Spec::Door(_) => {
                if wanted {
                    self.add_resource(project, spec, extent)
                } else {
                    self.remove_resource(spec, extent);
                    Ok(())
                }
            }
        }
    }

    /// A new engine id: 64 hexadecimal digits, the same in every run.
    pub fn new_id(&mut self) -> String {
        loop {
            self.born += 1;
            let id = hash::of(&self.born);
            let mut networks = self.networks.values();
            let taken = networks.any(|network| network.engine_id == id);
            if !taken && !self.containers.contains_key(&id) {
                return id;
            }
        }
    }

    fn add_network(&mut self, project: &ProjectName, spec: &NetworkSpec) -> Result<(), WorldError> {
        let refused = |kind: ErrorKind, said: String| {
            let act = format!("cannot create network `{}`", spec.name);
            Err(WorldError::new(kind, act, said))
        };
        let digest = hash::of(spec);
        if let Some(found) = self.networks.get(&spec.name) {
            let same = found.project.as_deref() == Some(project.as_str())
                && (found.hash.as_ref() == Some(&digest) || found.spec == *spec);
            return if same {
                Ok(())
            } else {
                refused(ErrorKind::Taken, "the name is taken".to_owned())
            };
        }
        for other in self.networks.values() {
            let others = other.spec.pools.iter().filter_map(|pool| pool.subnet);
            for theirs in others {
                let own = spec.pools.iter().filter_map(|pool| pool.subnet);
                if own.into_iter().any(|own| overlap(&own, &theirs)) {
                    return refused(
                        ErrorKind::Refused,
                        "Pool overlaps with other one on this address space".to_owned(),
                    );
                }
            }
        }
        if let Some(parent) = spec.options.get("parent") {
            let same = |other: &&FoundNetwork| {
                other.spec.driver == spec.driver && other.spec.options.get("parent") == Some(parent)
            };
            if let Some(other) = self.networks.values().find(same) {
                let said = format!(
                    "network {} is already using parent interface {parent}",
                    other.spec.name
                );
                return refused(ErrorKind::Refused, said);
            }
            let missing = self
                .host
                .as_ref()
                .is_some_and(|host| host.link(parent).is_none());
            if missing {
                return refused(ErrorKind::Refused, format!("there is no link {parent}"));
            }
        }
        let found = FoundNetwork {
            engine_id: self.new_id(),
            spec: spec.clone(),
            scope: match spec.driver.as_str() {
                "overlay" => "swarm".to_owned(),
                _ => "local".to_owned(),
            },
            project: Some(project.to_string()),
            key: Some(spec.key.clone()),
            hash: Some(digest),
            compose_hash: None,
        };
        self.networks.insert(spec.name.clone(), found);
        Ok(())
    }

    fn remove_network(
        &mut self,
        project: &ProjectName,
        spec: &NetworkSpec,
    ) -> Result<(), WorldError> {
        let Some(found) = self.networks.get(&spec.name) else {
            return Ok(());
        };
        if found.project.as_deref() != Some(project.as_str()) {
            return Ok(());
        }
        let user = self.containers.values().find(|container| {
            let endpoints = &container.found.endpoints;
            container.found.runs()
                && endpoints
                    .iter()
                    .any(|own| own.network_id == found.engine_id)
        });
        if let Some(user) = user {
            return Err(WorldError::new(
                ErrorKind::InUse,
                format!("cannot remove network `{}`", spec.name),
                format!("it has active endpoints ({})", user.found.name),
            ));
        }
        self.networks.remove(&spec.name);
        Ok(())
    }

    fn add_volume(&mut self, project: &ProjectName, spec: &VolumeSpec) -> Result<(), WorldError> {
        let volume = FoundVolume {
            name: spec.name.clone(),
            project: Some(project.to_string()),
            key: Some(spec.key.clone()),
            hash: Some(hash::of(&Spec::Volume(spec.clone()))),
            driver: spec.driver.clone().unwrap_or_else(|| "local".to_owned()),
        };
        // Creating a volume that is there is success, whoever made it.
        self.volumes.entry(spec.name.clone()).or_insert(volume);
        Ok(())
    }

    fn remove_volume(
        &mut self,
        project: &ProjectName,
        spec: &VolumeSpec,
    ) -> Result<(), WorldError> {
        let ours = self
            .volumes
            .get(&spec.name)
            .is_some_and(|found| found.project.as_deref() == Some(project.as_str()));
        if !ours {
            return Ok(());
        }
        let mut containers = self.containers.values();
        if let Some(user) = containers.find(|own| own.found.volumes.contains(&spec.name)) {
            return Err(WorldError::new(
                ErrorKind::InUse,
                format!("cannot remove volume `{}`", spec.name),
                format!("volume is in use by {}", user.found.name),
            ));
        }
        self.volumes.remove(&spec.name);
        Ok(())
    }

    fn add_image(&mut self, spec: &ImageSpec) -> Result<(), WorldError> {
        let id = match &spec.source {
            ImageSource::Pull(PullPolicy::Never) => {
                return match self.images.contains_key(&spec.reference) {
                    true => Ok(()),
                    false => Err(WorldError::new(
                        ErrorKind::Missing,
                        format!("cannot use image `{}`", spec.reference),
                        "it is not there and may not be pulled",
                    )),
                };
            }
            ImageSource::Pull(
                PullPolicy::Always | PullPolicy::Missing | PullPolicy::Build | PullPolicy::Every(_),
            ) => hash::of(&spec.reference),
            ImageSource::Build(build) => hash::of(build),
        };
        self.images
            .insert(spec.reference.clone(), format!("sha256:{id}"));
        Ok(())
    }
}
