//! Answers one question, or all: a name is resolved, then the packet is followed through the scene and its answer back.
//! Pure, and quick enough to ask every question of a stack in one breath.

pub mod answer;
pub mod cells;
pub mod gate;
pub mod internet;
pub mod listen;
pub mod packet;
pub mod segment;
pub mod trace;

use std::net::IpAddr;
use std::thread;

use crate::reach::question::{Ask, Question, Target, Viewpoint};
use crate::reach::rules::engine;
use crate::reach::rules::host::{self, DOWN};
use crate::reach::rules::name::{self, N5};
use crate::reach::scene::{HOST, NodeId, Scene, Tenant, is_placeholder, shown};
use crate::reach::verdict::{Code, Confidence, Failure, Hop, Obstacle, Prediction, Stage, Verdict};

/// A question with its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    pub question: Question,
    pub prediction: Prediction,
}

/// So many questions are worth a thread of their own: some milliseconds.
const SHARE: usize = 2000;

/// The answers to all questions that the stack's declarations raise, in their order.
pub fn all(scene: &Scene) -> Vec<Cell> {
    each(scene, cells::questions(scene))
}

/// The questions with their answers, in their order. Each answer is found by itself, so all processors take part.
pub fn each(scene: &Scene, questions: Vec<Question>) -> Vec<Cell> {
    let answers = |questions: &[Question]| -> Vec<Prediction> {
        let answers = questions.iter().map(|question| predict(scene, question));
        answers.collect()
    };
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let share = questions.len().div_ceil(processors).max(SHARE);
    let predictions = if questions.len() <= share {
        answers(&questions)
    } else {
        thread::scope(|scope| {
            let parts: Vec<_> = questions
                .chunks(share)
                .map(|part| scope.spawn(|| answers(part)))
                .collect();
            let joined = parts.into_iter().flat_map(|part| match part.join() {
                Ok(answers) => answers,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            joined.collect()
        })
    };
    let cells = questions.into_iter().zip(predictions);
    cells
        .map(|(question, prediction)| Cell {
            question,
            prediction,
        })
        .collect()
}

/// The answer to one question.
pub fn predict(scene: &Scene, question: &Question) -> Prediction {
    let mut path = Path::default();
    let outcome = answer(scene, question, &mut path);
    let Path {
        hops,
        cards,
        mut confidence,
    } = path;
    if !scene.facts.observed {
        confidence = confidence.min(Confidence::Medium);
    }
    match outcome {
        Ok(()) => Prediction {
            verdict: Verdict::Ok,
            hops,
            obstacle: None,
            cards,
            confidence,
        },
        Err(obstacle) => {
            let mut cards = cards;
            if !cards.contains(&obstacle.card) {
                cards.push(obstacle.card);
            }
            Prediction {
                verdict: obstacle.verdict.clone(),
                hops,
                obstacle: Some(obstacle),
                cards,
                confidence,
            }
        }
    }
}

/// What has been seen on the way so far.
#[derive(Debug, Clone)]
pub struct Path {
    pub hops: Vec<Hop>,
    pub cards: Vec<&'static crate::reach::card::Card>,
    pub confidence: Confidence,
}

impl Default for Path {
    fn default() -> Path {
        Path {
            hops: Vec::new(),
            cards: Vec::new(),
            confidence: Confidence::High,
        }
    }
}

impl Path {
    /// Notes a rule that applied.
    pub fn card(&mut self, card: &'static crate::reach::card::Card) {
        if !self.cards.contains(&card) {
            self.cards.push(card);
        }
    }

    /// Notes a rule that may have applied.
    pub fn cards_of(&mut self, card: Option<&'static crate::reach::card::Card>) {
        if let Some(card) = card {
            self.card(card);
        }
    }

    /// Lowers the confidence.
    pub fn at_most(&mut self, confidence: Confidence) {
        self.confidence = self.confidence.min(confidence);
    }
}

fn answer(scene: &Scene, question: &Question, path: &mut Path) -> Result<(), Obstacle> {
    let tenant = match &question.from {
        Viewpoint::Container(name) => scene
            .containers
            .get_key_value(name)
            .map(|(name, tenant)| (name.as_str(), tenant)),
        Viewpoint::Host | Viewpoint::Shim(_) | Viewpoint::Internet => None,
        Viewpoint::Machine { .. } | Viewpoint::Router(_) | Viewpoint::Other => None,
    };
    if let Some((name, tenant)) = tenant {
        is_up(name, tenant)?;
        if tenant.node == HOST {
            path.card(&host::H1);
        } else if tenant.follows.is_some() {
            path.card(&host::H4);
        }
    }
    let Some((node, bound)) = scene.viewpoint(&question.from) else {
        return Err(host::outside("who asks is not part of the stack"));
    };
    if question.from == Viewpoint::Internet {
        return internet::comes_in(scene, node, question, path);
    }
    let addresses = match &question.to {
        Target::Internet => return trace::out(scene, node, path),
        Target::Address(address) => vec![*address],
        Target::Name(name) => resolved(scene, node, tenant, name, question, path)?,
    };
    if question.ask == Ask::Name {
        return Ok(());
    }
    if scene.facts.rootless && node == HOST && tenant.is_none() {
        let beyond = addresses
            .iter()
            .find(|address| !scene.is_local(HOST, **address));
        if let Some(address) = beyond {
            return Err(engine::rootless(&shown(*address)));
        }
    }
    // A client tries the addresses one after another; the first failure is the one that it tells.
    let mut first: Option<Obstacle> = None;
    for address in addresses {
        let mut way = path.clone();
        let source = bound
            .iter()
            .copied()
            .find(|source| source.is_ipv4() == address.is_ipv4());
        if is_placeholder(address) {
            way.at_most(Confidence::Medium);
        }
        let traced = trace::there_and_back(scene, node, source, address, question, &mut way);
        let answered = match down(scene, question, address) {
            None => traced,
            Some(down) => {
                way = path.clone();
                Err(fails_on_the_way(down, traced.err()))
            }
        };
        match answered {
            Ok(()) => {
                *path = way;
                return Ok(());
            }
            Err(obstacle) if first.is_none() => {
                *path = way;
                first = Some(obstacle);
            }
            Err(_) => {}
        }
    }
    Err(first.unwrap_or_else(|| host::no_route(&scene.nodes[node].name, host::NoRoute::NoFamily)))
}

fn is_up(name: &str, tenant: &Tenant) -> Result<(), Obstacle> {
    match &tenant.down {
        None => Ok(()),
        Some(why) => Err(Obstacle::fail(
            &DOWN,
            Stage::Route,
            Code::ContainerDown,
            Failure::NoRoute,
            format!("`{name}`: {why}"),
        )
        .remedy("start it: `stack up`")),
    }
}

/// A container that is meant and does not run has no address that anybody answers for.
fn down(scene: &Scene, question: &Question, address: IpAddr) -> Option<Obstacle> {
    let tenant = scene.containers.get(&question.meant)?;
    let why = tenant.down.as_ref()?;
    let its_own = scene.addresses(tenant.node).any(|own| own == address);
    // Whoever else lives in its namespace keeps the address (measured on 20.10: the owner of a guest that has ended).
    let kept = scene.tenants(tenant.node).any(|(_, other)| other.runs());
    (its_own && !kept).then(|| {
        Obstacle::fail(
            &DOWN,
            Stage::Link,
            Code::ContainerDown,
            Failure::HostUnreachable,
            format!("`{}`: {why}", question.meant),
        )
        .also(Failure::Timeout)
        .remedy("start it: `stack up`")
    })
}

/// What is asked of a container that is down fails as it would on the way there, if it would, or else where nobody answers
/// for the address. That is told after three seconds, and later where the one that asks knew it a moment ago: its
/// neighbour is asked in person first (RFC 4861 section 7.3.3, which the kernel follows for ARP too; measured on 20.10
/// and 28.5: silent for some seconds after `stop`).
fn fails_on_the_way(down: Obstacle, met: Option<Obstacle>) -> Obstacle {
    match met {
        Some(met) if met.stage < Stage::Listener && !matches!(met.verdict, Verdict::Depends(_)) => {
            Obstacle {
                verdict: met.verdict,
                also: met.also.or(down.also),
                ..down
            }
        }
        Some(_) | None => down,
    }
}

fn resolved(
    scene: &Scene,
    node: NodeId,
    tenant: Option<(&str, &Tenant)>,
    name: &str,
    question: &Question,
    path: &mut Path,
) -> Result<Vec<IpAddr>, Obstacle> {
    let resolved = name::resolve(scene, node, tenant, name)?;
    path.card(resolved.card);
    path.hops.push(Hop::Resolved {
        name: name.to_owned(),
        resolver: resolved.resolver.to_owned(),
        network: resolved.network.clone(),
        addresses: resolved.addresses.clone(),
    });
    let wanted = scene
        .containers
        .get(&question.meant)
        .map(|tenant| tenant.node);
    if let Some(wanted) = wanted
        && !resolved.nodes.is_empty()
        && !resolved.nodes.contains(&wanted)
    {
        let others: Vec<&str> = resolved
            .nodes
            .iter()
            .map(|node| scene.nodes[*node].name.as_str())
            .collect();
        return Err(Obstacle::fail(
            &N5,
            Stage::Resolve,
            Code::NameAmbiguous,
            Failure::WrongTarget,
            format!(
                "the name `{name}`, which leads to `{}`",
                others.join("`, `")
            ),
        )
        .remedy(format!("ask `{name}.NETWORK`, or give each its own alias")));
    }
    Ok(resolved.addresses)
}
