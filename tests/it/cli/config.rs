//! `config`, and how the file and its settings are found.

use std::process::Command;

use expect_test::expect;

use super::{STACK, check, run, whole};

#[test]
fn all_mistakes_of_a_file_are_told_in_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let text = "
services:
  web:
    image: stack-lab
    prots: ['80:80']
    networks: {lan: {ipv4_address: 10.0.0.300}}
  db:
    depends_on: [nobody]
networks:
  lan: {ipam: {config: [{subnet: 10.0.0.0/33}]}}
";
    std::fs::write(folder.path().join("stack.yaml"), text).unwrap();
    let (code, output, error) = run(folder.path(), &["up", "-d"]);
    expect![[r#"
        exit 1
        error[unknown-key]: unknown key `prots` in services.web
         --> stack.yaml:5:5
          |
        5 |     prots: ['80:80']
          |     ^^^^^ additional properties 'prots' not allowed
        hint: did you mean `ports`?

        error[bad-address]: services.web.networks.lan.ipv4_address: `10.0.0.300`: invalid IPv4 address syntax
         --> stack.yaml:6:36
          |
        6 |     networks: {lan: {ipv4_address: 10.0.0.300}}
          |                                    ^^^^^^^^^^
        hint: write four numbers from 0 to 255, such as 192.168.1.10

        error[no-image]: service "db" has neither an image nor a build context specified
         --> stack.yaml:7:3
          |
        7 |   db:
          |   ^^
        hint: give it an image (image: nginx) or say how to build one (build: ./folder)

        error[unknown-reference]: service "db" depends on undefined service "nobody"
         --> stack.yaml:8:18
          |
        8 |     depends_on: [nobody]
          |                  ^^^^^^
        hint: the other service is `web`

        error[bad-prefix]: networks.lan.ipam.config[0].subnet: `10.0.0.0/33`: invalid IP address syntax
          --> stack.yaml:10:34
           |
        10 |   lan: {ipam: {config: [{subnet: 10.0.0.0/33}]}}
           |                                  ^^^^^^^^^^^
        hint: write a prefix such as 192.168.1.0/24 or 2001:db8::/64

        5 errors; nothing was changed
    "#]].assert_eq(&format!("exit {code}\n{output}{error}"));
}

#[test]
fn config_lists_parts() {
    for (list, expected) in [
        ("--services", "exit 0\ndb\nweb\n"),
        ("--networks", "exit 0\nback\n"),
        ("--profiles", "exit 0\nextra\n"),
        ("--images", "exit 0\nstack-lab\n"),
        ("-q", "exit 0\n"),
    ] {
        assert_eq!(whole(&["config", list]), expected, "{list}");
    }
    check(
        &["config", "--hash", "db"],
        expect![[r#"
        exit 0
        db dd7bf0d970d271af74eb18ae9a7400857b44a4d3f84b1c006ed7cae3c62786c2
    "#]],
    );
}

#[test]
fn config_tells_mistakes_to_programs() {
    let folder = tempfile::tempdir().unwrap();
    let text = "name: lab\nservices:\n  web: {image: x, prots: []}\n";
    std::fs::write(folder.path().join("stack.yaml"), text).unwrap();
    let (code, output, error) = run(folder.path(), &["config", "-q", "--format", "json"]);
    let told: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!((code, error.as_str()), (1, ""));
    assert_eq!(told["errors"], 1);
    assert_eq!(told["diagnostics"][0]["code"], "unknown-key");
    assert_eq!(told["diagnostics"][0]["place"]["line"], 3);
    let (code, output, error) = run(folder.path(), &["config", "--format", "sarif"]);
    let told: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!((code, error.as_str()), (1, ""));
    assert_eq!(told["version"], "2.1.0");
    assert_eq!(told["runs"][0]["results"][0]["ruleId"], "unknown-key");
    std::fs::write(folder.path().join("stack.yaml"), STACK).unwrap();
    let (code, output, _) = run(folder.path(), &["config", "-q", "--format", "json"]);
    let told: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!((code, &told["errors"]), (0, &serde_json::json!(0)));
}

#[test]
fn config_lists_variables_and_models() {
    let folder = tempfile::tempdir().unwrap();
    let text = "
name: lab
services:
  web: {image: 'x:${TAG:-1}', user: '${OWNER:?who}', models: [m], working_dir: '/${SUB+sub}'}
models:
  m: {model: ai/x}
";
    std::fs::write(folder.path().join("stack.yaml"), text).unwrap();
    let (code, output, error) = run(folder.path(), &["config", "--variables"]);
    expect![[r#"
        exit 0
        NAME                REQUIRED            DEFAULT VALUE       ALTERNATE VALUE
        OWNER               true
        SUB                 false                                   sub
        TAG                 false               1
    "#]]
    .assert_eq(&format!("exit {code}\n{output}{error}"));
    let text = text.replace(":?who", "");
    std::fs::write(folder.path().join("stack.yaml"), text).unwrap();
    let (code, output, _) = run(folder.path(), &["config", "--models"]);
    assert_eq!((code, output.as_str()), (0, "m\n"));
}

#[test]
fn variables_are_listed_of_files_that_do_not_fit_together() {
    let folder = tempfile::tempdir().unwrap();
    let text = "
name: lab
services:
  web: {image: 'x:${TAG:-${OTHER:-1}}', networks: [nope], ports: ['${PORT}']}
";
    std::fs::write(folder.path().join("stack.yaml"), text).unwrap();
    let listed = run(folder.path(), &["config", "--variables"]);
    expect![[r#"
        exit 0
        NAME                REQUIRED            DEFAULT VALUE       ALTERNATE VALUE
        OTHER               false               1
        PORT                false
        TAG                 false               ${OTHER:-1}
    "#]]
    .assert_eq(&format!("exit {}\n{}{}", listed.0, listed.1, listed.2));
    let again = run(
        folder.path(),
        &["config", "--variables", "--no-interpolate"],
    );
    assert_eq!(listed, again);
}

#[test]
fn without_interpolation_all_that_is_written_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let text = "
name: lab
services:
  web: {image: 'x${TAG}'}
  tool: {image: 'y${TAG}', profiles: [tools], volumes: [used:/x]}
volumes:
  used:
  unused:
";
    std::fs::write(folder.path().join("stack.yaml"), text).unwrap();
    let (code, output, error) = run(folder.path(), &["config", "--no-interpolate"]);
    expect![[r#"
        exit 0
        name: lab
        services:
          tool:
            profiles:
            - tools
            image: y${TAG}
            networks:
              default: null
            volumes:
            - type: volume
              source: used
              target: /x
              volume: {}
          web:
            image: x${TAG}
            networks:
              default: null
        networks:
          default:
            name: lab_default
            ipam: {}
        volumes:
          unused:
            name: lab_unused
          used:
            name: lab_used
    "#]]
    .assert_eq(&format!("exit {code}\n{output}{error}"));
}

#[test]
fn a_secret_of_another_shell_is_needed_only_where_containers_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let text = "
name: lab
services:
  web: {image: x, secrets: [password]}
secrets:
  password: {environment: PASSWORD}
";
    std::fs::write(folder.path().join("stack.yaml"), text).unwrap();
    let (code, output, error) = run(folder.path(), &["config", "--services"]);
    expect![[r#"
        exit 0
        web
        warning[missing-variable]: secret `password` is the content of the variable PASSWORD, which is not set
         --> stack.yaml:6:27
          |
        6 |   password: {environment: PASSWORD}
          |                           ^^^^^^^^
        hint: set PASSWORD

    "#]]
    .assert_eq(&format!("exit {code}\n{output}{error}"));
    let (code, _, error) = run(folder.path(), &["plan", "--offline"]);
    assert_eq!(code, 1);
    assert!(error.starts_with("error[missing-variable]"), "{error}");
}

#[test]
fn the_settings_of_a_stack_are_those_beside_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    write("stack.yaml", "services: {outer: {image: x}}\n");
    write(
        ".env",
        "COMPOSE_PROJECT_NAME=outer\nTAG=outer\nSTACK_FILE=sub/stack.yaml\n",
    );
    write(
        "sub/stack.yaml",
        "services: {web: {image: 'x:${TAG}${MORE-}'}, more: {image: y, profiles: [more]}}\n",
    );
    write(
        "sub/.env",
        "COMPOSE_PROJECT_NAME=inner\nTAG=inner\nCOMPOSE_PROFILES=more\n",
    );
    let shown = |arguments: &[&str]| {
        let (code, output, error) = run(folder.path(), arguments);
        let all: serde_json::Value = serde_json::from_str(&output).unwrap_or_default();
        let mut services: Vec<&str> = all["services"]
            .as_object()
            .into_iter()
            .flat_map(|all| all.keys())
            .map(String::as_str)
            .collect();
        services.sort_unstable();
        let web = all["services"]["web"]["image"]
            .as_str()
            .unwrap_or("-")
            .to_owned();
        format!(
            "{code} {} {} {web}{error}",
            all["name"].as_str().unwrap_or("-"),
            services.join(",")
        )
    };
    let json = ["config", "--format", "json"];
    let with = |flags: &[&'static str]| shown(&[flags, &json[..]].concat());
    assert_eq!(with(&["-f", "sub/stack.yaml"]), "0 inner more,web x:inner");
    assert_eq!(
        with(&["--project-directory", "sub"]),
        "0 inner more,web x:inner"
    );
    // The file is named by the outer one, whose variables then count as well, and first.
    assert_eq!(with(&[]), "0 outer more,web x:outer");
    write("own.env", "MORE=own\nTAG=own\n");
    assert_eq!(
        with(&["-f", "sub/stack.yaml", "--env-file", "own.env"]),
        "0 sub web x:ownown"
    );
}

#[test]
fn a_file_named_by_the_environment_may_be_the_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("elsewhere.txt");
    std::fs::write(&file, "services: {web: {image: x}}\n").unwrap();
    std::fs::write(
        folder.path().join("more.yaml"),
        "services: {more: {image: y}}\n",
    )
    .unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_stack"))
        .args(["config", "--services"])
        .current_dir(folder.path())
        .env_clear()
        .env("COMPOSE_FILE", "-:more.yaml")
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
    assert_eq!(String::from_utf8_lossy(&done.stdout), "web\nmore\n");
}

#[test]
fn no_file_is_told_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let (code, output, error) = run(folder.path(), &["config"]);
    expect![[r#"
        exit 1
        error[no-file]: no configuration file provided: not found
        hint: make a stack.yaml or compose.yaml here, or name a file with -f

    "#]]
    .assert_eq(&format!("exit {code}\n{output}{error}"));
}

#[test]
fn variables_choose_file_and_name_and_ours_go_first() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("other.yaml"),
        "services: {a: {image: x}}\n",
    )
    .unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_stack"))
        .args(["config", "--format", "json"])
        .current_dir(folder.path())
        .env_clear()
        .env("COMPOSE_FILE", "nosuch.yaml")
        .env("STACK_FILE", "other.yaml")
        .env("COMPOSE_PROJECT_NAME", "theirs")
        .env("STACK_PROJECT_NAME", "ours")
        .output()
        .unwrap();
    let value: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(value["name"], "ours");
    assert_eq!(value["services"]["a"]["image"], "x");
}

#[test]
fn a_pipe_of_variables_is_read_once_for_all_purposes() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("stack.yaml"),
        "name: lab\nservices: {web: {image: 'x:${A}'}}\n",
    )
    .unwrap();
    let program = env!("CARGO_BIN_EXE_stack");
    let script = format!("printf 'A=1\\n' | '{program}' --env-file /dev/stdin config --images");
    let done = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stdout), "x:1\n");
    let (code, _, error) = run(folder.path(), &["--env-file", "/dev/zero", "config"]);
    assert_eq!(code, 1);
    assert!(error.contains("larger than 256 MiB"), "{error}");
    // Nobody writes into it: that is told, and not waited for without end.
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (code, _, error) = run(folder.path(), &["--env-file", "pipe", "config"]);
    assert_eq!(code, 1);
    assert!(error.contains("nobody writes into it"), "{error}");
}

#[test]
fn what_cannot_be_given_whole_is_not_given_in_part() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stack.yaml"), STACK).unwrap();
    let (code, output, error) = run(folder.path(), &["config", "--hash", "db,nope"]);
    assert_eq!((code, output.as_str()), (1, ""));
    assert_eq!(error, "error: no such service: nope\n");
    let (code, output, error) = run(folder.path(), &["config", "-q", "-o", "out.yaml"]);
    assert_eq!((code, output.as_str(), error.as_str()), (0, "", ""));
    let written = std::fs::read_to_string(folder.path().join("out.yaml")).unwrap();
    assert!(written.starts_with("name: lab\n"), "{written}");
}

#[test]
fn of_a_flag_that_is_given_twice_the_last_counts() {
    let folder = tempfile::tempdir().unwrap();
    let file = "services: {a: {image: x}}\n";
    std::fs::write(folder.path().join("stack.yaml"), file).unwrap();
    let words = [
        "-p",
        "one",
        "--project-name",
        "two",
        "config",
        "--format",
        "yaml",
        "--format",
        "json",
    ];
    let (code, output, error) = run(folder.path(), &words);
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(output.contains("\"name\": \"two\""), "{output}");
    assert_eq!(run(folder.path(), &["config", "-q", "-q"]).0, 0);
    let (_, services, _) = run(
        folder.path(),
        &["--profile", "x", "--profile", "y", "config", "--services"],
    );
    assert_eq!(services, "a\n");
}
