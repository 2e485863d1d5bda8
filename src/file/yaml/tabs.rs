//! A tab between `:` and a plain value is white space to YAML, and to Compose; the scanner refuses it. Where it does, the
//! tab becomes a blank, which takes as many bytes, so that all places stay.

use saphyr_parser::ScanError;

use crate::file::yaml::offsets::Offsets;

/// The text with blanks for the tabs that the scanner stopped at; none where it stopped for something else.
pub fn mended(
    body: &str,
    error: &ScanError,
    offsets: &Offsets,
    text_from: usize,
) -> Option<String> {
    if !error.info().starts_with("':' must be followed by") {
        return None;
    }
    // The scanner stands on the value, behind the tabs.
    let value = (offsets.byte(error.marker().index()) as usize).checked_sub(text_from)?;
    let (before, after) = body.split_at_checked(value)?;
    let kept = before.trim_end_matches(['\t', ' ']);
    let blanks = before.get(kept.len()..)?;
    let is_it = kept.ends_with(':') && blanks.contains('\t');
    is_it.then(|| format!("{kept}{}{after}", " ".repeat(blanks.len())))
}
