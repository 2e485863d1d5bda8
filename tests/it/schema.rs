//! The JSON Schema: checked in as the grammar has it, accepting what the reader accepts and refusing what it refuses
//! for its shape.

use std::path::Path;

use serde_json::Value;
use stack::file::files::Memory;
use stack::file::request::Request;
use stack::file::schema::{json_of, schema, text};

use crate::corpus;

fn checked_in() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/stack.schema.json")
}

fn mistakes(file: &Value) -> Vec<String> {
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    validator
        .iter_errors(file)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn the_schema_in_the_repository_is_that_of_the_grammar() {
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(checked_in(), text()).unwrap();
    }
    let there = std::fs::read_to_string(checked_in()).unwrap_or_default();
    assert!(
        there == text(),
        "schema/stack.schema.json is stale: run the tests with UPDATE_SCHEMA=1"
    );
}

#[test]
fn every_key_is_explained_and_its_examples_are_valid() {
    fn walk(name: &str, shape: &Value, root: &Value, told: &mut Vec<String>) {
        for (key, property) in shape["properties"].as_object().into_iter().flatten() {
            for word in ["title", "description"] {
                if property[word].as_str().is_none_or(str::is_empty) {
                    told.push(format!("{name}.{key} has no {word}"));
                }
            }
            let mut own = property.clone();
            own["$defs"] = root["$defs"].clone();
            let validator = jsonschema::draft202012::new(&own).unwrap();
            let examples = property["examples"].as_array().into_iter().flatten();
            for example in examples.chain(property.get("default")) {
                if !validator.is_valid(example) || example.is_null() {
                    told.push(format!("{name}.{key}: {example} is not valid"));
                }
            }
        }
    }
    let root = schema();
    let mut told = Vec::new();
    walk("top", &root, &root, &mut told);
    for (name, shape) in root["$defs"].as_object().unwrap() {
        walk(name, shape, &root, &mut told);
    }
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn valid_files_validate() {
    let mut files: Vec<(String, String)> = Vec::new();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for entry in std::fs::read_dir(examples).into_iter().flatten().flatten() {
        let path = entry.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            files.push((
                path.display().to_string(),
                std::fs::read_to_string(&path).unwrap(),
            ));
        }
    }
    match corpus::folder() {
        Some(folder) => {
            for name in corpus::files(&folder) {
                files.push((
                    name.clone(),
                    std::fs::read_to_string(folder.join(&name)).unwrap(),
                ));
            }
        }
        None => println!("skipped: no corpus"),
    }
    for (name, text) in files {
        // The tag `!reset` stands for no value at all, and a schema knows no tags.
        if text.contains("!reset") || text.contains("!override") {
            continue;
        }
        let told = mistakes(&json_of(&text));
        assert!(told.is_empty(), "{name}: {told:#?}");
    }
}

#[test]
fn files_that_are_refused_for_their_shape_do_not_validate() {
    let web = |rest: &str| format!("services: {{web: {{image: x, {rest}}}}}");
    for file in [
        "service: {}".to_owned(),
        "services: []".to_owned(),
        "services: {a b: {image: x}}".to_owned(),
        web("prots: []"),
        web("ports: \"80:80\""),
        web("ports: [{published: 80, tarte: 5}]"),
        web("ports: [{target: 99999}]"),
        web("privileged: maybe"),
        web("image2: 5"),
        web("environment: {A: [1]}"),
        web("healthcheck: {interval: 5}"),
        web("healthcheck: {retries: -1}"),
        web("stop_grace_period: 5x"),
        web("mem_limit: 5zz"),
        web("cgroup: other"),
        web("depends_on: {db: {condition: done}}"),
        web("volumes: [{target: /x}]"),
        web("ulimits: {nofile: {soft: 1}}"),
        web("secrets: [{source: s, mode: 999999}]"),
        web("networks: {lan: {ipv4: 1.2.3.4}}"),
        web("build: {contxt: .}"),
        web("deploy: {replicas: many}"),
        "services: {web: {image: 5}}".to_owned(),
        "services: {}\nnetworks: {lan: {subnet: 10.0.0.0/8}}".to_owned(),
        "services: {}\nnetworks: {lan: {promiscuous: sometimes}}".to_owned(),
        "services: {}\nnetworks: {lan: {shim: {adress: auto}}}".to_owned(),
        "services: {}\nlans: {office: {mtu: 5}}".to_owned(),
        "services: {}\nchecks: [{from: host}]".to_owned(),
        "services: {}\nvolumes: {v: {external: perhaps}}".to_owned(),
    ] {
        let memory = Memory::of([("/lab/stack.yaml", file.as_str())]);
        let reading = stack::file::read(&Request::new("/lab"), &memory);
        assert!(reading.diagnostics.has_errors(), "the reader takes {file}");
        assert!(
            !mistakes(&json_of(&file)).is_empty(),
            "the schema takes {file}"
        );
    }
}
