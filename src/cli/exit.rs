//! Exit codes, all of them. Where `docker compose` has one, it is the same; a container's own code is passed on by
//! `run`, `exec`, `wait` and `--exit-code-from`.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done; for `plan`: nothing to do |
//! | 1 | refused: the command line, the file, the engine or the kernel; nothing is left half done. With `--wait`: all is made and runs, and is not ready (in time) |
//! | 2 | `plan`: there are changes; `orphans`: something is left |
//! | 3 | failed on the way, and something is left (the last lines say what, and what to do) |
//! | 0–3 | `reach`, `why`, `check`: as it should be, not so, could not be asked (no file, engine or such name), with warnings |
//! | 0, 1, 3 | `doctor`: nothing to say, something will not work, something will surprise |
//! | 125–127 | `run`: the container, its command or its program could not be started, as `docker run` has it |
//! | 130 | interrupted: what `up` had begun was taken back, what `down` or `stop` had done stays |

use std::fmt;
use std::process::ExitCode;

use crate::world::WorldError;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done,
    Refused,
    Changes,
    Partial,
    Interrupted,
    /// A container's own code.
    Container(u8),
    /// What `reach --probe`, `why --probe`, `check` and `doctor` found: 0 as it should be, 1 not so, 2 it could not be asked, 3 with
    /// warnings.
    Verdict(u8),
}

impl Exit {
    /// A container's code as a shell can see it.
    pub fn of_container(code: i64) -> Exit {
        match code {
            0 => Exit::Done,
            code => Exit::Container(u8::try_from(code & 0xff).unwrap_or(1)),
        }
    }

    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Refused => 1,
            Exit::Changes => 2,
            Exit::Partial => 3,
            Exit::Interrupted => 130,
            Exit::Container(code) | Exit::Verdict(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// Why a command could not be done.
#[derive(Debug)]
pub enum Failure {
    /// One sentence and, where there is one, what to do about it.
    Said { text: String, hint: Option<String> },
    /// Everything has been said already; only the code is left.
    Told(Exit),
    /// Nobody reads our output any more (`stack logs | head`): not an error.
    OutputClosed,
}

impl Failure {
    /// A failure that is one sentence.
    pub fn said(text: impl fmt::Display) -> Failure {
        Failure::Said {
            text: text.to_string(),
            hint: None,
        }
    }

    /// A failure with advice.
    pub fn with_hint(text: impl fmt::Display, hint: impl fmt::Display) -> Failure {
        Failure::Said {
            text: text.to_string(),
            hint: Some(hint.to_string()),
        }
    }
}

impl From<WorldError> for Failure {
    fn from(error: WorldError) -> Failure {
        Failure::Said {
            text: error.to_string(),
            hint: error.hint,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Failure::OutputClosed
        } else {
            Failure::said(error)
        }
    }
}

/// What every command returns.
pub type Outcome = Result<Exit, Failure>;
