//! What a picture shows, whatever the format: networks with what carries them, stations with their joints, lans. A
//! scene knows nothing of where it came from except the words that say so. What is not known is absent, never made up:
//! an address that the engine has yet to choose is an empty list.

use std::net::IpAddr;

use indexmap::IndexMap;
use ipnet::IpNet;

use crate::model::address::Mac;
use crate::model::lan::Switch;

/// Everything in one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    pub project: String,
    pub source: Source,
    /// Networks that a bridge of the host carries.
    pub bridges: Vec<Bridge>,
    /// Parent links with the networks that sit on them.
    pub wires: Vec<Wire>,
    /// Networks that neither a bridge nor a parent of the host carries: overlay and plugins.
    pub others: Vec<Other>,
    /// Containers in the host's own namespace.
    pub on_host: Vec<Station>,
    /// Containers that have only `lo`.
    pub on_none: Vec<Station>,
    /// Containers in the namespace of one that is not in the picture.
    pub elsewhere: Vec<Station>,
    /// What the file has and the world has not, as `network lan` or `container lab-web-1`.
    pub missing: Vec<String>,
}

/// Where a scene comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// As it would be after `up`.
    File,
    /// As it is, the links included.
    Live,
    /// As the engine tells it: the host's links could not be read.
    Engine,
}

/// A network of the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// The engine's name.
    pub name: String,
    /// The driver with its mode, as in `macvlan bridge`.
    pub driver: String,
    pub pools: Vec<Pool>,
    /// Options as the engine takes them, without those that the picture shows otherwise.
    pub options: Vec<(String, String)>,
    /// `internal`, `attachable`, `IPv6`, `external`.
    pub traits: Vec<&'static str>,
}

/// The addresses of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    pub subnet: Option<IpNet>,
    pub range: Option<IpNet>,
    pub gateway: Option<IpAddr>,
    pub reserved: IndexMap<String, IpAddr>,
}

/// A network on a bridge.
#[derive(Debug, Clone, PartialEq)]
pub struct Bridge {
    pub network: Network,
    /// The bridge itself, where the host's links were read.
    pub link: Option<Card>,
    pub joints: Vec<Joint>,
}

/// A network without a link of ours to draw.
#[derive(Debug, Clone, PartialEq)]
pub struct Other {
    pub network: Network,
    pub joints: Vec<Joint>,
}

/// A link as it is shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Card {
    pub name: String,
    pub mac: Option<Mac>,
    pub addresses: Vec<IpNet>,
    /// `down`, `no carrier`, `promiscuous`.
    pub remarks: Vec<&'static str>,
}

/// A parent link and all that sits on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Wire {
    pub parent: Card,
    /// The link below and its VLAN id, where the parent is an 802.1Q link.
    pub vlan: Option<(String, u16)>,
    pub lan: Option<Lan>,
    pub networks: Vec<Network>,
    pub shims: Vec<Shim>,
    pub joints: Vec<Joint>,
}

/// The host's own link in a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Shim {
    pub card: Card,
    /// `macvlan bridge`.
    pub kind: String,
    pub routes: Vec<IpNet>,
    /// Containers that get a route when their address is known.
    pub follows: Vec<String>,
}

/// A simulated wire behind a parent.
#[derive(Debug, Clone, PartialEq)]
pub struct Lan {
    pub name: String,
    pub switch: Switch,
    /// The router's addresses; empty where there is none.
    pub router: Vec<IpAddr>,
    pub nat: bool,
    pub machines: Vec<Machine>,
}

/// A machine on a lan.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    pub name: String,
    pub addresses: Vec<IpNet>,
    pub vlan: Option<u16>,
}

/// One end of a container in one network.
#[derive(Debug, Clone, PartialEq)]
pub struct Joint {
    /// The engine's name of the network.
    pub network: String,
    pub station: Station,
    /// The host's end of the pair, where it has one.
    pub outer: Option<String>,
    /// The link's name inside.
    pub inner: Option<String>,
    /// Those in use, or those asked for.
    pub addresses: Vec<IpAddr>,
    pub mac: Option<Mac>,
    /// Names it answers to in this network.
    pub aliases: Vec<String>,
}

/// A container.
#[derive(Debug, Clone, PartialEq)]
pub struct Station {
    pub name: String,
    /// What to say of it where it does not simply run: `exited`, `not of this project`.
    pub remarks: Vec<String>,
    /// Containers that live in its namespace.
    pub sharers: Vec<Station>,
}

/// How a container is connected, before it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    Host,
    None,
    /// In the namespace of the container of this name.
    Inside(String),
    /// The joints' own stations are empty and filled in here.
    Joined(Vec<Loose>),
}

/// A joint before its station is known in full.
#[derive(Debug, Clone, PartialEq)]
pub struct Loose {
    pub network: String,
    pub outer: Option<String>,
    pub inner: Option<String>,
    pub addresses: Vec<IpAddr>,
    pub mac: Option<Mac>,
    pub aliases: Vec<String>,
}

/// A container with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    pub station: Station,
    pub place: Place,
}

impl Scene {
    /// A scene without anything in it.
    pub fn empty(project: impl Into<String>, source: Source) -> Scene {
        Scene {
            project: project.into(),
            source,
            bridges: Vec::new(),
            wires: Vec::new(),
            others: Vec::new(),
            on_host: Vec::new(),
            on_none: Vec::new(),
            elsewhere: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// Whether there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.bridges.is_empty()
            && self.wires.is_empty()
            && self.others.is_empty()
            && self.on_host.is_empty()
            && self.on_none.is_empty()
            && self.elsewhere.is_empty()
    }

    /// All joints, whatever carries them.
    pub fn joints(&self) -> impl Iterator<Item = &Joint> {
        let bridges = self.bridges.iter().flat_map(|bridge| &bridge.joints);
        let wires = self.wires.iter().flat_map(|wire| &wire.joints);
        bridges
            .chain(wires)
            .chain(self.others.iter().flat_map(|other| &other.joints))
    }

    /// Puts containers where they belong. All networks must be in the scene; a joint of one that is not is left out.
    pub fn place(&mut self, placed: Vec<Placed>) {
        let (inside, own): (Vec<Placed>, Vec<Placed>) = placed
            .into_iter()
            .partition(|one| matches!(one.place, Place::Inside(_)));
        let mut own = own;
        let mut left: Vec<(String, Station)> = inside
            .into_iter()
            .filter_map(|one| match one.place {
                Place::Inside(owner) => Some((owner, one.station)),
                Place::Host | Place::None | Place::Joined(_) => None,
            })
            .collect();
        // A container may share with one that shares itself: the engine allows a chain, and all are in one namespace.
        loop {
            let before = left.len();
            left.retain(|(owner, station)| {
                let owner = own.iter_mut().find(|one| {
                    one.station.name == *owner
                        || one.station.sharers.iter().any(|other| other.name == *owner)
                });
                match owner {
                    Some(owner) => {
                        owner.station.sharers.push(station.clone());
                        false
                    }
                    None => true,
                }
            });
            if left.len() == before {
                break;
            }
        }
        for (owner, mut station) in left {
            station
                .remarks
                .insert(0, format!("in the namespace of {owner}"));
            self.elsewhere.push(station);
        }
        for one in own {
            match one.place {
                Place::Host => self.on_host.push(one.station),
                Place::None => self.on_none.push(one.station),
                Place::Inside(_) => {}
                Place::Joined(loose) => {
                    for joint in loose {
                        self.join(joint, &one.station);
                    }
                }
            }
        }
    }

    fn join(&mut self, loose: Loose, station: &Station) {
        let Loose {
            network,
            outer,
            inner,
            addresses,
            mac,
            aliases,
        } = loose;
        let joints = self.joints_of(&network);
        if let Some(joints) = joints {
            joints.push(Joint {
                network,
                station: station.clone(),
                outer,
                inner,
                addresses,
                mac,
                aliases,
            });
        }
    }

    fn joints_of(&mut self, network: &str) -> Option<&mut Vec<Joint>> {
        if let Some(bridge) = self
            .bridges
            .iter_mut()
            .find(|bridge| bridge.network.name == network)
        {
            return Some(&mut bridge.joints);
        }
        if let Some(wire) = self
            .wires
            .iter_mut()
            .find(|wire| wire.networks.iter().any(|other| other.name == network))
        {
            return Some(&mut wire.joints);
        }
        self.others
            .iter_mut()
            .find(|other| other.network.name == network)
            .map(|other| &mut other.joints)
    }
}
