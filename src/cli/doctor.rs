//! `stack doctor`: what on this machine will bite, before it does; and the little that may be mended without a risk.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures_util::future::join_all;

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::render::talk;
use crate::doctor::facts::Facts;
use crate::doctor::{Finding, Severity, examine, shims, targets};
use crate::file::active::Dependencies;
use crate::file::request::{Resources, Text};
use crate::model::name::LinkName;
use crate::model::stack::Stack;
use crate::plan::machine::{Offer, Remedy};
use crate::plan::observed::{EngineFacts, HostFacts, Scope};
use crate::world::World;
use crate::world::host::Host;
use crate::world::host::mend::{Mender, PutBack};
use crate::world::live::Live;
use crate::world::netns::Namespace;
use crate::world::private::process::boot_id;

/// How long DHCP servers have to answer: some ask the wire themselves before they offer an address.
const DHCP_PATIENCE: Duration = Duration::from_secs(4);

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  stack doctor                  this machine
  stack doctor stack.yaml       what of it matters to this file
  stack doctor --dhcp=eth0      ask which DHCP servers there are (a DISCOVER, never a REQUEST)
  stack doctor --fix            do what is safe; what was before is in the journal
  stack doctor --put-back       undo what --fix did

Ends with 1 where something will not work, with 3 where something will surprise, else with 0.")]
pub struct DoctorArgs {
    /// Ask only what matters to this stack file
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// text or json
    #[arg(long, default_value = "text", value_parser = ["text", "json"])]
    pub format: String,
    /// Leave out what is only good to know
    #[arg(short, long)]
    pub quiet: bool,
    /// Ask a link's wire for DHCP servers (default: the file's parents, else every card); nothing is leased
    #[arg(long, value_name = "LINK", num_args = 0..=1, require_equals = true)]
    pub dhcp: Option<Option<LinkName>>,
    /// Do what mends a finding without a risk; what was before is written to a journal first
    #[arg(long, conflicts_with = "put_back")]
    pub fix: bool,
    /// Put back what --fix did, the last first; what somebody changed since is left
    #[arg(long, conflicts_with_all = ["file", "dhcp"])]
    pub put_back: bool,
}

/// Everything that was looked at, and with whom.
struct Look {
    facts: Facts,
    /// Where the engine's links are, or would be.
    host: Option<Host>,
}

/// Gathers facts, applies the rules, prints what they say, mends where it was asked to.
pub async fn run(context: &Context, arguments: DoctorArgs) -> Outcome {
    let stack = match &arguments.file {
        Some(file) => {
            let mut request = context.request(&[], Dependencies::Included)?;
            request.files = vec![Text::File(file.clone())];
            // Networks that no service is in are looked at as well.
            request.resources = Resources::All;
            Some(context.opened(&request)?.stack)
        }
        None => None,
    };
    let live = context.live().await;
    let mender = Mender::new(&context.lasting_folder(), &boot_id());
    if arguments.put_back && context.global.dry_run {
        for mended in mender.entries()?.iter().rev() {
            context.tell(&format!("would put back: {}", mended.remedy));
        }
        return Ok(Exit::Done);
    }
    if arguments.put_back {
        let host = host_of(context, &live).await?;
        return put_back(&host, &mender).await;
    }
    let mut look = gather(context, live, stack.as_ref()).await?;
    if let Some(asked) = &arguments.dhcp {
        if let (Some(named), Some(host)) = (asked, &look.facts.host)
            && host.link(named.as_str()).is_none()
        {
            return Err(Failure::with_hint(
                format!("there is no link `{named}` to ask for DHCP servers on"),
                "`ip link` shows those that there are",
            ));
        }
        let links = asked_links(asked.as_ref(), stack.as_ref(), look.facts.host.as_ref());
        look.facts.machine.offers = offers(look.host.as_ref(), &links).await;
    }
    let mut findings = examine(&look.facts, stack.as_ref());
    if arguments.quiet {
        findings.retain(|finding| finding.severity > Severity::Info);
    }
    print(&arguments, &look.facts, &findings)?;
    if arguments.fix {
        fix(context, look.host.as_ref(), &mender, &findings).await?;
    }
    let worst = findings.iter().map(|finding| finding.severity).max();
    Ok(match worst {
        Some(Severity::Error) => Exit::Verdict(1),
        Some(Severity::Warning) => Exit::Verdict(3),
        Some(Severity::Info) | None => Exit::Done,
    })
}

/// The engine's host; this process's own where there is no engine, or none that runs here.
async fn host_of(context: &Context, live: &Result<Live, Failure>) -> Result<Host, Failure> {
    if let Ok(live) = live
        && let Ok(host) = live.host().await
    {
        return Ok(host.clone());
    }
    let here = Namespace::current().map_err(Failure::said)?;
    Ok(Host::open(here, context.state()?).await?)
}

/// What can be gathered; an engine that does not answer is a fact like any other.
async fn gather(
    context: &Context,
    live: Result<Live, Failure>,
    stack: Option<&Stack>,
) -> Result<Look, Failure> {
    let host = host_of(context, &live).await?;
    let mut facts = Facts::default();
    match live {
        Ok(live) => {
            // No project is named so: nothing is looked for but the engine and the host themselves.
            let scope = Scope {
                project: "stack-doctor".parse().map_err(Failure::said)?,
                images: Vec::new(),
                doors: Vec::new(),
                attachments: BTreeMap::new(),
                host: true,
            };
            let observed = live.observe(&scope).await?;
            facts.engine = Some(observed.engine);
            facts.networks = observed.networks;
            facts.host = observed.host;
        }
        Err(Failure::Said { text, .. }) => {
            facts.engine_error = Some(text);
            facts.host = Some(host.facts().await?);
        }
        Err(failure @ (Failure::Told(_) | Failure::OutputClosed)) => return Err(failure),
    }
    let shims = stack.map(|stack| shims(&facts, stack)).unwrap_or_default();
    facts.machine = host.machine(&targets(&shims)).await?;
    facts.unseen = unseen(&facts);
    Ok(Look {
        facts,
        host: Some(host),
    })
}

/// What a process without the rights of an administrator was not told.
fn unseen(facts: &Facts) -> Vec<String> {
    let elsewhere = |engine: &EngineFacts| engine.elsewhere.is_some();
    let mut unseen = Vec::new();
    match &facts.host {
        Some(host) if host.may_administer => return unseen,
        None if facts.engine.as_ref().is_some_and(elsewhere) => return unseen,
        None => unseen.push("the host's links and routes".to_owned()),
        Some(_) => {}
    }
    if facts.machine.kinds.is_empty() {
        unseen.push("which kinds of links the kernel makes".to_owned());
    }
    if facts.machine.filters.is_none() {
        unseen.push("the packet filter".to_owned());
    }
    unseen
}

/// The links whose wires are asked for DHCP servers.
fn asked_links(
    named: Option<&LinkName>,
    stack: Option<&Stack>,
    host: Option<&HostFacts>,
) -> BTreeSet<LinkName> {
    if let Some(named) = named {
        return BTreeSet::from([named.clone()]);
    }
    let usable = |name: &str| {
        host.and_then(|host| host.link(name))
            .is_some_and(|link| link.up && link.carrier && link.master.is_none())
    };
    if let Some(stack) = stack {
        let networks = stack.networks.values();
        return networks
            .filter(|network| network.driver.on_parent())
            .filter_map(|network| Some(network.parent.as_ref()?.link().clone()))
            .filter(|link| usable(link.as_str()))
            .collect();
    }
    host.into_iter()
        .flat_map(|host| &host.links)
        .filter(|link| link.kind.is_empty() && !link.loopback && usable(&link.name))
        .filter_map(|link| link.name.parse().ok())
        .collect()
}

async fn offers(host: Option<&Host>, links: &BTreeSet<LinkName>) -> BTreeMap<String, Vec<Offer>> {
    let Some(host) = host else {
        return BTreeMap::new();
    };
    let asked = links.iter().map(|link| async move {
        match host.discover(link, DHCP_PATIENCE).await {
            Ok(offers) => Some((link.to_string(), offers)),
            Err(error) => {
                talk(&format!("warning: {error}"));
                None
            }
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}

fn print(arguments: &DoctorArgs, facts: &Facts, findings: &[Finding]) -> Result<(), Failure> {
    let mut output = std::io::stdout().lock();
    if arguments.format == "json" {
        let all = serde_json::json!({
            "findings": findings,
            "offers": facts.machine.offers,
        });
        let text = serde_json::to_string_pretty(&all).map_err(Failure::said)?;
        writeln!(output, "{text}")?;
    } else {
        for finding in findings {
            write!(output, "{}", text(finding))?;
        }
        writeln!(output, "{}", summary(findings))?;
    }
    Ok(())
}

/// Does what is safe, each thing once, and tells what it did and how it is put back.
async fn fix(
    context: &Context,
    host: Option<&Host>,
    mender: &Mender,
    findings: &[Finding],
) -> Result<(), Failure> {
    let mut remedies: Vec<&Remedy> = Vec::new();
    for remedy in findings
        .iter()
        .filter_map(|finding| finding.remedy.as_ref())
    {
        if !remedies.contains(&remedy) {
            remedies.push(remedy);
        }
    }
    let Some(host) = host.filter(|_| !remedies.is_empty()) else {
        talk("nothing here is safe to mend without you");
        return Ok(());
    };
    if context.global.dry_run {
        for remedy in remedies {
            context.tell(&format!("would do: {remedy}"));
        }
        return Ok(());
    }
    let mut left = Vec::new();
    let mut done = 0;
    for remedy in remedies {
        match host.mend(mender, remedy).await {
            Ok(()) => {
                done += 1;
                talk(&format!("did: {remedy}"));
                if let Remedy::File { then, .. } = remedy {
                    talk(&format!("  it counts after: {then}"));
                }
            }
            Err(error) => left.push(error.to_string()),
        }
    }
    if done > 0 {
        talk(&format!(
            "what was before is in {}; `stack doctor --put-back` restores it",
            mender.path().display()
        ));
    }
    match left.as_slice() {
        [] => Ok(()),
        left => Err(Failure::said(left.join("\n"))),
    }
}

async fn put_back(host: &Host, mender: &Mender) -> Outcome {
    let told = host.put_back(mender).await?;
    if told.is_empty() {
        talk("nothing to put back: the doctor's journal is empty");
    }
    for (mended, became) in &told {
        let remedy = &mended.remedy;
        talk(&match became {
            PutBack::Done => format!("put back: {remedy}"),
            PutBack::Changed => format!("left, as somebody changed it since: {remedy}"),
            PutBack::Forgotten => format!("gone with the last reboot: {remedy}"),
        });
        if let (Remedy::File { then, .. }, PutBack::Done) = (remedy, became) {
            talk(&format!("  it counts after: {then}"));
        }
    }
    Ok(Exit::Done)
}

fn text(finding: &Finding) -> String {
    let word = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    };
    let mend = finding
        .mend
        .as_ref()
        .map_or_else(String::new, |mend| format!("  mend: {mend}\n"));
    let fix = finding
        .remedy
        .as_ref()
        .map_or_else(String::new, |remedy| format!("  --fix would: {remedy}\n"));
    format!(
        "{word}[{}] {}: {}\n  why: {}\n{mend}{fix}",
        finding.code, finding.subject, finding.seen, finding.why
    )
}

fn summary(findings: &[Finding]) -> String {
    let count = |severity: Severity| {
        findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    };
    format!(
        "{} errors, {} warnings",
        count(Severity::Error),
        count(Severity::Warning)
    )
}
