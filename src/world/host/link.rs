//! 802.1Q links (`eth0.20`), made as parents of networks. The engine makes such links too, but removes them with the
//! network and takes a shim on them along without a word (seen with 20.10), so where one is needed it is ours.

use crate::model::address::VlanId;
use crate::model::hash;
use crate::model::name::{LinkName, ProjectName};
use crate::plan::observed::LinkFact;
use crate::plan::spec::{Kind, LinkSpec, ResourceId, Spec};
use crate::world::host::birth::Claim;
use crate::world::host::claim;
use crate::world::host::error::broken;
use crate::world::host::sysctl::{self, Setting};
use crate::world::host::{Host, message};
use crate::world::{ErrorKind, WorldError};

/// Makes the link, marked and up, or finishes it.
pub async fn make(host: &Host, project: &ProjectName, spec: &LinkSpec) -> Result<(), WorldError> {
    let act = || format!("cannot make the VLAN link `{}`", spec.name);
    let id = ResourceId::new(Kind::Link, spec.name.as_str());
    let claim = Claim {
        project,
        id: &id,
        part: "",
        name: &spec.name,
    };
    let links = host.links().await?;
    let mark = claim.mark(&hash::of(&Spec::Link(spec.clone())));
    let base = links
        .iter()
        .find(|link| link.name == spec.base.as_str())
        .ok_or_else(|| {
            WorldError::new(
                ErrorKind::Missing,
                act(),
                format!("there is no link `{}`", spec.base),
            )
        })?;
    let mut found = claim.find(&links)?;
    if let Some(link) = found
        && read_back(link, &spec.name).as_ref() != Some(spec)
    {
        host.delete_link(link).await?;
        found = None;
    }
    if let Some(link) = found
        && link.up
        && link.name == spec.name.as_str()
        && link.alias.as_deref() == Some(&mark.to_alias())
    {
        return Ok(());
    }
    let index = match found {
        Some(link) => link.index,
        None => host
            .bear(&claim, &links, |name| {
                message::make_vlan(name, base.index, spec.vlan)
            })
            .await
            .map_err(|error| explain(error, base))?,
    };
    let now = match found {
        Some(link) => link.name.parse().ok(),
        None => Some(claim::birth_name(project, &id)),
    };
    if let Some(now) = now.filter(|now| *now != spec.name) {
        quiet(host, &now, act).await?;
        host.rename(index, &spec.name).await?;
    }
    host.bring_up(index, &spec.name)
        .await
        .map_err(|error| explain(error, base))?;
    host.set_alias(index, &mark.to_alias()).await
}

/// The kernel gives a new link IPv6 addresses of its own accord and lets routers give it more; a parent needs none.
async fn quiet(
    host: &Host,
    link: &LinkName,
    act: impl FnOnce() -> String,
) -> Result<(), WorldError> {
    let settings = [
        ("accept_ra", "0"),
        ("autoconf", "0"),
        ("addr_gen_mode", "1"),
    ]
    .map(|(key, value)| Setting::of_link("ipv6", link, key, value));
    host.settle(settings.into(), act).await
}

impl Host {
    /// Writes settings of a link.
    pub(super) async fn settle(
        &self,
        settings: Vec<Setting>,
        act: impl FnOnce() -> String,
    ) -> Result<(), WorldError> {
        let outcome = match self.fuse.burn() {
            Ok(()) => sysctl::write(&self.namespace, settings).await,
            Err(errno) => Err(errno.into()),
        };
        outcome.map_err(|error| broken(act(), &error))
    }
}

fn explain(error: WorldError, base: &LinkFact) -> WorldError {
    match error.kind {
        ErrorKind::Unsupported => {
            error.hint("this kernel has no 802.1Q links: load its module with `modprobe 8021q`")
        }
        ErrorKind::Taken => error.hint(format!(
            "`{}` has another link with this VLAN id: `ip -d link show type vlan` lists them",
            base.name
        )),
        _ if !base.up => error.hint(format!(
            "`{0}` is down: bring it up with `ip link set {0} up`",
            base.name
        )),
        _ => error,
    }
}

/// What a VLAN link is, in the words of the spec: `name` is the one it should have.
pub fn read_back(link: &LinkFact, name: &LinkName) -> Option<LinkSpec> {
    Some(LinkSpec {
        name: name.clone(),
        base: link.lower.as_ref()?.parse().ok()?,
        vlan: VlanId::try_from(link.mode.as_ref()?.parse::<u16>().ok()?).ok()?,
    })
}

/// What is wrong with a VLAN link of ours.
pub fn damage(link: &LinkFact, hash: &str) -> Vec<String> {
    let mut damage = Vec::new();
    if hash.is_empty() {
        damage.push("it was not finished".to_owned());
    } else if !link.up {
        damage.push("it is down".to_owned());
    }
    damage
}

/// Removes every link that this resource has.
pub async fn remove(host: &Host, project: &ProjectName, id: &ResourceId) -> Result<(), WorldError> {
    host.delete_links_of(project, id).await
}
