//! `stack`: a docker-compose style orchestrator that takes networks seriously.

pub mod model;
pub mod plan;
pub mod world;
