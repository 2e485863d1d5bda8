//! A scene that is being put together, and the few acts that all parts of it share.

use std::collections::HashMap;
use std::net::IpAddr;

use indexmap::IndexMap;
use ipnet::IpNet;

use crate::model::name::LinkName;
use crate::model::stack::Stack;
use crate::plan::desired::Desired;
use crate::plan::observed::{FoundContainer, Observed};
use crate::plan::spec::{ContainerSpec, LanSpec, LinkSpec, Spec};
use crate::reach::facts::Facts;
use crate::reach::scene::address::Allocator;
use crate::reach::scene::{
    Endpoint, HOST, Link, Node, NodeId, NodeKind, Resolver, Role, Route, Scene, Segment, SegmentId,
    SegmentKind,
};

/// Which containers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// All that the file wants, as after an `up`.
    Wanted,
    /// Those that were observed running, at the addresses they have.
    Standing,
}

/// A scene that is being put together.
pub struct Draft<'a> {
    pub stack: &'a Stack,
    pub observed: &'a Observed,
    /// The observed containers by name.
    containers: HashMap<&'a str, &'a FoundContainer>,
    pub desired: &'a Desired,
    pub moment: Moment,
    pub scene: Scene,
    /// Wires by parent and VLAN.
    pub wires: IndexMap<(String, Option<u16>), SegmentId>,
    /// Free addresses by the network's name.
    pub allocators: HashMap<String, Allocator>,
}

impl<'a> Draft<'a> {
    /// An empty one.
    pub fn new(
        stack: &'a Stack,
        observed: &'a Observed,
        desired: &'a Desired,
        facts: Facts,
        moment: Moment,
    ) -> Draft<'a> {
        Draft {
            stack,
            observed,
            containers: (observed.containers.iter())
                .map(|found| (found.name.as_str(), found))
                .collect(),
            desired,
            moment,
            scene: Scene {
                facts,
                ..Scene::default()
            },
            wires: IndexMap::new(),
            allocators: HashMap::new(),
        }
    }

    /// The container of this name that is there.
    pub fn found(&self, container: &str) -> Option<&'a FoundContainer> {
        self.containers.get(container).copied()
    }

    /// Adds a namespace with its loopback link.
    pub fn node(&mut self, name: &str, kind: NodeKind, resolver: Resolver) -> NodeId {
        let loopback = [
            IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ];
        self.scene.nodes.push(Node {
            name: name.to_owned(),
            kind,
            links: vec![Link {
                name: "lo".to_owned(),
                segment: None,
                role: Role::Loopback,
                addresses: loopback.into_iter().map(IpNet::from).collect(),
                network: None,
            }],
            routes: Vec::new(),
            forwards: matches!(kind, NodeKind::Host | NodeKind::Router | NodeKind::Outside),
            resolver,
            networks: Vec::new(),
        });
        self.scene.nodes.len() - 1
    }

    /// Adds a segment.
    pub fn segment(&mut self, name: &str, kind: SegmentKind) -> SegmentId {
        self.scene.segments.push(Segment {
            name: name.to_owned(),
            kind,
            members: Vec::new(),
        });
        self.scene.segments.len() - 1
    }

    /// Adds a link to a namespace, with a connected route for each prefix that is more than one address.
    pub fn link(&mut self, node: NodeId, link: Link) -> usize {
        let index = self.scene.nodes[node].links.len();
        for prefix in &link.addresses {
            if prefix.prefix_len() < prefix.max_prefix_len() {
                self.scene.nodes[node].routes.push(Route {
                    destination: prefix.trunc(),
                    via: None,
                    link: index,
                    source: Some(prefix.addr()),
                });
            }
        }
        if let Some(segment) = link.segment {
            self.scene.segments[segment]
                .members
                .push(Endpoint { node, link: index });
        }
        self.scene.nodes[node].links.push(link);
        index
    }

    /// Adds a route to a namespace.
    pub fn route(&mut self, node: NodeId, route: Route) {
        self.scene.nodes[node].routes.push(route);
    }

    /// The host's link of this name.
    pub fn host_link(&self, name: &str) -> Option<usize> {
        self.scene.nodes[HOST]
            .links
            .iter()
            .position(|link| link.name == name)
    }

    /// The lans of the stack.
    pub fn lans(&self) -> Vec<&'a LanSpec> {
        self.desired
            .specs
            .values()
            .filter_map(|spec| match spec.as_ref() {
                Spec::Lan(lan) => Some(lan),
                _ => None,
            })
            .collect()
    }

    /// The 802.1Q link of this name that the stack makes.
    pub fn vlan(&self, name: &str) -> Option<&'a LinkSpec> {
        self.desired
            .specs
            .values()
            .find_map(|spec| match spec.as_ref() {
                Spec::Link(link) if link.name.as_str() == name => Some(link),
                _ => None,
            })
    }

    /// The containers that are wanted, in the order they are made.
    pub fn containers(&self) -> Vec<&'a ContainerSpec> {
        self.desired
            .specs
            .values()
            .filter_map(|spec| match spec.as_ref() {
                Spec::Container(container) => Some(container.as_ref()),
                _ => None,
            })
            .collect()
    }

    /// The base link and VLAN of a parent: of one that the stack makes, of one that the kernel has, or as the name
    /// `eth0.20` says, which is how the engine reads it.
    pub fn base_of(&self, parent: &str) -> (String, Option<u16>) {
        if let Some(link) = self.vlan(parent) {
            return (link.base.to_string(), Some(link.vlan.number()));
        }
        let found = self
            .observed
            .host
            .as_ref()
            .and_then(|host| host.link(parent));
        if let Some(link) = found {
            let tag = link.mode.as_deref().and_then(|mode| mode.parse().ok());
            if let (Some(lower), true, Some(tag)) = (&link.lower, link.kind == "vlan", tag) {
                return (lower.clone(), Some(tag));
            }
            return (parent.to_owned(), None);
        }
        match parent.rsplit_once('.') {
            Some((base, tag)) => match tag.parse::<u16>() {
                Ok(tag) if base.parse::<LinkName>().is_ok() => (base.to_owned(), Some(tag)),
                Ok(_) | Err(_) => (parent.to_owned(), None),
            },
            None => (parent.to_owned(), None),
        }
    }

    /// The scene, with what is looked up in it.
    pub fn finish(mut self) -> Scene {
        let mut owners: HashMap<IpAddr, Vec<NodeId>> = HashMap::new();
        for (id, node) in self.scene.nodes.iter().enumerate() {
            for link in &node.links {
                for prefix in &link.addresses {
                    let nodes = owners.entry(prefix.addr()).or_default();
                    if !nodes.contains(&id) {
                        nodes.push(id);
                    }
                }
            }
        }
        self.scene.owners = owners;
        let wires = self.wires.into_iter().map(|(below, wire)| (wire, below));
        self.scene.wires = wires.collect();
        for (place, tenant) in self.scene.containers.values().enumerate() {
            let places = self.scene.tenants.entry(tenant.node).or_default();
            places.push(place);
        }
        self.scene
    }
}
