//! `stack port`, `top`, `events` and `wait`: questions to containers.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use crate::cli::containers::{Which, of_service, of_services};
use crate::cli::context::Context;
use crate::cli::down::{self, DownArgs};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::lifecycle::ServicesArgs;
use crate::cli::moment;
use crate::cli::signal::wishes_to_stop;
use crate::cli::table::Table;
use crate::model::mark;
use crate::world::engine::talk::event::Happening;

#[derive(Debug, Clone, Args)]
pub struct PortArgs {
    /// Service
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// Port inside the container
    #[arg(value_name = "PORT")]
    pub port: u16,
    /// tcp, udp or sctp
    #[arg(long, default_value = "tcp", value_parser = ["tcp", "udp", "sctp"])]
    pub protocol: String,
    /// The container of this number
    #[arg(long, value_name = "N")]
    pub index: Option<u32>,
}

#[derive(Debug, Clone, Args)]
pub struct EventsArgs {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// One JSON object an event
    #[arg(long)]
    pub json: bool,
    /// From this moment on: 42m, 2026-08-20T10:00:00, a Unix time
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Until this moment
    #[arg(long, value_name = "WHEN")]
    pub until: Option<String>,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "The exit code is that of the first container that ends.")]
pub struct WaitArgs {
    /// Services
    #[arg(value_name = "SERVICE", required = true)]
    pub services: Vec<String>,
    /// Take the project down when the first one ends
    #[arg(long)]
    pub down_project: bool,
}

/// Prints where a port is published.
pub async fn port(context: &Context, arguments: PortArgs) -> Outcome {
    let target = context.target()?;
    let engine = context.engine().await?;
    let container = of_service(
        &engine,
        &target,
        &arguments.service,
        arguments.index,
        Which::Running,
    )
    .await?;
    let found: Vec<String> = container
        .ports
        .iter()
        .filter(|port| port.target == arguments.port && port.protocol == arguments.protocol)
        .filter_map(|port| {
            let address = port.address.as_deref().unwrap_or("0.0.0.0");
            let published = port.published?;
            Some(if address.contains(':') {
                format!("[{address}]:{published}")
            } else {
                format!("{address}:{published}")
            })
        })
        .collect();
    match found.first() {
        Some(first) => writeln!(std::io::stdout(), "{first}")?,
        None => {
            return Err(Failure::said(format!(
                "no port {}/{} for container {}: {}",
                arguments.port,
                arguments.protocol,
                container.name,
                crate::cli::ps::ports(&container.ports)
            )));
        }
    }
    Ok(Exit::Done)
}

/// Shows the processes of all containers.
pub async fn top(context: &Context, arguments: ServicesArgs) -> Outcome {
    let target = context.target()?;
    let engine = context.engine().await?;
    let containers = of_services(&engine, &target, &arguments.services, Which::Running).await?;
    // Columns of different containers may differ, so each title has its own place.
    let mut titles: Vec<String> = Vec::new();
    let mut rows: Vec<(String, String, BTreeMap<String, String>)> = Vec::new();
    for container in &containers {
        let processes = engine.processes(&container.id).await?;
        for title in &processes.titles {
            if !titles.contains(title) {
                titles.push(title.clone());
            }
        }
        for row in processes.rows {
            let cells = processes.titles.iter().cloned().zip(row).collect();
            rows.push((
                container.service().to_owned(),
                container.number().to_string(),
                cells,
            ));
        }
    }
    let mut table = Table::new(&[]);
    table.heading("SERVICE");
    table.heading("#");
    for title in &titles {
        table.heading(title);
    }
    for (service, number, cells) in rows {
        let rest = titles
            .iter()
            .map(|title| cells.get(title).cloned().unwrap_or_else(|| "-".to_owned()));
        table.row([service, number].into_iter().chain(rest));
    }
    write!(std::io::stdout(), "{}", table.text())?;
    Ok(Exit::Done)
}

/// Follows what happens to containers.
pub async fn events(context: &Context, arguments: EventsArgs) -> Outcome {
    let target = context.target()?;
    let engine = context.engine().await?;
    let now = Timestamp::now();
    let moment = |text: &Option<String>| -> Result<Option<String>, Failure> {
        let Some(text) = text else { return Ok(None) };
        let moment = moment::parse(text, now).map_err(Failure::said)?;
        Ok(Some(moment.as_second().to_string()))
    };
    let (since, until) = (moment(&arguments.since)?, moment(&arguments.until)?);
    let mut happenings = std::pin::pin!(engine.happenings(&target.project, since, until));
    let mut stops = wishes_to_stop()?;
    loop {
        let happening = tokio::select! {
            happening = happenings.next() => happening,
            _ = stops.next() => return Ok(Exit::Interrupted),
        };
        let Some(happening) = happening.transpose()? else {
            return Ok(Exit::Done);
        };
        let service = happening.attribute(mark::SERVICE);
        let wanted =
            arguments.services.is_empty() || arguments.services.iter().any(|name| name == service);
        // What a health check runs is noise to people and to Compose.
        if wanted && !happening.action.starts_with("exec_") {
            writeln!(std::io::stdout(), "{}", event(&happening, arguments.json))?;
        }
    }
}

/// One event as Compose writes it.
fn event(happening: &Happening, as_json: bool) -> String {
    let own: BTreeMap<&String, &String> = happening
        .attributes
        .iter()
        .filter(|(name, _)| !name.starts_with("com.docker.compose.") && !name.starts_with("stack."))
        .collect();
    let moment = Timestamp::from_nanosecond(i128::from(happening.time))
        .map(|moment| moment.to_zoned_datetime(TimeZone::system()))
        .ok();
    if as_json {
        let time = moment
            .map(|moment| moment.timestamp().to_string())
            .unwrap_or_default();
        return json!({
            "time": time,
            "type": "container",
            "service": happening.attribute(mark::SERVICE),
            "id": happening.id,
            "action": happening.action,
            "attributes": own,
        })
        .to_string();
    }
    let time = moment
        .map(|moment| moment.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string())
        .unwrap_or_default();
    let attributes: Vec<String> = own
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!(
        "{time} container {} {} ({})",
        happening.action,
        happening.id,
        attributes.join(", ")
    )
}

/// Waits until one of the containers ends; its exit code is ours.
pub async fn wait(context: &Context, arguments: WaitArgs) -> Outcome {
    let target = context.target()?;
    let engine = context.engine().await?;
    let containers = of_services(&engine, &target, &arguments.services, Which::All).await?;
    if containers.is_empty() {
        return Err(Failure::said(format!(
            "no containers for project \"{}\"",
            target.project
        )));
    }
    let mut ends: FuturesUnordered<_> = containers
        .iter()
        .map(async |container| {
            let code = engine.exit_code_of(&container.id, "not-running").await;
            (container.name.as_str(), code)
        })
        .collect();
    let mut stops = wishes_to_stop()?;
    let mut first = None;
    let all = !arguments.down_project;
    loop {
        let ended = tokio::select! {
            ended = ends.next() => ended,
            _ = stops.next() => return Ok(Exit::Interrupted),
        };
        let Some((name, code)) = ended else { break };
        let code = code?;
        writeln!(
            std::io::stdout(),
            "container \"{name}\" exited with status code {code}"
        )?;
        first.get_or_insert(code);
        if !all {
            break;
        }
    }
    if arguments.down_project {
        let nothing_more = DownArgs {
            services: Vec::new(),
            volumes: false,
            rmi: None,
            remove_orphans: false,
            timeout: None,
            timings: None,
        };
        down::take_down(context, &target, &nothing_more).await?;
    }
    Ok(Exit::of_container(first.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::event;
    use crate::world::engine::talk::event::Happening;

    #[test]
    fn an_event_has_its_attributes_and_no_labels_of_ours() {
        let happening = Happening {
            action: "die".into(),
            id: "0123".into(),
            attributes: BTreeMap::from([
                ("com.docker.compose.service".into(), "web".into()),
                ("exitCode".into(), "3".into()),
            ]),
            time: 1_500_000_000,
        };
        assert_eq!(
            event(&happening, true),
            r#"{"time":"1970-01-01T00:00:01.5Z","type":"container","service":"web","id":"0123","action":"die","attributes":{"exitCode":"3"}}"#
        );
    }
}
