//! `stack why`.

use std::io::Write as _;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::sight::Sight;
use crate::plan::observed::Observed;
use crate::reach::advice::advice;
use crate::reach::advice::case::Case;
use crate::reach::compare::{Agreement, Compared, Counts};
use crate::reach::explain;
use crate::reach::facts::Facts;
use crate::reach::predict;
use crate::reach::probe::evidence;
use crate::reach::question::Ask;
use crate::reach::rules;
use crate::reach::words;
use crate::world::live::Live;

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  stack why web db:5432              the way of a connection, or what stands in it
  stack why host web                 the same for an ICMP echo
  stack why office.laptop web:80     from another machine of a lan
  stack why web db:53/udp --probe    and what was really seen
  stack why --rule B2                the card of a rule")]
pub struct WhyArgs {
    /// A service, a container, `host`, LAN.MACHINE, a shim
    #[arg(value_name = "FROM", required_unless_present = "rule")]
    pub from: Option<String>,
    /// A name or an address, with a port or without
    #[arg(value_name = "TO[:PORT[/udp]]", required_unless_present = "rule")]
    pub to: Option<String>,
    /// Ask for real as well
    #[arg(long)]
    pub probe: bool,
    /// Show the card of a rule
    #[arg(long, value_name = "ID", conflicts_with_all = ["from", "to", "probe"])]
    pub rule: Option<String>,
}

/// Tells the way.
pub async fn run(context: &Context, arguments: WhyArgs) -> Outcome {
    if let Some(id) = &arguments.rule {
        let card = rules::card(id).ok_or_else(|| Failure::said(format!("no rule `{id}`")))?;
        let text = format!(
            "{}: {}\n{}\nsource: {}\n",
            card.id, card.title, card.text, card.source
        );
        std::io::stdout().write_all(text.as_bytes())?;
        return Ok(Exit::Done);
    }
    let (Some(from), Some(to)) = (&arguments.from, &arguments.to) else {
        return Err(Failure::said("who asks whom?"));
    };
    let (to, ask) = target(to)?;
    let sight = Sight::open(context)?;
    if !arguments.probe {
        let scene = sight.wanted();
        let questions = words::ask(&scene, from, to, ask).map_err(Failure::said)?;
        let cells = predict::each(&scene, questions);
        let mut text = explain::all(&cells);
        let (observed, facts) = (Observed::default(), Facts::default());
        let advice = advice(&Case {
            stack: &sight.opened.stack,
            wishes: &sight.wishes,
            observed: &observed,
            facts: &facts,
            from,
            to,
            ask,
        });
        text.push_str(&explain::remedy(&cells, advice.as_ref()));
        std::io::stdout().write_all(text.as_bytes())?;
        return Ok(Exit::Done);
    }
    let live = context.live().await?;
    sight
        .asking(&live, asked(&sight, &live, from, to, ask))
        .await
}

async fn asked(sight: &Sight, live: &Live, from: &str, to: &str, ask: Ask) -> Outcome {
    let standing = sight.standing(live).await?;
    let questions = words::ask(&standing.scene, from, to, ask).map_err(Failure::said)?;
    let mut cells = Vec::new();
    let mut text = String::new();
    for cell in predict::each(&standing.scene, questions) {
        // One after the other, so that what the counters say is of this question.
        let before = evidence::before(&standing.places, &cell).await;
        let asked = standing.compared(vec![cell.question.clone()]).await;
        let said = match before {
            Some(before) => evidence::after(&standing.places, &cell, before).await,
            None => Vec::new(),
        };
        cells.extend(asked.into_iter().map(|compared| (compared, said.clone())));
    }
    for (compared, said) in &cells {
        text.push_str(&explain::why(&compared.cell));
        if let Some(seen) = &compared.seen {
            let agrees = match compared.agreement {
                Agreement::Agree => "as predicted",
                Agreement::OtherKind | Agreement::Differs => "NOT as predicted",
                Agreement::Unpredicted | Agreement::Unclear | Agreement::NotSeen => "",
            };
            text.push_str(&format!(
                "seen: {} ({}) after {} ms {agrees}\n",
                seen.word(),
                seen.detail,
                seen.milliseconds
            ));
        }
        for line in said {
            text.push_str(&format!("  {line}\n"));
        }
    }
    std::io::stdout().write_all(text.as_bytes())?;
    let cells: Vec<Compared> = cells.into_iter().map(|(compared, _)| compared).collect();
    Ok(Exit::Verdict(Counts::of(&cells).code()))
}

/// `db:5432`, `db:53/udp`, `[fd00::2]:80`, `10.0.0.5`, `db`.
fn target(text: &str) -> Result<(&str, Ask), Failure> {
    let wrong = || Failure::said(format!("`{text}` is not NAME[:PORT[/udp]]"));
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or_else(wrong)?;
        return match rest.strip_prefix(':') {
            None if rest.is_empty() => Ok((address, Ask::Icmp)),
            None => Err(wrong()),
            Some(port) => Ok((address, port_of(port).ok_or_else(wrong)?)),
        };
    }
    match text.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') => Ok((name, port_of(port).ok_or_else(wrong)?)),
        Some(_) | None => Ok((text, Ask::Icmp)),
    }
}

fn port_of(text: &str) -> Option<Ask> {
    match text.split_once('/') {
        None => number(text).map(Ask::Tcp),
        Some((port, "tcp")) => number(port).map(Ask::Tcp),
        Some((port, "udp")) => number(port).map(Ask::Udp),
        Some(_) => None,
    }
}

fn number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0)
}

#[cfg(test)]
mod tests {
    use super::target;
    use crate::reach::question::Ask;

    #[test]
    fn a_target_is_a_name_and_maybe_a_port() {
        for (text, expected) in [
            ("db", Some(("db", Ask::Icmp))),
            ("db:5432", Some(("db", Ask::Tcp(5432)))),
            ("db:53/udp", Some(("db", Ask::Udp(53)))),
            ("fd00::2", Some(("fd00::2", Ask::Icmp))),
            ("[fd00::2]:80", Some(("fd00::2", Ask::Tcp(80)))),
            ("db:x", None),
            ("db:0", None),
            ("db:65536", None),
            ("db:80/sctp", None),
        ] {
            assert_eq!(target(text).ok(), expected, "{text}");
        }
    }
}
