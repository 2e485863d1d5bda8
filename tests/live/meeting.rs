//! Two commands on one project: an `up` that stays and a `down` from elsewhere, and a command that comes right after one
//! that was killed.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::bed::Bed;
use crate::runner::{Failure, Outcome, Run, Test, holds, same, soon};

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "meeting::an_up_that_stays_lets_others_change_the_project_and_ends_with_its_containers",
            run: Run::Host(down_under_up),
        },
        Test {
            name: "meeting::an_up_that_stays_outlives_a_restart_and_stops_all_when_its_terminal_ends",
            run: Run::Host(hangup),
        },
        Test {
            name: "meeting::an_up_right_after_a_killed_down_waits_for_what_that_had_begun",
            run: Run::Host(after_killed_down),
        },
        Test {
            name: "meeting::a_wait_has_an_end_while_a_dependency_is_waited_for_too",
            run: Run::Host(wait_timeout),
        },
        Test {
            name: "meeting::what_one_service_held_passes_to_another",
            run: Run::Host(passes_on),
        },
        Test {
            name: "meeting::a_program_that_is_not_there_ends_run_with_127",
            run: Run::Host(no_program),
        },
    ]
}

fn folder(text: &str) -> Result<(TempDir, PathBuf), Failure> {
    let temporary = tempfile::tempdir()?;
    let path = temporary.path().to_owned();
    std::fs::write(path.join("stack.yaml"), text)?;
    Ok((temporary, path))
}

fn signal(child: &Child, signal: Signal) -> Result<(), Failure> {
    Ok(kill(Pid::from_raw(i32::try_from(child.id())?), signal)?)
}

const TWO: &str = "name: meeting
services:
  one: {image: stack-lab, command: sh -c 'echo here; exec sleep 1000', network_mode: none, stop_grace_period: 0s}
  two: {image: stack-lab, command: sleep 1000, network_mode: none, stop_grace_period: 0s}
";

/// An `up` that stays, once it follows.
fn following(bed: &Bed, folder: &std::path::Path) -> Result<Child, Failure> {
    let mut up = bed.spawn_stack(folder, "--progress plain up")?;
    let errors = up.stderr.take().ok_or("no standard error")?;
    std::thread::spawn(move || BufReader::new(errors).lines().for_each(drop));
    let output = up.stdout.take().ok_or("no standard output")?;
    let mut lines = BufReader::new(output).lines();
    for line in lines.by_ref() {
        if line?.contains("here") {
            break;
        }
    }
    std::thread::spawn(move || lines.for_each(drop));
    Ok(up)
}

fn down_under_up(bed: &Bed) -> Result<Outcome, Failure> {
    let (_temporary, path) = folder(TWO)?;
    let mut up = following(bed, &path)?;
    let down = bed.stack(&path, "down");
    let ended = soon(
        "`up` ends with its containers",
        Duration::from_secs(20),
        || Ok(up.try_wait()?.is_some()),
    );
    if ended.is_err() {
        up.kill()?;
    }
    let code = up.wait()?.code();
    down?.ok()?;
    ended?;
    same("the exit code of `up`", code, Some(0))?;
    Ok(Outcome::Passed)
}

fn hangup(bed: &Bed) -> Result<Outcome, Failure> {
    let (_temporary, path) = folder(TWO)?;
    let mut up = following(bed, &path)?;
    let restarted = bed.stack(&path, "restart")?;
    let still = up.try_wait()?.is_none();
    signal(&up, Signal::SIGHUP)?;
    let code = up.wait()?.code();
    let running = bed.docker("ps --quiet --filter name=meeting");
    bed.stack(&path, "down")?.ok()?;
    restarted.ok()?;
    holds("`up` is still there after a restart", still)?;
    same("the exit code of `up`", code, Some(130))?;
    same("what runs after its terminal ended", running?.trim(), "")?;
    Ok(Outcome::Passed)
}

fn after_killed_down(bed: &Bed) -> Result<Outcome, Failure> {
    let mut text = "name: meeting\nservices:\n".to_owned();
    for number in 0..10 {
        text += &format!(
            "  s{number}: {{image: stack-lab, command: sh -c 'trap \"\" TERM; sleep 1000', network_mode: none, stop_grace_period: 3s}}\n"
        );
    }
    let (_temporary, path) = folder(&text)?;
    bed.stack(&path, "up -d")?.ok()?;
    let mut down = bed.spawn_stack(&path, "--progress plain down")?;
    let errors = down.stderr.take().ok_or("no standard error")?;
    let mut lines = BufReader::new(errors).lines();
    // The engine has been asked for several when the killing begins.
    for line in lines.by_ref().take(8) {
        line?;
    }
    down.kill()?;
    down.wait()?;
    let up = bed.stack(&path, "up -d")?;
    let running = bed.docker("ps --quiet --filter name=meeting")?;
    // What the engine was still at would end some of them now.
    std::thread::sleep(Duration::from_secs(4));
    let later = bed.docker("ps --quiet --filter name=meeting")?;
    bed.stack(&path, "down")?.ok()?;
    let said = up.stderr.clone();
    up.ok()?;
    holds(
        &format!("it waits for what was begun; it said\n{said}"),
        said.contains("waiting for what it had begun"),
    )?;
    same(
        &format!("how many run; it said\n{said}"),
        (running.lines().count(), later.lines().count()),
        (10, 10),
    )?;
    Ok(Outcome::Passed)
}

fn wait_timeout(bed: &Bed) -> Result<Outcome, Failure> {
    let (_temporary, path) = folder(
        "name: meeting
services:
  a: {image: stack-lab, command: sleep 1000, network_mode: none, stop_grace_period: 0s,
      healthcheck: {test: 'false', interval: 1s, retries: 1000}}
  b: {image: stack-lab, command: sleep 1000, network_mode: none, depends_on: {a: {condition: service_healthy}}}
",
    )?;
    let up = bed.stack(&path, "up --wait --wait-timeout 2")?;
    bed.stack(&path, "down")?.ok()?;
    let said = up.fails_with(1)?;
    holds(
        &format!("it tells how long it has waited; it said\n{said}"),
        said.contains("after 2 s"),
    )?;
    Ok(Outcome::Passed)
}

fn passes_on(bed: &Bed) -> Result<Outcome, Failure> {
    let of = |one: &str, two: &str, service: &str| {
        format!(
            "name: meeting
services:
  a: {{image: stack-lab, command: sleep 1000, network_mode: none, stop_grace_period: 0s, container_name: {one}}}
  b: {{image: stack-lab, command: sleep 1000, network_mode: none, stop_grace_period: 0s, container_name: {two}}}
  {service}:
    image: stack-lab
    command: sleep 1000
    stop_grace_period: 0s
    container_name: meeting-box
    ports: ['127.0.0.1:18099:80']
    networks: {{net: {{ipv4_address: 10.93.7.9}}}}
networks: {{net: {{ipam: {{config: [{{subnet: 10.93.7.0/24}}]}}}}}}
"
        )
    };
    let (_temporary, path) = folder(&of("meeting-x", "meeting-y", "old"))?;
    bed.stack(&path, "up -d")?.ok()?;
    std::fs::write(path.join("stack.yaml"), of("meeting-y", "meeting-x", "new"))?;
    let refused = bed.stack(&path, "up -d")?;
    let up = bed.stack(&path, "up -d --remove-orphans")?;
    let names = bed.docker("ps --format {{.Names}} --filter name=meeting-")?;
    let plan = bed.stack(&path, "plan")?;
    bed.stack(&path, "down")?.ok()?;
    let said = refused.fails_with(1)?;
    holds(
        &format!("the orphan is told with its remedy; it said\n{said}"),
        said.contains("meeting-box") && said.contains("--remove-orphans"),
    )?;
    up.ok()?;
    let mut names: Vec<&str> = names.lines().collect();
    names.sort_unstable();
    same(
        "what runs",
        names,
        vec!["meeting-box", "meeting-x", "meeting-y"],
    )?;
    same("the exit code of `plan`", plan.code, Some(0))?;
    Ok(Outcome::Passed)
}

fn no_program(bed: &Bed) -> Result<Outcome, Failure> {
    let (_temporary, path) = folder(TWO)?;
    let missing = bed.stack(&path, "run --rm one /nothing/here")?;
    let folder = bed.stack(&path, "run --rm one /etc")?;
    let service = bed.stack(&path, "run --rm oen true")?;
    bed.stack(&path, "down")?.ok()?;
    missing.fails_with(127)?;
    folder.fails_with(126)?;
    let said = service.fails_with(1)?;
    holds(
        &format!("the service is told; it said\n{said}"),
        said.contains("no such service: oen") && said.contains("did you mean `one`?"),
    )?;
    Ok(Outcome::Passed)
}
