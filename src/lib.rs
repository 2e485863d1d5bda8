//! `stack`: a docker-compose style orchestrator that takes networks seriously.

pub mod apply;
pub mod cli;
pub mod diagnostic;
pub mod file;
pub mod model;
pub mod plan;
pub mod source;
pub mod world;
