//! Volumes, secrets, configs and models: entries of their top-level keys.

use crate::file::grammar::{COUNT, Extensions, Kind, Shape, Unique, key};

/// A named volume.
pub static VOLUME: Shape = Shape {
    name: "volume",
    title: "Volume",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "name",
            Kind::Text,
            "Name",
            "The engine's name for the volume; `PROJECT_KEY` where it is absent.",
        ),
        key("driver", Kind::Text, "Driver", "Who stores it.").default("local"),
        key(
            "driver_opts",
            Kind::Options,
            "Driver options",
            "Options for the driver, as the engine takes them.",
        )
        .examples(&["{type: nfs, o: \"addr=10.0.0.5\", device: \":/export\"}"]),
        key(
            "external",
            Kind::External,
            "External",
            "Someone else makes and removes it; it must be there.",
        )
        .default("false"),
        key(
            "labels",
            Kind::Labels,
            "Labels",
            "Labels of the volume object.",
        ),
    ],
};

/// A secret.
pub static SECRET: Shape = Shape {
    name: "secret",
    title: "Secret",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "name",
            Kind::Text,
            "Name",
            "Its name; `PROJECT_KEY` where it is absent.",
        ),
        key("file", Kind::Text, "File", "The file with its content.").examples(&["./password.txt"]),
        key(
            "environment",
            Kind::Text,
            "Environment variable",
            "The variable with its content.",
        )
        .examples(&["DB_PASSWORD"]),
        key(
            "external",
            Kind::External,
            "External",
            "Someone else makes it.",
        )
        .default("false"),
        key(
            "labels",
            Kind::Labels,
            "Labels",
            "Labels of the secret object.",
        ),
        key("driver", Kind::Text, "Driver", "Who stores it (Swarm)."),
        key(
            "driver_opts",
            Kind::Options,
            "Driver options",
            "Options for the driver.",
        ),
        key(
            "template_driver",
            Kind::Text,
            "Template driver",
            "Who fills in templates in its content (Swarm).",
        ),
    ],
};

/// A config.
pub static CONFIG: Shape = Shape {
    name: "config",
    title: "Config",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "name",
            Kind::Text,
            "Name",
            "Its name; `PROJECT_KEY` where it is absent.",
        ),
        key("file", Kind::Text, "File", "The file with its content.").examples(&["./httpd.conf"]),
        key(
            "environment",
            Kind::Text,
            "Environment variable",
            "The variable with its content.",
        ),
        key("content", Kind::Text, "Content", "Its content, in place.")
            .examples(&["\"debug=true\\n\""]),
        key(
            "external",
            Kind::External,
            "External",
            "Someone else makes it.",
        )
        .default("false"),
        key(
            "labels",
            Kind::Labels,
            "Labels",
            "Labels of the config object.",
        ),
        key(
            "template_driver",
            Kind::Text,
            "Template driver",
            "Who fills in templates in its content (Swarm).",
        ),
    ],
};

/// A language model.
pub static MODEL: Shape = Shape {
    name: "model",
    title: "Model",
    extensions: Extensions::Allowed,
    keys: &[
        key("name", Kind::Text, "Name", "Its name."),
        key(
            "model",
            Kind::Text,
            "Model",
            "The model to run, as an OCI reference.",
        )
        .examples(&["ai/smollm2"])
        .required(),
        key(
            "context_size",
            COUNT,
            "Context size",
            "The largest context, in tokens.",
        ),
        key(
            "runtime_flags",
            Kind::List(&Kind::Text, Unique::No),
            "Runtime flags",
            "Flags for the inference engine.",
        ),
    ],
};
