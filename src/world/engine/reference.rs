//! Image references, compared as the engine compares them.

/// A reference in parts: `[registry/]path[:tag][@digest]`, or the id of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The registry's host; `docker.io` where none is written.
    pub registry: String,
    /// With `library/` in front of the short names of the default registry.
    pub path: String,
    pub tag: Option<String>,
    pub digest: Option<String>,
    text: String,
}

impl Reference {
    /// Takes a text apart; every text is a reference of some kind.
    pub fn parse(text: &str) -> Reference {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (text, None),
        };
        // A colon after the last slash is the tag's; before, it is the registry's port's.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (rest, None),
        };
        let (registry, path) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
            _ => ("docker.io", name),
        };
        let registry = if registry == "index.docker.io" {
            "docker.io"
        } else {
            registry
        };
        let path = if registry == "docker.io" && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        Reference {
            registry: registry.to_owned(),
            path,
            tag,
            digest,
            text: text.to_owned(),
        }
    }

    /// The tag that is meant: `latest` where neither a tag nor a digest is written.
    pub fn meant_tag(&self) -> Option<&str> {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => Some(tag),
            (None, Some(_)) => None,
            (None, None) => Some("latest"),
        }
    }

    /// The whole name with nothing left to guess: `REGISTRY/PATH[:TAG][@DIGEST]`. Where neither a tag nor a digest is
    /// written it says `latest`.
    pub fn whole(&self) -> String {
        let tag = self.meant_tag().map(|tag| format!(":{tag}"));
        let digest = self.digest.as_ref().map(|digest| format!("@{digest}"));
        format!(
            "{}/{}{}{}",
            self.registry,
            self.path,
            tag.unwrap_or_default(),
            digest.unwrap_or_default()
        )
    }

    fn same_repository(&self, other: &Reference) -> bool {
        self.registry == other.registry && self.path == other.path
    }

    /// Whether it means the image with this tagged name. With a digest the tag does not count.
    pub fn is_tag(&self, tagged: &Reference) -> bool {
        self.digest.is_none()
            && self.same_repository(tagged)
            && self.meant_tag() == tagged.meant_tag()
    }

    /// Whether it means the image with this digest.
    pub fn is_digest(&self, with_digest: &Reference) -> bool {
        self.digest.is_some()
            && self.same_repository(with_digest)
            && self.digest == with_digest.digest
    }

    /// Whether it is the id of this image, whole or its first digits (12 at least).
    pub fn is_id(&self, id: &str) -> bool {
        let digits = self.text.strip_prefix("sha256:").unwrap_or(&self.text);
        digits.len() >= 12
            && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
            && id.strip_prefix("sha256:").unwrap_or(id).starts_with(digits)
    }
}

#[cfg(test)]
mod tests {
    use super::Reference;

    #[test]
    fn a_reference_is_taken_apart() {
        let parts = |text: &str| {
            let reference = Reference::parse(text);
            let tag = reference.meant_tag().unwrap_or("-").to_owned();
            format!("{} {} {tag}", reference.registry, reference.path)
        };
        assert_eq!(parts("nginx"), "docker.io library/nginx latest");
        assert_eq!(parts("me/app:2"), "docker.io me/app 2");
        assert_eq!(parts("localhost:5000/app"), "localhost:5000 app latest");
        assert_eq!(parts("ghcr.io/a/b:1.2"), "ghcr.io a/b 1.2");
        assert_eq!(parts("x@sha256:12"), "docker.io library/x -");
        let whole = |text: &str| Reference::parse(text).whole();
        assert_eq!(whole("nginx"), "docker.io/library/nginx:latest");
        assert_eq!(whole("a.b:5/c@sha256:12"), "a.b:5/c@sha256:12");
        assert_eq!(whole("ghcr.io/a:1@sha256:12"), "ghcr.io/a:1@sha256:12");
    }
}
