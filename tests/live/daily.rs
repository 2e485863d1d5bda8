//! What a user does every day beside `up` and `down`, and what is said then.

use std::io::{BufRead, BufReader};

use crate::bed::Bed;
use crate::runner::{Failure, Outcome, Run, Test, holds, same};

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "daily::run_says_what_its_command_says_and_what_it_kept_is_listed",
            run: Run::Host(run),
        },
        Test {
            name: "daily::logs_are_as_compose_shows_them",
            run: Run::Host(logs),
        },
        Test {
            name: "daily::anonymous_volumes_outlive_a_change_and_go_with_their_container",
            run: Run::Host(anonymous),
        },
        Test {
            name: "daily::what_is_missing_for_a_build_is_told_before_anything_is_done",
            run: Run::Host(build_missing),
        },
        Test {
            name: "daily::mistakes_of_the_file_and_of_the_machine_are_told_in_one_run",
            run: Run::Host(both_wrong),
        },
    ]
}

const FILE: &str = "\
name: daily
services:
  db: {image: 'stack-lab:latest', stop_grace_period: 0s}
  web: {image: 'stack-lab:latest', stop_grace_period: 0s, depends_on: [db]}
";

fn run(bed: &Bed) -> Result<Outcome, Failure> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("stack.yaml"), FILE)?;
    let stack = |words: &str| bed.stack(folder.path(), words);
    let seen = || -> Result<(), Failure> {
        stack("up --detach")?.ok()?;
        let ran = stack("run --rm web hostname -s")?;
        same("what `run` says beside", ran.stderr.as_str(), "")?;
        same("what its command says", ran.ok()?.lines().count(), 1)?;
        let ran = stack("run --rm web false")?;
        same("the command's exit code", ran.code, Some(1))?;
        // What it needs and does not run is started, and told.
        stack("stop db")?.ok()?;
        let ran = stack("run web true")?;
        same(
            "what `run` says of what it starts",
            ran.stderr.as_str(),
            " Container daily-db-1 Starting\n Container daily-db-1 Started\n",
        )?;
        ran.ok()?;
        let names = |words: &str| -> Result<Vec<String>, Failure> {
            let listed = stack(words)?.ok()?;
            let mut names: Vec<String> = listed
                .split_whitespace()
                .map(|name| match name.split_once("-run-") {
                    Some((of, _)) => format!("{of}-run"),
                    None => name.to_owned(),
                })
                .collect();
            names.sort();
            Ok(names)
        };
        let made = ["daily-db-1", "daily-web-1", "daily-web-run"];
        same(
            "`ps --all`",
            names("ps --all --format {{.Name}}")?,
            made.map(str::to_owned).to_vec(),
        )?;
        same(
            "`ps`",
            names("ps --format {{.Name}}")?,
            made[..2].iter().map(|name| (*name).to_owned()).collect(),
        )
    };
    let seen = seen();
    stack("down")?.ok()?;
    seen?;
    Ok(Outcome::Passed)
}

const TALKERS: &str = "\
name: talk
services:
  one:
    image: stack-lab:latest
    stop_grace_period: 0s
    command: sh -c 'for i in 1 2 3; do echo first $$i; done; exec sleep 1000'
  other:
    image: stack-lab:latest
    stop_grace_period: 0s
    command: sh -c 'echo second 1 >&2; exec sleep 1000'
";

fn logs(bed: &Bed) -> Result<Outcome, Failure> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("stack.yaml"), TALKERS)?;
    let stack = |words: &str| bed.stack(folder.path(), words);
    let seen = || -> Result<(), Failure> {
        stack("up --detach")?.ok()?;
        let said = |words: &str| -> Result<Vec<String>, Failure> {
            let said = stack(words)?.ok()?;
            let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
            lines.sort();
            Ok(lines)
        };
        same(
            "`logs`: names are padded to one width",
            said("logs")?,
            [
                "one-1    | first 1",
                "one-1    | first 2",
                "one-1    | first 3",
                "other-1  | second 1",
            ]
            .map(str::to_owned)
            .to_vec(),
        )?;
        same(
            "`--tail`",
            said("logs --tail 1 --no-log-prefix one")?,
            vec!["first 3".to_owned()],
        )?;
        same(
            "`--since` the future",
            said("logs --since 2100-01-01T00:00:00Z")?,
            vec![],
        )?;
        same(
            "`--until` the past",
            said("logs --until 2000-01-01T00:00:00Z")?,
            vec![],
        )?;
        let stamped = said("logs --timestamps other")?.join("\n");
        let time = stamped
            .trim_start_matches("other-1  | ")
            .trim_end_matches(" second 1");
        holds(
            &format!("`--timestamps`: {stamped}"),
            time.parse::<jiff::Timestamp>().is_ok(),
        )?;
        // Following goes on through a restart and with a new container, and ends when all containers have.
        let mut follow = bed.spawn_stack(folder.path(), "logs --follow --tail 1")?;
        let output = follow.stdout.take().ok_or("no output")?;
        let mut lines = BufReader::new(output).lines();
        let mut heard: Vec<String> = lines.by_ref().take(2).collect::<Result<_, _>>()?;
        stack("restart other")?.ok()?;
        heard.extend(lines.by_ref().take(1).collect::<Result<Vec<_>, _>>()?);
        stack("up --detach --scale other=2")?.ok()?;
        heard.extend(lines.by_ref().take(1).collect::<Result<Vec<_>, _>>()?);
        bed.docker("kill talk-one-1 talk-other-1 talk-other-2")?;
        heard.extend(lines.collect::<Result<Vec<_>, _>>()?);
        same(
            "the exit code of `--follow`",
            follow.wait()?.code(),
            Some(0),
        )?;
        heard[..2].sort();
        same(
            "what is heard",
            heard.iter().map(String::as_str).collect::<Vec<_>>(),
            vec![
                "one-1    | first 3",
                "other-1  | second 1",
                "other-1  | second 1",
                "other-2  | second 1",
            ],
        )
    };
    let seen = seen();
    stack("down")?.ok()?;
    seen?;
    Ok(Outcome::Passed)
}

fn anonymous(bed: &Bed) -> Result<Outcome, Failure> {
    let folder = tempfile::tempdir()?;
    let write = |greeting: &str| {
        std::fs::write(
            folder.path().join("stack.yaml"),
            format!(
                "\
name: nameless
services:
  web:
    image: stack-lab:latest
    stop_grace_period: 0s
    environment: {{GREETING: {greeting}}}
    volumes: [/kept]
"
            ),
        )
    };
    let stack = |words: &str| bed.stack(folder.path(), words);
    let volumes = || -> Result<usize, Failure> {
        let listed = bed.docker("volume ls --quiet")?;
        Ok(listed.lines().count())
    };
    let before = volumes()?;
    for removal in ["down --volumes", "rm --stop --force --volumes"] {
        let seen = || -> Result<(), Failure> {
            write("hello")?;
            stack("up --detach")?.ok()?;
            stack("exec web touch /kept/file")?.ok()?;
            write("hullo")?;
            let said = stack("up --detach")?;
            holds("it is made anew", said.stderr.contains("Recreate"))?;
            said.ok()?;
            stack("exec web test -e /kept/file")?.ok()?;
            same("volumes of one container", volumes()?, before + 1)
        };
        let seen = seen();
        stack(removal)?.ok()?;
        let left = volumes();
        stack("down --volumes")?.ok()?;
        seen?;
        same(removal, left?, before)?;
    }
    Ok(Outcome::Passed)
}

fn build_missing(bed: &Bed) -> Result<Outcome, Failure> {
    let folder = tempfile::tempdir()?;
    let write = |services: &str| {
        let file = folder.path().join("stack.yaml");
        std::fs::write(file, format!("name: daily\nservices:\n{services}"))
    };
    write("  web: {image: stack-lab, network_mode: none, stop_grace_period: 0s}\n")?;
    bed.stack(folder.path(), "up --detach")?.ok()?;
    write(
        "  web: {image: other, build: ./nope, network_mode: none, stop_grace_period: 0s}
  new: {build: {context: ., dockerfile: none}, networks: [n]}
networks: {n: {}}
",
    )?;
    let seen = bed.stack(folder.path(), "up --detach");
    let ps = bed.docker("ps --format {{.Names}}:{{.Image}} --filter name=daily");
    bed.stack(folder.path(), "down")?.ok()?;
    let said = seen?.fails_with(1)?;
    holds(
        &format!("both are told, with their places: {said}"),
        [
            "nope is not a folder",
            "stack.yaml:3:",
            "there is no Dockerfile",
            "stack.yaml:4:",
        ]
        .iter()
        .all(|part| said.contains(part)),
    )?;
    holds(
        &format!("nothing was begun: {said}"),
        said.trim_end().ends_with("nothing was changed"),
    )?;
    same("what runs still", ps?.trim(), "daily-web-1:stack-lab")?;
    Ok(Outcome::Passed)
}

fn both_wrong(bed: &Bed) -> Result<Outcome, Failure> {
    let folder = tempfile::tempdir()?;
    let text = "name: daily
services:
  web: {image: stack-lab, prots: ['80:80'], networks: [lan, odd, gone]}
networks:
  lan: {driver: macvlan, parent: nolink7, ipam: {config: [{subnet: 10.99.0.0/33}]}}
  odd: {driver: nosuch}
  gone: {external: true, name: daily-gone}
";
    std::fs::write(folder.path().join("stack.yaml"), text)?;
    let before = bed.docker("network ls --quiet")?;
    for words in ["up --detach", "plan", "create"] {
        let said = bed.stack(folder.path(), words)?.fails_with(1)?;
        for (part, place) in [
            ("unknown key `prots`", "stack.yaml:3:27"),
            ("10.99.0.0/33", "stack.yaml:5:"),
            ("there is no link `nolink7`", "stack.yaml:5:"),
            ("nosuch", "stack.yaml:6:"),
            ("daily-gone", "stack.yaml:7:"),
        ] {
            holds(
                &format!("`{words}` tells `{part}` at {place}: {said}"),
                said.contains(part) && said.contains(place),
            )?;
        }
        holds(
            &format!("`{words}` ends with it: {said}"),
            said.ends_with("nothing was changed\n"),
        )?;
    }
    same("the networks", bed.docker("network ls --quiet")?, before)?;
    // From the file alone the machine has no say.
    let offline = bed.stack(folder.path(), "plan --offline")?.fails_with(1)?;
    holds(
        &format!("`plan --offline` looks at no machine: {offline}"),
        !offline.contains("on this machine"),
    )?;
    Ok(Outcome::Passed)
}
