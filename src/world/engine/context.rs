//! The build context as a stream of tar bytes: the folder without what its ignore file leaves out, and the Dockerfile,
//! wherever that comes from. Nothing is held in memory but a few chunks.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::model::hash;
use crate::model::service::Build;
use crate::world::engine::ignore::Ignore;

/// A context that is ready to be sent.
#[derive(Debug)]
pub struct Context {
    folder: PathBuf,
    ignore: Ignore,
    ignore_text: Option<String>,
    /// The Dockerfile's name inside the archive.
    pub dockerfile: String,
    /// Its text, where it is not a file of the context.
    added: Option<String>,
}

/// Bytes of a tar archive, and chunks under way.
const CHUNK: usize = 64 * 1024;
const CHUNKS: usize = 8;

impl Context {
    /// Looks at the folder, its ignore file and its Dockerfile. The error is a sentence about what is missing.
    pub fn open(build: &Build) -> Result<Context, String> {
        let folder = PathBuf::from(&build.context);
        if !folder.is_dir() {
            return Err(format!(
                "the build context {} is not a folder",
                folder.display()
            ));
        }
        let wanted = build.dockerfile.as_deref().unwrap_or("Dockerfile");
        let path = folder.join(wanted);
        let (dockerfile, added) = match &build.dockerfile_inline {
            Some(text) => (added_name(text), Some(text.clone())),
            None => match inside(&folder, &path) {
                Some(name) => (name, None),
                None => {
                    let text = fs::read_to_string(&path).map_err(|error| {
                        format!("cannot read the Dockerfile {}: {error}", path.display())
                    })?;
                    (added_name(&text), Some(text))
                }
            },
        };
        if added.is_none() && !path.is_file() {
            return Err(format!("there is no Dockerfile {}", path.display()));
        }
        let ignore_text = [
            PathBuf::from(format!("{}.dockerignore", path.display())),
            folder.join(".dockerignore"),
        ]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok());
        let ignore = Ignore::parse(ignore_text.as_deref().unwrap_or_default())
            .map_err(|error| format!("{}/.dockerignore: {error}", folder.display()))?;
        Ok(Context {
            folder,
            ignore,
            ignore_text,
            dockerfile,
            added,
        })
    }

    /// The archive, chunk by chunk, packed by a thread of its own; an error ends it.
    pub fn stream(self) -> Receiver<io::Result<Bytes>> {
        let (sender, receiver) = channel(CHUNKS);
        tokio::task::spawn_blocking(move || {
            let mut out = Chunks {
                sender: sender.clone(),
                buffer: Vec::with_capacity(CHUNK),
            };
            let packed = self.pack(&mut out).and_then(|()| out.flush());
            if let Err(error) = packed {
                // Nobody reads any more: the build has failed for a reason of its own.
                let _ = sender.blocking_send(Err(error));
            }
        });
        receiver
    }

    fn pack(&self, out: &mut Chunks) -> io::Result<()> {
        let mut archive = tar::Builder::new(out);
        archive.follow_symlinks(false);
        self.pack_folder(&mut archive, Path::new(""))?;
        if let Some(text) = &self.added {
            append_text(&mut archive, &self.dockerfile, text)?;
            // The engine leaves out what is named here, so a `COPY .` does not see the file that was added.
            let ignore = format!(
                "{}\n{}\n",
                self.ignore_text.as_deref().unwrap_or_default(),
                self.dockerfile
            );
            let own = if self.ignore_text.is_none() {
                ".dockerignore\n"
            } else {
                ""
            };
            append_text(&mut archive, ".dockerignore", &format!("{ignore}{own}"))?;
        }
        archive.into_inner().map(drop)
    }

    fn pack_folder(
        &self,
        archive: &mut tar::Builder<&mut Chunks>,
        relative: &Path,
    ) -> io::Result<()> {
        let mut entries: Vec<_> =
            fs::read_dir(self.folder.join(relative))?.collect::<io::Result<_>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = relative.join(entry.file_name());
            let kind = entry.file_type()?;
            let excluded = self.ignore.excludes(&name) && !self.is_needed(&name);
            if kind.is_dir() {
                if !excluded {
                    append(archive, &entry.path(), &name)?;
                }
                if !excluded || self.ignore.takes_back() || self.is_above_dockerfile(&name) {
                    self.pack_folder(archive, &name)?;
                }
            } else if !excluded && !self.is_replaced(&name) && (kind.is_file() || kind.is_symlink())
            {
                append(archive, &entry.path(), &name)?;
            }
        }
        Ok(())
    }

    /// The engine needs these two, whatever is ignored; it leaves them out itself afterwards.
    fn is_needed(&self, name: &Path) -> bool {
        name == Path::new(".dockerignore")
            || (self.added.is_none() && name == Path::new(&self.dockerfile))
    }

    fn is_above_dockerfile(&self, folder: &Path) -> bool {
        self.added.is_none() && Path::new(&self.dockerfile).starts_with(folder)
    }

    fn is_replaced(&self, name: &Path) -> bool {
        self.added.is_some() && name == Path::new(".dockerignore")
    }
}

/// The name of a file that is added to a context; two builds of the same text use the engine's cache.
fn added_name(text: &str) -> String {
    format!(".dockerfile.{}", hash::short_hex(text.as_bytes(), 20))
}

/// The path inside the context, if it is inside.
fn inside(folder: &Path, path: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    // The link itself may be the Dockerfile, so only the folder that it is in is resolved.
    let parent = path.parent()?.canonicalize().ok()?;
    let inside = parent.strip_prefix(&folder).ok()?.join(path.file_name()?);
    inside.to_str().map(str::to_owned)
}

/// A file, folder or link as the docker client packs it: owned by root, whoever builds.
fn append(archive: &mut tar::Builder<&mut Chunks>, path: &Path, name: &Path) -> io::Result<()> {
    let said =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let metadata = fs::symlink_metadata(path).map_err(said)?;
    let mut header = tar::Header::new_gnu();
    header.set_metadata(&metadata);
    header.set_uid(0);
    header.set_gid(0);
    if metadata.is_symlink() {
        header.set_size(0);
        return archive.append_link(&mut header, name, fs::read_link(path).map_err(said)?);
    }
    if metadata.is_dir() {
        header.set_size(0);
        return archive.append_data(&mut header, name, io::empty());
    }
    let file = File::open(path).map_err(said)?;
    header.set_size(metadata.len());
    // A file that grows meanwhile must not break the archive.
    archive.append_data(&mut header, name, io::Read::take(file, metadata.len()))
}

fn append_text(archive: &mut tar::Builder<&mut Chunks>, name: &str, text: &str) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    archive.append_data(&mut header, name, text.as_bytes())
}

/// Collects what is written and hands it on in chunks.
struct Chunks {
    sender: Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::replace(
            &mut self.buffer,
            Vec::with_capacity(CHUNK),
        ));
        self.sender
            .blocking_send(Ok(chunk))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::path::Path;

    use super::Context;
    use crate::model::service::Build;

    async fn packed(build: &Build) -> Vec<String> {
        let mut bytes = Vec::new();
        let mut chunks = Context::open(build).unwrap().stream();
        while let Some(chunk) = chunks.recv().await {
            bytes.extend_from_slice(&chunk.unwrap());
        }
        let mut archive = tar::Archive::new(bytes.as_slice());
        archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let name = entry.path().unwrap().display().to_string();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                if name.starts_with('.') {
                    format!("{name}={text}")
                } else {
                    name
                }
            })
            .collect()
    }

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn build(path: &Path) -> Build {
        Build {
            context: path.display().to_string(),
            ..Build::default()
        }
    }

    #[tokio::test]
    async fn what_is_ignored_is_not_sent_and_the_dockerfile_always_is() {
        let folder = folder(&[
            (".dockerignore", "*\n!src\nsrc/*.tmp\n"),
            ("Dockerfile", "FROM x"),
            ("src/main.c", ""),
            ("src/a.tmp", ""),
            ("big/data", ""),
        ]);
        assert_eq!(
            packed(&build(folder.path())).await,
            [
                ".dockerignore=*\n!src\nsrc/*.tmp\n",
                "Dockerfile",
                "src",
                "src/main.c"
            ]
        );
    }

    #[tokio::test]
    async fn an_inline_dockerfile_is_added_and_hidden_from_copy() {
        let folder = folder(&[("a", ""), ("Dockerfile", "FROM other")]);
        let build = Build {
            dockerfile_inline: Some("FROM x".to_owned()),
            ..build(folder.path())
        };
        let name = Context::open(&build).unwrap().dockerfile;
        assert_eq!(
            packed(&build).await,
            [
                "Dockerfile".to_owned(),
                "a".to_owned(),
                format!("{name}=FROM x"),
                format!(".dockerignore=\n{name}\n.dockerignore\n")
            ]
        );
    }

    #[tokio::test]
    async fn a_dockerfile_outside_of_the_context_is_added() {
        let folder = folder(&[("context/a", ""), ("docker/Dockerfile.web", "FROM y")]);
        let build = Build {
            dockerfile: Some("../docker/Dockerfile.web".to_owned()),
            ..build(&folder.path().join("context"))
        };
        let name = Context::open(&build).unwrap().dockerfile;
        assert!(packed(&build).await.contains(&format!("{name}=FROM y")));
        let missing = Build {
            dockerfile: Some("nope".to_owned()),
            ..build
        };
        assert!(
            Context::open(&missing)
                .unwrap_err()
                .contains("there is no Dockerfile")
        );
    }
}
