//! Every example that needs no special kernel: brought up, proven by what a user would look at, brought up again (nothing
//! changes), brought down. That nothing is left is the runner's comparison. `guest_examples.rs` has the others.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::bed::Bed;
use crate::place::{Answer, Place};
use crate::runner::{Failure, Outcome, Run, Test, holds, repository, same, soon};

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    type Proof = fn(&Bed) -> Result<Outcome, Failure>;
    let host: [(&'static str, Proof); 14] = [
        ("examples::none_has_only_lo", none),
        ("examples::host_is_the_hosts_own_network", host_mode),
        (
            "examples::default_bridge_has_names_by_links_only",
            default_bridge,
        ),
        (
            "examples::user_bridge_has_names_aliases_links_and_walls",
            user_bridge,
        ),
        ("examples::container_shares_one_namespace", container),
        (
            "examples::container_follows_a_target_that_was_restarted_by_hand",
            container_restarted,
        ),
        (
            "examples::macvlan_bridge_host_and_laptop_reach_everyone",
            macvlan_bridge,
        ),
        (
            "examples::macvlan_private_walls_containers_off",
            macvlan_private,
        ),
        (
            "examples::macvlan_vepa_reaches_by_way_of_the_switch",
            macvlan_vepa,
        ),
        (
            "examples::macvlan_passthru_takes_the_wire_from_the_host",
            macvlan_passthru,
        ),
        ("examples::tutorial_works_with_its_own_values", tutorial),
        ("examples::main_job_reaches_and_does_not_reach", main_job),
        (
            "examples::plugin_that_is_missing_is_refused_at_once",
            plugin,
        ),
        (
            "examples::overlay_without_a_swarm_is_refused_with_the_remedy",
            overlay_refused,
        ),
    ];
    let mut tests: Vec<Test> = host
        .into_iter()
        .map(|(name, test)| Test {
            name,
            run: Run::Host(test),
        })
        .collect();
    tests.push(Test {
        name: "examples::overlay_joins_containers_on_a_swarm_of_one",
        run: Run::OwnHost(overlay),
    });
    tests
}

/// An example that is up.
struct Up<'a> {
    bed: &'a Bed,
    name: &'static str,
    folder: PathBuf,
}

/// A question and what should come of it.
struct Ask<'a> {
    from: &'a Place,
    to: &'a str,
    path: &'a str,
    wanted: Wanted<'a>,
}

/// An answer, shortly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted<'a> {
    Page(&'a str),
    /// The fixed line of the lab image.
    Hello,
    Refused,
    Silence,
}

impl<'a> Up<'a> {
    fn new(bed: &'a Bed, name: &'static str) -> Result<Up<'a>, Failure> {
        let up = Up {
            bed,
            name,
            folder: repository().join("examples").join(name),
        };
        bed.stack(&up.folder, "up -d")?.ok()?;
        Ok(up)
    }

    /// The place of a service's container.
    fn service(&self, service: &str) -> Result<Place, Failure> {
        self.bed.container(&self.container(service))
    }

    fn container(&self, service: &str) -> String {
        format!("{}-{service}-1", self.name)
    }

    /// The place of another machine on a lan.
    fn machine(&self, lan: &str, host: &str) -> Place {
        self.bed.machine(&format!("{}-{lan}-{host}", self.name))
    }

    /// What a program says inside of a container.
    fn inside(&self, service: &str, words: &str) -> Result<String, Failure> {
        let text = self
            .bed
            .docker(&format!("exec {} {words}", self.container(service)))?;
        Ok(text.trim_end().to_owned())
    }

    /// Whether a name means something inside of a container.
    fn resolves(&self, service: &str, name: &str) -> bool {
        // A name that is unknown is no error of ping before it is asked, and this is busybox's word for it.
        self.inside(service, &format!("ping -c 1 -W 2 {name}"))
            .is_ok()
    }

    /// Up again does nothing, down does its work; what is left is the runner's question.
    fn over(self) -> Result<Outcome, Failure> {
        let ids = || self.bed.docker("ps --all --quiet --no-trunc");
        let (before, host) = (ids()?, self.bed.host()?);
        self.bed.stack(&self.folder, "up -d")?.ok()?;
        same("the containers after a second up", ids()?, before)?;
        same(
            "what a second up changes on the host",
            host.difference(&self.bed.host()?).as_str(),
            "",
        )?;
        self.bed.stack(&self.folder, "down")?.ok()?;
        Ok(Outcome::Passed)
    }
}

/// Runs the proof, and takes the example down even when the proof failed, so that the next test has a clean host.
fn prove(
    bed: &Bed,
    name: &'static str,
    proof: impl FnOnce(&Up) -> Result<(), Failure>,
) -> Result<Outcome, Failure> {
    let up = Up::new(bed, name)?;
    match proof(&up) {
        Ok(()) => up.over(),
        Err(failure) => {
            let down = bed.stack(&up.folder, "down")?;
            match down.ok() {
                Ok(_) => Err(failure),
                Err(second) => Err(format!("{failure}\nand then `down` failed: {second}").into()),
            }
        }
    }
}

/// Asks all questions and shows all answers that are wrong. An answer may need a moment: a server starts, and the kernel
/// holds back questions for a neighbour that did not answer; silence is asked for twice.
fn ask_all(questions: &[Ask]) -> Result<(), Failure> {
    let mut wrong = String::new();
    for ask in questions {
        let is_wanted = |answer: &Answer| match (answer, ask.wanted) {
            (Answer::Page(page), Wanted::Page(wanted)) => page == wanted,
            (Answer::Page(page), Wanted::Hello) => page == "hello from the stack lab image",
            (Answer::Refused, Wanted::Refused) | (Answer::Silence, Wanted::Silence) => true,
            (Answer::Page(_) | Answer::Refused | Answer::Silence, _) => false,
        };
        let mut last = ask.from.web(ask.to, ask.path)?;
        for _ in 0..3 {
            if is_wanted(&last) && ask.wanted != Wanted::Silence {
                break;
            }
            last = ask.from.web(ask.to, ask.path)?;
            if is_wanted(&last) {
                break;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        if !is_wanted(&last) {
            let _ = writeln!(
                wrong,
                "  {} asks {}{}: wanted {:?}, saw {last:?}",
                ask.from.name(),
                ask.to,
                ask.path,
                ask.wanted
            );
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("wrong answers:\n{wrong}").into())
    }
}

fn hello<'a>(from: &'a Place, to: &'a str) -> Ask<'a> {
    Ask {
        from,
        to,
        path: "/",
        wanted: Wanted::Hello,
    }
}

fn silence<'a>(from: &'a Place, to: &'a str) -> Ask<'a> {
    Ask {
        from,
        to,
        path: "/",
        wanted: Wanted::Silence,
    }
}

fn refused<'a>(from: &'a Place, to: &'a str) -> Ask<'a> {
    Ask {
        from,
        to,
        path: "/",
        wanted: Wanted::Refused,
    }
}

/// The server names itself and tells from which address it was asked.
fn who<'a>(from: &'a Place, to: &'a str, page: &'a str) -> Ask<'a> {
    Ask {
        from,
        to,
        path: "/cgi-bin/who",
        wanted: Wanted::Page(page),
    }
}

fn none(bed: &Bed) -> Result<Outcome, Failure> {
    prove(bed, "none", |up| {
        let links = up.inside("hermit", "ls /sys/class/net")?;
        same("the links of the container", links.as_str(), "lo")?;
        ask_all(&[hello(&up.service("hermit")?, "127.0.0.1:80")])
    })
}

fn host_mode(bed: &Bed) -> Result<Outcome, Failure> {
    prove(bed, "host", |up| {
        let seen = up.inside("web", "ls /sys/class/net")?;
        let own = bed.run("ls /sys/class/net")?;
        same(
            "the links that the container sees",
            seen.as_str(),
            own.trim_end(),
        )?;
        ask_all(&[
            hello(&bed.here(), "127.0.0.1:8088"),
            hello(&up.service("web")?, "10.83.0.10:80"),
        ])
    })
}

fn default_bridge(bed: &Bed) -> Result<Outcome, Failure> {
    let outcome = prove(bed, "default-bridge", |up| {
        let page = "hello from the default bridge";
        let address = |service: &str| -> Result<String, Failure> {
            let template = "{{.NetworkSettings.IPAddress}}{{range.NetworkSettings.Networks}}|{{.IPAddress}}{{end}}";
            let text = bed.docker(&format!(
                "inspect --format {template} {}",
                up.container(service)
            ))?;
            Ok(text
                .trim()
                .rsplit('|')
                .next()
                .unwrap_or_default()
                .to_owned())
        };
        let first = address("web")?;
        let by_name = || up.inside("client", "wget -qO- http://site/");
        same("by the link's name", by_name()?.as_str(), page)?;
        holds(
            "a stranger does not know the name",
            !up.resolves("stranger", "site"),
        )?;
        let by_address = up.inside("stranger", &format!("wget -qO- http://{first}/"))?;
        same("by the address", by_address.as_str(), page)?;
        // The target comes back with another address, since somebody else has taken its old one.
        bed.docker(&format!("stop {}", up.container("web")))?;
        bed.docker("run -d --name squatter stack-lab")?;
        bed.docker(&format!("start {}", up.container("web")))?;
        let second = address("web")?;
        let again = soon(
            "the link's name means the new address",
            Duration::from_secs(5),
            || Ok(by_name().is_ok_and(|seen| seen == page)),
        );
        bed.docker("rm -f squatter")?;
        holds(
            &format!("the address has changed from {first} to {second}"),
            first != second,
        )?;
        again?;
        Ok(())
    });
    // `down` keeps images, as docker compose does.
    bed.docker("image rm stack-example-web")?;
    outcome
}

fn user_bridge(bed: &Bed) -> Result<Outcome, Failure> {
    prove(bed, "user-bridge", |up| {
        let page = "hello from the stack lab image";
        for name in ["proxy", "site", "www", "shop", "10.81.0.10"] {
            let seen = up.inside("visitor", &format!("wget -qO- http://{name}/"))?;
            same(&format!("visitor asks {name}"), seen.as_str(), page)?;
        }
        let seen = up.inside("proxy", "wget -qO- http://database/cgi-bin/who")?;
        holds(
            &format!("proxy asks database; seen: {seen}"),
            seen.starts_with("db answers "),
        )?;
        holds("the link's name is private", !up.resolves("proxy", "shop"))?;
        holds("visitor does not know db", !up.resolves("visitor", "db"))?;
        holds(
            "nobody on quiet reaches another",
            !up.resolves("mute-1", "mute-2"),
        )?;
        let bridge = bed.run("ip -oneline link show br-front")?;
        holds(
            "the bridge has the name that was asked for",
            bridge.contains("br-front"),
        )?;
        let mtu = up.inside("visitor", "cat /sys/class/net/eth0/mtu")?;
        same("the MTU", mtu.as_str(), "1400")?;
        ask_all(&[
            hello(&up.service("visitor")?, "[fd00:81::10]:80"),
            hello(&bed.here(), "127.0.0.1:8081"),
            hello(&bed.here(), "10.81.0.10:80"),
        ])
    })
}

fn container(bed: &Bed) -> Result<Outcome, Failure> {
    prove(bed, "container", |up| {
        let namespace = |service: &str| up.inside(service, "readlink /proc/self/ns/net");
        same("one namespace", namespace("sidecar")?, namespace("web")?)?;
        let page = "hello from the stack lab image";
        let seen = up.inside("sidecar", "wget -qO- http://127.0.0.1:80/")?;
        same("sidecar asks its localhost for web", seen.as_str(), page)?;
        let seen = up.inside("client", "wget -qO- http://web:8080/")?;
        same("client asks web's address for sidecar", seen.as_str(), page)
    })
}

fn container_restarted(bed: &Bed) -> Result<Outcome, Failure> {
    prove(bed, "container", |up| {
        bed.docker(&format!("restart --time 0 {}", up.container("web")))?;
        let links = up.inside("sidecar", "ls /sys/class/net")?;
        same("sidecar is left in a dead namespace", links.as_str(), "lo")?;
        bed.stack(&up.folder, "up -d")?.ok()?;
        let namespace = |service: &str| up.inside(service, "readlink /proc/self/ns/net");
        same(
            "one namespace again",
            namespace("sidecar")?,
            namespace("web")?,
        )?;
        let seen = up.inside("client", "wget -qO- http://web:8080/")?;
        same(
            "client reaches sidecar",
            seen.as_str(),
            "hello from the stack lab image",
        )
    })
}

fn macvlan_bridge(bed: &Bed) -> Result<Outcome, Failure> {
    prove(bed, "macvlan-bridge", |up| {
        let mac = up.inside("site", "cat /sys/class/net/eth0/address")?;
        same("the fixed MAC address", mac.as_str(), "02:42:c0:a8:51:14")?;
        let seen = up.inside("other", "wget -qO- http://www/")?;
        same(
            "names work on macvlan",
            seen.as_str(),
            "hello from the stack lab image",
        )?;
        let laptop = up.machine("office", "laptop");
        let route = bed.run("ip route get 192.168.81.20")?;
        holds(
            &format!("the host's way is the shim; seen: {route}"),
            route.contains("dev shim-"),
        )?;
        ask_all(&[
            who(
                &laptop,
                "192.168.81.20:80",
                "site answers [::ffff:192.168.81.50]",
            ),
            hello(&laptop, "192.168.81.128:80"),
            who(
                &bed.here(),
                "192.168.81.20:80",
                "site answers [::ffff:192.168.81.254]",
            ),
            hello(&bed.here(), "192.168.81.128:80"),
            hello(&up.service("site")?, "192.168.81.128:80"),
            refused(&up.service("site")?, "192.168.81.50:80"),
            refused(&up.service("site")?, "192.168.81.10:80"),
        ])
    })
}

fn macvlan_private(bed: &Bed) -> Result<Outcome, Failure> {
    prove(bed, "macvlan-private", |up| {
        let laptop = up.machine("office", "laptop");
        let one = up.service("one")?;
        ask_all(&[
            hello(&laptop, "192.168.82.21:80"),
            hello(&laptop, "192.168.82.22:80"),
            refused(&one, "192.168.82.50:80"),
            silence(&one, "192.168.82.22:80"),
            silence(&bed.here(), "192.168.82.21:80"),
        ])
    })
}

fn macvlan_vepa(bed: &Bed) -> Result<Outcome, Failure> {
    prove(bed, "macvlan-vepa", |up| {
        let laptop = up.machine("office", "laptop");
        let one = up.service("one")?;
        ask_all(&[
            hello(&laptop, "192.168.83.21:80"),
            hello(&one, "192.168.83.22:80"),
            hello(&bed.here(), "192.168.83.21:80"),
            refused(&one, "192.168.83.50:80"),
        ])
    })
}

fn macvlan_passthru(bed: &Bed) -> Result<Outcome, Failure> {
    prove(bed, "macvlan-passthru", |up| {
        let laptop = up.machine("office", "laptop");
        ask_all(&[
            hello(&laptop, "192.168.84.20:80"),
            refused(&up.service("only")?, "192.168.84.1:80"),
            silence(&bed.here(), "192.168.84.50:80"),
        ])
    })
}

fn tutorial(bed: &Bed) -> Result<Outcome, Failure> {
    prove(bed, "tutorial", |up| {
        let client = up.machine("site", "client");
        let mac = bed.docker("exec helloworld-nodejs cat /sys/class/net/eth0/address")?;
        same("the MAC address", mac.trim_end(), "d0:ee:6a:1d:3c:62")?;
        let shim = bed.run("ip -oneline -4 address show dev macvlan_host")?;
        holds(
            &format!("the shim's address; seen: {shim}"),
            shim.contains("192.168.1.233/32"),
        )?;
        let parent = bed.run("ip -details link show wire0")?;
        holds(
            "the parent is promiscuous as asked",
            parent.contains("PROMISC"),
        )?;
        let seen = bed.docker("exec helloworld-nodejs wget -qO- http://neighbour/")?;
        same(
            "names work",
            seen.trim_end(),
            "hello from the stack lab image",
        )?;
        ask_all(&[
            hello(&client, "192.168.1.230:8080"),
            hello(&bed.here(), "192.168.1.230:8080"),
            refused(&bed.container("helloworld-nodejs")?, "192.168.1.30:80"),
        ])
    })
}

fn main_job(bed: &Bed) -> Result<Outcome, Failure> {
    prove(bed, "main", |up| {
        let laptop = up.machine("office", "laptop");
        let page = "hello from the stack lab image";
        let seen = up.inside("db", "wget -qO- http://www/")?;
        same("db asks www", seen.as_str(), page)?;
        let seen = up.inside("sidecar", "wget -qO- http://127.0.0.1/")?;
        same("sidecar shares web's localhost", seen.as_str(), page)?;
        let links = up.inside("sealed", "ls /sys/class/net")?;
        same("sealed has only lo", links.as_str(), "lo")?;
        let mac = up.inside("site", "cat /sys/class/net/eth0/address")?;
        same("site's MAC address", mac.as_str(), "02:42:c0:a8:4d:14")?;
        ask_all(&[
            who(
                &laptop,
                "192.168.77.20:80",
                "site answers [::ffff:192.168.77.50]",
            ),
            who(
                &bed.here(),
                "192.168.77.20:80",
                "site answers [::ffff:192.168.77.254]",
            ),
            hello(&bed.here(), "192.168.77.128:80"),
            hello(&bed.here(), "127.0.0.1:8099"),
            silence(&up.service("sealed")?, "192.168.77.20:80"),
        ])
    })
}

fn plugin(bed: &Bed) -> Result<Outcome, Failure> {
    let folder = repository().join("examples/plugin");
    let start = std::time::Instant::now();
    let said = bed.stack(&folder, "up -d")?;
    let seconds = start.elapsed().as_secs_f64();
    let text = format!("{}{}", said.stdout, said.stderr);
    holds("it fails", said.code != Some(0))?;
    holds(
        &format!("the driver is named; seen: {text}"),
        text.contains("nosuch"),
    )?;
    holds(
        &format!("it is refused at once, not after {seconds} s"),
        seconds < 5.0,
    )?;
    Ok(Outcome::Passed)
}

fn overlay_refused(bed: &Bed) -> Result<Outcome, Failure> {
    let said = bed.stack(&repository().join("examples/overlay"), "up -d")?;
    let text = format!("{}{}", said.stdout, said.stderr);
    holds("it fails", said.code != Some(0))?;
    holds(
        &format!("the remedy is named; seen: {text}"),
        text.contains("docker swarm init"),
    )?;
    Ok(Outcome::Passed)
}

fn overlay(bed: &mut Bed) -> Result<Outcome, Failure> {
    bed.docker("swarm init --advertise-addr 127.0.0.1")?;
    // The first overlay container makes what the swarm keeps for itself (docker_gwbridge).
    bed.docker("network create --driver overlay --attachable first")?;
    bed.docker("run --rm --network first stack-lab true")?;
    bed.docker("network rm first")?;
    let before = bed.host()?;
    prove(bed, "overlay", |up| {
        for name in ["web", "site", "10.89.0.20"] {
            let seen = up.inside("client", &format!("wget -qO- http://{name}/"))?;
            same(
                &format!("client asks {name}"),
                seen.as_str(),
                "hello from the stack lab image",
            )?;
        }
        Ok(())
    })?;
    // The engine takes a network's namespace down some time after the network.
    soon(
        "nothing is left on the host",
        Duration::from_secs(10),
        || Ok(before.difference(&bed.host()?).is_empty()),
    )
    .map_err(|failure| match bed.host() {
        Ok(after) => format!("{failure}\n{}", before.difference(&after)).into(),
        Err(second) => second,
    })?;
    Ok(Outcome::Passed)
}
