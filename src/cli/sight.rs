//! What `reach`, `why` and `check` look at: the stack's scene, from the file alone or with what stands, and the probes.
//! Not a command.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use futures_util::StreamExt;
use tokio::sync::Mutex;

use crate::cli::context::{Context, Opened};
use crate::cli::envoys::Envoys;
use crate::cli::exit::{Exit, Failure};
use crate::cli::signal::wishes_to_stop;
use crate::file::active::Dependencies;
use crate::model::port::Protocol;
use crate::plan::desired::{Wishes, desired};
use crate::plan::machine::drops_what_comes_in;
use crate::plan::observed::{Observed, Scope};
use crate::plan::spec::Spec;
use crate::reach::compare::Compared;
use crate::reach::facts::{Facts, Listening, OwnServer, Upstream};
use crate::reach::probe::confirm;
use crate::reach::probe::dns::Resolver;
use crate::reach::probe::place::{Look, Place, Places, Spot};
use crate::reach::probe::responder::Responder;
use crate::reach::question::{Question, Viewpoint};
use crate::reach::scene::build::scene;
use crate::reach::scene::draft::Moment;
use crate::reach::scene::{HOST, Scene, Tenant};
use crate::world::World;
use crate::world::engine::Engine;
use crate::world::host::filter;
use crate::world::live::Live;
use crate::world::netns::Namespace;

/// A stack and how it is looked at.
pub struct Sight {
    pub opened: Opened,
    pub wishes: Wishes,
    envoys: Envoys,
    /// Held while the stack is being changed.
    changing: Mutex<()>,
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
        Ok(Sight {
            opened,
            wishes,
            envoys: Envoys::default(),
            changing: Mutex::default(),
        })
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
        let engine = live.engine();
        let mut observed = live.observe(&self.scope()).await?;
        let facts = Facts::of(&observed);
        let first = scene(stack, &self.wishes, &observed, facts, Moment::Standing);
        let Places {
            all: mut places,
            stale,
        } = match may_enter(engine) {
            Some(host) => places(stack.project.as_str(), &first, engine, host).await?,
            None => self.envoys.places(engine, &stack.project, &first).await?,
        };
        if stale {
            observed = live.observe(&self.scope()).await?;
        }
        let looks = looks(&places, observed.host.is_none()).await;
        if let Some(host) = looks
            .get(&Viewpoint::Host)
            .and_then(|look| look.host.clone())
        {
            observed.host.get_or_insert(host);
        }
        let mut facts = Facts::of(&observed);
        learn(&mut facts, looks, &observed);
        if let Some(settings) = engine.local_process().and_then(Settings::of) {
            let proxy = settings.flag("userland-proxy");
            facts.userland_proxy = proxy.unwrap_or(facts.userland_proxy);
            let direct = settings.flag("allow-direct-routing");
            facts.direct_routing = direct.unwrap_or(facts.direct_routing);
        }
        if let Some(host) = may_enter(engine)
            && let Ok(Some(chains)) = filter::chains(&host).await
        {
            facts.host_input = drops_what_comes_in(&chains);
        }
        let scene = scene(stack, &self.wishes, &observed, facts, Moment::Standing);
        places.retain(|viewpoint, _| match viewpoint {
            Viewpoint::Container(name) => scene.containers.get(name).is_some_and(Tenant::runs),
            _ => true,
        });
        Ok(Standing { scene, places })
    }

    fn scope(&self) -> Scope {
        let stack = &self.opened.stack;
        let specs = desired(stack, &self.wishes, &Observed::default()).specs;
        let doors = specs.values().filter_map(|spec| match spec.as_ref() {
            Spec::Door(door) => Some(door.clone()),
            _ => None,
        });
        Scope {
            project: stack.project.clone(),
            images: Vec::new(),
            doors: doors.collect(),
            attachments: BTreeMap::new(),
            host: true,
        }
    }

    /// Changes the stack between questions: a wish to stop waits until that is done, or taken back.
    pub async fn changed<T>(&self, change: impl Future<Output = T>) -> T {
        let _changing = self.changing.lock().await;
        change.await
    }

    /// Does what asks for real. Whatever comes of it, Ctrl+C too, those who were sent to ask come home.
    pub async fn asking<T>(
        &self,
        live: &Live,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut stop = wishes_to_stop()?;
        let stopped = async {
            stop.next().await;
            self.envoys.stop().await;
            let _unchanging = self.changing.lock().await;
        };
        let done = tokio::select! {
            done = work => done,
            () = stopped => Err(Failure::Told(Exit::Interrupted)),
        };
        let home = self.end(live).await;
        let done = done?;
        home.map(|()| done)
    }

    /// Calls those home who were sent to ask.
    async fn end(&self, live: &Live) -> Result<(), Failure> {
        self.envoys.end(live.engine()).await
    }
}

/// What each of them sees; the host's links too, where nobody here has seen them.
async fn looks(places: &BTreeMap<Viewpoint, Place>, host: bool) -> BTreeMap<Viewpoint, Look> {
    let mut looks = BTreeMap::new();
    for (viewpoint, place) in places {
        // A shim is the host once more.
        if matches!(viewpoint, Viewpoint::Shim(_)) {
            continue;
        }
        let host = host && *viewpoint == Viewpoint::Host && place.namespace().is_none();
        if let Ok(look) = place.look(host).await {
            looks.insert(viewpoint.clone(), look);
        }
    }
    looks
}

/// Puts what was seen in the namespaces among the facts.
fn learn(facts: &mut Facts, looks: BTreeMap<Viewpoint, Look>, observed: &Observed) {
    let servers = (looks.get(&Viewpoint::Host)).map(|look| look.servers.clone());
    for (viewpoint, look) in looks {
        facts
            .listening
            .insert(viewpoint.to_string(), look.listening);
        if let Viewpoint::Container(name) = viewpoint {
            facts.addresses.insert(name, look.addresses);
        }
    }
    if facts.way_out == Some(false) {
        facts.upstream_names = Upstream::Unreachable;
    }
    let serves = facts.listening.get("host").is_some_and(|sockets| {
        let is_dns = |socket: &Listening| socket.port == 53 && socket.protocol == Protocol::Udp;
        sockets.iter().any(is_dns)
    });
    let server = servers.unwrap_or_default().first().copied();
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
                responders.extend(place.respond(tenant.declared.clone()).await?);
            }
        }
        for (viewpoint, place) in &self.places {
            if let (Viewpoint::Container(name), Ok(look)) = (viewpoint, place.look(false).await) {
                let listening = &mut self.scene.facts.listening;
                listening.insert(name.clone(), look.listening);
            }
        }
        Ok(responders)
    }
}

/// The engine's host, where this process may enter namespaces there.
fn may_enter(engine: &Engine) -> Option<Namespace> {
    if !engine.numbers_processes_as_we_do() {
        return None;
    }
    let host = Namespace::at(&engine.host_namespace()?).ok()?;
    // To make one needs the same right as to enter one.
    Namespace::fresh().ok().map(|_| host)
}

async fn places(
    project: &str,
    scene: &Scene,
    engine: &Engine,
    host: Namespace,
) -> Result<Places, Failure> {
    let mut places = BTreeMap::new();
    let mut stale = false;
    let host = Place::here(host, Path::new("/"));
    for (name, tenant) in &scene.containers {
        if !tenant.runs() {
            continue;
        }
        let Some(process) = engine.container_process(name).await? else {
            stale = true;
            continue;
        };
        match Namespace::of_process(process) {
            Ok(namespace) => {
                let root = PathBuf::from(format!("/proc/{process}/root"));
                let place = Place::here(namespace, &root);
                places.insert(Viewpoint::Container(name.clone()), place);
            }
            Err(_) if !engine.runs(name).await? => stale = true,
            Err(error) => return Err(error.into()),
        }
    }
    for shim in scene.shims.keys() {
        places.insert(Viewpoint::Shim(shim.clone()), host.clone());
    }
    for (name, (_, viewpoint)) in &scene.machines {
        let name = format!("{project}-{}", name.replacen('.', "-", 1));
        if let Ok(namespace) = Namespace::named(&name) {
            let place = Place::Here(Spot {
                namespace,
                resolver: Resolver::default(),
            });
            places.insert(viewpoint.clone(), place);
        }
    }
    places.insert(Viewpoint::Host, host);
    Ok(Places { all: places, stale })
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
