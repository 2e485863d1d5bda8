//! The matrix for people and programs: rows ask, columns are asked. Replicas that agree are one row and one column.
//! Pure: cells in, text out.

pub mod render;

use indexmap::IndexMap;

use crate::reach::compare::{Agreement, Compared};
use crate::reach::question::{Ask, Target, Viewpoint};
use crate::reach::scene::{HOST, Scene, shown};

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
        // Whether it reaches its own published port is no square of who reaches whom.
        let question = &cell.cell.question;
        let to_itself = question.from == Viewpoint::Container(question.meant.clone());
        if by == By::Service && to_itself {
            continue;
        }
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
    if by == By::Service {
        order(scene, &mut columns);
    }
    let rows = rows
        .into_iter()
        .map(|row| {
            let line = columns
                .iter()
                .map(|column| {
                    squares.get(&(row.clone(), column.clone())).map_or_else(
                        Square::default,
                        |cells| match by {
                            By::Service => of_service(scene, cells),
                            By::Address | By::Name | By::Port => square(cells),
                        },
                    )
                })
                .collect();
            (row, line)
        })
        .collect();
    Matrix { columns, rows }
}

/// Services in the file's order, then the host, then machines, then the rest.
fn order(scene: &Scene, columns: &mut [String]) {
    let services = scene
        .containers
        .values()
        .map(|tenant| tenant.service.clone());
    let known: Vec<String> = services
        .chain(["host".to_owned()])
        .chain(scene.machines.keys().cloned())
        .collect();
    columns.sort_by_key(|column| {
        let place = known.iter().position(|name| name == column);
        place.unwrap_or(known.len())
    });
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
        // A replica's own name and address are nobody's question to itself, so the target is told by its service.
        let asked = label(scene, &question.meant);
        let way = match &question.to {
            Target::Address(_) => "address",
            Target::Name(_) | Target::Internet => "name",
        };
        let answer = format!("{asked} {way} {} {}", question.ask, words(cell));
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
        By::Service => (!meant.is_empty()).then_some(meant),
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

/// How one service reaches another: by the addresses of its containers, by their names, or only where they publish.
fn of_service(scene: &Scene, cells: &[&Compared]) -> Square {
    if cells.iter().any(|cell| differs(cell)) {
        return square(cells);
    }
    let mut names = Vec::new();
    let mut own = Vec::new();
    let mut published = Vec::new();
    for cell in cells {
        let question = &cell.cell.question;
        match &question.to {
            Target::Name(_) | Target::Internet if question.ask == Ask::Name => names.push(*cell),
            Target::Name(_) => {}
            Target::Internet => own.push(*cell),
            Target::Address(address) => {
                let meant = scene.containers.get(&question.meant);
                let at_host = meant.is_some_and(|tenant| tenant.node != HOST)
                    && (scene.is_local(HOST, *address) && !address.is_loopback());
                if at_host || question.from == Viewpoint::Internet {
                    published.push(*cell);
                } else if !address.is_loopback() {
                    own.push(*cell);
                }
            }
        }
    }
    let fine = |cells: &[&Compared]| cells.iter().filter(|cell| words(cell) == "ok").count();
    let (good, named) = (fine(&own), fine(&names));
    if own.is_empty() || (good == 0 && fine(&published) == 0) {
        let told = if own.is_empty() { &published } else { &own };
        return square(if told.is_empty() { cells } else { told });
    }
    let reason = square(cells).reason;
    let text = if good == 0 {
        "published port".to_owned()
    } else if good < own.len() {
        return square(&own);
    } else if names.iter().any(|cell| words(cell) == "wrong-target") {
        "ok, wrong name".to_owned()
    } else if !names.is_empty() && named == 0 && asks_engine(scene, cells) {
        "ok by address".to_owned()
    } else {
        "ok".to_owned()
    };
    Square {
        reason: if text == "ok" { String::new() } else { reason },
        text,
        differs: false,
    }
}

/// Whether those who ask are containers of the stack: nobody expects the host to know their names.
fn asks_engine(scene: &Scene, cells: &[&Compared]) -> bool {
    cells.iter().any(|cell| match &cell.cell.question.from {
        Viewpoint::Container(name) => scene
            .containers
            .get(name)
            .is_some_and(|tenant| tenant.node != HOST),
        Viewpoint::Host | Viewpoint::Shim(_) | Viewpoint::Machine { .. } => false,
        Viewpoint::Router(_) | Viewpoint::Other | Viewpoint::Internet => false,
    })
}

fn differs(cell: &Compared) -> bool {
    matches!(cell.agreement, Agreement::OtherKind | Agreement::Differs)
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
        differs: cells.iter().any(|cell| differs(cell)),
    }
}
