//! Network namespaces: open one, run something inside one, make and remove named ones.
//!
//! A namespace is entered on a thread of its own and never on one of the async runtime's: a thread that changed its
//! namespace would take every task that comes by into it. A socket belongs for ever to the namespace in which it was
//! made, so whoever has a socket need not enter again. Names live where `ip netns` looks for them, so that
//! `ip netns exec NAME` works on ours.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statfs::fstatfs;

/// Where named namespaces are bound (`NETNS_RUN_DIR` of iproute2).
pub const NAMES: &str = "/run/netns";

// `NSFS_MAGIC` of include/uapi/linux/magic.h.
const NAMESPACE_FILES: libc::__fsword_t = 0x6e73_6673;

/// An open network namespace. It lives at least as long as this value.
#[derive(Debug, Clone)]
pub struct Namespace {
    file: Arc<File>,
}

impl PartialEq for Namespace {
    fn eq(&self, other: &Namespace) -> bool {
        match (self.identity(), other.identity()) {
            (Ok(one), Ok(two)) => one == two,
            (Ok(_), Err(_)) | (Err(_), Ok(_)) | (Err(_), Err(_)) => false,
        }
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Namespace {
    /// The namespace of the calling thread.
    pub fn current() -> io::Result<Namespace> {
        Namespace::at(Path::new("/proc/thread-self/ns/net"))
    }

    /// The namespace of a process. It changes when a container is restarted.
    pub fn of_process(pid: u32) -> io::Result<Namespace> {
        Namespace::at(Path::new(&format!("/proc/{pid}/ns/net")))
    }

    /// The namespace that is bound under this name.
    pub fn named(name: &str) -> io::Result<Namespace> {
        Namespace::at(&path_of(name)?)
    }

    /// The namespace behind this file. A file that is something else is refused.
    pub fn at(path: &Path) -> io::Result<Namespace> {
        let file = File::open(path)?;
        let system = fstatfs(&file)?;
        if system.filesystem_type().0 != NAMESPACE_FILES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{}` is not a namespace", path.display()),
            ));
        }
        Ok(Namespace {
            file: Arc::new(file),
        })
    }

    /// A new namespace without a name; it is gone with its last user.
    pub fn fresh() -> io::Result<Namespace> {
        let thread = std::thread::Builder::new().name("namespace".to_owned());
        join(thread.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Namespace::current()
        })?)?
    }

    /// What tells it from all others while it lives: device and inode of its file.
    pub fn identity(&self) -> io::Result<(u64, u64)> {
        let data = self.file.metadata()?;
        Ok((data.dev(), data.ino()))
    }

    /// Its file descriptor, for messages that name a namespace by it (`IFLA_NET_NS_FD`).
    pub fn raw(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Runs something inside, on a thread of its own, and waits for it. Blocks: use [`Namespace::enter`] in async code.
    pub fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let file = Arc::clone(&self.file);
        let thread = std::thread::Builder::new().name("namespace".to_owned());
        join(thread.spawn(move || {
            go(&file)?;
            act()
        })?)?
    }

    /// Runs something inside, on a thread of its own, without blocking the runtime. What was begun is finished even
    /// when the future is dropped.
    pub async fn enter<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (tell, told) = tokio::sync::oneshot::channel();
        let file = Arc::clone(&self.file);
        let thread = std::thread::Builder::new().name("namespace".to_owned());
        thread.spawn(move || {
            let outcome = go(&file).and_then(|()| act());
            // The receiver is gone when the caller was dropped; then nobody wants to know.
            let _ = tell.send(outcome);
        })?;
        told.await
            .map_err(|_| io::Error::other("a thread inside a namespace ended without an answer"))?
    }

    /// Binds it under a name. Something of that name is an error (`AlreadyExists`), unless it is the empty file that
    /// is left when a process dies between making the file and binding to it.
    pub fn bind(&self, name: &str) -> io::Result<()> {
        let path = path_of(name)?;
        std::fs::create_dir_all(NAMES)?;
        share_names()?;
        match File::options().write(true).create_new(true).open(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if Namespace::at(&path).is_ok() || std::fs::metadata(&path)?.len() > 0 {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        let from = format!("/proc/self/fd/{}", self.raw());
        // The kernel lets a namespace's file be bound although it is on no mount of ours (`ns_dentry_operations` in
        // `do_loopback`, fs/namespace.c).
        mount(
            Some(from.as_str()),
            &path,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )
        .inspect_err(|_| {
            let _ = std::fs::remove_file(&path);
        })?;
        Ok(())
    }
}

/// Makes the folder of names a shared mount, as iproute2 does before its first name. Else the first `ip netns add` on
/// this machine lays a copy of the folder over it, names and all, and a name that was there before could never be
/// taken away again: the one below is out of reach and keeps the file busy (EBUSY, seen on 6.x).
fn share_names() -> io::Result<()> {
    let none = None::<&str>;
    let share = || {
        mount(
            none,
            NAMES,
            none,
            MsFlags::MS_SHARED | MsFlags::MS_REC,
            none,
        )
    };
    match share() {
        // It is no mount yet.
        Err(Errno::EINVAL) => {}
        other => return Ok(other?),
    }
    mount(
        Some(NAMES),
        NAMES,
        none,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        none,
    )?;
    Ok(share()?)
}

/// The names of all named namespaces, and of empty files in their place, in order.
pub fn names() -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let entries = match std::fs::read_dir(NAMES) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
        Err(error) => return Err(error),
    };
    for entry in entries {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Takes a name away; the namespace goes with its last user, and its links with it. An absent name is success. A file
/// with something in it is not a namespace's name and stays.
pub fn unbind(name: &str) -> io::Result<()> {
    let path = path_of(name)?;
    loop {
        match umount2(&path, MntFlags::MNT_DETACH) {
            Ok(()) => {}
            Err(Errno::ENOENT) => return Ok(()),
            // Nothing is mounted there (any more).
            Err(Errno::EINVAL) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    if std::fs::metadata(&path).is_ok_and(|data| data.len() > 0 || !data.is_file()) {
        return Ok(());
    }
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The file of a name. A name is one path component of at most 255 bytes and has no leading dot.
fn path_of(name: &str) -> io::Result<PathBuf> {
    let good = !name.is_empty()
        && !name.starts_with('.')
        && !name.contains(['/', '\0'])
        && name.len() <= 255;
    if good {
        Ok(Path::new(NAMES).join(name))
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{name}` cannot be the name of a namespace"),
        ))
    }
}

/// Takes the calling thread into a namespace. One that is there already stays without asking: to enter even one's own
/// namespace needs a right (CAP_SYS_ADMIN) that those who only look do not have.
fn go(file: &File) -> io::Result<()> {
    let here = std::fs::metadata("/proc/thread-self/ns/net")?;
    let there = file.metadata()?;
    if (here.dev(), here.ino()) != (there.dev(), there.ino()) {
        setns(file, CloneFlags::CLONE_NEWNET)?;
    }
    Ok(())
}

fn join<T>(thread: std::thread::JoinHandle<T>) -> io::Result<T> {
    thread
        .join()
        .map_err(|_| io::Error::other("a thread inside a namespace panicked"))
}

#[cfg(test)]
mod tests {
    use super::{Namespace, names, unbind};

    fn links() -> std::io::Result<usize> {
        Ok(std::fs::read_to_string("/proc/thread-self/net/dev")?
            .lines()
            .count()
            - 2)
    }

    #[test]
    fn a_closure_runs_inside_and_the_caller_stays_outside() {
        let Ok(fresh) = Namespace::fresh() else {
            println!("skipped: no right to make a network namespace");
            return;
        };
        let outside = Namespace::current().unwrap();
        assert_ne!(fresh, outside);
        let inside = fresh.run(Namespace::current).unwrap();
        assert_eq!(inside, fresh);
        assert_eq!(fresh.run(links).unwrap(), 1);
        assert_eq!(Namespace::current().unwrap(), outside);
    }

    #[test]
    fn a_name_is_bound_once_and_unbound_as_often_as_asked() {
        let Ok(fresh) = Namespace::fresh() else {
            println!("skipped: no right to make a network namespace");
            return;
        };
        let name = format!("stack-test-{}-bind", std::process::id());
        if let Err(error) = fresh.bind(&name) {
            println!("skipped: no right to mount: {error}");
            return;
        }
        assert_eq!(Namespace::named(&name).unwrap(), fresh);
        assert!(names().unwrap().contains(&name));
        assert!(fresh.bind(&name).is_err());
        unbind(&name).unwrap();
        unbind(&name).unwrap();
        assert!(Namespace::named(&name).is_err());
        // What a process leaves that dies between the file and the mount is taken over.
        std::fs::write(format!("/run/netns/{name}"), "").unwrap();
        fresh.bind(&name).unwrap();
        unbind(&name).unwrap();
        assert!(!names().unwrap().contains(&name));
    }

    #[test]
    fn a_name_is_no_path() {
        for wrong in ["", "../x", "a/b", ".x", "a\0b"] {
            assert!(Namespace::named(wrong).is_err(), "{wrong:?}");
            assert!(unbind(wrong).is_err(), "{wrong:?}");
        }
    }
}
