//! `stack check`.

use std::io::Write as _;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use crate::cli::containers::{Which, of_services};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::lifecycle::{self, KillArgs, RestartArgs, ServicesArgs, StartArgs, StopArgs};
use crate::cli::run::Silent;
use crate::cli::sight::{Sight, Standing};
use crate::model::check::{Check, Disturbance};
use crate::plan::check::Finding;
use crate::plan::desired::desired;
use crate::plan::observed::Observed;
use crate::plan::spec::{AttachmentSpec, ContainerNetwork, EndpointSpec, Kind, ResourceId, Spec};
use crate::plan::step::{Reason, State, Step, Undo};
use crate::reach::check::{self, Bench, Ending};
use crate::reach::compare::Compared;
use crate::world::World;
use crate::world::live::Live;

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Exit code: 0 all passed, 1 one failed, 2 one could not be asked or there is none, 3 only warnings.

Examples:
  stack check                       all checks of the file, in their order
  stack check --list                what would be asked
  stack check --format junit        for a CI system
  stack check --must-fail-untouched  a check that passes before anything was done proves nothing"
)]
pub struct CheckArgs {
    /// Names of checks (default: all)
    #[arg(value_name = "CHECK")]
    pub names: Vec<String>,
    /// Show the checks and run none
    #[arg(long)]
    pub list: bool,
    /// Succeed only where no check passes
    #[arg(long)]
    pub must_fail_untouched: bool,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    pub format: CheckFormat,
}

/// How the results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    Text,
    Json,
    Junit,
}

/// Runs the checks.
pub async fn run(context: &Context, arguments: CheckArgs) -> Outcome {
    let sight = Sight::open(context)?;
    let all = &sight.opened.stack.checks;
    for name in &arguments.names {
        if !all.iter().any(|check| check.name == *name) {
            return Err(Failure::said(format!("no check is called `{name}`")));
        }
    }
    let checks: Vec<Check> = all
        .iter()
        .filter(|check| arguments.names.is_empty() || arguments.names.contains(&check.name))
        .cloned()
        .collect();
    if arguments.list {
        let mut text = String::new();
        for check in &checks {
            text.push_str(&format!(
                "{}: {}\n",
                check.name,
                check::question_text(check)
            ));
        }
        std::io::stdout().write_all(text.as_bytes())?;
        return Ok(Exit::Done);
    }
    if checks.is_empty() {
        return Err(Failure::with_hint(
            "the file has no `checks:`",
            "see `stack reach` for what is predicted without any",
        ));
    }
    tell_mistakes(context, &sight)?;
    let live = context.live().await?;
    let mut bench = LiveBench {
        context,
        sight: &sight,
        live: &live,
        standing: None,
    };
    let outcomes = sight
        .asking(&live, async { Ok(check::run(&checks, &mut bench).await) })
        .await?;
    let text = match arguments.format {
        CheckFormat::Text => check::text(&outcomes),
        CheckFormat::Json => format!("{:#}\n", check::json(&outcomes)),
        CheckFormat::Junit => check::junit(&outcomes, sight.opened.stack.project.as_str()),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    if arguments.must_fail_untouched {
        let passes = check::passes_untouched(&outcomes);
        let broken = outcomes
            .iter()
            .any(|outcome| outcome.ending == Ending::Broken);
        for name in &passes {
            eprintln!("`{name}` passes although nothing was done");
        }
        return Ok(Exit::Verdict(match (passes.is_empty(), broken) {
            (true, false) => 0,
            (false, _) => 1,
            (true, true) => 2,
        }));
    }
    Ok(Exit::Verdict(check::code(&outcomes)))
}

/// Tells of all checks what no stack could make good, before the first one is run.
fn tell_mistakes(context: &Context, sight: &Sight) -> Result<(), Failure> {
    let scene = sight.wanted();
    let mut findings = Vec::new();
    for (index, check) in sight.opened.stack.checks.iter().enumerate() {
        for (key, message) in check::mistakes(&scene, check) {
            let place = ["checks", &index.to_string(), key];
            let mut finding = Finding::error("bad-check", &place, message);
            if let ("to", Some((to, port))) = (key, check.to.rsplit_once(':'))
                && let Ok(port) = port.parse::<u16>()
            {
                finding = finding.hint(format!("write `to: {to}` and `port: {port}`"));
            }
            findings.push(finding);
        }
    }
    sight.opened.tell(&findings, context)
}

/// Asks the running stack. It is looked at again after each disturbance, since addresses may be others then.
struct LiveBench<'a> {
    context: &'a Context,
    sight: &'a Sight,
    live: &'a Live,
    standing: Option<Standing>,
}

impl Bench for LiveBench<'_> {
    async fn ask(&mut self, check: &Check) -> Result<Vec<Compared>, String> {
        let standing = match self.standing.take() {
            // A check that waits for something waits for a change.
            Some(standing) if check.within.is_none() => standing,
            Some(_) | None => self.sight.standing(self.live).await.map_err(said)?,
        };
        let questions = check::questions(&standing.scene, check)?;
        let cells = standing.compared(questions).await;
        self.standing = Some(standing);
        Ok(cells)
    }

    async fn disturb(&mut self, disturbance: &Disturbance) -> Result<(), String> {
        self.standing = None;
        self.sight.changed(self.disturbed(disturbance)).await
    }
}

impl LiveBench<'_> {
    /// Does it, as the command of that name would.
    async fn disturbed(&self, disturbance: &Disturbance) -> Result<(), String> {
        let wired = match disturbance {
            Disturbance::Connect { service, network } => {
                let states = |endpoint| (State::Absent, State::Present(endpoint));
                Some(self.rewire(service, network, states).await)
            }
            Disturbance::Disconnect { service, network } => {
                let states = |endpoint| (State::Present(endpoint), State::Absent);
                Some(self.rewire(service, network, states).await)
            }
            Disturbance::Restart(_) | Disturbance::Stop(_) | Disturbance::Start(_) => None,
            Disturbance::Kill(_) | Disturbance::Pause(_) | Disturbance::Unpause(_) => None,
        };
        if let Some(wired) = wired {
            return wired.map_err(said);
        }
        let done = match disturbance {
            Disturbance::Restart(service) => {
                let wish = RestartArgs {
                    services: vec![service.clone()],
                    timeout: None,
                    no_deps: false,
                };
                lifecycle::restart(self.context, wish).await
            }
            Disturbance::Stop(service) => {
                let wish = StopArgs {
                    services: vec![service.clone()],
                    timeout: None,
                };
                lifecycle::stop(self.context, wish).await
            }
            Disturbance::Start(service) => {
                let wish = StartArgs {
                    services: vec![service.clone()],
                    wait: false,
                    wait_timeout: None,
                };
                lifecycle::start(self.context, wish).await
            }
            Disturbance::Kill(service) => {
                let wish = KillArgs {
                    services: vec![service.clone()],
                    signal: "SIGKILL".to_owned(),
                    remove_orphans: false,
                };
                lifecycle::kill(self.context, wish).await
            }
            Disturbance::Pause(service) => lifecycle::pause(self.context, only(service)).await,
            Disturbance::Unpause(service) => lifecycle::unpause(self.context, only(service)).await,
            Disturbance::Connect { .. } | Disturbance::Disconnect { .. } => Ok(Exit::Done),
        };
        match done {
            Ok(Exit::Done) => Ok(()),
            Ok(exit) => Err(format!("it ended with code {}", exit.code())),
            Err(failure) => Err(said(failure)),
        }
    }

    /// Connects the running containers of a service to a network or cuts them off, in the file's words where it has
    /// that connection.
    async fn rewire(
        &self,
        service: &str,
        key: &str,
        states: impl Fn(Arc<Spec>) -> (State, State),
    ) -> Result<(), Failure> {
        let Sight { opened, wishes, .. } = self.sight;
        let stack = &opened.stack;
        let network = (stack.networks.values())
            .find(|network| network.key.as_str() == key)
            .ok_or_else(|| Failure::said(format!("no service uses the network `{key}`")))?;
        let target = self.context.target()?;
        let services = [service.to_owned()];
        let engine = self.live.engine();
        let containers = of_services(engine, &target, &services, Which::Running).await?;
        if containers.is_empty() {
            return Err(Failure::said(format!("service `{service}` does not run")));
        }
        let wanted = desired(stack, wishes, &Observed::default());
        for container in containers {
            let id = ResourceId::new(Kind::Container, &container.name);
            let attachments = match wanted.specs.get(&id).map(Arc::as_ref) {
                Some(Spec::Container(spec)) => match &spec.network {
                    ContainerNetwork::Attached(attachments) => attachments.as_slice(),
                    _ => &[],
                },
                _ => &[],
            };
            let of_file = (attachments.iter())
                .find(|attachment| attachment.network == network.name)
                .cloned();
            let attachment = of_file.unwrap_or_else(|| AttachmentSpec {
                aliases: vec![service.to_owned()],
                ..AttachmentSpec::plain(&network.name)
            });
            let name = format!("{}/{}", container.name, network.name);
            let endpoint = Spec::Endpoint(EndpointSpec {
                container: container.name,
                attachment,
            });
            let (before, after) = states(Arc::new(endpoint));
            let step = Step {
                id: ResourceId::new(Kind::Endpoint, &name),
                before,
                after,
                reason: Reason::Asked("check".to_owned()),
                undo: Undo::Never,
                farewell: false,
            };
            (self.live.change(&stack.project, &step, &Silent).await)?;
        }
        Ok(())
    }
}

fn only(service: &str) -> ServicesArgs {
    ServicesArgs {
        services: vec![service.to_owned()],
    }
}

fn said(failure: Failure) -> String {
    match failure {
        Failure::Said { text, .. } => text,
        Failure::Told(_) | Failure::OutputClosed => "it was told above".to_owned(),
    }
}
