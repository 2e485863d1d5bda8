//! What the engine and its host would say of a file that has mistakes of its own: told in the same run, as far as the file
//! was understood, so that nobody mends it only to hear the next. Not a command.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cli::context::{Context, Mistakes, Opened};
use crate::cli::exit::{Exit, Failure};
use crate::cli::render::talk;
use crate::diagnostic::Severity;
use crate::file;
use crate::file::active::Dependencies;
use crate::model::stack::Stack;
use crate::plan::check::{Finding, check};
use crate::plan::desired::{Wishes, desired};
use crate::plan::observed::Scope;
use crate::world::World;

/// An engine that does not answer by then is not waited for: the command has failed already.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is said of things that the file names. What would follow from a key that was refused (a network that differs, a
/// subnet that is missing) is not among them.
const NAMED: &[&str] = &[
    "container-missing",
    "container-stopped",
    "driver-unknown",
    "engine-too-old",
    "name-taken",
    "network-missing",
    "parent-down",
    "parent-in-use",
    "parent-is-port",
    "parent-kind",
    "parent-loopback",
    "parent-missing",
    "parent-wireless",
    "port-taken",
    "subnet-in-use",
    "subnet-routed",
    "swarm-inactive",
    "volume-missing",
];

/// Passes on what came of opening a stack; where its file was refused, tells what else is wrong, on this machine.
pub async fn told<T>(
    context: &Context,
    services: &[String],
    opened: Result<T, Failure>,
) -> Result<T, Failure> {
    let is_refused = matches!(opened, Err(Failure::Told(Exit::Refused)));
    if is_refused && context.mistakes == Mistakes::Text {
        // A machine that cannot be looked at has nothing to say.
        let _ = tokio::time::timeout(PATIENCE, tell(context, services)).await;
    }
    opened
}

async fn tell(context: &Context, services: &[String]) -> Option<()> {
    let request = context.request(services, Dependencies::Included).ok()?;
    let mut reading = file::read(&request, &context.files);
    let stack = reading.attempt.take()?;
    let lans_are_wrong = reading.diagnostics.iter().any(|one| {
        let path = one.path.as_deref().unwrap_or_default();
        one.severity == Severity::Error && (path.starts_with("lans") || path.starts_with("x-lans"))
    });
    let mut findings = look(context, &stack).await?;
    findings.retain(|one| {
        let follows = lans_are_wrong && one.code.starts_with("parent-");
        one.fatal && NAMED.contains(&one.code) && !follows
    });
    if findings.is_empty() {
        return None;
    }
    talk("and on this machine:");
    Opened::new(stack, reading).tell(&findings, context).ok()
}

async fn look(context: &Context, stack: &Stack) -> Option<Vec<Finding>> {
    let live = context.live().await.ok()?;
    let scope = Scope {
        project: stack.project.clone(),
        images: Vec::new(),
        doors: Vec::new(),
        attachments: BTreeMap::new(),
        host: true,
    };
    let observed = live.observe(&scope).await.ok()?;
    let wanted = desired(stack, &Wishes::default(), &observed);
    Some(check(stack, &wanted, &observed))
}
