//! Where texts come from: the disk, or memory in tests. The reader asks nothing else of the outside.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Reading files by absolute path.
pub trait Files {
    /// The bytes of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Whether there is a file (not a folder) at the path.
    fn is_file(&self, path: &Path) -> bool;

    /// The folder that a path really leads to, symbolic links followed.
    fn real(&self, path: &Path) -> PathBuf;
}

/// The files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

/// The largest file that is read. A stack file of ten thousand services has a few megabytes.
const LARGEST: u64 = 256 << 20;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // A pipe or a device has no length beforehand, so the limit is on what is read.
        let mut bytes = Vec::new();
        let file = if is_named_pipe(path) {
            open_pipe(path)?
        } else {
            std::fs::File::open(path)?
        };
        file.take(LARGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "the file is larger than 256 MiB",
            ));
        }
        Ok(bytes)
    }

    fn is_file(&self, path: &Path) -> bool {
        path.metadata().is_ok_and(|metadata| !metadata.is_dir())
    }

    fn real(&self, path: &Path) -> PathBuf {
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    }
}

/// The files of this machine for one command. A pipe or a device gives what it has only once, so what came of it is
/// kept: the same file may be asked for again, for another purpose.
#[derive(Debug, Default)]
pub struct Kept {
    read: Mutex<BTreeMap<PathBuf, Came>>,
}

/// What came of reading, to be given out again.
type Came = Result<Vec<u8>, (io::ErrorKind, String)>;

impl Files for Kept {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let gives_once = path
            .metadata()
            .is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir());
        if !gives_once {
            return Disk.read(path);
        }
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let came = read.entry(path.to_owned()).or_insert_with(|| {
            Disk.read(path)
                .map_err(|error| (error.kind(), error.to_string()))
        });
        came.clone()
            .map_err(|(kind, words)| io::Error::new(kind, words))
    }

    fn is_file(&self, path: &Path) -> bool {
        Disk.is_file(path)
    }

    fn real(&self, path: &Path) -> PathBuf {
        Disk.real(path)
    }
}

/// How long a named pipe is waited for, whose other end nobody has opened.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether it is a pipe in a folder; one that the process was given (`-f <(program)`) has its writer already.
fn is_named_pipe(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let given = ["/dev/fd", "/proc/self/fd", "/dev/stdin"];
    !given.iter().any(|given| path.starts_with(given))
        && path
            .metadata()
            .is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// A named pipe as soon as something was written into it. Opened in the usual way, one that nobody writes into is
/// waited for without end.
fn open_pipe(path: &Path) -> io::Result<std::fs::File> {
    use std::os::fd::AsFd;
    use std::os::unix::fs::OpenOptionsExt;

    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    let patience = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
    let mut watched = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
    let waited_out = poll(&mut watched, patience)? == 0;
    // With a writer at the other end, be it slow, a read would have to wait; without one it is at the end.
    if waited_out && matches!((&file).read(&mut [0]), Ok(0)) {
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "it is a pipe, and nobody writes into it",
        ));
    }
    fcntl(file.as_fd(), FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(file)
}

/// Files that are only in memory, by absolute path.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Memory {
    /// Files from pairs of path and text.
    pub fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Memory {
        Memory {
            files: files
                .into_iter()
                .map(|(path, text)| (path.into(), text.as_bytes().to_vec()))
                .collect(),
        }
    }
}

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file or directory");
        self.files.get(path).cloned().ok_or_else(missing)
    }

    fn is_file(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    fn real(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}
