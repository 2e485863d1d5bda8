//! The last lines of a run: what failed and why, what was taken back, what is left and what to do about it, and in what
//! state the machine is now. Pure.

use crate::apply::report::{Outcome, Report};
use crate::cli::exit::Exit;
use crate::cli::render::words::title;
use crate::plan::spec::ResourceId;
use crate::plan::step::{Plan, Undo};

/// What the summary must know of a run besides its report.
pub struct About<'a> {
    /// `up`, `down`, ….
    pub command: &'static str,
    pub plan: &'a Plan,
    /// Where in the stack file a resource comes from, where that is known.
    pub place: &'a dyn Fn(&ResourceId) -> Option<String>,
}

/// All of it, line by line; nothing where all went well.
pub fn lines(report: &Report, about: &About<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for failure in &report.failures {
        lines.push(format!("error: {}", failure.error));
        if let Some(place) = failure.id.as_ref().and_then(about.place) {
            lines.push(format!("  --> {place}"));
        }
        if let Some(hint) = &failure.hint {
            lines.push(format!("hint: {hint}"));
        }
    }
    if !report.undone.is_empty() {
        let names: Vec<String> = report
            .undone
            .iter()
            .filter_map(|index| about.plan.steps.get(index.0))
            .map(|step| format!("{} {}", step.verb(), title(&step.id)))
            .collect();
        lines.push(format!("taken back: {}", short_list(&names)));
    }
    for left in &report.left {
        lines.push(format!("left: {}: {}", title(&left.id), left.error));
        lines.push(format!("  to do: {}", left.remedy));
    }
    let command = about.command;
    let machine = report.machine();
    match report.outcome {
        Outcome::Done if report.failures.is_empty() => {}
        Outcome::Done => lines.push(format!("{command} done: {machine}")),
        Outcome::Failed => lines.push(format!("{command} failed: {machine}")),
        Outcome::Interrupted => lines.push(format!("{command} interrupted: {machine}")),
        // Nothing of it is taken back, and the engine may still be at what it was asked for.
        Outcome::Abandoned if is_final(about.plan) => lines.push(format!(
            "{command} left in the middle; the next run waits for what this one had begun (`stack {command}` again, or `stack up`)"
        )),
        Outcome::Abandoned => lines.push(format!(
            "{command} {machine} (`stack {command}` again, or `stack --project-name {} down`)",
            about.plan.project
        )),
    }
    lines
}

/// Whether no step of the plan can be taken back.
fn is_final(plan: &Plan) -> bool {
    plan.steps.iter().all(|step| step.undo == Undo::Never)
}

/// The exit code of a run.
pub fn exit(report: &Report) -> Exit {
    match report.outcome {
        Outcome::Done if report.failures.is_empty() => Exit::Done,
        Outcome::Interrupted => Exit::Interrupted,
        Outcome::Abandoned => Exit::Partial,
        Outcome::Done | Outcome::Failed if report.left.is_empty() && report.done.is_empty() => {
            Exit::Refused
        }
        Outcome::Done | Outcome::Failed => Exit::Partial,
    }
}

fn short_list(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let first = names
        .get(..SHOWN.min(names.len()))
        .unwrap_or_default()
        .join(", ");
    match names.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{first} and {more} more"),
        Some(_) | None => first,
    }
}

#[cfg(test)]
mod tests {
    use super::{About, exit, lines};
    use crate::apply::report::{Failure, Outcome, Report};
    use crate::cli::exit::Exit;
    use crate::plan::spec::{Kind, ResourceId};
    use crate::plan::step::Plan;

    #[test]
    fn a_failure_has_a_place_a_hint_and_the_state_of_the_machine() {
        let plan = Plan {
            project: "lab".parse().unwrap(),
            steps: Vec::new(),
            edges: Vec::new(),
        };
        let mut report = Report::new();
        report.outcome = Outcome::Failed;
        report.failures.push(Failure {
            step: None,
            id: Some(ResourceId::new(Kind::Network, "lab_lan")),
            kind: None,
            error: "cannot create network `lab_lan`: no such parent".into(),
            hint: Some("ip link".into()),
        });
        let about = About {
            command: "up",
            plan: &plan,
            place: &|_| Some("stack.yaml:3:5".into()),
        };
        assert_eq!(
            lines(&report, &about),
            [
                "error: cannot create network `lab_lan`: no such parent",
                "  --> stack.yaml:3:5",
                "hint: ip link",
                "up failed: nothing was changed",
            ]
        );
        assert_eq!(exit(&report), Exit::Refused);
    }
}
