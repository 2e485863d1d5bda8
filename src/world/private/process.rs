//! Processes by an identity that is never used twice: a number together with its start time.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// A process of this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    /// Clock ticks since boot (`/proc/PID/stat`, field 22; proc(5)).
    pub start: u64,
}

/// The identity of this boot of the machine.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// All processes that can be seen.
pub fn all() -> Vec<Process> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Process::of)
        .collect()
}

impl Process {
    /// The process with this number now; none where there is none or it has ended and waits for its parent (state Z).
    pub fn of(pid: u32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the name in parentheses and may itself contain blanks and parentheses.
        let (_, fields) = stat.rsplit_once(") ")?;
        let mut fields = fields.split(' ');
        let state = fields.next()?;
        let start = fields.nth(18)?.parse().ok()?;
        (!state.starts_with(['Z', 'X'])).then_some(Process { pid, start })
    }

    /// Whether it is there still.
    pub fn lives(&self) -> bool {
        Process::of(self.pid) == Some(*self)
    }

    /// The inode of one of its namespaces (`mnt`, `net`).
    pub fn namespace(&self, kind: &str) -> Option<u64> {
        let found = fs::metadata(format!("/proc/{}/ns/{kind}", self.pid)).ok()?;
        Some(found.ino())
    }

    /// Whether this variable had this value when it was started.
    pub fn was_given(&self, variable: &str, value: &[u8]) -> bool {
        let wanted = [variable.as_bytes(), b"=", value].concat();
        fs::read(format!("/proc/{}/environ", self.pid))
            .unwrap_or_default()
            .split(|byte| *byte == 0)
            .any(|line| line == wanted.as_slice())
    }

    /// Ends it at once, if it is there still.
    pub fn kill(&self) {
        let Ok(number) = i32::try_from(self.pid) else {
            return;
        };
        if self.lives() {
            // It may end by itself between the question and the signal: then there is nobody to tell.
            let _ = kill(Pid::from_raw(number), Signal::SIGKILL);
        }
    }

    /// Whether it ends within `patience`.
    pub fn ends_within(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while self.lives() {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Process;

    #[test]
    fn a_process_is_known_by_number_and_start() {
        let own = Process::of(std::process::id()).unwrap();
        assert!(own.lives());
        let other = Process {
            start: own.start + 1,
            ..own
        };
        assert!(!other.lives());
    }
}
