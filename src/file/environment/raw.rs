//! Env files of `format: raw`: no quotes, no variables.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::environment::Assignments;
use crate::file::template::Lookup;
use crate::source::{SourceId, Sources, Span};

/// Reads an env file of `format: raw`: every line `KEY=value` as it stands, a bare `KEY` is taken from the environment.
pub fn parse_raw(
    sources: &Sources,
    source: SourceId,
    lookup: &dyn Lookup,
    into: &mut Assignments,
    diagnostics: &mut Diagnostics,
) {
    let Some(file) = sources.file(source) else {
        return;
    };
    let mut start = 0u32;
    for line in file.text().split('\n') {
        let here = Span {
            source,
            start,
            end: start + line.len() as u32,
        };
        start = here.end + 1;
        let line = line
            .trim_end_matches('\r')
            .trim_start_matches('\u{feff}')
            .trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (line, None),
        };
        if key.is_empty() || key.contains(char::is_whitespace) {
            diagnostics.push(
                Diagnostic::error(
                    "env-file",
                    format!("variable `{key}` contains whitespaces or is empty"),
                )
                .at(here),
            );
            continue;
        }
        match value {
            Some(value) => into.set(key, value, Some(here)),
            None => {
                if let Some((value, from)) = lookup.variable(key) {
                    into.set(key, &value, from);
                }
            }
        }
    }
}
