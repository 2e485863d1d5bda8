//! Whole create requests, for an old and a new engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};

use super::making;
use crate::model::container::{
    ContainerConfig, Healthcheck, Mount, MountSource, RestartPolicy, Ulimit,
};
use crate::model::port::{ExposedPort, PortRange, Protocol, PublishedPort};
use crate::plan::spec::{AttachmentSpec, ContainerNetwork, ContainerSpec, NamespaceRef};
use crate::world::engine::wire::Api;

const OLD: Api = (1, 41);
const NEW: Api = (1, 51);

fn container(network: ContainerNetwork) -> ContainerSpec {
    ContainerSpec {
        name: "lab-web-1".to_owned(),
        service: "web".parse().unwrap(),
        number: 1,
        image: "stack-lab".to_owned(),
        config: Arc::new(ContainerConfig::default()),
        network,
        ports: Vec::new(),
        expose: Vec::new(),
        volumes_from: Vec::new(),
        ipc: None,
        pid: None,
        post_start: Vec::new(),
        pre_stop: Vec::new(),
        labels: BTreeMap::new(),
        auto_remove: false,
        heir_of: None,
    }
}

fn attachment(network: &str) -> AttachmentSpec {
    AttachmentSpec {
        network: network.to_owned(),
        aliases: vec!["web".to_owned()],
        ipv4_address: None,
        ipv6_address: None,
        link_local_ips: Vec::new(),
        mac_address: None,
        gw_priority: None,
        interface_name: None,
        driver_opts: indexmap::IndexMap::new(),
        links: Vec::new(),
    }
}

fn with_mac(network: &str, mac: &str) -> AttachmentSpec {
    AttachmentSpec {
        mac_address: Some(mac.parse().unwrap()),
        ..attachment(network)
    }
}

/// The request and the connections after it; the parts that are the same for every container are left out.
fn asked(spec: &ContainerSpec, api: Api) -> String {
    let internal = BTreeSet::from(["lab_closed".to_owned()]);
    match making(spec, api, &internal) {
        Err(error) => format!(
            "{error}\nhint: {}",
            error.hint.as_deref().unwrap_or_default()
        ),
        Ok(making) => {
            let mut body = serde_json::to_value(making.body).unwrap();
            let object = body.as_object_mut().unwrap();
            for usual in ["AttachStdout", "AttachStderr", "Image"] {
                assert!(object.remove(usual).is_some());
            }
            object.retain(|name, value| {
                name != "Labels" || value.as_object().is_some_and(|labels| !labels.is_empty())
            });
            let restart = body
                .pointer_mut("/HostConfig")
                .unwrap()
                .as_object_mut()
                .unwrap();
            restart.retain(|name, value| name != "RestartPolicy" || value["Name"] != "no");
            sort(&mut body);
            let mut text = serde_json::to_string_pretty(&body).unwrap();
            for (network, settings) in making.connect {
                text += &format!(
                    "\nconnect {network} {}",
                    serde_json::to_string(&settings).unwrap()
                );
            }
            text
        }
    }
}

/// The engine's maps have no order, so the text would differ from run to run.
fn sort(value: &mut serde_json::Value) {
    if let Some(object) = value.as_object_mut() {
        object.sort_keys();
        object.values_mut().for_each(sort);
    }
}

fn check(spec: &ContainerSpec, api: Api, expected: &Expect) {
    expected.assert_eq(&asked(spec, api));
}

#[test]
fn an_old_engine_is_asked_with_one_network_and_told_the_others_later() {
    let network = ContainerNetwork::Attached(vec![
        attachment("lab_front"),
        with_mac("lab_lan", "02:00:00:00:00:07"),
    ]);
    check(
        &container(network.clone()),
        OLD,
        &expect![[r#"
        {
          "HostConfig": {
            "NetworkMode": "lab_lan"
          },
          "NetworkingConfig": {
            "EndpointsConfig": {
              "lab_lan": {
                "Aliases": [
                  "web"
                ],
                "MacAddress": "02:00:00:00:00:07"
              }
            }
          }
        }
        connect lab_front {"Aliases":["web"]}"#]],
    );
    check(
        &container(network),
        NEW,
        &expect![[r#"
        {
          "HostConfig": {
            "NetworkMode": "lab_front"
          },
          "NetworkingConfig": {
            "EndpointsConfig": {
              "lab_front": {
                "Aliases": [
                  "web"
                ]
              },
              "lab_lan": {
                "Aliases": [
                  "web"
                ],
                "MacAddress": "02:00:00:00:00:07"
              }
            }
          }
        }"#]],
    );
}

#[test]
fn what_an_old_engine_would_ignore_is_refused_with_a_sentence() {
    let two_macs = ContainerNetwork::Attached(vec![
        with_mac("lab_a", "02:00:00:00:00:01"),
        with_mac("lab_b", "02:00:00:00:00:02"),
    ]);
    check(
        &container(two_macs),
        OLD,
        &expect![[r#"
        cannot create container `lab-web-1`: a MAC address on more than one network (`lab_a` and `lab_b`) needs API 1.44 (Docker Engine 25.0), this engine speaks 1.41
        hint: upgrade the engine to 25.0 or newer, or leave a MAC address on more than one network (`lab_a` and `lab_b`) out"#]],
    );
    let named = AttachmentSpec {
        interface_name: Some("lan0".to_owned()),
        ..attachment("lab_a")
    };
    check(
        &container(ContainerNetwork::Attached(vec![named])),
        (1, 48),
        &expect![[r#"
            cannot create container `lab-web-1`: `interface_name` needs API 1.49 (Docker Engine 28.1), this engine speaks 1.48
            hint: upgrade the engine to 28.1 or newer, or leave `interface_name` out"#]],
    );
    let mut early = container(ContainerNetwork::None);
    early.config = Arc::new(ContainerConfig {
        healthcheck: Some(Healthcheck {
            start_interval: Some(Duration::from_secs(1)),
            ..Healthcheck::default()
        }),
        ..ContainerConfig::default()
    });
    check(
        &early,
        OLD,
        &expect![[r#"
        cannot create container `lab-web-1`: `healthcheck: start_interval` needs API 1.44 (Docker Engine 25.0), this engine speaks 1.41
        hint: upgrade the engine to 25.0 or newer, or leave `healthcheck: start_interval` out"#]],
    );
    let mut image = container(ContainerNetwork::None);
    image.config = Arc::new(ContainerConfig {
        mounts: vec![Mount {
            target: "/data".to_owned(),
            read_only: true,
            source: MountSource::Image {
                reference: "x".to_owned(),
                subpath: None,
            },
        }],
        ..ContainerConfig::default()
    });
    check(
        &image,
        OLD,
        &expect![[r#"
        cannot create container `lab-web-1`: a mount of type `image` needs API 1.48 (Docker Engine 28.0), this engine speaks 1.41
        hint: upgrade the engine to 28.0 or newer, or leave a mount of type `image` out"#]],
    );
}

#[test]
fn a_gateway_wish_is_granted_where_the_names_sort_so_and_refused_else() {
    let with_priority = |network: &str, priority| AttachmentSpec {
        gw_priority: Some(priority),
        aliases: Vec::new(),
        ..attachment(network)
    };
    let wish = |networks: &[(&str, i32)]| {
        let attachments = networks
            .iter()
            .map(|(name, priority)| with_priority(name, *priority))
            .collect();
        let text = asked(&container(ContainerNetwork::Attached(attachments)), OLD);
        text.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(wish(&[("lab_a", 1), ("lab_b", 0)]), "{");
    assert_eq!(wish(&[("lab_a", 0), ("lab_b", 0)]), "{");
    // An internal network never gives the default route, so its name does not count.
    assert_eq!(wish(&[("lab_closed", 0), ("lab_d", 1)]), "{");
    expect!["cannot create container `lab-web-1`: `gw_priority` wants the default route through `lab_b`; this engine takes it through `lab_a`, whose name sorts first, and knows no priorities before API 1.48 (Docker Engine 28.0)"].assert_eq(&wish(&[("lab_a", 0), ("lab_b", 1)]));
}

#[test]
fn published_ports_are_exposed_too() {
    let mut spec = container(ContainerNetwork::DefaultBridge {
        links: vec![("lab-db-1".to_owned(), "db".to_owned())],
    });
    let port = |target, published, host_ip: Option<&str>| PublishedPort {
        target,
        protocol: Protocol::Tcp,
        published,
        host_ip: host_ip.map(|text| text.parse().unwrap()),
    };
    spec.ports = vec![
        port(80, Some(PortRange::single(8080)), Some("127.0.0.1")),
        port(
            80,
            Some(PortRange {
                first: 9000,
                last: 9010,
            }),
            None,
        ),
        port(443, None, None),
    ];
    spec.expose = vec![ExposedPort {
        port: 53,
        protocol: Protocol::Udp,
    }];
    let body = making(&spec, OLD, &BTreeSet::new()).unwrap().body;
    let host = body.host_config.unwrap();
    let bindings: BTreeMap<_, _> = host.port_bindings.unwrap().into_iter().collect();
    assert_eq!(body.exposed_ports.unwrap(), ["443/tcp", "53/udp", "80/tcp"]);
    assert_eq!(host.links.unwrap(), ["lab-db-1:db"]);
    assert_eq!(
        serde_json::to_string(&bindings).unwrap(),
        r#"{"443/tcp":[{"HostPort":""}],"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"},{"HostPort":"9000-9010"}]}"#
    );
}

#[test]
fn namespaces_of_others_are_named() {
    for (network, mode) in [
        (ContainerNetwork::Host, "host"),
        (ContainerNetwork::None, "none"),
        (
            ContainerNetwork::Container("lab-vpn-1".to_owned()),
            "container:lab-vpn-1",
        ),
        (ContainerNetwork::Named("office".to_owned()), "office"),
    ] {
        let mut spec = container(network);
        spec.ipc = Some(NamespaceRef::Container("lab-vpn-1".to_owned()));
        spec.pid = Some(NamespaceRef::Word("host".to_owned()));
        let body = making(&spec, OLD, &BTreeSet::new()).unwrap().body;
        let host = body.host_config.unwrap();
        assert_eq!(host.network_mode.as_deref(), Some(mode));
        assert_eq!(host.ipc_mode.as_deref(), Some("container:lab-vpn-1"));
        assert_eq!(host.pid_mode.as_deref(), Some("host"));
        assert!(body.networking_config.is_none());
    }
}

#[test]
fn process_health_storage_and_limits_are_asked_for() {
    let mut spec = container(ContainerNetwork::None);
    let bind = |path: &str, create_host_path, selinux: Option<&str>| Mount {
        target: "/in".to_owned(),
        read_only: true,
        source: MountSource::Bind {
            path: path.to_owned(),
            create_host_path,
            propagation: None,
            selinux: selinux.map(str::to_owned),
            recursive: None,
        },
    };
    let volume = MountSource::Volume {
        name: Some("lab_data".to_owned()),
        no_copy: true,
        subpath: None,
    };
    spec.config = Arc::new(ContainerConfig {
        command: Some(vec!["httpd".to_owned()]),
        entrypoint: Some(Vec::new()),
        environment: [
            ("A".to_owned(), Some("1".to_owned())),
            ("B".to_owned(), None),
        ]
        .into(),
        stop_grace_period: Some(Duration::from_millis(1500)),
        restart: RestartPolicy::OnFailure(Some(3)),
        stdin_open: true,
        healthcheck: Some(Healthcheck {
            test: vec!["CMD".to_owned(), "true".to_owned()],
            interval: Some(Duration::from_secs(2)),
            ..Healthcheck::default()
        }),
        mounts: vec![
            bind("/srv", true, None),
            bind("/srv", false, Some("z")),
            bind("/exact", false, None),
            Mount {
                target: "/data".to_owned(),
                read_only: false,
                source: volume,
            },
            Mount {
                target: "/tmp".to_owned(),
                read_only: false,
                source: MountSource::Tmpfs {
                    size: Some(64),
                    mode: None,
                },
            },
        ],
        resources: crate::model::container::Resources {
            memory: Some(1 << 20),
            ulimits: [("nofile".to_owned(), Ulimit { soft: 10, hard: 20 })].into(),
            ..Default::default()
        },
        ..ContainerConfig::default()
    });
    check(
        &spec,
        OLD,
        &expect![[r#"
        {
          "AttachStdin": true,
          "Cmd": [
            "httpd"
          ],
          "Entrypoint": [],
          "Env": [
            "A=1",
            "B"
          ],
          "Healthcheck": {
            "Interval": 2000000000,
            "Test": [
              "CMD",
              "true"
            ]
          },
          "HostConfig": {
            "Binds": [
              "/srv:/in:ro",
              "/srv:/in:ro,z"
            ],
            "Memory": 1048576,
            "Mounts": [
              {
                "Target": "/in",
                "Source": "/exact",
                "Type": "bind",
                "ReadOnly": true,
                "BindOptions": {}
              },
              {
                "Target": "/data",
                "Source": "lab_data",
                "Type": "volume",
                "VolumeOptions": {
                  "NoCopy": true
                }
              },
              {
                "Target": "/tmp",
                "Type": "tmpfs",
                "TmpfsOptions": {
                  "SizeBytes": 64
                }
              }
            ],
            "NetworkMode": "none",
            "RestartPolicy": {
              "MaximumRetryCount": 3,
              "Name": "on-failure"
            },
            "Ulimits": [
              {
                "Name": "nofile",
                "Soft": 10,
                "Hard": 20
              }
            ]
          },
          "OpenStdin": true,
          "StdinOnce": true,
          "StopTimeout": 2
        }"#]],
    );
}
