//! `stack`: a docker-compose style orchestrator that takes networks seriously.

pub mod model;
