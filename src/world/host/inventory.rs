//! Everything on this host that carries our mark, whichever project's it is, and how one such thing is taken away that
//! no project can be asked to remove. Before it is removed its mark is looked at once more.

use crate::model::mark::{LINK_GROUP, TABLE_PREFIX};
use crate::model::name::ProjectName;
use crate::plan::observed::LinkFact;
use crate::plan::orphan::{Marked, Thing};
use crate::plan::spec::{Kind, ResourceId};
use crate::world::host::birth::kind_of;
use crate::world::host::error::broken;
use crate::world::host::lan::{nat, place};
use crate::world::host::ledger::{Entry, Note};
use crate::world::host::{Host, claim, lookup, nftables, promiscuity, route};
use crate::world::{ErrorKind, WorldError};

impl Host {
    /// All that carries our mark here.
    pub async fn marked(&self) -> Result<Vec<Marked>, WorldError> {
        let links = self.links().await?;
        let mut marked: Vec<Marked> = links.iter().filter_map(marked_link).collect();
        // A link in our group whose alias somebody changed is nobody's orphan, nor are its routes.
        let ours = |name: Option<&str>| {
            links.iter().any(|link| {
                Some(link.name.as_str()) == name
                    && (link.group == LINK_GROUP || marked_link(link).is_some())
            })
        };
        for fact in self.route_facts(&links).await? {
            if lookup::is_ours(&fact) && !ours(fact.link.as_deref()) {
                marked.push(Marked {
                    project: None,
                    thing: Thing::Route {
                        destination: fact.destination,
                        link: fact.link,
                    },
                });
            }
        }
        for (mark, name) in place::all_marked(self, |_| true).await? {
            marked.push(Marked {
                project: Some(mark.project),
                thing: Thing::Namespace {
                    name,
                    lan: mark.name,
                },
            });
        }
        marked.extend(self.tables().await?.into_iter().map(|name| Marked {
            project: None,
            thing: Thing::Table { name },
        }));
        for Entry {
            project, id, note, ..
        } in self.entries()?
        {
            if let Some(note) = note {
                marked.push(Marked {
                    project: Some(project.to_string()),
                    thing: Thing::Note {
                        id,
                        says: note.to_string(),
                    },
                });
            }
        }
        Ok(marked)
    }

    /// Our firewall tables. Who may not ask, and a kernel without nftables, see none.
    async fn tables(&self) -> Result<Vec<String>, WorldError> {
        let tables = self
            .namespace
            .enter(|| Ok(nftables::tables()))
            .await
            .map_err(|error| broken("cannot list firewall tables", &error))?;
        let ours = tables.unwrap_or_default().into_iter();
        let ours = ours.filter(|table| table.ours && table.name.starts_with(TABLE_PREFIX));
        Ok(ours.map(|table| table.name).collect())
    }

    /// Takes away one thing that is still marked; one that is gone is taken away.
    pub async fn discard(&self, marked: &Marked) -> Result<(), WorldError> {
        match &marked.thing {
            Thing::Link { name, index, .. } => {
                let links = self.links().await?;
                let still = links.iter().find(|link| {
                    link.index == *index && link.name == *name && marked_link(link).is_some()
                });
                match still {
                    Some(link) => self.delete_link(link).await,
                    None => Ok(()),
                }
            }
            Thing::Route { destination, link } => {
                let links = self.links().await?;
                let still = self.route_facts(&links).await?.into_iter().any(|fact| {
                    lookup::is_ours(&fact) && fact.destination == *destination && fact.link == *link
                });
                let by = links.iter().find(|fact| Some(&fact.name) == link.as_ref());
                match by.filter(|_| still) {
                    Some(link) => self.delete_route(link.index, *destination).await,
                    None => Ok(()),
                }
            }
            Thing::Namespace { name, .. } => {
                let still = place::all_marked(self, |other| other == name).await?;
                if still.is_empty() {
                    return Ok(());
                }
                place::remove(self, name)
            }
            Thing::Table { name } if name.starts_with(TABLE_PREFIX) => {
                nat::batch(self, &self.namespace, nftables::remove(name)).await
            }
            Thing::Note { id, .. } => match marked.project.as_deref().map(str::parse) {
                Some(Ok(project)) => self.take_back_note(&project, id).await,
                Some(Err(_)) | None => Ok(()),
            },
            Thing::Table { .. }
            | Thing::Run { .. }
            | Thing::Lock { .. }
            | Thing::Record { .. }
            | Thing::Container { .. }
            | Thing::Network { .. }
            | Thing::Volume { .. }
            | Thing::Image { .. } => Err(WorldError::new(
                ErrorKind::Unsupported,
                format!(
                    "cannot remove the {} `{}`",
                    marked.thing.word(),
                    marked.thing.name()
                ),
                "it is not a thing of the host",
            )),
        }
    }

    /// Puts back what a note of the ledger tells of, and strikes it.
    async fn take_back_note(
        &self,
        project: &ProjectName,
        id: &ResourceId,
    ) -> Result<(), WorldError> {
        match id.kind {
            Kind::Promiscuity => promiscuity::remove(self, project, id).await,
            Kind::Route => route::remove(self, project, id).await,
            Kind::Lan => nat::restore(self, project, id).await,
            Kind::Link
            | Kind::Network
            | Kind::Shim
            | Kind::Volume
            | Kind::Image
            | Kind::Container
            | Kind::Endpoint
            | Kind::Door => self.strike(project, id),
        }
    }
}

/// A link as a marked thing, if it is one.
fn marked_link(link: &LinkFact) -> Option<Marked> {
    let mark = link.mark();
    if mark.is_none() && !claim::is_newborn(link) {
        return None;
    }
    let of = mark
        .as_ref()
        .and_then(|mark| kind_of(&mark.kind).map(|kind| ResourceId::new(kind, mark.name.clone())));
    Some(Marked {
        thing: Thing::Link {
            name: link.name.clone(),
            index: link.index,
            of,
            finished: mark.as_ref().is_some_and(|mark| !mark.hash.is_empty()),
        },
        project: mark.map(|mark| mark.project),
    })
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Note::Promiscuity { link, was_set, .. } => {
                let before = if *was_set { "set" } else { "not set" };
                write!(
                    f,
                    "wants `{link}` promiscuous; before, the flag was {before}"
                )
            }
            Note::Route { spec, destinations } => {
                let to: Vec<String> = destinations.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "{} by `{}` to the container `{}`",
                    to.join(", "),
                    spec.shim,
                    spec.container
                )
            }
            Note::Settings { before } => {
                let were: Vec<String> = before
                    .iter()
                    .map(|(path, value)| format!("{path} was {value}"))
                    .collect();
                f.write_str(&were.join(", "))
            }
        }
    }
}
