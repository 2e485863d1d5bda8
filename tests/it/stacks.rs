//! Stacks written by hand, small: what the tests of several floors start from.

use indexmap::IndexMap;

use stack::model::container::ContainerConfig;
use stack::model::network::{Driver, Ipam, Network, Promiscuity};
use stack::model::service::{Attachment, Connection, PullPolicy, Service};
use stack::model::stack::Stack;

/// A service on no network.
pub fn service(name: &str) -> Service {
    Service {
        name: name.parse().unwrap(),
        image: "lab".into(),
        build: None,
        pull_policy: PullPolicy::Missing,
        scale: 1,
        container_name: None,
        config: ContainerConfig::default().into(),
        connection: Connection::None,
        ports: Vec::new(),
        expose: Vec::new(),
        links: Vec::new(),
        external_links: Vec::new(),
        volumes_from: Vec::new(),
        ipc: None,
        pid: None,
        depends_on: IndexMap::new(),
        mac_address: None,
        attach: true,
        post_start: Vec::new(),
        pre_stop: Vec::new(),
        profiles: Vec::new(),
    }
}

/// The same on these.
pub fn on(mut service: Service, networks: &[&str]) -> Service {
    let networks = networks
        .iter()
        .map(|key| (key.parse().unwrap(), Attachment::default()));
    service.connection = Connection::Networks(networks.collect());
    service
}

/// A bridge network of a project.
pub fn network(project: &str, key: &str) -> Network {
    Network {
        key: key.parse().unwrap(),
        name: format!("{project}_{key}"),
        external: false,
        driver: Driver::Bridge,
        parent: None,
        options: IndexMap::new(),
        ipam: Ipam::default(),
        internal: false,
        attachable: false,
        enable_ipv4: None,
        enable_ipv6: None,
        labels: IndexMap::new(),
        promiscuous: Promiscuity::Leave,
        shim: None,
        dhcp_pool: None,
    }
}

/// A project of these.
pub fn stack(project: &str, services: Vec<Service>, networks: Vec<Network>) -> Stack {
    Stack {
        project: project.parse().unwrap(),
        directory: format!("/{project}").into(),
        files: vec![format!("/{project}/stack.yaml").into()],
        environment_files: Vec::new(),
        services: services
            .into_iter()
            .map(|service| (service.name.clone(), service))
            .collect(),
        inactive: Vec::new(),
        networks: networks
            .into_iter()
            .map(|network| (network.key.clone(), network))
            .collect(),
        volumes: IndexMap::new(),
        lans: IndexMap::new(),
        checks: Vec::new(),
    }
}
