//! The shim example on a real engine and a real kernel, while everything goes wrong that may: a kill after every line of
//! progress, somebody who changes things in between, a parent that goes, an engine that dies, a disk that is full, a
//! user who may not. After each, one command makes it whole or takes it away, and the host is the same as before.
//!
//! Nothing in the program knows of these tests: a run is stopped or killed at what it says on `--progress plain`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Child;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bed::{Bed, ran, stack_program};
use crate::examples::copied;
use crate::guest::Guest;
use crate::host::{Host, QUESTIONS};
use crate::runner::{Failure, Outcome, Run, Sweep, Test, holds, repository, same};

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "faults::orphans_takes_away_what_a_kill_after_any_line_left",
            run: Run::Host(killed_anywhere),
        },
        Test {
            name: "faults::an_up_or_down_killed_after_any_line_is_finished_by_the_next",
            run: Run::Host(finished_by_the_next),
        },
        Test {
            name: "faults::what_somebody_does_in_between_is_made_good_or_taken_back",
            run: Run::Host(in_between),
        },
        Test {
            name: "faults::orphans_never_touches_what_runs_or_is_foreign",
            run: Run::Host(foreign),
        },
        Test {
            name: "faults::a_parent_that_is_deleted_under_a_running_stack_comes_back",
            run: Run::Host(parent_deleted),
        },
        Test {
            name: "faults::a_lan_that_gets_another_name_takes_all_along_in_one_up",
            run: Run::Host(lan_renamed),
        },
        Test {
            name: "faults::what_the_kernel_or_a_namespace_of_others_refuses_is_told_before",
            run: Run::Host(refused_before),
        },
        Test {
            name: "faults::an_engine_that_dies_under_up_leaves_nothing_in_the_end",
            run: Run::OwnHost(engine_dies),
        },
        Test {
            name: "faults::a_full_disk_is_told_before_anything_is_changed",
            run: Run::Host(full_disk),
        },
        Test {
            name: "faults::without_the_right_the_engine_part_works_and_the_host_part_is_refused",
            run: Run::Host(unprivileged),
        },
        Test {
            name: "faults::ipvlan_and_vlan_survive_kills_in_a_guest",
            run: Run::Guest(in_guest),
        },
    ]
}

const EXAMPLE: &str = "macvlan-bridge";

/// Starts `stack` and reads its progress up to the line of this number; it is stopped there. None where it ended before.
fn until(
    bed: &Bed,
    folder: &Path,
    words: &str,
    line: usize,
) -> Result<Option<(Child, String)>, Failure> {
    let mut child = bed.spawn_stack(folder, &format!("--progress plain {words}"))?;
    let mut said = String::new();
    if let Some(errors) = child.stderr.take() {
        let mut lines = BufReader::new(errors).lines();
        for _ in 0..=line {
            match lines.next() {
                Some(text) => said = text?,
                None => {
                    child.wait()?;
                    return Ok(None);
                }
            }
        }
        signal(&child, Signal::SIGSTOP)?;
        // Somebody has to read on, or the program blocks when it is let go.
        std::thread::spawn(move || lines.for_each(drop));
    }
    Ok(Some((child, said.trim().to_owned())))
}

fn signal(child: &Child, signal: Signal) -> Result<(), Failure> {
    Ok(kill(Pid::from_raw(i32::try_from(child.id())?), signal)?)
}

fn end(mut child: Child) -> Result<(), Failure> {
    signal(&child, Signal::SIGKILL)?;
    child.wait()?;
    Ok(())
}

fn unchanged(before: &Host, bed: &Bed, when: &str) -> Result<(), Failure> {
    let left = before.difference(&bed.host()?);
    same(&format!("what is left {when}"), left.as_str(), "")
}

fn killed_anywhere(bed: &Bed) -> Result<Outcome, Failure> {
    let (_temporary, folder) = copied(EXAMPLE)?;
    let before = bed.host()?;
    let step = Sweep::wanted().choose(1, 3);
    let mut line = 0;
    while let Some((child, said)) = until(bed, &folder, "up -d", line)? {
        end(child)?;
        let when = format!("after a kill at line {line}, `{said}`");
        let listed = bed.stack(&folder, "orphans")?;
        // A kill that came after the last step has left a whole project, which is nobody's orphan.
        let rest = match listed.code {
            Some(0) if bed.stack(&folder, "plan")?.code == Some(0) => "down",
            _ => "orphans --remove",
        };
        holds(
            &format!("there is something listed {when}: {}", listed.stdout),
            listed.code == Some(2) || rest == "down",
        )?;
        bed.stack(&folder, rest)?
            .ok()
            .map_err(|failure| format!("{when}: {failure}"))?;
        unchanged(&before, bed, &when)?;
        line += step;
    }
    bed.stack(&folder, "down")?.ok()?;
    holds(&format!("{line} lines are enough"), line >= 12)?;
    Ok(Outcome::Passed)
}

fn finished_by_the_next(bed: &Bed) -> Result<Outcome, Failure> {
    let (_temporary, folder) = copied(EXAMPLE)?;
    let before = bed.host()?;
    let step = Sweep::wanted().choose(1, 5);
    let mut line = 0;
    while let Some((child, said)) = until(bed, &folder, "up -d", line)? {
        end(child)?;
        let when = format!("`up` after a kill at line {line}, `{said}`");
        bed.stack(&folder, "up -d")?
            .ok()
            .map_err(|failure| format!("{when}: {failure}"))?;
        bed.stack(&folder, "shim check")?
            .ok()
            .map_err(|failure| format!("{when}: {failure}"))?;
        bed.stack(&folder, "down")?.ok()?;
        unchanged(&before, bed, &when)?;
        line += step;
    }
    let mut line = 0;
    loop {
        bed.stack(&folder, "up -d")?.ok()?;
        let Some((child, said)) = until(bed, &folder, "down -t 1", line)? else {
            break;
        };
        end(child)?;
        let when = format!("`down` after a kill at line {line}, `{said}`");
        bed.stack(&folder, "--project-name macvlan-bridge down")?
            .ok()
            .map_err(|failure| format!("{when}: {failure}"))?;
        unchanged(&before, bed, &when)?;
        line += step;
    }
    unchanged(&before, bed, "in the end")?;
    Ok(Outcome::Passed)
}

/// After a line that begins so, while `stack up` is stopped, somebody does this.
const MEANWHILE: &[(&str, &str)] = &[
    ("Lan office Created", "ip link del lab1"),
    ("Lan office Created", "ip link set lab1 down"),
    (
        "Network",
        "ip link add link lab1 name foreign0 type macvlan mode private",
    ),
    ("Shim shim-macv-d15ce Creating", "ip link del lab1"),
    (
        "Shim shim-macv-d15ce Created",
        "ip link del shim-macv-d15ce",
    ),
    (
        "Shim shim-macv-d15ce Created",
        "ip route flush dev shim-macv-d15ce",
    ),
    (
        "Shim shim-macv-d15ce Created",
        "ip address flush dev shim-macv-d15ce",
    ),
    (
        "Shim shim-macv-d15ce Created",
        "ip link set lab1 promisc on",
    ),
    (
        "Shim shim-macv-d15ce Created",
        "docker network rm macvlan-bridge_lan",
    ),
];

fn in_between(bed: &Bed) -> Result<Outcome, Failure> {
    let (_temporary, folder) = copied(EXAMPLE)?;
    let before = bed.host()?;
    for (wanted, act) in MEANWHILE {
        let when = format!("after `{act}` at `{wanted}`");
        let mut child = bed.spawn_stack(&folder, "--progress plain up -d")?;
        let errors = child.stderr.take().ok_or("no output")?;
        let mut lines = BufReader::new(errors).lines();
        let mut told = Vec::new();
        let mut met = false;
        for line in lines.by_ref() {
            told.push(line?);
            if told
                .last()
                .is_some_and(|line| line.trim().starts_with(wanted))
            {
                signal(&child, Signal::SIGSTOP)?;
                // What it was to be done to may not be there yet, or not any more: then it is as if nobody had come.
                let _ = bed.shell(act);
                signal(&child, Signal::SIGCONT)?;
                met = true;
                break;
            }
        }
        for line in lines {
            told.push(line?);
        }
        let code = child.wait()?.code();
        holds(&format!("`{wanted}` was said: {told:#?}"), met)?;
        let _ =
            bed.shell("ip link del foreign0 2>/dev/null; ip link set lab1 promisc off 2>/dev/null");
        if code != Some(0) {
            // It was taken back, as far as it could be; the next run does the rest.
            holds(
                &format!("a failed run says so {when}: {told:#?}"),
                code == Some(1) || code == Some(3),
            )?;
        }
        bed.stack(&folder, "up -d")?
            .ok()
            .map_err(|failure| format!("up again {when}: {failure}"))?;
        bed.stack(&folder, "shim check")?
            .ok()
            .map_err(|failure| format!("check {when}: {failure}"))?;
        bed.stack(&folder, "down")?.ok()?;
        unchanged(&before, bed, &when)?;
    }
    Ok(Outcome::Passed)
}

fn foreign(bed: &Bed) -> Result<Outcome, Failure> {
    let (_temporary, folder) = copied(EXAMPLE)?;
    bed.stack(&folder, "up -d")?.ok()?;
    bed.docker("network create --label com.docker.compose.project=other other")?;
    bed.docker("run -d --name theirs --label com.docker.compose.project=theirs stack-lab")?;
    bed.shell(
        "ip link add mine type bridge; ip link set mine up; ip link set mine alias 'uplink of stack'
         ip netns add macvlan-bridge-mine; ip route add 10.99.0.0/24 dev mine",
    )?;
    let before = bed.host()?;
    let listed = bed.stack(&folder, "orphans")?;
    same(
        "nothing is listed",
        (listed.code, listed.stdout.as_str()),
        (Some(0), ""),
    )?;
    bed.stack(&folder, "orphans --remove --volumes")?.ok()?;
    unchanged(&before, bed, "by orphans --remove")?;
    // An engine that is not there, given up: what the record gives to the living one stays, and that one is named.
    let elsewhere = bed.stack(
        &folder,
        "-H unix:///nosuch.sock orphans --engine-gone --remove",
    )?;
    holds(
        &format!("the engine to ask is named: {}", elsewhere.stderr),
        elsewhere.stderr.contains("it belongs to the engine at"),
    )?;
    unchanged(&before, bed, "by orphans of another engine")?;
    // Links in our group that somebody named otherwise: one of ours, and one that never was.
    let shim = "shim-macv-d15ce";
    let alias = bed.shell(&format!("cat /sys/class/net/{shim}/ifalias"))?;
    bed.shell(&format!(
        "ip link set {shim} alias 'my own link'
         ip link add f0 type veth peer name f1; ip link set f0 group 29556; ip link set f0 up"
    ))?;
    let listed = bed.stack(&folder, "orphans --remove")?;
    let links = bed.run("ip -oneline link")?;
    holds(
        &format!("a group alone is no mark: {}{links}", listed.stderr),
        links.contains(shim) && links.contains("f0@"),
    )?;
    bed.shell(&format!(
        "ip link set {shim} alias '{}'; ip link del f0",
        alias.trim()
    ))?;
    // Without containers it lives by its record.
    bed.docker("rm -f macvlan-bridge-site-1 macvlan-bridge-other-1")?;
    let listed = bed.stack(&folder, "orphans --remove")?;
    let links = bed.run("ip -oneline link")?;
    holds(
        &format!("what is wanted stays: {}", listed.stderr),
        links.contains(shim) && listed.stderr.contains("stack down"),
    )?;
    // A shim that nobody knows, a route of ours on a strange link, an unmarked link of a killed run.
    bed.shell(
        "rm $(grep -l \"$DOCKER_HOST\\\"\" /var/lib/stack/macvlan-bridge@*.wanted)
         ip route add 10.98.0.0/24 dev mine proto 0x73
         ip link add stdeadbeef00001 type bridge; ip link set stdeadbeef00001 group 29556",
    )?;
    let listed = bed.stack(&folder, "orphans")?.stdout;
    for word in [
        "10.98.0.0/24",
        "stdeadbeef00001",
        "shim/shim-macv-d15ce",
        "macvlan-bridge_lan",
        "lab1",
    ] {
        holds(
            &format!("`{word}` is listed:\n{listed}"),
            listed.contains(word),
        )?;
    }
    holds(
        &format!("nothing foreign is:\n{listed}"),
        !listed.contains("mine") || listed.contains("by mine"),
    )?;
    bed.stack(&folder, "orphans --remove")?.ok()?;
    let links = bed.run("ip -oneline link")?;
    holds(
        "the foreign link stays",
        links.contains("mine") && !links.contains("lab1"),
    )?;
    holds(
        "its route too",
        bed.run("ip route")?.contains("10.99.0.0/24"),
    )?;
    bed.docker("rm -f theirs")?;
    bed.docker("network rm other")?;
    bed.shell("ip link del mine; ip netns del macvlan-bridge-mine")?;
    Ok(Outcome::Passed)
}

fn parent_deleted(bed: &Bed) -> Result<Outcome, Failure> {
    let (_temporary, folder) = copied(EXAMPLE)?;
    let before = bed.host()?;
    for remedy in ["up -d", "agent --once", "down"] {
        bed.stack(&folder, "up -d")?.ok()?;
        bed.run("ip link del lab1")?;
        if remedy == "agent --once" {
            // The agent brings the host's side back; what the kernel took from the containers, `up` does.
            bed.stack(&folder, remedy)?.ok()?;
        }
        let said = bed.stack(&folder, "plan")?;
        same(
            &format!("`plan` sees it: {}", said.stdout),
            said.code,
            Some(2),
        )?;
        if remedy != "down" {
            bed.stack(&folder, "up -d")?.ok()?;
            bed.stack(&folder, "shim check")?.ok()?;
            let plan = bed.stack(&folder, "plan")?;
            same(&format!("all is back: {}", plan.stdout), plan.code, Some(0))?;
        }
        bed.stack(&folder, "down")?.ok()?;
        unchanged(
            &before,
            bed,
            &format!("after a deleted parent and `{remedy}`"),
        )?;
    }
    Ok(Outcome::Passed)
}

fn lan_renamed(bed: &Bed) -> Result<Outcome, Failure> {
    let (_temporary, folder) = copied(EXAMPLE)?;
    let before = bed.host()?;
    bed.stack(&folder, "up -d")?.ok()?;
    let file = folder.join("stack.yaml");
    let text = std::fs::read_to_string(&file)?;
    std::fs::write(&file, text.replace("office", "another"))?;
    bed.stack(&folder, "up -d")?.ok()?;
    let plan = bed.stack(&folder, "plan")?;
    same(
        &format!("one `up` does it: {}", plan.stdout),
        plan.code,
        Some(0),
    )?;
    bed.stack(&folder, "shim check")?.ok()?;
    // Without its lan the network would hang in the air.
    let (head, rest) = text.split_once("lans:\n").ok_or("the example has no lan")?;
    let (_, networks) = rest.split_once("\nnetworks:\n").ok_or("nor networks")?;
    let without = format!("{head}networks:\n{networks}").replace("parent: office", "parent: lab1");
    std::fs::write(&file, without)?;
    let refused = bed.stack(&folder, "up -d")?.fails_with(1)?;
    holds(
        &format!("what goes is told: {refused}"),
        refused.contains("parent-goes"),
    )?;
    bed.stack(&folder, "shim check")?.ok()?;
    bed.stack(&folder, "down")?.ok()?;
    unchanged(&before, bed, "after a renamed lan")?;
    Ok(Outcome::Passed)
}

fn refused_before(bed: &Bed) -> Result<Outcome, Failure> {
    let folder = tempfile::tempdir()?;
    let file = |machines: &str, parent: &str| {
        let text = format!(
            "name: before
lans: {{office: {{parent: lab8, subnet: 10.98.0.0/24, gateway: 10.98.0.1, address: 10.98.0.2, hosts: {{{machines}}}}}}}
networks:
  n: {{driver: macvlan, parent: {parent}, ipam: {{config: [{{subnet: 10.98.0.0/24, ip_range: 10.98.0.128/26}}]}}}}
  plain: {{}}
services:
  web: {{image: stack-lab, networks: [n, plain], stop_grace_period: 0s}}
"
        );
        std::fs::write(folder.path().join("stack.yaml"), text)
    };
    let before = bed.host()?;
    let told = |what: &str| -> Result<(), Failure> {
        let said = bed.stack(folder.path(), "up --detach")?.fails_with(1)?;
        holds(
            &format!("it is told before anything is done: {said}"),
            said.contains(what)
                && said.contains("stack.yaml:")
                && said.ends_with("nothing was changed\n"),
        )
    };
    file("laptop: 10.98.0.50", "lab8")?;
    bed.run("ip netns add before-office-laptop")?;
    let seen = told("cannot make the namespace `before-office-laptop`: it was not made by stack");
    bed.run("ip netns delete before-office-laptop")?;
    seen?;
    // What this kernel has, `up` makes; what it has not, is told.
    let makes = bed.shell(
        "ip link add try type bridge vlan_filtering 1 && ip link add link try name try.7 type vlan id 7; \
         echo $?; ip link delete try 2>/dev/null || true",
    )?;
    file("tv: {address: 10.98.0.51, vlan: 20}", "lab8.20")?;
    if makes.trim() == "0" {
        bed.stack(folder.path(), "up --detach")?.ok()?;
        bed.stack(folder.path(), "down")?.ok()?;
    } else {
        told("error[kernel-kind]: ")?;
    }
    unchanged(&before, bed, "after what was refused")?;
    Ok(Outcome::Passed)
}

fn engine_dies(bed: &mut Bed) -> Result<Outcome, Failure> {
    let (_temporary, folder) = copied(EXAMPLE)?;
    for line in [3, 9] {
        let Some((mut child, said)) = until(bed, &folder, "up -d", line)? else {
            return Err("`up` ended too early".into());
        };
        bed.kill_engine()?;
        signal(&child, Signal::SIGCONT)?;
        let code = child.wait()?.code();
        holds(
            &format!("`up` fails when the engine dies at `{said}`: {code:?}"),
            code == Some(1) || code == Some(3),
        )?;
        // Without the engine nobody knows who lives; what is on the host is told, and taken only when asked twice.
        let listed = bed.stack(&folder, "orphans")?;
        holds(
            &format!("a dead engine is told: {}", listed.stderr),
            listed.stderr.contains("does not answer"),
        )?;
        let gone = bed.stack(&folder, "orphans --engine-gone --remove")?;
        let links = bed.run("ip -oneline link")?;
        holds(
            &format!(
                "the host's side is gone without an engine: {}{links}",
                gone.stderr
            ),
            !links.contains("lab1") && !links.contains("shim-macv"),
        )?;
        bed.revive_engine()?;
        bed.stack(&folder, "orphans --remove")?.ok()?;
        let listed = bed.stack(&folder, "orphans")?;
        same(
            "orphans in the end",
            (listed.code, listed.stdout.as_str()),
            (Some(0), ""),
        )?;
        same("containers", bed.docker("ps -aq")?.as_str(), "")?;
        let folders = bed.shell("ls /run/stack /run/netns 2>/dev/null || true")?;
        holds(
            &format!("no records are left: {folders}"),
            !folders.contains("macvlan-bridge"),
        )?;
    }
    Ok(Outcome::Passed)
}

fn full_disk(bed: &Bed) -> Result<Outcome, Failure> {
    let (_temporary, folder) = copied(EXAMPLE)?;
    let before = bed.host()?;
    bed.shell("mkdir -p /run/small && mount -t tmpfs -o size=16k none /run/small")?;
    let up = || {
        ran(bed
            .command("env")
            .args(["STACK_STATE_DIR=/run/small", stack_program()])
            .args(["--project-directory"])
            .arg(&folder)
            .arg("-f")
            .arg(folder.join("stack.yaml"))
            .args(["up", "-d"]))
    };
    let mut told = Vec::new();
    // From no room at all to room for the header and not for the lines.
    for left in [0, 1, 2] {
        bed.shell(&format!(
            "rm -f /run/small/*; dd if=/dev/zero of=/run/small/fill bs=4k count={} 2>/dev/null || true",
            4 - left
        ))?;
        let said = up()?;
        told.push(said.code);
        if said.code == Some(0) {
            break;
        }
        holds(
            &format!("a full disk is told: {}", said.stderr),
            said.stderr.contains("No space left on device"),
        )?;
        unchanged_but_small(&before, bed, &format!("with {left} free pages"))?;
    }
    bed.shell("rm -f /run/small/fill")?;
    same(
        "with no room it is refused",
        told.first().copied(),
        Some(Some(1)),
    )?;
    let down = ran(bed.command("env").args([
        "STACK_STATE_DIR=/run/small",
        stack_program(),
        "-p",
        EXAMPLE,
        "down",
    ]))?;
    bed.shell("umount /run/small; rmdir /run/small")?;
    down.ok()?;
    Ok(Outcome::Passed)
}

fn unchanged_but_small(before: &Host, bed: &Bed, when: &str) -> Result<(), Failure> {
    let left = before.difference(&bed.host()?);
    let left: Vec<&str> = left.lines().collect();
    same(&format!("what is changed {when}"), left, Vec::<&str>::new())
}

const SUBNET_ONLY: &str = "name: plain
services:
  web: {image: stack-lab, networks: [inside]}
networks:
  inside: {ipam: {config: [{subnet: 10.62.0.0/24}]}}
";

fn unprivileged(bed: &Bed) -> Result<Outcome, Failure> {
    let (temporary, folder) = copied(EXAMPLE)?;
    let plain = temporary.path().join("plain");
    std::fs::create_dir(&plain)?;
    std::fs::write(plain.join("stack.yaml"), SUBNET_ONLY)?;
    let socket = bed.folder().join("docker.sock");
    // The way to it, the files and the program have to be open to others.
    let program = temporary.path().join("stack");
    std::fs::copy(stack_program(), &program)?;
    bed.shell(&format!(
        "chmod 755 {} {}; chmod -R a+rX {}; chmod 666 {}",
        temporary.path().display(),
        bed.folder().display(),
        temporary.path().display(),
        socket.display()
    ))?;
    let before = bed.host()?;
    let nobody = |folder: &Path, words: &str| {
        ran(bed
            .command("setpriv")
            .args([
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "--inh-caps=-all",
                "env",
            ])
            .arg(format!("STACK_STATE_DIR={}", "/tmp/stack-nobody"))
            .arg(&program)
            .arg("-f")
            .arg(folder.join("stack.yaml"))
            .args(words.split_whitespace()))
    };
    let refused = nobody(&folder, "up -d")?;
    let said = refused.stderr.clone();
    holds(
        &format!("the host part is refused: {said}"),
        refused.code == Some(1),
    )?;
    holds(
        &format!("it says what needs the right and what to run:\n{said}"),
        said.contains("CAP_NET_ADMIN") && said.contains("sudo"),
    )?;
    unchanged(&before, bed, "by a refused `up`")?;
    nobody(&plain, "up -d")?.ok()?;
    let page = bed.here().web("10.62.0.2:80", "/")?;
    let down = nobody(&plain, "down");
    holds(
        "the engine part works",
        matches!(page, crate::place::Answer::Page(_)),
    )?;
    down?.ok()?;
    // What root made is seen and not taken.
    bed.stack(&folder, "up -d")?.ok()?;
    let with = bed.host()?;
    // A record that it may remove.
    bed.shell("cp /var/lib/stack/*.wanted /tmp/stack-nobody; chown -R 65534 /tmp/stack-nobody")?;
    let records = "cat /tmp/stack-nobody/*.wanted";
    let wanted = bed.shell(records)?;
    let refused = nobody(&folder, "down")?;
    let after = with.difference(&bed.host()?);
    let kept = bed.shell(records).unwrap_or_default();
    bed.stack(&folder, "down")?.ok()?;
    holds(
        &format!(
            "`down` is refused as a whole: {:?} {}\n{after}",
            refused.code, refused.stderr
        ),
        refused.code != Some(0) && after.is_empty() && refused.stderr.contains("CAP_NET_ADMIN"),
    )?;
    same("the record after a refused `down`", kept, wanted)?;
    bed.shell("rm -rf /tmp/stack-nobody")?;
    Ok(Outcome::Passed)
}

fn in_guest(guest: &Guest) -> Result<Outcome, Failure> {
    let times = Sweep::wanted().choose("0.3 0.8 1.5", "0.8");
    let script = format!(
        "cat >/t/questions <<'STACK_QUESTIONS'\n{QUESTIONS}\nSTACK_QUESTIONS
look() {{ sh /t/questions | grep -v '^#' | sort | sed 's/ state [A-Z]*//; s/<[^>]*>//; s/[0-9]*sec//g'; }}
for example in ipvlan-l2 macvlan-vlan; do
    cd /t/$example || exit 1
    # The engine's first use of a driver leaves traces of its own.
    stack up -d >/dev/null; stack down >/dev/null
    look | grep -v nf_conntrack_count >/t/before
    for time in {times}; do
        /t/stack up -d >/dev/null 2>&1 &
        sleep $time
        kill -9 $! 2>/dev/null
        wait $! 2>/dev/null
        stack orphans >/t/listed; code=$?
        if [ $code = 0 ]; then stack -p $example down >/dev/null; else stack orphans --remove >/t/removed || cat /t/removed; fi
        sleep 0.3
        look | grep -v nf_conntrack_count >/t/after
        diff /t/before /t/after >/t/diff && echo \"$example $time: same\" || {{ echo \"$example $time: different\"; cat /t/diff; }}
    done
    stack up -d >/dev/null
    stack shim check >/t/checked && echo \"$example: checked\" || cat /t/checked
    stack down >/dev/null
done"
    );
    let examples = repository().join("examples");
    let said = guest
        .run(
            &script,
            &[&examples.join("ipvlan-l2"), &examples.join("macvlan-vlan")],
        )?
        .ok()?;
    let lines: Vec<&str> = said.lines().collect();
    let good = |line: &&str| line.ends_with(": same") || line.ends_with(": checked");
    let count = lines.iter().copied().filter(|line| good(line)).count();
    // A look after each kill and one at the whole, for both examples.
    let wanted = 2 * (times.split(' ').count() + 1);
    holds(
        &format!("all are the same:\n{said}"),
        count == wanted && lines.len() == wanted,
    )?;
    Ok(Outcome::Passed)
}
