//! What carries our mark and belongs to nothing that runs. Whoever looked says what is marked, which containers there
//! are and which runs are under way or unfinished; here it is decided what of it is nobody's. Pure.
//!
//! A project is left alone while it has a container that no unfinished run made, while a run works on it, while somebody
//! else's container is on one of its networks, while the record of its last `up` stands (it may have no
//! containers, and still be wanted), and where a record, a lock or a journal says that it belongs to another
//! engine of this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ipnet::IpNet;
use serde::Serialize;

use crate::model::mark::{TABLE_PREFIX, birth_prefix};
use crate::plan::spec::ResourceId;

/// A thing with our mark.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Marked {
    /// The project, where the mark says it.
    pub project: Option<String>,
    pub thing: Thing,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Thing {
    /// A run that was killed; what it had begun is taken back first.
    Run {
        command: String,
        since: String,
        journal: String,
    },
    /// The record of what the project wants of this host.
    Record {
        file: String,
    },
    /// The file of a lock that nobody holds.
    Lock {
        file: String,
    },
    Container {
        name: String,
        state: String,
    },
    Network {
        name: String,
    },
    Volume {
        name: String,
    },
    /// What probe containers are made from.
    Image {
        name: String,
    },
    Link {
        name: String,
        index: u32,
        /// The resource that it is (a part of), where it got so far as to say it.
        of: Option<ResourceId>,
        finished: bool,
    },
    /// A named namespace of a lan.
    Namespace {
        name: String,
        lan: String,
    },
    /// A route with our protocol number on a link that is not ours.
    Route {
        destination: IpNet,
        link: Option<String>,
    },
    /// A firewall table.
    Table {
        name: String,
    },
    /// An entry of the host's ledger.
    Note {
        id: ResourceId,
        says: String,
    },
}

impl Thing {
    /// The word for it in lists.
    pub fn word(&self) -> &'static str {
        match self {
            Thing::Run { .. } => "run",
            Thing::Record { .. } => "record",
            Thing::Lock { .. } => "lock",
            Thing::Container { .. } => "container",
            Thing::Network { .. } => "network",
            Thing::Volume { .. } => "volume",
            Thing::Image { .. } => "image",
            Thing::Link { .. } => "link",
            Thing::Namespace { .. } => "namespace",
            Thing::Route { .. } => "route",
            Thing::Table { .. } => "table",
            Thing::Note { .. } => "note",
        }
    }

    /// Its name.
    pub fn name(&self) -> String {
        match self {
            Thing::Run { command, .. } => command.clone(),
            Thing::Record { file } | Thing::Lock { file } => file.clone(),
            Thing::Container { name, .. }
            | Thing::Network { name }
            | Thing::Volume { name }
            | Thing::Image { name }
            | Thing::Link { name, .. }
            | Thing::Namespace { name, .. }
            | Thing::Table { name } => name.clone(),
            Thing::Route { destination, .. } => destination.to_string(),
            Thing::Note { id, .. } => id.to_string(),
        }
    }

    /// What is known of it besides.
    pub fn known(&self) -> String {
        match self {
            Thing::Run { since, .. } => {
                format!("not finished, since {since}; `up` or `down` goes on from there")
            }
            Thing::Record { .. } => "what it wants of this host".to_owned(),
            Thing::Lock { .. } => "nobody holds it".to_owned(),
            Thing::Container { state, .. } => state.clone(),
            Thing::Network { .. } | Thing::Volume { .. } | Thing::Table { .. } => String::new(),
            Thing::Image { .. } => "for probe containers".to_owned(),
            Thing::Link {
                of: Some(of),
                finished,
                ..
            } => {
                let end = if *finished { "" } else { ", not finished" };
                format!("{of}{end}")
            }
            Thing::Link { of: None, .. } => "cut off before it was marked".to_owned(),
            Thing::Namespace { lan, .. } => format!("lan/{lan}"),
            Thing::Route { link, .. } => format!("by {}", link.as_deref().unwrap_or("no link")),
            Thing::Note { says, .. } => says.clone(),
        }
    }

    /// Whether it lives on the host and not in the engine.
    pub fn on_host(&self) -> bool {
        match self {
            Thing::Container { .. } | Thing::Network { .. } => false,
            Thing::Volume { .. } | Thing::Image { .. } => false,
            Thing::Run { .. }
            | Thing::Lock { .. }
            | Thing::Record { .. }
            | Thing::Link { .. }
            | Thing::Namespace { .. }
            | Thing::Route { .. }
            | Thing::Table { .. }
            | Thing::Note { .. } => true,
        }
    }
}

/// A run of a project, by its lock and its journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunSeen {
    pub project: String,
    /// Whether it is of the engine that was asked.
    pub here: bool,
    /// Who works on it now.
    pub holder: Option<String>,
    /// The containers that taking it back will remove, where it is unfinished.
    pub made: Option<BTreeSet<String>>,
}

/// Everything that was seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// All containers, by project; none where the engine does not answer.
    pub containers: Option<BTreeMap<String, BTreeSet<String>>>,
    /// Projects on whose networks are containers of others, and one of those.
    pub lent: BTreeMap<String, String>,
    /// Projects that records give to other engines, and the URL of one of those.
    pub elsewhere: BTreeMap<String, String>,
    /// Projects whose records say for certain what they want.
    pub settled: BTreeSet<String>,
    pub runs: Vec<RunSeen>,
    pub marked: Vec<Marked>,
}

/// How it stands with a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It has this container.
    Lives(String),
    /// A run works on it.
    Busy(String),
    /// This container of another project is on one of its networks.
    Lent(String),
    /// Another engine of this machine may have it; its URL, where a record tells it.
    Elsewhere(Option<String>),
    /// The engine does not answer, so nobody can say.
    Unknown,
    /// It has no container, and the record of its last `up` still wants the rest.
    Wanted,
    /// Nothing of it runs.
    Gone,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Lives(container) => write!(f, "it has the container `{container}`"),
            Fate::Busy(holder) => write!(f, "{holder} works on it"),
            Fate::Lent(container) => write!(f, "`{container}` is on its network"),
            Fate::Elsewhere(None) => {
                f.write_str("another engine of this machine has one of that name")
            }
            Fate::Elsewhere(Some(engine)) => write!(
                f,
                "it belongs to the engine at {engine}; to ask that one: stack -H {engine} orphans"
            ),
            Fate::Unknown => f.write_str("the engine does not answer"),
            Fate::Wanted => f.write_str(
                "it has no containers, and its last `up` wants the rest of it; `stack down` takes it away",
            ),
            Fate::Gone => f.write_str("nothing of it runs"),
        }
    }
}

impl Seen {
    /// All projects that were heard of.
    fn projects(&self) -> BTreeSet<&str> {
        let marked = self
            .marked
            .iter()
            .filter_map(|marked| marked.project.as_deref());
        let running = self
            .containers
            .iter()
            .flatten()
            .map(|(name, _)| name.as_str());
        let runs = self.runs.iter().map(|run| run.project.as_str());
        let elsewhere = self.elsewhere.keys().map(String::as_str);
        marked.chain(running).chain(runs).chain(elsewhere).collect()
    }

    /// How it stands with a project.
    pub fn fate(&self, project: &str) -> Fate {
        let runs = || self.runs.iter().filter(|run| run.project == project);
        if let Some(holder) = runs().find_map(|run| run.holder.clone()) {
            return Fate::Busy(holder);
        }
        if let Some(engine) = self.elsewhere.get(project) {
            return Fate::Elsewhere(Some(engine.clone()));
        }
        if runs().any(|run| !run.here) {
            return Fate::Elsewhere(None);
        }
        let Some(containers) = &self.containers else {
            return Fate::Unknown;
        };
        let made: BTreeSet<&str> = runs()
            .filter_map(|run| run.made.as_ref())
            .flatten()
            .map(String::as_str)
            .collect();
        let living = containers
            .get(project)
            .into_iter()
            .flatten()
            .find(|name| !made.contains(name.as_str()));
        if let Some(living) = living {
            return Fate::Lives(living.clone());
        }
        match self.lent.get(project) {
            Some(container) => Fate::Lent(container.clone()),
            None if self.settled.contains(project) && runs().next().is_none() => Fate::Wanted,
            None => Fate::Gone,
        }
    }

    /// The marked things with their projects, those that do not say it resolved where a known project could have made
    /// them.
    pub fn resolved(&self) -> Vec<Marked> {
        let projects = self.projects();
        let mut marked = self.marked.clone();
        for one in &mut marked {
            if one.project.is_none() {
                one.project = projects
                    .iter()
                    .filter(|project| could_have_made(project, &one.thing))
                    .max_by_key(|project| project.len())
                    .map(|project| (*project).to_owned());
            }
        }
        marked.sort();
        marked.dedup();
        marked
    }

    /// The unfinished runs of projects that live: they are left for the next `up` or `down`.
    pub fn interrupted(&self) -> Vec<Marked> {
        let mut marked = self.resolved();
        marked.retain(|marked| {
            let run = matches!(marked.thing, Thing::Run { .. });
            let fate = marked.project.as_deref().map(|project| self.fate(project));
            run && matches!(fate, Some(Fate::Lives(_) | Fate::Lent(_) | Fate::Unknown))
        });
        marked
    }

    /// What belongs to nothing that runs. With an engine that does not answer nothing does, unless it is `given_up`.
    pub fn orphans(&self, engine: Engine) -> Vec<Marked> {
        let busy = self.runs.iter().any(|run| run.holder.is_some());
        let mut marked = self.resolved();
        marked.retain(|marked| match &marked.project {
            Some(project) => match self.fate(project) {
                Fate::Gone => true,
                Fate::Unknown => engine == Engine::GivenUp,
                Fate::Lives(_) | Fate::Busy(_) | Fate::Lent(_) => false,
                Fate::Elsewhere(_) | Fate::Wanted => false,
            },
            // In this moment a run may be between making a link and marking it.
            None => !busy,
        });
        marked
    }
}

/// What is to be thought of an engine that does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// It comes back, and its projects with it.
    Expected,
    /// It is gone for good.
    GivenUp,
}

fn could_have_made(project: &str, thing: &Thing) -> bool {
    match thing {
        Thing::Link { name, of: None, .. } => name.starts_with(&birth_prefix(project)),
        Thing::Table { name } => name
            .strip_prefix(TABLE_PREFIX)
            .and_then(|rest| rest.strip_prefix(project))
            .is_some_and(|rest| rest.starts_with('-')),
        Thing::Run { .. }
        | Thing::Lock { .. }
        | Thing::Record { .. }
        | Thing::Container { .. }
        | Thing::Network { .. }
        | Thing::Volume { .. }
        | Thing::Image { .. }
        | Thing::Link { .. }
        | Thing::Namespace { .. }
        | Thing::Route { .. }
        | Thing::Note { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::{Engine, Fate, Marked, RunSeen, Seen, Thing};
    use crate::model::mark::birth_prefix;
    use crate::plan::spec::{Kind, ResourceId};

    fn link(project: Option<&str>, name: &str) -> Marked {
        Marked {
            project: project.map(str::to_owned),
            thing: Thing::Link {
                name: name.to_owned(),
                index: 7,
                of: project.map(|_| ResourceId::new(Kind::Shim, name)),
                finished: true,
            },
        }
    }

    fn seen(containers: &[(&str, &str)], marked: Vec<Marked>) -> Seen {
        let mut by_project: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (project, name) in containers {
            by_project
                .entry((*project).to_owned())
                .or_default()
                .insert((*name).to_owned());
        }
        Seen {
            containers: Some(by_project),
            marked,
            ..Seen::default()
        }
    }

    fn names(seen: &Seen, engine: Engine) -> Vec<String> {
        let orphans = seen.orphans(engine);
        orphans.iter().map(|marked| marked.thing.name()).collect()
    }

    #[test]
    fn only_what_nothing_running_has_is_an_orphan() {
        let shims = vec![link(Some("lab"), "shim-lab"), link(Some("old"), "shim-old")];
        let seen = seen(&[("lab", "lab-web-1")], shims);
        assert_eq!(names(&seen, Engine::Expected), ["shim-old"]);
        assert_eq!(seen.fate("lab"), Fate::Lives("lab-web-1".to_owned()));
    }

    #[test]
    fn what_a_killed_first_run_made_is_no_sign_of_life() {
        let mut seen = seen(&[("lab", "lab-web-1")], vec![link(Some("lab"), "shim-lab")]);
        seen.runs.push(RunSeen {
            project: "lab".to_owned(),
            here: true,
            holder: None,
            made: Some(BTreeSet::from(["lab-web-1".to_owned()])),
        });
        assert_eq!(names(&seen, Engine::Expected), ["shim-lab"]);
        seen.runs[0].holder = Some("`stack up` (process 7)".to_owned());
        assert_eq!(names(&seen, Engine::Expected), Vec::<String>::new());
        seen.runs[0].holder = None;
        seen.runs[0].here = false;
        assert_eq!(seen.fate("lab"), Fate::Elsewhere(None));
    }

    #[test]
    fn what_a_record_gives_to_another_engine_is_never_an_orphan() {
        let table = Marked {
            project: None,
            thing: Thing::Table {
                name: "stack-lab-office".to_owned(),
            },
        };
        let mut seen = seen(&[], vec![link(Some("lab"), "shim-lab"), table]);
        seen.elsewhere
            .insert("lab".to_owned(), "unix:///run/one.sock".to_owned());
        assert_eq!(names(&seen, Engine::Expected), Vec::<String>::new());
        seen.containers = None;
        assert_eq!(names(&seen, Engine::GivenUp), Vec::<String>::new());
        let told = seen.fate("lab").to_string();
        assert!(told.contains("stack -H unix:///run/one.sock"), "{told}");
    }

    #[test]
    fn a_project_without_containers_lives_by_its_record() {
        let mut seen = seen(&[], vec![link(Some("lab"), "shim-lab")]);
        seen.settled.insert("lab".to_owned());
        assert_eq!(seen.fate("lab"), Fate::Wanted);
        assert_eq!(names(&seen, Engine::Expected), Vec::<String>::new());
        // A `down` that was killed has taken the record away or left its journal.
        seen.runs.push(RunSeen {
            project: "lab".to_owned(),
            here: true,
            ..RunSeen::default()
        });
        assert_eq!(names(&seen, Engine::Expected), ["shim-lab"]);
        seen.runs.clear();
        seen.containers = None;
        assert_eq!(names(&seen, Engine::GivenUp), ["shim-lab"]);
    }

    #[test]
    fn an_unfinished_run_of_a_living_project_is_told() {
        let run = Marked {
            project: Some("lab".to_owned()),
            thing: Thing::Run {
                command: "down".to_owned(),
                since: "noon".to_owned(),
                journal: "/run/stack/lab@1.journal".to_owned(),
            },
        };
        let seen = seen(&[("lab", "lab-web-1")], vec![run.clone()]);
        assert_eq!(names(&seen, Engine::Expected), Vec::<String>::new());
        assert_eq!(seen.interrupted(), [run]);
    }

    #[test]
    fn a_network_that_others_use_keeps_its_project() {
        let mut seen = seen(&[("app", "app-web-1")], vec![link(Some("lab"), "shim-lab")]);
        seen.lent.insert("lab".to_owned(), "app-web-1".to_owned());
        assert_eq!(names(&seen, Engine::Expected), Vec::<String>::new());
    }

    #[test]
    fn without_an_engine_nothing_is_an_orphan_unless_it_is_given_up() {
        let mut seen = seen(&[], vec![link(Some("lab"), "shim-lab")]);
        seen.containers = None;
        assert_eq!(names(&seen, Engine::Expected), Vec::<String>::new());
        assert_eq!(names(&seen, Engine::GivenUp), ["shim-lab"]);
    }

    #[test]
    fn an_unmarked_link_belongs_to_the_project_whose_birth_name_it_has() {
        let name = format!("{}abcd123", birth_prefix("lab"));
        let table = Marked {
            project: None,
            thing: Thing::Table {
                name: "stack-lab-office".to_owned(),
            },
        };
        let marked = vec![link(None, &name), link(None, "stffffffabcd123"), table];
        let mut seen = seen(&[("lab", "lab-web-1")], marked);
        assert_eq!(names(&seen, Engine::Expected), ["stffffffabcd123"]);
        // While anybody works, an unmarked link may be about to be marked.
        seen.runs.push(RunSeen {
            project: "new".to_owned(),
            here: true,
            holder: Some("`stack up`".to_owned()),
            made: None,
        });
        assert_eq!(names(&seen, Engine::Expected), Vec::<String>::new());
    }
}
