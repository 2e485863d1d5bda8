//! What a container is by itself: process, limits, storage and the rest that the engine takes as it stands.

use std::net::IpAddr;

use indexmap::IndexMap;

use crate::diagnostic::Diagnostic;
use crate::file::bind::Binder;
use crate::file::bind::field::{
    command, duration, environment, hosts, items, number, pairs, parse, text, texts, yes,
};
use crate::file::document::joined;
use crate::file::tree::Node;
use crate::file::value;
use crate::model::container::{ContainerConfig, Healthcheck, Logging, RestartPolicy};

impl Binder<'_> {
    /// The container of a service.
    pub fn container(&mut self, key: &str, node: &Node) -> ContainerConfig {
        let mut files = Vec::new();
        let mut mounts = self.mounts(key, node);
        self.files(key, node, &mut mounts, &mut files);
        ContainerConfig {
            command: command(node, "command"),
            entrypoint: command(node, "entrypoint"),
            working_dir: text(node, "working_dir"),
            user: text(node, "user"),
            group_add: texts(node, "group_add"),
            hostname: text(node, "hostname"),
            domainname: text(node, "domainname"),
            environment: environment(node.get("environment")),
            labels: pairs(node.get("labels")),
            annotations: pairs(node.get("annotations")),
            tty: yes(node, "tty"),
            stdin_open: yes(node, "stdin_open"),
            stop_signal: text(node, "stop_signal"),
            stop_grace_period: duration(node, "stop_grace_period"),
            restart: self.restart(key, node),
            init: node.get("init").and_then(Node::as_bool),
            runtime: text(node, "runtime"),
            platform: text(node, "platform"),
            healthcheck: node.get("healthcheck").map(healthcheck),
            logging: node.get("logging").map(|logging| Logging {
                driver: text(logging, "driver"),
                options: pairs(logging.get("options")),
            }),
            dns: self.dns(key, node),
            dns_opt: texts(node, "dns_opt"),
            dns_search: texts(node, "dns_search"),
            extra_hosts: self.extra_hosts(key, node),
            sysctls: pairs(node.get("sysctls")),
            mounts,
            tmpfs: tmpfs(node),
            files,
            cap_add: texts(node, "cap_add"),
            cap_drop: texts(node, "cap_drop"),
            privileged: yes(node, "privileged"),
            read_only: yes(node, "read_only"),
            security_opt: texts(node, "security_opt"),
            userns_mode: text(node, "userns_mode"),
            uts: text(node, "uts"),
            cgroup: text(node, "cgroup"),
            cgroup_parent: text(node, "cgroup_parent"),
            isolation: text(node, "isolation"),
            device_cgroup_rules: texts(node, "device_cgroup_rules"),
            devices: self.devices(node),
            device_requests: self.device_requests(node),
            storage_opt: pairs(node.get("storage_opt")),
            resources: self.resources(node),
        }
    }

    fn dns(&mut self, key: &str, node: &Node) -> Vec<IpAddr> {
        let path = ["services", key, "dns"];
        let hint = "write the address of a resolver, such as 9.9.9.9";
        let items = items(node, "dns")
            .iter()
            .filter(|item| item.as_text() != Some(""));
        items
            .filter_map(|item| parse(item, "bad-address", hint, &path, self.told))
            .collect()
    }

    fn extra_hosts(&mut self, key: &str, node: &Node) -> Vec<(String, String)> {
        for item in items(node, "extra_hosts") {
            let address = item
                .as_text()
                .and_then(|text| text.split_once('='))
                .map_or("", |(_, address)| address);
            if address != "host-gateway" && address.parse::<IpAddr>().is_err() {
                let message = format!(
                    "services.{key}.extra_hosts: invalid IP address in add-host: \"{address}\""
                );
                let diagnostic = Diagnostic::error("bad-address", message)
                    .at(item.span)
                    .hint("write an address, or `host-gateway` for the host");
                self.tell(diagnostic, &["services", key, "extra_hosts"]);
            }
        }
        hosts(node, "extra_hosts")
    }

    fn restart(&mut self, key: &str, node: &Node) -> RestartPolicy {
        let deploy = node
            .get("deploy")
            .and_then(|deploy| deploy.get("restart_policy"));
        if let Some(policy) = deploy {
            return self.deployed_restart(key, policy);
        }
        let Some(word) = node
            .get("restart")
            .filter(|word| word.as_text() != Some(""))
        else {
            return RestartPolicy::No;
        };
        let text = word.as_text().unwrap_or("");
        let found = match text.split_once(':') {
            None => match text {
                "no" => Some(RestartPolicy::No),
                "always" => Some(RestartPolicy::Always),
                "unless-stopped" => Some(RestartPolicy::UnlessStopped),
                "on-failure" => Some(RestartPolicy::OnFailure(None)),
                _ => None,
            },
            Some(("on-failure", times)) => times
                .parse()
                .ok()
                .filter(|times| *times >= 0)
                .map(|times| RestartPolicy::OnFailure(Some(times))),
            Some(_) => None,
        };
        found.unwrap_or_else(|| {
            let words = ["no", "always", "unless-stopped", "on-failure"];
            let hint = match value::nearest(text, words.into_iter()) {
                _ if text.starts_with("on-failure:") => {
                    "write how often at most: on-failure:3".to_owned()
                }
                Some(near) => format!("did you mean `{near}`?"),
                None => "it can be no, always, on-failure[:TIMES] or unless-stopped".to_owned(),
            };
            let message = format!("services.{key}.restart: invalid restart policy `{text}`");
            let diagnostic = Diagnostic::error("unknown-value", message)
                .at(word.span)
                .hint(hint);
            self.tell(diagnostic, &["services", key, "restart"]);
            RestartPolicy::No
        })
    }

    /// The policy of `deploy`, which has words of its own and takes the others too.
    fn deployed_restart(&mut self, key: &str, policy: &Node) -> RestartPolicy {
        match text(policy, "condition").as_deref() {
            Some("none" | "no") => RestartPolicy::No,
            Some("on-failure") => RestartPolicy::OnFailure(number(policy, "max_attempts")),
            Some("unless-stopped") => RestartPolicy::UnlessStopped,
            None | Some("any" | "always") => RestartPolicy::Always,
            Some(other) => {
                let path = ["services", key, "deploy", "restart_policy", "condition"];
                let words = ["none", "on-failure", "any"];
                let hint = match value::nearest(other, words.into_iter()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "it can be none, on-failure or any".to_owned(),
                };
                let message = format!("{}: invalid restart policy `{other}`", joined(&path));
                let mut diagnostic = Diagnostic::error("unknown-value", message).hint(hint);
                if let Some(node) = policy.get("condition") {
                    diagnostic = diagnostic.at(node.span);
                }
                self.tell(diagnostic, &path);
                RestartPolicy::No
            }
        }
    }
}

fn healthcheck(node: &Node) -> Healthcheck {
    let test = if yes(node, "disable") {
        vec!["NONE".to_owned()]
    } else {
        texts(node, "test")
    };
    Healthcheck {
        test,
        interval: duration(node, "interval"),
        timeout: duration(node, "timeout"),
        retries: number(node, "retries"),
        start_period: duration(node, "start_period"),
        start_interval: duration(node, "start_interval"),
    }
}

fn tmpfs(node: &Node) -> IndexMap<String, String> {
    let pair = |text: String| match text.split_once(':') {
        Some((path, options)) => (path.to_owned(), options.to_owned()),
        None => (text, String::new()),
    };
    texts(node, "tmpfs").into_iter().map(pair).collect()
}
