//! The end of a private engine. Containers go first and through the engine, so that plugins and volumes hear of it;
//! then every process, at once, since nothing of it is kept (asked politely, dockerd takes 2.5 s); then the cgroups, the
//! namespaces with their mounts, and the folder. It works on an engine that was killed or cut off anywhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::world::WorldError;
use crate::world::private::process::Process;
use crate::world::private::{Engine, FOLDER_VARIABLE, ask, process};

/// How long what was killed may take to go.
const PATIENCE: Duration = Duration::from_secs(20);

impl Engine {
    /// Takes everything away. The caller holds the lock.
    pub fn stop_locked(&self) -> Result<(), WorldError> {
        if !self.folder.exists() {
            return Ok(());
        }
        if self.keeper().is_some() {
            self.remove_containers();
        }
        let mut all = self.processes();
        all.sort_by_key(|process| Some(*process) == self.keeper());
        for process in &all {
            process.kill();
        }
        self.remove_cgroups()?;
        for process in &all {
            if !process.ends_within(PATIENCE) {
                return Err(self.error(
                    "end its processes",
                    format!("process {} does not end", process.pid),
                ));
            }
        }
        self.remove_folder()
    }

    /// As far as the engine answers; what is left is killed afterwards.
    fn remove_containers(&self) {
        let socket = self.socket();
        let Ok(answer) = ask::get(
            &socket,
            "/containers/json?all=true",
            Duration::from_secs(10),
        ) else {
            return;
        };
        let found: Vec<serde_json::Value> =
            serde_json::from_slice(&answer.body).unwrap_or_default();
        std::thread::scope(|scope| {
            for container in &found {
                if let Some(id) = container.get("Id").and_then(|id| id.as_str()) {
                    let path = format!("/containers/{id}?force=true&v=true");
                    let socket = &socket;
                    scope.spawn(move || ask::delete(socket, &path, Duration::from_secs(20)));
                }
            }
        });
    }

    /// The engine's processes: those in its mount namespace that carry its mark (the daemons, the containers' shims,
    /// the keeper), and those in its cgroups (the containers).
    fn processes(&self) -> Vec<Process> {
        let place = self.folder.as_os_str().as_encoded_bytes();
        let recorded = self.record().map(|record| record.mount_namespace);
        let own = std::process::id();
        let marked = process::all().into_iter().filter(|process| {
            process.was_given(FOLDER_VARIABLE, place)
                && recorded.is_none_or(|inode| process.namespace("mnt") == Some(inode))
        });
        let contained = self
            .branches()
            .into_iter()
            .flat_map(|branch| members(&branch));
        let mut found: Vec<Process> = Vec::new();
        for process in marked.chain(contained) {
            if process.pid != own && !found.contains(&process) {
                found.push(process);
            }
        }
        found
    }

    /// Its branch of the cgroup tree: once in each hierarchy of version 1, once in version 2.
    fn branches(&self) -> Vec<PathBuf> {
        let tree = Path::new("/sys/fs/cgroup");
        let hierarchies = fs::read_dir(tree)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path());
        hierarchies
            .chain([tree.to_owned()])
            .map(|hierarchy| hierarchy.join(self.cgroup()))
            .filter(|branch| branch.is_dir())
            .collect()
    }

    fn remove_cgroups(&self) -> Result<(), WorldError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left: Vec<PathBuf> = self
                .branches()
                .into_iter()
                .filter(|branch| !remove_branch(branch))
                .collect();
            let Some(first) = left.first() else {
                return Ok(());
            };
            if Instant::now() > deadline {
                let said = format!("{} is still in use", first.display());
                return Err(self.error("remove its cgroups", said));
            }
            // A shim that was about to start a container has done so after the list was made.
            for process in self.processes() {
                process.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A mount namespace goes a moment after its last process, and with it the mounts below the folder.
    fn remove_folder(&self) -> Result<(), WorldError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match fs::remove_dir_all(&self.folder) {
                Err(error) if Instant::now() > deadline => {
                    return Err(self.error("remove its folder", error));
                }
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Ok(()) | Err(_) => return Ok(()),
            }
        }
    }
}

/// The processes in a cgroup and all below it.
fn members(branch: &Path) -> Vec<Process> {
    let own = fs::read_to_string(branch.join("cgroup.procs")).unwrap_or_default();
    let pids: BTreeSet<u32> = own.lines().filter_map(|line| line.parse().ok()).collect();
    let below = children(branch)
        .into_iter()
        .flat_map(|child| members(&child));
    pids.into_iter()
        .filter_map(Process::of)
        .chain(below)
        .collect()
}

/// Removes a cgroup and all below it; whether it is gone.
fn remove_branch(branch: &Path) -> bool {
    for child in children(branch) {
        remove_branch(&child);
    }
    fs::remove_dir(branch).is_ok() || !branch.exists()
}

fn children(branch: &Path) -> Vec<PathBuf> {
    fs::read_dir(branch)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}
