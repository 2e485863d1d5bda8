//! Containers: from absent to running and back, parked and brought back. What a create request looks like is in
//! [`crate::world::engine::body`].
//!
//! Every transition can be repeated, and can be done to what a cut off transition left. A container that is not the
//! project's is never touched: by name it is only taken for ours where its labels say so.

use std::collections::{BTreeSet, HashMap};

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder, StartContainerOptions,
    StopContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt;

use crate::model::mark;
use crate::model::name::ProjectName;
use crate::model::service::Hook;
use crate::plan::spec::{ContainerNetwork, ContainerSpec, Spec};
use crate::plan::step::{State, Step};
use crate::world::engine::Engine;
use crate::world::engine::body;
use crate::world::engine::endpoint;
use crate::world::engine::error::{absent_is_fine, is_name_conflict, refused, status};
use crate::world::engine::owner::{self, Owner};
use crate::world::engine::{archive, hook, network};
use crate::world::{ErrorKind, Progress, WorldError};

/// Takes a container to the step's state.
pub async fn change(
    engine: &Engine,
    project: &ProjectName,
    step: &Step,
    progress: &dyn Progress,
) -> Result<(), WorldError> {
    let doer = Doer {
        engine,
        project,
        progress,
    };
    match (&step.before, &step.after) {
        (before, after) if before == after => match after.spec() {
            Some(spec) => doer.check(spec, matches!(after, State::Running(_))).await,
            None => Ok(()),
        },
        (State::Absent, State::Present(spec)) => doer.create(as_new(spec)?).await,
        (State::Absent, State::Running(spec)) => {
            doer.create(as_new(spec)?).await?;
            doer.start(spec).await
        }
        (State::Absent, State::Parked(spec)) => Err(WorldError::new(
            ErrorKind::Refused,
            format!("cannot park container `{}`", name_of(spec)),
            "it is not there",
        )),
        (State::Present(_), State::Running(spec)) => doer.start(spec).await,
        (State::Running(spec), State::Present(_)) => doer.stop(spec).await,
        (State::Present(spec) | State::Running(spec) | State::Parked(spec), State::Absent) => {
            doer.remove(spec).await
        }
        (State::Present(spec) | State::Running(spec), State::Parked(_)) => doer.park(spec).await,
        (State::Parked(spec), State::Present(_)) => doer.restore(spec).await.map(drop),
        (State::Parked(spec), State::Running(_)) => {
            let id = doer.restore(spec).await?;
            doer.start_by(&id, spec).await
        }
        (State::Absent, State::Absent) => Ok(()),
        (State::Present(_), State::Present(spec)) => doer.check(spec, false).await,
        (State::Running(_), State::Running(spec)) => doer.check(spec, true).await,
        (State::Parked(_), State::Parked(_)) => Ok(()),
    }
}

fn as_new(spec: &Spec) -> Result<&ContainerSpec, WorldError> {
    match spec {
        Spec::Container(spec) => Ok(spec),
        _ => Err(WorldError::new(
            ErrorKind::Refused,
            format!("cannot create container `{}`", name_of(spec)),
            "it was removed, and what it was made of is not known",
        )),
    }
}

fn name_of(spec: &Spec) -> &str {
    match spec {
        Spec::Container(spec) => &spec.name,
        Spec::Existing(spec) => &spec.name,
        _ => "",
    }
}

/// What the engine takes for the container: its id where that is known.
fn reference(spec: &Spec) -> &str {
    match spec {
        Spec::Existing(spec) => &spec.engine_id,
        _ => name_of(spec),
    }
}

fn pre_stop(spec: &Spec) -> &[Hook] {
    match spec {
        Spec::Container(spec) => &spec.pre_stop,
        Spec::Existing(spec) => &spec.pre_stop,
        _ => &[],
    }
}

/// Seconds before a stop becomes a kill; none leaves it to the container's own setting.
fn stop_timeout(spec: &Spec) -> Option<u32> {
    match spec {
        Spec::Existing(spec) => spec.stop_timeout,
        _ => None,
    }
}

/// A container that is there.
struct Located {
    id: String,
    name: String,
    runs: bool,
}

impl Located {
    fn of(container: ContainerInspectResponse) -> Located {
        let status = container.state.and_then(|state| state.status);
        Located {
            id: container.id.unwrap_or_default(),
            name: container
                .name
                .unwrap_or_default()
                .trim_start_matches('/')
                .to_owned(),
            runs: matches!(
                status,
                Some(
                    ContainerStateStatusEnum::RUNNING
                        | ContainerStateStatusEnum::PAUSED
                        | ContainerStateStatusEnum::RESTARTING
                )
            ),
        }
    }
}

struct Doer<'a> {
    engine: &'a Engine,
    project: &'a ProjectName,
    progress: &'a dyn Progress,
}

impl Doer<'_> {
    async fn check(&self, spec: &Spec, runs: bool) -> Result<(), WorldError> {
        let act = || format!("cannot use container `{}`", name_of(spec));
        let missing = |said: &str| Err(WorldError::new(ErrorKind::Missing, act(), said));
        match inspect(self.engine, reference(spec)).await? {
            None => missing("it is not there"),
            Some(container) if runs && !Located::of(container.clone()).runs => {
                missing("it does not run")
            }
            Some(_) => Ok(()),
        }
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<(), WorldError> {
        let act = || format!("cannot create container `{}`", spec.name);
        let internal = self.internal_networks(spec).await?;
        let mut making = body::making(spec, self.engine.api(), &internal)?;
        body::inline_profiles(&mut making.body, &act())?;
        let mut options = CreateContainerOptionsBuilder::new().name(&spec.name);
        if let Some(platform) = &spec.config.platform {
            options = options.platform(platform);
        }
        let id = match self
            .engine
            .docker()
            .create_container(Some(options.build()), making.body)
            .await
        {
            Ok(made) => {
                for warning in made.warnings {
                    self.progress.warn(&warning);
                }
                made.id
            }
            Err(error) if is_name_conflict(&error) => match self.adopt(spec).await? {
                Some(id) => id,
                None => return Err(refused(act(), error)),
            },
            Err(error) => return Err(refused(act(), error)),
        };
        for (network, settings) in making.connect {
            match endpoint::connect_once(self.engine, &id, &network, settings).await {
                Err(error) if !endpoint::is_connected_already(&error) => {
                    return Err(refused(
                        format!(
                            "cannot connect container `{}` to network `{network}`",
                            spec.name
                        ),
                        error,
                    ));
                }
                _ => {}
            }
        }
        if !spec.config.files.is_empty() {
            archive::put_files(self.engine, &id, &spec.name, &spec.config.files).await?;
        }
        Ok(())
    }

    /// The networks of the spec that are internal, where the choice of the default route depends on it.
    async fn internal_networks(
        &self,
        spec: &ContainerSpec,
    ) -> Result<BTreeSet<String>, WorldError> {
        let ContainerNetwork::Attached(attachments) = &spec.network else {
            return Ok(BTreeSet::new());
        };
        if self.engine.api() >= (1, 48) || !endpoint::gateway_matters(attachments) {
            return Ok(BTreeSet::new());
        }
        let mut internal = BTreeSet::new();
        for attachment in attachments {
            let found = network::by_name(self.engine, &attachment.network).await?;
            if found.iter().any(|network| network.internal == Some(true)) {
                internal.insert(attachment.network.clone());
            }
        }
        Ok(internal)
    }

    /// The container that has the name already, if an earlier, cut off run made it from the same spec.
    async fn adopt(&self, spec: &ContainerSpec) -> Result<Option<String>, WorldError> {
        let Some(holder) = inspect(self.engine, &spec.name).await? else {
            return Ok(None);
        };
        let labels = labels_of(&holder);
        let id = holder.id.unwrap_or_default();
        let short: String = id.chars().take(12).collect();
        let taken = |whose: &str| {
            WorldError::new(
                ErrorKind::Taken,
                format!("cannot create container `{}`", spec.name),
                format!("the name is held by container {short}, and {whose}"),
            )
        };
        match owner::owner(&labels, self.project, hash_of(spec)) {
            Owner::Same => Ok(Some(id)),
            Owner::Changed => Err(taken("another run made it meanwhile with other settings")),
            Owner::Foreign(whose) => {
                Err(taken(&whose).hint(format!("remove or rename that container (`docker rename {short} …`), or choose another name")))
            }
        }
    }

    async fn start(&self, spec: &Spec) -> Result<(), WorldError> {
        self.start_by(reference(spec), spec).await
    }

    async fn start_by(&self, id: &str, spec: &Spec) -> Result<(), WorldError> {
        let act = || format!("cannot start container `{}`", name_of(spec));
        let begin = || async {
            let started = self
                .engine
                .docker()
                .start_container(id, None::<StartContainerOptions>)
                .await;
            match started {
                // 304: it runs already.
                Err(error) if status(&error) != Some(304) => Err(refused(act(), error)),
                _ => Ok(()),
            }
        };
        let Spec::Container(spec) = spec else {
            return begin().await;
        };
        if spec.ports.iter().any(|port| {
            port.published
                .is_some_and(|range| range.first != range.last)
        }) {
            // Two starts at once are given the same port of a range, and one fails.
            let _turn = self.engine.one_at_a_time().await;
            begin().await?;
        } else {
            begin().await?;
        }
        self.check_macs(id, spec).await?;
        for hook in &spec.post_start {
            hook::run(self.engine, id, &spec.name, hook, self.progress).await?;
        }
        Ok(())
    }

    /// Engines have dropped fixed MAC addresses without a word in several places, so each is looked at.
    async fn check_macs(&self, id: &str, spec: &ContainerSpec) -> Result<(), WorldError> {
        let ContainerNetwork::Attached(attachments) = &spec.network else {
            return Ok(());
        };
        if attachments
            .iter()
            .all(|attachment| attachment.mac_address.is_none())
        {
            return Ok(());
        }
        let networks = inspect(self.engine, id)
            .await?
            .and_then(|container| container.network_settings?.networks)
            .unwrap_or_default();
        for attachment in attachments {
            let Some(wanted) = attachment.mac_address else {
                continue;
            };
            let found = networks
                .get(&attachment.network)
                .and_then(|endpoint| endpoint.mac_address.as_deref());
            // A container that has ended already tells no address.
            if let Some(found) = found.filter(|found| !found.is_empty())
                && !found.eq_ignore_ascii_case(&wanted.to_string())
            {
                return Err(endpoint::mac_not_set(
                    &spec.name,
                    &attachment.network,
                    &wanted.to_string(),
                    found,
                ));
            }
        }
        Ok(())
    }

    async fn stop(&self, spec: &Spec) -> Result<(), WorldError> {
        match self.locate(spec).await? {
            Some(found) if found.runs => self.stop_by(&found.id, spec).await,
            _ => Ok(()),
        }
    }

    async fn stop_by(&self, id: &str, spec: &Spec) -> Result<(), WorldError> {
        for hook in pre_stop(spec) {
            // A hook that fails must not keep a container from stopping.
            if let Err(error) = hook::run(self.engine, id, name_of(spec), hook, self.progress).await
            {
                self.progress.warn(&error.to_string());
            }
        }
        let mut options = StopContainerOptionsBuilder::new();
        if let Some(seconds) = stop_timeout(spec) {
            options = options.t(i32::try_from(seconds).unwrap_or(i32::MAX));
        }
        let stopped = self
            .engine
            .patient()
            .stop_container(id, Some(options.build()))
            .await;
        absent_is_fine(stopped)
            .map_err(|error| refused(format!("cannot stop container `{}`", name_of(spec)), error))
    }

    async fn remove(&self, spec: &Spec) -> Result<(), WorldError> {
        let volumes = match spec {
            Spec::Existing(existing) => existing.remove_volumes,
            // What this run made is taken back with the anonymous volumes that came with it.
            _ => true,
        };
        let kill = stop_timeout(spec) == Some(0) && pre_stop(spec).is_empty();
        match spec {
            // An id can only mean the one container, so it is not looked at before.
            Spec::Existing(existing) => {
                if !kill {
                    self.stop_by(&existing.engine_id, spec).await?;
                }
                self.delete(&existing.engine_id, &existing.name, volumes)
                    .await
            }
            _ => match self.locate(spec).await? {
                None => Ok(()),
                Some(found) => {
                    if found.runs {
                        self.stop_by(&found.id, spec).await?;
                    }
                    self.delete(&found.id, &found.name, volumes).await
                }
            },
        }
    }

    async fn delete(&self, id: &str, name: &str, volumes: bool) -> Result<(), WorldError> {
        let options = RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(volumes)
            .build();
        match absent_is_fine(
            self.engine
                .patient()
                .remove_container(id, Some(options))
                .await,
        ) {
            Ok(()) => Ok(()),
            Err(error) if error.to_string().contains("is already in progress") => {
                let options = WaitContainerOptionsBuilder::new()
                    .condition("removed")
                    .build();
                // Gone is what is waited for; how the wait ends does not matter.
                let _ = self
                    .engine
                    .patient()
                    .wait_container(id, Some(options))
                    .next()
                    .await;
                Ok(())
            }
            Err(error) => Err(refused(format!("cannot remove container `{name}`"), error)),
        }
    }

    async fn park(&self, spec: &Spec) -> Result<(), WorldError> {
        let act = || format!("cannot park container `{}`", name_of(spec));
        let Some(found) = self.locate(spec).await? else {
            return Err(WorldError::new(
                ErrorKind::Missing,
                act(),
                "it is not there",
            ));
        };
        if found.runs {
            self.stop_by(&found.id, spec).await?;
        }
        self.rename(&found, &mark::parked_name(&found.id, name_of(spec)), act)
            .await
    }

    /// Gives a parked container its name back; its id.
    async fn restore(&self, spec: &Spec) -> Result<String, WorldError> {
        let act = || format!("cannot bring container `{}` back", name_of(spec));
        let Some(found) = self.locate(spec).await? else {
            return Err(WorldError::new(
                ErrorKind::Missing,
                act(),
                "it is not there any more",
            ));
        };
        self.rename(&found, name_of(spec), act).await?;
        Ok(found.id)
    }

    async fn rename(
        &self,
        found: &Located,
        name: &str,
        act: impl Fn() -> String,
    ) -> Result<(), WorldError> {
        if found.name == name {
            return Ok(());
        }
        let options = RenameContainerOptionsBuilder::new().name(name).build();
        self.engine
            .docker()
            .rename_container(&found.id, options)
            .await
            .map_err(|error| refused(act(), error))
    }

    /// The container that the spec means: by id; or by name or parked name, if it was made from this very spec.
    async fn locate(&self, spec: &Spec) -> Result<Option<Located>, WorldError> {
        let Spec::Container(spec) = spec else {
            return Ok(inspect(self.engine, reference(spec))
                .await?
                .map(Located::of));
        };
        let ours = |labels: &HashMap<String, String>| {
            owner::is_of(labels, self.project)
                && labels.get(mark::HASH).map(String::as_str) == Some(hash_of(spec))
        };
        if let Some(container) = inspect(self.engine, &spec.name).await?
            && ours(&labels_of(&container))
        {
            return Ok(Some(Located::of(container)));
        }
        let label = format!("{}={}", mark::PROJECT, self.project);
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&HashMap::from([("label", vec![label.as_str()])]))
            .build();
        let containers = self
            .engine
            .docker()
            .list_containers(Some(options))
            .await
            .map_err(|error| {
                refused(format!("cannot look for container `{}`", spec.name), error)
            })?;
        let parked = containers.into_iter().find(|container| {
            let id = container.id.as_deref().unwrap_or_default();
            let was = container
                .names
                .iter()
                .flatten()
                .find_map(|name| mark::unparked_name(id, name.trim_start_matches('/')));
            was == Some(&spec.name) && container.labels.as_ref().is_some_and(ours)
        });
        match parked.and_then(|container| container.id) {
            None => Ok(None),
            Some(id) => Ok(inspect(self.engine, &id).await?.map(Located::of)),
        }
    }
}

fn hash_of(spec: &ContainerSpec) -> &str {
    spec.labels
        .get(mark::HASH)
        .map(String::as_str)
        .unwrap_or_default()
}

fn labels_of(container: &ContainerInspectResponse) -> HashMap<String, String> {
    container
        .config
        .as_ref()
        .and_then(|config| config.labels.clone())
        .unwrap_or_default()
}

/// The container, if it is there.
pub async fn inspect(
    engine: &Engine,
    reference: &str,
) -> Result<Option<ContainerInspectResponse>, WorldError> {
    match engine
        .docker()
        .inspect_container(reference, None::<InspectContainerOptions>)
        .await
    {
        Ok(container) => Ok(Some(container)),
        Err(error) if status(&error) == Some(404) => Ok(None),
        Err(error) => Err(refused(
            format!("cannot look at container `{reference}`"),
            error,
        )),
    }
}
