//! Networks of the engine: made, removed, and read back as the spec that would make them again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use bollard::models::{Ipam, IpamConfig, Network, NetworkCreateRequest, NetworkInspect};
use bollard::query_parameters::{InspectNetworkOptions, ListNetworksOptionsBuilder};
use ipnet::IpNet;

use crate::model::mark;
use crate::model::name::ProjectName;
use crate::model::{hash, name::NetworkName};
use crate::plan::observed::FoundNetwork;
use crate::plan::spec::{NetworkSpec, PoolSpec, Spec};
use crate::plan::step::{Reason, State, Step};
use crate::world::engine::Engine;
use crate::world::engine::error::{absent_is_fine, is_name_conflict, refused};
use crate::world::engine::owner::{self, Owner};
use crate::world::{ErrorKind, Progress, WorldError};

/// Drivers that every engine has without a plugin.
const BUILT_IN: &[&str] = &["bridge", "host", "null", "macvlan", "ipvlan", "overlay"];

/// Takes a network to the step's state.
pub async fn change(
    engine: &Engine,
    project: &ProjectName,
    step: &Step,
    progress: &dyn Progress,
) -> Result<(), WorldError> {
    match (network_of(&step.before), network_of(&step.after)) {
        (_, Some(after)) if step.before == step.after => must_exist(engine, &after.name).await,
        (None, Some(after)) => create(engine, project, after, progress).await,
        (Some(before), None) => {
            if step.reason == Reason::Leftover {
                await_late(engine, &before.name).await?;
            }
            remove(engine, project, &before.name).await
        }
        (Some(before), Some(after)) => {
            remove(engine, project, &before.name).await?;
            create(engine, project, after, progress).await
        }
        (None, None) => Ok(()),
    }
}

fn network_of(state: &State) -> Option<&NetworkSpec> {
    match state.spec()?.as_ref() {
        Spec::Network(spec) => Some(spec),
        _ => None,
    }
}

/// The request that makes a network.
pub fn request(project: &ProjectName, spec: &NetworkSpec) -> NetworkCreateRequest {
    // Every field is named, so that a new one cannot be forgotten.
    let NetworkSpec {
        name,
        key,
        driver,
        options,
        ipam_driver,
        ipam_options,
        pools,
        internal,
        attachable,
        enable_ipv4,
        enable_ipv6,
        labels,
    } = spec;
    let config = pools.iter().map(|pool| IpamConfig {
        subnet: pool.subnet.map(|subnet| subnet.to_string()),
        ip_range: pool.ip_range.map(|range| range.to_string()),
        gateway: pool.gateway.map(|address| address.to_string()),
        auxiliary_addresses: (!pool.aux_addresses.is_empty()).then(|| {
            pool.aux_addresses
                .iter()
                .map(|(name, address)| (name.clone(), address.to_string()))
                .collect()
        }),
    });
    NetworkCreateRequest {
        name: name.clone(),
        driver: Some(driver.clone()),
        internal: Some(*internal),
        attachable: Some(*attachable),
        enable_ipv4: *enable_ipv4,
        enable_ipv6: Some(*enable_ipv6),
        options: Some(options.clone().into_iter().collect()),
        labels: Some(owner::marked(
            labels,
            project,
            (mark::NETWORK, key.as_str()),
            &hash::of(spec),
        )),
        ipam: Some(Ipam {
            driver: Some(ipam_driver.clone().unwrap_or_else(|| "default".to_owned())),
            options: (!ipam_options.is_empty()).then(|| ipam_options.clone().into_iter().collect()),
            config: Some(config.collect()),
        }),
        scope: None,
        ingress: None,
        config_only: None,
        config_from: None,
    }
}

/// What a found network is, in our words.
pub fn found(network: &Network) -> FoundNetwork {
    let id = network.id.clone().unwrap_or_default();
    let name = network.name.clone().unwrap_or_default();
    let labels = network.labels.clone().unwrap_or_default();
    let ipam = network.ipam.clone().unwrap_or_default();
    let key = labels.get(mark::NETWORK).and_then(|key| key.parse().ok());
    let sorted =
        |map: Option<HashMap<String, String>>| map.unwrap_or_default().into_iter().collect();
    FoundNetwork {
        scope: network.scope.clone().unwrap_or_default(),
        project: labels.get(mark::PROJECT).cloned(),
        hash: labels.get(mark::HASH).cloned(),
        compose_hash: labels.get(mark::CONFIG_HASH).cloned(),
        spec: NetworkSpec {
            key: key
                .clone()
                .or_else(|| name.parse().ok())
                .unwrap_or_else(|| key_of_id(&id)),
            driver: network.driver.clone().unwrap_or_default(),
            options: sorted(network.options.clone()),
            ipam_driver: ipam
                .driver
                .filter(|driver| driver != "default" && !driver.is_empty()),
            ipam_options: sorted(ipam.options),
            pools: ipam.config.unwrap_or_default().iter().map(pool).collect(),
            internal: network.internal.unwrap_or_default(),
            attachable: network.attachable.unwrap_or_default(),
            enable_ipv4: network.enable_ipv4,
            enable_ipv6: network.enable_ipv6.unwrap_or_default(),
            labels: owner::users(&labels),
            name,
        },
        key,
        engine_id: id,
    }
}

/// The key of a network whose name cannot be a key (old engines took any text).
fn key_of_id(id: &str) -> NetworkName {
    let digits = hash::short_hex(id.as_bytes(), 12);
    digits.parse().expect("hexadecimal digits are a key")
}

fn pool(config: &IpamConfig) -> PoolSpec {
    let prefix = |text: &Option<String>| {
        text.as_ref()?
            .parse::<IpNet>()
            .ok()
            .map(|prefix| prefix.trunc())
    };
    // Some engines tell the gateway with its prefix length.
    let address = |text: &String| {
        text.split('/')
            .next()
            .unwrap_or_default()
            .parse::<IpAddr>()
            .ok()
    };
    PoolSpec {
        subnet: prefix(&config.subnet),
        ip_range: prefix(&config.ip_range),
        gateway: config.gateway.as_ref().and_then(address),
        aux_addresses: config
            .auxiliary_addresses
            .iter()
            .flatten()
            .filter_map(|(name, text)| Some((name.clone(), address(text)?)))
            .collect(),
    }
}

async fn create(
    engine: &Engine,
    project: &ProjectName,
    spec: &NetworkSpec,
    progress: &dyn Progress,
) -> Result<(), WorldError> {
    let act = || format!("cannot create network `{}`", spec.name);
    refuse_unknown_driver(engine, spec).await?;
    if spec.enable_ipv4 == Some(false) && engine.api() < (1, 48) {
        return Err(engine.too_old(act(), "`enable_ipv4: false`", (1, 48), "28.0"));
    }
    // Engine 20.10 takes its jump to DOCKER-USER out of the firewall and puts it back for each network that it makes,
    // without a lock: two at once leave it there twice, for good.
    let turn = match engine.api() < (1, 44) {
        true => Some(engine.one_at_a_time().await),
        false => None,
    };
    let made = engine.docker().create_network(request(project, spec)).await;
    drop(turn);
    let made = match made {
        Err(error) if is_name_conflict(&error) => {
            let Some(holder) = by_name(engine, &spec.name).await?.pop() else {
                return Err(refused(act(), error));
            };
            match owner::owner(&holder.labels.unwrap_or_default(), project, &hash::of(spec)) {
                Owner::Same => return Ok(()),
                // The project is locked, so it is what a killed run had asked for and the engine made afterwards.
                Owner::Changed => {
                    let id = holder.id.as_deref().unwrap_or(&spec.name);
                    remove_by_id(engine, &spec.name, id).await?;
                    engine.docker().create_network(request(project, spec)).await
                }
                Owner::Foreign(whose) => {
                    let said = format!("there is a network of that name, and {whose}");
                    return Err(WorldError::new(ErrorKind::Taken, act(), said));
                }
            }
        }
        made => made,
    };
    let made = made.map_err(|error| refused(act(), error))?;
    if !made.warning.is_empty() {
        progress.warn(&made.warning);
    }
    Ok(())
}

/// The engine looks for an unknown driver's plugin for 15 s, so it is asked what it has before.
async fn refuse_unknown_driver(engine: &Engine, spec: &NetworkSpec) -> Result<(), WorldError> {
    let driver = spec.driver.as_str();
    if BUILT_IN.contains(&driver) {
        return Ok(());
    }
    let facts = engine.facts().await?;
    let named = |known: &String| known == driver || known.strip_suffix(":latest") == Some(driver);
    if facts.network_drivers.iter().any(named) {
        return Ok(());
    }
    Err(WorldError::new(
        ErrorKind::Unsupported,
        format!("cannot create network `{}`", spec.name),
        format!("the engine has no network driver `{driver}`"),
    )
    .hint(format!(
        "it has {}; a plugin is installed with `docker plugin install`",
        facts.network_drivers.join(", ")
    )))
}

async fn must_exist(engine: &Engine, name: &str) -> Result<(), WorldError> {
    if by_name(engine, name).await?.is_empty() {
        return Err(WorldError::new(
            ErrorKind::Missing,
            format!("cannot use network `{name}`"),
            "it is not there",
        ));
    }
    Ok(())
}

/// The networks of exactly this name; old engines can have several.
pub async fn by_name(engine: &Engine, name: &str) -> Result<Vec<Network>, WorldError> {
    let filters = HashMap::from([("name", vec![name])]);
    let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
    let networks = engine
        .docker()
        .list_networks(Some(options))
        .await
        .map_err(|error| refused(format!("cannot look for network `{name}`"), error))?;
    Ok(networks
        .into_iter()
        .filter(|network| network.name.as_deref() == Some(name))
        .collect())
}

/// Waits a moment for a network that a killed run has asked for, where it is not there: the engine goes on with a request
/// whose client is gone, and tells of a network only when it is whole (seen 0.1 s after the kill).
async fn await_late(engine: &Engine, name: &str) -> Result<(), WorldError> {
    for _ in 0..LATE_TRIES {
        if !by_name(engine, name).await?.is_empty() {
            break;
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
    Ok(())
}

/// How often a thing that a killed run has asked for is looked for: for 3 s. What comes even later carries our mark, so the
/// next `down` removes it, and `orphans` tells of it.
pub(in crate::world::engine) const LATE_TRIES: u32 = 30;

/// Removes the project's networks of this name; others of that name stay, and none is success.
async fn remove(engine: &Engine, project: &ProjectName, name: &str) -> Result<(), WorldError> {
    for network in by_name(engine, name).await? {
        if owner::is_of(&network.labels.unwrap_or_default(), project) {
            remove_by_id(engine, name, network.id.as_deref().unwrap_or(name)).await?;
        }
    }
    Ok(())
}

/// How long is waited between two tries to remove a network whose endpoints are on their way out.
pub(in crate::world::engine) const RETRY_AFTER: Duration = Duration::from_millis(100);

/// How many tries there are for endpoints whose containers are gone already: the engine takes them down a moment later
/// (seen up to 0.2 s at ten stops at once on an idle machine). The pauses grow, 10 s in all: a busy machine gets its time,
/// and an engine that has lost count (moby issue 42119) is not asked for ever.
const LOCAL_TRIES: u32 = 14;

/// The same for the tasks of a swarm network, which another node may be taking down.
const SWARM_TRIES: u32 = 100;

async fn remove_by_id(engine: &Engine, name: &str, id: &str) -> Result<(), WorldError> {
    let act = || format!("cannot remove network `{name}`");
    let mut tries = 0;
    loop {
        let error = match absent_is_fine(engine.docker().remove_network(id).await) {
            Ok(()) => return Ok(()),
            // A swarm network stays in the list for a moment after its removal, and is then refused with another
            // status than 404 (seen from 28.5).
            Err(error)
                if error
                    .to_string()
                    .contains(&format!("network {id} not found")) =>
            {
                return Ok(());
            }
            Err(error) => refused(act(), error),
        };
        if error.kind != ErrorKind::InUse {
            return Err(error);
        }
        let users = users(engine, id).await?;
        if !users.is_empty() {
            let said = format!("it is used by {}", users.join(", "));
            return Err(WorldError::new(ErrorKind::InUse, act(), said)
                .hint("stop or disconnect them, then run `stack down` again"));
        }
        tries += 1;
        let by_task = error.said.contains("in use by task");
        if by_task && tries > SWARM_TRIES {
            return Err(error);
        }
        if !by_task && tries > LOCAL_TRIES {
            return Err(WorldError::new(
                ErrorKind::Fault,
                act(),
                format!("{}, and there are none (moby issue 42119)", error.said),
            )
            .hint("restarting the engine clears it; until then a later `stack up` uses the empty network again"));
        }
        tokio::time::sleep(if by_task {
            RETRY_AFTER
        } else {
            RETRY_AFTER * tries
        })
        .await;
    }
}

/// The containers with an endpoint in a network. The swarm's own (its load balancer) is none: it goes with the last
/// task, a moment after that (seen up to a second on 20.10).
async fn users(engine: &Engine, id: &str) -> Result<Vec<String>, WorldError> {
    let network = match engine
        .docker()
        .inspect_network(id, None::<InspectNetworkOptions>)
        .await
    {
        Ok(network) => network,
        Err(error) if crate::world::engine::error::status(&error) == Some(404) => {
            return Ok(Vec::new());
        }
        Err(error) => {
            return Err(refused(
                format!("cannot see who uses network `{id}`"),
                error,
            ));
        }
    };
    Ok(names_of_users(network))
}

fn names_of_users(network: NetworkInspect) -> Vec<String> {
    let balancer = format!("lb-{}", network.name.unwrap_or_default());
    let mut names: Vec<String> = network
        .containers
        .unwrap_or_default()
        .into_iter()
        .filter(|(id, _)| *id != balancer)
        .map(|(id, endpoint)| format!("`{}`", endpoint.name.unwrap_or(id)))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bollard::models::{EndpointResource, Network, NetworkInspect};
    use expect_test::expect;

    use super::{found, names_of_users, request};
    use crate::plan::spec::{NetworkSpec, PoolSpec};

    fn lan() -> NetworkSpec {
        NetworkSpec {
            name: "lab_lan".to_owned(),
            key: "lan".parse().unwrap(),
            driver: "macvlan".to_owned(),
            options: BTreeMap::from([("parent".to_owned(), "eth0".to_owned())]),
            ipam_driver: None,
            ipam_options: BTreeMap::new(),
            pools: vec![PoolSpec {
                subnet: Some("192.168.0.0/22".parse().unwrap()),
                ip_range: Some("192.168.1.128/25".parse().unwrap()),
                gateway: Some("192.168.1.1".parse().unwrap()),
                aux_addresses: BTreeMap::from([(
                    "router".to_owned(),
                    "192.168.1.129".parse().unwrap(),
                )]),
            }],
            internal: false,
            attachable: true,
            enable_ipv4: None,
            enable_ipv6: false,
            labels: BTreeMap::from([("owner".to_owned(), "me".to_owned())]),
        }
    }

    #[test]
    fn a_network_is_asked_for_in_full() {
        let mut body = serde_json::to_value(request(&"lab".parse().unwrap(), &lan())).unwrap();
        let labels: BTreeMap<String, String> =
            serde_json::from_value(body["Labels"].take()).unwrap();
        expect![[r#"
            {
              "Name": "lab_lan",
              "Driver": "macvlan",
              "Internal": false,
              "Attachable": true,
              "IPAM": {
                "Driver": "default",
                "Config": [
                  {
                    "Subnet": "192.168.0.0/22",
                    "IPRange": "192.168.1.128/25",
                    "Gateway": "192.168.1.1",
                    "AuxiliaryAddresses": {
                      "router": "192.168.1.129"
                    }
                  }
                ]
              },
              "EnableIPv6": false,
              "Options": {
                "parent": "eth0"
              },
              "Labels": null
            }"#]]
        .assert_eq(&serde_json::to_string_pretty(&body).unwrap());
        let names: Vec<&str> = labels.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "com.docker.compose.network",
                "com.docker.compose.project",
                "com.docker.compose.version",
                "owner",
                "stack.hash",
                "stack.version"
            ]
        );
    }

    #[test]
    fn a_network_that_is_read_back_is_the_one_that_was_asked_for() {
        let asked = request(&"lab".parse().unwrap(), &lan());
        let told = Network {
            id: Some("0123".to_owned()),
            name: Some(asked.name.clone()),
            scope: Some("local".to_owned()),
            driver: asked.driver.clone(),
            ipam: asked.ipam.clone(),
            internal: asked.internal,
            attachable: asked.attachable,
            enable_ipv6: asked.enable_ipv6,
            options: asked.options.clone(),
            labels: asked.labels.clone(),
            ..Network::default()
        };
        let found = found(&told);
        assert_eq!(found.spec, lan());
        assert_eq!(found.project.as_deref(), Some("lab"));
        assert_eq!(found.hash, Some(crate::model::hash::of(&lan())));
    }

    #[test]
    fn a_swarms_load_balancer_is_no_user_of_its_network() {
        let endpoint = |name: &str| EndpointResource {
            name: Some(name.to_owned()),
            ..EndpointResource::default()
        };
        let network = |containers: [(&str, &str); 2]| NetworkInspect {
            name: Some("lab_wide".to_owned()),
            containers: Some(
                containers
                    .into_iter()
                    .map(|(id, name)| (id.to_owned(), endpoint(name)))
                    .collect(),
            ),
            ..NetworkInspect::default()
        };
        let balancer = ("lb-lab_wide", "lab_wide-endpoint");
        assert_eq!(
            names_of_users(network([balancer, ("0123", "web")])),
            ["`web`"]
        );
        // A container may be called the same.
        assert_eq!(
            names_of_users(network([balancer, ("0124", "lab_wide-endpoint")])),
            ["`lab_wide-endpoint`"]
        );
    }
}
