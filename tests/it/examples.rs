//! Every file under `examples/`: read, planned, and for every step of its plans: fail there, crash there, interrupt
//! there, run it twice; the world is as before or as wanted.

use std::path::{Path, PathBuf};

use stack::diagnostic::render::{Colour, text};
use stack::file::files::Disk;
use stack::file::request::Request;
use stack::model::network::Parent;
use stack::model::service::Connection;
use stack::model::stack::Stack;
use stack::plan::desired::{Wishes, desired};
use stack::plan::diff::container::Recreate;
use stack::plan::diff::down::{DownOptions, down};
use stack::plan::diff::up::{UpOptions, up};
use stack::plan::observed::{ContainerState, FoundContainer, FoundNetwork, Observed};
use stack::plan::spec::NetworkSpec;
use stack::plan::step::Plan;
use stack::world::memory::Memory;

use crate::every_step::bare_machine;
use crate::torture::{Case, Counts, in_peace};

fn examples() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let folders = std::fs::read_dir(root).unwrap();
    let files = folders.map(|folder| folder.unwrap().path().join("stack.yaml"));
    let mut files: Vec<PathBuf> = files.filter(|file| file.exists()).collect();
    files.sort();
    files
}

fn read(file: &Path) -> Stack {
    let directory = file.parent().unwrap();
    let reading = stack::file::read(&Request::new(directory).file(file), &Disk);
    let told = text(&reading.diagnostics, &reading.sources, Colour::Never);
    reading
        .stack
        .unwrap_or_else(|| panic!("{} is not read:\n{told}", file.display()))
}

/// A machine that has what the file takes for granted: parent links, external networks, containers of others, plugins.
fn machine_for(stack: &Stack) -> Observed {
    let lans: Vec<&str> = stack.lans.values().map(|lan| lan.parent.as_str()).collect();
    let mut parents: Vec<&str> = stack
        .networks
        .values()
        .filter_map(|network| network.parent.as_ref())
        .map(|parent| match parent {
            Parent::Link(link) => link.as_str(),
            Parent::Vlan { base, .. } => base.as_str(),
        })
        .filter(|parent| !lans.contains(parent))
        .collect();
    parents.sort_unstable();
    parents.dedup();
    let mut machine = bare_machine(&parents);
    for network in stack.networks.values() {
        let driver = network.driver.engine_name().to_owned();
        if !machine.engine.network_drivers.contains(&driver) {
            machine.engine.network_drivers.push(driver.clone());
        }
        if network.external {
            machine.networks.push(FoundNetwork {
                engine_id: format!("id-{}", network.name),
                spec: NetworkSpec {
                    name: network.name.clone(),
                    key: network.key.clone(),
                    driver,
                    options: Default::default(),
                    ipam_driver: None,
                    ipam_options: Default::default(),
                    pools: Vec::new(),
                    internal: false,
                    attachable: false,
                    enable_ipv4: None,
                    enable_ipv6: false,
                    labels: Default::default(),
                },
                scope: "local".into(),
                project: None,
                key: None,
                hash: None,
                compose_hash: None,
            });
        }
    }
    for service in stack.services.values() {
        if let Connection::Container(name) = &service.connection {
            machine.containers.push(FoundContainer {
                engine_id: format!("id-{name}"),
                name: name.clone(),
                project: None,
                service: None,
                number: 1,
                one_off: false,
                state: ContainerState::Running,
                image: "lab".into(),
                image_id: "sha256:1".into(),
                labels: Default::default(),
                network_mode: "none".into(),
                endpoints: Vec::new(),
                ports: Vec::new(),
                dead_namespace_of: None,
                cut_off: Vec::new(),
                volumes: Vec::new(),
            });
        }
    }
    machine
}

fn planned(stack: &Stack, observed: &Observed, options: &UpOptions) -> Plan {
    let desired = desired(stack, &Wishes::default(), observed);
    up(stack, &desired, observed, options).unwrap()
}

async fn tortured(file: &Path) -> Counts {
    let stack = read(file);
    let name = file
        .parent()
        .unwrap()
        .file_name()
        .unwrap()
        .to_string_lossy();
    let machine = machine_for(&stack);
    let options = UpOptions::default();
    let again = |observed: &Observed| planned(&stack, observed, &options);
    let first = Case {
        name: format!("{name}, up"),
        before: &machine,
        plan: planned(&stack, &machine, &options),
        again: &again,
    };
    let mut counts = first.up().await;
    let stands = in_peace(&machine, &first.plan, &first.name)
        .await
        .everything();

    let forced = UpOptions {
        recreate: Recreate::Forced(None),
        ..UpOptions::default()
    };
    let second = Case {
        name: format!("{name}, up --force-recreate"),
        before: &stands,
        plan: planned(&stack, &stands, &forced),
        again: &again,
    };
    counts += second.up().await;
    let stands = in_peace(&stands, &second.plan, &second.name)
        .await
        .everything();

    let all = DownOptions {
        volumes: true,
        ..DownOptions::default()
    };
    let last = Case {
        name: format!("{name}, down"),
        before: &stands,
        plan: down(&stack.project, &stands, &all).unwrap(),
        again: &|observed| down(&stack.project, observed, &all).unwrap(),
    };
    counts += last.down().await;
    let end = in_peace(&stands, &last.plan, &last.name).await;
    let bare = Memory::of(&machine).snapshot().without_images();
    let left = end.snapshot().without_images();
    assert!(left == bare, "{name}: left\n{left}and should be\n{bare}");
    counts
}

#[tokio::test]
async fn every_example_is_as_before_or_as_wanted_whatever_happens() {
    let mut counts = Counts::default();
    let mut bad = Vec::new();
    let files = examples();
    assert!(!files.is_empty(), "there is no example");
    for file in &files {
        let name = file.display().to_string();
        let file = file.clone();
        match tokio::spawn(async move { tortured(&file).await }).await {
            Ok(more) => counts += more,
            Err(_) => bad.push(name),
        }
    }
    println!("{} examples: {counts:?}", files.len());
    assert!(bad.is_empty(), "these fail, each as told above: {bad:#?}");
}
