//! What on this machine will bite, before it does: rules over facts. Pure; the facts are gathered by
//! [`crate::world::host`] and the engine, and every rule says what is seen, why it bites, and what mends it.
//! Which failures are covered, and by which tests, is in `faults.md` beside this file.

pub mod facts;
pub mod rules;

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use crate::doctor::facts::Facts;
use crate::model::stack::Stack;
use crate::plan::desired::{Wishes, desired};
use crate::plan::machine::Remedy;
use crate::plan::observed::Observed;
use crate::plan::spec::{ShimSpec, Spec};

/// How bad a finding is; the exit code of `stack doctor` follows the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// All is well, or it is good to know.
    Info,
    /// It works and will surprise.
    Warning,
    /// It will not work.
    Error,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A stable code, such as `parent-down`.
    pub code: &'static str,
    pub severity: Severity,
    /// What it is about: `engine`, `kernel`, `link eth0`, `network lan`.
    pub subject: String,
    /// What is seen.
    pub seen: String,
    /// Why it bites.
    pub why: String,
    /// What mends it: a command where there is one, else a sentence.
    pub mend: Option<String>,
    /// What `--fix` does about it, where that is without a risk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
}

impl Finding {
    /// A finding without advice yet.
    pub fn new(
        code: &'static str,
        severity: Severity,
        subject: impl Into<String>,
        seen: impl Into<String>,
        why: impl Into<String>,
    ) -> Finding {
        Finding {
            code,
            severity,
            subject: subject.into(),
            seen: seen.into(),
            why: why.into(),
            mend: None,
            remedy: None,
        }
    }

    /// The same finding with what mends it.
    pub fn mend(mut self, mend: impl Into<String>) -> Finding {
        self.mend = Some(mend.into());
        self
    }

    /// The same finding with what may be done about it without a risk.
    pub fn remedy(mut self, remedy: Remedy) -> Finding {
        self.remedy = Some(remedy);
        self
    }
}

/// All findings, the worst first. With a stack, only what matters to it is asked of parents and networks.
pub fn examine(facts: &Facts, stack: Option<&Stack>) -> Vec<Finding> {
    let mut findings = Vec::new();
    rules::engine::examine(facts, stack, &mut findings);
    rules::kernel::examine(facts, stack, &mut findings);
    rules::platform::examine(facts, stack, &mut findings);
    rules::parent::examine(facts, stack, &mut findings);
    rules::child::examine(facts, &mut findings);
    rules::manager::examine(facts, stack, &mut findings);
    rules::firewall::examine(facts, stack, &mut findings);
    rules::address::examine(facts, stack, &mut findings);
    rules::way::examine(facts, stack, &mut findings);
    rules::dhcp::examine(facts, stack, &mut findings);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// The shims that the stack wants, as far as the facts let them be chosen.
pub fn shims(facts: &Facts, stack: &Stack) -> Vec<ShimSpec> {
    let observed = Observed {
        engine: facts.engine.clone().unwrap_or_default(),
        host: facts.host.clone(),
        networks: facts.networks.clone(),
        ..Observed::default()
    };
    let wanted = desired(stack, &Wishes::default(), &observed);
    let shims = wanted
        .specs
        .values()
        .filter_map(|spec| match spec.as_ref() {
            Spec::Shim(shim) => Some(shim.clone()),
            Spec::Lan(_) | Spec::Link(_) | Spec::Promiscuity(_) | Spec::Network(_) => None,
            Spec::Route(_) | Spec::Volume(_) | Spec::Image(_) | Spec::Container(_) => None,
            Spec::Existing(_) | Spec::Endpoint(_) | Spec::Door(_) => None,
        });
    shims.collect()
}

/// Addresses whose ways tell whether the shims' routes are taken: one of each destination.
pub fn targets(shims: &[ShimSpec]) -> Vec<IpAddr> {
    let routes = shims
        .iter()
        .flat_map(|shim| shim.routes.iter().map(move |route| (shim, route)));
    routes
        .filter_map(|(shim, route)| target(shim, route.destination))
        .collect()
}

/// An address of a destination that is not the shim's own.
pub fn target(shim: &ShimSpec, destination: IpNet) -> Option<IpAddr> {
    destination
        .hosts()
        .find(|address| !shim.addresses.contains(address))
}
