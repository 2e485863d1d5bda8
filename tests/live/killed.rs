//! What happens when `stack` dies or meets itself on a real engine: killed with `kill -9` in the middle of `up` and of
//! `down`, the next command finishes or undoes it, and the host is as before. On the world in memory every step of every
//! example dies like that; here a few points of the main example and of a live change show that engines agree.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::bed::Bed;
use crate::runner::{Failure, Outcome, Run, Test, holds, repository, same, soon};

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "killed::a_main_example_killed_anywhere_leaves_nothing_in_the_end",
            run: Run::Host(killed_anywhere),
        },
        Test {
            name: "killed::two_ups_at_once_make_one_stack",
            run: Run::Host(two_at_once),
        },
        Test {
            name: "killed::a_second_change_of_a_subnet_that_was_killed_is_taken_back",
            run: Run::Host(second_change),
        },
        Test {
            name: "killed::what_cannot_be_taken_back_blocks_neither_up_nor_down",
            run: Run::Host(stuck),
        },
        Test {
            name: "killed::a_journal_that_cannot_be_understood_is_told_and_forgotten_by_down",
            run: Run::Host(unreadable),
        },
        Test {
            name: "killed::a_fixed_mac_address_survives_a_change_that_was_killed",
            run: Run::Host(fixed_mac),
        },
        Test {
            name: "killed::beside_an_agent_runs_are_finished_or_taken_back_all_the_same",
            run: Run::Host(beside_an_agent),
        },
        Test {
            name: "killed::up_that_waits_for_a_container_that_ends_fails_and_keeps_it",
            run: Run::Host(waits_in_vain),
        },
        Test {
            name: "killed::up_that_waits_tells_what_is_paused_and_what_does_not_stay_up",
            run: Run::Host(waits_for_paused_and_crashing),
        },
    ]
}

/// A folder with a stack file in it.
struct Folder<'a> {
    bed: &'a Bed,
    path: PathBuf,
    _temporary: TempDir,
}

impl Folder<'_> {
    fn of<'a>(bed: &'a Bed, text: &str) -> Result<Folder<'a>, Failure> {
        let temporary = tempfile::tempdir()?;
        std::fs::write(temporary.path().join("stack.yaml"), text)?;
        Ok(Folder {
            bed,
            path: temporary.path().to_owned(),
            _temporary: temporary,
        })
    }

    /// Runs `stack`, which has to succeed; what it says.
    fn stack(&self, words: &str) -> Result<String, Failure> {
        let ran = self.bed.stack(&self.path, words)?;
        let said = ran.stderr.clone();
        ran.ok()
            .map_err(|failure| format!("`stack {words}`: {failure}"))?;
        Ok(said)
    }

    fn replace(&self, from: &str, to: &str) -> Result<(), Failure> {
        let file = self.path.join("stack.yaml");
        let text = std::fs::read_to_string(&file)?;
        Ok(std::fs::write(&file, text.replace(from, to))?)
    }

    /// Kills `stack` when it has told so many lines of progress, or one that begins so.
    fn killed(&self, words: &str, at: At) -> Result<(), Failure> {
        killed(self.bed, &self.path, words, at)
    }
}

/// When a process is killed.
#[derive(Debug, Clone, Copy)]
enum At {
    Lines(usize),
    Told(&'static str),
}

fn killed(bed: &Bed, folder: &Path, words: &str, at: At) -> Result<(), Failure> {
    let mut child = bed.spawn_stack(folder, &format!("--progress plain {words}"))?;
    let mut told = String::new();
    let pipe = child.stderr.take().ok_or("no standard error")?;
    let mut lines = BufReader::new(pipe).lines();
    let mut count = 0;
    loop {
        let is_time = match at {
            At::Lines(wanted) => count >= wanted,
            At::Told(start) => told
                .lines()
                .last()
                .is_some_and(|line| line.trim_start().starts_with(start)),
        };
        if is_time {
            break;
        }
        let Some(line) = lines.next() else {
            return Err(format!("`stack {words}` ended before {at:?}; it told\n{told}").into());
        };
        told += &format!("{}\n", line?);
        count += 1;
    }
    child.kill()?;
    child.wait()?;
    Ok(())
}

fn killed_anywhere(bed: &Bed) -> Result<Outcome, Failure> {
    let folder = repository().join("examples/main");
    let stack = |words: &str| bed.stack(&folder, words)?.ok();
    let before = bed.host()?;
    let unharmed = |when: &str| -> Result<(), Failure> {
        let left = before.difference(&bed.host()?);
        same(&format!("what is left after {when}"), left.as_str(), "")
    };
    // The progress of an `up` has 36 lines, that of a `down` 22. After some deaths `down` comes next and after others `up`.
    for at in [1, 11, 19, 30] {
        killed(bed, &folder, "up --detach", At::Lines(at))?;
        stack("down")?;
        unharmed(&format!("`up` killed at line {at} and `down`"))?;
    }
    for (up, down) in [(16, 4), (25, 13)] {
        killed(bed, &folder, "up --detach", At::Lines(up))?;
        stack("up --detach")?;
        let plan = bed.stack(&folder, "plan")?;
        same("the exit code of `plan` after `up`", plan.code, Some(0))?;
        killed(bed, &folder, "down", At::Lines(down))?;
        // Without the file, as it may be gone.
        bed.stack(Path::new("/"), "--project-name main down")?
            .ok()?;
        unharmed(&format!("`up` killed at line {up}, `down` at line {down}"))?;
    }
    Ok(Outcome::Passed)
}

/// The agent is there all the time. It finds a lock that the kernel took from a dead hand, and what it restores must not
/// be what the next run takes back.
fn beside_an_agent(bed: &Bed) -> Result<Outcome, Failure> {
    let folder = repository().join("examples/main");
    let stack = |words: &str| bed.stack(&folder, words)?.ok();
    let mut agent = bed.spawn_stack(&folder, "agent")?;
    let pid = Pid::from_raw(i32::try_from(agent.id())?);
    let mut said = String::new();
    let mut ear = BufReader::new(agent.stderr.take().ok_or("no standard error")?);
    ear.read_line(&mut said)?;
    let before = bed.host()?;
    let rounds = || -> Result<(), Failure> {
        for at in [1, 8, 16, 30] {
            killed(bed, &folder, "up --detach", At::Lines(at))?;
            stack("up --detach")?;
            let plan = bed.stack(&folder, "plan")?;
            same(
                &format!("the exit code of `plan` after `up` killed at line {at} and `up`"),
                plan.code,
                Some(0),
            )?;
            killed(bed, &folder, "down", At::Lines(at / 2 + 1))?;
            stack("down")?;
            let left = before.difference(&bed.host()?);
            same(
                &format!("what is left after `down` killed and `down`, round {at}"),
                left.as_str(),
                "",
            )?;
        }
        Ok(())
    };
    let seen = rounds();
    kill(pid, Signal::SIGTERM)?;
    ear.read_to_string(&mut said)?;
    same("the exit code of the agent", agent.wait()?.code(), Some(0))?;
    seen.map_err(|failure| format!("{failure}\nthe agent said:\n{said}"))?;
    Ok(Outcome::Passed)
}

fn two_at_once(bed: &Bed) -> Result<Outcome, Failure> {
    let folder = Folder::of(bed, &changing(1))?;
    let spawned = || -> Result<(Child, BufReader<ChildStderr>), Failure> {
        let mut child = bed.spawn_stack(&folder.path, "--progress plain up --detach")?;
        let pipe = child.stderr.take().ok_or("no standard error")?;
        Ok((child, BufReader::new(pipe)))
    };
    // The first is held in the middle until the second has said that it waits.
    let mut told = [String::new(), String::new()];
    let mut first = spawned()?;
    first.1.read_line(&mut told[0])?;
    let pid = Pid::from_raw(i32::try_from(first.0.id())?);
    kill(pid, Signal::SIGSTOP)?;
    let mut second = spawned()?;
    second.1.read_line(&mut told[1])?;
    kill(pid, Signal::SIGCONT)?;
    let told: Vec<(Option<i32>, String)> = [first, second]
        .into_iter()
        .zip(told)
        .map(|((mut child, mut pipe), mut text)| {
            pipe.read_to_string(&mut text)?;
            Ok((child.wait()?.code(), text))
        })
        .collect::<Result<_, Failure>>()?;
    let names =
        bed.docker("ps --format {{.Names}} --filter label=com.docker.compose.project=changing")?;
    folder.stack("down")?;
    for (code, text) in &told {
        same(
            &format!("the exit code of one that told\n{text}"),
            *code,
            Some(0),
        )?;
    }
    let waited = told
        .iter()
        .filter(|(_, text)| text.contains("Waiting for `stack up` on the project `changing`"));
    let idle = told
        .iter()
        .filter(|(_, text)| text.contains("nothing to do"));
    same(
        "how many had to wait, and how many had nothing to do",
        (waited.count(), idle.count()),
        (1, 1),
    )?;
    let mut names: Vec<&str> = names.lines().collect();
    names.sort_unstable();
    same(
        "the containers",
        names,
        vec!["changing-fixed-1", "changing-free-1"],
    )?;
    Ok(Outcome::Passed)
}

/// A stack whose network can be moved: one container with a fixed address, one without.
fn changing(number: usize) -> String {
    format!(
        "name: changing
networks:
  net: {{ipam: {{config: [{{subnet: 10.91.{number}.0/24}}]}}}}
services:
  fixed: {{image: stack-lab, stop_grace_period: 0s, networks: {{net: {{ipv4_address: 10.91.{number}.9, aliases: [nine]}}}}}}
  free: {{image: stack-lab, stop_grace_period: 0s, networks: [net]}}
"
    )
}

fn address(bed: &Bed, container: &str) -> Result<String, Failure> {
    let template = "{{range.NetworkSettings.Networks}}{{.IPAddress}}{{.MacAddress}}{{end}}";
    let text = bed.docker(&format!("inspect --format {template} {container}"))?;
    Ok(text.trim().to_owned())
}

/// Services that keep an `up` going: one waits for the other, whose health is first asked in an hour.
const WAITING: &str =
    "  slow: {image: stack-lab, network_mode: none, healthcheck: {test: 'true', interval: 1h}}
  late: {image: stack-lab, network_mode: none, depends_on: {slow: {condition: service_healthy}}}
";

fn second_change(bed: &Bed) -> Result<Outcome, Failure> {
    for at in [
        "Endpoint changing-fixed-1/changing_net Disconnected",
        "Network changing_net Created",
        "Endpoint changing-fixed-1/changing_net Connected",
    ] {
        let folder = Folder::of(bed, &changing(1))?;
        folder.stack("up --detach")?;
        folder.replace("10.91.1.", "10.91.2.")?;
        folder.stack("up --detach")?;
        folder.replace("10.91.2.", "10.91.3.")?;
        folder.replace("services:\n", &format!("services:\n{WAITING}"))?;
        folder.killed("up --detach", At::Told(at))?;
        folder.replace(WAITING, "")?;
        // A command that changes nothing by itself takes it back.
        let said = folder.stack("start");
        let seen = address(bed, "changing-fixed-1");
        folder.stack("down")?;
        let said = said?;
        holds(
            &format!("killed at `{at}`, it is taken back; it said\n{said}"),
            said.contains("taking it back first") && !said.contains("left:"),
        )?;
        holds(
            &format!("killed at `{at}`, the address is that of the first change: {seen:?}"),
            seen?.starts_with("10.91.2.9"),
        )?;
    }
    Ok(Outcome::Passed)
}

fn stuck(bed: &Bed) -> Result<Outcome, Failure> {
    let begin = || -> Result<Folder, Failure> {
        let folder = Folder::of(bed, &changing(1))?;
        folder.stack("up --detach")?;
        folder.replace("10.91.1.", "10.91.2.")?;
        folder.killed("up --detach", At::Told("Network changing_net Created"))?;
        // The old subnet is taken meanwhile, so the old network cannot come back.
        bed.docker("network create --subnet 10.91.1.0/24 thief")?;
        Ok(folder)
    };
    let folder = begin()?;
    let up = folder.stack("up --detach");
    let seen = address(bed, "changing-fixed-1");
    let plan = bed.stack(&folder.path, "plan")?.code;
    let down = folder.stack("down");
    bed.docker("network rm thief")?;
    let up = up?;
    down?;
    holds(
        &format!("`up` tells what it cannot take back; it said\n{up}"),
        up.contains("left: ") && up.contains("going on from what is there"),
    )?;
    holds(
        &format!("`up` goes on: {seen:?}"),
        seen?.starts_with("10.91.2.9"),
    )?;
    same("the exit code of `plan`", plan, Some(0))?;

    let folder = begin()?;
    let down = folder.stack("down");
    let names = bed.docker("ps --all --format {{.Names}} --filter name=changing");
    bed.docker("network rm thief")?;
    holds("`down` brings nothing back", !down?.contains("left: "))?;
    same("what is left", names?.trim(), "")?;
    Ok(Outcome::Passed)
}

fn unreadable(bed: &Bed) -> Result<Outcome, Failure> {
    let before = bed.host()?;
    for (change, told) in [
        // A disk that broke.
        ("1s/^.\\{20\\}/garbage/", "line 1 of the journal"),
        ("2s/.*/garbage/", "line 2 of the journal"),
        // A program of another time.
        ("1s/:1,/:9,/", "another version of this program"),
    ] {
        let folder = Folder::of(bed, &changing(1))?;
        folder.killed("up --detach", At::Told("Network changing_net Created"))?;
        let journal = bed.run("find /run/stack -name *.journal")?;
        let journal = journal.trim();
        bed.run(&format!("sed -i {change} {journal}"))?;
        let shown = bed.stack(&folder.path, "journal")?;
        let up = bed.stack(&folder.path, "up --detach")?;
        let down = bed.stack(&folder.path, "down")?;
        for (command, said) in [
            ("journal", format!("{}{}", shown.stdout, shown.stderr)),
            ("up", up.stderr),
            ("down", down.stderr.clone()),
        ] {
            holds(
                &format!("`{command}` after {change} tells `{told}`; it said\n{said}"),
                said.contains(told) && said.contains(journal),
            )?;
        }
        same("the exit code of `up`", up.code, Some(1))?;
        down.ok()?;
        let left = before.difference(&bed.host()?);
        same("what is left after `down`", left.as_str(), "")?;
    }
    Ok(Outcome::Passed)
}

fn fixed_mac(bed: &Bed) -> Result<Outcome, Failure> {
    let text = changing(1).replace("aliases: [nine]", "mac_address: '02:42:0a:5b:00:09'");
    // Engines 25 to 29.2 take no MAC address for a container that is there already: what was cut is told, and the next `up`
    // makes the container anew.
    let api = bed.docker("version --format {{.Server.APIVersion}}")?;
    let minor: u32 = api.trim().trim_start_matches("1.").parse()?;
    let is_lost = (44..54).contains(&minor);
    for at in [
        "Network changing_net Removed",
        "Network changing_net Created",
        "Container changing-fixed-1 Recreated",
    ] {
        let folder = Folder::of(bed, &text)?;
        folder.stack("up --detach")?;
        bed.docker("exec changing-fixed-1 touch /mine")?;
        folder.replace("10.91.1.", "10.91.2.")?;
        folder.killed("up --detach", At::Told(at))?;
        let said = folder.stack("start");
        let seen = address(bed, "changing-fixed-1");
        let mine = bed.docker("exec changing-fixed-1 ls /mine");
        let names = bed.docker("ps --all --format {{.Names}} --filter name=changing-fixed");
        folder.replace("10.91.2.", "10.91.1.")?;
        let again = is_lost.then(|| folder.stack("up --detach"));
        let renewed = address(bed, "changing-fixed-1");
        let plan = bed.stack(&folder.path, "plan")?;
        folder.stack("down")?;
        let said = said?;
        if let Some(again) = again {
            again?;
            holds(
                &format!("killed at `{at}`, the endpoint is told; it said\n{said}"),
                said.contains("taking it back first")
                    && said.contains("left: Endpoint changing-fixed-1/changing_net"),
            )?;
            same(
                &format!("killed at `{at}`, the address and the MAC address"),
                renewed?.as_str(),
                "10.91.1.902:42:0a:5b:00:09",
            )?;
            same("the exit code of `plan`", plan.code, Some(0))?;
            continue;
        }
        holds(
            &format!("killed at `{at}`, it is taken back; it said\n{said}"),
            said.contains("taking it back first") && !said.contains("left:"),
        )?;
        same(
            &format!("killed at `{at}`, the address and the MAC address"),
            seen?.as_str(),
            "10.91.1.902:42:0a:5b:00:09",
        )?;
        holds("its files are still there", mine.is_ok())?;
        same("the containers", names?.trim(), "changing-fixed-1")?;
        holds(
            &format!("it is as the old file says: {}{}", plan.stdout, plan.stderr),
            plan.code == Some(0),
        )?;
    }
    Ok(Outcome::Passed)
}

fn waits_in_vain(bed: &Bed) -> Result<Outcome, Failure> {
    let text = "name: ending
services:
  job: {image: stack-lab, command: sh -c 'sleep 0.3; exit 3', network_mode: none}
  web:
    image: stack-lab
    network_mode: none
    stop_grace_period: 0s
    healthcheck: {test: 'true', interval: 1s}
";
    // It ends while the other is waited for.
    let folder = Folder::of(bed, text)?;
    let up = bed.stack(&folder.path, "up --wait --wait-timeout 20")?;
    let states = bed.docker("ps --all --format {{.Names}}:{{.State}} --filter name=ending");
    folder.stack("down")?;
    let said = up.fails_with(1)?;
    holds(
        &format!("it tells who ended; it said\n{said}"),
        said.contains("container ending-job-1 exited (3)") && said.contains("logs job"),
    )?;
    let states = states?;
    let mut states: Vec<&str> = states.lines().collect();
    states.sort_unstable();
    same(
        "what stands",
        states,
        vec!["ending-job-1:exited", "ending-web-1:running"],
    )?;
    Ok(Outcome::Passed)
}

fn waits_for_paused_and_crashing(bed: &Bed) -> Result<Outcome, Failure> {
    let text = "name: ending
services:
  still: {image: stack-lab, network_mode: none, stop_grace_period: 0s}
  loop:
    image: stack-lab
    command: sh -c 'sleep 0.1; exit 3'
    network_mode: none
    restart: always
    stop_grace_period: 0s
";
    let folder = Folder::of(bed, text)?;
    let seen = || -> Result<(String, String), Failure> {
        folder.stack("up --detach")?;
        bed.docker("pause ending-still-1")?;
        let paused = bed.stack(&folder.path, "up --wait still")?.fails_with(1)?;
        bed.docker("unpause ending-still-1")?;
        soon(
            "the engine starts it again",
            Duration::from_secs(10),
            || {
                let count = bed.docker("inspect --format {{.RestartCount}} ending-loop-1")?;
                Ok(count.trim() != "0")
            },
        )?;
        let looping = bed.stack(&folder.path, "up --wait --wait-timeout 3")?;
        Ok((paused, looping.fails_with(1)?))
    };
    let seen = seen();
    folder.stack("down")?;
    let (paused, looping) = seen?;
    holds(
        &format!("it tells what is paused; it said\n{paused}"),
        paused.contains("container ending-still-1 is paused") && paused.contains("unpause still"),
    )?;
    holds(
        &format!("it tells that it does not stay up; it said\n{looping}"),
        looping.contains("ending-loop-1 Restarting (3)") && looping.contains("after 3s"),
    )?;
    Ok(Outcome::Passed)
}
