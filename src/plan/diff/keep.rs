//! Keeping the host's side as it should be while nobody runs: the plan that brings back what is gone or damaged of what
//! a project wants of its host. It is the difference that `up` makes, for the host's kinds alone: nothing is removed,
//! no container is touched, and what cannot stand yet is waited for and not tried.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::model::name::ProjectName;
use crate::plan::diff::PlanError;
use crate::plan::diff::draft::Draft;
use crate::plan::diff::host::{Difference, difference};
use crate::plan::observed::{FoundContainer, LinkFact, Observed};
use crate::plan::spec::{Kind, LinkSpec, ResourceId, RouteSpec, Spec};
use crate::plan::step::{Plan, State, StepIndex};

/// What is to be done, and what cannot be done yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Duty {
    pub plan: Plan,
    pub waits: Vec<Wait>,
}

/// Something that should be there and cannot stand yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wait {
    pub id: ResourceId,
    pub what: Lack,
}

/// What it needs first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// A link that is not ours to make.
    Link(String),
    /// A network of the engine.
    Network(String),
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            Lack::Link(name) => write!(f, "{} waits for the link `{name}`", self.id),
            Lack::Network(name) => write!(f, "{} waits for the network `{name}`", self.id),
        }
    }
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// The engine and its host.
    Both,
    /// The host alone. What the engine has is not known, and taken to be as it was: networks are there, and a container
    /// has the addresses to which routes were made.
    Host,
}

/// What has to be done so that the host is as wanted.
pub fn keep(
    project: &ProjectName,
    wanted: &[Spec],
    observed: &Observed,
    sight: Sight,
) -> Result<Duty, PlanError> {
    let mut writer = Writer {
        observed,
        sight,
        draft: Draft::default(),
        links: BTreeMap::new(),
        doors: BTreeMap::new(),
        waits: Vec::new(),
    };
    let mut order: Vec<&Spec> = wanted.iter().collect();
    order.sort_by_key(|spec| rank(spec.id().kind));
    for spec in order {
        writer.add(spec);
    }
    let mut waits = writer.waits;
    waits.sort();
    Ok(Duty {
        plan: writer.draft.finish(project)?,
        waits,
    })
}

/// What others stand on comes first.
fn rank(kind: Kind) -> u8 {
    match kind {
        Kind::Lan => 0,
        Kind::Link => 1,
        Kind::Promiscuity => 2,
        Kind::Shim => 3,
        Kind::Route | Kind::Door => 4,
        Kind::Network | Kind::Volume | Kind::Image | Kind::Container | Kind::Endpoint => 5,
    }
}

struct Writer<'a> {
    observed: &'a Observed,
    sight: Sight,
    draft: Draft,
    /// The links that steps make.
    links: BTreeMap<String, StepIndex>,
    /// The steps that make the shim of a network.
    doors: BTreeMap<String, StepIndex>,
    waits: Vec<Wait>,
}

impl Writer<'_> {
    fn add(&mut self, spec: &Spec) {
        let id = spec.id();
        let below = match spec {
            Spec::Lan(_) => Ok(None),
            Spec::Link(link) if self.stands_as(link) => return,
            Spec::Link(link) => self.link(link.base.as_str()),
            Spec::Promiscuity(flag) => self.link(flag.link.as_str()),
            Spec::Shim(shim) => match shim.networks.iter().find(|name| !self.network(name)) {
                Some(name) if !shim.networks.iter().any(|name| self.network(name)) => {
                    Err(Lack::Network(name.clone()))
                }
                Some(_) | None => self.link(shim.parent.as_str()),
            },
            Spec::Route(route) if !self.leads(&id, route) => return,
            Spec::Route(route) => match self.link(route.shim.as_str()) {
                Ok(below) => Ok(below),
                // The shim waits itself, and says for what.
                Err(_) => return,
            },
            Spec::Door(door) if !self.runs_on(&door.container, &door.network) => return,
            Spec::Door(door) => Ok(self.doors.get(&door.network).copied()),
            Spec::Network(_) | Spec::Volume(_) | Spec::Image(_) => return,
            Spec::Container(_) | Spec::Existing(_) | Spec::Endpoint(_) => return,
        };
        let below = match below {
            Ok(below) => below,
            Err(what) => {
                self.waits.push(Wait { id, what });
                return;
            }
        };
        let spec = &Arc::new(spec.clone());
        let found = self.observed.resources.get(&id);
        let step = match difference(found, spec) {
            Some(Difference { before, reason }) => {
                let after = State::Present(Arc::clone(spec));
                self.draft.step(&id, before, after, reason)
            }
            None => return,
        };
        if let Some(below) = below {
            self.draft.after(below, step);
        }
        match spec.as_ref() {
            Spec::Lan(lan) => self.makes(lan.lan.parent.as_str(), step),
            Spec::Link(link) => self.makes(link.name.as_str(), step),
            Spec::Shim(shim) => {
                self.makes(shim.name.as_str(), step);
                for network in &shim.networks {
                    self.doors.insert(network.clone(), step);
                }
            }
            Spec::Promiscuity(_) | Spec::Route(_) | Spec::Door(_) | Spec::Network(_) => {}
            Spec::Volume(_) | Spec::Image(_) | Spec::Container(_) => {}
            Spec::Existing(_) | Spec::Endpoint(_) => {}
        }
    }

    fn makes(&mut self, link: &str, step: StepIndex) {
        self.links.insert(link.to_owned(), step);
    }

    /// A link that something is to stand on: the step that makes it, none where it is there.
    fn link(&self, name: &str) -> Result<Option<StepIndex>, Lack> {
        match self.links.get(name) {
            Some(step) => Ok(Some(*step)),
            None if self.fact(name).is_some() => Ok(None),
            None => Err(Lack::Link(name.to_owned())),
        }
    }

    fn fact(&self, name: &str) -> Option<&LinkFact> {
        self.observed.host.as_ref()?.link(name)
    }

    /// Whether the engine has made the VLAN link itself, as it does when it starts and a network's parent is missing:
    /// then it is there, and not ours to mark.
    fn stands_as(&self, link: &LinkSpec) -> bool {
        let ours = self
            .observed
            .resources
            .contains_key(&ResourceId::new(Kind::Link, link.name.as_str()));
        let same = |fact: &LinkFact| {
            fact.kind == "vlan"
                && fact.lower.as_deref() == Some(link.base.as_str())
                && fact.mode.as_deref() == Some(link.vlan.number().to_string().as_str())
                && fact.alias.is_none()
        };
        !ours && self.fact(link.name.as_str()).is_some_and(same)
    }

    fn network(&self, name: &str) -> bool {
        let mut networks = self.observed.networks.iter();
        self.sight == Sight::Host || networks.any(|network| network.spec.name == name)
    }

    /// Whether a route has somewhere to lead.
    fn leads(&self, id: &ResourceId, route: &RouteSpec) -> bool {
        match self.sight {
            Sight::Both => self.runs_on(&route.container, &route.network),
            Sight::Host => self.observed.resources.contains_key(id),
        }
    }

    /// Whether a container runs and has an address in a network.
    fn runs_on(&self, container: &str, network: &str) -> bool {
        let on = |found: &&FoundContainer| {
            found.name == container
                && found.runs()
                && found.endpoints.iter().any(|endpoint| {
                    endpoint.network == network
                        && (endpoint.ipv4.is_some() || endpoint.ipv6.is_some())
                })
        };
        self.observed.containers.iter().any(|found| on(&found))
    }
}
