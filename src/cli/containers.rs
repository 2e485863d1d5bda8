//! Containers of a project as commands pick them: by service, by number, one or all.

use std::collections::BTreeSet;

use crate::cli::context::Target;
use crate::cli::exit::Failure;
use crate::file::value::nearest;
use crate::world::engine::Engine;
use crate::world::engine::talk::list::Listed;

/// Which of a project's containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that run.
    Running,
    /// Stopped ones too.
    All,
}

/// The containers of these services (none named: of all), one-offs left out, by service and number.
pub async fn of_services(
    engine: &Engine,
    target: &Target,
    services: &[String],
    which: Which,
) -> Result<Vec<Listed>, Failure> {
    let all = engine.list(Some(&target.project), true).await?;
    known(target, &all, services)?;
    let mut chosen: Vec<Listed> = all
        .into_iter()
        .filter(|container| !container.is_one_off())
        .filter(|container| which == Which::All || container.runs())
        .filter(|container| {
            services.is_empty() || services.iter().any(|name| name == container.service())
        })
        .collect();
    chosen.sort_by(|one, two| (one.service(), one.number()).cmp(&(two.service(), two.number())));
    Ok(chosen)
}

/// The container of a service with this number, or its first one.
pub async fn of_service(
    engine: &Engine,
    target: &Target,
    service: &str,
    index: Option<u32>,
    which: Which,
) -> Result<Listed, Failure> {
    let found = of_services(engine, target, &[service.to_owned()], which).await?;
    let picked = found
        .into_iter()
        .find(|container| index.is_none_or(|index| container.number() == index));
    picked.ok_or_else(|| match (index, which) {
        (Some(index), _) => Failure::said(format!(
            "service \"{service}\" has no container with index {index}"
        )),
        (None, Which::Running) => Failure::with_hint(
            format!("service \"{service}\" is not running"),
            format!("stack up -d {service}"),
        ),
        (None, Which::All) => Failure::with_hint(
            format!("service \"{service}\" has no container"),
            format!("stack up -d {service}"),
        ),
    })
}

/// Refuses services that neither the file nor any container knows.
pub fn known(target: &Target, containers: &[Listed], services: &[String]) -> Result<(), Failure> {
    let running: BTreeSet<&str> = containers.iter().map(Listed::service).collect();
    for service in services {
        let in_file = target
            .services
            .as_ref()
            .is_some_and(|known| known.contains(service));
        if !in_file && !running.contains(service.as_str()) {
            let in_file = target.services.iter().flatten();
            let all = in_file.map(String::as_str).chain(running);
            return Err(no_such_service(service, all));
        }
    }
    Ok(())
}

/// A service that was named and that nobody knows, with the one that was probably meant.
pub fn no_such_service(name: &str, known: impl IntoIterator<Item = impl ToString>) -> Failure {
    let known: Vec<String> = known.into_iter().map(|name| name.to_string()).collect();
    let text = format!("no such service: {name}");
    match nearest(name, known.iter().map(String::as_str)) {
        Some(meant) => Failure::with_hint(text, format!("did you mean `{meant}`?")),
        None => Failure::said(text),
    }
}

/// A container's name without the project: `web-1` of `lab-web-1`; a name of its own stays.
pub fn short_name<'a>(container: &'a Listed, project: &str) -> &'a str {
    shortened(&container.name, project)
}

/// The same of a name alone.
pub fn shortened<'a>(name: &'a str, project: &str) -> &'a str {
    name.strip_prefix(project)
        .and_then(|rest| rest.strip_prefix(['-', '_']))
        .filter(|rest| !rest.is_empty())
        .unwrap_or(name)
}
