//! The text of a file: UTF-8, or UTF-16 that says so with its byte order mark, which YAML allows too.

use crate::diagnostic::Diagnostic;

/// A file that is no text.
pub struct Undecoded {
    /// What can be shown of it.
    pub text: String,
    /// How many bytes of that are as they should be.
    pub valid: usize,
    pub why: Box<Diagnostic>,
}

/// The text that the bytes of a file are.
pub fn decoded(bytes: Vec<u8>) -> Result<String, Undecoded> {
    let unit: fn([u8; 2]) -> u16 = match bytes.get(..2) {
        Some([0xff, 0xfe]) => u16::from_le_bytes,
        Some([0xfe, 0xff]) => u16::from_be_bytes,
        _ => return utf8(bytes),
    };
    let units = bytes
        .chunks_exact(2)
        .skip(1)
        .filter_map(|pair| Some(unit(pair.try_into().ok()?)));
    let mut text = String::new();
    for found in char::decode_utf16(units) {
        match found {
            Ok(c) => text.push(c),
            Err(_) => {
                let valid = text.len();
                text.push(char::REPLACEMENT_CHARACTER);
                let why = Diagnostic::error(
                    "not-utf8",
                    "this is not UTF-16 text, as which it starts: half a character",
                )
                .hint("save the file as UTF-8");
                return Err(Undecoded {
                    text,
                    valid,
                    why: Box::new(why),
                });
            }
        }
    }
    if bytes.len() % 2 == 1 {
        let valid = text.len();
        let why = Diagnostic::error(
            "not-utf8",
            "this is not UTF-16 text, as which it starts: its last byte stands alone",
        )
        .hint("the file may be cut short; save it as UTF-8");
        return Err(Undecoded {
            text,
            valid,
            why: Box::new(why),
        });
    }
    Ok(text)
}

fn utf8(bytes: Vec<u8>) -> Result<String, Undecoded> {
    // A stack file starts with a letter, a `#` or a blank: a NUL beside it is half of a UTF-16 character.
    let wide = match bytes.get(..4) {
        Some([0, 1..=255, 0, 1..=255]) => Some("utf-16be"),
        Some([1..=255, 0, 1..=255, 0]) => Some("utf-16le"),
        _ => None,
    };
    if let Some(encoding) = wide {
        let text = bytes
            .iter()
            .filter(|byte| **byte != 0)
            .map(|byte| char::from(*byte))
            .collect();
        let why = Diagnostic::error(
            "not-utf8",
            "this file is not UTF-8 text: it looks like UTF-16 without a byte order mark",
        )
        .hint(format!("save it as UTF-8: iconv -f {encoding} -t utf-8"));
        return Err(Undecoded {
            text,
            valid: 0,
            why: Box::new(why),
        });
    }
    String::from_utf8(bytes).map_err(|error| Undecoded {
        valid: error.utf8_error().valid_up_to(),
        text: String::from_utf8_lossy(error.as_bytes()).into_owned(),
        why: Box::new(
            Diagnostic::error("not-utf8", "this file is not UTF-8 text").hint(
                "save it as UTF-8; `iconv -f latin1 -t utf-8` turns the usual older encoding into it",
            ),
        ),
    })
}
