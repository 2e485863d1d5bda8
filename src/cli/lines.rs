//! Output of several containers, line by line: each line whole, with the container's name before it, in its colour.
//! Pieces come as they come; a line that has not ended waits.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;

use crate::world::engine::talk::log::{Piece, Said};

/// Compose's order of colours.
const COLOURS: [&str; 10] = ["36", "33", "32", "35", "34", "96", "93", "92", "95", "94"];

/// How lines are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    pub colour: bool,
    pub prefix: bool,
    pub streams: Streams,
}

/// Where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    /// To the stream that they were said on (`up`).
    AsSaid,
    /// All to the standard output, so that a pipe gets them (`logs`).
    Joined,
}

/// Whoever writes lines, for all containers together.
#[derive(Debug, Clone)]
pub struct Lines {
    style: Style,
    /// The widest name so far, and how many names there are.
    names: Arc<Mutex<Names>>,
}

#[derive(Debug, Default)]
struct Names {
    width: usize,
    known: Vec<String>,
}

/// One container's voice.
#[derive(Debug)]
pub struct Voice {
    lines: Lines,
    name: String,
    output: Vec<u8>,
    error: Vec<u8>,
}

impl Lines {
    /// Lines in this style.
    pub fn new(style: Style) -> Lines {
        Lines {
            style,
            names: Arc::default(),
        }
    }

    /// A voice of this name. Announce all names before the first word, so that their columns are in line.
    pub fn voice(&self, name: &str) -> Voice {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.width = names.width.max(name.chars().count());
        if !names.known.iter().any(|known| known == name) {
            names.known.push(name.to_owned());
        }
        Voice {
            lines: self.clone(),
            name: name.to_owned(),
            output: Vec::new(),
            error: Vec::new(),
        }
    }

    fn prefix(&self, name: &str) -> String {
        if !self.style.prefix {
            return String::new();
        }
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let width = names.width + 1;
        let place = names
            .known
            .iter()
            .position(|known| known == name)
            .unwrap_or(0);
        let text = format!("{name:<width$} | ");
        match COLOURS.get(place % COLOURS.len()) {
            Some(colour) if self.style.colour => format!("\x1b[{colour}m{text}\x1b[0m"),
            Some(_) | None => text,
        }
    }
}

impl Voice {
    /// Says a piece; whole lines are written.
    pub fn say(&mut self, piece: &Piece) -> std::io::Result<()> {
        let held = match piece.on {
            Said::Output => &mut self.output,
            Said::Error => &mut self.error,
        };
        held.extend_from_slice(&piece.bytes);
        let Some(end) = held.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(());
        };
        let rest = held.split_off(end + 1);
        let whole = std::mem::replace(held, rest);
        self.write(piece.on, &whole)
    }

    /// Says what is left when there is nothing more to come.
    pub fn end(&mut self) -> std::io::Result<()> {
        for (on, mut left) in [
            (Said::Output, std::mem::take(&mut self.output)),
            (Said::Error, std::mem::take(&mut self.error)),
        ] {
            if !left.is_empty() {
                left.push(b'\n');
                self.write(on, &left)?;
            }
        }
        Ok(())
    }

    /// A line of our own about the container: `web-1 exited with code 0`.
    pub fn remark(&self, text: &str) -> std::io::Result<()> {
        writeln!(std::io::stdout().lock(), "{} {text}", self.name)
    }

    fn write(&self, on: Said, lines: &[u8]) -> std::io::Result<()> {
        let text = framed(lines, &self.lines.prefix(&self.name));
        match (on, self.lines.style.streams) {
            (Said::Error, Streams::AsSaid) => std::io::stderr().lock().write_all(&text),
            (Said::Output, _) | (_, Streams::Joined) => std::io::stdout().lock().write_all(&text),
        }
    }
}

/// Lets only lines pass that are not older than a moment. The engine's own choice is made in whole seconds, so that a
/// container that was started again would repeat its last words. Lines come with their times, as the engine sets them.
#[derive(Debug)]
pub struct Sieve {
    since: Timestamp,
    /// Whether times stay.
    times: Times,
    output: Vec<u8>,
    error: Vec<u8>,
}

/// Whether lines are shown with their times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    Shown,
    Dropped,
}

impl Sieve {
    /// A sieve for lines since this moment.
    pub fn new(since: Timestamp, times: Times) -> Sieve {
        Sieve {
            since,
            times,
            output: Vec::new(),
            error: Vec::new(),
        }
    }

    /// What of a piece, and of what was held back before it, may pass.
    pub fn pass(&mut self, piece: &Piece) -> Piece {
        let held = match piece.on {
            Said::Output => &mut self.output,
            Said::Error => &mut self.error,
        };
        held.extend_from_slice(&piece.bytes);
        let end = held
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let rest = held.split_off(end);
        let whole = std::mem::replace(held, rest);
        let mut passed = Vec::with_capacity(whole.len());
        for line in whole.split_inclusive(|byte| *byte == b'\n') {
            passed.extend_from_slice(self.sifted(line));
        }
        Piece {
            on: piece.on,
            bytes: Bytes::from(passed),
        }
    }

    /// What is left when there is nothing more to come.
    pub fn end(&mut self) -> [Piece; 2] {
        [Said::Output, Said::Error].map(|on| {
            let left = match on {
                Said::Output => std::mem::take(&mut self.output),
                Said::Error => std::mem::take(&mut self.error),
            };
            Piece {
                on,
                bytes: Bytes::copy_from_slice(self.sifted(&left)),
            }
        })
    }

    fn sifted<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        let Some(blank) = line.iter().position(|byte| *byte == b' ') else {
            return line;
        };
        let (time, rest) = line.split_at(blank);
        let time = std::str::from_utf8(time)
            .ok()
            .and_then(|text| text.parse::<Timestamp>().ok());
        match (time, self.times) {
            (None, _) => line,
            (Some(time), _) if time < self.since => &[],
            (Some(_), Times::Shown) => line,
            (Some(_), Times::Dropped) => rest.get(1..).unwrap_or_default(),
        }
    }
}

/// The prefix before each line.
fn framed(lines: &[u8], prefix: &str) -> Vec<u8> {
    let mut text = Vec::with_capacity(lines.len() + prefix.len());
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        text.extend_from_slice(prefix.as_bytes());
        text.extend_from_slice(line);
    }
    text
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Lines, Sieve, Streams, Style, Times, framed};
    use crate::world::engine::talk::log::{Piece, Said};

    #[test]
    fn names_stand_in_one_column() {
        let lines = Lines::new(Style {
            colour: false,
            prefix: true,
            streams: Streams::Joined,
        });
        let _web = lines.voice("web-1");
        let _longer = lines.voice("database-1");
        assert_eq!(lines.prefix("web-1"), "web-1       | ");
        assert_eq!(lines.prefix("database-1"), "database-1  | ");
        assert_eq!(framed(b"a\nb\n", "x | "), b"x | a\nx | b\n");
    }

    #[test]
    fn old_lines_do_not_pass() {
        let mut sieve = Sieve::new("2026-08-20T10:00:00.5Z".parse().unwrap(), Times::Dropped);
        let piece = |text: &'static str| Piece {
            on: Said::Output,
            bytes: Bytes::from_static(text.as_bytes()),
        };
        let passed = sieve.pass(&piece(
            "2026-08-20T10:00:00.4Z old\n2026-08-20T10:00:00.6Z new\n2026-",
        ));
        assert_eq!(passed.bytes, "new\n");
        assert_eq!(sieve.pass(&piece("08-20T10:00:01Z last")).bytes, "");
        let [output, error] = sieve.end();
        assert_eq!(
            (output.bytes, error.bytes),
            (Bytes::from_static(b"last"), Bytes::new())
        );
    }
}
