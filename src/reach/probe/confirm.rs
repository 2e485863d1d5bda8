//! Predicts, asks, and asks again what surprised. A first round is short: on a machine that is well, whatever comes
//! comes at once, and silence is what it looks like. What differs from its prediction may only have been slow (a cold
//! neighbour table, a busy machine), so it gets a second, patient round before it is called different.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::reach::compare::{Agreement, Compared, Seen, SeenOutcome, compare};
use crate::reach::predict::{Cell, predict};
use crate::reach::probe::place::Place;
use crate::reach::probe::{Patience, host_asks_in_vain, is_silence, probe};
use crate::reach::question::{Ask, Question, Target, Viewpoint};
use crate::reach::scene::Scene;
use crate::reach::verdict::{Failure, Verdict};

/// The first round. One SYN or datagram is sent again within it (TCP after 1 s, UDP and ICMP after 800 ms).
const FIRST: Duration = Duration::from_millis(1100);

/// The second round. Two of the three seconds after which a kernel gives ARP up have passed when it ends.
const SECOND: Duration = Duration::from_millis(1700);

/// So many refusals of one client the kernel tells by ICMP at once; further ones come one in a second
/// (`XRLIM_BURST_FACTOR` of net/ipv4/icmp.c, `net.ipv4.icmp_ratelimit`).
const BURST: usize = 6;

/// Asks all questions and holds what was seen against the predictions, in the order of the questions.
pub async fn compared(
    scene: &Scene,
    places: &BTreeMap<Viewpoint, Place>,
    questions: Vec<Question>,
) -> Vec<Compared> {
    let seen = probe(scene, places, &questions, patience(FIRST)).await;
    let in_vain = host_asks_in_vain(places).await;
    let mut cells: Vec<Compared> = questions
        .into_iter()
        .zip(seen)
        .map(|(question, seen)| held(scene, question, seen, &in_vain))
        .collect();
    let doubtful: Vec<usize> = (0..cells.len())
        .filter(|number| is_doubtful(cells[*number].agreement))
        .collect();
    if doubtful.is_empty() {
        return cells;
    }
    let again: Vec<Question> = doubtful
        .iter()
        .map(|number| cells[*number].cell.question.clone())
        .collect();
    let seen = probe(scene, places, &again, patience(SECOND)).await;
    let in_vain = host_asks_in_vain(places).await;
    for (number, seen) in doubtful.into_iter().zip(seen) {
        let before = cells[number]
            .seen
            .as_ref()
            .map_or(0, |seen| seen.milliseconds);
        let seen = seen.map(|seen| Seen {
            milliseconds: seen.milliseconds + before,
            ..seen
        });
        let question = cells[number].cell.question.clone();
        cells[number] = held(scene, question, seen, &in_vain);
    }
    told_no_more(&mut cells);
    cells
}

/// A refusal of UDP (a question to a name server too) is an ICMP message, and who asks a lot of one machine is told
/// only some of them. Where some were told and more were to be told than the kernel tells, silence is no sign against a
/// refusal.
fn told_no_more(cells: &mut [Compared]) {
    let mut asked: BTreeMap<Viewpoint, (usize, bool)> = BTreeMap::new();
    for cell in cells.iter().filter(|cell| is_to_be_refused(cell)) {
        // A name is asked for twice, for each address family.
        let datagrams = match (&cell.cell.question.to, cell.cell.question.ask) {
            (Target::Name(_), _) => 2,
            (Target::Address(_) | Target::Internet, Ask::Udp(_)) => 1,
            (Target::Address(_) | Target::Internet, Ask::Name | Ask::Icmp | Ask::Tcp(_)) => 0,
        };
        let told = cell.seen.as_ref().map(|seen| seen.outcome)
            == Some(SeenOutcome::Fail(Failure::Refused));
        let entry = asked.entry(cell.cell.question.from.clone()).or_default();
        entry.0 += datagrams;
        entry.1 |= told && datagrams > 0;
    }
    for cell in cells.iter_mut().filter(|cell| is_to_be_refused(cell)) {
        let told = asked.get(&cell.cell.question.from);
        let too_many = told.is_some_and(|(datagrams, told)| *datagrams > BURST && *told);
        if let (true, Some(seen)) = (too_many, cell.seen.as_mut())
            && seen.outcome == SeenOutcome::Silent
        {
            seen.detail = "silence: so many refusals are not told".to_owned();
            cell.agreement = Agreement::Agree;
        }
    }
}

fn is_to_be_refused(cell: &Compared) -> bool {
    cell.cell.prediction.verdict == Verdict::Fail(Failure::Refused)
}

fn patience(whole: Duration) -> Patience {
    Patience {
        whole,
        ..Patience::default()
    }
}

/// What the host asks for in vain it cannot deliver: silence that was predicted to end so is not waited for. (The host
/// may ask for reasons of its own, so nothing follows from it where another end was predicted.)
fn held(
    scene: &Scene,
    question: Question,
    mut seen: Option<Seen>,
    in_vain: &BTreeSet<IpAddr>,
) -> Compared {
    let prediction = predict(scene, &question);
    let forwarded = matches!(question.from, Viewpoint::Container(_))
        && prediction.verdict == Verdict::Fail(Failure::HostUnreachable)
        && matches!(&question.to, Target::Address(address) if in_vain.contains(address));
    if let Some(seen) = seen.as_mut().filter(|_| forwarded)
        && is_silence(seen.outcome)
    {
        seen.outcome = SeenOutcome::Fail(Failure::HostUnreachable);
        seen.detail = "the host asks for it by ARP, and nobody answers".to_owned();
    }
    compare(
        Cell {
            question,
            prediction,
        },
        seen,
    )
}

fn is_doubtful(agreement: Agreement) -> bool {
    match agreement {
        Agreement::Differs | Agreement::OtherKind | Agreement::Unclear => true,
        Agreement::NotSeen | Agreement::Agree | Agreement::Unpredicted => false,
    }
}
