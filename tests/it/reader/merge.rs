//! Several files become one.

use expect_test::expect;

use stack::file::render::yaml;

use crate::reader::{read_all, told};

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
            (
                "/lab/a.yaml",
                "services: {web: {image: x, cap_add: [KILL]}}\n",
            ),
            ("/lab/b.yaml", "services: {web: {cap_add: {KILL: b}}}\n"),
        ],
        |request| request.file("a.yaml").file("b.yaml"),
    );
    expect![[r#"
        error[cannot-override]: cannot override services.web.cap_add
         --> b.yaml:1:27
          |
        1 | services: {web: {cap_add: {KILL: b}}}
          |                           ^^^^^^^^^ this is a mapping…
         ::: a.yaml:1:37
          |
        1 | services: {web: {image: x, cap_add: [KILL]}}
          |                                     ------ …and cannot be merged into a list
        hint: write both in the same form, or replace the first one with `!override`

    "#]]
    .assert_eq(&told(&reading));
}

#[test]
fn a_key_without_a_value_in_a_later_file_takes_it_from_the_environment_or_is_empty() {
    let reading = read_all(
        &[
            (
                "/lab/a.yaml",
                "
services:
  web:
    image: nginx
    environment: {KEPT: 1, TAKEN: 1, UNSET: 1}
    labels: {a: 1, b: 2}
    hostname: h
  list:
    image: nginx
    environment: [TAKEN=1, UNSET=1]
  child: {extends: list, environment: [TAKEN]}
",
            ),
            (
                "/lab/b.yaml",
                "
services:
  web:
    environment: {TAKEN: , UNSET: , KEPT: 2}
    labels: [a]
    hostname:
  list:
    environment: [TAKEN, UNSET]
",
            ),
        ],
        |mut request| {
            let home = [("TAKEN".to_owned(), "from the shell".to_owned())];
            request.environment.extend(home);
            request.file("a.yaml").file("b.yaml")
        },
    );
    assert_eq!(told(&reading), "");
    expect![[r#"
        name: lab
        services:
          child:
            environment:
              TAKEN: from the shell
              UNSET: '1'
            image: nginx
            networks:
              default: null
          list:
            environment:
              TAKEN: from the shell
              UNSET: null
            image: nginx
            networks:
              default: null
          web:
            environment:
              KEPT: '2'
              TAKEN: from the shell
              UNSET: null
            hostname: h
            image: nginx
            labels:
              a: ''
              b: '2'
            networks:
              default: null
        networks:
          default:
            name: lab_default
            ipam: {}
    "#]]
    .assert_eq(&yaml(&reading.document).unwrap());
}

#[test]
fn what_a_file_defines_otherwise_than_what_it_includes_is_told() {
    let files = [
        (
            "/lab/sub.yaml",
            "
services: {a: {image: theirs, privileged: true}, b: {image: b}}
networks: {n: {}, m: {internal: true}}
",
        ),
        (
            "/lab/a.yaml",
            "
include: [sub.yaml]
services: {a: {image: mine}, c: {image: c, networks: [n]}}
networks: {n: {}, m: {internal: true}}
",
        ),
    ];
    let reading = read_all(&files, |request| request.file("a.yaml"));
    expect![[r#"
        error[include-conflict]: services.a conflicts with imported resource
         --> a.yaml:3:12
          |
        3 | services: {a: {image: mine}, c: {image: c, networks: [n]}}
          |            ^ defined here…
         ::: sub.yaml:2:12
          |
        2 | services: {a: {image: theirs, privileged: true}, b: {image: b}}
          |            - …and in an included file
        hint: change it in a file of its own that comes after: -f FILE -f CHANGES; or rename one of them

    "#]].assert_eq(&told(&reading));
}

#[test]
fn what_a_later_file_hides_must_be_right_nevertheless() {
    let files = [
        (
            "/lab/a.yaml",
            "
services:
  a: {image: x, user: [x], mem_limit: lots, privileged: maybe}
",
        ),
        (
            "/lab/b.yaml",
            "
services:
  a: {mem_limit: 1g, privileged: !override true}
",
        ),
    ];
    let reading = read_all(&files, |request| request.file("a.yaml").file("b.yaml"));
    expect![[r#"
        error[wrong-type]: services.a.user must be a string
         --> a.yaml:3:23
          |
        3 |   a: {image: x, user: [x], mem_limit: lots, privileged: maybe}
          |                       ^^^ this is a list

        error[wrong-type]: services.a.privileged: invalid boolean: `maybe`
         --> a.yaml:3:57
          |
        3 |   a: {image: x, user: [x], mem_limit: lots, privileged: maybe}
          |                                                         ^^^^^
        hint: write `true` or `false`

    "#]]
    .assert_eq(&told(&reading));
}

/// Files that include the next one, to a depth.
fn chain(depth: usize) -> Vec<(String, String)> {
    (1..=depth)
        .map(|level| {
            let include = match level < depth {
                true => format!("include: [f{}.yaml]\n", level + 1),
                false => String::new(),
            };
            let text = format!("{include}services: {{s{level}: {{image: x}}}}\n");
            (format!("/lab/f{level}.yaml"), text)
        })
        .collect()
}

#[test]
fn includes_may_be_nested_as_deep_as_anybody_has_them() {
    for (depth, wanted) in [(128, 0), (129, 1)] {
        let files = chain(depth);
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .collect();
        let reading = read_all(&files, |request| request.file("f1.yaml"));
        let codes: Vec<_> = reading.diagnostics.iter().map(|one| one.code).collect();
        assert_eq!(codes, vec!["include-too-deep"; wanted], "{depth}");
    }
}

/// As Compose 2.40 has them; each was compared.
#[test]
fn an_included_service_takes_its_variables_from_its_own_environment() {
    let files = [
        (
            "/lab/a.yaml",
            "
include: [sub/b.yaml]
services: {a: {image: x, environment: [B, D]}}
",
        ),
        (
            "/lab/sub/b.yaml",
            "services: {b: {image: x, env_file: [e], environment: [B, C, D]}}\n",
        ),
        ("/lab/sub/.env", "B=theirs\nC=c$B\n"),
        ("/lab/sub/e", "X=$B\nZ=${B:-none}\n"),
        ("/lab/.env", "D=ours\n"),
    ];
    let reading = read_all(&files, |request| request.file("a.yaml"));
    assert_eq!(told(&reading), "");
    expect![[r#"
        name: lab
        services:
          a:
            environment:
              B: null
              D: ours
            image: x
            networks:
              default: null
          b:
            environment:
              B: theirs
              C: ctheirs
              D: ours
              X: theirs
              Z: theirs
            image: x
            networks:
              default: null
        networks:
          default:
            name: lab_default
            ipam: {}
    "#]]
    .assert_eq(&yaml(&reading.document).unwrap());
}

#[test]
fn a_later_file_takes_away_what_is_extended_and_overrides_what_extends() {
    let files = [
        (
            "/lab/a.yaml",
            "
name: first
services:
  base: {image: b, labels: [x=1]}
  a: {extends: base, user: u}
  c: {image: c, user: u}
",
        ),
        (
            "/lab/b.yaml",
            "
name: !reset
services:
  a: {extends: !reset null}
  c: !override {extends: base}
  base: {image: y, labels: [\"of a text =any\"]}
",
        ),
    ];
    let reading = read_all(&files, |request| request.file("a.yaml").file("b.yaml"));
    assert_eq!(told(&reading), "");
    expect![[r#"
        name: first
        services:
          a:
            image: b
            labels:
              x: '1'
            networks:
              default: null
            user: u
          base:
            image: 'y'
            labels:
              'of a text ': any
              x: '1'
            networks:
              default: null
          c:
            image: 'y'
            labels:
              'of a text ': any
            networks:
              default: null
        networks:
          default:
            name: first_default
            ipam: {}
    "#]]
    .assert_eq(&yaml(&reading.document).unwrap());
}
