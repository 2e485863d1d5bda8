//! Proxies that the docker client's configuration names for containers and builds (`proxies` in `config.json`). They go
//! below what the file says, and are no part of any hash, as in Compose.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
struct ClientConfig {
    #[serde(default)]
    proxies: BTreeMap<String, Proxies>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Proxies {
    http_proxy: Option<String>,
    https_proxy: Option<String>,
    ftp_proxy: Option<String>,
    all_proxy: Option<String>,
    no_proxy: Option<String>,
}

/// The variables for containers of the engine at this address, each in capital and in small letters. A configuration
/// that cannot be read names none.
pub fn variables(config_folder: &Path, engine: &str) -> BTreeMap<String, String> {
    let read = || {
        serde_json::from_slice::<ClientConfig>(
            &std::fs::read(config_folder.join("config.json")).ok()?,
        )
        .ok()
    };
    let mut config = read().unwrap_or_default();
    let Some(proxies) = config
        .proxies
        .remove(engine)
        .or_else(|| config.proxies.remove("default"))
    else {
        return BTreeMap::new();
    };
    let Proxies {
        http_proxy,
        https_proxy,
        ftp_proxy,
        all_proxy,
        no_proxy,
    } = proxies;
    let named = [
        ("HTTP_PROXY", http_proxy),
        ("HTTPS_PROXY", https_proxy),
        ("FTP_PROXY", ftp_proxy),
        ("ALL_PROXY", all_proxy),
        ("NO_PROXY", no_proxy),
    ];
    named
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .flat_map(|(name, value)| {
            [
                (name.to_owned(), value.clone()),
                (name.to_lowercase(), value),
            ]
        })
        .collect()
}

/// Adds the variables that an environment does not have.
pub fn add(environment: &mut Option<Vec<String>>, variables: BTreeMap<String, String>) {
    for (name, value) in variables {
        let list = environment.get_or_insert_default();
        let has = list
            .iter()
            .any(|entry| entry.split('=').next() == Some(name.as_str()));
        if !has {
            list.push(format!("{name}={value}"));
        }
    }
    if environment.as_ref().is_some_and(Vec::is_empty) {
        *environment = None;
    }
}

#[cfg(test)]
mod tests {
    use super::{add, variables};

    #[test]
    fn proxies_are_added_where_the_file_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"proxies": {"default": {"httpProxy": "http://p:3128", "noProxy": "lan"}, "tcp://box:2375": {}}}"#;
        std::fs::write(folder.path().join("config.json"), text).unwrap();
        let mut environment = Some(vec!["HTTP_PROXY=mine".to_owned(), "no_proxy".to_owned()]);
        add(&mut environment, variables(folder.path(), "unix:///x"));
        assert_eq!(
            environment.unwrap(),
            [
                "HTTP_PROXY=mine",
                "no_proxy",
                "NO_PROXY=lan",
                "http_proxy=http://p:3128"
            ]
        );
        let mut none = None;
        add(&mut none, variables(folder.path(), "tcp://box:2375"));
        assert_eq!(none, None);
    }
}
