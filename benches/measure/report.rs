//! Tables from samples. A ratio is taken pair by pair (the tool against another one in the same round) and only then the
//! median, so that a slow moment of the machine weighs on both.

use std::fmt::Write as _;

use serde::Serialize;

use crate::Failure;
use crate::run::Weight;
use crate::stacks::Shape;

/// One measured command.
pub struct Sample {
    pub shape: Shape,
    pub size: usize,
    pub round: usize,
    pub act: &'static str,
    pub tool: String,
    pub weight: Weight,
}

const ACTS: [&str; 6] = ["up", "up again", "recreate one", "ps", "config", "down"];

/// One table for each shape and act: a line for each size and tool. The last tools of the list are the ones that ratios are
/// given against: all against `floor` and `compose2`, where these were measured.
pub fn markdown(samples: &[Sample], tools: &[&str], notes: &[String]) -> String {
    let mut text = String::new();
    for note in notes {
        let _ = writeln!(text, "- {note}");
    }
    let _ = writeln!(
        text,
        "\nMedians; in brackets the smallest and the largest. Ratios are of wall times, pair by pair in each round."
    );
    for shape in Shape::ALL {
        for act in ACTS {
            let of_act: Vec<&Sample> = samples
                .iter()
                .filter(|sample| sample.shape == shape && sample.act == act)
                .collect();
            if !of_act.is_empty() {
                table(&mut text, shape, act, &of_act, tools);
            }
        }
    }
    text
}

fn table(text: &mut String, shape: Shape, act: &str, samples: &[&Sample], tools: &[&str]) {
    let _ = writeln!(
        text,
        "\n### {act}, {}\n\n| containers | tool | wall s | client CPU s | peak MB | / floor | / compose2 |\n|---|---|---|---|---|---|---|",
        shape.name()
    );
    let mut sizes: Vec<usize> = samples.iter().map(|sample| sample.size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    for size in sizes {
        for tool in tools {
            let own: Vec<&Sample> = of(samples, size, tool);
            if own.is_empty() {
                continue;
            }
            let column = |number: fn(&Weight) -> f64| -> Vec<f64> {
                own.iter().map(|sample| number(&sample.weight)).collect()
            };
            let _ = writeln!(
                text,
                "| {size} | {tool} | {} | {} | {} | {} | {} |",
                spread(&column(|weight| weight.wall_seconds), 3),
                spread(&column(|weight| weight.processor_seconds), 3),
                spread(&column(|weight| weight.peak_megabytes), 0),
                spread(&ratios(&own, &of(samples, size, "floor")), 2),
                spread(&ratios(&own, &of(samples, size, "compose2")), 2),
            );
        }
    }
}

fn of<'a>(samples: &[&'a Sample], size: usize, tool: &str) -> Vec<&'a Sample> {
    samples
        .iter()
        .copied()
        .filter(|sample| sample.size == size && sample.tool == tool)
        .collect()
}

fn ratios(own: &[&Sample], other: &[&Sample]) -> Vec<f64> {
    own.iter()
        .filter_map(|sample| {
            let pair = other.iter().find(|other| other.round == sample.round)?;
            Some(sample.weight.wall_seconds / pair.weight.wall_seconds)
        })
        .collect()
}

/// `median (smallest–largest)`, or a dash for nothing.
fn spread(numbers: &[f64], digits: usize) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
        return "–".to_owned();
    };
    let middle = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    };
    if sorted.len() == 1 {
        return format!("{median:.digits$}");
    }
    format!("{median:.digits$} ({first:.digits$}–{last:.digits$})")
}

/// All samples as they are, for other programs.
pub fn json(samples: &[Sample], notes: &[String]) -> Result<String, Failure> {
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
    struct Report<'a> {
        notes: &'a [String],
        samples: Vec<Line<'a>>,
    }
    let samples = samples
        .iter()
        .map(|sample| Line {
            shape: sample.shape.name(),
            containers: sample.size,
            round: sample.round,
            act: sample.act,
            tool: &sample.tool,
            weight: sample.weight,
        })
        .collect();
    Ok(serde_json::to_string_pretty(&Report { notes, samples })?)
}
