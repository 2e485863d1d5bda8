//! The state of a run as lines, for the live display: one line a resource, in the order in which things began. Pure:
//! time and size come from outside, so a frame is a value that a test can look at.

use std::time::Duration;

use indexmap::IndexMap;

use crate::apply::event::Event;
use crate::cli::moment;
use crate::cli::render::words::{Speaker, Tone, title};
use crate::plan::spec::ResourceId;

/// The figures of the spinner, one a frame.
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// Everything that the display knows.
#[derive(Debug, Default)]
pub struct Board {
    speaker: Speaker,
    lines: IndexMap<ResourceId, Entry>,
    /// Steps that the run has.
    steps: usize,
    done: usize,
    undoing: bool,
    interrupted: bool,
    /// Warnings: they stay under the list.
    remarks: Vec<String>,
}

#[derive(Debug)]
struct Entry {
    status: String,
    detail: String,
    tone: Tone,
    began: Duration,
    ended: Option<Duration>,
}

/// How a frame is painted.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    pub width: usize,
    /// At most so many lines.
    pub height: usize,
    pub colour: bool,
    /// Time since the run began.
    pub now: Duration,
}

impl Board {
    /// Takes one more fact in, at this time since the beginning.
    pub fn hear(&mut self, event: &Event, now: Duration) {
        match event {
            Event::RunStarted { steps, .. } => self.steps += steps.len(),
            Event::StepDone { .. } => self.done += 1,
            Event::UndoStarted { .. } => self.undoing = true,
            Event::Interrupted { .. } => self.interrupted = true,
            Event::JournalFailed { error } => self.remarks.push(format!("! journal: {error}")),
            Event::StepWarning { subject, text } => {
                self.remarks
                    .push(format!("! {}: {text}", title(&subject.id)));
                return;
            }
            Event::StepStarted { .. }
            | Event::StepProgress { .. }
            | Event::StepFailed { .. }
            | Event::StepSkipped { .. }
            | Event::Waiting { .. }
            | Event::MilestoneReached { .. }
            | Event::MilestoneMissed { .. }
            | Event::Undoing { .. }
            | Event::Undone { .. }
            | Event::UndoFailed { .. }
            | Event::RunFinished { .. } => {}
        }
        let Some(line) = self.speaker.line(event) else {
            return;
        };
        let ended = (line.tone != Tone::Working).then_some(now);
        let entry = self.lines.entry(line.id).or_insert_with(|| Entry {
            status: String::new(),
            detail: String::new(),
            tone: Tone::Working,
            began: now,
            ended: None,
        });
        entry.status = line.status;
        entry.detail = line.detail;
        entry.tone = line.tone;
        entry.ended = ended;
    }

    /// Whether nothing was ever said: then nothing is drawn.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.remarks.is_empty()
    }

    /// The lines of one frame, none longer than the width.
    pub fn frame(&self, frame: &Frame) -> Vec<String> {
        let what = match (self.undoing, self.interrupted) {
            (true, _) => "Taking back",
            (false, true) => "Interrupted, finishing what runs",
            (false, false) => "Running",
        };
        let mut lines = vec![cut(
            &format!("[+] {what} {}/{}", self.done, self.steps),
            frame.width,
        )];
        let room = frame.height.saturating_sub(2 + self.remarks.len()).max(1);
        let shown = self.chosen(room);
        let hidden = self.lines.len() - shown.len();
        if hidden > 0 {
            lines.push(cut(&format!("   … and {hidden} more"), frame.width));
        }
        let titles: Vec<String> = shown.iter().map(|(id, _)| title(id)).collect();
        let title_width = titles
            .iter()
            .map(|text| text.chars().count())
            .max()
            .unwrap_or(0);
        let status_width = shown
            .iter()
            .map(|(_, entry)| entry.status.chars().count())
            .max()
            .unwrap_or(0);
        for (title, (_, entry)) in titles.iter().zip(&shown) {
            let left = format!("{title:<title_width$}  {:<status_width$}", entry.status);
            lines.push(painted(entry, &left, frame));
        }
        for remark in &self.remarks {
            lines.push(cut(&format!(" {remark}"), frame.width));
        }
        lines
    }

    /// What is shown where there is not room for all: failures and what works first, then the latest; in their order.
    fn chosen(&self, room: usize) -> Vec<(&ResourceId, &Entry)> {
        if self.lines.len() <= room {
            return self.lines.iter().collect();
        }
        let rank = |entry: &Entry| match entry.tone {
            Tone::Failed => 0,
            Tone::Working => 1,
            Tone::Warning => 2,
            Tone::Done => 3,
        };
        let mut order: Vec<usize> = (0..self.lines.len()).collect();
        order.sort_by_key(|index| {
            let entry = self.lines.get_index(*index).map(|(_, entry)| entry);
            (
                entry.map(rank),
                entry.map(|entry| std::cmp::Reverse(entry.ended)),
            )
        });
        order.truncate(room.saturating_sub(1).max(1));
        order.sort_unstable();
        order
            .iter()
            .filter_map(|index| self.lines.get_index(*index))
            .collect()
    }
}

fn painted(entry: &Entry, left: &str, frame: &Frame) -> String {
    let spin = usize::try_from(frame.now.as_millis() / 100).unwrap_or(0) % SPINNER.len();
    let (sign, colour) = match entry.tone {
        Tone::Working => (SPINNER.get(spin).copied().unwrap_or("…"), "36"),
        Tone::Done => ("✔", "32"),
        Tone::Warning => ("!", "33"),
        Tone::Failed => ("✘", "31"),
    };
    let took = entry.ended.unwrap_or(frame.now).saturating_sub(entry.began);
    let took = moment::seconds(took);
    let middle = if entry.detail.is_empty() {
        left.to_owned()
    } else {
        format!("{left}  {}", entry.detail)
    };
    let room = frame.width.saturating_sub(3 + 1 + took.len());
    let middle = cut(&middle, room);
    let sign = if frame.colour {
        format!("\x1b[{colour}m{sign}\x1b[0m")
    } else {
        sign.to_owned()
    };
    let gap = room.saturating_sub(middle.chars().count());
    format!(" {sign} {middle}{:gap$} {took}", "")
}

fn cut(text: &str, width: usize) -> String {
    let one_line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if one_line.chars().count() <= width {
        return one_line;
    }
    one_line
        .chars()
        .take(width.saturating_sub(1))
        .chain(['…'])
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Board, Frame};
    use crate::apply::event::{Event, Subject};
    use crate::plan::spec::{Kind, ResourceId};
    use crate::plan::step::{Reason, StepIndex};

    fn subject(number: usize, verb: &'static str) -> Subject {
        Subject {
            step: StepIndex(number),
            id: ResourceId::new(Kind::Container, format!("lab-web-{number}")),
            verb,
        }
    }

    fn board(containers: usize) -> Board {
        let mut board = Board::default();
        let steps = (1..=containers)
            .map(|number| subject(number, "create"))
            .collect();
        let project = "lab".parse().unwrap();
        board.hear(&Event::RunStarted { project, steps }, Duration::ZERO);
        for number in 1..=containers {
            let event = Event::StepStarted {
                subject: subject(number, "create"),
                reason: Reason::Missing,
            };
            board.hear(&event, Duration::from_millis(100));
        }
        let event = Event::StepDone {
            subject: subject(1, "create"),
            took: Duration::ZERO,
        };
        board.hear(&event, Duration::from_millis(400));
        board
    }

    fn frame(width: usize, height: usize) -> Frame {
        Frame {
            width,
            height,
            colour: false,
            now: Duration::from_millis(1300),
        }
    }

    #[test]
    fn a_frame_has_a_line_for_each_resource() {
        assert_eq!(
            board(2).frame(&frame(50, 24)),
            [
                "[+] Running 1/2",
                " ✔ Container lab-web-1  Created               0.3s",
                " ⠸ Container lab-web-2  Creating              1.2s",
            ]
        );
    }

    #[test]
    fn a_frame_never_leaves_its_width_and_height() {
        let lines = board(40).frame(&frame(20, 10));
        assert!(lines.len() <= 10, "{lines:#?}");
        assert!(
            lines.iter().all(|line| line.chars().count() <= 20),
            "{lines:#?}"
        );
        assert_eq!(lines.get(1).map(String::as_str), Some("   … and 33 more"));
    }
}
