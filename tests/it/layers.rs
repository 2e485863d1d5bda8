//! Imports point down. This reads the `use` lines (and other paths) of `src/` and holds them against the table; with
//! one crate the compiler does not do it.

use std::fs;
use std::path::{Path, PathBuf};

/// Who may import whom, by the first word of the path below the crate. What is not listed imports nothing of ours.
const MAY: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("doctor", &["model", "plan"]),
    (
        "cli",
        &[
            "agent",
            "apply",
            "diagnostic",
            "doctor",
            "draw",
            "file",
            "lab",
            "model",
            "plan",
            "reach",
            "source",
            "world",
        ],
    ),
    ("doctor", &["model", "plan", "world"]),
    ("lab", &["diagnostic", "model", "plan", "reach", "world"]),
    ("agent", &["apply", "model", "plan", "world"]),
    ("draw", &["model", "plan", "reach"]),
    ("reach", &["model", "plan", "world"]),
    ("apply", &["model", "plan", "world"]),
    ("world", &["model", "plan"]),
    ("file", &["diagnostic", "model", "source"]),
    ("plan", &["model"]),
    ("diagnostic", &["source"]),
    ("model", &[]),
    ("source", &[]),
    ("lib", &[]),
];

/// Of a floor that has a door, only the door: (who, floor, what of it).
const ONLY: &[(&str, &str, &[&str])] = &[(
    "apply",
    "world",
    &["World", "WorldError", "ErrorKind", "Progress"],
)];

/// Crates that live behind one wall: (crate, the folders and files that may name it).
const WALLS: &[(&str, &[&str])] = &[
    ("bollard", &["world/engine/"]),
    ("hyper", &["world/engine/"]),
    ("rtnetlink", &["world/host/", "world/netns.rs"]),
    ("netlink_packet_route", &["world/host/", "world/netns.rs"]),
    ("netlink_packet_core", &["world/host/", "world/netns.rs"]),
    ("netlink_sys", &["world/host/", "world/netns.rs"]),
    ("petgraph", &["plan/graph.rs"]),
    ("clap", &["cli/", "main.rs"]),
    ("clap_complete", &["cli/"]),
    ("serde_yaml", &["file/", "cli/"]),
    ("saphyr_parser", &["file/"]),
    (
        "tokio",
        &[
            "agent/", "apply/", "cli/", "lab/", "main.rs", "reach/", "world/",
        ],
    ),
];

/// Words of code that live behind one wall.
const WORDS: &[(&str, &[&str])] = &[
    ("println!", &["cli/"]),
    ("print!", &["cli/"]),
    ("eprintln!", &["cli/"]),
    ("eprint!", &["cli/"]),
    ("dbg!", &[]),
    ("todo!", &[]),
    ("unimplemented!", &[]),
    (".unwrap()", &[]),
    ("#[allow(", &[]),
];

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).expect("src is readable");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        // Modules of tests, compiled for tests only, may do what tests do.
        if path.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The lines of code before the tests, without comments; with their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate();
    lines
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .map(|(number, line)| (number + 1, line.split("//").next().unwrap_or("")))
}

fn is_at(file: &str, places: &[&str]) -> bool {
    places.iter().any(|place| match place.ends_with('/') {
        true => file.starts_with(place) || file == format!("{}.rs", place.trim_end_matches('/')),
        false => file == *place,
    })
}

/// Whether `word` stands in `line` and is not the end of a longer one.
fn says(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !word.starts_with(char::is_alphabetic)
            || !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

fn broken(file: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    let floor = file.split(['/', '.']).next().unwrap_or(file);
    let Some((_, may)) = MAY.iter().find(|(name, _)| *name == floor) else {
        return vec![format!(
            "src/{file}: no rule says what `{floor}` may import"
        )];
    };
    for (number, line) in code(text) {
        let mut tell =
            |rule: String| broken.push(format!("src/{file}:{number}: {rule}\n    {}", line.trim()));
        let root = if floor == "main" {
            "stack::"
        } else {
            "crate::"
        };
        for (at, _) in line.match_indices(root) {
            let path = &line[at + root.len()..];
            let end = |c: char| !(c.is_alphanumeric() || c == '_');
            let owner = path.split(end).next().unwrap_or("");
            if owner != floor && !may.contains(&owner) {
                tell(format!("`{floor}` may not import `{owner}`"));
            }
            let only = ONLY
                .iter()
                .find(|(who, of, _)| *who == floor && *of == owner);
            if let Some((_, _, names)) = only {
                let inside = path[owner.len()..].trim_start_matches("::");
                let named = inside
                    .trim_matches(|c| "{};".contains(c))
                    .split([',', ';', '}']);
                for name in named.map(|name| name.trim().trim_start_matches('{')) {
                    let name = name.split("::").next().unwrap_or(name).trim();
                    if !name.is_empty() && !names.contains(&name) {
                        tell(format!(
                            "`{floor}` may import of `{owner}` only {names:?}, not `{name}`"
                        ));
                    }
                }
            }
        }
        for (name, places) in WALLS {
            let named = says(line, &format!("{name}::")) || says(line, &format!("use {name};"));
            if named && !is_at(file, places) {
                tell(format!("`{name}` is named only in {places:?}"));
            }
        }
        for (word, places) in WORDS {
            if says(line, word) && !is_at(file, places) {
                tell(format!("`{word}` is written only in {places:?}"));
            }
        }
        let statement = line
            .trim()
            .trim_start_matches("pub ")
            .trim_start_matches("pub(crate) ");
        if statement.starts_with("use ") {
            if statement.ends_with("::*;") {
                tell("no glob imports".to_owned());
            }
            if line.trim().starts_with("pub") {
                tell("no re-exports".to_owned());
            }
            if statement.contains("super::super") {
                tell("no `super::super`: name the owner".to_owned());
            }
        }
    }
    broken
}

#[test]
fn imports_point_down_and_walls_hold() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&root, &mut all);
    assert!(all.len() > 30, "only {} files were found", all.len());
    let mut told = Vec::new();
    for path in all {
        let file = path.strip_prefix(&root).unwrap().to_str().unwrap();
        told.extend(broken(file, &fs::read_to_string(&path).unwrap()));
    }
    assert!(told.is_empty(), "\n{}", told.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&root, &mut all);
    let silent: Vec<_> = all
        .iter()
        .filter(|path| !fs::read_to_string(path).unwrap().starts_with("//! "))
        .collect();
    assert!(
        silent.is_empty(),
        "files without a `//!` header: {silent:#?}"
    );
}

#[test]
fn a_broken_rule_is_told_with_its_place() {
    let text = "use crate::cli::exit;\nuse bollard::Docker;\n// println!(\"a comment\");\nlet x = y.unwrap();\n";
    assert_eq!(
        broken("plan/step.rs", text),
        [
            "src/plan/step.rs:1: `plan` may not import `cli`\n    use crate::cli::exit;",
            "src/plan/step.rs:2: `bollard` is named only in [\"world/engine/\"]\n    use bollard::Docker;",
            "src/plan/step.rs:4: `.unwrap()` is written only in []\n    let x = y.unwrap();",
        ]
    );
    let text = "use crate::world::engine::Engine;\nuse crate::world::{ErrorKind, World};\n";
    assert_eq!(
        broken("apply/mod.rs", text),
        [
            "src/apply/mod.rs:1: `apply` may import of `world` only [\"World\", \"WorldError\", \"ErrorKind\", \"Progress\"], not `engine`\n    use crate::world::engine::Engine;"
        ]
    );
    assert_eq!(
        broken("attic/old.rs", ""),
        ["src/attic/old.rs: no rule says what `attic` may import"]
    );
}
