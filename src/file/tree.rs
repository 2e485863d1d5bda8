//! The tree that a YAML text is read into: every node and every key knows its place. Mappings keep the file's order.
//! A tree is at most [`crate::file::yaml::DEEPEST`] levels deep, so walking it by recursion is safe.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::source::Span;

/// What a tag asks of a merge with what earlier files said at the same path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mark {
    /// No tag: merge by the rules of the path.
    #[default]
    None,
    /// `!reset`: remove what was there, the value is ignored.
    Reset,
    /// `!override`: replace what was there.
    Override,
}

/// A value and its place.
#[derive(Debug, Clone)]
pub struct Node {
    pub value: Value,
    pub span: Span,
    pub mark: Mark,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    /// A whole number above those, up to 2^64 - 1.
    Large(u64),
    Float(f64),
    Text(Arc<str>),
    Sequence(Vec<Node>),
    Mapping(Mapping),
}

/// A key with its place, and the node it leads to.
#[derive(Debug, Clone)]
pub struct Entry {
    pub key: Arc<str>,
    pub key_span: Span,
    pub node: Node,
}

/// Keys and nodes in the order of the file; each key is there once. Large ones carry an index.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    entries: Vec<Entry>,
    index: Option<HashMap<Arc<str>, usize>>,
}

/// From this many entries on a mapping keeps an index; below, looking through them is faster.
const INDEXED: usize = 12;

impl Node {
    /// A node with a value at a place.
    pub fn new(value: Value, span: Span) -> Node {
        Node {
            value,
            span,
            mark: Mark::None,
        }
    }

    /// A text at a place.
    pub fn text(text: impl Into<Arc<str>>, span: Span) -> Node {
        Node::new(Value::Text(text.into()), span)
    }

    /// An empty mapping at a place.
    pub fn mapping(span: Span) -> Node {
        Node::new(Value::Mapping(Mapping::default()), span)
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// Whether it is null, an empty text, or a list or mapping without anything in it.
    pub fn says_nothing(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Text(text) => text.is_empty(),
            Value::Sequence(items) => items.is_empty(),
            Value::Mapping(mapping) => mapping.is_empty(),
            Value::Bool(_) | Value::Integer(_) | Value::Large(_) | Value::Float(_) => false,
        }
    }

    /// The text, where it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The boolean, where it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The integer, where it is one.
    pub fn as_integer(&self) -> Option<i64> {
        match self.value {
            Value::Integer(value) => Some(value),
            _ => None,
        }
    }

    /// The items, where it is a sequence.
    pub fn as_sequence(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// The items to change, where it is a sequence.
    pub fn as_sequence_mut(&mut self) -> Option<&mut Vec<Node>> {
        match &mut self.value {
            Value::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// The mapping, where it is one.
    pub fn as_mapping(&self) -> Option<&Mapping> {
        match &self.value {
            Value::Mapping(mapping) => Some(mapping),
            _ => None,
        }
    }

    /// The mapping to change, where it is one.
    pub fn as_mapping_mut(&mut self) -> Option<&mut Mapping> {
        match &mut self.value {
            Value::Mapping(mapping) => Some(mapping),
            _ => None,
        }
    }

    /// The node under a key, where this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_mapping()?.get(key)
    }

    /// The node under a key to change, where this is a mapping that has it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.as_mapping_mut()?.get_mut(key)
    }

    /// What kind of value it is, in the words of error messages.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Integer(_) | Value::Large(_) => "an integer",
            Value::Float(_) => "a number",
            Value::Text(_) => "a string",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }

    /// How many nodes it consists of, itself included.
    pub fn size(&self) -> usize {
        match &self.value {
            Value::Sequence(items) => 1 + items.iter().map(Node::size).sum::<usize>(),
            Value::Mapping(mapping) => {
                1 + mapping.iter().map(|entry| entry.node.size()).sum::<usize>()
            }
            Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::Large(_)
            | Value::Float(_)
            | Value::Text(_) => 1,
        }
    }

    /// A scalar as the text that stands for it in an environment or a label; none for null, lists and mappings.
    pub fn scalar_text(&self) -> Option<String> {
        match &self.value {
            Value::Bool(value) => Some(value.to_string()),
            Value::Integer(value) => Some(value.to_string()),
            Value::Large(value) => Some(value.to_string()),
            Value::Float(value) => Some(crate::file::number::float_text(*value)),
            Value::Text(text) => Some(text.to_string()),
            Value::Null | Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    /// Whether both hold the same, wherever they stand.
    pub fn same(&self, other: &Node) -> bool {
        match (&self.value, &other.value) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(one), Value::Bool(two)) => one == two,
            (Value::Integer(one), Value::Integer(two)) => one == two,
            (Value::Large(one), Value::Large(two)) => one == two,
            (Value::Float(one), Value::Float(two)) => one.to_bits() == two.to_bits(),
            (Value::Text(one), Value::Text(two)) => one == two,
            (Value::Sequence(one), Value::Sequence(two)) => {
                one.len() == two.len() && one.iter().zip(two).all(|(a, b)| a.same(b))
            }
            (Value::Mapping(one), Value::Mapping(two)) => {
                one.len() == two.len()
                    && one.iter().all(|entry| {
                        two.get(&entry.key)
                            .is_some_and(|node| node.same(&entry.node))
                    })
            }
            _ => false,
        }
    }
}

impl Mapping {
    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keys and nodes in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.entries.iter()
    }

    /// Keys and nodes in order, to change the nodes; keys must stay as they are.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Entry> {
        self.entries.iter_mut()
    }

    /// All entries, taken out.
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    fn position(&self, key: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(key).copied(),
            None => self.entries.iter().position(|entry| &*entry.key == key),
        }
    }

    /// The entry of a key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.get(self.position(key)?)
    }

    /// The node of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// The node of a key, to change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        let position = self.position(key)?;
        self.entries.get_mut(position).map(|entry| &mut entry.node)
    }

    /// Whether the key is there.
    pub fn contains(&self, key: &str) -> bool {
        self.position(key).is_some()
    }

    /// Puts a node under a key: in the place of the one that is there, which is handed back, or at the end.
    pub fn insert(&mut self, key: Arc<str>, key_span: Span, node: Node) -> Option<Node> {
        if let Some(entry) = self
            .position(&key)
            .and_then(|position| self.entries.get_mut(position))
        {
            entry.key_span = key_span;
            return Some(std::mem::replace(&mut entry.node, node));
        }
        if let Some(index) = &mut self.index {
            index.insert(key.clone(), self.entries.len());
        }
        self.entries.push(Entry {
            key,
            key_span,
            node,
        });
        if self.index.is_none() && self.entries.len() > INDEXED {
            self.reindex();
        }
        None
    }

    /// Puts a node under a key of our own making, at the place of the node.
    pub fn set(&mut self, key: &str, node: Node) {
        let span = self.entry(key).map_or(node.span, |entry| entry.key_span);
        self.insert(key.into(), span, node);
    }

    /// Takes a key out; the order of the others stays.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let position = self.position(key)?;
        let entry = self.entries.remove(position);
        if self.index.is_some() {
            self.reindex();
        }
        Some(entry.node)
    }

    /// Keeps the entries for which the test holds, in order.
    pub fn retain(&mut self, test: impl FnMut(&Entry) -> bool) {
        self.entries.retain(test);
        self.reindex();
    }

    /// Sorts by key, in the order of bytes.
    pub fn sort(&mut self) {
        self.entries.sort_by(|one, two| one.key.cmp(&two.key));
        self.reindex();
    }

    fn reindex(&mut self) {
        self.index = (self.entries.len() > INDEXED).then(|| {
            self.entries
                .iter()
                .enumerate()
                .map(|(at, entry)| (entry.key.clone(), at))
                .collect()
        });
    }
}

impl FromIterator<Entry> for Mapping {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Mapping {
        let mut mapping = Mapping::default();
        for Entry {
            key,
            key_span,
            node,
        } in entries
        {
            mapping.insert(key, key_span, node);
        }
        mapping
    }
}

/// A path of keys from the root, as a chain of borrowed steps; written out only when something is to be told.
#[derive(Clone, Copy)]
pub struct Path<'a> {
    before: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Item(usize),
}

impl<'a> Path<'a> {
    /// The path of the whole document.
    pub const ROOT: Path<'static> = Path {
        before: None,
        step: Step::Root,
    };

    /// The path of what is under a key.
    pub fn key(&'a self, key: &'a str) -> Path<'a> {
        Path {
            before: Some(self),
            step: Step::Key(key),
        }
    }

    /// The path of an item of a list.
    pub fn item(&'a self, index: usize) -> Path<'a> {
        Path {
            before: Some(self),
            step: Step::Item(index),
        }
    }

    /// Whether it is the whole document.
    pub fn is_root(&self) -> bool {
        matches!(self.step, Step::Root)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(before) = self.before {
            before.fmt(f)?;
            if !before.is_root() && matches!(self.step, Step::Key(_)) {
                f.write_str(".")?;
            }
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Key(key) => f.write_str(key),
            Step::Item(index) => write!(f, "[{index}]"),
        }
    }
}
