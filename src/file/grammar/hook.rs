//! Commands run beside a container's own.

use crate::file::grammar::{Extensions, Kind, Shape, key};

/// A command run in a container.
pub static HOOK: Shape = Shape {
    name: "hook",
    title: "Hook",
    extensions: Extensions::Allowed,
    keys: &[
        key("command", Kind::Command, "Command", "What is run.")
            .required()
            .null_in_json(),
        key(
            "user",
            Kind::Text,
            "User",
            "The user it runs as; the container's where it is absent.",
        ),
        key(
            "privileged",
            Kind::Boolean,
            "Privileged",
            "It has extended privileges.",
        )
        .default("false"),
        key(
            "working_dir",
            Kind::Text,
            "Working directory",
            "Where it starts.",
        ),
        key(
            "environment",
            Kind::Environment,
            "Environment",
            "Further variables.",
        ),
    ],
};

/// A container that runs to its end before another starts.
pub static PRE_START_HOOK: Shape = Shape {
    name: "pre_start_hook",
    title: "Hook before the start",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "command",
            Kind::Command,
            "Command",
            "What is run; the image's own command where it is absent.",
        )
        .null_in_json(),
        key(
            "image",
            Kind::Text,
            "Image",
            "The image; the service's where it is absent.",
        ),
        key("user", Kind::Text, "User", "The user it runs as."),
        key(
            "privileged",
            Kind::Boolean,
            "Privileged",
            "It has extended privileges.",
        )
        .default("false"),
        key(
            "working_dir",
            Kind::Text,
            "Working directory",
            "Where it starts.",
        ),
        key(
            "environment",
            Kind::Environment,
            "Environment",
            "Further variables.",
        ),
        key(
            "per_replica",
            Kind::Boolean,
            "Per replica",
            "It runs once for each container instead of once for the service.",
        )
        .default("false"),
    ],
};
