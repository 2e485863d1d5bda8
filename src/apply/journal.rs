//! The journal of a run: its plan, and a line before and after each step, so that a run that was killed can be taken
//! back by the next one. One file a project, JSON lines; it exists only while a run is unfinished. It is not a state
//! file: what is there is always asked of the world.
//!
//! A line is written before the act it tells of. A killed process loses nothing that was written, so a sync is only
//! for a power cut: it is made once at the start, before steps that must not be forgotten ([`careful`]), before
//! something is brought back, and before farewells begin. Other lines may be lost with the power; what they told of
//! carries our mark, and the next plan sees it.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::apply::status::{Act, Illegal, Status, Statuses};
use crate::plan::spec::Kind;
use crate::plan::step::{Edge, Milestone, Plan, Reason, State, Step, StepIndex, Undo};

/// The version of the format; a journal of another one is refused.
const VERSION: u32 = 1;

/// Room that one step's lines may take: four of at most 40 bytes.
const BYTES_PER_STEP: usize = 160;

/// How much of the header is put on the disk at once.
const HEADER_PIECE: usize = 16 * 1024;

/// Why a journal could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot create the journal `{path}`")]
    Create { path: PathBuf, source: io::Error },
    /// There is one already: an earlier run was not finished.
    #[error("`{path}` tells of an unfinished run")]
    Unfinished { path: PathBuf },
    #[error("cannot write to the journal `{path}`")]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read the journal `{path}`")]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "`{path}` was written by another version of this program (format {found}, not {VERSION})"
    )]
    Version { path: PathBuf, found: u32 },
    #[error("line {line} of the journal `{path}` is not what this program writes")]
    Corrupt { path: PathBuf, line: usize },
    #[error("the journal `{path}` tells of what cannot have happened: {illegal}")]
    Illegal { path: PathBuf, illegal: Illegal },
}

/// Who runs, for those who find the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    /// The command, such as `up`.
    pub command: String,
    /// When it began, as text.
    pub since: String,
    /// What changes when the machine starts anew (`/proc/sys/kernel/random/boot_id`).
    pub boot: String,
}

#[derive(Serialize)]
struct HeaderOut<'a> {
    stack_journal: u32,
    heading: &'a Heading,
    plan: &'a Plan,
}

#[derive(Deserialize)]
struct HeaderIn {
    heading: Heading,
    plan: Plan,
}

#[derive(Deserialize)]
struct VersionIn {
    stack_journal: u32,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Step { step: StepIndex, act: Act },
    Commit { commit: bool },
}

/// Where lines go; a file, or something that fails on purpose in a test.
pub trait Paper: Write + Send {
    /// Returns when everything written so far would survive a power cut.
    fn sync(&mut self) -> io::Result<()>;
}

impl Paper for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// A journal that is being written.
pub struct Journal {
    path: PathBuf,
    paper: Box<dyn Paper>,
    /// For each step, whether its line must survive a power cut before it acts.
    careful: Vec<bool>,
}

impl Journal {
    /// Begins a journal, with room on the disk for all that the run will have to say: a full disk is an error now and
    /// not in the middle.
    pub fn begin(path: &Path, heading: &Heading, plan: &Plan) -> Result<Journal, JournalError> {
        let create = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => JournalError::Unfinished {
                path: path.to_owned(),
            },
            _ => JournalError::Create {
                path: path.to_owned(),
                source,
            },
        };
        let mut options = OpenOptions::new();
        let file = options.append(true).create_new(true).open(path);
        let file = file.map_err(create)?;
        Journal::head(path, file, heading, plan).inspect_err(|_| {
            // A journal that could not even be begun tells of nothing; that it stays is not worse than the error.
            let _ = std::fs::remove_file(path);
        })
    }

    fn head(
        path: &Path,
        file: File,
        heading: &Heading,
        plan: &Plan,
    ) -> Result<Journal, JournalError> {
        let write = |source: io::Error| JournalError::Write {
            path: path.to_owned(),
            source,
        };
        let header = HeaderOut {
            stack_journal: VERSION,
            heading,
            plan,
        };
        // Piece by piece: the header of a large plan is larger than the plan.
        let mut paper = BufWriter::with_capacity(HEADER_PIECE, &file);
        serde_json::to_writer(&mut paper, &header).map_err(|error| write(error.into()))?;
        paper.write_all(b"\n").map_err(write)?;
        paper.flush().map_err(write)?;
        drop(paper);
        let written = file.metadata().map_err(write)?.len();
        let steps = plan.steps.len() * BYTES_PER_STEP;
        reserve(&file, written.saturating_add(steps as u64)).map_err(write)?;
        let mut journal = Journal::on(path, Box::new(file), plan);
        journal.sync()?;
        // The file's name is in the directory, which has to be synced for itself.
        if let Some(directory) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            let directory = File::open(directory).map_err(write)?;
            directory.sync_all().map_err(write)?;
        }
        Ok(journal)
    }

    /// A journal on any paper, without a header: for tests of what happens when the paper fails.
    pub fn on(path: &Path, paper: Box<dyn Paper>, plan: &Plan) -> Journal {
        Journal {
            path: path.to_owned(),
            paper,
            careful: careful(plan),
        }
    }

    /// Goes on with the journal of an unfinished run, behind its last whole line.
    pub fn resume(unfinished: &Unfinished) -> Result<Journal, JournalError> {
        let path = &unfinished.path;
        let write = |source: io::Error| JournalError::Write {
            path: path.clone(),
            source,
        };
        let mut file = OpenOptions::new().write(true).open(path).map_err(write)?;
        file.set_len(unfinished.length).map_err(write)?;
        file.seek(SeekFrom::End(0)).map_err(write)?;
        Ok(Journal::on(path, Box::new(file), &unfinished.plan))
    }

    /// Notes what is about to happen, or has happened, to a step.
    pub fn note(&mut self, index: StepIndex, act: Act) -> Result<(), JournalError> {
        self.line(Line::Step { step: index, act })?;
        let careful = self.careful.get(index.0).copied().unwrap_or(true);
        match act {
            Act::Start | Act::Undo if careful => self.sync(),
            Act::Start | Act::Undo => Ok(()),
            Act::Finish | Act::Fail | Act::Undone | Act::GetStuck => Ok(()),
        }
    }

    /// Notes that all steps succeeded and farewells begin: from here on nothing is taken back.
    pub fn commit(&mut self) -> Result<(), JournalError> {
        self.line(Line::Commit { commit: true })?;
        self.sync()
    }

    /// The run is finished: there is nothing to tell any more.
    pub fn finish(self) -> Result<(), JournalError> {
        discard(&self.path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn line(&mut self, line: Line) -> Result<(), JournalError> {
        let mut text = serde_json::to_vec(&line).map_err(|error| self.failed(error.into()))?;
        text.push(b'\n');
        self.put(&text)
    }

    // One write call for a line, so that a killed process leaves whole lines, and a full disk at most one torn one.
    fn put(&mut self, text: &[u8]) -> Result<(), JournalError> {
        self.paper
            .write_all(text)
            .map_err(|source| self.failed(source))
    }

    fn sync(&mut self) -> Result<(), JournalError> {
        self.paper.sync().map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> JournalError {
        JournalError::Write {
            path: self.path.clone(),
            source,
        }
    }
}

/// Removes a journal that has nothing more to tell; one that is not there is removed.
pub fn discard(path: &Path) -> Result<(), JournalError> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(JournalError::Write {
            path: path.to_owned(),
            source,
        }),
    }
}

fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    use nix::errno::Errno;
    use nix::fcntl::{FallocateFlags, fallocate};
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    match fallocate(file.as_fd(), FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, bytes) {
        // Some file systems cannot reserve; there a full disk is met when it is met.
        Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// For each step of a plan, whether a power cut must not make us forget it: its object carries no mark of ours, or a
/// name passes from one object to another, so that taking back twice, or only one of the two, would hit the wrong one.
pub fn careful(plan: &Plan) -> Vec<bool> {
    let leaves =
        |step: &&Step| !step.farewell && matches!(step.after, State::Parked(_) | State::Absent);
    let passed_on: BTreeSet<_> = plan
        .steps
        .iter()
        .filter(leaves)
        .map(|step| &step.id)
        .collect();
    let of = |step: &Step| is_unmarked(step.id.kind) || passed_on.contains(&step.id);
    plan.steps.iter().map(of).collect()
}

fn is_unmarked(kind: Kind) -> bool {
    match kind {
        // A flag of a link that is not ours; a connection of a container that was there before.
        Kind::Promiscuity | Kind::Endpoint => true,
        Kind::Lan
        | Kind::Link
        | Kind::Network
        | Kind::Shim
        | Kind::Route
        | Kind::Volume
        | Kind::Image
        | Kind::Container
        | Kind::Door => false,
    }
}

/// A run that was begun and not finished.
#[derive(Debug, Clone, PartialEq)]
pub struct Unfinished {
    pub path: PathBuf,
    pub heading: Heading,
    pub plan: Plan,
    pub statuses: Statuses,
    /// All steps had succeeded: what is left is to discard what they replaced.
    pub committed: bool,
    /// Whether the machine was started anew since, so that lines may be missing.
    pub rebooted: bool,
    /// The bytes of all whole lines.
    length: u64,
}

/// Reads the journal at this path. None where there is none, or one whose header was never completed: nothing had
/// been done then.
pub fn replay(path: &Path, boot: &str) -> Result<Option<Unfinished>, JournalError> {
    let read = |source: io::Error| JournalError::Read {
        path: path.to_owned(),
        source,
    };
    let mut text = Vec::new();
    match File::open(path) {
        Ok(mut file) => file.read_to_end(&mut text).map_err(read)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(read(error)),
    };
    // Without its line end a line is torn.
    let mut lines = text
        .split_inclusive(|&byte| byte == b'\n')
        .filter(|line| line.ends_with(b"\n"));
    let Some(header) = lines.next() else {
        return Ok(None);
    };
    let corrupt = |line: usize| JournalError::Corrupt {
        path: path.to_owned(),
        line,
    };
    let VersionIn { stack_journal } = serde_json::from_slice(header).map_err(|_| corrupt(1))?;
    if stack_journal != VERSION {
        return Err(JournalError::Version {
            path: path.to_owned(),
            found: stack_journal,
        });
    }
    let HeaderIn { heading, plan } = serde_json::from_slice(header).map_err(|_| corrupt(1))?;
    let rebooted = heading.boot != boot;
    let mut unfinished = Unfinished {
        path: path.to_owned(),
        heading,
        statuses: Statuses::planned(plan.steps.len()),
        plan,
        committed: false,
        rebooted,
        length: length(header),
    };
    for (at, line) in lines.enumerate() {
        match serde_json::from_slice(line) {
            Ok(Line::Step { step, act }) => {
                unfinished
                    .statuses
                    .apply(step, act)
                    .map_err(|illegal| JournalError::Illegal {
                        path: path.to_owned(),
                        illegal,
                    })?
            }
            Ok(Line::Commit { commit }) => unfinished.committed = commit,
            // A power cut may leave a hole where a page was never written; nothing behind it counts.
            Err(_) if rebooted => break,
            Err(_) => return Err(corrupt(at + 2)),
        }
        unfinished.length += length(line);
    }
    Ok(Some(unfinished))
}

fn length(line: &[u8]) -> u64 {
    u64::try_from(line.len()).unwrap_or(u64::MAX)
}

impl Unfinished {
    /// Gives up taking back these steps.
    pub fn give_up(&mut self, is_moot: impl Fn(&Step) -> bool) {
        for (at, step) in self.plan.steps.iter().enumerate() {
            if is_moot(step) {
                self.statuses.give_up(StepIndex(at));
            }
        }
    }

    /// Whether taking the run back has to take this step back.
    pub fn is_to_be_undone(&self, index: StepIndex) -> bool {
        let Some(step) = self.plan.steps.get(index.0) else {
            return false;
        };
        !self.committed
            && !step.farewell
            && step.undo == Undo::Inverse
            && self.statuses.of(index).may_have_acted()
    }

    /// What the run had asked the engine for and had no answer to yet, where it is not taken back: the same requests
    /// once more. An engine goes on with a stop or a removal whose asker is gone; what this process did itself, and
    /// an image that was on its way, ended with it.
    pub fn requests(&self) -> Plan {
        let goes_on = |kind: Kind| match kind {
            Kind::Network | Kind::Volume | Kind::Container | Kind::Endpoint => true,
            Kind::Lan | Kind::Link | Kind::Promiscuity | Kind::Shim | Kind::Route => false,
            Kind::Image | Kind::Door => false,
        };
        let asked = |(at, step): &(usize, &Step)| {
            let index = StepIndex(*at);
            self.statuses.of(index) == Status::Started
                && !self.is_to_be_undone(index)
                && goes_on(step.id.kind)
        };
        let steps = self.plan.steps.iter().enumerate().filter(asked);
        Plan {
            project: self.plan.project.clone(),
            // They had all begun, so none of them waits for another.
            steps: steps
                .map(|(_, step)| Step {
                    farewell: false,
                    ..step.clone()
                })
                .collect(),
            edges: Vec::new(),
        }
    }

    /// The plan that takes the run back: the inverse of each step that was started and not taken back yet, each after
    /// the inverses of those that came after it. Of a committed run it is what was left to discard.
    pub fn unwind(&self) -> Plan {
        let wanted = |index: StepIndex| {
            if self.committed {
                self.plan.steps.get(index.0).is_some_and(|s| s.farewell)
                    && self.statuses.of(index) != Status::Done
            } else {
                self.is_to_be_undone(index)
            }
        };
        let mut chosen: Vec<StepIndex> = (0..self.plan.steps.len())
            .map(StepIndex)
            .filter(|&index| wanted(index))
            .collect();
        if !self.committed {
            chosen.reverse();
        }
        let mut places = vec![None; self.plan.steps.len()];
        for (place, index) in chosen.iter().enumerate() {
            places[index.0] = Some(StepIndex(place));
        }
        let steps = chosen.iter().map(|index| {
            let step = &self.plan.steps[index.0];
            if self.committed {
                Step {
                    farewell: false,
                    ..step.clone()
                }
            } else {
                Step {
                    reason: Reason::Leftover,
                    ..step.inverse()
                }
            }
        });
        let edges = self.plan.edges.iter().filter_map(|edge| {
            let from = places.get(edge.from.0).copied().flatten()?;
            let to = places.get(edge.to.0).copied().flatten()?;
            let (from, to) = if self.committed {
                (from, to)
            } else {
                (to, from)
            };
            Some(Edge {
                from,
                to,
                milestone: Milestone::Done,
                optional: false,
            })
        });
        Plan {
            project: self.plan.project.clone(),
            steps: steps.collect(),
            edges: edges.collect(),
        }
    }
}
