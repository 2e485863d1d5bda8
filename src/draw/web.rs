//! A scene as nodes and edges, for formats whose reader does the layout. Each container is one node, however many
//! networks it is on; what lives in its namespace is a node of its own that hangs on it.

use crate::draw::scene::{Joint, Network, Scene, Station, Wire};

/// Nodes and the edges between their places in the list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Web {
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
}

/// A node.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub shape: Shape,
    pub lines: Vec<String>,
    /// What it is called among others: a container's name, a network's.
    key: String,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A network, a parent, the host.
    Ground,
    Container,
    /// A shim, a router, a machine of a lan.
    Machine,
}

/// An edge, with what is written on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    pub from: usize,
    pub to: usize,
    pub lines: Vec<String>,
}

/// The scene's nodes and edges.
pub fn web(scene: &Scene) -> Web {
    let mut web = Web::default();
    for bridge in &scene.bridges {
        web.ground(&bridge.network);
    }
    for other in &scene.others {
        web.ground(&other.network);
    }
    for wire in &scene.wires {
        web.wire(wire);
    }
    for joint in scene.joints() {
        web.joint(joint);
    }
    for (title, stations) in [("host", &scene.on_host), ("none: only lo", &scene.on_none)] {
        if stations.is_empty() {
            continue;
        }
        let ground = web.node(Shape::Ground, title, vec![title.to_owned()]);
        for station in stations {
            let node = web.station(station);
            web.edge(ground, node, Vec::new());
        }
    }
    for station in &scene.elsewhere {
        web.station(station);
    }
    web
}

impl Web {
    fn node(&mut self, shape: Shape, key: &str, lines: Vec<String>) -> usize {
        self.nodes.push(Node {
            shape,
            lines,
            key: key.to_owned(),
        });
        self.nodes.len() - 1
    }

    fn edge(&mut self, from: usize, to: usize, lines: Vec<String>) {
        self.edges.push(Edge { from, to, lines });
    }

    fn find(&self, shape: Shape, key: &str) -> Option<usize> {
        let same = |node: &Node| node.shape == shape && node.key == key;
        self.nodes.iter().position(same)
    }

    fn ground(&mut self, network: &Network) -> usize {
        let mut lines = vec![network.name.clone(), network.driver.clone()];
        let subnets = network.pools.iter().filter_map(|pool| pool.subnet);
        lines.extend(subnets.map(|subnet| subnet.to_string()));
        self.node(Shape::Ground, &network.name, lines)
    }

    fn wire(&mut self, wire: &Wire) {
        let mut lines = vec![format!("parent {}", wire.parent.name)];
        lines.extend(wire.parent.addresses.iter().map(ToString::to_string));
        lines.extend(
            wire.vlan
                .iter()
                .map(|(base, id)| format!("VLAN {id} on {base}")),
        );
        // A parent's name is no network's: the blank sets it apart.
        let key = format!("parent {}", wire.parent.name);
        let parent = self.node(Shape::Ground, &key, lines);
        for network in &wire.networks {
            let node = self.ground(network);
            self.edge(parent, node, Vec::new());
        }
        for shim in &wire.shims {
            let mut lines = vec![format!("shim {}", shim.card.name)];
            lines.extend(shim.card.addresses.iter().map(ToString::to_string));
            let node = self.node(Shape::Machine, &shim.card.name, lines);
            self.edge(parent, node, Vec::new());
        }
        let Some(lan) = &wire.lan else { return };
        if !lan.router.is_empty() {
            let mut lines = vec![format!("{} router", lan.name)];
            lines.extend(lan.router.iter().map(ToString::to_string));
            let node = self.node(Shape::Machine, "", lines);
            self.edge(parent, node, Vec::new());
        }
        for machine in &lan.machines {
            let mut lines = vec![machine.name.clone()];
            lines.extend(machine.addresses.iter().map(ToString::to_string));
            let node = self.node(Shape::Machine, "", lines);
            self.edge(parent, node, Vec::new());
        }
    }

    fn joint(&mut self, joint: &Joint) {
        let Some(ground) = self.find(Shape::Ground, &joint.network) else {
            return;
        };
        let known = self.find(Shape::Container, &joint.station.name);
        let node = known.unwrap_or_else(|| self.station(&joint.station));
        let mut lines: Vec<String> = joint.inner.iter().cloned().collect();
        lines.extend(joint.addresses.iter().map(ToString::to_string));
        self.edge(ground, node, lines);
    }

    fn station(&mut self, station: &Station) -> usize {
        let mut lines = vec![station.name.clone()];
        lines.extend(station.remarks.iter().cloned());
        let node = self.node(Shape::Container, &station.name, lines);
        for other in &station.sharers {
            let sharer = self.station(other);
            self.edge(node, sharer, vec!["same namespace".to_owned()]);
        }
        node
    }
}
