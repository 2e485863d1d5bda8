//! `stack check` before anybody is asked.

use expect_test::expect;

use super::run;

const FILE: &str = "
name: lab
services:
  web: {image: stack-lab, networks: [back]}
  db: {image: stack-lab, networks: [back]}
networks: {back: }
checks:
  - {from: nobody, to: web, port: 80, after: [{restart: web}]}
  - {from: web, to: 'db:80'}
  - {from: web, to: db, port: 80, expect: bananas}
  - {from: web, to: db, protocol: udp}
  - {from: web, to: localhost, port: 80, via: nonet}
  - {from: web, to: internet}
";

#[test]
fn mistakes_in_checks_are_all_told_before_the_first_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stack.yaml"), FILE).unwrap();
    let (code, output, error) = run(folder.path(), &["check"]);
    assert_eq!((code, output.as_str()), (2, ""));
    expect![[r#"
        error[bad-check]: nobody here is called `nobody`
         --> stack.yaml:8:12
          |
        8 |   - {from: nobody, to: web, port: 80, after: [{restart: web}]}
          |            ^^^^^^

        error[bad-check]: nobody here is called `db:80`
         --> stack.yaml:9:21
          |
        9 |   - {from: web, to: 'db:80'}
          |                     ^^^^^^^
        hint: write `to: db` and `port: 80`

        error[bad-check]: `bananas` cannot be expected: ok, unreachable, refused, timeout, no-route, host-unreachable, nxdomain, servfail, wrong-target or a reason code
          --> stack.yaml:10:43
           |
        10 |   - {from: web, to: db, port: 80, expect: bananas}
           |                                           ^^^^^^^

        error[bad-check]: udp needs a `port`
          --> stack.yaml:11:35
           |
        11 |   - {from: web, to: db, protocol: udp}
           |                                   ^^^

        error[bad-check]: there is no link or network `nonet`
          --> stack.yaml:12:47
           |
        12 |   - {from: web, to: localhost, port: 80, via: nonet}
           |                                               ^^^^^

        error[bad-check]: nobody here can ask for the internet, or as it: `stack why` predicts it
          --> stack.yaml:13:21
           |
        13 |   - {from: web, to: internet}
           |                     ^^^^^^^^

        nothing was changed
    "#]]
    .assert_eq(&error);
}

#[test]
fn checks_without_a_mistake_are_asked_of_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let fine = "checks: [{from: web, to: db, port: 80, via: back}, {from: host, to: web.back, expect: NO_EMBEDDED_DNS}]";
    let (before, _) = FILE.split_once("checks:").unwrap();
    std::fs::write(
        folder.path().join("stack.yaml"),
        format!("{before}{fine}\n"),
    )
    .unwrap();
    let (_, _, error) = run(folder.path(), &["check"]);
    assert!(error.starts_with("error: cannot connect to"), "{error}");
}
