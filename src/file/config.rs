//! What `stack config` prints, one function for each of its flags. Data only; the command prints it.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::file::Reading;
use crate::file::document::Document;
use crate::file::tree::{Entry, Node};
use crate::model::service::Service;

fn entries<'a>(document: &'a Document, kind: &str) -> Vec<&'a Entry> {
    let mapping = document.root.get(kind).and_then(Node::as_mapping);
    let mut all: Vec<&Entry> = mapping
        .into_iter()
        .flat_map(|mapping| mapping.iter())
        .collect();
    all.sort_by(|one, two| one.key.cmp(&two.key));
    all
}

fn names(document: &Document, kind: &str) -> Vec<String> {
    entries(document, kind)
        .into_iter()
        .map(|entry| entry.key.to_string())
        .collect()
}

/// `--services`: the names of the services.
pub fn services(document: &Document) -> Vec<String> {
    names(document, "services")
}

/// `--networks`: the keys of the networks.
pub fn networks(document: &Document) -> Vec<String> {
    names(document, "networks")
}

/// `--volumes`: the keys of the volumes.
pub fn volumes(document: &Document) -> Vec<String> {
    names(document, "volumes")
}

/// `--models`: the keys of the models.
pub fn models(document: &Document) -> Vec<String> {
    names(document, "models")
}

/// `--profiles`: all profiles of the file, active or not.
pub fn profiles(document: &Document) -> Vec<String> {
    document.profiles.clone()
}

/// `--images`: the image of each service, by its name.
pub fn images(document: &Document) -> BTreeMap<String, String> {
    let image = |entry: &Entry| match entry.node.get("image").and_then(Node::as_text) {
        Some(image) => image.to_owned(),
        None => format!("{}-{}", document.project, entry.key),
    };
    entries(document, "services")
        .into_iter()
        .map(|entry| (entry.key.to_string(), image(entry)))
        .collect()
}

/// `--hash '*'` or `--hash a,b`: services with their hashes. The planner knows what a hash is made of; the error is a
/// service that is not there.
///
/// # Errors
/// The name of a service that the stack does not have.
pub fn hashes(
    reading: &Reading,
    wanted: &str,
    hash: impl Fn(&Service) -> String,
) -> Result<Vec<(String, String)>, String> {
    let Some(stack) = &reading.stack else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    if wanted == "*" {
        all.extend(stack.services.values());
    } else {
        for name in wanted
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            all.push(stack.services.get(name).ok_or_else(|| name.to_owned())?);
        }
    }
    let mut all: Vec<(String, String)> = all
        .into_iter()
        .map(|one| (one.name.to_string(), hash(one)))
        .collect();
    all.sort();
    Ok(all)
}

/// `--environment`: the variables that the file's are filled in from, as `NAME=value`.
pub fn environment(reading: &Reading) -> Vec<String> {
    reading
        .environment
        .sorted()
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

/// `--variables`: the variables that the files use: name, whether it is required, default, alternative.
pub fn variables(reading: &Reading) -> Vec<[String; 4]> {
    let row = |(name, variable): (&String, &crate::file::interpolate::Variable)| {
        [
            name.clone(),
            variable.required.to_string(),
            variable.default.clone(),
            variable.alternative.clone(),
        ]
    };
    reading.variables.iter().map(row).collect()
}

/// `--variables --format json`.
pub fn variables_json(reading: &Reading) -> Json {
    let all: Map<String, Json> = reading
        .variables
        .iter()
        .map(|(name, variable)| {
            let value = json!({
                "Name": name,
                "DefaultValue": variable.default,
                "PresenceValue": variable.alternative,
                "Required": variable.required,
            });
            (name.clone(), value)
        })
        .collect();
    Json::Object(all)
}

/// `--resolve-image-digests`: puts digests, by service, in the place of images.
pub fn pin(document: &mut Document, digests: &BTreeMap<String, String>) {
    let services = document
        .root
        .get_mut("services")
        .and_then(Node::as_mapping_mut);
    for entry in services.into_iter().flat_map(|mapping| mapping.iter_mut()) {
        if let Some(digest) = digests.get(&*entry.key)
            && let Some(service) = entry.node.as_mapping_mut()
        {
            let span = entry.key_span;
            service.set("image", Node::text(digest.as_str(), span));
        }
    }
}

/// `--lock-image-digests`: an override file that only pins images.
pub fn lock(digests: &BTreeMap<String, String>) -> Json {
    let services: Map<String, Json> = digests
        .iter()
        .map(|(name, digest)| (name.clone(), json!({"image": digest})))
        .collect();
    json!({"services": services})
}
