//! What goes wrong in a world in memory, and what takes time. Arranged by tests; nothing goes wrong by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::plan::spec::ResourceId;

/// When a change goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Nothing was done.
    Before,
    /// A part was done: a container is made and not started, a link is there without its addresses. A change that has
    /// no parts was not done.
    Half,
    /// All was done, and the answer got lost.
    After,
}

impl When {
    /// All of them.
    pub const ALL: [When; 3] = [When::Before, When::Half, When::After];
}

/// How it goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The change says so.
    Fails,
    /// It never says anything any more, and [`crate::world::memory::Memory::crashed`] returns: the process died here.
    Crashes,
}

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Which change, counted from 0 in the order in which they are begun.
    pub at: usize,
    pub when: When,
    pub how: How,
}

/// Everything that is arranged.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    pub fault: Option<Fault>,
    /// How long each change of a resource takes.
    pub delays: BTreeMap<ResourceId, Duration>,
}

impl Faults {
    /// One fault.
    pub fn one(at: usize, when: When, how: How) -> Faults {
        Faults {
            fault: Some(Fault { at, when, how }),
            ..Faults::default()
        }
    }
}
