//! The agent on a real kernel and engine: foreign tools take things away, containers, the engine and the whole machine
//! start anew, and what `up` made on the host comes back.

use std::io::Read;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use crate::bed::Bed;
use crate::place::Answer;
use crate::runner::{Failure, Outcome, Run, Test, holds, same, soon};

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "agent::what_foreign_tools_and_restarts_take_away_comes_back",
            run: Run::OwnHost(foreign),
        },
        Test {
            name: "agent::a_reboot_is_survived",
            run: Run::OwnHost(reboot),
        },
        Test {
            name: "agent::the_unit_is_one_that_systemd_takes",
            run: Run::Machine(unit),
        },
    ]
}

const FILE: &str = r#"
name: keep
lans:
  office:
    parent: lab9
    subnet: 192.168.99.0/24
    gateway: 192.168.99.1
    address: 192.168.99.10
    hosts: {laptop: 192.168.99.50}
networks:
  lan:
    driver: macvlan
    parent: office
    promiscuous: true
    ipam: {config: [{subnet: 192.168.99.0/24, gateway: 192.168.99.1}]}
    shim: {name: keep-shim}
services:
  one: {image: stack-lab:latest, stop_grace_period: 0s, networks: [lan]}
  two: {image: stack-lab:latest, stop_grace_period: 0s, networks: [lan]}
"#;

/// How long the agent may take, on a machine that builds other things.
const SOON: Duration = Duration::from_secs(20);

/// A running agent.
struct Agent {
    child: Child,
}

impl Agent {
    fn start(bed: &Bed, folder: &Path) -> Result<Agent, Failure> {
        let child = bed.spawn_stack(folder, "agent")?;
        Ok(Agent { child })
    }

    /// Asks it to stop, and gives what it said.
    fn stop(mut self) -> Result<String, Failure> {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id())?);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?;
        let code = self.child.wait()?.code();
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut said)?;
        }
        same(&format!("its exit code; it said:\n{said}"), code, Some(0))?;
        Ok(said)
    }

    /// Processor time so far, in ticks of 10 ms.
    fn ticks(&self) -> Result<u64, Failure> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let number = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok());
        Ok(number(11).ok_or("no time")? + number(12).ok_or("no time")?)
    }

    /// A line of its memory in kB, such as `RssAnon`.
    fn memory(&self, what: &str) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(what));
        let text = line.ok_or("no such line")?.trim_start_matches(':').trim();
        Ok(text.trim_end_matches(" kB").parse()?)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Nothing is to be done by `up`, and the host reaches a container.
fn right(bed: &Bed, folder: &Path, after: &str) -> Result<(), Failure> {
    soon(&format!("all is as wanted after {after}"), SOON, || {
        Ok(bed.stack(folder, "plan")?.code == Some(0))
    })?;
    soon(&format!("`one` answers after {after}"), SOON, || {
        let page = bed
            .here()
            .web(&format!("{}:80", address(bed, "one")?), "/")?;
        Ok(matches!(page, Answer::Page(_)))
    })
}

fn address(bed: &Bed, service: &str) -> Result<String, Failure> {
    let template = "{{range.NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let said = bed.docker(&format!("inspect --format {template} keep-{service}-1"))?;
    Ok(said.trim().to_owned())
}

fn file() -> Result<tempfile::TempDir, Failure> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("stack.yaml"), FILE)?;
    Ok(folder)
}

fn foreign(bed: &mut Bed) -> Result<Outcome, Failure> {
    let folder = file()?;
    let folder = folder.path();
    bed.stack(folder, "up -d")?.ok()?;
    let agent = Agent::start(bed, folder)?;
    let index = || bed.run("cat /sys/class/net/keep-shim/ifindex");
    let before = index()?;
    bed.run("ip link del keep-shim")?;
    soon("the shim is there again", SOON, || {
        Ok(index().is_ok_and(|now| now != before))
    })?;
    right(bed, folder, "the shim was deleted")?;
    for (act, what) in [
        (
            "ip address flush dev keep-shim",
            "its addresses were flushed",
        ),
        ("ip route flush dev keep-shim", "its routes were flushed"),
        ("ip link set lab9 promisc off", "the flag was cleared"),
        (
            "echo 0 >/proc/sys/net/ipv4/conf/keep-shim/arp_announce",
            "its ARP setting was changed",
        ),
        (
            "echo 1 >/proc/sys/net/ipv4/conf/all/rp_filter",
            "the check of ways was made strict for all links",
        ),
    ] {
        bed.shell(act)?;
        right(bed, folder, what)?;
    }
    // Each gets the address that the other had.
    let (one, two) = (address(bed, "one")?, address(bed, "two")?);
    bed.docker("stop -t 0 keep-one-1 keep-two-1")?;
    if one < two {
        bed.docker("start keep-two-1 keep-one-1")?;
    } else {
        bed.docker("start keep-one-1 keep-two-1")?;
    }
    holds("the addresses have changed", address(bed, "one")? != one)?;
    right(bed, folder, "its container has another address")?;
    // A parent that goes takes the shim and the containers' links along.
    bed.run("ip link del lab9")?;
    soon("the shim is there again", SOON, || Ok(index().is_ok()))?;
    bed.docker("restart -t 0 keep-one-1 keep-two-1")?;
    right(bed, folder, "the parent was made anew")?;
    std::thread::sleep(Duration::from_secs(1));
    let ticks = agent.ticks()?;
    std::thread::sleep(Duration::from_secs(2));
    same("processor time of two idle seconds", agent.ticks()?, ticks)?;
    let anonymous = agent.memory("RssAnon")?;
    holds(&format!("it is small: {anonymous} kB"), anonymous < 10_000)?;
    let (most, now) = (agent.memory("VmHWM")?, agent.memory("VmRSS")?);
    holds(
        &format!("it rests without its code: {most} kB, now {now} kB"),
        now < most * 3 / 4,
    )?;
    bed.kill_engine()?;
    without_engine(bed)?;
    bed.revive_engine()?;
    bed.docker("start keep-one-1 keep-two-1")?;
    right(bed, folder, "the engine was killed and started again")?;
    bed.stack(folder, "down")?.ok()?;
    std::thread::sleep(Duration::from_millis(500));
    holds(
        "what is down stays down",
        bed.run("ip link show keep-shim").is_err(),
    )?;
    let said = agent.stop()?;
    for line in [
        "keep: shim/keep-shim restored: it is not there",
        "keep: promiscuity/lab9 restored",
        "keep: route/keep-shim/keep-one-1 restored",
        "keep: lan/office restored",
        "keep: container keep-one-1 lost its link when `lab9` went away: restart it",
        "waits for the engine at ",
    ] {
        holds(
            &format!("it says `{line}`; it said:\n{said}"),
            said.contains(line),
        )?;
    }
    Ok(Outcome::Passed)
}

/// The host's part comes back while no engine answers: the shim, its settings, and the routes to where containers were.
fn without_engine(bed: &Bed) -> Result<(), Failure> {
    let ways = || bed.shell("ip route show dev keep-shim | sort");
    let before = ways()?;
    for (act, what) in [
        ("ip link del keep-shim", "the shim was deleted"),
        ("ip route flush dev keep-shim", "its routes were flushed"),
        (
            "echo 0 >/proc/sys/net/ipv4/conf/keep-shim/arp_announce",
            "its ARP setting was changed",
        ),
        ("ip link set lab9 promisc off", "the flag was cleared"),
    ] {
        bed.shell(act)?;
        soon(
            &format!("without the engine all is right after {what}"),
            SOON,
            || {
                let setting = "cat /proc/sys/net/ipv4/conf/keep-shim/arp_announce";
                let flag = bed.shell("ip -details link show lab9")?;
                Ok(ways().is_ok_and(|now| now == before)
                    && bed.run(setting).is_ok_and(|now| now.trim() == "2")
                    && flag.contains("promiscuity")
                    && !flag.contains("promiscuity 0"))
            },
        )?;
    }
    Ok(())
}

fn reboot(bed: &mut Bed) -> Result<Outcome, Failure> {
    let folder = file()?;
    let folder = folder.path();
    bed.stack(folder, "up -d")?.ok()?;
    let links = |bed: &Bed| -> Result<String, Failure> {
        let shim = bed.run("ip -brief address show dev keep-shim")?;
        let mac = bed.run("cat /sys/class/net/keep-shim/address")?;
        let shim = shim.split_whitespace().filter(|word| !word.contains('@'));
        Ok(format!("{} {mac}", shim.collect::<Vec<_>>().join(" ")))
    };
    let before = links(bed)?;
    bed.reboot()?;
    holds("the lan is gone", bed.run("ip link show lab9").is_err())?;
    // A network whose parent is not there when the engine starts is lost to it (20.10).
    bed.stack(folder, "agent --once --ground")?.ok()?;
    bed.revive_engine()?;
    bed.stack(folder, "agent --once")?.ok()?;
    same("the shim", links(bed)?, before)?;
    bed.docker("start keep-one-1 keep-two-1")?;
    bed.stack(folder, "agent --once")?.ok()?;
    right(bed, folder, "a reboot")?;
    bed.stack(folder, "down")?.ok()?;
    let left =
        bed.shell("find /run/stack /var/lib/stack -mindepth 1; ip -brief link show type macvlan")?;
    same("what is left", left.trim(), "")?;
    Ok(Outcome::Passed)
}

fn unit() -> Result<Outcome, Failure> {
    let root = tempfile::tempdir()?;
    let stack = |flag: &str| -> Result<(), Failure> {
        crate::bed::ran(
            std::process::Command::new(crate::bed::stack_program())
                .args(["agent", flag, "--root"])
                .arg(root.path()),
        )?
        .ok()?;
        Ok(())
    };
    stack("--install")?;
    let units = root.path().join("etc/systemd/system");
    let verified = std::process::Command::new("systemd-analyze")
        .arg("verify")
        .args(["stack-agent.service", "stack-ground.service"].map(|name| units.join(name)))
        .output();
    let skipped = match verified {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let about: Vec<&str> = said
                .lines()
                .filter(|line| line.contains("stack-"))
                .collect();
            same("what systemd says of it", about, Vec::new())?;
            None
        }
        Err(_) => Some("no systemd-analyze".to_owned()),
    };
    stack("--install")?;
    stack("--uninstall")?;
    stack("--uninstall")?;
    let left = std::fs::read_dir(&units)?
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().is_file()))
        .count();
    same("files that are left", left, 0)?;
    Ok(skipped.map_or(Outcome::Passed, Outcome::Skipped))
}
