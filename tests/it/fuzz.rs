//! Never a panic, never a hang: whatever the text, the reader ends, soon, and every place that it tells can be shown.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use stack::diagnostic::machine::{json, sarif};
use stack::diagnostic::render::{Colour, text};
use stack::file::files::Memory;
use stack::file::grammar::Shape;
use stack::file::grammar::build::BUILD;
use stack::file::grammar::lan::{CHECK, LAN};
use stack::file::grammar::network::{ATTACHMENT, NETWORK, POOL, SHIM};
use stack::file::grammar::service::{PORT, SERVICE};
use stack::file::grammar::storage::MOUNT;
use stack::file::grammar::top::STACK;
use stack::file::request::Request;
use stack::model::name::LinkName;
use stack::plan::desired::{Wishes, desired};
use stack::plan::export::{Exported, Tool, files};
use stack::plan::observed::Observed;
use stack::plan::spec::Spec;

use crate::corpus;

/// How long this thread was on a processor (`/proc/thread-self/schedstat`, first field), which does not depend on how
/// busy the machine is.
fn worked() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// Reads a file and shows all that is told of it; how long that took.
fn survives(bytes: &[u8]) -> Duration {
    let mut memory = Memory::default();
    memory
        .files
        .insert("/lab/stack.yaml".into(), bytes.to_vec());
    memory
        .files
        .insert("/lab/.env".into(), b"A=1\nPORT=80\n".to_vec());
    let start = worked();
    let reading = stack::file::read(&Request::new("/lab"), &memory);
    let took = worked().saturating_sub(start);
    let shown = text(&reading.diagnostics, &reading.sources, Colour::Always);
    assert_eq!(shown.is_empty(), reading.diagnostics.is_empty());
    json(&reading.diagnostics, &reading.sources);
    sarif(&reading.diagnostics, &reading.sources, "0");
    assert_eq!(
        reading.stack.is_none(),
        reading.diagnostics.has_errors() || reading.stack.is_none()
    );
    stack::file::render::json(&reading.document);
    stack::file::render::yaml(&reading.document).unwrap();
    took
}

fn run<S: Strategy>(cases: u32, strategy: S, test: impl Fn(S::Value) -> Duration) {
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&strategy, |value| {
        test(value);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    println!("{cases} cases");
}

#[test]
fn any_bytes_are_survived() {
    run(2000, prop::collection::vec(any::<u8>(), 0..400), |bytes| {
        survives(&bytes)
    });
    let signs = "[-\\[\\]{}:,&*!|>'\"%@`#?~ \n\taé0x<$]{0,120}";
    run(3000, signs, |text| survives(text.as_bytes()));
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[0-9]{1,6}",
        "-?[0-9]{1,3}(\\.[0-9]{1,3}){0,4}(/[0-9]{1,3})?",
        "[a-z]{1,8}",
        "(true|false|yes|no|null|auto|host|none|bridge|default|all|on-failure:3|1m30s|64m|0440)",
        "[0-9]{1,5}(-[0-9]{1,5})?:[0-9]{1,5}(-[0-9]{1,5})?(/(udp|tcp|x))?",
        "(\\./|/|~|[a-z]+)?[a-z/]{0,5}:/[a-z/.]{0,6}(:(ro|z|nocopy|x))?",
        "'\\$\\{[A-Z]{1,4}(:?[-+?][a-z$ {}]{0,6})?\\}?'",
        "\"([0-9a-f]{2}:){5}[0-9a-f]{2}\"",
        "(service|container):[a-z]{0,3}",
        "[A-Z]{1,3}=[a-z$]{0,4}",
        "\"fd00::[0-9a-f]{0,4}(/[0-9]{1,3})?\"",
    ]
}

fn shapes() -> impl Strategy<Value = &'static Shape> {
    let all: [&'static Shape; 12] = [
        &STACK,
        &SERVICE,
        &NETWORK,
        &POOL,
        &SHIM,
        &ATTACHMENT,
        &LAN,
        &CHECK,
        &BUILD,
        &PORT,
        &MOUNT,
        &SERVICE,
    ];
    prop::sample::select(all.to_vec())
}

/// Keys that mean something, mostly, and names of a few services and networks.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (shapes(), any::<prop::sample::Index>()).prop_map(|(shape, index)| index.get(shape.keys).name.to_owned()),
        1 => "[a-c]",
        1 => "x-[a-z]{1,6}",
        1 => "[a-z]{1,6}",
    ]
}

fn tree() -> impl Strategy<Value = String> {
    scalar().prop_recursive(5, 60, 6, |inner| {
        let tag = prop_oneof![8 => Just(""), 1 => Just("!reset "), 1 => Just("!override ")];
        let list = prop::collection::vec(inner.clone(), 0..4)
            .prop_map(|all| format!("[{}]", all.join(", ")));
        let mapping = prop::collection::vec((key(), tag, inner), 0..6).prop_map(|all| {
            let pairs: Vec<String> = all
                .into_iter()
                .map(|(key, tag, value)| format!("{key}: {tag}{value}"))
                .collect();
            format!("{{{}}}", pairs.join(", "))
        });
        prop_oneof![1 => list, 3 => mapping]
    })
}

/// Files that are nearly right: services and networks with random values under keys that exist.
fn stack_file() -> impl Strategy<Value = String> {
    fn mapping(shape: &'static Shape) -> impl Strategy<Value = String> {
        let pair = (any::<prop::sample::Index>(), tree())
            .prop_map(move |(index, value)| format!("{}: {value}", index.get(shape.keys).name));
        prop::collection::vec(pair, 0..6).prop_map(|all| format!("{{{}}}", all.join(", ")))
    }
    let services = prop::collection::vec(mapping(&SERVICE), 1..4);
    let networks = prop::collection::vec(mapping(&NETWORK), 0..3);
    let lans = prop::collection::vec(mapping(&LAN), 0..2);
    (services, networks, lans, tree()).prop_map(|(services, networks, lans, rest)| {
        let section = |name: &str, all: Vec<String>| {
            let names = ["a", "b", "c", "d"];
            let lines: Vec<String> = names
                .iter()
                .zip(all)
                .map(|(key, value)| format!("  {key}: {value}\n"))
                .collect();
            format!("{name}:\n{}", lines.concat())
        };
        format!(
            "{}{}{}x-rest: {rest}\n",
            section("services", services),
            section("networks", networks),
            section("lans", lans)
        )
    })
}

#[test]
fn any_tree_is_survived() {
    run(700, tree(), |text| survives(text.as_bytes()));
    run(700, stack_file(), |text| survives(text.as_bytes()));
}

const SAMPLE: &str = "x-a: &a {restart: always, labels: [k=v]}
include: [{path: nope.yaml}]
services:
  web:
    <<: *a
    image: \"nginx:${TAG:-1}\"
    ports: [\"${PORT}:80\", {target: 443, published: 8443}]
    volumes: [./x:/x:ro, data:/d, {type: tmpfs, target: /t, tmpfs: {size: 5m}}]
    networks: {lan: {ipv4_address: 10.1.0.9, mac_address: \"02:00:00:00:00:01\", aliases: [w]}}
    depends_on: {db: {condition: service_healthy}}
  db:
    extends: web
    command: !override [a, b]
    links: [\"web:w\"]
networks:
  lan: {driver: macvlan, parent: eth0.20, shim: true, ipam: {config: [{subnet: 10.1.0.0/16, ip_range: 10.1.4.0/24}]}}
volumes: {data: {}}
";

#[test]
fn mutated_files_are_survived() {
    let mut files: Vec<Vec<u8>> = vec![SAMPLE.as_bytes().to_vec()];
    match corpus::folder() {
        Some(folder) => files.extend(
            corpus::files(&folder)
                .iter()
                .map(|name| std::fs::read(folder.join(name)).unwrap()),
        ),
        None => println!("skipped: no corpus, only the sample is mutated"),
    }
    let cut = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        0..4u8,
        any::<u8>(),
        0..40usize,
    );
    let strategy = (
        any::<prop::sample::Index>(),
        prop::collection::vec(cut, 1..4),
    );
    run(1500, strategy, |(file, cuts)| {
        let mut bytes = file.get(&files).clone();
        for (at, from, kind, byte, length) in cuts {
            if bytes.is_empty() {
                break;
            }
            let (at, from) = (at.index(bytes.len()), from.index(bytes.len()));
            let end = (from + length).min(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.drain(from..end)),
                _ => {
                    let copy = bytes[from..end].to_vec();
                    bytes.splice(at..at, copy);
                }
            }
        }
        survives(&bytes)
    });
}

/// What a text may take: a second with optimisation, more without.
fn limit() -> Duration {
    if cfg!(debug_assertions) {
        Duration::from_secs(20)
    } else {
        Duration::from_secs(1)
    }
}

#[test]
fn hostile_files_end_soon() {
    let mut laughs = String::from("x-0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for level in 1..40 {
        laughs += &format!(
            "x-{level}: &a{level} [{}]\n",
            vec![format!("*a{}", level - 1); 9].join(",")
        );
    }
    let mut merges = String::from("x-0: &m0 {a: 1}\n");
    for level in 1..40 {
        merges += &format!(
            "x-{level}: &m{level} {{<<: [*m{0}, *m{0}], k{level}: *m{0}}}\n",
            level - 1
        );
    }
    let keys: String = (0..100_000)
        .map(|index| format!("key{index}: {index}\n"))
        .collect();
    let extending: String = (1..5_000)
        .map(|index| format!("  s{index}: {{extends: s{}}}\n", index - 1))
        .collect();
    let waiting: String = (1..5_000)
        .map(|index| format!("  s{index}: {{image: x, depends_on: [s{}]}}\n", index - 1))
        .collect();
    let variables = format!("name: \"{}\"\n", "${A:-".repeat(200_000));
    let ports = format!(
        "services:\n  a:\n    image: x\n    ports:\n{}",
        "      - 1-65535:1-65535\n".repeat(200)
    );
    for (what, text) in [
        ("billion laughs", laughs),
        ("merges", merges),
        ("10 MB of brackets", "[".repeat(10_000_000)),
        ("10 MB of braces", "{a: ".repeat(2_500_000)),
        ("10 MB of dashes", "- ".repeat(5_000_000)),
        ("10 MB of questions", "? ".repeat(5_000_000)),
        ("100,000 unknown keys", keys.clone()),
        (
            "100,000 keys of a mapping",
            format!(
                "services:\n  a:\n    image: x\n    labels:\n{}",
                keys.replace("key", "      key")
            ),
        ),
        (
            "a chain of extends",
            format!("services:\n{extending}  s0: {{image: x}}\n"),
        ),
        (
            "a chain of services that wait",
            format!("services:\n{waiting}  s0: {{image: x}}\n"),
        ),
        ("nested variables", variables),
        ("port ranges", ports),
    ] {
        let took = survives(text.as_bytes());
        println!("{what}: {took:?}");
        assert!(took < limit(), "{what} took {took:?}");
    }
}

/// A stack with a strange name in one of ten places.
fn named(place: usize, name: &str) -> String {
    let at = |own: usize, usual: &str| {
        let name = if own == place { name } else { usual };
        serde_json::to_string(name).unwrap()
    };
    format!(
        "name: {project}
lans: {{{lan}: {{parent: {link}, subnet: 10.9.0.0/24, hosts: {{{host}: 10.9.0.9}}}}}}
networks:
  {network}: {{driver: macvlan, parent: {parent}, name: {own}, shim: {{name: {shim}}}, ipam: {{config: [{{subnet: 10.9.0.0/24}}]}}}}
services:
  {service}: {{image: x, container_name: {container}, networks: [{network}]}}
",
        project = at(0, "lab"),
        lan = at(1, "office"),
        link = at(2, "lab0"),
        host = at(3, "laptop"),
        network = at(4, "lan"),
        parent = at(5, "office"),
        own = at(6, "lab_lan"),
        shim = at(7, "shim0"),
        service = at(8, "web"),
        container = at(9, "web-1"),
    )
}

/// What a name may become: one component of a path that is not hidden, a link's name that the kernel takes and whose
/// settings are its own, a mark without blanks.
fn harmless(spec: &Spec) {
    let component = |name: &str| {
        assert!(
            !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']),
            "`{name}` is no file's name"
        );
    };
    let link = |name: &LinkName| {
        let name = name.as_str();
        assert!(
            !name.is_empty()
                && name.len() <= 15
                && !name.contains(['/', ':', '\0'])
                && !name.contains(|c: char| c.is_ascii_whitespace())
                && !matches!(name, "." | ".." | "all" | "default"),
            "`{name}` is no link's name"
        );
    };
    let word = |name: &str| assert!(!name.contains([' ', '\n', '\t']), "`{name}` breaks a mark");
    // These carry their name in a mark of words.
    if matches!(spec, Spec::Lan(_) | Spec::Link(_) | Spec::Shim(_)) {
        word(&spec.id().name);
    }
    match spec {
        Spec::Lan(lan) => {
            link(&lan.lan.parent);
            component(&lan.namespace_prefix);
            for host in lan.lan.hosts.keys() {
                component(&format!("{}-{host}", lan.namespace_prefix));
                word(host.as_str());
            }
        }
        Spec::Link(vlan) => {
            link(&vlan.name);
            link(&vlan.base);
        }
        Spec::Promiscuity(flag) => link(&flag.link),
        Spec::Shim(shim) => {
            link(&shim.name);
            link(&shim.parent);
            for tool in [Tool::Networkd, Tool::NetworkManager, Tool::Ifupdown] {
                let exported = Exported {
                    spec: shim.clone(),
                    settings: Vec::new(),
                };
                // Refused, or without a sign that a shell or these files would take for more than a name.
                for file in files(&exported, tool).unwrap_or_default() {
                    assert!(file.path.split('/').all(|part| !part.starts_with('.')));
                    let strange = [';', '|', '&', '$', '`', '(', '<', '>', '\\', '\'', '"'];
                    let lines = file.text.lines().filter(|line| !line.starts_with('#'));
                    for line in lines {
                        assert!(!line.contains(strange), "{line}");
                    }
                }
            }
        }
        Spec::Route(route) => link(&route.shim),
        Spec::Network(_) | Spec::Volume(_) | Spec::Image(_) | Spec::Container(_) => {}
        Spec::Existing(_) | Spec::Endpoint(_) | Spec::Door(_) => {}
    }
}

#[test]
fn no_name_becomes_a_path_a_command_or_a_setting_of_all_links() {
    let nasty = prop_oneof![
        "[-./:$`;|&<>(){}'\"\\\\ a-zA-Z0-9é\n\t]{0,20}",
        "[a-z0-9._-]{1,16}",
        Just("../../etc/passwd".to_owned()),
        Just("$(id)".to_owned()),
        Just("all".to_owned()),
        Just("default".to_owned()),
        Just("..".to_owned()),
        Just("x\0y".to_owned()),
    ];
    let read_some = std::cell::Cell::new(0);
    run(1500, (0usize..10, nasty), |(place, name)| {
        let mut memory = Memory::default();
        let file = named(place, &name).into_bytes();
        memory.files.insert("/lab/stack.yaml".into(), file);
        let start = worked();
        let reading = stack::file::read(&Request::new("/lab"), &memory);
        if let Some(stack) = &reading.stack {
            read_some.set(read_some.get() + 1);
            let wanted = desired(stack, &Wishes::default(), &Observed::default());
            wanted.specs.values().for_each(|spec| harmless(spec));
        }
        worked().saturating_sub(start)
    });
    assert!(read_some.get() > 100, "only {} were read", read_some.get());
}
