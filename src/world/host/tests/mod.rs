//! The host's side on a real kernel, in namespaces that each test makes for itself and that die with it. A test whose
//! link kind the kernel does not have prints `skipped: REASON`.

mod bed;
mod lan;
mod link;
mod messages;
mod nat;
mod probe;
mod shim;
mod views;
mod ways;
