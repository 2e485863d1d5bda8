//! What of a project is on this host, by its marks: links by alias, or by group and birth name where a run was cut
//! off; what cannot carry a mark by the ledger.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use ipnet::IpNet;

use crate::model::lan::{Lan, Switch};
use crate::model::name::{LinkName, ProjectName};
use crate::plan::observed::{FoundResource, LinkFact, RouteFact, Scope};
use crate::plan::spec::{Kind, LanSpec, ResourceId, Spec};
use crate::world::WorldError;
use crate::world::host::claim::{self, Owner};
use crate::world::host::error::broken;
use crate::world::host::lan::{place, read};
use crate::world::host::ledger::{Entry, Ledger, Note};
use crate::world::host::shim::survey::unsettled;
use crate::world::host::{Endpoints, Host, birth, link, promiscuity, route, shim};

/// All of the project's resources on this host.
pub async fn observe(
    host: &Host,
    scope: &Scope,
    endpoints: &impl Endpoints,
) -> Result<BTreeMap<ResourceId, FoundResource>, WorldError> {
    let links = host.links().await?;
    let routes = host.route_facts(&links).await?;
    let entries = host.entries()?;
    let mut found = lans(host, scope, &links).await?;
    for link in &links {
        let (id, hash) = match claim::owner(link, &scope.project) {
            Owner::Ours(mark) => match birth::kind_of(&mark.kind) {
                Some(Kind::Lan) => continue,
                Some(kind) => (ResourceId::new(kind, mark.name), mark.hash),
                None => continue,
            },
            Owner::Newborn => match newborn_kind(link) {
                Some(kind) => (ResourceId::new(kind, link.name.clone()), String::new()),
                None => continue,
            },
            Owner::Project(_) | Owner::Unnamed | Owner::Altered | Owner::Foreign => continue,
        };
        if let Some((spec, mut damage)) = read_back(link, &id, &hash, &routes, &entries) {
            if id.kind == Kind::Shim {
                damage.extend(shim::read::narrow(link, &links));
            }
            if id.kind == Kind::Shim && damage.is_empty() {
                damage.extend(unsettled(&host.shim_settings(&link.name).await?));
            }
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
    for entry in entries
        .iter()
        .filter(|entry| entry.project == scope.project)
    {
        let noted = match promiscuity::found(entry, &links) {
            Some(noted) => Some(noted),
            None => route::found(entry, &links, &routes, endpoints).await?,
        };
        found.extend(noted.map(|noted| (entry.id.clone(), noted)));
    }
    for door in &scope.doors {
        let open = route::find_door(host, door, endpoints).await?;
        found.extend(open.map(|open| (open.spec.id(), open)));
    }
    Ok(found)
}

/// The lans: those that a link's mark tells of, and those of which only namespaces are left.
async fn lans(
    host: &Host,
    scope: &Scope,
    links: &[LinkFact],
) -> Result<BTreeMap<ResourceId, FoundResource>, WorldError> {
    let project = &scope.project;
    let mut names: BTreeSet<String> = place::marked(host, project)
        .await?
        .into_iter()
        .map(|(mark, _)| mark.name)
        .collect();
    for link in links {
        match claim::owner(link, project) {
            Owner::Ours(mark) if mark.kind == Kind::Lan.word() => {
                names.insert(mark.name);
            }
            Owner::Ours(_)
            | Owner::Newborn
            | Owner::Project(_)
            | Owner::Unnamed
            | Owner::Altered
            | Owner::Foreign => {}
        }
    }
    let mut found = BTreeMap::new();
    for name in names {
        let id = ResourceId::new(Kind::Lan, name);
        let Some(spec) = read::read_back(host, project, &id, links).await? else {
            continue;
        };
        let parent = read::part(links, project, &id, "parent");
        let mark = parent.map(|link| claim::owner(link, project));
        let resource = FoundResource {
            damage: match parent {
                Some(parent) => read::damage(host, project, &id, &spec, links, parent).await?,
                None => vec!["its link on the host is gone".to_owned()],
            },
            hash: match mark {
                Some(Owner::Ours(mark)) => mark.hash,
                Some(_) | None => String::new(),
            },
            link: parent.and_then(|link| link.name.parse().ok()),
            spec: Spec::Lan(spec),
        };
        found.insert(id, resource);
    }
    Ok(found)
}

/// A lan of which there is one unmarked link.
fn newborn_lan(link: &LinkFact) -> Option<LanSpec> {
    let parent: LinkName = link.name.parse().ok()?;
    Some(LanSpec {
        lan: Lan {
            name: link.name.parse().ok()?,
            parent,
            subnets: Vec::new(),
            gateways: Vec::new(),
            nat: false,
            addresses: Vec::new(),
            hosts: IndexMap::new(),
            switch: Switch::default(),
            mtu: None,
        },
        namespace_prefix: link.name.clone(),
        vlans: Vec::new(),
    })
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
            let spec = shim::read::read_back(link, &name, routes, &kept(entries, &name))?;
            let mut damage = shim::read::damage(link, &spec, hash);
            rename_damage(link, id, &mut damage);
            Some((Spec::Shim(spec), damage))
        }
        Kind::Link => {
            let spec = link::read_back(link, &name)?;
            let mut damage = link::damage(link, hash);
            rename_damage(link, id, &mut damage);
            Some((Spec::Link(spec), damage))
        }
        Kind::Lan => {
            let damage = vec!["it was not finished".to_owned()];
            Some((Spec::Lan(newborn_lan(link)?), damage))
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
    fn ledger_of(&self) -> std::io::Result<Ledger> {
        let (_, inode) = self.namespace.identity()?;
        Ok(Ledger::new(&self.state, inode))
    }

    /// The ledger's entries.
    pub(in crate::world) fn entries(&self) -> Result<Vec<Entry>, WorldError> {
        self.ledger_of()
            .and_then(|ledger| ledger.entries())
            .map_err(|error| broken("cannot read the host's ledger", &error))
    }

    /// Writes into the ledger.
    pub(super) fn note(
        &self,
        project: &ProjectName,
        id: &ResourceId,
        note: Note,
    ) -> Result<(), WorldError> {
        let written = self
            .fuse
            .burn()
            .map_err(std::io::Error::from)
            .and_then(|()| {
                self.ledger_of()
                    .and_then(|ledger| ledger.put(project, id, note))
            });
        written.map_err(|error| {
            broken(
                "cannot write the host's ledger, so nothing was done",
                &error,
            )
        })
    }

    /// Strikes an entry out of the ledger.
    pub(super) fn strike(&self, project: &ProjectName, id: &ResourceId) -> Result<(), WorldError> {
        let struck = self
            .fuse
            .burn()
            .map_err(std::io::Error::from)
            .and_then(|()| {
                self.ledger_of()
                    .and_then(|ledger| ledger.strike(project, id))
            });
        struck.map_err(|error| broken("cannot write the host's ledger", &error))
    }

    /// The destinations through a shim that are resources of their own.
    pub(super) fn kept_routes(&self, shim: &LinkName) -> Result<Vec<IpNet>, WorldError> {
        Ok(kept(&self.entries()?, shim))
    }
}
