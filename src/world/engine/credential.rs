//! Who we are to a registry: what `docker login` has left in the client's configuration, or a credential helper tells.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Stdio;

use bollard::auth::DockerCredentials;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

#[derive(Debug, Default, Deserialize)]
struct ClientConfig {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
    #[serde(rename = "credHelpers", default)]
    helpers: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
struct Entry {
    auth: Option<String>,
    identitytoken: Option<String>,
}

#[derive(Deserialize)]
struct Told {
    #[serde(rename = "Username")]
    username: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// The key under which the default registry's credentials are kept.
const DEFAULT_KEY: &str = "https://index.docker.io/v1/";

/// The credentials for a registry's host, if there are any. What cannot be read or asked counts as none: the registry
/// then says itself that it wants some.
pub async fn of_registry(config_folder: &Path, registry: &str) -> Option<DockerCredentials> {
    let text = std::fs::read(config_folder.join("config.json")).ok()?;
    let config: ClientConfig = serde_json::from_slice(&text).ok()?;
    let keys: &[&str] = if registry == "docker.io" {
        &[DEFAULT_KEY, "docker.io", "index.docker.io"]
    } else {
        &[registry]
    };
    for key in keys {
        let helper = config.helpers.get(*key).or(config.store.as_ref());
        if let Some(helper) = helper
            && let Some(found) = ask_helper(helper, key).await
        {
            return Some(found);
        }
        let https = format!("https://{key}");
        let entry = config.auths.get(*key).or_else(|| config.auths.get(&https));
        if let Some(found) = entry.and_then(|entry| of_entry(entry, key)) {
            return Some(found);
        }
    }
    None
}

/// The credentials for every registry that the configuration names: a build may begin from any of them.
pub async fn all(config_folder: &Path) -> HashMap<String, DockerCredentials> {
    let read = || {
        serde_json::from_slice::<ClientConfig>(
            &std::fs::read(config_folder.join("config.json")).ok()?,
        )
        .ok()
    };
    let config = read().unwrap_or_default();
    let mut found = HashMap::new();
    for key in config.auths.keys().chain(config.helpers.keys()) {
        let registry = if key == DEFAULT_KEY {
            "docker.io"
        } else {
            key.trim_start_matches("https://")
        };
        if let Some(credentials) = of_registry(config_folder, registry).await {
            found.insert(key.clone(), credentials);
        }
    }
    found
}

fn of_entry(entry: &Entry, server: &str) -> Option<DockerCredentials> {
    let token = entry
        .identitytoken
        .clone()
        .filter(|token| !token.is_empty());
    let pair = entry
        .auth
        .as_deref()
        .and_then(decode_base64)
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let (username, password) = pair
        .as_deref()
        .and_then(|pair| pair.split_once(':'))
        .unzip();
    if token.is_none() && username.is_none() {
        return None;
    }
    Some(DockerCredentials {
        username: username.map(str::to_owned),
        password: password.map(|text| text.trim_end_matches('\0').to_owned()),
        identitytoken: token,
        serveraddress: Some(server.to_owned()),
        ..DockerCredentials::default()
    })
}

/// `docker-credential-NAME get`: the server on its input, a JSON object on its output.
async fn ask_helper(name: &str, server: &str) -> Option<DockerCredentials> {
    let mut child = Command::new(format!("docker-credential-{name}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    let mut input = child.stdin.take()?;
    input.write_all(server.as_bytes()).await.ok()?;
    drop(input);
    let answer = child
        .wait_with_output()
        .await
        .ok()
        .filter(|answer| answer.status.success())?;
    let told: Told = serde_json::from_slice(&answer.stdout).ok()?;
    let credentials = DockerCredentials {
        serveraddress: Some(server.to_owned()),
        ..DockerCredentials::default()
    };
    Some(if told.username == "<token>" {
        DockerCredentials {
            identitytoken: Some(told.secret),
            ..credentials
        }
    } else {
        DockerCredentials {
            username: Some(told.username),
            password: Some(told.secret),
            ..credentials
        }
    })
}

/// RFC 4648, section 4.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut bits: u32 = 0;
    let mut count = 0;
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::{decode_base64, of_registry};

    #[test]
    fn base64_is_decoded() {
        for (text, expected) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("bWU6cGFzcw==", "me:pass"),
        ] {
            assert_eq!(decode_base64(text).unwrap(), expected.as_bytes());
        }
        assert_eq!(decode_base64("Zm9v!"), None);
    }

    #[tokio::test]
    async fn a_login_is_found_under_the_registrys_key() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "bWU6cGFzcw=="}, "ghcr.io": {"identitytoken": "t"}}}"#;
        std::fs::write(folder.path().join("config.json"), text).unwrap();
        let hub = of_registry(folder.path(), "docker.io").await.unwrap();
        assert_eq!(
            (hub.username.as_deref(), hub.password.as_deref()),
            (Some("me"), Some("pass"))
        );
        let other = of_registry(folder.path(), "ghcr.io").await.unwrap();
        assert_eq!(other.identitytoken.as_deref(), Some("t"));
        assert!(of_registry(folder.path(), "quay.io").await.is_none());
    }
}
