//! An engine on another machine: a laptop on the wire has only a network between itself and the engine's host, and reaches
//! it by `ssh` or by plain TCP, named in DOCKER_HOST or by a context. Everything that is the engine's own works as
//! here; what would have to be made on the engine's host is refused with the reason, before anything is done.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::bed::{Bed, Ran, ran, stack_program};
use crate::runner::{Failure, Outcome, Run, Test, holds, repository, same, soon};
use crate::wire::Wire;

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "remote::an_engine_behind_ssh_is_used_as_one_here",
            run: Run::Host(behind_ssh),
        },
        Test {
            name: "remote::an_engine_behind_tcp_is_used_as_one_here",
            run: Run::OwnHost(behind_tcp),
        },
        Test {
            name: "remote::an_engine_behind_tls_is_used_as_one_here_and_only_with_the_right_certificates",
            run: Run::OwnHost(behind_tls),
        },
    ]
}

/// The engine's host on the wire.
const HOST: &str = "10.60.0.2";

/// The laptop, with a stack file and a docker configuration of its own.
struct Laptop<'a> {
    bed: &'a Bed,
    _wire: Wire<'a>,
    folder: TempDir,
    /// Where it has the certificates for TLS.
    certificates: Option<PathBuf>,
}

impl<'a> Laptop<'a> {
    fn at(bed: &'a Bed) -> Result<Laptop<'a>, Failure> {
        let wire = Wire::new(bed, "far0", &[("laptop", "10.60.0.9/24")])?;
        bed.run(&format!("ip address add {HOST}/24 dev far0"))?;
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("stack.yaml"), FILE)?;
        std::fs::write(folder.path().join("lan.yaml"), WITH_A_LAN)?;
        std::fs::write(folder.path().join("long"), long())?;
        let image = folder.path().join("image");
        std::fs::create_dir(&image)?;
        std::fs::write(image.join("Dockerfile"), DOCKERFILE)?;
        std::fs::write(image.join("page"), "built from far away\n")?;
        Ok(Laptop {
            bed,
            _wire: wire,
            folder,
            certificates: None,
        })
    }

    /// `stack` on the laptop, with the engine at this address; without one the context says where it is.
    fn stack(&self, engine: Option<&str>, words: &str) -> Result<Ran, Failure> {
        let script = format!(
            "cd {} && exec {} {words}",
            self.folder.path().display(),
            stack_program()
        );
        let mut command = self.bed.command("ip");
        command
            .args(["netns", "exec", "laptop", "sh", "-c", &script])
            .env("DOCKER_CONFIG", self.folder.path().join("docker"));
        if let Some(certificates) = &self.certificates {
            command.env("DOCKER_TLS_VERIFY", "1");
            command.env("DOCKER_CERT_PATH", certificates);
        }
        match engine {
            Some(engine) => command.env("DOCKER_HOST", engine),
            None => command.env_remove("DOCKER_HOST"),
        };
        ran(&mut command)
    }

    /// What a user does in a day, and that nothing is left.
    fn works(&self, engine: &str) -> Result<(), Failure> {
        let before = self.bed.host()?;
        let seen = self.day(engine);
        let down = self.stack(Some(engine), "down --rmi local");
        seen?;
        down?.ok()?;
        let left = before.difference(&self.bed.host()?);
        same("what is left", left.as_str(), "")
    }

    fn day(&self, engine: &str) -> Result<(), Failure> {
        let far = |words: &str| -> Result<String, Failure> {
            self.stack(Some(engine), words)?
                .ok()
                .map_err(|failure| format!("`stack {words}`: {failure}").into())
        };
        far("up --detach --wait")?;
        same(
            "the engine runs it",
            self.bed.docker("ps -q")?.lines().count(),
            2,
        )?;
        let ps = far("ps --format {{.Service}}={{.State}}")?;
        let mut ps: Vec<&str> = ps.split_whitespace().collect();
        ps.sort_unstable();
        same("`ps`", ps, vec!["client=running", "web=running"])?;
        let page = far("exec client wget -qO- http://web/page")?;
        same("the page by name", page.trim(), "built from far away")?;
        let refused = self.stack(Some(engine), "exec client sh -c 'cat; exit 7' </dev/null")?;
        same("a command's exit code", refused.code, Some(7))?;
        let piped = self.stack(Some(engine), "exec -T client cat <long")?.ok()?;
        holds(
            &format!("what goes in comes out, to its end: {} bytes", piped.len()),
            piped == long(),
        )?;
        let answer = far("run --rm -T client sh -c 'echo once'")?;
        same("`run`", answer.trim(), "once")?;
        let logs = far("logs client")?;
        holds(&format!("`logs`: {logs}"), logs.contains("| ready"))?;
        let again = self.stack(Some(engine), "up --detach")?;
        holds(
            &format!("`up` again: {}", again.stderr),
            again.code == Some(0) && again.stderr.contains("nothing to do"),
        )?;
        far("restart client")?;
        far("stop")?;
        let refused = self
            .stack(Some(engine), "-f lan.yaml up --detach")?
            .fails_with(1)?;
        holds(
            &format!("a shim there is refused with the reason: {refused}"),
            refused.contains("host-elsewhere"),
        )
    }
}

/// A server on the engine's host that the laptop's key opens.
struct Server<'a> {
    bed: &'a Bed,
    process: Child,
    _folder: TempDir,
}

impl<'a> Server<'a> {
    /// The error of the inner result is the reason to skip.
    fn start(bed: &'a Bed) -> Result<Result<Server<'a>, String>, Failure> {
        let sshd = match program()? {
            Ok(sshd) => sshd,
            Err(reason) => return Ok(Err(reason)),
        };
        let temporary = tempfile::tempdir()?;
        let folder = temporary.path();
        // The server looks at who may write on the way to its files.
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o700))?;
        for key in ["host", "user"] {
            ran(Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(folder.join(key)))?
            .ok()?;
        }
        let read = |name: &str| std::fs::read_to_string(folder.join(name));
        std::fs::write(
            folder.join("known"),
            format!("[{HOST}]:2222 {}", read("host.pub")?),
        )?;
        std::fs::write(folder.join("server"), server_file(folder, bed))?;
        std::fs::write(folder.join("client"), client_file(folder))?;
        // The server's helper has a user of its own.
        let mut users = std::fs::read_to_string("/etc/passwd")?;
        if !users.lines().any(|line| line.starts_with("sshd:")) {
            users.push_str("sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n");
        }
        std::fs::write(folder.join("passwd"), users)?;
        bed.shell(&format!(
            "mkdir -p /run/sshd && mount --bind {0}/passwd /etc/passwd && mount --bind {0}/client /etc/ssh/ssh_config",
            folder.display()
        ))?;
        let process = bed
            .command(sshd)
            .args(["-D", "-e", "-f"])
            .arg(folder.join("server"))
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(folder.join("log"))?)
            .spawn()?;
        let server = Server {
            bed,
            process,
            _folder: temporary,
        };
        soon("the ssh server listens", Duration::from_secs(10), || {
            Ok(bed.run("ss -Hltn sport = :2222")?.contains(HOST))
        })?;
        Ok(Ok(server))
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        // The limit of time that it runs under passes the signal on.
        if let Ok(id) = i32::try_from(self.process.id()) {
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
        let _ = self.process.wait();
        let _ = self
            .bed
            .shell("umount /etc/passwd /etc/ssh/ssh_config; rmdir /run/sshd");
    }
}

fn program() -> Result<Result<PathBuf, String>, Failure> {
    if !Path::new("/etc/ssh/ssh_config").exists() {
        return Ok(Err("no ssh client; run tests/setup.sh ssh".to_owned()));
    }
    let answer = ran(Command::new("sh")
        .arg(repository().join("tests/beds/sshd.sh"))
        .arg("--cached"))?;
    let said = answer.stdout.trim().to_owned();
    Ok(match answer.code {
        Some(0) => Ok(PathBuf::from(said)),
        _ => Err(said.trim_start_matches("skipped: ").to_owned()),
    })
}

fn server_file(folder: &Path, bed: &Bed) -> String {
    let folder = folder.display();
    let engine = bed.docker_host();
    format!(
        "ListenAddress {HOST}:2222\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\nPidFile none\n\
         UsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nStrictModes no\nSetEnv DOCKER_HOST={engine}\n"
    )
}

fn client_file(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "Host *\n  IdentityFile {folder}/user\n  UserKnownHostsFile {folder}/known\n  BatchMode yes\n"
    )
}

fn behind_ssh(bed: &Bed) -> Result<Outcome, Failure> {
    let laptop = Laptop::at(bed)?;
    let engine = format!("ssh://root@{HOST}:2222");
    let alone = laptop.stack(Some(&engine), "ps")?.fails_with(1)?;
    holds(
        &format!("where nobody listens, it is told: {alone}"),
        alone.contains(&engine) && alone.contains("refused"),
    )?;
    let _server = match Server::start(bed)? {
        Ok(server) => server,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    laptop.works(&engine)?;
    by_context(&laptop, &engine)?;
    let denied = laptop.stack(Some(&format!("ssh://nobody@{HOST}:2222")), "ps")?;
    let denied = denied.fails_with(1)?;
    holds(
        &format!("a user who may not is told: {denied}"),
        denied.contains("Permission denied"),
    )?;
    Ok(Outcome::Passed)
}

/// The same engine, named by the docker client's context.
fn by_context(laptop: &Laptop, engine: &str) -> Result<(), Failure> {
    let config = laptop.folder.path().join("docker");
    let docker = |words: &str| {
        ran(laptop
            .bed
            .command("docker")
            .args(words.split_whitespace())
            .env_remove("DOCKER_HOST")
            .env("DOCKER_CONFIG", &config))?
        .ok()
    };
    docker(&format!("context create far --docker host={engine}"))?;
    let version = laptop
        .stack(None, "--context far version --format json")?
        .ok()?;
    holds(
        &format!("`--context`: {version}"),
        version.contains(laptop.bed.version()),
    )?;
    docker("context use far")?;
    laptop.stack(None, "up --detach")?.ok()?;
    let ps = laptop.stack(None, "ps --quiet")?.ok();
    laptop.stack(None, "down --rmi local")?.ok()?;
    same("the context in use", ps?.lines().count(), 2)
}

fn behind_tcp(bed: &mut Bed) -> Result<Outcome, Failure> {
    bed.kill_engine()?;
    std::fs::write(
        bed.folder().join("arguments"),
        "--tls=false -H tcp://0.0.0.0:2375",
    )?;
    bed.revive_engine()?;
    let laptop = Laptop::at(bed)?;
    laptop.works(&format!("tcp://{HOST}:2375"))?;
    Ok(Outcome::Passed)
}

/// A folder with an authority's certificate (`ca.pem`), and a key and a certificate of the engine's host (`server-*`) and
/// of a client.
const CERTIFICATES: &str = r#"
cd "$1"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca-key.pem -out ca.pem
certify() {
    openssl req -newkey rsa:2048 -nodes -subj "/CN=$1" -keyout "$2key.pem" -out "$2request.pem"
    printf '%s\n' "$3" >"$2extensions"
    openssl x509 -req -days 2 -in "$2request.pem" -CA ca.pem -CAkey ca-key.pem -CAcreateserial \
        -extfile "$2extensions" -out "$2cert.pem"
}
certify host server- "subjectAltName = IP:$2"
certify client '' 'extendedKeyUsage = clientAuth'
"#;

fn certificates() -> Result<TempDir, Failure> {
    let folder = tempfile::tempdir()?;
    ran(Command::new("sh")
        .args(["-euc", CERTIFICATES, "sh"])
        .arg(folder.path())
        .arg(HOST))?
    .ok()?;
    Ok(folder)
}

fn behind_tls(bed: &mut Bed) -> Result<Outcome, Failure> {
    if Command::new("openssl").arg("version").output().is_err() {
        return Ok(Outcome::Skipped(
            "no openssl; run tests/setup.sh ssh".to_owned(),
        ));
    }
    let (right, wrong) = (certificates()?, certificates()?);
    bed.kill_engine()?;
    let folder = right.path().display();
    let arguments = format!(
        "--tlsverify --tlscacert={folder}/ca.pem --tlscert={folder}/server-cert.pem --tlskey={folder}/server-key.pem \
         -H tcp://0.0.0.0:2376"
    );
    std::fs::write(bed.folder().join("arguments"), arguments)?;
    bed.revive_engine()?;
    let engine = format!("tcp://{HOST}:2376");
    let mut laptop = Laptop::at(bed)?;
    let refused = |laptop: &Laptop, what: &str| -> Result<(), Failure> {
        let said = laptop.stack(Some(&engine), "ps")?.fails_with(1)?;
        holds(
            &format!("{what} it is told: {said}"),
            said.starts_with("error: ") && said.contains(&engine),
        )
    };
    refused(&laptop, "without certificates")?;
    laptop.certificates = Some(wrong.path().to_owned());
    refused(&laptop, "with somebody else's certificates")?;
    laptop.certificates = Some(laptop.folder.path().join("nowhere"));
    let missing = laptop.stack(Some(&engine), "ps")?.fails_with(1)?;
    holds(
        &format!("files that are not there are told: {missing}"),
        missing.contains("ca.pem"),
    )?;
    laptop.certificates = Some(right.path().to_owned());
    laptop.works(&engine)?;
    Ok(Outcome::Passed)
}

/// More than any buffer on the way holds.
fn long() -> String {
    (0..100_000).map(|number| format!("{number}\n")).collect()
}

const FILE: &str = "\
name: far
services:
  web:
    build: ./image
    command: httpd -f -h /far
    stop_grace_period: 0s
    healthcheck: {test: wget -qO- http://127.0.0.1/page, interval: 200ms}
  client:
    image: stack-lab:latest
    command: sh -c 'echo ready; exec sleep 1000'
    stop_grace_period: 0s
    depends_on: {web: {condition: service_healthy}}
";

const DOCKERFILE: &str = "\
FROM stack-lab:latest
COPY page /far/page
";

const WITH_A_LAN: &str = "\
name: far
services:
  web: {image: 'stack-lab:latest', networks: [lan]}
networks:
  lan:
    driver: macvlan
    parent: far0
    shim: true
    ipam: {config: [{subnet: 10.60.0.0/24, ip_range: 10.60.0.64/27}]}
";
