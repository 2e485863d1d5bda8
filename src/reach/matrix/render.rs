//! A matrix as text, Markdown, CSV and HTML, and cells as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::reach::compare::{Compared, Counts};
use crate::reach::explain;
use crate::reach::matrix::{Matrix, Square};
use crate::reach::question::Target;
use crate::reach::scene::{is_placeholder, shown};

/// Columns of equal width; squares that differ are marked with `!`.
pub fn text(matrix: &Matrix) -> String {
    let first = matrix
        .rows
        .iter()
        .map(|(row, _)| row.chars().count())
        .max()
        .unwrap_or(0)
        .max(9);
    let mut widths: Vec<usize> = matrix
        .columns
        .iter()
        .map(|column| column.chars().count())
        .collect();
    for (_, squares) in &matrix.rows {
        for (width, square) in widths.iter_mut().zip(squares) {
            *width = (*width).max(plain(square).chars().count());
        }
    }
    let mut text = format!("{:<first$}", "FROM \\ TO");
    for (column, width) in matrix.columns.iter().zip(&widths) {
        let _ = write!(text, "  {column:<width$}");
    }
    let mut lines = vec![text];
    for (row, squares) in &matrix.rows {
        let mut line = format!("{row:<first$}");
        for (square, width) in squares.iter().zip(&widths) {
            let _ = write!(line, "  {:<width$}", plain(square));
        }
        lines.push(line);
    }
    lines.iter().fold(String::new(), |mut all, line| {
        all.push_str(line.trim_end());
        all.push('\n');
        all
    })
}

fn plain(square: &Square) -> String {
    match (square.text.is_empty(), square.differs) {
        (true, _) => "-".to_owned(),
        (false, true) => format!("! {}", square.text),
        (false, false) => square.text.clone(),
    }
}

/// A Markdown table.
pub fn markdown(matrix: &Matrix) -> String {
    let cell = |text: &str| text.replace('|', "\\|");
    let mut text = String::from("| from \\ to |");
    for column in &matrix.columns {
        let _ = write!(text, " {} |", cell(column));
    }
    text.push_str("\n|---|");
    for _ in &matrix.columns {
        text.push_str("---|");
    }
    text.push('\n');
    for (row, squares) in &matrix.rows {
        let _ = write!(text, "| {} |", cell(row));
        for square in squares {
            let _ = write!(text, " {} |", cell(&plain(square)));
        }
        text.push('\n');
    }
    text
}

/// Comma-separated values (RFC 4180), one line for each row.
pub fn csv(matrix: &Matrix) -> String {
    let mut text = line(std::iter::once("from").chain(matrix.columns.iter().map(String::as_str)));
    for (row, squares) in &matrix.rows {
        let squares = squares.iter().map(|square| square.text.as_str());
        text.push_str(&line(std::iter::once(row.as_str()).chain(squares)));
    }
    text
}

fn line<'a>(fields: impl Iterator<Item = &'a str>) -> String {
    let fields: Vec<String> = fields
        .map(|field| {
            if field.contains([',', '"', '\n', '\r']) {
                format!("\"{}\"", field.replace('"', "\"\""))
            } else {
                field.to_owned()
            }
        })
        .collect();
    format!("{}\r\n", fields.join(","))
}

/// One page without scripts or other files; the reason is the square's title.
pub fn html(matrix: &Matrix, title: &str) -> String {
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title>\n<style>\nbody {{ font: 14px sans-serif }}\ntable {{ border-collapse: collapse }}\nth, td {{ border: 1px solid #999; padding: 4px 8px; text-align: left }}\n.ok {{ background: #d8f0d8 }}\n.fail {{ background: #f6d5d5 }}\n.part, .depends {{ background: #f7ecc6 }}\n.differs {{ outline: 3px solid #c00 }}\n</style></head>\n<body><h1>{0}</h1>\n<table><tr><th>from \\ to</th>",
        escaped(title)
    );
    for column in &matrix.columns {
        let _ = write!(text, "<th>{}</th>", escaped(column));
    }
    text.push_str("</tr>\n");
    for (row, squares) in &matrix.rows {
        let _ = write!(text, "<tr><th>{}</th>", escaped(row));
        for square in squares {
            let class = match square.text.as_str() {
                "" => "",
                "ok" => "ok",
                "depends" => "depends",
                other if other.starts_with("ok ") => "part",
                _ => "fail",
            };
            let differs = if square.differs { " differs" } else { "" };
            let _ = write!(
                text,
                "<td class=\"{class}{differs}\" title=\"{}\">{}</td>",
                escaped(&square.reason),
                escaped(&plain(square))
            );
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</table></body></html>\n");
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// All cells, each with its prediction and what was seen.
pub fn json(cells: &[Compared], counts: &Counts) -> Value {
    let cells: Vec<Value> = cells.iter().map(cell).collect();
    json!({
        "version": 1,
        "counts": {
            "cells": counts.cells,
            "predicted_only": counts.predicted_only,
            "agree": counts.agree,
            "other_kind": counts.other_kind,
            "differ": counts.differ,
            "unclear": counts.unclear,
        },
        "cells": cells,
    })
}

fn cell(compared: &Compared) -> Value {
    let question = &compared.cell.question;
    let prediction = &compared.cell.prediction;
    let to = match &question.to {
        Target::Address(address) if is_placeholder(*address) => shown(*address),
        other => other.to_string(),
    };
    let obstacle = prediction.obstacle.as_ref();
    let fact = match &prediction.verdict {
        crate::reach::verdict::Verdict::Depends(fact) => Some(fact.as_str()),
        crate::reach::verdict::Verdict::Ok | crate::reach::verdict::Verdict::Fail(_) => None,
    };
    let hops: Vec<String> = prediction.hops.iter().map(explain::sentence).collect();
    let rules: Vec<&str> = prediction.cards.iter().map(|card| card.id).collect();
    json!({
        "from": question.from.to_string(),
        "to": to,
        "meant": question.meant,
        "ask": question.ask.to_string(),
        "predicted": prediction.verdict.word(),
        "depends_on": fact,
        "reason": prediction.code().map(|code| code.word()),
        "rule": obstacle.map(|obstacle| obstacle.card.id),
        "rules": rules,
        "remedy": obstacle.map(|obstacle| obstacle.remedy.as_str()).filter(|text| !text.is_empty()),
        "confidence": prediction.confidence,
        "path": hops,
        "seen": compared.seen.as_ref().map(|seen| seen.word()),
        "seen_detail": compared.seen.as_ref().map(|seen| seen.detail.as_str()),
        "agreement": compared.agreement.word(),
    })
}
