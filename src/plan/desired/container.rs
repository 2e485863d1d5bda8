//! The containers of each service: names, endpoints, links, labels, and what each waits for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::container::MountSource;
use crate::model::hash;
use crate::model::mark;
use crate::model::name::ServiceName;
use crate::model::network::Driver;
use crate::model::service::{Condition, Connection, Service, Sharing, VolumeSource};
use crate::model::stack::Stack;
use crate::plan::desired::{At, Desired, Need, Until, Wishes};
use crate::plan::observed::Observed;
use crate::plan::spec::{
    AttachmentSpec, ContainerNetwork, ContainerSpec, Kind, NamespaceRef, ResourceId, Spec,
};

/// Adds the containers of all services.
pub fn add(stack: &Stack, wishes: &Wishes, observed: &Observed, desired: &mut Desired) {
    let naming = Naming {
        stack,
        wishes,
        numbers: numbers(stack, observed),
    };
    for service in stack.services.values() {
        let config = Arc::clone(&service.config);
        let labels = common_labels(stack, service);
        let mut ids = Vec::new();
        for &number in naming.numbers(&service.name) {
            let mut spec = ContainerSpec {
                name: naming.container(service, number),
                service: service.name.clone(),
                number,
                image: service.image.clone(),
                config: Arc::clone(&config),
                network: network(&naming, service, number),
                ports: service.ports.clone(),
                expose: service.expose.clone(),
                volumes_from: volumes_from(&naming, service),
                ipc: service
                    .ipc
                    .as_ref()
                    .and_then(|sharing| namespace(&naming, sharing, number)),
                pid: service
                    .pid
                    .as_ref()
                    .and_then(|sharing| namespace(&naming, sharing, number)),
                post_start: service.post_start.clone(),
                pre_stop: service.pre_stop.clone(),
                labels: BTreeMap::new(),
                auto_remove: false,
                heir_of: None,
            };
            spec.labels = labels_of(&spec, &labels);
            ids.push(desired.add(Spec::Container(Box::new(spec))));
        }
        desired.containers.insert(service.name.clone(), ids);
    }
    for service in stack.services.values() {
        add_needs(service, desired);
    }
}

/// The hash of a container spec: all but what can be changed live (its attachments) and what is decided by where the
/// file lies (Compose's labels).
pub fn spec_hash(spec: &ContainerSpec) -> String {
    let mut bare = spec.clone();
    bare.labels = BTreeMap::new();
    if let ContainerNetwork::Attached(_) = bare.network {
        bare.network = ContainerNetwork::Attached(Vec::new());
    }
    hash::of(&bare)
}

/// The text of the attachments' label.
pub fn attachments_label(spec: &ContainerSpec) -> Option<String> {
    match &spec.network {
        ContainerNetwork::Attached(attachments) => serde_json::to_string(attachments).ok(),
        ContainerNetwork::Host
        | ContainerNetwork::None
        | ContainerNetwork::DefaultBridge { .. } => None,
        ContainerNetwork::Container(_) | ContainerNetwork::Named(_) => None,
    }
}

/// The numbers of each service's containers: those that are there, the lowest first, and where there are too few the
/// lowest free ones. So a service that somebody took containers from keeps the others.
fn numbers<'a>(stack: &'a Stack, observed: &Observed) -> HashMap<&'a ServiceName, Vec<u32>> {
    let mut there: HashMap<&ServiceName, BTreeSet<u32>> = HashMap::new();
    for found in &observed.containers {
        let is_own = found.project.as_deref() == Some(stack.project.as_str());
        if let Some(service) = &found.service
            && is_own
            && !found.one_off
            && found.number > 0
        {
            there.entry(service).or_default().insert(found.number);
        }
    }
    let of = |service: &Service| {
        let scale = usize::try_from(service.scale).unwrap_or(usize::MAX);
        let there = there.get(&service.name);
        let mut numbers: BTreeSet<u32> = there.into_iter().flatten().take(scale).copied().collect();
        let mut next = 1;
        while numbers.len() < scale {
            numbers.insert(next);
            next += 1;
        }
        numbers.into_iter().collect()
    };
    stack
        .services
        .values()
        .map(|service| (&service.name, of(service)))
        .collect()
}

struct Naming<'a> {
    stack: &'a Stack,
    wishes: &'a Wishes,
    numbers: HashMap<&'a ServiceName, Vec<u32>>,
}

impl Naming<'_> {
    /// The numbers of a service's containers, in their order.
    fn numbers(&self, service: &ServiceName) -> &[u32] {
        self.numbers.get(service).map_or(&[], Vec::as_slice)
    }

    fn container(&self, service: &Service, number: u32) -> String {
        match &service.container_name {
            Some(name) => name.clone(),
            None => {
                let separator = self.wishes.separator;
                format!(
                    "{}{separator}{}{separator}{number}",
                    self.stack.project, service.name
                )
            }
        }
    }

    /// The container of a service that stands beside container `number` of another: the one with the same number
    /// where there is one, else the first.
    fn beside(&self, name: &ServiceName, number: u32) -> Option<String> {
        let service = self.stack.services.get(name)?;
        let numbers = self.numbers(name);
        let first = numbers.first().copied().unwrap_or(1);
        let number = match numbers.binary_search(&number) {
            Ok(_) => number,
            Err(_) => first,
        };
        Some(self.container(service, number))
    }

    fn all(&self, name: &ServiceName) -> Vec<(String, u32)> {
        let Some(service) = self.stack.services.get(name) else {
            return Vec::new();
        };
        self.numbers(name)
            .iter()
            .map(|&number| (self.container(service, number), number))
            .collect()
    }
}

fn network(naming: &Naming, service: &Service, number: u32) -> ContainerNetwork {
    match &service.connection {
        Connection::Host => ContainerNetwork::Host,
        Connection::None => ContainerNetwork::None,
        Connection::DefaultBridge => ContainerNetwork::DefaultBridge {
            links: links(naming, service),
        },
        Connection::Service(owner) => match naming.beside(owner, number) {
            Some(name) => ContainerNetwork::Container(name),
            None => ContainerNetwork::Container(owner.to_string()),
        },
        Connection::Container(name) => ContainerNetwork::Container(name.clone()),
        Connection::Named(name) => ContainerNetwork::Named(name.clone()),
        Connection::Networks(networks) => {
            let own = networks.iter().find_map(|(key, _)| {
                match naming.stack.networks.get(key).map(|n| &n.driver) {
                    Some(Driver::Host) => Some(ContainerNetwork::Host),
                    Some(Driver::None) => Some(ContainerNetwork::None),
                    Some(Driver::DefaultBridge) => Some(ContainerNetwork::DefaultBridge {
                        links: links(naming, service),
                    }),
                    Some(
                        Driver::Bridge
                        | Driver::Macvlan(_)
                        | Driver::Ipvlan(..)
                        | Driver::Overlay
                        | Driver::Plugin(_),
                    )
                    | None => None,
                }
            });
            own.unwrap_or_else(|| ContainerNetwork::Attached(attachments(naming, service, number)))
        }
    }
}

/// The endpoints, the primary network first: the highest `priority`, then by key, as Compose has it.
fn attachments(naming: &Naming, service: &Service, number: u32) -> Vec<AttachmentSpec> {
    let Connection::Networks(networks) = &service.connection else {
        return Vec::new();
    };
    let mut order: Vec<_> = networks.iter().collect();
    order.sort_by(|(one_key, one), (two_key, two)| {
        two.priority.cmp(&one.priority).then(one_key.cmp(two_key))
    });
    let links = links(naming, service);
    let name = naming.container(service, number);
    let mut specs: Vec<AttachmentSpec> = Vec::new();
    for (key, attachment) in order {
        let network = naming
            .stack
            .networks
            .get(key)
            .map_or_else(|| key.to_string(), |network| network.name.clone());
        let mut aliases = vec![name.clone()];
        for alias in std::iter::once(service.name.as_str())
            .chain(attachment.aliases.iter().map(String::as_str))
        {
            if !aliases.iter().any(|known| known == alias) {
                aliases.push(alias.to_owned());
            }
        }
        let mac_address = attachment
            .mac_address
            .or(service.mac_address.filter(|_| specs.is_empty()));
        specs.push(AttachmentSpec {
            network,
            aliases,
            ipv4_address: attachment.ipv4_address,
            ipv6_address: attachment.ipv6_address,
            link_local_ips: attachment.link_local_ips.clone(),
            mac_address,
            gw_priority: attachment.gw_priority,
            interface_name: attachment.interface_name.clone(),
            driver_opts: attachment.driver_opts.clone(),
            links: links.clone(),
        });
    }
    specs
}

/// Private names: for each container of a linked service its alias and `SERVICE-N` with *its own* number, where
/// Compose writes the number of the container that links.
fn links(naming: &Naming, service: &Service) -> Vec<(String, String)> {
    let mut names: Vec<(String, String)> = Vec::new();
    for link in &service.links {
        for (container, number) in naming.all(&link.service) {
            names.push((container.clone(), link.alias.clone()));
            names.push((container.clone(), format!("{}-{number}", link.service)));
            names.push((container.clone(), container));
        }
    }
    names.extend(service.external_links.iter().cloned());
    names.dedup();
    names
}

fn volumes_from(naming: &Naming, service: &Service) -> Vec<String> {
    let mut sources = Vec::new();
    for source in &service.volumes_from {
        let suffix = if source.read_only { ":ro" } else { "" };
        match &source.from {
            VolumeSource::Container(name) => sources.push(format!("{name}{suffix}")),
            VolumeSource::Service(name) => {
                sources.extend(
                    naming
                        .beside(name, 1)
                        .map(|container| format!("{container}{suffix}")),
                );
            }
        }
    }
    sources
}

fn namespace(naming: &Naming, sharing: &Sharing, number: u32) -> Option<NamespaceRef> {
    match sharing {
        Sharing::Service(name) => naming.beside(name, number).map(NamespaceRef::Container),
        Sharing::Other(word) => Some(NamespaceRef::Word(word.clone())),
    }
}

fn common_labels(stack: &Stack, service: &Service) -> BTreeMap<String, String> {
    let paths = |paths: &[std::path::PathBuf]| {
        paths
            .iter()
            .map(|path| path.display().to_string())
            .collect::<Vec<_>>()
            .join(",")
    };
    let depends: Vec<String> = service
        .depends_on
        .iter()
        .map(|(name, dependency)| {
            let condition = match dependency.condition {
                Condition::Started => "service_started",
                Condition::Healthy => "service_healthy",
                Condition::CompletedSuccessfully => "service_completed_successfully",
            };
            format!("{name}:{condition}:{}", dependency.restart)
        })
        .collect();
    let mut labels: BTreeMap<String, String> = service.config.labels.clone().into_iter().collect();
    labels.extend(
        [
            (mark::PROJECT, stack.project.to_string()),
            (mark::SERVICE, service.name.to_string()),
            (mark::ONE_OFF, "False".to_owned()),
            (mark::WORKING_DIR, stack.directory.display().to_string()),
            (mark::CONFIG_FILES, paths(&stack.files)),
            (mark::DEPENDS_ON, depends.join(",")),
            (mark::COMPOSE_VERSION, env!("CARGO_PKG_VERSION").to_owned()),
            (mark::VERSION, env!("CARGO_PKG_VERSION").to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    if !stack.environment_files.is_empty() {
        labels.insert(
            mark::ENVIRONMENT_FILE.to_owned(),
            paths(&stack.environment_files),
        );
    }
    labels
}

fn labels_of(spec: &ContainerSpec, common: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut labels = common.clone();
    let digest = spec_hash(spec);
    labels.insert(mark::NUMBER.to_owned(), spec.number.to_string());
    labels.insert(mark::CONFIG_HASH.to_owned(), digest.clone());
    labels.insert(mark::HASH.to_owned(), digest);
    labels.extend(attachments_label(spec).map(|text| (mark::ATTACHMENTS.to_owned(), text)));
    labels
}

/// What the containers of a service wait for.
fn add_needs(service: &Service, desired: &mut Desired) {
    let image = ResourceId::new(Kind::Image, &service.image);
    let ids = desired
        .containers
        .get(&service.name)
        .cloned()
        .unwrap_or_default();
    for id in &ids {
        let Some(Spec::Container(spec)) = desired.specs.get(id).map(|spec| spec.as_ref().clone())
        else {
            continue;
        };
        desired.need(id, At::Create, &image, Until::Created);
        for resource in resources_of(&spec) {
            if desired.specs.contains_key(&resource) {
                desired.need(id, At::Create, &resource, Until::Created);
            }
        }
        for donor in donors(&spec) {
            let donor = ResourceId::new(Kind::Container, donor);
            if desired.specs.contains_key(&donor) {
                bind(id, &donor, desired);
            }
        }
        for (name, dependency) in &service.depends_on {
            let until = match dependency.condition {
                Condition::Started => Until::Started,
                Condition::Healthy => Until::Healthy,
                Condition::CompletedSuccessfully => Until::Completed,
            };
            for what in desired.containers.get(name).cloned().unwrap_or_default() {
                desired.needs.push(Need {
                    who: id.clone(),
                    at: At::Start,
                    what,
                    until,
                    optional: !dependency.required,
                    restart: dependency.restart,
                    bound: false,
                });
            }
        }
    }
}

/// The container is made anew when its donor is, and restarted when the donor is: it knows the donor by the engine's
/// id, and joins a namespace that lives as long as the donor's process.
fn bind(id: &ResourceId, donor: &ResourceId, desired: &mut Desired) {
    for (at, until) in [(At::Create, Until::Created), (At::Start, Until::Started)] {
        desired.needs.push(Need {
            who: id.clone(),
            at,
            what: donor.clone(),
            until,
            optional: false,
            restart: true,
            bound: true,
        });
    }
}

/// Networks and volumes by the engine's names.
fn resources_of(spec: &ContainerSpec) -> Vec<ResourceId> {
    let mut resources = Vec::new();
    match &spec.network {
        ContainerNetwork::Attached(attachments) => {
            resources.extend(
                attachments
                    .iter()
                    .map(|a| ResourceId::new(Kind::Network, &a.network)),
            );
        }
        ContainerNetwork::Named(name) => resources.push(ResourceId::new(Kind::Network, name)),
        ContainerNetwork::Host | ContainerNetwork::None => {}
        ContainerNetwork::DefaultBridge { .. } | ContainerNetwork::Container(_) => {}
    }
    for mount in &spec.config.mounts {
        match &mount.source {
            MountSource::Volume {
                name: Some(name), ..
            } => resources.push(ResourceId::new(Kind::Volume, name)),
            MountSource::Volume { name: None, .. }
            | MountSource::Bind { .. }
            | MountSource::Tmpfs { .. } => {}
            MountSource::Image { .. }
            | MountSource::NamedPipe { .. }
            | MountSource::Cluster { .. } => {}
        }
    }
    resources
}

/// The containers that this one knows by the engine's id: namespaces, volumes, links on the default bridge.
fn donors(spec: &ContainerSpec) -> Vec<String> {
    let mut donors: Vec<String> = Vec::new();
    match &spec.network {
        ContainerNetwork::Container(name) => donors.push(name.clone()),
        ContainerNetwork::DefaultBridge { links } => {
            donors.extend(links.iter().map(|(name, _)| name.clone()))
        }
        ContainerNetwork::Host | ContainerNetwork::None => {}
        ContainerNetwork::Named(_) | ContainerNetwork::Attached(_) => {}
    }
    for reference in [&spec.ipc, &spec.pid].into_iter().flatten() {
        if let NamespaceRef::Container(name) = reference {
            donors.push(name.clone());
        }
    }
    donors.extend(
        spec.volumes_from
            .iter()
            .map(|source| source.trim_end_matches(":ro").to_owned()),
    );
    donors.sort();
    donors.dedup();
    donors
}
