//! A check under `checks:`: something that must be true of the running stack's network.

use std::time::Duration;

use crate::model::port::Protocol;

/// One expectation, run in the file's order by `stack check`.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    pub name: String,
    /// The viewpoint: a service, `host`, `LAN.HOST`, a shim's name.
    pub from: String,
    /// The target: a service, a name, an address.
    pub to: String,
    /// None asks by ICMP echo.
    pub port: Option<u16>,
    pub protocol: Protocol,
    /// The link or network that the path must take.
    pub via: Option<String>,
    /// `ok`, `unreachable`, a kind of failure or a reason code.
    pub expect: String,
    /// How long the expectation may take to come true.
    pub within: Option<Duration>,
    /// A failure of this one ends the run.
    pub require: bool,
    /// A failure is told and does not fail the run.
    pub warning: bool,
    /// What is done to the stack before it is asked.
    pub after: Vec<Disturbance>,
}

/// A change made between checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disturbance {
    Restart(String),
    Stop(String),
    Start(String),
    Kill(String),
    Pause(String),
    Unpause(String),
    /// The service's containers get one more network, as the file writes it where it does.
    Connect {
        service: String,
        network: String,
    },
    Disconnect {
        service: String,
        network: String,
    },
}
