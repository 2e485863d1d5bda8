//! The floor under every orchestrator: a bare client that sends the engine the calls that a stack needs, in the best order
//! and at the best concurrency, and knows nothing else. No comparison with what is there, no checks, no undo, no output.
//! What a tool takes longer than this is the tool's own.
//!
//!     floor [-p NAME] -f FILE [--parallel N] up|down|ps [further words are ignored]
//!
//! It understands only the files that `measure` writes (JSON, which is YAML): image, command, environment, networks,
//! depends_on with conditions, healthcheck. The calls:
//!
//!     up       networks at once; containers: create, connect to further networks, start as soon as what they depend on
//!              is started or healthy (told by the event stream, which is opened only if somebody waits for health)
//!     again    (up, when everything is there) one list of containers and one of networks
//!     up after one service changed: create under another name, force delete of the old one, rename, start
//!     down     one list; force delete, dependents first; each network as soon as it is empty
//!
//! At most N calls that the engine works for (create, start, delete) are under way; 8 was best on two cores (4 to 8 differ by
//! less than 3 %).

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::sync::Arc;

use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, NetworkConnectRequest,
    NetworkCreateRequest, NetworkingConfig,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, EventsOptionsBuilder, ListContainersOptionsBuilder,
    ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder,
};
use futures_util::StreamExt;
use serde::Deserialize;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Deserialize, Clone)]
struct Stack {
    networks: BTreeMap<String, serde_json::Value>,
    services: BTreeMap<String, Service>,
}

#[derive(Deserialize, Clone)]
struct Service {
    image: String,
    command: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    networks: Vec<String>,
    #[serde(default)]
    depends_on: BTreeMap<String, Dependency>,
    healthcheck: Option<Healthcheck>,
}

#[derive(Deserialize, Clone)]
struct Dependency {
    condition: String,
}

#[derive(Deserialize, Clone)]
struct Healthcheck {
    test: Vec<String>,
    interval: String,
}

/// How far a container is, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Nothing,
    Started,
    Healthy,
}

struct Client {
    docker: Docker,
    project: String,
    stack: Stack,
    calls: Semaphore,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut project = "bench".to_owned();
    let mut file = None;
    let mut parallel = 8;
    let mut verb = None;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "-p" => project = words.next().ok_or("-p needs a name")?,
            "-f" => file = words.next(),
            "--parallel" => parallel = words.next().ok_or("--parallel needs a number")?.parse()?,
            _ if verb.is_none() => verb = Some(word),
            _ => {}
        }
    }
    let text = std::fs::read_to_string(file.ok_or("-f FILE is missing")?)?;
    let client = Arc::new(Client {
        docker: Docker::connect_with_defaults()?,
        project,
        stack: serde_json::from_str(&text)?,
        calls: Semaphore::new(parallel),
    });
    match verb.as_deref() {
        Some("up") => up(client).await,
        Some("down") => down(client).await,
        Some("ps") => client.containers().await.map(|_| ()),
        _ => Err("say up, down or ps".into()),
    }
}

impl Client {
    fn labels(&self, more: [(&str, &str); 2]) -> HashMap<String, String> {
        let mut labels = HashMap::from([(
            "com.docker.compose.project".to_owned(),
            self.project.clone(),
        )]);
        for (name, value) in more {
            labels.insert(name.to_owned(), value.to_owned());
        }
        labels
    }

    fn filter(&self) -> HashMap<String, Vec<String>> {
        let label = format!("com.docker.compose.project={}", self.project);
        HashMap::from([("label".to_owned(), vec![label])])
    }

    fn container(&self, service: &str) -> String {
        format!("{}-{service}-1", self.project)
    }

    fn network(&self, name: &str) -> String {
        format!("{}_{name}", self.project)
    }

    /// The containers that are there: service name, and what it was made of.
    async fn containers(&self) -> Result<BTreeMap<String, String>, Failure> {
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&self.filter())
            .build();
        let list = self.docker.list_containers(Some(options)).await?;
        Ok(list
            .into_iter()
            .filter_map(|container| {
                let mut labels = container.labels?;
                Some((
                    labels.remove("floor.service")?,
                    labels.remove("floor.made-of")?,
                ))
            })
            .collect())
    }

    async fn networks(&self) -> Result<usize, Failure> {
        let options = ListNetworksOptionsBuilder::new()
            .filters(&self.filter())
            .build();
        Ok(self.docker.list_networks(Some(options)).await?.len())
    }

    async fn create(&self, service: &str, name: &str) -> Result<(), Failure> {
        let spec = &self.stack.services[service];
        let endpoint = EndpointSettings {
            aliases: Some(vec![service.to_owned()]),
            ..EndpointSettings::default()
        };
        let body = ContainerCreateBody {
            image: Some(spec.image.clone()),
            cmd: Some(spec.command.clone()),
            env: Some(
                spec.environment
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect(),
            ),
            labels: Some(self.labels([
                ("floor.service", service),
                ("floor.made-of", &made_of(spec)),
            ])),
            healthcheck: spec.healthcheck.as_ref().map(|check| HealthConfig {
                test: Some(check.test.clone()),
                interval: check
                    .interval
                    .trim_end_matches('s')
                    .parse()
                    .ok()
                    .map(|seconds: i64| seconds * 1_000_000_000),
                ..HealthConfig::default()
            }),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some(HashMap::from([(
                    self.network(&spec.networks[0]),
                    endpoint.clone(),
                )])),
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        self.docker.create_container(Some(options), body).await?;
        for network in &spec.networks[1..] {
            let request = NetworkConnectRequest {
                container: name.to_owned(),
                endpoint_config: Some(endpoint.clone()),
            };
            self.docker
                .connect_network(&self.network(network), request)
                .await?;
        }
        Ok(())
    }

    async fn remove(&self, name: &str) -> Result<(), Failure> {
        let options = RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(true)
            .build();
        Ok(self.docker.remove_container(name, Some(options)).await?)
    }
}

/// What a container was made of, as a text to compare.
fn made_of(service: &Service) -> String {
    format!(
        "{:?} {:?} {:?}",
        service.image, service.command, service.environment
    )
}

async fn up(client: Arc<Client>) -> Result<(), Failure> {
    let (there, networks) = tokio::try_join!(client.containers(), client.networks())?;
    if networks < client.stack.networks.len() {
        let mut tasks = JoinSet::new();
        for name in client.stack.networks.keys() {
            let client = client.clone();
            let request = NetworkCreateRequest {
                name: client.network(name),
                labels: Some(client.labels([("floor.network", name), ("floor", "")])),
                ..NetworkCreateRequest::default()
            };
            tasks.spawn(async move { client.docker.create_network(request).await });
        }
        while let Some(result) = tasks.join_next().await {
            result??;
        }
    }
    let mut reached = HashMap::new();
    for name in client.stack.services.keys() {
        let state = if there.contains_key(name) {
            Reached::Healthy
        } else {
            Reached::Nothing
        };
        reached.insert(name.clone(), watch::Sender::new(state));
    }
    let reached = Arc::new(reached);
    let waits_for_health = client
        .stack
        .services
        .values()
        .flat_map(|service| service.depends_on.values())
        .any(|dependency| dependency.condition == "service_healthy");
    if waits_for_health && there.len() < client.stack.services.len() {
        tokio::spawn(follow_health(client.clone(), reached.clone()));
    }
    let mut tasks = JoinSet::new();
    for (name, service) in &client.stack.services {
        match there.get(name) {
            Some(old) if *old == made_of(service) => {}
            Some(_) => {
                tasks.spawn(replace(client.clone(), name.clone()));
            }
            None => {
                tasks.spawn(start(client.clone(), name.clone(), reached.clone()));
            }
        }
    }
    while let Some(result) = tasks.join_next().await {
        result??;
    }
    Ok(())
}

async fn start(
    client: Arc<Client>,
    name: String,
    reached: Arc<HashMap<String, watch::Sender<Reached>>>,
) -> Result<(), Failure> {
    let container = client.container(&name);
    {
        let _call = client.calls.acquire().await?;
        client.create(&name, &container).await?;
    }
    for (other, dependency) in &client.stack.services[&name].depends_on {
        let wanted = match dependency.condition.as_str() {
            "service_healthy" => Reached::Healthy,
            _ => Reached::Started,
        };
        reached[other]
            .subscribe()
            .wait_for(|state| *state >= wanted)
            .await?;
    }
    let _call = client.calls.acquire().await?;
    client.docker.start_container(&container, None).await?;
    reached[&name].send_modify(|state| *state = (*state).max(Reached::Started));
    Ok(())
}

async fn replace(client: Arc<Client>, name: String) -> Result<(), Failure> {
    let container = client.container(&name);
    let successor = format!("{container}-next");
    client.create(&name, &successor).await?;
    client.remove(&container).await?;
    let options = RenameContainerOptionsBuilder::new()
        .name(&container)
        .build();
    client.docker.rename_container(&successor, options).await?;
    client.docker.start_container(&container, None).await?;
    Ok(())
}

async fn follow_health(client: Arc<Client>, reached: Arc<HashMap<String, watch::Sender<Reached>>>) {
    let mut filter = client.filter();
    filter.insert("event".to_owned(), vec!["health_status".to_owned()]);
    let options = EventsOptionsBuilder::new().filters(&filter).build();
    let mut events = std::pin::pin!(client.docker.events(Some(options)));
    while let Some(Ok(event)) = events.next().await {
        let healthy = event
            .action
            .is_some_and(|action| action.ends_with(": healthy"));
        let attributes = event.actor.and_then(|actor| actor.attributes);
        let service = attributes.and_then(|mut attributes| attributes.remove("floor.service"));
        if let Some(state) = service
            .as_ref()
            .and_then(|name| reached.get(name))
            .filter(|_| healthy)
        {
            state.send_replace(Reached::Healthy);
        }
    }
}

async fn down(client: Arc<Client>) -> Result<(), Failure> {
    let there = client.containers().await?;
    let gone: Arc<HashMap<String, watch::Sender<bool>>> = Arc::new(
        there
            .keys()
            .map(|name| (name.clone(), watch::Sender::new(false)))
            .collect(),
    );
    let mut tasks: JoinSet<Result<(), Failure>> = JoinSet::new();
    for name in there.keys() {
        let dependents: Vec<String> = there
            .keys()
            .filter(|other| client.stack.services[*other].depends_on.contains_key(name))
            .cloned()
            .collect();
        let (client, gone, name) = (client.clone(), gone.clone(), name.clone());
        tasks.spawn(async move {
            for other in dependents {
                gone[&other].subscribe().wait_for(|gone| *gone).await?;
            }
            let _call = client.calls.acquire().await?;
            client.remove(&client.container(&name)).await?;
            gone[&name].send_replace(true);
            Ok(())
        });
    }
    for network in client.stack.networks.keys() {
        let users: Vec<String> = there
            .keys()
            .filter(|name| client.stack.services[*name].networks.contains(network))
            .cloned()
            .collect();
        let (client, gone, network) = (client.clone(), gone.clone(), network.clone());
        tasks.spawn(async move {
            for user in users {
                gone[&user].subscribe().wait_for(|gone| *gone).await?;
            }
            Ok(client
                .docker
                .remove_network(&client.network(&network))
                .await?)
        });
    }
    while let Some(result) = tasks.join_next().await {
        result??;
    }
    Ok(())
}
