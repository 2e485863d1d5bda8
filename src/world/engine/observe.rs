//! One look at the engine: a handful of lists at once, and a look at single containers only where a list does not tell
//! what is needed (aliases of endpoints, namespaces that are shared).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use bollard::models::{
    ContainerInspectResponse, ContainerSummary, ContainerSummaryStateEnum, EndpointSettings,
    ImageSummary, PortSummaryTypeEnum,
};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptions, ListNetworksOptions, ListVolumesOptions,
};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::model::mark;
use crate::model::port::{PortRange, Protocol, PublishedPort};
use crate::plan::observed::{ContainerState, FoundContainer, FoundEndpoint, Observed, Scope};
use crate::world::WorldError;
use crate::world::engine::error::refused;
use crate::world::engine::reference::Reference;
use crate::world::engine::{Engine, inspect, network, volume};

/// The engine's part of an observation; the host's part is empty.
///
/// All containers of the engine are told, those of other projects too: they hold names, addresses and namespaces. One
/// list of all costs no more than a filtered one.
pub async fn observe(engine: &Engine, scope: &Scope) -> Result<Observed, WorldError> {
    let (facts, networks, containers, volumes, images) = tokio::try_join!(
        engine.facts(),
        networks(engine),
        containers(engine, scope),
        volumes(engine),
        images(engine, &scope.images),
    )?;
    Ok(Observed {
        engine: facts.clone(),
        host: None,
        networks,
        containers,
        volumes,
        images,
        resources: BTreeMap::new(),
    })
}

async fn networks(engine: &Engine) -> Result<Vec<crate::plan::observed::FoundNetwork>, WorldError> {
    let list = engine
        .docker()
        .list_networks(None::<ListNetworksOptions>)
        .await;
    let mut found: Vec<_> = list
        .map_err(|error| refused("cannot list networks", error))?
        .iter()
        .map(network::found)
        .collect();
    found.sort_by(|one, two| one.spec.name.cmp(&two.spec.name));
    Ok(found)
}

async fn volumes(engine: &Engine) -> Result<Vec<crate::plan::observed::FoundVolume>, WorldError> {
    let list = engine
        .docker()
        .list_volumes(None::<ListVolumesOptions>)
        .await;
    let list = list.map_err(|error| refused("cannot list volumes", error))?;
    let mut found: Vec<_> = list
        .volumes
        .unwrap_or_default()
        .iter()
        .map(volume::found)
        .collect();
    found.sort_by(|one, two| one.name.cmp(&two.name));
    Ok(found)
}

async fn images(
    engine: &Engine,
    references: &[String],
) -> Result<BTreeMap<String, String>, WorldError> {
    if references.is_empty() {
        return Ok(BTreeMap::new());
    }
    let list = engine.docker().list_images(None::<ListImagesOptions>).await;
    let list = list.map_err(|error| refused("cannot list images", error))?;
    Ok(references
        .iter()
        .filter_map(|text| Some((text.clone(), image_id(&list, text)?)))
        .collect())
}

/// The id of the image that a reference means.
fn image_id(images: &[ImageSummary], text: &str) -> Option<String> {
    let wanted = Reference::parse(text);
    images
        .iter()
        .find(|image| {
            wanted.is_id(&image.id)
                || image
                    .repo_tags
                    .iter()
                    .any(|tag| wanted.is_tag(&Reference::parse(tag)))
                || image
                    .repo_digests
                    .iter()
                    .any(|digest| wanted.is_digest(&Reference::parse(digest)))
        })
        .map(|image| image.id.clone())
}

async fn containers(engine: &Engine, scope: &Scope) -> Result<Vec<FoundContainer>, WorldError> {
    let options = ListContainersOptionsBuilder::new().all(true).build();
    let list = engine.docker().list_containers(Some(options)).await;
    let list = list.map_err(|error| refused("cannot list containers", error))?;
    let mut found: Vec<FoundContainer> = list.iter().map(found).collect();
    found.sort_by(|one, two| one.name.cmp(&two.name));
    // The answer as a whole is many times as large as what is taken from it.
    drop(list);

    let details = look_closer(engine, &found, scope).await?;
    let dead = dead_namespaces(engine, &found, &details);
    for container in &mut found {
        if let Some(detail) = details.get(&container.engine_id) {
            tell_endpoints(container, detail);
        }
        container.dead_namespace_of = dead.get(&container.engine_id).cloned();
    }
    Ok(found)
}

/// What a list tells of a container, in our words.
pub fn found(container: &ContainerSummary) -> FoundContainer {
    let labels: BTreeMap<String, String> = container
        .labels
        .clone()
        .unwrap_or_default()
        .into_iter()
        .collect();
    let networks = container
        .network_settings
        .clone()
        .and_then(|settings| settings.networks)
        .unwrap_or_default();
    let mut endpoints: Vec<FoundEndpoint> = networks
        .iter()
        .map(|(name, settings)| found_endpoint(name, settings))
        .collect();
    endpoints.sort_by(|one, two| one.network.cmp(&two.network));
    let mut volumes: Vec<String> = container
        .mounts
        .iter()
        .flatten()
        .filter(|mount| mount.typ.as_deref() == Some("volume"))
        .filter_map(|mount| mount.name.clone())
        .collect();
    volumes.sort();
    FoundContainer {
        engine_id: container.id.clone().unwrap_or_default(),
        name: name_of(container),
        project: labels.get(mark::PROJECT).cloned(),
        service: labels.get(mark::SERVICE).and_then(|name| name.parse().ok()),
        number: labels
            .get(mark::NUMBER)
            .and_then(|number| number.parse().ok())
            .unwrap_or(0),
        one_off: labels
            .get(mark::ONE_OFF)
            .is_some_and(|word| word.eq_ignore_ascii_case("true")),
        state: container.state.map_or(ContainerState::Created, state),
        image: container.image.clone().unwrap_or_default(),
        image_id: container.image_id.clone().unwrap_or_default(),
        network_mode: container
            .host_config
            .as_ref()
            .and_then(|config| config.network_mode.clone())
            .unwrap_or_default(),
        labels,
        endpoints,
        ports: ports(container),
        dead_namespace_of: None,
        cut_off: Vec::new(),
        volumes,
    }
}

/// The published ports. The engine tells one that is open at all addresses once for each family.
fn ports(container: &ContainerSummary) -> Vec<PublishedPort> {
    let mut ports: Vec<PublishedPort> = Vec::new();
    for port in container.ports.iter().flatten() {
        let Some(published) = port.public_port else {
            continue;
        };
        let protocol = match port.typ {
            Some(PortSummaryTypeEnum::UDP) => Protocol::Udp,
            Some(PortSummaryTypeEnum::SCTP) => Protocol::Sctp,
            Some(PortSummaryTypeEnum::TCP | PortSummaryTypeEnum::EMPTY) | None => Protocol::Tcp,
        };
        let address = port
            .ip
            .as_deref()
            .and_then(|text| text.parse::<IpAddr>().ok());
        let port = PublishedPort {
            target: port.private_port,
            protocol,
            published: Some(PortRange::single(published)),
            host_ip: address.filter(|address| !address.is_unspecified()),
        };
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    ports.sort_by_key(|port| (port.target, port.protocol, port.host_ip));
    ports
}

/// The container's own name: the one without a second slash, which names by legacy links have.
pub fn name_of(container: &ContainerSummary) -> String {
    container
        .names
        .iter()
        .flatten()
        .map(|name| name.trim_start_matches('/'))
        .find(|name| !name.contains('/'))
        .unwrap_or_default()
        .to_owned()
}

fn state(state: ContainerSummaryStateEnum) -> ContainerState {
    match state {
        ContainerSummaryStateEnum::RUNNING | ContainerSummaryStateEnum::STOPPING => {
            ContainerState::Running
        }
        ContainerSummaryStateEnum::PAUSED => ContainerState::Paused,
        ContainerSummaryStateEnum::RESTARTING => ContainerState::Restarting,
        ContainerSummaryStateEnum::REMOVING => ContainerState::Removing,
        ContainerSummaryStateEnum::EXITED => ContainerState::Exited,
        ContainerSummaryStateEnum::DEAD => ContainerState::Dead,
        ContainerSummaryStateEnum::CREATED | ContainerSummaryStateEnum::EMPTY => {
            ContainerState::Created
        }
    }
}

fn found_endpoint(network: &str, settings: &EndpointSettings) -> FoundEndpoint {
    let address = |text: &Option<String>| text.as_ref()?.parse::<IpAddr>().ok();
    let asked = settings.ipam_config.clone().unwrap_or_default();
    FoundEndpoint {
        network: network.to_owned(),
        network_id: settings.network_id.clone().unwrap_or_default(),
        ipv4: address(&settings.ip_address),
        ipv6: address(&settings.global_ipv6_address),
        mac: settings
            .mac_address
            .as_ref()
            .and_then(|mac| mac.parse().ok()),
        aliases: None,
        asked_ipv4: address(&asked.ipv4_address),
        asked_ipv6: address(&asked.ipv6_address),
    }
}

/// What is kept of a look at a container; the looks at all of them are held at once.
struct Detail {
    networks: Option<HashMap<String, EndpointSettings>>,
    process: Option<i64>,
    /// When it began, as the engine writes it.
    began: Option<String>,
}

impl Detail {
    fn of(container: ContainerInspectResponse) -> Detail {
        let state = container.state.unwrap_or_default();
        Detail {
            networks: container
                .network_settings
                .and_then(|settings| settings.networks),
            process: state.pid,
            began: state.started_at,
        }
    }
}

/// How many containers are looked at at once. The engine answers each in less than a millisecond; every connection more
/// costs both sides about as much.
const LOOKS: usize = 4;

/// Looks at the containers of which the list does not tell enough: running ones that share a namespace, with the owner
/// of it, and those whose endpoints the planner compares. A container that is gone meanwhile is left out.
async fn look_closer(
    engine: &Engine,
    found: &[FoundContainer],
    scope: &Scope,
) -> Result<HashMap<String, Detail>, WorldError> {
    let mut ids: BTreeSet<&str> = BTreeSet::new();
    for container in found {
        if container.project.as_deref() != Some(scope.project.as_str()) {
            continue;
        }
        if let Some(owner) = owner_id(container).filter(|_| container.runs()) {
            ids.insert(&container.engine_id);
            ids.extend(
                found
                    .iter()
                    .find(|other| other.engine_id == owner)
                    .map(|other| other.engine_id.as_str()),
            );
        }
        // The label tells how it was made; what was changed live since then, only a look tells.
        if scope.attachments.contains_key(&container.name)
            && container.labels.contains_key(mark::ATTACHMENTS)
        {
            ids.insert(&container.engine_id);
        }
    }
    let ids: Vec<String> = ids.into_iter().map(str::to_owned).collect();
    let looks = stream::iter(ids).map(|id| async move {
        let detail = inspect::inspect(engine, &id).await?;
        Ok::<_, WorldError>(detail.map(|detail| (id, Detail::of(detail))))
    });
    let details: Vec<_> = looks.buffer_unordered(LOOKS).try_collect().await?;
    Ok(details.into_iter().flatten().collect())
}

/// The id of the container whose network namespace this one shares.
fn owner_id(container: &FoundContainer) -> Option<&str> {
    container.network_mode.strip_prefix("container:")
}

fn tell_endpoints(container: &mut FoundContainer, detail: &Detail) {
    let Some(networks) = &detail.networks else {
        return;
    };
    // Before API 1.45 the short id is among the aliases, where nobody asked for it.
    let own_id: String = container.engine_id.chars().take(12).collect();
    container.endpoints = networks
        .iter()
        .map(|(name, settings)| FoundEndpoint {
            aliases: Some(
                settings
                    .aliases
                    .iter()
                    .flatten()
                    .filter(|alias| **alias != own_id)
                    .cloned()
                    .collect(),
            ),
            ..found_endpoint(name, settings)
        })
        .collect();
    container
        .endpoints
        .sort_by(|one, two| one.network.cmp(&two.network));
}

/// The running containers whose shared namespace is not the owner's any more, with the owner's name.
fn dead_namespaces(
    engine: &Engine,
    found: &[FoundContainer],
    details: &HashMap<String, Detail>,
) -> HashMap<String, String> {
    let mut dead = HashMap::new();
    let local = engine.numbers_processes_as_we_do();
    for container in found.iter().filter(|container| container.runs()) {
        let Some(owner) = owner_id(container) else {
            continue;
        };
        // Only the project's own were looked at.
        let Some(detail) = details.get(&container.engine_id) else {
            continue;
        };
        let found_owner = found.iter().find(|other| other.engine_id == owner);
        let alive = found_owner.is_some_and(|owner| {
            owner.runs()
                && details
                    .get(&owner.engine_id)
                    .is_some_and(|owner| share_namespace(local, detail, owner))
        });
        if !alive {
            let name = found_owner.map_or_else(
                || owner.chars().take(12).collect(),
                |owner| owner.name.clone(),
            );
            dead.insert(container.engine_id.clone(), name);
        }
    }
    dead
}

/// Whether two running containers have one network namespace: the kernel tells where it can be asked, else a container
/// that began before the owner did must have the namespace of an earlier life of it.
fn share_namespace(local: bool, one: &Detail, owner: &Detail) -> bool {
    let namespace = |container: &Detail| {
        let process = container.process;
        namespace_of(process.filter(|process| local && *process > 0)?)
    };
    if let (Some(one), Some(owner)) = (namespace(one), namespace(owner)) {
        return one == owner;
    }
    let began = |container: &Detail| container.began.as_ref()?.parse::<jiff::Timestamp>().ok();
    began(one) >= began(owner)
}

/// The inode of a process's network namespace.
fn namespace_of(process: i64) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(format!("/proc/{process}/ns/net"))
        .ok()
        .map(|metadata| metadata.ino())
}

#[cfg(test)]
mod tests {
    use bollard::models::ImageSummary;

    use super::{Detail, image_id, share_namespace};

    #[test]
    fn an_image_is_found_by_tag_digest_and_id() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let images = [ImageSummary {
            id: format!("sha256:{}", "b".repeat(64)),
            repo_tags: vec!["nginx:latest".to_owned(), "ghcr.io/x/y:1".to_owned()],
            repo_digests: vec![format!("nginx@{digest}")],
            ..ImageSummary::default()
        }];
        for text in [
            "nginx",
            "nginx:latest",
            "docker.io/library/nginx",
            "ghcr.io/x/y:1",
            &format!("nginx@{digest}"),
            &format!("nginx:1.27@{digest}"),
            &format!("sha256:{}", "b".repeat(64)),
            "bbbbbbbbbbbb",
        ] {
            assert_eq!(
                image_id(&images, text).as_deref(),
                Some(images[0].id.as_str()),
                "{text}"
            );
        }
        for text in [
            "nginx:1.27",
            "other",
            "x/y:1",
            &format!("other@{digest}"),
            "cccccccccccc",
        ] {
            assert_eq!(image_id(&images, text), None, "{text}");
        }
    }

    #[test]
    fn a_container_older_than_the_owner_of_its_namespace_is_cut_off() {
        let began = |text: &str| Detail {
            networks: None,
            process: None,
            began: Some(text.to_owned()),
        };
        let early = began("2026-01-01T10:00:00.1Z");
        let late = began("2026-01-01T10:00:00.2Z");
        assert!(share_namespace(false, &late, &early));
        assert!(!share_namespace(false, &early, &late));
    }
}
