//! From a stack and the flags to the plan of `up`: what `up`, `create`, `plan`, `scale` and `run` have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use clap::Args;
use indexmap::IndexMap;

use crate::apply::OnFailure;
use crate::cli::carry::{HostSide, Manner, Session, outcome};
use crate::cli::clock::Phase;
use crate::cli::containers::no_such_service;
use crate::cli::context::{Context, Opened};
use crate::cli::exit::Failure;
use crate::cli::render::talk;
use crate::cli::values::Scale;
use crate::file;
use crate::file::active::Dependencies;
use crate::file::files::Files;
use crate::file::request::{Request, Resources, Text};
use crate::model::mark;
use crate::model::name::ServiceName;
use crate::model::service::PullPolicy;
use crate::model::stack::Stack;
use crate::plan::check::host::place_of;
use crate::plan::check::{Finding, check, orphan};
use crate::plan::desired::{Desired, Wishes, containers, desired};
use crate::plan::diff::PlanError;
use crate::plan::diff::container::Recreate;
use crate::plan::diff::up::image::fetch;
use crate::plan::diff::up::{UpOptions, orphans, up};
use crate::plan::observed::{Observed, Scope};
use crate::plan::spec::{ImageSource, Kind, ResourceId, Spec};
use crate::plan::step::{Plan, State};
use crate::world::engine::build;
use crate::world::{ErrorKind, World};

/// How containers and images come about: what `up` and `create` have in common.
#[derive(Debug, Clone, Default, Args)]
pub struct MakeArgs {
    /// Build images first, even if they are there
    #[arg(long, conflicts_with = "no_build")]
    pub build: bool,
    /// Do not build images, even if they are missing
    #[arg(long)]
    pub no_build: bool,
    /// Pull images: always, missing, never, or policy (what the file says)
    #[arg(long, value_name = "POLICY", hide_possible_values = true, value_parser = ["always", "missing", "never", "policy", "build"])]
    pub pull: Option<String>,
    /// Make all containers anew
    #[arg(long, conflicts_with = "no_recreate")]
    pub force_recreate: bool,
    /// Leave containers as they are, even if the file has changed
    #[arg(long)]
    pub no_recreate: bool,
    /// Make the containers of dependencies anew as well
    #[arg(long, conflicts_with = "no_recreate")]
    pub always_recreate_deps: bool,
    /// Do not take over the anonymous volumes of replaced containers
    #[arg(short = 'V', long, conflicts_with = "no_recreate")]
    pub renew_anon_volumes: bool,
    /// Remove containers of services that the file no longer has
    #[arg(long)]
    pub remove_orphans: bool,
    /// So many containers of a service (repeatable)
    #[arg(long, value_name = "SERVICE=N")]
    pub scale: Vec<Scale>,
    /// Seconds until a container that does not stop is killed
    #[arg(short, long, value_name = "SECONDS")]
    pub timeout: Option<u32>,
    /// Pull without telling how far it is
    #[arg(long)]
    pub quiet_pull: bool,
    /// Build without telling how far it is
    #[arg(long)]
    pub quiet_build: bool,
    #[arg(short = 'y', long, hide = true)]
    pub yes: bool,
}

/// Everything that was decided before the first act.
pub struct Intent {
    pub observed: Observed,
    pub desired: Desired,
    /// Images that must come whether or not they are there; it runs first.
    pub fetch: Plan,
    pub options: UpOptions,
    pub wishes: Wishes,
}

/// Which containers the plan is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    Running,
    /// `--no-start`, `create`.
    Created,
}

/// Reads the stack for a command that makes something.
pub fn open(
    context: &Context,
    services: &[String],
    no_deps: bool,
    make: &MakeArgs,
) -> Result<Opened, Failure> {
    let dependencies = if no_deps {
        Dependencies::Left
    } else {
        Dependencies::Included
    };
    let mut request = context.request(services, dependencies)?;
    if !make.scale.is_empty() {
        scaled(&mut request, &make.scale, &context.files)?;
    }
    let mut opened = context.opened(&request)?;
    if opened.stack.services.is_empty() && opened.stack.inactive.is_empty() {
        // A file without services may be all networks: here they are what is wanted.
        request.resources = Resources::All;
        opened = context.opened(&request)?;
    }
    let stack = &mut opened.stack;
    if stack.services.is_empty() && stack.networks.is_empty() && stack.lans.is_empty() {
        return Err(Failure::said("no service selected"));
    }
    if make.no_build {
        for service in stack.services.values_mut() {
            service.build = None;
        }
    }
    if make.pull.as_deref() == Some("build") {
        for service in stack
            .services
            .values_mut()
            .filter(|service| service.build.is_some())
        {
            service.pull_policy = PullPolicy::Build;
        }
    }
    Ok(opened)
}

/// `--scale` as one more file over the others: what does not go with several containers is told as if it stood there.
fn scaled(request: &mut Request, scales: &[Scale], files: &dyn Files) -> Result<(), Failure> {
    let found = file::read(request, files);
    let Some(stack) = &found.stack else {
        // The mistakes of the files are told when they are read for good.
        return Ok(());
    };
    // Of a service that is named twice the last counts, as with other flags.
    let numbers: IndexMap<_, _> = scales
        .iter()
        .map(|Scale { service, number }| (service, number))
        .collect();
    let mut text = "services:\n".to_owned();
    for (service, number) in numbers {
        if !stack.services.contains_key(service) && !stack.inactive.contains(service) {
            let known = stack.services.keys().chain(&stack.inactive);
            return Err(no_such_service(service.as_str(), known));
        }
        let _ = writeln!(
            text,
            "  {service}: {{scale: {number}, deploy: {{replicas: {number}}}}}"
        );
    }
    if request.files.is_empty() {
        let files = found.document.files.iter().cloned();
        request.files = files.map(Text::File).collect();
    }
    request.files.push(Text::Flag {
        name: "--scale".to_owned(),
        text,
    });
    Ok(())
}

/// Looks at the world, decides what should be there, and holds it against what is.
pub async fn intend(
    context: &Context,
    world: &impl World,
    opened: &Opened,
    make: &MakeArgs,
    named: &[String],
    goal: Goal,
) -> Result<Intent, Failure> {
    let stack = &opened.stack;
    let wishes = Wishes {
        separator: if context.global.compatibility {
            "_"
        } else {
            "-"
        },
        partial: !named.is_empty() || !stack.inactive.is_empty(),
    };
    // What containers should be attached to is known from the file alone, and decides how closely they are looked at.
    let mut scope = scope(stack, &containers(stack, &wishes));
    context.clock.lap(Phase::Plan);
    let mut observed = world.observe(&scope).await?;
    context.clock.lap(Phase::Observe);
    let mut wanted = desired(stack, &wishes, &observed);
    let second = self::scope(stack, &wanted);
    if second.doors != scope.doors || !second.attachments.keys().eq(scope.attachments.keys()) {
        // Which doors there are, and which numbers containers keep, is only known now, and how they are only a second
        // look tells.
        scope = second;
        context.clock.lap(Phase::Plan);
        observed = world.observe(&scope).await?;
        context.clock.lap(Phase::Observe);
        wanted = desired(stack, &wishes, &observed);
    }
    let inside = world.inside(&observed.on_parents(&stack.project)).await?;
    observed.note_inside(&inside);
    context.clock.lap(Phase::Observe);
    let options = options(context, make, named, stack, goal);
    let mut findings = check(stack, &wanted, &observed);
    if !options.remove_orphans {
        orphan::check(stack, &wanted, &observed, &mut findings);
    }
    // A plan without an engine builds nothing.
    if !observed.engine.version.is_empty() {
        builds(stack, &wanted, &observed, &options, &mut findings);
    }
    foreseen(world, stack, &wanted, &observed, &mut findings).await?;
    opened.tell(&findings, context)?;
    tell_orphans(context, stack, &observed, &options);
    let fetch = fetch(stack, &wanted, &options).map_err(|error| plan_failure(&error, opened))?;
    Ok(Intent {
        observed,
        desired: wanted,
        fetch,
        options,
        wishes,
    })
}

/// Tells what the engine's host would refuse of what is to be made there.
async fn foreseen(
    world: &impl World,
    stack: &Stack,
    wanted: &Desired,
    observed: &Observed,
    findings: &mut Vec<Finding>,
) -> Result<(), Failure> {
    // Who may not change the host may not try it either; that was told.
    if observed
        .host
        .as_ref()
        .is_none_or(|host| !host.may_administer)
    {
        return Ok(());
    }
    let is_there = |id: &ResourceId| match id.kind {
        Kind::Network => {
            let mut networks = observed.networks.iter();
            networks.any(|network| network.spec.name == id.name)
        }
        _ => observed.resources.contains_key(id),
    };
    let missing: Vec<&Spec> = wanted
        .specs
        .iter()
        .filter(|(id, _)| (id.kind.on_host() || id.kind == Kind::Network) && !is_there(id))
        .map(|(_, spec)| spec.as_ref())
        .collect();
    for (id, error) in world.foresee(&stack.project, &missing).await? {
        let code = match error.kind {
            ErrorKind::Taken => "name-taken",
            _ => "kernel-kind",
        };
        let place = place_of(stack, &id);
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        let finding = Finding::error(code, &place, error.to_string());
        findings.push(match error.hint {
            Some(hint) => finding.hint(hint),
            None => finding,
        });
    }
    Ok(())
}

/// Tells what would be missing when images are built.
fn builds(
    stack: &Stack,
    wanted: &Desired,
    observed: &Observed,
    options: &UpOptions,
    findings: &mut Vec<Finding>,
) {
    for spec in wanted.specs.values() {
        let Spec::Image(image) = spec.as_ref() else {
            continue;
        };
        let ImageSource::Build(build) = &image.source else {
            continue;
        };
        if observed.images.contains_key(&image.reference) && !options.build {
            continue;
        }
        let built = |name: &&ServiceName| {
            let service = stack.services.get(*name);
            service.is_some_and(|service| service.build.is_some())
        };
        let service = image.services.iter().find(built);
        if let (Some(missing), Some(service)) = (build::missing(build), service) {
            let message = format!("cannot build image `{}`: {missing}", image.reference);
            let place = ["services", service.as_str(), "build"];
            findings.push(Finding::error("cannot-build", &place, message));
        }
    }
}

impl Intent {
    /// The plan of `up`.
    pub fn plan(&self, opened: &Opened) -> Result<Plan, Failure> {
        up(&opened.stack, &self.desired, &self.observed, &self.options)
            .map_err(|error| plan_failure(&error, opened))
    }

    /// What the project wants of its host when the plan is done. What it wants now and neither the plan nor these
    /// wants speak of stays, where they are not about the whole project.
    pub fn host_side(&self, now: &[Spec], plan: &Plan) -> Vec<Spec> {
        let mut all: Vec<Spec> = self
            .desired
            .specs
            .values()
            .filter(|spec| spec.id().kind.on_host())
            .map(|spec| spec.as_ref().clone())
            .collect();
        let goes = |id: &ResourceId| {
            let mut steps = plan.steps.iter().filter(|step| step.id == *id);
            steps.any(|step| step.after == State::Absent)
        };
        for spec in now.iter().filter(|_| self.wishes.partial) {
            let id = spec.id();
            if !self.desired.specs.contains_key(&id) && !goes(&id) {
                all.push(spec.clone());
            }
        }
        all.sort_by_key(|spec| spec.id());
        all
    }

    /// Fetches and builds what must come in any case, and looks at the world again.
    pub async fn fetch_images(
        &mut self,
        session: &Session<'_>,
        opened: &Opened,
        quiet: bool,
    ) -> Result<(), Failure> {
        if self.fetch.is_empty() {
            return Ok(());
        }
        let place = |id: &_| opened.place(id);
        let manner = Manner {
            on_failure: OnFailure::Keep,
            quiet_images: quiet,
            place: &place,
            host_side: HostSide::Stays,
            patience: None,
        };
        let report = session
            .carry_out(&self.fetch, &self.observed, &manner)
            .await?;
        outcome(&report)?;
        self.observed = session.look(&scope(&opened.stack, &self.desired)).await?;
        self.desired = desired(&opened.stack, &self.wishes, &self.observed);
        Ok(())
    }
}

/// What has to be looked at for these wants.
fn scope(stack: &Stack, wanted: &Desired) -> Scope {
    let mut scope = Scope {
        project: stack.project.clone(),
        images: images(stack),
        doors: Vec::new(),
        attachments: BTreeMap::new(),
        host: true,
    };
    for spec in wanted.specs.values() {
        match spec.as_ref() {
            Spec::Door(door) => scope.doors.push(door.clone()),
            Spec::Container(container) => {
                if let Some(text) = container.labels.get(mark::ATTACHMENTS) {
                    scope
                        .attachments
                        .insert(container.name.clone(), text.clone());
                }
            }
            Spec::Lan(_)
            | Spec::Link(_)
            | Spec::Promiscuity(_)
            | Spec::Network(_)
            | Spec::Shim(_)
            | Spec::Route(_)
            | Spec::Volume(_)
            | Spec::Image(_)
            | Spec::Existing(_)
            | Spec::Endpoint(_) => {}
        }
    }
    scope
}

/// The images of all services, each once.
pub fn images(stack: &Stack) -> Vec<String> {
    let all: BTreeSet<&str> = stack
        .services
        .values()
        .map(|service| service.image.as_str())
        .collect();
    all.into_iter().map(str::to_owned).collect()
}

fn options(
    context: &Context,
    make: &MakeArgs,
    named: &[String],
    stack: &Stack,
    goal: Goal,
) -> UpOptions {
    let only_named = !named.is_empty() && !make.always_recreate_deps;
    UpOptions {
        recreate: match (
            make.no_recreate,
            make.force_recreate || make.renew_anon_volumes,
        ) {
            (true, _) => Recreate::Never,
            (false, true) => Recreate::Forced(only_named.then(|| named.iter().cloned().collect())),
            (false, false) => Recreate::Diverged,
        },
        remove_orphans: make.remove_orphans || context.settings.is_on("REMOVE_ORPHANS"),
        no_start: goal == Goal::Created,
        build: make.build || make.pull.as_deref() == Some("build"),
        pull: match make.pull.as_deref() {
            Some("always") => Some(PullPolicy::Always),
            Some("missing") => Some(PullPolicy::Missing),
            Some("never") => Some(PullPolicy::Never),
            Some(_) | None => None,
        },
        renew_volumes: make.renew_anon_volumes,
        timeout: make.timeout,
        partial: !named.is_empty() || !stack.inactive.is_empty(),
    }
}

fn tell_orphans(context: &Context, stack: &Stack, observed: &Observed, options: &UpOptions) {
    if options.remove_orphans || context.settings.is_on("IGNORE_ORPHANS") {
        return;
    }
    let names: Vec<&str> = orphans(stack, observed)
        .iter()
        .map(|found| found.name.as_str())
        .collect();
    if !names.is_empty() {
        talk(&format!(
            "warning: Found orphan containers ([{}]) for this project. If you removed or renamed this service in your \
             file, you can run this command with the --remove-orphans flag to clean it up.",
            names.join(" ")
        ));
    }
}

/// Why there is no plan; a cycle is told with the place of each of its parts.
pub fn plan_failure(error: &PlanError, opened: &Opened) -> Failure {
    let mut text = error.to_string();
    match error {
        PlanError::Cycle(path) => {
            for id in path {
                if let Some(place) = opened.place(id) {
                    let _ = write!(text, "\n  {id} --> {place}");
                }
            }
        }
        PlanError::AfterFarewell { .. } => {}
    }
    Failure::said(text)
}
