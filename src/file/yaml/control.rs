//! Characters that no YAML text may hold as they are (YAML 1.2, 5.1): control characters, which hide in copied texts
//! and end up in names and values where nobody sees them.

use crate::diagnostic::Diagnostic;
use crate::source::{SourceFile, SourceId, Span};

/// Told of the first such character of a text.
pub fn refusal(source: SourceId, file: &SourceFile, from: usize) -> Option<Diagnostic> {
    let text = file.text().get(from..)?;
    let (at, found) = text.char_indices().find(|(_, c)| !is_printable(*c))?;
    let start = (from + at) as u32;
    let place = Span {
        source,
        start,
        end: start + found.len_utf8() as u32,
    };
    let code = u32::from(found);
    let escape = match code {
        0x7f.. => format!("\\u{code:04X}"),
        _ => format!("\\x{code:02X}"),
    };
    let diagnostic = Diagnostic::error(
        "yaml-syntax",
        format!("this is not valid YAML: control characters are not allowed: U+{code:04X}"),
    );
    Some(diagnostic.at(place).hint(format!(
        "remove it, or write it as \"{escape}\" in a text in double quotes"
    )))
}

fn is_printable(c: char) -> bool {
    match c {
        ' '..='~' | '\n' | '\t' | '\r' | '\u{85}' | '\u{feff}' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        c => c >= '\u{a0}',
    }
}
