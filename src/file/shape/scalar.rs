//! Single values: choices, booleans, numbers, durations, sizes and file modes. What a text means is said by
//! [`crate::file::value`]; here it is held against the kind, and what does not fit is told.

use crate::diagnostic::Diagnostic;
use crate::file::shape::Shaper;
use crate::file::tree::{Node, Path, Value};
use crate::file::value::{self, DurationError, Spelling};

const TOO_LARGE: &str = "write a smaller one: sizes end at 8192p (2^63 bytes)";

impl Shaper<'_> {
    /// One of a few words.
    pub fn choice(&mut self, node: Node, choices: &[&'static str], path: &Path) -> Option<Node> {
        let Some(text) = node.as_text() else {
            return self.wrong(&node, "a string", path);
        };
        if choices.contains(&text) {
            return Some(node);
        }
        let all = choices
            .iter()
            .map(|choice| format!("`{choice}`"))
            .collect::<Vec<_>>()
            .join(", ");
        let message = format!("`{text}` is not one of the values it can have");
        let hint = match value::nearest(text, choices.iter().copied()) {
            None if text.is_empty() => format!("remove the key, or write one of {all}"),
            Some(near) => format!("did you mean `{near}`? it can be {all}"),
            None => format!("it can be {all}"),
        };
        self.unreadable(&node, "unknown-value", message, &hint, path)
    }

    /// A boolean, or a text that means one; the spellings of YAML 1.1 come with a warning.
    pub fn boolean(&mut self, node: Node, path: &Path) -> Option<Node> {
        let text = match &node.value {
            Value::Bool(_) => return Some(node),
            Value::Text(text) => text.clone(),
            _ => return self.wrong(&node, "a boolean", path),
        };
        let Some((yes, spelling)) = value::boolean(&text) else {
            return self.unreadable(
                &node,
                "wrong-type",
                format!("invalid boolean: `{text}`"),
                "write `true` or `false`",
                path,
            );
        };
        if spelling == Spelling::Old {
            self.tell(
                Diagnostic::warning(
                    "old-boolean",
                    format!(
                        "\"{text}\" for boolean is not supported by YAML 1.2, please use `{yes}`"
                    ),
                )
                .at(node.span),
                path,
            );
        }
        Some(Node::new(Value::Bool(yes), node.span))
    }

    /// A whole number within bounds, or a text that means one.
    pub fn integer(&mut self, node: Node, least: i64, most: i64, path: &Path) -> Option<Node> {
        let number = match &node.value {
            Value::Integer(number) => Some(*number),
            Value::Large(_) => {
                let message = format!("must be less than or equal to {most}");
                let hint = "give a number within the bounds";
                return self.unreadable(&node, "out-of-range", message, hint, path);
            }
            Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
                Some(*number as i64)
            }
            Value::Text(text) => match text.parse() {
                Ok(number) => Some(number),
                Err(_) => {
                    let message = format!("`{text}` is not a whole number");
                    let hint = whole(text, path);
                    return self.unreadable(&node, "wrong-type", message, &hint, path);
                }
            },
            _ => None,
        };
        let Some(number) = number else {
            return self.wrong(&node, "an integer", path);
        };
        if number < least || number > most {
            let message = if number < least {
                format!("must be greater than or equal to {least}")
            } else {
                format!("must be less than or equal to {most}")
            };
            return self.unreadable(
                &node,
                "out-of-range",
                message,
                "give a number within the bounds",
                path,
            );
        }
        Some(Node::new(Value::Integer(number), node.span))
    }

    /// A finite number, or a text that means one.
    pub fn number(&mut self, node: Node, path: &Path) -> Option<Node> {
        match &node.value {
            // Single precision tells these apart.
            Value::Integer(number) if number.unsigned_abs() < 1 << f32::MANTISSA_DIGITS => {
                Some(node)
            }
            Value::Integer(_) | Value::Large(_) | Value::Float(_) => {
                match node.scalar_text().as_deref().and_then(single) {
                    Some(number) => Some(Node::new(Value::Float(number), node.span)),
                    None => self.wrong(&node, "a number", path),
                }
            }
            Value::Text(text) => match single(text) {
                Some(number) => Some(Node::new(Value::Float(number), node.span)),
                _ => {
                    let message = format!("`{text}` is not a number");
                    self.unreadable(
                        &node,
                        "wrong-type",
                        message,
                        "write a number such as 0.5",
                        path,
                    )
                }
            },
            _ => self.wrong(&node, "a number", path),
        }
    }

    /// A length of time, in the spelling of Compose.
    pub fn duration(&mut self, node: Node, path: &Path) -> Option<Node> {
        let Some(text) = node.as_text() else {
            let written = node.scalar_text();
            let is_number = matches!(node.value, Value::Integer(_) | Value::Float(_));
            let Some(number) = written.filter(|_| is_number) else {
                return self.wrong(&node, "a string such as 1m30s", path);
            };
            let message = format!("{path} must be a string such as 1m30s");
            let diagnostic = Diagnostic::error("wrong-type", message)
                .label(node.span, format!("this is {}", node.kind()))
                .hint(format!("say in which unit: {number}s or {number}ms"));
            self.tell(diagnostic, path);
            return None;
        };
        match value::duration(text) {
            Ok(length) => Some(Node::text(value::duration_text(length), node.span)),
            Err(error) => {
                let message = format!("invalid duration: `{text}`");
                let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                let hint = match error {
                    DurationError::Long => "write a shorter one: lengths of time end at 292 years (15250w)".to_owned(),
                    DurationError::Form if is_number => format!("say in which unit: {text}s or {text}ms"),
                    DurationError::Form => "write a number with a unit for each part (ns, us, ms, s, m, h, d, w), such as 1m30s".to_owned(),
                };
                self.unreadable(&node, "bad-duration", message, &hint, path)
            }
        }
    }

    /// A size, as a text of its bytes.
    pub fn bytes(&mut self, node: Node, path: &Path) -> Option<Node> {
        match &node.value {
            Value::Integer(number) => Some(Node::text(number.to_string(), node.span)),
            // 1e9 is a number of bytes as good as another.
            Value::Float(number) if number.fract() == 0.0 && number.abs() < 9.2e18 => {
                Some(Node::text(format!("{number:.0}"), node.span))
            }
            Value::Float(_) => {
                let message = "invalid size".to_owned();
                let hint = "write a whole number of bytes, or a unit: 1.5g";
                self.unreadable(&node, "bad-size", message, hint, path)
            }
            Value::Text(text) => match value::bytes(text) {
                Ok(bytes) => Some(Node::text(bytes.to_string(), node.span)),
                Err(value::SizeError::Large) => {
                    let message = format!("invalid size: '{text}'");
                    self.unreadable(&node, "bad-size", message, TOO_LARGE, path)
                }
                Err(error) => {
                    let hint = "write a number with a unit: b, k, m, g, t or p (powers of 1024), such as 64m";
                    let message = error.to_string();
                    self.unreadable(&node, "bad-size", message, hint, path)
                }
            },
            Value::Large(_) => {
                let message = "invalid size".to_owned();
                self.unreadable(&node, "bad-size", message, TOO_LARGE, path)
            }
            _ => self.wrong(&node, "a number or a string such as 64m", path),
        }
    }

    /// Permission bits, as a number.
    pub fn mode_bits(&mut self, node: Node, path: &Path) -> Option<Node> {
        let Some(text) = node.as_text() else {
            return self.integer(node, 0, i64::from(u32::MAX), path);
        };
        let hint = match u32::from_str_radix(text, 8) {
            Ok(bits) => format!("write it without quotes, and with a 0 as octal: 0{bits:o}"),
            Err(_) => "write octal digits without quotes, such as 0755".to_owned(),
        };
        let message = format!("`{text}` is a string, and permission bits are a number");
        self.unreadable(&node, "wrong-type", message, &hint, path)
    }

    /// A file mode, as a text of octal digits.
    pub fn file_mode(&mut self, node: Node, path: &Path) -> Option<Node> {
        let bits = match &node.value {
            Value::Integer(bits) => u32::try_from(*bits).ok(),
            Value::Text(text) => u32::from_str_radix(text, 8).ok(),
            _ => return self.wrong(&node, "a number or a string of octal digits", path),
        };
        match bits.filter(|bits| *bits <= 0o7777) {
            Some(bits) => Some(Node::text(format!("0{bits:o}"), node.span)),
            None => {
                let message = format!(
                    "`{}` is not a file mode",
                    node.scalar_text().unwrap_or_default()
                );
                self.unreadable(
                    &node,
                    "bad-mode",
                    message,
                    "write octal digits in quotes, such as \"0440\"",
                    path,
                )
            }
        }
    }
}

/// A finite number of single precision, which is what Compose reads, in the fewest digits that tell it.
fn single(text: &str) -> Option<f64> {
    let number: f32 = text.parse().ok()?;
    number
        .is_finite()
        .then(|| number.to_string().parse().ok())?
}

/// The remedy where a text should be a whole number. Processor times are microseconds for Compose, without a unit.
fn whole(text: &str, path: &Path) -> String {
    let nanoseconds = value::duration(text).ok().filter(|length| *length > 0);
    match nanoseconds {
        Some(length) if path.to_string().contains(".cpu_") => format!(
            "Compose takes microseconds here, without a unit: {}",
            length / 1_000
        ),
        Some(_) => "write a whole number without a unit".to_owned(),
        None => "write a whole number".to_owned(),
    }
}
