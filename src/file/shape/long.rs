//! Short forms in lists and in the place of objects: each becomes the object that it stands for, and a port range
//! becomes one for each number; only a switch stays a boolean, and a port with open variables a text. How a short form
//! is read is in [`crate::file::short`]; long forms are held against their shape by [`crate::file::shape::object`].

use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::file::grammar::{Shape, ShortForm};
use crate::file::shape::Shaper;
use crate::file::short;
use crate::file::tree::{Mapping, Node, Path, Value};
use crate::file::value;
use crate::file::written::Written;

/// How many ports the short forms of a document may become: a range makes one for each of its numbers.
const MOST_PORTS: usize = 100_000;

impl Shaper<'_> {
    /// The long forms of one entry; only a port range makes several.
    pub fn short(
        &mut self,
        node: Node,
        form: ShortForm,
        shape: &'static Shape,
        path: &Path,
    ) -> Option<Vec<Node>> {
        let text: Arc<str> = match (&node.value, form) {
            (Value::Mapping(_), _) => return self.object(node, shape, path).map(|node| vec![node]),
            (Value::Bool(_), ShortForm::Switch) => return Some(vec![node]),
            (Value::Text(text), ShortForm::Switch) if value::boolean(text).is_some() => {
                let yes = self.boolean(node, path)?;
                return self.short(yes, form, shape, path);
            }
            (
                Value::Text(text),
                ShortForm::Under(_) | ShortForm::Port | ShortForm::Mount | ShortForm::Device,
            ) => text.clone(),
            (Value::Sequence(_), ShortForm::Under("path")) => {
                // `include: [[one, two]]` is not in the specification; `path: [one, two]` is.
                self.wrong(&node, "a string or a mapping", path);
                return None;
            }
            (Value::Integer(number), ShortForm::Port) => Arc::from(number.to_string()),
            (_, ShortForm::Port) => {
                self.wrong(&node, "a port: a number, a string or a mapping", path);
                return None;
            }
            (_, ShortForm::Switch) => {
                self.wrong(&node, "a boolean or a mapping", path);
                return None;
            }
            (_, ShortForm::Under(_) | ShortForm::Mount | ShortForm::Device) => {
                self.wrong(&node, "a string or a mapping", path);
                return None;
            }
        };
        if self.is_open(&text) && form == ShortForm::Port {
            return Some(vec![node]);
        }
        let written = Written::of(&text, node.span, self.sources);
        let made = match form {
            ShortForm::Under(key) => {
                let mut mapping = Mapping::default();
                mapping.insert(key.into(), node.span, node.clone());
                let long = Node::new(Value::Mapping(mapping), node.span);
                return self.object(long, shape, path).map(|node| vec![node]);
            }
            ShortForm::Port if self.ports > MOST_PORTS => {
                let diagnostic = Diagnostic::error(
                    "too-many-ports",
                    format!("more than {MOST_PORTS} ports are published"),
                );
                self.tell(diagnostic.at(node.span).hint("use smaller ranges"), path);
                return None;
            }
            ShortForm::Port => short::ports(&written),
            ShortForm::Mount => {
                let made = short::mount(&written).map(|node| vec![node]);
                for warning in short::strange_options(&written).filter(|_| made.is_ok()) {
                    self.tell(warning, path);
                }
                made
            }
            ShortForm::Device => short::device(&written).map(|node| vec![node]),
            ShortForm::Switch => return None,
        };
        match made {
            Ok(all) => {
                if form == ShortForm::Port {
                    self.ports += all.len();
                }
                Some(all)
            }
            Err(wrong) => {
                self.tell(*wrong, path);
                None
            }
        }
    }
}
