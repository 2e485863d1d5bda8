//! Whose an engine object is, told from its labels.

use std::collections::{BTreeMap, HashMap};

use crate::model::mark;
use crate::model::name::ProjectName;

/// Whose an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// The project's, and made from the same spec; or made by Compose for this project, which tells no hash of ours.
    Same,
    /// The project's, and made from another spec.
    Changed,
    /// Somebody else's: `project `blog``, or `nobody's project`.
    Foreign(String),
}

/// Reads the labels of an object.
pub fn owner(labels: &HashMap<String, String>, project: &ProjectName, hash: &str) -> Owner {
    match labels.get(mark::PROJECT) {
        Some(other) if other != project.as_str() => {
            Owner::Foreign(format!("it belongs to the project `{other}`"))
        }
        None => Owner::Foreign("it was not made for any project".to_owned()),
        Some(_) => match labels.get(mark::HASH) {
            Some(other) if other != hash => Owner::Changed,
            Some(_) | None => Owner::Same,
        },
    }
}

/// Whether an object carries the project's label.
pub fn is_of(labels: &HashMap<String, String>, project: &ProjectName) -> bool {
    labels
        .get(mark::PROJECT)
        .is_some_and(|name| name == project.as_str())
}

/// The labels of a network or volume: the user's, Compose's and ours.
///
/// Compose's config hash is left out on purpose: an object without one is used by `docker compose` as it stands, one
/// with a hash that it did not compute is taken down and made anew (a volume with its data).
pub fn marked(
    user: &BTreeMap<String, String>,
    project: &ProjectName,
    key: (&str, &str),
    hash: &str,
) -> HashMap<String, String> {
    let version = env!("CARGO_PKG_VERSION");
    let mut labels: HashMap<String, String> = user.clone().into_iter().collect();
    labels.extend(
        [
            (mark::PROJECT, project.as_str()),
            key,
            (mark::COMPOSE_VERSION, version),
            (mark::HASH, hash),
            (mark::VERSION, version),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    labels
}

/// The user's labels of an object: without Compose's and ours.
pub fn users(labels: &HashMap<String, String>) -> BTreeMap<String, String> {
    labels
        .iter()
        .filter(|(name, _)| !name.starts_with("com.docker.compose.") && !name.starts_with("stack."))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::{Owner, marked, owner, users};

    #[test]
    fn an_object_is_ours_by_its_labels_only() {
        let lab = "lab".parse().unwrap();
        let blog = "blog".parse().unwrap();
        let user = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let labels = marked(&user, &lab, ("com.docker.compose.network", "lan"), "1234");
        assert_eq!(owner(&labels, &lab, "1234"), Owner::Same);
        assert_eq!(owner(&labels, &lab, "5678"), Owner::Changed);
        assert_eq!(
            owner(&labels, &blog, "1234"),
            Owner::Foreign("it belongs to the project `lab`".to_owned())
        );
        assert_eq!(
            owner(&HashMap::new(), &lab, "1234"),
            Owner::Foreign("it was not made for any project".to_owned())
        );
        assert_eq!(users(&labels), user);
    }
}
