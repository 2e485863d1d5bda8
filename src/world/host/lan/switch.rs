//! The switch of a lan: a bridge, its ports, their VLANs, and how it treats strangers.

use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    BridgeVlanInfoFlags, InfoBridge, InfoData, InfoKind, LinkAttribute, LinkFlags, LinkInfo,
};
use nix::errno::Errno;

use crate::model::address::{Mac, VlanId};
use crate::model::lan::SwitchPromiscuous;
use crate::world::WorldError;
use crate::world::host::error::refused;
use crate::world::host::lan::place::Place;
use crate::world::host::lan::{BRIDGE, HOST_PORT, Wire};
use crate::world::host::message::{self, VethEnd};
use crate::world::host::sysctl::Setting;
use crate::world::host::table;

/// The VLAN of untagged frames on every port that is not an access port (the bridge's default).
const UNTAGGED: u16 = 1;

impl Wire<'_> {
    /// Every VLAN that crosses this wire.
    pub(super) fn vlans(&self) -> Vec<VlanId> {
        let machines = self.spec.lan.hosts.values().filter_map(|host| host.vlan);
        let mut vlans: Vec<VlanId> = self.spec.vlans.iter().copied().chain(machines).collect();
        vlans.sort();
        vlans.dedup();
        vlans
    }

    /// The bridge, up. It passes frames and speaks no IP itself: no address, no spanning tree, no delay, and multicast
    /// goes everywhere, as on a switch on a desk.
    pub(super) async fn bridge(&self, switch: &Place) -> Result<u32, WorldError> {
        let silent = ["all", "default"].map(|link| Setting {
            path: format!("ipv6/conf/{link}/disable_ipv6"),
            value: "1".to_owned(),
        });
        switch.settle(silent.into()).await?;
        if switch.link(BRIDGE).await?.is_none() {
            let mut data = vec![
                InfoBridge::ForwardDelay(0),
                InfoBridge::MulticastSnooping(false),
            ];
            // Only where it is needed: kernels without VLAN filtering then serve plain lans.
            if !self.vlans().is_empty() {
                data.push(InfoBridge::VlanFiltering(true));
            }
            let mut message = message::make(BRIDGE, InfoKind::Bridge, Some(InfoData::Bridge(data)));
            message
                .attributes
                .push(LinkAttribute::Address(self.mac("switch").bytes().to_vec()));
            switch
                .socket
                .act(
                    RouteNetlinkMessage::NewLink(message),
                    NLM_F_CREATE | NLM_F_EXCL,
                )
                .await
                .map_err(|error| {
                    let refusal = refused(format!("{}: its switch", self.act()), &error);
                    match error.errno {
                        Errno::EOPNOTSUPP => refusal.hint(
                            "this kernel has no bridge (or none with VLAN filtering): load its module with `modprobe bridge`",
                        ),
                        _ => refusal,
                    }
                })?;
        }
        let index = switch.bring_up(BRIDGE).await?;
        if !self.vlans().is_empty() {
            let filter = InfoData::Bridge(vec![InfoBridge::VlanFiltering(true)]);
            // Without the name: kernels before 6.2 take it for a new one and refuse that while the link is up (EBUSY).
            let info = vec![LinkInfo::Kind(InfoKind::Bridge), LinkInfo::Data(filter)];
            let message = message::set(index, LinkAttribute::LinkInfo(info));
            self.change(switch, message).await?;
        }
        Ok(index)
    }

    /// A port of the switch, made with its other `end` (namespace, name, MAC) if it is absent, on the bridge and up.
    pub(super) async fn port(
        &self,
        switch: &Place,
        bridge: u32,
        port: &str,
        end: Option<(&Place, &str, Mac)>,
    ) -> Result<(), WorldError> {
        let mut found = switch.link(port).await?;
        if let (Some(link), Some((place, name, _))) = (&found, end)
            && place.link(name).await?.is_none()
        {
            // Its other end is not where it belongs: the machine's namespace was made anew.
            switch.delete(link.header.index).await?;
            found = None;
        }
        if let (None, Some((place, name, mac))) = (&found, end) {
            let mtu = self.spec.lan.mtu;
            let pair = message::make_veth(
                &VethEnd {
                    name: port,
                    mac: self.mac(&format!("port/{port}")),
                    namespace: None,
                    mtu,
                },
                &VethEnd {
                    name,
                    mac,
                    namespace: Some(place.namespace.raw()),
                    mtu,
                },
            );
            switch
                .socket
                .act(
                    RouteNetlinkMessage::NewLink(pair),
                    NLM_F_CREATE | NLM_F_EXCL,
                )
                .await
                .map_err(|error| {
                    refused(format!("{}: the wire to `{port}`", self.act()), &error)
                })?;
            found = switch.link(port).await?;
        }
        let Some(link) = found else {
            return Err(refused(
                format!("{}: the wire to `{port}`", self.act()),
                &Errno::ENODEV.into(),
            ));
        };
        let index = link.header.index;
        // The far end first: a port that comes up with its carrier forwards at once, one that gets it later waits for
        // the kernel's link watch, which takes up to a second when much is going on.
        if let Some((place, name, _)) = end {
            place.bring_up(name).await?;
        }
        let on_bridge = link.attributes.contains(&LinkAttribute::Controller(bridge));
        if !on_bridge {
            switch
                .set(message::set(index, LinkAttribute::Controller(bridge)))
                .await?;
        }
        if !link.header.flags.contains(LinkFlags::Up) {
            switch
                .set(message::flag(index, LinkFlags::Up, true))
                .await?;
        }
        Ok(())
    }

    /// What the switch does on the port to the host. One that rejects strangers does not learn there and sends nothing
    /// there but what is for the parent's own address, for many, or for all: so frames to the addresses of macvlan
    /// links never arrive, as behind a hypervisor's port. Frames *from* them pass, which is why such a network seems
    /// to work half. One that reflects sends frames back where they came from (`hairpin`).
    pub(super) async fn behaviour(&self, switch: &Place) -> Result<(), WorldError> {
        let Some(port) = switch.link(HOST_PORT).await? else {
            return Ok(());
        };
        let index = port.header.index;
        let rejects = self.spec.lan.switch.promiscuous == SwitchPromiscuous::Reject;
        let settings = message::PortSettings {
            hairpin: self.spec.lan.switch.reflect,
            learning: !rejects,
            flood: !rejects,
        };
        if message::PortSettings::of(table::port_settings(&port)) != settings {
            self.change(switch, message::port(index, settings)).await?;
        }
        for vlan in &self.spec.vlans {
            switch
                .vlan(
                    index,
                    vlan.number(),
                    BridgeVlanInfoFlags::empty(),
                    Carry::Yes,
                )
                .await?;
        }
        if rejects {
            let untagged = VlanId::try_from(UNTAGGED).ok();
            let vlans: Vec<Option<VlanId>> = if self.vlans().is_empty() {
                vec![None]
            } else {
                let tagged = self.spec.vlans.iter().copied().map(Some);
                [untagged].into_iter().chain(tagged).collect()
            };
            for vlan in vlans {
                let station = message::station(index, self.mac("parent"), vlan);
                switch
                    .socket
                    .act(
                        RouteNetlinkMessage::NewNeighbour(station),
                        NLM_F_CREATE | NLM_F_REPLACE,
                    )
                    .await
                    .map_err(|error| {
                        refused(format!("{}: the switch's table", self.act()), &error)
                    })?;
            }
        }
        Ok(())
    }

    /// Changes what only a `RTM_NEWLINK` without flags can change: the kind's own settings.
    async fn change(
        &self,
        switch: &Place,
        message: netlink_packet_route::link::LinkMessage,
    ) -> Result<(), WorldError> {
        switch
            .socket
            .act(RouteNetlinkMessage::NewLink(message), 0)
            .await
            .map_err(|error| refused(format!("{}: its switch", self.act()), &error))
    }
}

/// Whether a port carries a VLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carry {
    Yes,
    No,
}

impl Place {
    /// Makes a port an access port: untagged frames belong to this VLAN, and nothing else passes.
    pub(super) async fn access(&self, port: &str, vlan: VlanId) -> Result<(), WorldError> {
        let Some(link) = self.link(port).await? else {
            return Ok(());
        };
        let index = link.header.index;
        let own = BridgeVlanInfoFlags::Pvid | BridgeVlanInfoFlags::Untagged;
        self.vlan(index, vlan.number(), own, Carry::Yes).await?;
        if vlan.number() != UNTAGGED {
            self.vlan(index, UNTAGGED, BridgeVlanInfoFlags::empty(), Carry::No)
                .await?;
        }
        Ok(())
    }

    async fn vlan(
        &self,
        port: u32,
        vlan: u16,
        flags: BridgeVlanInfoFlags,
        carry: Carry,
    ) -> Result<(), WorldError> {
        let message = message::port_vlan(port, vlan, flags);
        let (message, flags) = match carry {
            Carry::Yes => (RouteNetlinkMessage::SetLink(message), NLM_F_APPEND),
            Carry::No => (RouteNetlinkMessage::DelLink(message), 0),
        };
        match self.socket.act(message, flags).await {
            Err(error) if carry == Carry::No && error.errno == Errno::ENOENT => Ok(()),
            Err(error) => Err(refused(
                format!("cannot set VLAN {vlan} on a port of `{}`", self.name),
                &error,
            )),
            Ok(()) => Ok(()),
        }
    }
}
