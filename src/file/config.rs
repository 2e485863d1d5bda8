//! What `stack config` can say of a reading besides the document itself. Data only; the command prints it.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::file::Reading;
use crate::file::document::Document;
use crate::file::interpolate::Variable;
use crate::file::tree::{Entry, Node};

fn services(document: &Document) -> impl Iterator<Item = &Entry> {
    let mapping = document.root.get("services").and_then(Node::as_mapping);
    mapping.into_iter().flat_map(|mapping| mapping.iter())
}

/// The images that services name, by service; services that are only built have none.
pub fn images(document: &Document) -> BTreeMap<String, String> {
    services(document)
        .filter_map(|entry| {
            let image = entry.node.get("image").and_then(Node::as_text)?;
            Some((entry.key.to_string(), image.to_owned()))
        })
        .collect()
}

/// `--variables`: the variables that the files use: name, whether it is required, default, alternative.
pub fn variables(reading: &Reading) -> Vec<[String; 4]> {
    let row = |(name, variable): (&String, &Variable)| {
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

/// `--resolve-image-digests`: puts pinned images, by service, in the place of what is written.
pub fn pin(document: &mut Document, pinned: &BTreeMap<String, String>) {
    let services = document
        .root
        .get_mut("services")
        .and_then(Node::as_mapping_mut);
    for entry in services.into_iter().flat_map(|mapping| mapping.iter_mut()) {
        if let Some(image) = pinned.get(&*entry.key)
            && let Some(service) = entry.node.as_mapping_mut()
        {
            let span = entry.key_span;
            service.set("image", Node::text(image.as_str(), span));
        }
    }
}

/// `--lock-image-digests`: an override file that only pins images.
pub fn lock(pinned: &BTreeMap<String, String>) -> Json {
    let services: Map<String, Json> = pinned
        .iter()
        .map(|(name, image)| (name.clone(), json!({"image": image})))
        .collect();
    json!({"services": services})
}
