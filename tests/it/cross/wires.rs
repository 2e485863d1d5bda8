//! Parents, shims and lans.

use expect_test::expect;

use crate::cross::tells;

#[test]
fn parents_and_shims_are_checked() {
    tells(
        "
services:
  s: {image: x, networks: [a, b, c, d, e, f, g]}
networks:
  a: {driver: macvlan, parent: eth0, shim: true}
  b: {driver: ipvlan, driver_opts: {parent: eth0}, mode: l2, ipam: {config: [{subnet: 10.2.0.0/16}]}}
  c: {driver: macvlan, mode: passthru, parent: eth1, shim: {address: 10.3.0.5}, ipam: {config: [{subnet: 10.3.0.0/16}]}}
  d: {driver: macvlan, mode: private, parent: eth2, shim: true, ipam: {config: [{subnet: 10.4.0.0/16}]}}
  e: {driver: macvlan, mode: brigde, parent: eth3.4095, ipam: {config: [{subnet: 10.5.0.0/16}]}}
  f: {driver: macvlan, mode: vepa, driver_opts: {macvlan_mode: bridge}, parent: a-very-long-link-name, ipam: {config: [{subnet: 10.6.0.0/16}]}}
  g: {driver: bridge, parent: eth0, mode: l2, shim: true}
",
        expect![[r#"
            warning[no-subnet]: network `a` sits on a real wire and has no subnet: the engine takes one that nobody there routes
             --> stack.yaml:5:3
              |
            5 |   a: {driver: macvlan, parent: eth0, shim: true}
              |   ^
            hint: give the wire's own: ipam: {config: [{subnet: 192.168.1.0/24}]}

            error[no-subnet]: network `a`: a shim needs an address, and there is no subnet to take one from
             --> stack.yaml:5:44
              |
            5 |   a: {driver: macvlan, parent: eth0, shim: true}
              |                                            ^^^^
            hint: add the wire's subnet: ipam: {config: [{subnet: 192.168.1.0/24}]}

            error[parent-shared]: networks `a` and `b` share the parent `eth0`: the kernel has no macvlan and ipvlan on one link
             --> stack.yaml:6:45
              |
            5 |   a: {driver: macvlan, parent: eth0, shim: true}
              |                                ---- already used here
            6 |   b: {driver: ipvlan, driver_opts: {parent: eth0}, mode: l2, ipam: {config: [{subnet: 10.2.0.0/16}]}}
              |                                             ^^^^ used again here
            hint: give one of them an 802.1Q link of its own, such as eth0.20, or use one network

            error[shim-impossible]: network `c`: no shim can be: passthru takes the parent over and leaves no room for a sibling
             --> stack.yaml:7:54
              |
            7 |   c: {driver: macvlan, mode: passthru, parent: eth1, shim: {address: 10.3.0.5}, ipam: {config: [{subnet: 10.3.0.0/16}]}}
              |                              -------- the mode
              |                                                      ^^^^
            hint: use mode bridge, or remove the shim

            error[shim-impossible]: network `d`: no shim can help: in private mode siblings never hear each other
             --> stack.yaml:8:59
              |
            8 |   d: {driver: macvlan, mode: private, parent: eth2, shim: true, ipam: {config: [{subnet: 10.4.0.0/16}]}}
              |                              ------- the mode
              |                                                           ^^^^
            hint: use mode bridge, or remove the shim

            error[unknown-value]: `brigde` is not a mode of macvlan
             --> stack.yaml:9:30
              |
            9 |   e: {driver: macvlan, mode: brigde, parent: eth3.4095, ipam: {config: [{subnet: 10.5.0.0/16}]}}
              |                              ^^^^^^
            hint: did you mean `bridge`? it can be bridge, private, vepa, passthru

            error[bad-parent]: network `e`: the VLAN id of `eth3.4095` must be between 1 and 4094
             --> stack.yaml:9:46
              |
            9 |   e: {driver: macvlan, mode: brigde, parent: eth3.4095, ipam: {config: [{subnet: 10.5.0.0/16}]}}
              |                                              ^^^^^^^^^
            hint: write LINK.ID, such as eth0.20

            error[contradiction]: network `f`: `mode` and the driver option `macvlan_mode` contradict each other
              --> stack.yaml:10:64
               |
            10 |   f: {driver: macvlan, mode: vepa, driver_opts: {macvlan_mode: bridge}, parent: a-very-long-link-name, ipam: {config: [{subnet: 10.6.0.0/16}]}}
               |                              ---- `mode` says this
               |                                                                ^^^^^^ this option says another
            hint: keep `mode`; it is the same setting

            error[bad-parent]: network `f`: `a-very-long-link-name` is too long for a link name: 21 bytes, at most 15
              --> stack.yaml:10:81
               |
            10 |   f: {driver: macvlan, mode: vepa, driver_opts: {macvlan_mode: bridge}, parent: a-very-long-link-name, ipam: {config: [{subnet: 10.6.0.0/16}]}}
               |                                                                                 ^^^^^^^^^^^^^^^^^^^^^
            hint: name a link of the host, as `ip link` shows it

            error[key-without-effect]: network `g`: `parent` means nothing for the driver `bridge`
              --> stack.yaml:11:31
               |
            11 |   g: {driver: bridge, parent: eth0, mode: l2, shim: true}
               |                               ^^^^
            hint: remove `parent`, or choose the driver macvlan or ipvlan

            error[key-without-effect]: network `g`: `mode` means nothing for the driver `bridge`
              --> stack.yaml:11:43
               |
            11 |   g: {driver: bridge, parent: eth0, mode: l2, shim: true}
               |                                           ^^
            hint: remove `mode`, or choose the driver macvlan or ipvlan

            error[key-without-effect]: network `g`: `shim` means nothing for the driver `bridge`
              --> stack.yaml:11:53
               |
            11 |   g: {driver: bridge, parent: eth0, mode: l2, shim: true}
               |                                                     ^^^^
            hint: remove `shim`, or choose the driver macvlan or ipvlan

        "#]],
    );
}

#[test]
fn a_lan_and_its_networks_share_one_wire() {
    tells(
        "
lans:
  office: {parent: lab0, subnet: 10.7.0.0/24, gateway: 10.7.0.1, hosts: {laptop: 10.7.0.50, other: 10.8.0.1}}
services:
  web: {image: x, networks: {lan: {ipv4_address: 10.7.0.50}}}
  dhcp: {image: x, networks: {lan: {ipv4_address: 10.7.0.20}}}
networks:
  lan:
    driver: macvlan
    parent: office
    shim: {address: 10.7.0.20}
    dhcp_pool: 10.7.0.10-10.7.0.40
    ipam: {config: [{subnet: 10.7.0.0/24, ip_range: 10.7.0.32/27, gateway: 10.7.0.1}]}
",
        expect![[r#"
            error[address-outside-subnet]: lan `office`: 10.8.0.1 is not in its subnet 10.7.0.0/24
             --> stack.yaml:3:100
              |
            3 |   office: {parent: lab0, subnet: 10.7.0.0/24, gateway: 10.7.0.1, hosts: {laptop: 10.7.0.50, other: 10.8.0.1}}
              |                                                                                                    ^^^^^^^^
            hint: give the lan a subnet that holds the address

            error[duplicate-address]: service `web` and machine `laptop` of lan `office` have one address, 10.7.0.50
             --> stack.yaml:5:50
              |
            3 |   office: {parent: lab0, subnet: 10.7.0.0/24, gateway: 10.7.0.1, hosts: {laptop: 10.7.0.50, other: 10.8.0.1}}
              |                                                                          ------ first given here
            ...
            5 |   web: {image: x, networks: {lan: {ipv4_address: 10.7.0.50}}}
              |                                                  ^^^^^^^^^ the same address again
            hint: give one of them another address

            warning[address-in-range]: service `web`: 10.7.0.50 lies in the ip_range 10.7.0.32/27, from which the engine hands addresses out
              --> stack.yaml:5:50
               |
             5 |   web: {image: x, networks: {lan: {ipv4_address: 10.7.0.50}}}
               |                                                  ^^^^^^^^^
            ...
            13 |     ipam: {config: [{subnet: 10.7.0.0/24, ip_range: 10.7.0.32/27, gateway: 10.7.0.1}]}
               |                                                     ------------ handed out automatically
            hint: choose one outside the range: a container without a fixed address may take this one first, as after a reboot

            warning[dhcp-overlap]: service `dhcp`: 10.7.0.20 lies in the DHCP server's pool
              --> stack.yaml:6:51
               |
             6 |   dhcp: {image: x, networks: {lan: {ipv4_address: 10.7.0.20}}}
               |                                                   ^^^^^^^^^
            ...
            12 |     dhcp_pool: 10.7.0.10-10.7.0.40
               |                ------------------- handed out by the DHCP server
            hint: choose one that the server does not hand out

            error[duplicate-address]: the shim of network `lan` and service `dhcp` have one address, 10.7.0.20
              --> stack.yaml:11:21
               |
             6 |   dhcp: {image: x, networks: {lan: {ipv4_address: 10.7.0.20}}}
               |                                                   --------- first given here
            ...
            11 |     shim: {address: 10.7.0.20}
               |                     ^^^^^^^^^ the same address again
            hint: give one of them another address

            warning[dhcp-overlap]: the shim of network `lan`: 10.7.0.20 lies in the DHCP server's pool
              --> stack.yaml:11:21
               |
            11 |     shim: {address: 10.7.0.20}
               |                     ^^^^^^^^^
            12 |     dhcp_pool: 10.7.0.10-10.7.0.40
               |                ------------------- handed out by the DHCP server
            hint: choose an address that the server does not hand out, or shrink its pool

            warning[dhcp-overlap]: network `lan`: the engine's ip_range 10.7.0.32/27 and the DHCP server's pool overlap
              --> stack.yaml:13:53
               |
            12 |     dhcp_pool: 10.7.0.10-10.7.0.40
               |                ------------------- handed out by the DHCP server
            13 |     ipam: {config: [{subnet: 10.7.0.0/24, ip_range: 10.7.0.32/27, gateway: 10.7.0.1}]}
               |                                                     ^^^^^^^^^^^^ handed out by the engine
            hint: shrink one of the two: both sides would hand out the same addresses

        "#]],
    );
}

#[test]
fn two_networks_cannot_have_one_bridge() {
    tells(
        "
services:
  s: {image: x, networks: [b, c]}
networks:
  b: {driver_opts: {com.docker.network.bridge.name: br-lab}}
  c: {driver_opts: {com.docker.network.bridge.name: br-lab}}
",
        expect![[r#"
            error[duplicate-name]: networks `b` and `c` have one bridge, `br-lab`
             --> stack.yaml:6:53
              |
            5 |   b: {driver_opts: {com.docker.network.bridge.name: br-lab}}
              |                                                     ------ first used here
            6 |   c: {driver_opts: {com.docker.network.bridge.name: br-lab}}
              |                                                     ^^^^^^ the same bridge again
            hint: give one of them another bridge name, or leave the name to the engine

        "#]],
    );
}

#[test]
fn what_a_shim_may_not_take_or_cannot_reach_is_told() {
    tells(
        "
services:
  web: {image: x, networks: [a]}
networks:
  a: {driver: macvlan, parent: eth0, shim: {name: eth0, routes: [0.0.0.0/0, \"fd00::/64\", 10.9.0.0/24, 10.3.0.0/24]}, ipam: {config: [{subnet: 10.3.0.0/16}]}}
  b: {driver: macvlan, parent: eth1, shim: {name: \"a%d\", host_address: reachable, routes: [0.0.0.0/1, 128.0.0.0/1]}, ipam: {config: [{subnet: 10.4.0.0/16}, {subnet: \"fd45::/64\"}]}}
",
        expect![[r#"
            error[duplicate-name]: network `a`: the shim cannot have the name `eth0`, which a parent link has
             --> stack.yaml:5:51
              |
            5 |   a: {driver: macvlan, parent: eth0, shim: {name: eth0, routes: [0.0.0.0/0, "fd00::/64", 10.9.0.0/24, 10.3.0.0/24]}, ipam: {config: [{subnet: 10.3.0.0/16}]}}
              |                                                   ^^^^
            hint: give the shim another name, or leave the name out

            error[shim-route-default]: network `a`: a route to 0.0.0.0/0 by the shim takes the host's way to everywhere else, with whoever is logged in from afar
             --> stack.yaml:5:57
              |
            5 |   a: {driver: macvlan, parent: eth0, shim: {name: eth0, routes: [0.0.0.0/0, "fd00::/64", 10.9.0.0/24, 10.3.0.0/24]}, ipam: {config: [{subnet: 10.3.0.0/16}]}}
              |                                                         ^^^^^^
            hint: name the prefixes of this network, or write `auto`

            error[shim-route-default]: network `a`: a route to 10.9.0.0/24 by the shim takes the host's way to everywhere else, with whoever is logged in from afar
             --> stack.yaml:5:57
              |
            5 |   a: {driver: macvlan, parent: eth0, shim: {name: eth0, routes: [0.0.0.0/0, "fd00::/64", 10.9.0.0/24, 10.3.0.0/24]}, ipam: {config: [{subnet: 10.3.0.0/16}]}}
              |                                                         ^^^^^^
            hint: name the prefixes of this network, or write `auto`

            error[shim-route-default]: network `a`: a route to 10.3.0.0/24 by the shim takes the host's way to everywhere else, with whoever is logged in from afar
             --> stack.yaml:5:57
              |
            5 |   a: {driver: macvlan, parent: eth0, shim: {name: eth0, routes: [0.0.0.0/0, "fd00::/64", 10.9.0.0/24, 10.3.0.0/24]}, ipam: {config: [{subnet: 10.3.0.0/16}]}}
              |                                                         ^^^^^^
            hint: name the prefixes of this network, or write `auto`

            error[shim-route-family]: network `a`: the route to fd00::/64 needs an address of its family, and the network has no such subnet
             --> stack.yaml:5:57
              |
            5 |   a: {driver: macvlan, parent: eth0, shim: {name: eth0, routes: [0.0.0.0/0, "fd00::/64", 10.9.0.0/24, 10.3.0.0/24]}, ipam: {config: [{subnet: 10.3.0.0/16}]}}
              |                                                         ^^^^^^
            hint: give the network a subnet of that family, or leave the route out

            error[bad-link-name]: networks.b.shim.name: `a%d` is not a valid link name: a link name has no `/`, no `:`, no `%` and no white space, and is not `all` or `default`
             --> stack.yaml:6:51
              |
            6 |   b: {driver: macvlan, parent: eth1, shim: {name: "a%d", host_address: reachable, routes: [0.0.0.0/1, 128.0.0.0/1]}, ipam: {config: [{subnet: 10.4.0.0/16}, {sub…
              |                                                   ^^^^^
            hint: a link name has at most 15 bytes, no `/`, no `%`, no white space and no control characters

            warning[host-address-ipv6]: network `b`: `host_address: reachable` is for IPv4; the host's IPv6 address on the parent stays out of the containers' reach
             --> stack.yaml:6:72
              |
            6 |   b: {driver: macvlan, parent: eth1, shim: {name: "a%d", host_address: reachable, routes: [0.0.0.0/1, 128.0.0.0/1]}, ipam: {config: [{subnet: 10.4.0.0/16}, {sub…
              |                                                                        ^^^^^^^^^
            hint: use the shim's own IPv6 address from the containers

            error[shim-route-default]: network `b`: a route to 0.0.0.0/1 by the shim takes the host's way to everywhere else, with whoever is logged in from afar
             --> stack.yaml:6:83
              |
            6 |   b: {driver: macvlan, parent: eth1, shim: {name: "a%d", host_address: reachable, routes: [0.0.0.0/1, 128.0.0.0/1]}, ipam: {config: [{subnet: 10.4.0.0/16}, {sub…
              |                                                                                   ^^^^^^
            hint: name the prefixes of this network, or write `auto`

            error[shim-route-default]: network `b`: a route to 128.0.0.0/1 by the shim takes the host's way to everywhere else, with whoever is logged in from afar
             --> stack.yaml:6:83
              |
            6 |   b: {driver: macvlan, parent: eth1, shim: {name: "a%d", host_address: reachable, routes: [0.0.0.0/1, 128.0.0.0/1]}, ipam: {config: [{subnet: 10.4.0.0/16}, {sub…
              |                                                                                   ^^^^^^
            hint: name the prefixes of this network, or write `auto`

            warning[ipv6-off]: network `b` has an IPv6 subnet and no `enable_ipv6: true`: the engine leaves IPv6 off
             --> stack.yaml:6:166
              |
            6 | …onfig: [{subnet: 10.4.0.0/16}, {subnet: "fd45::/64"}]}}
              |                                          ^^^^^^^^^^^
            hint: add enable_ipv6: true

        "#]],
    );
}

#[test]
fn networks_on_one_parent_have_one_shim() {
    tells(
        "
services:
  web: {image: x, networks: [a]}
networks:
  a: {driver: macvlan, parent: eth0, shim: {name: one}, ipam: {config: [{subnet: 10.3.0.0/16}]}}
  b: {driver: macvlan, parent: eth0, shim: {name: two, mac_address: \"02:00:00:00:00:05\"}, ipam: {config: [{subnet: 10.4.0.0/16}]}}
",
        expect![[r#"
            warning[parent-shared]: networks `a` and `b` share the parent `eth0`: older engines refuse a second macvlan network there
             --> stack.yaml:6:32
              |
            5 |   a: {driver: macvlan, parent: eth0, shim: {name: one}, ipam: {config: [{subnet: 10.3.0.0/16}]}}
              |                                ---- already used here
            6 |   b: {driver: macvlan, parent: eth0, shim: {name: two, mac_address: "02:00:00:00:00:05"}, ipam: {config: [{subnet: 10.4.0.0/16}]}}
              |                                ^^^^ used again here
            hint: give one of them an 802.1Q link of its own, such as eth0.20, or use one network

            error[shim-contradiction]: networks `a` and `b` have one shim, as they share the parent `eth0`: its name cannot be both one and two
             --> stack.yaml:6:51
              |
            5 |   a: {driver: macvlan, parent: eth0, shim: {name: one}, ipam: {config: [{subnet: 10.3.0.0/16}]}}
              |                                                   --- the one
            6 |   b: {driver: macvlan, parent: eth0, shim: {name: two, mac_address: "02:00:00:00:00:05"}, ipam: {config: [{subnet: 10.4.0.0/16}]}}
              |                                                   ^^^ the other
            hint: write it with one of the two networks only

        "#]],
    );
}
