//! The envoys of a command: who is sent into which namespace, and that all come home. Not a command, but for
//! [`errands`], which is what an envoy runs and no person calls.

use std::io::{BufRead as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::stream::{self, StreamExt};
use tokio::sync::{Mutex, OnceCell};

use crate::cli::exit::{Exit, Failure, Outcome};
use crate::model::name::ProjectName;
use crate::reach::probe::place::{Errands, Place, Places};
use crate::reach::question::Viewpoint;
use crate::reach::scene::Scene;
use crate::world::WorldError;
use crate::world::engine::Engine;
use crate::world::engine::envoy::{Envoy, EnvoyImage, Post};

/// The hidden command that envoys run.
pub const ERRANDS: &str = "probe-errands";

/// So many are made at once; the engine makes no more at a time however many are asked for.
const AT_ONCE: usize = 8;

/// Those that were sent, and the image they are made from.
#[derive(Default)]
pub struct Envoys {
    image: OnceCell<EnvoyImage>,
    sent: Mutex<Vec<Arc<Envoy>>>,
    /// Held while some are being sent.
    going: Mutex<()>,
    /// Whether no more are to be.
    stopped: AtomicBool,
}

impl Envoys {
    /// Sends one to everybody in the scene who runs, and one to the host; those of before come home first. The machines
    /// of a lan are in no container's namespace, so nobody is sent there.
    pub async fn places(
        &self,
        engine: &Engine,
        project: &ProjectName,
        scene: &Scene,
    ) -> Result<Places, Failure> {
        self.recall(engine).await;
        let _going = self.going.lock().await;
        self.send(engine, project, scene).await
    }

    /// Sends no more, and returns when none are on their way: a call to the engine that is given up half way may be obeyed
    /// all the same.
    pub async fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _none = self.going.lock().await;
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    async fn send(
        &self,
        engine: &Engine,
        project: &ProjectName,
        scene: &Scene,
    ) -> Result<Places, Failure> {
        let image = self
            .image
            .get_or_try_init(|| engine.make_envoy_image(&[ERRANDS]))
            .await?;
        let running = scene.containers.iter().filter(|(_, tenant)| tenant.runs());
        let posts = running
            .map(|(name, _)| {
                (
                    Viewpoint::Container(name.clone()),
                    Post::Container(name.clone()),
                )
            })
            .chain([(Viewpoint::Host, Post::Host)]);
        let mut going = stream::iter(posts.take_while(|_| !self.is_stopped()))
            .map(async |(viewpoint, post)| {
                let sent = match engine.send_envoy(image, project, &post).await {
                    Err(error) => match &post {
                        Post::Container(name) if !engine.runs(name).await? => Ok(None),
                        _ => Err(error),
                    },
                    sent => sent.map(Some),
                };
                Ok((viewpoint, sent?))
            })
            .buffer_unordered(AT_ONCE);
        let mut places = Places::default();
        let mut failed = None;
        while let Some(sent) = going.next().await {
            match sent {
                Ok((viewpoint, Some(envoy))) => {
                    let envoy = Arc::new(envoy);
                    self.sent.lock().await.push(Arc::clone(&envoy));
                    places.all.insert(viewpoint, Place::There(envoy));
                }
                Ok((_, None)) => places.stale = true,
                Err(error) => failed = Some(error),
            }
        }
        if self.is_stopped() {
            return Err(Failure::Told(Exit::Interrupted));
        }
        if let Some(error) = failed {
            return Err(of_another_kind(error));
        }
        let host = places.all.get(&Viewpoint::Host).cloned();
        for (shim, host) in scene.shims.keys().zip(std::iter::repeat(host).flatten()) {
            places.all.insert(Viewpoint::Shim(shim.clone()), host);
        }
        Ok(places)
    }

    /// Calls all of them home.
    async fn recall(&self, engine: &Engine) {
        let sent = std::mem::take(&mut *self.sent.lock().await);
        stream::iter(&sent)
            .for_each_concurrent(AT_ONCE, |envoy| engine.recall(envoy))
            .await;
    }

    /// Calls all of them home and takes their image away.
    pub async fn end(&self, engine: &Engine) -> Result<(), Failure> {
        self.recall(engine).await;
        if let Some(image) = self.image.get() {
            engine.remove_envoy_image(&image.reference).await?;
        }
        Ok(())
    }
}

fn of_another_kind(error: WorldError) -> Failure {
    if !error.to_string().contains("exec format error") {
        return error.into();
    }
    Failure::with_hint(
        error.to_string(),
        format!(
            "a probe container runs this very program, which is for {}: run `stack` on a machine of the engine's kind",
            std::env::consts::ARCH
        ),
    )
}

/// Reads errands line by line and answers each, until there are no more.
pub fn errands() -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut errands = Errands::begin()?;
    for line in std::io::stdin().lock().lines() {
        let answer = runtime.block_on(errands.answer(&line?));
        let mut output = std::io::stdout().lock();
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(Exit::Done)
}
