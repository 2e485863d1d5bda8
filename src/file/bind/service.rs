//! Services: what connects them to each other and to the outside. What a container is by itself is in the file beside
//! this one.

use std::collections::HashSet;
use std::net::IpAddr;

use indexmap::IndexMap;

use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::file::bind::Binder;
use crate::file::bind::field::{
    command, entries, environment, hosts, items, number, pairs, parse, text, texts, yes,
};
use crate::file::normal::IMPLIED;
use crate::file::short;
use crate::file::tree::{Entry, Node};
use crate::file::value;
use crate::model::address::Mac;
use crate::model::name::ServiceName;
use crate::model::port::{ExposedPort, PortRange, Protocol, PublishedPort};
use crate::model::service::{
    Attachment, Build, Condition, Connection, Dependency, Hook, Link, PullPolicy, Service, Sharing,
    VolumeSource, VolumesFrom,
};

const MAC: &str = "write six pairs of hexadecimal digits, such as 02:42:ac:11:00:02";

impl Binder<'_> {
    /// One service; none where its name is no name.
    pub fn service(&mut self, entry: &Entry) -> Option<Service> {
        let (key, node) = (&*entry.key, &entry.node);
        let name: ServiceName = key.parse().ok()?;
        let image =
            text(node, "image").unwrap_or_else(|| format!("{}-{key}", self.document.project));
        let replicas = node
            .get("deploy")
            .and_then(|deploy| number(deploy, "replicas"));
        let scale = number(node, "scale").or(replicas).unwrap_or(1);
        Some(Service {
            name,
            image,
            build: node.get("build").map(build),
            pull_policy: self.pull_policy(key, node),
            scale: u32::try_from(scale).unwrap_or(0),
            container_name: text(node, "container_name"),
            config: Arc::new(self.container(key, node)),
            connection: self.connection(key, node),
            ports: self.ports(key, node),
            expose: self.expose(key, node),
            links: self.links(key, node),
            external_links: external_links(node),
            volumes_from: self.volumes_from(key, node),
            ipc: Self::sharing(node, "ipc"),
            pid: Self::sharing(node, "pid"),
            depends_on: self.dependencies(node),
            mac_address: self.mac(node.get("mac_address"), &["services", key, "mac_address"]),
            attach: node.get("attach").and_then(Node::as_bool) != Some(false),
            post_start: items(node, "post_start").iter().map(hook).collect(),
            pre_stop: items(node, "pre_stop").iter().map(hook).collect(),
            profiles: texts(node, "profiles"),
        })
    }

    fn mac(&mut self, node: Option<&Node>, path: &[&str]) -> Option<Mac> {
        let node = node.filter(|node| node.as_text() != Some(""))?;
        parse(node, "bad-mac", MAC, path, self.told)
    }

    fn pull_policy(&mut self, key: &str, node: &Node) -> PullPolicy {
        let Some(policy) = node.get("pull_policy") else {
            return PullPolicy::Missing;
        };
        let every = |text: &str| {
            let length = value::duration(text)
                .ok()
                .and_then(|length| u64::try_from(length).ok())?;
            Some(PullPolicy::Every(std::time::Duration::from_nanos(length)))
        };
        let found = match policy.as_text().unwrap_or("") {
            "missing" | "if_not_present" => Some(PullPolicy::Missing),
            "always" => Some(PullPolicy::Always),
            "never" => Some(PullPolicy::Never),
            "build" => Some(PullPolicy::Build),
            "daily" => every("1d"),
            "weekly" => every("1w"),
            "refresh" => every(&text(node, "pull_refresh_after").unwrap_or_else(|| "0".to_owned())),
            other => other.strip_prefix("every_").and_then(every),
        };
        found.unwrap_or_else(|| {
            let words = [
                "always", "never", "missing", "build", "daily", "weekly", "refresh",
            ];
            let text = policy.as_text().unwrap_or("");
            let hint = match value::nearest(text, words.into_iter()) {
                _ if text.is_empty() => {
                    "remove the key, or write missing, which is the default".to_owned()
                }
                Some(near) => format!("did you mean `{near}`?"),
                None => "it can be always, never, missing, build, daily, weekly or every_DURATION"
                    .to_owned(),
            };
            let message = format!("services.{key}.pull_policy: `{text}` is not a pull policy");
            let diagnostic = Diagnostic::error("unknown-value", message)
                .at(policy.span)
                .hint(hint);
            self.tell(diagnostic, &["services", key, "pull_policy"]);
            PullPolicy::Missing
        })
    }

    fn connection(&mut self, key: &str, node: &Node) -> Connection {
        let path = ["services", key, "network_mode"];
        // Both together are refused; the networks' addresses are looked at all the same.
        let has_networks = entries(node, "networks").next().is_some();
        if let Some(mode) = node.get("network_mode").filter(|_| !has_networks) {
            let word = mode.as_text().unwrap_or("");
            return match (word, word.split_once(':')) {
                ("host", _) => Connection::Host,
                ("none", _) => Connection::None,
                ("bridge" | "default" | "", _) => Connection::DefaultBridge,
                // That the service is there is checked with the dependency that this implies.
                (_, Some(("service", other))) => {
                    parse_name(other).map_or(Connection::None, Connection::Service)
                }
                (_, Some(("container", other))) if !other.is_empty() => {
                    Connection::Container(other.to_owned())
                }
                (_, Some(("container", _))) => {
                    let diagnostic =
                        Diagnostic::error("bad-mode", "`container:` needs the name of a container");
                    self.tell(diagnostic.at(mode.span).hint("write container:NAME"), &path);
                    Connection::None
                }
                _ => Connection::Named(word.to_owned()),
            };
        }
        let mut networks = IndexMap::new();
        for entry in entries(node, "networks") {
            if let Ok(name) = entry.key.parse() {
                networks.insert(name, self.attachment(key, entry));
            }
        }
        if networks.is_empty() {
            Connection::None
        } else {
            Connection::Networks(networks)
        }
    }

    fn attachment(&mut self, service: &str, entry: &Entry) -> Attachment {
        let node = &entry.node;
        let path = |name: &'static str| ["services", service, "networks", &entry.key, name];
        let told = &mut *self.told;
        let ipv4_address = node.get("ipv4_address").and_then(|address| {
            let hint = "write four numbers from 0 to 255, such as 192.168.1.10";
            parse(address, "bad-address", hint, &path("ipv4_address"), told)
        });
        let ipv6_address = node.get("ipv6_address").and_then(|address| {
            let hint = "write an IPv6 address, such as 2001:db8::10";
            parse(address, "bad-address", hint, &path("ipv6_address"), told)
        });
        let link_local_ips = items(node, "link_local_ips")
            .iter()
            .filter_map(|item| {
                parse::<IpAddr>(
                    item,
                    "bad-address",
                    "write an address",
                    &path("link_local_ips"),
                    told,
                )
            })
            .collect();
        let mac_address = self.mac(node.get("mac_address"), &path("mac_address"));
        let priority = |name| {
            number(node, name).map(|number| number.clamp(i32::MIN.into(), i32::MAX.into()) as i32)
        };
        Attachment {
            aliases: texts(node, "aliases"),
            ipv4_address,
            ipv6_address,
            link_local_ips,
            mac_address,
            priority: priority("priority").unwrap_or(0),
            gw_priority: priority("gw_priority"),
            interface_name: text(node, "interface_name"),
            driver_opts: pairs(node.get("driver_opts")),
        }
    }

    fn protocol(&mut self, word: &str, node: &Node, path: &[&str]) -> Protocol {
        match word.to_ascii_lowercase().as_str() {
            "" | "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            _ => {
                let diagnostic =
                    Diagnostic::error("unknown-value", format!("invalid proto: {word}"))
                        .at(node.span);
                self.tell(diagnostic.hint("the protocol is tcp, udp or sctp"), path);
                Protocol::Tcp
            }
        }
    }

    fn ports(&mut self, key: &str, node: &Node) -> Vec<PublishedPort> {
        let mut ports = Vec::new();
        // A port range is one entry of the file and several here; its items have one place.
        let mut written = HashSet::new();
        for port in items(node, "ports") {
            written.insert(port.span);
            let index = (written.len() - 1).to_string();
            let path = ["services", key, "ports", &index];
            let published = match port
                .get("published")
                .filter(|node| node.as_text() != Some(""))
            {
                Some(written) => {
                    match written.as_text().and_then(short::range) {
                        Some((first, last)) => Some(PortRange { first, last }),
                        None => {
                            let text = written.scalar_text().unwrap_or_default();
                            let diagnostic = Diagnostic::error("bad-port", format!("invalid hostPort: {text}"))
                            .at(written.span)
                            .hint("ports are whole numbers from 0 to 65535, or a range such as 8000-8010");
                            self.tell(diagnostic, &path);
                            None
                        }
                    }
                }
                None => None,
            };
            let host_ip = port
                .get("host_ip")
                .filter(|node| node.as_text() != Some(""))
                .and_then(|address| {
                    parse(
                        address,
                        "bad-address",
                        "write an address of the host, such as 127.0.0.1",
                        &path,
                        self.told,
                    )
                });
            let word = text(port, "protocol").unwrap_or_default();
            let protocol = self.protocol(&word, port.get("protocol").unwrap_or(port), &path);
            let Some(target) = number(port, "target").and_then(|target| u16::try_from(target).ok())
            else {
                continue;
            };
            ports.push(PublishedPort {
                target,
                protocol,
                published: published.filter(|p| p.last > 0),
                host_ip,
            });
        }
        ports
    }

    fn expose(&mut self, key: &str, node: &Node) -> Vec<ExposedPort> {
        let mut all = Vec::new();
        for item in items(node, "expose") {
            let text = item.scalar_text().unwrap_or_default();
            let (port, word) = text.split_once('/').unwrap_or((&text, "tcp"));
            let path = ["services", key, "expose"];
            let protocol = self.protocol(word, item, &path);
            match short::range(port) {
                Some((first, last)) => {
                    all.extend((first..=last).map(|port| ExposedPort { port, protocol }))
                }
                None => {
                    let diagnostic =
                        Diagnostic::error("bad-port", format!("invalid exposed port: {text}"));
                    self.tell(
                        diagnostic.at(item.span).hint("write PORT[-END][/PROTOCOL]"),
                        &path,
                    );
                }
            }
        }
        all
    }

    fn links(&mut self, key: &str, node: &Node) -> Vec<Link> {
        let mut links = Vec::new();
        for item in items(node, "links") {
            let text = item.as_text().unwrap_or("");
            let (service, alias) = text.split_once(':').unwrap_or((text, text));
            match (parse_name(service), alias) {
                (Some(service), alias) if !alias.is_empty() => links.push(Link {
                    service,
                    alias: alias.to_owned(),
                }),
                _ => {
                    let diagnostic =
                        Diagnostic::error("bad-link", format!("`{text}` is not a link"))
                            .at(item.span);
                    self.tell(
                        diagnostic.hint("write SERVICE or SERVICE:ALIAS"),
                        &["services", key, "links"],
                    );
                }
            }
        }
        links
    }

    fn volumes_from(&mut self, key: &str, node: &Node) -> Vec<VolumesFrom> {
        let mut all = Vec::new();
        for item in items(node, "volumes_from") {
            let text = item.as_text().unwrap_or("");
            let (rest, is_container) = match text.strip_prefix("container:") {
                Some(rest) => (rest, true),
                None => (text, false),
            };
            let (name, mode) = rest.split_once(':').unwrap_or((rest, "rw"));
            let from = match (is_container, parse_name(name)) {
                (true, _) if !name.is_empty() => VolumeSource::Container(name.to_owned()),
                (false, Some(service)) => VolumeSource::Service(service),
                _ => {
                    let diagnostic = Diagnostic::error(
                        "bad-reference",
                        format!("`{text}` names no service or container"),
                    );
                    let hint = "write SERVICE[:ro] or container:NAME[:ro]";
                    self.tell(
                        diagnostic.at(item.span).hint(hint),
                        &["services", key, "volumes_from"],
                    );
                    continue;
                }
            };
            all.push(VolumesFrom {
                from,
                read_only: mode == "ro",
            });
        }
        all
    }

    fn sharing(node: &Node, name: &str) -> Option<Sharing> {
        let mode = text(node, name)?;
        match mode.strip_prefix("service:").and_then(parse_name) {
            Some(service) => Some(Sharing::Service(service)),
            None => Some(Sharing::Other(mode)),
        }
    }

    fn dependencies(&self, node: &Node) -> IndexMap<ServiceName, Dependency> {
        let services = self
            .document
            .root
            .get("services")
            .and_then(Node::as_mapping);
        let mut all = IndexMap::new();
        for entry in entries(node, "depends_on") {
            // What is off and not required is not waited for.
            if services.is_none_or(|services| !services.contains(&entry.key)) {
                continue;
            }
            let Some(name) = parse_name(&entry.key) else {
                continue;
            };
            let condition = match text(&entry.node, "condition").as_deref() {
                Some("service_healthy") => Condition::Healthy,
                Some("service_completed_successfully") => Condition::CompletedSuccessfully,
                _ => Condition::Started,
            };
            let dependency = Dependency {
                condition,
                restart: yes(&entry.node, "restart"),
                required: entry.node.get("required").and_then(Node::as_bool) != Some(false),
                implied: yes(&entry.node, IMPLIED),
            };
            all.insert(name, dependency);
        }
        all
    }
}

fn parse_name(text: &str) -> Option<ServiceName> {
    text.parse().ok()
}

fn external_links(node: &Node) -> Vec<(String, String)> {
    let pair = |text: String| match text.split_once(':') {
        Some((name, alias)) => (name.to_owned(), alias.to_owned()),
        None => (text.clone(), text),
    };
    texts(node, "external_links")
        .into_iter()
        .map(pair)
        .collect()
}

fn hook(node: &Node) -> Hook {
    Hook {
        command: command(node, "command").unwrap_or_default(),
        user: text(node, "user"),
        privileged: yes(node, "privileged"),
        working_dir: text(node, "working_dir"),
        environment: environment(node.get("environment")),
    }
}

/// What only BuildKit can do.
const BEYOND_CLASSIC: [&str; 11] = [
    "additional_contexts",
    "cache_to",
    "entitlements",
    "no_cache_filter",
    "privileged",
    "provenance",
    "sbom",
    "secrets",
    "ssh",
    "isolation",
    "ulimits",
];

fn build(node: &Node) -> Build {
    let is_wanted = |key: &&&str| {
        node.get(key).is_some_and(|value| {
            value.as_bool() != Some(false)
                && value.as_text() != Some("false")
                && value.as_sequence().is_none_or(|items| !items.is_empty())
        })
    };
    let mut beyond_classic: Vec<String> = BEYOND_CLASSIC
        .iter()
        .filter(is_wanted)
        .map(|key| (*key).to_owned())
        .collect();
    let platforms = texts(node, "platforms");
    if platforms.len() > 1 {
        beyond_classic.push("platforms".to_owned());
    }
    Build {
        context: text(node, "context").unwrap_or_else(|| ".".to_owned()),
        dockerfile: text(node, "dockerfile"),
        dockerfile_inline: text(node, "dockerfile_inline"),
        args: environment(node.get("args")),
        target: text(node, "target"),
        labels: pairs(node.get("labels")),
        tags: texts(node, "tags"),
        cache_from: texts(node, "cache_from"),
        no_cache: yes(node, "no_cache"),
        pull: yes(node, "pull"),
        network: text(node, "network"),
        shm_size: number(node, "shm_size"),
        extra_hosts: hosts(node, "extra_hosts"),
        platforms,
        beyond_classic,
    }
}
