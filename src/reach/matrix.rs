//! The matrix for people and programs: rows ask, columns are asked. Replicas that agree are one row and one column.
//! Pure: cells in, text out.

pub mod render;

use indexmap::IndexMap;

use crate::reach::compare::{Agreement, Compared};
use crate::reach::question::{Target, Viewpoint};
use crate::reach::scene::{Scene, shown};

/// What a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Service,
    Address,
    Name,
    Port,
}

/// What one square says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Square {
    /// Empty where nothing is asked.
    pub text: String,
    /// The reason code of the first failure.
    pub reason: String,
    /// Whether what was seen differs from what was predicted.
    pub differs: bool,
}

/// A matrix of squares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matrix {
    pub columns: Vec<String>,
    pub rows: Vec<(String, Vec<Square>)>,
}

/// Folds cells into a matrix.
pub fn matrix(scene: &Scene, cells: &[Compared], by: By) -> Matrix {
    let mut squares: IndexMap<(String, String), Vec<&Compared>> = IndexMap::new();
    let mut rows: Vec<String> = Vec::new();
    let mut columns: Vec<String> = Vec::new();
    let labels = row_labels(scene, cells);
    for cell in cells {
        let Some(column) = column(scene, cell, by) else {
            continue;
        };
        let row = labels
            .get(&cell.cell.question.from)
            .cloned()
            .unwrap_or_else(|| cell.cell.question.from.to_string());
        if !rows.contains(&row) {
            rows.push(row.clone());
        }
        if !columns.contains(&column) {
            columns.push(column.clone());
        }
        squares.entry((row, column)).or_default().push(cell);
    }
    let rows = rows
        .into_iter()
        .map(|row| {
            let line = columns
                .iter()
                .map(|column| {
                    squares
                        .get(&(row.clone(), column.clone()))
                        .map_or_else(Square::default, |cells| square(cells))
                })
                .collect();
            (row, line)
        })
        .collect();
    Matrix { columns, rows }
}

/// The service of a container, or the name of anything else.
pub fn label(scene: &Scene, name: &str) -> String {
    match scene.containers.get(name) {
        Some(tenant) => tenant.service.clone(),
        None => name.to_owned(),
    }
}

/// A service's replicas are one row where all of them get the same answers to the same questions.
fn row_labels(scene: &Scene, cells: &[Compared]) -> IndexMap<Viewpoint, String> {
    let mut answers: IndexMap<&Viewpoint, Vec<String>> = IndexMap::new();
    for cell in cells {
        let question = &cell.cell.question;
        let asked = match &question.to {
            // A replica's own address is nobody's question to itself, so the target is told by its service.
            Target::Address(_) => label(scene, &question.meant),
            other => other.to_string(),
        };
        let answer = format!("{asked} {} {}", question.ask, words(cell));
        let list = answers.entry(&question.from).or_default();
        if !list.contains(&answer) {
            list.push(answer);
        }
    }
    let mut labels = IndexMap::new();
    for (viewpoint, list) in &answers {
        let Viewpoint::Container(name) = viewpoint else {
            labels.insert((*viewpoint).clone(), viewpoint.to_string());
            continue;
        };
        let service = label(scene, name);
        let agree = answers.iter().all(|(other, others)| match other {
            Viewpoint::Container(other) if label(scene, other) == service => {
                // Each may lack what it would have to ask of itself.
                others.iter().chain(list).all(|answer| {
                    (others.contains(answer) && list.contains(answer))
                        || answer.starts_with(&format!("{service} "))
                })
            }
            _ => true,
        });
        labels.insert(
            (*viewpoint).clone(),
            if agree { service } else { name.clone() },
        );
    }
    labels
}

fn column(scene: &Scene, cell: &Compared, by: By) -> Option<String> {
    let question = &cell.cell.question;
    let meant = label(scene, &question.meant);
    match by {
        By::Service => Some(meant),
        By::Address => match &question.to {
            Target::Address(address) => Some(format!("{meant} {}", shown(*address))),
            Target::Name(_) | Target::Internet => None,
        },
        By::Name => match &question.to {
            Target::Name(name) => Some(name.clone()),
            Target::Address(_) | Target::Internet => None,
        },
        By::Port => question
            .ask
            .port()
            .map(|_| format!("{meant} {}", question.ask)),
    }
}

fn words(cell: &Compared) -> String {
    let predicted = cell.cell.prediction.verdict.word();
    match (&cell.seen, cell.agreement) {
        (Some(seen), Agreement::OtherKind | Agreement::Differs) => {
            format!("{predicted} / {}", seen.word())
        }
        (Some(seen), Agreement::Unpredicted) => seen.word().to_owned(),
        (Some(_) | None, _) => predicted.to_owned(),
    }
}

fn square(cells: &[&Compared]) -> Square {
    let mut texts: Vec<String> = Vec::new();
    for cell in cells {
        let text = words(cell);
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    let fine = cells.iter().filter(|cell| words(cell) == "ok").count();
    let text = match (texts.len(), fine) {
        (1, _) => texts.remove(0),
        (_, 0) => texts.join(", "),
        (_, fine) => {
            texts.retain(|text| text != "ok");
            format!("ok {fine}/{} ({})", cells.len(), texts.join(", "))
        }
    };
    Square {
        text,
        reason: cells
            .iter()
            .find_map(|cell| cell.cell.prediction.code())
            .map_or(String::new(), |code| code.word().to_owned()),
        differs: cells
            .iter()
            .any(|cell| matches!(cell.agreement, Agreement::OtherKind | Agreement::Differs)),
    }
}
