//! `stack down`.

use std::collections::BTreeSet;

use clap::{Args, ValueEnum};

use crate::apply::OnFailure;
use crate::cli::carry::past::Past;
use crate::cli::carry::{HostSide, Manner, Session, outcome};
use crate::cli::clock::Phase;
use crate::cli::containers::no_such_service;
use crate::cli::context::{Context, Target};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::render::talk;
use crate::cli::timings::{self, Timings};
use crate::model::mark;
use crate::model::name::LinkName;
use crate::plan::check::host::may_be_hidden;
use crate::plan::diff::down::{DownOptions, down, kept_networks};
use crate::plan::observed::{FoundContainer, Observed};
use crate::plan::spec::Spec;
use crate::plan::step::Plan;

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  stack down                 containers, networks, shims, links and routes of this project
  stack down -v              named volumes too
  stack -p lab down          the project `lab`, from anywhere, with its file gone
  stack down web             only the containers of `web`")]
pub struct DownArgs {
    /// Services (default: everything)
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Remove the named volumes of the project, those that the file no longer has too, and anonymous ones
    #[arg(short, long)]
    pub volumes: bool,
    /// Remove images: all, or local (those without a name of their own)
    #[arg(long, value_enum, value_name = "WHICH")]
    pub rmi: Option<Rmi>,
    /// Remove containers of services that the file does not have
    #[arg(long)]
    pub remove_orphans: bool,
    /// Seconds until a container that does not stop is killed
    #[arg(short, long, value_name = "SECONDS")]
    pub timeout: Option<u32>,
    /// Tell where the time went: table, json or trace (for chrome://tracing), each into a file as in trace:FILE
    #[arg(long, value_name = "FORM", num_args = 0..=1, require_equals = true, default_missing_value = "table")]
    pub timings: Option<Timings>,
}

/// Which images go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rmi {
    All,
    Local,
}

/// Takes everything away.
pub async fn run(context: &Context, arguments: DownArgs) -> Outcome {
    timings::may_tell(context, arguments.timings.as_ref())?;
    let target = context.target()?;
    context.clock.lap(Phase::Read);
    let outcome = take_down(context, &target, &arguments).await;
    let told = timings::tell(context, arguments.timings.as_ref(), "down");
    let exit = outcome?;
    told?;
    Ok(exit)
}

/// The same where the project is known.
pub async fn take_down(context: &Context, target: &Target, arguments: &DownArgs) -> Outcome {
    let known = known(context, target, arguments);
    let past = match arguments.services.is_empty() {
        true => Past::Removed(known.as_ref()),
        false => Past::TakenBack,
    };
    let session = Session::open_after(context, &target.project, "down", past).await?;
    let observed = session.observe(Vec::new()).await?;
    context.clock.lap(Phase::Observe);
    if arguments.services.is_empty()
        && let Some(why) = may_be_hidden(&target.project, &observed)
    {
        return Err(Failure::with_hint(
            format!("{why}; nothing was changed"),
            "run the same command with sudo",
        ));
    }
    let plan = plan(context, target, &observed, arguments)?;
    if arguments.services.is_empty() {
        for link in unclaimed(&session, &observed) {
            talk(&format!(
                "warning: the link `{link}` stays: it has a shim's name and stack's group, but somebody changed the alias that says whose it is; where it is this project's: ip link delete {link}"
            ));
        }
    }
    let host_side = match arguments.services.is_empty() {
        true => HostSide::Goes,
        false => HostSide::Stays,
    };
    if plan.is_empty() {
        if let HostSide::Goes = host_side {
            session.keep(&[])?;
        }
        context.tell(&format!(
            " {} has nothing here: No resource found to remove",
            target.project
        ));
        return Ok(Exit::Done);
    }
    let manner = Manner {
        host_side,
        ..Manner::plain(OnFailure::GoOn)
    };
    let report = session.carry_out(&plan, &observed, &manner).await?;
    outcome(&report)
}

/// The shims of the last `up` that lost their alias: they may be anybody's by now. A record that cannot be read tells of
/// none.
fn unclaimed(session: &Session, observed: &Observed) -> Vec<LinkName> {
    let links = observed.host.iter().flat_map(|host| &host.links);
    let lost = links.filter(|link| link.group == mark::LINK_GROUP && link.mark().is_none());
    let lost: BTreeSet<&str> = lost.map(|link| link.name.as_str()).collect();
    if lost.is_empty() {
        return Vec::new();
    }
    let wanted = session.kept().unwrap_or_default();
    let names = wanted
        .iter()
        .filter_map(Spec::as_shim)
        .map(|shim| &shim.name);
    names
        .filter(|name| lost.contains(name.as_str()))
        .cloned()
        .collect()
}

/// The services whose containers go; none where all do.
fn known(context: &Context, target: &Target, arguments: &DownArgs) -> Option<BTreeSet<String>> {
    let all = arguments.remove_orphans || context.settings.is_on("REMOVE_ORPHANS");
    target.services.clone().filter(|_| !all)
}

/// The plan of `down` with these flags.
pub fn plan(
    context: &Context,
    target: &Target,
    observed: &Observed,
    arguments: &DownArgs,
) -> Result<Plan, Failure> {
    let own = || {
        observed
            .containers
            .iter()
            .filter(|found| found.project.as_deref() == Some(target.project.as_str()))
    };
    for name in &arguments.services {
        let in_file = target
            .services
            .as_ref()
            .is_some_and(|known| known.contains(name));
        let here = own().any(|found| {
            found
                .service
                .as_ref()
                .is_some_and(|own| own.as_str() == name)
        });
        if !in_file && !here {
            let in_file = target.services.iter().flatten().cloned();
            let here = own().filter_map(|found| found.service.as_ref().map(ToString::to_string));
            return Err(no_such_service(name, in_file.chain(here)));
        }
    }
    let only: Option<BTreeSet<String>> =
        (!arguments.services.is_empty()).then(|| arguments.services.iter().cloned().collect());
    let known = known(context, target, arguments);
    if let Some(known) = &known
        && only.is_none()
        && !context.settings.is_on("IGNORE_ORPHANS")
    {
        let orphans: Vec<&FoundContainer> = own()
            .filter(|found| !found.one_off)
            .filter(|found| {
                found
                    .service
                    .as_ref()
                    .is_some_and(|own| !known.contains(own.as_str()))
            })
            .collect();
        if !orphans.is_empty() {
            let names: Vec<&str> = orphans.iter().map(|found| found.name.as_str()).collect();
            let kept: Vec<String> = kept_networks(observed, &orphans)
                .iter()
                .map(|network| format!("`{}`", network.name))
                .collect();
            let stay = match kept.as_slice() {
                [] => "they stay".to_owned(),
                [one] => format!("they stay, and so does network {one}"),
                _ => format!("they stay, and so do networks {}", kept.join(", ")),
            };
            talk(&format!(
                "warning: Found orphan containers ([{}]) for this project: {stay}; --remove-orphans takes them too",
                names.join(" ")
            ));
        }
    }
    let images: BTreeSet<String> = own()
        .filter(|found| match arguments.rmi {
            Some(Rmi::All) => true,
            // An image without a name of its own is called after the project and the service.
            Some(Rmi::Local) => found
                .labels
                .get(mark::SERVICE)
                .is_some_and(|service| is_local(&found.image, target.project.as_str(), service)),
            None => false,
        })
        .map(|found| found.image.clone())
        .collect();
    let options = DownOptions {
        timeout: arguments.timeout,
        volumes: arguments.volumes,
        images: images.into_iter().collect(),
        only,
        known,
    };
    down(&target.project, observed, &options).map_err(Failure::said)
}

fn is_local(image: &str, project: &str, service: &str) -> bool {
    let name = image.strip_suffix(":latest").unwrap_or(image);
    name == format!("{project}-{service}") || name == format!("{project}_{service}")
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_images_without_a_name_of_their_own_are_local() {
        assert!(is_local("lab-web", "lab", "web"));
        assert!(is_local("lab-web:latest", "lab", "web"));
        assert!(!is_local("lab-web:2", "lab", "web"));
        assert!(!is_local("nginx", "lab", "web"));
    }
}
