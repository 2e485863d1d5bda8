//! Real Compose files and the normal form that `docker compose config` gives them: ours must be equal, as JSON.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use stack::diagnostic::render::{Colour, text};
use stack::file::files::Disk;
use stack::file::render::{Notation, value};
use stack::file::request::Request;

/// Files whose form differs on purpose, with the reason.
const ACCEPTED: [(&str, &str); 0] = [];

/// The folder of the corpus, where there is one.
pub fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("STACK_CORPUS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
        PathBuf::from,
    );
    folder
        .join("index.txt")
        .is_file()
        .then(|| folder.canonicalize().unwrap())
}

/// The files of the corpus, relative to its folder.
pub fn files(folder: &Path) -> Vec<String> {
    let index = std::fs::read_to_string(folder.join("index.txt")).unwrap();
    index
        .lines()
        .filter(|line| !line.is_empty())
        .map(ToOwned::to_owned)
        .collect()
}

fn differences(path: &str, wanted: &Value, got: &Value, out: &mut Vec<String>) {
    match (wanted, got) {
        (Value::Object(one), Value::Object(two)) => {
            for (key, value) in one {
                match two.get(key) {
                    Some(other) => differences(&format!("{path}.{key}"), value, other, out),
                    None => out.push(format!("{path}.{key}: wanted {value}, got nothing")),
                }
            }
            for (key, value) in two.iter().filter(|(key, _)| !one.contains_key(*key)) {
                out.push(format!("{path}.{key}: wanted nothing, got {value}"));
            }
        }
        (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
            for (index, (value, other)) in one.iter().zip(two).enumerate() {
                differences(&format!("{path}[{index}]"), value, other, out);
            }
        }
        _ if wanted == got => {}
        _ => out.push(format!("{path}: wanted {wanted}, got {got}")),
    }
}

#[test]
fn every_file_of_the_corpus_has_composes_normal_form() {
    let Some(folder) = folder() else {
        println!("skipped: no corpus");
        return;
    };
    let mut told = String::new();
    let (mut equal, mut accepted) = (0, 0);
    let files = files(&folder);
    for name in &files {
        let path = folder.join(name);
        let mut request = Request::new(path.parent().unwrap()).file(&path);
        request.environment = BTreeMap::from([("HOME".to_owned(), "/home/corpus".to_owned())]);
        let reading = stack::file::read(&request, &Disk);
        if reading.diagnostics.has_errors() {
            told += &format!(
                "{name}: refused\n{}",
                text(&reading.diagnostics, &reading.sources, Colour::Never)
            );
            continue;
        }
        let expected =
            std::fs::read_to_string(folder.join(format!("{name}.expected.json"))).unwrap();
        let expected = expected
            .replace("$CORPUS", folder.to_str().unwrap())
            .replace("$HOME", "/home/corpus");
        let expected: Value = serde_json::from_str(&expected).unwrap();
        let got = value(&reading.document, Notation::Json);
        let mut all = Vec::new();
        differences("", &expected, &got, &mut all);
        match (
            all.is_empty(),
            ACCEPTED.iter().find(|(file, _)| file == name),
        ) {
            (true, None) => equal += 1,
            (false, Some((_, reason))) => {
                accepted += 1;
                println!("{name} differs: {reason}");
            }
            (true, Some(_)) => {
                told += &format!("{name}: is equal now, remove it from the accepted differences\n")
            }
            (false, None) => told += &format!("{name}:\n  {}\n", all.join("\n  ")),
        }
    }
    println!(
        "{} files: {equal} equal, {accepted} differ on purpose",
        files.len()
    );
    assert!(told.is_empty(), "{told}");
}
