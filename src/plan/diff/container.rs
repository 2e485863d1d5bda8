//! What becomes of one container: kept, started, rewired, restarted or made anew. The least harm that does it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::model::mark;
use crate::plan::desired::container::attachments_label;
use crate::plan::observed::{FoundContainer, FoundEndpoint, Observed};
use crate::plan::spec::{
    AttachmentSpec, ContainerNetwork, ContainerSpec, ExistingContainer, ResourceId,
};
use crate::plan::step::Reason;

/// The fate of a container that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It is as it should be.
    Keep,
    /// It is not there.
    Create(Reason),
    /// The one that is there makes room.
    Replace(Reason),
    /// Endpoints change, the container stays; then it is started if it does not run.
    Rewire {
        rewiring: Rewiring,
        start: Option<Reason>,
    },
    Start(Reason),
    Restart(Reason),
}

impl Fate {
    /// Whether the engine's id is another one afterwards.
    pub fn is_new(&self) -> bool {
        match self {
            Fate::Create(_) | Fate::Replace(_) => true,
            Fate::Keep | Fate::Rewire { .. } | Fate::Start(_) | Fate::Restart(_) => false,
        }
    }

    /// Whether its process, and with it its namespaces, is another one afterwards.
    pub fn is_restarted(&self) -> bool {
        match self {
            Fate::Create(_) | Fate::Replace(_) | Fate::Start(_) | Fate::Restart(_) => true,
            Fate::Rewire { start, .. } => start.is_some(),
            Fate::Keep => false,
        }
    }
}

/// Endpoints that are cut and made while the container stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rewiring {
    /// As they are.
    pub disconnect: Vec<AttachmentSpec>,
    /// As they should be.
    pub connect: Vec<AttachmentSpec>,
}

/// What the command line wants of containers that are there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Recreate {
    /// Those that differ.
    #[default]
    Diverged,
    /// These services, or all.
    Forced(Option<BTreeSet<String>>),
    Never,
}

/// The endpoint settings that a container was made with, as far as they are known: from its label, or else from what
/// the engine tells of the endpoint.
pub fn attachments_of(found: &FoundContainer) -> Vec<AttachmentSpec> {
    let noted: Vec<AttachmentSpec> = found
        .labels
        .get(mark::ATTACHMENTS)
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let noted: BTreeMap<&str, &AttachmentSpec> = noted
        .iter()
        .map(|spec| (spec.network.as_str(), spec))
        .collect();
    found
        .endpoints
        .iter()
        .map(|endpoint| match noted.get(endpoint.network.as_str()) {
            // The label is as old as the container; an address that was given since then is the engine's to tell.
            Some(spec) => {
                let told = told(endpoint);
                AttachmentSpec {
                    ipv4_address: told.ipv4_address.or(spec.ipv4_address),
                    ipv6_address: told.ipv6_address.or(spec.ipv6_address),
                    ..(*spec).clone()
                }
            }
            None => told(endpoint),
        })
        .collect()
}

fn told(endpoint: &FoundEndpoint) -> AttachmentSpec {
    let v4 = |address: IpAddr| {
        if let IpAddr::V4(address) = address {
            Some(address)
        } else {
            None
        }
    };
    let v6 = |address: IpAddr| {
        if let IpAddr::V6(address) = address {
            Some(address)
        } else {
            None
        }
    };
    AttachmentSpec {
        network: endpoint.network.clone(),
        aliases: endpoint.aliases.iter().flatten().cloned().collect(),
        ipv4_address: endpoint.asked_ipv4.and_then(v4),
        ipv6_address: endpoint.asked_ipv6.and_then(v6),
        link_local_ips: Vec::new(),
        mac_address: None,
        gw_priority: None,
        interface_name: None,
        driver_opts: indexmap::IndexMap::new(),
        links: Vec::new(),
    }
}

/// The container as something to stop, park or remove.
pub fn existing(found: &FoundContainer, stop_timeout: Option<u32>) -> ExistingContainer {
    ExistingContainer {
        engine_id: found.engine_id.clone(),
        name: found.parked_from().unwrap_or(&found.name).to_owned(),
        service: found.service.clone(),
        number: found.number,
        stop_timeout,
        remove_volumes: false,
        anonymous_volumes: Vec::new(),
        pre_stop: Vec::new(),
    }
}

/// The fate of a container by itself; what its donors' fates do to it is decided where the order is known.
pub fn fate(
    spec: &ContainerSpec,
    found: Option<&FoundContainer>,
    observed: &Observed,
    recreate: &Recreate,
) -> Fate {
    let Some(found) = found else {
        return Fate::Create(Reason::Missing);
    };
    let start = if found.runs() {
        None
    } else {
        Some(Reason::NotRunning)
    };
    if *recreate == Recreate::Never {
        return start.map_or(Fate::Keep, Fate::Start);
    }
    if let Recreate::Forced(services) = recreate
        && services
            .as_ref()
            .is_none_or(|services| services.contains(spec.service.as_str()))
    {
        return Fate::Replace(Reason::Asked("--force-recreate".to_owned()));
    }
    if found.name != spec.name {
        return Fate::Replace(Reason::Changed(vec!["container_name".to_owned()]));
    }
    if found.labels.get(mark::HASH) != spec.labels.get(mark::HASH) {
        return Fate::Replace(Reason::Changed(vec!["configuration".to_owned()]));
    }
    if observed
        .images
        .get(&spec.image)
        .is_some_and(|id| *id != found.image_id)
    {
        return Fate::Replace(Reason::NewImage);
    }
    if let ContainerNetwork::Attached(wanted) = &spec.network {
        match rewiring(spec, wanted, found, observed) {
            Wires::Same => {}
            Wires::Live(rewiring) => return Fate::Rewire { rewiring, start },
            Wires::Anew(what) => return Fate::Replace(Reason::Changed(what)),
        }
    }
    if let ContainerNetwork::Container(owner) = &spec.network
        && let Some(owner) = observed
            .containers
            .iter()
            .find(|container| container.name == *owner)
        && found.network_mode != format!("container:{}", owner.engine_id)
    {
        return Fate::Replace(Reason::DeadNamespace(owner.name.clone()));
    }
    if let Some(owner) = &found.dead_namespace_of {
        return Fate::Restart(Reason::DeadNamespace(owner.clone()));
    }
    if let Some(network) = found.cut_off.first() {
        let what = format!("its link in `{network}` is gone");
        return Fate::Restart(Reason::Changed(vec![what]));
    }
    start.map_or(Fate::Keep, Fate::Start)
}

enum Wires {
    Same,
    Live(Rewiring),
    Anew(Vec<String>),
}

/// Compares endpoints as they should be with those that are.
fn rewiring(
    spec: &ContainerSpec,
    wanted: &[AttachmentSpec],
    found: &FoundContainer,
    observed: &Observed,
) -> Wires {
    let noted_is_wanted = found.labels.get(mark::ATTACHMENTS) == attachments_label(spec).as_ref();
    let noted = attachments_of(found);
    let mut rewiring = Rewiring::default();
    let mut anew: Vec<String> = Vec::new();
    for attachment in wanted {
        let endpoint = found
            .endpoints
            .iter()
            .find(|endpoint| endpoint.network == attachment.network);
        let Some(endpoint) = endpoint.filter(|endpoint| is_current(endpoint, observed)) else {
            if endpoint.is_some() {
                rewiring.disconnect.extend(
                    noted
                        .iter()
                        .filter(|old| old.network == attachment.network)
                        .cloned(),
                );
            }
            rewiring.connect.push(attachment.clone());
            continue;
        };
        let same = if noted_is_wanted {
            true
        } else {
            let old = noted.iter().find(|old| old.network == attachment.network);
            is_as_wanted(endpoint, attachment) || old == Some(attachment)
        };
        if !same {
            rewiring.disconnect.extend(
                noted
                    .iter()
                    .filter(|old| old.network == attachment.network)
                    .cloned(),
            );
            rewiring.connect.push(attachment.clone());
        }
    }
    for endpoint in &found.endpoints {
        if !wanted
            .iter()
            .any(|attachment| attachment.network == endpoint.network)
        {
            rewiring.disconnect.extend(
                noted
                    .iter()
                    .filter(|old| old.network == endpoint.network)
                    .cloned(),
            );
        }
    }
    // The primary network is written into the container at its creation, and some settings are honoured only then.
    if rewiring
        .disconnect
        .iter()
        .any(|old| is_primary(&old.network, found) && !is_in(&old.network, wanted))
    {
        anew.push("networks (the first one)".to_owned());
    }
    // What is cut must be such that it could be made again: a failed run is taken back.
    for attachment in rewiring.connect.iter().chain(&rewiring.disconnect) {
        let what = only_at_creation(attachment, observed);
        let what = what.map(|what| format!("networks.{}.{what}", attachment.network));
        anew.extend(
            what.filter(|what| !anew.contains(what))
                .into_iter()
                .collect::<Vec<_>>(),
        );
    }
    match (
        anew.is_empty(),
        rewiring.connect.is_empty() && rewiring.disconnect.is_empty(),
    ) {
        (_, true) => Wires::Same,
        (true, false) => Wires::Live(rewiring),
        (false, false) => Wires::Anew(anew),
    }
}

/// Whether the endpoint is in the network that has its name today, and not in one that was removed.
fn is_current(endpoint: &FoundEndpoint, observed: &Observed) -> bool {
    let network = observed
        .networks
        .iter()
        .find(|network| network.spec.name == endpoint.network);
    network.is_some_and(|network| {
        endpoint.network_id.is_empty() || network.engine_id == endpoint.network_id
    })
}

fn is_primary(network: &str, found: &FoundContainer) -> bool {
    found.network_mode == network
}

fn is_in(network: &str, wanted: &[AttachmentSpec]) -> bool {
    wanted
        .iter()
        .any(|attachment| attachment.network == network)
}

/// Whether what the engine tells of an endpoint is what is wanted; false where it did not tell enough.
fn is_as_wanted(endpoint: &FoundEndpoint, wanted: &AttachmentSpec) -> bool {
    let Some(aliases) = &endpoint.aliases else {
        return false;
    };
    wanted.aliases.iter().all(|alias| aliases.contains(alias))
        && endpoint.asked_ipv4 == wanted.ipv4_address.map(IpAddr::V4)
        && endpoint.asked_ipv6 == wanted.ipv6_address.map(IpAddr::V6)
        && wanted
            .mac_address
            .is_none_or(|mac| endpoint.mac == Some(mac))
}

/// A setting that the engine honours only when it makes the container.
pub fn only_at_creation(attachment: &AttachmentSpec, observed: &Observed) -> Option<&'static str> {
    if attachment.mac_address.is_some() && !observed.engine.speaks(1, 54) {
        return Some("mac_address");
    }
    if attachment.interface_name.is_some() {
        return Some("interface_name");
    }
    if attachment.gw_priority.is_some() {
        return Some("gw_priority");
    }
    None
}

/// The donor's fate, told to those that know it by its engine id (`bound`) or want to follow it (`restart`).
pub fn after_donor(
    own: Fate,
    donor: &ResourceId,
    donor_fate: &Fate,
    bound: bool,
    restart: bool,
) -> Fate {
    if own.is_new() {
        return own;
    }
    if bound && donor_fate.is_new() {
        return Fate::Replace(Reason::Because(donor.clone()));
    }
    if (bound || restart) && donor_fate.is_restarted() && !own.is_restarted() {
        return match own {
            Fate::Keep => Fate::Restart(Reason::Because(donor.clone())),
            Fate::Rewire { .. } | Fate::Create(_) | Fate::Replace(_) => own,
            Fate::Start(_) | Fate::Restart(_) => own,
        };
    }
    own
}
