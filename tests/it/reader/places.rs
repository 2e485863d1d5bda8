//! Where a mistake is shown: inside scalars of many lines, behind escapes and folds, in texts that are shared.

use expect_test::expect;

use crate::reader::{prints, read, read_all, tells, told};

#[test]
fn a_part_of_a_scalar_is_shown_on_its_own_line() {
    tells(
        r#"
services:
  a:
    image: x
    command: >
      one two
      three && four
    environment:
      X: |
        first
        ${}
      Y: "ab\tc ${UNSET} z"
      Z: 'multi
        it''s ${UNSET2} line'
      W: plain
        more ${UNSET3} end
    ports:
      - "80\x38\x30:x"
"#,
        expect![[r#"
            warning[no-shell]: services.a.command: a command is not run by a shell
             --> stack.yaml:7:13
              |
            7 |       three && four
              |             ^^^^^^^ docker compose drops this, and so does stack
            hint: run a shell for it: [sh, -c, "…"]

            error[bad-variable]: invalid interpolation format for services.a.environment.X
              --> stack.yaml:11:9
               |
            11 |         ${}
               |         ^^^ not a variable
            hint: write ${NAME}, ${NAME:-default}, ${NAME:?message} or ${NAME:+text}; you may need to escape any $ with another $

            warning[unset-variable]: the "UNSET" variable is not set. Defaulting to a blank string
              --> stack.yaml:12:17
               |
            12 |       Y: "ab\tc ${UNSET} z"
               |                 ^^^^^^^^
            hint: set UNSET, or give a default: ${UNSET:-…}

            warning[unset-variable]: the "UNSET2" variable is not set. Defaulting to a blank string
              --> stack.yaml:14:15
               |
            14 |         it''s ${UNSET2} line'
               |               ^^^^^^^^^
            hint: set UNSET2, or give a default: ${UNSET2:-…}

            warning[unset-variable]: the "UNSET3" variable is not set. Defaulting to a blank string
              --> stack.yaml:16:14
               |
            16 |         more ${UNSET3} end
               |              ^^^^^^^^^
            hint: set UNSET3, or give a default: ${UNSET3:-…}

            error[bad-port]: invalid containerPort: x
              --> stack.yaml:18:21
               |
            18 |       - "80\x38\x30:x"
               |                     ^
            hint: ports are whole numbers from 0 to 65535, or a range such as 8000-8010

        "#]],
    );
}

#[test]
fn a_part_of_a_value_of_an_env_file_is_shown_on_its_own_line() {
    let files = [
        (
            "/lab/stack.yaml",
            "services: {a: {image: x, env_file: x.env}}\n",
        ),
        (
            "/lab/x.env",
            "A=\"one\n  two ${B?set it} three\"\nC=a ${}\n",
        ),
    ];
    let reading = read_all(&files, |request| request);
    expect![[r#"
        error[env-file]: required variable B is missing a value: set it
         --> x.env:2:7
          |
        2 |   two ${B?set it} three"
          |       ^^^^^^^^^^^
          = note: read as an env file because of stack.yaml:1:36

        error[env-file]: invalid interpolation format in this value
         --> x.env:3:5
          |
        3 | C=a ${}
          |     ^^^
          = note: read as an env file because of stack.yaml:1:36

    "#]]
    .assert_eq(&told(&reading));
}

#[test]
fn a_carriage_return_alone_ends_a_line() {
    let reading = read("services:\r  a:\r    image: x\r    foo: 1\r");
    assert!(
        told(&reading).contains("--> stack.yaml:4:5"),
        "{}",
        told(&reading)
    );
}

#[test]
fn control_characters_are_refused_where_they_stand() {
    tells(
        "services:\n  a:\n    image: x\u{7}y\n",
        expect![[r#"
        error[yaml-syntax]: this is not valid YAML: control characters are not allowed: U+0007
         --> stack.yaml:3:13
          |
        3 |     image: x y
          |             ^
        hint: remove it, or write it as "\x07" in a text in double quotes

    "#]],
    );
    let reading = read("services: {a: {image: x, labels: {a: \"\u{85}é\t\u{1f600}\"}}}\n");
    assert_eq!(told(&reading), "");
}

#[test]
fn a_mapping_is_merged_into_by_one_key() {
    tells(
        "
x-a: &a {image: x}
x-b: &b {init: true}
services:
  a:
    <<: *a
    <<: *b
  b:
    <<: [*a, *b]
",
        expect![[r#"
            error[duplicate-key]: mapping key `<<` already defined at line 6
             --> stack.yaml:7:5
              |
            6 |     <<: *a
              |     -- first defined here
            7 |     <<: *b
              |     ^^ defined again here
            hint: merge both under one key: <<: [*one, *two]

        "#]],
    );
}

#[test]
fn numbers_up_to_two_to_the_sixty_fourth_stay_whole() {
    prints(
        "
services:
  a: {image: x, environment: {BIG: 18446744073709551615}}
x-big: 9223372036854775808
x-larger: 18446744073709551616
",
        expect![[r#"
            name: lab
            services:
              a:
                environment:
                  BIG: '18446744073709551615'
                image: x
                networks:
                  default: null
            networks:
              default:
                name: lab_default
                ipam: {}
            x-big: 9223372036854775808
            x-larger: 1.8446744073709552e19
        "#]],
    );
}

#[test]
fn the_number_of_a_port_is_that_of_its_entry() {
    tells(
        "
services:
  a:
    image: x
    ports: [\"8000-8003:80-83\", {target: 90, published: \"99999\"}, \"8002:99\"]
",
        expect![[r#"
            error[bad-port]: invalid hostPort: 99999
             --> stack.yaml:5:56
              |
            5 |     ports: ["8000-8003:80-83", {target: 90, published: "99999"}, "8002:99"]
              |                                                        ^^^^^^^
            hint: ports are whole numbers from 0 to 65535, or a range such as 8000-8010

            error[duplicate-port]: service `a` publishes port 8002/tcp of the host twice
             --> stack.yaml:5:67
              |
            5 |     ports: ["8000-8003:80-83", {target: 90, published: "99999"}, "8002:99"]
              |              --------- first published here
              |                                                                   ^^^^ port is already allocated
            hint: give one of them another port, or another address of the host

        "#]],
    );
    let reading =
        read("services: {a: {image: x, ports: [\"8000-8003:80-83\", {target: 90, host_ip: x}]}}");
    let paths: Vec<_> = reading
        .diagnostics
        .iter()
        .filter_map(|one| one.path.clone())
        .collect();
    assert_eq!(paths, ["services.a.ports[1]"]);
}

#[test]
fn one_mistake_behind_an_anchor_is_told_once() {
    tells(
        "
x-a: &a {image: x, ports: [x], foo: 1}
services:
  a: {<<: *a}
  b: {<<: *a}
  c: {<<: *a}
",
        expect![[r#"
            error[bad-port]: invalid containerPort: x
             --> stack.yaml:2:28
              |
            2 | x-a: &a {image: x, ports: [x], foo: 1}
              |                            ^
              = note: the same for services.b.ports[0] and 1 more that share this text
            hint: ports are whole numbers from 0 to 65535, or a range such as 8000-8010

            error[unknown-key]: unknown key `foo` in services.a
             --> stack.yaml:2:32
              |
            2 | x-a: &a {image: x, ports: [x], foo: 1}
              |                                ^^^ additional properties 'foo' not allowed
              = note: the same for services.b and 1 more that share this text
            hint: a key of your own starts with `x-`: `x-foo`

        "#]],
    );
}

#[test]
fn what_is_there_and_wrong_is_not_missing() {
    tells(
        "
services:
  a: {image: x, volumes: [{type: foo, target: /x}]}
  a b: {imago: x}
  c: {extends: d}
  d: {extends: c}
  e: {extends: nope}
",
        expect![[r#"
            error[unknown-value]: services.a.volumes[0].type: `foo` is not one of the values it can have
             --> stack.yaml:3:34
              |
            3 |   a: {image: x, volumes: [{type: foo, target: /x}]}
              |                                  ^^^
            hint: it can be `bind`, `volume`, `tmpfs`, `cluster`, `npipe`, `image`

            error[bad-name]: `a b` cannot be a name in services
             --> stack.yaml:4:3
              |
            4 |   a b: {imago: x}
              |   ^^^ additional properties 'a b' not allowed
            hint: only letters, digits, `.`, `_` and `-` are allowed

            error[unknown-key]: unknown key `imago` in services.a b
             --> stack.yaml:4:9
              |
            4 |   a b: {imago: x}
              |         ^^^^^ additional properties 'imago' not allowed
            hint: did you mean `image`?

            error[extends-cycle]: circular reference: c -> d -> c
             --> stack.yaml:6:16
              |
            5 |   c: {extends: d}
              |                - `c` extends this
            6 |   d: {extends: c}
              |                ^ this closes the circle
            hint: remove one of these `extends`

            error[unknown-base]: cannot extend service "e" in stack.yaml: service "nope" not found
             --> stack.yaml:7:16
              |
            7 |   e: {extends: nope}
              |                ^^^^
            hint: the other services are `a`, `a b`, `c`, `d`

        "#]],
    );
}

#[test]
fn a_conflict_a_tab_and_a_value_with_a_tag_are_underlined_where_they_stand() {
    for (file, place) in [
        (
            "services:\n  a:\n<<<<<<< HEAD\n    image: x\n=======\n    image: y\n>>>>>>> b\n",
            "<<<<<<<",
        ),
        ("services:\n  a:\n  \timage: x\n", "\t"),
        ("services: {a: {image: x, ports: !override 5}}\n", "5"),
        ("services: {a: {image: !override [1, 2]}}\n", "[1, 2]"),
    ] {
        let reading = super::read(file);
        let first = reading.diagnostics.iter().next().unwrap();
        let span = first.primary.as_ref().unwrap().span;
        assert_eq!(reading.sources.slice(span), place, "{file}");
    }
}
