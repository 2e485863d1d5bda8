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
        let known = here.ok().and_then(|found| found.repo_digests);
        match fetched_with(&name, &known.unwrap_or_default()) {
            Some(digest) => Ok(pinned(&name, digest, PinnedBy::Engine(refusal.said))),
            None => Err(refusal.hint(format!(
                "pull it while `{}` can be reached, or write the digest yourself: image: {}@sha256:…",
                name.registry,
                name.whole()
            ))),
        }
    }
}

/// The digest with which an image was fetched under a name: one image may have come from several registries.
fn fetched_with(name: &Reference, repo_digests: &[String]) -> Option<String> {
    repo_digests
        .iter()
        .map(|text| Reference::parse(text))
        .find(|known| known.registry == name.registry && known.path == name.path)
        .and_then(|known| known.digest)
}

fn pinned(name: &Reference, digest: String, by: PinnedBy) -> Pinned {
    Pinned {
        reference: format!("{}@{digest}", name.whole()),
        by,
    }
}

#[cfg(test)]
mod tests {
    use super::fetched_with;
    use crate::world::engine::reference::Reference;

    #[test]
    fn without_a_registry_the_digest_is_that_of_the_same_name() {
        let digest = |letter: &str| format!("sha256:{}", letter.repeat(64));
        let known = [
            format!("ghcr.io/library/nginx@{}", digest("a")),
            format!("nginx@{}", digest("b")),
            format!("127.0.0.1:5000/lab/web@{}", digest("c")),
        ];
        for (name, found) in [
            ("nginx:1.27", Some("b")),
            ("docker.io/library/nginx", Some("b")),
            ("ghcr.io/library/nginx:2", Some("a")),
            ("127.0.0.1:5000/lab/web:1", Some("c")),
            ("127.0.0.1:5001/lab/web:1", None),
            ("web", None),
        ] {
            let digest = found.map(digest);
            assert_eq!(
                fetched_with(&Reference::parse(name), &known),
                digest,
                "{name}"
            );
        }
        assert_eq!(fetched_with(&Reference::parse("nginx"), &[]), None);
    }
}
