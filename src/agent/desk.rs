//! What the agent works with: records, locks and journals of one engine's projects, and which part of the host's side is
//! kept.

use std::path::PathBuf;

use crate::agent::said::What;
use crate::apply::lock::{Holder, Lock, LockError, Patience, is_held};
use crate::apply::wanted::{Records, Wanted, file_name};
use crate::model::name::ProjectName;
use crate::plan::diff::keep::Sight;
use crate::plan::spec::{Kind, Spec};
use crate::world::text::Text;

/// Where records, locks and journals are, and of which engine.
#[derive(Debug, Clone)]
pub struct Desk {
    pub records: Records,
    /// The engine's URL.
    pub engine: String,
    /// The folder of locks and journals.
    pub state: PathBuf,
    /// The moment as people read it.
    pub now: fn() -> String,
    /// Only tells what would be restored.
    pub dry: bool,
    pub part: Part,
    /// The program's own code in memory, which is let go of between one thing and the next.
    pub text: Text,
}

/// What of the host's side is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// Only what networks stand on: lans, links and flags, which an engine must find when it starts.
    Ground,
    /// What can be kept while the engine does not answer: all but doors, which are inside of containers.
    Alone,
}

impl Part {
    pub(in crate::agent) fn sight(self) -> Sight {
        match self {
            Part::Whole => Sight::Both,
            Part::Ground | Part::Alone => Sight::Host,
        }
    }

    fn has(self, kind: Kind) -> bool {
        match self {
            Part::Whole | Part::Alone => true,
            Part::Ground => [Kind::Lan, Kind::Link, Kind::Promiscuity].contains(&kind),
        }
    }
}

impl Desk {
    /// What is wanted, as far as it is ours to keep; none where it is not certain.
    pub(in crate::agent) fn wants(&self, wanted: &Wanted) -> Option<Vec<Spec>> {
        let all = wanted.settled()?.iter();
        Some(
            all.filter(|spec| self.part.has(spec.id().kind))
                .cloned()
                .collect(),
        )
    }

    pub(in crate::agent) fn file(&self, project: &ProjectName, ending: &str) -> PathBuf {
        self.state.join(file_name(project, &self.engine, ending))
    }

    /// The right to act on a project. One who waits is told by the folder when it may have come; so nothing is left
    /// there that looks like it.
    pub(in crate::agent) async fn lock(
        &self,
        project: &ProjectName,
        patience: Patience,
    ) -> Result<Right, LockError> {
        let path = self.file(project, "lock");
        if patience == Patience::None && is_held(&path) {
            return Ok(Right::Others(What::Busy));
        }
        let unfinished = self.file(project, "journal");
        if unfinished.exists() && !is_held(&path) {
            return Ok(Right::Others(What::CutOff));
        }
        let holder = Holder {
            pid: std::process::id(),
            command: "agent".to_owned(),
            since: (self.now)(),
        };
        let lock = match Lock::take(&path, &holder, patience, |_| ()).await {
            Ok(lock) => lock,
            Err(LockError::Held(_)) => return Ok(Right::Others(What::Busy)),
            Err(error @ LockError::File { .. }) => return Err(error),
        };
        Ok(match unfinished.exists() {
            true => Right::Others(What::CutOff),
            false => Right::Have(lock),
        })
    }
}

/// Whether one may act on a project.
pub(in crate::agent) enum Right {
    Have(Lock),
    /// Not before others have: why.
    Others(What),
}
