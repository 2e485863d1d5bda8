//! Endpoints: how a container is connected to a network, at its creation, before its start or while it runs.

use std::collections::BTreeSet;
use std::net::IpAddr;

use bollard::models::{
    EndpointIpamConfig, EndpointSettings, NetworkConnectRequest, NetworkDisconnectRequest,
};
use bollard::query_parameters::InspectContainerOptions;

use crate::plan::spec::{AttachmentSpec, EndpointSpec, Spec};
use crate::plan::step::{State, Step};
use crate::world::engine::Engine;
use crate::world::engine::error::{refused, status};
use crate::world::engine::inspect::inspect;
use crate::world::engine::old::TooOld;
use crate::world::{ErrorKind, WorldError};

const INTERFACE_NAME: &str = "com.docker.network.endpoint.ifname";
const SYSCTLS: &str = "com.docker.network.endpoint.sysctls";

/// The endpoint's settings in the engine's words.
pub fn settings(attachment: &AttachmentSpec) -> EndpointSettings {
    let AttachmentSpec {
        network: _,
        aliases,
        ipv4_address,
        ipv6_address,
        link_local_ips,
        mac_address,
        gw_priority,
        interface_name,
        driver_opts,
        links: private_names,
    } = attachment;
    let fixed = ipv4_address.is_some() || ipv6_address.is_some() || !link_local_ips.is_empty();
    let options = driver_opts
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .chain(
            interface_name
                .iter()
                .map(|name| (INTERFACE_NAME.to_owned(), name.clone())),
        );
    EndpointSettings {
        ipam_config: fixed.then(|| EndpointIpamConfig {
            ipv4_address: ipv4_address.map(|address| address.to_string()),
            ipv6_address: ipv6_address.map(|address| address.to_string()),
            link_local_ips: (!link_local_ips.is_empty())
                .then(|| link_local_ips.iter().map(IpAddr::to_string).collect()),
        }),
        links: (!private_names.is_empty()).then(|| links(private_names)),
        mac_address: mac_address.map(|mac| mac.to_string()),
        aliases: (!aliases.is_empty()).then(|| aliases.clone()),
        driver_opts: (!driver_opts.is_empty() || interface_name.is_some())
            .then(|| options.collect()),
        gw_priority: gw_priority.map(i64::from),
        ..EndpointSettings::default()
    }
}

/// Links as `container:alias`.
pub fn links(links: &[(String, String)]) -> Vec<String> {
    links
        .iter()
        .map(|(container, alias)| format!("{container}:{alias}"))
        .collect()
}

/// Refuses what an engine of this API version would ignore in a container's endpoints.
///
/// `internal` are the networks without a way out, which never give the default route.
pub fn check(
    attachments: &[AttachmentSpec],
    internal: &BTreeSet<String>,
    old: &TooOld,
) -> Result<(), WorldError> {
    for attachment in attachments {
        if attachment.interface_name.is_some()
            || attachment.driver_opts.contains_key(INTERFACE_NAME)
        {
            old.needs((1, 49), "28.1", "`interface_name`")?;
        }
        if attachment.driver_opts.contains_key(SYSCTLS) {
            old.needs((1, 46), "27.0", "the endpoint option for sysctls")?;
        }
    }
    let with_mac: Vec<&str> = attachments
        .iter()
        .filter(|attachment| attachment.mac_address.is_some())
        .map(|attachment| attachment.network.as_str())
        .collect();
    if with_mac.len() > 1 {
        let networks = with_mac
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(" and ");
        old.needs(
            (1, 44),
            "25.0",
            &format!("a MAC address on more than one network ({networks})"),
        )?;
    }
    if !old.speaks(1, 48) {
        check_gateway(attachments, internal, old)?;
    }
    Ok(())
}

/// Before API 1.48 the default route goes through the network whose name sorts first, whatever `gw_priority` says.
/// Where that is the wanted one, the wish is granted; else it is refused, since the engine would ignore it.
fn check_gateway(
    attachments: &[AttachmentSpec],
    internal: &BTreeSet<String>,
    old: &TooOld,
) -> Result<(), WorldError> {
    let priority = |attachment: &AttachmentSpec| attachment.gw_priority.unwrap_or(0);
    let highest = attachments.iter().map(priority).max().unwrap_or(0);
    let by_name = attachments
        .iter()
        .filter(|attachment| !internal.contains(&attachment.network))
        .min_by(|one, two| one.network.cmp(&two.network));
    let Some(by_name) = by_name.filter(|by_name| priority(by_name) < highest) else {
        return Ok(());
    };
    let wanted = attachments
        .iter()
        .find(|attachment| priority(attachment) == highest);
    Err(old
        .refuse(format!(
            "`gw_priority` wants the default route through `{}`; this engine takes it through `{}`, whose name sorts first, and knows no priorities before API 1.48 (Docker Engine 28.0)",
            wanted.map(|attachment| attachment.network.as_str()).unwrap_or_default(),
            by_name.network
        ))
        .hint("give the networks a `name:` so that the wanted one sorts first, make the other one `internal`, or upgrade the engine"))
}

/// Whether the check of these endpoints has to know which networks are internal.
pub fn gateway_matters(attachments: &[AttachmentSpec]) -> bool {
    attachments.len() > 1
        && attachments
            .iter()
            .any(|attachment| attachment.gw_priority.is_some())
}

/// Connects or disconnects a container that is there.
pub async fn change(engine: &Engine, step: &Step) -> Result<(), WorldError> {
    match (endpoint_of(&step.before), endpoint_of(&step.after)) {
        (None, None) => Ok(()),
        (Some(_), Some(_)) if step.before == step.after => Ok(()),
        (None, Some(after)) => connect(engine, after).await,
        (Some(before), None) => disconnect(engine, before).await,
        (Some(before), Some(after)) => {
            disconnect(engine, before).await?;
            connect(engine, after).await
        }
    }
}

fn endpoint_of(state: &State) -> Option<&EndpointSpec> {
    match state.spec()?.as_ref() {
        Spec::Endpoint(spec) => Some(spec),
        _ => None,
    }
}

async fn connect(engine: &Engine, endpoint: &EndpointSpec) -> Result<(), WorldError> {
    let EndpointSpec {
        container,
        attachment,
    } = endpoint;
    let act = || {
        format!(
            "cannot connect container `{container}` to network `{}`",
            attachment.network
        )
    };
    let old = TooOld::new(act(), engine.api());
    check(std::slice::from_ref(attachment), &BTreeSet::new(), &old)?;
    // Engines before API 1.54 drop it at a connect, without a word; but before 1.44 it is the container's, and holds for
    // the network that it was made on.
    if attachment.mac_address.is_some() && !is_own_mac(engine, endpoint).await? {
        old.needs((1, 54), "29.3", "a MAC address for a running container")?;
    }
    match connect_once(engine, container, &attachment.network, settings(attachment)).await {
        Ok(()) => check_mac(engine, endpoint).await,
        Err(error) if is_connected_already(&error) => {
            if as_wanted(engine, endpoint).await? {
                return Ok(());
            }
            // What stands there is the remains of a connect with other settings.
            disconnect(engine, endpoint).await?;
            connect_once(engine, container, &attachment.network, settings(attachment))
                .await
                .map_err(|error| refused(act(), error))
        }
        Err(error) => Err(refused(act(), error)),
    }
}

/// Whether the engine gives a container its MAC address whenever it is connected to this network: one before API 1.44,
/// on the network of `NetworkMode`.
async fn is_own_mac(engine: &Engine, endpoint: &EndpointSpec) -> Result<bool, WorldError> {
    if engine.api() >= (1, 44) {
        return Ok(false);
    }
    let mode = inspect(engine, &endpoint.container)
        .await?
        .and_then(|container| container.host_config?.network_mode);
    Ok(mode.as_deref() == Some(&endpoint.attachment.network))
}

/// Looks whether the endpoint of a running container has its fixed MAC address; one without it goes.
async fn check_mac(engine: &Engine, endpoint: &EndpointSpec) -> Result<(), WorldError> {
    let EndpointSpec {
        container,
        attachment,
    } = endpoint;
    let Some(wanted) = attachment.mac_address.map(|mac| mac.to_string()) else {
        return Ok(());
    };
    let networks = inspect(engine, container)
        .await?
        .and_then(|container| container.network_settings?.networks)
        .unwrap_or_default();
    let found = networks
        .get(&attachment.network)
        .and_then(|endpoint| endpoint.mac_address.as_deref());
    match found {
        // While the container is stopped, there is none to see.
        None | Some("") => Ok(()),
        Some(found) if found.eq_ignore_ascii_case(&wanted) => Ok(()),
        Some(found) => {
            disconnect(engine, endpoint).await?;
            Err(mac_not_set(container, &attachment.network, &wanted, found))
        }
    }
}

/// One request to connect, for a container that is created or runs.
pub async fn connect_once(
    engine: &Engine,
    container: &str,
    network: &str,
    settings: EndpointSettings,
) -> Result<(), bollard::errors::Error> {
    let request = NetworkConnectRequest {
        container: container.to_owned(),
        endpoint_config: Some(settings),
    };
    engine.docker().connect_network(network, request).await
}

/// Whether the engine says that there is such an endpoint.
pub fn is_connected_already(error: &bollard::errors::Error) -> bool {
    status(error) == Some(403) && error.to_string().contains("already exists in network")
}

async fn as_wanted(engine: &Engine, endpoint: &EndpointSpec) -> Result<bool, WorldError> {
    let act = || {
        format!(
            "cannot see how container `{}` is connected",
            endpoint.container
        )
    };
    let container = engine
        .docker()
        .inspect_container(&endpoint.container, None::<InspectContainerOptions>)
        .await
        .map_err(|error| refused(act(), error))?;
    let networks = container
        .network_settings
        .and_then(|settings| settings.networks)
        .unwrap_or_default();
    let Some(found) = networks.get(&endpoint.attachment.network) else {
        return Ok(false);
    };
    let wanted = settings(&endpoint.attachment);
    let aliases = |settings: &EndpointSettings| settings.aliases.clone().unwrap_or_default();
    let has = aliases(found);
    let asked = |settings: &EndpointSettings| {
        let config = settings.ipam_config.clone().unwrap_or_default();
        [config.ipv4_address, config.ipv6_address].map(Option::unwrap_or_default)
    };
    Ok(aliases(&wanted).iter().all(|alias| has.contains(alias)) && asked(found) == asked(&wanted))
}

async fn disconnect(engine: &Engine, endpoint: &EndpointSpec) -> Result<(), WorldError> {
    let EndpointSpec {
        container,
        attachment,
    } = endpoint;
    let request = NetworkDisconnectRequest {
        container: container.clone(),
        force: Some(false),
    };
    match engine
        .docker()
        .disconnect_network(&attachment.network, request)
        .await
    {
        Ok(()) => Ok(()),
        Err(error)
            if status(&error) == Some(404) || error.to_string().contains("is not connected to") =>
        {
            Ok(())
        }
        Err(error) => Err(refused(
            format!(
                "cannot disconnect container `{container}` from network `{}`",
                attachment.network
            ),
            error,
        )),
    }
}

/// The refusal of a fixed MAC address that the engine did not set.
pub fn mac_not_set(container: &str, network: &str, wanted: &str, found: &str) -> WorldError {
    WorldError::new(
        ErrorKind::Unsupported,
        format!(
            "cannot give container `{container}` the MAC address {wanted} on network `{network}`"
        ),
        format!("the engine gave it {found}"),
    )
}
