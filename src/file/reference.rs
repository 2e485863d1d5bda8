//! The grammar of image references, `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`, as the engine checks it.

/// What is wrong with a reference, in the engine's words where it has some.
pub fn mistake(text: &str) -> Option<String> {
    let strange = |c: &char| c.is_whitespace() || c.is_control();
    if let Some(found) = text.chars().find(strange) {
        return Some(format!("it holds {found:?}"));
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    if let Some(digest) = digest
        && !is_digest(digest)
    {
        return Some(format!("`{digest}` is not a digest such as sha256:0123…"));
    }
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    if let Some(tag) = tag
        && !is_tag(tag)
    {
        return Some(format!("`{tag}` is not a tag"));
    }
    let path = match name.split_once('/') {
        Some((host, path))
            if host == "localhost"
                || host.contains(['.', ':'])
                || host.chars().any(|c| c.is_ascii_uppercase()) =>
        {
            path
        }
        _ => name,
    };
    let wrong = path.split('/').find(|part| !is_component(part))?;
    Some(if wrong.chars().any(|c| c.is_ascii_uppercase()) {
        format!("repository name `{wrong}` must be lowercase")
    } else if wrong.is_empty() {
        "a part of its name is empty".to_owned()
    } else {
        format!("`{wrong}` is not a part of a repository's name")
    })
}

fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(kind, digits)| {
        !kind.is_empty() && digits.len() >= 32 && digits.chars().all(|c| c.is_ascii_hexdigit())
    })
}

fn is_tag(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= 128
        && text.starts_with(word)
        && text.chars().all(|c| word(c) || c == '.' || c == '-')
}

/// Lower-case letters and digits, with `.`, `_`, `__` or dashes between them.
fn is_component(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(plain)
        && text.ends_with(plain)
        && text.split(plain).all(|between| {
            matches!(between, "" | "." | "_" | "__") || between.chars().all(|c| c == '-')
        })
}

#[cfg(test)]
mod tests {
    use super::mistake;

    #[test]
    fn references_are_those_that_the_engine_takes() {
        let digest = "a".repeat(64);
        for good in [
            "nginx",
            "nginx:1.27-alpine",
            "library/nginx",
            "ghcr.io/a-b/c_d.e__f:V1",
            "localhost/x",
            "localhost:5000/x:1",
            "Registry/x",
            "a---b",
            &digest,
            &format!("sha256:{digest}"),
            &format!("x@sha256:{digest}"),
            &format!("x:1@sha256:{digest}"),
        ] {
            assert_eq!(mistake(good), None, "{good}");
        }
        for (bad, why) in [
            ("a b", "it holds ' '"),
            ("a\0", "it holds '\\0'"),
            ("Nginx", "repository name `Nginx` must be lowercase"),
            ("a:b:c", "`a:b` is not a part of a repository's name"),
            ("a//b", "a part of its name is empty"),
            ("a/", "a part of its name is empty"),
            ("x:", "`` is not a tag"),
            ("x:-1", "`-1` is not a tag"),
            (
                "x@sha256:12",
                "`sha256:12` is not a digest such as sha256:0123…",
            ),
            ("a..b", "`a..b` is not a part of a repository's name"),
            ("-a", "`-a` is not a part of a repository's name"),
        ] {
            assert_eq!(mistake(bad).as_deref(), Some(why), "{bad}");
        }
    }
}
