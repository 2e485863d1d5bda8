//! References to what is not on this machine: git repositories and OCI artifacts. Reading a file never asks the network:
//! what it says today it must say tomorrow, and looking at it (`config`, an editor, CI) must not run what others wrote.
//! So they are refused, with the commands that bring the files here.

use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// A repository, and what of it is meant: `URL[#REF[:FOLDER]]`.
struct Repository<'a> {
    url: &'a str,
    reference: Option<&'a str>,
    folder: Option<&'a str>,
}

/// The refusal of a name of a file, where it is a remote reference.
pub fn refusal(name: &str, span: Span) -> Option<Diagnostic> {
    let is_artifact = name.starts_with("oci://");
    let is_repository = !is_artifact
        && (name.contains("://")
            || ["git@", "github.com/"]
                .iter()
                .any(|start| name.starts_with(start)));
    if !is_artifact && !is_repository {
        return None;
    }
    let hint = if is_artifact {
        "fetch its files once (`oras pull`, or `docker compose -f oci://… config -o FILE`), keep them beside this file, and name them here".to_owned()
    } else {
        clone_hint(&repository(name))
    };
    let diagnostic = Diagnostic::error(
        "remote-include",
        format!("`{name}` is a remote reference, and reading a stack asks no network"),
    );
    Some(diagnostic.at(span).hint(hint))
}

fn repository(name: &str) -> Repository<'_> {
    let (url, rest) = match name.split_once('#') {
        Some((url, rest)) => (url, Some(rest)),
        None => (name, None),
    };
    let (reference, folder) = match rest.map(|rest| rest.split_once(':')) {
        Some(Some((reference, folder))) => (Some(reference), Some(folder)),
        Some(None) => (rest, None),
        None => (None, None),
    };
    Repository {
        url,
        reference: reference.filter(|text| !text.is_empty()),
        folder: folder.filter(|text| !text.is_empty()),
    }
}

fn clone_hint(repository: &Repository) -> String {
    let Repository {
        url,
        reference,
        folder,
    } = repository;
    let last = url.trim_end_matches('/').rsplit(['/', ':']).next();
    let place = last
        .map(|name| name.trim_end_matches(".git"))
        .filter(|name| !name.is_empty())
        .unwrap_or("included");
    let branch = reference.map_or(String::new(), |name| format!("--branch {name} "));
    let url = match url.strip_prefix("github.com/") {
        Some(_) => format!("https://{url}"),
        None => (*url).to_owned(),
    };
    let folder = folder.map_or(String::new(), |folder| format!("/{folder}"));
    format!(
        "bring it here (`git clone --depth 1 {branch}{url} {place}`, or a submodule) and name {place}{folder}/compose.yaml"
    )
}

#[cfg(test)]
mod tests {
    use super::refusal;
    use crate::source::{SourceId, Span};

    #[test]
    fn a_remote_reference_is_refused_with_the_command_that_brings_it_here() {
        let span = Span {
            source: SourceId::FIRST,
            start: 0,
            end: 0,
        };
        let hint = |name: &str| refusal(name, span).and_then(|one| one.hint);
        assert_eq!(hint("../shared/compose.yaml"), None);
        assert_eq!(hint("C:/x/compose.yaml"), None);
        assert_eq!(
            hint("https://example.org/team/db.git#v2:prod").as_deref(),
            Some(
                "bring it here (`git clone --depth 1 --branch v2 https://example.org/team/db.git db`, or a submodule) and name db/prod/compose.yaml"
            )
        );
        assert_eq!(
            hint("git@example.org:db.git").as_deref(),
            Some(
                "bring it here (`git clone --depth 1 git@example.org:db.git db`, or a submodule) and name db/compose.yaml"
            )
        );
        assert_eq!(
            hint("github.com/team/db").as_deref(),
            Some(
                "bring it here (`git clone --depth 1 https://github.com/team/db db`, or a submodule) and name db/compose.yaml"
            )
        );
        assert!(
            hint("oci://registry.example.org/db:1").is_some_and(|hint| hint.contains("oras pull"))
        );
    }
}
