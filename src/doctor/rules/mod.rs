//! The rules, by what they look at.

pub mod address;
pub mod engine;
pub mod kernel;
pub mod manager;
pub mod parent;
pub mod platform;
