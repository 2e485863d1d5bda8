//! Whether something of ours on the host is as it should be.

use std::sync::Arc;

use crate::model::hash;
use crate::plan::observed::FoundResource;
use crate::plan::spec::Spec;
use crate::plan::step::{Reason, State};

/// From what it has to be changed, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    pub before: State,
    pub reason: Reason,
}

/// Whether it was made from another spec than this one.
pub fn differs(found: &FoundResource, spec: &Spec) -> bool {
    // A mark in the kernel has room for the beginning of a hash only.
    !hash::of(spec).starts_with(&found.hash)
}

/// The difference between what is there and what should be; none where it is whole.
pub fn difference(found: Option<&FoundResource>, spec: &Arc<Spec>) -> Option<Difference> {
    let Some(found) = found else {
        return Some(Difference {
            before: State::Absent,
            reason: Reason::Missing,
        });
    };
    let what = match (differs(found, spec), found.damage.is_empty()) {
        (true, _) => vec!["configuration".to_owned()],
        (false, false) => found.damage.clone(),
        (false, true) => return None,
    };
    Some(Difference {
        before: State::Present(Arc::new(found.spec.clone())),
        reason: Reason::Changed(what),
    })
}
