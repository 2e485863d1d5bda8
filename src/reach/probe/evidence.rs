//! What each hop really said to one question: the kernels of the asker's and of the host's namespace are asked before
//! and after it, and the difference is put into sentences (neighbours, counters of links and of packet filters, tracked
//! connections, path MTU).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::model::address::Mac;
use crate::plan::machine::{FilterChain, Verdict};
use crate::reach::predict::Cell;
use crate::reach::probe::echo;
use crate::reach::probe::place::Place;
use crate::reach::question::{Ask, Target, Viewpoint};
use crate::reach::verdict::Hop;
use crate::world::host::filter;
use crate::world::host::witness::{self, Ends, Testimony, Tracked, Traffic};
use crate::world::netns::Namespace;

/// What was there before the question.
pub struct Before {
    to: IpAddr,
    asker: Testimony,
    host: Testimony,
    chains: Vec<FilterChain>,
}

/// Looks before a question is asked; none where nobody can look, or the name has no address.
pub async fn before(places: &BTreeMap<Viewpoint, Place>, cell: &Cell) -> Option<Before> {
    let to = destination(cell)?;
    let asker = places.get(&cell.question.from)?.namespace()?;
    let host = places.get(&Viewpoint::Host)?.namespace()?;
    Some(Before {
        to,
        asker: witness::testimony(asker, to).await.ok()?,
        host: witness::testimony(host, to).await.ok()?,
        chains: chains(host).await,
    })
}

/// Looks again, and tells what is different.
pub async fn after(
    places: &BTreeMap<Viewpoint, Place>,
    cell: &Cell,
    before: Before,
) -> Vec<String> {
    let namespace = |viewpoint| places.get(viewpoint).and_then(Place::namespace);
    let (Some(asker), Some(host)) = (namespace(&cell.question.from), namespace(&Viewpoint::Host))
    else {
        return Vec::new();
    };
    let to = before.to;
    let who = cell.question.from.to_string();
    let mut lines = Vec::new();
    let mut station = None;
    if let Ok(now) = witness::testimony(asker, to).await {
        lines.push(way(&who, to, &now));
        if let Some(neighbour) = &now.neighbour {
            let mac = neighbour
                .mac
                .map_or("no MAC".to_owned(), |mac| mac.to_string());
            let mut line = format!(
                "`{who}` has {} in its neighbour table: {} ({mac})",
                neighbour.address, neighbour.state
            );
            if let Some(mac) = neighbour.mac
                && let Ok(Some(port)) = witness::bridge_port(host, mac).await
            {
                line.push_str(&format!(", behind `{port}` of the host"));
            }
            lines.push(line);
        }
        let mut own: BTreeSet<String> = now.way.iter().map(|way| way.link.clone()).collect();
        if asker == host {
            own.extend(on_the_way(host, cell, to, None).await);
        }
        lines.extend(carried(&who, &before.asker.traffic, &now.traffic, &own));
        station = now.way.and_then(|way| way.mac);
    }
    let elsewhere = asker != host;
    if elsewhere && let Ok(now) = witness::testimony(host, to).await {
        if let Some(neighbour) = &now.neighbour {
            lines.push(format!(
                "the host has {} in its neighbour table: {}",
                neighbour.address, neighbour.state
            ));
        }
        let passed = on_the_way(host, cell, to, station).await;
        lines.extend(carried("host", &before.host.traffic, &now.traffic, &passed));
    }
    lines.extend(counted(&before.chains, &chains(host).await));
    let tracked = witness::tracked(host).await.unwrap_or_default();
    lines.extend(connections(&tracked, to, cell.question.ask));
    lines.extend(width(asker, &before.asker, to).await);
    lines
}

/// The links of the host that the packet may have come by: those that lead to where it went, the wires it was carried
/// over, and the bridge ports of the one who asked and of the neighbours it was for. Others carry what others send.
async fn on_the_way(
    host: &Namespace,
    cell: &Cell,
    to: IpAddr,
    station: Option<Mac>,
) -> BTreeSet<String> {
    let mut links = BTreeSet::new();
    let mut ends = BTreeSet::from([to]);
    for hop in &cell.prediction.hops {
        match hop {
            Hop::Routed { destination, .. } => {
                ends.insert(*destination);
            }
            Hop::Carried { over, .. } => {
                links.insert(over.clone());
            }
            Hop::Resolved { .. } | Hop::Local { .. } | Hop::Passed { .. } => {}
            Hop::Translated { .. } | Hop::Listens { .. } | Hop::Answered { .. } => {}
        }
    }
    let mut stations: Vec<Mac> = station.into_iter().collect();
    for end in ends {
        let Ok(seen) = witness::testimony(host, end).await else {
            continue;
        };
        links.extend(seen.way.map(|way| way.link));
        stations.extend(seen.neighbour.and_then(|neighbour| neighbour.mac));
    }
    for station in stations {
        let port = witness::bridge_port(host, station).await;
        links.extend(port.ok().flatten());
    }
    links
}

/// The address that is asked: the question's, or the first that the name is predicted to have.
fn destination(cell: &Cell) -> Option<IpAddr> {
    match &cell.question.to {
        Target::Address(address) => Some(*address),
        Target::Internet => None,
        Target::Name(_) => cell.prediction.hops.iter().find_map(|hop| match hop {
            Hop::Resolved { addresses, .. } => addresses.first().copied(),
            Hop::Routed { .. } | Hop::Local { .. } | Hop::Carried { .. } => None,
            Hop::Passed { .. } | Hop::Translated { .. } => None,
            Hop::Listens { .. } | Hop::Answered { .. } => None,
        }),
    }
}

async fn chains(host: &Namespace) -> Vec<FilterChain> {
    let read = filter::chains(host).await;
    read.ok().flatten().unwrap_or_default()
}

fn way(who: &str, to: IpAddr, seen: &Testimony) -> String {
    match &seen.way {
        None => format!("`{who}` has no route to {to}"),
        Some(way) => {
            let via = way
                .via
                .map_or(String::new(), |via| format!(" by way of {via}"));
            let from = way
                .source
                .map_or(String::new(), |own| format!(", from {own}"));
            format!("`{who}` sends to {to} through `{}`{via}{from}", way.link)
        }
    }
}

fn carried(
    who: &str,
    before: &[Traffic],
    now: &[Traffic],
    on_the_way: &BTreeSet<String>,
) -> Vec<String> {
    now.iter()
        .filter(|link| link.link != "lo" && on_the_way.contains(&link.link))
        .filter_map(|link| {
            let old = before.iter().find(|old| old.link == link.link)?;
            let sent = link.sent.saturating_sub(old.sent);
            let received = link.received.saturating_sub(old.received);
            let dropped = link.dropped.saturating_sub(old.dropped);
            (sent + received + dropped > 0).then(|| {
                let dropped = match dropped {
                    0 => String::new(),
                    dropped => format!(", {dropped} dropped"),
                };
                format!(
                    "`{}` of `{who}`: {sent} packets out, {received} in{dropped}",
                    link.link
                )
            })
        })
        .collect()
}

/// The rules that counted packets meanwhile and decide something.
fn counted(before: &[FilterChain], now: &[FilterChain]) -> Vec<String> {
    let mut lines = Vec::new();
    for chain in now {
        let same = |old: &&FilterChain| {
            old.backend == chain.backend
                && old.family == chain.family
                && old.table == chain.table
                && old.chain == chain.chain
                && old.rules.len() == chain.rules.len()
        };
        let Some(old) = before.iter().find(same) else {
            continue;
        };
        for (number, (rule, old)) in chain.rules.iter().zip(&old.rules).enumerate() {
            let more = rule
                .packets
                .unwrap_or(0)
                .saturating_sub(old.packets.unwrap_or(0));
            let what = match &rule.verdict {
                Verdict::Accept => "lets pass",
                Verdict::Drop => "drops",
                Verdict::Return | Verdict::Jump(_) | Verdict::None => continue,
            };
            if more > 0 {
                lines.push(format!(
                    "rule {} of {} {} {} {what}: {more} packets",
                    number + 1,
                    chain.family,
                    chain.table,
                    chain.chain
                ));
            }
        }
    }
    lines
}

fn connections(tracked: &[Tracked], to: IpAddr, ask: Ask) -> Vec<String> {
    let protocol = match ask {
        Ask::Tcp(_) => 6,
        Ask::Udp(_) => 17,
        Ask::Icmp | Ask::Name if to.is_ipv4() => 1,
        Ask::Icmp | Ask::Name => 58,
    };
    let mine = |one: &&Tracked| {
        one.asked.protocol == protocol
            && one.asked.destination.0 == to
            && ask
                .port()
                .is_none_or(|port| one.asked.destination.1 == Some(port))
    };
    tracked
        .iter()
        .filter(mine)
        .take(3)
        .map(|one| {
            let translated = one.answer.source != one.asked.destination
                || one.answer.destination != one.asked.source;
            let answer = match translated {
                true => format!(
                    ", translated: the answer is to come as {}",
                    ends(&one.answer)
                ),
                false => String::new(),
            };
            let answered = if one.answered {
                "answered"
            } else {
                "not answered"
            };
            format!("the host tracks {}, {answered}{answer}", ends(&one.asked))
        })
        .collect()
}

fn ends(ends: &Ends) -> String {
    let end = |(address, port): (IpAddr, Option<u16>)| match (address, port) {
        (IpAddr::V6(address), Some(port)) => format!("[{address}]:{port}"),
        (address, Some(port)) => format!("{address}:{port}"),
        (address, None) => address.to_string(),
    };
    format!("{} to {}", end(ends.source), end(ends.destination))
}

/// The largest packet that is answered, where one is.
async fn width(asker: &Namespace, seen: &Testimony, to: IpAddr) -> Option<String> {
    let link = seen.way.as_ref()?.mtu?;
    let answered = asker
        .enter(move || echo::largest(to, link))
        .await
        .ok()
        .flatten()?;
    Some(if answered < link {
        format!("path MTU: packets of {answered} bytes are answered, of {link} (the link's) not")
    } else {
        format!("path MTU: {answered}, as the link's")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{carried, connections};
    use crate::reach::question::Ask;
    use crate::world::host::witness::{Ends, Tracked, Traffic};

    #[test]
    fn only_what_moved_on_the_way_is_told() {
        let link = |name: &str, sent, received| Traffic {
            link: name.to_owned(),
            sent,
            received,
            dropped: 0,
        };
        let before = [link("lo", 1, 1), link("eth0", 5, 5), link("eth1", 2, 2)];
        let now = [link("lo", 9, 9), link("eth0", 8, 6), link("eth1", 3, 2)];
        let on_the_way = BTreeSet::from(["lo".to_owned(), "eth0".to_owned()]);
        assert_eq!(
            carried("web", &before, &now, &on_the_way),
            ["`eth0` of `web`: 3 packets out, 1 in"]
        );
    }

    #[test]
    fn a_translated_connection_says_where_it_went() {
        let ends = |from: &str, to: &str, ports: (u16, u16)| Ends {
            protocol: 6,
            source: (from.parse().unwrap(), Some(ports.0)),
            destination: (to.parse().unwrap(), Some(ports.1)),
        };
        let tracked = [Tracked {
            asked: ends("10.0.0.2", "10.0.0.1", (40000, 8080)),
            answer: ends("172.17.0.2", "10.0.0.2", (80, 40000)),
            answered: false,
        }];
        assert_eq!(
            connections(&tracked, "10.0.0.1".parse().unwrap(), Ask::Tcp(8080)),
            [
                "the host tracks 10.0.0.2:40000 to 10.0.0.1:8080, not answered, translated: the answer is to come as 172.17.0.2:80 to 10.0.0.2:40000"
            ]
        );
        assert!(connections(&tracked, "10.0.0.1".parse().unwrap(), Ask::Tcp(80)).is_empty());
    }
}
