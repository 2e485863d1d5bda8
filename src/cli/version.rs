//! `stack version`.

use std::io::Write;

use clap::Args;
use serde_json::json;

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Outcome};

/// Our own version.
pub const OWN: &str = env!("CARGO_PKG_VERSION");

#[derive(Debug, Clone, Args)]
pub struct VersionArgs {
    /// pretty or json
    #[arg(short, long, default_value = "pretty", value_parser = ["pretty", "json"])]
    pub format: String,
    /// Only our own version, without asking the engine
    #[arg(long)]
    pub short: bool,
}

/// Prints versions. An engine that does not answer is no error here.
pub async fn run(context: &Context, arguments: VersionArgs) -> Outcome {
    let mut output = std::io::stdout();
    if arguments.short {
        writeln!(output, "{OWN}")?;
        return Ok(Exit::Done);
    }
    let engine = context.engine().await.ok();
    let engine = engine.map(|engine| {
        let (major, minor) = engine.api();
        (
            engine.version().to_owned(),
            format!("{major}.{minor}"),
            engine.url(),
        )
    });
    if arguments.format == "json" {
        let engine = engine.map(
            |(version, api, url)| json!({"version": version, "apiVersion": api, "endpoint": url}),
        );
        writeln!(output, "{}", json!({"version": OWN, "engine": engine}))?;
        return Ok(Exit::Done);
    }
    writeln!(output, "stack version {OWN}")?;
    match engine {
        Some((version, api, url)) => writeln!(output, "engine {version} (API {api}) at {url}")?,
        None => writeln!(output, "no engine answers")?,
    }
    Ok(Exit::Done)
}
