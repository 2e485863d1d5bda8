//! Files put into and taken out of containers, as tar archives.

use bollard::body_full;
use bollard::query_parameters::UploadToContainerOptionsBuilder;

use crate::model::container::InlineFile;
use crate::world::engine::Engine;
use crate::world::engine::error::refused;
use crate::world::{ErrorKind, WorldError};

/// Puts files with known content into a container that has been created. Missing folders are made by the engine.
pub async fn put_files(
    engine: &Engine,
    id: &str,
    name: &str,
    files: &[InlineFile],
) -> Result<(), WorldError> {
    let act = || format!("cannot put files into container `{name}`");
    let archive = pack(files).map_err(|error| WorldError::new(ErrorKind::Refused, act(), error))?;
    let options = UploadToContainerOptionsBuilder::new().path("/").build();
    engine
        .docker()
        .upload_to_container(id, Some(options), body_full(archive.into()))
        .await
        .map_err(|error| refused(act(), error))
}

/// The archive of the files, without times, so that it depends on nothing but them.
fn pack(files: &[InlineFile]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for InlineFile {
        target,
        content,
        uid,
        gid,
        mode,
    } in files
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode.unwrap_or(0o444));
        header.set_uid(u64::from(uid.unwrap_or(0)));
        header.set_gid(u64::from(gid.unwrap_or(0)));
        header.set_mtime(0);
        archive.append_data(
            &mut header,
            target.trim_start_matches('/'),
            content.as_bytes(),
        )?;
    }
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::pack;
    use crate::model::container::InlineFile;

    #[test]
    fn files_are_packed_with_their_rights() {
        let file = InlineFile {
            target: "/etc/app/key".to_owned(),
            content: "secret".to_owned(),
            uid: Some(7),
            gid: None,
            mode: Some(0o400),
        };
        let archive = pack(&[file]).unwrap();
        let mut archive = tar::Archive::new(archive.as_slice());
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        assert_eq!(entry.path().unwrap().display().to_string(), "etc/app/key");
        assert_eq!(
            (
                entry.header().uid().unwrap(),
                entry.header().gid().unwrap(),
                entry.header().mode().unwrap()
            ),
            (7, 0, 0o400)
        );
        assert_eq!(content, "secret");
    }
}
