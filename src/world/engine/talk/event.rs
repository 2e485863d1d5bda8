//! What happens to containers, as the engine tells it.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::EventsOptions;
use futures_util::{Stream, StreamExt};
use jiff::Timestamp;

use crate::model::mark;
use crate::model::name::ProjectName;
use crate::world::engine::Engine;
use crate::world::engine::error::refused;
use crate::world::{ErrorKind, WorldError};

/// One event of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Happening {
    /// `start`, `die`, `health_status: healthy`, ….
    pub action: String,
    pub id: String,
    /// Labels, `name`, `image`, `exitCode`, ….
    pub attributes: BTreeMap<String, String>,
    /// Nanoseconds since 1970.
    pub time: i64,
}

impl Happening {
    /// When it was; none where the engine's clock is out of all bounds.
    pub fn moment(&self) -> Option<Timestamp> {
        Timestamp::from_nanosecond(i128::from(self.time)).ok()
    }

    /// One attribute or label.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// Something that may change who reaches whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stir {
    /// A container of a project has started.
    Started { project: String },
    /// A network was made, or a container connected to it.
    Network { name: String },
}

impl Engine {
    /// Starts of all projects' containers and what happens to networks, since a moment (seconds since 1970; none is
    /// now). It ends when the engine does.
    pub fn stirrings(
        &self,
        since: Option<String>,
    ) -> impl Stream<Item = Result<Stir, WorldError>> + Send + use<> {
        let filters = HashMap::from([
            (
                "type".to_owned(),
                vec!["container".to_owned(), "network".to_owned()],
            ),
            (
                "event".to_owned(),
                ["start", "create", "connect"].map(str::to_owned).to_vec(),
            ),
        ]);
        let options = EventsOptions {
            since,
            until: None,
            filters: Some(filters),
        };
        self.patient().events(Some(options)).filter_map(|item| {
            std::future::ready(match item {
                Ok(event) => stir(event).map(Ok),
                Err(error) => Some(Err(refused("cannot follow the engine's events", error))),
            })
        })
    }

    /// What time it is for the engine.
    pub async fn clock(&self) -> Result<Timestamp, WorldError> {
        let act = "cannot ask the engine for the time";
        let info = self
            .docker()
            .info()
            .await
            .map_err(|error| refused(act, error))?;
        let text = info.system_time.unwrap_or_default();
        text.parse()
            .map_err(|error| WorldError::new(ErrorKind::Refused, act, error))
    }

    /// The events of a project's containers, from a moment (seconds since 1970; none is now) to another one (none is
    /// never).
    pub fn happenings(
        &self,
        project: &ProjectName,
        since: Option<String>,
        until: Option<String>,
    ) -> impl Stream<Item = Result<Happening, WorldError>> + Send + use<> {
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            (
                "label".to_owned(),
                vec![format!("{}={project}", mark::PROJECT)],
            ),
        ]);
        let options = EventsOptions {
            since,
            until,
            filters: Some(filters),
        };
        self.patient().events(Some(options)).map(|item| {
            let event =
                item.map_err(|error| refused("cannot follow the engine's events", error))?;
            let actor = event.actor.unwrap_or_default();
            Ok(Happening {
                action: event.action.unwrap_or_default(),
                id: actor.id.unwrap_or_default(),
                attributes: actor.attributes.unwrap_or_default().into_iter().collect(),
                time: event
                    .time_nano
                    .unwrap_or_else(|| event.time.unwrap_or(0) * 1_000_000_000),
            })
        })
    }
}

/// What an event is a reason for, if it is one.
fn stir(event: EventMessage) -> Option<Stir> {
    let attributes = event.actor?.attributes?;
    match (event.typ?, event.action.as_deref()?) {
        (EventMessageTypeEnum::CONTAINER, "start") => {
            let project = attributes.get(mark::PROJECT)?.clone();
            Some(Stir::Started { project })
        }
        (EventMessageTypeEnum::NETWORK, _) => {
            let name = attributes.get("name")?.clone();
            Some(Stir::Network { name })
        }
        _ => None,
    }
}
