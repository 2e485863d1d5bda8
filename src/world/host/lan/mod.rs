//! A simulated wire. On the host there is one link, the parent; its other end is a port of a switch (a Linux bridge)
//! in a namespace of its own, and behind that are a router and other machines, each in theirs:
//!
//! ```text
//! host: PARENT ── host :PREFIX-switch: router ── lan :PREFIX-router: uplink ── nat-LAN :host   (nat only)
//!                                    : NAME ──── eth0 :PREFIX-NAME
//! ```
//!
//! Namespaces carry the mark on their `lo`, from before they have a name. What is there already is kept, so a repair
//! leaves the containers on the wire alone; the hash comes into the parent's mark last.

pub mod nat;
pub mod place;
pub mod read;
mod switch;

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkAttribute;

use crate::model::address::{Mac, same_family};
use crate::model::hash;
use crate::model::lan::LanHost;
use crate::model::name::{LanName, LinkName, ProjectName};
use crate::plan::observed::LinkFact;
use crate::plan::spec::{Kind, LanSpec, ResourceId, Spec};
use crate::world::host::birth::Claim;
use crate::world::host::error::{broken, refused};
use crate::world::host::lan::place::Place;
use crate::world::host::message::{Route, Routed, VethEnd};
use crate::world::host::socket::Socket;
use crate::world::host::sysctl::Setting;
use crate::world::host::{Host, message, table};
use crate::world::{ErrorKind, Progress, WorldError};

/// The names of links inside the namespaces of a lan.
pub const BRIDGE: &str = "switch";
pub const HOST_PORT: &str = "host";
pub const ROUTER_PORT: &str = "router";
pub const ROUTER_LINK: &str = "lan";
pub const UPLINK: &str = "uplink";
pub const MACHINE_LINK: &str = "eth0";

/// One lan of one project.
pub struct Wire<'a> {
    host: &'a Host,
    project: &'a ProjectName,
    id: ResourceId,
    spec: &'a LanSpec,
}

/// Makes the wire with all that is on it, or finishes, repairs or changes what there is of it.
pub async fn make(
    host: &Host,
    project: &ProjectName,
    spec: &LanSpec,
    progress: &dyn Progress,
) -> Result<(), WorldError> {
    let wire = Wire {
        host,
        project,
        id: ResourceId::new(Kind::Lan, spec.lan.name.as_str()),
        spec,
    };
    wire.check()?;
    let hash = hash::of(&Spec::Lan(spec.clone()));
    let claim = wire.claim("parent", &spec.lan.parent);
    let links = host.links().await?;
    let finished = format!("{} form={}", claim.mark(&hash).to_alias(), read::form(spec));
    let mut parent = claim.find(&links)?;
    if let Some(link) = parent {
        if link.alias.as_deref() == Some(finished.as_str())
            && let Some(now) = read::read_back(host, project, &wire.id, &links).await?
            && read::damage(host, project, &wire.id, &now, &links, link)
                .await?
                .is_empty()
        {
            return Ok(());
        }
        host.set_alias(link.index, &claim.mark("").to_alias())
            .await?;
        // The mark of an unfinished lan has no hash; it is still the same link.
        match spec.lan.mtu {
            Some(mtu) if mtu != link.mtu => {
                host.delete_link(link).await?;
                parent = None;
            }
            None if link.mtu != read::USUAL_MTU => {
                let message = message::set(link.index, LinkAttribute::Mtu(read::USUAL_MTU));
                host.set_link(message, || format!("cannot set the MTU of `{}`", link.name))
                    .await?;
            }
            Some(_) | None => {}
        }
    }
    let switch = wire.place("switch").await?;
    let bridge = wire.bridge(&switch).await?;
    if let (Some(link), None) = (parent, switch.link(HOST_PORT).await?) {
        // Its other end is in a switch that lost its name.
        host.delete_link(link).await?;
        parent = None;
    }
    let index = match parent {
        Some(link) => link.index,
        None => wire.parent(&claim, &links, &switch).await?,
    };
    wire.host_side(index, parent, &claim).await?;
    wire.port(&switch, bridge, HOST_PORT, None).await?;
    wire.behaviour(&switch).await?;
    wire.router(&switch, bridge).await?;
    for (name, machine) in &spec.lan.hosts {
        wire.machine(&switch, bridge, name, machine).await?;
    }
    wire.clear_surplus(&switch).await?;
    wire.await_frames(&switch).await?;
    if spec.lan.nat {
        nat::make(&wire, progress).await?;
    } else {
        nat::remove(host, project, &wire.id).await?;
    }
    host.set_alias(index, &finished).await
}

/// Removes every part of a lan that is on this host.
pub async fn remove(
    host: &Host,
    project: &ProjectName,
    id: &ResourceId,
    spec: &LanSpec,
) -> Result<(), WorldError> {
    nat::remove(host, project, id).await?;
    host.delete_links_of(project, id).await?;
    place::remove_all(host, project, id, spec).await
}

impl<'a> Wire<'a> {
    fn act(&self) -> String {
        format!("cannot make the lan `{}`", self.spec.lan.name)
    }

    fn claim(&'a self, part: &'a str, name: &'a LinkName) -> Claim<'a> {
        Claim {
            project: self.project,
            id: &self.id,
            part,
            name,
        }
    }

    /// A MAC address that stays the same each time the lan is made.
    fn mac(&self, part: &str) -> Mac {
        Mac::derived(&format!(
            "{}/lan/{}/{part}",
            self.project, self.spec.lan.name
        ))
    }

    /// The names that cannot be a machine's.
    fn check(&self) -> Result<(), WorldError> {
        let reserved = |name: &&LanName| matches!(name.as_str(), "switch" | "router");
        match self.spec.lan.hosts.keys().find(reserved) {
            Some(name) => Err(WorldError::new(
                ErrorKind::Refused,
                self.act(),
                format!("a machine cannot be called `{name}`: the lan's own {name} is"),
            )),
            None => Ok(()),
        }
    }

    async fn place(&self, part: &str) -> Result<Place, WorldError> {
        place::ensure(self.host, self.project, &self.id, self.spec, part).await
    }

    /// The pair whose one end is the parent and the other the switch's port to the host.
    async fn parent(
        &self,
        claim: &Claim<'_>,
        links: &[LinkFact],
        switch: &Place,
    ) -> Result<u32, WorldError> {
        let mtu = self.spec.lan.mtu;
        // A port without its other end in this namespace is the port of a parent that someone moved away.
        if let Some(stray) = switch.link(HOST_PORT).await? {
            switch.delete(stray.header.index).await?;
        }
        self.host
            .bear(claim, links, |name| {
                message::make_veth(
                    &VethEnd {
                        name,
                        mac: self.mac("parent"),
                        namespace: None,
                        mtu,
                    },
                    &VethEnd {
                        name: HOST_PORT,
                        mac: self.mac("port/host"),
                        namespace: Some(switch.namespace.raw()),
                        mtu,
                    },
                )
            })
            .await
    }

    /// The parent's name, settings and addresses.
    async fn host_side(
        &self,
        index: u32,
        found: Option<&LinkFact>,
        claim: &Claim<'_>,
    ) -> Result<(), WorldError> {
        let birth = crate::world::host::claim::birth_name(self.project, &self.id);
        let now = found
            .and_then(|link| link.name.parse().ok())
            .unwrap_or(birth);
        if now != *claim.name {
            let settings = [("accept_ra", "0"), ("autoconf", "0")]
                .map(|(key, value)| Setting::of_link("ipv6", &now, key, value));
            self.host.settle(settings.into(), || self.act()).await?;
            self.host.rename(index, claim.name).await?;
        }
        self.host.bring_up(index, claim.name).await?;
        let lan = &self.spec.lan;
        let addresses = self.with_prefixes(&lan.addresses)?;
        self.addresses(&self.host.socket, index, &addresses).await
    }

    /// The router, where the lan has one.
    async fn router(&self, switch: &Place, bridge: u32) -> Result<(), WorldError> {
        let lan = &self.spec.lan;
        if lan.gateways.is_empty() && !lan.nat {
            return Ok(());
        }
        let router = self.place("router").await?;
        let forwarding = ["ipv4/ip_forward", "ipv6/conf/all/forwarding"].map(|path| Setting {
            path: path.to_owned(),
            value: "1".to_owned(),
        });
        router.settle(forwarding.into()).await?;
        let end = (&router, ROUTER_LINK, self.mac("router"));
        self.port(switch, bridge, ROUTER_PORT, Some(end)).await?;
        let index = router.bring_up(ROUTER_LINK).await?;
        let addresses = self.with_prefixes(&lan.gateways)?;
        self.addresses(&router.socket, index, &addresses).await
    }

    /// A machine with its addresses and its default routes.
    async fn machine(
        &self,
        switch: &Place,
        bridge: u32,
        name: &LanName,
        machine: &LanHost,
    ) -> Result<(), WorldError> {
        let place = self.place(name.as_str()).await?;
        let port = machine_port(name);
        let mac = self.mac(&format!("host/{name}"));
        let end = (&place, MACHINE_LINK, mac);
        self.port(switch, bridge, port.as_str(), Some(end)).await?;
        if let Some(vlan) = machine.vlan {
            switch.access(port.as_str(), vlan).await?;
        }
        let index = place.bring_up(MACHINE_LINK).await?;
        self.addresses(&place.socket, index, &machine.addresses)
            .await?;
        for gateway in &self.spec.lan.gateways {
            let reaches = machine.vlan.is_none()
                && machine.addresses.iter().any(|net| net.contains(gateway))
                && !machine.addresses.iter().any(|net| net.addr() == *gateway);
            if reaches {
                place.default_route(index, *gateway).await?;
            }
        }
        Ok(())
    }

    /// Machines that the lan no longer has, and a router that it no longer wants.
    async fn clear_surplus(&self, switch: &Place) -> Result<(), WorldError> {
        let lan = &self.spec.lan;
        let routed = !lan.gateways.is_empty() || lan.nat;
        for (part, name) in place::parts(self.host, self.project, &self.id).await? {
            let wanted = match part.as_str() {
                "switch" => true,
                "router" => routed,
                machine => lan.hosts.keys().any(|key| key.as_str() == machine),
            };
            if wanted {
                continue;
            }
            let port = match part.parse::<LanName>() {
                Ok(_) if part == "router" => ROUTER_PORT.to_owned(),
                Ok(machine) => machine_port(&machine).as_str().to_owned(),
                Err(_) => continue,
            };
            if let Some(link) = switch.link(&port).await? {
                switch.delete(link.header.index).await?;
            }
            place::remove(self.host, &name)?;
        }
        Ok(())
    }

    /// Waits until the wire carries frames, for two seconds at most.
    async fn await_frames(&self, switch: &Place) -> Result<(), WorldError> {
        let until = tokio::time::Instant::now() + std::time::Duration::from_secs(2);
        switch.settled(HOST_PORT, until).await?;
        switch.settled(ROUTER_PORT, until).await?;
        for machine in self.spec.lan.hosts.keys() {
            switch
                .settled(machine_port(machine).as_str(), until)
                .await?;
        }
        for (part, name) in place::parts(self.host, self.project, &self.id).await? {
            let link = match part.as_str() {
                "switch" => continue,
                "router" => ROUTER_LINK,
                _ => MACHINE_LINK,
            };
            let namespace = crate::world::netns::Namespace::named(&name)
                .map_err(|error| broken(self.act(), &error))?;
            place::open(self.host, &name, namespace)
                .await?
                .settled(link, until)
                .await?;
        }
        Ok(())
    }

    /// Addresses of this wire with the prefix length of the subnet that holds them.
    fn with_prefixes(&self, addresses: &[IpAddr]) -> Result<Vec<IpNet>, WorldError> {
        addresses
            .iter()
            .map(|address| {
                let subnet = self.spec.lan.subnets.iter().find(|subnet| {
                    same_family(subnet.addr(), *address) && subnet.contains(address)
                });
                let length = subnet.map(IpNet::prefix_len);
                length
                    .and_then(|length| IpNet::new(*address, length).ok())
                    .ok_or_else(|| {
                        WorldError::new(
                            ErrorKind::Refused,
                            self.act(),
                            format!("{address} is in none of its subnets"),
                        )
                    })
            })
            .collect()
    }

    /// Exactly these addresses on a link, besides link-local ones.
    async fn addresses(
        &self,
        socket: &Socket,
        index: u32,
        want: &[IpNet],
    ) -> Result<(), WorldError> {
        let act = || format!("{}: its addresses", self.act());
        let links = table::links(socket).map_err(|error| refused(act(), &error))?;
        let have: Vec<IpNet> = links
            .iter()
            .find(|link| link.index == index)
            .map(|link| link.addresses.clone())
            .unwrap_or_default();
        for address in have.iter().filter(|net| !is_link_local(net.addr())) {
            if !want.contains(address) {
                let message = message::address(index, *address, Routed::Connected);
                socket
                    .act(RouteNetlinkMessage::DelAddress(message), 0)
                    .await
                    .map_err(|error| refused(act(), &error))?;
            }
        }
        for address in want.iter().filter(|address| !have.contains(address)) {
            let message = message::address(index, *address, Routed::Connected);
            socket
                .act(
                    RouteNetlinkMessage::NewAddress(message),
                    NLM_F_CREATE | NLM_F_EXCL,
                )
                .await
                .map_err(|error| refused(act(), &error))?;
        }
        Ok(())
    }
}

/// The switch's port to a machine. `host` and `router` are other ports, so a machine's has a prefix.
pub fn machine_port(machine: &LanName) -> LinkName {
    LinkName::fitted("to-", machine.as_str())
}

/// Whether the kernel gave the address of its own accord.
pub fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

impl Place {
    /// The default route of a machine.
    async fn default_route(&self, link: u32, gateway: IpAddr) -> Result<(), WorldError> {
        let any = match gateway {
            IpAddr::V4(_) => IpNet::from(IpAddr::from([0u8; 4])),
            IpAddr::V6(_) => IpNet::from(IpAddr::from([0u8; 16])),
        };
        let destination = IpNet::new(any.addr(), 0)
            .map_err(|error| WorldError::new(ErrorKind::Refused, "no default route", error))?;
        let message = message::route(&Route {
            destination,
            link,
            gateway: Some(gateway),
            source: None,
        });
        self.socket
            .act(
                RouteNetlinkMessage::NewRoute(message),
                NLM_F_CREATE | netlink_packet_core::NLM_F_REPLACE,
            )
            .await
            .map_err(|error| refused(format!("cannot route by {gateway}"), &error))
    }

    /// Writes settings in this namespace.
    async fn settle(&self, settings: Vec<Setting>) -> Result<(), WorldError> {
        let outcome = match self.fuse.burn() {
            Ok(()) => crate::world::host::sysctl::write(&self.namespace, settings).await,
            Err(errno) => Err(errno.into()),
        };
        outcome.map_err(|error| broken(format!("cannot set up `{}`", self.name), &error))
    }
}
