//! The difference between what should be there and what is there, as a plan. `up`, `down` and the lifecycle commands
//! only build plans; none of them acts.

pub mod container;
pub mod down;
pub mod draft;
pub mod host;
pub mod keep;
pub mod lifecycle;
pub mod network;
pub mod order;
pub mod up;

use crate::plan::spec::ResourceId;

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Resources that wait for each other in a circle: a path that ends where it begins.
    #[error("dependency cycle detected: {}", path(.0))]
    Cycle(Vec<ResourceId>),
    /// A step that may still fail waits for one that only runs when nothing can fail any more: it would never run.
    #[error("{step} cannot wait for the farewell of {farewell}")]
    AfterFarewell {
        step: ResourceId,
        farewell: ResourceId,
    },
}

fn path(cycle: &[ResourceId]) -> String {
    cycle
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" -> ")
}
