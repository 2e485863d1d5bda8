//! Containers of the machine in memory: how they are made, started, stopped, parked and removed, and how they hold on
//! to networks. Two laws of real engines that plans depend on most: an endpoint knows its network by id, so it is lost
//! when the network is made anew; and a shared namespace is that of one start of its owner, so it is dead afterwards.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::container::MountSource;
use crate::model::mark;
use crate::model::name::ProjectName;
use crate::model::port::{PortRange, PublishedPort};
use crate::plan::observed::{ContainerState, FoundContainer, FoundEndpoint, FoundNetwork};
use crate::plan::spec::{
    AttachmentSpec, ContainerNetwork, ContainerSpec, EndpointSpec, ExistingContainer,
};
use crate::plan::step::State;
use crate::world::memory::machine::{Extent, Machine};
use crate::world::{ErrorKind, WorldError};

/// A container of the machine.
pub struct Container {
    pub found: FoundContainer,
    /// Published ports; unknown for one that was only found.
    ports: Vec<PublishedPort>,
    /// How often it was started: each start has a network namespace of its own.
    starts: u64,
    /// Whose namespace it shares, and which start's it was when it was started itself.
    shares: Option<(String, u64)>,
    /// Whether it has run since it was made.
    ran: bool,
}

impl Container {
    /// One that is there; `all` are those whose namespace it may share.
    pub fn found(found: &FoundContainer, all: &[FoundContainer]) -> Container {
        let owner = found.network_mode.strip_prefix("container:");
        let owner = owner.and_then(|id| all.iter().find(|other| other.engine_id == id));
        // A start that the owner never had: dead.
        let start = if found.dead_namespace_of.is_some() {
            u64::MAX
        } else {
            0
        };
        Container {
            found: found.clone(),
            ports: Vec::new(),
            starts: 0,
            shares: owner.map(|owner| (owner.engine_id.clone(), start)),
            ran: found.state != ContainerState::Created,
        }
    }
}

impl Machine {
    pub fn by_name(&self, name: &str) -> Option<&Container> {
        self.containers.values().find(|own| own.found.name == name)
    }

    /// Whether a container runs or has run; none where there is no such container.
    pub fn has_run(&self, name: &str) -> Option<bool> {
        self.by_name(name).map(|own| own.ran)
    }

    /// The container's process ends by itself, with 0.
    pub fn exit(&mut self, name: &str) {
        if let Some(id) = self.by_name(name).map(|own| own.found.engine_id.clone()) {
            self.stop(&id);
        }
    }

    pub fn found_container(&self, own: &Container) -> FoundContainer {
        let dead = own.shares.as_ref().and_then(|(id, start)| {
            let owner = self.containers.get(id)?;
            let alive = owner.found.runs() && owner.starts == *start;
            (own.found.runs() && !alive).then(|| owner.found.name.clone())
        });
        FoundContainer {
            dead_namespace_of: dead,
            cut_off: Vec::new(),
            ports: if own.found.runs() {
                own.ports.clone()
            } else {
                Vec::new()
            },
            ..own.found.clone()
        }
    }

    /// Makes a container, unless it is there; its engine id.
    pub fn make_container(
        &mut self,
        project: &ProjectName,
        spec: &ContainerSpec,
    ) -> Result<String, WorldError> {
        let refused = |kind: ErrorKind, said: String| {
            let act = format!("cannot create container `{}`", spec.name);
            Err(WorldError::new(kind, act, said))
        };
        if let Some(own) = self.by_name(&spec.name) {
            if is_made_from(&own.found, project, spec) {
                return Ok(own.found.engine_id.clone());
            }
            return refused(ErrorKind::Taken, "the name is in use".to_owned());
        }
        let Some(image_id) = self.images.get(&spec.image).cloned() else {
            return refused(ErrorKind::Missing, format!("No such image: {}", spec.image));
        };
        for donor in spec
            .volumes_from
            .iter()
            .map(|text| text.trim_end_matches(":ro"))
        {
            if self.by_name(donor).is_none() {
                return refused(ErrorKind::Missing, format!("No such container: {donor}"));
            }
        }
        let mut volumes = Vec::new();
        for mount in &spec.config.mounts {
            if let MountSource::Volume {
                name: Some(name), ..
            } = &mount.source
            {
                if !self.volumes.contains_key(name) {
                    return refused(ErrorKind::Missing, format!("no such volume: {name}"));
                }
                volumes.push(name.clone());
            }
        }
        let mut endpoints = Vec::new();
        let mut shares = None;
        let network_mode = match &spec.network {
            ContainerNetwork::Host => "host".to_owned(),
            ContainerNetwork::None => "none".to_owned(),
            ContainerNetwork::DefaultBridge { .. } => "bridge".to_owned(),
            ContainerNetwork::Container(owner) => match self.by_name(owner) {
                Some(owner) => {
                    let id = owner.found.engine_id.clone();
                    shares = Some((id.clone(), owner.starts));
                    format!("container:{id}")
                }
                None => return refused(ErrorKind::Missing, format!("No such container: {owner}")),
            },
            ContainerNetwork::Named(network) => {
                let bare = bare_attachment(network);
                match self.endpoint(&bare) {
                    Ok(endpoint) => endpoints.push(endpoint),
                    Err(said) => return refused(ErrorKind::Missing, said),
                }
                network.clone()
            }
            ContainerNetwork::Attached(attachments) => {
                for attachment in attachments {
                    match self.endpoint(attachment) {
                        Ok(endpoint) => endpoints.push(endpoint),
                        Err(said) => return refused(ErrorKind::Missing, said),
                    }
                }
                match attachments.first() {
                    Some(first) => first.network.clone(),
                    None => "none".to_owned(),
                }
            }
        };
        let engine_id = self.new_id();
        let found = FoundContainer {
            engine_id: engine_id.clone(),
            name: spec.name.clone(),
            project: Some(project.to_string()),
            service: Some(spec.service.clone()),
            number: spec.number,
            one_off: spec.number == 0,
            state: ContainerState::Created,
            image: spec.image.clone(),
            image_id,
            labels: spec.labels.clone(),
            network_mode,
            endpoints,
            ports: Vec::new(),
            dead_namespace_of: None,
            cut_off: Vec::new(),
            volumes,
        };
        let container = Container {
            found,
            ports: spec.ports.clone(),
            starts: 0,
            shares,
            ran: false,
        };
        self.containers.insert(engine_id.clone(), container);
        Ok(engine_id)
    }

    /// Removes the container that was made from a spec; one that is not there, or not ours, is removed.
    pub fn remove_container(
        &mut self,
        project: &ProjectName,
        spec: &ContainerSpec,
        extent: Extent,
    ) -> Result<(), WorldError> {
        let own = self.by_name(&spec.name);
        if let Some(own) = own.filter(|own| is_made_from(&own.found, project, spec)) {
            let id = own.found.engine_id.clone();
            self.discard(&id, extent);
        }
        Ok(())
    }

    fn discard(&mut self, id: &str, extent: Extent) {
        self.stop(id);
        if extent == Extent::Whole {
            self.containers.remove(id);
        }
    }

    /// Takes a container that is known by its engine id to a state.
    pub fn change_existing(
        &mut self,
        project: &ProjectName,
        spec: &ExistingContainer,
        after: &State,
        extent: Extent,
    ) -> Result<(), WorldError> {
        let id = &spec.engine_id;
        let act = format!("cannot change container `{}`", spec.name);
        let Some(own) = self.containers.get(id) else {
            return match after {
                State::Absent => Ok(()),
                State::Present(_) | State::Running(_) | State::Parked(_) => Err(WorldError::new(
                    ErrorKind::Missing,
                    act,
                    format!("No such container: {id}"),
                )),
            };
        };
        if own.found.project.as_deref() != Some(project.as_str()) {
            return Err(WorldError::new(
                ErrorKind::Taken,
                act,
                "it is not of this project",
            ));
        }
        match after {
            State::Absent => {
                self.discard(id, extent);
                Ok(())
            }
            State::Parked(_) => {
                self.stop(id);
                match extent {
                    Extent::Whole => self.rename(id, &mark::parked_name(id, &spec.name)),
                    Extent::Half => Ok(()),
                }
            }
            State::Present(_) => {
                self.rename(id, &spec.name)?;
                self.stop(id);
                Ok(())
            }
            State::Running(_) => {
                self.rename(id, &spec.name)?;
                match extent {
                    Extent::Whole => self.start(id),
                    Extent::Half => Ok(()),
                }
            }
        }
    }

    fn rename(&mut self, id: &str, name: &str) -> Result<(), WorldError> {
        let taken = self
            .by_name(name)
            .is_some_and(|other| other.found.engine_id != id);
        if taken {
            return Err(WorldError::new(
                ErrorKind::Taken,
                format!("cannot rename container to `{name}`"),
                "the name is in use",
            ));
        }
        if let Some(own) = self.containers.get_mut(id) {
            own.found.name = name.to_owned();
        }
        Ok(())
    }

    /// Starts a container; one that runs is left.
    pub fn start(&mut self, id: &str) -> Result<(), WorldError> {
        let Some(own) = self.containers.get(id).filter(|own| !own.found.runs()) else {
            return Ok(());
        };
        let name = own.found.name.clone();
        let refused = |kind: ErrorKind, said: String| {
            Err(WorldError::new(
                kind,
                format!("cannot start container `{name}`"),
                said,
            ))
        };
        let mut shares = None;
        if let Some((owner, _)) = &own.shares {
            match self
                .containers
                .get(owner)
                .filter(|owner| owner.found.runs())
            {
                Some(found) => shares = Some((owner.clone(), found.starts)),
                None => {
                    let said = "cannot join network of a non running container".to_owned();
                    return refused(ErrorKind::Refused, said);
                }
            }
        }
        let own_namespace = own.shares.is_none() && own.found.network_mode != "host";
        if own_namespace {
            if let Some(port) = own.ports.iter().find_map(|port| self.taken_port(id, port)) {
                let said = format!("Bind for 0.0.0.0:{port} failed: port is already allocated");
                return refused(ErrorKind::InUse, said);
            }
        }
        let mut endpoints = own.found.endpoints.clone();
        for endpoint in &mut endpoints {
            let network = self
                .networks
                .values()
                .find(|network| network.engine_id == endpoint.network_id);
            let Some(network) = network else {
                let said = format!("network {} not found", endpoint.network_id);
                return refused(ErrorKind::Missing, said);
            };
            match self.addresses(network, endpoint.asked_ipv4, endpoint.asked_ipv6) {
                Ok((ipv4, ipv6)) => (endpoint.ipv4, endpoint.ipv6) = (ipv4, ipv6),
                Err(said) => return refused(ErrorKind::InUse, said),
            }
        }
        if let Some(own) = self.containers.get_mut(id) {
            own.found.state = ContainerState::Running;
            own.found.endpoints = endpoints;
            own.starts += 1;
            own.ran = true;
            own.shares = shares;
        }
        Ok(())
    }

    /// Stops a container; one that does not run is left.
    pub fn stop(&mut self, id: &str) {
        let Some(own) = self.containers.get_mut(id).filter(|own| own.found.runs()) else {
            return;
        };
        own.found.state = ContainerState::Exited;
        for endpoint in &mut own.found.endpoints {
            (endpoint.ipv4, endpoint.ipv6) = (None, None);
        }
        let name = own.found.name.clone();
        self.forget_doors(&name);
    }

    pub fn connect(
        &mut self,
        project: &ProjectName,
        spec: &EndpointSpec,
    ) -> Result<(), WorldError> {
        let act = || {
            format!(
                "cannot connect `{}` to `{}`",
                spec.container, spec.attachment.network
            )
        };
        let missing = |said: String| Err(WorldError::new(ErrorKind::Missing, act(), said));
        let Some(own) = self.holder(project, &spec.container) else {
            return missing(format!("No such container: {}", spec.container));
        };
        let mut endpoint = match self.endpoint(&spec.attachment) {
            Ok(endpoint) => endpoint,
            Err(said) => return missing(said),
        };
        let found = &self.containers[&own].found;
        if found
            .endpoints
            .iter()
            .any(|old| old.network_id == endpoint.network_id)
        {
            return Ok(());
        }
        let network = self.networks.get(&endpoint.network);
        // Engines drop it without a word, so the live world refuses it; old ones know it as the container's own.
        let is_own = self.engine.api < (1, 44) && found.network_mode == endpoint.network;
        if endpoint.mac.is_some() && !is_own && !self.engine.speaks(1, 54) {
            let said = "the engine is too old for a MAC address of a running container";
            return Err(WorldError::new(ErrorKind::Unsupported, act(), said));
        }
        if let Some(network) = network.filter(|_| found.runs()) {
            match self.addresses(network, endpoint.asked_ipv4, endpoint.asked_ipv6) {
                Ok((ipv4, ipv6)) => (endpoint.ipv4, endpoint.ipv6) = (ipv4, ipv6),
                Err(said) => return Err(WorldError::new(ErrorKind::InUse, act(), said)),
            }
        }
        if let Some(own) = self.containers.get_mut(&own) {
            own.found.endpoints.push(endpoint);
        }
        Ok(())
    }

    pub fn disconnect(
        &mut self,
        project: &ProjectName,
        spec: &EndpointSpec,
    ) -> Result<(), WorldError> {
        if let Some(id) = self.holder(project, &spec.container) {
            if let Some(own) = self.containers.get_mut(&id) {
                let network = &spec.attachment.network;
                own.found.endpoints.retain(|old| old.network != *network);
            }
        }
        Ok(())
    }

    /// The project's container of this name, or the one that is parked from it.
    fn holder(&self, project: &ProjectName, name: &str) -> Option<String> {
        let ours = |own: &&Container| own.found.project.as_deref() == Some(project.as_str());
        let mut all = self.containers.values().filter(ours);
        let named = self.by_name(name).filter(ours);
        let parked = || all.find(|own| own.found.parked_from() == Some(name));
        let own = named.or_else(parked)?;
        Some(own.found.engine_id.clone())
    }

    fn endpoint(&self, attachment: &AttachmentSpec) -> Result<FoundEndpoint, String> {
        let Some(network) = self.networks.get(&attachment.network) else {
            return Err(format!("network {} not found", attachment.network));
        };
        Ok(FoundEndpoint {
            network: attachment.network.clone(),
            network_id: network.engine_id.clone(),
            ipv4: None,
            ipv6: None,
            mac: attachment.mac_address,
            aliases: Some(attachment.aliases.iter().cloned().collect()),
            asked_ipv4: attachment.ipv4_address.map(IpAddr::V4),
            asked_ipv6: attachment.ipv6_address.map(IpAddr::V6),
        })
    }

    /// The addresses that an endpoint gets now, of each family.
    fn addresses(
        &self,
        network: &FoundNetwork,
        ipv4: Option<IpAddr>,
        ipv6: Option<IpAddr>,
    ) -> Result<(Option<IpAddr>, Option<IpAddr>), String> {
        let taken = self.taken_addresses(network);
        let of = |asked: Option<IpAddr>, wanted: fn(&IpNet) -> bool| match asked {
            Some(address) if taken.contains(&address) => Err("Address already in use".to_owned()),
            Some(address) => Ok(Some(address)),
            None => Ok(network
                .spec
                .pools
                .iter()
                .filter_map(|pool| pool.ip_range.or(pool.subnet))
                .filter(wanted)
                .flat_map(|range| range.hosts())
                .find(|address| !taken.contains(address))),
        };
        let ipv4 = of(ipv4, |range| matches!(range, IpNet::V4(_)))?;
        let ipv6 = of(ipv6, |range| matches!(range, IpNet::V6(_)))?;
        Ok((ipv4, ipv6))
    }

    fn taken_addresses(&self, network: &FoundNetwork) -> BTreeSet<IpAddr> {
        let mut taken = BTreeSet::new();
        for pool in &network.spec.pools {
            taken.extend(pool.aux_addresses.values());
            // Without a gateway of its own the first address is the gateway's.
            let first = pool.subnet.and_then(|subnet| subnet.hosts().next());
            taken.extend(pool.gateway.or(first));
        }
        for own in self.containers.values() {
            let own = own.found.endpoints.iter();
            for endpoint in own.filter(|own| own.network_id == network.engine_id) {
                taken.extend(endpoint.ipv4.into_iter().chain(endpoint.ipv6));
            }
        }
        taken
    }

    fn taken_port(&self, id: &str, wanted: &PublishedPort) -> Option<PortRange> {
        let single =
            |port: &PublishedPort| port.published.filter(|range| range.first == range.last);
        let range = single(wanted)?;
        let mut others = self
            .containers
            .values()
            .filter(|other| other.found.runs() && other.found.engine_id != id);
        let clashes = |port: &PublishedPort| {
            let same_host = port.host_ip.is_none()
                || wanted.host_ip.is_none()
                || port.host_ip == wanted.host_ip;
            port.protocol == wanted.protocol && same_host && single(port) == Some(range)
        };
        others
            .any(|other| other.ports.iter().any(clashes))
            .then_some(range)
    }
}

/// Whether a container is the one that a spec makes, and ours.
fn is_made_from(found: &FoundContainer, project: &ProjectName, spec: &ContainerSpec) -> bool {
    found.project.as_deref() == Some(project.as_str())
        && found.labels.get(mark::HASH) == spec.labels.get(mark::HASH)
        && found.image == spec.image
}

fn bare_attachment(network: &str) -> AttachmentSpec {
    AttachmentSpec {
        network: network.to_owned(),
        aliases: Vec::new(),
        ipv4_address: None,
        ipv6_address: None,
        link_local_ips: Vec::new(),
        mac_address: None,
        gw_priority: None,
        interface_name: None,
        driver_opts: indexmap::IndexMap::new(),
        links: Vec::new(),
    }
}
