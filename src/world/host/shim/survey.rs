//! The shims of a host, whichever project's they are, and whether each does what it is for: looked up, read back and
//! tried, never assumed. Nothing is changed, and no engine is needed.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use ipnet::IpNet;
use serde::Serialize;

use crate::model::address::{host_prefix, overlap};
use crate::model::mark::LinkMark;
use crate::model::network::{IpvlanMode, MacvlanMode};
use crate::plan::observed::{LinkFact, RouteFact};
use crate::plan::spec::{Kind, ShimKind, ShimSpec};
use crate::world::WorldError;
use crate::world::host::error::broken;
use crate::world::host::ledger::Note;
use crate::world::host::shim::read::{damage, mode_word, read_back};
use crate::world::host::{Host, lookup, sysctl, table};

/// How long a container may take to say that a port is closed.
const ANSWER: Duration = Duration::from_millis(1500);

/// A port that nobody listens on, so that the answer is the kernel's own.
const CLOSED_PORT: u16 = 9;

/// A shim as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    pub project: String,
    pub spec: ShimSpec,
    pub link: LinkFact,
    pub parent: Option<LinkFact>,
    pub damage: Vec<String>,
    /// Routes to single containers: the container and the destination.
    pub followed: Vec<(String, IpNet)>,
    /// All routes by it.
    pub routes: Vec<RouteFact>,
    /// Its own settings: path below `/proc/sys/net`, what it should be, what it is.
    pub settings: Vec<(String, String, Option<String>)>,
}

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

/// The settings of a shim's link: family, key, value.
pub fn wanted_settings(strict: bool) -> Vec<(&'static str, &'static str, &'static str)> {
    let mut wanted = vec![
        ("ipv6", "accept_ra", "0"),
        ("ipv6", "autoconf", "0"),
        ("ipv6", "addr_gen_mode", "1"),
        ("ipv4", "arp_announce", "2"),
    ];
    if strict {
        wanted.push(("ipv4", "rp_filter", "2"));
    }
    wanted
}

/// What is wrong with a shim's settings. What this kernel does not have (IPv6 switched off) is not wrong.
pub fn unsettled(settings: &[(String, String, Option<String>)]) -> Vec<String> {
    settings
        .iter()
        .filter_map(|(path, wanted, now)| {
            let now = now.as_ref().filter(|now| *now != wanted)?;
            Some(format!("someone set net/{path} to {now}"))
        })
        .collect()
}

impl Host {
    /// All shims of stack on this host, by name.
    pub async fn shims(&self) -> Result<Vec<Standing>, WorldError> {
        let links = self.links().await?;
        let routes = self.route_facts(&links).await?;
        let entries = self.entries()?;
        let mut found = Vec::new();
        for link in &links {
            let Some(mark) = link.alias.as_deref().and_then(LinkMark::from_alias) else {
                continue;
            };
            if mark.kind != Kind::Shim.word() {
                continue;
            }
            let Ok(name) = mark.name.parse() else {
                continue;
            };
            let followed: Vec<(String, IpNet)> = entries
                .iter()
                .filter_map(|entry| match &entry.note {
                    Some(Note::Route { spec, destinations }) if spec.shim == name => {
                        Some(destinations.iter().map(|to| (spec.container.clone(), *to)))
                    }
                    Some(_) | None => None,
                })
                .flatten()
                .collect();
            let kept: Vec<IpNet> = followed.iter().map(|(_, to)| *to).collect();
            let Some(spec) = read_back(link, &name, &routes, &kept) else {
                continue;
            };
            let settings = self.shim_settings(&link.name).await?;
            let mut damage = damage(link, &spec, &mark.hash);
            damage.extend(unsettled(&settings));
            let by_it = |fact: &&RouteFact| fact.link.as_deref() == Some(link.name.as_str());
            for (container, to) in &followed {
                if !routes
                    .iter()
                    .filter(by_it)
                    .any(|fact| fact.destination == *to)
                {
                    damage.push(format!("the route to `{container}` ({to}) is gone"));
                }
            }
            found.push(Standing {
                project: mark.project,
                parent: links
                    .iter()
                    .find(|other| other.name == spec.parent.as_str())
                    .cloned(),
                damage,
                followed,
                routes: routes.iter().filter(by_it).cloned().collect(),
                settings,
                link: link.clone(),
                spec,
            });
        }
        found.sort_by(|one, two| one.spec.name.cmp(&two.spec.name));
        Ok(found)
    }

    /// The settings of a shim's link: path, what it should be, what it is.
    pub(in crate::world::host) async fn shim_settings(
        &self,
        link: &str,
    ) -> Result<Vec<(String, String, Option<String>)>, WorldError> {
        let act = || format!("cannot read the settings of `{link}`");
        let filters = vec![
            "ipv4/conf/all/rp_filter".to_owned(),
            format!("ipv4/conf/{link}/rp_filter"),
        ];
        let filters = sysctl::read(&self.namespace, filters)
            .await
            .map_err(|error| broken(act(), &error))?;
        let strict = filters.iter().any(|value| value.as_deref() == Some("1"));
        let wanted = wanted_settings(strict);
        let paths: Vec<String> = wanted
            .iter()
            .map(|(family, key, _)| format!("{family}/conf/{link}/{key}"))
            .collect();
        let now = sysctl::read(&self.namespace, paths.clone())
            .await
            .map_err(|error| broken(act(), &error))?;
        Ok(paths
            .into_iter()
            .zip(wanted)
            .zip(now)
            .map(|((path, (_, _, wanted)), now)| (path, wanted.to_owned(), now))
            .collect())
    }

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
        checks.extend(self.conflicts(shim).await?);
        let served: Vec<(String, IpAddr)> = containers
            .iter()
            .filter(|(_, address)| {
                shim.routes
                    .iter()
                    .any(|route| route.destination.contains(address))
            })
            .cloned()
            .collect();
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

    /// Whether somebody else answers for the shim's own addresses.
    async fn conflicts(&self, shim: &Standing) -> Result<Option<Check>, WorldError> {
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
                    .filter(|holder| {
                        Some(holder.mac) != shim.link.mac && Some(holder.mac) != parent.mac
                    })
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
