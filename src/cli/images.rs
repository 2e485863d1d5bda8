//! `stack build`, `pull` and `images`.

use std::io::Write;

use clap::Args;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::apply::OnFailure;
use crate::cli::carry::{HostSide, Manner, Session, outcome};
use crate::cli::containers::{Which, of_services};
use crate::cli::context::{Context, Opened};
use crate::cli::exit::{Exit, Outcome};
use crate::cli::make::{images as images_of, plan_failure};
use crate::cli::moment;
use crate::cli::render::talk;
use crate::cli::table::Table;
use crate::cli::values::Variable;
use crate::file::active::Dependencies;
use crate::model::service::PullPolicy;
use crate::plan::desired::{Wishes, desired};
use crate::plan::diff::up::UpOptions;
use crate::plan::diff::up::image::fetch;

#[derive(Debug, Clone, Args)]
#[command(after_help = "Images are built by the engine's classic builder.")]
pub struct BuildArgs {
    /// Services (default: all that are built)
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Build argument (repeatable)
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<Variable>,
    /// Do not use what earlier builds left
    #[arg(long)]
    pub no_cache: bool,
    /// Look for newer base images
    #[arg(long)]
    pub pull: bool,
    /// Say nothing
    #[arg(short, long)]
    pub quiet: bool,
    /// Also what the services depend on
    #[arg(long)]
    pub with_dependencies: bool,
    #[arg(long, hide = true)]
    pub compress: bool,
    #[arg(long, hide = true)]
    pub force_rm: bool,
    #[arg(long, hide = true)]
    pub no_rm: bool,
    #[arg(long = "parallel", hide = true)]
    pub at_once: bool,
}

#[derive(Debug, Clone, Args)]
pub struct PullArgs {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Say nothing
    #[arg(short, long)]
    pub quiet: bool,
    /// Go on where an image cannot be pulled
    #[arg(long)]
    pub ignore_pull_failures: bool,
    /// Leave out services that are built
    #[arg(long)]
    pub ignore_buildable: bool,
    /// Also what the services depend on
    #[arg(long)]
    pub include_deps: bool,
    /// When: always or missing
    #[arg(long, value_name = "POLICY", value_parser = ["always", "missing"])]
    pub policy: Option<String>,
    #[arg(long = "parallel", hide = true)]
    pub at_once: bool,
    #[arg(long = "no-parallel", hide = true)]
    pub one_by_one: bool,
}

#[derive(Debug, Clone, Args)]
pub struct ImagesArgs {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Only ids
    #[arg(short, long)]
    pub quiet: bool,
    /// table or json
    #[arg(long, default_value = "table", value_parser = ["table", "json"])]
    pub format: String,
}

/// Builds.
pub async fn build(context: &Context, arguments: BuildArgs) -> Outcome {
    let dependencies = dependencies(arguments.with_dependencies);
    let mut opened = context.open(&arguments.services, dependencies)?;
    for service in opened.stack.services.values_mut() {
        let Some(build) = &mut service.build else {
            continue;
        };
        build.no_cache |= arguments.no_cache;
        build.pull |= arguments.pull;
        for Variable { name, value } in &arguments.build_arg {
            build.args.insert(name.clone(), value.clone());
        }
    }
    opened
        .stack
        .services
        .retain(|_, service| service.build.is_some());
    if opened.stack.services.is_empty() {
        talk("warning: No services to build");
        return Ok(Exit::Done);
    }
    let options = UpOptions {
        build: true,
        ..UpOptions::default()
    };
    fetch_all(
        context,
        &opened,
        &options,
        "build",
        OnFailure::Keep,
        arguments.quiet,
    )
    .await
}

/// Pulls.
pub async fn pull(context: &Context, arguments: PullArgs) -> Outcome {
    let mut opened = context.open(&arguments.services, dependencies(arguments.include_deps))?;
    // An image that is built and has no name of its own is in no registry.
    let project = opened.stack.project.clone();
    opened.stack.services.retain(|name, service| {
        service.build.is_none()
            || (!arguments.ignore_buildable && service.image != format!("{project}-{name}"))
    });
    let missing_only = arguments.policy.as_deref() == Some("missing");
    let mut skipped = Vec::new();
    let observed_images = if missing_only {
        let live = context.live().await?;
        let engine = live.engine();
        let mut there = Vec::new();
        for image in images_of(&opened.stack) {
            if engine.image_facts(&image).await.is_ok() {
                there.push(image);
            }
        }
        there
    } else {
        Vec::new()
    };
    opened.stack.services.retain(|name, service| {
        let never = service.pull_policy == PullPolicy::Never;
        let there = observed_images.contains(&service.image);
        if never || there {
            skipped.push(name.to_string());
        }
        !never && !there
    });
    for service in opened.stack.services.values_mut() {
        service.build = None;
        service.pull_policy = PullPolicy::Always;
    }
    if !arguments.quiet {
        for name in skipped {
            context.tell(&format!(" {name} Skipped"));
        }
    }
    let options = UpOptions {
        pull: Some(PullPolicy::Always),
        ..UpOptions::default()
    };
    let on_failure = if arguments.ignore_pull_failures {
        OnFailure::GoOn
    } else {
        OnFailure::Keep
    };
    let done = fetch_all(
        context,
        &opened,
        &options,
        "pull",
        on_failure,
        arguments.quiet,
    )
    .await;
    match done {
        Err(_) if arguments.ignore_pull_failures => Ok(Exit::Done),
        done => done,
    }
}

fn dependencies(included: bool) -> Dependencies {
    if included {
        Dependencies::Included
    } else {
        Dependencies::Left
    }
}

async fn fetch_all(
    context: &Context,
    opened: &Opened,
    options: &UpOptions,
    command: &'static str,
    on_failure: OnFailure,
    quiet: bool,
) -> Outcome {
    let stack = &opened.stack;
    let session = Session::open(context, &stack.project, command).await?;
    let observed = session.observe(images_of(stack)).await?;
    let wanted = desired(stack, &Wishes::default(), &observed);
    let plan = fetch(stack, &wanted, options).map_err(|error| plan_failure(&error, opened))?;
    if plan.is_empty() {
        return Ok(Exit::Done);
    }
    let place = |id: &_| opened.place(id);
    let manner = Manner {
        on_failure,
        quiet_images: quiet,
        place: &place,
        host_side: HostSide::Stays,
        patience: None,
    };
    let report = session.carry_out(&plan, &observed, &manner).await?;
    outcome(&report)
}

/// Lists the images of the project's containers.
pub async fn images(context: &Context, arguments: ImagesArgs) -> Outcome {
    let target = context.target()?;
    let engine = context.engine().await?;
    let containers = of_services(&engine, &target, &arguments.services, Which::All).await?;
    let facts = containers
        .iter()
        .map(|container| engine.image_facts(&container.image_id));
    let facts = try_join_all(facts).await?;
    let mut output = std::io::stdout().lock();
    let short = |id: &str| {
        id.trim_start_matches("sha256:")
            .chars()
            .take(12)
            .collect::<String>()
    };
    if arguments.quiet {
        let mut ids: Vec<&str> = facts.iter().map(|image| image.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            writeln!(output, "{}", id.trim_start_matches("sha256:"))?;
        }
        return Ok(Exit::Done);
    }
    let named = |reference: &str| match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name.to_owned(), tag.to_owned()),
        Some(_) | None => (reference.to_owned(), "latest".to_owned()),
    };
    if arguments.format == "json" {
        let rows: Vec<Value> = containers
            .iter()
            .zip(&facts)
            .map(|(container, image)| {
                let (repository, tag) = named(&container.image);
                json!({
                    "ID": image.id,
                    "ContainerName": container.name,
                    "Repository": repository,
                    "Tag": tag,
                    "Platform": image.platform,
                    "Size": image.size,
                    "Created": image.created,
                })
            })
            .collect();
        writeln!(output, "{}", Value::from(rows))?;
        return Ok(Exit::Done);
    }
    let now = Timestamp::now();
    let mut table = Table::new(&[
        "CONTAINER",
        "REPOSITORY",
        "TAG",
        "PLATFORM",
        "IMAGE ID",
        "SIZE",
        "CREATED",
    ]);
    for (container, image) in containers.iter().zip(&facts) {
        let (repository, tag) = named(&container.image);
        table.row([
            container.name.clone(),
            repository,
            tag,
            image.platform.clone(),
            short(&image.id),
            size(image.size),
            age(&image.created, now),
        ]);
    }
    write!(output, "{}", table.text())?;
    Ok(Exit::Done)
}

/// As the docker client writes sizes: three digits and a decimal unit.
fn size(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut number = bytes as f64;
    let mut unit = 0;
    while number >= 1000.0 && unit + 1 < UNITS.len() {
        number /= 1000.0;
        unit += 1;
    }
    let digits = match number {
        number if unit == 0 || number >= 100.0 => 0,
        number if number >= 10.0 => 1,
        _ => 2,
    };
    format!(
        "{number:.digits$}{}",
        UNITS.get(unit).copied().unwrap_or("B")
    )
}

fn age(created: &str, now: Timestamp) -> String {
    let Ok(created) = created.parse::<Timestamp>() else {
        return "N/A".to_owned();
    };
    let seconds = u64::try_from(now.as_second() - created.as_second()).unwrap_or(0);
    format!(
        "{} ago",
        moment::words(std::time::Duration::from_secs(seconds))
    )
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn a_size_has_three_digits() {
        for (bytes, expected) in [
            (7, "7B"),
            (1_500, "1.50kB"),
            (12_345_678, "12.3MB"),
            (999_000_000, "999MB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }
}
