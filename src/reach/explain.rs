//! Puts a prediction into plain sentences: each hop with the real names and addresses, the first obstacle, the rule's
//! card, and the least change of the file that would open the way.

use std::fmt::Write as _;

use crate::reach::predict::Cell;
use crate::reach::scene::shown;
use crate::reach::verdict::{Hop, Translation, Verdict};

/// The whole answer to "why", as lines of text.
pub fn why(cell: &Cell) -> String {
    let question = &cell.question;
    let prediction = &cell.prediction;
    let mut text = String::new();
    let verdict = match &prediction.verdict {
        Verdict::Ok => "ok".to_owned(),
        Verdict::Fail(failure) => format!("fails: {failure}"),
        Verdict::Depends(fact) => format!("depends on {fact}"),
    };
    let meant = if question.meant.is_empty() || question.meant == question.to.to_string() {
        String::new()
    } else {
        format!(" (`{}`)", question.meant)
    };
    let _ = writeln!(
        text,
        "{} to {}{meant}, {}: {verdict}",
        question.from, question.to, question.ask
    );
    for (number, hop) in prediction.hops.iter().enumerate() {
        let _ = writeln!(text, "  {}. {}", number + 1, sentence(hop));
    }
    let Some(obstacle) = &prediction.obstacle else {
        if let Some(card) = prediction.cards.last() {
            let _ = writeln!(text, "rule {}: {}", card.id, card.title);
            let _ = writeln!(text, "  {}", card.text);
        }
        return text;
    };
    let _ = writeln!(
        text,
        "  {}. here it ends ({}): {}",
        prediction.hops.len() + 1,
        obstacle.stage.word(),
        obstacle.at
    );
    let _ = writeln!(text, "reason: {}", obstacle.code);
    let _ = writeln!(text, "rule {}: {}", obstacle.card.id, obstacle.card.title);
    let _ = writeln!(text, "  {}", obstacle.card.text);
    if !obstacle.remedy.is_empty() {
        let _ = writeln!(text, "what would open it: {}", obstacle.remedy);
    }
    text
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
                None => ", which is on that link".to_owned(),
            };
            let source = match source {
                Some(source) => format!(", from {}", shown(*source)),
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
