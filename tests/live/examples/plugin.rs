//! A driver that the engine has from a plugin, and one that it does not have. The plugin is a real one, of the first
//! generation (a socket in a folder that the engine searches), served by this very process: its links are veth pairs.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bed::{Bed, ran};
use crate::examples::Example;
use crate::examples::Expect::Page;
use crate::examples::reach;
use crate::runner::{Failure, Outcome, Run, Test, holds, same, soon};

/// All tests of this module.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "examples::plugin_that_is_not_there_is_refused_at_once",
            run: Run::Host(missing),
        },
        Test {
            name: "examples::plugin_that_is_there_gets_its_options_and_carries_the_network",
            run: Run::OwnHost(present),
        },
        Test {
            name: "examples::plugin_that_is_slow_has_its_network_taken_away_after_a_kill_all_the_same",
            run: Run::OwnHost(slow),
        },
    ]
}

const NAME: &str = "cables";

fn missing(bed: &Bed) -> Result<Outcome, Failure> {
    let example = Example::copied(bed, "plugin")?;
    let start = Instant::now();
    let said = example.stack("up --detach")?.fails_with(1)?;
    let took = start.elapsed();
    holds(&format!("it took {took:?}"), took < Duration::from_secs(5))?;
    holds(
        &format!("the driver, its place and the others are named: {said}"),
        said.contains("`nosuch`") && said.contains("stack.yaml:") && said.contains("macvlan"),
    )?;
    Ok(Outcome::Passed)
}

fn present(bed: &mut Bed) -> Result<Outcome, Failure> {
    let bed = &*bed;
    let example = Example::copied(bed, "plugin")?;
    std::fs::write(
        example.folder.join(".env"),
        format!("STACK_EXAMPLE_DRIVER={NAME}\n"),
    )?;
    let asked = serve(bed)?;
    example.shown(|example| {
        let address = example.address("web")?;
        holds(
            &format!("the address is of the pool: {address}"),
            address.starts_with("10.90.0."),
        )?;
        reach(&[(&example.service("web")?, &format!("{address}:80"), Page)])?;
        same(
            "the links inside",
            example.links("web")?.as_str(),
            "eth0 lo",
        )
    })?;
    let asked = asked.lock().map_err(|_| "the plugin panicked")?;
    let made: Vec<&Value> = asked
        .iter()
        .filter(|(verb, _)| verb == CREATE)
        .map(|(_, body)| &body["Options"]["com.docker.network.generic"]["colour"])
        .collect();
    same(
        "the option that the plugin was given",
        made,
        vec![&json!("blue")],
    )?;
    let ended = asked.iter().any(|(verb, _)| verb == DELETE);
    holds("the network was taken away again", ended)?;
    Ok(Outcome::Passed)
}

/// The engine goes on with what a killed run has asked for, and tells of a network only when it is whole.
fn slow(bed: &mut Bed) -> Result<Outcome, Failure> {
    let bed = &*bed;
    let asked = serve(bed)?;
    let folder = tempfile::tempdir()?;
    let before = bed.host()?;
    let networks =
        || bed.docker("network ls --quiet --filter label=com.docker.compose.project=slow");
    let killed = |seconds: u32| -> Result<(), Failure> {
        let file = format!(
            "name: slow\nservices: {{web: {{image: 'stack-lab:latest', networks: [net]}}}}\n\
             networks: {{net: {{driver: {NAME}, driver_opts: {{seconds: '{seconds}'}}}}}}\n"
        );
        std::fs::write(folder.path().join("stack.yaml"), file)?;
        let known = count(&asked, CREATE)?;
        let mut up = bed.spawn_stack(folder.path(), "up --detach")?;
        soon("the plugin is asked", Duration::from_secs(20), || {
            Ok(count(&asked, CREATE)? > known)
        })?;
        up.kill()?;
        up.wait()?;
        same("it is not there yet", networks()?.as_str(), "")
    };
    killed(2)?;
    bed.stack(folder.path(), "down")?.ok()?;
    same("what `down` waited for", count(&asked, DELETE)?, 1)?;
    let left = before.difference(&bed.host()?);
    same("what is left", left.as_str(), "")?;

    // Nobody waits that long; it is told and taken away when it is there.
    killed(8)?;
    bed.stack(folder.path(), "down")?.ok()?;
    soon("it comes", Duration::from_secs(20), || {
        Ok(!networks()?.is_empty())
    })?;
    let told = bed.stack(folder.path(), "orphans")?;
    bed.stack(folder.path(), "down")?.ok()?;
    holds(
        &format!("`orphans` tells of it: {}", told.stdout),
        told.code == Some(2) && told.stdout.contains("slow_net"),
    )?;
    let left = before.difference(&bed.host()?);
    same("what is left", left.as_str(), "")?;
    Ok(Outcome::Passed)
}

const CREATE: &str = "/NetworkDriver.CreateNetwork";
const DELETE: &str = "/NetworkDriver.DeleteNetwork";

fn count(asked: &Asked, wanted: &str) -> Result<usize, Failure> {
    let asked = asked.lock().map_err(|_| "the plugin panicked")?;
    Ok(asked.iter().filter(|(verb, _)| verb == wanted).count())
}

type Asked = Arc<Mutex<Vec<(String, Value)>>>;

/// Serves the plugin in the host's folder of plugins. Its thread ends with this process.
fn serve(bed: &Bed) -> Result<Asked, Failure> {
    bed.run("mkdir -p /run/docker/plugins")?;
    let socket = bed.inside(&format!("/run/docker/plugins/{NAME}.sock"));
    let listener = UnixListener::bind(socket)?;
    let asked: Asked = Arc::default();
    let all = asked.clone();
    let keeper = bed.keeper();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let all = all.clone();
            std::thread::spawn(move || answer(stream, keeper, &all));
        }
    });
    Ok(asked)
}

/// Answers the requests of one connection.
fn answer(mut stream: UnixStream, keeper: u32, all: &Asked) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let verb = line.split(' ').nth(1)?.to_owned();
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let header = header.trim().to_ascii_lowercase();
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if header.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        all.lock().ok()?.push((verb.clone(), body.clone()));
        let reply = reply(&verb, &body, keeper).to_string();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.plugins.v1.2+json\r\n";
        write!(
            stream,
            "{head}Content-Length: {}\r\n\r\n{reply}",
            reply.len()
        )
        .ok()?;
    }
}

/// The driver: each endpoint is a veth pair, whose far end the engine moves into the container. A network takes as many
/// `seconds` as its options say.
fn reply(verb: &str, body: &Value, keeper: u32) -> Value {
    let seconds = body["Options"]["com.docker.network.generic"]["seconds"].as_str();
    if let Some(seconds) = seconds.and_then(|text| text.parse().ok()) {
        std::thread::sleep(Duration::from_secs(seconds));
    }
    let id: String = body["EndpointID"]
        .as_str()
        .unwrap_or_default()
        .chars()
        .take(8)
        .collect();
    let ip = |words: &str| {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={keeper}"))
            .args(["--net", "--", "ip"]);
        ran(command.args(words.split(' '))).is_ok()
    };
    match verb {
        "/Plugin.Activate" => json!({"Implements": ["NetworkDriver"]}),
        "/NetworkDriver.GetCapabilities" => json!({"Scope": "local", "ConnectivityScope": "local"}),
        "/NetworkDriver.CreateEndpoint" => {
            ip(&format!("link add ch{id} type veth peer name cc{id}"));
            json!({"Interface": {}})
        }
        "/NetworkDriver.EndpointOperInfo" => json!({"Value": {}}),
        "/NetworkDriver.Join" => {
            // Without a gateway the engine would give the container a second link, to docker_gwbridge.
            json!({
                "InterfaceName": {"SrcName": format!("cc{id}"), "DstPrefix": "eth"},
                "Gateway": "10.90.0.1",
            })
        }
        "/NetworkDriver.DeleteEndpoint" => {
            ip(&format!("link delete ch{id}"));
            json!({})
        }
        _ => json!({}),
    }
}
