//! `stack run`.

mod overlay;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use futures_util::StreamExt;

use crate::apply::OnFailure;
use crate::cli::carry::{HostSide, Manner, Session, outcome};
use crate::cli::containers::no_such_service;
use crate::cli::context::{Context, Opened};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::made::{How, make};
use crate::cli::make::Goal;
use crate::cli::make::MakeArgs;
use crate::cli::render::talk;
use crate::cli::run::overlay::open_with;
use crate::cli::signal::wishes_to_stop;
use crate::cli::terminal;
use crate::cli::values::Variable;
use crate::model::container::RestartPolicy;
use crate::model::hash;
use crate::model::mark;
use crate::model::name::{ProjectName, ServiceName};
use crate::model::service::PullPolicy;
use crate::plan::desired::{Wishes, desired};
use crate::plan::diff::up::UpOptions;
use crate::plan::diff::up::image::fetch;
use crate::plan::spec::{ContainerNetwork, ContainerSpec, Kind, ResourceId, Spec};
use crate::plan::step::{Reason, State, Step, Undo};
use crate::world::engine::Engine;
use crate::world::engine::error::code_of_start;
use crate::world::engine::talk::act::AnonymousVolumes;
use crate::world::engine::talk::session::{Session as Talk, Terminal};
use crate::world::{Progress, World, WorldError};

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  stack run --rm web sh                  a shell in a container like those of `web`, removed at its end
  stack run --rm -p 8080:80 web          with a port of its own
  stack run -d --name job worker ./job   in the background
The exit code is that of the command.")]
pub struct RunArgs {
    /// Service
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// Command and its arguments (default: the service's)
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub command: Vec<String>,
    /// Build the image first
    #[arg(long)]
    pub build: bool,
    /// Add a capability (repeatable)
    #[arg(long, value_name = "CAPABILITY")]
    pub cap_add: Vec<String>,
    /// Drop a capability (repeatable)
    #[arg(long, value_name = "CAPABILITY")]
    pub cap_drop: Vec<String>,
    /// Run it in the background and print the container's name
    #[arg(short, long)]
    pub detach: bool,
    /// Another entrypoint
    #[arg(long, value_name = "COMMAND")]
    pub entrypoint: Option<String>,
    /// Variable (repeatable); without a value it is taken from here
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<Variable>,
    /// File of variables (repeatable)
    #[arg(long, value_name = "FILE")]
    pub env_from_file: Vec<PathBuf>,
    /// Keep standard input open
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true")]
    pub interactive: bool,
    /// Label (repeatable)
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,
    /// The container's name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// No terminal (it is also left out where input or output is none)
    #[arg(short = 'T', long = "no-tty", alias = "no-TTY")]
    pub no_tty: bool,
    #[arg(short = 't', long = "tty", hide = true)]
    pub tty: bool,
    /// Do not start what the service depends on
    #[arg(long)]
    pub no_deps: bool,
    /// Publish a port (repeatable)
    #[arg(
        short,
        long,
        value_name = "HOST:CONTAINER",
        conflicts_with = "service_ports"
    )]
    pub publish: Vec<String>,
    /// Pull the image first: always, missing or never
    #[arg(long, value_name = "POLICY", value_parser = ["always", "missing", "never"])]
    pub pull: Option<String>,
    /// Say nothing but what the command says
    #[arg(short, long)]
    pub quiet: bool,
    /// Build without telling how far it is
    #[arg(long)]
    pub quiet_build: bool,
    /// Pull without telling how far it is
    #[arg(long)]
    pub quiet_pull: bool,
    /// Remove containers of services that the file does not have
    #[arg(long)]
    pub remove_orphans: bool,
    /// Remove the container at its end
    #[arg(long)]
    pub rm: bool,
    /// Publish the service's ports
    #[arg(short = 'P', long)]
    pub service_ports: bool,
    /// Answer to the service's names
    #[arg(long)]
    pub use_aliases: bool,
    /// As this user
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
    /// Mount (repeatable)
    #[arg(short, long, value_name = "SOURCE:TARGET")]
    pub volume: Vec<String>,
    /// In this folder
    #[arg(short, long, value_name = "FOLDER")]
    pub workdir: Option<String>,
}

/// Runs the command in a container of its own.
pub async fn run(context: &Context, arguments: RunArgs) -> Outcome {
    let make = MakeArgs {
        build: arguments.build,
        pull: arguments.pull.clone(),
        remove_orphans: arguments.remove_orphans,
        quiet_pull: arguments.quiet_pull || arguments.quiet,
        quiet_build: arguments.quiet_build || arguments.quiet,
        ..MakeArgs::default()
    };
    let tty = !arguments.no_tty && !arguments.detach && terminal::is_ours();
    let opened = open_with(context, &arguments, tty)?;
    let session = Session::open(context, &opened.stack.project, "run").await?;
    let spec = prepare(context, &session, opened, &arguments, &make).await?;
    if context.global.dry_run {
        context.tell(&format!(" Container {} Created", spec.name));
        return Ok(Exit::Done);
    }
    let name = spec.name.clone();
    let project = session.project().clone();
    let id = ResourceId::new(Kind::Container, &name);
    let spec = Arc::new(Spec::Container(Box::new(spec)));
    let absent_to_present = step(&id, State::Absent, State::Present(Arc::clone(&spec)));
    let start = step(&id, State::Present(Arc::clone(&spec)), State::Running(spec));
    // The project is free for others while the command runs.
    let live = session.into_live();
    live.change(&project, &absent_to_present, &Silent).await?;
    let engine = live.engine();
    let run = Running {
        engine,
        name: &name,
        tty,
    };
    if arguments.detach {
        let started = live.change(&project, &start, &Silent).await;
        run.forget_on_failure(started, &arguments).await?;
        writeln!(std::io::stdout(), "{name}")?;
        return Ok(Exit::Done);
    }
    let session = engine.attach(&name, arguments.interactive).await?;
    let code = {
        let mut waiting = std::pin::pin!(engine.exit_code_of(&name, "next-exit"));
        // Asked before the start, so that the shortest command is not missed.
        let started = tokio::select! {
            biased;
            ended = &mut waiting => ended.map(Some),
            started = live.change(&project, &start, &Silent) => started.map(|()| None),
        };
        let ended = run.forget_on_failure(started, &arguments).await?;
        run.converse(session, arguments.interactive).await?;
        match ended {
            Some(code) => code,
            None => waiting.await?,
        }
    };
    if arguments.rm {
        engine.remove(&name, AnonymousVolumes::Remove).await?;
    }
    Ok(Exit::of_container(code))
}

/// A one-off container that is there.
struct Running<'a> {
    engine: &'a Engine,
    name: &'a str,
    tty: bool,
}

impl Running<'_> {
    /// A container that could not be started helps nobody.
    async fn forget_on_failure<T>(
        &self,
        started: Result<T, WorldError>,
        arguments: &RunArgs,
    ) -> Result<T, Failure> {
        match started {
            Ok(value) => Ok(value),
            Err(error) => {
                if arguments.rm || arguments.name.is_none() {
                    self.engine
                        .remove(self.name, AnonymousVolumes::Remove)
                        .await?;
                }
                let Some(code) = code_of_start(&error) else {
                    return Err(error.into());
                };
                talk(&format!("error: {error}"));
                Err(Failure::Told(Exit::Container(code)))
            }
        }
    }

    /// Carries input and output; Ctrl+C without a terminal of its own stops the container.
    async fn converse(&self, session: Talk, input: bool) -> Result<(), Failure> {
        let own = self.tty.then(|| Terminal::Container(self.name.to_owned()));
        let mut stops = wishes_to_stop()?;
        let mut talk = std::pin::pin!(terminal::converse(self.engine, session, own, input));
        let mut signal = "SIGTERM";
        loop {
            tokio::select! {
                done = &mut talk => return done,
                _ = stops.next() => {
                    // The first wish asks, the next one does not.
                    self.engine.signal(self.name, signal).await?;
                    signal = "SIGKILL";
                }
            }
        }
    }
}

/// Nobody listens to the making of one container.
pub struct Silent;

impl Progress for Silent {
    fn tell(&self, _text: &str) {}

    fn warn(&self, text: &str) {
        talk(&format!("warning: {text}"));
    }
}

fn step(id: &ResourceId, before: State, after: State) -> Step {
    Step {
        id: id.clone(),
        before,
        after,
        reason: Reason::Asked("run".to_owned()),
        undo: Undo::Inverse,
        farewell: false,
    }
}

/// Brings up what the service needs, and decides what its one-off container is.
async fn prepare(
    context: &Context,
    session: &Session<'_>,
    opened: Opened,
    arguments: &RunArgs,
    wanted: &MakeArgs,
) -> Result<ContainerSpec, Failure> {
    let name: ServiceName = arguments
        .service
        .parse()
        .map_err(|_| no_such_service(&arguments.service, opened.stack.services.keys()))?;
    let mut needs = opened;
    let mut whole = needs.stack.clone();
    let Some(service) = whole.services.get_mut(&name) else {
        return Err(no_such_service(&arguments.service, whole.services.keys()));
    };
    service.scale = 1;
    let image = service.image.clone();
    needs.stack.services.shift_remove(&name);
    needs.stack.inactive.push(name.clone());
    let named: Vec<String> = needs
        .stack
        .services
        .keys()
        .map(ToString::to_string)
        .collect();
    let how = How {
        named: &named,
        goal: Goal::Running,
        patience: None,
        rollback: true,
    };
    if !needs.stack.services.is_empty() || !needs.stack.networks.is_empty() {
        needs = make(context, session, needs, wanted, &how).await?.opened;
    }
    let mut only = whole.clone();
    only.services.retain(|other, _| *other == name);
    let image_alone = Opened::new(only, needs.reading);
    fetch_image(session, &image_alone, &image, wanted).await?;
    let observed = session.observe(Vec::new()).await?;
    let wishes = Wishes {
        separator: if context.global.compatibility {
            "_"
        } else {
            "-"
        },
        partial: true,
    };
    let all = desired(&whole, &wishes, &observed);
    let first = all.containers.get(&name).and_then(|ids| ids.first());
    match first.and_then(|id| all.specs.get(id)).map(AsRef::as_ref) {
        Some(Spec::Container(spec)) => Ok(one_off(spec, &whole.project, arguments)),
        Some(_) | None => Err(Failure::said(format!("service `{name}` has no container"))),
    }
}

/// Builds or pulls the image where it is missing or asked for.
async fn fetch_image(
    session: &Session<'_>,
    opened: &Opened,
    image: &str,
    wanted: &MakeArgs,
) -> Result<(), Failure> {
    let observed = session.observe(vec![image.to_owned()]).await?;
    let missing = !observed.images.contains_key(image);
    let policy = match wanted.pull.as_deref() {
        Some("always") => Some(PullPolicy::Always),
        Some("never") => Some(PullPolicy::Never),
        Some(_) | None if missing => Some(PullPolicy::Always),
        Some(_) | None => None,
    };
    let options = UpOptions {
        build: wanted.build || missing,
        pull: policy,
        ..UpOptions::default()
    };
    let all = desired(&opened.stack, &Wishes::default(), &observed);
    let plan = fetch(&opened.stack, &all, &options).map_err(Failure::said)?;
    if plan.is_empty() {
        return Ok(());
    }
    let place = |id: &_| opened.place(id);
    let manner = Manner {
        on_failure: OnFailure::Keep,
        quiet_images: wanted.quiet_pull,
        place: &place,
        host_side: HostSide::Stays,
        patience: None,
    };
    let report = session.carry_out(&plan, &observed, &manner).await?;
    outcome(&report).map(|_| ())
}

/// The service's container made into one that stands beside it: a name of its own, no number, and nothing that only
/// one can have (addresses, and names unless they are asked for).
fn one_off(spec: &ContainerSpec, project: &ProjectName, arguments: &RunArgs) -> ContainerSpec {
    let mut spec = spec.clone();
    let slug = hash::short_hex(
        format!(
            "{}/{}/{}",
            std::process::id(),
            spec.service,
            jiff::Timestamp::now()
        )
        .as_bytes(),
        64,
    );
    let short = slug.get(..12).unwrap_or(&slug);
    let old = spec.name.clone();
    spec.name = arguments
        .name
        .clone()
        .unwrap_or_else(|| format!("{project}-{}-run-{short}", spec.service));
    spec.number = 0;
    spec.auto_remove = arguments.rm && arguments.detach;
    let mut config = (*spec.config).clone();
    config.restart = RestartPolicy::No;
    spec.config = Arc::new(config);
    if let ContainerNetwork::Attached(attachments) = &mut spec.network {
        for attachment in attachments {
            attachment.ipv4_address = None;
            attachment.ipv6_address = None;
            attachment.mac_address = None;
            if arguments.use_aliases {
                attachment.aliases.retain(|alias| *alias != old);
            } else {
                attachment.aliases.clear();
            }
            attachment.aliases.push(spec.name.clone());
        }
    }
    spec.labels.remove(mark::NUMBER);
    spec.labels
        .insert(mark::ONE_OFF.to_owned(), "True".to_owned());
    spec.labels.insert(mark::SLUG.to_owned(), slug);
    spec
}
