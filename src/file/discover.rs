//! Which files are read when none is named, and what the project is called.

use std::path::{Path, PathBuf};

use crate::file::files::Files;

/// Names of stack files, in the order in which they are looked for.
pub const NAMES: [&str; 6] = [
    "stack.yaml",
    "stack.yml",
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];

/// Names of files that are merged over a file that was found by its name.
pub const OVERRIDES: [&str; 6] = [
    "stack.override.yaml",
    "stack.override.yml",
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The file, and the override beside it where there is one.
    pub files: Vec<PathBuf>,
    /// What to tell about names that would have been possible too.
    pub warnings: Vec<String>,
}

/// Looks in a folder and then in the ones above it.
pub fn files(start: &Path, files: &dyn Files) -> Found {
    let mut found = Found::default();
    for folder in start.ancestors() {
        let candidates = present(folder, &NAMES, files);
        let Some(winner) = candidates.first().cloned() else {
            continue;
        };
        several(&candidates, "config", &mut found.warnings);
        // A file of ours has overrides of its own kind only, and so has one of Compose.
        let own = winner
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("stack."));
        let names: Vec<&str> = OVERRIDES
            .into_iter()
            .filter(|name| name.starts_with("stack.") == own)
            .collect();
        let overrides = present(folder, &names, files);
        several(&overrides, "override", &mut found.warnings);
        found.files.push(winner);
        found.files.extend(overrides.into_iter().next());
        break;
    }
    found
}

fn present(folder: &Path, names: &[&str], files: &dyn Files) -> Vec<PathBuf> {
    names
        .iter()
        .map(|name| folder.join(name))
        .filter(|path| files.is_file(path))
        .collect()
}

fn several(candidates: &[PathBuf], what: &str, warnings: &mut Vec<String>) {
    if let [first, _, ..] = candidates {
        let all: Vec<String> = candidates
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        warnings.push(format!(
            "found multiple {what} files with supported names: {}; using {}",
            all.join(", "),
            first.display()
        ));
    }
}

/// A folder's or file's idea of a name made into a project name: lower case, other characters dropped.
pub fn clean_name(text: &str) -> String {
    let kept: String = text
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
        .collect();
    kept.trim_start_matches(['_', '-']).to_owned()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{clean_name, files};
    use crate::file::files::Memory;

    #[test]
    fn our_names_come_first_and_parents_are_searched() {
        let memory = Memory::of([
            ("/a/compose.yaml", ""),
            ("/a/stack.yml", ""),
            ("/a/compose.override.yaml", ""),
            ("/a/stack.override.yaml", ""),
        ]);
        let found = files(Path::new("/a/b/c"), &memory);
        assert_eq!(
            found.files,
            [
                PathBuf::from("/a/stack.yml"),
                PathBuf::from("/a/stack.override.yaml")
            ]
        );
        assert_eq!(found.warnings.len(), 1);
        assert!(files(Path::new("/x"), &memory).files.is_empty());
    }

    #[test]
    fn names_are_cleaned_as_in_compose() {
        assert_eq!(clean_name("_My Project.v2"), "myprojectv2");
        assert_eq!(clean_name("UNNORMALIZED PATH"), "unnormalizedpath");
        assert_eq!(clean_name("..."), "");
    }
}
