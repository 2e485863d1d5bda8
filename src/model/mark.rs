//! Marks: what says that a thing in the world is ours and whose it is. They live where the object lives: labels on
//! engine objects, a group number and an alias on links, a protocol number on routes.

use std::collections::BTreeMap;

use crate::model::hash;
use crate::model::name::ProjectName;

/// Compose's labels, so that `docker compose`, Portainer, Traefik and others see a normal project.
pub const PROJECT: &str = "com.docker.compose.project";
pub const SERVICE: &str = "com.docker.compose.service";
pub const NUMBER: &str = "com.docker.compose.container-number";
pub const ONE_OFF: &str = "com.docker.compose.oneoff";
pub const SLUG: &str = "com.docker.compose.slug";
pub const CONFIG_HASH: &str = "com.docker.compose.config-hash";
pub const COMPOSE_VERSION: &str = "com.docker.compose.version";
pub const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
pub const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
pub const ENVIRONMENT_FILE: &str = "com.docker.compose.project.environment_file";
pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
pub const IMAGE: &str = "com.docker.compose.image";
pub const NETWORK: &str = "com.docker.compose.network";
pub const VOLUME: &str = "com.docker.compose.volume";

/// Our own: the hash of the spec (for a container without its attachments), and the attachments as asked for (JSON),
/// because they can be changed live while labels cannot.
pub const HASH: &str = "stack.hash";
pub const ATTACHMENTS: &str = "stack.attachments";
pub const VERSION: &str = "stack.version";
/// On a container that asks from inside another's network namespace while a probe lasts: the project's name. Its image
/// has it too, without a value. It has no label of Compose's, as it is none of the project's containers.
pub const PROBE: &str = "stack.probe";

/// The group (`IFLA_GROUP`) of every link we make: kept by the kernel in the very message that makes the link, so a
/// link is recognisable even if we die before its alias is set. The two bytes are the letters `st`.
pub const LINK_GROUP: u32 = 0x7374;

/// The beginning of the names under which a project's links are made, before their alias says whose they are.
pub fn birth_prefix(project: &str) -> String {
    format!("st{}", hash::short_hex(project.as_bytes(), 6))
}

/// The beginning of the names of our firewall tables: `stack-PROJECT-LAN`.
pub const TABLE_PREFIX: &str = "stack-";

/// The protocol number of every route we make (`RTA_PROTOCOL`, one byte; the letter `s`). Unassigned in
/// `include/uapi/linux/rtnetlink.h`.
pub const ROUTE_PROTOCOL: u8 = 0x73;

/// The alias (`IFLA_IFALIAS`, at most 255 bytes) of a link: whose it is and what it is. Values must have no blanks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkMark {
    pub project: String,
    /// The resource's kind: `shim`, `link`, `lan`.
    pub kind: String,
    /// The resource's name.
    pub name: String,
    /// The part of the resource that this link is (`parent`, `port`, `host`, …); empty where it is the whole.
    pub part: String,
    /// The hash of the spec it was made from, shortened.
    pub hash: String,
}

impl LinkMark {
    /// The mark as text: `stack project=lab kind=shim name=shim-lan part= hash=0123456789abcdef`.
    pub fn to_alias(&self) -> String {
        format!(
            "stack project={} kind={} name={} part={} hash={}",
            self.project, self.kind, self.name, self.part, self.hash
        )
    }

    /// The mark that a text is, if it is one.
    pub fn from_alias(text: &str) -> Option<LinkMark> {
        let fields: BTreeMap<&str, &str> = text
            .strip_prefix("stack ")?
            .split(' ')
            .filter_map(|field| field.split_once('='))
            .collect();
        let field = |name: &str| fields.get(name).map(|value| (*value).to_owned());
        Some(LinkMark {
            project: field("project")?,
            kind: field("kind")?,
            name: field("name")?,
            part: field("part")?,
            hash: field("hash")?,
        })
    }

    /// Whether it belongs to this project.
    pub fn is_of(&self, project: &ProjectName) -> bool {
        self.project == project.as_str()
    }
}

/// The name of a parked container: what Compose calls a container that is being replaced. It proves itself, as the
/// prefix is the container's own id.
pub fn parked_name(engine_id: &str, name: &str) -> String {
    let id: String = engine_id.chars().take(12).collect();
    format!("{id}_{name}")
}

/// The name that a parked container had, if it is one.
pub fn unparked_name<'a>(engine_id: &str, name: &'a str) -> Option<&'a str> {
    let (prefix, rest) = name.split_once('_')?;
    (prefix.len() == 12 && engine_id.starts_with(prefix)).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::{LinkMark, parked_name, unparked_name};

    #[test]
    fn a_link_mark_survives_its_alias() {
        let mark = LinkMark {
            project: "lab".into(),
            kind: "shim".into(),
            name: "shim-lan".into(),
            part: String::new(),
            hash: "0123".into(),
        };
        assert_eq!(LinkMark::from_alias(&mark.to_alias()), Some(mark));
        assert_eq!(LinkMark::from_alias("uplink to the core switch"), None);
    }

    #[test]
    fn a_parked_name_proves_itself() {
        let id = "0123456789abcdef";
        assert_eq!(
            unparked_name(id, &parked_name(id, "lab-web_x-1")),
            Some("lab-web_x-1")
        );
        assert_eq!(unparked_name("fedcba9876543210", "0123456789ab_web"), None);
    }
}
