//! An engine that does nothing: it answers on a unix socket as an engine would and remembers what it was told to make, so
//! that a tool's own cost can be measured at any number of containers. It takes no time of its own worth telling
//! and knows just the calls that bring a stack of plain containers up, look at it and take it down.
//!
//! It also tells when the first request came.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::Failure;
use crate::stacks::IMAGE;

/// The word that makes `measure` such an engine instead.
pub const WORD: &str = "fake";
/// Where it tells the one who measures what it knows; everything there is forgotten by asking.
const TELL: &str = "/measure";

/// The engine: a process of its own, since what is started by a large process is born with its peak memory
/// (`setmax_mm_hiwater_rss` in the kernel's fs/exec.c), and what is started here is to be weighed.
pub struct Fake {
    socket: PathBuf,
    process: Child,
    _folder: tempfile::TempDir,
}

/// What it has, and what it was asked.
pub struct Told {
    /// The containers that run.
    pub running: usize,
    /// Those that are there.
    pub containers: usize,
    /// The networks that somebody made.
    pub networks: usize,
    /// When the first request came since the last such question.
    pub first_request: Option<SystemTime>,
}

#[derive(Default)]
struct State {
    /// By id.
    networks: BTreeMap<String, Value>,
    containers: BTreeMap<String, Container>,
    /// The ids of containers by their names.
    names: BTreeMap<String, String>,
    made: usize,
    first_request: Option<SystemTime>,
}

struct Container {
    name: String,
    body: Value,
    running: bool,
    networks: Map<String, Value>,
}

impl Fake {
    /// Starts it and waits until it listens.
    pub fn start() -> Result<Fake, Failure> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("docker.sock");
        let mut process = Command::new(std::env::current_exe()?)
            .arg(WORD)
            .arg(&socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let said = process.stdout.take().ok_or("no pipe")?;
        let fake = Fake {
            socket,
            process,
            _folder: folder,
        };
        if BufReader::new(said).read_line(&mut String::new())? == 0 {
            return Err("the engine that does nothing did not start".into());
        }
        Ok(fake)
    }

    /// As `DOCKER_HOST` has it.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// What it knows.
    pub fn ask(&self) -> Result<Told, Failure> {
        let mut stream = UnixStream::connect(&self.socket)?;
        write!(stream, "GET {TELL} HTTP/1.1\r\n\r\n")?;
        let mut reader = BufReader::new(stream);
        reader.read_line(&mut String::new())?;
        let mut body = vec![0; body_length(&mut reader).ok_or("no answer")?];
        reader.read_exact(&mut body)?;
        let told: Value = serde_json::from_slice(&body)?;
        let number = |name: &str| {
            let number = told[name].as_u64().ok_or("no number")?;
            Ok::<usize, Failure>(usize::try_from(number)?)
        };
        let first = told["first_request_ns"].as_u64();
        Ok(Told {
            running: number("running")?,
            containers: number("containers")?,
            networks: number("networks")?,
            first_request: first.map(|at| UNIX_EPOCH + Duration::from_nanos(at)),
        })
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        // It ends when its standard input does, so also when we are killed.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Is such an engine until the standard input ends.
pub fn serve_at(socket: &Path) -> Result<(), Failure> {
    let listener = UnixListener::bind(socket)?;
    std::thread::spawn(move || {
        let state = Arc::new(Mutex::new(State::default()));
        for stream in listener.incoming().flatten() {
            let state = Arc::clone(&state);
            std::thread::spawn(move || serve(stream, &state));
        }
    });
    println!("listening");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

/// One connection: requests one after the other.
fn serve(stream: UnixStream, state: &Mutex<State>) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let came = SystemTime::now();
        let mut words = line.split(' ');
        let method = words.next()?.to_owned();
        let target = words.next()?.to_owned();
        let length = body_length(&mut reader)?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        if path.ends_with("/events") {
            // Nothing ever happens by itself.
            writer
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
                .ok()?;
            continue;
        }
        let (status, answer) = {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if path == TELL {
                state.tell()
            } else {
                state.first_request.get_or_insert(came);
                state.answer(&method, path, query, body)
            }
        };
        respond(&mut writer, &method, status, &answer).ok()?;
    }
}

fn body_length(reader: &mut BufReader<UnixStream>) -> Option<usize> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            return Some(length);
        }
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
}

fn respond(
    writer: &mut UnixStream,
    method: &str,
    status: u16,
    answer: &Value,
) -> std::io::Result<()> {
    let body = match answer {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let kind = if answer.is_string() {
        "text/plain"
    } else {
        "application/json"
    };
    let mut text = format!(
        "HTTP/1.1 {status} X\r\nApi-Version: 1.41\r\nServer: Docker/20.10.24 (linux)\r\nOstype: linux\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    if method != "HEAD" {
        text.push_str(&body);
    }
    writer.write_all(text.as_bytes())
}

impl State {
    fn tell(&mut self) -> (u16, Value) {
        let running = self.containers.values().filter(|one| one.running).count();
        let first = self.first_request.take();
        let first = first.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        (
            200,
            json!({
                "running": running, "containers": self.containers.len(), "networks": self.networks.len(),
                "first_request_ns": first.and_then(|at| u64::try_from(at.as_nanos()).ok()),
            }),
        )
    }

    fn answer(&mut self, method: &str, path: &str, query: &str, body: Value) -> (u16, Value) {
        let parts: Vec<String> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(decoded)
            .collect();
        let mut parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        if parts.first().is_some_and(|part| is_version(part)) {
            parts.remove(0);
        }
        match (method, parts.as_slice()) {
            (_, ["_ping"]) => (200, json!("OK")),
            (_, ["info"]) => (200, info()),
            (_, ["version"]) => (
                200,
                json!({"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Os": "linux", "Arch": "amd64"}),
            ),
            ("GET", ["volumes"]) => (200, json!({"Volumes": [], "Warnings": null})),
            ("GET", ["images", "json"]) => (
                200,
                json!([{"Id": image_id(), "RepoTags": [IMAGE], "RepoDigests": [], "ParentId": "", "Created": 0, "Size": 1, "SharedSize": -1, "Labels": {}, "Containers": -1}]),
            ),
            ("GET", ["images", .., "json"]) => (
                200,
                json!({"Id": image_id(), "RepoTags": [IMAGE], "RepoDigests": [], "Os": "linux", "Architecture": "amd64", "Config": {}}),
            ),
            ("GET", ["networks"]) => (200, self.networks.values().cloned().collect()),
            ("POST", ["networks", "create"]) => self.make_network(body),
            ("GET", ["networks", name]) => match self.network(name) {
                Some(id) => (200, self.networks[&id].clone()),
                None => missing(),
            },
            ("DELETE", ["networks", name]) => match self.network(name) {
                Some(id) => {
                    self.networks.remove(&id);
                    (204, Value::Null)
                }
                None => missing(),
            },
            ("POST", ["networks", name, "connect"]) => {
                self.connect(&(*name).to_owned(), &body);
                (200, Value::Null)
            }
            ("GET", ["containers", "json"]) => {
                let list = self.containers.iter().map(|(id, one)| one.summary(id));
                (200, list.collect())
            }
            ("POST", ["containers", "create"]) => self.make_container(query, body),
            (_, ["containers", name, rest @ ..]) => match self.container(name) {
                Some(id) => self.container_act(method, &id, rest),
                None => missing(),
            },
            _ => (
                404,
                json!({"message": format!("{method} {path}: not known here")}),
            ),
        }
    }

    fn container_act(&mut self, method: &str, id: &str, rest: &[&str]) -> (u16, Value) {
        if let ("DELETE", []) = (method, rest) {
            if let Some(gone) = self.containers.remove(id) {
                self.names.remove(&gone.name);
            }
            return (204, Value::Null);
        }
        let Some(container) = self.containers.get_mut(id) else {
            return missing();
        };
        match (method, rest) {
            ("GET", ["json"]) => (200, container.whole(id)),
            ("POST", ["start"]) => {
                container.running = true;
                (204, Value::Null)
            }
            ("POST", ["stop" | "kill"]) => {
                container.running = false;
                (204, Value::Null)
            }
            ("POST", ["wait"]) => (200, json!({"StatusCode": 0})),
            _ => (
                404,
                json!({"message": format!("{method} {rest:?}: not known here")}),
            ),
        }
    }

    fn id(&mut self) -> String {
        self.made += 1;
        format!("{:064x}", self.made)
    }

    fn network(&self, name: &str) -> Option<String> {
        let mut all = self.networks.iter();
        let found = all.find(|(id, network)| *id == name || network["Name"] == name);
        found.map(|(id, _)| id.clone())
    }

    fn container(&self, name: &str) -> Option<String> {
        if self.containers.contains_key(name) {
            return Some(name.to_owned());
        }
        self.names.get(name).cloned()
    }

    fn make_network(&mut self, body: Value) -> (u16, Value) {
        let id = self.id();
        let number = self.made % 256;
        let subnet = json!([{"Subnet": format!("10.{number}.0.0/16"), "Gateway": format!("10.{number}.0.1")}]);
        let mut network = json!({
            "Name": body["Name"], "Id": id, "Created": "2026-01-01T00:00:00Z", "Scope": "local",
            "Driver": body["Driver"].as_str().unwrap_or("bridge"), "EnableIPv6": false, "Internal": false, "Attachable": false,
            "Ingress": false, "ConfigOnly": false, "Containers": {}, "Options": {}, "Labels": {},
            "IPAM": {"Driver": "default", "Options": null, "Config": subnet},
        });
        for key in ["Options", "Labels", "Internal", "Attachable", "EnableIPv6"] {
            if !body[key].is_null() {
                network[key] = body[key].clone();
            }
        }
        self.networks.insert(id.clone(), network);
        (201, json!({"Id": id, "Warning": ""}))
    }

    fn make_container(&mut self, query: &str, body: Value) -> (u16, Value) {
        let name = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("name="))
            .map(decoded)
            .unwrap_or_default();
        let id = self.id();
        let asked = body["NetworkingConfig"]["EndpointsConfig"].as_object();
        let asked = asked.cloned().unwrap_or_default();
        self.names.insert(name.clone(), id.clone());
        self.containers.insert(
            id.clone(),
            Container {
                name,
                body,
                running: false,
                networks: Map::new(),
            },
        );
        for (network, endpoint) in asked {
            self.join(&id, &network, endpoint);
        }
        (201, json!({"Id": id, "Warnings": []}))
    }

    fn connect(&mut self, network: &String, body: &Value) {
        let container = body["Container"].as_str().unwrap_or_default();
        let name = self
            .networks
            .get(network)
            .and_then(|found| found["Name"].as_str())
            .unwrap_or(network)
            .to_owned();
        if let Some(id) = self.container(container) {
            self.join(&id, &name, body["EndpointConfig"].clone());
        }
    }

    fn join(&mut self, container: &str, network: &str, mut endpoint: Value) {
        let network_id = self.network(network).unwrap_or_default();
        let number = self.made;
        if !endpoint.is_object() {
            endpoint = json!({});
        }
        endpoint["NetworkID"] = json!(network_id);
        endpoint["EndpointID"] = json!(format!("{number:064x}"));
        endpoint["Gateway"] = json!("10.1.0.1");
        let (high, low) = (number / 250 % 250, number % 250 + 2);
        endpoint["IPAddress"] = json!(format!("10.1.{high}.{low}"));
        endpoint["IPPrefixLen"] = json!(16);
        endpoint["MacAddress"] = json!(format!("02:42:0a:01:{high:02x}:{low:02x}"));
        if let Some(container) = self.containers.get_mut(container) {
            container.networks.insert(network.to_owned(), endpoint);
        }
    }
}

impl Container {
    fn state(&self) -> &'static str {
        if self.running { "running" } else { "created" }
    }

    /// As in a list, which leaves aliases out.
    fn summary(&self, id: &str) -> Value {
        let mut networks = self.networks.clone();
        for endpoint in networks.values_mut() {
            endpoint["Aliases"] = Value::Null;
        }
        json!({
            "Id": id, "Names": [format!("/{}", self.name)], "Image": self.body["Image"], "ImageID": image_id(),
            "Command": "sleep 1000000", "Created": 1_700_000_000, "Ports": [], "Labels": self.body["Labels"],
            "State": self.state(), "Status": "Up 2 minutes",
            "HostConfig": {"NetworkMode": self.body["HostConfig"]["NetworkMode"].as_str().unwrap_or("default")},
            "NetworkSettings": {"Networks": networks}, "Mounts": [],
        })
    }

    fn whole(&self, id: &str) -> Value {
        json!({
            "Id": id, "Created": "2026-01-01T00:00:00Z", "Path": "sleep", "Args": ["1000000"], "Name": format!("/{}", self.name),
            "State": {"Status": self.state(), "Running": self.running, "Paused": false, "Restarting": false, "OOMKilled": false,
                "Dead": false, "Pid": if self.running { 4242 } else { 0 }, "ExitCode": 0, "Error": "",
                "StartedAt": "2026-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z"},
            "Image": image_id(), "RestartCount": 0, "Driver": "overlay2", "Platform": "linux", "Mounts": [],
            "Config": {"Hostname": &id[..12], "Env": self.body["Env"], "Cmd": self.body["Cmd"], "Image": self.body["Image"],
                "Labels": self.body["Labels"]},
            "HostConfig": self.body["HostConfig"],
            "NetworkSettings": {"Networks": self.networks, "Ports": {}, "SandboxID": id, "SandboxKey": "/var/run/docker/netns/x"},
        })
    }
}

fn missing() -> (u16, Value) {
    (404, json!({"message": "No such thing"}))
}

fn info() -> Value {
    json!({
        "ID": "FAKE", "Name": "fake", "ServerVersion": "20.10.24", "OSType": "linux", "OperatingSystem": "none",
        "KernelVersion": "0", "Architecture": "x86_64", "NCPU": 2, "Driver": "overlay2", "SecurityOptions": [],
        "Plugins": {"Volume": ["local"], "Network": ["bridge", "host", "ipvlan", "macvlan", "null", "overlay"], "Authorization": null, "Log": ["json-file"]},
        "Swarm": {"LocalNodeState": "inactive", "ControlAvailable": false},
    })
}

fn image_id() -> String {
    format!("sha256:{}", "1".repeat(64))
}

fn is_version(part: &str) -> bool {
    part.strip_prefix('v')
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

/// Without the escapes of URLs.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escape = tail.get(..2).filter(|_| first == b'%');
        let byte = escape
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a tool is started with to talk to it.
pub fn environment(fake: &Fake, state: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("DOCKER_HOST", fake.url()),
        ("STACK_STATE_DIR", state.display().to_string()),
    ]
}
