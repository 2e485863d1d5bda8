//! All runs that a folder of locks and journals tells of: those under way, by their lock, and those that were never
//! finished, by their journal. Reads only.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::apply::journal::{self, JournalError, Unfinished};
use crate::apply::lock::{self, Holder};

/// A project on an engine, with a run of it.
#[derive(Debug)]
pub struct Run {
    pub project: String,
    /// The engine's part of the files' names.
    pub engine: String,
    pub journal: PathBuf,
    /// The lock's file, where it is there.
    pub lock: Option<PathBuf>,
    /// Who works on it now; without one the lock's file is only a name that a killed run left.
    pub holder: Option<Holder>,
    /// What the journal tells, where there is one; while somebody works on it, it is theirs.
    pub unfinished: Option<Result<Unfinished, JournalError>>,
}

/// The runs in this folder, by project. A folder that is not there has none.
pub fn runs(folder: &Path, boot: &str) -> io::Result<Vec<Run>> {
    let mut found: BTreeMap<(String, String), ()> = BTreeMap::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let name = entry?.file_name();
        let Some((stem, ending)) = name.to_str().and_then(|name| name.rsplit_once('.')) else {
            continue;
        };
        if !matches!(ending, "lock" | "journal") {
            continue;
        }
        if let Some((project, engine)) = stem.split_once('@') {
            found.insert((project.to_owned(), engine.to_owned()), ());
        }
    }
    let mut runs = Vec::new();
    for (project, engine) in found.into_keys() {
        let file = |ending: &str| folder.join(format!("{project}@{engine}.{ending}"));
        let holder = lock::holder(&file("lock"))?;
        let journal = file("journal");
        let unfinished = journal::replay(&journal, boot).transpose();
        // A journal without a whole header and no lock tell of nothing.
        let lock = Some(file("lock")).filter(|path| path.exists());
        if lock.is_some() || unfinished.is_some() {
            runs.push(Run {
                project,
                engine,
                journal,
                lock,
                holder,
                unfinished,
            });
        }
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::runs;
    use crate::apply::journal::{Heading, Journal};
    use crate::apply::lock::{Holder, Lock, Patience};
    use crate::plan::step::Plan;

    #[tokio::test]
    async fn a_lock_tells_who_works_and_a_journal_what_was_not_finished() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert!(runs(&path("nowhere"), "b").unwrap().is_empty());
        let plan = Plan {
            project: "lab".parse().unwrap(),
            steps: Vec::new(),
            edges: Vec::new(),
        };
        let heading = Heading {
            command: "up".to_owned(),
            since: "noon".to_owned(),
            boot: "b".to_owned(),
        };
        Journal::begin(&path("lab@1.journal"), &heading, &plan).unwrap();
        std::fs::write(path("broken@1.journal"), "{}\n").unwrap();
        std::fs::write(path("torn@1.journal"), "{\"stack_jour").unwrap();
        std::fs::write(path("stale@1.lock"), "{}").unwrap();
        let holder = Holder {
            pid: 7,
            command: "up".to_owned(),
            since: "noon".to_owned(),
        };
        let lock = Lock::take(&path("busy@2.lock"), &holder, Patience::None, |_| ()).await;
        let lock = lock.unwrap();
        let found = runs(folder.path(), "b").unwrap();
        let names: Vec<&str> = found.iter().map(|run| run.project.as_str()).collect();
        assert_eq!(names, ["broken", "busy", "lab", "stale"]);
        assert!(found[3].lock.is_some() && found[3].holder.is_none());
        assert!(matches!(found[0].unfinished, Some(Err(_))));
        assert_eq!(found[1].holder, Some(holder));
        let lab = found[2].unfinished.as_ref().unwrap().as_ref().unwrap();
        assert_eq!(lab.heading, heading);
        drop(lock);
        assert_eq!(runs(folder.path(), "b").unwrap().len(), 3);
    }
}
