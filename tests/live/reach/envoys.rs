//! Envoys: the engine is reached over the network, so the probes go by containers in the namespaces of the others. They
//! see what threads in there would, and are gone afterwards, however the asking ends.

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{cells, none_differs, stands};
use crate::bed::{Bed, Ran, ran, stack_program};
use crate::runner::{Failure, Outcome, holds, same, soon};

const FILE: &str = include_str!("envoys.yaml");

/// The containers and images that are there to probe.
const TRACES: &str = "docker ps --all --quiet --filter label=stack.probe; docker image ls --quiet --filter label=stack.probe";

/// Everything that threads would see, and nothing left.
pub fn see_the_same(bed: &Bed) -> Result<Outcome, Failure> {
    let away = Away::of(bed)?;
    stands(bed, FILE, |_, named| {
        let ran = away.stack(&format!(
            "{named} reach --probe --with-responders --format json"
        ))?;
        let answer: Value = serde_json::from_str(&ran.stdout)
            .map_err(|error| format!("{error}: {}{}", ran.stdout, ran.stderr))?;
        none_differs(cells(&answer))?;
        let agree = answer["counts"]["agree"].as_u64().unwrap_or(0);
        println!(
            "  {agree} cells agree by envoys, on engine {}",
            bed.version()
        );
        holds("at least 150 cells were compared", agree >= 150)?;
        same("what is left", bed.shell(TRACES)?, String::new())?;
        Ok(agree)
    })?;
    Ok(Outcome::Passed)
}

/// Ctrl+C in the middle leaves nothing; a kill leaves the image, which `orphans` knows.
pub fn come_home(bed: &Bed) -> Result<Outcome, Failure> {
    let away = Away::of(bed)?;
    stands(bed, FILE, |folder, named| {
        let mut asking = away.begin(&format!("{named} reach --probe"))?;
        some_are_out(bed)?;
        let id = nix::unistd::Pid::from_raw(asking.id().try_into()?);
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGINT)?;
        same("the code of Ctrl+C", asking.wait()?.code(), Some(130))?;
        same("what Ctrl+C leaves", bed.shell(TRACES)?, String::new())?;

        let mut asking = away.begin(&format!("{named} reach --probe"))?;
        some_are_out(bed)?;
        asking.kill()?;
        asking.wait()?;
        soon(
            "containers end with the one who asks",
            Duration::from_secs(20),
            || {
                Ok(bed
                    .docker("ps --all --quiet --filter label=stack.probe")?
                    .is_empty())
            },
        )?;
        let told = bed.stack(folder, "orphans")?;
        holds(
            &format!("the image is an orphan: {}", told.stdout),
            told.stdout.contains("stack-probe:"),
        )?;
        bed.stack(folder, "orphans --remove")?.ok()?;
        same("what orphans leaves", bed.shell(TRACES)?, String::new())?;
        Ok(0)
    })?;
    Ok(Outcome::Passed)
}

fn some_are_out(bed: &Bed) -> Result<(), Failure> {
    soon("somebody is out to ask", Duration::from_secs(30), || {
        let out = bed.docker("ps --quiet --filter label=stack.probe")?;
        Ok(out.lines().count() >= 2)
    })
}

/// The engine as seen from another machine: by an address, and nothing else of the bed.
struct Away {
    url: String,
    _home: tempfile::TempDir,
    home: PathBuf,
}

impl Away {
    fn of(bed: &Bed) -> Result<Away, Failure> {
        let home = tempfile::tempdir()?;
        Ok(Away {
            url: format!(
                "tcp://127.0.0.1:{}",
                door(&bed.folder().join("docker.sock"))?
            ),
            home: home.path().to_owned(),
            _home: home,
        })
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(stack_program());
        command
            .args(words.split_whitespace())
            .env("DOCKER_HOST", &self.url)
            .env("HOME", &self.home);
        command
    }

    fn stack(&self, words: &str) -> Result<Ran, Failure> {
        ran(&mut self.command(words))
    }

    fn begin(&self, words: &str) -> Result<Child, Failure> {
        let mut command = self.command(words);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(command.spawn()?)
    }
}

/// A port of this machine that leads to the socket, as long as the tests run.
fn door(socket: &Path) -> Result<u16, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let socket = socket.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // An engine that is gone is for the client to find out.
            let Ok(engine) = UnixStream::connect(&socket) else {
                continue;
            };
            let (Ok(from_client), Ok(from_engine)) = (client.try_clone(), engine.try_clone())
            else {
                continue;
            };
            std::thread::spawn(move || carry(from_client, engine));
            std::thread::spawn(move || back(from_engine, client));
        }
    });
    Ok(port)
}

fn carry(mut from: TcpStream, mut to: UnixStream) {
    // Either end may go whenever it likes.
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Write);
}

fn back(mut from: UnixStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Write);
}
