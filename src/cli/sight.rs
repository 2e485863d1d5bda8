//! What `reach`, `why` and `check` look at: the stack's scene, from the file alone or with what stands, and the probes.
//! Not a command.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::context::{Context, Opened};
use crate::cli::exit::Failure;
use crate::file::active::Dependencies;
use crate::model::port::Protocol;
use crate::plan::desired::{Wishes, desired};
use crate::plan::observed::{Observed, Scope};
use crate::plan::spec::Spec;
use crate::reach::compare::Compared;
use crate::reach::facts::{Facts, Listening, OwnServer, Upstream};
use crate::reach::probe::dns::Resolver;
use crate::reach::probe::responder::Responder;
use crate::reach::probe::{Place, confirm, sockets};
use crate::reach::question::{Question, Viewpoint};
use crate::reach::scene::build::scene;
use crate::reach::scene::draft::Moment;
use crate::reach::scene::{HOST, Scene};
use crate::world::World;
use crate::world::engine::Engine;
use crate::world::live::Live;
use crate::world::netns::Namespace;

/// A stack and how it is looked at.
pub struct Sight {
    pub opened: Opened,
    pub wishes: Wishes,
}

impl Sight {
    /// Reads the file.
    pub fn open(context: &Context) -> Result<Sight, Failure> {
        let opened = context.open(&[], Dependencies::Included)?;
        let wishes = Wishes {
            separator: if context.global.compatibility {
                "_"
            } else {
                "-"
            },
            ..Wishes::default()
        };
        Ok(Sight { opened, wishes })
    }

    /// The scene that the file describes, without an engine.
    pub fn wanted(&self) -> Scene {
        let nothing = Observed::default();
        let facts = Facts::default();
        scene(
            &self.opened.stack,
            &self.wishes,
            &nothing,
            facts,
            Moment::Wanted,
        )
    }

    /// The scene that stands, and everybody who can ask in it.
    pub async fn standing(&self, live: &Live) -> Result<Standing, Failure> {
        let stack = &self.opened.stack;
        let specs = desired(stack, &self.wishes, &Observed::default()).specs;
        let scope = Scope {
            project: stack.project.clone(),
            images: Vec::new(),
            doors: specs
                .values()
                .filter_map(|spec| match spec.as_ref() {
                    Spec::Door(door) => Some(door.clone()),
                    _ => None,
                })
                .collect(),
            attachments: BTreeMap::new(),
            host: true,
        };
        let observed = live.observe(&scope).await?;
        let engine = live.engine();
        let mut facts = Facts::of(&observed);
        let first = scene(
            stack,
            &self.wishes,
            &observed,
            facts.clone(),
            Moment::Standing,
        );
        let places = places(stack.project.as_str(), &first, engine).await?;
        for (viewpoint, place) in &places {
            let listening = sockets::listening(&place.namespace).await;
            let name = match viewpoint {
                Viewpoint::Host => "host".to_owned(),
                other => other.to_string(),
            };
            if let (Ok(listening), false) = (listening, matches!(viewpoint, Viewpoint::Shim(_))) {
                facts.listening.insert(name, listening);
            }
            if let Viewpoint::Container(name) = viewpoint {
                let inside = sockets::addresses(&place.namespace).await;
                facts
                    .addresses
                    .extend(inside.ok().map(|inside| (name.clone(), inside)));
            }
        }
        if facts.way_out == Some(false) {
            facts.upstream_names = Upstream::Unreachable;
        }
        let servers = Resolver::read(Path::new("/")).servers;
        let serves = facts.listening.get("host").is_some_and(|sockets| {
            let is_dns = |socket: &Listening| socket.port == 53 && socket.protocol == Protocol::Udp;
            sockets.iter().any(is_dns)
        });
        let server = servers.first().copied();
        let links = observed.host.iter().flat_map(|host| &host.links);
        let mut own = links.flat_map(|link| link.addresses.iter().map(|net| net.addr()));
        facts.host_asks_nobody = match server {
            _ if serves => None,
            None => Some(OwnServer::Loopback),
            Some(server) if server.is_loopback() => Some(OwnServer::Loopback),
            Some(server) => own
                .any(|address| address == server)
                .then_some(OwnServer::Address),
        };
        if let Some(settings) = engine.local_process().and_then(Settings::of) {
            let proxy = settings.flag("userland-proxy");
            facts.userland_proxy = proxy.unwrap_or(facts.userland_proxy);
            let direct = settings.flag("allow-direct-routing");
            facts.direct_routing = direct.unwrap_or(facts.direct_routing);
        }
        let scene = scene(stack, &self.wishes, &observed, facts, Moment::Standing);
        Ok(Standing { scene, places })
    }
}

/// What stands.
pub struct Standing {
    pub scene: Scene,
    pub places: BTreeMap<Viewpoint, Place>,
}

impl Standing {
    /// Predicts and asks.
    pub async fn compared(&self, questions: Vec<Question>) -> Vec<Compared> {
        confirm::compared(&self.scene, &self.places, questions).await
    }

    /// Opens the declared ports on which nothing listens, and notes that they are open.
    pub async fn respond(&mut self) -> Result<Vec<Responder>, Failure> {
        let mut responders = Vec::new();
        for (name, tenant) in &self.scene.containers {
            let viewpoint = Viewpoint::Container(name.clone());
            let Some(place) = self.places.get(&viewpoint).filter(|_| tenant.node != HOST) else {
                continue;
            };
            if !tenant.declared.is_empty() {
                let started = Responder::start(&place.namespace, tenant.declared.clone()).await;
                responders.push(started?);
            }
        }
        for (viewpoint, place) in &self.places {
            if let (Viewpoint::Container(name), Ok(listening)) =
                (viewpoint, sockets::listening(&place.namespace).await)
            {
                self.scene.facts.listening.insert(name.clone(), listening);
            }
        }
        Ok(responders)
    }
}

async fn places(
    project: &str,
    scene: &Scene,
    engine: &Engine,
) -> Result<BTreeMap<Viewpoint, Place>, Failure> {
    let mut places = BTreeMap::new();
    let host = engine.host_namespace().ok_or_else(|| {
        Failure::with_hint(
            "the engine is not on this machine, so nobody can be asked from here",
            "run `stack` on the engine's machine",
        )
    })?;
    let host = Place {
        namespace: Namespace::at(&host)?,
        resolver: Resolver::read(Path::new("/")),
    };
    for (name, tenant) in &scene.containers {
        if tenant.down.is_some() {
            continue;
        }
        if let Some(process) = engine.container_process(name).await? {
            let root = PathBuf::from(format!("/proc/{process}/root"));
            let place = Place {
                namespace: Namespace::of_process(process)?,
                resolver: Resolver::read(&root),
            };
            places.insert(Viewpoint::Container(name.clone()), place);
        }
    }
    for shim in scene.shims.keys() {
        places.insert(Viewpoint::Shim(shim.clone()), host.clone());
    }
    for (name, (_, viewpoint)) in &scene.machines {
        let name = format!("{project}-{}", name.replacen('.', "-", 1));
        if let Ok(namespace) = Namespace::named(&name) {
            let place = Place {
                namespace,
                resolver: Resolver::default(),
            };
            places.insert(viewpoint.clone(), place);
        }
    }
    places.insert(Viewpoint::Host, host);
    Ok(places)
}

/// How an engine on this machine was started: its command line, and the settings file that it names.
struct Settings {
    words: Vec<String>,
    file: Value,
}

impl Settings {
    /// None where the command line cannot be read.
    fn of(process: i32) -> Option<Settings> {
        let line = std::fs::read(format!("/proc/{process}/cmdline")).ok()?;
        let words: Vec<String> = line
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        let mut pairs = words.iter().zip(words.iter().skip(1));
        let named = words
            .iter()
            .find_map(|word| word.strip_prefix("--config-file="))
            .or_else(|| {
                let pair = pairs.find(|(word, _)| *word == "--config-file")?;
                Some(pair.1.as_str())
            });
        let path = named.unwrap_or("/etc/docker/daemon.json");
        let path = format!("/proc/{process}/root/{}", path.trim_start_matches('/'));
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let file = serde_json::from_str(&text).unwrap_or(Value::Null);
        Some(Settings { words, file })
    }

    /// A setting that is on or off; none where nobody said anything.
    fn flag(&self, name: &str) -> Option<bool> {
        let said = self.words.iter().find_map(|word| {
            let rest = word.strip_prefix("--")?.strip_prefix(name)?;
            match rest {
                "" | "=true" | "=1" => Some(true),
                "=false" | "=0" => Some(false),
                _ => None,
            }
        });
        said.or_else(|| self.file.get(name)?.as_bool())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Settings;

    #[test]
    fn a_setting_of_the_command_line_or_of_the_file() {
        let settings = Settings {
            words: ["dockerd", "--userland-proxy=false", "--debug"]
                .map(str::to_owned)
                .to_vec(),
            file: json!({"allow-direct-routing": true}),
        };
        assert_eq!(settings.flag("userland-proxy"), Some(false));
        assert_eq!(settings.flag("allow-direct-routing"), Some(true));
        assert_eq!(settings.flag("ip6tables"), None);
    }
}
