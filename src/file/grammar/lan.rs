//! Simulated lans and checks: keys of our own.

use crate::file::grammar::{Extensions, Kind, Shape, Unique, key};

/// A simulated wire.
pub static LAN: Shape = Shape {
    name: "lan",
    title: "Simulated LAN",
    extensions: Extensions::Allowed,
    keys: &[
        key("parent", Kind::Text, "Parent link", "The link made in the host's namespace, at most 15 bytes; networks name it, or the lan, as their parent.").examples(&["lab0"]),
        key("subnet", Kind::TextList(Unique::No), "Subnet", "The prefix on this wire; one of each family.").examples(&["192.168.77.0/24"]),
        key("gateway", Kind::TextList(Unique::No), "Gateway", "The address of the router; one of each family.").examples(&["192.168.77.1"]),
        key("nat", Kind::Boolean, "NAT", "The router translates addresses and forwards to the host's own way out.").default("false"),
        key("address", Kind::TextList(Unique::No), "Host addresses", "The host's own addresses on this wire, set on the parent link.").examples(&["192.168.77.10"]),
        key("hosts", Kind::Named(&Kind::OneOf(&[Kind::TextList(Unique::No), Kind::Object(&LAN_HOST)])), "Machines", "Other machines on this wire, each in a namespace of its own.")
            .examples(&["{laptop: 192.168.77.50}"]),
        key("switch", Kind::Object(&SWITCH), "Switch", "How the wire's switch behaves."),
        key("mtu", Kind::Integer(68, 65535), "MTU", "The largest packet, in bytes.").default("1500"),
    ],
};

/// A machine on a lan.
pub static LAN_HOST: Shape = Shape {
    name: "lan_host",
    title: "Machine on a LAN",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "address",
            Kind::TextList(Unique::No),
            "Addresses",
            "Its addresses; each gets the prefix length of the lan's subnet that holds it.",
        )
        .examples(&["192.168.77.50"]),
        key(
            "vlan",
            Kind::Integer(1, 4094),
            "VLAN",
            "Its switch port belongs to this 802.1Q VLAN; absent is the untagged wire.",
        )
        .examples(&["20"]),
    ],
};

/// A lan's switch.
pub static SWITCH: Shape = Shape {
    name: "switch",
    title: "Switch",
    extensions: Extensions::Allowed,
    keys: &[
        key("promiscuous", Kind::Choice(&["accept", "reject"]), "Unknown addresses", "`reject` drops frames to MAC addresses that it did not give out, as a hypervisor's port does.").default("accept"),
        key("reflect", Kind::Boolean, "Reflect", "Frames may leave by the port they came in (IEEE 802.1Qbg reflective relay).").default("false"),
    ],
};

/// An expectation.
pub static CHECK: Shape = Shape {
    name: "check",
    title: "Check",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "name",
            Kind::Text,
            "Name",
            "What is expected, as a sentence; `FROM to TO` where it is absent.",
        )
        .examples(&["the host is walled off"]),
        key(
            "from",
            Kind::Text,
            "From",
            "Who asks: a service, `host`, `LAN.MACHINE` or a shim's name.",
        )
        .examples(&["host", "office.laptop"])
        .required(),
        key(
            "to",
            Kind::Text,
            "To",
            "Who is asked: a service, a name or an address.",
        )
        .examples(&["web", "192.168.77.1"])
        .required(),
        key(
            "port",
            Kind::Integer(1, 65535),
            "Port",
            "The port to ask; absent asks by ICMP echo.",
        )
        .examples(&["80"]),
        key(
            "protocol",
            Kind::Choice(&["tcp", "udp", "sctp"]),
            "Protocol",
            "The protocol of the port.",
        )
        .default("tcp"),
        key(
            "via",
            Kind::Text,
            "Via",
            "The network or link that the path must take.",
        ),
        key(
            "expect",
            Kind::Text,
            "Expectation",
            "`ok`, `unreachable`, a kind of failure or a reason code.",
        )
        .default("ok")
        .examples(&["unreachable"]),
        key(
            "within",
            Kind::Duration,
            "Within",
            "How long the expectation may take to come true.",
        )
        .examples(&["10s"]),
        key(
            "require",
            Kind::Boolean,
            "Required",
            "A failure of this one ends the run.",
        )
        .default("false"),
        key(
            "warning",
            Kind::Boolean,
            "Warning only",
            "A failure is told and does not fail the run.",
        )
        .default("false"),
        key(
            "level",
            Kind::Choice(&["error", "warning"]),
            "Level",
            "Whether a failure fails the run or is only told; the same as `warning`.",
        )
        .default("error"),
        key(
            "after",
            Kind::List(&Kind::Object(&DISTURBANCE), Unique::No),
            "After",
            "What is done to the stack before it is asked.",
        )
        .examples(&["[{restart: web}]"]),
    ],
};

/// A change made before a check.
pub static DISTURBANCE: Shape = Shape {
    name: "disturbance",
    title: "Disturbance",
    extensions: Extensions::Refused,
    keys: &[
        key("restart", Kind::Text, "Restart", "The service to restart."),
        key("stop", Kind::Text, "Stop", "The service to stop."),
        key("start", Kind::Text, "Start", "The service to start."),
        key(
            "kill",
            Kind::Text,
            "Kill",
            "The service to kill, without asking it to stop.",
        ),
        key("pause", Kind::Text, "Pause", "The service to freeze."),
        key(
            "unpause",
            Kind::Text,
            "Unpause",
            "The service to let go on.",
        ),
        key(
            "connect",
            Kind::Text,
            "Connect",
            "The service to connect to the `network` beside it.",
        ),
        key(
            "disconnect",
            Kind::Text,
            "Disconnect",
            "The service to cut off from the `network` beside it.",
        ),
        key(
            "network",
            Kind::Text,
            "Network",
            "With `connect` and `disconnect`: a network of this file.",
        ),
    ],
};
