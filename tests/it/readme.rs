//! The README holds what it says: every command in it is run by a test, every file that it names is there, every example
//! is in it, and its stack files are read without a complaint.
//!
//! A block of commands (```` ```sh ````) has a mark above it that a reader does not see:
//!
//! * `<!-- live: MODULE::TEST -->`: that live test runs it, as written;
//! * `<!-- self: FILE -->`: it is what runs the tests, and FILE calls it.
//!
//! `<!-- file: NAME -->` above a block of YAML says what the commands below it find under that name.

use std::path::{Path, PathBuf};

use stack::diagnostic::render::{Colour, text};
use stack::file::files::Disk;
use stack::file::request::Request;

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    std::fs::read_to_string(repository().join("README.md")).unwrap()
}

/// A fenced block: its language, the comment in the line above it, and what is in it.
#[derive(Debug, PartialEq)]
struct Block<'a> {
    language: &'a str,
    mark: Option<(&'a str, &'a str)>,
    text: String,
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    let mut above = "";
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let mark = above
                .strip_prefix("<!-- ")
                .and_then(|mark| mark.strip_suffix(" -->"))
                .and_then(|mark| mark.split_once(": "));
            blocks.push(Block {
                language,
                mark,
                text: inside.join("\n"),
            });
        }
        above = line;
    }
    blocks
}

/// What is wrong with the marks of the commands.
fn unproven(text: &str, live_tests: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for block in blocks(text) {
        if block.language != "sh" {
            continue;
        }
        let problem = match block.mark {
            None => Some("has no mark that says which test runs it".to_owned()),
            Some(("live", name)) => (!live_tests.contains(&format!("name: \"{name}\"")))
                .then(|| format!("names the live test `{name}`, which is not there")),
            Some(("self", file)) => {
                let script = std::fs::read_to_string(repository().join(file)).unwrap_or_default();
                let called = block.text.trim_start_matches("sh ");
                (!script.contains(called)).then(|| format!("is not what `{file}` runs"))
            }
            Some((other, _)) => Some(format!("has the mark `{other}`, which means nothing")),
        };
        wrong.extend(problem.map(|problem| format!("`{}` {problem}", block.text)));
    }
    wrong
}

/// All sources of the live tests, one after the other.
fn live_tests() -> String {
    fn collect(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                *text += &std::fs::read_to_string(&path).unwrap();
            }
        }
    }
    let mut text = String::new();
    collect(&repository().join("tests/live"), &mut text);
    text
}

#[test]
fn every_command_is_run_by_a_test() {
    assert_eq!(unproven(&readme(), &live_tests()), Vec::<String>::new());
}

#[test]
fn a_command_without_a_test_is_seen() {
    let bare = "text\n\n```sh\nstack up\n```\n";
    assert_eq!(
        unproven(bare, ""),
        ["`stack up` has no mark that says which test runs it"]
    );
    let wrong = "<!-- live: readme::nothing -->\n```sh\nstack up\n```\n";
    assert_eq!(
        unproven(wrong, "name: \"readme::something\""),
        ["`stack up` names the live test `readme::nothing`, which is not there"]
    );
    let other = "<!-- self: .ci/run -->\n```sh\nsh tests/other.sh\n```\n";
    assert_eq!(
        unproven(other, ""),
        ["`sh tests/other.sh` is not what `.ci/run` runs"]
    );
}

/// The targets of links and pictures.
fn targets(text: &str) -> Vec<&str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .collect()
}

#[test]
fn every_link_leads_to_a_file() {
    let text = readme();
    let missing: Vec<&str> = targets(&text)
        .into_iter()
        .filter(|target| !target.contains("://") && !repository().join(target).exists())
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn every_example_is_in_it() {
    let text = readme();
    let linked = targets(&text);
    let mut absent = Vec::new();
    for entry in std::fs::read_dir(repository().join("examples")).unwrap() {
        let path = entry.unwrap().path().join("stack.yaml");
        let relative = path.strip_prefix(repository()).unwrap().to_owned();
        if path.exists() && !linked.iter().any(|target| Path::new(target) == relative) {
            absent.push(relative);
        }
    }
    assert_eq!(absent, Vec::<PathBuf>::new());
}

#[test]
fn its_stack_files_are_read_without_a_complaint() {
    let text_of_readme = readme();
    let files: Vec<Block> = blocks(&text_of_readme)
        .into_iter()
        .filter(|block| block.language == "yaml")
        .collect();
    assert!(!files.is_empty());
    for block in files {
        let (kind, name) = block.mark.expect("a YAML block says which file it is");
        assert_eq!(kind, "file");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, &block.text).unwrap();
        let reading = stack::file::read(&Request::new(folder.path()).file(&path), &Disk);
        let told = text(&reading.diagnostics, &reading.sources, Colour::Never);
        assert_eq!(told, "", "{}", block.text);
    }
}

#[test]
fn the_examples_say_what_they_show_and_fit_on_a_screen() {
    for entry in std::fs::read_dir(repository().join("examples")).unwrap() {
        let path = entry.unwrap().path().join("stack.yaml");
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        let head: Vec<&str> = text
            .lines()
            .take_while(|line| line.starts_with('#'))
            .collect();
        for word in ["# Shows:", "# Try:", "# Surprising:"] {
            let said = head.iter().any(|line| line.starts_with(word));
            assert!(said, "{} does not begin with `{word}`", path.display());
        }
        for line in text.lines() {
            assert!(line.chars().count() <= 120, "{}: {line}", path.display());
        }
    }
}
