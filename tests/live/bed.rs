//! A private host: a network namespace and a mount namespace with a Docker Engine and the lab image in them, made by
//! `tests/beds/engine.sh`. Everything a test does to "the host" it does in here; the machine sees nothing of it. It is
//! gone when the value is dropped.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::host::Host;
use crate::place::Place;
use crate::runner::{Failure, repository};

/// The program under test.
const STACK: &str = env!("CARGO_BIN_EXE_stack");

/// The program under test, for scripts that call it.
pub fn stack_program() -> &'static str {
    STACK
}

/// No command in a test may take longer.
const COMMAND_SECONDS: &str = "120";

/// A Docker Engine's programs.
pub struct Engine {
    label: String,
    folder: Option<PathBuf>,
}

impl Engine {
    /// `installed`, `newest` (as an earlier run of `newest-engine.sh` left it) or a folder. The error is the reason to
    /// skip.
    pub fn find(name: &str) -> Result<Engine, String> {
        let folder = match name {
            "installed" => None,
            "newest" => {
                let answer = Command::new("sh")
                    .arg(repository().join("tests/beds/newest-engine.sh"))
                    .arg("--cached")
                    .output()
                    .map_err(|error| error.to_string())?;
                let said = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
                if !answer.status.success() {
                    return Err(said.trim_start_matches("skipped: ").to_owned());
                }
                Some(PathBuf::from(said))
            }
            folder => Some(PathBuf::from(folder)),
        };
        let dockerd = match &folder {
            Some(folder) => folder.join("usr/sbin/dockerd"),
            None => PathBuf::from("dockerd"),
        };
        let answer = Command::new(&dockerd)
            .env("PATH", system_path())
            .arg("--version")
            .output()
            .map_err(|_| format!("no {}; run tests/setup.sh", dockerd.display()))?;
        // `Docker version 20.10.24+dfsg1, build 5d6db84`
        let said = String::from_utf8_lossy(&answer.stdout).into_owned();
        let version = said.split([' ', ',']).nth(2).unwrap_or(name);
        let label = version.split('+').next().unwrap_or(version).to_owned();
        Ok(Engine { label, folder })
    }

    /// Where it was unpacked; `None` for the installed one.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The version, as in `20.10.24`.
    pub fn label(&self) -> &str {
        &self.label
    }
}

/// Why there can be no private host on this machine, if so.
pub fn unavailable() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    for program in ["dockerd", "docker", "ip", "nsenter", "curl", "busybox"] {
        let found =
            std::env::split_paths(&system_path()).any(|folder| folder.join(program).exists());
        if !found {
            return Some(format!("no {program}; run tests/setup.sh"));
        }
    }
    None
}

/// Removes the hosts of test runs that were killed.
pub fn sweep() {
    let _ = Command::new("sh").arg(script()).arg("sweep").status();
}

fn script() -> PathBuf {
    repository().join("tests/beds/engine.sh")
}

fn system_path() -> String {
    format!(
        "{}:/usr/sbin:/sbin",
        std::env::var("PATH").unwrap_or_default()
    )
}

/// Whether a version as in `20.10.24` is of this major version or newer.
pub fn is_at_least(version: &str, major: u32) -> bool {
    let first = version.split('.').next();
    first
        .and_then(|number| number.parse::<u32>().ok())
        .is_some_and(|number| number >= major)
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// The standard output, if the command succeeded.
    pub fn ok(self) -> Result<String, Failure> {
        if self.code == Some(0) {
            return Ok(self.stdout);
        }
        Err(self.describe().into())
    }

    /// The standard error, if the command ended with this code.
    pub fn fails_with(self, code: i32) -> Result<String, Failure> {
        if self.code == Some(code) {
            return Ok(self.stderr);
        }
        Err(format!("wanted exit code {code}: {}", self.describe()).into())
    }

    fn describe(&self) -> String {
        let code = match self.code {
            Some(code) => format!("exit code {code}"),
            None => "ended by a signal".to_owned(),
        };
        format!("{code}\n{}{}", self.stdout, self.stderr)
    }
}

/// Runs a command to its end and names it in an error.
pub fn ran(command: &mut Command) -> Result<Ran, Failure> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    Ok(Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// A private host with an engine.
pub struct Bed {
    name: String,
    folder: PathBuf,
    keeper: u32,
    version: String,
    kept: bool,
}

impl Bed {
    /// Starts the engine and loads the lab image.
    pub fn start(engine: &Engine) -> Result<Bed, Failure> {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let owner = std::process::id();
        let name = format!("t{owner}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut command = Command::new("sh");
        command
            .arg(script())
            .args(["start", &name])
            .env("STACK_BED_OWNER", owner.to_string());
        if let Some(folder) = &engine.folder {
            command.arg("--engine").arg(folder);
        }
        let folder = PathBuf::from(ran(&mut command)?.ok()?.trim());
        let keeper = std::fs::read_to_string(folder.join("keeper.pid"))?
            .trim()
            .parse()?;
        let bed = Bed {
            name,
            folder,
            keeper,
            version: engine.label.clone(),
            kept: false,
        };
        ran(Command::new("sh")
            .arg(repository().join("examples/image.sh"))
            .env("DOCKER_HOST", bed.docker_host()))?
        .ok()?;
        // The engine's first container and its first IPv6 network leave traces that nothing takes back (the default bridge
        // gets its carrier and with it an IPv6 address; dockerd turns the host's IPv6 forwarding on, and 28 an
        // empty table for IPv6 packets), so they come before the first comparison.
        bed.docker("run --rm stack-lab true")?;
        bed.docker("network create --ipv6 --subnet fd00:bed::/64 first")?;
        bed.docker("run --rm --network first stack-lab true")?;
        bed.docker("network rm first")?;
        Ok(bed)
    }

    /// The engine's version, as in `20.10.24`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether the engine is of this major version or newer.
    pub fn is_at_least(&self, major: u32) -> bool {
        is_at_least(&self.version, major)
    }

    /// Where its data, its log and its socket are.
    pub fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    /// A file of this host by a path of the machine.
    pub fn inside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.keeper))
    }

    /// The process that keeps the namespaces.
    pub fn keeper(&self) -> u32 {
        self.keeper
    }

    /// The address of the engine, as `DOCKER_HOST` takes it.
    pub fn docker_host(&self) -> String {
        format!("unix://{}", self.folder.join("docker.sock").display())
    }

    /// A command that will run on this host. It has two minutes.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.command_in(Path::new("/"), program)
    }

    fn command_in(&self, folder: &Path, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.unlimited(folder, OsStr::new("timeout"));
        command
            .args(["--signal=KILL", COMMAND_SECONDS])
            .arg(program);
        command
    }

    fn unlimited(&self, folder: &Path, program: &OsStr) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={}", self.keeper))
            .args(["--net", "--mount"])
            .arg(format!("--wdns={}", folder.display()))
            .arg("--")
            .arg(program)
            .env("DOCKER_HOST", self.docker_host())
            .env("PATH", system_path());
        command
    }

    /// Runs a program on this host and gives its standard output; anything but success is a failure. The words are
    /// separated by white space; where one contains some, use `shell`.
    pub fn run(&self, words: &str) -> Result<String, Failure> {
        let mut words = words.split_whitespace();
        let mut command = self.command(words.next().ok_or("no program was named")?);
        command.args(words);
        ran(&mut command)?
            .ok()
            .map_err(|failure| format!("{command:?}: {failure}").into())
    }

    /// The same for a script.
    pub fn shell(&self, script: &str) -> Result<String, Failure> {
        ran(self.command("sh").args(["-c", script]))?
            .ok()
            .map_err(|failure| format!("`{script}`: {failure}").into())
    }

    /// The same for the docker client.
    pub fn docker(&self, words: &str) -> Result<String, Failure> {
        self.run(&format!("docker {words}"))
    }

    /// Runs the `stack` that was built with these tests, in a folder.
    pub fn stack(&self, folder: &Path, words: &str) -> Result<Ran, Failure> {
        ran(self
            .command_in(folder, STACK)
            .args(words.split_whitespace()))
    }

    /// Starts the `stack` that was built with these tests, for tests that interrupt or kill it: the child's process id
    /// is that of `stack`. Its output is to be read from the child.
    pub fn spawn_stack(&self, folder: &Path, words: &str) -> Result<Child, Failure> {
        Ok(self
            // Whoever runs the tests may ignore hangups, and processes inherit that.
            .unlimited(folder, OsStr::new("env"))
            .args(["--default-signal=HUP", STACK])
            .args(words.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?)
    }

    /// The host itself, as the one who asks.
    pub fn here(&self) -> Place {
        Place::new(
            "the host",
            PathBuf::from(format!("/proc/{}/ns/net", self.keeper)),
        )
    }

    /// A named network namespace of this host: a machine of a wire, or what `stack` made.
    pub fn machine(&self, name: &str) -> Place {
        let file = format!("/proc/{}/root/run/netns/{name}", self.keeper);
        Place::new(name, PathBuf::from(file))
    }

    /// A running container, as the one who asks.
    pub fn container(&self, name: &str) -> Result<Place, Failure> {
        let process = self.docker(&format!("inspect --format {{{{.State.Pid}}}} {name}"))?;
        let process = process.trim();
        if process == "0" {
            return Err(format!("container `{name}` does not run").into());
        }
        Ok(Place::new(
            name,
            PathBuf::from(format!("/proc/{process}/ns/net")),
        ))
    }

    /// All that a test has to leave as it was.
    pub fn host(&self) -> Result<Host, Failure> {
        Host::observe(self, self.keeper)
    }

    /// Kills the engine as a crash would.
    pub fn kill_engine(&mut self) -> Result<(), Failure> {
        self.script("kill")
    }

    /// Starts a killed engine again, on the same data.
    pub fn revive_engine(&mut self) -> Result<(), Failure> {
        self.script("revive")
    }

    /// Ends the host as a power cut would, and starts it again, but for the engine: only what is on its disk is left.
    pub fn reboot(&mut self) -> Result<(), Failure> {
        self.script("reboot")?;
        let keeper = std::fs::read_to_string(self.folder.join("keeper.pid"))?;
        self.keeper = keeper.trim().parse()?;
        Ok(())
    }

    fn script(&self, verb: &str) -> Result<(), Failure> {
        ran(Command::new("sh").arg(script()).args([verb, &self.name]))?.ok()?;
        Ok(())
    }

    /// Lets the host live on, for a look at it.
    pub fn keep(mut self) {
        self.kept = true;
        let _ = std::fs::remove_file(self.folder.join("owner"));
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Err(failure) = self.script("stop") {
            eprintln!("cannot stop the private host `{}`: {failure}", self.name);
        }
    }
}
