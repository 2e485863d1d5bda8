//! What `stack shim export` writes makes the same shim without stack: by ifupdown, by systemd-networkd and by
//! NetworkManager themselves. Each works in a mount namespace of its own, in which it finds no other configuration; and
//! `/sys` is read-only there, so that both daemons do not wait for udev, which knows nothing of a private host.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use crate::bed::Bed;
use crate::examples::copied;
use crate::place::Answer;
use crate::runner::{Failure, Outcome, Run, Test, holds, same, soon};

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "export::ifupdown_makes_the_same_shim_without_stack",
            run: Run::Host(ifupdown),
        },
        Test {
            name: "export::networkd_makes_the_same_shim_without_stack",
            run: Run::Host(networkd),
        },
        Test {
            name: "export::network_manager_makes_the_same_shim_without_stack",
            run: Run::Host(network_manager),
        },
    ]
}

const EXAMPLE: &str = "macvlan-bridge";
const SOON: Duration = Duration::from_secs(20);

/// The example's stack without its shim, which was exported before.
struct Bare<'a> {
    bed: &'a Bed,
    _temporary: tempfile::TempDir,
    folder: PathBuf,
    shim: String,
    /// How it was while it was stack's.
    by_stack: String,
}

impl<'a> Bare<'a> {
    fn new(bed: &'a Bed, tool: &str) -> Result<Bare<'a>, Failure> {
        let (temporary, folder) = copied(EXAMPLE)?;
        bed.stack(&folder, "up -d")?.ok()?;
        let shim = bed.stack(&folder, "shim ls -q")?.ok()?.trim().to_owned();
        let export = format!("shim export {tool} --to out");
        bed.stack(&folder, &export)?.ok()?;
        let again = bed.stack(&folder, &export)?;
        holds("nothing is overwritten", again.code == Some(1))?;
        let mut bare = Bare {
            bed,
            _temporary: temporary,
            folder,
            shim,
            by_stack: String::new(),
        };
        bare.by_stack = bare.picture()?;
        bed.run(&format!("ip link del {}", bare.shim))?;
        Ok(bare)
    }

    /// The shim as everybody makes it. The group and the alias are stack's mark, and so is the routes' protocol;
    /// NetworkManager gives routes a metric.
    fn picture(&self) -> Result<String, Failure> {
        let shim = &self.shim;
        self.bed.shell(&format!(
            "ip -details -oneline link show {shim} | grep -o 'link/ether [0-9a-f:]*\\|macvlan mode [a-z]*\\|{shim}@[a-z0-9]*'
             ip -oneline address show dev {shim} | grep -v fe80 | sed 's/^[0-9]*: //'
             ip route show dev {shim} | sed 's/ proto [a-z0-9]*//; s/ metric [0-9]*//' | sort
             for key in ipv6/conf/{shim}/accept_ra ipv6/conf/{shim}/autoconf ipv6/conf/{shim}/addr_gen_mode ipv4/conf/{shim}/arp_announce
             do cat /proc/sys/net/$key; done"
        ))
    }

    fn out(&self) -> PathBuf {
        self.folder.join("out")
    }

    /// It is the same shim, and works.
    fn same(&self, whose: &str) -> Result<(), Failure> {
        same(
            &format!("the shim of {whose}"),
            self.picture()?,
            self.by_stack.clone(),
        )?;
        let page = self.bed.here().web("192.168.81.20:80", "/")?;
        holds(
            "the host reaches the container by it",
            matches!(page, Answer::Page(_)),
        )
    }

    /// Once the tool's shim is gone, all is stack's again.
    fn end(self) -> Result<Outcome, Failure> {
        self.bed.stack(&self.folder, "shim repair")?.ok()?;
        self.bed.stack(&self.folder, "down")?.ok()?;
        Ok(Outcome::Passed)
    }
}

/// A daemon in a mount namespace of its own. It ends with the value.
struct Daemon(Child);

impl Daemon {
    fn start(bed: &Bed, script: &str) -> Result<Daemon, Failure> {
        let mut command = bed.command("unshare");
        command.args(["--mount", "sh", "-ec", script]);
        command.stdout(std::process::Stdio::null());
        Ok(Daemon(command.stderr(std::process::Stdio::null()).spawn()?))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // `timeout`, which runs the script, hands this signal on to all of it.
        if let Ok(pid) = i32::try_from(self.0.id()) {
            let pid = nix::unistd::Pid::from_raw(pid);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        }
        let _ = self.0.wait();
    }
}

fn ifupdown(bed: &Bed) -> Result<Outcome, Failure> {
    let bare = Bare::new(bed, "ifupdown")?;
    let stanza = bare
        .out()
        .join(format!("etc/network/interfaces.d/{}", bare.shim));
    // ifup wants folders of hooks, which this machine need not have; so it sees a `/etc` of its own.
    let ifupdown = |verb: &str| {
        bed.shell(&format!(
            "unshare --mount sh -ec 'mount -t tmpfs none /etc
             mkdir -p /etc/network/if-pre-up.d /etc/network/if-up.d /etc/network/if-down.d /etc/network/if-post-down.d
             busybox {verb} -i {} {}'",
            stanza.display(),
            bare.shim
        ))
    };
    ifupdown("ifup")?;
    let seen = bare.same("ifup");
    ifupdown("ifdown")?;
    bed.shell("rm -f /run/ifstate* /var/run/ifstate*; rm -rf /run/network")?;
    seen?;
    bare.end()
}

const NETWORKD: &str = "/lib/systemd/systemd-networkd";
const SYSCTL: &str = "/lib/systemd/systemd-sysctl";

fn networkd(bed: &Bed) -> Result<Outcome, Failure> {
    if [NETWORKD, SYSCTL]
        .iter()
        .any(|program| !Path::new(program).exists())
    {
        return Ok(Outcome::Skipped("no systemd-networkd".to_owned()));
    }
    let bare = Bare::new(bed, "networkd")?;
    let shim = bare.shim.clone();
    let parent = bed.run(&format!(
        "sed -n s/^MACVLAN=//p {}",
        bare.out()
            .join("etc/systemd/network/lab1.network.d")
            .join(format!("50-{shim}.conf"))
            .display()
    ))?;
    same("the drop-in of the parent", parent.trim(), shim.as_str())?;
    // The file that configures the parent is the administrator's; this one leaves it as it is.
    let script = format!(
        "mount -o remount,bind,ro /sys
         mount -t tmpfs none /run
         mkdir -p /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
         chown -R systemd-network /run/systemd/netif
         mount -t tmpfs none /etc/systemd/network
         cp -r {out}/etc/systemd/network/. /etc/systemd/network
         printf '[Match]\nName=lab1\n[Network]\nKeepConfiguration=yes\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' >/etc/systemd/network/lab1.network
         exec {NETWORKD}",
        out = bare.out().display()
    );
    let daemon = Daemon::start(bed, &script)?;
    soon("networkd has made it", SOON, || {
        Ok(bed
            .run(&format!("ip -oneline address show dev {shim}"))
            .is_ok_and(|text| text.contains("inet ")))
    })?;
    // What udev has done for each link that comes.
    bed.shell(&format!(
        "unshare --mount sh -ec 'mount -t tmpfs none /etc/sysctl.d; cp {}/* /etc/sysctl.d
         {SYSCTL} --prefix=/net/ipv4/conf/{shim} --prefix=/net/ipv6/conf/{shim}'",
        bare.out().join("etc/sysctl.d").display()
    ))?;
    let seen = soon("it is as it was", SOON, || {
        Ok(bare.picture()? == bare.by_stack)
    })
    .and_then(|()| bare.same("networkd"));
    let told = bare.picture();
    drop(daemon);
    bed.run(&format!("ip link del {shim}"))?;
    seen.map_err(|failure| format!("{failure}\n{told:?}"))?;
    bare.end()
}

/// NetworkManager, installed or unpacked in the folder that STACK_NETWORK_MANAGER names.
fn manager() -> Option<(PathBuf, String)> {
    let root = std::env::var_os("STACK_NETWORK_MANAGER").map(PathBuf::from);
    let root = root.unwrap_or_else(|| PathBuf::from("/"));
    let program = root.join("usr/sbin/NetworkManager");
    let libraries = root
        .join("usr/lib")
        .join(format!("{}-linux-gnu", std::env::consts::ARCH));
    program
        .exists()
        .then(|| (program, libraries.display().to_string()))
}

fn network_manager(bed: &Bed) -> Result<Outcome, Failure> {
    let Some((program, libraries)) = manager() else {
        return Ok(Outcome::Skipped("no NetworkManager".to_owned()));
    };
    let bare = Bare::new(bed, "networkmanager")?;
    let shim = bare.shim.clone();
    let script = format!(
        "mount -o remount,bind,ro /sys
         mount -t tmpfs none /run
         mkdir -p /run/dbus /run/NetworkManager /run/connections
         cp {out}/etc/NetworkManager/system-connections/* /run/connections; chmod 600 /run/connections/*
         mkdir -p /var/lib/NetworkManager /etc/NetworkManager
         cat >/run/dbus/bus.conf <<'END'
<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>
<policy context=\"default\"><allow send_destination=\"*\"/><allow receive_sender=\"*\"/><allow own=\"*\"/></policy></busconfig>
END
         cat >/run/nm.conf <<'END'
[main]
plugins=keyfile
dns=none
rc-manager=unmanaged
[keyfile]
path=/run/connections
unmanaged-devices=*,except:interface-name:{shim}
END
         dbus-daemon --config-file=/run/dbus/bus.conf --nofork --nopidfile &
         until [ -S /run/dbus/system_bus_socket ]; do sleep 0.1; done
         LD_LIBRARY_PATH={libraries} {program} --config /run/nm.conf --config-dir /run/none --system-config-dir /run/none --intern-config /run/none --state-file /run/nm.state --debug",
        out = bare.out().display(),
        program = program.display()
    );
    let daemon = Daemon::start(bed, &script)?;
    let made = soon("NetworkManager has made it", SOON, || {
        Ok(bed
            .run(&format!("ip -oneline address show dev {shim}"))
            .is_ok_and(|text| text.contains("inet ")))
    });
    let settings = bed.shell(&format!(
        "sed -n 's/ = /=/p' {}/*.conf | while read line; do sysctl -q -w $line; done",
        bare.out().join("etc/sysctl.d").display()
    ));
    let seen = soon("it is as it was", SOON, || {
        Ok(bare.picture()? == bare.by_stack)
    })
    .and_then(|()| bare.same("NetworkManager"));
    let told = bare.picture();
    drop(daemon);
    bed.shell(&format!(
        "ip link del {shim} 2>/dev/null; rm -rf /var/lib/NetworkManager; true"
    ))?;
    made?;
    settings?;
    seen.map_err(|failure| format!("{failure}\n{told:?}"))?;
    bare.end()
}
