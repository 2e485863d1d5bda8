//! What must agree within the document for a stack to make sense at all: references that lead somewhere, keys that
//! exclude each other, dependencies without a circle. Checks of addresses and networks are elsewhere.

mod cycle;
mod references;
mod resources;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::file::active::Inactive;
use crate::file::reference;
use crate::file::tree::{Entry, Mapping, Node};
use crate::source::Span;

/// How many containers a service may have: a bridge of the kernel takes 1,023 links, and an engine a few thousand.
const MOST_REPLICAS: i64 = 10_000;

/// Tells all disagreements of a normal document.
pub fn check(
    root: &Node,
    inactive: &Inactive,
    unextended: &HashSet<Arc<str>>,
    told: &mut Diagnostics,
) {
    let empty = Mapping::default();
    let services = root
        .get("services")
        .and_then(Node::as_mapping)
        .unwrap_or(&empty);
    // What was told about an image or build must not be followed by "has neither an image nor a build context".
    let paths = told.iter().filter_map(|one| one.path.as_deref());
    let mistaken: HashSet<String> = paths
        .filter_map(|path| path.strip_prefix("services.")?.split_once(&['.', '['][..]))
        .filter(|(_, rest)| rest.starts_with("image") || rest.starts_with("build"))
        .map(|(name, _)| name.to_owned())
        .chain(unextended.iter().map(|name| name.to_string()))
        .collect();
    let told_paths = told.iter().filter_map(|one| {
        let path = one.path.clone()?;
        (one.severity == Severity::Error).then_some(path)
    });
    let wrong: HashSet<String> = told_paths.collect();
    let mut checker = Checker {
        root,
        services,
        inactive,
        mistaken,
        wrong,
        told,
    };
    for entry in services.iter() {
        checker.service(entry);
    }
    checker.container_names();
    checker.contents();
    cycle::tell(services, checker.told);
}

struct Checker<'a> {
    root: &'a Node,
    services: &'a Mapping,
    inactive: &'a Inactive,
    /// Services with a mistake in their image or build.
    mistaken: HashSet<String>,
    /// Paths with a mistake: what stands at one is there, though it is left out.
    wrong: HashSet<String>,
    told: &'a mut Diagnostics,
}

fn text<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.get(key)
        .and_then(Node::as_text)
        .filter(|text| !text.is_empty())
}

fn items<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    node.get(key).and_then(Node::as_sequence).unwrap_or(&[])
}

fn entries<'a>(node: &'a Node, key: &str) -> impl Iterator<Item = &'a Entry> {
    node.get(key)
        .and_then(Node::as_mapping)
        .into_iter()
        .flat_map(|mapping| mapping.iter())
}

fn key_span(node: &Node, key: &str) -> Span {
    node.as_mapping()
        .and_then(|mapping| mapping.entry(key))
        .map_or(node.span, |entry| entry.key_span)
}

impl Checker<'_> {
    fn tell(&mut self, name: &str, key: &str, diagnostic: Diagnostic) {
        let dot = if key.is_empty() { "" } else { "." };
        self.told
            .push(diagnostic.path(format!("services.{name}{dot}{key}")));
    }

    fn service(&mut self, entry: &Entry) {
        let (name, service) = (&*entry.key, &entry.node);
        if text(service, "image").is_none()
            && service.get("build").is_none()
            && service.get("provider").is_none()
            && !self.mistaken.contains(name)
        {
            let message =
                format!("service \"{name}\" has neither an image nor a build context specified");
            self.tell(
                name,
                "",
                Diagnostic::error("no-image", message)
                    .at(entry.key_span)
                    .hint(
                        "give it an image (image: nginx) or say how to build one (build: ./folder)",
                    ),
            );
        }
        self.image(name, service);
        self.build(name, service);
        self.networks(name, service);
        self.dependencies(name, service);
        self.references(name, service);
        self.scale(name, service);
        self.resources(name, service);
        self.device_requests(name, service);
        self.mounts(name, service);
        if let Some(port) = items(service, "ports").iter().find(|port| {
            port.get("target")
                .is_none_or(|target| target.as_integer() == Some(0))
        }) {
            let diagnostic = Diagnostic::error(
                "missing-key",
                format!("service \"{name}\": a port is missing a target port"),
            )
            .at(port.span)
            .hint("say which port of the container it is: target: 80");
            self.tell(name, "ports", diagnostic);
        }
        for watch in service
            .get("develop")
            .map_or(&[][..], |develop| items(develop, "watch"))
        {
            let action = text(watch, "action").unwrap_or("");
            if watch.get("target").is_none() && !matches!(action, "rebuild" | "restart") {
                let message = format!(
                    "services.{name}.develop.watch: target is required for non-rebuild actions"
                );
                self.tell(
                    name,
                    "develop.watch",
                    Diagnostic::error("missing-key", message).at(watch.span),
                );
            }
        }
    }

    fn image(&mut self, name: &str, service: &Node) {
        let Some(image) = service.get("image") else {
            return;
        };
        let written = image.as_text().unwrap_or_default();
        // A variable that is missing was told; what it leaves is no reference, and no news.
        if written.is_empty() || self.mistaken.contains(name) {
            return;
        }
        if let Some(mistake) = reference::mistake(written) {
            let message = format!("services.{name}.image: invalid reference format: {mistake}");
            let diagnostic = Diagnostic::error("bad-image", message)
                .at(image.span)
                .hint("write [HOST[:PORT]/]NAME[:TAG], such as nginx:1.27");
            self.tell(name, "image", diagnostic);
        }
    }

    fn build(&mut self, name: &str, service: &Node) {
        let Some(build) = service.get("build") else {
            return;
        };
        if let Some(one) = build.get("dockerfile")
            && build.get("dockerfile_inline").is_some()
        {
            let message = format!(
                "service \"{name}\" declares mutually exclusive dockerfile and dockerfile_inline"
            );
            let diagnostic = Diagnostic::error("excludes", message)
                .at(key_span(build, "dockerfile_inline"))
                .also(one.span, "the other one")
                .hint("keep one of the two");
            self.tell(name, "build", diagnostic);
        }
        let platforms = items(build, "platforms");
        if let Some(platform) = service.get("platform")
            && !platforms.is_empty()
            && !platforms.iter().any(|one| one.same(platform))
        {
            let message = format!(
                "service.build.platforms MUST include service.platform \"{}\"",
                platform.as_text().unwrap_or_default()
            );
            let diagnostic = Diagnostic::error("platform", message)
                .at(platform.span)
                .also(key_span(build, "platforms"), "these are built");
            self.tell(name, "build.platforms", diagnostic);
        }
        for context in entries(build, "additional_contexts") {
            if let Some(other) = context
                .node
                .as_text()
                .and_then(|text| text.strip_prefix("service:"))
            {
                let place = context.node.span;
                match self.services.get(other) {
                    None => {
                        self.undefined(name, "service", other, place, "build.additional_contexts")
                    }
                    Some(target) if target.get("build").is_none() => {
                        let message = format!(
                            "service \"{name}\" declares non-buildable service \"{other}\" as additional contexts {}",
                            context.key
                        );
                        self.tell(
                            name,
                            "build",
                            Diagnostic::error("unknown-reference", message).at(place),
                        );
                    }
                    Some(_) => {}
                }
            }
        }
    }

    fn networks(&mut self, name: &str, service: &Node) {
        let networks = service.get("networks").and_then(Node::as_mapping);
        if let Some(mode) = service.get("network_mode")
            && networks.is_some_and(|networks| !networks.is_empty())
        {
            let message =
                format!("service {name} declares mutually exclusive `network_mode` and `networks`");
            let diagnostic = Diagnostic::error("excludes", message)
                .label(mode.span, "this takes the place of all networks")
                .also(key_span(service, "networks"), "and here are networks")
                .hint("keep one of the two");
            self.tell(name, "network_mode", diagnostic);
        }
        for entry in networks.into_iter().flat_map(|networks| networks.iter()) {
            self.known(name, "network", "networks", &entry.key, entry.key_span);
        }
    }

    fn scale(&mut self, name: &str, service: &Node) {
        let replicas = service
            .get("deploy")
            .and_then(|deploy| deploy.get("replicas"));
        let scale = service.get("scale");
        if let (Some(scale), Some(replicas)) = (scale, replicas)
            && !scale.same(replicas)
        {
            let message = format!(
                "services.{name}: can't set distinct values on 'scale' and 'deploy.replicas'"
            );
            let diagnostic = Diagnostic::error("contradiction", message)
                .at(scale.span)
                .also(replicas.span, "another number");
            self.tell(name, "scale", diagnostic);
        }
        let count = scale.or(replicas);
        if let Some(count) = count
            && let Some(number) = count.as_integer().filter(|number| *number > MOST_REPLICAS)
        {
            let message =
                format!("services.{name}: {number} containers are more than one engine can hold");
            let diagnostic = Diagnostic::error("out-of-range", message)
                .at(count.span)
                .hint(format!("ask for {MOST_REPLICAS} at most"));
            self.tell(name, "scale", diagnostic);
        }
        if let (Some(fixed), Some(count)) = (service.get("container_name"), count)
            && count.as_integer().is_some_and(|count| count > 1)
        {
            let attribute = if scale.is_some() {
                "scale"
            } else {
                "deploy.replicas"
            };
            let message = format!(
                "services.{name}: can't set container_name and {attribute} as container name must be unique"
            );
            let diagnostic = Diagnostic::error("contradiction", message)
                .label(fixed.span, "one name…")
                .also(count.span, "…for several containers")
                .hint("remove container_name: every container then gets a name of its own");
            self.tell(name, "container_name", diagnostic);
        }
        if let Some(replicas) =
            replicas.filter(|replicas| replicas.as_integer().is_some_and(|count| count < 0))
        {
            let message =
                format!("services.{name}.deploy.replicas: must be greater than or equal to 0");
            self.tell(
                name,
                "deploy.replicas",
                Diagnostic::error("out-of-range", message).at(replicas.span),
            );
        }
    }

    fn resources(&mut self, name: &str, service: &Node) {
        let resources = service
            .get("deploy")
            .and_then(|deploy| deploy.get("resources"));
        let Some(resources) = resources else { return };
        for (key, group, inner) in [
            ("cpus", "limits", "cpus"),
            ("mem_limit", "limits", "memory"),
            ("mem_reservation", "reservations", "memory"),
            ("pids_limit", "limits", "pids"),
        ] {
            let below = resources.get(group).and_then(|group| group.get(inner));
            if let (Some(own), Some(below)) = (service.get(key), below)
                && own.scalar_text() != below.scalar_text()
            {
                let message = format!(
                    "services.{name}: can't set distinct values on '{key}' and 'deploy.resources.{group}.{inner}'"
                );
                let diagnostic = Diagnostic::error("contradiction", message)
                    .at(own.span)
                    .also(below.span, "another value");
                self.tell(name, key, diagnostic);
            }
        }
    }

    /// Devices by capability are asked for by number or by name.
    fn device_requests(&mut self, name: &str, service: &Node) {
        let reserved = service
            .get("deploy")
            .and_then(|deploy| deploy.get("resources")?.get("reservations"));
        let groups = [
            ("gpus", Some(service), "gpus"),
            ("devices", reserved, "deploy.resources.reservations.devices"),
        ];
        for (key, holder, path) in groups {
            let requests = holder.map_or(&[][..], |holder| items(holder, key));
            for (index, request) in requests.iter().enumerate() {
                let path = format!("{path}[{index}]");
                if let (Some(count), Some(ids)) = (request.get("count"), request.get("device_ids"))
                    && !ids.says_nothing()
                {
                    let message = format!(
                        "services.{name}.{path}: \"count\" and \"device_ids\" attributes are exclusive"
                    );
                    let diagnostic = Diagnostic::error("excludes", message)
                        .label(count.span, "so many, whichever they are")
                        .also(key_span(request, "device_ids"), "and just these")
                        .hint("keep one of the two");
                    self.tell(name, &path, diagnostic);
                }
                if key == "devices" && request.get("capabilities").is_none() {
                    let message =
                        format!("services.{name}.{path}: missing property 'capabilities'");
                    let diagnostic = Diagnostic::error("missing-key", message)
                        .at(request.span)
                        .hint("say what the devices must be able to do: capabilities: [gpu]");
                    self.tell(name, &path, diagnostic);
                }
            }
        }
    }

    fn mounts(&mut self, name: &str, service: &Node) {
        let mut there: HashMap<String, Span> = HashMap::new();
        let mut written_before: HashSet<&str> = HashSet::new();
        for (index, item) in items(service, "tmpfs").iter().enumerate() {
            let written = item.as_text().unwrap_or_default();
            let path = written.split(':').next().unwrap_or_default();
            let first = there.insert(path.to_owned(), item.span);
            // The same text twice is one mount, as in the engine.
            if written_before.insert(written)
                && let Some(first) = first
            {
                let message = format!(
                    "services.{name}.tmpfs[{index}]: target {path} already mounted, and the later one counts"
                );
                let diagnostic = Diagnostic::warning("duplicate-mount", message)
                    .at(item.span)
                    .also(first, "already mounted here");
                self.tell(name, &format!("tmpfs[{index}]"), diagnostic);
            }
        }
        for (index, item) in items(service, "volumes").iter().enumerate() {
            let Some(target) = item.get("target") else {
                continue;
            };
            let path = target.as_text().unwrap_or_default();
            if let Some(first) = there.insert(path.to_owned(), target.span) {
                let key = format!("volumes[{index}]");
                let message = format!("services.{name}.{key}: target {path} already mounted");
                let diagnostic = Diagnostic::error("duplicate-mount", message)
                    .at(target.span)
                    .also(first, "already mounted here");
                self.tell(name, &key, diagnostic);
            }
        }
    }
}
