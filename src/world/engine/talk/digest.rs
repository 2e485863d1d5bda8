//! The digests that images have now: what pins a file to what was tested.

use crate::world::engine::error::refused;
use crate::world::engine::reference::Reference;
use crate::world::engine::{Engine, credential};
use crate::world::{ErrorKind, WorldError};

/// An image by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// `REGISTRY/PATH[:TAG]@DIGEST`.
    pub reference: String,
    pub by: PinnedBy,
}

/// Who told the digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinnedBy {
    /// It was written already.
    Name,
    /// The registry, through the engine.
    Registry,
    /// The engine, of the image that it has: the registry gave no answer, for this reason.
    Engine(String),
}

impl Engine {
    /// Pins an image: asks its registry through the engine, and where that fails takes the digest with which the
    /// engine once fetched it.
    pub async fn pinned(&self, image: &str) -> Result<Pinned, WorldError> {
        let name = Reference::parse(image);
        if name.digest.is_some() {
            return Ok(Pinned {
                reference: name.whole(),
                by: PinnedBy::Name,
            });
        }
        let act = || format!("cannot pin image `{image}` to a digest");
        let credentials = match self.config_folder() {
            Some(folder) => credential::of_registry(folder, &name.registry).await,
            None => None,
        };
        let asked = self
            .patient()
            .inspect_registry_image(&name.whole(), credentials)
            .await;
        let refusal = match asked {
            Ok(found) => match found.descriptor.digest {
                Some(digest) => return Ok(pinned(&name, digest, PinnedBy::Registry)),
                None => WorldError::new(ErrorKind::Refused, act(), "the registry told no digest"),
            },
            Err(error) => refused(act(), error),
        };
        let here = self.docker().inspect_image(image).await;
        let digest = here
            .ok()
            .and_then(|found| found.repo_digests)
            .into_iter()
            .flatten()
            .map(|text| Reference::parse(&text))
            .find(|known| known.registry == name.registry && known.path == name.path)
            .and_then(|known| known.digest);
        match digest {
            Some(digest) => Ok(pinned(&name, digest, PinnedBy::Engine(refusal.said))),
            None => Err(refusal.hint(format!(
                "pull it while `{}` can be reached, or write the digest yourself: image: {}@sha256:…",
                name.registry,
                name.whole()
            ))),
        }
    }
}

fn pinned(name: &Reference, digest: String, by: PinnedBy) -> Pinned {
    Pinned {
        reference: format!("{}@{digest}", name.whole()),
        by,
    }
}
