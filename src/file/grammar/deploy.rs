//! `deploy`, `develop` and what they hold. Much of `deploy` only means something in a swarm; it is read, checked and
//! printed all the same.

use crate::file::grammar::hook::HOOK;
use crate::file::grammar::{ANY, COUNT, Extensions, Kind, Shape, Unique, key};

/// `deploy:`.
pub static DEPLOY: Shape = Shape {
    name: "deploy",
    title: "Deployment",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "mode",
            Kind::Text,
            "Mode",
            "`replicated`, `global`, `replicated-job` or `global-job` (Swarm).",
        ),
        key("replicas", ANY, "Replicas", "How many containers.")
            .default("1")
            .kept(),
        key(
            "labels",
            Kind::Labels,
            "Labels",
            "Labels of the service, not of its containers (Swarm).",
        ),
        key(
            "update_config",
            Kind::Object(&UPDATE),
            "Updates",
            "How updates are rolled out (Swarm).",
        )
        .kept(),
        key(
            "rollback_config",
            Kind::Object(&UPDATE),
            "Rollback",
            "How a failed update is rolled back (Swarm).",
        )
        .kept(),
        key(
            "resources",
            Kind::Object(&RESOURCES),
            "Resources",
            "Limits and reservations.",
        )
        .always(),
        key(
            "restart_policy",
            Kind::Object(&RESTART),
            "Restart policy",
            "When containers are started again; it beats `restart`.",
        )
        .kept(),
        key(
            "placement",
            Kind::Object(&PLACEMENT),
            "Placement",
            "Which nodes run it (Swarm).",
        )
        .always(),
        key(
            "endpoint_mode",
            Kind::Text,
            "Endpoint mode",
            "`vip` or `dnsrr` (Swarm).",
        ),
    ],
};

static UPDATE: Shape = Shape {
    name: "update",
    title: "Update policy",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "parallelism",
            COUNT,
            "Parallelism",
            "How many containers at a time.",
        )
        .kept(),
        key(
            "delay",
            Kind::Duration,
            "Delay",
            "The pause between two groups.",
        )
        .examples(&["10s"]),
        key(
            "failure_action",
            Kind::Text,
            "On failure",
            "`continue`, `pause` or `rollback`.",
        ),
        key(
            "monitor",
            Kind::Duration,
            "Monitor",
            "How long a new container is watched.",
        )
        .examples(&["30s"]),
        key(
            "max_failure_ratio",
            Kind::Number,
            "Failure ratio",
            "How many failures are borne, between 0 and 1.",
        )
        .examples(&["0.3"]),
        key(
            "order",
            Kind::Choice(&["start-first", "stop-first"]),
            "Order",
            "Whether the new container starts before the old one stops.",
        ),
    ],
};

static RESOURCES: Shape = Shape {
    name: "resources",
    title: "Resources",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "limits",
            Kind::Object(&LIMITS),
            "Limits",
            "What a container may use at most.",
        )
        .kept(),
        key(
            "reservations",
            Kind::Object(&RESERVATIONS),
            "Reservations",
            "What is kept free for a container.",
        )
        .kept(),
    ],
};

static LIMITS: Shape = Shape {
    name: "limits",
    title: "Limits",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "cpus",
            Kind::Number,
            "Processors",
            "How many processors, with fractions.",
        )
        .examples(&["\"0.5\""]),
        key("memory", Kind::Bytes, "Memory", "How much memory.").examples(&["512m"]),
        key("pids", ANY, "Processes", "How many processes and threads."),
    ],
};

static RESERVATIONS: Shape = Shape {
    name: "reservations",
    title: "Reservations",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "cpus",
            Kind::Number,
            "Processors",
            "How many processors, with fractions.",
        ),
        key("memory", Kind::Bytes, "Memory", "How much memory.").examples(&["128m"]),
        key(
            "devices",
            Kind::List(&Kind::Object(&DEVICE_REQUEST), Unique::No),
            "Devices",
            "Devices by capability, such as GPUs.",
        ),
        key(
            "generic_resources",
            Kind::List(&Kind::Object(&GENERIC), Unique::No),
            "Generic resources",
            "Resources that nodes advertise (Swarm).",
        ),
    ],
};

/// A request for devices by capability.
pub static DEVICE_REQUEST: Shape = Shape {
    name: "device_request",
    title: "Device request",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "capabilities",
            Kind::List(&Kind::Text, Unique::Once),
            "Capabilities",
            "What the devices can do.",
        )
        .examples(&["[gpu]"]),
        key("driver", Kind::Text, "Driver", "Who provides them.").examples(&["nvidia"]),
        key(
            "count",
            Kind::OneOf(&[Kind::Integer(-1, i64::MAX), Kind::Choice(&["all"])]),
            "Count",
            "How many; `all` where neither this nor `device_ids` is given.",
        )
        .examples(&["all", "1"]),
        key(
            "device_ids",
            Kind::List(&Kind::Text, Unique::Once),
            "Devices",
            "Which ones, by id.",
        ),
        key(
            "options",
            Kind::Labels,
            "Options",
            "Options for the driver.",
        ),
    ],
};

static GENERIC: Shape = Shape {
    name: "generic_resource",
    title: "Generic resource",
    extensions: Extensions::Allowed,
    keys: &[key(
        "discrete_resource_spec",
        Kind::Object(&DISCRETE),
        "Discrete resource",
        "A kind and how many of it.",
    )
    .kept()],
};

static DISCRETE: Shape = Shape {
    name: "discrete_resource",
    title: "Discrete resource",
    extensions: Extensions::Allowed,
    keys: &[
        key("kind", Kind::Text, "Kind", "The kind of resource.").kept(),
        key("value", ANY, "Value", "How many.").kept(),
    ],
};

static RESTART: Shape = Shape {
    name: "restart_policy",
    title: "Restart policy",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "condition",
            Kind::Text,
            "Condition",
            "`none`, `on-failure` or `any`.",
        )
        .default("any"),
        key(
            "delay",
            Kind::Duration,
            "Delay",
            "The pause before a restart.",
        )
        .kept(),
        key(
            "max_attempts",
            COUNT,
            "Attempts",
            "How many restarts at most.",
        )
        .kept(),
        key(
            "window",
            Kind::Duration,
            "Window",
            "How long a container must run to count as started.",
        )
        .kept(),
    ],
};

static PLACEMENT: Shape = Shape {
    name: "placement",
    title: "Placement",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "constraints",
            Kind::List(&Kind::Text, Unique::No),
            "Constraints",
            "Conditions on nodes.",
        ),
        key(
            "preferences",
            Kind::List(&Kind::Object(&PREFERENCE), Unique::No),
            "Preferences",
            "How containers are spread.",
        ),
        key(
            "max_replicas_per_node",
            COUNT,
            "Most on a node",
            "How many containers one node runs at most.",
        ),
    ],
};

static PREFERENCE: Shape = Shape {
    name: "placement_preference",
    title: "Placement preference",
    extensions: Extensions::Allowed,
    keys: &[key(
        "spread",
        Kind::Text,
        "Spread",
        "The node label to spread over.",
    )],
};

/// `develop:`.
pub static DEVELOP: Shape = Shape {
    name: "develop",
    title: "Development",
    extensions: Extensions::Allowed,
    keys: &[key(
        "watch",
        Kind::List(&Kind::Object(&WATCH), Unique::No),
        "Watch",
        "Folders whose changes are brought into running containers.",
    )],
};

static WATCH: Shape = Shape {
    name: "watch",
    title: "Watched folder",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "path",
            Kind::Text,
            "Path",
            "The folder or file that is watched.",
        )
        .examples(&["./src"])
        .required(),
        key(
            "action",
            Kind::Choice(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"]),
            "Action",
            "What a change does.",
        )
        .required(),
        key(
            "target",
            Kind::Text,
            "Target",
            "Where changed files go in the container.",
        )
        .examples(&["/app"]),
        key(
            "exec",
            Kind::Object(&HOOK),
            "Command",
            "What is run after files were brought in.",
        )
        .null_in_json(),
        key(
            "include",
            Kind::TextList(Unique::No),
            "Include",
            "Patterns of files that count.",
        ),
        key(
            "ignore",
            Kind::TextList(Unique::No),
            "Ignore",
            "Patterns of files that do not count.",
        ),
        key(
            "initial_sync",
            Kind::Boolean,
            "Initial sync",
            "Files are brought in once at the start.",
        )
        .default("false"),
    ],
};
