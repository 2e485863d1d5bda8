//! What is said without a file: help, completion, versions.

use std::process::Command;

use expect_test::expect;

use super::{STACK, check, whole};

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
