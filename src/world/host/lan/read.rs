//! What a lan is now, read from its namespaces.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use ipnet::IpNet;
use netlink_packet_route::link::{
    AfSpecBridge, BridgeVlanInfoFlags, LinkAttribute, LinkExtentMask, LinkMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::model::address::VlanId;
use crate::model::hash;
use crate::model::lan::{Lan, LanHost, Switch, SwitchPromiscuous};
use crate::model::name::{LanName, LinkName, ProjectName};
use crate::plan::observed::LinkFact;
use crate::plan::spec::{Kind, LanSpec, ResourceId};
use crate::world::WorldError;
use crate::world::host::claim::{self, Owner};
use crate::world::host::error::refused;
use crate::world::host::lan::place::{self, Place};
use crate::world::host::lan::{
    HOST_PORT, MACHINE_LINK, ROUTER_LINK, is_link_local, machine_port, nat,
};
use crate::world::host::message::PortSettings;
use crate::world::host::{Host, table};
use crate::world::netns::Namespace;

/// The kernel's own MTU of a veth link.
pub const USUAL_MTU: u32 = 1500;

/// The link of a lan that carries this part's mark.
pub fn part<'l>(
    links: &'l [LinkFact],
    project: &ProjectName,
    id: &ResourceId,
    part: &str,
) -> Option<&'l LinkFact> {
    links.iter().find(|link| match claim::owner(link, project) {
        Owner::Ours(mark) => {
            mark.kind == Kind::Lan.word() && mark.name == id.name && mark.part == part
        }
        Owner::Newborn | Owner::Project(_) | Owner::Unnamed | Owner::Altered | Owner::Foreign => {
            false
        }
    })
}

/// A lan as it is now; none where nothing of it is here. The subnets are those of the addresses that are there.
pub async fn read_back(
    host: &Host,
    project: &ProjectName,
    id: &ResourceId,
    links: &[LinkFact],
) -> Result<Option<LanSpec>, WorldError> {
    let parent = part(links, project, id, "parent");
    let parts = place::parts(host, project, id).await?;
    let Ok(name) = id.name.parse::<LanName>() else {
        return Ok(None);
    };
    if parent.is_none() && parts.is_empty() && part(links, project, id, nat::PART).is_none() {
        return Ok(None);
    }
    let mut lan = Lan {
        name,
        parent: parent
            .and_then(|link| link.name.parse().ok())
            .unwrap_or_else(|| LinkName::fitted("", &id.name)),
        subnets: Vec::new(),
        gateways: Vec::new(),
        nat: part(links, project, id, nat::PART).is_some(),
        addresses: Vec::new(),
        hosts: IndexMap::new(),
        switch: Switch::default(),
        mtu: parent.map(|link| link.mtu).filter(|mtu| *mtu != USUAL_MTU),
    };
    let mut nets: Vec<IpNet> = parent.map(addresses).unwrap_or_default();
    lan.addresses = nets.iter().map(IpNet::addr).collect();
    let mut prefix = format!("{project}-{}", id.name);
    let mut vlans = Vec::new();
    let mut ports = BTreeMap::new();
    for (part, name) in &parts {
        if let Some(before) = name.strip_suffix(&format!("-{part}")) {
            before.clone_into(&mut prefix);
        }
        if part == "switch" {
            let switch = enter(host, name).await?;
            ports = port_vlans(&switch).await?;
            if let Some(port) = switch.link(HOST_PORT).await? {
                let settings = PortSettings::of(table::port_settings(&port));
                lan.switch = Switch {
                    promiscuous: match settings.flood {
                        true => SwitchPromiscuous::Accept,
                        false => SwitchPromiscuous::Reject,
                    },
                    reflect: settings.hairpin,
                };
            }
        }
    }
    if let Some(port) = ports.get(HOST_PORT) {
        vlans.extend(port.iter().filter(|vlan| !vlan.own).map(|vlan| vlan.id));
    }
    for (part, name) in &parts {
        match part.as_str() {
            "switch" => {}
            "router" => {
                let found = inside(host, name, ROUTER_LINK).await?;
                lan.gateways.extend(found.iter().map(IpNet::addr));
                nets.extend(found);
            }
            machine => {
                let Ok(machine) = machine.parse::<LanName>() else {
                    continue;
                };
                let addresses = inside(host, name, MACHINE_LINK).await?;
                nets.extend(&addresses);
                let vlan = ports
                    .get(machine_port(&machine).as_str())
                    .and_then(|port| port.iter().find(|vlan| vlan.own))
                    .map(|vlan| vlan.id)
                    .filter(|vlan| vlan.number() != 1);
                lan.hosts.insert(machine, LanHost { addresses, vlan });
            }
        }
    }
    lan.subnets = nets.iter().map(IpNet::trunc).collect();
    lan.subnets.sort();
    lan.subnets.dedup();
    Ok(Some(LanSpec {
        lan,
        namespace_prefix: prefix,
        vlans,
    }))
}

/// What is wrong with a lan of ours, its way out included: `spec` is what was read back, `parent` its link with its mark.
pub async fn damage(
    host: &Host,
    project: &ProjectName,
    id: &ResourceId,
    spec: &LanSpec,
    links: &[LinkFact],
    parent: &LinkFact,
) -> Result<Vec<String>, WorldError> {
    let damage = of_wire(spec, parent);
    if damage.is_empty() && spec.lan.nat {
        return nat::damage(host, project, id, links).await;
    }
    Ok(damage)
}

fn of_wire(spec: &LanSpec, parent: &LinkFact) -> Vec<String> {
    let alias = parent.alias.as_deref().unwrap_or_default();
    let field = |name: &str| alias.split(' ').find_map(|field| field.strip_prefix(name));
    if field("hash=").is_none_or(str::is_empty) {
        return vec!["it was not finished".to_owned()];
    }
    let mut damage = Vec::new();
    if !parent.up {
        damage.push(format!("`{}` is down", parent.name));
    }
    if parent.up && !parent.carrier {
        damage.push("its switch is gone or down".to_owned());
    }
    if damage.is_empty() && field("form=") != Some(form(spec).as_str()) {
        damage.push("its machines or settings are not those it was made with".to_owned());
    }
    damage
}

/// A digest of what the kernel knows of a lan, whatever the order of lists.
pub fn form(spec: &LanSpec) -> String {
    let LanSpec {
        lan,
        namespace_prefix,
        vlans,
    } = spec;
    let Lan {
        name,
        parent,
        subnets: _,
        gateways,
        nat,
        addresses,
        hosts,
        switch,
        mtu,
    } = lan;
    let mut gateways = gateways.clone();
    gateways.sort();
    let mut addresses = addresses.clone();
    addresses.sort();
    let mut vlans = vlans.clone();
    vlans.sort();
    let mut machines: Vec<(&LanName, Vec<IpNet>, Option<VlanId>)> = hosts
        .iter()
        .map(|(name, LanHost { addresses, vlan })| {
            let mut addresses = addresses.clone();
            addresses.sort();
            (name, addresses, *vlan)
        })
        .collect();
    machines.sort();
    let mtu = mtu.filter(|mtu| *mtu != USUAL_MTU);
    let text = hash::of(&(
        (name, parent, gateways, nat, addresses),
        (machines, switch, mtu, namespace_prefix, vlans),
    ));
    text.chars().take(8).collect()
}

fn addresses(link: &LinkFact) -> Vec<IpNet> {
    link.addresses
        .iter()
        .copied()
        .filter(|net| !is_link_local(net.addr()))
        .collect()
}

async fn enter(host: &Host, name: &str) -> Result<Place, WorldError> {
    let namespace = Namespace::named(name).map_err(|error| {
        crate::world::host::error::broken(format!("cannot look into `{name}`"), &error)
    })?;
    place::open(host, name, namespace).await
}

/// The addresses of a link in a namespace.
async fn inside(host: &Host, name: &str, link: &str) -> Result<Vec<IpNet>, WorldError> {
    let place = enter(host, name).await?;
    let links = table::links(&place.socket)
        .map_err(|error| refused(format!("cannot look into `{name}`"), &error))?;
    Ok(links
        .iter()
        .find(|fact| fact.name == link)
        .map(addresses)
        .unwrap_or_default())
}

/// A VLAN on a port.
struct PortVlan {
    id: VlanId,
    /// Untagged frames on this port belong to it.
    own: bool,
}

/// The VLANs of each port of a switch, by the port's name.
async fn port_vlans(switch: &Place) -> Result<BTreeMap<String, Vec<PortVlan>>, WorldError> {
    let mut ask = LinkMessage::default();
    ask.header.interface_family = AddressFamily::Bridge;
    ask.attributes
        .push(LinkAttribute::ExtMask(vec![LinkExtentMask::Brvlan]));
    let links = switch
        .socket
        .list(RouteNetlinkMessage::GetLink(ask), |answer| match answer {
            RouteNetlinkMessage::NewLink(link) => Some(link),
            _ => None,
        });
    let mut ports = BTreeMap::new();
    // A kernel without VLAN filtering has none to tell.
    for link in links.unwrap_or_default() {
        let mut vlans = Vec::new();
        for attribute in &link.attributes {
            let LinkAttribute::AfSpecBridge(specs) = attribute else {
                continue;
            };
            for spec in specs {
                if let AfSpecBridge::VlanInfo(info) = spec
                    && let Ok(id) = VlanId::try_from(info.vid)
                {
                    let own = info.flags.contains(BridgeVlanInfoFlags::Pvid);
                    vlans.push(PortVlan { id, own });
                }
            }
        }
        ports.insert(table::name(&link), vlans);
    }
    Ok(ports)
}
