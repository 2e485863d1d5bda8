//! The harness tested on itself: without it, "nothing left" and "unreachable" could be said by tests that see nothing.

use std::process::Command;
use std::time::Duration;

use crate::bed::{Bed, Engine, ran};
use crate::place::Answer;
use crate::runner::{Failure, Outcome, Run, Test, holds, same, soon};
use crate::wire::Wire;

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "harness::a_network_made_and_removed_leaves_the_host_as_it_was",
            run: Run::Host(network_made_and_removed),
        },
        Test {
            name: "harness::everything_that_is_left_behind_is_seen",
            run: Run::Host(left_behind_is_seen),
        },
        Test {
            name: "harness::host_machine_and_container_reach_what_they_should",
            run: Run::Host(reaches),
        },
        Test {
            name: "harness::an_engine_that_was_killed_comes_back",
            run: Run::OwnHost(killed_engine),
        },
        Test {
            name: "harness::the_engine_is_the_one_that_was_asked_for",
            run: Run::Host(engine_asked_for),
        },
        Test {
            name: "harness::a_private_host_leaves_nothing_on_this_machine",
            run: Run::Machine(private_host_leaves_nothing),
        },
        Test {
            name: "harness::the_built_stack_runs_on_the_host",
            run: Run::Host(built_stack_runs),
        },
        Test {
            name: "harness::the_guest_has_the_links_that_this_kernel_may_lack",
            run: Run::Guest(guest_links),
        },
    ]
}

fn network_made_and_removed(bed: &Bed) -> Result<Outcome, Failure> {
    bed.docker("network create harness")?;
    bed.docker("run -d --name harness --network harness stack-lab")?;
    bed.docker("rm -f harness")?;
    bed.docker("network rm harness")?;
    Ok(Outcome::Passed)
}

/// An act and its opposite: what is done to the host, and how it is undone.
struct Act {
    section: &'static str,
    act: &'static str,
    undo: &'static str,
}

fn left_behind_is_seen(bed: &Bed) -> Result<Outcome, Failure> {
    let acts = [
        Act {
            section: "links",
            act: "ip link add left0 type bridge",
            undo: "ip link del left0",
        },
        Act {
            section: "links",
            act: "ip link set docker0 promisc on",
            undo: "ip link set docker0 promisc off",
        },
        Act {
            section: "addresses",
            act: "ip address add 10.99.0.1/32 dev lo",
            undo: "ip address del 10.99.0.1/32 dev lo",
        },
        Act {
            section: "routes",
            act: "ip route add 10.98.0.0/24 dev docker0 proto 199",
            undo: "ip route del 10.98.0.0/24 dev docker0",
        },
        Act {
            section: "rules",
            act: "ip rule add to 10.97.0.0/24 table 97",
            undo: "ip rule del to 10.97.0.0/24 table 97",
        },
        Act {
            section: "neighbours",
            act: "ip neighbour add 172.17.9.9 lladdr 02:00:00:00:00:09 dev docker0",
            undo: "ip neighbour del 172.17.9.9 dev docker0",
        },
        Act {
            section: "firewall",
            act: "iptables -w -A FORWARD -s 10.96.0.0/24 -j ACCEPT",
            undo: "iptables -w -D FORWARD -s 10.96.0.0/24 -j ACCEPT",
        },
        Act {
            section: "sysctls",
            act: "sysctl -q -w net.ipv4.conf.docker0.arp_announce=2",
            undo: "sysctl -q -w net.ipv4.conf.docker0.arp_announce=0",
        },
        Act {
            section: "namespaces",
            act: "ip netns add left",
            undo: "ip netns del left",
        },
        Act {
            section: "records",
            act: "mkdir /var/lib/stack/left",
            undo: "rmdir /var/lib/stack/left",
        },
        Act {
            section: "containers",
            act: "docker create --name left stack-lab",
            undo: "docker rm left",
        },
        Act {
            section: "networks",
            act: "docker network create --driver null left-none || docker network create left",
            undo: "docker network rm left",
        },
        Act {
            section: "volumes",
            act: "docker volume create left",
            undo: "docker volume rm left",
        },
        Act {
            section: "images",
            act: "docker tag stack-lab:latest left:latest",
            undo: "docker rmi left:latest",
        },
        Act {
            section: "processes",
            act: "setsid sleep 3333 >/dev/null 2>&1 </dev/null & echo $! >/run/left.pid",
            undo: "kill $(cat /run/left.pid); rm /run/left.pid",
        },
    ];
    let before = bed.host()?;
    for Act { section, act, undo } in acts {
        bed.shell(act)?;
        let seen = before.difference(&bed.host()?);
        bed.shell(undo)?;
        holds(
            &format!("`{act}` is seen under {section}; seen was:\n{seen}"),
            seen.lines()
                .any(|line| line.trim_start().starts_with(section)),
        )?;
        soon(
            &format!("`{undo}` undoes it"),
            Duration::from_secs(2),
            || Ok(before.difference(&bed.host()?).is_empty()),
        )?;
    }
    Ok(Outcome::Passed)
}

fn reaches(bed: &Bed) -> Result<Outcome, Failure> {
    let wire = Wire::new(bed, "wire0", &[("laptop", "10.50.0.9/24")])?;
    bed.run("ip address add 10.50.0.2/24 dev wire0")?;
    let laptop = wire.machine("laptop");
    let pings = (bed.here().pings("10.50.0.9")?, laptop.pings("10.50.0.2")?);
    same("host and laptop reach each other", pings, (true, true))?;
    bed.docker(
        "network create --driver macvlan --subnet 10.50.0.0/24 --gateway 10.50.0.1 --ip-range 10.50.0.64/27
         --opt parent=wire0 harness",
    )?;
    bed.docker("run -d --name harness --hostname harness --network harness stack-lab")?;
    let seen = (
        laptop.web("10.50.0.64:80", "/cgi-bin/who")?,
        bed.here().web("10.50.0.64:80", "/")?,
        bed.container("harness")?.web("10.50.0.64:80", "/")?,
        laptop.web("10.50.0.2:80", "/")?,
    );
    bed.docker("rm -f harness")?;
    bed.docker("network rm harness")?;
    same(
        "laptop to container, host to container, container to itself, laptop to a closed port of the host",
        seen,
        (
            Answer::Page("harness answers [::ffff:10.50.0.9]".to_owned()),
            Answer::Silence,
            Answer::Page("hello from the stack lab image".to_owned()),
            Answer::Refused,
        ),
    )?;
    Ok(Outcome::Passed)
}

fn killed_engine(bed: &mut Bed) -> Result<Outcome, Failure> {
    bed.docker("network create harness")?;
    bed.docker("run -d --name harness --network harness stack-lab")?;
    bed.kill_engine()?;
    holds("a killed engine does not answer", bed.docker("ps").is_err())?;
    bed.revive_engine()?;
    let names = bed.docker("ps --all --format {{.Names}}")?;
    same("its containers are still known", names.trim(), "harness")?;
    Ok(Outcome::Passed)
}

fn engine_asked_for(bed: &Bed) -> Result<Outcome, Failure> {
    let version = bed.docker("version --format {{.Server.Version}}")?;
    let version = version.split('+').next().unwrap_or_default().trim();
    same("the version of the engine", version, bed.version())?;
    holds("it is 20.10 or newer", bed.is_at_least(20))?;
    let said = ran(bed.command("docker").args(["inspect", "nobody"]))?.fails_with(1)?;
    holds("an error comes through", said.contains("nobody"))?;
    Ok(Outcome::Passed)
}

fn private_host_leaves_nothing() -> Result<Outcome, Failure> {
    let bed = Bed::start(&Engine::find("installed")?)?;
    bed.docker("run -d stack-lab")?;
    let folder = bed.folder();
    let name = folder.file_name().ok_or("the folder has no name")?;
    let namespace = format!("bed-{}", name.to_string_lossy());
    let traces = || -> Result<String, Failure> {
        // The folder; the named namespace; the branches of the cgroup tree; processes that run programs of the bed.
        let script = "ls -d $1 /run/netns/$2 /sys/fs/cgroup/$2 /sys/fs/cgroup/*/$2; grep -l $1/ /proc/[0-9]*/cmdline";
        let mut command = Command::new("sh");
        command
            .args(["-c", script, "sh"])
            .arg(&folder)
            .arg(&namespace);
        Ok(ran(&mut command)?.stdout)
    };
    holds(
        "a private host is seen while it is there",
        traces()?.lines().count() > 3,
    )?;
    drop(bed);
    same("what is seen of it afterwards", traces()?.as_str(), "")?;
    Ok(Outcome::Passed)
}

fn built_stack_runs(bed: &Bed) -> Result<Outcome, Failure> {
    let folder = tempfile::tempdir()?;
    let code = bed.spawn_stack(folder.path(), "--version")?.wait()?.code();
    same("the exit code of `stack --version`", code, Some(0))?;
    bed.stack(folder.path(), "--version")?.ok()?;
    Ok(Outcome::Passed)
}

fn guest_links(guest: &crate::guest::Guest) -> Result<Outcome, Failure> {
    let script = "
        set -e
        ip link add d0 type dummy
        ip link set d0 up
        ip link add link d0 name d0.20 type vlan id 20
        ip link add i0 link d0 type ipvlan mode l3s
        tc qdisc add dev d0 root netem delay 50ms
        docker network create -d ipvlan -o parent=d0.20 -o ipvlan_mode=l2 --subnet 10.70.0.0/24 net >/dev/null
        docker run -d --name web --network net stack-lab >/dev/null
        docker run --rm --network net stack-lab wget -qO- http://10.70.0.2/
        stack --version >/dev/null
    ";
    let page = guest.run(script, &[])?.ok()?;
    same(
        "the page",
        page.trim_end(),
        "hello from the stack lab image",
    )?;
    Ok(Outcome::Passed)
}
