//! Asks for real: a thread enters the namespace of the one who asks and speaks itself (TCP, UDP, ICMP echo, DNS to the
//! resolver there), so nothing has to be in the image; where this process may not enter, an envoy in a container of its
//! own does ([`place`]). Only what is handed in as a question is asked, and only of the
//! addresses that the scene gives for it; an address that is only a placeholder is never asked.

pub mod confirm;
pub mod dns;
pub mod echo;
pub mod evidence;
pub mod neighbour;
pub mod place;
pub mod responder;
pub mod socket;
pub mod sockets;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::reach::compare::{Seen, SeenOutcome};
use crate::reach::probe::place::Place;
use crate::reach::question::{Ask, Question, Target, Viewpoint};
use crate::reach::scene::{Scene, is_placeholder};
use crate::reach::verdict::Failure;
use crate::world::host::neighbours::{self, Learned};

/// How patient the probes are and how many there are at once.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Patience {
    /// The longest that one question may take. Three ARP questions take three seconds; whether they are being asked in
    /// vain is read from the neighbour table before that.
    pub whole: Duration,
    /// Neighbours asked at once at the most, all namespaces together; fewer where the kernel has no room for so many
    /// ([`neighbours::room`]).
    pub neighbours: usize,
    /// Questions at once in each.
    pub questions: usize,
    /// Questions at once in all together; fewer where this process may not open so many sockets.
    pub together: usize,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            whole: Duration::from_millis(2600),
            neighbours: 400,
            questions: 200,
            together: 2000,
        }
    }
}

/// A question with the addresses that count as its target.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    number: usize,
    question: Question,
    /// The addresses of the one that is meant, for names.
    meant: Vec<IpAddr>,
}

/// Asks all questions of all places at once and gives what was seen, in the order of the questions; none where nobody
/// can ask from there.
pub async fn probe(
    scene: &Scene,
    places: &BTreeMap<Viewpoint, Place>,
    questions: &[Question],
    patience: Patience,
) -> Vec<Option<Seen>> {
    let mut jobs: BTreeMap<&Viewpoint, Vec<Job>> = BTreeMap::new();
    for (number, question) in questions.iter().enumerate() {
        let hidden = match &question.to {
            Target::Address(address) => is_placeholder(*address),
            Target::Name(_) => false,
            Target::Internet => true,
        };
        if hidden || !places.contains_key(&question.from) {
            continue;
        }
        jobs.entry(&question.from).or_default().push(Job {
            number,
            question: question.clone(),
            meant: meant(scene, question),
        });
    }
    let mut seen: Vec<Option<Seen>> = vec![None; questions.len()];
    let mut waiting: VecDeque<(usize, &Viewpoint, Vec<Job>)> = jobs
        .into_iter()
        .map(|(viewpoint, jobs)| (near(scene, viewpoint, &jobs), viewpoint, jobs))
        .collect();
    let together: usize = waiting.iter().map(|(weight, ..)| weight).sum();
    let known = match together > patience.neighbours.min(neighbours::room()) {
        true => learned(places).await,
        false => BTreeMap::new(),
    };
    let together = patience.together.min(sockets_allowed() / SOCKETS_EACH);
    while let Some((weight, ..)) = waiting.front() {
        if neighbours::room() < *weight {
            forget(places, &known).await;
        }
        if neighbours::room() < *weight {
            tokio::time::sleep(neighbours::AGED).await;
        }
        let most = patience.neighbours.min(neighbours::room());
        let round = next_round(&mut waiting, most, (patience.questions, together));
        for (number, answer) in asked_at_once(scene, places, round, patience).await {
            if let Some(slot) = seen.get_mut(number) {
                *slot = Some(answer);
            }
        }
        forget(places, &known).await;
    }
    seen
}

/// Makes these namespaces forget the neighbours that they have learned since.
async fn forget(places: &BTreeMap<Viewpoint, Place>, known: &BTreeMap<&Viewpoint, Learned>) {
    for (viewpoint, known) in known {
        if let Some(namespace) = places.get(viewpoint).and_then(Place::namespace) {
            // What could not be forgotten now, the kernel forgets in time.
            let _ = neighbours::forget(namespace, known).await;
        }
    }
}

/// Who asks what.
type Jobs<'a> = Vec<(&'a Viewpoint, Vec<Job>)>;

/// A question for a name has two at the same time, one for each address family.
const SOCKETS_EACH: usize = 2;

/// What else this process has open.
const OTHER_FILES: usize = 256;

/// How many sockets this process may have at once, after it has been given all that it may ask for.
fn sockets_allowed() -> usize {
    let limits = getrlimit(Resource::RLIMIT_NOFILE);
    let allowed = limits.map_or(1024, |(soft, hard)| {
        match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
            Ok(()) => hard,
            Err(_) => soft,
        }
    });
    let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
    allowed.saturating_sub(OTHER_FILES).max(SOCKETS_EACH)
}

/// The next askers: one, and as many more as ask no more neighbours together than so many, and have no more questions open
/// together than so many, of which each opens so many at once.
fn next_round<'a>(
    waiting: &mut VecDeque<(usize, &'a Viewpoint, Vec<Job>)>,
    most: usize,
    (each, together): (usize, usize),
) -> Jobs<'a> {
    let mut round = Vec::new();
    let (mut asked, mut open) = (0, 0);
    while let Some((weight, viewpoint, jobs)) = waiting.pop_front() {
        let opens = jobs.len().min(each);
        if !round.is_empty() && (asked + weight > most || open + opens > together) {
            waiting.push_front((weight, viewpoint, jobs));
            break;
        }
        asked += weight;
        open += opens;
        round.push((viewpoint, jobs));
    }
    round
}

/// How many of the addresses that are asked are in the asker's own subnets.
fn near(scene: &Scene, viewpoint: &Viewpoint, jobs: &[Job]) -> usize {
    let node = scene.viewpoint(viewpoint).map(|(node, _)| node);
    let links = node.and_then(|node| scene.nodes.get(node));
    let own: Vec<_> = links
        .iter()
        .flat_map(|node| &node.links)
        .flat_map(|link| &link.addresses)
        .collect();
    let asked: BTreeSet<IpAddr> = jobs
        .iter()
        .filter_map(|job| match &job.question.to {
            Target::Address(address) => Some(*address),
            Target::Name(_) | Target::Internet => None,
        })
        .filter(|address| own.iter().any(|subnet| subnet.contains(address)))
        .collect();
    asked.len()
}

/// What is not to be forgotten: all that the host has learned. A container asks again for what it still needs, and what an
/// earlier probe has made it learn takes room.
async fn learned(places: &BTreeMap<Viewpoint, Place>) -> BTreeMap<&Viewpoint, Learned> {
    let mut known = BTreeMap::new();
    for (viewpoint, place) in places {
        // An envoy has no right to make anybody forget.
        let Some(namespace) = place.namespace() else {
            continue;
        };
        match viewpoint {
            Viewpoint::Container(_) => {
                known.insert(viewpoint, Learned::new());
            }
            _ => {
                if let Ok(learned) = neighbours::learned(namespace).await {
                    known.insert(viewpoint, learned);
                }
            }
        }
    }
    known
}

async fn asked_at_once(
    scene: &Scene,
    places: &BTreeMap<Viewpoint, Place>,
    round: Jobs<'_>,
    patience: Patience,
) -> Vec<(usize, Seen)> {
    let mut tasks = Vec::new();
    for (viewpoint, jobs) in round {
        let Some(place) = places.get(viewpoint).cloned() else {
            continue;
        };
        let bound = scene
            .viewpoint(viewpoint)
            .map(|(_, bound)| bound)
            .unwrap_or_default();
        tasks.push(tokio::spawn(async move {
            let numbers: Vec<usize> = jobs.iter().map(|job| job.number).collect();
            let answers = place.ask(jobs, bound, patience).await;
            match answers {
                Ok(answers) => answers,
                Err(error) => numbers
                    .into_iter()
                    .map(|number| (number, unclear(&error)))
                    .collect(),
            }
        }));
    }
    let mut seen = Vec::new();
    for task in tasks {
        seen.extend(task.await.unwrap_or_default());
    }
    seen
}

fn meant(scene: &Scene, question: &Question) -> Vec<IpAddr> {
    let container = scene.containers.get(&question.meant);
    container
        .map(|tenant| scene.addresses(tenant.node).collect())
        .unwrap_or_default()
}

fn unclear(error: &io::Error) -> Seen {
    Seen {
        outcome: SeenOutcome::Unclear,
        detail: error.to_string(),
        milliseconds: 0,
    }
}

/// On the thread that is inside.
fn inside(
    resolver: &dns::Resolver,
    jobs: Vec<Job>,
    bound: &[IpAddr],
    patience: Patience,
) -> io::Result<Vec<(usize, Seen)>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let gate = Arc::new(Semaphore::new(patience.questions));
        let names = Rc::new(dns::Names::new(resolver.clone()));
        let mut tasks = Vec::new();
        for job in jobs {
            let gate = Arc::clone(&gate);
            let names = Rc::clone(&names);
            let bound = bound.to_vec();
            tasks.push(tokio::task::spawn_local(async move {
                let _turn = gate.acquire().await;
                let begin = Instant::now();
                let mut seen = one(&names, &job, &bound, patience.whole).await;
                // The kernel remembers for a moment that nobody answered, and has no room for a neighbour for a moment;
                // what fails at once is asked again.
                while fails_soon(seen.outcome, begin.elapsed()) {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    let rest = patience.whole.saturating_sub(begin.elapsed());
                    names.forget_failures();
                    seen = one(&names, &job, &bound, rest).await;
                }
                seen.milliseconds = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
                (job.number, seen)
            }));
        }
        let mut answers = Vec::new();
        for task in tasks {
            if let Ok(answer) = task.await {
                answers.push(answer);
            }
        }
        Ok(answers)
    })
}

/// Whether it is too early for such an end: the kernel takes a second at least to find out.
fn fails_soon(outcome: SeenOutcome, elapsed: Duration) -> bool {
    matches!(
        outcome,
        SeenOutcome::Fail(Failure::HostUnreachable | Failure::Timeout)
    ) && elapsed < Duration::from_millis(900)
}

async fn one(names: &dns::Names, job: &Job, bound: &[IpAddr], whole: Duration) -> Seen {
    let question = &job.question;
    let addresses = match &question.to {
        Target::Address(address) => vec![*address],
        Target::Internet => Vec::new(),
        Target::Name(name) => match names.addresses(name, whole).await {
            Err(seen) => return seen,
            Ok(addresses) => {
                let elsewhere = !job.meant.is_empty()
                    && !addresses.iter().any(|address| job.meant.contains(address));
                let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                let detail = list.join(", ");
                if elsewhere {
                    return seen(SeenOutcome::Fail(Failure::WrongTarget), detail);
                }
                if question.ask == Ask::Name {
                    return seen(SeenOutcome::Ok, detail);
                }
                addresses
            }
        },
    };
    let mut first: Option<Seen> = None;
    for address in addresses {
        let source = bound
            .iter()
            .copied()
            .find(|own| own.is_ipv4() == address.is_ipv4());
        let mut answer = match question.ask {
            Ask::Tcp(port) => socket::tcp(address, port, source, whole).await,
            Ask::Udp(port) => socket::udp(address, port, source, whole).await,
            Ask::Icmp | Ask::Name => echo::echo(address, source, whole).await,
        };
        if answer.outcome == SeenOutcome::Ok {
            return answer;
        }
        if is_silence(answer.outcome) && neighbour::is_asked_in_vain(address) {
            answer = seen(
                SeenOutcome::Fail(Failure::HostUnreachable),
                "nobody answers ARP".to_owned(),
            );
        }
        first.get_or_insert(answer);
    }
    first.unwrap_or_else(|| seen(SeenOutcome::Unclear, "no address".to_owned()))
}

/// Whether nothing came back.
pub fn is_silence(outcome: SeenOutcome) -> bool {
    matches!(
        outcome,
        SeenOutcome::Fail(Failure::Timeout) | SeenOutcome::Silent
    )
}

/// What was seen, without the time.
pub fn seen(outcome: SeenOutcome, detail: String) -> Seen {
    Seen {
        outcome,
        detail,
        milliseconds: 0,
    }
}

/// What an error of the kernel means.
pub fn failed(error: &io::Error) -> Seen {
    let outcome = match error.raw_os_error() {
        Some(libc::ECONNREFUSED | libc::ECONNRESET | libc::EPIPE) => {
            SeenOutcome::Fail(Failure::Refused)
        }
        // ENOBUFS is what a link that drops a packet makes the kernel say to a socket that hears errors (ip(7)).
        Some(libc::ETIMEDOUT | libc::ENOBUFS) => SeenOutcome::Fail(Failure::Timeout),
        Some(libc::ENETUNREACH | libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT) => {
            SeenOutcome::Fail(Failure::NoRoute)
        }
        Some(libc::EHOSTUNREACH | libc::EHOSTDOWN) => SeenOutcome::Fail(Failure::HostUnreachable),
        _ => SeenOutcome::Unclear,
    };
    seen(outcome, error.to_string())
}

/// For whom the host asks in vain. As a router it tells so after three seconds; its neighbour table says so before.
pub async fn host_asks_in_vain(places: &BTreeMap<Viewpoint, Place>) -> BTreeSet<IpAddr> {
    match places.get(&Viewpoint::Host) {
        Some(host) => host.in_vain().await.unwrap_or_default(),
        None => BTreeSet::new(),
    }
}
