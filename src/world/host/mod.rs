//! The host's side: links, shims, routes, promiscuity and simulated lans of one network namespace, through the
//! kernel's own sockets. The only place that names rtnetlink.
//!
//! Every act may be repeated, and every act may be the last one of a process: what was begun is recognised by its
//! marks and finished or removed by the next call. What carries no mark of this project is never changed.

pub mod alone;
mod announce;
mod birth;
mod claim;
pub mod dhcp;
pub(in crate::world) mod error;
pub mod filter;
mod foresee;
pub mod fuse;
mod inside;
mod inventory;
mod lan;
pub mod ledger;
mod link;
mod lookup;
pub mod machine;
pub mod mend;
pub mod message;
pub mod neighbours;
pub mod nftables;
mod observe;
pub mod packet;
mod policy;
pub mod probe;
mod promiscuity;
mod route;
mod settings;
pub mod shim;
pub mod socket;
pub mod sysctl;
pub mod table;
#[cfg(test)]
mod tests;
mod tlv;
pub mod topology;
pub mod watch;
mod wireless;
pub mod witness;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use netlink_packet_route::RouteNetlinkMessage;
use nix::errno::Errno;

use crate::model::name::ProjectName;
use crate::plan::observed::{FoundResource, HostFacts, InsideLink, LinkFact, Scope};
use crate::plan::spec::{ResourceId, Spec};
use crate::plan::step::{State, Step};
use crate::world::host::error::{broken, refused};
use crate::world::host::fuse::Fuse;
use crate::world::host::socket::Socket;
use crate::world::netns::Namespace;
use crate::world::{ErrorKind, Progress, WorldError};

/// One network namespace as the host of a stack.
#[derive(Debug, Clone)]
pub struct Host {
    namespace: Namespace,
    socket: Socket,
    /// Where the ledger of what cannot carry a mark is kept.
    state: PathBuf,
    /// How long neighbours have to say that they have an address that a shim is about to get.
    patience: Duration,
    fuse: Fuse,
}

/// What only the engine knows about containers.
pub trait Endpoints: Send + Sync {
    /// The addresses of a running container in a network, by their names in the engine; empty where it does not run
    /// or is not there.
    fn addresses(
        &self,
        container: &str,
        network: &str,
    ) -> impl Future<Output = Result<Vec<IpAddr>, WorldError>> + Send;

    /// The first process of a running container; none where it does not run or is not there.
    fn process(
        &self,
        container: &str,
    ) -> impl Future<Output = Result<Option<u32>, WorldError>> + Send;
}

impl Host {
    /// The host in this namespace. `state` is the folder of the ledger (`/run/stack` for the machine's own
    /// namespace); it is made when the first entry is written.
    pub async fn open(namespace: Namespace, state: PathBuf) -> Result<Host, WorldError> {
        let fuse = Fuse::default();
        let socket = Socket::open(&namespace, fuse.clone())
            .await
            .map_err(|error| broken("cannot open a netlink socket", &error))?;
        Ok(Host {
            namespace,
            socket,
            state,
            // Answers came within 25 ms.
            patience: Duration::from_millis(300),
            fuse,
        })
    }

    /// The namespace it is.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its links, addresses, routes and settings as they are now.
    pub async fn facts(&self) -> Result<HostFacts, WorldError> {
        let act = "cannot read the host's links and routes";
        let mut links = self.links().await?;
        let wireless = self
            .namespace
            .enter(wireless::indices)
            .await
            .map_err(|error| broken("cannot ask which links are wireless", &error))?;
        for link in &mut links {
            link.wireless = wireless.contains(&link.index);
        }
        let names: BTreeMap<u32, String> = links
            .iter()
            .map(|link| (link.index, link.name.clone()))
            .collect();
        let routes = table::routes(&self.socket)
            .map_err(|error| refused(act, &error))?
            .iter()
            .filter_map(|message| table::route_fact(message, &names))
            .collect();
        let settings = sysctl::read(&self.namespace, vec!["ipv4/conf/all/arp_ignore".to_owned()])
            .await
            .map_err(|error| broken(act, &error))?;
        let arp_ignore = settings
            .first()
            .and_then(Option::as_ref)
            .and_then(|value| value.parse().ok())
            .unwrap_or(0);
        Ok(HostFacts {
            links,
            routes,
            arp_ignore,
            user_rules: self.docker_user_rules().await?,
            may_administer: self.may_administer().await?,
        })
    }

    /// Whether this process may change links here. The kernel is asked to change a link that cannot exist: it looks
    /// at CAP_NET_ADMIN in the user namespace that owns this network namespace before it looks for the link
    /// (`rtnetlink_rcv_msg`, net/core/rtnetlink.c).
    pub async fn may_administer(&self) -> Result<bool, WorldError> {
        let none = message::link(0x7fff_ffff);
        match self
            .socket
            .ask(RouteNetlinkMessage::SetLink(none))
            .await
            .map_err(|error| error.errno)
        {
            Err(Errno::EPERM | Errno::EACCES) => Ok(false),
            Ok(_) | Err(_) => Ok(true),
        }
    }

    /// What of this project is here, whole or damaged.
    pub async fn observe(
        &self,
        scope: &Scope,
        endpoints: &impl Endpoints,
    ) -> Result<BTreeMap<ResourceId, FoundResource>, WorldError> {
        observe::observe(self, scope, endpoints).await
    }

    /// Takes one resource of the host to `step.after`.
    pub async fn change(
        &self,
        project: &ProjectName,
        step: &Step,
        endpoints: &impl Endpoints,
        progress: &dyn Progress,
    ) -> Result<(), WorldError> {
        match (&step.after, step.before.spec()) {
            (State::Present(spec), _) => match spec.as_ref() {
                Spec::Shim(spec) => shim::make(self, project, spec, progress).await,
                Spec::Link(spec) => link::make(self, project, spec).await,
                Spec::Lan(spec) => lan::make(self, project, spec, progress).await,
                Spec::Promiscuity(spec) => promiscuity::make(self, project, spec).await,
                Spec::Route(spec) => route::make(self, project, spec, endpoints).await,
                Spec::Door(spec) => route::open_door(self, spec, endpoints).await,
                Spec::Network(_)
                | Spec::Volume(_)
                | Spec::Image(_)
                | Spec::Container(_)
                | Spec::Existing(_)
                | Spec::Endpoint(_) => Err(misplaced(step)),
            },
            (State::Absent, Some(spec)) => match spec.as_ref() {
                Spec::Shim(_) | Spec::Link(_) => link::remove(self, project, &step.id).await,
                Spec::Lan(spec) => lan::remove(self, project, &step.id, spec).await,
                Spec::Promiscuity(_) => promiscuity::remove(self, project, &step.id).await,
                Spec::Route(_) => route::remove(self, project, &step.id).await,
                Spec::Door(spec) => route::close_door(self, spec, endpoints).await,
                Spec::Network(_)
                | Spec::Volume(_)
                | Spec::Image(_)
                | Spec::Container(_)
                | Spec::Existing(_)
                | Spec::Endpoint(_) => Err(misplaced(step)),
            },
            (State::Absent, None) => Ok(()),
            (State::Running(_) | State::Parked(_), _) => Err(misplaced(step)),
        }
    }

    /// The links in the network namespace of a process of this machine, each with the link of this host that it is
    /// joined to.
    pub async fn inside(&self, process: u32) -> Result<Vec<InsideLink>, WorldError> {
        inside::links(self, process).await
    }

    /// All links of this host.
    pub async fn links(&self) -> Result<Vec<LinkFact>, WorldError> {
        table::links(&self.socket).map_err(|error| refused("cannot read the host's links", &error))
    }
}

fn misplaced(step: &Step) -> WorldError {
    WorldError::new(
        ErrorKind::Unsupported,
        format!("cannot {} `{}`", step.verb(), step.id),
        "it is not a resource of the host in a state that one can have",
    )
}
