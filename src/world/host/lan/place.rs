//! The namespaces of a lan: each is made without a name, marked on its `lo`, and only then named, so that none is ever
//! found that does not say whose it is. The mark also says of which host namespace, as two hosts on one machine
//! (private engines) share the folder of names.

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, State};
use nix::errno::Errno;

use crate::model::mark::LinkMark;
use crate::model::name::ProjectName;
use crate::plan::spec::{LanSpec, ResourceId};
use crate::world::host::error::{broken, refused};
use crate::world::host::fuse::Fuse;
use crate::world::host::socket::Socket;
use crate::world::host::{Host, message};
use crate::world::netns::{self, Namespace};
use crate::world::{ErrorKind, WorldError};

// `lo` is the first link of every namespace.
const LOOPBACK: u32 = 1;

/// One namespace of a lan, with a socket in it.
#[derive(Debug, Clone)]
pub struct Place {
    pub name: String,
    pub namespace: Namespace,
    pub socket: Socket,
    pub fuse: Fuse,
}

/// Whose a named namespace is.
enum Tenant {
    /// A part of this lan.
    Part(String),
    Other(String),
}

/// The name of a part's namespace.
fn name_of(spec: &LanSpec, part: &str) -> String {
    format!("{}-{part}", spec.namespace_prefix)
}

/// The namespace of this part, made if it is absent.
pub async fn ensure(
    host: &Host,
    project: &ProjectName,
    id: &ResourceId,
    spec: &LanSpec,
    part: &str,
) -> Result<Place, WorldError> {
    let name = name_of(spec, part);
    let act = || format!("cannot make the namespace `{name}`");
    if let Ok(namespace) = Namespace::named(&name) {
        let place = open(host, &name, namespace).await?;
        return match tenant(host, project, id, &place).await? {
            Tenant::Part(found) if found == part => Ok(place),
            Tenant::Part(other) => Err(WorldError::new(
                ErrorKind::Taken,
                act(),
                format!("it is the `{other}` of this lan"),
            )),
            Tenant::Other(whose) => Err(WorldError::new(ErrorKind::Taken, act(), whose)),
        };
    }
    let namespace = Namespace::fresh().map_err(|error| broken(act(), &error))?;
    let place = open(host, &name, namespace).await?;
    let home = home(host)?;
    let mark = LinkMark {
        project: project.as_str().to_owned(),
        kind: id.kind.word().to_owned(),
        name: id.name.clone(),
        part: part.to_owned(),
        hash: home.to_string(),
    };
    let mut message = message::flag(LOOPBACK, LinkFlags::Up, true);
    message
        .attributes
        .push(LinkAttribute::IfAlias(mark.to_alias()));
    place.set(message).await?;
    host.fuse
        .burn()
        .map_err(std::io::Error::from)
        .and_then(|()| place.namespace.bind(&name))
        .map_err(|error| broken(act(), &error))?;
    Ok(place)
}

/// Why a lan could not have its namespaces: those of their names that are somebody else's.
pub async fn taken(
    host: &Host,
    project: &ProjectName,
    id: &ResourceId,
    spec: &LanSpec,
) -> Result<Vec<WorldError>, WorldError> {
    let mut errors = Vec::new();
    for part in all_parts(spec) {
        let name = name_of(spec, part);
        let Ok(namespace) = Namespace::named(&name) else {
            continue;
        };
        let place = open(host, &name, namespace).await?;
        if let Tenant::Other(whose) = tenant(host, project, id, &place).await? {
            let act = format!("cannot make the namespace `{name}`");
            errors.push(WorldError::new(ErrorKind::Taken, act, whose));
        }
    }
    Ok(errors)
}

/// All that may be a part of a lan.
fn all_parts(spec: &LanSpec) -> impl Iterator<Item = &str> {
    let machines = spec.lan.hosts.keys().map(|name| name.as_str());
    machines.chain(["switch", "router"])
}

/// The namespaces of this lan: part and name.
pub async fn parts(
    host: &Host,
    project: &ProjectName,
    id: &ResourceId,
) -> Result<Vec<(String, String)>, WorldError> {
    let marked = marked(host, project).await?;
    Ok(marked
        .into_iter()
        .filter(|(mark, _)| mark.name == id.name)
        .map(|(mark, name)| (mark.part, name))
        .collect())
}

/// All marked namespaces of a project on this host, with their names. Their names begin with the project's, so others
/// are not even looked into.
pub async fn marked(
    host: &Host,
    project: &ProjectName,
) -> Result<Vec<(LinkMark, String)>, WorldError> {
    let prefix = format!("{project}-");
    let found = all_marked(host, |name| name.starts_with(&prefix)).await?;
    Ok(found
        .into_iter()
        .filter(|(mark, _)| mark.is_of(project))
        .collect())
}

/// All marked namespaces of this host, of those whose name passes.
pub async fn all_marked(
    host: &Host,
    passes: impl Fn(&str) -> bool,
) -> Result<Vec<(LinkMark, String)>, WorldError> {
    let names = netns::names().map_err(|error| broken("cannot list named namespaces", &error))?;
    let home = home(host)?.to_string();
    let mut found = Vec::new();
    for name in names {
        if !passes(&name) {
            continue;
        }
        let Ok(namespace) = Namespace::named(&name) else {
            continue;
        };
        // Who may not enter (a user who only looks) does not see what is inside.
        let place = match open(host, &name, namespace).await {
            Err(error) if error.kind == ErrorKind::Forbidden => continue,
            opened => opened?,
        };
        if let Some(mark) = place.mark().await?
            && mark.hash == home
        {
            found.push((mark, name));
        }
    }
    Ok(found)
}

/// Removes all namespaces of a lan, and the empty files of those that never came to be.
pub async fn remove_all(
    host: &Host,
    project: &ProjectName,
    id: &ResourceId,
    spec: &LanSpec,
) -> Result<(), WorldError> {
    for (_, name) in parts(host, project, id).await? {
        remove(host, &name)?;
    }
    for part in all_parts(spec) {
        let name = name_of(spec, part);
        if Namespace::named(&name).is_err() {
            netns::unbind(&name)
                .map_err(|error| broken(format!("cannot remove `{name}`"), &error))?;
        }
    }
    Ok(())
}

/// Takes a namespace's name away.
pub fn remove(host: &Host, name: &str) -> Result<(), WorldError> {
    host.fuse
        .burn()
        .map_err(std::io::Error::from)
        .and_then(|()| netns::unbind(name))
        .map_err(|error| broken(format!("cannot remove the namespace `{name}`"), &error))
}

/// A named namespace, with a socket.
pub async fn open(host: &Host, name: &str, namespace: Namespace) -> Result<Place, WorldError> {
    let socket = Socket::open(&namespace, host.fuse.clone())
        .await
        .map_err(|error| broken(format!("cannot enter the namespace `{name}`"), &error))?;
    Ok(Place {
        name: name.to_owned(),
        namespace,
        socket,
        fuse: host.fuse.clone(),
    })
}

/// What tells this host namespace from others; the kernel numbers them all from one counter.
fn home(host: &Host) -> Result<u64, WorldError> {
    host.namespace
        .identity()
        .map(|(_, inode)| inode)
        .map_err(|error| broken("cannot look at the host's namespace", &error))
}

async fn tenant(
    host: &Host,
    project: &ProjectName,
    id: &ResourceId,
    place: &Place,
) -> Result<Tenant, WorldError> {
    let home = home(host)?.to_string();
    Ok(match place.mark().await? {
        None => Tenant::Other("it was not made by stack".to_owned()),
        Some(mark) if !mark.is_of(project) => {
            Tenant::Other(format!("it belongs to the project `{}`", mark.project))
        }
        Some(mark) if mark.hash != home => Tenant::Other(
            "it belongs to a lan of the same project on another host of this machine (a private engine)"
                .to_owned(),
        ),
        Some(mark) if mark.name != id.name => {
            Tenant::Other(format!("it belongs to the lan `{}`", mark.name))
        }
        Some(mark) => Tenant::Part(mark.part),
    })
}

impl Place {
    /// The mark on its `lo`.
    async fn mark(&self) -> Result<Option<LinkMark>, WorldError> {
        let answers = self
            .socket
            .ask(RouteNetlinkMessage::GetLink(message::link(LOOPBACK)))
            .await
            .map_err(|error| refused(format!("cannot look into `{}`", self.name), &error))?;
        Ok(answers.iter().find_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => {
                link.attributes
                    .iter()
                    .find_map(|attribute| match attribute {
                        LinkAttribute::IfAlias(alias) => LinkMark::from_alias(alias),
                        _ => None,
                    })
            }
            _ => None,
        }))
    }

    /// The link of this name.
    pub async fn link(&self, name: &str) -> Result<Option<LinkMessage>, WorldError> {
        let mut ask = LinkMessage::default();
        ask.attributes.push(LinkAttribute::IfName(name.to_owned()));
        match self.socket.ask(RouteNetlinkMessage::GetLink(ask)).await {
            Ok(answers) => Ok(answers.into_iter().find_map(|answer| match answer {
                RouteNetlinkMessage::NewLink(link) => Some(link),
                _ => None,
            })),
            Err(error) if error.errno == Errno::ENODEV => Ok(None),
            Err(error) => Err(refused(
                format!("cannot find the link `{name}` in `{}`", self.name),
                &error,
            )),
        }
    }

    /// Changes a link.
    pub async fn set(&self, message: LinkMessage) -> Result<(), WorldError> {
        self.socket
            .act(RouteNetlinkMessage::SetLink(message), 0)
            .await
            .map_err(|error| refused(format!("cannot set up `{}`", self.name), &error))
    }

    /// Removes a link; an absent one is removed.
    pub async fn delete(&self, index: u32) -> Result<(), WorldError> {
        let message = RouteNetlinkMessage::DelLink(message::link(index));
        match self.socket.act(message, 0).await {
            Err(error) if error.errno != Errno::ENODEV => Err(refused(
                format!("cannot remove a link in `{}`", self.name),
                &error,
            )),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Returns when the link of this name is seen to be up with its carrier, which is when the kernel sends its first
    /// frame and no earlier, or when the time is up. There is no event for it in one socket of several namespaces, so
    /// it looks every few milliseconds.
    pub async fn settled(&self, name: &str, until: tokio::time::Instant) -> Result<(), WorldError> {
        loop {
            let link = self.link(name).await?;
            let up = |link: LinkMessage| {
                link.attributes
                    .contains(&LinkAttribute::OperState(State::Up))
            };
            if link.is_none_or(up) || tokio::time::Instant::now() >= until {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }

    /// Brings the link of this name up, if it is not, and gives its index.
    pub async fn bring_up(&self, name: &str) -> Result<u32, WorldError> {
        let Some(link) = self.link(name).await? else {
            return Err(WorldError::new(
                ErrorKind::Missing,
                format!("cannot bring `{name}` up in `{}`", self.name),
                "there is no such link",
            ));
        };
        if !link.header.flags.contains(LinkFlags::Up) {
            self.set(message::flag(link.header.index, LinkFlags::Up, true))
                .await?;
        }
        Ok(link.header.index)
    }
}
