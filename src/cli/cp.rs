//! `stack cp`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use futures_util::StreamExt;

use crate::cli::containers::{Which, of_service, of_services};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::world::engine::Engine;
use crate::world::engine::talk::files::Owners;
use crate::world::engine::talk::list::Listed;

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  stack cp web:/etc/hosts .          out of a container
  stack cp page.html web:/www/       into a container
  stack cp web:/www - | tar t        as a tar file")]
pub struct CpArgs {
    /// SERVICE:PATH, a path here, or `-` for a tar file
    #[arg(value_name = "SOURCE")]
    pub source: String,
    /// SERVICE:PATH, a path here, or `-` for a tar file
    #[arg(value_name = "TARGET")]
    pub target: String,
    /// Keep owners
    #[arg(short, long)]
    pub archive: bool,
    /// Copy what a symbolic link points to
    #[arg(short = 'L', long)]
    pub follow_link: bool,
    /// The container of this number
    #[arg(long, value_name = "N")]
    pub index: Option<u32>,
    /// One-off containers too
    #[arg(long)]
    pub all: bool,
}

/// One end of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Here(PathBuf),
    /// Standard input or output, as a tar file.
    Pipe,
    Service {
        name: String,
        path: String,
    },
}

impl End {
    fn parse(text: &str) -> End {
        if text == "-" {
            return End::Pipe;
        }
        match text.split_once(':') {
            // A path with a colon in it is written with a slash before: ./a:b.
            Some((name, path))
                if !name.is_empty() && !name.contains('/') && !name.starts_with('.') =>
            {
                End::Service {
                    name: name.to_owned(),
                    path: path.to_owned(),
                }
            }
            Some(_) | None => End::Here(PathBuf::from(text)),
        }
    }
}

/// Copies.
pub async fn run(context: &Context, arguments: CpArgs) -> Outcome {
    match (End::parse(&arguments.source), End::parse(&arguments.target)) {
        (End::Service { name, path }, End::Here(target)) => {
            out(context, &arguments, &name, &path, Some(&target)).await
        }
        (End::Service { name, path }, End::Pipe) => {
            out(context, &arguments, &name, &path, None).await
        }
        (source @ (End::Here(_) | End::Pipe), End::Service { name, path }) => {
            into(context, &arguments, &source, &name, &path).await
        }
        (End::Service { .. }, End::Service { .. }) => {
            Err(Failure::said("copying between services is not supported"))
        }
        (End::Here(_) | End::Pipe, End::Here(_) | End::Pipe) => Err(Failure::said(
            "unknown copy direction: one side must be SERVICE:PATH",
        )),
    }
}

async fn out(
    context: &Context,
    arguments: &CpArgs,
    service: &str,
    path: &str,
    target: Option<&Path>,
) -> Outcome {
    let project = context.target()?;
    let engine = context.engine().await?;
    let container = of_service(&engine, &project, service, arguments.index, Which::All).await?;
    if context.global.dry_run {
        let target = target.map_or("-".into(), Path::to_string_lossy);
        context.tell(&format!(" {}:{path} copied to {target}", container.name));
        return Ok(Exit::Done);
    }
    let mut tar = Vec::new();
    let mut pieces = std::pin::pin!(engine.download(&container.name, path));
    let mut output = std::io::stdout();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        match target {
            Some(_) => tar.extend_from_slice(&piece),
            None => output.write_all(&piece)?,
        }
    }
    let Some(target) = target else {
        return Ok(Exit::Done);
    };
    unpack(&tar, path, target)?;
    context.tell(&format!(
        " {} copied to {}",
        container.name,
        target.display()
    ));
    Ok(Exit::Done)
}

/// Unpacks what the engine sent: everything in it begins with the last part of the path. As with `cp`, a folder as the
/// target takes the source in, another target is the new name; `SOURCE/.` is what is in a folder.
fn unpack(tar: &[u8], path: &str, target: &Path) -> Result<(), Failure> {
    let contents = path.ends_with("/.");
    let into_folder = target.is_dir();
    let wrong = |error: std::io::Error| {
        Failure::said(format!("cannot write {}: {error}", target.display()))
    };
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries().map_err(wrong)? {
        let mut entry = entry.map_err(wrong)?;
        let name = entry.path().map_err(wrong)?.into_owned();
        let mut parts = name.components();
        let first = parts.next();
        let rest = parts.as_path();
        let place = match (into_folder && !contents, first) {
            (true, Some(first)) => target.join(first).join(rest),
            (true, None) => target.to_owned(),
            (false, _) if rest.as_os_str().is_empty() => target.to_owned(),
            (false, _) => target.join(rest),
        };
        // What a container sends is not trusted: nothing is written outside of the target.
        let escapes = name
            .components()
            .any(|part| matches!(part, std::path::Component::ParentDir));
        if escapes || name.is_absolute() {
            return Err(Failure::said(format!(
                "{} leads out of the target",
                name.display()
            )));
        }
        if entry.header().entry_type().is_dir() && place.is_dir() {
            continue;
        }
        entry.unpack(&place).map_err(wrong)?;
    }
    Ok(())
}

async fn into(
    context: &Context,
    arguments: &CpArgs,
    source: &End,
    service: &str,
    path: &str,
) -> Outcome {
    let project = context.target()?;
    let engine = context.engine().await?;
    let containers: Vec<Listed> = match arguments.index {
        Some(index) => {
            vec![of_service(&engine, &project, service, Some(index), Which::All).await?]
        }
        None => of_services(&engine, &project, &[service.to_owned()], Which::All).await?,
    };
    if containers.is_empty() {
        return Err(Failure::said(format!(
            "no container found for service \"{service}\""
        )));
    }
    for container in &containers {
        if context.global.dry_run {
            context.tell(&format!(" {} copied into {path}", container.name));
            continue;
        }
        copy_in(&engine, arguments, source, container, path).await?;
        context.tell(&format!(" {} copied into {path}", container.name));
    }
    Ok(Exit::Done)
}

async fn copy_in(
    engine: &Engine,
    arguments: &CpArgs,
    source: &End,
    container: &Listed,
    path: &str,
) -> Result<(), Failure> {
    let owners = if arguments.archive {
        Owners::Keep
    } else {
        Owners::Root
    };
    let (folder, tar) = match source {
        End::Here(file) => {
            let target = match engine.is_folder(&container.name, path).await? {
                Some(true) => Landing::Inside,
                Some(false) | None => Landing::As,
            };
            packed(file, path, target, arguments.follow_link)?
        }
        End::Pipe | End::Service { .. } => {
            let mut tar = Vec::new();
            std::io::stdin().read_to_end(&mut tar)?;
            (path.to_owned(), tar)
        }
    };
    Ok(engine
        .upload(&container.name, &folder, Bytes::from(tar), owners)
        .await?)
}

/// Where a copy comes to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Landing {
    /// In the folder that the path names.
    Inside,
    /// Under the path itself.
    As,
}

/// A file or folder as a tar file, and the folder that it is to be unpacked in.
fn packed(
    source: &Path,
    path: &str,
    landing: Landing,
    follow: bool,
) -> Result<(String, Vec<u8>), Failure> {
    let wrong =
        |error: std::io::Error| Failure::said(format!("cannot read {}: {error}", source.display()));
    let contents = source.ends_with(".") || source.to_string_lossy().ends_with("/.");
    let (folder, name) = match landing {
        Landing::Inside if contents => (path.to_owned(), PathBuf::from(".")),
        Landing::Inside => {
            let name = source
                .file_name()
                .map(PathBuf::from)
                .unwrap_or_else(|| PathBuf::from("."));
            (path.to_owned(), name)
        }
        Landing::As => {
            let whole = path.trim_end_matches('/');
            let (folder, name) = whole.rsplit_once('/').unwrap_or(("/", whole));
            let folder = if folder.is_empty() { "/" } else { folder };
            (folder.to_owned(), PathBuf::from(name))
        }
    };
    let mut builder = tar::Builder::new(Vec::new());
    builder.follow_symlinks(follow);
    let facts = std::fs::metadata(source).map_err(wrong)?;
    if facts.is_dir() {
        builder.append_dir_all(&name, source).map_err(wrong)?;
    } else {
        builder
            .append_path_with_name(source, &name)
            .map_err(wrong)?;
    }
    let tar = builder.into_inner().map_err(wrong)?;
    Ok((folder, tar))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{End, Landing, packed, unpack};

    #[test]
    fn an_end_is_a_path_a_pipe_or_a_service() {
        assert_eq!(End::parse("-"), End::Pipe);
        assert_eq!(End::parse("./a:b"), End::Here(PathBuf::from("./a:b")));
        assert_eq!(End::parse("/a:b"), End::Here(PathBuf::from("/a:b")));
        let service = End::Service {
            name: "web".into(),
            path: "/etc".into(),
        };
        assert_eq!(End::parse("web:/etc"), service);
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        std::fs::create_dir_all(from.join("deep")).unwrap();
        std::fs::write(from.join("deep/file"), "text").unwrap();
        let (into, tar) = packed(&from, "/www/site", Landing::As, false).unwrap();
        assert_eq!(into, "/www");
        let target = folder.path().join("to");
        unpack(&tar, "/www/site", &target).unwrap();
        assert_eq!(
            std::fs::read_to_string(target.join("deep/file")).unwrap(),
            "text"
        );
        unpack(&tar, "/www/site", folder.path()).unwrap();
        assert!(folder.path().join("site/deep/file").exists());
        let (into, _) = packed(Path::new("/etc/hostname"), "/tmp", Landing::Inside, false).unwrap();
        assert_eq!(into, "/tmp");
    }
}
