//! What is mounted into a container: volumes, configs, secrets and devices.

use crate::file::grammar::{Extensions, Kind, Shape, key};

/// `volumes:` of a service, long form.
pub static MOUNT: Shape = Shape {
    name: "mount",
    title: "Mount",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "type",
            Kind::Choice(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"]),
            "Type",
            "What is mounted.",
        )
        .required(),
        key(
            "source",
            Kind::Text,
            "Source",
            "The host's path, the volume's key or the image; absent for an anonymous volume.",
        )
        .examples(&["./data", "db-data"]),
        key(
            "target",
            Kind::Text,
            "Target",
            "The path inside the container.",
        )
        .examples(&["/var/lib/data"]),
        key(
            "read_only",
            Kind::Boolean,
            "Read only",
            "The container cannot write to it.",
        )
        .default("false"),
        key(
            "consistency",
            Kind::Text,
            "Consistency",
            "Kept for old files; engines ignore it.",
        ),
        key(
            "bind",
            Kind::Object(&BIND),
            "Bind options",
            "For type `bind`.",
        )
        .kept(),
        key(
            "volume",
            Kind::Object(&VOLUME_OPTIONS),
            "Volume options",
            "For type `volume`.",
        )
        .kept(),
        key(
            "tmpfs",
            Kind::Object(&TMPFS),
            "tmpfs options",
            "For type `tmpfs`.",
        )
        .kept(),
        key(
            "image",
            Kind::Object(&IMAGE),
            "Image options",
            "For type `image`.",
        )
        .since("1.48")
        .kept(),
    ],
};

static BIND: Shape = Shape {
    name: "bind",
    title: "Bind options",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "selinux",
            Kind::Choice(&["z", "Z"]),
            "SELinux",
            "Relabels the source: `z` shared, `Z` private.",
        ),
        key(
            "propagation",
            Kind::Text,
            "Propagation",
            "How mounts inside spread.",
        )
        .examples(&["rprivate", "rshared"]),
        key(
            "create_host_path",
            Kind::Boolean,
            "Create",
            "Makes the host's path where it is absent; the short form does.",
        ),
        key(
            "recursive",
            Kind::Choice(&["enabled", "disabled", "writable", "readonly"]),
            "Recursive",
            "What is done with mounts below the source.",
        )
        .since("1.44"),
    ],
};

static VOLUME_OPTIONS: Shape = Shape {
    name: "volume_options",
    title: "Volume options",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "labels",
            Kind::Labels,
            "Labels",
            "Labels of an anonymous volume.",
        ),
        key(
            "nocopy",
            Kind::Boolean,
            "No copy",
            "The image's files at the target are not copied into a new volume.",
        )
        .default("false"),
        key(
            "subpath",
            Kind::Text,
            "Subpath",
            "The folder inside the volume.",
        )
        .since("1.45"),
    ],
};

static TMPFS: Shape = Shape {
    name: "tmpfs",
    title: "tmpfs options",
    extensions: Extensions::Allowed,
    keys: &[
        key("size", Kind::Bytes, "Size", "The largest size.").examples(&["64m"]),
        key(
            "mode",
            Kind::ModeBits,
            "Mode",
            "Permission bits of its root.",
        ),
    ],
};

static IMAGE: Shape = Shape {
    name: "image_options",
    title: "Image options",
    extensions: Extensions::Allowed,
    keys: &[key(
        "subpath",
        Kind::Text,
        "Subpath",
        "The folder inside the image.",
    )],
};

/// `configs:` and `secrets:` of a service, long form.
pub static FILE_REFERENCE: Shape = Shape {
    name: "file_reference",
    title: "Config or secret of a service",
    extensions: Extensions::Allowed,
    keys: &[
        key(
            "source",
            Kind::Text,
            "Source",
            "Its key under the top-level `configs` or `secrets`.",
        ),
        key(
            "target",
            Kind::Text,
            "Target",
            "The path inside the container; `/SOURCE` for configs, `/run/secrets/SOURCE` for secrets where it is absent.",
        ),
        key("uid", Kind::Text, "User", "The numeric owner.").default("\"0\""),
        key("gid", Kind::Text, "Group", "The numeric group.").default("\"0\""),
        key("mode", Kind::FileMode, "Mode", "Permission bits, octal.")
            .examples(&["\"0440\""])
            .kept(),
    ],
};

/// `devices:` of a service, long form.
pub static DEVICE: Shape = Shape {
    name: "device",
    title: "Device",
    extensions: Extensions::Allowed,
    keys: &[
        key("source", Kind::Text, "Source", "The device on the host.")
            .examples(&["/dev/ttyUSB0"])
            .required(),
        key("target", Kind::Text, "Target", "Its path in the container."),
        key(
            "permissions",
            Kind::Text,
            "Permissions",
            "Of `r`, `w`, `m`.",
        )
        .default("rwm"),
    ],
};

/// `env_file:` of a service, long form.
pub static ENV_FILE: Shape = Shape {
    name: "env_file",
    title: "Environment file",
    extensions: Extensions::Refused,
    keys: &[
        key("path", Kind::Text, "Path", "The file.")
            .examples(&["./web.env"])
            .required(),
        key(
            "required",
            Kind::Boolean,
            "Required",
            "Whether its absence is an error.",
        )
        .default("true")
        .kept(),
        key(
            "format",
            Kind::Text,
            "Format",
            "`raw` takes every line as it stands, without interpolation and with its quotes.",
        )
        .examples(&["raw"]),
    ],
};
