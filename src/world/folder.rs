//! What happens to files in folders, as the kernel tells it (inotify): for those who wait for a socket, a lock or a
//! record, and must not look again and again.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use tokio::io::unix::AsyncFd;

/// Something happened to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    pub folder: PathBuf,
    /// The file's name in the folder; none where it is the folder itself, or where the kernel lost count.
    pub name: Option<String>,
    /// Whether it is gone from the folder.
    pub gone: bool,
}

/// Folders that are watched. Dropping it ends that.
#[derive(Debug)]
pub struct Folders {
    eye: AsyncFd<Eye>,
    folders: BTreeMap<WatchDescriptor, PathBuf>,
}

#[derive(Debug)]
struct Eye(Inotify);

impl AsRawFd for Eye {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Folders {
    /// Nothing yet. Needs the async runtime around it.
    pub fn new() -> io::Result<Folders> {
        let eye = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        // SAFETY: the inotify owns its descriptor, gives out the same one every time, and is never taken out again.
        let eye = unsafe { AsyncFd::register(Eye(eye)) }?;
        Ok(Folders {
            eye,
            folders: BTreeMap::new(),
        })
    }

    /// Watches a folder: files that come, go, or are closed by one who could write.
    pub fn add(&mut self, folder: &Path) -> io::Result<()> {
        let what = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        let watch = self.eye.get_ref().0.add_watch(folder, what)?;
        self.folders.insert(watch, folder.to_owned());
        Ok(())
    }

    /// What happened; waits until something does.
    pub async fn next(&mut self) -> io::Result<Vec<Happening>> {
        loop {
            let mut ready = self.eye.readable().await?;
            match ready.get_inner().0.read_events() {
                Ok(events) => {
                    let told = events.into_iter().filter_map(|event| {
                        let lost = event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
                        let folder = match self.folders.get(&event.wd) {
                            Some(folder) => folder.clone(),
                            None if lost => PathBuf::new(),
                            None => return None,
                        };
                        let gone = AddWatchFlags::IN_DELETE
                            | AddWatchFlags::IN_MOVED_FROM
                            | AddWatchFlags::IN_DELETE_SELF;
                        Some(Happening {
                            folder,
                            name: event.name.and_then(|name| name.into_string().ok()),
                            gone: event.mask.intersects(gone),
                        })
                    });
                    return Ok(told.collect());
                }
                Err(Errno::EAGAIN) => ready.clear_ready(),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// Waits for a file that is not there yet, or will be made anew. What happens after [`Arrival::of`] is not missed.
#[derive(Debug)]
pub struct Arrival {
    folders: Folders,
}

impl Arrival {
    /// The arrival of this file: its folder is watched, or where that is missing too, the nearest one that is there.
    pub fn of(file: &Path) -> io::Result<Arrival> {
        let mut folders = Folders::new()?;
        let mut above = file.parent();
        loop {
            let folder = above.unwrap_or(Path::new("/"));
            match folders.add(folder) {
                Ok(()) => return Ok(Arrival { folders }),
                Err(error) if error.kind() == io::ErrorKind::NotFound && above.is_some() => {
                    above = folder.parent();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns when something has happened there.
    pub async fn stir(mut self) -> io::Result<()> {
        self.folders.next().await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Arrival, Folders};

    async fn soon<T>(act: impl Future<Output = std::io::Result<T>>) -> T {
        let within = tokio::time::timeout(Duration::from_secs(5), act).await;
        within.expect("it is told").unwrap()
    }

    #[tokio::test]
    async fn a_file_that_comes_and_goes_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut folders = Folders::new().unwrap();
        folders.add(folder.path()).unwrap();
        let path = folder.path().join("lab.lock");
        let file = std::fs::File::create(&path).unwrap();
        let told = soon(folders.next()).await;
        assert_eq!(told[0].name.as_deref(), Some("lab.lock"));
        assert!(!told[0].gone);
        // One who dies closes what it had open.
        drop(file);
        assert_eq!(soon(folders.next()).await.len(), 1);
        std::fs::remove_file(&path).unwrap();
        assert!(soon(folders.next()).await[0].gone);
    }

    #[tokio::test]
    async fn a_file_is_waited_for_in_a_folder_that_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("run/docker");
        let arrival = Arrival::of(&deep.join("docker.sock")).unwrap();
        std::fs::create_dir_all(&deep).unwrap();
        soon(arrival.stir()).await;
    }
}
