//! The live display: a list that is redrawn in place, at most ten times a second, begun only when a run takes longer
//! than a moment. A thread of its own owns the list; listeners only send it facts, so a run never waits for a
//! terminal.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::apply::event::{Event, Listener};
use crate::cli::render::board::{Board, Frame};
use crate::cli::screen;

/// Nothing is drawn before a run is so old: what is over by then is drawn once, at its end.
const DELAY: Duration = Duration::from_millis(120);

/// The time between two frames.
const PERIOD: Duration = Duration::from_millis(100);

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";

/// The live renderer.
pub struct Tty {
    facts: Sender<Event>,
    drawer: JoinHandle<()>,
}

impl Tty {
    /// Starts the thread that draws.
    pub fn start(colour: bool, prefix: &'static str) -> Tty {
        let (facts, received) = channel();
        let drawer = std::thread::spawn(move || draw(&received, colour, prefix));
        Tty { facts, drawer }
    }

    /// Draws the last frame and gives the terminal back.
    pub fn finish(self) {
        drop(self.facts);
        // A drawer that panicked has told so itself, and there is nothing to save.
        let _ = self.drawer.join();
    }
}

impl Listener for Tty {
    fn hear(&self, event: &Event) {
        // The drawer listens as long as we live.
        let _ = self.facts.send(event.clone());
    }
}

fn draw(facts: &Receiver<Event>, colour: bool, prefix: &'static str) {
    let began = Instant::now();
    let mut board = Board::default();
    let mut drawn = 0;
    let mut next = began + DELAY;
    loop {
        let now = Instant::now();
        match facts.recv_timeout(next.saturating_duration_since(now)) {
            Ok(event) => board.hear(&event, began.elapsed()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if Instant::now() >= next && !board.is_empty() {
            drawn = redraw(&board, drawn, began, colour, prefix);
            next = Instant::now() + PERIOD;
        } else if Instant::now() >= next {
            next = Instant::now() + PERIOD;
        }
    }
    if !board.is_empty() {
        redraw(&board, drawn, began, colour, prefix);
    }
    print(SHOW_CURSOR);
}

/// Draws over the lines of the last frame; returns how many lines this one has.
fn redraw(board: &Board, drawn: usize, began: Instant, colour: bool, prefix: &str) -> usize {
    let (width, height) = screen::size();
    let frame = Frame {
        width: width.saturating_sub(prefix.len()),
        height,
        colour,
        now: began.elapsed(),
    };
    let lines = board.frame(&frame);
    let mut text = String::from(HIDE_CURSOR);
    if drawn > 0 {
        let _ = write!(text, "\x1b[{drawn}A");
    }
    for line in &lines {
        let _ = write!(text, "\r\x1b[2K{prefix}{line}\n");
    }
    // A frame may be shorter than the one before, when the window has become smaller.
    text.push_str("\x1b[0J");
    print(&text);
    lines.len()
}

fn print(text: &str) {
    let mut stream = std::io::stderr().lock();
    // A terminal that went away is no reason to stop what is being done.
    let _ = stream
        .write_all(text.as_bytes())
        .and_then(|()| stream.flush());
}
