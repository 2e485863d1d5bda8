//! What the doctor mends by itself: kernel settings, a link that is down, a file of our own in another program's folder.
//! What was before is written into a journal and synced before the act, so that all of it can be put back, after a
//! reboot too. What somebody changed after us is left as it is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkFlags;
use serde::{Deserialize, Serialize};

use crate::plan::machine::Remedy;
use crate::world::host::error::{broken, refused};
use crate::world::host::sysctl::{self, Setting};
use crate::world::host::{Host, message};
use crate::world::{ErrorKind, WorldError};

const VERSION: u32 = 1;
const FILE: &str = "doctor.jsonl";

/// One thing that was mended, and what was before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mended {
    version: u32,
    /// The boot in which it was done: settings and links forget with the machine, files do not.
    boot: String,
    /// The inode of the network namespace.
    namespace: u64,
    pub remedy: Remedy,
    /// The setting's value; for a file and a link nothing was.
    pub before: Option<String>,
}

/// The journal, in a folder that survives reboots.
#[derive(Debug, Clone)]
pub struct Mender {
    folder: PathBuf,
    boot: String,
}

impl Mender {
    /// The journal in this folder. Nothing is opened before it is needed.
    pub fn new(folder: &Path, boot: &str) -> Mender {
        Mender {
            folder: folder.to_owned(),
            boot: boot.to_owned(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// What was mended and not put back. A torn last line was never promised.
    pub fn entries(&self) -> io::Result<Vec<Mended>> {
        let text = match fs::read_to_string(self.path()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut entries = Vec::new();
        for (number, line) in whole.lines().enumerate() {
            let entry: Mended = serde_json::from_str(line).map_err(|error| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{FILE}, line {}: {error}", number + 1),
                )
            })?;
            if entry.version > VERSION {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{FILE}, line {}: a newer stack wrote it", number + 1),
                ));
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    /// Writes the whole journal anew: a new file, synced, renamed. It has a few lines at most.
    fn write(&self, entries: &[Mended]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        if entries.is_empty() {
            return match fs::remove_file(self.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            };
        }
        let fresh = self.folder.join(format!("{FILE}.new"));
        let mut file = File::create(&fresh)?;
        for entry in entries {
            let mut line = serde_json::to_string(entry)?;
            line.push('\n');
            file.write_all(line.as_bytes())?;
        }
        file.sync_all()?;
        fs::rename(&fresh, self.path())?;
        File::open(&self.folder)?.sync_all()
    }
}

impl Host {
    /// Does one of the safe things, after writing down what was before.
    pub async fn mend(&self, mender: &Mender, remedy: &Remedy) -> Result<(), WorldError> {
        let act = || format!("cannot do it: {remedy}");
        let before = self.now(remedy).await?;
        let done = match remedy {
            Remedy::Setting { value, .. } => before.as_ref() == Some(value),
            Remedy::LinkUp { .. } => before.is_some(),
            Remedy::File { text, .. } => before.as_ref() == Some(text),
        };
        if done {
            return Ok(());
        }
        if let (Remedy::File { path, .. }, Some(_)) = (remedy, &before) {
            return Err(WorldError::new(
                ErrorKind::Taken,
                act(),
                format!("`{path}` is there already"),
            ));
        }
        let noted = |error: io::Error| {
            broken(
                format!(
                    "{}: nothing was done, as the journal cannot be written",
                    act()
                ),
                &error,
            )
        };
        let mut entries = mender.entries().map_err(noted)?;
        let (_, namespace) = self.namespace.identity().map_err(noted)?;
        entries.push(Mended {
            version: VERSION,
            boot: mender.boot.clone(),
            namespace,
            remedy: remedy.clone(),
            before,
        });
        mender.write(&entries).map_err(noted)?;
        self.act_on(remedy).await
    }

    /// Puts back what was mended, the last first, and strikes it out. Tells what became of each.
    pub async fn put_back(&self, mender: &Mender) -> Result<Vec<(Mended, PutBack)>, WorldError> {
        let unread = |error: io::Error| broken("cannot read the doctor's journal", &error);
        let mut entries = mender.entries().map_err(unread)?;
        let (_, namespace) = self.namespace.identity().map_err(unread)?;
        let mut told = Vec::new();
        let mut kept = Vec::new();
        while let Some(entry) = entries.pop() {
            let file = matches!(entry.remedy, Remedy::File { .. });
            if !file && entry.boot != mender.boot {
                told.push((entry, PutBack::Forgotten));
            } else if !file && entry.namespace != namespace {
                // Another namespace's, which may still be there.
                kept.insert(0, entry);
                continue;
            } else {
                let became = self.undo(&entry).await?;
                told.push((entry, became));
            }
            let rest: Vec<Mended> = entries.iter().chain(&kept).cloned().collect();
            mender
                .write(&rest)
                .map_err(|error| broken("cannot write the doctor's journal", &error))?;
        }
        Ok(told)
    }

    /// How it is now: a setting's value, a file's text; for a link `up`, or nothing.
    async fn now(&self, remedy: &Remedy) -> Result<Option<String>, WorldError> {
        let act = || format!("cannot look at what is to be mended: {remedy}");
        match remedy {
            Remedy::Setting { path, .. } => {
                let values = sysctl::read(&self.namespace, vec![path.clone()])
                    .await
                    .map_err(|error| broken(act(), &error))?;
                Ok(values.into_iter().flatten().next())
            }
            Remedy::LinkUp { link } => {
                let links = self.links().await?;
                let found = links.iter().find(|fact| fact.name == *link);
                Ok(found.filter(|found| found.up).map(|_| "up".to_owned()))
            }
            Remedy::File { path, .. } => match fs::read_to_string(path) {
                Ok(text) => Ok(Some(text)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(broken(act(), &error)),
            },
        }
    }

    async fn act_on(&self, remedy: &Remedy) -> Result<(), WorldError> {
        let act = || format!("cannot do it: {remedy}");
        match remedy {
            Remedy::Setting { path, value } => self.set(path, value).await,
            Remedy::LinkUp { link } => self.flag(link, true).await,
            Remedy::File { path, text, .. } => {
                let mut options = OpenOptions::new();
                options.write(true).create_new(true).mode(0o644);
                let folder = Path::new(path).parent().unwrap_or(Path::new("/"));
                fs::create_dir_all(folder)
                    .and_then(|()| options.open(path))
                    .and_then(|mut file| {
                        file.write_all(text.as_bytes())?;
                        file.sync_all()
                    })
                    .map_err(|error| broken(act(), &error))
            }
        }
    }

    async fn undo(&self, entry: &Mended) -> Result<PutBack, WorldError> {
        let now = self.now(&entry.remedy).await?;
        match (&entry.remedy, &entry.before) {
            (Remedy::Setting { path, value }, Some(before)) => {
                if now.as_deref() != Some(value.as_str()) {
                    return Ok(PutBack::Changed);
                }
                self.set(path, before).await?;
            }
            (Remedy::LinkUp { link }, None) => {
                if now.is_none() {
                    return Ok(PutBack::Changed);
                }
                self.flag(link, false).await?;
            }
            (Remedy::File { path, text, .. }, None) => {
                if now.as_ref() != Some(text) {
                    return Ok(PutBack::Changed);
                }
                fs::remove_file(path)
                    .map_err(|error| broken(format!("cannot remove `{path}`"), &error))?;
            }
            // It was so before, and nothing was done.
            (Remedy::Setting { .. }, None)
            | (Remedy::LinkUp { .. } | Remedy::File { .. }, Some(_)) => {
                return Ok(PutBack::Changed);
            }
        }
        Ok(PutBack::Done)
    }

    async fn set(&self, path: &str, value: &str) -> Result<(), WorldError> {
        let setting = Setting {
            path: path.to_owned(),
            value: value.to_owned(),
        };
        sysctl::write(&self.namespace, vec![setting])
            .await
            .map_err(|error| broken(format!("cannot set `{path}`"), &error))
    }

    async fn flag(&self, name: &str, up: bool) -> Result<(), WorldError> {
        let act = || format!("cannot change whether `{name}` is up");
        let links = self.links().await?;
        let Some(link) = links.iter().find(|link| link.name == name) else {
            return Err(WorldError::new(ErrorKind::Missing, act(), "it is gone"));
        };
        let message = message::flag(link.index, LinkFlags::Up, up);
        self.socket
            .act(RouteNetlinkMessage::SetLink(message), 0)
            .await
            .map_err(|error| refused(act(), &error))
    }
}

/// What became of something that was to be put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutBack {
    Done,
    /// Somebody changed it since; it was left.
    Changed,
    /// The machine forgot it with a reboot.
    Forgotten,
}
