//! What of a project is on this host, by its marks: links by alias, or by group and birth name where a run was cut
//! off; what cannot carry a mark by the ledger.

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::model::name::LinkName;
use crate::plan::observed::{FoundResource, LinkFact, RouteFact, Scope};
use crate::plan::spec::{Kind, ResourceId, Spec};
use crate::world::WorldError;
use crate::world::host::claim::{self, Owner};
use crate::world::host::error::broken;
use crate::world::host::ledger::{Entry, Ledger, Note};
use crate::world::host::{Endpoints, Host, birth, link, shim};

/// All of the project's resources on this host.
pub async fn observe(
    host: &Host,
    scope: &Scope,
    _endpoints: &impl Endpoints,
) -> Result<BTreeMap<ResourceId, FoundResource>, WorldError> {
    let links = host.links().await?;
    let routes = host.route_facts(&links).await?;
    let entries = host.entries()?;
    let mut found = BTreeMap::new();
    for link in &links {
        let (id, hash) = match claim::owner(link, &scope.project) {
            Owner::Ours(mark) => match birth::kind_of(&mark.kind) {
                Some(kind) => (ResourceId::new(kind, mark.name), mark.hash),
                None => continue,
            },
            Owner::Newborn => match newborn_kind(link) {
                Some(kind) => (ResourceId::new(kind, link.name.clone()), String::new()),
                None => continue,
            },
            Owner::Project(_) | Owner::Unnamed | Owner::Foreign => continue,
        };
        if let Some((spec, damage)) = read_back(link, &id, &hash, &routes, &entries) {
            found.insert(
                id,
                FoundResource {
                    spec,
                    hash,
                    damage,
                    link: link.name.parse().ok(),
                },
            );
        }
    }
    Ok(found)
}

/// What an unmarked link was to become.
fn newborn_kind(link: &LinkFact) -> Option<Kind> {
    match link.kind.as_str() {
        "macvlan" | "ipvlan" => Some(Kind::Shim),
        "vlan" => Some(Kind::Link),
        "veth" => Some(Kind::Lan),
        _ => None,
    }
}

fn read_back(
    link: &LinkFact,
    id: &ResourceId,
    hash: &str,
    routes: &[RouteFact],
    entries: &[Entry],
) -> Option<(Spec, Vec<String>)> {
    let name = id.name.parse().ok()?;
    match id.kind {
        Kind::Shim => {
            let spec = shim::read_back(link, &name, routes, &kept(entries, &name))?;
            let mut damage = shim::damage(link, &spec, hash);
            rename_damage(link, id, &mut damage);
            Some((Spec::Shim(spec), damage))
        }
        Kind::Link => {
            let spec = link::read_back(link, &name)?;
            let mut damage = link::damage(link, hash);
            rename_damage(link, id, &mut damage);
            Some((Spec::Link(spec), damage))
        }
        _ => None,
    }
}

fn rename_damage(link: &LinkFact, id: &ResourceId, damage: &mut Vec<String>) {
    if damage.is_empty() && link.name != id.name {
        damage.push(format!("it is called `{}`", link.name));
    }
}

/// The destinations through a shim that are resources of their own.
fn kept(entries: &[Entry], shim: &LinkName) -> Vec<IpNet> {
    let mut kept = Vec::new();
    for entry in entries {
        if let Some(Note::Route { spec, destinations }) = &entry.note
            && spec.shim == *shim
        {
            kept.extend(destinations);
        }
    }
    kept
}

impl Host {
    /// The ledger of this namespace.
    pub(super) fn ledger(&self) -> Result<Ledger, WorldError> {
        let (_, inode) = self
            .namespace
            .identity()
            .map_err(|error| broken("cannot look at the namespace", &error))?;
        Ok(Ledger::new(&self.state, inode))
    }

    /// The ledger's entries.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, WorldError> {
        self.ledger()?
            .entries()
            .map_err(|error| broken("cannot read the host's ledger", &error))
    }

    /// The destinations through a shim that are resources of their own.
    pub(super) fn kept_routes(&self, shim: &LinkName) -> Result<Vec<IpNet>, WorldError> {
        Ok(kept(&self.entries()?, shim))
    }
}
