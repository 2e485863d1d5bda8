//! Where the engine is and how it is reached, found as the docker client finds it: the flags, then DOCKER_HOST, then
//! DOCKER_CONTEXT, then the current context of the client's configuration, then the default socket.
//!
//! Nothing is read from the environment here; [`Surroundings`] brings it. Contexts and certificates are files, read
//! once.

use std::path::{Path, PathBuf};

use bollard::{API_DEFAULT_VERSION, Docker};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::world::engine::error::refused;
use crate::world::engine::ssh::Destination;
use crate::world::engine::wire::{self, Api, Greeting};
use crate::world::{ErrorKind, WorldError};

/// What the user said about the engine's place, on the command line and in the environment.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// `-H`, `--host`.
    pub host: Option<String>,
    /// `--context`.
    pub context: Option<String>,
    /// DOCKER_HOST.
    pub docker_host: Option<String>,
    /// DOCKER_CONTEXT.
    pub docker_context: Option<String>,
    /// DOCKER_TLS_VERIFY: any text but the empty one means yes.
    pub tls_verify: Option<String>,
    /// DOCKER_CERT_PATH.
    pub certificate_folder: Option<PathBuf>,
    /// DOCKER_CONFIG; `HOME/.docker` where it is not set.
    pub config_folder: Option<PathBuf>,
    /// DOCKER_API_VERSION: a version to speak instead of the newest that both sides know.
    pub api_version: Option<String>,
    /// HOME.
    pub home: Option<PathBuf>,
}

impl Surroundings {
    /// The folder of the docker client's configuration.
    pub fn config_folder(&self) -> Option<PathBuf> {
        self.config_folder
            .clone()
            .or_else(|| Some(self.home.as_ref()?.join(".docker")))
    }
}

/// Where an engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    Unix(PathBuf),
    /// `host:port` without encryption.
    Tcp(String),
    /// `host:port` with TLS and the client's own certificate.
    Tls {
        address: String,
        certificates: Certificates,
    },
    /// `[user@]host[:port]`, by way of the `ssh` program and `docker system dial-stdio` there.
    Ssh(String),
}

/// Files in PEM form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates {
    pub authority: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Certificates {
    fn in_folder(folder: &Path) -> Certificates {
        Certificates {
            authority: folder.join("ca.pem"),
            certificate: folder.join("cert.pem"),
            key: folder.join("key.pem"),
        }
    }
}

impl Endpoint {
    /// The endpoint as a URL.
    pub fn url(&self) -> String {
        match self {
            Endpoint::Unix(path) => format!("unix://{}", path.display()),
            Endpoint::Tcp(address) | Endpoint::Tls { address, .. } => format!("tcp://{address}"),
            Endpoint::Ssh(address) => format!("ssh://{address}"),
        }
    }
}

const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
const ACT: &str = "cannot find the engine";

fn wrong(said: String) -> WorldError {
    WorldError::new(ErrorKind::Refused, ACT, said)
}

/// The endpoint that the surroundings name.
pub fn endpoint(surroundings: &Surroundings) -> Result<Endpoint, WorldError> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let host = given(&surroundings.host);
    let context = given(&surroundings.context);
    if host.is_some() && context.is_some() {
        return Err(wrong(
            "a host and a context are given; one of them says where the engine is".to_owned(),
        ));
    }
    let host = match (host, &context) {
        (None, None) => given(&surroundings.docker_host),
        (host, _) => host,
    };
    if let Some(host) = host {
        return parse_host(&host, by_host_certificates(surroundings).as_ref());
    }
    let context = match context.or_else(|| given(&surroundings.docker_context)) {
        Some(context) => Some(context),
        None => current_context(surroundings)?,
    };
    match context {
        Some(name) if name != "default" => context_endpoint(surroundings, &name),
        _ => Ok(Endpoint::Unix(PathBuf::from(DEFAULT_SOCKET))),
    }
}

fn by_host_certificates(surroundings: &Surroundings) -> Option<Certificates> {
    surroundings
        .tls_verify
        .as_ref()
        .filter(|text| !text.is_empty())?;
    let folder = surroundings
        .certificate_folder
        .clone()
        .or_else(|| surroundings.config_folder())?;
    Some(Certificates::in_folder(&folder))
}

/// `unix:///path`, `tcp://host:port`, `http(s)://…`, `ssh://…`; without a scheme it is TCP.
fn parse_host(host: &str, certificates: Option<&Certificates>) -> Result<Endpoint, WorldError> {
    let (scheme, rest) = host.split_once("://").unwrap_or(("tcp", host));
    let unknown = || {
        wrong(format!("`{host}` does not say where the engine is"))
            .hint("as in unix:///var/run/docker.sock, tcp://192.0.2.7:2376 or ssh://user@host")
    };
    match scheme {
        "unix" if rest.is_empty() => Ok(Endpoint::Unix(PathBuf::from(DEFAULT_SOCKET))),
        "unix" => Ok(Endpoint::Unix(PathBuf::from(rest))),
        "tcp" | "http" | "https" => {
            let address = rest.trim_end_matches('/');
            let port = if certificates.is_some() || scheme == "https" {
                2376
            } else {
                2375
            };
            let address = match address.rsplit_once(':') {
                Some(("", port)) => format!("localhost:{port}"),
                Some((name, port)) if port.parse::<u16>().is_ok() && !name.is_empty() => {
                    address.to_owned()
                }
                _ if address.is_empty() => format!("localhost:{port}"),
                _ if address.contains('/') => return Err(unknown()),
                _ => format!("{address}:{port}"),
            };
            match certificates {
                Some(certificates) => Ok(Endpoint::Tls {
                    address,
                    certificates: certificates.clone(),
                }),
                None if scheme == "https" => Err(wrong(format!("`{host}` needs certificates"))
                    .hint("set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, or use a context")),
                None => Ok(Endpoint::Tcp(address)),
            }
        }
        "ssh" if !rest.is_empty() => match rest.split_once('/') {
            None => Ok(Endpoint::Ssh(rest.to_owned())),
            Some((address, "")) => Ok(Endpoint::Ssh(address.to_owned())),
            Some(_) => Err(
                wrong(format!("`{host}`: a path after the host is not supported"))
                    .hint("the engine's default socket on that host is used; leave the path out"),
            ),
        },
        _ => Err(unknown()),
    }
}

#[derive(Deserialize)]
struct ClientConfig {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

fn current_context(surroundings: &Surroundings) -> Result<Option<String>, WorldError> {
    let Some(path) = surroundings
        .config_folder()
        .map(|folder| folder.join("config.json"))
    else {
        return Ok(None);
    };
    match std::fs::read(&path) {
        Err(_) => Ok(None),
        Ok(text) => serde_json::from_slice::<ClientConfig>(&text)
            .map(|config| config.current_context.filter(|name| !name.is_empty()))
            .map_err(|error| wrong(format!("{}: {error}", path.display()))),
    }
}

#[derive(Deserialize)]
struct ContextMeta {
    #[serde(rename = "Endpoints", default)]
    endpoints: std::collections::BTreeMap<String, ContextEndpoint>,
}

#[derive(Deserialize)]
struct ContextEndpoint {
    #[serde(rename = "Host", default)]
    host: String,
    #[serde(rename = "SkipTLSVerify", default)]
    skip_verify: bool,
}

/// The endpoint of a context: `contexts/meta/SHA256(name)/meta.json` and the certificates in `contexts/tls/SHA256(name)`.
fn context_endpoint(surroundings: &Surroundings, name: &str) -> Result<Endpoint, WorldError> {
    let missing = || {
        WorldError::new(
            ErrorKind::Missing,
            ACT,
            format!("there is no context `{name}`"),
        )
        .hint("`docker context ls` shows those that there are")
    };
    let contexts = surroundings
        .config_folder()
        .ok_or_else(missing)?
        .join("contexts");
    let id: String = Sha256::digest(name.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let path = contexts.join("meta").join(&id).join("meta.json");
    let text = std::fs::read(&path).map_err(|_| missing())?;
    let meta: ContextMeta = serde_json::from_slice(&text)
        .map_err(|error| wrong(format!("{}: {error}", path.display())))?;
    let docker = meta
        .endpoints
        .get("docker")
        .ok_or_else(|| wrong(format!("the context `{name}` has no engine")))?;
    let folder = contexts.join("tls").join(&id).join("docker");
    let certificates = folder
        .join("ca.pem")
        .exists()
        .then(|| Certificates::in_folder(&folder));
    if docker.skip_verify && docker.host.starts_with("tcp") {
        return Err(wrong(format!(
            "the context `{name}` says to trust any engine that answers"
        ))
        .hint("give it the certificate authority of the engine: `docker context update`"));
    }
    parse_host(
        if docker.host.is_empty() {
            "unix://"
        } else {
            &docker.host
        },
        certificates.as_ref(),
    )
}

/// A client that speaks one version of the API, and what the engine told of itself on the way.
pub struct Connection {
    pub docker: Docker,
    pub api: Api,
    pub greeting: Greeting,
}

/// Greets the engine and agrees on a version: one call. `pinned` is DOCKER_API_VERSION.
pub async fn connect(endpoint: &Endpoint, pinned: Option<&str>) -> Result<Connection, WorldError> {
    let act = || format!("cannot connect to the Docker daemon at {}", endpoint.url());
    let said = |error| refused(act(), error);
    let (docker, greeting) = match endpoint {
        Endpoint::Unix(path) => greet(wire::unix(path).map_err(said)?).await.map_err(said)?,
        Endpoint::Tcp(address) => greet(wire::tcp(address).map_err(said)?)
            .await
            .map_err(said)?,
        Endpoint::Tls {
            address,
            certificates,
        } => {
            let docker = Docker::connect_with_ssl(
                &format!("tcp://{address}"),
                &certificates.key,
                &certificates.certificate,
                &certificates.authority,
                wire::PATIENCE.as_secs(),
                API_DEFAULT_VERSION,
            )
            .map_err(said)?;
            ask_version(docker).await.map_err(said)?
        }
        Endpoint::Ssh(address) => {
            let destination = Destination::parse(address).ok_or_else(|| {
                wrong(format!("`ssh://{address}` is no address for ssh"))
                    .hint("as in ssh://user@host:22")
            })?;
            greet(wire::ssh(destination).map_err(said)?)
                .await
                .map_err(said)?
        }
    };
    let greeting = greeting.ok_or_else(|| {
        WorldError::new(
            ErrorKind::Unsupported,
            act(),
            "what answers there does not tell its API version",
        )
        .hint("it may not be a Docker Engine")
    })?;
    let api = match pinned.filter(|text| !text.is_empty()) {
        Some(text) => wire::parse_api(text).ok_or_else(|| {
            wrong(format!("DOCKER_API_VERSION is `{text}`")).hint("a version such as 1.41")
        })?,
        None => greeting.api.min(wire::NEWEST),
    };
    if api < OLDEST {
        return Err(WorldError::new(
            ErrorKind::Unsupported,
            act(),
            format!(
                "it speaks API version {}.{}, and 1.41 is needed",
                api.0, api.1
            ),
        )
        .hint("Docker Engine 20.10 or newer"));
    }
    Ok(Connection {
        docker: wire::speaking(docker, api),
        api,
        greeting,
    })
}

/// Docker Engine 20.10.
const OLDEST: Api = (1, 41);

type Greeted = (Docker, Option<Greeting>);

/// `GET /_ping`, the cheapest call there is (0.8 ms; `/version` starts two programs and takes 10 ms).
async fn greet(client: wire::Unagreed) -> Result<Greeted, bollard::errors::Error> {
    client.docker.ping().await?;
    let greeting = client.greeting.get().cloned();
    Ok((client.docker, greeting))
}

/// The same by `GET /version`, where the head of an answer cannot be seen.
async fn ask_version(docker: Docker) -> Result<Greeted, bollard::errors::Error> {
    let version = docker.version().await?;
    let greeting = version
        .api_version
        .as_deref()
        .and_then(wire::parse_api)
        .map(|api| Greeting {
            api,
            version: version.version.unwrap_or_default(),
            os_type: version.os.unwrap_or_default(),
            swarm: None,
        });
    Ok((docker, greeting))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Certificates, Endpoint, Surroundings, endpoint};

    fn found(surroundings: &Surroundings) -> String {
        match endpoint(surroundings) {
            Ok(Endpoint::Tls {
                address,
                certificates,
            }) => {
                format!("tls {address} {}", certificates.authority.display())
            }
            Ok(endpoint) => endpoint.url(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn hosts_are_read_as_the_docker_client_reads_them() {
        for (host, expected) in [
            (
                "unix:///run/user/1000/docker.sock",
                "unix:///run/user/1000/docker.sock",
            ),
            ("unix://", "unix:///var/run/docker.sock"),
            ("tcp://192.0.2.7:2375", "tcp://192.0.2.7:2375"),
            ("192.0.2.7", "tcp://192.0.2.7:2375"),
            (":2375", "tcp://localhost:2375"),
            ("http://box:99/", "tcp://box:99"),
            ("ssh://me@box:2222", "ssh://me@box:2222"),
            (
                "https://box",
                "cannot find the engine: `https://box` needs certificates",
            ),
            (
                "npipe:////./pipe/x",
                "cannot find the engine: `npipe:////./pipe/x` does not say where the engine is",
            ),
        ] {
            let surroundings = Surroundings {
                docker_host: Some(host.to_owned()),
                ..Surroundings::default()
            };
            assert_eq!(found(&surroundings), expected);
        }
    }

    #[test]
    fn a_flag_goes_before_the_environment_and_that_before_the_current_context() {
        let folder = tempfile::tempdir().unwrap();
        let meta = |name: &str, text: &str| {
            let id = crate::model::hash::short_hex(name.as_bytes(), 64);
            let path = folder.path().join("contexts/meta").join(&id);
            std::fs::create_dir_all(&path).unwrap();
            std::fs::write(path.join("meta.json"), text).unwrap();
            id
        };
        meta(
            "lab",
            r#"{"Name":"lab","Endpoints":{"docker":{"Host":"ssh://lab","SkipTLSVerify":false}}}"#,
        );
        let id = meta(
            "far",
            r#"{"Name":"far","Endpoints":{"docker":{"Host":"tcp://far:2376"}}}"#,
        );
        let tls = folder.path().join("contexts/tls").join(id).join("docker");
        std::fs::create_dir_all(&tls).unwrap();
        std::fs::write(tls.join("ca.pem"), "").unwrap();
        std::fs::write(
            folder.path().join("config.json"),
            r#"{"currentContext": "lab", "auths": {}}"#,
        )
        .unwrap();

        let mut surroundings = Surroundings {
            config_folder: Some(folder.path().to_owned()),
            ..Surroundings::default()
        };
        assert_eq!(found(&surroundings), "ssh://lab");
        surroundings.docker_context = Some("far".to_owned());
        assert_eq!(
            found(&surroundings),
            format!("tls far:2376 {}", tls.join("ca.pem").display())
        );
        surroundings.docker_host = Some("unix:///tmp/x".to_owned());
        assert_eq!(found(&surroundings), "unix:///tmp/x");
        surroundings.context = Some("default".to_owned());
        assert_eq!(found(&surroundings), "unix:///var/run/docker.sock");
        surroundings.context = Some("gone".to_owned());
        assert_eq!(
            found(&surroundings),
            "cannot find the engine: there is no context `gone`"
        );
        surroundings.host = Some("tcp://a".to_owned());
        assert_eq!(
            found(&surroundings),
            "cannot find the engine: a host and a context are given; one of them says where the engine is"
        );
    }

    #[test]
    fn tls_is_used_where_it_is_asked_for() {
        let surroundings = Surroundings {
            docker_host: Some("tcp://box".to_owned()),
            tls_verify: Some("1".to_owned()),
            certificate_folder: Some(PathBuf::from("/certs")),
            ..Surroundings::default()
        };
        assert_eq!(
            endpoint(&surroundings).unwrap(),
            Endpoint::Tls {
                address: "box:2376".to_owned(),
                certificates: Certificates::in_folder(&PathBuf::from("/certs"))
            }
        );
    }
}
