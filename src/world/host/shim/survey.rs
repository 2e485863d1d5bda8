//! The shims of a host, whichever project's they are, as they stand: found by their marks and read back. Nothing is
//! changed, and no engine is needed.

use ipnet::IpNet;

use crate::plan::observed::{LinkFact, RouteFact};
use crate::plan::spec::{Kind, ShimSpec};
use crate::world::WorldError;
use crate::world::host::error::broken;
use crate::world::host::ledger::Note;
use crate::world::host::shim::read::{damage, read_back};
use crate::world::host::{Host, sysctl};

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
            let Some(mark) = link.mark() else {
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
}
