//! `stack ps`.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::cli::containers::known;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::moment;
use crate::cli::table::Table;
use crate::cli::template::Template;
use crate::model::mark;
use crate::world::engine::talk::list::{Listed, ListedPort};

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  stack ps                                   running containers
  stack ps -a                                stopped ones too
  stack ps --format json                     one JSON object a line
  stack ps --format 'table {{.Name}}\\t{{.Status}}'
  stack ps --status exited -q                ids of those that ended")]
pub struct PsArgs {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Stopped containers too, and what `stack run` kept
    #[arg(short, long)]
    pub all: bool,
    /// Only ids
    #[arg(short, long)]
    pub quiet: bool,
    /// table, json, or a template such as 'table {{.Name}}\t{{.Ports}}'
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    pub format: String,
    /// Only names of services
    #[arg(long = "services")]
    pub names: bool,
    /// Only those in this state: created, running, paused, restarting, removing, exited, dead (repeatable)
    #[arg(long, value_name = "STATUS")]
    pub status: Vec<String>,
    /// Only those that match, as in status=exited (repeatable)
    #[arg(long, value_name = "NAME=VALUE")]
    pub filter: Vec<String>,
    /// Containers of services that the file does not have (default: shown)
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true")]
    pub orphans: bool,
    /// Whole ids and commands
    #[arg(long)]
    pub no_trunc: bool,
}

/// Lists the containers.
pub async fn run(context: &Context, arguments: PsArgs) -> Outcome {
    let target = context.target()?;
    let engine = context.engine().await?;
    let wanted = statuses(&arguments)?;
    let all = arguments.all || !wanted.is_empty();
    let mut listed = engine.list(Some(&target.project), true).await?;
    known(&target, &listed, &arguments.services)?;
    // As Compose has it: what `run` made is listed with all that is there, and not among what runs.
    listed.retain(|container| all || container.runs() && !container.is_one_off());
    listed.retain(|container| wanted.is_empty() || wanted.contains(&container.state));
    listed.retain(|container| {
        arguments.services.is_empty()
            || arguments
                .services
                .iter()
                .any(|name| name == container.service())
    });
    if !arguments.orphans
        && let Some(services) = &target.services
    {
        listed.retain(|container| services.contains(container.service()));
    }
    let mut output = std::io::stdout().lock();
    if arguments.quiet {
        for container in &listed {
            let id = container.id.as_str();
            writeln!(
                output,
                "{}",
                if arguments.no_trunc { id } else { short(id) }
            )?;
        }
        return Ok(Exit::Done);
    }
    if arguments.names {
        let names: BTreeSet<&str> = listed.iter().map(Listed::service).collect();
        for name in names {
            writeln!(output, "{name}")?;
        }
        return Ok(Exit::Done);
    }
    let now = Timestamp::now();
    let text = match arguments.format.as_str() {
        "table" => table(&listed, now, arguments.no_trunc).text(),
        "json" => listed
            .iter()
            .map(|container| format!("{}\n", Value::Object(row(container, now, true))))
            .collect(),
        template => {
            let rows: Vec<Map<String, Value>> = listed
                .iter()
                .map(|container| row(container, now, arguments.no_trunc))
                .collect();
            Template::parse(template)
                .and_then(|template| template.print(&rows))
                .map_err(Failure::said)?
        }
    };
    write!(output, "{text}")?;
    Ok(Exit::Done)
}

/// The states asked for by `--status` and `--filter`.
fn statuses(arguments: &PsArgs) -> Result<Vec<String>, Failure> {
    const KNOWN: [&str; 7] = [
        "created",
        "running",
        "paused",
        "restarting",
        "removing",
        "exited",
        "dead",
    ];
    let mut wanted = arguments.status.clone();
    for filter in &arguments.filter {
        match filter.split_once('=') {
            Some(("status", status)) => wanted.push(status.to_owned()),
            Some((name, _)) => {
                return Err(Failure::said(format!(
                    "unknown filter {name}: status is the only one"
                )));
            }
            None => {
                return Err(Failure::said(format!(
                    "invalid filter '{filter}': write status=running"
                )));
            }
        }
    }
    match wanted
        .iter()
        .find(|status| !KNOWN.contains(&status.as_str()))
    {
        Some(unknown) => Err(Failure::said(format!(
            "unknown status '{unknown}': it is one of {}",
            KNOWN.join(", ")
        ))),
        None => Ok(wanted),
    }
}

fn table(listed: &[Listed], now: Timestamp, whole: bool) -> Table {
    let mut table = Table::new(&[
        "NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS",
    ]);
    for container in listed {
        table.row([
            container.name.clone(),
            container.image.clone(),
            command(container, whole),
            container.service().to_owned(),
            created(container, now),
            container.status.clone(),
            ports(&container.ports),
        ]);
    }
    table
}

/// One container as JSON and templates have it: Compose's keys.
fn row(container: &Listed, now: Timestamp, whole: bool) -> Map<String, Value> {
    let publishers: Vec<Value> = container
        .ports
        .iter()
        .map(|port| {
            json!({
                "URL": port.address.clone().unwrap_or_default(),
                "TargetPort": port.target,
                "PublishedPort": port.published.unwrap_or(0),
                "Protocol": port.protocol,
            })
        })
        .collect();
    let labels: Vec<String> = container
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let networks: Vec<&str> = container.networks.keys().map(String::as_str).collect();
    let id = container.id.as_str();
    let fields = [
        ("Command", json!(command(container, whole))),
        ("CreatedAt", json!(moment_text(container.created))),
        ("ExitCode", json!(container.exit_code())),
        ("Health", json!(container.health())),
        ("ID", json!(if whole { id } else { short(id) })),
        ("Image", json!(container.image)),
        ("Labels", json!(labels.join(","))),
        ("LocalVolumes", json!("0")),
        ("Mounts", json!(container.mounts.join(","))),
        ("Name", json!(container.name)),
        ("Names", json!(container.name)),
        ("Networks", json!(networks.join(","))),
        ("Ports", json!(ports(&container.ports))),
        ("Project", json!(container.label(mark::PROJECT))),
        ("Publishers", Value::from(publishers)),
        ("RunningFor", json!(created(container, now))),
        ("Service", json!(container.service())),
        ("Size", json!("0B")),
        ("State", json!(container.state)),
        ("Status", json!(container.status)),
    ];
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn command(container: &Listed, whole: bool) -> String {
    let text = &container.command;
    if whole || text.chars().count() <= 20 {
        return format!("\"{text}\"");
    }
    let cut: String = text.chars().take(19).collect();
    format!("\"{cut}…\"")
}

fn created(container: &Listed, now: Timestamp) -> String {
    let age = u64::try_from(now.as_second() - container.created).unwrap_or(0);
    format!("{} ago", moment::words(Duration::from_secs(age)))
}

fn moment_text(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .map(|moment| {
            let local = moment.to_zoned_datetime(TimeZone::system());
            local.strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
        })
        .unwrap_or_default()
}

/// As the docker client lists them: `0.0.0.0:8080->80/tcp`, ranges drawn together.
pub fn ports(all: &[ListedPort]) -> String {
    let mut groups: Vec<Group> = Vec::new();
    for port in all {
        match groups.last_mut() {
            Some(group) if group.takes(port) => group.last += 1,
            Some(_) | None => groups.push(Group::of(port)),
        }
    }
    let texts: Vec<String> = groups.iter().map(Group::text).collect();
    texts.join(", ")
}

/// Ports that follow each other, on both sides.
struct Group {
    address: Option<String>,
    published: Option<u16>,
    first: u16,
    last: u16,
    protocol: String,
}

impl Group {
    fn of(port: &ListedPort) -> Group {
        Group {
            address: port.address.clone(),
            published: port.published,
            first: port.target,
            last: port.target,
            protocol: port.protocol.clone(),
        }
    }

    fn takes(&self, port: &ListedPort) -> bool {
        let length = port.target.checked_sub(self.first);
        self.address == port.address
            && self.protocol == port.protocol
            && port.target.checked_sub(1) == Some(self.last)
            && match (self.published, port.published) {
                (Some(ours), Some(theirs)) => theirs.checked_sub(ours) == length,
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            }
    }

    fn text(&self) -> String {
        let range = |first: u16, last: u16| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        };
        let target = format!("{}/{}", range(self.first, self.last), self.protocol);
        let Some(published) = self.published else {
            return target;
        };
        let ports = range(published, published + (self.last - self.first));
        match self.address.as_deref() {
            Some(address) if address.contains(':') => format!("[{address}]:{ports}->{target}"),
            Some(address) => format!("{address}:{ports}->{target}"),
            None => format!("{ports}->{target}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ports;
    use crate::world::engine::talk::list::ListedPort;

    #[test]
    fn ports_that_follow_each_other_are_a_range() {
        let port = |address: Option<&str>, published, target| ListedPort {
            address: address.map(str::to_owned),
            published,
            target,
            protocol: "tcp".to_owned(),
        };
        let all = [
            port(None, None, 80),
            port(None, None, 81),
            port(Some("0.0.0.0"), Some(8080), 80),
            port(Some("0.0.0.0"), Some(8081), 81),
            port(Some("::"), Some(9000), 443),
        ];
        assert_eq!(
            ports(&all),
            "80-81/tcp, 0.0.0.0:8080-8081->80-81/tcp, [::]:9000->443/tcp"
        );
    }
}
