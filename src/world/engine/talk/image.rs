//! Images as people see them in lists.

use crate::world::WorldError;
use crate::world::engine::Engine;
use crate::world::engine::error::refused;

/// An image in short.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFacts {
    pub id: String,
    pub tags: Vec<String>,
    /// Bytes.
    pub size: i64,
    /// As RFC 3339.
    pub created: String,
    pub platform: String,
}

impl Engine {
    /// One image by id or name.
    pub async fn image_facts(&self, image: &str) -> Result<ImageFacts, WorldError> {
        let found = self.docker().inspect_image(image).await;
        let found =
            found.map_err(|error| refused(format!("cannot look at image `{image}`"), error))?;
        let platform: Vec<String> = [found.os, found.architecture, found.variant]
            .into_iter()
            .flatten()
            .filter(|part| !part.is_empty())
            .collect();
        Ok(ImageFacts {
            id: found.id.unwrap_or_default(),
            tags: found.repo_tags.unwrap_or_default(),
            size: found.size.unwrap_or(0),
            created: found
                .created
                .map(|date| date.to_string())
                .unwrap_or_default(),
            platform: platform.join("/"),
        })
    }
}
