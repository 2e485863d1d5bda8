//! `stack check` on a running stack: in order, with changes between checks, as text, JSON and JUnit, and the self-test of a
//! lesson whose checks must not pass before anything was done.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bed::Bed;
use crate::runner::{Failure, Outcome, Run, Test, holds, same, soon};

const STACK: &str = "
name: chk
x-base: &base {image: 'stack-lab:latest', stop_grace_period: 0s}
services:
  web: {<<: *base, networks: [front], command: httpd -f -p 80 -h /www, ports: ['8231:80']}
  app: {<<: *base, networks: [front]}
  db: {<<: *base, networks: [back], command: httpd -f -p 80 -h /www}
networks:
  front: {ipam: {config: [{subnet: 10.231.0.0/24}]}}
  back: {ipam: {config: [{subnet: 10.232.0.0/24}]}}
checks:
  - {name: app asks web, from: app, to: web, port: 80, expect: ok, within: 10s, via: front}
  - {name: networks are apart, from: app, to: db, port: 80, expect: unreachable}
  - {name: by its reason, from: app, to: db, port: 80, expect: NAME_OTHER_NETWORK}
  - {name: a warning, from: app, to: db, port: 80, expect: ok, level: warning}
  - {name: web is gone, from: host, to: 127.0.0.1, port: 8231, expect: unreachable, after: [{stop: web}]}
  - {name: web is back, from: app, to: web, port: 80, within: 10s, after: [{start: web}]}
  - {name: and again, from: host, to: 127.0.0.1, port: 8231, within: 10s, after: [{restart: web}]}
  - {name: apart no more, from: app, to: db, port: 80, within: 10s, after: [{connect: app, network: back}]}
  - {name: apart again, from: app, to: db, port: 80, expect: NAME_OTHER_NETWORK, after: [{disconnect: app, network: back}]}
";

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "check::asks_in_order_with_changes_between",
            run: Run::Host(in_order),
        },
        Test {
            name: "check::ends_at_ctrl_c_after_a_change",
            run: Run::Host(interrupted),
        },
    ]
}

fn in_order(bed: &Bed) -> Result<Outcome, Failure> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("stack.yaml");
    std::fs::write(&path, STACK)?;
    let named = format!("-f {}", path.display());
    let done = bed
        .stack(folder.path(), &format!("{named} up -d"))
        .and_then(|ran| ran.ok())
        .and_then(|_| asked(bed, folder.path(), &named));
    bed.stack(folder.path(), &format!("{named} down"))?.ok()?;
    done?;
    // Of a stack that is not there one check passes all the same, and that one proves nothing: it is told.
    let gone = bed.stack(
        folder.path(),
        &format!("{named} check --must-fail-untouched"),
    )?;
    let told: Vec<&str> = gone
        .stderr
        .lines()
        .filter(|line| line.ends_with("although nothing was done"))
        .collect();
    same(
        "what passes untouched",
        told,
        vec!["`web is gone` passes although nothing was done"],
    )?;
    same("its code", gone.code, Some(1))?;
    Ok(Outcome::Passed)
}

fn asked(bed: &Bed, folder: &Path, named: &str) -> Result<(), Failure> {
    let ran = bed.stack(folder, &format!("{named} check --format json"))?;
    let answer: Value = serde_json::from_str(&ran.stdout)
        .map_err(|error| format!("{error}: {}{}", ran.stdout, ran.stderr))?;
    let results: Vec<(&str, &str)> = answer["checks"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|check| {
            let text = |key: &str| check[key].as_str().unwrap_or("-");
            (text("name"), text("result"))
        })
        .collect();
    same(
        &format!("all results:\n{}", ran.stdout),
        results,
        vec![
            ("app asks web", "pass"),
            ("networks are apart", "pass"),
            ("by its reason", "pass"),
            ("a warning", "warning"),
            ("web is gone", "pass"),
            ("web is back", "pass"),
            ("and again", "pass"),
            ("apart no more", "pass"),
            ("apart again", "pass"),
        ],
    )?;
    same("a warning is code 3", ran.code, Some(3))?;
    let ran = bed.stack(folder, &format!("{named} check --format junit"))?;
    holds(
        &format!("JUnit counts:\n{}", ran.stdout),
        ran.stdout
            .contains("tests=\"9\" failures=\"0\" errors=\"0\""),
    )?;
    let ran = bed.stack(folder, &format!("{named} check --must-fail-untouched"))?;
    same("checks that pass untouched are told", ran.code, Some(1))
}

const ENDLESS: &str = "
name: chkend
services:
  web: {image: 'stack-lab:latest', stop_grace_period: 0s}
checks:
  - {name: never, from: host, to: web, port: 81, within: 60s, after: [{restart: web}]}
";

fn interrupted(bed: &Bed) -> Result<Outcome, Failure> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("stack.yaml");
    std::fs::write(&path, ENDLESS)?;
    let named = format!("-f {}", path.display());
    bed.stack(folder.path(), &format!("{named} up -d"))?.ok()?;
    let started = || bed.docker("inspect --format {{.State.StartedAt}} chkend-web-1");
    let before = started()?;
    let mut asking = bed.spawn_stack(folder.path(), &format!("{named} check"))?;
    let changed = soon("the change", Duration::from_secs(20), || {
        Ok(started()? != before)
    });
    // The change may still be told of; what follows is the waiting.
    std::thread::sleep(Duration::from_millis(500));
    let id = nix::unistd::Pid::from_raw(asking.id().try_into()?);
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGINT)?;
    let asked = Instant::now();
    let code = asking.wait()?.code();
    let took = asked.elapsed();
    bed.stack(folder.path(), &format!("{named} down"))?.ok()?;
    changed?;
    same("the code of Ctrl+C", code, Some(130))?;
    holds(
        &format!("it ends at once and not after a minute: {took:?}"),
        took < Duration::from_secs(10),
    )?;
    Ok(Outcome::Passed)
}
