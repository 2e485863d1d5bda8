//! Settings from the environment: every `COMPOSE_NAME` that Docker Compose knows, and `STACK_NAME`, which goes first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostics;
use crate::file::decode::decoded;
use crate::file::environment::{Assignments, Environment, dotenv};
use crate::file::files::Files;
use crate::file::paths::Base;
use crate::source::Sources;

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

    /// Takes over what files of variables say of our settings, where the environment says nothing: `--env-file`, else
    /// `COMPOSE_ENV_FILES`, else `.env` in the folder of the stack. Which files these are is not taken from them. What is
    /// wrong with such a file is told by the reader.
    pub fn fill_from_files(
        &mut self,
        named: &[PathBuf],
        here: &Path,
        folder: &Path,
        files: &dyn Files,
    ) {
        let mut paths: Vec<PathBuf> = named.to_vec();
        if paths.is_empty() {
            paths = self
                .list("ENV_FILES", ",")
                .into_iter()
                .map(PathBuf::from)
                .collect();
        }
        if paths.is_empty() && !self.is_on("DISABLE_ENV_FILE") {
            paths.push(folder.join(".env"));
        }
        let mut environment = Environment::default();
        for (name, value) in &self.variables {
            environment.set(name, value);
        }
        let mut sources = Sources::default();
        let (mut found, mut unheard) = (Assignments::default(), Diagnostics::default());
        // By the very path that the reader will ask for.
        let base = Base {
            directory: here.to_owned(),
            home: self.variable("HOME").map(PathBuf::from),
        };
        for path in paths {
            let path = base.path(&path.to_string_lossy());
            let Some(text) = files.read(&path).ok().and_then(|bytes| decoded(bytes).ok()) else {
                continue;
            };
            let name = path.display().to_string();
            let source = sources.add(name, Some(path), text.into(), None);
            dotenv::parse(&sources, source, &environment, &mut found, &mut unheard);
        }
        for (name, variable) in found.iter() {
            let setting = name
                .strip_prefix("COMPOSE_")
                .or_else(|| name.strip_prefix("STACK_"));
            if setting.is_some_and(|setting| !matches!(setting, "ENV_FILES" | "DISABLE_ENV_FILE")) {
                self.variables
                    .entry(name.to_string())
                    .or_insert_with(|| variable.value.to_string());
            }
        }
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
    use std::path::{Path, PathBuf};

    use super::Settings;
    use crate::file::files::Disk;

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

    #[test]
    fn a_file_of_variables_fills_only_what_the_environment_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let text = "COMPOSE_ANSI=never\nCOMPOSE_PROFILES=file\nPATH=/nowhere\nCOMPOSE_ENV_FILES=x\nSTACK_FILE=a.yaml\n";
        std::fs::write(folder.path().join(".env"), text).unwrap();
        let mut some = settings(&[("COMPOSE_PROFILES", "environment")]);
        some.fill_from_files(&[], Path::new("/"), folder.path(), &Disk);
        assert_eq!(some.get("ANSI"), Some("never"));
        assert_eq!(some.get("PROFILES"), Some("environment"));
        assert_eq!(some.get("FILE"), Some("a.yaml"));
        assert_eq!(some.get("ENV_FILES"), None);
        assert_eq!(some.variable("PATH"), None);
        let mut off = settings(&[("COMPOSE_DISABLE_ENV_FILE", "true")]);
        off.fill_from_files(&[], folder.path(), folder.path(), &Disk);
        assert_eq!(off.get("ANSI"), None);
        off.fill_from_files(
            &[PathBuf::from(".env")],
            folder.path(),
            Path::new("/"),
            &Disk,
        );
        assert_eq!(off.get("ANSI"), Some("never"));
    }
}
