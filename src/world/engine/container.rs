//! Containers: which transition a step asks for, and those that make and start one. What a create request looks like is
//! in [`crate::world::engine::body`]; what is done to containers that are there in [`crate::world::engine::existing`].
//!
//! Every transition can be repeated, and can be done to what a cut off transition left. A container that is not the
//! project's is never touched: by name it is only taken for ours where its labels say so.

use std::collections::BTreeSet;

use bollard::query_parameters::{CreateContainerOptionsBuilder, StartContainerOptions};

use crate::model::mark;
use crate::model::name::ProjectName;
use crate::plan::spec::{ContainerNetwork, ContainerSpec, Spec};
use crate::plan::step::{Reason, State, Step};
use crate::world::engine::Engine;
use crate::world::engine::body;
use crate::world::engine::endpoint;
use crate::world::engine::error::{is_name_conflict, refused, status};
use crate::world::engine::existing::{Located, Was};
use crate::world::engine::inspect::{hash_of, inspect, labels_of, name_of, reference};
use crate::world::engine::owner::{self, Owner};
use crate::world::engine::{archive, heritage, hook, network, proxy};
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
        (State::Running(spec), State::Absent) => doer.remove(spec, Was::Running).await,
        (State::Parked(spec), State::Absent) => doer.remove(spec, Was::Parked).await,
        (State::Present(spec), State::Absent) => {
            if step.reason == Reason::Leftover {
                doer.await_late(spec).await?;
            }
            doer.remove(spec, Was::Stopped).await
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

/// Whoever changes a container of a project.
pub(in crate::world::engine) struct Doer<'a> {
    pub engine: &'a Engine,
    pub project: &'a ProjectName,
    pub progress: &'a dyn Progress,
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

    /// The spec with the anonymous volumes of the container that it replaces, where there are any.
    async fn heir(&self, spec: &ContainerSpec) -> Result<Option<ContainerSpec>, WorldError> {
        let Some(old) = &spec.heir_of else {
            return Ok(None);
        };
        let old = inspect(self.engine, old).await?;
        let mounts = old.and_then(|old| old.mounts).unwrap_or_default();
        Ok(heritage::of(spec, &mounts))
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<(), WorldError> {
        let act = || format!("cannot create container `{}`", spec.name);
        let heir = self.heir(spec).await?;
        let spec = heir.as_ref().unwrap_or(spec);
        let internal = self.internal_networks(spec).await?;
        let mut making = body::making(spec, self.engine.api(), &internal)?;
        proxy::add(&mut making.body.env, self.engine.proxies());
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
            Owner::Changed => {
                let service = labels.get(mark::SERVICE).map_or("", String::as_str);
                let whose = format!("it belongs to the service `{service}` of this project");
                Err(taken(&whose).hint(
                    "if the file no longer has that service, `--remove-orphans` takes it away first",
                ))
            }
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
}
