//! A bridge that is to have more ports than the kernel gives it is refused before anything is made.

use expect_test::expect;

use stack::diagnostic::render::{Colour, text};
use stack::file::files::Memory;
use stack::file::request::Request;
use stack::model::stack::Stack;
use stack::plan::check::{Finding, check};
use stack::plan::desired::{Wishes, desired};
use stack::plan::observed::{ContainerState, FoundContainer, FoundEndpoint, Observed};

fn file(scale: u32, networks: &str) -> String {
    format!(
        "name: lab\nservices:\n  one: {{image: x, scale: {scale}, networks: [wide]}}\n  two: {{image: x, networks: [wide]}}\nnetworks:\n  wide: {networks}\n"
    )
}

/// What is told about a file, and the stack where there is one.
fn read(file: &str) -> (String, Option<Stack>) {
    let memory = Memory::of([("/lab/stack.yaml", file)]);
    let reading = stack::file::read(&Request::new("/lab"), &memory);
    let told = text(&reading.diagnostics, &reading.sources, Colour::Never);
    (told, reading.stack)
}

fn findings(stack: &Stack, observed: &Observed, wishes: &Wishes) -> Vec<Finding> {
    let mut found = check(stack, &desired(stack, wishes, observed), observed);
    found.retain(|finding| finding.code == "bridge-full");
    found
}

/// A container of somebody else on a network.
fn other(number: usize, network: &str) -> FoundContainer {
    FoundContainer {
        engine_id: format!("id-{number}"),
        name: format!("other-{number}"),
        project: None,
        service: None,
        number: 0,
        one_off: false,
        state: ContainerState::Running,
        image: "x".into(),
        image_id: "sha256:1".into(),
        labels: Default::default(),
        network_mode: network.into(),
        endpoints: vec![FoundEndpoint {
            network: network.into(),
            ..FoundEndpoint::default()
        }],
        dead_namespace_of: None,
        cut_off: Vec::new(),
        volumes: Vec::new(),
        ports: Vec::new(),
    }
}

#[test]
fn the_file_alone_shows_a_bridge_that_is_too_full() {
    let (told, _) = read(&file(1023, "{}"));
    expect![[r#"
        error[bridge-full]: network `wide`: 1024 containers are to be on one bridge, and a Linux bridge has 1023 ports
         --> stack.yaml:6:3
          |
        6 |   wide: {}
          |   ^^^^
        hint: spread them over several networks

    "#]]
    .assert_eq(&told);
    assert_eq!(read(&file(1022, "{}")).0, "");
}

#[test]
fn another_driver_has_no_bridge() {
    let (told, _) = read(&file(1500, "{driver: macvlan, parent: eth0}"));
    assert!(!told.contains("bridge-full"), "{told}");
}

#[test]
fn the_plan_counts_what_is_given_and_what_others_add() {
    let stack = read(&file(10, "{}")).1.unwrap();
    let nobody = Observed::default();
    assert_eq!(findings(&stack, &nobody, &Wishes::default()), []);
    let mut many = stack.clone();
    many.services[0].scale = 1023;
    let found = findings(&many, &nobody, &Wishes::default());
    assert_eq!(
        found[0].message,
        "1024 containers are to be on the bridge of network `lab_wide`, and a Linux bridge has 1023 ports"
    );
    assert!(found[0].fatal);
    assert_eq!(found[0].place, ["networks", "wide"]);

    let others = |count: usize| Observed {
        containers: (0..count).map(|one| other(one, "lab_wide")).collect(),
        ..Observed::default()
    };
    assert_eq!(findings(&stack, &others(1012), &Wishes::default()), []);
    let found = findings(&stack, &others(1013), &Wishes::default());
    assert_eq!(
        found[0].message,
        "11 containers are to be on the bridge of network `lab_wide`, beside 1013 of others that run on it already, and a Linux bridge has 1023 ports"
    );
}

#[test]
fn the_default_bridge_is_counted_too() {
    let text = "name: lab\nservices:\n  one: {image: x, network_mode: bridge, scale: 1024}\n";
    let stack = read(text).1.unwrap();
    let found = findings(&stack, &Observed::default(), &Wishes::default());
    assert_eq!(found.len(), 1);
}
