//! The systemd units of the agent: their text, and where they are put.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure, Outcome};

/// The agent's unit, and the one that makes what networks stand on before the engine starts.
const AGENT: &str = "stack-agent.service";
const GROUND: &str = "stack-ground.service";
const UNITS: &str = "etc/systemd/system";
const TARGET: &str = "multi-user.target.wants";
/// The first line; a file without it is somebody else's.
const MARK: &str = "# Written by `stack agent --install`; `stack agent --uninstall` removes it.";

/// What the unit runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runs {
    pub program: PathBuf,
    /// `--host URL` and the like, where the engine is not the machine's own.
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
}

impl Runs {
    fn command(&self) -> String {
        let mut command = quoted(&self.program.display().to_string());
        for argument in &self.arguments {
            command.push(' ');
            command.push_str(&quoted(argument));
        }
        command
    }

    fn variables(&self) -> String {
        let mut variables = String::new();
        for (name, value) in &self.environment {
            // Writing to a string cannot fail.
            let _ = writeln!(variables, "Environment={}", assigned(name, value));
        }
        variables
    }
}

/// The unit that makes lans and VLAN links before the engine starts: it would miss them.
pub fn ground(runs: &Runs) -> String {
    let (command, variables) = (runs.command(), runs.variables());
    format!(
        "{MARK}
[Unit]
Description=Lans and VLAN links of stacks, before the engine starts
After=network-pre.target systemd-networkd.service NetworkManager.service networking.service
Before=docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={command} agent --once --ground
# What waits for its parent is made by the agent.
SuccessExitStatus=3
{variables}
[Install]
WantedBy=multi-user.target
"
    )
}

/// The agent's unit. It is started after the engine and the network, but waits for neither: the agent itself is told
/// when the engine's socket and the parents come.
pub fn agent(runs: &Runs) -> String {
    let (command, variables) = (runs.command(), runs.variables());
    format!(
        "{MARK}
[Unit]
Description=Keeps shims, routes, links and lans of stacks as they should be
Wants=network-online.target
After=network-online.target docker.service docker.socket

[Service]
Type=exec
ExecStart={command} agent
{variables}Restart=on-failure
RestartSec=5
# Links and routes, probes on the wire, namespaces of containers and lans, who listens at the engine's socket.
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW CAP_SYS_ADMIN CAP_SYS_PTRACE CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE
NoNewPrivileges=yes
RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_PACKET AF_INET AF_INET6
MemoryDenyWriteExecute=yes
LockPersonality=yes
# No mount namespace of its own (ProtectSystem=, PrivateTmp=): the names of lans' namespaces are mounts that the host
# has to see.

[Install]
WantedBy=multi-user.target
"
    )
}

/// A word of a unit's command line, where a dollar sign begins a variable.
fn quoted(word: &str) -> String {
    literal(word).replace('$', "$$")
}

/// A variable of a unit's environment.
fn assigned(name: &str, value: &str) -> String {
    literal(&format!("{name}={value}"))
}

fn literal(word: &str) -> String {
    let mut text = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => {
                text.push('\\');
                text.push(c);
            }
            '%' => text.push_str("%%"),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
    text.push('"');
    text
}

/// Writes the units and enables them.
pub fn install(context: &Context, root: &Path) -> Outcome {
    let program = std::env::current_exe()?;
    let mut arguments = Vec::new();
    let flags = [
        ("--host", &context.global.host),
        ("--context", &context.global.context),
    ];
    for (flag, value) in flags {
        if let Some(value) = value {
            arguments.extend([flag.to_owned(), value.clone()]);
        }
    }
    let environment = [
        "DOCKER_HOST",
        "DOCKER_CONTEXT",
        "DOCKER_CONFIG",
        "STACK_STATE_DIR",
    ]
    .into_iter()
    .filter_map(|name| {
        let value = context.settings.variable(name)?;
        Some((name.to_owned(), value.to_owned()))
    });
    let runs = Runs {
        program,
        arguments,
        environment: environment.collect(),
    };
    let units = root.join(UNITS);
    for name in [AGENT, GROUND] {
        is_ours(&units.join(name))?;
    }
    for (name, text) in [(AGENT, agent(&runs)), (GROUND, ground(&runs))] {
        let unit = units.join(name);
        if context.global.dry_run {
            context.tell(&format!("would write {}", unit.display()));
            continue;
        }
        let written = write(&units, name, &text);
        written.map_err(|error| cannot("write", &unit, &error))?;
        context.tell(&format!("wrote {}", unit.display()));
    }
    context.tell("start it now with: systemctl daemon-reload && systemctl start stack-agent");
    Ok(Exit::Done)
}

/// Removes the units; one that is not there is removed.
pub fn uninstall(context: &Context, root: &Path) -> Outcome {
    let units = root.join(UNITS);
    for name in [AGENT, GROUND] {
        is_ours(&units.join(name))?;
    }
    let mut found = false;
    for name in [AGENT, GROUND] {
        for path in [units.join(TARGET).join(name), units.join(name)] {
            if context.global.dry_run {
                context.tell(&format!("would remove {}", path.display()));
                continue;
            }
            match std::fs::remove_file(&path) {
                Ok(()) => found = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(cannot("remove", &path, &error)),
            }
            context.tell(&format!("removed {}", path.display()));
        }
    }
    if !context.global.dry_run {
        // Where nothing else is in it, it came with the units.
        let _ = std::fs::remove_dir(units.join(TARGET));
    }
    if found {
        context.tell("end it now with: systemctl stop stack-agent && systemctl daemon-reload");
    }
    Ok(Exit::Done)
}

fn is_ours(unit: &Path) -> Result<(), Failure> {
    match std::fs::read_to_string(unit) {
        Ok(text) if !text.starts_with(MARK) => Err(Failure::with_hint(
            format!("{} was not written by stack", unit.display()),
            "remove or rename it yourself",
        )),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot("read", unit, &error)),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// To a new file and renamed, so that systemd never reads half of it; then enabled as `systemctl enable` does.
fn write(units: &Path, name: &str, text: &str) -> io::Result<()> {
    let (unit, link) = (units.join(name), units.join(TARGET).join(name));
    std::fs::create_dir_all(units.join(TARGET))?;
    let fresh = unit.with_extension("service.new");
    std::fs::write(&fresh, text)?;
    std::fs::rename(&fresh, &unit)?;
    match std::os::unix::fs::symlink(Path::new("..").join(name), link) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    let text = format!("cannot {what} {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::PermissionDenied => Failure::with_hint(text, "run it as root"),
        _ => Failure::said(text),
    }
}

#[cfg(test)]
mod tests {
    use super::{Runs, agent, ground};

    #[test]
    fn the_unit_waits_for_nothing_by_itself_and_quotes_what_it_runs() {
        let runs = Runs {
            program: "/opt/my tools/100%/stack".into(),
            arguments: vec!["--host".into(), "unix:///run/a \"b\".sock".into()],
            environment: vec![("STACK_STATE_DIR".into(), "/x$y".into())],
        };
        let unit = agent(&runs);
        assert!(ground(&runs).contains("agent --once --ground\n"));
        assert!(ground(&runs).contains("Before=docker.service\n"));
        assert!(unit.contains(
            "ExecStart=\"/opt/my tools/100%%/stack\" \"--host\" \"unix:///run/a \\\"b\\\".sock\" agent\n"
        ));
        assert!(unit.contains("Environment=\"STACK_STATE_DIR=/x$y\"\n"));
        assert!(unit.contains("After=network-online.target docker.service docker.socket\n"));
        assert!(!unit.contains("sleep"));
    }
}
