//! What a project wants of its host, kept while nobody runs: its lans, links, promiscuous flags, shims, routes and
//! doors, as the last `up` decided them. Links vanish at a reboot, and with them their marks; an address that was
//! chosen once must be the same afterwards. So this record outlives the machine's power, is written by `up`, removed by
//! `down`, and read by whoever keeps the host's side right or asks what belongs to whom.
//!
//! It says what should be, never what is: that is asked of the world. One file of JSON for each project and engine,
//! `PROJECT@ENGINE.wanted`, written to a new file, synced and renamed, so that it is whole or absent. While a run changes
//! it, it holds both ends; then nobody else acts on it, and the run, or the one that takes it back, settles it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::hash;
use crate::model::name::ProjectName;
use crate::plan::spec::Spec;

/// The version of the format; a newer one is refused.
const VERSION: u32 = 1;

/// How the files' names end.
pub const ENDING: &str = "wanted";

/// The record of one project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    pub project: ProjectName,
    /// Where its engine was reached, as a URL.
    pub engine: String,
    pub standing: Standing,
}

/// Whether what is wanted is certain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// This is wanted.
    Settled(Vec<Spec>),
    /// A run was on the way from one to the other and has not said how it ended. Where an earlier one had not either,
    /// it is not known from what.
    Changing {
        from: Option<Vec<Spec>>,
        to: Vec<Spec>,
    },
}

/// How a run ended that changed what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All of it is done.
    Done,
    /// All of it is taken back.
    TakenBack,
    /// Neither.
    Unclear,
}

/// Why a record could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum WantedError {
    #[error("cannot write `{path}`")]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read `{path}`")]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "`{path}` was written by a newer version of this program (format {found}, not {VERSION})"
    )]
    Version { path: PathBuf, found: u32 },
    #[error(
        "`{path}` is not what this program writes: remove it, then `stack up` writes it anew (or `stack down` takes the project away)"
    )]
    Corrupt {
        path: PathBuf,
        source: serde_json::Error,
    },
}

#[derive(Serialize)]
struct FileOut<'a> {
    stack_wanted: u32,
    #[serde(flatten)]
    wanted: &'a Wanted,
}

#[derive(Deserialize)]
struct VersionIn {
    stack_wanted: u32,
}

/// A file with a record.
#[derive(Debug)]
pub struct Record {
    pub path: PathBuf,
    /// What is in it, where it can be read.
    pub wanted: Result<Wanted, WantedError>,
}

/// The folder with the records.
#[derive(Debug, Clone)]
pub struct Records {
    folder: PathBuf,
}

impl Records {
    /// The records in this folder; it is made when the first one is written.
    pub fn new(folder: &Path) -> Records {
        Records {
            folder: folder.to_owned(),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of a project. Two engines may each have a project of this name.
    pub fn path(&self, project: &ProjectName, engine: &str) -> PathBuf {
        self.folder.join(file_name(project, engine, ENDING))
    }

    /// The record of a project; none where it wants nothing of its host.
    pub fn read(&self, project: &ProjectName, engine: &str) -> Result<Option<Wanted>, WantedError> {
        read(&self.path(project, engine))
    }

    /// All records, by file; those that cannot be read too.
    pub fn all(&self) -> Result<Vec<Record>, WantedError> {
        let failed = |source: io::Error| WantedError::Read {
            path: self.folder.clone(),
            source,
        };
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|ending| ending == ENDING) {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths
            .into_iter()
            // One that is not there any more went while we looked.
            .filter_map(|path| {
                let wanted = read(&path).transpose()?;
                Some(Record { path, wanted })
            })
            .collect())
    }

    /// A run is about to make this what is wanted. Where it is so already, nothing is written.
    pub fn begin(
        &self,
        project: &ProjectName,
        engine: &str,
        to: &[Spec],
    ) -> Result<(), WantedError> {
        let from = match self.read(project, engine)?.map(|wanted| wanted.standing) {
            None if to.is_empty() => return Ok(()),
            Some(Standing::Settled(now)) if now == to => return Ok(()),
            None => Some(Vec::new()),
            Some(Standing::Settled(now)) => Some(now),
            Some(Standing::Changing { .. }) => None,
        };
        let to = to.to_vec();
        self.write(project, engine, Standing::Changing { from, to })
    }

    /// The run that began has ended so.
    pub fn end(&self, project: &ProjectName, engine: &str, end: End) -> Result<(), WantedError> {
        let standing = self.read(project, engine)?.map(|wanted| wanted.standing);
        let Some(Standing::Changing { from, to }) = standing else {
            return Ok(());
        };
        match (end, from) {
            (End::Done, _) => self.settle(project, engine, to),
            (End::TakenBack, Some(from)) => self.settle(project, engine, from),
            (End::TakenBack, None) | (End::Unclear, _) => Ok(()),
        }
    }

    /// This is wanted from now on; nothing leaves no file.
    pub fn settle(
        &self,
        project: &ProjectName,
        engine: &str,
        specs: Vec<Spec>,
    ) -> Result<(), WantedError> {
        if specs.is_empty() {
            return self.remove(project, engine);
        }
        let now = self.read(project, engine)?.map(|wanted| wanted.standing);
        let standing = Standing::Settled(specs);
        if now.as_ref() == Some(&standing) {
            return Ok(());
        }
        self.write(project, engine, standing)
    }

    /// Nothing is wanted any more; an absent record is removed.
    pub fn remove(&self, project: &ProjectName, engine: &str) -> Result<(), WantedError> {
        let path = self.path(project, engine);
        let removed = match std::fs::remove_file(&path) {
            Ok(()) => File::open(&self.folder).and_then(|folder| folder.sync_all()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        removed.map_err(|source| WantedError::Write { path, source })
    }

    fn write(
        &self,
        project: &ProjectName,
        engine: &str,
        standing: Standing,
    ) -> Result<(), WantedError> {
        let path = self.path(project, engine);
        let wanted = Wanted {
            project: project.clone(),
            engine: engine.to_owned(),
            standing,
        };
        let fresh = path.with_extension("new");
        let written = self.put(&wanted, &fresh, &path).inspect_err(|_| {
            // What was half written (a full disk) helps nobody; the old record still stands.
            let _ = std::fs::remove_file(&fresh);
        });
        written.map_err(|source| WantedError::Write { path, source })
    }

    fn put(&self, wanted: &Wanted, fresh: &Path, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let mut text = serde_json::to_vec_pretty(&FileOut {
            stack_wanted: VERSION,
            wanted,
        })?;
        text.push(b'\n');
        let mut file = File::create(fresh)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(fresh, path)?;
        File::open(&self.folder)?.sync_all()
    }
}

impl Wanted {
    /// What is wanted, where that is certain.
    pub fn settled(&self) -> Option<&[Spec]> {
        match &self.standing {
            Standing::Settled(specs) => Some(specs),
            Standing::Changing { .. } => None,
        }
    }
}

/// The name of a file of a project's state: its lock, its journal, its record.
pub fn file_name(project: &ProjectName, engine: &str, ending: &str) -> String {
    let engine = hash::short_hex(engine.as_bytes(), 8);
    format!("{project}@{engine}.{ending}")
}

/// The record in a file; none where there is no such file.
pub fn read(path: &Path) -> Result<Option<Wanted>, WantedError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(WantedError::Read {
                path: path.to_owned(),
                source,
            });
        }
    };
    let corrupt = |source| WantedError::Corrupt {
        path: path.to_owned(),
        source,
    };
    let VersionIn { stack_wanted } = serde_json::from_slice(&text).map_err(corrupt)?;
    if stack_wanted > VERSION {
        return Err(WantedError::Version {
            path: path.to_owned(),
            found: stack_wanted,
        });
    }
    serde_json::from_slice(&text).map(Some).map_err(corrupt)
}

#[cfg(test)]
mod tests {
    use super::{End, Records, Standing};
    use crate::plan::spec::{PromiscuitySpec, Spec};

    fn flag(link: &str) -> Spec {
        Spec::Promiscuity(PromiscuitySpec {
            link: link.parse().unwrap(),
        })
    }

    const ENGINE: &str = "unix:///run/docker.sock";

    #[test]
    fn what_is_wanted_is_certain_only_when_its_run_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::new(&folder.path().join("stack"));
        let lab = "lab".parse().unwrap();
        let standing = || {
            let wanted = records.read(&lab, ENGINE).unwrap();
            wanted.map(|wanted| wanted.standing)
        };
        let (one, two) = (vec![flag("eth0")], vec![flag("eth1")]);
        records.begin(&lab, ENGINE, &[]).unwrap();
        assert_eq!(standing(), None);
        records.begin(&lab, ENGINE, &one).unwrap();
        let (from, to) = (Some(Vec::new()), one.clone());
        assert_eq!(standing(), Some(Standing::Changing { from, to }));
        records.end(&lab, ENGINE, End::TakenBack).unwrap();
        assert_eq!(standing(), None);
        records.begin(&lab, ENGINE, &one).unwrap();
        records.end(&lab, ENGINE, End::Done).unwrap();
        assert_eq!(standing(), Some(Standing::Settled(one.clone())));
        records.begin(&lab, ENGINE, &two).unwrap();
        records.end(&lab, ENGINE, End::TakenBack).unwrap();
        assert_eq!(standing(), Some(Standing::Settled(one)));
        // A run that dies, and one after it: nobody knows where the second one began.
        records.begin(&lab, ENGINE, &two).unwrap();
        records.begin(&lab, ENGINE, &[]).unwrap();
        let unclear = Some(Standing::Changing {
            from: None,
            to: Vec::new(),
        });
        for end in [End::Unclear, End::TakenBack] {
            records.end(&lab, ENGINE, end).unwrap();
            assert_eq!(standing(), unclear);
        }
        records.begin(&lab, ENGINE, &[]).unwrap();
        records.end(&lab, ENGINE, End::Done).unwrap();
        assert_eq!(standing(), None);
        let left = std::fs::read_dir(records.folder()).unwrap().count();
        assert_eq!(left, 0);
    }

    #[test]
    fn a_record_of_two_engines_is_two_and_a_strange_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::new(folder.path());
        let lab = "lab".parse().unwrap();
        records.settle(&lab, ENGINE, vec![flag("eth0")]).unwrap();
        records.settle(&lab, "tcp://x:1", vec![flag("b")]).unwrap();
        let strange = folder.path().join("x@0.wanted");
        std::fs::write(&strange, "{\"stack_wanted\": 9}").unwrap();
        std::fs::write(folder.path().join("lab@0.lock"), "").unwrap();
        let all = records.all().unwrap();
        assert_eq!(all.len(), 3);
        let told: Vec<String> = all
            .iter()
            .filter_map(|record| record.wanted.as_ref().err())
            .map(ToString::to_string)
            .collect();
        let path = strange.display();
        assert_eq!(
            told,
            [format!(
                "`{path}` was written by a newer version of this program (format 9, not 1)"
            )]
        );
        std::fs::write(&strange, "{\"stack_wanted\": 1").unwrap();
        assert!(super::read(&strange).is_err());
    }
}
