//! Private engines: a `dockerd` from this machine in a network and a mount namespace of its own, so that labs and tests
//! never touch the machine's network. Such an engine is a small host: its bridges, rules, routes, sysctls and `/run`
//! are its own; one folder holds the rest, and one branch of the cgroup tree its containers.
//!
//! Two processes make an engine: the *keeper*, which only holds the namespaces, and the daemon, which may die and come
//! back. Nothing is found by name alone: a process is ours when it lives in the recorded mount namespace and its
//! environment names the engine's folder, or when it is in the engine's cgroup branch. This module blocks; it is used
//! before the runtime starts.

pub mod ask;
pub mod child;
pub mod process;
pub mod stop;

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sched::{CloneFlags, setns};
use serde::{Deserialize, Serialize};

use crate::model::hash;
use crate::world::private::process::Process;
use crate::world::{ErrorKind, WorldError};

/// The variable in the environment of every process of an engine: its value is the engine's folder.
pub const FOLDER_VARIABLE: &str = "STACK_ENGINE_FOLDER";

/// The lock in the engines' folder: one engine starts or stops at a time.
const LOCK: &str = ".lock";

/// How long a daemon may take until it answers. It takes half a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The name of a private engine: 1 to 20 lower-case letters, digits and dashes, the first one no dash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EngineName(String);

impl EngineName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EngineName {
    type Err = String;

    fn from_str(text: &str) -> Result<EngineName, String> {
        let plain = text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if text.is_empty() || text.len() > 20 || text.starts_with('-') || !plain {
            return Err(format!(
                "`{text}` is not an engine's name: 1 to 20 lower-case letters, digits and dashes, the first one no dash"
            ));
        }
        Ok(EngineName(text.to_owned()))
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of an engine that was started: written before the daemon runs, so that `stop` finds all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// `/proc/sys/kernel/random/boot_id` at the start: after a reboot no process of the record is ours.
    pub boot: String,
    pub keeper: Process,
    /// The inode of the keeper's mount namespace.
    pub mount_namespace: u64,
    /// Folders searched for `dockerd` and its tools before those of `PATH`.
    pub programs: Vec<PathBuf>,
    /// More arguments for `dockerd`.
    pub arguments: Vec<String>,
}

/// One private engine's place on disk.
#[derive(Debug, Clone)]
pub struct Engine {
    pub name: EngineName,
    /// Absolute; everything of the engine is below it.
    pub folder: PathBuf,
}

/// What a start came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// Everything is new.
    New,
    /// The namespaces and the data were there; the daemon had died.
    Again,
    /// It ran already.
    Already,
}

/// What an engine is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The daemon answers.
    Running,
    /// The namespaces are there, the daemon is not.
    Dead,
    /// Only the folder is left: the machine or the keeper has gone.
    Gone,
}

impl Engine {
    /// The engine of this name below `engines` (it need not exist).
    pub fn named(engines: &Path, name: EngineName) -> Engine {
        Engine {
            folder: engines.join(name.as_str()),
            name,
        }
    }

    /// All engines that have a folder, by name.
    pub fn all(engines: &Path) -> Vec<Engine> {
        let mut found: Vec<Engine> = fs::read_dir(engines)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .map(|name| Engine::named(engines, name))
            .collect();
        found.sort_by(|one, two| one.name.cmp(&two.name));
        found
    }

    /// The engine whose socket this is, if it is one of those below `engines`.
    pub fn of_socket(engines: &Path, socket: &Path) -> Option<Engine> {
        Engine::all(engines)
            .into_iter()
            .find(|engine| engine.socket() == socket)
    }

    /// Where the daemon listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    /// What to put into `DOCKER_HOST`.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The name of its branch in each cgroup hierarchy; it tells engines of the same name in other folders apart.
    pub fn cgroup(&self) -> String {
        let place = self.folder.as_os_str().as_encoded_bytes();
        format!("stack-{}-{}", self.name, hash::short_hex(place, 6))
    }

    /// The record of its start; none before the first and after a start that was cut off very early.
    pub fn record(&self) -> Option<Record> {
        serde_json::from_slice(&fs::read(self.folder.join("record.json")).ok()?).ok()
    }

    /// The keeper of this engine, if it lives.
    pub fn keeper(&self) -> Option<Process> {
        let record = self.record()?;
        (record.boot == process::boot_id() && record.keeper.lives()).then_some(record.keeper)
    }

    /// What it is now.
    pub fn condition(&self) -> Condition {
        if self.keeper().is_none() {
            return Condition::Gone;
        }
        match ask::get(&self.socket(), "/_ping", Duration::from_secs(5)) {
            Ok(answer) if answer.status == 200 => Condition::Running,
            Ok(_) | Err(_) => Condition::Dead,
        }
    }

    /// Starts it, or only its daemon if that has died; returns when the daemon answers. A start that fails leaves what
    /// was there before.
    pub fn start(
        &self,
        programs: Vec<PathBuf>,
        arguments: Vec<String>,
    ) -> Result<Started, WorldError> {
        let _lock = self.lock()?;
        let started = match self.condition() {
            Condition::Running => return Ok(Started::Already),
            Condition::Dead => Started::Again,
            Condition::Gone => {
                self.stop_locked()?;
                Started::New
            }
        };
        let done = match started {
            Started::New => self.start_keeper(programs, arguments),
            Started::Again | Started::Already => Ok(()),
        }
        .and_then(|()| self.start_daemon());
        if done.is_err() && started == Started::New {
            self.stop_locked()?;
        }
        done.map(|()| started)
    }

    /// Removes its containers, its processes, its namespaces, its cgroups and its folder. Stopping an engine that is
    /// not there is success.
    pub fn stop(&self) -> Result<(), WorldError> {
        if !self.folder.exists() {
            return Ok(());
        }
        let lock = self.lock()?;
        self.stop_locked()?;
        self.leave(lock)
    }

    /// The last engine's folder of engines goes with it. Whoever waits for its lock sees that it is another one then.
    fn leave(&self, lock: Flock<fs::File>) -> Result<(), WorldError> {
        let engines = self.folder.parent().unwrap_or(Path::new("/"));
        let read = fs::read_dir(engines);
        let mut entries = self.do_io("read the engines' folder", read)?;
        if entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == LOCK)) {
            let removed = fs::remove_file(engines.join(LOCK));
            self.do_io("remove the lock of the engines' folder", removed)?;
            // Somebody may be making a new one.
            let _ = fs::remove_dir(engines);
        }
        drop(lock);
        Ok(())
    }

    /// Takes this process into the engine's network and mount namespaces, so that "the host" is the engine's. Works
    /// before any thread is started (setns(2)); the working directory is kept.
    pub fn enter(&self) -> Result<(), WorldError> {
        let act = || format!("cannot enter private engine `{}`", self.name);
        let forbidden = |error: &dyn fmt::Display| {
            WorldError::new(ErrorKind::Forbidden, act(), error)
                .hint("a private engine is used by root")
        };
        let keeper = self.keeper().ok_or_else(|| {
            WorldError::new(ErrorKind::Missing, act(), "it does not run")
                .hint(format!("stack engine start {}", self.name))
        })?;
        let here = std::env::current_dir().map_err(|error| forbidden(&error))?;
        let open = |kind: &str| fs::File::open(format!("/proc/{}/ns/{kind}", keeper.pid));
        let network = open("net").map_err(|error| forbidden(&error))?;
        let mounts = open("mnt").map_err(|error| forbidden(&error))?;
        setns(network, CloneFlags::CLONE_NEWNET).map_err(|error| forbidden(&error))?;
        setns(mounts, CloneFlags::CLONE_NEWNS).map_err(|error| forbidden(&error))?;
        std::env::set_current_dir(&here).map_err(|error| forbidden(&error))
    }

    /// Whether this process is in the engine's namespaces already.
    pub fn is_entered(&self) -> bool {
        let own = Process::of(std::process::id());
        let (Some(own), Some(keeper)) = (own, self.keeper()) else {
            return false;
        };
        let same = |kind: &str| {
            own.namespace(kind).is_some() && own.namespace(kind) == keeper.namespace(kind)
        };
        same("net") && same("mnt")
    }

    fn start_keeper(
        &self,
        programs: Vec<PathBuf>,
        arguments: Vec<String>,
    ) -> Result<(), WorldError> {
        self.do_io(
            "make the folder",
            fs::create_dir_all(self.folder.join("data")),
        )?;
        self.do_io(
            "make the folder",
            fs::create_dir_all(self.folder.join("exec")),
        )?;
        let mut keeper = self.spawn("keep")?;
        let mut said = String::new();
        if let Some(output) = keeper.stdout.take() {
            self.do_io(
                "hear from the keeper",
                BufReader::new(output).read_line(&mut said),
            )?;
        }
        if said != "ready\n" {
            return Err(self.error("make its namespaces", self.log_end()));
        }
        let identity = Process::of(keeper.id())
            .ok_or_else(|| self.error("make its namespaces", self.log_end()))?;
        let record = Record {
            boot: process::boot_id(),
            mount_namespace: identity.namespace("mnt").unwrap_or_default(),
            keeper: identity,
            programs,
            arguments,
        };
        let text = serde_json::to_vec_pretty(&record).expect("a record is plain data");
        let fresh = self.folder.join("record.json.new");
        self.do_io("write its record", fs::write(&fresh, text))?;
        self.do_io(
            "write its record",
            fs::rename(&fresh, self.folder.join("record.json")),
        )
    }

    fn start_daemon(&self) -> Result<(), WorldError> {
        // What a daemon that was killed has left would make the new one think that it runs already.
        for stale in [
            "docker.sock",
            "docker.pid",
            "exec/containerd/containerd.pid",
        ] {
            match fs::remove_file(self.folder.join(stale)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(self.error("remove what its last daemon left", error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        let mut daemon = self.spawn("daemon")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match ask::get(&self.socket(), "/_ping", Duration::from_secs(5)) {
                Ok(answer) if answer.status == 200 => return Ok(()),
                Ok(_) | Err(_) => {}
            }
            if let Ok(Some(status)) = daemon.try_wait() {
                let said = format!("dockerd ended ({status}): {}", self.log_end());
                return Err(self.error("start its daemon", said));
            }
            if Instant::now() > deadline {
                let said = format!(
                    "no answer after {} s: {}",
                    PATIENCE.as_secs(),
                    self.log_end()
                );
                return Err(self.error("start its daemon", said));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// This very program once more, as one of the engine's two processes, with its log and its mark.
    fn spawn(&self, role: &str) -> Result<std::process::Child, WorldError> {
        let program = self.do_io("find this program", std::env::current_exe())?;
        let log = self.do_io(
            "open its log",
            fs::File::options()
                .create(true)
                .append(true)
                .open(self.folder.join("log")),
        )?;
        let child = Command::new(program)
            .args(["engine", "child", role, self.name.as_str()])
            .env(FOLDER_VARIABLE, &self.folder)
            .env_remove("DOCKER_HOST")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .current_dir("/")
            .spawn();
        self.do_io("start a process", child)
    }

    fn lock(&self) -> Result<Flock<fs::File>, WorldError> {
        let engines = self.folder.parent().unwrap_or(Path::new("/"));
        let path = engines.join(LOCK);
        loop {
            let made = fs::create_dir_all(engines).and_then(|()| {
                fs::File::options()
                    .create(true)
                    .truncate(false)
                    .write(true)
                    .open(&path)
            });
            let file = match made {
                // The folder went between the two.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                made => self.do_io("open the lock of the engines' folder", made)?,
            };
            let lock = Flock::lock(file, FlockArg::LockExclusive)
                .map_err(|(_, error)| self.error("lock the engines' folder", error))?;
            let own = lock.metadata();
            let own = self.do_io("look at the lock of the engines' folder", own)?;
            let is_the_one = fs::metadata(&path)
                .is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino()));
            if is_the_one {
                return Ok(lock);
            }
        }
    }

    fn log_end(&self) -> String {
        let text = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(5);
        lines.get(from..).unwrap_or_default().join("\n")
    }

    fn do_io<T>(&self, what: &str, result: std::io::Result<T>) -> Result<T, WorldError> {
        result.map_err(|error| self.error(what, error))
    }

    fn error(&self, what: &str, said: impl fmt::Display) -> WorldError {
        WorldError::new(
            ErrorKind::Refused,
            format!("private engine `{}`: cannot {what}", self.name),
            said,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Engine, EngineName};
    use std::path::Path;

    #[test]
    fn an_engine_name_is_short_and_plain() {
        for right in ["a", "lab-1", "12345678901234567890"] {
            assert!(right.parse::<EngineName>().is_ok(), "{right}");
        }
        for wrong in ["", "-a", "Lab", "a/b", "..", "a b", "123456789012345678901"] {
            assert!(wrong.parse::<EngineName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn engines_of_one_name_in_two_folders_have_two_cgroups() {
        let one = Engine::named(Path::new("/a"), "lab".parse().unwrap());
        let two = Engine::named(Path::new("/b"), "lab".parse().unwrap());
        assert_ne!(one.cgroup(), two.cgroup());
    }
}
