//! Networks: an entry under `networks:`, its address management and its shim.

use crate::file::grammar::{Extensions, Kind, Shape, ShortForm, Unique, key};

/// A network.
pub static NETWORK: Shape = Shape {
    name: "network",
    title: "Network",
    extensions: Extensions::Allowed,
    keys: &[
        key("name", Kind::Text, "Name", "The engine's name for the network; `PROJECT_KEY` where it is absent.").examples(&["shared-lan"]),
        key("driver", Kind::Text, "Driver", "Who carries the frames: `bridge`, `macvlan`, `ipvlan`, `overlay`, `host`, `none` or the name of a plugin.")
            .default("bridge")
            .examples(&["bridge", "macvlan", "ipvlan", "overlay"]),
        key("driver_opts", Kind::Options, "Driver options", "Options for the driver, as the engine takes them.").examples(&["{com.docker.network.bridge.name: br-web}"]),
        key("ipam", Kind::Object(&IPAM), "Address management", "Which addresses the network has and hands out.").always(),
        key("external", Kind::External, "External", "Someone else makes and removes it; it must be there.").default("false"),
        key("internal", Kind::Boolean, "Internal", "No way out: the engine sets no default route and drops what would leave.").default("false"),
        key("attachable", Kind::Boolean, "Attachable", "Containers outside the stack may attach to it (overlay networks).").default("false"),
        key("labels", Kind::Labels, "Labels", "Labels of the network object."),
        key("enable_ipv4", Kind::Boolean, "IPv4", "Whether containers get IPv4 addresses.").default("true").since("1.48").kept(),
        key("enable_ipv6", Kind::Boolean, "IPv6", "Whether containers get IPv6 addresses. Engines before 27 need an IPv6 subnet for it.").default("false").kept(),
        key("parent", Kind::Text, "Parent link", "The host's link that a macvlan or ipvlan network sits on: a link's name, `eth0.20` for an 802.1Q link (made if it is absent), or a lan of this file.")
            .examples(&["eth0", "eth0.20", "office"])
            .ours(),
        key("mode", Kind::Text, "Mode", "macvlan: bridge, private, vepa or passthru. ipvlan: l2, l3 or l3s.")
            .examples(&["bridge", "l2"])
            .ours(),
        key("flag", Kind::Choice(&["bridge", "private", "vepa"]), "ipvlan flag", "Whom the links of one ipvlan parent may talk to.").default("bridge").ours(),
        key("promiscuous", Kind::OneOf(&[Kind::Boolean, Kind::Choice(&["auto", "on", "off"])]), "Promiscuous parent", "Whether the parent's promiscuous flag is set while the stack is up; it is put back afterwards. `auto` sets it where the machine looks as if it were needed.")
            .default("false")
            .examples(&["auto"])
            .kept()
            .ours(),
        key("shim", Kind::Short(ShortForm::Switch, &SHIM), "Shim", "The host's own door into a macvlan or ipvlan network: a sibling link in the host's namespace, with routes to the containers.")
            .examples(&["true", "{address: 192.168.1.233, routes: range}"])
            .kept()
            .ours(),
        key("dhcp_pool", Kind::Text, "DHCP pool", "What the LAN's own DHCP server hands out, so that collisions with `ip_range` and static addresses are found: a range or a prefix.")
            .examples(&["192.168.1.10-192.168.1.99", "192.168.1.0/26"])
            .ours(),
    ],
};

/// Address management of a network.
pub static IPAM: Shape = Shape {
    name: "ipam",
    title: "Address management",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "driver",
            Kind::Text,
            "Driver",
            "The address management driver.",
        )
        .default("default"),
        key(
            "config",
            Kind::List(&Kind::Object(&POOL), Unique::Subnet),
            "Pools",
            "The address pools, at most one of each family for most drivers.",
        )
        .examples(&["[{subnet: 10.5.0.0/16, gateway: 10.5.0.1}]"]),
        key(
            "options",
            Kind::Mapping(&Kind::Text),
            "Options",
            "Options for the address management driver.",
        ),
    ],
};

/// One pool of a network.
pub static POOL: Shape = Shape {
    name: "pool",
    title: "Address pool",
    extensions: Extensions::Allowed,
    keys: &[
        key("subnet", Kind::Text, "Subnet", "The prefix of the network.").examples(&["192.168.1.0/24", "2001:db8:1::/64"]),
        key("gateway", Kind::Text, "Gateway", "The address of the default route.").examples(&["192.168.1.1"]),
        key("ip_range", Kind::Text, "Range", "The part of the subnet that automatic addresses come from; static ones are safest outside it.").examples(&["192.168.1.128/25"]),
        key("aux_addresses", Kind::Mapping(&Kind::Text), "Reserved addresses", "Addresses that are never handed out, by name.").examples(&["{router: 192.168.1.129}"]),
    ],
};

/// A shim in full.
pub static SHIM: Shape = Shape {
    name: "shim",
    title: "Shim",
    extensions: Extensions::Allowed,
    keys: &[
        key("name", Kind::Text, "Name", "The link's name in the host's namespace, at most 15 bytes; derived from the network's where it is absent.").examples(&["lan-shim"]),
        key("address", Kind::TextList(Unique::No), "Address", "Its addresses, at most one of each family; `auto` takes the last free one outside `ip_range`.").default("auto").examples(&["192.168.1.233"]),
        key("mac_address", Kind::Text, "MAC address", "Its link-layer address (macvlan only); `auto` derives it from project and network.").default("auto").examples(&["02:42:c0:a8:01:e9"]),
        key("routes", Kind::TextList(Unique::No), "Routes", "`auto`: the `ip_range` where one is set, else one route for each container; `range`: the `ip_range` or the whole subnet; or a list of prefixes.")
            .default("auto")
            .examples(&["range", "[192.168.1.128/25]"]),
        key("host_address", Kind::Choice(&["reachable", "as_is"]), "Host address", "Whether the host's own LAN address works from the containers whatever the kernel's settings say.").default("as_is"),
    ],
};

/// The settings of a service's endpoint in one network.
pub static ATTACHMENT: Shape = Shape {
    name: "attachment",
    title: "Attachment to a network",
    extensions: Extensions::Allowed,
    keys: &[
        key("aliases", Kind::List(&Kind::Text, Unique::Key), "Aliases", "Other names of the service in this network.").examples(&["[db, database]"]),
        key("driver_opts", Kind::Options, "Driver options", "Options for the endpoint, as the engine takes them."),
        key("gw_priority", super::ANY, "Gateway priority", "The network with the highest number gives the default route.").default("0").since("1.48"),
        key("interface_name", Kind::Text, "Link name", "The link's name inside the container.").since("1.49").examples(&["lan0"]),
        key("ipv4_address", Kind::Text, "IPv4 address", "A fixed address, inside the network's subnet.").examples(&["192.168.1.230"]),
        key("ipv6_address", Kind::Text, "IPv6 address", "A fixed address, inside the network's subnet.").examples(&["2001:db8:1::10"]),
        key("link_local_ips", Kind::List(&Kind::Text, Unique::Key), "Link-local addresses", "Further addresses that the user manages."),
        key("mac_address", Kind::Text, "MAC address", "A fixed link-layer address in this network.").since("1.44").examples(&["02:42:ac:11:00:02"]),
        key("priority", super::ANY, "Priority", "The network with the highest number is the first one, which a service-level MAC address belongs to.").default("0"),
    ],
};
