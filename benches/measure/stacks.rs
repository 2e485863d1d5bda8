//! The stacks that are measured, written as JSON, which every Compose reader takes for YAML: containers that sleep, on
//! four networks, every fifth on two of them; or all on one macvlan network.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::Failure;

/// How the services depend on each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Not at all.
    Flat,
    /// One chain in each network: each service waits for the start of the one before.
    Chained,
    /// Everybody waits until the first service of their network is healthy; checked every second.
    Health,
    /// All on one macvlan network with a shim for the host, on the parent `wire0`.
    Lan,
}

/// Which state of the file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Edition {
    First,
    /// The environment of one service in the middle is another.
    OneChanged,
}

/// The image that all containers run.
pub const IMAGE: &str = "stack-bench:latest";

const NETWORKS: usize = 4;

/// A bridge has 1,023 ports, so very large stacks have more networks.
fn networks(size: usize) -> usize {
    NETWORKS.max(size / 500)
}

impl Shape {
    pub const ALL: [Shape; 4] = [Shape::Flat, Shape::Chained, Shape::Health, Shape::Lan];

    pub fn name(self) -> &'static str {
        match self {
            Shape::Flat => "flat",
            Shape::Chained => "chained",
            Shape::Health => "health",
            Shape::Lan => "lan",
        }
    }

    pub fn parse(name: &str) -> Result<Shape, Failure> {
        Shape::ALL
            .into_iter()
            .find(|shape| shape.name() == name)
            .ok_or_else(|| format!("`{name}` is no shape: flat, chained, health, lan").into())
    }
}

/// Writes the file of a stack with so many services.
pub fn write(file: &Path, shape: Shape, size: usize, edition: Edition) -> Result<(), Failure> {
    let mut services = Map::new();
    for index in 0..size {
        services.insert(
            name(index),
            service(
                shape,
                index,
                size,
                edition == Edition::OneChanged && index == size / 2,
            ),
        );
    }
    let networks: Map<String, Value> = match shape {
        Shape::Lan => [("lan".to_owned(), lan())].into_iter().collect(),
        Shape::Flat | Shape::Chained | Shape::Health => (0..networks(size).min(size))
            .map(|index| (network(index, size), json!({})))
            .collect(),
    };
    // The version is what docker compose v1 reads everything below as; the others ignore it.
    let stack = json!({"version": "3.8", "services": services, "networks": networks});
    std::fs::write(file, serde_json::to_string_pretty(&stack)?)?;
    Ok(())
}

fn name(index: usize) -> String {
    format!("s{index:03}")
}

fn network(index: usize, size: usize) -> String {
    format!("net{}", index % networks(size))
}

fn lan() -> Value {
    json!({
        "driver": "macvlan",
        "driver_opts": {"parent": "wire0"},
        "ipam": {"config": [{"subnet": "10.50.0.0/24", "gateway": "10.50.0.1", "ip_range": "10.50.0.64/26"}]},
        "shim": true,
    })
}

fn service(shape: Shape, index: usize, size: usize, changed: bool) -> Value {
    let mut networks = vec![network(index, size)];
    if index % 5 == 4 {
        networks.push(network(index + 1, size));
    }
    let mut service = json!({
        "image": IMAGE,
        "command": ["sleep", "1000000"],
        "environment": {"EDITION": if changed { "second" } else { "first" }},
        "networks": networks,
    });
    let first = index % NETWORKS;
    match shape {
        Shape::Chained if index >= NETWORKS => {
            service["depends_on"] =
                json!({name(index - NETWORKS): {"condition": "service_started"}});
        }
        Shape::Health if index >= NETWORKS => {
            service["depends_on"] = json!({name(first): {"condition": "service_healthy"}});
        }
        Shape::Health => {
            service["healthcheck"] = json!({"test": ["CMD", "true"], "interval": "1s"});
        }
        Shape::Lan => service["networks"] = json!(["lan"]),
        Shape::Flat | Shape::Chained => {}
    }
    service
}
