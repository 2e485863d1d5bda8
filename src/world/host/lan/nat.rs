//! The way out of a lan with `nat`: a second wire from its router to the host, with two link-local addresses
//! (RFC 3927), translation in the router, and on the host translation of that one address in a table of our own.
//!
//! On the host two settings matter that carry no mark: packets are forwarded from our own link, and back from the link
//! of the default route. The latter is somebody's; what it was is in the ledger before it is changed.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use crate::model::address::overlap;
use crate::model::hash;
use crate::model::mark::TABLE_PREFIX;
use crate::model::name::{LinkName, ProjectName};
use crate::plan::observed::{LinkFact, RouteFact};
use crate::plan::spec::{Kind, ResourceId};
use crate::world::host::Host;
use crate::world::host::claim::{self, Owner};
use crate::world::host::error::{broken, refused};
use crate::world::host::lan::{UPLINK, Wire};
use crate::world::host::ledger::{Entry, Note};
use crate::world::host::message::{self, VethEnd};
use crate::world::host::nftables::{self, Masquerade};
use crate::world::host::sysctl::{self, Setting};
use crate::world::netns::Namespace;
use crate::world::{ErrorKind, Progress, WorldError};

/// The part of a lan's mark that its uplink on the host carries.
pub const PART: &str = "uplink";

/// Makes the way out, or finishes it.
pub async fn make(wire: &Wire<'_>, progress: &dyn Progress) -> Result<(), WorldError> {
    let host = wire.host;
    let name = LinkName::fitted("nat-", wire.spec.lan.name.as_str());
    let claim = wire.claim(PART, &name);
    let router = wire.place("router").await?;
    let links = host.links().await?;
    let routes = host.route_facts(&links).await?;
    let mut found = claim.find(&links)?;
    let table = table(wire.project, &wire.id);
    if found.is_none() {
        free(wire, &table).await?;
    }
    let far_end = router.link(UPLINK).await?;
    if let (Some(link), None) = (found, &far_end) {
        host.delete_link(link).await?;
        found = None;
    }
    let pair = pair(wire, found, &links, &routes);
    let index = match found {
        Some(link) => link.index,
        None => {
            if let Some(stray) = far_end {
                router.delete(stray.header.index).await?;
            }
            host.bear(&claim, &links, |name| {
                message::make_veth(
                    &VethEnd {
                        name,
                        mac: wire.mac("uplink"),
                        namespace: None,
                        mtu: None,
                    },
                    &VethEnd {
                        name: UPLINK,
                        mac: wire.mac("router-uplink"),
                        namespace: Some(router.namespace.raw()),
                        mtu: None,
                    },
                )
            })
            .await?
        }
    };
    if found.is_none_or(|link| link.name != name.as_str()) {
        host.rename(index, &name).await?;
    }
    let quiet = [("ipv6", "disable_ipv6", "1"), ("ipv4", "forwarding", "1")]
        .map(|(family, key, value)| Setting::of_link(family, &name, key, value));
    host.settle(quiet.into(), || wire.act()).await?;
    host.bring_up(index, &name).await?;
    let [ours, theirs] = pair;
    wire.addresses(&host.socket, index, &[ours]).await?;
    let inner = router.bring_up(UPLINK).await?;
    wire.addresses(&router.socket, inner, &[theirs]).await?;
    router.default_route(inner, ours.addr()).await?;
    let everything = Masquerade {
        source: None,
        except: router
            .link(super::ROUTER_LINK)
            .await?
            .map(|link| link.header.index),
    };
    batch(
        host,
        &router.namespace,
        nftables::masquerade("stack", everything),
    )
    .await?;
    let IpAddr::V4(source) = theirs.addr() else {
        return Ok(());
    };
    let one = Masquerade {
        source: Some(source),
        except: Some(index),
    };
    batch(host, &host.namespace, nftables::masquerade(&table, one)).await?;
    forward(wire, &routes, progress).await
}

/// That no table of somebody else has the name of ours, as ours takes the place of whatever has it.
async fn free(wire: &Wire<'_>, table: &str) -> Result<(), WorldError> {
    let tables = wire
        .host
        .namespace
        .enter(|| Ok(nftables::tables()))
        .await
        .map_err(|error| broken(wire.act(), &error))?;
    // A kernel that cannot tell has none.
    let mut tables = tables.unwrap_or_default().into_iter();
    if !tables.any(|other| other.name == table && !other.ours) {
        return Ok(());
    }
    let why = format!("there is a firewall table `{table}` that stack did not make");
    Err(
        WorldError::new(ErrorKind::Taken, wire.act(), why).hint(format!(
            "rename yours, or remove it where nobody needs it: nft delete table ip {table}"
        )),
    )
}

/// What is wrong with the way out of a lan that has one.
pub async fn damage(
    host: &Host,
    project: &ProjectName,
    id: &ResourceId,
    links: &[LinkFact],
) -> Result<Vec<String>, WorldError> {
    let mut damage = Vec::new();
    let Some(uplink) = super::read::part(links, project, id, PART) else {
        return Ok(damage);
    };
    if !uplink.up {
        damage.push(format!("`{}` is down", uplink.name));
    } else if uplink.addresses.is_empty() {
        damage.push(format!("the addresses of `{}` are gone", uplink.name));
    }
    let act = || format!("cannot look at the way out of `{id}`");
    let table = table(project, id);
    let rules = host
        .namespace
        .enter(move || Ok(nftables::rules(&table)))
        .await
        .map_err(|error| broken(act(), &error))?;
    // A kernel that cannot tell has none.
    if rules.is_ok_and(|rules| rules == 0) {
        damage.push("its address translation is gone".to_owned());
    }
    let routes = host.route_facts(links).await?;
    let ways = [uplink.name.parse().ok(), way_out(&routes)];
    for way in ways.iter().flatten() {
        let setting = Setting::of_link("ipv4", way, "forwarding", "1");
        let values = sysctl::read(&host.namespace, vec![setting.path])
            .await
            .map_err(|error| broken(act(), &error))?;
        if values.iter().flatten().any(|now| *now != setting.value) {
            damage.push(format!("nothing is forwarded from `{way}`"));
        }
    }
    Ok(damage)
}

/// Takes the way out back: the table, the settings, and the link with both its ends.
pub async fn remove(host: &Host, project: &ProjectName, id: &ResourceId) -> Result<(), WorldError> {
    let links = host.links().await?;
    for link in &links {
        if let Owner::Ours(mark) = claim::owner(link, project)
            && mark.kind == Kind::Lan.word()
            && mark.name == id.name
            && mark.part == PART
        {
            // The table is made after the link and goes before it, so where there is no link there is none.
            batch(host, &host.namespace, nftables::remove(&table(project, id))).await?;
            restore(host, project, id).await?;
            host.delete_link(link).await?;
        }
    }
    restore(host, project, id).await
}

/// The name of the host's table for one lan.
fn table(project: &ProjectName, id: &ResourceId) -> String {
    format!("{TABLE_PREFIX}{project}-{}", id.name)
}

/// The two ends' addresses: those that are there, or a pair derived from whose they are that no route here covers.
fn pair(
    wire: &Wire<'_>,
    found: Option<&LinkFact>,
    links: &[LinkFact],
    routes: &[RouteFact],
) -> [IpNet; 2] {
    let there = found.and_then(|link| {
        link.addresses.iter().find_map(|net| match net {
            IpNet::V4(net) => Some(net.network()),
            IpNet::V6(_) => None,
        })
    });
    let identity = format!("{}/{}", wire.project, wire.id);
    let seed = u32::from(u16::from_be_bytes(hash::bytes(identity.as_bytes())));
    // From 169.254.1.0 to 169.254.127.255 in steps of four: clear of the metadata address of clouds, 169.254.169.254.
    let free = (0..64).map(|step| {
        let block = 64 + (seed + step) % (8192 - 64);
        Ipv4Addr::from(u32::from(Ipv4Addr::new(169, 254, 0, 0)) + block * 4)
    });
    let taken = |base: &Ipv4Addr| {
        let net = end(*base, 0);
        let connected = links.iter().flat_map(|link| &link.addresses);
        connected.clone().any(|other| overlap(&net, other))
            || routes.iter().any(|route| {
                route.destination.prefix_len() > 0 && overlap(&net, &route.destination)
            })
    };
    let base = there
        .or_else(|| free.clone().find(|base| !taken(base)))
        .unwrap_or(Ipv4Addr::new(169, 254, 1, 0));
    [end(base, 1), end(base, 2)]
}

fn end(base: Ipv4Addr, number: u32) -> IpNet {
    let address = Ipv4Addr::from(u32::from(base) + number);
    IpNet::V4(Ipv4Net::new_assert(address, 30))
}

pub async fn batch(host: &Host, namespace: &Namespace, batch: Vec<u8>) -> Result<(), WorldError> {
    let act = "cannot set up address translation";
    host.fuse
        .burn()
        .map_err(|errno| refused(act, &errno.into()))?;
    let done = namespace
        .enter(move || Ok(nftables::send(&batch)))
        .await
        .map_err(|error| broken(act, &error))?;
    match done {
        // A table that is to be removed and is not there.
        Ok(()) | Err(nix::errno::Errno::ENOENT) => Ok(()),
        Err(errno) => Err(refused(act, &errno.into())),
    }
}

/// Lets answers from the host's way out be forwarded.
async fn forward(
    wire: &Wire<'_>,
    routes: &[RouteFact],
    progress: &dyn Progress,
) -> Result<(), WorldError> {
    let host = wire.host;
    let Some(way) = way_out(routes) else {
        progress.warn(&format!(
            "the lan `{}` has a way to the host and no further: the host has no default route",
            wire.spec.lan.name
        ));
        return Ok(());
    };
    let setting = Setting::of_link("ipv4", &way, "forwarding", "1");
    let values = sysctl::read(&host.namespace, vec![setting.path.clone()])
        .await
        .map_err(|error| broken(wire.act(), &error))?;
    let Some(now) = values.into_iter().flatten().next() else {
        return Ok(());
    };
    let entries = host.entries()?;
    let settings = |entry: &Entry| match &entry.note {
        Some(Note::Settings { before }) => before.clone(),
        Some(Note::Promiscuity { .. } | Note::Route { .. }) | None => Vec::new(),
    };
    // What this lan changed before, on another way out, is still to be put back.
    let mut before: Vec<(String, String)> = entries
        .iter()
        .filter(|entry| entry.project == *wire.project && entry.id == wire.id)
        .flat_map(settings)
        .collect();
    let is_set = now == setting.value;
    if !before.iter().any(|(path, _)| *path == setting.path) {
        // Where a lan of ours has changed it already, what it was is in that one's note, and is this one's to put back
        // too: whichever goes last does.
        let noted = entries
            .iter()
            .flat_map(settings)
            .find(|(path, _)| *path == setting.path);
        match noted {
            Some(noted) => before.push(noted),
            // Somebody else has set it.
            None if is_set => return Ok(()),
            None => before.push((setting.path.clone(), now)),
        }
    }
    host.note(wire.project, &wire.id, Note::Settings { before })?;
    if !is_set {
        host.settle(vec![setting], || wire.act()).await?;
    }
    Ok(())
}

/// The link of the host's default route.
fn way_out(routes: &[RouteFact]) -> Option<LinkName> {
    let default = |route: &&RouteFact| {
        route.destination.prefix_len() == 0 && route.destination.addr().is_ipv4()
    };
    let route = routes
        .iter()
        .filter(default)
        .min_by_key(|route| route.metric);
    route?.link.as_ref()?.parse().ok()
}

/// Puts the settings back that were changed for a lan.
pub async fn restore(
    host: &Host,
    project: &ProjectName,
    id: &ResourceId,
) -> Result<(), WorldError> {
    let entries = host.entries()?;
    let same = |before: &[(String, String)], other: &[(String, String)]| {
        before
            .iter()
            .any(|(path, _)| other.iter().any(|(one, _)| one == path))
    };
    for entry in &entries {
        let Some(Note::Settings { before }) = &entry.note else {
            continue;
        };
        if entry.project != *project || entry.id != *id {
            continue;
        }
        // Another lan that wants the same setting takes the note over; the last one puts it back.
        let heir = entries.iter().any(|other| match &other.note {
            Some(Note::Settings { before: theirs }) => {
                (other.project != *project || other.id != *id) && same(before, theirs)
            }
            Some(_) | None => false,
        });
        if !heir {
            let settings = before
                .iter()
                .map(|(path, value)| Setting {
                    path: path.clone(),
                    value: value.clone(),
                })
                .collect();
            host.settle(settings, || format!("cannot put settings back for `{id}`"))
                .await?;
        }
        host.strike(project, id)?;
    }
    Ok(())
}
