//! Envoys: helper containers that ask from inside another's network namespace where this process cannot go (the engine
//! is on another machine, or this user may not enter namespaces). Each runs this very program, from an image made of it on
//! the spot ([`program`]), and is told what to do line by line over its standard input.
//!
//! An envoy ends with the connection, and the engine then removes it (`AutoRemove`): a process that is interrupted or
//! killed leaves none behind. What a cut leaves that comes between making and starting one carries our label, and
//! `stack orphans` finds it.

pub mod program;

use std::collections::HashMap;
use std::time::Duration;

use bollard::body_full;
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptions, ListImagesOptionsBuilder,
    RemoveImageOptionsBuilder, StartContainerOptions,
};
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

use crate::model::hash::short_hex;
use crate::model::mark;
use crate::model::name::ProjectName;
use crate::world::engine::Engine;
use crate::world::engine::error::{absent_is_fine, refused, status};
use crate::world::engine::talk::act::AnonymousVolumes;
use crate::world::engine::talk::log::Said;
use crate::world::engine::talk::session::Session;
use crate::world::{ErrorKind, WorldError};

/// What an envoy's image is called, before the digest of what is in it.
const REPOSITORY: &str = "stack-probe";

/// The rights that asking needs: raw sockets for ICMP, low ports for responders.
const RIGHTS: [&str; 2] = ["NET_RAW", "NET_BIND_SERVICE"];

/// An image that envoys are made from.
#[derive(Debug, Clone)]
pub struct EnvoyImage {
    pub reference: String,
    command: Vec<String>,
}

/// Whose network namespace an envoy lives in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Post {
    /// This container's.
    Container(String),
    /// The engine's host's.
    Host,
}

/// An envoy that lives.
pub struct Envoy {
    container: String,
    talk: Mutex<Talk>,
}

impl std::fmt::Debug for Envoy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Envoy").field(&self.container).finish()
    }
}

struct Talk {
    session: Session,
    heard: Vec<u8>,
    /// What it said on its standard error.
    complaint: String,
}

impl Engine {
    /// Makes the image of envoys, if the engine does not have it. `words` are the arguments of the program in it.
    pub async fn make_envoy_image(&self, words: &[&str]) -> Result<EnvoyImage, WorldError> {
        let act = "cannot make the image of the probe containers";
        let own =
            program::own().map_err(|error| WorldError::new(ErrorKind::Refused, act, error))?;
        let reference = format!("{REPOSITORY}:{}", short_hex(&own.archive, 12));
        let mut command = own.command;
        command.extend(words.iter().map(|word| (*word).to_owned()));
        let image = EnvoyImage { reference, command };
        match self.docker().inspect_image(&image.reference).await {
            Ok(_) => return Ok(image),
            Err(error) if status(&error) == Some(404) => {}
            Err(error) => return Err(refused(act, error)),
        }
        let (name, tag) = image.reference.split_once(':').unwrap_or((REPOSITORY, ""));
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(name.to_owned()),
            tag: Some(tag.to_owned()),
            changes: vec![format!("LABEL {}=", mark::PROBE)],
            ..CreateImageOptions::default()
        };
        let body = body_full(own.archive.into());
        let mut said = Box::pin(self.patient().create_image(Some(options), Some(body), None));
        while let Some(answer) = said.next().await {
            answer.map_err(|error| refused(act, error))?;
        }
        Ok(image)
    }

    /// The images of envoys that the engine has.
    pub async fn envoy_images(&self) -> Result<Vec<String>, WorldError> {
        let filters = HashMap::from([("label", vec![mark::PROBE])]);
        let options = ListImagesOptionsBuilder::new().filters(&filters).build();
        let found = self.docker().list_images(Some(options)).await;
        let found = found.map_err(|error| refused("cannot list images", error))?;
        Ok(found
            .into_iter()
            .flat_map(|image| image.repo_tags)
            .collect())
    }

    /// Removes the image of envoys. One that another envoy still runs from stays for whoever sent that.
    pub async fn remove_envoy_image(&self, reference: &str) -> Result<(), WorldError> {
        let options = RemoveImageOptionsBuilder::new().build();
        let done = self
            .docker()
            .remove_image(reference, Some(options), None)
            .await;
        match absent_is_fine(done.map(|_| ())) {
            Err(error) if status(&error) == Some(409) => Ok(()),
            other => {
                other.map_err(|error| refused(format!("cannot remove image `{reference}`"), error))
            }
        }
    }

    /// Sends an envoy into a namespace and begins to talk to it.
    pub async fn send_envoy(
        &self,
        image: &EnvoyImage,
        project: &ProjectName,
        post: &Post,
    ) -> Result<Envoy, WorldError> {
        let (mode, where_to) = match post {
            Post::Container(id) => (format!("container:{id}"), format!("container `{id}`")),
            Post::Host => ("host".to_owned(), "the engine's host".to_owned()),
        };
        let act = || format!("cannot send a probe container to {where_to}");
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let body = ContainerCreateBody {
            image: Some(image.reference.clone()),
            entrypoint: Some(image.command.clone()),
            open_stdin: Some(true),
            stdin_once: Some(true),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            labels: Some(HashMap::from([(
                mark::PROBE.to_owned(),
                project.to_string(),
            )])),
            host_config: Some(HostConfig {
                network_mode: Some(mode),
                auto_remove: Some(true),
                cap_drop: Some(vec!["ALL".to_owned()]),
                cap_add: Some(own(&RIGHTS)),
                readonly_rootfs: Some(true),
                security_opt: Some(own(&["no-new-privileges"])),
                log_config: Some(HostConfigLogConfig {
                    typ: Some("none".to_owned()),
                    ..HostConfigLogConfig::default()
                }),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::new().build();
        let made = self.docker().create_container(Some(options), body).await;
        let container = made.map_err(|error| refused(act(), error))?.id;
        let begun = async {
            let session = self.attach(&container, true).await?;
            let started = self
                .docker()
                .start_container(&container, None::<StartContainerOptions>);
            started.await.map_err(|error| refused(act(), error))?;
            Ok(session)
        };
        match begun.await {
            Ok(session) => Ok(Envoy {
                container,
                talk: Mutex::new(Talk {
                    session,
                    heard: Vec::new(),
                    complaint: String::new(),
                }),
            }),
            Err(error) => {
                self.call_home(&container).await;
                Err(error)
            }
        }
    }

    /// Ends an envoy and waits until it is gone.
    pub async fn recall(&self, envoy: &Envoy) {
        self.call_home(&envoy.container).await;
    }

    async fn call_home(&self, container: &str) {
        // It may be on its way out by itself, which the engine tells as an error; gone is what counts.
        let _ = self.remove(container, AnonymousVolumes::Remove).await;
        let gone = self.exit_code_of(container, "removed");
        let _ = tokio::time::timeout(Duration::from_secs(5), gone).await;
    }
}

impl Envoy {
    /// Tells it a line and gives the line that it answers.
    pub async fn ask(&self, line: &str) -> Result<String, WorldError> {
        let mut talk = self.talk.lock().await;
        let act = "cannot talk to a probe container";
        let lost = |error: std::io::Error| WorldError::new(ErrorKind::Unreachable, act, error);
        let input = &mut talk.session.input;
        input.write_all(line.as_bytes()).await.map_err(lost)?;
        input.write_all(b"\n").await.map_err(lost)?;
        input.flush().await.map_err(lost)?;
        loop {
            if let Some(end) = talk.heard.iter().position(|byte| *byte == b'\n') {
                let rest = talk.heard.split_off(end + 1);
                let line = std::mem::replace(&mut talk.heard, rest);
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            match talk.session.output.next().await {
                Some(Ok(piece)) if piece.on == Said::Error => {
                    talk.complaint
                        .push_str(&String::from_utf8_lossy(&piece.bytes));
                }
                Some(Ok(piece)) => talk.heard.extend_from_slice(&piece.bytes),
                Some(Err(error)) => return Err(error),
                None => {
                    let why = match talk.complaint.trim() {
                        "" => "it ended",
                        complaint => complaint,
                    };
                    return Err(WorldError::new(ErrorKind::Unreachable, act, why));
                }
            }
        }
    }
}
