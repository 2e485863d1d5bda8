//! The wire to the engine: one client for a whole run, which keeps its connections, puts the spoken API version in
//! front of every path and rewrites requests for engines that are older than bollard's types.
//!
//! Two things that bollard 0.21 leaves out are done here. It sends unversioned paths, so that an engine would answer
//! in its newest version whatever was agreed; and its types have no field for what engines before API 1.44 need: the
//! container-wide MAC address and the check for duplicate network names.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use futures_util::FutureExt;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::plan::observed::SwarmState;
use crate::world::engine::ssh::{Connector, Destination};

/// An API version.
pub type Api = (u32, u32);

/// The newest version that we know the meaning of. Newer engines are spoken to in this one.
pub const NEWEST: Api = (1, 54);

/// How long an ordinary call may take. On a busy machine with two processors a start has been seen to take seconds.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// How long a call may take whose duration is not ours to judge: a build, a stop with a grace period.
pub const ENDLESS: Duration = Duration::from_secs(366 * 24 * 3600);

/// Between the values of a query parameter that bollard takes once and the engine takes several times.
pub const LIST_SEPARATOR: &str = "\n";

/// Idle connections that are kept; more than that many calls at once still work.
const KEPT_CONNECTIONS: usize = 16;

/// What an engine says of itself in the head of every answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// The newest API version that it speaks.
    pub api: Api,
    /// The engine's own version.
    pub version: String,
    pub os_type: String,
    /// Told in the head from API 1.42 on.
    pub swarm: Option<SwarmState>,
}

impl Greeting {
    fn of(headers: &HeaderMap) -> Option<Greeting> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        Some(Greeting {
            api: parse_api(text("api-version")?)?,
            version: text("server")
                .and_then(|server| server.strip_prefix("Docker/"))
                .and_then(|rest| rest.split(' ').next())
                .unwrap_or_default()
                .to_owned(),
            os_type: text("ostype").unwrap_or("linux").to_owned(),
            swarm: text("swarm").map(|word| match word {
                "active/manager" => SwarmState::Manager,
                "active/worker" => SwarmState::Worker,
                _ => SwarmState::Inactive,
            }),
        })
    }
}

/// `1.41` as numbers.
pub fn parse_api(text: &str) -> Option<Api> {
    let (major, minor) = text.trim().split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A client that has not agreed on a version yet, and where its first answer's head will be.
pub struct Unagreed {
    pub docker: Docker,
    pub greeting: Arc<OnceLock<Greeting>>,
}

/// A client for a unix socket.
pub fn unix(socket: &Path) -> Result<Unagreed, Error> {
    // The connector takes the path from the host part of the URL, in hexadecimal digits.
    let host: hyper::Uri = hyperlocal::Uri::new(socket, "/").into();
    kept(
        hyperlocal::UnixConnector,
        &format!("unix://{}", host.host().unwrap_or_default()),
    )
}

/// A client for plain TCP, `host:port`.
pub fn tcp(address: &str) -> Result<Unagreed, Error> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    kept(connector, &format!("http://{address}"))
}

/// A client for an engine behind `ssh`.
pub fn ssh(destination: Destination) -> Result<Unagreed, Error> {
    // The name in the address is of no account: there is one line, and the connector knows where it leads.
    kept(Connector(destination), "http://docker")
}

fn kept<C: Connect + Clone + Send + Sync + 'static>(
    connector: C,
    address: &str,
) -> Result<Unagreed, Error> {
    let greeting = Arc::new(OnceLock::new());
    let client = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(KEPT_CONNECTIONS)
        .build(connector);
    let heard = Arc::clone(&greeting);
    let transport = move |request: BollardRequest| {
        let answer = client.request(request);
        let heard = Arc::clone(&heard);
        async move {
            let answer = answer.await?;
            if heard.get().is_none()
                && let Some(told) = Greeting::of(answer.headers())
            {
                // Two first answers say the same, so it does not matter whose is kept.
                let _ = heard.set(told);
            }
            Ok::<Response<Incoming>, Error>(answer)
        }
    };
    let docker = Docker::connect_with_custom_transport(
        transport,
        Some(address),
        PATIENCE.as_secs(),
        API_DEFAULT_VERSION,
    )?;
    Ok(Unagreed { docker, greeting })
}

/// The same client, speaking `api` from now on.
pub fn speaking(docker: Docker, api: Api) -> Docker {
    docker.with_request_modifier(move |request| in_version(api, request))
}

/// The request as an engine that is spoken to in `api` takes it.
fn in_version(api: Api, request: BollardRequest) -> BollardRequest {
    let (mut head, body) = request.into_parts();
    let Some(path) = head
        .uri
        .path_and_query()
        .map(|path| path.as_str().to_owned())
    else {
        return BollardRequest::from_parts(head, body);
    };
    let path = if path.starts_with("/build?") {
        repeated(&path)
    } else {
        path
    };
    let mut uri = head.uri.clone().into_parts();
    // A version in front of a valid path is a valid path, so neither of these fails.
    uri.path_and_query = format!("/v{}.{}{path}", api.0, api.1).parse().ok();
    if let Ok(uri) = http::Uri::from_parts(uri) {
        head.uri = uri;
    }
    let body = match body {
        Either::Left(whole) if api < (1, 44) && is_create(&path) => {
            // A whole body is there at once, so collecting it never waits.
            let bytes = whole
                .collect()
                .now_or_never()
                .and_then(Result::ok)
                .map(|body| body.to_bytes());
            let bytes = bytes.unwrap_or_default();
            let older = serde_json::from_slice(&bytes)
                .ok()
                .and_then(|value| older_body(&path, value));
            match older {
                None => Either::Left(Full::new(bytes)),
                Some(value) => {
                    head.headers.remove(http::header::CONTENT_LENGTH);
                    Either::Left(Full::new(value.to_string().into()))
                }
            }
        }
        other => other,
    };
    BollardRequest::from_parts(head, body)
}

/// `t=a%0Ab` as `t=a&t=b`.
fn repeated(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else {
        return path.to_owned();
    };
    let parameters: Vec<String> = query
        .split('&')
        .flat_map(|parameter| {
            let (name, values) = parameter.split_once('=').unwrap_or((parameter, ""));
            let list = matches!(name, "t" | "extrahosts");
            let values: Vec<&str> = if list {
                values.split("%0A").collect()
            } else {
                vec![values]
            };
            values
                .into_iter()
                .map(|value| format!("{name}={value}"))
                .collect::<Vec<_>>()
        })
        .collect();
    format!("{path}?{}", parameters.join("&"))
}

fn is_create(path: &str) -> bool {
    path.starts_with("/containers/create") || path.starts_with("/networks/create")
}

/// A create body in the words of an engine before API 1.44; none where nothing has to be said otherwise.
fn older_body(path: &str, mut body: Value) -> Option<Value> {
    if path.starts_with("/networks/create") {
        // Without it an existing name is only a warning in the answer and makes a second network of that name.
        body["CheckDuplicate"] = Value::Bool(true);
        return Some(body);
    }
    if path.starts_with("/containers/create") {
        // There is one endpoint at most, and the engine gives the container-wide address to that one.
        let endpoints = body
            .pointer_mut("/NetworkingConfig/EndpointsConfig")?
            .as_object_mut()?;
        let mac = endpoints
            .values_mut()
            .next()?
            .as_object_mut()?
            .remove("MacAddress")?;
        body["MacAddress"] = mac;
        return Some(body);
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Greeting, older_body, parse_api, repeated};

    #[test]
    fn an_old_engine_gets_the_mac_address_container_wide() {
        let body = json!({"Image": "x", "NetworkingConfig": {"EndpointsConfig": {"lan": {"MacAddress": "02:00:00:00:00:01", "Aliases": ["a"]}}}});
        assert_eq!(
            older_body("/containers/create?name=web", body),
            Some(json!({
                "Image": "x",
                "NetworkingConfig": {"EndpointsConfig": {"lan": {"Aliases": ["a"]}}},
                "MacAddress": "02:00:00:00:00:01"
            }))
        );
        assert_eq!(
            older_body("/containers/create", json!({"Image": "x"})),
            None
        );
    }

    #[test]
    fn an_old_engine_is_asked_to_check_for_duplicate_networks() {
        assert_eq!(
            older_body("/networks/create", json!({"Name": "lan"})),
            Some(json!({"Name": "lan", "CheckDuplicate": true}))
        );
        assert_eq!(older_body("/volumes/create", json!({"Name": "data"})), None);
    }

    #[test]
    fn names_of_a_build_are_repeated() {
        assert_eq!(
            repeated("/build?dockerfile=a%0Ab&t=one%0Atwo&rm=true"),
            "/build?dockerfile=a%0Ab&t=one&t=two&rm=true"
        );
    }

    #[test]
    fn a_greeting_is_read_from_the_head_of_an_answer() {
        let mut headers = http::HeaderMap::new();
        headers.insert("Api-Version", "1.41".parse().unwrap());
        headers.insert("Server", "Docker/20.10.24+dfsg1 (linux)".parse().unwrap());
        headers.insert("Ostype", "linux".parse().unwrap());
        let greeting = Greeting::of(&headers).unwrap();
        assert_eq!(
            (greeting.api, greeting.version.as_str()),
            ((1, 41), "20.10.24+dfsg1")
        );
        assert_eq!(greeting.swarm, None);
        assert_eq!(parse_api("1.x"), None);
    }
}
