//! The ground floor: what a stack is. Plain data and questions about it; no I/O, no clock, no async, no YAML.
//!
//! Everything here has been checked as far as one value can be checked alone; what only the whole can tell (two
//! services with one address, an unknown network) is checked by the reader, and what only the world can tell (a pool
//! that overlaps a route of the host) by the planner.

pub mod address;
pub mod check;
pub mod container;
pub mod hash;
pub mod lan;
pub mod mark;
pub mod name;
pub mod network;
pub mod port;
pub mod service;
pub mod stack;
pub mod volume;
