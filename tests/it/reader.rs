//! The reader from end to end, with files in memory: what becomes of a file, and what is told about it.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};

use stack::diagnostic::render::{Colour, text};
use stack::file::Reading;
use stack::file::files::Memory;
use stack::file::render::{json, yaml};
use stack::file::request::Request;

pub fn read_all(files: &[(&str, &str)], request: impl FnOnce(Request) -> Request) -> Reading {
    let memory = Memory::of(files.iter().copied());
    stack::file::read(&request(Request::new("/lab")), &memory)
}

fn read(file: &str) -> Reading {
    read_all(&[("/lab/stack.yaml", file)], |request| request)
}

fn told(reading: &Reading) -> String {
    text(&reading.diagnostics, &reading.sources, Colour::Never)
}

fn tells(file: &str, expected: Expect) {
    let reading = read(file);
    expected.assert_eq(&told(&reading));
}

fn prints(file: &str, expected: Expect) {
    let reading = read(file);
    assert_eq!(told(&reading), "");
    expected.assert_eq(&yaml(&reading.document).unwrap());
}

#[test]
fn keys_of_ours_are_kept_and_their_prefix_is_dropped() {
    prints(
        "
services:
  web: {image: nginx, networks: {lan: {ipv4_address: 192.168.77.7}}}
networks:
  lan:
    driver: macvlan
    x-parent: office
    mode: bridge
    promiscuous: auto
    x-shim: true
    dhcp_pool: 192.168.77.10-192.168.77.99
    ipam: {config: [{subnet: 192.168.77.0/24, ip_range: 192.168.77.128/25}]}
x-lans:
  office: {parent: lab0, subnet: 192.168.77.0/24, gateway: 192.168.77.1, hosts: {laptop: 192.168.77.50}}
checks:
  - {name: the host is walled off, from: host, to: web, port: 80, expect: unreachable}
x-note: {kept: yes}
",
        expect![[r#"
            name: lab
            services:
              web:
                image: nginx
                networks:
                  lan:
                    ipv4_address: 192.168.77.7
            networks:
              lan:
                name: lab_lan
                driver: macvlan
                ipam:
                  config:
                  - subnet: 192.168.77.0/24
                    ip_range: 192.168.77.128/25
                parent: office
                mode: bridge
                promiscuous: auto
                shim: true
                dhcp_pool: 192.168.77.10-192.168.77.99
            lans:
              office:
                parent: lab0
                subnet:
                - 192.168.77.0/24
                gateway:
                - 192.168.77.1
                hosts:
                  laptop:
                  - 192.168.77.50
            checks:
            - name: the host is walled off
              from: host
              to: web
              port: 80
              expect: unreachable
            x-note:
              kept: 'yes'
        "#]],
    );
}

#[test]
fn mistakes_of_shape_are_all_told() {
    tells(
        "
service:
  a: {}
services:
  web:
    image: 5
    prots: [\"80:80\"]
    ports: [\"99999:80\", \"8080:x\"]
    privileged: maybe
    environment: {A: [1]}
    healthcheck: {interval: 5, retries: -1}
  a b: {image: x}
networks:
  default: {subnet: 10.0.0.0/24}
",
        expect![[r#"
            error[unknown-key]: unknown key `service` in the top level
             --> stack.yaml:2:1
              |
            2 | service:
              | ^^^^^^^ additional properties 'service' not allowed
            hint: did you mean `services`?

            error[wrong-type]: services.web.image must be a string
             --> stack.yaml:6:12
              |
            6 |     image: 5
              |            ^ this is an integer
            hint: write it in quotes: "5"

            error[unknown-key]: unknown key `prots` in services.web
             --> stack.yaml:7:5
              |
            7 |     prots: ["80:80"]
              |     ^^^^^ additional properties 'prots' not allowed
            hint: did you mean `ports`?

            error[bad-port]: invalid hostPort: 99999
             --> stack.yaml:8:14
              |
            8 |     ports: ["99999:80", "8080:x"]
              |              ^^^^^
            hint: ports are whole numbers from 0 to 65535, or a range such as 8000-8010

            error[bad-port]: invalid containerPort: x
             --> stack.yaml:8:31
              |
            8 |     ports: ["99999:80", "8080:x"]
              |                               ^
            hint: ports are whole numbers from 0 to 65535, or a range such as 8000-8010

            error[wrong-type]: services.web.privileged: invalid boolean: `maybe`
             --> stack.yaml:9:17
              |
            9 |     privileged: maybe
              |                 ^^^^^
            hint: write `true` or `false`

            error[wrong-type]: services.web.environment.A must be a boolean, null, number or string
              --> stack.yaml:10:22
               |
            10 |     environment: {A: [1]}
               |                      ^^^ this is a list

            error[wrong-type]: services.web.healthcheck.interval must be a string such as 1m30s
              --> stack.yaml:11:29
               |
            11 |     healthcheck: {interval: 5, retries: -1}
               |                             ^ this is an integer

            error[out-of-range]: services.web.healthcheck.retries: must be greater than or equal to 0
              --> stack.yaml:11:41
               |
            11 |     healthcheck: {interval: 5, retries: -1}
               |                                         ^^
            hint: give a number within the bounds

            error[bad-name]: `a b` cannot be a name in services
              --> stack.yaml:12:3
               |
            12 |   a b: {image: x}
               |   ^^^ additional properties 'a b' not allowed
            hint: only letters, digits, `.`, `_` and `-` are allowed

            error[unknown-key]: unknown key `subnet` in networks.default
              --> stack.yaml:14:13
               |
            14 |   default: {subnet: 10.0.0.0/24}
               |             ^^^^^^ additional properties 'subnet' not allowed
            hint: `subnet` belongs under `ipam.config[]`

        "#]],
    );
}

#[test]
fn references_that_lead_nowhere_are_told() {
    tells(
        "
services:
  web:
    image: nginx
    networks: [frnt]
    depends_on: [bd]
    volumes: [\"data:/d\", \"./x:/d\"]
    secrets: [key]
  db: {build: ., network_mode: \"service:web\", networks: [front]}
  c: {}
networks: {front: {}}
volumes: {dta: {}}
",
        expect![[r#"
            error[unknown-reference]: service "web" refers to undefined network frnt
             --> stack.yaml:5:16
              |
            5 |     networks: [frnt]
              |                ^^^^
            hint: did you mean `front`?

            error[unknown-reference]: service "web" depends on undefined service "bd"
             --> stack.yaml:6:18
              |
            6 |     depends_on: [bd]
              |                  ^^
            hint: did you mean `db`?

            error[unknown-reference]: service "web" refers to undefined secret key
             --> stack.yaml:8:15
              |
            8 |     secrets: [key]
              |               ^^^
            hint: add `key:` under the top-level `secrets:`

            error[excludes]: service db declares mutually exclusive `network_mode` and `networks`
             --> stack.yaml:9:32
              |
            9 |   db: {build: ., network_mode: "service:web", networks: [front]}
              |                                ^^^^^^^^^^^^^ this takes the place of all networks
              |                                               -------- and here are networks
            hint: keep one of the two

            error[no-image]: service "c" has neither an image nor a build context specified
              --> stack.yaml:10:3
               |
            10 |   c: {}
               |   ^
            hint: give it an image (image: nginx) or say how to build one (build: ./folder)

        "#]],
    );
}

#[test]
fn a_circle_is_told_as_the_path_it_is() {
    tells(
        "
services:
  a: {image: x, depends_on: [b]}
  b: {image: x, links: [c]}
  c:
    image: x
    depends_on:
      a: {condition: service_healthy}
  d: {image: x, depends_on: [d]}
",
        expect![[r#"
            error[dependency-cycle]: dependency cycle detected: a -> b -> c -> a
             --> stack.yaml:8:7
              |
            3 |   a: {image: x, depends_on: [b]}
              |                              - `a` waits for `b`
            4 |   b: {image: x, links: [c]}
              |                         - `b` waits for `c`
            ...
            8 |       a: {condition: service_healthy}
              |       ^ `c` waits for `a`
            hint: remove one of these dependencies (links and `service:` modes are dependencies too)

            error[dependency-cycle]: dependency cycle detected: d -> d
             --> stack.yaml:9:30
              |
            9 |   d: {image: x, depends_on: [d]}
              |                              ^ `d` waits for `d`
            hint: remove one of these dependencies (links and `service:` modes are dependencies too)

        "#]],
    );
}

#[test]
fn a_mistake_tells_how_it_came_here() {
    let reading = read_all(
        &[
            (
                "/lab/stack.yaml",
                "include: [sub/one.yaml]\nservices:\n  web:\n    extends: {file: base.yaml, service: base}\n    ports: [\"${PORT}:80\"]\n",
            ),
            (
                "/lab/base.yaml",
                "services:\n  base:\n    image: nginx\n    mem_limit: 5zz\n",
            ),
            (
                "/lab/sub/one.yaml",
                "services:\n  one:\n    image: nginx\n    dsn: 1.1.1.1\n",
            ),
            ("/lab/.env", "# ports\nPORT=80800\n"),
        ],
        |request| request,
    );
    expect![[r#"
        error[bad-port]: invalid hostPort: 80800
         --> stack.yaml:5:13
          |
        5 |     ports: ["${PORT}:80"]
          |             ^^^^^^^^^^^^
          = note: interpolated from ${PORT}: the text is `80800:80`
          = note: PORT is set at .env:2:1
        hint: ports are whole numbers from 0 to 65535, or a range such as 8000-8010

        error[unknown-key]: unknown key `dsn` in services.one
         --> sub/one.yaml:4:5
          |
        4 |     dsn: 1.1.1.1
          |     ^^^ additional properties 'dsn' not allowed
          = note: included from stack.yaml:1:11
        hint: did you mean `dns`?

        error[bad-size]: services.base.mem_limit: invalid suffix: 'zz'
         --> base.yaml:4:16
          |
        4 |     mem_limit: 5zz
          |                ^^^
          = note: extended from stack.yaml:4:21
        hint: write a number with a unit: b, k, m, g, t or p (powers of 1024), such as 64m

    "#]]
    .assert_eq(&told(&reading));
}

#[test]
fn variables_that_are_wrong_or_missing_are_told() {
    tells(
        "
services:
  web:
    image: \"nginx:${TAG:?say which}\"
    command: echo ${A} $B ${A} ${
    hostname: $$literal-${C:-c}
",
        expect![[r#"
            error[missing-variable]: error while interpolating services.web.image: required variable TAG is missing a value: say which
             --> stack.yaml:4:19
              |
            4 |     image: "nginx:${TAG:?say which}"
              |                   ^^^^^^^^^^^^^^^^^
            hint: set TAG in the environment, in .env or in a file given with --env-file

            warning[unset-variable]: the "A" variable is not set. Defaulting to a blank string
             --> stack.yaml:5:19
              |
            5 |     command: echo ${A} $B ${A} ${
              |                   ^^^^
              |                           ---- and here
            hint: set A, or give a default: ${A:-…}

            warning[unset-variable]: the "B" variable is not set. Defaulting to a blank string
             --> stack.yaml:5:24
              |
            5 |     command: echo ${A} $B ${A} ${
              |                        ^^
            hint: set B, or give a default: ${B:-…}

            error[bad-variable]: invalid interpolation format for services.web.command
             --> stack.yaml:5:32
              |
            5 |     command: echo ${A} $B ${A} ${
              |                                ^^ not a variable
              = note: interpolated from ${A}, ${B}: the text is `echo    `
            hint: write ${NAME}, ${NAME:-default}, ${NAME:?message} or ${NAME:+text}; you may need to escape any $ with another $

        "#]],
    );
}

#[test]
fn files_are_merged_by_composes_rules() {
    let reading = read_all(
        &[
            (
                "/lab/a.yaml",
                "
services:
  web:
    image: nginx
    command: a b
    environment: [A=1, B=2]
    ports: [\"80:80\"]
    dns: 1.1.1.1
    labels: {x: 1}
    logging: {driver: syslog, options: {a: b}}
    networks: [lan]
    healthcheck: {test: [CMD, a], interval: 5s}
    expose: [\"1\"]
networks:
  lan:
    enable_ipv6: true
    ipam:
      config:
        - {subnet: 10.1.0.0/16, gateway: 10.1.0.1}
        - {subnet: \"fd00::/64\"}
",
            ),
            (
                "/lab/b.yaml",
                "
services:
  web:
    command: [c]
    environment: {B: 3, C: }
    ports: !override [\"81:80\"]
    dns: [2.2.2.2]
    labels: [y=2]
    logging: {driver: json-file}
    networks: {lan: {aliases: [w]}}
    healthcheck: {test: b}
    expose: !reset []
networks:
  lan:
    ipam: {config: [{subnet: 10.1.0.0/16, ip_range: 10.1.1.0/24}]}
",
            ),
        ],
        |request| request.file("a.yaml").file("b.yaml"),
    );
    assert_eq!(told(&reading), "");
    expect![[r#"
        name: lab
        services:
          web:
            command:
            - c
            dns:
            - 1.1.1.1
            - 2.2.2.2
            environment:
              A: '1'
              B: '3'
              C: null
            healthcheck:
              test:
              - CMD-SHELL
              - b
              interval: 5s
            image: nginx
            labels:
              x: '1'
              'y': '2'
            logging:
              driver: json-file
            networks:
              lan:
                aliases:
                - w
            ports:
            - mode: ingress
              target: 80
              published: '81'
              protocol: tcp
        networks:
          lan:
            name: lab_lan
            ipam:
              config:
              - subnet: 10.1.0.0/16
                gateway: 10.1.0.1
                ip_range: 10.1.1.0/24
              - subnet: fd00::/64
            enable_ipv6: true
    "#]]
    .assert_eq(&yaml(&reading.document).unwrap());
}

#[test]
fn two_forms_that_cannot_be_merged_are_told_with_both_places() {
    let reading = read_all(
        &[
            ("/lab/a.yaml", "services: {web: {image: x, cap_add: [A]}}\n"),
            ("/lab/b.yaml", "services: {web: {cap_add: {A: b}}}\n"),
        ],
        |request| request.file("a.yaml").file("b.yaml"),
    );
    expect![[r#"
        error[cannot-override]: cannot override services.web.cap_add
         --> b.yaml:1:27
          |
        1 | services: {web: {cap_add: {A: b}}}
          |                           ^^^^^^ this is a mapping…
         ::: a.yaml:1:37
          |
        1 | services: {web: {image: x, cap_add: [A]}}
          |                                     --- …and cannot be merged into a list
        hint: write both in the same form, or replace the first one with `!override`

    "#]]
    .assert_eq(&told(&reading));
}

#[test]
fn environment_precedence_is_that_of_compose() {
    let reading = read_all(
        &[
            (
                "/lab/stack.yaml",
                "
name: ${N}
services:
  web:
    image: \"$ONE $TWO $THREE\"
    env_file: [a.env, {path: b.env, required: false}, {path: raw.env, format: raw}]
    environment: {OWN: own, ONE: , GONE: , SAME: mine}
",
            ),
            (
                "/lab/.env",
                "ONE=dotenv\nTWO=dotenv\nTHREE=${TWO}3\nN=My Name\n",
            ),
            ("/lab/a.env", "FROM_A=$ONE-$OWN\nSAME=a\n"),
            ("/lab/raw.env", "RAW=\"$ONE\"\n"),
        ],
        |mut request| {
            request.environment = BTreeMap::from([("ONE".to_owned(), "process".to_owned())]);
            request
        },
    );
    expect![[r#"
        warning[bad-project-name]: the project is called `myname`, as `My Name` is not a valid project name
         --> stack.yaml:2:7
          |
        2 | name: ${N}
          |       ^^^^
          = note: interpolated from ${N}: the text is `My Name`
          = note: N is set at .env:4:1

    "#]].assert_eq(&told(&reading));
    expect![[r#"
        {
          "name": "myname",
          "services": {
            "web": {
              "command": null,
              "entrypoint": null,
              "environment": {
                "FROM_A": "process-own",
                "GONE": null,
                "ONE": "process",
                "OWN": "own",
                "RAW": "\"$$ONE\"",
                "SAME": "mine"
              },
              "image": "process dotenv dotenv3",
              "networks": {
                "default": null
              }
            }
          },
          "networks": {
            "default": {
              "name": "myname_default",
              "ipam": {}
            }
          }
        }"#]]
    .assert_eq(&json(&reading.document));
}

#[test]
fn the_tutorials_network_becomes_a_stack() {
    let reading = read(
        "
services:
  web:
    image: nginx
    networks:
      lan: {ipv4_address: 192.168.1.230, mac_address: \"d0:ee:6a:1d:3c:62\", aliases: [site]}
networks:
  lan:
    driver: macvlan
    driver_opts: {parent: eth0.20, macvlan_mode: bridge}
    ipam:
      config:
        - subnet: 192.168.1.0/22
          ip_range: 192.168.1.128/25
          gateway: 192.168.1.1
          aux_addresses: {router: 192.168.1.129}
    shim: {name: lan-shim, address: 192.168.1.233, routes: [192.168.1.128/25], host_address: reachable}
",
    );
    assert!(!reading.diagnostics.has_errors(), "{}", told(&reading));
    let stack = reading.stack.unwrap();
    expect![[r#"
        {
            NetworkName(
                "lan",
            ): Network {
                key: NetworkName(
                    "lan",
                ),
                name: "lab_lan",
                external: false,
                driver: Macvlan(
                    Bridge,
                ),
                parent: Some(
                    Vlan {
                        base: LinkName(
                            "eth0",
                        ),
                        id: VlanId(
                            20,
                        ),
                        name: LinkName(
                            "eth0.20",
                        ),
                    },
                ),
                options: {},
                ipam: Ipam {
                    driver: None,
                    options: {},
                    pools: [
                        Pool {
                            subnet: Some(
                                192.168.1.0/22,
                            ),
                            ip_range: Some(
                                192.168.1.128/25,
                            ),
                            gateway: Some(
                                192.168.1.1,
                            ),
                            aux_addresses: {
                                "router": 192.168.1.129,
                            },
                        },
                    ],
                },
                internal: false,
                attachable: false,
                enable_ipv4: None,
                enable_ipv6: None,
                labels: {},
                promiscuous: Leave,
                shim: Some(
                    Shim {
                        name: Some(
                            LinkName(
                                "lan-shim",
                            ),
                        ),
                        addresses: [
                            192.168.1.233,
                        ],
                        mac_address: None,
                        routes: List(
                            [
                                192.168.1.128/25,
                            ],
                        ),
                        host_address: Reachable,
                    },
                ),
                dhcp_pool: None,
            },
        }
    "#]]
    .assert_debug_eq(&stack.networks);
    expect![[r#"
        Some(
            Networks(
                {
                    NetworkName(
                        "lan",
                    ): Attachment {
                        aliases: [
                            "site",
                        ],
                        ipv4_address: Some(
                            192.168.1.230,
                        ),
                        ipv6_address: None,
                        link_local_ips: [],
                        mac_address: Some(
                            Mac(
                                [
                                    208,
                                    238,
                                    106,
                                    29,
                                    60,
                                    98,
                                ],
                            ),
                        ),
                        priority: 0,
                        gw_priority: None,
                        interface_name: None,
                        driver_opts: {},
                    },
                },
            ),
        )
    "#]]
    .assert_debug_eq(&stack.services.get("web").map(|web| &web.connection));
    let place = reading
        .document
        .place(&["networks", "lan", "parent"])
        .unwrap();
    assert_eq!(reading.sources.place(place), "stack.yaml:10:27");
}
