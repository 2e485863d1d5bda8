//! How an image is built: the key `build` of a service.

use crate::file::grammar::storage::FILE_REFERENCE;
use crate::file::grammar::{Extensions, Kind, Shape, ShortForm, Unique, key};

/// `build:` in full.
pub static BUILD: Shape = Shape {
    name: "build",
    title: "Build",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "context",
            Kind::Text,
            "Context",
            "The folder that is sent to the builder, or the URL of a repository.",
        )
        .default(".")
        .examples(&["./web"]),
        key(
            "dockerfile",
            Kind::Text,
            "Dockerfile",
            "The Dockerfile's path in the context.",
        )
        .default("Dockerfile"),
        key(
            "dockerfile_inline",
            Kind::Text,
            "Inline Dockerfile",
            "The Dockerfile's content, in place.",
        )
        .examples(&["\"FROM busybox\\nRUN true\\n\""]),
        key(
            "entitlements",
            Kind::List(&Kind::Text, Unique::No),
            "Entitlements",
            "Extra privileges for the builder.",
        )
        .examples(&["[network.host]"]),
        key(
            "args",
            Kind::Environment,
            "Build arguments",
            "Values for ARG; a key without a value takes it from the environment.",
        )
        .examples(&["{VERSION: \"1.2\"}"]),
        key(
            "provenance",
            Kind::OneOf(&[Kind::Boolean, Kind::Text]),
            "Provenance",
            "Adds a provenance attestation.",
        ),
        key(
            "sbom",
            Kind::OneOf(&[Kind::Boolean, Kind::Text]),
            "SBOM",
            "Adds an attestation of what is inside.",
        ),
        key(
            "ssh",
            Kind::Ssh,
            "SSH",
            "SSH agent sockets or keys for the builder.",
        )
        .examples(&["[default]"]),
        key("labels", Kind::Labels, "Labels", "Labels of the image."),
        key(
            "cache_from",
            Kind::List(&Kind::Text, Unique::No),
            "Cache sources",
            "Where the builder looks for cached layers.",
        ),
        key(
            "cache_to",
            Kind::List(&Kind::Text, Unique::No),
            "Cache destinations",
            "Where the builder puts cached layers.",
        ),
        key(
            "no_cache",
            Kind::Boolean,
            "No cache",
            "Builds everything anew.",
        )
        .default("false"),
        key(
            "no_cache_filter",
            Kind::TextList(Unique::No),
            "No cache for",
            "Stages that are built anew.",
        ),
        key(
            "additional_contexts",
            Kind::Contexts,
            "Further contexts",
            "Named contexts, by name.",
        )
        .examples(&["{shared: ../shared}"]),
        key("pull", Kind::Boolean, "Pull", "Fetches newer base images.").default("false"),
        key(
            "extra_hosts",
            Kind::Hosts,
            "Extra hosts",
            "Names for the builder's /etc/hosts.",
        ),
        key(
            "isolation",
            Kind::Text,
            "Isolation",
            "The builder's isolation technology (Windows).",
        ),
        key(
            "network",
            Kind::Text,
            "Network",
            "The network of RUN steps: `default`, `none`, `host` or a name.",
        ),
        key(
            "target",
            Kind::Text,
            "Target",
            "The stage of the Dockerfile to build.",
        ),
        key(
            "secrets",
            Kind::List(
                &Kind::Short(ShortForm::Under("source"), &FILE_REFERENCE),
                Unique::No,
            ),
            "Secrets",
            "Secrets for the builder.",
        ),
        key(
            "shm_size",
            Kind::Bytes,
            "Shared memory",
            "The size of /dev/shm.",
        ),
        key(
            "tags",
            Kind::List(&Kind::Text, Unique::Key),
            "Tags",
            "Further names of the image.",
        ),
        key(
            "ulimits",
            Kind::Mapping(&Kind::Ulimit),
            "Process limits",
            "Limits for RUN steps.",
        ),
        key(
            "platforms",
            Kind::List(&Kind::Text, Unique::No),
            "Platforms",
            "Platforms to build for.",
        )
        .examples(&["[linux/amd64]"]),
        key(
            "privileged",
            Kind::Boolean,
            "Privileged",
            "RUN steps have extended privileges.",
        )
        .default("false"),
    ],
};
