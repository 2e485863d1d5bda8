//! What works is not refused; and what Compose refuses is told with the remedy.

use expect_test::expect;

use stack::file::render::yaml;
use stack::file::request::Check;
use stack::file::shape::Variables;

use crate::reader::{prints, read_all, tells, told};

#[test]
fn a_wait_for_health_that_is_not_required_is_a_warning() {
    tells(
        r#"
services:
  a: {image: x, depends_on: {b: {condition: service_healthy, required: false}}}
  b: {image: x, healthcheck: {disable: true}}
"#,
        expect![[r#"
            warning[never-healthy]: service "a" waits until "b" is healthy, and the health check of "b" is switched off
             --> stack.yaml:3:45
              |
            3 |   a: {image: x, depends_on: {b: {condition: service_healthy, required: false}}}
              |                                             ^^^^^^^^^^^^^^^ container has no healthcheck configured
            4 |   b: {image: x, healthcheck: {disable: true}}
              |                                        ---- switched off here
            hint: wait for `service_started`, or give the service a test

        "#]],
    );
}

#[test]
fn kernel_parameters_are_a_matter_of_the_runtime() {
    tells(
        r#"
services:
  a: {image: x, runtime: kata, sysctls: {vm.max_map_count: 262144}}
  b: {image: x, runtime: runc, sysctls: {vm.max_map_count: 262144}}
"#,
        expect![[r#"
            warning[unknown-value]: services.a.sysctls.vm.max_map_count: sysctl "vm.max_map_count" is not in a separate kernel namespace
             --> stack.yaml:3:42
              |
            3 |   a: {image: x, runtime: kata, sysctls: {vm.max_map_count: 262144}}
              |                                          ^^^^^^^^^^^^^^^^
            hint: set it on the host: sysctl -w vm.max_map_count=262144

            error[unknown-value]: services.b.sysctls.vm.max_map_count: sysctl "vm.max_map_count" is not in a separate kernel namespace
             --> stack.yaml:4:42
              |
            4 |   b: {image: x, runtime: runc, sysctls: {vm.max_map_count: 262144}}
              |                                          ^^^^^^^^^^^^^^^^
            hint: set it on the host: sysctl -w vm.max_map_count=262144

        "#]],
    );
}

#[test]
fn a_quota_without_end_and_cpus_go_together() {
    tells(
        r#"
services:
  a: {image: x, cpus: 0.5, cpu_quota: -1}
"#,
        expect![[r#""#]],
    );
}

#[test]
fn empty_names_and_times_with_units_are_told_with_the_remedy() {
    tells(
        r#"
services:
  a: {image: x, container_name: "", cgroup: "", cpu_rt_period: 1400us, cpu_rt_runtime: 95ms}
  b: {image: x, scale: 1m}
"#,
        expect![[r#"
            error[bad-name]: services.a: container_name is empty
             --> stack.yaml:3:33
              |
            3 |   a: {image: x, container_name: "", cgroup: "", cpu_rt_period: 1400us, cpu_rt_runtime: 95ms}
              |                                 ^^
            hint: remove the key, or give a variable a default: ${NAME:-web}

            error[unknown-value]: services.a.cgroup: `` is not one of the values it can have
             --> stack.yaml:3:45
              |
            3 |   a: {image: x, container_name: "", cgroup: "", cpu_rt_period: 1400us, cpu_rt_runtime: 95ms}
              |                                             ^^
            hint: remove the key, or write one of `host`, `private`

            error[wrong-type]: services.a.cpu_rt_period: `1400us` is not a whole number
             --> stack.yaml:3:64
              |
            3 |   a: {image: x, container_name: "", cgroup: "", cpu_rt_period: 1400us, cpu_rt_runtime: 95ms}
              |                                                                ^^^^^^
            hint: Compose takes microseconds here, without a unit: 1400

            error[wrong-type]: services.a.cpu_rt_runtime: `95ms` is not a whole number
             --> stack.yaml:3:88
              |
            3 |   a: {image: x, container_name: "", cgroup: "", cpu_rt_period: 1400us, cpu_rt_runtime: 95ms}
              |                                                                                        ^^^^
            hint: Compose takes microseconds here, without a unit: 95000

            error[wrong-type]: services.b.scale: `1m` is not a whole number
             --> stack.yaml:4:24
              |
            4 |   b: {image: x, scale: 1m}
              |                        ^^
            hint: write a whole number without a unit

        "#]],
    );
}

#[test]
fn devices_are_asked_for_by_number_or_name() {
    tells(
        r#"
services:
  a: {image: x, gpus: [{count: 1, device_ids: ["0"]}, {device_ids: ["0"]}, {driver: nvidia}]}
  b:
    image: x
    deploy: {resources: {reservations: {devices: [{count: 1, device_ids: ["0"], capabilities: [gpu]}, {count: 1}]}}}
  c: {image: x, uts: host, hostname: h}
  d: {image: x, uts: host, hostname: ""}
"#,
        expect![[r#"
            error[excludes]: services.a.gpus[0]: "count" and "device_ids" attributes are exclusive
             --> stack.yaml:3:32
              |
            3 |   a: {image: x, gpus: [{count: 1, device_ids: ["0"]}, {device_ids: ["0"]}, {driver: nvidia}]}
              |                                ^ so many, whichever they are
              |                                   ---------- and just these
            hint: keep one of the two

            error[excludes]: services.b.deploy.resources.reservations.devices[0]: "count" and "device_ids" attributes are exclusive
             --> stack.yaml:6:59
              |
            6 |     deploy: {resources: {reservations: {devices: [{count: 1, device_ids: ["0"], capabilities: [gpu]}, {count: 1}]}}}
              |                                                           ^ so many, whichever they are
              |                                                              ---------- and just these
            hint: keep one of the two

            error[missing-key]: services.b.deploy.resources.reservations.devices[1]: missing property 'capabilities'
             --> stack.yaml:6:103
              |
            6 |     deploy: {resources: {reservations: {devices: [{count: 1, device_ids: ["0"], capabilities: [gpu]}, {count: 1}]}}}
              |                                                                                                       ^^^^^^^^^^
            hint: say what the devices must be able to do: capabilities: [gpu]

            error[mode-excludes]: services.c.uts: conflicting options: hostname and the UTS mode: the name is the host's own
             --> stack.yaml:7:22
              |
            7 |   c: {image: x, uts: host, hostname: h}
              |                      ^^^^
            hint: remove one of the two

        "#]],
    );
}

#[test]
fn a_tab_may_stand_before_a_plain_value() {
    prints(
        "# é\nservices:\n  a:\n    image:\tnginx\n    command:\t \t-x\n    labels:\n      text: \"a:\tb\"\n      more: |\n        a:\tb\n      last:\ta # b:\tc\n",
        expect![[r#"
            name: lab
            services:
              a:
                command:
                - -x
                image: nginx
                labels:
                  last: a
                  more: "a:\tb\n"
                  text: "a:\tb"
                networks:
                  default: null
            networks:
              default:
                name: lab_default
                ipam: {}
        "#]],
    );
}

#[test]
fn places_behind_a_tab_are_true_and_nothing_is_told_twice() {
    tells(
        "services:\n  a:\n    image: x\n    image: x\n    scale:\tmany\n",
        expect![[r#"
            error[duplicate-key]: mapping key `image` already defined at line 3
             --> stack.yaml:4:5
              |
            3 |     image: x
              |     ----- first defined here
            4 |     image: x
              |     ^^^^^ defined again here
            hint: keep one of the two; a list or mapping under both can be joined under one key

            error[wrong-type]: services.a.scale: `many` is not a whole number
             --> stack.yaml:5:12
              |
            5 |     scale: many
              |            ^^^^
            hint: write a whole number

        "#]],
    );
}

#[test]
fn what_is_not_filled_in_is_not_judged() {
    let file = r#"
services:
  a:
    image: "${I}"
    container_name: "${N}"
    extra_hosts: ["${EH}", "db=10.0.0.1"]
    env_file: ["${EF}", missing.env]
    label_file: "${LF}"
    cgroup: "${C}"
    cpu_rt_period: "${P}"
    network_mode: "${M}"
    volumes: ["${V}"]
    gpus: [{count: "${G}"}]
"#;
    let reading = read_all(&[("/lab/stack.yaml", file)], |mut request| {
        request.variables = Variables::AsWritten;
        request.consistency = Check::Shape;
        request
    });
    expect![[r#""#]].assert_eq(&told(&reading));
    expect![[r#"
        name: lab
        services:
          a:
            cgroup: ${C}
            cpu_rt_period: ${P}
            container_name: ${N}
            env_file:
            - path: /lab/${EF}
              required: true
            - path: /lab/missing.env
              required: true
            extra_hosts:
            - ${EH}
            - db=10.0.0.1
            gpus:
            - count: ${G}
            image: ${I}
            label_file: ${LF}
            network_mode: ${M}
            volumes:
            - type: volume
              target: ${V}
              volume: {}
    "#]]
    .assert_eq(&yaml(&reading.document).unwrap());
}

#[test]
fn what_compose_refuses_as_a_value_is_refused_too() {
    tells(
        r#"
services:
  a:
    image: x
    pull_policy: ""
    cpu_percent: 50.5
    mem_limit: 64Mi
    depends_on: {b: {restart: true}}
    security_opt: ["label=disable", "seccomp=unconfined", "label=disable"]
    extra_hosts: ["h=10.0.0.1", "h=10.0.0.1"]
    storage_opt: {size: true}
    volumes: [{type: tmpfs, target: /t, tmpfs: {mode: "0755"}}]
  b: {image: x, networks: [default, default]}
"#,
        expect![[r#"
            error[unknown-value]: services.a.pull_policy: `` is not a pull policy
             --> stack.yaml:5:18
              |
            5 |     pull_policy: ""
              |                  ^^
            hint: remove the key, or write missing, which is the default

            error[wrong-type]: services.a.cpu_percent must be an integer
             --> stack.yaml:6:18
              |
            6 |     cpu_percent: 50.5
              |                  ^^^^ this is a number

            error[bad-size]: services.a.mem_limit: invalid suffix: 'mi'
             --> stack.yaml:7:16
              |
            7 |     mem_limit: 64Mi
              |                ^^^^
            hint: write a number with a unit: b, k, m, g, t or p (powers of 1024), such as 64m

            error[missing-key]: services.a.depends_on.b: missing property 'condition'
             --> stack.yaml:8:21
              |
            8 |     depends_on: {b: {restart: true}}
              |                     ^^^^^^^^^^^^^^^
            hint: condition: the state that is waited for; a list of names waits for `service_started`

            error[duplicate-item]: services.a.security_opt: items at 0 and 2 are equal: `label=disable`
             --> stack.yaml:9:59
              |
            9 |     security_opt: ["label=disable", "seccomp=unconfined", "label=disable"]
              |                    --------------- first written here
              |                                                           ^^^^^^^^^^^^^^^ written again here
            hint: remove one of the two

            error[duplicate-item]: services.a.extra_hosts: items at 0 and 1 are equal: `h=10.0.0.1`
              --> stack.yaml:10:33
               |
            10 |     extra_hosts: ["h=10.0.0.1", "h=10.0.0.1"]
               |                   ------------ first written here
               |                                 ^^^^^^^^^^^^ written again here
            hint: remove one of the two

            error[wrong-type]: services.a.storage_opt.size must be a string
              --> stack.yaml:11:25
               |
            11 |     storage_opt: {size: true}
               |                         ^^^^ this is a boolean
            hint: write it in quotes: "true"

            error[wrong-type]: services.a.volumes[0].tmpfs.mode: `0755` is a string, and permission bits are a number
              --> stack.yaml:12:55
               |
            12 |     volumes: [{type: tmpfs, target: /t, tmpfs: {mode: "0755"}}]
               |                                                       ^^^^^^
            hint: write it without quotes, and with a 0 as octal: 0755

            error[duplicate-item]: services.b.networks: items at 0 and 1 are equal: `default`
              --> stack.yaml:13:37
               |
            13 |   b: {image: x, networks: [default, default]}
               |                            ------- first written here
               |                                     ^^^^^^^ written again here
            hint: remove one of the two

        "#]],
    );
}

#[test]
fn numbers_and_lists_come_out_as_compose_has_them() {
    prints(
        r#"
name: p
services:
  a:
    build: {context: /, platforms: [linux/arm64, linux/arm64]}
    cpus: 0.123456789
    dns: ["", 9.9.9.9, 9.9.9.9]
    tmpfs: ["/t:size=1m", "/t:size=2m"]
    volumes: [{type: tmpfs, target: /m, tmpfs: {mode: 0755}}]
"#,
        expect![[r#"
            name: p
            services:
              a:
                build:
                  context: /
                  dockerfile: Dockerfile
                  platforms:
                  - linux/arm64
                  - linux/arm64
                cpus: 0.12345679
                dns:
                - 9.9.9.9
                networks:
                  default: null
                tmpfs:
                - /t:size=2m
                volumes:
                - type: tmpfs
                  target: /m
                  tmpfs:
                    mode: 493
            networks:
              default:
                name: p_default
                ipam: {}
        "#]],
    );
}
