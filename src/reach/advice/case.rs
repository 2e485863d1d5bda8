//! What is asked, of which stack, and who the words in it mean.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::name::{NetworkName, ServiceName};
use crate::model::service::Connection;
use crate::model::stack::Stack;
use crate::plan::desired::Wishes;
use crate::plan::observed::Observed;
use crate::reach::facts::Facts;
use crate::reach::predict::{self, Cell};
use crate::reach::question::Ask;
use crate::reach::scene::build::scene;
use crate::reach::scene::draft::Moment;
use crate::reach::scene::{HOST, Scene};
use crate::reach::verdict::{Code, Verdict};
use crate::reach::words;
/// What is asked, of which stack.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    pub stack: &'a Stack,
    pub wishes: &'a Wishes,
    pub observed: &'a Observed,
    pub facts: &'a Facts,
    pub from: &'a str,
    pub to: &'a str,
    pub ask: Ask,
}

impl<'a> Case<'a> {
    pub fn scene(&self, stack: &Stack) -> Scene {
        let facts = self.facts.clone();
        scene(stack, self.wishes, self.observed, facts, Moment::Wanted)
    }

    pub fn cells(&self, scene: &Scene, to: &str, ask: Ask) -> Vec<Cell> {
        let questions = words::ask(scene, self.from, to, ask).unwrap_or_default();
        predict::each(scene, questions)
    }

    /// Whether it works: each of those who ask gets through, at one address at least. A published port is asked where
    /// it is published.
    pub fn works(&self, scene: &Scene, published: Option<u16>) -> bool {
        let Some(port) = published else {
            return gets_through(&self.cells(scene, self.to, self.ask));
        };
        let ask = match self.ask {
            Ask::Udp(_) => Ask::Udp(port),
            Ask::Tcp(_) | Ask::Icmp | Ask::Name => Ask::Tcp(port),
        };
        gets_through(&self.cells(scene, "host", ask))
    }
}

/// Whether the network brings it there. Whether somebody listens is another question, unless it is the only one.
pub fn gets_through(cells: &[Cell]) -> bool {
    let listens = |cell: &Cell| {
        matches!(cell.prediction.verdict, Verdict::Depends(_))
            && cell.prediction.code() == Some(Code::NoListener)
    };
    let mut askers: BTreeSet<String> = BTreeSet::new();
    let mut fine: BTreeSet<String> = BTreeSet::new();
    for cell in cells {
        askers.insert(cell.question.from.to_string());
        if cell.prediction.verdict == Verdict::Ok || listens(cell) {
            fine.insert(cell.question.from.to_string());
        }
    }
    !askers.is_empty() && askers == fine
}

/// Who a word means: the service whose namespace it is, its networks, and whether it is the host.
pub struct Party {
    pub service: Option<ServiceName>,
    pub networks: Vec<NetworkName>,
}

pub fn party(stack: &Stack, scene: &Scene, word: &str) -> Party {
    let by_address = word.parse::<IpAddr>().ok().and_then(|address| {
        let node = scene.owners(address).iter().find(|node| **node != HOST)?;
        let (_, tenant) = scene.tenants(*node).next()?;
        Some(tenant.service.as_str())
    });
    let tenant = scene
        .containers
        .get(word)
        .map(|tenant| tenant.service.as_str());
    let named = scene
        .containers
        .values()
        .find(|tenant| tenant.names.iter().any(|name| name == word))
        .map(|tenant| tenant.service.as_str());
    let mut service = by_address
        .or(tenant)
        .or(named)
        .unwrap_or(word)
        .parse::<ServiceName>()
        .ok()
        .and_then(|name| stack.services.get(&name));
    // A guest in another's namespace has the other's networks.
    for _ in 0..stack.services.len() {
        match service.map(|service| &service.connection) {
            Some(Connection::Service(owner)) => service = stack.services.get(owner),
            Some(_) | None => break,
        }
    }
    let networks = match service.map(|service| &service.connection) {
        Some(Connection::Networks(networks)) => networks.keys().cloned().collect(),
        Some(_) | None => Vec::new(),
    };
    Party {
        service: service.map(|service| service.name.clone()),
        networks,
    }
}
