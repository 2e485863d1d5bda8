//! Tables from samples. A ratio is taken pair by pair (the tool against another one in the same round) and only then the
//! median, so that a slow moment of the machine weighs on both.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;

use crate::Failure;
use crate::run::Weight;
use crate::targets;

/// One measured command.
pub struct Sample {
    pub shape: &'static str,
    pub size: usize,
    pub round: usize,
    pub act: &'static str,
    pub tool: String,
    pub weight: Weight,
}

/// All that was measured until now.
pub struct Report {
    pub samples: Vec<Sample>,
    pub tools: Vec<String>,
    pub notes: Vec<String>,
}

/// A number of a command.
pub type Of = fn(&Weight) -> f64;

pub const WALL: Of = |weight| weight.wall_seconds;
pub const PROCESSOR: Of = |weight| weight.processor_seconds;
pub const MEMORY: Of = |weight| weight.peak_megabytes;

const SHAPES: [&str; 6] = ["flat", "chained", "health", "lan", "no engine", "start-up"];
const ACTS: [&str; 10] = [
    "up",
    "up again",
    "recreate one",
    "plan",
    "ps",
    "config",
    "down",
    "read",
    "plan offline",
    "first request",
];

/// The shapes that all tools bring up.
pub const COMMON: [&str; 3] = ["flat", "chained", "health"];

impl Report {
    /// The samples of one act at one place, by one tool.
    pub fn of(&self, shape: &str, size: usize, act: &str, tool: &str) -> Vec<&Sample> {
        let all = self.samples.iter();
        all.filter(|one| one.shape == shape && one.size == size && one.act == act)
            .filter(|one| one.tool == tool)
            .collect()
    }

    /// The sizes that were measured of a shape.
    pub fn sizes(&self, shape: &str) -> Vec<usize> {
        let of_shape = self.samples.iter().filter(|one| one.shape == shape);
        let sizes: BTreeSet<usize> = of_shape.map(|one| one.size).collect();
        sizes.into_iter().collect()
    }

    /// Everything: notes, targets, and a table for each shape and act with a line for each size and tool.
    pub fn markdown(&self) -> String {
        let mut text = self.short();
        for shape in SHAPES {
            for act in ACTS {
                let is_there = |one: &&Sample| one.shape == shape && one.act == act;
                if self.samples.iter().any(|one| is_there(&one)) {
                    self.table(&mut text, shape, act);
                }
            }
        }
        text
    }

    fn table(&self, text: &mut String, shape: &str, act: &str) {
        let _ = writeln!(
            text,
            "\n### {act}, {shape}\n\n| containers | tool | wall s | client CPU s | peak MB | / floor | / compose2 |\n|---|---|---|---|---|---|---|",
        );
        for size in self.sizes(shape) {
            for tool in &self.tools {
                let own = self.of(shape, size, act, tool);
                if own.is_empty() {
                    continue;
                }
                let against =
                    |other: &str| spread(&ratios(&own, &self.of(shape, size, act, other), WALL), 2);
                let _ = writeln!(
                    text,
                    "| {size} | {tool} | {} | {} | {} | {} | {} |",
                    spread(&numbers(&own, WALL), 3),
                    spread(&numbers(&own, PROCESSOR), 3),
                    spread(&numbers(&own, MEMORY), 1),
                    against("floor"),
                    against("compose2"),
                );
            }
        }
    }

    /// What a reader of the README wants to know.
    pub fn short(&self) -> String {
        let mut text = String::new();
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        let _ = writeln!(
            text,
            "\nMedians, in brackets the smallest and the largest; ratios pair by pair in each round. `floor` is a bare client that sends \
             the same engine calls in the best order and knows nothing else.\n"
        );
        targets::table(self, &mut text);
        let _ = writeln!(
            text,
            "\n| containers | shape | up s | / floor | / compose v2 | / v1 | down s | / floor | / compose v2 | / v1 |\n|---|---|---|---|---|---|---|---|---|---|"
        );
        for shape in COMMON {
            for size in self.sizes(shape) {
                let mut line = format!("| {size} | {shape} |");
                for act in ["up", "down"] {
                    let own = self.of(shape, size, act, "stack");
                    let _ = write!(line, " {} |", spread(&numbers(&own, WALL), 2));
                    for other in ["floor", "compose2", "compose1"] {
                        let other = self.of(shape, size, act, other);
                        let _ = write!(line, " {} |", spread(&ratios(&own, &other, WALL), 2));
                    }
                }
                let _ = writeln!(text, "{line}");
            }
        }
        self.short_others(&mut text);
        text
    }

    /// Acts that are over at once, at 20; a recreate among 50; macvlan and shim beside the same by hand.
    fn short_others(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "\n| act | tool | wall s | client CPU s | peak MB | / compose v2 |\n|---|---|---|---|---|---|"
        );
        for (shape, size, act, name) in [
            ("flat", 20, "up again", "up, nothing to do, 20"),
            ("flat", 50, "recreate one", "up, one of 50 anew"),
            ("flat", 20, "ps", "ps, 20"),
            ("flat", 20, "config", "config, 20"),
            ("lan", 5, "up", "macvlan with shim, up, 5"),
            ("lan", 5, "down", "macvlan with shim, down, 5"),
            ("lan", 20, "up", "macvlan with shim, up, 20"),
            ("lan", 20, "down", "macvlan with shim, down, 20"),
            ("no engine", 1000, "up", "up, 1,000, engine takes no time"),
            (
                "no engine",
                1000,
                "up again",
                "nothing to do, 1,000, the same",
            ),
            ("no engine", 1000, "plan", "plan, 1,000, the same"),
            ("no engine", 1000, "down", "down, 1,000, the same"),
        ] {
            for tool in &self.tools {
                let own = self.of(shape, size, act, tool);
                if own.is_empty() {
                    continue;
                }
                let other = self.of(shape, size, act, "compose2");
                let _ = writeln!(
                    text,
                    "| {name} | {tool} | {} | {} | {} | {} |",
                    spread(&numbers(&own, WALL), 3),
                    spread(&numbers(&own, PROCESSOR), 3),
                    spread(&numbers(&own, MEMORY), 1),
                    spread(&ratios(&own, &other, WALL), 2),
                );
            }
        }
    }

    /// All samples as they are, for other programs.
    pub fn json(&self) -> Result<String, Failure> {
        #[derive(Serialize)]
        struct Line<'a> {
            shape: &'static str,
            containers: usize,
            round: usize,
            act: &'static str,
            tool: &'a str,
            #[serde(flatten)]
            weight: Weight,
        }
        #[derive(Serialize)]
        struct Whole<'a> {
            notes: &'a [String],
            samples: Vec<Line<'a>>,
        }
        let samples = self.samples.iter();
        let samples = samples.map(|sample| Line {
            shape: sample.shape,
            containers: sample.size,
            round: sample.round,
            act: sample.act,
            tool: &sample.tool,
            weight: sample.weight,
        });
        Ok(serde_json::to_string_pretty(&Whole {
            notes: &self.notes,
            samples: samples.collect(),
        })?)
    }
}

/// One number of each sample.
pub fn numbers(samples: &[&Sample], number: Of) -> Vec<f64> {
    samples.iter().map(|one| number(&one.weight)).collect()
}

/// The tool divided by the other one, in each round that has both.
pub fn ratios(own: &[&Sample], other: &[&Sample], number: Of) -> Vec<f64> {
    own.iter()
        .filter_map(|sample| {
            let pair = other.iter().find(|other| other.round == sample.round)?;
            Some(number(&sample.weight) / number(&pair.weight))
        })
        .collect()
}

/// The middle one; none of nothing.
pub fn median(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(sorted[middle - 1], upper))
}

/// `median (smallest–largest)`, or a dash for nothing.
pub fn spread(numbers: &[f64], digits: usize) -> String {
    let Some(median) = median(numbers) else {
        return "–".to_owned();
    };
    if numbers.len() == 1 {
        return format!("{median:.digits$}");
    }
    let first = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let last = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{median:.digits$} ({first:.digits$}–{last:.digits$})")
}

const BEGIN: &str = "<!-- bench: filled by benches/run.sh -->";
const END: &str = "<!-- bench: end -->";

/// The text with `table` between its two marks.
pub fn filled(text: &str, table: &str) -> Result<String, Failure> {
    let (before, rest) = text
        .split_once(BEGIN)
        .ok_or_else(|| format!("no `{BEGIN}` in it"))?;
    let (_, after) = rest
        .split_once(END)
        .ok_or_else(|| format!("no `{END}` in it"))?;
    Ok(format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}
