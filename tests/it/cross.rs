//! Static network analysis: what a file alone shows to be wrong, with both places.

use expect_test::{Expect, expect};

use stack::diagnostic::render::{Colour, text};
use stack::file::files::Memory;
use stack::file::request::Request;

fn tells(file: &str, expected: Expect) {
    let memory = Memory::of([("/lab/stack.yaml", file)]);
    let reading = stack::file::read(&Request::new("/lab"), &memory);
    expected.assert_eq(&text(&reading.diagnostics, &reading.sources, Colour::Never));
}

#[test]
fn pools_are_held_against_themselves_and_each_other() {
    tells(
        "
networks:
  a:
    ipam:
      config:
        - subnet: 10.1.0.0/16
          ip_range: 10.2.0.0/24
          gateway: 10.3.0.1
          aux_addresses: {x: 10.1.0.9, y: 10.1.0.9, z: 10.9.0.1}
  b: {ipam: {config: [{subnet: 10.1.4.0/22}]}}
  c: {ipam: {config: [{subnet: 192.168.1.0/22, gateway: 192.168.3.255}, {subnet: \"fd00::/64\"}]}}
  d: {ipam: {config: [{gateway: 10.7.0.1}]}}
  e: {ipam: {config: [{subnet: 10.300.0.0/16, gateway: x}]}}
services:
  s: {image: x, networks: [a, b, c, d, e]}
",
        expect![[r#"
            error[outside-subnet]: network `a`: ip_range 10.2.0.0/24 is outside its subnet 10.1.0.0/16
             --> stack.yaml:7:21
              |
            6 |         - subnet: 10.1.0.0/16
              |                   ----------- the subnet
            7 |           ip_range: 10.2.0.0/24
              |                     ^^^^^^^^^^^ not in the subnet
            hint: choose one in 10.1.0.0/16

            error[outside-subnet]: network `a`: gateway 10.3.0.1 is outside its subnet 10.1.0.0/16
             --> stack.yaml:8:20
              |
            6 |         - subnet: 10.1.0.0/16
              |                   ----------- the subnet
            ...
            8 |           gateway: 10.3.0.1
              |                    ^^^^^^^^ not in the subnet
            hint: choose one in 10.1.0.0/16

            error[duplicate-address]: network `a`: auxiliary address 10.1.0.9 is taken
             --> stack.yaml:9:43
              |
            9 |           aux_addresses: {x: 10.1.0.9, y: 10.1.0.9, z: 10.9.0.1}
              |                              -------- reserved already
              |                                           ^^^^^^^^ the same address again
            hint: remove it: an address is reserved once

            error[outside-subnet]: network `a`: auxiliary address 10.9.0.1 is outside its subnet 10.1.0.0/16
             --> stack.yaml:9:56
              |
            6 |         - subnet: 10.1.0.0/16
              |                   ----------- the subnet
            ...
            9 |           aux_addresses: {x: 10.1.0.9, y: 10.1.0.9, z: 10.9.0.1}
              |                                                        ^^^^^^^^ not in the subnet
            hint: choose one in the subnet, or remove it

            error[pool-overlap]: network `a` and network `b` overlap in 10.1.4.0/22
              --> stack.yaml:10:32
               |
             6 |         - subnet: 10.1.0.0/16
               |                   ----------- this one
            ...
            10 |   b: {ipam: {config: [{subnet: 10.1.4.0/22}]}}
               |                                ^^^^^^^^^^^ Pool overlaps with other one on this address space
            hint: give `b` a subnet outside 10.1.0.0/16

            warning[host-bits]: network `c`: `192.168.1.0/22` has host bits set; the subnet is 192.168.0.0/22
              --> stack.yaml:11:32
               |
            11 |   c: {ipam: {config: [{subnet: 192.168.1.0/22, gateway: 192.168.3.255}, {subnet: "fd00::/64"}]}}
               |                                ^^^^^^^^^^^^^^
            hint: write 192.168.0.0/22

            error[reserved-address]: network `c`: gateway 192.168.3.255 is the broadcast address of 192.168.0.0/22
              --> stack.yaml:11:57
               |
            11 |   c: {ipam: {config: [{subnet: 192.168.1.0/22, gateway: 192.168.3.255}, {subnet: "fd00::/64"}]}}
               |                                                         ^^^^^^^^^^^^^
            hint: choose another address

            warning[ipv6-off]: network `c` has an IPv6 subnet and no `enable_ipv6: true`: the engine leaves IPv6 off
              --> stack.yaml:11:82
               |
            11 |   c: {ipam: {config: [{subnet: 192.168.1.0/22, gateway: 192.168.3.255}, {subnet: "fd00::/64"}]}}
               |                                                                                  ^^^^^^^^^^^
            hint: add enable_ipv6: true

            error[no-subnet]: network `d`: `gateway` needs a subnet that it is part of
              --> stack.yaml:12:33
               |
            12 |   d: {ipam: {config: [{gateway: 10.7.0.1}]}}
               |                                 ^^^^^^^^
            hint: add the subnet: subnet: 192.168.1.0/24

            error[bad-prefix]: networks.e.ipam.config[0].subnet: `10.300.0.0/16`: invalid IP address syntax
              --> stack.yaml:13:32
               |
            13 |   e: {ipam: {config: [{subnet: 10.300.0.0/16, gateway: x}]}}
               |                                ^^^^^^^^^^^^^
            hint: write a prefix such as 192.168.1.0/24 or 2001:db8::/64

            error[bad-address]: networks.e.ipam.config[0].gateway: `x`: invalid IP address syntax
              --> stack.yaml:13:56
               |
            13 |   e: {ipam: {config: [{subnet: 10.300.0.0/16, gateway: x}]}}
               |                                                        ^
            hint: write an address such as 192.168.1.10: four numbers from 0 to 255, or an IPv6 address

        "#]],
    );
}

#[test]
fn fixed_addresses_must_be_possible_and_free() {
    tells(
        "
services:
  gate: {image: x, networks: {lan: {ipv4_address: 10.5.0.1}}}
  out: {image: x, networks: {lan: {ipv4_address: 10.6.0.9}}}
  one: {image: x, networks: {lan: {ipv4_address: 10.5.0.9}}}
  two: {image: x, networks: {lan: {ipv4_address: 10.5.0.9}}}
  all: {image: x, networks: {lan: {ipv4_address: 10.5.255.255}}}
  aux: {image: x, networks: {lan: {ipv4_address: 10.5.0.7}}}
  in: {image: x, networks: {lan: {ipv4_address: 10.5.1.9}}}
  many:
    image: x
    scale: 3
    networks: {lan: {ipv4_address: 10.5.0.30, mac_address: \"02:00:00:00:00:01\"}}
  first: {image: x, networks: {free: {ipv4_address: 10.9.0.1}}}
  none: {image: x, networks: {default: {ipv4_address: 10.8.0.1}}}
  bad: {image: x, networks: {lan: {ipv4_address: 10.9.9.300}}}
networks:
  lan:
    ipam:
      config:
        - subnet: 10.5.0.0/16
          ip_range: 10.5.1.0/24
          gateway: 10.5.0.1
          aux_addresses: {router: 10.5.0.7}
  free: {ipam: {config: [{subnet: 10.9.0.0/24}]}}
",
        expect![[r#"
            error[duplicate-address]: service `gate`: 10.5.0.1 is the gateway of network `lan`
              --> stack.yaml:3:51
               |
             3 |   gate: {image: x, networks: {lan: {ipv4_address: 10.5.0.1}}}
               |                                                   ^^^^^^^^ the same address
            ...
            23 |           gateway: 10.5.0.1
               |                    -------- the gateway
            hint: choose another address of the subnet

            error[outside-subnet]: service `out`: 10.6.0.9 is outside network `lan`, which is 10.5.0.0/16
              --> stack.yaml:4:50
               |
             4 |   out: {image: x, networks: {lan: {ipv4_address: 10.6.0.9}}}
               |                                                  ^^^^^^^^ it does not belong to any of this network's subnets
            ...
            21 |         - subnet: 10.5.0.0/16
               |                   ----------- the subnet
            hint: choose an address in 10.5.0.0/16

            error[duplicate-address]: service `two` and service `one` have one address, 10.5.0.9
             --> stack.yaml:6:50
              |
            5 |   one: {image: x, networks: {lan: {ipv4_address: 10.5.0.9}}}
              |                                                  -------- first given here
            6 |   two: {image: x, networks: {lan: {ipv4_address: 10.5.0.9}}}
              |                                                  ^^^^^^^^ the same address again
            hint: give one of them another address

            error[reserved-address]: service `all`: 10.5.255.255 is the broadcast address in 10.5.0.0/16
              --> stack.yaml:7:50
               |
             7 |   all: {image: x, networks: {lan: {ipv4_address: 10.5.255.255}}}
               |                                                  ^^^^^^^^^^^^ no station can have it
            ...
            21 |         - subnet: 10.5.0.0/16
               |                   ----------- the subnet
            hint: choose another address of the subnet

            error[duplicate-address]: service `aux`: 10.5.0.7 is reserved for `router` in network `lan`
              --> stack.yaml:8:50
               |
             8 |   aux: {image: x, networks: {lan: {ipv4_address: 10.5.0.7}}}
               |                                                  ^^^^^^^^ the same address
            ...
            24 |           aux_addresses: {router: 10.5.0.7}
               |                                   -------- reserved here
            hint: choose another address, or remove it from aux_addresses

            warning[address-in-range]: service `in`: 10.5.1.9 lies in the ip_range 10.5.1.0/24, from which the engine hands addresses out
              --> stack.yaml:9:49
               |
             9 |   in: {image: x, networks: {lan: {ipv4_address: 10.5.1.9}}}
               |                                                 ^^^^^^^^
            ...
            22 |           ip_range: 10.5.1.0/24
               |                     ----------- handed out automatically
            hint: choose one outside the range: a container without a fixed address may take this one first, as after a reboot

            error[address-for-replicas]: service `many` has 3 containers and one fixed address, 10.5.0.30
              --> stack.yaml:13:36
               |
            12 |     scale: 3
               |            - 3 containers
            13 |     networks: {lan: {ipv4_address: 10.5.0.30, mac_address: "02:00:00:00:00:01"}}
               |                                    ^^^^^^^^^ only the first container can have it
            hint: remove the address, or run one container of the service

            error[address-for-replicas]: service `many` has 3 containers and one fixed MAC address
              --> stack.yaml:13:60
               |
            12 |     scale: 3
               |            - 3 containers
            13 |     networks: {lan: {ipv4_address: 10.5.0.30, mac_address: "02:00:00:00:00:01"}}
               |                                                            ^^^^^^^^^^^^^^^^^^^ only one container can have it
            hint: remove the address, or run one container of the service

            error[duplicate-address]: service `first`: the engine takes 10.9.0.1 as the gateway of network `free`, as none is given
              --> stack.yaml:14:53
               |
            14 |   first: {image: x, networks: {free: {ipv4_address: 10.9.0.1}}}
               |                                                     ^^^^^^^^ the first address of the subnet
            ...
            25 |   free: {ipam: {config: [{subnet: 10.9.0.0/24}]}}
               |                                   ----------- the subnet, without a gateway
            hint: choose another address, or say what the gateway is: gateway: …

            error[no-subnet]: service `none`: 10.8.0.1 needs a subnet, and network `default` has none
              --> stack.yaml:15:55
               |
            15 |   none: {image: x, networks: {default: {ipv4_address: 10.8.0.1}}}
               |   ---- no subnet here
               |                                                       ^^^^^^^^
            hint: user specified IP address is supported only when connecting to networks with user configured subnets: add ipam: {config: [{subnet: …}]}

            error[bad-address]: services.bad.networks.lan.ipv4_address: `10.9.9.300`: invalid IPv4 address syntax
              --> stack.yaml:16:50
               |
            16 |   bad: {image: x, networks: {lan: {ipv4_address: 10.9.9.300}}}
               |                                                  ^^^^^^^^^^
            hint: write four numbers from 0 to 255, such as 192.168.1.10

        "#]],
    );
}

#[test]
fn mac_addresses_are_stations_own_and_given_once() {
    tells(
        "
services:
  one: {image: x, networks: {lan: {mac_address: \"01:00:5e:00:00:01\"}}}
  two: {image: x, networks: {lan: {mac_address: \"02:00:00:00:00:01\"}}}
  three: {image: x, mac_address: \"02:00:00:00:00:01\", networks: [lan]}
  four: {image: x, mac_address: \"02:00:00:00:00:02\", networks: {lan: {mac_address: \"02:00:00:00:00:03\"}}}
  five: {image: x, networks: {lan: {mac_address: \"zz:zz\"}}}
  six: {image: x, networks: {ip: {mac_address: \"02:00:00:00:00:04\"}}}
networks:
  lan: {}
  ip: {driver: ipvlan, parent: eth1, ipam: {config: [{subnet: 10.1.0.0/16}]}}
",
        expect![[r#"
            error[multicast-mac]: 01:00:5e:00:00:01 is a multicast address: the lowest bit of its first byte is set
             --> stack.yaml:3:49
              |
            3 |   one: {image: x, networks: {lan: {mac_address: "01:00:5e:00:00:01"}}}
              |                                                 ^^^^^^^^^^^^^^^^^^^ no link can have it
            hint: 00:00:5e:00:00:01 would be a station's own

            error[duplicate-mac]: 02:00:00:00:00:01 is given twice in network `lan`
             --> stack.yaml:5:34
              |
            4 |   two: {image: x, networks: {lan: {mac_address: "02:00:00:00:00:01"}}}
              |                                                 ------------------- first given here
            5 |   three: {image: x, mac_address: "02:00:00:00:00:01", networks: [lan]}
              |                                  ^^^^^^^^^^^^^^^^^^^ the same address again
            hint: give one of them another address, or none: the engine makes one

            error[contradiction]: service `four` has two MAC addresses for its first network, `lan`
             --> stack.yaml:6:33
              |
            6 |   four: {image: x, mac_address: "02:00:00:00:00:02", networks: {lan: {mac_address: "02:00:00:00:00:03"}}}
              |                                 ^^^^^^^^^^^^^^^^^^^
              |                                                                                    ------------------- another address for the same link
            hint: keep the one under `networks`

            error[bad-mac]: services.five.networks.lan.mac_address: `zz:zz` is not a MAC address: six pairs of hexadecimal digits, such as 02:42:ac:11:00:02
             --> stack.yaml:7:50
              |
            7 |   five: {image: x, networks: {lan: {mac_address: "zz:zz"}}}
              |                                                  ^^^^^^^
            hint: write six pairs of hexadecimal digits, such as 02:42:ac:11:00:02

            warning[key-without-effect]: a MAC address means nothing in network `ip`: all ipvlan links have that of their parent
             --> stack.yaml:8:48
              |
            8 |   six: {image: x, networks: {ip: {mac_address: "02:00:00:00:00:04"}}}
              |                                                ^^^^^^^^^^^^^^^^^^^
            hint: remove it, or use macvlan

        "#]],
    );
}

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

            error[unknown-value]: `brigde` is not a macvlan mode
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
fn ports_need_a_mode_that_has_them_and_a_free_port() {
    tells(
        "
services:
  web: {image: x, ports: [\"8080:80\", \"127.0.0.1:9000:90\"]}
  api: {image: x, ports: [\"8080:8080\", \"127.0.0.2:9000:90\", \"8080:80/udp\"]}
  host: {image: x, network_mode: host, ports: [\"1:1\"]}
  side: {image: x, network_mode: \"service:web\", ports: [\"2:2\"], hostname: h}
  wire: {image: x, networks: [lan], ports: [\"3:3\"]}
  many: {image: x, scale: 3, ports: [\"5000-5001:50\", \"6000:60\"]}
networks:
  lan: {driver: macvlan, parent: eth0, ipam: {config: [{subnet: 10.1.0.0/16}]}}
",
        expect![[r#"
            error[duplicate-port]: services `web` and `api` publish one port of the host, 8080/tcp
             --> stack.yaml:4:28
              |
            3 |   web: {image: x, ports: ["8080:80", "127.0.0.1:9000:90"]}
              |                            ---- first published here
            4 |   api: {image: x, ports: ["8080:8080", "127.0.0.2:9000:90", "8080:80/udp"]}
              |                            ^^^^ port is already allocated
            hint: give one of them another port, or another address of the host

            warning[ports-without-effect]: service `host`: published ports are discarded when using host network mode
             --> stack.yaml:5:40
              |
            5 |   host: {image: x, network_mode: host, ports: ["1:1"]}
              |                                  ---- the container has the host's own ports
              |                                        ^^^^^
            hint: remove the ports, or use another network

            error[ports-conflict]: service `side`: conflicting options: port publishing and the namespace of service `web`
             --> stack.yaml:6:49
              |
            6 |   side: {image: x, network_mode: "service:web", ports: ["2:2"], hostname: h}
              |                                  ------------- the namespace belongs to another
              |                                                 ^^^^^
            hint: publish the ports on `web`

            error[mode-excludes]: service `side`: conflicting options: hostname and the network mode: the namespace is that of `web`
             --> stack.yaml:6:75
              |
            6 |   side: {image: x, network_mode: "service:web", ports: ["2:2"], hostname: h}
              |                                  ------------- because of this
              |                                                                           ^
            hint: set it on `web`

            warning[ports-without-effect]: service `wire`: ports are published by bridges only, and `lan` sits on a parent link
             --> stack.yaml:7:37
              |
            7 |   wire: {image: x, networks: [lan], ports: ["3:3"]}
              |                                     ^^^^^ nothing is published
            hint: remove the ports: the container has an address of its own on the wire, with all its ports

            error[port-for-replicas]: service `many` has 3 containers, and a range of 2 ports (5000-5001) of the host is published for them
             --> stack.yaml:8:38
              |
            8 |   many: {image: x, scale: 3, ports: ["5000-5001:50", "6000:60"]}
              |                           - 3 containers
              |                                      ^^^^^^^^^^^^^^ port is already allocated
            hint: publish a range of 3 ports, or leave the host's port out

            error[port-for-replicas]: service `many` has 3 containers, and one port (6000) of the host is published for all of them
             --> stack.yaml:8:54
              |
            8 |   many: {image: x, scale: 3, ports: ["5000-5001:50", "6000:60"]}
              |                           - 3 containers
              |                                                      ^^^^^^^^^ port is already allocated
            hint: publish a range of 3 ports, or leave the host's port out

        "#]],
    );
}

#[test]
fn modes_exclude_what_they_exclude() {
    tells(
        "
services:
  a: {image: x, network_mode: host, links: [b], sysctls: {net.ipv4.ip_forward: 1}}
  b: {image: x, networks: [one]}
  c: {image: x, networks: [two], links: [\"b:bb\"]}
  d: {image: x, networks: {def: {aliases: [dd], ipv4_address: 172.17.0.9}}}
  e: {image: x, networks: [own, one]}
  f: {image: x, network_mode: bridge, links: [b]}
  g: {image: x, network_mode: \"container:\"}
  h: {image: x, networks: {one: {interface_name: lan0}, two: {interface_name: lan0}}}
networks:
  one: {}
  two: {}
  def: {name: bridge, external: true}
  own: {driver: host, internal: true}
",
        expect![[r#"
            error[mode-excludes]: service `a`: conflicting options: host type networking can't be used with links
             --> stack.yaml:3:37
              |
            3 |   a: {image: x, network_mode: host, links: [b], sysctls: {net.ipv4.ip_forward: 1}}
              |                               ---- because of this
              |                                     ^^^^^
            hint: remove `links`, or use a network

            error[mode-excludes]: service `a`: sysctl net.ipv4.ip_forward is not allowed in the host network namespace
             --> stack.yaml:3:80
              |
            3 |   a: {image: x, network_mode: host, links: [b], sysctls: {net.ipv4.ip_forward: 1}}
              |                               ---- the host's own namespace
              |                                                                                ^
            hint: set it on the host itself

            warning[link-without-network]: service `c` links to `b`, and they have no network in common
             --> stack.yaml:5:42
              |
            4 |   b: {image: x, networks: [one]}
              |                 -------- …and these
            5 |   c: {image: x, networks: [two], links: ["b:bb"]}
              |                 -------- these networks…
              |                                          ^^^^^^ this name will lead nowhere
            hint: add one of `one` to `c`

            error[mode-excludes]: service `d`: network `def` is the engine's default bridge: network-scoped alias is supported only for containers in user defined networks
              --> stack.yaml:6:34
               |
             6 |   d: {image: x, networks: {def: {aliases: [dd], ipv4_address: 172.17.0.9}}}
               |                                  ^^^^^^^
            ...
            14 |   def: {name: bridge, external: true}
               |   --- this network
            hint: use a network of this file

            error[mode-excludes]: service `d`: network `def` is the engine's default bridge: user specified IP address is supported on user defined networks only
              --> stack.yaml:6:63
               |
             6 |   d: {image: x, networks: {def: {aliases: [dd], ipv4_address: 172.17.0.9}}}
               |                                                               ^^^^^^^^^^
            ...
            14 |   def: {name: bridge, external: true}
               |   --- this network
            hint: use a network of this file

            error[mode-excludes]: service `e`: network `own` is the host's own namespace, which cannot be combined with `one`
             --> stack.yaml:7:28
              |
            7 |   e: {image: x, networks: [own, one]}
              |                            ^^^
            hint: keep one of them

            error[link-without-network]: service `f`: cannot link to `b`, as it does not belong to the default network
             --> stack.yaml:8:47
              |
            8 |   f: {image: x, network_mode: bridge, links: [b]}
              |                               ------ the engine's default bridge
              |                                               ^
            hint: put both on one network of this file, where names need no links

            error[bad-mode]: `container:` needs the name of a container
             --> stack.yaml:9:31
              |
            9 |   g: {image: x, network_mode: "container:"}
              |                               ^^^^^^^^^^^^
            hint: write container:NAME

            error[duplicate-name]: service `h`: the links in `one` and `two` have one name, `lan0`
              --> stack.yaml:10:79
               |
            10 |   h: {image: x, networks: {one: {interface_name: lan0}, two: {interface_name: lan0}}}
               |                                                  ---- first used here
               |                                                                               ^^^^ the same name again
            hint: give one of them another name

            warning[key-without-effect]: network `own` is the host's own namespace, which is not made here: `internal` has no effect
              --> stack.yaml:15:33
               |
            15 |   own: {driver: host, internal: true}
               |                                 ^^^^
            hint: remove `internal`

        "#]],
    );
}

#[test]
fn a_name_that_leads_to_two_services_is_told() {
    tells(
        "
services:
  db: {image: x, networks: [back]}
  cache: {image: x, networks: {back: {aliases: [db, store]}}}
  files: {image: x, networks: {back: {aliases: [store]}, front: {aliases: [db]}}}
networks: {back: {}, front: {}}
",
        expect![[r#"
            warning[ambiguous-name]: in network `back` the name `db` leads to `db` and to `cache`, now one and now the other
             --> stack.yaml:4:49
              |
            3 |   db: {image: x, networks: [back]}
              |   -- also called so
            4 |   cache: {image: x, networks: {back: {aliases: [db, store]}}}
              |                                                 ^^
            hint: give one of them another name; where both should answer, scale one service instead

            warning[ambiguous-name]: in network `back` the name `store` leads to `cache` and to `files`, now one and now the other
             --> stack.yaml:5:49
              |
            4 |   cache: {image: x, networks: {back: {aliases: [db, store]}}}
              |                                                     ----- also called so
            5 |   files: {image: x, networks: {back: {aliases: [store]}, front: {aliases: [db]}}}
              |                                                 ^^^^^
            hint: give one of them another name; where both should answer, scale one service instead

        "#]],
    );
}
