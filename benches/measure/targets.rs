//! The numbers held against what is wanted. A line tells the target, the worst place and its number; it judges nothing:
//! the numbers of a busy machine are worth little.

use std::fmt::Write as _;

use crate::report::{COMMON, MEMORY, Of, PROCESSOR, Report, WALL, median, numbers, ratios};

/// A number and where it was seen.
type Worst = Option<(f64, String)>;

/// The table of all targets.
pub fn table(report: &Report, text: &mut String) {
    let _ = writeln!(
        text,
        "| target | wanted | seen, at worst | at |\n|---|---|---|---|"
    );
    let mut line = |target: &str, wanted: f64, unit: &str, worst: Worst| {
        let Some((seen, place)) = worst else {
            let _ = writeln!(text, "| {target} | ≤ {wanted}{unit} | not measured | |");
            return;
        };
        let mark = if seen <= wanted { "" } else { " (missed)" };
        let _ = writeln!(
            text,
            "| {target} | ≤ {wanted}{unit} | {seen:.2}{unit}{mark} | {place} |"
        );
    };
    line(
        "`up` / floor",
        1.05,
        "",
        worst(report, &["up"], "floor", WALL),
    );
    line(
        "`down` / floor",
        1.05,
        "",
        worst(report, &["down"], "floor", WALL),
    );
    line(
        "`up` / compose v2",
        1.0,
        "",
        worst(report, &["up"], "compose2", WALL),
    );
    line(
        "`down` / compose v2",
        1.0,
        "",
        worst(report, &["down"], "compose2", WALL),
    );
    let idle = |other: &str| {
        let own = report.of("flat", 20, "up again", "stack");
        let other = report.of("flat", 20, "up again", other);
        median(&ratios(&own, &other, WALL)).map(|seen| (seen, "20, flat".to_owned()))
    };
    line("nothing to do / compose v2", 0.5, "", idle("compose2"));
    let own = report.of("flat", 20, "up again", "stack");
    let processor =
        median(&numbers(&own, PROCESSOR)).map(|seen| (seen * 1e3, "20, flat".to_owned()));
    line("nothing to do, own processor time", 15.0, " ms", processor);
    line(
        "peak memory / compose v2",
        0.25,
        "",
        worst(
            report,
            &["up", "up again", "down", "ps"],
            "compose2",
            MEMORY,
        ),
    );
    let start = report.of("start-up", 20, "first request", "stack");
    let start = median(&numbers(&start, WALL)).map(|seen| (seen * 1e3, "`ps`".to_owned()));
    line("start-up to the first engine call", 5.0, " ms", start);
    line(
        "plan for 10,000 services, without reading",
        1.0,
        " s",
        plan(report),
    );
    line(
        "2,000 containers / (2 × 1,000), processor time",
        1.2,
        "",
        growth(report, PROCESSOR),
    );
    line(
        "2,000 containers / (2 × 1,000), memory",
        1.2,
        "",
        growth(report, MEMORY),
    );
}

/// The largest median ratio against a tool among all stacks that both brought up.
fn worst(report: &Report, acts: &[&str], other: &str, number: Of) -> Worst {
    let mut worst: Worst = None;
    for shape in COMMON {
        for size in report.sizes(shape) {
            for act in acts {
                let own = report.of(shape, size, act, "stack");
                let pairs = ratios(&own, &report.of(shape, size, act, other), number);
                if let Some(seen) = median(&pairs)
                    && worst.as_ref().is_none_or(|(known, _)| seen > *known)
                {
                    worst = Some((seen, format!("{act}, {size}, {shape}")));
                }
            }
        }
    }
    worst
}

/// Processor seconds of planning alone: what `plan --offline` takes longer than `config --quiet`.
fn plan(report: &Report) -> Worst {
    let of = |act: &str| {
        let samples = report.of("no engine", 10_000, act, "stack");
        median(&numbers(&samples, PROCESSOR))
    };
    let (whole, read) = (of("plan offline")?, of("read")?);
    Some((whole - read, format!("reading takes {read:.2} s")))
}

/// How much more than twice as much twice as many take; 1 is linear.
fn growth(report: &Report, number: Of) -> Worst {
    let mut worst: Worst = None;
    for act in ["up", "up again", "plan", "down"] {
        let of = |size: usize| {
            median(&numbers(
                &report.of("no engine", size, act, "stack"),
                number,
            ))
        };
        let (Some(small), Some(large)) = (of(1000), of(2000)) else {
            continue;
        };
        let seen = large / (2.0 * small);
        if worst.as_ref().is_none_or(|(known, _)| seen > *known) {
            worst = Some((seen, act.to_owned()));
        }
    }
    worst
}
