//! What the doctor looks at. Plain data, so that every rule can be tested with facts recorded elsewhere.

use crate::plan::machine::Machine;
use crate::plan::observed::{EngineFacts, FoundNetwork, HostFacts};

/// Everything that was gathered. What could not be looked at is `None`, and no rule speaks of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    pub engine: Option<EngineFacts>,
    /// Why the engine could not be asked.
    pub engine_error: Option<String>,
    pub networks: Vec<FoundNetwork>,
    pub host: Option<HostFacts>,
    pub machine: Machine,
    /// What this process was not allowed to look at.
    pub unseen: Vec<String>,
}
