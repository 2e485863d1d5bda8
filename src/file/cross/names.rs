//! Names in networks: one that leads to two services is answered by either, now this one, now that one.

use std::collections::HashMap;

use crate::diagnostic::Diagnostic;
use crate::file::cross::Ground;

/// Who goes by a name in a network.
#[derive(Clone)]
struct Bearer<'a> {
    service: &'a str,
    path: Vec<String>,
}

/// Checks all names that services go by.
pub fn check(ground: &mut Ground) {
    lengths(ground);
    let mut bearers: HashMap<(&str, &str), Bearer> = HashMap::new();
    // A service's own name first: an alias is what has to give way.
    for (service, key, _) in ground.attachments() {
        let name = service.name.as_str();
        let path = vec!["services".to_owned(), name.to_owned()];
        bearers.insert(
            (key.as_str(), name),
            Bearer {
                service: name,
                path,
            },
        );
    }
    for (service, key, _) in ground.attachments() {
        let name = service.name.as_str();
        if let Some(fixed) = service
            .container_name
            .as_deref()
            .filter(|fixed| *fixed != name)
        {
            let path = ["services", name, "container_name"]
                .map(str::to_owned)
                .to_vec();
            claim(
                ground,
                &mut bearers,
                key.as_str(),
                fixed,
                Bearer {
                    service: name,
                    path,
                },
            );
        }
    }
    for (service, key, attachment) in ground.attachments() {
        let name = service.name.as_str();
        for (index, alias) in attachment.aliases.iter().enumerate() {
            let index = index.to_string();
            let path = [
                "services",
                name,
                "networks",
                key.as_str(),
                "aliases",
                &index,
            ]
            .map(str::to_owned)
            .to_vec();
            claim(
                ground,
                &mut bearers,
                key.as_str(),
                alias,
                Bearer {
                    service: name,
                    path,
                },
            );
        }
    }
}

/// How long a label of a name may be that is looked up (RFC 1035), and a host's own name (the kernel).
const LONGEST_LABEL: usize = 63;
const LONGEST_HOSTNAME: usize = 64;
/// `NAME_MAX`: namespaces are found under the names of files.
const LONGEST_FILE: usize = 255;

fn lengths(ground: &mut Ground) {
    for service in ground.stack.services.values() {
        let name = service.name.as_str();
        if let Some(hostname) = &service.config.hostname
            && hostname.len() > LONGEST_HOSTNAME
        {
            let message = format!(
                "service `{name}`: a hostname has {LONGEST_HOSTNAME} bytes at most, and this one {}",
                hostname.len()
            );
            let diagnostic = Diagnostic::error("bad-hostname", message);
            ground.tell(diagnostic, &["services", name, "hostname"], "");
        }
        if name.split('.').any(|label| label.len() > LONGEST_LABEL) {
            let message = format!(
                "service `{name}` cannot be found by its name: a label of a name has {LONGEST_LABEL} letters at most"
            );
            let diagnostic = Diagnostic::warning("long-name", message)
                .hint("give it a shorter name, or a short alias in its networks");
            ground.tell(diagnostic, &["services", name], "");
        }
    }
    for (key, lan) in &ground.stack.lans {
        let hosts = lan.hosts.keys().map(|host| host.as_str());
        let parts = ["switch", "router"].into_iter().chain(hosts);
        let longest = parts.map(str::len).max().unwrap_or_default();
        let bytes = ground.stack.project.as_str().len() + key.as_str().len() + longest + 2;
        if bytes > LONGEST_FILE {
            let message = format!(
                "lan `{key}`: its namespaces are called PROJECT-LAN-PART, a name has {LONGEST_FILE} bytes at most, and the longest of these {bytes}"
            );
            let diagnostic = Diagnostic::error("long-name", message)
                .hint("give the project, the lan or its machines shorter names");
            ground.tell(diagnostic, &["lans", key.as_str()], "");
        }
    }
}

fn claim<'a>(
    ground: &mut Ground,
    bearers: &mut HashMap<(&'a str, &'a str), Bearer<'a>>,
    network: &'a str,
    name: &'a str,
    bearer: Bearer<'a>,
) {
    let Some(first) = bearers.get(&(network, name)).cloned() else {
        bearers.insert((network, name), bearer);
        return;
    };
    if first.service == bearer.service {
        return;
    }
    let message = format!(
        "in network `{network}` the name `{name}` leads to `{}` and to `{}`, now one and now the other",
        first.service, bearer.service
    );
    let diagnostic = Diagnostic::warning("ambiguous-name", message)
        .hint("give one of them another name; where both should answer, scale one service instead");
    let other: Vec<&str> = first.path.iter().map(String::as_str).collect();
    let diagnostic = ground.also(diagnostic, &other, "also called so");
    let path: Vec<&str> = bearer.path.iter().map(String::as_str).collect();
    ground.tell(diagnostic, &path, "");
}
