//! Mistakes that only follow from others: they are told away with those, and only hide them till then.

use std::collections::HashSet;

use crate::diagnostic::Diagnostics;
use crate::source::Span;

/// What may be wrong only because a part of the input could not be read.
const OF_WHAT_IS_MISSING: [&str; 4] = [
    "unknown-reference",
    "unknown-base",
    "no-image",
    "no-such-service",
];

/// Takes out what is a consequence of another mistake: what refers into a file that could not be read (`partial`), and
/// a name that leads to two containers where the doubled name itself was told.
pub fn drop_consequences(told: &mut Diagnostics, partial: bool) {
    let doubled: HashSet<Span> = told
        .iter()
        .filter(|one| one.code == "duplicate-name")
        .filter_map(|one| Some(one.primary.as_ref()?.span))
        .collect();
    told.retain(|one| match one.code {
        "ambiguous-name" => {
            let place = one.primary.as_ref().map(|label| label.span);
            place.is_none_or(|place| !doubled.contains(&place))
        }
        code => !(partial && OF_WHAT_IS_MISSING.contains(&code)),
    });
}
