//! References, circles, and how a mistake came here.

use expect_test::expect;

use crate::reader::{read_all, tells, told};

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
fn changes_between_checks_say_whom_and_which_network() {
    tells(
        "
services:
  app: {image: lab, networks: [front]}
  db: {image: lab, networks: [back]}
networks: {front: {}, back: {}, unused: {}}
checks:
  - name: one
    from: app
    to: db
    after:
      - {connect: nope, network: back}
      - {connect: app, network: frnt}
      - {connect: app, network: unused}
      - {connect: app}
      - {disconnect: app, network: [back]}
      - {disconnect: app, network: front, stop: app}
      - {network: back}
",
        expect![[r#"
            error[unknown-reference]: there is no service `nope`
              --> stack.yaml:11:19
               |
            11 |       - {connect: nope, network: back}
               |                   ^^^^
            hint: name a service of this file

            error[unknown-reference]: there is no network `frnt`
              --> stack.yaml:12:33
               |
            12 |       - {connect: app, network: frnt}
               |                                 ^^^^
            hint: name a network of this file

            error[unknown-reference]: there is no network `unused`
              --> stack.yaml:13:33
               |
            13 |       - {connect: app, network: unused}
               |                                 ^^^^^^
            hint: name a network of this file

            error[bad-check]: `connect` needs a `network`
              --> stack.yaml:14:9
               |
            14 |       - {connect: app}
               |         ^^^^^^^^^^^^^^
            hint: write {connect: SERVICE, network: NETWORK}

            error[bad-check]: `disconnect` needs a `network`
              --> stack.yaml:15:9
               |
            15 |       - {disconnect: app, network: [back]}
               |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
            hint: write {disconnect: SERVICE, network: NETWORK}

            error[wrong-type]: checks[0].after[4].network must be a string
              --> stack.yaml:15:36
               |
            15 |       - {disconnect: app, network: [back]}
               |                                    ^^^^^^ this is a list

            error[bad-check]: each entry of `after` says one thing
              --> stack.yaml:16:9
               |
            16 |       - {disconnect: app, network: front, stop: app}
               |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
            hint: write one of restart, stop, start, kill, pause, unpause, connect, disconnect in each: [{stop: web}, {start: web}]; `network` goes with the last two

            error[bad-check]: each entry of `after` says one thing
              --> stack.yaml:17:9
               |
            17 |       - {network: back}
               |         ^^^^^^^^^^^^^^^
            hint: write one of restart, stop, start, kill, pause, unpause, connect, disconnect in each: [{stop: web}, {start: web}]; `network` goes with the last two

        "#]],
    );
}

#[test]
fn what_a_check_cannot_mean_is_told() {
    tells(
        "
services:
  app: {image: lab}
checks:
  - {name: one, from: app, to: app, within: -1s}
  - {name: one, from: app, to: app, require: true, level: warning}
  - {from: app, to: app}
  - {from: app, to: app, within: 1s, require: true}
",
        expect![[r#"
            error[bad-check]: `within` ends before it begins
             --> stack.yaml:5:45
              |
            5 |   - {name: one, from: app, to: app, within: -1s}
              |                                             ^^^
            hint: write how long the check may take to come true, such as 10s

            error[bad-check]: two checks are called `one`
             --> stack.yaml:6:12
              |
            5 |   - {name: one, from: app, to: app, within: -1s}
              |            --- the first
            6 |   - {name: one, from: app, to: app, require: true, level: warning}
              |            ^^^ the second
            hint: give each a name of its own, or none

            error[bad-check]: a check that is only a warning cannot be required
             --> stack.yaml:6:59
              |
            6 |   - {name: one, from: app, to: app, require: true, level: warning}
              |                                                           ^^^^^^^
            hint: remove `require` or `level`

        "#]],
    );
}
