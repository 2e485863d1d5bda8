//! Where characters are: the scanner counts characters, spans hold bytes. An ASCII text needs no table; of another one
//! every 64th character is remembered.

use std::sync::Arc;

use crate::file::yaml::layout::Inserted;

/// Character positions, which the scanner counts, to byte positions in the file, which spans hold.
pub struct Offsets {
    /// The file's byte where the text starts.
    from: usize,
    inserted: Inserted,
    characters: Characters,
}

enum Characters {
    Bytes,
    Sampled { every: Vec<u32>, text: Arc<str> },
}

const SAMPLE: usize = 64;

impl Offsets {
    /// The positions of a text that starts `from` bytes into its file, and into which blanks were inserted.
    pub fn of(text: &str, from: usize, inserted: Inserted) -> Offsets {
        let characters = if text.is_ascii() {
            Characters::Bytes
        } else {
            let every = text
                .char_indices()
                .step_by(SAMPLE)
                .map(|(at, _)| at as u32)
                .collect();
            let text = Arc::from(text);
            Characters::Sampled { every, text }
        };
        Offsets {
            from,
            inserted,
            characters,
        }
    }

    /// The byte of the file at which a character starts.
    pub fn byte(&self, index: usize) -> u32 {
        let byte = self.characters.byte(index);
        (self.inserted.original(byte) + self.from) as u32
    }
}

impl Characters {
    fn byte(&self, index: usize) -> usize {
        let Characters::Sampled { every, text } = self else {
            return index;
        };
        let Some(start) = every.get(index / SAMPLE) else {
            return text.len();
        };
        let start = *start as usize;
        let rest = text.get(start..).unwrap_or("");
        let more = rest
            .char_indices()
            .nth(index % SAMPLE)
            .map_or(rest.len(), |(at, _)| at);
        start + more
    }
}
