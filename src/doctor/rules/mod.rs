//! The rules, by what they look at.

pub mod address;
pub mod child;
pub mod dhcp;
pub mod engine;
pub mod firewall;
pub mod kernel;
pub mod manager;
pub mod parent;
pub mod platform;
pub mod way;
