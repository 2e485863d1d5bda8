//! Pools of networks, held against themselves and each other.

use expect_test::expect;

use crate::cross::tells;

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
