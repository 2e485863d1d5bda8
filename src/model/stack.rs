//! The stack: everything one project wants, with all references by name.

use std::path::PathBuf;

use indexmap::IndexMap;

use crate::model::check::Check;
use crate::model::lan::Lan;
use crate::model::name::{LanName, NetworkName, ProjectName, ServiceName, VolumeName};
use crate::model::network::Network;
use crate::model::service::Service;
use crate::model::volume::Volume;

/// What a stack file, with all that belongs to it, says. Only what is active: services of inactive profiles and
/// networks that nobody uses are not here.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    pub project: ProjectName,
    /// The folder that relative paths start from.
    pub directory: PathBuf,
    /// The files it was read from, absolute.
    pub files: Vec<PathBuf>,
    /// The files of `--env-file`, absolute.
    pub environment_files: Vec<PathBuf>,
    pub services: IndexMap<ServiceName, Service>,
    /// Services that the file has and no profile or selection makes active: not orphans.
    pub inactive: Vec<ServiceName>,
    pub networks: IndexMap<NetworkName, Network>,
    pub volumes: IndexMap<VolumeName, Volume>,
    pub lans: IndexMap<LanName, Lan>,
    pub checks: Vec<Check>,
}
