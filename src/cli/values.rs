//! Values on the command line that are more than a word.

use std::str::FromStr;

use crate::model::name::ServiceName;

/// `--scale SERVICE=NUMBER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    pub service: ServiceName,
    pub number: u32,
}

impl FromStr for Scale {
    type Err = String;

    fn from_str(text: &str) -> Result<Scale, String> {
        let (service, number) = text
            .split_once('=')
            .ok_or_else(|| "write SERVICE=NUMBER, such as web=3".to_owned())?;
        Ok(Scale {
            service: service.parse().map_err(|error| format!("{error}"))?,
            number: number
                .parse()
                .map_err(|_| format!("`{number}` is not a number of containers"))?,
        })
    }
}

/// `-e NAME=VALUE`, or `-e NAME` for the value that this process has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    /// None takes the value from outside.
    pub value: Option<String>,
}

impl FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> Result<Variable, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        if name.is_empty() {
            return Err("a variable needs a name: NAME=VALUE".to_owned());
        }
        Ok(Variable {
            name: name.to_owned(),
            value,
        })
    }
}

impl Variable {
    /// As the engine takes it; a variable that is not set outside is left out.
    pub fn resolve(&self) -> Option<(String, String)> {
        let value = match &self.value {
            Some(value) => value.clone(),
            None => std::env::var(&self.name).ok()?,
        };
        Some((self.name.clone(), value))
    }
}

#[cfg(test)]
mod tests {
    use super::{Scale, Variable};

    #[test]
    fn a_scale_is_a_service_and_a_number() {
        let scale: Scale = "web=3".parse().unwrap();
        assert_eq!((scale.service.as_str(), scale.number), ("web", 3));
        for wrong in ["web", "web=-1", "web=x", "=3"] {
            assert!(wrong.parse::<Scale>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_variable_may_have_an_empty_value_and_equals_signs_in_it() {
        let variable: Variable = "A=b=c".parse().unwrap();
        assert_eq!(variable.value.as_deref(), Some("b=c"));
        assert_eq!("A=".parse::<Variable>().unwrap().value.as_deref(), Some(""));
        assert_eq!("A".parse::<Variable>().unwrap().value, None);
        assert!("=x".parse::<Variable>().is_err());
    }
}
