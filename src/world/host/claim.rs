//! Whose a link is, and how ours are called before they are finished. A link is ours by its alias; in the instant
//! between its making and its alias by our group number together with a birth name that only this project gives.

use std::fmt;

use crate::model::hash;
use crate::model::mark::{LINK_GROUP, LinkMark, birth_prefix};
use crate::model::name::{LinkName, ProjectName};
use crate::plan::observed::LinkFact;
use crate::plan::spec::ResourceId;

/// Who made a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// This project, and it says what it is.
    Ours(LinkMark),
    /// This project; it was cut off before it said what it is.
    Newborn,
    /// Another project of `stack`.
    Project(String),
    /// Another project of `stack` that was cut off before it said which.
    Unnamed,
    /// Some project of `stack`, by its group; but somebody changed the alias that says which, or it never was.
    Altered,
    /// Someone else.
    Foreign,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Ours(mark) => {
                write!(f, "it is the {} `{}` of this project", mark.kind, mark.name)
            }
            Owner::Newborn => f.write_str("it is an unfinished link of this project"),
            Owner::Project(project) => write!(f, "it belongs to the project `{project}`"),
            Owner::Unnamed => f.write_str("it is an unfinished link of another project"),
            Owner::Altered => f.write_str(
                "it is in stack's group, but its alias does not say whose it is: somebody changed it",
            ),
            Owner::Foreign => f.write_str("it was not made by stack"),
        }
    }
}

/// Who made this link, seen from `project`.
pub fn owner(link: &LinkFact, project: &ProjectName) -> Owner {
    match link.mark() {
        Some(mark) if mark.is_of(project) => Owner::Ours(mark),
        Some(mark) => Owner::Project(mark.project),
        None if link.group != LINK_GROUP => Owner::Foreign,
        None if !is_newborn(link) => Owner::Altered,
        None if link.name.starts_with(&birth_prefix(project.as_str())) => Owner::Newborn,
        None => Owner::Unnamed,
    }
}

/// Whether a link was made by `stack` and cut off before it was marked: in our group under a birth name, down, and
/// without an alias. A group alone proves nothing: anybody may set it, and an alias may be changed.
pub fn is_newborn(link: &LinkFact) -> bool {
    link.group == LINK_GROUP
        && !link.up
        && link.alias.as_deref().unwrap_or_default().is_empty()
        && is_birth_name(&link.name)
}

/// Two letters and the digits of a project, a resource and a process.
fn is_birth_name(name: &str) -> bool {
    let digits = name.strip_prefix("st").unwrap_or_default();
    digits.len() == 13
        && digits
            .bytes()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether an unfinished link was to become (a part of) this resource.
pub fn is_birth_of(link: &LinkFact, project: &ProjectName, id: &ResourceId) -> bool {
    owner(link, project) == Owner::Newborn && link.name.starts_with(&birth_stem(project, id))
}

fn birth_stem(project: &ProjectName, id: &ResourceId) -> String {
    let digits = hash::short_hex(id.to_string().as_bytes(), 4);
    format!("{}{digits}", birth_prefix(project.as_str()))
}

/// The name under which a link of this resource is made: the project's and the resource's digits, and three that
/// differ from one process to the next, so that clearing away what a dead run left never takes what a living one is
/// making.
pub fn birth_name(project: &ProjectName, id: &ResourceId) -> LinkName {
    let name = format!(
        "{}{:03x}",
        birth_stem(project, id),
        std::process::id() & 0xfff
    );
    LinkName::fitted("", &name)
}

/// The short form of a spec's hash, as marks carry it.
pub fn short(hash: &str) -> String {
    hash.chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::{Owner, birth_name, is_birth_of, owner};
    use crate::model::mark::LINK_GROUP;
    use crate::plan::observed::LinkFact;
    use crate::plan::spec::{Kind, ResourceId};

    #[test]
    fn a_link_without_alias_is_known_by_group_and_birth_name() {
        let lab = "lab".parse().unwrap();
        let other = "other".parse().unwrap();
        let id = ResourceId::new(Kind::Shim, "shim-lan");
        let name = birth_name(&lab, &id);
        assert_eq!(name.as_str().len(), 15);
        let mut link = LinkFact {
            name: name.as_str().to_owned(),
            group: LINK_GROUP,
            ..LinkFact::default()
        };
        assert_eq!(owner(&link, &lab), Owner::Newborn);
        assert!(is_birth_of(&link, &lab, &id));
        assert!(!is_birth_of(&link, &lab, &ResourceId::new(Kind::Shim, "x")));
        assert_eq!(owner(&link, &other), Owner::Unnamed);
        for (up, alias, name) in [
            (true, None, link.name.as_str()),
            (false, Some("my own link"), link.name.as_str()),
            (false, None, "shim-lan"),
        ] {
            let other = LinkFact {
                up,
                alias: alias.map(str::to_owned),
                name: name.to_owned(),
                ..link.clone()
            };
            assert_eq!(owner(&other, &lab), Owner::Altered);
        }
        link.group = 0;
        assert_eq!(owner(&link, &lab), Owner::Foreign);
        link.alias = Some("stack project=other kind=shim name=a part= hash=0".to_owned());
        assert_eq!(owner(&link, &lab), Owner::Project("other".to_owned()));
    }
}
