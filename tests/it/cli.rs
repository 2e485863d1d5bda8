//! The command line as a program: help, flags that exclude each other, `config` and plans, without an engine. Whole
//! texts; `UPDATE_EXPECT=1` writes them anew.

use std::path::Path;
use std::process::Command;

use expect_test::{Expect, expect};

const STACK: &str = "
name: lab
services:
  db:
    image: stack-lab
    networks: {back: {aliases: [data]}}
  web:
    image: stack-lab
    build: .
    depends_on: {db: {condition: service_healthy}}
    ports: ['8080:80']
    networks: [back]
  tool:
    image: stack-lab
    profiles: [extra]
    network_mode: 'service:web'
networks:
  back: {}
  unused: {}
volumes:
  data: {}
";

/// What a run of the program came to: exit code, standard output, standard error.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_stack"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        // Nobody listens there: these tests need no engine, and must not find one.
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes).replace(&folder.display().to_string(), "HERE")
    };
    (
        done.status.code().unwrap_or(-1),
        text(&done.stdout),
        text(&done.stderr),
    )
}

/// All of it as one text.
fn whole(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stack.yaml"), STACK).unwrap();
    let (code, output, error) = run(folder.path(), arguments);
    format!("exit {code}\n{output}{error}")
}

fn check(arguments: &[&str], expected: Expect) {
    expected.assert_eq(&whole(arguments));
}

#[test]
fn the_help_is_a_map() {
    check(
        &["--help"],
        expect![[r#"
            exit 0
            Services and real networks from one file: docker compose for people who care where the packets go

            Usage: stack [OPTIONS] <COMMAND>

            Every day:
              up         Create and start everything
              down       Stop and remove everything
              plan       Show what `up` would do, and why
              ps         List containers
              logs       Show what containers say
              exec       Run a command in a running container
              run        Run a command in a container of its own
              graph      Draw networks, bridges, parents, shims and addresses
              config     Show the file as it is understood

            Parts of it:
              start, stop, restart, pause, unpause, kill, scale
              create     Create containers and do not start them
              rm         Remove stopped containers
              build      Build images
              pull       Pull images
              cp         Copy files into or out of a container
              wait       Wait until containers stop

            Look around:
              ls         List projects
              doctor     Tell what on this machine will bite
              agent      Keep the host's side right through restarts and reboots
              shim       Show, check, repair and export the host's doors into networks
              orphans    Tell what killed runs and forgotten projects left
              journal    Show what is written down about unfinished runs
              images     List the images of the project
              port       Show where a port is published
              top        Show the processes in the containers
              events     Follow what happens
              version    Show versions

            Tools:
              engine     Private engines for labs and tests
              completion Completion for bash, zsh or fish
              help       Help for a command

            Options (before the command):
              -f, --file <FILE>                 Stack or Compose file; `-` is standard input (repeatable, later
                                                ones are merged over earlier ones)
              -p, --project-name <NAME>         Project name
                  --profile <NAME>              Profile to make active; `*` is all (repeatable)
                  --env-file <FILE>             File of variables, instead of `.env` (repeatable)
                  --project-directory <FOLDER>  Folder that relative paths start from (default: that of the
                                                first file)
                  --all-resources               Keep networks and volumes that no service uses
                  --compatibility               Names as Compose v1 made them (`_` instead of `-`)
              -H, --host <URL>                  Where the engine is: unix://, tcp:// or ssh:// (default:
                                                DOCKER_HOST)
                  --context <NAME>              Context of the docker client
                  --engine <NAME>               Private engine, started by `stack engine start NAME`
                  --progress <HOW>              How progress is shown: auto, tty, plain, json or quiet
                  --ansi <WHEN>                 When to use colours and move the cursor: never, always or auto
                  --dry-run                     Tell what would be done, on a copy of the world in memory, and
                                                do nothing
                  --parallel <N>                How many steps may run at the same time; -1 is no limit
              -v, --version                     Print our version
              -h, --help                        Print help

            Start here:
              stack up              make everything that stack.yaml says, and follow its logs (Ctrl+C stops it)
              stack up -d           the same in the background
              stack ps              what runs
              stack logs -f web     what the service `web` says
              stack exec web sh     a shell in it
              stack down            take everything away again

            Before and after:
              stack plan            every step that `up` would take, and why; nothing is changed
              stack config          the file as it is understood, all defaults filled in
              stack graph           who is on which network, with addresses
              stack engine start x  an engine of its own to try things on

            Files: stack.yaml, stack.yml, compose.yaml, compose.yml, docker-compose.yml; `-f` names others.
            Variables: those of Compose (COMPOSE_FILE, COMPOSE_PROJECT_NAME, COMPOSE_PROFILES, …), or the same
            with STACK_, which goes first; DOCKER_HOST, DOCKER_CONTEXT, NO_COLOR.
            Exit codes: 0 done; 1 refused; 2 `plan` found changes; 3 failed and something is left;
            130 interrupted; `run`, `exec`, `wait` and `up --exit-code-from` pass on the container's own.
        "#]],
    );
}

#[test]
fn the_help_of_up_has_examples() {
    check(
        &["up", "--help"],
        expect![[r#"
        exit 0
        Create and start everything

        Usage: stack up [OPTIONS] [SERVICE]...

        Arguments:
          [SERVICE]...  Services (default: all)

        Options:
              --build                       Build images first, even if they are there
              --no-build                    Do not build images, even if they are missing
              --pull <POLICY>               Pull images: always, missing, never, or policy (what the file
                                            says)
              --force-recreate              Make all containers anew
              --no-recreate                 Leave containers as they are, even if the file has changed
              --always-recreate-deps        Make the containers of dependencies anew as well
          -V, --renew-anon-volumes          Do not take over the anonymous volumes of replaced containers
              --remove-orphans              Remove containers of services that the file no longer has
              --scale <SERVICE=N>           So many containers of a service (repeatable)
          -t, --timeout <SECONDS>           Seconds until a container that does not stop is killed
              --quiet-pull                  Pull without telling how far it is
              --quiet-build                 Build without telling how far it is
          -d, --detach                      Run in the background
              --wait                        Return when everything is running or healthy; implies --detach
              --wait-timeout <SECONDS>      Give up after so many seconds
              --no-start                    Create containers and do not start them
              --no-deps                     Do not follow the services that the named ones depend on, nor
                                            start them
              --abort-on-container-exit     Stop everything when one container ends
              --abort-on-container-failure  Stop everything when one container ends with an error
              --exit-code-from <SERVICE>    End with this service's exit code; implies
                                            --abort-on-container-exit
              --attach <SERVICE>            Follow the logs of these services only (repeatable)
              --attach-dependencies         Follow the logs of dependencies too
              --no-attach <SERVICE>         Do not follow the logs of these services (repeatable)
              --no-color                    Logs without colours
              --no-log-prefix               Logs without the container's name
              --timestamps                  Logs with their time
              --timings[=<FORM>]            Tell where the time went: table, json or trace (for
                                            chrome://tracing), each into a file as in trace:FILE
              --no-rollback                 Keep what was done when a step fails
          -h, --help                        Print help

        How to talk:
              --dry-run  Tell what would be done, on a copy of the world in memory, and do nothing

        Examples:
          stack up -d                   everything, in the background
          stack up -d web               only `web` and what it depends on
          stack up --wait               return when all is running and healthy
          stack up -d --scale web=3     three of `web`
          stack up --build              build images first
          stack up -d --timings         and tell where the time went

        A failed `up` takes back what it did and says so; --no-rollback keeps it for a look.
        `up` again changes nothing that is as the file says.
    "#]],
    );
}

#[test]
fn flags_that_contradict_each_other_are_refused() {
    for arguments in [
        &["up", "--build", "--no-build"][..],
        &["up", "--force-recreate", "--no-recreate"],
        &["up", "--always-recreate-deps", "--no-recreate"],
        &["up", "-V", "--no-recreate"],
        &["up", "-d", "--abort-on-container-exit"],
        &["up", "--wait", "--attach", "web"],
        &["up", "--attach", "web", "--attach-dependencies"],
        &[
            "up",
            "--abort-on-container-exit",
            "--abort-on-container-failure",
        ],
        &["up", "--wait-timeout", "3"],
        &["run", "-p", "80", "-P", "web"],
        &["-H", "unix:///x", "--context", "y", "ps"],
        &["up", "--nosuch"],
        &["nosuchcommand"],
        &["up", "--scale", "web"],
        &["exec", "web"],
        &["wait"],
        &["--engine", "No/Name", "ps"],
    ] {
        let text = whole(arguments);
        assert!(text.starts_with("exit 1\nerror: "), "{arguments:?}: {text}");
    }
}

#[test]
fn an_engine_that_does_not_answer_is_told_with_its_place() {
    check(
        &["ps"],
        expect![[r#"
            exit 1
            error: cannot connect to the Docker daemon at unix:///nonexistent/docker.sock: No such file or directory
            hint: start it (`systemctl start docker`, or `stack engine start` for a private one), or say where it is with `-H` or DOCKER_HOST
        "#]],
    );
}

#[test]
fn a_service_that_nobody_knows_is_refused_before_the_engine_is_asked() {
    check(
        &["up", "-d", "--scale", "nosuch=2"],
        expect![[r#"
        exit 1
        error: no such service: nosuch
    "#]],
    );
}

#[test]
fn a_bad_project_name_is_refused() {
    check(
        &["-p", "Bad.Name", "ps"],
        expect![[r#"
        exit 1
        error: invalid project name "Bad.Name": must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number
    "#]],
    );
}

#[test]
fn a_plan_of_very_many_containers_leaves_reach_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = "services: {web: {image: x, deploy: {replicas: 101}}}\n";
    std::fs::write(folder.path().join("stack.yaml"), file).unwrap();
    let (code, output, error) = run(folder.path(), &["-p", "lab", "plan", "--offline"]);
    assert_eq!(code, 2);
    assert!(!output.contains("reach:"), "{output}");
    assert_eq!(
        error,
        " reach is left out for 101 containers: `stack reach --from SERVICE` tells of one\n"
    );
}

#[test]
fn a_plan_for_an_empty_machine_needs_no_engine() {
    check(
        &["plan", "--offline"],
        expect![[r#"
            exit 2
            lab: 6 steps
              1  + build   image stack-lab      it is not there (stack.yaml:4:3)
              2  + create  network lab_back     it is not there (stack.yaml:18:3)
              3  + create  container lab-db-1   it is not there (stack.yaml:4:3)   after 1, 2
              4  > start   container lab-db-1   it is not there (stack.yaml:4:3)   after 3
              5  + create  container lab-web-1  it is not there (stack.yaml:7:3)   after 1, 2
              6  > start   container lab-web-1  it is not there (stack.yaml:7:3)   after 4 (healthy), 5
            reach: 20 cells open, all of them new; `stack reach` shows them
            `stack up` does it.
        "#]],
    );
}

#[test]
fn a_plan_can_be_of_one_service() {
    check(
        &["plan", "--offline", "db"],
        expect![[r#"
            exit 2
            lab: 4 steps
              1  + pull    image stack-lab     it is not there (stack.yaml:4:3)
              2  + create  network lab_back    it is not there (stack.yaml:18:3)
              3  + create  container lab-db-1  it is not there (stack.yaml:4:3)   after 1, 2
              4  > start   container lab-db-1  it is not there (stack.yaml:4:3)   after 3
            reach: 2 cells open, all of them new; `stack reach` shows them
            `stack up` does it.
        "#]],
    );
}

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
fn output_that_nobody_reads_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stack.yaml"), STACK).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let done = Command::new(env!("CARGO_BIN_EXE_stack"))
        .arg("config")
        .current_dir(folder.path())
        .stdout(writer)
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
}

#[test]
fn completions_are_scripts_of_their_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let text = whole(&["completion", shell]);
        assert!(
            text.starts_with("exit 0\n") && text.len() > 2000,
            "{shell}: {text}"
        );
        assert!(
            text.contains("--no-rollback") || text.contains("no-rollback"),
            "{shell}"
        );
    }
    let text = whole(&["completion", "bash"]);
    assert!(
        text.contains("stack config --services"),
        "bash completes services"
    );
}

#[test]
fn versions_are_told_without_an_engine() {
    let own = env!("CARGO_PKG_VERSION");
    assert_eq!(whole(&["version", "--short"]), format!("exit 0\n{own}\n"));
    assert_eq!(
        whole(&["version"]),
        format!("exit 0\nstack version {own}\nno engine answers\n")
    );
    assert_eq!(whole(&["-v"]), format!("exit 0\nstack {own}\n"));
}

#[test]
fn what_cannot_be_several_is_not_scaled() {
    let folder = tempfile::tempdir().unwrap();
    let file = "name: lab
services:
  one: {image: x, networks: {back: {ipv4_address: 10.9.0.7, mac_address: '02:00:00:00:00:01'}}}
  two: {image: x, container_name: second}
  three: {image: x, ports: ['8080:80'], deploy: {replicas: 1}}
networks:
  back: {ipam: {config: [{subnet: 10.9.0.0/24}]}}
";
    std::fs::write(folder.path().join("stack.yaml"), file).unwrap();
    let scale = [
        "up", "-d", "--scale", "one=2", "--scale", "two=2", "--scale", "three=2",
    ];
    let (code, output, error) = run(folder.path(), &scale);
    expect![[r#"
        exit 1
        error[address-for-replicas]: service `one` has 2 containers and one fixed address, 10.9.0.7
         --> stack.yaml:3:51
          |
        3 |   one: {image: x, networks: {back: {ipv4_address: 10.9.0.7, mac_address: '02:00:00:00:00:01'}}}
          |                                                   ^^^^^^^^ only the first container can have it
         ::: --scale:2:16
          |
        2 |   one: {scale: 2, deploy: {replicas: 2}}
          |                - 2 containers
        hint: remove the address, or run one container of the service

        error[address-for-replicas]: service `one` has 2 containers and one fixed MAC address
         --> stack.yaml:3:74
          |
        3 |   one: {image: x, networks: {back: {ipv4_address: 10.9.0.7, mac_address: '02:00:00:00:00:01'}}}
          |                                                                          ^^^^^^^^^^^^^^^^^^^ only one container can have it
         ::: --scale:2:16
          |
        2 |   one: {scale: 2, deploy: {replicas: 2}}
          |                - 2 containers
        hint: remove the address, or run one container of the service

        error[contradiction]: services.two: can't set container_name and scale as container name must be unique
         --> stack.yaml:4:35
          |
        4 |   two: {image: x, container_name: second}
          |                                   ^^^^^^ one name…
         ::: --scale:3:16
          |
        3 |   two: {scale: 2, deploy: {replicas: 2}}
          |                - …for several containers
        hint: remove container_name: every container then gets a name of its own

        error[port-for-replicas]: service `three` has 2 containers, and one port (8080) of the host is published for all of them
         --> stack.yaml:5:29
          |
        5 |   three: {image: x, ports: ['8080:80'], deploy: {replicas: 1}}
          |                             ^^^^^^^^^ port is already allocated
         ::: --scale:4:18
          |
        4 |   three: {scale: 2, deploy: {replicas: 2}}
          |                  - 2 containers
        hint: publish a range of 2 ports, or leave the host's port out

        4 errors; nothing was changed
    "#]].assert_eq(&format!("exit {code}\n{output}{error}"));
    let (code, _, error) = run(folder.path(), &["scale", "four=2"]);
    assert_eq!(
        (code, error.as_str()),
        (1, "error[no-such-service]: no such service: four\n\n")
    );
    // One of each is no mistake: then the engine is asked, and there is none.
    let (_, _, error) = run(
        folder.path(),
        &["up", "-d", "--scale", "one=1", "--scale", "three=1"],
    );
    assert!(error.starts_with("error: cannot connect to"), "{error}");
}

#[test]
fn a_project_name_of_which_nothing_is_left_gets_an_example() {
    let whole = whole(&["-p", "é", "config"]);
    assert!(whole.contains("hint: such as \"lab\""), "{whole}");
}

#[test]
fn an_empty_machine_has_the_right_and_the_links_that_a_file_needs() {
    let folder = tempfile::tempdir().unwrap();
    let text = "
services:
  a: {image: x, networks: [lan]}
  b: {image: x, networks: [wire]}
networks:
  lan: {driver: macvlan, parent: home, shim: true, ipam: {config: [{subnet: 10.50.0.0/24, gateway: 10.50.0.1}]}}
  wire: {driver: macvlan, parent: eth7, ipam: {config: [{subnet: 10.51.0.0/24}]}}
lans:
  home: {parent: lab0, subnet: 10.50.0.0/24, gateway: 10.50.0.1, hosts: {laptop: 10.50.0.9}}
";
    std::fs::write(folder.path().join("stack.yaml"), text).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_stack"))
        .args(["-p", "t", "plan", "--offline", "--no-reach"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    let plan = String::from_utf8_lossy(&output.stdout);
    expect![[r#"
        t: 10 steps
          1  + pull    image x                 it is not there (stack.yaml:3:3)
          2  + create  lan home                it is not there (stack.yaml:9:3)
          3  + create  network t_lan           it is not there (stack.yaml:6:3)  after 2
          4  + create  network t_wire          it is not there (stack.yaml:7:3)
          5  + create  container t-a-1         it is not there (stack.yaml:3:3)  after 1, 3
          6  > start   container t-a-1         it is not there (stack.yaml:3:3)  after 5
          7  + create  container t-b-1         it is not there (stack.yaml:4:3)  after 1, 4
          8  > start   container t-b-1         it is not there (stack.yaml:4:3)  after 7
          9  + create  shim shim-t-lan         it is not there                   after 2, 3
         10  + create  route shim-t-lan/t-a-1  it is not there                   after 6, 9
        `stack up` does it.
    "#]]
    .assert_eq(&plan);
}
