//! What we changed on the host that cannot carry a mark (a flag of somebody's link, a route whose container only we
//! know): written down, synced, before it is done. Not the journal of a run: this one is about the host, outlives
//! runs, and is shared by all projects.
//!
//! One file of JSON lines, each with its version; the last line of a resource counts, and one without a note says
//! that the resource is gone. A torn last line is what a dying process leaves: it was never promised and is dropped.
//! Appending is guarded by a lock on the folder; rewriting goes by a new file and a rename.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::model::name::{LinkName, ProjectName};
use crate::plan::spec::{ResourceId, RouteSpec};

const VERSION: u32 = 1;
const FILE: &str = "host.jsonl";
// Beyond this many dead lines the file is written anew.
const DEAD_LINES: usize = 64;

/// One resource's entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    version: u32,
    /// The inode of the network namespace that it is about.
    pub namespace: u64,
    pub project: ProjectName,
    pub id: ResourceId,
    /// None says that it is gone.
    pub note: Option<Note>,
}

/// What there is to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// We want the promiscuous flag of this link.
    Promiscuity {
        link: LinkName,
        /// The link's index: another link that came later under its name is not the one.
        index: u32,
        /// Whether the flag was set before the first of us came; then it stays.
        was_set: bool,
    },
    /// Routes of ours through a shim to one container.
    Route {
        spec: RouteSpec,
        destinations: Vec<IpNet>,
    },
    /// Settings of links that are not ours (paths below `/proc/sys/net`), and what they were.
    Settings { before: Vec<(String, String)> },
}

/// The ledger of one namespace.
#[derive(Debug, Clone)]
pub struct Ledger {
    folder: PathBuf,
    namespace: u64,
}

impl Ledger {
    /// The ledger in this folder, for the namespace with this inode. Nothing is opened before it is needed.
    pub fn new(folder: &Path, namespace: u64) -> Ledger {
        Ledger {
            folder: folder.to_owned(),
            namespace,
        }
    }

    /// The living entries of this namespace, in the order of their making.
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        Ok(Ledger::all(&self.folder)?
            .into_iter()
            .filter(|entry| entry.namespace == self.namespace)
            .collect())
    }

    /// The living entries of all namespaces in this folder's ledger.
    pub fn all(folder: &Path) -> io::Result<Vec<Entry>> {
        let mut text = String::new();
        match File::open(folder.join(FILE)) {
            Ok(mut file) => file.read_to_string(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        Ok(living(read(&text, &folder.join(FILE))?))
    }

    /// Writes an entry down; when this returns it survives a crash of the machine as far as the disk does.
    pub fn put(&self, project: &ProjectName, id: &ResourceId, note: Note) -> io::Result<()> {
        self.write(project, id, Some(note))
    }

    /// Strikes an entry out; an absent one is struck out.
    pub fn strike(&self, project: &ProjectName, id: &ResourceId) -> io::Result<()> {
        let there = self
            .entries()?
            .iter()
            .any(|entry| entry.project == *project && entry.id == *id);
        if there {
            self.write(project, id, None)
        } else {
            Ok(())
        }
    }

    fn write(&self, project: &ProjectName, id: &ResourceId, note: Option<Note>) -> io::Result<()> {
        let entry = Entry {
            version: VERSION,
            namespace: self.namespace,
            project: project.clone(),
            id: id.clone(),
            note,
        };
        std::fs::create_dir_all(&self.folder)?;
        let folder = File::open(&self.folder)?;
        let folder = Flock::lock(folder, FlockArg::LockExclusive)
            .map_err(|(_, errno)| io::Error::from(errno))?;
        let path = self.folder.join(FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // A torn last line is cut off, or the next one would be torn with it.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut entries = read(&text, &path)?;
        entries.push(entry.clone());
        let lines = entries.len();
        let alive = living(entries);
        if alive.is_empty() {
            std::fs::remove_file(&path)?;
        } else if lines - alive.len() > DEAD_LINES {
            let fresh = self.folder.join(format!("{FILE}.new"));
            let mut file = File::create(&fresh)?;
            for entry in &alive {
                file.write_all(line(entry)?.as_bytes())?;
            }
            file.sync_all()?;
            std::fs::rename(&fresh, &path)?;
        } else {
            let end = u64::try_from(whole).map_err(io::Error::other)?;
            file.set_len(end)?;
            file.seek(SeekFrom::Start(end))?;
            let appended = file
                .write_all(line(&entry)?.as_bytes())
                .and_then(|()| file.sync_all());
            if let Err(error) = appended {
                // A full disk: what was half written goes, so that the ledger stays as it was.
                let _ = file.set_len(end);
                return Err(error);
            }
        }
        folder.sync_all()
    }
}

fn line(entry: &Entry) -> io::Result<String> {
    let mut line = serde_json::to_string(entry)?;
    line.push('\n');
    Ok(line)
}

/// The entries of a file: whole lines only. A whole line that is no entry is an error, and so is one of a version to
/// come: whoever wrote it knows more than we do.
fn read(text: &str, path: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let Some(line) = line.strip_suffix('\n') else {
            break;
        };
        let wrong = |what: String| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{}, line {}: {what}", path.display(), number + 1),
            )
        };
        let spoiled = |error: serde_json::Error| {
            wrong(format!(
                "it is not what this program writes ({error}); take that line away (`sed -i {}d '{}'`), and what it told of is not put back",
                number + 1,
                path.display()
            ))
        };
        let value: serde_json::Value = serde_json::from_str(line).map_err(spoiled)?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version > u64::from(VERSION) => {
                return Err(wrong(format!(
                    "it has version {version}, which a newer stack wrote"
                )));
            }
            Some(_) | None => {}
        }
        entries.push(serde_json::from_value(value).map_err(spoiled)?);
    }
    Ok(entries)
}

/// The last entry of each resource, without those that are gone.
fn living(entries: Vec<Entry>) -> Vec<Entry> {
    let mut alive: Vec<Entry> = Vec::new();
    for entry in entries {
        let same = |other: &Entry| {
            other.namespace == entry.namespace
                && other.project == entry.project
                && other.id == entry.id
        };
        match (alive.iter().position(same), entry.note.is_some()) {
            (Some(at), true) => alive[at] = entry,
            (Some(at), false) => {
                alive.remove(at);
            }
            (None, true) => alive.push(entry),
            (None, false) => {}
        }
    }
    alive
}

#[cfg(test)]
mod tests {
    use super::{FILE, Ledger, Note};
    use crate::plan::spec::{Kind, ResourceId};

    fn note(was_set: bool) -> Note {
        Note::Promiscuity {
            link: "eth0".parse().unwrap(),
            index: 2,
            was_set,
        }
    }

    #[test]
    fn the_last_word_about_a_resource_counts_and_an_empty_ledger_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(folder.path(), 7);
        let (lab, id) = (
            "lab".parse().unwrap(),
            ResourceId::new(Kind::Promiscuity, "eth0"),
        );
        assert!(ledger.entries().unwrap().is_empty());
        ledger.strike(&lab, &id).unwrap();
        ledger.put(&lab, &id, note(true)).unwrap();
        ledger.put(&lab, &id, note(false)).unwrap();
        let entries = ledger.entries().unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].note, Some(note(false)));
        assert!(Ledger::new(folder.path(), 8).entries().unwrap().is_empty());
        for _ in 0..200 {
            ledger.put(&lab, &id, note(true)).unwrap();
        }
        let text = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert!(text.lines().count() < 70);
        ledger.strike(&lab, &id).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_torn_last_line_is_dropped_and_a_broken_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(folder.path(), 7);
        let (lab, id) = (
            "lab".parse().unwrap(),
            ResourceId::new(Kind::Promiscuity, "eth0"),
        );
        ledger.put(&lab, &id, note(true)).unwrap();
        let path = folder.path().join(FILE);
        let whole = std::fs::read_to_string(&path).unwrap();
        for cut in 1..whole.len() {
            std::fs::write(&path, format!("{whole}{}", &whole[..cut])).unwrap();
            let living = ledger.entries().unwrap();
            assert_eq!(living.len(), 1, "cut at {cut}");
        }
        let other = ResourceId::new(Kind::Promiscuity, "eth1");
        ledger.put(&lab, &other, note(true)).unwrap();
        assert_eq!(ledger.entries().unwrap().len(), 2);
        std::fs::write(&path, format!("{whole}garbage\n")).unwrap();
        let told = ledger.entries().unwrap_err().to_string();
        let remedy = format!("`sed -i 2d '{}'`", path.display());
        assert!(told.contains("line 2") && told.contains(&remedy), "{told}");
        std::fs::write(&path, "{\"version\":1}\n").unwrap();
        assert!(ledger.entries().is_err());
        std::fs::write(&path, whole.replace("\"version\":1", "\"version\":9")).unwrap();
        let told = ledger.entries().unwrap_err().to_string();
        assert_eq!(
            told,
            format!(
                "{}, line 1: it has version 9, which a newer stack wrote",
                path.display()
            )
        );
    }
}
