//! What every command starts from: the flags and the environment, the stack that the files describe, the engine, the
//! world (real or in memory), and where this machine keeps our locks and journals. The only place that makes them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::unistd::Uid;

use crate::apply::wanted::{Records, file_name};
use crate::cli::clock::Clock;
use crate::cli::exit::{Exit, Failure};
use crate::cli::global::{Global, ProgressMode};
use crate::cli::render::{DRY_RUN, Renderer, Stream};
use crate::cli::render::{mutter, talk};
use crate::cli::screen::Screen;
use crate::cli::settings::Settings;
use crate::diagnostic::machine;
use crate::diagnostic::render::{Colour, text};
use crate::diagnostic::{Diagnostic, Severity};
use crate::file;
use crate::file::Reading;
use crate::file::active::{Dependencies, Selection};
use crate::file::files::Kept;
use crate::file::request::{Contents, Request, Resources, Text};
use crate::model::name::{LinkName, ProjectName};
use crate::model::stack::Stack;
use crate::plan::check::Finding;
use crate::plan::spec::{Kind, ResourceId};
use crate::world::engine::Engine;
use crate::world::engine::connect::Surroundings;
use crate::world::live::Live;

/// What every command gets.
pub struct Context {
    pub global: Global,
    pub settings: Settings,
    /// Where the reader's texts come from.
    pub files: Kept,
    pub screen: Screen,
    /// The working directory, absolute.
    pub here: PathBuf,
    /// Whether this process has become a part of a private engine's host.
    pub private: bool,
    pub clock: Clock,
    /// How mistakes in the file are told.
    pub mistakes: Mistakes,
}

/// How mistakes in the file are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistakes {
    /// For people, on the standard error output.
    Text,
    /// For programs, in the place of what they asked for.
    Json,
}

/// A stack that was read without mistakes.
pub struct Opened {
    pub stack: Stack,
    pub reading: Reading,
    keys: OnceLock<Keys>,
}

/// The project that a command is about. The file may be gone; then only the name is known.
pub struct Target {
    pub project: ProjectName,
    /// All services of the file, inactive ones too.
    pub services: Option<BTreeSet<String>>,
}

impl Context {
    /// By flags and environment.
    pub fn new(
        global: Global,
        settings: Settings,
        files: Kept,
        private: bool,
        clock: Clock,
    ) -> Result<Context, Failure> {
        let screen = Screen::look(global.ansi, &settings);
        Ok(Context {
            here: crate::cli::here()?,
            global,
            settings,
            files,
            screen,
            private,
            clock,
            mistakes: Mistakes::Text,
        })
    }

    /// The request that the flags make of the reader.
    pub fn request(
        &self,
        services: &[String],
        dependencies: Dependencies,
    ) -> Result<Request, Failure> {
        let mut request = Request::new(&self.here);
        for path in &self.global.files {
            if path == Path::new("-") {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text)?;
                request.files.push(Text::Inline(text));
            } else {
                request.files.push(Text::File(path.clone()));
            }
        }
        request.project_name = self.global.project_name.clone();
        request.project_directory = self.global.project_directory.clone();
        request.environment_files = self.global.env_files.clone();
        request.environment = self.settings.variables().clone();
        request.selection = Selection {
            profiles: self.global.profiles.clone(),
            services: services.to_vec(),
            dependencies,
        };
        if self.global.all_resources {
            request.resources = Resources::All;
        }
        Ok(request)
    }

    /// Reads the files and tells everything that is to be told about them. Mistakes end the command.
    pub fn open(&self, services: &[String], dependencies: Dependencies) -> Result<Opened, Failure> {
        self.opened(&self.request(services, dependencies)?)
    }

    /// The same for a request that a command has changed.
    pub fn opened(&self, request: &Request) -> Result<Opened, Failure> {
        let mut reading = self.read(request)?;
        let stack = reading
            .stack
            .take()
            .ok_or_else(|| Failure::said("the file has mistakes that were not told"))?;
        Ok(Opened::new(stack, reading))
    }

    /// Reads the files and tells what is to be told; the document may be looked at, but is no stack yet.
    pub fn read(&self, request: &Request) -> Result<Reading, Failure> {
        let reading = file::read(request, &self.files);
        if self.mistakes == Mistakes::Json && reading.diagnostics.has_errors() {
            let told = machine::json(&reading.diagnostics, &reading.sources);
            writeln!(std::io::stdout().lock(), "{told:#}")?;
            return Err(Failure::Told(Exit::Refused));
        }
        let colour = if self.screen.error_colour {
            Colour::Always
        } else {
            Colour::Never
        };
        if !reading.diagnostics.is_empty() {
            mutter(&text(&reading.diagnostics, &reading.sources, colour));
        }
        match reading.diagnostics.count(Severity::Error) {
            0 => Ok(reading),
            1 => Err(Failure::Told(Exit::Refused)),
            count => {
                talk(&format!("{count} errors; nothing was changed"));
                Err(Failure::Told(Exit::Refused))
            }
        }
    }

    /// The project that is named, where there is nothing but its name. As in Compose, a project that is named and has
    /// no `-f` is taken by its name alone.
    pub fn named(&self) -> Result<Option<ProjectName>, Failure> {
        let named = self
            .global
            .project_name
            .clone()
            .or_else(|| self.settings.get("PROJECT_NAME").map(str::to_owned));
        match named {
            Some(name) if !self.names_a_file() => {
                let project = name
                    .parse()
                    .map_err(|_| Failure::said(format!("invalid project name \"{name}\": must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number")))?;
                Ok(Some(project))
            }
            Some(_) | None => Ok(None),
        }
    }

    fn names_a_file(&self) -> bool {
        !self.global.files.is_empty() || self.settings.get("FILE").is_some()
    }

    /// The project that was chosen, by `-p` or by a file; none where a command may look at all of them.
    pub fn chosen(&self) -> Result<Option<ProjectName>, Failure> {
        match self.names_a_file() {
            true => Ok(Some(self.target()?.project)),
            false => self.named(),
        }
    }

    /// The project of a command that can do without the file.
    pub fn target(&self) -> Result<Target, Failure> {
        if let Some(project) = self.named()? {
            return Ok(Target {
                project,
                services: None,
            });
        }
        // Looking at a project or taking it down needs no secret.
        let mut request = self.request(&[], Dependencies::Included)?;
        request.contents = Contents::Dispensable;
        let opened = self.opened(&request).inspect_err(|_| {
            talk("hint: this command needs no file where the project is named: stack --project-name NAME …");
        })?;
        Ok(opened.stack.target())
    }

    /// Connects to the engine that the flags and the environment name.
    pub async fn engine(&self) -> Result<Engine, Failure> {
        Ok(Engine::connect(&self.surroundings()).await?)
    }

    /// Connects to the engine and, where it is on this machine, to the kernel.
    pub async fn live(&self) -> Result<Live, Failure> {
        Ok(Live::connect(&self.surroundings(), state_folder(&self.settings)?).await?)
    }

    /// The engine's part in the names of those files.
    pub fn engine_digest(engine: &str) -> String {
        crate::model::hash::short_hex(engine.as_bytes(), 8)
    }

    /// What the flags and the environment say about where the engine is.
    pub fn surroundings(&self) -> Surroundings {
        let variable = |name: &str| self.settings.variable(name).map(str::to_owned);
        Surroundings {
            host: self.global.host.clone(),
            context: self.global.context.clone(),
            docker_host: variable("DOCKER_HOST"),
            docker_context: variable("DOCKER_CONTEXT"),
            tls_verify: variable("DOCKER_TLS_VERIFY"),
            certificate_folder: variable("DOCKER_CERT_PATH").map(PathBuf::from),
            config_folder: variable("DOCKER_CONFIG").map(PathBuf::from),
            api_version: variable("DOCKER_API_VERSION"),
            home: variable("HOME").map(PathBuf::from),
        }
    }

    /// Where the host's ledger is.
    pub fn state(&self) -> Result<PathBuf, Failure> {
        state_folder(&self.settings)
    }

    /// Where what must outlive a reboot is written down.
    pub fn lasting_folder(&self) -> PathBuf {
        match self.settings.variable("STACK_STATE_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => PathBuf::from("/var/lib/stack"),
        }
    }

    /// Whoever shows the progress of a run.
    pub fn renderer(&self) -> Renderer {
        let prefix = if self.global.dry_run { DRY_RUN } else { "" };
        Renderer::choose(
            self.global.progress,
            &self.screen,
            self.status_stream(),
            prefix,
        )
    }

    /// Where progress goes.
    pub fn status_stream(&self) -> Stream {
        if self.settings.is_on("STATUS_STDOUT") {
            Stream::Output
        } else {
            Stream::Error
        }
    }

    /// A line of our own beside the progress; `--progress quiet` leaves it out.
    pub fn tell(&self, line: &str) {
        let prefix = if self.global.dry_run { DRY_RUN } else { "" };
        match self.global.progress.unwrap_or(ProgressMode::Auto) {
            ProgressMode::Quiet => {}
            ProgressMode::Json => {
                let value = serde_json::json!({"message": line});
                crate::cli::render::say(self.status_stream(), &value.to_string());
            }
            ProgressMode::Auto | ProgressMode::Plain | ProgressMode::Tty => {
                crate::cli::render::say(self.status_stream(), &format!("{prefix}{line}"));
            }
        }
    }

    /// The file of a project's lock or journal. Two engines may each have a project of this name.
    pub fn state_file(
        &self,
        project: &ProjectName,
        engine: &str,
        ending: &str,
    ) -> Result<PathBuf, Failure> {
        let folder = state_folder(&self.settings)?;
        std::fs::create_dir_all(&folder)
            .map_err(|error| Failure::said(format!("cannot make {}: {error}", folder.display())))?;
        Ok(folder.join(file_name(project, engine, ending)))
    }

    /// Where locks and journals are.
    pub fn state_folder(&self) -> Result<PathBuf, Failure> {
        state_folder(&self.settings)
    }

    /// The records of what projects want of their host. They outlive a reboot: `/var/lib/stack` for root,
    /// `$XDG_STATE_HOME/stack` else; a private engine does not, nor do its records.
    pub fn records(&self) -> Result<Records, Failure> {
        let variable = |name| self.settings.variable(name).map(PathBuf::from);
        let folder = if self.private || variable("STACK_STATE_DIR").is_some() {
            self.state_folder()?
        } else if Uid::effective().is_root() {
            PathBuf::from("/var/lib/stack")
        } else if let Some(folder) = variable("XDG_STATE_HOME") {
            folder.join("stack")
        } else if let Some(home) = variable("HOME") {
            home.join(".local/state/stack")
        } else {
            self.state_folder()?
        };
        Ok(Records::new(&folder))
    }
}

/// Where locks and journals are: `/run/stack` for root, `$XDG_RUNTIME_DIR/stack` else; both are gone with a reboot, as
/// is what they tell of.
fn state_folder(settings: &Settings) -> Result<PathBuf, Failure> {
    if let Some(folder) = settings.variable("STACK_STATE_DIR") {
        return Ok(PathBuf::from(folder));
    }
    if Uid::effective().is_root() {
        return Ok(PathBuf::from("/run/stack"));
    }
    match settings.variable("XDG_RUNTIME_DIR") {
        Some(folder) => Ok(Path::new(folder).join("stack")),
        None => Ok(std::env::temp_dir().join(format!("stack-{}", Uid::effective()))),
    }
}

impl Stack {
    /// The stack as a command's target.
    fn target(&self) -> Target {
        let active = self.services.keys().map(ToString::to_string);
        let inactive = self.inactive.iter().map(ToString::to_string);
        Target {
            project: self.project.clone(),
            services: Some(active.chain(inactive).collect()),
        }
    }
}

impl Opened {
    /// A stack with the reading that it comes from.
    pub fn new(stack: Stack, reading: Reading) -> Opened {
        Opened {
            stack,
            reading,
            keys: OnceLock::new(),
        }
    }

    /// Tells what only the world could tell about the file, each at its place. Whether the plan can be carried out.
    pub fn tell(&self, findings: &[Finding], context: &Context) -> Result<(), Failure> {
        let mut all = crate::diagnostic::Diagnostics::default();
        for finding in findings {
            let Finding {
                code,
                fatal,
                place,
                message,
                hint,
            } = finding;
            let mut diagnostic = if *fatal {
                Diagnostic::error(code, message.clone())
            } else {
                Diagnostic::warning(code, message.clone())
            };
            let path: Vec<&str> = place.iter().map(String::as_str).collect();
            if let Some(span) = self.reading.document.place(&path) {
                diagnostic = diagnostic.at(span);
            }
            if let Some(hint) = hint {
                diagnostic = diagnostic.hint(hint.clone());
            }
            all.push(diagnostic.path(place.join(".")));
        }
        all.sort();
        let colour = if context.screen.error_colour {
            Colour::Always
        } else {
            Colour::Never
        };
        if !all.is_empty() {
            mutter(&text(&all, &self.reading.sources, colour));
        }
        if all.has_errors() {
            talk("nothing was changed");
            return Err(Failure::Told(Exit::Refused));
        }
        Ok(())
    }

    /// Where in the file a resource comes from: `stack.yaml:4:3`.
    pub fn place(&self, id: &ResourceId) -> Option<String> {
        let (kind, key) = self.key(id)?;
        let span = self.reading.document.place(&[kind, &key])?;
        Some(self.reading.sources.place(span))
    }

    /// The key of the network that asks for a shim of this name.
    fn network_of_shim(&self, name: &str) -> Option<String> {
        let stack = &self.stack;
        let mut networks = stack.networks.values();
        let network = networks.find(|network| {
            network.shim.as_ref().is_some_and(|shim| match &shim.name {
                Some(own) => own.as_str() == name,
                None => {
                    let identity = format!("{}-{}", stack.project, network.key);
                    LinkName::fitted("shim-", &identity).as_str() == name
                }
            })
        })?;
        Some(network.key.to_string())
    }

    /// The section and key that a resource belongs to.
    fn key(&self, id: &ResourceId) -> Option<(&'static str, String)> {
        let keys = self.keys.get_or_init(|| Keys::of(&self.stack));
        let found = |all: &HashMap<String, String>| all.get(&id.name).cloned();
        match id.kind {
            Kind::Network => found(&keys.networks).map(|key| ("networks", key)),
            Kind::Volume => found(&keys.volumes).map(|key| ("volumes", key)),
            Kind::Lan => Some(("lans", id.name.clone())),
            Kind::Image => found(&keys.images).map(|key| ("services", key)),
            Kind::Container | Kind::Endpoint | Kind::Door => {
                let container = id.name.split('/').next()?;
                let service = keys.containers.get(container).cloned().or_else(|| {
                    let (service, _) = container
                        .strip_prefix(self.stack.project.as_str())?
                        .strip_prefix(['-', '_'])?
                        .rsplit_once(['-', '_'])?;
                    keys.services.contains(service).then(|| service.to_owned())
                });
                service.map(|service| ("services", service))
            }
            Kind::Shim => {
                let network = self.network_of_shim(&id.name)?;
                Some(("networks", network))
            }
            Kind::Link | Kind::Promiscuity | Kind::Route => None,
        }
    }
}

/// The keys of the file by what they are called in the engine. A plan of thousands of steps asks for each.
#[derive(Debug, Default)]
struct Keys {
    networks: HashMap<String, String>,
    volumes: HashMap<String, String>,
    /// The first service of each image.
    images: HashMap<String, String>,
    /// Services whose container has a name of its own.
    containers: HashMap<String, String>,
    services: HashSet<String>,
}

impl Keys {
    fn of(stack: &Stack) -> Keys {
        let mut keys = Keys::default();
        for network in stack.networks.values() {
            keys.networks
                .entry(network.name.clone())
                .or_insert_with(|| network.key.to_string());
        }
        for volume in stack.volumes.values() {
            keys.volumes
                .entry(volume.name.clone())
                .or_insert_with(|| volume.key.to_string());
        }
        for service in stack.services.values() {
            let name = service.name.to_string();
            if let Some(container) = &service.container_name {
                keys.containers.insert(container.clone(), name.clone());
            }
            keys.images
                .entry(service.image.clone())
                .or_insert_with(|| name.clone());
            keys.services.insert(name);
        }
        keys
    }
}
