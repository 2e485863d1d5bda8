//! What the two processes of a private engine do, each a fresh run of this program. The keeper makes the namespaces,
//! says `ready` and sleeps until it is killed; the daemon enters them and becomes `dockerd`.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{pause, setsid};

use crate::world::private::Engine;
use crate::world::{ErrorKind, WorldError};

/// The keeper: does not return where all goes well.
pub fn keep(engine: &Engine) -> Result<(), WorldError> {
    let wrong = |what: &'static str| {
        move |error: nix::Error| {
            WorldError::new(ErrorKind::Refused, format!("cannot {what}"), error)
        }
    };
    let wrong_io = |what: &'static str| {
        move |error: std::io::Error| {
            WorldError::new(ErrorKind::Refused, format!("cannot {what}"), error)
        }
    };
    setsid().map_err(wrong("leave the session"))?;
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
        .map_err(wrong("make namespaces"))?;
    // Mounts made outside later are still seen (a user's folder may be one), those made here are never seen outside.
    step("/", "/", None, MsFlags::MS_SLAVE | MsFlags::MS_REC)
        .map_err(wrong("part from the mounts outside"))?;
    // A sysfs shows the links of the namespace that mounted it. The cgroup tree is saved over it, since dockerd does not
    // start without (`Devices cgroup isn't mounted`, Engine 20.10).
    let cgroups = engine.folder.join("cgroup");
    fs::create_dir_all(&cgroups).map_err(wrong_io("make a folder for the cgroups"))?;
    step(
        "/sys/fs/cgroup",
        &cgroups,
        None,
        MsFlags::MS_BIND | MsFlags::MS_REC,
    )
    .map_err(wrong("save the cgroup mounts"))?;
    step("sysfs", "/sys", Some("sysfs"), MsFlags::empty()).map_err(wrong("mount sysfs"))?;
    step(&cgroups, "/sys/fs/cgroup", None, MsFlags::MS_MOVE)
        .map_err(wrong("put the cgroup mounts back"))?;
    fs::remove_dir(&cgroups).map_err(wrong_io("remove the folder for the cgroups"))?;
    // The lock of iptables, the named namespaces and the sockets in /run belong to this host alone.
    step("tmpfs", "/run", Some("tmpfs"), MsFlags::empty()).map_err(wrong("mount /run"))?;
    for folder in ["/run/lock", "/run/netns"] {
        fs::create_dir(folder).map_err(wrong_io("make folders in /run"))?;
    }
    // IFF_UP | IFF_LOOPBACK: sysfs takes flags without any netlink (net/core/net-sysfs.c, `flags_store`).
    fs::write("/sys/class/net/lo/flags", "0x9").map_err(wrong_io("bring the loopback link up"))?;
    let mut output = std::io::stdout();
    output
        .write_all(b"ready\n")
        .and_then(|()| output.flush())
        .map_err(wrong_io("tell that all is ready"))?;
    loop {
        pause();
    }
}

/// The daemon: returns only where it cannot become `dockerd`.
pub fn become_daemon(engine: &Engine) -> Result<(), WorldError> {
    let act = "cannot run dockerd";
    let record = engine
        .record()
        .ok_or_else(|| WorldError::new(ErrorKind::Missing, act, "the engine has no record"))?;
    setsid().map_err(|error| WorldError::new(ErrorKind::Refused, act, error))?;
    engine.enter()?;
    let path = search_path(&record.programs);
    let program = find("dockerd", &path).ok_or_else(|| {
        WorldError::new(ErrorKind::Missing, act, "there is no `dockerd` in PATH")
            .hint("apt-get install docker.io")
    })?;
    let log = fs::File::options()
        .append(true)
        .open(engine.folder.join("log"))
        .map_err(|error| WorldError::new(ErrorKind::Refused, act, error))?;
    // The cgroup driver is named since dockerd would else talk to systemd, which the private /run hides.
    let failed = Command::new(program)
        .arg("--data-root")
        .arg(engine.folder.join("data"))
        .arg("--exec-root")
        .arg(engine.folder.join("exec"))
        .arg("--pidfile")
        .arg(engine.folder.join("docker.pid"))
        .args(["--exec-opt", "native.cgroupdriver=cgroupfs"])
        .arg(format!("--cgroup-parent=/{}", engine.cgroup()))
        .arg(format!("--host={}", engine.endpoint()))
        .args(&record.arguments)
        .env("PATH", path)
        .stdout(log)
        .exec();
    Err(WorldError::new(ErrorKind::Refused, act, failed))
}

/// `PATH` with the given folders before it and the system folders, which a user's `PATH` lacks, after it.
fn search_path(programs: &[PathBuf]) -> OsString {
    let old = std::env::var_os("PATH").unwrap_or_default();
    let folders = programs
        .iter()
        .cloned()
        .chain(std::env::split_paths(&old))
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    std::env::join_paths(folders).unwrap_or(old)
}

fn find(program: &str, path: &OsString) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn step(
    source: impl AsRef<Path>,
    target: impl AsRef<Path>,
    kind: Option<&str>,
    flags: MsFlags,
) -> nix::Result<()> {
    let options = (kind == Some("tmpfs")).then_some("mode=755");
    mount(Some(source.as_ref()), target.as_ref(), kind, flags, options)
}
