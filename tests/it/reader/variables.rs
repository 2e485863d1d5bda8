//! Variables and the environment.

use std::collections::BTreeMap;

use expect_test::expect;

use stack::file::render::json;

use crate::reader::{read_all, tells, told};

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

            warning[bad-hostname]: services.web.hostname: `$literal-c` holds '$', and programs refuse such a name or never find it
             --> stack.yaml:6:15
              |
            6 |     hostname: $$literal-${C:-c}
              |               ^^^^^^^^^^^^^^^^^
              = note: interpolated from ${C}: the text is `$literal-c`
            hint: use letters a to z, digits, `-` and `.` (RFC 1123)

        "#]],
    );
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
    image: \"$ONE-$TWO-$THREE\"
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
              "image": "process-dotenv-dotenv3",
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
fn values_that_double_each_other_end_with_a_word() {
    let doubled: String = (1..40)
        .map(|index| format!("A{index}=${{A{0}}}${{A{0}}}\n", index - 1))
        .collect();
    let reading = read_all(
        &[
            ("/lab/a.yaml", "services: {a: {image: x}}\n"),
            ("/lab/.env", &format!("A0=xx\n{doubled}")),
        ],
        |request| request.file("a.yaml"),
    );
    expect![[r#"
        error[env-file]: the value is longer than 128 KiB
          --> .env:18:5
           |
        18 | A17=${A16}${A16}
           |     ^^^^^^^^^^^^
        hint: no process can be started with a longer one: put it into a file

    "#]]
    .assert_eq(&told(&reading));
}
