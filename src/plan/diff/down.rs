//! `down`: the plan that leaves nothing behind. It is made from what is there alone; the file is not needed, and where
//! there is one it only says which containers are orphans.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::mark;
use crate::model::name::ProjectName;
use crate::plan::diff::PlanError;
use crate::plan::diff::container;
use crate::plan::diff::draft::Draft;
use crate::plan::diff::order;
use crate::plan::observed::{FoundContainer, Observed};
use crate::plan::spec::{ImageSource, ImageSpec, Kind, NetworkSpec, ResourceId, Spec, VolumeSpec};
use crate::plan::step::{Plan, Reason, State, Step, StepIndex, Undo};

/// What the command line wants of `down`.
#[derive(Debug, Clone, Default)]
pub struct DownOptions {
    /// Seconds until a container that does not stop is killed; none is the container's own.
    pub timeout: Option<u32>,
    /// Named volumes of the project and anonymous ones of its containers go too.
    pub volumes: bool,
    /// Images to remove, by reference.
    pub images: Vec<String>,
    /// Only containers of these services, and nothing else.
    pub only: Option<BTreeSet<String>>,
    /// Containers of services that are not these stay; none removes all.
    pub known: Option<BTreeSet<String>>,
}

/// The plan for `down`.
pub fn down(
    project: &ProjectName,
    observed: &Observed,
    options: &DownOptions,
) -> Result<Plan, PlanError> {
    match write(project, observed, options, true) {
        // Labels of different ages may contradict each other; then the order among containers is given up.
        Err(PlanError::Cycle(_)) => write(project, observed, options, false),
        plan => plan,
    }
}

/// Whether a plan is about containers of these services only.
pub fn is_about(plan: &Plan, services: Option<&BTreeSet<String>>) -> bool {
    let Some(services) = services else {
        return true;
    };
    plan.steps.iter().all(|step| {
        let spec = step.before.spec().or(step.after.spec());
        let service = match spec.map(AsRef::as_ref) {
            Some(Spec::Container(own)) => Some(&own.service),
            Some(Spec::Existing(own)) => own.service.as_ref(),
            Some(
                Spec::Lan(_)
                | Spec::Link(_)
                | Spec::Promiscuity(_)
                | Spec::Network(_)
                | Spec::Shim(_)
                | Spec::Route(_)
                | Spec::Volume(_)
                | Spec::Image(_)
                | Spec::Endpoint(_)
                | Spec::Door(_),
            )
            | None => return true,
        };
        service.is_some_and(|service| services.contains(service.as_str()))
    })
}

/// Whether a step of an unfinished run took away what `down` removes: bringing it back first would be in vain, and may
/// be impossible. What such a run made is taken back all the same; a volume of it is nothing that `down` would remove.
pub fn is_moot(step: &Step) -> bool {
    match (&step.before, &step.after) {
        (State::Present(_) | State::Running(_), State::Absent | State::Parked(_)) => true,
        (State::Running(_), State::Present(_)) => true,
        (State::Absent, _) | (State::Parked(_), _) => false,
        (State::Present(_), State::Present(_) | State::Running(_)) => false,
        (State::Running(_), State::Running(_)) => false,
    }
}

fn write(
    project: &ProjectName,
    observed: &Observed,
    options: &DownOptions,
    ordered: bool,
) -> Result<Plan, PlanError> {
    let mut draft = Draft::default();
    let (going, staying): (Vec<&FoundContainer>, Vec<&FoundContainer>) = observed
        .containers
        .iter()
        .filter(|found| found.project.as_deref() == Some(project.as_str()))
        .partition(|found| goes(found, options));
    let mut steps: Vec<(&FoundContainer, StepIndex)> = Vec::new();
    for found in &going {
        steps.push((found, remove_container(&mut draft, found, options)));
    }
    if ordered {
        dependents_first(&mut draft, &steps);
    }
    if options.only.is_none() {
        let mut off: BTreeMap<&str, Vec<StepIndex>> = BTreeMap::new();
        for (found, step) in &steps {
            for endpoint in &found.endpoints {
                off.entry(endpoint.network.as_str())
                    .or_default()
                    .push(*step);
            }
        }
        let kept = kept_networks(observed, &staying);
        let resources = remove_resources(&mut draft, observed, &steps, &kept);
        remove_networks(&mut draft, project, observed, &off, &resources, &kept);
        if options.volumes {
            remove_volumes(&mut draft, project, observed, &steps, &staying);
        }
    }
    for reference in &options.images {
        remove_image(&mut draft, reference, &steps);
    }
    draft.finish(project)
}

fn goes(found: &FoundContainer, options: &DownOptions) -> bool {
    let of = |services: &BTreeSet<String>| {
        found
            .service
            .as_ref()
            .is_some_and(|name| services.contains(name.as_str()))
    };
    options.only.as_ref().is_none_or(of) && options.known.as_ref().is_none_or(of)
}

fn gone(id: ResourceId, before: State) -> Step {
    Step {
        id,
        before,
        after: State::Absent,
        reason: Reason::Down,
        undo: Undo::Never,
        farewell: false,
    }
}

fn remove_container(draft: &mut Draft, found: &FoundContainer, options: &DownOptions) -> StepIndex {
    let mut existing = container::existing(found, options.timeout);
    if options.volumes {
        existing.remove_volumes = true;
        existing.anonymous_volumes = found.anonymous_volumes();
    }
    let name = found.parked_from().unwrap_or(&found.name).to_owned();
    let spec = Arc::new(Spec::Existing(existing));
    let before = match (found.parked_from(), found.runs()) {
        (Some(_), _) => State::Parked(spec),
        (None, true) => State::Running(spec),
        (None, false) => State::Present(spec),
    };
    draft.push(gone(ResourceId::new(Kind::Container, name), before))
}

/// A container goes after all that depend on it: by Compose's label, and by shared namespaces.
fn dependents_first(draft: &mut Draft, steps: &[(&FoundContainer, StepIndex)]) {
    for (needed, dependent) in dependencies(steps) {
        draft.after(dependent, needed);
    }
}

/// Pairs of steps: the one of a container, and the one of another that depends on it.
pub fn dependencies(steps: &[(&FoundContainer, StepIndex)]) -> Vec<(StepIndex, StepIndex)> {
    let mut by_service: HashMap<&str, Vec<StepIndex>> = HashMap::new();
    let mut by_id: HashMap<&str, StepIndex> = HashMap::new();
    for (found, step) in steps {
        by_id.insert(&found.engine_id, *step);
        if let Some(service) = found.service.as_ref().filter(|_| !found.one_off) {
            by_service.entry(service.as_str()).or_default().push(*step);
        }
    }
    let mut pairs = Vec::new();
    for (found, step) in steps {
        for service in depends_on(found) {
            pairs.extend(
                by_service
                    .get(service)
                    .into_iter()
                    .flatten()
                    .map(|needed| (*needed, *step)),
            );
        }
        let owner = found
            .network_mode
            .strip_prefix("container:")
            .and_then(|id| by_id.get(id));
        pairs.extend(owner.map(|needed| (*needed, *step)));
    }
    pairs
}

/// The services that a container's label says it depends on.
pub fn depends_on(found: &FoundContainer) -> impl Iterator<Item = &str> {
    let label = found
        .labels
        .get(mark::DEPENDS_ON)
        .map_or("", String::as_str);
    label
        .split(',')
        .filter_map(|entry| entry.split(':').next())
        .filter(|service| !service.is_empty())
}

/// The networks that a container which stays and runs is attached to: they cannot go before it.
pub fn kept_networks<'a>(
    observed: &'a Observed,
    staying: &[&FoundContainer],
) -> Vec<&'a NetworkSpec> {
    let attached = staying.iter().filter(|found| found.runs());
    let names: BTreeSet<&str> = attached
        .flat_map(|found| &found.endpoints)
        .map(|endpoint| endpoint.network.as_str())
        .collect();
    let networks = observed.networks.iter().map(|found| &found.spec);
    networks
        .filter(|network| names.contains(network.name.as_str()))
        .collect()
}

/// Everything of ours on the host, what stands on others first; but not what a network that stays stands on.
fn remove_resources(
    draft: &mut Draft,
    observed: &Observed,
    containers: &[(&FoundContainer, StepIndex)],
    kept: &[&NetworkSpec],
) -> Vec<(Kind, StepIndex, Spec)> {
    let mut removals: Vec<(Kind, StepIndex, Spec)> = Vec::new();
    for (id, found) in &observed.resources {
        if kept
            .iter()
            .any(|network| order::is_on(network, &found.spec))
        {
            continue;
        }
        let step = draft.push(gone(
            id.clone(),
            State::Present(Arc::new(found.spec.clone())),
        ));
        for (kind, other, _) in &removals {
            order::by_kind(draft, (*kind, *other), (id.kind, step));
        }
        removals.push((id.kind, step, found.spec.clone()));
    }
    // What containers stand on goes after them. Their own networks come between, where they have any.
    for (kind, step, _) in &removals {
        if matches!(kind, Kind::Link | Kind::Lan | Kind::Promiscuity) {
            for (_, container) in containers {
                draft.after(*container, *step);
            }
        }
    }
    removals
}

fn remove_networks(
    draft: &mut Draft,
    project: &ProjectName,
    observed: &Observed,
    off: &BTreeMap<&str, Vec<StepIndex>>,
    resources: &[(Kind, StepIndex, Spec)],
    kept: &[&NetworkSpec],
) {
    let own = observed
        .networks
        .iter()
        .filter(|found| found.project.as_deref() == Some(project.as_str()));
    for found in own.filter(|found| !kept.contains(&&found.spec)) {
        let id = ResourceId::new(Kind::Network, &found.spec.name);
        let step = draft.push(gone(
            id,
            State::Present(Arc::new(Spec::Network(found.spec.clone()))),
        ));
        for container in off.get(found.spec.name.as_str()).into_iter().flatten() {
            draft.after(*container, step);
        }
        for (kind, resource, spec) in resources {
            match kind {
                Kind::Shim | Kind::Route | Kind::Door => {
                    if order::serves(spec, &found.spec.name) {
                        draft.after(*resource, step);
                    }
                }
                Kind::Link | Kind::Lan | Kind::Promiscuity => {
                    if order::is_on(&found.spec, spec) {
                        draft.after(step, *resource);
                    }
                }
                Kind::Network | Kind::Volume | Kind::Image | Kind::Container | Kind::Endpoint => {}
            }
        }
    }
}

fn remove_volumes(
    draft: &mut Draft,
    project: &ProjectName,
    observed: &Observed,
    containers: &[(&FoundContainer, StepIndex)],
    staying: &[&FoundContainer],
) {
    let own = observed
        .volumes
        .iter()
        .filter(|found| found.project.as_deref() == Some(project.as_str()));
    let is_free =
        |name: &String| !(staying.iter()).any(|container| container.volumes.contains(name));
    for found in own.filter(|found| is_free(&found.name)) {
        let Some(key) = &found.key else { continue };
        let spec = Spec::Volume(VolumeSpec {
            name: found.name.clone(),
            key: key.clone(),
            driver: Some(found.driver.clone()),
            driver_opts: BTreeMap::new(),
            labels: BTreeMap::new(),
        });
        let step = draft.push(gone(
            ResourceId::new(Kind::Volume, &found.name),
            State::Present(Arc::new(spec)),
        ));
        for (container, removal) in containers {
            if container.volumes.contains(&found.name) {
                draft.after(*removal, step);
            }
        }
    }
}

fn remove_image(draft: &mut Draft, reference: &str, containers: &[(&FoundContainer, StepIndex)]) {
    let spec = Spec::Image(ImageSpec {
        reference: reference.to_owned(),
        services: Vec::new(),
        source: ImageSource::Pull(crate::model::service::PullPolicy::Never),
        platform: None,
    });
    let step = draft.push(gone(
        ResourceId::new(Kind::Image, reference),
        State::Present(Arc::new(spec)),
    ));
    for (container, removal) in containers {
        if container.image == reference {
            draft.after(*removal, step);
        }
    }
}
