//! What a process is given beside its limits: signals, health tests, capabilities, namespaces, kernel parameters.

use crate::diagnostic::{Diagnostic, Severity};
use crate::file::refused::words::{CAPABILITIES, SIGNALS, is_signal};
use crate::file::refused::{Judge, entries, instead, is_windows, items, text};
use crate::file::tree::Node;
use crate::file::value;

/// The shortest time that the engine's health tests know, in nanoseconds.
const SHORTEST: i64 = 1_000_000;

impl Judge<'_> {
    pub fn process(&mut self, name: &str, service: &Node) {
        let path = |key: &'static str| ["services", name, key];
        if let Some((node, signal)) = text(service, "stop_signal")
            && !is_signal(signal)
        {
            let bare = signal.trim_start_matches("SIG");
            let hint = match value::nearest(bare, SIGNALS.iter().copied()) {
                Some(near) => format!("did you mean `SIG{near}`?"),
                None => "write a signal such as SIGTERM, SIGINT or SIGQUIT".to_owned(),
            };
            let why = format!("invalid signal: {signal}");
            self.refuse(node, &path("stop_signal"), "unknown-value", &why, &hint);
        }
        if let Some(check) = service.get("healthcheck") {
            self.health(name, check);
        }
        for key in ["cap_add", "cap_drop"] {
            for item in items(service, key) {
                self.capability(item, &path(key));
            }
        }
        if let Some((node, folder)) = text(service, "working_dir")
            && !folder.starts_with('/')
            && !is_windows(folder)
        {
            let why = format!(
                "the working directory '{folder}' is invalid, it needs to be an absolute path"
            );
            let hint = format!(
                "start it with a slash: /{}",
                folder.trim_start_matches("./")
            );
            self.refuse(node, &path("working_dir"), "bad-path", &why, &hint);
        }
        if let Some((node, platform)) = text(service, "platform")
            && !is_platform(platform)
        {
            let why = format!("`{platform}` is not a platform");
            let hint = "write OS/ARCHITECTURE[/VARIANT], such as linux/amd64 or linux/arm/v7";
            self.refuse(node, &path("platform"), "unknown-value", &why, hint);
        }
        self.parameters(name, service);
        self.deploy(name, service);
    }

    fn health(&mut self, name: &str, check: &Node) {
        for (key, engine) in [
            ("interval", "Interval"),
            ("timeout", "Timeout"),
            ("start_period", "StartPeriod"),
            ("start_interval", "StartInterval"),
        ] {
            let Some((node, written)) = text(check, key) else {
                continue;
            };
            let Ok(length) = value::duration(written) else {
                continue;
            };
            if length != 0 && length < SHORTEST {
                let path = ["services", name, "healthcheck", key];
                let why = format!("{engine} in Healthcheck cannot be less than 1ms");
                let hint = "write a time such as 10s; 0s is the engine's default";
                self.refuse(node, &path, "out-of-range", &why, hint);
            }
        }
    }

    fn capability(&mut self, node: &Node, path: &[&str]) {
        let written = node.as_text().unwrap_or_default();
        let upper = written.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if bare == "ALL" || CAPABILITIES.contains(&bare) {
            return;
        }
        let why = format!("unknown capability: `{written}`");
        let hint = match value::nearest(bare, CAPABILITIES.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "see capabilities(7); such as NET_ADMIN, SYS_TIME or ALL".to_owned(),
        };
        self.refuse(node, path, "unknown-value", &why, &hint);
    }

    pub fn namespaces(&mut self, name: &str, service: &Node) {
        let borrowed = |mode: &str| {
            ["service:", "container:"].iter().any(|prefix| {
                mode.strip_prefix(prefix)
                    .is_some_and(|rest| !rest.is_empty())
            })
        };
        let path = |key: &'static str| ["services", name, key];
        let ipc = ["none", "private", "shareable", "host"];
        if let Some((node, mode)) = text(service, "ipc")
            && !ipc.contains(&mode)
            && !borrowed(mode)
        {
            let why = format!("invalid IPC mode: {mode}");
            let hint = instead(
                mode,
                &[
                    "none",
                    "private",
                    "shareable",
                    "host",
                    "service:NAME",
                    "container:NAME",
                ],
            );
            self.refuse(node, &path("ipc"), "unknown-value", &why, &hint);
        }
        if let Some((node, mode)) = text(service, "pid")
            && mode != "host"
            && !borrowed(mode)
        {
            let why = format!(
                "invalid PID mode: {mode}: newer engines refuse it, older ones take it for none"
            );
            let hint = instead(mode, &["host", "service:NAME", "container:NAME"]);
            self.doubt(node, &path("pid"), "unknown-value", &why, &hint);
        }
        if let Some((node, "host")) = text(service, "uts")
            && service
                .get("hostname")
                .is_some_and(|node| !node.says_nothing())
        {
            let why = "conflicting options: hostname and the UTS mode: the name is the host's own";
            let hint = "remove one of the two";
            self.refuse(node, &path("uts"), "mode-excludes", why, hint);
        }
        if let Some((node, mode)) = text(service, "uts").filter(|(_, mode)| *mode != "host") {
            let why = format!(
                "invalid UTS mode: {mode}: newer engines refuse it, older ones take it for none"
            );
            let hint = "write `host`, or remove it";
            self.doubt(node, &path("uts"), "unknown-value", &why, hint);
        }
        if let Some((node, mode)) = text(service, "userns_mode").filter(|(_, mode)| *mode != "host")
        {
            let why = format!("`{mode}` means nothing: the engine knows `host` alone");
            let hint = "write `host`, or remove it";
            self.doubt(node, &path("userns_mode"), "unknown-value", &why, hint);
        }
        match text(service, "isolation") {
            None | Some((_, "default")) => {}
            Some((node, mode @ ("process" | "hyperv"))) => {
                let why = format!(
                    "`{mode}` is for engines on Windows; on Linux they refuse all but `default`"
                );
                self.doubt(node, &path("isolation"), "unknown-value", &why, "remove it");
            }
            Some((node, mode)) => {
                let why = format!("invalid isolation ({mode}): linux only supports 'default'");
                self.refuse(node, &path("isolation"), "unknown-value", &why, "remove it");
            }
        }
        if let Some((node, mode)) = text(service, "network_mode")
            && let Some((word @ ("bridge" | "host" | "none" | "default"), _)) = mode.split_once(':')
        {
            let why = format!("network {mode} not found: `{word}` takes nothing after it");
            let hint = format!("write `{word}`, `service:NAME` or `container:NAME`");
            self.refuse(node, &path("network_mode"), "unknown-value", &why, &hint);
        }
    }

    /// Kernel parameters that no namespace of a container has.
    fn parameters(&mut self, name: &str, service: &Node) {
        const OF_IPC: [&str; 8] = [
            "kernel.msgmax",
            "kernel.msgmnb",
            "kernel.msgmni",
            "kernel.sem",
            "kernel.shmall",
            "kernel.shmmax",
            "kernel.shmmni",
            "kernel.shm_rmid_forced",
        ];
        for entry in entries(service, "sysctls") {
            let parameter = entry.key.replace('/', ".");
            let own = ["net.", "fs.mqueue.", "user."]
                .iter()
                .any(|prefix| parameter.starts_with(prefix));
            if own || OF_IPC.contains(&&*parameter) || parameter == "kernel.domainname" {
                continue;
            }
            let path = ["services", name, "sysctls", &entry.key];
            let node = Node::new(entry.node.value.clone(), entry.key_span);
            let why = format!("sysctl \"{parameter}\" is not in a separate kernel namespace");
            let hint = format!(
                "set it on the host: sysctl -w {parameter}={}",
                entry.node.scalar_text().unwrap_or_default()
            );
            // The refusal is runc's: a runtime with a kernel of its own, such as Kata's, may set them.
            match text(service, "runtime") {
                None | Some((_, "runc" | "io.containerd.runc.v2")) => {
                    self.refuse(&node, &path, "unknown-value", &why, &hint);
                }
                Some(_) => self.doubt(&node, &path, "unknown-value", &why, &hint),
            }
        }
    }

    fn deploy(&mut self, name: &str, service: &Node) {
        const MODES: [&str; 4] = ["replicated", "global", "replicated-job", "global-job"];
        let Some(deploy) = service.get("deploy") else {
            return;
        };
        if let Some((node, mode)) = text(deploy, "mode")
            && !MODES.contains(&mode)
        {
            let path = ["services", name, "deploy", "mode"];
            let why = format!("`{mode}` is not a mode");
            self.doubt(node, &path, "unknown-value", &why, &instead(mode, &MODES));
        }
    }

    /// Waiting for the health of a service whose test is switched off would never end.
    pub fn health_of_others(&mut self, root: &Node, name: &str, service: &Node) {
        for entry in entries(service, "depends_on") {
            let Some((node, "service_healthy")) = text(&entry.node, "condition") else {
                continue;
            };
            let other = root.get("services").and_then(|all| all.get(&entry.key));
            let Some(check) = other.and_then(|other| other.get("healthcheck")) else {
                continue;
            };
            let none = items(check, "test").first().and_then(Node::as_text) == Some("NONE");
            let off = check
                .get("disable")
                .filter(|off| off.as_bool() == Some(true));
            let place = off.or_else(|| check.get("test").filter(|_| none));
            let Some(place) = place else { continue };
            let path = format!("services.{name}.depends_on.{}", entry.key);
            let message = format!(
                "service \"{name}\" waits until \"{0}\" is healthy, and the health check of \"{0}\" is switched off",
                entry.key
            );
            let severity = match entry.node.get("required").and_then(Node::as_bool) {
                // Then a failed wait is told, and the service starts all the same.
                Some(false) => Severity::Warning,
                _ => Severity::Error,
            };
            let diagnostic = Diagnostic::error("never-healthy", message);
            let diagnostic = Diagnostic {
                severity,
                ..diagnostic
            }
            .label(node.span, "container has no healthcheck configured")
            .also(place.span, "switched off here")
            .hint("wait for `service_started`, or give the service a test");
            self.told.push(diagnostic.path(path));
        }
    }
}

/// `OS`, `ARCHITECTURE` or `OS[(VERSION)]/ARCHITECTURE[/VARIANT]`.
fn is_platform(text: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
    };
    let (first, rest) = match text.split_once('/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (text, None),
    };
    let os = match first.strip_suffix(')').and_then(|os| os.split_once('(')) {
        Some((os, version)) => plain(os) && plain(version),
        None => plain(first),
    };
    let rest: Vec<&str> = rest.into_iter().flat_map(|rest| rest.split('/')).collect();
    os && rest.len() <= 2 && rest.iter().all(|part| plain(part))
}
