//! Variables: what the process, `--env-file`, `.env` and an include give. Every value that was set in a file knows where.
//! Pure: texts come in from outside.

pub mod dotenv;
pub mod raw;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use crate::file::template::Lookup;
use crate::source::Span;

/// Variables by name. Cheap to clone for the sake of includes.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    values: HashMap<Arc<str>, Variable>,
}

/// A value and where it was set, if in a file.
#[derive(Debug, Clone)]
pub struct Variable {
    pub value: Arc<str>,
    pub from: Option<Span>,
}

impl Environment {
    /// Sets a variable, whatever it was.
    pub fn set(&mut self, name: &str, value: &str) {
        self.values.insert(
            name.into(),
            Variable {
                value: value.into(),
                from: None,
            },
        );
    }

    /// Takes variables in that are not set yet.
    pub fn add_below(&mut self, below: Assignments) {
        for (name, variable) in below.values {
            self.values.entry(name).or_insert(variable);
        }
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|variable| &*variable.value)
    }

    /// The value of a variable, where it is set and not empty.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// All variables, sorted by name.
    pub fn sorted(&self) -> Vec<(&str, &str)> {
        let mut all: Vec<_> = self
            .values
            .iter()
            .map(|(name, variable)| (&**name, &*variable.value))
            .collect();
        all.sort_unstable();
        all
    }
}

impl Lookup for Environment {
    fn variable(&self, name: &str) -> Option<(Arc<str>, Option<Span>)> {
        self.values
            .get(name)
            .map(|variable| (variable.value.clone(), variable.from))
    }
}

/// What env files set, in the order of first mention; a later one wins.
#[derive(Debug, Clone, Default)]
pub struct Assignments {
    order: Vec<Arc<str>>,
    values: HashMap<Arc<str>, Variable>,
}

impl Assignments {
    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: &str, from: Option<Span>) {
        let name: Arc<str> = name.into();
        if self
            .values
            .insert(
                name.clone(),
                Variable {
                    value: value.into(),
                    from,
                },
            )
            .is_none()
        {
            self.order.push(name);
        }
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&Variable> {
        self.values.get(name)
    }

    /// All in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Variable)> {
        self.order
            .iter()
            .filter_map(|name| Some((name, self.values.get(name)?)))
    }
}

/// Looks in one place first, then in another.
pub struct Layered<'a> {
    pub first: &'a dyn Lookup,
    pub then: &'a dyn Lookup,
}

impl Lookup for Layered<'_> {
    fn variable(&self, name: &str) -> Option<(Arc<str>, Option<Span>)> {
        self.first
            .variable(name)
            .or_else(|| self.then.variable(name))
    }
}

impl Lookup for Assignments {
    fn variable(&self, name: &str) -> Option<(Arc<str>, Option<Span>)> {
        self.values
            .get(name)
            .map(|variable| (variable.value.clone(), variable.from))
    }
}
