//! What the engine is, and whether its host is this machine.

use std::path::{Path, PathBuf};

use bollard::models::{LocalNodeState, SystemInfo};
use nix::sys::socket::{getsockopt, sockopt};

use crate::plan::observed::{EngineFacts, SwarmState};
use crate::world::engine::connect::Endpoint;
use crate::world::engine::wire::{Api, Greeting};

/// The process that listens on the engine's socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    pub process: i32,
    /// Its short name in the kernel (`/proc/PID/comm`).
    pub name: String,
}

impl Listener {
    /// The network namespace in which the engine makes its links. A socket that systemd listens on for the engine
    /// (process 1) gives the machine's own, which is where such an engine runs.
    pub fn namespace(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.process))
    }
}

impl Listener {
    /// Whether the engine numbers processes as we do: an engine in a PID namespace of its own (rootless ones may be)
    /// tells numbers that mean other processes here. Where the kernel does not let us look, they are taken to agree;
    /// it then does not let us look at the processes either.
    pub fn numbers_as_we_do(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        let namespace = |process: &str| {
            let file = std::fs::metadata(format!("/proc/{process}/ns/pid")).ok();
            file.map(|file| (file.dev(), file.ino()))
        };
        let engine = namespace(&self.process.to_string());
        engine.is_none() || engine == namespace("self")
    }
}

/// Who listens on a unix socket, or why that cannot be told (another PID namespace, a socket nobody listens on).
pub fn listener(socket: &Path) -> Result<Listener, String> {
    let stream =
        std::os::unix::net::UnixStream::connect(socket).map_err(|error| error.to_string())?;
    let peer = getsockopt(&stream, sockopt::PeerCredentials).map_err(|error| error.to_string())?;
    if peer.pid() <= 0 {
        return Err("the engine's process is in another PID namespace".to_owned());
    }
    let name = std::fs::read_to_string(format!("/proc/{}/comm", peer.pid()))
        .map_err(|error| format!("process {}: {error}", peer.pid()))?;
    Ok(Listener {
        process: peer.pid(),
        name: name.trim_end().to_owned(),
    })
}

/// Why the engine's host cannot be worked on from here, as far as the endpoint tells.
pub fn elsewhere(endpoint: &Endpoint, listener: &Result<Listener, String>) -> Option<String> {
    match endpoint {
        Endpoint::Unix(_) => match listener {
            Err(reason) => Some(reason.clone()),
            Ok(listener) => {
                // A forwarded socket (ssh -L, socat) leads to another machine's engine.
                let known = ["dockerd", "systemd", "init", "podman", "rootlesskit"];
                let local = listener.process == 1
                    || known.iter().any(|name| listener.name.starts_with(name));
                (!local).then(|| {
                    format!(
                        "its socket is served by `{}`, which is not an engine of this machine",
                        listener.name
                    )
                })
            }
        },
        Endpoint::Tcp(address) | Endpoint::Tls { address, .. } | Endpoint::Ssh(address) => Some(
            format!("the engine is reached over the network at {address}"),
        ),
    }
}

/// The plugins of the first kind that an engine of this machine would find: a socket or a file in a well-known folder
/// (docs.docker.com/engine/extend/plugin_api). They are in the engine's own list only once they are used.
pub fn plugin_files(process: i32) -> Vec<String> {
    // The engine's own view of its files; its namespaces may not be ours.
    let root = PathBuf::from(format!("/proc/{process}/root"));
    let mut found = Vec::new();
    for (folder, endings) in [
        ("run/docker/plugins", ["sock", ""]),
        ("etc/docker/plugins", ["spec", "json"]),
        ("usr/lib/docker/plugins", ["spec", "json"]),
    ] {
        let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten();
        for path in entries.flatten().map(|entry| entry.path()) {
            let Some(name) = path.file_stem().and_then(|name| name.to_str()) else {
                continue;
            };
            let ending = path.extension().unwrap_or_default();
            let is_plugin = match path.is_dir() {
                // A folder of its own with the socket in it; those of managed plugins have other names.
                true => path.join(format!("{name}.sock")).exists(),
                false => !ending.is_empty() && endings.iter().any(|known| ending == *known),
            };
            if is_plugin && !found.iter().any(|known| known == name) {
                found.push(name.to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The facts from the answer to `GET /info` and what is known besides.
pub fn facts(
    info: SystemInfo,
    api: Api,
    greeting: &Greeting,
    endpoint: &Endpoint,
    elsewhere: Option<String>,
) -> EngineFacts {
    let swarm = info
        .swarm
        .map_or(SwarmState::Inactive, |swarm| match swarm.local_node_state {
            Some(LocalNodeState::ACTIVE) if swarm.control_available == Some(true) => {
                SwarmState::Manager
            }
            Some(LocalNodeState::ACTIVE) => SwarmState::Worker,
            _ => SwarmState::Inactive,
        });
    let kernel = info.kernel_version.unwrap_or_default();
    let operating_system = info.operating_system.unwrap_or_default();
    let security = info.security_options.unwrap_or_default();
    EngineFacts {
        version: info
            .server_version
            .unwrap_or_else(|| greeting.version.clone()),
        api,
        name: info.name.unwrap_or_default(),
        os_type: info.os_type.unwrap_or_else(|| greeting.os_type.clone()),
        swarm,
        network_drivers: info
            .plugins
            .and_then(|plugins| plugins.network)
            .unwrap_or_default(),
        rootless: security
            .iter()
            .any(|option| option.contains("name=rootless")),
        elsewhere: elsewhere.or_else(|| other_kernel(&kernel, &operating_system)),
        endpoint: endpoint.url(),
        address_pools: info
            .default_address_pools
            .unwrap_or_default()
            .iter()
            .filter_map(|pool| {
                let size = u8::try_from(pool.size?).ok()?;
                Some((pool.base.as_ref()?.parse().ok()?, size))
            })
            .collect(),
        firewall: info.firewall_backend.and_then(|firewall| firewall.driver),
        kernel,
        operating_system,
    }
}

/// An engine in a virtual machine of this machine has a kernel of its own.
fn other_kernel(kernel: &str, operating_system: &str) -> Option<String> {
    let here = nix::sys::utsname::uname().ok()?;
    (here.release() != kernel).then(|| {
        format!("the engine runs in a virtual machine ({operating_system}, kernel {kernel})")
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;

    use super::{Listener, elsewhere, listener};
    use crate::world::engine::connect::Endpoint;

    #[test]
    fn the_listener_of_a_socket_is_the_process_that_opened_it() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let _open = UnixListener::bind(&socket).unwrap();
        let found = listener(&socket).unwrap();
        assert_eq!(found.process, std::process::id() as i32);
        assert!(found.namespace().exists());
        assert!(found.numbers_as_we_do());
    }

    #[test]
    fn a_forwarded_socket_and_another_machine_are_elsewhere() {
        let unix = Endpoint::Unix(PathBuf::from("/x"));
        let by = |name: &str, process| {
            Ok(Listener {
                process,
                name: name.to_owned(),
            })
        };
        assert_eq!(elsewhere(&unix, &by("dockerd", 7)), None);
        assert_eq!(elsewhere(&unix, &by("whatever", 1)), None);
        assert!(elsewhere(&unix, &by("ssh", 7)).unwrap().contains("`ssh`"));
        assert!(
            elsewhere(&Endpoint::Tcp("box:1".into()), &Err(String::new()))
                .unwrap()
                .contains("box:1")
        );
    }
}
