//! A container spec as the engine's create request. Pure: every decision that an engine's API version calls for is made
//! here, so that an engine which would drop a key without a word is never asked.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, NetworkingConfig, PortBinding,
};

use crate::model::container::ContainerConfig;
use crate::model::port::{ExposedPort, PublishedPort};
use crate::plan::spec::{AttachmentSpec, ContainerNetwork, ContainerSpec, NamespaceRef};
use crate::world::WorldError;
use crate::world::engine::endpoint::{self, settings};
use crate::world::engine::limit::{
    cgroup_namespace, device, device_request, filled, health_config, isolation_of, limits,
    log_config, restart_policy,
};
use crate::world::engine::mount::{self, Mounted};
use crate::world::engine::old::TooOld;
use crate::world::engine::wire::Api;

/// How one container comes to be: created with some endpoints, then connected to the rest before it starts.
#[derive(Debug)]
pub struct Making {
    pub body: ContainerCreateBody,
    pub connect: Vec<(String, EndpointSettings)>,
}

/// How an engine that speaks `api` is asked for the container. `internal` are the networks without a way out, as far
/// as [`endpoint::gateway_matters`].
pub fn making(
    spec: &ContainerSpec,
    api: Api,
    internal: &BTreeSet<String>,
) -> Result<Making, WorldError> {
    let old = TooOld::new(format!("cannot create container `{}`", spec.name), api);
    // Every field is named, here and below, so that a new one cannot be forgotten.
    let ContainerSpec {
        name: _,
        service: _,
        number: _,
        image,
        config,
        network,
        ports,
        expose,
        volumes_from,
        ipc,
        pid,
        post_start: _,
        pre_stop: _,
        labels,
        auto_remove,
        // Its volumes are among the mounts by now.
        heir_of: _,
    } = spec;
    let ContainerConfig {
        command,
        entrypoint,
        working_dir,
        user,
        group_add,
        hostname,
        domainname,
        environment,
        // The spec's labels have the user's among them.
        labels: _,
        annotations,
        tty,
        stdin_open,
        stop_signal,
        stop_grace_period,
        restart,
        init,
        runtime,
        // Part of the query, not of the body.
        platform: _,
        healthcheck,
        logging,
        dns,
        dns_opt,
        dns_search,
        extra_hosts,
        sysctls,
        mounts,
        tmpfs,
        // Put into the container once it is there.
        files: _,
        cap_add,
        cap_drop,
        privileged,
        read_only,
        security_opt,
        userns_mode,
        uts,
        cgroup,
        cgroup_parent,
        isolation,
        device_cgroup_rules,
        devices,
        device_requests,
        storage_opt,
        resources,
    } = config.as_ref();
    if !annotations.is_empty() {
        old.needs((1, 43), "24.0", "`annotations`")?;
    }
    let joined = join(network, internal, &old)?;
    let Mounted { binds, mounts } = mount::mounts(mounts, &old)?;
    let host_config = HostConfig {
        network_mode: Some(joined.mode),
        links: filled(joined.links),
        port_bindings: filled(bindings(ports)),
        binds: filled(binds),
        mounts: filled(mounts),
        volumes_from: filled(volumes_from.clone()),
        ipc_mode: ipc.as_ref().map(namespace),
        pid_mode: pid.as_ref().map(namespace),
        auto_remove: auto_remove.then_some(true),
        group_add: filled(group_add.clone()),
        annotations: filled(annotations.clone().into_iter().collect()),
        restart_policy: Some(restart_policy(restart)),
        init: *init,
        runtime: runtime.clone(),
        log_config: logging.as_ref().map(log_config),
        dns: filled(dns.iter().map(ToString::to_string).collect()),
        dns_options: filled(dns_opt.clone()),
        dns_search: filled(dns_search.clone()),
        extra_hosts: filled(
            extra_hosts
                .iter()
                .map(|(name, address)| format!("{name}:{address}"))
                .collect(),
        ),
        sysctls: filled(sysctls.clone().into_iter().collect()),
        tmpfs: filled(tmpfs.clone().into_iter().collect()),
        cap_add: filled(cap_add.clone()),
        cap_drop: filled(cap_drop.clone()),
        privileged: privileged.then_some(true),
        readonly_rootfs: read_only.then_some(true),
        security_opt: filled(security_opt.clone()),
        userns_mode: userns_mode.clone(),
        uts_mode: uts.clone(),
        cgroupns_mode: cgroup.as_deref().map(cgroup_namespace),
        cgroup_parent: cgroup_parent.clone(),
        isolation: isolation.as_deref().map(isolation_of),
        device_cgroup_rules: filled(device_cgroup_rules.clone()),
        devices: filled(devices.iter().map(device).collect()),
        device_requests: filled(device_requests.iter().map(device_request).collect()),
        storage_opt: filled(storage_opt.clone().into_iter().collect()),
        ..limits(resources)
    };
    let body = ContainerCreateBody {
        image: Some(image.clone()),
        cmd: command.clone(),
        entrypoint: entrypoint.clone(),
        working_dir: working_dir.clone(),
        user: user.clone(),
        hostname: hostname.clone(),
        domainname: domainname.clone(),
        env: filled(environment.iter().map(variable).collect()),
        labels: Some(labels.clone().into_iter().collect()),
        tty: tty.then_some(true),
        open_stdin: stdin_open.then_some(true),
        // Compose's: input ends with the first client that leaves.
        stdin_once: stdin_open.then_some(true),
        attach_stdin: stdin_open.then_some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        stop_signal: stop_signal.clone(),
        stop_timeout: stop_grace_period.map(whole_seconds),
        healthcheck: healthcheck
            .as_ref()
            .map(|check| health_config(check, &old))
            .transpose()?,
        exposed_ports: filled(exposed(ports, expose)),
        host_config: Some(host_config),
        networking_config: (!joined.endpoints.is_empty()).then_some(NetworkingConfig {
            endpoints_config: Some(joined.endpoints),
        }),
        ..ContainerCreateBody::default()
    };
    Ok(Making {
        body,
        connect: joined.connect,
    })
}

struct Joined {
    mode: String,
    links: Vec<String>,
    endpoints: HashMap<String, EndpointSettings>,
    connect: Vec<(String, EndpointSettings)>,
}

fn join(
    network: &ContainerNetwork,
    internal: &BTreeSet<String>,
    old: &TooOld,
) -> Result<Joined, WorldError> {
    let alone = |mode: &str| Joined {
        mode: mode.to_owned(),
        links: Vec::new(),
        endpoints: HashMap::new(),
        connect: Vec::new(),
    };
    Ok(match network {
        ContainerNetwork::Host => alone("host"),
        ContainerNetwork::None => alone("none"),
        ContainerNetwork::DefaultBridge { links } => Joined {
            links: endpoint::links(links),
            ..alone("bridge")
        },
        ContainerNetwork::Container(owner) => alone(&format!("container:{owner}")),
        ContainerNetwork::Named(name) => alone(name),
        ContainerNetwork::Attached(attachments) => attached(attachments, internal, old)?,
    })
}

/// From API 1.44 all endpoints go into the request. Before, one does; it is the one that has the MAC address, because
/// such an engine gives the container-wide address to the network of `NetworkMode` only.
fn attached(
    attachments: &[AttachmentSpec],
    internal: &BTreeSet<String>,
    old: &TooOld,
) -> Result<Joined, WorldError> {
    endpoint::check(attachments, internal, old)?;
    let with_mac = attachments
        .iter()
        .position(|attachment| attachment.mac_address.is_some());
    let first = if old.speaks(1, 44) {
        0
    } else {
        with_mac.unwrap_or(0)
    };
    let Some(primary) = attachments.get(first) else {
        return join(&ContainerNetwork::None, internal, old);
    };
    let mut joined = Joined {
        mode: primary.network.clone(),
        links: Vec::new(),
        endpoints: HashMap::from([(primary.network.clone(), settings(primary))]),
        connect: Vec::new(),
    };
    for (index, attachment) in attachments.iter().enumerate() {
        if index == first {
            continue;
        }
        let pair = (attachment.network.clone(), settings(attachment));
        if old.speaks(1, 44) {
            joined.endpoints.extend([pair]);
        } else {
            joined.connect.push(pair);
        }
    }
    Ok(joined)
}

fn namespace(reference: &NamespaceRef) -> String {
    match reference {
        NamespaceRef::Container(name) => format!("container:{name}"),
        NamespaceRef::Word(word) => word.clone(),
    }
}

/// A name without `=` takes the variable away that the image sets.
fn variable((name, value): (&String, &Option<String>)) -> String {
    match value {
        Some(value) => format!("{name}={value}"),
        None => name.clone(),
    }
}

fn whole_seconds(duration: Duration) -> i64 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// The engine drops a binding whose port is not exposed, without a word, so published ports are exposed as well.
fn exposed(ports: &[PublishedPort], expose: &[ExposedPort]) -> Vec<String> {
    let mut all: Vec<String> = ports
        .iter()
        .map(|port| format!("{}/{}", port.target, port.protocol))
        .chain(
            expose
                .iter()
                .map(|port| format!("{}/{}", port.port, port.protocol)),
        )
        .collect();
    all.sort();
    all.dedup();
    all
}

fn bindings(ports: &[PublishedPort]) -> HashMap<String, Option<Vec<PortBinding>>> {
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for PublishedPort {
        target,
        protocol,
        published,
        host_ip,
    } in ports
    {
        let binding = PortBinding {
            host_ip: host_ip.map(|address| address.to_string()),
            host_port: Some(published.map(|range| range.to_string()).unwrap_or_default()),
        };
        bindings
            .entry(format!("{target}/{protocol}"))
            .or_default()
            .get_or_insert_default()
            .push(binding);
    }
    bindings
}

/// Replaces the path of a seccomp profile by the profile, as the engine wants it.
pub fn inline_profiles(body: &mut ContainerCreateBody, act: &str) -> Result<(), WorldError> {
    let options = body
        .host_config
        .as_mut()
        .and_then(|config| config.security_opt.as_mut());
    for option in options.into_iter().flatten() {
        let Some(path) = option
            .strip_prefix("seccomp=")
            .or_else(|| option.strip_prefix("seccomp:"))
        else {
            continue;
        };
        if matches!(path, "unconfined" | "builtin") || path.trim_start().starts_with('{') {
            continue;
        }
        let profile = std::fs::read(path)
            .map_err(|error| error.to_string())
            .and_then(|text| {
                serde_json::from_slice::<serde_json::Value>(&text)
                    .map_err(|error| error.to_string())
            })
            .map_err(|error| {
                WorldError::new(
                    crate::world::ErrorKind::Missing,
                    act,
                    format!("seccomp profile {path}: {error}"),
                )
            })?;
        *option = format!("seccomp={profile}");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
