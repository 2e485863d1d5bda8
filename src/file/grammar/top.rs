//! The whole file.

use crate::file::grammar::lan::{CHECK, LAN};
use crate::file::grammar::network::NETWORK;
use crate::file::grammar::resource::{CONFIG, MODEL, SECRET, VOLUME};
use crate::file::grammar::service::SERVICE;
use crate::file::grammar::{Extensions, Kind, Shape, ShortForm, Unique, key};

/// The top level of a stack file.
pub static STACK: Shape = Shape {
    name: "stack",
    title: "Stack file",
    extensions: Extensions::Allowed,
    keys: &[
        key("version", Kind::Text, "Version", "Ignored, and told so: kept for files of old Compose versions."),
        key("name", Kind::Text, "Project name", "What all objects of this stack are grouped and named by. -p and COMPOSE_PROJECT_NAME beat it; without any, the folder's name is used.")
            .examples(&["shop"]),
        key("include", Kind::List(&Kind::Short(ShortForm::Under("path"), &INCLUDE), Unique::No), "Included files", "Other stack files whose services, networks and volumes become part of this one.")
            .examples(&["[../shared/compose.yaml]"]),
        key("services", Kind::Named(&Kind::Object(&SERVICE)), "Services", "What runs: each service is a template for one or more containers."),
        key("networks", Kind::Named(&Kind::OneOf(&[Kind::Null, Kind::Object(&NETWORK)])), "Networks", "Networks that services attach to: bridges, macvlan and ipvlan on a parent link, overlays and plugins."),
        key("volumes", Kind::Named(&Kind::OneOf(&[Kind::Null, Kind::Object(&VOLUME)])), "Volumes", "Named volumes that services mount."),
        key("secrets", Kind::Named(&Kind::Object(&SECRET)), "Secrets", "Files with confidential content that services are given."),
        key("configs", Kind::Named(&Kind::Object(&CONFIG)), "Configs", "Files with configuration that services are given."),
        key("models", Kind::Named(&Kind::Object(&MODEL)), "Models", "Language models that services use."),
        key("lans", Kind::Named(&Kind::Object(&LAN)), "Simulated LANs", "Simulated wires with a switch, a router and other machines, each in a namespace of its own: macvlan and ipvlan without a network card, for labs, tests and CI.")
            .examples(&["{office: {parent: lab0, subnet: 192.168.77.0/24, gateway: 192.168.77.1}}"])
            .ours(),
        key("checks", Kind::List(&Kind::Object(&CHECK), Unique::No), "Checks", "What must be true of the running stack's network, asked in this order by `stack check`.")
            .examples(&["[{name: the host is walled off, from: host, to: web, port: 80, expect: unreachable}]"])
            .ours(),
    ],
};

/// An entry of `include`.
pub static INCLUDE: Shape = Shape {
    name: "include",
    title: "Included file",
    extensions: Extensions::Refused,
    keys: &[
        key(
            "path",
            Kind::TextList(Unique::No),
            "Path",
            "The file, or several that are merged as with -f; relative to this file.",
        )
        .examples(&["../shared/compose.yaml"]),
        key(
            "env_file",
            Kind::TextList(Unique::No),
            "Environment files",
            "Files with variables for the included file; this file's own environment beats them.",
        )
        .default(".env"),
        key(
            "project_directory",
            Kind::Text,
            "Project directory",
            "Where the included file's relative paths start; its own folder where it is absent.",
        ),
    ],
};
