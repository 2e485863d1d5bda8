//! Services: an entry under `services:`. In the order of `docker compose config`.

use crate::file::grammar::build::BUILD;
use crate::file::grammar::deploy::{DEPLOY, DEVELOP, DEVICE_REQUEST};
use crate::file::grammar::hook::{HOOK, PRE_START_HOOK};
use crate::file::grammar::network::ATTACHMENT;
use crate::file::grammar::storage::{DEVICE, ENV_FILE, FILE_REFERENCE, MOUNT};
use crate::file::grammar::{ANY, COUNT, Extensions, Kind, Shape, ShortForm, Unique, key};

/// A service.
pub static SERVICE: Shape = Shape {
    name: "service",
    title: "Service",
    extensions: Extensions::Allowed,
    keys: &[
        key("profiles", Kind::List(&Kind::Text, Unique::Key), "Profiles", "The service is off unless one of these is active.").examples(&["[debug]"]),
        key("annotations", Kind::Labels, "Annotations", "Annotations for the container runtime.").since("1.43"),
        key("attach", Kind::Boolean, "Attach", "Whether `up` shows its logs.").default("true").kept(),
        key("build", Kind::Short(ShortForm::Under("context"), &BUILD), "Build", "How its image is built: the context's path, or in full.").examples(&["./web"]).kept(),
        key("develop", Kind::OneOf(&[Kind::Null, Kind::Object(&DEVELOP)]), "Development", "What `watch` does.").kept(),
        key("blkio_config", Kind::Object(&BLKIO), "Block I/O", "Weights and limits of block devices.").kept(),
        key("cap_add", Kind::List(&Kind::Text, Unique::Key), "Capabilities added", "Linux capabilities beyond the engine's defaults.").examples(&["[NET_ADMIN]"]),
        key("cap_drop", Kind::List(&Kind::Text, Unique::Key), "Capabilities dropped", "Linux capabilities taken away.").examples(&["[ALL]"]),
        key("cgroup_parent", Kind::Text, "Parent cgroup", "The cgroup its containers' cgroups are made in."),
        key("cgroup", Kind::Choice(&["host", "private"]), "Cgroup namespace", "Whether it has a cgroup namespace of its own."),
        key("cpu_count", Kind::Integer(0, i64::MAX), "Processor count", "Usable processors (Windows)."),
        key("cpu_percent", Kind::Integer(0, 100), "Processor percentage", "Usable share of the processors (Windows)."),
        key("cpu_period", ANY, "CFS period", "Length of a scheduling period, in microseconds."),
        key("cpu_quota", ANY, "CFS quota", "Processor time in a scheduling period, in microseconds."),
        key("cpu_rt_period", ANY, "Real-time period", "Length of a real-time period, in microseconds."),
        key("cpu_rt_runtime", ANY, "Real-time runtime", "Processor time in a real-time period, in microseconds."),
        key("cpus", Kind::Number, "Processors", "How many processors, with fractions.").examples(&["0.5"]),
        key("cpuset", Kind::Text, "Processor set", "Which processors.").examples(&["\"0-3\""]),
        key("cpu_shares", ANY, "Processor shares", "Weight against other containers.").default("1024"),
        key("command", Kind::Command, "Command", "What is run instead of the image's command: a string that is split as a shell would, or a list. Empty clears it.").examples(&["[nginx, -g, daemon off;]"]).null_in_json(),
        key("configs", Kind::List(&Kind::Short(ShortForm::Under("source"), &FILE_REFERENCE), Unique::Mount("")), "Configs", "Configs that it is given as files.").examples(&["[httpd]"]),
        key("container_name", Kind::Text, "Container name", "A fixed name, which allows only one container.").examples(&["web"]),
        key("credential_spec", Kind::Object(&CREDENTIAL), "Credential spec", "Managed service account (Windows).").kept(),
        key("depends_on", Kind::NamedList(&Kind::Object(&DEPENDENCY)), "Dependencies", "Services that must be in some state before this one starts.").examples(&["[db]", "{db: {condition: service_healthy}}"]),
        key("deploy", Kind::OneOf(&[Kind::Null, Kind::Object(&DEPLOY)]), "Deployment", "Replicas, resources and what a swarm needs to know.").kept(),
        key("device_cgroup_rules", Kind::List(&Kind::Text, Unique::Once), "Device rules", "Rules for the devices cgroup.").examples(&["[\"c 1:3 mr\"]"]),
        key("devices", Kind::List(&Kind::Short(ShortForm::Device, &DEVICE), Unique::Target), "Devices", "Devices of the host.").examples(&["[\"/dev/ttyUSB0:/dev/ttyUSB0:rwm\"]"]),
        key("dns", Kind::TextList(Unique::Key), "DNS servers", "Resolvers of the container.").examples(&["[9.9.9.9]"]),
        key("dns_opt", Kind::List(&Kind::Text, Unique::Key), "DNS options", "Options for its resolv.conf.").examples(&["[use-vc]"]),
        key("dns_search", Kind::TextList(Unique::Key), "DNS search", "Search domains.").examples(&["example.org"]),
        key("domainname", Kind::Text, "Domain name", "The container's NIS domain name."),
        key("entrypoint", Kind::Command, "Entrypoint", "What is run instead of the image's entrypoint. Empty clears it.").null_in_json(),
        key("provider", Kind::Object(&PROVIDER), "Provider", "A program that provides the service in place of a container.").kept(),
        key("environment", Kind::Environment, "Environment", "Variables of the container. A key without a value takes it from the environment and is removed where it is not set there.").examples(&["{DB_HOST: db}", "[DB_HOST=db]"]),
        key("env_file", Kind::OneOf(&[Kind::Text, Kind::List(&Kind::Short(ShortForm::Under("path"), &ENV_FILE), Unique::Path)]), "Environment files", "Files with variables; `environment` beats them, later files beat earlier ones.").examples(&["web.env"]),
        key("expose", Kind::List(&Kind::TextOrNumber, Unique::Text), "Exposed ports", "Ports that the container listens on, told and not published.").examples(&["[\"3000\"]"]),
        key("extends", Kind::Short(ShortForm::Under("service"), &EXTENDS), "Extends", "Another service whose definition is taken as the base of this one.").examples(&["{file: common.yaml, service: base}"]),
        key("external_links", Kind::List(&Kind::Text, Unique::Once), "External links", "Containers outside the stack, as NAME or NAME:ALIAS."),
        key("extra_hosts", Kind::Hosts, "Extra hosts", "Names for the container's /etc/hosts; `host-gateway` is the host.").examples(&["{host.docker.internal: host-gateway}"]),
        key("group_add", Kind::List(&Kind::TextOrNumber, Unique::Once), "Groups", "Further groups of the container's user."),
        key("gpus", Kind::OneOf(&[Kind::Choice(&["all"]), Kind::List(&Kind::Object(&DEVICE_REQUEST), Unique::No)]), "GPUs", "Graphics processors.").examples(&["all"]),
        key("hostname", Kind::Text, "Host name", "The container's own host name.").examples(&["web"]),
        key("healthcheck", Kind::Object(&HEALTHCHECK), "Health check", "How to find out whether the container is healthy.").examples(&["{test: [CMD, curl, -f, http://localhost], interval: 10s}"]).kept(),
        key("image", Kind::Text, "Image", "The image that its containers run.").examples(&["nginx:1.27"]),
        key("init", Kind::Boolean, "Init", "An init process forwards signals and reaps children.").default("false").kept(),
        key("ipc", Kind::Text, "IPC namespace", "`host`, `shareable`, `private`, `none`, `service:NAME` or `container:NAME`."),
        key("isolation", Kind::Text, "Isolation", "The isolation technology (Windows)."),
        key("labels", Kind::Labels, "Labels", "Labels of the containers.").examples(&["{com.example.team: web}"]),
        key("label_file", Kind::TextList(Unique::No), "Label files", "Files with labels; `labels` beats them."),
        key("links", Kind::List(&Kind::Text, Unique::Key), "Links", "Other services as NAME or NAME:ALIAS: names that only this service sees.").examples(&["[\"db:database\"]"]),
        key("logging", Kind::Object(&LOGGING), "Logging", "Where the output goes.").kept(),
        key("mem_limit", Kind::Bytes, "Memory limit", "How much memory a container may use.").examples(&["512m"]),
        key("mem_reservation", Kind::Bytes, "Memory reservation", "How much memory is kept free for it."),
        key("memswap_limit", Kind::Bytes, "Memory and swap", "Memory and swap together; -1 is no limit."),
        key("mem_swappiness", Kind::Bytes, "Swappiness", "How readily its memory is swapped, 0 to 100."),
        key("mac_address", Kind::Text, "MAC address", "The link-layer address in its first network.").examples(&["02:42:ac:11:00:02"]),
        key("models", Kind::NamedList(&Kind::OneOf(&[Kind::Null, Kind::Object(&MODEL_USE)])), "Models", "Language models that it uses."),
        key("network_mode", Kind::Text, "Network mode", "Instead of networks: `bridge`, `host`, `none`, `service:NAME`, `container:NAME` or the name of an engine network.").examples(&["host", "service:vpn"]),
        key("networks", Kind::NamedList(&Kind::OneOf(&[Kind::Null, Kind::Object(&ATTACHMENT)])), "Networks", "The networks it attaches to, with the settings of each endpoint; `default` where neither this nor `network_mode` is given.")
            .examples(&["[front, back]", "{lan: {ipv4_address: 192.168.1.230}}"]),
        key("oom_kill_disable", Kind::Boolean, "No OOM kill", "The kernel does not kill it where memory runs out.").default("false"),
        key("oom_score_adj", Kind::Integer(-1000, 1000), "OOM score", "How readily the kernel kills it where memory runs out.").default("0"),
        key("pid", Kind::OneOf(&[Kind::Null, Kind::Text]), "PID namespace", "`host`, `service:NAME` or `container:NAME`."),
        key("pids_limit", ANY, "Process limit", "How many processes and threads; -1 is no limit."),
        key("platform", Kind::Text, "Platform", "The platform of its image.").examples(&["linux/arm64"]),
        key("ports", Kind::List(&Kind::Short(ShortForm::Port, &PORT), Unique::Port), "Published ports", "Ports of the host that lead to the container.").examples(&["[\"8080:80\", \"127.0.0.1:5432:5432/tcp\"]"]),
        key("privileged", Kind::Boolean, "Privileged", "All capabilities and devices.").default("false"),
        key("pull_policy", Kind::Text, "Pull policy", "`always`, `never`, `missing`, `build`, `daily`, `weekly` or `every_DURATION`.").default("missing").examples(&["always", "every_12h"]),
        key("pull_refresh_after", Kind::Text, "Pull again after", "How old the last pull may be where `pull_policy` is `refresh`."),
        key("read_only", Kind::Boolean, "Read only", "The root file system is read only.").default("false"),
        key("restart", Kind::Text, "Restart policy", "`no`, `always`, `on-failure[:TIMES]` or `unless-stopped`.").default("\"no\"").examples(&["unless-stopped"]),
        key("runtime", Kind::Text, "Runtime", "The container runtime.").examples(&["runc"]),
        key("scale", Kind::Integer(0, i64::MAX), "Scale", "How many containers.").default("1").kept(),
        key("secrets", Kind::List(&Kind::Short(ShortForm::Under("source"), &FILE_REFERENCE), Unique::Mount("/run/secrets")), "Secrets", "Secrets that it is given as files.").examples(&["[db-password]"]),
        key("security_opt", Kind::List(&Kind::Text, Unique::Once), "Security options", "Options for the security modules.").examples(&["[\"no-new-privileges:true\"]"]),
        key("shm_size", Kind::Bytes, "Shared memory", "The size of /dev/shm.").examples(&["64m"]),
        key("stdin_open", Kind::Boolean, "Standard input", "Keeps the standard input open.").default("false"),
        key("stop_grace_period", Kind::Duration, "Grace period", "How long a container may take to stop before it is killed.").default("10s").examples(&["1m30s"]).kept(),
        key("stop_signal", Kind::Text, "Stop signal", "The signal that asks it to stop.").default("SIGTERM"),
        key("storage_opt", Kind::Options, "Storage options", "Options for the storage driver."),
        key("sysctls", Kind::Labels, "Kernel parameters", "Kernel parameters of its namespaces.").examples(&["{net.ipv4.ip_forward: 1}"]),
        key("tmpfs", Kind::TextList(Unique::Key), "tmpfs", "Paths with a file system in memory, as PATH or PATH:OPTIONS.").examples(&["/run:size=64m"]),
        key("tty", Kind::Boolean, "Terminal", "Gives it a terminal.").default("false"),
        key("ulimits", Kind::Mapping(&Kind::Ulimit), "Process limits", "Limits of its processes (setrlimit).").examples(&["{nofile: {soft: 1024, hard: 4096}}"]),
        key("use_api_socket", Kind::Boolean, "Engine socket", "Gives the container the engine's API and the user's credentials.").default("false"),
        key("user", Kind::Text, "User", "The user its process runs as.").examples(&["\"1000:1000\""]),
        key("userns_mode", Kind::Text, "User namespace", "The user namespace.").examples(&["host"]),
        key("uts", Kind::Text, "UTS namespace", "`host` shares the host's name."),
        key("volumes", Kind::List(&Kind::Short(ShortForm::Mount, &MOUNT), Unique::Target), "Volumes", "What is mounted: `[SOURCE:]TARGET[:OPTIONS]`, or in full.").examples(&["[\"./html:/usr/share/nginx/html:ro\", \"data:/var/lib/data\"]"]),
        key("volumes_from", Kind::List(&Kind::Text, Unique::Once), "Volumes from", "Services or containers whose volumes are mounted here too, as NAME[:ro] or container:NAME[:ro]."),
        key("working_dir", Kind::Text, "Working directory", "Where its process starts."),
        key("pre_start", Kind::List(&Kind::Object(&PRE_START_HOOK), Unique::No), "Before the start", "Containers that run to their end before this one starts."),
        key("post_start", Kind::List(&Kind::Object(&HOOK), Unique::No), "After the start", "Commands run in the container once it has started."),
        key("pre_stop", Kind::List(&Kind::Object(&HOOK), Unique::No), "Before the stop", "Commands run in the container before it is stopped."),
    ],
};

/// `ports:`, long form.
pub static PORT: Shape = Shape {
    name: "port",
    title: "Published port",
    extensions: Extensions::Allowed,
    keys: &[
        key("name", Kind::Text, "Name", "A name for people."),
        key("mode", Kind::Text, "Mode", "`ingress` or `host` (Swarm).").default("ingress"),
        key(
            "host_ip",
            Kind::Text,
            "Host address",
            "The host's address to bind; all where it is absent.",
        )
        .examples(&["127.0.0.1"]),
        key(
            "target",
            Kind::Integer(0, 65535),
            "Target",
            "The port inside the container.",
        )
        .examples(&["80"]),
        key(
            "published",
            Kind::TextOrNumber,
            "Published",
            "The host's port, or a range to choose from; the engine chooses where it is absent.",
        )
        .examples(&["\"8080\"", "\"8000-8010\""]),
        key(
            "protocol",
            Kind::Text,
            "Protocol",
            "`tcp`, `udp` or `sctp`.",
        )
        .default("tcp"),
        key(
            "app_protocol",
            Kind::Text,
            "Application protocol",
            "What is spoken over it, for people and proxies.",
        )
        .examples(&["http"]),
    ],
};

static DEPENDENCY: Shape = Shape {
    name: "dependency",
    title: "Dependency",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "condition",
            Kind::Choice(&[
                "service_started",
                "service_healthy",
                "service_completed_successfully",
            ]),
            "Condition",
            "The state that is waited for; a list of names waits for `service_started`.",
        )
        .examples(&["service_healthy"])
        .required(),
        key(
            "restart",
            Kind::Boolean,
            "Restart",
            "Whether this service is restarted when the tool restarts the other.",
        )
        .default("false"),
        key(
            "required",
            Kind::Boolean,
            "Required",
            "Whether the other's absence or failure is an error.",
        )
        .default("true")
        .kept(),
    ],
};

static HEALTHCHECK: Shape = Shape {
    name: "healthcheck",
    title: "Health check",
    extensions: Extensions::Allowed,
    keys: &[
        key("test", Kind::HealthTest, "Test", "The command: a string for the container's shell, or a list that starts with CMD, CMD-SHELL or NONE.").examples(&["[CMD, pg_isready]", "\"curl -f http://localhost || exit 1\""]),
        key("timeout", Kind::Duration, "Timeout", "How long one test may take.").default("30s").kept(),
        key("interval", Kind::Duration, "Interval", "The pause between two tests.").default("30s").kept(),
        key("retries", COUNT, "Retries", "How many failures in a row make it unhealthy.").default("3").kept(),
        key("start_period", Kind::Duration, "Start period", "How long failures do not count after the start.").default("0s").kept(),
        key("start_interval", Kind::Duration, "Start interval", "The pause between two tests in the start period.").since("1.44").kept(),
        key("disable", Kind::Boolean, "Disabled", "Switches the image's own test off.").default("false"),
    ],
};

static EXTENDS: Shape = Shape {
    name: "extends",
    title: "Base of a service",
    extensions: Extensions::Refused,
    keys: &[
        key(
            "file",
            Kind::Text,
            "File",
            "The file with the other service; this one where it is absent.",
        ),
        key("service", Kind::Text, "Service", "The other service.").required(),
    ],
};

static LOGGING: Shape = Shape {
    name: "logging",
    title: "Logging",
    extensions: Extensions::Allowed,
    keys: &[
        key("driver", Kind::Text, "Driver", "The logging driver.").examples(&["json-file"]),
        key(
            "options",
            Kind::Options,
            "Options",
            "Options for the driver.",
        )
        .examples(&["{max-size: 10m}"]),
    ],
};

static CREDENTIAL: Shape = Shape {
    name: "credential_spec",
    title: "Credential spec",
    extensions: Extensions::Allowed,
    keys: &[
        key("config", Kind::Text, "Config", "The config with it."),
        key("file", Kind::Text, "File", "The file with it."),
        key(
            "registry",
            Kind::Text,
            "Registry",
            "The registry key with it.",
        ),
    ],
};

static PROVIDER: Shape = Shape {
    name: "provider",
    title: "Provider",
    extensions: Extensions::Allowed,
    keys: &[
        key("type", Kind::Text, "Type", "The program.").required(),
        key(
            "options",
            Kind::MultiOptions,
            "Options",
            "Options for the program; one may be given several times.",
        ),
    ],
};

static MODEL_USE: Shape = Shape {
    name: "model_use",
    title: "Use of a model",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "endpoint_var",
            Kind::Text,
            "Endpoint variable",
            "The variable that is given the model's address.",
        ),
        key(
            "model_var",
            Kind::Text,
            "Model variable",
            "The variable that is given the model's name.",
        ),
    ],
};

static BLKIO: Shape = Shape {
    name: "blkio",
    title: "Block I/O",
    extensions: Extensions::Refused,
    keys: &[
        key(
            "weight",
            Kind::Integer(0, 1000),
            "Weight",
            "Weight against other containers, 10 to 1000.",
        ),
        key(
            "weight_device",
            Kind::List(&Kind::Object(&DEVICE_WEIGHT), Unique::No),
            "Weights",
            "Weights for single devices.",
        ),
        key(
            "device_read_bps",
            Kind::List(&Kind::Object(&DEVICE_RATE), Unique::No),
            "Read rate",
            "Bytes read in a second, by device.",
        ),
        key(
            "device_read_iops",
            Kind::List(&Kind::Object(&DEVICE_RATE), Unique::No),
            "Read operations",
            "Reads in a second, by device.",
        ),
        key(
            "device_write_bps",
            Kind::List(&Kind::Object(&DEVICE_RATE), Unique::No),
            "Write rate",
            "Bytes written in a second, by device.",
        ),
        key(
            "device_write_iops",
            Kind::List(&Kind::Object(&DEVICE_RATE), Unique::No),
            "Write operations",
            "Writes in a second, by device.",
        ),
    ],
};

static DEVICE_WEIGHT: Shape = Shape {
    name: "device_weight",
    title: "Weight of a device",
    extensions: Extensions::Refused,
    keys: &[
        key("path", Kind::Text, "Path", "The device.")
            .examples(&["/dev/sda"])
            .kept(),
        key(
            "weight",
            Kind::Integer(0, 1000),
            "Weight",
            "The weight, 10 to 1000.",
        )
        .kept(),
    ],
};

static DEVICE_RATE: Shape = Shape {
    name: "device_rate",
    title: "Rate of a device",
    extensions: Extensions::Refused,
    keys: &[
        key("path", Kind::Text, "Path", "The device.")
            .examples(&["/dev/sda"])
            .kept(),
        key("rate", Kind::Bytes, "Rate", "The largest rate in a second.")
            .examples(&["12mb"])
            .kept(),
    ],
};
