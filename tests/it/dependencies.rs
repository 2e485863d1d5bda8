//! What we build on: how many crates, under which licenses, from where, which in two versions, and that the manifest says
//! what each direct one is for. Advisories are not looked up here; see benches/README.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What may be built into a program that is MIT or Apache-2.0: nothing here asks more than to keep a notice.
const LICENSES: &[&str] = &[
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// How many crates a release is built from, at most, with the crates of the build itself.
const MOST: usize = 170;

/// Crates that are there in two versions because others ask for different ones; each costs time and size.
const TWICE: &[&str] = &["foldhash", "hashbrown", "syn"];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All crates that a build for this platform has, tests included, without asking anybody.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--format-version", "1"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(repository())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// The crates of a release build, as `name version`.
fn of_a_release() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--prefix", "none"])
        .args(["--edges", "normal,build", "--format", "{p}"])
        .current_dir(repository())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| {
            line.split_whitespace()
                .take(2)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .filter(|name| !name.is_empty() && !name.starts_with("stack "))
        .collect()
}

/// Whether an SPDX expression can be met with the licenses above: one of each `OR`, all of an `AND`.
fn may_be_used(expression: &str) -> bool {
    let bare = expression.replace(['(', ')'], "").replace('/', " OR ");
    bare.split(" AND ").all(|part| {
        part.split(" OR ")
            .any(|license| LICENSES.contains(&license.trim()))
    })
}

#[test]
fn licenses_are_read() {
    assert!(may_be_used("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(may_be_used("GPL-3.0 OR MIT"));
    assert!(!may_be_used("MIT AND GPL-3.0"));
    assert!(!may_be_used("AGPL-3.0"));
}

#[test]
fn every_crate_has_a_license_that_allows_its_use_and_comes_from_the_registry() {
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        if name == "stack" {
            continue;
        }
        let license = package["license"].as_str().unwrap_or("none");
        assert!(may_be_used(license), "{name}: {license}");
        let source = package["source"].as_str().unwrap_or("none");
        assert!(source.starts_with("registry+"), "{name}: {source}");
    }
}

#[test]
fn a_release_is_built_from_few_crates_and_few_of_them_twice() {
    let crates = of_a_release();
    assert!(
        crates.len() <= MOST,
        "{} crates; is the new one worth it?",
        crates.len()
    );
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for one in &crates {
        let name = one.split(' ').next().unwrap();
        *versions.entry(name).or_default() += 1;
    }
    let twice: Vec<&str> = versions
        .iter()
        .filter(|(_, count)| **count > 1)
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(twice, TWICE);
}

#[test]
fn the_manifest_says_what_each_dependency_is_for() {
    let manifest = std::fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let dependencies = manifest
        .split("[dependencies]")
        .nth(1)
        .and_then(|rest| rest.split("\n[").next())
        .unwrap();
    let mut before = "";
    for line in dependencies.lines().filter(|line| !line.is_empty()) {
        if !line.starts_with('#') {
            assert!(before.starts_with('#'), "no reason above `{line}`");
        }
        before = line;
    }
}
