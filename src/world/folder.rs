//! What happens to files in folders, as the kernel tells it (inotify): for those who wait for a socket, a lock or a
//! record, and must not look again and again.

use std::collections::BTreeMap;
use std::fs::File;
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

/// A folder that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watched(WatchDescriptor);

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
    pub fn add(&mut self, folder: &Path) -> io::Result<Watched> {
        let what = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        let watch = self.eye.get_ref().0.add_watch(folder, what)?;
        self.folders.insert(watch, folder.to_owned());
        Ok(Watched(watch))
    }

    /// Watches a folder that is open, where its path leads elsewhere from here. What happens in it is told by `name`.
    pub fn add_open(&mut self, folder: &File, name: &Path) -> io::Result<Watched> {
        let Watched(watch) =
            self.add(Path::new(&format!("/proc/self/fd/{}", folder.as_raw_fd())))?;
        self.folders.insert(watch, name.to_owned());
        Ok(Watched(watch))
    }

    /// Watches a folder no more.
    pub fn forget(&mut self, Watched(watch): Watched) {
        // The kernel may have forgotten it before, with the folder.
        let _ = self.eye.get_ref().0.rm_watch(watch);
        self.folders.remove(&watch);
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
    /// What has to come next into the folder that is watched: the file, or a folder on the way to it.
    next: String,
}

impl Arrival {
    /// The arrival of this file: its folder is watched, or where that is missing too, the nearest one that is there.
    pub fn of(file: &Path) -> io::Result<Arrival> {
        let mut folders = Folders::new()?;
        let (mut next, mut above) = (file, file.parent());
        loop {
            let folder = above.unwrap_or(Path::new("/"));
            match folders.add(folder) {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound && above.is_some() => {
                    (next, above) = (folder, folder.parent());
                }
                Err(error) => return Err(error),
            }
        }
        let next = next.file_name().unwrap_or_default();
        Ok(Arrival {
            folders,
            next: next.to_string_lossy().into_owned(),
        })
    }

    /// Returns when it has come, or something on the way to it, or its folder is another one.
    pub async fn stir(mut self) -> io::Result<()> {
        loop {
            let told = self.folders.next().await?;
            let about_it = |happening: &Happening| match &happening.name {
                Some(name) => *name == self.next,
                None => true,
            };
            if told.iter().any(about_it) {
                return Ok(());
            }
        }
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
        let mut stir = Box::pin(arrival.stir());
        std::fs::write(folder.path().join("other"), "").unwrap();
        assert!(futures_util::poll!(&mut stir).is_pending());
        std::fs::create_dir_all(&deep).unwrap();
        soon(stir).await;
    }
}
