//! Which news concerns which project, and when it is looked at. Pure: the time is brought along.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ipnet::IpNet;
use tokio::time::Instant;

use crate::model::mark::ROUTE_PROTOCOL;
use crate::model::name::{LinkName, ProjectName};
use crate::plan::observed::Observed;
use crate::plan::spec::{Kind, ResourceId, Spec};
use crate::world::host::watch::{Change, EVERY_LINK};

/// A burst is over when it was quiet for so long.
pub const QUIET: Duration = Duration::from_millis(100);
/// One that does not end is looked at all the same, as often as this.
pub const LIMIT: Duration = Duration::from_secs(1);
/// The pause after a first failure; each further one doubles it.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// What is restored again within this time is counted as contested.
const AGAIN: Duration = Duration::from_secs(10);
/// So many times in a row are taken for bad luck.
const PATIENCE: u32 = 5;

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum News {
    /// A link, an address, a route, a table, a setting of the host.
    Host(Change),
    /// A container of this project has started.
    Started { project: String },
    /// A network came, or a container was connected to it.
    Network { name: String },
    /// A record was written or removed.
    Records,
    /// Somebody let go of a lock or a journal.
    Released,
    /// A named namespace is gone.
    Names,
    /// Some news was lost.
    Everything,
}

/// What happened while nobody could attend to it: each thing once, however often it was told.
#[derive(Debug, Default)]
pub struct Heap {
    news: BTreeSet<News>,
}

impl Heap {
    /// So much is kept one by one; of more than that, only what nothing else stands for.
    const ROOM: usize = 1024;

    /// Adds news.
    pub fn add(&mut self, news: News) {
        self.news.insert(news);
        if self.news.len() > Heap::ROOM {
            self.news.retain(|news| !news.is_in_everything());
            self.news.insert(News::Everything);
        }
    }

    /// Takes all of it.
    pub fn take(&mut self) -> BTreeSet<News> {
        std::mem::take(&mut self.news)
    }
}

impl News {
    /// Whether a look at everything leaves nothing to know of it.
    fn is_in_everything(&self) -> bool {
        match self {
            News::Host(change) => !matches!(change, Change::LinkGone { .. }),
            News::Started { .. } | News::Network { .. } | News::Names => true,
            News::Records | News::Released | News::Everything => false,
        }
    }
}

/// How a look at a project ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All that can stand stands.
    Right,
    /// These were restored.
    Restored(Vec<ResourceId>),
    /// Some could not be.
    Failed,
    /// Somebody else has the project.
    Blocked,
}

/// What the project's news is told by.
#[derive(Debug, Clone, Default)]
struct Interest {
    /// Links that we made or stand on.
    links: BTreeSet<String>,
    /// Their numbers of now.
    indices: BTreeSet<u32>,
    /// Of those, the links that containers sit on.
    grounds: BTreeSet<String>,
    networks: BTreeSet<String>,
    /// Whether shims are among it, for which settings count.
    shims: bool,
    /// Where routes of ours led, at the last look and before.
    destinations: BTreeSet<IpNet>,
    /// Whether something goes with containers.
    follows: bool,
    /// Whether lans are among it, and one with a way out.
    lans: bool,
    way_out: bool,
}

impl Interest {
    fn of(wanted: &[Spec]) -> Interest {
        let mut interest = Interest::default();
        for spec in wanted {
            match spec {
                Spec::Lan(spec) => {
                    interest.lans = true;
                    interest.ground(&spec.lan.parent);
                    if spec.lan.nat {
                        interest.way_out = true;
                        let uplink = LinkName::fitted("nat-", spec.lan.name.as_str());
                        interest.links.insert(uplink.to_string());
                    }
                }
                Spec::Link(spec) => {
                    interest.links.insert(spec.base.to_string());
                    interest.ground(&spec.name);
                }
                Spec::Promiscuity(spec) => interest.ground(&spec.link),
                Spec::Shim(spec) => {
                    interest.shims = true;
                    interest.links.insert(spec.name.to_string());
                    interest.ground(&spec.parent);
                    interest.networks.extend(spec.networks.iter().cloned());
                }
                Spec::Route(spec) => {
                    interest.follows = true;
                    interest.networks.insert(spec.network.clone());
                }
                Spec::Door(spec) => {
                    interest.follows = true;
                    interest.networks.insert(spec.network.clone());
                }
                Spec::Network(_) | Spec::Volume(_) | Spec::Image(_) => {}
                Spec::Container(_) | Spec::Existing(_) | Spec::Endpoint(_) => {}
            }
        }
        interest
    }

    fn ground(&mut self, link: &LinkName) {
        self.links.insert(link.to_string());
        self.grounds.insert(link.to_string());
    }

    fn is_told_by(&self, project: &ProjectName, news: &News) -> bool {
        match news {
            News::Host(change) => match change {
                Change::Link { index, name } | Change::LinkGone { index, name } => {
                    self.links.contains(name) || self.indices.contains(index)
                }
                Change::Address { link } => self.indices.contains(link),
                Change::Route {
                    link,
                    ours,
                    default,
                    destination,
                } => {
                    let on_ours = link.is_some_and(|link| self.indices.contains(&link));
                    let instead = destination.is_some_and(|to| self.destinations.contains(&to));
                    *ours && on_ours || *default && self.way_out || !*ours && instead
                }
                Change::Translation { .. } => self.way_out,
                Change::Setting { link } if link == EVERY_LINK => self.shims,
                Change::Setting { link } => self.links.contains(link),
            },
            News::Started { project: started } => self.follows && started == project.as_str(),
            News::Network { name } => self.networks.contains(name),
            News::Names => self.lans,
            News::Everything => true,
            // These are the caller's to look into.
            News::Records | News::Released => false,
        }
    }
}

/// A burst of news.
#[derive(Debug, Clone, Copy)]
struct Burst {
    first: Instant,
    last: Instant,
}

impl Burst {
    fn over(self) -> Instant {
        (self.first + LIMIT).min(self.last + QUIET)
    }
}

/// How often in a row something was restored, and when last.
#[derive(Debug, Clone, Copy)]
struct Streak {
    count: u32,
    last: Instant,
}

#[derive(Debug, Default)]
struct Charge {
    wanted: Vec<Spec>,
    interest: Interest,
    burst: Option<Burst>,
    blocked: bool,
    /// Not looked at before then, and then in any case.
    pause: Option<Instant>,
    failures: u32,
    streaks: BTreeMap<ResourceId, Streak>,
    /// Links that went away from under containers.
    lost: BTreeSet<String>,
}

impl Charge {
    fn stir(&mut self, now: Instant) {
        let first = self.burst.map_or(now, |burst| burst.first);
        self.burst = Some(Burst { first, last: now });
    }

    fn due(&self) -> Option<Instant> {
        let burst = self.burst.filter(|_| !self.blocked).map(Burst::over);
        match (burst, self.pause) {
            (Some(over), Some(pause)) => Some(over.max(pause)),
            (over, pause) => over.or(pause.filter(|_| !self.blocked)),
        }
    }
}

/// The projects in care.
#[derive(Debug, Default)]
pub struct Care {
    charges: BTreeMap<ProjectName, Charge>,
}

impl Care {
    /// The projects.
    pub fn projects(&self) -> impl Iterator<Item = &ProjectName> {
        self.charges.keys()
    }

    /// Takes exactly these projects into care. One that is new or wants something else is looked at.
    pub fn take(&mut self, all: BTreeMap<ProjectName, Vec<Spec>>, now: Instant) {
        self.charges.retain(|project, _| all.contains_key(project));
        for (project, wanted) in all {
            let charge = self.charges.entry(project).or_default();
            if charge.wanted != wanted {
                *charge = Charge {
                    interest: Interest::of(&wanted),
                    wanted,
                    ..Charge::default()
                };
                charge.stir(now);
            }
        }
    }

    /// Hears news.
    pub fn hear(&mut self, news: &News, now: Instant) {
        for (project, charge) in &mut self.charges {
            if let News::Host(Change::LinkGone { name, .. }) = news
                && charge.interest.grounds.contains(name)
            {
                charge.lost.insert(name.clone());
            }
            let freed = *news == News::Released && std::mem::take(&mut charge.blocked);
            if freed || charge.interest.is_told_by(project, news) {
                charge.stir(now);
            }
        }
    }

    /// When the next project is to be looked at.
    pub fn wake(&self) -> Option<Instant> {
        self.charges.values().filter_map(Charge::due).min()
    }

    /// The projects that are to be looked at now, with what they want.
    pub fn due(&mut self, now: Instant) -> Vec<(ProjectName, Vec<Spec>)> {
        let mut due = Vec::new();
        for (project, charge) in &mut self.charges {
            if charge.due().is_some_and(|at| at <= now) {
                charge.burst = None;
                charge.pause = None;
                due.push((project.clone(), charge.wanted.clone()));
            }
        }
        due
    }

    /// A project was looked at: the numbers of its links are known. The links that went from under its containers since
    /// the last look.
    pub fn looked(&mut self, project: &ProjectName, observed: &Observed) -> BTreeSet<String> {
        let Some(charge) = self.charges.get_mut(project) else {
            return BTreeSet::new();
        };
        let links = observed.host.iter().flat_map(|host| &host.links);
        let ours = links.filter(|link| charge.interest.links.contains(&link.name));
        charge.interest.indices = ours.map(|link| link.index).collect();
        let routes = observed.host.iter().flat_map(|host| &host.routes);
        let led = routes.filter(|route| {
            let link = route.link.as_ref();
            route.protocol == ROUTE_PROTOCOL
                && link.is_some_and(|link| charge.interest.links.contains(link))
        });
        let led: Vec<IpNet> = led.map(|route| route.destination).collect();
        charge.interest.destinations.extend(led);
        let back = |name: &String| {
            let host = observed.host.as_ref();
            host.is_some_and(|host| host.link(name).is_some())
        };
        let (told, kept) = std::mem::take(&mut charge.lost)
            .into_iter()
            .partition(|name| back(name));
        charge.lost = kept;
        told
    }

    /// How the look ended; the pause before the next one, where there has to be one, and what is contested.
    pub fn ended(
        &mut self,
        project: &ProjectName,
        outcome: &Outcome,
        now: Instant,
    ) -> Option<(Duration, Option<ResourceId>)> {
        let charge = self.charges.get_mut(project)?;
        match outcome {
            Outcome::Right => charge.failures = 0,
            Outcome::Blocked => charge.blocked = true,
            Outcome::Failed => {
                charge.failures += 1;
                let pause = doubled(charge.failures);
                charge.pause = Some(now + pause);
                return Some((pause, None));
            }
            Outcome::Restored(ids) => {
                charge.failures = 0;
                // What was restored may have taken along what stands on it.
                charge.stir(now);
                let contested = charge.contested(ids, now);
                if let Some((id, count)) = contested {
                    let pause = doubled(count - PATIENCE);
                    charge.pause = Some(now + pause);
                    return Some((pause, Some(id)));
                }
            }
        }
        None
    }
}

impl Charge {
    /// What was restored too often. What goes with containers is not counted: they may start as often as they like.
    fn contested(&mut self, ids: &[ResourceId], now: Instant) -> Option<(ResourceId, u32)> {
        self.streaks
            .retain(|_, streak| now.duration_since(streak.last) < AGAIN.max(LONGEST_PAUSE));
        let mut worst: Option<(ResourceId, u32)> = None;
        for id in ids {
            if matches!(id.kind, Kind::Route | Kind::Door) {
                continue;
            }
            let before = self.streaks.get(id).copied();
            let window = before.map_or(AGAIN, |streak| {
                AGAIN + doubled(streak.count.saturating_sub(PATIENCE))
            });
            let count = match before {
                Some(streak) if now.duration_since(streak.last) < window => streak.count + 1,
                Some(_) | None => 1,
            };
            self.streaks.insert(id.clone(), Streak { count, last: now });
            if count > PATIENCE && worst.as_ref().is_none_or(|(_, most)| count > *most) {
                worst = Some((id.clone(), count));
            }
        }
        worst
    }
}

fn doubled(times: u32) -> Duration {
    let factor = 1_u32
        .checked_shl(times.saturating_sub(1).min(16))
        .unwrap_or(1);
    (PAUSE * factor).min(LONGEST_PAUSE)
}
