//! Shapes of values, keys of ours, and the tutorial's network.

use expect_test::expect;

use stack::diagnostic::Diagnostic;
use stack::file::files::Memory;
use stack::file::request::Request;

use crate::reader::{prints, read, tells, told};

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
            hint: say in which unit: 5s or 5ms

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

/// The codes of what is told of a file with the texts of the places, in the file's order.
fn codes(file: &str) -> Vec<String> {
    let reading = read(file);
    let one = |one: &Diagnostic| {
        let place = one.primary.as_ref().map(|label| label.span);
        let text = place.map_or("", |span| reading.sources.slice(span));
        format!("{} {} {text}", one.severity.word(), one.code)
    };
    reading.diagnostics.iter().map(one).collect()
}

#[test]
fn configs_and_secrets_have_their_content_from_one_place() {
    let told = codes(
        "
services:
  web: {image: x, deploy: , develop: , tmpfs: [/a, /a, '/a:size=1m']}
secrets:
  both: {file: a, environment: B}
configs:
  none: {labels: {a: b}}
  elsewhere: {external: true}
networks:
  old: {external: {nam: x}}
include:
",
    );
    assert_eq!(
        told,
        [
            "warning duplicate-mount '/a:size=1m'",
            "error excludes environment",
            "error no-content none",
            "error unknown-key nam",
        ]
    );
}

#[test]
fn what_an_engine_would_refuse_late_is_told() {
    let long = "h".repeat(65);
    let told = codes(&format!(
        "
services:
  a: {{image: Nginx:1, hostname: {long}}}
  b: {{image: 'x:1:2', scale: 1000000000}}
  c: {{image: 'a b', deploy: {{replicas: 10001}}}}
  d: {{image: x, ports: ['80:0', {{published: '81'}}]}}
  {long}: {{image: x}}
networks: {{default: {{driver_opts: {{com.docker.network.bridge.name: br-of-the-whole-lab}}}}}}
"
    ));
    for expected in [
        "error bad-image Nginx:1",
        &format!("error bad-hostname {long}"),
        "error bad-image 'x:1:2'",
        "error out-of-range 1000000000",
        "error bad-image 'a b'",
        "error out-of-range 10001",
        &format!("warning long-name {long}"),
        "error bad-link-name br-of-the-whole-lab",
        "error bad-port 0",
    ] {
        assert!(
            told.iter().any(|one| one == expected),
            "{expected} is not in {told:#?}"
        );
    }
    assert!(
        told.iter().any(|one| one.starts_with("error missing-key")),
        "{told:#?}"
    );
}

#[test]
fn what_is_not_on_this_machine_is_refused_with_the_command_that_brings_it_here() {
    let reading = read(
        "
include: ['https://example.org/db.git#main', {path: [a.yaml, 'oci://example.org/x']}]
services:
  web: {extends: {file: 'git@example.org:team/web.git', service: web}, image: x}
",
    );
    let told = told(&reading);
    for expected in [
        "`https://example.org/db.git#main` is a remote reference, and reading a stack asks no network",
        "git clone --depth 1 --branch main https://example.org/db.git db",
        "`oci://example.org/x` is a remote reference",
        "git clone --depth 1 git@example.org:team/web.git web",
    ] {
        assert!(told.contains(expected), "{expected} is not in {told}");
    }
}

#[test]
fn a_file_of_another_encoding_is_read_or_told() {
    let text = "services: {a: {image: x}}\n";
    let mut memory = Memory::default();
    let mut little = vec![0xff, 0xfe];
    text.encode_utf16()
        .for_each(|unit| little.extend(unit.to_le_bytes()));
    memory.files.insert("/lab/little.yaml".into(), little);
    let mut big = vec![0xfe, 0xff];
    text.encode_utf16()
        .for_each(|unit| big.extend(unit.to_be_bytes()));
    memory.files.insert("/lab/big.yaml".into(), big);
    memory.files.insert(
        "/lab/latin.yaml".into(),
        b"# gr\xfcn\nservices: {}\n".to_vec(),
    );
    for name in ["little.yaml", "big.yaml"] {
        let reading = stack::file::read(&Request::new("/lab").file(name), &memory);
        assert_eq!(told(&reading), "", "{name}");
        assert_eq!(reading.stack.map(|stack| stack.services.len()), Some(1));
    }
    let reading = stack::file::read(&Request::new("/lab").file("latin.yaml"), &memory);
    let told = told(&reading);
    assert!(told.starts_with("error[not-utf8]"), "{told}");
    assert!(told.contains("hint: save it as UTF-8"), "{told}");
}

#[test]
fn a_name_that_is_too_long_is_told_and_hides_nothing() {
    let long = "a".repeat(256);
    let wide = "l".repeat(64);
    let text = format!(
        "services:\n  {long}: {{image: x}}\n  b: {{image: x, prots: []}}\nnetworks: {{{long}: {{}}}}\nvolumes: {{{long}: {{}}}}\nlans: {{{wide}: {{parent: lab0}}}}\n"
    );
    let memory = Memory::of([("/lab/stack.yaml", text.as_str())]);
    let mut request = Request::new("/lab");
    request.project_name = Some("p".repeat(129));
    let reading = stack::file::read(&request, &memory);
    let told: Vec<(&str, bool)> = reading
        .diagnostics
        .iter()
        .map(|one| (one.code, one.message.contains("is too long for a")))
        .collect();
    for wanted in [("bad-project-name", true), ("unknown-key", false)] {
        assert!(told.contains(&wanted), "{told:?}");
    }
    let names = told.iter().filter(|one| **one == ("bad-name", true));
    assert_eq!(names.count(), 4, "{told:?}");
    assert!(reading.stack.is_none());
}
