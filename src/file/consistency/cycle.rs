//! Circles of dependencies.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::consistency::entries;
use crate::file::tree::{Entry, Mapping};
use crate::source::Span;

/// Tells of circles of dependencies: of services that all wait for each other one circle, a short one. In time linear
/// in services and dependencies.
pub fn tell(services: &Mapping, told: &mut Diagnostics) {
    let graph = Waits::of(services);
    for mut members in graph.knots() {
        members.sort_unstable();
        let circle = graph.circle(&members);
        let circle: Vec<&Entry> = circle
            .iter()
            .filter_map(|at| graph.services.get(*at).copied())
            .collect();
        if !circle.is_empty() {
            told.push(cycle(&circle));
        }
    }
}

/// How many services of a knot are taken as the start of a search for its shortest circle.
const STARTS: usize = 32;

/// Who waits for whom.
struct Waits<'a> {
    services: Vec<&'a Entry>,
    /// Those that each waits for, by their places.
    edges: Vec<Vec<usize>>,
}

impl<'a> Waits<'a> {
    fn of(services: &'a Mapping) -> Waits<'a> {
        let all: Vec<&Entry> = services.iter().collect();
        let places: HashMap<&str, usize> = all
            .iter()
            .enumerate()
            .map(|(at, entry)| (&*entry.key, at))
            .collect();
        let edges = all
            .iter()
            .map(|entry| {
                entries(&entry.node, "depends_on")
                    .filter_map(|dependency| places.get(&*dependency.key).copied())
                    .collect()
            })
            .collect();
        Waits {
            services: all,
            edges,
        }
    }

    /// The groups of services that all lead to each other (Kosaraju's way): what leads to the one that a walk ends
    /// with last, and is reached from it, is one group.
    fn knots(&self) -> Vec<Vec<usize>> {
        let mut backwards: Vec<Vec<usize>> = vec![Vec::new(); self.edges.len()];
        for (at, next) in self.edges.iter().enumerate() {
            for next in next {
                if let Some(before) = backwards.get_mut(*next) {
                    before.push(at);
                }
            }
        }
        let everyone = 0..self.edges.len();
        let ended: Vec<usize> = walks(&self.edges, everyone).into_iter().flatten().collect();
        walks(&backwards, ended.into_iter().rev())
    }

    /// A short circle among services of which every one leads to every other; none where a single one stands alone.
    fn circle(&self, members: &[usize]) -> Vec<usize> {
        // Nearly every service is a group of its own; a search from each would walk all that it waits for.
        if let [alone] = members {
            let own = self
                .edges
                .get(*alone)
                .is_some_and(|next| next.contains(alone));
            return if own { vec![*alone] } else { Vec::new() };
        }
        let within: HashSet<usize> = members.iter().copied().collect();
        let mut shortest: Vec<usize> = Vec::new();
        for start in members.iter().take(STARTS) {
            let found = self.back_to(*start, &within);
            if shortest.is_empty() || (!found.is_empty() && found.len() < shortest.len()) {
                shortest = found;
            }
            if shortest.len() <= 2 {
                break;
            }
        }
        shortest
    }

    /// The shortest way from a service back to itself through some others.
    fn back_to(&self, start: usize, within: &HashSet<usize>) -> Vec<usize> {
        let mut came_from: HashMap<usize, usize> = HashMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(here) = queue.pop_front() {
            let next = self.edges.get(here).into_iter().flatten().copied();
            for next in next.filter(|next| within.contains(next)) {
                if next == start {
                    let mut way = vec![here];
                    while let Some(before) = way.last().and_then(|last| came_from.get(last)) {
                        way.push(*before);
                    }
                    way.reverse();
                    return way;
                }
                came_from.entry(next).or_insert_with(|| {
                    queue.push_back(next);
                    here
                });
            }
        }
        Vec::new()
    }
}

/// What each start reaches that none before it has, in the order in which the walk ends with them.
fn walks(edges: &[Vec<usize>], starts: impl Iterator<Item = usize>) -> Vec<Vec<usize>> {
    let mut met = vec![false; edges.len()];
    // Whether it is news that a service is met.
    let mut meet = |at: usize| {
        met.get_mut(at)
            .is_some_and(|met| !std::mem::replace(met, true))
    };
    let mut all = Vec::new();
    for start in starts {
        if !meet(start) {
            continue;
        }
        let mut ended = Vec::new();
        let mut trail = vec![(start, 0)];
        while let Some((here, edge)) = trail.last_mut() {
            let here = *here;
            let next = edges.get(here).and_then(|next| next.get(*edge)).copied();
            *edge += 1;
            match next {
                Some(next) if meet(next) => trail.push((next, 0)),
                Some(_) => {}
                None => {
                    ended.push(here);
                    trail.pop();
                }
            }
        }
        all.push(ended);
    }
    all
}

fn cycle(circle: &[&Entry]) -> Diagnostic {
    let mut names: Vec<Arc<str>> = circle.iter().map(|entry| entry.key.clone()).collect();
    names.extend(circle.first().map(|entry| entry.key.clone()));
    let shown = names.join(" -> ");
    let places: Vec<(Span, String)> = circle
        .iter()
        .zip(names.iter().skip(1))
        .filter_map(|(entry, next)| {
            let edge = entry.node.get("depends_on")?.as_mapping()?.entry(next)?;
            Some((edge.key_span, format!("`{}` waits for `{next}`", entry.key)))
        })
        .collect();
    let mut diagnostic = Diagnostic::error(
        "dependency-cycle",
        format!("dependency cycle detected: {shown}"),
    )
    .hint("remove one of these dependencies (links and `service:` modes are dependencies too)");
    // A circle of thousands would be told with thousands of lines; eight show where it is.
    for (index, (span, text)) in places.into_iter().rev().take(8).enumerate() {
        diagnostic = if index == 0 {
            diagnostic.label(span, text)
        } else {
            diagnostic.also(span, text)
        };
    }
    diagnostic.path(format!(
        "services.{}.depends_on",
        circle.last().map_or("", |entry| &entry.key)
    ))
}
