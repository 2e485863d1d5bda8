//! The host's links with what is at their other ends: which container is behind a bridge's port, which children a
//! parent has in other namespaces. Data for pictures and for `stack graph`; whoever draws it finds bridges by kind,
//! their ports by `master`, and what sits on a parent by `lower` and here by `far`.

use crate::model::mark::LinkMark;
use crate::plan::observed::LinkFact;
use crate::world::WorldError;
use crate::world::host::error::{broken, refused};
use crate::world::host::socket::{NetlinkError, Socket};
use crate::world::host::{Host, table};
use crate::world::netns::{self, Namespace};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};

/// Somebody with a namespace of their own.
#[derive(Debug, Clone)]
pub struct Resident {
    /// A container's name, or a namespace's.
    pub name: String,
    pub namespace: Namespace,
}

/// A link of the host, and what is at its other ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Joint {
    pub link: LinkFact,
    /// Whose it is, where it is marked.
    pub mark: Option<LinkMark>,
    /// The other end of a pair, and the children in other namespaces; in order of residents.
    pub far: Vec<Far>,
}

/// A link in somebody's namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct Far {
    /// The resident's name.
    pub resident: String,
    pub link: LinkFact,
}

impl Host {
    /// All links of the host with their other ends at `residents` (the running containers) and in named namespaces.
    /// A resident that went away meanwhile, or whose namespace may not be entered, has no ends.
    pub async fn topology(&self, residents: &[Resident]) -> Result<Vec<Joint>, WorldError> {
        let act = "cannot read the host's links";
        let links = self.links().await?;
        let messages = table::link_messages(&self.socket).map_err(|error| refused(act, &error))?;
        let mut all = residents.to_vec();
        for name in netns::names().map_err(|error| broken(act, &error))? {
            if let Ok(namespace) = Namespace::named(&name)
                && !all.iter().any(|resident| resident.namespace == namespace)
            {
                all.push(Resident { name, namespace });
            }
        }
        let mut joints: Vec<Joint> = links
            .into_iter()
            .map(|link| Joint {
                mark: link.mark(),
                link,
                far: Vec::new(),
            })
            .collect();
        for resident in &all {
            if resident.namespace == self.namespace {
                continue;
            }
            let Ok(ends) = self.ends(resident, &messages).await else {
                continue;
            };
            for (index, link) in ends {
                if let Some(joint) = joints.iter_mut().find(|joint| joint.link.index == index) {
                    joint.far.push(Far {
                        resident: resident.name.clone(),
                        link,
                    });
                }
            }
        }
        Ok(joints)
    }

    /// The links of a resident that belong to links of the host: (the host's index, the resident's link).
    async fn ends(
        &self,
        resident: &Resident,
        messages: &[LinkMessage],
    ) -> Result<Vec<(u32, LinkFact)>, NetlinkError> {
        let inside = Socket::open(&resident.namespace, self.fuse.clone()).await?;
        // Each namespace has numbers of its own for the others it knows.
        let ours = namespace_id(&inside, &self.namespace).await?;
        let theirs = namespace_id(&self.socket, &resident.namespace).await?;
        let facts = table::links(&inside)?;
        let mut ends = Vec::new();
        for message in table::link_messages(&inside)? {
            let (other, namespace) = table::other_end(&message);
            let (Some(other), true) = (other, namespace.is_some() && namespace == ours) else {
                continue;
            };
            let index = message.header.index;
            let Some(fact) = facts.iter().find(|fact| fact.index == index) else {
                continue;
            };
            // A pair must name each other; a child names its parent only.
            let agrees = fact.kind != "veth"
                || messages.iter().any(|host| {
                    host.header.index == other && table::other_end(host) == (Some(index), theirs)
                });
            if agrees {
                ends.push((other, fact.clone()));
            }
        }
        Ok(ends)
    }
}

/// The number that the socket's namespace has for another; none where it knows it not.
async fn namespace_id(socket: &Socket, other: &Namespace) -> Result<Option<i32>, NetlinkError> {
    let mut ask = NsidMessage::default();
    let descriptor = u32::try_from(other.raw()).unwrap_or(u32::MAX);
    ask.attributes.push(NsidAttribute::Fd(descriptor));
    let answers = socket.ask(RouteNetlinkMessage::GetNsId(ask)).await?;
    Ok(answers.iter().find_map(|answer| match answer {
        RouteNetlinkMessage::NewNsId(message) => {
            message
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    NsidAttribute::Id(id) if *id >= 0 => Some(*id),
                    _ => None,
                })
        }
        _ => None,
    }))
}
