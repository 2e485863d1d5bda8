//! Names, each a type of its own with one door.
//!
//! A name that exists has been checked; nobody checks it again. What a *file* may say is wider (Compose cleans
//! directory names, for example); that leniency belongs to the reader, not here.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not a name of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a {0} must not be empty")]
    Empty(&'static str),
    /// The text has a character that the kind does not allow.
    #[error("`{text}` is not a valid {kind}: {rule}")]
    Character {
        kind: &'static str,
        text: String,
        rule: &'static str,
    },
    /// The text is longer than the kind allows.
    #[error("`{text}` is too long for a {kind}: {length} bytes, at most {most}")]
    Long {
        kind: &'static str,
        text: String,
        length: usize,
        most: usize,
    },
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $most:expr, $check:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                if text.is_empty() {
                    return Err(NameError::Empty($kind));
                }
                let check: fn(&str) -> bool = $check;
                if !check(text) {
                    return Err(NameError::Character { kind: $kind, text: text.to_owned(), rule: $rule });
                }
                if text.len() > $most {
                    return Err(NameError::Long {
                        kind: $kind,
                        text: text.to_owned(),
                        length: text.len(),
                        most: $most,
                    });
                }
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

fn is_key(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn is_project(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
}

// `dev_valid_name` in net/core/dev.c: no slash, no colon, no white space, not `.` or `..`.
fn is_link(text: &str) -> bool {
    // `sysctl_dev_name_is_allowed` in net/ipv4/devinet.c: settings of these two are those of all links.
    !matches!(text, "." | ".." | "all" | "default")
        && !text
            .bytes()
            // A `%` is a pattern to the kernel (`__dev_alloc_name`), which would put a number in its place.
            .any(|b| {
                matches!(b, b'/' | b':' | b'%') || b.is_ascii_whitespace() || b.is_ascii_control()
            })
}

name!(
    /// The name of a project: what groups everything that one stack file makes.
    ProjectName,
    "project name",
    128,
    is_project,
    "it must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number"
);
name!(
    /// The key of a service under `services:`.
    ServiceName,
    "service name",
    255,
    is_key,
    "only letters, digits, `.`, `_` and `-` are allowed"
);
name!(
    /// The key of a network under `networks:`; the engine's name for it is another thing.
    NetworkName,
    "network name",
    255,
    is_key,
    "only letters, digits, `.`, `_` and `-` are allowed"
);
name!(
    /// The key of a volume under `volumes:`.
    VolumeName,
    "volume name",
    255,
    is_key,
    "only letters, digits, `.`, `_` and `-` are allowed"
);
name!(
    /// The key of a lan under `lans:`, and of a machine on it.
    LanName,
    "lan name",
    63,
    is_key,
    "only letters, digits, `.`, `_` and `-` are allowed"
);
name!(
    /// The name of a network link (interface) in the kernel: at most 15 bytes (`IFNAMSIZ` − 1).
    LinkName,
    "link name",
    15,
    is_link,
    "a link name has no `/`, no `:`, no `%` and no white space, and is not `all` or `default`"
);

impl LinkName {
    /// A link name made of `prefix` and a text of any length: the text itself where it fits and is valid, else as
    /// much of it as fits and five hexadecimal digits of its hash, so that different long texts stay different.
    pub fn fitted(prefix: &str, text: &str) -> LinkName {
        let whole = format!("{prefix}{text}");
        if let Ok(name) = whole.parse() {
            return name;
        }
        let digest = crate::model::hash::short_hex(whole.as_bytes(), 5);
        let clean: String = whole
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            .collect();
        let room = 15 - 1 - digest.len();
        let head: String = clean.chars().take(room).collect();
        LinkName(format!("{head}-{digest}"))
    }
}

/// A word of a command that a user is told to type, in quotes where a shell would take it apart: the kernel allows links
/// any name without `/`, `:` and white space.
pub fn shell_word(word: &str) -> Cow<'_, str> {
    // Only a NUL byte cannot be quoted, and no name has one.
    shlex::try_quote(word).unwrap_or(Cow::Borrowed(word))
}

#[cfg(test)]
mod tests {
    use super::{LinkName, ProjectName};

    #[test]
    fn a_long_link_name_is_cut_and_stays_unique() {
        let one = LinkName::fitted("shim-", "a-very-long-network-name-one");
        let two = LinkName::fitted("shim-", "a-very-long-network-name-two");
        assert!(one.as_str().len() <= 15);
        assert_ne!(one, two);
        assert_eq!(LinkName::fitted("shim-", "lan").as_str(), "shim-lan");
    }

    #[test]
    fn a_project_name_is_lower_case() {
        assert!("lab-1_x".parse::<ProjectName>().is_ok());
        for wrong in ["", "Lab", "-lab", "lab.x"] {
            assert!(wrong.parse::<ProjectName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_would_take_it_apart() {
        for (word, wanted) in [
            ("eth0.20", "eth0.20"),
            ("br-0123", "br-0123"),
            ("a;reboot", "'a;reboot'"),
            ("$(x)", "'$(x)'"),
        ] {
            assert_eq!(super::shell_word(word), wanted);
        }
    }
}
