//! Who reaches whom, as the rules say it. What live engines say to the same stacks is tested in `tests/live/reach.rs`.

mod advice;
mod bridges;
pub mod build;
mod many;
mod names;
mod remedy;
mod rules;
mod wires;
