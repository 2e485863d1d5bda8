//! Puts a prediction into plain sentences: each hop with the real names and addresses, the first obstacle, the rule's
//! card, and the least change of the file that would open the way.

use std::fmt::Write as _;

use crate::reach::advice::Advice;
use crate::reach::card::Card;
use crate::reach::predict::Cell;
use crate::reach::question::{Ask, Target};
use crate::reach::scene::shown;
use crate::reach::verdict::{Confidence, Failure, Hop, Prediction, Translation, Verdict};

/// The longest line of a card; a terminal that is narrower breaks it as it likes.
const WIDTH: usize = 100;

/// The whole answer to "why", as lines of text.
pub fn why(cell: &Cell) -> String {
    let mut text = way(cell);
    text.push_str(&card(cell));
    text.push_str(&remedy(std::slice::from_ref(cell), None));
    text
}

/// The answers to several questions: those that end alike are told once, and each card once.
pub fn all(cells: &[Cell]) -> String {
    let mut text = String::new();
    let mut told: Vec<&Cell> = Vec::new();
    let mut cards: Vec<&str> = Vec::new();
    for cell in cells {
        if let Some(same) = told.iter().find(|other| alike(other, cell)) {
            let _ = writeln!(
                text,
                "the same for {} to {}, as for {} to {}",
                cell.question.from,
                address(cell),
                same.question.from,
                address(same)
            );
            continue;
        }
        told.push(cell);
        text.push_str(&way(cell));
        let id = decides(cell).map_or("", |card| card.id);
        if !cards.contains(&id) {
            cards.push(id);
            text.push_str(&card(cell));
        }
    }
    text
}

/// Whether two cells differ in nothing but who of several replicas asks or is asked.
fn alike(one: &Cell, two: &Cell) -> bool {
    let (a, b) = (&one.prediction, &two.prediction);
    let steps = |prediction: &Prediction| -> Vec<std::mem::Discriminant<Hop>> {
        prediction.hops.iter().map(std::mem::discriminant).collect()
    };
    a.verdict == b.verdict && a.code() == b.code() && a.cards == b.cards && steps(a) == steps(b)
}

/// What would change the answer: what was tried on a copy of the stack, else what the rule advises.
pub fn remedy(cells: &[Cell], advice: Option<&Advice>) -> String {
    if let Some(advice) = advice {
        return advice.text();
    }
    let mut text = String::new();
    let mut told: Vec<&str> = Vec::new();
    for obstacle in cells
        .iter()
        .filter_map(|cell| cell.prediction.obstacle.as_ref())
    {
        let remedy = obstacle.remedy.as_str();
        if !remedy.is_empty() && !told.contains(&remedy) {
            told.push(remedy);
            let _ = writeln!(text, "what helps: {remedy}");
        }
    }
    text
}

/// Who, whom, what and how it ends; then the way, hop by hop, to the first obstacle.
pub fn way(cell: &Cell) -> String {
    let question = &cell.question;
    let prediction = &cell.prediction;
    let mut text = String::new();
    let meant = if question.meant.is_empty() || question.meant == address(cell) {
        String::new()
    } else {
        format!(" (`{}`)", question.meant)
    };
    let (from, to) = (&question.from, address(cell));
    let what = match question.ask {
        Ask::Name => "by its name".to_owned(),
        Ask::Icmp => "by ping".to_owned(),
        Ask::Tcp(port) => format!("on tcp port {port}"),
        Ask::Udp(port) => format!("on udp port {port}"),
    };
    let _ = match &prediction.verdict {
        Verdict::Ok => writeln!(text, "{from} reaches {to}{meant} {what}: ok"),
        Verdict::Fail(failure) => writeln!(
            text,
            "{from} does not reach {to}{meant} {what}: {failure}, {}",
            in_words(*failure)
        ),
        Verdict::Depends(fact) => writeln!(
            text,
            "{from} may reach {to}{meant} {what}; it depends on {fact}"
        ),
    };
    for (number, hop) in prediction.hops.iter().enumerate() {
        let _ = writeln!(text, "  {}. {}", number + 1, sentence(hop));
    }
    if let Some(obstacle) = &prediction.obstacle {
        let number = prediction.hops.len() + 1;
        let _ = match &obstacle.verdict {
            Verdict::Depends(_) => writeln!(
                text,
                "  {number}. from here on it cannot be known ({})",
                obstacle.stage.word()
            ),
            Verdict::Ok | Verdict::Fail(_) => writeln!(
                text,
                "  {number}. here it ends ({}): {}",
                obstacle.stage.word(),
                obstacle.at
            ),
        };
    }
    if prediction.confidence == Confidence::Low {
        text.push_str("  (something was assumed that often is otherwise)\n");
    }
    text
}

fn address(cell: &Cell) -> String {
    match &cell.question.to {
        Target::Address(address) => shown(*address),
        other => other.to_string(),
    }
}

/// What a person sees of it.
fn in_words(failure: Failure) -> &'static str {
    match failure {
        Failure::Refused => "somebody says no",
        Failure::Timeout => "nothing comes back",
        Failure::NoRoute => "there is no way to that address",
        Failure::HostUnreachable => "nobody on the link answers for that address",
        Failure::Nxdomain => "there is no such name",
        Failure::Servfail => "the name server gives up",
        Failure::WrongTarget => "somebody else answers",
    }
}

/// The rule that decides: the obstacle's, else the last on the way.
fn decides(cell: &Cell) -> Option<&'static Card> {
    let prediction = &cell.prediction;
    match &prediction.obstacle {
        Some(obstacle) => Some(obstacle.card),
        None => prediction.cards.last().copied(),
    }
}

/// The card of the rule that decides, and the reason's code.
pub fn card(cell: &Cell) -> String {
    let Some(card) = decides(cell) else {
        return String::new();
    };
    let code = match cell.prediction.code() {
        Some(code) => format!(", {code}"),
        None => String::new(),
    };
    let mut text = format!("why: {} (rule {}{code})\n", card.title, card.id);
    for line in wrapped(card.text) {
        let _ = writeln!(text, "  {line}");
    }
    text
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// One hop as a sentence without a full stop.
pub fn sentence(hop: &Hop) -> String {
    match hop {
        Hop::Resolved {
            name,
            resolver,
            network,
            addresses,
        } => {
            let addresses: Vec<String> = addresses.iter().map(|address| shown(*address)).collect();
            let network = match network {
                Some(network) => format!(", from network `{network}`"),
                None => String::new(),
            };
            format!(
                "{resolver} says `{name}` is {}{network}",
                addresses.join(", ")
            )
        }
        Hop::Routed {
            at,
            destination,
            link,
            via,
            source,
        } => {
            let via = match via {
                Some(via) => format!(" by way of {}", shown(*via)),
                None => ", as a neighbour there".to_owned(),
            };
            let source = match source {
                Some(source) => format!(", from its address {}", shown(*source)),
                None => String::new(),
            };
            format!(
                "`{at}` sends to {} through `{link}`{via}{source}",
                shown(*destination)
            )
        }
        Hop::Local { at, address } => format!("{} is `{at}`'s own address", shown(*address)),
        Hop::Carried { over, to } => format!("`{over}` carries it to `{to}`"),
        Hop::Passed { at, rule } => format!("the firewall of `{at}` lets it pass (rule {rule})"),
        Hop::Translated {
            at,
            from,
            to,
            port,
            what,
        } => {
            let port = port.map_or(String::new(), |port| format!(" port {port}"));
            match what {
                Translation::Destination => format!(
                    "`{at}` translates the destination {} to {}{port}",
                    shown(*from),
                    shown(*to)
                ),
                Translation::Source => format!(
                    "`{at}` translates the source {} to {}",
                    shown(*from),
                    shown(*to)
                ),
                Translation::Proxy => format!(
                    "the engine's proxy on `{at}` takes it at {} and asks {}{port} itself",
                    shown(*from),
                    shown(*to)
                ),
            }
        }
        Hop::Listens { at, port, known } => {
            if *known {
                format!("a socket of `{at}` listens on port {port}")
            } else {
                format!("`{at}` declares port {port}, so something is taken to listen there")
            }
        }
        Hop::Answered { at, to } => format!("the answer of `{at}` comes back to {}", shown(*to)),
    }
}
