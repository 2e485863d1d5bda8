//! Files into and out of containers, as tar streams.

use bollard::body_full;
use bollard::query_parameters::{DownloadFromContainerOptions, UploadToContainerOptions};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use crate::world::WorldError;
use crate::world::engine::Engine;
use crate::world::engine::error::refused;

impl Engine {
    /// A file or folder of a container as a tar stream.
    pub fn download(
        &self,
        container: &str,
        path: &str,
    ) -> impl Stream<Item = Result<Bytes, WorldError>> + Send + use<> {
        let options = DownloadFromContainerOptions {
            path: path.to_owned(),
        };
        let act = format!("cannot copy `{path}` out of container `{container}`");
        self.patient()
            .download_from_container(container, Some(options))
            .map(move |item| item.map_err(|error| refused(act.clone(), error)))
    }

    /// Unpacks a tar file in a folder of a container. `owners` keeps the owners that the tar file names.
    pub async fn upload(
        &self,
        container: &str,
        folder: &str,
        tar: Bytes,
        owners: Owners,
    ) -> Result<(), WorldError> {
        let options = UploadToContainerOptions {
            path: folder.to_owned(),
            no_overwrite_dir_non_dir: Some("true".to_owned()),
            copy_uidgid: (owners == Owners::Keep).then(|| "true".to_owned()),
        };
        let done = self
            .patient()
            .upload_to_container(container, Some(options), body_full(tar))
            .await;
        done.map_err(|error| {
            refused(
                format!("cannot copy into `{folder}` of container `{container}`"),
                error,
            )
        })
    }

    /// Whether a path in a container is a folder; none where there is nothing.
    pub async fn is_folder(&self, container: &str, path: &str) -> Result<Option<bool>, WorldError> {
        let options = bollard::query_parameters::ContainerArchiveInfoOptions {
            path: path.to_owned(),
        };
        match self
            .docker()
            .get_container_archive_info(container, Some(options))
            .await
        {
            // The mode is that of Go: its highest bit is the folder's (`io/fs.ModeDir`).
            Ok(stat) => Ok(Some(stat.file_mode & (1 << 31) != 0)),
            Err(bollard::errors::Error::DockerResponseServerError {
                status_code: 404, ..
            }) => Ok(None),
            Err(error) => Err(refused(
                format!("cannot look at `{path}` in container `{container}`"),
                error,
            )),
        }
    }
}

/// Whether owners are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    Keep,
    Root,
}
