//! The words of progress lines: what a resource is called (`Network lab_default`) and what is happening to it
//! (`Creating`, `Created`). Where Compose has a word, it is the same.

use std::collections::BTreeSet;

use crate::apply::event::{Event, Subject};
use crate::plan::spec::{Kind, ResourceId};
use crate::plan::step::Milestone;

/// How a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Working,
    Done,
    Warning,
    Failed,
}

/// What an event says about one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub id: ResourceId,
    pub status: String,
    /// More about it; shown behind the status where there is room.
    pub detail: String,
    pub tone: Tone,
}

/// The resource as progress lines name it.
pub fn title(id: &ResourceId) -> String {
    let kind = match id.kind {
        Kind::Lan => "Lan",
        Kind::Link => "Link",
        Kind::Promiscuity => "Parent",
        Kind::Network => "Network",
        Kind::Shim => "Shim",
        Kind::Route => "Route",
        Kind::Volume => "Volume",
        Kind::Image => "Image",
        Kind::Container => "Container",
        Kind::Endpoint => "Endpoint",
        Kind::Door => "Door",
    };
    format!("{kind} {}", id.name)
}

/// Turns events into lines. It remembers which containers are being replaced, because there `create` is called
/// `Recreate` and the removal of the old one is not that of the container.
#[derive(Debug, Default)]
pub struct Speaker {
    replaced: BTreeSet<ResourceId>,
    /// Those of which it was said that they are skipped: their further steps go without saying.
    skipped: BTreeSet<ResourceId>,
}

impl Speaker {
    /// What the event says; none for what concerns no single resource or is not worth a line.
    pub fn line(&mut self, event: &Event) -> Option<Line> {
        let line = |subject: &Subject, status: String, detail: String, tone: Tone| {
            Some(Line {
                id: subject.id.clone(),
                status,
                detail,
                tone,
            })
        };
        match event {
            Event::RunStarted { steps, .. } => {
                let of = |verb: &str| -> BTreeSet<&ResourceId> {
                    let those = steps.iter().filter(|subject| subject.verb == verb);
                    those.map(|subject| &subject.id).collect()
                };
                // One that is parked and has no successor is on its way out.
                self.replaced = of("park")
                    .intersection(&of("create"))
                    .map(|id| (*id).clone())
                    .collect();
                None
            }
            Event::StepStarted { subject, .. } => {
                let status = self.doing(subject)?;
                line(subject, status.to_owned(), String::new(), Tone::Working)
            }
            Event::StepProgress { subject, text } => {
                let status = self.doing(subject).unwrap_or("Working");
                line(subject, status.to_owned(), text.clone(), Tone::Working)
            }
            Event::StepWarning { subject, text } => {
                line(subject, "Warning".to_owned(), text.clone(), Tone::Warning)
            }
            Event::StepDone { subject, .. } => {
                let status = self.done(subject)?;
                line(subject, status.to_owned(), String::new(), Tone::Done)
            }
            Event::StepFailed { subject, error, .. } => {
                line(subject, "Error".to_owned(), error.clone(), Tone::Failed)
            }
            Event::StepSkipped { subject, because } => {
                if !self.skipped.insert(subject.id.clone()) {
                    return None;
                }
                let detail = format!("because of {}", title(because));
                line(subject, "Skipped".to_owned(), detail, Tone::Warning)
            }
            Event::Waiting {
                subject, milestone, ..
            } => {
                let detail = match milestone {
                    Milestone::Done => "",
                    Milestone::Healthy => "until healthy",
                    Milestone::Completed => "until it has completed",
                };
                line(
                    subject,
                    "Waiting".to_owned(),
                    detail.to_owned(),
                    Tone::Working,
                )
            }
            Event::MilestoneReached {
                subject, milestone, ..
            } => {
                let status = match milestone {
                    Milestone::Done => "Done",
                    Milestone::Healthy => "Healthy",
                    Milestone::Completed => "Exited",
                };
                line(subject, status.to_owned(), String::new(), Tone::Done)
            }
            Event::MilestoneMissed {
                subject,
                error,
                without,
                ..
            } => {
                let tone = if without.is_empty() {
                    Tone::Failed
                } else {
                    Tone::Warning
                };
                line(subject, "Error".to_owned(), error.clone(), tone)
            }
            Event::Undoing { subject } => {
                let status = doing(subject.verb);
                line(subject, status.to_owned(), "undo".to_owned(), Tone::Working)
            }
            Event::Undone { subject, .. } => {
                let status = done(subject.verb);
                line(subject, status.to_owned(), "undo".to_owned(), Tone::Done)
            }
            Event::UndoFailed { subject, error, .. } => {
                line(subject, "Error".to_owned(), error.clone(), Tone::Failed)
            }
            Event::UndoStarted { .. }
            | Event::Interrupted { .. }
            | Event::JournalFailed { .. }
            | Event::RunFinished { .. } => None,
        }
    }

    fn doing(&self, subject: &Subject) -> Option<&'static str> {
        if !self.replaced.contains(&subject.id) {
            return Some(doing(subject.verb));
        }
        match subject.verb {
            "park" => Some("Recreate"),
            "create" | "remove" => None,
            verb => Some(doing(verb)),
        }
    }

    fn done(&self, subject: &Subject) -> Option<&'static str> {
        if !self.replaced.contains(&subject.id) {
            return Some(done(subject.verb));
        }
        match subject.verb {
            "park" | "remove" => None,
            "create" => Some("Recreated"),
            verb => Some(done(verb)),
        }
    }
}

fn doing(verb: &str) -> &'static str {
    both(verb).0
}

fn done(verb: &str) -> &'static str {
    both(verb).1
}

fn both(verb: &str) -> (&'static str, &'static str) {
    match verb {
        "create" => ("Creating", "Created"),
        "start" | "run" => ("Starting", "Started"),
        "stop" => ("Stopping", "Stopped"),
        "restart" => ("Restarting", "Started"),
        "remove" => ("Removing", "Removed"),
        "park" => ("Parking", "Parked"),
        "restore" => ("Restoring", "Restored"),
        "connect" => ("Connecting", "Connected"),
        "disconnect" => ("Disconnecting", "Disconnected"),
        "pull" => ("Pulling", "Pulled"),
        "build" => ("Building", "Built"),
        "set" => ("Setting promiscuous", "Promiscuous"),
        "put back" => ("Putting back", "Put back"),
        "change" => ("Changing", "Changed"),
        _ => ("Working", "Done"),
    }
}
