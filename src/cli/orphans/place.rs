//! The engine and its host as places to look at and to take things away from.

use std::path::Path;

use futures_util::stream;

use crate::apply::lock;
use crate::apply::runs::runs;
use crate::apply::wanted::{Record, Records};
use crate::apply::{self, OnFailure, Options};
use crate::cli::carry::past::Past;
use crate::cli::carry::{HostSide, Manner, Session, outcome};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::orphans::OrphansArgs;
use crate::cli::orphans::seen::{engine_side, run_seen, scope};
use crate::cli::render::summary;
use crate::model::mark;
use crate::model::name::ProjectName;
use crate::plan::diff::down::{DownOptions, down};
use crate::plan::observed::Observed;
use crate::plan::orphan::{Fate, Marked, Seen, Thing};
use crate::world::World;
use crate::world::engine::connect::endpoint;
use crate::world::engine::talk::act::AnonymousVolumes;
use crate::world::host::Host;
use crate::world::host::alone::Alone;
use crate::world::live::Live;
use crate::world::netns::Namespace;
use crate::world::private::process::boot_id;

/// The engine and its host, each where it can be had.
pub struct Place {
    pub live: Option<Live>,
    /// The engine that was asked, whether it answers or not.
    pub url: Option<String>,
    pub no_engine: Option<String>,
    pub host: Result<Host, String>,
}

impl Place {
    pub async fn open(context: &Context) -> Result<Place, Failure> {
        let url = endpoint(&context.surroundings());
        let url = url.ok().map(|endpoint| endpoint.url());
        match context.live().await {
            Ok(live) => {
                let host = live.host().await.clone();
                Ok(Place {
                    live: Some(live),
                    url,
                    no_engine: None,
                    host,
                })
            }
            Err(Failure::Said { text, .. }) => {
                let namespace = Namespace::current().map_err(Failure::said)?;
                let host = Host::open(namespace, context.state_folder()?).await;
                Ok(Place {
                    live: None,
                    url,
                    no_engine: Some(text),
                    host: host.map_err(|error| error.to_string()),
                })
            }
            Err(other @ (Failure::Told(_) | Failure::OutputClosed)) => Err(other),
        }
    }

    pub async fn look(&mut self, context: &Context) -> Result<Seen, Failure> {
        let mut seen = Seen::default();
        let here = self.url.as_deref().map(Context::engine_digest);
        if let Some(live) = &self.live {
            engine_side(live, &mut seen).await?;
        }
        if let Ok(host) = &self.host {
            seen.marked.extend(host.marked().await?);
        }
        for run in runs(&context.state_folder()?, &boot_id())? {
            run_seen(&run, here.as_deref(), &mut seen);
        }
        for Record { path, wanted } in all_records(context)? {
            let Ok(wanted) = wanted else { continue };
            let project = wanted.project.to_string();
            if self.url.as_ref() != Some(&wanted.engine) {
                // Nothing here can say how it stands with that one.
                seen.elsewhere.insert(project, wanted.engine);
                continue;
            }
            if wanted.settled().is_some() {
                seen.settled.insert(project);
            }
            seen.marked.push(Marked {
                project: Some(wanted.project.to_string()),
                thing: Thing::Record {
                    file: path.display().to_string(),
                },
            });
        }
        Ok(seen)
    }

    /// Takes a project's things away: what a journal tells, then what carries our mark. Whether something failed.
    pub async fn take_down(
        &mut self,
        context: &Context,
        project: &ProjectName,
        arguments: &OrphansArgs,
    ) -> Result<bool, Failure> {
        if self.live.is_none() {
            return self.take_down_host(context, project).await;
        }
        let session = Session::locked(context, project, "orphans").await?;
        // Another run may have come and gone while we waited for the lock.
        let seen = self.look(context).await?;
        let fate = seen.fate(project.as_str());
        if fate != Fate::Gone {
            context.tell(&format!(" `{project}` is left alone: {fate}"));
            return Ok(false);
        }
        session.repair(Past::TakenBack).await?;
        let mut observed = session.observe(Vec::new()).await?;
        only_ours(&mut observed);
        let options = DownOptions {
            volumes: arguments.volumes,
            ..DownOptions::default()
        };
        let plan = down(project, &observed, &options).map_err(Failure::said)?;
        if plan.is_empty() {
            session.keep(&[])?;
            return Ok(false);
        }
        let manner = Manner {
            host_side: HostSide::Goes,
            ..Manner::plain(OnFailure::GoOn)
        };
        let report = session.carry_out(&plan, &observed, &manner).await?;
        match outcome(&report) {
            Ok(_) => Ok(false),
            Err(Failure::Told(Exit::Interrupted)) => Err(Failure::Told(Exit::Interrupted)),
            Err(_) => Ok(true),
        }
    }

    /// The same for the host alone.
    async fn take_down_host(
        &self,
        context: &Context,
        project: &ProjectName,
    ) -> Result<bool, Failure> {
        let Ok(host) = &self.host else {
            return Ok(false);
        };
        let world = Alone { host: host.clone() };
        let observed = world.observe(&scope(project)).await?;
        let plan = down(project, &observed, &DownOptions::default()).map_err(Failure::said)?;
        if plan.is_empty() {
            return Ok(false);
        }
        let options = Options {
            on_failure: OnFailure::GoOn,
            ..Options::default()
        };
        let renderer = context.renderer();
        let report = apply::run(&plan, &world, None, &renderer, &options, stream::pending()).await;
        renderer.finish();
        Ok(summary::exit(&report) != Exit::Done)
    }

    pub async fn discard(&self, marked: &Marked) -> Result<(), String> {
        let engine = self.live.as_ref().map(Live::engine);
        match &marked.thing {
            // A probe container: no project has it.
            Thing::Container { name, .. } if marked.project.is_none() => match engine {
                Some(engine) => (engine.remove(name, AnonymousVolumes::Remove).await)
                    .map_err(|error| error.to_string()),
                None => Ok(()),
            },
            Thing::Image { name } => match engine {
                Some(engine) => {
                    (engine.remove_envoy_image(name).await).map_err(|error| error.to_string())
                }
                None => Ok(()),
            },
            // Should the engine come back, its containers are taken back by it.
            Thing::Run { journal, .. } => Err(format!(
                "the unfinished run of `{}` stays, as its engine does not answer; where that never comes back, remove {journal}",
                marked.project.as_deref().unwrap_or("?")
            )),
            // Whoever takes it next locks it before it is looked at, so an unheld name may go.
            Thing::Lock { file } => match lock::holder(Path::new(file)) {
                Ok(None) => std::fs::remove_file(file).map_err(|error| error.to_string()),
                Ok(Some(_)) => Ok(()),
                Err(error) => Err(error.to_string()),
            },
            Thing::Record { file } => std::fs::remove_file(file).map_err(|error| error.to_string()),
            Thing::Link { .. }
            | Thing::Namespace { .. }
            | Thing::Route { .. }
            | Thing::Table { .. }
            | Thing::Note { .. }
            | Thing::Container { .. }
            | Thing::Network { .. }
            | Thing::Volume { .. } => match &self.host {
                Ok(host) => host
                    .discard(marked)
                    .await
                    .map_err(|error| error.to_string()),
                Err(reason) => Err(reason.clone()),
            },
        }
    }
}

/// The records in the folder that outlives a reboot and in that of locks and journals, where those of private engines
/// are: a process inside of such an engine's host need not know that it is one.
pub fn all_records(context: &Context) -> Result<Vec<Record>, Failure> {
    let lasting = context.records()?;
    let passing = Records::new(&context.state_folder()?);
    let mut records = lasting.all().map_err(Failure::said)?;
    if passing.folder() != lasting.folder() {
        records.extend(passing.all().map_err(Failure::said)?);
    }
    Ok(records)
}

/// Leaves out what carries Compose's labels and not ours.
fn only_ours(observed: &mut Observed) {
    observed
        .containers
        .retain(|found| found.labels.contains_key(mark::HASH));
    observed.networks.retain(|found| found.hash.is_some());
    observed.volumes.retain(|found| found.hash.is_some());
}
