//! Progress for people and programs: listens to the facts of a run and shows them on standard error, live on a
//! terminal, else one line an event, or as JSON. Words and line format are those of Compose v5.

pub mod board;
pub mod json;
pub mod plain;
pub mod summary;
pub mod tty;
pub mod words;

use crate::apply::event::{Event, Listener, Silence};
use crate::cli::global::ProgressMode;
use crate::cli::screen::Screen;

/// What dry runs put before each line, as Compose does.
pub const DRY_RUN: &str = "DRY-RUN MODE - ";

/// Where progress goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Error,
    /// `COMPOSE_STATUS_STDOUT`.
    Output,
}

/// Whoever shows progress in this run.
pub enum Renderer {
    Tty(tty::Tty),
    Plain(plain::Plain),
    Json(json::Json),
    Quiet(Silence),
}

impl Renderer {
    /// The renderer that the flags and the streams call for.
    pub fn choose(
        mode: Option<ProgressMode>,
        screen: &Screen,
        stream: Stream,
        prefix: &'static str,
    ) -> Renderer {
        let live = screen.movable && screen.error_is_terminal && stream == Stream::Error;
        match mode.unwrap_or(ProgressMode::Auto) {
            ProgressMode::Tty => Renderer::Tty(tty::Tty::start(screen.error_colour, prefix)),
            ProgressMode::Auto if live => {
                Renderer::Tty(tty::Tty::start(screen.error_colour, prefix))
            }
            ProgressMode::Auto | ProgressMode::Plain => {
                Renderer::Plain(plain::Plain::new(stream, prefix))
            }
            ProgressMode::Json => Renderer::Json(json::Json::new(stream, prefix)),
            ProgressMode::Quiet => Renderer::Quiet(Silence),
        }
    }

    /// Whether only errors are shown.
    pub fn is_quiet(&self) -> bool {
        match self {
            Renderer::Quiet(_) => true,
            Renderer::Tty(_) | Renderer::Plain(_) | Renderer::Json(_) => false,
        }
    }

    /// Draws the last state; nothing is shown after it.
    pub fn finish(self) {
        match self {
            Renderer::Tty(tty) => tty.finish(),
            Renderer::Plain(_) | Renderer::Json(_) | Renderer::Quiet(_) => {}
        }
    }
}

impl Listener for Renderer {
    fn hear(&self, event: &Event) {
        match self {
            Renderer::Tty(tty) => tty.hear(event),
            Renderer::Plain(plain) => plain.hear(event),
            Renderer::Json(json) => json.hear(event),
            Renderer::Quiet(silence) => silence.hear(event),
        }
    }
}

/// One line of talk to standard error.
pub fn talk(line: &str) {
    say(Stream::Error, line);
}

/// The same without a line end: several lines that have theirs, or a question.
pub fn mutter(text: &str) {
    use std::io::Write;
    let mut stream = std::io::stderr();
    // As with progress: that nobody can read it is no reason to stop.
    let _ = stream
        .write_all(text.as_bytes())
        .and_then(|()| stream.flush());
}

/// One line to a stream. Progress that nobody can read any more is no reason to stop what is being done.
pub fn say(stream: Stream, line: &str) {
    use std::io::Write;
    let _ = match stream {
        Stream::Error => writeln!(std::io::stderr(), "{line}"),
        Stream::Output => writeln!(std::io::stdout(), "{line}"),
    };
}
