//! Networks with fewer addresses than containers, and pools of DHCP servers.

use expect_test::expect;

use crate::cross::tells;

#[test]
fn more_containers_than_addresses_are_told() {
    // Tried on engines 20.10 and 28.5: 5 containers fit into a /29, 4 into a range of /30 with the gateway outside.
    tells(
        "
services:
  a: {image: x, scale: 6, networks: [full]}
  b: {image: x, scale: 5, networks: [range, fits]}
  c: {image: x, networks: {fits: {ipv4_address: 10.3.0.6}}}
networks:
  full: {ipam: {config: [{subnet: 10.1.0.0/29}]}}
  range: {ipam: {config: [{subnet: 10.2.0.0/28, ip_range: 10.2.0.8/30, gateway: 10.2.0.1}]}}
  fits: {ipam: {config: [{subnet: 10.3.0.0/28, gateway: 10.3.0.1, aux_addresses: {a: 10.3.0.2}}]}}
",
        expect![[r#"
            error[no-room]: network `full`: 10.1.0.0/29 has 5 addresses for containers, and 6 containers are to have one
             --> stack.yaml:7:35
              |
            7 |   full: {ipam: {config: [{subnet: 10.1.0.0/29}]}}
              |                                   ^^^^^^^^^^^ no available addresses on this pool
              = note: asked for by service `a`
            hint: give the network a subnet of /28 or wider

            error[no-room]: network `range`: 10.2.0.8/30 has 4 addresses for containers, and 5 containers are to have one
             --> stack.yaml:8:59
              |
            8 |   range: {ipam: {config: [{subnet: 10.2.0.0/28, ip_range: 10.2.0.8/30, gateway: 10.2.0.1}]}}
              |                                                           ^^^^^^^^^^^ no available addresses on this pool
              = note: asked for by service `b`
            hint: widen the range to /29, or leave it out: the subnet is 10.2.0.0/28

        "#]],
    );
    tells(
        "
services:
  a: {image: x, scale: 4, networks: [range, six]}
networks:
  range: {ipam: {config: [{subnet: 10.2.0.0/28, ip_range: 10.2.0.8/30, gateway: 10.2.0.1}]}}
  six: {enable_ipv6: true, ipam: {config: [{subnet: \"fd00:7::/125\"}, {subnet: 10.4.0.0/29}]}}
",
        expect![[""]],
    );
}

#[test]
fn a_dhcp_pool_is_held_against_all_that_is_fixed() {
    tells(
        "
services:
  a: {image: x, networks: [lan]}
  b: {image: x, networks: {wire: {ipv4_address: 192.168.2.20}}}
networks:
  lan:
    driver: macvlan
    parent: eth0
    shim: {address: 192.168.1.50}
    dhcp_pool: 192.168.1.1-192.168.1.99
    ipam: {config: [{subnet: 192.168.1.0/24, gateway: 192.168.1.1}]}
  wire:
    driver: macvlan
    parent: eth1
    dhcp_pool: 192.168.3.0/26
    ipam: {config: [{subnet: 192.168.2.0/24, gateway: 192.168.2.1}]}
",
        expect![[r#"
            warning[dhcp-overlap]: the shim of network `lan`: 192.168.1.50 lies in the DHCP server's pool
              --> stack.yaml:9:21
               |
             9 |     shim: {address: 192.168.1.50}
               |                     ^^^^^^^^^^^^
            10 |     dhcp_pool: 192.168.1.1-192.168.1.99
               |                ------------------------ handed out by the DHCP server
            hint: choose an address that the server does not hand out, or shrink its pool

            warning[dhcp-overlap]: network `lan`: without an ip_range the engine hands out all of 192.168.1.0/24, the DHCP server's pool with it
              --> stack.yaml:11:30
               |
            10 |     dhcp_pool: 192.168.1.1-192.168.1.99
               |                ------------------------ handed out by the DHCP server
            11 |     ipam: {config: [{subnet: 192.168.1.0/24, gateway: 192.168.1.1}]}
               |                              ^^^^^^^^^^^^^^ handed out by the engine
            hint: add an ip_range that the server leaves alone: ip_range: 192.168.1.224/27

            warning[dhcp-overlap]: network `lan`: the gateway 192.168.1.1 lies in the DHCP server's pool
              --> stack.yaml:11:55
               |
            10 |     dhcp_pool: 192.168.1.1-192.168.1.99
               |                ------------------------ handed out by the DHCP server
            11 |     ipam: {config: [{subnet: 192.168.1.0/24, gateway: 192.168.1.1}]}
               |                                                       ^^^^^^^^^^^
            hint: choose an address that the server does not hand out, or shrink its pool

            warning[dhcp-outside]: network `wire`: the DHCP server's pool 192.168.3.0 to 192.168.3.63 does not lie in the wire's subnet 192.168.2.0/24
              --> stack.yaml:15:16
               |
            15 |     dhcp_pool: 192.168.3.0/26
               |                ^^^^^^^^^^^^^^
            16 |     ipam: {config: [{subnet: 192.168.2.0/24, gateway: 192.168.2.1}]}
               |                              -------------- the subnet
            hint: write what the server of this very wire hands out, or mend the subnet

        "#]],
    );
}

#[test]
fn a_shim_without_a_parent_is_told() {
    tells(
        "
services: {a: {image: x, networks: [lan, other]}}
networks:
  lan: {driver: macvlan, parent: \"\", shim: true, ipam: {config: [{subnet: 192.168.1.0/24}]}}
  other: {driver: macvlan, shim: true, ipam: {config: [{subnet: 192.168.2.0/24}]}}
",
        expect![[r#"
            error[no-parent]: network `lan`: a shim needs the parent that it shares, and none is given
             --> stack.yaml:4:38
              |
            4 |   lan: {driver: macvlan, parent: "", shim: true, ipam: {config: [{subnet: 192.168.1.0/24}]}}
              |                                  -- the parent is empty
              |                                      ^^^^
            hint: name a link of the host (parent: eth0) or a lan of this file, or remove the shim

            error[no-parent]: network `other`: a shim needs the parent that it shares, and none is given
             --> stack.yaml:5:28
              |
            5 |   other: {driver: macvlan, shim: true, ipam: {config: [{subnet: 192.168.2.0/24}]}}
              |                            ^^^^
            hint: name a link of the host (parent: eth0) or a lan of this file, or remove the shim

        "#]],
    );
}
