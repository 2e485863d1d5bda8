//! Envoys: the engine is reached over the network, so the probes go by containers in the namespaces of the others. They
//! see what threads in there would, and are gone afterwards, however the asking ends.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// A container that ends after the look and before somebody is sent there is one that is down.
pub fn end_meanwhile(bed: &Bed) -> Result<Outcome, Failure> {
    let away = Away::of(bed)?;
    stands(bed, FILE, |_, named| {
        // Those who ask are made after the look.
        let mut end = bed.command("docker");
        end.args(["kill", "renvoys-app-1"]);
        away.before("/containers/create", end);
        let ran = away.stack(&format!("{named} reach --probe --format json"))?;
        let answer: Value = serde_json::from_str(&ran.stdout)
            .map_err(|error| format!("{error}: {}{}", ran.stdout, ran.stderr))?;
        let running = bed.docker("ps --quiet --filter name=renvoys-app-1")?;
        same("the container that was ended", running, String::new())?;
        none_differs(cells(&answer))?;
        let asked = cells(&answer)
            .filter(|cell| cell["from"] == "renvoys-app-1" && cell["seen"].is_string())
            .count();
        same("the cells that were asked from there", asked, 0)?;
        same("what is left", bed.shell(TRACES)?, String::new())?;
        let agree = answer["counts"]["agree"].as_u64().unwrap_or(0);
        holds("those of the others were compared", agree >= 50)?;
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
    meanwhile: Meanwhile,
    _home: tempfile::TempDir,
    home: PathBuf,
}

impl Away {
    fn of(bed: &Bed) -> Result<Away, Failure> {
        let home = tempfile::tempdir()?;
        let meanwhile = Meanwhile::default();
        let port = door(&bed.folder().join("docker.sock"), &meanwhile)?;
        Ok(Away {
            url: format!("tcp://127.0.0.1:{port}"),
            meanwhile,
            home: home.path().to_owned(),
            _home: home,
        })
    }

    /// Runs a command once, before the engine gets the next request that has these words.
    fn before(&self, words: &'static str, command: Command) {
        *locked(&self.meanwhile) = Some((words, command));
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

/// What is to happen before a request with these words.
type Meanwhile = Arc<Mutex<Option<(&'static str, Command)>>>;

fn locked(meanwhile: &Meanwhile) -> MutexGuard<'_, Option<(&'static str, Command)>> {
    meanwhile.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A port of this machine that leads to the socket, as long as the tests run.
fn door(socket: &Path, meanwhile: &Meanwhile) -> Result<u16, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let socket = socket.to_owned();
    let meanwhile = Arc::clone(meanwhile);
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
            let meanwhile = Arc::clone(&meanwhile);
            std::thread::spawn(move || carry(from_client, engine, &meanwhile));
            std::thread::spawn(move || back(from_engine, client));
        }
    });
    Ok(port)
}

fn carry(mut from: TcpStream, mut to: UnixStream, meanwhile: &Meanwhile) {
    let mut piece = [0; 16 * 1024];
    // Either end may go whenever it likes.
    while let Ok(length @ 1..) = from.read(&mut piece) {
        let said = String::from_utf8_lossy(&piece[..length]);
        let command = locked(meanwhile).take_if(|(words, _)| said.contains(*words));
        if let Some((_, mut command)) = command {
            // What came of it the test sees.
            let _ = command.output();
        }
        if to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

fn back(mut from: UnixStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Write);
}
