//! Containers as people see them in lists, and one container in full.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{ContainerSummary, EndpointSettings, PortSummary};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions};

use crate::model::mark;
use crate::model::name::ProjectName;
use crate::world::WorldError;
use crate::world::engine::Engine;
use crate::world::engine::error::refused;

/// One line of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    pub id: String,
    pub name: String,
    pub image: String,
    pub image_id: String,
    pub command: String,
    /// Seconds since 1970.
    pub created: i64,
    /// The engine's word: `running`, `exited`, ….
    pub state: String,
    /// The engine's sentence: `Up 3 minutes (healthy)`.
    pub status: String,
    pub labels: BTreeMap<String, String>,
    pub ports: Vec<ListedPort>,
    /// Names of networks and the container's addresses there.
    pub networks: BTreeMap<String, Vec<String>>,
    pub mounts: Vec<String>,
    /// `host`, `none`, `container:ID`, a network.
    pub network_mode: String,
}

/// A port of a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedPort {
    /// The host's address where it is published.
    pub address: Option<String>,
    /// The host's port where it is published.
    pub published: Option<u16>,
    pub target: u16,
    pub protocol: String,
}

impl Listed {
    /// A label's value.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// The service whose container it is.
    pub fn service(&self) -> &str {
        self.label(mark::SERVICE)
    }

    /// Its number within the service; 0 for a one-off.
    pub fn number(&self) -> u32 {
        self.label(mark::NUMBER).parse().unwrap_or(0)
    }

    /// Whether `stack run` or `docker compose run` made it.
    pub fn is_one_off(&self) -> bool {
        self.label(mark::ONE_OFF).eq_ignore_ascii_case("true")
    }

    /// Whether it runs, paused and restarting included.
    pub fn runs(&self) -> bool {
        matches!(self.state.as_str(), "running" | "paused" | "restarting")
    }

    /// `healthy`, `unhealthy`, `starting`; empty where it has no health check. The list tells it only in words.
    pub fn health(&self) -> &str {
        let inside = self
            .status
            .rsplit_once(" (")
            .and_then(|(_, rest)| rest.strip_suffix(')'));
        match inside {
            Some("healthy") => "healthy",
            Some("unhealthy") => "unhealthy",
            Some("health: starting") => "starting",
            Some(_) | None => "",
        }
    }

    /// The exit code that the status tells: `Exited (3) 2 minutes ago`.
    pub fn exit_code(&self) -> i64 {
        self.status
            .split_once('(')
            .and_then(|(_, rest)| rest.split_once(')'))
            .and_then(|(code, _)| code.parse().ok())
            .unwrap_or(0)
    }
}

/// What only a look at the container itself tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspected {
    pub id: String,
    pub name: String,
    /// Whether its output is that of a terminal: one stream, not two.
    pub tty: bool,
    pub running: bool,
    pub paused: bool,
    /// Whether it has ended and the engine is about to start it again; the engine says that it runs, too.
    pub restarting: bool,
    /// How often the engine has started it again since it was last started by somebody.
    pub restarts: i64,
    pub exit_code: i64,
    /// `starting`, `healthy`, `unhealthy`; empty where it has no health check.
    pub health: String,
    /// The engine's reason where it could not be started.
    pub error: String,
    /// As RFC 3339.
    pub started_at: String,
    /// The process in the machine's own numbers; 0 where it does not run.
    pub pid: i64,
}

impl Engine {
    /// Containers: of one project or of all, running ones or all. Sorted by name.
    pub async fn list(
        &self,
        project: Option<&ProjectName>,
        all: bool,
    ) -> Result<Vec<Listed>, WorldError> {
        let label = match project {
            Some(project) => format!("{}={project}", mark::PROJECT),
            None => mark::PROJECT.to_owned(),
        };
        let filters = HashMap::from([("label".to_owned(), vec![label])]);
        self.listed(all, Some(filters)).await
    }

    /// All containers there are, whoever made them. Sorted by name.
    pub async fn list_all(&self) -> Result<Vec<Listed>, WorldError> {
        self.listed(true, None).await
    }

    async fn listed(
        &self,
        all: bool,
        filters: Option<HashMap<String, Vec<String>>>,
    ) -> Result<Vec<Listed>, WorldError> {
        let options = ListContainersOptions {
            all,
            filters,
            ..ListContainersOptions::default()
        };
        let found = self.docker().list_containers(Some(options)).await;
        let found = found.map_err(|error| refused("cannot list containers", error))?;
        let mut listed: Vec<Listed> = found.into_iter().map(listed).collect();
        listed.sort_by(|one, two| one.name.cmp(&two.name));
        Ok(listed)
    }

    /// One container by id or name.
    pub async fn inspected(&self, container: &str) -> Result<Inspected, WorldError> {
        let found = self
            .docker()
            .inspect_container(container, None::<InspectContainerOptions>)
            .await;
        let found = found
            .map_err(|error| refused(format!("cannot look at container `{container}`"), error))?;
        let state = found.state.unwrap_or_default();
        Ok(Inspected {
            id: found.id.unwrap_or_default(),
            name: found
                .name
                .unwrap_or_default()
                .trim_start_matches('/')
                .to_owned(),
            tty: found.config.and_then(|config| config.tty).unwrap_or(false),
            running: state.running.unwrap_or(false),
            paused: state.paused.unwrap_or(false),
            restarting: state.restarting.unwrap_or(false),
            restarts: found.restart_count.unwrap_or(0),
            exit_code: state.exit_code.unwrap_or(0),
            health: state
                .health
                .and_then(|health| health.status)
                .map(|status| status.to_string())
                .filter(|status| status != "none")
                .unwrap_or_default(),
            error: state.error.unwrap_or_default(),
            started_at: state.started_at.unwrap_or_default(),
            pid: state.pid.unwrap_or(0),
        })
    }
}

fn listed(found: ContainerSummary) -> Listed {
    let networks = found
        .network_settings
        .and_then(|settings| settings.networks)
        .unwrap_or_default();
    let mut ports: Vec<ListedPort> = found
        .ports
        .unwrap_or_default()
        .into_iter()
        .map(port)
        .collect();
    ports.sort();
    ports.dedup();
    Listed {
        id: found.id.unwrap_or_default(),
        name: found
            .names
            .unwrap_or_default()
            .iter()
            .map(|name| name.trim_start_matches('/'))
            // Links appear as names with a slash inside.
            .find(|name| !name.contains('/'))
            .unwrap_or_default()
            .to_owned(),
        image: found.image.unwrap_or_default(),
        image_id: found.image_id.unwrap_or_default(),
        command: found.command.unwrap_or_default(),
        created: found.created.unwrap_or(0),
        state: found
            .state
            .map(|state| state.to_string())
            .unwrap_or_default(),
        status: found.status.unwrap_or_default(),
        labels: found.labels.unwrap_or_default().into_iter().collect(),
        ports,
        networks: networks
            .into_iter()
            .map(|(name, endpoint)| (name, addresses(&endpoint)))
            .collect(),
        mounts: found
            .mounts
            .unwrap_or_default()
            .into_iter()
            .filter_map(|mount| mount.name.filter(|name| !name.is_empty()).or(mount.source))
            .collect(),
        network_mode: found
            .host_config
            .and_then(|config| config.network_mode)
            .unwrap_or_default(),
    }
}

fn addresses(endpoint: &EndpointSettings) -> Vec<String> {
    [&endpoint.ip_address, &endpoint.global_ipv6_address]
        .into_iter()
        .flatten()
        .filter(|text| !text.is_empty())
        .cloned()
        .collect()
}

fn port(found: PortSummary) -> ListedPort {
    ListedPort {
        address: found.ip,
        published: found.public_port,
        target: found.private_port,
        protocol: found
            .typ
            .map(|kind| kind.to_string())
            .unwrap_or_else(|| "tcp".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::Listed;

    #[test]
    fn health_and_exit_code_are_in_the_status() {
        let status = |text: &str| Listed {
            status: text.to_owned(),
            ..Listed::default()
        };
        assert_eq!(status("Up 3 minutes (healthy)").health(), "healthy");
        assert_eq!(
            status("Up 3 seconds (health: starting)").health(),
            "starting"
        );
        assert_eq!(status("Up 3 minutes (Paused)").health(), "");
        assert_eq!(status("Exited (137) 2 hours ago").exit_code(), 137);
        assert_eq!(status("Up 3 minutes").exit_code(), 0);
    }
}
