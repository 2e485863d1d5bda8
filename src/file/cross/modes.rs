//! What the way a service is connected excludes: options of a namespace that belongs to someone else, settings of
//! endpoints that have none, links that lead nowhere.

use std::collections::HashMap;

use crate::diagnostic::Diagnostic;
use crate::file::cross::{Ground, listed};
use crate::file::value;
use crate::model::name::NetworkName;
use crate::model::network::Driver;
use crate::model::service::{Attachment, Connection, Service};

/// Checks all services.
pub fn check(ground: &mut Ground) {
    for service in ground.stack.services.values() {
        let name = service.name.as_str();
        match &service.connection {
            Connection::Service(_) | Connection::Container(_) => borrowed(ground, service),
            Connection::Host => host(ground, service),
            Connection::None => {}
            Connection::DefaultBridge => {}
            Connection::Named(mode) => named(ground, name, mode),
            Connection::Networks(networks) => {
                alone(ground, name, networks.keys());
                for (key, attachment) in networks {
                    endpoint(ground, name, key, attachment);
                }
                interface_names(ground, service);
            }
        }
        links(ground, service);
    }
}

/// Whether a service has a key with something in it: an empty list or text asks the engine for nothing.
fn is_written(ground: &Ground, name: &str, key: &str) -> bool {
    let services = ground.document.root.get("services");
    services
        .and_then(|services| services.get(name)?.get(key))
        .is_some_and(|node| !node.says_nothing())
}

fn refuse(ground: &mut Ground, name: &str, key: &str, message: String, hint: &str) {
    let diagnostic = Diagnostic::error("mode-excludes", message).hint(hint);
    let diagnostic = ground.also(
        diagnostic,
        &["services", name, "network_mode"],
        "because of this",
    );
    ground.tell(diagnostic, &["services", name, key], "");
}

/// A mode that is no word of the engine's is one of its networks, or such a word mistyped.
fn named(ground: &mut Ground, name: &str, mode: &str) {
    let mut networks = ground.stack.networks.values();
    if networks.any(|network| network.name == mode) {
        return;
    }
    let near = match mode.split_once(':') {
        Some((word, owner)) => value::nearest(word, ["service", "container"].into_iter())
            .map(|near| format!("{near}:{owner}")),
        None => value::nearest(mode, ["host", "none", "bridge"].into_iter()).map(str::to_owned),
    };
    if let Some(near) = near {
        let message = format!(
            "service `{name}`: `{mode}` is no mode, and taken for a network of the engine with this name"
        );
        let diagnostic =
            Diagnostic::warning("unknown-value", message).hint(format!("did you mean `{near}`?"));
        ground.tell(diagnostic, &["services", name, "network_mode"], "");
    }
}

/// A namespace that belongs to another container takes no settings of its own.
fn borrowed(ground: &mut Ground, service: &Service) {
    let name = service.name.as_str();
    let owner = match &service.connection {
        Connection::Service(owner) => owner.to_string(),
        Connection::Container(owner) => owner.clone(),
        Connection::Host
        | Connection::None
        | Connection::DefaultBridge
        | Connection::Named(_)
        | Connection::Networks(_) => return,
    };
    for (key, words) in [
        ("hostname", "hostname and the network mode"),
        ("dns", "dns and the network mode"),
        (
            "extra_hosts",
            "custom host-to-IP mapping and the network mode",
        ),
        ("mac_address", "mac-address and the network mode"),
        ("links", "links and the network mode"),
        ("expose", "expose and the network mode"),
    ] {
        if is_written(ground, name, key) {
            let message = format!(
                "service `{name}`: conflicting options: {words}: the namespace is that of `{owner}`"
            );
            refuse(ground, name, key, message, &format!("set it on `{owner}`"));
        }
    }
    // Engines do not look at these, and use the owner's.
    for key in ["dns_search", "dns_opt"] {
        if is_written(ground, name, key) {
            let message = format!(
                "service `{name}`: {key} does nothing here: the namespace is that of `{owner}`"
            );
            let diagnostic = Diagnostic::warning("key-without-effect", message)
                .hint(format!("set it on `{owner}`"));
            let mode = ["services", name, "network_mode"];
            let diagnostic = ground.also(diagnostic, &mode, "because of this");
            ground.tell(diagnostic, &["services", name, key], "");
        }
    }
}

fn host(ground: &mut Ground, service: &Service) {
    let name = service.name.as_str();
    for (key, words) in [("links", "links"), ("mac_address", "mac-address")] {
        if is_written(ground, name, key) {
            let message = format!(
                "service `{name}`: conflicting options: host type networking can't be used with {words}"
            );
            refuse(
                ground,
                name,
                key,
                message,
                &format!("remove `{key}`, or use a network"),
            );
        }
    }
    for parameter in service
        .config
        .sysctls
        .keys()
        .filter(|parameter| parameter.starts_with("net."))
    {
        let message = format!(
            "service `{name}`: sysctl {parameter} is not allowed in the host network namespace"
        );
        let diagnostic =
            Diagnostic::error("mode-excludes", message).hint("set it on the host itself");
        let diagnostic = ground.also(
            diagnostic,
            &["services", name, "network_mode"],
            "the host's own namespace",
        );
        ground.tell(diagnostic, &["services", name, "sysctls", parameter], "");
    }
}

/// `host` and `none`, named as networks, are for a container alone.
fn alone<'k>(ground: &mut Ground, name: &str, keys: impl Iterator<Item = &'k NetworkName>) {
    let keys: Vec<&NetworkName> = keys.collect();
    if keys.len() < 2 {
        return;
    }
    for key in &keys {
        let Some(network) = ground.stack.networks.get(*key) else {
            continue;
        };
        let what = match network.driver {
            Driver::Host => "the host's own namespace",
            Driver::None => "no network",
            Driver::Bridge
            | Driver::DefaultBridge
            | Driver::Macvlan(_)
            | Driver::Ipvlan(..)
            | Driver::Overlay
            | Driver::Plugin(_) => continue,
        };
        let others = listed(
            keys.iter()
                .filter(|other| *other != key)
                .map(|other| other.as_str()),
        );
        let message = format!(
            "service `{name}`: network `{key}` is {what}, which cannot be combined with {others}"
        );
        let diagnostic = Diagnostic::error("mode-excludes", message).hint("keep one of them");
        ground.tell(
            diagnostic,
            &["services", name, "networks", key.as_str()],
            "",
        );
    }
}

/// Settings of an endpoint where endpoints have none.
fn endpoint(ground: &mut Ground, name: &str, key: &NetworkName, attachment: &Attachment) {
    let Some(network) = ground.stack.networks.get(key) else {
        return;
    };
    let what = match network.driver {
        Driver::DefaultBridge => "the engine's default bridge",
        Driver::Host => "the host's own namespace",
        Driver::None => "no network",
        Driver::Bridge
        | Driver::Macvlan(_)
        | Driver::Ipvlan(..)
        | Driver::Overlay
        | Driver::Plugin(_) => return,
    };
    for (setting, is_there, words) in [
        (
            "aliases",
            !attachment.aliases.is_empty(),
            "network-scoped alias is supported only for containers in user defined networks",
        ),
        (
            "ipv4_address",
            attachment.ipv4_address.is_some(),
            "user specified IP address is supported on user defined networks only",
        ),
        (
            "ipv6_address",
            attachment.ipv6_address.is_some(),
            "user specified IP address is supported on user defined networks only",
        ),
        (
            "link_local_ips",
            !attachment.link_local_ips.is_empty(),
            "user specified IP address is supported on user defined networks only",
        ),
    ] {
        if is_there {
            let message = format!("service `{name}`: network `{key}` is {what}: {words}");
            let diagnostic =
                Diagnostic::error("mode-excludes", message).hint("use a network of this file");
            let diagnostic = ground.also(diagnostic, &["networks", key.as_str()], "this network");
            ground.tell(
                diagnostic,
                &["services", name, "networks", key.as_str(), setting],
                "",
            );
        }
    }
}

fn interface_names(ground: &mut Ground, service: &Service) {
    let Connection::Networks(networks) = &service.connection else {
        return;
    };
    let name = service.name.as_str();
    let mut seen: HashMap<&str, &NetworkName> = HashMap::new();
    for (key, attachment) in networks {
        let Some(link) = &attachment.interface_name else {
            continue;
        };
        let path = ["services", name, "networks", key.as_str(), "interface_name"];
        if let Err(error) = link.parse::<crate::model::name::LinkName>() {
            let diagnostic =
                Diagnostic::error("bad-link-name", format!("service `{name}`: {error}"))
                    .hint("a link name has at most 15 bytes, no `/` and no white space");
            ground.tell(diagnostic, &path, "");
        }
        match seen.get(link.as_str()) {
            Some(other) => {
                let message = format!(
                    "service `{name}`: the links in `{other}` and `{key}` have one name, `{link}`"
                );
                let diagnostic = Diagnostic::error("duplicate-name", message)
                    .hint("give one of them another name");
                let diagnostic = ground.also(
                    diagnostic,
                    &[
                        "services",
                        name,
                        "networks",
                        other.as_str(),
                        "interface_name",
                    ],
                    "first used here",
                );
                ground.tell(diagnostic, &path, "the same name again");
            }
            None => drop(seen.insert(link, key)),
        }
    }
}

fn links(ground: &mut Ground, service: &Service) {
    let name = service.name.as_str();
    for (index, link) in service.links.iter().enumerate() {
        let Some(other) = ground.stack.services.get(&link.service) else {
            continue;
        };
        let index = index.to_string();
        let path = ["services", name, "links", &index];
        match (&service.connection, &other.connection) {
            (Connection::Networks(one), Connection::Networks(two))
                if !one.keys().any(|key| two.contains_key(key)) =>
            {
                let message = format!(
                    "service `{name}` links to `{}`, and they have no network in common",
                    link.service
                );
                let diagnostic =
                    Diagnostic::warning("link-without-network", message).hint(format!(
                        "add one of {} to `{name}`",
                        listed(two.keys().map(NetworkName::as_str))
                    ));
                let diagnostic = ground.also(
                    diagnostic,
                    &["services", name, "networks"],
                    "these networks…",
                );
                let other = ["services", link.service.as_str(), "networks"];
                let diagnostic = ground.also(diagnostic, &other, "…and these");
                ground.tell(diagnostic, &path, "this name will lead nowhere");
            }
            (Connection::Networks(_), Connection::Networks(_)) => {}
            (Connection::DefaultBridge, Connection::DefaultBridge) => {}
            (Connection::DefaultBridge, _) => {
                let message = format!(
                    "service `{name}`: cannot link to `{}`, as it does not belong to the default network",
                    link.service
                );
                let diagnostic = Diagnostic::error("link-without-network", message)
                    .hint("put both on one network of this file, where names need no links");
                let diagnostic = ground.also(
                    diagnostic,
                    &["services", name, "network_mode"],
                    "the engine's default bridge",
                );
                ground.tell(diagnostic, &path, "");
            }
            _ => {}
        }
    }
}
