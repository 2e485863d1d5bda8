//! `stack doctor`: what on this machine will bite, before it does.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::doctor::facts::Facts;
use crate::doctor::{Finding, Severity, examine};
use crate::file::active::Dependencies;
use crate::file::request::Text;
use crate::plan::observed::Scope;
use crate::world::World;
use crate::world::host::machine::machine;
use crate::world::netns::Namespace;

#[derive(Debug, Clone, Args)]
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
}

/// Gathers facts, applies the rules, prints what they say. Ends with 1 where something will not work.
pub async fn run(context: &Context, arguments: DoctorArgs) -> Outcome {
    let stack = match &arguments.file {
        Some(file) => {
            let mut request = context.request(&[], Dependencies::Included)?;
            request.files = vec![Text::File(file.clone())];
            Some(context.opened(&request)?.stack)
        }
        None => None,
    };
    let facts = gather(context).await?;
    let mut findings = examine(&facts, stack.as_ref());
    if arguments.quiet {
        findings.retain(|finding| finding.severity > Severity::Info);
    }
    let mut output = std::io::stdout().lock();
    if arguments.format == "json" {
        let text = serde_json::to_string_pretty(&findings).map_err(Failure::said)?;
        writeln!(output, "{text}")?;
    } else {
        for finding in &findings {
            write!(output, "{}", text(finding))?;
        }
        writeln!(output, "{}", summary(&findings))?;
    }
    let worst = findings.iter().map(|finding| finding.severity).max();
    Ok(match worst {
        Some(Severity::Error) => Exit::Refused,
        Some(Severity::Warning | Severity::Info) | None => Exit::Done,
    })
}

/// What can be gathered; an engine that does not answer is a fact like any other.
async fn gather(context: &Context) -> Result<Facts, Failure> {
    let here = || Namespace::current().map_err(Failure::said);
    let live = match context.live().await {
        Ok(live) => live,
        Err(failure) => {
            let said = match failure {
                Failure::Said { text, .. } => text,
                Failure::Told(_) | Failure::OutputClosed => return Err(failure),
            };
            return Ok(Facts {
                engine_error: Some(said),
                machine: machine(&here()?).await?,
                ..Facts::default()
            });
        }
    };
    let namespace = match live.host().await {
        Ok(host) => host.namespace().clone(),
        Err(_) => here()?,
    };
    // No project is named so: nothing is looked for but the engine and the host themselves.
    let project = "stack-doctor".parse().map_err(Failure::said)?;
    let scope = Scope {
        project,
        images: Vec::new(),
        doors: Vec::new(),
        attachments: std::collections::BTreeMap::new(),
        host: true,
    };
    let observed = live.observe(&scope).await?;
    Ok(Facts {
        engine: Some(observed.engine),
        engine_error: None,
        networks: observed.networks,
        host: observed.host,
        machine: machine(&namespace).await?,
    })
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
    format!(
        "{word}[{}] {}: {}\n  why: {}\n{mend}",
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
