//! The checks of the file, run in their order: what is asked, what was expected, and what was seen. A check on a name
//! that does not exist is a mistake and no pass. What disturbs the stack between checks is the caller's to do.

use std::fmt::Write as _;
use std::future::Future;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::model::check::{Check, Disturbance};
use crate::model::port::Protocol;
use crate::reach::compare::{Compared, SeenOutcome};
use crate::reach::question::{Ask, Question};
use crate::reach::scene::Scene;
use crate::reach::verdict::{Code, Failure, Hop};
use crate::reach::words;

/// Who carries out what checks need.
pub trait Bench {
    /// Asks, predicted and seen, with the stack as it is now.
    fn ask(&mut self, check: &Check) -> impl Future<Output = Result<Vec<Compared>, String>>;

    /// Changes the stack.
    fn disturb(&mut self, disturbance: &Disturbance) -> impl Future<Output = Result<(), String>>;
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Passed,
    /// It failed and is only a warning.
    Warned,
    Failed,
    /// It could not be asked: an unknown name, a disturbance that failed, nobody to ask from.
    Broken,
    /// A required check before it failed.
    Skipped,
}

impl Ending {
    /// The word in output.
    pub fn word(self) -> &'static str {
        match self {
            Ending::Passed => "pass",
            Ending::Warned => "warning",
            Ending::Failed => "fail",
            Ending::Broken => "error",
            Ending::Skipped => "skipped",
        }
    }
}

/// What came of one check.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub name: String,
    pub question: String,
    pub expected: String,
    pub ending: Ending,
    /// What was seen, or why nothing was.
    pub seen: String,
    /// Why, in the words of the prediction; empty where it passed.
    pub why: String,
    pub took: Duration,
}

/// How long it is waited before a check that may still come true is asked again.
const PAUSE: Duration = Duration::from_millis(250);

/// Runs all checks.
pub async fn run(checks: &[Check], bench: &mut impl Bench) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut ended = false;
    for check in checks {
        let begin = Instant::now();
        let mut outcome = if ended {
            blank(
                check,
                Ending::Skipped,
                "a check before it is required and failed",
            )
        } else {
            one(check, bench).await
        };
        outcome.took = begin.elapsed();
        ended |= check.require && matches!(outcome.ending, Ending::Failed | Ending::Broken);
        outcomes.push(outcome);
    }
    outcomes
}

fn blank(check: &Check, ending: Ending, seen: impl Into<String>) -> Outcome {
    Outcome {
        name: check.name.clone(),
        question: question_text(check),
        expected: check.expect.clone(),
        ending,
        seen: seen.into(),
        why: String::new(),
        took: Duration::ZERO,
    }
}

/// What a check asks, in one line.
pub fn question_text(check: &Check) -> String {
    match check.port {
        Some(port) => format!("{} to {} {}/{port}", check.from, check.to, check.protocol),
        None => format!("{} to {} icmp", check.from, check.to),
    }
}

async fn one(check: &Check, bench: &mut impl Bench) -> Outcome {
    let Some(expected) = Expected::from_text(&check.expect) else {
        return blank(check, Ending::Broken, unexpected(&check.expect));
    };
    for disturbance in &check.after {
        if let Err(error) = bench.disturb(disturbance).await {
            return blank(check, Ending::Broken, error);
        }
    }
    let until = Instant::now() + check.within.unwrap_or_default();
    loop {
        let cells = match bench.ask(check).await {
            Ok(cells) => cells,
            Err(error) => return blank(check, Ending::Broken, error),
        };
        let outcome = judge(check, &expected, &cells);
        if outcome.ending == Ending::Passed || Instant::now() >= until {
            return outcome;
        }
        tokio::time::sleep(PAUSE.min(until.saturating_duration_since(Instant::now()))).await;
    }
}

fn unexpected(text: &str) -> String {
    let words = Failure::WORDS.join(", ");
    format!("`{text}` cannot be expected: ok, unreachable, {words} or a reason code")
}

/// What is wrong with a check whatever the stack does, each with the key that says it. The scene is that of the file alone.
pub fn mistakes(scene: &Scene, check: &Check) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if Expected::from_text(&check.expect).is_none() {
        found.push(("expect", unexpected(&check.expect)));
    }
    if let Err(error) = words::viewpoints(scene, &check.from) {
        found.push(("from", error));
    } else if let Err(error) = questions(scene, check) {
        found.push(("to", error));
    }
    for (key, text) in [("from", &check.from), ("to", &check.to)] {
        if text.trim() == "internet" {
            let message = "nobody here can ask for the internet, or as it: `stack why` predicts it";
            found.push((key, message.to_owned()));
        }
    }
    if check.port.is_none() && check.protocol != Protocol::Tcp {
        found.push(("protocol", format!("{} needs a `port`", check.protocol)));
    }
    if let Some(via) = check.via.as_ref().filter(|via| !is_on_a_path(scene, via)) {
        found.push(("via", format!("there is no link or network `{via}`")));
    }
    found
}

/// Whether a path may take it. A bridge of the engine's that is not made yet has a name that only the engine knows.
fn is_on_a_path(scene: &Scene, via: &str) -> bool {
    let of_engine = via.starts_with("br-");
    let mut networks = scene.networks.iter();
    let mut links = scene.nodes.iter().flat_map(|node| &node.links);
    of_engine
        || networks.any(|(name, network)| name == via || network.key == via)
        || links.any(|link| link.name == via || scene.segment_name(link.segment) == via)
        || scene.nodes.iter().any(|node| node.name == via)
}

/// What a check wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Ok,
    /// Any failure.
    Unreachable,
    Kind(Failure),
    Reason(Code),
}

impl Expected {
    /// `ok`, `unreachable`, a kind of failure or a reason code.
    pub fn from_text(text: &str) -> Option<Expected> {
        match text {
            "ok" | "reachable" => Some(Expected::Ok),
            "unreachable" | "fail" => Some(Expected::Unreachable),
            word => Failure::from_word(word)
                .map(Expected::Kind)
                .or_else(|| Code::from_word(word).map(Expected::Reason)),
        }
    }

    fn holds(self, cell: &Compared) -> bool {
        let Some(seen) = &cell.seen else { return false };
        match (self, seen.outcome) {
            (Expected::Ok, SeenOutcome::Ok) => true,
            (Expected::Unreachable, SeenOutcome::Fail(_)) => true,
            (Expected::Kind(kind), SeenOutcome::Fail(failure)) => kind == failure,
            // The reason is the prediction's; that it fails is seen.
            (Expected::Reason(code), SeenOutcome::Fail(_)) => {
                cell.cell.prediction.code() == Some(code)
            }
            (Expected::Kind(Failure::Timeout), SeenOutcome::Silent) => true,
            (Expected::Ok, SeenOutcome::Fail(_)) => false,
            (Expected::Unreachable | Expected::Kind(_) | Expected::Reason(_), SeenOutcome::Ok) => {
                false
            }
            (_, SeenOutcome::Silent | SeenOutcome::Unclear) => false,
        }
    }
}

fn judge(check: &Check, expected: &Expected, cells: &[Compared]) -> Outcome {
    let wrong: Vec<&Compared> = cells
        .iter()
        .filter(|cell| !expected.holds(cell) || !takes(check, cell))
        .collect();
    let told: Vec<String> = cells
        .iter()
        .map(|cell| {
            let seen = cell.seen.as_ref();
            format!(
                "{} to {}: {}",
                cell.cell.question.from,
                cell.cell.question.to,
                seen.map_or("not seen".to_owned(), |seen| format!(
                    "{} ({})",
                    seen.word(),
                    seen.detail
                ))
            )
        })
        .collect();
    // Nobody could ask, so nothing is known.
    let unseen = cells.is_empty() || wrong.iter().any(|cell| cell.seen.is_none());
    let ending = match (unseen, wrong.is_empty(), check.warning) {
        (true, _, _) => Ending::Broken,
        (false, true, _) => Ending::Passed,
        (false, false, true) => Ending::Warned,
        (false, false, false) => Ending::Failed,
    };
    let mut outcome = blank(check, ending, told.join("; "));
    if let Some(first) = wrong.first() {
        let off_path = expected.holds(first) && !takes(check, first);
        outcome.why = if off_path {
            format!(
                "the path does not take `{}`",
                check.via.as_deref().unwrap_or("")
            )
        } else {
            crate::reach::explain::why(&first.cell)
        };
    }
    outcome
}

/// Whether the predicted path takes the link or network that the check names.
fn takes(check: &Check, cell: &Compared) -> bool {
    let Some(via) = &check.via else { return true };
    cell.cell.prediction.hops.iter().any(|hop| match hop {
        Hop::Routed { link, .. } => link == via,
        Hop::Carried { over, to } => over == via || to == via,
        Hop::Resolved { network, .. } => network.as_ref() == Some(via),
        Hop::Local { .. } | Hop::Passed { .. } | Hop::Translated { .. } => false,
        Hop::Listens { .. } | Hop::Answered { .. } => false,
    })
}

/// The questions that a check raises: each of the viewpoints it names asks, by name where it can, else each address.
pub fn questions(scene: &Scene, check: &Check) -> Result<Vec<Question>, String> {
    words::ask(
        scene,
        &check.from,
        &check.to,
        match (check.port, check.protocol) {
            (None, _) => Ask::Icmp,
            (Some(port), Protocol::Tcp) => Ask::Tcp(port),
            (Some(port), Protocol::Udp) => Ask::Udp(port),
            (Some(_), Protocol::Sctp) => return Err("sctp cannot be asked".to_owned()),
        },
    )
}

/// What the shell is told: 0 all passed, 1 one failed, 2 one could not be asked or there is none, 3 only warnings.
pub fn code(outcomes: &[Outcome]) -> u8 {
    let any = |ending: Ending| outcomes.iter().any(|outcome| outcome.ending == ending);
    if outcomes.is_empty() || any(Ending::Broken) {
        2
    } else if any(Ending::Failed) {
        1
    } else if any(Ending::Warned) {
        3
    } else {
        0
    }
}

/// The checks that pass on a stack where nothing was done yet: they prove nothing.
pub fn passes_untouched(outcomes: &[Outcome]) -> Vec<&str> {
    outcomes
        .iter()
        .filter(|outcome| outcome.ending == Ending::Passed)
        .map(|outcome| outcome.name.as_str())
        .collect()
}

/// One line for each check, and the reason below those that failed.
pub fn text(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        let _ = writeln!(
            text,
            "{:<8}{}: {}, expected {}",
            outcome.ending.word(),
            outcome.name,
            outcome.question,
            outcome.expected
        );
        if outcome.ending == Ending::Passed {
            continue;
        }
        let _ = writeln!(text, "        {}", outcome.seen);
        for line in outcome.why.lines() {
            let _ = writeln!(text, "        {line}");
        }
    }
    text
}

/// The same for programs.
pub fn json(outcomes: &[Outcome]) -> Value {
    let checks: Vec<Value> = outcomes
        .iter()
        .map(|outcome| {
            json!({
                "name": outcome.name,
                "question": outcome.question,
                "expected": outcome.expected,
                "result": outcome.ending.word(),
                "seen": outcome.seen,
                "why": outcome.why,
                "seconds": outcome.took.as_secs_f64(),
            })
        })
        .collect();
    json!({"version": 1, "checks": checks, "exit": code(outcomes)})
}

/// JUnit's XML, as CI systems read it.
pub fn junit(outcomes: &[Outcome], suite: &str) -> String {
    let count = |ending: Ending| {
        outcomes
            .iter()
            .filter(|outcome| outcome.ending == ending)
            .count()
    };
    let whole: f64 = outcomes
        .iter()
        .map(|outcome| outcome.took.as_secs_f64())
        .sum();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{whole:.3}\">\n",
        escaped(suite),
        outcomes.len(),
        count(Ending::Failed),
        count(Ending::Broken),
        count(Ending::Skipped),
    );
    for outcome in outcomes {
        let _ = write!(
            text,
            "  <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\"",
            escaped(suite),
            escaped(&outcome.name),
            outcome.took.as_secs_f64()
        );
        let body = escaped(&format!("{}\n{}", outcome.seen, outcome.why));
        let message = escaped(&format!(
            "{}, expected {}",
            outcome.question, outcome.expected
        ));
        let inner = match outcome.ending {
            Ending::Passed => String::new(),
            Ending::Warned => format!("<system-out>warning: {message}\n{body}</system-out>"),
            Ending::Failed => format!("<failure message=\"{message}\">{body}</failure>"),
            Ending::Broken => format!("<error message=\"{message}\">{body}</error>"),
            Ending::Skipped => format!("<skipped message=\"{}\"/>", escaped(&outcome.seen)),
        };
        if inner.is_empty() {
            text.push_str("/>\n");
        } else {
            let _ = writeln!(text, ">{inner}</testcase>");
        }
    }
    text.push_str("</testsuite>\n");
    text
}

fn escaped(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .fold(String::new(), |mut all, c| {
            match c {
                '&' => all.push_str("&amp;"),
                '<' => all.push_str("&lt;"),
                '>' => all.push_str("&gt;"),
                '"' => all.push_str("&quot;"),
                other => all.push(other),
            }
            all
        })
}
