//! What an engine is too old for, as a sentence.

use crate::world::engine::wire::Api;
use crate::world::{ErrorKind, WorldError};

/// The act that is being prepared, and the API version of the engine it is for.
#[derive(Debug, Clone)]
pub struct TooOld {
    act: String,
    api: Api,
}

impl TooOld {
    /// Checks for an act such as `cannot create container `web``.
    pub fn new(act: String, api: Api) -> TooOld {
        TooOld { act, api }
    }

    /// Whether the engine speaks at least this version.
    pub fn speaks(&self, major: u32, minor: u32) -> bool {
        self.api >= (major, minor)
    }

    /// Refuses `what` where the engine would ignore it. `release` is the first engine that knows it.
    pub fn needs(&self, api: Api, release: &str, what: &str) -> Result<(), WorldError> {
        if self.api >= api {
            return Ok(());
        }
        Err(self
            .refuse(format!(
                "{what} needs API {}.{} (Docker Engine {release}), this engine speaks {}.{}",
                api.0, api.1, self.api.0, self.api.1
            ))
            .hint(format!(
                "upgrade the engine to {release} or newer, or leave {what} out"
            )))
    }

    /// The refusal of something that this engine cannot do.
    pub fn refuse(&self, said: String) -> WorldError {
        WorldError::new(ErrorKind::Unsupported, self.act.clone(), said)
    }
}
