//! Simulated lans.

use std::net::IpAddr;

use indexmap::IndexMap;
use ipnet::IpNet;

use crate::diagnostic::Diagnostic;
use crate::file::bind::Binder;
use crate::file::bind::field::{entries, items, number, parse, text, yes};
use crate::file::tree::{Entry, Node};
use crate::model::address::{VlanId, host_prefix};
use crate::model::lan::{Lan, LanHost, Switch, SwitchPromiscuous};
use crate::model::name::{LanName, LinkName};

impl Binder<'_> {
    /// All lans of the document.
    pub fn lans(&mut self) -> IndexMap<LanName, Lan> {
        let mut lans = IndexMap::new();
        for entry in self.entries("lans") {
            if let Some(lan) = self.lan(entry) {
                lans.insert(lan.name.clone(), lan);
            }
        }
        lans
    }

    fn lan(&mut self, entry: &Entry) -> Option<Lan> {
        let (key, node) = (&*entry.key, &entry.node);
        let path = |name: &'static str| ["lans", key, name];
        let name: LanName = key.parse().ok()?;
        let parent: LinkName = match node.get("parent") {
            Some(parent) => {
                let hint = "a link name has at most 15 bytes, no `/` and no white space";
                parse(parent, "bad-link-name", hint, &path("parent"), self.told)?
            }
            None => LinkName::fitted("", key),
        };
        let subnets: Vec<IpNet> = self.all(
            node,
            "subnet",
            "bad-prefix",
            "write a prefix such as 192.168.77.0/24",
            key,
        );
        let gateways: Vec<IpAddr> = self.all(
            node,
            "gateway",
            "bad-address",
            "write an address of the router",
            key,
        );
        let addresses: Vec<IpAddr> = self.all(
            node,
            "address",
            "bad-address",
            "write an address of the host",
            key,
        );
        for (what, list) in [("gateway", &gateways), ("address", &addresses)] {
            for (address, place) in list.iter().zip(items(node, what)) {
                self.inside(key, *address, &subnets, place, &path(what));
            }
        }
        let mut hosts = IndexMap::new();
        for host in entries(node, "hosts") {
            if let Some((name, host)) = self.lan_host(key, host, &subnets) {
                hosts.insert(name, host);
            }
        }
        let switch = node
            .get("switch")
            .map_or(Switch::default(), |switch| Switch {
                promiscuous: match text(switch, "promiscuous").as_deref() {
                    Some("reject") => SwitchPromiscuous::Reject,
                    _ => SwitchPromiscuous::Accept,
                },
                reflect: yes(switch, "reflect"),
            });
        let nat = yes(node, "nat");
        if nat && gateways.is_empty() {
            let diagnostic = Diagnostic::error(
                "missing-key",
                format!("lan `{key}`: nat needs a router, and there is no gateway"),
            )
            .at(node.get("nat").map_or(entry.key_span, |nat| nat.span))
            .hint("give the router an address: gateway: 192.168.77.1");
            self.tell(diagnostic, &path("nat"));
        }
        let mtu = number(node, "mtu").and_then(|mtu| u32::try_from(mtu).ok());
        Some(Lan {
            name,
            parent,
            subnets,
            gateways,
            nat,
            addresses,
            hosts,
            switch,
            mtu,
        })
    }

    fn all<T>(
        &mut self,
        node: &Node,
        name: &str,
        code: &'static str,
        hint: &str,
        key: &str,
    ) -> Vec<T>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        let told = &mut *self.told;
        items(node, name)
            .iter()
            .filter_map(|item| parse(item, code, hint, &["lans", key, name], told))
            .collect()
    }

    fn inside(
        &mut self,
        key: &str,
        address: IpAddr,
        subnets: &[IpNet],
        place: &Node,
        path: &[&str],
    ) {
        if subnets.iter().any(|subnet| subnet.contains(&address)) {
            return;
        }
        let list = subnets
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        let message = if list.is_empty() {
            format!("lan `{key}`: {address} needs a subnet to be in")
        } else {
            format!("lan `{key}`: {address} is not in its subnet {list}")
        };
        let diagnostic = Diagnostic::error("address-outside-subnet", message)
            .at(place.span)
            .hint("give the lan a subnet that holds the address");
        self.tell(diagnostic, path);
    }

    fn lan_host(
        &mut self,
        key: &str,
        entry: &Entry,
        subnets: &[IpNet],
    ) -> Option<(LanName, LanHost)> {
        let path = ["lans", key, "hosts", &entry.key];
        let node = &entry.node;
        let list = match node.as_mapping() {
            Some(_) => items(node, "address"),
            None => node.as_sequence().unwrap_or(&[]),
        };
        let vlan = number(node, "vlan")
            .and_then(|id| u16::try_from(id).ok())
            .and_then(|id| VlanId::try_from(id).ok());
        let mut addresses = Vec::new();
        for item in list {
            let Some(text) = item.as_text() else { continue };
            if text.contains('/') {
                let hint = "write an address, with or without a prefix length";
                addresses.extend(parse::<IpNet>(item, "bad-address", hint, &path, self.told));
                continue;
            }
            let hint = "write an address such as 192.168.77.50";
            let Some(address) = parse::<IpAddr>(item, "bad-address", hint, &path, self.told) else {
                continue;
            };
            match subnets.iter().find(|subnet| subnet.contains(&address)) {
                Some(subnet) => addresses.extend(IpNet::new(address, subnet.prefix_len()).ok()),
                // On a VLAN of its own the lan's subnet does not count.
                None if vlan.is_some() => addresses.push(host_prefix(address)),
                None => self.inside(key, address, subnets, item, &path),
            }
        }
        Some((entry.key.parse().ok()?, LanHost { addresses, vlan }))
    }
}
