//! A run of earlier that was not finished, taken back before the command does its own work.

use std::collections::BTreeSet;
use std::path::Path;

use crate::apply::journal::{self, Heading, Journal, JournalError, Unfinished};
use crate::apply::report::Outcome as End;
use crate::apply::{self, OnFailure, Options, wanted};
use crate::cli::carry::{Session, journal_failure};
use crate::cli::exit::{Exit, Failure};
use crate::cli::render::summary::{self, About};
use crate::cli::render::talk;
use crate::cli::signal::wishes_to_stop;
use crate::plan::diff::down::{is_about, is_moot};
use crate::world::private::process::boot_id;

/// What becomes of a run that was not finished, before the command does its own work.
#[derive(Debug, Clone, Copy)]
pub enum Past<'a> {
    /// It is taken back.
    TakenBack,
    /// It is taken back but for what the command removes anyway: everything of these services, or of all.
    Removed(Option<&'a BTreeSet<String>>),
}

impl Session<'_> {
    /// Takes back a run that was killed, as far as that can be done. What cannot be taken back is told and then
    /// forgotten: it carries our mark, so every command sees it as it is and goes on from there.
    pub async fn repair(&self, past: Past<'_>) -> Result<(), Failure> {
        let path = self.file("journal")?;
        let unfinished = match journal::replay(&path, &boot_id()) {
            Ok(unfinished) => unfinished,
            Err(error) => return self.forget_unreadable(&path, error, past),
        };
        let Some(mut unfinished) = unfinished else {
            // What is there without a complete header tells of nothing that was done.
            if path.exists() && !self.context.global.dry_run {
                journal::discard(&path).map_err(journal_failure)?;
            }
            return Ok(());
        };
        let Heading { command, since, .. } = unfinished.heading.clone();
        if let Past::Removed(services) = past
            && is_about(&unfinished.plan, services)
        {
            unfinished.give_up(is_moot);
        }
        self.settle_requests(&unfinished, past).await?;
        // What a committed run had left to discard is seen by the next plan.
        let nothing = unfinished.committed || unfinished.unwind().is_empty();
        if self.context.global.dry_run {
            if !nothing {
                self.context.tell(&format!(
                    " `stack {command}` of {since} was not finished: the next run takes it back first"
                ));
            }
            return Ok(());
        }
        if nothing {
            return journal::discard(&path).map_err(journal_failure);
        }
        self.context.tell(&format!(
            " `stack {command}` of {since} was not finished: taking it back first"
        ));
        let left = self.unwind(&unfinished).await?;
        if left > 0 {
            self.context.tell(&format!(
                " `stack {command}` of {since} could not be taken back in full: going on from what is there"
            ));
        }
        journal::discard(&path).map_err(journal_failure)
    }

    /// Asks once more for what a killed run had asked the engine for and nobody takes back: the engine may still be at
    /// it, and until it is done what is there is not what will be.
    async fn settle_requests(
        &self,
        unfinished: &Unfinished,
        past: Past<'_>,
    ) -> Result<(), Failure> {
        let plan = unfinished.requests();
        let removed_anyway = matches!(past, Past::Removed(services) if is_about(&plan, services));
        if plan.is_empty() || removed_anyway {
            return Ok(());
        }
        let Heading { command, since, .. } = &unfinished.heading;
        self.context.tell(&format!(
            " `stack {command}` of {since} was not finished: waiting for what it had begun"
        ));
        if self.context.global.dry_run {
            return Ok(());
        }
        let renderer = self.context.renderer();
        let options = Options {
            on_failure: OnFailure::GoOn,
            ..Options::default()
        };
        // The journal stays as it is, so that whoever comes after a kill in here does the same.
        let stops = wishes_to_stop()?;
        let report = apply::run(&plan, &self.live, None, &renderer, &options, stops).await;
        renderer.finish();
        match report.outcome {
            End::Abandoned | End::Interrupted => Err(Failure::Told(Exit::Partial)),
            // What could not be done is seen as it is by whatever comes next.
            End::Done | End::Failed => Ok(()),
        }
    }

    /// A journal that cannot be understood is in nobody's way who removes everything.
    fn forget_unreadable(
        &self,
        path: &Path,
        error: JournalError,
        past: Past<'_>,
    ) -> Result<(), Failure> {
        match (past, &error) {
            (
                Past::Removed(_),
                JournalError::Version { .. }
                | JournalError::Corrupt { .. }
                | JournalError::Illegal { .. },
            ) if !self.context.global.dry_run => {
                talk(&format!(
                    "warning: {error}: an unfinished run is forgotten, and what is there is removed"
                ));
                journal::discard(path).map_err(journal_failure)
            }
            (Past::Removed(_) | Past::TakenBack, _) => {
                let Failure::Said { text, .. } = journal_failure(error) else {
                    return Ok(());
                };
                Err(Failure::with_hint(
                    text,
                    format!(
                        "`stack --project-name {} down` removes everything of the project and forgets that run",
                        self.project
                    ),
                ))
            }
        }
    }

    /// Takes a run back; how many things could not be.
    async fn unwind(&self, unfinished: &Unfinished) -> Result<usize, Failure> {
        let journal = Journal::resume(unfinished).map_err(journal_failure)?;
        let renderer = self.context.renderer();
        let report = apply::unwind(
            unfinished,
            &self.live,
            Some(journal),
            &renderer,
            &Options::default(),
            wishes_to_stop()?,
        )
        .await;
        renderer.finish();
        let about = About {
            command: "taking back",
            plan: &unfinished.plan,
            place: &|_| None,
        };
        for line in summary::lines(&report, &about) {
            self.context.tell(&line);
        }
        match report.outcome {
            End::Abandoned | End::Interrupted => Err(Failure::Told(Exit::Partial)),
            End::Done | End::Failed => {
                let end = match (unfinished.committed, report.left.is_empty()) {
                    (true, _) => wanted::End::Done,
                    (false, true) => wanted::End::TakenBack,
                    (false, false) => wanted::End::Unclear,
                };
                self.settle(end)?;
                Ok(report.left.len())
            }
        }
    }
}
