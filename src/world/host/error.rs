//! The kernel's numbers as errors a person can act on.

use std::io;

use nix::errno::Errno;

use crate::world::host::claim::Owner;
use crate::world::host::socket::NetlinkError;
use crate::world::{ErrorKind, WorldError};

/// The kernel refused `act` (`cannot create link …`).
pub fn refused(act: impl Into<String>, error: &NetlinkError) -> WorldError {
    let kind = match error.errno {
        Errno::EPERM | Errno::EACCES => ErrorKind::Forbidden,
        Errno::EOPNOTSUPP | Errno::EPFNOSUPPORT | Errno::EAFNOSUPPORT | Errno::ENOSYS => {
            ErrorKind::Unsupported
        }
        Errno::ENODEV | Errno::ENOENT | Errno::ESRCH | Errno::EADDRNOTAVAIL => ErrorKind::Missing,
        Errno::EBUSY | Errno::EADDRINUSE => ErrorKind::InUse,
        Errno::EEXIST => ErrorKind::Taken,
        _ => ErrorKind::Refused,
    };
    let said = WorldError::new(kind, act, error);
    if kind == ErrorKind::Forbidden {
        said.hint("this needs CAP_NET_ADMIN on the host: run it as root, for example with sudo")
    } else {
        said
    }
}

/// The system refused `act`.
pub fn broken(act: impl Into<String>, error: &io::Error) -> WorldError {
    match error.raw_os_error() {
        Some(code) => refused(act, &NetlinkError::from(Errno::from_raw(code))),
        None => WorldError::new(ErrorKind::Refused, act, error),
    }
}

/// `act` would change something that is not this project's.
pub fn taken(act: impl Into<String>, owner: &Owner) -> WorldError {
    let error = WorldError::new(ErrorKind::Taken, act, owner);
    match owner {
        Owner::Project(project) => error.hint(format!(
            "take that project down first: stack -p {project} down"
        )),
        Owner::Unnamed => error.hint("`stack orphans` shows what unfinished runs left"),
        Owner::Altered => error.hint(
            "give it back its alias (`ip link set dev NAME alias 'stack project=…'`), or remove the link yourself where it is yours",
        ),
        Owner::Foreign | Owner::Ours(_) | Owner::Newborn => error,
    }
}
