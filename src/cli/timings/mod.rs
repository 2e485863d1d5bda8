//! `--timings`: where the time of an `up` or `down` went, as a table for people, as JSON, or as a trace that browsers
//! draw (`chrome://tracing`, ui.perfetto.dev). All from laps of the clock and courses of runs; nothing is measured here.

mod trace;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::apply::course::{Act, Course, Ending, Leg, Owner, Timed};
use crate::apply::event::milestone_phrase;
use crate::cli::clock::Lap;
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::render::words::title;
use crate::cli::render::{Stream, say};
use crate::cli::timings::trace::trace;
use crate::plan::step::{Plan, StepIndex};

/// How the times are told, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timings {
    form: Form,
    /// Standard output where none is given; the table is talk and goes where progress goes.
    file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Table,
    Json,
    Trace,
}

impl FromStr for Timings {
    type Err = String;

    fn from_str(text: &str) -> Result<Timings, String> {
        let (form, file) = match text.split_once(':') {
            Some((form, file)) if !file.is_empty() => (form, Some(PathBuf::from(file))),
            Some((form, _)) => return Err(format!("write {form}:FILE, or {form} alone")),
            None => (text, None),
        };
        let form = match form {
            "table" => Form::Table,
            "json" => Form::Json,
            "trace" => Form::Trace,
            _ => return Err("write table, json or trace, each with :FILE if wanted".to_owned()),
        };
        Ok(Timings { form, file })
    }
}

/// That the times can be written where they are wanted, before anything is done.
pub fn may_tell(context: &Context, wanted: Option<&Timings>) -> Result<(), Failure> {
    let Some(file) = wanted.and_then(|wanted| wanted.file.as_ref()) else {
        return Ok(());
    };
    let opened = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(context.here.join(file));
    opened.map(drop).map_err(|error| {
        Failure::with_hint(
            format!(
                "cannot write {}: {error}; nothing was changed",
                file.display()
            ),
            "name a file in a folder that is there, or none",
        )
    })
}

/// Tells where the time of the command went until now, if that is wanted.
pub fn tell(
    context: &Context,
    wanted: Option<&Timings>,
    command: &'static str,
) -> Result<(), Failure> {
    let Some(Timings { form, file }) = wanted else {
        return Ok(());
    };
    let laps = context.clock.laps();
    let text = match form {
        Form::Table => table(command, &laps),
        Form::Json => format!("{:#}\n", json(command, &laps)),
        Form::Trace => format!("{}\n", trace(command, &laps)),
    };
    match (file, form) {
        (Some(file), _) => std::fs::write(context.here.join(file), text)
            .map_err(|error| Failure::said(format!("cannot write {}: {error}", file.display()))),
        (None, Form::Table) => {
            text.lines().for_each(|line| context.tell(line));
            Ok(())
        }
        (None, Form::Json | Form::Trace) => {
            say(Stream::Output, text.trim_end());
            Ok(())
        }
    }
}

/// A stretch of the whole command: a phase, or a part of the critical path of a run in it.
struct Stretch {
    began: Duration,
    took: Duration,
    owner: Owner,
    what: String,
}

/// The whole command, end to end, with whom each stretch is owed to. In a phase that waits for others our own processor
/// time is the part that is ours.
fn stretches(laps: &[Lap]) -> Vec<Stretch> {
    let mut all = Vec::new();
    for lap in laps {
        let Some((plan, course)) = &lap.run else {
            all.push(Stretch {
                began: lap.began,
                took: lap.took,
                owner: lap.phase.owner(),
                what: lap.phase.title().to_owned(),
            });
            continue;
        };
        // A run begins when all is prepared for it: the journal, the signals.
        let before = lap.took.saturating_sub(course.took);
        all.push(Stretch {
            began: lap.began,
            took: before,
            owner: Owner::Ours,
            what: "prepare the run".to_owned(),
        });
        all.extend(course.critical.iter().map(|leg| Stretch {
            began: lap.began + before + leg.began,
            took: leg.took,
            owner: leg.owner,
            what: leg_name(plan, leg),
        }));
    }
    all
}

/// What is owed to whom; together the time of the command.
fn owed(laps: &[Lap]) -> BTreeMap<Owner, Duration> {
    let mut owed: BTreeMap<Owner, Duration> = BTreeMap::new();
    let mut add = |owner: Owner, took: Duration| *owed.entry(owner).or_default() += took;
    for lap in laps {
        match &lap.run {
            Some((_, course)) => {
                add(Owner::Ours, lap.took.saturating_sub(course.took));
                for (owner, took) in course.owed() {
                    add(owner, took);
                }
            }
            None => {
                let own = lap.processor.min(lap.took);
                add(Owner::Ours, own);
                add(lap.phase.owner(), lap.took - own);
            }
        }
    }
    owed.retain(|_, took| !took.is_zero());
    owed
}

fn owner_name(owner: Owner) -> &'static str {
    match owner {
        Owner::Engine => "engine",
        Owner::Host => "host",
        Owner::Containers => "containers",
        Owner::OtherRun => "another run",
        Owner::Ours => "ours",
    }
}

fn step_name(plan: &Plan, step: StepIndex) -> String {
    let step = &plan.steps[step.0];
    format!("{} {}", step.verb(), title(&step.id))
}

fn leg_name(plan: &Plan, leg: &Leg) -> String {
    match leg.act {
        Act::Step(step) => step_name(plan, step),
        Act::Wait(step, milestone) => format!(
            "until {} {}",
            title(&plan.steps[step.0].id),
            milestone_phrase(milestone)
        ),
        Act::Between => "between steps".to_owned(),
    }
}

fn total(laps: &[Lap]) -> Duration {
    laps.iter().map(|lap| lap.took).sum()
}

fn processor(laps: &[Lap]) -> Duration {
    laps.iter().map(|lap| lap.processor).sum()
}

fn runs(laps: &[Lap]) -> impl Iterator<Item = (Duration, &Plan, &Course)> {
    laps.iter().filter_map(|lap| {
        let (plan, course) = lap.run.as_ref()?;
        Some((
            lap.began + lap.took.saturating_sub(course.took),
            plan,
            course,
        ))
    })
}

/// Seconds to the millisecond, in eight columns.
fn column(span: Duration) -> String {
    format!("{:>8.3}", span.as_secs_f64())
}

fn table(command: &str, laps: &[Lap]) -> String {
    let mut lines = Vec::new();
    let shares: Vec<String> = owed(laps)
        .iter()
        .map(|(owner, took)| format!("{} {:.3}", owner_name(*owner), took.as_secs_f64()))
        .collect();
    lines.push(format!(
        "{command} took {:.3} s: {}; {:.3} s of processor time was our own",
        total(laps).as_secs_f64(),
        shares.join(", "),
        processor(laps).as_secs_f64()
    ));
    lines.push(String::new());
    lines.push("   began     took  on the critical path".to_owned());
    // What is shorter than half a millisecond would be told as nothing.
    let shown = |stretch: &&Stretch| stretch.took >= Duration::from_micros(500);
    for stretch in stretches(laps).iter().filter(shown) {
        lines.push(format!(
            "{} {}  {} ({})",
            column(stretch.began),
            column(stretch.took),
            stretch.what,
            owner_name(stretch.owner)
        ));
    }
    for (_, plan, course) in runs(laps) {
        lines.push(String::new());
        lines.push("    took  no slot  step (* on the critical path)".to_owned());
        let mut steps: Vec<&Timed> = course.steps.iter().collect();
        steps.sort_by_key(|timed| (std::cmp::Reverse(timed.ended - timed.began), timed.step));
        for timed in steps {
            let mut line = format!(
                "{} {}  {}",
                column(timed.ended - timed.began),
                column(timed.slot),
                step_name(plan, timed.step)
            );
            match timed.ending {
                Ending::Done => {}
                Ending::Failed => line.push_str(", failed"),
                Ending::CutOff => line.push_str(", cut off"),
            }
            if course.is_critical(timed.step) {
                line.push_str(" *");
            }
            lines.push(line);
        }
        for wait in &course.waits {
            lines.push(format!(
                "{} {}  until {} {}",
                column(wait.ended - wait.began),
                column(Duration::ZERO),
                title(&plan.steps[wait.step.0].id),
                milestone_phrase(wait.milestone)
            ));
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Milliseconds, to the microsecond.
fn milliseconds(span: Duration) -> Value {
    let microseconds = u32::try_from(span.as_micros()).unwrap_or(u32::MAX);
    json!(f64::from(microseconds) / 1000.0)
}

fn json(command: &str, laps: &[Lap]) -> Value {
    let owed: serde_json::Map<String, Value> = owed(laps)
        .into_iter()
        .map(|(owner, took)| (word(&owner), milliseconds(took)))
        .collect();
    let phases: Vec<Value> = laps
        .iter()
        .map(|lap| {
            json!({
                "phase": lap.phase,
                "began_ms": milliseconds(lap.began),
                "took_ms": milliseconds(lap.took),
                "own_processor_ms": milliseconds(lap.processor),
            })
        })
        .collect();
    let critical: Vec<Value> = stretches(laps)
        .iter()
        .map(|stretch| {
            json!({
                "what": stretch.what,
                "owed_to": stretch.owner,
                "began_ms": milliseconds(stretch.began),
                "took_ms": milliseconds(stretch.took),
            })
        })
        .collect();
    let mut steps = Vec::new();
    let mut waits = Vec::new();
    for (zero, plan, course) in runs(laps) {
        for timed in &course.steps {
            let step = &plan.steps[timed.step.0];
            steps.push(json!({
                "verb": step.verb(),
                "id": step.id,
                "ready_ms": milliseconds(zero + timed.ready),
                "began_ms": milliseconds(zero + timed.began),
                "took_ms": milliseconds(timed.ended - timed.began),
                "no_slot_ms": milliseconds(timed.slot),
                "ending": timed.ending,
                "critical": course.is_critical(timed.step),
            }));
        }
        for wait in &course.waits {
            waits.push(json!({
                "id": plan.steps[wait.step.0].id,
                "milestone": wait.milestone,
                "began_ms": milliseconds(zero + wait.began),
                "took_ms": milliseconds(wait.ended.saturating_sub(wait.began)),
            }));
        }
    }
    json!({
        "command": command,
        "took_ms": milliseconds(total(laps)),
        "own_processor_ms": milliseconds(processor(laps)),
        "owed_to": owed,
        "phases": phases,
        "critical_path": critical,
        "steps": steps,
        "waits": waits,
    })
}

/// An owner as JSON has it.
fn word(owner: &Owner) -> String {
    match json!(owner) {
        Value::String(word) => word,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use expect_test::expect;
    use serde_json::Value;

    use super::{Timings, json, table, trace};
    use crate::apply::course::Moments;
    use crate::apply::event::{Event, Subject};
    use crate::cli::clock::{Lap, Phase};
    use crate::plan::spec::{Kind, ResourceId};
    use crate::plan::step::{Edge, Milestone, Plan, Reason, State, Step, StepIndex, Undo};

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// A file read in 4 ms, a look that took 20 ms (8 of them ours), and a network and a container made.
    fn laps() -> Vec<Lap> {
        let step = |kind: Kind, name: &str| Step {
            id: ResourceId::new(kind, name),
            before: State::Absent,
            after: State::Absent,
            reason: Reason::Missing,
            undo: Undo::Inverse,
            farewell: false,
        };
        let plan = Plan {
            project: "lab".parse().unwrap(),
            steps: vec![
                step(Kind::Network, "lab_default"),
                step(Kind::Container, "lab-web-1"),
            ],
            edges: vec![Edge {
                from: StepIndex(0),
                to: StepIndex(1),
                milestone: Milestone::Done,
                optional: false,
            }],
        };
        let mut moments = Moments::default();
        for (index, began, ended) in [(0, 1, 41), (1, 41, 290)] {
            let subject = Subject::of(StepIndex(index), &plan.steps[index]);
            let started = Event::StepStarted {
                subject: subject.clone(),
                reason: Reason::Missing,
            };
            moments.hear(&started, ms(began));
            let took = ms(ended - began);
            moments.hear(&Event::StepDone { subject, took }, ms(ended));
        }
        let course = moments.course(&plan, 8, ms(292));
        let lap = |phase, began, took, processor| Lap {
            phase,
            began: ms(began),
            took: ms(took),
            processor: ms(processor),
            run: None,
        };
        vec![
            lap(Phase::Read, 0, 4, 4),
            lap(Phase::Observe, 4, 20, 8),
            Lap {
                run: Some((plan, course)),
                ..lap(Phase::Run, 24, 293, 5)
            },
        ]
    }

    #[test]
    fn the_table_adds_up_to_what_the_user_waited() {
        expect![[r#"
            up took 0.317 s: engine 0.301, ours 0.016; 0.017 s of processor time was our own

               began     took  on the critical path
               0.000    0.004  read the file (ours)
               0.004    0.020  look at what is there (engine)
               0.024    0.001  prepare the run (ours)
               0.025    0.001  between steps (ours)
               0.026    0.040  create Network lab_default (engine)
               0.066    0.249  create Container lab-web-1 (engine)
               0.315    0.002  between steps (ours)

                took  no slot  step (* on the critical path)
               0.249    0.000  create Container lab-web-1 *
               0.040    0.000  create Network lab_default *
        "#]]
        .assert_eq(&table("up", &laps()));
    }

    fn sum(values: &Value, key: &str) -> f64 {
        let all = values.as_array().unwrap().iter();
        all.map(|value| value[key].as_f64().unwrap()).sum()
    }

    #[test]
    fn phases_owners_and_the_critical_path_each_add_up() {
        let told = json("up", &laps());
        let took = told["took_ms"].as_f64().unwrap();
        assert!((took - 317.0).abs() < 0.01);
        assert!((sum(&told["phases"], "took_ms") - took).abs() < 0.01);
        assert!((sum(&told["critical_path"], "took_ms") - took).abs() < 0.01);
        let owed: f64 = told["owed_to"]
            .as_object()
            .unwrap()
            .values()
            .map(|value| value.as_f64().unwrap())
            .sum();
        assert!((owed - took).abs() < 0.01);
        expect![[r#"
            {
              "verb": "create",
              "id": {
                "kind": "container",
                "name": "lab-web-1"
              },
              "ready_ms": 66.0,
              "began_ms": 66.0,
              "took_ms": 249.0,
              "no_slot_ms": 0.0,
              "ending": "done",
              "critical": true
            }"#]]
        .assert_eq(&format!("{:#}", told["steps"][1]));
    }

    #[test]
    fn a_trace_has_whole_events_that_do_not_overlap_in_a_row() {
        let told = trace("up", &laps());
        let events = told["traceEvents"].as_array().unwrap();
        let mut whole: Vec<(u64, u64, u64, &str)> = events
            .iter()
            .filter(|event| event["ph"] == "X")
            .map(|event| {
                let number = |key: &str| event[key].as_u64().unwrap();
                let name = event["name"].as_str().unwrap();
                (number("tid"), number("ts"), number("dur"), name)
            })
            .collect();
        whole.sort_unstable();
        for pair in whole.windows(2) {
            assert!(pair[0].0 < pair[1].0 || pair[0].1 + pair[0].2 <= pair[1].1);
        }
        assert!(whole.contains(&(3, 66_000, 249_000, "create Container lab-web-1")));
        let rows: Vec<_> = events
            .iter()
            .filter(|event| event["name"] == "thread_name")
            .map(|event| event["args"]["name"].as_str().unwrap())
            .collect();
        assert_eq!(rows, ["phases", "critical path", "step row 1"]);
    }

    #[test]
    fn the_form_may_name_a_file() {
        for form in ["table", "json", "trace", "trace:/tmp/x.json"] {
            assert!(form.parse::<Timings>().is_ok(), "{form}");
        }
        for wrong in ["", "chrome", "json:", "table.txt"] {
            assert!(wrong.parse::<Timings>().is_err(), "{wrong}");
        }
    }
}
