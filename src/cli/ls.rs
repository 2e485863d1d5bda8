//! `stack ls`.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::table::Table;
use crate::model::mark;
use crate::world::engine::talk::list::Listed;

#[derive(Debug, Clone, Args)]
pub struct LsArgs {
    /// Stopped projects too
    #[arg(short, long)]
    pub all: bool,
    /// Only names
    #[arg(short, long)]
    pub quiet: bool,
    /// Only those that match, as in name=lab (repeatable)
    #[arg(long, value_name = "NAME=VALUE")]
    pub filter: Vec<String>,
    /// table or json
    #[arg(long, default_value = "table", value_parser = ["table", "json"])]
    pub format: String,
}

/// Lists the projects that have containers.
pub async fn run(context: &Context, arguments: LsArgs) -> Outcome {
    let engine = context.engine().await?;
    let names = names(&arguments.filter)?;
    let listed = engine.list(None, arguments.all).await?;
    let mut projects: BTreeMap<&str, Vec<&Listed>> = BTreeMap::new();
    for container in &listed {
        projects
            .entry(container.label(mark::PROJECT))
            .or_default()
            .push(container);
    }
    projects.retain(|name, _| {
        names.is_empty() || names.iter().any(|wanted| name.contains(wanted.as_str()))
    });
    let mut output = std::io::stdout().lock();
    if arguments.quiet {
        for name in projects.keys() {
            writeln!(output, "{name}")?;
        }
        return Ok(Exit::Done);
    }
    if arguments.format == "json" {
        let rows: Vec<Value> = projects
            .iter()
            .map(|(name, containers)| {
                json!({"Name": name, "Status": status(containers), "ConfigFiles": files(containers)})
            })
            .collect();
        writeln!(output, "{}", Value::from(rows))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["NAME", "STATUS", "CONFIG FILES"]);
    for (name, containers) in &projects {
        table.row([(*name).to_owned(), status(containers), files(containers)]);
    }
    write!(output, "{}", table.text())?;
    Ok(Exit::Done)
}

fn names(filters: &[String]) -> Result<Vec<String>, Failure> {
    filters
        .iter()
        .map(|filter| match filter.split_once('=') {
            Some(("name", name)) => Ok(name.to_owned()),
            Some(_) | None => Err(Failure::said(format!(
                "invalid filter '{filter}': name=… is the only one"
            ))),
        })
        .collect()
}

/// `exited(1), running(2)`.
fn status(containers: &[&Listed]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for container in containers {
        *counts.entry(container.state.as_str()).or_default() += 1;
    }
    let texts: Vec<String> = counts
        .iter()
        .map(|(state, count)| format!("{state}({count})"))
        .collect();
    texts.join(", ")
}

fn files(containers: &[&Listed]) -> String {
    let mut all: Vec<&str> = Vec::new();
    for container in containers {
        for file in container.label(mark::CONFIG_FILES).split(',') {
            if !file.is_empty() && !all.contains(&file) {
                all.push(file);
            }
        }
    }
    if all.is_empty() {
        "N/A".to_owned()
    } else {
        all.join(",")
    }
}
