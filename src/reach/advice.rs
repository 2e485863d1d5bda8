//! What would open a way that is shut, or shut one that is open: changes of the file are tried on a copy of the stack,
//! the question is asked again, and only what is predicted to do it is told. Of several, the one that touches the fewest
//! other cells.

pub mod candidates;
pub mod case;

use std::fmt::Write as _;

use crate::model::network::{Driver, IpvlanFlag, MacvlanMode};
use crate::model::stack::Stack;
use crate::reach::advice::candidates::candidates;
use crate::reach::advice::case::{Case, gets_through, party};
use crate::reach::change::Change;
use crate::reach::delta::delta;
use crate::reach::scene::Scene;
use crate::reach::verdict::Verdict;

/// No more stacks than this are tried.
const MOST_TRIES: usize = 80;

/// A stack of more cells than this is not held against its changed self: only whether the way opens is asked.
const MOST_CELLS: usize = 6_000;

/// What to change.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// In this order; one, seldom two.
    pub changes: Vec<Change>,
    /// Whether it opens the way, or shuts it.
    pub opens: bool,
    /// How many other cells open and close with it; none where that was not counted.
    pub besides: Option<(usize, usize)>,
}

/// What would open the way that is shut, or shut the one that is open; none where no change of the file that is known
/// here does it.
pub fn advice(case: &Case) -> Option<Advice> {
    let now = case.scene(case.stack);
    let cells = case.cells(&now, case.to, case.ask);
    let works = cells
        .iter()
        .any(|cell| cell.prediction.verdict == Verdict::Ok);
    let opens = !gets_through(&cells);
    if !opens && !works {
        return expose(case, &now);
    }
    let mut tried = 0;
    let mut ends: Vec<Vec<Change>> = Vec::new();
    let mut next: Vec<(Vec<Change>, Stack)> = Vec::new();
    for change in candidates(case, case.stack, &now, opens) {
        let Some(changed) = attempt(&change, case.stack, &mut tried) else {
            continue;
        };
        if does_it(case, &changed, &[&change], opens) {
            ends.push(vec![change]);
        } else {
            next.push((vec![change], changed));
        }
    }
    if ends.is_empty() && opens {
        for (first, stack) in next {
            let halfway = case.scene(&stack);
            for change in candidates(case, &stack, &halfway, opens) {
                let Some(changed) = attempt(&change, &stack, &mut tried) else {
                    continue;
                };
                let both: Vec<&Change> = first.iter().chain([&change]).collect();
                if does_it(case, &changed, &both, opens) {
                    ends.push(both.into_iter().cloned().collect());
                }
            }
        }
    }
    gentlest(case, &now, ends, opens)
}

/// All that is not known is whether somebody listens: the file can say so.
fn expose(case: &Case, now: &Scene) -> Option<Advice> {
    let service = party(case.stack, now, case.to).service?;
    let change = Change::Expose(service, case.ask.port()?, case.ask.protocol()?);
    let stack = change.applied(case.stack)?;
    let cells = case.cells(&case.scene(&stack), case.to, case.ask);
    let works = cells
        .iter()
        .any(|cell| cell.prediction.verdict == Verdict::Ok);
    works.then(|| Advice {
        changes: vec![change],
        opens: true,
        besides: None,
    })
}

fn attempt(change: &Change, stack: &Stack, tried: &mut usize) -> Option<Stack> {
    if *tried >= MOST_TRIES {
        return None;
    }
    let changed = change.applied(stack)?;
    *tried += 1;
    Some(changed)
}

fn does_it(case: &Case, stack: &Stack, changes: &[&Change], opens: bool) -> bool {
    if is_refused(stack) {
        return false;
    }
    let published = changes.iter().find_map(|change| change.published());
    let scene = case.scene(stack);
    let works = case.works(&scene, published);
    if opens {
        return works;
    }
    // Shut means that nobody gets through, and that the names are still known to `ask`.
    let cells = case.cells(&scene, case.to, case.ask);
    !cells.is_empty()
        && cells
            .iter()
            .all(|cell| matches!(cell.prediction.verdict, Verdict::Fail(_)))
}

/// A shim where none can help is a mistake of the file.
fn is_refused(stack: &Stack) -> bool {
    stack.networks.values().any(|network| {
        let deaf = match network.driver {
            Driver::Macvlan(mode) => match mode {
                MacvlanMode::Private | MacvlanMode::Passthru => true,
                MacvlanMode::Bridge | MacvlanMode::Vepa => false,
            },
            Driver::Ipvlan(_, flag) => flag != IpvlanFlag::Bridge,
            Driver::Bridge | Driver::DefaultBridge | Driver::Host | Driver::None => false,
            Driver::Overlay | Driver::Plugin(_) => false,
        };
        deaf && network.shim.is_some()
    })
}

fn gentlest(case: &Case, now: &Scene, ends: Vec<Vec<Change>>, opens: bool) -> Option<Advice> {
    let countable = crate::reach::predict::cells::questions(now).len() <= MOST_CELLS;
    let mut best: Option<(usize, Advice)> = None;
    for changes in ends {
        let besides = countable.then(|| {
            let mut stack = case.stack.clone();
            for change in &changes {
                stack = change.applied(&stack).unwrap_or(stack);
            }
            let delta = delta(now, &case.scene(&stack));
            (delta.opened.len(), delta.closed.len())
        });
        let harm = besides.map_or(0, |(opened, closed)| opened + closed);
        if best.as_ref().is_none_or(|(least, _)| harm < *least) {
            let advice = Advice {
                changes,
                opens,
                besides,
            };
            best = Some((harm, advice));
        }
    }
    best.map(|(_, advice)| advice)
}

impl Advice {
    /// A sentence for each change, and how it is written.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let lead = if self.opens {
            "what would open it"
        } else {
            "what would close it"
        };
        let sentences: Vec<String> = self.changes.iter().map(Change::to_string).collect();
        let _ = writeln!(text, "{lead}: {}", sentences.join(", and "));
        for fragment in self.changes.iter().filter_map(Change::fragment) {
            let _ = writeln!(text, "    {fragment}");
        }
        if let Some((opened, closed)) = self.besides {
            let _ = writeln!(
                text,
                "  tried on a copy: {} open and {} close in all",
                counted(opened),
                counted(closed)
            );
        }
        text
    }
}

fn counted(cells: usize) -> String {
    match cells {
        0 => "none".to_owned(),
        1 => "1 cell".to_owned(),
        more => format!("{more} cells"),
    }
}
