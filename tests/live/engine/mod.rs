//! The engine's side of the world on real engines: every transition of every kind, done, repeated, and looked at by the
//! docker client, which knows nothing of us.
//!
//! What is made here carries the project `eng`; each test removes what it made by the same steps turned round, so the
//! way back is tested with it.

mod container;
mod image;
mod network;
mod rig;
mod wait;

use crate::runner::Test;

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    [
        container::tests(),
        image::tests(),
        network::tests(),
        wait::tests(),
    ]
    .concat()
}
