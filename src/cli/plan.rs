//! `stack plan`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::cli::beside;
use crate::cli::context::{Context, Mistakes, Opened};
use crate::cli::down::{self, DownArgs};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::make::MakeArgs;
use crate::cli::make::{Goal, Intent, intend, open};
use crate::model::name::LinkName;
use crate::model::network::Parent;
use crate::model::stack::Stack;
use crate::plan::desired::Desired;
use crate::plan::observed::{EngineFacts, HostFacts, LinkFact, Observed, Scope, SwarmState};
use crate::plan::spec::{Kind, ResourceId};
use crate::plan::step::{Edge, Milestone, Plan, State, Step};
use crate::reach::delta::{Delta, delta};
use crate::reach::facts::Facts;
use crate::reach::scene::build::scene_of;
use crate::reach::scene::draft::Moment;
use crate::reach::standing::standing;
use crate::world::World;
use crate::world::engine::wire::NEWEST;
use crate::world::memory::Memory;

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Exit code 0: nothing to do; 2: there are changes; 1: it cannot be done.

Examples:
  stack plan                     what `up` would do
  stack plan --down              what `down` would do
  stack plan --no-reach          without which ways it opens and closes
  stack plan --format json       for programs"
)]
pub struct PlanArgs {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Plan `down` instead of `up`
    #[arg(long)]
    pub down: bool,
    /// With --down: named and anonymous volumes too
    #[arg(short, long, requires = "down")]
    pub volumes: bool,
    #[command(flatten)]
    pub make: MakeArgs,
    /// Leave out what the named services depend on
    #[arg(long)]
    pub no_deps: bool,
    /// Plan for a machine that has nothing yet, without asking an engine
    #[arg(long, conflicts_with = "down")]
    pub offline: bool,
    /// Do not say which ways the change opens or closes (which is said of 100 containers at most)
    #[arg(long, conflicts_with = "down")]
    pub no_reach: bool,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    pub format: PlanFormat,
}

/// How a plan is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    Text,
    Json,
}

impl PlanArgs {
    /// A program that reads the plan reads mistakes of the file too.
    pub fn mistakes(&self) -> Mistakes {
        match self.format {
            PlanFormat::Text => Mistakes::Text,
            PlanFormat::Json => Mistakes::Json,
        }
    }
}

/// Shows the plan.
pub async fn run(context: &Context, arguments: PlanArgs) -> Outcome {
    let (plan, text) = if arguments.down {
        let plan = of_down(context, &arguments).await?;
        let text = shown(&plan, None, arguments.format, "down", &|_| None);
        (plan, text)
    } else {
        let opened = open(
            context,
            &arguments.services,
            arguments.no_deps,
            &arguments.make,
        );
        let opened = match arguments.offline {
            true => opened?,
            false => beside::told(context, &arguments.services, opened).await?,
        };
        let (plan, intent) = of_up(context, &arguments, &opened).await?;
        let place = |id: &ResourceId| opened.place(id);
        let containers: usize = intent.desired.containers.values().map(Vec::len).sum();
        let asked = !arguments.no_reach && !plan.is_empty();
        if asked && containers > REACHED {
            context.tell(&format!(
                " reach is left out for {containers} containers: `stack reach --from SERVICE` tells of one"
            ));
        }
        let wanted = asked && containers <= REACHED;
        let delta = wanted.then(|| foreseen(&opened, &intent, &plan));
        let text = shown(&plan, delta.as_ref(), arguments.format, "up", &place);
        (plan, text)
    };
    write!(std::io::stdout().lock(), "{text}")?;
    Ok(if plan.is_empty() {
        Exit::Done
    } else {
        Exit::Changes
    })
}

async fn of_down(context: &Context, arguments: &PlanArgs) -> Result<Plan, Failure> {
    let live = context.live().await?;
    let target = context.target()?;
    let scope = Scope {
        project: target.project.clone(),
        images: Vec::new(),
        doors: Vec::new(),
        attachments: BTreeMap::new(),
        host: true,
    };
    let observed = live.observe(&scope).await?;
    let wanted = DownArgs {
        services: arguments.services.clone(),
        volumes: arguments.volumes,
        rmi: None,
        remove_orphans: arguments.make.remove_orphans,
        timeout: arguments.make.timeout,
        timings: None,
    };
    down::plan(context, &target, &observed, &wanted)
}

async fn of_up(
    context: &Context,
    arguments: &PlanArgs,
    opened: &Opened,
) -> Result<(Plan, Intent), Failure> {
    let (make, named) = (&arguments.make, &arguments.services);
    let intent = if arguments.offline {
        let nothing = Memory::of(&empty_machine(&opened.stack));
        intend(context, &nothing, opened, make, named, Goal::Running).await?
    } else {
        let live = context.live().await?;
        intend(context, &live, opened, make, named, Goal::Running).await?
    };
    let mut plan = intent.fetch.clone();
    join(&mut plan, intent.plan(opened)?);
    Ok((plan, intent))
}

/// Of so many containers at most it is said which ways a change opens: every one may ask every other, so it takes half a
/// second for 100 and twenty for 1,000.
const REACHED: usize = 100;

/// Which ways open and close: what stands held against what is wanted, on the same facts. What the plan leaves alone
/// (a part of the stack, containers that are not replaced) stays as it stands.
fn foreseen(opened: &Opened, intent: &Intent, plan: &Plan) -> Delta {
    let stack = &opened.stack;
    let facts = Facts::of(&intent.observed);
    let stands = standing(stack, &intent.desired, &intent.observed);
    let mut wanted = intent.desired.clone();
    for (id, spec) in &stands.specs {
        // An endpoint that is connected or cut is a step of its own, called CONTAINER/NETWORK.
        let touched = plan.steps.iter().any(|step| {
            let of = step.id.name.split_once('/').map(|(container, _)| container);
            step.id == *id || (step.id.kind == Kind::Endpoint && of == Some(id.name.as_str()))
        });
        let unknown = !wanted.specs.contains_key(id);
        if !touched && (unknown || id.kind == Kind::Container) {
            wanted.specs.insert(id.clone(), Arc::clone(spec));
        }
    }
    let of = |specs: &Desired, moment: Moment| {
        scene_of(stack, specs, &intent.observed, facts.clone(), moment)
    };
    delta(&of(&stands, Moment::Standing), &of(&wanted, Moment::Wanted))
}

/// A machine with the newest engine that we know and nothing on it but the links that the file takes for granted.
fn empty_machine(stack: &Stack) -> Observed {
    let named: BTreeSet<&LinkName> = stack
        .networks
        .values()
        .filter_map(|network| match network.parent.as_ref()? {
            Parent::Link(link) => Some(link),
            Parent::Vlan { base, .. } => Some(base),
        })
        .filter(|link| !stack.lans.values().any(|lan| lan.parent == **link))
        .collect();
    let links = named.into_iter().zip(2..).map(|(name, index)| LinkFact {
        index,
        name: name.to_string(),
        up: true,
        carrier: true,
        mtu: 1500,
        ..LinkFact::default()
    });
    let drivers = ["bridge", "host", "ipvlan", "macvlan", "null", "overlay"];
    Observed {
        engine: EngineFacts {
            api: NEWEST,
            os_type: "linux".to_owned(),
            swarm: SwarmState::Manager,
            network_drivers: drivers.map(str::to_owned).to_vec(),
            ..EngineFacts::default()
        },
        host: Some(HostFacts {
            links: links.collect(),
            may_administer: true,
            ..HostFacts::default()
        }),
        ..Observed::default()
    }
}

/// Adds the steps of a plan that runs after this one; what both have is done by the first.
fn join(first: &mut Plan, second: Plan) {
    let known: BTreeMap<ResourceId, usize> = first
        .steps
        .iter()
        .enumerate()
        .map(|(place, step)| (step.id.clone(), place))
        .collect();
    let mut places = Vec::new();
    for step in second.steps {
        match known.get(&step.id) {
            Some(place) => places.push(*place),
            None => {
                places.push(first.steps.len());
                first.steps.push(step);
            }
        }
    }
    for mut edge in second.edges {
        if let (Some(from), Some(to)) = (places.get(edge.from.0), places.get(edge.to.0)) {
            edge.from.0 = *from;
            edge.to.0 = *to;
            first.edges.push(edge);
        }
    }
}

fn shown(
    plan: &Plan,
    delta: Option<&Delta>,
    format: PlanFormat,
    command: &str,
    place: &dyn Fn(&ResourceId) -> Option<String>,
) -> String {
    match format {
        PlanFormat::Text => {
            let reach = delta.map(Delta::text).unwrap_or_default();
            let plan = text(plan, command, place);
            // What to do next is the last line.
            match plan.trim_end().rsplit_once('\n') {
                Some((steps, next)) if !reach.is_empty() => format!("{steps}\n{reach}{next}\n"),
                Some(_) | None => plan,
            }
        }
        PlanFormat::Json => {
            let mut value = value(plan, place);
            if let (Some(delta), Some(map)) = (delta, value.as_object_mut()) {
                map.insert("reach".to_owned(), delta.value());
            }
            format!("{value:#}\n")
        }
    }
}

/// The plan for people: each step with its number, what it does, to what, why, where in the file, and after which.
pub fn text(plan: &Plan, command: &str, place: &dyn Fn(&ResourceId) -> Option<String>) -> String {
    if plan.is_empty() {
        return format!("{}: nothing to do\n", plan.project);
    }
    let edges = edges_to(plan);
    let rows: Vec<[String; 4]> = plan
        .steps
        .iter()
        .zip(&edges)
        .map(|(step, edges)| {
            let after = after(edges);
            let mut why = step.reason.to_string();
            if let Some(place) = place(&step.id) {
                let _ = write!(why, " ({place})");
            }
            if step.farewell {
                why.push_str(", last of all");
            }
            [
                format!("{} {}", sign(step), step.verb()),
                format!("{} {}", step.id.kind.word(), step.id.name),
                why,
                after,
            ]
        })
        .collect();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let (verbs, names, reasons) = (width(0), width(1), width(2));
    let mut text = format!("{}: {}\n", plan.project, counted(plan.steps.len(), "step"));
    for (index, [verb, name, why, after]) in rows.iter().enumerate() {
        let line = format!(
            "{:>3}  {verb:<verbs$}  {name:<names$}  {why:<reasons$}  {after}",
            index + 1
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let _ = writeln!(text, "`stack {command}` does it.");
    text
}

/// The edges that end at each step.
fn edges_to(plan: &Plan) -> Vec<Vec<&Edge>> {
    let mut edges = vec![Vec::new(); plan.steps.len()];
    for edge in &plan.edges {
        if let Some(edges) = edges.get_mut(edge.to.0) {
            edges.push(edge);
        }
    }
    edges
}

/// `after 1, 3 (healthy)`.
fn after(edges: &[&Edge]) -> String {
    let mut needs: Vec<(usize, &'static str)> = edges
        .iter()
        .map(|edge| {
            let until = match edge.milestone {
                Milestone::Done => "",
                Milestone::Healthy => " (healthy)",
                Milestone::Completed => " (completed)",
            };
            (edge.from.0 + 1, until)
        })
        .collect();
    needs.sort_unstable();
    needs.dedup();
    if needs.is_empty() {
        return String::new();
    }
    let needs: Vec<String> = needs
        .iter()
        .map(|(number, until)| format!("{number}{until}"))
        .collect();
    format!("after {}", needs.join(", "))
}

fn sign(step: &Step) -> char {
    match (&step.before, &step.after) {
        (State::Absent, _) => '+',
        (_, State::Absent) => '-',
        (State::Present(_), State::Running(_)) => '>',
        (State::Running(_), State::Present(_)) => '.',
        (State::Present(_) | State::Running(_) | State::Parked(_), _) => '~',
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}

/// The plan for programs.
pub fn value(plan: &Plan, place: &dyn Fn(&ResourceId) -> Option<String>) -> Value {
    let edges = edges_to(plan);
    let steps: Vec<Value> = plan
        .steps
        .iter()
        .zip(&edges)
        .enumerate()
        .map(|(index, (step, edges))| {
            let after: Vec<Value> = edges
                .iter()
                .map(|edge| json!({"step": edge.from, "milestone": edge.milestone, "optional": edge.optional}))
                .collect();
            json!({
                "step": index,
                "verb": step.verb(),
                "kind": step.id.kind,
                "name": step.id.name,
                "on": if step.id.kind.on_host() { "host" } else { "engine" },
                "reason": step.reason.to_string(),
                "place": place(&step.id),
                "farewell": step.farewell,
                "after": after,
                "before_state": step.before,
                "after_state": step.after,
            })
        })
        .collect();
    json!({"project": plan.project, "steps": steps})
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::text;
    use crate::plan::spec::{ImageSource, ImageSpec, Kind, ResourceId, Spec};
    use crate::plan::step::{Edge, Milestone, Plan, Reason, State, Step, StepIndex, Undo};

    #[test]
    fn a_plan_is_shown_with_reasons_and_order() {
        let step = |kind: Kind, name: &str| Step {
            id: ResourceId::new(kind, name),
            before: State::Absent,
            after: State::Present(Arc::new(Spec::Image(ImageSpec {
                reference: name.to_owned(),
                services: Vec::new(),
                source: ImageSource::Pull(Default::default()),
                platform: None,
            }))),
            reason: Reason::Missing,
            undo: Undo::Inverse,
            farewell: false,
        };
        let plan = Plan {
            project: "lab".parse().unwrap(),
            steps: vec![
                step(Kind::Image, "nginx"),
                step(Kind::Container, "lab-web-1"),
            ],
            edges: vec![Edge {
                from: StepIndex(0),
                to: StepIndex(1),
                milestone: Milestone::Done,
                optional: false,
            }],
        };
        let place =
            |id: &ResourceId| (id.kind == Kind::Container).then(|| "stack.yaml:2:3".to_owned());
        assert_eq!(
            text(&plan, "up", &place),
            "lab: 2 steps\n\
             \x20 1  + pull    image nginx          it is not there\n\
             \x20 2  + create  container lab-web-1  it is not there (stack.yaml:2:3)  after 1\n\
             `stack up` does it.\n"
        );
    }
}
