//! Fixed addresses and MAC addresses.

use expect_test::expect;

use crate::cross::tells;

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
            hint: 02:00:5e:00:00:01 would be a station's own

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
