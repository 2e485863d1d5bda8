//! The decider: a stack and what the world says is there, to a plan. All pure: no I/O, no async, no clock, no
//! environment. A plan is data; `up`, `down` and the way back after a failure are plans for one executor.

pub mod check;
pub mod claim;
pub mod desired;
pub mod diff;
pub mod export;
pub mod graph;
pub mod machine;
pub mod observed;
pub mod orphan;
pub mod spec;
pub mod step;
