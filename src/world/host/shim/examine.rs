//! Whether a shim does what it is for: looked up, read back and tried, never assumed. Nothing is changed, and no engine
//! is needed.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use ipnet::IpNet;
use serde::Serialize;

use crate::model::address::{host_prefix, overlap, same_family};
use crate::model::network::{IpvlanMode, MacvlanMode};
use crate::plan::observed::LinkFact;
use crate::plan::spec::ShimKind;
use crate::world::WorldError;
use crate::world::host::error::broken;
use crate::world::host::shim::read::mode_word;
use crate::world::host::shim::survey::Standing;
use crate::world::host::{Host, lookup, table};

/// How long a container may take to say that a port is closed.
const ANSWER: Duration = Duration::from_millis(1500);

/// A port that nobody listens on, so that the answer is the kernel's own.
const CLOSED_PORT: u16 = 9;

/// So many neighbours are asked whether they hear the shim.
const WITNESSES: usize = 4;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub what: String,
    pub verdict: Verdict,
    pub seen: String,
    /// What to do where it is not so.
    pub mend: Option<String>,
}

/// Whether it is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Holds,
    /// It may be meant so.
    Doubtful,
    Broken,
}

impl Check {
    fn new(what: impl Into<String>, holds: bool, seen: impl Into<String>) -> Check {
        Check {
            what: what.into(),
            verdict: if holds {
                Verdict::Holds
            } else {
                Verdict::Broken
            },
            seen: seen.into(),
            mend: None,
        }
    }

    fn mend(mut self, mend: impl Into<String>) -> Check {
        if self.verdict != Verdict::Holds {
            self.mend = Some(mend.into());
        }
        self
    }

    fn doubtful(mut self) -> Check {
        if self.verdict == Verdict::Broken {
            self.verdict = Verdict::Doubtful;
        }
        self
    }
}

impl Host {
    /// Looks at a shim and tries it. `containers` are the addresses that should answer, by the containers' names.
    pub async fn examine(
        &self,
        shim: &Standing,
        containers: &[(String, IpAddr)],
    ) -> Result<Vec<Check>, WorldError> {
        let name = shim.spec.name.as_str();
        let mut checks = vec![
            Check::new(
                "it is as it was made",
                shim.damage.is_empty(),
                match shim.damage.is_empty() {
                    true => "its addresses and routes are those it was made with".to_owned(),
                    false => shim.damage.join("; "),
                },
            )
            .mend("stack shim repair"),
        ];
        checks.push(parent(shim));
        let links = self.links().await?;
        checks.push(mode(shim, &links));
        checks.push(addresses(shim));
        for (path, wanted, now) in &shim.settings {
            // Without IPv6 in the kernel there is nothing to be set.
            let Some(now) = now else { continue };
            checks.push(
                Check::new(
                    path.clone(),
                    now == wanted,
                    format!("{now} (wanted: {wanted})"),
                )
                .mend("stack shim repair"),
            );
        }
        for route in &shim.spec.routes {
            checks.extend(self.lookup(shim, route.destination, &links).await?);
        }
        for (_, to) in &shim.followed {
            checks.extend(self.lookup(shim, *to, &links).await?);
        }
        checks.extend(self.conflicts(shim, &links).await?);
        checks.extend(self.outside(shim).await?);
        let served: Vec<(String, IpAddr)> = containers
            .iter()
            .filter(|(_, address)| {
                shim.routes
                    .iter()
                    .any(|route| route.destination.contains(address))
            })
            .cloned()
            .collect();
        let followed: BTreeSet<IpNet> = shim.followed.iter().map(|(_, to)| *to).collect();
        for to in served.iter().map(|(_, address)| host_prefix(*address)) {
            if followed.contains(&to) {
                continue;
            }
            let asked = self.lookup(shim, to, &links).await?;
            // Where all is well the lines of the routes say so.
            checks.extend(asked.filter(|check| check.verdict != Verdict::Holds));
        }
        for (container, address) in containers {
            if !served.contains(&(container.clone(), *address)) {
                checks.push(
                    Check::new(
                        format!("a route leads to `{container}` ({address})"),
                        false,
                        format!("no route by `{name}` covers it"),
                    )
                    .mend("stack shim repair"),
                );
            }
        }
        let answers = self.answers(shim, &served).await?;
        checks.extend(answers);
        Ok(checks)
    }

    /// The kernel's own answer for an address behind a route: it leaves by the shim, with the shim's address.
    async fn lookup(
        &self,
        shim: &Standing,
        destination: IpNet,
        links: &[LinkFact],
    ) -> Result<Option<Check>, WorldError> {
        let Some(to) = lookup::sample(destination, &shim.spec) else {
            return Ok(None);
        };
        let what = format!("packets to {to} leave by it");
        let name = shim.link.name.as_str();
        let Some(way) = lookup::way(self, to).await? else {
            return Ok(Some(
                Check::new(what, false, "there is no way").mend("stack shim repair"),
            ));
        };
        let by = way.link.clone().unwrap_or_default();
        let own = way
            .source
            .is_some_and(|source| shim.spec.addresses.contains(&source));
        let source = way
            .source
            .map_or_else(String::new, |source| format!(" with the source {source}"));
        let seen = format!("by `{by}`{source}");
        let check = Check::new(what, by == name && own, seen);
        Ok(Some(if by == name {
            check.mend("stack shim repair")
        } else if way.table != table::MAIN_TABLE {
            check.mend(format!(
                "a rule sends it to table {}: `ip rule` shows which; give it a lower priority than the main table's",
                way.table
            ))
        } else {
            let kind = links
                .iter()
                .find(|link| link.name == by)
                .map_or("", |link| link.kind.as_str());
            check.mend(format!(
                "`ip route show dev {by}` shows the more specific route of this {kind} link (a VPN's, perhaps)"
            ))
        }))
    }

    /// Whether somebody else answers for the shim's own addresses. This host may answer by any of its links: by another
    /// shim on the same parent, say.
    async fn conflicts(
        &self,
        shim: &Standing,
        links: &[LinkFact],
    ) -> Result<Option<Check>, WorldError> {
        if speaks_no_arp(shim.spec.kind) {
            return Ok(None);
        }
        let Some(parent) = shim.parent.as_ref().filter(|parent| parent.carrier) else {
            return Ok(None);
        };
        let what = "nobody else has its addresses";
        let heard = self
            .probe_from([parent, &shim.link], &shim.spec.addresses, self.patience)
            .await;
        Ok(Some(match heard {
            Err(error) => {
                Check::new(what, false, format!("it could not be asked: {error}")).doubtful()
            }
            Ok(holders) => {
                let others: BTreeSet<String> = holders
                    .iter()
                    .filter(|holder| links.iter().all(|link| link.mac != Some(holder.mac)))
                    .map(|holder| format!("{} has {}", holder.mac, holder.address))
                    .collect();
                let others: Vec<String> = others.into_iter().collect();
                let seen = match others.is_empty() {
                    true => "nobody answered".to_owned(),
                    false => others.join("; "),
                };
                Check::new(what, others.is_empty(), seen).mend(
                    "give the shim another address (`shim: {address: …}`), outside of what a DHCP server hands out",
                )
            }
        }))
    }

    /// Whether others on the wire answer the shim as they answer its parent: a switch, an access point or a hypervisor
    /// may take frames of one link-layer address only. Asked by ARP of those whom the parent knows already.
    async fn outside(&self, shim: &Standing) -> Result<Option<Check>, WorldError> {
        let (ShimKind::Macvlan(_), Some(parent)) = (shim.spec.kind, &shim.parent) else {
            return Ok(None);
        };
        let served = |address: IpAddr| {
            let mut routes = shim.routes.iter();
            routes.any(|route| route.destination.contains(&address))
        };
        let known = self.neighbours().await?.into_iter();
        let mut others: Vec<IpAddr> = known
            .filter(|neighbour| neighbour.link == parent.name)
            .map(|neighbour| neighbour.address)
            .filter(|address| {
                let mut own = shim.spec.addresses.iter();
                own.any(|own| same_family(*own, *address)) && !served(*address)
            })
            .collect();
        others.sort();
        others.truncate(WITNESSES);
        let what = "others on the wire hear it as they hear its parent";
        let heard = async {
            let by_parent = self.probe_by(parent, &others, self.patience).await?;
            let awake: Vec<IpAddr> = by_parent.iter().map(|holder| holder.address).collect();
            let by_shim = self.probe_by(&shim.link, &awake, self.patience).await?;
            let answered = by_shim.first().map(|holder| holder.address);
            Ok::<_, io::Error>((awake, answered))
        };
        let check = match heard.await {
            Err(error) => {
                Check::new(what, false, format!("it could not be asked: {error}")).doubtful()
            }
            // Nobody is awake to be asked.
            Ok((awake, _)) if awake.is_empty() => return Ok(None),
            Ok((_, Some(one))) => Check::new(what, true, format!("{one} answered both")),
            Ok((awake, None)) => {
                let silent: Vec<String> = awake.iter().map(IpAddr::to_string).collect();
                let seen = format!("{} answers `{}` only", silent.join(", "), parent.name);
                Check::new(what, false, seen).mend(
                    "the switch, the access point or the hypervisor takes one MAC address here (port security, 802.1X, Wi-Fi, promiscuous mode rejected): let it take more, or use `driver: ipvlan`, whose links share the parent's",
                )
            }
        };
        Ok(Some(check))
    }

    /// Whether each container answers: a connection to a closed port is refused by its kernel.
    async fn answers(
        &self,
        shim: &Standing,
        containers: &[(String, IpAddr)],
    ) -> Result<Vec<Check>, WorldError> {
        if containers.is_empty() {
            return Ok(Vec::new());
        }
        let asked = containers.to_vec();
        let heard = self
            .namespace
            .enter(move || {
                // A thread is born into the namespace of the one that makes it.
                Ok(std::thread::scope(|scope| {
                    let threads: Vec<_> = asked
                        .iter()
                        .map(|(_, address)| scope.spawn(|| answer(*address)))
                        .collect();
                    threads
                        .into_iter()
                        .map(|thread| {
                            thread
                                .join()
                                .unwrap_or_else(|_| Err(io::Error::other("the question was lost")))
                        })
                        .collect::<Vec<_>>()
                }))
            })
            .await
            .map_err(|error| broken("cannot try the shim", &error))?;
        let silent = match shim.spec.kind {
            ShimKind::Macvlan(MacvlanMode::Private) => {
                "the network is private: its members never hear each other, the shim neither"
            }
            ShimKind::Macvlan(MacvlanMode::Vepa) => {
                "in mode vepa the switch must send frames back where they came from; most do not"
            }
            ShimKind::Macvlan(_) | ShimKind::Ipvlan(..) => {
                "its firewall may be silent; `stack why host CONTAINER` tells the way"
            }
        };
        Ok(containers
            .iter()
            .zip(heard)
            .map(|((container, address), heard)| {
                let what = format!("`{container}` ({address}) answers");
                match heard {
                    Ok(()) => Check::new(what, true, "its kernel answered"),
                    Err(error) => Check::new(what, false, error.to_string()).mend(silent),
                }
            })
            .collect())
    }
}

fn answer(address: IpAddr) -> io::Result<()> {
    match TcpStream::connect_timeout(&SocketAddr::new(address, CLOSED_PORT), ANSWER) {
        Err(error) if error.kind() != io::ErrorKind::ConnectionRefused => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn speaks_no_arp(kind: ShimKind) -> bool {
    match kind {
        ShimKind::Ipvlan(IpvlanMode::L3 | IpvlanMode::L3s, _) => true,
        ShimKind::Ipvlan(IpvlanMode::L2, _) | ShimKind::Macvlan(_) => false,
    }
}

fn parent(shim: &Standing) -> Check {
    let name = &shim.spec.parent;
    let what = format!("its parent `{name}` is up and has a carrier");
    match &shim.parent {
        None => Check::new(what, false, "it is gone"),
        Some(parent) if !parent.up => {
            Check::new(what, false, "it is down").mend(format!("ip link set {name} up"))
        }
        Some(parent) if !parent.carrier => {
            Check::new(what, false, "it has no carrier").mend("is the cable in?")
        }
        Some(_) => Check::new(what, true, "up"),
    }
}

/// The mode read back, of the shim and of its siblings: with ipvlan the newest link sets it for all.
fn mode(shim: &Standing, links: &[LinkFact]) -> Check {
    let wanted = mode_word(shim.spec.kind);
    let kind = shim.link.kind.as_str();
    let what = format!(
        "all {kind} links on `{}` are in mode {wanted}",
        shim.spec.parent
    );
    let others: Vec<String> = links
        .iter()
        .filter(|link| link.lower.as_deref() == Some(shim.spec.parent.as_str()))
        .filter(|link| link.kind == kind && link.mode.as_ref() != Some(&wanted))
        .map(|link| {
            let mode = link.mode.as_deref().unwrap_or("no mode");
            format!("`{}` is in {mode}", link.name)
        })
        .collect();
    let seen = match others.is_empty() {
        true => wanted,
        false => others.join("; "),
    };
    let check = Check::new(what, others.is_empty(), seen);
    match shim.spec.kind {
        // Each macvlan link has a mode of its own.
        ShimKind::Macvlan(_) => check.doubtful(),
        ShimKind::Ipvlan(..) => check,
    }
}

/// A host prefix only, and no route that the kernel made for it.
fn addresses(shim: &Standing) -> Check {
    let what = "its addresses are /32 and /128 and compete with nobody's route";
    let mut wrong: Vec<String> = shim
        .link
        .addresses
        .iter()
        .filter(|net| net.prefix_len() != host_prefix(net.addr()).prefix_len())
        .map(|net| format!("{net} is not"))
        .collect();
    // `RTPROT_KERNEL`: a connected route.
    let connected = shim.routes.iter().filter(|route| {
        route.protocol == 2
            && route.destination.prefix_len() != host_prefix(route.destination.addr()).prefix_len()
    });
    let parents: Vec<IpNet> = shim
        .parent
        .iter()
        .flat_map(|parent| parent.addresses.iter().copied())
        .collect();
    for route in connected {
        if parents.iter().any(|net| overlap(net, &route.destination)) {
            wrong.push(format!(
                "the route {} by it competes with the parent's own",
                route.destination
            ));
        }
    }
    let all: Vec<String> = shim
        .link
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    let seen = match wrong.is_empty() {
        true => all.join(", "),
        false => wrong.join("; "),
    };
    Check::new(what, wrong.is_empty(), seen).mend("stack shim repair")
}
