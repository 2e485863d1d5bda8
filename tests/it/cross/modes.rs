//! Ports, modes and what they exclude, and names.

use expect_test::expect;

use crate::cross::tells;

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

#[test]
fn what_says_nothing_or_is_not_looked_at_is_not_refused_in_a_borrowed_namespace() {
    tells(
        "
services:
  ts: {image: x}
  app: {image: x, network_mode: \"service:ts\", expose: [], links: [], extra_hosts: [], hostname: \"\", dns: [], mac_address: \"\"}
  dns: {image: x, network_mode: \"service:ts\", dns_search: [lan], dns_opt: [\"ndots:1\"]}
  host: {image: x, network_mode: host, links: [], mac_address: \"\"}
",
        expect![[r#"
            warning[key-without-effect]: service `dns`: dns_search does nothing here: the namespace is that of `ts`
             --> stack.yaml:5:47
              |
            5 |   dns: {image: x, network_mode: "service:ts", dns_search: [lan], dns_opt: ["ndots:1"]}
              |                                 ------------ because of this
              |                                               ^^^^^^^^^^
            hint: set it on `ts`

            warning[key-without-effect]: service `dns`: dns_opt does nothing here: the namespace is that of `ts`
             --> stack.yaml:5:66
              |
            5 |   dns: {image: x, network_mode: "service:ts", dns_search: [lan], dns_opt: ["ndots:1"]}
              |                                 ------------ because of this
              |                                                                  ^^^^^^^
            hint: set it on `ts`

        "#]],
    );
}

#[test]
fn a_mode_is_told_when_it_is_a_word_mistyped() {
    tells(
        "
services:
  one: {image: x, network_mode: hots}
  two: {image: x, network_mode: \"servise:one\"}
  three: {image: x, network_mode: proxy}
  four: {image: x, network_mode: hosts, depends_on: [five]}
  five: {image: x, networks: [n]}
networks:
  n: {name: hosts}
",
        expect![[r#"
            warning[unknown-value]: service `one`: `hots` is no mode, and taken for a network of the engine with this name
             --> stack.yaml:3:33
              |
            3 |   one: {image: x, network_mode: hots}
              |                                 ^^^^
            hint: did you mean `host`?

            warning[unknown-value]: service `two`: `servise:one` is no mode, and taken for a network of the engine with this name
             --> stack.yaml:4:33
              |
            4 |   two: {image: x, network_mode: "servise:one"}
              |                                 ^^^^^^^^^^^^^
            hint: did you mean `service:one`?

        "#]],
    );
}

#[test]
fn addresses_are_looked_at_beside_a_mode_too() {
    tells(
        "
services:
  one: {image: x, network_mode: host, networks: {n: {ipv4_address: 10.2.0.5}}}
networks:
  n: {ipam: {config: [{subnet: 10.1.0.0/24}]}}
",
        expect![[r#"
            error[excludes]: service one declares mutually exclusive `network_mode` and `networks`
             --> stack.yaml:3:33
              |
            3 |   one: {image: x, network_mode: host, networks: {n: {ipv4_address: 10.2.0.5}}}
              |                                 ^^^^ this takes the place of all networks
              |                                       -------- and here are networks
            hint: keep one of the two

            error[outside-subnet]: service `one`: 10.2.0.5 is outside network `n`, which is 10.1.0.0/24
             --> stack.yaml:3:68
              |
            3 |   one: {image: x, network_mode: host, networks: {n: {ipv4_address: 10.2.0.5}}}
              |                                                                    ^^^^^^^^ it does not belong to any of this network's subnets
            ...
            5 |   n: {ipam: {config: [{subnet: 10.1.0.0/24}]}}
              |                                ----------- the subnet
            hint: choose an address in 10.1.0.0/24

        "#]],
    );
}
