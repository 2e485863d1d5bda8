//! Where characters are: the scanner counts characters, spans hold bytes. An ASCII text needs no table; of another one
//! every 64th character is remembered.

use std::sync::Arc;

/// Character positions, which the scanner counts, to byte positions, which spans hold.
pub enum Offsets {
    Same(usize),
    Sampled {
        from: usize,
        every: Vec<u32>,
        text: Arc<str>,
    },
}

const SAMPLE: usize = 64;

impl Offsets {
    /// The positions of a text that starts `from` bytes into its file.
    pub fn of(text: &str, from: usize) -> Offsets {
        if text.is_ascii() {
            return Offsets::Same(from);
        }
        let every = text
            .char_indices()
            .step_by(SAMPLE)
            .map(|(at, _)| at as u32)
            .collect();
        Offsets::Sampled {
            from,
            every,
            text: Arc::from(text),
        }
    }

    /// The byte at which a character starts.
    pub fn byte(&self, index: usize) -> u32 {
        match self {
            Offsets::Same(from) => (index + from) as u32,
            Offsets::Sampled { from, every, text } => {
                let Some(start) = every.get(index / SAMPLE) else {
                    return (text.len() + from) as u32;
                };
                let rest = text.get(*start as usize..).unwrap_or("");
                let more = rest
                    .char_indices()
                    .nth(index % SAMPLE)
                    .map_or(rest.len(), |(at, _)| at);
                (*start as usize + more + from) as u32
            }
        }
    }
}
