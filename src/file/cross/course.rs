//! Which services are never there at one time: a job that has ended before another starts leaves its port and its
//! address to it.

use std::cell::Cell;
use std::collections::HashSet;

use crate::diagnostic::Diagnostic;
use crate::model::name::ServiceName;
use crate::model::service::{Condition, Service};
use crate::model::stack::Stack;

/// How many dependencies are followed in all; after that every job is taken to have ended.
const MOST_FOLLOWED: usize = 1_000_000;

/// The order that completed jobs make.
pub struct Course<'a> {
    stack: &'a Stack,
    /// Services whose end somebody waits for.
    jobs: HashSet<&'a ServiceName>,
    left: Cell<usize>,
}

impl<'a> Course<'a> {
    pub fn of(stack: &'a Stack) -> Course<'a> {
        let jobs = stack
            .services
            .values()
            .flat_map(|service| &service.depends_on)
            .filter(|(_, dependency)| dependency.condition == Condition::CompletedSuccessfully)
            .map(|(name, _)| name)
            .collect();
        Course {
            stack,
            jobs,
            left: Cell::new(MOST_FOLLOWED),
        }
    }

    /// Whether somebody waits for the end of a service.
    pub fn is_job(&self, service: &Service) -> bool {
        self.jobs.contains(&service.name)
    }

    /// Of two services the one that has ended before the other starts, and that other.
    pub fn in_turn<'n>(
        &self,
        one: &'n ServiceName,
        two: &'n ServiceName,
    ) -> Option<(&'n ServiceName, &'n ServiceName)> {
        [(one, two), (two, one)]
            .into_iter()
            .find(|(job, later)| self.ends_before(job, later))
    }

    /// Whether a job has ended before a service starts: the service, or something that it waits for, waits for the
    /// job's end.
    pub fn ends_before(&self, job: &ServiceName, later: &ServiceName) -> bool {
        if job == later || !self.jobs.contains(job) {
            return false;
        }
        let mut open = vec![later];
        let mut seen: HashSet<&ServiceName> = HashSet::from([later]);
        while let Some(service) = open.pop().and_then(|name| self.stack.services.get(name)) {
            for (name, dependency) in &service.depends_on {
                let ends = dependency.condition == Condition::CompletedSuccessfully;
                if (ends && name == job) || self.left.get() == 0 {
                    return true;
                }
                self.left.set(self.left.get() - 1);
                if seen.insert(name) {
                    open.push(name);
                }
            }
        }
        false
    }
}

/// The warning for what a job leaves to a service: it is in the way when the job runs once more.
pub fn in_turn(
    code: &'static str,
    message: &str,
    job: &ServiceName,
    later: &ServiceName,
) -> Diagnostic {
    Diagnostic::warning(
        code,
        format!("{message}, one after the other: `{later}` starts when `{job}` has ended"),
    )
    .hint(format!(
        "this works as long as `{later}` is stopped whenever `{job}` runs again"
    ))
}
