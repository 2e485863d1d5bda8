//! One run at a time for a project: an advisory lock (`flock(2)`) on a file that says who holds it. The kernel lets
//! go of it when the process dies, however it dies, so a lock is never stale. It guards against other runs of this
//! program on this machine, not against other tools.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    /// The command, such as `up`.
    pub command: String,
    /// When it began, as text.
    pub since: String,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run has it; who, where its file could be read in that moment.
    #[error("another run works on this project{}", who(.0.as_ref()))]
    Held(Option<Holder>),
    #[error("cannot lock `{path}`")]
    File { path: PathBuf, source: io::Error },
}

fn who(holder: Option<&Holder>) -> String {
    holder.map_or_else(String::new, |holder| {
        let Holder {
            pid,
            command,
            since,
        } = holder;
        format!(": `{command}` (process {pid}, since {since})")
    })
}

/// What to do about a lock that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Say who holds it.
    None,
    /// Wait for it.
    Endless,
}

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    // Kept for the lock on it.
    _file: Flock<File>,
}

impl Lock {
    /// Takes the lock at this path, making the file where it is missing. `waiting` is told once who is waited for.
    pub async fn take(
        path: &Path,
        holder: &Holder,
        patience: Patience,
        waiting: impl FnOnce(Option<&Holder>),
    ) -> Result<Lock, LockError> {
        let failed = |source: io::Error| LockError::File {
            path: path.to_owned(),
            source,
        };
        let mut waiting = Some(waiting);
        loop {
            let file = match attempt(path).map_err(failed)? {
                Attempt::Have(file) => file,
                Attempt::Held(_, by) if patience == Patience::None => {
                    return Err(LockError::Held(by));
                }
                Attempt::Held(file, by) => {
                    if let Some(waiting) = waiting.take() {
                        waiting(by.as_ref());
                    }
                    released(file).await.map_err(failed)?
                }
            };
            if !is_named(&file, path).map_err(failed)? {
                continue;
            }
            return Lock::sign(file, path, holder).map_err(failed);
        }
    }

    /// Writes into the locked file who holds it.
    fn sign(mut file: Flock<File>, path: &Path, holder: &Holder) -> io::Result<Lock> {
        let text = serde_json::to_vec(holder)?;
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&text)?;
        Ok(Lock {
            path: path.to_owned(),
            _file: file,
        })
    }
}

/// What came of trying to lock a file.
enum Attempt {
    Have(Flock<File>),
    /// Others have it: the open file, and who.
    Held(File, Option<Holder>),
}

fn attempt(path: &Path) -> io::Result<Attempt> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.open(path)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(file) => Ok(Attempt::Have(file)),
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut text = String::new();
            // A holder that cannot be read is one that has just come or is just going.
            let _ = file.read_to_string(&mut text);
            Ok(Attempt::Held(file, serde_json::from_str(&text).ok()))
        }
        Err((_, errno)) => Err(errno.into()),
    }
}

/// Waits in `flock` itself, which the kernel ends when the lock is free: no event of the file would do, as those of a
/// dying holder come before its locks go (`__fput`, fs/file_table.c). Nobody can call such a thread back, so it is not
/// one that the runtime waits for; when it has the lock and nobody wants it any more, it lets go.
async fn released(file: File) -> io::Result<Flock<File>> {
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("lock".to_owned())
        .spawn(move || {
            let mut file = file;
            let locked = loop {
                match Flock::lock(file, FlockArg::LockExclusive) {
                    Ok(locked) => break Ok(locked),
                    Err((again, Errno::EINTR)) => file = again,
                    Err((_, errno)) => break Err(io::Error::from(errno)),
                }
            };
            let _ = tell.send(locked);
        })?;
    told.await
        .unwrap_or_else(|_| Err(io::Error::other("the thread that waited is gone")))
}

/// Whether a locked file is the one with the lock's name. The holder before us removed it, maybe between our opening
/// and locking it: then we have locked a file without a name, and somebody else may lock the one that has it.
fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether somebody holds the lock at this path. The file is only read, so that one who watches its folder does not
/// take the look for a release.
pub fn is_held(path: &Path) -> bool {
    holder(path).is_ok_and(|holder| holder.is_some())
}

/// Who holds the lock at this path now; none where nobody does. A holder that has just come is told without its name.
pub fn holder(path: &Path) -> io::Result<Option<Holder>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_) => Ok(None),
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut text = String::new();
            let _ = file.read_to_string(&mut text);
            Ok(Some(serde_json::from_str(&text).unwrap_or(Holder {
                pid: 0,
                command: "?".to_owned(),
                since: "now".to_owned(),
            })))
        }
        Err((_, errno)) => Err(errno.into()),
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is still locked, so that nobody's file but ours is removed. If it stays, it is only an empty name.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Holder, Lock, Patience, is_held};

    fn holder(command: &str) -> Holder {
        Holder {
            pid: 7,
            command: command.into(),
            since: "noon".into(),
        }
    }

    #[tokio::test]
    async fn a_second_run_is_told_who_holds_the_lock_and_nothing_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lab.lock");
        let lock = Lock::take(&path, &holder("up"), Patience::None, |_| ()).await;
        let lock = lock.unwrap();
        assert!(is_held(&path));
        let error = Lock::take(&path, &holder("down"), Patience::None, |_| ()).await;
        assert_eq!(
            error.unwrap_err().to_string(),
            "another run works on this project: `up` (process 7, since noon)"
        );
        drop(lock);
        assert!(!is_held(&path) && !path.exists());
    }

    #[tokio::test]
    async fn many_runs_have_the_lock_one_after_the_other() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lab.lock");
        let inside = AtomicUsize::new(0);
        let runs = (0..12).map(|_| async {
            let lock = Lock::take(&path, &holder("up"), Patience::Endless, |_| ()).await;
            let lock = lock.unwrap();
            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
            tokio::time::sleep(Duration::from_millis(2)).await;
            inside.fetch_sub(1, Ordering::SeqCst);
            drop(lock);
        });
        futures_util::future::join_all(runs).await;
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn one_who_waits_no_more_leaves_the_lock_to_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lab.lock");
        let take = |command: &str, patience| {
            let (holder, path) = (holder(command), path.clone());
            async move { Lock::take(&path, &holder, patience, |_| ()).await }
        };
        let lock = take("up", Patience::None).await.unwrap();
        let mut waits = Box::pin(take("down", Patience::Endless));
        assert!(futures_util::poll!(&mut waits).is_pending());
        drop(waits);
        drop(lock);
        let lock = take("agent", Patience::Endless).await.unwrap();
        assert!(is_held(&path));
        drop(lock);
        assert!(!path.exists());
    }
}
