//! Circles of dependencies.

use std::collections::HashMap;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::consistency::entries;
use crate::file::tree::{Entry, Mapping};
use crate::source::Span;

/// Finds every circle of dependencies, each once, in time linear in services and dependencies.
pub fn tell(services: &Mapping, told: &mut Diagnostics) {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        Open,
        Done,
    }
    let mut seen: HashMap<&str, Seen> = HashMap::new();
    for start in services.iter() {
        if seen.contains_key(&*start.key) {
            continue;
        }
        let mut trail: Vec<(&Entry, Vec<&Entry>)> = vec![(start, dependencies_of(start))];
        seen.insert(&start.key, Seen::Open);
        while let Some((here, rest)) = trail.last_mut() {
            let here: &Entry = here;
            let Some(edge) = rest.pop() else {
                seen.insert(&here.key, Seen::Done);
                trail.pop();
                continue;
            };
            let Some(next) = services.entry(&edge.key) else {
                continue;
            };
            match seen.get(&*next.key) {
                Some(Seen::Done) => {}
                Some(Seen::Open) => {
                    let from = trail
                        .iter()
                        .position(|(entry, _)| entry.key == next.key)
                        .unwrap_or(0);
                    let circle: Vec<&Entry> =
                        trail.iter().skip(from).map(|(entry, _)| *entry).collect();
                    told.push(cycle(&circle));
                }
                None => {
                    seen.insert(&next.key, Seen::Open);
                    trail.push((next, dependencies_of(next)));
                }
            }
        }
    }
}

/// The dependencies of a service, the first one last, as they are taken from the end.
fn dependencies_of(entry: &Entry) -> Vec<&Entry> {
    let mut all: Vec<&Entry> = entries(&entry.node, "depends_on").collect();
    all.reverse();
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
