//! Rules of parents and what sits on them: macvlan, ipvlan, shims, switches. All of them say whether a frame, and so an
//! ARP question, gets from one link of a wire to another.

use crate::model::lan::SwitchPromiscuous;
use crate::model::network::{IpvlanFlag, IpvlanMode, MacvlanMode};
use crate::reach::card::Card;
use crate::reach::scene::{Role, WireTraits};
use crate::reach::verdict::{Code, Failure, Obstacle, Stage};

pub const M1: Card = Card {
    id: "M1",
    title: "the host and its macvlan or ipvlan containers do not hear each other",
    text: "Frames of a child leave by the wire, and frames that the parent itself sends are never handed to its children. The host asks for the container's address, nobody answers, and after three seconds it gives up. The way out is a shim: a child of the same parent in the host's own namespace.",
    source: "drivers/net/macvlan.c, drivers/net/ipvlan; measured for every mode on veth and dummy parents",
};

pub const M2: Card = Card {
    id: "M2",
    title: "a shim is the host's own child of the parent",
    text: "A shim is a sibling of the containers, so they hear each other. The host sends through it only what a route leads there, and answers through it for all its own addresses (arp_ignore 0).",
    source: "measured: bridge with bridge, and ipvlan with the same mode and flag",
};

pub const M3: Card = Card {
    id: "M3",
    title: "children of one parent in bridge mode talk inside the host",
    text: "In bridge mode the kernel hands frames from one child to another without the wire, across networks of the engine too.",
    source: "drivers/net/macvlan.c macvlan_broadcast, macvlan_queue_xmit; measured",
};

pub const M4: Card = Card {
    id: "M4",
    title: "private mode keeps children apart, whatever the switch does",
    text: "A child in private mode hears only what comes from outside, and frames of its siblings are dropped even when a switch sends them back.",
    source: "drivers/net/macvlan.c; measured with and without a reflecting switch",
};

pub const M5: Card = Card {
    id: "M5",
    title: "vepa mode leaves it to the switch",
    text: "In vepa mode every frame goes out to the wire. Siblings hear each other only when the switch sends frames back by the port they came from (IEEE 802.1Qbg reflective relay), which few do.",
    source: "measured with and without a reflecting switch",
};

pub const M6: Card = Card {
    id: "M6",
    title: "passthru gives the parent away",
    text: "A passthru child takes the parent over: it is the only child, and the host loses the wire.",
    source: "moby macvlan_network.go; measured",
};

pub const M9: Card = Card {
    id: "M9",
    title: "ipvlan l3 is a router without ARP",
    text: "In modes l3 and l3s children do not ask or answer on the wire: siblings are routed to each other inside, and the outside reaches them only with a route that leads to the host.",
    source: "Documentation/networking/ipvlan.rst; measured in guest kernels",
};

pub const M13: Card = Card {
    id: "M13",
    title: "a VLAN is a wire of its own",
    text: "A link such as eth0.20 carries only frames with its 802.1Q tag: it is apart from eth0 and from every other VLAN, and only a router joins them.",
    source: "IEEE 802.1Q; moby macvlan_setup.go",
};

pub const M16: Card = Card {
    id: "M16",
    title: "the flags private and vepa of ipvlan keep children apart",
    text: "The port's flag decides for all its children: with private or vepa siblings do not hear each other, a shim included.",
    source: "Documentation/networking/ipvlan.rst; measured in guest kernels",
};

pub const M17: Card = Card {
    id: "M17",
    title: "from a bridge to the LAN's containers the way leads through the shim",
    text: "A bridge container's packet is translated to the host's address and must leave by the shim to reach a macvlan container; without one it ends at the parent's filter, and the host says so to the client.",
    source: "measured on 20.10 and 28",
};

pub const SWITCH: Card = Card {
    id: "FH1",
    title: "a switch that knows only the host's address drops frames for the containers",
    text: "Hypervisors and access points hand a port only frames for the link-layer address they gave it. Macvlan children have addresses of their own: their questions go out, and the answers never arrive. ipvlan children share the parent's address and are heard.",
    source: "docker/docs issue 15855, canonical/lxd issue 2248; measured on a lan with switch: {promiscuous: reject}",
};

pub const M7: Card = Card {
    id: "M7",
    title: "two networks on one parent share the wire, not the subnet",
    text: "Their containers hear each other, but have no address in common: what is in the other subnet goes to the router, and comes back if it routes between them.",
    source: "moby integration/network/macvlan multi-subnet tests",
};

pub const M8: Card = Card {
    id: "M8",
    title: "each container lives in one subnet of each family",
    text: "A network may have several subnets; from one to the other only a router on the wire leads.",
    source: "moby integration/network/macvlan multi-subnet tests",
};

pub const M10: Card = Card {
    id: "M10",
    title: "ipvlan l3 asks nobody and answers nobody",
    text: "In modes l3 and l3s there is no ARP, no broadcast and no multicast on the wire: neighbours that ask for the address get no answer. In l3s packets also pass the host's firewall.",
    source: "Documentation/networking/ipvlan.rst; measured in guest kernels",
};

pub const M11: Card = Card {
    id: "M11",
    title: "the way out of ipvlan l3 is the link itself",
    text: "There is no gateway to ask: the default route is the link, and those of the host's routes that leave by the parent lead on from there. What none of them covers is looked for on the parent's wire, addresses that the host has on other links too: there nobody has them. Published ports are translated before that, as for the host's own packets.",
    source: "moby daemon/libnetwork/drivers/ipvlan/ipvlan_joinleave.go; drivers/net/ipvlan/ipvlan_core.c ipvlan_process_v4_outbound (flowi4_oif is the parent); measured in guest kernels: the host asks for docker0's 172.17.0.1 by ARP on the parent",
};

pub const M12: Card = Card {
    id: "M12",
    title: "an internal network on a parent, or one without a parent, is shut",
    text: "Its containers talk to each other and to nobody else: there is no default route, and without a parent no wire either.",
    source: "moby integration/network/macvlan, ipvlan: internal and nil-parent tests",
};

pub const M15: Card = Card {
    id: "M15",
    title: "the host's firewall does not see its macvlan containers",
    text: "Their frames go from the parent to the wire and never through the host's tables: no rule of iptables or nftables on the host stops them.",
    source: "drivers/net/macvlan.c; measured on 20.10",
};

pub const M18: Card = Card {
    id: "M18",
    title: "a subnet of two addresses works",
    text: "/31 and /127 have neither network nor broadcast address (RFC 3021, RFC 6164): both addresses are stations.",
    source: "moby TestPointToPoint",
};

/// The cards of this file.
pub const CARDS: &[&Card] = &[
    &M1, &M2, &M3, &M4, &M5, &M6, &M9, &M13, &M16, &M17, &SWITCH, &M7, &M8, &M10, &M11, &M12, &M15,
    &M18,
];

/// One end of a frame's way.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    pub role: Role,
    pub name: &'a str,
    /// Whether the link is in the host's namespace.
    pub on_host: bool,
}

/// Whether a frame from one link of a wire is heard at another, and the answer at the first.
pub fn heard(
    wire: &WireTraits,
    passthru: bool,
    from: End,
    to: End,
) -> Result<&'static Card, Obstacle> {
    match (from.role, to.role) {
        (Role::Parent, Role::Parent) | (Role::Station, Role::Station) => Ok(&M3),
        (Role::Parent, Role::Station) | (Role::Station, Role::Parent) => match passthru {
            true => Err(passthru_taken(from, to)),
            false => Ok(&M3),
        },
        (Role::Parent, Role::Macvlan(mode)) | (Role::Macvlan(mode), Role::Parent) => {
            past_the_parent(wire, mode, from, to)
        }
        (Role::Parent, Role::Ipvlan(mode, _)) => Err(parent_filter(from, to, mode)),
        (Role::Ipvlan(mode, _), Role::Parent) => Err(parent_filter(from, to, mode)),
        (Role::Macvlan(one), Role::Macvlan(two)) => macvlan_siblings(wire, one, two, from, to),
        (Role::Ipvlan(one, flag), Role::Ipvlan(two, other)) => {
            ipvlan_siblings((one, flag), (two, other), from, to)
        }
        (Role::Macvlan(mode), Role::Station) | (Role::Station, Role::Macvlan(mode)) => {
            through_the_switch(wire, mode, from, to)
        }
        (Role::Ipvlan(IpvlanMode::L2, _), Role::Station)
        | (Role::Station, Role::Ipvlan(IpvlanMode::L2, _)) => Ok(&M3),
        // Out it goes by the host's routes; nobody answers a question for such an address.
        (Role::Ipvlan(..), Role::Station) => Ok(&M9),
        (Role::Station, Role::Ipvlan(..)) => Err(no_answer(to)),
        // The kernel lets no parent have children of both kinds (EBUSY).
        (Role::Macvlan(_), Role::Ipvlan(..)) | (Role::Ipvlan(..), Role::Macvlan(_)) => {
            Err(parent_filter(from, to, IpvlanMode::L2))
        }
        (Role::Loopback | Role::Bridge | Role::Port, _)
        | (_, Role::Loopback | Role::Bridge | Role::Port) => Ok(&M3),
        (Role::Tunnel | Role::Plugin | Role::Uplink, _)
        | (_, Role::Tunnel | Role::Plugin | Role::Uplink) => Ok(&M3),
    }
}

fn reflects(wire: &WireTraits) -> Option<bool> {
    if wire.alone {
        return Some(false);
    }
    wire.switch.map(|switch| switch.reflect)
}

// Measured on kernel 6.18 with both engines: with a reflecting switch the parent and a child of any of the three modes
// hear each other. (A table made by hand had said no for bridge mode; random stacks showed yes, for ICMP, TCP and UDP,
// both ways. The parent's own address is no child's, so `macvlan_handle_frame` floods and passes it as one from outside.)
fn past_the_parent(
    wire: &WireTraits,
    mode: MacvlanMode,
    from: End,
    to: End,
) -> Result<&'static Card, Obstacle> {
    match (mode, reflects(wire)) {
        (MacvlanMode::Bridge | MacvlanMode::Private | MacvlanMode::Vepa, Some(true)) => Ok(&M5),
        (MacvlanMode::Passthru, _) => Err(passthru_taken(from, to)),
        (MacvlanMode::Bridge | MacvlanMode::Private | MacvlanMode::Vepa, _) => {
            Err(parent_filter(from, to, IpvlanMode::L2))
        }
    }
}

fn parent_filter(from: End, to: End, mode: IpvlanMode) -> Obstacle {
    let parent = if from.role == Role::Parent {
        from.name
    } else {
        to.name
    };
    // An l3 child does not ask on the link, so nobody tells it that nobody answers.
    let quiet = mode != IpvlanMode::L2 && matches!(from.role, Role::Ipvlan(..));
    let failure = if quiet {
        Failure::Timeout
    } else {
        Failure::HostUnreachable
    };
    Obstacle::fail(
        &M1,
        Stage::Link,
        Code::ParentFilter,
        failure,
        format!("the parent link `{parent}`"),
    )
    .remedy("set `shim: true` on the network that sits on this parent")
}

fn passthru_taken(from: End, to: End) -> Obstacle {
    let parent = if from.role == Role::Parent {
        from.name
    } else {
        to.name
    };
    Obstacle::fail(
        &M6,
        Stage::Link,
        Code::PassthruSingle,
        Failure::HostUnreachable,
        format!("the parent link `{parent}`"),
    )
    // Who knew each other before the container took the parent still does for a while, and asks no more (measured on
    // 20.10 and 28.5: the first seconds after `up` are silent).
    .also(Failure::Timeout)
    .remedy("use another mode: `mode: bridge`")
}

/// Whether one of two siblings is the host's own, which is what a shim is.
fn is_a_shims(from: End, to: End) -> bool {
    from.on_host || to.on_host
}

fn macvlan_siblings(
    wire: &WireTraits,
    one: MacvlanMode,
    two: MacvlanMode,
    from: End,
    to: End,
) -> Result<&'static Card, Obstacle> {
    let modes = [one, two];
    if modes == [MacvlanMode::Bridge; 2] {
        return Ok(match is_a_shims(from, to) {
            true => &M2,
            false => &M3,
        });
    }
    let at = format!("the siblings of `{}`", to.name);
    if modes.contains(&MacvlanMode::Private) || modes.contains(&MacvlanMode::Passthru) {
        return Err(Obstacle::fail(
            &M4,
            Stage::Link,
            Code::MacvlanPrivate,
            Failure::HostUnreachable,
            at,
        )
        .remedy("set `mode: bridge` on the network"));
    }
    match reflects(wire) {
        Some(true) => Ok(&M5),
        Some(false) => Err(Obstacle::fail(
            &M5,
            Stage::Link,
            Code::VepaNoReflect,
            Failure::HostUnreachable,
            at,
        )
        .remedy("set `mode: bridge` on the network, or let the switch reflect")),
        None => Err(Obstacle::depends(
            &M5,
            Stage::Link,
            Code::VepaNoReflect,
            "whether the switch sends frames back by the port they came from",
            at,
        )
        .remedy("set `mode: bridge` on the network")),
    }
}

fn ipvlan_siblings(
    one: (IpvlanMode, IpvlanFlag),
    two: (IpvlanMode, IpvlanFlag),
    from: End,
    to: End,
) -> Result<&'static Card, Obstacle> {
    if one == two && one.1 == IpvlanFlag::Bridge {
        return Ok(match (is_a_shims(from, to), one.0) {
            (true, _) => &M2,
            (false, IpvlanMode::L2) => &M3,
            (false, IpvlanMode::L3 | IpvlanMode::L3s) => &M9,
        });
    }
    let (code, remedy) = match one.1 {
        IpvlanFlag::Vepa => (Code::VepaNoReflect, "remove the flag `vepa` of the network"),
        IpvlanFlag::Private | IpvlanFlag::Bridge => (
            Code::MacvlanPrivate,
            "remove the flag `private` of the network",
        ),
    };
    let failure = match one.0 {
        IpvlanMode::L2 => Failure::HostUnreachable,
        IpvlanMode::L3 | IpvlanMode::L3s => Failure::Timeout,
    };
    let obstacle = Obstacle::fail(
        &M16,
        Stage::Link,
        code,
        failure,
        format!("the siblings of `{}`", to.name),
    )
    .remedy(remedy);
    // A question for the address is a broadcast, and private siblings hear those: the one who was asked knows the other
    // from then on, asks no more, and what it sends is dropped (`ipvlan_xmit_mode_l2`). Measured on 6.1 with 28.5.
    Err(match one.0 {
        IpvlanMode::L2 => obstacle.also(Failure::Timeout),
        IpvlanMode::L3 | IpvlanMode::L3s => obstacle,
    })
}

fn through_the_switch(
    wire: &WireTraits,
    mode: MacvlanMode,
    from: End,
    to: End,
) -> Result<&'static Card, Obstacle> {
    let strict = wire
        .switch
        .is_some_and(|switch| switch.promiscuous == SwitchPromiscuous::Reject);
    if !strict || mode == MacvlanMode::Passthru {
        return Ok(&M3);
    }
    // The child's own question is a broadcast and goes out; the answer is for an address that the switch does not
    // know. The other way round the question arrives, is answered, and what follows is dropped.
    let failure = if matches!(from.role, Role::Macvlan(_)) {
        Failure::HostUnreachable
    } else {
        Failure::Timeout
    };
    let child = if failure == Failure::Timeout {
        to
    } else {
        from
    };
    let obstacle = Obstacle::fail(
        &SWITCH,
        Stage::Link,
        Code::SwitchDropsUnknown,
        failure,
        format!("the switch, for frames to `{}`", child.name),
    )
    .remedy("use `driver: ipvlan`, or let the switch's port accept unknown addresses");
    // Where the other one has just asked for the child, its question told the child who it is.
    Err(if failure == Failure::HostUnreachable {
        obstacle.also(Failure::Timeout)
    } else {
        obstacle
    })
}

/// An l3 child asks for an address that the host has, but not on the parent. Silence until ARP is given up, then the host
/// tells.
pub fn not_on_the_parent(address: &str, wire: &str) -> Obstacle {
    Obstacle::fail(
        &M11,
        Stage::Link,
        Code::NobodyThere,
        Failure::HostUnreachable,
        format!("{address}, which the host has on another link than `{wire}`"),
    )
    .also(Failure::Timeout)
    .remedy("ask the host at its address on the parent, or at the shim's")
}

/// The address is on the same parent behind another tag, or none.
pub fn on_another_vlan(address: &str, here: &str, there: &str) -> Obstacle {
    Obstacle::fail(
        &M13,
        Stage::Link,
        Code::NobodyThere,
        Failure::HostUnreachable,
        format!("{address}, which is on `{there}` and not on `{here}`"),
    )
    .remedy("put both on one VLAN, or let a router join the two")
}

/// Nobody routes from one subnet of the wire to the other; `same_network` is whether both are of one network.
pub fn without_a_router(address: &str, gateway: &str, wire: &str, same_network: bool) -> Obstacle {
    Obstacle::fail(
        if same_network { &M8 } else { &M7 },
        Stage::Link,
        Code::NobodyThere,
        Failure::HostUnreachable,
        format!("{gateway} on `{wire}`, which would have to route to {address}"),
    )
    .remedy("give both an address in one subnet, or put a router at the gateway's address")
}

fn no_answer(to: End) -> Obstacle {
    Obstacle::fail(
        &M10,
        Stage::Link,
        Code::IpvlanL3NoBcast,
        Failure::HostUnreachable,
        format!("`{}`, which answers no ARP", to.name),
    )
    .remedy("use `mode: l2`, or give the network a subnet of its own and the others a route to it through the host")
}
