//! Somebody who asks, wherever they are: on a thread of this process that enters the namespace, or by an envoy that
//! lives in it. Both do the same errands by the same code; an envoy is told of them as lines of JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::port::Protocol;
use crate::plan::observed::HostFacts;
use crate::reach::compare::Seen;
use crate::reach::facts::Listening;
use crate::reach::probe::dns::Resolver;
use crate::reach::probe::responder::Responder;
use crate::reach::probe::{Job, Patience, inside, neighbour, sockets};
use crate::reach::question::Viewpoint;
use crate::world::engine::envoy::Envoy;
use crate::world::host::Host;
use crate::world::netns::Namespace;

/// Somebody who asks.
#[derive(Debug, Clone)]
pub enum Place {
    Here(Spot),
    There(Arc<Envoy>),
}

/// Everybody who can ask.
#[derive(Debug, Default)]
pub struct Places {
    pub all: BTreeMap<Viewpoint, Place>,
    /// Whether somebody had ended by the time they were to be asked: what was observed before is not true any more.
    pub stale: bool,
}

/// A namespace that this process may be in, and the files by which names are found there.
#[derive(Debug, Clone)]
pub struct Spot {
    pub namespace: Namespace,
    pub resolver: Resolver,
}

/// What is to be done in a namespace.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Errand {
    /// Look around; at the host's links and routes too, where it is the host's.
    Look { host: bool },
    Ask {
        jobs: Vec<Job>,
        bound: Vec<IpAddr>,
        patience: Patience,
    },
    /// For whom it asks in vain.
    InVain,
    /// Answer on these ports until the end.
    Respond { ports: Vec<(u16, Protocol)> },
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    Looked(Box<Look>),
    Asked(Vec<(usize, Seen)>),
    InVain(BTreeSet<IpAddr>),
    Responding,
    Failed(String),
}

/// What is to be seen in a namespace.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Look {
    pub listening: Vec<Listening>,
    pub addresses: Vec<IpAddr>,
    /// The name servers of its resolver file.
    pub servers: Vec<IpAddr>,
    pub host: Option<HostFacts>,
}

impl Place {
    /// A place on this machine, with the resolver files below a root such as `/proc/PID/root`.
    pub fn here(namespace: Namespace, root: &Path) -> Place {
        Place::Here(Spot {
            namespace,
            resolver: Resolver::read(root),
        })
    }

    /// The namespace, where this process may be in it.
    pub fn namespace(&self) -> Option<&Namespace> {
        match self {
            Place::Here(spot) => Some(&spot.namespace),
            Place::There(_) => None,
        }
    }

    /// Looks around.
    pub async fn look(&self, host: bool) -> io::Result<Look> {
        match self.report(Errand::Look { host }).await? {
            Report::Looked(look) => Ok(*look),
            other => Err(unexpected(&other)),
        }
    }

    /// Asks all questions at once.
    pub async fn ask(
        &self,
        jobs: Vec<Job>,
        bound: Vec<IpAddr>,
        patience: Patience,
    ) -> io::Result<Vec<(usize, Seen)>> {
        let errand = Errand::Ask {
            jobs,
            bound,
            patience,
        };
        match self.report(errand).await? {
            Report::Asked(seen) => Ok(seen),
            other => Err(unexpected(&other)),
        }
    }

    /// For whom it asks in vain by ARP.
    pub async fn in_vain(&self) -> io::Result<BTreeSet<IpAddr>> {
        match self.report(Errand::InVain).await? {
            Report::InVain(addresses) => Ok(addresses),
            other => Err(unexpected(&other)),
        }
    }

    /// Answers on ports where nothing listens, as long as what is given back lives; an envoy answers as long as it
    /// lives itself.
    pub async fn respond(&self, ports: Vec<(u16, Protocol)>) -> io::Result<Option<Responder>> {
        match self {
            Place::Here(spot) => Responder::start(&spot.namespace, ports).await.map(Some),
            Place::There(_) => match self.report(Errand::Respond { ports }).await? {
                Report::Responding => Ok(None),
                other => Err(unexpected(&other)),
            },
        }
    }

    async fn report(&self, errand: Errand) -> io::Result<Report> {
        match self {
            Place::Here(spot) => spot.run(errand, &mut Vec::new()).await,
            Place::There(envoy) => {
                let line = serde_json::to_string(&errand)?;
                let answer = envoy.ask(&line).await.map_err(io::Error::other)?;
                match serde_json::from_str(&answer)? {
                    Report::Failed(why) => Err(io::Error::other(why)),
                    report => Ok(report),
                }
            }
        }
    }
}

impl Spot {
    async fn run(&self, errand: Errand, responders: &mut Vec<Responder>) -> io::Result<Report> {
        let namespace = &self.namespace;
        Ok(match errand {
            Errand::Look { host } => Report::Looked(Box::new(Look {
                listening: sockets::listening(namespace).await?,
                addresses: sockets::addresses(namespace).await?,
                servers: self.resolver.servers.clone(),
                host: match host {
                    true => Some(host_facts(namespace).await?),
                    false => None,
                },
            })),
            Errand::Ask {
                jobs,
                bound,
                patience,
            } => {
                let resolver = self.resolver.clone();
                let asking = move || inside(&resolver, jobs, &bound, patience);
                Report::Asked(namespace.enter(asking).await?)
            }
            Errand::InVain => Report::InVain(namespace.enter(neighbour::asked_in_vain).await?),
            Errand::Respond { ports } => {
                responders.push(Responder::start(namespace, ports).await?);
                Report::Responding
            }
        })
    }
}

async fn host_facts(namespace: &Namespace) -> io::Result<HostFacts> {
    // Nothing is written down by one who only looks.
    let host = Host::open(namespace.clone(), PathBuf::new()).await;
    let host = host.map_err(io::Error::other)?;
    host.facts().await.map_err(io::Error::other)
}

fn unexpected(report: &Report) -> io::Error {
    io::Error::other(format!("an answer to something else: {report:?}"))
}

/// An envoy's own side: does one errand after the other in the namespace that this process is in.
pub struct Errands {
    spot: Spot,
    responders: Vec<Responder>,
}

impl Errands {
    /// Here, with this machine's resolver files (an envoy has those of the one whose namespace it shares).
    pub fn begin() -> io::Result<Errands> {
        Ok(Errands {
            spot: Spot {
                namespace: Namespace::current()?,
                resolver: Resolver::read(Path::new("/")),
            },
            responders: Vec::new(),
        })
    }

    /// The answer to one line.
    pub async fn answer(&mut self, line: &str) -> String {
        let report = match serde_json::from_str(line) {
            Ok(errand) => self.spot.run(errand, &mut self.responders).await,
            Err(error) => Err(io::Error::from(error)),
        };
        let report = report.unwrap_or_else(|error| Report::Failed(error.to_string()));
        serde_json::to_string(&report).unwrap_or_else(|error| {
            // Every report is plain data.
            format!("{{\"failed\":\"{error}\"}}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Errand, Errands, Place, Report, Spot};
    use crate::model::port::Protocol;
    use crate::reach::probe::dns::Resolver;
    use crate::world::netns::Namespace;

    #[tokio::test]
    async fn an_envoy_answers_each_line_with_one() {
        let mut errands = Errands::begin().unwrap();
        let look = serde_json::to_string(&Errand::Look { host: false }).unwrap();
        let answer = errands.answer(&look).await;
        assert!(!answer.contains('\n'));
        let Ok(Report::Looked(look)) = serde_json::from_str(&answer) else {
            panic!("{answer}");
        };
        assert!(look.addresses.iter().any(|address| address.is_loopback()));
        let answer = errands.answer("what?").await;
        assert!(matches!(
            serde_json::from_str(&answer),
            Ok(Report::Failed(_))
        ));
    }

    #[tokio::test]
    async fn a_responder_is_seen_by_who_looks_around() {
        let Ok(namespace) = Namespace::fresh() else {
            println!("skipped: no right to make a network namespace");
            return;
        };
        let place = Place::Here(Spot {
            namespace,
            resolver: Resolver::default(),
        });
        let responder = place.respond(vec![(81, Protocol::Tcp)]).await.unwrap();
        assert!(responder.is_some());
        let look = place.look(false).await.unwrap();
        assert!(look.listening.iter().any(|socket| socket.port == 81));
    }
}
