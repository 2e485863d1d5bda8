//! All tests that need neither root nor an engine, in one binary, so that it is linked once.

mod agent;
mod apply;
mod bridge;
mod cli;
mod corpus;
mod course;
mod cross;
mod dependencies;
mod doctor;
mod draw;
mod every_step;
mod examples;
mod fuzz;
mod layers;
mod plan;
mod reach;
mod reader;
mod readme;
mod schema;
mod stacks;
mod torture;
