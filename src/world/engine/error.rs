//! What the engine says when it refuses, in the words of [`WorldError`]. The only place that knows the engine's texts;
//! each was seen from Docker Engine 20.10 or 28.

use std::error::Error as _;
use std::io;

use bollard::errors::Error;

use crate::world::{ErrorKind, WorldError};

/// The engine's answer to `act`, as an error of the world.
pub fn refused(act: impl Into<String>, error: Error) -> WorldError {
    match error {
        Error::DockerResponseServerError { status_code, message } => answer(act.into(), status_code, &message),
        Error::DockerStreamError { error } => answer(act.into(), 500, &error),
        Error::RequestTimeoutError => WorldError::new(
            ErrorKind::Unreachable,
            act,
            "the engine does not answer",
        )
        .hint("see whether the engine is overloaded or stuck, for example with `journalctl -u docker`"),
        Error::HyperLegacyError { err } if err.is_connect() => unreachable_engine(act.into(), &err),
        Error::SocketNotFoundError(path) => WorldError::new(
            ErrorKind::Unreachable,
            act,
            format!("there is no socket {path}"),
        )
        .hint(START_ENGINE),
        other => WorldError::new(ErrorKind::Unreachable, act, with_causes(&other)),
    }
}

/// The status of an answer that was a refusal.
pub fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// `Ok` where the answer says that there is nothing of that name or that nothing had to be done.
pub fn absent_is_fine(answer: Result<(), Error>) -> Result<(), Error> {
    match answer {
        Err(error) if matches!(status(&error), Some(404 | 304)) => Ok(()),
        other => other,
    }
}

/// The code that a shell gives for a program that cannot be started, where that is what the engine refused: 127 for
/// one that is not there, 126 for one that cannot be run. As the docker client has it.
pub fn code_of_start(error: &WorldError) -> Option<u8> {
    let says = |texts: &[&str]| texts.iter().any(|text| error.said.contains(text));
    if !says(&[
        "OCI runtime",
        "runc create failed",
        "failed to create shim task",
    ]) {
        None
    } else if says(&["executable file not found", "no such file or directory"]) {
        Some(127)
    } else if says(&["permission denied", "is a directory"]) {
        Some(126)
    } else {
        None
    }
}

/// Whether the engine says that a name is taken.
pub fn is_name_conflict(error: &Error) -> bool {
    status(error) == Some(409)
}

const START_ENGINE: &str = "start it (`systemctl start docker`, or `stack engine start` for a private one), or say where it is with `-H` or DOCKER_HOST";

fn unreachable_engine(act: String, error: &hyper_util::client::legacy::Error) -> WorldError {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return match error.kind() {
                io::ErrorKind::PermissionDenied => WorldError::new(
                    ErrorKind::Forbidden,
                    act,
                    "permission denied while trying to connect to the engine's socket",
                )
                .hint("run as root, or as a member of the group that owns the socket (`docker`)"),
                _ => WorldError::new(ErrorKind::Unreachable, act, without_number(error))
                    .hint(START_ENGINE),
            };
        }
        cause = error.source();
    }
    WorldError::new(ErrorKind::Unreachable, act, error).hint(START_ENGINE)
}

/// The kernel's words without Rust's addition (`Connection refused (os error 111)`).
fn without_number(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

const NO_REGISTRY: &str = "the engine's host cannot reach the registry; without a network, load the image with `docker load` and set `pull_policy: never`";

/// A part of the engine's text, the kind of refusal that it is, and what can be done. The first that matches counts.
const TEXTS: &[(&str, ErrorKind, Option<&str>)] = &[
    (
        "Client sent an HTTP request to an HTTPS server",
        ErrorKind::Refused,
        Some(
            "this engine wants TLS: set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH to the folder of ca.pem, cert.pem and key.pem",
        ),
    ),
    ("has active endpoints", ErrorKind::InUse, None),
    (
        "is in use by task",
        ErrorKind::InUse,
        Some(
            "an endpoint of it is still being taken down, perhaps on another node; try again in a moment",
        ),
    ),
    ("volume is in use", ErrorKind::InUse, None),
    (
        "Pool overlaps with other one on this address space",
        ErrorKind::Refused,
        Some("another network of this engine uses an overlapping subnet; `stack plan` names it"),
    ),
    (
        "available, non-overlapping IPv4 address pool",
        ErrorKind::Refused,
        Some(
            "all default address pools are used up: give the network a subnet, or remove networks that are not needed",
        ),
    ),
    (
        "is already using parent interface",
        ErrorKind::Refused,
        Some(
            "the engine allows one macvlan or ipvlan network for each parent: share that network, or use an 802.1Q link such as `eth0.20`",
        ),
    ),
    (
        // The macvlan and ipvlan drivers, for a network that the engine itself still lists.
        "network id \"",
        ErrorKind::Missing,
        Some(
            "the engine started before this network's parent link was there, and lost the network: restart the engine (`systemctl restart docker`) now that the link is there",
        ),
    ),
    (
        "invalid subinterface vlan name",
        ErrorKind::Missing,
        Some("the parent link does not exist on the engine's host"),
    ),
    (
        "was not found on the host",
        ErrorKind::Missing,
        Some("the parent link does not exist on the engine's host"),
    ),
    (
        "failed to create the ipvlan port: device or resource busy",
        ErrorKind::Refused,
        Some("macvlan and ipvlan cannot share a parent link: one of them needs another parent"),
    ),
    (
        "port: operation not supported",
        ErrorKind::Unsupported,
        Some("the kernel of the engine's host has no such link type: load or build the module"),
    ),
    (
        "vlan link: operation not supported",
        ErrorKind::Unsupported,
        Some("the kernel of the engine's host has no 802.1Q links: load the module `8021q`"),
    ),
    (
        "failed to create the macvlan port: invalid argument",
        ErrorKind::Refused,
        Some(
            "in passthru mode one link takes the whole parent: only one container can be on that network",
        ),
    ),
    (
        "This node is not a swarm manager",
        ErrorKind::Unsupported,
        Some(
            "overlay networks need swarm mode: `docker swarm init --advertise-addr ADDRESS` on this host, or `docker swarm join` to an existing swarm",
        ),
    ),
    (
        "not manually attachable",
        ErrorKind::Refused,
        Some("set `attachable: true` on the overlay network"),
    ),
    (
        "attaching to network failed",
        ErrorKind::Refused,
        Some(
            "the swarm did not give an address; the one asked for may be taken by another container of this network",
        ),
    ),
    (
        "port is already allocated",
        ErrorKind::InUse,
        Some("another container publishes that port"),
    ),
    (
        "all ports are allocated",
        ErrorKind::InUse,
        Some("the published range has fewer free ports than containers"),
    ),
    (
        "bind: address already in use",
        ErrorKind::InUse,
        Some("a process of the host listens on that port"),
    ),
    (
        "Address already in use",
        ErrorKind::InUse,
        Some(
            "another endpoint of that network has this address, or it is a reserved one (`aux_addresses`, gateway)",
        ),
    ),
    (
        "It does not belong to any of this network's subnets",
        ErrorKind::Refused,
        Some("choose an address inside the network's subnet"),
    ),
    (
        "user configured subnets",
        ErrorKind::Refused,
        Some("give the network a subnet under `ipam: config:`"),
    ),
    (
        "cannot join network of a non running container",
        ErrorKind::Refused,
        Some("the container whose network it shares does not run"),
    ),
    (
        "requires BuildKit",
        ErrorKind::Unsupported,
        Some(
            "images are built with the engine's classic builder: build this one with `docker buildx build` and name it under `image:`",
        ),
    ),
    (
        "executable file not found",
        ErrorKind::Missing,
        Some("the image has no such program: check `command` and `entrypoint`"),
    ),
    (
        "No such image",
        ErrorKind::Missing,
        Some("pull or build it: `stack pull`, `stack build`"),
    ),
    (
        "manifest unknown",
        ErrorKind::Missing,
        Some("the registry has no such tag"),
    ),
    (
        "pull access denied",
        ErrorKind::Missing,
        Some("the image does not exist or needs `docker login`"),
    ),
    (
        "no basic auth credentials",
        ErrorKind::Forbidden,
        Some("log in with `docker login`"),
    ),
    ("no such host", ErrorKind::Unreachable, Some(NO_REGISTRY)),
    ("dial tcp", ErrorKind::Unreachable, Some(NO_REGISTRY)),
    ("i/o timeout", ErrorKind::Unreachable, None),
    (
        "is too new. Maximum supported API version",
        ErrorKind::Unsupported,
        Some("unset DOCKER_API_VERSION"),
    ),
    (
        "is too old. Minimum supported API version",
        ErrorKind::Unsupported,
        Some(
            "this engine is newer than what this version of stack can speak, or DOCKER_API_VERSION is set too low",
        ),
    ),
    (
        "failed to set gateway while updating gateway",
        ErrorKind::Fault,
        Some("the default route of the container was changed by hand; restart the container"),
    ),
];

fn answer(act: String, status: u16, message: &str) -> WorldError {
    let said = message.trim();
    if let Some((_, kind, hint)) = TEXTS.iter().find(|(text, _, _)| said.contains(text)) {
        let error = WorldError::new(*kind, act, said);
        return match hint {
            Some(hint) => error.hint(*hint),
            None => error,
        };
    }
    let kind = match status {
        401 => ErrorKind::Forbidden,
        404 => ErrorKind::Missing,
        409 if said.contains("already in use by container") || said.contains("already exists") => {
            ErrorKind::Taken
        }
        501 => ErrorKind::Unsupported,
        _ => ErrorKind::Refused,
    };
    WorldError::new(kind, act, said)
}

#[cfg(test)]
mod tests {
    use bollard::errors::Error;

    use super::{absent_is_fine, refused};
    use crate::world::ErrorKind;

    fn server(status_code: u16, message: &str) -> Error {
        Error::DockerResponseServerError {
            status_code,
            message: message.to_owned(),
        }
    }

    #[test]
    fn the_engines_texts_become_kinds() {
        for (status, message, kind) in [
            (
                403,
                "error while removing network: network lan id 12 has active endpoints",
                ErrorKind::InUse,
            ),
            (
                409,
                "Conflict. The container name \"/web\" is already in use by container \"12\".",
                ErrorKind::Taken,
            ),
            (
                409,
                "network with name lan already exists",
                ErrorKind::Taken,
            ),
            (403, "Address already in use", ErrorKind::InUse),
            (404, "network lan not found", ErrorKind::Missing),
            (
                500,
                "Invalid subnet garbage : invalid CIDR address: garbage",
                ErrorKind::Refused,
            ),
            (
                500,
                "failed to create the macvlan port: operation not supported",
                ErrorKind::Unsupported,
            ),
            (
                500,
                "This node is not a swarm manager. Use \"docker swarm init\" or ...",
                ErrorKind::Unsupported,
            ),
        ] {
            let error = refused("cannot do it", server(status, message));
            assert_eq!(error.kind, kind, "{message}");
            assert_eq!(error.to_string(), format!("cannot do it: {message}"));
        }
    }

    #[test]
    fn what_is_not_there_is_removed() {
        assert!(absent_is_fine(Err(server(404, "No such container"))).is_ok());
        assert!(absent_is_fine(Err(server(304, ""))).is_ok());
        assert!(absent_is_fine(Err(server(500, "x"))).is_err());
    }
}
