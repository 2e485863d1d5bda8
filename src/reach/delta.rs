//! Which cells a change opens or closes: the predictions for what stands and for what is wanted, side by side, folded.
//! Addresses may be others afterwards, so a cell is told by who is asked, by which name or over which network, and what.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::reach::predict;
use crate::reach::question::{Ask, Target, Viewpoint};
use crate::reach::scene::{Scene, Tenant};
use crate::reach::verdict::Prediction;

/// The most lines of text; the rest is counted.
const MOST_LINES: usize = 16;

/// What became of one cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    pub from: String,
    pub to: String,
    /// The name that is asked, the network whose address is asked, or the host where the port is published.
    pub way: String,
    pub ask: String,
    /// One word each: `ok`, a kind of failure, `depends`, or `absent` where nobody was there to ask or be asked.
    pub before: String,
    pub after: String,
    /// The rule that now decides, where it does not work.
    pub rule: Option<&'static str>,
}

/// All cells that a change opens or closes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    pub opened: Vec<Changed>,
    pub closed: Vec<Changed>,
    /// How many work before and after, and how many work neither way.
    pub kept: usize,
    pub shut: usize,
    /// Whether a container of the stack stood before.
    pub stood: bool,
    /// The containers of each service, before and after, by which replicas are folded.
    services: BTreeMap<String, BTreeSet<String>>,
}

type Key = (String, String, String, String);

/// One side of a cell: all questions with the same key, since a host has several addresses.
struct Side {
    word: String,
    rule: Option<&'static str>,
}

/// Holds what stands against what is wanted.
pub fn delta(before: &Scene, after: &Scene) -> Delta {
    let (mut old, new) = (sides(before), sides(after));
    let mut delta = Delta {
        stood: before.containers.values().any(Tenant::runs),
        ..Delta::default()
    };
    for scene in [before, after] {
        for (name, tenant) in &scene.containers {
            let names = delta.services.entry(tenant.service.clone()).or_default();
            names.insert(name.clone());
        }
    }
    for (key, new) in new {
        let old = old.shift_remove(&key);
        delta.note(key, old, Some(new));
    }
    for (key, old) in old {
        delta.note(key, Some(old), None);
    }
    delta
}

fn sides(scene: &Scene) -> IndexMap<Key, Side> {
    let mut sides: IndexMap<Key, Side> = IndexMap::new();
    for cell in predict::all(scene) {
        let question = &cell.question;
        if question.from == Viewpoint::Container(question.meant.clone()) {
            continue;
        }
        let way = way(scene, &question.to, &question.meant);
        let key = (
            question.from.to_string(),
            question.meant.clone(),
            way,
            question.ask.to_string(),
        );
        let word = word(scene, &question.from, &cell.prediction);
        let rule = cell
            .prediction
            .obstacle
            .as_ref()
            .map(|obstacle| obstacle.card.id);
        match sides.get_mut(&key) {
            None => {
                sides.insert(key, Side { word, rule });
            }
            // Several addresses, and not all alike: one that works is enough to get through.
            Some(side) if word == "ok" => *side = Side { word, rule: None },
            Some(_) => {}
        }
    }
    sides
}

fn word(scene: &Scene, from: &Viewpoint, prediction: &Prediction) -> String {
    let down = match from {
        Viewpoint::Container(name) => scene
            .containers
            .get(name)
            .is_some_and(|tenant| tenant.down.is_some()),
        Viewpoint::Host | Viewpoint::Shim(_) | Viewpoint::Machine { .. } => false,
        Viewpoint::Router(_) | Viewpoint::Internet | Viewpoint::Other => false,
    };
    if down {
        "absent".to_owned()
    } else {
        prediction.verdict.word().to_owned()
    }
}

fn way(scene: &Scene, to: &Target, meant: &str) -> String {
    let address = match to {
        Target::Name(name) => return format!("name {name}"),
        Target::Internet => return "internet".to_owned(),
        Target::Address(address) => *address,
    };
    let family = if address.is_ipv6() { " IPv6" } else { "" };
    let node = scene.containers.get(meant).map(|tenant| tenant.node);
    let own = node.and_then(|node| {
        scene.nodes[node]
            .links
            .iter()
            .find(|link| link.addresses.iter().any(|prefix| prefix.addr() == address))
    });
    match own.and_then(|link| link.network.as_ref()) {
        Some(network) => {
            let key = scene
                .networks
                .get(network)
                .map_or(network.as_str(), |fact| fact.key.as_str());
            format!("{key}{family}")
        }
        None if node.is_some() && address.is_loopback() => "127.0.0.1".to_owned(),
        None if node.is_some() => "the host".to_owned(),
        None => family.trim().to_owned(),
    }
}

impl Delta {
    fn note(&mut self, key: Key, old: Option<Side>, new: Option<Side>) {
        let absent = || Side {
            word: "absent".to_owned(),
            rule: None,
        };
        let (old, new) = (old.unwrap_or_else(absent), new.unwrap_or_else(absent));
        let list = match (old.word == "ok", new.word == "ok") {
            (true, true) => {
                self.kept += 1;
                return;
            }
            (false, false) => {
                self.shut += 1;
                return;
            }
            (false, true) => &mut self.opened,
            (true, false) => &mut self.closed,
        };
        let (from, to, way, ask) = key;
        list.push(Changed {
            from,
            to,
            way,
            ask,
            before: old.word,
            after: new.word,
            rule: new.rule,
        });
    }

    /// Whether nothing opens or closes.
    pub fn is_empty(&self) -> bool {
        self.opened.is_empty() && self.closed.is_empty()
    }

    /// A few lines for people.
    pub fn text(&self) -> String {
        if self.is_empty() {
            return "reach: nothing opens or closes\n".to_owned();
        }
        if !self.stood {
            return format!(
                "reach: {} cells open, all of them new; `stack reach` shows them\n",
                self.opened.len()
            );
        }
        let mut text = format!(
            "reach: {} open, {} close\n",
            self.opened.len(),
            self.closed.len()
        );
        let mut lines: Vec<[String; 3]> = Vec::new();
        for (sign, list) in [("+", &self.opened), ("-", &self.closed)] {
            for (from, to, ways) in self.folded(list) {
                lines.push([format!("{sign} {from}"), to, ways]);
            }
        }
        let width = |column: usize| {
            let cells = lines
                .iter()
                .take(MOST_LINES)
                .filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let (first, second) = (width(0), width(1));
        for [from, to, ways] in lines.iter().take(MOST_LINES) {
            let _ = writeln!(text, "  {from:<first$} to {to:<second$}  {ways}");
        }
        if lines.len() > MOST_LINES {
            let _ = writeln!(
                text,
                "  and {} more (--format json has all)",
                lines.len() - MOST_LINES
            );
        }
        text
    }

    /// Who to whom, and by which ways; replicas that agree are their service.
    fn folded(&self, list: &[Changed]) -> Vec<(String, String, String)> {
        let mut pairs: IndexMap<(String, String), Vec<String>> = IndexMap::new();
        for changed in list {
            let ways = pairs
                .entry((changed.from.clone(), changed.to.clone()))
                .or_default();
            let way = words(changed);
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        let mut pairs: IndexMap<(String, String), String> = pairs
            .into_iter()
            .map(|(pair, ways)| (pair, summary(&ways)))
            .collect();
        for (service, replicas) in &self.services {
            pairs = fold(pairs, service, replicas, |pair| &mut pair.1);
        }
        for (service, replicas) in &self.services {
            pairs = fold(pairs, service, replicas, |pair| &mut pair.0);
        }
        pairs
            .into_iter()
            .map(|((from, to), ways)| (from, to, ways))
            .collect()
    }

    /// The same for programs: every cell.
    pub fn value(&self) -> Value {
        let list = |list: &[Changed]| -> Vec<Value> {
            list.iter()
                .map(|changed| {
                    json!({
                        "from": changed.from,
                        "to": changed.to,
                        "way": changed.way,
                        "ask": changed.ask,
                        "before": changed.before,
                        "after": changed.after,
                        "rule": changed.rule,
                    })
                })
                .collect()
        };
        json!({
            "opened": list(&self.opened),
            "closed": list(&self.closed),
            "kept": self.kept,
            "shut": self.shut,
        })
    }
}

/// `tcp/80 by front`, `the name db`, `tcp/8080 at the host`.
fn words(changed: &Changed) -> String {
    let what = match changed.way.strip_prefix("name ") {
        Some(name) if name == changed.to => "its own name".to_owned(),
        Some(name) if changed.ask == Ask::Name.to_string() => format!("the name {name}"),
        Some(_) => changed.ask.clone(),
        None if ["the host", "127.0.0.1"].contains(&changed.way.as_str()) => {
            format!("{} at {}", changed.ask, changed.way)
        }
        None => changed.ask.clone(),
    };
    let fails = matches!(changed.after.as_str(), "ok" | "absent");
    match (fails, changed.rule) {
        (false, Some(rule)) => format!("{what}: {} ({rule})", changed.after),
        (false, None) => format!("{what}: {}", changed.after),
        (true, _) => what,
    }
}

/// All ways in one line; those with the same ending say it once.
fn summary(ways: &[String]) -> String {
    let mut endings: IndexMap<&str, Vec<&str>> = IndexMap::new();
    for way in ways {
        let (what, ending) = way.split_once(": ").unwrap_or((way, ""));
        let list = endings.entry(ending).or_default();
        if !list.contains(&what) {
            list.push(what);
        }
    }
    let parts: Vec<String> = endings
        .into_iter()
        .map(|(ending, list)| match ending {
            "" => list.join(", "),
            ending => format!("{}: {ending}", list.join(", ")),
        })
        .collect();
    parts.join("; ")
}

/// Puts a service in the place of its replicas where all that are there say the same.
fn fold(
    pairs: IndexMap<(String, String), String>,
    service: &str,
    replicas: &BTreeSet<String>,
    place: impl Fn(&mut (String, String)) -> &mut String,
) -> IndexMap<(String, String), String> {
    let mut folded: IndexMap<(String, String), String> = IndexMap::new();
    for (pair, ways) in &pairs {
        let mut short = pair.clone();
        if replicas.contains(place(&mut short)) {
            let all = replicas.iter().all(|replica| {
                let mut other = pair.clone();
                *place(&mut other) = replica.clone();
                // A replica does not ask itself.
                other.0 == other.1 || pairs.get(&other) == Some(ways)
            });
            if all {
                *place(&mut short) = service.to_owned();
            }
        }
        folded.entry(short).or_insert_with(|| ways.clone());
    }
    folded
}
