//! The stack files under `examples/`, each one as a reader would try it: read, planned, brought up, looked at from the
//! host, from containers and from other machines, brought up again without a change, and brought down without a trace.
//! What the comment at the top of a file says is proven here, also that which must not work.
//!
//! `shown` is the frame around every example; the files beside this one hold the proofs, by kind of network.
//! `guest_examples.rs` has those that need more of the kernel than this machine may have.

mod bridges;
mod plugin;
mod swarm;
mod tutorial;
mod wires;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::bed::{Bed, Ran, ran};
use crate::place::{Answer, Place};
use crate::runner::{Failure, Outcome, Test, holds, repository, same};

/// All tests of the examples.
pub fn tests() -> Vec<Test> {
    [
        bridges::tests(),
        wires::tests(),
        tutorial::tests(),
        swarm::tests(),
        plugin::tests(),
    ]
    .concat()
}

/// How long something may take to come true that is said to be true after `up`: a web server's first moment.
const SOON: Duration = Duration::from_secs(5);

/// An example, in a folder of its own, so that a proof may change the file.
struct Example<'a> {
    bed: &'a Bed,
    name: &'static str,
    folder: PathBuf,
    /// The codes of the warnings that the file deserves.
    warnings: &'static [&'static str],
    /// How long the engine may go on taking things away after it said that they are gone.
    settles: Duration,
    _temporary: TempDir,
}

/// Brings an example up, proves it, brings it down; the host is the same before and after.
fn shown(
    bed: &Bed,
    name: &'static str,
    prove: fn(&Example) -> Result<(), Failure>,
) -> Result<Outcome, Failure> {
    let example = Example::copied(bed, name)?;
    example.shown(prove)?;
    Ok(Outcome::Passed)
}

/// A copy of an example's folder, whose name gives the project its name.
pub fn copied(name: &str) -> Result<(TempDir, PathBuf), Failure> {
    let temporary = tempfile::tempdir()?;
    let from = repository().join("examples").join(name);
    ran(std::process::Command::new("cp")
        .arg("-r")
        .arg(&from)
        .arg(temporary.path()))?
    .ok()?;
    let folder = temporary.path().join(name);
    Ok((temporary, folder))
}

impl<'a> Example<'a> {
    fn copied(bed: &'a Bed, name: &'static str) -> Result<Example<'a>, Failure> {
        let (temporary, folder) = copied(name)?;
        Ok(Example {
            bed,
            name,
            folder,
            warnings: &[],
            settles: Duration::ZERO,
            _temporary: temporary,
        })
    }

    fn shown(&self, prove: fn(&Example) -> Result<(), Failure>) -> Result<(), Failure> {
        let before = self.bed.host()?;
        let config = self.stack("config --quiet")?;
        let codes = config
            .stderr
            .lines()
            .filter_map(|line| line.strip_prefix("warning[")?.split(']').next());
        same(
            "the warnings",
            codes.collect::<Vec<_>>(),
            self.warnings.to_vec(),
        )?;
        holds("there is no error", !config.stderr.contains("error"))?;
        config.ok()?;
        let plan = self.stack("plan")?;
        same("the exit code of `plan`", plan.code, Some(2))?;
        let proven = self
            .up()
            .and_then(|()| prove(self))
            .and_then(|()| self.unchanged());
        let down = self.stack("down --rmi local");
        proven?;
        down?.ok()?;
        let start = std::time::Instant::now();
        loop {
            let left = before.difference(&self.bed.host()?);
            if left.is_empty() || start.elapsed() >= self.settles {
                return same("what is left after `down`", left.as_str(), "");
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// `stack up -d`, which has to succeed.
    fn up(&self) -> Result<(), Failure> {
        self.stack("up --detach")?.ok()?;
        Ok(())
    }

    /// `up` again does nothing and says so, and there is nothing to plan.
    fn unchanged(&self) -> Result<(), Failure> {
        let before = self.containers()?;
        let again = self.stack("up --detach")?;
        let said = again.stderr.clone();
        again.ok()?;
        holds(
            &format!("`up` again says that there is nothing to do; it said:\n{said}"),
            said.trim_end().ends_with("nothing to do")
                && said.lines().filter(|line| is_progress(line)).count() == 1,
        )?;
        self.stack("plan")?.ok()?;
        same(
            "the containers after `up` again",
            self.containers()?,
            before,
        )
    }

    fn containers(&self) -> Result<String, Failure> {
        self.bed
            .docker("ps --all --no-trunc --format {{.ID}}:{{.Names}}:{{.State}}")
    }

    /// Runs `stack` in the example's folder.
    fn stack(&self, words: &str) -> Result<Ran, Failure> {
        self.bed.stack(&self.folder, words)
    }

    /// Changes the stack file.
    fn edit(&self, from: &str, to: &str) -> Result<(), Failure> {
        edit(&self.folder.join("stack.yaml"), from, to)
    }

    /// The container of a service, as the one who asks.
    fn service(&self, service: &str) -> Result<Place, Failure> {
        self.bed.container(&self.container(service))
    }

    fn container(&self, service: &str) -> String {
        format!("{}-{service}-1", self.name)
    }

    /// A machine of one of the example's lans.
    fn machine(&self, lan: &str, machine: &str) -> Place {
        self.bed.machine(&format!("{}-{lan}-{machine}", self.name))
    }

    /// A command in a service's container; its words are separated by white space.
    fn exec(&self, service: &str, words: &str) -> Result<Ran, Failure> {
        self.exec_in(&self.container(service), words)
    }

    /// The same by the container's name.
    fn exec_in(&self, container: &str, words: &str) -> Result<Ran, Failure> {
        ran(self
            .bed
            .command("docker")
            .args(["exec", container])
            .args(words.split_whitespace()))
    }

    /// A page that a service asks for by name, as in `page("client", "http://site/")`; asked again while the server is
    /// about to start.
    fn page(&self, service: &str, address: &str) -> Result<String, Failure> {
        page_in(self, &self.container(service), address)
    }

    /// Whether a service cannot even find a name.
    fn knows_not(&self, service: &str, name: &str) -> Result<(), Failure> {
        let said = self.exec(service, &format!("wget -qO- http://{name}/"))?;
        holds(
            &format!("{service} does not know the name `{name}`; it said: {said:?}"),
            said.code == Some(1) && said.stderr.contains("bad address"),
        )
    }

    /// What the engine says of a container, by a template without white space.
    fn inspect(&self, container: &str, template: &str) -> Result<String, Failure> {
        let text = self
            .bed
            .docker(&format!("inspect --format {template} {container}"))?;
        Ok(text.trim().to_owned())
    }

    /// A container's address in its only network.
    fn address(&self, service: &str) -> Result<String, Failure> {
        let template = "{{range.NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        self.inspect(&self.container(service), template)
    }

    /// A container's MAC address in its only network.
    fn mac(&self, service: &str) -> Result<String, Failure> {
        let template = "{{range.NetworkSettings.Networks}}{{.MacAddress}}{{end}}";
        self.inspect(&self.container(service), template)
    }

    /// The links in a container's namespace, as the kernel there shows them.
    fn links(&self, service: &str) -> Result<String, Failure> {
        let links = self.exec(service, "ls /sys/class/net")?.ok()?;
        Ok(links.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// The network namespace that a container lives in.
    fn namespace(&self, container: &str) -> Result<String, Failure> {
        self.exec_in(container, "readlink /proc/1/ns/net")?.ok()
    }
}

/// Whether a line of `up` tells what is done; warnings have places, which are indented further.
fn is_progress(line: &str) -> bool {
    line.strip_prefix(' ')
        .is_some_and(|rest| rest.starts_with(char::is_alphabetic))
}

fn page_in(example: &Example, container: &str, address: &str) -> Result<String, Failure> {
    let start = std::time::Instant::now();
    loop {
        let said = example.exec_in(container, &format!("wget -qO- {address}"))?;
        if said.code == Some(0) || start.elapsed() > SOON {
            let said = said
                .ok()
                .map_err(|failure| format!("{container} asks for {address}: {failure}"))?;
            return Ok(said.trim_end().to_owned());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn edit(file: &Path, from: &str, to: &str) -> Result<(), Failure> {
    let text = std::fs::read_to_string(file)?;
    holds(
        &format!("{} says `{from}` once", file.display()),
        text.matches(from).count() == 1,
    )?;
    std::fs::write(file, text.replace(from, to))?;
    Ok(())
}

/// What is expected of a question over the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// A web server answers.
    Page,
    /// The machine says that nobody listens: it is reached.
    Refused,
    /// Nothing comes back.
    Silence,
}

use Expect::{Page, Refused, Silence};

/// Asks every question, and tells all answers that are not as expected. One that is to be answered is asked again
/// while the server is about to start.
fn reach(questions: &[(&Place, &str, Expect)]) -> Result<(), Failure> {
    let mut wrong = String::new();
    for (from, to, expect) in questions {
        let start = std::time::Instant::now();
        let seen = loop {
            let seen = match from.web(to, "/")? {
                Answer::Page(_) => Page,
                Answer::Refused => Refused,
                Answer::Silence => Silence,
            };
            if seen == *expect || *expect == Silence || start.elapsed() > SOON {
                break seen;
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        if seen != *expect {
            wrong += &format!(
                "  {} to {to}: wanted {expect:?}, got {seen:?}\n",
                from.name()
            );
        }
    }
    same(
        "questions with another answer than expected",
        wrong.as_str(),
        "",
    )
}
