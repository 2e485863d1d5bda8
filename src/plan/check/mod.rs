//! What only the world can tell about a stack before anything is changed: the engine is too old, a name is taken, a
//! subnet is in use, a parent is missing. Pure: a stack, what it wants, and what was observed. The reader has checked
//! already what the file alone can tell.

pub mod bridge;
pub mod claims;
pub mod company;
pub mod engine;
pub mod host;
pub mod orphan;
pub mod overlap;
pub mod volume;

use crate::model::stack::Stack;
use crate::plan::desired::Desired;
use crate::plan::observed::Observed;

/// One thing that is wrong, or unwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A stable code, such as `parent-missing`.
    pub code: &'static str,
    /// Whether the plan cannot be carried out.
    pub fatal: bool,
    /// The place in the stack file, as a path of keys (`networks`, `lan`, `parent`); the reader knows the lines.
    pub place: Vec<String>,
    pub message: String,
    pub hint: Option<String>,
}

impl Finding {
    /// Something that makes the plan impossible.
    pub fn error(code: &'static str, place: &[&str], message: impl Into<String>) -> Finding {
        let place = place.iter().map(|key| (*key).to_owned()).collect();
        Finding {
            code,
            fatal: true,
            place,
            message: message.into(),
            hint: None,
        }
    }

    /// Something the user should know.
    pub fn warning(code: &'static str, place: &[&str], message: impl Into<String>) -> Finding {
        Finding {
            fatal: false,
            ..Finding::error(code, place, message)
        }
    }

    /// The same finding with advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Finding {
        self.hint = Some(hint.into());
        self
    }
}

/// Holds a stack against the engine and the host. All findings, in the file's order as far as it is known.
pub fn check(stack: &Stack, desired: &Desired, observed: &Observed) -> Vec<Finding> {
    let mut findings = Vec::new();
    engine::check(stack, desired, observed, &mut findings);
    host::check(stack, desired, observed, &mut findings);
    overlap::check(stack, observed, &mut findings);
    bridge::check(stack, desired, observed, &mut findings);
    claims::check(stack, desired, &mut findings);
    company::check(stack, desired, observed, &mut findings);
    volume::check(stack, desired, observed, &mut findings);
    findings
}
