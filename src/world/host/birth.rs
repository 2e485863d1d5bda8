//! How a link of ours comes into the host's namespace, and how it goes: made down under a birth name in our group,
//! marked by its alias, and only then known by its name. A dead run leaves one of these three, and each is found here.

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use nix::errno::Errno;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};

use crate::model::mark::LinkMark;
use crate::model::name::{LinkName, ProjectName};
use crate::plan::observed::LinkFact;
use crate::plan::spec::{Kind, ResourceId};
use crate::world::WorldError;
use crate::world::host::claim::{self, Owner};
use crate::world::host::error::{refused, taken};
use crate::world::host::socket::NetlinkError;
use crate::world::host::{Host, message};

// `IFALIASZ` of include/uapi/linux/if.h, less the final zero.
const ALIAS_BYTES: usize = 255;

/// A link of a resource, by what identifies it.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    pub project: &'a ProjectName,
    pub id: &'a ResourceId,
    /// The part of the resource that the link is; empty where it is the whole.
    pub part: &'a str,
    /// The name it has when it is finished.
    pub name: &'a LinkName,
}

impl Claim<'_> {
    /// Its mark. A link that is not finished carries no hash.
    pub fn mark(&self, hash: &str) -> LinkMark {
        LinkMark {
            project: self.project.as_str().to_owned(),
            kind: self.id.kind.word().to_owned(),
            name: self.id.name.clone(),
            part: self.part.to_owned(),
            hash: claim::short(hash),
        }
    }

    fn is(&self, mark: &LinkMark) -> bool {
        mark.kind == self.id.kind.word() && mark.name == self.id.name && mark.part == self.part
    }

    /// The link among `links`, finished or not, where it has at least its mark. Its name in other hands is an error.
    pub fn find<'l>(&self, links: &'l [LinkFact]) -> Result<Option<&'l LinkFact>, WorldError> {
        let ours = |link: &&LinkFact| match claim::owner(link, self.project) {
            Owner::Ours(mark) => self.is(&mark),
            Owner::Newborn
            | Owner::Project(_)
            | Owner::Unnamed
            | Owner::Altered
            | Owner::Foreign => false,
        };
        let found = links.iter().find(ours);
        let holder = links.iter().find(|link| link.name == self.name.as_str());
        match (found, holder) {
            (_, None) => Ok(found),
            (Some(found), Some(holder)) if found.index == holder.index => Ok(Some(found)),
            (_, Some(holder)) => Err(taken(
                format!("cannot make the link `{}`: the name is taken", self.name),
                &claim::owner(holder, self.project),
            )),
        }
    }
}

impl Host {
    /// Makes a link for a claim by `make` (which is given the birth name), marks it, and gives its index. What an
    /// earlier run left unmarked is cleared away first.
    pub(super) async fn bear(
        &self,
        claim: &Claim<'_>,
        links: &[LinkFact],
        make: impl FnOnce(&str) -> LinkMessage,
    ) -> Result<u32, WorldError> {
        for link in links {
            if claim::is_birth_of(link, claim.project, claim.id) {
                self.delete_link(link).await?;
            }
        }
        let birth = claim::birth_name(claim.project, claim.id);
        let act = || format!("cannot make the link `{}`", claim.name);
        self.socket
            .act(
                RouteNetlinkMessage::NewLink(make(birth.as_str())),
                NLM_F_CREATE | NLM_F_EXCL,
            )
            .await
            .map_err(|error| refused(act(), &error))?;
        let index = self.index(&birth).await?;
        self.set_alias(index, &claim.mark("").to_alias()).await?;
        Ok(index)
    }

    /// The index of the link of this name.
    pub(super) async fn index(&self, name: &LinkName) -> Result<u32, WorldError> {
        let mut ask = LinkMessage::default();
        ask.attributes
            .push(LinkAttribute::IfName(name.as_str().to_owned()));
        let found = self
            .socket
            .ask(RouteNetlinkMessage::GetLink(ask))
            .await
            .and_then(|messages| {
                messages
                    .iter()
                    .find_map(|message| match message {
                        RouteNetlinkMessage::NewLink(link) => Some(link.header.index),
                        _ => None,
                    })
                    .ok_or_else(|| NetlinkError::from(Errno::ENODEV))
            });
        found.map_err(|error| refused(format!("cannot find the link `{name}`"), &error))
    }

    /// Sets a link's alias, cut to what the kernel takes.
    pub(super) async fn set_alias(&self, index: u32, alias: &str) -> Result<(), WorldError> {
        let mut alias = alias.to_owned();
        while alias.len() > ALIAS_BYTES {
            alias.pop();
        }
        let message = message::set(index, LinkAttribute::IfAlias(alias));
        self.set_link(message, || format!("cannot mark the link {index}"))
            .await
    }

    /// Gives a link its name.
    pub(super) async fn rename(&self, index: u32, name: &LinkName) -> Result<(), WorldError> {
        let message = message::set(index, LinkAttribute::IfName(name.as_str().to_owned()));
        self.set_link(message, || format!("cannot name the link `{name}`"))
            .await
    }

    /// Brings a link up.
    pub(super) async fn bring_up(&self, index: u32, name: &LinkName) -> Result<(), WorldError> {
        let message = message::flag(index, LinkFlags::Up, true);
        self.set_link(message, || format!("cannot bring the link `{name}` up"))
            .await
    }

    pub(super) async fn set_link(
        &self,
        message: LinkMessage,
        act: impl FnOnce() -> String,
    ) -> Result<(), WorldError> {
        self.socket
            .act(RouteNetlinkMessage::SetLink(message), 0)
            .await
            .map_err(|error| refused(act(), &error))
    }

    /// Removes a link; one that is gone already is removed.
    pub(super) async fn delete_link(&self, link: &LinkFact) -> Result<(), WorldError> {
        match self
            .socket
            .act(RouteNetlinkMessage::DelLink(message::link(link.index)), 0)
            .await
        {
            Err(error) if error.errno != Errno::ENODEV => Err(refused(
                format!("cannot remove the link `{}`", link.name),
                &error,
            )),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Removes every link of a resource, finished or not, whatever it is called now.
    pub(super) async fn delete_links_of(
        &self,
        project: &ProjectName,
        id: &ResourceId,
    ) -> Result<(), WorldError> {
        for link in &self.links().await? {
            let ours = match claim::owner(link, project) {
                Owner::Ours(mark) => mark.kind == id.kind.word() && mark.name == id.name,
                // An unfinished link is told to the planner under its birth name, as it has no other.
                Owner::Newborn => link.name == id.name || claim::is_birth_of(link, project, id),
                Owner::Project(_) | Owner::Unnamed | Owner::Altered | Owner::Foreign => false,
            };
            if ours {
                self.delete_link(link).await?;
            }
        }
        Ok(())
    }
}

/// The kind that a mark's word means, of those that have links.
pub fn kind_of(word: &str) -> Option<Kind> {
    [Kind::Lan, Kind::Link, Kind::Shim]
        .into_iter()
        .find(|kind| kind.word() == word)
}
