//! The grammar of a stack file as data: which keys there are, what each may hold, and the words that explain it.
//! One definition, many uses: shape checks, casts of texts to numbers and booleans, short forms, merge rules, the
//! order of `stack config` and the JSON Schema are all read off these tables. A table says what a *value* may look
//! like; what only several values can tell is checked elsewhere.
//!
//! Invariant: keys stand in the order in which `stack config` prints them, which is that of `docker compose config`.

pub mod build;
pub mod deploy;
pub mod hook;
pub mod lan;
pub mod network;
pub mod resource;
pub mod service;
pub mod storage;
pub mod top;

/// A mapping with known keys.
#[derive(Debug)]
pub struct Shape {
    /// Its name in the JSON Schema's `$defs`.
    pub name: &'static str,
    pub title: &'static str,
    pub keys: &'static [Key],
    /// Whether keys with the prefix `x-` are kept.
    pub extensions: Extensions,
}

/// Whether a mapping may carry the user's own keys, prefixed with `x-`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extensions {
    Allowed,
    Refused,
}

/// A key of a mapping.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    pub title: &'static str,
    pub description: &'static str,
    /// What holds where the key is absent, as YAML.
    pub default: Option<&'static str>,
    /// Values as one would write them, as YAML.
    pub examples: &'static [&'static str],
    /// The first engine API version that can do it; earlier ones emulate it or refuse.
    pub since: Option<&'static str>,
    pub presence: Presence,
    pub zero: Zero,
    pub owner: Owner,
}

/// Whether a key must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Optional,
    Required,
}

/// What `stack config` does with a value that is false, zero or empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zero {
    /// Left out, as it means the same as no key.
    Dropped,
    /// Printed, as it differs from no key.
    Kept,
    /// Printed even where the key is absent: `{}`.
    Always,
    /// Printed in JSON where the key is absent: as null, and a mapping with those of its keys that are printed so.
    NullInJson,
}

/// Where a key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The Compose Specification.
    Compose,
    /// This tool; it may also be written with the prefix `x-`.
    Stack,
}

/// What a value may be, and what becomes of it.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Anything at all, kept as it is.
    Any,
    /// Only null.
    Null,
    /// A string.
    Text,
    /// One of a few strings.
    Choice(&'static [&'static str]),
    /// A boolean, or a string that reads as one.
    Boolean,
    /// A whole number between two bounds, or a string that reads as one.
    Integer(i64, i64),
    /// A number, or a string that reads as one.
    Number,
    /// A string or number; kept as a string.
    TextOrNumber,
    /// A length of time: `1m30s`.
    Duration,
    /// A size: a number of bytes, or a string with a unit; kept as a string of digits.
    Bytes,
    /// Permission bits: a number, or a string of octal digits.
    FileMode,
    /// Permission bits: a number and no string.
    ModeBits,
    /// Null, a string that is split as a shell would, or a list of strings.
    Command,
    /// A string for the shell, or a list that starts with `CMD`, `CMD-SHELL` or `NONE`.
    HealthTest,
    /// `KEY: value` or a list of `KEY=value`; a key without a value takes it from the environment.
    Environment,
    /// `KEY: value` or a list of `KEY=value`; a key without a value is empty.
    Labels,
    /// `KEY: value` or a list of `KEY=value`, each with a value.
    Contexts,
    /// Options for a driver: a mapping of strings and numbers.
    Options,
    /// Options of which one may be given several times.
    MultiOptions,
    /// `host: address` or a list of `host=address`.
    Hosts,
    /// `default` or `id=path`, as a list or a mapping.
    Ssh,
    /// A number, or `{soft, hard}`.
    Ulimit,
    /// Whether someone else makes it; the old form `{name: …}` too.
    External,
    /// A string, or a list of strings; of entries that are about the same thing, the last.
    TextList(Unique),
    /// Any keys, each with a value of this kind.
    Mapping(&'static Kind),
    /// Names as keys (letters, digits, `.`, `_`, `-`), each with a value of this kind.
    Named(&'static Kind),
    /// The same, or a list of names.
    NamedList(&'static Kind),
    /// A list of which later entries replace earlier ones that are about the same thing.
    List(&'static Kind, Unique),
    /// A mapping with known keys.
    Object(&'static Shape),
    /// A mapping with known keys, or its short form.
    Short(ShortForm, &'static Shape),
    /// The first of these that the value can be.
    OneOf(&'static [Kind]),
}

/// What makes two entries of a list be about the same thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unique {
    /// Nothing: all are kept.
    No,
    /// The whole text, and a second one is a mistake.
    Once,
    /// The text before a `=`.
    Key,
    /// The whole text.
    Text,
    /// The key `target`.
    Target,
    /// The key `path`.
    Path,
    /// The key `target`, or the folder joined with the key `source`.
    Mount(&'static str),
    /// Host address, target, published port and protocol.
    Port,
    /// The key `subnet`; entries of one subnet are merged.
    Subnet,
}

/// The short spellings of mappings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShortForm {
    /// A string that is the value of one key.
    Under(&'static str),
    /// `[IP:][HOST[-END]:]CONTAINER[-END][/protocol]`, or a number.
    Port,
    /// `[source:]target[:options]`.
    Mount,
    /// `host[:container[:permissions]]`.
    Device,
    /// A boolean: `true` is the mapping with nothing in it, `false` is none.
    Switch,
}

/// A key with its kind and its words.
pub const fn key(
    name: &'static str,
    kind: Kind,
    title: &'static str,
    description: &'static str,
) -> Key {
    Key {
        name,
        kind,
        title,
        description,
        default: None,
        examples: &[],
        since: None,
        presence: Presence::Optional,
        zero: Zero::Dropped,
        owner: Owner::Compose,
    }
}

impl Key {
    /// Says what holds where the key is absent.
    pub const fn default(self, default: &'static str) -> Key {
        Key {
            default: Some(default),
            ..self
        }
    }

    /// Gives examples.
    pub const fn examples(self, examples: &'static [&'static str]) -> Key {
        Key { examples, ..self }
    }

    /// Says which engine API version can do it first.
    pub const fn since(self, version: &'static str) -> Key {
        Key {
            since: Some(version),
            ..self
        }
    }

    /// Must be there.
    pub const fn required(self) -> Key {
        Key {
            presence: Presence::Required,
            ..self
        }
    }

    /// False, zero and empty are printed.
    pub const fn kept(self) -> Key {
        Key {
            zero: Zero::Kept,
            ..self
        }
    }

    /// Printed even where it is absent.
    pub const fn always(self) -> Key {
        Key {
            zero: Zero::Always,
            ..self
        }
    }

    /// Printed as null in JSON where it is absent.
    pub const fn null_in_json(self) -> Key {
        Key {
            zero: Zero::NullInJson,
            ..self
        }
    }

    /// A key of this tool.
    pub const fn ours(self) -> Key {
        Key {
            owner: Owner::Stack,
            ..self
        }
    }
}

impl Shape {
    /// The key of a name. One of ours may be written with the prefix `x-`.
    pub fn find(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| {
            key.name == name
                || (key.owner == Owner::Stack && name.strip_prefix("x-") == Some(key.name))
        })
    }

    /// The key of a name, or that of the path `a.b.c` below it through objects.
    pub fn lookup(&self, path: &str) -> Option<&'static Key> {
        match path.split_once('.') {
            None => self.find(path),
            Some((first, rest)) => match self.find(first)?.kind {
                Kind::Object(shape) | Kind::Short(_, shape) => shape.lookup(rest),
                _ => None,
            },
        }
    }
}

/// Any whole number that YAML can hold.
pub const ANY: Kind = Kind::Integer(i64::MIN, i64::MAX);
/// A whole number from zero on.
pub const COUNT: Kind = Kind::Integer(0, i64::MAX);
