//! The host's door into a macvlan or ipvlan network: a sibling link in the host's namespace, with an address of its
//! own (/32 or /128, so that it never competes with the parent's connected route) and routes to the containers.
//!
//! Order: made down, marked, its own settings, named, up, addresses, routes, announced, looked up. The hash comes into
//! the mark last; a shim without it was not finished.

pub mod examine;
pub mod read;
pub mod survey;

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkAttribute;

use crate::model::address::{Mac, host_prefix};
use crate::model::hash;
use crate::model::name::{LinkName, ProjectName};
use crate::model::network::IpvlanMode;
use crate::plan::observed::{LinkFact, RouteFact};
use crate::plan::spec::{Kind, ResourceId, ShimKind, ShimRoute, ShimSpec, Spec};
use crate::world::host::birth::Claim;
use crate::world::host::error::{broken, refused};
use crate::world::host::message::{Route, Routed};
use crate::world::host::shim::read::{alias, form, mode_word, plain, read_back, same_make};
use crate::world::host::shim::survey::unsettled;
use crate::world::host::sysctl::{self, Setting};
use crate::world::host::{Host, claim, lookup, message};
use crate::world::{ErrorKind, Progress, WorldError};

/// Makes the shim, or finishes or changes what there is of it.
pub async fn make(
    host: &Host,
    project: &ProjectName,
    wanted: &ShimSpec,
    progress: &dyn Progress,
) -> Result<(), WorldError> {
    let id = ResourceId::new(Kind::Shim, wanted.name.as_str());
    let claim = Claim {
        project,
        id: &id,
        part: "",
        name: &wanted.name,
    };
    let hash = hash::of(&Spec::Shim(wanted.clone()));
    let spec = &complete(wanted, project);
    let links = host.links().await?;
    let parent = parent(spec, &links)?;
    wide_enough(spec, parent)?;
    let mut found = claim.find(&links)?;
    if let Some(link) = found {
        let routes = host.route_facts(&links).await?;
        let kept = host.kept_routes(&spec.name)?;
        let now = read_back(link, &spec.name, &routes, &kept);
        if link.up
            && link.mtu >= parent.mtu
            && link.name == spec.name.as_str()
            && alias(&claim, &hash, spec) == link.alias.clone().unwrap_or_default()
            && now.as_ref().map(form) == Some(form(spec))
            && unsettled(&host.shim_settings(&link.name).await?).is_empty()
        {
            return Ok(());
        }
        if !same_make(link, spec) {
            host.delete_link(link).await?;
            found = None;
        }
    }
    let (index, now) = match found {
        Some(link) => {
            host.set_alias(link.index, &claim.mark("").to_alias())
                .await?;
            wide_as_parent(host, link, parent).await?;
            (link.index, link.name.clone())
        }
        None => {
            let index = host
                .bear(&claim, &links, |name| {
                    message::make_child(name, parent.index, spec.kind, spec.mac)
                })
                .await
                .map_err(|error| explain(error, spec))?;
            (index, claim::birth_name(project, &id).to_string())
        }
    };
    settings(host, &now, spec).await?;
    if now != spec.name.as_str() {
        host.rename(index, &spec.name).await?;
    }
    host.bring_up(index, &spec.name)
        .await
        .map_err(|error| explain(error, spec))?;
    free(host, index, spec, progress).await?;
    addresses(host, index, spec).await?;
    routes(host, index, spec).await?;
    host.announce(index, spec, progress).await?;
    if !parent.up {
        progress.warn(&format!(
            "the parent `{}` is down, so nothing passes: bring it up with `ip link set {} up`",
            spec.parent, spec.parent
        ));
    }
    lookup::check(host, index, spec, progress).await?;
    port_mode(host, spec).await?;
    host.set_alias(index, &alias(&claim, &hash, spec)).await
}

/// The spec with what was left to us: a macvlan link without an address in the spec gets one derived from whose it is,
/// so that switches and neighbours see the same one after every reboot.
fn complete(spec: &ShimSpec, project: &ProjectName) -> ShimSpec {
    let mut spec = spec.clone();
    spec.mac = match spec.kind {
        ShimKind::Macvlan(_) => {
            let identity = format!("{project}/shim/{}", spec.name);
            Some(spec.mac.unwrap_or_else(|| Mac::derived(&identity)))
        }
        ShimKind::Ipvlan(..) => None,
    };
    spec
}

/// The parent, where it can carry the shim.
fn parent<'l>(spec: &ShimSpec, links: &'l [LinkFact]) -> Result<&'l LinkFact, WorldError> {
    let act = || format!("cannot make the shim `{}` on `{}`", spec.name, spec.parent);
    let Some(parent) = links.iter().find(|link| link.name == spec.parent.as_str()) else {
        return Err(WorldError::new(
            ErrorKind::Missing,
            act(),
            format!("there is no link `{}`", spec.parent),
        ));
    };
    if let Some(master) = &parent.master {
        return Err(WorldError::new(
            ErrorKind::InUse,
            act(),
            format!("`{}` is a port of `{master}`", spec.parent),
        )
        .hint(format!("use `{master}` as the parent")));
    }
    let other = |link: &&LinkFact| {
        link.lower.as_deref() == Some(spec.parent.as_str()) && conflict(link, spec.kind)
    };
    if let Some(sibling) = links.iter().find(other) {
        let mode = sibling.mode.as_deref().unwrap_or("?");
        return Err(WorldError::new(
            ErrorKind::InUse,
            act(),
            format!(
                "`{}` is there with kind {} and mode {mode}, and one parent carries one kind (and, with ipvlan, one mode) only",
                sibling.name, sibling.kind
            ),
        )
        .hint("give both networks the same driver and mode, or different parents"));
    }
    Ok(parent)
}

/// Whether a link on the same parent forbids a shim of this kind, or would be changed by it: the newest ipvlan link
/// sets the mode of all (`ipvlan_link_new`, drivers/net/ipvlan/ipvlan_main.c).
fn conflict(sibling: &LinkFact, kind: ShimKind) -> bool {
    match kind {
        ShimKind::Macvlan(_) => {
            sibling.kind.starts_with("ipv") || sibling.mode.as_deref() == Some("passthru")
        }
        ShimKind::Ipvlan(..) => {
            sibling.kind.starts_with("macv")
                || (sibling.kind.starts_with("ipv") && sibling.mode != Some(mode_word(kind)))
        }
    }
}

/// The kernel narrows the links on a parent with it, and never widens them again. One below 1280 bytes has lost its
/// IPv6, which comes back with the width (`addrconf_notify` in net/ipv6/addrconf.c).
async fn wide_as_parent(host: &Host, link: &LinkFact, parent: &LinkFact) -> Result<(), WorldError> {
    if link.mtu == parent.mtu {
        return Ok(());
    }
    let message = message::set(link.index, LinkAttribute::Mtu(parent.mtu));
    host.set_link(message, || format!("cannot set the MTU of `{}`", link.name))
        .await
}

/// The least width of a link that carries IPv6 (RFC 8200, section 5).
const IPV6_MTU: u32 = 1280;

/// That the parent is wide enough for the shim's addresses.
fn wide_enough(spec: &ShimSpec, parent: &LinkFact) -> Result<(), WorldError> {
    if parent.mtu >= IPV6_MTU || spec.addresses.iter().all(IpAddr::is_ipv4) {
        return Ok(());
    }
    let act = format!("cannot make the shim `{}` on `{}`", spec.name, spec.parent);
    let why = format!(
        "the MTU of `{}` is {}, and IPv6 needs {IPV6_MTU}",
        spec.parent, parent.mtu
    );
    Err(WorldError::new(ErrorKind::Refused, act, why).hint(format!(
        "widen it (`ip link set dev {} mtu 1500`), or take the IPv6 subnet out of the network",
        spec.parent
    )))
}

/// What is wrong where the kernel refuses the link.
fn explain(error: WorldError, spec: &ShimSpec) -> WorldError {
    let parent = &spec.parent;
    match (error.kind, spec.kind) {
        (ErrorKind::Unsupported, ShimKind::Macvlan(_)) => {
            error.hint("this kernel has no macvlan: load its module with `modprobe macvlan`")
        }
        (ErrorKind::Unsupported, ShimKind::Ipvlan(..)) => {
            error.hint("this kernel has no ipvlan: load its module with `modprobe ipvlan`")
        }
        (ErrorKind::InUse, ShimKind::Macvlan(_)) => error.hint(format!(
            "`{parent}` carries ipvlan links (a container's, perhaps), is a bridge's port, or has a link with this MAC address already"
        )),
        (ErrorKind::InUse, ShimKind::Ipvlan(..)) => error.hint(format!(
            "`{parent}` carries macvlan links (a container's, perhaps), is a bridge's port, or another ipvlan link has this address"
        )),
        (ErrorKind::Refused, ShimKind::Macvlan(_)) => error.hint(format!(
            "a macvlan network in mode passthru has `{parent}` for itself; no shim can be beside it"
        )),
        _ => error,
    }
}

/// The link's own settings, before it is up. No router's advertisement and no autoconfiguration gives it more
/// addresses; its ARP requests name its own address and never another of the host's, or neighbours would learn the
/// shim's MAC for the host's address (seen, and it stayed after the shim was gone).
async fn settings(host: &Host, now: &str, spec: &ShimSpec) -> Result<(), WorldError> {
    let act = || format!("cannot set up the shim `{}`", spec.name);
    let Ok(now) = now.parse::<LinkName>() else {
        return Err(WorldError::new(
            ErrorKind::Refused,
            act(),
            format!("`{now}` is no link name"),
        ));
    };
    let mut settings = vec![
        Setting::of_link("ipv6", &now, "accept_ra", "0"),
        Setting::of_link("ipv6", &now, "autoconf", "0"),
        Setting::of_link("ipv6", &now, "addr_gen_mode", "1"),
        Setting::of_link("ipv4", &now, "arp_announce", "2"),
    ];
    // The stricter of `all` and the link's own counts; a strict check drops what comes from a container that has no
    // route yet.
    let paths = vec![
        "ipv4/conf/all/rp_filter".to_owned(),
        format!("ipv4/conf/{now}/rp_filter"),
    ];
    let values = sysctl::read(&host.namespace, paths)
        .await
        .map_err(|error| broken(act(), &error))?;
    let effective = values
        .iter()
        .flatten()
        .filter_map(|value| value.parse::<u8>().ok())
        .max();
    if effective == Some(1) {
        settings.push(Setting::of_link("ipv4", &now, "rp_filter", "2"));
    }
    host.settle(settings, act).await
}

/// That nobody on the wire or beside the shim has the addresses that it is about to get. An ipvlan link of layer 3
/// speaks no ARP, so nothing can be asked there.
async fn free(
    host: &Host,
    index: u32,
    spec: &ShimSpec,
    progress: &dyn Progress,
) -> Result<(), WorldError> {
    let act = || format!("cannot use the addresses of the shim `{}`", spec.name);
    match spec.kind {
        ShimKind::Macvlan(_) | ShimKind::Ipvlan(IpvlanMode::L2, _) => {}
        ShimKind::Ipvlan(IpvlanMode::L3 | IpvlanMode::L3s, _) => return Ok(()),
    }
    let links = host.links().await?;
    let shim = links.iter().find(|link| link.index == index);
    let parent = links.iter().find(|link| link.name == spec.parent.as_str());
    let (Some(shim), Some(parent)) = (shim, parent) else {
        return Ok(());
    };
    let fresh: Vec<IpAddr> = spec
        .addresses
        .iter()
        .copied()
        .filter(|address| !shim.addresses.contains(&host_prefix(*address)))
        .collect();
    if fresh.is_empty() || !parent.carrier || !shim.carrier {
        return Ok(());
    }
    match host.probe_from([parent, shim], &fresh, host.patience).await {
        Ok(holders) => match holders.first() {
            None => Ok(()),
            Some(holder) => Err(WorldError::new(
                ErrorKind::Taken,
                act(),
                format!(
                    "{} is used by {} on the wire of `{}`",
                    holder.address, holder.mac, spec.parent
                ),
            )
            .hint(
                "give the shim an address that nobody has, outside of what a DHCP server hands out",
            )),
        },
        Err(error) => {
            progress.warn(&format!(
                "nobody could be asked whether the addresses of `{}` are free: {error}",
                spec.name
            ));
            Ok(())
        }
    }
}

/// Exactly the wanted addresses.
async fn addresses(host: &Host, index: u32, spec: &ShimSpec) -> Result<(), WorldError> {
    let links = host.links().await?;
    let have: Vec<IpNet> = links
        .iter()
        .find(|link| link.index == index)
        .map(|link| link.addresses.clone())
        .unwrap_or_default();
    let want: Vec<IpNet> = spec.addresses.iter().copied().map(host_prefix).collect();
    for address in have.iter().filter(|address| !want.contains(address)) {
        let message = message::address(index, *address, Routed::Bare);
        host.socket
            .act(RouteNetlinkMessage::DelAddress(message), 0)
            .await
            .map_err(|error| {
                refused(
                    format!("cannot take {address} from `{}`", spec.name),
                    &error,
                )
            })?;
    }
    for address in want.iter().filter(|address| !have.contains(address)) {
        let message = message::address(index, *address, Routed::Bare);
        host.socket
            .act(
                RouteNetlinkMessage::NewAddress(message),
                NLM_F_CREATE | NLM_F_EXCL,
            )
            .await
            .map_err(|error| {
                explain(
                    refused(format!("cannot give {address} to `{}`", spec.name), &error),
                    spec,
                )
            })?;
    }
    Ok(())
}

/// Exactly the wanted routes, besides those that are resources of their own.
async fn routes(host: &Host, index: u32, spec: &ShimSpec) -> Result<(), WorldError> {
    let links = host.links().await?;
    let facts = host.route_facts(&links).await?;
    let kept = host.kept_routes(&spec.name)?;
    let want: Vec<ShimRoute> = spec.routes.iter().map(plain).collect();
    let ours = |fact: &&RouteFact| {
        fact.link.as_deref() == Some(spec.name.as_str()) && lookup::is_ours(fact)
    };
    for fact in facts.iter().filter(ours) {
        let wanted = want
            .iter()
            .any(|route| route.destination == fact.destination);
        if !wanted && !kept.contains(&fact.destination) {
            host.delete_route(index, fact.destination).await?;
        }
    }
    for ShimRoute {
        destination,
        source,
    } in want
    {
        let there = facts.iter().filter(ours).any(|fact| {
            fact.destination == destination && fact.source == Some(source) && fact.gateway.is_none()
        });
        if !there {
            host.add_route(
                &Route {
                    destination,
                    link: index,
                    gateway: None,
                    source: Some(source),
                },
                spec.name.as_str(),
                &facts,
            )
            .await?;
        }
    }
    Ok(())
}

/// Reads the mode back: with ipvlan it belongs to the parent's port, and the newest link sets it for all.
async fn port_mode(host: &Host, spec: &ShimSpec) -> Result<(), WorldError> {
    let links = host.links().await?;
    let wanted = mode_word(spec.kind);
    let now = links
        .iter()
        .find(|link| link.name == spec.name.as_str())
        .and_then(|link| link.mode.clone());
    if now.as_ref() == Some(&wanted) {
        Ok(())
    } else {
        Err(WorldError::new(
            ErrorKind::Refused,
            format!("the shim `{}` is not in mode {wanted}", spec.name),
            format!("the kernel says {}", now.as_deref().unwrap_or("nothing")),
        ))
    }
}
