//! Where the time went as a trace that browsers open (`chrome://tracing`, Perfetto).

use std::time::Duration;

use serde_json::{Value, json};

use crate::apply::course::Owner;
use crate::apply::event::milestone_phrase;
use crate::cli::clock::Lap;
use crate::cli::render::words::title;
use crate::cli::timings::{milliseconds, runs, step_name, stretches, word};

/// Rows of the trace below the phases (1) and the critical path (2): steps, then waits.
const FIRST_ROW: usize = 3;

pub(super) fn trace(command: &str, laps: &[Lap]) -> Value {
    let microseconds = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let event = |row: usize, name: &str, kind: &str, began: Duration, took: Duration| {
        json!({
            "name": name, "cat": kind, "ph": "X", "pid": 1, "tid": row,
            "ts": microseconds(began), "dur": microseconds(took),
        })
    };
    let row_name = |row: usize, name: &str| json!({"name": "thread_name", "ph": "M", "pid": 1, "tid": row, "args": {"name": name}});
    let mut events = vec![
        json!({"name": "process_name", "ph": "M", "pid": 1, "args": {"name": format!("stack {command}")}}),
        row_name(1, "phases"),
        row_name(2, "critical path"),
    ];
    for lap in laps {
        let owner = word(&lap.phase.owner());
        let (began, took) = (lap.began, lap.took);
        let mut phase = event(1, lap.phase.title(), &owner, began, took);
        phase["args"] = json!({"own_processor_ms": milliseconds(lap.processor)});
        events.push(phase);
    }
    for stretch in stretches(laps) {
        let owner = word(&stretch.owner);
        let (began, took) = (stretch.began, stretch.took);
        events.push(event(2, &stretch.what, &owner, began, took));
    }
    let mut rows = 0;
    for (zero, plan, course) in runs(laps) {
        for timed in &course.steps {
            rows = rows.max(timed.row + 1);
            let step = &plan.steps[timed.step.0];
            let owner = if step.id.kind.on_host() {
                Owner::Host
            } else {
                Owner::Engine
            };
            let mut shown = event(
                FIRST_ROW + timed.row,
                &step_name(plan, timed.step),
                &word(&owner),
                zero + timed.began,
                timed.ended - timed.began,
            );
            shown["args"] = json!({
                "reason": step.reason.to_string(),
                "no_slot_ms": milliseconds(timed.slot),
                "ending": timed.ending,
            });
            events.push(shown);
        }
    }
    for row in 0..rows {
        events.push(row_name(FIRST_ROW + row, &format!("step row {}", row + 1)));
    }
    for (zero, plan, course) in runs(laps) {
        for (at, wait) in course.waits.iter().enumerate() {
            let name = format!(
                "until {} {}",
                title(&plan.steps[wait.step.0].id),
                milestone_phrase(wait.milestone)
            );
            let row = FIRST_ROW + rows + at;
            let took = wait.ended.saturating_sub(wait.began);
            events.push(row_name(row, "waiting"));
            events.push(event(row, &name, "containers", zero + wait.began, took));
        }
    }
    json!({"displayTimeUnit": "ms", "traceEvents": events})
}
