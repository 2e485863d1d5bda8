//! Tests on real engines and kernels (tiers 2, 3 and 4). They are not unit tests: each one needs root and a private
//! host, so a runner of their own starts the hosts, compares them before and after every test, and says what was
//! skipped and why.
//!
//!     cargo test --test live -- [FILTER…] [--list] [--engine installed|newest|FOLDER]… [--keep] [--only-engine]
//!
//! `--engine` chooses the engines (each test runs on each one), `--keep` leaves a host that was left different for a look at
//! it, `--only-engine` leaves out the tests that
//! need a guest or no engine.
//!
//! Where to go next: `runner.rs` (what a test is, what is printed), `bed.rs` (a private host with an engine in it),
//! `host.rs` (all that may not change), `place.rs` (who asks: the host, a machine on the wire, a container),
//! `wire.rs` (other machines), `guest.rs` (a virtual machine with Debian's kernel). Tests are in the modules below them.

mod agent;
mod bed;
mod check;
mod daily;
mod doctor;
mod engine;
mod examples;
mod export;
mod faults;
mod guest;
mod guest_examples;
mod harness;
mod host;
mod killed;
mod meeting;
mod place;
mod quickstart;
mod reach;
mod readme;
mod remote;
mod runner;
mod shim;
mod timings;
mod wire;

use std::process::ExitCode;

fn main() -> ExitCode {
    let tests = [
        harness::tests(),
        check::tests(),
        daily::tests(),
        doctor::tests(),
        agent::tests(),
        engine::tests(),
        examples::tests(),
        export::tests(),
        faults::tests(),
        guest_examples::tests(),
        killed::tests(),
        meeting::tests(),
        quickstart::tests(),
        reach::tests(),
        readme::tests(),
        remote::tests(),
        shim::tests(),
        timings::tests(),
    ]
    .into_iter()
    .flatten()
    .collect();
    runner::main(tests)
}
