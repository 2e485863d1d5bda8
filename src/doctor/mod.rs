//! What on this machine will bite, before it does: rules over facts. Pure; the facts are gathered by
//! [`crate::world::host`] and the engine, and every rule says what is seen, why it bites, and what mends it.

pub mod facts;
pub mod rules;

use serde::Serialize;

use crate::doctor::facts::Facts;
use crate::model::stack::Stack;

/// How bad a finding is; the exit code of `stack doctor` follows the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// All is well, or it is good to know.
    Info,
    /// It works and will surprise.
    Warning,
    /// It will not work.
    Error,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A stable code, such as `parent-down`.
    pub code: &'static str,
    pub severity: Severity,
    /// What it is about: `engine`, `kernel`, `link eth0`, `network lan`.
    pub subject: String,
    /// What is seen.
    pub seen: String,
    /// Why it bites.
    pub why: String,
    /// What mends it: a command where there is one, else a sentence.
    pub mend: Option<String>,
}

impl Finding {
    /// A finding without advice yet.
    pub fn new(
        code: &'static str,
        severity: Severity,
        subject: impl Into<String>,
        seen: impl Into<String>,
        why: impl Into<String>,
    ) -> Finding {
        Finding {
            code,
            severity,
            subject: subject.into(),
            seen: seen.into(),
            why: why.into(),
            mend: None,
        }
    }

    /// The same finding with what mends it.
    pub fn mend(mut self, mend: impl Into<String>) -> Finding {
        self.mend = Some(mend.into());
        self
    }
}

/// All findings, the worst first. With a stack, only what matters to it is asked of parents and networks.
pub fn examine(facts: &Facts, stack: Option<&Stack>) -> Vec<Finding> {
    let mut findings = Vec::new();
    rules::engine::examine(facts, stack, &mut findings);
    rules::kernel::examine(facts, stack, &mut findings);
    rules::platform::examine(facts, stack, &mut findings);
    rules::parent::examine(facts, stack, &mut findings);
    rules::manager::examine(facts, stack, &mut findings);
    rules::address::examine(facts, stack, &mut findings);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}
