//! What is refused only where both are there: ports that nobody publishes, what a job leaves behind, services without
//! containers.

use expect_test::expect;

use crate::cross::tells;

#[test]
fn ports_that_are_not_published_are_not_in_each_others_way() {
    tells(
        "
services:
  one: {image: x, networks: [lan], ports: [\"53:53\"]}
  two: {image: x, networks: [lan, shut], ports: [\"53:53\"], scale: 2}
  three: {image: x, networks: [shut], ports: [\"53:53\"]}
  four: {image: x, networks: [shut, open], ports: [\"53:53\"]}
networks:
  lan: {driver: macvlan, parent: eth0, ipam: {config: [{subnet: 10.1.0.0/16}]}}
  shut: {internal: true}
  open: {}
",
        expect![[r#"
            warning[ports-without-effect]: service `one`: ports are published by bridges only, and `lan` sits on a parent link
             --> stack.yaml:3:36
              |
            3 |   one: {image: x, networks: [lan], ports: ["53:53"]}
              |                                    ^^^^^ nothing is published
            hint: remove the ports: the container has an address of its own on the wire, with all its ports

            warning[ports-without-effect]: service `two`: ports are published by bridges only, and `lan`, `shut` is internal or sits on a parent link
             --> stack.yaml:4:42
              |
            4 |   two: {image: x, networks: [lan, shut], ports: ["53:53"], scale: 2}
              |                                          ^^^^^ nothing is published
            hint: remove the ports: the container has an address of its own on the wire, with all its ports

            warning[ports-without-effect]: service `three`: an internal network publishes no ports, and `shut` is internal
             --> stack.yaml:5:39
              |
            5 |   three: {image: x, networks: [shut], ports: ["53:53"]}
              |                                       ^^^^^ nothing is published
            hint: remove the ports, or add a network that is not internal

        "#]],
    );
}

#[test]
fn a_job_leaves_its_port_and_address_to_what_waits_for_its_end() {
    tells(
        "
services:
  certbot: {image: x, ports: [\"80:80\"], networks: {n: {ipv4_address: 10.1.0.2, mac_address: \"02:00:00:00:00:01\"}}}
  gate: {image: x, depends_on: {certbot: {condition: service_completed_successfully}}, networks: [m]}
  nginx: {image: x, ports: [\"80:80\"], depends_on: [gate], networks: {n: {ipv4_address: 10.1.0.2, mac_address: \"02:00:00:00:00:01\"}}}
networks:
  n: {ipam: {config: [{subnet: 10.1.0.0/30, gateway: 10.1.0.1}]}}
  m: {}
",
        expect![[r#"
            warning[duplicate-port]: services `certbot` and `nginx` publish one port of the host, 80/tcp, one after the other: `nginx` starts when `certbot` has ended
             --> stack.yaml:5:30
              |
            3 |   certbot: {image: x, ports: ["80:80"], networks: {n: {ipv4_address: 10.1.0.2, mac_address: "02:00:00:00:00:01"}}}
              |                                -- first published here
            ...
            5 |   nginx: {image: x, ports: ["80:80"], depends_on: [gate], networks: {n: {ipv4_address: 10.1.0.2, mac_address: "02:00:00:00:00:01"}}}
              |                              ^^ published again
            hint: this works as long as `nginx` is stopped whenever `certbot` runs again

            warning[duplicate-address]: service `nginx` and service `certbot` have one address, 10.1.0.2, one after the other: `nginx` starts when `certbot` has ended
             --> stack.yaml:5:88
              |
            3 |   certbot: {image: x, ports: ["80:80"], networks: {n: {ipv4_address: 10.1.0.2, mac_address: "02:00:00:00:00:01"}}}
              |                                                                      -------- first given here
            ...
            5 |   nginx: {image: x, ports: ["80:80"], depends_on: [gate], networks: {n: {ipv4_address: 10.1.0.2, mac_address: "02:00:00:00:00:01"}}}
              |                                                                                        ^^^^^^^^ the same address again
            hint: this works as long as `nginx` is stopped whenever `certbot` runs again

        "#]],
    );
}

#[test]
fn only_the_end_of_the_job_itself_counts() {
    tells(
        "
services:
  web: {image: x, ports: [\"80:80\"]}
  task: {image: x, depends_on: [web]}
  next: {image: x, ports: [\"80:80\"], depends_on: {task: {condition: service_completed_successfully}}}
  job: {image: x, ports: [\"81:81\"]}
  late: {image: x, ports: [\"81:81\"], depends_on: {job: {condition: service_completed_successfully}}}
  also: {image: x, ports: [\"81:81\"], depends_on: {job: {condition: service_completed_successfully}}}
",
        expect![[r#"
            error[duplicate-port]: services `web` and `next` publish one port of the host, 80/tcp
             --> stack.yaml:5:29
              |
            3 |   web: {image: x, ports: ["80:80"]}
              |                            -- first published here
            ...
            5 |   next: {image: x, ports: ["80:80"], depends_on: {task: {condition: service_completed_successfully}}}
              |                             ^^ port is already allocated
            hint: give one of them another port, or another address of the host

            warning[duplicate-port]: services `job` and `late` publish one port of the host, 81/tcp, one after the other: `late` starts when `job` has ended
             --> stack.yaml:7:29
              |
            6 |   job: {image: x, ports: ["81:81"]}
              |                            -- first published here
            7 |   late: {image: x, ports: ["81:81"], depends_on: {job: {condition: service_completed_successfully}}}
              |                             ^^ published again
            hint: this works as long as `late` is stopped whenever `job` runs again

            error[duplicate-port]: services `late` and `also` publish one port of the host, 81/tcp
             --> stack.yaml:8:29
              |
            7 |   late: {image: x, ports: ["81:81"], depends_on: {job: {condition: service_completed_successfully}}}
              |                             -- first published here
            8 |   also: {image: x, ports: ["81:81"], depends_on: {job: {condition: service_completed_successfully}}}
              |                             ^^ port is already allocated
            hint: give one of them another port, or another address of the host

        "#]],
    );
}

#[test]
fn a_job_takes_no_room_from_what_follows() {
    tells(
        "
services:
  migrate: {image: x, networks: [n]}
  web: {image: x, networks: [n], depends_on: {migrate: {condition: service_completed_successfully}}}
networks:
  n: {ipam: {config: [{subnet: 10.1.0.0/30}]}}
",
        expect![[r#""#]],
    );
}

#[test]
fn a_service_without_containers_holds_nothing() {
    tells(
        "
services:
  old: {image: x, scale: 0, ports: [\"80:80\"], networks: {n: {ipv4_address: 10.1.0.2, mac_address: \"02:00:00:00:00:01\"}}}
  new: {image: x, ports: [\"80:80\"], networks: {n: {ipv4_address: 10.1.0.2, mac_address: \"02:00:00:00:00:01\"}}}
networks:
  n: {ipam: {config: [{subnet: 10.1.0.0/30, gateway: 10.1.0.1}]}}
",
        expect![[r#""#]],
    );
}
