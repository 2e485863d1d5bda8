//! How a text came to matter: notes for diagnostics whose place lies in an included or extended file, in the base of a
//! service, or in a value with variables.

use std::collections::HashMap;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::extends::Extension;
use crate::file::interpolate::{Filling, Interpolations};
use crate::file::template::Use;
use crate::source::{Arrival, Sources, Span};

/// How many steps of a long way are told.
const MOST_STEPS: usize = 6;

/// Adds notes to all diagnostics.
pub fn add(
    told: &mut Diagnostics,
    interpolations: &Interpolations,
    extensions: &[Extension],
    sources: &Sources,
) {
    let mut by_service: HashMap<&str, Vec<&Extension>> = HashMap::new();
    for extension in extensions {
        by_service
            .entry(&extension.service)
            .or_default()
            .push(extension);
    }
    let mut fillings: Vec<(Span, &Filling)> = interpolations
        .filled
        .iter()
        .map(|(span, f)| (*span, f))
        .collect();
    fillings.sort_by_key(|(span, _)| (span.source, span.start));
    for diagnostic in told.iter_mut() {
        let Some(place) = diagnostic.primary.as_ref().map(|label| label.span) else {
            continue;
        };
        filled(diagnostic, place, &fillings);
        extended(diagnostic, place, &by_service);
        arrived(diagnostic, place, sources);
    }
}

fn filled(diagnostic: &mut Diagnostic, place: Span, fillings: &[(Span, &Filling)]) {
    let before = fillings
        .partition_point(|(span, _)| (span.source, span.start) <= (place.source, place.start));
    let Some((span, filling)) = before.checked_sub(1).and_then(|index| fillings.get(index)) else {
        return;
    };
    if !span.contains(place) || matches!(diagnostic.code, "unset-variable" | "missing-variable") {
        return;
    }
    let mut seen: Vec<&str> = Vec::new();
    let uses: Vec<&Use> = filling
        .uses
        .iter()
        .filter(|one| {
            let new = !seen.contains(&one.name.as_str());
            seen.push(&one.name);
            new
        })
        .collect();
    let names: Vec<String> = uses
        .iter()
        .map(|one| format!("${{{}}}", one.name))
        .collect();
    let text = format!(
        "interpolated from {}: the text is `{}`",
        names.join(", "),
        short(&filling.became)
    );
    diagnostic.remark(text, None);
    for one in uses {
        if let Some(from) = one.from {
            diagnostic.remark(format!("{} is set at", one.name), Some(from));
        }
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or("")),
        None => text.to_owned(),
    }
}

fn extended(diagnostic: &mut Diagnostic, place: Span, by_service: &HashMap<&str, Vec<&Extension>>) {
    let Some(path) = diagnostic.path.clone() else {
        return;
    };
    let Some(rest) = path.strip_prefix("services.") else {
        return;
    };
    // A service's name may have dots: the longest one that fits is meant.
    let found = by_service
        .iter()
        .filter(|(name, _)| {
            rest.strip_prefix(**name)
                .is_some_and(|after| after.is_empty() || after.starts_with(['.', '[']))
        })
        .max_by_key(|(name, _)| name.len());
    let Some((_, extensions)) = found else { return };
    for extension in extensions
        .iter()
        .filter(|extension| extension.span.contains(place))
        .take(MOST_STEPS)
    {
        let text = format!("`{}` extends `{}` at", extension.service, extension.base);
        diagnostic.remark(text, Some(extension.from));
    }
}

fn arrived(diagnostic: &mut Diagnostic, place: Span, sources: &Sources) {
    let mut source = place.source;
    for _ in 0..MOST_STEPS {
        let Some(origin) = sources.file(source).and_then(|file| file.origin) else {
            return;
        };
        let text = match origin.how {
            Arrival::Included => "included from",
            Arrival::Extended => "extended from",
            Arrival::EnvironmentFile => "read as an env file because of",
        };
        diagnostic.remark(text, Some(origin.from));
        source = origin.from.source;
    }
}
