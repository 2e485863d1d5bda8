//! `stack`: a docker-compose style orchestrator that takes networks seriously.
//!
//! One file describes services and real networks of every Docker mode, the host's side of them included; `up` makes it
//! so, `down` unmakes it. This page is the map of the house.
//!
//! # The journey of a value
//!
//! ```text
//! text ──file──▶ model::Stack ──plan──▶ Plan ──apply──▶ world (engine, kernel)
//!                                 ▲                        │
//!                                 └──── plan::Observed ◀───┘
//! ```
//!
//! | floor | what it is | what it must never do |
//! |---|---|---|
//! | [`source`], [`diagnostic`] | texts, places in them, and what is told about them | know YAML |
//! | [`model`] | what a stack is: plain typed data | I/O, async, clocks |
//! | [`file`] | YAML to model, or to diagnostics; the only place that names a YAML crate | see `plan`, ask the world |
//! | [`plan`] | model × observed → plan; specs, steps, the graph (petgraph lives in `plan::graph` alone) | act, wait, read files |
//! | [`world`] | the outside behind three verbs; bollard lives in `world::engine`, netlink in `world::host` alone | decide what should be |
//! | [`doctor`] | rules over facts: what will bite | gather facts itself |
//! | [`apply`] | walks a plan: ready queue, bounds, journal, rollback, events | know Docker or netlink |
//! | [`reach`] | who reaches whom and why not: predicted from a scene, asked for real in [`reach::probe`] | change anything, print |
//! | [`agent`] | keeps the host's side as the last `up` wanted it: what news concerns whom, the loop | gather news, print |
//! | [`draw`] | pictures: one scene, from the file or from what was observed, written in each format | read, ask, print |
//! | [`cli`] | one file a command; the only place that prints, and that chooses a world | be imported |
//!
//! Imports point down only; `tests/it/layers.rs` reads the `use` lines and holds them against this.
//!
//! # Invariants
//!
//! * **Plan is data.** `up`, `down`, `stop`, `restart` and the way back after a failure are plans for one executor. A
//!   step is a resource, the state before, the state after, and the reason; its undo is the same step turned round.
//! * **Nothing foreign is changed.** What we make carries our mark where it lives: labels on engine objects, a group and
//!   an alias on links, a protocol number on routes ([`model::mark`]). What cannot carry a mark is written ahead.
//! * **Names, not ids.** Steps refer to each other by deterministic names, so a plan is whole before anything exists.
//! * **Bad input never changes the world.** The reader and [`plan::check`] find all mistakes before the first act.
//! * **Undo never stops at an error**, and what it could not undo is listed with the command that removes it.
//! * Absent on purpose: no global state, no polling where an event exists, no process started for an object.
//!
//! # Where it differs from its first design, and why
//!
//! * The world's verb is `change(step)` and not `ensure(id, state)`: to put a replaced network or a parked container
//!   back, the doer must know both ends of a step.
//! * Starting is a step of its own and not part of making a container: all containers can be made while the first
//!   ones start, and a restart is nothing but stop and start.
//! * A container's endpoints are not in its hash. They are kept in a label of their own and compared with what the
//!   engine tells, so that a new alias or network is wired live and the process never notices.
//! * What nobody wants any more is parked first and discarded as a farewell, like a container that is replaced: a failed
//!   `up --scale web=1` brings the others back.
//! * What a project wants of its host is kept in a record of its own ([`apply::wanted`]), because links are gone with
//!   their marks after a reboot; `up` writes it before it acts, `down` takes it away first, and the agent, `orphans` and
//!   the unit before the engine read it.

pub mod agent;
pub mod apply;
pub mod cli;
pub mod diagnostic;
pub mod doctor;
pub mod draw;
pub mod file;
pub mod model;
pub mod plan;
pub mod reach;
pub mod source;
pub mod world;
