//! Rules of engines: what their version, their firewall and their settings change, and what they refuse to make. A thing
//! that is refused never stands, so no packet meets those rules: the reader or the planner tells them, and the card says
//! why.

use crate::reach::card::Card;
use crate::reach::facts::{Backend, Facts};
use crate::reach::verdict::{Code, Obstacle, Stage};

pub const V2: Card = Card {
    id: "V2",
    title: "IPv4 can be left out, by newer engines",
    text: "From API 1.48 on `enable_ipv4: false` makes a network without IPv4: its containers have no IPv4 address and no way to one. Older engines ignore the key and give IPv4 all the same.",
    source: "moby integration/network/macvlan TestMacvlanIPAM",
};

pub const V2B: Card = Card {
    id: "V2b",
    title: "newer engines tell which addresses are used",
    text: "From API 1.52 a look at a network tells the addresses in use and those left in each subnet; reserved ones (aux_addresses) count as used.",
    source: "moby integration/network/macvlan TestMacvlanIPAM",
};

pub const V4: Card = Card {
    id: "V4",
    title: "a container may have switched IPv6 off",
    text: "With the sysctl net.ipv6.conf.all.disable_ipv6 a container has no IPv6 address on any link, whatever its networks offer.",
    source: "moby integration/networking TestDisableIPv6Addrs",
};

pub const V5: Card = Card {
    id: "V5",
    title: "both firewalls of the engine give the same results",
    text: "Engine 29 can write its rules with nftables in place of iptables. Chains and names differ (there is no DOCKER-USER), who reaches whom does not.",
    source: "moby integration/network/bridge TestFirewallBackendSwitch, nftablesdoc",
};

pub const V6: Card = Card {
    id: "V6",
    title: "an engine ignores gateway modes that it does not know",
    text: "Gateway modes nat and routed came with engine 27, nat-unprotected and isolated with 28. An older engine takes the option, says nothing, and does as it always did.",
    source: "moby pull requests 48597, 49262; measured on 20.10",
};

pub const V7: Card = Card {
    id: "V7",
    title: "a rootless engine has a host of its own",
    text: "What a rootless engine calls the host is a namespace that it made. The machine itself has no leg in the bridges: container addresses mean nothing to it, and published ports are handed in by a helper program.",
    source: "docs of rootless mode; moby integration tests skip these cases",
};

pub const V8: Card = Card {
    id: "V8",
    title: "the user's own rules come first",
    text: "Before all rules of the engine a forwarded packet goes through the chain DOCKER-USER. There are rules in it, and they may drop what the engine would let pass.",
    source: "moby iptablesdoc",
};

pub const V9: Card = Card {
    id: "V9",
    title: "the host's own firewall decides what comes in",
    text: "What is for the host itself goes through its rules for incoming packets (`input`), which are no part of the engine's: ufw, firewalld or rules made by hand. There are some that drop, and they may drop what containers and machines send to the host, by a bridge, a shim or the parent. What is translated to a container on its way does not come by there.",
    source: "Linux ip_local_deliver, net/ipv4/ip_input.c",
};

pub const N12: Card = refused(
    "N12",
    "the default bridge knows no aliases and no fixed addresses",
    "Aliases and fixed addresses belong to networks that users make; the engine refuses them on its default bridge.",
    "moby daemon/container_operations.go validateEndpointSettings",
);
pub const B13: Card = refused(
    "B13",
    "a Linux bridge has at most 1023 ports",
    "The kernel numbers a bridge's ports with ten bits: a network with more containers cannot be made, and starting the next one fails.",
    "net/bridge/br_private.h BR_PORT_BITS",
);
pub const P9: Card = refused(
    "P9",
    "a guest in another's namespace publishes and names nothing",
    "A container that shares another's namespace (network_mode container: or service:) has no ports, links, hostname, name servers or MAC address of its own: those are the owner's.",
    "moby daemon/internal/runconfig/hostconfig.go",
);
pub const P12: Card = refused(
    "P12",
    "a port of the host is published once",
    "Two containers cannot have the same port at the same address of the host: the second does not start. Sockets of the host itself, and so those of containers in host mode, count as well.",
    "measured on 20.10",
);
pub const H2: Card = refused(
    "H2",
    "host mode has no links",
    "A container in host mode uses the host's names; the engine refuses `links` for it.",
    "moby daemon hostconfig_unix.go",
);
pub const H5: Card = refused(
    "H5",
    "a guest joins no network of its own",
    "A container in another's namespace, or in the host's, cannot be connected to networks: it has those of its owner.",
    "moby daemon/container_operations.go",
);
pub const M14: Card = refused(
    "M14",
    "one parent carries one ipvlan network",
    "Mode and flag of ipvlan belong to the parent: the engine refuses a second ipvlan network there, and the kernel one of the other kind (macvlan beside ipvlan).",
    "moby ipvlan_network.go; drivers/net/ipvlan/ipvlan_main.c",
);
pub const M19: Card = refused(
    "M19",
    "an address on a wire is one container's",
    "Macvlan and ipvlan networks may overlap, since one wire may carry them both; but one address cannot be given to two containers of one network, and two of different ones disturb each other.",
    "moby TestMacvlanIPAMOverlap, TestIpvlanIPAMOverlap",
);

/// The cards of this file.
pub const CARDS: &[&Card] = &[
    &V2, &V2B, &V4, &V5, &V6, &V7, &V8, &V9, &N12, &B13, &P9, &P12, &H2, &H5, &M14, &M19,
];

const fn refused(
    id: &'static str,
    title: &'static str,
    text: &'static str,
    source: &'static str,
) -> Card {
    Card {
        id,
        title,
        text,
        source,
    }
}

/// What comes before the engine's own rules for a packet that the host forwards; the card tells which firewall it is.
pub fn before_the_rules(facts: &Facts) -> Result<Option<&'static Card>, Obstacle> {
    match facts.backend {
        Backend::Nftables => Ok(Some(&V5)),
        Backend::Iptables if facts.user_rules => {
            let fact = "the rules in the chain DOCKER-USER";
            let code = Code::HostFirewall;
            Err(Obstacle::depends(&V8, Stage::Firewall, code, fact, fact))
        }
        Backend::Iptables => Ok(None),
    }
}

/// What comes to the host for itself, before anything there is asked.
pub fn into_the_host(facts: &Facts) -> Result<(), Obstacle> {
    if !facts.host_input {
        return Ok(());
    }
    let fact = "the host's rules for what comes in";
    let code = Code::HostFirewall;
    Err(Obstacle::depends(&V9, Stage::Firewall, code, fact, fact)
        .remedy("accept it there: `stack doctor` names the chains that drop"))
}

/// The machine asks a container of a rootless engine.
pub fn rootless(address: &str) -> Obstacle {
    let fact = format!("how the rootless engine's helper brings {address} to the machine");
    let code = Code::UnknownExternal;
    Obstacle::depends(&V7, Stage::Route, code, fact.clone(), fact)
        .remedy("publish the port and ask it at 127.0.0.1")
}
