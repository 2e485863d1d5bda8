//! What the stack wants of the world: a spec for each resource and what each needs of the others. Decided from the
//! stack and from what was observed (an address that is chosen must be free, a shim that stands keeps its address).

pub mod addresses;
pub mod container;
pub mod lan;
pub mod network;
pub mod shim;

use std::sync::Arc;

use indexmap::IndexMap;

use crate::model::name::{NetworkName, ServiceName};
use crate::model::stack::Stack;
use crate::plan::observed::Observed;
use crate::plan::spec::{ImageSource, ImageSpec, ResourceId, Spec, VolumeSpec};

/// What the command line adds to the file.
#[derive(Debug, Clone)]
pub struct Wishes {
    /// What stands between the parts of a container's name: `-`, or `_` in compatibility mode.
    pub separator: &'static str,
    /// The stack is only a part of the project: what stands for the rest of it stays.
    pub partial: bool,
}

impl Default for Wishes {
    fn default() -> Wishes {
        Wishes {
            separator: "-",
            partial: false,
        }
    }
}

/// Everything that should be there, and the order it needs.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    pub specs: IndexMap<ResourceId, Arc<Spec>>,
    pub needs: Vec<Need>,
    /// The containers of each service, by number from 1.
    pub containers: IndexMap<ServiceName, Vec<ResourceId>>,
    /// The shim of each network that has one.
    pub shims: IndexMap<NetworkName, ResourceId>,
}

/// `who` cannot take the step `at` before `what` has reached `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    pub who: ResourceId,
    pub at: At,
    pub what: ResourceId,
    pub until: Until,
    /// Whether `who` goes on with a warning where `what` never gets there.
    pub optional: bool,
    /// Whether `who` is restarted when `what` is restarted or made anew.
    pub restart: bool,
    /// Whether `who` is made anew when `what` is made anew (it knows it by the engine's id).
    pub bound: bool,
}

/// Which step of a resource waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Create,
    Start,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    Created,
    Started,
    Healthy,
    Completed,
}

impl Desired {
    /// Adds a resource; the first spec of an id stays.
    pub fn add(&mut self, spec: Spec) -> ResourceId {
        let id = spec.id();
        self.specs
            .entry(id.clone())
            .or_insert_with(|| Arc::new(spec));
        id
    }

    /// Adds an ordinary need.
    pub fn need(&mut self, who: &ResourceId, at: At, what: &ResourceId, until: Until) {
        self.needs.push(Need {
            who: who.clone(),
            at,
            what: what.clone(),
            until,
            optional: false,
            restart: false,
            bound: false,
        });
    }
}

/// The containers alone, as they are where none is there yet.
pub fn containers(stack: &Stack, wishes: &Wishes) -> Desired {
    let mut desired = Desired::default();
    container::add(stack, wishes, &Observed::default(), &mut desired);
    desired
}

/// What the stack wants.
pub fn desired(stack: &Stack, wishes: &Wishes, observed: &Observed) -> Desired {
    let mut desired = Desired::default();
    lan::add(stack, wishes, observed, &mut desired);
    let shims = shim::choose(stack, wishes, observed);
    network::add(stack, observed, &shims, &mut desired);
    for volume in stack.volumes.values().filter(|volume| !volume.external) {
        desired.add(Spec::Volume(VolumeSpec {
            name: volume.name.clone(),
            key: volume.key.clone(),
            driver: volume.driver.clone(),
            driver_opts: volume.driver_opts.clone().into_iter().collect(),
            labels: volume.labels.clone().into_iter().collect(),
        }));
    }
    for service in stack.services.values() {
        add_image(service, &mut desired);
    }
    container::add(stack, wishes, observed, &mut desired);
    shim::add(stack, observed, shims, &mut desired);
    desired
}

/// An image is wanted once, by all services that name it; a service that builds it decides how it comes.
fn add_image(service: &crate::model::service::Service, desired: &mut Desired) {
    let source = match &service.build {
        Some(build) => ImageSource::Build(Box::new(build.clone())),
        None => ImageSource::Pull(service.pull_policy),
    };
    let id = ResourceId::new(crate::plan::spec::Kind::Image, &service.image);
    let platform = service.config.platform.clone();
    // Thousands of services may name one image, so the spec is added to where it lies.
    let there = desired.specs.get_mut(&id).and_then(Arc::get_mut);
    if let Some(Spec::Image(image)) = there {
        image.services.push(service.name.clone());
        image.platform = platform;
        if !matches!(image.source, ImageSource::Build(_)) {
            image.source = source;
        }
        return;
    }
    let spec = ImageSpec {
        reference: service.image.clone(),
        services: vec![service.name.clone()],
        source,
        platform,
    };
    desired.specs.insert(id, Arc::new(Spec::Image(spec)));
}
