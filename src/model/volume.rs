//! A volume under `volumes:`.

use indexmap::IndexMap;

use crate::model::name::VolumeName;

/// A named volume of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    pub key: VolumeName,
    /// The engine's name for it: `project_key`, or what `name:` says.
    pub name: String,
    /// Someone else makes and removes it; it must be there.
    pub external: bool,
    /// `local` where none is written.
    pub driver: Option<String>,
    pub driver_opts: IndexMap<String, String>,
    pub labels: IndexMap<String, String>,
}
