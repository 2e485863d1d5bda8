//! One line an event, for pipes, logs and `--progress plain`: ` Container lab-web-1 Started`.

use std::sync::{Mutex, PoisonError};

use crate::apply::event::{Event, Listener};
use crate::cli::render::words::{Line, Speaker, Tone, title};
use crate::cli::render::{Stream, say};

/// The plain renderer.
pub struct Plain {
    stream: Stream,
    prefix: &'static str,
    speaker: Mutex<Speaker>,
}

impl Plain {
    /// A renderer that writes to this stream, each line with this before it.
    pub fn new(stream: Stream, prefix: &'static str) -> Plain {
        Plain {
            stream,
            prefix,
            speaker: Mutex::default(),
        }
    }
}

impl Listener for Plain {
    fn hear(&self, event: &Event) {
        // A speaker is only a set of names: what a thread that panicked left of it is still right.
        let mut speaker = self.speaker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = text(&mut speaker, event) {
            say(self.stream, &format!("{}{text}", self.prefix));
        }
    }
}

/// The line for an event, if it has one.
pub fn text(speaker: &mut Speaker, event: &Event) -> Option<String> {
    if let Some(line) = speaker.line(event) {
        return Some(one(&line));
    }
    match event {
        Event::UndoStarted { steps } => {
            Some(format!(" Taking back {steps} {}", if *steps == 1 { "step" } else { "steps" }))
        }
        Event::Interrupted { again: false, undo: false } => Some(
            " Interrupted: what runs may end, the rest is left as it is (press Ctrl+C again to leave at once)"
                .to_owned(),
        ),
        Event::Interrupted { again: false, undo: true } => Some(
            " Interrupted: what runs may end, the rest is taken back (press Ctrl+C again to leave at once)"
                .to_owned(),
        ),
        Event::Interrupted { again: true, .. } => Some(" Interrupted again: leaving at once".to_owned()),
        Event::JournalFailed { error } => Some(format!(" Journal Error: {error}")),
        Event::RunStarted { .. }
        | Event::StepStarted { .. }
        | Event::StepProgress { .. }
        | Event::StepWarning { .. }
        | Event::StepDone { .. }
        | Event::StepFailed { .. }
        | Event::StepSkipped { .. }
        | Event::Waiting { .. }
        | Event::MilestoneReached { .. }
        | Event::MilestoneMissed { .. }
        | Event::Undoing { .. }
        | Event::Undone { .. }
        | Event::UndoFailed { .. }
        | Event::RunFinished { .. } => None,
    }
}

fn one(line: &Line) -> String {
    let Line {
        id,
        status,
        detail,
        tone,
    } = line;
    let mut text = format!(" {} {status}", title(id));
    match tone {
        // Why it failed is said in full when all is over.
        Tone::Failed => {}
        _ if detail.is_empty() => {}
        Tone::Warning => {
            text.push_str(": ");
            text.push_str(detail);
        }
        Tone::Working | Tone::Done => {
            text.push_str(" - ");
            text.push_str(detail);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::text;
    use crate::apply::event::{Event, Subject};
    use crate::cli::render::words::Speaker;
    use crate::plan::spec::{Kind, ResourceId};
    use crate::plan::step::{Milestone, Reason, StepIndex};

    fn subject(kind: Kind, name: &str, verb: &'static str) -> Subject {
        Subject {
            step: StepIndex(0),
            id: ResourceId::new(kind, name),
            verb,
        }
    }

    #[test]
    fn lines_are_those_of_compose() {
        let web = |verb| subject(Kind::Container, "lab-web-1", verb);
        let started = |subject| Event::StepStarted {
            subject,
            reason: Reason::Missing,
        };
        let done = |subject| Event::StepDone {
            subject,
            took: Duration::ZERO,
        };
        let skipped = |verb| Event::StepSkipped {
            subject: subject(Kind::Container, "lab-app-1", verb),
            because: ResourceId::new(Kind::Shim, "shim-lan"),
        };
        let events = [
            Event::RunStarted {
                project: "lab".parse().unwrap(),
                steps: vec![web("park"), web("create"), web("start"), web("remove")],
            },
            started(subject(Kind::Network, "lab_default", "create")),
            done(subject(Kind::Network, "lab_default", "create")),
            started(web("park")),
            done(web("park")),
            started(web("create")),
            done(web("create")),
            started(web("start")),
            done(web("start")),
            Event::Waiting {
                subject: web("start"),
                milestone: Milestone::Healthy,
                waiting: Vec::new(),
            },
            Event::MilestoneReached {
                subject: web("start"),
                milestone: Milestone::Healthy,
                took: Duration::ZERO,
            },
            done(web("remove")),
            Event::StepFailed {
                subject: subject(Kind::Shim, "shim-lan", "create"),
                error: "the address is in use".into(),
                hint: None,
            },
            // Neither made nor started: one line.
            skipped("create"),
            skipped("start"),
            Event::UndoStarted { steps: 1 },
        ];
        let mut speaker = Speaker::default();
        let lines: Vec<String> = events
            .iter()
            .filter_map(|event| text(&mut speaker, event))
            .collect();
        assert_eq!(
            lines,
            [
                " Network lab_default Creating",
                " Network lab_default Created",
                " Container lab-web-1 Recreate",
                " Container lab-web-1 Recreated",
                " Container lab-web-1 Starting",
                " Container lab-web-1 Started",
                " Container lab-web-1 Waiting - until healthy",
                " Container lab-web-1 Healthy",
                " Shim shim-lan Error",
                " Container lab-app-1 Skipped: because of Shim shim-lan",
                " Taking back 1 step",
            ]
        );
    }
}
