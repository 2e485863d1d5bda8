//! Values that engines refuse late.

use expect_test::expect;

use crate::reader::{read, tells, told};

#[test]
fn what_a_process_cannot_have_is_told() {
    tells(
        r#"
services:
  a:
    image: x
    stop_signal: SIGTREM
    restart: on-failure:-1
    healthcheck: {test: [CMD, x], interval: -1s, timeout: 1us}
    cap_add: [NET_ADMN, CAP_SYS_TIME, all]
    working_dir: app
    platform: ///
    ipc: foo
    pid: private
    uts: foo
    userns_mode: keep-id
    isolation: foo
    sysctls: {vm.max_map_count: 262144, net.ipv4.ip_forward: 1}
    deploy: {mode: globl}
    environment: ["=x", "OK=1"]
    hostname: büro
    extra_hosts: {"a b": 10.0.0.1}
    user: "a\0b"
  b: {image: x, network_mode: "bridge:x"}
  c: {image: x, deploy: {restart_policy: {condition: sometimes}}}
"#,
        expect![[r#"
            error[unknown-value]: services.a.stop_signal: invalid signal: SIGTREM
             --> stack.yaml:5:18
              |
            5 |     stop_signal: SIGTREM
              |                  ^^^^^^^
            hint: did you mean `SIGTERM`?

            error[unknown-value]: services.a.restart: invalid restart policy `on-failure:-1`
             --> stack.yaml:6:14
              |
            6 |     restart: on-failure:-1
              |              ^^^^^^^^^^^^^
            hint: write how often at most: on-failure:3

            error[out-of-range]: services.a.healthcheck.interval: Interval in Healthcheck cannot be less than 1ms
             --> stack.yaml:7:45
              |
            7 |     healthcheck: {test: [CMD, x], interval: -1s, timeout: 1us}
              |                                             ^^^
            hint: write a time such as 10s; 0s is the engine's default

            error[out-of-range]: services.a.healthcheck.timeout: Timeout in Healthcheck cannot be less than 1ms
             --> stack.yaml:7:59
              |
            7 |     healthcheck: {test: [CMD, x], interval: -1s, timeout: 1us}
              |                                                           ^^^
            hint: write a time such as 10s; 0s is the engine's default

            error[unknown-value]: services.a.cap_add: unknown capability: `NET_ADMN`
             --> stack.yaml:8:15
              |
            8 |     cap_add: [NET_ADMN, CAP_SYS_TIME, all]
              |               ^^^^^^^^
            hint: did you mean `NET_ADMIN`?

            error[bad-path]: services.a.working_dir: the working directory 'app' is invalid, it needs to be an absolute path
             --> stack.yaml:9:18
              |
            9 |     working_dir: app
              |                  ^^^
            hint: start it with a slash: /app

            error[unknown-value]: services.a.platform: `///` is not a platform
              --> stack.yaml:10:15
               |
            10 |     platform: ///
               |               ^^^
            hint: write OS/ARCHITECTURE[/VARIANT], such as linux/amd64 or linux/arm/v7

            error[unknown-value]: services.a.ipc: invalid IPC mode: foo
              --> stack.yaml:11:10
               |
            11 |     ipc: foo
               |          ^^^
            hint: it can be `none`, `private`, `shareable`, `host`, `service:NAME`, `container:NAME`

            warning[unknown-value]: services.a.pid: invalid PID mode: private: newer engines refuse it, older ones take it for none
              --> stack.yaml:12:10
               |
            12 |     pid: private
               |          ^^^^^^^
            hint: it can be `host`, `service:NAME`, `container:NAME`

            warning[unknown-value]: services.a.uts: invalid UTS mode: foo: newer engines refuse it, older ones take it for none
              --> stack.yaml:13:10
               |
            13 |     uts: foo
               |          ^^^
            hint: write `host`, or remove it

            warning[unknown-value]: services.a.userns_mode: `keep-id` means nothing: the engine knows `host` alone
              --> stack.yaml:14:18
               |
            14 |     userns_mode: keep-id
               |                  ^^^^^^^
            hint: write `host`, or remove it

            error[unknown-value]: services.a.isolation: invalid isolation (foo): linux only supports 'default'
              --> stack.yaml:15:16
               |
            15 |     isolation: foo
               |                ^^^
            hint: remove it

            error[unknown-value]: services.a.sysctls.vm.max_map_count: sysctl "vm.max_map_count" is not in a separate kernel namespace
              --> stack.yaml:16:15
               |
            16 |     sysctls: {vm.max_map_count: 262144, net.ipv4.ip_forward: 1}
               |               ^^^^^^^^^^^^^^^^
            hint: set it on the host: sysctl -w vm.max_map_count=262144

            warning[unknown-value]: services.a.deploy.mode: `globl` is not a mode
              --> stack.yaml:17:20
               |
            17 |     deploy: {mode: globl}
               |                    ^^^^^
            hint: did you mean `global`?

            error[bad-pair]: services.a.environment: invalid environment variable: =x: it has no name
              --> stack.yaml:18:19
               |
            18 |     environment: ["=x", "OK=1"]
               |                   ^^^^
            hint: write NAME=VALUE

            warning[bad-hostname]: services.a.hostname: `büro` holds 'ü', and programs refuse such a name or never find it
              --> stack.yaml:19:15
               |
            19 |     hostname: büro
               |               ^^^^
            hint: use letters a to z, digits, `-` and `.` (RFC 1123)

            warning[bad-host]: services.a.extra_hosts: `a b` holds a blank: /etc/hosts takes it for several names
              --> stack.yaml:20:26
               |
            20 |     extra_hosts: {"a b": 10.0.0.1}
               |                          ^^^^^^^^
            hint: write one entry for each name: HOST=ADDRESS

            error[nul]: services.a.user: it holds a NUL character, which ends a text for the kernel
              --> stack.yaml:21:11
               |
            21 |     user: "a\0b"
               |           ^^^^^^
            hint: remove the `\0`

            error[unknown-value]: services.b.network_mode: network bridge:x not found: `bridge` takes nothing after it
              --> stack.yaml:22:31
               |
            22 |   b: {image: x, network_mode: "bridge:x"}
               |                               ^^^^^^^^^^
            hint: write `bridge`, `service:NAME` or `container:NAME`

            error[unknown-value]: services.c.deploy.restart_policy.condition: invalid restart policy `sometimes`
              --> stack.yaml:23:54
               |
            23 |   c: {image: x, deploy: {restart_policy: {condition: sometimes}}}
               |                                                      ^^^^^^^^^
            hint: it can be none, on-failure or any

        "#]],
    );
}

#[test]
fn limits_that_no_engine_takes_are_told() {
    tells(
        "
services:
  a:
    image: x
    cpuset: abc
    shm_size: -1
    mem_limit: 1b
    mem_swappiness: 500
    pids_limit: -5
    cpu_period: 5
    cpu_quota: 5
    cpu_shares: -5
    ulimits: {nofile: {soft: 200, hard: 100}, bogus: 1, NPROC: 5}
  b: {image: x, mem_limit: 64m, memswap_limit: 32m, mem_reservation: 128m, cpuset: \"3-1\"}
  c: {image: x, memswap_limit: 32m, cpus: 1, cpu_quota: 50000}
  d: {image: x, mem_limit: 64m, memswap_limit: -1, mem_swappiness: -1, pids_limit: -1, cpuset: \"0-1,3\"}
  e: {image: x, deploy: {resources: {limits: {memory: 512}}}}
",
        expect![[r#"
            error[unknown-value]: services.a.cpuset: Invalid value abc for cpuset cpus: invalid format
             --> stack.yaml:5:13
              |
            5 |     cpuset: abc
              |             ^^^
            hint: write numbers and ranges without blanks, such as "0-3" or "0,2"

            error[out-of-range]: services.a.shm_size: SHM size can not be less than 0, and this is -1
             --> stack.yaml:6:15
              |
            6 |     shm_size: -1
              |               ^^
            hint: write a size such as 64m

            error[out-of-range]: services.a.mem_limit: Minimum memory limit allowed is 6MB, and this is 1 byte
             --> stack.yaml:7:16
              |
            7 |     mem_limit: 1b
              |                ^^
            hint: give it a unit: 512m is half a gigabyte

            error[out-of-range]: services.a.mem_swappiness: Invalid value: 500, valid memory swappiness range is 0-100
             --> stack.yaml:8:21
              |
            8 |     mem_swappiness: 500
              |                     ^^^
            hint: write a number from 0 to 100

            warning[out-of-range]: services.a.pids_limit: -5 is taken for no limit
             --> stack.yaml:9:17
              |
            9 |     pids_limit: -5
              |                 ^^
            hint: write -1 for no limit, or how many processes there may be

            error[out-of-range]: services.a.cpu_period: CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000), and this is 5
              --> stack.yaml:10:17
               |
            10 |     cpu_period: 5
               |                 ^
            hint: write microseconds, such as 100000

            error[out-of-range]: services.a.cpu_quota: CPU cfs quota can not be less than 1ms (i.e. 1000), and this is 5
              --> stack.yaml:11:16
               |
            11 |     cpu_quota: 5
               |                ^
            hint: write microseconds in each period, such as 50000

            error[out-of-range]: services.a.cpu_shares: invalid CPU shares (-5): value must be a positive integer
              --> stack.yaml:12:17
               |
            12 |     cpu_shares: -5
               |                 ^^
            hint: write a weight; 1024 is that of all others

            error[contradiction]: services.a.ulimits.nofile: the soft limit is above the hard one
              --> stack.yaml:13:30
               |
            13 |     ulimits: {nofile: {soft: 200, hard: 100}, bogus: 1, NPROC: 5}
               |                              ^^^ in force
               |                                         --- how far it may be raised
            hint: lower the soft limit, or raise the hard one

            error[unknown-value]: services.a.ulimits.bogus: wrong rlimit value: `bogus` is no limit of setrlimit
              --> stack.yaml:13:47
               |
            13 |     ulimits: {nofile: {soft: 200, hard: 100}, bogus: 1, NPROC: 5}
               |                                               ^^^^^
            hint: it can be `as`, `core`, `cpu`, `data`, `fsize`, `locks`, `memlock`, `msgqueue`, `nice`, `nofile`, `nproc`, `rss`, `rtprio`, `rttime`, `sigpending`, `stack`

            error[contradiction]: services.b.memswap_limit: Minimum memoryswap limit should be larger than memory limit: 32m is less than 64m
              --> stack.yaml:14:48
               |
            14 |   b: {image: x, mem_limit: 64m, memswap_limit: 32m, mem_reservation: 128m, cpuset: "3-1"}
               |                            --- memory alone
               |                                                ^^^ memory and swap together
            hint: write the sum of both; the same as mem_limit is no swap, -1 is swap without limit

            error[contradiction]: services.b.mem_reservation: the memory limit is less than the reservation
              --> stack.yaml:14:70
               |
            14 |   b: {image: x, mem_limit: 64m, memswap_limit: 32m, mem_reservation: 128m, cpuset: "3-1"}
               |                            --- the limit
               |                                                                      ^^^^ kept free
            hint: reserve less, or raise the limit

            error[unknown-value]: services.b.cpuset: Invalid value 3-1 for cpuset cpus: invalid format
              --> stack.yaml:14:84
               |
            14 |   b: {image: x, mem_limit: 64m, memswap_limit: 32m, mem_reservation: 128m, cpuset: "3-1"}
               |                                                                                    ^^^^^
            hint: write numbers and ranges without blanks, such as "0-3" or "0,2"

            error[missing-key]: services.c.memswap_limit: You should always set the Memory limit when using Memoryswap limit
              --> stack.yaml:15:32
               |
            15 |   c: {image: x, memswap_limit: 32m, cpus: 1, cpu_quota: 50000}
               |                                ^^^
            hint: add mem_limit: memswap_limit is memory and swap together

            error[excludes]: services.c: Conflicting options: cpus and cpu_quota cannot both be set
              --> stack.yaml:15:43
               |
            15 |   c: {image: x, memswap_limit: 32m, cpus: 1, cpu_quota: 50000}
               |                                           ^ this is a period and a quota
               |                                                         ----- and so is this
            hint: keep `cpus`

            error[out-of-range]: services.e.deploy.resources.limits.memory: Minimum memory limit allowed is 6MB, and this is 512 bytes
              --> stack.yaml:17:55
               |
            17 |   e: {image: x, deploy: {resources: {limits: {memory: 512}}}}
               |                                                       ^^^
            hint: give it a unit: 512m is half a gigabyte

        "#]],
    );
}

#[test]
fn mounts_and_devices_that_cannot_be_are_told() {
    tells(
        "
services:
  a:
    image: x
    tmpfs: [run, /, \"/x:size=1m,noexe\", \"/y:mode=755,uid=1,noexec\"]
    volumes:
      - data:rel
      - {type: bind, source: /srv, target: /srv, bind: {propagation: shard}}
    devices: [\":\", \"/dev/null:/dev/n:xr\"]
volumes: {data: }
",
        expect![[r#"
            error[bad-path]: services.a.tmpfs[0]: invalid mount path: 'run' mount path must be absolute
             --> stack.yaml:5:13
              |
            5 |     tmpfs: [run, /, "/x:size=1m,noexe", "/y:mode=755,uid=1,noexec"]
              |             ^^^
            hint: start it with a slash: /run

            error[bad-path]: services.a.tmpfs[1]: invalid specification: destination can't be '/'
             --> stack.yaml:5:18
              |
            5 |     tmpfs: [run, /, "/x:size=1m,noexe", "/y:mode=755,uid=1,noexec"]
              |                  ^
            hint: mount it on a folder below the root

            error[unknown-value]: services.a.tmpfs[2]: invalid tmpfs option "noexe"
             --> stack.yaml:5:21
              |
            5 |     tmpfs: [run, /, "/x:size=1m,noexe", "/y:mode=755,uid=1,noexec"]
              |                     ^^^^^^^^^^^^^^^^^^
            hint: did you mean `noexec`?

            error[bad-path]: services.a.volumes[0]: invalid mount path: 'rel' mount path must be absolute
             --> stack.yaml:7:14
              |
            7 |       - data:rel
              |              ^^^
            hint: start it with a slash: /rel

            error[unknown-value]: services.a.volumes[1]: invalid propagation mode: shard
             --> stack.yaml:8:70
              |
            8 |       - {type: bind, source: /srv, target: /srv, bind: {propagation: shard}}
              |                                                                      ^^^^^
            hint: did you mean `shared`?

            error[bad-device]: services.a.devices[0]: a device needs a path on the host
             --> stack.yaml:9:15
              |
            9 |     devices: [":", "/dev/null:/dev/n:xr"]
              |               ^^^
            hint: write SOURCE[:TARGET[:PERMISSIONS]], such as /dev/ttyUSB0

            warning[unknown-value]: services.a.devices[1]: `xr` are not permissions for a device
             --> stack.yaml:9:38
              |
            9 |     devices: [":", "/dev/null:/dev/n:xr"]
              |                                      ^^
            hint: write letters of `rwm`: read, write, make nodes

        "#]],
    );
}

#[test]
fn networks_that_cannot_be_made_are_told() {
    tells(
        r#"
services: {a: {image: x, networks: [a, b, c, d, e, f, g, h, i, j]}}
networks:
  a: {name: host}
  b: {name: " "}
  c: {driver: brigde}
  d: {ipam: {driver: nope}}
  e: {ipam: {config: [{subnet: 127.0.0.0/8}]}}
  f: {ipam: {config: [{subnet: 224.0.0.0/24}]}}
  g: {enable_ipv6: true, ipam: {config: [{subnet: "ff02::/64"}]}}
  h:
    driver_opts:
      com.docker.network.driver.mtu: "1e3"
      com.docker.network.bridge.enable_icc: "no"
      com.docker.network.bridge.host_binding_ipv4: localhost
      com.docker.network.bridge.gateway_mode_ipv4: natt
  i: {driver_opts: {com.docker.network.driver.mtu: 20}}
  j: {ipam: {config: [{subnet: 10.1.0.0/24}, {subnet: 10.2.0.0/24}]}}
  k: {name: bridge, external: true}
  l: {driver: host, name: host}
"#,
        expect![[r#"
            error[bad-name]: networks.a.name: operation is not permitted on predefined host network: the engine has it already
             --> stack.yaml:4:13
              |
            4 |   a: {name: host}
              |             ^^^^
            hint: choose another name, or use the engine's own: driver: host

            error[bad-name]: networks.b.name: invalid name: name is empty
             --> stack.yaml:5:13
              |
            5 |   b: {name: " "}
              |             ^^^
            hint: write a name, or remove the key

            warning[unknown-value]: networks.c.driver: the engine has no driver `brigde` of its own, and needs a plugin of this name
             --> stack.yaml:6:15
              |
            6 |   c: {driver: brigde}
              |               ^^^^^^
            hint: did you mean `bridge`?

            warning[unknown-value]: networks.d.ipam.driver: the engine has no address management `nope` of its own, and needs a plugin of this name
             --> stack.yaml:7:22
              |
            7 |   d: {ipam: {driver: nope}}
              |                      ^^^^
            hint: remove it for the engine's own

            warning[reserved-address]: networks.e.ipam.config[0].subnet: 127.0.0.0/8 is the host's and every container's own loopback: nobody is reached by such an address
             --> stack.yaml:8:32
              |
            8 |   e: {ipam: {config: [{subnet: 127.0.0.0/8}]}}
              |                                ^^^^^^^^^^^
            hint: choose a private one, such as 10.77.0.0/24 or fd77::/64

            warning[reserved-address]: networks.f.ipam.config[0].subnet: multicast subnet 224.0.0.0/24: such addresses are those of groups, and no station has one
             --> stack.yaml:9:32
              |
            9 |   f: {ipam: {config: [{subnet: 224.0.0.0/24}]}}
              |                                ^^^^^^^^^^^^
            hint: choose a private one, such as 10.77.0.0/24 or fd77::/64

            error[reserved-address]: networks.g.ipam.config[0].subnet: multicast subnet ff02::/64: such addresses are those of groups, and no station has one
              --> stack.yaml:10:51
               |
            10 |   g: {enable_ipv6: true, ipam: {config: [{subnet: "ff02::/64"}]}}
               |                                                   ^^^^^^^^^^^
            hint: choose a private one, such as 10.77.0.0/24 or fd77::/64

            error[unknown-value]: networks.h.driver_opts.com.docker.network.driver.mtu: failed to parse com.docker.network.driver.mtu value: 1e3
              --> stack.yaml:13:38
               |
            13 |       com.docker.network.driver.mtu: "1e3"
               |                                      ^^^^^
            hint: write a whole number of bytes in quotes, such as "1450"

            error[unknown-value]: networks.h.driver_opts.com.docker.network.bridge.enable_icc: failed to parse com.docker.network.bridge.enable_icc value: no
              --> stack.yaml:14:45
               |
            14 |       com.docker.network.bridge.enable_icc: "no"
               |                                             ^^^^
            hint: write "true" or "false"

            error[bad-address]: networks.h.driver_opts.com.docker.network.bridge.host_binding_ipv4: failed to parse com.docker.network.bridge.host_binding_ipv4 value: localhost
              --> stack.yaml:15:52
               |
            15 |       com.docker.network.bridge.host_binding_ipv4: localhost
               |                                                    ^^^^^^^^^
            hint: write an address of the host, without a prefix length

            warning[unknown-value]: networks.h.driver_opts.com.docker.network.bridge.gateway_mode_ipv4: unknown gateway mode natt: newer engines refuse it, older ones ignore the key
              --> stack.yaml:16:52
               |
            16 |       com.docker.network.bridge.gateway_mode_ipv4: natt
               |                                                    ^^^^
            hint: did you mean `nat`?

            warning[out-of-range]: networks.i.driver_opts.com.docker.network.driver.mtu: the kernel has no bridge with an MTU of 20, and newer engines refuse it
              --> stack.yaml:17:52
               |
            17 |   i: {driver_opts: {com.docker.network.driver.mtu: 20}}
               |                                                    ^^
            hint: write a number from 68 to 65535

            error[several-subnets]: network `j`: bridge driver doesn't support multiple subnets of one family
              --> stack.yaml:18:55
               |
            18 |   j: {ipam: {config: [{subnet: 10.1.0.0/24}, {subnet: 10.2.0.0/24}]}}
               |                                ----------- the first one
               |                                                       ^^^^^^^^^^^ one more
            hint: keep one, or make a second network for the other

        "#]],
    );
}

#[test]
fn health_that_is_never_told_is_not_waited_for() {
    tells(
        "
services:
  a: {image: x, depends_on: {b: {condition: service_healthy}, c: {condition: service_healthy}, d: {condition: service_healthy}}}
  b: {image: x, healthcheck: {disable: true}}
  c: {image: x, healthcheck: {test: [NONE]}}
  d: {image: x}
",
        expect![[r#"
            error[never-healthy]: service "a" waits until "b" is healthy, and the health check of "b" is switched off
             --> stack.yaml:3:45
              |
            3 |   a: {image: x, depends_on: {b: {condition: service_healthy}, c: {condition: service_healthy}, d: {condition: service_healthy}}}
              |                                             ^^^^^^^^^^^^^^^ container has no healthcheck configured
            4 |   b: {image: x, healthcheck: {disable: true}}
              |                                        ---- switched off here
            hint: wait for `service_started`, or give the service a test

            error[never-healthy]: service "a" waits until "c" is healthy, and the health check of "c" is switched off
             --> stack.yaml:3:78
              |
            3 |   a: {image: x, depends_on: {b: {condition: service_healthy}, c: {condition: service_healthy}, d: {condition: service_healthy}}}
              |                                                                              ^^^^^^^^^^^^^^^ container has no healthcheck configured
            ...
            5 |   c: {image: x, healthcheck: {test: [NONE]}}
              |                                     ------ switched off here
            hint: wait for `service_started`, or give the service a test

        "#]],
    );
}

#[test]
fn what_engines_take_is_taken() {
    let text = told(&read(
        r#"
services:
  a:
    image: x
    stop_signal: rtmin+3
    restart: on-failure:3
    cap_add: [net_admin, CAP_SYS_TIME, ALL, BPF]
    cap_drop: [all]
    working_dir: 'C:\app'
    platform: linux/arm64/v8
    ipc: shareable
    pid: host
    uts: host
    userns_mode: host
    isolation: default
    mem_limit: 6m
    memswap_limit: 6m
    cpuset: "0"
    shm_size: 0
    healthcheck: {test: [CMD, x], interval: 1ms, timeout: 0s}
    sysctls: {net/ipv4/ip_forward: 1, kernel.shmmax: 5, fs.mqueue.msg_max: 5}
    ulimits: {nproc: -1, memlock: {soft: -1, hard: -1}}
    tmpfs: ["/run:rw,noexec,nosuid,size=50%"]
    volumes: ["/srv:/srv:rw,rslave,z", "/b:/b:cached"]
    extra_hosts: ["a=host-gateway", "b:::1"]
  b: {image: x, hostname: a_b.c}
"#,
    ));
    assert_eq!(text, "");
}
