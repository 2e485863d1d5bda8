//! `stack shim check`: each shim looked up, read back and tried.

use std::io::Write;
use std::net::IpAddr;

use serde_json::json;

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::shim::{Missing, Shims, WhichArgs, place, shims};
use crate::world::engine::talk::list::Listed;
use crate::world::host::shim::examine::{Check, Verdict};
use crate::world::host::shim::survey::Standing;

/// Checks them. Ends with 1 where something is not so.
pub async fn run(context: &Context, arguments: &WhichArgs) -> Outcome {
    let (live, host) = place(context).await?;
    let Shims {
        standing: found,
        missing,
    } = shims(context, &host, &arguments.shims).await?;
    let containers = match &live {
        Some(live) => live.engine().list_all().await?,
        None => Vec::new(),
    };
    let mut results = Vec::new();
    for shim in &found {
        let should_answer = served(shim, &containers, live.is_some());
        results.push((shim, host.examine(shim, &should_answer).await?));
    }
    let links = host.links().await?;
    let results: Vec<(&str, &str, Vec<Check>)> = results
        .into_iter()
        .map(|(shim, checks)| (shim.spec.name.as_str(), shim.project.as_str(), checks))
        .chain(missing.iter().map(|Missing { project, spec }| {
            let repair = format!("stack -p {project} shim repair");
            let is_taken = links.iter().any(|link| link.name == spec.name.as_str());
            let (seen, mend) = match is_taken {
                false => ("there is no such link", repair),
                true => (
                    "a link of this name is, and no alias says that it is this shim",
                    format!(
                        "where nobody else made it: ip link delete {}; {repair}",
                        spec.name
                    ),
                ),
            };
            let gone = Check {
                what: "it is there".to_owned(),
                verdict: Verdict::Broken,
                seen: seen.to_owned(),
                mend: Some(mend),
            };
            (spec.name.as_str(), project.as_str(), vec![gone])
        }))
        .collect();
    let broken = results
        .iter()
        .flat_map(|(_, _, checks)| checks)
        .any(|check| check.verdict == Verdict::Broken);
    let mut output = std::io::stdout().lock();
    if arguments.format == "json" {
        let all: Vec<_> = results
            .iter()
            .map(|(name, project, checks)| json!({"name": name, "project": project, "checks": checks}))
            .collect();
        let text = serde_json::to_string_pretty(&all).map_err(Failure::said)?;
        writeln!(output, "{text}")?;
    } else {
        for (name, project, checks) in &results {
            writeln!(output, "{name} of {project}")?;
            for check in checks {
                write!(output, "{}", text(check))?;
            }
        }
        if results.is_empty() {
            context.tell(" There is no shim here");
        }
    }
    Ok(if broken { Exit::Refused } else { Exit::Done })
}

/// The running containers on a shim's networks, with their addresses. Without an engine, those that routes follow.
fn served(shim: &Standing, containers: &[Listed], engine: bool) -> Vec<(String, IpAddr)> {
    if !engine {
        return shim
            .followed
            .iter()
            .map(|(container, to)| (container.clone(), to.addr()))
            .collect();
    }
    let mut found = Vec::new();
    for container in containers.iter().filter(|container| container.runs()) {
        for (network, addresses) in &container.networks {
            if !shim.spec.networks.contains(network) {
                continue;
            }
            let families = |address: &IpAddr| {
                shim.spec
                    .addresses
                    .iter()
                    .any(|own| own.is_ipv4() == address.is_ipv4())
            };
            let parsed = addresses.iter().filter_map(|address| address.parse().ok());
            found.extend(
                parsed
                    .filter(families)
                    .map(|address| (container.name.clone(), address)),
            );
        }
    }
    found
}

fn text(check: &Check) -> String {
    let word = match check.verdict {
        Verdict::Holds => "ok",
        Verdict::Doubtful => "doubt",
        Verdict::Broken => "FAIL",
    };
    let mend = check
        .mend
        .as_ref()
        .map_or_else(String::new, |mend| format!("         mend: {mend}\n"));
    format!("  {word:<6} {}: {}\n{mend}", check.what, check.seen)
}
