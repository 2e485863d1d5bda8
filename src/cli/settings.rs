//! Settings from the environment: every `COMPOSE_NAME` that Docker Compose knows, and `STACK_NAME`, which goes first.

use std::collections::BTreeMap;

/// The environment, read once.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    variables: BTreeMap<String, String>,
}

impl Settings {
    /// These variables; what is not Unicode is left out, as in Compose.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Settings {
        Settings {
            variables: variables.into_iter().collect(),
        }
    }

    /// The environment of this process.
    pub fn of_process() -> Settings {
        Settings::new(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }

    /// All of them.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// A variable by its whole name; an empty one counts as not set.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// `STACK_NAME`, else `COMPOSE_NAME`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variable(&format!("STACK_{name}"))
            .or_else(|| self.variable(&format!("COMPOSE_{name}")))
    }

    /// `STACK_NAME`, for what Compose does not know.
    pub fn get_own(&self, name: &str) -> Option<&str> {
        self.variable(&format!("STACK_{name}"))
    }

    /// Whether it is set to something that means yes.
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| {
            matches!(
                value.to_ascii_lowercase().as_str(),
                "1" | "t" | "true" | "y" | "yes" | "on"
            )
        })
    }

    /// A list: separated by `separator`, blanks around the items dropped.
    pub fn list(&self, name: &str, separator: &str) -> Vec<String> {
        self.get(name)
            .into_iter()
            .flat_map(|value| value.split(separator))
            .map(|item| item.trim().to_owned())
            .filter(|item| !item.is_empty())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        Settings::new(
            variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )
    }

    #[test]
    fn our_own_variable_goes_before_the_one_of_compose() {
        let both = settings(&[("COMPOSE_PROJECT_NAME", "a"), ("STACK_PROJECT_NAME", "b")]);
        assert_eq!(both.get("PROJECT_NAME"), Some("b"));
        let empty = settings(&[("COMPOSE_PROJECT_NAME", "a"), ("STACK_PROJECT_NAME", "")]);
        assert_eq!(empty.get("PROJECT_NAME"), Some("a"));
    }

    #[test]
    fn a_list_has_no_empty_items() {
        let some = settings(&[("COMPOSE_PROFILES", "x, y,")]);
        assert_eq!(some.list("PROFILES", ","), ["x", "y"]);
    }
}
